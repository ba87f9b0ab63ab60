/* HyperLogLogs as Redis stores them in a string: 2^14 registers of 6 bits, each the longest run of zeros that was seen among
 * the hashes that fell to it. Bytes for bytes Redis's, so that dumps can be exchanged. Pure.
 *
 *     0   4  "HYLL"
 *     4   1  encoding: 0 dense, 1 sparse
 *     5   3  unused, kept
 *     8   8  cardinality, little-endian; the top bit says that it is out of date
 *     16     dense: 16384 x 6 bits, the lowest bits of a byte first: 12288 bytes
 *            sparse: opcodes that cover the 16384 registers in order
 *              00nnnnnn           n + 1 registers are 0
 *              01nnnnnn nnnnnnnn  n + 1 registers are 0
 *              1vvvvvnn           n + 1 registers are v + 1
 *
 * Anybody can store any string: whether opcodes make sense is found out as they are read, and nothing here relies on it. */
#ifndef CMD_HLL_H
#define CMD_HLL_H

#include "buf.h"

enum {
    HLL_REGISTER_COUNT = 1 << 14,
    HLL_HEAD_SIZE = 16,
    HLL_DENSE_SIZE = HLL_HEAD_SIZE + HLL_REGISTER_COUNT * 6 / 8,
    HLL_SPARSE_VALUE_MAX = 32, /* a larger one makes the whole dense */
};

enum hll_outcome { HLL_SAME, HLL_CHANGED, HLL_CORRUPT };

/* Magic, encoding, and a dense one's length. */
bool hll_is(struct slice value);
static inline bool hll_is_dense(struct slice hll) {
    return hll.data[4] == 0;
}
/* Replaces *out with an empty one, sparse. */
void hll_make(struct buf *out);

/* The register an element falls to, and the value it has there at least. */
void hll_place(struct slice element, uint32_t *index, uint8_t *value);

/* Raises a register of a dense one; false when it is as high already. */
bool hll_dense_raise(char *hll, uint32_t index, uint8_t value);
uint8_t hll_dense_register(const char *hll, uint32_t index);
/* The same of a sparse one, which becomes dense when the value or `bytes_max` bytes demand it. *hint speeds up raising
 * registers in rising order; it starts as zero and belongs to one buffer that nobody else changes. */
struct hll_hint {
    size_t at; /* an opcode; 0: none */
    uint32_t first;
};
enum hll_outcome hll_sparse_raise(struct buf *hll, uint32_t index, uint8_t value, int64_t bytes_max,
                                  struct hll_hint *hint);
/* A sparse one becomes dense; false, with *hll untouched, when it is corrupt. */
bool hll_make_dense(struct buf *hll);
/* Keeps the head of *hll; its registers become these, dense. */
void hll_set_registers(struct buf *hll, const uint8_t registers[HLL_REGISTER_COUNT]);

/* The opcode at the front of *opcodes, taken off; false when there is no whole one. */
struct hll_run {
    uint8_t value; /* 0 .. 32 */
    uint32_t len;
    uint8_t size; /* of the opcode: 1 or 2 */
};
bool hll_take_run(struct slice *opcodes, struct hll_run *run);

/* max[i] becomes the larger of itself and register i; false, with some done, when the value is corrupt. */
bool hll_merge(uint8_t max[HLL_REGISTER_COUNT], struct slice hll);

/* Estimates of how many different elements were added (Ertl, "New cardinality estimation algorithms for HyperLogLog
 * sketches", 2017). Of a value: false when it is corrupt. */
uint64_t hll_estimate(const uint8_t registers[HLL_REGISTER_COUNT]);
bool hll_count(struct slice hll, uint64_t *count);
/* The cardinality in the head, when it is up to date. */
bool hll_known_count(struct slice hll, uint64_t *count);
void hll_forget_count(char *hll);

#endif
