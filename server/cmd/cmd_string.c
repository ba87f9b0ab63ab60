/* The commands of strings: options, limits, replies, in the order Redis checks them; how a value is kept is
 * type_string.c's.
 *
 * Writes must do the same on every node, and proto-max-bulk-len is a setting of one node: what a value may grow to
 * is therefore the constant STRING_LEN_MAX, that setting's default, and never the setting. */
#include "cmd_expire.h"
#include "events.h"
#include "handlers.h"

#include "num.h"

#include <inttypes.h>
#include <math.h>

static inline void reply_string(struct cmd_ctx *c, const struct object *o) {
    char scratch[NUM_I64_MAX_LEN];
    reply_bulk(c->reply, string_get(o, scratch));
}

/* False after answering. `offset` may be anything from 0 on. */
static bool fits(struct cmd_ctx *c, uint64_t offset, size_t len) {
    if (len <= STRING_LEN_MAX && offset <= STRING_LEN_MAX - len) return true;
    reply_error(c->reply, ERR_STRING_TOO_LONG);
    return false;
}

/* --- GET and its kin --- */

static void tell(struct cmd_ctx *c, const char *event) {
    cmd_event(c, EVENT_STRING, event, c->argv[1]);
}

/* Answers the value or null; false after answering WRONGTYPE. */
static bool reply_value(struct cmd_ctx *c, const struct object *o) {
    if (o == NULL) {
        reply_null(c->reply);
        return true;
    }
    if (!cmd_is_type(c, o, OBJECT_STRING)) return false;
    reply_string(c, o);
    return true;
}

void cmd_get(struct cmd_ctx *c) {
    (void)reply_value(c, cmd_read(c, c->argv[1]));
}

void cmd_mget(struct cmd_ctx *c) {
    reply_array(c->reply, (size_t)c->argc - 1);
    for (int i = 1; i < c->argc; i++) {
        const struct object *o = cmd_read(c, c->argv[i]);
        if (o != NULL && o->type == OBJECT_STRING)
            reply_string(c, o);
        else
            reply_null(c->reply);
    }
}

void cmd_strlen(struct cmd_ctx *c) {
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    reply_int(c->reply, o ? (int64_t)string_len(o) : 0);
}

void cmd_getrange(struct cmd_ctx *c) {
    int64_t start, end;
    if (!cmd_arg_i64(c, c->argv[2], &start, NULL)) return;
    if (!cmd_arg_i64(c, c->argv[3], &end, NULL)) return;
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;

    char scratch[NUM_I64_MAX_LEN];
    struct slice value = o ? string_get(o, scratch) : SLICE("");
    int64_t len = (int64_t)value.len;
    bool reversed = start < 0 && end < 0 && start > end;
    if (start < 0) start = start + len < 0 ? 0 : start + len;
    if (end < 0)
        end = end + len < 0 ? 0 : end + len; /* so that 0 -100 answers the first byte, as Redis does */
    if (end >= len) end = len - 1;
    if (reversed || start > end)
        reply_bulk(c->reply, SLICE(""));
    else
        reply_bulk(c->reply, slice_make(value.data + start, (size_t)(end - start + 1)));
}

void cmd_substr(struct cmd_ctx *c) {
    cmd_getrange(c);
}

void cmd_getdel(struct cmd_ctx *c) {
    struct object *o = cmd_consult(c, c->argv[1]);
    if (!reply_value(c, o) || o == NULL) return;
    ks_delete(c->ks, c->db, o);
    cmd_event(c, EVENT_GENERIC, "del", c->argv[1]);
}

/* --- options of SET and GETEX --- */

struct set_options {
    bool nx, xx, get, keep_deadline, persist;
    bool relative;
    int64_t unit;      /* 0: no deadline given */
    struct slice time; /* in units */
};

enum option_user { FOR_SET, FOR_GETEX };

struct deadline_word {
    const char *word;
    int64_t unit;
    bool relative;
};

static const struct deadline_word deadline_words[] = {
    {"ex", UNIT_S, true}, {"px", UNIT_MS, true}, {"exat", UNIT_S, false}, {"pxat", UNIT_MS, false}};

/* The same word twice is fine and the last one counts; two different words about the deadline are not. */
static bool parse_deadline_word(struct cmd_ctx *c, int *i, struct set_options *o) {
    for (size_t k = 0; k < sizeof deadline_words / sizeof *deadline_words; k++) {
        const struct deadline_word *w = &deadline_words[k];
        if (!slice_is(c->argv[*i], w->word)) continue;
        bool other = o->unit != 0 && (o->unit != w->unit || o->relative != w->relative);
        if (other || o->keep_deadline || o->persist || *i + 1 == c->argc) return false;
        o->unit = w->unit;
        o->relative = w->relative;
        o->time = c->argv[++*i];
        return true;
    }
    return false;
}

