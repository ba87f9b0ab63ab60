/* RocksDB behind kv.h, through its C API. Every tuning choice of both databases is in two functions below,
 * raft_log_options and state_options, with the reason beside it; the figures are in storage/README.md.
 * What the rows mean is left to the callers. */
#include "kv.h"

#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    BLOOM_BITS_PER_KEY = 10,
    STATE_BLOCK_BYTES = 8 << 10,
    INFO_LOG_FILES_MAX = 2,
    INFO_LOG_LEVEL_HEADER = 5,
    MANIFEST_BYTES_MAX = 4 << 20,
    OPEN_FILES_MAX = 512,
    CHECKSUM_XXH3 = 4,
    LEVEL0_FILES_MIN = 8, /* are compacted together; fewer: all of the first level is written more often */
    LEVEL_BYTES = 128 << 20,
};

struct kv {
    rocksdb_t *db;
    rocksdb_options_t *options;     /* the database's */
    rocksdb_options_t *sst_options; /* how kv_sst_* write files */
    rocksdb_envoptions_t *env_options;
    rocksdb_readoptions_t *read;
    rocksdb_ingestexternalfileoptions_t *ingest;
    bool ingest_failed; /* for good, with this text */
    struct kv_error ingest_error;
    rocksdb_cache_t *cache;
};

/* RocksDB says what went wrong in words only. A full disk is an "IO error" too, so it is asked for first. */
static enum rc take_error(char *text, struct kv_error *error) {
    CHECK(text != NULL);
    enum rc rc = RC_IO;
    if (strstr(text, "No space left") != NULL || strncmp(text, "NoSpace", 7) == 0)
        rc = RC_NO_SPACE;
    else if (strstr(text, "lock file") != NULL || strstr(text, "lock hold") != NULL)
        rc = RC_BUSY;
    else if (strncmp(text, "Corruption", 10) == 0)
        rc = RC_CORRUPT;
    else if (strncmp(text, "Invalid argument", 16) == 0)
        rc = RC_INVALID;
    snprintf(error->text, sizeof error->text, "%s", text);
    rocksdb_free(text);
    return rc;
}

/* Table files it keeps open: with few files allowed, an eighth of them, for clients and the other database need some. */
static int open_files_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 8 >= OPEN_FILES_MAX) return OPEN_FILES_MAX;
    return (int)(limit.rlim_cur / 8);
}

static rocksdb_options_t *common_options(const struct kv_options *o) {
    rocksdb_options_t *r = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(r, 1);
    rocksdb_options_set_paranoid_checks(r, 1);
    rocksdb_options_set_max_background_jobs(r, o->background_threads < 1 ? 1 : o->background_threads);
    rocksdb_options_set_max_open_files(r, open_files_max());
    rocksdb_options_set_max_manifest_file_size(r, MANIFEST_BYTES_MAX);
    /* Nothing but what it cannot be kept from. Debian's build keeps its assertions, and one of them stops
     * the process when the info log is written to again after a write to it failed: a full disk must not do
     * that. Errors reach us anyway. */
    rocksdb_options_set_info_log_level(r, INFO_LOG_LEVEL_HEADER);
    rocksdb_options_set_keep_log_file_num(r, INFO_LOG_FILES_MAX);
    rocksdb_options_set_stats_dump_period_sec(r, 0);
    rocksdb_options_set_stats_persist_period_sec(r, 0);
    rocksdb_options_set_use_fsync(r, 0); /* fdatasync writes the file's size too */
    rocksdb_options_set_skip_stats_update_on_db_open(r, 1);
    rocksdb_options_set_skip_checking_sst_file_sizes_on_db_open(r, 0);
    return r;
}

