/* Deadlines: a heap per database of the keys in memory that have one, and rows ordered by deadline for those that
 * are only on disk. Nothing is deleted here: the leader proposes what ks_due finds, so that every node deletes the
 * same keys at the same place in the log, whatever it happens to hold in memory. */
#include "keyspace_internal.h"

enum { DUE_ROWS_MAX = 512, STALE_ROWS_MAX = 4096 };

static inline bool in_heap(const struct expiry *e) {
    return e->heap_at != 0;
}

static void heap_place(struct expiry_heap *h, size_t at, struct expiry *e) {
    h->items[at] = e;
    e->heap_at = at + 1;
}

static void heap_up(struct expiry_heap *h, size_t at) {
    struct expiry *e = h->items[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (h->items[parent]->deadline_ms <= e->deadline_ms) break;
        heap_place(h, at, h->items[parent]);
        at = parent;
    }
    heap_place(h, at, e);
}

static void heap_down(struct expiry_heap *h, size_t at) {
    struct expiry *e = h->items[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && h->items[child + 1]->deadline_ms < h->items[child]->deadline_ms) child++;
        if (h->items[child]->deadline_ms >= e->deadline_ms) break;
        heap_place(h, at, h->items[child]);
        at = child;
    }
    heap_place(h, at, e);
}

static void heap_add(struct expiry_heap *h, struct expiry *e) {
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 16;
        h->items = mem_realloc(h->items, h->cap * sizeof *h->items);
    }
    h->items[h->count++] = e;
    heap_up(h, h->count - 1);
}

static void heap_remove(struct expiry_heap *h, struct expiry *e) {
    size_t at = e->heap_at - 1;
    CHECK(at < h->count);
    CHECK(h->items[at] == e);
    e->heap_at = 0;
    struct expiry *last = h->items[--h->count];
    if (last == e) return;
    h->items[at] = last;
    last->heap_at = at + 1;
    heap_up(h, at);
    heap_down(h, last->heap_at - 1);
}

void expiry_attach(struct keyspace *ks, struct db *db, struct object *o, int64_t deadline_ms,
                   int64_t stored_ms) {
    if (o->expiry == NULL) {
        o->expiry = mem_alloc(sizeof *o->expiry);
        ks->stats.memory_bytes += mem_size(o->expiry);
    }
    *o->expiry =
        (struct expiry){.deadline_ms = deadline_ms, .stored_ms = stored_ms, .object = o, .db_id = db->id};
    if (deadline_ms >= 0) heap_add(&db->heap, o->expiry);
}

void expiry_detach(struct keyspace *ks, struct db *db, struct object *o) {
    if (o->expiry == NULL) return;
    if (in_heap(o->expiry)) heap_remove(&db->heap, o->expiry);
    ks->stats.memory_bytes -= mem_size(o->expiry);
    mem_free(o->expiry);
    o->expiry = NULL;
}

void expiry_set(struct keyspace *ks, struct db *db, struct object *o, int64_t deadline_ms) {
    int64_t old_ms = object_deadline(o);
    if (old_ms >= 0 && deadline_ms < 0) {
        CHECK(db->expires > 0);
        db->expires--;
    }
    if (old_ms < 0 && deadline_ms >= 0) db->expires++;
    if (o->expiry == NULL) {
        if (deadline_ms >= 0) expiry_attach(ks, db, o, deadline_ms, -1);
        return;
    }
    struct expiry *e = o->expiry;
    if (in_heap(e)) heap_remove(&db->heap, e);
    e->deadline_ms = deadline_ms;
    if (deadline_ms >= 0) heap_add(&db->heap, e);
    if (deadline_ms < 0 && e->stored_ms < 0) expiry_detach(ks, db, o);
}

void ks_set_deadline(struct keyspace *ks, int db, struct object *o, int64_t deadline_ms) {
    if (object_deadline(o) < 0 && deadline_ms < 0) return;
    ks_edit(ks, db,
            o); /* also when it is the one there was: whoever watches the key hears of it, as in Redis */
    expiry_set(ks, ks->dbs[db], o, deadline_ms);
}

