/* Memory for one command: taken piece by piece, given back all at once after the reply. Blocks are kept for
 * the next command, so the steady state allocates nothing. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "slice.h"

struct arena_block;

struct arena {
    struct arena_block *current; /* newest first */
    size_t used;                 /* bytes taken from `current` */
};

void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
struct slice arena_copy(struct arena *a, struct slice bytes);
/* Forgets everything taken; keeps one block of ordinary size. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
