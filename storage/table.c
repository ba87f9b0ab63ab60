/* Finding objects: one small chained table per slot, buckets ordered by the leading bits of the hash. That order
 * is the order of rows on disk, so SCAN, write-back and slot ranges need no other index. Tables below
 * TABLE_GROW_AT_ONCE_BITS are rebuilt in one go; bigger ones move a few buckets with each insertion. */
#include "collection.h"

#include <stdlib.h>

enum { TABLE_MIN_BITS = 1, TABLE_GROW_AT_ONCE_BITS = 10, TABLE_MOVE_PER_INSERT = 4 };

uint64_t place_of(const struct keyspace *ks, struct slice key) {
    return (uint64_t)key_slot(key) << PLACE_HASH_BITS | hash64_seeded(ks->place_seed, key) >> SLOT_BITS;
}

static inline uint32_t place_slot(uint64_t place) {
    return (uint32_t)(place >> PLACE_HASH_BITS);
}

/* The leading `bits` of the hash part; bits >= 1. */
static inline size_t place_bucket(uint64_t place, unsigned bits) {
    return (size_t)((place << SLOT_BITS) >> (64 - bits));
}

static struct object **bucket_of(struct slot_table *t, uint64_t place) {
    size_t i = place_bucket(place, t->bits);
    if (t->growing != NULL && i < t->moved) return &t->growing[place_bucket(place, t->bits + 1u)];
    return &t->buckets[i];
}

size_t table_bucket_bytes(const struct slot_table *t) {
    size_t n = t->buckets ? (size_t)1 << t->bits : 0;
    return (n + (t->growing ? 2 * n : 0)) * sizeof(struct object *);
}

struct object *table_find(struct db *db, uint64_t place, struct slice key) {
    if (db->slots == NULL) return NULL;
    struct slot_table *t = &db->slots[place_slot(place)];
    if (t->buckets == NULL) return NULL;
    for (struct object *o = *bucket_of(t, place); o != NULL; o = o->chain)
        if (o->place == place && slice_eq(object_key(o), key)) return o;
    return NULL;
}

void ks_prefetch(const struct keyspace *ks, const struct ks_hint *hints, size_t count) {
    uint64_t places[KS_PREFETCH_MAX];
    struct slot_table *tables[KS_PREFETCH_MAX];
    struct object **buckets[KS_PREFETCH_MAX];
    CHECK(count <= KS_PREFETCH_MAX);
    for (size_t i = 0; i < count; i++) {
        places[i] = place_of(ks, hints[i].key);
        struct slot_table *slots = ks->dbs[hints[i].db]->slots;
        tables[i] = slots ? &slots[place_slot(places[i])] : NULL;
        __builtin_prefetch(tables[i]);
    }
    for (size_t i = 0; i < count; i++) {
        buckets[i] = tables[i] && tables[i]->buckets ? bucket_of(tables[i], places[i]) : NULL;
        __builtin_prefetch(buckets[i]);
    }
    for (size_t i = 0; i < count; i++) {
        const char *first = buckets[i] ? (const char *)*buckets[i] : NULL;
        if (first == NULL) continue;
        __builtin_prefetch(first, 1);
        __builtin_prefetch(first + 64, 1);
    }
    /* The object is here, or will be in a moment: its value, or, when it is another key's, the next in the bucket. */
    for (size_t i = 0; i < count; i++) {
        const struct object *o = buckets[i] ? *buckets[i] : NULL;
        if (o == NULL) continue;
        const char *next = NULL;
        if (o->place != places[i])
            next = (const char *)o->chain;
        else if (o->type != OBJECT_NONE && o->encoding != ENCODING_INT)
            next = o->as.bytes; /* or the container of a big collection */
        if (next == NULL) continue;
        __builtin_prefetch(next, 1);
        __builtin_prefetch(next + 64, 1);
    }
}

static void split_bucket(struct slot_table *t) {
    CHECK(t->growing != NULL);
    struct object *o = t->buckets[t->moved];
    t->buckets[t->moved] = NULL;
    t->moved++;
    while (o != NULL) {
        struct object *next = o->chain;
        struct object **to = &t->growing[place_bucket(o->place, t->bits + 1u)];
        o->chain = *to;
        *to = o;
        o = next;
    }
    if (t->moved < (size_t)1 << t->bits) return;
    mem_free(t->buckets);
    t->buckets = t->growing;
    t->growing = NULL;
    t->moved = 0;
    t->bits++;
}

