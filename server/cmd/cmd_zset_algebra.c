/* Several sorted sets, or sets, as one: ZUNION, ZINTER, ZDIFF, their STORE forms, ZINTERCARD. A member of
 * a plain set has the score 1. Sources are taken in the order of their sizes, as Redis takes them: sums of
 * floating point depend on it. */
#include "cmd_zset.h"
#include "handlers.h"
#include "hash.h"
#include "mem.h"
#include "type_set.h"

#include <math.h>
#include <stdlib.h>

enum algebra { UNION, INTER, DIFF };
enum aggregate { SUM, MIN, MAX };

struct source {
    const struct object *o; /* NULL: nothing there */
    double weight;
    int order; /* among the arguments */
};

struct combine {
    enum algebra what;
    enum aggregate aggregate;
    bool stores, only_count, with_scores;
    int64_t limit; /* of only_count; 0: none */
    struct source *sources;
    int source_count;
};

/* --- a source's items --- */

static uint64_t source_len(const struct source *s) {
    if (s->o == NULL) return 0;
    return s->o->type == OBJECT_ZSET ? zset_count(s->o) : set_len(s->o);
}

struct walk {
    const struct source *source;
    bool begun;
    struct zset_pos pos;
    struct set_cursor set;
    char scratch[NUM_I64_MAX_LEN];
};

static bool walk_set(struct walk *w, struct zset_item *item) {
    struct pack_value v;
    w->set.object = w->source->o;
    if (!set_next(&w->set, &v)) return false;
    item->score = 1;
    item->member = v.is_int ? slice_make(w->scratch, format_i64(w->scratch, v.integer)) : v.text;
    return true;
}

/* The member is good until the next call. */
static bool walk_next(struct walk *w, struct zset_item *item) {
    if (w->source->o == NULL) return false;
    if (w->source->o->type == OBJECT_SET) return walk_set(w, item);
    w->pos = w->begun ? zset_next(w->pos) : zset_at(w->source->o, 0);
    w->begun = true;
    if (zset_pos_is_end(w->pos)) return false;
    *item = (struct zset_item){zset_member(w->pos, w->scratch), zset_score(w->pos)};
    return true;
}

static bool source_find(const struct source *s, struct slice member, double *score) {
    if (s->o == NULL) return false;
    if (s->o->type == OBJECT_SET) {
        struct pack_value v = pack_text(member);
        *score = 1;
        return set_has(s->o, &v);
    }
    struct zset_pos p = zset_find(s->o, member);
    if (zset_pos_is_end(p)) return false;
    *score = zset_score(p);
    return true;
}

/* --- what the client wants --- */

