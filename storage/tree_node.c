/* The inner nodes of a tree: for each child, how many items are below it and the bound of their heads. See tree_internal.h.
 *
 * A node's arrays grow with it, for most big collections have a handful of leaves. A full node is split in the middle, unless
 * it is extended at an end of the tree: then it stays full. How nodes are cut up is seen by nobody and need not be the same
 * on all nodes of a cluster; leaves are. */
#include "tree_internal.h"

enum { NODE_FIRST_CAP = 4, NODE_FEW = NODE_FANOUT / 4, NODE_MOST = NODE_FANOUT * 3 / 4 };

struct tree_node {
    struct tree_node *parent;
    uint64_t *heads; /* the beginning of one allocation; the other arrays follow */
    uint64_t *items;
    void **below; /* leaves on level 1, else nodes */
    uint16_t slot, count, cap;
    uint16_t level;
};

/* --- nodes --- */

static size_t node_bytes(const struct tree_node *n) {
    return mem_size(n) + mem_size(n->heads);
}

static void set_cap(struct tree *t, struct tree_node *n, unsigned cap) {
    size_t was = mem_size(n->heads), count = n->count;
    char *block = mem_alloc(cap * (sizeof *n->heads + sizeof *n->items + sizeof *n->below));
    uint64_t *heads = (uint64_t *)(void *)block, *items = heads + cap;
    void **below = (void **)(void *)(items + cap);
    if (count > 0) {
        memcpy(heads, n->heads, count * sizeof *heads);
        memcpy(items, n->items, count * sizeof *items);
        memcpy(below, n->below, count * sizeof *below);
    }
    mem_free(n->heads);
    n->heads = heads;
    n->items = items;
    n->below = below;
    n->cap = (uint16_t)cap;
    tree_count_bytes(t, mem_size(heads), was);
}

static struct tree_node *new_node(struct tree *t, unsigned level) {
    struct tree_node *n = mem_calloc(1, sizeof *n);
    n->level = (uint16_t)level;
    tree_count_bytes(t, mem_size(n), 0);
    set_cap(t, n, NODE_FIRST_CAP);
    return n;
}

static void free_node(struct tree *t, struct tree_node *n) {
    tree_count_bytes(t, 0, node_bytes(n));
    mem_free(n->heads);
    mem_free(n);
}

/* Tells the children from `from` on where they are. */
static void adopt(struct tree_node *n, unsigned from) {
    for (unsigned i = from; i < n->count; i++) {
        if (n->level == 1) {
            struct tree_leaf *leaf = n->below[i];
            leaf->parent = n;
            leaf->slot = (uint16_t)i;
        } else {
            struct tree_node *child = n->below[i];
            child->parent = n;
            child->slot = (uint16_t)i;
        }
    }
}

static void make_room(struct tree *t, struct tree_node *n, unsigned more) {
    unsigned cap = n->cap, need = n->count + more;
    CHECK(need <= NODE_FANOUT);
    while (cap < need) cap *= 2;
    if (cap != n->cap) set_cap(t, n, cap);
}

/* Makes or closes a gap: the entries from `from` on are at `to` afterwards. */
static void shift(struct tree_node *n, unsigned from, unsigned to) {
    size_t count = n->count - from;
    memmove(n->heads + to, n->heads + from, count * sizeof *n->heads);
    memmove(n->items + to, n->items + from, count * sizeof *n->items);
    memmove(n->below + to, n->below + from, count * sizeof *n->below);
}

/* Appends the children of `n` from `first` on to `to`; returns their items. */
static uint64_t move_children(struct tree *t, struct tree_node *n, unsigned first, struct tree_node *to) {
    unsigned count = n->count - first, at = to->count;
    make_room(t, to, count);
    memcpy(to->heads + at, n->heads + first, count * sizeof *n->heads);
    memcpy(to->items + at, n->items + first, count * sizeof *n->items);
    memcpy(to->below + at, n->below + first, count * sizeof *n->below);
    to->count = (uint16_t)(at + count);
    n->count = (uint16_t)first;
    adopt(to, at);
    uint64_t items = 0;
    for (unsigned i = at; i < to->count; i++) items += to->items[i];
    return items;
}

