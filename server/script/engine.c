/* See script.h: the Lua state, its memory, what is compiled, runs, and how their work is counted.
 *
 * Garbage is collected at points that only depend on the run's work, so that it is the same on all nodes what of a weak table is
 * left, and where in a table a key that was removed comes to lie when it is added again. Lua's own collector is therefore off. */
#include "script_internal.h"

#include "lib.h"
#include "mem.h"

#include <lua-bitop.h>
#include <lualib.h>
#include <string.h>

enum {
    HOOK_UNITS = 1000, /* instructions of the VM between two looks */
    /* Memory in large pieces counts as work, and is looked at before the next instruction when there was much of it. What a run
     * leaves behind may still be there in the next, or not, and a string that is there is not made again: so at first only pieces
     * count that no run leaves behind (collect_after); others do once the run has collected. */
    VERY_LARGE_BYTES = 1 << 20,
    LARGE_BYTES = 32 << 10,
    LARGE_UNITS_SHIFT = 6, /* a unit for each 64 bytes */
    LARGE_BYTES_BETWEEN = 64 << 20,
    ALLOCATION_MAX = 1 << 30, /* more at once fails: "not enough memory" */
    COLLECT_FIRST = 20 * 1000,
    COLLECT_SPACING_MIN = 1 << 20, /* growing by a quarter of the work up to ... */
    COLLECT_SPACING_MAX = 32 << 20,
    CHECKPOINT_SPACING = 4 * 1000 * 1000, /* some 40 ms: who stops a script waits for the next one */
    COMPILED_COUNT_MAX = 10000,
    COMPILED_BYTES_MAX = 32 << 20,
    COLLECT_MORE_BYTES = 2 << 20, /* between runs */
    REPLY_KEPT_MAX = 1 << 20,
};

struct script_engine *script_of(lua_State *L) {
    void *e;
    lua_getallocf(L, &e);
    return e;
}

/* --- memory --- */

static void hook(lua_State *L, lua_Debug *ar);

/* Fresh strings are what garbage is made of, and of the same sizes on all nodes. The table of all strings, and buffers that grow, are
 * not: these have powers of two for sizes, or had one before. Nor are the nodes of a table, for when one grows depends on
 * where its keys collide, and so on the addresses of those that are tables: they are so many powers of two of their own size. */
static bool is_power_of_two(size_t n) {
    return (n & (n - 1)) == 0;
}

static void count_large(struct script_engine *e, size_t size) {
    enum { NODE_SIZE = 40 };
    if (is_power_of_two(size) || (size % NODE_SIZE == 0 && is_power_of_two(size / NODE_SIZE))) return;
    bool was_below = e->large_bytes < LARGE_BYTES_BETWEEN;
    e->is_dirty = true;
    e->large_bytes += size;
    e->large_uncounted += size;
    if (was_below && e->large_bytes >= LARGE_BYTES_BETWEEN && e->running != NULL)
        lua_sethook(e->running, hook, LUA_MASKCOUNT, 1);
}

static void *allocate(void *arg, void *p, size_t old_size, size_t new_size) {
    struct script_engine *e = arg;
    if (new_size == 0) {
        e->bytes -= old_size;
        mem_free(p);
        return NULL;
    }
    if (new_size > ALLOCATION_MAX && new_size > old_size) return NULL;
    if (old_size == 0 && new_size >= e->large_from) count_large(e, new_size);
    e->bytes += new_size - old_size;
    return mem_realloc(p, new_size);
}

static void collect(struct script_engine *e) {
    lua_gc(e->L, LUA_GCCOLLECT, 0);
    lua_gc(e->L, LUA_GCSTOP, 0);                  /* a collection has set it going again */
    memset(e->traversed, 0, sizeof e->traversed); /* another table may come to lie there */
    e->large_bytes = 0;
}

/* Between runs nothing depends on it. What a run did in large pieces goes at once: the next one shall not find it. */
static void collect_after(struct script_engine *e) {
    if ((!e->is_dirty && e->bytes < e->collect_over) || e->run != NULL || e->left_count > 0) return;
    collect(e);
    e->is_dirty = false;
    e->large_from = VERY_LARGE_BYTES;
    e->collect_over = e->bytes + e->bytes / 2 + COLLECT_MORE_BYTES;
}

size_t script_memory(struct script_engine *e) {
    if (e->run == NULL && e->left_count == 0) collect(e);
    return e->bytes + sizeof *e + e->reply.cap;
}

