/* The Raft log on RocksDB: rows, their chain, and what is believed after a crash. Formats and the table of
 * what is detected: storage/README.md. Promises: a batch is all there or not at all; what raft_log_write
 * answered RC_OK for is found again by raft_log_open, or raft_log_open refuses. Group commit and threads
 * are log_writer.c's.
 *
 * RocksDB replays its WAL around damaged records (kv.h). Before it does, wal.c has cut off what a power cut
 * tore and noted which batches lay behind what is broken; afterwards this file decides whether something is
 * missing:
 *   - every batch ends with a header row that says where the log ends, what was voted, and the batch's
 *     number;
 *   - every entry names the term of the one before it, so rows of different histories never fit together
 *     (Raft's log matching: index and term of an entry determine everything before it);
 *   - the floor file beside the database says, outside of RocksDB, which batch was surely synced: written
 *     after each sync, without a sync of its own. It outlives the process, so damage at the very end is not
 *     taken for a write that a power cut tore. */
#include "raft_log.h"

#include "hash.h"
#include "mem.h"
#include "wal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOG_TAG = 'L',
    ENTRY_KEY_BYTES = 9,
    HEADER_KEY_BYTES = 10,
    HEADER_KEY_SUFFIX = 1, /* sorts the header behind the entry of the same index */
    ENTRY_HEAD_BYTES = 21,
    HEADER_BYTES = 68,
    HEADER_CHECKED_BYTES = 64,
    LOG_VERSION = 1,
    FLOOR_VERSION = 1,
    FLOOR_SLOT_BYTES = 512, /* a disk writes a sector whole */
    FLOOR_SLOTS = 2,
    FLOOR_RECORD_BYTES = 40,
    FLOOR_CHECKED_BYTES = 36,
};

#define HEADER_MAGIC UINT32_C(0x674c6452) /* "RdLg" */
#define FLOOR_MAGIC  UINT32_C(0x6c466452) /* "RdFl" */

#define DAMAGED_SUFFIX ".damaged"

static_assert(ENTRY_HEAD_BYTES == 4 + 8 + 8 + 1, "entry: crc, term, prev_term, kind");
static_assert(HEADER_CHECKED_BYTES == 4 + 4 + 7 * 8 && HEADER_BYTES == HEADER_CHECKED_BYTES + 4,
              "header row");
static_assert(FLOOR_CHECKED_BYTES == 3 * 4 + 3 * 8 && FLOOR_RECORD_BYTES == FLOOR_CHECKED_BYTES + 4,
              "floor slot");

struct header {
    uint64_t seq; /* of the batch that wrote it, from 1 */
    struct log_hard_state hard_state;
    struct log_mark mark;
    uint64_t last_index, last_term;
};

/* The writer thread owns everything; readers on other threads see the atomics and their own iterators. */
struct raft_log {
    struct kv *kv;
    struct kv_batch *batch;
    int folder_fd; /* locked: nobody else trims or writes here */
    int floor_fd;
    uint32_t secret; /* begins the headers' checksums, so that no client's value passes for a header */
    size_t memtable_bytes;
    struct header now;    /* with cuts that no batch has written yet */
    struct header synced; /* as the last batch said */
    uint64_t bytes, bytes_at_last_drop;
    uint64_t seq_seen; /* of the newest batch in what opening cut off the WALs */
    _Atomic uint64_t shared_mark, shared_last;
    _Atomic uint64_t shared_rewinds; /* odd while a batch that replaces or drops entries is being written */
};

static enum rc fail(struct kv_error *error, enum rc rc, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return rc;
}

static enum rc fail_errno(struct kv_error *error, const char *what, const char *path) {
    int saved = errno;
    return fail(error, saved == ENOSPC ? RC_NO_SPACE : RC_IO, "%s %s: %s", what, path, strerror(saved));
}

/* ---- rows ---- */

struct key {
    char bytes[HEADER_KEY_BYTES];
};

static struct slice key_of(struct key *k, uint64_t index, bool header) {
    uint64_t be = __builtin_bswap64(index);
    k->bytes[0] = LOG_TAG;
    memcpy(k->bytes + 1, &be, sizeof be);
    k->bytes[ENTRY_KEY_BYTES] = HEADER_KEY_SUFFIX;
    return slice_make(k->bytes, header ? HEADER_KEY_BYTES : ENTRY_KEY_BYTES);
}

