/* storage/kv.h without RocksDB: ordered rows on a simulated disk. An ingested file is in the database whole or not at all, and
 * durable when kv_ingest returns; it may or may not survive a power cut before that. After a failed ingestion nothing
 * further is taken until the database is opened again.
 *
 * Files of rows (to be ingested, or of a checkpoint) are plain files of the simulated disk, so whoever copies a
 * checkpoint copies bytes, and damage to them is noticed by their checksum:
 *
 *   "SimKv001", then for each row: op (1), key length (4), value length (4), key, value; then crc32c of all before (4)
 *
 * A checkpoint's CURRENT holds the names of its files, each with its checksum. */
#include "kv.h"

#include "disk.h"
#include "hash.h"
#include "mem.h"
#include "ptree.h"
#include "sim_kv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAGIC SLICE("SimKv001")

enum { OP_PUT = 1, OP_DELETE = 2, OP_DELETE_RANGE = 3, CHECKPOINT_FILES_MAX = 4 };

struct kvdb {
    struct list link;      /* of all */
    struct ptree *now;     /* what readers see */
    struct ptree *synced;  /* what a power cut cannot take away; never behind what is dropped */
    struct ptree *pending; /* with a file that is being taken */
    bool writing;
    bool unsound; /* opened from files that are not on the disk yet */
    bool corrupt;
    const struct process *open_by;
    struct buf *rotten; /* keys that cannot be read */
    size_t rotten_count;
    uint64_t level0, ingested;
};

struct kv {
    struct list link; /* of all that are open */
    const struct process *process;
    struct kvdb *db;
    struct inode *folder;
    struct disk *disk;
    bool failed; /* for good */
    char path[512];
};

struct kv_iter {
    struct list link;
    const struct process *process;
    const struct kvdb *db;
    struct ptree *root;
    struct buf upper;
    struct ptree_row row;
    struct ptree_cursor at; /* of the row, unless it was come to from behind: depth 0 then */
    bool valid, corrupt;
};

struct kv_sst {
    struct kv *kv;
    struct buf rows, last_key;
    char path[512];
};

static struct list all_dbs = {&all_dbs, &all_dbs}, all_iters = {&all_iters, &all_iters},
                   all_kvs = {&all_kvs, &all_kvs};

static enum rc fail(struct kv_error *error, enum rc rc, const char *what) {
    snprintf(error->text, sizeof error->text, "simulated: %s", what);
    return rc;
}

/* --- what the disk knows --- */

static struct kvdb *kvdb_new(void) {
    struct kvdb *db = mem_calloc(1, sizeof *db);
    list_push_back(&all_dbs, &db->link);
    return db;
}

static void forget_rot(struct kvdb *db, size_t at) {
    buf_free(&db->rotten[at]);
    db->rotten[at] = db->rotten[--db->rotten_count];
}

void kvdb_free(struct kvdb *db) {
    list_unlink(&db->link);
    ptree_drop(db->now);
    ptree_drop(db->synced);
    ptree_drop(db->pending);
    while (db->rotten_count > 0) forget_rot(db, 0);
    mem_free(db->rotten);
    mem_free(db);
}

/* What was being written is there or is not; a write that ended with an error is no different. */
static void settle(struct kvdb *db) {
    if (db->writing && sim_chance(0.5)) {
        ptree_drop(db->now);
        db->now = ptree_keep(db->pending);
    }
    db->writing = false;
    ptree_drop(db->pending);
    db->pending = NULL;
}

static void set(struct ptree **which, struct ptree *version) {
    ptree_drop(*which);
    *which = ptree_keep(version);
}

void kvdb_power_cut(struct kvdb *db) {
    settle(db);
    if (sim_chance(0.7)) set(&db->now, db->synced);
    set(&db->synced, db->now);
    db->open_by = NULL;
    db->corrupt = db->corrupt || db->unsound;
}

size_t kvdb_rows(const struct kvdb *db) {
    return ptree_count(db->now);
}

void kvdb_rot(struct kvdb *db) {
    struct ptree_row row;
    if (!ptree_nth(db->now, sim_below(ptree_count(db->now)), &row)) return;
    db->rotten = mem_realloc(db->rotten, (db->rotten_count + 1) * sizeof *db->rotten);
    db->rotten[db->rotten_count] = (struct buf){0};
    buf_add_slice(&db->rotten[db->rotten_count++], row.key);
}

