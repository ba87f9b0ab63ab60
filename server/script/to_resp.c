/* What a script returns, as a reply: the other direction of from_resp.c, and besides
 *
 *     1.9         :1                 {1, 2, nil, 3}    *2, up to the first nil
 *     true        :1, or #t          anything else     null
 *     false, nil  null
 */
#include "script_internal.h"

#include <stdio.h>

/* Pushes the field of the table on top, if it is of that type. */
static bool take_field(lua_State *L, const char *name, int type) {
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    if (lua_type(L, -1) == type) return true;
    lua_pop(L, 1);
    return false;
}

static struct slice text_on_top(lua_State *L) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    return slice_make(text, len);
}

static void blank_line_breaks(char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\r' || text[i] == '\n') text[i] = ' ';
}

/* As a line of a reply: without line breaks. */
static void reply_line(struct reply *reply, char type, struct slice text) {
    struct buf *out = reply->out;
    if (out == NULL) return;
    buf_add_byte(out, (uint8_t)type);
    buf_add_slice(out, text);
    blank_line_breaks(buf_tail(out) - text.len, text.len);
    buf_add_str(out, "\r\n");
}

static bool is_counted(lua_State *L) {
    if (!take_field(L, "ignore_error_stats_update", LUA_TBOOLEAN)) return false;
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

/* INFO shows it in a line, with a colon behind. */
static void set_error_code(struct reply *reply, struct slice code) {
    char *p = reply->error_code;
    snprintf(p, sizeof reply->error_code, "%.*s", (int)code.len, code.data);
    for (; *p != '\0'; p++)
        if (*p == '#' || *p == ':' || (unsigned char)*p < ' ') *p = '_';
    reply->error_count++;
}

/* Whatever the text is. What was counted already is not counted again. */
static void reply_failure(struct reply *reply, const char *text, bool was_counted) {
    struct slice line = slice_of(text);
    while (line.len > 0 && (text[line.len - 1] == '\r' || text[line.len - 1] == '\n')) line.len--;
    if (!was_counted) {
        const char *space = memchr(text, ' ', line.len);
        bool has_code = space != NULL && space > text;
        set_error_code(reply, has_code ? slice_make(text, (size_t)(space - text)) : SLICE("ERR"));
    }
    reply->told_error_count += was_counted;
    reply_line(reply, '-', line);
}

/* The conversions of tables, each by the field it goes by; false when it has none such. */

static bool reply_err(lua_State *L, struct reply *reply) {
    if (!take_field(L, "err", LUA_TSTRING)) return false;
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1); /* it stays in the table */
    reply_failure(reply, text, is_counted(L));
    return true;
}

static bool reply_okay(lua_State *L, struct reply *reply) {
    if (!take_field(L, "ok", LUA_TSTRING)) return false;
    reply_line(reply, '+', slice_of(lua_tostring(L, -1)));
    lua_pop(L, 1);
    return true;
}

static bool reply_a_double(lua_State *L, struct reply *reply) {
    if (!take_field(L, "double", LUA_TNUMBER)) return false;
    reply_double(reply, lua_tonumber(L, -1));
    lua_pop(L, 1);
    return true;
}

/* The table of this field, on the stack: false when there is none. *walkable: its keys have an order; else an error was answered
 * and nothing is on the stack. */
static bool take_table(lua_State *L, struct reply *reply, const char *field, bool *walkable) {
    uint64_t key_count;
    if (!take_field(L, field, LUA_TTABLE)) return false;
    *walkable = sandbox_keys_are_ordered(L, -1, &key_count);
    if (*walkable) return true;
    reply_error(reply, "ERR a map or set of the script has keys whose order is not defined");
    lua_pop(L, 1);
    return true;
}

static bool reply_a_map(lua_State *L, struct reply *reply, int script_resp) {
    bool walkable;
    if (!take_table(L, reply, "map", &walkable)) return false;
    if (!walkable) return true;
    size_t mark = reply_defer(reply), count = 0;
    lua_pushnil(L);
    for (; lua_next(L, -2); count++) {
        lua_pushvalue(L, -2);
        to_resp(L, reply, script_resp);
        to_resp(L, reply, script_resp);
    }
    reply_close_map(reply, mark, count);
    lua_pop(L, 1);
    return true;
}

static bool reply_a_set(lua_State *L, struct reply *reply, int script_resp) {
    bool walkable;
    if (!take_table(L, reply, "set", &walkable)) return false;
    if (!walkable) return true;
    size_t mark = reply_defer(reply), count = 0;
    lua_pushnil(L);
    for (; lua_next(L, -2); count++) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        to_resp(L, reply, script_resp);
    }
    reply_close_set(reply, mark, count);
    lua_pop(L, 1);
    return true;
}