/* --- work --- */

static void checkpoint(lua_State *L, struct script_run *run) {
    run->checkpoint_count++;
    run->checkpoint_at += CHECKPOINT_SPACING;
    run->checked_work = run->work;
    if (run->limits == NULL) return;
    if (run->limits->spent != NULL) *run->limits->spent = 0;
    run->end = run->limits->checkpoint(run->limits->arg, run->checkpoint_count, run->has_written);
    if (run->end != NULL) script_check_end(L);
}

void script_check_end(lua_State *L) {
    const struct script_run *run = script_of(L)->run;
    if (run == NULL || run->end == NULL) return;
    bool has_code = strncmp(run->end, "ERR ", 4) == 0; /* which redis_raise adds */
    redis_raise(L, has_code ? run->end + 4 : run->end);
}

static void collect_within(struct script_engine *e, struct script_run *run) {
    uint64_t spacing = run->work / 4;
    if (spacing < COLLECT_SPACING_MIN) spacing = COLLECT_SPACING_MIN;
    if (spacing > COLLECT_SPACING_MAX) spacing = COLLECT_SPACING_MAX;
    run->collect_at = run->work + spacing;
    collect(e);
    e->is_dirty = true;
    e->large_from = LARGE_BYTES;
}

void script_work(lua_State *L, uint64_t units) {
    struct script_engine *e = script_of(L);
    struct script_run *run = e->run;
    if (run == NULL) return;
    run->work += units + (e->large_uncounted >> LARGE_UNITS_SHIFT);
    e->large_uncounted = 0;
    if (run->work >= run->collect_at || e->large_bytes >= LARGE_BYTES_BETWEEN) collect_within(e, run);
    while (run->work >= run->checkpoint_at) checkpoint(L, run);
}

/* Each 1000 instructions; or, after many large pieces of memory, at once: then the count begins anew, everywhere alike. */
static void hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    if (lua_gethookcount(L) != HOOK_UNITS) lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_UNITS);
    script_work(L, HOOK_UNITS);
}

/* --- the state --- */

/* An error of a script got past all handlers. */
static int panic(lua_State *L) {
    const char *text = lua_tostring(L, -1);
    check_failed(text != NULL ? text : "an error in Lua", __FILE__, __LINE__);
}

static void open_libraries(lua_State *L) {
    static const lua_CFunction libraries[] = {luaopen_base, luaopen_table, luaopen_string, luaopen_math};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        lua_pushcfunction(L, libraries[i]);
        lua_call(L, 0, 0);
    }
    lua_settop(L, 0);
}

static void open_more_libraries(lua_State *L) {
    lua_pushcfunction(L, luaopen_bit);
    lua_call(L, 0, 1);
    lua_setfield(L, LUA_GLOBALSINDEX, "bit");
    lib_string_open(L);
    lib_table_open(L);
    lib_cjson_open(L);
    lib_cmsgpack_open(L);
    lib_struct_open(L);
}

struct script_engine *script_engine_new(void) {
    struct script_engine *e = mem_calloc(1, sizeof *e);
    lua_State *L = lua_newstate(allocate, e);
    CHECK(L != NULL);
    e->L = L;
    lua_atpanic(L, panic);
    lua_gc(L, LUA_GCSTOP, 0);
    open_libraries(L);
    base_open(L);
    maths_open(L);
    coroutine_open(L);
    open_more_libraries(L);
    redis_api_open(L);
    sandbox_open(e);
    library_open(e);
    lua_newtable(L);
    e->compiled_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    /* The buffer for concatenations begins small, and then grows: its first piece would count as a large one, once. */
    lua_pushliteral(L, "a");
    lua_pushliteral(L, "b");
    lua_concat(L, 2);
    lua_pop(L, 1);
    CHECK(lua_gettop(L) == 0);
    collect(e);
    collect_after(e);
    return e;
}

void script_engine_free(struct script_engine *e) {
    CHECK(e->run == NULL);
    lua_close(e->L);
    buf_free(&e->reply);
    mem_free(e);
}

/* --- what is compiled --- */

/* A stack that once was large stays so for long. */
static void forget_threads(struct script_engine *e) {
    while (e->spare_thread_count > 0)
        luaL_unref(e->L, LUA_REGISTRYINDEX, e->spare_thread_refs[--e->spare_thread_count]);
    buf_free(&e->reply);
}

