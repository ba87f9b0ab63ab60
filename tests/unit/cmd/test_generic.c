/* Commands of keys whatever they hold, against what Redis 7.0 answers. */
#include "support.h"

#define NOT_INT "-ERR value is not an integer or out of range"
#define SYNTAX  "-ERR syntax error"

TEST(existence) {
    desk_open();
    check("mset a 1 b 2 c 3", "+OK");
    check("exists a b none a", ":3");
    check("touch a none b", ":2");
    check("type a", "+string");
    check("type none", "+none");
    check("dbsize", ":3");
    check("del a none a", ":1");
    check("unlink b c", ":2");
    check("dbsize", ":0");
    check("randomkey", "$-1");
    check("set only v", "+OK");
    check("randomkey", "$4 only");
    check("set only v px 1", "+OK");
    desk.now_ms += 1;
    check("randomkey", "$-1");
    check("exists only", ":0");
    check("type only", "+none");
    check("del only", ":0");
    check("dbsize", ":0"); /* a write that meets an expired key deletes it */
    desk_close();
}

TEST(deadlines) {
    desk_open();
    check("ttl k", ":-2");
    check("pttl k", ":-2");
    check("expiretime k", ":-2");
    check("expire k 10", ":0");
    check("persist k", ":0");
    check("set k v", "+OK");
    check("ttl k", ":-1");
    check("pexpiretime k", ":-1");
    check("persist k", ":0");
    check("expire k 10", ":1");
    check("ttl k", ":10");
    check("expiretime k", ":1700000010");
    check("pexpire k 1500", ":1");
    check("ttl k", ":2"); /* rounded */
    check("pexpire k 1499", ":1");
    check("ttl k", ":1");
    check("pttl k", ":1499");
    check("pexpiretime k", ":1700000001499");
    check("expireat k 1800000000", ":1");
    check("pexpiretime k", ":1800000000000");
    check("pexpireat k 1800000000001", ":1");
    check("pexpiretime k", ":1800000000001");
    check("persist k", ":1");
    check("ttl k", ":-1");
    check("pexpireat k 9223372036854775807", ":1");
    check("expiretime k", ":9223372036854776");
    check("expire k 9223372036854775807", "-ERR invalid expire time in 'expire' command");
    check("expire k -9223372036854775807", "-ERR invalid expire time in 'expire' command");
    check("pexpire k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command");
    check("expireat k 9223372036854775807", "-ERR invalid expire time in 'expireat' command");
    check("expire k x", NOT_INT);
    check("pexpireat none x", NOT_INT);
    check("expire k 0", ":1");
    check("dbsize", ":0");
    check("set k v", "+OK");
    check("pexpireat k -9223372036854775808", ":1");
    check("exists k", ":0");
    desk_close();
}

TEST(conditions_of_expire) {
    desk_open();
    check("set k v", "+OK");
    check("expire k 10 xx", ":0");
    check("expire k 10 gt", ":0"); /* no deadline is the latest of all */
    check("expire k 10 nx", ":1");
    check("expire k 20 nx", ":0");
    check("expire k 20 xx", ":1");
    check("expire k 20 gt", ":0");
    check("expire k 20 lt", ":0");
    check("expire k 30 gt", ":1");
    check("expire k 25 lt", ":1");
    check("expire k 24 xx lt", ":1");
    check("ttl k", ":24");
    check("persist k", ":1");
    check("expire k 24 xx lt", ":0");
    check("expire k 24 lt", ":1");
    check("expire k -1 gt", ":0");
    check("expire k -1 lt", ":1");
    check("exists k", ":0");
    check("expire k 1 foo", "-ERR Unsupported option foo");
    check("expire k a foo", "-ERR Unsupported option foo");
    check("expire k a nx gt", "-ERR NX and XX, GT or LT options at the same time are not compatible");
    check("expire k a nx xx", "-ERR NX and XX, GT or LT options at the same time are not compatible");
    check("expire k a gt lt", "-ERR GT and LT options at the same time are not compatible");
    desk_close();
}

TEST(keys_found_due_are_deleted) {
    desk_open();
    check("set a v px 10", "+OK");
    check("set b v px 20", "+OK");
    desk.now_ms += 10;
    check("dbsize", ":2");
    check("_expire a b none", "+OK");
    check("dbsize", ":1");
    check("get b", "$1 v");
    desk_close();
}