static bool key_parse(struct slice key, uint64_t *index, bool *header) {
    if (key.len != ENTRY_KEY_BYTES && key.len != HEADER_KEY_BYTES) return false;
    if (key.data[0] != LOG_TAG) return false;
    if (key.len == HEADER_KEY_BYTES && key.data[ENTRY_KEY_BYTES] != HEADER_KEY_SUFFIX) return false;
    uint64_t be;
    memcpy(&be, key.data + 1, sizeof be);
    *index = __builtin_bswap64(be);
    *header = key.len == HEADER_KEY_BYTES;
    return true;
}

/* The index is part of what is checked, so that a record is never taken for its neighbour's. */
static uint32_t entry_crc(uint64_t index, struct slice head_behind_crc, struct slice payload) {
    uint32_t crc = crc32c(0, slice_make((const char *)&index, sizeof index));
    return crc32c(crc32c(crc, head_behind_crc), payload);
}

static void entry_head(char *out, const struct log_entry *e, uint64_t prev_term) {
    memcpy(out + 4, &e->term, 8);
    memcpy(out + 12, &prev_term, 8);
    out[20] = (char)e->kind;
    uint32_t crc = entry_crc(e->index, slice_make(out + 4, ENTRY_HEAD_BYTES - 4), e->payload);
    memcpy(out, &crc, 4);
}

static bool entry_parse(uint64_t index, struct slice row, struct log_entry *e, uint64_t *prev_term) {
    struct slice head;
    if (!slice_take(&row, ENTRY_HEAD_BYTES, &head)) return false;
    uint32_t crc;
    memcpy(&crc, head.data, 4);
    if (crc != entry_crc(index, slice_make(head.data + 4, ENTRY_HEAD_BYTES - 4), row)) return false;
    memcpy(&e->term, head.data + 4, 8);
    memcpy(prev_term, head.data + 12, 8);
    e->index = index;
    e->kind = (uint8_t)head.data[20];
    e->payload = row;
    return true;
}

static void put32(char **p, uint32_t v) {
    memcpy(*p, &v, sizeof v);
    *p += sizeof v;
}

static void put64(char **p, uint64_t v) {
    memcpy(*p, &v, sizeof v);
    *p += sizeof v;
}

static void header_encode(char out[HEADER_BYTES], const struct header *h, uint32_t secret) {
    char *p = out;
    put32(&p, HEADER_MAGIC);
    put32(&p, LOG_VERSION);
    put64(&p, h->seq);
    put64(&p, h->hard_state.term);
    put64(&p, h->hard_state.vote);
    put64(&p, h->mark.index);
    put64(&p, h->mark.term);
    put64(&p, h->last_index);
    put64(&p, h->last_term);
    CHECK(p == out + HEADER_CHECKED_BYTES);
    put32(&p, crc32c(secret, slice_make(out, HEADER_CHECKED_BYTES)));
}

static enum rc header_decode(struct slice row, uint32_t secret, struct header *h, struct kv_error *error) {
    struct slice checked = slice_make(row.data, HEADER_CHECKED_BYTES);
    uint32_t magic, version, crc;
    if (row.len != HEADER_BYTES || !slice_take_u32le(&row, &magic) || magic != HEADER_MAGIC)
        return fail(error, RC_CORRUPT, "the Raft log's header is not one");
    if (!slice_take_u32le(&row, &version) || version != LOG_VERSION)
        return fail(error, RC_CORRUPT, "the Raft log has version %u, this program reads %u", version,
                    LOG_VERSION);
    bool whole = slice_take_u64le(&row, &h->seq) && slice_take_u64le(&row, &h->hard_state.term) &&
                 slice_take_u64le(&row, &h->hard_state.vote) && slice_take_u64le(&row, &h->mark.index) &&
                 slice_take_u64le(&row, &h->mark.term) && slice_take_u64le(&row, &h->last_index) &&
                 slice_take_u64le(&row, &h->last_term) && slice_take_u32le(&row, &crc);
    CHECK(whole);
    if (crc != crc32c(secret, checked))
        return fail(error, RC_CORRUPT, "the Raft log's header has a bad checksum");
    return RC_OK;
}

/* ---- the floor ---- */

struct floor_slot {
    uint32_t secret;
    uint64_t seq, last_index, last_term;
};

static void floor_encode(char out[FLOOR_RECORD_BYTES], const struct header *h, uint32_t secret) {
    char *p = out;
    put32(&p, FLOOR_MAGIC);
    put32(&p, FLOOR_VERSION);
    put32(&p, secret);
    put64(&p, h->seq);
    put64(&p, h->last_index);
    put64(&p, h->last_term);
    CHECK(p == out + FLOOR_CHECKED_BYTES);
    put32(&p, crc32c(0, slice_make(out, FLOOR_CHECKED_BYTES)));
}

