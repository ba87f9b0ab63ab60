/* Sorted sets: members, each with a score that is never NaN, in the order of (score, member). Ranks count
 * from 0.
 *
 * Commands find items, read them and walk from one to the next through a zset_pos, which is good until the
 * set changes. Members and scores given to functions that change a set must not point into that set. */
#ifndef STORAGE_TYPE_ZSET_H
#define STORAGE_TYPE_ZSET_H

#include "keyspace.h"
#include "pack.h"

struct tree_leaf;

/* An item; `at` 0: none (the end, or not found). */
struct zset_pos {
    struct tree_leaf *leaf; /* of a big set */
    struct slice pack;
    size_t at;
};
static inline bool zset_pos_is_end(struct zset_pos p) {
    return p.at == 0;
}

struct zset_item {
    struct slice member;
    double score;
};

/* --- reading --- */

uint64_t zset_count(const struct object *o);
struct zset_pos zset_find(const struct object *o, struct slice member);
struct zset_pos zset_at(const struct object *o, uint64_t rank);
struct zset_pos zset_next(struct zset_pos p);
struct zset_pos zset_prev(struct zset_pos p);
uint64_t zset_rank(const struct object *o, struct zset_pos p);
double zset_score(struct zset_pos p);
/* One that is kept as an integer is spelled into `scratch` (NUM_I64_MAX_LEN bytes). */
struct slice zset_member(struct zset_pos p, char *scratch);

/* How many items have a score below this one, or (`or_equal`) not above it. */
uint64_t zset_count_below(const struct object *o, double score, bool or_equal);
/* How many members sort before this one, or not behind it; the scores are all equal, or ascend as the members
 * do. Else it is how many leading members do, or in a big set nothing in particular. */
uint64_t zset_count_below_lex(const struct object *o, struct slice member, bool or_equal);

/* Visits about `want` items from the cursor on, in no particular order, and returns the next cursor, 0 at
 * the end. Every member that is there from the first call (cursor 0) to the last one is visited, whatever
 * happens to its score. */
typedef void zset_visit_fn(void *arg, struct slice member, double score);
uint64_t zset_scan(const struct object *o, uint64_t cursor, size_t want, zset_visit_fn *visit, void *arg);

/* Of the items, however they are kept. */
uint64_t zset_digest(const struct object *o);

/* --- changing --- */

/* The key must not be there (ks_write said so), and gets its first member next; it is that member's length
 * which decides upon the first encoding. */
struct object *zset_create(struct keyspace *ks, int db, struct slice key, size_t member_len);
/* A member that is not there. */
void zset_insert(struct keyspace *ks, int db, struct object *o, struct slice member, double score);
/* Another score for the member at `p`. */
void zset_update(struct keyspace *ks, int db, struct object *o, struct zset_pos p, struct slice member,
                 double score);
/* These two may leave a set empty, for the caller to delete its key. */
void zset_remove(struct keyspace *ks, int db, struct object *o, struct zset_pos p);
void zset_remove_range(struct keyspace *ks, int db, struct object *o, uint64_t rank, uint64_t count);
/* Creates or replaces the key (of any type) with a set of these items, at least one, which are sorted
 * here; no two members are equal. Encoded as Redis encodes what ZUNIONSTORE made. */
struct object *zset_store(struct keyspace *ks, int db, struct slice key, struct zset_item *items,
                          size_t count);

/* A score as the second entry of an item of a small set; the value borrows the score's bytes. */
struct pack_value zset_score_entry(const double *score, enum object_encoding encoding);
/* A set that was made with collection_create just now, whatever its size, becomes big if it should be. */
void zset_fit(struct keyspace *ks, int db, struct object *o);
/* Whether these are the bytes of a small set: whole items in order, none twice in a row. */
bool zset_packed_valid(struct slice pack);

/* Stops with a message when an invariant does not hold; for tests. */
void zset_check(const struct object *o);

/* The order of a set. */
int zset_item_cmp(const struct zset_item *a, const struct zset_item *b);

#endif
