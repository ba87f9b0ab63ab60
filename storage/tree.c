/* Finding and changing the items of a tree. See tree.h; the insides are in tree_internal.h.
 *
 * Whatever decides where an item goes is read off the leaves themselves: how full they are, and the order of the items. The
 * inner nodes only say where to look. */
#include "tree_internal.h"

void tree_init(struct tree *t, const struct tree_kind *kind, struct tree_host *host, void *owner) {
    *t = (struct tree){.kind = kind, .host = host, .owner = owner};
}

void tree_free(struct tree *t) {
    node_free_all(t);
    size_t freed = 0;
    for (struct tree_leaf *leaf = t->first, *next; leaf; leaf = next) {
        next = leaf->next;
        freed += mem_size(leaf) + mem_size(leaf->pack.data);
        tree_leaf_free(leaf, NULL);
    }
    tree_count_bytes(t, 0, freed);
    CHECK(t->bytes == 0);
    t->first = t->last = NULL;
    t->items = t->leaves = 0;
}

/* --- finding --- */

static struct tree_pos first_of(struct tree_leaf *leaf) {
    return pos_make(leaf, leaf ? PACK_HEAD : 0);
}

static size_t last_item(const struct tree_leaf *leaf) {
    return pack_seek(leaf_pack(leaf), -(int64_t)leaf->tree->kind->arity);
}

static size_t next_item(const struct tree_leaf *leaf, size_t at) {
    for (unsigned i = 0; i < leaf->tree->kind->arity && at != 0; i++) at = pack_next(leaf_pack(leaf), at);
    return at;
}

struct tree_pos tree_first(const struct tree *t) {
    return first_of(t->first);
}

struct tree_pos tree_last(const struct tree *t) {
    return pos_make(t->last, t->last ? last_item(t->last) : 0);
}

struct tree_pos tree_next(struct tree_pos p) {
    size_t at = next_item(p.leaf, p.at);
    return at != 0 ? pos_make(p.leaf, at) : first_of(p.leaf->next);
}

struct tree_pos tree_prev(struct tree_pos p) {
    if (p.at == PACK_HEAD) {
        struct tree_leaf *prev = p.leaf->prev;
        return pos_make(prev, prev ? last_item(prev) : 0);
    }
    for (unsigned i = 0; i < p.leaf->tree->kind->arity; i++) p.at = pack_prev(leaf_pack(p.leaf), p.at);
    return p;
}

struct tree_pos tree_at(const struct tree *t, uint64_t rank) {
    if (rank >= t->items) return pos_make(NULL, 0);
    struct tree_leaf *leaf = node_leaf_of_rank(t, &rank);
    return pos_make(leaf, pack_seek(leaf_pack(leaf), (int64_t)(rank * t->kind->arity)));
}

/* The rank of an item within its leaf, walked to from the nearer end. */
static uint32_t place_in_leaf(struct tree_pos p) {
    const struct tree_leaf *leaf = p.leaf;
    uint32_t entries = 0;
    if (p.at > leaf->pack.len / 2) {
        for (size_t at = p.at; at != 0; at = pack_next(leaf_pack(leaf), at)) entries++;
        return leaf->items - entries / leaf->tree->kind->arity;
    }
    for (size_t at = PACK_HEAD; at != p.at; at = pack_next(leaf_pack(leaf), at)) entries++;
    return entries / leaf->tree->kind->arity;
}

uint64_t tree_rank(const struct tree *t, struct tree_pos p) {
    return pos_is_end(p) ? t->items : node_rank_of_leaf(p.leaf) + place_in_leaf(p);
}

struct tree_pos tree_lower_bound(const struct tree *t, uint64_t head, const void *key) {
    if (t->first == NULL) return pos_make(NULL, 0);
    struct tree_leaf *leaf = node_leaf_of_key(t, head, key);
    struct slice pack = leaf_pack(leaf);
    /* What is appended is behind a whole leaf: one look instead of a walk. */
    if (t->kind->compare(key, pack, last_item(leaf)) > 0) return first_of(leaf->next);
    size_t at = PACK_HEAD;
    while (t->kind->compare(key, pack, at) > 0) at = next_item(leaf, at);
    return pos_make(leaf, at);
}

struct tree_leaf *tree_leaf_of(const struct tree *t, uint64_t hash) {
    return t->first ? node_leaf_of_head(t, hash) : NULL;
}

size_t pos_entry(struct tree_pos p, unsigned which) {
    size_t at = p.at;
    for (; which > 0; which--) at = pack_next(leaf_pack(p.leaf), at);
    return at;
}

/* --- changing --- */

static size_t size_of(const struct tree *t, const struct pack_value *entries) {
    size_t size = 0;
    for (unsigned i = 0; i < t->kind->arity; i++) size += pack_value_size(entries[i]);
    return size;
}

