/* The words of RDB payloads: lengths, texts, fixed-width numbers. Pure.
 *
 *     length:  00llllll                      6 bits
 *              01llllll llllllll             14 bits, big-endian
 *              10000000 and 4 bytes          big-endian
 *              10000001 and 8 bytes          big-endian
 *     text:    length, bytes
 *              11000000 and 1 byte           an integer, little-endian, spelled out
 *              11000001 and 2 bytes          likewise
 *              11000010 and 4 bytes          likewise
 *              11000011 packed plain bytes   LZF: both lengths as above, then `packed` bytes that unpack to `plain`
 *
 * A text of more than 20 bytes is packed when that saves at least 4. Everything that is taken was written by a stranger: no
 * length is believed before the bytes for it have been counted, and nothing is allocated that the input could not fill. Each
 * rdb_take takes from the front of *s, false when that is malformed or too short. */
#ifndef STORAGE_RDB_CODEC_H
#define STORAGE_RDB_CODEC_H

#include "buf.h"
#include "check.h"

void rdb_add_len(struct buf *out, uint64_t len);
void rdb_add_text(struct buf *out, struct slice text);

MUST_USE bool rdb_take_len(struct slice *s, uint64_t *len);
/* Milliseconds. */
MUST_USE bool rdb_take_time(struct slice *s, int64_t *ms);

/* Takes texts, one after the other. */
struct rdb_texts {
    struct slice *from;
    size_t len_max;   /* of one */
    struct buf store; /* of a text that was packed; the caller's to free */
};
/* *text is good until the next one: it points into the payload, or into the store. */
MUST_USE bool rdb_take_text(struct rdb_texts *t, struct slice *text);

#endif
