/* A value as Redis's DUMP writes it and RESTORE reads it: pure, bytes from and to a caller's buffers.
 *
 *     payload:  type (1)  value (n)  version (2, little-endian)  CRC-64 of all before (8, little-endian)
 *
 *     type 0      a string:  text (rdb_codec.h)
 *     1, 2        a list, a set:  count, so many texts
 *     3, 5        a sorted set:  count, so many times member and score; 3: as text behind its length (1), 5: 8 bytes
 *     4           a hash:  count, so many times field and value
 *     14, 18      a list:  count of nodes, so many times (18: 1 for an element alone, 2 for a pack) text
 *     11          a set:  an intset, as text
 *     16, 17      a hash, a sorted set:  a pack, as text
 *     9, 10, 12, 13   a hash (zipmap); a list, sorted set, hash (ziplist): as text, only read (rdb_old.c)
 *     15, 19      a stream (rdb_stream.h)
 *
 * Written are those that Redis 7.0 writes: 0, 18, 2, 11, 5, 17, 4, 16, 19. */
#ifndef STORAGE_RDB_VALUE_H
#define STORAGE_RDB_VALUE_H

#include "buf.h"
#include "check.h"
#include "keyspace.h"

enum { RDB_VERSION = 10, RDB_FOOTER_SIZE = 10 };
enum rdb_type {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET = 3,
    RDB_HASH = 4,
    RDB_ZSET_2 = 5,
    RDB_HASH_ZIPMAP = 9,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_QUICKLIST = 14,
    RDB_STREAM_LISTPACKS = 15,
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_QUICKLIST_2 = 18,
    RDB_STREAM_LISTPACKS_2 = 19,
};

/* Whether version and checksum are right; RC_INVALID when not. */
MUST_USE enum rc rdb_verify(struct slice payload);
/* Appends version and checksum of what was appended since `start`. */
void rdb_seal(struct buf *out, size_t start);

/* What a payload says, as this house keeps it. Its memory is rdb_value_free()'s. */
struct rdb_value {
    enum object_type type;
    enum object_encoding encoding; /* what Redis would choose under these limits; not of strings */
    /* A string's bytes; an intset; a pack: elements; members; fields with values; members with scores, ascending. Of a stream: the
     * payload behind the type, which has been looked through (rdb_stream.h). */
    struct buf bytes;
    size_t items;              /* not of strings and streams */
    enum rdb_type stream_type; /* of streams: which of the two types it came as */
};

/* The value in a payload (with its footer). RC_INVALID when it is malformed, empty, has duplicates, is larger than this house takes,
 * or of no type that Redis 7.0 knows. Bytes behind the value are ignored, and a value may reach into the footer: Redis looks
 * for its end no closer than that. */
MUST_USE enum rc rdb_read(struct slice payload, const struct ks_limits *limits, struct rdb_value *out);
void rdb_value_free(struct rdb_value *v);

#endif
