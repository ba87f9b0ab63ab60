/* See writeback.h. Two threads meet here: the loop thread packs rows and owns the keyspace; the storage thread owns
 * a job from the moment it is handed over until it comes back. */
#include "writeback.h"

#include "collection.h"
#include "snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK_SIZE = 1 << 20,
    RETRY_SECONDS = 1,
    PATH_CAP = 4096,
    PACK_BYTES_PER_TURN = 8 << 20, /* big values take time to copy: */
    LARGE_VALUE_MIN = 4 << 20,     /* these are packed in pieces */
};

/* A row of the job: key and value lie one behind the other in a chunk. */
struct packed_row {
    uint64_t head[2]; /* the key's first bytes: they decide nearly every comparison without a look at it */
    const char *bytes;
    uint32_t key_len;
    uint32_t value_len : 31, is_delete : 1;
};
_Static_assert(sizeof(struct packed_row) <= 32, "qsort moves larger ones by pointers");

struct chunk {
    struct chunk *next;
    size_t used, cap;
    char bytes[];
};

struct job {
    enum { JOB_STORE, JOB_FREE, JOB_SNAPSHOT } kind;
    struct job *next;
    struct ks_applied applied;
    struct packed_row *rows;
    size_t row_count, row_cap, bytes;
    struct chunk *chunks;
    uint32_t *dropped_ids; /* databases whose rows go */
    size_t dropped_count;
    struct buf dropped_collections;      /* as the keyspace's */
    struct db *free_dbs;                 /* JOB_FREE */
    struct collection *free_collections; /* JOB_FREE */
    char *folder;                        /* JOB_SNAPSHOT */
    /* results */
    enum rc rc;
    struct kv_error error;
    uint64_t file_bytes, freed_bytes, freed_keys;
};

/* A large value on its way into a row that is in the job already. */
struct large_row {
    struct object *o; /* NULL: there is none */
    struct db *db;
    char *to;
    size_t done;
};

enum writeback_state { WB_IDLE, WB_PACKING, WB_STORING, WB_RELEASING };

struct writeback {
    enum writeback_state state;
    struct dirty_list frozen;
    struct leaf_list frozen_leaves;
    size_t at; /* frozen refs packed, or released, so far: objects first, then leaves */
    struct job *job;
    struct buf key, value;
    struct large_row large;
    uint64_t changes_at_begin;
    struct ks_applied stored;
    bool retry; /* the job failed and waits to be tried again */
    uint32_t retry_at_s;
    struct writeback_stats stats;
    bool snapshot_begun;  /* and not asked for */
    struct job *snapshot; /* ended */
    char ingest_dir[PATH_CAP];
    void (*wake)(void *arg);
    void *wake_arg;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job *todo, **todo_tail; /* under mutex */
    struct job *done, **done_tail; /* under mutex */
    bool stopping;                 /* under mutex */
    struct kv *kv;
};

/* --- packing --- */

static char *chunk_room(struct job *job, size_t size) {
    struct chunk *c = job->chunks;
    if (c == NULL || c->cap - c->used < size) {
        size_t cap = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        c = mem_alloc(sizeof *c + cap);
        *c = (struct chunk){.next = job->chunks, .cap = cap};
        job->chunks = c;
    }
    char *p = c->bytes + c->used;
    c->used += size;
    return p;
}

/* Where the value goes that is so long. */
static char *begin_row(struct job *job, struct slice key, size_t value_len, bool is_delete) {
    CHECK(value_len <= INT32_MAX);
    if (job->row_count == job->row_cap) {
        job->row_cap = job->row_cap ? job->row_cap * 2 : 4096;
        job->rows = mem_realloc(job->rows, job->row_cap * sizeof *job->rows);
    }
    char *p = chunk_room(job, key.len + value_len);
    memcpy(p, key.data, key.len);
    job->rows[job->row_count++] = (struct packed_row){.bytes = p,
                                                      .key_len = (uint32_t)key.len,
                                                      .value_len = (uint32_t)value_len & INT32_MAX,
                                                      .is_delete = is_delete};
    job->bytes += key.len;
    return p + key.len;
}

static void add_row(struct job *job, struct slice key, struct slice value, bool is_delete) {
    char *p = begin_row(job, key, value.len, is_delete);
    if (value.len != 0) memcpy(p, value.data, value.len);
    job->bytes += value.len;
}