static void set_state_table(rocksdb_options_t *r, rocksdb_cache_t *cache) {
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(t, cache);
    rocksdb_block_based_options_set_block_size(t, STATE_BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(t, 5);
    rocksdb_block_based_options_set_checksum(t, CHECKSUM_XXH3);
    rocksdb_block_based_options_set_filter_policy(t,
                                                  rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));
    rocksdb_block_based_options_set_whole_key_filtering(t, 1);
    /* Index and filter blocks live within the cache's budget, so that memory stays bounded however large
     * the data. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(t, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(t, 1);
    /* A point lookup finds its row in the block by hash instead of by bisection. */
    rocksdb_block_based_options_set_data_block_index_type(
        t, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    rocksdb_block_based_options_set_data_block_hash_ratio(t, 0.75);
    rocksdb_options_set_block_based_table_factory(r, t);
    rocksdb_block_based_options_destroy(t);
}

/* Only ingested files, no memtable, no WAL; point lookups; leveled compaction keeps the number of files to
 * look at small. */
static rocksdb_options_t *state_options(const struct kv_options *o, rocksdb_cache_t *cache) {
    rocksdb_options_t *r = common_options(o);
    set_state_table(r, cache);
    int levels[7] = {rocksdb_no_compression};
    for (int i = 2; i < 7; i++) levels[i] = rocksdb_lz4_compression;
    rocksdb_options_set_compression_per_level(r, levels, 7);
    rocksdb_options_set_num_levels(r, 7);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(r, 1);
    /* Rows come in the order of a hash, so each compaction of level 0 writes the whole first level again: it must not be much
     * larger than what comes together in level 0. */
    uint64_t level_bytes = o->level_bytes > 0 ? o->level_bytes : LEVEL_BYTES;
    rocksdb_options_set_target_file_size_base(r, level_bytes / 4);
    rocksdb_options_set_max_bytes_for_level_base(r, level_bytes);
    rocksdb_options_set_write_buffer_size(r, 1 << 20);
    /* The writer of files paces itself by level 0 (kv_property), for ingestion never stalls. */
    rocksdb_options_set_level0_file_num_compaction_trigger(r, LEVEL0_FILES_MIN);
    rocksdb_options_set_bytes_per_sync(r, 1 << 20);
    return r;
}

/* Fresh files are the write-back's own cost and are soon compacted away: never compressed. */
static rocksdb_options_t *state_sst_options(const struct kv_options *o, rocksdb_cache_t *cache) {
    rocksdb_options_t *r = common_options(o);
    set_state_table(r, cache);
    rocksdb_options_set_compression(r, rocksdb_no_compression);
    return r;
}

/* One shard. RocksDB's own choice is one for each half megabyte, and the index or filter block of a large
 * file is about that: it never stays, and each lookup reads it again (a million rows, 32 MiB: 377 KB for a
 * lookup, and seven seconds instead of 0.7 to replay 100,000 writes). The lock of a single shard is no
 * matter for the few threads that read. */
static rocksdb_cache_t *state_cache(size_t bytes) {
    rocksdb_lru_cache_options_t *lru = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(lru, bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(lru, 0);
    rocksdb_cache_t *cache = rocksdb_cache_create_lru_opts(lru);
    rocksdb_lru_cache_options_destroy(lru);
    return cache;
}

/* RocksDB syncs what is in its folder, but not the folder's own name. */
static enum rc sync_parent(const char *path, struct kv_error *error) {
    struct buf parent = {0};
    buf_printf(&parent, "%s/..", path);
    buf_add_byte(&parent, 0);
    int fd = open(parent.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok) snprintf(error->text, sizeof error->text, "sync %s: %s", parent.data, strerror(errno));
    if (fd >= 0) close(fd);
    buf_free(&parent);
    return ok ? RC_OK : RC_IO;
}

enum rc kv_open(const char *path, const struct kv_options *o, struct kv **out, struct kv_error *error) {
    struct kv *kv = mem_calloc(1, sizeof *kv);
    kv->cache = state_cache(o->block_cache_bytes);
    kv->options = state_options(o, kv->cache);
    kv->sst_options = state_sst_options(o, kv->cache);
    kv->env_options = rocksdb_envoptions_create();
    kv->read = rocksdb_readoptions_create();
    kv->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(kv->ingest, 1);
    rocksdb_ingestexternalfileoptions_set_snapshot_consistency(kv->ingest, 1);
    rocksdb_ingestexternalfileoptions_set_allow_global_seqno(kv->ingest, 1);
    rocksdb_ingestexternalfileoptions_set_allow_blocking_flush(kv->ingest, 1);

    char *err = NULL;
    kv->db = rocksdb_open(kv->options, path, &err);
    if (err != NULL) {
        enum rc rc = take_error(err, error);
        kv->db = NULL;
        kv_close(kv);
        return rc;
    }
    enum rc rc = sync_parent(path, error);
    if (rc != RC_OK) {
        kv_close(kv);
        return rc;
    }
    *out = kv;
    return RC_OK;
}

void kv_close(struct kv *kv) {
    if (kv == NULL) return;
    if (kv->db != NULL) {
        /* A compaction may run for minutes and is done again anyway. */
        rocksdb_cancel_all_background_work(kv->db, 1);
        rocksdb_close(kv->db);
    }
    rocksdb_ingestexternalfileoptions_destroy(kv->ingest);
    rocksdb_readoptions_destroy(kv->read);
    rocksdb_envoptions_destroy(kv->env_options);
    if (kv->sst_options != NULL) rocksdb_options_destroy(kv->sst_options);
    rocksdb_options_destroy(kv->options);
    if (kv->cache != NULL) rocksdb_cache_destroy(kv->cache);
    mem_free(kv);
}

enum rc kv_get(struct kv *kv, struct slice key, struct buf *value, struct kv_error *error) {
    char *err = NULL;
    rocksdb_pinnableslice_t *pinned = rocksdb_get_pinned(kv->db, kv->read, key.data, key.len, &err);
    if (err != NULL) return take_error(err, error);
    if (pinned == NULL) return RC_NOT_FOUND;
    size_t len;
    const char *data = rocksdb_pinnableslice_value(pinned, &len);
    buf_clear(value);
    buf_add(value, data, len);
    rocksdb_pinnableslice_destroy(pinned);
    return RC_OK;
}

struct kv_iter {
    rocksdb_iterator_t *it;
    rocksdb_readoptions_t *read;
};

struct kv_iter *kv_iter_new(struct kv *kv, struct slice upper, bool fill_cache) {
    struct kv_iter *it = mem_alloc(sizeof *it);
    it->read = rocksdb_readoptions_create();
    if (upper.len != 0) rocksdb_readoptions_set_iterate_upper_bound(it->read, upper.data, upper.len);
    rocksdb_readoptions_set_fill_cache(it->read, fill_cache);
    it->it = rocksdb_create_iterator(kv->db, it->read);
    return it;
}

void kv_iter_free(struct kv_iter *it) {
    if (it == NULL) return;
    rocksdb_iter_destroy(it->it);
    rocksdb_readoptions_destroy(it->read);
    mem_free(it);
}

void kv_iter_seek(struct kv_iter *it, struct slice key) {
    rocksdb_iter_seek(it->it, key.data, key.len);
}

bool kv_iter_valid(const struct kv_iter *it) {
    return rocksdb_iter_valid(it->it) != 0;
}

void kv_iter_next(struct kv_iter *it) {
    rocksdb_iter_next(it->it);
}

struct slice kv_iter_key(const struct kv_iter *it) {
    struct slice s;
    s.data = rocksdb_iter_key(it->it, &s.len);
    return s;
}

struct slice kv_iter_value(const struct kv_iter *it) {
    struct slice s;
    s.data = rocksdb_iter_value(it->it, &s.len);
    return s;
}

enum rc kv_iter_error(const struct kv_iter *it, struct kv_error *error) {
    char *err = NULL;
    rocksdb_iter_get_error(it->it, &err);
    return err == NULL ? RC_OK : take_error(err, error);
}

static rocksdb_sstfilewriter_t *writer(struct kv_sst *s) {
    return (rocksdb_sstfilewriter_t *)(void *)s;
}

struct kv_sst *kv_sst_begin(struct kv *kv, const char *path, struct kv_error *error) {
    rocksdb_sstfilewriter_t *w = rocksdb_sstfilewriter_create(kv->env_options, kv->sst_options);
    char *err = NULL;
    rocksdb_sstfilewriter_open(w, path, &err);
    if (err == NULL) return (struct kv_sst *)(void *)w;
    (void)take_error(err, error);
    rocksdb_sstfilewriter_destroy(w);
    return NULL;
}

enum rc kv_sst_put(struct kv_sst *s, struct slice key, struct slice value, struct kv_error *error) {
    char *err = NULL;
    rocksdb_sstfilewriter_put(writer(s), key.data, key.len, value.data, value.len, &err);
    return err == NULL ? RC_OK : take_error(err, error);
}

enum rc kv_sst_delete(struct kv_sst *s, struct slice key, struct kv_error *error) {
    char *err = NULL;
    rocksdb_sstfilewriter_delete(writer(s), key.data, key.len, &err);
    return err == NULL ? RC_OK : take_error(err, error);
}

enum rc kv_sst_delete_range(struct kv_sst *s, struct slice from, struct slice to, struct kv_error *error) {
    char *err = NULL;
    rocksdb_sstfilewriter_delete_range(writer(s), from.data, from.len, to.data, to.len, &err);
    return err == NULL ? RC_OK : take_error(err, error);
}

enum rc kv_sst_finish(struct kv_sst *s, uint64_t *file_bytes, struct kv_error *error) {
    char *err = NULL;
    uint64_t bytes = 0;
    rocksdb_sstfilewriter_finish(writer(s), &err); /* writes and syncs the file */
    if (err == NULL) rocksdb_sstfilewriter_file_size(writer(s), &bytes);
    rocksdb_sstfilewriter_destroy(writer(s));
    if (err != NULL) return take_error(err, error);
    if (file_bytes != NULL) *file_bytes = bytes;
    return RC_OK;
}

void kv_sst_abandon(struct kv_sst *s) {
    rocksdb_sstfilewriter_destroy(writer(s));
}

enum rc kv_ingest(struct kv *kv, const char *path, struct kv_error *error) {
    if (kv->ingest_failed) {
        snprintf(error->text, sizeof error->text,
                 "files are accepted again after a restart; the one that failed: %.150s",
                 kv->ingest_error.text);
        return RC_IO;
    }
    char *err = NULL;
    rocksdb_ingest_external_file(kv->db, &path, 1, kv->ingest, &err);
    if (err == NULL) return RC_OK;
    /* RocksDB 7.8 recovers by itself when there is space again, but goes on taking itself for stopped: the next file would
     * get the number 0, which Debian's build answers with abort(). */
    enum rc rc = take_error(err, error);
    kv->ingest_failed = true;
    kv->ingest_error = *error;
    return rc;
}

enum rc kv_peek(const char *path, struct slice key, struct buf *value, struct kv_error *error) {
    enum { PEEK_CACHE_BYTES = 8 << 20 };
    struct kv_options o = {.background_threads = 1};
    struct kv kv = {.cache = state_cache(PEEK_CACHE_BYTES)};
    kv.options = state_options(&o, kv.cache);
    kv.read = rocksdb_readoptions_create();
    char *err = NULL;
    kv.db = rocksdb_open_for_read_only(kv.options, path, 0, &err);
    enum rc rc = err == NULL ? kv_get(&kv, key, value, error) : take_error(err, error);
    if (err == NULL) rocksdb_close(kv.db);
    rocksdb_readoptions_destroy(kv.read);
    rocksdb_options_destroy(kv.options);
    rocksdb_cache_destroy(kv.cache);
    return rc;
}

enum rc kv_checkpoint(struct kv *kv, const char *path, struct kv_error *error) {
    char *err = NULL;
    rocksdb_checkpoint_t *c = rocksdb_checkpoint_object_create(kv->db, &err);
    if (err != NULL) return take_error(err, error);
    rocksdb_checkpoint_create(c, path, 0, &err);
    rocksdb_checkpoint_object_destroy(c);
    return err == NULL ? RC_OK : take_error(err, error);
}

uint64_t kv_property(struct kv *kv, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "rocksdb.%s", name);
    uint64_t value = 0;
    if (rocksdb_property_int(kv->db, full, &value) == 0) return value;
    /* Some properties that are numbers are given as text only (num-files-at-level<N>). */
    char *text = rocksdb_property_value(kv->db, full);
    if (text == NULL) return 0;
    unsigned long long parsed = 0;
    if (sscanf(text, "%llu", &parsed) != 1) parsed = 0;
    rocksdb_free(text);
    return parsed;
}

uint64_t kv_memory(struct kv *kv) {
    return kv_property(kv, "cur-size-all-mem-tables") + kv_property(kv, "estimate-table-readers-mem") +
           (kv->cache != NULL ? rocksdb_cache_get_usage(kv->cache) : 0);
}
