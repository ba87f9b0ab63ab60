/* Streams against a naive one: entries, trimming, groups, consumers and what is pending, by a long random run in which write-backs
 * begin, make progress, are crashed and reloaded between the steps; and the single rules about ids and nodes. */
#include "stream_internal.h"
#include "writeback.h"

#include "test.h"

#include "unit/storage/one_keyspace.h"

enum { ENTRIES = 300, GROUPS = 3, CONSUMERS = 4 };

/* --- the naive stream --- */

struct model_pending {
    bool there;
    int consumer;
    int64_t delivered_ms, deliveries;
};

struct model_group {
    bool there;
    struct stream_id last;
    int64_t entries_read;
    uint64_t next_number;
    bool consumers[CONSUMERS];
    int64_t seen_ms[CONSUMERS];
    struct model_pending pending[ENTRIES]; /* of ids with this ms */
};

/* Entry number n has the ms n / 4 and the seq n % 4, if it was ever added. */
struct model {
    bool there; /* the key */
    bool entries[ENTRIES];
    uint32_t values[ENTRIES];
    struct stream_state state;
    struct model_group groups[GROUPS];
};

static struct stream_id id_of(size_t n) {
    return (struct stream_id){1000 + n / 4, n % 4};
}

enum { PAIRS_MAX = 6 };
struct content {
    char text[2 * PAIRS_MAX][128];
    struct slice slices[2 * PAIRS_MAX];
    size_t pairs;
};

/* Every other one has the fields of its neighbours. */
static void content_of(uint32_t value, struct content *c) {
    c->pairs = value % 2 ? 2 : value / 2 % PAIRS_MAX + 1;
    for (size_t i = 0; i < 2 * c->pairs; i++) {
        uint32_t v = value % 2 && i % 2 == 0 ? (uint32_t)i : value + (uint32_t)i;
        int len = v % 3 == 0 ? snprintf(c->text[i], sizeof c->text[i], "%u", v * 77)
                             : snprintf(c->text[i], sizeof c->text[i], "%0*u", (int)(v % 90), v);
        c->slices[i] = slice_make(c->text[i], (size_t)len);
    }
}

static const char *const group_names[GROUPS] = {"group", "another", ""};
static const char *const consumer_names[CONSUMERS] = {"b", "a", "ab", "10"};

static void model_find_first(struct model *m) {
    m->state.first = (struct stream_id){0, 0};
    for (size_t n = ENTRIES; n-- > 0;) {
        if (m->entries[n]) m->state.first = id_of(n);
    }
}

/* --- a node's life, as in item_model.h --- */

static struct model as_stored[2];
static uint64_t stored_at[2];
static const struct slice key = SLICE("stream");

static void open_keyspace(void) {
    open_fresh();
    memset(as_stored, 0, sizeof as_stored);
    memset(stored_at, 0, sizeof stored_at);
}

static void set_limits(int64_t entries_max) {
    struct ks_limits limits = *ks_limits(ks);
    limits.stream_node_max_entries = entries_max;
    ks_begin_entry(ks);
    ks_set_limits(ks, &limits);
    end_entry();
}

static void store_all(const struct model *m) {
    struct kv_error error = {""};
    EXPECT_NOTE(ks_store_all(ks, &error) == RC_OK, "%s", error.text);
    as_stored[0] = *m;
    stored_at[0] = entry;
    stored_at[1] = 0;
}

static void crash(struct model *m) {
    ks_close(ks);
    open_again();
    entry = ks_applied(ks).index;
    int found = stored_at[1] == entry ? 1 : 0;
    EXPECT_NOTE(entry == 0 || stored_at[found] == entry, "a state of entry %" PRIu64 " came back", entry);
    *m = entry != 0 ? as_stored[found] : (struct model){0};
    as_stored[0] = *m;
    stored_at[0] = entry;
    stored_at[1] = 0;
}

