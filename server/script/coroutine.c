/* Coroutines: as Lua's own, but a script may nest only a few of them, for all are on the one stack of C that there is; each counts as
 * work when it is made, for each has its own count of instructions; and the end of the script is not to be caught here either. */
#include "script_internal.h"

enum { COROUTINE_UNITS = 1000 };

static lua_State *check_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argcheck(L, co != NULL, 1, "coroutine expected");
    return co;
}

static const char *status_of(lua_State *L, lua_State *co) {
    lua_Debug ar;
    if (co == L) return "running";
    switch (lua_status(co)) {
    case LUA_YIELD: return "suspended";
    case 0: break;
    default: return "dead";
    }
    if (lua_getstack(co, 0, &ar)) return "normal"; /* it has resumed another */
    return lua_gettop(co) == 0 ? "dead" : "suspended";
}

/* The values it gave, or one error; false then. */
static bool resume(lua_State *L, lua_State *co, int arg_count, int *count) {
    struct script_engine *e = script_of(L);
    const char *status = status_of(L, co);
    *count = 1;
    if (status[0] != 's') {
        lua_pushfstring(L, "cannot resume %s coroutine", status);
        return false;
    }
    if (e->coroutine_depth >= COROUTINE_DEPTH_MAX) {
        lua_pushliteral(L, "C stack overflow");
        return false;
    }
    if (!lua_checkstack(co, arg_count)) luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, arg_count);
    script_work(L, 10);
    e->coroutine_depth++;
    e->running = co;
    int result = lua_resume(co, arg_count);
    e->running = L;
    e->coroutine_depth--;
    if (result == 0 || result == LUA_YIELD) {
        *count = lua_gettop(co);
        if (!lua_checkstack(L, *count + 1)) luaL_error(L, "too many results to resume");
        lua_xmove(co, L, *count);
        return true;
    }
    lua_xmove(co, L, 1);
    script_check_end(L);
    return false;
}

static int coroutine_resume(lua_State *L) {
    lua_State *co = check_coroutine(L);
    int count;
    bool ok = resume(L, co, lua_gettop(L) - 1, &count);
    lua_pushboolean(L, ok);
    lua_insert(L, -(count + 1));
    return count + 1;
}

static int call_wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int count;
    if (resume(L, co, lua_gettop(L), &count)) return count;
    if (lua_isstring(L, -1)) { /* whoever called it is where the error is, too */
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int coroutine_create(lua_State *L) {
    luaL_argcheck(L, lua_isfunction(L, 1) && !lua_iscfunction(L, 1), 1, "Lua function expected");
    script_work(L, COROUTINE_UNITS);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int coroutine_wrap(lua_State *L) {
    coroutine_create(L);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

static int coroutine_yield(lua_State *L) {
    return lua_yield(L, lua_gettop(L));
}

static int coroutine_status(lua_State *L) {
    lua_pushstring(L, status_of(L, check_coroutine(L)));
    return 1;
}

static int coroutine_running(lua_State *L) {
    const struct script_run *run = script_of(L)->run;
    if (run != NULL && run->thread == L)
        lua_pushnil(L); /* the script itself is none */
    else
        lua_pushthread(L);
    return 1;
}

void coroutine_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"create", coroutine_create},
        {"resume", coroutine_resume},
        {"running", coroutine_running},
        {"status", coroutine_status},
        {"wrap", coroutine_wrap},
        {"yield", coroutine_yield},
        {NULL, NULL},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_setfield(L, LUA_GLOBALSINDEX, "coroutine");
}
