/* Commands about the connection itself: greeting, authentication, database, goodbye. */
#include "cmd.h"
#include "handlers.h"
#include "monitor.h"
#include "num.h"
#include "server.h"

/* False after answering. */
static bool authenticate(struct cmd_ctx *c, struct slice name, struct slice password) {
    struct acl_user *user = acl_find(&c->server->acl, name);
    if (!acl_knows(user, password)) {
        acl_log_auth(c, name);
        reply_error(c->reply, "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    }
    if (!c->session->said_password) c->session->is_stale_there = true;
    session_set_user(c->session, user, true);
    c->session->said_password = true;
    return true;
}

void cmd_auth(struct cmd_ctx *c) {
    if (c->argc > 3) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    if (c->argc == 2 && c->server->acl.default_user->nopass) {
        reply_error(c->reply,
                    "ERR AUTH <password> called without any password configured for the default user. Are "
                    "you sure your configuration is correct?");
        return;
    }
    struct slice user = c->argc == 3 ? c->argv[1] : SLICE("default");
    if (authenticate(c, user, c->argv[c->argc - 1])) reply_ok(c->reply);
}

static void reply_greeting(struct cmd_ctx *c) {
    struct reply *r = c->reply;
    reply_map(r, 7);
    reply_bulk_str(r, "server");
    reply_bulk_str(r, "redis"); /* clients look for this word */
    reply_bulk_str(r, "version");
    reply_bulk_str(r, REDIS_COMPATIBLE_VERSION);
    reply_bulk_str(r, "proto");
    reply_int(r, c->session->resp);
    reply_bulk_str(r, "id");
    reply_int(r, (int64_t)session_own_id(c->session));
    reply_bulk_str(r, "mode");
    reply_bulk_str(r, c->server->config.cluster_enabled ? "cluster" : "standalone");
    reply_bulk_str(r, "role");
    reply_bulk_str(r, c->server->leadership == LEADERSHIP_HERE ? "master" : "replica");
    reply_bulk_str(r, "modules");
    reply_array(r, 0);
}

void cmd_hello(struct cmd_ctx *c) {
    int64_t version = 0;
    if (c->argc >= 2) {
        if (!cmd_arg_i64(c, c->argv[1], &version, "ERR Protocol version is not an integer or out of range"))
            return;
        if (version != 2 && version != 3) {
            reply_error(c->reply, ERR_NOPROTO);
            return;
        }
    }
    for (int i = 2; i < c->argc; i++) {
        int more = c->argc - i - 1;
        if (slice_is(c->argv[i], "auth") && more >= 2) {
            if (!authenticate(c, c->argv[i + 1], c->argv[i + 2])) return;
            i += 2;
        } else if (slice_is(c->argv[i], "setname") && more >= 1) {
            if (!session_set_name(c->session, c->argv[i + 1])) {
                reply_error(c->reply, ERR_CLIENT_NAME);
                return;
            }
            i++;
        } else {
            reply_errorf(c->reply, "ERR Syntax error in HELLO option '%.*s'", (int)c->argv[i].len,
                         c->argv[i].data);
            return;
        }
    }
    if (session_needs_password(c->server, c->session)) {
        reply_error(c->reply,
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
                    "AUTH <user> <pass> option can be used to authenticate the client and select the "
                    "RESP protocol version at the same time");
        return;
    }
    if (version != 0) c->session->resp = c->reply->resp = (uint8_t)version;
    reply_greeting(c);
}

/* A script is not told: it runs on nodes that do not know. */
static bool is_listener(const struct cmd_ctx *c) {
    return !c->in_script && c->session != NULL && c->session->resp == 2 &&
           subscriptions_any(&c->session->subscriptions);
}

void cmd_ping(struct cmd_ctx *c) {
    if (c->argc > 2) {
        reply_error(c->reply, "ERR wrong number of arguments for 'ping' command");
    } else if (is_listener(c)) {
        reply_array(c->reply, 2); /* as messages look */
        reply_bulk_str(c->reply, "pong");
        reply_bulk(c->reply, c->argc == 2 ? c->argv[1] : SLICE(""));
    } else if (c->argc == 2) {
        reply_bulk(c->reply, c->argv[1]);
    } else {
        reply_simple(c->reply, "PONG");
    }
}

void cmd_echo(struct cmd_ctx *c) {
    reply_bulk(c->reply, c->argv[1]);
}

void cmd_select(struct cmd_ctx *c) {
    int64_t db = 0;
    if (!cmd_arg_long_in(c, c->argv[1], INT32_MIN, INT32_MAX, &db, NULL)) return;
    if (db < 0 || db >= c->server->config.databases) {
        reply_error(c->reply, ERR_DB_OUT_OF_RANGE);
    } else {
        c->session->db = (int)db;
        reply_ok(c->reply);
    }
}

void cmd_quit(struct cmd_ctx *c) {
    reply_ok(c->reply);
    c->session->close_after_reply = true;
}

void cmd_reset(struct cmd_ctx *c) {
    struct session *s = c->session;
    transaction_discard(c->server, &s->transaction);
    tracking_disable(c->server, s);
    pubsub_forget(c->server, s);
    s->asks_sentinel = false;
    if (s->multi_there || s->watch_there) s->is_stale_there = true;
    s->multi_there = s->watch_there = false;
    s->db = 0;
    s->resp = c->reply->resp = 2;
    session_set_user(s, c->server->acl.default_user, acl_is_open(&c->server->acl));
    s->reply_mode = SESSION_REPLY_ON;
    monitor_end(c->server, s);
    buf_clear(&s->name);
    reply_simple(c->reply, "RESET");
}
