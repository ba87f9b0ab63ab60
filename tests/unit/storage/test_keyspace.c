/* The keyspace against a naive model: random changes, each at its own log index, with write-backs, evictions,
 * warm-ups, forced reloads and crashes in between. After a crash the disk must show exactly the state of one earlier
 * index, and replaying from there must lead to the same state as before. A failure prints the command that replays it. */
#include "test.h"

#include "keyspace_internal.h"
#include "mem.h"
#include "scratch.h"
#include "writeback.h"

enum { KEYS = 40, DBS = 3, OPS_MAX = 3000, VALUE_MAX = 700 };

struct op_record {
    uint64_t a, b; /* everything an operation does follows from these and the state */
};

struct model_value {
    bool exists;
    int64_t deadline_ms;
    struct buf bytes;
};

struct model {
    struct model_value keys[DBS][KEYS];
};

static void key_name(int k, char out[32], struct slice *key) {
    /* A third of the keys share one slot, so that its table grows. */
    int n = snprintf(out, 32, k % 3 == 0 ? "{same}%d" : "key:%d", k);
    *key = slice_make(out, (size_t)n);
}

static struct slice value_of(uint64_t seed, char *out) {
    struct rng r = {seed};
    if (rng_below(&r, 4) == 0)
        return slice_make(out, (size_t)sprintf(out, "%lld", (long long)rng_next(&r) >> rng_below(&r, 60)));
    size_t len = (size_t)(rng_below(&r, 5) == 0 ? rng_below(&r, VALUE_MAX) : rng_below(&r, 60));
    for (size_t i = 0; i < len; i++) out[i] = (char)('a' + (seed + i) % 23);
    return slice_make(out, len);
}

/* --- one operation, on the model and on the keyspace --- */

static void model_set(struct model_value *v, struct slice bytes, bool keep) {
    buf_clear(&v->bytes);
    buf_add_slice(&v->bytes, bytes);
    if (!keep || !v->exists) v->deadline_ms = -1;
    v->exists = true;
}

static void model_apply(struct model *m, struct op_record op) {
    char value[VALUE_MAX + 32];
    int db = (int)((op.a >> 8) % DBS), k = (int)((op.a >> 16) % KEYS), k2 = (int)((op.a >> 32) % KEYS);
    struct model_value *v = &m->keys[db][k];
    struct slice bytes = value_of(op.b, value);
    switch (op.a % 20) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: model_set(v, bytes, op.b & 1); break;
    case 6:
    case 7:
    case 8:
        if (v->exists) buf_add_slice(&v->bytes, bytes);
        break;
    case 9:
    case 10:
    case 11:
    case 12:
        v->exists = false;
        v->deadline_ms = -1;
        break;
    case 13:
    case 14:
        if (v->exists) v->deadline_ms = op.b & 4 ? -1 : (int64_t)(op.b % 100000);
        break;
    case 15:
    case 16:
    case 17:
        if (v->exists && k != k2) {
            int64_t deadline_ms = v->deadline_ms;
            model_set(&m->keys[db][k2], buf_slice(&v->bytes), false);
            m->keys[db][k2].deadline_ms = deadline_ms;
        }
        break;
    case 18:
        if (op.b % 8 == 0)
            for (int i = 0; i < KEYS; i++) m->keys[db][i].exists = false;
        break;
    case 19:
        for (int i = 0; i < KEYS && db != 0; i++) {
            struct model_value t = m->keys[0][i];
            m->keys[0][i] = m->keys[db][i];
            m->keys[db][i] = t;
        }
        break;
    }
}

/* Some operations change the cluster's configuration too, or nothing else. */
static bool changes_members(struct op_record op) {
    return (op.a >> 40) % 30 == 0;
}

