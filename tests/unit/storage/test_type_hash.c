/* Hashes against a naive model, small and big, through write-backs, crashes and reloads; encodings, order, ranks, scans. */
#include "sample.h"
#include "type_hash.h"

#include "unit/storage/item_model.h"

static const struct slice key = SLICE("a hash");
static bool may_be_long;

static struct object *the_hash(void) {
    return ks_write(ks, 0, key, 0);
}

static struct slice value_text_of(uint32_t value, char *out) {
    int n = value % 3 == 0 ? snprintf(out, ITEM_LEN_MAX, "%u", value)
                           : snprintf(out, ITEM_LEN_MAX, "%0*u", (int)(value % 60), value);
    return slice_make(out, (size_t)n);
}

/* --- the model's idea of what each call does --- */

enum { PAIRS_MAX = 300 };

static void put_some(struct rng *rng, struct model *m, size_t count, uint32_t below) {
    static char texts[PAIRS_MAX * 2][ITEM_LEN_MAX];
    struct slice pairs[PAIRS_MAX * 2];
    size_t created = 0;
    bool fits = true;
    CHECK(count <= PAIRS_MAX);
    if (m->count == 0) m->encoding = ENCODING_LISTPACK;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = (uint32_t)rng_below(rng, below), value = (uint32_t)rng_below(rng, 100000);
        pairs[2 * i] = item_text(id, may_be_long, texts[2 * i]);
        pairs[2 * i + 1] = value_text_of(value, texts[2 * i + 1]);
        created += !m->items[id].there;
        model_put(m, id, value);
        fits = fits && pairs[2 * i].len <= 64 && pairs[2 * i + 1].len <= 64;
    }
    if (!fits || m->count > (uint64_t)ks_limits_default.hash_max_listpack_entries)
        m->encoding = ENCODING_HASHTABLE;
    begin_entry();
    struct object *o = the_hash();
    EXPECT_EQ_INT(hash_set(ks, 0, &o, key, pairs, count), created);
    EXPECT(o == the_hash());
    end_entry();
}

static void remove_some(struct rng *rng, struct model *m, size_t count, uint32_t below) {
    static char texts[PAIRS_MAX][ITEM_LEN_MAX];
    struct slice fields[PAIRS_MAX];
    size_t removed = 0;
    CHECK(count <= PAIRS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t id = (uint32_t)rng_below(rng, below);
        fields[i] = item_text(id, may_be_long, texts[i]);
        removed += model_remove(m, id);
    }
    begin_entry();
    struct object *o = the_hash();
    if (o != NULL) EXPECT_EQ_INT(hash_remove(ks, 0, &o, fields, count), removed);
    EXPECT(o == the_hash());
    end_entry();
}

/* --- comparing --- */

static void check_field(const struct model *m, struct pack_value field, struct pack_value value) {
    char scratch[NUM_I64_MAX_LEN], want[ITEM_LEN_MAX];
    int64_t id = item_number(text_of(field, scratch), may_be_long);
    EXPECT(id >= 0);
    EXPECT(m->items[id].there);
    EXPECT_EQ_SLICE(text_of(value, scratch), value_text_of(m->items[id].value, want));
}

struct seen {
    const struct model *model;
    uint8_t times[UNIVERSE];
    size_t count;
};

static void see(void *arg, struct pack_value field, struct pack_value value) {
    struct seen *s = arg;
    char scratch[NUM_I64_MAX_LEN];
    check_field(s->model, field, value);
    s->times[item_number(text_of(field, scratch), may_be_long)]++;
    s->count++;
}

static void check_walk(const struct model *m, const struct object *o) {
    struct hash_cursor c = {.object = o};
    struct pack_value field, value;
    char scratch[NUM_I64_MAX_LEN];
    size_t count = 0;
    uint32_t before = 0;
    while (hash_next(&c, &field, &value)) {
        check_field(m, field, value);
        uint32_t came = m->items[item_number(text_of(field, scratch), may_be_long)].came;
        if (o->encoding == ENCODING_LISTPACK) EXPECT(count == 0 || came > before);
        before = came;
        struct pack_value field_at, value_at;
        if (count % 37 == 0) {
            hash_at(o, count, &field_at, &value_at);
            check_field(m, field_at, value_at);
            EXPECT(field_at.is_int == field.is_int &&
                   (field.is_int || field_at.text.data == field.text.data));
        }
        count++;
    }
    EXPECT_EQ_INT(count, m->count);
}

