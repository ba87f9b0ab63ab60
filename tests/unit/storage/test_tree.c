/* Trees of packs against plain arrays, in the three orders, by long random runs: two trees live through the same changes, and
 * one of them is thrown away now and then and loaded from what its host stored. Both must have the same leaves all along; every
 * change must have been announced; all invariants hold after each step. */
#include "buf.h"
#include "hash.h"
#include "mem.h"
#include "rng.h"
#include "tree.h"

#include "test.h"

enum { KEYS = 3000, TEXT_MAX = 400 };

/* --- items --- */

struct item {
    uint64_t key;
    uint32_t len;
    char text[TEXT_MAX];
};

static struct slice text_of(const struct item *item) {
    return slice_make(item->text, item->len);
}

/* A key's leading part leaves ties, so that items themselves have to be compared. */
static uint64_t head_of_key(uint64_t key) {
    return key / 8;
}

static uint64_t key_at(struct slice pack, size_t at) {
    struct pack_value v = pack_get(pack, at);
    CHECK(v.is_int);
    return (uint64_t)v.integer;
}

static uint64_t key_head(const struct tree *t, struct slice pack, size_t at) {
    (void)t;
    return head_of_key(key_at(pack, at));
}

static int key_compare(const void *key, struct slice pack, size_t at) {
    uint64_t a = *(const uint64_t *)key, b = key_at(pack, at);
    return (a > b) - (a < b);
}

/* A few keys share each hash. */
static uint64_t hash_of_key(const struct tree *t, uint64_t key) {
    uint64_t n = key / 3;
    return hash64_seeded(t->hash_seed, slice_make((const char *)&n, sizeof n));
}

static uint64_t hash_head(const struct tree *t, struct slice pack, size_t at) {
    return hash_of_key(t, key_at(pack, at));
}

/* --- the host: what is on its disk, and what it was told --- */

struct row {
    uint64_t label;
    uint32_t items;
    struct buf pack;
};

struct seen { /* a leaf as it was after the last change */
    struct tree_leaf *leaf;
    uint64_t label;
    struct buf pack;
};

struct subject {
    struct tree tree;
    struct tree_host host;
    size_t memory;
    struct row *rows; /* ascending */
    size_t row_count;
    struct seen *seen;
    size_t seen_count;
    struct tree_leaf *gone[4096];
    size_t gone_count;
    struct tree_leaf *where[KEYS]; /* kept by kind->moved alone */
};

static struct seen *seen_of(struct subject *s, const struct tree_leaf *leaf) {
    for (size_t i = 0; i < s->seen_count; i++) {
        if (s->seen[i].leaf == leaf) return &s->seen[i];
    }
    return NULL;
}

static void host_touch(struct tree_host *host, struct tree_leaf *leaf) {
    struct subject *s = container_of(host, struct subject, host);
    struct seen *seen = seen_of(s, leaf);
    CHECK(leaf->tree == &s->tree);
    CHECK(leaf->dirty != host->epoch);
    if (seen != NULL) {
        CHECK(slice_eq(buf_slice(&seen->pack), leaf_pack(leaf)));
    } else {
        CHECK(leaf->pack.len == 0);
        CHECK(leaf->items == 0);
        CHECK(leaf->dirty == 0);
        CHECK(leaf->flags == 0);
    }
    leaf->dirty = host->epoch;
}

static void host_gone(struct tree_host *host, struct tree_leaf *leaf) {
    struct subject *s = container_of(host, struct subject, host);
    CHECK(leaf->dirty == host->epoch);
    CHECK(leaf->prev == NULL);
    CHECK(leaf->next == NULL);
    CHECK(leaf->parent == NULL);
    CHECK(!(leaf->flags & LEAF_GONE));
    leaf->flags |= LEAF_GONE;
    CHECK(s->gone_count < sizeof s->gone / sizeof *s->gone);
    s->gone[s->gone_count++] = leaf;
}

static void forget_seen(struct subject *s) {
    for (size_t i = 0; i < s->seen_count; i++) buf_free(&s->seen[i].pack);
    mem_free(s->seen);
    s->seen = NULL;
    s->seen_count = 0;
}

