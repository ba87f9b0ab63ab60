/* Ordered byte rows on disk: the one place that knows RocksDB. No WAL and no memtable: only sorted files, built beside and
 * ingested, each atomic and durable when kv_ingest returns. Calls are thread-safe as RocksDB's are; each iterator and file
 * writer belongs to one thread. Every iterator and file writer is gone before kv_close. */
#ifndef STORAGE_KV_H
#define STORAGE_KV_H

#include "buf.h"
#include "check.h"

struct kv;
struct kv_iter;
struct kv_sst;

struct kv_options {
    size_t block_cache_bytes; /* data, index and filter blocks together */
    int background_threads;   /* flushes and compactions, at least 1 */
    uint64_t level_bytes;     /* of the first sorted level, some four ingested files; 0: 128 MiB */
};

/* Error texts are written to `error` (NUL-terminated, possibly cut). RC_CORRUPT, RC_NO_SPACE, RC_BUSY
 * (another process has it open), RC_INVALID (keys out of order) and RC_IO are told apart. */
struct kv_error {
    char text[256];
};

MUST_USE enum rc kv_open(const char *path, const struct kv_options *options, struct kv **out,
                         struct kv_error *error);
void kv_close(struct kv *kv);

/* RC_NOT_FOUND when there is no such row. *value is replaced. */
MUST_USE enum rc kv_get(struct kv *kv, struct slice key, struct buf *value, struct kv_error *error);

/* Sees the rows as they were when it was made. An empty `upper` means no bound; it must outlive the
 * iterator. */
struct kv_iter *kv_iter_new(struct kv *kv, struct slice upper, bool fill_cache);
void kv_iter_free(struct kv_iter *it);
void kv_iter_seek(struct kv_iter *it, struct slice key); /* first row at or after key */
bool kv_iter_valid(const struct kv_iter *it);
void kv_iter_next(struct kv_iter *it);
struct slice kv_iter_key(const struct kv_iter *it);   /* good until the iterator moves */
struct slice kv_iter_value(const struct kv_iter *it); /* likewise */
MUST_USE enum rc kv_iter_error(const struct kv_iter *it,
                               struct kv_error *error); /* ask when it is not valid */

/* Building one sorted file: rows in strictly ascending key order; range deletes may come at any time and do
 * not cover the puts of the same file. Finish or abandon exactly once. */
struct kv_sst *kv_sst_begin(struct kv *kv, const char *path, struct kv_error *error); /* NULL on failure */
MUST_USE enum rc kv_sst_put(struct kv_sst *s, struct slice key, struct slice value, struct kv_error *error);
MUST_USE enum rc kv_sst_delete(struct kv_sst *s, struct slice key, struct kv_error *error);
MUST_USE enum rc kv_sst_delete_range(struct kv_sst *s, struct slice from, struct slice to,
                                     struct kv_error *error);
MUST_USE enum rc kv_sst_finish(struct kv_sst *s, uint64_t *file_bytes, struct kv_error *error);
void kv_sst_abandon(struct kv_sst *s);
/* Moves the finished file into the database: atomic, and durable when it returns. After a failure it fails until the
 * database is opened again. */
MUST_USE enum rc kv_ingest(struct kv *kv, const char *path, struct kv_error *error);

/* kv_get in a database that nobody has open, which is left as it is. */
MUST_USE enum rc kv_peek(const char *path, struct slice key, struct buf *value, struct kv_error *error);

/* Hard links of a consistent state under a new folder. */
MUST_USE enum rc kv_checkpoint(struct kv *kv, const char *path, struct kv_error *error);
/* A numeric property by RocksDB's name without its prefix, e.g. "num-files-at-level0"; 0 when unknown. */
uint64_t kv_property(struct kv *kv, const char *name);
uint64_t kv_memory(struct kv *kv); /* memtables, block cache, table readers: an estimate */

#endif
