/* Client side caching: who is told of which change, when, and in which words. Sessions are known by their numbers: what is
 * pushed to session 2 reads "[2] ...". */
#include "server_support.h"

#include "num.h"

/* What was pushed since the last look. */
static const char *pushed(void) {
    static char text[4096];
    snprintf(text, sizeof text, "%.*s", (int)world.pushed.len, world.pushed.len ? world.pushed.data : "");
    size_t len = strlen(text);
    if (len > 0) text[len - 1] = '\0';
    buf_clear(&world.pushed);
    return text;
}

#define check_pushed(want)                                                                                   \
    do {                                                                                                     \
        const char *check_got = pushed(), *check_want = (want);                                              \
        EXPECT_NOTE(strcmp(check_got, check_want) == 0, "pushed \"%s\", want \"%s\"", check_got,             \
                    check_want);                                                                             \
    } while (0)

static struct session *client_at(int resp) {
    struct session *s = client_open("127.0.0.1:1");
    s->resp = (uint8_t)resp;
    return s;
}

TEST(a_key_that_was_read_is_invalidated_once) {
    server_open();
    struct session *reader = client_at(3), *writer = client_at(2);
    client_check(reader, "client tracking on", "+OK");
    client_check(writer, "set k 1", "+OK");
    check_pushed("");
    client_check(reader, "get k", "$1 1");
    client_check(reader, "get k", "$1 1");
    client_check(reader, "mget k other", "*2 $1 1 _");
    EXPECT_EQ_INT(desk.server.tracking.key_count, 2);
    EXPECT_EQ_INT(desk.server.tracking.item_count, 2);
    client_check(writer, "incr k", ":2");
    check_pushed("[1] >2 $10 invalidate *1 $1 k");
    client_check(writer, "incr k", ":3");
    check_pushed("");
    client_check(writer, "del k", ":1");
    client_check(writer, "rename k2 other", "-ERR no such key");
    check_pushed("");
    client_check(writer, "set k2 1", "+OK");
    client_check(writer, "rename k2 other", "+OK");
    check_pushed("[1] >2 $10 invalidate *1 $5 other");
    EXPECT_EQ_INT(desk.server.tracking.key_count, 0);
    server_close();
}

TEST(resp2_has_no_place_for_messages) {
    server_open();
    struct session *reader = client_at(2), *writer = client_at(2);
    client_check(reader, "client tracking on", "+OK");
    client_check(reader, "get k", "$-1");
    client_check(writer, "set k 1", "+OK");
    check_pushed("");
    client_check(reader, "get k", "$1 1");
    client_check_has(reader, "hello 3", "proto :3");
    client_check(writer, "set k 1", "+OK");
    check_pushed("[1] >2 $10 invalidate *1 $1 k");
    server_close();
}

TEST(ones_own_changes_come_behind_the_reply) {
    server_open();
    struct session *s = client_at(3);
    client_check(s, "client tracking on", "+OK");
    client_check(s, "get k", "_");
    client_check(s, "set k 1", "+OK");
    check_pushed("[1] >2 $10 invalidate *1 $1 k");
    client_check(s, "get k", "$1 1");
    bool holds = push_hold(&desk.server, s); /* a transaction */
    EXPECT(holds);
    client_check(s, "set k 2", "+OK");
    client_check(s, "flushdb", "+OK");
    check_pushed("");
    push_release(&desk.server);
    check_pushed("[1] >2 $10 invalidate *1 $1 k >2 $10 invalidate _");
    client_check(s, "client tracking off", "+OK");
    client_check(s, "client tracking on noloop", "+OK");
    client_check(s, "get k", "_");
    client_check(s, "set k 3", "+OK");
    check_pushed("");
    EXPECT_EQ_INT(desk.server.tracking.key_count, 0);
    server_close();
}

