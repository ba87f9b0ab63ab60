/* Large values: copied before they are set, and written back in pieces; nobody can tell. */
#include "keyspace_internal.h"

#include "test.h"

#include "mem.h"
#include "num.h"
#include "scratch.h"
#include "writeback.h"

enum { LARGE = 9 << 20, PIECE = 1 << 20 }; /* a turn packs 8 MB */

static struct keyspace *open_at(const char *path) {
    struct keyspace_options options = {.block_cache_bytes = 1 << 20, .background_threads = 1};
    struct kv_error error = {.text = ""};
    struct keyspace *ks = NULL;
    EXPECT_NOTE(ks_open(path, &options, &ks, &error) == RC_OK, "%s", error.text);
    return ks;
}

static char *make_value(size_t len, char letter) {
    char *value = mem_alloc(len);
    memset(value, letter, len);
    for (size_t i = 0; i < len; i += 4096) memcpy(value + i, &i, i + sizeof i <= len ? sizeof i : 0);
    return value;
}

static struct slice value_at(struct keyspace *ks, const char *key) {
    char scratch[NUM_I64_MAX_LEN];
    const struct object *o = ks_read(ks, 0, slice_of(key), 0);
    return o != NULL ? string_get(o, scratch) : SLICE("");
}

static void begin(struct keyspace *ks) {
    ks_begin_entry(ks);
}

static void end(struct keyspace *ks, uint64_t index) {
    ks_set_applied(ks, (struct ks_applied){.index = index, .term = 1, .clock_ms = 1});
}

/* The copy made beforehand becomes the value; half a copy is completed; another value's copy is no copy of this one. */
TEST(a_value_is_prepared_in_pieces) {
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = open_at(path);
    char *one = make_value(LARGE, 'a'), *two = make_value(LARGE, 'b');
    struct slice first = slice_make(one, LARGE), second = slice_make(two, LARGE), key = SLICE("key");
    for (size_t done = PIECE; done < LARGE; done += PIECE)
        EXPECT(!ks_prepare_string(ks, 0, key, first, PIECE));
    EXPECT(ks_prepare_string(ks, 0, key, first, PIECE));
    const char *copy = ks->prepared.bytes;
    begin(ks);
    string_set(ks, 0, key, first, false);
    end(ks, 1);
    EXPECT(value_at(ks, "key").data == copy);
    EXPECT(ks->prepared.bytes == NULL);
    EXPECT_EQ_SLICE(value_at(ks, "key"), first);

    /* There is room for it where the old one is. */
    EXPECT(ks_prepare_string(ks, 0, key, second, PIECE));
    EXPECT(ks->prepared.bytes == NULL);

    EXPECT(!ks_prepare_string(ks, 0, SLICE("other"), second, PIECE));
    begin(ks);
    string_set(ks, 0, SLICE("third"), first, false);
    EXPECT_EQ_SLICE(value_at(ks, "third"), first);
    string_set(ks, 0, SLICE("other"), second, false);
    EXPECT_EQ_SLICE(value_at(ks, "other"), second);
    end(ks, 2);
    EXPECT(ks->prepared.bytes == NULL);

    struct ks_stats before, after;
    ks_stats(ks, &before);
    EXPECT(!ks_prepare_string(ks, 0, SLICE("fourth"), second, PIECE));
    ks_stats(ks, &after);
    EXPECT(after.memory_bytes >= before.memory_bytes + LARGE); /* it counts, or maxmemory would not be kept */
    ks_forget_prepared(ks);
    ks_stats(ks, &after);
    EXPECT_EQ_U64(after.memory_bytes, before.memory_bytes);
    ks_close(ks);
    mem_free(one);
    mem_free(two);
}

/* Changed by `change` after `turns` turns of the write-back: what is stored is what it was when the write-back began. */
static void check_writeback(int turns, void (*change)(struct keyspace *ks)) {
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = open_at(path);
    char *one = make_value(LARGE, 'a'), *two = make_value(LARGE, 'b');
    begin(ks);
    string_set(ks, 0, SLICE("one"), slice_make(one, LARGE), false);
    string_set(ks, 0, SLICE("two"), slice_make(two, LARGE), false);
    string_set(ks, 0, SLICE("small"), SLICE("small"), false);
    end(ks, 1);
    EXPECT(ks_writeback_begin(ks));
    for (int i = 0; i < turns; i++) ks_turn(ks, SIZE_MAX);
    begin(ks);
    change(ks);
    end(ks, 2);
    while (ks_writeback_running(ks)) ks_turn(ks, 100);
    EXPECT_EQ_INT(ks_stored(ks).index, 1);
    ks_close(ks);
    ks = open_at(path);
    EXPECT_EQ_SLICE(value_at(ks, "one"), slice_make(one, LARGE));
    EXPECT_EQ_SLICE(value_at(ks, "two"), slice_make(two, LARGE));
    EXPECT_EQ_SLICE(value_at(ks, "small"), SLICE("small"));
    ks_close(ks);
    mem_free(one);
    mem_free(two);
}

static void change_nothing(struct keyspace *ks) {
    (void)ks;
}
static void write_into_both(struct keyspace *ks) {
    struct object *one = ks_write(ks, 0, SLICE("one"), 0), *two = ks_write(ks, 0, SLICE("two"), 0);
    string_write_at(ks, 0, two, LARGE - 1, SLICE("new"));
    string_write_at(ks, 0, one, LARGE - 1, SLICE("new"));
}
static void replace_both(struct keyspace *ks) {
    string_set(ks, 0, SLICE("one"), SLICE("short"), false);
    string_set(ks, 0, SLICE("two"), SLICE("7"), false);
}
static void delete_both(struct keyspace *ks) {
    ks_delete(ks, 0, ks_write(ks, 0, SLICE("two"), 0));
    ks_delete(ks, 0, ks_write(ks, 0, SLICE("one"), 0));
}
static void flush(struct keyspace *ks) {
    ks_flush(ks, 0);
}

TEST(a_row_in_pieces_is_of_one_moment) {
    for (int turns = 0; turns < 4; turns++) {
        check_writeback(turns, change_nothing);
        check_writeback(turns, write_into_both);
        check_writeback(turns, replace_both);
        check_writeback(turns, delete_both);
        check_writeback(turns, flush);
    }
}

/* No turn takes much more than its share, however large the value is. */
TEST(a_turn_packs_a_piece) {
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = open_at(path);
    char *one = make_value(LARGE, 'a');
    begin(ks);
    string_set(ks, 0, SLICE("one"), slice_make(one, LARGE), false);
    end(ks, 1);
    EXPECT(ks_writeback_begin(ks));
    int turns = 0;
    for (; ks_has_work(ks) && turns < 100; turns++) ks_turn(ks, SIZE_MAX);
    EXPECT(turns >= 2);
    while (ks_writeback_running(ks)) ks_turn(ks, 100);
    ks_close(ks);
    mem_free(one);
}

TEST_MAIN
