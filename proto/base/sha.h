/* SHA-1, by which Redis names scripts (not for secrets), and SHA-256, by which passwords of users are kept. */
#ifndef BASE_SHA_H
#define BASE_SHA_H

#include "slice.h"

enum { SHA1_SIZE = 20, SHA1_HEX_LEN = 40, SHA256_HEX_LEN = 64 };

void sha1(struct slice bytes, uint8_t out[SHA1_SIZE]);
/* In lower case, no NUL behind it. */
void sha1_hex(struct slice bytes, char out[SHA1_HEX_LEN]);
void sha256_hex(struct slice bytes, char out[SHA256_HEX_LEN]);

#endif
