/* One run: a cluster, clients and faults from one seed; its phases, and what must hold at the end. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct run_options {
    uint64_t seed;
    int machines;     /* 0: chance decides, 1 to 7 */
    uint32_t faults;  /* a bit for each; 0: chance decides */
    uint32_t never;   /* faults that do not occur, whatever chance says */
    uint64_t seconds; /* of faults; 0: chance decides */
    bool verbose, trace;
    const char *history_path; /* NULL: not written */
};

struct run_result {
    uint64_t simulated_us, steps, digest, operations, answered, refused, unknown, watched, entries, starts,
        terms, snapshots, astray, replaced;
    uint32_t faults;
    int machines;
    bool undecided; /* the checker gave up on a history: neither good nor bad */
};

/* Returns when all is well; otherwise the program ends, with the reason and what replays it. */
void run_seed(const struct run_options *options, struct run_result *result);

#endif
