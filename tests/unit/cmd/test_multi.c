/* MULTI and WATCH as the gates and the keyspace see them: what is queued, what dooms a transaction, what makes one dirty. */
#include "server_support.h"

#define ABORTED "-EXECABORT Transaction discarded because of previous errors."

TEST(the_queue) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "multi", "+OK");
    client_check(s, "set k v", "+QUEUED");
    client_check(s, "get k", "+QUEUED");
    client_check(s, "unwatch", "+QUEUED");
    client_check(s, "multi", "-ERR MULTI calls can not be nested");
    client_check(s, "watch k", "-ERR WATCH inside MULTI is not allowed");
    client_check(s, "exec", "+clean 3 commands, 1 write, 1 read, db 0");
    EXPECT_EQ_INT(world.gate, GATE_EXEC);
    client_check(s, "exec", "-ERR EXEC without MULTI");
    client_check(s, "discard", "-ERR DISCARD without MULTI");
    client_check(s, "multi", "+OK");
    client_check(s, "select 3", "+QUEUED");
    client_check(s, "select 99", "+QUEUED");
    client_check(s, "select x", "+QUEUED");
    client_check_has(s, "client list", "QUEUED");
    client_check(s, "exec", "+clean 4 commands, 0 write, 0 read, db 3");
    EXPECT_EQ_INT(s->db, 0);
    client_check(s, "get k", "$-1");
    server_close();
}

TEST(what_dooms_it) {
    static const char *const wrong[] = {"nosuch", "get", "save", "config nosuch",
                                        "cluster meet 127.0.0.1 7000"};
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        client_check(s, "multi", "+OK");
        client_check_has(s, wrong[i], "-ERR ");
        client_check(s, "set k v", "+QUEUED");
        client_check(s, "exec", ABORTED);
        EXPECT(!s->transaction.is_open);
    }
    client_check(s, "multi", "+OK");
    client_check(s, "exec x",
                 "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command");
    client_check(s, "exec", "-ERR EXEC without MULTI");
    client_check(s, "multi", "+OK");
    client_check(s, "discard x", "-ERR wrong number of arguments for 'discard' command");
    client_check(s, "exec", ABORTED);
    client_check(s, "multi", "+OK");
    client_check(s, "set k v", "+QUEUED");
    desk.server.refuse_writes = true;
    snprintf(desk.server.refuse_reason, sizeof desk.server.refuse_reason, "full");
    client_check(s, "exec", "-EXECABORT Transaction discarded because of: MISCONF writes are refused: full");
    server_close();
}

TEST(seen_from_outside) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *other = client_open("127.0.0.1:2");
    client_check(s, "watch k", "+OK");
    client_check_has(other, "client list", "flags=N db=0 sub=0 psub=0 ssub=0 multi=-1");
    client_check(s, "multi", "+OK");
    client_check(s, "ping", "+QUEUED");
    client_check_has(other, "client list", "flags=x db=0 sub=0 psub=0 ssub=0 multi=1");
    client_check(other, "set k v", "+OK");
    client_check_has(other, "client list", "flags=xd");
    client_check(s, "reset", "+RESET");
    client_check_has(other, "client list", "flags=N db=0 sub=0 psub=0 ssub=0 multi=-1");
    server_close();
}

/* Whether `change` makes a transaction dirty that watches "w", which holds a string, and "none", which is not there. */
static bool is_conflict(const char *change) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *other = client_open("127.0.0.1:2");
    client_run(other, "set w 1");
    client_run(other, "set x 1");
    client_check(s, "watch w none w", "+OK");
    client_check(s, "multi", "+OK");
    client_run(other, change);
    client_run(s, "exec");
    bool dirty = strncmp(desk.out.data, "+dirty", 6) == 0;
    client_run(other, change); /* nobody watches any more */
    EXPECT(desk.server.watches.key_count == 0);
    server_close();
    return dirty;
}