TEST(redirection) {
    server_open();
    struct session *reader = client_at(3), *writer = client_at(2), *target = client_at(3);
    client_check(reader, "client tracking on redirect 9",
                 "-ERR The client ID you want redirect to does not exist");
    client_check(reader, "client tracking on redirect x", "-ERR value is not an integer or out of range");
    client_check(reader, "client tracking on redirect 3 redirect 2",
                 "-ERR A client can only redirect to a single other client");
    client_check(reader, "client getredir", ":-1");
    client_check(reader, "client tracking on", "+OK");
    client_check(reader, "client getredir", ":0");
    client_check(reader, "client tracking on redirect 3", "+OK");
    client_check(reader, "client getredir", ":3");
    client_check(reader, "get k", "_");
    client_check(writer, "set k 1", "+OK");
    check_pushed("[3] >2 $10 invalidate *1 $1 k");
    client_check(reader, "get k", "$1 1");
    client_check_has(reader, "client list", "flags=t ");
    client_check_has(reader, "client info", "redir=3 ");
    world_session_close(&world.host, target, false);
    client_check(writer, "set k 2", "+OK");
    check_pushed("[1] >2 $21 tracking-redir-broken :3");
    client_check(reader, "client trackinginfo",
                 "%3 $5 flags ~2 $2 on $15 broken_redirect $8 redirect :3 $8 prefixes *0");
    client_check_has(reader, "client list", "flags=tR ");
    server_close();
}

/* Clients of another node know each other by the ids they have there. */
TEST(ids_are_those_of_the_node_one_is_connected_to) {
    server_open();
    struct session *reader = client_at(3), *target = client_at(3), *stranger = client_at(3);
    reader->forwarded = target->forwarded = stranger->forwarded = true;
    reader->there_node = target->there_node = 77;
    stranger->there_node = 78;
    reader->there_id = 41;
    target->there_id = 42;
    stranger->there_id = 43;
    client_check(reader, "client id", ":41");
    client_check(reader, "client tracking on redirect 43",
                 "-ERR The client ID you want redirect to does not exist");
    client_check(reader, "client tracking on redirect 2",
                 "-ERR The client ID you want redirect to does not exist");
    client_check(reader, "client tracking on redirect 42", "+OK");
    client_check(reader, "client getredir", ":42");
    client_check(reader, "get k", "_");
    client_check(stranger, "set k 1", "+OK");
    check_pushed("[2] >2 $10 invalidate *1 $1 k");
    server_close();
}

