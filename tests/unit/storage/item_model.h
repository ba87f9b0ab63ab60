/* A naive collection of items from a fixed universe, and a keyspace whose key is compared with it after every step, while
 * write-backs begin, make progress, are crashed and reloaded between the steps. What the tests of hashes and sets stand on. */
#ifndef TESTS_UNIT_STORAGE_ITEM_MODEL_H
#define TESTS_UNIT_STORAGE_ITEM_MODEL_H

#include "num.h"

#include "unit/storage/one_keyspace.h"

enum { UNIVERSE = 3000, ITEM_LEN_MAX = 400 };

struct model_item {
    uint32_t value; /* of a hash: value_text() of this */
    uint32_t came;  /* when: ascends */
    bool there;
};

struct model {
    struct model_item items[UNIVERSE];
    size_t count;
    uint32_t clock;
    int encoding; /* that Redis would name; once a table, a table until there is nothing left */
};

/* The model as of the last write-backs: [0] has ended, or [1] has while nobody looked. */
static struct model as_stored[2];
static uint64_t stored_at[2];

static void open_keyspace(void) {
    open_fresh();
    memset(as_stored, 0, sizeof as_stored);
    memset(stored_at, 0, sizeof stored_at);
}

static void begin_entry(void) {
    ks_begin_entry(ks);
}

__attribute__((unused)) static void store_all(const struct model *m) {
    struct kv_error error = {""};
    EXPECT_NOTE(ks_store_all(ks, &error) == RC_OK, "%s", error.text);
    as_stored[0] = *m;
    stored_at[0] = entry;
    stored_at[1] = 0;
}

/* Loses what is not on disk, and goes on from what is. */
__attribute__((unused)) static void crash(struct model *m) {
    ks_close(ks);
    open_again();
    entry = ks_applied(ks).index;
    *m = (struct model){0};
    int found = stored_at[1] == entry ? 1 : 0;
    EXPECT_NOTE(entry == 0 || stored_at[found] == entry, "a state of entry %" PRIu64 " came back", entry);
    if (entry != 0) *m = as_stored[found];
    as_stored[0] = *m;
    stored_at[0] = entry;
    stored_at[1] = 0;
}

/* What happens to a node between entries. `m` is the present; it falls back when the node crashes. */
__attribute__((unused)) static void something_else(struct rng *rng, struct model *m) {
    switch (rng_below(rng, 12)) {
    case 0: store_all(m); break;
    case 1: ks_forget(ks); break;
    case 2:
        store_all(m);
        ks_forget(ks);
        break;
    case 3:
        if (rng_below(rng, 3) == 0) crash(m);
        break;
    case 4:
    case 5:
        if (ks_writeback_running(ks)) break;
        if (stored_at[1] > stored_at[0]) {
            as_stored[0] = as_stored[1];
            stored_at[0] = stored_at[1];
        }
        if (!ks_writeback_begin(ks)) break;
        as_stored[1] = *m;
        stored_at[1] = entry;
        break;
    default: ks_turn(ks, 1 + rng_below(rng, 20)); break;
    }
}

/* Every third item spells an integer; one in fifty is longer than a listpack takes, when there may be any. */
__attribute__((unused)) static struct slice item_text(uint32_t id, bool may_be_long, char *out) {
    int n;
    if (id % 3 == 0)
        n = snprintf(out, ITEM_LEN_MAX, "%" PRId64, (int64_t)id * (id % 7 == 0 ? 100000007 : 1) - 100);
    else if (may_be_long && id % 50 == 1)
        n = snprintf(out, ITEM_LEN_MAX, "%0100u", id);
    else
        n = snprintf(out, ITEM_LEN_MAX, "item:%u", id);
    return slice_make(out, (size_t)n);
}

__attribute__((unused)) static void model_put(struct model *m, uint32_t id, uint32_t value) {
    struct model_item *i = &m->items[id];
    if (!i->there) {
        i->there = true;
        i->came = m->clock++;
        m->count++;
    }
    i->value = value;
}

__attribute__((unused)) static bool model_remove(struct model *m, uint32_t id) {
    if (!m->items[id].there) return false;
    m->items[id].there = false;
    m->count--;
    return true;
}

__attribute__((unused)) static struct slice text_of(struct pack_value v, char *scratch) {
    return v.is_int ? slice_make(scratch, format_i64(scratch, v.integer)) : v.text;
}

/* Finds the item that reads so: its number, or -1. */
__attribute__((unused)) static int64_t item_number(struct slice text, bool may_be_long) {
    char out[ITEM_LEN_MAX];
    int64_t n;
    uint32_t guess[2] = {UINT32_MAX, UINT32_MAX};
    if (parse_i64(text, &n)) {
        guess[0] = (uint32_t)(n + 100);
        guess[1] = (uint32_t)((n + 100) / 100000007);
    } else {
        const char *digits = memchr(text.data, ':', text.len);
        char number[ITEM_LEN_MAX];
        size_t skip = digits ? (size_t)(digits + 1 - text.data) : 0;
        EXPECT(text.len - skip < sizeof number);
        memcpy(number, text.data + skip, text.len - skip);
        number[text.len - skip] = '\0';
        guess[0] = (uint32_t)strtoul(number, NULL, 10);
    }
    for (int i = 0; i < 2; i++)
        if (guess[i] < UNIVERSE && slice_eq(item_text(guess[i], may_be_long, out), text)) return guess[i];
    /* zero-padded numbers are integers to no one */
    for (uint32_t id = 0; id < UNIVERSE; id++)
        if (slice_eq(item_text(id, may_be_long, out), text)) return id;
    return -1;
}

#endif
