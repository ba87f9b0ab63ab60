/* The gates a command passes, and what is counted behind them. */
#include "server_support.h"

TEST(unknown_commands) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "nosuch", "-ERR unknown command 'nosuch', with args beginning with: ");
    client_check(s, "nosuch a b", "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' ");
    client_check(s, "nosuch \"a\\r\\nb\" \"c\\x00d\"",
                 "-ERR unknown command 'nosuch', with args beginning with: 'a  b' 'c' ");
    client_check(s, "_expire k", "-ERR unknown command '_expire', with args beginning with: 'k' ");
    client_check(s, "client nosuch x", "-ERR unknown subcommand 'nosuch'. Try CLIENT HELP.");
    client_check(s, "client", "-ERR wrong number of arguments for 'client' command");
    client_check(s, "client getname x", "-ERR wrong number of arguments for 'client|getname' command");
    client_check(s, "get", "-ERR wrong number of arguments for 'get' command");
    client_check(s, "get a b", "-ERR wrong number of arguments for 'get' command");
    char line[600] = "nosuch ";
    memset(line + 7, 'x', 300);
    EXPECT(strlen(client_run(s, line)) < 260); /* what is repeated has a bound */
    server_close();
}

TEST(what_goes_where) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "set k v", "+OK");
    EXPECT_EQ_INT(world.gate, GATE_PROPOSE);
    client_check(s, "get k", "$1 v");
    EXPECT_EQ_INT(world.gate, GATE_RUN);
    client_check(s, "ping", "+PONG");
    EXPECT_EQ_INT(world.gate, GATE_RUN_NOW);
    client_run(s, "get");
    EXPECT_EQ_INT(world.gate, GATE_REFUSED);
    server_close();
}

TEST(authentication) {
    server_open();
    client_check(client_open("127.0.0.1:1"), "config set requirepass secret", "+OK");
    struct session *s = client_open("127.0.0.1:2");
    client_check(s, "get k", "-NOAUTH Authentication required.");
    client_check(s, "nosuch", "-ERR unknown command 'nosuch', with args beginning with: ");
    client_check(s, "get",
                 "-ERR wrong number of arguments for 'get' command"); /* as Redis: arity comes first */
    client_check(
        s, "hello 3",
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> "
        "<pass> option can be used to authenticate the client and select the RESP protocol version at the "
        "same time");
    EXPECT_EQ_INT(s->resp, 2);
    client_check(s, "auth wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
    client_check(s, "auth nobody secret", "-WRONGPASS invalid username-password pair or user is disabled.");
    client_check(s, "auth secretx", "-WRONGPASS invalid username-password pair or user is disabled.");
    client_check(s, "auth \"\"", "-WRONGPASS invalid username-password pair or user is disabled.");
    client_check(s, "auth a b c", "-ERR syntax error");
    client_check(s, "get k", "-NOAUTH Authentication required.");
    client_check(s, "auth secret", "+OK");
    client_check(s, "get k", "$-1");
    client_check(s, "reset", "+RESET");
    client_check(s, "get k", "-NOAUTH Authentication required.");
    client_check_has(s, "hello 3 auth default secret setname me", "$6 server $5 redis");
    client_check(s, "client getname", "$2 me");
    EXPECT_EQ_INT(s->resp, 3);
    server_close();
}

TEST(without_a_password) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(
        s, "auth x",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
    client_check(s, "auth default anything", "+OK");
    client_check(s, "auth nobody x", "-WRONGPASS invalid username-password pair or user is disabled.");
    server_close();
}

TEST(a_paused_server_holds) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "client pause 100 write", "+OK");
    client_run(s, "set k v");
    EXPECT_EQ_INT(world.gate, GATE_HOLD);
    client_run(s, "pfcount k"); /* no write, and held by Redis all the same */
    EXPECT_EQ_INT(world.gate, GATE_HOLD);
    client_check(s, "get k", "$-1");
    client_check(s, "client unpause", "+OK");
    EXPECT_EQ_INT(world.unpaused, 1);
    client_check(s, "set k v", "+OK");
    client_check(s, "client pause 100 all", "+OK");
    client_run(s, "get k");
    EXPECT_EQ_INT(world.gate, GATE_HOLD);
    desk.now_ms += 100;
    client_check(s, "get k", "$1 v");
    client_check(s, "client pause 100 write", "+OK");
    client_check(s, "client pause 50 write", "+OK"); /* no shorter than it was */
    desk.now_ms += 60;
    client_run(s, "set k v");
    EXPECT_EQ_INT(world.gate, GATE_HOLD);
    client_check(s, "client unpause", "+OK");
    client_check(s, "client pause x", "-ERR timeout is not an integer or out of range");
    client_check(s, "client pause -1", "-ERR timeout is negative");
    client_check(s, "client pause 9223372036854775807", "-ERR timeout is out of range");
    client_check(s, "client pause 0 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL");
    server_close();
}

