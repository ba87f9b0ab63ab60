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

static const struct kv_options state_options = {.block_cache_bytes = 1 << 20, .background_threads = 1};

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
        f->dirty = true; /* as write(2) leaves it */
        f->old_len = 0;
        for (int k = 0; k < 4096; k++) buf_add_byte(&f->old, 0);
        for (int k = 0; k < 4096; k++) buf_add_byte(&f->data, 7);
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