TEST(renaming) {
    desk_open();
    check("rename a b", "-ERR no such key");
    check("rename a a", "-ERR no such key");
    check("renamenx a b", "-ERR no such key");
    check("set a v px 500", "+OK");
    check("set b w", "+OK");
    check("rename a a", "+OK");
    check("renamenx a a", ":0");
    check("renamenx a b", ":0");
    check("rename a b", "+OK");
    check("get b", "$1 v");
    check("pttl b", ":500");
    check("exists a", ":0");
    check("renamenx b c", ":1");
    check("pttl c", ":500");
    check("set d x px 500", "+OK");
    check("set e y", "+OK");
    check("rename e d", "+OK");
    check("pttl d", ":-1"); /* the deadline of what was there is gone with it */
    check("dbsize", ":2");
    check("set gone v px 1", "+OK");
    desk.now_ms += 1;
    check("renamenx d gone", ":1");
    check("ttl gone", ":-1");
    desk_close();
}

TEST(copies) {
    desk_open();
    check("copy a b", ":0");
    check("set a v px 500", "+OK");
    check("copy a b", ":1");
    check("get b", "$1 v");
    check("pttl b", ":500");
    check("set b w", "+OK");
    check("copy a b", ":0");
    check("copy a b replace", ":1");
    check("pttl b", ":500");
    check("copy a a db 1", ":1");
    check("copy a a DB 1", ":0");
    check("copy a a db 1 replace", ":1");
    desk.db = 1;
    check("pttl a", ":500");
    desk.db = 0;
    check("copy a a", "-ERR source and destination objects are the same");
    check("copy a a db 0 replace", "-ERR source and destination objects are the same");
    check("copy a b db 16", "-ERR DB index is out of range");
    check("copy a b db -1", "-ERR DB index is out of range");
    check("copy a b db x", NOT_INT);
    check("copy a b db 99999999999",
          "-ERR value is out of range, value must between -2147483648 and 2147483647");
    check("copy a b db", SYNTAX);
    check("copy a b foo", SYNTAX);
    desk_close();
}

TEST(moves) {
    desk_open();
    check("move k 1", ":0");
    check("set k v px 500", "+OK");
    check("move k 1", ":1");
    check("exists k", ":0");
    check("set k w", "+OK");
    check("move k 1", ":0");
    desk.db = 1;
    check("pttl k", ":500");
    desk.now_ms += 500; /* what has expired there is not in the way */
    desk.db = 0;
    check("move k 1", ":1");
    desk.db = 1;
    check("get k", "$1 w");
    check("ttl k", ":-1");
    check("move k 1", "-ERR source and destination objects are the same");
    check("move k 16", "-ERR DB index is out of range");
    check("move k x", NOT_INT);
    desk_close();
}

TEST(databases) {
    desk_open();
    check("set zero v", "+OK");
    check("swapdb 0 3", "+OK");
    check("dbsize", ":0");
    desk.db = 3;
    check("get zero", "$1 v");
    check("swapdb 3 3", "+OK");
    check("swapdb a 1", "-ERR invalid first DB index");
    check("swapdb 1 99999999999", "-ERR invalid second DB index");
    check("swapdb 0 16", "-ERR DB index is out of range");
    check("swapdb -1 0", "-ERR DB index is out of range");
    desk.db = 0;
    check("set k v", "+OK");
    check("flushdb foo", SYNTAX);
    check("flushdb sync async", SYNTAX);
    check("flushdb async", "+OK");
    check("dbsize", ":0");
    desk.db = 3;
    check("dbsize", ":1");
    check("flushall SYNC", "+OK");
    check("dbsize", ":0");
    check("set k v", "+OK");
    check("flushall", "+OK");
    check("exists k", ":0");
    desk_reload();
    check("dbsize", ":0");
    desk_close();
}

TEST(keys) {
    desk_open();
    check("keys *", "*0");
    check("mset one 1 two 2", "+OK");
    check("keys o*", "*1 $3 one");
    check("keys t?o", "*1 $3 two");
    check("keys x", "*0");
    check("set \"\" empty", "+OK");
    check("del one two", ":2");
    check("keys *", "*1 $0 ");
    check("keys **", "*0"); /* only the lone star skips the comparison */
    check("set k v px 1", "+OK");
    desk.now_ms += 1;
    check("keys k", "*0");
    desk_close();
}

struct seen {
    int count[3000];
    int calls, keys;
};