static bool floor_decode(struct slice record, struct floor_slot *out) {
    struct slice checked = slice_make(record.data, FLOOR_CHECKED_BYTES);
    uint32_t magic, version, crc;
    return slice_take_u32le(&record, &magic) && slice_take_u32le(&record, &version) &&
           slice_take_u32le(&record, &out->secret) && slice_take_u64le(&record, &out->seq) &&
           slice_take_u64le(&record, &out->last_index) && slice_take_u64le(&record, &out->last_term) &&
           slice_take_u32le(&record, &crc) && magic == FLOOR_MAGIC && version == FLOOR_VERSION &&
           crc == crc32c(0, checked);
}

static void path_in(struct buf *out, const char *folder, const char *name) {
    buf_clear(out);
    buf_printf(out, "%s/%s", folder, name);
    buf_add_byte(out, 0);
}

static enum rc sync_folder(const char *path, struct kv_error *error) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(error, "open", path);
    int failed = fsync(fd);
    if (failed) (void)fail_errno(error, "fsync", path);
    close(fd);
    return failed ? RC_IO : RC_OK;
}

/* Two alternating slots: a write that is torn spares the other one. */
static enum rc floor_write(struct raft_log *log, struct kv_error *error) {
    char record[FLOOR_RECORD_BYTES];
    floor_encode(record, &log->now, log->secret);
    off_t at = (off_t)(log->now.seq % FLOOR_SLOTS) * FLOOR_SLOT_BYTES;
    ssize_t n = pwrite(log->floor_fd, record, sizeof record, at);
    if (n == (ssize_t)sizeof record) return RC_OK;
    if (n >= 0) errno = EIO;
    return fail_errno(error, "write", "the Raft log's floor file");
}

