/* HyperLogLogs as bytes: those that Redis makes of the same elements, and no harm from any others. */
#include "hll.h"

#include "hash.h"
#include "rng.h"

#include "test.h"

enum { BYTES_MAX = 3000 };

static void add(struct buf *hll, struct slice element) {
    struct hll_hint no_hint = {0};
    uint32_t index;
    uint8_t value;
    hll_place(element, &index, &value);
    if (hll_is_dense(buf_slice(hll)))
        (void)hll_dense_raise(hll->data, index, value);
    else
        EXPECT(hll_sparse_raise(hll, index, value, BYTES_MAX, &no_hint) != HLL_CORRUPT);
    hll_forget_count(hll->data);
}

static void add_number(struct buf *hll, uint64_t n) {
    char text[24];
    add(hll, slice_make(text, (size_t)snprintf(text, sizeof text, "%" PRIu64, n)));
}

static uint64_t count_of(const struct buf *hll) {
    uint64_t count = 0;
    EXPECT(hll_count(buf_slice(hll), &count));
    return count;
}

TEST(the_bytes_are_those_of_redis) {
    struct buf hll = {0};
    hll_make(&hll);
    EXPECT_EQ_SLICE(buf_slice(&hll), SLICE("HYLL\1\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"));
    EXPECT_EQ_INT(count_of(&hll), 0);
    static const char *const letters[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++) add(&hll, slice_of(letters[i]));
    EXPECT_EQ_SLICE(buf_slice(&hll),
                    SLICE("HYLL\1\0\0\0\0\0\0\0\0\0\0\x80\x5c\x7b\x80\x44\x76\x80\x50\xb1\x84"
                          "\x4b\xfb\x80\x42\x5a"));
    EXPECT_EQ_INT(count_of(&hll), 4);
    buf_free(&hll);
}

/* The elements "0", "1" ... were added to a key of Redis 7.0.15: lengths and CRC-64 of what GET gave, and PFCOUNT. */
TEST(many_elements_give_the_bytes_and_counts_of_redis) {
    static const struct {
        uint64_t elements;
        size_t len;
        uint64_t crc, count;
    } cases[] = {{1, 21, UINT64_C(0x630045c4e6317a70), 1},
                 {10, 48, UINT64_C(0x63538baff2eb6174), 10},
                 {100, 287, UINT64_C(0xce28e152db42fa30), 100},
                 {300, 698, UINT64_C(0x6609faea12ad7d36), 302},
                 {700, 1407, UINT64_C(0x9fa11e509cb05f95), 706},
                 {1000, 1923, UINT64_C(0x25b619d5b4b31101), 1001},
                 {2000, 12304, UINT64_C(0x521539d61ed00efa), 2007},
                 {10000, 12304, UINT64_C(0xa7a4a620352e9f00), 9987},
                 {100000, 12304, UINT64_C(0x7fd42526349b5ffe), 99565}};
    struct buf hll = {0};
    uint64_t added = 0;
    hll_make(&hll);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        while (added < cases[i].elements) add_number(&hll, added++);
        EXPECT_EQ_INT(hll.len, cases[i].len);
        EXPECT_EQ_U64(crc64(0, buf_slice(&hll)), cases[i].crc);
        EXPECT_EQ_INT(count_of(&hll), cases[i].count);
    }
    buf_free(&hll);
}

/* Every value up to what a hash can give, in registers next to each other. */
TEST(dense_registers_do_not_touch_each_other) {
    struct buf hll = {0};
    uint8_t want[HLL_REGISTER_COUNT] = {0}, got[HLL_REGISTER_COUNT] = {0};
    struct rng rng = {test_seed()};
    hll_make(&hll);
    EXPECT(hll_make_dense(&hll));
    EXPECT_EQ_INT(hll.len, HLL_DENSE_SIZE);
    for (int round = 0; round < 100000; round++) {
        uint32_t index = (uint32_t)rng_below(&rng, HLL_REGISTER_COUNT);
        uint8_t value = (uint8_t)rng_below(&rng, 64);
        EXPECT(hll_dense_raise(hll.data, index, value) == (value > want[index]));
        if (value > want[index]) want[index] = value;
    }
    for (uint32_t i = 0; i < HLL_REGISTER_COUNT; i++) EXPECT_EQ_INT(hll_dense_register(hll.data, i), want[i]);
    EXPECT(hll_merge(got, buf_slice(&hll)));
    EXPECT(memcmp(got, want, sizeof want) == 0);
    struct buf again = {0};
    buf_add(&again, hll.data, HLL_HEAD_SIZE);
    hll_set_registers(&again, want);
    EXPECT_EQ_SLICE(buf_slice(&again), buf_slice(&hll));
    buf_free(&again);
    buf_free(&hll);
}

