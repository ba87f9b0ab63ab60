/* How strings are kept: the encoding Redis would name, the place of the bytes, and what an overwrite allocates. A long
 * random run is compared with a plain buffer. */
#include "keyspace.h"
#include "num.h"
#include "writeback.h"

#include "test.h"

#include "unit/storage/scratch.h"

static struct scratch folder;
static struct keyspace *ks;

static void wake(void *arg) {
    (void)arg;
}

static void open_keyspace(void) {
    if (ks != NULL) ks_close(ks); /* of a test that failed */
    if (folder.path[0] != '\0') scratch_remove(folder.path);
    folder = scratch_new();
    struct scratch state = scratch_in(&folder, "state");
    struct keyspace_options options = {.block_cache_bytes = 1 << 20, .background_threads = 1, .wake = wake};
    struct kv_error error = {""};
    EXPECT_NOTE(ks_open(state.path, &options, &ks, &error) == RC_OK, "%s", error.text);
}

static void close_keyspace(void) {
    ks_close(ks);
    ks = NULL;
    scratch_remove(folder.path);
    folder.path[0] = '\0';
}

static const struct slice key = SLICE("key");

static struct object *set(struct slice value) {
    return string_set(ks, 0, key, value, false);
}

static void check_value(const struct object *o, struct slice want) {
    char scratch[NUM_I64_MAX_LEN];
    EXPECT_EQ_SLICE(string_get(o, scratch), want);
    EXPECT_EQ_INT(string_len(o), want.len);
}

static char filler[4096];

static struct slice text_of(size_t len) {
    for (size_t i = 0; i < sizeof filler; i++) filler[i] = (char)('a' + i % 26);
    CHECK(len <= sizeof filler);
    return slice_make(filler, len);
}

TEST(encodings_are_those_of_redis) {
    open_keyspace();
    static const struct slice integers[] = {SLICE("0"), SLICE("-1"), SLICE("9223372036854775807"),
                                            SLICE("-9223372036854775808")};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        struct object *o = set(integers[i]);
        EXPECT_EQ_STR(object_encoding_name(o), "int");
        check_value(o, integers[i]);
        int64_t v, want;
        EXPECT(string_int(o, &v) && parse_i64(integers[i], &want));
        EXPECT_EQ_INT(v, want);
    }
    static const struct slice texts[] = {SLICE(""), SLICE("+1"), SLICE("01"), SLICE("9223372036854775808"),
                                         SLICE("1\0")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int64_t v;
        struct object *o = set(texts[i]);
        EXPECT_EQ_STR(object_encoding_name(o), "embstr");
        check_value(o, texts[i]);
        EXPECT(!string_int(o, &v));
    }
    EXPECT_EQ_STR(object_encoding_name(set(text_of(44))), "embstr");
    EXPECT_EQ_STR(object_encoding_name(set(text_of(45))), "raw");
    struct object *o = string_set_text(ks, 0, key, SLICE("12"), false);
    EXPECT_EQ_STR(object_encoding_name(o), "embstr");
    int64_t v;
    EXPECT(string_int(o, &v));
    EXPECT_EQ_INT(v, 12);
    EXPECT_EQ_STR(object_encoding_name(string_set_int(ks, 0, key, 12, false)), "int");
    EXPECT_EQ_STR(object_type_name(o), "string");
    close_keyspace();
}

TEST(appending_and_writing_make_it_raw) {
    open_keyspace();
    struct object *o = set(SLICE("12"));
    string_append(ks, 0, o, SLICE(""));
    EXPECT_EQ_STR(object_encoding_name(o), "raw");
    check_value(o, SLICE("12"));
    string_append(ks, 0, o, SLICE("34"));
    check_value(o, SLICE("1234"));
    string_write_at(ks, 0, o, 1, SLICE("xy"));
    check_value(o, SLICE("1xy4"));
    string_write_at(ks, 0, o, 6, SLICE("z"));
    check_value(o, SLICE("1xy4\0\0z"));
    o = set(SLICE("7"));
    string_write_at(ks, 0, o, 3, SLICE("8"));
    check_value(o, SLICE("7\0\0008"));
    close_keyspace();
}

TEST(opened_for_writing) {
    open_keyspace();
    char *bytes = string_open(ks, 0, key, NULL, 3);
    struct object *o = ks_read(ks, 0, key, 0);
    check_value(o, SLICE("\0\0\0"));
    EXPECT_EQ_STR(object_encoding_name(o), "raw");
    memcpy(bytes, "abc", 3);
    EXPECT(string_open(ks, 0, key, o, 0) == bytes);
    check_value(o, SLICE("abc"));
    ks_set_deadline(ks, 0, o, 1000);
    bytes = string_open(ks, 0, key, o, 3000);
    EXPECT_EQ_INT(string_len(o), 3000);
    EXPECT_EQ_BYTES(bytes, 4, "abc", 4);
    for (size_t i = 3; i < 3000; i++) EXPECT_EQ_INT(bytes[i], 0);
    EXPECT_EQ_INT(object_deadline(o), 1000);
    o = set(SLICE("12"));
    string_open(ks, 0, key, o, 1);
    check_value(o, SLICE("12"));
    EXPECT_EQ_STR(object_encoding_name(o), "raw");
    o = string_set_raw(ks, 0, key, SLICE("7"), false);
    check_value(o, SLICE("7"));
    EXPECT_EQ_STR(object_encoding_name(o), "raw");
    close_keyspace();
}

