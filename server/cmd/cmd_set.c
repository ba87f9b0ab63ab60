/* The commands of single sets: options, limits, replies, in the order Redis checks them; how a set is kept is type_set.c's,
 * SINTER and its kin are in cmd_set_algebra.c. */
#include "cmd_nothing.h"
#include "cmd_random.h"
#include "cmd_scan.h"
#include "cmd_set.h"
#include "events.h"
#include "handlers.h"

#include "num.h"
#include "sample.h"

typedef void absent_fn(struct reply *r);
/* The set to be read; false after answering: `absent` when there is none, or WRONGTYPE. */
static bool read_set(struct cmd_ctx *c, absent_fn *absent, const struct object **o) {
    *o = cmd_read(c, c->argv[1]);
    if (*o == NULL)
        absent(c->reply);
    else if (cmd_is_type(c, *o, OBJECT_SET))
        return true;
    return false;
}

static void absent_zero(struct reply *r) {
    reply_int(r, 0);
}
static void absent_set(struct reply *r) {
    reply_set(r, 0);
}
static void absent_array(struct reply *r) {
    reply_array(r, 0);
}

/* The set to be written to, or NULL when there is none; false after answering WRONGTYPE. */
static bool write_set(struct cmd_ctx *c, struct object **o) {
    *o = cmd_write(c, c->argv[1]);
    return cmd_is_type(c, *o, OBJECT_SET);
}

static bool has(const struct object *o, struct slice text) {
    struct pack_value member = pack_text(text);
    return o != NULL && set_has(o, &member);
}

static void tell(struct cmd_ctx *c, const char *event, struct slice key) {
    cmd_event(c, EVENT_SET, event, key);
}

/* It was empty, and went. */
static void tell_gone(struct cmd_ctx *c, struct slice key) {
    cmd_event(c, EVENT_GENERIC, "del", key);
}

/* --- reading --- */

void cmd_sismember(struct cmd_ctx *c) {
    const struct object *o;
    if (read_set(c, absent_zero, &o)) reply_int(c->reply, has(o, c->argv[2]));
}

void cmd_smismember(struct cmd_ctx *c) {
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_SET)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) reply_int(c->reply, has(o, c->argv[i]));
}

void cmd_scard(struct cmd_ctx *c) {
    const struct object *o;
    if (read_set(c, absent_zero, &o)) reply_int(c->reply, (int64_t)set_len(o));
}

static void reply_members(struct cmd_ctx *c, const struct object *o) {
    struct pack_value member;
    reply_set(c->reply, set_len(o));
    for (struct set_cursor at = {.object = o}; set_next(&at, &member);) reply_member(c->reply, member);
}

void cmd_smembers(struct cmd_ctx *c) {
    const struct object *o;
    if (read_set(c, absent_set, &o)) reply_members(c, o);
}

struct member_lister {
    const struct scan_options *options;
    struct scan_page *page;
};

static void list_member(void *arg, struct pack_value member) {
    const struct member_lister *l = arg;
    char digits[NUM_I64_MAX_LEN];
    struct slice text = member.is_int ? slice_make(digits, format_i64(digits, member.integer)) : member.text;
    if (!scan_matches(l->options, text)) return;
    reply_bulk(&l->page->list, text);
    l->page->count++;
}

static void absent_page(struct reply *r) {
    reply_array(r, 2);
    reply_bulk(r, SLICE("0"));
    reply_array(r, 0);
}

void cmd_sscan(struct cmd_ctx *c) {
    uint64_t cursor;
    const struct object *o;
    struct scan_options options;
    struct scan_page page;
    if (!cmd_scan_cursor(c, c->argv[2], &cursor)) return;
    if (!read_set(c, absent_page, &o)) return;
    if (!cmd_scan_options(c, 3, false, &options)) return;
    scan_page_begin(c, &page);
    struct member_lister lister = {&options, &page};
    cursor = set_scan(o, cursor, (uint64_t)options.count, list_member, &lister);
    scan_page_end(c, &page, cursor);
}

/* --- writing --- */

/* All of them are there already. */
bool cmd_sadd_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv) {
    const struct object *o = ks_peek(ks, db, argv[1], INT64_MIN);
    if (o == NULL || o->type != OBJECT_SET || object_deadline(o) >= 0) return false;
    int i = 2;
    while (i < argc && has(o, argv[i])) i++;
    return i == argc;
}

void cmd_sadd(struct cmd_ctx *c) {
    struct object *o;
    if (!write_set(c, &o)) return;
    size_t added = set_add(c->ks, c->db, &o, c->argv[1], c->argv + 2, (size_t)c->argc - 2);
    if (added > 0) tell(c, "sadd", c->argv[1]);
    reply_int(c->reply, (int64_t)added);
}

