/* See sha256.h. The names of the standard: a message is cut into blocks of 64 bytes, each of which is mixed into eight
 * words in 64 rounds; the last block ends with the message's length in bits. */
#include "sha256.h"

enum { BLOCK_LEN = 64, ROUNDS = 64, LENGTH_LEN = 8 };

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t turned(uint32_t x, int by) {
    return x >> by | x << (32 - by);
}

static inline uint32_t load_be(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void spread(const uint8_t *block, uint32_t w[ROUNDS]) {
    for (int t = 0; t < 16; t++) w[t] = load_be(block + 4 * t);
    for (int t = 16; t < ROUNDS; t++) {
        uint32_t a = w[t - 15], b = w[t - 2];
        uint32_t sigma0 = turned(a, 7) ^ turned(a, 18) ^ a >> 3;
        uint32_t sigma1 = turned(b, 17) ^ turned(b, 19) ^ b >> 10;
        w[t] = sigma1 + w[t - 7] + sigma0 + w[t - 16];
    }
}

static void mix(uint32_t hash[8], const uint8_t *block) {
    uint32_t w[ROUNDS], v[8];
    spread(block, w);
    memcpy(v, hash, sizeof v);
    for (int t = 0; t < ROUNDS; t++) {
        uint32_t a = v[0], e = v[4];
        uint32_t sum1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
        uint32_t choice = (e & v[5]) ^ (~e & v[6]);
        uint32_t first = v[7] + sum1 + choice + round_constants[t] + w[t];
        uint32_t sum0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
        uint32_t majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + sum0 + majority;
    }
    for (int i = 0; i < 8; i++) hash[i] += v[i];
}

void sha256_hex(struct slice text, char out[SHA256_HEX_LEN]) {
    static const char digits[] = "0123456789abcdef";
    uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const uint8_t *p = (const uint8_t *)text.data;
    size_t left = text.len;
    for (; left >= BLOCK_LEN; left -= BLOCK_LEN, p += BLOCK_LEN) mix(hash, p);

    uint8_t last[2 * BLOCK_LEN] = {0};
    if (left > 0) memcpy(last, p, left);
    last[left] = 0x80;
    size_t len = left + 1 + LENGTH_LEN <= BLOCK_LEN ? BLOCK_LEN : 2 * BLOCK_LEN;
    uint64_t bits = (uint64_t)text.len * 8;
    for (int i = 0; i < LENGTH_LEN; i++) last[len - 1 - (size_t)i] = (uint8_t)(bits >> (8 * i));
    for (size_t at = 0; at < len; at += BLOCK_LEN) mix(hash, last + at);

    for (int i = 0; i < SHA256_HEX_LEN; i++) out[i] = digits[hash[i / 8] >> (28 - 4 * (i % 8)) & 15];
}
