/* Lists against a plain array of texts: short ones and long ones, across the step between them, written back, evicted and
 * loaded again between the steps. A failure prints the command that replays it. */
#include "type_list.h"
#include "writeback.h"

#include "test.h"

#include "unit/storage/one_keyspace.h"

static const struct slice key = SLICE("key");

static void reload(void) {
    struct kv_error error = {""};
    EXPECT_NOTE(ks_store_all(ks, &error) == RC_OK, "%s", error.text);
    ks_close(ks);
    open_again();
}

static struct object *find(void) {
    return ks_write(ks, 0, key, 0);
}

/* --- the model --- */

enum { MODEL_MAX = 4000, TEXT_MAX = 700 };

static struct {
    char *texts[MODEL_MAX];
    size_t lens[MODEL_MAX];
    size_t count;
} model;

static struct slice model_at(size_t i) {
    return slice_make(model.texts[i], model.lens[i]);
}

static void model_insert(size_t at, struct slice text) {
    CHECK(model.count < MODEL_MAX);
    for (size_t i = model.count; i > at; i--) {
        model.texts[i] = model.texts[i - 1];
        model.lens[i] = model.lens[i - 1];
    }
    model.texts[at] = malloc(text.len + 1);
    memcpy(model.texts[at], text.data, text.len);
    model.lens[at] = text.len;
    model.count++;
}

static void model_remove(size_t at) {
    free(model.texts[at]);
    model.count--;
    for (size_t i = at; i < model.count; i++) {
        model.texts[i] = model.texts[i + 1];
        model.lens[i] = model.lens[i + 1];
    }
}

static void model_clear(void) {
    while (model.count > 0) model_remove(model.count - 1);
}

/* --- comparing --- */

static void check_walk(const struct object *o, bool backwards) {
    size_t seen = 0;
    struct list_walk w = list_walk_from(o, backwards ? model.count - 1 : 0, backwards);
    for (; !list_walk_ended(&w); list_walk_step(&w), seen++) {
        struct slice want = model_at(backwards ? model.count - 1 - seen : seen);
        struct pack_value v = pack_text(want);
        EXPECT_EQ_SLICE(list_walk_text(&w), want);
        EXPECT(list_walk_is(&w, &v));
    }
    EXPECT_EQ_INT(seen, model.count);
}

static void check_same(struct rng *r) {
    struct object *o = find();
    EXPECT((o == NULL) == (model.count == 0));
    if (o == NULL) return;
    EXPECT_EQ_INT(list_len(o), model.count);
    EXPECT_EQ_STR(object_encoding_name(o), "quicklist");
    size_t at = rng_below(r, model.count);
    struct list_walk w = list_walk_from(o, at, false);
    EXPECT_EQ_SLICE(list_walk_text(&w), model_at(at));
    w = list_walk_from(o, model.count, false);
    EXPECT(list_walk_ended(&w));
    if (rng_below(r, 8) == 0) check_walk(o, false);
    if (rng_below(r, 8) == 0) check_walk(o, true);
}

/* --- random commands --- */

/* Few different texts, so that searching finds some; integers, texts like integers, now and then a long one. */
static struct slice random_text(struct rng *r, char *out) {
    static const char *const odd[] = {"", "0", "-1", "007", "9223372036854775807", "9223372036854775808",
                                      "x"};
    switch (rng_below(r, 8)) {
    case 0: return slice_of(odd[rng_below(r, sizeof odd / sizeof *odd)]);
    case 1: {
        size_t len = rng_below(r, TEXT_MAX);
        memset(out, 'a' + (int)rng_below(r, 3), len);
        return slice_make(out, len);
    }
    case 2:
    case 3: return slice_make(out, (size_t)sprintf(out, "%d", (int)rng_below(r, 70000) - 35000));
    default: return slice_make(out, (size_t)sprintf(out, "element-%d", (int)rng_below(r, 40)));
    }
}

static void do_push(struct rng *r) {
    enum { MANY = 60 };
    static char texts[MANY][TEXT_MAX];
    struct slice values[MANY];
    enum list_end end = rng_below(r, 2) ? LIST_TAIL : LIST_HEAD;
    size_t count = 1 + rng_below(r, rng_below(r, 4) == 0 ? MANY : 3);
    for (size_t i = 0; i < count; i++) {
        values[i] = random_text(r, texts[i]);
        model_insert(end == LIST_TAIL ? model.count : 0, values[i]);
    }
    list_push(ks, 0, key, find(), end, values, count);
}

static void do_pop(struct object *o, struct rng *r) {
    struct buf out = {0};
    enum list_end end = rng_below(r, 2) ? LIST_TAIL : LIST_HEAD;
    size_t at = end == LIST_TAIL ? model.count - 1 : 0;
    list_pop(ks, 0, o, end, &out);
    EXPECT_EQ_SLICE(buf_slice(&out), model_at(at));
    buf_free(&out);
    model_remove(at);
    EXPECT(list_drop_if_empty(ks, 0, o) == (model.count == 0));
}

static void do_set(struct object *o, struct rng *r) {
    char text[TEXT_MAX];
    size_t at = rng_below(r, model.count);
    struct slice value = random_text(r, text);
    list_set(ks, 0, o, at, value);
    model_remove(at);
    model_insert(at, value);
}

static void do_insert(struct object *o, struct rng *r) {
    char text[TEXT_MAX], pivot_text[TEXT_MAX];
    bool before = rng_below(r, 2);
    struct slice value = random_text(r, text);
    struct slice pivot = rng_below(r, 3) ? model_at(rng_below(r, model.count)) : random_text(r, pivot_text);
    size_t at = 0;
    while (at < model.count && !slice_eq(model_at(at), pivot)) at++;
    bool found = at < model.count;
    EXPECT(list_insert(ks, 0, o, pivot, before, value) == found);
    if (found) model_insert(at + !before, value);
}