static uint64_t items_below(const struct tree_node *n) {
    uint64_t items = 0;
    for (unsigned i = 0; i < n->count; i++) items += n->items[i];
    return items;
}

static bool is_leftmost(const struct tree_node *n) {
    for (; n->parent; n = n->parent) {
        if (n->slot > 0) return false;
    }
    return true;
}

static bool is_rightmost(const struct tree_node *n) {
    for (; n->parent; n = n->parent) {
        if (n->slot + 1 < n->parent->count) return false;
    }
    return true;
}

/* The bound of n's child `slot` changed: it is that of its ancestors as far as it is their first. */
static void set_head(struct tree_node *n, unsigned slot, uint64_t head) {
    n->heads[slot] = head;
    for (; slot == 0 && n->parent; n = n->parent) {
        slot = n->slot;
        n->parent->heads[slot] = head;
    }
}

/* --- children come and go --- */

static void insert_child(struct tree *t, struct tree_node *n, unsigned at, void *child, uint64_t head);

/* The node's items, as counted above it, change by `more`, modulo 2^64. */
static void count_above(struct tree_node *n, uint64_t more) {
    for (; n->parent; n = n->parent) n->parent->items[n->slot] += more;
}

static void grow_root(struct tree *t, struct tree_node *n) {
    struct tree_node *root = new_node(t, n->level + 1u);
    root->heads[0] = n->heads[0];
    root->items[0] = items_below(n);
    root->below[0] = n;
    root->count = 1;
    adopt(root, 0);
    t->root.node = root;
    t->depth++;
}

/* Makes two of a full node into which a child shall go at *at; returns the one, and the place in it. */
static struct tree_node *split_node(struct tree *t, struct tree_node *n, unsigned *at, uint64_t head) {
    unsigned keep = NODE_FANOUT / 2;
    if (*at == NODE_FANOUT && is_rightmost(n)) keep = NODE_FANOUT;
    if (*at == 0 && is_leftmost(n)) keep = 0;
    if (n->parent == NULL) grow_root(t, n);
    struct tree_node *right = new_node(t, n->level);
    uint64_t right_head = keep < NODE_FANOUT ? n->heads[keep] : head;
    uint64_t items = move_children(t, n, keep, right);
    insert_child(t, n->parent, n->slot + 1u, right, right_head);
    count_above(n, -items);
    count_above(right, items);
    if (*at < keep || *at == 0 || (*at == keep && keep < NODE_FANOUT)) return n;
    *at -= keep;
    return right;
}

/* The child counts for no items yet. */
static void insert_child(struct tree *t, struct tree_node *n, unsigned at, void *child, uint64_t head) {
    if (n->count == NODE_FANOUT) n = split_node(t, n, &at, head);
    make_room(t, n, 1);
    shift(n, at, at + 1);
    n->items[at] = 0;
    n->below[at] = child;
    n->count++;
    adopt(n, at);
    set_head(n, at, head);
}

static void shrink_root(struct tree *t) {
    while (t->depth > 0 && t->root.node->count == 1) {
        struct tree_node *n = t->root.node;
        if (n->level == 1) {
            struct tree_leaf *leaf = n->below[0];
            leaf->parent = NULL;
            leaf->slot = 0;
            t->root.leaf = leaf;
        } else {
            struct tree_node *child = n->below[0];
            child->parent = NULL;
            child->slot = 0;
            t->root.node = child;
        }
        t->depth--;
        free_node(t, n);
    }
}

static void remove_child(struct tree *t, struct tree_node *n, unsigned at);

static void join_nodes(struct tree *t, struct tree_node *left, struct tree_node *right) {
    struct tree_node *parent = left->parent;
    uint64_t items = move_children(t, right, 0, left);
    parent->items[left->slot] += items;
    parent->items[right->slot] -= items;
    remove_child(t, parent, right->slot);
    free_node(t, right);
}

static void join_if_few(struct tree *t, struct tree_node *n) {
    struct tree_node *parent = n->parent;
    if (parent == NULL || n->count >= NODE_FEW) return;
    struct tree_node *left = n->slot > 0 ? parent->below[n->slot - 1] : NULL;
    struct tree_node *right = n->slot + 1 < parent->count ? parent->below[n->slot + 1] : NULL;
    if (left != NULL && left->count + n->count <= NODE_MOST) {
        join_nodes(t, left, n);
    } else if (right != NULL && right->count + n->count <= NODE_MOST) {
        join_nodes(t, n, right);
    }
}

