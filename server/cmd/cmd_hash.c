/* The commands of hashes: options, limits, replies, in the order Redis checks them; how a hash is kept is type_hash.c's. */
#include "cmd_random.h"
#include "cmd_scan.h"
#include "events.h"
#include "handlers.h"
#include "type_hash.h"

#include "num.h"

#include <math.h>

static inline void reply_value(struct reply *r, struct pack_value v) {
    if (v.is_int)
        reply_bulk_int(r, v.integer);
    else
        reply_bulk(r, v.text);
}

/* The hash to be read; false after answering: `absent` when there is none, or WRONGTYPE. */
typedef void absent_fn(struct reply *r);
static bool read_hash(struct cmd_ctx *c, absent_fn *absent, const struct object **o) {
    *o = cmd_read(c, c->argv[1]);
    if (*o == NULL)
        absent(c->reply);
    else if (cmd_is_type(c, *o, OBJECT_HASH))
        return true;
    return false;
}

static void absent_zero(struct reply *r) {
    reply_int(r, 0);
}
static void absent_array(struct reply *r) {
    reply_array(r, 0);
}
static void absent_map(struct reply *r) {
    reply_map(r, 0);
}

/* The hash to be written to, or NULL when there is none; false after answering WRONGTYPE. */
static bool write_hash(struct cmd_ctx *c, struct object **o) {
    *o = cmd_write(c, c->argv[1]);
    return cmd_is_type(c, *o, OBJECT_HASH);
}

static inline bool find(const struct object *o, struct slice field, struct pack_value *value) {
    return o != NULL && hash_get(o, field, value);
}

static void tell(struct cmd_ctx *c, const char *event) {
    cmd_event(c, EVENT_HASH, event, c->argv[1]);
}

/* --- reading --- */

void cmd_hget(struct cmd_ctx *c) {
    const struct object *o;
    struct pack_value value;
    if (!read_hash(c, reply_null, &o)) return;
    if (hash_get(o, c->argv[2], &value))
        reply_value(c->reply, value);
    else
        reply_null(c->reply);
}

void cmd_hmget(struct cmd_ctx *c) {
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_HASH)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        struct pack_value value;
        if (find(o, c->argv[i], &value))
            reply_value(c->reply, value);
        else
            reply_null(c->reply);
    }
}

void cmd_hexists(struct cmd_ctx *c) {
    const struct object *o;
    struct pack_value value;
    if (read_hash(c, absent_zero, &o)) reply_int(c->reply, hash_get(o, c->argv[2], &value));
}

void cmd_hlen(struct cmd_ctx *c) {
    const struct object *o;
    if (read_hash(c, absent_zero, &o)) reply_int(c->reply, (int64_t)hash_len(o));
}

void cmd_hstrlen(struct cmd_ctx *c) {
    const struct object *o;
    struct pack_value value;
    char digits[NUM_I64_MAX_LEN];
    if (!read_hash(c, absent_zero, &o)) return;
    size_t len = 0;
    if (hash_get(o, c->argv[2], &value))
        len = value.is_int ? format_i64(digits, value.integer) : value.text.len;
    reply_int(c->reply, (int64_t)len);
}

void cmd_hkeys(struct cmd_ctx *c) {
    const struct object *o;
    struct pack_value field, value;
    if (!read_hash(c, absent_array, &o)) return;
    reply_array(c->reply, hash_len(o));
    for (struct hash_cursor at = {.object = o}; hash_next(&at, &field, &value);) reply_value(c->reply, field);
}

void cmd_hvals(struct cmd_ctx *c) {
    const struct object *o;
    struct pack_value field, value;
    if (!read_hash(c, absent_array, &o)) return;
    reply_array(c->reply, hash_len(o));
    for (struct hash_cursor at = {.object = o}; hash_next(&at, &field, &value);) reply_value(c->reply, value);
}