static void grow(struct slot_table *t) {
    t->growing = mem_calloc((size_t)2 << t->bits, sizeof(struct object *));
    t->moved = 0;
    if (t->bits < TABLE_GROW_AT_ONCE_BITS)
        while (t->growing != NULL) split_bucket(t);
}

void table_insert(struct keyspace *ks, struct db *db, struct object *o) {
    if (db->slots == NULL) db->slots = mem_calloc(SLOT_COUNT, sizeof *db->slots);
    uint32_t slot = place_slot(o->place);
    struct slot_table *t = &db->slots[slot];
    size_t before = table_bucket_bytes(t);
    if (t->buckets == NULL) {
        t->bits = TABLE_MIN_BITS;
        t->buckets = mem_calloc((size_t)1 << t->bits, sizeof(struct object *));
        db->used[slot / 64] |= UINT64_C(1) << slot % 64;
    }
    if (t->growing != NULL)
        for (int i = 0; i < TABLE_MOVE_PER_INSERT && t->growing != NULL; i++) split_bucket(t);
    else if (t->count > (uint32_t)1 << t->bits)
        grow(t);
    ks->stats.memory_bytes += table_bucket_bytes(t) - before;
    struct object **bucket = bucket_of(t, o->place);
    o->chain = *bucket;
    *bucket = o;
    t->count++;
    db->objects++;
    ks->stats.objects++;
}

/* A table that became mostly air is rebuilt smaller, so that walking it stays proportional to what it holds. */
static void shrink(struct slot_table *t) {
    unsigned bits = t->bits;
    while (bits > TABLE_MIN_BITS && t->count < (uint32_t)1 << (bits - 1)) bits--;
    struct object **smaller = mem_calloc((size_t)1 << bits, sizeof(struct object *));
    for (size_t i = 0; i < (size_t)1 << t->bits; i++) {
        for (struct object *o = t->buckets[i], *next; o != NULL; o = next) {
            next = o->chain;
            struct object **to = &smaller[place_bucket(o->place, bits)];
            o->chain = *to;
            *to = o;
        }
    }
    mem_free(t->buckets);
    t->buckets = smaller;
    t->bits = (uint8_t)bits;
}

void table_remove(struct keyspace *ks, struct db *db, struct object *o) {
    uint32_t slot = place_slot(o->place);
    struct slot_table *t = &db->slots[slot];
    struct object **link = bucket_of(t, o->place);
    while (*link != o) {
        CHECK(*link != NULL);
        link = &(*link)->chain;
    }
    *link = o->chain;
    size_t before = table_bucket_bytes(t);
    CHECK(t->count > 0);
    t->count--;
    db->objects--;
    ks->stats.objects--;
    if (t->count == 0) {
        mem_free(t->buckets);
        mem_free(t->growing);
        *t = (struct slot_table){0};
        db->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    } else if (t->growing == NULL && t->bits > 4 && t->count < (uint32_t)1 << (t->bits - 3)) {
        shrink(t);
    }
    ks->stats.memory_bytes -= before - table_bucket_bytes(t);
}

/* --- walking in order --- */

/* The next used slot at or after `slot`, or SLOT_COUNT. */
static uint32_t next_used_slot(const struct db *db, uint32_t slot) {
    if (db->slots == NULL) return SLOT_COUNT;
    while (slot < SLOT_COUNT) {
        uint64_t word = db->used[slot / 64] >> slot % 64;
        if (word != 0) return slot + (uint32_t)__builtin_ctzll(word);
        slot = (slot / 64 + 1) * 64;
    }
    return SLOT_COUNT;
}

/* A walk visits each bucket of the coarse size: the two halves of one that has moved count as one. */
static void for_bucket(struct slot_table *t, size_t i, struct object ***first, struct object ***second) {
    *second = NULL;
    if (t->growing != NULL && i < t->moved) {
        *first = &t->growing[2 * i];
        *second = &t->growing[2 * i + 1];
    } else {
        *first = &t->buckets[i];
    }
}

