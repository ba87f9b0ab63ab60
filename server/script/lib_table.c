/* Functions of `table` that could run for very long in one call: they do and say what those of Lua 5.1 do, down to which
 * elements table.sort compares with which, and count their work. */
#include "lib.h"

#include <stdbool.h>

#include <lauxlib.h>

#include "lib_out.h"
#include "script_internal.h"

/* The table is always the first argument. */
enum { TABLE = 1 };

static int length(lua_State *L) {
    luaL_checktype(L, TABLE, LUA_TTABLE);
    return (int)lua_objlen(L, TABLE);
}

/* These functions write past metatables, so they have to look for themselves (what scripts share is protected so). */
static void check_writable(lua_State *L) {
    sandbox_refuse_locked(L, TABLE);
}

/* --- concat --- */

static void add_element(struct lib_out *o, int i) {
    size_t len;
    lua_rawgeti(o->L, TABLE, i);
    if (!lua_isstring(o->L, -1))
        luaL_error(o->L, "invalid value (%s) at index %d in table for 'concat'", luaL_typename(o->L, -1), i);
    const char *data = lua_tolstring(o->L, -1, &len);
    lib_out_add(o, data, len);
    lib_step(&o->steps, 1);
    lua_pop(o->L, 1);
}

static int lib_concat(lua_State *L) {
    size_t separator_len;
    const char *separator = luaL_optlstring(L, 2, "", &separator_len);
    luaL_checktype(L, TABLE, LUA_TTABLE);
    int i = (int)luaL_optinteger(L, 3, 1);
    int last = lua_isnoneornil(L, 4) ? (int)lua_objlen(L, TABLE) : (int)luaL_checkinteger(L, 4);
    struct lib_out out;
    lib_out_begin(&out, L);
    for (; i <= last; i++) {
        add_element(&out, i);
        if (i == last) break; /* which may be the greatest integer */
        lib_out_add(&out, separator, separator_len);
    }
    lib_out_push(&out);
    return 1;
}

/* --- insert, remove --- */

static int lib_insert(lua_State *L) {
    check_writable(L);
    int end = length(L) + 1, at = end;
    struct lib_steps steps = {.L = L};
    switch (lua_gettop(L)) {
    case 2: break;
    case 3:
        at = (int)luaL_checkinteger(L, 2);
        for (int i = end; i > at; i--) {
            lua_rawgeti(L, TABLE, i - 1);
            lua_rawseti(L, TABLE, i);
            lib_step(&steps, 1);
        }
        break;
    default: return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_rawseti(L, TABLE, at);
    lib_steps_flush(&steps);
    return 0;
}

static int lib_remove(lua_State *L) {
    check_writable(L);
    int end = length(L), at = (int)luaL_optinteger(L, 2, end);
    struct lib_steps steps = {.L = L};
    if (at < 1 || at > end) return 0;
    lua_rawgeti(L, TABLE, at);
    for (; at < end; at++) {
        lua_rawgeti(L, TABLE, at + 1);
        lua_rawseti(L, TABLE, at);
        lib_step(&steps, 1);
    }
    lua_pushnil(L);
    lua_rawseti(L, TABLE, end);
    lib_steps_flush(&steps);
    return 1;
}

/* --- sort --- */

enum { ORDER = 2 }; /* the argument: a function, or nil */

struct sort {
    lua_State *L;
    struct lib_steps steps;
};

/* Whether the value at `a` of the stack belongs before that at `b`; both count from the top. */
static bool is_less(struct sort *s, int a, int b) {
    lua_State *L = s->L;
    lib_step(&s->steps, 2);
    if (lua_isnil(L, ORDER)) return lua_lessthan(L, a, b);
    lua_pushvalue(L, ORDER);
    lua_pushvalue(L, a - 1);
    lua_pushvalue(L, b - 2);
    lua_call(L, 2, 1);
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

/* What stands on top goes to `upper`, what is below to `lower`. */
static void put_two(struct sort *s, int upper, int lower) {
    lua_rawseti(s->L, TABLE, upper);
    lua_rawseti(s->L, TABLE, lower);
}

/* Exchanges the two elements if they are the wrong way round. */
static bool put_in_order(struct sort *s, int low, int high) {
    lua_rawgeti(s->L, TABLE, low);
    lua_rawgeti(s->L, TABLE, high);
    bool is_wrong = is_less(s, -1, -2);
    if (is_wrong)
        put_two(s, low, high);
    else
        lua_pop(s->L, 2);
    return is_wrong;
}

static void exchange(struct sort *s, int i, int j) {
    lua_rawgeti(s->L, TABLE, i);
    lua_rawgeti(s->L, TABLE, j);
    put_two(s, i, j);
}

/* With an order that contradicts itself a search runs out of the range. */
static void check_inside(struct sort *s, bool is_inside) {
    if (!is_inside) luaL_error(s->L, "invalid order function for sorting");
}

/* The elements at low and high - 1 are not before and not behind the pivot, which is that at high - 1. Returns where it
 * belongs; whatever is before it is not greater, whatever is behind it not less. */
static int partition(struct sort *s, int low, int high) {
    lua_State *L = s->L;
    int i = low, j = high - 1;
    lua_rawgeti(L, TABLE, high - 1);
    for (;;) {
        for (lua_rawgeti(L, TABLE, ++i); is_less(s, -1, -2); lua_rawgeti(L, TABLE, ++i)) {
            check_inside(s, i <= high);
            lua_pop(L, 1);
        }
        for (lua_rawgeti(L, TABLE, --j); is_less(s, -3, -1); lua_rawgeti(L, TABLE, --j)) {
            check_inside(s, j >= low);
            lua_pop(L, 1);
        }
        if (j < i) break;
        put_two(s, i, j);
    }
    lua_pop(L, 3);
    exchange(s, high - 1, i);
    return i;
}

/* Quicksort with the median of three, as Lua 5.1 does it: equal elements end up in the same places. */
static void sort(struct sort *s, int low, int high) {
    while (low < high) {
        int middle = (low + high) / 2;
        put_in_order(s, low, high);
        if (high - low == 1) return;
        if (!put_in_order(s, low, middle)) put_in_order(s, middle, high);
        if (high - low == 2) return;
        exchange(s, middle, high - 1);
        int at = partition(s, low, high);
        if (at - low < high - at) { /* the smaller part by recursion, so that it does not go deep */
            sort(s, low, at - 1);
            low = at + 1;
        } else {
            sort(s, at + 1, high);
            high = at - 1;
        }
    }
}

static int lib_sort(lua_State *L) {
    struct sort s = {.L = L, .steps = {.L = L}};
    check_writable(L);
    int len = length(L);
    luaL_checkstack(L, 40, "");
    if (!lua_isnoneornil(L, ORDER)) luaL_checktype(L, ORDER, LUA_TFUNCTION);
    lua_settop(L, 2);
    sort(&s, 1, len);
    lib_steps_flush(&s.steps);
    return 0;
}

/* --- opening --- */

void lib_table_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"concat", lib_concat}, {"insert", lib_insert}, {"remove", lib_remove}, {"sort", lib_sort}};
    lua_getglobal(L, "table");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_pop(L, 1);
}