static void pack_deadline(struct writeback *wb, struct db *db, struct object *o) {
    struct expiry *e = o->expiry;
    if (e == NULL || e->deadline_ms == e->stored_ms) return;
    if (e->stored_ms >= 0) {
        row_deadline_of(&wb->key, db->id, e->stored_ms, o->place, object_key(o));
        add_row(wb->job, buf_slice(&wb->key), SLICE(""), true);
    }
    if (e->deadline_ms >= 0) {
        row_deadline_of(&wb->key, db->id, e->deadline_ms, o->place, object_key(o));
        add_row(wb->job, buf_slice(&wb->key), SLICE(""), false);
    }
    e->stored_ms = e->deadline_ms;
}

/* --- large values: in pieces, so that no turn takes as long as the value --- */

static bool is_large(const struct object *o) {
    return object_has_outside_bytes(o) && o->len >= LARGE_VALUE_MIN;
}

static void begin_large(struct writeback *wb, struct db *db, struct object *o) {
    CHECK(wb->large.o == NULL);
    row_key_of(&wb->key, db->id, o->place, object_key(o));
    buf_clear(&wb->value);
    row_value_head(&wb->value, o);
    char *to = begin_row(wb->job, buf_slice(&wb->key), wb->value.len + o->len, false);
    memcpy(to, wb->value.data, wb->value.len);
    wb->large = (struct large_row){o, db, to + wb->value.len, 0};
}

/* True when it is done. It has not changed meanwhile: whoever is about to change it does the rest first (pack). */
static bool pack_more(struct writeback *wb, size_t bytes_max) {
    struct large_row *l = &wb->large;
    size_t left = l->o->len - l->done, n = left < bytes_max ? left : bytes_max;
    memcpy(l->to + l->done, l->o->as.bytes + l->done, n);
    l->done += n;
    wb->job->bytes += n;
    if (l->done < l->o->len) return false;
    l->o = NULL;
    return true;
}

static void pack(struct keyspace *ks, struct db *db, struct object *o);

/* All of it, or the rest. Another one that is in the middle is done with first. */
static void pack_large(struct keyspace *ks, struct db *db, struct object *o) {
    struct writeback *wb = ks->writeback;
    if (wb->large.o != NULL && wb->large.o != o) pack(ks, wb->large.db, wb->large.o);
    if (wb->large.o == NULL) begin_large(wb, db, o);
    CHECK(pack_more(wb, SIZE_MAX));
}

static void pack(struct keyspace *ks, struct db *db, struct object *o) {
    struct writeback *wb = ks->writeback;
    CHECK(wb->state == WB_PACKING);
    o->flags |= OBJECT_PACKED;
    pack_deadline(wb, db, o);
    if (o->type == OBJECT_NONE) {
        if (!(o->flags & OBJECT_STORED)) return;
        row_key_of(&wb->key, db->id, o->place, object_key(o));
        add_row(wb->job, buf_slice(&wb->key), SLICE(""), true);
        o->flags &= (uint8_t)~OBJECT_STORED;
    } else if (is_large(o)) {
        pack_large(ks, db, o);
        o->flags |= OBJECT_STORED;
    } else {
        row_key_of(&wb->key, db->id, o->place, object_key(o));
        buf_clear(&wb->value);
        row_value_add(&wb->value, o);
        add_row(wb->job, buf_slice(&wb->key), buf_slice(&wb->value), false);
        ks_trim_scratch(&wb->key);
        ks_trim_scratch(&wb->value);
        o->flags |= OBJECT_STORED;
    }
    if (o->expiry != NULL && o->expiry->deadline_ms < 0) expiry_detach(ks, db, o);
}

void writeback_pack_now(struct keyspace *ks, struct object *o, struct db *db) {
    CHECK(o->dirty == ks->frozen_epoch);
    pack(ks, db, o);
}

/* One of a container that was dead when the state was frozen has no part in it: its rows go as a range. */
static void pack_leaf(struct keyspace *ks, const struct leaf_ref *ref) {
    struct writeback *wb = ks->writeback;
    struct tree_leaf *leaf = ref->leaf;
    CHECK(wb->state == WB_PACKING);
    leaf->flags |= LEAF_PACKED;
    if (ref->collection->died == ks->frozen_epoch || ref->collection->db->gone) return;
    bool gone = leaf->flags & LEAF_GONE;
    if (gone && !(leaf->flags & LEAF_STORED)) return;
    collection_leaf_key(&wb->key, leaf);
    if (gone)
        buf_clear(&wb->value);
    else
        collection_leaf_value(&wb->value, leaf);
    add_row(wb->job, buf_slice(&wb->key), buf_slice(&wb->value), gone);
    ks_trim_scratch(&wb->value);
    if (gone) {
        leaf->flags &= (uint8_t)~LEAF_STORED;
    } else {
        leaf->flags |= LEAF_STORED;
        ref->collection->stored = true;
    }
}

