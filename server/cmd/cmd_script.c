/* The commands of scripts: which may run, in what order they are refused, and how they run. A script that writes runs on every node
 * out of the log, so what it can ask for has to be equal everywhere: data, the clock of its entry, and little else. A script that
 * only reads runs on the leader alone, and may ask it what it likes. */
#include "cmd_script.h"

#include "acl_gate.h"
#include "dispatch.h"
#include "handlers.h"
#include "monitor.h"
#include "server.h"
#include "terms.h"

#include <stdio.h>

struct script_engine *server_scripts(struct server *server) {
    if (server->scripts == NULL) server->scripts = script_engine_new();
    return server->scripts;
}

/* --- which may run --- */

/* Neither about data nor about this node: the same everywhere. The clock is the entry's. */
static bool is_the_same_everywhere(const struct command *cmd) {
    static cmd_fn *const commands[] = {cmd_ping,    cmd_echo,     cmd_select, cmd_time,
                                       cmd_publish, cmd_spublish, cmd_command};
    if (cmd->flags & (CMD_READONLY | CMD_WRITE)) {
        return cmd->fn != cmd_object_freq && cmd->fn != cmd_object_idletime && cmd->fn != cmd_memory_usage;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (cmd->fn == commands[i]) return true;
    if (cmd->parent == NULL) return false;
    return strcmp(cmd->name, "help") == 0 || strcmp(cmd->parent->name, "command") == 0;
}

/* The word of a subcommand that there is not finds its container. */
static const struct command *find(int argc, const struct slice *argv) {
    const struct command *cmd = command_lookup(argc, argv);
    if (cmd == NULL || cmd->flags & CMD_INTERNAL) return NULL;
    return cmd->subcommand_count > 0 && argc > 1 ? NULL : cmd;
}

static bool fits_arity(const struct command *cmd, int argc) {
    return cmd->arity >= 0 ? argc == cmd->arity : argc >= -cmd->arity;
}

/* What the user may do whose script it is. The leader, who has his session, remembers what was denied. */
static const char *denial(const struct cmd_script *s, const struct command *cmd, int argc,
                          const struct slice *argv) {
    static const char *const texts[] = {
        [ACL_DENIED_COMMAND] = "ERR The user executing the script can't run this command or subcommand",
        [ACL_DENIED_KEY] =
            "ERR The user executing the script can't access at least one of the keys mentioned in "
            "the command arguments",
        [ACL_DENIED_CHANNEL] =
            "ERR The user executing the script can't publish to the channel mentioned in the command"};
    int at = 0;
    enum acl_answer answer = acl_check(s->c->user, cmd, argc, argv, &at);
    if (answer == ACL_ALLOWED)
        return s->c->user != NULL ? acl_denied_sort(s->c->user, cmd, argc, argv) : NULL;
    if (s->c->session != NULL) {
        struct cmd_ctx denied = *s->c;
        denied.cmd = cmd;
        denied.argc = argc;
        denied.argv = argv;
        acl_log_denied(&denied, answer, at, s->c->user, ACL_LOG_LUA);
    }
    return texts[answer];
}

/* DEBUG PROTOCOL, for tests of what Lua makes of replies: it says the same everywhere, whatever the node's settings. */
static bool is_allowed_debug(const struct cmd_script *s, const struct command *cmd, int argc,
                             const struct slice *argv) {
    return s->terms & TERMS_DEBUG && cmd->fn == cmd_debug && argc > 1 && slice_is(argv[1], "protocol");
}

/* NULL, or why not. */
static const char *refusal(const struct cmd_script *s, const struct command *cmd, int argc,
                           const struct slice *argv) {
    if (cmd == NULL) return "ERR Unknown Redis command called from script";
    if (!fits_arity(cmd, argc)) return "ERR Wrong number of args calling Redis command from script";
    if (is_allowed_debug(s, cmd, argc, argv)) return denial(s, cmd, argc, argv);
    if (cmd->flags & (CMD_NOSCRIPT | CMD_ALONE | CMD_GUARDED))
        return "ERR This Redis command is not allowed from script";
    if (s->is_logged && !is_the_same_everywhere(cmd))
        return "ERR This Redis command is not allowed from script";
    const char *denied = denial(s, cmd, argc, argv);
    if (denied != NULL) return denied;
    if (!s->may_write && cmd->flags & (CMD_WRITE | CMD_MAY_REPLICATE))
        return "ERR Write commands are not allowed from read-only scripts.";
    /* What has begun is not left half done. */
    return s->run.has_written ? NULL : terms_refusal_in_script(s->terms, cmd);
}

static void refuse(struct cmd_script *s, const struct command *cmd, struct reply *reply, const char *error) {
    struct stats *stats = &s->c->server->stats;
    reply_error(reply, error);
    if (s->c->session == NULL) return;
    stats_error(stats, reply->error_code);
    if (cmd != NULL) stats->commands[cmd->id].rejected++;
}

/* --- running them --- */

/* Only where somebody counts is the time asked for: it has no part in what happens. */
static int64_t time_of(const struct cmd_ctx *c) {
    return c->session != NULL ? c->server->host->now_us(c->server->host) : 0;
}

/* The session's own database stays as it is. How many there are is not a setting of this node here. */
static void select_db(struct cmd_script *s, struct cmd_ctx *inner) {
    int64_t db;
    if (cmd_arg_long_in(inner, inner->argv[1], INT32_MIN, INT32_MAX, &db, NULL)) {
        if (db < 0 || db >= KS_DB_COUNT) {
            reply_error(inner->reply, ERR_DB_OUT_OF_RANGE);
        } else {
            s->db = inner->db = (int)db;
            reply_ok(inner->reply);
        }
    }
    if (inner->session == NULL) return;
    if (inner->reply->error_count > 0) stats_error(&inner->server->stats, inner->reply->error_code);
    monitor_tell(inner, true);
}

static void run_command(struct cmd_script *s, const struct command *cmd, int argc, const struct slice *argv,
                        struct reply *reply) {
    static const struct session caller = {.peer = "?:0"}; /* as the slow log calls it */
    struct server *server = s->c->server;
    struct cmd_ctx inner = *s->c;
    inner.cmd = cmd;
    inner.argc = argc;
    inner.argv = argv;
    inner.reply = reply;
    inner.db = s->db;
    inner.wait = NULL;
    inner.is_served = false;
    inner.in_script = true;
    inner.in_logged_script = s->is_logged;
    inner.arena = &server->script_arena;
    if (s->is_logged) inner.now_us = inner.now_ms * 1000;
    int64_t began_us = time_of(s->c);
    if (cmd->fn == cmd_select)
        select_db(s, &inner);
    else
        cmd_run(&inner);
    arena_reset(&server->script_arena);
    if (cmd->flags & CMD_WRITE) s->run.has_written = true;
    if (s->c->session == NULL) return;
    int64_t now_us = time_of(s->c);
    cmd_account(server, &caller, cmd, argc, argv, now_us, now_us - began_us, reply->error_count > 0);
}

static void script_call(void *arg, int argc, const struct slice *argv, int resp, struct buf *out) {
    struct cmd_script *s = arg;
    const struct command *cmd = find(argc, argv);
    struct reply reply;
    reply_init(&reply, out, resp);
    const char *error = refusal(s, cmd, argc, argv);
    if (error != NULL)
        refuse(s, cmd, &reply, error);
    else
        run_command(s, cmd, argc, argv, &reply);
    /* What it was told may be wrong. Whoever runs the command sees the fault, too, and a node that applies an entry stops. */
    if (ks_fault(s->c->ks) != NULL) s->run.end = "the data on disk could not be read";
}

static void script_log(void *arg, int level, struct slice text) {
    const struct cmd_script *s = arg;
    struct server *server = s->c->server;
    if (server->leadership != LEADERSHIP_HERE || level < server->config.loglevel) return;
    char line[1024];
    snprintf(line, sizeof line, "%.*s", (int)(text.len < 1000 ? text.len : 1000), text.data);
    server->host->log(server->host, line);
}

static bool script_may(void *arg, int argc, const struct slice *argv, bool *known) {
    const struct cmd_script *s = arg;
    const struct command *cmd = find(argc, argv);
    int at;
    *known = cmd != NULL;
    return cmd == NULL || acl_check(s->c->user, cmd, argc, argv, &at) == ACL_ALLOWED;
}

/* --- a run --- */

bool cmd_script_keys(struct cmd_ctx *c, int *key_count) {
    int64_t count;
    if (!cmd_arg_i64(c, c->argv[2], &count, NULL)) return false;
    if (count > c->argc - 3)
        reply_error(c->reply, "ERR Number of keys can't be greater than number of args");
    else if (count < 0)
        reply_error(c->reply, "ERR Number of keys can't be negative");
    else {
        *key_count = (int)count;
        return true;
    }
    return false;
}

bool cmd_script_flags(struct cmd_ctx *c, uint32_t flags, bool is_read_only) {
    if (!(flags & SCRIPT_HAS_SHEBANG) || flags & SCRIPT_NO_WRITES) return true;
    if (is_read_only)
        reply_error(c->reply, "ERR Can not execute a script with write flag using *_ro command.");
    else if (c->terms & TERMS_NO_REPLICAS)
        reply_error(c->reply, ERR_NOREPLICAS);
    else if (c->terms & TERMS_NO_MEMORY && !(flags & SCRIPT_ALLOW_OOM))
        reply_error(c->reply,
                    "OOM allow-oom flag is not set on the script, can not run it when used memory > "
                    "'maxmemory'");
    else
        return true;
    return false;
}

void cmd_script_prepare(struct cmd_script *s, struct cmd_ctx *c, struct slice name, int key_count,
                        uint32_t flags, bool may_write) {
    bool needs_no_memory = flags & SCRIPT_HAS_SHEBANG && flags & SCRIPT_ALLOW_OOM;
    static const struct script_world world = {.call = script_call, .log = script_log, .may = script_may};
    *s = (struct cmd_script){
        .run = {.name = name,
                .keys = c->argv + 3,
                .key_count = key_count,
                .args = c->argv + 3 + key_count,
                .arg_count = c->argc - 3 - key_count,
                .seed = rng_next(c->rng),
                .world = &world,
                .limits = c->script_limits,
                .arg = s},
        .c = c,
        .db = c->db,
        .is_logged = ks_is_mid_entry(c->ks),
        .may_write = may_write,
        .terms = needs_no_memory ? c->terms & ~(uint32_t)TERMS_NO_MEMORY : c->terms,
    };
}
