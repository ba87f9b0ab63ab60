/* The state as an RDB file: whose state it is whatever is written meanwhile, that its values are those of DUMP, and that a thread
 * that nobody listens to ends. Whether Redis reads it is tests/server's subject. */
#include "rdb_export.h"

#include "one_keyspace.h"

#include "hash.h"
#include "rdb_codec.h"
#include "rdb_object.h"
#include "system.h"
#include "type_hash.h"
#include "type_list.h"
#include "type_zset.h"

#include <time.h>

static struct slice same(struct slice value) {
    return value;
}

static struct rdb_export_options wishes(void) {
    return (struct rdb_export_options){.data = true,
                                       .functions = true,
                                       .version = "7.0.15",
                                       .now_s = 1700000000,
                                       .used_memory_bytes = 4711,
                                       .library_code = same,
                                       .wake = wake};
}

static struct rdb_export *start(const struct rdb_export_options *options) {
    struct rdb_export *e = NULL;
    struct kv_error error = {""};
    EXPECT_NOTE(rdb_export_start(ks, options, &e, &error) == RC_OK, "%s", error.text);
    return e;
}

static void rest(void) {
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void take_all(struct rdb_export *e, struct buf *out) {
    struct kv_error error = {""};
    enum rc rc;
    while ((rc = rdb_export_take(e, out, &error)) != RC_NOT_FOUND) {
        EXPECT_NOTE(rc == RC_OK || rc == RC_BUSY, "%s", error.text);
        if (rc == RC_BUSY) rest();
    }
    rdb_export_free(e);
}

static void store(void) {
    struct kv_error error;
    EXPECT(ks_store_all(ks, &error) == RC_OK);
}

/* Keys of every type, small and big, one of them behind a deadline. */
static void fill(int items) {
    char text[64];
    open_fresh();
    ks_begin_entry(ks);
    string_set(ks, 0, SLICE("number"), SLICE("1234567"), false);
    struct object *o = string_set(ks, 0, SLICE("text"), SLICE("some text, some text, some text"), false);
    ks_set_deadline(ks, 0, o, 4000000000000);
    string_set(ks, 7, SLICE("elsewhere"), SLICE("x"), false);
    system_set(ks, SLICE("library:l"), SLICE("the code"));
    system_set(ks, SLICE("user:u"), SLICE("on"));
    struct object *list = NULL, *hash = NULL, *zset = NULL;
    for (int i = 0; i < items; i++) {
        int len = snprintf(text, sizeof text, "item %d %d", i, i * 7919);
        struct slice item = slice_make(text, (size_t)len), pair[] = {item, item};
        list = list_push(ks, 0, SLICE("list"), list, LIST_TAIL, &item, 1);
        hash_set(ks, 0, &hash, SLICE("hash"), pair, 1);
        if (zset == NULL) zset = zset_create(ks, 0, SLICE("zset"), item.len);
        zset_insert(ks, 0, zset, item, i * 0.5);
    }
    end_entry();
    store();
}

/* A value as DUMP has it, without its type and footer: what stands behind the key in a file. */
static void expect_value(struct slice *file, int db, const char *key) {
    struct buf payload = {0};
    struct slice value;
    struct object *o = ks_peek(ks, db, slice_of(key), 0);
    EXPECT_NOTE(o != NULL, "%s", key);
    rdb_dump(&payload, ks, o);
    size_t len = payload.len - 1 - RDB_FOOTER_SIZE;
    EXPECT(slice_take(file, len, &value));
    EXPECT_NOTE(memcmp(value.data, payload.data + 1, len) == 0, "%s", key);
    buf_free(&payload);
}

static struct slice take_text(struct slice *file, struct buf *text_store) {
    struct slice text = {0};
    struct rdb_texts texts = {.from = file, .len_max = 1 << 20, .store = *text_store};
    EXPECT(rdb_take_text(&texts, &text));
    *text_store = texts.store;
    return text;
}

/* Reads the file through, comparing each value with that of the keyspace; appends what it met. */
static void read_file(struct slice file, struct buf *met) {
    struct buf text = {0};
    struct slice word;
    uint64_t db = 99, keys, expires, crc, deadline;
    EXPECT(slice_take(&file, 9, &word));
    EXPECT_EQ_SLICE(word, SLICE("REDIS0010"));
    struct slice whole = slice_make(word.data, file.len + 9);
    for (uint8_t op; slice_take_u8(&file, &op);) {
        switch (op) {
        case 250:
            buf_printf(met, "%.*s", (int)take_text(&file, &text).len, buf_slice(&text).data);
            take_text(&file, &text);
            break;
        case 245:
            word = take_text(&file, &text);
            buf_printf(met, "function %.*s\n", (int)word.len, word.data);
            break;
        case 254: EXPECT(rdb_take_len(&file, &db)); break;
        case 251:
            EXPECT(rdb_take_len(&file, &keys) && rdb_take_len(&file, &expires));
            buf_printf(met, "db %d: %d keys, %d deadlines\n", (int)db, (int)keys, (int)expires);
            break;
        case 252:
            EXPECT(slice_take_u64le(&file, &deadline));
            buf_printf(met, "until %llu ", (unsigned long long)deadline);
            break;
        case 255:
            EXPECT(slice_take_u64le(&file, &crc));
            EXPECT(file.len == 0);
            EXPECT(crc == crc64(0, slice_make(whole.data, whole.len - 8)));
            buf_free(&text);
            return;
        default: {
            char key[32];
            word = take_text(&file, &text);
            snprintf(key, sizeof key, "%.*s", (int)word.len, word.data);
            buf_printf(met, "%s\n", key);
            expect_value(&file, (int)db, key);
        }
        }
    }
    EXPECT(false); /* without an end */
}

static bool has_line(const struct buf *met, const char *line) {
    struct buf text = {0};
    buf_add_slice(&text, buf_slice(met));
    buf_add_byte(&text, 0);
    bool found = strstr(text.data, line) != NULL;
    buf_free(&text);
    return found;
}

static void check_file(int items) {
    struct rdb_export_options options = wishes();
    struct buf file = {0}, met = {0};
    fill(items);
    take_all(start(&options), &file);
    read_file(buf_slice(&file), &met);
    EXPECT(has_line(&met, "function the code\n"));
    EXPECT(has_line(&met, "db 0: 5 keys, 1 deadlines\n"));
    EXPECT(has_line(&met, "db 7: 1 keys, 0 deadlines\nelsewhere\n"));
    EXPECT(has_line(&met, "until 4000000000000 text\n"));
    EXPECT(has_line(&met, "number\n") && has_line(&met, "list\n") && has_line(&met, "hash\n") &&
           has_line(&met, "zset\n"));
    EXPECT(!has_line(&met, "user"));
    buf_free(&file);
    buf_free(&met);
    close_keyspace();
}

TEST(small_values_are_as_dump_writes_them) {
    check_file(20);
}

/* Of many leaves, and together more than a few pieces. */
TEST(big_values_are_as_dump_writes_them) {
    check_file(30000);
}

TEST(a_length_that_is_told_in_front_is_right) {
    struct rdb_export_options options = wishes();
    struct buf file = {0};
    struct kv_error error;
    uint64_t length = 0;
    enum rc rc;
    fill(3000);
    options.is_measured = true;
    struct rdb_export *e = start(&options);
    while ((rc = rdb_export_length(e, &length, &error)) == RC_BUSY) rest();
    EXPECT(rc == RC_OK);
    take_all(e, &file);
    EXPECT_EQ_INT(file.len, length);
    buf_free(&file);
    close_keyspace();
}

TEST(what_is_wanted_of_it) {
    struct rdb_export_options options = wishes();
    struct buf file = {0}, met = {0};
    fill(20);
    options.data = false;
    take_all(start(&options), &file);
    read_file(buf_slice(&file), &met);
    EXPECT(has_line(&met, "function the code\n") && !has_line(&met, "db "));
    options = wishes();
    options.functions = false;
    buf_clear(&file);
    buf_clear(&met);
    take_all(start(&options), &file);
    read_file(buf_slice(&file), &met);
    EXPECT(!has_line(&met, "function") && has_line(&met, "db 7"));
    buf_free(&file);
    buf_free(&met);
    close_keyspace();
}

/* Everything is changed, deleted and stored again while the thread waits for somebody to take what it has. */
TEST(it_shows_the_state_of_one_entry) {
    struct rdb_export_options options = wishes();
    struct buf before = {0}, file = {0};
    fill(60000);
    take_all(start(&options), &before);
    EXPECT(before.len > RDB_EXPORT_AHEAD_BYTES + 2 * RDB_PIECE_BYTES);
    struct rdb_export *e = start(&options);
    EXPECT_EQ_INT(rdb_export_index(e), 1);
    ks_begin_entry(ks);
    ks_delete(ks, 0, ks_write(ks, 0, SLICE("list"), 0));
    struct object *hash = ks_write(ks, 0, SLICE("hash"), 0);
    for (int i = 0; i < 60000; i += 3) {
        char text[64];
        int len = snprintf(text, sizeof text, "item %d %d", i, i * 7919);
        struct slice pair[] = {slice_make(text, (size_t)len), SLICE("new")};
        hash_set(ks, 0, &hash, SLICE("hash"), pair, 1);
    }
    ks_flush(ks, 7);
    string_set(ks, 0, SLICE("late"), SLICE("x"), false);
    end_entry();
    store();
    take_all(e, &file);
    EXPECT_EQ_INT(file.len, before.len);
    EXPECT(memcmp(file.data, before.data, file.len) == 0);
    buf_free(&file);
    buf_free(&before);
    close_keyspace();
}

TEST(nobody_takes_it) {
    struct rdb_export_options options = wishes();
    fill(60000);
    rdb_export_free(start(&options)); /* in the middle, or before it has begun */
    struct rdb_export *e = start(&options);
    struct buf piece = {0};
    struct kv_error error;
    while (rdb_export_take(e, &piece, &error) == RC_BUSY) rest();
    EXPECT(!rdb_export_is_over(e));
    rdb_export_give_up(e);
    while (!rdb_export_is_over(e)) rest();
    rdb_export_free(e);
    buf_free(&piece);
    close_keyspace();
}

TEST(nothing_was_ever_stored) {
    struct rdb_export_options options = wishes();
    struct rdb_export *e = NULL;
    struct kv_error error = {""};
    open_fresh();
    EXPECT(rdb_export_start(ks, &options, &e, &error) == RC_NOT_FOUND);
    close_keyspace();
}

TEST_MAIN