/* Runs a whole SCAN with these options; the keys are numbers. */
static void scan_all(const char *options, struct seen *seen) {
    char cursor[32] = "0", line[200];
    memset(seen, 0, sizeof *seen);
    do {
        snprintf(line, sizeof line, "scan %s %s", cursor, options);
        char *at = strstr(run(line), " $");
        EXPECT(at != NULL);
        EXPECT(sscanf(at, " $%*d %31s *", cursor) == 1);
        at = strstr(at, " *");
        EXPECT(at != NULL);
        at += 2;
        long keys = strtol(at, &at, 10);
        for (long i = 0; i < keys; i++) {
            int key, read = 0;
            EXPECT(sscanf(at, " $%*d %d%n", &key, &read) == 1);
            EXPECT(key >= 0 && key < 3000);
            seen->count[key]++;
            seen->keys++;
            at += read;
        }
        EXPECT(++seen->calls < 10000);
    } while (strcmp(cursor, "0") != 0);
}

static void fill(int from, int to) {
    char line[64];
    for (int i = from; i < to; i++) {
        snprintf(line, sizeof line, "set %d v", i);
        check(line, "+OK");
    }
}

TEST(scan_sees_every_key_once) {
    desk_open();
    static struct seen seen;
    check("scan 0", "*2 $1 0 *0");
    fill(0, 2000);
    static const char *const options[] = {"",       "count 1", "count 100", "count 1000000", "type string",
                                          "match *"};
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
        scan_all(options[o], &seen);
        EXPECT_EQ_INT(seen.keys, 2000);
        for (int i = 0; i < 2000; i++) EXPECT_NOTE(seen.count[i] == 1, "key %d, %s", i, options[o]);
    }
    scan_all("match 1*9 count 50", &seen);
    EXPECT_EQ_INT(seen.keys, 1 + 10 + 100);
    scan_all("type hash", &seen);
    EXPECT_EQ_INT(seen.keys, 0);
    scan_all("TYPE STRING", &seen);
    EXPECT_EQ_INT(seen.keys, 2000);
    desk_reload();
    fill(2000, 2500); /* some in memory, some on disk only */
    scan_all("count 7", &seen);
    EXPECT_EQ_INT(seen.keys, 2500);
    for (int i = 0; i < 2500; i++) EXPECT_NOTE(seen.count[i] == 1, "key %d", i);
    desk_close();
}

TEST(arguments_of_scan) {
    desk_open();
    check("scan \"\"", "*2 $1 0 *0");
    check("scan +0", "*2 $1 0 *0");
    check("scan -1", "*2 $1 0 *0");
    static const char *const bad[] = {
        "a", "\" 0\"", "\"0 \"", "1x", "-", "+", "--1", "99999999999999999999999", "18446744073709551616"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[64];
        snprintf(line, sizeof line, "scan %s", bad[i]);
        check(line, "-ERR invalid cursor");
    }
    check("scan x count 0", "-ERR invalid cursor");
    check("scan 0 count 0", SYNTAX);
    check("scan 0 count x", NOT_INT);
    check("scan 0 count", SYNTAX);
    check("scan 0 match", SYNTAX);
    check("scan 0 type", SYNTAX);
    check("scan 0 foo bar", SYNTAX);
    check("scan 0 match a count 5 type list", "*2 $1 0 *0");
    desk_close();
}

TEST(object) {
    desk_open();
    check("object encoding none", "$-1");
    check("object refcount none", "$-1");
    check("object freq none", "$-1");
    check("object idletime none", "$-1");
    check("mset small 9999 big 10000 text v", "+OK");
    check("object refcount small", ":2147483647");
    check("object refcount big", ":1");
    check("object refcount text", ":1");
    ks_set_clock(desk.ks, (uint32_t)(desk.now_ms / 1000) + 50, false);
    check("object idletime text", ":50");
    check("exists text", ":1");
    check("type text", "+string");
    check("ttl text", ":-1");
    check("object idletime text", ":50"); /* onlookers */
    check("touch text", ":1");
    check("object idletime text", ":0");
    check("object freq text",
          "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
          "switching between policies at runtime LRU and LFU data will take some time to adjust.");
    desk.server.config.maxmemory_policy = POLICY_ALLKEYS_LFU;
    check("object freq none", "$-1");
    run("object freq text");
    EXPECT(desk.out.data[0] == ':');
    check("object idletime text",
          "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching "
          "between policies at runtime LRU and LFU data will take some time to adjust.");
    EXPECT(strstr(run("object help"),
                  "+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are: +ENCODING"));
    desk_close();
}

