/* The data as commands see it: 16 databases of keys, in memory first, with RocksDB underneath. A key that is not
 * in memory is loaded when it is first needed; what changes is marked dirty and written back later, as the state
 * of exactly one log index (writeback.h); what is clean may be evicted. All of it belongs to the loop thread.
 *
 * Reading the disk can fail in the middle of a command. The keyspace then keeps the fault (ks_fault) and answers as
 * if the key were absent; whoever executes commands asks for the fault after each one and throws the answer away:
 * a read is answered with an error, a node that cannot apply an entry stops.
 *
 * Expiry: a key whose deadline is at or before `now_ms` does not exist. For a write, `now_ms` is the entry's clock,
 * and such a key is really deleted; for a read it is the leader's clock, and the key is only hidden. */
#ifndef STORAGE_KEYSPACE_H
#define STORAGE_KEYSPACE_H

#include "check.h"
#include "object.h"
#include "rng.h"

enum { KS_DB_COUNT = 16 };

struct keyspace;

/* --- keys --- */

/* For a command that only reads; NULL when absent or expired. Touches the access clock. */
struct object *ks_read(struct keyspace *ks, int db, struct slice key, int64_t now_ms);
/* As ks_read, but leaves the access clock alone (OBJECT, TTL, TYPE and other onlookers). */
struct object *ks_look(struct keyspace *ks, int db, struct slice key, int64_t now_ms);
/* As ks_look, and does not count as a hit or a miss either (DEBUG, MEMORY). */
struct object *ks_peek(struct keyspace *ks, int db, struct slice key, int64_t now_ms);
/* As ks_look, and whether it is there or not is told to nobody (ks_tell): OBJECT. */
struct object *ks_inspect(struct keyspace *ks, int db, struct slice key, int64_t now_ms);
/* For a command that may write: deletes the key if it is expired. Touches the access clock. */
struct object *ks_write(struct keyspace *ks, int db, struct slice key, int64_t now_ms);
/* Of a command that may write, what it only reads: as ks_write, and counts as a hit or a miss. */
struct object *ks_consult(struct keyspace *ks, int db, struct slice key, int64_t now_ms);

/* Before any change to an existing object. */
void ks_edit(struct keyspace *ks, int db, struct object *o);
void ks_delete(struct keyspace *ks, int db, struct object *o);
/* As ks_delete, for who makes the key again at once with another value: it is no new key then. */
void ks_clear(struct keyspace *ks, int db, struct object *o);
/* deadline_ms -1 removes it. */
void ks_set_deadline(struct keyspace *ks, int db, struct object *o, int64_t deadline_ms);
/* Makes (to_db, to_key) hold what o holds, value, encoding and deadline alike; whatever was there is replaced. */
struct object *ks_copy(struct keyspace *ks, const struct object *o, int to_db, struct slice to_key);
/* As ks_copy and then ks_delete of what it held before; a big collection is not copied for it. */
struct object *ks_move(struct keyspace *ks, int db, struct object *o, int to_db, struct slice to_key);

/* Touches the memory in which these keys would be found, all of them side by side: a lookup is a chain of cache misses,
 * and those of several keys can be under way at once. Changes nothing; a wrong guess costs a little time. */
enum { KS_PREFETCH_MAX = 16 };
struct ks_hint {
    int db;
    struct slice key;
};
void ks_prefetch(const struct keyspace *ks, const struct ks_hint *hints, size_t count);

/* Told each time something may be there that was not before, under a key or (key.data NULL) anywhere in a database: a key came
 * into being, a stream grew, a database was exchanged; also when a stream went, for somebody may wait in a group of it. While
 * nobody listens (fn NULL) it costs nothing. The keyspace is in the middle of a change: `fn` only takes a note. */
typedef void ks_signal_fn(void *arg, int db, struct slice key);
void ks_listen(struct keyspace *ks, ks_signal_fn *fn, void *arg);
void ks_signal(struct keyspace *ks, int db, struct slice key);

/* Told before each change of what is under a key, for whoever watches keys (each has a place of its own): it is about to be changed or replaced
 * (KS_CHANGE_KEY), to go (KS_CHANGE_GONE; it may come again at once), or the whole database is about to become what `with`
 * is, or empty when that is negative (KS_CHANGE_DATABASE, without a key). While nobody listens it costs nothing. `fn` may
 * look at keys with ks_peek and changes nothing. */