TEST(a_disk_that_refuses) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    desk.server.refuse_writes = true;
    strcpy(desk.server.refuse_reason, "no space left");
    client_check(s, "set k v", "-MISCONF writes are refused: no space left");
    client_check(s, "get k", "$-1");
    server_close();
}

TEST(nothing_fits_into_no_memory) {
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.";
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *other = client_open("127.0.0.1:2");
    client_check(s, "set k v", "+OK");
    client_check(s, "multi", "+OK");
    client_check(s, "incr n", "+QUEUED");
    client_check(other, "config set maxmemory 1", "+OK");
    client_check(s, "ping", oom); /* takes memory, too */
    client_check(s, "exec",
                 "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory "
                 "> 'maxmemory'.");
    client_check(s, "set k w", oom);
    client_check(s, "get k", "$1 v");
    client_check(s, "multi", "+OK");
    client_check(s, "discard", "+OK");
    client_check(s, "del k", ":1");
    client_check(other, "config set maxmemory 1kb", "+OK"); /* a cache, however small, bounds no data */
    client_check(s, "set k w", "+OK");
    server_close();
}

TEST(too_few_followers) {
    static const char few[] = "-NOREPLICAS Not enough good replicas to write.";
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    world.cluster.member_count = 3;
    for (uint64_t i = 0; i < 3; i++)
        world.cluster.members[i] = (struct cluster_member){
            .id = i + 1, .is_self = i == 0, .is_connected = i < 2, .heard_ms_ago = 3000};
    client_check(s, "config set min-replicas-to-write 1", "+OK");
    client_check(s, "set k v", "+OK");
    client_check(s, "config set min-replicas-to-write 2", "+OK");
    client_check(s, "set k w", few);
    client_check(s, "get k", "$1 v");
    client_check(s, "multi", "+OK");
    client_check(s, "get k", "+QUEUED");
    client_run(s, "exec");
    EXPECT_EQ_INT(world.gate, GATE_EXEC);
    world.cluster.members[2].is_connected = true;
    client_check(s, "set k w", few); /* counted once for all commands of a moment */
    desk.now_ms++;
    client_check(s, "set k w", "+OK");
    client_check(s, "config set min-replicas-max-lag 2", "+OK");
    desk.now_ms++;
    client_check(s, "set k w", few);
    client_check(s, "config set min-replicas-max-lag 0", "+OK");
    client_check(s, "set k w", "+OK");
    server_close();
}

TEST(modules_are_guarded) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "module list", "*0");
    client_check_has(s, "module load /x.so",
                     "-ERR MODULE command not allowed. If the enable-module-command option");
    client_check_has(s, "module loadex /x.so", "-ERR MODULE command not allowed.");
    client_check_has(s, "module unload x", "-ERR MODULE command not allowed.");
    desk.server.config.enable_module_command = GUARD_YES;
    client_check(s, "module load /x.so", "-ERR Error loading the extension. Please check the server logs.");
    client_check(s, "module unload x", "-ERR Error unloading module: no such module with that name");
    client_check_has(s, "debug sleep 0", "-ERR DEBUG command not allowed.");
    server_close();
}

