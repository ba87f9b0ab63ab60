/* Scripts as commands: what EVAL and its kind check, which commands a script may call, where it runs, and what is counted. */
#include "server_support.h"

#include <stdarg.h>

#define SHA_OF_RETURN_1 "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"

TEST(arguments) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "eval \"return 1\" x", "-ERR value is not an integer or out of range");
    client_check(s, "eval \"return 1\" -1", "-ERR Number of keys can't be negative");
    client_check(s, "eval \"return 1\" 2 a", "-ERR Number of keys can't be greater than number of args");
    client_check(s, "eval \"return {KEYS[1],ARGV[1],#KEYS,#ARGV}\" 1 a b c", "*4 $1 a $1 b :1 :2");
    client_check(s, "evalsha xx y", "-NOSCRIPT No matching script. Please use EVAL.");
    client_check(s, "evalsha " SHA_OF_RETURN_1 " y", "-ERR value is not an integer or out of range");
    client_check(s, "eval \"return +\" 0",
                 "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '+'");
    client_check(s, "eval \"#!lua flags=x\nreturn 1\" 0", "-ERR Unexpected flag in script shebang: x");
    server_close();
}

TEST(what_is_kept) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "evalsha " SHA_OF_RETURN_1 " 0", "-NOSCRIPT No matching script. Please use EVAL.");
    client_check(s, "script exists " SHA_OF_RETURN_1, "*1 :0");
    client_check(s, "script load \"return 1\"", "$40 " SHA_OF_RETURN_1);
    EXPECT_EQ_INT(world.gate, GATE_PROPOSE);
    client_check(s, "script exists " SHA_OF_RETURN_1 " x E0E1F9FABFC9D4800C877A703B823AC0578FF8DB",
                 "*3 :1 :0 :1");
    client_check(s, "evalsha E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0", ":1");
    client_check(s, "eval \"return 2\" 0", ":2");
    client_check(s, "evalsha 7f923f79fe76194c868d7e1d0820de36700eb649 0", ":2");
    client_check_has(s, "info memory", "number_of_cached_scripts:2");
    client_check(s, "script flush nonsense", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    client_check(s, "script flush", "+OK");
    client_check(s, "script exists " SHA_OF_RETURN_1, "*1 :0");
    client_check(s, "evalsha " SHA_OF_RETURN_1 " 0", "-NOSCRIPT No matching script. Please use EVAL.");
    client_check_has(s, "info memory", "number_of_cached_scripts:0");
    server_close();
}

static bool changes_nothing(int argc, ...) {
    struct slice argv[8];
    va_list words;
    va_start(words, argc);
    for (int i = 0; i < argc; i++) argv[i] = slice_of(va_arg(words, const char *));
    va_end(words);
    return cmd_changes_nothing(command_lookup(argc, argv), desk.ks, 0, argc, argv);
}

/* What surely writes nothing, not even its own text, is in no log. */
TEST(what_needs_no_log) {
    static const char reader[] = "#!lua flags=no-writes\nreturn 3";
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    EXPECT(!changes_nothing(3, "eval", "return 1", "0"));
    EXPECT(!changes_nothing(3, "eval", reader, "0"));
    EXPECT(!changes_nothing(3, "eval_ro", "return 1", "0"));
    EXPECT(changes_nothing(3, "evalsha", SHA_OF_RETURN_1, "0"));
    EXPECT(changes_nothing(3, "evalsha_ro", SHA_OF_RETURN_1, "0"));
    client_check(s, "eval_ro \"return 1\" 0", ":1");
    client_check(s, "eval \"#!lua flags=no-writes\nreturn 3\" 0", ":3");
    EXPECT(!changes_nothing(3, "eval", "return 1", "0"));
    EXPECT(changes_nothing(3, "eval", reader, "0"));
    EXPECT(changes_nothing(3, "eval_ro", "return 1", "0"));
    EXPECT(!changes_nothing(3, "evalsha", SHA_OF_RETURN_1, "0"));
    EXPECT(changes_nothing(3, "evalsha_ro", SHA_OF_RETURN_1, "0"));
    server_close();
}

