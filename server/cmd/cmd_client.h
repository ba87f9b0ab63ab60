/* What CLIENT LIST says of a connection, for others to say, too. */
#ifndef CMD_CMD_CLIENT_H
#define CMD_CMD_CLIENT_H

#include "buf.h"

struct cmd_ctx;
struct session;

/* Appends its line, without a line break, as seen while `c` runs. */
void cmd_client_describe(const struct cmd_ctx *c, const struct session *s, struct buf *out);

#endif