/* Before the first row: a log without a floor is empty, or somebody took its floor away. */
static enum rc floor_create(struct raft_log *log, const char *folder, struct kv_error *error) {
    if (getrandom(&log->secret, sizeof log->secret, 0) != (ssize_t)sizeof log->secret)
        return fail_errno(error, "draw a random number for", folder);
    struct buf fresh = {0}, final = {0};
    path_in(&fresh, folder, "floor.new");
    path_in(&final, folder, "floor");
    char image[FLOOR_SLOTS * FLOOR_SLOT_BYTES] = {0};
    for (int i = 0; i < FLOOR_SLOTS; i++) floor_encode(image + i * FLOOR_SLOT_BYTES, &log->now, log->secret);
    enum rc rc = RC_OK;
    log->floor_fd = open(fresh.data, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (log->floor_fd < 0)
        rc = fail_errno(error, "create", fresh.data);
    else if (pwrite(log->floor_fd, image, sizeof image, 0) != (ssize_t)sizeof image ||
             fsync(log->floor_fd) != 0 || rename(fresh.data, final.data) != 0)
        rc = fail_errno(error, "write", fresh.data);
    else
        rc = sync_folder(folder, error);
    buf_free(&fresh);
    buf_free(&final);
    return rc;
}

/* RC_NOT_FOUND when there is no such file. One readable slot is enough: it is the newest, or the one
 * before. */
static enum rc floor_open(struct raft_log *log, const char *folder, struct floor_slot *best,
                          struct kv_error *error) {
    struct buf path = {0};
    path_in(&path, folder, "floor");
    enum rc rc = RC_OK;
    ssize_t got;
    char image[FLOOR_SLOTS * FLOOR_SLOT_BYTES];
    log->floor_fd = open(path.data, O_RDWR | O_CLOEXEC);
    if (log->floor_fd < 0)
        rc = errno == ENOENT ? RC_NOT_FOUND : fail_errno(error, "open", path.data);
    else if ((got = pread(log->floor_fd, image, sizeof image, 0)) < 0)
        rc = fail_errno(error, "read", path.data);
    else if (got != (ssize_t)sizeof image)
        rc = fail(error, RC_CORRUPT, "%s is too short", path.data);
    if (rc == RC_OK) {
        bool any = false;
        for (int i = 0; i < FLOOR_SLOTS; i++) {
            struct floor_slot slot;
            if (!floor_decode(slice_make(image + i * FLOOR_SLOT_BYTES, FLOOR_RECORD_BYTES), &slot)) continue;
            if (!any || slot.seq > best->seq) *best = slot;
            any = true;
        }
        if (!any) rc = fail(error, RC_CORRUPT, "%s: no readable slot", path.data);
    }
    buf_free(&path);
    return rc;
}

/* ---- reading ---- */

/* Walks the entries in [from, to] and checks index, checksum and chain. *prev_term is the term before
 * `from`, or UINT64_MAX when the caller does not know it; afterwards that of the last entry. */
static enum rc walk(struct raft_log *log, uint64_t from, uint64_t to, uint64_t *prev_term,
                    log_visit_fn *visit, void *arg, struct kv_error *error) {
    struct key k, end;
    struct kv_iter *it = kv_iter_new(log->kv, key_of(&end, to, true), false);
    kv_iter_seek(it, key_of(&k, from, false));
    enum rc rc = RC_OK;
    uint64_t want = from;
    for (; rc == RC_OK && want <= to; kv_iter_next(it)) {
        if (!kv_iter_valid(it)) {
            rc = kv_iter_error(it, error);
            if (rc == RC_OK) rc = fail(error, RC_CORRUPT, "entry %llu is missing", (unsigned long long)want);
            break;
        }
        uint64_t index, before;
        bool header;
        struct log_entry e;
        if (!key_parse(kv_iter_key(it), &index, &header))
            rc = fail(error, RC_CORRUPT, "a key of unknown form");
        else if (header)
            continue;
        else if (index != want)
            rc = fail(error, RC_CORRUPT, "entry %llu is missing", (unsigned long long)want);
        else if (!entry_parse(index, kv_iter_value(it), &e, &before))
            rc = fail(error, RC_CORRUPT, "entry %llu has a bad checksum", (unsigned long long)index);
        else if ((*prev_term != UINT64_MAX && before != *prev_term) || e.term < before)
            rc = fail(error, RC_CORRUPT, "entry %llu does not continue the one before",
                      (unsigned long long)index);
        else {
            *prev_term = e.term;
            want++;
            if (visit != NULL) rc = visit(arg, &e);
        }
    }
    kv_iter_free(it);
    return rc;
}

/* RC_NOT_FOUND for a database without rows. */
static enum rc find_header(struct raft_log *log, struct header *h, struct kv_error *error) {
    struct key k;
    struct kv_iter *it = kv_iter_new(log->kv, slice_make(NULL, 0), false);
    kv_iter_seek_back(it, key_of(&k, UINT64_MAX, true));
    enum rc rc = RC_OK;
    uint64_t index;
    bool header;
    if (!kv_iter_valid(it)) {
        rc = kv_iter_error(it, error);
        if (rc == RC_OK) rc = RC_NOT_FOUND;
    } else if (!key_parse(kv_iter_key(it), &index, &header) || !header) {
        rc = fail(error, RC_CORRUPT, "the Raft log does not end with a header");
    } else {
        rc = header_decode(kv_iter_value(it), log->secret, h, error);
        if (rc == RC_OK && h->last_index != index)
            rc = fail(error, RC_CORRUPT, "the header is of another index");
    }
    kv_iter_free(it);
    return rc;
}

/* ---- opening ---- */

/* Before anything in the folder is touched, for RocksDB takes its own lock too late. */
static enum rc lock_folder(struct raft_log *log, const char *path, struct kv_error *error) {
    if (mkdir(path, 0755) != 0 && errno != EEXIST) return fail_errno(error, "create", path);
    log->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->folder_fd < 0) return fail_errno(error, "open", path);
    if (flock(log->folder_fd, LOCK_EX | LOCK_NB) == 0) return RC_OK;
    if (errno != EWOULDBLOCK) return fail_errno(error, "lock", path);
    return fail(error, RC_BUSY, "%s is in use by another process", path);
}

/* The number of the newest batch whose header row lies anywhere in these bytes, 0 for none. */
static uint64_t newest_seq_in(const struct raft_log *log, struct slice bytes) {
    const uint32_t magic = HEADER_MAGIC;
    uint64_t newest = 0;
    for (const char *p = bytes.data, *end = p + bytes.len;
         (p = memmem(p, (size_t)(end - p), &magic, sizeof magic)) != NULL &&
         (size_t)(end - p) >= HEADER_BYTES;
         p++) {
        struct header h;
        struct kv_error why; /* nobody's: most places where the magic stands are no header */
        if (header_decode(slice_make(p, HEADER_BYTES), log->secret, &h, &why) == RC_OK && h.seq > newest)
            newest = h.seq;
    }
    return newest;
}