static void see_all(struct subject *s) {
    forget_seen(s);
    s->seen = mem_calloc(s->tree.leaves, sizeof *s->seen);
    for (struct tree_leaf *leaf = s->tree.first; leaf; leaf = leaf->next) {
        struct seen *seen = &s->seen[s->seen_count++];
        *seen = (struct seen){.leaf = leaf, .label = leaf->label};
        buf_add_slice(&seen->pack, leaf_pack(leaf));
    }
}

/* Whatever differs from what was seen last was announced in this epoch. */
static void look(struct subject *s) {
    for (struct tree_leaf *leaf = s->tree.first; leaf; leaf = leaf->next) {
        struct seen *seen = seen_of(s, leaf);
        bool same = seen && seen->label == leaf->label && slice_eq(buf_slice(&seen->pack), leaf_pack(leaf));
        CHECK(same || leaf->dirty == s->host.epoch);
        CHECK(seen == NULL || seen->label == leaf->label);
    }
    see_all(s);
}

static void check_subject(struct subject *s) {
    tree_check(&s->tree);
    look(s);
    size_t gone = 0;
    for (size_t i = 0; i < s->gone_count; i++) gone += mem_size(s->gone[i]) + mem_size(s->gone[i]->pack.data);
    CHECK(s->memory == s->tree.bytes + gone);
}

static size_t row_place(const struct subject *s, uint64_t label) {
    size_t i = 0;
    while (i < s->row_count && s->rows[i].label < label) i++;
    return i;
}

static void row_delete(struct subject *s, uint64_t label) {
    size_t i = row_place(s, label);
    if (i == s->row_count || s->rows[i].label != label) return;
    buf_free(&s->rows[i].pack);
    memmove(s->rows + i, s->rows + i + 1, (--s->row_count - i) * sizeof *s->rows);
}

static void row_put(struct subject *s, const struct tree_leaf *leaf) {
    row_delete(s, leaf->label);
    size_t i = row_place(s, leaf->label);
    s->rows = mem_realloc(s->rows, (s->row_count + 1) * sizeof *s->rows);
    memmove(s->rows + i + 1, s->rows + i, (s->row_count++ - i) * sizeof *s->rows);
    s->rows[i] = (struct row){.label = leaf->label, .items = leaf->items};
    buf_add_slice(&s->rows[i].pack, leaf_pack(leaf));
}

/* Only what was announced is written; deletions first. */
static void write_back(struct subject *s) {
    for (size_t i = 0; i < s->gone_count; i++) {
        row_delete(s, s->gone[i]->label);
        tree_leaf_free(s->gone[i], &s->memory);
    }
    s->gone_count = 0;
    for (struct tree_leaf *leaf = s->tree.first; leaf; leaf = leaf->next) {
        if (leaf->dirty == 0) continue;
        row_put(s, leaf);
        leaf->dirty = 0;
        leaf->flags |= LEAF_STORED;
    }
    s->host.epoch = (uint8_t)(s->host.epoch == UINT8_MAX ? 1 : s->host.epoch + 1);
}

static void set_where(struct subject *s) {
    if (s->tree.kind->moved == NULL) return;
    for (struct tree_pos p = tree_first(&s->tree); !pos_is_end(p); p = tree_next(p)) {
        s->where[key_at(leaf_pack(p.leaf), p.at)] = p.leaf;
    }
}

static void check_where(struct subject *s) {
    if (s->tree.kind->moved == NULL) return;
    for (struct tree_pos p = tree_first(&s->tree); !pos_is_end(p); p = tree_next(p)) {
        CHECK(s->where[key_at(leaf_pack(p.leaf), p.at)] == p.leaf);
    }
}

static void key_moved(struct tree *t, struct tree_leaf *from, struct tree_leaf *to, size_t at, size_t count) {
    struct subject *s = container_of(t, struct subject, tree);
    CHECK(from->tree == t);
    CHECK(to->tree == t);
    for (; count > 0; count--) {
        struct tree_leaf **where = &s->where[key_at(leaf_pack(to), at)];
        CHECK(*where == from || *where == NULL); /* NULL: being inserted */
        if (*where != NULL) *where = to;
        at = pack_next(leaf_pack(to), pack_next(leaf_pack(to), at));
    }
    CHECK(at == 0 || to->items > 0);
}

