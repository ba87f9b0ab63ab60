/* Who listens to what, in which order replies and messages come, what a listener may still ask. */
#include "server_support.h"
#include "test.h"

/* What sessions were told unasked since the last time. */
static const char *pushed(void) {
    static char text[4096];
    snprintf(text, sizeof text, "%.*s", (int)world.pushed.len, world.pushed.len > 0 ? world.pushed.data : "");
    buf_clear(&world.pushed);
    return text;
}

static void check_pushed(const char *want) {
    const char *got = pushed();
    EXPECT_NOTE(strcmp(got, want) == 0, "got \"%s\", want \"%s\"", got, want);
}

TEST(subscribe_answers_once_for_each_name_and_counts_channels_and_patterns_together) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "subscribe a a b",
                 "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2");
    client_check(s, "psubscribe p*", "*3 $10 psubscribe $2 p* :3");
    client_check(s, "ssubscribe s", "*3 $10 ssubscribe $1 s :1");
    client_check(s, "unsubscribe x a", "*3 $11 unsubscribe $1 x :3 *3 $11 unsubscribe $1 a :2");
    client_check(s, "unsubscribe", "*3 $11 unsubscribe $1 b :1");
    client_check(s, "unsubscribe", "*3 $11 unsubscribe $-1 :1");
    client_check(s, "punsubscribe", "*3 $12 punsubscribe $2 p* :0");
    client_check(s, "sunsubscribe", "*3 $12 sunsubscribe $1 s :0");
    EXPECT(!subscriptions_any(&s->subscriptions));
    server_close();
}

TEST(resp3_has_pushes_and_a_null) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    s->resp = 3;
    client_check(s, "unsubscribe", ">3 $11 unsubscribe _ :0");
    client_check(s, "subscribe a", ">3 $9 subscribe $1 a :1");
    client_check(s, "ping", "+PONG");
    client_check(s, "get k", "_");
    server_close();
}

TEST(a_message_goes_to_channel_then_patterns_and_to_each_listener_in_his_protocol) {
    server_open();
    struct session *a = client_open("127.0.0.1:1"), *b = client_open("127.0.0.1:2"),
                   *c = client_open("127.0.0.1:3");
    b->resp = 3;
    client_run(a, "subscribe news");
    client_run(b, "psubscribe n*");
    client_run(b, "subscribe news other");
    client_check(c, "publish news hi", ":3");
    check_pushed("[1] *3 $7 message $4 news $2 hi [2] >3 $7 message $4 news $2 hi "
                 "[2] >4 $8 pmessage $2 n* $4 news $2 hi ");
    client_check(c, "publish none hi", ":1");
    check_pushed("[2] >4 $8 pmessage $2 n* $4 none $2 hi ");
    client_check(c, "spublish news hi", ":0");
    client_run(a, "ssubscribe news");
    client_check(c, "spublish news hi", ":1");
    check_pushed("[1] *3 $8 smessage $4 news $2 hi ");
    server_close();
}

TEST(who_listens_in_resp2_may_ask_little) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_run(s, "subscribe a");
    client_check(s, "get k",
                 "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                 "allowed in this context");
    client_check(s, "exec",
                 "-EXECABORT Transaction discarded because of: Can't execute 'exec': only (P|S)SUBSCRIBE / "
                 "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context");
    client_check(s, "ping", "*2 $4 pong $0 ");
    client_check(s, "ping x", "*2 $4 pong $1 x");
    client_check(s, "reset", "+RESET");
    client_check(s, "ping", "+PONG");
    EXPECT_EQ_INT(desk.server.pubsub.count, 0);
    server_close();
}

TEST(pubsub_tells_who_listens) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *t = client_open("127.0.0.1:2");
    t->resp = s->resp = 3;
    client_run(s, "subscribe alpha beta");
    client_run(t, "subscribe beta");
    client_run(t, "psubscribe x y");
    client_run(s, "psubscribe x");
    client_run(s, "ssubscribe shard");
    client_check(s, "pubsub channels", "*2 $5 alpha $4 beta");
    client_check(s, "pubsub channels b*", "*1 $4 beta");
    client_check(s, "pubsub numsub beta alpha none", "*6 $4 beta :2 $5 alpha :1 $4 none :0");
    client_check(s, "pubsub numpat", ":2");
    client_check(s, "pubsub shardchannels", "*1 $5 shard");
    client_check(s, "pubsub shardnumsub shard", "*2 $5 shard :1");
    client_check(s, "pubsub channels a b",
                 "-ERR unknown subcommand or wrong number of arguments for 'channels'. Try PUBSUB HELP.");
    client_check_has(s, "client list", "flags=P db=0 sub=2 psub=1 ssub=1");
    client_check_has(s, "info stats", "pubsub_channels:2");
    server_close();
}

TEST(silence_is_not_for_pushes) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_run(s, "client reply off");
    client_check(s, "subscribe a", "");
    check_pushed("[1] *3 $9 subscribe $1 a :1 ");
    server_close();
}

TEST(only_the_leader_publishes_and_listeners_go_to_him) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *t = client_open("127.0.0.1:2");
    client_run(s, "subscribe a");
    EXPECT_EQ_INT(pubsub_publish(&desk.server, SLICE("a"), SLICE("m")), 1);
    desk.server.leadership = LEADERSHIP_THERE;
    snprintf(desk.server.leader_address, sizeof desk.server.leader_address, "10.0.0.1:7000");
    EXPECT_EQ_INT(pubsub_publish(&desk.server, SLICE("a"), SLICE("m")), 0);
    client_run(t, "publish a m");
    EXPECT_EQ_INT(world.gate, GATE_FORWARD);
    client_check(t, "unsubscribe", "*3 $11 unsubscribe $-1 :0");
    desk.server.config.cluster_enabled = true;
    client_check(t, "ssubscribe a", "-MOVED 15495 10.0.0.1:7000");
    client_check(t, "spublish a m", "-MOVED 15495 10.0.0.1:7000");
    server_close();
}

