/* The same questions to RocksDB and to the simulator's rows: built twice, once with storage/kv.c and once with sim_kv.c
 * (SIM_KV), so that what the simulator promises is what the server gets. What only a simulated disk can show, what is left
 * after a power cut, stands at the end. */
#include "kv.h"

#include "rng.h"
#include "test.h"

#ifdef SIM_KV
#include "disk.h"
#else
#include "../unit/storage/scratch.h"
#endif

static struct kv_error error;

static const struct kv_options log_options = {
    .profile = KV_RAFT_LOG, .memtable_bytes = 64 << 10, .background_threads = 1};
static const struct kv_options state_options = {
    .profile = KV_STATE, .block_cache_bytes = 1 << 20, .background_threads = 1};

/* A place for a database, or for a file, where nothing is yet. */
static const char *place(const char *name) {
    static char paths[1000][300];
    static int next;
    EXPECT(next < 1000);
    char *path = paths[next++];
#ifdef SIM_KV
    static int serial;
    if (disk_current() == NULL) {
        world_begin(1);
        disk_use(disk_new());
    }
    snprintf(path, 300, "/%s-%d", name, ++serial);
#else
    struct scratch s = scratch_new();
    snprintf(path, 300, "%s/%s", s.path, name);
#endif
    return path;
}

static struct kv *must_open(const char *path, const struct kv_options *o) {
    struct kv *kv = NULL;
    enum rc rc = kv_open(path, o, &kv, &error);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
    return kv;
}

static void must(enum rc rc) {
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
}

/* --- against a model --- */

enum { KEYS = 300 };
struct model {
    uint64_t values[KEYS]; /* 0: no row */
};

static struct slice key_of(char *out, uint64_t k) {
    return slice_make(out, (size_t)sprintf(out, "key%04u", (unsigned)k));
}

static struct slice bytes_of(const uint64_t *v) {
    return slice_make((const char *)v, sizeof *v);
}

static void check_iter(struct kv_iter *it, const struct model *m, uint64_t from, uint64_t to) {
    char name[16];
    kv_iter_seek(it, key_of(name, from));
    for (uint64_t k = from; k < to; k++) {
        if (m->values[k] == 0) continue;
        EXPECT_NOTE(kv_iter_valid(it), "key %d is not met", (int)k);
        EXPECT_EQ_SLICE(kv_iter_key(it), key_of(name, k));
        EXPECT_EQ_SLICE(kv_iter_value(it), bytes_of(&m->values[k]));
        kv_iter_next(it);
    }
    EXPECT(!kv_iter_valid(it));
    must(kv_iter_error(it, &error));
    for (uint64_t k = to; k-- > from;) {
        if (m->values[k] == 0) continue;
        kv_iter_seek_back(it, key_of(name, to - 1));
        EXPECT(kv_iter_valid(it));
        EXPECT_EQ_SLICE(kv_iter_key(it), key_of(name, k));
        break;
    }
}

static void check_all(struct kv *kv, const struct model *m) {
    struct buf value = {0};
    char name[16], end[16];
    for (uint64_t k = 0; k < KEYS; k++) {
        enum rc rc = kv_get(kv, key_of(name, k), &value, &error);
        EXPECT_NOTE(rc == (m->values[k] ? RC_OK : RC_NOT_FOUND), "%s: %s", name, rc_name(rc));
        if (rc == RC_OK) EXPECT_EQ_SLICE(buf_slice(&value), bytes_of(&m->values[k]));
    }
    buf_free(&value);
    struct kv_iter *it = kv_iter_new(kv, slice_make(NULL, 0), false);
    check_iter(it, m, 0, KEYS);
    kv_iter_free(it);
    it = kv_iter_new(kv, key_of(end, 200), true);
    check_iter(it, m, 100, 200);
    kv_iter_free(it);
}