TEST(deadlines_go_or_stay) {
    open_keyspace();
    struct object *o = set(SLICE("a"));
    ks_set_deadline(ks, 0, o, 1000);
    o = string_set(ks, 0, key, SLICE("b"), true);
    EXPECT_EQ_INT(object_deadline(o), 1000);
    o = string_set_int(ks, 0, key, 5, true);
    EXPECT_EQ_INT(object_deadline(o), 1000);
    string_append(ks, 0, o, SLICE("b"));
    EXPECT_EQ_INT(object_deadline(o), 1000);
    o = set(SLICE("b"));
    EXPECT_EQ_INT(object_deadline(o), -1);
    EXPECT_EQ_U64(ks_count_expires(ks, 0), 0);
    close_keyspace();
}

static uint64_t memory_bytes(void) {
    struct ks_stats stats;
    ks_stats(ks, &stats);
    return stats.memory_bytes;
}

TEST(small_values_live_inside_the_object) {
    open_keyspace();
    struct object *o = set(text_of(100));
    EXPECT(o->as.bytes == o->key + o->key_len);
    o = set(text_of(3000));
    EXPECT(o->as.bytes != o->key + o->key_len);
    check_value(o, text_of(3000));
    o = set(text_of(10)); /* and back: the big allocation is given up */
    EXPECT(o->as.bytes == o->key + o->key_len);
    check_value(o, text_of(10));
    close_keyspace();
}

/* The place of the bytes tells: an allocation would have moved them. */
TEST(an_overwrite_as_long_or_shorter_allocates_nothing) {
    open_keyspace();
    static const size_t lengths[] = {20, 100, 500, 1000, 4000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        ks_flush(ks, 0);
        struct object *o = set(text_of(lengths[i]));
        const char *place = o->as.bytes;
        uint64_t memory = memory_bytes();
        for (size_t len = lengths[i]; len >= lengths[i] / 2; len--) {
            EXPECT(set(text_of(len)) == o);
            EXPECT_NOTE(o->as.bytes == place, "%zu over %zu", len, lengths[i]);
        }
        EXPECT(set(text_of(lengths[i])) == o);
        EXPECT(o->as.bytes == place);
        EXPECT_EQ_U64(memory_bytes(), memory);
    }
    close_keyspace();
}

TEST(memory_is_given_back) {
    open_keyspace();
    struct object *o = set(text_of(4000));
    uint64_t big = memory_bytes();
    EXPECT(object_memory(o) > 4000);
    set(text_of(600)); /* more than half would lie idle */
    EXPECT(memory_bytes() < big - 3000);
    set(text_of(4000));
    set(SLICE("1"));
    EXPECT(memory_bytes() < big - 3500);
    close_keyspace();
}

TEST(appending_grows_geometrically) {
    open_keyspace();
    struct object *o = set(SLICE("x"));
    int moves = 0;
    for (int i = 0; i < 100000; i++) {
        uint32_t cap = o->cap;
        string_append(ks, 0, o, SLICE("0123456789"));
        moves += o->cap != cap;
    }
    EXPECT_EQ_INT(o->len, 1000001);
    EXPECT_NOTE(moves < 20, "%d moves", moves);
    EXPECT(o->cap <= 2 * 1000001 + 1024 * 1024);
    close_keyspace();
}

/* Random operations on one key, each compared with a buffer that has been through the same. */
TEST(a_random_life) {
    open_keyspace();
    struct rng rng = {test_seed()};
    struct buf model = {0};
    struct object *o = set(SLICE(""));
    for (int round = 0; round < 50000; round++) {
        size_t len = rng_below(&rng, rng_below(&rng, 4) == 0 ? 3000 : 60);
        char digits[NUM_I64_MAX_LEN];
        switch (rng_below(&rng, 6)) {
        case 0:
            o = set(text_of(len));
            buf_clear(&model);
            buf_add_slice(&model, text_of(len));
            break;
        case 1: {
            int64_t v = (int64_t)rng_next(&rng) >> rng_below(&rng, 64);
            o = string_set_int(ks, 0, key, v, false);
            buf_clear(&model);
            buf_add(&model, digits, format_i64(digits, v));
            break;
        }
        case 2:
        case 3:
            if (model.len > 20000) break;
            string_append(ks, 0, o, text_of(len));
            buf_add_slice(&model, text_of(len));
            break;
        case 4: {
            size_t offset = rng_below(&rng, model.len + 50);
            string_write_at(ks, 0, o, offset, text_of(len));
            while (model.len < offset + len) buf_add_byte(&model, 0);
            if (len != 0) memcpy(model.data + offset, filler, len);
            break;
        }
        default:
            ks_delete(ks, 0, o);
            o = set(SLICE("born again"));
            buf_clear(&model);
            buf_add_str(&model, "born again");
            break;
        }
        check_value(o, buf_slice(&model));
        EXPECT(o->encoding == ENCODING_INT || o->len <= o->cap);
    }
    buf_free(&model);
    close_keyspace();
}

TEST_MAIN
