/* A command: the facts about it (one row of commands.def) and the context its handler runs in. Handlers are pure:
 * everything they know about the world comes in the context, so the same log entry gives the same result on every
 * node. A handler always answers: exactly one reply (or none for the few that say so). */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "arena.h"
#include "keyspace.h"
#include "resp_write.h"
#include "rng.h"

struct server;
struct session;
struct cmd_ctx;

typedef void cmd_fn(struct cmd_ctx *c);

/* Redis's own flags, as COMMAND INFO shows them, then ours. */
enum cmd_flag {
    CMD_WRITE = 1 << 0, /* goes through the Raft log; runs at apply, on every node */
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2,
    CMD_ADMIN = 1 << 3,
    CMD_PUBSUB = 1 << 4,
    CMD_NOSCRIPT = 1 << 5,
    CMD_LOADING = 1 << 6,
    CMD_STALE = 1 << 7,
    CMD_SKIP_MONITOR = 1 << 8,
    CMD_SKIP_SLOWLOG = 1 << 9,
    CMD_FAST = 1 << 10,
    CMD_NO_AUTH = 1 << 11,
    CMD_MAY_REPLICATE = 1 << 12,
    CMD_NO_MANDATORY_KEYS = 1 << 13,
    CMD_ALLOW_BUSY = 1 << 14,
    CMD_BLOCKING = 1 << 15,
    CMD_MOVABLEKEYS = 1 << 16,
    CMD_NO_ASYNC_LOADING = 1 << 17,
    CMD_NO_MULTI = 1 << 18,
    CMD_ASKING = 1 << 19,
    CMD_ONLY_SENTINEL = 1 << 20,
    CMD_SENTINEL = 1 << 21,
    /* Ours, not shown. How a command that is no write is placed among the unanswered writes of its connection: */
    CMD_SESSION =
        1 << 28, /* touches only the session and the server, never data: runs at once when parsed, its reply
                            * takes its place in order. Everything else that is no write waits for the writes before it. */
};

struct command {
    const char *name;             /* lower case; a subcommand's own word */
    const struct command *parent; /* of a subcommand */
    cmd_fn *fn;                   /* of a container: answers when no subcommand is known */
    int arity;                    /* as Redis: including the name(s); negative: at least */
    uint32_t flags;
    int first_key, last_key, key_step;
    int id;                            /* index into the per-command statistics, dense */
    const struct command *subcommands; /* NULL, or an array of subcommand_count */
    int subcommand_count;
    const struct command_doc *doc; /* what COMMAND INFO and DOCS say besides; commands.c */
};

struct cmd_ctx {
    const struct command *cmd;
    int argc;
    const struct slice *argv;
    struct reply *reply;
    struct keyspace *ks;
    struct server *server;
    struct session *session; /* NULL while applying an entry nobody here waits for */
    int db;
    int64_t now_ms;      /* writes: the entry's clock; else the wall clock */
    int64_t now_us;      /* the same instant for TIME and friends: wall clock, never used by writes */
    struct rng *rng;     /* writes: seeded by the entry; else by the system */
    struct arena *arena; /* emptied after the reply */
};

/* commands.c: by name, case folded; for containers with a known argv[1] the subcommand. NULL when unknown. */
const struct command *command_lookup(int argc, const struct slice *argv);
/* By one word, containers themselves. */
const struct command *command_by_name(struct slice name);
int command_stat_count(void); /* ids are 0 .. this - 1 */
const struct command *command_by_id(int id);
/* "client|list" into out; returns the length. */
size_t command_full_name(const struct command *cmd, char *out, size_t cap);

/* --- what handlers share (cmd_common.c) --- */

#include "errors.h"

static inline struct slice cmd_arg(const struct cmd_ctx *c, int i) {
    return c->argv[i];
}
static inline struct object *cmd_read(struct cmd_ctx *c, struct slice key) {
    return ks_read(c->ks, c->db, key, c->now_ms);
}
static inline struct object *cmd_write(struct cmd_ctx *c, struct slice key) {
    return ks_write(c->ks, c->db, key, c->now_ms);
}
/* False after answering WRONGTYPE. An absent key is of every type. */
bool cmd_is_type(struct cmd_ctx *c, const struct object *o, enum object_type type);
/* False after answering with `error` (NULL: "ERR value is not an integer or out of range"). */
bool cmd_arg_i64(struct cmd_ctx *c, struct slice arg, int64_t *out, const char *error);
bool cmd_arg_long_in(struct cmd_ctx *c, struct slice arg, int64_t min, int64_t max, int64_t *out,
                     const char *error);
/* Redis's glob: * ? [a-z] [^a] \x. */
bool glob_match(struct slice pattern, struct slice text, bool nocase);

#endif
