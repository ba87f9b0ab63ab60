/* CLIENT: what the server knows about its connections, and what may be done to them. */
#include "cmd_client.h"

#include "cmd.h"
#include "handlers.h"
#include "num.h"
#include "server.h"

static struct session *session_at(struct list *link) {
    return container_of(link, struct session, link);
}

/* --- CLIENT LIST and INFO --- */

static void add_word(struct buf *out, const char *field, const struct buf *value) {
    buf_printf(out, " %s=", field);
    buf_add_slice(out, buf_slice(value));
}

/* The bytes of the command that is running: they count as the connection's input until it is done. */
static size_t running_command_bytes(const struct cmd_ctx *c) {
    char digits[NUM_I64_MAX_LEN];
    size_t bytes = 3 + format_i64(digits, c->argc);
    for (int i = 0; i < c->argc; i++)
        bytes += 5 + format_i64(digits, (int64_t)c->argv[i].len) + c->argv[i].len;
    return bytes;
}

void cmd_client_describe(const struct cmd_ctx *c, const struct session *s, struct buf *out) {
    struct host *host = c->server->host;
    struct host_session_usage u = {0};
    char cmd[COMMAND_NAME_CAP] = "NULL", flags[16];
    host->session_usage(host, s, &u);
    if (s == c->session && u.query_buffer == 0) u.query_buffer = running_command_bytes(c);
    /* What this connection has parsed behind this command has not happened yet. */
    const struct command *last = s == c->session ? c->cmd : s->last_command;
    int db = s == c->session ? c->db : s->db;
    if (last != NULL) command_full_name(last, cmd, sizeof cmd);
    int n = 0;
    const struct subscriptions *listens = &s->subscriptions;
    if (s->is_monitor) flags[n++] = 'O';
    if (s->is_fed && !s->is_monitor) flags[n++] = 'S';
    if (subscriptions_any(listens)) flags[n++] = 'P';
    if (s->transaction.is_open) flags[n++] = 'x';
    if (s->is_blocked) flags[n++] = 'b';
    const struct tracking_client *tracking = s->tracking;
    bool tracks = tracking != NULL && tracking->is_on;
    if (tracks) flags[n++] = 't';
    if (tracks && tracking->is_broken) flags[n++] = 'R';
    if (tracks && tracking->is_broadcast) flags[n++] = 'B';
    if (s->transaction.is_dirty) flags[n++] = 'd';
    if (s->close_after_reply) flags[n++] = 'c';
    if (s->unix_socket) flags[n++] = 'U';
    if (s->no_evict) flags[n++] = 'e';
    if (n == 0) flags[n++] = 'N';
    flags[n] = '\0';
    buf_printf(out, "id=%llu addr=%s laddr=%s fd=%d", (unsigned long long)s->id, s->peer, s->local, s->fd);
    add_word(out, "name", &s->name);
    buf_printf(out, " age=%lld idle=%lld flags=%s db=%d sub=%u psub=%u ssub=%u multi=%lld",
               (long long)(c->now_ms - s->created_ms) / 1000,
               (long long)(c->now_ms - s->last_command_ms) / 1000, flags, db, listens->counts[TOPIC_CHANNEL],
               listens->counts[TOPIC_PATTERN], listens->counts[TOPIC_SHARD],
               s->transaction.is_open ? (long long)s->transaction.count : -1LL);
    buf_printf(out,
               " qbuf=%zu qbuf-free=%zu argv-mem=%zu multi-mem=%zu rbs=%zu rbp=%zu obl=%zu oll=%d omem=%zu",
               u.query_buffer, u.query_buffer_free, u.argv_mem, s->transaction.queue.cap, u.output_buffer,
               u.output_buffer, u.output_pending, u.output_behind > 0, u.output_behind);
    buf_printf(out, " tot-mem=%zu events=r cmd=%s", u.total, cmd);
    add_word(out, "user", &s->user->name);
    buf_printf(out, " redir=%lld resp=%d", tracks ? (long long)tracking->redirect : -1LL, s->resp);
    /* Of newer versions of Redis: shown only to those who have set it. */
    if (s->lib_name.len > 0) add_word(out, "lib-name", &s->lib_name);
    if (s->lib_version.len > 0) add_word(out, "lib-ver", &s->lib_version);
}

static void add_session_line(struct cmd_ctx *c, const struct session *s, struct buf *out) {
    cmd_client_describe(c, s, out);
    buf_add_byte(out, '\n');
}

enum client_type { TYPE_UNKNOWN = -1, TYPE_NORMAL, TYPE_REPLICA, TYPE_PUBSUB, TYPE_MASTER };

static enum client_type parse_type(struct slice word) {
    if (slice_is(word, "normal")) return TYPE_NORMAL;
    if (slice_is(word, "slave") || slice_is(word, "replica")) return TYPE_REPLICA;
    if (slice_is(word, "pubsub")) return TYPE_PUBSUB;
    if (slice_is(word, "master")) return TYPE_MASTER;
    return TYPE_UNKNOWN;
}

