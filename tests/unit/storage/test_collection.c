/* Big collections on their way to disk and back, against a naive model: random changes to lists of many leaves, each change at its
 * own log index, with write-backs step by step, evictions, copies, deletions, flushes and crashes in between. After a crash the
 * disk must show exactly the state of one earlier index; replaying from there must lead to the same state, leaf for leaf.
 * A failure prints the command that replays it. */
#include "test.h"

#include "collection.h"
#include "scratch.h"

enum { KEYS = 12, OPS_MAX = 6000, ITEM_MAX = 400 };

struct op_record {
    uint64_t a, b; /* everything an operation does follows from these and the state */
};

struct sequence {
    bool exists;
    uint64_t *items; /* seeds of what is there */
    size_t count, cap;
};

struct model {
    struct sequence keys[KEYS];
};

static struct slice key_of(int k) {
    static const char *const names[KEYS] = {"a", "{a}b", "c", "d",   "a long key, as keys go", "e", "f", "g",
                                            "h", "i",    "j", "{a}k"};
    return slice_of(names[k]);
}

static struct slice item_of(uint64_t seed, char *out) {
    struct rng r = {seed};
    if (rng_below(&r, 3) == 0)
        return slice_make(out, format_i64(out, (int64_t)(rng_next(&r) >> rng_below(&r, 64))));
    size_t len = (size_t)rng_below(&r, rng_below(&r, 4) == 0 ? ITEM_MAX : 30);
    for (size_t i = 0; i < len; i++) out[i] = (char)('a' + (seed + i) % 23);
    return slice_make(out, len);
}

/* --- the model --- */

static void sequence_insert(struct sequence *s, size_t at, uint64_t item) {
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->items = mem_realloc(s->items, s->cap * sizeof *s->items);
    }
    memmove(s->items + at + 1, s->items + at, (s->count - at) * sizeof *s->items);
    s->items[at] = item;
    s->count++;
}

static void sequence_remove(struct sequence *s, size_t at, size_t count) {
    memmove(s->items + at, s->items + at + count, (s->count - at - count) * sizeof *s->items);
    s->count -= count;
}

/* What an operation is, given how many items its key has. */
enum action { PUSH_FRONT, PUSH_BACK, INSERT, REPLACE, REMOVE, REMOVE_MANY, DELETE, COPY, MOVE, FLUSH, SET };

static enum action action_of(struct op_record op) {
    unsigned n = (unsigned)(op.a % 1000);
    if (n < 200) return PUSH_FRONT;
    if (n < 400) return PUSH_BACK;
    if (n < 650) return INSERT;
    if (n < 750) return REPLACE;
    if (n < 950) return REMOVE;
    if (n < 980) return REMOVE_MANY;
    if (n < 985) return DELETE;
    if (n < 989) return COPY;
    if (n < 995) return MOVE;
    return n < 997 ? FLUSH : SET;
}

/* Often the front: leaves are lost there and come again under the label they had. */
static size_t place_in(struct op_record op, size_t count) {
    return count == 0 || action_of(op) == REMOVE_MANY ? 0 : (size_t)((op.a >> 20) % count);
}
static size_t many_of(struct op_record op, size_t from, size_t count) {
    size_t most = count - from;
    if (op.b & 1 && most > 50) most = 50;
    return 1 + (size_t)((op.a >> 40) % most);
}

/* Now and then as many as fill a leaf. */
static uint64_t pushes_of(struct op_record op) {
    return op.b % 16 == 0 ? 60 : 1;
}

static void model_apply(struct model *m, struct op_record op) {
    int k = (int)((op.a >> 10) % KEYS), k2 = (int)((op.a >> 14) % KEYS);
    struct sequence *s = &m->keys[k];
    size_t at = place_in(op, s->count);
    switch (action_of(op)) {
    case PUSH_FRONT:
        for (uint64_t i = 0; i < pushes_of(op); i++) sequence_insert(s, 0, op.b + i);
        break;
    case PUSH_BACK: sequence_insert(s, s->count, op.b); break;
    case INSERT: sequence_insert(s, at, op.b); break;
    case REPLACE:
        if (s->count > 0) s->items[at] = op.b;
        break;
    case REMOVE:
        if (s->count > 0) sequence_remove(s, at, 1);
        break;
    case REMOVE_MANY:
        if (s->count > 0) sequence_remove(s, at, many_of(op, at, s->count));
        break;
    case SET: /* a string, and gone again: one entry, two versions */
    case DELETE: s->count = 0; break;
    case COPY:
        if (k == k2 || s->count == 0) break;
        m->keys[k2].count = 0;
        for (size_t i = 0; i < s->count; i++) sequence_insert(&m->keys[k2], i, s->items[i]);
        break;
    case MOVE:
        if (k == k2 || s->count == 0) break;
        m->keys[k2].count = 0;
        if (op.b % 3 == 0) break;
        struct sequence emptied = m->keys[k2];
        m->keys[k2] = *s;
        *s = emptied;
        break;
    case FLUSH:
        for (int i = 0; i < KEYS; i++) m->keys[i].count = 0;
        break;
    }
}