void writeback_pack_leaf_now(struct keyspace *ks, const struct leaf_ref *ref) {
    CHECK(ref->leaf->dirty == ks->frozen_epoch);
    pack_leaf(ks, ref);
}

void writeback_pack_leaves_now(struct keyspace *ks, const struct collection *c) {
    const struct writeback *wb = ks->writeback;
    if (wb->state != WB_PACKING) return;
    size_t objects = wb->frozen.count;
    for (size_t i = wb->at > objects ? wb->at - objects : 0; i < wb->frozen_leaves.count; i++) {
        const struct leaf_ref *ref = &wb->frozen_leaves.items[i];
        if (ref->collection == c && !(ref->leaf->flags & LEAF_PACKED)) pack_leaf(ks, ref);
    }
}

static void pack_meta(struct keyspace *ks, struct job *job) {
    struct meta m = {.applied = ks->applied,
                     .place_seed = ks->place_seed,
                     .next_db_id = ks->next_db_id,
                     .limits = ks->limits,
                     .members_index = ks->members_index,
                     .members = buf_slice(&ks->members)};
    ks->members_changed = false;
    for (int i = 0; i < DB_SLOTS; i++) {
        m.dbs[i].id = ks->dbs[i]->id;
        m.dbs[i].keys = ks->dbs[i]->keys;
        m.dbs[i].expires = ks->dbs[i]->expires;
    }
    struct buf value = {0};
    meta_encode(&value, &m);
    add_row(job, SLICE("M"), buf_slice(&value), false);
    buf_free(&value);
}

bool ks_writeback_begin(struct keyspace *ks) {
    struct writeback *wb = ks->writeback;
    CHECK(!ks->mid_entry);
    if (wb->state != WB_IDLE) return false;
    /* Entries that change nothing are reason enough: the log is cut only behind what is stored. */
    if (wb->stored.index == ks->applied.index && !ks->members_changed) return false;
    struct job *job = mem_calloc(1, sizeof *job);
    job->kind = JOB_STORE;
    job->applied = ks->applied;
    wb->job = job;
    wb->state = WB_PACKING;
    wb->at = 0;
    wb->changes_at_begin = ks->stats.changes;
    struct dirty_list empty = wb->frozen;
    wb->frozen = ks->dirty;
    ks->dirty = empty;
    ks->dirty.count = 0;
    ks->stats.dirty_bytes = 0;
    struct leaf_list no_leaves = wb->frozen_leaves;
    wb->frozen_leaves = ks->dirty_leaves;
    ks->dirty_leaves = no_leaves;
    ks->dirty_leaves.count = 0;
    ks->frozen_epoch = ks->epoch;
    ks->epoch = ks->epoch == 255 ? 1 : (uint8_t)(ks->epoch + 1);
    ks->host.epoch = ks->epoch;
    job->dropped_collections = ks->dropped_collections;
    ks->dropped_collections = (struct buf){0};

    CHECK(ks->dropping == NULL);
    ks->dropping = ks->dropped;
    ks->dropped = NULL;
    for (struct db *db = ks->dropping; db != NULL; db = db->next_dropped) {
        db->gone = true;
        job->dropped_ids = mem_realloc(job->dropped_ids, (job->dropped_count + 1) * sizeof *job->dropped_ids);
        job->dropped_ids[job->dropped_count++] = db->id;
    }
    /* A stale row may have come to life again since it was found; its key is then dirty or stored anew, and the
     * row is written with it: leave it alone in that case by deleting only rows whose key is still not there. */
    for (uint32_t i = 0; i < ks->stale_row_count; i++) {
        uint32_t id;
        int64_t deadline_ms;
        uint64_t place;
        struct slice key;
        bool parsed = row_parse_deadline(buf_slice(&ks->stale_rows[i]), &id, &deadline_ms, &place, &key);
        bool alive = !parsed;
        for (int d = 0; parsed && d < DB_SLOTS; d++)
            if (ks->dbs[d]->id == id)
                alive = ks_find(ks, d, place, key) != NULL || table_find(ks->dbs[d], place, key) != NULL;
        if (ks->faulty) alive = true; /* it is found again when it can be read */
        if (!alive) add_row(job, buf_slice(&ks->stale_rows[i]), SLICE(""), true);
        buf_free(&ks->stale_rows[i]);
    }
    ks->stale_row_count = 0;
    ks_clear_fault(ks); /* not the fault of the next command */
    pack_meta(ks, job);
    return true;
}