static void subject_begin(struct subject *s, const struct tree_kind *kind) {
    tree_init(&s->tree, kind, &s->host, s);
    s->tree.memory = &s->memory;
    s->tree.hash_seed = 77;
    s->host.touch = host_touch;
    s->host.gone = host_gone;
    if (s->host.epoch == 0) s->host.epoch = 1;
}

/* Thrown away and loaded again. */
static void reload(struct subject *s) {
    const struct tree_kind *kind = s->tree.kind;
    write_back(s);
    forget_seen(s);
    tree_free(&s->tree);
    CHECK(s->memory == 0);
    subject_begin(s, kind);
    for (size_t i = 0; i < s->row_count; i++) {
        struct buf pack = {0};
        buf_add_slice(&pack, buf_slice(&s->rows[i].pack));
        tree_load_leaf(&s->tree, s->rows[i].label, pack, s->rows[i].items);
    }
    for (const struct tree_leaf *leaf = s->tree.first; leaf; leaf = leaf->next) {
        CHECK(leaf->dirty == 0);
        CHECK(leaf->flags == LEAF_STORED);
    }
    see_all(s);
    set_where(s);
    tree_check(&s->tree);
}

static void subject_end(struct subject *s) {
    write_back(s);
    forget_seen(s);
    tree_free(&s->tree);
    CHECK(s->memory == 0);
    for (size_t i = 0; i < s->row_count; i++) buf_free(&s->rows[i].pack);
    mem_free(s->rows);
}

static void check_same(const struct tree *a, const struct tree *b) {
    EXPECT_EQ_U64(a->items, b->items);
    EXPECT_EQ_U64(a->leaves, b->leaves);
    const struct tree_leaf *y = b->first;
    for (const struct tree_leaf *x = a->first; x; x = x->next, y = y->next) {
        EXPECT_EQ_U64(x->label, y->label);
        EXPECT_EQ_INT(x->items, y->items);
        EXPECT_EQ_SLICE(leaf_pack(x), leaf_pack(y));
    }
}

/* --- the runs --- */

enum op { OP_INSERT, OP_REMOVE, OP_REPLACE, OP_RANGE };

struct run {
    const struct tree_kind *kind;
    struct subject a, b;
    struct item *model; /* in the tree's order */
    size_t count;
    struct rng rng;
};

static uint64_t draw(struct run *r, uint64_t bound) {
    return rng_below(&r->rng, bound);
}

static void random_text(struct run *r, struct item *item) {
    uint64_t kind = draw(r, 20);
    if (kind < 4) {
        item->len = (uint32_t)format_i64(item->text, (int64_t)(rng_next(&r->rng) >> draw(r, 64)));
        return;
    }
    item->len = (uint32_t)(kind == 19 ? 100 + draw(r, TEXT_MAX - 100) : draw(r, 30));
    for (uint32_t i = 0; i < item->len; i++) item->text[i] = (char)('a' + draw(r, 26));
}

static size_t entries_of(const struct run *r, const struct item *item, struct pack_value out[2]) {
    size_t n = 0;
    if (r->kind->arity == 2) out[n++] = pack_integer((int64_t)item->key);
    out[n++] = pack_text(text_of(item));
    return n;
}

static void check_item(const struct run *r, struct tree_pos p, const struct item *want) {
    char scratch[NUM_I64_MAX_LEN];
    EXPECT(!pos_is_end(p));
    if (r->kind->arity == 2) EXPECT_EQ_U64(key_at(leaf_pack(p.leaf), p.at), want->key);
    size_t at = pos_entry(p, r->kind->arity - 1);
    EXPECT_EQ_SLICE(pack_get_text(leaf_pack(p.leaf), at, scratch), text_of(want));
}

static size_t model_lower_bound(const struct run *r, uint64_t key) {
    size_t i = 0;
    while (i < r->count && r->model[i].key < key) i++;
    return i;
}