static void check_scan(struct rng *rng, const struct model *m, const struct object *o) {
    static struct seen s;
    s = (struct seen){.model = m};
    uint64_t cursor = 0;
    do {
        uint64_t next = hash_scan(o, cursor, 1 + rng_below(rng, 100), see, &s);
        EXPECT(next == 0 || next > cursor);
        EXPECT(next < UINT64_C(1) << 52);
        cursor = next;
    } while (cursor != 0);
    for (size_t i = 0; i < UNIVERSE; i++) EXPECT_NOTE((s.times[i] > 0) == m->items[i].there, "item %zu", i);
    EXPECT_EQ_INT(hash_scan(o, UINT64_C(1) << 52, 1, see, &s), 0);
}

static void check_pick(struct rng *rng, const struct model *m, const struct object *o) {
    static uint64_t ranks[UNIVERSE];
    static struct seen s;
    s = (struct seen){.model = m};
    size_t count = (size_t)rng_below(rng, m->count + 1);
    if (rng_below(rng, 2) == 0) count = count < 10 ? count : 10;
    sample_ranks(rng, m->count, count, ranks);
    hash_pick(o, ranks, count, see, &s);
    EXPECT_EQ_INT(s.count, count);
    for (size_t i = 0; i < UNIVERSE; i++) EXPECT(s.times[i] <= 1);
}

static void check_hash(struct rng *rng, const struct model *m) {
    const struct object *o = the_hash();
    char text[ITEM_LEN_MAX];
    struct pack_value value;
    EXPECT((o == NULL) == (m->count == 0));
    if (o == NULL) return;
    EXPECT_EQ_INT(hash_len(o), m->count);
    EXPECT_EQ_INT(o->encoding, m->encoding);
    for (int i = 0; i < 20; i++) {
        uint32_t id = (uint32_t)rng_below(rng, UNIVERSE);
        struct slice field = item_text(id, may_be_long, text);
        EXPECT(hash_get(o, field, &value) == m->items[id].there);
        if (m->items[id].there) check_field(m, pack_text(field), value);
    }
    if (rng_below(rng, 10) != 0) return;
    check_walk(m, o);
    check_scan(rng, m, o);
    check_pick(rng, m, o);
}

/* --- the runs --- */

/* Grows and shrinks in waves, so that every way of keeping a hash is met from both sides. */
static void random_run(uint64_t seed, int steps) {
    static struct model m;
    struct rng rng = {.state = seed};
    m = (struct model){0};
    open_keyspace();
    uint32_t below = 50;
    for (int step = 0; step < steps; step++) {
        if (rng_below(&rng, 60) == 0)
            below = 1 + (uint32_t)rng_below(&rng, rng_below(&rng, 2) ? 200 : UNIVERSE);
        size_t count = 1 + rng_below(&rng, rng_below(&rng, 10) == 0 ? PAIRS_MAX : 4);
        bool grow = rng_below(&rng, 100) < (step / 200 % 2 ? 30 : 70);
        if (grow)
            put_some(&rng, &m, count, below);
        else
            remove_some(&rng, &m, count, below);
        something_else(&rng, &m);
        check_hash(&rng, &m);
    }
    store_all(&m);
    ks_forget(ks);
    check_hash(&rng, &m);
    check_walk(&m, the_hash() ? the_hash() : (put_some(&rng, &m, 1, 5), the_hash()));
    close_keyspace();
}

TEST(random_steps_give_what_the_model_gives) {
    uint64_t seed = test_seed();
    may_be_long = false;
    random_run(seed, test_rounds(1500));
    may_be_long = true;
    random_run(seed + 1, test_rounds(1500));
}

