/* The payloads of collections: one of each form that Redis 7.0 writes or still reads, and what is wrong with others. */
#include "rdb_value.h"

#include "test.h"

#include "hash.h"
#include "intset.h"
#include "mem.h"
#include "pack.h"
#include "rdb_codec.h"
#include "rng.h"

static const struct ks_limits usual = {.hash_max_listpack_entries = 512,
                                       .hash_max_listpack_value = 64,
                                       .list_max_listpack_size = -2,
                                       .set_max_intset_entries = 512,
                                       .zset_max_listpack_entries = 128,
                                       .zset_max_listpack_value = 64};

static const char *const types[] = {
    [OBJECT_STRING] = "string", [OBJECT_LIST] = "list", [OBJECT_SET] = "set",
    [OBJECT_ZSET] = "zset",     [OBJECT_HASH] = "hash", [OBJECT_STREAM] = "stream"};
static const char *const encodings[] = {[ENCODING_LISTPACK] = "listpack",
                                        [ENCODING_QUICKLIST] = "quicklist",
                                        [ENCODING_INTSET] = "intset",
                                        [ENCODING_HASHTABLE] = "hashtable",
                                        [ENCODING_SKIPLIST] = "skiplist"};

/* "type encoding: entry entry ...", an empty one as []. */
static void describe(struct buf *out, const struct rdb_value *v) {
    struct slice bytes = buf_slice(&v->bytes);
    char scratch[NUM_I64_MAX_LEN];
    buf_clear(out);
    if (v->type == OBJECT_STRING) {
        buf_add_slice(out, bytes);
        return;
    }
    buf_printf(out, "%s %s:", types[v->type], encodings[v->encoding]);
    if (v->encoding == ENCODING_INTSET) {
        for (size_t i = 0; i < intset_count(bytes); i++) buf_printf(out, " %" PRId64, intset_at(bytes, i));
        return;
    }
    for (size_t at = pack_first(bytes); at != 0; at = pack_next(bytes, at)) {
        struct slice text = pack_get_text(bytes, at, scratch);
        buf_add_str(out, text.len ? " " : " []");
        buf_add_slice(out, text);
    }
}

/* Of a body, to which the footer is added; "refused" when it is no value. */
static void read_body(struct buf *out, struct slice body, const struct ks_limits *limits) {
    struct buf payload = {0};
    struct rdb_value v;
    buf_add_slice(&payload, body);
    rdb_seal(&payload, 0);
    char *exact = mem_alloc(payload.len);
    memcpy(exact, payload.data, payload.len);
    buf_clear(out);
    if (rdb_read(slice_make(exact, payload.len), limits, &v) == RC_OK) {
        describe(out, &v);
        rdb_value_free(&v);
    } else {
        buf_add_str(out, "refused");
    }
    mem_free(exact);
    buf_free(&payload);
}

static void check_body(struct slice body, const struct ks_limits *limits, const char *want) {
    struct buf got = {0};
    read_body(&got, body, limits);
    EXPECT_EQ_SLICE(buf_slice(&got), slice_of(want));
    buf_free(&got);
}

