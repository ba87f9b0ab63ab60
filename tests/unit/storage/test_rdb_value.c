/* The payload of DUMP: known bytes of Redis 7.0 both ways, and strangers' bytes, none of which may be believed. */
#include "rdb_value.h"

#include "test.h"

#include "hash.h"
#include "intset.h"
#include "lzf.h"
#include "mem.h"
#include "pack.h"
#include "rdb_codec.h"
#include "rng.h"

struct known {
    struct slice text, payload;
};

/* As Redis 7.0.15 dumps them, and as we do. */
static const struct known same_both_ways[] = {
    {SLICE(""), SLICE("\x00\x00\x0a\x00\x5d\x9b\x5c\x40\x0f\x7f\xa2\xda")},
    {SLICE("hello"), SLICE("\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a")},
    {SLICE("0"), SLICE("\x00\xc0\x00\x0a\x00\x98\x40\xa7\x78\xf8\x50\x03\x08")},
    {SLICE("-1"), SLICE("\x00\xc0\xff\x0a\x00\x0c\x93\x7e\x24\x85\x08\x9d\xc5")},
    {SLICE("127"), SLICE("\x00\xc0\x7f\x0a\x00\x0d\xb5\xeb\x31\x52\x54\xc5\x14")},
    {SLICE("128"), SLICE("\x00\xc1\x80\x00\x0a\x00\xeb\x7a\xb3\xb5\x10\xcf\x4b\x65")},
    {SLICE("-128"), SLICE("\x00\xc0\x80\x0a\x00\x99\x66\x32\x6d\x2f\x0c\x5b\xd9")},
    {SLICE("-129"), SLICE("\x00\xc1\x7f\xff\x0a\x00\x17\x60\x82\x28\x54\x80\x84\x80")},
    {SLICE("32767"), SLICE("\x00\xc1\xff\x7f\x0a\x00\x49\x5a\x37\xda\x17\xf4\xd5\x2b")},
    {SLICE("-32768"), SLICE("\x00\xc1\x00\x80\x0a\x00\xb5\x40\x06\x47\x53\xbb\x1a\xce")},
    {SLICE("32768"), SLICE("\x00\xc2\x00\x80\x00\x00\x0a\x00\x45\xd8\x2e\xed\xd5\xbd\xa9\x10")},
    {SLICE("2147483647"), SLICE("\x00\xc2\xff\xff\xff\x7f\x0a\x00\x2c\x74\xe5\x9e\xe0\x2e\xad\xa1")},
    {SLICE("-2147483648"), SLICE("\x00\xc2\x00\x00\x00\x80\x0a\x00\xc7\x4f\x87\x3e\x33\x55\x81\x87")},
    {SLICE("2147483648"),
     SLICE("\x00\x0a\x32\x31\x34\x37\x34\x38\x33\x36\x34\x38\x0a\x00\xe7\xb1\x29\xa3\x4c\x1d"
           "\x76\xee")},
    {SLICE("007"), SLICE("\x00\x03\x30\x30\x37\x0a\x00\x72\x58\xe2\x7b\x4c\x69\xba\xd9")},
    {SLICE("aaaaaaaaaaaaaaaaaaaa"),
     SLICE("\x00\x14\x61\x61\x61\x61\x61\x61\x61\x61\x61\x61\x61\x61\x61\x61\x61\x61"
           "\x61\x61\x61\x61\x0a\x00\x83\xb4\x6b\x5e\x1b\x11\xac\xf1")},
    {SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
     SLICE("\x00\xc3\x09\x3f\x01\x61\x61\xe0\x32\x00\x01\x61\x61\x0a\x00\xc7\xb4\x54\xc1\x6b\x88\x66\xcb")},
    {SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
     SLICE(
         "\x00\xc3\x09\x40\x40\x01\x61\x61\xe0\x33\x00\x01\x61\x61\x0a\x00\xc3\x65\x96\x12\xce\x1c\xc4\x6c")},
};

static void dump_string(struct buf *out, struct slice text) {
    size_t start = out->len;
    buf_add_byte(out, RDB_STRING);
    rdb_add_text(out, text);
    rdb_seal(out, start);
}

static void check_read(struct slice payload, struct slice want) {
    struct rdb_value v;
    EXPECT_EQ_INT(rdb_verify(payload), RC_OK);
    EXPECT_EQ_INT(rdb_read(payload, &ks_limits_default, &v), RC_OK);
    EXPECT_EQ_INT(v.type, OBJECT_STRING);
    EXPECT_EQ_SLICE(buf_slice(&v.bytes), want);
    rdb_value_free(&v);
}

