/* Commands that wait when there is nothing for them (README, "Waiting"). A handler runs like any other; what it finds it answers
 * with. When it finds nothing it says cmd_block and writes nothing: whoever runs it then keeps the connection, and runs the handler
 * again, for one key, once something came into being there.
 *
 * On other nodes, in a replay, and wherever nobody can wait, the same handler finds the same, and its answer goes nowhere. */
#ifndef CMD_CMD_BLOCK_H
#define CMD_CMD_BLOCK_H

#include "cmd.h"

/* What a command waits for; made by cmd_block for whoever gave the context. */
struct cmd_wait {
    bool waits;
    enum object_type type;
    int first_key, key_count; /* in argv */
    int64_t timeout_ms;       /* 0: for ever */
    int64_t replicas; /* instead of keys: until so many other nodes have what this connection wrote; 0: no */
    struct slice *argv; /* what its arguments are to be when it runs again, in its arena; NULL: as they are */
};

/* Seconds, with fractions; rounded up. False after answering. */
bool cmd_arg_timeout(struct cmd_ctx *c, struct slice arg, int64_t *timeout_ms);
/* The value of one of the keys that the command may be served from, in *o; NULL when there is nothing for it. A command that
 * has waited sees the one key that became ready, and overlooks values of other types. False after answering WRONGTYPE. */
bool cmd_blocking_key(struct cmd_ctx *c, struct slice key, enum object_type type, struct object **o);
/* There is nothing: true when the command waits, and nothing may be answered; else it answers as if its time were over. */
MUST_USE bool cmd_block(struct cmd_ctx *c, enum object_type type, int first_key, int key_count,
                        int64_t timeout_ms);
/* Likewise, for other nodes rather than keys. */
MUST_USE bool cmd_block_for_replicas(struct cmd_ctx *c, int64_t replicas, int64_t timeout_ms);
/* Before cmd_block: what this argument means now ("$") it has to mean later, too. Copies. */
void cmd_block_rewrite(struct cmd_ctx *c, int at, struct slice arg);

/* Whether a command may have to wait, by its words: what its connection sends behind it then waits, too. */
bool cmd_may_wait(const struct command *cmd, int argc, const struct slice *argv);

#endif
