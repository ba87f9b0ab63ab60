/* The table `redis` of scripts: what it says, and which errors it raises, is Redis 7.0's. */
#include "script_internal.h"

#include "num.h"
#include "sha.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    CALL_UNITS = 200,         /* a command takes about as long */
    BYTES_PER_UNIT_SHIFT = 3, /* of what goes in and comes out */
    ARGS_ON_STACK = 16,
    ARG_TEXT_CAP = 32,
};

/* --- errors --- */

static struct slice without_line_ends(struct slice s) {
    while (s.len > 0 && (s.data[0] == '\r' || s.data[0] == '\n')) s = slice_make(s.data + 1, s.len - 1);
    while (s.len > 0 && (s.data[s.len - 1] == '\r' || s.data[s.len - 1] == '\n')) s.len--;
    return s;
}

/* {err = "CODE text"}. */
static void push_error(lua_State *L, struct slice code, struct slice text) {
    text = without_line_ends(text);
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, code.data, code.len);
    lua_pushliteral(L, " ");
    lua_pushlstring(L, text.data, text.len);
    lua_concat(L, 3);
    lua_setfield(L, -2, "err");
}

void redis_push_error(lua_State *L, const char *text) {
    push_error(L, SLICE("ERR"), slice_of(text));
}

int redis_raise(lua_State *L, const char *text) {
    redis_push_error(L, text);
    return lua_error(L);
}

/* --- commands --- */

struct call_args {
    int argc;
    struct slice *argv;
    char (*texts)[ARG_TEXT_CAP]; /* of numbers */
    size_t bytes;
    struct slice few_argv[ARGS_ON_STACK];
    char few_texts[ARGS_ON_STACK][ARG_TEXT_CAP];
};

/* All digits that make a difference: Lua's own would lose some. */
static struct slice number_arg(char *text, lua_Number v) {
    int64_t whole = fabs(v) < 1e15 ? (int64_t)v : 0;
    if (whole != 0 && (lua_Number)whole == v) return slice_make(text, format_i64(text, whole));
    return slice_make(text, (size_t)snprintf(text, ARG_TEXT_CAP, "%.17g", v));
}

/* The arguments of the function being called. Strings stay where they are in Lua; false with an error's text. */
static const char *take_args(lua_State *L, struct call_args *a) {
    a->argc = lua_gettop(L);
    a->bytes = 0;
    a->argv = a->few_argv;
    a->texts = a->few_texts;
    if (a->argc == 0) return "Please specify at least one argument for this redis lib call";
    if (a->argc > ARGS_ON_STACK) {
        size_t count = (size_t)a->argc;
        a->argv = lua_newuserdata(L, count * (sizeof *a->argv + ARG_TEXT_CAP));
        a->texts = (char(*)[ARG_TEXT_CAP])(void *)(a->argv + count);
    }
    for (int i = 0; i < a->argc; i++) {
        size_t len;
        switch (lua_type(L, i + 1)) {
        case LUA_TNUMBER: a->argv[i] = number_arg(a->texts[i], lua_tonumber(L, i + 1)); break;
        case LUA_TSTRING:
            a->argv[i].data = lua_tolstring(L, i + 1, &len);
            a->argv[i].len = len;
            break;
        default: return "Lua redis lib command arguments must be strings or integers";
        }
        a->bytes += a->argv[i].len;
    }
    return NULL;
}

/* Pushes the reply; true when it is an error. */
static bool call(lua_State *L, const struct call_args *a) {
    struct script_engine *e = script_of(L);
    struct script_run *run = e->run;
    struct buf reply = e->reply;
    e->reply = (struct buf){0};
    buf_clear(&reply);
    run->world->call(run->arg, a->argc, a->argv, run->resp, &reply);
    buf_free(&e->reply);
    e->reply = reply;
    CHECK(reply.len > 0);
    lua_settop(L, 0); /* room for the reply: there may have been as many arguments as a stack holds */
    from_resp(L, buf_slice(&reply));
    bool is_error = reply.data[0] == '-';
    script_work(L, reply.len >> BYTES_PER_UNIT_SHIFT);
    return is_error;
}

static int generic_call(lua_State *L, bool raises) {
    struct call_args args;
    script_check_end(L);
    const char *error = take_args(L, &args);
    if (error == NULL) {
        script_work(L, CALL_UNITS + (args.bytes >> BYTES_PER_UNIT_SHIFT));
        if (!call(L, &args) || !raises) return 1;
        return lua_error(L);
    }
    redis_push_error(L, error);
    return raises ? lua_error(L) : 1;
}

static int redis_call(lua_State *L) {
    return generic_call(L, true);
}

static int redis_pcall(lua_State *L) {
    return generic_call(L, false);
}

static int redis_acl_check_cmd(lua_State *L) {
    const struct script_run *run = script_of(L)->run;
    struct call_args args;
    bool known = true;
    const char *error = take_args(L, &args);
    if (error != NULL) return redis_raise(L, error);
    bool may = run->world->may(run->arg, args.argc, args.argv, &known);
    if (!known) return redis_raise(L, "Invalid command passed to redis.acl_check_cmd()");
    lua_pushboolean(L, may);
    return 1;
}

