/* See bits.h. Eight bytes at a time: a word read in the order of its bytes, most significant first, has the bits in the
 * order of their numbers. */
#include "bits.h"

#include "check.h"

static inline uint64_t load_word(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* --- counting --- */

static inline __attribute__((always_inline)) uint64_t count_words(const char *p, size_t len) {
    uint64_t a = 0, b = 0, c = 0, d = 0; /* four sums, so that no addition waits for the one before it */
    for (; len >= 32; p += 32, len -= 32) {
        a += (uint64_t)__builtin_popcountll(load_word(p));
        b += (uint64_t)__builtin_popcountll(load_word(p + 8));
        c += (uint64_t)__builtin_popcountll(load_word(p + 16));
        d += (uint64_t)__builtin_popcountll(load_word(p + 24));
    }
    for (; len >= 8; p += 8, len -= 8) a += (uint64_t)__builtin_popcountll(load_word(p));
    for (; len > 0; p++, len--) b += (uint64_t)__builtin_popcount((uint8_t)*p);
    return a + b + c + d;
}

#if defined(__x86_64__)
static bool has_popcnt;

__attribute__((constructor)) static void ask_the_processor(void) {
    __builtin_cpu_init();
    has_popcnt = __builtin_cpu_supports("popcnt") != 0;
}

__attribute__((target("popcnt"))) static uint64_t count_popcnt(const char *p, size_t len) {
    return count_words(p, len);
}
#endif

uint64_t bits_count(struct slice bytes) {
#if defined(__x86_64__)
    if (has_popcnt) return count_popcnt(bytes.data, bytes.len);
#endif
    return count_words(bytes.data, bytes.len);
}

/* --- finding --- */

/* The first 1 of a byte in which something is 1. */
static inline unsigned first_of_byte(uint8_t byte) {
    return (unsigned)__builtin_clz(byte) - 24;
}

int64_t bits_find(struct slice bytes, bool bit, uint64_t from, uint64_t to) {
    CHECK(from <= to);
    CHECK(to / 8 < bytes.len);
    /* What is looked for becomes 1, and what lies outside the range 0. */
    const uint64_t flip = bit ? 0 : UINT64_MAX;
    const uint8_t head = (uint8_t)(0xff >> (from & 7)), tail = (uint8_t)(0xff << (7 - (to & 7)));
    size_t at = from / 8, end = to / 8;
    uint8_t byte = (uint8_t)((uint8_t)bytes.data[at] ^ (uint8_t)flip) & head;
    while (at < end) {
        if (byte != 0) return (int64_t)(at * 8 + first_of_byte(byte));
        at++;
        while (end - at >= 8 && (load_word(bytes.data + at) ^ flip) == 0) at += 8;
        byte = (uint8_t)bytes.data[at] ^ (uint8_t)flip;
    }
    byte &= tail;
    return byte != 0 ? (int64_t)(at * 8 + first_of_byte(byte)) : -1;
}

/* --- fields --- */

/* A field is at most 64 bits wide and begins anywhere in a byte: nine bytes hold it, the first eight as one word. */
enum { FIELD_BYTES = 9 };

uint64_t bits_get(struct slice bytes, uint64_t at, unsigned width) {
    CHECK(width >= 1 && width <= 64);
    char window[FIELD_BYTES] = {0};
    uint64_t first = at / 8;
    if (first < bytes.len) {
        size_t left = bytes.len - first;
        memcpy(window, bytes.data + first, left < FIELD_BYTES ? left : FIELD_BYTES);
    }
    unsigned shift = at & 7;
    uint64_t word = __builtin_bswap64(load_word(window)) << shift;
    word |= (unsigned)(uint8_t)window[8] >> (8 - shift);
    return word >> (64 - width);
}

void bits_set(char *bytes, uint64_t at, unsigned width, uint64_t value) {
    CHECK(width >= 1 && width <= 64);
    char *first = bytes + at / 8;
    unsigned shift = at & 7;
    size_t len = (shift + width + 7) / 8;
    uint64_t mask = UINT64_MAX << (64 - width);
    value <<= 64 - width;
    char window[FIELD_BYTES] = {0};
    memcpy(window, first, len);
    uint64_t word = __builtin_bswap64(load_word(window));
    word = (word & ~(mask >> shift)) | value >> shift;
    word = __builtin_bswap64(word);
    memcpy(window, &word, sizeof word);
    if (len == FIELD_BYTES) {
        unsigned low = (unsigned)(uint8_t)window[8], low_mask = (uint8_t)(mask << (8 - shift));
        window[8] = (char)((low & ~low_mask) | (uint8_t)(value << (8 - shift)));
    }
    memcpy(first, window, len);
}
