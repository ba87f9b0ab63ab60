/* SINTER, SUNION, SDIFF, their STORE forms, and SINTERCARD, each with the work that Redis documents for it: intersections walk the
 * smallest set and ask the others; differences choose between asking the others about each member of the first, and
 * taking their members away from a copy of it. */
#include "cmd_set.h"
#include "events.h"
#include "handlers.h"

#include <stdlib.h>

/* A source as it was named: absent sets are empty ones. */
struct source {
    const struct object *set; /* NULL: absent */
    size_t len;
    int at; /* among the sources */
};

struct sources {
    struct source *items;
    int count, absent;
};

/* False after answering WRONGTYPE. `target`: the key that a STORE form writes, NULL for those that only read. */
static bool take_sources(struct cmd_ctx *c, int first, int count, const struct slice *target,
                         struct sources *s) {
    *s = (struct sources){.count = count};
    s->items = arena_alloc(c->arena, (size_t)count * sizeof *s->items);
    for (int i = 0; i < count; i++) {
        struct slice key = c->argv[first + i];
        const struct object *o = target ? cmd_consult(c, key) : cmd_read(c, key);
        if (!cmd_is_type(c, o, OBJECT_SET)) return false;
        if (o == NULL) s->absent++;
        s->items[i] = (struct source){o, o ? set_len(o) : 0, i};
    }
    return true;
}

/* Ties by place: the order decides in which order members are stored, which must be the same on all nodes. */
static int smaller_first(const void *a, const void *b) {
    const struct source *x = a, *y = b;
    if (x->len != y->len) return x->len < y->len ? -1 : 1;
    return x->at - y->at;
}
static int bigger_first(const void *a, const void *b) {
    const struct source *x = a, *y = b;
    if (x->len != y->len) return x->len > y->len ? -1 : 1;
    return x->at - y->at;
}

/* Replaces `target` by the result; answers how many members it has. */
static void store(struct cmd_ctx *c, struct slice target, struct set_build *result, const char *event) {
    if (result->live > 0) {
        struct object *old = cmd_write(c, target);
        if (old != NULL) ks_clear(c->ks, c->db, old);
        set_build_store(result, c->ks, c->db, target);
        cmd_event(c, EVENT_SET, event, target);
    } else if (cmd_delete(c, target)) {
        cmd_event(c, EVENT_GENERIC, "del", target);
    }
    reply_int(c->reply, (int64_t)result->live);
}

/* A result that is stored outlives the sets it came from, for its target may be one of them. */
static void begin_result(struct cmd_ctx *c, const struct slice *target, struct set_build *result) {
    set_build_init(result, c->ks, target ? c->arena : NULL);
}

/* --- intersections --- */

/* `sources` in ascending order of size, none of them absent. */
static bool in_all_others(const struct sources *s, const struct pack_value *member) {
    for (int i = 1; i < s->count; i++)
        if (s->items[i].set != s->items[0].set && !set_has(s->items[i].set, member)) return false;
    return true;
}

typedef bool intersection_fn(void *arg, const struct pack_value *member); /* false: enough */

static void intersect(struct sources *s, intersection_fn *each, void *arg) {
    struct pack_value member;
    if (s->absent > 0) return;
    qsort(s->items, (size_t)s->count, sizeof *s->items, smaller_first);
    for (struct set_cursor at = {.object = s->items[0].set}; set_next(&at, &member);)
        if (in_all_others(s, &member) && !each(arg, &member)) return;
}

struct counted_reply {
    struct reply *reply;
    size_t count;
};

static bool answer(void *arg, const struct pack_value *member) {
    struct counted_reply *r = arg;
    reply_member(r->reply, *member);
    r->count++;
    return true;
}

void cmd_sinter(struct cmd_ctx *c) {
    struct sources s;
    if (!take_sources(c, 1, c->argc - 1, NULL, &s)) return;
    struct counted_reply r = {.reply = c->reply};
    size_t mark = reply_defer(c->reply);
    intersect(&s, answer, &r);
    reply_close_set(c->reply, mark, r.count);
}

static bool keep(void *arg, const struct pack_value *member) {
    set_build_append(arg, member);
    return true;
}

void cmd_sinterstore(struct cmd_ctx *c) {
    struct sources s;
    struct set_build result;
    const struct slice *target = &c->argv[1];
    if (!take_sources(c, 2, c->argc - 2, target, &s)) return;
    begin_result(c, target, &result);
    intersect(&s, keep, &result);
    store(c, *target, &result, c->cmd->name);
    set_build_free(&result);
}

struct limited_count {
    uint64_t count, limit;
};

