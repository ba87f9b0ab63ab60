/* Sorted sets against a naive model, small and big, through write-backs, crashes and reloads; order,
 * ranks, ranges, encodings, scans, scores of every kind. */
#include "type_zset.h"

#include "unit/storage/item_model.h"

#include <math.h>
#include <stdlib.h>

static const struct slice key = SLICE("a sorted set");
static bool may_be_long;

static struct object *the_set(void) {
    return ks_write(ks, 0, key, 0);
}

/* Few different ones for small values, so that many items have the same score; others of every form. */
static double score_of(uint32_t value) {
    switch (value % 7) {
    case 0: return (double)(value % 50);
    case 1: return -(double)value / 3;
    case 2: return value % 11 == 0 ? INFINITY : -INFINITY;
    case 3: return (double)value * 1e15;
    case 4: return 0;
    case 5: return (double)value * 5e-324;
    default: return (double)value;
    }
}

/* --- the model --- */

struct ordered {
    struct zset_item items[UNIVERSE];
    char texts[UNIVERSE][ITEM_LEN_MAX];
    size_t count;
};
static struct ordered ordered;

static int compare_ordered(const void *a, const void *b) {
    return zset_item_cmp(a, b);
}

static void order(const struct model *m) {
    ordered.count = 0;
    for (uint32_t id = 0; id < UNIVERSE; id++) {
        if (!m->items[id].there) continue;
        char *text = ordered.texts[ordered.count];
        ordered.items[ordered.count++] =
            (struct zset_item){item_text(id, may_be_long, text), score_of(m->items[id].value)};
    }
    qsort(ordered.items, ordered.count, sizeof *ordered.items, compare_ordered);
}

static void expect_encoding(struct model *m, struct slice member) {
    if (m->count == 0) m->encoding = member.len > 64 ? ENCODING_SKIPLIST : ENCODING_LISTPACK;
    if (m->count + 1 > (uint64_t)ks_limits_default.zset_max_listpack_entries || member.len > 64)
        m->encoding = ENCODING_SKIPLIST;
}

static void put(struct model *m, uint32_t id, uint32_t value) {
    char text[ITEM_LEN_MAX];
    struct slice member = item_text(id, may_be_long, text);
    begin_entry();
    struct object *o = the_set();
    EXPECT((o == NULL) == (m->count == 0));
    if (!m->items[id].there) expect_encoding(m, member);
    if (o == NULL) o = zset_create(ks, 0, key, member.len);
    struct zset_pos p = zset_find(o, member);
    EXPECT(zset_pos_is_end(p) == !m->items[id].there);
    if (zset_pos_is_end(p))
        zset_insert(ks, 0, o, member, score_of(value));
    else
        zset_update(ks, 0, o, p, member, score_of(value));
    end_entry();
    model_put(m, id, value);
}

static void drop_if_empty(struct object *o) {
    if (zset_count(o) == 0) ks_delete(ks, 0, o);
}

static void take(struct model *m, uint32_t id) {
    char text[ITEM_LEN_MAX];
    begin_entry();
    struct object *o = the_set();
    if (o != NULL) {
        struct zset_pos p = zset_find(o, item_text(id, may_be_long, text));
        EXPECT(zset_pos_is_end(p) == !m->items[id].there);
        if (!zset_pos_is_end(p)) zset_remove(ks, 0, o, p);
        drop_if_empty(o);
    }
    end_entry();
    model_remove(m, id);
}

static void take_range(struct rng *rng, struct model *m) {
    if (m->count == 0) return;
    uint64_t first = rng_below(rng, m->count), count = rng_below(rng, m->count - first + 1);
    if (rng_below(rng, 4) != 0 && count > 10) count = rng_below(rng, 10);
    order(m);
    begin_entry();
    struct object *o = the_set();
    zset_remove_range(ks, 0, o, first, count);
    drop_if_empty(o);
    end_entry();
    for (uint64_t i = 0; i < count; i++)
        model_remove(m, (uint32_t)item_number(ordered.items[first + i].member, may_be_long));
}

