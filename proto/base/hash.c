/* See hash.h. The tables are computed when the program loads, before main and before any thread. */
#include "hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

enum { KEY_SLOTS = 16384 };

static uint16_t crc16_table[8][256];
static uint32_t crc32c_table[8][256];
static uint64_t crc64_table[8][256];
#if defined(__x86_64__)
static bool has_sse42;
#endif

__attribute__((constructor)) static void hash_load_tables(void) {
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t r16 = byte << 8, r32 = byte;
        uint64_t r64 = byte;
        for (int bit = 0; bit < 8; bit++) {
            r16 = (r16 << 1) ^ (r16 & 0x8000 ? 0x1021 : 0);
            r32 = (r32 >> 1) ^ (r32 & 1 ? UINT32_C(0x82f63b78) : 0);
            r64 = (r64 >> 1) ^ (r64 & 1 ? UINT64_C(0x95ac9329ac4bc9b5) : 0);
        }
        crc16_table[0][byte] = (uint16_t)r16;
        crc32c_table[0][byte] = r32;
        crc64_table[0][byte] = r64;
    }
    /* Table k advances a byte over k further zero bytes, so that eight bytes fold in one step. */
    for (int k = 1; k < 8; k++) {
        for (int byte = 0; byte < 256; byte++) {
            uint16_t c16 = crc16_table[k - 1][byte];
            uint32_t c32 = crc32c_table[k - 1][byte];
            uint64_t c64 = crc64_table[k - 1][byte];
            crc16_table[k][byte] = (uint16_t)(crc16_table[0][c16 >> 8] ^ (c16 << 8));
            crc32c_table[k][byte] = crc32c_table[0][c32 & 0xff] ^ (c32 >> 8);
            crc64_table[k][byte] = crc64_table[0][c64 & 0xff] ^ (c64 >> 8);
        }
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    has_sse42 = __builtin_cpu_supports("sse4.2") != 0;
#endif
}

uint64_t hash64(struct slice bytes) {
    return XXH3_64bits(bytes.data, bytes.len);
}

uint64_t hash64_seeded(uint64_t seed, struct slice bytes) {
    return XXH3_64bits_withSeed(bytes.data, bytes.len, seed);
}

/* Eight bytes at once; written out because the compiler keeps the loop. */
#define FOLD8(table, v)                                                                                      \
    (table[7][(v)&0xff] ^ table[6][(v) >> 8 & 0xff] ^ table[5][(v) >> 16 & 0xff] ^                           \
     table[4][(v) >> 24 & 0xff] ^ table[3][(v) >> 32 & 0xff] ^ table[2][(v) >> 40 & 0xff] ^                  \
     table[1][(v) >> 48 & 0xff] ^ table[0][(v) >> 56])

static inline uint64_t load_u64le(const char *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Every key of every command comes through here. */
uint16_t crc16(struct slice bytes) {
    const char *p = bytes.data;
    size_t len = bytes.len;
    uint32_t crc = 0;
    for (; len >= 8; p += 8, len -= 8) {
        /* This one runs from the high bit down, so the sum so far meets the first two bytes swapped. */
        uint64_t v = load_u64le(p) ^ __builtin_bswap16((uint16_t)crc);
        crc = (uint32_t)FOLD8(crc16_table, v);
    }
    for (; len > 0; p++, len--) {
        crc = ((crc << 8) ^ crc16_table[0][((crc >> 8) ^ (unsigned char)*p) & 0xff]) & 0xffff;
    }
    return (uint16_t)crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const char *p, size_t len) {
    uint64_t c = crc;
    for (; len >= 8; p += 8, len -= 8) c = _mm_crc32_u64(c, load_u64le(p));
    uint32_t c32 = (uint32_t)c;
    for (; len > 0; p++, len--) c32 = _mm_crc32_u8(c32, (unsigned char)*p);
    return c32;
}
#endif

static uint32_t crc32c_tables(uint32_t crc, const char *p, size_t len) {
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v = load_u64le(p) ^ crc;
        crc = FOLD8(crc32c_table, v);
    }
    for (; len > 0; p++, len--) crc = crc32c_table[0][(crc ^ (unsigned char)*p) & 0xff] ^ (crc >> 8);
    return crc;
}

uint32_t crc32c(uint32_t crc, struct slice bytes) {
    crc = ~crc;
#if defined(__x86_64__)
    if (has_sse42) return ~crc32c_sse42(crc, bytes.data, bytes.len);
#endif
    return ~crc32c_tables(crc, bytes.data, bytes.len);
}

uint64_t crc64(uint64_t crc, struct slice bytes) {
    const char *p = bytes.data;
    size_t len = bytes.len;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v = load_u64le(p) ^ crc;
        crc = FOLD8(crc64_table, v);
    }
    for (; len > 0; p++, len--) crc = crc64_table[0][(crc ^ (unsigned char)*p) & 0xff] ^ (crc >> 8);
    return crc;
}

uint16_t key_slot(struct slice key) {
    const char *open = key.len ? memchr(key.data, '{', key.len) : NULL;
    if (open != NULL) {
        const char *tag = open + 1;
        const char *close = memchr(tag, '}', (size_t)(key.data + key.len - tag));
        if (close != NULL && close != tag) key = slice_make(tag, (size_t)(close - tag));
    }
    return crc16(key) & (KEY_SLOTS - 1);
}