static void something_else(struct rng *rng, struct model *m) {
    switch (rng_below(rng, 12)) {
    case 0: store_all(m); break;
    case 1: ks_forget(ks); break;
    case 2:
        store_all(m);
        ks_forget(ks);
        break;
    case 3:
        if (rng_below(rng, 3) == 0) crash(m);
        break;
    case 4:
        if (ks_writeback_running(ks)) break;
        if (stored_at[1] > stored_at[0]) {
            as_stored[0] = as_stored[1];
            stored_at[0] = stored_at[1];
        }
        if (!ks_writeback_begin(ks)) break;
        as_stored[1] = *m;
        stored_at[1] = entry;
        break;
    default: ks_turn(ks, 1 + rng_below(rng, 20)); break;
    }
}

/* --- comparing --- */

static void check_entry(struct stream_entry *e, const struct model *m, size_t n) {
    struct content want;
    struct stream_pair pair;
    content_of(m->values[n], &want);
    EXPECT_EQ_U64(e->id.ms, id_of(n).ms);
    EXPECT_EQ_U64(e->id.seq, id_of(n).seq);
    EXPECT_EQ_INT(e->pairs, want.pairs);
    for (size_t i = 0; i < want.pairs; i++) {
        stream_entry_pair(e, &pair);
        EXPECT_EQ_SLICE(pair.field, want.slices[2 * i]);
        EXPECT_EQ_SLICE(pair.value, want.slices[2 * i + 1]);
    }
    EXPECT_EQ_INT(e->pairs, 0);
}

static void check_range(const struct object *o, const struct model *m, size_t from, size_t to) {
    struct stream_cursor cur;
    struct stream_entry e;
    stream_seek(&cur, o, id_of(from), id_of(to), false);
    for (size_t n = from; n <= to; n++) {
        if (!m->entries[n]) continue;
        EXPECT(stream_next(&cur, &e));
        check_entry(&e, m, n);
    }
    EXPECT(!stream_next(&cur, &e));
    stream_seek(&cur, o, id_of(from), id_of(to), true);
    for (size_t n = to + 1; n-- > from;) {
        if (!m->entries[n]) continue;
        EXPECT(stream_next(&cur, &e));
        check_entry(&e, m, n);
    }
    EXPECT(!stream_next(&cur, &e));
}

static void check_pending(const struct stream_group *g, const struct model_group *m, int consumer) {
    const struct stream_consumer *c =
        consumer >= 0 ? stream_consumer_find(g, slice_of(consumer_names[consumer])) : NULL;
    struct stream_pending p = {.id = {0, 0}};
    uint64_t count = 0;
    for (size_t n = 0; n < ENTRIES; n++) {
        const struct model_pending *want = &m->pending[n];
        if (!want->there || (consumer >= 0 && want->consumer != consumer)) continue;
        EXPECT(stream_pending_find(g, c, p.id, &p));
        EXPECT(stream_id_cmp(p.id, id_of(n)) == 0);
        EXPECT_EQ_SLICE(stream_consumer_name(p.consumer), slice_of(consumer_names[want->consumer]));
        EXPECT_EQ_INT(p.delivered_ms, want->delivered_ms);
        EXPECT_EQ_INT(p.deliveries, want->deliveries);
        EXPECT(stream_id_next(&p.id));
        count++;
    }
    EXPECT(!stream_pending_find(g, c, p.id, &p));
    EXPECT_EQ_U64(c ? stream_consumer_pending_count(c) : stream_pending_count(g), count);
}

static void check_group(const struct object *o, const struct model *m, int i) {
    const struct stream_group *g = stream_group_find(o, slice_of(group_names[i]));
    const struct model_group *want = &m->groups[i];
    EXPECT((g != NULL) == want->there);
    if (g == NULL) return;
    EXPECT(stream_id_cmp(g->last, want->last) == 0);
    EXPECT_EQ_INT(g->entries_read, want->entries_read);
    EXPECT_EQ_U64(g->next_number, want->next_number);
    size_t count = 0;
    for (int k = 0; k < CONSUMERS; k++) {
        const struct stream_consumer *c = stream_consumer_find(g, slice_of(consumer_names[k]));
        EXPECT((c != NULL) == want->consumers[k]);
        if (c == NULL) continue;
        count++;
        EXPECT_EQ_INT(c->seen_ms, want->seen_ms[k]);
        check_pending(g, want, k);
        tree_check(c->pending);
    }
    EXPECT_EQ_INT(g->consumer_count, count);
    for (size_t k = 1; k < count; k++) {
        EXPECT(slice_cmp(stream_consumer_name(g->consumers[k - 1]), stream_consumer_name(g->consumers[k])) <
               0);
    }
    check_pending(g, want, -1);
    tree_check(g->pending);
}

