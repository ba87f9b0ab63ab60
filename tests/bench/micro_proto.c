/* What the byte layer costs per command, without a server: nanoseconds of CPU time, the best of some rounds.
 *
 *     bench-micro-proto [ROUNDS]
 *
 * Requests are pipelines as a socket read delivers them: 16 KiB, of which the last command is cut. */
#include "entry.h"
#include "hash.h"
#include "num.h"
#include "resp_parse.h"
#include "resp_write.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { READ_SIZE = 16 * 1024, BATCH = 2000 };

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int rounds = 50;
static volatile uint64_t sink;

/* The body handles some operations and adds their number to `ops`. */
#define MEASURE(name, ...)                                                                                   \
    do {                                                                                                     \
        double best = 1e18;                                                                                  \
        for (int round = 0; round < rounds; round++) {                                                       \
            uint64_t ops = 0, began = cpu_ns();                                                              \
            __VA_ARGS__;                                                                                     \
            double ns = (double)(cpu_ns() - began) / (double)ops;                                            \
            if (ns < best) best = ns;                                                                        \
        }                                                                                                    \
        printf("%-52s %8.1f ns\n", name, best);                                                              \
    } while (0)

static void add_command(struct buf *b, int argc, const struct slice *argv) {
    struct reply r;
    reply_init(&r, b, 2);
    reply_array(&r, (size_t)argc);
    for (int i = 0; i < argc; i++) reply_bulk(&r, argv[i]);
}

static const struct resp_limits limits = {
    .bulk_len_max = 512 * 1024 * 1024, .arg_count_max = INT32_MAX, .authenticated = true};

static void bench_parse(const char *name, int argc, const struct slice *argv) {
    struct buf wire = {0};
    while (wire.len < READ_SIZE) add_command(&wire, argc, argv);
    struct resp_parser p;
    resp_parser_init(&p);
    MEASURE(name, {
        for (int i = 0; i < 100; i++) {
            size_t at = 0, consumed;
            while (resp_parse(&p, &limits, slice_make(wire.data + at, wire.len - at), &consumed) ==
                   RESP_COMMAND) {
                at += consumed;
                sink += p.argv[argc - 1].len;
                ops++;
            }
        }
    });
    resp_parser_free(&p);
    buf_free(&wire);
}

static void bench_reply(void) {
    struct buf out = {0};
    struct reply r;
    reply_init(&r, &out, 2);
    char value[64];
    memset(value, 'v', sizeof value);
#define REPLY(name, call)                                                                                    \
    MEASURE(name, {                                                                                          \
        for (int i = 0; i < 100; i++) {                                                                      \
            buf_clear(&out);                                                                                 \
            for (int k = 0; k < BATCH; k++) call;                                                            \
            ops += BATCH;                                                                                    \
        }                                                                                                    \
    })
    REPLY("reply_ok", reply_ok(&r));
    REPLY("reply_int, one digit", reply_int(&r, k & 7));
    REPLY("reply_int, six digits", reply_int(&r, 123456 + k));
    REPLY("reply_bulk, 64 bytes", reply_bulk(&r, slice_make(value, sizeof value)));
    REPLY("reply_null", reply_null(&r));
    REPLY("reply_double, 0.1", reply_double(&r, 0.1));
#undef REPLY
    buf_free(&out);
}

static void bench_entry(int argc, const struct slice *argv) {
    struct buf b = {0};
    struct entry_reader r;
    entry_reader_init(&r);
    MEASURE("entry_add, SET with 64 bytes", {
        for (int i = 0; i < 100; i++) {
            entry_begin(&b);
            for (int k = 0; k < BATCH; k++) entry_add(&b, 0, argc, argv);
            entry_finish(&b, &(struct entry_header){.count = BATCH});
            ops += BATCH;
        }
    });
    MEASURE("entry_next, SET with 64 bytes", {
        for (int i = 0; i < 100; i++) {
            CHECK(entry_open(&r, buf_slice(&b)));
            while (entry_next(&r) == 1) {
                sink += r.argv[2].len;
                ops++;
            }
        }
    });
    entry_reader_free(&r);
    buf_free(&b);
}

static void bench_hash(void) {
    static char bytes[16 * 1024];
    struct slice key = {bytes, 16}, block = {bytes, sizeof bytes};
    MEASURE("hash64, 16 bytes", {
        for (int i = 0; i < 100000; i++) sink += hash64(key);
        ops += 100000;
    });
    MEASURE("key_slot, 16 bytes", {
        for (int i = 0; i < 100000; i++) sink += key_slot(key);
        ops += 100000;
    });
    MEASURE("crc32c, 16 KiB", {
        for (int i = 0; i < 100; i++) sink += crc32c(0, block);
        ops += 100;
    });
    MEASURE("crc64, 16 KiB", {
        for (int i = 0; i < 100; i++) sink += crc64(0, block);
        ops += 100;
    });
    int64_t n;
    MEASURE("parse_i64, six digits", {
        for (int i = 0; i < 100000; i++) sink += parse_i64(SLICE("123456"), &n);
        ops += 100000;
    });
}

int main(int argc, char **argv) {
    if (argc > 1) rounds = atoi(argv[1]);
    CHECK(rounds > 0);
    char value[64];
    memset(value, 'v', sizeof value);
    struct slice ping[] = {SLICE("PING")};
    struct slice get[] = {SLICE("GET"), SLICE("key:000000012345")};
    struct slice set[] = {SLICE("SET"), SLICE("key:000000012345"), slice_make(value, sizeof value)};
    struct slice mset[] = {SLICE("MSET"),  SLICE("key:1"), SLICE("v"),     SLICE("key:2"), SLICE("v"),
                           SLICE("key:3"), SLICE("v"),     SLICE("key:4"), SLICE("v"),     SLICE("key:5"),
                           SLICE("v"),     SLICE("key:6"), SLICE("v"),     SLICE("key:7"), SLICE("v"),
                           SLICE("key:8"), SLICE("v")};
    bench_parse("resp_parse, PING", 1, ping);
    bench_parse("resp_parse, GET", 2, get);
    bench_parse("resp_parse, SET with 64 bytes", 3, set);
    bench_parse("resp_parse, MSET of 8 pairs", 17, mset);
    bench_reply();
    bench_entry(3, set);
    bench_hash();
    return 0;
}
