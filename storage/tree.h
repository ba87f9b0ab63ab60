/* A counted B+tree: the sequence of a big collection's items, with every operation by position or by key in O(log n).
 *
 * An item is `arity` neighbouring entries of a pack; leaves are packs of a kilobyte or so, linked to their neighbours; inner
 * nodes know, for each child, how many items are below it and a lower bound of their heads. What an item is, and how items
 * are ordered, is told by a tree_kind:
 *
 *     ORDER_POSITION  by place alone: lists
 *     ORDER_KEY       by kind->compare; `head` is the leading part of the key as a number that sorts alike, so that most
 *                     steps of a descent touch no leaf: sorted sets, entries of streams
 *     ORDER_HASH      a leaf holds the items of a range of hashes, within it in the order of their arrival; `head` is the hash:
 *                     hashes and sets
 *
 * The structure is a function of the changes alone, and a leaf is loaded as it was stored: nodes with the same log have the
 * same leaves, so anything may depend on an item's rank.
 *
 * Storing: each leaf is a row, named by its label; labels ascend along the leaves (ORDER_HASH: the label is the lower bound of
 * the leaf's hashes; else there are gaps, and where one is used up, the neighbours are labelled anew). The tree tells its host
 * before a leaf changes and when one is no longer part of it; the rest is the host's (collection.h). The label of a leaf that
 * is gone may be given again at once: between two write-backs, a row that is to be written wins over the same one deleted. */
#ifndef STORAGE_TREE_H
#define STORAGE_TREE_H

#include "check.h"
#include "pack.h"

struct tree;
struct tree_node; /* an inner node */

struct tree_leaf {
    struct tree *tree;
    struct tree_node *parent; /* NULL: the only leaf */
    struct tree_leaf *prev, *next;
    uint64_t label;
    struct buf pack;
    uint32_t items;
    uint16_t slot; /* in parent */
    uint8_t dirty; /* the host's: 0 as on disk, else the epoch of the write-back that will store it */
    uint8_t flags; /* the host's: */
    uint32_t mark; /* the kind's own; 0 in a new leaf */
};
enum {
    LEAF_STORED = 1, /* the disk has a row of it, or will have when the running write-back ends */
    LEAF_PACKED = 2, /* already copied for the running write-back */
    LEAF_GONE = 4,   /* no longer part of the tree: kept until its row is deleted */
};

enum tree_order { ORDER_POSITION, ORDER_KEY, ORDER_HASH };

struct tree_kind {
    enum tree_order order;
    unsigned arity;      /* entries of an item; 0: leaves are opaque, `items` is what tree_set_items says */
    uint32_t leaf_bytes; /* a leaf that grows beyond is split; an item alone may be bigger */
    uint32_t leaf_items; /* likewise; 0: no bound */
    /* ORDER_KEY, ORDER_HASH: of the item at `at`; opaque leaves: of the whole leaf, `at` is 0. */
    uint64_t (*head)(const struct tree *t, struct slice pack, size_t at);
    /* ORDER_KEY: < 0, 0, > 0 as the key sorts before, is, or sorts behind the item at `at`. */
    int (*compare)(const void *key, struct slice pack, size_t at);
    /* May be NULL. These `count` items, from offset `at` of `to` on, were in `from` until now: called after a split or a join,
     * while both leaves exist. The item that is just being inserted may be among them. Not for what is loaded, copied, freed
     * or removed. */
    void (*moved)(struct tree *t, struct tree_leaf *from, struct tree_leaf *to, size_t at, size_t count);
};

/* A tree that is not stored has no host (NULL): nobody is told, and leaves that leave it are freed at once. */

struct tree_host {
    uint8_t epoch; /* of changes now; never 0 */
    /* Called before a leaf whose `dirty` is not `epoch` changes for the first time; sets `dirty`. New leaves are announced
     * with the same call, before anything is in them. */
    void (*touch)(struct tree_host *host, struct tree_leaf *leaf);
    /* The leaf left the tree (its pack may still hold what it held, its neighbours are cleared) and is the host's to free
     * with tree_leaf_free. It has been touched before. */
    void (*gone)(struct tree_host *host, struct tree_leaf *leaf);
};

struct tree {
    const struct tree_kind *kind;
    struct tree_host *host;
    void *owner;        /* the host's: whose tree this is */
    uint64_t hash_seed; /* for kind->head of hash trees; the kind's own */
    uint32_t section;   /* the host's: tells the trees of one owner apart */
    unsigned depth;     /* inner levels */
    union {
        struct tree_node *node; /* depth > 0 */
        struct tree_leaf *leaf; /* depth 0; NULL: nothing in it */
    } root;
    struct tree_leaf *first, *last;
    uint64_t items, leaves;
    size_t bytes; /* of memory, by mem_size: leaves, packs and nodes */
    size_t *
        memory; /* the host's sum, kept up to date with it, leaves that are gone included until they are freed; or NULL */
};

