/* The server's own values: out of the reach of commands, kept over write-back, eviction and restarts. */
#include "system.h"

#include "unit/storage/one_keyspace.h"

static void set(struct slice name, struct slice value) {
    ks_begin_entry(ks);
    system_set(ks, name, value);
    end_entry();
}

static bool is(struct slice name, struct slice expected) {
    struct slice value;
    return system_get(ks, name, &value) && slice_eq(value, expected);
}

static void collect(void *arg, struct slice name, struct slice value) {
    buf_printf(arg, "%.*s=%.*s;", (int)name.len, name.data, (int)value.len, value.data);
}

static void store(void) {
    struct kv_error error;
    EXPECT_NOTE(ks_store_all(ks, &error) == RC_OK, "%s", error.text);
}

TEST(system_keeps_values_over_a_restart) {
    open_fresh();
    set(SLICE("script:a"), SLICE("return 1"));
    set(SLICE("script:b"), SLICE("12")); /* an integer for a key; bytes here */
    set(SLICE("user:u"), SLICE(""));
    EXPECT(is(SLICE("script:a"), SLICE("return 1")));
    set(SLICE("script:a"), SLICE("return 2"));
    store();
    ks_close(ks);
    open_again();
    EXPECT(is(SLICE("script:a"), SLICE("return 2")));
    EXPECT(is(SLICE("script:b"), SLICE("12")));
    EXPECT(is(SLICE("user:u"), SLICE("")));
    EXPECT(!system_has(ks, SLICE("script:c")));
    close_keyspace();
}

TEST(system_lists_by_prefix_from_memory_and_disk_alike) {
    struct buf loaded = {0}, stored = {0}, users = {0};
    open_fresh();
    set(SLICE("script:a"), SLICE("1"));
    set(SLICE("script:b"), SLICE("2"));
    set(SLICE("user:u"), SLICE("3"));
    system_each(ks, SLICE("script:"), collect, &loaded);
    store();
    ks_forget(ks);
    system_each(ks, SLICE("script:"), collect, &stored);
    EXPECT(slice_eq(buf_slice(&loaded), buf_slice(&stored)));
    EXPECT_EQ_INT(loaded.len, strlen("script:a=1;script:b=2;"));
    system_each(ks, SLICE("user:"), collect, &users);
    EXPECT(slice_eq(buf_slice(&users), SLICE("user:u=3;")));
    buf_free(&loaded);
    buf_free(&stored);
    buf_free(&users);
    close_keyspace();
}

TEST(system_is_not_in_any_database_of_clients) {
    uint8_t before[20], after[20];
    open_fresh();
    ks_digest(ks, before);
    set(SLICE("script:a"), SLICE("1"));
    ks_digest(ks, after);
    EXPECT(memcmp(before, after, sizeof before) != 0);
    ks_begin_entry(ks);
    for (int db = 0; db < KS_DB_COUNT; db++) {
        EXPECT_EQ_INT(ks_count(ks, db), 0);
        ks_flush(ks, db);
    }
    end_entry();
    EXPECT(is(SLICE("script:a"), SLICE("1")));
    close_keyspace();
}

TEST(system_generation_tells_states_apart) {
    open_fresh();
    uint64_t fresh = system_generation(ks);
    set(SLICE("a:"), SLICE("1"));
    uint64_t with = system_generation(ks);
    EXPECT(with != fresh);
    ks_begin_entry(ks);
    EXPECT(!system_delete(ks, SLICE("b:")));
    EXPECT_EQ_INT(system_generation(ks), with);
    EXPECT(system_delete(ks, SLICE("a:")));
    end_entry();
    uint64_t without = system_generation(ks);
    EXPECT(without != with && without != fresh);
    EXPECT(!system_has(ks, SLICE("a:")));
    ks_close(ks);
    open_again();
    EXPECT(system_generation(ks) != without);
    close_keyspace();
}

TEST_MAIN