/* --- the storage thread --- */

/* Eight bytes from `at` on, zeros behind the end. */
static uint64_t key_head(struct slice key, size_t at) {
    unsigned char bytes[8] = {0};
    if (key.len > at) memcpy(bytes, key.data + at, key.len - at < sizeof bytes ? key.len - at : sizeof bytes);
    uint64_t head = 0;
    for (size_t i = 0; i < sizeof bytes; i++) head = head << 8 | bytes[i];
    return head;
}

static int by_row_key(const void *a, const void *b) {
    const struct packed_row *x = a, *y = b;
    for (size_t i = 0; i < 2; i++)
        if (x->head[i] != y->head[i]) return x->head[i] < y->head[i] ? -1 : 1;
    return slice_cmp(slice_make(x->bytes, x->key_len), slice_make(y->bytes, y->key_len));
}

/* Deletions before what takes their place. */
static int by_row(const void *a, const void *b) {
    const struct packed_row *x = a, *y = b;
    int order = by_row_key(a, b);
    return order != 0 ? order : (int)y->is_delete - (int)x->is_delete;
}

static void sort_rows(struct job *job) {
    for (size_t i = 0; i < job->row_count; i++) {
        struct packed_row *r = &job->rows[i];
        struct slice key = slice_make(r->bytes, r->key_len);
        r->head[0] = key_head(key, 0);
        r->head[1] = key_head(key, sizeof r->head[0]);
    }
    qsort(job->rows, job->row_count, sizeof *job->rows, by_row);
}

/* Everything that begins with a container's prefix, which ends with its version. */
static enum rc drop_collections(struct job *job, struct kv_sst *sst) {
    struct slice all = buf_slice(&job->dropped_collections), prefix;
    struct buf to = {0};
    uint32_t len;
    enum rc rc = RC_OK;
    while (rc == RC_OK && slice_take_u32le(&all, &len) && slice_take(&all, len, &prefix)) {
        struct slice version = slice_make(prefix.data + len - sizeof(uint64_t), sizeof(uint64_t));
        uint64_t v;
        CHECK(slice_take_u64be(&version, &v));
        buf_clear(&to);
        buf_add(&to, prefix.data, len - sizeof v);
        buf_add_u64be(&to, v + 1);
        rc = kv_sst_delete_range(sst, prefix, buf_slice(&to), &job->error);
    }
    buf_free(&to);
    return rc;
}

static enum rc write_rows(struct job *job, struct kv_sst *sst) {
    struct buf from = {0}, to = {0};
    enum rc rc = drop_collections(job, sst);
    static const uint8_t tags[] = {ROW_KEY, ROW_DEADLINE, ROW_ELEMENT};
    enum { TAGS = sizeof tags };
    for (size_t i = 0; i < job->dropped_count * TAGS && rc == RC_OK; i++) {
        row_db_prefix(&from, tags[i % TAGS], job->dropped_ids[i / TAGS]);
        row_db_prefix(&to, tags[i % TAGS], job->dropped_ids[i / TAGS] + 1);
        rc = kv_sst_delete_range(sst, buf_slice(&from), buf_slice(&to), &job->error);
    }
    for (size_t i = 0; i < job->row_count && rc == RC_OK; i++) {
        const struct packed_row *r = &job->rows[i];
        if (i + 1 < job->row_count && by_row_key(r, r + 1) == 0) {
            /* A leaf that left its tree and a newer one under the same label: the deletion means nothing. */
            CHECK(r->is_delete);
            continue;
        }
        struct slice key = slice_make(r->bytes, r->key_len),
                     value = slice_make(r->bytes + r->key_len, r->value_len);
        rc = r->is_delete ? kv_sst_delete(sst, key, &job->error) : kv_sst_put(sst, key, value, &job->error);
    }
    buf_free(&from);
    buf_free(&to);
    return rc;
}

