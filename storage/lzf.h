/* LZF, the packing of texts in RDB payloads: the packer makes the choices of Redis's own, so that the same text gives the same
 * bytes. A control byte below 32 starts a run of that many literal bytes and one more; any other repeats earlier output. */
#ifndef STORAGE_LZF_H
#define STORAGE_LZF_H

#include "buf.h"

enum { LZF_GAIN_MAX = 264 / 3 }; /* bytes out of one: the longest match takes 3 */

/* `plain` into `out`; returns the packed length, 0 when it would not fit into out_cap. */
size_t lzf_pack(struct slice plain, char *out, size_t out_cap);
/* And back: true when `packed` is whole and gives exactly out_len bytes. */
bool lzf_unpack(struct slice packed, char *out, size_t out_len);

#endif
