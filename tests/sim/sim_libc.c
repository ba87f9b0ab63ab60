/* The calls of libc that a simulated process makes for time, chance, threads and words. The linker sends them here
 * (--wrap); outside of a simulated process they go on to libc. Files are disk.c's. */
#include "disk.h"
#include "mem.h"
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define WRAP(result, name, ...)                                                                              \
    result __real_##name(__VA_ARGS__);                                                                       \
    result __wrap_##name(__VA_ARGS__);                                                                       \
    result __wrap_##name(__VA_ARGS__)

/* --- stacks --- */

/* Another stack of a process goes with it, wherever it stands; what guards it is not simulated. */
WRAP(void *, mmap, void *at, size_t len, int protection, int flags, int fd, off_t offset) {
    if (process_running() == NULL) return __real_mmap(at, len, protection, flags, fd, offset);
    CHECK(at == NULL);
    CHECK(fd < 0);
    return mem_alloc(len);
}

WRAP(int, mprotect, void *at, size_t len, int protection) {
    return process_running() == NULL ? __real_mprotect(at, len, protection) : 0;
}

WRAP(int, munmap, void *at, size_t len) {
    if (process_running() == NULL) return __real_munmap(at, len);
    mem_free(at);
    return 0;
}

/* --- time and chance --- */

static struct timespec spec_of(uint64_t us) {
    return (struct timespec){.tv_sec = (time_t)(us / SIM_SECOND), .tv_nsec = (long)(us % SIM_SECOND) * 1000};
}

/* A thread may lose the CPU anywhere. Here it sometimes does where it looks at the clock, and so in the middle of work
 * that is bounded by it. */
static void lose_cpu(void) {
    if (sim_chance(0.0003)) sim_sleep_us(sim_around(10 * SIM_MS));
}

WRAP(int, clock_gettime, clockid_t clock, struct timespec *out) {
    struct process *p = process_running();
    if (p == NULL) return __real_clock_gettime(clock, out);
    lose_cpu();
    *out = spec_of(clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE
                       ? (uint64_t)machine_wall_us(p->machine)
                       : machine_mono_us(p->machine));
    return 0;
}

WRAP(time_t, time, time_t *out) {
    struct process *p = process_running();
    if (p == NULL) return __real_time(out);
    time_t now = (time_t)(machine_wall_us(p->machine) / SIM_SECOND);
    if (out != NULL) *out = now;
    return now;
}

WRAP(int, nanosleep, const struct timespec *wanted, struct timespec *left) {
    if (process_running() == NULL) return __real_nanosleep(wanted, left);
    sim_sleep_us((uint64_t)wanted->tv_sec * SIM_SECOND + (uint64_t)wanted->tv_nsec / 1000);
    return 0;
}

WRAP(ssize_t, getrandom, void *out, size_t len, unsigned flags) {
    struct process *p = process_running();
    if (p == NULL) return __real_getrandom(out, len, flags);
    for (size_t i = 0; i < len; i++) ((unsigned char *)out)[i] = (unsigned char)rng_next(&p->rng);
    return (ssize_t)len;
}

/* --- threads --- */

WRAP(int, pthread_create, pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
    if (process_running() == NULL) return __real_pthread_create(out, attr, run, arg);
    *out = (pthread_t)sim_thread_start(run, arg);
    return 0;
}

WRAP(int, pthread_join, pthread_t thread, void **result) {
    if (process_running() == NULL) return __real_pthread_join(thread, result);
    const struct sim_thread *t =
        (const struct sim_thread *)thread; /* NOLINT: what pthread_create made of it */
    while (!sim_thread_ended(t)) sim_wait_on(t);
    return 0;
}

/* Of a mutex's bytes the simulator uses the first sixteen. */
struct owner {
    struct sim_thread *thread;
    size_t waiters;
};

static_assert(sizeof(struct owner) <= sizeof(pthread_mutex_t), "it stands in its place");

static struct owner *owner_of(pthread_mutex_t *m) {
    return (struct owner *)(void *)m;
}

WRAP(int, pthread_mutex_init, pthread_mutex_t *m, const pthread_mutexattr_t *attr) {
    if (process_running() == NULL) return __real_pthread_mutex_init(m, attr);
    memset(m, 0, sizeof *m);
    return 0;
}

WRAP(int, pthread_mutex_destroy, pthread_mutex_t *m) {
    return process_running() == NULL ? __real_pthread_mutex_destroy(m) : 0;
}

WRAP(int, pthread_mutex_lock, pthread_mutex_t *m) {
    if (process_running() == NULL) return __real_pthread_mutex_lock(m);
    CHECK(owner_of(m)->thread != sim_thread_running());
    owner_of(m)->waiters++;
    while (owner_of(m)->thread != NULL) sim_wait_on(m);
    owner_of(m)->waiters--;
    owner_of(m)->thread = sim_thread_running();
    return 0;
}

WRAP(int, pthread_mutex_trylock, pthread_mutex_t *m) {
    if (process_running() == NULL) return __real_pthread_mutex_trylock(m);
    if (owner_of(m)->thread != NULL) return EBUSY;
    owner_of(m)->thread = sim_thread_running();
    return 0;
}

