/* What replicas of Redis are told: which commands, in what words, and what belongs together. */
#include "server_support.h"

#include "feed.h"

static struct session *replica;

/* The commands that were sent since the last time: "SELECT 0|set k v|". */
static const char *told(void) {
    static char text[4096];
    struct buf *sent = &world.pushed;
    size_t len = 0;
    buf_add_byte(sent, '\0');
    for (char *at = strtok(sent->data, " "), *next; at != NULL; at = next) {
        next = strtok(NULL, " ");
        if (at[0] == '[' || at[0] == '$') continue;
        if (at[0] == '*' && at[1] != '\0') {
            if (len > 0) text[len - 1] = '|';
            continue;
        }
        len += (size_t)snprintf(text + len, sizeof text - len, "%s ", at);
    }
    if (len > 0) text[len - 1] = '|';
    text[len] = '\0';
    buf_clear(sent);
    return text;
}

#define check_told(want)                                                                                     \
    do {                                                                                                     \
        const char *got_told = told();                                                                       \
        EXPECT_NOTE(strcmp(got_told, want) == 0, "got \"%s\", want \"%s\"", got_told, want);                 \
    } while (0)

/* Each line is a unit of its own. */
static struct session *say(struct session *s, const char *line) {
    (void)client_run(s, line);
    feed_end_unit(&desk.server);
    return s;
}

static struct session *begin(void) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    replica = client_open("127.0.0.1:2");
    feed_attach(&desk.server, replica);
    say(s, "set begun 1");
    check_told("SELECT 0|set begun 1|");
    return s;
}

TEST(what_changes_nothing_is_not_told) {
    struct session *s = begin();
    say(s, "get begun");
    say(s, "del nothing");
    say(s, "set begun 2 nx");
    say(s, "expire nothing 10");
    say(s, "getex begun");
    say(s, "incr nothing x");
    check_told("");
    say(s, "publish channel text");
    check_told("publish channel text|");
    say(s, "flushall");
    say(s, "flushall"); /* is told always, as in Redis */
    check_told("flushall|flushall|");
    feed_detach(&desk.server, replica);
    say(s, "set k v");
    check_told("");
    server_close();
}

TEST(databases) {
    struct session *s = begin();
    say(say(say(say(s, "select 1"), "set a 1"), "set b 1"), "select 0");
    check_told("SELECT 1|set a 1|set b 1|");
    struct session *second = client_open("127.0.0.1:3");
    feed_attach(&desk.server, second);
    say(say(s, "select 1"), "set a 2");
    /* Both get the same, and the one who came later has to learn of the database. */
    check_told("SELECT 1|set a 2|SELECT 1|set a 2|");
    server_close();
}

/* Deadlines are told as moments; what is over is deleted. */
TEST(deadlines) {
    struct session *s = begin();
    desk.now_ms = 1000000;
    say(s, "set k v ex 100");
    say(s, "set k v px 5 get");
    say(s, "setex k 100 v");
    say(s, "psetex k 100 v");
    check_told("set k v PXAT 1100000|set k v PXAT 1000005|set k v PXAT 1100000|set k v PXAT 1000100|");
    say(s, "expire k 10");
    say(s, "pexpireat k 2000000");
    say(s, "getex k px 7");
    say(s, "getex k persist");
    say(s, "expireat k 1");
    check_told("pexpireat k 1010000|pexpireat k 2000000|pexpireat k 1000007|persist k|del k|");
    say(s, "set k v");
    say(s, "getdel k");
    check_told("set k v|del k|");
    say(s, "set k v px 10");
    desk.now_ms += 10;
    say(s, "append k w");
    check_told("set k v PXAT 1000010|MULTI|DEL k|append k w|EXEC|");
    server_close();
}

