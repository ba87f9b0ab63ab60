/* See dispatch.h. */
#include "dispatch.h"

#include "acl_gate.h"
#include "cmd_busy.h"
#include "cmd_nothing.h"
#include "cmd_script.h"
#include "handlers.h"
#include "hash.h"
#include "mem.h"
#include "monitor.h"
#include "server.h"
#include "terms.h"

#include <ctype.h>
#include <stdio.h>

enum { QUOTED_MAX = 128 }; /* how much of what the client said is repeated in an error */

/* As printf's %.*s would print it: up to `max` bytes or the first NUL. */
static int shown_len(struct slice s, size_t max) {
    size_t len = s.len < max ? s.len : max;
    const char *nul = len > 0 ? memchr(s.data, '\0', len) : NULL;
    return (int)(nul != NULL ? (size_t)(nul - s.data) : len);
}

/* What a browser tricked into talking to us would send (cross-protocol attacks): no answer, just goodbye.
 * Each minute's first is logged. */
static enum gate cut_off(struct server *server, struct session *session, int64_t now_ms) {
    enum { ATTACK_LOG_MS = 60000 };
    if (now_ms - server->attack_logged_ms >= ATTACK_LOG_MS) {
        server->attack_logged_ms = now_ms;
        server->host->log(
            server->host,
            "Possible SECURITY ATTACK detected: a client speaks HTTP, as a browser would that a web "
            "page misuses to reach this server. Its connection is closed.");
    }
    server->host->session_close(server->host, session, false);
    return GATE_REFUSED;
}

static enum gate refuse_unknown(struct server *server, int argc, const struct slice *argv,
                                struct reply *reply) {
    struct buf args = {0};
    for (int i = 1; i < argc && args.len < QUOTED_MAX; i++) {
        buf_printf(&args, "'%.*s' ", shown_len(argv[i], QUOTED_MAX - args.len), argv[i].data);
    }
    reply_errorf(reply, "ERR unknown command '%.*s', with args beginning with: %.*s",
                 shown_len(argv[0], QUOTED_MAX), argv[0].data, (int)args.len, args.len > 0 ? args.data : "");
    buf_free(&args);
    stats_error(&server->stats, reply->error_code);
    return GATE_REFUSED;
}

static enum gate refuse_unknown_subcommand(struct server *server, const struct command *container,
                                           struct slice word, struct reply *reply) {
    char name[COMMAND_NAME_CAP];
    command_full_name(container, name, sizeof name);
    for (char *p = name; *p != '\0'; p++) *p = (char)toupper((unsigned char)*p);
    reply_errorf(reply, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown_len(word, QUOTED_MAX), word.data,
                 name);
    stats_error(&server->stats, reply->error_code);
    return GATE_REFUSED;
}

static enum gate refused(struct server *server, const struct command *cmd, struct reply *reply) {
    server->stats.commands[cmd->id].rejected++;
    stats_error(&server->stats, reply->error_code);
    return GATE_REFUSED;
}

static bool is_local(const struct session *session) {
    return session->unix_socket || strncmp(session->peer, "127.", 4) == 0 ||
           strncmp(session->peer, "[::1]", 5) == 0;
}

/* enable-debug-command, enable-module-command: no, yes, or only for connections from this machine. */
static bool is_unguarded(const struct server *server, const struct session *session,
                         const struct command *cmd) {
    int guard =
        cmd->fn == cmd_debug ? server->config.enable_debug_command : server->config.enable_module_command;
    return guard == GUARD_YES || (guard == GUARD_LOCAL && is_local(session));
}

/* What CLIENT PAUSE WRITE is about. */
static bool may_change(const struct server *server, const struct command *cmd, uint32_t flags, int argc,
                       const struct slice *argv) {
    if (!(flags & CMD_MAY_REPLICATE) && (flags & (CMD_WRITE | CMD_UNSAID)) != CMD_WRITE) return false;
    return !cmd_script_says_no_writes(server->ks, cmd, argc, argv);
}

static bool is_held(const struct server *server, const struct command *cmd, uint32_t flags, int argc,
                    const struct slice *argv, int64_t now_ms) {
    if (server->pause_until_ms <= now_ms) return false;
    return !server->pause_writes_only || may_change(server, cmd, flags, argc, argv);
}

