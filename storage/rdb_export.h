/* The stored state as one file in Redis's own format (RDB, version 10), made piece by piece while it is sent. What it
 * shows is the state of one log index: an iterator sees the rows as they were when it was made, whatever is written
 * meanwhile. A thread of its own reads the rows, makes an object of each and writes it as DUMP would; it is never further
 * ahead of whoever takes the pieces than RDB_EXPORT_AHEAD_BYTES and a piece. Of the data no more is in memory than that and
 * one value.
 *
 *     "REDIS0010"
 *     250 name text         redis-ver, redis-bits, ctime, used-mem, aof-base
 *     245 text              each library of functions
 *     254 db                each database that has keys,
 *     251 keys, deadlines       how many,
 *     252 ms (8)                and each key: its deadline if it has one (little-endian),
 *     type, key, value          rdb_value.h
 *     255 CRC-64 of all before (8, little-endian)
 *
 * Users, texts of scripts and the rest of what the server remembers for itself are no part of it: Redis keeps them elsewhere. */
#ifndef STORAGE_RDB_EXPORT_H
#define STORAGE_RDB_EXPORT_H

#include "keyspace.h"
#include "kv.h"

enum { RDB_EXPORT_AHEAD_BYTES = 1 << 20 };

struct rdb_export;

struct rdb_export_options {
    bool data, functions; /* what is wanted of it */
    bool is_measured;     /* its length is to be known before its first byte: everything is done twice */
    const char *version;  /* what redis-ver says */
    int64_t now_s;        /* ctime */
    uint64_t used_memory_bytes; /* used-mem */
    /* The text of a library in the value that the server keeps of it (system.h, "library:"). */
    struct slice (*library_code)(struct slice value);
    void (*wake)(void *arg); /* called on the thread when there is something to take, and when it ends */
    void *wake_arg;
};

/* Of what is stored now (ks_stored): what is newer is not in it. The keyspace stays open until rdb_export_free. RC_NOT_FOUND:
 * nothing was ever stored. */
MUST_USE enum rc rdb_export_start(struct keyspace *ks, const struct rdb_export_options *options,
                                  struct rdb_export **out, struct kv_error *error);
uint64_t rdb_export_index(const struct rdb_export *e); /* whose state it is */
/* Of one that is measured. RC_BUSY: not known yet. A failure as rdb_export_take's. */
MUST_USE enum rc rdb_export_length(struct rdb_export *e, uint64_t *bytes, struct kv_error *error);
/* Appends the next piece. RC_BUSY: there is none yet. RC_NOT_FOUND: there is none any more. RC_IO, RC_CORRUPT: it cannot be
 * made, and what came so far is worth nothing. */
MUST_USE enum rc rdb_export_take(struct rdb_export *e, struct buf *out, struct kv_error *error);
/* Nobody wants the rest: the thread ends soon. */
void rdb_export_give_up(struct rdb_export *e);
bool rdb_export_is_over(struct rdb_export *e); /* the thread has ended: rdb_export_free does not wait */
void rdb_export_free(struct rdb_export *e);

#endif
