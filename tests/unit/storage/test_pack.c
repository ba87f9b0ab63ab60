/* Packs: every encoding by its bytes, as Redis 7.0 writes them; random changes against a plain array; strangers' bytes. */
#include "pack.h"

#include "test.h"

#include "check.h"
#include "mem.h"
#include "rng.h"

static struct buf pack_of(const struct slice *texts, size_t count) {
    struct buf p = {0};
    pack_begin(&p);
    for (size_t i = 0; i < count; i++) pack_append(&p, pack_text(texts[i]));
    return p;
}

/* --- bytes --- */

/* From DUMP of small hashes in Redis 7.0.15: field f with the value, up to the length behind the value's entry. */
static const struct known {
    struct slice text, entry;
} known[] = {
    {SLICE("0"), SLICE("\x00\x01")},
    {SLICE("127"), SLICE("\x7f\x01")},
    {SLICE("128"), SLICE("\xc0\x80\x02")},
    {SLICE("-1"), SLICE("\xdf\xff\x02")},
    {SLICE("4095"), SLICE("\xcf\xff\x02")},
    {SLICE("-4096"), SLICE("\xd0\x00\x02")},
    {SLICE("4096"), SLICE("\xf1\x00\x10\x03")},
    {SLICE("-4097"), SLICE("\xf1\xff\xef\x03")},
    {SLICE("32767"), SLICE("\xf1\xff\x7f\x03")},
    {SLICE("-32768"), SLICE("\xf1\x00\x80\x03")},
    {SLICE("32768"), SLICE("\xf2\x00\x80\x00\x04")},
    {SLICE("8388607"), SLICE("\xf2\xff\xff\x7f\x04")},
    {SLICE("-8388608"), SLICE("\xf2\x00\x00\x80\x04")},
    {SLICE("8388608"), SLICE("\xf3\x00\x00\x80\x00\x05")},
    {SLICE("2147483647"), SLICE("\xf3\xff\xff\xff\x7f\x05")},
    {SLICE("-2147483648"), SLICE("\xf3\x00\x00\x00\x80\x05")},
    {SLICE("2147483648"), SLICE("\xf4\x00\x00\x00\x80\x00\x00\x00\x00\x09")},
    {SLICE("9223372036854775807"), SLICE("\xf4\xff\xff\xff\xff\xff\xff\xff\x7f\x09")},
    {SLICE("-9223372036854775808"), SLICE("\xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09")},
    {SLICE("9223372036854775808"), SLICE("\x93"
                                         "9223372036854775808\x14")},
    {SLICE(""), SLICE("\x80\x01")},
    {SLICE("a"), SLICE("\x81"
                       "a\x02")},
    {SLICE("007"), SLICE("\x83"
                         "007\x04")},
    {SLICE("-0"), SLICE("\x82-0\x03")},
    {SLICE("+1"), SLICE("\x82+1\x03")},
    {SLICE("1.5"), SLICE("\x83"
                         "1.5\x04")},
};

TEST(each_encoding_is_the_one_of_redis) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct buf p = pack_of(&known[i].text, 1);
        EXPECT_EQ_SLICE(slice_make(p.data + 6, p.len - 7), known[i].entry);
        EXPECT_EQ_INT(pack_value_size(pack_text(known[i].text)), known[i].entry.len);
        char scratch[NUM_I64_MAX_LEN];
        EXPECT_EQ_SLICE(pack_get_text(buf_slice(&p), pack_first(buf_slice(&p)), scratch), known[i].text);
        EXPECT(pack_valid(buf_slice(&p), NULL));
        buf_free(&p);
    }
}

static void check_long(size_t len, struct slice header, struct slice behind) {
    char *text = mem_alloc(len);
    memset(text, 'x', len);
    struct slice s = slice_make(text, len);
    struct buf p = pack_of(&s, 1);
    EXPECT_EQ_INT(p.len, 7 + header.len + len + behind.len);
    EXPECT_EQ_SLICE(slice_make(p.data + 6, header.len), header);
    EXPECT_EQ_SLICE(slice_make(p.data + 6 + header.len + len, behind.len), behind);
    EXPECT_EQ_INT(pack_last(buf_slice(&p)), 6);
    EXPECT_EQ_SLICE(pack_get(buf_slice(&p), 6).text, s);
    EXPECT(pack_valid(buf_slice(&p), NULL));
    buf_free(&p);
    mem_free(text);
}

