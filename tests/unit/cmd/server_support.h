/* The desk of support.h with a host that only remembers what it was asked, and sessions whose commands pass
 * the gates:
 *
 *     struct session *s = client_open("127.0.0.1:1000");
 *     client_check(s, "client setname x", "+OK");
 */
#ifndef TESTS_UNIT_CMD_SERVER_SUPPORT_H
#define TESTS_UNIT_CMD_SERVER_SUPPORT_H

#include "cmd_nothing.h"
#include "dispatch.h"
#include "mem.h"
#include "script.h"
#include "terms.h"

#include "support.h"

static struct world {
    struct host host;
    const char *refused_name; /* the host refuses changes of this value */
    char changed[512];        /* names the host heard of, each with a space behind it */
    struct buf file;          /* the only file there is */
    struct buf pushed;        /* what sessions were sent unasked: "<id> <bytes> " */
    uint64_t closed_id;       /* the last session that was closed */
    bool unblocked_with_error;
    int64_t replicas;      /* how many others have everything */
    struct cmd_wait *wait; /* takes what a command waits for */
    int kills, function_kills, unpaused, reloads, saves, slept_us, shutdown_flags;
    enum rc shutdown_rc;
    uint64_t random;
    struct cluster_state cluster;
    struct host_request request; /* the last one */
    char request_addresses[512]; /* of that one, each with a space behind it */
    int requests;
    bool answers_later; /* requests are not answered at once */
    enum gate gate;     /* of the last command */
} world;

static void world_session_close(struct host *h, struct session *s, bool after_reply) {
    (void)h;
    (void)after_reply;
    world.closed_id = s->id;
    session_close(&desk.server, s);
    mem_free(s);
}
static void world_session_push(struct host *h, struct session *s, struct slice bytes) {
    (void)h;
    buf_printf(&world.pushed, "[%llu] ", (unsigned long long)s->id);
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != '\r')
            buf_add_byte(&world.pushed, (uint8_t)(bytes.data[i] == '\n' ? ' ' : bytes.data[i]));
}
static bool world_session_unblock(struct host *h, struct session *s, bool with_error) {
    (void)h;
    bool waited = s->is_blocked;
    world.unblocked_with_error = with_error;
    s->is_blocked = false;
    return waited;
}
static int64_t world_replicas_with(struct host *h, const struct session *s) {
    (void)h;
    (void)s;
    return world.replicas;
}
static void world_session_usage(struct host *h, const struct session *s, struct host_session_usage *out) {
    (void)h;
    (void)s;
    *out = (struct host_session_usage){0};
}
static void world_usage(struct host *h, struct host_usage *out) {
    (void)h;
    *out = (struct host_usage){.memory_allocated = 3 << 20,
                               .memory_resident = 6 << 20,
                               .memory_peak = 4 << 20,
                               .memory_active = 3 << 20};
}
static void world_raft(struct host *h, struct host_raft *out) {
    (void)h;
    *out = (struct host_raft){.role = "leader", .commit_index = 42, .voters = 1};
}
static void world_cluster(struct host *h, struct cluster_state *out) {
    (void)h;
    *out = world.cluster;
}
static void world_cluster_do(struct host *h, struct session *s, const struct host_request *request,
                             struct reply *reply) {
    (void)h;
    (void)s;
    world.requests++;
    world.request = *request;
    world.request_addresses[0] = '\0';
    if (request->address[0] != '\0') strcat(strcat(world.request_addresses, request->address), " ");
    for (int i = 0; i < request->address_count; i++)
        strcat(strcat(world.request_addresses, request->addresses[i]), " ");
    if (!world.answers_later) reply_ok(reply);
}
static bool world_config_changed(struct host *h, const char *name, const char **why) {
    (void)h;
    strcat(strcat(world.changed, name), " ");
    if (world.refused_name == NULL || strcmp(world.refused_name, name) != 0) return true;
    *why = "not here";
    return false;
}
static enum rc world_read_file(struct host *h, const char *path, struct buf *content) {
    (void)h;
    (void)path;
    buf_add_slice(content, buf_slice(&world.file));
    return RC_OK;
}
static enum rc world_write_file(struct host *h, const char *path, struct slice content) {
    (void)h;
    (void)path;
    buf_clear(&world.file);
    buf_add_slice(&world.file, content);
    return RC_OK;
}
static enum rc world_shutdown(struct host *h, int flags) {
    (void)h;
    world.shutdown_flags = flags;
    return world.shutdown_rc;
}
static void world_script_kill(struct host *h, bool is_function) {
    (void)h;
    if (is_function)
        world.function_kills++;
    else
        world.kills++;
}
static void world_sleep(struct host *h, int64_t us) {
    (void)h;
    world.slept_us += (int)us;
}
static enum rc world_reload(struct host *h) {
    (void)h;
    world.reloads++;
    return RC_OK;
}
static enum rc world_save(struct host *h, bool wait) {
    (void)h;
    (void)wait;
    world.saves++;
    return RC_OK;
}
static void world_unpause(struct host *h) {
    (void)h;
    world.unpaused++;
}
static uint64_t world_random(struct host *h) {
    (void)h;
    return world.random += UINT64_C(0x0123456789abcdef);
}
static void world_secret(struct host *h, void *out, size_t len) {
    (void)h;
    memset(out, 0x5a, len);
}
static int64_t world_now_us(struct host *h) {
    (void)h;
    return desk.now_ms * 1000;
}
static void world_log(struct host *h, const char *line) {
    (void)h;
    (void)line;
}

