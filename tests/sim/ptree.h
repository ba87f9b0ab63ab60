/* Ordered rows as a value: a tree whose older versions stay as they were, so that a snapshot, an iterator, a checkpoint
 * and the state before a write that a power cut undoes each are one pointer. */
#ifndef SIM_PTREE_H
#define SIM_PTREE_H

#include "slice.h"

struct ptree; /* NULL is the empty tree */

struct ptree *ptree_keep(struct ptree *t);
void ptree_drop(struct ptree *t);
/* Each takes the caller's reference and answers with one to the new version. */
struct ptree *ptree_put(struct ptree *t, struct slice key, struct slice head, struct slice tail);
struct ptree *ptree_delete(struct ptree *t, struct slice key);
struct ptree *ptree_delete_range(struct ptree *t, struct slice from, struct slice to); /* [from, to) */

struct ptree_row {
    struct slice key, value;
};
/* False when there is none. The row is good while the version is kept. */
bool ptree_at_or_before(const struct ptree *t, struct slice key, struct ptree_row *out);
bool ptree_get(const struct ptree *t, struct slice key, struct ptree_row *out);
size_t ptree_count(const struct ptree *t);
size_t ptree_bytes(const struct ptree *t);
bool ptree_nth(const struct ptree *t, size_t n, struct ptree_row *out);

/* A place among a version's rows, to go on from. */
enum { PTREE_DEPTH_MAX = 100 };
struct ptree_cursor {
    size_t depth;
    const struct ptree
        *path[PTREE_DEPTH_MAX]; /* the row's node last; before it those that come after it, nearest last */
};
bool ptree_seek(const struct ptree *t, struct slice key, struct ptree_cursor *at,
                struct ptree_row *out); /* at or after */
bool ptree_next(struct ptree_cursor *at, struct ptree_row *out);

#endif
