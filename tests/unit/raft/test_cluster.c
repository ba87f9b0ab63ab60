/* Random lives of a cluster of cores: see cluster.h for what is checked at every step. */
#include "cluster.h"

static void run_seed(uint64_t seed) {
    struct sim *s = sim_new(seed);
    for (int i = 0; i < 12000; i++) sim_step(s, false);
    sim_settle(s);
    if (getenv("TEST_VERBOSE") != NULL)
        fprintf(stderr,
                "    %" PRIu64 ": %" PRIu64 " committed, %" PRIu64 " elections, %" PRIu64 " reads, %" PRIu64
                " changes (%" PRIu64 " joint), %" PRIu64 " snapshots, %" PRIu64 " installed, %" PRIu64
                " leases\n",
                seed, s->committed_last, s->elections, s->reads_done, s->changes, s->joints, s->snapshots,
                s->installs, s->leases);
    sim_free(s);
}

TEST(random_lives_of_a_cluster) {
    test_random(60, run_seed);
}

TEST_MAIN