__attribute__((unused)) static void server_open(void) {
    buf_free(&world.file);
    buf_free(&world.pushed);
    world = (struct world){.host = {.session_close = world_session_close,
                                    .session_push = world_session_push,
                                    .session_unblock = world_session_unblock,
                                    .replicas_with = world_replicas_with,
                                    .session_usage = world_session_usage,
                                    .usage = world_usage,
                                    .raft = world_raft,
                                    .cluster = world_cluster,
                                    .cluster_do = world_cluster_do,
                                    .config_changed = world_config_changed,
                                    .read_file = world_read_file,
                                    .write_file = world_write_file,
                                    .shutdown = world_shutdown,
                                    .script_kill = world_script_kill,
                                    .sleep_us = world_sleep,
                                    .reload = world_reload,
                                    .save = world_save,
                                    .unpause = world_unpause,
                                    .random = world_random,
                                    .secret = world_secret,
                                    .now_us = world_now_us,
                                    .log = world_log}};
    /* A leader alone, as every server begins. */
    world.cluster = (struct cluster_state){
        .cluster_id = "00112233445566778899aabbccddeeff",
        .node_id = 1,
        .leader_id = 1,
        .last_leader_id = 1,
        .term = 7,
        .commit_index = 42,
        .applied_index = 42,
        .is_leader = true,
        .readable = true,
        .member_count = 1,
        .members = {{.id = 1, .is_self = true, .is_connected = true, .match_index = 42}},
    };
    desk_open();
    config_free(&desk.server.config);
    server_init(&desk.server, &world.host, desk.ks);
}

__attribute__((unused)) static void server_close(void) {
    while (!list_empty(&desk.server.sessions)) {
        world_session_close(&world.host, container_of(desk.server.sessions.next, struct session, link),
                            false);
    }
    if (desk.server.scripts != NULL) script_engine_free(desk.server.scripts);
    desk.server.scripts = NULL;
    arena_free(&desk.server.script_arena);
    buf_free(&desk.server.event_channel);
    buf_free(&desk.server.monitor_line);
    watch_table_free(&desk.server.watches);
    tracking_free(&desk.server.tracking);
    pushes_free(&desk.server.pushes);
    feed_free(&desk.server.feed);
    pubsub_free(&desk.server.pubsub);
    stats_free(&desk.server.stats);
    acl_free(&desk.server.acl);
    prepared_free(&desk.server.prepared);
    desk_close();
}

__attribute__((unused)) static struct session *client_open(const char *peer) {
    struct session *s = mem_calloc(1, sizeof *s);
    snprintf(s->peer, sizeof s->peer, "%s", peer);
    snprintf(s->local, sizeof s->local, "127.0.0.1:6379");
    session_open(&desk.server, s, desk.now_ms);
    return s;
}

