/* Sorted sets, by member: adding, counting up, reading, removing, picking at random, walking. Ranges are
 * in cmd_zset_range.c, popping in cmd_zset_pop.c, unions and the like in cmd_zset_algebra.c. */
#include "cmd_zset.h"

#include "cmd_random.h"
#include "cmd_scan.h"
#include "events.h"
#include "handlers.h"
#include "mem.h"
#include "num.h"

#include <math.h>

/* --- what the files share --- */

bool cmd_arg_double(struct cmd_ctx *c, struct slice arg, double *out, const char *error) {
    if (parse_double(arg, out)) return true;
    reply_error(c->reply, error ? error : ERR_NOT_A_FLOAT);
    return false;
}

bool cmd_zset_read(struct cmd_ctx *c, struct slice key, struct object **o) {
    *o = cmd_read(c, key);
    return cmd_is_type(c, *o, OBJECT_ZSET);
}

bool cmd_zset_consult(struct cmd_ctx *c, struct slice key, struct object **o) {
    *o = cmd_consult(c, key);
    return cmd_is_type(c, *o, OBJECT_ZSET);
}

bool cmd_zset_write(struct cmd_ctx *c, struct slice key, struct object **o) {
    *o = cmd_write(c, key);
    return cmd_is_type(c, *o, OBJECT_ZSET);
}

void cmd_zset_took(struct cmd_ctx *c, const char *event, struct slice key, struct object *o) {
    cmd_event(c, EVENT_ZSET, event, key);
    if (zset_count(o) > 0) return;
    ks_delete(c->ks, c->db, o);
    cmd_event(c, EVENT_GENERIC, "del", key);
}

void reply_zset_begin(struct reply *r, size_t count, bool with_scores) {
    reply_array(r, with_scores && r->resp < 3 ? 2 * count : count);
}

void reply_zset_item(struct reply *r, struct slice member, double score, bool with_scores) {
    if (with_scores && r->resp >= 3) reply_array(r, 2);
    reply_bulk(r, member);
    if (with_scores) reply_double(r, score);
}

void reply_zset_items(struct reply *r, struct zset_pos p, uint64_t count, bool reverse, bool with_scores) {
    char scratch[NUM_I64_MAX_LEN];
    for (uint64_t i = 0; i < count; i++, p = reverse ? zset_prev(p) : zset_next(p))
        reply_zset_item(r, zset_member(p, scratch), with_scores ? zset_score(p) : 0, with_scores);
}

void zset_items_add(struct cmd_ctx *c, struct zset_items *list, struct slice member, double score) {
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? 2 * list->cap : 16;
        list->items = mem_realloc(list->items, list->cap * sizeof *list->items);
    }
    list->items[list->count++] = (struct zset_item){arena_copy(c->arena, member), score};
}

void zset_items_free(struct zset_items *list) {
    mem_free(list->items);
    *list = (struct zset_items){0};
}

void cmd_zset_store(struct cmd_ctx *c, struct slice key, struct zset_items *list, const char *event) {
    if (list->count > 0) {
        (void)cmd_write(c, key); /* goes, if it is expired */
        zset_store(c->ks, c->db, key, list->items, list->count);
        cmd_event(c, EVENT_ZSET, event, key);
    } else if (cmd_delete(c, key)) {
        cmd_event(c, EVENT_GENERIC, "del", key);
    }
    reply_int(c->reply, (int64_t)list->count);
}

/* --- ZADD, ZINCRBY --- */

/* What becomes of one member. False: its score would be no number. */
static bool add_item(struct cmd_ctx *c, struct object *o, const struct zset_add_options *how,
                     const struct zset_item *item, struct zset_add_counts *out) {
    struct zset_pos p = zset_find(o, item->member);
    double score = item->score;
    if (zset_pos_is_end(p)) {
        if (how->xx) return true;
        zset_insert(c->ks, c->db, o, item->member, score);
        out->added++;
    } else {
        double was = zset_score(p);
        if (how->nx) return true;
        if (how->incr) score += was;
        if (isnan(score)) return false;
        if ((how->lt && score >= was) || (how->gt && score <= was)) return true;
        if (score != was) {
            zset_update(c->ks, c->db, o, p, item->member, score);
            out->updated++;
        }
    }
    out->any = true;
    out->score = score;
    return true;
}