WRAP(int, pthread_mutex_unlock, pthread_mutex_t *m) {
    if (process_running() == NULL) return __real_pthread_mutex_unlock(m);
    CHECK(owner_of(m)->thread == sim_thread_running());
    owner_of(m)->thread = NULL;
    if (owner_of(m)->waiters > 0) sim_notify(m, false);
    return 0;
}

WRAP(int, pthread_cond_init, pthread_cond_t *c, const pthread_condattr_t *attr) {
    return process_running() == NULL ? __real_pthread_cond_init(c, attr) : 0;
}

WRAP(int, pthread_cond_destroy, pthread_cond_t *c) {
    return process_running() == NULL ? __real_pthread_cond_destroy(c) : 0;
}

WRAP(int, pthread_cond_wait, pthread_cond_t *c, pthread_mutex_t *m) {
    if (process_running() == NULL) return __real_pthread_cond_wait(c, m);
    __wrap_pthread_mutex_unlock(m);
    sim_wait_on(c);
    return __wrap_pthread_mutex_lock(m);
}

WRAP(int, pthread_cond_timedwait, pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until) {
    struct process *p = process_running();
    if (p == NULL) return __real_pthread_cond_timedwait(c, m, until);
    int64_t until_us = (int64_t)until->tv_sec * SIM_SECOND + until->tv_nsec / 1000;
    int64_t wait_us = until_us - machine_wall_us(p->machine);
    if (wait_us <= 0) return ETIMEDOUT;
    __wrap_pthread_mutex_unlock(m);
    sim_wake(sim_thread_running(), (uint64_t)wait_us);
    sim_wait_on(c);
    __wrap_pthread_mutex_lock(m);
    return machine_wall_us(p->machine) >= until_us ? ETIMEDOUT : 0;
}

WRAP(int, pthread_cond_signal, pthread_cond_t *c) {
    if (process_running() == NULL) return __real_pthread_cond_signal(c);
    sim_notify(c, false);
    return 0;
}

WRAP(int, pthread_cond_broadcast, pthread_cond_t *c) {
    if (process_running() == NULL) return __real_pthread_cond_broadcast(c);
    sim_notify(c, true);
    return 0;
}

/* --- words --- */

/* A server's log goes, line by line, into the simulator's. */
static void tell(const struct process *p, char *text) {
    for (char *line; (line = strsep(&text, "\n")) != NULL;)
        if (*line != '\0') sim_log_words(machine_name(p->machine), line);
}

WRAP(int, printf, const char *format, ...) {
    char text[4000];
    va_list args;
    va_start(args, format);
    struct process *p = process_running();
    int n = p == NULL ? vprintf(format, args) : vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p != NULL) tell(p, text);
    return n;
}

WRAP(int, fprintf, FILE *f, const char *format, ...) {
    char text[4000];
    va_list args;
    va_start(args, format);
    struct process *p = process_running();
    int n = p == NULL ? vfprintf(f, format, args) : vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p != NULL) tell(p, text);
    if (p != NULL && strstr(text, "CHECK failed") != NULL) fputs(text, stderr);
    return n;
}

WRAP(int, puts, const char *text) {
    struct process *p = process_running();
    if (p == NULL) return __real_puts(text);
    sim_log_words(machine_name(p->machine), text);
    return 1;
}

/* --- what a process asks about itself --- */

WRAP(FILE *, fopen, const char *path, const char *mode) {
    if (process_running() == NULL) return __real_fopen(path, mode);
    errno = ENOENT; /* /proc is not there */
    return NULL;
}

WRAP(pid_t, getpid, void) {
    struct process *p = process_running();
    return p == NULL ? __real_getpid() : (pid_t)(100 + machine_host(p->machine));
}

/* What it sets for itself it would set for the simulator. */
WRAP(int, setrlimit, __rlimit_resource_t what, const struct rlimit *limit) {
    return process_running() == NULL ? __real_setrlimit(what, limit) : 0;
}

WRAP(int, getrlimit, __rlimit_resource_t what, struct rlimit *limit) {
    if (process_running() == NULL) return __real_getrlimit(what, limit);
    limit->rlim_cur = limit->rlim_max = 1 << 20;
    return 0;
}

WRAP(int, getrusage, __rusage_who_t who, struct rusage *out) {
    if (process_running() == NULL) return __real_getrusage(who, out);
    memset(out, 0, sizeof *out);
    return 0;
}

typedef void signal_handler(int);
WRAP(signal_handler *, signal, int signum, signal_handler *handler) {
    return process_running() == NULL ? __real_signal(signum, handler) : NULL;
}

_Noreturn void __real__exit(int code);
_Noreturn void __wrap__exit(int code);
_Noreturn void __wrap__exit(int code) {
    if (process_running() == NULL) __real__exit(code);
    sim_exit(code);
}

_Noreturn void __real_exit(int code);
_Noreturn void __wrap_exit(int code);
_Noreturn void __wrap_exit(int code) {
    if (process_running() == NULL) __real_exit(code);
    sim_exit(code);
}

/* jemalloc's, which is not linked: it knows nothing. */
int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len);
int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len) {
    (void)name, (void)old, (void)old_len, (void)new, (void)new_len;
    return ENOENT;
}
