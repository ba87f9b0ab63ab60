/* What a command answered, as Lua sees it:
 *
 *     +OK                {ok = "OK"}            *2 ...             {...}
 *     -ERR text          {err = "ERR text"}     %1 key value       {map = {[key] = value}}
 *     :1                 1                      ~1 member          {set = {[member] = true}}
 *     $-1 *-1            false                  ,1.5               {double = 1.5}
 *     _                  nil                    (123               {big_number = "123"}
 *     #t                 true                   =7 txt:abc         {verbatim_string = {format = "txt", string = "abc"}}
 *
 * The bytes are ours, so they are well-formed. */
#include "script_internal.h"

#include "num.h"

#include <math.h>

/* The line at the front of *in, without its type and end. */
static struct slice take_line(struct slice *in) {
    const char *end = memchr(in->data, '\r', in->len);
    CHECK(end != NULL);
    size_t len = (size_t)(end - in->data);
    CHECK(len + 2 <= in->len);
    struct slice line = slice_make(in->data + 1, len - 1);
    *in = slice_make(in->data + len + 2, in->len - len - 2);
    return line;
}

static int64_t take_number(struct slice *in) {
    int64_t n;
    CHECK(parse_i64(take_line(in), &n));
    return n;
}

static struct slice take_bytes(struct slice *in, size_t len) {
    CHECK(in->len >= len + 2);
    struct slice bytes = slice_make(in->data, len);
    *in = slice_make(in->data + len + 2, in->len - len - 2);
    return bytes;
}

static void push_slice(lua_State *L, struct slice s) {
    lua_pushlstring(L, s.data, s.len);
}

/* {name = what is on top} */
static void wrap(lua_State *L, const char *name) {
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_setfield(L, -2, name);
}

static void push_value(lua_State *L, struct slice *in);

/* In RESP2 the only null there is comes as a bulk string or an array, and is false. */
static void push_array(lua_State *L, struct slice *in) {
    int64_t count = take_number(in);
    if (count < 0) {
        lua_pushboolean(L, 0);
        return;
    }
    lua_createtable(L, (int)count, 0);
    for (int i = 1; i <= count; i++) {
        push_value(L, in);
        lua_rawseti(L, -2, i);
    }
}

static void push_map(lua_State *L, struct slice *in) {
    int64_t count = take_number(in);
    lua_createtable(L, 0, (int)count);
    while (count-- > 0) {
        push_value(L, in);
        push_value(L, in);
        lua_rawset(L, -3);
    }
    wrap(L, "map");
}

static void push_set(lua_State *L, struct slice *in) {
    int64_t count = take_number(in);
    lua_createtable(L, 0, (int)count);
    while (count-- > 0) {
        push_value(L, in);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
    }
    wrap(L, "set");
}

static void push_verbatim(lua_State *L, struct slice *in) {
    int64_t len = take_number(in);
    struct slice text = take_bytes(in, (size_t)len);
    CHECK(text.len >= 4);
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, text.data, 3);
    lua_setfield(L, -2, "format");
    lua_pushlstring(L, text.data + 4, text.len - 4);
    lua_setfield(L, -2, "string");
    wrap(L, "verbatim_string");
}

/* It was counted where it came from, so it is not counted again when the script answers with it. */
static void push_failure(lua_State *L, struct slice *in) {
    push_slice(L, take_line(in));
    lua_createtable(L, 0, 4);
    lua_insert(L, -2);
    lua_setfield(L, -2, "err");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "ignore_error_stats_update");
}

static void push_attributed(lua_State *L, struct slice *in) {
    int64_t count = take_number(in);
    while (count-- > 0) {
        push_value(L, in);
        push_value(L, in);
        lua_pop(L, 2);
    }
    push_value(L, in);
}

static void push_double(lua_State *L, struct slice *in) {
    double v = 0;
    struct slice text = take_line(in);
    if (!parse_double(text, &v)) v = NAN; /* the one text that is no argument of a command */
    lua_pushnumber(L, v);
    wrap(L, "double");
}

static void push_value(lua_State *L, struct slice *in) {
    luaL_checkstack(L, 5, "the reply is nested too deeply");
    CHECK(in->len > 0);
    switch (in->data[0]) {
    case '+':
        push_slice(L, take_line(in));
        wrap(L, "ok");
        return;
    case '-': push_failure(L, in); return;
    case ':': lua_pushnumber(L, (lua_Number)take_number(in)); return;
    case '$': {
        int64_t len = take_number(in);
        if (len < 0)
            lua_pushboolean(L, 0);
        else
            push_slice(L, take_bytes(in, (size_t)len));
        return;
    }
    case '*': push_array(L, in); return;
    case '%': push_map(L, in); return;
    case '~': push_set(L, in); return;
    case '_':
        take_line(in);
        lua_pushnil(L);
        return;
    case '#': lua_pushboolean(L, take_line(in).data[0] == 't'); return;
    case ',': push_double(L, in); return;
    case '(':
        push_slice(L, take_line(in));
        wrap(L, "big_number");
        return;
    case '=': push_verbatim(L, in); return;
    case '|': push_attributed(L, in); return;
    }
    CHECK(false);
}

void from_resp(lua_State *L, struct slice bytes) {
    push_value(L, &bytes);
    CHECK(bytes.len == 0);
}
