/* See sha.h. libcrypto does the work. */
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
    SHA1((const unsigned char *)bytes.data, bytes.len, out);
}

void sha1_hex(struct slice bytes, char out[SHA1_HEX_LEN]) {
    uint8_t digest[SHA1_SIZE];
    sha1(bytes, digest);
    add_hex(digest, sizeof digest, out);
}

void sha256_hex(struct slice bytes, char out[SHA256_HEX_LEN]) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)bytes.data, bytes.len, digest);
    add_hex(digest, sizeof digest, out);
}
