/* Floyd's sampling: for the last `count` numbers j below n, draw one up to j; if it was drawn before, take j itself. What was
 * drawn is remembered as bits when that takes less memory than a hash table; more than half of n is drawn as what is left
 * out. */
#include "sample.h"

#include "check.h"
#include "mem.h"

#include <stdbool.h>
#include <stdlib.h>

static inline bool bit_take(uint64_t *bits, uint64_t at) {
    uint64_t mask = UINT64_C(1) << (at & 63);
    bool fresh = (bits[at >> 6] & mask) == 0;
    bits[at >> 6] |= mask;
    return fresh;
}

/* Numbers whose bit is `wanted`, ascending. */
static void bits_list(const uint64_t *bits, uint64_t n, bool wanted, uint64_t *out) {
    size_t found = 0;
    for (uint64_t word = 0; word * 64 < n; word++) {
        uint64_t set = wanted ? bits[word] : ~bits[word];
        if (word * 64 + 64 > n) set &= (UINT64_C(1) << (n & 63)) - 1;
        for (; set != 0; set &= set - 1) out[found++] = word * 64 + (uint64_t)__builtin_ctzll(set);
    }
}

static void sample_bits(struct rng *rng, uint64_t n, size_t count, uint64_t *out) {
    uint64_t *bits = mem_calloc((size_t)(n / 64 + 1), sizeof *bits);
    bool inverted = count > n / 2;
    for (uint64_t j = inverted ? count : n - count; j < n; j++)
        if (!bit_take(bits, rng_below(rng, j + 1))) (void)bit_take(bits, j);
    bits_list(bits, n, !inverted, out);
    mem_free(bits);
}

/* Open addressing; a slot holds a number + 1. Numbers are drawn at random, so their low bits do for a hash. */
static bool table_take(uint64_t *slots, size_t mask, uint64_t number) {
    size_t i = (size_t)number & mask;
    for (; slots[i] != 0; i = (i + 1) & mask)
        if (slots[i] == number + 1) return false;
    slots[i] = number + 1;
    return true;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void sample_table(struct rng *rng, uint64_t n, size_t count, uint64_t *out) {
    size_t size = 16;
    while (size < count * 2) size *= 2;
    uint64_t *slots = mem_calloc(size, sizeof *slots);
    size_t found = 0;
    for (uint64_t j = n - count; j < n; j++) {
        uint64_t drawn = rng_below(rng, j + 1);
        if (!table_take(slots, size - 1, drawn)) {
            drawn = j;
            bool fresh = table_take(slots, size - 1, drawn);
            CHECK(fresh); /* j was too big to be drawn until now */
        }
        out[found++] = drawn;
    }
    mem_free(slots);
    qsort(out, count, sizeof *out, ascending);
}

void sample_ranks(struct rng *rng, uint64_t n, size_t count, uint64_t *out) {
    enum { BITS_PER_PICK = 256 }; /* a slot and its spare one take as much, and sorting is saved */
    CHECK(count <= n);
    if (count == 0) return;
    if (n / count < BITS_PER_PICK)
        sample_bits(rng, n, count, out);
    else
        sample_table(rng, n, count, out);
}