/* Everything anew, from a list in no order. */
static void store(struct rng *rng, struct model *m) {
    static char texts[UNIVERSE][ITEM_LEN_MAX];
    static struct zset_item items[UNIVERSE];
    size_t count = 1 + (size_t)rng_below(rng, rng_below(rng, 2) ? 200 : UNIVERSE), longest = 0, n = 0;
    uint32_t clock = m->clock;
    *m = (struct model){.clock = clock};
    for (size_t i = 0; i < count; i++) {
        uint32_t id = (uint32_t)rng_below(rng, UNIVERSE);
        if (m->items[id].there) continue;
        model_put(m, id, (uint32_t)rng_below(rng, 5000));
        items[n] = (struct zset_item){item_text(id, may_be_long, texts[n]), score_of(m->items[id].value)};
        if (items[n].member.len > longest) longest = items[n].member.len;
        n++;
    }
    m->encoding = n <= 128 && longest <= 64 ? ENCODING_LISTPACK : ENCODING_SKIPLIST;
    begin_entry();
    EXPECT(zset_store(ks, 0, key, items, n) == the_set());
    end_entry();
}

/* --- comparing --- */

static void check_item(struct zset_pos p, size_t rank) {
    char scratch[NUM_I64_MAX_LEN];
    EXPECT(!zset_pos_is_end(p));
    EXPECT_EQ_SLICE(zset_member(p, scratch), ordered.items[rank].member);
    EXPECT(zset_score(p) == ordered.items[rank].score);
}

static void check_order(const struct object *o) {
    struct zset_pos p = zset_at(o, 0);
    for (size_t i = 0; i < ordered.count; i++, p = zset_next(p)) check_item(p, i);
    EXPECT(zset_pos_is_end(p));
    p = zset_at(o, ordered.count - 1);
    for (size_t i = ordered.count; i-- > 0; p = zset_prev(p)) check_item(p, i);
    EXPECT(zset_pos_is_end(p));
}

static void check_ranks(struct rng *rng, const struct object *o) {
    for (int i = 0; i < 20; i++) {
        size_t rank = (size_t)rng_below(rng, ordered.count);
        check_item(zset_at(o, rank), rank);
        struct zset_pos p = zset_find(o, ordered.items[rank].member);
        check_item(p, rank);
        EXPECT_EQ_INT(zset_rank(o, p), rank);
    }
    EXPECT(zset_pos_is_end(zset_at(o, ordered.count)));
}

static void check_below(struct rng *rng, const struct object *o) {
    for (int i = 0; i < 20; i++) {
        double score = i == 0   ? INFINITY
                       : i == 1 ? -INFINITY
                       : i == 2 ? -0.0
                                : ordered.items[rng_below(rng, ordered.count)].score;
        if (i % 5 == 4) score = score * 1.5 + 1;
        size_t below = 0, or_equal = 0;
        for (size_t k = 0; k < ordered.count; k++) {
            below += ordered.items[k].score < score;
            or_equal += ordered.items[k].score <= score;
        }
        EXPECT_EQ_INT(zset_count_below(o, score, false), below);
        EXPECT_EQ_INT(zset_count_below(o, score, true), or_equal);
    }
}

struct seen {
    const struct model *model;
    uint8_t times[UNIVERSE];
};

static void see(void *arg, struct slice member, double score) {
    struct seen *s = arg;
    int64_t id = item_number(member, may_be_long);
    EXPECT(id >= 0);
    EXPECT(s->model->items[id].there);
    EXPECT(score == score_of(s->model->items[id].value));
    s->times[id]++;
}

static void check_scan(struct rng *rng, const struct model *m, const struct object *o) {
    static struct seen s;
    s = (struct seen){.model = m};
    uint64_t cursor = 0;
    do {
        uint64_t next = zset_scan(o, cursor, 1 + (size_t)rng_below(rng, 100), see, &s);
        EXPECT(next == 0 || next > cursor);
        cursor = next;
    } while (cursor != 0);
    for (size_t i = 0; i < UNIVERSE; i++) EXPECT_NOTE((s.times[i] > 0) == m->items[i].there, "item %zu", i);
}

static void check_set(struct rng *rng, const struct model *m) {
    const struct object *o = the_set();
    char text[ITEM_LEN_MAX];
    EXPECT((o == NULL) == (m->count == 0));
    if (o == NULL) return;
    EXPECT_EQ_INT(zset_count(o), m->count);
    EXPECT_EQ_INT(o->encoding, m->encoding);
    for (int i = 0; i < 10; i++) {
        uint32_t id = (uint32_t)rng_below(rng, UNIVERSE);
        struct zset_pos p = zset_find(o, item_text(id, may_be_long, text));
        EXPECT(zset_pos_is_end(p) == !m->items[id].there);
        if (m->items[id].there) EXPECT(zset_score(p) == score_of(m->items[id].value));
    }
    if (rng_below(rng, 12) != 0) return;
    zset_check(o);
    order(m);
    check_order(o);
    check_ranks(rng, o);
    check_below(rng, o);
    check_scan(rng, m, o);
}

