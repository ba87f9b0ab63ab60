/* Libraries of functions: code that runs once to declare what it has by redis.register_function, and then the functions.
 *
 * A function must not see what the library's functions did to its variables before: nodes begin at different times, and a new leader
 * knows nothing of what an old one has counted. So the library's code is compiled once but declares anew for each call, with an
 * environment of its own:
 *
 *     declaring   {}  -> redis.register_function, redis.log, redis.LOG_..., redis.REDIS_VERSION...; nothing else
 *     calling     {}  -> what scripts have, but for KEYS and ARGV, which are the function's arguments */
#include "script_internal.h"

#include "mem.h"

#include <ctype.h>
#include <string.h>

/* A library that declares: script_run.declaring. In the registry, under its address: a table of the functions by their names in
 * lower case. */
struct declaring {
    struct slice id;
    struct slice wanted;        /* the function to call, data NULL: none */
    struct script_library *out; /* what is declared, NULL: it is known */
};

/* --- what is declared --- */

void script_library_free(struct script_library *l) {
    for (size_t i = 0; i < l->count; i++) {
        mem_free((char *)l->functions[i].name.data);
        mem_free((char *)l->functions[i].description.data);
    }
    mem_free(l->functions);
    *l = (struct script_library){0};
}

static struct slice copy(struct slice s) {
    char *data = mem_alloc(s.len + 1);
    memcpy(data, s.data, s.len);
    return slice_make(data, s.len);
}

static void add(struct script_library *l, const struct script_function *f) {
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 8 : 2 * l->cap;
        l->functions = mem_realloc(l->functions, l->cap * sizeof *l->functions);
    }
    struct script_function *own = &l->functions[l->count++];
    *own = *f;
    own->name = copy(f->name);
    if (f->description.data != NULL) own->description = copy(f->description);
}

/* --- redis.register_function --- */

static struct slice text_at(lua_State *L, int index) {
    size_t len;
    const char *data = lua_tolstring(L, index, &len);
    return slice_make(data, len);
}

static void push_lower_case(lua_State *L, struct slice name) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < name.len; i++) luaL_addchar(&b, (char)tolower((unsigned char)name.data[i]));
    luaL_pushresult(&b);
}

bool script_is_name(struct slice name) {
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '_') return false;
    return name.len > 0;
}

/* The callback stands on top of the stack. */
static int declare(lua_State *L, struct declaring *d, const struct script_function *f) {
    if (!script_is_name(f->name)) return redis_raise(L, SCRIPT_NAME_ERROR);
    luaL_checkstack(L, 5, NULL);
    int callback = lua_gettop(L);
    lua_pushlightuserdata(L, d);
    lua_rawget(L, LUA_REGISTRYINDEX);
    push_lower_case(L, f->name);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (!lua_isnil(L, -1)) return redis_raise(L, "Function already exists in the library");
    lua_pop(L, 1);
    lua_pushvalue(L, callback);
    lua_rawset(L, -3);
    if (d->out != NULL) add(d->out, f);
    return 0;
}

