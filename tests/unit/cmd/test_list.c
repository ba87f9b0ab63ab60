/* Commands of lists, against what Redis 7.0 answers. */
#include "cmd_block.h"

#include "support.h"

TEST(pushing) {
    desk_open();
    check("rpush l a", ":1");
    check("rpush l b c", ":3");
    check("lpush l y z", ":5");
    check("lrange l 0 -1", "*5 $1 z $1 y $1 a $1 b $1 c");
    check("lpushx l w", ":6");
    check("rpushx l d e", ":8");
    check("lrange l 0 -1", "*8 $1 w $1 z $1 y $1 a $1 b $1 c $1 d $1 e");
    check("lpushx none a", ":0");
    check("rpushx none a b", ":0");
    check("exists none", ":0");
    check("type l", "+list");
    check("object encoding l", "$9 quicklist");
    check("set s v", "+OK");
    check("lpush s a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("rpushx s a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk_reload();
    check("lrange l 0 -1", "*8 $1 w $1 z $1 y $1 a $1 b $1 c $1 d $1 e");
    desk_close();
}

TEST(popping) {
    desk_open();
    check("lpop none", "$-1");
    check("rpop none", "$-1");
    check("lpop none 1", "*-1");
    check("lpop none 0", "*-1");
    check("lpop none x", "-ERR value is out of range, must be positive");
    check("lpop none -1", "-ERR value is out of range, must be positive");
    check("lpop l 1 2", "-ERR wrong number of arguments for 'lpop' command");
    check("rpush l a b c d e f g", ":7");
    check("lpop l", "$1 a");
    check("rpop l", "$1 g");
    check("lpop l 0", "*0");
    check("lpop l 2", "*2 $1 b $1 c");
    check("rpop l 2", "*2 $1 f $1 e");
    check("rpop l 10", "*1 $1 d");
    check("exists l", ":0");
    check("rpush l 1 2", ":2");
    check("lpop l 9223372036854775807", "*2 $1 1 $1 2");
    check("lpop l 9223372036854775808", "-ERR value is out of range, must be positive");
    check("lpop l \"\"", "-ERR value is out of range, must be positive");
    check("set s v", "+OK");
    check("lpop s", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lpop s 1", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("rpop s x", "-ERR value is out of range, must be positive");
    desk.resp = 3;
    check("lpop none", "_");
    check("lpop none 1", "_");
    desk_close();
}

TEST(looking) {
    desk_open();
    check("llen none", ":0");
    check("lindex none 0", "$-1");
    check("lindex none x", "$-1");
    check("lrange none 0 -1", "*0");
    check("lrange none x y", "-ERR value is not an integer or out of range");
    check("rpush l a b c d 10 -5 007", ":7");
    check("llen l", ":7");
    check("lindex l 0", "$1 a");
    check("lindex l 6", "$3 007");
    check("lindex l 7", "$-1");
    check("lindex l -1", "$3 007");
    check("lindex l -7", "$1 a");
    check("lindex l -8", "$-1");
    check("lindex l x", "-ERR value is not an integer or out of range");
    check("lindex l 9223372036854775808", "-ERR value is not an integer or out of range");
    check("lindex l -9223372036854775808", "$-1");
    check("lindex l 4", "$2 10");
    check("lrange l 0 2", "*3 $1 a $1 b $1 c");
    check("lrange l -3 -1", "*3 $2 10 $2 -5 $3 007");
    check("lrange l -100 100", "*7 $1 a $1 b $1 c $1 d $2 10 $2 -5 $3 007");
    check("lrange l 5 2", "*0");
    check("lrange l 7 9", "*0");
    check("lrange l -9223372036854775808 9223372036854775807", "*7 $1 a $1 b $1 c $1 d $2 10 $2 -5 $3 007");
    check("lrange l a 1", "-ERR value is not an integer or out of range");
    check("lrange l 1 a", "-ERR value is not an integer or out of range");
    check("set s v", "+OK");
    check("llen s", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lindex s x", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lrange s 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lrange s a 1", "-ERR value is not an integer or out of range");
    desk.resp = 3;
    check("lindex l 7", "_");
    check("lindex none 0", "_");
    check("lrange none 0 1", "*0");
    desk_close();
}

TEST(positions) {
    desk_open();
    check("lpos none a", "$-1");
    check("lpos none a count 1", "*0");
    check("lpos none a rank 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                                "second ... or use negative to start from the end of the list");
    check("rpush l a b c 1 2 3 c c 2", ":9");
    check("lpos l c", ":2");
    check("lpos l c rank 2", ":6");
    check("lpos l c rank 4", "$-1");
    check("lpos l c rank -1", ":7");
    check("lpos l c rank -3", ":2");
    check("lpos l c rank -4", "$-1");
    check("lpos l c count 0", "*3 :2 :6 :7");
    check("lpos l c count 2", "*2 :2 :6");
    check("lpos l c rank 2 count 2", "*2 :6 :7");
    check("lpos l c rank -1 count 2", "*2 :7 :6");
    check("lpos l c rank -2 count 0", "*2 :6 :2");
    check("lpos l c count 0 maxlen 7", "*2 :2 :6");
    check("lpos l c rank -1 count 0 maxlen 2", "*1 :7");
    check("lpos l c maxlen 2", "$-1");
    check("lpos l c maxlen 3", ":2");
    check("lpos l 2 count 0", "*2 :4 :8");
    check("lpos l x", "$-1");
    check("lpos l x count 0", "*0");
    check("lpos l c rank 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                             "second ... or use negative to start from the end of the list");
    check("lpos l c rank x", "-ERR value is not an integer or out of range");
    check("lpos l c rank -9223372036854775808", ":7");
    check("lpos l c rank -9223372036854775807", "$-1");
    check("lpos l c count -1", "-ERR COUNT can't be negative");
    check("lpos l c count x", "-ERR COUNT can't be negative");
    check("lpos l c maxlen -1", "-ERR MAXLEN can't be negative");
    check("lpos l c rank", "-ERR syntax error");
    check("lpos l c foo 1", "-ERR syntax error");
    check("set s v", "+OK");
    check("lpos s a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lpos s a rank 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                             "second ... or use negative to start from the end of the list");
    desk.resp = 3;
    check("lpos l x", "_");
    check("lpos none a", "_");
    desk_close();
}

TEST(changing) {
    desk_open();
    check("lset none 0 a", "-ERR no such key");
    check("lset none x a", "-ERR no such key");
    check("rpush l a b c", ":3");
    check("lset l 1 B", "+OK");
    check("lset l -1 C", "+OK");
    check("lset l 3 x", "-ERR index out of range");
    check("lset l -4 x", "-ERR index out of range");
    check("lset l x y", "-ERR value is not an integer or out of range");
    check("lrange l 0 -1", "*3 $1 a $1 B $1 C");
    check("linsert l before B 1", ":4");
    check("linsert l AFTER C 2", ":5");
    check("linsert l after none 2", ":-1");
    check("linsert none before a b", ":0");
    check("linsert l between a b", "-ERR syntax error");
    check("lrange l 0 -1", "*5 $1 a $1 1 $1 B $1 C $1 2");
    check("set s v", "+OK");
    check("lset s 0 a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("linsert s before a b", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("linsert s between a b", "-ERR syntax error");
    desk_close();
}

TEST(removing) {
    desk_open();
    check("lrem none 0 a", ":0");
    check("rpush l a b a c a d a", ":7");
    check("lrem l 2 a", ":2");
    check("lrange l 0 -1", "*5 $1 b $1 c $1 a $1 d $1 a");
    check("lrem l -1 a", ":1");
    check("lrange l 0 -1", "*4 $1 b $1 c $1 a $1 d");
    check("lrem l 0 a", ":1");
    check("lrem l 0 a", ":0");
    check("lrange l 0 -1", "*3 $1 b $1 c $1 d");
    check("lrem l x a", "-ERR value is not an integer or out of range");
    check("lrem l -9223372036854775808 a", ":0");
    check("lrem l 0 b", ":1");
    check("lrem l 0 c", ":1");
    check("lrem l 1 d", ":1");
    check("exists l", ":0");
    check("rpush l 1 2 3 4 5 6", ":6");
    check("ltrim l 1 -2", "+OK");
    check("lrange l 0 -1", "*4 $1 2 $1 3 $1 4 $1 5");
    check("ltrim l -100 2", "+OK");
    check("lrange l 0 -1", "*3 $1 2 $1 3 $1 4");
    check("ltrim l x 1", "-ERR value is not an integer or out of range");
    check("ltrim l 0 x", "-ERR value is not an integer or out of range");
    check("ltrim l 5 10", "+OK");
    check("exists l", ":0");
    check("ltrim none 0 1", "+OK");
    check("set s v", "+OK");
    check("lrem s 0 a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("ltrim s 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("ltrim s x 1", "-ERR value is not an integer or out of range");
    desk_close();
}

TEST(moving) {
    desk_open();
    check("rpush l a b c", ":3");
    check("lmove none d left right", "$-1");
    check("lmove l d left up", "-ERR syntax error");
    check("lmove l d up left", "-ERR syntax error");
    check("lmove l d left right", "$1 a");
    check("lmove l d right left", "$1 c");
    check("lrange d 0 -1", "*2 $1 c $1 a");
    check("lmove l l left left", "$1 b");
    check("lmove l l left right", "$1 b");
    check("rpush r 1 2 3", ":3");
    check("pexpireat r 1800000000000", ":1");
    check("lmove r r left right", "$1 1");
    check("rpoplpush r r", "$1 1");
    check("lrange r 0 -1", "*3 $1 1 $1 2 $1 3");
    check("pexpiretime r", ":1800000000000");
    check("lmove l d right right", "$1 b");
    check("exists l", ":0");
    check("rpoplpush d l", "$1 b");
    check("rpoplpush none l", "$-1");
    check("set s v", "+OK");
    check("lmove s d left right", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lmove d s left right", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lmove none s left right", "$-1");
    check("rpoplpush d s", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lrange d 0 -1", "*2 $1 c $1 a");
    desk.resp = 3;
    check("lmove none d left right", "_");
    desk_close();
}

TEST(popping_from_the_first) {
    desk_open();
    check("lmpop 1 none left", "*-1");
    check("lmpop 0 none left", "-ERR numkeys should be greater than 0");
    check("lmpop -1 none left", "-ERR numkeys should be greater than 0");
    check("lmpop x none left", "-ERR numkeys should be greater than 0");
    check("lmpop 2 none left", "-ERR syntax error");
    check("lmpop 1 none up", "-ERR syntax error");
    check("lmpop 1 none left count", "-ERR syntax error");
    check("lmpop 1 none left count 0", "-ERR count should be greater than 0");
    check("lmpop 1 none left count x", "-ERR count should be greater than 0");
    check("lmpop 1 none left foo 1", "-ERR syntax error");
    check("lmpop 1 none left count 1 count 1", "-ERR syntax error");
    check("lmpop 9223372036854775807 none left", "-ERR syntax error");
    check("rpush a 1 2 3", ":3");
    check("rpush b 4 5 6", ":3");
    check("lmpop 2 a b left", "*2 $1 a *1 $1 1");
    check("lmpop 2 none b right count 2", "*2 $1 b *2 $1 6 $1 5");
    check("lmpop 2 a b left count 10", "*2 $1 a *2 $1 2 $1 3");
    check("exists a", ":0");
    check("set s v", "+OK");
    check("lmpop 2 s b left", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("lmpop 2 b s left", "*2 $1 b *1 $1 4");
    desk.resp = 3;
    check("lmpop 1 none left", "_");
    desk_close();
}

TEST(blocking_commands_find_something) {
    desk_open();
    check("rpush a 1 2 3", ":3");
    check("rpush b 4 5 6", ":3");
    check("blpop a 0", "*2 $1 a $1 1");
    check("brpop none b 0", "*2 $1 b $1 6");
    check("blpop none a b 1", "*2 $1 a $1 2");
    check("blmpop 0 2 none b left count 2", "*2 $1 b *2 $1 4 $1 5");
    check("exists b", ":0");
    check("rpush b x y", ":2");
    check("blmove a b left left 0", "$1 3");
    check("brpoplpush b a 0", "$1 y");
    check("lrange a 0 -1", "*1 $1 y");
    check("lrange b 0 -1", "*2 $1 3 $1 x");
    check("set s v", "+OK");
    check("blpop s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("blpop none s a 0", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("blpop a s 0", "*2 $1 a $1 y");
    check("brpoplpush s a 0", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("rpush a 1", ":1");
    check("blmove a s left left 0", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("blmpop 0 1 s left", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    desk_close();
}

TEST(time_outs_are_numbers) {
    desk_open();
    check("rpush a 1 2 3 4 5 6 7 8", ":8");
    check("blpop a -1", "-ERR timeout is negative");
    check("blpop a x", "-ERR timeout is not a float or out of range");
    check("blpop a nan", "-ERR timeout is not a float or out of range");
    check("blpop a inf", "-ERR timeout is negative");
    check("blpop a 1e30", "-ERR timeout is negative");
    check("blpop a 9223372036854775", "*2 $1 a $1 1");
    check("blpop a 9223372036854774", "*2 $1 a $1 2");
    check("blpop a 0x", "-ERR timeout is not a float or out of range");
    check("blpop a 0.0001", "*2 $1 a $1 3");
    check("blpop a \" 1\"", "-ERR timeout is not a float or out of range");
    check("brpoplpush a b -0.5", "-ERR timeout is negative");
    check("blmove a b left left x", "-ERR timeout is not a float or out of range");
    check("blmove a b left up x", "-ERR syntax error");
    check("blmpop x 0 a left", "-ERR numkeys should be greater than 0");
    check("blmpop x 1 a up", "-ERR syntax error");
    check("blmpop x 1 a left", "-ERR timeout is not a float or out of range");
    check("blmpop -1 1 a left", "-ERR timeout is negative");
    check("blmpop 1e1 1 a left count 2", "*2 $1 a *2 $1 4 $1 5");
    check("lrange a 0 -1", "*3 $1 6 $1 7 $1 8");
    desk_close();
}

/* Nobody can wait here: a command that would is answered as when its time is over. */
TEST(without_anybody_to_wait_they_end_at_once) {
    desk_open();
    check("blpop a b 0", "*-1");
    check("brpop a 0", "*-1");
    check("blmpop 0 2 a b left", "*-1");
    check("blmove a b left right 0", "$-1");
    check("brpoplpush a b 0", "$-1");
    desk_close();
}

/* --- waiting --- */

static struct cmd_wait waited;

/* As a leader runs it for a connection. */
static const char *run_waiting(const char *line) {
    waited = (struct cmd_wait){0};
    desk.wait = &waited;
    const char *got = run(line);
    desk.wait = NULL;
    return got;
}

TEST(what_is_not_there_is_waited_for) {
    desk_open();
    EXPECT_EQ_STR(run_waiting("blpop a b 1.5"), "");
    EXPECT(waited.waits);
    EXPECT_EQ_INT(waited.type, OBJECT_LIST);
    EXPECT_EQ_INT(waited.first_key, 1);
    EXPECT_EQ_INT(waited.key_count, 2);
    EXPECT_EQ_INT(waited.timeout_ms, 1500);
    EXPECT_EQ_STR(run_waiting("blmpop 0 3 a b c left count 2"), "");
    EXPECT_EQ_INT(waited.first_key, 3);
    EXPECT_EQ_INT(waited.key_count, 3);
    EXPECT_EQ_INT(waited.timeout_ms, 0);
    EXPECT_EQ_STR(run_waiting("blmove a b left right 0.0001"), "");
    EXPECT_EQ_INT(waited.first_key, 1);
    EXPECT_EQ_INT(waited.key_count, 1);
    EXPECT_EQ_INT(waited.timeout_ms, 1);
    EXPECT_EQ_STR(run_waiting("blpop a x"), "-ERR timeout is not a float or out of range");
    EXPECT(!waited.waits);
    check("rpush b 1", ":1");
    EXPECT_EQ_STR(run_waiting("blpop a b 0"), "*2 $1 b $1 1");
    EXPECT(!waited.waits);
    desk_close();
}

TEST(who_waited_is_served_from_the_key_that_is_ready) {
    desk_open();
    check("rpush a 1", ":1");
    check("rpush b 2 3", ":2");
    check("_serve b blpop a b 0", "*2 $1 b $1 2");
    check("set a text", "+OK"); /* does not matter any more */
    check("_serve b blpop a b 0", "*2 $1 b $1 3");
    check("_serve b blpop a b 0", "");
    check("_serve a blpop a b 0", "");
    EXPECT_EQ_STR(run_waiting("_serve b blpop a b 0"), "");
    EXPECT(waited.waits);
    check("rpush b 1 2 3", ":3");
    check("_serve b blmpop 0 2 a b right count 2", "*2 $1 b *2 $1 3 $1 2");
    check("_serve b blmove b a left left 0",
          "-WRONGTYPE Operation against a key holding the wrong kind of value");
    check("_serve b blmove b c left left 0", "$1 1");
    check("lrange c 0 -1", "*1 $1 1");
    desk_close();
}

TEST_MAIN