/* Those of 7.0 come from Redis 7.0.15; those of its forebears were given to it, and it read the same. */
static const struct known {
    struct slice body;
    const char *value;
} known[] = {
    /* 18, quicklist_2 */
    {SLICE("\x12\x01\x02\x12\x12\x00\x00\x00\x04\x00\x81"
           "a\x02\x01\x01\x80\x01\xf1x\xec\x03\xff"),
     "list quicklist: a 1 [] -5000"},
    /* 18, quicklist_2, packed by LZF */
    {SLICE("\x12\x01\x02\xc3\x12"
           "4\x0a"
           "4\x00\x00\x00\x09\x00\x83"
           "abc\x04\xe0\x1e\x04\x01\x04\xff"),
     "list quicklist: abc abc abc abc abc abc abc abc abc"},
    /* 18, an element alone */
    {SLICE("\x12\x02\x01\x05"
           "alone\x02\x0a\x0a\x00\x00\x00\x01\x00\x81"
           "a\x02\xff"),
     "list quicklist: alone a"},
    /* 14, quicklist of ziplists */
    {SLICE("\x0e\x02\x13\x13\x00\x00\x00\x0f\x00\x00\x00\x03\x00\x00\x01"
           "a\x03\xf8\x02\xfe"
           "d\xff$$"
           "\x00\x00\x00\x19\x00\x00\x00\x04\x00\x00\xc0\x18\xfc\x04\xf0p\x11\x01\x05\xd0\x81ig\xff\x06\xe0"
           "\xff\xe7vH\x17\x00\x00\x00\xff"),
     "list quicklist: a 7 100 -1000 70000 -9999999 99999999999"},
    /* 10, ziplist */
    {SLICE("\x0a\x15\x15\x00\x00\x00\x11\x00\x00\x00\x04\x00\x00\x01x\x03\xf1\x02\xfd\x02\xfe\x0d\xff"),
     "list quicklist: x 0 12 13"},
    /* 1, texts */
    {SLICE("\x01\x03\x01"
           "a\xc0\x05\x00"),
     "list quicklist: a 5 []"},
    /* 11, intset */
    {SLICE("\x0b\x14\x04\x00\x00\x00\x03\x00\x00\x00\x90\xee\xfe\xff\x03\x00\x00\x00\x05\x00\x00\x00"),
     "set intset: -70000 3 5"},
    /* 2, texts */
    {SLICE("\x02\x01\x01"
           "a"),
     "set hashtable: a"},
    /* 2, integers alone */
    {SLICE("\x02\x02\xc0\x08\xc0\x07"), "set intset: 7 8"},
    /* 16, listpack */
    {SLICE("\x10\x12\x12\x00\x00\x00\x04\x00\x81"
           "f\x02\x81v\x02\x81g\x02\x11\x01\xff"),
     "hash listpack: f v g 17"},
    /* 4, texts */
    {SLICE("\x04\x02\x01g\xc0\x11\x01"
           "f\x01v"),
     "hash listpack: g 17 f v"},
    /* 13, ziplist */
    {SLICE("\x0d\x11\x11\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01"
           "f\x03\x01v\xff"),
     "hash listpack: f v"},
    /* 9, zipmap */
    {SLICE("\x09\x0d\x02\x01"
           "f\x02\x01vwx\x01g\x00\x00\xff"),
     "hash listpack: f vw g []"},
    /* 17, listpack */
    {SLICE("\x11\x1d\x1d\x00\x00\x00\x06\x00\x81"
           "b\x02\xdf\xfe\x02\x81"
           "a\x02\x83"
           "1.5\x04\x81"
           "c\x02\x83inf\x04\xff"),
     "zset listpack: b -2 a 1.5 c inf"},
    /* 5, the highest first */
    {SLICE("\x05\x03\x01"
           "c\x00\x00\x00\x00\x00\x00\xf0\x7f\x01"
           "a\x00\x00\x00\x00\x00\x00\xf8\x3f\x01"
           "b\x00\x00\x00\x00\x00\x00\x00\xc0"),
     "zset listpack: b -2 a 1.5 c inf"},
    /* 12, ziplist */
    {SLICE("\x0c\x19\x19\x00\x00\x00\x13\x00\x00\x00\x04\x00\x00\x01"
           "b\x03\xfe\xfe\x03\x01"
           "a\x03\x03"
           "1.5\xff"),
     "zset listpack: b -2 a 1.5"},
    /* 3, scores as texts */
    {SLICE("\x03\x03\x01"
           "c\xfe\x01"
           "a\x03"
           "1.5\x01"
           "b\xff"),
     "zset listpack: b -inf a 1.5 c inf"},
};

TEST(every_form_is_read) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        check_body(known[i].body, &usual, known[i].value);
}

/* A value ends where it ends; and one byte less is no value, or reaches into the footer, which does no harm. */
TEST(every_shorter_form_is_survived) {
    struct buf out = {0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        for (size_t len = 0; len < known[i].body.len; len++) {
            read_body(&out, slice_make(known[i].body.data, len), &usual);
            bool same = slice_eq(buf_slice(&out), slice_of(known[i].value));
            EXPECT_NOTE(!same, "form %zu cut to %zu", i, len);
        }
    }
    buf_free(&out);
}

