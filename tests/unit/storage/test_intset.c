/* Intsets: bytes as Redis 7.0 dumps them, random changes against an array, strangers' bytes. */
#include "intset.h"

#include "test.h"

#include "mem.h"
#include "rng.h"

#include <inttypes.h>

static struct buf set_of(const int64_t *numbers, size_t count) {
    struct buf s = {0};
    intset_begin(&s);
    for (size_t i = 0; i < count; i++) intset_add(&s, numbers[i]);
    return s;
}

TEST(bytes_are_those_of_redis) {
    struct buf s = set_of((int64_t[]){3, -1, 2}, 3);
    EXPECT_EQ_SLICE(buf_slice(&s), SLICE("\x02\x00\x00\x00\x03\x00\x00\x00\xff\xff\x02\x00\x03\x00"));
    EXPECT(intset_add(&s, 100000));
    EXPECT_EQ_SLICE(buf_slice(&s), SLICE("\x04\x00\x00\x00\x04\x00\x00\x00\xff\xff\xff\xff\x02\x00\x00\x00"
                                         "\x03\x00\x00\x00\xa0\x86\x01\x00"));
    /* The width stays when what needed it is gone. */
    EXPECT(intset_remove(&s, 100000));
    EXPECT_EQ_SLICE(buf_slice(&s), SLICE("\x04\x00\x00\x00\x03\x00\x00\x00\xff\xff\xff\xff\x02\x00\x00\x00"
                                         "\x03\x00\x00\x00"));
    EXPECT(intset_add(&s, INT64_MIN));
    EXPECT_EQ_SLICE(buf_slice(&s), SLICE("\x08\x00\x00\x00\x04\x00\x00\x00"
                                         "\x00\x00\x00\x00\x00\x00\x00\x80\xff\xff\xff\xff\xff\xff\xff\xff"
                                         "\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"));
    buf_free(&s);
}

enum { MODEL_MAX = 200 };
struct model {
    int64_t numbers[MODEL_MAX]; /* ascending */
    size_t count;
};

static size_t model_place(const struct model *m, int64_t v) {
    size_t i = 0;
    while (i < m->count && m->numbers[i] < v) i++;
    return i;
}

static void step(struct rng *r, struct buf *s, struct model *m, unsigned shift) {
    int64_t v = (int64_t)rng_next(r) >> shift;
    size_t i = model_place(m, v), at;
    bool there = i < m->count && m->numbers[i] == v;
    EXPECT(intset_find(buf_slice(s), v, &at) == there);
    EXPECT_EQ_INT(at, i);
    if (rng_below(r, 3) && m->count < MODEL_MAX) {
        EXPECT(intset_add(s, v) == !there);
        if (there) return;
        memmove(m->numbers + i + 1, m->numbers + i, (m->count - i) * sizeof v);
        m->numbers[i] = v;
        m->count++;
        return;
    }
    EXPECT(intset_remove(s, v) == there);
    if (!there) return;
    memmove(m->numbers + i, m->numbers + i + 1, (m->count - i - 1) * sizeof v);
    m->count--;
}

TEST(random_changes_agree_with_an_array) {
    struct rng r = {test_seed()};
    for (int round = 0; round < 40; round++) {
        struct buf s = {0};
        struct model m = {.count = 0};
        intset_begin(&s);
        /* Small numbers meet often; now and then all of the width. */
        for (int i = 0; i < 300; i++) {
            step(&r, &s, &m, i < 250 ? 57u : (unsigned)rng_below(&r, 64));
            char *exact = mem_alloc(s.len);
            memcpy(exact, s.data, s.len);
            struct slice e = slice_make(exact, s.len);
            EXPECT(intset_valid(e));
            EXPECT_EQ_INT(intset_count(e), m.count);
            for (size_t k = 0; k < m.count; k++) EXPECT_EQ_INT(intset_at(e, k), m.numbers[k]);
            mem_free(exact);
        }
        buf_free(&s);
    }
}

TEST(what_is_no_intset_is_refused) {
    EXPECT(intset_valid(SLICE("\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x02\x00")));
    EXPECT(!intset_valid(SLICE("")));
    EXPECT(!intset_valid(SLICE("\x02\x00\x00\x00\x00\x00\x00")));
    EXPECT(!intset_valid(SLICE("\x03\x00\x00\x00\x01\x00\x00\x00\x01\x00\x02"))); /* no such width */
    EXPECT(!intset_valid(SLICE("\x00\x00\x00\x00\x00\x00\x00\x00")));
    EXPECT(!intset_valid(SLICE("\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00")));         /* too short */
    EXPECT(!intset_valid(SLICE("\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x02\x00"))); /* too long */
    EXPECT(!intset_valid(SLICE("\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x01\x00"))); /* not ascending */
    EXPECT(!intset_valid(SLICE("\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x02\x00"))); /* twice */
    EXPECT(!intset_valid(SLICE("\x08\x00\x00\x00\xff\xff\xff\xff\x02\x00\x02\x00")));
}

TEST_MAIN
