/* Deadlines of keys: setting them (EXPIRE and its family, PERSIST) and asking for them (TTL and its family). A
 * relative deadline counts from the clock of the log entry, so every node stores the same instant. A deadline that
 * has passed already deletes the key at once. */
#include "cmd_expire.h"
#include "events.h"
#include "handlers.h"

void cmd_refuse_deadline(struct cmd_ctx *c) {
    char name[64];
    size_t len = command_full_name(c->cmd, name, sizeof name);
    reply_errorf(c->reply, "ERR invalid expire time in '%.*s' command", (int)len, name);
}

bool cmd_arg_deadline(struct cmd_ctx *c, struct slice arg, int64_t unit, bool relative,
                      int64_t *deadline_ms) {
    int64_t amount, ms;
    if (!cmd_arg_i64(c, arg, &amount, NULL)) return false;
    if (amount <= 0 || __builtin_mul_overflow(amount, unit, &ms) ||
        __builtin_add_overflow(ms, relative ? c->now_ms : 0, &ms)) {
        cmd_refuse_deadline(c);
        return false;
    }
    *deadline_ms = ms;
    return true;
}

/* --- EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT --- */

enum { IF_NONE = 1 << 0, IF_ANY = 1 << 1, IF_LATER = 1 << 2, IF_EARLIER = 1 << 3 };

static bool parse_conditions(struct cmd_ctx *c, int *out) {
    int flags = 0;
    for (int i = 3; i < c->argc; i++) {
        struct slice word = c->argv[i];
        if (slice_is(word, "nx")) {
            flags |= IF_NONE;
        } else if (slice_is(word, "xx")) {
            flags |= IF_ANY;
        } else if (slice_is(word, "gt")) {
            flags |= IF_LATER;
        } else if (slice_is(word, "lt")) {
            flags |= IF_EARLIER;
        } else {
            /* Redis prints the option as a C string. */
            int len = (int)strnlen(word.data, word.len);
            reply_errorf(c->reply, "ERR Unsupported option %.*s", len, word.data);
            return false;
        }
    }
    if ((flags & IF_NONE) && (flags & ~IF_NONE)) {
        reply_error(c->reply, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((flags & IF_LATER) && (flags & IF_EARLIER)) {
        reply_error(c->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    *out = flags;
    return true;
}

/* A key without a deadline counts as one that lives for ever: nothing is later. */
static bool conditions_hold(int flags, int64_t current_ms, int64_t deadline_ms) {
    bool has_one = current_ms >= 0;
    if ((flags & IF_NONE) && has_one) return false;
    if ((flags & IF_ANY) && !has_one) return false;
    if ((flags & IF_LATER) && (!has_one || deadline_ms <= current_ms)) return false;
    if ((flags & IF_EARLIER) && has_one && deadline_ms >= current_ms) return false;
    return true;
}

static void expire(struct cmd_ctx *c, int64_t base_ms, int64_t unit) {
    int flags;
    int64_t amount, deadline_ms;
    if (!parse_conditions(c, &flags)) return;
    if (!cmd_arg_i64(c, c->argv[2], &amount, NULL)) return;
    if (__builtin_mul_overflow(amount, unit, &deadline_ms) ||
        __builtin_add_overflow(deadline_ms, base_ms, &deadline_ms)) {
        cmd_refuse_deadline(c);
        return;
    }
    struct object *o = cmd_write(c, c->argv[1]);
    if (o == NULL || !conditions_hold(flags, object_deadline(o), deadline_ms)) {
        reply_int(c->reply, 0);
        return;
    }
    bool is_over = deadline_ms <= c->now_ms;
    if (is_over)
        ks_delete(c->ks, c->db, o);
    else
        ks_set_deadline(c->ks, c->db, o, deadline_ms);
    cmd_event(c, EVENT_GENERIC, is_over ? "del" : "expire", c->argv[1]);
    reply_int(c->reply, 1);
}

void cmd_expire(struct cmd_ctx *c) {
    expire(c, c->now_ms, UNIT_S);
}
void cmd_pexpire(struct cmd_ctx *c) {
    expire(c, c->now_ms, UNIT_MS);
}
void cmd_expireat(struct cmd_ctx *c) {
    expire(c, 0, UNIT_S);
}
void cmd_pexpireat(struct cmd_ctx *c) {
    expire(c, 0, UNIT_MS);
}

void cmd_persist(struct cmd_ctx *c) {
    struct object *o = cmd_write(c, c->argv[1]);
    bool had_one = o != NULL && object_deadline(o) >= 0;
    if (had_one) {
        ks_set_deadline(c->ks, c->db, o, -1);
        cmd_event(c, EVENT_GENERIC, "persist", c->argv[1]);
    }
    reply_int(c->reply, had_one);
}

/* --- TTL, PTTL, EXPIRETIME, PEXPIRETIME --- */

static void deadline(struct cmd_ctx *c, bool relative, int64_t unit) {
    enum { NO_KEY = -2, NO_DEADLINE = -1 };
    const struct object *o = ks_look(c->ks, c->db, c->argv[1], c->now_ms);
    if (o == NULL) {
        reply_int(c->reply, NO_KEY);
        return;
    }
    int64_t ms = object_deadline(o);
    if (ms < 0) {
        reply_int(c->reply, NO_DEADLINE);
        return;
    }
    if (relative) ms = ms > c->now_ms ? ms - c->now_ms : 0;
    if (unit == UNIT_S)
        ms = ms / 1000 + (ms % 1000 >= 500); /* rounded, and without overflow near the maximum */
    reply_int(c->reply, ms);
}

void cmd_ttl(struct cmd_ctx *c) {
    deadline(c, true, UNIT_S);
}
void cmd_pttl(struct cmd_ctx *c) {
    deadline(c, true, UNIT_MS);
}
void cmd_expiretime(struct cmd_ctx *c) {
    deadline(c, false, UNIT_S);
}
void cmd_pexpiretime(struct cmd_ctx *c) {
    deadline(c, false, UNIT_MS);
}