bool cmd_is_paused(const struct server *server, int argc, const struct slice *argv, int64_t now_ms) {
    if (server->pause_until_ms <= now_ms) return false;
    const struct command *cmd = command_lookup(argc, argv);
    return cmd != NULL ? is_held(server, cmd, cmd->flags, argc, argv, now_ms) : !server->pause_writes_only;
}

static bool is_exec(const struct command *cmd) {
    return cmd->fn == cmd_exec;
}

/* An EXEC that is refused takes its transaction with it, whatever it was refused for. */
static enum gate refuse(struct server *server, struct session *session, const struct command *cmd,
                        struct reply *reply, const char *error) {
    if (is_exec(cmd)) {
        transaction_discard(server, &session->transaction);
        const char *text = strncmp(error, "ERR ", 4) == 0 ? error + 4 : error;
        reply_errorf(reply, "EXECABORT Transaction discarded because of: %s", text);
    } else {
        reply_error(reply, error);
    }
    return refused(server, cmd, reply);
}

/* Where a cluster client finds the leader, which has all slots. Others are told nothing: they are forwarded. */
static enum gate refuse_moved(struct server *server, const struct command *cmd, struct slice key,
                              struct reply *reply) {
    char host[CLUSTER_HOST_CAP];
    int port;
    if (!cluster_split_address(slice_of(server->leader_address), host, &port)) return GATE_NO_LEADER;
    bool says_host = server->config.cluster_preferred_endpoint_type != ENDPOINT_UNKNOWN;
    reply_errorf(reply, "MOVED %d %s:%d", key_slot(key), says_host ? host : "", port);
    return refused(server, cmd, reply);
}

/* Commands with several replies, or none, and what comes unasked ever after. */
static bool is_of_listening(const struct command *cmd) {
    static cmd_fn *const fns[] = {cmd_subscribe,   cmd_psubscribe,   cmd_ssubscribe,
                                  cmd_unsubscribe, cmd_punsubscribe, cmd_sunsubscribe};
    for (size_t i = 0; i < sizeof fns / sizeof *fns; i++)
        if (cmd->fn == fns[i]) return true;
    return false;
}

static bool starts_tracking(const struct command *cmd, int argc, const struct slice *argv) {
    return cmd->fn == cmd_client_tracking && argc > 2 && !slice_is(argv[2], "off");
}

/* What comes back is no reply, and ends with the connection; and what is said before it belongs to the session there. */
static bool is_of_copying(const struct command *cmd) {
    return cmd->fn == cmd_sync || cmd->fn == cmd_psync || cmd->fn == cmd_replconf;
}

static enum gate way_to_leader(const struct command *cmd, int argc, const struct slice *argv) {
    bool wants_tunnel =
        cmd != NULL && (is_of_listening(cmd) || starts_tracking(cmd, argc, argv) || is_of_copying(cmd));
    return wants_tunnel ? GATE_TUNNEL : GATE_FORWARD;
}

/* What becomes of a command that only the leader can answer, on a node that is not. Commands without a key have no slot
 * to be moved by, so they are forwarded for cluster clients, too. */
static enum gate away_from_leader(struct server *server, const struct session *session,
                                  const struct command *cmd, int argc, const struct slice *argv,
                                  struct reply *reply) {
    struct slice name;
    if (session->subscriptions.is_local && is_of_listening(cmd)) {
        reply_error(
            reply,
            "ERR this connection listens to news of this node: take another for channels of the cluster");
        return refused(server, cmd, reply);
    }
    switch (server->leadership) {
    case LEADERSHIP_REMOVED: reply_error(reply, ERR_REMOVED); return refused(server, cmd, reply);
    case LEADERSHIP_NOBODY: return GATE_NO_LEADER;
    case LEADERSHIP_THERE: break;
    case LEADERSHIP_HERE: CHECK(false);
    }
    if (server->config.cluster_enabled && command_has_slot(cmd, argc, argv, &name))
        return refuse_moved(server, cmd, name, reply);
    return way_to_leader(cmd, argc, argv);
}

/* In the middle of a script there is no state to answer from. What is for another node goes there all the same; and what needs
 * no state is kept from clients only where the script is decided about. But PING asks just whether this node is busy. */