TEST(encodings_follow_the_limits) {
    struct ks_limits tight = usual;
    struct slice hash = SLICE("\x04\x02\x01g\xc0\x11\x03"
                              "fff\x01v");
    struct slice hash_pack = SLICE("\x10\x12\x12\x00\x00\x00\x04\x00\x81"
                                   "f\x02\x81v\x02\x81g\x02\x11\x01\xff");
    tight.hash_max_listpack_entries = 1;
    check_body(hash, &tight, "hash hashtable: g 17 fff v");
    check_body(hash_pack, &tight, "hash hashtable: f v g 17");
    tight = usual;
    tight.hash_max_listpack_value = 2;
    check_body(hash, &tight, "hash hashtable: g 17 fff v");
    tight.hash_max_listpack_value = 0;
    check_body(hash_pack, &tight, "hash listpack: f v g 17"); /* of a pack, Redis looks at the number only */
    tight = usual;
    tight.set_max_intset_entries = 1;
    check_body(SLICE("\x02\x02\xc0\x08\xc0\x07"), &tight, "set hashtable: 8 7");
    check_body(SLICE("\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x07\x00\x08\x00"), &tight,
               "set hashtable: 7 8");
    tight = usual;
    tight.zset_max_listpack_entries = 0;
    struct slice zset = SLICE("\x03\x01\x01"
                              "a\x03"
                              "1.5");
    check_body(zset, &usual, "zset listpack: a 1.5");
    check_body(zset, &tight, "zset skiplist: a 1.5");
}

TEST(what_is_no_collection_is_refused) {
    static const struct slice bad[] = {
        SLICE("\x01\x00"), /* nothing in it */
        SLICE("\x02\x00"),
        SLICE("\x03\x00"),
        SLICE("\x04\x00"),
        SLICE("\x05\x00"),
        SLICE("\x12\x00"),
        SLICE("\x12\x01\x02\x07\x07\x00\x00\x00\x00\x00\xff"),
        SLICE("\x0b\x08\x02\x00\x00\x00\x00\x00\x00\x00"),
        SLICE("\x10\x07\x07\x00\x00\x00\x00\x00\xff"),
        SLICE("\x09\x02\x00\xff"),
        SLICE("\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01"
              "a"), /* more than there is */
        SLICE("\x05\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01"
              "a"),
        SLICE("\x12\x01\x03\x01"
              "a"),                /* a node of no kind */
        SLICE("\x12\x01\x01\x00"), /* an empty element alone */
        SLICE("\x02\x02\x01"
              "a\x01"
              "a"), /* twice the same */
        SLICE("\x04\x02\x01"
              "a\x01"
              "b\x01"
              "a\x01"
              "c"),
        SLICE("\x10\x0f\x0f\x00\x00\x00\x04\x00\x01\x01\x02\x01\x01\x01\x03\x01\xff"),
        SLICE("\x10\x0b\x0b\x00\x00\x00\x02\x00\x01\x01\x02\x02\xff"), /* a broken pack */
        SLICE("\x10\x09\x09\x00\x00\x00\x01\x00\x01\x01\xff"),         /* a field without a value */
        SLICE("\x11\x0f\x0f\x00\x00\x00\x04\x00\x01\x01\x02\x01\x02\x01\x01\x01\xff"), /* scores descend */
        SLICE("\x11\x0c\x0c\x00\x00\x00\x02\x00\x01\x01\x81x\x02\xff"),                /* no score */
        SLICE("\x05\x01\x01"
              "a\x00\x00\x00\x00\x00\x00\xf8\x7f"), /* NaN */
        SLICE("\x03\x01\x01"
              "a\xfd"),
        SLICE("\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x08\x00\x07\x00"), /* integers descend */
        SLICE("\x06"),
        SLICE("\x07"),
        SLICE("\x08"),
        SLICE("\x14"),
        SLICE("\xff"), /* no such type */
        SLICE("\x0f\x00"),
        SLICE("\x13\x00"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf got = {0};
        read_body(&got, bad[i], &usual);
        EXPECT_NOTE(slice_eq(buf_slice(&got), SLICE("refused")), "case %zu", i);
        buf_free(&got);
    }
}

TEST(changed_payloads_are_survived) {
    struct rng r = {test_seed()};
    struct buf body = {0}, out = {0};
    for (int round = 0; round < 30000; round++) {
        const struct known *k = &known[rng_below(&r, sizeof known / sizeof *known)];
        buf_clear(&body);
        buf_add_slice(&body, k->body);
        for (uint64_t n = 1 + rng_below(&r, 3); n > 0; n--)
            body.data[rng_below(&r, body.len)] = (char)rng_next(&r);
        read_body(&out, buf_slice(&body), &usual);
    }
    buf_free(&body);
    buf_free(&out);
}

TEST_MAIN