static void do_remove(struct object *o, struct rng *r) {
    char text[TEXT_MAX];
    struct slice value = random_text(r, text);
    if (rng_below(r, 3)) {
        struct slice there = model_at(rng_below(r, model.count));
        memcpy(text, there.data, there.len);
        value = slice_make(text, there.len);
    }
    enum list_end from = rng_below(r, 2) ? LIST_TAIL : LIST_HEAD;
    uint64_t max = rng_below(r, 3) ? 1 + rng_below(r, 3) : UINT64_MAX, removed = 0;
    for (size_t step = 0, total = model.count, at; step < total && removed < max; step++) {
        at = from == LIST_HEAD ? step - removed : total - 1 - step;
        if (!slice_eq(model_at(at), value)) continue;
        model_remove(at);
        removed++;
    }
    EXPECT_EQ_U64(list_remove(ks, 0, o, from, max, value), removed);
    list_drop_if_empty(ks, 0, o);
}

static void do_remove_range(struct object *o, struct rng *r) {
    size_t at = rng_below(r, model.count + 1);
    size_t count = rng_below(r, rng_below(r, 3) ? 4 : model.count - at + 1);
    if (count > model.count - at) count = model.count - at;
    list_remove_range(ks, 0, o, at, count);
    for (size_t i = 0; i < count; i++) model_remove(at);
    list_drop_if_empty(ks, 0, o);
}

static void do_copy(struct object *o) {
    struct object *copy = ks_copy(ks, o, 1, SLICE("copy"));
    EXPECT_EQ_U64(object_digest(copy), object_digest(ks_copy(ks, o, 1, SLICE("copy"))));
    check_walk(ks_write(ks, 1, SLICE("copy"), 0), false);
    ks_delete(ks, 0, o);
    ks_copy(ks, ks_write(ks, 1, SLICE("copy"), 0), 0, key);
}

static void step(struct rng *r) {
    struct object *o = find();
    uint64_t what = rng_below(r, 100);
    if (o == NULL || (what < 45 && model.count < MODEL_MAX - 100))
        do_push(r);
    else if (what < 60)
        do_pop(o, r);
    else if (what < 70)
        do_set(o, r);
    else if (what < 80)
        do_insert(o, r);
    else if (what < 88)
        do_remove(o, r);
    else if (what < 96)
        do_remove_range(o, r);
    else if (what < 98)
        do_copy(o);
    else if (what < 99)
        reload();
    else
        ks_writeback_begin(ks);
    for (uint64_t i = rng_below(r, 3); i > 0; i--) ks_turn(ks, rng_below(r, 20));
    if (rng_below(r, 20) == 0) ks_evict(ks, 0, 1000);
}

static void run_seed(uint64_t seed) {
    enum { STEPS = 1500 };
    struct rng r = {seed};
    open_fresh();
    model_clear();
    for (int i = 0; i < STEPS; i++) {
        step(&r);
        end_entry();
        check_same(&r);
    }
    model_clear();
    close_keyspace();
}

TEST(a_list_is_a_sequence_of_texts) {
    test_random(4, run_seed);
}

/* --- examples --- */

static struct object *push_texts(struct object *o, size_t count, size_t len) {
    char text[TEXT_MAX];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < count; i++) {
        struct slice value = slice_make(text, len);
        o = list_push(ks, 0, key, o, LIST_TAIL, &value, 1);
    }
    return o;
}

TEST(a_list_grows_by_bytes_and_by_elements_and_stays_big) {
    open_fresh();
    struct object *o = push_texts(NULL, 128, 1);
    EXPECT(!(o->flags & OBJECT_BIG));
    EXPECT(push_texts(o, 1, 1)->flags & OBJECT_BIG);
    list_remove_range(ks, 0, o, 1, 128);
    EXPECT_EQ_INT(list_len(o), 1);
    EXPECT(o->flags & OBJECT_BIG);
    ks_delete(ks, 0, o);
    o = push_texts(NULL, 4, 500);
    EXPECT(!(o->flags & OBJECT_BIG));
    EXPECT(push_texts(o, 1, 500)->flags & OBJECT_BIG);
    ks_delete(ks, 0, o);
    o = push_texts(NULL, 4, 500);
    list_set(ks, 0, o, 1, slice_make((char[700]){0}, 700));
    EXPECT(o->flags & OBJECT_BIG);
    close_keyspace();
}

/* One that is taken out and put in again keeps its deadline. */
TEST(an_empty_list_lives_until_somebody_says_otherwise) {
    open_fresh();
    struct object *o = push_texts(NULL, 1, 3);
    struct buf out = {0};
    ks_set_deadline(ks, 0, o, 1000);
    list_pop(ks, 0, o, LIST_HEAD, &out);
    EXPECT_EQ_INT(list_len(o), 0);
    EXPECT(find() == o);
    struct slice value = buf_slice(&out);
    list_push(ks, 0, key, o, LIST_TAIL, &value, 1);
    EXPECT(!list_drop_if_empty(ks, 0, o));
    EXPECT_EQ_INT(object_deadline(o), 1000);
    buf_clear(&out);
    list_pop(ks, 0, o, LIST_TAIL, &out);
    EXPECT(list_drop_if_empty(ks, 0, o));
    EXPECT(find() == NULL);
    buf_free(&out);
    close_keyspace();
}

TEST_MAIN