static void model_insert(struct run *r, size_t rank, const struct item *item) {
    r->model = mem_realloc(r->model, (r->count + 1) * sizeof *r->model);
    memmove(r->model + rank + 1, r->model + rank, (r->count++ - rank) * sizeof *r->model);
    r->model[rank] = *item;
}

static void model_remove(struct run *r, size_t rank, size_t count) {
    r->count -= count;
    if (count > 0) memmove(r->model + rank, r->model + rank + count, (r->count - rank) * sizeof *r->model);
}

/* Splitting a leaf of hashes changes the order: read it off the tree, every item being one of the model. */
static void reorder(struct run *r) {
    if (r->kind->order != ORDER_HASH) return;
    EXPECT_EQ_U64(r->a.tree.items, r->count);
    static size_t place[KEYS];
    for (size_t i = 0; i < KEYS; i++) place[i] = SIZE_MAX;
    for (size_t i = 0; i < r->count; i++) place[r->model[i].key] = i;
    struct item *ordered = mem_alloc((r->count + 1) * sizeof *ordered);
    size_t n = 0;
    for (struct tree_pos p = tree_first(&r->a.tree); !pos_is_end(p); p = tree_next(p)) {
        uint64_t key = key_at(leaf_pack(p.leaf), p.at);
        CHECK(key < KEYS);
        CHECK(place[key] != SIZE_MAX);
        ordered[n++] = r->model[place[key]];
        place[key] = SIZE_MAX;
    }
    mem_free(r->model);
    r->model = ordered;
}

static void check_whole(const struct run *r, const struct tree *t) {
    EXPECT_EQ_U64(t->items, r->count);
    size_t i = 0;
    for (struct tree_pos p = tree_first(t); !pos_is_end(p); p = tree_next(p), i++) {
        check_item(r, p, &r->model[i]);
        EXPECT_EQ_U64(tree_rank(t, p), i);
    }
    EXPECT_EQ_U64(i, r->count);
    for (struct tree_pos p = tree_last(t); !pos_is_end(p); p = tree_prev(p)) check_item(r, p, &r->model[--i]);
    EXPECT_EQ_U64(i, 0);
    EXPECT(pos_is_end(tree_at(t, r->count)));
    EXPECT_EQ_U64(tree_rank(t, tree_at(t, r->count)), r->count);
}

static void check_spots(struct run *r, const struct tree *t) {
    for (int i = 0; i < 3 && r->count > 0; i++) {
        size_t rank = draw(r, r->count);
        struct tree_pos p = tree_at(t, rank);
        check_item(r, p, &r->model[rank]);
        EXPECT_EQ_U64(tree_rank(t, p), rank);
        if (r->kind->order == ORDER_HASH) {
            EXPECT(tree_leaf_of(t, hash_of_key(t, r->model[rank].key)) == p.leaf);
        }
    }
    for (int i = 0; i < 3 && r->kind->order == ORDER_KEY; i++) {
        uint64_t key = draw(r, KEYS);
        EXPECT_EQ_U64(tree_rank(t, tree_lower_bound(t, head_of_key(key), &key)), model_lower_bound(r, key));
    }
}

static void apply_insert(struct run *r, struct subject *s, size_t rank, const struct item *item) {
    struct tree *t = &s->tree;
    struct pack_value entries[2];
    struct tree_pos p;
    entries_of(r, item, entries);
    if (r->kind->order == ORDER_HASH) {
        p = tree_insert_hashed(t, hash_of_key(t, item->key), entries);
    } else if (r->kind->order == ORDER_KEY) {
        s->where[item->key] = NULL;
        p = tree_insert(t, tree_lower_bound(t, head_of_key(item->key), &item->key), entries);
        s->where[item->key] = p.leaf;
    } else {
        p = tree_insert(t, tree_at(t, rank), entries);
    }
    check_item(r, p, item);
    if (r->kind->order != ORDER_HASH) EXPECT_EQ_U64(tree_rank(t, p), rank);
}

