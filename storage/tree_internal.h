/* The tree's insides, shared by tree.c (finding and changing items), tree_shape.c (splitting and joining leaves), tree_leaf.c
 * (a leaf's life, its label, its memory) and tree_node.c (the inner nodes). Nobody else includes this. */
#ifndef STORAGE_TREE_INTERNAL_H
#define STORAGE_TREE_INTERNAL_H

#include "mem.h"
#include "tree.h"

enum {
    NODE_FANOUT = 64,
    PACK_HEAD = 6, /* where the first entry of a pack is */
};

static inline void tree_count_bytes(struct tree *t, size_t more, size_t less) {
    t->bytes += more - less;
    if (t->memory != NULL) *t->memory += more - less;
}
static inline struct tree_pos pos_make(struct tree_leaf *leaf, size_t at) {
    return (struct tree_pos){.leaf = leaf, .at = at};
}

/* --- tree_node.c --- */

/* Puts a leaf that counts for no items yet behind `prev` (NULL: in front), bounded by `head` from below. */
void node_link(struct tree *t, struct tree_leaf *leaf, struct tree_leaf *prev, uint64_t head);
/* Takes a leaf out that counts for no items any more. */
void node_unlink(struct tree *t, struct tree_leaf *leaf);
/* `fresh` takes the place of `old`, with its items. */
void node_exchange(struct tree *t, struct tree_leaf *old, struct tree_leaf *fresh);
/* The leaf has so many items from now on. */
void node_set_items(struct tree *t, struct tree_leaf *leaf, uint32_t items);
void node_set_bound(struct tree_leaf *leaf, uint64_t head);
/* The leaf of this rank, which becomes the rank within it; the rank is below t->items. */
struct tree_leaf *node_leaf_of_rank(const struct tree *t, uint64_t *rank);
uint64_t node_rank_of_leaf(const struct tree_leaf *leaf);
/* The last leaf whose bound is at or before `head`, or the first one; the tree is not empty. */
struct tree_leaf *node_leaf_of_head(const struct tree *t, uint64_t head);
/* ORDER_KEY: the last leaf whose first item sorts before the key, or the first one; likewise. */
struct tree_leaf *node_leaf_of_key(const struct tree *t, uint64_t head, const void *key);
void node_free_all(struct tree *t);
/* Checks the inner nodes, and returns their bytes. */
size_t node_check(const struct tree *t);

/* --- tree_leaf.c --- */

/* What bounds the leaf's items from below: its label, or its first item's head. */
uint64_t leaf_bound(const struct tree *t, const struct tree_leaf *leaf);
/* Between these two the leaf's pack may change; its memory is counted at the end. */
void leaf_open(struct tree *t, struct tree_leaf *leaf);
void leaf_close(struct tree *t, struct tree_leaf *leaf);
/* A new empty leaf, announced, not in the tree yet. */
struct tree_leaf *leaf_new(struct tree *t, uint64_t label);
/* A new empty leaf behind `prev` (NULL: in front). Its neighbours may be labelled anew, which makes other leaves of them: ask
 * the new leaf for them; `p`, if given, follows. */
struct tree_leaf *leaf_add(struct tree *t, struct tree_leaf *prev, uint64_t head, struct tree_pos *p);
/* Takes the leaf out of the tree, and hands it to the host. */
void leaf_give_up(struct tree *t, struct tree_leaf *leaf);

/* --- tree_shape.c --- */

/* Whether an item of so many bytes fits into the leaf. */
bool leaf_has_room(const struct tree *t, const struct tree_leaf *leaf, size_t size);
/* p's leaf has grown, or shrunk: splits it, or joins it with a neighbour, or removes it when it is empty; p (the end: none)
 * is where its item is afterwards. The shrunk leaf may also be another one than p's. */
void shape_grown(struct tree *t, struct tree_pos *p);
void shape_shrunk(struct tree *t, struct tree_leaf *leaf, struct tree_pos *p);
/* The leaf loses all of its items; p, which is not in it, follows. */
void shape_remove(struct tree *t, struct tree_leaf *leaf, struct tree_pos *p);

#endif
