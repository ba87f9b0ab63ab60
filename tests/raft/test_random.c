/* Random walks, seed after seed.
 *
 *     test_random [--seeds N] [--first S] [--seconds N] [--keep-going] [--trace]
 *
 * Walks N seeds from S on, or as many as the seconds allow; without --first from anywhere, as test.h says. A seed that
 * fails prints the one command that replays it; --trace prints everything that happens. --keep-going counts failures
 * instead of stopping at the first. */
#include "test.h"
#include "walk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    const char *program;
    uint64_t seed;
    bool keep_going;
    volatile sig_atomic_t is_over;
    sigjmp_buf next;
} run;

static void on_abort(int sig) {
    fprintf(stderr, "FAILED seed %" PRIu64 "; replay: %s --first %" PRIu64 " --seeds 1 --trace\n", run.seed,
            run.program, run.seed);
    fflush(stderr);
    if (run.keep_going) siglongjmp(run.next, 1);
    signal(sig, SIG_DFL);
    _Exit(1);
}

/* Asked to stop: the seeds done so far still count. */
static void on_stop(int sig) {
    (void)sig;
    run.is_over = 1;
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Alone here, so that no local variable of the loop lives across the jump. */
static bool survives(const struct walk_options *o, struct walk_counts *counts) {
    if (sigsetjmp(run.next, 1) != 0) return false;
    walk(o, counts);
    return true;
}

int main(int argc, char **argv) {
    uint64_t seeds = 1000, first = test_draw_seed("raft_test_random", "") >> 32;
    double seconds = 0;
    bool trace = false;
    run.program = argv[0];
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--keep-going") == 0) {
            run.keep_going = true;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            seeds = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--first") == 0) {
            first = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(value, NULL);
            seeds = UINT64_MAX;
            i++;
        } else {
            fprintf(stderr, "what is %s?\n", argv[i]);
            return 2;
        }
    }
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    signal(SIGINT, on_stop);
    signal(SIGTERM, on_stop);
    struct walk_counts k = {0};
    double start = now_s();
    uint64_t done = 0, failed = 0;
    for (; !run.is_over && done < seeds && (seconds <= 0 || now_s() - start < seconds); done++) {
        run.seed = first + done;
        struct walk_options o = {.seed = run.seed, .trace = trace};
        failed += !survives(&o, &k);
    }
    double took = now_s() - start;
    printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " failed; %" PRIu64 " steps in %" PRIu64
           " terms: %" PRIu64 " entries committed, %" PRIu64 " reads done and %" PRIu64 " lost, %" PRIu64
           " moments with a lease, %" PRIu64 " configurations, %" PRIu64 " snapshots installed, %" PRIu64
           " crashes, %" PRIu64 " nodes lost for ever, %" PRIu64 " transfers, %" PRIu64 " refusals\n",
           done, first, failed, k.steps, k.terms, k.commits, k.reads_done, k.reads_lost, k.leases,
           k.configurations, k.snapshots, k.crashes, k.retired, k.transfers, k.refusals);
    printf("%.0f seeds a second\n", (double)done / (took > 0 ? took : 1));
    return failed != 0 || done == 0;
}