static void check_stream(const struct model *m) {
    const struct object *o = ks_read(ks, 0, key, 0);
    EXPECT((o != NULL) == m->there);
    if (o == NULL) return;
    EXPECT_EQ_STR(object_encoding_name(o), "stream");
    tree_check(&stream_of(o)->c.tree);
    const struct stream_state *s = stream_state(o);
    EXPECT_EQ_U64(s->length, m->state.length);
    EXPECT_EQ_U64(s->entries_added, m->state.entries_added);
    EXPECT(stream_id_cmp(s->first, m->state.first) == 0);
    EXPECT(stream_id_cmp(s->last, m->state.last) == 0);
    EXPECT(stream_id_cmp(s->max_deleted, m->state.max_deleted) == 0);
    check_range(o, m, 0, ENTRIES - 1);
    for (int i = 0; i < GROUPS; i++) check_group(o, m, i);
}

/* --- steps --- */

static void step_append(struct rng *rng, struct object *o, struct model *m) {
    size_t n = 0;
    struct content c;
    while (n < ENTRIES && stream_id_cmp(id_of(n), m->state.last) <= 0) n++;
    n += rng_below(rng, 3);
    if (n >= ENTRIES) return;
    m->values[n] = (uint32_t)rng_below(rng, 1000);
    content_of(m->values[n], &c);
    stream_append(ks, 0, o, id_of(n), c.slices, c.pairs);
    m->entries[n] = true;
    m->state.length++;
    m->state.entries_added++;
    m->state.last = id_of(n);
    model_find_first(m);
}

static void step_delete(struct rng *rng, struct object *o, struct model *m) {
    size_t n = rng_below(rng, ENTRIES);
    EXPECT((int)stream_has(o, id_of(n)) == (int)m->entries[n]);
    EXPECT((int)stream_delete(ks, 0, o, id_of(n)) == (int)m->entries[n]);
    if (!m->entries[n]) return;
    m->entries[n] = false;
    m->state.length--;
    if (stream_id_cmp(id_of(n), m->state.max_deleted) > 0) m->state.max_deleted = id_of(n);
    model_find_first(m);
}

static void step_trim(struct rng *rng, struct object *o, struct model *m) {
    struct stream_trim how = {.by_length = rng_below(rng, 2) == 0, .whole_nodes = rng_below(rng, 2) == 0};
    how.length_max = m->state.length > 0 ? rng_below(rng, m->state.length + 3) : 0;
    how.id_min = id_of(rng_below(rng, ENTRIES));
    if (how.whole_nodes) how.deletes_max = rng_below(rng, 3) * 20;
    uint64_t asked = 0, length = m->state.length;
    for (size_t n = 0; n < ENTRIES; n++) asked += m->entries[n] && stream_id_cmp(id_of(n), how.id_min) < 0;
    if (how.by_length) asked = length > how.length_max ? length - how.length_max : 0;
    uint64_t got = stream_trim(ks, 0, o, &how), left = got;
    if (how.whole_nodes) {
        EXPECT(got <= asked);
        EXPECT(how.deletes_max == 0 || got <= how.deletes_max);
    } else {
        EXPECT_EQ_U64(got, asked);
    }
    for (size_t n = 0; left > 0; n++) { /* the oldest */
        left -= m->entries[n];
        m->entries[n] = false;
    }
    m->state.length -= got;
    model_find_first(m);
}

static void drop_pending(struct model_group *g, int consumer) {
    for (size_t n = 0; n < ENTRIES; n++) {
        if (g->pending[n].consumer == consumer) g->pending[n].there = false;
    }
}

