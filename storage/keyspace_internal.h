/* The keyspace's insides, shared by keyspace.c (keys and databases), table.c (finding objects), expiry.c (deadlines),
 * scan.c (order), writeback.c (to disk), snapshot*.c (its meta row), and the type_*.c files (values). Nobody else
 * includes this. */
#ifndef STORAGE_KEYSPACE_INTERNAL_H
#define STORAGE_KEYSPACE_INTERNAL_H

#include "hash.h"
#include "keyspace.h"
#include "kv.h"
#include "mem.h"
#include "tree.h"
#include "writeback.h"

enum { SLOT_COUNT = 16384, SLOT_BITS = 14, PLACE_HASH_BITS = 64 - SLOT_BITS };

/* --- table.c: the objects of one slot, in buckets ordered by the leading bits of their hash, so that walking
 * slots and buckets in order is walking rows in order. Big tables grow a few buckets at a time. --- */

struct slot_table {
    struct object **buckets; /* 1 << bits of them; NULL while the slot is empty */
    struct object **growing; /* twice as many while the table grows, else NULL */
    uint32_t count;
    uint32_t moved; /* buckets below this have moved to `growing` */
    uint8_t bits;
};

struct expiry_heap {
    struct expiry **items;
    size_t count, cap;
};

struct db {
    uint32_t id;      /* in row keys; a flushed database gets a new one, so its old rows never need a look */
    bool complete;    /* what is not in memory is not on disk either: a miss needs no disk */
    bool thinned;     /* a key was evicted since the warm-up last began here */
    bool warm_ended;  /* nothing is left to warm up */
    bool gone;        /* flushed, and the running write-back knows: its rows are deleted as a range */
    uint64_t keys;    /* live ones, in memory or not */
    uint64_t expires; /* live ones with a deadline */
    uint64_t objects; /* in memory, tombstones included */
    struct slot_table *slots; /* SLOT_COUNT, or NULL while nothing was ever in memory */
    uint64_t used[SLOT_COUNT / 64];
    struct expiry_heap heap;
    uint64_t warm_place;    /* up to here the warm-up has come */
    int64_t due_scanned_ms; /* rows of deadlines on disk have been looked at up to here */
    struct db *next_dropped;
};

uint64_t place_of(const struct keyspace *ks, struct slice key);
struct object *table_find(struct db *db, uint64_t place, struct slice key);
void table_insert(struct keyspace *ks, struct db *db, struct object *o);
void table_remove(struct keyspace *ks, struct db *db, struct object *o);
/* Objects (tombstones included) at places >= from, in order of place, whole buckets at a time until `want` are
 * found; *end is the first place not covered (0: the end of the table was reached). */
struct object_list {
    struct object **items;
    size_t count, cap;
};
void table_collect(struct db *db, uint64_t from, size_t want, struct object_list *out, uint64_t *end);
/* Visits buckets from *hand on, at most `steps` of them, for eviction; the visitor may remove objects of the
 * bucket it is given. Returns false when the hand wrapped around. */
typedef void bucket_visit_fn(struct keyspace *ks, struct db *db, struct object **bucket);
bool table_walk(struct keyspace *ks, struct db *db, uint64_t *hand, size_t steps, bucket_visit_fn *visit);
/* Frees buckets and objects, from any thread; returns the bytes, for the keyspace to subtract. */
size_t table_free(struct db *db);
size_t table_bucket_bytes(const struct slot_table *t);

/* --- the keyspace --- */

/* The databases that commands see, and behind them the server's own (system.h). */
enum { SYSTEM_DB = KS_DB_COUNT, DB_SLOTS };

struct dirty_ref {
    struct object *object;
    struct db *db;
};

struct dirty_list {
    struct dirty_ref *items;
    size_t count, cap;
};

/* Leaves of big collections are listed as objects are. */
struct leaf_ref {
    struct tree_leaf *leaf;
    struct collection *collection;
};

struct leaf_list {
    struct leaf_ref *items;
    size_t count, cap;
};

struct stored_deadline { /* a row of the deadline index whose key does not exist (any more) */
    struct buf row_key;
};