TEST(opting_in_and_out) {
    server_open();
    struct session *s = client_at(3), *writer = client_at(2);
    client_check(s, "client caching yes",
                 "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
                 "OPTOUT mode enabled");
    client_check(s, "client tracking on optin", "+OK");
    client_check(s, "client caching no",
                 "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    client_check(s, "client caching maybe", "-ERR syntax error");
    client_check(s, "get a", "_");
    client_check(s, "client caching yes", "+OK");
    client_check(s, "client trackinginfo",
                 "%3 $5 flags ~3 $2 on $5 optin $11 caching-yes $8 redirect :0 $8 prefixes *0");
    tracking_command_taken(s); /* CLIENT itself does not count */
    client_check(s, "get b", "_");
    tracking_command_taken(s);
    client_check(s, "get c", "_");
    client_check(writer, "mset a 1 b 1 c 1", "+OK");
    check_pushed("[1] >2 $10 invalidate *1 $1 b");
    client_check(
        s, "client tracking on optout",
        "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then "
        "re-enabling it with a different mode.");
    client_check(s, "client tracking off", "+OK");
    client_check(s, "client tracking on optout", "+OK");
    client_check(s, "client caching yes",
                 "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    client_check(s, "client caching no", "+OK");
    client_check(s, "get a", "$1 1");
    tracking_command_taken(s);
    client_check(s, "get b", "$1 1");
    client_check(writer, "mset a 2 b 2", "+OK");
    check_pushed("[1] >2 $10 invalidate *1 $1 b");
    server_close();
}

TEST(options_that_contradict_each_other) {
    server_open();
    struct session *s = client_at(3);
    client_check(s, "client tracking", "-ERR wrong number of arguments for 'client|tracking' command");
    client_check(s, "client tracking maybe", "-ERR syntax error");
    client_check(s, "client tracking off whatever", "-ERR syntax error");
    client_check(s, "client tracking on redirect", "-ERR syntax error");
    client_check(s, "client tracking on prefix", "-ERR syntax error");
    client_check(s, "client tracking off", "+OK");
    client_check(s, "client tracking on prefix a", "-ERR PREFIX option requires BCAST mode to be enabled");
    client_check(s, "client tracking on optin bcast", "-ERR OPTIN and OPTOUT are not compatible with BCAST");
    client_check(s, "client tracking on optin optout",
                 "-ERR You can't specify both OPTIN mode and OPTOUT mode");
    client_check(s, "client tracking on bcast prefix foo prefix foobar",
                 "-ERR Prefix 'foo' overlaps with another provided prefix 'foobar'. Prefixes for a single "
                 "client must not overlap.");
    client_check(s, "client tracking on bcast prefix x prefix foo prefix foobar",
                 "-ERR Prefix 'foo' overlaps with another provided prefix 'foobar'. Prefixes for a single "
                 "client must not overlap.");
    EXPECT_EQ_INT(desk.server.tracking.client_count, 0);
    client_check(s, "client tracking on", "+OK");
    client_check(
        s, "client tracking on bcast",
        "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then "
        "re-enabling it with a different mode.");
    client_check(s, "client tracking off", "+OK");
    client_check(s, "client tracking on bcast prefix foo prefix bar", "+OK");
    client_check(s, "client tracking on bcast prefix foobar",
                 "-ERR Prefix 'foobar' overlaps with an existing prefix 'foo'. Prefixes for a single client "
                 "must not overlap.");
    client_check(s, "client tracking on bcast prefix baz noloop", "+OK");
    client_check(
        s, "client trackinginfo",
        "%3 $5 flags ~3 $2 on $5 bcast $6 noloop $8 redirect :0 $8 prefixes *3 $3 bar $3 baz $3 foo");
    EXPECT_EQ_INT(desk.server.tracking.prefix_count, 3);
    client_check(s, "client tracking off", "+OK");
    EXPECT_EQ_INT(desk.server.tracking.prefix_count, 0);
    client_check(s, "client trackinginfo", "%3 $5 flags ~1 $3 off $8 redirect :-1 $8 prefixes *0");
    server_close();
}

TEST(broadcasts) {
    server_open();
    struct session *all = client_at(3), *some = client_at(3), *writer = client_at(2);
    client_check(all, "client tracking on bcast noloop", "+OK");
    client_check(some, "client tracking on bcast prefix a: prefix b:", "+OK");
    client_check(writer, "mset b:2 1 a:1 1 c 1 b:1 1", "+OK");
    client_check(writer, "incr a:1", ":2");
    check_pushed("");
    tracking_broadcast(&desk.server);
    check_pushed("[1] >2 $10 invalidate *4 $3 a:1 $3 b:1 $3 b:2 $1 c "
                 "[2] >2 $10 invalidate *1 $3 a:1 [2] >2 $10 invalidate *2 $3 b:1 $3 b:2");
    tracking_broadcast(&desk.server);
    check_pushed("");
    client_check(all, "set a:3 1", "+OK"); /* NOLOOP: not for itself */
    client_check(all, "get a:3", "$1 1");  /* and nothing is remembered */
    EXPECT_EQ_INT(desk.server.tracking.key_count, 0);
    tracking_broadcast(&desk.server);
    check_pushed("[2] >2 $10 invalidate *1 $3 a:3");
    client_check(all, "set a:3 2", "+OK");
    client_check(writer, "set a:3 3", "+OK"); /* the last one counts */
    tracking_broadcast(&desk.server);
    check_pushed("[1] >2 $10 invalidate *1 $3 a:3 [2] >2 $10 invalidate *1 $3 a:3");
    client_check(writer, "set d 1", "+OK");
    struct session *late = client_at(3);
    client_check(late, "client tracking on bcast prefix d", "+OK"); /* what came before is no news */
    tracking_broadcast(&desk.server);
    check_pushed("[1] >2 $10 invalidate *1 $1 d");
    client_check(writer, "flushall", "+OK");
    check_pushed("[1] >2 $10 invalidate _ [2] >2 $10 invalidate _ [4] >2 $10 invalidate _");
    server_close();
}

TEST(flushes_and_exchanges_void_everything) {
    server_open();
    struct session *s = client_at(3), *writer = client_at(2);
    client_check(s, "client tracking on", "+OK");
    client_check(s, "get a", "_");
    client_check(writer, "flushdb", "+OK");
    check_pushed("[1] >2 $10 invalidate _");
    EXPECT_EQ_INT(desk.server.tracking.key_count, 0);
    client_check(s, "get a", "_");
    client_check(writer, "swapdb 0 1", "+OK");
    check_pushed("[1] >2 $10 invalidate _");
    client_check(writer, "swapdb 1 1", "+OK");
    check_pushed("");
    server_close();
}

TEST(a_key_is_known_by_its_name_in_all_databases) {
    server_open();
    struct session *s = client_at(3), *writer = client_at(2);
    client_check(s, "client tracking on", "+OK");
    client_check(s, "get a", "_");
    client_check(writer, "select 3", "+OK");
    client_check(writer, "set a 1", "+OK");
    check_pushed("[1] >2 $10 invalidate *1 $1 a");
    server_close();
}

TEST(sessions_that_go_are_forgotten) {
    server_open();
    struct session *a = client_at(3), *b = client_at(3), *writer = client_at(2);
    client_check(a, "client tracking on", "+OK");
    client_check(b, "client tracking on redirect 1", "+OK");
    client_check(a, "get k", "_");
    client_check(b, "get k", "_");
    EXPECT_EQ_INT(desk.server.tracking.item_count, 2);
    world_session_close(&world.host, a, false);
    EXPECT_EQ_INT(desk.server.tracking.client_count, 1);
    client_check(writer, "set k 1", "+OK");
    check_pushed("[2] >2 $21 tracking-redir-broken :1");
    client_check(b, "get k", "$1 1");
    world_session_close(&world.host, b, false);
    EXPECT_EQ_INT(desk.server.tracking.key_count, 0); /* nobody is left */
    client_check(writer, "set k 2", "+OK");
    check_pushed("");
    server_close();
}

TEST(the_table_has_a_limit) {
    server_open();
    enum { KEYS = 1000 };
    struct session *s = client_at(3);
    client_check(s, "client tracking on", "+OK");
    for (int i = 0; i < KEYS; i++) {
        char line[32];
        snprintf(line, sizeof line, "get key:%d", i);
        client_check(s, line, "_");
    }
    EXPECT_EQ_INT(desk.server.tracking.key_count, KEYS);
    desk.server.config.tracking_table_max_keys = 0; /* no limit */
    tracking_limit(&desk.server);
    EXPECT_EQ_INT(desk.server.tracking.key_count, KEYS);
    desk.server.config.tracking_table_max_keys = 650;
    tracking_limit(&desk.server); /* a hundred, then two hundred, until it is enough */
    EXPECT_EQ_INT(desk.server.tracking.key_count, KEYS - 100);
    tracking_limit(&desk.server);
    EXPECT_EQ_INT(desk.server.tracking.key_count, KEYS - 300);
    tracking_limit(&desk.server);
    EXPECT_EQ_INT(desk.server.tracking.key_count, 650);
    size_t told = 0;
    for (size_t i = 0; i < world.pushed.len; i++) told += world.pushed.data[i] == '>';
    EXPECT_EQ_INT(told, KEYS - 650);
    server_close();
}

/* Against a table that is too simple to be wrong. */
TEST(many_keys_and_readers) {
    enum { READERS = 6, KEYS = 300, STEPS = 20000 };
    server_open();
    struct session *readers[READERS], *writer = client_at(2);
    static bool knows[READERS][KEYS];
    memset(knows, 0, sizeof knows);
    for (int i = 0; i < READERS; i++) {
        readers[i] = client_at(3);
        client_check(readers[i], "client tracking on", "+OK");
    }
    struct rng rng = {.state = 20261121};
    for (int step = 0; step < STEPS; step++) {
        int key = (int)(rng_next(&rng) % KEYS), who = (int)(rng_next(&rng) % (READERS + 1));
        char line[64];
        buf_clear(&world.pushed);
        if (who < READERS) {
            snprintf(line, sizeof line, "strlen key:%d", key);
            client_run(readers[who], line);
            EXPECT_EQ_INT(world.pushed.len, 0);
            knows[who][key] = true;
            continue;
        }
        snprintf(line, sizeof line, "append key:%d x", key);
        client_run(writer, line);
        char want[1024] = "";
        size_t len = 0;
        for (int i = 0; i < READERS; i++) {
            if (!knows[i][key]) continue;
            char name[32];
            int n = snprintf(name, sizeof name, "key:%d", key);
            len += (size_t)snprintf(want + len, sizeof want - len, "[%llu] >2 $10 invalidate *1 $%d %s ",
                                    (unsigned long long)readers[i]->id, n, name);
            knows[i][key] = false;
        }
        EXPECT_NOTE(world.pushed.len == len && (len == 0 || memcmp(world.pushed.data, want, len) == 0),
                    "step %d: \"%.*s\", want \"%s\"", step, (int)world.pushed.len, world.pushed.data, want);
    }
    server_close();
}

TEST_MAIN
