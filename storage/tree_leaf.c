/* A leaf's life: made, labelled, opened and closed around changes, given up. See tree_internal.h. */
#include "tree_internal.h"

#define LABEL_FIRST (UINT64_C(1) << 63)
#define LABEL_STEP  (UINT64_C(1) << 32)

uint64_t leaf_bound(const struct tree *t, const struct tree_leaf *leaf) {
    if (t->kind->order == ORDER_HASH) return leaf->label;
    if (t->kind->order == ORDER_POSITION) return 0;
    size_t at = leaf->pack.data != NULL ? pack_first(leaf_pack(leaf)) : 0;
    if (at == 0) return 0;
    return t->kind->head(t, leaf_pack(leaf), t->kind->arity > 0 ? at : 0);
}

static void touch(struct tree *t, struct tree_leaf *leaf) {
    if (t->host == NULL || leaf->dirty == t->host->epoch) return;
    t->host->touch(t->host, leaf);
    CHECK(leaf->dirty == t->host->epoch);
}

void leaf_open(struct tree *t, struct tree_leaf *leaf) {
    touch(t, leaf);
    tree_count_bytes(t, 0, mem_size(leaf->pack.data));
}

void leaf_close(struct tree *t, struct tree_leaf *leaf) {
    /* What shrinks gives back now and then, not each time: an allocation of another class is a copy. */
    if (leaf->pack.cap > leaf->pack.len + leaf->pack.len / 4 + 16) pack_trim(&leaf->pack);
    tree_count_bytes(t, mem_size(leaf->pack.data), 0);
}

struct tree_leaf *leaf_new(struct tree *t, uint64_t label) {
    struct tree_leaf *leaf = mem_calloc(1, sizeof *leaf);
    leaf->tree = t;
    leaf->label = label;
    touch(t, leaf);
    pack_begin(&leaf->pack);
    tree_count_bytes(t, mem_size(leaf) + mem_size(leaf->pack.data), 0);
    return leaf;
}

void tree_leaf_free(struct tree_leaf *leaf, size_t *memory) {
    if (memory != NULL) *memory -= mem_size(leaf) + mem_size(leaf->pack.data);
    buf_free(&leaf->pack);
    mem_free(leaf);
}

/* The leaf is out of the tree already. */
static void hand_over(struct tree *t, struct tree_leaf *leaf) {
    t->bytes -= mem_size(leaf) + mem_size(leaf->pack.data); /* *memory when it is freed */
    if (t->host != NULL) {
        t->host->gone(t->host, leaf);
    } else {
        tree_leaf_free(leaf, t->memory);
    }
}

void leaf_give_up(struct tree *t, struct tree_leaf *leaf) {
    touch(t, leaf);
    node_set_items(t, leaf, 0);
    node_unlink(t, leaf);
    hand_over(t, leaf);
}

/* --- labels --- */

/* Neighbouring leaves to be labelled anew, together with a new one that will stand behind `prev`. */
struct window {
    struct tree_leaf *first, *last;
    uint64_t count;      /* leaves from first to last */
    uint64_t base, step; /* the labels: base + step, base + 2 * step, ... */
};

/* The smallest window around the place behind `prev` (NULL: in front) that is sparse enough. A window of 2^i labels is so with at
 * most 1.6^i leaves: the bigger it is, the sparser it has to be, so that what a relabelling costs is earned by the insertions
 * that filled it (order maintenance after Dietz and Sleator, Bender et al.). */
static struct window find_window(struct tree *t, struct tree_leaf *prev) {
    struct tree_leaf *center = prev ? prev : t->first;
    struct window w = {.first = center, .last = center, .count = 1};
    uint64_t allowed = 1 << 16; /* 16 binary places */
    for (unsigned bits = 1; bits <= 64; bits++) {
        uint64_t mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
        w.base = center->label & ~mask;
        for (; w.first->prev && w.first->prev->label >= w.base; w.count++) w.first = w.first->prev;
        for (; w.last->next && w.last->next->label <= w.base + mask; w.count++) w.last = w.last->next;
        allowed += allowed / 5 * 3;
        w.step = mask / (w.count + 2);
        if (w.count + 1 <= allowed >> 16 && w.step >= 16) return w;
    }
    CHECK(w.count == 0); /* no machine holds so many leaves */
    return w;
}

/* The row of a leaf is named by its label, so a leaf with another label is another leaf. */
static struct tree_leaf *label_anew(struct tree *t, struct tree_leaf *old, uint64_t label,
                                    struct tree_pos *p) {
    if (old->label == label) return old;
    struct tree_leaf *fresh = mem_calloc(1, sizeof *fresh);
    fresh->tree = t;
    fresh->label = label;
    touch(t, fresh);
    touch(t, old);
    tree_count_bytes(t, mem_size(fresh), 0);
    fresh->pack = old->pack;
    old->pack = (struct buf){0};
    node_exchange(t, old, fresh);
    if (p != NULL && p->leaf == old) p->leaf = fresh;
    if (t->kind->moved && fresh->items > 0) t->kind->moved(t, old, fresh, PACK_HEAD, fresh->items);
    /* The pack, which may be open, is counted with the fresh leaf; what is handed over has none. */
    hand_over(t, old);
    return fresh;
}

/* Makes a gap behind *prev, which follows; returns the label for it. */
static uint64_t make_gap(struct tree *t, struct tree_leaf **prev, struct tree_pos *p) {
    struct window w = find_window(t, *prev);
    uint64_t label = w.base, gap = 0;
    if (*prev == NULL) gap = label += w.step;
    struct tree_leaf *leaf = w.first, *behind = *prev;
    for (uint64_t i = 0; i < w.count; i++) {
        bool is_prev = leaf == behind;
        leaf = label_anew(t, leaf, label += w.step, p);
        if (is_prev) {
            *prev = leaf;
            gap = label += w.step;
        }
        leaf = leaf->next;
    }
    CHECK(gap != 0);
    return gap;
}

/* 0 and the highest label are never given, so that there is room before and behind every leaf. */
static uint64_t free_label(struct tree *t, struct tree_leaf **prev, struct tree_pos *p) {
    const struct tree_leaf *next = *prev ? (*prev)->next : t->first;
    if (*prev == NULL && next == NULL) return LABEL_FIRST;
    uint64_t low = *prev ? (*prev)->label : 0, high = next ? next->label : UINT64_MAX;
    uint64_t room = high - low;
    if (next == NULL && room > LABEL_STEP) return low + LABEL_STEP;
    if (*prev == NULL && room > LABEL_STEP) return high - LABEL_STEP;
    if (room >= 2) return low + room / 2;
    return make_gap(t, prev, p);
}

struct tree_leaf *leaf_add(struct tree *t, struct tree_leaf *prev, uint64_t head, struct tree_pos *p) {
    CHECK(t->kind->order != ORDER_HASH);
    uint64_t label = free_label(t, &prev, p);
    struct tree_leaf *leaf = leaf_new(t, label);
    node_link(t, leaf, prev, head);
    return leaf;
}
