/* cjson is lua-cjson's own library, which begins with the settings that Redis has. What is added:
 *
 *   - Work is counted. Before something is encoded it is walked in the same order, so that what would have no end (the same
 *     tables in tables over and over) can be ended, and what would not fit into memory is an error of the script.
 *   - Settings that a script makes are its own: they are taken back before the next one runs, for the nodes of a cluster start
 *     at different times. */
#include "lib.h"

#include <math.h>
#include <stdbool.h>

#include <lauxlib.h>
#include <lua-cjson.h>

#include "lib_out.h"

/* Of all functions of ours: the first upvalue is the library's own (its settings), as its functions expect it there; then
 * comes the library's function. */
enum { UPVALUE_OWN = 2, UPVALUE_DEPTH = 3, UPVALUE_SPARSE = 4 };

static int run_own(lua_State *L) {
    return lua_tocfunction(L, lua_upvalueindex(UPVALUE_OWN))(L);
}

/* --- encode --- */

struct walk {
    lua_State *L;
    struct lib_steps steps;
    size_t bytes; /* at least so many come out */
    int depth_max;
};

static void add_bytes(struct walk *w, size_t bytes) {
    w->bytes += bytes;
    if (w->bytes > LIB_STRING_MAX) lib_too_large(w->L);
    lib_step(&w->steps, 4 + bytes / 8);
}

struct shape {
    bool is_array;
    size_t count;
    double highest; /* index */
};

/* What the table on top looks like to the library. */
static struct shape shape_of(struct walk *w) {
    lua_State *L = w->L;
    struct shape shape = {.is_array = true};
    bool is_by_address = false;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        int type = lua_type(L, -2);
        double n = type == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (!(n >= 1) || floor(n) != n) shape.is_array = false;
        if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TBOOLEAN) is_by_address = true;
        if (n > shape.highest) shape.highest = n;
        shape.count++;
        lib_step(&w->steps, 1);
    }
    /* The order of such keys differs from node to node, and with it which error is met first. */
    if (is_by_address) luaL_error(L, "Cannot serialise table: table key must be a number or string");
    if (shape.count == 0) shape.is_array = false;
    return shape;
}

/* Whether the library makes an array of it, with all indexes that have no value. */
static bool is_dense_enough(struct walk *w, const struct shape *shape) {
    lua_State *L = w->L;
    enum { SURELY = 10 }; /* the library's setting at first */
    if (shape->highest <= (double)shape->count || shape->highest <= SURELY) return true;
    lua_pushvalue(L, lua_upvalueindex(UPVALUE_SPARSE));
    lua_call(L, 0, 3); /* convert, ratio, safe */
    double ratio = lua_tonumber(L, -2), safe = lua_tonumber(L, -1);
    lua_pop(L, 3);
    return ratio <= 0 || shape->highest <= (double)shape->count * ratio || shape->highest <= safe;
}

static bool walk_value(struct walk *w, int depth);

static bool walk_array(struct walk *w, const struct shape *shape, int depth) {
    if (shape->highest > LIB_STRING_MAX) lib_too_large(w->L);
    for (int i = 1; i <= (int)shape->highest; i++) {
        lua_rawgeti(w->L, -1, i);
        bool goes_on = walk_value(w, depth);
        lua_pop(w->L, 1);
        if (!goes_on) return false;
    }
    return true;
}

static bool walk_object(struct walk *w, int depth) {
    lua_State *L = w->L;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        int type = lua_type(L, -2);
        bool goes_on = type == LUA_TNUMBER || type == LUA_TSTRING;
        add_bytes(w, type == LUA_TSTRING ? lua_objlen(L, -2) : 1);
        if (!goes_on || !walk_value(w, depth)) {
            lua_pop(L, 2);
            return false;
        }
    }
    return true;
}

/* What is on top, and stays there. False where the library is going to raise an error: nothing further matters. */
static bool walk_value(struct walk *w, int depth) {
    lua_State *L = w->L;
    struct shape shape;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: add_bytes(w, lua_objlen(L, -1) + 2); return true;
    case LUA_TTABLE:
        add_bytes(w, 2);
        if (depth >= w->depth_max || !lua_checkstack(L, 5)) return false;
        shape = shape_of(w);
        if (!shape.is_array) return walk_object(w, depth + 1);
        if (!is_dense_enough(w, &shape)) return walk_object(w, depth + 1); /* or an error */
        return walk_array(w, &shape, depth + 1);
    case LUA_TNUMBER:
    case LUA_TBOOLEAN:
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA: add_bytes(w, 2); return true;
    default: return false;
    }
}

