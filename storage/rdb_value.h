/* A value as Redis's DUMP writes it and RESTORE reads it: pure, bytes from and to a caller's buffers.
 *
 *     payload:  type (1)  value (n)  version (2, little-endian)  CRC-64 of all before (8, little-endian)
 *     type 0, a string:
 *       00llllll                       length, then so many bytes
 *       01llllll llllllll              length, big-endian
 *       10000000 and 4 bytes           length, big-endian
 *       10000001 and 8 bytes           length, big-endian
 *       11000000 and 1 byte            an integer, little-endian, spelled out as text
 *       11000001 and 2 bytes           likewise
 *       11000010 and 4 bytes           likewise
 *       11000011 packed plain bytes    LZF: both lengths as above, then `packed` bytes that unpack to `plain`
 *
 * The other types come with their codecs. A text of more than 20 bytes is packed when that saves at least 4; the
 * packer makes the choices of Redis's own, so that the same value gives the same payload. */
#ifndef STORAGE_RDB_VALUE_H
#define STORAGE_RDB_VALUE_H

#include "buf.h"
#include "check.h"

enum { RDB_VERSION = 10, RDB_FOOTER_SIZE = 10 };

/* Appends the whole payload. */
void rdb_dump_string(struct buf *out, struct slice text);

/* Whether version and checksum are right; RC_INVALID when not. */
MUST_USE enum rc rdb_verify(struct slice payload);
/* The string in a payload; *text points into the payload or into *store, which the caller frees whatever happens.
 * RC_INVALID when it is no string, malformed, or longer than len_max. Bytes behind the value are ignored, and a value
 * may reach into the footer: Redis looks for its end no closer than that. */
MUST_USE enum rc rdb_read_string(struct slice payload, size_t len_max, struct buf *store, struct slice *text);

/* LZF of `plain` into `out`; returns the packed length, 0 when it would not fit into out_cap. */
size_t lzf_pack(struct slice plain, char *out, size_t out_cap);
/* And back: true when `packed` is whole and gives exactly out_len bytes. */
bool lzf_unpack(struct slice packed, char *out, size_t out_len);

#endif
