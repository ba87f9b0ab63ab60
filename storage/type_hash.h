/* Hashes: fields with values. Small ones are packs of field, value, field, value ... in the order in which the fields came;
 * big ones trees in the order of the fields' hashes.
 *
 * The encoding is Redis's: LISTPACK until a field or value is longer, or the fields are more, than the limits of the
 * keyspace say, then HASHTABLE for good. */
#ifndef STORAGE_TYPE_HASH_H
#define STORAGE_TYPE_HASH_H

#include "keyspace.h"
#include "pack.h"

struct tree_leaf;

size_t hash_len(const struct object *o);
/* Points into the object: good until it changes. */
bool hash_get(const struct object *o, struct slice field, struct pack_value *value);

/* Sets `count` pairs: field, value, field, value ... *o NULL: the key, which is not there, is made. Returns how many fields
 * are new. Nothing given may point into the object. */
size_t hash_set(struct keyspace *ks, int db, struct object **o, struct slice key, const struct slice *pairs,
                size_t count);
/* A hash just made by collection_create, one pack whatever its size, becomes big if it should be. */
void hash_fit(struct keyspace *ks, int db, struct object *o);
/* Removes fields, and the key with the last of them (*o is then NULL). Returns how many there were. */
size_t hash_remove(struct keyspace *ks, int db, struct object **o, const struct slice *fields, size_t count);

/* Walking: all-zero but for `object` at the beginning. Good until the object changes. */
struct hash_cursor {
    const struct object *object;
    struct tree_leaf *leaf;
    size_t at;
    bool begun;
};
bool hash_next(struct hash_cursor *c, struct pack_value *field, struct pack_value *value);

typedef void hash_visit_fn(void *arg, struct pack_value field, struct pack_value value);
/* The fields of these ranks, which ascend. */
void hash_pick(const struct object *o, const uint64_t *ranks, size_t count, hash_visit_fn *visit, void *arg);
void hash_at(const struct object *o, uint64_t rank, struct pack_value *field, struct pack_value *value);
/* About `count` fields from a position on; returns the next position, below 2^52, 0 at the end. */
uint64_t hash_scan(const struct object *o, uint64_t cursor, uint64_t count, hash_visit_fn *visit, void *arg);

/* Of fields and values, whatever their order. */
uint64_t hash_digest(const struct object *o);

#endif