/* The child, no longer counted above, leaves n. */
static void remove_child(struct tree *t, struct tree_node *n, unsigned at) {
    CHECK(n->items[at] == 0);
    shift(n, at + 1, at);
    n->count--;
    adopt(n, at);
    if (n->count == 0) {
        CHECK(n->parent != NULL);
        remove_child(t, n->parent, n->slot);
        free_node(t, n);
        return;
    }
    if (at == 0) set_head(n, 0, n->heads[0]);
    join_if_few(t, n);
}

void node_link(struct tree *t, struct tree_leaf *leaf, struct tree_leaf *prev, uint64_t head) {
    struct tree_leaf *next = prev ? prev->next : t->first, *beside = prev ? prev : next;
    CHECK(leaf->items == 0);
    leaf->prev = prev;
    leaf->next = next;
    *(prev ? &prev->next : &t->first) = leaf;
    *(next ? &next->prev : &t->last) = leaf;
    t->leaves++;
    if (beside == NULL) {
        t->root.leaf = leaf;
        return;
    }
    if (t->depth == 0) {
        struct tree_node *root = new_node(t, 1);
        root->heads[0] = leaf_bound(t, beside);
        root->items[0] = beside->items;
        root->below[0] = beside;
        root->count = 1;
        adopt(root, 0);
        t->root.node = root;
        t->depth = 1;
    }
    insert_child(t, beside->parent, prev ? prev->slot + 1u : 0, leaf, head);
}

void node_unlink(struct tree *t, struct tree_leaf *leaf) {
    CHECK(leaf->items == 0);
    *(leaf->prev ? &leaf->prev->next : &t->first) = leaf->next;
    *(leaf->next ? &leaf->next->prev : &t->last) = leaf->prev;
    t->leaves--;
    if (leaf->parent != NULL) {
        remove_child(t, leaf->parent, leaf->slot);
        shrink_root(t);
    } else {
        t->root.leaf = NULL;
    }
    leaf->parent = NULL;
    leaf->slot = 0;
    leaf->prev = leaf->next = NULL;
}

void node_exchange(struct tree *t, struct tree_leaf *old, struct tree_leaf *fresh) {
    fresh->prev = old->prev;
    fresh->next = old->next;
    *(old->prev ? &old->prev->next : &t->first) = fresh;
    *(old->next ? &old->next->prev : &t->last) = fresh;
    fresh->parent = old->parent;
    fresh->slot = old->slot;
    if (fresh->parent != NULL) {
        fresh->parent->below[fresh->slot] = fresh;
    } else {
        t->root.leaf = fresh;
    }
    fresh->items = old->items;
    old->items = 0;
    old->parent = NULL;
    old->slot = 0;
    old->prev = old->next = NULL;
}

void node_set_items(struct tree *t, struct tree_leaf *leaf, uint32_t items) {
    uint64_t more = (uint64_t)items - leaf->items; /* modulo 2^64 */
    leaf->items = items;
    t->items += more;
    if (leaf->parent == NULL) return;
    leaf->parent->items[leaf->slot] += more;
    count_above(leaf->parent, more);
}

void node_set_bound(struct tree_leaf *leaf, uint64_t head) {
    if (leaf->parent != NULL) set_head(leaf->parent, leaf->slot, head);
}

/* --- finding --- */

struct tree_leaf *node_leaf_of_rank(const struct tree *t, uint64_t *rank) {
    if (t->depth == 0) return t->root.leaf;
    uint64_t left = *rank;
    for (const struct tree_node *n = t->root.node;;) {
        unsigned i = 0;
        for (; left >= n->items[i]; i++) left -= n->items[i];
        CHECK(i < n->count);
        if (n->level == 1) {
            *rank = left;
            return n->below[i];
        }
        n = n->below[i];
    }
}