static void step_consumer(struct rng *rng, struct object *o, struct stream_group *g, struct model_group *m) {
    int i = (int)rng_below(rng, CONSUMERS);
    int64_t now = (int64_t)rng_below(rng, 1000000);
    struct slice name = slice_of(consumer_names[i]);
    if (!m->consumers[i]) {
        stream_consumer_create(ks, 0, o, g, name, now);
        m->next_number++;
    } else if (rng_below(rng, 6) > 0) {
        stream_consumer_seen(ks, 0, o, stream_consumer_find(g, name), now);
    } else {
        stream_consumer_delete(ks, 0, o, g, stream_consumer_find(g, name));
        m->consumers[i] = false;
        drop_pending(m, i);
        return;
    }
    m->consumers[i] = true;
    m->seen_ms[i] = now;
}

static void step_pending(struct rng *rng, struct object *o, struct stream_group *g, struct model_group *m) {
    size_t n = rng_below(rng, ENTRIES);
    int i = (int)rng_below(rng, CONSUMERS);
    struct stream_pending p;
    EXPECT((int)stream_pending_get(g, id_of(n), &p) == (int)m->pending[n].there);
    if (rng_below(rng, 4) == 0) {
        EXPECT((int)stream_pending_remove(ks, 0, o, g, id_of(n)) == (int)m->pending[n].there);
        m->pending[n].there = false;
    } else if (m->consumers[i]) {
        p = (struct stream_pending){.id = id_of(n),
                                    .consumer = stream_consumer_find(g, slice_of(consumer_names[i]))};
        p.delivered_ms = (int64_t)rng_next(rng);
        p.deliveries = (int64_t)rng_below(rng, 300);
        stream_pending_put(ks, 0, o, g, &p);
        m->pending[n] = (struct model_pending){true, i, p.delivered_ms, p.deliveries};
    }
}

static void step_group(struct rng *rng, struct object *o, struct model *model) {
    int i = (int)rng_below(rng, GROUPS);
    struct model_group *m = &model->groups[i];
    struct stream_group *g = stream_group_find(o, slice_of(group_names[i]));
    struct stream_id last = id_of(rng_below(rng, ENTRIES));
    int64_t read = (int64_t)rng_below(rng, 10) - 1;
    if (!m->there) {
        g = stream_group_create(ks, 0, o, slice_of(group_names[i]), last, read);
        *m = (struct model_group){.there = true, .last = last, .entries_read = read, .next_number = 1};
    } else if (rng_below(rng, 40) == 0) {
        stream_group_destroy(ks, 0, o, g);
        m->there = false;
    } else if (rng_below(rng, 5) == 0) {
        stream_group_set(ks, 0, o, g, last, read);
        m->last = last;
        m->entries_read = read;
    } else if (rng_below(rng, 4) == 0) {
        step_consumer(rng, o, g, m);
    } else {
        for (int k = 0; k < 5; k++) step_pending(rng, o, g, m);
    }
}

static void step(struct rng *rng, struct model *m) {
    struct object *o = ks_write(ks, 0, key, 0);
    ks_begin_entry(ks);
    if (!m->there) {
        *m = (struct model){.there = true};
        o = stream_create(ks, 0, key);
    }
    uint64_t what = rng_below(rng, 100);
    if (what < 50) {
        step_append(rng, o, m);
    } else if (what < 60) {
        step_delete(rng, o, m);
    } else if (what < 65) {
        step_trim(rng, o, m);
    } else if (what < 98) {
        step_group(rng, o, m);
    } else if (m->state.last.ms >= id_of(ENTRIES - 4).ms || what == 99) {
        ks_delete(ks, 0, o);
        m->there = false;
    }
    end_entry();
}

TEST(a_long_random_life) {
    struct rng rng = {test_seed()};
    for (int run = 0; run < 3; run++) {
        static struct model m;
        m = (struct model){0};
        open_keyspace();
        for (int i = 0; i < 1200; i++) {
            if (i % 100 == 0) set_limits((int64_t)(1 + rng_below(&rng, 20)));
            step(&rng, &m);
            check_stream(&m);
            something_else(&rng, &m);
            check_stream(&m);
        }
        close_keyspace();
    }
}

/* --- single rules --- */

static struct object *add(struct object *o, struct stream_id id) {
    static const struct slice pair[2] = {SLICE("f"), SLICE("v")};
    stream_append(ks, 0, o, id, pair, 1);
    return o;
}

