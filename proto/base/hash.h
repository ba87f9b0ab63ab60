/* Hashes and checksums. hash64 is part of the stored row order (storage/README.md) and may never change;
 * crc16 is Redis Cluster's, crc64 the one behind DUMP payloads, crc32c guards our own records. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "slice.h"

uint64_t hash64(struct slice bytes); /* XXH3, seed 0 */
uint64_t hash64_seeded(uint64_t seed, struct slice bytes);
uint16_t crc16(struct slice bytes);                /* CCITT, polynomial 0x1021: "123456789" -> 0x31c3 */
uint32_t crc32c(uint32_t crc, struct slice bytes); /* Castagnoli; start with 0; hardware where there is any */
uint64_t crc64(uint64_t crc, struct slice bytes);  /* Jones, reflected: "123456789" -> 0xe9c6d914c4b8d9ca */

/* Redis Cluster's slot of a key, 0..16383: of the part within the first {...} when that is not empty. */
uint16_t key_slot(struct slice key);

#endif
