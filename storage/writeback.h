/* Opening a keyspace, and carrying what changed in memory to disk. A write-back stores the state of exactly one
 * log index: when it begins, the dirty objects are frozen; each turn of the loop packs some of them into rows; one
 * that is about to change first is packed at once, as it was. Then the storage thread sorts the rows, builds one
 * sorted file and ingests it: atomic and durable. Everything but that runs on the loop thread.
 *
 *        ks_writeback_begin            all packed               ingested             all released
 *   idle ------------------> packing -----------> storing -----------------> releasing -----------> idle
 *                                                   |  ^ failed: again, after a pause
 *                                                   +--+
 */
#ifndef STORAGE_WRITEBACK_H
#define STORAGE_WRITEBACK_H

#include "keyspace.h"
#include "kv.h"

struct keyspace_options {
    size_t block_cache_bytes;
    int background_threads;
    uint64_t level_bytes; /* of kv_options: about four write-backs */
    uint64_t
        place_seed; /* of the hash in row order, for a new keyspace: the same on all nodes of a cluster */
    void (*wake)(void *arg); /* called on the storage thread when ks_turn has something to do */
    void *wake_arg;
};

/* Opens or creates the keyspace stored at `path` (a folder of its own; `<path>.ingest` is used beside it). */
MUST_USE enum rc ks_open(const char *path, const struct keyspace_options *options, struct keyspace **out,
                         struct kv_error *error);
/* Waits for a running write-back's file, then closes. What is dirty is not written: that is ks_flush_all's. */
void ks_close(struct keyspace *ks);

/* Starts a write-back if none runs and anything was applied since the last, if only entries that change nothing (the log
 * is cut only behind what is stored); false otherwise. */
bool ks_writeback_begin(struct keyspace *ks);
/* Whether one runs, and whether ks_turn has work to do without waiting for the storage thread. */
bool ks_writeback_running(const struct keyspace *ks);
bool ks_has_work(const struct keyspace *ks);
/* A bounded step of whatever is to be done: packing, releasing, warming up. `steps` is in objects. */
void ks_turn(struct keyspace *ks, size_t steps);
/* Runs write-backs until everything applied so far is stored, blocking; RC_OK, or the failure's rc. */
MUST_USE enum rc ks_store_all(struct keyspace *ks, struct kv_error *error);

/* What the disk holds: entries at or before this index are not needed from the log any more. */
struct ks_applied ks_stored(const struct keyspace *ks);

/* Drops clean objects until memory_bytes <= target, looking at no more than `steps` buckets; returns the bytes freed. */
size_t ks_evict(struct keyspace *ks, uint64_t target_bytes, size_t steps);
/* Whether a background warm-up (loading rows into memory until `target_bytes`) has anything left to do. */
void ks_warm_again(struct keyspace *ks); /* from the beginning: memory was short, and is not any more */
bool ks_warm_step(struct keyspace *ks, uint64_t target_bytes, size_t rows);
/* Forgets all memory of clean keys, so that everything is read from disk again (DEBUG RELOAD, tests). */
void ks_forget(struct keyspace *ks);

struct writeback_stats {
    uint64_t count, rows, bytes; /* finished ones; bytes of the files */
    int64_t last_finished_s;     /* wall clock */
    bool failing;
    char failure[256];
};
void ks_writeback_stats(const struct keyspace *ks, struct writeback_stats *out);
uint64_t ks_kv_memory(const struct keyspace *ks);
uint64_t ks_level0_files(const struct keyspace *ks);
/* Makes a snapshot (snapshot.h) of what is stored, on the storage thread, behind the write-back that may be running there.
 * False while the one before has not been asked for. */
bool ks_snapshot_begin(struct keyspace *ks, const char *folder);
/* After a begin, once ks_turn was called: RC_BUSY until it has ended, then once its rc, as snapshot_make's. RC_STOPPED when
 * none was begun here: the keyspace is another one since. */
MUST_USE enum rc ks_snapshot_poll(struct keyspace *ks, struct kv_error *error);
MUST_USE enum rc ks_checkpoint(struct keyspace *ks, const char *path, struct kv_error *error);

#endif
