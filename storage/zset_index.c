/* See zset_index.h. An entry's place is where its hash, seen as a fraction, points to in its segment, or
 * behind: entries are kept in the order of their hashes' places, so that a search ends at the first entry
 * that has come less far than it would have. The end of a segment wraps around to its beginning. */
#include "zset_index.h"

#include "check.h"
#include "mem.h"
#include "tree.h"

enum {
    SEGMENT_BITS_MIN = 3,
    SEGMENT_BITS_MAX = 12, /* 32 KiB: splitting one takes some tens of microseconds */
    DEPTH_MAX = 20,        /* then segments grow, after all */
    HASH_BITS = 32,
};

struct zset_segment {
    uint64_t *slots; /* hash << 32 | number of the leaf; 0: empty */
    uint32_t count;
    uint8_t bits;  /* of the number of slots */
    uint8_t depth; /* all hashes here have so many leading bits in common */
};

static inline uint32_t slot_hash(uint64_t slot) {
    return (uint32_t)(slot >> 32);
}
static inline uint64_t slot_make(uint32_t hash, uint32_t leaf) {
    return (uint64_t)hash << 32 | leaf;
}
static inline uint32_t segment_mask(const struct zset_segment *s) {
    return (UINT32_C(1) << s->bits) - 1;
}
/* Where an entry would be if it were alone. */
static inline uint32_t home_of(const struct zset_segment *s, uint32_t hash) {
    return (uint32_t)(hash << s->depth) >> (HASH_BITS - s->bits);
}
static inline struct zset_segment *segment_of(const struct zset_index *ix, uint32_t hash) {
    return ix->segments[(uint64_t)hash >> (HASH_BITS - ix->depth)];
}
/* How far the entry in slot `at` is from its home. */
static inline uint32_t distance_at(const struct zset_segment *s, uint32_t at) {
    return (at - home_of(s, slot_hash(s->slots[at]))) & segment_mask(s);
}

/* --- numbers of leaves --- */

static void leaves_grow(struct zset_index *ix) {
    ix->bytes -= mem_size(ix->leaves);
    ix->leaf_cap += ix->leaf_cap / 2 + 4;
    ix->leaves = mem_realloc(ix->leaves, ix->leaf_cap * sizeof *ix->leaves);
    ix->bytes += mem_size(ix->leaves);
}

/* One entry more names this leaf. */
static uint32_t leaf_hold(struct zset_index *ix, struct tree_leaf *leaf) {
    if (leaf->mark == 0) {
        uint32_t number = ix->leaf_free;
        if (number != 0) {
            ix->leaf_free = ix->leaves[number].entries;
        } else {
            if (ix->leaf_count >= ix->leaf_cap) leaves_grow(ix);
            number = ix->leaf_count++;
        }
        ix->leaves[number] = (struct zset_index_leaf){.leaf = leaf};
        leaf->mark = number;
    }
    CHECK(ix->leaves[leaf->mark].leaf == leaf);
    ix->leaves[leaf->mark].entries++;
    return leaf->mark;
}

static void leaf_release(struct zset_index *ix, struct tree_leaf *leaf) {
    struct zset_index_leaf *l = &ix->leaves[leaf->mark];
    CHECK(l->leaf == leaf);
    CHECK(l->entries > 0);
    if (--l->entries > 0) return;
    l->leaf = NULL;
    l->entries = ix->leaf_free;
    ix->leaf_free = leaf->mark;
    leaf->mark = 0;
}

/* --- segments --- */

static struct zset_segment *segment_new(struct zset_index *ix, uint8_t bits, uint8_t depth) {
    struct zset_segment *s = mem_alloc(sizeof *s);
    *s = (struct zset_segment){
        .slots = mem_calloc(sizeof(uint64_t), (size_t)1 << bits), .bits = bits, .depth = depth};
    ix->bytes += mem_size(s) + mem_size(s->slots);
    return s;
}

static void segment_free(struct zset_index *ix, struct zset_segment *s) {
    ix->bytes -= mem_size(s) + mem_size(s->slots);
    mem_free(s->slots);
    mem_free(s);
}