/* --- the runs --- */

static void random_step(struct rng *rng, struct model *m, bool grow, uint32_t below) {
    size_t count = 1 + (size_t)rng_below(rng, rng_below(rng, 10) == 0 ? 300 : 4);
    switch (rng_below(rng, 100)) {
    case 0: take_range(rng, m); return;
    case 1:
        if (rng_below(rng, 4) == 0) store(rng, m);
        return;
    default: break;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t id = (uint32_t)rng_below(rng, below);
        if (grow)
            put(m, id, (uint32_t)rng_below(rng, 5000));
        else
            take(m, id);
    }
}

static void random_run(uint64_t seed, int steps) {
    static struct model m;
    struct rng rng = {.state = seed};
    m = (struct model){0};
    open_keyspace();
    uint32_t below = 50;
    for (int step = 0; step < steps; step++) {
        if (rng_below(&rng, 60) == 0)
            below = 1 + (uint32_t)rng_below(&rng, rng_below(&rng, 2) ? 200 : UNIVERSE);
        random_step(&rng, &m, rng_below(&rng, 100) < (step / 200 % 2 ? 30u : 70u), below);
        something_else(&rng, &m);
        check_set(&rng, &m);
    }
    store_all(&m);
    ks_forget(ks);
    check_set(&rng, &m);
    close_keyspace();
}

TEST(random_steps_give_what_the_model_gives) {
    uint64_t seed = test_seed();
    may_be_long = false;
    random_run(seed, test_rounds(1500));
    may_be_long = true;
    random_run(seed + 1, test_rounds(1500));
}

static struct object *fill(struct slice at, uint32_t count, double score) {
    struct object *o = NULL;
    char text[ITEM_LEN_MAX];
    begin_entry();
    for (uint32_t i = 0; i < count; i++) {
        struct slice member = item_text(i * 7919 % count, false, text);
        if (o == NULL) o = zset_create(ks, 0, at, member.len);
        if (zset_pos_is_end(zset_find(o, member))) zset_insert(ks, 0, o, member, score);
    }
    end_entry();
    return o;
}

TEST(members_of_one_score_are_in_the_order_of_their_bytes) {
    open_keyspace();
    may_be_long = false;
    for (uint32_t n = 3; n <= 2000; n *= 6) {
        struct object *o = fill(key, n, 2.5);
        zset_check(o);
        for (uint64_t rank = 0; rank < n; rank++) {
            char scratch[NUM_I64_MAX_LEN];
            struct slice member = zset_member(zset_at(o, rank), scratch);
            EXPECT_EQ_INT(zset_count_below_lex(o, member, false), rank);
            EXPECT_EQ_INT(zset_count_below_lex(o, member, true), rank + 1);
        }
        EXPECT_EQ_INT(zset_count_below_lex(o, SLICE(""), true), 0);
        EXPECT_EQ_INT(zset_count_below_lex(o, SLICE("\xff"), false), n);
        begin_entry();
        ks_delete(ks, 0, o);
        end_entry();
    }
    close_keyspace();
}

TEST(a_listpack_knows_no_negative_zero) {
    open_keyspace();
    begin_entry();
    struct object *o = zset_create(ks, 0, key, 1);
    zset_insert(ks, 0, o, SLICE("a"), -0.0);
    EXPECT(!signbit(zset_score(zset_find(o, SLICE("a")))));
    static char wide[100];
    memset(wide, 'w', sizeof wide);
    zset_insert(ks, 0, o, slice_make(wide, sizeof wide), 1);
    EXPECT_EQ_STR(object_encoding_name(o), "skiplist");
    zset_insert(ks, 0, o, SLICE("b"), -0.0);
    EXPECT(signbit(zset_score(zset_find(o, SLICE("b")))));
    EXPECT_EQ_INT(zset_rank(o, zset_find(o, SLICE("a"))), 0); /* equal, so by member */
    EXPECT_EQ_INT(zset_rank(o, zset_find(o, SLICE("b"))), 1);
    end_entry();
    close_keyspace();
}

