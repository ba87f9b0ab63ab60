/* The command table: every row can be found, its key positions agree with its specs, and its documentation
 * is sound. */
#include "command_docs.h"

#include "server_support.h"

#include <ctype.h>

static const struct command *look(const char *a, const char *b) {
    struct slice words[2] = {slice_of(a), b != NULL ? slice_of(b) : SLICE("")};
    return command_lookup(b != NULL ? 2 : 1, words);
}

TEST(every_row_is_found_in_any_case) {
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        char name[COMMAND_NAME_CAP], upper[COMMAND_NAME_CAP];
        size_t len = command_full_name(cmd, name, sizeof name);
        EXPECT_EQ_INT(cmd->id, id);
        EXPECT(cmd->fn != NULL);
        for (size_t i = 0; i <= len; i++) upper[i] = (char)toupper((unsigned char)name[i]);
        EXPECT_NOTE(command_by_full_name(slice_of(name)) == cmd, "%s", name);
        EXPECT_NOTE(command_by_full_name(slice_of(upper)) == cmd, "%s", upper);
        if (cmd->parent != NULL) {
            EXPECT(cmd >= cmd->parent->subcommands);
            EXPECT(cmd < cmd->parent->subcommands + cmd->parent->subcommand_count);
            EXPECT(cmd->subcommand_count == 0);
        }
    }
}

TEST(names_that_are_nearly_there) {
    EXPECT(look("ge", NULL) == NULL);
    EXPECT(look("gett", NULL) == NULL);
    EXPECT(look("", NULL) == NULL);
    EXPECT(look("get ", NULL) == NULL);
    EXPECT(command_by_name(SLICE("get\0")) == NULL);
    EXPECT(command_by_name(SLICE("get\0x")) == NULL);
    EXPECT(look("client", "list") != look("client", NULL));
    EXPECT(look("client", "nosuch") == look("client", NULL)); /* the container itself */
    EXPECT(look("get", "list") == look("get", NULL));
    EXPECT(command_by_full_name(SLICE("get|x")) == NULL);
    EXPECT(command_by_full_name(SLICE("client|nosuch")) == NULL);
    EXPECT(command_by_full_name(SLICE("client|")) == NULL);
    EXPECT(command_by_full_name(SLICE("|list")) == NULL);
}

TEST(ranges_of_keys) {
    static const struct {
        const char *name;
        int first, last, step;
    } want[] = {{"get", 1, 1, 1},     {"mset", 1, -1, 2}, {"mget", 1, -1, 1},  {"rename", 1, 2, 1},
                {"copy", 1, 2, 1},    {"lcs", 1, 2, 1},   {"ping", 0, 0, 0},   {"memory|usage", 2, 2, 1},
                {"object", 0, 0, 0},  {"move", 1, 1, 1},  {"touch", 1, -1, 1}, {"bitop", 2, -1, 1},
                {"pfmerge", 1, -1, 1}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct command *cmd = command_by_full_name(slice_of(want[i].name));
        EXPECT_NOTE(cmd->first_key == want[i].first && cmd->last_key == want[i].last &&
                        cmd->key_step == want[i].step,
                    "%s: %d %d %d", want[i].name, cmd->first_key, cmd->last_key, cmd->key_step);
    }
}

static void check_keys(const char *name, int argc, const char *want) {
    struct key_position at[16];
    char got[128] = "";
    struct slice argv[16] = {0};
    int count = command_keys(command_by_full_name(slice_of(name)), argc, argv, at, 16);
    if (count < 0) strcpy(got, "wrong");
    for (int i = 0; i < count; i++) sprintf(got + strlen(got), "%s%d", i > 0 ? " " : "", at[i].at);
    EXPECT_NOTE(strcmp(got, want) == 0, "%s with %d arguments: '%s', want '%s'", name, argc, got, want);
}

TEST(keys_of_arguments) {
    check_keys("get", 2, "1");
    check_keys("get", 1, "wrong");
    check_keys("get", 3, "wrong");
    check_keys("mget", 4, "1 2 3");
    check_keys("mset", 7, "1 3 5");
    check_keys("mset", 3, "1");
    check_keys("rename", 3, "1 2");
    check_keys("object|encoding", 3, "2");
    check_keys("ping", 1, "");
    struct key_position one[1];
    struct slice many[100] = {0};
    EXPECT_EQ_INT(command_keys(command_by_name(SLICE("del")), 100, many, one, 1),
                  99); /* told even when there is no room */
}

