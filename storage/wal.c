/* Formats here are RocksDB's: blocks of 32 KiB; in each, records that never cross its end; a record of a recyclable
 * file has a header of 11 bytes. A batch longer than the block becomes a first, some middle and a last record.
 *
 *   0  u32  masked crc32c of what follows the length
 *   4  u16  payload length
 *   6  u8   5 full, 6 first, 7 middle, 8 last
 *   7  u32  number of the file it was written for
 *  11       payload
 */
#include "wal.h"

#include "hash.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 32768,
    RECORD_HEAD_BYTES = 11,
    TYPE_FULL = 5,
    TYPE_FIRST = 6,
    TYPE_LAST = 8,
};

struct wal {
    int fd;
    uint32_t number;
    char *block;
    size_t block_len;
    off_t block_at;
};

/* False on a read error. A short block is the last one. */
static bool load(struct wal *w, off_t at) {
    w->block_at = at;
    w->block_len = 0;
    while (w->block_len < BLOCK_BYTES) {
        ssize_t n =
            pread(w->fd, w->block + w->block_len, BLOCK_BYTES - w->block_len, at + (off_t)w->block_len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (n == 0) break;
        w->block_len += (size_t)n;
    }
    return true;
}

/* The length of the whole record of this file at `at` of the block, or 0 when there is none. */
static size_t record_at(const struct wal *w, size_t at, int *type) {
    if (w->block_len < at + RECORD_HEAD_BYTES) return 0;
    const unsigned char *p = (const unsigned char *)w->block + at;
    uint32_t crc, number;
    memcpy(&crc, p, 4);
    memcpy(&number, p + 7, 4);
    size_t len = RECORD_HEAD_BYTES + (p[4] | (size_t)p[5] << 8);
    *type = p[6];
    if (*type < TYPE_FULL || *type > TYPE_LAST || number != w->number || at + len > w->block_len) return 0;
    uint32_t real = crc32c(0, slice_make(w->block + at + 6, len - 6));
    if (crc != ((real >> 15 | real << 17) + UINT32_C(0xa282ead8))) return 0;
    return len;
}

/* Whether a batch starts anywhere in the block at or after `at`. */
static bool starts_batch_after(const struct wal *w, size_t at) {
    for (; at + RECORD_HEAD_BYTES <= w->block_len; at++) {
        int type = (unsigned char)w->block[at + 6];
        if ((type == TYPE_FULL || type == TYPE_FIRST) && record_at(w, at, &type) != 0) return true;
    }
    return false;
}

/* Finds where the whole records end, and whether the batch that is not whole there was followed by another. */
static enum rc find_end(struct wal *w, off_t *end, bool *damaged) {
    size_t at = 0;
    *end = 0;
    *damaged = false;
    if (!load(w, 0)) return RC_IO;
    for (;;) {
        int type;
        size_t len = record_at(w, at, &type);
        if (len == 0 && at + RECORD_HEAD_BYTES > BLOCK_BYTES) len = BLOCK_BYTES - at; /* padding */
        if (len == 0) break;
        at += len;
        *end = w->block_at + (off_t)at;
        if (at < BLOCK_BYTES) continue;
        if (!load(w, w->block_at + BLOCK_BYTES)) return RC_IO;
        at = 0;
    }
    while (w->block_len > 0 && !(*damaged = starts_batch_after(w, at))) {
        if (!load(w, w->block_at + BLOCK_BYTES)) return RC_IO;
        at = 0;
    }
    return RC_OK;
}

enum rc wal_trim(int fd, uint64_t number, struct kv_error *error) {
    off_t size = lseek(fd, 0, SEEK_END), end = 0;
    if (size == 0) return RC_OK;
    struct wal w = {.fd = fd, .number = (uint32_t)number, .block = mem_alloc(BLOCK_BYTES)};
    bool damaged = false;
    enum rc rc = size < 0 ? RC_IO : find_end(&w, &end, &damaged);
    if (rc == RC_OK && !damaged && end < size && ftruncate(fd, end) != 0) rc = RC_IO;
    if (rc == RC_IO)
        snprintf(error->text, sizeof error->text, "cannot trim %06llu.log: %s", (unsigned long long)number,
                 strerror(errno));
    if (damaged) {
        snprintf(error->text, sizeof error->text, "%06llu.log is damaged at byte %lld of %lld",
                 (unsigned long long)number, (long long)end, (long long)size);
        rc = RC_CORRUPT;
    }
    mem_free(w.block);
    return rc;
}
