/* Walking keys in the order of rows: what is in memory merged with what is only on disk, memory winning. SCAN's
 * cursor is a position in that order, so it needs no state here and survives restarts and changes of leader. */
#include "keyspace_internal.h"

/* A cursor is a place without its last bits: it fits in 52 bits, which a client may keep in a double or in a signed
 * integer. Keys that differ in those bits alone are rare, and come together. */
enum { CURSOR_SHIFT = 12 };

static uint64_t cursor_of(uint64_t place) {
    return place >> CURSOR_SHIFT;
}

struct walk {
    struct keyspace *ks;
    struct db *db;
    int64_t now_ms;
    ks_visit_fn *visit;
    void *arg;
    enum row_depth depth; /* of what is made from rows on disk for the visit */
    size_t left;          /* objects still wanted; at 0 the walk ends before the next place */
    uint64_t last_place;
    bool any, stopped;
};

static bool is_visible(const struct walk *w, const struct object *o) {
    if (o->type == OBJECT_NONE) return false;
    int64_t deadline_ms = object_deadline(o);
    return deadline_ms < 0 || deadline_ms > w->now_ms;
}

/* False when the walk has to end before this object: enough was given, and a new place begins here. */
static bool give(struct walk *w, const struct object *o) {
    if (w->left == 0 && w->any && cursor_of(o->place) != cursor_of(w->last_place)) return false;
    w->any = true;
    w->last_place = o->place;
    if (w->left > 0) w->left--;
    if (is_visible(w, o) && !w->visit(w->arg, o)) {
        w->stopped = true;
        return false;
    }
    return true;
}

/* An object made from a row only for the visit. */
static bool give_row(struct walk *w, uint64_t place, struct slice key, struct slice value) {
    struct object *o = row_object(w->ks, w->db, place, key, value, w->depth);
    if (o == NULL) {
        ks_fail(w->ks, "a row on disk is malformed", NULL);
        return false;
    }
    bool more = give(w, o);
    if (o->expiry != NULL) w->ks->stats.memory_bytes -= mem_size(o->expiry);
    mem_free(o->expiry);
    o->expiry = NULL;
    object_free(w->ks, o);
    return more;
}

/* Merges the collected objects with the rows of places in [from, end). Returns false when the walk ended. */
static bool merge(struct walk *w, const struct object_list *list, uint64_t from, uint64_t end) {
    struct buf start = {0}, upper = {0};
    row_key_of(&start, w->db->id, from, SLICE(""));
    if (end != 0)
        row_key_of(&upper, w->db->id, end, SLICE(""));
    else
        row_db_prefix(&upper, ROW_KEY, w->db->id + 1);
    struct kv_iter *it = kv_iter_new(w->ks->kv, buf_slice(&upper), false);
    bool more = true;
    size_t i = 0;
    kv_iter_seek(it, buf_slice(&start));
    while (more && (i < list->count || kv_iter_valid(it))) {
        uint32_t id;
        uint64_t place = UINT64_MAX;
        struct slice key = SLICE("");
        int order = -1;
        if (kv_iter_valid(it)) {
            if (!row_parse_key(kv_iter_key(it), &id, &place, &key)) {
                ks_fail(w->ks, "a row's key on disk is malformed", NULL);
                more = false;
                break;
            }
            if (i == list->count)
                order = 1;
            else if (list->items[i]->place != place)
                order = list->items[i]->place < place ? -1 : 1;
            else
                order = slice_cmp(object_key(list->items[i]), key);
        }
        if (order > 0) {
            more = give_row(w, place, key, kv_iter_value(it));
        } else {
            more = give(w, list->items[i]);
            i++;
        }
        if (order >= 0 && more) kv_iter_next(it);
    }
    struct kv_error error;
    if (kv_iter_error(it, &error) != RC_OK) {
        ks_fail(w->ks, "walking keys on disk failed", &error);
        more = false;
    }
    kv_iter_free(it);
    buf_free(&start);
    buf_free(&upper);
    return more;
}

static bool give_all(struct walk *w, const struct object_list *list) {
    for (size_t i = 0; i < list->count; i++)
        if (!give(w, list->items[i])) return false;
    return true;
}