TEST(conflicts) {
    static const char *const changes[] = {
        "set w 2",       "set none 1",      "del w",        "append w x",    "incr w",      "expire w 100",
        "flushall",      "flushdb",         "rename w y",   "rename x none", "move w 3",    "copy x none",
        "getdel w",      "swapdb 0 3",      "setex w 9 1",  "lpush none a",  "sadd none a", "hset none a b",
        "zadd none 1 a", "xadd none * a b", "pfadd none a",
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        EXPECT_NOTE(is_conflict(changes[i]), "%s", changes[i]);
}

TEST(no_conflicts) {
    static const char *const changes[] = {"set y 1",   "get w",        "del none",  "expire none 9",
                                          "persist w", "setnx w 1",    "lpush w 1", "swapdb 3 4",
                                          "del x",     "lpushx none 1"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        EXPECT_NOTE(!is_conflict(changes[i]), "%s", changes[i]);
}

TEST(expired_keys) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *other = client_open("127.0.0.1:2");
    struct watch_table *w = &desk.server.watches;
    struct transaction *t = &s->transaction;
    client_run(other, "set w 1 px 10");
    client_check(s, "watch w", "+OK");
    EXPECT_EQ_INT(watch_deadline(w, t), desk.now_ms + 10);
    EXPECT(!watch_has_expired(w, t, desk.now_ms + 9));
    EXPECT(watch_has_expired(w, t, desk.now_ms + 10));
    desk.now_ms += 10;
    client_check(s, "unwatch", "+OK");
    client_check(s, "watch w", "+OK"); /* it had expired before */
    EXPECT(!watch_has_expired(w, t, desk.now_ms));
    EXPECT_EQ_INT(watch_deadline(w, t), 0);
    client_run(other, "del w");
    EXPECT(!t->is_dirty);
    client_run(other, "set w 2");
    EXPECT(t->is_dirty);
    server_close();
}

TEST(writes_on_their_way) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *other = client_open("127.0.0.1:2");
    struct watch_table *w = &desk.server.watches;
    desk.server.last_serial = 5;
    client_check(s, "watch a b", "+OK");
    EXPECT_EQ_INT(s->transaction.watch_serial, 5);
    watch_suspect(w, SLICE("c"), 6);
    EXPECT_EQ_INT(s->transaction.watch_serial, 5);
    watch_suspect(w, SLICE("b"), 7);
    EXPECT_EQ_INT(s->transaction.watch_serial, 7);
    watch_suspect(w, (struct slice){0}, 8);
    EXPECT_EQ_INT(s->transaction.watch_serial, 8);
    EXPECT_EQ_INT(other->transaction.watch_serial, 0);
    server_close();
}

static void was_forwarded(struct session *s, const char *line) {
    client_run(s, line);
    EXPECT_EQ_INT(world.gate, GATE_FORWARD);
    int argc = 0;
    EXPECT(resp_split_line(slice_of(line), &desk.line, &desk.argv, &desk.argv_cap, &argc));
    cmd_forwarded(&desk.server, s, command_lookup(argc, desk.argv), argc, desk.argv);
}

/* On a node that does not lead, a session's transaction is at the leader, whatever comes in it. */
TEST(forwarded) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    desk.server.leadership = LEADERSHIP_THERE;
    snprintf(desk.server.leader_address, sizeof desk.server.leader_address, "127.0.0.1:7001");
    was_forwarded(s, "multi");
    static const char *const any[] = {"ping", "nosuch", "get", "select 1", "client id", "exec"};
    for (size_t i = 0; i < sizeof any / sizeof *any; i++) {
        client_run(s, any[i]);
        EXPECT_EQ_INT(world.gate, GATE_FORWARD);
    }
    was_forwarded(s, "exec");
    client_check(s, "ping", "+PONG");
    was_forwarded(s, "watch k");
    client_check(s, "ping", "+PONG");
    desk.server.leadership = LEADERSHIP_HERE; /* its watch was with another leader: that is not forgotten */
    client_run(s, "get k");
    EXPECT_EQ_INT(world.gate, GATE_FORWARD);
    client_check(s, "reset", "+RESET");
    EXPECT(s->is_stale_there);
    client_check(s, "get k", "$-1");
    server_close();
}