static void apply(struct run *r, struct subject *s, enum op op, size_t rank, size_t count,
                  const struct item *item) {
    struct tree *t = &s->tree;
    switch (op) {
    case OP_INSERT: apply_insert(r, s, rank, item); break;
    case OP_REMOVE: EXPECT_EQ_U64(tree_rank(t, tree_remove(t, tree_at(t, rank))), rank); break;
    case OP_REPLACE: {
        struct tree_pos p = tree_replace(t, tree_at(t, rank), r->kind->arity - 1, pack_text(text_of(item)));
        check_item(r, p, item);
        break;
    }
    case OP_RANGE: tree_remove_range(t, rank, count); break;
    }
    check_subject(s);
    check_where(s);
}

static bool has_key(const struct run *r, uint64_t key) {
    for (size_t i = 0; i < r->count; i++) {
        if (r->model[i].key == key) return true;
    }
    return false;
}

/* One change to both trees and to the model. `bias` of ten are insertions; `spot` is where positions are drawn from. */
static void step(struct run *r, uint64_t bias, uint64_t spot) {
    enum op op = draw(r, 10) < bias ? OP_INSERT : draw(r, 3) ? OP_REMOVE : OP_REPLACE;
    if (draw(r, 100) == 0) op = OP_RANGE;
    struct item item = {.len = 0};
    random_text(r, &item);
    size_t rank = spot == 0   ? 0
                  : spot == 1 ? r->count
                  : spot == 2 ? r->count / 2
                              : draw(r, r->count + 1),
           count = 0;
    if (op == OP_INSERT && r->kind->order != ORDER_POSITION) {
        uint64_t low = spot == 0 ? 0 : spot == 1 && r->count > 0 ? r->model[r->count - 1].key : draw(r, KEYS);
        for (item.key = low; item.key < KEYS && has_key(r, item.key); item.key++) {
        }
        if (item.key >= KEYS) return;
        rank = r->kind->order == ORDER_KEY ? model_lower_bound(r, item.key) : r->count;
    }
    if (op == OP_RANGE) count = draw(r, (r->count - rank) / (draw(r, 4) ? 8 : 1) + 1);
    if (op == OP_REMOVE || op == OP_REPLACE) {
        if (r->count == 0) return;
        if (rank == r->count) rank--;
        if (op == OP_REPLACE) item.key = r->model[rank].key;
    }
    apply(r, &r->a, op, rank, count, &item);
    apply(r, &r->b, op, rank, count, &item);
    if (op == OP_INSERT) model_insert(r, rank, &item);
    if (op == OP_REPLACE) r->model[rank] = item;
    if (op == OP_REMOVE) model_remove(r, rank, 1);
    if (op == OP_RANGE) model_remove(r, rank, count);
    reorder(r);
}

static void run(const struct tree_kind *kind, uint64_t seed, int steps) {
    struct run *r = mem_calloc(1, sizeof *r);
    r->kind = kind;
    r->rng.state = seed;
    subject_begin(&r->a, kind);
    subject_begin(&r->b, kind);
    uint64_t bias = 8, spot = 3;
    for (int i = 0; i < steps; i++) {
        if (draw(r, 60) == 0) bias = r->count > 1200 ? 1 : 1 + draw(r, 9);
        if (draw(r, 60) == 0) spot = draw(r, 5);
        step(r, bias, spot);
        check_spots(r, &r->b.tree);
        if (draw(r, 20) == 0) write_back(&r->a);
        if (draw(r, 40) == 0) reload(&r->b);
        if (draw(r, 10) == 0) {
            check_same(&r->a.tree, &r->b.tree);
            check_whole(r, &r->a.tree);
        }
    }
    check_same(&r->a.tree, &r->b.tree);
    tree_remove_range(&r->a.tree, 0, r->count);
    check_subject(&r->a);
    CHECK(r->a.tree.bytes == 0);
    subject_end(&r->a);
    subject_end(&r->b);
    mem_free(r->model);
    mem_free(r);
}

static void runs(struct tree_kind kind) {
    uint64_t seed = test_seed();
    static const uint32_t leaf_items[] = {0, 5, 40};
    for (size_t i = 0; i < sizeof leaf_items / sizeof *leaf_items; i++) {
        kind.leaf_items = leaf_items[i];
        run(&kind, seed + i, 4000);
    }
}