void cmd_hgetall(struct cmd_ctx *c) {
    const struct object *o;
    struct pack_value field, value;
    if (!read_hash(c, absent_map, &o)) return;
    reply_map(c->reply, hash_len(o));
    for (struct hash_cursor at = {.object = o}; hash_next(&at, &field, &value);) {
        reply_value(c->reply, field);
        reply_value(c->reply, value);
    }
}

struct pair_lister {
    const struct scan_options *options;
    struct scan_page *page;
};

static void list_pair(void *arg, struct pack_value field, struct pack_value value) {
    const struct pair_lister *l = arg;
    char digits[NUM_I64_MAX_LEN];
    struct slice text = field.is_int ? slice_make(digits, format_i64(digits, field.integer)) : field.text;
    if (!scan_matches(l->options, text)) return;
    reply_bulk(&l->page->list, text);
    reply_value(&l->page->list, value);
    l->page->count += 2;
}

static void absent_page(struct reply *r) {
    reply_array(r, 2);
    reply_bulk(r, SLICE("0"));
    reply_array(r, 0);
}

void cmd_hscan(struct cmd_ctx *c) {
    uint64_t cursor;
    const struct object *o;
    struct scan_options options;
    struct scan_page page;
    if (!cmd_scan_cursor(c, c->argv[2], &cursor)) return;
    if (!read_hash(c, absent_page, &o)) return;
    if (!cmd_scan_options(c, 3, false, &options)) return;
    scan_page_begin(c, &page);
    struct pair_lister lister = {&options, &page};
    cursor = hash_scan(o, cursor, (uint64_t)options.count, list_pair, &lister);
    scan_page_end(c, &page, cursor);
}

/* --- some at random --- */

struct pair_picker {
    struct reply *reply;
    bool with_values;
};

static void reply_pair(void *arg, struct pack_value field, struct pack_value value) {
    const struct pair_picker *p = arg;
    if (p->with_values && p->reply->resp > 2) reply_array(p->reply, 2);
    reply_value(p->reply, field);
    if (p->with_values) reply_value(p->reply, value);
}

static void reply_random_fields(struct cmd_ctx *c, const struct object *o, const struct random_picks *picks,
                                bool with_values) {
    struct pair_picker picker = {c->reply, with_values};
    size_t entries = picks->count * (with_values && c->reply->resp == 2 ? 2 : 1);
    reply_array(c->reply, entries);
    if (picks->ranks != NULL) {
        hash_pick(o, picks->ranks, picks->count, reply_pair, &picker);
        return;
    }
    uint64_t len = hash_len(o);
    for (size_t i = 0; i < picks->count; i++) {
        struct pack_value field, value;
        hash_at(o, rng_below(c->rng, len), &field, &value);
        reply_pair(&picker, field, value);
    }
}

void cmd_hrandfield(struct cmd_ctx *c) {
    const struct object *o;
    struct pack_value field, value;
    if (c->argc == 2) {
        if (!read_hash(c, reply_null, &o)) return;
        hash_at(o, rng_below(c->rng, hash_len(o)), &field, &value);
        reply_value(c->reply, field);
        return;
    }
    int64_t count;
    if (!cmd_arg_long_in(c, c->argv[2], -INT64_MAX, INT64_MAX, &count, NULL)) return;
    bool with_values = c->argc == 4 && slice_is(c->argv[3], "withvalues");
    if (c->argc > 4 || (c->argc == 4 && !with_values)) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    if (with_values && (count < -INT64_MAX / 2 || count > INT64_MAX / 2)) {
        reply_error(c->reply, ERR_COUNT_OUT_OF_RANGE);
        return;
    }
    if (!read_hash(c, absent_array, &o)) return;
    struct random_picks picks;
    if (cmd_random_picks(c, count, hash_len(o), &picks)) reply_random_fields(c, o, &picks, with_values);
}

/* --- writing --- */

/* False after answering. */
static bool are_pairs(struct cmd_ctx *c) {
    if (c->argc % 2 == 0) return true;
    reply_errorf(c->reply, "ERR wrong number of arguments for '%s' command", c->cmd->name);
    return false;
}

