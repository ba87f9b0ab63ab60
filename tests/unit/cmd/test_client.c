/* Sessions: greeting, names, lists, who may be closed, silence. */
#include "server_support.h"

TEST(greetings) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "hello 4", "-NOPROTO unsupported protocol version");
    client_check(s, "hello x", "-ERR Protocol version is not an integer or out of range");
    client_check(s, "hello 3 foo", "-ERR Syntax error in HELLO option 'foo'");
    client_check(s, "hello 3 auth a", "-ERR Syntax error in HELLO option 'auth'");
    client_check(s, "hello 3 setname \"a b\"",
                 "-ERR Client names cannot contain spaces, newlines or special characters.");
    EXPECT_EQ_INT(s->resp, 2); /* an error changes nothing */
    client_check(
        s, "hello",
        "*14 $6 server $5 redis $7 version $6 7.0.15 $5 proto :2 $2 id :1 $4 mode $10 standalone $4 role $6 "
        "master $7 modules *0");
    client_check(
        s, "hello 3",
        "%7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :1 $4 mode $10 standalone $4 role $6 "
        "master $7 modules *0");
    client_check(s, "client getname", "_");
    client_check_has(s, "hello 2 setname me", "$5 proto :2");
    client_check(s, "client getname", "$2 me");
    client_check(s, "client setname \"\"", "+OK");
    client_check(s, "client getname", "$-1");
    server_close();
}

TEST(small_talk) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "ping", "+PONG");
    client_check(s, "ping a", "$1 a");
    client_check(s, "ping a b", "-ERR wrong number of arguments for 'ping' command");
    client_check(s, "echo \"a b\"", "$3 a b");
    client_check(s, "select 15", "+OK");
    EXPECT_EQ_INT(s->db, 15);
    client_check(s, "select 16", "-ERR DB index is out of range");
    client_check(s, "select -1", "-ERR DB index is out of range");
    client_check(s, "select x", "-ERR value is not an integer or out of range");
    client_check(s, "select 4294967296",
                 "-ERR value is out of range, value must between -2147483648 and 2147483647");
    client_check(s, "time", "*2 $10 1700000000 $3 123");
    client_check(s, "wait 0 0", ":0");
    client_check(s, "wait 1 -1", "-ERR timeout is negative");
    client_check(s, "wait a 0", "-ERR value is not an integer or out of range");
    client_check(s, "wait 0 a", "-ERR timeout is not an integer or out of range");
    client_check(s, "client id", ":1");
    client_check(s, "reset", "+RESET");
    EXPECT_EQ_INT(s->db, 0);
    EXPECT(!s->close_after_reply);
    client_check(s, "quit", "+OK");
    EXPECT(s->close_after_reply);
    server_close();
}

TEST(lists) {
    server_open();
    struct session *a = client_open("127.0.0.1:1001"), *b = client_open("127.0.0.1:1002");
    desk.now_ms += 2500;
    client_check(b, "client setname bee", "+OK");
    client_check(b, "select 3", "+OK");
    client_check(
        a, "client list id 2 77",
        "$247 id=2 addr=127.0.0.1:1002 laddr=127.0.0.1:6379 fd=0 name=bee age=2 idle=0 flags=N db=3 sub=0 "
        "psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 "
        "tot-mem=0 events=r cmd=select user=default redir=-1 resp=2\n");
    client_check_has(a, "client list", "\nid=2 ");
    client_check_has(a, "client list type normal", "id=1 ");
    client_check_has(a, "client info", "qbuf=26 "); /* the command that is running */
    client_check_has(a, "client info", " cmd=client|info ");
    client_check(a, "client list type pubsub", "$0 ");
    client_check(a, "client list type foo", "-ERR Unknown client type 'foo'");
    client_check(a, "client list id x", "-ERR Invalid client ID");
    client_check(a, "client list id", "-ERR syntax error");
    client_check(a, "client list foo", "-ERR syntax error");
    /* Newer clients introduce their library; a list that nobody did this in looks like 7.0's. */
    EXPECT(strstr(client_run(a, "client list"), "lib-") == NULL);
    client_check(b, "client setinfo LIB-NAME redis-py", "+OK");
    client_check(b, "client setinfo lib-ver 8.0", "+OK");
    client_check(b, "client setinfo lib-ver \"8 0\"",
                 "-ERR lib-ver cannot contain spaces, newlines or special characters.");
    client_check(b, "client setinfo lib-foo x", "-ERR Unrecognized option 'lib-foo'");
    client_check_has(a, "client list id 2", "resp=2 lib-name=redis-py lib-ver=8.0\n");
    server_close();
}