TEST(by_position) {
    runs((struct tree_kind){.order = ORDER_POSITION, .arity = 1, .leaf_bytes = 160});
}

TEST(by_key) {
    runs((struct tree_kind){.order = ORDER_KEY,
                            .arity = 2,
                            .leaf_bytes = 160,
                            .head = key_head,
                            .compare = key_compare,
                            .moved = key_moved});
}

TEST(by_hash) {
    runs((struct tree_kind){.order = ORDER_HASH, .arity = 2, .leaf_bytes = 160, .head = hash_head});
}

/* --- single properties --- */

static struct tree_pos push(struct tree *t, struct tree_pos before, int64_t v) {
    struct pack_value entry = pack_integer(v);
    return tree_insert(t, before, &entry);
}

static int64_t at_rank(const struct tree *t, uint64_t rank) {
    struct tree_pos p = tree_at(t, rank);
    return pack_get(leaf_pack(p.leaf), p.at).integer;
}

static const struct tree_kind list_kind = {.order = ORDER_POSITION, .arity = 1, .leaf_bytes = 64};

TEST(what_comes_in_at_an_end_fills_leaves) {
    for (int front = 0; front < 2; front++) {
        struct tree t;
        tree_init(&t, &list_kind, NULL, NULL);
        for (int i = 0; i < 100000; i++) push(&t, front ? tree_first(&t) : tree_at(&t, t.items), i);
        tree_check(&t);
        for (const struct tree_leaf *leaf = t.first; leaf; leaf = leaf->next) {
            if (leaf != (front ? t.first : t.last)) EXPECT(leaf->pack.len > 60);
        }
        for (int i = 0; i < 100000; i += 77) EXPECT_EQ_INT(at_rank(&t, (uint64_t)(front ? 99999 - i : i)), i);
        EXPECT_EQ_INT(t.depth, 3);
        tree_free(&t);
    }
}

TEST(labels_that_run_out_are_given_anew) {
    struct subject *s = mem_calloc(1, sizeof *s);
    subject_begin(s, &list_kind);
    /* Leaves without a gap between their labels, at the very end of the range. */
    for (uint64_t i = 0; i < 40; i++) {
        struct buf pack = {0};
        pack_begin(&pack);
        for (int k = 0; k < 25; k++) pack_append(&pack, pack_integer(k));
        tree_load_leaf(&s->tree, UINT64_MAX - 40 + i, pack, 25);
    }
    see_all(s);
    uint64_t seed = test_seed();
    struct rng rng = {seed};
    for (int i = 0; i < 6000; i++) {
        uint64_t where = i % 3 == 0 ? 500 : i % 3 == 1 ? s->tree.items : rng_below(&rng, s->tree.items + 1);
        push(&s->tree, tree_at(&s->tree, where), i);
        check_subject(s);
        EXPECT_EQ_INT(at_rank(&s->tree, where), i);
        if (i % 200 == 0) write_back(s);
    }
    for (int i = 0; i < 2000; i++) push(&s->tree, tree_first(&s->tree), i);
    tree_check(&s->tree);
    subject_end(s);
    mem_free(s);
}

TEST(a_copy_is_the_same_leaves) {
    struct subject *a = mem_calloc(1, sizeof *a), *b = mem_calloc(1, sizeof *b);
    subject_begin(a, &list_kind);
    for (int i = 0; i < 3000; i++) push(&a->tree, tree_at(&a->tree, a->tree.items / 2), i);
    subject_begin(b, &list_kind);
    tree_copy(&b->tree, &a->tree);
    check_same(&a->tree, &b->tree);
    check_subject(b);
    for (const struct tree_leaf *leaf = b->tree.first; leaf; leaf = leaf->next) {
        EXPECT_EQ_INT(leaf->dirty, b->host.epoch);
        EXPECT_EQ_INT(leaf->flags, 0);
    }
    subject_end(a);
    subject_end(b);
    mem_free(a);
    mem_free(b);
}

