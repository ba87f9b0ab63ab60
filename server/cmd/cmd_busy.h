/* While a script takes long (server->script). */
#ifndef CMD_CMD_BUSY_H
#define CMD_CMD_BUSY_H

struct server;

/* What clients are told meanwhile. */
const char *cmd_busy_error(const struct server *server);

#endif