/* --- the keyspace --- */

static struct tree *list_for(struct keyspace *ks, struct slice key, struct object **o) {
    *o = ks_write(ks, 0, key, -1);
    if (*o == NULL) {
        struct buf empty = {0};
        pack_begin(&empty);
        *o = collection_create(ks, 0, key, OBJECT_LIST, ENCODING_QUICKLIST, empty);
        collection_grow(ks, 0, *o, &empty);
        buf_free(&empty);
    } else {
        ks_edit(ks, 0, *o);
    }
    return &object_collection(*o)->tree;
}

/* There, there and back again, or there by way of another database. */
static void move(struct keyspace *ks, struct object *o, struct slice to, uint64_t how) {
    char name[64];
    struct slice from = slice_make(memcpy(name, object_key(o).data, o->key_len), o->key_len);
    if (how % 3 != 1) o = ks_move(ks, 0, o, 0, to);
    if (how % 3 == 0) ks_move(ks, 0, o, 0, from);
    if (how % 3 == 1) ks_move(ks, 1, ks_move(ks, 0, o, 1, from), 0, to);
}

static void ks_apply(struct keyspace *ks, struct op_record op, uint64_t index) {
    char text[ITEM_MAX];
    struct slice key = key_of((int)((op.a >> 10) % KEYS)), key2 = key_of((int)((op.a >> 14) % KEYS));
    struct pack_value item = pack_text(item_of(op.b, text));
    ks_begin_entry(ks);
    struct object *o = ks_write(ks, 0, key, -1);
    size_t count = o ? object_collection(o)->tree.items : 0, at = place_in(op, count);
    enum action action = action_of(op);
    if (action <= INSERT) {
        struct tree *t = list_for(ks, key, &o);
        uint64_t rank = action == PUSH_FRONT ? 0 : action == PUSH_BACK ? count : at;
        for (uint64_t i = 0; i < (action == PUSH_FRONT ? pushes_of(op) : 1); i++) {
            item = pack_text(item_of(op.b + i, text));
            struct tree_pos p = tree_insert(t, tree_at(t, rank), &item);
            EXPECT_EQ_U64(tree_rank(t, p), rank);
        }
    } else if (action == FLUSH) {
        ks_flush(ks, 0);
    } else if (action == SET) {
        string_set(ks, 0, key, SLICE("for a moment"), false);
        ks_delete(ks, 0, ks_write(ks, 0, key, -1));
    } else if (action == DELETE) {
        if (o != NULL) ks_delete(ks, 0, o);
    } else if (action == COPY) {
        if (o != NULL && !slice_eq(key, key2)) ks_copy(ks, o, 0, key2);
    } else if (action == MOVE) {
        if (o != NULL && !slice_eq(key, key2)) move(ks, o, key2, op.b);
    } else if (count > 0) {
        struct tree *t = list_for(ks, key, &o);
        if (action == REPLACE)
            tree_replace(t, tree_at(t, at), 0, item);
        else if (action == REMOVE)
            tree_remove(t, tree_at(t, at));
        else
            tree_remove_range(t, at, many_of(op, at, count));
        if (t->items == 0) ks_delete(ks, 0, o);
    }
    ks_set_applied(ks, (struct ks_applied){.index = index, .term = 1, .clock_ms = (int64_t)index});
}

/* --- comparing --- */

static void compare(struct keyspace *ks, const struct model *m) {
    for (int k = 0; k < KEYS; k++) {
        char scratch[NUM_I64_MAX_LEN], text[ITEM_MAX];
        const struct sequence *s = &m->keys[k];
        struct object *o = ks_peek(ks, 0, key_of(k), -1);
        EXPECT(ks_fault(ks) == NULL);
        EXPECT((o != NULL) == (s->count > 0));
        if (o == NULL) continue;
        const struct tree *t = &object_collection(o)->tree;
        tree_check(t);
        EXPECT_EQ_U64(t->items, s->count);
        struct tree_pos p = tree_first(t);
        for (size_t i = 0; i < s->count; i++, p = tree_next(p))
            EXPECT_EQ_SLICE(pack_get_text(leaf_pack(p.leaf), p.at, scratch), item_of(s->items[i], text));
        EXPECT(pos_is_end(p));
    }
}

/* A digest of every tree as it is: labels and leaves. */
static uint64_t structure_of(struct keyspace *ks) {
    uint64_t h = 0;
    for (int k = 0; k < KEYS; k++) {
        struct object *o = ks_peek(ks, 0, key_of(k), -1);
        if (o == NULL) continue;
        for (const struct tree_leaf *l = object_collection(o)->tree.first; l != NULL; l = l->next) {
            h = hash64_seeded(h + l->label, leaf_pack(l));
            h += l->items;
        }
    }
    return h;
}

