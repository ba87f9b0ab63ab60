/* DUMP and RESTORE: one value as Redis's portable payload. The bytes are storage's (rdb_object.h); here are the options, the
 * checks and their order. */
#include "events.h"
#include "handlers.h"

#include "rdb_object.h"

void cmd_dump(struct cmd_ctx *c) {
    const struct object *o = cmd_read(c, c->argv[1]);
    if (o == NULL) {
        reply_null(c->reply);
        return;
    }
    struct buf payload = {0};
    rdb_dump(&payload, c->ks, o);
    reply_bulk(c->reply, buf_slice(&payload));
    buf_free(&payload);
}

struct restore_options {
    bool replace, absolute;
    int64_t idle_s, freq; /* -1: not given; not both */
};

/* False after answering. */
static bool parse_options(struct cmd_ctx *c, struct restore_options *o) {
    for (int i = 4; i < c->argc; i++) {
        struct slice word = c->argv[i];
        bool has_value = i + 1 < c->argc;
        if (slice_is(word, "replace")) {
            o->replace = true;
        } else if (slice_is(word, "absttl")) {
            o->absolute = true;
        } else if (slice_is(word, "idletime") && has_value && o->freq == -1) {
            if (!cmd_arg_i64(c, c->argv[++i], &o->idle_s, NULL)) return false;
            if (o->idle_s < 0) {
                reply_error(c->reply, "ERR Invalid IDLETIME value, must be >= 0");
                return false;
            }
        } else if (slice_is(word, "freq") && has_value && o->idle_s == -1) {
            if (!cmd_arg_i64(c, c->argv[++i], &o->freq, NULL)) return false;
            if (o->freq < 0 || o->freq > UINT8_MAX) {
                reply_error(c->reply, "ERR Invalid FREQ value, must be >= 0 and <= 255");
                return false;
            }
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    return true;
}

/* 0 is no deadline; false after answering. */
static bool parse_ttl(struct cmd_ctx *c, bool absolute, int64_t *deadline_ms) {
    int64_t ttl;
    if (!cmd_arg_i64(c, c->argv[2], &ttl, NULL)) return false;
    if (ttl < 0) {
        reply_error(c->reply, "ERR Invalid TTL value, must be >= 0");
        return false;
    }
    /* Redis wraps around beyond the end of time, and such a key has then expired long ago. */
    if (ttl != 0 && !absolute && __builtin_add_overflow(ttl, c->now_ms, &ttl)) ttl = INT64_MIN;
    *deadline_ms = ttl;
    return true;
}

/* When a key was last used is no data: it is not stored, and nodes may differ in it. */
static void set_access(struct cmd_ctx *c, struct object *o, const struct restore_options *options) {
    uint32_t now_s = ks_clock_s(c->ks);
    if (options->idle_s >= 0) o->access_s = options->idle_s < now_s ? now_s - (uint32_t)options->idle_s : 0;
    if (options->freq >= 0) o->freq = (uint8_t)options->freq;
}

void cmd_restore(struct cmd_ctx *c) {
    struct slice key = c->argv[1], payload = c->argv[3];
    struct restore_options options = {.idle_s = -1, .freq = -1};
    int64_t deadline_ms;
    if (!parse_options(c, &options)) return;
    if (!options.replace && cmd_write(c, key) != NULL) {
        reply_error(c->reply, "BUSYKEY Target key name already exists.");
        return;
    }
    if (!parse_ttl(c, options.absolute, &deadline_ms)) return;
    if (rdb_verify(payload) != RC_OK) {
        reply_error(c->reply, "ERR DUMP payload version or checksum are wrong");
        return;
    }
    struct rdb_value value;
    if (rdb_read(payload, ks_limits(c->ks), &value) != RC_OK) {
        reply_error(c->reply, "ERR Bad data format");
        return;
    }
    bool replaces = options.replace && cmd_delete(c, key);
    bool stays = deadline_ms == 0 || deadline_ms > c->now_ms;
    if (stays) {
        struct object *o = rdb_restore(c->ks, c->db, key, &value);
        if (deadline_ms != 0) ks_set_deadline(c->ks, c->db, o, deadline_ms);
        set_access(c, o, &options);
    }
    if (stays || replaces) cmd_event(c, EVENT_GENERIC, stays ? "restore" : "del", key);
    rdb_value_free(&value);
    reply_ok(c->reply);
}
