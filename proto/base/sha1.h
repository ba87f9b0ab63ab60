/* SHA-1, by which Redis names scripts. Not for secrets. */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "slice.h"

enum { SHA1_SIZE = 20, SHA1_HEX_LEN = 40 };

void sha1(struct slice bytes, uint8_t out[SHA1_SIZE]);
/* In lower case, no NUL behind it. */
void sha1_hex(struct slice bytes, char out[SHA1_HEX_LEN]);

#endif
