/* Functions of `string` that could run for very long in one call, or make strings of any size. They do and say what those
 * of Lua 5.1 do, and count their work. Where Lua's own take time in proportion to their arguments only, they are called
 * once that is counted. */
#include "lib.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "lib_out.h"
#include "match.h"

/* --- Lua's own, counted --- */

/* The upvalue is Lua's function. It runs in this call's place, so that errors name what the script called. */
static int run_own(lua_State *L) {
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int lib_counted(lua_State *L) {
    uint64_t bytes = 0;
    int count = lua_gettop(L);
    for (int i = 1; i <= count; i++)
        if (lua_type(L, i) == LUA_TSTRING) bytes += lua_objlen(L, i);
    if (bytes > LIB_STRING_MAX) lib_too_large(L);
    if (bytes >= LIB_BYTES_PER_STEP) script_work(L, bytes / LIB_BYTES_PER_STEP);
    return run_own(L);
}

static int lib_rep(lua_State *L) {
    size_t len;
    luaL_checklstring(L, 1, &len);
    int count = (int)luaL_checkinteger(L, 2);
    if (count > 0) {
        if (len > 0 && (size_t)count > LIB_STRING_MAX / len) lib_too_large(L);
        script_work(L, (uint64_t)len * (uint64_t)count / LIB_BYTES_PER_STEP + (uint64_t)count / 4);
    }
    return run_own(L);
}

/* --- find, match --- */

/* Where a search begins that was asked to begin there. */
static size_t start_of(lua_Integer at, size_t len) {
    if (at < 0) at += (lua_Integer)len + 1;
    if (at <= 1) return 0;
    return (size_t)at - 1 < len ? (size_t)at - 1 : len;
}

static int find_plain(lua_State *L, const char *text, size_t len, size_t start, const char *what,
                      size_t what_len) {
    script_work(L, (len - start + what_len) / LIB_BYTES_PER_STEP);
    const char *found = memmem(text + start, len - start, what, what_len);
    if (found == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - text + 1);
    lua_pushinteger(L, found - text + (ptrdiff_t)what_len);
    return 2;
}

static int find_pattern(lua_State *L, const char *text, size_t len, size_t start, const char *p,
                        bool is_find) {
    struct match m;
    const char *at = text + start, *end;
    bool is_anchored = *p == '^';
    if (is_anchored) p++;
    match_begin(&m, L, text, len);
    do {
        end = match_at(&m, at, p);
    } while (end == NULL && at++ < m.text_end && !is_anchored);
    match_end(&m);
    if (end == NULL) {
        lua_pushnil(L);
        return 1;
    }
    if (!is_find) return match_push_captures(&m, at, end);
    lua_pushinteger(L, at - text + 1);
    lua_pushinteger(L, end - text);
    return match_push_captures(&m, NULL, NULL) + 2;
}

static int find(lua_State *L, bool is_find) {
    size_t len, p_len;
    const char *text = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &p_len);
    size_t start = start_of(luaL_optinteger(L, 3, 1), len);
    if (is_find && (lua_toboolean(L, 4) || strpbrk(p, "^$*+?.([%-") == NULL))
        return find_plain(L, text, len, start, p, p_len);
    return find_pattern(L, text, len, start, p, is_find);
}

static int lib_find(lua_State *L) {
    return find(L, true);
}

static int lib_match(lua_State *L) {
    return find(L, false);
}

/* --- gmatch --- */

/* Upvalues: text, pattern, where to go on. */
static int gmatch_next(lua_State *L) {
    struct match m;
    size_t len;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &len);
    const char *p = lua_tostring(L, lua_upvalueindex(2)), *end = NULL;
    const char *at = text + lua_tointeger(L, lua_upvalueindex(3));
    match_begin(&m, L, text, len);
    for (; at <= m.text_end; at++) {
        end = match_at(&m, at, p);
        if (end != NULL) break;
    }
    match_end(&m);
    if (end == NULL) return 0;
    lua_pushinteger(L, end - text + (end == at ? 1 : 0)); /* an empty match is not found twice */
    lua_replace(L, lua_upvalueindex(3));
    return match_push_captures(&m, at, end);
}

