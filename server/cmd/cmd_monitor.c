/* MONITOR, and the lines it brings: "<seconds>.<microseconds> [<db> <address>] "command" "argument" ...". See monitor.h. */
#include "monitor.h"

#include "dispatch.h"
#include "handlers.h"
#include "push.h"

#include <ctype.h>

/* In quotes, everything that is not printable escaped. */
static void add_quoted(struct buf *out, struct slice text) {
    static const char plain[] = "\\\"\n\r\t\a\b", letters[] = "\\\"nrtab";
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        const char *at = byte != '\0' ? strchr(plain, byte) : NULL;
        if (at != NULL) {
            buf_add_byte(out, '\\');
            buf_add_byte(out, (uint8_t)letters[at - plain]);
        } else if (byte >= 32 && byte < 127) {
            buf_add_byte(out, byte);
        } else {
            buf_printf(out, "\\x%02x", byte);
        }
    }
    buf_add_byte(out, '"');
}

static void add_origin(struct buf *out, const struct server *s, const struct session *session, int db,
                       bool from_script) {
    if (from_script)
        buf_printf(out, "[%d lua]", db);
    else if (session->unix_socket)
        buf_printf(out, "[%d unix:%s]", db, s->config.unixsocket);
    else
        buf_printf(out, "[%d %s]", db, session->peer);
}

static void tell(struct server *s, struct session *session, const struct command *cmd, int db, int argc,
                 const struct slice *argv, bool from_script) {
    enum { KEPT_MAX = 64 << 10 };
    struct buf *line = &s->monitor_line;
    int64_t now_us = s->host->now_us(s->host);
    uint64_t secrets = cmd_secret_args(cmd, argc, argv);
    buf_clear(line);
    buf_printf(line, "+%lld.%06lld ", (long long)(now_us / 1000000), (long long)(now_us % 1000000));
    add_origin(line, s, session, db, from_script);
    for (int i = 0; i < argc; i++) {
        buf_add_byte(line, ' ');
        bool is_secret = i < 64 && secrets >> i & 1;
        add_quoted(line, is_secret ? SLICE("(redacted)") : argv[i]);
    }
    buf_add_str(line, "\r\n");
    LIST_FOR_EACH(it, &s->monitors) {
        push_bytes(s, container_of(it, struct session, monitor_link), buf_slice(line));
    }
    if (line->cap > KEPT_MAX) buf_free(line);
}

/* A command about the session is in the database that it leaves behind (SELECT). */
void monitor_tell(struct cmd_ctx *c, bool from_script) {
    if (c->server->monitor_count == 0 || c->session == NULL) return;
    int db = c->cmd->flags & CMD_SESSION && !from_script ? c->session->db : c->db;
    tell(c->server, c->session, c->cmd, db, c->argc, c->argv, from_script);
}

void monitor_tell_of(struct server *s, struct session *session, const struct command *cmd, int argc,
                     const struct slice *argv) {
    if (s->monitor_count > 0 && !(cmd->flags & (CMD_ADMIN | CMD_INTERNAL)))
        tell(s, session, cmd, session->db, argc, argv, false);
}

void monitor_end(struct server *s, struct session *session) {
    if (!session->is_monitor) return;
    session->is_monitor = false;
    list_unlink(&session->monitor_link);
    s->monitor_count--;
}

void cmd_monitor(struct cmd_ctx *c) {
    struct session *session = c->session;
    if (c->wait == NULL) { /* in a transaction */
        reply_error(c->reply, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    if (session->is_monitor) return; /* answers nothing, as Redis */
    session->is_monitor = true;
    list_push_back(&c->server->monitors, &session->monitor_link);
    c->server->monitor_count++;
    reply_ok(c->reply);
}
