/* The commands of strings, against what Redis 7.0 answers. */
#include "support.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NOT_INT   "-ERR value is not an integer or out of range"
#define SYNTAX    "-ERR syntax error"
#define TOO_LONG  "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"

TEST(set_and_get) {
    desk_open();
    check("get k", "$-1");
    check("set k hello", "+OK");
    check("get k", "$5 hello");
    check("strlen k", ":5");
    check("set k \"\"", "+OK");
    check("get k", "$0 ");
    check("strlen k", ":0");
    check("strlen none", ":0");
    check("getset k v", "$0 ");
    check("getset new v", "$-1");
    check("getdel new", "$1 v");
    check("getdel new", "$-1");
    check("mset a 1 b 2 a 3", "+OK");
    check("mget a b c", "*3 $1 3 $1 2 $-1");
    check("mset a 1 b", "-ERR wrong number of arguments for 'mset' command");
    check("msetnx c 1 a 2", ":0");
    check("exists c", ":0");
    check("msetnx c 1 d 2 c 3", ":1");
    check("mget c d", "*2 $1 3 $1 2");
    check("setnx c 9", ":0");
    check("setnx e 9", ":1");
    desk.resp = 3;
    check("get none", "_");
    check("mget none", "*1 _");
    desk_close();
}

TEST(conditions_of_set) {
    desk_open();
    check("set k v xx", "$-1");
    check("exists k", ":0");
    check("set k v nx", "+OK");
    check("set k w nx", "$-1");
    check("set k w XX", "+OK");
    check("set k x nx get", "$1 w");
    check("set k x xx get", "$1 w");
    check("set n x get", "$-1");
    check("get n", "$1 x");
    check("set m x nx get", "$-1");
    check("get m", "$1 x");
    check("set o x xx get", "$-1");
    check("exists o", ":0");
    check("set k v nx nx", "$-1");
    static const char *const bad[] = {"set k v nx xx",        "set k v foo",          "set k v ex",
                                      "set k v ex 1 px 1",    "set k v ex 1 exat 1",  "set k v ex 1 keepttl",
                                      "set k v keepttl px 1", "set k v persist",      "set k v get ex",
                                      "getex k nx",           "getex k persist ex 1", "getex k ex 1 persist",
                                      "getex k keepttl",      "getex k get",          "getex k ex"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(bad[i], SYNTAX);
    desk_close();
}

TEST(deadlines_of_set) {
    desk_open();
    check("set k v ex 100", "+OK");
    check("pttl k", ":100000");
    check("set k v keepttl", "+OK");
    check("pttl k", ":100000");
    check("set k v px 5", "+OK");
    check("pttl k", ":5");
    check("set k v", "+OK");
    check("ttl k", ":-1");
    check("set k v exat 1800000000", "+OK");
    check("expiretime k", ":1800000000");
    check("set k v pxat 1800000000123", "+OK");
    check("pexpiretime k", ":1800000000123");
    check("set k v ex 10 ex 20", "+OK"); /* the last one counts */
    check("ttl k", ":20");
    check("setex k 7 v", "+OK");
    check("ttl k", ":7");
    check("psetex k 7 v", "+OK");
    check("pttl k", ":7");
    check("append k w", ":2");
    check("setrange k 0 x", ":2");
    check("pttl k", ":7");
    check("set k 1 px 7", "+OK");
    check("incr k", ":2");
    check("incrbyfloat k 1", "$1 3");
    check("pttl k", ":7");
    check("getset k v", "$1 3");
    check("pttl k", ":-1");
    check("set k v ex 0", "-ERR invalid expire time in 'set' command");
    check("set k v px -1 get", "-ERR invalid expire time in 'set' command");
    check("set k v ex 9223372036854775807", "-ERR invalid expire time in 'set' command");
    check("set k v ex 9223372036854775", "-ERR invalid expire time in 'set' command");
    check("set k v px 9223372036854775807", "-ERR invalid expire time in 'set' command");
    check("set k v pxat 9223372036854775807", "+OK");
    check("set k v ex 1x", NOT_INT);
    check("setex k 0 v", "-ERR invalid expire time in 'setex' command");
    check("psetex k -5 v", "-ERR invalid expire time in 'psetex' command");
    check("setex k x v", NOT_INT);
    /* A deadline in the past is a set that is gone at once. */
    check("set k v pxat 1", "+OK");
    check("get k", "$-1");
    check("set k v nx", "+OK");
    desk_close();
}

TEST(a_key_is_gone_at_its_deadline) {
    desk_open();
    check("set k v px 10", "+OK");
    desk.now_ms += 9;
    check("get k", "$1 v");
    desk.now_ms += 1;
    check("get k", "$-1");
    check("dbsize", ":1"); /* hidden, not deleted: reads change nothing */
    check("set k w keepttl", "+OK");
    check("get k", "$1 w");
    check("ttl k", ":-1");
    check("set k v px 10", "+OK");
    desk.now_ms += 10;
    check("append k w", ":1");
    check("ttl k", ":-1");
    desk_close();
}

TEST(getex) {
    desk_open();
    check("getex k ex 0", "$-1"); /* looks for the key before it looks at the number */
    check("set k v", "+OK");
    check("getex k", "$1 v");
    check("getex k ex 0", "-ERR invalid expire time in 'getex' command");
    check("getex k ex x", NOT_INT);
    check("getex k ex 10", "$1 v");
    check("ttl k", ":10");
    check("getex k persist", "$1 v");
    check("ttl k", ":-1");
    check("getex k px 5", "$1 v");
    check("getex k", "$1 v");
    check("pttl k", ":5");
    check("getex k pxat 1800000000000", "$1 v");
    check("pexpiretime k", ":1800000000000");
    check("getex k exat 1", "$1 v");
    check("dbsize", ":0");
    desk_close();
}

TEST(encodings) {
    desk_open();
    check("set k 9223372036854775807", "+OK");
    check("object encoding k", "$3 int");
    check("get k", "$19 9223372036854775807");
    check("set k -9223372036854775808", "+OK");
    check("object encoding k", "$3 int");
    check("strlen k", ":20");
    static const char *const texts[] = {"9223372036854775808", "007", "+1", "-0", "\"\"", "1.0", "\" 1\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char line[64];
        snprintf(line, sizeof line, "set k %s", texts[i]);
        check(line, "+OK");
        check("object encoding k", "$6 embstr");
    }
    check("set k 12345678901234567890123456789012345678901234", "+OK"); /* 44 */
    check("object encoding k", "$6 embstr");
    check("set k 123456789012345678901234567890123456789012345", "+OK"); /* 45 */
    check("object encoding k", "$3 raw");
    check("set k 12", "+OK");
    check("append k \"\"", ":2");
    check("object encoding k", "$3 raw");
    check("incr k", ":13");
    check("object encoding k", "$3 int");
    check("setrange k 0 2", ":2");
    check("object encoding k", "$3 raw");
    check("get k", "$2 23");
    check("append n 10", ":2"); /* a new key is as by SET */
    check("object encoding n", "$3 int");
    check("setrange r 0 10", ":2");
    check("object encoding r", "$3 raw");
    check("set f 1", "+OK");
    check("incrbyfloat f 1", "$1 2");
    check("object encoding f", "$6 embstr");
    check("copy f g", ":1");
    check("object encoding g", "$6 embstr");
    check("rename r s", "+OK");
    check("object encoding s", "$3 raw");
    desk_close();
}

TEST(append_and_ranges) {
    desk_open();
    check("append k hello", ":5");
    check("append k \" world\"", ":11");
    check("getrange k 0 -1", "$11 hello world");
    check("getrange k 0 4", "$5 hello");
    check("substr k -5 -1", "$5 world");
    check("getrange k -100 2", "$3 hel");
    check("getrange k 3 1", "$0 ");
    check("getrange k -1 -5", "$0 ");
    check("getrange k 0 -100", "$1 h");
    check("getrange k 11 20", "$0 ");
    check("getrange k 10 9223372036854775807", "$1 d");
    check("getrange k -9223372036854775808 -9223372036854775808", "$1 h");
    check("getrange none 0 -1", "$0 ");
    check("getrange none a b", NOT_INT);
    check("set i 12345", "+OK");
    check("getrange i 1 3", "$3 234");
    check("setrange k 6 redis", ":11");
    check("get k", "$11 hello redis");
    check("setrange k 13 x", ":14");
    run("get k");
    EXPECT_EQ_BYTES(desk.out.data, desk.out.len, "$14 hello redis\0\0x", 18);
    check("setrange none 5 \"\"", ":0");
    check("exists none", ":0");
    check("setrange k 5 \"\"", ":14");
    check("setrange k a x", NOT_INT);
    check("setrange k -1 x", "-ERR offset is out of range");
    check("setrange k 536870912 x", TOO_LONG);
    check("setrange k 536870911 \"\"", ":14");
    check("setrange k 9223372036854775807 xy", TOO_LONG);
    check("setrange none 536870912 x", TOO_LONG);
    check("exists none", ":0");
    check("setrange i 0 x", ":5");
    check("get i", "$5 x2345");
    desk_close();
}

TEST(counters) {
    desk_open();
    check("incr n", ":1");
    check("incrby n 41", ":42");
    check("decr n", ":41");
    check("decrby n 50", ":-9");
    check("incrby n a", NOT_INT);
    check("decrby n a", NOT_INT);
    check("set n 9223372036854775807", "+OK");
    check("incr n", "-ERR increment or decrement would overflow");
    check("decrby n -1", "-ERR increment or decrement would overflow");
    check("decrby n -9223372036854775808", "-ERR decrement would overflow");
    check("get n", "$19 9223372036854775807");
    check("set n -9223372036854775808", "+OK");
    check("decr n", "-ERR increment or decrement would overflow");
    check("set n \" 1\"", "+OK");
    check("incr n", NOT_INT);
    check("append m 1", ":1");
    check("append m 0", ":2");
    check("incr m", ":11"); /* a raw text that spells a number is one */
    check("incrbyfloat f 3", "$1 3");
    check("incrbyfloat f 1.5", "$3 4.5");
    check("incrbyfloat f -4.5", "$1 0");
    check("incrbyfloat f 5e3", "$4 5000");
    check("incrbyfloat f abc", "-ERR value is not a valid float");
    check("incrbyfloat f \" 1\"", "-ERR value is not a valid float");
    check("incrbyfloat f nan", "-ERR value is not a valid float");
    check("incrbyfloat f inf", "-ERR increment would produce NaN or Infinity");
    check("set t abc", "+OK");
    check("incrbyfloat t 1", "-ERR value is not a valid float");
    check("incr f", ":5001");
    desk_close();
}

TEST(lcs) {
    desk_open();
    check("lcs a b", "$0 ");
    check("lcs a b len", ":0");
    check("lcs a b idx", "*4 $7 matches *0 $3 len :0");
    check("mset a ohmytext b mynewtext", "+OK");
    check("lcs a b", "$6 mytext");
    check("lcs a b len", ":6");
    check("lcs a b idx", "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6");
    check("lcs a b idx withmatchlen minmatchlen 4", "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6");
    check("lcs a b idx minmatchlen -5",
          "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6");
    check("lcs a b minmatchlen 4 withmatchlen", "$6 mytext");
    check("lcs a a idx", "*4 $7 matches *1 *2 *2 :0 :7 *2 :0 :7 $3 len :8");
    check("mset i 1234 j 2345", "+OK");
    check("lcs i j", "$3 234");
    check("lcs i j idx", "*4 $7 matches *1 *2 *2 :1 :3 *2 :0 :2 $3 len :3");
    check("lcs a b idx len", "-ERR If you want both the length and indexes, please just use IDX.");
    check("lcs a b minmatchlen", SYNTAX);
    check("lcs a b minmatchlen x", NOT_INT);
    check("lcs a b foo", SYNTAX);
    desk.server.config.proto_max_bulk_len = 1024 * 1024;
    check("setrange a 1000 x", ":1001");
    check("setrange b 1000 x", ":1001");
    check("lcs a b len", "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    desk.resp = 3;
    check("lcs i j idx", "%2 $7 matches *1 *2 *2 :1 :3 *2 :0 :2 $3 len :3");
    desk_close();
}

TEST(values_survive_the_disk) {
    desk_open();
    check("mset int 42 text hello raw 1", "+OK");
    check("append raw 0", ":2");
    check("set timed v px 1000", "+OK");
    check("setrange long 2000 x", ":2001");
    desk_reload();
    check("mget int text raw timed", "*4 $2 42 $5 hello $2 10 $1 v");
    check("object encoding raw", "$3 raw");
    check("object encoding int", "$3 int");
    check("object encoding text", "$6 embstr");
    check("pttl timed", ":1000");
    check("strlen long", ":2001");
    check("getrange long 2000 2000", "$1 x");
    check("incr raw", ":11");
    check("append text \" you\"", ":9");
    check("set int 5", "+OK");
    desk_reload();
    check("mget int text raw", "*3 $1 5 $9 hello you $2 11");
    desk_close();
}

TEST_MAIN
