/* DUMP and RESTORE of collections: what was dumped comes back as it was, small or big, from memory or from disk. Payloads of
 * Redis's own are read in tests/unit/storage/test_rdb_collection.c. */
#include "support.h"

#include "mem.h"

#include <stdarg.h>

static void run_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run_printf(const char *format, ...) {
    char line[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    run(line);
}

/* The bulk string in the last reply. */
static struct slice bulk(void) {
    const char *end = memchr(desk.out.data, '\n', desk.out.len);
    EXPECT(end != NULL);
    size_t head = (size_t)(end - desk.out.data) + 1;
    return slice_make(desk.out.data + head, desk.out.len - head - 2);
}

static struct buf dump(const char *key) {
    struct slice argv[] = {SLICE("dump"), slice_of(key)};
    struct buf payload = {0};
    run_args(2, argv);
    buf_add_slice(&payload, bulk());
    return payload;
}

static const char *restore(const char *key, struct slice payload) {
    struct slice argv[] = {SLICE("restore"), slice_of(key), SLICE("0"), payload, SLICE("replace")};
    run_args(5, argv);
    buf_add_byte(&desk.out, 0);
    return desk.out.data;
}

static const struct object *object(const char *key) {
    const struct object *o = ks_look(desk.ks, desk.db, slice_of(key), desk.now_ms);
    EXPECT_NOTE(o != NULL, "%s", key);
    return o;
}

/* Dumped, restored over something else, and dumped again. */
static void check_round_trip(const char *key) {
    struct buf first = dump(key);
    run("set copy x");
    EXPECT_EQ_STR(restore("copy", buf_slice(&first)), "+OK\r\n");
    EXPECT_EQ_U64(object_value_digest(object("copy")), object_value_digest(object(key)));
    EXPECT_EQ_INT(object("copy")->encoding, object(key)->encoding);
    struct buf second = dump("copy");
    EXPECT_EQ_INT(second.data[0], first.data[0]); /* the order of members may be another */
    EXPECT_EQ_INT(second.len, first.len);
    /* And the same after a way to the disk and back. */
    desk_reload();
    EXPECT_EQ_U64(object_value_digest(object("copy")), object_value_digest(object(key)));
    buf_free(&first);
    buf_free(&second);
}

TEST(collections_come_back) {
    static const int counts[] = {1, 10, 130, 600, 5000};
    desk_open();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        run("flushall");
        for (int k = 0; k < counts[i]; k++) {
            run_printf("rpush list element-%d %d", k, k * k);
            run_printf("sadd integers %d", k * 7 - 20);
            run_printf("sadd set member-%d", k);
            run_printf("hset hash field-%d %d", k, k);
        }
        check_round_trip("list");
        check_round_trip("integers");
        check_round_trip("set");
        check_round_trip("hash");
    }
    desk_close();
}

TEST(limits_decide_upon_the_encoding) {
    desk_open();
    for (int k = 0; k < 10; k++) {
        run_printf("sadd s %d", k);
        run_printf("hset h %d x", k);
    }
    struct buf set = dump("s"), hash = dump("h");
    struct ks_limits tight = ks_limits_default;
    tight.set_max_intset_entries = tight.hash_max_listpack_entries = 9;
    struct ks_applied applied = ks_applied(desk.ks);
    applied.index++;
    ks_begin_entry(desk.ks);
    ks_set_limits(desk.ks, &tight);
    ks_set_applied(desk.ks, applied);
    EXPECT_EQ_STR(restore("s2", buf_slice(&set)), "+OK\r\n");
    EXPECT_EQ_STR(restore("h2", buf_slice(&hash)), "+OK\r\n");
    check("object encoding s2", "$9 hashtable");
    check("object encoding h2", "$9 hashtable");
    check("scard s2", ":10");
    check("hget h2 7", "$1 x");
    buf_free(&set);
    buf_free(&hash);
    desk_close();
}

TEST(what_is_no_value_leaves_the_key) {
    desk_open();
    run("rpush l a");
    struct slice empty = SLICE("\x01\x00\x0a\x00\x5b\xf8\x25\xcc\x6c\x17\x43\x56");
    struct buf payload = dump("l");
    payload.data[payload.len - 1] ^= 1;
    EXPECT_EQ_STR(restore("l", buf_slice(&payload)), "-ERR DUMP payload version or checksum are wrong\r\n");
    EXPECT_EQ_STR(restore("l", empty), "-ERR Bad data format\r\n");
    check("lrange l 0 -1", "*1 $1 a");
    buf_free(&payload);
    desk_close();
}

TEST_MAIN
