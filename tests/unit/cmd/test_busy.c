/* While a script takes long: what is held, what is told, what is let through, and what stops it. */
#include "server_support.h"

#define BUSY "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."

static void script_runs(bool is_overdue, bool is_function) {
    desk.server.script = (struct running_script){.is_running = true,
                                                 .is_overdue = is_overdue,
                                                 .is_function = is_function,
                                                 .is_decided_here = true,
                                                 .cmd = command_by_name(SLICE("get"))};
}

static enum gate gate_of(struct session *s, const char *line) {
    (void)client_run(s, line);
    return world.gate;
}

TEST(before_clients_are_told_they_wait) {
    server_open();
    struct session *s = client_open("127.0.0.1:5");
    script_runs(false, false);
    EXPECT_EQ_INT(gate_of(s, "get k"), GATE_HOLD);
    EXPECT_EQ_INT(gate_of(s, "set k v"), GATE_HOLD);
    EXPECT_EQ_INT(gate_of(s, "ping"), GATE_HOLD);
    client_check(s, "unwatch", "+OK");
    server_close();
}

TEST(then_they_are_told_but_for_what_stops_it) {
    server_open();
    struct session *s = client_open("127.0.0.1:5");
    script_runs(true, false);
    client_check(s, "get k", BUSY);
    client_check(s, "set k v", BUSY);
    client_check(s, "ping", BUSY);
    client_check(s, "get k v", "-ERR wrong number of arguments for 'get' command");
    client_check(s, "multi", "+OK");
    client_check(s, "set k v", BUSY);
    client_check(
        s, "exec",
        "-EXECABORT Transaction discarded because of: BUSY Redis is busy running a script. You can only call "
        "SCRIPT KILL or SHUTDOWN NOSAVE.");
    client_check(s, "shutdown", BUSY);
    client_check(s, "shutdown save", BUSY);
    client_check(s, "script kill", "+OK");
    EXPECT_EQ_INT(world.kills, 1);
    client_check(s, "shutdown nosave", "");
    EXPECT_EQ_INT(world.shutdown_flags, HOST_SHUTDOWN_NOSAVE);
    desk.server.script = (struct running_script){0};
    client_check(s, "get k", "$-1");
    server_close();
}

TEST(each_kind_has_its_own_word) {
    server_open();
    struct session *s = client_open("127.0.0.1:5");
    client_check(s, "script kill", "-NOTBUSY No scripts in execution right now.");
    client_check(s, "function kill", "-NOTBUSY No scripts in execution right now.");
    script_runs(true, false);
    client_check(s, "function kill", BUSY);
    script_runs(true, true);
    client_check(s, "script kill",
                 "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.");
    client_check(s, "get k",
                 "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.");
    EXPECT_EQ_INT(world.kills + world.function_kills, 0);
    client_check(s, "function kill", "+OK");
    EXPECT_EQ_INT(world.function_kills, 1);
    desk.server.script.has_written = true;
    client_check(
        s, "function kill",
        "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either "
        "wait "
        "the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.");
    EXPECT_EQ_INT(world.function_kills, 1);
    server_close();
}

/* A follower in the middle of it sends data's commands where the leader is, answers what needs no state, and nothing about itself.
 * A leader that may not serve yet is the one to ask all the same. */
TEST(elsewhere) {
    server_open();
    struct session *s = client_open("127.0.0.1:5");
    script_runs(true, false);
    desk.server.script.is_decided_here = false;
    desk.server.leadership = LEADERSHIP_THERE;
    snprintf(desk.server.leader_address, sizeof desk.server.leader_address, "h:1");
    EXPECT_EQ_INT(gate_of(s, "get k"), GATE_FORWARD);
    EXPECT_EQ_INT(gate_of(s, "script kill"), GATE_FORWARD);
    client_check(s, "ping", BUSY);
    client_check(s, "select 1", "+OK");
    client_check(s, "echo a", "$1 a");
    client_check(s, "info", BUSY);
    client_check(s, "config set hz 20", BUSY);
    EXPECT_EQ_INT(gate_of(s, "config set lua-time-limit 20"), GATE_FORWARD);
    desk.server.script.is_overdue = false;
    EXPECT_EQ_INT(gate_of(s, "info"), GATE_HOLD);
    desk.server.script.is_overdue = true;
    desk.server.leadership = LEADERSHIP_NOBODY;
    EXPECT_EQ_INT(gate_of(s, "get k"), GATE_NO_LEADER);
    EXPECT_EQ_INT(gate_of(s, "script kill"), GATE_NO_LEADER);
    desk.server.script.is_decided_here = true;
    client_check(s, "get k", BUSY);
    client_check(s, "script kill", "+OK");
    server_close();
}

TEST_MAIN
