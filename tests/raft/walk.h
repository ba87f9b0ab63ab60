/* A random walk: one seed, one life of a cluster with everything that can go wrong in it, and then, when nothing goes
 * wrong any more, the proof that it still gets things done. The same seed always walks the same way. */
#ifndef TESTS_RAFT_WALK_H
#define TESTS_RAFT_WALK_H

#include "cluster.h"

struct walk_options {
    uint64_t seed;
    bool trace; /* to standard output, as it goes */
};

/* What walks have met, added up: a walk that meets nothing proves nothing. */
struct walk_counts {
    uint64_t steps, terms, commits, reads_done, reads_lost, snapshots, configurations, crashes, transfers,
        leases, refusals, retired;
    uint64_t digest; /* of everything that happened, in order */
};

/* Aborts when an invariant is broken or the cluster does not recover. */
void walk(const struct walk_options *options, struct walk_counts *counts);

#endif