TEST(payloads_of_redis_are_read_and_written) {
    for (size_t i = 0; i < sizeof same_both_ways / sizeof *same_both_ways; i++) {
        const struct known *k = &same_both_ways[i];
        struct buf out = {0};
        buf_add_str(&out, "x"); /* appended behind what is there, which is no part of the checksum */
        dump_string(&out, k->text);
        EXPECT_EQ_BYTES(out.data + 1, out.len - 1, k->payload.data, k->payload.len);
        buf_free(&out);
        check_read(k->payload, k->text);
    }
}

TEST(longer_matches_are_packed_like_redis_packs_them) {
    struct buf want = {0}, out = {0};
    struct slice payload =
        SLICE("\x00\xc3\x16\x41\x2f\x0a\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x61\xe0\xff\x09"
              "\xe1\x10\x0d\x02\x78\x79\x7a\x0a\x00\x33\xe3\xed\x70\x6d\x48\xdc\xb0");
    for (int i = 0; i < 30; i++) buf_add_str(&want, "abcdefghij");
    buf_add_str(&want, "xyz");
    check_read(payload, buf_slice(&want));
    dump_string(&out, buf_slice(&want));
    EXPECT_EQ_SLICE(buf_slice(&out), payload);
    buf_free(&want);
    buf_free(&out);
}

/* What does not fit is refused, never written behind the end; what fits comes back. */
TEST(packing_keeps_within_its_room) {
    struct rng rng = {test_seed()};
    for (int round = 0; round < 20000; round++) {
        size_t len = rng_below(&rng, 300) + 1, letters = rng_below(&rng, 20) + 1,
               cap = rng_below(&rng, len + 8) + 1;
        char *plain = mem_alloc(len), *packed = mem_alloc(cap), *back = mem_alloc(len);
        for (size_t i = 0; i < len; i++) plain[i] = (char)('a' + rng_below(&rng, letters));
        size_t packed_len = lzf_pack(slice_make(plain, len), packed, cap);
        EXPECT(packed_len <= cap);
        if (packed_len != 0) {
            EXPECT(lzf_unpack(slice_make(packed, packed_len), back, len));
            EXPECT_EQ_BYTES(back, len, plain, len);
        }
        mem_free(plain);
        mem_free(packed);
        mem_free(back);
    }
}

/* A body with the footer it needs. */
static void seal(struct buf *b, uint16_t version) {
    buf_add(b, &version, sizeof version);
    buf_add_u64le(b, crc64(0, buf_slice(b)));
}

static enum rc read_body(struct slice body) {
    /* In an allocation of its own size, so that a sanitizer sees one byte too many. */
    char *copy = mem_alloc(body.len);
    if (body.len != 0) memcpy(copy, body.data, body.len);
    struct rdb_value v = {0};
    enum rc rc = rdb_read(slice_make(copy, body.len), &ks_limits_default, &v);
    volatile char sum = 0; /* touch every byte */
    if (rc == RC_OK)
        for (size_t i = 0; i < v.bytes.len; i++) sum = (char)(sum + v.bytes.data[i]);
    rdb_value_free(&v);
    mem_free(copy);
    return rc;
}

TEST(footers_are_checked) {
    struct buf b = {0};
    buf_add(&b, "\x00\x01k", 3);
    seal(&b, RDB_VERSION);
    EXPECT_EQ_INT(rdb_verify(buf_slice(&b)), RC_OK);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 1;
        EXPECT_NOTE(rdb_verify(buf_slice(&b)) == RC_INVALID, "byte %zu flipped", i);
        b.data[i] ^= 1;
        EXPECT_NOTE(rdb_verify(slice_make(b.data, i)) == RC_INVALID, "cut to %zu", i);
    }
    buf_clear(&b);
    buf_add(&b, "\x00\x01k", 3);
    seal(&b, RDB_VERSION + 1); /* of a newer Redis */
    EXPECT_EQ_INT(rdb_verify(buf_slice(&b)), RC_INVALID);
    buf_clear(&b);
    buf_add(&b, "\x00\x01k", 3);
    seal(&b, 2);
    EXPECT_EQ_INT(rdb_verify(buf_slice(&b)), RC_OK);
    buf_free(&b);
}