bool cmd_zset_add(struct cmd_ctx *c, struct slice key, const struct zset_add_options *how,
                  const struct zset_item *items, size_t count, struct zset_add_counts *out) {
    *out = (struct zset_add_counts){0};
    struct object *o;
    if (!cmd_zset_write(c, key, &o)) return false;
    if (o == NULL) {
        if (how->xx) return true;
        o = zset_create(c->ks, c->db, key, items[0].member.len);
    }
    bool is_number = true;
    for (size_t i = 0; i < count && is_number; i++) is_number = add_item(c, o, how, &items[i], out);
    if (out->added > 0 || out->updated > 0) cmd_event(c, EVENT_ZSET, how->incr ? "zincr" : "zadd", key);
    if (!is_number) reply_error(c->reply, "ERR resulting score is not a number (NaN)");
    return is_number;
}

/* Returns the index of the first argument that is no option. */
static int parse_add_options(const struct cmd_ctx *c, struct zset_add_options *how) {
    int i = 2;
    for (; i < c->argc; i++) {
        struct slice word = c->argv[i];
        if (slice_is(word, "nx")) {
            how->nx = true;
        } else if (slice_is(word, "xx")) {
            how->xx = true;
        } else if (slice_is(word, "ch")) {
            how->changed = true;
        } else if (slice_is(word, "incr")) {
            how->incr = true;
        } else if (slice_is(word, "gt")) {
            how->gt = true;
        } else if (slice_is(word, "lt")) {
            how->lt = true;
        } else {
            break;
        }
    }
    return i;
}

static const char *conflict_of(const struct zset_add_options *how, int pairs) {
    if (how->nx && how->xx) return "ERR XX and NX options at the same time are not compatible";
    if ((how->gt && how->nx) || (how->lt && how->nx) || (how->gt && how->lt))
        return "ERR GT, LT, and/or NX options at the same time are not compatible";
    if (how->incr && pairs > 1) return "ERR INCR option supports a single increment-element pair";
    return NULL;
}

/* ZINCRBY takes ZADD's options in the same place, undocumented, in Redis too. */
static void add_generic(struct cmd_ctx *c, struct zset_add_options how) {
    int first = parse_add_options(c, &how), pairs = (c->argc - first) / 2;
    if (pairs == 0 || (c->argc - first) % 2 != 0) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    const char *conflict = conflict_of(&how, pairs);
    if (conflict != NULL) {
        reply_error(c->reply, conflict);
        return;
    }
    struct zset_item *items = arena_alloc(c->arena, (size_t)pairs * sizeof *items);
    for (int i = 0; i < pairs; i++) {
        if (!cmd_arg_double(c, c->argv[first + 2 * i], &items[i].score, NULL)) return;
        items[i].member = c->argv[first + 2 * i + 1];
    }
    struct zset_add_counts counts;
    if (!cmd_zset_add(c, c->argv[1], &how, items, (size_t)pairs, &counts)) return;
    if (!how.incr)
        reply_int(c->reply, counts.added + (how.changed ? counts.updated : 0));
    else if (counts.any)
        reply_double(c->reply, counts.score);
    else
        reply_null(c->reply);
}

void cmd_zadd(struct cmd_ctx *c) {
    add_generic(c, (struct zset_add_options){0});
}

void cmd_zincrby(struct cmd_ctx *c) {
    add_generic(c, (struct zset_add_options){.incr = true});
}

/* --- reading by member --- */

void cmd_zcard(struct cmd_ctx *c) {
    struct object *o;
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    reply_int(c->reply, o != NULL ? (int64_t)zset_count(o) : 0);
}

static void reply_score(struct cmd_ctx *c, const struct object *o, struct slice member) {
    struct zset_pos p = o != NULL ? zset_find(o, member) : (struct zset_pos){0};
    if (zset_pos_is_end(p))
        reply_null(c->reply);
    else
        reply_double(c->reply, zset_score(p));
}

void cmd_zscore(struct cmd_ctx *c) {
    struct object *o;
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    reply_score(c, o, c->argv[2]);
}

void cmd_zmscore(struct cmd_ctx *c) {
    struct object *o;
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) reply_score(c, o, c->argv[i]);
}

static void rank_generic(struct cmd_ctx *c, bool reverse) {
    struct object *o;
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    struct zset_pos p = o != NULL ? zset_find(o, c->argv[2]) : (struct zset_pos){0};
    if (zset_pos_is_end(p)) {
        reply_null(c->reply);
        return;
    }
    uint64_t rank = zset_rank(o, p);
    reply_int(c->reply, (int64_t)(reverse ? zset_count(o) - 1 - rank : rank));
}