static bool set_pairs(struct cmd_ctx *c, size_t *created) {
    struct object *o;
    if (!are_pairs(c) || !write_hash(c, &o)) return false;
    *created = hash_set(c->ks, c->db, &o, c->argv[1], c->argv + 2, (size_t)(c->argc - 2) / 2);
    tell(c, "hset");
    return true;
}

void cmd_hset(struct cmd_ctx *c) {
    size_t created;
    if (set_pairs(c, &created)) reply_int(c->reply, (int64_t)created);
}

void cmd_hmset(struct cmd_ctx *c) {
    size_t created;
    if (set_pairs(c, &created)) reply_ok(c->reply);
}

void cmd_hsetnx(struct cmd_ctx *c) {
    struct object *o;
    struct pack_value value;
    if (!write_hash(c, &o)) return;
    bool absent = !find(o, c->argv[2], &value);
    if (absent) {
        hash_set(c->ks, c->db, &o, c->argv[1], c->argv + 2, 1);
        tell(c, "hset");
    }
    reply_int(c->reply, absent);
}

void cmd_hdel(struct cmd_ctx *c) {
    struct object *o;
    if (!write_hash(c, &o)) return;
    size_t removed = o ? hash_remove(c->ks, c->db, &o, c->argv + 2, (size_t)c->argc - 2) : 0;
    if (removed > 0) tell(c, "hdel");
    if (removed > 0 && o == NULL) cmd_event(c, EVENT_GENERIC, "del", c->argv[1]);
    reply_int(c->reply, (int64_t)removed);
}

/* --- numbers --- */

static void set_field(struct cmd_ctx *c, struct object *o, struct slice value) {
    struct slice pair[2] = {c->argv[2], value};
    hash_set(c->ks, c->db, &o, c->argv[1], pair, 1);
}

void cmd_hincrby(struct cmd_ctx *c) {
    int64_t by, sum = 0;
    struct object *o;
    struct pack_value value;
    if (!cmd_arg_i64(c, c->argv[3], &by, NULL)) return;
    if (!write_hash(c, &o)) return;
    if (find(o, c->argv[2], &value)) {
        sum = value.integer;
        if (!value.is_int && !parse_i64(value.text, &sum)) {
            reply_error(c->reply, "ERR hash value is not an integer");
            return;
        }
    }
    if (__builtin_add_overflow(sum, by, &sum)) {
        reply_error(c->reply, ERR_OVERFLOW);
        return;
    }
    char digits[NUM_I64_MAX_LEN];
    set_field(c, o, slice_make(digits, format_i64(digits, sum)));
    tell(c, "hincrby");
    reply_int(c->reply, sum);
}

/* Sums are long doubles, as INCRBYFLOAT's. */
void cmd_hincrbyfloat(struct cmd_ctx *c) {
    long double by, sum = 0;
    struct object *o;
    struct pack_value value;
    if (!parse_long_double(c->argv[3], &by)) {
        reply_error(c->reply, ERR_NOT_A_FLOAT);
        return;
    }
    if (isnan(by) || isinf(by)) {
        reply_error(c->reply, "ERR value is NaN or Infinity");
        return;
    }
    if (!write_hash(c, &o)) return;
    if (find(o, c->argv[2], &value)) {
        if (value.is_int)
            sum = (long double)value.integer;
        else if (!parse_long_double(value.text, &sum)) {
            reply_error(c->reply, "ERR hash value is not a float");
            return;
        }
    }
    sum += by;
    if (isnan(sum) || isinf(sum)) {
        reply_error(c->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char *text = arena_alloc(c->arena, NUM_LD_MAX_LEN);
    struct slice spelled = slice_make(text, format_long_double(text, sum));
    set_field(c, o, spelled);
    tell(c, "hincrbyfloat");
    reply_bulk(c->reply, spelled);
}
