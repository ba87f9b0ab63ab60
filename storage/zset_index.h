/* Which leaf of a big sorted set's tree holds a member, by the member's hash: so that each member is
 * stored once, in the tree, and found without knowing its score.
 *
 * Extendible hashing: a directory of segments, each an open-addressed table of entries of eight bytes,
 * ordered by hash (Robin Hood). A segment grows by doubling up to a bound, then it is split by the next
 * bit of the hash: no change ever moves more than one segment. Walking the segments is walking the hashes
 * in ascending order, however the table grew; that makes the cursor of ZSCAN.
 *
 * An entry is a hash and a leaf; the same pair may be there several times, once for each member with this
 * hash in this leaf. Entries are about 12 bytes each on average. It lives in memory only, and nothing that
 * is stored or answered depends on how it is laid out. */
#ifndef STORAGE_ZSET_INDEX_H
#define STORAGE_ZSET_INDEX_H

#include "slice.h"

struct tree_leaf;
struct zset_segment;

struct zset_index_leaf {
    struct tree_leaf *leaf; /* NULL: a free place */
    uint32_t entries;       /* in use: entries that name it; free: the next free place */
};

struct zset_index {
    struct zset_segment *
        *segments; /* 1 << depth, by the leading bits of the hash; neighbours may share one */
    struct zset_index_leaf *leaves; /* named by tree_leaf.mark; 0 is nobody */
    uint32_t leaf_count, leaf_cap, leaf_free;
    uint8_t depth;
    size_t bytes; /* of memory, by mem_size */
};

/* All-zero is not valid. */
void zset_index_init(struct zset_index *ix);
void zset_index_free(struct zset_index *ix);

void zset_index_add(struct zset_index *ix, uint32_t hash, struct tree_leaf *leaf);
/* One such entry must be there. */
void zset_index_remove(struct zset_index *ix, uint32_t hash, struct tree_leaf *leaf);
void zset_index_move(struct zset_index *ix, uint32_t hash, struct tree_leaf *from, struct tree_leaf *to);

/* Many entries at once, as when a set is loaded: in the order of their hashes, some thousands at a time,
 * because each alone would wait for memory. Others must not change the index meanwhile; entries are there
 * after zset_index_batch_end. */
struct zset_index_batch {
    struct zset_index *index;
    uint64_t *entries, *sorted;
    size_t count, cap;
};
void zset_index_batch_begin(struct zset_index_batch *b, struct zset_index *ix, uint64_t expected);
void zset_index_batch_add(struct zset_index_batch *b, uint32_t hash, struct tree_leaf *leaf);
void zset_index_batch_end(struct zset_index_batch *b);

/* Makes `to`, which is empty, the same entries as `from`, for other leaves: each leaf of `from` has been
 * given its number (`mark`) by the caller to the leaf that takes its place, which zset_index_rename then
 * tells. */
void zset_index_copy(struct zset_index *to, const struct zset_index *from);
void zset_index_rename(struct zset_index *ix, struct tree_leaf *leaf);

/* The leaves that hold members of this hash, one for each call; NULL when there are no more. Begin with
 * `steps` 0. */
struct zset_probe {
    uint32_t hash;
    uint32_t steps;
};
struct tree_leaf *zset_index_next(const struct zset_index *ix, struct zset_probe *probe);

/* Visits the entries with hashes >= from, all of one hash together, in ascending order of short ranges of
 * hashes, until `want` have been visited. Returns the first hash not covered, 0 at the end. */
typedef void zset_index_visit_fn(void *arg, uint32_t hash, struct tree_leaf *leaf);
uint64_t zset_index_scan(const struct zset_index *ix, uint64_t from, size_t want, zset_index_visit_fn *visit,
                         void *arg);

/* Stops with a message when an invariant does not hold; for tests. */
void zset_index_check(const struct zset_index *ix);

#endif
