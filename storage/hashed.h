/* What hashes and sets have in common: items found by the hash of their first entry (a field, a member). Small ones are packs in
 * insertion order; big ones trees in the order of hashes. Included by type_hash.c and type_set.c only. */
#ifndef STORAGE_HASHED_H
#define STORAGE_HASHED_H

#include "collection.h"

/* What their classes and kinds are made of. */
enum { HASHED_LEAF_BYTES = 1024 };
uint64_t hashed_head(const struct tree *t, struct slice pack, size_t at);
/* Whether every item is in the leaf of its hash. */
bool hashed_loaded(struct keyspace *ks, struct collection *c);

static inline struct tree *hashed_tree(const struct object *o) {
    return &object_collection(o)->tree;
}

/* As text; an integer is spelled into `scratch` (NUM_I64_MAX_LEN bytes). */
static inline struct slice value_text(const struct pack_value *v, char *scratch) {
    return v->is_int ? slice_make(scratch, format_i64(scratch, v->integer)) : v->text;
}

/* The item whose first entry is `text`, which `v` reads as; the end when there is none. */
struct tree_pos hashed_find(const struct tree *t, uint64_t hash, const struct pack_value *v);

/* An item, wherever it is: in a leaf, or (leaf NULL) in the one pack. */
struct item {
    struct tree_leaf *leaf;
    size_t at; /* 0: none */
};
struct item item_first(const struct object *o);
/* `arity` is that of the items of a pack. */
struct item item_next(const struct object *o, struct item i, unsigned arity);
struct item item_at(const struct object *o, uint64_t rank, unsigned arity);
static inline struct slice item_pack(const struct object *o, struct item i) {
    return i.leaf ? leaf_pack(i.leaf) : packed_slice(o);
}

/* Visits the items of these ranks, which ascend, in one walk or by separate descents, whatever is less work. */
typedef void item_visit_fn(void *arg, struct slice pack, size_t at);
void items_pick(const struct object *o, unsigned arity, uint64_t len, const uint64_t *ranks, size_t count,
                item_visit_fn *visit, void *arg);
/* Visits items from the position `cursor` of the order of hashes on, whole leaves until `count` are reached; returns the next
 * cursor, 0 at the end. Positions are hashes without their last bits, below 2^52, so an item that is there all the
 * time is met whatever else comes and goes. What is in one pack is visited at once. */
uint64_t items_scan(const struct object *o, unsigned arity, uint64_t cursor, uint64_t count,
                    item_visit_fn *visit, void *arg);

#endif
