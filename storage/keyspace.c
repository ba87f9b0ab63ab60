/* Keys and databases: looking up, loading, creating, deleting, and the books about them. The disk side is in
 * writeback.c, deadlines in expiry.c, order in scan.c, values in type_*.c. */
#include "collection.h"

#include <stdio.h>

enum {
    INSIDE_MAX = 512
}; /* bigger values live in an allocation of their own, so that they can shrink and grow */

struct db *ks_db(struct keyspace *ks, int db) {
    CHECK(db >= 0);
    CHECK(db < DB_SLOTS);
    return ks->dbs[db];
}

void ks_fail(struct keyspace *ks, const char *what, const struct kv_error *error) {
    ks->faulty = true;
    snprintf(ks->fault.text, sizeof ks->fault.text, "%s: %.200s", what,
             error ? error->text : "malformed row");
}

const char *ks_fault(const struct keyspace *ks) {
    return ks->faulty ? ks->fault.text : NULL;
}
void ks_clear_fault(struct keyspace *ks) {
    ks->faulty = false;
}

/* --- memory of values and objects --- */

void ks_trim_scratch(struct buf *b) {
    enum { KEEP_MAX = 1 << 20 };
    if (b->cap > KEEP_MAX) buf_free(b);
}

void *value_alloc(struct keyspace *ks, size_t size) {
    void *p = mem_alloc(size);
    ks->stats.memory_bytes += mem_size(p);
    return p;
}

void *value_realloc(struct keyspace *ks, void *old, size_t size) {
    ks->stats.memory_bytes -= mem_size(old);
    void *p = mem_realloc(old, size);
    ks->stats.memory_bytes += mem_size(p);
    return p;
}

void value_free(struct keyspace *ks, void *p) {
    ks->stats.memory_bytes -= mem_size(p);
    mem_free(p);
}

size_t object_inside_cap(const struct object *o) {
    return mem_size(o) - offsetof(struct object, key) - o->key_len;
}

struct object *object_new(struct keyspace *ks, uint64_t place, struct slice key, size_t room) {
    CHECK(key.len <= UINT32_MAX);
    size_t size = offsetof(struct object, key) + key.len + (room <= INSIDE_MAX ? room : 0);
    if (size < sizeof(struct object)) size = sizeof(struct object);
    struct object *o = mem_alloc(size);
    ks->stats.memory_bytes += mem_size(o);
    memset(o, 0, sizeof *o);
    o->place = place;
    o->key_len = (uint32_t)key.len;
    if (key.len != 0) memcpy(o->key, key.data, key.len);
    o->access_s = ks->now_s;
    o->freq = 5; /* where Redis starts a new key's counter */
    o->flags = OBJECT_REFERENCED;
    return o;
}

void object_drop_value(struct keyspace *ks, struct object *o) {
    if (object_is_big(o))
        collection_die(ks, o);
    else if (object_has_outside_bytes(o))
        value_free(ks, o->as.bytes);
    o->as.bytes = NULL;
    o->type = OBJECT_NONE;
    o->flags &= (uint8_t)~OBJECT_BIG;
    o->len = o->cap = 0;
}

void object_free(struct keyspace *ks, struct object *o) {
    CHECK(o->expiry == NULL);
    CHECK(o->dirty == 0);
    if (object_is_big(o))
        collection_forget(ks, o);
    else
        object_drop_value(ks, o);
    ks->stats.memory_bytes -= mem_size(o);
    mem_free(o);
}

/* --- looking up --- */

static struct object *load(struct keyspace *ks, struct db *db, uint64_t place, struct slice key) {
    struct kv_error error;
    row_key_of(&ks->row_key, db->id, place, key);
    enum rc rc = kv_get(ks->kv, buf_slice(&ks->row_key), &ks->row_value, &error);
    if (rc == RC_NOT_FOUND) {
        ks->stats.load_misses++;
        return NULL;
    }
    if (rc != RC_OK) {
        ks_fail(ks, "reading a key from disk failed", &error);
        return NULL;
    }
    struct object *o = row_object(ks, db, place, key, buf_slice(&ks->row_value), ROW_WHOLE);
    ks_trim_scratch(&ks->row_value);
    ks_trim_scratch(&ks->row_key);
    if (o == NULL) {
        ks_fail(ks, "a row on disk is malformed", NULL);
        return NULL;
    }
    ks->stats.loads++;
    struct expiry *e = o->expiry;
    if (e != NULL) expiry_attach(ks, db, o, e->deadline_ms, e->stored_ms);
    table_insert(ks, db, o);
    return o;
}

