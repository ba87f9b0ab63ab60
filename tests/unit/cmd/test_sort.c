/* SORT and SORT_RO, against what Redis 7.0 answers. */
#include "support.h"

#define SYNTAX "-ERR syntax error"

TEST(order) {
    desk_open();
    check("rpush l 3 10 -1 2.5 3", ":5");
    check("sort l", "*5 $2 -1 $3 2.5 $1 3 $1 3 $2 10");
    check("sort l desc", "*5 $2 10 $1 3 $1 3 $3 2.5 $2 -1");
    check("sort l asc", "*5 $2 -1 $3 2.5 $1 3 $1 3 $2 10");
    check("sort l alpha", "*5 $2 -1 $2 10 $3 2.5 $1 3 $1 3");
    check("sort_ro l desc alpha", "*5 $1 3 $1 3 $3 2.5 $2 10 $2 -1");
    check("sort none", "*0");
    check("sadd s c b a", ":3");
    check("sort s alpha", "*3 $1 a $1 b $1 c");
    check("sort s", "-ERR One or more scores can't be converted into double");
    check("sadd i 30 4 200", ":3");
    check("sort i", "*3 $1 4 $2 30 $3 200");
    /* What strtod takes is a number. */
    check("rpush odd 1e2 \"\" \" 7\" 0x10 inf", ":5");
    check("sort odd", "*5 $0  $2  7 $4 0x10 $3 1e2 $3 inf");
    check("rpush bad nan", ":1");
    check("sort bad", "-ERR One or more scores can't be converted into double");
    check("set str v", "+OK");
    check("sort str", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("sort str foo", SYNTAX);
    desk_close();
}

TEST(limits) {
    desk_open();
    check("rpush l 5 4 3 2 1", ":5");
    check("sort l limit 1 2", "*2 $1 2 $1 3");
    check("sort l limit 0 0", "*0");
    check("sort l limit 2 -1", "*3 $1 3 $1 4 $1 5");
    check("sort l limit -3 2", "*2 $1 1 $1 2");
    check("sort l limit 10 10", "*0");
    check("sort l limit 4 9223372036854775807", "*1 $1 5");
    check("sort l limit 1 2 desc", "*2 $1 4 $1 3");
    check("sort l limit x 2", "-ERR value is not an integer or out of range");
    check("sort l limit 1", SYNTAX);
    desk_close();
}

TEST(by_other_keys) {
    desk_open();
    check("rpush l 1 2 3", ":3");
    check("mset w_1 30 w_2 20 w_3 10", "+OK");
    check("sort l by w_*", "*3 $1 3 $1 2 $1 1");
    check("sort l by w_* desc limit 0 1", "*1 $1 1");
    check("hset h_1 f b", ":1");
    check("hset h_3 f a", ":1");
    check("sort l by h_*->f alpha", "*3 $1 2 $1 3 $1 1"); /* who has none comes first */
    check("sort l by h_*->f", "-ERR One or more scores can't be converted into double");
    check("del w_2", ":1");
    check("sort l by w_*", "*3 $1 2 $1 3 $1 1"); /* none weighs nothing */
    check("sort l by h_*",
          "*3 $1 1 $1 2 $1 3"); /* a hash is no weight: equal ones are ordered by themselves */
    check("sort l by w_*->f", "*3 $1 1 $1 2 $1 3");
    check("sort l by", SYNTAX);
    desk_close();
}

TEST(as_it_is) {
    desk_open();
    check("rpush l 2 3 1", ":3");
    check("sort l by nosort", "*3 $1 2 $1 3 $1 1");
    check("sort l by nosort desc", "*3 $1 1 $1 3 $1 2");
    check("sort l by nosort limit 1 1", "*1 $1 3");
    check("sort l by nosort desc limit 0 1", "*1 $1 1");
    check("rpush text b a", ":2");
    check("sort text by nosort", "*2 $1 b $1 a");
    check("zadd z 1 c 2 a 3 7", ":3");
    check("sort z by nosort", "*3 $1 c $1 a $1 7");
    check("sort z by nosort desc limit 0 2", "*2 $1 7 $1 a");
    check("sort z alpha", "*3 $1 7 $1 a $1 c");
    check("sadd s c a b", ":3");
    check("sort s by nosort store d", ":3"); /* what is stored has an order */
    check("lrange d 0 -1", "*3 $1 a $1 b $1 c");
    desk_close();
}

TEST(what_is_fetched) {
    desk_open();
    check("rpush l 1 2", ":2");
    check("mset v_1 one v_2 2", "+OK");
    check("hset h_2 f x empty \"\"", ":2");
    check("sort l get v_*", "*2 $3 one $1 2");
    check("sort l get # get h_*->f get nothing", "*6 $1 1 $-1 $-1 $1 2 $1 x $-1");
    check("sort l get h_*->empty desc", "*2 $0  $-1");
    check("sort l get v_*->", "*2 $-1 $-1"); /* nothing behind the arrow: it belongs to the key's name */
    check("set v_1-> arrow", "+OK");
    check("sort l get v_*->", "*2 $5 arrow $-1");
    check("sort none get #", "*0");
    desk.resp = 3;
    check("sort l get none_*", "*2 _ _");
    desk_close();
}

TEST(storing) {
    desk_open();
    check("rpush l 3 1 2", ":3");
    check("set d old ex 100", "+OK");
    check("sort l store d", ":3");
    check("lrange d 0 -1", "*3 $1 1 $1 2 $1 3");
    check("ttl d", ":-1");
    check("sort l desc store l", ":3");
    check("lrange l 0 -1", "*3 $1 3 $1 2 $1 1");
    check("sort l get none_* store d", ":3");
    check("lrange d 0 -1", "*3 $0  $0  $0 ");
    check("sort none store d", ":0");
    check("exists d", ":0");
    check("rpush bad x", ":1");
    check("sort bad store l", "-ERR One or more scores can't be converted into double");
    check("llen l", ":3");
    check("sort_ro l store d", SYNTAX);
    check("sort l store", SYNTAX);
    desk_close();
}

/* More than one pack holds, from disk, beside a model. */
TEST(many_elements) {
    enum { COUNT = 3000 };
    desk_open();
    struct buf line = {0};
    for (int i = 0; i < COUNT; i++) {
        buf_clear(&line);
        buf_printf(&line, "sadd s %d%c", i * 7919 % COUNT, 0);
        run(line.data);
        buf_clear(&line);
        buf_printf(&line, "set w_%d %d%c", i, COUNT - i, 0);
        run(line.data);
    }
    desk_reload();
    check("sort s limit 1500 3", "*3 $4 1500 $4 1501 $4 1502");
    check("sort s by w_* limit 0 2", "*2 $4 2999 $4 2998");
    check("sort s desc store d", ":3000");
    check("lrange d 0 1", "*2 $4 2999 $4 2998");
    check("lindex d 2999", "$1 0");
    buf_free(&line);
    desk_close();
}

TEST_MAIN
