/* Sorted sets as clients see them: replies of both protocols, errors and their order, options against each
 * other. The expected replies are Redis 7.0.15's. */
#include "cmd_block.h"

#include "support.h"

TEST(zadd_and_its_options) {
    desk_open();
    check("zadd z 1 a 2 b", ":2");
    check("zadd z 3 a 2 b", ":0");
    check("zadd z ch 4 a 2 b 1 c", ":2");
    check("zadd z nx 9 a 9 d", ":1");
    check("zadd z xx ch 9 d 8 d 1 e", ":1");
    check("zadd z gt ch 3 a", ":0");
    check("zadd z gt ch 5 a 5 f", ":2");
    check("zadd z lt ch 7 a 4 a", ":1");
    check("zadd z incr 2.5 a", "$3 6.5");
    check("zadd z nx incr 2.5 a", "$-1");
    check("zadd z xx incr 1 nosuch", "$-1");
    check("zadd none xx 1 a", ":0");
    check("exists none", ":0");
    check("zincrby z 0.5 a", "$1 7");
    check("zadd z nx xx 1 a", "-ERR XX and NX options at the same time are not compatible");
    check("zadd z gt lt 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible");
    check("zadd z gt nx 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible");
    check("zadd z incr 1 a 2 b", "-ERR INCR option supports a single increment-element pair");
    check("zadd z 1 a 2", "-ERR syntax error");
    check("zadd z nx xx", "-ERR syntax error");
    check("zadd z 1 a x b", "-ERR value is not a valid float");
    check("zadd z nan a", "-ERR value is not a valid float");
    check("set s x", "+OK");
    check("zadd s x a", "-ERR value is not a valid float"); /* before the type */
    check("zadd s 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk_close();
}

TEST(infinite_scores) {
    desk_open();
    check("zadd z inf a -inf b", ":2");
    check("zincrby z -inf a", "-ERR resulting score is not a number (NaN)");
    check("zscore z a", "$3 inf");
    check("zrange z 0 -1 withscores", "*4 $1 b $4 -inf $1 a $3 inf");
    check("zrangebyscore z (-inf +inf", "*1 $1 a");
    check("zcount z -inf (inf", ":1");
    desk_close();
}

TEST(reading_by_member) {
    desk_open();
    check("zadd z 1 a 2.5 b 1e22 c", ":3");
    check("zscore z b", "$3 2.5");
    check("zscore z x", "$-1");
    check("zscore none x", "$-1");
    check("zmscore z a x c", "*3 $1 1 $-1 $5 1e+22");
    check("zmscore none a", "*1 $-1");
    check("zcard z", ":3");
    check("zcard none", ":0");
    check("zrank z c", ":2");
    check("zrevrank z c", ":0");
    check("zrank z x", "$-1");
    check("zrank none x", "$-1");
    desk.resp = 3;
    check("zscore z b", ",2.5");
    check("zscore z x", "_");
    check("zrank z x", "_");
    check("zrange z 0 0 withscores", "*1 *2 $1 a ,1");
    check("zadd z incr 1 a", ",2");
    desk_close();
}

TEST(removing) {
    desk_open();
    check("zadd z 1 a 2 b 3 c 4 d 5 e", ":5");
    check("zrem z a x a", ":1");
    check("zremrangebyrank z 0 0", ":1");
    check("zremrangebyrank z 5 1", ":0");
    check("zremrangebyrank z x 1", "-ERR value is not an integer or out of range");
    check("zremrangebyscore z (3 4", ":1");
    check("zremrangebyscore z a 4", "-ERR min or max is not a float");
    check("zremrangebylex z a b", "-ERR min or max not valid string range item");
    check("zrange z 0 -1", "*2 $1 c $1 e");
    check("zrem z c e", ":2");
    check("exists z", ":0");
    desk_close();
}

TEST(ranges) {
    desk_open();
    check("zadd z 1 a 2 b 2 c 3 d", ":4");
    check("zrange z 0 1", "*2 $1 a $1 b");
    check("zrange z -1 9", "*1 $1 d");
    check("zrange z 2 1", "*0");
    check("zrange z 0 -1 rev", "*4 $1 d $1 c $1 b $1 a");
    check("zrange z 1 2 rev", "*2 $1 c $1 b");
    check("zrevrange z 0 0 withscores", "*2 $1 d $1 3");
    check("zrange z (1 2 byscore", "*2 $1 b $1 c");
    check("zrange z 2 (1 byscore rev limit 0 1", "*1 $1 c");
    check("zrangebyscore z -inf inf limit 1 2", "*2 $1 b $1 c");
    check("zrangebyscore z -inf inf limit 1 -1", "*3 $1 b $1 c $1 d");
    check("zrangebyscore z -inf inf limit -1 2", "*0");
    check("zrevrangebyscore z 3 2 limit 1 1 withscores", "*2 $1 c $1 2");
    check("zcount z 2 2", ":2");
    check("zcount z 3 2", ":0");
    check("zrange z 0 -1 limit 0 1",
          "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    check("zrange z - + bylex withscores",
          "-ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    check("zrange z 0 -1 byscore bylex", "-ERR syntax error");
    check("zrange z a b byscore", "-ERR min or max is not a float");
    check("zrange z 0 -1 limit 0", "-ERR syntax error");
    check("zrange none x 1", "-ERR value is not an integer or out of range");
    check("zrange none 0 1", "*0");
    check("zrevrange z 0 1 rev", "-ERR syntax error");
    desk_close();
}

TEST(ranges_by_member) {
    desk_open();
    check("zadd z 0 a 0 b 0 bb 0 c", ":4");
    check("zrangebylex z - +", "*4 $1 a $1 b $2 bb $1 c");
    check("zrangebylex z [b (c", "*2 $1 b $2 bb");
    check("zrevrangebylex z + (b limit 1 1", "*1 $2 bb");
    check("zrange z [bb [a bylex rev", "*3 $2 bb $1 b $1 a");
    check("zlexcount z - (b", ":1");
    check("zlexcount z + -", ":0");
    check("zlexcount z b +", "-ERR min or max not valid string range item");
    check("zremrangebylex z [b [bb", ":2");
    desk_close();
}

TEST(ranges_by_member_where_scores_ascend_too) {
    desk_open();
    check("zadd z 1 a 2 b 3 c 4 d", ":4");
    check("zrange z [b (d bylex", "*2 $1 b $1 c");
    check("zlexcount z - [b", ":2");
    char line[64];
    for (int i = 0; i < 500; i++) {
        snprintf(line, sizeof line, "zadd big %d m%03d", i, i);
        check(line, ":1");
    }
    check("zlexcount big [m100 (m200", ":100");
    check("zrangebylex big (m100 + limit 0 1", "*1 $4 m101");
    check("zadd small 1 b 2 a", ":2");
    check("zrangebylex small [b +", "*0"); /* as in Redis: the last one is below */
    check("zrangebylex small [a +", "*2 $1 b $1 a");
    desk_close();
}

TEST(storing_ranges) {
    desk_open();
    check("zadd z 1 a 2 b 3 c", ":3");
    check("zrangestore to z 0 1", ":2");
    check("zrange to 0 -1 withscores", "*4 $1 a $1 1 $1 b $1 2");
    check("zrangestore z z (1 +inf byscore limit 0 1", ":1");
    check("zrange z 0 -1", "*1 $1 b");
    check("zrangestore to z 5 6", ":0");
    check("exists to", ":0");
    check("zrangestore to z 0 -1 withscores", "-ERR syntax error");
    check("set to x", "+OK");
    check("zrangestore to z 0 -1", ":1");
    check("type to", "+zset");
    desk_close();
}

TEST(popping) {
    desk_open();
    check("zadd z 1 a 2 b 3 c 4 d 5 e", ":5");
    check("zpopmin z", "*2 $1 a $1 1");
    check("zpopmax z 2", "*4 $1 e $1 5 $1 d $1 4");
    check("zpopmin z 0", "*0");
    check("zpopmin z -1", "-ERR value is out of range, must be positive");
    check("zpopmin z 1 1", "-ERR syntax error");
    check("zpopmin none", "*0");
    desk.resp = 3;
    check("zpopmin z 1", "*1 *2 $1 b ,2");
    check("zpopmin z", "*2 $1 c ,3");
    check("exists z", ":0");
    check("zmpop 1 z min", "_");
    desk.resp = 2;
    check("zadd z 1 a 2 b 3 c", ":3");
    check("zmpop 2 none z max count 2", "*2 $1 z *2 *2 $1 c $1 3 *2 $1 b $1 2");
    check("zmpop 2 none z min", "*2 $1 z *1 *2 $1 a $1 1");
    check("zmpop 2 none z min", "*-1");
    check("zmpop 0 z min", "-ERR numkeys should be greater than 0");
    check("zmpop 1 z mid", "-ERR syntax error");
    check("zmpop 2 z min", "-ERR syntax error");
    check("zmpop 1 z min count 0", "-ERR count should be greater than 0");
    check("zmpop 1 z min count 1 count 1", "-ERR syntax error");
    desk_close();
}

TEST(unions_and_the_like) {
    desk_open();
    check("zadd a 1 x 2 y 3 z", ":3");
    check("zadd b 10 y 20 z 30 w", ":3");
    check("sadd s y q", ":2");
    check("zunion 2 a b withscores", "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30");
    check("zunion 3 a b s weights 1 2 100", "*5 $1 x $1 z $1 w $1 q $1 y");
    check("zinter 2 a b withscores aggregate max", "*4 $1 y $2 10 $1 z $2 20");
    check("zinter 3 a b s withscores", "*2 $1 y $2 13");
    check("zdiff 2 a s withscores", "*4 $1 x $1 1 $1 z $1 3");
    check("zdiff 2 a a", "*0");
    check("zdiff 2 a b weights 1 2", "-ERR syntax error");
    check("zintercard 2 a b", ":2");
    check("zintercard 2 a b limit 1", ":1");
    check("zintercard 2 a b limit -1", "-ERR LIMIT can't be negative");
    check("zunionstore a 2 a b weights 2 0.5", ":4"); /* a source is the destination */
    check("zrange a 0 -1 withscores", "*8 $1 x $1 2 $1 y $1 9 $1 w $2 15 $1 z $2 16");
    check("zinterstore to 2 a none", ":0");
    check("zdiffstore to 2 a s", ":3");
    check("zunion 0 a", "-ERR at least 1 input key is needed for 'zunion' command");
    check("zunion 3 a b", "-ERR syntax error");
    check("zunion x a", "-ERR value is not an integer or out of range");
    check("zunionstore to 1 a withscores", "-ERR syntax error");
    check("zunion 1 a weights x", "-ERR weight value is not a float");
    check("zunion 1 a aggregate avg", "-ERR syntax error");
    check("set str x", "+OK");
    check("zunion 2 a str weights", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk_close();
}

TEST(infinities_that_meet_make_no_nan) {
    desk_open();
    check("zadd a inf m", ":1");
    check("zadd b -inf m", ":1");
    check("zunion 2 a b withscores", "*2 $1 m $1 0");
    check("zinter 2 a b withscores weights 0 0", "*2 $1 m $1 0");
    desk_close();
}

TEST(members_at_random) {
    desk_open();
    check("zadd z 1 a", ":1");
    check("zrandmember z", "$1 a");
    check("zrandmember none", "$-1");
    check("zrandmember none 2", "*0");
    check("zrandmember z 5", "*1 $1 a");
    check("zrandmember z -2 withscores", "*4 $1 a $1 1 $1 a $1 1");
    check("zrandmember z 0", "*0");
    check("zrandmember z 1 bogus", "-ERR syntax error");
    check("zrandmember z x", "-ERR value is not an integer or out of range");
    check("zrandmember z 9223372036854775807 withscores", "-ERR value is out of range");
    desk.resp = 3;
    check("zrandmember z 1 withscores", "*1 *2 $1 a ,1");
    desk_close();
}

TEST(scanning) {
    desk_open();
    check("zadd z 1 a 2.5 b", ":2");
    check("zscan z 0", "*2 $1 0 *4 $1 a $1 1 $1 b $3 2.5");
    check("zscan z 0 match b", "*2 $1 0 *2 $1 b $3 2.5");
    check("zscan none 0 bogus", "*2 $1 0 *0"); /* as in Redis: looks no further */
    check("zscan z 0 bogus", "-ERR syntax error");
    check("zscan none x", "-ERR invalid cursor");
    desk_close();
}

/* --- waiting --- */

/* Nobody can wait here: a command that would is answered as when its time is over. */
TEST(without_anybody_to_wait_they_end_at_once) {
    desk_open();
    check("bzpopmin a b 0", "*-1");
    check("bzmpop 0 2 a b max", "*-1");
    check("zadd b 1 x 2 y 3 z", ":3");
    check("bzpopmin a b 0", "*3 $1 b $1 x $1 1");
    check("bzpopmax a b 0", "*3 $1 b $1 z $1 3");
    check("bzmpop 0 2 a b max count 5", "*2 $1 b *1 *2 $1 y $1 2");
    check("bzpopmin a b x", "-ERR timeout is not a float or out of range");
    check("bzmpop x 1 a mid", "-ERR syntax error"); /* the time is looked at last */
    check("set s v", "+OK");
    check("bzpopmin a s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk.resp = 3;
    check("bzpopmin a 0", "_");
    check("zadd b 1.5 x", ":1");
    check("bzpopmin b 0", "*3 $1 b $1 x ,1.5");
    desk_close();
}

static struct cmd_wait waited;

static const char *run_waiting(const char *line) {
    waited = (struct cmd_wait){0};
    desk.wait = &waited;
    const char *reply = run(line);
    desk.wait = NULL;
    return reply;
}

TEST(what_is_not_there_is_waited_for) {
    desk_open();
    EXPECT_EQ_STR(run_waiting("bzpopmin a b 1.5"), "");
    EXPECT(waited.waits);
    EXPECT_EQ_INT(waited.type, OBJECT_ZSET);
    EXPECT_EQ_INT(waited.first_key, 1);
    EXPECT_EQ_INT(waited.key_count, 2);
    EXPECT_EQ_INT(waited.timeout_ms, 1500);
    EXPECT_EQ_STR(run_waiting("bzmpop 0 3 a b c max count 2"), "");
    EXPECT_EQ_INT(waited.first_key, 3);
    EXPECT_EQ_INT(waited.key_count, 3);
    EXPECT_EQ_INT(waited.timeout_ms, 0);
    check("zadd b 1 x", ":1");
    EXPECT_EQ_STR(run_waiting("bzpopmax a b 0"), "*3 $1 b $1 x $1 1");
    EXPECT(!waited.waits);
    desk_close();
}

TEST(a_big_one_goes_to_disk_and_back) {
    desk_open();
    char line[64];
    for (int i = 0; i < 3000; i++) {
        snprintf(line, sizeof line, "zadd z %d member:%d", i * 7919 % 3000, i);
        check(line, ":1");
    }
    desk_reload();
    check("zcard z", ":3000");
    check("object encoding z", "$8 skiplist");
    check("zrange z 1499 1500 withscores", "*4 $11 member:2821 $4 1499 $11 member:1500 $4 1500");
    check("zrank z member:1500", ":1500");
    check("zcount z 100 (200", ":100");
    check("zremrangebyscore z 100 (200", ":100");
    desk_reload();
    check("zrank z member:1500", ":1400");
    check("zcard z", ":2900");
    desk_close();
}

TEST_MAIN
