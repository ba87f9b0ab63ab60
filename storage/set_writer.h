/* Adding many members to a set: the bytes of a small one are opened once. For type_set.c, set_build.c, and what makes sets from
 * payloads. */
#ifndef STORAGE_SET_WRITER_H
#define STORAGE_SET_WRITER_H

#include "collection.h"

struct set_writer {
    struct keyspace *ks;
    int db;
    struct object *object;
    struct buf bytes; /* open unless the set is big */
};

/* Of an edited set. */
struct set_writer set_write_begin(struct keyspace *ks, int db, struct object *o);
/* False: it was there. The encoding follows. */
bool set_write(struct set_writer *w, const struct pack_value *member);
void set_write_end(struct set_writer *w);

/* The key, which is not there, becomes an empty set, which is to be filled before the entry ends. */
struct object *set_create(struct keyspace *ks, int db, struct slice key, bool of_integers);
/* How many integers an intset may hold. */
size_t set_intset_max(const struct ks_limits *limits);

#endif