static void ks_apply(struct keyspace *ks, struct op_record op, uint64_t index) {
    char value[VALUE_MAX + 32], name[32], name2[32];
    int db = (int)((op.a >> 8) % DBS);
    struct slice key, key2, bytes = value_of(op.b, value);
    key_name((int)((op.a >> 16) % KEYS), name, &key);
    key_name((int)((op.a >> 32) % KEYS), name2, &key2);
    struct object *o;
    ks_begin_entry(ks);
    if (changes_members(op)) ks_set_members(ks, index, bytes);
    switch (op.a % 20) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: string_set(ks, db, key, bytes, op.b & 1); break;
    case 6:
    case 7:
    case 8:
        if ((o = ks_write(ks, db, key, -1)) != NULL) string_append(ks, db, o, bytes);
        break;
    case 9:
    case 10:
    case 11:
    case 12:
        if ((o = ks_write(ks, db, key, -1)) != NULL) ks_delete(ks, db, o);
        break;
    case 13:
    case 14:
        if ((o = ks_write(ks, db, key, -1)) != NULL)
            ks_set_deadline(ks, db, o, op.b & 4 ? -1 : (int64_t)(op.b % 100000));
        break;
    case 15:
    case 16:
    case 17:
        if ((o = ks_write(ks, db, key, -1)) != NULL && !slice_eq(key, key2)) ks_copy(ks, o, db, key2);
        break;
    case 18:
        if (op.b % 8 == 0) ks_flush(ks, db);
        break;
    case 19:
        if (db != 0) ks_swap(ks, 0, db);
        break;
    }
    ks_set_applied(ks, (struct ks_applied){.index = index, .term = 1, .clock_ms = (int64_t)index});
}

/* --- comparing --- */

static void model_reset(struct model *m, const struct op_record *ops, uint64_t count) {
    for (int d = 0; d < DBS; d++)
        for (int k = 0; k < KEYS; k++) m->keys[d][k].exists = false;
    for (uint64_t i = 0; i < count; i++) model_apply(m, ops[i]);
}

static void model_free(struct model *m) {
    for (int d = 0; d < DBS; d++)
        for (int k = 0; k < KEYS; k++) buf_free(&m->keys[d][k].bytes);
}

struct seen {
    const struct model *m;
    int db, count;
    uint64_t last_place;
};

static bool see(void *arg, const struct object *o) {
    struct seen *s = arg;
    EXPECT(o->place >= s->last_place);
    s->last_place = o->place;
    s->count++;
    return true;
}

static void compare(struct keyspace *ks, const struct model *m) {
    for (int db = 0; db < DBS; db++) {
        uint64_t keys = 0, expires = 0;
        for (int k = 0; k < KEYS; k++) {
            char name[32], scratch[32];
            struct slice key;
            key_name(k, name, &key);
            const struct model_value *v = &m->keys[db][k];
            struct object *o = ks_peek(ks, db, key, -1);
            EXPECT(ks_fault(ks) == NULL);
            EXPECT((o != NULL) == v->exists);
            keys += v->exists;
            if (o == NULL) continue;
            EXPECT_EQ_SLICE(string_get(o, scratch), buf_slice(&v->bytes));
            EXPECT_EQ_INT(object_deadline(o), v->deadline_ms);
            expires += v->deadline_ms >= 0;
        }
        EXPECT_EQ_INT(ks_count(ks, db), keys);
        EXPECT_EQ_INT(ks_count_expires(ks, db), expires);
        struct seen s = {.m = m, .db = db};
        uint64_t cursor = 0;
        do cursor = ks_scan(ks, db, cursor, 7, -1, see, &s);
        while (cursor != 0);
        EXPECT_EQ_INT(s.count, (int64_t)keys);
    }
}

static void compare_members(struct keyspace *ks, const struct op_record *ops, uint64_t count) {
    char value[VALUE_MAX + 32];
    while (count > 0 && !changes_members(ops[count - 1])) count--;
    uint64_t index;
    struct slice members = ks_members(ks, &index);
    EXPECT_EQ_U64(index, count);
    EXPECT_EQ_SLICE(members, count == 0 ? SLICE("") : value_of(ops[count - 1].b, value));
}

/* Once everything is stored, the disk holds a row for each key, one for each deadline, and the meta row: no remains
 * of deleted keys, earlier deadlines or flushed databases. */
static void compare_rows(struct keyspace *ks) {
    uint64_t rows = 0, expected = 1;
    for (int db = 0; db < KS_DB_COUNT; db++) expected += ks_count(ks, db) + ks_count_expires(ks, db);
    struct kv_iter *it = kv_iter_new(ks->kv, SLICE(""), false);
    for (kv_iter_seek(it, SLICE("")); kv_iter_valid(it); kv_iter_next(it)) rows++;
    kv_iter_free(it);
    EXPECT_EQ_INT(rows, expected);
}

