/* CONFIG: values by name, all or none of those named, and the file they came from. */
#include "cmd.h"
#include "events.h"
#include "handlers.h"
#include "mem.h"
#include "server.h"

/* --- CONFIG GET --- */

static bool is_pattern(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (strchr("*?[", s.data[i]) != NULL && s.data[i] != '\0') return true;
    }
    return false;
}

/* The name to show: as it was asked for when it was, else as it is spelt. Empty when no argument matches. */
static struct slice asked_for(const struct cmd_ctx *c, const struct config_row *row, const char *name) {
    struct slice text = slice_of(name);
    for (int i = 2; i < c->argc; i++) {
        if (is_pattern(c->argv[i])) {
            if (!config_is_hidden(row) && glob_match(c->argv[i], text, true)) return text;
        } else if (slice_is(c->argv[i], name)) {
            return c->argv[i];
        }
    }
    return SLICE("");
}

void cmd_config_get(struct cmd_ctx *c) {
    struct buf value = {0};
    size_t mark = reply_defer(c->reply), count = 0;
    for (int i = 0; i < config_count(); i++) {
        const struct config_row *row = config_at(i);
        const char *names[] = {config_name(row), config_other_name(row)};
        for (int k = 0; k < 2; k++) {
            struct slice shown = names[k] != NULL ? asked_for(c, row, names[k]) : SLICE("");
            if (shown.len == 0) continue;
            buf_clear(&value);
            config_show(&c->server->config, row, &value);
            reply_bulk(c->reply, shown);
            reply_bulk(c->reply, buf_slice(&value));
            count++;
        }
    }
    reply_close_map(c->reply, mark, count);
    buf_free(&value);
}

/* --- CONFIG SET --- */

struct change {
    const struct config_row *row;
    struct slice name; /* as the client spelt it */
    struct buf before;
    bool told; /* the host knows of it */
};

static void reply_failed(struct cmd_ctx *c, struct slice name, const char *why) {
    reply_errorf(c->reply, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s", (int)name.len,
                 name.data, why);
}

static bool is_allowed(const struct cmd_ctx *c, int guard) {
    bool local = c->session->unix_socket || strncmp(c->session->peer, "127.", 4) == 0 ||
                 strncmp(c->session->peer, "[::1]", 5) == 0;
    return guard == GUARD_YES || (guard == GUARD_LOCAL && local);
}

static bool is_present_value(const struct cmd_ctx *c, const struct config_row *row, struct slice value) {
    struct buf present = {0};
    config_show(&c->server->config, row, &present);
    bool same = slice_eq(buf_slice(&present), value);
    buf_free(&present);
    return same;
}

/* What can be said before anything is changed. False after answering. */
static bool check_names(struct cmd_ctx *c, struct change *changes, int count) {
    for (int i = 0; i < count; i++) {
        struct change *ch = &changes[i];
        ch->name = c->argv[2 + 2 * i];
        ch->row = config_find(ch->name);
        if (ch->row == NULL) {
            reply_errorf(c->reply, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                         (int)ch->name.len, ch->name.data);
            return false;
        }
    }
    for (int i = 0; i < count; i++) {
        struct change *ch = &changes[i];
        if (config_is_protected(ch->row) && !is_allowed(c, c->server->config.enable_protected_configs)) {
            reply_failed(c, ch->name, "can't set protected config");
            return false;
        }
        bool repeated = config_is_repeatable(ch->row) && is_present_value(c, ch->row, c->argv[3 + 2 * i]);
        if (config_is_immutable(ch->row) && !repeated) {
            reply_failed(c, ch->name, "can't set immutable config");
            return false;
        }
        for (int k = 0; k < i; k++) {
            if (changes[k].row != ch->row) continue;
            reply_failed(c, ch->name, "duplicate parameter");
            return false;
        }
    }
    return true;
}

/* Puts the first `count` changes back; the host, which liked these values before, hears of those it had
 * heard of. */
static void roll_back(struct cmd_ctx *c, struct change *changes, int count) {
    struct host *host = c->server->host;
    char why[CONFIG_ERROR_CAP];
    for (int i = 0; i < count; i++) {
        if (!config_set(&c->server->config, changes[i].row, buf_slice(&changes[i].before), why)) {
            CHECK(false); /* what a value was, it can be again */
        }
    }
    for (int i = 0; i < count; i++) {
        const char *ignored = NULL;
        if (changes[i].told) (void)host->config_changed(host, config_name(changes[i].row), &ignored);
    }
}

static bool apply_changes(struct cmd_ctx *c, struct change *changes, int count) {
    struct config *config = &c->server->config;
    struct host *host = c->server->host;
    char why[CONFIG_ERROR_CAP];
    for (int i = 0; i < count; i++) {
        config_show(config, changes[i].row, &changes[i].before);
        if (config_set(config, changes[i].row, c->argv[3 + 2 * i], why)) continue;
        reply_failed(c, changes[i].name, why);
        roll_back(c, changes, i);
        return false;
    }
    for (int i = 0; i < count; i++) {
        const char *reason = "the server cannot do that";
        changes[i].told = true;
        if (host->config_changed(host, config_name(changes[i].row), &reason)) continue;
        reply_failed(c, changes[i].name, reason);
        roll_back(c, changes, count);
        return false;
    }
    return true;
}

void cmd_config_set(struct cmd_ctx *c) {
    if (c->argc % 2 != 0) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    int count = (c->argc - 2) / 2;
    struct change *changes = mem_calloc((size_t)count, sizeof *changes);
    if (check_names(c, changes, count) && apply_changes(c, changes, count)) {
        events_configure(c->server);
        slowlog_trim(&c->server->stats.slowlog, c->server->config.slowlog_max_len);
        reply_ok(c->reply);
    }
    for (int i = 0; i < count; i++) buf_free(&changes[i].before);
    mem_free(changes);
}

/* --- the rest --- */

void cmd_config_resetstat(struct cmd_ctx *c) {
    struct stats *s = &c->server->stats;
    struct host_usage usage = {0};
    c->server->host->usage(c->server->host, &usage);
    stats_reset(s);
    s->net_in_reset = usage.net_in_bytes;
    s->net_out_reset = usage.net_out_bytes;
    s->net_reads_reset = usage.net_reads;
    s->net_writes_reset = usage.net_writes;
    s->connections_received_reset = usage.connections_received;
    s->connections_rejected_reset = usage.connections_rejected;
    ks_reset_stats(c->ks);
    reply_ok(c->reply);
}

enum rc server_rewrite_config(struct server *server, bool everything) {
    struct host *host = server->host;
    struct buf old = {0}, text = {0};
    enum rc rc = host->read_file(host, server->config_file, &old);
    if (rc == RC_OK || rc == RC_NOT_FOUND) {
        struct buf users = {0};
        /* With an aclfile, they stand there. */
        if (server->config.aclfile[0] == '\0' && !acl_is_plain(&server->acl))
            acl_write_lines(&server->acl, &users);
        config_rewrite(&server->config, buf_slice(&old), buf_slice(&users), everything, &text);
        buf_free(&users);
        rc = host->write_file(host, server->config_file, buf_slice(&text));
    }
    buf_free(&old);
    buf_free(&text);
    return rc;
}

void cmd_config_rewrite(struct cmd_ctx *c) {
    if (c->server->config_file[0] == '\0') {
        reply_error(c->reply, "ERR The server is running without a config file");
        return;
    }
    enum rc rc = server_rewrite_config(c->server, false);
    if (rc == RC_OK) {
        reply_ok(c->reply);
    } else {
        reply_errorf(c->reply, "ERR Rewriting config file: %s", rc_name(rc));
    }
}
