/* What the load generators of this folder share: ending with a message, the clock, random keys, connections to this machine that
 * an epoll set watches, and latencies with their report, which looks like redis-benchmark --csv. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t random_state = 88172645463325252ULL;

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static inline uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* A connection to `port` here; what comes is an event of `ep` with `owner`. */
static inline int load_connect(const char *port, int ep, void *owner) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
    return fd;
}

static inline int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Of `count` sorted latencies the one that this part of them does not exceed. */
static inline double part_ms(const uint32_t *us, uint64_t count, double part) {
    uint64_t at = (uint64_t)((double)count * part);
    return us[at < count ? at : count - 1] / 1000.0;
}

static inline void report_head(void) {
    printf("\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\","
           "\"p99_latency_ms\",\"p99.9_latency_ms\",\"max_latency_ms\",\"missing\"\n");
}

/* `count` latencies of `operations` operations in all; sorts them. `missing` of the answers said that there is nothing. */
static inline void report_row(const char *what, uint32_t *us, uint64_t count, uint64_t operations,
                              uint64_t took_ns, uint64_t missing) {
    double sum = 0;
    qsort(us, count, sizeof *us, by_value);
    for (uint64_t i = 0; i < count; i++) sum += us[i];
    printf("\"%s\",\"%.2f\",\"%.3f\",\"%.3f\",\"%.3f\",\"%.3f\",\"%.3f\",\"%.3f\",\"%.3f\",\"%llu\"\n", what,
           (double)operations * 1e9 / (double)took_ns, sum / (double)count / 1000.0, part_ms(us, count, 0),
           part_ms(us, count, 0.5), part_ms(us, count, 0.95), part_ms(us, count, 0.99),
           part_ms(us, count, 0.999), part_ms(us, count, 1), (unsigned long long)missing);
}

#endif