static bool is_rotten(const struct kvdb *db, struct slice key) {
    for (size_t i = 0; i < db->rotten_count; i++)
        if (slice_eq(buf_slice(&db->rotten[i]), key)) return true;
    return false;
}

static void iter_release(struct kv_iter *it) {
    list_unlink(&it->link);
    ptree_drop(it->root);
    buf_free(&it->upper);
    mem_free(it);
}

static void kv_release(struct kv *kv) {
    list_unlink(&kv->link);
    inode_drop(kv->folder);
    mem_free(kv);
}

void kvdb_process_ended(const struct process *p) {
    LIST_FOR_EACH_SAFE(it, &all_iters) {
        struct kv_iter *iter = container_of(it, struct kv_iter, link);
        if (iter->process == p) iter_release(iter);
    }
    LIST_FOR_EACH_SAFE(it, &all_kvs) {
        struct kv *kv = container_of(it, struct kv, link);
        if (kv->process == p) kv_release(kv);
    }
    LIST_FOR_EACH(it, &all_dbs) {
        struct kvdb *db = container_of(it, struct kvdb, link);
        if (db->open_by != p) continue;
        db->open_by = NULL;
        settle(db);
    }
}

/* --- rows as bytes --- */

static void add_op(struct buf *b, uint8_t op, struct slice key, struct slice head, struct slice tail) {
    buf_add_byte(b, op);
    buf_add_u32le(b, (uint32_t)key.len);
    buf_add_u32le(b, (uint32_t)(head.len + tail.len));
    buf_add_slice(b, key);
    buf_add_slice(b, head);
    buf_add_slice(b, tail);
}

static bool take_op(struct slice *s, uint8_t *op, struct slice *key, struct slice *value) {
    uint32_t key_len, value_len;
    return slice_take_u8(s, op) && slice_take_u32le(s, &key_len) && slice_take_u32le(s, &value_len) &&
           slice_take(s, key_len, key) && slice_take(s, value_len, value);
}

/* Range deletes of a file do not cover its own puts, so they come first. */
static struct ptree *apply(struct ptree *t, struct slice ops, bool in_order) {
    struct slice rest = ops, key, value;
    uint8_t op;
    while (!in_order && take_op(&rest, &op, &key, &value))
        if (op == OP_DELETE_RANGE) t = ptree_delete_range(t, key, value);
    for (rest = ops; take_op(&rest, &op, &key, &value);) {
        if (op == OP_PUT)
            t = ptree_put(t, key, value, SLICE(""));
        else if (op == OP_DELETE)
            t = ptree_delete(t, key);
        else if (in_order)
            t = ptree_delete_range(t, key, value);
    }
    return t;
}

static void forget_rot_of(struct kvdb *db, struct slice ops) {
    struct slice key, value;
    uint8_t op;
    if (db->rotten_count == 0) return;
    while (take_op(&ops, &op, &key, &value))
        for (size_t i = 0; i < db->rotten_count; i++)
            if (slice_eq(buf_slice(&db->rotten[i]), key)) forget_rot(db, i--);
}

static void file_finish(struct buf *b) {
    buf_add_u32le(b, crc32c(0, buf_slice(b)));
}

static bool file_open(struct slice file, struct slice *ops) {
    if (file.len < FILE_MAGIC.len + 4) return false;
    uint32_t crc;
    memcpy(&crc, file.data + file.len - 4, 4);
    if (crc != crc32c(0, slice_make(file.data, file.len - 4))) return false;
    *ops = slice_make(file.data + FILE_MAGIC.len, file.len - 4 - FILE_MAGIC.len);
    return slice_eq(slice_make(file.data, FILE_MAGIC.len), FILE_MAGIC);
}

static void put_file(struct disk *d, const char *path, struct slice content) {
    struct inode *i = disk_make_file(d, path, true);
    CHECK(i != NULL);
    buf_clear(&i->data);
    buf_add_slice(&i->data, content);
    inode_is_durable(i);
}

/* --- opening --- */

/* A power cut may still take the file, or what is in it. */
static bool is_unsound(const struct kv *kv, const char *path, const struct inode *file) {
    return file->dirty || file->lost || disk_path_is_pending(kv->disk, path);
}

