/* Lists: sequences of texts, in the order in which they were pushed. A short one is a pack; a longer one a tree of packs, in
 * which every position is found in O(log n) (collection.h). OBJECT ENCODING calls both a quicklist.
 *
 * A list without elements does not exist, but no function here deletes a key by itself: whoever takes elements out asks
 * list_drop_if_empty when he is done with the key, so that a list that is rotated keeps its deadline. Objects given are
 * lists; those that are changed are edited here (ks_edit). Values must not point into the list that is changed. */
#ifndef STORAGE_TYPE_LIST_H
#define STORAGE_TYPE_LIST_H

#include "keyspace.h"
#include "pack.h"

enum list_end { LIST_HEAD, LIST_TAIL };

uint64_t list_len(const struct object *o);

/* Each value in turn, so that the last one ends up outermost. `o` NULL: the key is not there (ks_write said so), and begins
 * to exist. Returns the list. */
struct object *list_push(struct keyspace *ks, int db, struct slice key, struct object *o, enum list_end end,
                         const struct slice *values, size_t count);
/* Of a list that is a pack, edited or just created, whatever its size: becomes what a list of this size has to be. */
void list_fit(struct keyspace *ks, int db, struct object *o);
/* Takes the outermost element out and appends its text to *out. The list has one. */
void list_pop(struct keyspace *ks, int db, struct object *o, enum list_end end, struct buf *out);
/* Deletes the key if nothing is left in it; says whether. */
bool list_drop_if_empty(struct keyspace *ks, int db, struct object *o);

/* The element at `index`, which exists, becomes `value`. */
void list_set(struct keyspace *ks, int db, struct object *o, uint64_t index, struct slice value);
/* Next to the first element that reads as `pivot`; false when there is none. */
bool list_insert(struct keyspace *ks, int db, struct object *o, struct slice pivot, bool before,
                 struct slice value);
/* Removes elements that read as `value`, at most `max` of them, searched for from that end. Returns how many. */
uint64_t list_remove(struct keyspace *ks, int db, struct object *o, enum list_end from, uint64_t max,
                     struct slice value);
/* Removes `count` elements from `index` on; all of them exist. */
void list_remove_range(struct keyspace *ks, int db, struct object *o, uint64_t index, uint64_t count);

/* A walk; good until the list changes. */
struct tree_leaf;
struct list_walk {
    const struct object *list;
    struct tree_leaf *leaf; /* of a big one */
    size_t at;              /* the element it stands on; 0: beyond the end */
    bool backwards;
    char digits[NUM_I64_MAX_LEN];
};
/* Stands on the element at `index`, beyond the end when there is none. */
struct list_walk list_walk_from(const struct object *o, uint64_t index, bool backwards);
static inline bool list_walk_ended(const struct list_walk *w) {
    return w->at == 0;
}
/* As text, good until the next call for this walk or the next change. */
struct slice list_walk_text(struct list_walk *w);
/* `v` from pack_text(). */
bool list_walk_is(const struct list_walk *w, const struct pack_value *v);
void list_walk_step(struct list_walk *w);

#endif