TEST(a_copy_is_the_same_in_everything) {
    open_keyspace();
    ks_begin_entry(ks);
    struct object *o = stream_create(ks, 0, key);
    for (uint64_t i = 1; i < 1000; i++) add(o, (struct stream_id){i, i});
    struct stream_group *g = stream_group_create(ks, 0, o, SLICE("g"), (struct stream_id){5, 0}, 3);
    struct stream_consumer *c = stream_consumer_create(ks, 0, o, g, SLICE("c"), 17);
    for (uint64_t i = 1; i < 1000; i += 3) {
        stream_pending_put(ks, 0, o, g, &(struct stream_pending){{i, i}, c, 18, 1});
    }
    struct object *copy = ks_copy(ks, o, 1, SLICE("copy"));
    EXPECT_EQ_U64(stream_class.digest(copy), stream_class.digest(o));
    stream_pending_remove(ks, 1, copy, stream_group_find(copy, SLICE("g")), (struct stream_id){4, 4});
    EXPECT(stream_class.digest(copy) != stream_class.digest(o));
    EXPECT_EQ_U64(stream_pending_count(g), 333);
    EXPECT_EQ_U64(stream_consumer_pending_count(c), 333);
    end_entry();
    close_keyspace();
}

static uint64_t memory_after_a_life(void) {
    struct ks_stats stats;
    struct kv_error error = {""};
    ks_begin_entry(ks);
    struct object *o = stream_create(ks, 0, key);
    for (uint64_t i = 1; i < 1500; i++) add(o, (struct stream_id){i, i});
    for (int i = 0; i < GROUPS; i++) {
        struct stream_group *g =
            stream_group_create(ks, 0, o, slice_of(group_names[i]), (struct stream_id){5, 0}, 3);
        for (int k = 0; k < CONSUMERS; k++) {
            struct stream_consumer *c = stream_consumer_create(ks, 0, o, g, slice_of(consumer_names[k]), 17);
            for (uint64_t n = 1; n < 200; n++) {
                stream_pending_put(ks, 0, o, g, &(struct stream_pending){{n, n + (uint64_t)k % 2}, c, 18, 1});
            }
        }
    }
    stream_group_destroy(ks, 0, o, stream_group_find(o, slice_of(group_names[1])));
    struct stream_group *g = stream_group_find(o, slice_of(group_names[0]));
    stream_consumer_delete(ks, 0, o, g, stream_consumer_find(g, slice_of(consumer_names[2])));
    end_entry();
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    ks_forget(ks);
    o = ks_write(ks, 0, key, 0);
    ks_begin_entry(ks);
    ks_delete(ks, 0, o);
    end_entry();
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    ks_forget(ks);
    ks_stats(ks, &stats);
    return stats.memory_bytes;
}

TEST(what_is_counted_is_given_back) {
    open_keyspace();
    uint64_t once = memory_after_a_life();
    for (int i = 0; i < 3; i++) EXPECT_EQ_U64(memory_after_a_life(), once);
    close_keyspace();
}

TEST(nodes_end_where_those_of_redis_end) {
    open_keyspace();
    ks_begin_entry(ks);
    struct object *o = stream_create(ks, 0, key);
    EXPECT_EQ_U64(stream_nodes(o), 0);
    EXPECT_EQ_U64(stream_radix_nodes(o), 1);
    for (uint64_t i = 1; i <= 100; i++) add(o, (struct stream_id){i, 0});
    EXPECT_EQ_U64(stream_nodes(o), 1);
    EXPECT_EQ_U64(stream_radix_nodes(o), 2);
    add(o, (struct stream_id){101, 0});
    EXPECT_EQ_U64(stream_nodes(o), 2);
    EXPECT_EQ_U64(stream_radix_nodes(o), 6); /* what they share, where they part, and two nodes for each */
    char big[4000] = {0};
    struct slice pair[2] = {SLICE("f"), slice_make(big, sizeof big)};
    stream_append(ks, 0, o, (struct stream_id){102, 0}, pair, 1);
    EXPECT_EQ_U64(stream_nodes(o), 2);
    stream_append(ks, 0, o, (struct stream_id){103, 0}, pair, 1);
    EXPECT_EQ_U64(stream_nodes(o), 3);
    end_entry();
    close_keyspace();
}