static bool parse_options(struct cmd_ctx *c, int first, enum option_user user, struct set_options *o) {
    bool set = user == FOR_SET;
    for (int i = first; i < c->argc; i++) {
        struct slice word = c->argv[i];
        if (set && slice_is(word, "nx") && !o->xx)
            o->nx = true;
        else if (set && slice_is(word, "xx") && !o->nx)
            o->xx = true;
        else if (set && slice_is(word, "get"))
            o->get = true;
        else if (set && slice_is(word, "keepttl") && o->unit == 0)
            o->keep_deadline = true;
        else if (!set && slice_is(word, "persist") && o->unit == 0)
            o->persist = true;
        else if (!parse_deadline_word(c, &i, o)) {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    return true;
}

/* --- SET and its kin --- */

void cmd_set(struct cmd_ctx *c) {
    struct slice key = c->argv[1], value = c->argv[2];
    if (!fits(c, 0, value.len)) return;
    if (c->argc == 3) {
        string_put(c->ks, c->db, key, value, c->now_ms);
        tell(c, "set");
        reply_ok(c->reply);
        return;
    }
    struct set_options options = {0};
    int64_t deadline_ms = -1;
    if (!parse_options(c, 3, FOR_SET, &options)) return;
    if (options.unit != 0 && !cmd_arg_deadline(c, options.time, options.unit, options.relative, &deadline_ms))
        return;

    struct object *o = options.get ? cmd_consult(c, key) : cmd_write(c, key);
    if (options.get && !reply_value(c, o)) return;
    if ((options.nx && o != NULL) || (options.xx && o == NULL)) {
        if (!options.get) reply_null(c->reply);
        return;
    }
    o = string_set(c->ks, c->db, key, value, options.keep_deadline);
    tell(c, "set");
    if (deadline_ms >= 0) {
        ks_set_deadline(c->ks, c->db, o, deadline_ms);
        cmd_event(c, EVENT_GENERIC, "expire", key);
    }
    if (!options.get) reply_ok(c->reply);
}

static void set_for_a_time(struct cmd_ctx *c, int64_t unit) {
    int64_t deadline_ms;
    if (!fits(c, 0, c->argv[3].len)) return;
    if (!cmd_arg_deadline(c, c->argv[2], unit, true, &deadline_ms)) return;
    struct object *o = string_put(c->ks, c->db, c->argv[1], c->argv[3], c->now_ms);
    tell(c, "set");
    ks_set_deadline(c->ks, c->db, o, deadline_ms);
    cmd_event(c, EVENT_GENERIC, "expire", c->argv[1]);
    reply_ok(c->reply);
}

void cmd_setex(struct cmd_ctx *c) {
    set_for_a_time(c, UNIT_S);
}
void cmd_psetex(struct cmd_ctx *c) {
    set_for_a_time(c, UNIT_MS);
}

void cmd_setnx(struct cmd_ctx *c) {
    if (!fits(c, 0, c->argv[2].len)) return;
    bool absent = cmd_write(c, c->argv[1]) == NULL;
    if (absent) {
        string_set(c->ks, c->db, c->argv[1], c->argv[2], false);
        tell(c, "set");
    }
    reply_int(c->reply, absent);
}

void cmd_getset(struct cmd_ctx *c) {
    if (!fits(c, 0, c->argv[2].len)) return;
    if (!reply_value(c, cmd_consult(c, c->argv[1]))) return;
    string_set(c->ks, c->db, c->argv[1], c->argv[2], false);
    tell(c, "set");
}

void cmd_getex(struct cmd_ctx *c) {
    struct set_options options = {0};
    int64_t deadline_ms = -1;
    if (!parse_options(c, 2, FOR_GETEX, &options)) return;
    struct object *o = cmd_consult(c, c->argv[1]);
    if (o == NULL) {
        reply_null(c->reply);
        return;
    }
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    if (options.unit != 0 && !cmd_arg_deadline(c, options.time, options.unit, options.relative, &deadline_ms))
        return;

    reply_string(c, o);
    const char *event = NULL;
    if (options.unit != 0 && !options.relative && deadline_ms <= c->now_ms) {
        ks_delete(c->ks, c->db, o);
        event = "del";
    } else if (options.unit != 0) {
        ks_set_deadline(c->ks, c->db, o, deadline_ms);
        event = "expire";
    } else if (options.persist && object_deadline(o) >= 0) {
        ks_set_deadline(c->ks, c->db, o, -1);
        event = "persist";
    }
    if (event != NULL) cmd_event(c, EVENT_GENERIC, event, c->argv[1]);
}

/* Keys and values take turns; false after answering. */
static bool are_pairs(struct cmd_ctx *c) {
    if (c->argc % 2 == 0) {
        char name[64];
        size_t len = command_full_name(c->cmd, name, sizeof name);
        reply_errorf(c->reply, "ERR wrong number of arguments for '%.*s' command", (int)len, name);
        return false;
    }
    for (int i = 2; i < c->argc; i += 2)
        if (!fits(c, 0, c->argv[i].len)) return false;
    return true;
}

static void set_pairs(struct cmd_ctx *c) {
    for (int i = 1; i < c->argc; i += 2) {
        string_put(c->ks, c->db, c->argv[i], c->argv[i + 1], c->now_ms);
        cmd_event(c, EVENT_STRING, "set", c->argv[i]);
    }
}

void cmd_mset(struct cmd_ctx *c) {
    if (!are_pairs(c)) return;
    set_pairs(c);
    reply_ok(c->reply);
}

void cmd_msetnx(struct cmd_ctx *c) {
    if (!are_pairs(c)) return;
    for (int i = 1; i < c->argc; i += 2) {
        if (cmd_write(c, c->argv[i]) == NULL) continue;
        reply_int(c->reply, 0);
        return;
    }
    set_pairs(c);
    reply_int(c->reply, 1);
}

/* --- parts of strings --- */

void cmd_append(struct cmd_ctx *c) {
    struct slice key = c->argv[1], tail = c->argv[2];
    struct object *o = cmd_write(c, key);
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    if (!fits(c, o ? string_len(o) : 0, tail.len)) return;
    if (o == NULL)
        o = string_set(c->ks, c->db, key, tail, false);
    else
        string_append(c->ks, c->db, o, tail);
    tell(c, "append");
    reply_int(c->reply, (int64_t)string_len(o));
}

void cmd_setrange(struct cmd_ctx *c) {
    struct slice key = c->argv[1], bytes = c->argv[3];
    int64_t offset;
    if (!cmd_arg_i64(c, c->argv[2], &offset, NULL)) return;
    if (offset < 0) {
        reply_error(c->reply, "ERR offset is out of range");
        return;
    }
    struct object *o = cmd_write(c, key);
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    if (bytes.len == 0) { /* nothing to write creates nothing and grows nothing */
        reply_int(c->reply, o ? (int64_t)string_len(o) : 0);
        return;
    }
    if (!fits(c, (uint64_t)offset, bytes.len)) return;
    if (o == NULL) o = string_set(c->ks, c->db, key, SLICE(""), false);
    string_write_at(c->ks, c->db, o, (size_t)offset, bytes);
    tell(c, "setrange");
    reply_int(c->reply, (int64_t)string_len(o));
}

/* --- numbers --- */

static void increment(struct cmd_ctx *c, int64_t by) {
    struct object *o = cmd_write(c, c->argv[1]);
    int64_t value = 0;
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    if (o != NULL && !string_int(o, &value)) {
        reply_error(c->reply, ERR_NOT_AN_INTEGER);
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        reply_error(c->reply, ERR_OVERFLOW);
        return;
    }
    string_set_int(c->ks, c->db, c->argv[1], value, true);
    tell(c, "incrby");
    reply_int(c->reply, value);
}

void cmd_incr(struct cmd_ctx *c) {
    increment(c, 1);
}
void cmd_decr(struct cmd_ctx *c) {
    increment(c, -1);
}

void cmd_incrby(struct cmd_ctx *c) {
    int64_t by;
    if (cmd_arg_i64(c, c->argv[2], &by, NULL)) increment(c, by);
}

void cmd_decrby(struct cmd_ctx *c) {
    int64_t by;
    if (!cmd_arg_i64(c, c->argv[2], &by, NULL)) return;
    if (by == INT64_MIN) { /* has no negative */
        reply_error(c->reply, "ERR decrement would overflow");
        return;
    }
    increment(c, -by);
}

/* Sums are long doubles, as in Redis, so all nodes of a cluster must share one kind of long double: x86's 80 bits. */
void cmd_incrbyfloat(struct cmd_ctx *c) {
    struct object *o = cmd_write(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    char scratch[NUM_I64_MAX_LEN];
    long double value = 0, by;
    if ((o != NULL && !parse_long_double(string_get(o, scratch), &value)) ||
        !parse_long_double(c->argv[2], &by)) {
        reply_error(c->reply, ERR_NOT_A_FLOAT);
        return;
    }
    value += by;
    if (isnan(value) || isinf(value)) {
        reply_error(c->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char *text = arena_alloc(c->arena, NUM_LD_MAX_LEN);
    struct slice sum = slice_make(text, format_long_double(text, value));
    string_set_text(c->ks, c->db, c->argv[1], sum, true);
    tell(c, "incrbyfloat");
    reply_bulk(c->reply, sum);
}