static const char *shown_reply(void) {
    size_t n = 0;
    for (size_t i = 0; i < desk.out.len; i++) {
        char ch = desk.out.data[i];
        if (ch == '\r') continue;
        desk.out.data[n++] = ch == '\n' && i > 0 && desk.out.data[i - 1] == '\r' ? ' ' : ch;
    }
    if (n > 0) n--; /* the last line end */
    buf_reserve(&desk.out, 1);
    desk.out.data[n] = '\0';
    desk.out.len = n;
    return desk.out.data;
}

/* As the shell does it, but that writes run at once. The reply as support.h shows it, "" when there is
 * none. */
__attribute__((unused)) static const char *client_run(struct session *s, const char *line) {
    int argc = 0;
    const struct command *cmd = NULL;
    struct reply reply;
    buf_clear(&desk.line);
    buf_clear(&desk.out);
    EXPECT_NOTE(resp_split_line(slice_of(line), &desk.line, &desk.argv, &desk.argv_cap, &argc), "%s", line);
    reply_init(&reply, &desk.out, s->resp);
    world.gate = cmd_gate(&desk.server, s, argc, desk.argv, desk.now_ms, &reply, &cmd);
    if (world.gate == GATE_EXEC) { /* the shell would execute it */
        const struct transaction *t = &s->transaction;
        char text[80];
        snprintf(text, sizeof text, "%s %u commands, %u write, %u read, db %d",
                 t->is_dirty ? "dirty" : "clean", t->count, t->writes, t->reads, t->db);
        reply_simple(&reply, text);
        transaction_discard(&desk.server, &s->transaction);
    } else if (world.gate != GATE_REFUSED && world.gate != GATE_HOLD && world.gate != GATE_FORWARD &&
               world.gate != GATE_TUNNEL) {
        const struct slice *argv = desk.argv;
        bool is_prepared = world.gate == GATE_PROPOSE && cmd_is_prepared(cmd, argc, argv);
        if (is_prepared && !cmd_prepare(&desk.server, s, cmd, argc, argv, false, &reply)) {
            world.gate = GATE_REFUSED;
            return shown_reply();
        }
        if (is_prepared) {
            if (cmd != desk.server.prepared.cmd)
                cmd_account(&desk.server, s, cmd, argc, argv, desk.now_ms * 1000 + 123, 5, false);
            cmd = desk.server.prepared.cmd;
            argc = desk.server.prepared.argc;
            argv = desk.server.prepared.argv;
        }
        struct ks_applied applied = ks_applied(desk.ks);
        bool is_entry = world.gate == GATE_PROPOSE && !cmd_changes_nothing(cmd, desk.ks, s->db, argc, argv);
        if (is_entry) ks_begin_entry(desk.ks);
        struct cmd_ctx c = {
            .cmd = cmd,
            .argc = argc,
            .argv = argv,
            .reply = &reply,
            .ks = desk.ks,
            .server = &desk.server,
            .session = s,
            .terms = is_entry && cmd->runs_scripts ? terms_for_script(&desk.server, desk.now_ms) : 0,
            .db = s->db,
            .now_ms = desk.now_ms,
            .now_us = desk.now_ms * 1000 + 123,
            .rng = &desk.rng,
            .arena = &desk.arena,
            .wait = world.wait};
        cmd_run(&c);
        cmd_account(&desk.server, s, cmd, argc, argv, c.now_us, 5, reply.error_count > 0);
        arena_reset(&desk.arena);
        applied.index++;
        if (is_entry) ks_set_applied(desk.ks, applied);
    }
    return shown_reply();
}

#define client_check(session, line, want)                                                                    \
    do {                                                                                                     \
        const char *check_got = client_run(session, line), *check_want = (want);                             \
        EXPECT_NOTE(strcmp(check_got, check_want) == 0, "%s: got \"%s\", want \"%s\"", line, check_got,      \
                    check_want);                                                                             \
    } while (0)

/* The reply has this text somewhere. */
#define client_check_has(session, line, part)                                                                \
    do {                                                                                                     \
        const char *check_got = client_run(session, line), *check_part = (part);                             \
        EXPECT_NOTE(strstr(check_got, check_part) != NULL, "%s: \"%s\" is not in \"%s\"", line, check_part,  \
                    check_got);                                                                              \
    } while (0)

#endif