static bool reply_big_number(lua_State *L, struct reply *reply) {
    if (!take_field(L, "big_number", LUA_TSTRING)) return false;
    if (reply->resp == 2 && reply->out != NULL) {
        struct slice digits = text_on_top(L);
        reply_bulk(reply, digits);
        blank_line_breaks(buf_tail(reply->out) - 2 - digits.len, digits.len);
    } else {
        reply_line(reply, '(', text_on_top(L));
    }
    lua_pop(L, 1);
    return true;
}

static bool reply_verbatim_string(lua_State *L, struct reply *reply) {
    if (!take_field(L, "verbatim_string", LUA_TTABLE)) return false;
    bool is_whole = false;
    if (take_field(L, "format", LUA_TSTRING)) {
        char type[4];
        snprintf(type, sizeof type, "%-3.3s", lua_tostring(L, -1));
        lua_pop(L, 1);
        if (take_field(L, "string", LUA_TSTRING)) {
            reply_verbatim(reply, type, text_on_top(L));
            lua_pop(L, 1);
            is_whole = true;
        }
    }
    lua_pop(L, 1);
    return is_whole;
}

static void reply_list(lua_State *L, struct reply *reply, int script_resp) {
    int count = 0;
    for (bool more = true; more; count += more) {
        lua_rawgeti(L, -1, count + 1);
        more = !lua_isnil(L, -1);
        lua_pop(L, 1);
    }
    reply_array(reply, (size_t)count);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        to_resp(L, reply, script_resp);
    }
}

static void reply_table(lua_State *L, struct reply *reply, int script_resp) {
    if (reply_err(L, reply) || reply_okay(L, reply) || reply_a_double(L, reply) ||
        reply_a_map(L, reply, script_resp) || reply_a_set(L, reply, script_resp) ||
        reply_big_number(L, reply) || reply_verbatim_string(L, reply))
        return;
    reply_list(L, reply, script_resp);
}

/* What does not fit is the least there is, as the processor does it for Redis. */
static int64_t whole(lua_Number v) {
    return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN;
}

void to_resp(lua_State *L, struct reply *reply, int script_resp) {
    if (!lua_checkstack(L, 5)) {
        reply_error(reply, "ERR reached lua stack limit");
        lua_pop(L, 1);
        return;
    }
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: reply_bulk(reply, text_on_top(L)); break;
    case LUA_TNUMBER: reply_int(reply, whole(lua_tonumber(L, -1))); break;
    case LUA_TBOOLEAN:
        if (script_resp == 3)
            reply_bool(reply, lua_toboolean(L, -1));
        else if (lua_toboolean(L, -1))
            reply_int(reply, 1);
        else
            reply_null(reply);
        break;
    case LUA_TTABLE: reply_table(L, reply, script_resp); break;
    default: reply_null(reply);
    }
    lua_pop(L, 1);
}

/* --- errors --- */

/* The text and, when the handler knew where: "script: <name>, on <source>:<line>." */
static void reply_placed(lua_State *L, struct reply *reply, const struct script_run *run, const char *text) {
    bool was_counted = is_counted(L);
    const char *source = NULL;
    int line = 0;
    if (take_field(L, "source", LUA_TSTRING)) {
        source = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    if (take_field(L, "line", LUA_TNUMBER)) {
        line = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    struct buf placed = {0};
    buf_add_str(&placed, text);
    if (source != NULL && line > 0)
        buf_printf(&placed, " script: %.*s, on %s:%d.", (int)run->name.len, run->name.data, source, line);
    buf_add_byte(&placed, 0);
    reply_failure(reply, placed.data, was_counted);
    buf_free(&placed);
}

void to_resp_error(lua_State *L, struct reply *reply, const struct script_run *run) {
    if (!lua_istable(L, -1)) {
        const char *text = lua_isstring(L, -1) ? lua_tostring(L, -1) : "execution failure";
        reply_errorf(reply, "ERR Error running script %.*s, %.100s", (int)run->name.len, run->name.data,
                     text);
    } else if (take_field(L, "err", LUA_TSTRING)) {
        const char *text = lua_tostring(L, -1);
        lua_pop(L, 1);
        reply_placed(L, reply, run, text);
    } else {
        reply_placed(L, reply, run, "ERR unknown error");
    }
    lua_pop(L, 1);
}
