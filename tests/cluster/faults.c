/* A bad machine: preloaded into a node (LD_PRELOAD), this library makes its clocks run fast or slow, its disk slow,
 * and leads its connections to other nodes over the wire (wire.c), where the network's faults are. No privileges
 * needed. What is to be done stands in a shared file (faults.h) and can change at any time.
 *
 *   FAULTS_FILE   the shared file
 *   FAULTS_NODE   this node's number in it
 *   FAULTS_PORTS  "33000,33001,33002": the peer ports of the nodes, in their order
 *
 * Clocks: all of them run at the same wrong rate; none jumps, except the wall clock when told. Waiting for a time-out is
 * scaled alike. Only what the server uses is covered: epoll, condition variables, nanosleep, clock_gettime and its kin. */
#include "faults.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NS     INT64_C(1000000000)
#define PPM    INT64_C(1000000)

static const struct faults *faults;
static const struct faults_node *self;
static uint32_t self_number;
static uint16_t peer_ports[FAULTS_NODES_MAX];
static size_t peer_count;

static _Noreturn void die(const char *what) {
    char line[256];
    int n = snprintf(line, sizeof line, "faults: %s (errno %d)\n", what, errno);
    if (n > 0) syscall(SYS_write, 2, line, (size_t)n);
    syscall(SYS_kill, getpid(), SIGABRT);
    _exit(134);
}

/* The next definition of a function, found at its first use: libraries run before our constructor. */
#define NEXT(name)                                                                                           \
    ({                                                                                                       \
        static __typeof__(&name) next_fn;                                                                    \
        if (next_fn == NULL) next_fn = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                           \
        next_fn;                                                                                             \
    })
/* glibc has two of some; the old one comes first when asked without a version. */
#define NEXT_VERSION(name, version)                                                                          \
    ({                                                                                                       \
        static __typeof__(&name) next_fn;                                                                    \
        if (next_fn == NULL) next_fn = (__typeof__(&name))dlvsym(RTLD_NEXT, #name, version);                 \
        if (next_fn == NULL) next_fn = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                           \
        next_fn;                                                                                             \
    })

__attribute__((constructor)) static void faults_init(void) {
    const char *path = getenv("FAULTS_FILE"), *number = getenv("FAULTS_NODE"),
               *ports = getenv("FAULTS_PORTS");
    if (path == NULL || number == NULL || ports == NULL) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(path);
    void *map = mmap(NULL, sizeof(struct faults), PROT_READ, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map == MAP_FAILED || memcmp(map, FAULTS_MAGIC, 8) != 0) die(path);
    faults = map;
    self_number = (uint32_t)strtoul(number, NULL, 10);
    if (self_number >= FAULTS_NODES_MAX) die("FAULTS_NODE");
    self = &faults->nodes[self_number];
    for (char *end; *ports != '\0' && peer_count < FAULTS_NODES_MAX; ports = *end == ',' ? end + 1 : end) {
        peer_ports[peer_count++] = (uint16_t)strtoul(ports, &end, 10);
    }
}

/* ---------------------------------------------------------------------------------------------------- clocks */

/* How far our clocks are ahead: at the real instant `since` it was `ahead`, and grows at `ppm`. */
static struct {
    atomic_flag lock;
    int64_t since, ahead, ppm;
} skew = {.lock = ATOMIC_FLAG_INIT};

static int64_t real_ns(clockid_t id) {
    struct timespec t;
    if (NEXT(clock_gettime)(id, &t) != 0) die("clock_gettime");
    return t.tv_sec * NS + t.tv_nsec;
}

static int64_t ns_of(const struct timespec *t) {
    return t->tv_sec * NS + t->tv_nsec;
}
static struct timespec timespec_of(int64_t ns) {
    return (struct timespec){.tv_sec = ns / NS, .tv_nsec = ns % NS};
}

static int64_t scale(int64_t ns, int64_t numerator, int64_t denominator) {
    return (int64_t)((__int128)ns * numerator / denominator);
}

static int64_t ahead_ns(void) {
    if (self == NULL) return 0;
    int64_t ppm = atomic_load(&self->clock_ppm), now = real_ns(CLOCK_MONOTONIC);
    while (atomic_flag_test_and_set_explicit(&skew.lock, memory_order_acquire)) {
    }
    int64_t ahead = skew.ahead + scale(now - skew.since, skew.ppm, PPM);
    if (skew.ppm != ppm) {
        skew.ahead = ahead;
        skew.since = now;
        skew.ppm = ppm;
    }
    atomic_flag_clear_explicit(&skew.lock, memory_order_release);
    return ahead;
}

static bool is_wall(clockid_t id) {
    return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_TAI;
}
static bool is_skewed(clockid_t id) {
    return is_wall(id) || id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE ||
           id == CLOCK_MONOTONIC_RAW || id == CLOCK_BOOTTIME;
}
static int64_t wrong_by(clockid_t id) {
    return ahead_ns() + (is_wall(id) && self != NULL ? atomic_load(&self->wall_us) * 1000 : 0);
}

/* A span of our time in real time, and the real instant of one of ours. */
static int64_t real_span(int64_t ns) {
    return self == NULL ? ns : scale(ns, PPM, PPM + atomic_load(&self->clock_ppm));
}
static struct timespec real_instant(clockid_t id, const struct timespec *ours) {
    int64_t now = real_ns(id), left = ns_of(ours) - (now + wrong_by(id));
    return timespec_of(now + (left > 0 ? real_span(left) : 0));
}

EXPORT int clock_gettime(clockid_t id, struct timespec *t) {
    int rc = NEXT(clock_gettime)(id, t);
    if (rc == 0 && is_skewed(id)) *t = timespec_of(ns_of(t) + wrong_by(id));
    return rc;
}

EXPORT int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    int rc = NEXT(gettimeofday)(t, zone);
    if (rc != 0) return rc;
    int64_t us = t->tv_sec * PPM + t->tv_usec + wrong_by(CLOCK_REALTIME) / 1000;
    *t = (struct timeval){.tv_sec = us / PPM, .tv_usec = us % PPM};
    return rc;
}

