/* The simulated world's time, chance, processes and threads. One real thread runs it all; what happens when is decided
 * by a queue of timers and by one seed, so the same seed gives the same run, step for step.
 *
 * Time is in microseconds since the world began. A process is what a server program believes itself to be: threads,
 * memory, open files. Its memory is a list that goes with it, so that it can be killed at any instant. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "check.h"
#include "list.h"
#include "rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_MS = 1000, SIM_SECOND = 1000000 };

/* --- time --- */

/* Lives in its owner; at most one pending time. */
struct sim_timer {
    uint64_t at_us, seq;
    size_t place; /* in the queue, from 1; 0: not pending */
    void (*fire)(struct sim_timer *t);
};

void world_begin(uint64_t seed);
void world_end(void); /* every process and timer is gone before */
uint64_t world_now_us(void);
uint64_t world_steps(void); /* timers fired since it began */
/* Fires what is due until then. False when nothing is pending any more. */
bool world_run_until(uint64_t us);
/* Changes with everything that happens: equal seeds end with equal digests. */
uint64_t world_digest(void);
void world_mix(uint64_t value);

void sim_timer_set(struct sim_timer *t, uint64_t at_us, void (*fire)(struct sim_timer *t));
void sim_timer_cancel(struct sim_timer *t);

/* --- chance --- */

struct rng *world_rng(void);
uint64_t sim_below(uint64_t bound);                /* [0, bound) */
uint64_t sim_between(uint64_t low, uint64_t high); /* [low, high] */
bool sim_chance(double probability);
uint64_t sim_around(uint64_t mean); /* exponentially distributed, at most 20 times the mean */

/* --- processes --- */

struct machine; /* cluster.h */
struct sim_thread;
struct sim_loop; /* sim_uv.c */

enum { SIM_FD_FIRST = 1000, SIM_FD_MAX = 512 };

struct sim_file; /* disk.h */

enum { SIM_SMALL_STEP = 16, SIM_SMALL_MAX = 1024 };

/* What mem_alloc and its like give. */
struct heap {
    size_t bytes;      /* in use */
    struct list large; /* struct large */
    struct slab *slabs;
    char *fresh, *fresh_end; /* what was not used yet of the newest slab */
    void *reusable[SIM_SMALL_MAX / SIM_SMALL_STEP];
};

struct process {
    struct machine *machine;
    struct heap heap;
    struct list threads; /* struct sim_thread */
    struct list loops;   /* struct sim_loop */
    struct rng rng;      /* what it gets from getrandom */
    bool paused, ended;
    int exit_code;
    uint64_t serial; /* one more each start */
    struct sim_file *files[SIM_FD_MAX];
    void *observer; /* observe.c */
};

/* Begins with one thread. */
struct process *process_start(struct machine *m, int (*main)(void *arg), void *arg);
/* Ends it where it stands, from outside: memory, threads, files and sockets are gone. Not from within itself. */
void process_kill(struct process *p);
void process_pause(struct process *p);
void process_resume(struct process *p);
struct process *process_running(void); /* NULL: the simulator itself */

/* --- threads of the running process --- */

struct sim_thread *sim_thread_start(void *(*run)(void *arg), void *arg);
struct sim_thread *sim_thread_running(void);
/* Until sim_wake; returns at once when woken since the last block. */
void sim_block(void);
void sim_wake(struct sim_thread *t, uint64_t delay_us);
/* Without a running thread (unit tests) it takes no time. */
void sim_sleep_us(uint64_t us);
bool sim_thread_ended(const struct sim_thread *t);
_Noreturn void sim_exit(int code); /* of the running process */

/* What waits on an address: a condition, a mutex, a thread that is to end. */
void sim_wait_on(const void *what);
void sim_notify(const void *what, bool all);

/* --- memory --- */

/* Between these, mem_alloc and its like serve the simulator, not the running process. */
struct process *heap_ours(void);
void heap_back(struct process **saved);
#define SIM_HEAP __attribute__((cleanup(heap_back), unused)) struct process *heap_saved = heap_ours()

/* --- failures --- */

/* An invariant is broken: says so, with what replays it, and ends the program. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_on_failure(void (*tell)(void)); /* printed after the reason */
/* A line of the run's log; kept, and shown when it fails. */
void sim_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_log_words(const char *who, const char *text); /* the same as "%s| %s" */
void sim_log_level(bool all);
void sim_log_dump(void);
/* To standard output, also in the middle of a simulated process, whose printf is its own. */
void sim_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