TEST(chance_and_arithmetic) {
    struct session *s = begin();
    say(s, "sadd set a");
    say(s, "spop set");
    say(s, "spop set");
    say(s, "sadd set a");
    say(s, "spop set 5");
    check_told("sadd set a|srem set a|sadd set a|srem set a|");
    say(s, "incrbyfloat f 0.5");
    say(s, "hincrbyfloat h f 1.5");
    check_told("set f 0.5 KEEPTTL|hset h f 1.5|");
    server_close();
}

TEST(pops) {
    struct session *s = begin();
    say(s, "rpush l a b c d e f g");
    say(s, "zadd z 1 a 2 b 3 c 4 d 5 e");
    told();
    say(s, "blpop nothing l 0");
    say(s, "brpop l 0");
    say(s, "lmpop 2 nothing l left count 2");
    say(s, "blmpop 0 1 l right");
    say(s, "blmove l m left right 0");
    say(s, "brpoplpush m l 0");
    check_told("lpop l|rpop l|lpop l 2|rpop l 1|lmove l m left right|rpoplpush m l|");
    say(s, "bzpopmin z 0");
    say(s, "bzpopmax z 0");
    say(s, "zmpop 1 z min count 2");
    say(s, "bzmpop 0 1 z max");
    check_told("zpopmin z|zpopmax z|zpopmin z 2|zpopmax z 1|");
    s->resp = 3;
    say(s, "zadd z 1 a 2 b");
    say(s, "zmpop 1 z max count 9");
    check_told("zadd z 1 a 2 b|zpopmax z 2|");
    server_close();
}

TEST(streams) {
    struct session *s = begin();
    desk.now_ms = 5000;
    say(s, "xadd x * f v");
    say(s, "xadd x maxlen ~ 100 limit 1000 5000-* f v");
    say(s, "xadd x nomkstream minid = 1 6000-1 f v");
    say(s, "xtrim x maxlen 2");
    check_told("xadd x 5000-0 f v|xadd x MAXLEN = 2 5000-1 f v|xadd x MINID = 5000-0 6000-1 f v|"
               "xtrim x MAXLEN = 2|");
    say(s, "xgroup create x g 0");
    say(s, "xreadgroup group g me count 1 streams x >");
    check_told("xgroup create x g 0|"
               "xclaim x g me 0 5000-1 TIME 5000 RETRYCOUNT 1 FORCE JUSTID LASTID 5000-1|");
    s->resp = 3;
    say(s, "xreadgroup group g me streams x >");
    say(s, "xgroup createconsumer x g you");
    say(s, "xack x g 5000-1");
    check_told("xclaim x g me 0 6000-1 TIME 5000 RETRYCOUNT 1 FORCE JUSTID LASTID 6000-1|"
               "xgroup createconsumer x g you|xack x g 5000-1|");
    say(s, "xclaim x g you 0 6000-1");
    EXPECT(strncmp(told(), "restore x 0 ", 12) == 0);
    server_close();
}

TEST(scripts_and_units) {
    struct session *s = begin();
    say(s, "eval \"redis.call('set','a','1') redis.call('get','a') return redis.call('incr','a')\" 0");
    say(s, "eval \"return redis.call('set','a','1')\" 0");
    say(s, "eval \"redis.call('select', 3) return redis.call('set','a','1')\" 0");
    say(s, "script load \"return 1\"");
    check_told("MULTI|set a 1|incr a|EXEC|set a 1|SELECT 3|set a 1|");
    (void)client_run(s, "set a 2"); /* as in a transaction */
    (void)client_run(s, "select 2");
    (void)client_run(s, "set a 2");
    feed_end_unit(&desk.server);
    check_told("SELECT 0|MULTI|set a 2|SELECT 2|set a 2|EXEC|");
    server_close();
}

TEST(pings) {
    (void)begin();
    int64_t from = desk.server.feed.pinged_ms;
    feed_tick(&desk.server, from + 9999);
    check_told("");
    feed_tick(&desk.server, from + 10000);
    feed_tick(&desk.server, from + 19999);
    check_told("PING|");
    server_close();
}

TEST_MAIN