EXPORT time_t time(time_t *out) {
    time_t t = (time_t)((real_ns(CLOCK_REALTIME) + wrong_by(CLOCK_REALTIME)) / NS);
    if (out != NULL) *out = t;
    return t;
}

static int real_timeout(int ms) {
    return ms <= 0 ? ms : (int)real_span(ms);
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int max, int ms) {
    return NEXT(epoll_wait)(fd, events, max, real_timeout(ms));
}
EXPORT int epoll_pwait(int fd, struct epoll_event *events, int max, int ms, const sigset_t *mask) {
    return NEXT(epoll_pwait)(fd, events, max, real_timeout(ms), mask);
}

EXPORT int nanosleep(const struct timespec *want, struct timespec *left) {
    struct timespec real = timespec_of(real_span(ns_of(want)));
    return NEXT(nanosleep)(&real, left);
}

#if defined __x86_64__
#define COND_VERSION "GLIBC_2.3.2"
#else
#define COND_VERSION "GLIBC_2.17"
#endif

/* Which clock a condition variable goes by is not ours to see; libuv and RocksDB wait with the clock that a variable made
 * by pthread_cond_init has unless told otherwise. An instant far in the past of the wall clock is one of the other. */
EXPORT int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m,
                                  const struct timespec *restrict until) {
    clockid_t id = ns_of(until) < real_ns(CLOCK_REALTIME) / 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    struct timespec real = real_instant(id, until);
    return NEXT_VERSION(pthread_cond_timedwait, COND_VERSION)(c, m, &real);
}
EXPORT int pthread_cond_clockwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, clockid_t id,
                                  const struct timespec *restrict until) {
    struct timespec real = real_instant(id, until);
    return NEXT(pthread_cond_clockwait)(c, m, id, &real);
}

/* ------------------------------------------------------------------------------------------------------ disk */

/* Waits as long as the file says at each moment. */
static void disk_wait(void) {
    if (self == NULL) return;
    int64_t began = real_ns(CLOCK_MONOTONIC);
    for (;;) {
        int64_t left = began + (int64_t)atomic_load(&self->sync_us) * 1000 - real_ns(CLOCK_MONOTONIC);
        if (left <= 0) return;
        struct timespec nap = timespec_of(left < NS / 100 ? left : NS / 100);
        NEXT(nanosleep)(&nap, NULL);
    }
}

EXPORT int fsync(int fd) {
    disk_wait();
    return NEXT(fsync)(fd);
}
EXPORT int fdatasync(int fd) {
    disk_wait();
    return NEXT(fdatasync)(fd);
}

/* --------------------------------------------------------------------------------------------------- network */

/* Onto the wire; our own peer port stays what it is. */
static bool is_peer(const struct sockaddr *to, socklen_t len) {
    if (self == NULL || to->sa_family != AF_INET || len < sizeof(struct sockaddr_in)) return false;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)to;
    if (in->sin_addr.s_addr != htonl(INADDR_LOOPBACK)) return false;
    for (size_t i = 0; i < peer_count; i++) {
        if (i != self_number && in->sin_port == htons(peer_ports[i])) return true;
    }
    return false;
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t len) {
    if (!is_peer(to, len)) return NEXT(connect)(fd, to, len);
    struct sockaddr_in wire = *(const struct sockaddr_in *)(const void *)to;
    wire.sin_addr.s_addr = htonl(FAULTS_WIRE_NET(self_number));
    return NEXT(connect)(fd, (const struct sockaddr *)&wire, sizeof wire);
}
