/* Results of set algebra: members in the order in which they came, found by open addressing. The encoding is the one that Redis's
 * own result would have, which starts as an intset and remembers that it had to give that up. */
#include "set_writer.h"
#include "type_set.h"

#include "hash.h"

#include <stdlib.h>

void set_build_init(struct set_build *b, const struct keyspace *ks, struct arena *arena) {
    *b = (struct set_build){.ks = ks, .arena = arena};
}

void set_build_free(struct set_build *b) {
    mem_free(b->items);
    mem_free(b->slots);
    *b = (struct set_build){0};
}

static struct build_item item_of(const struct set_build *b, const struct pack_value *member) {
    struct build_item i = {.is_int = member->is_int};
    struct slice bytes = member->text;
    if (member->is_int) {
        i.as.integer = member->integer;
        bytes = slice_make((const char *)&member->integer, sizeof member->integer);
    } else {
        i.as.text = member->text;
    }
    /* With the seed of places, so that a set's members are as hard to make collide as keys. */
    i.hash = (uint32_t)hash64_seeded(b->ks->place_seed, bytes);
    return i;
}

static bool is_same(const struct build_item *a, const struct build_item *b) {
    if (a->hash != b->hash || a->is_int != b->is_int) return false;
    return a->is_int ? a->as.integer == b->as.integer : slice_eq(a->as.text, b->as.text);
}

static void put_slot(struct set_build *b, size_t index) {
    size_t i = b->items[index].hash & (b->slot_count - 1);
    while (b->slots[i] != 0) i = (i + 1) & (b->slot_count - 1);
    b->slots[i] = (uint32_t)index + 1;
}

/* At least twice as many slots as there are items, one more included. */
static void make_slots(struct set_build *b) {
    enum { SLOTS_MIN = 64 };
    if (b->slots != NULL && b->slot_count >= (b->count + 1) * 2) return;
    size_t wanted = b->slot_count ? b->slot_count * 2 : SLOTS_MIN;
    while (wanted < (b->count + 1) * 2) wanted *= 2;
    mem_free(b->slots);
    b->slots = mem_calloc(wanted, sizeof *b->slots);
    b->slot_count = wanted;
    for (size_t i = 0; i < b->count; i++) put_slot(b, i);
}

static struct build_item *find(const struct set_build *b, const struct build_item *wanted) {
    for (size_t i = wanted->hash & (b->slot_count - 1); b->slots[i] != 0; i = (i + 1) & (b->slot_count - 1)) {
        struct build_item *item = &b->items[b->slots[i] - 1];
        if (is_same(item, wanted)) return item;
    }
    return NULL;
}

static void push(struct set_build *b, struct build_item item) {
    CHECK(b->count < UINT32_MAX);
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->items = mem_realloc(b->items, b->cap * sizeof *b->items);
    }
    if (!item.is_int && b->arena != NULL) item.as.text = arena_copy(b->arena, item.as.text);
    b->items[b->count++] = item;
    b->live++;
    if (!item.is_int || b->live > set_intset_max(ks_limits(b->ks))) b->is_table = true;
    if (b->slots != NULL) put_slot(b, b->count - 1);
}

bool set_build_add(struct set_build *b, const struct pack_value *member) {
    struct build_item item = item_of(b, member);
    make_slots(b);
    struct build_item *there = find(b, &item);
    CHECK(there == NULL || !there->gone); /* whoever removes does not add afterwards */
    if (there == NULL) push(b, item);
    return there == NULL;
}

void set_build_append(struct set_build *b, const struct pack_value *member) {
    CHECK(b->slots == NULL);
    push(b, item_of(b, member));
}

void set_build_remove(struct set_build *b, const struct pack_value *member) {
    struct build_item item = item_of(b, member);
    make_slots(b);
    struct build_item *there = find(b, &item);
    if (there == NULL || there->gone) return;
    there->gone = true;
    b->live--;
}

static int by_integer(const void *a, const void *b) {
    int64_t x = ((const struct build_item *)a)->as.integer, y = ((const struct build_item *)b)->as.integer;
    return x < y ? -1 : x > y;
}

void set_build_sort(struct set_build *b) {
    if (b->is_table || b->count == 0) return;
    mem_free(b->slots); /* they go by index */
    b->slots = NULL;
    b->slot_count = 0;
    qsort(b->items, b->count, sizeof *b->items, by_integer);
}

bool set_build_next(const struct set_build *b, size_t *i, struct pack_value *member) {
    while (*i < b->count && b->items[*i].gone) ++*i;
    if (*i == b->count) return false;
    const struct build_item *item = &b->items[(*i)++];
    *member = item->is_int ? pack_integer(item->as.integer) : pack_bytes(item->as.text);
    return true;
}

struct object *set_build_store(struct set_build *b, struct keyspace *ks, int db, struct slice key) {
    CHECK(b->live > 0);
    set_build_sort(b); /* adding in order is the cheapest way to make an intset */
    struct object *o = set_create(ks, db, key, !b->is_table);
    struct set_writer w = set_write_begin(ks, db, o);
    struct pack_value member;
    for (size_t i = 0; set_build_next(b, &i, &member);) {
        bool fresh = set_write(&w, &member);
        CHECK(fresh);
    }
    set_write_end(&w);
    return o;
}