void cmd_zrank(struct cmd_ctx *c) {
    rank_generic(c, false);
}
void cmd_zrevrank(struct cmd_ctx *c) {
    rank_generic(c, true);
}

void cmd_zrem(struct cmd_ctx *c) {
    struct object *o;
    if (!cmd_zset_write(c, c->argv[1], &o)) return;
    int64_t removed = 0;
    for (int i = 2; o != NULL && i < c->argc && zset_count(o) > 0; i++) {
        struct zset_pos p = zset_find(o, c->argv[i]);
        if (zset_pos_is_end(p)) continue;
        zset_remove(c->ks, c->db, o, p);
        removed++;
    }
    if (removed > 0) cmd_zset_took(c, "zrem", c->argv[1], o);
    reply_int(c->reply, removed);
}

/* --- ZRANDMEMBER --- */

static void reply_picks(struct cmd_ctx *c, const struct object *o, const struct random_picks *picks,
                        bool with_scores) {
    char scratch[NUM_I64_MAX_LEN];
    uint64_t len = zset_count(o);
    reply_zset_begin(c->reply, picks->count, with_scores);
    for (size_t i = 0; i < picks->count; i++) {
        struct zset_pos p = zset_at(o, picks->ranks != NULL ? picks->ranks[i] : rng_below(c->rng, len));
        reply_zset_item(c->reply, zset_member(p, scratch), zset_score(p), with_scores);
    }
}

static void random_one(struct cmd_ctx *c) {
    struct object *o;
    char scratch[NUM_I64_MAX_LEN];
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    if (o == NULL)
        reply_null(c->reply);
    else
        reply_bulk(c->reply, zset_member(zset_at(o, rng_below(c->rng, zset_count(o))), scratch));
}

void cmd_zrandmember(struct cmd_ctx *c) {
    struct object *o;
    struct random_picks picks;
    int64_t count;
    if (c->argc == 2) {
        random_one(c);
        return;
    }
    if (!cmd_arg_long_in(c, c->argv[2], -INT64_MAX, INT64_MAX, &count, NULL)) return;
    bool with_scores = c->argc == 4 && slice_is(c->argv[3], "withscores");
    if (c->argc > 4 || (c->argc == 4 && !with_scores)) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    if (with_scores && (count < -INT64_MAX / 2 || count > INT64_MAX / 2)) {
        reply_error(c->reply, ERR_COUNT_OUT_OF_RANGE);
        return;
    }
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    if (o == NULL)
        reply_array(c->reply, 0);
    else if (cmd_random_picks(c, count, zset_count(o), &picks))
        reply_picks(c, o, &picks, with_scores);
}

/* --- ZSCAN --- */

struct zscan {
    const struct scan_options *options;
    struct scan_page *page;
};

static void scan_item(void *arg, struct slice member, double score) {
    struct zscan *s = arg;
    if (!scan_matches(s->options, member)) return;
    char digits[NUM_DOUBLE_MAX_LEN];
    reply_bulk(&s->page->list, member);
    reply_bulk(&s->page->list, slice_make(digits, format_double(digits, score)));
    s->page->count += 2;
}

/* For scripts of the log, which are given all at once: where members stand by their hashes also follows from what the set has been
 * through on this node, since it was loaded. */
static uint64_t scan_by_score(const struct object *o, struct zscan *scan) {
    char scratch[NUM_I64_MAX_LEN];
    struct zset_pos p = zset_at(o, 0);
    for (uint64_t left = zset_count(o); left > 0; left--, p = zset_next(p))
        scan_item(scan, zset_member(p, scratch), zset_score(p));
    return 0;
}

void cmd_zscan(struct cmd_ctx *c) {
    uint64_t cursor;
    struct object *o;
    struct scan_options options = {0};
    struct scan_page page;
    if (!cmd_scan_cursor(c, c->argv[2], &cursor)) return;
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    if (o != NULL && !cmd_scan_options(c, 3, false, &options)) return;
    scan_page_begin(c, &page);
    if (o != NULL) {
        struct zscan scan = {&options, &page};
        cursor = c->in_logged_script ? scan_by_score(o, &scan)
                                     : zset_scan(o, cursor, (size_t)options.count, scan_item, &scan);
    }
    scan_page_end(c, &page, o != NULL ? cursor : 0);
}
