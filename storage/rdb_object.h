/* DUMP and RESTORE of a key's value: between objects and the payloads of rdb_value.h. */
#ifndef STORAGE_RDB_OBJECT_H
#define STORAGE_RDB_OBJECT_H

#include "rdb_value.h"

/* Appends the whole payload, in the form that Redis 7.0 writes for the object's encoding. */
void rdb_dump(struct buf *out, const struct keyspace *ks, const struct object *o);
/* Makes the key, which is not there, hold the value; takes its bytes. */
struct object *rdb_restore(struct keyspace *ks, int db, struct slice key, struct rdb_value *value);

/* Their halves for streams (rdb_stream_object.c). */
void rdb_dump_stream(struct buf *out, const struct object *o);
struct object *rdb_restore_stream(struct keyspace *ks, int db, struct slice key,
                                  const struct rdb_value *value);

#endif
