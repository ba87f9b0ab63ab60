/* SLOWLOG. */
#include "cmd.h"
#include "handlers.h"
#include "server.h"

static void reply_entry(struct reply *r, const struct slow_entry *e) {
    reply_array(r, 6);
    reply_int(r, e->id);
    reply_int(r, e->time_s);
    reply_int(r, e->us);
    reply_array(r, (size_t)e->argc);
    for (int i = 0; i < e->argc; i++) reply_bulk(r, buf_slice(&e->argv[i]));
    reply_bulk(r, buf_slice(&e->peer));
    reply_bulk(r, buf_slice(&e->name));
}

void cmd_slowlog_get(struct cmd_ctx *c) {
    const struct slowlog *l = &c->server->stats.slowlog;
    int64_t count = 10;
    if (c->argc > 3) {
        reply_error(c->reply,
                    "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.");
        return;
    }
    if (c->argc == 3 && !cmd_arg_long_in(c, c->argv[2], -1, INT64_MAX, &count,
                                         "ERR count should be greater than or equal to -1")) {
        return;
    }
    if (count == -1 || count > l->count) count = l->count;
    reply_array(c->reply, (size_t)count);
    for (const struct slow_entry *e = l->newest; count-- > 0; e = e->older) reply_entry(c->reply, e);
}

void cmd_slowlog_len(struct cmd_ctx *c) {
    reply_int(c->reply, c->server->stats.slowlog.count);
}

void cmd_slowlog_reset(struct cmd_ctx *c) {
    slowlog_trim(&c->server->stats.slowlog, 0);
    reply_ok(c->reply);
}