/* The files that CURRENT names. */
static enum rc load(struct kv *kv, struct kvdb *db, const struct inode *current, struct kv_error *error) {
    char names[1024], *rest = names;
    snprintf(names, sizeof names, "%.*s", (int)current->data.len,
             current->data.data ? current->data.data : "");
    char path[800];
    snprintf(path, sizeof path, "%s/CURRENT", kv->path);
    db->unsound = is_unsound(kv, path, current);
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        char name[100];
        unsigned crc;
        struct slice ops;
        if (sscanf(line, "%99s %x", name, &crc) != 2) return fail(error, RC_CORRUPT, "CURRENT is not one");
        snprintf(path, sizeof path, "%s/%s", kv->path, name);
        struct inode *file = disk_find(kv->disk, path);
        if (file == NULL) return fail(error, RC_CORRUPT, "a file of the database is missing");
        if (!file_open(buf_slice(&file->data), &ops) || crc != crc32c(0, buf_slice(&file->data)))
            return fail(error, RC_CORRUPT, "a file of the database is damaged");
        db->unsound = db->unsound || is_unsound(kv, path, file);
        db->now = apply(db->now, ops, true);
    }
    return RC_OK;
}

static enum rc find_db(struct kv *kv, struct kv_error *error) {
    char path[800];
    enum rc rc = disk_make_dir(kv->disk, kv->path, false);
    if (rc != RC_OK || (kv->folder = disk_find(kv->disk, kv->path)) == NULL)
        return fail(error, RC_IO, "no such folder");
    inode_keep(kv->folder);
    snprintf(path, sizeof path, "%s/CURRENT", kv->path);
    struct inode *current = disk_find(kv->disk, path);
    if (kv->folder->db != NULL)
        return current != NULL ? RC_OK : fail(error, RC_CORRUPT, "CURRENT is missing");
    struct kvdb *db = kvdb_new();
    rc = current != NULL ? load(kv, db, current, error) : RC_OK;
    if (rc != RC_OK) {
        kvdb_free(db);
        return rc;
    }
    set(&db->synced, db->now);
    kv->folder->db = db;
    if (current == NULL) put_file(kv->disk, path, SLICE(""));
    return RC_OK;
}

enum rc kv_open(const char *path, const struct kv_options *options, struct kv **out, struct kv_error *error) {
    SIM_HEAP;
    struct kv *kv = mem_calloc(1, sizeof *kv);
    list_push_back(&all_kvs, &kv->link);
    kv->process = process_running();
    kv->disk = disk_current();
    (void)options;
    CHECK(strlen(path) < sizeof kv->path);
    strcpy(kv->path, path);
    enum rc rc = find_db(kv, error);
    struct kvdb *db = kv->folder != NULL ? kv->folder->db : NULL;
    if (rc == RC_OK && db->open_by != NULL) rc = fail(error, RC_BUSY, "lock hold by another process");
    if (rc == RC_OK && db->corrupt) rc = fail(error, RC_CORRUPT, "files that were never synced are torn");
    if (rc == RC_OK) rc = disk_sync(kv->disk) == RC_OK ? RC_OK : fail(error, RC_IO, "sync");
    if (rc != RC_OK) {
        kv_release(kv);
        return rc;
    }
    static const struct process nobody;
    kv->disk->ingest_failed = false;
    set(&db->synced, db->now);
    kv->db = db;
    db->open_by = process_running() != NULL ? process_running() : &nobody;
    *out = kv;
    return RC_OK;
}

void kv_close(struct kv *kv) {
    if (kv == NULL) return;
    SIM_HEAP;
    kv->db->open_by = NULL;
    settle(kv->db);
    kv_release(kv);
}

/* Builds the database from its files anew, or looks into the one that is there, and leaves everything as it is. */
enum rc kv_peek(const char *path, struct slice key, struct buf *value, struct kv_error *error) {
    struct kv kv = {.disk = disk_current()};
    struct process *saved = heap_ours();
    char name[800];
    CHECK(strlen(path) < sizeof kv.path);
    strcpy(kv.path, path);
    snprintf(name, sizeof name, "%s/CURRENT", path);
    const struct inode *folder = disk_find(kv.disk, path), *current = disk_find(kv.disk, name);
    enum rc rc = folder == NULL || current == NULL ? fail(error, RC_IO, "there is no database") : RC_OK;
    struct kvdb *fresh = rc == RC_OK && folder->db == NULL ? kvdb_new() : NULL;
    kv.db = fresh != NULL ? fresh : folder != NULL ? folder->db : NULL;
    if (fresh != NULL) rc = load(&kv, fresh, current, error);
    heap_back(&saved);
    if (rc == RC_OK && kv.db->corrupt) rc = fail(error, RC_CORRUPT, "files that were never synced are torn");
    if (rc == RC_OK) rc = kv_get(&kv, key, value, error);
    SIM_HEAP;
    if (fresh != NULL) kvdb_free(fresh);
    return rc;
}

