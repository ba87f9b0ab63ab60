/* Scripts: a Lua 5.1 in which nothing can differ between two nodes that run the same script on the same data (README.md).
 * Pure: what a script asks of the world it asks of whoever runs it, by struct script_world.
 *
 * An engine is one Lua state with what it has compiled; a node has one, used by one thread at a time. Scripts are known to it by
 * the SHA1 of their text, in hex. What is compiled is a cache, bounded, and nothing but speed depends on it. */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include "check.h"
#include "resp_write.h"

struct script_engine;

enum { SCRIPT_SHA_LEN = 40 };

/* What a script says about itself: `#!lua flags=...`, or register_function's flags. */
enum script_flag {
    SCRIPT_NO_WRITES = 1 << 0,
    SCRIPT_ALLOW_OOM = 1 << 1,
    SCRIPT_ALLOW_STALE = 1 << 2,
    SCRIPT_NO_CLUSTER = 1 << 3,
    SCRIPT_ALLOW_CROSS_SLOT = 1 << 4,
    SCRIPT_HAS_SHEBANG =
        1 << 8, /* of a body: without one, flags are only guessed and checks are those of old */
};

/* What runs the commands of a script. */
struct script_world {
    /* redis.call: answers with exactly one RESP value, in the protocol `resp`. argv is good until it returns. */
    void (*call)(void *arg, int argc, const struct slice *argv, int resp, struct buf *reply);
    /* redis.log; level 0 (debug) to 3 (warning). */
    void (*log)(void *arg, int level, struct slice text);
    /* redis.acl_check_cmd: whether the user may do it; false in *known when there is no such command. */
    bool (*may)(void *arg, int argc, const struct slice *argv, bool *known);
};

/* How long a script may go on. Its work is counted: one for each instruction of the VM, and as much again for what libraries and
 * commands do at its behest. The count is equal on all nodes; at counts that only depend on `number` the run calls checkpoint, on
 * the stack of the script: whoever runs scripts on a fiber may leave it there (script_leave) and come back later. */
struct script_limits {
    void *arg;
    /* The number-th checkpoint of the run, from 1. NULL: go on; else the script ends with this error ("ERR ..."), whatever it
     * does against it. `has_written` is the run's, below. */
    const char *(*checkpoint)(void *arg, uint64_t number, bool has_written);
    /* Unless NULL: work done since the last checkpoint, of whichever run; a checkpoint sets it to 0. Many short runs come to one as a
     * long one does. */
    uint64_t *spent;
};

/* One run of a script. */
struct script_run {
    /* what the caller says */
    struct slice name; /* of the script, in error messages: its SHA1; of a function its name */
    int key_count, arg_count;
    const struct slice *keys, *args;
    uint64_t seed; /* of math.random */
    const struct script_world *world;
    void *arg;                          /* the world's */
    const struct script_limits *limits; /* NULL: it may go on for ever */
    /* what it can know while it runs, and afterwards */
    bool has_written; /* set by world->call */
    uint64_t work;    /* done so far */
    /* the engine's own */
    struct script_run *outer;
    struct lua_State *thread;
    struct declaring *declaring;
    uint64_t checkpoint_at, checkpoint_count, checked_work, collect_at, random;
    const char *end; /* why it has to end, once it has to */
    int resp;        /* redis.setresp */
    int thread_ref, keys_ref, args_ref, left_depth;
    struct lua_State *left_running;
    size_t left_large_from;
};

/* A script that does not compile, or a command inside, never harms the engine. Out of memory ends the process. */
struct script_engine *script_engine_new(void);
void script_engine_free(struct script_engine *e);

/* Keeps it compiled, under its SHA1. False with the error's text, without a code, behind what *error holds. */
MUST_USE bool script_compile(struct script_engine *e, struct slice sha, struct slice body, struct buf *error);
bool script_is_compiled(const struct script_engine *e, struct slice sha);
/* Runs what was compiled under this SHA1 and writes exactly one reply. Errors that came from commands, and were counted there, are
 * not counted in the reply again. */
void script_eval(struct script_engine *e, struct slice sha, struct script_run *run, struct reply *reply);
/* Forgets all it has compiled. */
void script_forget_all(struct script_engine *e);

/* What the first line says, when it begins with #!; *flags is 0 without one, and `*body_at` where the code begins. False with the
 * whole error in *error. */
MUST_USE bool script_read_shebang(struct slice body, uint32_t *flags, size_t *body_at, struct buf *error);
/* 0 when there is no such flag. */
uint32_t script_flag_of(struct slice word);
enum { SCRIPT_FLAG_COUNT = 5 };
size_t script_flag_words(uint32_t flags, const char *words[SCRIPT_FLAG_COUNT]); /* returns how many */

/* --- libraries of functions (library.c) --- */

#define SCRIPT_NAME_ERROR                                                                                    \
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character " \
    "long"
bool script_is_name(struct slice name); /* of a library or a function */

struct script_function {
    struct slice name, description; /* data NULL: none */
    uint32_t flags;
};
struct script_library {
    struct script_function *functions;
    size_t count, cap;
};
void script_library_free(struct script_library *l);

/* As script_compile; the code is what is behind a library's first line, and `id` is the SHA1 of the whole. */
MUST_USE bool script_library_compile(struct script_engine *e, struct slice id, struct slice code,
                                     struct buf *error);
bool script_library_is_compiled(const struct script_engine *e, struct slice id);
/* Runs the code, which is compiled, and adds the functions that it declares; false with the error's text ("ERR ..."). */
MUST_USE bool script_library_declare(struct script_engine *e, struct slice id, struct script_run *run,
                                     struct script_library *out, struct buf *error);
/* Calls a function that the code is known to declare, and writes exactly one reply. */
void script_library_call(struct script_engine *e, struct slice id, struct slice function,
                         struct script_run *run, struct reply *reply);

/* Bytes it holds, garbage left out unless something runs. */
size_t script_memory(struct script_engine *e);
/* At a checkpoint of the only run, on the way off the script's stack and back on it: in between, the engine may run other scripts,
 * which have to end before. */
struct script_run *script_leave(struct script_engine *e);
void script_enter(struct script_engine *e, struct script_run *run);
/* The innermost run, NULL when there is none. */
struct script_run *script_running(const struct script_engine *e);

#endif