static int compare_sources(const void *a, const void *b) {
    const struct source *x = a, *y = b;
    uint64_t x_len = source_len(x), y_len = source_len(y);
    if (x_len != y_len) return x_len < y_len ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* "numkeys key ..." at argv[at]; false after answering. */
static bool parse_sources(struct cmd_ctx *c, int at, struct combine *m) {
    int64_t count;
    if (!cmd_arg_i64(c, c->argv[at], &count, NULL)) return false;
    if (count < 1) {
        reply_errorf(c->reply, "ERR at least 1 input key is needed for '%s' command", c->cmd->name);
        return false;
    }
    if (count > c->argc - at - 1) {
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    m->source_count = (int)count;
    m->sources = arena_alloc(c->arena, (size_t)count * sizeof *m->sources);
    for (int i = 0; i < m->source_count; i++) {
        struct slice key = c->argv[at + 1 + i];
        const struct object *o = m->stores ? cmd_consult(c, key) : cmd_read(c, key);
        if (o != NULL && o->type != OBJECT_SET && !cmd_is_type(c, o, OBJECT_ZSET)) return false;
        m->sources[i] = (struct source){.o = o, .weight = 1, .order = i};
    }
    return true;
}

static bool parse_aggregate(struct slice word, enum aggregate *out) {
    static const char *const names[] = {[SUM] = "sum", [MIN] = "min", [MAX] = "max"};
    for (int i = 0; i < 3; i++) {
        if (!slice_is(word, names[i])) continue;
        *out = (enum aggregate)i;
        return true;
    }
    return false;
}

/* Options from argv[i] on; false after answering. */
static bool parse_combine_options(struct cmd_ctx *c, int i, struct combine *m) {
    bool weighs = m->what != DIFF && !m->only_count;
    while (i < c->argc) {
        struct slice word = c->argv[i];
        int behind = c->argc - i - 1;
        if (weighs && behind >= m->source_count && slice_is(word, "weights")) {
            for (int k = 0; k < m->source_count; k++)
                if (!cmd_arg_double(c, c->argv[i + 1 + k], &m->sources[k].weight,
                                    "ERR weight value is not a float"))
                    return false;
            i += 1 + m->source_count;
        } else if (weighs && behind >= 1 && slice_is(word, "aggregate")) {
            if (!parse_aggregate(c->argv[i + 1], &m->aggregate)) break;
            i += 2;
        } else if (!m->stores && !m->only_count && slice_is(word, "withscores")) {
            m->with_scores = true;
            i++;
        } else if (m->only_count && behind >= 1 && slice_is(word, "limit")) {
            if (!cmd_arg_long_in(c, c->argv[i + 1], 0, INT64_MAX, &m->limit, "ERR LIMIT can't be negative"))
                return false;
            i += 2;
        } else {
            break;
        }
    }
    if (i < c->argc) reply_error(c->reply, ERR_SYNTAX);
    return i >= c->argc;
}

/* --- combining --- */

static double weigh(double score, double weight) {
    double v = score * weight;
    return isnan(v) ? 0 : v;
}

static void aggregate(enum aggregate how, double *score, double with) {
    switch (how) {
    case SUM: *score += with; break;
    case MIN: *score = with < *score ? with : *score; break;
    case MAX: *score = with > *score ? with : *score; break;
    }
    if (how == SUM && isnan(*score)) *score = 0;
}

/* Whether the item is in all other sources; its score then is the result's. */
static bool is_in_all(const struct combine *m, const struct zset_item *item, double *score) {
    const struct source *first = &m->sources[0];
    *score = weigh(item->score, first->weight);
    for (int i = 1; i < m->source_count; i++) {
        const struct source *s = &m->sources[i];
        double other = item->score;
        if (s->o != first->o && !source_find(s, item->member, &other)) return false;
        aggregate(m->aggregate, score, other * s->weight);
    }
    return true;
}

static uint64_t intersect(struct cmd_ctx *c, const struct combine *m, struct zset_items *out) {
    struct walk walk = {.source = &m->sources[0]};
    struct zset_item item;
    uint64_t count = 0;
    double score;
    while (walk_next(&walk, &item)) {
        if (!is_in_all(m, &item, &score)) continue;
        count++;
        if (!m->only_count)
            zset_items_add(c, out, item.member, score);
        else if (m->limit > 0 && count >= (uint64_t)m->limit)
            break;
    }
    return count;
}

static void subtract(struct cmd_ctx *c, const struct combine *m, struct zset_items *out) {
    struct walk walk = {.source = &m->sources[0]};
    struct zset_item item;
    double ignored;
    while (walk_next(&walk, &item)) {
        bool found = false;
        for (int i = 1; i < m->source_count && !found; i++)
            found = m->sources[i].o == m->sources[0].o || source_find(&m->sources[i], item.member, &ignored);
        if (!found) zset_items_add(c, out, item.member, item.score);
    }
}

/* Which item has a member: open addressing, at most half full. A slot is half of a hash, and index + 1 of
 * the item. */
struct member_table {
    uint64_t *slots;
    size_t mask;
    uint64_t seed;
};

static struct member_table table_for(uint64_t members, uint64_t seed) {
    size_t size = 16;
    while (size < 2 * members) size *= 2;
    return (struct member_table){mem_calloc(size, sizeof(uint64_t)), size - 1, seed};
}

/* The item of this member, added with `score` 0 if it is not there yet (*is_new). */
static struct zset_item *table_item(struct cmd_ctx *c, struct member_table *t, struct zset_items *list,
                                    struct slice member, bool *is_new) {
    uint64_t hash = hash64_seeded(t->seed, member);
    size_t at = hash & t->mask;
    for (; t->slots[at] != 0; at = (at + 1) & t->mask) {
        if (t->slots[at] >> 32 != hash >> 32) continue;
        struct zset_item *item = &list->items[(uint32_t)t->slots[at] - 1];
        *is_new = false;
        if (slice_eq(item->member, member)) return item;
    }
    zset_items_add(c, list, member, 0);
    t->slots[at] = hash >> 32 << 32 | list->count;
    *is_new = true;
    return &list->items[list->count - 1];
}

static void unite(struct cmd_ctx *c, const struct combine *m, struct zset_items *out) {
    uint64_t members = 0;
    for (int i = 0; i < m->source_count; i++) members += source_len(&m->sources[i]);
    CHECK(members < UINT32_MAX);
    /* A seed that clients cannot know; the result does not depend on it. */
    struct member_table table = table_for(members, rng_next(c->rng));
    for (int i = 0; i < m->source_count; i++) {
        struct walk walk = {.source = &m->sources[i]};
        struct zset_item item;
        while (walk_next(&walk, &item)) {
            bool is_new;
            struct zset_item *sum = table_item(c, &table, out, item.member, &is_new);
            double score = weigh(item.score, m->sources[i].weight);
            if (is_new)
                sum->score = score;
            else
                aggregate(m->aggregate, &sum->score, score);
        }
    }
    mem_free(table.slots);
}

static int compare_items(const void *a, const void *b) {
    return zset_item_cmp(a, b);
}

static void reply_result(struct cmd_ctx *c, const struct combine *m, struct zset_items *list) {
    if (list->count > 0) qsort(list->items, list->count, sizeof *list->items, compare_items);
    reply_zset_begin(c->reply, list->count, m->with_scores);
    for (size_t i = 0; i < list->count; i++)
        reply_zset_item(c->reply, list->items[i].member, list->items[i].score, m->with_scores);
}

/* `at` is where numkeys stands; the STORE forms have the destination in front of it. */
static void combine_generic(struct cmd_ctx *c, enum algebra what, int at, bool only_count) {
    struct combine m = {.what = what, .stores = at == 2, .only_count = only_count};
    if (!parse_sources(c, at, &m)) return;
    if (!parse_combine_options(c, at + 1 + m.source_count, &m)) return;
    if (what != DIFF) qsort(m.sources, (size_t)m.source_count, sizeof *m.sources, compare_sources);
    struct zset_items list = {0};
    uint64_t count = 0;
    switch (what) {
    case UNION: unite(c, &m, &list); break;
    case INTER: count = intersect(c, &m, &list); break;
    case DIFF: subtract(c, &m, &list); break;
    }
    if (only_count)
        reply_int(c->reply, (int64_t)count);
    else if (m.stores)
        cmd_zset_store(c, c->argv[1], &list, c->cmd->name);
    else
        reply_result(c, &m, &list);
    zset_items_free(&list);
}

void cmd_zunion(struct cmd_ctx *c) {
    combine_generic(c, UNION, 1, false);
}
void cmd_zinter(struct cmd_ctx *c) {
    combine_generic(c, INTER, 1, false);
}
void cmd_zdiff(struct cmd_ctx *c) {
    combine_generic(c, DIFF, 1, false);
}
void cmd_zunionstore(struct cmd_ctx *c) {
    combine_generic(c, UNION, 2, false);
}
void cmd_zinterstore(struct cmd_ctx *c) {
    combine_generic(c, INTER, 2, false);
}
void cmd_zdiffstore(struct cmd_ctx *c) {
    combine_generic(c, DIFF, 2, false);
}
void cmd_zintercard(struct cmd_ctx *c) {
    combine_generic(c, INTER, 1, true);
}