/* --- replies --- */

static bool is_one_string(lua_State *L) {
    return lua_gettop(L) == 1 && lua_type(L, 1) == LUA_TSTRING;
}

static int redis_error_reply(lua_State *L) {
    if (!is_one_string(L)) {
        redis_push_error(L, "wrong number or type of arguments");
        return 1;
    }
    const char *text = lua_tostring(L, 1);
    if (text[0] == '-') text++;
    const char *space = strchr(text, ' '); /* the first of several words is the code */
    if (space != NULL)
        push_error(L, slice_make(text, (size_t)(space - text)), slice_of(space + 1));
    else
        redis_push_error(L, text);
    return 1;
}

static int redis_status_reply(lua_State *L) {
    if (!is_one_string(L)) {
        redis_push_error(L, "wrong number or type of arguments");
        return 1;
    }
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "ok");
    return 1;
}

/* --- the rest --- */

static int whole(lua_Number v) {
    return v > -1e9 && v < 1e9 ? (int)v : -1;
}

static int redis_log(lua_State *L) {
    const struct script_run *run = script_of(L)->run;
    int argc = lua_gettop(L);
    if (argc < 2) return redis_raise(L, "redis.log() requires two arguments or more.");
    if (!lua_isnumber(L, 1)) return redis_raise(L, "First argument must be a number (log level).");
    int level = whole(lua_tonumber(L, 1));
    if (level < 0 || level > 3) return redis_raise(L, "Invalid debug level.");
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    bool is_first = true;
    for (int i = 2; i <= argc; i++) {
        if (!lua_isstring(L, i)) continue;
        if (!is_first) luaL_addchar(&b, ' ');
        is_first = false;
        lua_pushvalue(L, i);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    script_work(L, CALL_UNITS + len);
    run->world->log(run->arg, level, slice_make(text, len));
    return 0;
}

static int redis_sha1hex(lua_State *L) {
    if (lua_gettop(L) != 1) return redis_raise(L, "wrong number of arguments");
    size_t len = 0;
    const char *text = lua_tolstring(L, 1, &len);
    char hex[SHA1_HEX_LEN];
    script_work(L, len >> BYTES_PER_UNIT_SHIFT);
    sha1_hex(slice_make(text != NULL ? text : "", len), hex);
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

static int redis_setresp(lua_State *L) {
    struct script_run *run = script_of(L)->run;
    if (lua_gettop(L) != 1) return redis_raise(L, "redis.setresp() requires one argument.");
    int resp = whole(lua_tonumber(L, 1));
    if (resp != 2 && resp != 3) return redis_raise(L, "RESP version must be 2 or 3.");
    run->resp = resp;
    return 0;
}

/* What a script does always goes everywhere: it was asked for, and answered. */
static int redis_set_repl(lua_State *L) {
    if (lua_gettop(L) != 1) return redis_raise(L, "redis.set_repl() requires two arguments.");
    int flags = whole(lua_tonumber(L, 1));
    if (flags < 0 || flags > 3)
        return redis_raise(L,
                           "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    return 0;
}

static int redis_replicate_commands(lua_State *L) {
    lua_pushboolean(L, 1);
    return 1;
}

/* There is no debugger. */
static int redis_breakpoint(lua_State *L) {
    lua_pushboolean(L, 0);
    return 1;
}

static int redis_debug(lua_State *L) {
    (void)L;
    return 0;
}

void redis_api_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"call", redis_call},
        {"pcall", redis_pcall},
        {"log", redis_log},
        {"sha1hex", redis_sha1hex},
        {"error_reply", redis_error_reply},
        {"status_reply", redis_status_reply},
        {"setresp", redis_setresp},
        {"set_repl", redis_set_repl},
        {"replicate_commands", redis_replicate_commands},
        {"breakpoint", redis_breakpoint},
        {"debug", redis_debug},
        {"acl_check_cmd", redis_acl_check_cmd},
        {NULL, NULL},
    };
    static const struct {
        const char *name;
        int value;
    } numbers[] = {
        {"LOG_DEBUG", 0},    {"LOG_VERBOSE", 1},
        {"LOG_NOTICE", 2},   {"LOG_WARNING", 3},
        {"REPL_NONE", 0},    {"REPL_AOF", 1},
        {"REPL_REPLICA", 2}, {"REPL_SLAVE", 2},
        {"REPL_ALL", 3},     {"REDIS_VERSION_NUM", 0x07000f},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushinteger(L, numbers[i].value);
        lua_setfield(L, -2, numbers[i].name);
    }
    lua_pushliteral(L, "7.0.15");
    lua_setfield(L, -2, "REDIS_VERSION");
    lua_setfield(L, LUA_GLOBALSINDEX, "redis");
}