/* The leaf's first item is another one. */
static void update_bound(struct tree *t, struct tree_leaf *leaf) {
    if (t->kind->order == ORDER_KEY) node_set_bound(leaf, leaf_bound(t, leaf));
}

/* Where an item of this size goes that shall stand before `before`; `at` 0: at the end of the leaf. Items that come in at an
 * end of the tree fill one leaf after the other. */
static struct tree_pos choose_place(struct tree *t, struct tree_pos before, size_t size) {
    if (pos_is_end(before)) {
        struct tree_leaf *last = t->last;
        return pos_make(last && leaf_has_room(t, last, size) ? last : leaf_add(t, last, 0, NULL), 0);
    }
    if (leaf_has_room(t, before.leaf, size) || before.at != PACK_HEAD) return before;
    struct tree_leaf *prev = before.leaf->prev;
    if (prev == NULL) return pos_make(leaf_add(t, NULL, 0, NULL), 0);
    return leaf_has_room(t, prev, size) ? pos_make(prev, 0) : before;
}

static struct tree_pos put(struct tree *t, struct tree_pos place, const struct pack_value *entries) {
    struct tree_leaf *leaf = place.leaf;
    leaf_open(t, leaf);
    size_t at = place.at;
    for (unsigned i = 0; i < t->kind->arity; i++) {
        size_t here = pack_insert(&leaf->pack, at, entries[i]);
        if (i == 0) place.at = here;
        at = pack_next(leaf_pack(leaf), here);
    }
    leaf_close(t, leaf);
    node_set_items(t, leaf, leaf->items + 1);
    if (place.at == PACK_HEAD) update_bound(t, leaf);
    shape_grown(t, &place);
    return place;
}

struct tree_pos tree_insert(struct tree *t, struct tree_pos before, const struct pack_value *entries) {
    CHECK(t->kind->order != ORDER_HASH);
    CHECK(t->kind->arity > 0);
    return put(t, choose_place(t, before, size_of(t, entries)), entries);
}

struct tree_pos tree_insert_hashed(struct tree *t, uint64_t hash, const struct pack_value *entries) {
    CHECK(t->kind->order == ORDER_HASH);
    struct tree_leaf *leaf = tree_leaf_of(t, hash);
    if (leaf == NULL) {
        leaf = leaf_new(t, 0);
        node_link(t, leaf, NULL, 0);
    }
    return put(t, pos_make(leaf, 0), entries);
}

struct tree_pos tree_replace(struct tree *t, struct tree_pos p, unsigned which, struct pack_value v) {
    struct tree_leaf *leaf = p.leaf;
    CHECK(which < t->kind->arity);
    leaf_open(t, leaf);
    size_t was = leaf->pack.len;
    pack_replace(&leaf->pack, pos_entry(p, which), v);
    leaf_close(t, leaf);
    if (leaf->pack.len > was) {
        shape_grown(t, &p);
    } else if (leaf->pack.len < was) {
        shape_shrunk(t, leaf, &p);
    }
    return p;
}

/* Removes `count` items of one leaf; returns the item that follows. */
static struct tree_pos cut(struct tree *t, struct tree_pos p, uint32_t count) {
    struct tree_leaf *leaf = p.leaf;
    CHECK(count <= leaf->items);
    leaf_open(t, leaf);
    size_t next = pack_remove(&leaf->pack, p.at, (size_t)count * t->kind->arity);
    leaf_close(t, leaf);
    node_set_items(t, leaf, leaf->items - count);
    if (p.at == PACK_HEAD && leaf->items > 0) update_bound(t, leaf);
    return next != 0 ? pos_make(leaf, next) : first_of(leaf->next);
}

struct tree_pos tree_remove(struct tree *t, struct tree_pos p) {
    struct tree_leaf *leaf = p.leaf;
    p = cut(t, p, 1);
    shape_shrunk(t, leaf, &p);
    return p;
}

void tree_remove_range(struct tree *t, uint64_t from, uint64_t count) {
    CHECK(from <= t->items);
    CHECK(count <= t->items - from);
    if (count == 0) return;
    struct tree_pos p = tree_at(t, from);
    while (count > 0) {
        struct tree_leaf *leaf = p.leaf;
        uint32_t here = leaf->items;
        if (p.at == PACK_HEAD && here <= count) {
            p = first_of(leaf->next);
            shape_remove(t, leaf, &p);
        } else {
            here -= place_in_leaf(p);
            if (here > count) here = (uint32_t)count;
            p = cut(t, p, here);
        }
        count -= here;
    }
    if (p.leaf != NULL) shape_shrunk(t, p.leaf, &p);
    struct tree_leaf *before = p.leaf ? p.leaf->prev : t->last;
    if (before != NULL) shape_shrunk(t, before, &p);
}

