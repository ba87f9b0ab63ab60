/* See sha1.h; FIPS 180-4, section 6.1. */
#include "sha1.h"

enum { BLOCK = 64 };

static uint32_t rotate(uint32_t v, int by) {
    return v << by | v >> (32 - by);
}

static void add_block(uint32_t h[5], const uint8_t *block) {
    uint32_t w[80];
    for (int t = 0; t < 16; t++) {
        uint32_t word;
        memcpy(&word, block + t * 4, sizeof word);
        w[t] = __builtin_bswap32(word);
    }
    for (int t = 16; t < 80; t++) w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;
        } else if (t < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (t < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t next = rotate(a, 5) + f + e + k + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void sha1(struct slice bytes, uint8_t out[SHA1_SIZE]) {
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const uint8_t *p = (const uint8_t *)bytes.data;
    size_t left = bytes.len;
    for (; left >= BLOCK; left -= BLOCK, p += BLOCK) add_block(h, p);
    /* What is left, a one bit, zeros, and the length in bits: one block or two. */
    uint8_t tail[2 * BLOCK] = {0};
    size_t tail_len = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    if (left > 0) memcpy(tail, p, left);
    tail[left] = 0x80;
    uint64_t bits = __builtin_bswap64((uint64_t)bytes.len * 8);
    memcpy(tail + tail_len - 8, &bits, 8);
    for (size_t at = 0; at < tail_len; at += BLOCK) add_block(h, tail + at);
    for (int i = 0; i < 5; i++) {
        uint32_t word = __builtin_bswap32(h[i]);
        memcpy(out + i * 4, &word, 4);
    }
}

void sha1_hex(struct slice bytes, char out[SHA1_HEX_LEN]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t sum[SHA1_SIZE];
    sha1(bytes, sum);
    for (int i = 0; i < SHA1_SIZE; i++) {
        out[i * 2] = digits[sum[i] >> 4];
        out[i * 2 + 1] = digits[sum[i] & 15];
    }
}