struct object *ks_find(struct keyspace *ks, int db_index, uint64_t place, struct slice key) {
    struct db *db = ks_db(ks, db_index);
    struct object *o = table_find(db, place, key);
    if (o != NULL) return o->type == OBJECT_NONE ? NULL : o;
    return db->complete ? NULL : load(ks, db, place, key);
}

/* Redis's logarithmic counter: the busier the key, the rarer a step. */
static void touch_frequency(struct keyspace *ks, struct object *o) {
    enum { LFU_LOG_FACTOR = 10, LFU_START = 5 };
    if (o->freq == 255) return;
    uint64_t above = o->freq > LFU_START ? (uint64_t)(o->freq - LFU_START) : 0;
    if (rng_below(&ks->rng, above * LFU_LOG_FACTOR + 1) == 0) o->freq++;
}

static inline void touch(struct keyspace *ks, struct object *o) {
    o->access_s = ks->now_s;
    o->flags |= OBJECT_REFERENCED;
    if (ks->lfu) touch_frequency(ks, o);
}

static inline bool is_past(const struct object *o, int64_t now_ms) {
    return o->expiry != NULL && o->expiry->deadline_ms >= 0 && o->expiry->deadline_ms <= now_ms;
}

struct object *ks_peek(struct keyspace *ks, int db, struct slice key, int64_t now_ms) {
    struct object *o = ks_find(ks, db, place_of(ks, key), key);
    return o == NULL || is_past(o, now_ms) ? NULL : o;
}

struct object *ks_inspect(struct keyspace *ks, int db, struct slice key, int64_t now_ms) {
    struct object *o = ks_peek(ks, db, key, now_ms);
    if (o == NULL) {
        ks->stats.misses++;
    } else {
        ks->stats.hits++;
    }
    return o;
}

struct object *ks_look(struct keyspace *ks, int db, struct slice key, int64_t now_ms) {
    struct object *o = ks_inspect(ks, db, key, now_ms);
    if (o == NULL) ks_tell_event(ks, KS_EVENT_MISSED, db, key);
    return o;
}

struct object *ks_read(struct keyspace *ks, int db, struct slice key, int64_t now_ms) {
    struct object *o = ks_look(ks, db, key, now_ms);
    if (o != NULL) touch(ks, o);
    return o;
}

struct object *ks_write(struct keyspace *ks, int db, struct slice key, int64_t now_ms) {
    struct object *o = ks_find(ks, db, place_of(ks, key), key);
    if (o == NULL) return NULL;
    if (is_past(o, now_ms)) {
        ks_expire(ks, db, o);
        return NULL;
    }
    touch(ks, o);
    return o;
}

struct object *ks_consult(struct keyspace *ks, int db, struct slice key, int64_t now_ms) {
    struct object *o = ks_write(ks, db, key, now_ms);
    if (o == NULL) {
        ks->stats.misses++;
        ks_tell_event(ks, KS_EVENT_MISSED, db, key);
    } else {
        ks->stats.hits++;
    }
    return o;
}

/* --- changing --- */

void ks_listen(struct keyspace *ks, ks_signal_fn *fn, void *arg) {
    ks->listener = fn;
    ks->listener_arg = arg;
}

void ks_signal(struct keyspace *ks, int db, struct slice key) {
    if (ks->listener != NULL) ks->listener(ks->listener_arg, db, key);
}

void ks_watch(struct keyspace *ks, enum ks_watcher who, ks_watch_fn *fn, void *arg) {
    ks->watchers[who] = (struct watcher){fn, arg};
    ks->is_watched = false;
    for (int i = 0; i < KS_WATCHER_COUNT; i++) ks->is_watched |= ks->watchers[i].fn != NULL;
}

static void tell_watchers(struct keyspace *ks, enum ks_change change, int db, int with, struct slice key) {
    for (int i = 0; i < KS_WATCHER_COUNT; i++) {
        const struct watcher *w = &ks->watchers[i];
        if (w->fn != NULL) w->fn(w->arg, change, db, with, key);
    }
}

