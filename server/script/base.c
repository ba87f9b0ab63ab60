/* Lua's basic functions that would show addresses, reach past a lock, or catch what must not be caught. */
#include "script_internal.h"

#include <string.h>

/* Pushes what tostring says: no addresses. */
void base_push_text(lua_State *L, int index) {
    if (luaL_callmeta(L, index, "__tostring")) return;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: lua_pushstring(L, lua_tostring(L, index)); return;
    case LUA_TSTRING: lua_pushvalue(L, index); return;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false"); return;
    case LUA_TNIL: lua_pushliteral(L, "nil"); return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL) {
            lua_pushliteral(L, "userdata: (nil)"); /* cjson.null */
            return;
        }
    }
    lua_pushfstring(L, "%s: 0x0", luaL_typename(L, index));
}

static int base_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    base_push_text(L, 1);
    return 1;
}

/* --- tables --- */

/* Once for each traversal, at its beginning; a few that are under way at the same time are remembered. */
static void check_keys(lua_State *L, bool begins) {
    struct script_engine *e = script_of(L);
    const void *table = lua_topointer(L, 1);
    if (!begins) {
        for (int i = 0; i < TRAVERSALS_MAX; i++)
            if (e->traversed[i] == table) return;
    }
    sandbox_check_keys(L, 1);
    e->traversed[e->traversed_next++ % TRAVERSALS_MAX] = table;
}

static int base_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    sandbox_see_through(L, 1);
    check_keys(L, lua_isnil(L, 2));
    if (lua_next(L, 1)) return 2;
    lua_pushnil(L);
    return 1;
}

static int base_pairs(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int base_rawget(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    sandbox_see_through(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int base_rawset(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    sandbox_refuse_locked(L, 1);
    lua_rawset(L, 1);
    return 1;
}

static int base_setmetatable(lua_State *L) {
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table expected");
    sandbox_refuse_locked(L, 1);
    if (luaL_getmetafield(L, 1, "__metatable")) luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int base_getmetatable(lua_State *L) {
    const struct script_engine *e = script_of(L);
    luaL_checkany(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, e->string_metatable_ref);
        return 1;
    }
    if (lua_istable(L, 1) && sandbox_is_locked(L, 1)) {
        if (lua_topointer(L, 1) == e->locked_globals || lua_topointer(L, 1) == e->locked_function_globals)
            lua_rawgeti(L, LUA_REGISTRYINDEX, e->globals_metatable_ref);
        else
            lua_pushnil(L);
        return 1;
    }
    if (!lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    luaL_getmetafield(L, 1, "__metatable");
    return 1;
}

/* table.foreach */
static int base_foreach(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    sandbox_see_through(L, 1);
    sandbox_check_keys(L, 1);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -3);
        lua_call(L, 2, 1);
        if (!lua_isnil(L, -1)) return 1;
        lua_pop(L, 2);
    }
    return 0;
}

/* --- errors --- */

/* An error of ours reaches whoever catches it as its text alone, as scripts written for older servers expect. */
static int caught(lua_State *L, int status) {
    script_check_end(L);
    lua_pushboolean(L, status == 0);
    lua_insert(L, 1);
    if (status != 0 && lua_istable(L, -1)) {
        lua_pushliteral(L, "err");
        lua_rawget(L, -2);
        if (lua_isnil(L, -1))
            lua_pop(L, 1);
        else
            lua_replace(L, -2);
    }
    return lua_gettop(L);
}

static int base_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    return caught(L, lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0));
}

/* Around a script's own handler. The error that ends a run comes out of the hook, where no hook would end the handler. */
static int handle(lua_State *L) {
    const struct script_run *run = script_of(L)->run;
    if (run != NULL && run->end != NULL) return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int base_xpcall(lua_State *L) {
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    lua_pushcclosure(L, handle, 1);
    lua_insert(L, 1); /* the handler below the function */
    int status = lua_pcall(L, 0, LUA_MULTRET, 1);
    script_check_end(L);
    lua_pushboolean(L, status == 0);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* --- code --- */

static int loaded(lua_State *L, int status) {
    if (status == 0) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* Bytecode could do anything to us: only text is compiled. */
static int load_text(lua_State *L, const char *text, size_t len, const char *name) {
    if (len > 0 && text[0] == LUA_SIGNATURE[0]) {
        lua_pushnil(L);
        lua_pushliteral(L, "bytecode is not taken");
        return 2;
    }
    script_work(L, len);
    return loaded(L, luaL_loadbuffer(L, text, len, name));
}

static int base_loadstring(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    return load_text(L, text, len, luaL_optstring(L, 2, text));
}

/* Of load: what its function returns, piece by piece, is put together first. */
static int base_load(lua_State *L) {
    const char *name = luaL_optstring(L, 2, "=(load)");
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_newtable(L);
    for (int count = 1;; count++) {
        lua_pushvalue(L, 1);
        int status = lua_pcall(L, 0, 1, 0);
        script_check_end(L);
        if (status != 0) return loaded(L, status);
        if (lua_isnil(L, -1) || (lua_isstring(L, -1) && lua_objlen(L, -1) == 0)) break;
        if (!lua_isstring(L, -1)) {
            lua_pushliteral(L, "reader function must return a string");
            return loaded(L, LUA_ERRRUN);
        }
        lua_rawseti(L, 3, count);
    }
    lua_settop(L, 3);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t parts = lua_objlen(L, 3);
    for (size_t i = 1; i <= parts; i++) {
        lua_rawgeti(L, 3, (int)i);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    return load_text(L, text, len, name);
}

/* --- memory --- */

static int base_collectgarbage(lua_State *L) {
    static const char *const options[] = {"stop", "restart",  "collect",    "count",
                                          "step", "setpause", "setstepmul", NULL};
    int option = luaL_checkoption(L, 1, "collect", options);
    luaL_optint(L, 2, 0);
    if (strcmp(options[option], "step") == 0)
        lua_pushboolean(L, 1);
    else
        lua_pushinteger(L, strncmp(options[option], "set", 3) == 0 ? 200 : 0);
    return 1;
}

static int base_gcinfo(lua_State *L) {
    lua_pushinteger(L, 0);
    return 1;
}

void base_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"tostring", base_tostring},
        {"next", base_next},
        {"rawget", base_rawget},
        {"rawset", base_rawset},
        {"setmetatable", base_setmetatable},
        {"getmetatable", base_getmetatable},
        {"pcall", base_pcall},
        {"xpcall", base_xpcall},
        {"loadstring", base_loadstring},
        {"load", base_load},
        {"collectgarbage", base_collectgarbage},
        {"gcinfo", base_gcinfo},
        {NULL, NULL},
    };
    luaL_register(L, "_G", functions);
    lua_getfield(L, -1, "next");
    lua_pushcclosure(L, base_pairs, 1);
    lua_setfield(L, -2, "pairs");
    lua_getfield(L, -1, "table");
    lua_pushcfunction(L, base_foreach);
    lua_setfield(L, -2, "foreach");
    lua_settop(L, 0);
}
