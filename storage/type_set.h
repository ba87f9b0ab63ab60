/* Sets. Integers alone, and not too many, are an intset (encoding INTSET); everything else is, in Redis's words, a HASHTABLE:
 * small ones are packs in the order in which members came, big ones trees in the order of the members' hashes. What was a
 * HASHTABLE once stays one.
 *
 * Members are pack_values: one that spells an integer canonically is that integer (pack_text makes it so). */
#ifndef STORAGE_TYPE_SET_H
#define STORAGE_TYPE_SET_H

#include "arena.h"
#include "keyspace.h"
#include "pack.h"

struct tree_leaf;

size_t set_len(const struct object *o);
bool set_has(const struct object *o, const struct pack_value *member);

/* *o NULL: the key, which is not there, is made. Returns how many members are new. Nothing given may point into the object. */
size_t set_add(struct keyspace *ks, int db, struct object **o, struct slice key, const struct slice *members,
               size_t count);
/* A set just made by collection_create, one pack whatever its size, becomes big if it should be. */
void set_fit(struct keyspace *ks, int db, struct object *o);
/* Both remove the key with its last member (*o is then NULL). set_remove returns how many members there were. */
size_t set_remove(struct keyspace *ks, int db, struct object **o, const struct slice *members, size_t count);
/* The members of these ranks, which ascend. */
void set_remove_ranks(struct keyspace *ks, int db, struct object **o, const uint64_t *ranks, size_t count);

/* Walking: all-zero but for `object` at the beginning; integers of an intset ascend. Good until the object changes. */
struct set_cursor {
    const struct object *object;
    struct tree_leaf *leaf;
    size_t at;
    bool begun;
};
bool set_next(struct set_cursor *c, struct pack_value *member);

typedef void set_visit_fn(void *arg, struct pack_value member);
/* The members of these ranks, which ascend. */
void set_pick(const struct object *o, const uint64_t *ranks, size_t count, set_visit_fn *visit, void *arg);
struct pack_value set_at(const struct object *o, uint64_t rank);
/* About `count` members from a position on; returns the next position, below 2^52, 0 at the end. */
uint64_t set_scan(const struct object *o, uint64_t cursor, uint64_t count, set_visit_fn *visit, void *arg);

/* Of the members, whatever their order and encoding. */
uint64_t set_digest(const struct object *o);

/* --- set_build.c: the result of SUNION and its kin, before it is answered or stored --- */

struct build_item {
    union {
        struct slice text;
        int64_t integer;
    } as;
    uint32_t hash;
    bool is_int, gone;
};

/* Members in the order in which they came. */
struct set_build {
    const struct keyspace *ks;
    struct arena *arena; /* texts are copied here; NULL: they are borrowed from sets that stay as they are */
    struct build_item *items;
    size_t count, cap; /* of items, those that are gone included */
    size_t live;
    uint32_t *slots; /* index + 1 of an item; NULL until somebody asks what is there */
    size_t slot_count;
    bool is_table; /* Redis would have made a hash table of it by now */
};
void set_build_init(struct set_build *b, const struct keyspace *ks, struct arena *arena);
void set_build_free(struct set_build *b);
/* False: it was there. */
bool set_build_add(struct set_build *b, const struct pack_value *member);
/* Of a member that is known not to be there. */
void set_build_append(struct set_build *b, const struct pack_value *member);
void set_build_remove(struct set_build *b, const struct pack_value *member);
/* What Redis keeps as an intset it also answers in that order. */
void set_build_sort(struct set_build *b);
/* From *i (0 at first) on; false at the end. */
bool set_build_next(const struct set_build *b, size_t *i, struct pack_value *member);
/* Makes the key, which is not there, a set of these members; there is at least one. */
struct object *set_build_store(struct set_build *b, struct keyspace *ks, int db, struct slice key);

#endif