/* There is an empty slot. */
static void segment_put(struct zset_segment *s, uint64_t entry) {
    uint32_t mask = segment_mask(s), at = home_of(s, slot_hash(entry));
    for (uint32_t distance = 0; s->slots[at] != 0 && distance_at(s, at) >= distance; distance++)
        at = (at + 1) & mask;
    /* What is behind moves on by one, up to the next empty slot. */
    while (entry != 0) {
        uint64_t was = s->slots[at];
        s->slots[at] = entry;
        entry = was;
        at = (at + 1) & mask;
    }
    s->count++;
}

static void segment_double(struct zset_index *ix, struct zset_segment *s) {
    struct zset_segment was = *s;
    ix->bytes -= mem_size(was.slots);
    s->bits++;
    s->count = 0;
    s->slots = mem_calloc(sizeof(uint64_t), (size_t)1 << s->bits);
    ix->bytes += mem_size(s->slots);
    for (uint32_t i = 0; i <= segment_mask(&was); i++)
        if (was.slots[i] != 0) segment_put(s, was.slots[i]);
    mem_free(was.slots);
}

static void directory_double(struct zset_index *ix) {
    size_t count = (size_t)1 << ix->depth;
    struct zset_segment **twice = mem_alloc(2 * count * sizeof *twice);
    for (size_t i = 0; i < count; i++) twice[2 * i] = twice[2 * i + 1] = ix->segments[i];
    ix->bytes += mem_size(twice) - mem_size(ix->segments);
    mem_free(ix->segments);
    ix->segments = twice;
    ix->depth++;
}

/* The segment of this hash becomes two. */
static void segment_split(struct zset_index *ix, uint32_t hash) {
    struct zset_segment *s = segment_of(ix, hash);
    if (s->depth == ix->depth) directory_double(ix);
    uint32_t bit = UINT32_C(1) << (HASH_BITS - 1 - s->depth);
    struct zset_segment *low = segment_new(ix, s->bits, (uint8_t)(s->depth + 1)),
                        *high = segment_new(ix, s->bits, (uint8_t)(s->depth + 1));
    for (uint32_t i = 0; i <= segment_mask(s); i++)
        if (s->slots[i] != 0) segment_put(slot_hash(s->slots[i]) & bit ? high : low, s->slots[i]);
    size_t share = (size_t)1 << (ix->depth - s->depth);
    size_t first = ((uint64_t)hash >> (HASH_BITS - ix->depth)) & ~(share - 1);
    for (size_t i = 0; i < share; i++) ix->segments[first + i] = i < share / 2 ? low : high;
    segment_free(ix, s);
}

/* A segment is at most seven eighths full. */
static struct zset_segment *segment_with_room(struct zset_index *ix, uint32_t hash) {
    for (;;) {
        struct zset_segment *s = segment_of(ix, hash);
        uint32_t slots = UINT32_C(1) << s->bits;
        if (s->count < slots - slots / 8) return s;
        if (s->bits < SEGMENT_BITS_MAX || s->depth >= DEPTH_MAX)
            segment_double(ix, s);
        else
            segment_split(ix, hash);
    }
}

/* The slot of an entry that is there. */
static uint32_t segment_find(const struct zset_segment *s, uint64_t entry) {
    uint32_t mask = segment_mask(s), at = home_of(s, slot_hash(entry));
    for (uint32_t distance = 0; s->slots[at] != entry; distance++, at = (at + 1) & mask) {
        CHECK(s->slots[at] != 0);
        CHECK(distance_at(s, at) >= distance);
    }
    return at;
}

/* --- the index --- */

void zset_index_init(struct zset_index *ix) {
    *ix = (struct zset_index){.leaf_count = 1};
    ix->segments = mem_alloc(sizeof *ix->segments);
    ix->segments[0] = segment_new(ix, SEGMENT_BITS_MIN, 0);
    ix->bytes += mem_size(ix->segments);
}

void zset_index_free(struct zset_index *ix) {
    struct zset_segment *last = NULL;
    for (size_t i = 0; i < (size_t)1 << ix->depth; i++) {
        if (ix->segments[i] == last) continue;
        last = ix->segments[i];
        mem_free(last->slots);
        mem_free(last);
    }
    mem_free(ix->segments);
    mem_free(ix->leaves);
    *ix = (struct zset_index){0};
}

void zset_index_add(struct zset_index *ix, uint32_t hash, struct tree_leaf *leaf) {
    segment_put(segment_with_room(ix, hash), slot_make(hash, leaf_hold(ix, leaf)));
}

enum { BATCH_ENTRIES = 1 << 17, BATCH_BITS = 10 };

