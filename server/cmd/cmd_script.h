/* What a script's run has to do with commands: EVAL and FCALL make one of these, the engine calls it back (script.h). */
#ifndef CMD_CMD_SCRIPT_H
#define CMD_CMD_SCRIPT_H

#include "cmd.h"
#include "script.h"

struct cmd_script {
    struct script_run run; /* the first, so that its `arg` is the whole */
    struct cmd_ctx *c;     /* of the command that runs it */
    int db;                /* SELECT within the script is its own affair */
    bool is_logged;        /* it runs on every node, out of the log */
    bool may_write;
    uint32_t terms; /* on which it was let in (terms.h) */
};

/* The engine of this server, made when it is needed first. */
struct script_engine *server_scripts(struct server *server);

/* The number of keys at argv[2]; false after answering. */
bool cmd_script_keys(struct cmd_ctx *c, int *key_count);
/* Whether flags of the script (enum script_flag), what the command says and what is short go together; false after
 * answering. */
bool cmd_script_flags(struct cmd_ctx *c, uint32_t flags, bool is_read_only);
/* Fills in the whole: the keys begin at argv[3]. */
void cmd_script_prepare(struct cmd_script *s, struct cmd_ctx *c, struct slice name, int key_count,
                        uint32_t flags, bool may_write);

/* cmd_eval.c: EVAL, EVALSHA or FCALL of a script or function that says so. */
bool cmd_script_says_no_writes(struct keyspace *ks, const struct command *cmd, int argc,
                               const struct slice *argv);
/* cmd_eval.c, for cmd_nothing.c: EVAL and its kind would not write a thing, as things are. */
bool cmd_eval_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv);
bool cmd_eval_ro_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv);
bool cmd_evalsha_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv);
bool cmd_evalsha_ro_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv);

/* INFO's numbers. */
struct cmd_script_usage {
    uint64_t count, bytes; /* scripts that are stored, and their texts */
};
void cmd_script_usage(struct keyspace *ks, struct cmd_script_usage *out);

#endif