static void store(struct writeback *wb, struct job *job) {
    char path[PATH_CAP + 64];
    snprintf(path, sizeof path, "%s/%020llu.sst", wb->ingest_dir, (unsigned long long)job->applied.index);
    (void)unlink(path); /* of an attempt that failed */
    sort_rows(job);
    struct kv_sst *sst = kv_sst_begin(wb->kv, path, &job->error);
    if (sst == NULL) {
        job->rc = RC_IO;
        return;
    }
    job->rc = write_rows(job, sst);
    if (job->rc != RC_OK) {
        kv_sst_abandon(sst);
        return;
    }
    job->rc = kv_sst_finish(sst, &job->file_bytes, &job->error);
    if (job->rc == RC_OK) job->rc = kv_ingest(wb->kv, path, &job->error);
}

static void free_dbs(struct job *job) {
    for (struct db *db = job->free_dbs, *next; db != NULL; db = next) {
        next = db->next_dropped;
        job->freed_keys += db->keys;
        job->freed_bytes += table_free(db);
        mem_free(db);
    }
    job->free_dbs = NULL;
    for (struct collection *c = job->free_collections, *next; c != NULL; c = next) {
        next = c->next_buried;
        job->freed_bytes += collection_free(c);
    }
    job->free_collections = NULL;
}

static void *storage_thread(void *arg) {
    struct writeback *wb = arg;
    pthread_mutex_lock(&wb->mutex);
    for (;;) {
        while (wb->todo == NULL && !wb->stopping) pthread_cond_wait(&wb->changed, &wb->mutex);
        if (wb->todo == NULL) break;
        struct job *job = wb->todo;
        wb->todo = job->next;
        if (wb->todo == NULL) wb->todo_tail = &wb->todo;
        pthread_mutex_unlock(&wb->mutex);
        if (job->kind == JOB_STORE)
            store(wb, job);
        else if (job->kind == JOB_FREE)
            free_dbs(job);
        else
            job->rc = snapshot_make(wb->kv, job->folder, &job->error);
        job->next = NULL;
        pthread_mutex_lock(&wb->mutex);
        *wb->done_tail = job;
        wb->done_tail = &job->next;
        pthread_cond_broadcast(&wb->changed);
        pthread_mutex_unlock(&wb->mutex);
        if (wb->wake) wb->wake(wb->wake_arg);
        pthread_mutex_lock(&wb->mutex);
    }
    pthread_mutex_unlock(&wb->mutex);
    return NULL;
}

static void submit(struct writeback *wb, struct job *job) {
    job->next = NULL;
    pthread_mutex_lock(&wb->mutex);
    *wb->todo_tail = job;
    wb->todo_tail = &job->next;
    pthread_cond_broadcast(&wb->changed);
    pthread_mutex_unlock(&wb->mutex);
}

static struct job *take_done(struct writeback *wb) {
    pthread_mutex_lock(&wb->mutex);
    struct job *job = wb->done;
    wb->done = NULL;
    wb->done_tail = &wb->done;
    pthread_mutex_unlock(&wb->mutex);
    return job;
}

static bool has_done(struct writeback *wb) {
    pthread_mutex_lock(&wb->mutex);
    bool any = wb->done != NULL;
    pthread_mutex_unlock(&wb->mutex);
    return any;
}

/* --- finishing --- */

static void job_free(struct job *job) {
    for (struct chunk *c = job->chunks, *next; c != NULL; c = next) {
        next = c->next;
        mem_free(c);
    }
    mem_free(job->rows);
    mem_free(job->dropped_ids);
    buf_free(&job->dropped_collections);
    mem_free(job->folder);
    mem_free(job);
}

static void stored(struct keyspace *ks, struct job *job) {
    struct writeback *wb = ks->writeback;
    if (job->rc != RC_OK) {
        wb->retry = true;
        wb->retry_at_s = ks->now_s + RETRY_SECONDS;
        wb->stats.failing = true;
        snprintf(wb->stats.failure, sizeof wb->stats.failure, "%s", job->error.text);
        return;
    }
    wb->stats.failing = false;
    wb->stats.count++;
    wb->stats.rows += job->row_count;
    wb->stats.bytes += job->file_bytes;
    wb->stats.last_finished_s = (int64_t)time(NULL);
    wb->stored = job->applied;
    ks->stats.changes_stored = wb->changes_at_begin;
    wb->job = NULL;
    job_free(job);
    wb->state = WB_RELEASING;
    wb->at = 0;
}

static void freed(struct keyspace *ks, struct job *job) {
    ks->stats.memory_bytes -= job->freed_bytes;
    ks->stats.flush_pending -= job->freed_keys;
    job_free(job);
}

