/* Samples: whole, ascending, without repetition, uniform, and the same for the same seed. */
#include "sample.h"

#include "test.h"

enum { ROOM = 5000 };
static uint64_t picked[ROOM];

static void check_sample(struct rng *rng, uint64_t n, size_t count) {
    sample_ranks(rng, n, count, picked);
    for (size_t i = 0; i < count; i++) {
        EXPECT_NOTE(picked[i] < n, "%zu of %" PRIu64 ": %" PRIu64, count, n, picked[i]);
        EXPECT_NOTE(i == 0 || picked[i] > picked[i - 1], "%zu of %" PRIu64 " at %zu", count, n, i);
    }
}

TEST(samples_are_ascending_and_do_not_repeat) {
    struct rng rng = {.state = test_seed()};
    for (uint64_t n = 0; n <= 140; n++)
        for (size_t count = 0; count <= n; count++) check_sample(&rng, n, count);
    for (int i = 0; i < 300; i++) {
        uint64_t n = 1 + rng_below(&rng, UINT64_C(1) << rng_below(&rng, 23));
        size_t count = (size_t)rng_below(&rng, (n < ROOM ? n : ROOM) + 1);
        check_sample(&rng, n, count);
    }
    check_sample(&rng, UINT64_MAX, 1000); /* takes no memory in proportion to n */
}

TEST(all_of_them_are_all_of_them) {
    struct rng rng = {.state = 1};
    sample_ranks(&rng, 300, 300, picked);
    for (size_t i = 0; i < 300; i++) EXPECT_EQ_INT(picked[i], i);
}

TEST(the_seed_decides) {
    uint64_t first[50];
    struct rng a = {.state = 7}, b = {.state = 7};
    sample_ranks(&a, 100000, 50, first);
    sample_ranks(&b, 100000, 50, picked);
    EXPECT(memcmp(first, picked, sizeof first) == 0);
    sample_ranks(&b, 100000, 50, picked);
    EXPECT(memcmp(first, picked, sizeof first) != 0);
}

/* Every number as often as any other: far beyond six standard deviations is no accident. */
static void check_uniform(uint64_t n, size_t count, int rounds) {
    static unsigned seen[1000];
    struct rng rng = {.state = n * 1000 + count};
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < rounds; i++) {
        sample_ranks(&rng, n, count, picked);
        for (size_t k = 0; k < count; k++) seen[picked[k]]++;
    }
    double p = (double)count / (double)n, mean = p * rounds, variance = mean * (1 - p);
    for (uint64_t i = 0; i < n; i++) {
        double off = (double)seen[i] - mean;
        EXPECT_NOTE(off * off <= 36 * variance + 1e-9, "%" PRIu64 " of %zu in %" PRIu64 ": %u times", i,
                    count, n, seen[i]);
    }
}

TEST(every_number_is_as_likely) {
    check_uniform(10, 1, 20000);
    check_uniform(10, 3, 20000);
    check_uniform(10, 9, 20000);
    check_uniform(65, 40, 10000);
    check_uniform(1000, 2, 50000);
    check_uniform(1000, 3, 50000);
}

TEST_MAIN
