/* Formats here are RocksDB's: blocks of 32 KiB; in each, records that never cross its end; a record of a
 * recyclable file has a header of 11 bytes. A batch longer than the block becomes a first, some middle and
 * a last record.
 *
 *   0  u32  masked crc32c of what follows the length
 *   4  u16  payload length
 *   6  u8   5 full, 6 first, 7 middle, 8 last
 *   7  u32  number of the file it was written for
 *  11       payload */
#include "wal.h"

#include "hash.h"

enum { BLOCK_BYTES = 32768, RECORD_HEAD_BYTES = 11, TYPE_FULL = 5, TYPE_LAST = 8 };

#define CRC_MASK UINT32_C(0xa282ead8)

/* The length of the whole record at `at`, or 0 when there is none. */
static size_t record_at(struct slice file, size_t at, uint32_t number) {
    size_t space = BLOCK_BYTES - at % BLOCK_BYTES;
    if (space > file.len - at) space = file.len - at;
    if (space < RECORD_HEAD_BYTES) return 0;
    const unsigned char *p = (const unsigned char *)file.data + at;
    uint32_t crc, written_for;
    memcpy(&crc, p, 4);
    memcpy(&written_for, p + 7, 4);
    size_t len = RECORD_HEAD_BYTES + (p[4] | (size_t)p[5] << 8);
    if (p[6] < TYPE_FULL || p[6] > TYPE_LAST || written_for != number || len > space) return 0;
    uint32_t real = crc32c(0, slice_make(file.data + at + 6, len - 6));
    return crc == (real >> 15 | real << 17) + CRC_MASK ? len : 0;
}

size_t wal_end(struct slice file, uint64_t number) {
    size_t end = 0;
    for (size_t at = 0; at < file.len;) {
        size_t len = record_at(file, at, (uint32_t)number), space = BLOCK_BYTES - at % BLOCK_BYTES;
        if (len == 0 && space < RECORD_HEAD_BYTES) len = space; /* padding */
        if (len == 0) break;
        at += len;
        if (at <= file.len) end = at;
    }
    return end;
}
