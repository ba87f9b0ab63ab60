/* When leaves are split and joined, and how. What is decided here is decided by the bytes of the leaves alone, so that a tree
 * that was loaded goes on like the one that was stored. See tree_internal.h.
 *
 * A leaf of a quarter is small; two leaves are joined when three quarters hold both, so that neither what was just joined is soon
 * split again nor the other way round. */
#include "tree_internal.h"

#include <stdlib.h>

bool leaf_has_room(const struct tree *t, const struct tree_leaf *leaf, size_t size) {
    const struct tree_kind *k = t->kind;
    return leaf->pack.len + size <= k->leaf_bytes && (k->leaf_items == 0 || leaf->items < k->leaf_items);
}

static bool is_over(const struct tree *t, const struct tree_leaf *leaf) {
    const struct tree_kind *k = t->kind;
    return leaf->items > 1 &&
           (leaf->pack.len > k->leaf_bytes || (k->leaf_items > 0 && leaf->items > k->leaf_items));
}

static bool is_small(const struct tree *t, const struct tree_leaf *leaf) {
    const struct tree_kind *k = t->kind;
    return leaf->pack.len < k->leaf_bytes / 4 && (k->leaf_items == 0 || leaf->items < k->leaf_items / 4);
}

static bool may_join(const struct tree *t, const struct tree_leaf *a, const struct tree_leaf *b) {
    const struct tree_kind *k = t->kind;
    return a->pack.len + b->pack.len <= k->leaf_bytes / 4 * 3 &&
           (k->leaf_items == 0 || a->items + b->items <= k->leaf_items / 4 * 3);
}

static void tell_moved(struct tree *t, struct tree_leaf *from, struct tree_leaf *to, size_t at,
                       size_t count) {
    if (t->kind->moved != NULL && count > 0) t->kind->moved(t, from, to, at, count);
}

/* The offset of the item behind the one at `at`; 0 at the end. */
static size_t next_item(const struct tree *t, struct slice pack, size_t at) {
    for (unsigned i = 0; i < t->kind->arity && at != 0; i++) at = pack_next(pack, at);
    return at;
}

/* --- splitting --- */

/* Where the second of two parts of about equally many bytes begins, and how many items the first one has. */
static size_t middle_of(const struct tree *t, const struct tree_leaf *leaf, uint32_t *items) {
    struct slice pack = leaf_pack(leaf);
    size_t begin = PACK_HEAD, end = pack.len - 1, at = next_item(t, pack, begin);
    for (*items = 1; *items + 1 < leaf->items; ++*items) {
        size_t next = next_item(t, pack, at);
        if ((at - begin) + (next - begin) > end - begin) break; /* the next one is farther from the middle */
        at = next;
    }
    return at;
}

/* Returns the second part; the first one is before it. */
static struct tree_leaf *split_middle(struct tree *t, struct tree_leaf *leaf, struct tree_pos *p) {
    uint32_t items;
    size_t at = middle_of(t, leaf, &items);
    CHECK(at > PACK_HEAD);
    uint64_t head = t->kind->order == ORDER_KEY ? t->kind->head(t, leaf_pack(leaf), at) : 0;
    struct tree_leaf *right = leaf_add(t, leaf, head, p);
    leaf = right->prev;
    uint32_t moved = leaf->items - items;
    leaf_open(t, leaf);
    leaf_open(t, right);
    pack_move_tail(&leaf->pack, at, &right->pack);
    pack_trim(&leaf->pack);
    leaf_close(t, right);
    leaf_close(t, leaf);
    node_set_items(t, leaf, items);
    node_set_items(t, right, moved);
    if (p->leaf == leaf && p->at >= at) *p = pos_make(right, p->at - at + PACK_HEAD);
    tell_moved(t, leaf, right, PACK_HEAD, moved);
    return right;
}

static int cmp_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The hash at which about half of the items are below; false when all have the same. Sorts the hashes. */
static bool find_pivot(uint64_t *hashes, uint32_t n, uint64_t *pivot) {
    qsort(hashes, n, sizeof *hashes, cmp_u64);
    uint32_t low = n / 2, high = n / 2;
    while (low > 0 && hashes[low - 1] == hashes[low]) low--;
    while (high < n && hashes[high] == hashes[n / 2]) high++;
    bool take_high = low == 0 || (high < n && high - n / 2 < n / 2 - low);
    uint32_t at = take_high ? high : low;
    if (at == n) return false;
    *pivot = hashes[at];
    return true;
}

static uint64_t *hashes_of(const struct tree *t, const struct tree_leaf *leaf) {
    uint64_t *hashes = mem_alloc(leaf->items * sizeof *hashes);
    struct slice pack = leaf_pack(leaf);
    size_t at = PACK_HEAD;
    for (uint32_t i = 0; i < leaf->items; i++, at = next_item(t, pack, at)) {
        hashes[i] = t->kind->head(t, pack, at);
    }
    return hashes;
}