TEST(a_tree_without_a_host_frees_by_itself) {
    struct tree t;
    size_t memory = 5;
    tree_init(&t, &list_kind, NULL, NULL);
    t.memory = &memory;
    for (int i = 0; i < 5000; i++) push(&t, tree_at(&t, t.items), i);
    EXPECT_EQ_U64(memory, t.bytes + 5);
    tree_remove_range(&t, 10, 4980);
    tree_check(&t);
    EXPECT_EQ_INT(at_rank(&t, 10), 4990);
    EXPECT_EQ_U64(memory, t.bytes + 5);
    while (t.items > 0) tree_remove(&t, tree_last(&t));
    EXPECT_EQ_U64(memory, 5);
    EXPECT(t.first == NULL);
    EXPECT_EQ_INT(t.depth, 0);
}

static uint64_t opaque_head(const struct tree *t, struct slice pack, size_t at) {
    (void)t;
    CHECK(at == 0);
    return key_at(pack, pack_first(pack)) / 64; /* several leaves share one */
}

static struct tree_leaf *leaf_before(const struct tree *t, uint64_t key) {
    return tree_leaf_before(t, key / 64, &key);
}

TEST(opaque_leaves) {
    static const struct tree_kind kind = {
        .order = ORDER_KEY, .arity = 0, .leaf_bytes = 64, .head = opaque_head, .compare = key_compare};
    struct subject *s = mem_calloc(1, sizeof *s);
    subject_begin(s, &kind);
    EXPECT(leaf_before(&s->tree, 5) == NULL);
    for (uint64_t i = 0; i < 300; i++) {
        struct tree_leaf *leaf = tree_add_leaf(&s->tree, s->tree.last, (10 + i * 10) / 64);
        pack_append(&leaf->pack, pack_integer((int64_t)(10 + i * 10)));
        tree_edited_leaf(&s->tree, leaf, 3);
        check_subject(s);
    }
    EXPECT_EQ_U64(s->tree.items, 900);
    EXPECT(leaf_before(&s->tree, 0) == s->tree.first);
    const struct tree_leaf *leaf = s->tree.first;
    for (uint64_t i = 0; i < 300; i++, leaf = leaf->next) {
        EXPECT(leaf_before(&s->tree, 10 + i * 10) == (leaf->prev ? leaf->prev : leaf));
        EXPECT(leaf_before(&s->tree, 11 + i * 10) == leaf);
        EXPECT(leaf_before(&s->tree, 19 + i * 10) == leaf);
    }
    EXPECT(leaf_before(&s->tree, UINT64_MAX) == s->tree.last);
    write_back(s);
    struct tree_leaf *second = s->tree.first->next;
    tree_edit_leaf(&s->tree, second);
    pack_append(&second->pack, pack_text(SLICE("more")));
    tree_edited_leaf(&s->tree, second, 4);
    check_subject(s);
    EXPECT_EQ_U64(s->tree.items, 901);
    tree_remove_leaf(&s->tree, s->tree.first);
    check_subject(s);
    EXPECT(leaf_before(&s->tree, 15) == second);
    EXPECT(leaf_before(&s->tree, 25) == second);
    reload(s);
    check_subject(s);
    EXPECT_EQ_U64(s->tree.items, 898);
    while (s->tree.first) tree_remove_leaf(&s->tree, s->tree.leaves % 2 ? s->tree.first : s->tree.last);
    check_subject(s);
    subject_end(s);
    mem_free(s);
}

TEST(items_of_one_hash_are_never_parted) {
    struct tree t;
    static const struct tree_kind kind = {
        .order = ORDER_HASH, .arity = 2, .leaf_bytes = 64, .head = hash_head};
    tree_init(&t, &kind, NULL, NULL);
    struct pack_value entries[2] = {pack_integer(0), pack_integer(7)};
    for (int i = 0; i < 1000; i++) tree_insert_hashed(&t, hash_of_key(&t, 0), entries);
    tree_check(&t);
    EXPECT_EQ_U64(t.leaves, 1);
    entries[0] = pack_integer(300);
    tree_insert_hashed(&t, hash_of_key(&t, 300), entries);
    tree_check(&t);
    EXPECT_EQ_U64(t.leaves, 2);
    tree_free(&t);
}

TEST_MAIN