/* In the order in which they are given: a range deletes what came before it, in the same batch too. */
static void random_batch(struct rng *r, struct kv_batch *b, struct model *m) {
    char name[16], end[16];
    for (uint64_t n = 1 + rng_below(r, 8); n > 0; n--) {
        uint64_t k = rng_below(r, KEYS), to = k + rng_below(r, KEYS - k) / 8;
        switch (rng_below(r, 5)) {
        case 0:
            kv_batch_delete(b, key_of(name, k));
            m->values[k] = 0;
            break;
        case 1:
            kv_batch_delete_range(b, key_of(name, k), key_of(end, to));
            for (uint64_t i = k; i < to; i++) m->values[i] = 0;
            break;
        case 2:
            m->values[k] = rng_next(r) | 1;
            kv_batch_put2(b, key_of(name, k), slice_make((const char *)&m->values[k], 3),
                          slice_make((const char *)&m->values[k] + 3, 5));
            break;
        default: m->values[k] = rng_next(r) | 1; kv_batch_put(b, key_of(name, k), bytes_of(&m->values[k]));
        }
    }
}

TEST(batches_read_as_the_model) {
    struct rng r = {test_seed()};
    const char *path = place("log");
    struct kv *kv = must_open(path, &log_options);
    struct kv_batch *b = kv_batch_new();
    struct model m = {0}, before;
    for (int step = 0; step < 300; step++) {
        before = m;
        struct kv_iter *it = kv_iter_new(kv, slice_make(NULL, 0), false);
        kv_batch_clear(b);
        random_batch(&r, b, &m);
        must(kv_write(kv, b, rng_below(&r, 4) == 0, &error));
        check_iter(it, &before, 0, KEYS); /* it sees the moment at which it was made */
        kv_iter_free(it);
        if (step % 20 == 0) check_all(kv, &m);
        if (step % 50 != 49) continue;
        kv_close(kv);
        kv = must_open(path, &log_options);
        check_all(kv, &m);
    }
    kv_batch_free(b);
    kv_close(kv);
}

/* Rows below the mark may go, those at and behind it stay. */
TEST(files_below_a_mark_are_dropped_oldest_first) {
    const char *path = place("drop");
    struct kv *kv = must_open(path, &log_options);
    struct kv_batch *b = kv_batch_new();
    char value[1000] = {0}, name[16];
    for (uint64_t i = 0; i < 1000; i++) {
        kv_batch_clear(b);
        kv_batch_put(b, key_of(name, i), slice_make(value, sizeof value));
        must(kv_write(kv, b, false, &error));
    }
    kv_drop_files_below(kv, key_of(name, 600));
    struct kv_iter *it = kv_iter_new(kv, slice_make(NULL, 0), false);
    uint64_t count = 0;
    kv_iter_seek(it, SLICE(""));
    EXPECT(kv_iter_valid(it));
    EXPECT(slice_cmp(kv_iter_key(it), key_of(name, 600)) <= 0);
    for (kv_iter_seek(it, key_of(name, 600)); kv_iter_valid(it); kv_iter_next(it)) count++;
    EXPECT_EQ_INT(count, 400);
    kv_iter_free(it);
    kv_batch_free(b);
    kv_close(kv);
}

/* Range deletes of a file do not cover its own puts. */
static void random_file(struct rng *r, struct kv *kv, const char *path, struct model *m) {
    char name[16], end[16];
    struct kv_sst *s = kv_sst_begin(kv, path, &error);
    EXPECT_NOTE(s != NULL, "%s", error.text);
    struct model ranges = *m;
    uint64_t at = rng_below(r, 20);
    uint64_t puts[KEYS] = {0};
    bool touched[KEYS] = {0};
    for (uint64_t n = rng_below(r, 3); n > 0; n--) {
        uint64_t from = rng_below(r, KEYS), to = from + 1 + rng_below(r, KEYS - from);
        must(kv_sst_delete_range(s, key_of(name, from), key_of(end, to), &error));
        for (uint64_t k = from; k < to; k++) ranges.values[k] = 0;
    }
    do {
        touched[at] = true;
        if (rng_below(r, 4) == 0) {
            must(kv_sst_delete(s, key_of(name, at), &error));
        } else {
            puts[at] = rng_next(r) | 1;
            must(kv_sst_put(s, key_of(name, at), bytes_of(&puts[at]), &error));
        }
        at += 1 + rng_below(r, 40);
    } while (at < KEYS);
    uint64_t bytes = 0;
    must(kv_sst_finish(s, &bytes, &error));
    EXPECT(bytes > 0);
    must(kv_ingest(kv, path, &error));
    for (uint64_t k = 0; k < KEYS; k++) m->values[k] = touched[k] ? puts[k] : ranges.values[k];
}