/* Appends the item at `at`; returns its offset there. */
static size_t copy_item(const struct tree *t, struct buf *to, struct slice pack, size_t at) {
    size_t there = to->len - 1;
    for (unsigned i = 0; i < t->kind->arity; i++, at = pack_next(pack, at))
        pack_append(to, pack_get(pack, at));
    return there;
}

/* A pack that can take `len` bytes without being moved. */
static struct buf roomy_pack(size_t len) {
    struct buf b = {.data = mem_alloc(len)};
    b.cap = len;
    pack_begin(&b);
    return b;
}

/* In each part, items stay in the order of their arrival. */
static void part_at(struct tree *t, struct tree_leaf *leaf, struct tree_leaf *right, struct tree_pos *p) {
    struct buf was = leaf->pack, low = roomy_pack(was.len), high = roomy_pack(was.len);
    struct slice pack = buf_slice(&was);
    struct tree_pos follows = *p;
    uint32_t items = leaf->items, moved = 0;
    size_t at = PACK_HEAD;
    for (uint32_t i = 0; i < items; i++, at = next_item(t, pack, at)) {
        bool goes = t->kind->head(t, pack, at) >= right->label;
        size_t there = copy_item(t, goes ? &high : &low, pack, at);
        if (p->leaf == leaf && p->at == at) follows = pos_make(goes ? right : leaf, there);
        moved += goes;
    }
    pack_trim(&low);
    pack_trim(&high);
    buf_free(&was);
    buf_free(&right->pack);
    leaf->pack = low;
    right->pack = high;
    node_set_items(t, leaf, items - moved);
    node_set_items(t, right, moved);
    *p = follows;
    CHECK(moved > 0);
    CHECK(moved < items);
}

static struct tree_leaf *split_hashes(struct tree *t, struct tree_leaf *leaf, struct tree_pos *p) {
    uint64_t pivot, *hashes = hashes_of(t, leaf);
    bool found = find_pivot(hashes, leaf->items, &pivot);
    mem_free(hashes);
    if (!found) return NULL;
    CHECK(pivot > leaf->label);
    CHECK(leaf->next == NULL || pivot < leaf->next->label);
    struct tree_leaf *right = leaf_new(t, pivot);
    node_link(t, right, leaf, pivot);
    leaf_open(t, leaf);
    leaf_open(t, right);
    part_at(t, leaf, right, p);
    leaf_close(t, right);
    leaf_close(t, leaf);
    tell_moved(t, leaf, right, PACK_HEAD, right->items);
    return right;
}

static struct tree_leaf *split(struct tree *t, struct tree_leaf *leaf, struct tree_pos *p) {
    return t->kind->order == ORDER_HASH ? split_hashes(t, leaf, p) : split_middle(t, leaf, p);
}

void shape_grown(struct tree *t, struct tree_pos *p) {
    /* A half may still be too big when items are of very different sizes. Leaves from `leaf` on: this one, and `later` more. */
    struct tree_leaf *leaf = p->leaf;
    for (unsigned later = 0;; later--) {
        struct tree_leaf *right;
        while (is_over(t, leaf) && (right = split(t, leaf, p)) != NULL) {
            leaf = right->prev;
            later++;
        }
        if (later == 0) return;
        leaf = leaf->next;
    }
}

/* --- joining --- */

/* Everything into the left one, whose range of hashes then covers both. */
static void join(struct tree *t, struct tree_leaf *left, struct tree_leaf *right, struct tree_pos *p) {
    leaf_open(t, left);
    leaf_open(t, right);
    size_t at = left->pack.len - 1;
    uint32_t moved = right->items, items = left->items + moved;
    pack_join(&left->pack, &right->pack);
    buf_free(&right->pack);
    leaf_close(t, right);
    leaf_close(t, left);
    tell_moved(t, right, left, at, moved);
    if (p->leaf == right) *p = pos_make(left, p->at - PACK_HEAD + at);
    node_set_items(t, right, 0);
    node_set_items(t, left, items);
    leaf_give_up(t, right);
}

static void empty(struct tree *t, struct tree_leaf *leaf) {
    leaf_open(t, leaf);
    buf_free(&leaf->pack);
    pack_begin(&leaf->pack);
    leaf_close(t, leaf);
    node_set_items(t, leaf, 0);
}

void shape_remove(struct tree *t, struct tree_leaf *leaf, struct tree_pos *p) {
    if (t->kind->order == ORDER_HASH && leaf->prev == NULL && leaf->next != NULL) {
        /* The first leaf's range begins at 0, so it is the next one that goes. */
        if (leaf->items > 0) empty(t, leaf);
        join(t, leaf, leaf->next, p);
    } else {
        leaf_give_up(t, leaf);
    }
}

void shape_shrunk(struct tree *t, struct tree_leaf *leaf, struct tree_pos *p) {
    if (leaf->items == 0) {
        shape_remove(t, leaf, p);
        return;
    }
    if (!is_small(t, leaf)) return;
    if (leaf->prev != NULL && may_join(t, leaf->prev, leaf)) {
        join(t, leaf->prev, leaf, p);
    } else if (leaf->next != NULL && may_join(t, leaf, leaf->next)) {
        join(t, leaf, leaf->next, p);
    }
}
