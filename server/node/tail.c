/* The newest entries of the log, in memory: those on their way to the disk and to a majority, those waiting to be
 * applied, and, for followers a little behind, some that are applied already. Older ones are read from the log. */
#include "node_internal.h"

#include "mem.h"

enum { TAIL_CAP_MIN = 64, TAIL_KEEP_BYTES = 32 << 20, TAIL_KEEP_ENTRIES = 4096 };

void tail_init(struct tail *t, uint64_t last_index) {
    *t = (struct tail){.cap = TAIL_CAP_MIN, .first_index = last_index + 1, .last_index = last_index};
    t->items = mem_calloc(t->cap, sizeof *t->items);
}

struct proposal *tail_at(const struct tail *t, uint64_t index) {
    if (index < t->first_index || index > t->last_index) return NULL;
    return t->items[index & (t->cap - 1)];
}

static void grow(struct tail *t) {
    size_t cap = t->cap * 2;
    struct proposal **items = mem_calloc(cap, sizeof *items);
    for (uint64_t i = t->first_index; i <= t->last_index; i++)
        items[i & (cap - 1)] = t->items[i & (t->cap - 1)];
    mem_free(t->items);
    t->items = items;
    t->cap = cap;
}

void tail_push(struct tail *t, struct proposal *p) {
    CHECK(p->index == t->last_index + 1);
    if (t->last_index + 1 - t->first_index == t->cap) grow(t);
    t->last_index = p->index;
    t->items[p->index & (t->cap - 1)] = p;
    t->bytes += p->payload.len;
}

struct proposal *tail_pop_newest(struct tail *t) {
    CHECK(t->last_index >= t->first_index);
    struct proposal *p = t->items[t->last_index & (t->cap - 1)];
    t->last_index--;
    t->bytes -= p->payload.len;
    return p;
}

static struct proposal *pop_oldest(struct tail *t) {
    struct proposal *p = t->items[t->first_index & (t->cap - 1)];
    t->first_index++;
    t->bytes -= p->payload.len;
    return p;
}

struct proposal *tail_pop_surplus(struct tail *t, uint64_t applied_index, bool keep_some) {
    if (t->first_index > applied_index) return NULL;
    if (keep_some && t->bytes <= TAIL_KEEP_BYTES && t->last_index - t->first_index < TAIL_KEEP_ENTRIES)
        return NULL;
    return pop_oldest(t);
}

struct proposal *tail_pop_backlog(struct tail *t, uint64_t apply_index) {
    if (t->first_index > apply_index || t->first_index > t->last_index || t->bytes <= TAIL_KEEP_BYTES)
        return NULL;
    const struct proposal *p = t->items[t->first_index & (t->cap - 1)];
    return p->op_count > 0 || p->has_expiry ? NULL : pop_oldest(t);
}

void tail_restart(struct tail *t, uint64_t last_index) {
    CHECK(t->first_index == t->last_index + 1);
    t->first_index = last_index + 1;
    t->last_index = last_index;
}

void tail_free(struct tail *t) {
    mem_free(t->items);
}