/* --- one run --- */

static struct keyspace *reopen(const char *path) {
    struct keyspace_options options = {.block_cache_bytes = 1 << 20, .background_threads = 1};
    struct kv_error error = {.text = ""};
    struct keyspace *ks = NULL;
    enum rc rc = ks_open(path, &options, &ks, &error);
    if (rc != RC_OK) fprintf(stderr, "    %s: %s\n", rc_name(rc), error.text);
    EXPECT(rc == RC_OK);
    return ks;
}

static void disturb(struct keyspace *ks, struct rng *r) {
    struct kv_error error;
    switch (rng_below(r, 24)) {
    case 0:
    case 1: ks_writeback_begin(ks); break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9: ks_turn(ks, 1 + rng_below(r, 9)); break;
    case 10: usleep((useconds_t)rng_below(r, 2000)); break;
    case 11:
    case 12: ks_evict(ks, 0, 64 * (1 + rng_below(r, 200))); break;
    case 13: ks_warm_step(ks, UINT64_MAX, 2 + rng_below(r, 50)); break;
    case 14: ks_forget(ks); break;
    case 15:
        if (rng_below(r, 8) == 0) EXPECT(ks_store_all(ks, &error) == RC_OK);
        break;
    default: break;
    }
}

static void run_seed(uint64_t seed) {
    struct rng r = {seed};
    static struct op_record ops[OPS_MAX];
    static struct model m;
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = reopen(path);
    uint64_t count = 0;
    model_reset(&m, ops, 0);
    while (count < OPS_MAX) {
        ops[count] = (struct op_record){rng_next(&r), rng_next(&r)};
        model_apply(&m, ops[count]);
        count++;
        ks_apply(ks, ops[count - 1], count);
        EXPECT(ks_fault(ks) == NULL);
        if (rng_below(&r, 3) == 0) disturb(ks, &r);
        if (rng_below(&r, 100) == 0) compare(ks, &m);
        if (rng_below(&r, 300) != 0) continue;
        /* A crash: memory is gone, the disk shows one earlier index; replay leads back. */
        ks_close(ks);
        ks = reopen(path);
        uint64_t stored = ks_applied(ks).index;
        EXPECT(stored <= count);
        model_reset(&m, ops, stored);
        compare(ks, &m);
        compare_members(ks, ops, stored);
        for (uint64_t i = stored; i < count; i++) {
            model_apply(&m, ops[i]);
            ks_apply(ks, ops[i], i + 1);
        }
        compare(ks, &m);
        compare_members(ks, ops, count);
    }
    compare(ks, &m);
    struct kv_error error;
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    EXPECT_EQ_INT(ks_stored(ks).index, count);
    compare_rows(ks);
    uint8_t before[20], after[20];
    ks_digest(ks, before);
    ks_forget(ks);
    compare(ks, &m);
    ks_digest(ks, after);
    EXPECT(memcmp(before, after, 20) == 0);
    ks_close(ks);
    ks = reopen(path);
    EXPECT_EQ_INT(ks_applied(ks).index, count);
    while (ks_warm_step(ks, UINT64_MAX, 64)) continue;
    compare(ks, &m);
    compare_members(ks, ops, count);
    ks_close(ks);
    model_free(&m);
    memset(&m, 0, sizeof m);
}

TEST(random_changes_survive_writebacks_evictions_and_crashes) {
    test_random(6, run_seed);
}

/* --- what else is stored --- */

