/* The insides of the engine, shared by engine.c (state, memory, work, runs), sandbox.c (what scripts may touch), base.c, maths.c
 * and coroutine.c (functions of Lua's that are not safe or not equal everywhere as they are), redis_api.c (redis.*), from_resp.c and
 * to_resp.c (values). lib.h has the libraries. */
#ifndef SCRIPT_SCRIPT_INTERNAL_H
#define SCRIPT_SCRIPT_INTERNAL_H

#include "script.h"
#include "work.h"

#include <lauxlib.h>
#include <lua.h>

enum {
    TRAVERSALS_MAX = 8,
    LOCKED_MAX = 24,         /* tables that scripts may read and not change */
    SPARE_THREADS_MAX = 4,   /* kept for the next run */
    COROUTINE_DEPTH_MAX = 8, /* within each other: each has up to 200 levels of C on the one stack there is */
};

struct script_engine {
    lua_State *L;           /* never runs a script itself: each run has a thread of its own */
    struct script_run *run; /* the innermost */
    lua_State *running;     /* the thread or coroutine that is executing; NULL: none */
    size_t bytes;           /* held by Lua */
    size_t collect_over;    /* between runs: garbage is collected when it holds more */
    size_t large_from;      /* what is a large piece of memory just now */
    size_t large_bytes;     /* in large pieces, since the last collection */
    size_t large_uncounted; /* and of these, not yet counted as work */
    bool is_dirty;          /* something large may be lying about */
    int compiled_ref, compiled_count;
    size_t compiled_bytes;               /* of source text */
    int globals_ref;                     /* what scripts see as _G: what it stands for, and ... */
    const void *locked_globals;          /* ... what stands for it */
    const void *locked_function_globals; /* library.c: the same for functions of libraries */
    int declaring_globals_ref, calling_globals_ref;
    int globals_metatable_ref, string_metatable_ref; /* what scripts may see of these */
    const void *traversed[TRAVERSALS_MAX];           /* tables whose keys were looked at */
    unsigned traversed_next;
    int left_count; /* runs that are off their stacks */
    int coroutine_depth;
    const void *locked[LOCKED_MAX]; /* what stands for them: lua_topointer */
    int locked_count;
    lua_State *spare_threads[SPARE_THREADS_MAX];
    int spare_thread_refs[SPARE_THREADS_MAX], spare_thread_count;
    struct buf reply; /* of a command, for reuse */
};

struct script_engine *script_of(lua_State *L);

/* --- engine.c --- */

/* One run: calls `body` with `arg` as light userdata, on a thread of its own, and turns the value it returns, or how it fails, into
 * the one reply. */
void script_protected(struct script_engine *e, lua_CFunction body, void *arg, struct script_run *run,
                      struct reply *reply);
/* The same, without a value and with an error's text: false. */
bool script_protected_text(struct script_engine *e, lua_CFunction body, void *arg, struct script_run *run,
                           struct buf *error);
/* Compiles the code and keeps the function under this key, of its own kind by its length; false with the error's text. */
bool script_keep(struct script_engine *e, struct slice key, struct slice code, const char *chunk_name,
                 struct buf *error);
void script_push_compiled(struct script_engine *e, lua_State *L, struct slice key); /* or nil */
/* Pushes the function that the code is; false with the error's text appended. On e->L. */
bool script_load(struct script_engine *e, struct slice code, const char *chunk_name, struct buf *error);
void script_push_slices(lua_State *L, int count, const struct slice *items); /* as KEYS and ARGV are */
/* Code that a function compiles has the globals of EVAL: what was in them is not for it. */
void script_clear_arguments(lua_State *L);
/* Raises the error again that ends the run, if it has to end: whoever catches errors asks. */
void script_check_end(lua_State *L);

/* --- sandbox.c --- */

void sandbox_open(struct script_engine *e);
/* Replaces the table on top of the stack by one that reads the same and cannot be changed. */
void sandbox_lock(struct script_engine *e, lua_State *L);
bool sandbox_is_locked(lua_State *L, int index);
/* Where the table at `index` is one of those, replaces it by what it stands for. */
void sandbox_see_through(lua_State *L, int index);
void sandbox_refuse_locked(lua_State *L, int index); /* "Attempt to modify a readonly table" */
/* No key of the table is one whose place among the others depends on where it lies in memory; the other raises an error if. */
bool sandbox_keys_are_ordered(lua_State *L, int index, uint64_t *count); /* raises nothing */
void sandbox_check_keys(lua_State *L, int index);
int sandbox_refuse_change(lua_State *L);
/* {err = "ERR ..."}, {err = ..., source =, line = } */
int sandbox_error_handler(lua_State *L);

void base_open(lua_State *L);                 /* base.c */
void base_push_text(lua_State *L, int index); /* what tostring says */
void maths_open(lua_State *L);                /* maths.c */
uint64_t maths_seed(uint64_t seed);           /* a struct script_run's random */
void coroutine_open(lua_State *L);            /* coroutine.c */
void library_open(struct script_engine *e);   /* library.c; behind sandbox_open */

/* --- redis_api.c --- */

void redis_api_open(lua_State *L); /* the table `redis` */
/* Raises {err = "ERR " .. text}. */
int redis_raise(lua_State *L, const char *text);
void redis_push_error(lua_State *L, const char *text);

/* --- values --- */

/* Pushes the one RESP value that `bytes` begins with. */
void from_resp(lua_State *L, struct slice bytes);
/* Writes what is on top of the stack as a reply, and pops it. `script_resp` is the protocol the script speaks. */
void to_resp(lua_State *L, struct reply *reply, int script_resp);
/* An error's reply, of a table on top of the stack or of whatever is there; pops it. */
void to_resp_error(lua_State *L, struct reply *reply, const struct script_run *run);

#endif