static int lib_gmatch(lua_State *L) {
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, gmatch_next, 3);
    return 1;
}

/* --- gsub --- */

enum { REPLACEMENT = 3 }; /* the argument */

/* %0 to %9 stand for captures. */
static void add_template(struct match *m, struct lib_out *o, const char *from, const char *to) {
    size_t len;
    const char *template = lua_tolstring(m->L, REPLACEMENT, &len);
    for (size_t i = 0; i < len; i++) {
        const char *escape = memchr(template + i, '%', len - i);
        size_t plain = escape != NULL ? (size_t)(escape - template) - i : len - i;
        lib_out_add(o, template + i, plain);
        i += plain;
        if (i == len) break;
        char what = template[++i]; /* a zero stands behind it */
        if (what == '0') {
            lib_out_add(o, from, (size_t)(to - from));
        } else if (what < '1' || what > '9') {
            lib_out_byte(o, what);
        } else {
            size_t capture_len;
            match_push_capture(m, what - '1', from, to);
            const char *capture = lua_tolstring(m->L, -1, &capture_len);
            lib_out_add(o, capture, capture_len);
            lua_pop(m->L, 1);
        }
        lib_step(&o->steps, 1);
    }
    lib_step(&o->steps, 1);
}

static void add_replacement(struct match *m, struct lib_out *o, int type, const char *from, const char *to) {
    lua_State *L = m->L;
    if (type == LUA_TNUMBER || type == LUA_TSTRING) {
        add_template(m, o, from, to);
        return;
    }
    if (type == LUA_TTABLE) {
        match_push_capture(m, 0, from, to);
        lua_gettable(L, REPLACEMENT);
    } else {
        lua_pushvalue(L, REPLACEMENT);
        lua_call(L, match_push_captures(m, from, to), 1);
    }
    size_t len;
    if (!lua_toboolean(L, -1)) {
        lib_out_add(o, from, (size_t)(to - from));
    } else if (lua_isstring(L, -1)) {
        const char *value = lua_tolstring(L, -1, &len);
        lib_out_add(o, value, len);
    } else {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    lua_pop(L, 1);
}

static int lib_gsub(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len), *p = luaL_checkstring(L, 2), *at = text;
    int type = lua_type(L, REPLACEMENT), max = (int)luaL_optinteger(L, 4, (lua_Integer)len + 1), count = 0;
    luaL_argcheck(L,
                  type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE,
                  REPLACEMENT, "string/function/table expected");
    bool is_anchored = *p == '^';
    if (is_anchored) p++;
    struct match m;
    struct lib_out out;
    lib_out_begin(&out, L);
    match_begin(&m, L, text, len);
    while (count < max) {
        const char *end = match_at(&m, at, p);
        if (end != NULL) {
            count++;
            add_replacement(&m, &out, type, at, end);
        }
        if (end != NULL && end > at)
            at = end;
        else if (at < m.text_end)
            lib_out_byte(&out, *at++);
        else
            break;
        if (is_anchored) break;
    }
    match_end(&m);
    lib_out_add(&out, at, (size_t)(m.text_end - at));
    lib_out_push(&out);
    lua_pushinteger(L, count);
    return 2;
}

/* --- opening --- */

void lib_string_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"find", lib_find},   {"match", lib_match},   {"gmatch", lib_gmatch},   {"gfind", lib_gmatch},
        {"gsub", lib_gsub},   {"rep", lib_rep},       {"format", lib_counted},  {"lower", lib_counted},
        {"sub", lib_counted}, {"upper", lib_counted}, {"reverse", lib_counted},
    };
    lua_getglobal(L, "string");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_getfield(L, -1, functions[i].name); /* Lua's own, in those that call it */
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_pop(L, 1);
}
