/* A small set of integers as Redis keeps one: sorted, each as wide as the widest, in one piece of memory that enters a DUMP
 * payload as it is.
 *
 *     width u32le: 2, 4 or 8 | count u32le | integers, little-endian, ascending
 *
 * Bytes from outside must have passed intset_valid(). */
#ifndef STORAGE_INTSET_H
#define STORAGE_INTSET_H

#include "buf.h"

enum { INTSET_HEAD = 8 };

void intset_begin(struct buf *s); /* makes *s an empty set, freeing nothing */
size_t intset_count(struct slice s);
int64_t intset_at(struct slice s, size_t i); /* i < count, ascending */
/* The place of v, or where it would be. */
bool intset_find(struct slice s, int64_t v, size_t *at);
bool intset_add(struct buf *s, int64_t v); /* false: was there */
bool intset_remove(struct buf *s, int64_t v);
bool intset_valid(struct slice s);

#endif
