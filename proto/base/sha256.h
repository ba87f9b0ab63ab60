/* SHA-256 (FIPS 180-4) of a whole text: passwords of users are kept as its hex digits only. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "slice.h"

enum { SHA256_HEX_LEN = 64 };

/* Lower case hex digits, no terminating NUL. */
void sha256_hex(struct slice text, char out[SHA256_HEX_LEN]);

#endif
