/* The search for one key's order. check.c prepares its operations, and explains what the search found. */
#ifndef CHECK_SEARCH_H
#define CHECK_SEARCH_H

#include "model.h"

/* An operation as the search sees it. */
struct task {
    const struct op *op;
    size_t number;     /* in the history */
    enum op_kind kind; /* of one without an answer, the plainest kind with the same effect */
    bool is_blank;     /* lost, and nobody saw its value: `arg` is a stand-in */
    struct slice arg;
    uint64_t end; /* by when it must have taken effect; UINT64_MAX: perhaps never */
};

/* A value that the key may hold when the search ends without success, and the task that made it so (SIZE_MAX: nobody yet). */
struct possibility {
    struct result value;
    size_t maker;
};

struct finding {
    enum history_verdict verdict;
    size_t culprit; /* NOT_LINEARIZABLE: the task that had to take effect by its end, and could not */
    struct possibility *values; /* all that the key could hold at that instant, each once; search_free's */
    size_t value_count;
};

struct search;

/* `tasks` are in order of their starts and outlive the search. `landmark`: a value that the key is known to have had while it
 * only ever grew at its end, so that every value either leads to it or follows on it; nil: none. Borrowed. */
struct search *search_new(const struct task *tasks, size_t count, struct result landmark);
void search_free(struct search *s);
struct finding search_run(struct search *s);

#endif