TEST(long_texts_and_the_lengths_behind_them) {
    check_long(63, SLICE("\xbf"), SLICE("\x40"));
    check_long(64, SLICE("\xe0\x40"), SLICE("\x42"));
    check_long(125, SLICE("\xe0\x7d"), SLICE("\x7f"));
    check_long(126, SLICE("\xe0\x7e"), SLICE("\x01\x80"));
    check_long(4095, SLICE("\xef\xff"), SLICE("\x20\x81"));
    check_long(4096, SLICE("\xf0\x00\x10\x00\x00"), SLICE("\x20\x85"));
    check_long(16377, SLICE("\xf0\xf9\x3f\x00\x00"), SLICE("\x7f\xfe"));
    /* 16383 would fit into 14 bits, and takes three bytes all the same. */
    check_long(16378, SLICE("\xf0\xfa\x3f\x00\x00"), SLICE("\x00\xff\xff"));
    check_long(2097145, SLICE("\xf0\xf9\xff\x1f\x00"), SLICE("\x7f\xff\xfe"));
    check_long(2097146, SLICE("\xf0\xfa\xff\x1f\x00"), SLICE("\x00\xff\xff\xff"));
}

TEST(a_pack_as_redis_dumps_it) {
    struct slice texts[] = {SLICE("a"), SLICE("1"), SLICE("field"), SLICE("-300"), SLICE("z"), SLICE("")};
    struct buf p = pack_of(texts, 6);
    EXPECT_EQ_SLICE(buf_slice(&p), SLICE("\x1b\x00\x00\x00\x06\x00\x81"
                                         "a\x02\x01\x01\x85"
                                         "field\x06\xde\xd4\x02\x81z\x02\x80\x01\xff"));
    buf_free(&p);
}

TEST(bytes_stay_bytes_and_are_found_by_their_integer) {
    struct buf p = {0};
    pack_begin(&p);
    pack_append(&p, pack_bytes(SLICE("12")));
    pack_append(&p, pack_text(SLICE("12")));
    struct slice s = buf_slice(&p);
    EXPECT(!pack_get(s, pack_first(s)).is_int);
    EXPECT(pack_get(s, pack_last(s)).is_int);
    struct pack_value v = pack_text(SLICE("12"));
    EXPECT(pack_is(s, pack_first(s), &v));
    EXPECT(pack_is(s, pack_last(s), &v));
    EXPECT_EQ_INT(pack_find(s, pack_first(s), &v, 1), pack_first(s));
    buf_free(&p);
}

TEST(memory_is_what_is_needed) {
    struct buf p = {0};
    pack_begin(&p);
    for (int i = 0; i < 500; i++) {
        pack_append(&p, pack_integer(i * 1000));
        EXPECT(p.cap == mem_size(p.data));
        void *exact = mem_alloc(p.len);
        EXPECT(p.cap <= mem_size(exact));
        mem_free(exact);
    }
    pack_remove(&p, pack_seek(buf_slice(&p), 5), 495);
    pack_trim(&p);
    EXPECT(p.cap == mem_size(p.data) && p.cap < 200);
    buf_free(&p);
}

TEST(more_than_65534_entries_are_counted_by_walking) {
    struct buf p = {0}, tail = {0};
    pack_begin(&p);
    pack_begin(&tail);
    buf_reserve(&p, 70000 * 4);
    for (int i = 0; i < 70000; i++) pack_append(&p, pack_integer(i));
    struct slice s = buf_slice(&p);
    size_t count = 0;
    EXPECT_EQ_INT(pack_count(s), 70000);
    EXPECT(pack_valid(s, &count));
    EXPECT_EQ_INT(count, 70000);
    EXPECT_EQ_INT(pack_get(s, pack_seek(s, 66000)).integer, 66000);
    EXPECT_EQ_INT(pack_get(s, pack_seek(s, -70000)).integer, 0);
    EXPECT_EQ_INT(pack_seek(s, 70000), 0);
    EXPECT_EQ_INT(pack_seek(s, -70001), 0);
    pack_move_tail(&p, pack_seek(s, 4000), &tail);
    EXPECT_EQ_INT(pack_count(buf_slice(&p)), 4000);
    EXPECT_EQ_INT(pack_count(buf_slice(&tail)), 66000);
    pack_remove(&tail, pack_first(buf_slice(&tail)), 1000);
    EXPECT_EQ_INT(pack_count(buf_slice(&tail)), 65000);
    EXPECT_EQ_INT((uint8_t)tail.data[4] | (uint8_t)tail.data[5] << 8, 65000);
    pack_join(&p, &tail);
    EXPECT_EQ_INT(pack_count(buf_slice(&p)), 69000);
    EXPECT_EQ_INT(pack_count(buf_slice(&tail)), 0);
    buf_free(&p);
    buf_free(&tail);
}

/* --- against a plain array --- */

