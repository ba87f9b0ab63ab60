/* See lib_out.h. */
#include "lib_out.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

void lib_steps_flush(struct lib_steps *s) {
    uint64_t steps = s->pending;
    s->pending = 0;
    if (steps > 0) script_work(s->L, steps);
}

void lib_too_large(lua_State *L) {
    lua_pushliteral(L, "not enough memory"); /* as when Lua itself finds none */
    lua_error(L);
    abort();
}

void lib_out_begin(struct lib_out *o, lua_State *L) {
    o->L = L;
    o->data = o->first;
    o->len = 0;
    o->cap = sizeof o->first;
    o->steps = (struct lib_steps){.L = L};
    luaL_checkstack(L, 2, "string");
    lua_pushnil(L);
    o->place = lua_gettop(L);
}

static void grow(struct lib_out *o, size_t len) {
    if (len > LIB_STRING_MAX - o->len) lib_too_large(o->L);
    size_t cap = o->cap;
    while (cap < o->len + len) cap *= 2;
    luaL_checkstack(o->L, 1, "string");
    char *data = lua_newuserdata(o->L, cap);
    memcpy(data, o->data, o->len);
    lua_replace(o->L, o->place);
    o->data = data;
    o->cap = cap;
}

char *lib_out_room(struct lib_out *o, size_t len) {
    if (len > o->cap - o->len) grow(o, len);
    lib_step(&o->steps, len / LIB_BYTES_PER_STEP);
    char *room = o->data + o->len;
    o->len += len;
    return room;
}

void lib_out_add(struct lib_out *o, const char *data, size_t len) {
    if (len > 0) memcpy(lib_out_room(o, len), data, len);
}

void lib_out_push(struct lib_out *o) {
    lib_steps_flush(&o->steps);
    luaL_checkstack(o->L, 1, "string");
    lua_pushlstring(o->L, o->data, o->len);
}
