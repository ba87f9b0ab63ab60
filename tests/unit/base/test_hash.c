/* Checksums and hashes against published vectors and against a bit-by-bit computation. */
#include "hash.h"

#include "test.h"

#include "rng.h"

#include <string.h>

static const struct slice digits = {"123456789", 9};

TEST(known_vectors) {
    EXPECT_EQ_U64(crc16(digits), 0x31c3);
    EXPECT_EQ_U64(crc16(SLICE("")), 0);
    EXPECT_EQ_U64(crc32c(0, digits), 0xe3069283);
    EXPECT_EQ_U64(crc32c(0, SLICE("")), 0);
    char zeros[32] = {0};
    EXPECT_EQ_U64(crc32c(0, slice_make(zeros, 32)), 0x8a9136aa); /* RFC 3720, B.4 */
    char ones[32];
    memset(ones, 0xff, sizeof ones);
    EXPECT_EQ_U64(crc32c(0, slice_make(ones, 32)), 0x62a8ab43);
    EXPECT_EQ_U64(crc64(0, digits), UINT64_C(0xe9c6d914c4b8d9ca));
    EXPECT_EQ_U64(crc64(0, SLICE("")), 0);
}

/* Stored rows are ordered by these values: they may never change. */
TEST(hash64_is_fixed_for_all_time) {
    EXPECT_EQ_U64(hash64(SLICE("")), UINT64_C(0x2d06800538d394c2));
    EXPECT_EQ_U64(hash64(slice_make(NULL, 0)), UINT64_C(0x2d06800538d394c2));
    EXPECT_EQ_U64(hash64(SLICE("a")), UINT64_C(0xe6c632b61e964e1f));
    EXPECT_EQ_U64(hash64(SLICE("abc")), UINT64_C(0x78af5f94892f3950));
}

static uint64_t crc_bitwise(uint64_t crc, uint64_t poly, struct slice bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.data[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? poly : 0);
    }
    return crc;
}

static uint16_t crc16_bitwise(struct slice bytes) {
    uint32_t crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint32_t)(unsigned char)bytes.data[i] << 8;
        for (int bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
    }
    return (uint16_t)crc;
}

/* Any length and alignment, whole or in two parts. */
TEST(against_bit_by_bit) {
    struct rng rng = {test_seed()};
    char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)rng_next(&rng);
    for (size_t len = 0; len < 200; len++) {
        struct slice all = slice_make(bytes + rng_below(&rng, 16), len);
        size_t cut = rng_below(&rng, len + 1);
        struct slice front = slice_make(all.data, cut), back = slice_make(all.data + cut, len - cut);

        EXPECT_EQ_U64(crc16(all), crc16_bitwise(all));
        EXPECT_EQ_U64(crc64(0, all), crc_bitwise(0, UINT64_C(0x95ac9329ac4bc9b5), all));
        EXPECT_EQ_U64(crc64(crc64(0, front), back), crc64(0, all));

        uint32_t want = ~(uint32_t)crc_bitwise(UINT32_MAX, 0x82f63b78, all);
        EXPECT_EQ_U64(crc32c(0, all), want);
        EXPECT_EQ_U64(crc32c(crc32c(0, front), back), want);
    }
}

TEST(slots_as_redis_cluster_has_them) {
    EXPECT_EQ_INT(key_slot(digits), 12739);
    EXPECT_EQ_INT(key_slot(SLICE("foo")), 12182);
    EXPECT_EQ_INT(key_slot(SLICE("bar")), 5061);
    EXPECT_EQ_INT(key_slot(SLICE("")), 0);
    EXPECT_EQ_INT(key_slot(slice_make(NULL, 0)), 0);
    EXPECT_EQ_INT(key_slot(SLICE("{user1000}.following")), key_slot(SLICE("user1000")));
    EXPECT_EQ_INT(key_slot(SLICE("foo{bar}{zap}")), key_slot(SLICE("bar")));
    EXPECT_EQ_INT(key_slot(SLICE("foo{{bar}}zap")), key_slot(SLICE("{bar")));
    EXPECT_EQ_INT(key_slot(SLICE("foo{}{bar}")), crc16(SLICE("foo{}{bar}")) & 16383);
    EXPECT_EQ_INT(key_slot(SLICE("foo{bar")), crc16(SLICE("foo{bar")) & 16383);
    EXPECT_EQ_INT(key_slot(SLICE("foo}bar{")), crc16(SLICE("foo}bar{")) & 16383);
}

TEST_MAIN