enum ks_change { KS_CHANGE_KEY, KS_CHANGE_GONE, KS_CHANGE_DATABASE };
typedef void ks_watch_fn(void *arg, enum ks_change change, int db, int with, struct slice key);
enum ks_watcher { KS_WATCHER_WATCH, KS_WATCHER_TRACKING, KS_WATCHER_COUNT };
void ks_watch(struct keyspace *ks, enum ks_watcher who, ks_watch_fn *fn, void *arg);

/* Told what becomes of keys whatever the command: one came into being that was not there, one was deleted because its time was
 * over, one was looked up for reading and is not there. Keys of the server itself (system.h) are nobody's business. While
 * nobody listens it costs nothing. `fn` changes nothing; it may look at no keys. */
enum ks_event { KS_EVENT_NEW, KS_EVENT_EXPIRED, KS_EVENT_MISSED };
typedef void ks_tell_fn(void *arg, enum ks_event event, int db, struct slice key);
void ks_tell(struct keyspace *ks, ks_tell_fn *fn, void *arg);

/* When values change the way they are kept (and what OBJECT ENCODING calls them). Every node must do that at the same entry,
 * so the limits are part of the state, not of a node's configuration: a leader whose configuration says otherwise proposes
 * them. Numbers as the settings of the same names mean them. */
struct ks_limits {
    int64_t hash_max_listpack_entries, hash_max_listpack_value;
    int64_t list_max_listpack_size;
    int64_t set_max_intset_entries;
    int64_t zset_max_listpack_entries, zset_max_listpack_value;
    int64_t stream_node_max_bytes, stream_node_max_entries;
    int64_t hll_sparse_max_bytes;
};
extern const struct ks_limits ks_limits_default;
const struct ks_limits *ks_limits(const struct keyspace *ks);
/* While applying an entry. */
void ks_set_limits(struct keyspace *ks, const struct ks_limits *limits);

/* --- strings (type_string.c) --- */

enum { STRING_LEN_MAX = 512 * 1024 * 1024 };

/* Creates or replaces the key (of any type) with a string, encoded as Redis would. Without `keep_deadline` the
 * deadline is removed. */
struct object *string_set(struct keyspace *ks, int db, struct slice key, struct slice value,
                          bool keep_deadline);
/* As string_set without `keep_deadline`, for who has not looked at the key before (ks_write): one that is expired is deleted
 * first. */
struct object *string_put(struct keyspace *ks, int db, struct slice key, struct slice value, int64_t now_ms);
struct object *string_set_int(struct keyspace *ks, int db, struct slice key, int64_t value,
                              bool keep_deadline);
/* As string_set, but a text stays a text, also one that spells an integer (what INCRBYFLOAT stores). */
struct object *string_set_text(struct keyspace *ks, int db, struct slice key, struct slice value,
                               bool keep_deadline);
/* And what Redis calls raw whatever its length (BITOP's result, a HyperLogLog). */
struct object *string_set_raw(struct keyspace *ks, int db, struct slice key, struct slice value,
                              bool keep_deadline);
/* prepared.c: what an entry is about to set under this key, a long value, is copied beforehand, so that setting it takes no
 * time: at most bytes_max bytes by each call. True when nothing is left to do. `value` has to stay where it is until it was
 * set or ks_forget_prepared was called. There is one at a time; another one takes its place. */
bool ks_prepare_string(struct keyspace *ks, int db, struct slice key, struct slice value, size_t bytes_max);
void ks_forget_prepared(struct keyspace *ks);
/* The value as text; an int-encoded one is spelled into `scratch` (NUM_I64_MAX_LEN bytes). */
struct slice string_get(const struct object *o, char *scratch);
size_t string_len(const struct object *o);
/* True and *out when the value is an integer, however it is encoded. */
bool string_int(const struct object *o, int64_t *out);
/* Both leave the object raw-encoded. Lengths are the caller's to check against STRING_LEN_MAX. */
void string_append(struct keyspace *ks, int db, struct object *o, struct slice tail);
/* Grows with zero bytes up to offset when needed. */
void string_write_at(struct keyspace *ks, int db, struct object *o, size_t offset, struct slice bytes);
/* The key's bytes to write into, raw-encoded from now on and grown with zero bytes to `len` when there are fewer. `o` is the
 * string the key holds, or NULL when it holds nothing: then it is made. Good until the keyspace is touched again. */
char *string_open(struct keyspace *ks, int db, struct slice key, struct object *o, size_t len);

/* --- of any type (object.c) --- */

const char *object_type_name(const struct object *o);     /* "string" ... as TYPE answers */
const char *object_encoding_name(const struct object *o); /* "int" ... as OBJECT ENCODING answers */
/* Bytes of memory the key takes, as MEMORY USAGE answers. */
size_t object_memory(const struct object *o);

/* --- databases --- */