/* The disk has it: what did not change meanwhile is clean, and a tombstone has done its work. */
static void release(struct keyspace *ks, struct dirty_ref *ref) {
    if (ref->db->gone) return;
    struct object *o = ref->object;
    o->flags &= (uint8_t)~OBJECT_PACKED;
    if (o->dirty != ks->frozen_epoch) return;
    o->dirty = 0;
    if (o->type != OBJECT_NONE) return;
    expiry_detach(ks, ref->db, o);
    table_remove(ks, ref->db, o);
    object_free(ks, o);
}

/* And what was buried meanwhile. */
static void free_in_background(struct keyspace *ks, struct db *dbs) {
    if (dbs == NULL && ks->buried == NULL) return;
    struct job *job = mem_calloc(1, sizeof *job);
    job->kind = JOB_FREE;
    job->free_dbs = dbs;
    job->free_collections = ks->buried;
    ks->buried = NULL;
    submit(ks->writeback, job);
}

static void released(struct keyspace *ks) {
    struct writeback *wb = ks->writeback;
    wb->frozen.count = 0;
    wb->frozen_leaves.count = 0;
    ks->frozen_epoch = 0;
    wb->state = WB_IDLE;
    for (struct db *db = ks->dropping; db != NULL; db = db->next_dropped) ks->stats.objects -= db->objects;
    free_in_background(ks, ks->dropping);
    ks->dropping = NULL;
}

static size_t frozen_count(const struct writeback *wb) {
    return wb->frozen.count + wb->frozen_leaves.count;
}

/* False: it is large, and there is more of it than `enough` bytes of the job have room for. */
static bool pack_object(struct keyspace *ks, const struct dirty_ref *ref, size_t enough) {
    struct writeback *wb = ks->writeback;
    struct object *o = ref->object;
    if (ref->db->gone || o->flags & OBJECT_PACKED) return true;
    if (is_large(o) && wb->large.o == NULL) begin_large(wb, ref->db, o);
    size_t room = enough > wb->job->bytes ? enough - wb->job->bytes : 0;
    if (wb->large.o == o && o->len - wb->large.done > room) {
        (void)pack_more(wb, room);
        return false;
    }
    pack(ks, ref->db, o);
    return true;
}

static bool pack_frozen(struct keyspace *ks, size_t at, size_t enough) {
    struct writeback *wb = ks->writeback;
    if (at < wb->frozen.count) return pack_object(ks, &wb->frozen.items[at], enough);
    struct leaf_ref *ref = &wb->frozen_leaves.items[at - wb->frozen.count];
    if (!(ref->leaf->flags & LEAF_PACKED)) pack_leaf(ks, ref);
    return true;
}

static void release_frozen(struct keyspace *ks, size_t at) {
    struct writeback *wb = ks->writeback;
    if (at < wb->frozen.count)
        release(ks, &wb->frozen.items[at]);
    else
        collection_leaf_stored(ks, &wb->frozen_leaves.items[at - wb->frozen.count]);
}

/* A failed job comes again after a pause; its rows still are the state of their index. */
static void retry_if_failed(struct keyspace *ks) {
    struct writeback *wb = ks->writeback;
    if (!wb->retry || ks->now_s < wb->retry_at_s) return;
    wb->retry = false;
    submit(wb, wb->job);
}

bool ks_writeback_running(const struct keyspace *ks) {
    return ks->writeback->state != WB_IDLE;
}

bool ks_has_work(const struct keyspace *ks) {
    struct writeback *wb = ks->writeback;
    return wb->state == WB_PACKING || wb->state == WB_RELEASING || ks->buried != NULL || has_done(wb);
}

void ks_turn(struct keyspace *ks, size_t steps) {
    struct writeback *wb = ks->writeback;
    for (struct job *job = take_done(wb), *next; job != NULL; job = next) {
        next = job->next;
        if (job->kind == JOB_STORE)
            stored(ks, job);
        else if (job->kind == JOB_FREE)
            freed(ks, job);
        else
            wb->snapshot = job;
    }
    retry_if_failed(ks);
    free_in_background(ks, NULL);
    if (wb->state == WB_PACKING) {
        size_t enough = wb->job->bytes + PACK_BYTES_PER_TURN;
        for (; steps > 0 && wb->at < frozen_count(wb) && wb->job->bytes < enough; steps--, wb->at++)
            if (!pack_frozen(ks, wb->at, enough)) break;
        if (wb->at < frozen_count(wb)) return;
        wb->state = WB_STORING;
        submit(wb, wb->job);
    } else if (wb->state == WB_RELEASING) {
        for (; steps > 0 && wb->at < frozen_count(wb); steps--, wb->at++) release_frozen(ks, wb->at);
        if (wb->at == frozen_count(wb)) released(ks);
    }
}

