/* A buf owns bytes that grow at the end: exactly one buf_free() later. All-zero is the empty buffer.
 * Fixed-width integers are little-endian (`_le`) or, where byte order must be key order, big-endian (`_be`). */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "slice.h"

#include <assert.h>

struct buf {
    char *data;
    size_t len, cap;
};

void buf_free(struct buf *b);
/* Makes room for `more` further bytes; growth is geometric. */
void buf_grow(struct buf *b, size_t more);

/* Makes room for `more` further bytes of `total` that are announced: for exactly all of them as soon as a sixteenth is there,
 * so that a claim alone takes no memory, and what is large is hardly copied while it comes. */
void buf_expect(struct buf *b, size_t more, size_t total);

static inline void buf_reserve(struct buf *b, size_t more) {
    if (b->cap - b->len < more) buf_grow(b, more);
}
static inline void buf_clear(struct buf *b) {
    b->len = 0;
}
static inline struct slice buf_slice(const struct buf *b) {
    return (struct slice){b->data, b->len};
}
static inline char *buf_tail(struct buf *b) {
    return b->data + b->len;
}

static inline void buf_add(struct buf *b, const void *data, size_t len) {
    buf_reserve(b, len);
    if (len != 0) memcpy(b->data + b->len, data, len);
    b->len += len;
}
static inline void buf_add_slice(struct buf *b, struct slice s) {
    buf_add(b, s.data, s.len);
}
static inline void buf_add_str(struct buf *b, const char *s) {
    buf_add(b, s, strlen(s));
}
static inline void buf_add_byte(struct buf *b, uint8_t v) {
    buf_reserve(b, 1);
    b->data[b->len++] = (char)v;
}
static inline void buf_add_u32le(struct buf *b, uint32_t v) {
    buf_add(b, &v, sizeof v);
}
static inline void buf_add_u64le(struct buf *b, uint64_t v) {
    buf_add(b, &v, sizeof v);
}
static inline void buf_add_u32be(struct buf *b, uint32_t v) {
    buf_add_u32le(b, __builtin_bswap32(v));
}
static inline void buf_add_u64be(struct buf *b, uint64_t v) {
    buf_add_u64le(b, __builtin_bswap64(v));
}
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes, moving the rest to the front. */
void buf_drop(struct buf *b, size_t n);

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "formats are written by memcpy of little-endian integers");

/* Reading back: each takes from the front of *s, false (and *s untouched) when it is too short. */
static inline bool slice_take(struct slice *s, size_t len, struct slice *out) {
    if (s->len < len) return false;
    *out = slice_make(s->data, len);
    *s = slice_make(s->data + len, s->len - len);
    return true;
}
static inline bool slice_take_raw(struct slice *s, void *out, size_t len) {
    struct slice part;
    if (!slice_take(s, len, &part)) return false;
    memcpy(out, part.data, len);
    return true;
}
static inline bool slice_take_u8(struct slice *s, uint8_t *out) {
    return slice_take_raw(s, out, 1);
}
static inline bool slice_take_u32le(struct slice *s, uint32_t *out) {
    return slice_take_raw(s, out, 4);
}
static inline bool slice_take_u64le(struct slice *s, uint64_t *out) {
    return slice_take_raw(s, out, 8);
}
static inline bool slice_take_u32be(struct slice *s, uint32_t *out) {
    if (!slice_take_raw(s, out, 4)) return false;
    *out = __builtin_bswap32(*out);
    return true;
}
static inline bool slice_take_u64be(struct slice *s, uint64_t *out) {
    if (!slice_take_raw(s, out, 8)) return false;
    *out = __builtin_bswap64(*out);
    return true;
}

#endif
