/* A slice borrows bytes: it is good until the call it was handed to returns, unless its giver promises more. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *data;
    size_t len;
};

#define SLICE(literal) ((struct slice){("" literal), sizeof(literal) - 1})

static inline struct slice slice_of(const char *text) {
    return (struct slice){text, strlen(text)};
}

static inline struct slice slice_make(const char *data, size_t len) {
    return (struct slice){data, len};
}

static inline bool slice_eq(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_begins(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* ASCII case folding, as Redis compares option words. The word is a C string. */
static inline bool slice_is(struct slice a, const char *word) {
    return strlen(word) == a.len && strncasecmp(a.data, word, a.len) == 0;
}

/* Byte order, shorter first on a tie: the order of RocksDB's bytewise comparator. */
static inline int slice_cmp(struct slice a, struct slice b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    if (c != 0) return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

#endif
