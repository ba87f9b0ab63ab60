/* The gates a command passes before it runs or enters the log, in order: known, arity, authentication, state,
 * memory. What can be refused is refused here. */
#ifndef CMD_DISPATCH_H
#define CMD_DISPATCH_H

#include "cmd.h"

enum gate {
    GATE_REFUSED,   /* the reply has been written: an error, or QUEUED */
    GATE_PROPOSE,   /* a write: encode it into the log */
    GATE_RUN,       /* run after the connection's earlier writes */
    GATE_RUN_ALONE, /* run when the connection has no unanswered commands, between two entries */
    GATE_RUN_NOW,   /* touches no data: run at once, its reply in order */
    GATE_EXEC,      /* EXEC of session->transaction: it is the node's to execute, and to be discarded */
    GATE_HOLD,      /* CLIENT PAUSE: ask again later */
    GATE_FORWARD,   /* for the leader, who is another node */
    GATE_TUNNEL, /* the same, and so is everything behind it on this connection, to its end: what comes back are
                     * not replies alone */
    GATE_NO_LEADER, /* for the leader, and nobody knows one: ask again later, but only so long (forward-wait-ms),
                     * then answer ERR_NO_LEADER */
};

/* On a node that does not lead, what follows a MULTI or WATCH that went to the leader goes there, too, whatever it is: the
 * transaction is in a session there, and `cmd` may be NULL. Such a session is never moved to another leader. In cluster mode,
 * where nothing with a key goes there, transactions are kept here. */
enum gate cmd_gate(struct server *server, struct session *session, int argc, const struct slice *argv,
                   int64_t now_ms, struct reply *reply, const struct command **cmd);

/* CLIENT PAUSE of this node holds it, whoever answers it. */
bool cmd_is_paused(const struct server *server, int argc, const struct slice *argv, int64_t now_ms);

/* It was sent to the leader, who is elsewhere (GATE_FORWARD). */
void cmd_forwarded(const struct server *server, struct session *session, const struct command *cmd, int argc,
                   const struct slice *argv);

/* Runs one command that passed the gates (or was read from the log) and keeps its statistics except the
 * time. */
void cmd_run(struct cmd_ctx *c);

/* Which arguments are secrets, a bit each, for whoever shows commands to others; those beyond the bits are not shown. */
uint64_t cmd_secret_args(const struct command *cmd, int argc, const struct slice *argv);

/* After a command took `us` microseconds: commandstats, latency histogram, slowlog, latency monitor. */
void cmd_account(struct server *server, const struct session *session, const struct command *cmd, int argc,
                 const struct slice *argv, int64_t now_us, int64_t us, bool failed);
/* The same of one that has found nothing and waits: what is told of how it ended comes when it is served. */
void cmd_account_wait(struct server *server, const struct command *cmd, int64_t us);
void cmd_account_served(struct server *server, const struct session *session, const struct command *cmd,
                        int argc, const struct slice *argv, int64_t now_us, int64_t us, bool failed);

#endif