/* prepared.c: a copy of what an entry is about to set. */
struct prepared_value {
    struct slice from; /* in the entry; it tells by its place what the copy is of */
    char *bytes;       /* counted as a value's; NULL: there is none */
    size_t done;
};

struct keyspace {
    struct kv *kv;
    struct kv_iter
        *reader; /* rdb_export.c's: rows of collections are read through it; NULL: as they are now */
    struct db *dbs[DB_SLOTS];
    struct db *dropped;  /* flushed, since the last write-back began */
    struct db *dropping; /* flushed before the running write-back began: freed when it ends */
    uint32_t next_db_id;
    struct ks_limits limits;
    uint64_t place_seed; /* nobody outside the cluster can choose keys that share a place */
    struct ks_applied applied;
    bool mid_entry; /* an entry is being applied: the state is that of no index */
    ks_signal_fn *listener;
    void *listener_arg;
    ks_tell_fn *teller;
    void *teller_arg;
    const struct object *cleared; /* by ks_clear, and not made again yet */
    struct watcher {
        ks_watch_fn *fn;
        void *arg;
    } watchers[KS_WATCHER_COUNT];
    bool is_watched;    /* by any of them */
    struct buf members; /* the cluster's configuration, opaque, of the entry members_index */
    uint64_t members_index;
    bool members_changed; /* since the last write-back began */
    struct ks_stats stats;
    uint32_t now_s;
    bool lfu;
    struct kv_error fault; /* text empty: none */
    bool faulty;
    struct buf row_key, row_value; /* scratch for lookups on disk */
    struct rng rng;                /* LFU counters only: nothing stored depends on it */

    /* dirty objects: `epoch` marks those of the next write-back, `frozen_epoch` those of the running one */
    struct dirty_list dirty;
    struct leaf_list dirty_leaves;
    uint8_t epoch, frozen_epoch; /* 1..255; frozen_epoch 0: none running */
    struct tree_host host;       /* of all trees */
    struct buf
        dropped_collections; /* prefixes of rows to be deleted with the next write-back, each behind its length */
    struct collection *buried;   /* dead and on no list: to be freed in the background */
    struct writeback *writeback; /* writeback.c */
    uint32_t stale_row_count;
    struct buf *stale_rows; /* deadline rows without a key, to be deleted with the next write-back */

    /* eviction hand */
    int hand_db;
    uint64_t hand;

    uint64_t system_generation;
    struct prepared_value prepared;
};

/* prepared.c: the object's value becomes the copy of `value` that was made beforehand; false: there is none. */
bool prepared_take(struct keyspace *ks, struct object *o, struct slice value);

struct db *ks_db(struct keyspace *ks, int db);
/* The live object, loaded if need be, whatever its deadline; NULL when absent. */
struct object *ks_find(struct keyspace *ks, int db, uint64_t place, struct slice key);
void ks_tell_event(struct keyspace *ks, enum ks_event event, int db, struct slice key);
/* Deletes a key whose time is over. */
void ks_expire(struct keyspace *ks, int db, struct object *o);
/* Makes the key exist, with a value still to be set, dirty, without deadline. The key must have no live object
 * (ks_find said so). There is room for `room` bytes of value inside when that is not too big. */
struct object *ks_create(struct keyspace *ks, int db, uint64_t place, struct slice key, size_t room);
/* Frees what the value holds outside the object; the object then has no value and no type. */
void object_drop_value(struct keyspace *ks, struct object *o);
/* Where a value inside the object starts. */
static inline char *object_inside(const struct object *o) {
    return (char *)(size_t)o->key + o->key_len;
}
size_t object_inside_cap(const struct object *o); /* and how much fits there */
static inline bool object_has_outside_bytes(const struct object *o) {
    if (o->type == OBJECT_STRING) return o->encoding != ENCODING_INT && o->as.bytes != object_inside(o);
    return o->type != OBJECT_NONE && !(o->flags & OBJECT_BIG) && o->as.bytes != NULL;
}
/* One huge row must not hold memory for ever. */
void ks_trim_scratch(struct buf *b);
/* Allocations of values, counted in stats.memory_bytes. */
void *value_alloc(struct keyspace *ks, size_t size);
void *value_realloc(struct keyspace *ks, void *p, size_t size);
void value_free(struct keyspace *ks, void *p);
/* The value grew by so many bytes after ks_edit: paces write-back. */
static inline void ks_note_growth(struct keyspace *ks, size_t bytes) {
    ks->stats.dirty_bytes += bytes;
}

