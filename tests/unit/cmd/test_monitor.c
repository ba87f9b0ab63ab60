/* MONITOR: who is told of what, and how it is spelled. */
#include "cmd_block.h"
#include "monitor.h"
#include "server_support.h"

static struct session *watcher, *s;

static void begin(void) {
    static struct cmd_wait wait;
    server_open();
    world.wait = &wait;
    watcher = client_open("127.0.0.1:1");
    s = client_open("10.0.0.1:2");
    client_check(watcher, "monitor", "+OK");
}

static void end(void) {
    server_close();
    EXPECT_EQ_INT(desk.server.monitor_count, 0);
}

/* Without the time. */
static void check_line(const char *want) {
    char got[1024] = "";
    const char *at = world.pushed.len > 0 ? memchr(world.pushed.data, '+', world.pushed.len) : NULL;
    if (at != NULL) {
        const char *space = memchr(at, ' ', world.pushed.len);
        size_t len = world.pushed.len - (size_t)(space + 1 - world.pushed.data);
        snprintf(got, sizeof got, "%.*s", (int)len, space + 1);
    }
    EXPECT_NOTE(strcmp(got, want) == 0, "got \"%s\", want \"%s\"", got, want);
    buf_clear(&world.pushed);
}

TEST(a_command_is_told_of_with_its_database_and_address) {
    begin();
    client_run(s, "set k \"a b\"");
    check_line("[0 10.0.0.1:2] \"set\" \"k\" \"a b\" ");
    client_run(s, "SELECT 3");
    check_line("[3 10.0.0.1:2] \"SELECT\" \"3\" ");
    client_run(s, "set \"\\x00\\n\\t\\xff\" \"\\\\ ' \\\"\"");
    check_line("[3 10.0.0.1:2] \"set\" \"\\x00\\n\\t\\xff\" \"\\\\ ' \\\"\" ");
    s->unix_socket = true;
    client_run(s, "get k");
    check_line("[3 unix:] \"get\" \"k\" ");
    end();
}

TEST(the_line_begins_with_the_time) {
    begin();
    client_run(s, "ping");
    char want[100];
    snprintf(want, sizeof want, "[1] +%lld.%06lld [0 10.0.0.1:2] \"ping\" ", (long long)(desk.now_ms / 1000),
             (long long)(desk.now_ms % 1000 * 1000));
    EXPECT(slice_eq(buf_slice(&world.pushed), slice_of(want)));
    end();
}

TEST(what_is_refused_or_for_administrators_is_not_told) {
    static const char *const lines[] = {"nosuch",      "get",         "config get port",
                                        "client list", "slowlog get", "monitor"};
    begin();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        client_run(s, lines[i]);
        if (i + 1 < sizeof lines / sizeof *lines) check_line("");
    }
    EXPECT_EQ_INT(desk.server.monitor_count, 2);
    end();
}

TEST(secrets_are_not_shown) {
    begin();
    client_run(s, "auth name secret");
    check_line("[0 10.0.0.1:2] \"auth\" \"(redacted)\" \"(redacted)\" ");
    client_run(s, "hello 2 auth name secret setname x");
    check_line("[0 10.0.0.1:2] \"hello\" \"2\" \"auth\" \"(redacted)\" \"(redacted)\" \"setname\" \"x\" ");
    end();
}

TEST(who_monitors_is_told_of_himself_and_has_no_keys) {
    begin();
    client_check(watcher, "ping", "+PONG");
    check_line("[0 127.0.0.1:1] \"ping\" ");
    client_check(watcher, "get k", "-ERR Replica can't interact with the keyspace");
    client_check(watcher, "set k v", "-ERR Replica can't interact with the keyspace");
    client_check(watcher, "monitor", "");
    check_line("");
    client_check_has(s, "client list", "flags=O ");
    end();
}

TEST(reset_and_the_end_of_the_connection_end_it) {
    begin();
    client_check(watcher, "reset", "+RESET");
    client_run(s, "ping");
    check_line("");
    client_check(watcher, "monitor", "+OK");
    world_session_close(&world.host, watcher, false);
    client_run(s, "ping");
    check_line("");
    end();
}

TEST(not_in_a_transaction) {
    begin();
    world.wait = NULL;
    client_check(s, "monitor", "-ERR MONITOR isn't allowed for DENY BLOCKING client");
    end();
}

TEST(a_transaction_is_told_of_as_it_is_executed) {
    begin();
    client_run(s, "multi");
    check_line("[0 10.0.0.1:2] \"multi\" ");
    client_run(s, "get k");
    check_line("");
    client_run(s, "EXec");
    monitor_tell_of(&desk.server, s, command_by_name(SLICE("exec")), 1,
                    &(struct slice){s->exec_word, sizeof s->exec_word}); /* the shell says when */
    check_line("[0 10.0.0.1:2] \"EXec\" ");
    end();
}

TEST_MAIN