/* Many names and sessions, coming and going in no order, against a plain table. */
TEST(subscriptions_are_a_relation) {
    enum { SESSIONS = 40, NAMES = 300, STEPS = 30000 };
    static bool listens[SESSIONS][NAMES];
    struct session *sessions[SESSIONS];
    struct rng rng = {42};
    server_open();
    for (int i = 0; i < SESSIONS; i++) sessions[i] = client_open("127.0.0.1:1");
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(rng_next(&rng) % SESSIONS), k = (int)(rng_next(&rng) % NAMES);
        char name[16];
        int len = snprintf(name, sizeof name, "n%d", k);
        listens[i][k] = rng_next(&rng) % 2;
        struct slice word = slice_make(name, (size_t)len);
        if (listens[i][k])
            pubsub_subscribe(&desk.server, sessions[i], TOPIC_CHANNEL, word);
        else
            pubsub_unsubscribe(&desk.server, sessions[i], TOPIC_CHANNEL, word);
    }
    size_t all = 0;
    for (int k = 0; k < NAMES; k++) {
        char name[16];
        int len = snprintf(name, sizeof name, "n%d", k);
        size_t count = 0;
        for (int i = 0; i < SESSIONS; i++) count += listens[i][k];
        all += count;
        EXPECT_EQ_INT(pubsub_listeners(&desk.server, TOPIC_CHANNEL, slice_make(name, (size_t)len)), count);
    }
    EXPECT_EQ_INT(desk.server.pubsub.count, all);
    server_close();
}

static struct cluster_member member(uint64_t id, const char *address, bool is_self) {
    struct cluster_member m = {.id = id, .is_self = is_self, .is_connected = true, .heard_ms_ago = 0};
    snprintf(m.address, sizeof m.address, "%s", address);
    return m;
}

/* Three nodes, of which this one, 1, does not lead. */
static void be_follower(uint64_t leader_id) {
    world.cluster.member_count = 3;
    world.cluster.members[0] = member(1, "10.0.0.1:7001", true);
    world.cluster.members[1] = member(2, "10.0.0.2:7002", false);
    world.cluster.members[2] = member(3, "10.0.0.3:7003", false);
    world.cluster.leader_id = world.cluster.last_leader_id = leader_id;
    world.cluster.is_leader = world.cluster.readable = false;
    desk.server.leadership = LEADERSHIP_THERE;
}

TEST(news_of_sentinel_are_told_by_each_node) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *t = client_open("127.0.0.1:2");
    be_follower(2);
    sentinel_news_look(&desk.server);
    client_check(s, "subscribe +switch-master", "*3 $9 subscribe $14 +switch-master :1");
    client_check(s, "psubscribe [-+]sdown", "*3 $10 psubscribe $9 [-+]sdown :2");
    EXPECT(s->subscriptions.is_local);
    client_run(t, "sentinel get-master-addr-by-name other");
    client_check(t, "psubscribe +switch*", "*3 $10 psubscribe $8 +switch* :1");
    sentinel_news_look(&desk.server);
    check_pushed("");
    be_follower(3);
    sentinel_news_look(&desk.server);
    check_pushed("[1] *3 $7 message $14 +switch-master $36 mymaster 10.0.0.2 7002 10.0.0.3 7003 "
                 "[2] *4 $8 pmessage $8 +switch* $14 +switch-master $36 mymaster 10.0.0.2 7002 10.0.0.3 7003 "
                 "[1] *3 $7 message $14 +switch-master $33 other 10.0.0.2 7002 10.0.0.3 7003 "
                 "[2] *4 $8 pmessage $8 +switch* $14 +switch-master $33 other 10.0.0.2 7002 10.0.0.3 7003 ");
    world.cluster.members[1].is_connected = false;
    world.cluster.members[1].heard_ms_ago = 1000000;
    sentinel_news_look(&desk.server);
    const char *text = pushed();
    EXPECT_NOTE(strstr(text,
                       "[1] *4 $8 pmessage $9 [-+]sdown $6 +sdown $58 slave 10.0.0.2:7002 10.0.0.2 7002 @ "
                       "mymaster 10.0.0.3 7003") != NULL,
                "%s", text);
    server_close();
}

TEST(who_listens_to_news_of_a_node_listens_to_nothing_else_there) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    be_follower(2);
    client_run(s, "subscribe +switch-master");
    client_check(
        s, "subscribe news",
        "-ERR this connection listens to news of this node: take another for channels of the cluster");
    client_run(s, "unsubscribe");
    client_run(s, "subscribe news");
    EXPECT_EQ_INT(world.gate, GATE_TUNNEL);
    client_run(s, "psubscribe +switch*");
    EXPECT_EQ_INT(world.gate, GATE_TUNNEL);
    client_run(s, "psubscribe *");
    EXPECT_EQ_INT(world.gate, GATE_TUNNEL);
    desk.server.leadership = LEADERSHIP_HERE;
    client_run(s, "subscribe +switch-master");
    EXPECT(s->subscriptions.is_local);
    client_run(s, "subscribe news");
    EXPECT(!s->subscriptions.is_local);
    server_close();
}

TEST_MAIN
