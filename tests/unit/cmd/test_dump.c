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
            run_printf("zadd zset %d.25 %d %d member-%d", k - 7, k, k * 3, k);
        }
        check_round_trip("list");
        check_round_trip("integers");
        check_round_trip("set");
        check_round_trip("hash");
        check_round_trip("zset");
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

/* From Redis 7.0.15: XADD 1-1 f v, 2-1 f w, 2-2 other 7, 3-1 f "", XDEL 2-1; group g read 1-1 for c, consumer idle has none. The
 * second is the same as Redis before 7.0 wrote it. */
static const struct slice stream_payloads[] = {
    SLICE("\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xc3\x3f@E\x07"
          "E\x00\x00\x00\x1b\x00\x03\x01@\x00\x07\x81"
          "f\x02\x00\x01\x02\x01\x00 \x01\x04\x81v\x02\x04\x01@\x15 \x0a\x00w \x0a\x00\x00@\x1f "
          "\x00\x09\x85other\x06\x07\x01\x06 "
          "(@*"
          "\x04\x80\x01\x04\x01\xff\x03\x03\x01\x01\x01\x02\x01\x04\x01\x01g\x01\x01\x81\xff\xff\xff\xff\xff"
          "\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xdb\x9d\x82\xfe"
          "\xa1\x01\x00\x00\x01\x02\x01"
          "c\xdb\x9d\x82\xfe\xa1\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"
          "\x01\x04idle\xdb\x9d\x82\xfe\xa1\x01\x00\x00\x00\x0a\x00\x17\x92<\xcf\x80"
          "F\xf4\xa0"),
    SLICE("\x0f\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xc3\x3f@E\x07"
          "E\x00\x00\x00\x1b\x00\x03\x01@\x00\x07\x81"
          "f\x02\x00\x01\x02\x01\x00 \x01\x04\x81v\x02\x04\x01@\x15 \x0a\x00w \x0a\x00\x00@\x1f "
          "\x00\x09\x85other\x06\x07\x01\x06 "
          "(@*"
          "\x04\x80\x01\x04\x01\xff\x03\x03\x01\x01\x01g\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"
          "\x00\x00\x00\x00\x00\x01\xdb\x9d\x82\xfe\xa1\x01\x00\x00\x01\x02\x01"
          "c\xdb\x9d\x82\xfe\xa1\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"
          "\x01\x04idle\xdb\x9d\x82\xfe\xa1\x01\x00\x00\x00\x09\x00\xfa\xff\xc8t{\xdf\xe8\xc3")};

TEST(streams_of_redis) {
    desk_open();
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ_STR(restore("s", stream_payloads[i]), "+OK\r\n");
        check("xrange s - +", "*3 *2 $3 1-1 *2 $1 f $1 v *2 $3 2-2 *2 $5 other $1 7 *2 $3 3-1 *2 $1 f $0 ");
        check("xpending s g", "*4 :1 $3 1-1 $3 1-1 *1 *2 $1 c $1 1");
        check("xgroup delconsumer s g idle", ":0");
        check("xack s g 1-1", ":1");
        check("xadd s 3-1 f v",
              "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    }
    desk_close();
}

TEST(streams_come_back) {
    desk_open();
    for (int k = 1; k <= 500; k++) {
        run_printf("xadd s %d-%d field-%d value-%d other %d", k, k, k % 7, k, k);
        if (k % 5 == 0) run_printf("xdel s %d-%d", k - 1, k - 1);
    }
    run("xgroup create s g 0");
    run("xgroup create s late $");
    for (int k = 0; k < 20; k++) run_printf("xreadgroup group g consumer-%d count %d streams s >", k % 3, k);
    struct buf payload = dump("s");
    EXPECT_EQ_STR(restore("copy", buf_slice(&payload)), "+OK\r\n");
    static const char *const lines[] = {"xrange %s - +", "xinfo stream %s", "xpending %s g",
                                        "xpending %s g - + 1000", "xinfo groups %s"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char line[100];
        struct buf want = {0};
        snprintf(line, sizeof line, lines[i], "s");
        buf_add_str(&want, run(line));
        snprintf(line, sizeof line, lines[i], "copy");
        run(line);
        EXPECT_EQ_SLICE(slice_of(desk.out.data), buf_slice(&want));
        buf_free(&want);
    }
    buf_free(&payload);
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

/* _MIGRATED with an error, and keys with what their values were when they were sent; the reply. */
static const char *migrated(const char *error, int count, const char *const *keys, const uint64_t *digests) {
    struct slice argv[16] = {SLICE("_migrated"), slice_of(error)};
    for (int i = 0; i < count; i++) {
        argv[2 + 2 * i] = slice_of(keys[i]);
        argv[3 + 2 * i] = slice_make((const char *)&digests[i], digests[i] != 0 ? sizeof digests[i] : 0);
    }
    run_args(2 + 2 * count, argv);
    buf_add_byte(&desk.out, 0);
    return desk.out.data;
}

TEST(what_was_migrated_goes_unless_it_has_changed) {
    static const char *const keys[] = {"a", "a", "h", "later", "touched", "none"};
    uint64_t digests[6];
    desk_open();
    run("mset a 1 later 1 touched 1 none 1");
    run("hset h f v");
    for (size_t i = 0; i < 6; i++) digests[i] = object_value_digest(object(keys[i]));
    digests[4] = 0; /* somebody has written to it, whatever it is now */
    run("pexpireat later 4000000000000");
    run("del none");
    EXPECT_EQ_STR(
        migrated("", 6, keys, digests),
        "-ERR keys that changed here while they were migrated: 3. They were kept, and the target has them "
        "as they were before\r\n");
    check("exists a h none", ":0");
    check("exists later touched", ":2");
    run("set a 1");
    EXPECT_EQ_STR(migrated("IOERR what went wrong besides", 1, keys, digests),
                  "-IOERR what went wrong besides\r\n");
    check("exists a", ":0");
    run("set a 1");
    EXPECT_EQ_STR(migrated("", 2, keys, digests), "+OK\r\n"); /* named twice */
    check("exists a", ":0");
    desk_close();
}

TEST_MAIN