TEST(ingested_files_read_as_the_model) {
    struct rng r = {test_seed()};
    struct model m = {0};
    for (int round = 0; round < 3; round++) {
        const char *path = place("state"), *copy = place("copy");
        struct kv *kv = must_open(path, &state_options), *other;
        memset(&m, 0, sizeof m);
        for (int step = 0; step < 20; step++) {
            random_file(&r, kv, place("file"), &m);
            if (step % 5 != 0) continue;
            check_all(kv, &m);
            kv_close(kv);
            kv = must_open(path, &state_options);
            check_all(kv, &m);
        }
        must(kv_checkpoint(kv, copy, &error));
        struct model then = m;
        random_file(&r, kv, place("file"), &m);
        other = must_open(copy, &state_options);
        check_all(other, &then);
        check_all(kv, &m);
        kv_close(other);
        struct buf value = {0};
        char name[16];
        for (uint64_t k = 0; k < KEYS; k += 7) {
            enum rc rc = kv_peek(copy, key_of(name, k), &value, &error);
            EXPECT_EQ_INT(rc, then.values[k] ? RC_OK : RC_NOT_FOUND);
        }
        buf_free(&value);
        kv_close(kv);
    }
}

TEST(mistakes_have_the_same_names) {
    const char *path = place("wrong");
    struct kv *kv = must_open(path, &state_options), *second = NULL;
    EXPECT_EQ_INT(kv_open(path, &state_options, &second, &error), RC_BUSY);
    struct kv_sst *s = kv_sst_begin(kv, place("order"), &error);
    EXPECT(s != NULL);
    must(kv_sst_put(s, SLICE("b"), SLICE("1"), &error));
    EXPECT_EQ_INT(kv_sst_put(s, SLICE("a"), SLICE("1"), &error), RC_INVALID);
    EXPECT_EQ_INT(kv_sst_put(s, SLICE("b"), SLICE("1"), &error), RC_INVALID);
    kv_sst_abandon(s);
    EXPECT(kv_sst_begin(kv, "/no/such/folder/x", &error) == NULL);
    const char *file = place("file");
    s = kv_sst_begin(kv, file, &error);
    must(kv_sst_put(s, SLICE("b"), SLICE("1"), &error));
    must(kv_sst_finish(s, NULL, &error));
    must(kv_ingest(kv, file, &error));
    EXPECT_EQ_INT(kv_ingest(kv, file, &error), RC_IO); /* it was moved */
    EXPECT_EQ_INT(kv_ingest(kv, file, &error), RC_IO); /* and after a failure all fail */
    EXPECT_EQ_INT(kv_property(kv, "no-such-property"), 0);
    kv_close(kv);
    struct buf value = {0};
    EXPECT(kv_peek(place("nothing"), SLICE("M"), &value, &error) != RC_OK);
    buf_free(&value);
}

#ifdef SIM_KV
/* --- the simulated disk --- */

TEST(a_synced_batch_survives_a_power_cut) {
    const char *path = place("power");
    struct kv *kv = must_open(path, &log_options);
    struct kv_batch *b = kv_batch_new();
    struct buf value = {0};
    for (int i = 0; i < 50; i++) {
        char name[16];
        kv_batch_clear(b);
        kv_batch_put(b, key_of(name, (uint64_t)i), SLICE("x"));
        must(kv_write(kv, b, true, &error));
        kv_close(kv);
        disk_power_cut(disk_current());
        kv = must_open(path, &log_options);
        must(kv_get(kv, key_of(name, (uint64_t)i), &value, &error));
    }
    buf_free(&value);
    kv_batch_free(b);
    kv_close(kv);
}

