/* Runs of bits in bytes, as the bitmap commands number them: bit 0 is the highest of the first byte. Pure. */
#ifndef CMD_BITS_H
#define CMD_BITS_H

#include "slice.h"

/* How many bits are 1. */
uint64_t bits_count(struct slice bytes);
/* The first bit from `from` up to and including `to` (both inside the bytes) that is `bit`; -1 when there is none. */
int64_t bits_find(struct slice bytes, bool bit, uint64_t from, uint64_t to);

/* `width` bits, 1..64, from bit `at` on, the highest first; what is behind the end of the bytes is zero. */
uint64_t bits_get(struct slice bytes, uint64_t at, unsigned width);
/* The lowest `width` bits of `value` to bit `at` and on; the bytes reach as far. */
void bits_set(char *bytes, uint64_t at, unsigned width, uint64_t value);

#endif
