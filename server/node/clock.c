/* Time as the node sees it. The clocks of the machine are asked here and nowhere else in this room, so that a
 * simulator can give each node a time of its own. */
#include "node_internal.h"

#include <time.h>

static uint64_t clock_us(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t mono_us(void) {
    return clock_us(CLOCK_MONOTONIC);
}

uint64_t boot_us(void) {
    return clock_us(CLOCK_BOOTTIME);
}

uint64_t thread_cpu_us(void) {
    return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t wall_us(void) {
    return (int64_t)clock_us(CLOCK_REALTIME);
}