static enum client_type session_type(const struct session *s) {
    return s->is_fed ? TYPE_REPLICA : subscriptions_any(&s->subscriptions) ? TYPE_PUBSUB : TYPE_NORMAL;
}

static bool refuse_type(struct cmd_ctx *c, struct slice word) {
    reply_errorf(c->reply, "ERR Unknown client type '%.*s'", (int)word.len, word.data);
    return false;
}

static bool list_by_ids(struct cmd_ctx *c, struct buf *out) {
    for (int i = 3; i < c->argc; i++) {
        int64_t id = 0;
        if (!cmd_arg_i64(c, c->argv[i], &id, "ERR Invalid client ID")) return false;
        const struct session *s = session_by_id(c->server, c->session, (uint64_t)id);
        if (s != NULL) add_session_line(c, s, out);
    }
    return true;
}

static bool list_by_type(struct cmd_ctx *c, struct buf *out) {
    enum client_type type = TYPE_UNKNOWN;
    if (c->argc == 4) {
        type = parse_type(c->argv[3]);
        if (type == TYPE_UNKNOWN) return refuse_type(c, c->argv[3]);
    }
    LIST_FOR_EACH(it, &c->server->sessions) {
        const struct session *s = session_at(it);
        if (type == TYPE_UNKNOWN || session_type(s) == type) add_session_line(c, s, out);
    }
    return true;
}

void cmd_client_list(struct cmd_ctx *c) {
    struct buf text = {0};
    bool ok;
    if (c->argc > 3 && slice_is(c->argv[2], "id")) {
        ok = list_by_ids(c, &text);
    } else if (c->argc == 2 || (c->argc == 4 && slice_is(c->argv[2], "type"))) {
        ok = list_by_type(c, &text);
    } else {
        reply_error(c->reply, ERR_SYNTAX);
        ok = false;
    }
    if (ok) reply_verbatim(c->reply, "txt", buf_slice(&text));
    buf_free(&text);
}

void cmd_client_info(struct cmd_ctx *c) {
    struct buf text = {0};
    add_session_line(c, c->session, &text);
    reply_verbatim(c->reply, "txt", buf_slice(&text));
    buf_free(&text);
}

/* --- names --- */

void cmd_client_id(struct cmd_ctx *c) {
    reply_int(c->reply, (int64_t)session_own_id(c->session));
}

void cmd_client_getname(struct cmd_ctx *c) {
    if (c->session->name.len > 0) {
        reply_bulk(c->reply, buf_slice(&c->session->name));
    } else {
        reply_null(c->reply);
    }
}

void cmd_client_setname(struct cmd_ctx *c) {
    if (session_set_name(c->session, c->argv[2])) {
        reply_ok(c->reply);
    } else {
        reply_error(c->reply, ERR_CLIENT_NAME);
    }
}

/* Newer than Redis 7.0, but clients send it to every server when they connect. */
void cmd_client_setinfo(struct cmd_ctx *c) {
    bool is_name = slice_is(c->argv[2], "lib-name");
    if (!is_name && !slice_is(c->argv[2], "lib-ver")) {
        reply_errorf(c->reply, "ERR Unrecognized option '%.*s'", (int)c->argv[2].len, c->argv[2].data);
        return;
    }
    struct slice value = c->argv[3];
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] >= '!' && value.data[i] <= '~') continue;
        reply_errorf(c->reply, "ERR %s cannot contain spaces, newlines or special characters.",
                     is_name ? "lib-name" : "lib-ver");
        return;
    }
    struct buf *field = is_name ? &c->session->lib_name : &c->session->lib_version;
    buf_clear(field);
    buf_add_slice(field, value);
    reply_ok(c->reply);
}

/* --- CLIENT KILL --- */

struct kill_filter {
    struct slice addr, laddr;      /* data NULL: any */
    const struct acl_user *user;   /* NULL: any */
    const struct session *session; /* with has_id: who has the id; NULL: nobody */
    bool has_id;
    enum client_type type; /* TYPE_UNKNOWN: any */
    bool skip_me;
};