/* So that the log can be cut behind entries that change nothing, and behind those that change only the configuration. */
TEST(an_index_is_stored_though_no_key_changed) {
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = reopen(path);
    struct kv_error error;
    EXPECT(!ks_writeback_begin(ks));
    ks_set_applied(ks, (struct ks_applied){.index = 7, .term = 2, .clock_ms = 9});
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    EXPECT_EQ_INT(ks_stored(ks).index, 7);
    ks_begin_entry(ks);
    ks_set_members(ks, 8, SLICE("abc"));
    ks_set_applied(ks, (struct ks_applied){.index = 8, .term = 2, .clock_ms = 9});
    EXPECT(ks_writeback_begin(ks));
    /* Frozen with the rest: what comes now belongs to the next write-back. */
    ks_begin_entry(ks);
    ks_set_members(ks, 9, SLICE("later"));
    ks_set_applied(ks, (struct ks_applied){.index = 9, .term = 2, .clock_ms = 9});
    while (ks_writeback_running(ks)) ks_turn(ks, 100);
    EXPECT_EQ_INT(ks_stored(ks).index, 8);
    ks_close(ks);
    ks = reopen(path);
    uint64_t index;
    EXPECT_EQ_SLICE(ks_members(ks, &index), SLICE("abc"));
    EXPECT_EQ_U64(index, 8);
    EXPECT_EQ_INT(ks_applied(ks).index, 8);
    EXPECT(!ks_writeback_begin(ks));
    ks_close(ks);
}

/* Every meta row that is not whole, or not of this version, is refused with a reason. */
TEST(a_meta_row_is_whole_or_refused) {
    struct meta m = {.applied = {5, 2, 77},
                     .next_db_id = 16,
                     .members_index = 4,
                     .members = SLICE("members")},
                got;
    struct buf row = {0};
    struct kv_error error;
    meta_encode(&row, &m);
    EXPECT(meta_decode(buf_slice(&row), &got, &error) == RC_OK);
    EXPECT_EQ_INT(got.applied.index, 5);
    EXPECT_EQ_INT(got.members_index, 4);
    EXPECT_EQ_SLICE(got.members, m.members);
    for (size_t len = 0; len < row.len; len++)
        EXPECT_EQ_INT(meta_decode(slice_make(row.data, len), &got, &error), RC_CORRUPT);
    for (size_t at = 0; at < row.len; at++) {
        row.data[at] = (char)(row.data[at] ^ 4);
        EXPECT_EQ_INT(meta_decode(buf_slice(&row), &got, &error), RC_CORRUPT);
        EXPECT_EQ_INT(strstr(error.text, "version") != NULL, at >= 4 && at < 8);
        row.data[at] = (char)(row.data[at] ^ 4);
    }
    buf_free(&row);
}

/* --- expiry --- */

struct due_list {
    struct keyspace *ks;
    int count;
    char last[32];
};

static void note_due(void *arg, int db, struct slice key) {
    struct due_list *d = arg;
    (void)db;
    d->count++;
    snprintf(d->last, sizeof d->last, "%.*s", (int)key.len, key.data);
}

static int due_at(struct keyspace *ks, int64_t now_ms) {
    struct due_list d = {.ks = ks};
    ks_due(ks, now_ms, 1000, note_due, &d);
    return d.count;
}

static void put_with_deadline(struct keyspace *ks, const char *name, int64_t deadline_ms) {
    struct object *o = string_set(ks, 0, slice_of(name), SLICE("v"), false);
    ks_set_deadline(ks, 0, o, deadline_ms);
}

TEST(due_keys_are_found_in_memory_and_on_disk) {
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = reopen(path);
    put_with_deadline(ks, "early", 100);
    put_with_deadline(ks, "late", 5000);
    string_set(ks, 0, SLICE("never"), SLICE("v"), false);
    EXPECT_EQ_INT(due_at(ks, 99), 0);
    EXPECT_EQ_INT(due_at(ks, 100), 1);
    EXPECT_EQ_INT(due_at(ks, 5000), 2);
    ks_set_applied(ks, (struct ks_applied){.index = 1, .term = 1});
    struct kv_error error;
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    ks_close(ks);
    ks = reopen(path); /* nothing is in memory now */
    EXPECT_EQ_INT(due_at(ks, 99), 0);
    EXPECT_EQ_INT(due_at(ks, 100), 1);
    EXPECT_EQ_INT(due_at(ks, 100), 1); /* found again, until it is deleted */
    ks_delete(ks, 0, ks_peek(ks, 0, SLICE("early"), 0));
    EXPECT_EQ_INT(due_at(ks, 4999), 0);
    EXPECT_EQ_INT(due_at(ks, 6000), 1);
    ks_forget(ks); /* the look at the disk is past its deadline, and memory no longer has it */
    EXPECT_EQ_INT(due_at(ks, 6000), 1);
    ks_close(ks);
}

