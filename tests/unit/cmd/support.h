/* A keyspace in a scratch folder and a command line in front of it: what the tests of handlers stand on. Replies are
 * compared as they go over the wire, with a space for each line end:
 *
 *     check("set k v", "+OK");
 *     check("mget k \"no such\"", "*2 $1 v $-1");
 *
 * The clock stands still at `desk.now_ms` until a test moves it. */
#ifndef TESTS_UNIT_CMD_SUPPORT_H
#define TESTS_UNIT_CMD_SUPPORT_H

#include "cmd.h"
#include "resp_parse.h"
#include "script.h"
#include "server.h"
#include "writeback.h"

#include "test.h"

#include "unit/storage/scratch.h"

static struct desk {
    struct scratch folder;
    struct keyspace *ks;
    struct server server;
    struct arena arena;
    struct rng rng;
    struct buf out, line;
    struct slice *argv;
    int argv_cap;
    int db, resp;
    int64_t now_ms;
    struct cmd_wait *wait; /* takes what a command waits for; then it may answer nothing */
} desk;

static void desk_wake(void *arg) {
    (void)arg;
}

static void desk_open_keyspace(void) {
    struct scratch state = scratch_in(&desk.folder, "state");
    struct keyspace_options options = {
        .block_cache_bytes = 1 << 20, .background_threads = 1, .wake = desk_wake};
    struct kv_error error = {""};
    EXPECT_NOTE(ks_open(state.path, &options, &desk.ks, &error) == RC_OK, "%s", error.text);
}

/* The first line of every test. A test that failed before this one left its desk open. */
__attribute__((unused)) static void desk_open(void) {
    if (desk.ks != NULL) ks_close(desk.ks);
    if (desk.folder.path[0] != '\0') scratch_remove(desk.folder.path);
    config_free(&desk.server.config);
    desk.server = (struct server){0};
    config_init(&desk.server.config);
    desk.folder = scratch_new();
    desk.db = 0;
    desk.resp = 2;
    desk.now_ms = INT64_C(1700000000000);
    desk.rng.state = 1;
    desk_open_keyspace();
    desk.server.ks = desk.ks;
    ks_set_clock(desk.ks, (uint32_t)(desk.now_ms / 1000), false);
}

/* The last line of every test. */
__attribute__((unused)) static void desk_close(void) {
    ks_close(desk.ks);
    desk.ks = NULL;
    scratch_remove(desk.folder.path);
    desk.folder.path[0] = '\0';
    if (desk.server.scripts != NULL) script_engine_free(desk.server.scripts);
    arena_free(&desk.server.script_arena);
    config_free(&desk.server.config);
    desk.server = (struct server){0};
    arena_free(&desk.arena);
    buf_free(&desk.out);
    buf_free(&desk.line);
    free(desk.argv);
    desk.argv = NULL;
    desk.argv_cap = 0;
}

/* Everything to disk and out of memory: what comes back has been there and back. */
__attribute__((unused)) static void desk_reload(void) {
    struct kv_error error = {""};
    struct ks_applied applied = ks_applied(desk.ks);
    applied.index++;
    ks_set_applied(desk.ks, applied);
    EXPECT_NOTE(ks_store_all(desk.ks, &error) == RC_OK, "%s", error.text);
    ks_close(desk.ks);
    desk_open_keyspace();
    desk.server.ks = desk.ks;
    ks_set_clock(desk.ks, (uint32_t)(desk.now_ms / 1000), false);
}

/* Runs a command; its whole reply is in desk.out. */
__attribute__((unused)) static void run_args(int argc, const struct slice *argv) {
    const struct command *cmd = command_lookup(argc, argv);
    EXPECT_NOTE(cmd != NULL, "unknown command %.*s", (int)argv[0].len, argv[0].data);
    EXPECT_NOTE(cmd->arity >= 0 ? argc == cmd->arity : argc >= -cmd->arity, "arity of %s", cmd->name);
    struct reply reply;
    buf_clear(&desk.out);
    reply_init(&reply, &desk.out, desk.resp);
    struct cmd_ctx c = {.cmd = cmd,
                        .argc = argc,
                        .argv = argv,
                        .reply = &reply,
                        .ks = desk.ks,
                        .server = &desk.server,
                        .db = desk.db,
                        .now_ms = desk.now_ms,
                        .rng = &desk.rng,
                        .arena = &desk.arena,
                        .wait = desk.wait};
    cmd->fn(&c);
    arena_reset(&desk.arena);
    EXPECT_NOTE(ks_fault(desk.ks) == NULL, "%s", ks_fault(desk.ks));
}

/* Runs a line, quoted as for redis-cli, and returns the reply as text, good until the next run. */
__attribute__((unused)) static const char *run(const char *line) {
    int argc = 0;
    buf_clear(&desk.line);
    EXPECT_NOTE(resp_split_line(slice_of(line), &desk.line, &desk.argv, &desk.argv_cap, &argc), "%s", line);
    run_args(argc, desk.argv);
    size_t n = 0;
    for (size_t i = 0; i < desk.out.len; i++) {
        char ch = desk.out.data[i];
        if (ch == '\r' && i + 1 < desk.out.len && desk.out.data[i + 1] == '\n') {
            ch = ' ';
            i++;
        }
        desk.out.data[n++] = ch;
    }
    if (n == 0) return "";       /* it waits, or goes without an answer */
    desk.out.data[n - 1] = '\0'; /* instead of the last line end */
    desk.out.len = n - 1;
    return desk.out.data;
}

#define check(line, want)                                                                                    \
    do {                                                                                                     \
        const char *check_got = run(line), *check_want = (want);                                             \
        EXPECT_NOTE(strcmp(check_got, check_want) == 0, "%s: got \"%s\", want \"%s\"", line, check_got,      \
                    check_want);                                                                             \
    } while (0)

#endif