/* --- opening and closing --- */

/* Files of a write-back that did not finish: the log still has what was in them. */
static enum rc clean_ingest_dir(const char *dir, struct kv_error *error) {
    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        snprintf(error->text, sizeof error->text, "cannot create %.150s: %s", dir, strerror(errno));
        return errno == ENOSPC ? RC_NO_SPACE : RC_IO;
    }
    DIR *d = opendir(dir);
    if (d == NULL) {
        snprintf(error->text, sizeof error->text, "cannot read %.150s: %s", dir, strerror(errno));
        return RC_IO;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        char path[2 * PATH_CAP];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        (void)unlink(path);
    }
    closedir(d);
    return RC_OK;
}

static enum rc read_meta(struct keyspace *ks, uint64_t fresh_seed, struct kv_error *error) {
    struct meta m = {.place_seed = fresh_seed, .next_db_id = DB_SLOTS, .limits = ks_limits_default};
    for (uint32_t i = 0; i < DB_SLOTS; i++) m.dbs[i].id = i;
    struct buf row = {0};
    enum rc rc = kv_get(ks->kv, SLICE("M"), &row, error);
    if (rc == RC_OK) rc = meta_decode(buf_slice(&row), &m, error);
    if (rc == RC_OK) buf_add_slice(&ks->members, m.members);
    ks->members_index = m.members_index;
    buf_free(&row);
    if (rc != RC_OK && rc != RC_NOT_FOUND) return rc;
    ks->applied = m.applied;
    ks->next_db_id = m.next_db_id;
    ks->place_seed = m.place_seed;
    ks->limits = m.limits;
    for (int i = 0; i < DB_SLOTS; i++) {
        struct db *db = mem_calloc(1, sizeof *db);
        db->id = m.dbs[i].id;
        db->keys = m.dbs[i].keys;
        db->expires = m.dbs[i].expires;
        db->complete = db->keys == 0;
        ks->dbs[i] = db;
    }
    return RC_OK;
}

enum rc ks_open(const char *path, const struct keyspace_options *options, struct keyspace **out,
                struct kv_error *error) {
    struct writeback *wb = mem_calloc(1, sizeof *wb);
    struct keyspace *ks = mem_calloc(1, sizeof *ks);
    snprintf(wb->ingest_dir, sizeof wb->ingest_dir, "%s.ingest", path);
    struct kv_options kv_options = {.block_cache_bytes = options->block_cache_bytes,
                                    .background_threads = options->background_threads,
                                    .level_bytes = options->level_bytes};
    enum rc rc = clean_ingest_dir(wb->ingest_dir, error);
    if (rc != RC_OK) goto fail;
    rc = kv_open(path, &kv_options, &ks->kv, error);
    if (rc != RC_OK) goto fail;
    rc = read_meta(ks, options->place_seed, error);
    if (rc != RC_OK) goto fail_kv;

    ks->writeback = wb;
    ks->epoch = 1;
    collection_host_init(ks);
    system_opened(ks);
    ks->rng.state = ks->applied.index;
    wb->kv = ks->kv;
    wb->wake = options->wake;
    wb->wake_arg = options->wake_arg;
    wb->stored = ks->applied;
    wb->todo_tail = &wb->todo;
    wb->done_tail = &wb->done;
    pthread_mutex_init(&wb->mutex, NULL);
    pthread_cond_init(&wb->changed, NULL);
    CHECK(pthread_create(&wb->thread, NULL, storage_thread, wb) == 0);
    *out = ks;
    return RC_OK;

fail_kv:
    kv_close(ks->kv);
fail:
    mem_free(ks);
    mem_free(wb);
    return rc;
}

static void free_db(struct db *db) {
    table_free(db);
    mem_free(db);
}

static void free_dropped(struct db *db) {
    for (struct db *next; db != NULL; db = next) {
        next = db->next_dropped;
        free_db(db);
    }
}

/* Gives up the lists of leaves as if the disk had them: nothing is stored any more. */
static void release_leaves(struct keyspace *ks, struct writeback *wb) {
    for (size_t i = 0; i < wb->frozen_leaves.count; i++)
        if (wb->state != WB_RELEASING || wb->frozen.count + i >= wb->at)
            collection_leaf_stored(ks, &wb->frozen_leaves.items[i]);
    ks->frozen_epoch = ks->epoch;
    for (size_t i = 0; i < ks->dirty_leaves.count; i++)
        collection_leaf_stored(ks, &ks->dirty_leaves.items[i]);
    mem_free(wb->frozen_leaves.items);
    mem_free(ks->dirty_leaves.items);
    buf_free(&ks->dropped_collections);
}

