/* The count of HRANDFIELD, SRANDMEMBER and ZRANDMEMBER: how many items, and which. */
#ifndef CMD_CMD_RANDOM_H
#define CMD_CMD_RANDOM_H

#include "cmd.h"

#define ERR_COUNT_OUT_OF_RANGE "ERR value is out of range"

struct random_picks {
    size_t count;
    /* Ascending, none of them twice; in the command's arena. NULL: draw each of them anew, the same may come again. */
    uint64_t *ranks;
};

/* A count that is not negative asks for so many different items of `len`, or all; a negative one for so many, whatever they are.
 * False after answering: the reply would be bigger than anybody can take. */
bool cmd_random_picks(struct cmd_ctx *c, int64_t count, uint64_t len, struct random_picks *out);

#endif