/* Runs RESTORE with a payload that a line cannot spell comfortably. */
static const char *restore(const char *key, const char *ttl, struct slice payload, const char *option,
                           const char *option_value) {
    struct slice argv[6] = {SLICE("restore"), slice_of(key), slice_of(ttl), payload};
    int argc = 4;
    if (option != NULL) argv[argc++] = slice_of(option);
    if (option_value != NULL) argv[argc++] = slice_of(option_value);
    run_args(argc, argv);
    buf_add_byte(&desk.out, 0);
    return desk.out.data;
}

TEST(dump_and_restore) {
    desk_open();
    struct slice hello = SLICE("\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a");
    struct slice minus = SLICE("\x00\xc0\xff\x0a\x00\x0c\x93\x7e\x24\x85\x08\x9d\xc5");
    struct slice broken = SLICE("\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0b");
    check("dump none", "$-1");
    check("set k hello", "+OK");
    run("dump k");
    EXPECT_EQ_BYTES(desk.out.data, desk.out.len, "$17 \x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a",
                    21);
    EXPECT_EQ_STR(restore("k", "0", hello, NULL, NULL), "-BUSYKEY Target key name already exists.\r\n");
    EXPECT_EQ_STR(restore("k", "x", hello, NULL, NULL), "-BUSYKEY Target key name already exists.\r\n");
    EXPECT_EQ_STR(restore("n", "0", hello, NULL, NULL), "+OK\r\n");
    check("get n", "$5 hello");
    check("ttl n", ":-1");
    EXPECT_EQ_STR(restore("n", "500", minus, "REPLACE", NULL), "+OK\r\n");
    check("get n", "$2 -1");
    check("object encoding n", "$3 int");
    check("pttl n", ":500");
    EXPECT_EQ_STR(restore("m", "1800000000000", minus, "absttl", NULL), "+OK\r\n");
    check("pexpiretime m", ":1800000000000");
    EXPECT_EQ_STR(restore("i", "0", minus, "idletime", "100"), "+OK\r\n");
    check("object idletime i", ":100");
    EXPECT_EQ_STR(restore("f", "0", minus, "freq", "77"), "+OK\r\n");
    desk.server.config.maxmemory_policy = POLICY_VOLATILE_LFU;
    check("object freq f", ":77");
    EXPECT_EQ_STR(restore("k", "x", hello, "replace", NULL), NOT_INT "\r\n");
    EXPECT_EQ_STR(restore("k", "-1", broken, "replace", NULL), "-ERR Invalid TTL value, must be >= 0\r\n");
    EXPECT_EQ_STR(restore("k", "0", broken, "replace", NULL),
                  "-ERR DUMP payload version or checksum are wrong\r\n");
    EXPECT_EQ_STR(restore("k", "0", SLICE("abc"), "replace", NULL),
                  "-ERR DUMP payload version or checksum are wrong\r\n");
    check("get k", "$5 hello");
    EXPECT_EQ_STR(restore("x", "0", hello, "idletime", "-1"),
                  "-ERR Invalid IDLETIME value, must be >= 0\r\n");
    EXPECT_EQ_STR(restore("x", "0", hello, "freq", "256"),
                  "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n");
    EXPECT_EQ_STR(restore("x", "0", hello, "freq", "y"), NOT_INT "\r\n");
    EXPECT_EQ_STR(restore("x", "0", hello, "freq", NULL), SYNTAX "\r\n");
    check("restore x 0 p idletime 1 freq 1", SYNTAX);
    check("exists x", ":0");
    /* What has expired already is not created, and what it would have replaced is gone. */
    EXPECT_EQ_STR(restore("x", "1", hello, "absttl", NULL), "+OK\r\n");
    check("exists x", ":0");
    check("restore k 1 p absttl", "-BUSYKEY Target key name already exists.");
    struct slice argv[] = {SLICE("restore"), SLICE("k"),      SLICE("1"), hello,
                           SLICE("absttl"),  SLICE("replace")};
    run_args(6, argv);
    EXPECT_EQ_SLICE(buf_slice(&desk.out), SLICE("+OK\r\n"));
    check("exists k", ":0");
    EXPECT_EQ_STR(restore("k", "9223372036854775807", hello, NULL, NULL), "+OK\r\n");
    check("exists k", ":0");
    desk_close();
}

TEST_MAIN
