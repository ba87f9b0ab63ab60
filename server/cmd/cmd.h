/* A command: the facts about it (one row of commands.def) and the context its handler runs in. Handlers are
 * pure: everything they know about the world comes in the context, so the same log entry gives the same
 * result on every node. A handler always answers: exactly one reply (or none for the few that say so). */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "arena.h"
#include "keyspace.h"
#include "resp_write.h"
#include "rng.h"

struct acl_user;
struct server;
struct session;
struct cmd_ctx;
struct cmd_wait;
struct script_limits;

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
    CMD_MAY_REPLICATE = 1 << 12, /* held by CLIENT PAUSE WRITE, too; COMMAND INFO does not show it */
    CMD_NO_MANDATORY_KEYS = 1 << 13,
    CMD_ALLOW_BUSY = 1 << 14,
    CMD_BLOCKING = 1 << 15,
    CMD_MOVABLEKEYS = 1 << 16,
    CMD_NO_ASYNC_LOADING = 1 << 17,
    CMD_NO_MULTI = 1 << 18,
    CMD_ASKING = 1 << 19,
    CMD_ONLY_SENTINEL = 1 << 20,
    CMD_SENTINEL = 1 << 21,
    /* Ours, not shown. */
    CMD_LEADER = 1 << 24,   /* neither WRITE nor READONLY, and for the leader all the same */
    CMD_GUARDED = 1 << 25,  /* DEBUG, MODULE LOAD: enable-...-command says who may */
    CMD_HIDDEN = 1 << 26,   /* answered, but COMMAND does not show it */
    CMD_INTERNAL = 1 << 27, /* only this server proposes it; to clients it is an unknown command */
    /* How a command that is no write is placed among the unanswered writes of its connection: this one
     * touches only the session and the server, never data, and runs at once when parsed; its reply takes its
     * place in order. Everything else that is no write waits for the writes before it. */
    CMD_SESSION = 1 << 28,
    /* And this one needs the state between two entries (it may write everything back), or decides what
     * becomes of the commands behind it (CLIENT PAUSE and KILL, CONFIG SET, SHUTDOWN): it waits until
     * nothing of its connection is unanswered, so that it never runs in the middle of applying an entry that
     * already holds those commands. */
    CMD_ALONE = 1 << 29,
    /* Its answer may take as long as somebody else likes: BLOCKING, and WAIT, which Redis does not count among them. */
    CMD_WAITS = 1 << 30,
    /* Derived: a write that only takes from the keys of its first spec. When none of them exists it changes nothing, and
     * is answered like a read (cmd_nothing.h). */
    CMD_TAKES = 1 << 23,
    /* A write that Redis does not call one (EVAL, SCRIPT LOAD, ACL SETUSER): COMMAND INFO and categories do not either. Of what is no
     * write: a read that it does not call one. */
    CMD_UNSAID = 1 << 22,
};

/* Only the leader can answer these; they never look at what another node has. */
enum { CMD_NEEDS_LEADER = CMD_WRITE | CMD_READONLY | CMD_LEADER };

/* Categories of ACLs, as COMMAND INFO shows them. commands.def names those that do not follow from the
 * flags. */
enum acl_category {
    ACL_KEYSPACE = 1 << 0,
    ACL_READ = 1 << 1,
    ACL_WRITE = 1 << 2,
    ACL_SET = 1 << 3,
    ACL_SORTEDSET = 1 << 4,
    ACL_LIST = 1 << 5,
    ACL_HASH = 1 << 6,
    ACL_STRING = 1 << 7,
    ACL_BITMAP = 1 << 8,
    ACL_HYPERLOGLOG = 1 << 9,
    ACL_GEO = 1 << 10,
    ACL_STREAM = 1 << 11,
    ACL_PUBSUB = 1 << 12,
    ACL_ADMIN = 1 << 13,
    ACL_FAST = 1 << 14,
    ACL_SLOW = 1 << 15,
    ACL_BLOCKING = 1 << 16,
    ACL_DANGEROUS = 1 << 17,
    ACL_CONNECTION = 1 << 18,
    ACL_TRANSACTION = 1 << 19,
    ACL_SCRIPTING = 1 << 20,
};

/* Where some of a command's keys are.
 *
 *     FIND_RANGE    at argv[first], argv[first + step] ... up to `last`, which counts from `first`, or from the end of
 *                   argv when negative
 *     FIND_COUNTED  argv[first] says how many follow it
 *     FIND_UNKNOWN  nobody can tell (SORT's BY and GET), or only who knows the command's options (SORT's STORE): with a
 *                   keyword, the argument behind the last of it
 *
 * With a keyword, `first` is where to start looking for it, and the keys begin behind it. */
enum key_find { FIND_RANGE, FIND_COUNTED, FIND_UNKNOWN };
struct key_spec {
    const char *flags; /* "RW access update": what is done to them, in COMMAND INFO's words */
    enum key_find find;
    const char *keyword; /* or NULL */
    int first, last, step;
    int limit;        /* above 0: of what is left of argv, only one part in so many holds keys */
    const char *note; /* or NULL */
};

