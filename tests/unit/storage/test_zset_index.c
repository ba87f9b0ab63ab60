/* The index of members of a big sorted set, alone: entries of made-up leaves against a plain list of them,
 * growth and splits, and that scanning meets everything that stays, whatever comes and goes meanwhile. */
#include "zset_index.h"

#include "mem.h"
#include "rng.h"
#include "tree.h"

#include "test.h"

enum { ENTRIES = 60000, LEAVES = 700 };

struct entry {
    uint32_t hash, leaf;
    bool there, seen;
};

static struct entry entries[ENTRIES];
static struct tree_leaf leaves[LEAVES];
static struct zset_index ix;

/* With `few` hashes many entries have the same one. */
static void begin(struct rng *rng, bool few) {
    memset(leaves, 0, sizeof leaves);
    for (size_t i = 0; i < ENTRIES; i++)
        entries[i] = (struct entry){.hash = few ? (uint32_t)rng_below(rng, 300) << 20 | 7
                                                : (uint32_t)(rng_next(rng) >> 32)};
    zset_index_init(&ix);
}

static bool is_found(const struct entry *e) {
    struct zset_probe probe = {.hash = e->hash};
    const struct tree_leaf *leaf;
    while ((leaf = zset_index_next(&ix, &probe)) != NULL)
        if (leaf == &leaves[e->leaf]) return true;
    return false;
}

static void add(struct rng *rng, struct entry *e) {
    e->leaf = (uint32_t)rng_below(rng, LEAVES);
    e->there = true;
    zset_index_add(&ix, e->hash, &leaves[e->leaf]);
}

static void drop(struct entry *e) {
    e->there = false;
    zset_index_remove(&ix, e->hash, &leaves[e->leaf]);
}

static void change(struct rng *rng, uint32_t below, bool growing) {
    struct entry *e = &entries[rng_below(rng, below)];
    if (!e->there) {
        if (growing || rng_below(rng, 3) == 0) add(rng, e);
    } else if (rng_below(rng, 3) == 0) {
        uint32_t to = (uint32_t)rng_below(rng, LEAVES);
        if (to == e->leaf) return;
        zset_index_move(&ix, e->hash, &leaves[e->leaf], &leaves[to]);
        e->leaf = to;
    } else if (!growing || rng_below(rng, 8) == 0) {
        drop(e);
    }
}

static void check_all(uint32_t below) {
    uint64_t there = 0;
    zset_index_check(&ix);
    for (uint32_t i = 0; i < below; i++) {
        there += entries[i].there;
        if (entries[i].there) EXPECT(is_found(&entries[i]));
    }
    /* Every entry is found by its hash and leaf, and there are no others. */
    uint64_t held = 0;
    for (uint32_t i = 1; i < ix.leaf_count; i++)
        if (ix.leaves[i].leaf != NULL) held += ix.leaves[i].entries;
    EXPECT_EQ_INT(held, there);
}

TEST(entries_come_go_and_move) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct rng rng = {seed};
        bool few = seed % 2 == 0;
        uint32_t below = few ? 3000 : ENTRIES;
        begin(&rng, few);
        for (uint32_t i = 0; i < 3 * below; i++) change(&rng, below, true);
        check_all(below);
        for (uint32_t i = 0; i < 3 * below; i++) change(&rng, below, false);
        check_all(below);
        for (uint32_t i = 0; i < below; i++)
            if (entries[i].there) drop(&entries[i]);
        check_all(below);
        zset_index_free(&ix);
    }
}

TEST(many_at_once_are_the_same_as_one_by_one) {
    struct rng rng = {6};
    for (uint32_t n = 1; n <= ENTRIES; n = n * 7 + 3) {
        begin(&rng, false);
        struct zset_index_batch batch;
        zset_index_batch_begin(&batch, &ix, n / 5); /* fewer than come */
        for (uint32_t i = 0; i < n; i++) {
            entries[i].leaf = (uint32_t)rng_below(&rng, LEAVES);
            entries[i].there = true;
            zset_index_batch_add(&batch, entries[i].hash, &leaves[entries[i].leaf]);
        }
        zset_index_batch_end(&batch);
        check_all(n);
        zset_index_free(&ix);
    }
}