/* Registers of a sparse one against a plain array; and a hint makes no difference to the bytes. */
TEST(sparse_registers_and_hints) {
    struct rng rng = {test_seed()};
    for (int round = 0; round < 200; round++) {
        struct buf plain = {0}, hinted = {0};
        struct hll_hint hint = {0};
        uint8_t want[HLL_REGISTER_COUNT] = {0}, got[HLL_REGISTER_COUNT] = {0};
        uint32_t area = 1 + (uint32_t)rng_below(&rng, round % 2 ? 60 : HLL_REGISTER_COUNT);
        uint32_t top = 1 + (uint32_t)rng_below(&rng, 4), last = 0;
        hll_make(&plain);
        hll_make(&hinted);
        for (int i = 0; i < 300 && !hll_is_dense(buf_slice(&plain)); i++) {
            uint32_t index = (uint32_t)rng_below(&rng, area);
            if (rng_below(&rng, 2) == 0) index = (last + (uint32_t)rng_below(&rng, 3)) % area;
            last = index;
            uint8_t value = 1 + (uint8_t)rng_below(&rng, rng_below(&rng, 100) ? top : 33);
            struct hll_hint no_hint = {0};
            enum hll_outcome a = hll_sparse_raise(&plain, index, value, BYTES_MAX, &no_hint);
            enum hll_outcome b = hll_sparse_raise(&hinted, index, value, BYTES_MAX, &hint);
            EXPECT(a == (value > want[index] ? HLL_CHANGED : HLL_SAME));
            EXPECT(a == b);
            EXPECT_EQ_SLICE(buf_slice(&hinted), buf_slice(&plain));
            if (value > want[index]) want[index] = value;
        }
        EXPECT(hll_merge(got, buf_slice(&plain)));
        EXPECT(memcmp(got, want, sizeof want) == 0);
        EXPECT_EQ_INT(count_of(&plain), hll_estimate(want));
        buf_free(&plain);
        buf_free(&hinted);
    }
}

static void check_corrupt(struct slice hll) {
    uint8_t registers[HLL_REGISTER_COUNT] = {0};
    struct buf copy = {0};
    uint64_t count;
    EXPECT(hll_is(hll));
    buf_add_slice(&copy, hll);
    EXPECT(!hll_merge(registers, hll));
    EXPECT(!hll_count(hll, &count));
    EXPECT(!hll_make_dense(&copy));
    EXPECT_EQ_SLICE(buf_slice(&copy), hll);
    buf_free(&copy);
}

#define SPARSE_HEAD "HYLL\1\0\0\0\0\0\0\0\0\0\0\x80"

TEST(opcodes_that_do_not_cover_the_registers) {
    check_corrupt(SLICE(SPARSE_HEAD));                            /* none */
    check_corrupt(SLICE(SPARSE_HEAD "\x7f\xfe"));                 /* one too few */
    check_corrupt(SLICE(SPARSE_HEAD "\x7f\xff\x00"));             /* one too many, zero */
    check_corrupt(SLICE(SPARSE_HEAD "\x7f\xff\x80"));             /* and not */
    check_corrupt(SLICE(SPARSE_HEAD "\x7f\xfe\x81"));             /* across the end */
    check_corrupt(SLICE(SPARSE_HEAD "\x7f"));                     /* half an opcode */
    check_corrupt(SLICE(SPARSE_HEAD "\x7f\xff\x7f"));             /* behind a whole one */
    check_corrupt(SLICE(SPARSE_HEAD "\x7f\xff\x7f\xff\x7f\xff")); /* all of it three times */
    struct buf hll = {0};
    struct hll_hint hint = {0};
    buf_add_slice(&hll, SLICE(SPARSE_HEAD "\x40\x63"));
    EXPECT(hll_sparse_raise(&hll, 100, 1, BYTES_MAX, &hint) == HLL_CORRUPT);
    EXPECT(hll_sparse_raise(&hll, 50, 33, BYTES_MAX, &hint) == HLL_CORRUPT); /* it cannot become dense */
    EXPECT_EQ_INT(hll.len, HLL_HEAD_SIZE + 2);
    EXPECT(hll_sparse_raise(&hll, 99, 1, BYTES_MAX, &hint) == HLL_CHANGED); /* this far it is right */
    buf_free(&hll);
}

TEST(what_is_none) {
    EXPECT(!hll_is(SLICE("")));
    EXPECT(!hll_is(SLICE("HYLL\1\0\0\0\0\0\0\0\0\0\0")));
    EXPECT(!hll_is(SLICE("HYLK\1\0\0\0\0\0\0\0\0\0\0\0\x7f\xff")));
    EXPECT(!hll_is(SLICE("HYLL\2\0\0\0\0\0\0\0\0\0\0\0\x7f\xff")));
    EXPECT(!hll_is(SLICE("HYLL\0\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"))); /* dense, of another length */
}

TEST(registers_that_no_hash_gives_are_counted_without_harm) {
    struct buf hll = {0};
    uint8_t registers[HLL_REGISTER_COUNT];
    for (int value = 0; value < 64; value++) {
        memset(registers, value, sizeof registers);
        hll_make(&hll);
        hll_set_registers(&hll, registers);
        EXPECT_EQ_U64(count_of(&hll), hll_estimate(registers));
    }
    buf_free(&hll);
}

TEST_MAIN