static bool is_kept_by_script(const struct server *server, const struct command *cmd, uint32_t own) {
    const struct running_script *s = &server->script;
    if (!s->is_running || own & CMD_ALLOW_BUSY) return false;
    if (s->is_decided_here || server->leadership == LEADERSHIP_HERE) return true;
    return !(own & (CMD_NEEDS_LEADER | CMD_SESSION)) || cmd->fn == cmd_ping;
}

/* A leader that was elected in the middle of a script may serve nothing before its end, but is the one to end it. */
static bool stops_script(const struct server *server, const struct command *cmd) {
    return server->script.is_running && server->script.is_decided_here && cmd->flags & CMD_ALLOW_BUSY;
}

/* CONFIG SET of a password is one of all nodes, and of some settings, the leader's; DEBUG POPULATE changes data. */
static uint32_t own_flags(const struct command *cmd, int argc, const struct slice *argv) {
    if (cmd_sets_leaders(cmd, argc, argv)) return cmd->flags | CMD_LEADER;
    return cmd_sets_requirepass(cmd, argc, argv) || cmd_populates(cmd, argc, argv)
               ? (cmd->flags | CMD_WRITE | CMD_UNSAID) & ~(uint32_t)CMD_ALONE
               : cmd->flags;
}

static bool is_of_transactions(const struct command *cmd) {
    return cmd->categories & ACL_TRANSACTION;
}

/* Whose RESP2 replies could not be told from messages. */
static bool is_for_listeners(const struct command *cmd) {
    return is_of_listening(cmd) || cmd->fn == cmd_ping || cmd->fn == cmd_quit || cmd->fn == cmd_reset;
}

static enum gate refuse_to_listener(struct server *server, struct session *session, const struct command *cmd,
                                    struct reply *reply) {
    char name[COMMAND_NAME_CAP], error[COMMAND_NAME_CAP + 128];
    command_full_name(cmd, name, sizeof name);
    snprintf(error, sizeof error,
             "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
             "allowed in this context",
             name);
    return refuse(server, session, cmd, reply, error);
}

/* Of the leader's, what this node answers by itself all the same. */
static bool is_kept_here(const struct server *server, const struct session *session,
                         const struct command *cmd, int argc, const struct slice *argv) {
    if (is_of_transactions(cmd) && server->config.cluster_enabled && cmd->key_spec_count == 0) return true;
    return sentinel_news_is_for(session, cmd, argc, argv);
}

