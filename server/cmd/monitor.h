/* MONITOR: sessions that are told of each command, once it was run. Local to a node: what clients of this node send, and on
 * the leader also what comes through other nodes. While nobody monitors, a command costs one test. */
#ifndef CMD_MONITOR_H
#define CMD_MONITOR_H

#include "server.h"

/* Tells of the command, whatever its flags: for those that say SKIP_MONITOR, as others are to come behind them (EVAL before
 * what its script calls). `from_script`: a script has called it. */
void monitor_tell(struct cmd_ctx *c, bool from_script);
/* Of one that runs elsewhere: on the leader, for a client of this node; or in parts (EXEC). */
void monitor_tell_of(struct server *s, struct session *session, const struct command *cmd, int argc,
                     const struct slice *argv);
void monitor_end(struct server *s, struct session *session); /* it is told no more */

/* Whether a command is told of by itself. */
static inline bool monitor_wants(const struct server *s, const struct command *cmd) {
    return s->monitor_count > 0 && !(cmd->flags & (CMD_ADMIN | CMD_SKIP_MONITOR | CMD_INTERNAL));
}

#endif