void zset_index_batch_begin(struct zset_index_batch *b, struct zset_index *ix, uint64_t expected) {
    size_t cap = expected < BATCH_ENTRIES ? (size_t)expected + 1 : BATCH_ENTRIES;
    *b = (struct zset_index_batch){.index = ix,
                                   .entries = mem_alloc(cap * sizeof(uint64_t)),
                                   .sorted = mem_alloc(cap * sizeof(uint64_t)),
                                   .cap = cap};
}

/* By the leading bits only: what follows is put into the same few kilobytes. */
static void batch_flush(struct zset_index_batch *b) {
    uint32_t ends[(1 << BATCH_BITS) + 1] = {0};
    const unsigned shift = 64 - BATCH_BITS;
    for (size_t i = 0; i < b->count; i++) ends[(b->entries[i] >> shift) + 1]++;
    for (size_t i = 1; i < sizeof ends / sizeof *ends; i++) ends[i] += ends[i - 1];
    for (size_t i = 0; i < b->count; i++) b->sorted[ends[b->entries[i] >> shift]++] = b->entries[i];
    for (size_t i = 0; i < b->count; i++)
        segment_put(segment_with_room(b->index, slot_hash(b->sorted[i])), b->sorted[i]);
    b->count = 0;
}

void zset_index_batch_add(struct zset_index_batch *b, uint32_t hash, struct tree_leaf *leaf) {
    if (b->count == b->cap) batch_flush(b);
    b->entries[b->count++] = slot_make(hash, leaf_hold(b->index, leaf));
}

void zset_index_batch_end(struct zset_index_batch *b) {
    batch_flush(b);
    mem_free(b->entries);
    mem_free(b->sorted);
    *b = (struct zset_index_batch){0};
}

static struct zset_segment *segment_copy(struct zset_index *ix, const struct zset_segment *from) {
    struct zset_segment *s = segment_new(ix, from->bits, from->depth);
    memcpy(s->slots, from->slots, sizeof(uint64_t) << from->bits);
    s->count = from->count;
    return s;
}

void zset_index_copy(struct zset_index *to, const struct zset_index *from) {
    zset_index_free(to);
    *to = (struct zset_index){.leaf_count = from->leaf_count,
                              .leaf_cap = from->leaf_count,
                              .leaf_free = from->leaf_free,
                              .depth = from->depth};
    size_t count = (size_t)1 << from->depth;
    to->segments = mem_alloc(count * sizeof *to->segments);
    to->leaves = mem_alloc(to->leaf_cap * sizeof *to->leaves);
    memcpy(to->leaves, from->leaves, from->leaf_count * sizeof *to->leaves);
    for (size_t i = 0; i < count; i++)
        to->segments[i] = i > 0 && from->segments[i] == from->segments[i - 1]
                              ? to->segments[i - 1]
                              : segment_copy(to, from->segments[i]);
    to->bytes += mem_size(to->segments) + mem_size(to->leaves);
}

void zset_index_rename(struct zset_index *ix, struct tree_leaf *leaf) {
    CHECK(leaf->mark > 0);
    CHECK(leaf->mark < ix->leaf_count);
    ix->leaves[leaf->mark].leaf = leaf;
}

void zset_index_remove(struct zset_index *ix, uint32_t hash, struct tree_leaf *leaf) {
    struct zset_segment *s = segment_of(ix, hash);
    uint32_t mask = segment_mask(s), at = segment_find(s, slot_make(hash, leaf->mark));
    for (uint32_t next = (at + 1) & mask; s->slots[next] != 0 && distance_at(s, next) > 0;
         at = next, next = (next + 1) & mask)
        s->slots[at] = s->slots[next];
    s->slots[at] = 0;
    s->count--;
    leaf_release(ix, leaf);
}

void zset_index_move(struct zset_index *ix, uint32_t hash, struct tree_leaf *from, struct tree_leaf *to) {
    struct zset_segment *s = segment_of(ix, hash);
    uint32_t at = segment_find(s, slot_make(hash, from->mark));
    s->slots[at] = slot_make(hash, leaf_hold(ix, to));
    leaf_release(ix, from);
}