/* The first place behind bucket i of the slot; 0 behind the last bucket of the last slot. */
static uint64_t place_after(uint32_t slot, size_t i, unsigned bits) {
    uint64_t base = (uint64_t)slot << PLACE_HASH_BITS;
    return base + ((uint64_t)(i + 1) << (PLACE_HASH_BITS - bits));
}

static int by_place(const void *a, const void *b) {
    const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    return slice_cmp(object_key(x), object_key(y));
}

static void object_list_add(struct object_list *l, struct object *o) {
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->items = mem_realloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = o;
}

static void collect_bucket(struct object *o, uint64_t from, struct object_list *out) {
    for (; o != NULL; o = o->chain)
        if (o->place >= from) object_list_add(out, o);
}

void table_collect(struct db *db, uint64_t from, size_t want, struct object_list *out, uint64_t *end) {
    out->count = 0;
    uint32_t first_slot = place_slot(from);
    for (uint32_t slot = next_used_slot(db, first_slot); slot < SLOT_COUNT;
         slot = next_used_slot(db, slot + 1)) {
        struct slot_table *t = &db->slots[slot];
        size_t buckets = (size_t)1 << t->bits;
        for (size_t i = slot == first_slot ? place_bucket(from, t->bits) : 0; i < buckets; i++) {
            size_t start = out->count;
            struct object **a, **b;
            for_bucket(t, i, &a, &b);
            collect_bucket(*a, from, out);
            if (b != NULL) collect_bucket(*b, from, out);
            if (out->count - start > 1)
                qsort(out->items + start, out->count - start, sizeof *out->items, by_place);
            if (out->count < want) continue;
            *end = place_after(slot, i, t->bits);
            return;
        }
    }
    *end = 0;
}

bool table_walk(struct keyspace *ks, struct db *db, uint64_t *hand, size_t steps, bucket_visit_fn *visit) {
    uint32_t slot = next_used_slot(db, place_slot(*hand));
    if (slot != place_slot(*hand)) *hand = (uint64_t)slot << PLACE_HASH_BITS;
    while (slot < SLOT_COUNT) {
        if (steps-- == 0) return true;
        struct slot_table *t = &db->slots[slot];
        size_t i = place_bucket(*hand, t->bits);
        uint64_t next = place_after(slot, i, t->bits);
        struct object **a, **b;
        for_bucket(t, i, &a, &b);
        visit(ks, db, a);
        /* The visit may have emptied or shrunk the table: look at the second half only if it is still there. */
        if (b != NULL && t->growing != NULL && db->slots[slot].count > 0) visit(ks, db, b);
        *hand = next;
        if (next == 0) return false;
        uint32_t now = next_used_slot(db, place_slot(next));
        if (now != place_slot(next)) *hand = (uint64_t)now << PLACE_HASH_BITS;
        slot = now;
    }
    *hand = 0;
    return false;
}

static size_t free_counted(void *p) {
    size_t size = mem_size(p);
    mem_free(p);
    return size;
}

static size_t free_chain(struct object *o) {
    size_t freed = 0;
    while (o != NULL) {
        struct object *next = o->chain;
        if (object_is_big(o))
            freed += collection_free(object_collection(o));
        else if (object_has_outside_bytes(o))
            freed += free_counted(o->as.bytes);
        freed += free_counted(o->expiry) + free_counted(o);
        o = next;
    }
    return freed;
}

size_t table_free(struct db *db) {
    size_t freed = 0;
    for (uint32_t slot = next_used_slot(db, 0); slot < SLOT_COUNT; slot = next_used_slot(db, slot + 1)) {
        struct slot_table *t = &db->slots[slot];
        for (size_t i = 0; i < (size_t)1 << t->bits; i++) freed += free_chain(t->buckets[i]);
        for (size_t i = 0; t->growing != NULL && i < (size_t)2 << t->bits; i++)
            freed += free_chain(t->growing[i]);
        freed += table_bucket_bytes(t);
        mem_free(t->buckets);
        mem_free(t->growing);
    }
    mem_free(db->slots);
    db->slots = NULL;
    mem_free(db->heap.items);
    db->heap = (struct expiry_heap){0};
    return freed;
}