enum { MODEL_MAX = 300 };
struct model {
    struct buf items[MODEL_MAX];
    size_t count;
};

static void random_text(struct rng *r, struct buf *out) {
    static const size_t lens[] = {0, 1, 2, 5, 20, 21, 62, 63, 64, 125, 126, 127, 128, 4094, 4095, 4096};
    buf_clear(out);
    if (rng_below(r, 2)) {
        int64_t v = (int64_t)(rng_next(r) >> rng_below(r, 64));
        if (rng_below(r, 2)) v = -v;
        buf_printf(out, "%" PRId64, v);
    } else {
        size_t pick = rng_below(r, rng_below(r, 8) ? 8 : sizeof lens / sizeof *lens), len = lens[pick];
        for (size_t i = 0; i < len; i++) buf_add_byte(out, (uint8_t)("ab"[rng_below(r, 2)]));
    }
}

static void model_insert(struct model *m, size_t at, struct slice text) {
    memmove(&m->items[at + 1], &m->items[at], (m->count - at) * sizeof *m->items);
    m->items[at] = (struct buf){0};
    buf_add_slice(&m->items[at], text);
    m->count++;
}

static void model_remove(struct model *m, size_t at, size_t count) {
    for (size_t i = 0; i < count; i++) buf_free(&m->items[at + i]);
    memmove(&m->items[at], &m->items[at + count], (m->count - at - count) * sizeof *m->items);
    m->count -= count;
}

static void check_same(const struct buf *p, const struct model *m) {
    /* A copy without a byte behind it, for the sanitizer. */
    char *exact = mem_alloc(p->len), scratch[NUM_I64_MAX_LEN];
    memcpy(exact, p->data, p->len);
    struct slice s = slice_make(exact, p->len);
    size_t count = 0, at = pack_first(s);
    EXPECT(pack_valid(s, &count));
    EXPECT_EQ_INT(count, m->count);
    EXPECT_EQ_INT(pack_count(s), m->count);
    for (size_t i = 0; i < m->count; i++, at = pack_next(s, at)) {
        EXPECT(at != 0);
        EXPECT_EQ_SLICE(pack_get_text(s, at, scratch), buf_slice(&m->items[i]));
        EXPECT_EQ_INT(pack_seek(s, (int64_t)i), at);
        EXPECT_EQ_INT(pack_seek(s, (int64_t)i - (int64_t)m->count), at);
    }
    EXPECT_EQ_INT(at, 0);
    at = pack_last(s);
    for (size_t i = m->count; i-- > 0; at = pack_prev(s, at)) {
        EXPECT(at != 0);
        EXPECT_EQ_SLICE(pack_get_text(s, at, scratch), buf_slice(&m->items[i]));
    }
    EXPECT_EQ_INT(at, 0);
    mem_free(exact);
}

static void check_found(const struct buf *p, const struct model *m, struct slice text, unsigned stride,
                        size_t from) {
    struct slice s = buf_slice(p);
    struct pack_value v = pack_text(text);
    size_t want = 0;
    for (size_t i = from; i < m->count; i += stride) {
        bool same = slice_eq(buf_slice(&m->items[i]), text);
        EXPECT(pack_is(s, pack_seek(s, (int64_t)i), &v) == same);
        if (same && want == 0) want = pack_seek(s, (int64_t)i);
    }
    EXPECT_EQ_INT(pack_find(s, pack_seek(s, (int64_t)from), &v, stride), want);
}

static void step(struct rng *r, struct buf *p, struct model *m, struct buf *text) {
    struct slice s = buf_slice(p);
    size_t i = m->count ? rng_below(r, m->count) : 0, at = m->count ? pack_seek(s, (int64_t)i) : 0;
    random_text(r, text);
    struct slice t = buf_slice(text);
    switch (rng_below(r, m->count ? 8 : 1)) {
    case 0:
    case 1:
        if (m->count == MODEL_MAX) break;
        pack_append(p, pack_text(t));
        model_insert(m, m->count, t);
        break;
    case 2:
    case 3:
        if (m->count == MODEL_MAX) break;
        EXPECT_EQ_INT(pack_insert(p, at, pack_text(t)), at);
        model_insert(m, i, t);
        break;
    case 4:
        pack_replace(p, at, pack_text(t));
        buf_clear(&m->items[i]);
        buf_add_slice(&m->items[i], t);
        break;
    case 5: {
        size_t count = rng_below(r, 5), left = m->count - i, removed = count < left ? count : left;
        EXPECT_EQ_INT(pack_remove(p, at, count), removed == left ? 0 : at);
        model_remove(m, i, removed);
        break;
    }
    case 6: {
        struct buf tail = {0};
        pack_begin(&tail);
        pack_append(&tail, pack_integer(7));
        pack_move_tail(p, at, &tail);
        EXPECT_EQ_INT(pack_count(buf_slice(&tail)), m->count - i + 1);
        EXPECT_EQ_INT(pack_count(buf_slice(p)), i);
        pack_remove(&tail, pack_first(buf_slice(&tail)), 1);
        pack_join(p, &tail);
        EXPECT_EQ_INT(tail.len, PACK_EMPTY_SIZE);
        buf_free(&tail);
        break;
    }
    default:
        if (rng_below(r, 2)) t = buf_slice(&m->items[rng_below(r, m->count)]);
        check_found(p, m, t, 1 + (unsigned)rng_below(r, 3), i);
    }
}