void script_forget_all(struct script_engine *e) {
    if (e->run == NULL && e->left_count == 0) forget_threads(e);
    lua_newtable(e->L);
    lua_rawseti(e->L, LUA_REGISTRYINDEX, e->compiled_ref);
    e->compiled_count = 0;
    e->compiled_bytes = 0;
    e->is_dirty = true;
    collect_after(e);
}

/* Pushes the function, or nil. */
void script_push_compiled(struct script_engine *e, lua_State *L, struct slice sha) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->compiled_ref);
    lua_pushlstring(L, sha.data, sha.len);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

bool script_is_compiled(const struct script_engine *e, struct slice sha) {
    script_push_compiled((struct script_engine *)e, e->L, sha);
    bool is_there = !lua_isnil(e->L, -1);
    lua_pop(e->L, 1);
    return is_there;
}

/* In the order of the Lua stack: code, name. */
static int load_protected(lua_State *L) {
    const struct slice *code = lua_touserdata(L, 1);
    if (luaL_loadbuffer(L, code->len > 0 ? code->data : "", code->len, lua_tostring(L, 2)) != 0) lua_error(L);
    return 1;
}

bool script_load(struct script_engine *e, struct slice code, const char *chunk_name, struct buf *error) {
    lua_State *L = e->L;
    if (code.len > 0 && code.data[0] == LUA_SIGNATURE[0]) {
        buf_add_str(error, "bytecode is not taken");
        return false;
    }
    lua_pushcfunction(L, load_protected);
    lua_pushlightuserdata(L, &code);
    lua_pushstring(L, chunk_name);
    if (lua_pcall(L, 2, 1, 0) == 0) return true;
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    buf_add(error, text, len);
    lua_pop(L, 1);
    return false;
}

bool script_keep(struct script_engine *e, struct slice key, struct slice code, const char *chunk_name,
                 struct buf *error) {
    lua_State *L = e->L;
    if (e->compiled_count >= COMPILED_COUNT_MAX || e->compiled_bytes + code.len > COMPILED_BYTES_MAX)
        script_forget_all(e);
    bool ok = script_load(e, code, chunk_name, error);
    if (ok) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, e->compiled_ref);
        lua_pushlstring(L, key.data, key.len);
        lua_pushvalue(L, -3);
        lua_rawset(L, -3);
        lua_pop(L, 2);
        e->compiled_count++;
        e->compiled_bytes += code.len;
    }
    collect_after(e);
    return ok;
}

bool script_compile(struct script_engine *e, struct slice sha, struct slice body, struct buf *error) {
    CHECK(sha.len == SCRIPT_SHA_LEN);
    return script_keep(e, sha, body, "@user_script", error);
}

/* --- runs --- */

static lua_State *take_thread(struct script_engine *e, struct script_run *run) {
    if (e->spare_thread_count > 0) {
        e->spare_thread_count--;
        run->thread_ref = e->spare_thread_refs[e->spare_thread_count];
        return e->spare_threads[e->spare_thread_count];
    }
    lua_State *L = lua_newthread(e->L);
    run->thread_ref = luaL_ref(e->L, LUA_REGISTRYINDEX);
    return L;
}

static lua_State *begin(struct script_engine *e, struct script_run *run) {
    lua_State *L = take_thread(e, run);
    CHECK(lua_gettop(L) == 0);
    lib_cjson_reset(L);
    run->thread = L;
    run->declaring = NULL;
    run->work = 0;
    run->checkpoint_count = 0;
    uint64_t spent = run->limits != NULL && run->limits->spent != NULL ? *run->limits->spent : 0;
    run->checkpoint_at = spent < CHECKPOINT_SPACING ? CHECKPOINT_SPACING - spent : 1;
    run->checked_work = 0;
    run->collect_at = COLLECT_FIRST;
    run->random = maths_seed(run->seed);
    run->end = NULL;
    run->resp = 2;
    run->outer = e->run;
    e->run = run;
    e->running = L;
    e->large_bytes = e->large_uncounted = 0;
    lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_UNITS);
    return L;
}