int64_t ks_avg_ttl_ms(const struct keyspace *ks, int db, int64_t now_ms) {
    enum { SAMPLE = 64 };
    const struct expiry_heap *h = &ks->dbs[db]->heap;
    size_t n = h->count < SAMPLE ? h->count : SAMPLE, step = n ? h->count / n : 1;
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t left = h->items[i * step]->deadline_ms - now_ms;
        if (left > 0) sum += left / (int64_t)n;
    }
    return sum;
}

/* --- finding what is due --- */

struct due_search {
    struct keyspace *ks;
    int db;
    int64_t now_ms;
    size_t left;
    ks_due_fn *due;
    void *arg;
};

/* A heap's due part is a tree around its root: walk that, nothing else. */
static void due_in_heap(struct due_search *s, const struct expiry_heap *h, size_t at) {
    if (at >= h->count || s->left == 0 || h->items[at]->deadline_ms > s->now_ms) return;
    s->left--;
    s->due(s->arg, s->db, object_key(h->items[at]->object));
    due_in_heap(s, h, 2 * at + 1);
    due_in_heap(s, h, 2 * at + 2);
}

static void remember_stale_row(struct keyspace *ks, struct slice row) {
    if (ks->stale_row_count >= STALE_ROWS_MAX) return;
    for (uint32_t i = 0; i < ks->stale_row_count; i++) /* a look may begin where the last one ended */
        if (slice_eq(buf_slice(&ks->stale_rows[i]), row)) return;
    if (ks->stale_rows == NULL) ks->stale_rows = mem_calloc(STALE_ROWS_MAX, sizeof *ks->stale_rows);
    struct buf *b = &ks->stale_rows[ks->stale_row_count++];
    *b = (struct buf){0};
    buf_add_slice(b, row);
}

/* Rows up to now, from where the last look ended: keys in memory are the heap's business. */
static void due_on_disk(struct due_search *s, struct db *db) {
    struct keyspace *ks = s->ks;
    struct buf from = {0}, upper = {0};
    row_deadline_of(&from, db->id, db->due_scanned_ms, 0, SLICE(""));
    row_deadline_of(&upper, db->id, s->now_ms + 1, 0, SLICE(""));
    struct kv_iter *it = kv_iter_new(ks->kv, buf_slice(&upper), false);
    size_t rows = 0;
    int64_t seen_ms = db->due_scanned_ms;
    for (kv_iter_seek(it, buf_slice(&from)); kv_iter_valid(it) && rows < DUE_ROWS_MAX && s->left > 0;
         kv_iter_next(it), rows++) {
        uint32_t id;
        int64_t deadline_ms;
        uint64_t place;
        struct slice key;
        if (!row_parse_deadline(kv_iter_key(it), &id, &deadline_ms, &place, &key)) break;
        seen_ms = deadline_ms;
        if (table_find(db, place, key) != NULL) continue;
        struct object *o = ks_find(ks, s->db, place, key);
        if (ks->faulty) break; /* nobody knows whether the key is there */
        if (o == NULL || object_deadline(o) != deadline_ms) {
            remember_stale_row(ks, kv_iter_key(it));
            continue;
        }
        s->left--;
        s->due(s->arg, s->db, key);
    }
    if (!kv_iter_valid(it) && s->left > 0) seen_ms = s->now_ms + 1;
    db->due_scanned_ms = seen_ms;
    kv_iter_free(it);
    buf_free(&from);
    buf_free(&upper);
}

size_t ks_due(struct keyspace *ks, int64_t now_ms, size_t max, ks_due_fn *due, void *arg) {
    struct due_search s = {.ks = ks, .now_ms = now_ms, .left = max, .due = due, .arg = arg};
    for (s.db = 0; s.db < KS_DB_COUNT && s.left > 0; s.db++) {
        struct db *db = ks->dbs[s.db];
        if (db->expires == 0) continue;
        due_in_heap(&s, &db->heap, 0);
        if (!db->complete && db->expires > db->heap.count && db->due_scanned_ms <= now_ms)
            due_on_disk(&s, db);
    }
    return max - s.left;
}