static bool count_up(void *arg, const struct pack_value *member) {
    struct limited_count *n = arg;
    (void)member;
    n->count++;
    return n->count != n->limit; /* 0: no limit */
}

void cmd_sintercard(struct cmd_ctx *c) {
    int64_t key_count, limit = 0;
    struct sources s;
    if (!cmd_arg_long_in(c, c->argv[1], 1, INT64_MAX, &key_count, "ERR numkeys should be greater than 0"))
        return;
    if (key_count > c->argc - 2) {
        reply_error(c->reply, "ERR Number of keys can't be greater than number of args");
        return;
    }
    for (int i = 2 + (int)key_count; i < c->argc; i += 2) {
        if (!slice_is(c->argv[i], "limit") || i + 1 == c->argc) {
            reply_error(c->reply, ERR_SYNTAX);
            return;
        }
        if (!cmd_arg_long_in(c, c->argv[i + 1], 0, INT64_MAX, &limit, "ERR LIMIT can't be negative")) return;
    }
    if (!take_sources(c, 2, (int)key_count, NULL, &s)) return;
    struct limited_count n = {.limit = (uint64_t)limit};
    intersect(&s, count_up, &n);
    reply_int(c->reply, (int64_t)n.count);
}

/* --- unions and differences --- */

static void add_all(struct set_build *result, const struct object *set) {
    struct pack_value member;
    if (set == NULL) return;
    for (struct set_cursor at = {.object = set}; set_next(&at, &member);) set_build_add(result, &member);
}

static void unite(struct sources *s, struct set_build *result) {
    for (int i = 0; i < s->count; i++) add_all(result, s->items[i].set);
}

static bool in_any_other(const struct sources *s, const struct pack_value *member) {
    for (int i = 1; i < s->count; i++)
        if (s->items[i].set != NULL && set_has(s->items[i].set, member)) return true;
    return false;
}

/* Asks the others, the biggest first, about each member of the first. */
static void subtract_by_asking(struct sources *s, struct set_build *result) {
    struct pack_value member;
    qsort(s->items + 1, (size_t)s->count - 1, sizeof *s->items, bigger_first);
    for (struct set_cursor at = {.object = s->items[0].set}; set_next(&at, &member);)
        if (!in_any_other(s, &member)) set_build_append(result, &member);
}

static void subtract_by_removing(const struct sources *s, struct set_build *result) {
    struct pack_value member;
    add_all(result, s->items[0].set);
    for (int i = 1; i < s->count && result->live > 0; i++) {
        if (s->items[i].set == NULL) continue;
        for (struct set_cursor at = {.object = s->items[i].set}; set_next(&at, &member);)
            set_build_remove(result, &member);
    }
}

static void subtract(struct sources *s, struct set_build *result) {
    uint64_t by_asking = 0, by_removing = 0;
    if (s->items[0].set == NULL) return;
    for (int i = 0; i < s->count; i++) {
        if (s->items[i].set == NULL) continue;
        if (i > 0 && s->items[i].set == s->items[0].set) return; /* from itself nothing is left */
        by_asking += s->items[0].len;
        by_removing += s->items[i].len;
    }
    /* Redis's choice, to be the same in encodings too: asking does less when sets have members in common. */
    if (by_asking / 2 <= by_removing)
        subtract_by_asking(s, result);
    else
        subtract_by_removing(s, result);
}

static void reply_result(struct cmd_ctx *c, struct set_build *result) {
    struct pack_value member;
    set_build_sort(result);
    reply_set(c->reply, result->live);
    for (size_t i = 0; set_build_next(result, &i, &member);) reply_member(c->reply, member);
}

typedef void algebra_fn(struct sources *s, struct set_build *result);

static void run_algebra(struct cmd_ctx *c, algebra_fn *algebra, const struct slice *target) {
    struct sources s;
    struct set_build result;
    int first = target ? 2 : 1;
    if (!take_sources(c, first, c->argc - first, target, &s)) return;
    begin_result(c, target, &result);
    algebra(&s, &result);
    if (target != NULL)
        store(c, *target, &result, c->cmd->name);
    else
        reply_result(c, &result);
    set_build_free(&result);
}

void cmd_sunion(struct cmd_ctx *c) {
    run_algebra(c, unite, NULL);
}
void cmd_sunionstore(struct cmd_ctx *c) {
    run_algebra(c, unite, &c->argv[1]);
}
void cmd_sdiff(struct cmd_ctx *c) {
    run_algebra(c, subtract, NULL);
}
void cmd_sdiffstore(struct cmd_ctx *c) {
    run_algebra(c, subtract, &c->argv[1]);
}