TEST(copies_and_digests) {
    open_keyspace();
    may_be_long = false;
    for (uint32_t n = 1; n <= 1000; n = n * 3 + 1) {
        struct object *a = fill(SLICE("a"), n, 1), *b = fill(SLICE("b"), n, 1);
        begin_entry();
        struct object *c = ks_copy(ks, a, 0, SLICE("c"));
        zset_check(c);
        EXPECT_EQ_INT(zset_count(c), n);
        EXPECT_EQ_U64(zset_digest(a), zset_digest(b));
        EXPECT_EQ_U64(zset_digest(a), zset_digest(c));
        zset_update(ks, 0, b, zset_find(b, SLICE("-100")), SLICE("-100"), 7);
        EXPECT(zset_digest(a) != zset_digest(b));
        zset_remove(ks, 0, a, zset_at(a, 0));
        EXPECT_EQ_INT(zset_count(c), n);
        ks_delete(ks, 0, a);
        ks_delete(ks, 0, b);
        ks_delete(ks, 0, c);
        end_entry();
    }
    close_keyspace();
}

TEST(limits_say_when_a_set_is_no_listpack) {
    open_keyspace();
    begin_entry();
    struct ks_limits limits = ks_limits_default;
    limits.zset_max_listpack_entries = 2;
    limits.zset_max_listpack_value = 3;
    ks_set_limits(ks, &limits);
    struct object *o = zset_create(ks, 0, key, 4);
    EXPECT_EQ_STR(object_encoding_name(o), "skiplist");
    zset_insert(ks, 0, o, SLICE("four"), 1);
    ks_delete(ks, 0, o);
    o = zset_create(ks, 0, key, 1);
    zset_insert(ks, 0, o, SLICE("a"), 1);
    zset_insert(ks, 0, o, SLICE("b"), 1);
    EXPECT_EQ_STR(object_encoding_name(o), "listpack");
    zset_insert(ks, 0, o, SLICE("c"), 1);
    EXPECT_EQ_STR(object_encoding_name(o), "skiplist");
    zset_remove(ks, 0, o, zset_at(o, 0));
    EXPECT_EQ_STR(object_encoding_name(o), "skiplist");
    ks_delete(ks, 0, o);
    limits.zset_max_listpack_entries = 0;
    ks_set_limits(ks, &limits);
    o = zset_create(ks, 0, key, 1);
    EXPECT_EQ_STR(object_encoding_name(o), "skiplist");
    zset_insert(ks, 0, o, SLICE("a"), 1);
    end_entry();
    close_keyspace();
}

static bool is_valid(size_t count, const struct pack_value *entries) {
    struct buf pack = {0};
    pack_begin(&pack);
    for (size_t i = 0; i < count; i++) pack_append(&pack, entries[i]);
    bool valid = zset_packed_valid(buf_slice(&pack));
    buf_free(&pack);
    return valid;
}

TEST(what_is_no_set_is_told_from_one) {
    double half = 0.5, none = NAN;
    struct pack_value a = pack_text(SLICE("a")), b = pack_text(SLICE("b")), one = pack_integer(1);
    EXPECT(is_valid(2, (struct pack_value[]){a, one}));
    EXPECT(is_valid(4, (struct pack_value[]){a, one, b, one}));
    EXPECT(is_valid(4, (struct pack_value[]){b, zset_score_entry(&half, ENCODING_LISTPACK), a, one}));
    EXPECT(is_valid(4, (struct pack_value[]){pack_integer(12), one, pack_integer(3), one}));
    EXPECT(!is_valid(0, NULL));
    EXPECT(!is_valid(1, (struct pack_value[]){a}));
    EXPECT(!is_valid(3, (struct pack_value[]){a, one, b}));
    EXPECT(!is_valid(4, (struct pack_value[]){b, one, a, one}));
    EXPECT(!is_valid(4, (struct pack_value[]){a, one, a, one}));
    EXPECT(!is_valid(4, (struct pack_value[]){pack_integer(3), one, pack_integer(12), one}));
    EXPECT(!is_valid(2, (struct pack_value[]){a, pack_bytes(SLICE("1.5"))}));
    EXPECT(!is_valid(2, (struct pack_value[]){a, pack_bytes(slice_make((const char *)&none, 8))}));
}

TEST_MAIN