static enum gate pass_gates(struct server *server, struct session *session, int argc,
                            const struct slice *argv, int64_t now_ms, struct reply *reply,
                            const struct command **found) {
    const struct command *cmd = command_lookup(argc, argv);
    if (cmd == NULL && (slice_is(argv[0], "post") || slice_is(argv[0], "host:")))
        return cut_off(server, session, now_ms);
    session->last_command = NULL; /* CLIENT LIST shows none when it was unknown */
    session->last_command_ms = now_ms;
    if (cmd == NULL || (cmd->flags & CMD_INTERNAL)) return refuse_unknown(server, argc, argv, reply);
    if (cmd->subcommand_count > 0 && argc > 1) return refuse_unknown_subcommand(server, cmd, argv[1], reply);
    *found = cmd;
    session->last_command = cmd;

    if (cmd->arity >= 0 ? argc != cmd->arity : argc < -cmd->arity) {
        char name[COMMAND_NAME_CAP], error[COMMAND_NAME_CAP + 64];
        command_full_name(cmd, name, sizeof name);
        snprintf(error, sizeof error, "ERR wrong number of arguments for '%s' command", name);
        return refuse(server, session, cmd, reply, error);
    }
    if (cmd->flags & CMD_GUARDED && !is_unguarded(server, session, cmd)) {
        bool is_debug = cmd->fn == cmd_debug;
        reply_errorf(reply,
                     "ERR %s command not allowed. If the enable-%s-command option is set to \"local\", you "
                     "can run it from a local connection, otherwise you need to set this option in the "
                     "configuration file, and then restart the server.",
                     is_debug ? "DEBUG" : "MODULE", is_debug ? "debug" : "module");
        return refused(server, cmd, reply);
    }
    if (!(cmd->flags & CMD_NO_AUTH) && session_needs_password(server, session))
        return refuse(server, session, cmd, reply, ERR_NOAUTH);
    if (session->transaction.is_open && cmd->flags & CMD_NO_MULTI)
        return refuse(server, session, cmd, reply, "ERR Command not allowed inside a transaction");
    if (!acl_gate_is_open(session, cmd)) {
        struct acl_refusal refusal;
        switch (acl_gate(server, session, cmd, argc, argv, now_ms, &refusal)) {
        case ACL_GATE_OPEN: break;
        case ACL_GATE_HOLD: return GATE_HOLD;
        case ACL_GATE_SHUT: return refuse(server, session, cmd, reply, refusal.text);
        }
    }
    if (session->resp == 2 && subscriptions_any(&session->subscriptions) && !is_for_listeners(cmd))
        return refuse_to_listener(server, session, cmd, reply);
    uint32_t own = own_flags(cmd, argc, argv);
    uint32_t flags = is_exec(cmd) ? own | session->transaction.flags | CMD_UNSAID
                                  : own; /* it needs what its transaction needs */
    if (session->is_monitor && flags & (CMD_WRITE | CMD_READONLY | CMD_MAY_REPLICATE)) /* in Redis's words */
        return refuse(server, session, cmd, reply, "ERR Replica can't interact with the keyspace");
    if (is_kept_by_script(server, cmd, own)) {
        if (!server->script.is_overdue) return GATE_HOLD;
        return refuse(server, session, cmd, reply, cmd_busy_error(server));
    }
    if (is_held(server, cmd, flags, argc, argv, now_ms)) return GATE_HOLD;
    bool is_answered_here = server->leadership == LEADERSHIP_HERE || stops_script(server, cmd);
    if (own & CMD_NEEDS_LEADER && !is_answered_here && !is_kept_here(server, session, cmd, argc, argv))
        return away_from_leader(server, session, cmd, argc, argv, reply);
    const char *refusal = terms_refusal(server, session, cmd, flags, now_ms);
    if (refusal != NULL) return refuse(server, session, cmd, reply, refusal);
    if (flags & CMD_WRITE && server->refuse_writes &&
        !(cmd->categories & ACL_SCRIPTING && cmd_changes_nothing(cmd, server->ks, session->db, argc, argv))) {
        char error[sizeof server->refuse_reason + 64];
        snprintf(error, sizeof error, "MISCONF writes are refused: %s", server->refuse_reason);
        return refuse(server, session, cmd, reply, error);
    }
    if (is_exec(cmd) && session->transaction.is_open && !session->transaction.is_doomed) {
        memcpy(session->exec_word, argv[0].data, sizeof session->exec_word);
        return GATE_EXEC;
    }
    if (own & CMD_ALONE) return GATE_RUN_ALONE;
    if (own & CMD_WRITE) return GATE_PROPOSE;
    return own & CMD_SESSION ? GATE_RUN_NOW : GATE_RUN;
}

/* Commands about the cluster wait for it, and some others need the state between two entries. */
static bool cannot_be_queued(const struct command *cmd) {
    if (!(cmd->flags & CMD_ALONE)) return false;
    const char *name = cmd->parent != NULL ? cmd->parent->name : cmd->name;
    if (is_of_copying(cmd)) return true;     /* REPLCONF ACK has no answer */
    if (cmd->flags & CMD_WRITE) return true; /* MIGRATE */
    return strcmp(name, "cluster") == 0 || strncmp(name, "raft.", 5) == 0 || strcmp(name, "sentinel") == 0;
}

/* Of the clients of the node that is asked, for which this is another one. */
static bool is_of_pausing(const struct command *cmd) {
    return cmd != NULL && (cmd->fn == cmd_client_pause || cmd->fn == cmd_client_unpause);
}