void tree_init(struct tree *t, const struct tree_kind *kind, struct tree_host *host, void *owner);
/* Frees all leaves and nodes, telling nobody: for a tree whose leaves the host no longer knows. Touches nothing but the tree and
 * what `memory` points at, so another thread may do it when `memory` is NULL. */
void tree_free(struct tree *t);
/* A leaf that was given up with host->gone. */
void tree_leaf_free(struct tree_leaf *leaf, size_t *memory);

/* --- finding --- */

/* An item; leaf NULL: none (the end). Good until the next change of the tree. */
struct tree_pos {
    struct tree_leaf *leaf;
    size_t at; /* offset of its first entry */
};
static inline bool pos_is_end(struct tree_pos p) {
    return p.leaf == NULL;
}
static inline struct slice leaf_pack(const struct tree_leaf *l) {
    return buf_slice(&l->pack);
}

struct tree_pos tree_first(const struct tree *t);
struct tree_pos tree_last(const struct tree *t);
struct tree_pos tree_next(struct tree_pos p);
struct tree_pos tree_prev(struct tree_pos p);
/* The item of this rank, from 0; the end when there are not so many. */
struct tree_pos tree_at(const struct tree *t, uint64_t rank);
/* The rank of an item; t->items for the end. */
uint64_t tree_rank(const struct tree *t, struct tree_pos p);
/* ORDER_KEY: the first item that does not sort before the key. */
struct tree_pos tree_lower_bound(const struct tree *t, uint64_t head, const void *key);
/* ORDER_HASH: the leaf that holds, or would hold, items of this hash; NULL in an empty tree. */
struct tree_leaf *tree_leaf_of(const struct tree *t, uint64_t hash);
/* Entry `which` (from 0) of the item. */
size_t pos_entry(struct tree_pos p, unsigned which);

/* --- changing --- */

/* Before the item at `before` (the end: behind the last). ORDER_KEY: the caller found `before` by tree_lower_bound. Returns
 * where the new item is. */
struct tree_pos tree_insert(struct tree *t, struct tree_pos before, const struct pack_value *entries);
/* ORDER_HASH: at the end of its leaf; `hash` is the item's head. */
struct tree_pos tree_insert_hashed(struct tree *t, uint64_t hash, const struct pack_value *entries);
/* Replaces one entry of the item; what kind->head and kind->compare look at must stay the same. Returns where the item
 * is now (its leaf may have been split). */
struct tree_pos tree_replace(struct tree *t, struct tree_pos p, unsigned which, struct pack_value v);
/* Returns the item that follows (ORDER_HASH: the one that follows in the leaf order). Leaves that became small are joined
 * with a neighbour. */
struct tree_pos tree_remove(struct tree *t, struct tree_pos p);
/* Removes `count` items from rank `from` on, whole leaves at a time. */
void tree_remove_range(struct tree *t, uint64_t from, uint64_t count);

/* Opaque leaves (arity 0): the host of the content changes leaf->pack itself between tree_edit_leaf and tree_edited_leaf,
 * which counts its memory and its new number of items. */
void tree_edit_leaf(struct tree *t, struct tree_leaf *leaf);
void tree_edited_leaf(struct tree *t, struct tree_leaf *leaf, uint32_t items);
/* A new empty leaf behind `after` (NULL: in front), edited, for which tree_edited_leaf is due. `head` bounds its items from
 * below. */
struct tree_leaf *tree_add_leaf(struct tree *t, struct tree_leaf *after, uint64_t head);
void tree_remove_leaf(struct tree *t, struct tree_leaf *leaf);
/* Opaque leaves in ORDER_KEY: the last leaf that begins before the key, or the first leaf; NULL in an empty tree. kind->compare is
 * asked with the first entry of a leaf. */
struct tree_leaf *tree_leaf_before(const struct tree *t, uint64_t head, const void *key);

/* --- loading and copying --- */

/* Appends a leaf as it was stored, clean (dirty 0, LEAF_STORED set), in ascending order of labels; takes the pack over.
 * Its bytes are valid. */
void tree_load_leaf(struct tree *t, uint64_t label, struct buf pack, uint32_t items);
/* Makes an empty tree the same sequence of the same leaves as `from`, labels included, all of them new to the host. */
void tree_copy(struct tree *t, const struct tree *from);

/* Stops with a message when an invariant does not hold; for tests. */
void tree_check(const struct tree *t);

#endif
