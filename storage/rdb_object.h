/* Values as RDB has them: for DUMP and RESTORE of one key (the payloads of rdb_value.h), and for files of many
 * (rdb_export.h). */
#ifndef STORAGE_RDB_OBJECT_H
#define STORAGE_RDB_OBJECT_H

#include "rdb_value.h"

/* Where values are written to. */
enum { RDB_PIECE_BYTES = 256 << 10 };
struct rdb_out {
    struct buf bytes;
    bool has_keys; /* a value's key stands behind its type, as in files */
    /* Called when there is a piece: takes the bytes away, and leaves the buffer empty. NULL: they stay. */
    void (*spill)(struct rdb_out *out);
};
static inline void rdb_spill(struct rdb_out *out) {
    if (out->bytes.len >= RDB_PIECE_BYTES && out->spill != NULL) out->spill(out);
}
void rdb_begin(struct rdb_out *out, enum rdb_type type, const struct object *o);
/* Type, key if it is wanted, value, in the form that Redis 7.0 writes for the object's encoding; never a piece and much more
 * in the buffer, unless a single element is that large. */
void rdb_write(struct rdb_out *out, const struct ks_limits *limits, const struct object *o);

/* Appends the whole payload, in the form that Redis 7.0 writes for the object's encoding. */
void rdb_dump(struct buf *out, const struct keyspace *ks, const struct object *o);
/* Makes the key, which is not there, hold the value; takes its bytes. */
struct object *rdb_restore(struct keyspace *ks, int db, struct slice key, struct rdb_value *value);

/* Their halves for streams (rdb_stream_object.c). */
void rdb_write_stream(struct rdb_out *out, const struct object *o);
struct object *rdb_restore_stream(struct keyspace *ks, int db, struct slice key,
                                  const struct rdb_value *value);

#endif