/* The keys of a command with this one spec; words are separated by a space. */
static void check_spec(struct key_spec spec, const char *line, const char *want) {
    spec.flags = "RW";
    struct command cmd = {.name = "test", .arity = -1, .key_specs = &spec, .key_spec_count = 1};
    struct slice argv[16];
    char words[128], got[128] = "";
    int argc = 0;
    strcpy(words, line);
    for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " ")) argv[argc++] = slice_of(w);
    struct key_position at[16];
    int count = command_keys(&cmd, argc, argv, at, 16);
    if (count < 0) strcpy(got, "wrong");
    for (int i = 0; i < count; i++) sprintf(got + strlen(got), "%s%d", i > 0 ? " " : "", at[i].at);
    EXPECT_NOTE(strcmp(got, want) == 0, "'%s': '%s', want '%s'", line, got, want);
}

static void check_migrate(const char *line, const char *want) {
    struct slice argv[16];
    struct key_position at[16];
    char words[128], got[128] = "";
    int argc = 0;
    strcpy(words, line);
    for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " "))
        argv[argc++] = strcmp(w, "-") == 0 ? SLICE("") : slice_of(w);
    int count = command_keys(command_by_name(SLICE("migrate")), argc, argv, at, 16);
    if (count < 0) strcpy(got, "wrong");
    for (int i = 0; i < count; i++) sprintf(got + strlen(got), "%s%d", i > 0 ? " " : "", at[i].at);
    EXPECT_NOTE(strcmp(got, want) == 0, "'%s': '%s', want '%s'", line, got, want);
}

TEST(keys_of_migrate) {
    check_migrate("migrate h 1 k 0 5", "3");
    check_migrate("migrate h 1 k 0 5 copy replace auth keys", "3");
    check_migrate("migrate h 1 - 0 5 auth2 keys keys KEYS a b", "10 11");
    check_migrate("migrate h 1 k 0 5 keys a", "wrong");
    check_migrate("migrate h 1 - 0 5 keys", "wrong");
}

TEST(keys_that_move) {
    struct key_spec counted = {.find = FIND_COUNTED, .first = 1};
    check_spec(counted, "zunion 2 a b", "2 3");
    check_spec(counted, "zunion 1 a b", "2");
    check_spec(counted, "zunion 3 a b", "wrong");
    check_spec(counted, "zunion 0 a", "wrong"); /* none at all */
    check_spec(counted, "zunion -1 a", "wrong");
    check_spec(counted, "zunion x a", "wrong");
    check_spec(counted, "zunion", "wrong");
    check_spec(counted, "zunion 2147483648 a", "wrong");
    struct key_spec store = {.keyword = "STORE", .first = 3, .step = 1};
    check_spec(store, "geo key a store b", "4");
    check_spec(store, "geo store a b STORE c d", "5");
    check_spec(store, "geo key a store", "wrong");
    struct key_spec streams = {.keyword = "STREAMS", .first = 1, .last = -1, .step = 1, .limit = 2};
    check_spec(streams, "xread streams a b 0 0", "2 3");
    check_spec(streams, "xread count 1 streams a 0", "4");
    check_spec(streams, "xread count 1", "wrong");
    struct key_spec backwards = {.keyword = "KEYS", .first = -2, .last = -1, .step = 1};
    check_spec(backwards, "migrate keys x keys a b", "4 5");
    check_spec(backwards, "migrate h a keys", "wrong");
    struct key_spec unknown = {.find = FIND_UNKNOWN};
    check_spec(unknown, "sort a", "wrong");
}

static bool is_any_nodes(const char *name) {
    /* What every node answers by itself, containers with all they hold. A command that is not here is passed on to the
     * leader, which is the safe side: a new one that may be answered anywhere has to be entered, after some thought. */
    static const char *const local[] = {
        "ping",          "echo",           "hello",
        "auth",          "quit",           "reset",
        "select",        "client",         "info",
        "config",        "command",        "time",
        "shutdown",      "debug",          "slowlog",
        "latency",       "save",           "bgsave",
        "lastsave",      "bgrewriteaof",   "role",
        "cluster",       "readonly",       "readwrite",
        "asking",        "replicaof",      "slaveof",
        "raft.cluster",  "raft.node|help", "sentinel",
        "memory|doctor", "memory|stats",   "memory|malloc-stats",
        "memory|purge",  "memory|help",    "object|help",
        "pfselftest",    "xgroup|help",    "xinfo|help",
        "unsubscribe",   "punsubscribe",   "sunsubscribe",
        "pubsub|help",   "acl|cat",        "acl|genpass",
        "acl|help",      "acl|log",        "acl|save",
        "acl|whoami",    "monitor",        "script|debug",
        "script|help",   "function|help",  "module",
    };
    static const char *const leaders[] = {
        "cluster|meet",          "cluster|forget",    "cluster|countkeysinslot",
        "cluster|getkeysinslot", "sentinel|failover", "client|tracking"};
    for (size_t i = 0; i < sizeof leaders / sizeof leaders[0]; i++) {
        if (strcmp(name, leaders[i]) == 0) return false;
    }
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        size_t len = strlen(local[i]);
        if (strncmp(name, local[i], len) == 0 && (name[len] == '\0' || name[len] == '|')) return true;
    }
    return false;
}

