/* Runs of bits in bytes, against a bit at a time. */
#include "bits.h"

#include "rng.h"

#include "test.h"

static bool bit_at(struct slice bytes, uint64_t at) {
    return at / 8 < bytes.len && ((uint8_t)bytes.data[at / 8] >> (7 - at % 8) & 1);
}

static int64_t find_slowly(struct slice bytes, bool bit, uint64_t from, uint64_t to) {
    for (uint64_t at = from; at <= to; at++)
        if (bit_at(bytes, at) == bit) return (int64_t)at;
    return -1;
}

static uint64_t get_slowly(struct slice bytes, uint64_t at, unsigned width) {
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++) value = value << 1 | bit_at(bytes, at + i);
    return value;
}

TEST(counting) {
    EXPECT_EQ_INT(bits_count(SLICE("")), 0);
    EXPECT_EQ_INT(bits_count(SLICE("\xff")), 8);
    EXPECT_EQ_INT(bits_count(SLICE("foobar")), 26);
    char ones[200];
    memset(ones, 0xff, sizeof ones);
    for (size_t first = 0; first < 9; first++)
        for (size_t len = 0; first + len <= sizeof ones; len++)
            EXPECT_EQ_INT(bits_count(slice_make(ones + first, len)), len * 8);
}

TEST(finding_between_any_two_bits) {
    char bytes[40];
    struct slice all = slice_make(bytes, sizeof bytes);
    for (int odd = -1; odd < (int)sizeof bytes * 8; odd += 7) { /* one bit unlike the others, or none */
        for (int fill = 0; fill <= 1; fill++) {
            memset(bytes, fill ? 0xff : 0, sizeof bytes);
            if (odd >= 0) bytes[odd / 8] = (char)(bytes[odd / 8] ^ (0x80 >> odd % 8));
            for (uint64_t from = 0; from < sizeof bytes * 8; from += 3) {
                for (uint64_t to = from; to < sizeof bytes * 8; to += 5) {
                    EXPECT_EQ_INT(bits_find(all, !fill, from, to), find_slowly(all, !fill, from, to));
                    EXPECT_EQ_INT(bits_find(all, fill, from, to), find_slowly(all, fill, from, to));
                }
            }
        }
    }
}

TEST(fields_of_any_width_anywhere) {
    struct rng rng = {test_seed()};
    char bytes[24], before[24];
    for (int round = 0; round < 20000; round++) {
        struct slice all = slice_make(bytes, 1 + rng_below(&rng, sizeof bytes));
        for (size_t i = 0; i < all.len; i++) bytes[i] = (char)rng_next(&rng);
        unsigned width = 1 + (unsigned)rng_below(&rng, 64);
        uint64_t at = rng_below(&rng, all.len * 8 + 70);
        EXPECT_EQ_U64(bits_get(all, at, width), get_slowly(all, at, width));
        if (at + width > all.len * 8) continue;

        uint64_t value = rng_next(&rng), low = UINT64_MAX >> (64 - width);
        memcpy(before, bytes, sizeof bytes);
        bits_set(bytes, at, width, value);
        EXPECT_EQ_U64(get_slowly(all, at, width), value & low);
        for (uint64_t i = 0; i < all.len * 8; i++) /* and nothing else has changed */
            if (i < at || i >= at + width) EXPECT(bit_at(all, i) == bit_at(slice_make(before, all.len), i));
    }
}

TEST_MAIN