static void check_refused(struct session *s, const char *call, const char *error) {
    char line[200];
    snprintf(line, sizeof line, "eval \"return redis.pcall(%s)\" 0", call);
    client_check(s, line, error);
}

TEST(commands_of_scripts) {
    static const char *const refused[] = {"'multi'",
                                          "'subscribe','a'",
                                          "'eval','return 1','0'",
                                          "'blpop','a','0'",
                                          "'info'",
                                          "'lastsave'",
                                          "'role'",
                                          "'object','freq','a'",
                                          "'memory','usage','a'",
                                          "'config','get','a'",
                                          "'cluster','nodes'",
                                          "'debug','jmap'"};
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        check_refused(s, refused[i], "-ERR This Redis command is not allowed from script");
    check_refused(s, "'nosuch'", "-ERR Unknown Redis command called from script");
    check_refused(s, "'config','nosuch'", "-ERR Unknown Redis command called from script");
    check_refused(s, "'_expire','a'", "-ERR Unknown Redis command called from script");
    check_refused(s, "'get'", "-ERR Wrong number of args calling Redis command from script");
    check_refused(s, "'set','a','b'", "+OK");
    check_refused(s, "'time'", "*2 $10 1700000000 $1 0");
    check_refused(s, "'publish','a','b'", ":0");
    client_check_has(s, "eval_ro \"return redis.call('info')\" 0", "is not allowed from script script: ");
    server_close();
}

TEST(reading_scripts_do_not_write) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "eval_ro \"return redis.pcall('set','a','b')\" 0",
                 "-ERR Write commands are not allowed from read-only scripts.");
    client_check(s, "eval_ro \"return redis.pcall('publish','a','b')\" 0",
                 "-ERR Write commands are not allowed from read-only scripts.");
    client_check(s, "eval \"#!lua flags=no-writes\nreturn redis.pcall('set','a','b')\" 0",
                 "-ERR Write commands are not allowed from read-only scripts.");
    client_check(s, "eval_ro \"#!lua\nreturn 1\" 0",
                 "-ERR Can not execute a script with write flag using *_ro command.");
    client_check(s, "eval_ro \"return redis.call('get','a')\" 0", "$-1");
    server_close();
}

TEST(databases_and_protocols) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check_has(
        s, "eval \"redis.call('select',3) redis.call('set','a','b') return redis.call('select',99)\" 0",
        "-ERR DB index is out of range script: ");
    EXPECT_EQ_INT(s->db, 0);
    client_check(s, "get a", "$-1");
    client_check(s, "select 3", "+OK");
    client_check(s, "get a", "$1 b");
    client_check(s, "hset h f v", ":1");
    client_check(s, "eval \"return redis.call('hgetall','h')\" 0", "*2 $1 f $1 v");
    client_check(s, "eval \"redis.setresp(3) return redis.call('hgetall','h')\" 0", "*2 $1 f $1 v");
    s->resp = 3;
    client_check(s, "eval \"return redis.call('hgetall','h')\" 0", "*2 $1 f $1 v");
    client_check(s, "eval \"redis.setresp(3) return redis.call('hgetall','h')\" 0", "%1 $1 f $1 v");
    server_close();
}