static uint32_t read_flags(lua_State *L, int table) {
    uint32_t flags = 0;
    for (int i = 1;; i++) {
        lua_rawgeti(L, table, i);
        if (lua_isnil(L, -1)) break;
        uint32_t flag = 0;
        if (lua_isstring(L, -1)) {
            push_lower_case(L,
                            text_at(L, -1)); /* unlike in the first line of a script, case does not matter */
            flag = script_flag_of(text_at(L, -1));
            lua_pop(L, 1);
        }
        if (flag == 0) redis_raise(L, "unknown flag given");
        flags |= flag;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return flags;
}

/* One named argument: its value is on top of the stack; the callback goes to the place that is kept for it. */
static void read_named(lua_State *L, struct slice key, int callback, struct script_function *f) {
    if (slice_is(key, "function_name")) {
        if (!lua_isstring(L, -1))
            redis_raise(L, "function_name argument given to redis.register_function must be a string");
        f->name = text_at(L, -1);
    } else if (slice_is(key, "description")) {
        if (!lua_isstring(L, -1))
            redis_raise(L, "description argument given to redis.register_function must be a string");
        f->description = text_at(L, -1);
    } else if (slice_is(key, "callback")) {
        if (!lua_isfunction(L, -1))
            redis_raise(L, "callback argument given to redis.register_function must be a function");
        lua_pushvalue(L, -1);
        lua_replace(L, callback);
    } else if (slice_is(key, "flags")) {
        if (!lua_istable(L, -1))
            redis_raise(
                L, "flags argument to redis.register_function must be a table representing function flags");
        f->flags = read_flags(L, lua_gettop(L));
    } else {
        redis_raise(L, "unknown argument given to redis.register_function");
    }
}

/* All values stay on the stack until the function is declared: their texts are borrowed. */
static int register_named(lua_State *L, struct declaring *d) {
    enum { ARGUMENTS_MAX = 100, CALLBACK = 2 };
    struct script_function f = {0};
    int count = 0;
    lua_settop(L, 1);
    lua_pushnil(L);
    /* First of all, as keys of other types come in an order of their own on each node. */
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        int type = lua_type(L, -2);
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            redis_raise(L, "named argument key given to redis.register_function is not a string");
    }
    for (lua_pushnil(L); lua_next(L, 1); count++) {
        int type = lua_type(L, -2);
        if (type == LUA_TNUMBER || count == ARGUMENTS_MAX)
            redis_raise(L, "unknown argument given to redis.register_function");
        read_named(L, text_at(L, -2), CALLBACK, &f);
        luaL_checkstack(L, 5, NULL);
        lua_pushvalue(L, -2); /* the key once more, for lua_next */
    }
    if (f.name.data == NULL)
        return redis_raise(L, "redis.register_function must get a function name argument");
    if (lua_isnil(L, CALLBACK)) return redis_raise(L, "redis.register_function must get a callback argument");
    lua_pushvalue(L, CALLBACK);
    return declare(L, d, &f);
}

static int register_function(lua_State *L) {
    struct declaring *d = script_of(L)->run->declaring;
    int count = lua_gettop(L);
    if (d == NULL)
        return redis_raise(L, "redis.register_function can only be called on FUNCTION LOAD command");
    if (count < 1 || count > 2) return redis_raise(L, "wrong number of arguments to redis.register_function");
    if (count == 1 && !lua_istable(L, 1))
        return redis_raise(L,
                           "calling redis.register_function with a single argument is only applicable to Lua "
                           "table (representing named arguments).");
    if (count == 1) return register_named(L, d);
    if (!lua_isstring(L, 1))
        return redis_raise(L, "first argument to redis.register_function must be a string");
    if (!lua_isfunction(L, 2))
        return redis_raise(L, "second argument to redis.register_function must be a function");
    return declare(L, d, &(struct script_function){.name = text_at(L, 1)});
}

/* redis.log: what is declared for the tenth time is not logged for the tenth time. The upvalue is what scripts have. */
static int log_once(lua_State *L) {
    const struct declaring *d = script_of(L)->run->declaring;
    if (d != NULL && d->out == NULL) return 0;
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* --- opening --- */

/* `redis` while a library declares; the metatable is that of the globals, which refuses what does not exist. */
static void push_declaring_api(struct script_engine *e, lua_State *L, int redis, int metatable) {
    static const char *const constants[] = {"LOG_DEBUG",   "LOG_VERBOSE",   "LOG_NOTICE",
                                            "LOG_WARNING", "REDIS_VERSION", "REDIS_VERSION_NUM"};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        lua_getfield(L, redis, constants[i]);
        lua_setfield(L, -2, constants[i]);
    }
    lua_getfield(L, redis, "log");
    lua_pushcclosure(L, log_once, 1);
    lua_setfield(L, -2, "log");
    lua_pushcfunction(L, register_function);
    lua_setfield(L, -2, "register_function");
    lua_pushvalue(L, metatable);
    lua_setmetatable(L, -2);
    sandbox_lock(e, L);
}

/* A copy of the table without those of these names. */
static void push_copy(lua_State *L, int table, const char *const *without) {
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, table);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    for (; *without != NULL; without++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *without);
    }
}

/* A copy of the globals of scripts, with a `_G` of its own. */
static void push_calling_globals(struct script_engine *e, lua_State *L, int globals, int redis,
                                 int metatable) {
    static const char *const only_globals[] = {"KEYS", "ARGV", "__redis__err__handler", NULL};
    static const char *const only_redis[] = {"breakpoint", "debug", "replicate_commands", NULL};
    push_copy(L, globals, only_globals);
    push_copy(L, redis, only_redis);
    sandbox_lock(e, L);
    lua_setfield(L, -2, "redis");
    lua_pushvalue(L, metatable);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    sandbox_lock(e, L);
    e->locked_function_globals = lua_topointer(L, -1);
    lua_setfield(L, -2, "_G");
}