TEST(random_changes_agree_with_an_array) {
    struct rng r = {test_seed()};
    for (int round = 0; round < 40; round++) {
        struct buf p = {0}, text = {0};
        struct model m = {.count = 0};
        pack_begin(&p);
        for (int i = 0; i < 150; i++) {
            step(&r, &p, &m, &text);
            check_same(&p, &m);
        }
        model_remove(&m, 0, m.count);
        buf_free(&p);
        buf_free(&text);
    }
}

/* --- strangers' bytes --- */

static bool valid(struct slice bytes) {
    char *exact = mem_alloc(bytes.len);
    if (bytes.len > 0) memcpy(exact, bytes.data, bytes.len);
    bool ok = pack_valid(slice_make(exact, bytes.len), NULL);
    mem_free(exact);
    return ok;
}

TEST(what_is_no_pack_is_refused) {
    EXPECT(valid(SLICE("\x07\x00\x00\x00\x00\x00\xff")));
    EXPECT(!valid(SLICE("")));
    EXPECT(!valid(SLICE("\x06\x00\x00\x00\x00\x00")));
    EXPECT(!valid(SLICE("\x07\x00\x00\x00\x00\x00\x00")));     /* no end */
    EXPECT(!valid(SLICE("\x08\x00\x00\x00\x00\x00\xff")));     /* another length */
    EXPECT(!valid(SLICE("\x07\x00\x00\x00\x01\x00\xff")));     /* another count */
    EXPECT(!valid(SLICE("\x08\x00\x00\x00\x00\x00\xff\xff"))); /* an end in front of the end */
    EXPECT(valid(SLICE("\x09\x00\x00\x00\x01\x00\x05\x01\xff")));
    EXPECT(valid(SLICE("\x09\x00\x00\x00\xff\xff\x05\x01\xff")));  /* not said how many */
    EXPECT(!valid(SLICE("\x09\x00\x00\x00\x01\x00\x05\x02\xff"))); /* another length behind */
    EXPECT(!valid(SLICE("\x08\x00\x00\x00\x01\x00\x05\xff")));
    EXPECT(!valid(SLICE("\x09\x00\x00\x00\x01\x00\x82"
                        "a\xff")));                                /* beyond the end */
    EXPECT(!valid(SLICE("\x09\x00\x00\x00\x01\x00\xf5\x01\xff"))); /* no such code */
    EXPECT(!valid(SLICE("\x08\x00\x00\x00\x01\x00\xf0\xff")));
    EXPECT(!valid(SLICE("\x0c\x00\x00\x00\x01\x00\xf0\xff\xff\xff\xff\xff")));
    EXPECT(valid(SLICE("\x0e\x00\x00\x00\x01\x00\xf0\x01\x00\x00\x00x\x06\xff"))); /* wider than need be */
}

TEST(changed_bytes_never_lead_beyond) {
    struct rng r = {test_seed()};
    struct slice texts[] = {SLICE("a"), SLICE("1000"), SLICE("some text"), SLICE("-70000"),
                            SLICE("123456789012")};
    struct buf good = pack_of(texts, 5);
    for (int i = 0; i < 20000; i++) {
        struct buf bad = {0};
        buf_add_slice(&bad, buf_slice(&good));
        for (size_t n = 1 + rng_below(&r, 3); n > 0; n--) {
            bad.data[rng_below(&r, bad.len)] = (char)rng_next(&r);
        }
        size_t count = 0, walked = 0;
        char *exact = mem_alloc(bad.len);
        memcpy(exact, bad.data, bad.len);
        struct slice s = slice_make(exact, bad.len);
        if (pack_valid(s, &count)) {
            for (size_t at = pack_first(s); at; at = pack_next(s, at)) walked++;
            EXPECT_EQ_INT(walked, count);
        }
        mem_free(exact);
        buf_free(&bad);
    }
    buf_free(&good);
}

TEST_MAIN
