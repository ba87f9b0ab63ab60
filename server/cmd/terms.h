/* What keeps writes out for as long as it lasts: a `maxmemory` that not even an empty server fits into, and fewer followers than
 * `min-replicas-to-write` asks for. The leader looks, before the log.
 *
 * A script is let in all the same, for it may not need what is short. On what terms it was let in stands before it in the log
 * (README, "Users"), so that all nodes refuse the same of its commands. */
#ifndef CMD_TERMS_H
#define CMD_TERMS_H

#include "cmd.h"

enum terms {
    TERMS_NO_MEMORY = 1 << 0,
    TERMS_NO_REPLICAS = 1 << 1,
    TERMS_DEBUG = 1 << 2, /* DEBUG PROTOCOL is let in, too: DEBUG SET-DISABLE-DENY-SCRIPTS */
};

/* Why the command is not let in, or NULL. `flags` are its own, for EXEC with those of its transaction. */
const char *terms_refusal(struct server *s, const struct session *session, const struct command *cmd,
                          uint32_t flags, int64_t now_ms);
/* Bits of enum terms: those for a script, as things are on this node. */
uint32_t terms_for_script(struct server *s, int64_t now_ms);
/* Why a script may not run this command, its first that writes, or NULL. */
const char *terms_refusal_in_script(uint32_t terms, const struct command *cmd);

#endif