void library_open(struct script_engine *e) {
    enum { GLOBALS = 1, METATABLE, REDIS };
    lua_State *L = e->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->globals_ref);
    CHECK(lua_getmetatable(L, GLOBALS));
    lua_getfield(L, GLOBALS, "redis");
    sandbox_see_through(L, REDIS);
    lua_newtable(L);
    push_declaring_api(e, L, REDIS, METATABLE);
    lua_setfield(L, -2, "redis");
    lua_pushvalue(L, METATABLE);
    lua_setmetatable(L, -2);
    e->declaring_globals_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    push_calling_globals(e, L, GLOBALS, REDIS, METATABLE);
    e->calling_globals_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_settop(L, 0);
}

/* --- what is compiled --- */

/* Beside the scripts, under a key that no script has. */
enum { KEY_LEN = 1 + SCRIPT_SHA_LEN };

static struct slice key_of(char *key, struct slice id) {
    CHECK(id.len == SCRIPT_SHA_LEN);
    key[0] = 'L';
    memcpy(key + 1, id.data, id.len);
    return slice_make(key, KEY_LEN);
}

static void push_compiled(struct script_engine *e, lua_State *L, struct slice id) {
    char key[KEY_LEN];
    script_push_compiled(e, L, key_of(key, id));
}

bool script_library_is_compiled(const struct script_engine *e, struct slice id) {
    push_compiled((struct script_engine *)e, e->L, id);
    bool is_there = !lua_isnil(e->L, -1);
    lua_pop(e->L, 1);
    return is_there;
}

bool script_library_compile(struct script_engine *e, struct slice id, struct slice code, struct buf *error) {
    char key[KEY_LEN];
    return script_keep(e, key_of(key, id), code, "@user_function", error);
}

/* --- runs --- */

/* Runs the library's code in an environment of its own, which becomes that of its functions. */
static void declare_all(lua_State *L, struct declaring *d) {
    struct script_engine *e = script_of(L);
    lua_pushlightuserdata(L, d);
    lua_newtable(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, 2); /* the environment's metatable */
    int metatable = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->declaring_globals_ref);
    lua_setfield(L, metatable, "__index");
    lua_pushcfunction(L, sandbox_refuse_change);
    lua_setfield(L, metatable, "__newindex");
    push_compiled(e, L, d->id);
    lua_newtable(L);
    lua_pushvalue(L, metatable);
    lua_setmetatable(L, -2);
    lua_setfenv(L, -2);
    e->run->declaring = d;
    lua_call(L, 0, 0);
    e->run->declaring = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->calling_globals_ref);
    lua_setfield(L, metatable, "__index");
    lua_pop(L, 1);
}

static int body(lua_State *L) {
    struct declaring *d = lua_touserdata(L, 1);
    const struct script_run *run = script_of(L)->run;
    script_clear_arguments(L);
    declare_all(L, d);
    if (d->wanted.data == NULL) return 0;
    lua_pushlightuserdata(L, d);
    lua_rawget(L, LUA_REGISTRYINDEX);
    push_lower_case(L, d->wanted);
    lua_rawget(L, -2);
    if (!lua_isfunction(L,
                        -1)) /* it was there when the library was loaded, by another version of this server */
        return redis_raise(L, "Function not found");
    script_push_slices(L, run->key_count, run->keys);
    script_push_slices(L, run->arg_count, run->args);
    lua_call(L, 2, 1);
    return 1;
}

static void forget(struct script_engine *e, struct declaring *d) {
    lua_pushlightuserdata(e->L, d);
    lua_pushnil(e->L);
    lua_rawset(e->L, LUA_REGISTRYINDEX);
}

bool script_library_declare(struct script_engine *e, struct slice id, struct script_run *run,
                            struct script_library *out, struct buf *error) {
    struct declaring d = {.id = id, .out = out};
    CHECK(script_library_is_compiled(e, id));
    bool ok = script_protected_text(e, body, &d, run, error);
    forget(e, &d);
    return ok;
}

void script_library_call(struct script_engine *e, struct slice id, struct slice function,
                         struct script_run *run, struct reply *reply) {
    struct declaring d = {.id = id, .wanted = function};
    CHECK(script_library_is_compiled(e, id));
    script_protected(e, body, &d, run, reply);
    forget(e, &d);
}