TEST(malformed_strings_are_refused) {
    static const struct slice bad[] = {
        SLICE(""),
        SLICE("\x00"),                                      /* no length */
        SLICE("\x01\x00"),                                  /* a list */
        SLICE("\xff\x01k"),                                 /* no type at all */
        SLICE("\x00\x02k"),                                 /* short by one */
        SLICE("\x00\x40"),                                  /* half a length */
        SLICE("\x00\x80\x00\x00\x00"),                      /* three quarters of one */
        SLICE("\x00\x80\xff\xff\xff\xffk"),                 /* four gigabytes promised */
        SLICE("\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffk"), /* all there is */
        SLICE("\x00\x82\x00\x00\x00\x01k"),                 /* no kind of length */
        SLICE("\x00\xbf\x01k"),                             /* nor this */
        SLICE("\x00\xc0"),                                  /* no byte for the integer */
        SLICE("\x00\xc1\x01"),
        SLICE("\x00\xc2\x01\x02\x03"),
        SLICE("\x00\xc4\x01\x02\x03\x04"), /* no such encoding */
        SLICE("\x00\xff\x01"),
        SLICE("\x00\xc3"), /* LZF without lengths */
        SLICE("\x00\xc3\x01"),
        SLICE("\x00\xc3\x02\x01\x00"),                              /* packed bytes missing */
        SLICE("\x00\xc3\xc0\x01\x01\x00k"),                         /* an integer for a length */
        SLICE("\x00\xc3\x00\x01"),                                  /* out of nothing */
        SLICE("\x00\xc3\x02\x02\x00k"),                             /* gives less than promised */
        SLICE("\x00\xc3\x04\x01\x02klm"),                           /* gives more */
        SLICE("\x00\xc3\x02\x03\x02k"),                             /* a run that is cut off */
        SLICE("\x00\xc3\x02\x03\x20\x00"),                          /* repeats what is not there yet */
        SLICE("\x00\xc3\x04\x04\x00k\x20\x01"),                     /* one byte before the start */
        SLICE("\x00\xc3\x03\x04\x00k\x20"),                         /* a match without its distance */
        SLICE("\x00\xc3\x03\x0f\x00k\xe0"),                         /* a long one without its length */
        SLICE("\x00\xc3\x05\x80\x1f\xff\xff\xff\x00k\xe0\xff\x00"), /* 512 MB out of five bytes */
        SLICE("\x00\xc3\x05\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00k\xe0\xff\x00"),
        SLICE("\x00\xc3\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00k"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_NOTE(read_body(bad[i]) == RC_INVALID, "case %zu", i);
    EXPECT_EQ_INT(read_body(SLICE("\x00\x01k")), RC_OK);
    EXPECT_EQ_INT(read_body(SLICE("\x00\x80\x00\x00\x00\x01k")), RC_OK);
    EXPECT_EQ_INT(read_body(SLICE("\x00\x81\x00\x00\x00\x00\x00\x00\x00\x01k")), RC_OK);
    EXPECT_EQ_INT(read_body(SLICE("\x00\xc3\x04\x04\x00k\x20\x00")), RC_OK);
    EXPECT_EQ_INT(read_body(SLICE("\x00\xc3\x02\x00\x00k")),
                  RC_OK);                                        /* whatever unpacks to nothing, in Redis */
    EXPECT_EQ_INT(read_body(SLICE("\x00\x01kand more")), RC_OK); /* Redis does not look behind the value */
}

static bool fits(struct slice bytes, size_t len_max) {
    struct slice text, rest = bytes;
    struct rdb_texts t = {.from = &rest, .len_max = len_max};
    bool ok = rdb_take_text(&t, &text);
    buf_free(&t.store);
    return ok;
}

TEST(longer_than_allowed_is_refused) {
    EXPECT(fits(SLICE("\x05hello"), 5));
    EXPECT(!fits(SLICE("\x05hello"), 4));
    EXPECT(fits(SLICE("\xc3\x04\x04\x00k\x20\x00"), 4));
    EXPECT(!fits(SLICE("\xc3\x04\x04\x00k\x20\x00"), 3));
}

/* Random bytes, biased to the packed encoding: any answer will do, as long as there is one. */
TEST(random_bytes_are_survived) {
    struct rng rng = {test_seed()};
    char body[64];
    for (int round = 0; round < 200000; round++) {
        size_t len = rng_below(&rng, sizeof body) + 1;
        for (size_t i = 0; i < len; i++) {
            uint64_t dice = rng_below(&rng, 4);
            body[i] = (char)(dice == 0 ? rng_below(&rng, 256) : dice == 1 ? 0xe0 : rng_below(&rng, 8));
        }
        body[0] = 0;
        if (len > 3 && round % 2 == 0) {
            body[1] = (char)0xc3;
            body[2] = (char)(len - 4);
        }
        (void)read_body(slice_make(body, len));
    }
}

TEST(any_bytes_come_back) {
    struct rng rng = {test_seed()};
    static const size_t lengths[] = {0, 1, 10, 63, 64, 100, 16383, 16384, 100000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct buf text = {0}, out = {0};
        for (size_t n = 0; n < lengths[i]; n++)
            buf_add_byte(&text, (uint8_t)(rng_next(&rng) % (i % 2 ? 256 : 5)));
        dump_string(&out, buf_slice(&text));
        check_read(buf_slice(&out), buf_slice(&text));
        buf_free(&text);
        buf_free(&out);
    }
}

TEST_MAIN
