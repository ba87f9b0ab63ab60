/* Sets against a naive model, as intsets, packs and trees, through write-backs, crashes and reloads; encodings, order, ranks,
 * scans, and the results of set algebra. */
#include "rng.h"
#include "sample.h"
#include "type_set.h"

#include "unit/storage/item_model.h"

static const struct slice key = SLICE("a set");
static bool integers_only;

static struct object *the_set(void) {
    return ks_write(ks, 0, key, 0);
}

enum { MEMBERS_MAX = 400 };

/* An item of the universe; with integers_only every one is of those that spell integers. */
static uint32_t some_id(struct rng *rng, uint32_t below) {
    uint32_t id = (uint32_t)rng_below(rng, below);
    return integers_only ? id - id % 3 : id;
}

static void model_fit(struct model *m, struct slice member) {
    int64_t integer;
    if (m->count == 0) m->encoding = ENCODING_INTSET;
    if (!parse_i64(member, &integer)) m->encoding = ENCODING_HASHTABLE;
}

static void add_some(struct rng *rng, struct model *m, size_t count, uint32_t below) {
    static char texts[MEMBERS_MAX][ITEM_LEN_MAX];
    struct slice members[MEMBERS_MAX];
    size_t added = 0;
    CHECK(count <= MEMBERS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t id = some_id(rng, below);
        members[i] = item_text(id, true, texts[i]);
        model_fit(m, members[i]);
        added += !m->items[id].there;
        model_put(m, id, 0);
        if (m->count > (uint64_t)ks_limits_default.set_max_intset_entries) m->encoding = ENCODING_HASHTABLE;
    }
    begin_entry();
    struct object *o = the_set();
    EXPECT_EQ_INT(set_add(ks, 0, &o, key, members, count), added);
    EXPECT(o == the_set());
    end_entry();
}

static void remove_some(struct rng *rng, struct model *m, size_t count, uint32_t below) {
    static char texts[MEMBERS_MAX][ITEM_LEN_MAX];
    struct slice members[MEMBERS_MAX];
    size_t removed = 0;
    CHECK(count <= MEMBERS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t id = some_id(rng, below);
        members[i] = item_text(id, true, texts[i]);
        removed += model_remove(m, id);
    }
    begin_entry();
    struct object *o = the_set();
    if (o != NULL) EXPECT_EQ_INT(set_remove(ks, 0, &o, members, count), removed);
    EXPECT(o == the_set());
    end_entry();
}

static uint32_t number_of(struct pack_value member) {
    char scratch[NUM_I64_MAX_LEN];
    int64_t id = item_number(text_of(member, scratch), true);
    EXPECT(id >= 0);
    return (uint32_t)id;
}

static void take(void *arg, struct pack_value member) {
    struct model *m = arg;
    EXPECT(model_remove(m, number_of(member)));
}

/* What SPOP does. */
static void pop_some(struct rng *rng, struct model *m, size_t count) {
    static uint64_t ranks[UNIVERSE];
    if (count > m->count) count = m->count;
    if (count == 0) return;
    begin_entry();
    struct object *o = the_set();
    sample_ranks(rng, m->count, count, ranks);
    set_pick(o, ranks, count, take, m);
    set_remove_ranks(ks, 0, &o, ranks, count);
    EXPECT(o == the_set());
    end_entry();
}

/* --- comparing --- */

struct seen {
    const struct model *model;
    uint8_t times[UNIVERSE];
};

static void see(void *arg, struct pack_value member) {
    struct seen *s = arg;
    uint32_t id = number_of(member);
    EXPECT(s->model->items[id].there);
    s->times[id]++;
}

static void check_walk(const struct model *m, const struct object *o) {
    struct set_cursor c = {.object = o};
    struct pack_value member;
    size_t count = 0;
    int64_t before = INT64_MIN;
    while (set_next(&c, &member)) {
        EXPECT(m->items[number_of(member)].there);
        if (o->encoding == ENCODING_INTSET) {
            EXPECT(member.is_int && (count == 0 || member.integer > before));
            before = member.integer;
        }
        if (count % 37 == 0) EXPECT_EQ_INT(number_of(set_at(o, count)), number_of(member));
        count++;
    }
    EXPECT_EQ_INT(count, m->count);
}

static void check_scan(struct rng *rng, const struct model *m, const struct object *o) {
    static struct seen s;
    s = (struct seen){.model = m};
    uint64_t cursor = 0;
    do {
        uint64_t next = set_scan(o, cursor, 1 + rng_below(rng, 100), see, &s);
        EXPECT(next == 0 || next > cursor);
        EXPECT(next < UINT64_C(1) << 52);
        cursor = next;
    } while (cursor != 0);
    for (size_t i = 0; i < UNIVERSE; i++) EXPECT_NOTE((s.times[i] > 0) == m->items[i].there, "item %zu", i);
}

static void check_set(struct rng *rng, const struct model *m) {
    const struct object *o = the_set();
    char text[ITEM_LEN_MAX];
    EXPECT((o == NULL) == (m->count == 0));
    if (o == NULL) return;
    EXPECT_EQ_INT(set_len(o), m->count);
    EXPECT_EQ_INT(o->encoding, m->encoding);
    for (int i = 0; i < 20; i++) {
        uint32_t id = (uint32_t)rng_below(rng, UNIVERSE);
        struct pack_value member = pack_text(item_text(id, true, text));
        EXPECT(set_has(o, &member) == m->items[id].there);
    }
    if (rng_below(rng, 10) != 0) return;
    check_walk(m, o);
    check_scan(rng, m, o);
}

/* --- the runs --- */