/* --- reading --- */

enum rc kv_get(struct kv *kv, struct slice key, struct buf *value, struct kv_error *error) {
    struct ptree_row row;
    if (!ptree_get(kv->db->now, key, &row)) return RC_NOT_FOUND;
    if (is_rotten(kv->db, key)) return fail(error, RC_CORRUPT, "a block has a bad checksum");
    buf_clear(value);
    buf_add_slice(value, row.value);
    return RC_OK;
}

struct kv_iter *kv_iter_new(struct kv *kv, struct slice upper, bool fill_cache) {
    (void)fill_cache;
    SIM_HEAP;
    struct kv_iter *it = mem_calloc(1, sizeof *it);
    it->process = process_running();
    it->db = kv->db;
    it->root = ptree_keep(kv->db->now);
    buf_add_slice(&it->upper, upper);
    list_push_back(&all_iters, &it->link);
    return it;
}

void kv_iter_free(struct kv_iter *it) {
    if (it == NULL) return;
    SIM_HEAP;
    iter_release(it);
}

static void arrive(struct kv_iter *it, bool found) {
    it->valid =
        found && !it->corrupt && (it->upper.len == 0 || slice_cmp(it->row.key, buf_slice(&it->upper)) < 0);
    if (!it->valid || !is_rotten(it->db, it->row.key)) return;
    it->corrupt = true;
    it->valid = false;
}

void kv_iter_seek(struct kv_iter *it, struct slice key) {
    it->corrupt = false;
    arrive(it, ptree_seek(it->root, key, &it->at, &it->row));
}

bool kv_iter_valid(const struct kv_iter *it) {
    return it->valid;
}
void kv_iter_next(struct kv_iter *it) {
    CHECK(it->valid);
    if (it->at.depth == 0) CHECK(ptree_seek(it->root, it->row.key, &it->at, &it->row));
    arrive(it, ptree_next(&it->at, &it->row));
}
struct slice kv_iter_key(const struct kv_iter *it) {
    return it->row.key;
}
struct slice kv_iter_value(const struct kv_iter *it) {
    return it->row.value;
}
enum rc kv_iter_error(const struct kv_iter *it, struct kv_error *error) {
    return it->corrupt ? fail(error, RC_CORRUPT, "a block has a bad checksum") : RC_OK;
}

/* The new version becomes what is read and what is durable, or, after an error, nobody knows. */
static enum rc write_version(struct kv *kv, struct ptree *version, struct kv_error *error) {
    struct kvdb *db = kv->db;
    CHECK(!db->writing);
    db->writing = true;
    db->pending = version;
    enum rc rc = RC_OK;
    if (kv->disk->manners.free_bytes == 0) rc = fail(error, RC_NO_SPACE, "No space left on device");
    if (rc == RC_OK && disk_sync(kv->disk) != RC_OK) rc = fail(error, RC_IO, "sync failed");
    if (rc != RC_OK) {
        kv->disk->ingest_failed = true;
        kv->failed = true; /* `pending` stays: what is on the disk shows after the next open */
        return rc;
    }
    ptree_drop(db->now);
    db->now = db->pending;
    db->pending = NULL;
    db->writing = false;
    set(&db->synced, db->now);
    return RC_OK;
}

/* --- files --- */

struct kv_sst *kv_sst_begin(struct kv *kv, const char *path, struct kv_error *error) {
    if (kv->disk->manners.free_bytes == 0 || disk_make_file(kv->disk, path, false) == NULL) {
        (void)fail(error, RC_IO,
                   kv->disk->manners.free_bytes == 0 ? "No space left on device" : "no such folder");
        return NULL;
    }
    struct kv_sst *s = mem_calloc(1, sizeof *s);
    s->kv = kv;
    CHECK(strlen(path) < sizeof s->path);
    strcpy(s->path, path);
    buf_add_slice(&s->rows, FILE_MAGIC);
    return s;
}

static enum rc add_ordered(struct kv_sst *s, uint8_t op, struct slice key, struct slice value,
                           struct kv_error *error) {
    bool first = s->last_key.cap == 0;
    if (!first && slice_cmp(key, buf_slice(&s->last_key)) <= 0)
        return fail(error, RC_INVALID, "keys are out of order");
    buf_clear(&s->last_key);
    buf_reserve(&s->last_key, 1);
    buf_add_slice(&s->last_key, key);
    add_op(&s->rows, op, key, value, SLICE(""));
    return RC_OK;
}