TEST(what_is_not_the_leaders_is_listed) {
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        char name[COMMAND_NAME_CAP];
        command_full_name(cmd, name, sizeof name);
        if (cmd->subcommand_count > 0) continue; /* only ever an error */
        EXPECT_NOTE(((cmd->flags & CMD_NEEDS_LEADER) == 0) == is_any_nodes(name), "%s", name);
    }
}

/* Whoever writes a row of commands.def writes one of command_docs.def, too, and its notation can be read. */
TEST(everything_shown_is_documented) {
    struct buf out = {0};
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        char name[COMMAND_NAME_CAP];
        command_full_name(cmd, name, sizeof name);
        if (cmd->flags & (CMD_HIDDEN | CMD_INTERNAL)) continue;
        EXPECT_NOTE(cmd->doc != NULL, "%s is not documented", name);
        EXPECT(cmd->doc->summary[0] != '\0');
        struct reply reply;
        buf_clear(&out);
        reply_init(&reply, &out, 3);
        command_doc_arguments(&reply, cmd->doc->arguments);
        EXPECT(out.len > 0);
    }
    buf_free(&out);
}

TEST(arguments_are_unfolded) {
    struct buf out = {0};
    struct reply reply;
    reply_init(&reply, &out, 3);
    command_doc_arguments(&reply, "a=key@1 b=oneof'T t'?*+~1.2!3.4{c=integer}");
    EXPECT_EQ_SLICE(
        buf_slice(&out),
        SLICE("*2\r\n%3\r\n$4\r\nname\r\n$1\r\na\r\n$4\r\ntype\r\n$3\r\nkey\r\n$14\r\nkey_spec_index\r\n"
              ":1\r\n%7\r\n$4\r\nname\r\n$1\r\nb\r\n$4\r\ntype\r\n$5\r\noneof\r\n$5\r\ntoken\r\n$3\r\nT t"
              "\r\n$5\r\nsince\r\n$3\r\n1.2\r\n$16\r\ndeprecated_since\r\n$3\r\n3.4\r\n$5\r\nflags\r\n~3"
              "\r\n+optional\r\n+multiple\r\n+multiple_token\r\n$9\r\narguments\r\n*1\r\n%2\r\n$4\r\nname"
              "\r\n$1\r\nc\r\n$4\r\ntype\r\n$7\r\ninteger\r\n"));
    buf_free(&out);
}

/* --- COMMAND --- */

TEST(what_command_says) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "command info nosuch", "*1 $-1");
    client_check(s, "command info client|nosuch", "*1 $-1");
    client_check(s, "command info client|setinfo", "*1 $-1"); /* answered, not shown */
    client_check(s, "command info _expire", "*1 $-1");
    client_check(
        s, "command info get",
        "*1 *10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 *1 *6 $5 flags *2 +RO "
        "+access $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 $9 find_keys *4 $4 type $5 "
        "range "
        "$4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 *0");
    client_check(s, "command getkeys mset a 1 b 2", "*2 $1 a $1 b");
    client_check(s, "command getkeys get a b", "-ERR Invalid number of arguments specified for command");
    client_check(s, "command getkeys nosuch a", "-ERR Invalid command specified");
    client_check(s, "command getkeys ping a", "-ERR The command has no key arguments");
    client_check(s, "command getkeysandflags set a b", "*1 *2 $1 a *2 +OW +update");
    client_check(s, "command getkeysandflags set a b get", "*1 *2 $1 a *3 +RW +access +update");
    client_check(s, "command getkeysandflags bitfield a overflow sat get u8 0", "*1 *2 $1 a *2 +RO +access");
    client_check(s, "command getkeysandflags bitfield a get u8 0 set u8 0 1",
                 "*1 *2 $1 a *3 +RW +access +update");
    client_check(s, "command getkeysandflags bitfield a get u8", "*1 *2 $1 a *3 +RW +access +update");
    client_check(s, "command getkeys bitop and a b c", "*3 $1 a $1 b $1 c");
    client_check(s, "command list filterby pattern mse*", "*2 $4 mset $6 msetnx");
    client_check(s, "command list filterby aclcat TRANSACTION",
                 "*5 $5 multi $4 exec $7 discard $5 watch $7 unwatch");
    client_check(s, "command list filterby module x", "*0");
    client_check(s, "command list filterby foo x", "-ERR syntax error");
    client_check(s, "command docs nosuch", "*0");
    server_close();
}

TEST_MAIN
