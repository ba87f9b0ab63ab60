/* Deadlines as arguments, shared by EXPIRE's family and by SET's. */
#ifndef CMD_CMD_EXPIRE_H
#define CMD_CMD_EXPIRE_H

#include "cmd.h"

/* "invalid expire time", naming the command. */
void cmd_refuse_deadline(struct cmd_ctx *c);

/* What SET, SETEX, PSETEX and GETEX take: a positive number of units, counted from now or from the epoch. False after
 * answering. */
enum { UNIT_MS = 1, UNIT_S = 1000 };
bool cmd_arg_deadline(struct cmd_ctx *c, struct slice arg, int64_t unit, bool relative, int64_t *deadline_ms);

#endif