static void random_run(uint64_t seed, int steps) {
    static struct model m;
    struct rng rng = {.state = seed};
    m = (struct model){0};
    open_keyspace();
    uint32_t below = 50;
    for (int step = 0; step < steps; step++) {
        if (rng_below(&rng, 60) == 0)
            below = 3 + (uint32_t)rng_below(&rng, rng_below(&rng, 2) ? 200 : UNIVERSE - 3);
        size_t count = 1 + rng_below(&rng, rng_below(&rng, 10) == 0 ? MEMBERS_MAX : 4);
        bool grow = rng_below(&rng, 100) < (step / 200 % 2 ? 30 : 70);
        if (grow)
            add_some(&rng, &m, count, below);
        else if (rng_below(&rng, 2) == 0)
            remove_some(&rng, &m, count, below);
        else
            pop_some(&rng, &m, rng_below(&rng, 10) == 0 ? m.count * rng_below(&rng, 11) / 10 : count);
        something_else(&rng, &m);
        check_set(&rng, &m);
    }
    close_keyspace();
}

TEST(random_steps_give_what_the_model_gives) {
    uint64_t seed = test_seed();
    integers_only = false;
    random_run(seed, test_rounds(1500));
    integers_only = true;
    random_run(seed + 1, test_rounds(1500));
}

static struct object *fill(struct slice at, size_t count, bool backwards) {
    struct object *o = NULL;
    begin_entry();
    for (size_t i = 0; i < count; i++) {
        char text[ITEM_LEN_MAX];
        struct slice member = item_text((uint32_t)(backwards ? count - 1 - i : i), false, text);
        set_add(ks, 0, &o, at, &member, 1);
    }
    end_entry();
    return o;
}

TEST(digests_follow_from_the_members_alone) {
    open_keyspace();
    for (size_t n = 1; n <= 1000; n = n * 3 + 1) {
        struct object *a = fill(SLICE("a"), n, false), *b = fill(SLICE("b"), n, true);
        EXPECT_EQ_U64(set_digest(a), set_digest(b));
        begin_entry();
        struct object *c = ks_copy(ks, a, 0, SLICE("c"));
        EXPECT_EQ_U64(set_digest(a), set_digest(c));
        struct slice more = SLICE("more");
        set_add(ks, 0, &b, SLICE("b"), &more, 1);
        EXPECT(set_digest(a) != set_digest(b));
        ks_delete(ks, 0, a);
        ks_delete(ks, 0, b);
        ks_delete(ks, 0, c);
        end_entry();
    }
    struct object *o = NULL;
    struct slice integers[] = {SLICE("3"), SLICE("1"), SLICE("2"), SLICE("x")};
    begin_entry();
    set_add(ks, 0, &o, key, integers, 3);
    EXPECT_EQ_STR(object_encoding_name(o), "intset");
    uint64_t as_intset = set_digest(o);
    set_add(ks, 0, &o, key, &integers[3], 1);
    set_remove(ks, 0, &o, &integers[3], 1);
    EXPECT_EQ_STR(object_encoding_name(o), "hashtable");
    EXPECT_EQ_U64(set_digest(o), as_intset);
    end_entry();
    close_keyspace();
}

TEST(a_set_that_has_them_all_is_not_changed) {
    open_keyspace();
    static struct model m;
    struct object *o = fill(key, 1000, false);
    store_all(&m);
    struct slice members[] = {SLICE("item:1"), SLICE("item:2")}, others[] = {SLICE("x"), SLICE("y")};
    begin_entry();
    EXPECT_EQ_INT(set_add(ks, 0, &o, key, members, 2), 0);
    EXPECT_EQ_INT(set_remove(ks, 0, &o, others, 2), 0);
    end_entry();
    struct ks_stats stats;
    ks_stats(ks, &stats);
    EXPECT_EQ_INT(stats.dirty_keys, 0);
    close_keyspace();
}

/* --- results of set algebra --- */

TEST(results_hold_each_member_once_and_remember_what_they_were) {
    open_keyspace();
    struct arena arena = {0};
    struct set_build b;
    struct rng rng = {.state = test_seed()};
    for (int round = 0; round < 60; round++) {
        static struct model m;
        m = (struct model){0};
        set_build_init(&b, ks, &arena);
        integers_only = round % 2 == 0;
        uint32_t below = 3 + (uint32_t)rng_below(&rng, UNIVERSE - 3);
        size_t steps = (size_t)rng_below(&rng, 2000);
        bool table = false;
        for (size_t i = 0; i < steps; i++) {
            char text[ITEM_LEN_MAX];
            uint32_t id = some_id(&rng, below);
            struct pack_value member = pack_text(item_text(id, true, text));
            EXPECT(set_build_add(&b, &member) == !m.items[id].there);
            model_put(&m, id, 0);
            table = table || !member.is_int || m.count > (uint64_t)ks_limits_default.set_max_intset_entries;
        }
        for (size_t i = 0; i < steps / 3; i++) {
            char text[ITEM_LEN_MAX];
            uint32_t id = some_id(&rng, below);
            struct pack_value member = pack_text(item_text(id, true, text));
            set_build_remove(&b, &member);
            model_remove(&m, id);
        }
        EXPECT_EQ_INT(b.live, m.count);
        EXPECT(b.is_table == table);
        if (m.count > 0) {
            begin_entry();
            struct object *o = set_build_store(&b, ks, 0, key);
            end_entry();
            EXPECT_EQ_INT(o->encoding, table ? ENCODING_HASHTABLE : ENCODING_INTSET);
            check_walk(&m, o);
            begin_entry();
            ks_delete(ks, 0, o);
            end_entry();
        }
        set_build_free(&b);
        arena_reset(&arena);
    }
    arena_free(&arena);
    close_keyspace();
}

TEST_MAIN