/* --- opaque leaves --- */

void tree_edit_leaf(struct tree *t, struct tree_leaf *leaf) {
    CHECK(t->kind->arity == 0);
    leaf_open(t, leaf);
}

void tree_edited_leaf(struct tree *t, struct tree_leaf *leaf, uint32_t items) {
    leaf_close(t, leaf);
    node_set_items(t, leaf, items);
    update_bound(t, leaf);
}

struct tree_leaf *tree_add_leaf(struct tree *t, struct tree_leaf *after, uint64_t head) {
    CHECK(t->kind->arity == 0);
    struct tree_leaf *leaf = leaf_add(t, after, head, NULL);
    leaf_open(t, leaf);
    return leaf;
}

void tree_remove_leaf(struct tree *t, struct tree_leaf *leaf) {
    CHECK(t->kind->arity == 0);
    leaf_give_up(t, leaf);
}

struct tree_leaf *tree_leaf_before(const struct tree *t, uint64_t head, const void *key) {
    CHECK(t->kind->order == ORDER_KEY);
    return t->first ? node_leaf_of_key(t, head, key) : NULL;
}

/* --- loading and copying --- */

void tree_load_leaf(struct tree *t, uint64_t label, struct buf pack, uint32_t items) {
    CHECK(t->last == NULL || t->last->label < label);
    struct tree_leaf *leaf = mem_calloc(1, sizeof *leaf);
    leaf->tree = t;
    leaf->label = label;
    leaf->pack = pack;
    leaf->flags = LEAF_STORED;
    tree_count_bytes(t, mem_size(leaf) + mem_size(pack.data), 0);
    node_link(t, leaf, t->last, leaf_bound(t, leaf));
    node_set_items(t, leaf, items);
}

void tree_copy(struct tree *t, const struct tree *from) {
    CHECK(t->first == NULL);
    for (const struct tree_leaf *leaf = from->first; leaf; leaf = leaf->next) {
        struct tree_leaf *fresh = leaf_new(t, leaf->label);
        leaf_open(t, fresh);
        buf_free(&fresh->pack);
        fresh->pack.data = mem_alloc(leaf->pack.len);
        fresh->pack.len = fresh->pack.cap = leaf->pack.len;
        memcpy(fresh->pack.data, leaf->pack.data, leaf->pack.len);
        leaf_close(t, fresh);
        node_link(t, fresh, t->last, leaf_bound(t, fresh));
        node_set_items(t, fresh, leaf->items);
    }
}

/* --- checking --- */

static void check_leaf(const struct tree *t, const struct tree_leaf *leaf) {
    const struct tree_kind *k = t->kind;
    size_t entries;
    CHECK(leaf->tree == t);
    CHECK(pack_valid(leaf_pack(leaf), &entries));
    CHECK(leaf->prev == NULL || leaf->prev->label < leaf->label);
    CHECK(leaf->prev == NULL || leaf->prev->next == leaf);
    if (k->arity == 0) return;
    CHECK(leaf->items > 0);
    CHECK(entries == (size_t)leaf->items * k->arity);
    CHECK(k->order == ORDER_HASH || leaf->items == 1 || leaf->pack.len <= k->leaf_bytes);
    CHECK(k->leaf_items == 0 || k->order == ORDER_HASH || leaf->items <= k->leaf_items);
    if (k->order == ORDER_POSITION) return;
    uint64_t low = leaf_bound(t, leaf), high = leaf->next ? leaf_bound(t, leaf->next) : UINT64_MAX;
    for (size_t at = PACK_HEAD; at != 0; at = next_item(leaf, at)) {
        uint64_t head = k->head(t, leaf_pack(leaf), at);
        CHECK(head >= low);
        CHECK(head <= high);
        if (k->order == ORDER_KEY) low = head;
        if (k->order == ORDER_HASH) CHECK(leaf->next == NULL || head < high);
    }
}

void tree_check(const struct tree *t) {
    size_t bytes = node_check(t);
    uint64_t items = 0, leaves = 0;
    const struct tree_leaf *last = NULL;
    for (const struct tree_leaf *leaf = t->first; leaf; leaf = leaf->next) {
        check_leaf(t, leaf);
        CHECK(leaf->prev == last);
        bytes += mem_size(leaf) + mem_size(leaf->pack.data);
        items += leaf->items;
        leaves++;
        last = leaf;
    }
    CHECK(t->last == last);
    CHECK(t->items == items);
    CHECK(t->leaves == leaves);
    CHECK(t->bytes == bytes);
    CHECK(t->kind->order != ORDER_HASH || t->first == NULL || t->first->label == 0);
}
