/* What the commands on bits and those on bit fields share; cmd_bitmap.c. */
#ifndef CMD_CMD_BITMAP_H
#define CMD_CMD_BITMAP_H

#include "cmd.h"

#define ERR_BIT_OFFSET "ERR bit offset is not an integer or out of range"

/* A bit's number, below that of the first bit no string can have; with field_bits > 0 also "#n", the n-th field of so
 * many bits. False after answering. */
bool cmd_arg_bit_offset(struct cmd_ctx *c, struct slice arg, unsigned field_bits, uint64_t *out);

/* Makes room up to `last_bit` in the string that the key holds (o; NULL: none) and calls it raw. When that changed
 * something, the bytes to write into; NULL when the value is left as it was. */
char *cmd_open_bits(struct cmd_ctx *c, struct slice key, struct object *o, uint64_t last_bit);

#endif
