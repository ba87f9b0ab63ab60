/* What scripts may touch: the globals, locked, and tables that read as usual and cannot be changed. A locked table is an empty one
 * whose metatable leads to the real one; functions that reach past metatables ask here first. */
#include "script_internal.h"

#include <string.h>

static const char *const globals_kept[] = {
    "_G",
    "_VERSION",
    "assert",
    "bit",
    "cjson",
    "cmsgpack",
    "collectgarbage",
    "coroutine",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "load",
    "loadstring",
    "math",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "redis",
    "select",
    "setmetatable",
    "string",
    "struct",
    "table",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "xpcall",
    "__redis__err__handler",
};

/* --- locked tables --- */

bool sandbox_is_locked(lua_State *L, int index) {
    const struct script_engine *e = script_of(L);
    const void *p = lua_topointer(L, index);
    for (int i = 0; i < e->locked_count; i++)
        if (e->locked[i] == p) return true;
    return false;
}

void sandbox_refuse_locked(lua_State *L, int index) {
    if (!lua_istable(L, index) || !sandbox_is_locked(L, index)) return;
    lua_pushliteral(L,
                    "Attempt to modify a readonly table"); /* without a place, as Redis's functions say it */
    lua_error(L);
}

void sandbox_see_through(lua_State *L, int index) {
    if (!lua_istable(L, index) || !sandbox_is_locked(L, index)) return;
    lua_getmetatable(L, index);
    lua_getfield(L, -1, "__index");
    lua_replace(L, index);
    lua_pop(L, 1);
}

int sandbox_refuse_change(lua_State *L) {
    return luaL_error(L, "Attempt to modify a readonly table");
}

void sandbox_lock(struct script_engine *e, lua_State *L) {
    CHECK(lua_istable(L, -1));
    CHECK(e->locked_count < LOCKED_MAX);
    lua_newtable(L);
    e->locked[e->locked_count++] = lua_topointer(L, -1);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 1); /* for lib_table.c */
    lua_setfield(L, -2, "__readonly");
    lua_pushcfunction(L, sandbox_refuse_change);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    /* For good: it is known by where it is. */
    lua_pushvalue(L, -1);
    luaL_ref(L, LUA_REGISTRYINDEX);
    lua_replace(L, -2);
}

/* --- keys whose order is not the same everywhere --- */

static bool is_ordered(lua_State *L, int index) {
    int type = lua_type(L, index);
    return type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN ||
           (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) == NULL);
}

bool sandbox_keys_are_ordered(lua_State *L, int index, uint64_t *count) {
    if (index < 0) index = lua_gettop(L) + index + 1;
    bool are = true;
    lua_pushnil(L);
    for (*count = 0; are && lua_next(L, index); ++*count) {
        lua_pop(L, 1);
        are = is_ordered(L, -1);
    }
    lua_settop(L, are ? lua_gettop(L) : lua_gettop(L) - 1);
    return are;
}

void sandbox_check_keys(lua_State *L, int index) {
    uint64_t count;
    luaL_checkstack(L, 2, "too many values");
    bool are_ordered = sandbox_keys_are_ordered(L, index, &count);
    if (count > 16) script_work(L, count);
    if (!are_ordered)
        luaL_error(
            L, "the order of a table's keys is not defined when there are tables or functions among them");
}

/* --- errors --- */

/* Where an error was raised: by the innermost function, or, when that is one of C, by who called it. */
static bool find_place(lua_State *L, lua_Debug *place) {
    if (!lua_getstack(L, 1, place) || !lua_getinfo(L, "Sl", place)) return false;
    if (strcmp(place->what, "C") != 0) return true;
    return lua_getstack(L, 2, place) && lua_getinfo(L, "Sl", place);
}

int sandbox_error_handler(lua_State *L) {
    lua_Debug place;
    lua_settop(L, 1);
    if (!lua_istable(L, 1)) {
        lua_createtable(L, 0, 3);
        lua_pushliteral(L, "ERR ");
        base_push_text(L, 1);
        lua_concat(L, 2);
        lua_setfield(L, 2, "err");
        lua_replace(L, 1);
    }
    if (!find_place(L, &place) || sandbox_is_locked(L, 1)) return 1;
    lua_pushliteral(L, "source");
    lua_pushstring(L, place.source);
    lua_rawset(L, 1);
    lua_pushliteral(L, "line");
    lua_pushinteger(L, place.currentline);
    lua_rawset(L, 1);
    return 1;
}

/* --- globals --- */

static int refuse_nonexistent(lua_State *L) {
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    base_push_text(L, 2);
    return luaL_error(L, "Script attempted to access nonexistent global variable '%s'", lua_tostring(L, -1));
}

/* The table `name` of those on top of the stack. */
static void lock_field(struct script_engine *e, lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    if (lua_istable(L, -1)) sandbox_lock(e, L);
    lua_setfield(L, -2, name);
}

/* A string's metatable leads to the functions themselves; scripts that ask for it are shown another. */
static void lock_string_metatable(struct script_engine *e, lua_State *L) {
    lua_newtable(L);
    lua_getfield(L, -2, "string");
    lua_setfield(L, -2, "__index");
    sandbox_lock(e, L);
    e->string_metatable_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Bytecode is of no use where none is taken, and not the same on every machine: there is nothing but its signature. */
static int dump(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (lua_iscfunction(L, 1)) return luaL_error(L, "unable to dump given function");
    lua_pushliteral(L, LUA_SIGNATURE);
    return 1;
}

void sandbox_open(struct script_engine *e) {
    static const char *const libraries[] = {"string", "table",  "math",     "bit",      "cjson",
                                            "redis",  "struct", "cmsgpack", "coroutine"};
    lua_State *L = e->L;
    lua_newtable(L); /* the globals of scripts */
    lua_getfield(L, LUA_GLOBALSINDEX, "string");
    lua_pushcfunction(L, dump);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    for (size_t i = 0; i < sizeof globals_kept / sizeof *globals_kept; i++) {
        lua_getfield(L, LUA_GLOBALSINDEX, globals_kept[i]);
        lua_setfield(L, -2, globals_kept[i]);
    }
    lua_pushcfunction(L, sandbox_error_handler);
    lua_setfield(L, -2, "__redis__err__handler");
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) lock_field(e, L, libraries[i]);
    lock_string_metatable(e, L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, refuse_nonexistent);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -1);
    sandbox_lock(e, L);
    e->globals_metatable_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    e->globals_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    sandbox_lock(e, L);
    lua_pushvalue(L, -1);
    e->locked_globals = lua_topointer(L, -1);
    lua_setfield(L, -3, "_G");
    /* Whatever is compiled from here on lives in these globals, and coroutines begin with them. */
    lua_replace(L, LUA_GLOBALSINDEX);
    lua_newtable(L);
    lua_setfield(L, -2, "KEYS");
    lua_newtable(L);
    lua_setfield(L, -2, "ARGV");
    lua_settop(L, 0);
}