/* In a transaction: what passed the gates is queued, what did not dooms it. */
static enum gate queue(struct server *server, struct session *session, int argc, const struct slice *argv,
                       struct reply *reply, const struct command *cmd, enum gate gate) {
    struct transaction *t = &session->transaction;
    bool is_of_that_node = session->forwarded && is_of_pausing(cmd);
    if (gate == GATE_FORWARD || gate == GATE_TUNNEL || (is_of_that_node && gate != GATE_REFUSED)) {
        reply_error(reply, "ERR this command cannot be part of a transaction on a node that does not lead");
        gate = refused(server, cmd, reply);
    } else if (gate != GATE_REFUSED && cmd != NULL && cannot_be_queued(cmd)) {
        reply_error(reply, "ERR Command not allowed inside a transaction");
        gate = refused(server, cmd, reply);
    }
    if (gate == GATE_REFUSED) t->is_doomed = true;
    if (gate == GATE_REFUSED || gate == GATE_HOLD || gate == GATE_NO_LEADER || gate == GATE_EXEC) return gate;
    if (is_of_transactions(cmd) && cmd->fn != cmd_unwatch) return gate;
    if (cmd->fn == cmd_quit || cmd->fn == cmd_reset) return gate;
    if (cmd_is_prepared(cmd, argc, argv)) {
        if (!cmd_prepare(server, session, cmd, argc, argv, true, reply)) {
            t->is_doomed = true;
            return refused(server, cmd, reply);
        }
        cmd = server->prepared.cmd;
        argc = server->prepared.argc;
        argv = server->prepared.argv;
    }
    transaction_queue(server, t, cmd, argc, argv);
    reply_simple(reply, "QUEUED");
    return GATE_REFUSED;
}

/* What of a session is at a leader elsewhere is there for better or worse. */
static bool belongs_there(const struct session *session, const struct command *cmd) {
    if (cmd != NULL && (cmd->fn == cmd_quit || cmd->fn == cmd_reset)) return false;
    if (session->multi_there) return true;
    return session->watch_there && cmd != NULL && cmd->flags & CMD_NEEDS_LEADER;
}

void cmd_forwarded(const struct server *server, struct session *session, const struct command *cmd, int argc,
                   const struct slice *argv) {
    if (cmd == NULL) return;
    bool fits = cmd->arity >= 0 ? argc == cmd->arity : argc >= -cmd->arity;
    if (cmd->fn == cmd_exec || (cmd->fn == cmd_discard && fits))
        session->multi_there = session->watch_there = session->changes_there = false;
    else if (cmd->fn == cmd_multi && fits)
        session->multi_there = true;
    else if (cmd->fn == cmd_watch && fits)
        session->watch_there = true;
    else if (session->multi_there && fits && may_change(server, cmd, cmd->flags, argc, argv))
        session->changes_there = true;
}

/* CLIENT PAUSE is of this node, wherever the transaction is. */
static bool is_held_from_there(const struct server *server, const struct session *session,
                               const struct command *cmd, int argc, const struct slice *argv,
                               int64_t now_ms) {
    if (cmd == NULL) return false;
    uint32_t flags = cmd->flags;
    if (is_exec(cmd) && session->changes_there) flags |= CMD_MAY_REPLICATE;
    return is_held(server, cmd, flags, argc, argv, now_ms);
}

enum gate cmd_gate(struct server *server, struct session *session, int argc, const struct slice *argv,
                   int64_t now_ms, struct reply *reply, const struct command **found) {
    *found = NULL;
    if (session->multi_there || session->watch_there) {
        const struct command *cmd = command_lookup(argc, argv);
        if (cmd != NULL && cmd->flags & CMD_INTERNAL) cmd = NULL;
        if (belongs_there(session, cmd)) {
            *found = cmd;
            session->last_command = cmd;
            session->last_command_ms = now_ms;
            if (is_held_from_there(server, session, cmd, argc, argv, now_ms)) return GATE_HOLD;
            return way_to_leader(cmd, argc, argv);
        }
    }
    bool was_open = session->transaction.is_open;
    enum gate gate = pass_gates(server, session, argc, argv, now_ms, reply, found);
    /* MONITOR shows that its transaction is over, as Redis does. */
    if (gate == GATE_REFUSED && server->monitor_count > 0 && *found != NULL && is_exec(*found))
        monitor_tell_of(server, session, *found, argc, argv);
    return was_open && session->transaction.is_open ? queue(server, session, argc, argv, reply, *found, gate)
                                                    : gate;
}

void cmd_run(struct cmd_ctx *c) {
    uint32_t errors = c->reply->error_count;
    bool holds = push_hold(c->server, c->session);
    bool is_tracked = c->server->tracking.client_count > 0; /* by anybody */
    const struct cmd_ctx *outer = is_tracked ? tracking_enter(c) : NULL;
    struct feed_mark mark;
    bool is_fed = feed_is_on(&c->server->feed) && c->cmd->flags & (CMD_WRITE | CMD_PUBSUB);
    if (is_fed) feed_before(c, &mark);
    c->cmd->fn(c);
    if (is_fed) feed_after(c, &mark);
    if (is_tracked) tracking_leave(c, outer);
    if (monitor_wants(c->server, c->cmd) && !c->is_served) monitor_tell(c, c->in_script);
    if (holds) push_release(c->server);
    /* Errors are counted where a client sees them. */
    if (c->reply->error_count != errors && c->session != NULL)
        stats_error(&c->server->stats, c->reply->error_code);
}