TEST(closing_others) {
    server_open();
    struct session *me = client_open("127.0.0.1:1");
    client_open("127.0.0.1:2");
    client_open("127.0.0.1:3");
    client_open("127.0.0.1:4");
    client_check(me, "client kill 127.0.0.1:9", "-ERR No such client");
    client_check(me, "client kill 127.0.0.1:2", "+OK");
    EXPECT_EQ_U64(world.closed_id, 2);
    client_check(me, "client kill id 2", ":0");
    client_check(me, "client kill id 3 addr 127.0.0.1:4", ":0"); /* all filters must match */
    client_check(me, "client kill id 3 addr 127.0.0.1:3", ":1");
    EXPECT_EQ_U64(world.closed_id, 3);
    client_check(me, "client kill id x", "-ERR client-id should be greater than 0");
    client_check(me, "client kill id 0", "-ERR client-id should be greater than 0");
    client_check(me, "client kill type x", "-ERR Unknown client type 'x'");
    client_check(me, "client kill user nobody", "-ERR No such user 'nobody'");
    client_check(me, "client kill skipme maybe", "-ERR syntax error");
    client_check(me, "client kill foo bar", "-ERR syntax error");
    client_check(me, "client kill addr 1 laddr", "-ERR syntax error");
    client_check(me, "client kill type normal", ":1"); /* the last but me */
    EXPECT_EQ_U64(world.closed_id, 4);
    EXPECT(!me->close_after_reply);
    client_check(me, "client kill type normal skipme no", ":1");
    EXPECT(me->close_after_reply); /* with its answer */
    EXPECT_EQ_U64(desk.server.session_count, 1);
    server_close();
}

TEST(silence) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "client reply off", "");
    EXPECT_EQ_INT(s->reply_mode, SESSION_REPLY_OFF);
    client_check(s, "client reply skip", "");
    EXPECT_EQ_INT(s->reply_mode, SESSION_REPLY_OFF);
    client_check(s, "client reply on", "+OK");
    client_check(s, "client reply skip", "");
    EXPECT_EQ_INT(s->reply_mode, SESSION_REPLY_SKIP_NEXT);
    client_check(s, "client reply foo", "-ERR syntax error");
    client_check(s, "client no-evict on", "+OK");
    client_check_has(s, "client info", " flags=e ");
    client_check(s, "client no-evict foo", "-ERR syntax error");
    server_close();
}

TEST(what_is_not_here_yet) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "client getredir", ":-1");
    client_check(s, "client trackinginfo", "*6 $5 flags *1 $3 off $8 redirect :-1 $8 prefixes *0");
    server_close();
}

TEST(who_waits_is_shown_and_unblocked) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *other = client_open("127.0.0.1:2");
    char line[64];
    client_check(s, "client unblock 1", ":0");
    client_check(s, "client unblock 99", ":0");
    other->is_blocked = true;
    desk.server.blocked_count = 1;
    client_check_has(s, "client list", " flags=b ");
    client_check_has(s, "info clients", "blocked_clients:1");
    snprintf(line, sizeof line, "client unblock %d", (int)other->id);
    client_check(s, line, ":1");
    EXPECT(!world.unblocked_with_error);
    client_check(s, line, ":0");
    other->is_blocked = true;
    snprintf(line, sizeof line, "client unblock %d error", (int)other->id);
    client_check(s, line, ":1");
    EXPECT(world.unblocked_with_error);
    client_check(s, "client unblock x", "-ERR value is not an integer or out of range");
    client_check(s, "client unblock 1 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    server_close();
}

TEST_MAIN