/* XSETID may turn back the last id behind what is deleted, and the stream goes on from there. */
TEST(the_last_id_may_be_turned_back) {
    open_keyspace();
    for (int emptied = 0; emptied < 2; emptied++) {
        ks_begin_entry(ks);
        struct object *o = stream_create(ks, 0, key);
        add(add(add(o, (struct stream_id){10, 0}), (struct stream_id){20, 0}), (struct stream_id){30, 0});
        EXPECT(stream_delete(ks, 0, o, (struct stream_id){20, 0}));
        EXPECT(stream_delete(ks, 0, o, (struct stream_id){30, 0}));
        if (emptied) {
            struct stream_trim how = {.id_min = {11, 0}};
            EXPECT_EQ_U64(stream_trim(ks, 0, o, &how), 1);
            EXPECT_EQ_U64(stream_nodes(o), 1);
        }
        struct stream_state s = *stream_state(o);
        s.last = (struct stream_id){emptied ? 5 : 12, 0};
        stream_set_state(ks, 0, o, &s);
        add(add(o, (struct stream_id){13, 0}), (struct stream_id){25, 0});
        end_entry();
        struct kv_error error = {""};
        EXPECT(ks_store_all(ks, &error) == RC_OK);
        ks_forget(ks);
        o = ks_write(ks, 0, key, 0);
        EXPECT_NOTE(o != NULL, "%s", ks_fault(ks) ? ks_fault(ks) : "gone");
        EXPECT_EQ_U64(stream_state(o)->length, emptied ? 2 : 3);
        EXPECT_EQ_U64(stream_last_entry(o).ms, 25);
        EXPECT(stream_has(o, (struct stream_id){13, 0}));
        EXPECT(!stream_has(o, (struct stream_id){20, 0}));
        tree_check(&stream_of(o)->c.tree);
        ks_begin_entry(ks);
        ks_delete(ks, 0, o);
        end_entry();
    }
    close_keyspace();
}

TEST(what_is_no_node_is_refused) {
    struct buf pack = {0};
    struct stream_id last;
    static const struct slice pairs[4] = {SLICE("a"), SLICE("1"), SLICE("b"), SLICE("2")};
    pack_begin(&pack);
    stream_node_begin(&pack, (struct stream_id){7, 1}, pairs, 2);
    EXPECT(!stream_node_valid(buf_slice(&pack), &last)); /* without an entry */
    for (uint64_t i = 1; i < 5; i++) stream_node_append(&pack, (struct stream_id){7, i}, pairs, i % 2 + 1);
    EXPECT(stream_node_valid(buf_slice(&pack), &last));
    EXPECT_EQ_U64(last.seq, 4);
    for (size_t at = pack_first(buf_slice(&pack)); at != 0; at = pack_next(buf_slice(&pack), at)) {
        struct buf spoilt = {0};
        buf_add_slice(&spoilt, buf_slice(&pack));
        bool is_text = !pack_get(buf_slice(&pack), at).is_int;
        pack_replace(&spoilt, at, is_text ? pack_integer(3) : pack_bytes(SLICE("x")));
        /* Fields and values may be anything. */
        char scratch[NUM_I64_MAX_LEN];
        struct slice was = pack_get_text(buf_slice(&pack), at, scratch);
        bool may_be_value = is_text || slice_eq(was, SLICE("1")) || slice_eq(was, SLICE("2"));
        EXPECT(may_be_value || !stream_node_valid(buf_slice(&spoilt), &last));
        (void)pack_remove(&spoilt, at, 1);
        EXPECT(!stream_node_valid(buf_slice(&spoilt), &last));
        buf_free(&spoilt);
    }
    buf_free(&pack);
}

TEST(ids_have_neighbours) {
    struct stream_id id = {5, UINT64_MAX};
    EXPECT(stream_id_next(&id) && id.ms == 6 && id.seq == 0);
    EXPECT(stream_id_prev(&id) && id.ms == 5 && id.seq == UINT64_MAX);
    id = STREAM_ID_MAX;
    EXPECT(!stream_id_next(&id) && stream_id_cmp(id, STREAM_ID_MAX) == 0);
    id = (struct stream_id){0, 0};
    EXPECT(!stream_id_prev(&id) && stream_id_is_zero(id));
}

TEST_MAIN
