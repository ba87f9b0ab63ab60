/* The simulator's command line.
 *
 *     sim                          seeds 1, 2, 3 ... until stopped
 *     sim --seeds 100              so many, from --seed on (without it from anywhere, as test.h says)
 *     sim --for 20                 as many as can be run in so many seconds
 *     sim --seed 17 --verbose      one, with everything it says; with --trace, everything the nodes say to each other
 *     sim --seed 17 --twice        one, two times: the same seed must give the same run
 *
 *     --machines N  --seconds N  --faults MASK     instead of what the seed says (bits: enum fault in plan.h)
 *     --never MASK                                 faults that do not occur, whatever the seed says
 *     --history FILE                               what the clients saw, in the words of tests/check */
#include "plan.h"
#include "run.h"
#include "test.h"
#include "world.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct run_options options;

static void die(int signum) {
    char text[200];
    int n =
        snprintf(text, sizeof text, "\nstopped by signal %d; replay with: sim --verbose --seed %" PRIu64 "\n",
                 signum, options.seed);
    sim_log_dump();
    fflush(stdout);
    if (write(2, text, (size_t)n) < 0) _Exit(2);
    raise(signum); /* its handler was taken away as it was called */
}

static volatile sig_atomic_t is_told_to_end;

/* After this seed, with the totals; told twice, at once. */
static void end_soon(int signal) {
    (void)signal;
    is_told_to_end = 1;
}

static void watch_signals(void) {
    static char stack[64 << 10];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternative, NULL);
    struct sigaction a = {.sa_handler = die, .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND)};
    sigaction(SIGABRT, &a, NULL);
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGVTALRM, &a, NULL);
    struct sigaction end = {.sa_handler = end_soon, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
}

/* A run that never ends is a failure with a seed, too. Of CPU time: how busy the machine is says nothing. */
static void limit_time(void) {
    enum { CPU_SECONDS_MAX = 60 };
    struct itimerval t = {.it_value = {.tv_sec = CPU_SECONDS_MAX}};
    setitimer(ITIMER_VIRTUAL, &t, NULL);
}

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void describe(const struct run_result *r) {
    char faults[300] = "";
    for (int f = 0, at = 0; f < FAULT_KINDS; f++)
        if (r->faults >> f & 1)
            at += snprintf(faults + at, sizeof faults - (size_t)at, " %s", fault_name((enum fault)f));
    printf("seed %" PRIu64 ": %d machines, %.0f s, digest %016" PRIx64 "\n", options.seed, r->machines,
           (double)r->simulated_us / SIM_SECOND, r->digest);
    printf("  operations: %" PRIu64 ", answered %" PRIu64 ", refused %" PRIu64 ", unknown %" PRIu64
           ", under WATCH %" PRIu64 "%s\n",
           r->operations, r->answered, r->refused, r->unknown, r->watched,
           r->undecided ? "; the checker gave up" : "");
    printf("  entries %" PRIu64 ", terms %" PRIu64 ", snapshots installed %" PRIu64 ", starts %" PRIu64
           ", frames astray %" PRIu64 ", machines replaced %" PRIu64 "\n",
           r->entries, r->terms, r->snapshots, r->starts, r->astray, r->replaced);
    printf("  faults:%s\n", faults);
}

static int usage(void) {
    fputs("usage: sim [--seed N] [--seeds N | --for SECONDS] [--machines N] [--seconds N] [--faults MASK] "
          "[--never MASK] "
          "[--history FILE] [--twice] [--verbose] [--trace]\n",
          stderr);
    return 2;
}

static bool twice;

static bool *flag_of(const char *word) {
    if (strcmp(word, "--verbose") == 0) return &options.verbose;
    if (strcmp(word, "--trace") == 0) return &options.trace;
    return strcmp(word, "--twice") == 0 ? &twice : NULL;
}

int main(int argc, char **argv) {
    uint64_t seeds = UINT64_MAX, for_seconds = 0;
    bool one = false;
    options.seed = 1;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool *flag = flag_of(word);
        if (flag != NULL) {
            *flag = true;
            continue;
        }
        if (i + 1 == argc) return usage();
        uint64_t value = strtoull(argv[++i], NULL, 0);
        if (strcmp(word, "--history") == 0) {
            options.history_path = argv[i];
            continue;
        }
        if (strcmp(word, "--seed") == 0)
            options.seed = value, one = true;
        else if (strcmp(word, "--seeds") == 0)
            seeds = value;
        else if (strcmp(word, "--for") == 0)
            for_seconds = value;
        else if (strcmp(word, "--machines") == 0)
            options.machines = (int)value;
        else if (strcmp(word, "--seconds") == 0)
            options.seconds = value;
        else if (strcmp(word, "--never") == 0)
            options.never = (uint32_t)value;
        else if (strcmp(word, "--faults") == 0)
            options.faults = (uint32_t)value;
        else
            return usage();
    }
    if (one && seeds == UINT64_MAX && for_seconds == 0) seeds = 1;
    if (!one && (for_seconds != 0 || seeds != UINT64_MAX)) options.seed = test_draw_seed("sim", "") >> 32;
    watch_signals();
    double began = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), simulated = 0;
    uint64_t done = 0, undecided = 0, snapshots = 0, terms = 0;
    for (; done < seeds && !is_told_to_end &&
           (for_seconds == 0 || seconds_of(CLOCK_MONOTONIC) - began < (double)for_seconds);
         done++) {
        struct run_result result, again;
        limit_time();
        run_seed(&options, &result);
        if (options.verbose || seeds == 1) describe(&result);
        if (twice) run_seed(&options, &again);
        if (twice && again.digest != result.digest) {
            printf("seed %" PRIu64 " gives two different runs: %016" PRIx64 " and %016" PRIx64 "\n",
                   options.seed, result.digest, again.digest);
            return 1;
        }
        simulated += (double)result.simulated_us / SIM_SECOND;
        snapshots += result.snapshots;
        terms += result.terms;
        undecided += result.undecided;
        options.seed++;
    }
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%" PRIu64 " seeds, %.2f simulated hours in %.1f CPU seconds: %.1f hours a CPU minute; %" PRIu64
           " terms, %" PRIu64 " snapshots installed, %" PRIu64 " histories undecided\n",
           done, simulated / 3600, cpu, simulated / 60 / (cpu > 0 ? cpu : 1), terms, snapshots, undecided);
    return 0;
}
