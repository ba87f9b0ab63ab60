/* Memory as a cache of the disk: evicting clean keys when there is too much, warming up when there is room.
 * Neither changes what any command answers. */
#include "collection.h"

static bool is_evictable(const struct object *o) {
    /* What is packed stays dirty until the disk has it. */
    if (o->type == OBJECT_NONE || o->dirty != 0) return false;
    return !object_is_big(o) || object_collection(o)->listed == 0;
}

static void evict(struct keyspace *ks, struct db *db, struct object *o) {
    db->complete = false;
    db->thinned = true;
    /* From here on its row must be found by the look at those on disk, which may be past it already. */
    int64_t deadline_ms = object_deadline(o);
    if (deadline_ms >= 0 && deadline_ms < db->due_scanned_ms) db->due_scanned_ms = deadline_ms;
    expiry_detach(ks, db, o);
    table_remove(ks, db, o);
    object_free(ks, o);
    ks->stats.evicted++;
}

/* Second chance: what was used since the hand last came by stays for another round. */
static void evict_bucket(struct keyspace *ks, struct db *db, struct object **bucket) {
    for (struct object *o = *bucket, *next; o != NULL; o = next) {
        next = o->chain;
        if (!is_evictable(o)) continue;
        if (o->flags & OBJECT_REFERENCED)
            o->flags &= (uint8_t)~OBJECT_REFERENCED;
        else
            evict(ks, db, o);
    }
}

static void forget_bucket(struct keyspace *ks, struct db *db, struct object **bucket) {
    for (struct object *o = *bucket, *next; o != NULL; o = next) {
        next = o->chain;
        if (is_evictable(o)) evict(ks, db, o);
    }
}

size_t ks_evict(struct keyspace *ks, uint64_t target_bytes, size_t steps) {
    enum { STRIDE = 16 };
    uint64_t before = ks->stats.memory_bytes;
    for (; ks->stats.memory_bytes > target_bytes && steps >= STRIDE; steps -= STRIDE)
        if (!table_walk(ks, ks->dbs[ks->hand_db], &ks->hand, STRIDE, evict_bucket)) {
            ks->hand = 0;
            ks->hand_db = (ks->hand_db + 1) % DB_SLOTS;
        }
    return before - ks->stats.memory_bytes;
}

void ks_forget(struct keyspace *ks) {
    uint64_t evicted = ks->stats.evicted;
    for (int i = 0; i < DB_SLOTS; i++) {
        uint64_t hand = 0;
        while (table_walk(ks, ks->dbs[i], &hand, SLOT_COUNT, forget_bucket)) continue;
    }
    ks->stats.evicted = evicted; /* forced, not for want of memory */
    ks_warm_again(ks);
}

/* --- warming up --- */

/* Puts the row's key into memory unless it is there already (perhaps as a tombstone): memory is newer. */
static bool warm_row(struct keyspace *ks, struct db *db, struct slice row, struct slice value) {
    uint32_t id;
    struct slice key;
    if (!row_parse_key(row, &id, &db->warm_place, &key)) return false;
    if (table_find(db, db->warm_place, key) != NULL) return true;
    struct object *o = row_object(ks, db, db->warm_place, key, value, ROW_WHOLE);
    if (o == NULL) return false;
    o->flags &= (uint8_t)~OBJECT_REFERENCED;
    if (o->expiry != NULL) expiry_attach(ks, db, o, o->expiry->deadline_ms, o->expiry->stored_ms);
    table_insert(ks, db, o);
    return true;
}

/* How far the warm-up has come is the database's own, whatever number it has by now (SWAPDB). */
static struct db *db_to_warm(struct keyspace *ks) {
    for (int i = 0; i < DB_SLOTS; i++)
        if (!ks->dbs[i]->complete && !ks->dbs[i]->warm_ended) return ks->dbs[i];
    return NULL;
}

void ks_warm_again(struct keyspace *ks) {
    for (int i = 0; i < DB_SLOTS; i++) {
        ks->dbs[i]->warm_ended = false;
        ks->dbs[i]->warm_place = 0;
    }
}

bool ks_warm_step(struct keyspace *ks, uint64_t target_bytes, size_t rows) {
    struct db *db = db_to_warm(ks);
    if (db == NULL || ks->stats.memory_bytes >= target_bytes) return false;
    if (db->warm_place == 0) db->thinned = false;
    struct buf from = {0}, upper = {0};
    row_key_of(&from, db->id, db->warm_place, SLICE(""));
    row_db_prefix(&upper, ROW_KEY, db->id + 1);
    struct kv_iter *it = kv_iter_new(ks->kv, buf_slice(&upper), false);
    bool sound = true;
    for (kv_iter_seek(it, buf_slice(&from)); kv_iter_valid(it) && rows > 0 && sound; kv_iter_next(it), rows--)
        sound = warm_row(ks, db, kv_iter_key(it), kv_iter_value(it));
    bool at_end = !kv_iter_valid(it);
    struct kv_error error;
    enum rc rc = kv_iter_error(it, &error);
    kv_iter_free(it);
    buf_free(&from);
    buf_free(&upper);
    if (!sound || rc != RC_OK) { /* whoever needs the key will meet the error and say so */
        for (int i = 0; i < DB_SLOTS; i++) ks->dbs[i]->warm_ended = true;
        return false;
    }
    if (at_end) {
        if (!db->thinned) db->complete = true;
        db->warm_ended = true;
    }
    return true;
}