/* CLIENT PAUSE WRITE holds the EXEC of what may change something, and each command that may. */
TEST(forwarded_and_paused) {
    static const struct {
        const char *command;
        enum gate exec;
    } rows[] = {
        {"get k", GATE_FORWARD},          {"set k v", GATE_HOLD},
        {"publish c m", GATE_HOLD},       {"eval_ro 'return 1' 0", GATE_FORWARD},
        {"eval 'return 1' 0", GATE_HOLD},
    };
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    desk.server.leadership = LEADERSHIP_THERE;
    snprintf(desk.server.leader_address, sizeof desk.server.leader_address, "127.0.0.1:7001");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        was_forwarded(s, "multi");
        was_forwarded(s, rows[i].command);
        desk.server.pause_until_ms = desk.now_ms + 1000;
        desk.server.pause_writes_only = true;
        client_run(s, "exec");
        EXPECT_NOTE((int)world.gate == (int)rows[i].exec, "%s", rows[i].command);
        client_run(s, rows[i].command);
        EXPECT_NOTE((int)world.gate == (int)rows[i].exec, "%s, by itself", rows[i].command);
        desk.server.pause_writes_only = false;
        client_run(s, "exec");
        EXPECT_EQ_INT(world.gate, GATE_HOLD);
        desk.server.pause_until_ms = 0;
        was_forwarded(s, "exec");
    }
    server_close();
}

/* A pause is of the node that is asked, and a transaction the leader's. */
TEST(pause_from_elsewhere) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "multi", "+OK");
    client_check(s, "client pause 100 write", "+QUEUED");
    client_check(s, "discard", "+OK");
    s->forwarded = true;
    client_check(s, "multi", "+OK");
    client_check(s, "client pause 100 write",
                 "-ERR this command cannot be part of a transaction on a node that does not lead");
    client_check(s, "exec", ABORTED);
    client_check(s, "multi", "+OK");
    client_check(s, "client unpause now", "-ERR wrong number of arguments for 'client|unpause' command");
    client_check(s, "discard", "+OK");
    server_close();
}

/* Settings are a node's own, but what the leader does for the clients of all is the leader's. */
TEST(settings_of_the_leader) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    desk.server.leadership = LEADERSHIP_THERE;
    snprintf(desk.server.leader_address, sizeof desk.server.leader_address, "127.0.0.1:7001");
    was_forwarded(s, "config set Notify-Keyspace-Events KEA");
    was_forwarded(s, "config set hash-max-ziplist-entries 7");
    was_forwarded(s, "function stats");
    client_run(s, "config set hz 20");
    EXPECT_EQ_INT(world.gate, GATE_RUN_ALONE);
    client_run(s, "config set notify-keyspace-events KEA hz 20");
    EXPECT_EQ_INT(world.gate, GATE_RUN_ALONE);
    server_close();
}

TEST(in_cluster_mode) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    desk.server.leadership = LEADERSHIP_THERE;
    desk.server.config.cluster_enabled = true;
    snprintf(desk.server.leader_address, sizeof desk.server.leader_address, "127.0.0.1:7001");
    client_check(s, "multi", "+OK");
    client_check(s, "get foo", "-MOVED 12182 127.0.0.1:7001");
    client_check(s, "exec", ABORTED);
    client_check(s, "watch foo", "-MOVED 12182 127.0.0.1:7001");
    client_check(s, "multi", "+OK");
    client_check(s, "ping", "+QUEUED");
    client_check(s, "exec", "+clean 1 commands, 0 write, 0 read, db 0");
    server_close();
}

TEST_MAIN