struct tree_leaf *zset_index_next(const struct zset_index *ix, struct zset_probe *probe) {
    const struct zset_segment *s = segment_of(ix, probe->hash);
    uint32_t mask = segment_mask(s), home = home_of(s, probe->hash);
    for (;;) {
        uint32_t at = (home + probe->steps) & mask;
        uint64_t slot = s->slots[at];
        if (slot == 0 || distance_at(s, at) < probe->steps) return NULL;
        probe->steps++;
        if (slot_hash(slot) == probe->hash) return ix->leaves[(uint32_t)slot].leaf;
    }
}

struct scan {
    uint64_t from;
    size_t want, seen;
    zset_index_visit_fn *visit;
    void *arg;
};

/* The first hash that belongs to this slot of the segment that begins with the hash `begin`. */
static uint64_t hash_of_home(const struct zset_segment *s, uint64_t begin, uint32_t home) {
    unsigned width = HASH_BITS - s->depth;
    return begin + (width >= s->bits ? (uint64_t)home << (width - s->bits) : home >> (s->bits - width));
}

/* Whole homes only, so that what has one hash stays together; beyond the last slot for what wrapped
 * around. Returns the first hash not covered. */
static uint64_t scan_segment(const struct zset_index *ix, const struct zset_segment *s, struct scan *scan) {
    uint64_t width = UINT64_C(1) << (HASH_BITS - s->depth), begin = scan->from & ~(width - 1);
    int64_t slots = INT64_C(1) << s->bits, first = home_of(s, (uint32_t)scan->from), home = -1;
    for (int64_t i = first;; i++) {
        uint32_t at = (uint32_t)i & segment_mask(s);
        if (s->slots[at] == 0) {
            if (i >= slots) break;
            continue;
        }
        uint32_t hash = slot_hash(s->slots[at]);
        int64_t home_here = i - distance_at(s, at);
        if (home_here >= slots) break;
        if (home_here < first || hash < scan->from) continue;
        if (home_here != home && scan->seen >= scan->want) return hash_of_home(s, begin, (uint32_t)home_here);
        home = home_here;
        scan->visit(scan->arg, hash, ix->leaves[(uint32_t)s->slots[at]].leaf);
        scan->seen++;
    }
    return begin + width;
}

uint64_t zset_index_scan(const struct zset_index *ix, uint64_t from, size_t want, zset_index_visit_fn *visit,
                         void *arg) {
    const uint64_t end = UINT64_C(1) << HASH_BITS;
    struct scan scan = {.from = from, .want = want, .visit = visit, .arg = arg};
    while (scan.from < end && (scan.seen < want || want == 0))
        scan.from = scan_segment(ix, segment_of(ix, (uint32_t)scan.from), &scan);
    return scan.from < end ? scan.from : 0;
}

/* --- for tests --- */

static void check_segment(const struct zset_index *ix, const struct zset_segment *s, uint64_t prefix) {
    uint32_t count = 0;
    for (uint32_t i = 0; i <= segment_mask(s); i++) {
        if (s->slots[i] == 0) continue;
        count++;
        CHECK((uint64_t)slot_hash(s->slots[i]) >> (HASH_BITS - s->depth) == prefix);
        uint32_t number = (uint32_t)s->slots[i];
        CHECK(number > 0);
        CHECK(number < ix->leaf_count);
        CHECK(ix->leaves[number].leaf != NULL);
        CHECK(ix->leaves[number].leaf->mark == number);
        uint32_t next = (i + 1) & segment_mask(s);
        if (s->slots[next] != 0) CHECK(distance_at(s, next) <= distance_at(s, i) + 1);
    }
    CHECK(count == s->count);
}

void zset_index_check(const struct zset_index *ix) {
    uint64_t entries = 0, held = 0;
    size_t bytes = mem_size(ix->segments) + mem_size(ix->leaves);
    for (size_t i = 0; i < (size_t)1 << ix->depth;) {
        const struct zset_segment *s = ix->segments[i];
        size_t share = (size_t)1 << (ix->depth - s->depth);
        CHECK(i % share == 0);
        for (size_t k = 0; k < share; k++) CHECK(ix->segments[i + k] == s);
        check_segment(ix, s, i / share);
        entries += s->count;
        bytes += mem_size(s) + mem_size(s->slots);
        i += share;
    }
    for (uint32_t i = 1; i < ix->leaf_count; i++)
        if (ix->leaves[i].leaf != NULL) held += ix->leaves[i].entries;
    CHECK(entries == held);
    CHECK(bytes == ix->bytes);
}