/* After an error nobody knows whether it is on the disk: both happen, and nothing in between. */
TEST(a_batch_whose_sync_failed_is_there_whole_or_not_at_all) {
    int there = 0;
    struct kv_batch *b = kv_batch_new();
    struct buf value = {0};
    kv_batch_put(b, SLICE("a"), SLICE("1"));
    kv_batch_put(b, SLICE("b"), SLICE("2"));
    for (int i = 0; i < 60; i++) {
        const char *path = place("failing");
        struct kv *kv = must_open(path, &log_options);
        disk_current()->manners.sync_fails = 1;
        EXPECT_EQ_INT(kv_write(kv, b, true, &error), RC_IO);
        disk_current()->manners.sync_fails = 0;
        EXPECT_EQ_INT(kv_write(kv, b, true, &error), RC_IO); /* until it is opened again */
        kv_close(kv);
        kv = must_open(path, &log_options);
        enum rc a = kv_get(kv, SLICE("a"), &value, &error), c = kv_get(kv, SLICE("b"), &value, &error);
        EXPECT_EQ_INT(a, c);
        there += a == RC_OK;
        kv_close(kv);
    }
    EXPECT_NOTE(there > 5 && there < 55, "%d of 60", there);
    buf_free(&value);
    kv_batch_free(b);
}

TEST(a_checkpoint_whose_copy_is_damaged_does_not_open) {
    const char *path = place("whole"), *copy = place("hurt");
    struct kv *kv = must_open(path, &state_options), *other = NULL;
    struct rng r = {3};
    struct model m = {0};
    random_file(&r, kv, place("file"), &m);
    kv_close(kv);
    kv = must_open(path, &state_options);
    must(kv_checkpoint(kv, copy, &error));
    char name[400];
    snprintf(name, sizeof name, "%s/000010.sst", copy);
    struct inode *file = disk_find(disk_current(), name);
    EXPECT(file != NULL);
    file->data.data[file->data.len / 2] ^= 4;
    EXPECT_EQ_INT(kv_open(copy, &state_options, &other, &error), RC_CORRUPT);
    kv_close(kv);
}

/* A database that was opened from files whose names were not synced is lost with the power; of one whose neighbour is
 * still being removed nothing can be. */
TEST(a_database_is_as_sound_as_the_names_of_its_files) {
    for (int i = 0; i < 20; i++) {
        bool beside = i % 2 == 0;
        const char *path = place("sound"), *copy = place("opened");
        struct kv *kv = must_open(path, &state_options);
        struct rng r = {(uint64_t)i};
        struct model m = {0};
        random_file(&r, kv, place("file"), &m);
        must(kv_checkpoint(kv, copy, &error));
        kv_close(kv);
        char name[400];
        snprintf(name, sizeof name, "%s/%s", copy, beside ? "neighbour" : "000010.sst");
        struct disk *d = disk_current();
        struct inode *file = inode_keep(disk_make_file(d, name, true));
        must(disk_remove(d, name));
        if (!beside) buf_add_slice(&disk_make_file(d, name, false)->data, buf_slice(&file->data));
        inode_drop(file);
        kv = must_open(copy, &state_options);
        kv_close(kv);
        disk_power_cut(d);
        EXPECT_EQ_INT(kv_open(copy, &state_options, &kv, &error), beside ? RC_OK : RC_CORRUPT);
        if (beside) kv_close(kv);
    }
}

TEST(names_and_bytes_that_were_not_synced_may_be_gone) {
    int gone = 0, torn = 0, whole = 0;
    for (int i = 0; i < 100; i++) {
        const char *path = place("names");
        struct inode *f = disk_make_file(disk_current(), path, i % 2 == 0);
        EXPECT(f != NULL);
        for (int k = 0; k < 4096; k++) buf_add_byte(&f->data, 7);
        f->dirty = true; /* as write(2) leaves it */
        disk_power_cut(disk_current());
        f = disk_find(disk_current(), path);
        if (f == NULL)
            gone++;
        else if (f->data.len == 4096 && memchr(f->data.data, 0, 4096) == NULL)
            whole++;
        else
            torn++;
        EXPECT(i % 2 == 1 || f != NULL);
    }
    EXPECT(gone > 5);
    EXPECT(torn > 5);
    EXPECT(whole > 5);
}
#endif

TEST_MAIN
