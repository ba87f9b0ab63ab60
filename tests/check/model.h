/* What one key of a single machine does: the specification that histories are held against. */
#ifndef CHECK_MODEL_H
#define CHECK_MODEL_H

#include "history.h"

/* The value of a key is a struct result, too: text, or nil when there is none. */
struct move {
    bool is_possible; /* false: the command would have been an error here (INCR of a word) */
    bool changes;
    bool next_is_nil;
    struct buf next;  /* the value afterwards, when it changes and is not nil */
    struct buf reply; /* what a single machine answers */
    bool reply_is_nil;
};
void move_free(struct move *m);

/* What `kind` does to a key that holds `now`. `m` is reused from call to call; all-zero at first. */
void model_apply(enum op_kind kind, struct slice arg, struct result now, struct move *m);
bool model_reply_is(const struct move *m, struct result observed);

/* Whether an operation with this answer left the key alone, whatever the key held. */
bool model_never_changes(const struct op *op);

#endif