struct command {
    const char *name;             /* lower case; a subcommand's own word */
    const struct command *parent; /* of a subcommand */
    cmd_fn *fn;                   /* of a container: answers when no subcommand is named */
    int arity;                    /* as Redis: including the name(s); negative: at least */
    uint32_t flags;
    bool
        runs_scripts; /* EVAL, FCALL and their like: may take as long as the script likes (server/node/scripts.c) */
    int first_key, last_key, key_step;
    int id;                            /* index into the per-command statistics, dense */
    const struct command *subcommands; /* NULL, or an array of subcommand_count */
    int subcommand_count;
    uint32_t categories; /* enum acl_category */
    const struct key_spec *key_specs;
    int key_spec_count;
    const char *tips;              /* separated by spaces */
    const struct command_doc *doc; /* what COMMAND DOCS says besides, or NULL; command_docs.h */
};

struct key_position {
    int at; /* index into argv */
    const struct key_spec *spec;
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
    int64_t now_ms;        /* writes: the entry's clock; else the wall clock */
    bool in_script;        /* a command of a script; ... */
    bool in_logged_script; /* ... out of the log: it may be told only what is the same on every node */
    int64_t now_us;        /* the same instant for TIME and friends: wall clock, never used by writes */
    struct rng *rng;       /* writes: seeded by the entry; else by the system */
    struct arena *arena;   /* emptied after the reply */
    /* Whose rights the commands of a script have, the same on every node; NULL: all. */
    const struct acl_user *user;
    const struct script_limits
        *script_limits; /* of a command that runs scripts; NULL: they may go on for ever */
    uint32_t terms;     /* of a command that runs scripts: on which it was let in (terms.h) */
    /* cmd_block.h */
    struct cmd_wait *wait;   /* takes what the command waits for; NULL: it cannot wait here */
    bool is_served;          /* it has waited, and something may be there under ... */
    struct slice served_key; /* ... this key */
};

/* commands.c: by name, case folded; for containers with a known argv[1] the subcommand, with an unknown one
 * the container itself. NULL when unknown. */
const struct command *command_lookup(int argc, const struct slice *argv);
/* By one word, containers themselves. */
const struct command *command_by_name(struct slice name);
const struct command *command_by_full_name(struct slice name); /* "get", "client|list" */
int command_stat_count(void);                                  /* ids are 0 .. this - 1 */
const struct command *command_by_id(int id);
/* "client|list" into out, always terminated (COMMAND_NAME_CAP is enough for all); returns the length. */
enum { COMMAND_NAME_CAP = 64 };
size_t command_full_name(const struct command *cmd, char *out, size_t cap);
/* Where the keys of these arguments are, at most `cap` of them; returns how many there are, -1 when the
 * arguments do not fit the command. */
int command_keys(const struct command *cmd, int argc, const struct slice *argv, struct key_position *out,
                 int cap);
/* Whether it names keys or, like shard channels, what has a slot as a key has. */
bool command_has_slot(const struct command *cmd, int argc, const struct slice *argv, struct slice *name);
bool key_spec_is_of_keys(const struct key_spec *spec); /* or else of names with a slot */
/* What the command does to a key of this spec: its flags, or fewer when that depends on its options. */
const char *command_key_flags(const struct command *cmd, const struct key_spec *spec, int argc,
                              const struct slice *argv);

/* --- what handlers share (cmd_common.c) --- */

#include "errors.h"

/* How much of what the client said an error repeats, for printf's %.*s. */
enum { CMD_QUOTED_MAX = 128 };
static inline int cmd_quoted(struct slice s) {
    return (int)(s.len < CMD_QUOTED_MAX ? s.len : CMD_QUOTED_MAX);
}
static inline struct slice cmd_arg(const struct cmd_ctx *c, int i) {
    return c->argv[i];
}
static inline struct object *cmd_read(struct cmd_ctx *c, struct slice key) {
    return ks_read(c->ks, c->db, key, c->now_ms);
}
static inline struct object *cmd_write(struct cmd_ctx *c, struct slice key) {
    return ks_write(c->ks, c->db, key, c->now_ms);
}
/* What a command that writes only reads (ks_consult). */
static inline struct object *cmd_consult(struct cmd_ctx *c, struct slice key) {
    return ks_consult(c->ks, c->db, key, c->now_ms);
}
/* Deletes whatever is there, expired or not, as Redis does where it does not look first; whether something was. */
bool cmd_delete(struct cmd_ctx *c, struct slice key);
/* False after answering WRONGTYPE. An absent key is of every type. */
bool cmd_is_type(struct cmd_ctx *c, const struct object *o, enum object_type type);
/* False after answering with `error` (NULL: "ERR value is not an integer or out of range"). */
bool cmd_arg_i64(struct cmd_ctx *c, struct slice arg, int64_t *out, const char *error);
bool cmd_arg_long_in(struct cmd_ctx *c, struct slice arg, int64_t min, int64_t max, int64_t *out,
                     const char *error);
/* Redis's glob: * ? [a-z] [^a] \x. */
bool glob_match(struct slice pattern, struct slice text, bool nocase);

#endif