uint64_t node_rank_of_leaf(const struct tree_leaf *leaf) {
    uint64_t rank = 0;
    unsigned slot = leaf->slot;
    for (const struct tree_node *n = leaf->parent; n; n = n->parent) {
        for (unsigned i = 0; i < slot; i++) rank += n->items[i];
        slot = n->slot;
    }
    return rank;
}

/* How many of the heads [from, n) are below `head`, or at it too, plus `from`. */
static unsigned count_below(const struct tree_node *n, unsigned from, uint64_t head, bool or_at) {
    unsigned low = from, high = n->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (n->heads[middle] < head || (or_at && n->heads[middle] == head)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct tree_leaf *node_leaf_of_head(const struct tree *t, uint64_t head) {
    if (t->depth == 0) return t->root.leaf;
    for (const struct tree_node *n = t->root.node;;) {
        unsigned i = count_below(n, 0, head, true);
        void *child = n->below[i > 0 ? i - 1 : 0];
        if (n->level == 1) return child;
        n = child;
    }
}

static const struct tree_leaf *first_leaf(const struct tree_node *n, unsigned i) {
    const void *child = n->below[i];
    for (unsigned level = n->level; level > 1; level--) child = ((const struct tree_node *)child)->below[0];
    return child;
}

static bool sorts_behind_first(const struct tree *t, const void *key, const struct tree_leaf *leaf) {
    return t->kind->compare(key, leaf_pack(leaf), PACK_HEAD) > 0;
}

struct tree_leaf *node_leaf_of_key(const struct tree *t, uint64_t head, const void *key) {
    if (t->depth == 0) return t->root.leaf;
    for (const struct tree_node *n = t->root.node;;) {
        unsigned low = count_below(n, 0, head, false);
        /* Where heads are equal the items themselves decide; most often there is no such child, or one. */
        unsigned high = low < n->count && n->heads[low] == head ? count_below(n, low, head, true) : low;
        while (low < high) {
            unsigned middle = (low + high) / 2;
            if (sorts_behind_first(t, key, first_leaf(n, middle))) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        void *child = n->below[low > 0 ? low - 1 : 0];
        if (n->level == 1) return child;
        n = child;
    }
}

/* --- all of them --- */

static void free_below(struct tree *t, struct tree_node *n) {
    if (n->level > 1) {
        for (unsigned i = 0; i < n->count; i++) free_below(t, n->below[i]);
    }
    free_node(t, n);
}

void node_free_all(struct tree *t) {
    if (t->depth > 0) free_below(t, t->root.node);
    t->root.leaf = NULL;
    t->depth = 0;
}

/* Everything below n; *next is the leaf that must come next in the list. */
static size_t check_below(const struct tree *t, const struct tree_node *n, const struct tree_leaf **next) {
    CHECK(n->count > 0);
    CHECK(n->count <= n->cap);
    CHECK(n->cap <= NODE_FANOUT);
    size_t bytes = node_bytes(n);
    for (unsigned i = 0; i < n->count; i++) {
        if (n->level == 1) {
            const struct tree_leaf *leaf = n->below[i];
            CHECK(leaf == *next);
            CHECK(leaf->parent == n);
            CHECK(leaf->slot == i);
            CHECK(n->items[i] == leaf->items);
            CHECK(n->heads[i] == leaf_bound(t, leaf));
            *next = leaf->next;
        } else {
            const struct tree_node *child = n->below[i];
            CHECK(child->level + 1 == n->level);
            CHECK(child->parent == n);
            CHECK(child->slot == i);
            CHECK(n->items[i] == items_below(child));
            CHECK(n->heads[i] == child->heads[0]);
            bytes += check_below(t, child, next);
        }
    }
    return bytes;
}

size_t node_check(const struct tree *t) {
    if (t->depth == 0) {
        CHECK(t->root.leaf == t->first);
        CHECK(t->first == t->last);
        CHECK(t->leaves == (t->first != NULL));
        CHECK(t->first == NULL || t->first->parent == NULL);
        return 0;
    }
    CHECK(t->root.node->parent == NULL);
    CHECK(t->root.node->level == t->depth);
    CHECK(t->root.node->count > 1);
    CHECK(items_below(t->root.node) == t->items);
    const struct tree_leaf *next = t->first;
    size_t bytes = check_below(t, t->root.node, &next);
    CHECK(next == NULL);
    return bytes;
}