TEST(what_is_terms) {
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.";
    static const char set[] = "eval \"return redis.pcall('set','k','v')\" 0";
    static const char flagged[] =
        "-OOM allow-oom flag is not set on the script, can not run it when used memory > "
        "'maxmemory'";
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "config set maxmemory 1", "+OK");
    client_check(s, set, oom);
    client_check(s, "eval \"return redis.call('get','k')\" 0", "$-1");
    client_check(s, "eval \"redis.call('del','k') return redis.call('set','k','v')\" 0",
                 "+OK"); /* it has begun */
    client_check(s, "eval \"#!lua\nreturn 1\" 0", flagged);
    client_check(s, "eval \"#!lua flags=no-writes\nreturn 1\" 0", ":1");
    client_check(s, "eval \"#!lua flags=allow-oom\nreturn redis.call('set','k','v')\" 0", "+OK");
    client_check(s, "config set maxmemory 0 min-replicas-to-write 1", "+OK");
    client_check(s, set, "-NOREPLICAS Not enough good replicas to write.");
    client_check(s, "eval \"return redis.call('get','k')\" 0", "$1 v");
    client_check(s, "eval \"#!lua\nreturn 1\" 0", "-NOREPLICAS Not enough good replicas to write.");
    client_check(s, "eval \"#!lua flags=no-writes\nreturn 1\" 0", ":1");
    server_close();
}

/* Only what says the same on every node, and only when the leader allows it. */
TEST(debug_in_scripts) {
    static const char refused[] = "-ERR This Redis command is not allowed from script";
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    desk.server.config.enable_debug_command = GUARD_YES;
    client_check_has(s, "eval \"return redis.call('debug','protocol','integer')\" 0", refused);
    client_check(s, "debug set-disable-deny-scripts 1", "+OK");
    client_check(s, "eval \"return redis.call('debug','protocol','integer')\" 0", ":12345");
    client_check_has(s, "eval \"return redis.call('debug','sleep','0')\" 0", refused);
    client_check(s, "debug set-disable-deny-scripts 0", "+OK");
    client_check_has(s, "eval \"return redis.call('debug','protocol','integer')\" 0", refused);
    server_close();
}

TEST(what_is_counted) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "set k v", "+OK");
    client_check(s, "config resetstat", "+OK");
    (void)client_run(s,
                     "eval \"redis.pcall('incr','k') redis.call('get','k') return redis.call('nosuch')\" 0");
    (void)client_run(s, "eval \"redis.call('get')\" 0");
    (void)client_run(s, "eval \"error('x')\" 0");
    const char *info = client_run(s, "info commandstats");
    EXPECT(strstr(info, "cmdstat_get:calls=1,") != NULL);
    EXPECT(strstr(info, "cmdstat_incr:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1") !=
           NULL);
    EXPECT(strstr(info, "cmdstat_eval:calls=3,usec=15,usec_per_call=5.00,rejected_calls=0,failed_calls=1") !=
           NULL);
    info = client_run(s, "info errorstats");
    EXPECT_NOTE(strstr(info, "errorstat_ERR:count=4") != NULL, "%s", info);
    server_close();
}

/* Each run draws other numbers, as its entry's seed has it; the same seed, the same numbers. */
TEST(random_numbers_are_the_entrys) {
    char first[64];
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    desk.rng.state = 7;
    snprintf(first, sizeof first, "%s", client_run(s, "eval \"return tostring(math.random())\" 0"));
    EXPECT(strcmp(client_run(s, "eval \"return tostring(math.random())\" 0"), first) != 0);
    desk.rng.state = 7;
    client_check(s, "eval \"return tostring(math.random())\" 0", first);
    server_close();
}

/* A page of SCAN ends where keys say so, a collection comes whole: neither depends on what lies in memory how. */
TEST(scans_within_scripts) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    for (int i = 0; i < 1000; i++) {
        char line[64];
        snprintf(line, sizeof line, "sadd set member:%d", i);
        client_check(s, line, ":1");
        snprintf(line, sizeof line, "set key:%d x", i);
        client_check(s, line, "+OK");
    }
    client_check(
        s,
        "eval \"local n, c, most = 0, '0', 0 repeat local r = redis.call('scan', c, 'count', 7) c = r[1] "
        "n = n + #r[2] if #r[2] > most then most = #r[2] end until c == '0' return {n, most}\" 0",
        "*2 :1001 :7");
    client_check(s, "eval \"local r = redis.call('sscan', 'set', '5') return {r[1], #r[2]}\" 0",
                 "*2 $1 0 :1000");
    server_close();
}

TEST_MAIN