void cmd_srem(struct cmd_ctx *c) {
    struct object *o;
    if (!write_set(c, &o)) return;
    size_t removed = o ? set_remove(c->ks, c->db, &o, c->argv + 2, (size_t)c->argc - 2) : 0;
    if (removed > 0) tell(c, "srem", c->argv[1]);
    if (removed > 0 && o == NULL) tell_gone(c, c->argv[1]);
    reply_int(c->reply, (int64_t)removed);
}

void cmd_smove(struct cmd_ctx *c) {
    const struct slice *member = &c->argv[3];
    struct object *from = cmd_write(c, c->argv[1]), *to = cmd_write(c, c->argv[2]);
    bool moved = false;
    if (from != NULL) {
        if (!cmd_is_type(c, from, OBJECT_SET) || !cmd_is_type(c, to, OBJECT_SET)) return;
        if (from == to) {
            moved = has(from, *member);
        } else if (set_remove(c->ks, c->db, &from, member, 1) > 0) {
            tell(c, "srem", c->argv[1]);
            if (from == NULL) tell_gone(c, c->argv[1]);
            if (set_add(c->ks, c->db, &to, c->argv[2], member, 1) > 0) tell(c, "sadd", c->argv[2]);
            moved = true;
        }
    }
    reply_int(c->reply, moved);
}

/* --- some at random --- */

static void reply_picked(void *arg, struct pack_value member) {
    reply_member(arg, member);
}

static void pop_one(struct cmd_ctx *c) {
    struct object *o;
    if (!write_set(c, &o)) return;
    if (o == NULL) {
        reply_null(c->reply);
        return;
    }
    uint64_t rank = rng_below(c->rng, set_len(o));
    reply_member(c->reply, set_at(o, rank));
    set_remove_ranks(c->ks, c->db, &o, &rank, 1);
    tell(c, "spop", c->argv[1]);
    if (o == NULL) tell_gone(c, c->argv[1]);
}

/* What is left when most of a set is taken becomes a new set, as in Redis: it may be an intset again. */
static void keep_rest(struct cmd_ctx *c, struct object *o, const uint64_t *ranks, size_t count) {
    struct set_build rest;
    struct pack_value member;
    uint64_t rank = 0;
    size_t k = 0;
    set_build_init(&rest, c->ks, c->arena);
    for (struct set_cursor at = {.object = o}; set_next(&at, &member); rank++) {
        if (k < count && ranks[k] == rank)
            k++;
        else
            set_build_append(&rest, &member);
    }
    int64_t deadline_ms = object_deadline(o);
    ks_clear(c->ks, c->db, o);
    o = set_build_store(&rest, c->ks, c->db, c->argv[1]);
    if (deadline_ms >= 0) ks_set_deadline(c->ks, c->db, o, deadline_ms);
    set_build_free(&rest);
}

void cmd_spop(struct cmd_ctx *c) {
    enum { REST_IS_LITTLE = 5 }; /* so many times what is left is taken: Redis's measure */
    struct object *o;
    int64_t count;
    if (c->argc == 2) {
        pop_one(c);
        return;
    }
    if (c->argc > 3) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    if (!cmd_arg_long_in(c, c->argv[2], 0, INT64_MAX, &count, "ERR value is out of range, must be positive"))
        return;
    if (!write_set(c, &o)) return;
    if (o == NULL || count == 0) {
        reply_set(c->reply, 0);
        return;
    }
    size_t len = set_len(o);
    tell(c, "spop", c->argv[1]);
    if ((uint64_t)count >= len) {
        reply_members(c, o);
        ks_delete(c->ks, c->db, o);
        tell_gone(c, c->argv[1]);
        return;
    }
    uint64_t *ranks = arena_alloc(c->arena, (size_t)count * sizeof *ranks);
    sample_ranks(c->rng, len, (size_t)count, ranks);
    reply_set(c->reply, (size_t)count);
    set_pick(o, ranks, (size_t)count, reply_picked, c->reply);
    if ((len - (size_t)count) * REST_IS_LITTLE > (size_t)count)
        set_remove_ranks(c->ks, c->db, &o, ranks, (size_t)count);
    else
        keep_rest(c, o, ranks, (size_t)count);
}

void cmd_srandmember(struct cmd_ctx *c) {
    const struct object *o;
    int64_t count;
    struct random_picks picks;
    if (c->argc > 3) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    if (c->argc == 2) {
        if (read_set(c, reply_null, &o)) reply_member(c->reply, set_at(o, rng_below(c->rng, set_len(o))));
        return;
    }
    if (!cmd_arg_long_in(c, c->argv[2], -INT64_MAX, INT64_MAX, &count, NULL)) return;
    if (!read_set(c, absent_array, &o)) return;
    size_t len = set_len(o);
    if (!cmd_random_picks(c, count, len, &picks)) return;
    reply_array(c->reply, picks.count);
    if (picks.ranks != NULL)
        set_pick(o, picks.ranks, picks.count, reply_picked, c->reply);
    else
        for (size_t i = 0; i < picks.count; i++) reply_member(c->reply, set_at(o, rng_below(c->rng, len)));
}