TEST(a_copy_is_of_its_own_leaves) {
    struct rng rng = {7};
    static struct tree_leaf others[LEAVES];
    struct zset_index copy;
    begin(&rng, false);
    memset(others, 0, sizeof others);
    for (uint32_t i = 0; i < ENTRIES / 2; i++) add(&rng, &entries[i]);
    for (uint32_t i = 0; i < 100; i++) drop(&entries[i]);
    zset_index_init(&copy);
    zset_index_copy(&copy, &ix);
    for (uint32_t i = 0; i < LEAVES; i++) {
        others[i].mark = leaves[i].mark;
        if (others[i].mark != 0) zset_index_rename(&copy, &others[i]);
    }
    zset_index_check(&copy);
    for (uint32_t i = 100; i < ENTRIES / 2; i++)
        zset_index_remove(&copy, entries[i].hash, &others[entries[i].leaf]);
    zset_index_check(&copy);
    check_all(ENTRIES / 2);
    zset_index_free(&copy);
    zset_index_free(&ix);
}

TEST(an_entry_takes_few_bytes) {
    struct rng rng = {5};
    begin(&rng, false);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        add(&rng, &entries[i]);
        if (i > 10000) EXPECT_NOTE(ix.bytes < 20 * (size_t)i, "%zu bytes for %u entries", ix.bytes, i + 1);
    }
    zset_index_free(&ix);
}

/* --- scanning --- */

static void see(void *arg, uint32_t hash, struct tree_leaf *leaf) {
    uint32_t *below = arg;
    for (uint32_t i = 0; i < *below; i++)
        if (entries[i].hash == hash && &leaves[entries[i].leaf] == leaf) entries[i].seen = true;
}

/* What is there from the first step to the last, moved or not, is met; the table may grow in between. */
static void check_scan(uint64_t seed, bool few) {
    struct rng rng = {seed};
    uint32_t below = 2000;
    bool stays[2000];
    begin(&rng, few);
    for (uint32_t i = 0; i < below; i++)
        if (rng_below(&rng, 2) == 0) add(&rng, &entries[i]);
    for (uint32_t i = 0; i < below; i++) stays[i] = entries[i].there;
    uint64_t cursor = 0;
    do {
        size_t want = 1 + (size_t)rng_below(&rng, 40);
        uint64_t next = zset_index_scan(&ix, cursor, want, see, &below);
        EXPECT(next == 0 || next > cursor);
        cursor = next;
        for (uint32_t i = 0; i < 30; i++) {
            uint32_t which = (uint32_t)rng_below(&rng, below);
            bool was = entries[which].there;
            if (was && rng_below(&rng, 2) == 0) {
                drop(&entries[which]);
                add(&rng, &entries[which]); /* in another leaf */
            } else if (was && rng_below(&rng, 4) == 0) {
                drop(&entries[which]);
                stays[which] = false;
            } else if (!was) {
                add(&rng, &entries[which]);
            }
        }
    } while (cursor != 0);
    for (uint32_t i = 0; i < below; i++)
        if (stays[i]) EXPECT_NOTE(entries[i].seen, "seed %" PRIu64 ": entry %u was missed", seed, i);
    zset_index_free(&ix);
}

TEST(scans_meet_what_stays) {
    for (uint64_t seed = 1; seed <= 12; seed++) check_scan(seed, seed % 3 == 0);
}

TEST(an_empty_index_is_scanned_at_once) {
    uint32_t below = 0;
    zset_index_init(&ix);
    EXPECT_EQ_INT(zset_index_scan(&ix, 0, 10, see, &below), 0);
    struct zset_probe probe = {.hash = 1};
    EXPECT(zset_index_next(&ix, &probe) == NULL);
    zset_index_free(&ix);
}

TEST_MAIN