static inline void tell_watcher(struct keyspace *ks, enum ks_change change, int db, int with,
                                struct slice key) {
    if (ks->is_watched) tell_watchers(ks, change, db, with, key);
}

void ks_tell(struct keyspace *ks, ks_tell_fn *fn, void *arg) {
    ks->teller = fn;
    ks->teller_arg = arg;
}

void ks_tell_event(struct keyspace *ks, enum ks_event event, int db, struct slice key) {
    if (ks->teller != NULL && db < KS_DB_COUNT) ks->teller(ks->teller_arg, event, db, key);
}

static void dirty_add(struct keyspace *ks, struct db *db, struct object *o) {
    struct dirty_list *l = &ks->dirty;
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 1024;
        l->items = mem_realloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = (struct dirty_ref){o, db};
    o->dirty = ks->epoch;
}

/* Before it is not what it was any more: a running write-back still has to store that. */
static void pack_as_frozen(struct keyspace *ks, struct db *db, struct object *o) {
    bool is_frozen = o->dirty != 0 && o->dirty != ks->epoch;
    if (is_frozen && !(o->flags & OBJECT_PACKED)) writeback_pack_now(ks, o, db);
}

static void edit(struct keyspace *ks, int db_index, struct object *o) {
    struct db *db = ks_db(ks, db_index);
    ks->stats.changes++;
    if (o->dirty == ks->epoch) return;
    pack_as_frozen(ks, db, o);
    dirty_add(ks, db, o);
    ks->stats.dirty_bytes += (size_t)o->key_len + o->len + sizeof *o;
}

void ks_edit(struct keyspace *ks, int db_index, struct object *o) {
    tell_watcher(ks, KS_CHANGE_KEY, db_index, -1, object_key(o));
    edit(ks, db_index, o);
}

struct object *ks_create(struct keyspace *ks, int db_index, uint64_t place, struct slice key, size_t room) {
    struct db *db = ks_db(ks, db_index);
    struct object *o = table_find(db, place, key);
    if (o == NULL) {
        o = object_new(ks, place, key, room);
        table_insert(ks, db, o);
    }
    CHECK(o->type == OBJECT_NONE);
    ks_edit(ks, db_index, o);
    db->keys++;
    touch(ks, o);
    ks_signal(ks, db_index, key);
    if (o != ks->cleared) ks_tell_event(ks, KS_EVENT_NEW, db_index, key);
    ks->cleared = NULL;
    return o;
}

void ks_delete(struct keyspace *ks, int db_index, struct object *o) {
    struct db *db = ks_db(ks, db_index);
    CHECK(o->type != OBJECT_NONE);
    if (o->type == OBJECT_STREAM) ks_signal(ks, db_index, object_key(o));
    tell_watcher(ks, KS_CHANGE_GONE, db_index, -1, object_key(o));
    edit(ks, db_index, o);
    expiry_set(ks, db, o, -1);
    object_drop_value(ks, o);
    CHECK(db->keys > 0);
    db->keys--;
}

void ks_clear(struct keyspace *ks, int db, struct object *o) {
    ks_delete(ks, db, o);
    ks->cleared = o;
}

void ks_expire(struct keyspace *ks, int db, struct object *o) {
    ks->stats.expired++;
    ks_delete(ks, db, o);
    ks_tell_event(ks, KS_EVENT_EXPIRED, db, object_key(o));
}

struct object *ks_copy(struct keyspace *ks, const struct object *o, int to_db, struct slice to_key) {
    int64_t deadline_ms = object_deadline(o);
    char scratch[32];
    if (o->type != OBJECT_STRING) return collection_copy(ks, o, to_db, to_key);
    struct object *to = string_set(ks, to_db, to_key, string_get(o, scratch), false);
    if (o->encoding != to->encoding && o->encoding != ENCODING_INT)
        string_assign_encoded(ks, to, slice_make(o->as.bytes, o->len), o->encoding);
    ks_set_deadline(ks, to_db, to, deadline_ms);
    return to;
}

struct object *ks_move(struct keyspace *ks, int db, struct object *o, int to_db, struct slice to_key) {
    struct object *to;
    if (object_is_big(o)) {
        pack_as_frozen(ks, ks_db(ks, db), o);
        to = collection_move(ks, o, to_db, to_key);
    } else {
        to = ks_copy(ks, o, to_db, to_key);
    }
    ks_delete(ks, db, o);
    return to;
}