TEST(a_past_deadline_hides_the_key_and_a_write_deletes_it) {
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = reopen(path);
    put_with_deadline(ks, "k", 100);
    EXPECT(ks_read(ks, 0, SLICE("k"), 99) != NULL);
    EXPECT(ks_read(ks, 0, SLICE("k"), 100) == NULL);
    EXPECT_EQ_INT(ks_count(ks, 0), 1);
    EXPECT(ks_write(ks, 0, SLICE("k"), 100) == NULL);
    EXPECT_EQ_INT(ks_count(ks, 0), 0);
    EXPECT_EQ_INT(ks_count_expires(ks, 0), 0);
    ks_close(ks);
}

/* A name of no bytes is a name like others, also where it is a slice without an address. */
TEST(the_empty_key_is_found_by_chance_too) {
    struct scratch dir = scratch_new();
    char path[300];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = reopen(path);
    string_set(ks, 0, SLICE(""), SLICE("v"), false);
    struct rng rng = {1};
    const struct object *o = ks_random(ks, 0, 0, &rng);
    EXPECT(o != NULL && object_key(o).len == 0);
    ks_close(ks);
}

/* --- memory --- */

/* A database that changes its number in the middle of its warm-up must not be taken for complete too soon. */
TEST(a_swap_during_the_warm_up_hides_no_key) {
    enum { MANY = 200 };
    struct scratch dir = scratch_new();
    char path[300], name[32];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = reopen(path);
    for (int i = 0; i < 2 * MANY; i++) {
        int n = snprintf(name, sizeof name, "k%d", i);
        string_set(ks, i % 2, slice_make(name, (size_t)n), SLICE("v"), false);
    }
    ks_set_applied(ks, (struct ks_applied){.index = 1, .term = 1});
    struct kv_error error;
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    ks_close(ks);
    ks = reopen(path);
    EXPECT(ks_warm_step(ks, UINT64_MAX, MANY / 2));
    ks_swap(ks, 0, 1);
    while (ks_warm_step(ks, UINT64_MAX, MANY / 2)) continue;
    for (int i = 0; i < 2 * MANY; i++) {
        int n = snprintf(name, sizeof name, "k%d", i);
        EXPECT(ks_peek(ks, 1 - i % 2, slice_make(name, (size_t)n), 0) != NULL);
    }
    ks_close(ks);
}

TEST(eviction_reaches_its_target_and_nothing_is_lost) {
    struct scratch dir = scratch_new();
    char path[300], name[32], value[200];
    snprintf(path, sizeof path, "%s/state", dir.path);
    struct keyspace *ks = reopen(path);
    memset(value, 'x', sizeof value);
    enum { MANY = 20000 };
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(name, sizeof name, "k%d", i);
        string_set(ks, 0, slice_make(name, (size_t)n), slice_make(value, sizeof value), false);
    }
    ks_set_applied(ks, (struct ks_applied){.index = 1, .term = 1});
    struct ks_stats stats;
    ks_stats(ks, &stats);
    uint64_t full = stats.memory_bytes;
    ks_evict(ks, full / 10, 1 << 20);
    ks_stats(ks, &stats);
    EXPECT_EQ_INT(stats.memory_bytes, full); /* dirty: none may go */
    struct kv_error error;
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    ks_evict(ks, full / 10, 1 << 20);
    ks_stats(ks, &stats);
    EXPECT(stats.memory_bytes <= full / 10);
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(name, sizeof name, "k%d", i);
        struct object *o = ks_read(ks, 0, slice_make(name, (size_t)n), 0);
        EXPECT(o != NULL);
        EXPECT_EQ_INT(string_len(o), sizeof value);
    }
    ks_flush(ks, 0);
    ks_set_applied(ks, (struct ks_applied){.index = 2, .term = 1});
    EXPECT(ks_store_all(ks, &error) == RC_OK);
    do {
        usleep(1000);
        ks_turn(ks, 1000);
        ks_stats(ks, &stats);
    } while (stats.flush_pending > 0);
    EXPECT_EQ_INT(stats.objects, 0);
    EXPECT_EQ_INT(stats.memory_bytes, 0);
    ks_close(ks);
}

TEST_MAIN
