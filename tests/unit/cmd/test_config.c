/* The configuration by name, from files and command lines, and back into files. Error texts are Redis
 * 7.0's. */
#include "config.h"
#include "mem.h"

#include "test.h"

static struct config config;

static void check_set(const char *name, const char *value, const char *shown) {
    const struct config_row *row = config_find(slice_of(name));
    char why[CONFIG_ERROR_CAP] = "";
    struct buf out = {0};
    EXPECT_NOTE(row != NULL, "%s", name);
    EXPECT_NOTE(config_set(&config, row, slice_of(value), why), "%s '%s': %s", name, value, why);
    config_show(&config, row, &out);
    buf_add_byte(&out, '\0');
    EXPECT_NOTE(strcmp(out.data, shown) == 0, "%s '%s': shown as '%s', want '%s'", name, value, out.data,
                shown);
    buf_free(&out);
}

static void check_refused(const char *name, const char *value, const char *want) {
    const struct config_row *row = config_find(slice_of(name));
    char why[CONFIG_ERROR_CAP] = "";
    struct buf before = {0}, after = {0};
    EXPECT_NOTE(row != NULL, "%s", name);
    config_show(&config, row, &before);
    EXPECT_NOTE(!config_set(&config, row, slice_of(value), why), "%s '%s' was taken", name, value);
    EXPECT_NOTE(strcmp(why, want) == 0, "%s '%s': '%s', want '%s'", name, value, why, want);
    config_show(&config, row, &after);
    EXPECT_EQ_SLICE(buf_slice(&after), buf_slice(&before)); /* a refused value changes nothing */
    buf_free(&before);
    buf_free(&after);
}

TEST(values_of_each_kind) {
    config_init(&config);
    check_set("appendonly", "YES", "yes");
    check_set("maxmemory", "1gb", "1073741824");
    check_set("maxmemory", "10MB", "10485760");
    check_set("maxmemory", "2k", "2000");
    check_set("maxmemory", "1b", "1");
    check_set("list-max-listpack-size", "-5", "-5");
    check_set("list-max-ziplist-size", "-4", "-4"); /* the other name of the same */
    EXPECT_EQ_INT(config.list_max_listpack_size, -4);
    check_set("unixsocketperm", "700", "700");
    EXPECT_EQ_INT(config.unixsocketperm, 0700);
    check_set("maxmemory-clients", "5%", "5%");
    check_set("maxmemory-clients", "1mb", "1048576");
    check_set("MaxMemory-Policy", "allkeys-LFU", "allkeys-lfu");
    EXPECT_EQ_INT(config.maxmemory_policy, POLICY_ALLKEYS_LFU);
    check_set("server_cpulist", "0-1", "0-1"); /* a name with an underscore */
    check_set("hz", "0", "1");
    check_set("hz", "1000", "500");
    check_set("requirepass", "a b", "a b");
    config_free(&config);
}

TEST(values_that_are_refused) {
    config_init(&config);
    check_refused("port", "abc", "argument couldn't be parsed into an integer");
    check_refused("port", "010", "argument couldn't be parsed into an integer");
    check_refused("port", "99999", "argument must be between 0 and 65535 inclusive");
    check_refused("maxclients", "0", "argument must be between 1 and 4294967295 inclusive");
    check_refused("maxmemory", "1.5gb", "argument must be a memory value");
    check_refused("maxmemory", "-1", "argument must be a memory value");
    check_set("maxmemory", "", "0"); /* as Redis: no digits are zero */
    check_refused("maxmemory", "99999999999gb", "argument must be a memory value");
    check_refused("maxmemory", "9999999999999999999999", "argument must be a memory value");
    check_refused("appendonly", "maybe", "argument must be 'yes' or 'no'");
    check_refused("loglevel", "x",
                  "argument(s) must be one of the following: debug, verbose, notice, warning");
    check_refused("unixsocketperm", "8", "argument couldn't be parsed as an octal number");
    check_refused("unixsocketperm", "1000", "argument must be between 0 and 777 inclusive");
    check_refused("maxmemory-clients", "200%", "percentage argument must be less or equal to 100");
    check_refused("maxmemory-clients", "xx%", "argument must be a memory or percent value");
    check_refused("cluster-announce-hostname", "a!",
                  "Hostnames may only contain alphanumeric characters, hyphens or dots");
    config_free(&config);
}

