/* Rows of big hashes and sorted sets that are not what was stored: refused with a fault, or as good as others, never a crash. */
#include "type_hash.h"
#include "type_zset.h"

#include "unit/storage/item_model.h"

#include "kv.h"

static const struct slice key = SLICE("a big one");
enum { ITEMS = 1500, ROWS_MAX = 400 };

/* What the rows are of. */
struct subject {
    void (*put)(struct object **o, struct slice item, uint32_t id);
    void (*check)(struct object *o);
};
static const struct subject *subject;

static void put_in_hash(struct object **o, struct slice item, uint32_t id) {
    (void)id;
    struct slice pair[2] = {item, item};
    hash_set(ks, 0, o, key, pair, 1);
}

static void check_hash(struct object *o) {
    struct hash_cursor c = {.object = o};
    struct pack_value field, value;
    size_t count = 0;
    while (hash_next(&c, &field, &value)) count++;
    EXPECT_EQ_INT(count, hash_len(o));
}

static void put_in_zset(struct object **o, struct slice item, uint32_t id) {
    if (*o == NULL) *o = zset_create(ks, 0, key, item.len);
    zset_insert(ks, 0, *o, item, id % 3 == 0 ? id % 100 : (double)id / 7);
}

/* Everything is found that is there, and can be taken away again. */
static void check_zset(struct object *o) {
    char scratch[NUM_I64_MAX_LEN];
    begin_entry();
    for (uint64_t left = zset_count(o); left > 0; left--) {
        struct zset_pos first = zset_at(o, 0), p = zset_find(o, zset_member(first, scratch));
        EXPECT(!zset_pos_is_end(p));
        zset_remove(ks, 0, o, p);
    }
    EXPECT_EQ_INT(zset_count(o), 0);
    ks_delete(ks, 0, o);
    end_entry();
}

static const struct subject hash_rows = {put_in_hash, check_hash}, zset_rows = {put_in_zset, check_zset};

static void fill(void) {
    struct object *o = NULL;
    begin_entry();
    for (uint32_t id = 0; id < ITEMS; id++) {
        char text[ITEM_LEN_MAX];
        subject->put(&o, item_text(id, true, text), id);
    }
    end_entry();
    struct kv_error error = {""};
    EXPECT_NOTE(ks_store_all(ks, &error) == RC_OK, "%s", error.text);
}

/* --- the rows themselves, while no keyspace has them open --- */

static struct row { struct buf key, value; } rows[ROWS_MAX];
static size_t row_count;

static struct kv *open_rows(void) {
    struct kv_options options = {.block_cache_bytes = 1 << 20, .background_threads = 1};
    struct scratch state = scratch_in(&folder, "state");
    struct kv *kv = NULL;
    struct kv_error error = {""};
    EXPECT_NOTE(kv_open(state.path, &options, &kv, &error) == RC_OK, "%s", error.text);
    return kv;
}

/* The leaves' rows, in order. */
static void read_rows(void) {
    struct kv *kv = open_rows();
    struct kv_iter *it = kv_iter_new(kv, SLICE("F"), false);
    row_count = 0;
    for (kv_iter_seek(it, SLICE("E")); kv_iter_valid(it); kv_iter_next(it)) {
        EXPECT(row_count < ROWS_MAX);
        struct row *r = &rows[row_count++];
        buf_clear(&r->key);
        buf_clear(&r->value);
        buf_add_slice(&r->key, kv_iter_key(it));
        buf_add_slice(&r->value, kv_iter_value(it));
    }
    kv_iter_free(it);
    kv_close(kv);
}

static void write_row(struct slice row_key, struct slice value) {
    struct kv *kv = open_rows();
    struct scratch file = scratch_in(&folder, "change.sst");
    struct kv_error error = {""};
    struct kv_sst *sst = kv_sst_begin(kv, file.path, &error);
    EXPECT_NOTE(sst != NULL, "%s", error.text);
    EXPECT(kv_sst_put(sst, row_key, value, &error) == RC_OK);
    EXPECT(kv_sst_finish(sst, NULL, &error) == RC_OK);
    EXPECT_NOTE(kv_ingest(kv, file.path, &error) == RC_OK, "%s", error.text);
    kv_close(kv);
}

/* Opens, loads it and looks at all of it; whether it could be loaded. */
static bool can_be_read(void) {
    open_again();
    struct object *o = ks_read(ks, 0, key, 0);
    bool is_whole = o != NULL;
    EXPECT(is_whole == (ks_fault(ks) == NULL));
    if (is_whole) subject->check(o);
    ks_clear_fault(ks);
    ks_close(ks);
    ks = NULL;
    return is_whole;
}

static void open_filled(const struct subject *of) {
    subject = of;
    open_keyspace();
    fill();
    ks_close(ks);
    ks = NULL;
    read_rows();
    EXPECT(row_count > 20);
}

static void done(void) {
    open_again();
    close_keyspace();
    for (size_t i = 0; i < ROWS_MAX; i++) {
        buf_free(&rows[i].key);
        buf_free(&rows[i].value);
    }
}

static void check_other_leaf(const struct subject *of) {
    open_filled(of);
    EXPECT(can_be_read());
    write_row(buf_slice(&rows[3].key), buf_slice(&rows[7].value));
    EXPECT(!can_be_read());
    write_row(buf_slice(&rows[3].key), buf_slice(&rows[3].value));
    EXPECT(can_be_read());
    done();
}

static void check_cut_off(const struct subject *of) {
    open_filled(of);
    const struct row *r = &rows[5];
    for (size_t len = 0; len < r->value.len; len += 1 + len / 3) {
        write_row(buf_slice(&r->key), slice_make(r->value.data, len));
        EXPECT_NOTE(!can_be_read(), "%zu bytes", len);
    }
    done();
}

static void check_changed_byte(const struct subject *of) {
    open_filled(of);
    struct rng rng = {.state = test_seed()};
    int refused = 0;
    for (int i = 0; i < 40; i++) {
        const struct row *r = &rows[rng_below(&rng, row_count)];
        struct buf changed = {0};
        buf_add_slice(&changed, buf_slice(&r->value));
        changed.data[rng_below(&rng, changed.len)] ^= (char)(1 << rng_below(&rng, 8));
        write_row(buf_slice(&r->key), buf_slice(&changed));
        refused += !can_be_read();
        write_row(buf_slice(&r->key), buf_slice(&r->value));
        buf_free(&changed);
    }
    EXPECT(refused > 5); /* half of the bytes are values', which may be anything */
    EXPECT(can_be_read());
    done();
}

TEST(items_in_another_leaf_are_not_believed) {
    check_other_leaf(&hash_rows);
    check_other_leaf(&zset_rows);
}

TEST(a_row_that_is_cut_off_is_not_believed) {
    check_cut_off(&hash_rows);
    check_cut_off(&zset_rows);
}

TEST(a_byte_that_changed_crashes_nothing) {
    check_changed_byte(&hash_rows);
    check_changed_byte(&zset_rows);
}

TEST_MAIN