static void end(struct script_engine *e, struct script_run *run) {
    CHECK(e->run == run);
    if (run->limits != NULL && run->limits->spent != NULL)
        *run->limits->spent += run->work - run->checked_work;
    e->run = run->outer;
    e->running = run->outer != NULL ? run->outer->thread : NULL;
    lua_settop(run->thread, 0);
    if (e->spare_thread_count < SPARE_THREADS_MAX) {
        e->spare_threads[e->spare_thread_count] = run->thread;
        e->spare_thread_refs[e->spare_thread_count++] = run->thread_ref;
    } else {
        luaL_unref(e->L, LUA_REGISTRYINDEX, run->thread_ref);
    }
    run->thread = NULL;
    if (e->reply.cap > REPLY_KEPT_MAX) buf_free(&e->reply);
    collect_after(e);
}

void script_protected(struct script_engine *e, lua_CFunction body, void *arg, struct script_run *run,
                      struct reply *reply) {
    lua_State *L = begin(e, run);
    lua_pushcfunction(L, sandbox_error_handler);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, arg);
    if (lua_pcall(L, 1, 1, 1) == 0)
        to_resp(L, reply, run->resp);
    else
        to_resp_error(L, reply, run);
    end(e, run);
}

bool script_protected_text(struct script_engine *e, lua_CFunction body, void *arg, struct script_run *run,
                           struct buf *error) {
    lua_State *L = begin(e, run);
    lua_pushcfunction(L, sandbox_error_handler);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, arg);
    bool ok = lua_pcall(L, 1, 0, 1) == 0;
    if (!ok) {
        if (lua_istable(L, -1)) lua_getfield(L, -1, "err");
        size_t len = 0;
        const char *text = lua_tolstring(L, -1, &len);
        buf_add(error, text, len);
    }
    end(e, run);
    return ok;
}

void script_push_slices(lua_State *L, int count, const struct slice *items) {
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushlstring(L, items[i].len > 0 ? items[i].data : "", items[i].len);
        lua_rawseti(L, -2, i + 1);
    }
}

static void push_globals(struct script_engine *e, lua_State *L) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->globals_ref);
}

static void set_arguments(lua_State *L, const struct script_run *run) {
    push_globals(script_of(L), L);
    script_push_slices(L, run->key_count, run->keys);
    lua_setfield(L, -2, "KEYS");
    script_push_slices(L, run->arg_count, run->args);
    lua_setfield(L, -2, "ARGV");
    lua_pop(L, 1);
}

void script_clear_arguments(lua_State *L) {
    static const struct script_run none;
    set_arguments(L, &none);
}

static int eval(lua_State *L) {
    struct script_engine *e = script_of(L);
    const struct slice *sha = lua_touserdata(L, 1);
    set_arguments(L, e->run);
    script_push_compiled(e, L, *sha);
    lua_call(L, 0, 1);
    return 1;
}

void script_eval(struct script_engine *e, struct slice sha, struct script_run *run, struct reply *reply) {
    CHECK(script_is_compiled(e, sha));
    script_protected(e, eval, &sha, run, reply);
}

/* --- away from the stack and back --- */

struct script_run *script_running(const struct script_engine *e) {
    return e->run;
}

static int take_global(struct script_engine *e, const char *name) {
    push_globals(e, e->L);
    lua_getfield(e->L, -1, name);
    int ref = luaL_ref(e->L, LUA_REGISTRYINDEX);
    lua_pop(e->L, 1);
    return ref;
}

static void give_global(struct script_engine *e, const char *name, int ref) {
    push_globals(e, e->L);
    lua_rawgeti(e->L, LUA_REGISTRYINDEX, ref);
    lua_setfield(e->L, -2, name);
    luaL_unref(e->L, LUA_REGISTRYINDEX, ref);
    lua_pop(e->L, 1);
}

struct script_run *script_leave(struct script_engine *e) {
    struct script_run *run = e->run;
    CHECK(run != NULL);
    CHECK(run->outer == NULL);
    run->keys_ref = take_global(e, "KEYS");
    run->args_ref = take_global(e, "ARGV");
    run->left_running = e->running;
    run->left_depth = e->coroutine_depth;
    run->left_large_from = e->large_from;
    e->run = NULL;
    e->running = NULL;
    e->coroutine_depth = 0;
    e->left_count++;
    return run;
}

void script_enter(struct script_engine *e, struct script_run *run) {
    CHECK(e->run == NULL);
    give_global(e, "KEYS", run->keys_ref);
    give_global(e, "ARGV", run->args_ref);
    e->run = run;
    e->running = run->left_running;
    e->coroutine_depth = run->left_depth;
    e->large_from = run->left_large_from;
    e->large_bytes = e->large_uncounted = 0;
    e->left_count--;
}