static struct object *fill(struct slice at, size_t count, bool backwards) {
    struct object *o = NULL;
    begin_entry();
    for (size_t i = 0; i < count; i++) {
        char field[ITEM_LEN_MAX];
        struct slice pair[2];
        pair[0] = item_text((uint32_t)(backwards ? count - 1 - i : i), false, field);
        pair[1] = pair[0];
        hash_set(ks, 0, &o, at, pair, 1);
    }
    end_entry();
    return o;
}

TEST(digests_follow_from_the_content_alone) {
    open_keyspace();
    for (size_t n = 1; n <= 1000; n = n * 3 + 1) {
        struct object *a = fill(SLICE("a"), n, false), *b = fill(SLICE("b"), n, true);
        EXPECT_EQ_U64(hash_digest(a), hash_digest(b));
        begin_entry();
        struct object *c = ks_copy(ks, a, 0, SLICE("c"));
        EXPECT_EQ_U64(hash_digest(a), hash_digest(c));
        struct slice pair[2] = {SLICE("item:1"), SLICE("another")};
        hash_set(ks, 0, &b, SLICE("b"), pair, 1);
        EXPECT(hash_digest(a) != hash_digest(b));
        ks_delete(ks, 0, a);
        ks_delete(ks, 0, b);
        ks_delete(ks, 0, c);
        end_entry();
    }
    close_keyspace();
}

TEST(limits_say_when_a_hash_is_no_listpack) {
    open_keyspace();
    begin_entry();
    struct ks_limits limits = ks_limits_default;
    limits.hash_max_listpack_entries = 3;
    limits.hash_max_listpack_value = 5;
    ks_set_limits(ks, &limits);
    end_entry();
    struct object *o = fill(key, 3, false);
    EXPECT_EQ_STR(object_encoding_name(o), "hashtable"); /* "item:1" has six bytes */
    begin_entry();
    ks_delete(ks, 0, o);
    o = NULL;
    struct slice short_pairs[] = {SLICE("a"), SLICE("12345"), SLICE("b"), SLICE(""), SLICE("c"), SLICE("1")};
    hash_set(ks, 0, &o, key, short_pairs, 3);
    EXPECT_EQ_STR(object_encoding_name(o), "listpack");
    struct slice fourth[] = {SLICE("d"), SLICE("")};
    hash_set(ks, 0, &o, key, fourth, 1);
    EXPECT_EQ_STR(object_encoding_name(o), "hashtable");
    hash_remove(ks, 0, &o, fourth, 1);
    EXPECT_EQ_STR(object_encoding_name(o), "hashtable");
    end_entry();
    close_keyspace();
}

TEST(long_values_come_and_go) {
    open_keyspace();
    static char big[1 << 20];
    memset(big, 'x', sizeof big);
    begin_entry();
    struct object *o = NULL;
    for (uint32_t i = 0; i < 40; i++) {
        char field[ITEM_LEN_MAX];
        struct slice pair[2];
        pair[0] = item_text(i, false, field);
        pair[1] = slice_make(big, i % 2 ? sizeof big / (i + 1) : 3);
        hash_set(ks, 0, &o, key, pair, 1);
    }
    end_entry();
    struct kv_error error = {""};
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    ks_forget(ks);
    for (uint32_t i = 0; i < 40; i++) {
        char field[ITEM_LEN_MAX];
        struct pack_value value;
        EXPECT(hash_get(the_hash(), item_text(i, false, field), &value));
        EXPECT_EQ_INT(value.text.len, i % 2 ? sizeof big / (i + 1) : 3);
    }
    begin_entry();
    o = the_hash();
    for (uint32_t i = 0; i < 40; i++) {
        char field[ITEM_LEN_MAX];
        struct slice pair[2];
        pair[0] = item_text(i, false, field);
        pair[1] = slice_make(big, i % 2 ? 1 : sizeof big / 7);
        EXPECT_EQ_INT(hash_set(ks, 0, &o, key, pair, 1), 0);
    }
    end_entry();
    EXPECT_EQ_INT(hash_len(o), 40);
    close_keyspace();
}

TEST_MAIN