TEST(texts_with_rules) {
    config_init(&config);
    check_set("save", "", "");
    check_set("save", "3600 1 300 10", "3600 1 300 10");
    check_refused("save", "1", "Invalid save parameters");
    check_refused("save", "0 1", "Invalid save parameters");
    check_refused("save", "a b", "Invalid save parameters");
    check_refused("save", " 60  10  ", "Invalid save parameters");
    check_set("client-output-buffer-limit", "replica 1mb 2kb 1 normal 1 2 3",
              "normal 1 2 3 slave 1048576 2048 1 pubsub 33554432 8388608 60");
    EXPECT_EQ_INT(config.output_limits[OUTPUT_REPLICA].hard, 1 << 20);
    check_refused("client-output-buffer-limit", "normal 1",
                  "Wrong number of arguments in buffer limit configuration.");
    check_refused("client-output-buffer-limit", "master 1 1 1",
                  "Invalid client class specified in buffer limit configuration.");
    check_refused("client-output-buffer-limit", "normal 5 5 5 replica 1mb 2kb -1",
                  "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    EXPECT_EQ_INT(config.output_limits[OUTPUT_NORMAL].hard, 1);
    check_set("notify-keyspace-events", "KEA", "AKE");
    check_set("notify-keyspace-events", "mn", "nm");
    check_set("notify-keyspace-events", "g$lshzxetdnmKE", "AKEm");
    check_set("notify-keyspace-events", "gxE", "gxE");
    check_refused("notify-keyspace-events", "Q", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    check_refused("oom-score-adj-values", "1", "wrong number of arguments");
    check_refused("oom-score-adj-values", "1 2 3000",
                  "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
    check_set("latency-tracking-info-percentiles", "99.99 50 100 0", "99.99 50 100 0");
    EXPECT_EQ_INT(config.percentile_count, 4);
    check_set("latency-tracking-info-percentiles", "", "");
    check_refused("latency-tracking-info-percentiles", "101",
                  "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    check_set("shutdown-on-sigterm", "force nosave", "nosave force");
    check_refused("shutdown-on-sigterm", "save nosave",
                  "shutdown options SAVE and NOSAVE can't be used simultaneously");
    check_set("cluster-nodes", "10.0.0.1:7000 ::1:7001 [::1]:7002", "10.0.0.1:7000 [::1]:7001 [::1]:7002");
    check_set("cluster-nodes", "", "");
    check_refused("cluster-nodes", "10.0.0.1:7000 10.0.0.2", "argument(s) must be addresses, as host:port");
    check_refused("cluster-nodes", "h:1 h:2 h:1", "an address is there twice");
    check_refused("cluster-nodes",
                  "h:1 h:2 h:3 h:4 h:5 h:6 h:7 h:8 h:9 h:10 h:11 h:12 h:13 h:14 h:15 h:16 h:17",
                  "too many addresses");
    check_refused("join", "h:0", "argument(s) must be addresses, as host:port");
    check_refused("bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "Too many bind addresses specified.");
    config_free(&config);
}

TEST(a_password_may_hold_any_byte) {
    char why[CONFIG_ERROR_CAP];
    config_init(&config);
    const struct config_row *row = config_find(SLICE("requirepass"));
    EXPECT(config_set(&config, row, SLICE("a\0\xff"), why));
    EXPECT_EQ_SLICE(config_text(config.requirepass), SLICE("a\0\xff"));
    EXPECT(!config_set(&config, row, SLICE("\0a"), why)); /* would look like none */
    EXPECT(!config_set(&config, config_find(SLICE("masteruser")), SLICE("a\0"), why));
    config_free(&config);
}

/* --- files and command lines --- */

static const struct {
    const char *path, *content;
} files[] = {
    {"a.conf", "# first\n\nport 7000\r\n  maxmemory   2mb  \nrequirepass \"a b\"\ninclude b.conf\nhz 20"},
    {"b.conf", "hz 10\nsave 900 1\nsave 300 10\n"},
    {"loop.conf", "include loop.conf\n"},
    {"bad.conf", "port 1\nmaxmemory 1zb\n"},
    {"quotes.conf", "requirepass \"x\n"},
    {"unknown.conf", "# no such thing\nfoo bar\n"},
    {"nested.conf", "include bad.conf\n"},
    {"forgotten.conf", "list-max-ziplist-entries 2\n"},
};

static bool read_file(void *arg, const char *path, struct buf *content, char *why) {
    (void)arg;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strcmp(files[i].path, path) != 0) continue;
        buf_add_str(content, files[i].content);
        return true;
    }
    snprintf(why, CONFIG_ERROR_CAP, "No such file or directory");
    return false;
}

enum { ARGS_MAX = 12 };

static bool load(const char *const *args, char *error, size_t cap) {
    char *argv[ARGS_MAX + 1] = {(char *)(size_t) "redraft-server"};
    int argc = 1;
    const char *file = NULL;
    while (args[argc - 1] != NULL) {
        argv[argc] = (char *)(size_t)args[argc - 1];
        argc++;
    }
    config_free(&config);
    config_init(&config);
    return config_load(&config, argc, argv, read_file, NULL, &file, error, cap);
}

#define LOAD(...)                                                                                            \
    do {                                                                                                     \
        char load_error[1024] = "";                                                                          \
        EXPECT_NOTE(load((const char *const[]){__VA_ARGS__, NULL}, load_error, sizeof load_error), "%s",     \
                    load_error);                                                                             \
    } while (0)
#define LOAD_FAILS(want, ...)                                                                                \
    do {                                                                                                     \
        char load_error[1024] = "";                                                                          \
        EXPECT(!load((const char *const[]){__VA_ARGS__, NULL}, load_error, sizeof load_error));              \
        EXPECT_EQ_STR(load_error, want);                                                                     \
    } while (0)

TEST(files) {
    config_init(&config);
    LOAD("a.conf");
    EXPECT_EQ_INT(config.port, 7000);
    EXPECT_EQ_INT(config.maxmemory, 2 << 20);
    EXPECT_EQ_STR(config.requirepass, "a b");
    EXPECT_EQ_INT(config.hz, 20); /* the later line wins, also over an included one */
    EXPECT_EQ_STR(config.save, "900 1 300 10");
    LOAD("a.conf", "--port", "7001", "--save", "60", "5");
    EXPECT_EQ_INT(config.port, 7001);
    EXPECT_EQ_STR(config.save, "900 1 300 10 60 5");
    LOAD("forgotten.conf");
    LOAD_FAILS("bad.conf: line 2: 'maxmemory 1zb': argument must be a memory value", "bad.conf");
    LOAD_FAILS("bad.conf: line 2: 'maxmemory 1zb': argument must be a memory value", "nested.conf");
    LOAD_FAILS("unknown.conf: line 2: 'foo bar': Bad directive or wrong number of arguments", "unknown.conf");
    LOAD_FAILS("quotes.conf: line 1: 'requirepass \"x': Unbalanced quotes in configuration line",
               "quotes.conf");
    LOAD_FAILS("none.conf: cannot be read: No such file or directory", "none.conf");
    LOAD_FAILS("loop.conf: cannot be read: files include each other too deeply", "loop.conf");
    config_free(&config);
}

TEST(command_lines) {
    config_init(&config);
    LOAD("--port", "1", "--maxmemory", "1mb");
    EXPECT_EQ_INT(config.port, 1);
    LOAD("--maxmemory 700mb", "--maxmemory-policy volatile-lru"); /* name and value in one argument */
    EXPECT_EQ_INT(config.maxmemory, 700 << 20);
    LOAD("a.conf", "loglevel", "verbose", "--maxmemory '1mb'"); /* a wrong usage that Redis takes, too */
    EXPECT_EQ_INT(config.loglevel, LOGLEVEL_VERBOSE);
    EXPECT_EQ_INT(config.maxmemory, 1 << 20);
    LOAD("--proc-title-template", "--my--template", "--loglevel",
         "debug"); /* a value may begin with dashes */
    EXPECT_EQ_STR(config.proc_title_template, "--my--template");
    LOAD("--proc-title-template", "--save", "--save", "", "--loglevel", "debug");
    EXPECT_EQ_STR(config.proc_title_template, "--save");
    EXPECT_EQ_STR(config.save, "");
    LOAD("--save", "--loglevel", "verbose"); /* --save with nothing is save "" */
    EXPECT_EQ_STR(config.save, "");
    LOAD("--loglevel", "verbose", "--save");
    EXPECT_EQ_STR(config.save, "");
    LOAD("--shutdown-on-sigint", "nosave", "force", "now", "--shutdown-on-sigterm", "nosave force");
    EXPECT_EQ_STR(config.shutdown_on_sigint, "nosave now force");
    EXPECT_EQ_STR(config.shutdown_on_sigterm, "nosave force");
    LOAD("--requirepass", "a \"b\"\n\x01");
    EXPECT_EQ_STR(config.requirepass, "a \"b\"\n\x01");
    LOAD_FAILS("command line: 'port': wrong number of arguments", "--port");
    LOAD_FAILS("command line: 'port \"6379\" \"6380\"': wrong number of arguments", "--port", "6379", "6380");
    LOAD_FAILS("command line: 'port \"--bla\"': argument couldn't be parsed into an integer", "--port",
               "--bla", "--loglevel", "verbose");
    LOAD_FAILS("command line: 'replicaof \"127.0.0.1\" \"abc\"': Invalid master port", "--replicaof",
               "127.0.0.1", "abc");
    LOAD("--cluster-nodes", "h:1", "h:2", "h:3");
    EXPECT_EQ_STR(config.cluster_nodes, "h:1 h:2 h:3");
    LOAD("--raft-election-timeout", "121"); /* more than twice the heartbeat's 60 */
    LOAD_FAILS("raft-heartbeat-interval (60 ms) must be less than half of raft-election-timeout (120 ms)",
               "--raft-election-timeout", "120");
    config_free(&config);
}

/* --- CONFIG REWRITE --- */

static void check_rewrite(const char *old, const char *want) {
    struct buf out = {0};
    config_rewrite(&config, slice_of(old), SLICE(""), false, &out);
    EXPECT_EQ_SLICE(buf_slice(&out), slice_of(want));
    buf_free(&out);
}

TEST(rewriting_a_file) {
    config_init(&config);
    check_rewrite("", "");
    check_rewrite("# a comment\n\nport 6379\n", "# a comment\n\nport 6379\n");
    check_set("maxmemory", "1gb", "1073741824");
    check_set("requirepass", "a \"b\"", "a \"b\"");
    check_rewrite("# mine\nmaxmemory 1mb\n# end",
                  "# mine\nmaxmemory 1gb\n# end\n"
                  "# Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\\\"\"\n");
    /* What says the same in other words stays as it was written; the heading comes once. */
    check_rewrite("maxmemory 1024mb\n# Generated by CONFIG REWRITE\nrequirepass \"old\"\n",
                  "maxmemory 1024mb\n# Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\\\"\"\n");
    check_set("save", "60 5 30 100", "60 5 30 100");
    check_rewrite("requirepass 'a \"b\"'\nsave 900 1\nmaxmemory 1gb\nsave 300 10\ninclude x\n",
                  "requirepass 'a \"b\"'\nsave 60 5\nsave 30 100\nmaxmemory 1gb\ninclude x\n");
    config_free(&config);
}

/* A file with every value, read again, gives the same values: also those with strange bytes. */
TEST(every_value_survives_a_file) {
    char why[CONFIG_ERROR_CAP], error[1024] = "";
    struct config other;
    struct buf text = {0};
    config_init(&config);
    check_set("save", "", "");
    check_set("client-output-buffer-limit", "pubsub 1 2 3",
              "normal 0 0 0 slave 268435456 67108864 60 pubsub 1 2 3");
    EXPECT(config_set(&config, config_find(SLICE("requirepass")), SLICE("\"\\'# \n\0\xff"), why));
    config_rewrite(&config, SLICE(""), SLICE(""), true, &text);

    /* One option for each line: "--save" and so on. */
    config_init(&other);
    const char *file = NULL;
    char **argv = mem_calloc(1024, sizeof *argv);
    int argc = 1;
    argv[0] = (char *)(size_t) "redraft-server";
    for (char *line = text.data; line < text.data + text.len;) {
        char *end = memchr(line, '\n', (size_t)(text.data + text.len - line));
        argv[argc] = mem_alloc((size_t)(end - line) + 3);
        sprintf(argv[argc++], "--%.*s", (int)(end - line), line);
        line = end + 1;
    }
    EXPECT(argv[1][2] == '#'); /* the heading */
    mem_free(argv[1]);
    argc--;
    memmove(argv + 1, argv + 2, (size_t)(argc - 1) * sizeof *argv);
    EXPECT_NOTE(config_load(&other, argc, argv, read_file, NULL, &file, error, sizeof error), "%s", error);
    for (int i = 0; i < config_count(); i++) {
        struct buf a = {0}, b = {0};
        config_show(&config, config_at(i), &a);
        config_show(&other, config_at(i), &b);
        EXPECT_EQ_SLICE(buf_slice(&b), buf_slice(&a));
        buf_free(&a);
        buf_free(&b);
    }
    for (int i = 1; i < argc; i++) mem_free(argv[i]);
    mem_free(argv);
    buf_free(&text);
    config_free(&config);
    config_free(&other);
}

TEST(names) {
    for (int i = 0; i < config_count(); i++) {
        const struct config_row *row = config_at(i);
        EXPECT(config_find(slice_of(config_name(row))) == row);
        if (config_other_name(row) != NULL) EXPECT(config_find(slice_of(config_other_name(row))) == row);
    }
    EXPECT(config_find(SLICE("max-memory")) == NULL);
    EXPECT(config_find(SLICE("")) == NULL);
}

TEST_MAIN
