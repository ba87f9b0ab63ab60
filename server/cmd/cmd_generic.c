/* Commands of keys whatever they hold: existence, names, copies, databases. Deadlines are in cmd_expire.c, SCAN and
 * KEYS in cmd_scan.c. */
#include "events.h"
#include "handlers.h"
#include "server.h"

#include <limits.h>

/* --- existence --- */

void cmd_del(struct cmd_ctx *c) {
    int64_t deleted = 0;
    for (int i = 1; i < c->argc; i++) {
        struct object *o = cmd_write(c, c->argv[i]);
        if (o == NULL) continue;
        ks_delete(c->ks, c->db, o);
        cmd_event(c, EVENT_GENERIC, "del", c->argv[i]);
        deleted++;
    }
    reply_int(c->reply, deleted);
}

void cmd_unlink(struct cmd_ctx *c) {
    cmd_del(c);
}

/* A key named twice counts twice. */
void cmd_exists(struct cmd_ctx *c) {
    int64_t count = 0;
    for (int i = 1; i < c->argc; i++) count += ks_look(c->ks, c->db, c->argv[i], c->now_ms) != NULL;
    reply_int(c->reply, count);
}

void cmd_touch(struct cmd_ctx *c) {
    int64_t count = 0;
    for (int i = 1; i < c->argc; i++) count += cmd_read(c, c->argv[i]) != NULL;
    reply_int(c->reply, count);
}

void cmd_type(struct cmd_ctx *c) {
    const struct object *o = ks_look(c->ks, c->db, c->argv[1], c->now_ms);
    reply_simple(c->reply, o ? object_type_name(o) : "none");
}

void cmd_randomkey(struct cmd_ctx *c) {
    const struct object *o = ks_random(c->ks, c->db, c->now_ms, c->rng);
    if (o != NULL)
        reply_bulk(c->reply, object_key(o));
    else
        reply_null(c->reply);
}

void cmd_dbsize(struct cmd_ctx *c) {
    reply_int(c->reply, (int64_t)ks_count(c->ks, c->db));
}

/* --- other names --- */

/* What comes to `to` is a new key. */
static void make_room(struct cmd_ctx *c, int to_db, struct slice to) {
    struct object *old = ks_write(c->ks, to_db, to, c->now_ms);
    if (old != NULL) ks_delete(c->ks, to_db, old);
}

/* Moves what `from` holds, deadline included, over whatever `to` held. */
static void rename_key(struct cmd_ctx *c, bool only_if_free) {
    struct slice from = c->argv[1], to = c->argv[2];
    struct object *o = cmd_write(c, from);
    if (o == NULL) {
        reply_error(c->reply, ERR_NO_SUCH_KEY);
        return;
    }
    bool same = slice_eq(from, to);
    bool taken = only_if_free && (same || cmd_write(c, to) != NULL);
    if (!same && !taken) {
        make_room(c, c->db, to);
        ks_move(c->ks, c->db, o, c->db, to);
        cmd_event(c, EVENT_GENERIC, "rename_from", from);
        cmd_event(c, EVENT_GENERIC, "rename_to", to);
    }
    if (only_if_free)
        reply_int(c->reply, !taken);
    else
        reply_ok(c->reply);
}

void cmd_rename(struct cmd_ctx *c) {
    rename_key(c, false);
}
void cmd_renamenx(struct cmd_ctx *c) {
    rename_key(c, true);
}

/* False after answering. A number no C int can hold gets another text than one that is no database. */
static bool arg_db(struct cmd_ctx *c, struct slice arg, int *db) {
    int64_t n;
    if (!cmd_arg_long_in(c, arg, INT_MIN, INT_MAX, &n, NULL)) return false;
    if (n < 0 || n >= KS_DB_COUNT) {
        reply_error(c->reply, ERR_DB_OUT_OF_RANGE);
        return false;
    }
    *db = (int)n;
    return true;
}

static const char err_same_object[] = "ERR source and destination objects are the same";

void cmd_copy(struct cmd_ctx *c) {
    struct slice from = c->argv[1], to = c->argv[2];
    bool replace = false;
    int to_db = c->db;
    for (int i = 3; i < c->argc; i++) {
        if (slice_is(c->argv[i], "replace")) {
            replace = true;
        } else if (slice_is(c->argv[i], "db") && i + 1 < c->argc) {
            if (!arg_db(c, c->argv[++i], &to_db)) return;
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return;
        }
    }
    if (to_db == c->db && slice_eq(from, to)) {
        reply_error(c->reply, err_same_object);
        return;
    }
    const struct object *o = cmd_consult(c, from);
    bool copies = o != NULL && (ks_write(c->ks, to_db, to, c->now_ms) == NULL || replace);
    if (copies) {
        make_room(c, to_db, to);
        ks_copy(c->ks, o, to_db, to);
        cmd_event_in(c, EVENT_GENERIC, "copy_to", to_db, to);
    }
    reply_int(c->reply, copies);
}

void cmd_move(struct cmd_ctx *c) {
    struct slice key = c->argv[1];
    int to_db;
    if (!arg_db(c, c->argv[2], &to_db)) return;
    if (to_db == c->db) {
        reply_error(c->reply, err_same_object);
        return;
    }
    struct object *o = cmd_write(c, key);
    bool moves = o != NULL && ks_write(c->ks, to_db, key, c->now_ms) == NULL;
    if (moves) {
        ks_move(c->ks, c->db, o, to_db, key);
        cmd_event(c, EVENT_GENERIC, "move_from", key);
        cmd_event_in(c, EVENT_GENERIC, "move_to", to_db, key);
    }
    reply_int(c->reply, moves);
}

/* --- databases --- */

void cmd_swapdb(struct cmd_ctx *c) {
    int64_t a, b;
    if (!cmd_arg_long_in(c, c->argv[1], INT_MIN, INT_MAX, &a, "ERR invalid first DB index")) return;
    if (!cmd_arg_long_in(c, c->argv[2], INT_MIN, INT_MAX, &b, "ERR invalid second DB index")) return;
    if (a < 0 || a >= KS_DB_COUNT || b < 0 || b >= KS_DB_COUNT) {
        reply_error(c->reply, ERR_DB_OUT_OF_RANGE);
        return;
    }
    if (a != b) {
        ks_swap(c->ks, (int)a, (int)b);
        tracking_flushed(c->server);
    }
    reply_ok(c->reply);
}

/* SYNC and ASYNC are both accepted and both O(1): memory and rows always go in the background. */
static bool flush_args_fine(struct cmd_ctx *c) {
    if (c->argc == 1) return true;
    if (c->argc == 2 && (slice_is(c->argv[1], "sync") || slice_is(c->argv[1], "async"))) return true;
    reply_error(c->reply, ERR_SYNTAX);
    return false;
}

void cmd_flushdb(struct cmd_ctx *c) {
    if (!flush_args_fine(c)) return;
    ks_flush(c->ks, c->db);
    tracking_flushed(c->server);
    reply_ok(c->reply);
}

void cmd_flushall(struct cmd_ctx *c) {
    if (!flush_args_fine(c)) return;
    for (int db = 0; db < KS_DB_COUNT; db++) ks_flush(c->ks, db);
    tracking_flushed(c->server);
    reply_ok(c->reply);
}