struct object *object_new(struct keyspace *ks, uint64_t place, struct slice key, size_t room);
void object_free(struct keyspace *ks, struct object *o);
/* Replaces the value of a live, edited string (or just created object); type_string.c. */
void string_assign(struct keyspace *ks, struct object *o, struct slice value);
void string_assign_encoded(struct keyspace *ks, struct object *o, struct slice value, uint8_t encoding);

/* --- rows (rows.c): keys and values as bytes; tables in README.md --- */

enum { ROW_META = 'M', ROW_KEY = 'K', ROW_DEADLINE = 'T', ROW_ELEMENT = 'E', ROW_HEAD_SIZE = 1 + 4 + 8 };

void row_key_of(struct buf *out, uint32_t db_id, uint64_t place, struct slice key); /* replaces *out */
void row_deadline_of(struct buf *out, uint32_t db_id, int64_t deadline_ms, uint64_t place, struct slice key);
void row_db_prefix(struct buf *out, uint8_t tag, uint32_t db_id);
bool row_parse_key(struct slice row, uint32_t *db_id, uint64_t *place, struct slice *key);
bool row_parse_deadline(struct slice row, uint32_t *db_id, int64_t *deadline_ms, uint64_t *place,
                        struct slice *key);
void row_value_add(struct buf *out, const struct object *o); /* appends */
/* What is in front of an object's bytes; of one that has no container and is no integer. */
void row_value_head(struct buf *out, const struct object *o);
/* A clean, stored object that is in no table yet; NULL when the row is malformed. */
enum row_depth { ROW_WHOLE, ROW_HEADER /* the container of a big value is left out: NULL */ };
struct object *row_object(struct keyspace *ks, struct db *db, uint64_t place, struct slice key,
                          struct slice value, enum row_depth depth);

struct meta {
    struct ks_applied applied;
    uint64_t place_seed;
    uint32_t next_db_id;
    struct {
        uint32_t id;
        uint64_t keys, expires;
    } dbs[DB_SLOTS];
    struct ks_limits limits;
    uint64_t members_index;
    struct slice members; /* borrowed; of the row when decoded */
};
void meta_encode(struct buf *out, const struct meta *m);
/* RC_CORRUPT, with the reason, for what is none, or of a version that this program does not read. */
MUST_USE enum rc meta_decode(struct slice row, struct meta *m, struct kv_error *error);

/* Remembers a failed read; the caller answers as if there were nothing. */
void ks_fail(struct keyspace *ks, const char *what, const struct kv_error *error);

/* --- scan.c --- */

/* Every key, expired ones too, with its value. */
void ks_visit_all(struct keyspace *ks, int db, ks_visit_fn *visit, void *arg);

/* --- system.c --- */

void system_opened(struct keyspace *ks); /* a state that was not seen before */

/* --- expiry.c --- */

void expiry_attach(struct keyspace *ks, struct db *db, struct object *o, int64_t deadline_ms,
                   int64_t stored_ms);
void expiry_detach(struct keyspace *ks, struct db *db, struct object *o); /* frees it, whatever it says */
void expiry_set(struct keyspace *ks, struct db *db, struct object *o, int64_t deadline_ms);

/* --- writeback.c --- */

void writeback_pack_now(struct keyspace *ks, struct object *o,
                        struct db *db); /* before a frozen object changes */
void writeback_pack_leaf_now(struct keyspace *ks, const struct leaf_ref *ref);
/* All that a running write-back has still to pack of it. */
void writeback_pack_leaves_now(struct keyspace *ks, const struct collection *c);

#endif
