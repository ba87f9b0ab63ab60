/*
 * Counts the syncs of any server, loaded with LD_PRELOAD: how often fsync and fdatasync were called and how long they took. The
 * counters live in a file of 24 bytes that BENCH_SYNCS names, mapped shared, so the bench reads them while the server runs:
 *
 *   offset 0  uint64, host order  calls that returned
 *   offset 8  uint64, host order  nanoseconds spent in them, summed over threads
 *   offset 16 uint64, host order  nanoseconds of the longest one; who reads it may set it back to 0
 *
 * Without BENCH_SYNCS it changes nothing. It does not see writes through O_DSYNC descriptors or io_uring.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct counters {
    _Atomic uint64_t count;
    _Atomic uint64_t ns;
    _Atomic uint64_t longest_ns;
};

static struct counters nowhere;
static struct counters *counters = &nowhere;
static int (*next_fsync)(int);
static int (*next_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
    next_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("BENCH_SYNCS");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) counters = map;
    close(fd);
}

static int count(int (*call)(int), int fd) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    int rc = call(fd);
    clock_gettime(CLOCK_MONOTONIC, &to);
    int64_t ns = (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec);
    atomic_fetch_add_explicit(&counters->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->ns, (uint64_t)ns, memory_order_relaxed);
    uint64_t longest = atomic_load_explicit(&counters->longest_ns, memory_order_relaxed);
    while ((uint64_t)ns > longest &&
           !atomic_compare_exchange_weak_explicit(&counters->longest_ns, &longest, (uint64_t)ns,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    return rc;
}

int fsync(int fd) {
    return count(next_fsync, fd);
}
int fdatasync(int fd) {
    return count(next_fdatasync, fd);
}
