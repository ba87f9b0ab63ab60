/* See sha.h. libcrypto does the work; by these calls, which it calls deprecated, because the others look up the algorithm
 * under locks each time, which takes longer than the digest of a script. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sha.h"

#include <openssl/sha.h>

static void add_hex(const uint8_t *digest, size_t len, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
}

void sha1(struct slice bytes, uint8_t out[SHA1_SIZE]) {
    SHA_CTX c;
    SHA1_Init(&c);
    SHA1_Update(&c, bytes.data, bytes.len);
    SHA1_Final(out, &c);
}

void sha1_hex(struct slice bytes, char out[SHA1_HEX_LEN]) {
    uint8_t digest[SHA1_SIZE];
    sha1(bytes, digest);
    add_hex(digest, sizeof digest, out);
}

void sha256_hex(struct slice bytes, char out[SHA256_HEX_LEN]) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, bytes.data, bytes.len);
    SHA256_Final(digest, &c);
    add_hex(digest, sizeof digest, out);
}
