/* HyperLogLogs that anybody may have stored: reading one touches nothing outside it, all ways of reading agree about whether it
 * is corrupt and what it holds, and raising registers leaves one that is as good as before. The first bytes say what is
 * raised, the rest is the value. */
#include "hll.h"

#include "check.h"
#include "fuzz.h"

enum { RAISES = 8, BYTES_MAX = 3000 };

/* Whether it is a whole one; then its registers are what they were, or became `want` of them. */
static bool read_all_ways(struct slice value, const uint8_t *want) {
    uint8_t registers[HLL_REGISTER_COUNT] = {0};
    uint64_t count = 0, known;
    bool whole = hll_merge(registers, value);
    CHECK(hll_count(value, &count) == whole);
    (void)hll_known_count(value, &known);
    if (!whole) return false;
    CHECK(count == hll_estimate(registers));
    if (want != NULL) CHECK(memcmp(registers, want, sizeof registers) == 0);
    return true;
}

static void to_dense(const struct buf *hll, bool whole) {
    struct buf copy = {0};
    uint8_t registers[HLL_REGISTER_COUNT] = {0};
    buf_add_slice(&copy, buf_slice(hll));
    CHECK(hll_make_dense(&copy) == whole);
    if (whole) {
        CHECK(copy.len == HLL_DENSE_SIZE && hll_is(buf_slice(&copy)));
        CHECK(hll_merge(registers, buf_slice(hll)));
        CHECK(read_all_ways(buf_slice(&copy), registers));
        for (uint32_t i = 0; i < HLL_REGISTER_COUNT; i += 97)
            CHECK(hll_dense_register(copy.data, i) == registers[i]);
    }
    buf_free(&copy);
}

static void raise(struct buf *hll, uint32_t index, uint8_t value, struct hll_hint *hint) {
    uint8_t registers[HLL_REGISTER_COUNT] = {0};
    bool whole = hll_merge(registers, buf_slice(hll));
    enum hll_outcome outcome;
    if (hll_is_dense(buf_slice(hll)))
        outcome = hll_dense_raise(hll->data, index, value) ? HLL_CHANGED : HLL_SAME;
    else
        outcome = hll_sparse_raise(hll, index, value, BYTES_MAX, hint);
    CHECK(hll_is(buf_slice(hll)));
    if (!whole) return;
    CHECK(outcome == (value > registers[index] ? HLL_CHANGED : HLL_SAME));
    if (value > registers[index]) registers[index] = value;
    CHECK(read_all_ways(buf_slice(hll), registers));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < RAISES * 3) return 0;
    char *copy = fuzz_exact_copy(data + RAISES * 3, size - RAISES * 3);
    struct slice value = slice_make(copy, size - RAISES * 3);
    if (hll_is(value)) {
        struct hll_hint hint = {0};
        struct buf hll = {0};
        bool whole = read_all_ways(value, NULL);
        buf_add_slice(&hll, value);
        to_dense(&hll, whole);
        for (int i = 0; i < RAISES; i++, data += 3)
            raise(&hll, (uint32_t)(data[0] | data[1] << 8) % HLL_REGISTER_COUNT, 1 + data[2] % 51, &hint);
        buf_free(&hll);
    }
    mem_free(copy);
    return 0;
}