TEST(debug_is_guarded) {
    static const char refused[] = "-ERR DEBUG command not allowed.";
    server_open();
    struct session *near = client_open("127.0.0.1:1"), *far = client_open("10.0.0.1:1"),
                   *here = client_open("/s:0");
    here->unix_socket = true;
    client_check_has(near, "debug sleep 0", refused);
    desk.server.config.enable_debug_command = GUARD_LOCAL;
    client_check(near, "debug sleep 0", "+OK");
    client_check(here, "debug sleep 0", "+OK");
    client_check_has(far, "debug sleep 0", refused);
    desk.server.config.enable_debug_command = GUARD_YES;
    client_check(far, "debug sleep 0", "+OK");
    server_close();
}

TEST(browsers_are_cut_off) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    uint64_t id = s->id;
    client_check(s, "POST / HTTP/1.1", "");
    EXPECT_EQ_U64(world.closed_id, id);
    s = client_open("127.0.0.1:1");
    id = s->id;
    client_check(s, "Host: x", "");
    EXPECT_EQ_U64(world.closed_id, id);
    server_close();
}

/* --- what is counted --- */

TEST(command_and_error_statistics) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_run(s, "set k v");
    client_run(s, "incr k");
    client_run(s, "incr k");
    client_run(s, "incr");
    client_run(s, "nosuch");
    client_run(s, "auth nobody x");
    client_check_has(s, "info commandstats",
                     "cmdstat_incr:calls=2,usec=10,usec_per_call=5.00,rejected_calls=1,failed_calls=2");
    client_check_has(s, "info errorstats", "errorstat_ERR:count=4 errorstat_WRONGPASS:count=1");
    client_check_has(s, "info stats", "total_error_replies:5");
    client_check_has(s, "info latencystats", "latency_percentiles_usec_incr:p50=5.023,p99=5.023,p99.9=5.023");
    client_check(s, "latency histogram incr nosuch", "*2 $4 incr *4 $5 calls :2 $14 histogram_usec *2 :8 :2");
    client_check(s, "config resetstat", "+OK");
    client_check_has(s, "info errorstats", "# Errorstats");
    EXPECT(strstr(client_run(s, "info commandstats"), "cmdstat_incr") == NULL);
    server_close();
}

TEST(the_slowlog) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "client setname me", "+OK");
    client_check(s, "config set slowlog-log-slower-than 0", "+OK");
    client_check(s, "slowlog reset", "+OK");
    client_check(s, "config set requirepass secret masterauth m hz 10", "+OK");
    client_check(s, "auth secret", "+OK");
    client_check_has(s, "hello 2 auth default secret", "$6 server $5 redis");
    client_check(s, "config set slowlog-log-slower-than -1", "+OK");
    const char *log = client_run(s, "slowlog get -1");
    EXPECT(strstr(log, "secret") == NULL);
    EXPECT(strstr(log, "$4 auth $10 (redacted)") != NULL);
    EXPECT(strstr(log, "$5 hello $1 2 $4 auth $10 (redacted) $10 (redacted)") != NULL);
    EXPECT(strstr(log, "$11 requirepass $10 (redacted) $10 masterauth $10 (redacted) $2 hz $2 10 $11 "
                       "127.0.0.1:1 $2 me") != NULL);
    client_check(s, "slowlog get x", "-ERR count should be greater than or equal to -1");
    client_check(s, "slowlog get -2", "-ERR count should be greater than or equal to -1");
    client_check(s, "config set slowlog-max-len 2", "+OK");
    client_check(s, "slowlog len", ":2");
    client_check(s, "slowlog reset", "+OK");
    client_check(s, "slowlog get", "*0");
    server_close();
}

TEST_MAIN