/* The next position, 0 at the end. */
static uint64_t walk_from(struct walk *w, uint64_t from, size_t batch) {
    struct object_list list = {0};
    uint64_t end = 0;
    bool more;
    do {
        table_collect(w->db, from, batch, &list, &end);
        more = w->db->complete ? give_all(w, &list) : merge(w, &list, from, end);
        from = end;
    } while (more && end != 0 && w->left > 0);
    mem_free(list.items);
    if (w->stopped || w->ks->faulty) return 0;
    /* Ended in the middle: everything up to last_place has been given, in whole cursors. */
    if (!more) return (cursor_of(w->last_place) + 1) << CURSOR_SHIFT;
    return end;
}

uint64_t ks_scan(struct keyspace *ks, int db, uint64_t cursor, size_t count, int64_t now_ms,
                 ks_visit_fn *visit, void *arg) {
    enum { BATCH_MAX = 1024 };
    struct walk w = {.ks = ks,
                     .db = ks_db(ks, db),
                     .now_ms = now_ms,
                     .visit = visit,
                     .arg = arg,
                     .left = count,
                     .depth = ROW_HEADER};
    if (cursor != cursor_of(cursor << CURSOR_SHIFT))
        return 0; /* beyond the last: nobody was given that one */
    uint64_t next = walk_from(&w, cursor << CURSOR_SHIFT, count < BATCH_MAX ? count : BATCH_MAX);
    CHECK(
        next ==
        cursor_of(next) << CURSOR_SHIFT); /* buckets end at whole cursors: there are at most 2^38 of a slot */
    return cursor_of(next);
}

struct exact {
    size_t left;
    uint64_t last_cursor;
    bool any, is_full;
    ks_visit_fn *visit;
    void *arg;
};

static bool visit_exactly(void *arg, const struct object *o) {
    struct exact *e = arg;
    uint64_t cursor = cursor_of(o->place);
    if (e->left == 0 && (!e->any || cursor != e->last_cursor)) {
        e->is_full = true;
        return false;
    }
    if (e->left > 0) e->left--;
    e->any = true;
    e->last_cursor = cursor;
    return e->visit(e->arg, o);
}

uint64_t ks_scan_exactly(struct keyspace *ks, int db, uint64_t cursor, size_t count, int64_t now_ms,
                         ks_visit_fn *visit, void *arg) {
    struct exact e = {.left = count, .visit = visit, .arg = arg};
    CHECK(count > 0);
    do {
        cursor = ks_scan(ks, db, cursor, 1024, now_ms, visit_exactly, &e);
    } while (cursor != 0);
    return e.is_full && !ks->faulty ? e.last_cursor + 1 : 0;
}

void ks_visit_all(struct keyspace *ks, int db, ks_visit_fn *visit, void *arg) {
    enum { BATCH = 1024 };
    struct walk w = {.ks = ks,
                     .db = ks_db(ks, db),
                     .now_ms = INT64_MIN,
                     .visit = visit,
                     .arg = arg,
                     .left = SIZE_MAX,
                     .depth = ROW_WHOLE};
    (void)walk_from(&w, 0, BATCH);
}

/* --- a random key --- */

enum { RANDOM_CANDIDATES = 16 };

struct random_pick {
    struct rng *rng;
    size_t seen;
    struct buf key;
};

/* Reservoir of one: each visible key met so far is kept with equal chance. */
static bool pick(void *arg, const struct object *o) {
    struct random_pick *p = arg;
    p->seen++;
    if (rng_below(p->rng, p->seen) == 0) {
        buf_clear(&p->key);
        buf_add_slice(&p->key, object_key(o));
    }
    return p->seen < RANDOM_CANDIDATES;
}

const struct object *ks_random(struct keyspace *ks, int db, int64_t now_ms, struct rng *rng) {
    struct random_pick p = {.rng = rng};
    if (ks_db(ks, db)->keys == 0) return NULL;
    struct walk w = {.ks = ks,
                     .db = ks->dbs[db],
                     .now_ms = now_ms,
                     .visit = pick,
                     .arg = &p,
                     .left = SIZE_MAX,
                     .depth = ROW_HEADER};
    walk_from(&w, rng_next(rng), RANDOM_CANDIDATES);
    if (p.seen < RANDOM_CANDIDATES) { /* met the end: go on from the beginning */
        w.stopped = false;
        walk_from(&w, 0, RANDOM_CANDIDATES);
    }
    const struct object *o = p.seen ? ks_peek(ks, db, buf_slice(&p.key), now_ms) : NULL;
    buf_free(&p.key);
    return o;
}