static enum rc read_file(int fd, struct buf *out) {
    for (;;) {
        buf_reserve(out, 1 << 16);
        ssize_t n = read(fd, buf_tail(out), 1 << 16);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return RC_IO;
        if (n == 0) return RC_OK;
        out->len += (size_t)n;
    }
}

static enum rc keep_damaged(int folder_fd, const char *name, struct slice content) {
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return RC_IO;
    enum rc rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < content.len;) {
        ssize_t n = write(fd, content.data + at, content.len - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            rc = RC_IO;
        else
            at += (size_t)n;
    }
    if (rc == RC_OK && (fsync(fd) != 0 || fsync(folder_fd) != 0)) rc = RC_IO;
    close(fd);
    return rc;
}

/* Cuts off what is behind a WAL's whole records (wal.h). That is a torn write, or what the file's former
 * life left (also under its old name, for a power cut may undo the renaming): then it names no batch that
 * is newer than the one being written. Or it is damage: then later batches lie behind it, and check_rest()
 * will refuse. Only the opened database knows which was the last batch; until then a file that may be
 * damaged is kept beside the trimmed one. */
static enum rc trim_wal(struct raft_log *log, int fd, const char *name) {
    struct buf content = {0};
    enum rc rc = read_file(fd, &content);
    if (rc == RC_OK) {
        struct slice all = buf_slice(&content);
        size_t end = wal_end(all, strtoull(name, NULL, 10));
        uint64_t seq_in = newest_seq_in(log, slice_make(all.data, end));
        uint64_t seq_behind = newest_seq_in(log, slice_make(all.data + end, all.len - end));
        if (seq_behind > log->seq_seen) log->seq_seen = seq_behind;
        if (seq_behind > seq_in + 1) {
            char kept[300];
            snprintf(kept, sizeof kept, "%s" DAMAGED_SUFFIX, name);
            rc = keep_damaged(log->folder_fd, kept, all);
        }
        if (rc == RC_OK && end < all.len && ftruncate(fd, (off_t)end) != 0) rc = RC_IO;
    }
    buf_free(&content);
    return rc;
}