/* Once everything is stored, the disk holds one row a key, one a leaf, and the meta row. */
static void compare_rows(struct keyspace *ks) {
    uint64_t rows = 0, expected = 1;
    for (int k = 0; k < KEYS; k++) {
        struct object *o = ks_peek(ks, 0, key_of(k), -1);
        if (o != NULL) expected += 1 + object_collection(o)->tree.leaves;
    }
    struct kv_iter *it = kv_iter_new(ks->kv, SLICE(""), false);
    for (kv_iter_seek(it, SLICE("")); kv_iter_valid(it); kv_iter_next(it)) rows++;
    kv_iter_free(it);
    EXPECT_EQ_U64(rows, expected);
}

static struct keyspace *reopen(const char *path) {
    struct keyspace_options options = {.block_cache_bytes = 1 << 20, .background_threads = 1};
    struct kv_error error = {.text = ""};
    struct keyspace *ks = NULL;
    EXPECT(ks_open(path, &options, &ks, &error) == RC_OK);
    return ks;
}

static void disturb(struct keyspace *ks, struct rng *r) {
    struct kv_error error;
    switch (rng_below(r, 20)) {
    case 0:
    case 1: ks_writeback_begin(ks); break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 10: ks_turn(ks, 1 + rng_below(r, 9)); break;
    case 11:
    case 12: /* the disk is much slower than this test */
        while (ks_writeback_running(ks) && !ks_has_work(ks)) usleep(50);
        break;
    case 13: ks_evict(ks, 0, 64 * (1 + rng_below(r, 200))); break;
    case 14: ks_warm_step(ks, UINT64_MAX, 2 + rng_below(r, 50)); break;
    case 15: ks_forget(ks); break;
    case 16:
        if (rng_below(r, 8) == 0) EXPECT(ks_store_all(ks, &error) == RC_OK);
        break;
    default: break;
    }
}

static void model_reset(struct model *m, const struct op_record *ops, uint64_t count) {
    for (int k = 0; k < KEYS; k++) m->keys[k].count = 0;
    for (uint64_t i = 0; i < count; i++) model_apply(m, ops[i]);
}

/* Memory is counted to the byte: with nothing in it, nothing is left. */
static void close_empty(struct keyspace *ks, uint64_t index) {
    struct kv_error error;
    struct ks_stats stats;
    ks_begin_entry(ks);
    for (int k = 0; k < KEYS; k++) {
        struct object *o = ks_write(ks, 0, key_of(k), -1);
        if (o != NULL) ks_delete(ks, 0, o);
    }
    ks_set_applied(ks, (struct ks_applied){.index = index, .term = 1, .clock_ms = (int64_t)index});
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    do {
        ks_turn(ks, SIZE_MAX);
        ks_stats(ks, &stats);
    } while (stats.flush_pending > 0 || ks_has_work(ks) || stats.memory_bytes > 0);
    compare_rows(ks);
    ks_close(ks);
}

static void run_seed(uint64_t seed) {
    struct rng r = {seed};
    static struct op_record ops[OPS_MAX];
    static struct model m;
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = reopen(path);
    uint64_t count = 0;
    model_reset(&m, ops, 0);
    unsigned busy = 1 + (unsigned)rng_below(&r, 20); /* disturbances: one in so many */
    while (count < OPS_MAX) {
        ops[count] = (struct op_record){rng_next(&r), rng_next(&r)};
        model_apply(&m, ops[count]);
        count++;
        ks_apply(ks, ops[count - 1], count);
        EXPECT(ks_fault(ks) == NULL);
        if (rng_below(&r, busy) == 0) disturb(ks, &r);
        if (rng_below(&r, 200) == 0) compare(ks, &m);
        if (rng_below(&r, 400) != 0) continue;
        uint64_t structure = structure_of(ks);
        ks_close(ks);
        ks = reopen(path);
        uint64_t stored = ks_applied(ks).index;
        EXPECT(stored <= count);
        model_reset(&m, ops, stored);
        compare(ks, &m);
        for (uint64_t i = stored; i < count; i++) {
            model_apply(&m, ops[i]);
            ks_apply(ks, ops[i], i + 1);
        }
        compare(ks, &m);
        EXPECT_EQ_U64(structure_of(ks), structure);
    }
    struct kv_error error;
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    compare_rows(ks);
    uint64_t structure = structure_of(ks);
    ks_forget(ks);
    compare(ks, &m);
    EXPECT_EQ_U64(structure_of(ks), structure);
    close_empty(ks, count + 1);
    for (int k = 0; k < KEYS; k++) mem_free(m.keys[k].items);
    memset(&m, 0, sizeof m);
}

TEST(random_changes_to_big_collections_survive_writebacks_evictions_and_crashes) {
    test_random(6, run_seed);
}

TEST_MAIN