enum rc kv_sst_put(struct kv_sst *s, struct slice key, struct slice value, struct kv_error *error) {
    return add_ordered(s, OP_PUT, key, value, error);
}
enum rc kv_sst_delete(struct kv_sst *s, struct slice key, struct kv_error *error) {
    return add_ordered(s, OP_DELETE, key, SLICE(""), error);
}
enum rc kv_sst_delete_range(struct kv_sst *s, struct slice from, struct slice to, struct kv_error *error) {
    (void)error;
    add_op(&s->rows, OP_DELETE_RANGE, from, to, SLICE(""));
    return RC_OK;
}

void kv_sst_abandon(struct kv_sst *s) {
    buf_free(&s->rows);
    buf_free(&s->last_key);
    mem_free(s);
}

enum rc kv_sst_finish(struct kv_sst *s, uint64_t *file_bytes, struct kv_error *error) {
    struct disk *d = s->kv->disk;
    enum rc rc = disk_sync(d) == RC_OK ? RC_OK : fail(error, RC_IO, "sync failed");
    if (d->manners.free_bytes == 0) rc = fail(error, RC_NO_SPACE, "No space left on device");
    file_finish(&s->rows);
    if (rc == RC_OK) {
        SIM_HEAP;
        put_file(d, s->path, buf_slice(&s->rows));
    }
    if (rc == RC_OK && file_bytes != NULL) *file_bytes = s->rows.len;
    kv_sst_abandon(s);
    return rc;
}

enum rc kv_ingest(struct kv *kv, const char *path, struct kv_error *error) {
    SIM_HEAP;
    struct slice ops;
    if (kv->failed) return fail(error, RC_IO, "files are accepted again after a restart");
    struct inode *file = disk_find(kv->disk, path);
    if (file == NULL) return fail(error, RC_IO, "no such file");
    if (!file_open(buf_slice(&file->data), &ops)) return fail(error, RC_CORRUPT, "the file is damaged");
    struct ptree *version = apply(ptree_keep(kv->db->now), ops, false);
    enum rc rc = write_version(kv, version, error);
    if (rc != RC_OK) return rc;
    file = disk_find(kv->disk, path);
    if (file != NULL && file_open(buf_slice(&file->data), &ops)) forget_rot_of(kv->db, ops);
    (void)disk_remove(kv->disk, path);
    kv->db->ingested++;
    kv->db->level0 = sim_chance(0.3) ? 0 : kv->db->level0 + 1;
    return RC_OK;
}

/* A few files, so that whoever carries them has to get all of them right. */
enum rc kv_checkpoint(struct kv *kv, const char *path, struct kv_error *error) {
    SIM_HEAP;
    if (disk_find(kv->disk, path) != NULL) return fail(error, RC_INVALID, "Invalid argument: it exists");
    if (disk_sync(kv->disk) != RC_OK) return fail(error, RC_IO, "sync failed");
    if (disk_make_dir(kv->disk, path, false) != RC_OK) return fail(error, RC_IO, "no such folder");
    struct ptree *root = ptree_keep(kv->db->now);
    size_t count = ptree_count(root), parts = sim_between(1, CHECKPOINT_FILES_MAX), at = 0;
    struct buf file = {0}, current = {0};
    char name[900];
    for (size_t part = 0; part < parts; part++) {
        struct ptree_row row;
        buf_clear(&file);
        buf_add_slice(&file, FILE_MAGIC);
        for (; at < count * (part + 1) / parts; at++) {
            CHECK(ptree_nth(root, at, &row));
            add_op(&file, OP_PUT, row.key, row.value, SLICE(""));
        }
        file_finish(&file);
        snprintf(name, sizeof name, "%s/%06zu.sst", path, part + 10);
        put_file(kv->disk, name, buf_slice(&file));
        buf_printf(&current, "%06zu.sst %08x\n", part + 10, crc32c(0, buf_slice(&file)));
    }
    snprintf(name, sizeof name, "%s/CURRENT", path);
    put_file(kv->disk, name, buf_slice(&current));
    ptree_drop(root);
    buf_free(&file);
    buf_free(&current);
    return RC_OK;
}

uint64_t kv_property(struct kv *kv, const char *name) {
    return strcmp(name, "num-files-at-level0") == 0 ? kv->db->level0 : 0;
}

uint64_t kv_memory(struct kv *kv) {
    return (1 << 20) + ptree_bytes(kv->db->now) / 16;
}