void ks_close(struct keyspace *ks) {
    struct writeback *wb = ks->writeback;
    pthread_mutex_lock(&wb->mutex);
    wb->stopping = true;
    pthread_cond_broadcast(&wb->changed);
    pthread_mutex_unlock(&wb->mutex);
    pthread_join(wb->thread, NULL);
    for (struct job *job = take_done(wb), *next; job != NULL; job = next) {
        next = job->next;
        if (job != wb->job) job_free(job);
    }
    if (wb->job != NULL) job_free(wb->job);
    if (wb->snapshot != NULL) job_free(wb->snapshot);
    kv_close(ks->kv);
    ks_forget_prepared(ks);
    release_leaves(ks, wb);
    for (struct collection *c = ks->buried, *next; c != NULL; c = next) {
        next = c->next_buried;
        collection_free(c);
    }
    for (int i = 0; i < DB_SLOTS; i++) free_db(ks->dbs[i]);
    free_dropped(ks->dropped);
    free_dropped(ks->dropping);
    for (uint32_t i = 0; i < ks->stale_row_count; i++) buf_free(&ks->stale_rows[i]);
    mem_free(ks->stale_rows);
    mem_free(ks->dirty.items);
    mem_free(wb->frozen.items);
    buf_free(&wb->key);
    buf_free(&wb->value);
    buf_free(&ks->row_key);
    buf_free(&ks->row_value);
    buf_free(&ks->members);
    pthread_mutex_destroy(&wb->mutex);
    pthread_cond_destroy(&wb->changed);
    mem_free(wb);
    mem_free(ks);
}

/* Blocks until the storage thread has handed something back. */
static void wait_done(struct writeback *wb) {
    pthread_mutex_lock(&wb->mutex);
    while (wb->done == NULL) pthread_cond_wait(&wb->changed, &wb->mutex);
    pthread_mutex_unlock(&wb->mutex);
}

enum rc ks_store_all(struct keyspace *ks, struct kv_error *error) {
    struct writeback *wb = ks->writeback;
    if (wb->retry) { /* the caller waits, so there is no pause */
        wb->retry = false;
        submit(wb, wb->job);
    }
    while (wb->state != WB_IDLE || ks_writeback_begin(ks)) {
        if (wb->state == WB_STORING) wait_done(wb);
        ks_turn(ks, SIZE_MAX);
        if (!wb->retry) continue;
        *error = wb->job->error;
        return wb->job->rc;
    }
    return RC_OK;
}

struct ks_applied ks_stored(const struct keyspace *ks) {
    return ks->writeback->stored;
}
void ks_writeback_stats(const struct keyspace *ks, struct writeback_stats *out) {
    *out = ks->writeback->stats;
}
uint64_t ks_kv_memory(const struct keyspace *ks) {
    return kv_memory(ks->kv);
}
uint64_t ks_level0_files(const struct keyspace *ks) {
    return kv_property(ks->kv, "num-files-at-level0");
}

bool ks_snapshot_begin(struct keyspace *ks, const char *folder) {
    struct writeback *wb = ks->writeback;
    if (wb->snapshot_begun) return false;
    wb->snapshot_begun = true;
    size_t size = strlen(folder) + 1;
    struct job *job = mem_calloc(1, sizeof *job);
    job->kind = JOB_SNAPSHOT;
    job->folder = memcpy(mem_alloc(size), folder, size);
    submit(wb, job);
    return true;
}

enum rc ks_snapshot_poll(struct keyspace *ks, struct kv_error *error) {
    struct writeback *wb = ks->writeback;
    struct job *job = wb->snapshot;
    if (!wb->snapshot_begun) { /* it was begun in a keyspace that has been replaced meanwhile */
        snprintf(error->text, sizeof error->text, "no snapshot is being made");
        return RC_STOPPED;
    }
    if (job == NULL) return RC_BUSY;
    enum rc rc = job->rc;
    if (rc != RC_OK) *error = job->error;
    wb->snapshot = NULL;
    wb->snapshot_begun = false;
    job_free(job);
    return rc;
}

enum rc ks_checkpoint(struct keyspace *ks, const char *path, struct kv_error *error) {
    return kv_checkpoint(ks->kv, path, error);
}