/* --- databases --- */

uint64_t ks_count(const struct keyspace *ks, int db) {
    return ks->dbs[db]->keys;
}
uint64_t ks_count_expires(const struct keyspace *ks, int db) {
    return ks->dbs[db]->expires;
}

void ks_flush(struct keyspace *ks, int db_index) {
    struct db *old = ks_db(ks, db_index);
    ks->stats.changes += old->keys;
    if (old->keys == 0) return; /* not a question of memory: every node must give out the same numbers */
    tell_watcher(ks, KS_CHANGE_DATABASE, db_index, -1, (struct slice){0});
    ks->stats.flush_dropped += old->keys;
    ks->stats.flush_pending += old->keys;
    old->next_dropped = ks->dropped;
    ks->dropped = old;
    struct db *fresh = mem_calloc(1, sizeof *fresh);
    fresh->id = ks->next_db_id++;
    fresh->complete = true;
    ks->dbs[db_index] = fresh;
    ks_signal(ks, db_index, (struct slice){0});
}

void ks_swap(struct keyspace *ks, int a, int b) {
    struct db *x = ks_db(ks, a), *y = ks_db(ks, b);
    tell_watcher(ks, KS_CHANGE_DATABASE, a, b, (struct slice){0});
    tell_watcher(ks, KS_CHANGE_DATABASE, b, a, (struct slice){0});
    ks->dbs[a] = y;
    ks->dbs[b] = x;
    ks->stats.changes++;
    ks_signal(ks, a, (struct slice){0});
    ks_signal(ks, b, (struct slice){0});
}

/* --- apply, clocks, statistics --- */

struct ks_applied ks_applied(const struct keyspace *ks) {
    return ks->applied;
}

bool ks_is_mid_entry(const struct keyspace *ks) {
    return ks->mid_entry;
}

void ks_begin_entry(struct keyspace *ks) {
    ks->mid_entry = true;
}

void ks_set_members(struct keyspace *ks, uint64_t index, struct slice bytes) {
    CHECK(ks->mid_entry);
    CHECK(index > ks->members_index);
    CHECK(index >= ks->applied.index);
    CHECK(bytes.len <= KS_MEMBERS_MAX);
    buf_clear(&ks->members);
    buf_add_slice(&ks->members, bytes);
    ks->members_index = index;
    ks->members_changed = true;
}

struct slice ks_members(const struct keyspace *ks, uint64_t *index) {
    *index = ks->members_index;
    return buf_slice(&ks->members);
}

const struct ks_limits ks_limits_default = {
    .hash_max_listpack_entries = 512,
    .hash_max_listpack_value = 64,
    .list_max_listpack_size = -2,
    .set_max_intset_entries = 512,
    .zset_max_listpack_entries = 128,
    .zset_max_listpack_value = 64,
    .stream_node_max_bytes = 4096,
    .stream_node_max_entries = 100,
    .hll_sparse_max_bytes = 3000,
};

const struct ks_limits *ks_limits(const struct keyspace *ks) {
    return &ks->limits;
}

void ks_set_limits(struct keyspace *ks, const struct ks_limits *limits) {
    CHECK(ks->mid_entry);
    ks->limits = *limits;
}

void ks_set_applied(struct keyspace *ks, struct ks_applied applied) {
    ks->mid_entry = false;
    CHECK(applied.index >= ks->applied.index);
    CHECK(applied.term >= ks->applied.term);
    ks->applied = applied;
}

void ks_set_clock(struct keyspace *ks, uint32_t now_s, bool lfu) {
    ks->now_s = now_s;
    ks->lfu = lfu;
}

uint32_t ks_clock_s(const struct keyspace *ks) {
    return ks->now_s;
}

void ks_stats(const struct keyspace *ks, struct ks_stats *out) {
    *out = ks->stats;
    out->dirty_keys = ks->dirty.count;
}

void ks_reset_stats(struct keyspace *ks) {
    ks->stats.hits = ks->stats.misses = ks->stats.expired = ks->stats.evicted = 0;
    ks->stats.loads = ks->stats.load_misses = 0;
    ks->stats.flush_dropped = ks->stats.flush_pending; /* those are freed yet */
}