static int lib_encode(lua_State *L) {
    if (lua_gettop(L) == 1) {
        lua_pushvalue(L, lua_upvalueindex(UPVALUE_DEPTH));
        lua_call(L, 0, 1);
        struct walk w = {.L = L, .steps = {.L = L}, .depth_max = (int)lua_tointeger(L, -1)};
        lua_pop(L, 1);
        walk_value(&w, 0);
        lua_settop(L, 1);
        lib_steps_flush(&w.steps);
    }
    return run_own(L);
}

static int lib_decode(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING) script_work(L, lua_objlen(L, 1) / 4);
    return run_own(L);
}

/* --- settings --- */

static const char *const setters[] = {
    "encode_sparse_array", "encode_max_depth",       "decode_max_depth",       "encode_number_precision",
    "encode_keep_buffer",  "encode_invalid_numbers", "decode_invalid_numbers",
};
enum { SETTER_COUNT = sizeof setters / sizeof *setters };

static char changed_key; /* its address, in the registry: whether a script has made settings */

static void set_changed(lua_State *L, bool is_changed) {
    lua_pushlightuserdata(L, &changed_key);
    lua_pushboolean(L, is_changed);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

static int lib_setter(lua_State *L) {
    if (lua_gettop(L) > 0) {
        luaL_checkstack(L, 2, NULL);
        set_changed(L, true);
    }
    return run_own(L);
}

/* The library's settings at first, which are Redis's too. `own` is the table of the library's functions. */
static void set_usual(lua_State *L, int own) {
    for (int i = 0; i < SETTER_COUNT; i++) {
        int top = lua_gettop(L);
        lua_getfield(L, own, setters[i]);
        switch (i) {
        case 0:
            lua_pushboolean(L, false);
            lua_pushinteger(L, 2);
            lua_pushinteger(L, 10);
            break;
        case 1:
        case 2: lua_pushinteger(L, 1000); break;
        case 3: lua_pushinteger(L, 14); break;
        case 4:
        case 6: lua_pushboolean(L, true); break;
        default: lua_pushboolean(L, false);
        }
        lua_call(L, lua_gettop(L) - top - 1, 0);
    }
}

/* --- opening --- */

static int lib_new(lua_State *L);

static void replace(lua_State *L, int own, const char *name, lua_CFunction by) {
    lua_getfield(L, own, name);
    lua_CFunction function = lua_tocfunction(L, -1);
    if (lua_getupvalue(L, -1, 1) == NULL) lua_pushnil(L);
    lua_pushcfunction(L, function);
    lua_getfield(L, own, "encode_max_depth");
    lua_getfield(L, own, "encode_sparse_array");
    lua_pushcclosure(L, by, 4);
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
}

/* In place of the library's table on top, one of ours. */
static void wrap(lua_State *L) {
    int own = lua_gettop(L);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, own);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, own + 1);
    }
    replace(L, own, "encode", lib_encode);
    replace(L, own, "decode", lib_decode);
    replace(L, own, "new", lib_new);
    for (int i = 0; i < SETTER_COUNT; i++) replace(L, own, setters[i], lib_setter);
    lua_replace(L, own);
}

static int lib_new(lua_State *L) {
    luaL_checkstack(L, 10, NULL);
    if (run_own(L) == 1) wrap(L);
    return 1;
}

static char own_key; /* its address, in the registry: the library's own table */

void lib_cjson_open(lua_State *L) {
    int top = lua_gettop(L);
    lua_pushcfunction(L, luaopen_cjson);
    lua_call(L, 0, 1);
    lua_pushlightuserdata(L, &own_key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    set_usual(L, lua_gettop(L));
    wrap(L);
    lua_setglobal(L, "cjson");
    lua_settop(L, top);
}

void lib_cjson_reset(lua_State *L) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 10, NULL);
    lua_pushlightuserdata(L, &changed_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_toboolean(L, -1)) {
        lua_pushlightuserdata(L, &own_key);
        lua_rawget(L, LUA_REGISTRYINDEX);
        set_usual(L, lua_gettop(L));
        set_changed(L, false);
    }
    lua_settop(L, top);
}