static bool has_suffix(const char *name, const char *suffix) {
    size_t len = strlen(name), suffix_len = strlen(suffix);
    return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* What a process wrote and did not live to sync is in the page cache only, and after a sync that failed the
 * cache even calls it clean. We are about to count it as stored, so it goes to the disk first, and is read
 * from there. */
static enum rc settle_wals(struct raft_log *log, const char *path, struct kv_error *error) {
    DIR *dir = opendir(path);
    if (dir == NULL) return fail_errno(error, "open", path);
    enum rc rc = RC_OK;
    for (struct dirent *d; rc == RC_OK && (d = readdir(dir)) != NULL;) {
        bool damaged = has_suffix(d->d_name, DAMAGED_SUFFIX);
        if (!damaged && !has_suffix(d->d_name, ".log")) continue;
        int fd = openat(dirfd(dir), d->d_name, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            rc = fail_errno(error, "open", d->d_name);
        } else if (damaged) { /* from a start that did not come to its end */
            struct buf content = {0};
            rc = read_file(fd, &content);
            uint64_t seq = newest_seq_in(log, buf_slice(&content));
            if (seq > log->seq_seen) log->seq_seen = seq;
            buf_free(&content);
        } else if ((rc = trim_wal(log, fd, d->d_name)) == RC_OK && fdatasync(fd) != 0) {
            rc = RC_IO;
        }
        if (fd >= 0) {
            if (rc == RC_IO) rc = fail_errno(error, "read, trim or sync", d->d_name);
            (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            close(fd);
        }
    }
    if (rc == RC_OK && fsync(dirfd(dir)) != 0) rc = fail_errno(error, "sync", path);
    closedir(dir);
    return rc;
}

/* At most one batch is being written, and only it may be torn: whatever was cut off and is two ahead had
 * been synced before the one behind it was written. */
static enum rc check_rest(struct raft_log *log, struct kv_error *error) {
    if (log->seq_seen <= log->now.seq + 1) return RC_OK;
    return fail(
        error, RC_CORRUPT,
        "a WAL is damaged: batch %llu was on disk, what is readable ends with %llu; see *" DAMAGED_SUFFIX,
        (unsigned long long)log->seq_seen, (unsigned long long)log->now.seq);
}

static void forget_damaged(struct raft_log *log, const char *path) {
    DIR *dir = opendir(path);
    for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;)
        if (has_suffix(d->d_name, DAMAGED_SUFFIX)) (void)unlinkat(log->folder_fd, d->d_name, 0);
    if (dir != NULL) closedir(dir);
}

/* Makes the floor of a new log. Refuses before RocksDB could make a new database where one was. */
static enum rc find_floor(struct raft_log *log, const char *path, struct floor_slot *floor,
                          struct kv_error *error) {
    bool has_database = faccessat(log->folder_fd, "CURRENT", F_OK, 0) == 0;
    enum rc rc = floor_open(log, path, floor, error);
    if (rc == RC_OK) log->secret = floor->secret;
    if (rc == RC_OK && floor->seq > 0 && !has_database)
        return fail(error, RC_CORRUPT, "%s: the log is gone, its floor file is not", path);
    if (rc == RC_NOT_FOUND && has_database)
        return fail(error, RC_CORRUPT, "%s: the log's floor file is missing", path);
    return rc == RC_NOT_FOUND ? floor_create(log, path, error) : rc;
}

static enum rc check_against_floor(const struct header *h, const struct floor_slot *floor,
                                   struct kv_error *error) {
    if (h->seq < floor->seq)
        return fail(error, RC_CORRUPT,
                    "the log ends with batch %llu (entry %llu), but batch %llu (entry %llu) was on disk",
                    (unsigned long long)h->seq, (unsigned long long)h->last_index,
                    (unsigned long long)floor->seq, (unsigned long long)floor->last_index);
    if (h->seq == floor->seq && (h->last_index != floor->last_index || h->last_term != floor->last_term))
        return fail(error, RC_CORRUPT, "the log and its floor file are of different histories");
    return RC_OK;
}

static enum rc check_entries(struct raft_log *log, struct kv_error *error) {
    const struct header *h = &log->now;
    if (h->last_index < h->mark.index || h->last_term < h->mark.term || h->hard_state.term < h->last_term)
        return fail(error, RC_CORRUPT, "the Raft log's header contradicts itself");
    uint64_t term = h->mark.term;
    if (h->last_index > h->mark.index) {
        enum rc rc = walk(log, h->mark.index + 1, h->last_index, &term, NULL, NULL, error);
        if (rc != RC_OK) return rc;
    }
    if (term != h->last_term)
        return fail(error, RC_CORRUPT, "the last entry is of term %llu, not %llu", (unsigned long long)term,
                    (unsigned long long)h->last_term);
    return RC_OK;
}

static void share(struct raft_log *log) {
    atomic_store_explicit(&log->shared_mark, log->now.mark.index, memory_order_release);
    atomic_store_explicit(&log->shared_last, log->now.last_index, memory_order_release);
}

enum rc raft_log_open(const char *path, const struct raft_log_options *options, struct raft_log **out,
                      struct kv_error *error) {
    struct raft_log *log = mem_calloc(1, sizeof *log);
    log->folder_fd = log->floor_fd = -1;
    log->memtable_bytes = options->memtable_bytes;
    log->batch = kv_batch_new();
    struct kv_options kv_options = {
        .profile = KV_RAFT_LOG, .memtable_bytes = options->memtable_bytes, .background_threads = 2};
    struct floor_slot floor = {0};
    enum rc rc = lock_folder(log, path, error);
    if (rc == RC_OK) rc = find_floor(log, path, &floor, error);
    if (rc == RC_OK) rc = settle_wals(log, path, error);
    if (rc == RC_OK) rc = kv_open(path, &kv_options, &log->kv, error);
    if (rc == RC_OK) rc = find_header(log, &log->now, error);
    if (rc == RC_NOT_FOUND) rc = RC_OK; /* nothing was written yet, or the floor knows better */
    if (rc == RC_OK) rc = check_rest(log, error);
    if (rc == RC_OK) rc = check_against_floor(&log->now, &floor, error);
    if (rc == RC_OK) rc = check_entries(log, error);
    if (rc != RC_OK) goto failed;
    forget_damaged(log, path);
    log->synced = log->now;
    share(log);
    *out = log;
    return RC_OK;

failed:
    if (log->floor_fd >= 0) close(log->floor_fd);
    kv_close(log->kv);
    if (log->folder_fd >= 0) close(log->folder_fd);
    kv_batch_free(log->batch);
    mem_free(log);
    return rc;
}

void raft_log_close(struct raft_log *log) {
    if (log == NULL) return;
    /* After a clean stop the floor is on disk too. Failing here loses nothing: an older floor is a lower
     * one. */
    (void)!fdatasync(log->floor_fd);
    close(log->floor_fd);
    kv_close(log->kv);
    close(log->folder_fd);
    kv_batch_free(log->batch);
    mem_free(log);
}

struct log_hard_state raft_log_hard_state(const struct raft_log *log) {
    return log->now.hard_state;
}
struct log_mark raft_log_mark(const struct raft_log *log) {
    return log->now.mark;
}
uint64_t raft_log_last_index(const struct raft_log *log) {
    return log->now.last_index;
}
uint64_t raft_log_last_term(const struct raft_log *log) {
    return log->now.last_term;
}
uint64_t raft_log_bytes(const struct raft_log *log) {
    return log->bytes;
}

/* ---- writing ---- */

static enum rc term_at(struct raft_log *log, uint64_t index, uint64_t *term, struct kv_error *error) {
    if (index == log->now.last_index) {
        *term = log->now.last_term;
        return RC_OK;
    }
    if (index == log->now.mark.index) {
        *term = log->now.mark.term;
        return RC_OK;
    }
    struct key k;
    struct buf row = {0};
    struct log_entry e;
    uint64_t before;
    enum rc rc = kv_get(log->kv, key_of(&k, index, false), &row, error);
    if (rc == RC_NOT_FOUND)
        rc = fail(error, RC_CORRUPT, "entry %llu is missing", (unsigned long long)index);
    else if (rc == RC_OK && !entry_parse(index, buf_slice(&row), &e, &before))
        rc = fail(error, RC_CORRUPT, "entry %llu has a bad checksum", (unsigned long long)index);
    if (rc == RC_OK) *term = e.term;
    buf_free(&row);
    return rc;
}

/* Puts the entries into the batch and moves the end of `h` behind them. */
static void batch_entries(struct kv_batch *b, const struct log_batch *batch, uint64_t prev_term,
                          struct header *h, uint64_t *bytes) {
    for (size_t i = 0; i < batch->entry_count; i++) {
        const struct log_entry *e = &batch->entries[i];
        CHECK(i == 0 || e->index == batch->entries[i - 1].index + 1);
        CHECK(e->term > 0 && e->term >= prev_term);
        char head[ENTRY_HEAD_BYTES];
        struct key k;
        entry_head(head, e, prev_term);
        kv_batch_put2(b, key_of(&k, e->index, false), slice_make(head, sizeof head), e->payload);
        prev_term = e->term;
        *bytes += e->payload.len;
    }
    h->last_index = batch->entries[batch->entry_count - 1].index;
    h->last_term = prev_term;
}

/* Puts the rows behind the new end into the batch, entries and headers, to be deleted: the last row says where the log
 * ends. */
static void batch_drop_tail(struct raft_log *log, uint64_t last_index) {
    struct key from, to;
    if (last_index >= log->now.last_index) return;
    kv_batch_delete_range(log->batch, key_of(&from, last_index + 1, false),
                          key_of(&to, log->now.last_index + 1, false));
}

/* Writes the batch with its header. `rewinds`: entries that readers may be looking at are replaced or dropped. */
static enum rc batch_write(struct raft_log *log, const struct header *next, bool rewinds,
                           struct kv_error *error) {
    char row[HEADER_BYTES];
    struct key k;
    header_encode(row, next, log->secret);
    kv_batch_put(log->batch, key_of(&k, next->last_index, true), slice_make(row, sizeof row));
    if (rewinds) atomic_fetch_add_explicit(&log->shared_rewinds, 1, memory_order_seq_cst);
    enum rc rc = kv_write(log->kv, log->batch, true, error);
    if (rc != RC_OK) return rc;
    log->now = log->synced = *next;
    share(log);
    if (rewinds) atomic_fetch_add_explicit(&log->shared_rewinds, 1, memory_order_seq_cst);
    return RC_OK;
}

enum rc raft_log_write(struct raft_log *log, const struct log_batch *batch, struct kv_error *error) {
    struct header next = log->now;
    bool rewinds = false;
    uint64_t bytes = 0;
    next.seq++;
    kv_batch_clear(log->batch);
    if (batch->hard_state != NULL) {
        CHECK(batch->hard_state->term >= next.hard_state.term);
        next.hard_state = *batch->hard_state;
    }
    if (batch->entry_count > 0) {
        uint64_t first = batch->entries[0].index, prev_term = 0;
        CHECK(first > next.mark.index);
        CHECK(first <= next.last_index + 1);
        enum rc found = term_at(log, first - 1, &prev_term, error);
        if (found != RC_OK) return found;
        batch_entries(log->batch, batch, prev_term, &next, &bytes);
        CHECK(next.hard_state.term >= next.last_term);
        rewinds = first <= log->now.last_index;
        batch_drop_tail(log, next.last_index);
    }
    enum rc rc = batch_write(log, &next, rewinds, error);
    if (rc != RC_OK) return rc;
    log->bytes += bytes;
    enum { BATCH_KEEP_MAX = 8 << 20 };
    if (bytes > BATCH_KEEP_MAX) { /* it would hold the memory of its largest entry for ever */
        kv_batch_free(log->batch);
        log->batch = kv_batch_new();
    }
    /* Answer RC_OK only when the floor stands: it is what tells a lost batch from one never promised. */
    return floor_write(log, error);
}

enum rc raft_log_reset(struct raft_log *log, struct log_mark mark, const struct log_hard_state *hard_state,
                       struct kv_error *error) {
    struct header next = log->now;
    CHECK(mark.index > 0);
    CHECK(mark.index >= next.mark.index);
    CHECK(mark.term >= next.mark.term);
    next.seq++;
    if (hard_state != NULL) {
        CHECK(hard_state->term >= next.hard_state.term);
        next.hard_state = *hard_state;
    }
    /* A node that has never been in the mark's term has voted for nobody in it. */
    if (next.hard_state.term < mark.term) next.hard_state = (struct log_hard_state){.term = mark.term};
    next.mark = mark;
    next.last_index = mark.index;
    next.last_term = mark.term;
    kv_batch_clear(log->batch);
    batch_drop_tail(log, mark.index);
    enum rc rc = batch_write(log, &next, true, error);
    return rc == RC_OK ? floor_write(log, error) : rc;
}

enum rc raft_log_read(struct raft_log *log, uint64_t from, uint64_t to, log_visit_fn *visit, void *arg,
                      struct kv_error *error) {
    uint64_t rewinds = atomic_load_explicit(&log->shared_rewinds, memory_order_seq_cst);
    uint64_t mark = atomic_load_explicit(&log->shared_mark, memory_order_acquire);
    uint64_t last = atomic_load_explicit(&log->shared_last, memory_order_acquire);
    if (from <= mark) return fail(error, RC_NOT_FOUND, "entry %llu was cut", (unsigned long long)from);
    if (to > last) return fail(error, RC_INVALID, "entry %llu is not written", (unsigned long long)to);
    if (from > to) return RC_OK;
    uint64_t term = UINT64_MAX;
    enum rc rc = walk(log, from, to, &term, visit, arg, error);
    if (rc != RC_CORRUPT) return rc;
    /* Between our look at the ends and the iterator's birth the writer may have moved them: no hole then. */
    if (from <= atomic_load_explicit(&log->shared_mark, memory_order_acquire))
        return fail(error, RC_NOT_FOUND, "entry %llu was cut", (unsigned long long)from);
    if (rewinds % 2 != 0 || rewinds != atomic_load_explicit(&log->shared_rewinds, memory_order_seq_cst))
        return fail(error, RC_INVALID, "entry %llu was replaced", (unsigned long long)to);
    return rc;
}

enum rc raft_log_cut(struct raft_log *log, struct log_mark mark, struct kv_error *error) {
    if (mark.index <= log->now.mark.index) return RC_OK;
    if (mark.index <= log->now.last_index) {
        uint64_t term = 0;
        enum rc rc = term_at(log, mark.index, &term, error);
        if (rc != RC_OK) return rc;
        CHECK(term == mark.term);
    } else {
        /* A snapshot that is ahead of the log: nothing of the log is left. */
        CHECK(mark.term >= log->now.last_term);
        CHECK(mark.term <= log->now.hard_state.term);
        log->now.last_index = mark.index;
        log->now.last_term = mark.term;
    }
    log->now.mark = mark; /* travels in the next batch's header */
    share(log);

    /* Files go behind the mark that is on disk already, and never the row that holds the newest header
     * there. */
    if (log->bytes - log->bytes_at_last_drop < log->memtable_bytes) return RC_OK;
    log->bytes_at_last_drop = log->bytes;
    uint64_t keep = log->synced.mark.index + 1;
    if (keep > log->synced.last_index) keep = log->synced.last_index;
    struct key to;
    kv_drop_files_below(log->kv, key_of(&to, keep, false));
    return RC_OK;
}