static bool parse_kill_option(struct cmd_ctx *c, struct slice option, struct slice value,
                              struct kill_filter *f) {
    if (slice_is(option, "id")) {
        int64_t id = 0;
        if (!parse_i64(value, &id) || id < 1) {
            reply_error(c->reply, "ERR client-id should be greater than 0");
            return false;
        }
        f->has_id = true;
        f->session = session_by_id(c->server, c->session, (uint64_t)id);
    } else if (slice_is(option, "type")) {
        f->type = parse_type(value);
        if (f->type == TYPE_UNKNOWN) return refuse_type(c, value);
    } else if (slice_is(option, "addr")) {
        f->addr = value;
    } else if (slice_is(option, "laddr")) {
        f->laddr = value;
    } else if (slice_is(option, "user")) {
        f->user = acl_find(&c->server->acl, value);
        if (f->user == NULL) {
            reply_errorf(c->reply, "ERR No such user '%.*s'", cmd_quoted(value), value.data);
            return false;
        }
    } else if (slice_is(option, "skipme") && (slice_is(value, "yes") || slice_is(value, "no"))) {
        f->skip_me = slice_is(value, "yes");
    } else {
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    return true;
}

static bool kill_matches(const struct kill_filter *f, const struct session *s, const struct session *me) {
    if (f->addr.data != NULL && !slice_eq(slice_of(s->peer), f->addr)) return false;
    if (f->laddr.data != NULL && !slice_eq(slice_of(s->local), f->laddr)) return false;
    if (f->type != TYPE_UNKNOWN && session_type(s) != f->type) return false;
    if (f->has_id && s != f->session) return false;
    if (f->user != NULL && s->user != f->user) return false;
    return s != me || !f->skip_me;
}

void cmd_client_kill(struct cmd_ctx *c) {
    bool old_form = c->argc == 3; /* CLIENT KILL addr */
    struct kill_filter f = {.type = TYPE_UNKNOWN, .skip_me = !old_form};
    if (old_form) {
        f.addr = c->argv[2];
    } else if (c->argc % 2 != 0) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    for (int i = 2; !old_form && i < c->argc; i += 2) {
        if (!parse_kill_option(c, c->argv[i], c->argv[i + 1], &f)) return;
    }
    int64_t killed = 0;
    LIST_FOR_EACH_SAFE(it, &c->server->sessions) {
        struct session *s = session_at(it);
        if (!kill_matches(&f, s, c->session)) continue;
        killed++;
        if (s == c->session) {
            s->close_after_reply = true;
        } else {
            c->server->host->session_close(c->server->host, s, false);
        }
    }
    if (!old_form) {
        reply_int(c->reply, killed);
    } else if (killed > 0) {
        reply_ok(c->reply);
    } else {
        reply_error(c->reply, "ERR No such client");
    }
}

/* --- pausing, silence and other switches --- */

/* One that is under way is never cut short, nor made to hold less. */
static void pause(struct server *s, int64_t now_ms, int64_t until_ms, bool writes_only) {
    bool is_paused = s->pause_until_ms > now_ms;
    if (!is_paused || s->pause_until_ms < until_ms) s->pause_until_ms = until_ms;
    s->pause_writes_only = writes_only && (!is_paused || s->pause_writes_only);
}

void cmd_client_pause(struct cmd_ctx *c) {
    bool writes_only = false;
    if (c->argc > 4) {
        reply_errorf(c->reply,
                     "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                     cmd_quoted(c->argv[1]), c->argv[1].data);
        return;
    }
    if (c->argc == 4) {
        writes_only = slice_is(c->argv[3], "write");
        if (!writes_only && !slice_is(c->argv[3], "all")) {
            reply_error(c->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
            return;
        }
    }
    int64_t ms = 0;
    if (!cmd_arg_i64(c, c->argv[2], &ms, "ERR timeout is not an integer or out of range")) return;
    if (ms < 0) {
        reply_error(c->reply, "ERR timeout is negative");
    } else if (ms > INT64_MAX - c->now_ms) {
        reply_error(c->reply, "ERR timeout is out of range");
    } else {
        pause(c->server, c->now_ms, c->now_ms + ms, writes_only);
        reply_ok(c->reply);
    }
}

void cmd_client_unpause(struct cmd_ctx *c) {
    c->server->pause_until_ms = 0;
    c->server->host->unpause(c->server->host);
    reply_ok(c->reply);
}

void cmd_client_unblock(struct cmd_ctx *c) {
    int64_t id = 0;
    if (c->argc > 4) {
        reply_errorf(c->reply,
                     "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                     cmd_quoted(c->argv[1]), c->argv[1].data);
        return;
    }
    bool with_error = c->argc == 4 && slice_is(c->argv[3], "error");
    if (c->argc == 4 && !with_error && !slice_is(c->argv[3], "timeout")) {
        reply_error(c->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    if (!cmd_arg_i64(c, c->argv[2], &id, NULL)) return;
    struct session *s = session_by_id(c->server, c->session, (uint64_t)id);
    struct host *host = c->server->host;
    reply_int(c->reply, s != NULL && host->session_unblock(host, s, with_error));
}

/* The shell discards the replies; a mode counts from the next command on (SKIP: for that one only). */
void cmd_client_reply(struct cmd_ctx *c) {
    uint8_t *mode = &c->session->reply_mode;
    if (slice_is(c->argv[2], "on")) {
        *mode = SESSION_REPLY_ON;
        reply_ok(c->reply);
    } else if (slice_is(c->argv[2], "off")) {
        *mode = SESSION_REPLY_OFF;
    } else if (slice_is(c->argv[2], "skip")) {
        if (*mode != SESSION_REPLY_OFF) *mode = SESSION_REPLY_SKIP_NEXT;
    } else {
        reply_error(c->reply, ERR_SYNTAX);
    }
}

void cmd_client_no_evict(struct cmd_ctx *c) {
    bool on = slice_is(c->argv[2], "on");
    if (!on && !slice_is(c->argv[2], "off")) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    c->session->no_evict = on;
    reply_ok(c->reply);
}