uint64_t cmd_secret_args(const struct command *cmd, int argc, const struct slice *argv) {
    uint64_t bits = 0;
    int count = argc < 63 ? argc : 63;
    if (strcmp(cmd->name, "auth") == 0) {
        for (int i = 1; i < count; i++) bits |= UINT64_C(1) << i;
    } else if (strcmp(cmd->name, "hello") == 0) {
        for (int i = 2; i + 2 < count; i++) {
            if (slice_is(argv[i], "auth")) bits |= UINT64_C(3) << (i + 1);
        }
    } else if (cmd->fn == cmd_migrate) {
        for (int i = 6; i + 1 < count; i++) {
            if (slice_is(argv[i], "auth")) bits |= UINT64_C(1) << (i + 1);
            if (slice_is(argv[i], "auth2")) bits |= UINT64_C(3) << (i + 1);
        }
    } else if (cmd->fn == cmd_acl_setuser || cmd->fn == cmd_acl_deluser || cmd->fn == cmd_acl_getuser) {
        for (int i = 2; i < count; i++) bits |= UINT64_C(1) << i;
    } else if (strcmp(cmd->name, "set") == 0 && cmd->parent != NULL) {
        for (int i = 2; i + 1 < count; i += 2) {
            const struct config_row *row = config_find(argv[i]);
            if (row != NULL && config_is_sensitive(row)) bits |= UINT64_C(1) << (i + 1);
        }
    }
    return bits;
}

static void account_slow(struct server *server, const struct session *session, const struct command *cmd,
                         int argc, const struct slice *argv, int64_t now_us, int64_t us) {
    const struct config *config = &server->config;
    int64_t slower_than = config->slowlog_log_slower_than;
    if (slower_than >= 0 && us >= slower_than && !(cmd->flags & CMD_SKIP_SLOWLOG)) {
        slowlog_add(&server->stats.slowlog, config->slowlog_max_len, session, argc, argv,
                    cmd_secret_args(cmd, argc, argv), now_us / 1000000, us);
    }
    int64_t threshold_ms = config->latency_monitor_threshold;
    if (threshold_ms > 0 && us / 1000 >= threshold_ms) {
        const char *event = cmd->flags & CMD_FAST ? "fast-command" : "command";
        latency_add(&server->stats, event, now_us / 1000000, us / 1000);
    }
}

static void account_end(struct server *server, const struct session *session, const struct command *cmd,
                        int argc, const struct slice *argv, int64_t now_us, int64_t us, bool failed) {
    struct command_stats *stats = &server->stats.commands[cmd->id];
    if (failed) stats->failed++;
    if (server->config.latency_tracking) {
        if (stats->latency == NULL) stats->latency = mem_calloc(1, sizeof *stats->latency);
        histogram_add(stats->latency, us);
    }
    account_slow(server, session, cmd, argc, argv, now_us, us);
}

void cmd_account(struct server *server, const struct session *session, const struct command *cmd, int argc,
                 const struct slice *argv, int64_t now_us, int64_t us, bool failed) {
    if (session == NULL) return; /* replayed, or for somebody who is gone */
    struct command_stats *stats = &server->stats.commands[cmd->id];
    server->stats.commands_processed++;
    stats->calls++;
    stats->usec += (uint64_t)(us > 0 ? us : 0);
    account_end(server, session, cmd, argc, argv, now_us, us, failed);
}

void cmd_account_wait(struct server *server, const struct command *cmd, int64_t us) {
    struct command_stats *stats = &server->stats.commands[cmd->id];
    server->stats.commands_processed++;
    stats->calls++;
    stats->usec += (uint64_t)(us > 0 ? us : 0);
}

void cmd_account_served(struct server *server, const struct session *session, const struct command *cmd,
                        int argc, const struct slice *argv, int64_t now_us, int64_t us, bool failed) {
    server->stats.commands[cmd->id].usec += (uint64_t)(us > 0 ? us : 0);
    account_end(server, session, cmd, argc, argv, now_us, us, failed);
}