uint64_t ks_count(const struct keyspace *ks, int db);         /* DBSIZE: expired keys not yet deleted count */
uint64_t ks_count_expires(const struct keyspace *ks, int db); /* keys with a deadline */
int64_t ks_avg_ttl_ms(const struct keyspace *ks, int db, int64_t now_ms);
void ks_flush(struct keyspace *ks, int db); /* O(1): memory and rows go in the background */
void ks_swap(struct keyspace *ks, int a, int b);

/* What a visit may look at: key, type, encoding, deadline; not the value, which may be left out.
 *
 * Calls `visit` for keys from position `cursor` on, in row order, about `count` of them (all keys of one position
 * come together; positions are below 2^52), expired ones left out, and returns the next cursor, 0 at the end. The object is good during the
 * call only; visit must not change the keyspace. Returning false stops early; the cursor returned is then 0. */
typedef bool ks_visit_fn(void *arg, const struct object *o);
uint64_t ks_scan(struct keyspace *ks, int db, uint64_t cursor, size_t count, int64_t now_ms,
                 ks_visit_fn *visit, void *arg);
/* Likewise, but a page ends where `count` keys were visited, whatever else is in memory: it is the same on every node. */
uint64_t ks_scan_exactly(struct keyspace *ks, int db, uint64_t cursor, size_t count, int64_t now_ms,
                         ks_visit_fn *visit, void *arg);
/* A random key that is not expired; NULL when there is none. */
const struct object *ks_random(struct keyspace *ks, int db, int64_t now_ms, struct rng *rng);

/* --- expiry --- */

/* Finds keys that are due (deadline <= now_ms), at most `max`, for the leader to propose their removal. */
typedef void ks_due_fn(void *arg, int db, struct slice key);
size_t ks_due(struct keyspace *ks, int64_t now_ms, size_t max, ks_due_fn *due, void *arg);

/* An order-independent digest of all data (values, types, deadlines), equal on nodes with equal data. */
void ks_digest(struct keyspace *ks, uint8_t out[20]);
uint64_t object_digest(const struct object *o);
uint64_t object_value_digest(const struct object *o); /* and its deadline, whatever its key */

/* --- what apply needs --- */

/* Position of the last entry applied, with the term and the clock it carried. */
struct ks_applied {
    uint64_t index, term;
    int64_t clock_ms;
};
struct ks_applied ks_applied(const struct keyspace *ks);
/* From here to ks_set_applied the state is that of no index, and no write-back may begin. */
/* An entry is being applied. */
bool ks_is_mid_entry(const struct keyspace *ks);
void ks_begin_entry(struct keyspace *ks);
/* The cluster's configuration as of the entry being applied: bytes that only their maker understands, with the index of
 * the entry that brought them. Part of the state like any key: between ks_begin_entry and ks_set_applied, stored with
 * the applied index, in snapshots. Copies. */
enum { KS_MEMBERS_MAX = 64 << 10 };
void ks_set_members(struct keyspace *ks, uint64_t index, struct slice bytes);
/* Index 0 and no bytes when there was never one. Good until the next ks_set_members. */
struct slice ks_members(const struct keyspace *ks, uint64_t *index);
void ks_set_applied(struct keyspace *ks, struct ks_applied applied);
/* The text of a failed disk read since ks_clear_fault, or NULL. */
const char *ks_fault(const struct keyspace *ks);
void ks_clear_fault(struct keyspace *ks);

/* Server seconds for access clocks; whether LFU counters are kept instead of LRU ones. */
void ks_set_clock(struct keyspace *ks, uint32_t now_s, bool lfu);
uint32_t ks_clock_s(const struct keyspace *ks);

struct ks_stats {
    uint64_t hits, misses;       /* keyspace lookups by reads */
    uint64_t loads, load_misses; /* rows fetched from disk; disk asked in vain */
    uint64_t evicted, expired; /* clean keys dropped from memory; keys deleted because their time had come */
    uint64_t dirty_keys, dirty_bytes;
    uint64_t memory_bytes; /* objects, keys, values, buckets */
    uint64_t objects;      /* in memory, tombstones included */
    uint64_t changes; /* edits since start: rdb_changes_since_last_save counts from the last write-back */
    uint64_t changes_stored;
    uint64_t flush_dropped; /* keys dropped by ks_flush and freed in the background, since ks_reset_stats */
    uint64_t flush_pending; /* of these, not freed yet */
};
void ks_stats(const struct keyspace *ks, struct ks_stats *out);
void ks_reset_stats(struct keyspace *ks); /* CONFIG RESETSTAT: hits, misses, expired, evicted */

#endif
