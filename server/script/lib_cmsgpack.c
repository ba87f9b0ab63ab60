/* cmsgpack: Lua values as MessagePack and back, byte for byte as Redis 7.0's library of that name (lua-cmsgpack 0.4.0)
 * does it:
 *
 *     number without a fraction    the shortest integer          fits 32 bits of a float exactly    float
 *     string                       raw (0xa0, 0xd9, 0xda, 0xdb)   other number                       double
 *     keys are just 1 to n         array                         other table                        map
 *     16 levels deep               nil instead of the table      function, userdata, thread         nil
 *
 * The old specification: what reads has no "bin" and "ext" types. */
#include "lib.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "lib_out.h"

enum { PACK_DEPTH_MAX = 16 };

/* --- pack --- */

static void add_head(struct lib_out *o, unsigned char tag, uint64_t value, int bytes) {
    char *at = lib_out_room(o, (size_t)bytes + 1);
    *at++ = (char)tag;
    for (int i = bytes - 1; i >= 0; i--) *at++ = (char)(value >> (8 * i));
}

static void add_integer(struct lib_out *o, int64_t n) {
    uint64_t bits = (uint64_t)n;
    if (n >= -32 && n <= 127)
        add_head(o, (unsigned char)bits, 0, 0);
    else if (n >= 0)
        n <= UINT8_MAX    ? add_head(o, 0xcc, bits, 1)
        : n <= UINT16_MAX ? add_head(o, 0xcd, bits, 2)
        : n <= UINT32_MAX ? add_head(o, 0xce, bits, 4)
                          : add_head(o, 0xcf, bits, 8);
    else
        n >= INT8_MIN    ? add_head(o, 0xd0, bits, 1)
        : n >= INT16_MIN ? add_head(o, 0xd1, bits, 2)
        : n >= INT32_MIN ? add_head(o, 0xd2, bits, 4)
                         : add_head(o, 0xd3, bits, 8);
}

static bool is_integer(double n) {
    return n >= -0x1p63 && n < 0x1p63 && n == floor(n);
}

static void add_number(struct lib_out *o, double n) {
    if (is_integer(n)) {
        add_integer(o, (int64_t)n);
        return;
    }
    uint64_t bits64;
    uint32_t bits32;
    bool is_in_range = isinf(n) || fabs(n) <= 0x1.fffffep127;
    float narrow = is_in_range ? (float)n : 0;
    memcpy(&bits64, &n, sizeof bits64);
    memcpy(&bits32, &narrow, sizeof bits32);
    if (is_in_range && (double)narrow == n)
        add_head(o, 0xca, bits32, 4);
    else
        add_head(o, 0xcb, bits64, 8);
}

static void add_string(struct lib_out *o, const char *data, size_t len) {
    if (len < 32)
        add_head(o, (unsigned char)(0xa0 | len), 0, 0);
    else if (len <= UINT8_MAX)
        add_head(o, 0xd9, len, 1);
    else if (len <= UINT16_MAX)
        add_head(o, 0xda, len, 2);
    else
        add_head(o, 0xdb, len, 4);
    lib_out_add(o, data, len);
}

static void add_collection_head(struct lib_out *o, size_t count, unsigned char tag_short,
                                unsigned char tag_16) {
    if (count <= 15)
        add_head(o, (unsigned char)(tag_short | count), 0, 0);
    else if (count <= UINT16_MAX)
        add_head(o, tag_16, count, 2);
    else
        add_head(o, (unsigned char)(tag_16 + 1), count, 4);
}

/* What stands on top of the stack is the table. Of keys that are addresses the order differs from node to node. */
static bool is_array(struct lib_out *o, size_t *count) {
    lua_State *L = o->L;
    double highest = 0;
    bool is_array = true, is_by_address = false;
    *count = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        int type = lua_type(L, -2);
        double n = type == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (!(n > 0) || !is_integer(n)) is_array = false;
        if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TBOOLEAN) is_by_address = true;
        if (n > highest) highest = n;
        ++*count;
        lib_step(&o->steps, 1);
    }
    if (is_by_address && *count > 1)
        luaL_error(L, "a table whose keys are tables or functions has no order that is the same everywhere");
    return is_array && (double)*count == highest;
}

static void add_value(struct lib_out *o, int depth);

static void add_table(struct lib_out *o, int depth) {
    lua_State *L = o->L;
    size_t count;
    luaL_checkstack(L, 4, "in function cmsgpack.pack");
    if (is_array(o, &count)) {
        add_collection_head(o, count, 0x90, 0xdc);
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, (int)i);
            add_value(o, depth + 1);
            lua_pop(L, 1);
        }
        return;
    }
    add_collection_head(o, count, 0x80, 0xde);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        add_value(o, depth + 1);
        lua_pop(L, 1);
        add_value(o, depth + 1);
    }
}

/* What stands on top of the stack, and stays there. */
static void add_value(struct lib_out *o, int depth) {
    lua_State *L = o->L;
    size_t len;
    lib_step(&o->steps, 1);
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: {
        const char *data = lua_tolstring(L, -1, &len);
        add_string(o, data, len);
        return;
    }
    case LUA_TBOOLEAN: lib_out_byte(o, lua_toboolean(L, -1) ? (char)0xc3 : (char)0xc2); return;
    case LUA_TNUMBER: add_number(o, lua_tonumber(L, -1)); return;
    case LUA_TTABLE:
        if (depth < PACK_DEPTH_MAX) {
            add_table(o, depth);
            return;
        }
        break;
    default: break;
    }
    lib_out_byte(o, (char)0xc0);
}

static int lib_pack(lua_State *L) {
    int count = lua_gettop(L);
    if (count == 0) return luaL_argerror(L, 0, "MessagePack pack needs input.");
    if (!lua_checkstack(L, count)) return luaL_argerror(L, 0, "Too many arguments for MessagePack pack.");
    struct lib_out out;
    lib_out_begin(&out, L);
    for (int i = 1; i <= count; i++) {
        lua_pushvalue(L, i);
        add_value(&out, 0);
        lua_pop(L, 1);
    }
    lib_out_push(&out);
    return 1;
}

/* --- unpack --- */

/* A table that is being read: it stands on the stack, with the next index, or the key, above it. */
struct level {
    uint64_t left; /* values still to come; of a map, two for each pair */
    bool is_map;
};

struct input {
    lua_State *L;
    const unsigned char *at, *end;
    struct lib_steps steps;
    struct level *levels; /* once there are many, in a userdata in the second place of the stack */
    size_t depth, cap;
};

static _Noreturn void bad_input(lua_State *L, const char *why) {
    luaL_error(L, "%s", why);
    abort();
}

static _Noreturn void too_short(lua_State *L) {
    bad_input(L, "Missing bytes in input.");
}

static uint64_t take_number(struct input *in, int bytes) {
    uint64_t value = 0;
    if (in->end - in->at < bytes) too_short(in->L);
    for (int i = 0; i < bytes; i++) value = value << 8 | *in->at++;
    return value;
}

static bool push_string(struct input *in, uint64_t len) {
    if ((uint64_t)(in->end - in->at) < len) too_short(in->L);
    lib_step(&in->steps, len / LIB_BYTES_PER_STEP);
    lua_pushlstring(in->L, (const char *)in->at, (size_t)len);
    in->at += len;
    return true;
}

static bool push_number(struct input *in, double n) {
    lua_pushnumber(in->L, n);
    return true;
}

static bool push_float(struct input *in) {
    uint32_t bits = (uint32_t)take_number(in, 4);
    float n;
    memcpy(&n, &bits, sizeof n);
    return push_number(in, (double)n);
}

static bool push_double(struct input *in) {
    uint64_t bits = take_number(in, 8);
    double n;
    memcpy(&n, &bits, sizeof n);
    return push_number(in, n);
}

enum { LEVELS_PLACE = 2 };

static void add_level(struct input *in) {
    if (in->depth == in->cap) {
        luaL_checkstack(in->L, 1, "in function cmsgpack.unpack");
        struct level *levels = lua_newuserdata(in->L, 2 * in->cap * sizeof *levels);
        memcpy(levels, in->levels, in->cap * sizeof *levels);
        lua_replace(in->L, LEVELS_PLACE);
        in->levels = levels;
        in->cap *= 2;
    }
    in->depth++;
}

/* The table is there, but not yet complete: false. */
static bool push_table(struct input *in, uint64_t count, bool is_map) {
    lua_State *L = in->L;
    lua_newtable(L);
    add_level(in);
    in->levels[in->depth - 1] = (struct level){.left = is_map ? 2 * count : count, .is_map = is_map};
    if (is_map) return false;
    luaL_checkstack(L, 2,
                    "in function mp_decode_to_lua_array"); /* one more than it takes, as the levels do */
    lua_pushnumber(L, 1);
    return false;
}

/* The next value of the input, on the stack. False when it is a table, whose content comes next. */
static bool push_value(struct input *in) {
    lua_State *L = in->L;
    lib_step(&in->steps, 1);
    luaL_checkstack(L, 1, "too many return values at once; use unpack_one or unpack_limit instead.");
    if (in->at == in->end) too_short(L);
    unsigned char tag = *in->at++;
    if (tag <= 0x7f) return push_number(in, tag);
    if (tag <= 0x8f) return push_table(in, tag & 0xf, true);
    if (tag <= 0x9f) return push_table(in, tag & 0xf, false);
    if (tag <= 0xbf) return push_string(in, tag & 0x1f);
    if (tag >= 0xe0) return push_number(in, (int8_t)tag);
    switch (tag) {
    case 0xc0: lua_pushnil(L); return true;
    case 0xc2:
    case 0xc3: lua_pushboolean(L, tag & 1); return true;
    case 0xca: return push_float(in);
    case 0xcb: return push_double(in);
    case 0xcc: return push_number(in, (double)take_number(in, 1));
    case 0xcd: return push_number(in, (double)take_number(in, 2));
    case 0xce: return push_number(in, (double)take_number(in, 4));
    case 0xcf: /* taken for signed */
    case 0xd3: return push_number(in, (double)(int64_t)take_number(in, 8));
    case 0xd0: return push_number(in, (int8_t)take_number(in, 1));
    case 0xd1: return push_number(in, (int16_t)take_number(in, 2));
    case 0xd2: return push_number(in, (int32_t)take_number(in, 4));
    case 0xd9: return push_string(in, take_number(in, 1));
    case 0xda: return push_string(in, take_number(in, 2));
    case 0xdb: return push_string(in, take_number(in, 4));
    case 0xdc: return push_table(in, take_number(in, 2), false);
    case 0xdd: return push_table(in, take_number(in, 4), false);
    case 0xde: return push_table(in, take_number(in, 2), true);
    case 0xdf: return push_table(in, take_number(in, 4), true);
    default: bad_input(L, "Bad data format in input.");
    }
}

/* A value is complete: into the table it belongs to. A key stays where it is until its value has come. */
static void put_away(struct input *in, struct level *l) {
    lua_State *L = in->L;
    l->left--;
    if (!l->is_map) {
        lua_Number index = lua_tonumber(L, -2);
        lua_rawset(L, -3);
        if (l->left > 0) lua_pushnumber(L, index + 1);
    } else if (l->left % 2 == 0) {
        lua_rawset(L, -3);
    }
}

/* One value of the input with all that is in it. Not recursive: depth is limited by Lua's stack only. */
static void push_whole(struct input *in) {
    do {
        bool is_complete = push_value(in);
        while (in->depth > 0) {
            struct level *l = &in->levels[in->depth - 1];
            if (is_complete) put_away(in, l);
            if (l->left > 0) break;
            if (!is_complete && !l->is_map) lua_pop(in->L, 1); /* an empty array needs no index */
            is_complete = true;
            in->depth--;
        }
    } while (in->depth > 0);
}

static int unpack(lua_State *L, int64_t limit, int64_t offset) {
    enum { LEVELS_AT_FIRST = 32 };
    struct level levels[LEVELS_AT_FIRST];
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    if (offset < 0 || limit < 0)
        return luaL_error(L, "Invalid request to unpack with offset of %d and limit of %d.", (int)offset,
                          (int)len);
    if ((size_t)offset > len)
        return luaL_error(L, "Start offset %d greater than input length %d.", (int)offset, (int)len);
    bool is_all = limit == 0 && offset == 0;
    struct input in = {.L = L,
                       .at = (const unsigned char *)data + offset,
                       .end = (const unsigned char *)data + len,
                       .steps = {.L = L},
                       .levels = levels,
                       .cap = LEVELS_AT_FIRST};
    int count = 0;
    lua_settop(L, LEVELS_PLACE);
    for (; in.at < in.end && (is_all || count < limit); count++) push_whole(&in);
    lib_steps_flush(&in.steps);
    lua_remove(L, LEVELS_PLACE);
    if (is_all) return count;
    luaL_checkstack(L, 1, "in function mp_unpack_full");
    lua_pushinteger(L, in.at == in.end ? -1 : (in.at - (const unsigned char *)data));
    lua_insert(L, 2);
    return count + 1;
}

static int lib_unpack(lua_State *L) {
    luaL_checkstring(L, 1);
    return unpack(L, 0, 0);
}

static int lib_unpack_one(lua_State *L) {
    int64_t offset = luaL_optinteger(L, 2, 0);
    return unpack(L, 1, offset);
}

static int lib_unpack_limit(lua_State *L) {
    int64_t limit = luaL_checkinteger(L, 2);
    int64_t offset = luaL_optinteger(L, 3, 0);
    return unpack(L, limit, offset);
}

void lib_cmsgpack_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"pack", lib_pack},
        {"unpack", lib_unpack},
        {"unpack_one", lib_unpack_one},
        {"unpack_limit", lib_unpack_limit},
    };
    static const char *const texts[][2] = {
        {"_NAME", "cmsgpack"},
        {"_VERSION", "lua-cmsgpack 0.4.0"},
    };
    lua_newtable(L);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, -2, functions[i].name);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lua_pushstring(L, texts[i][1]);
        lua_setfield(L, -2, texts[i][0]);
    }
    lua_setglobal(L, "cmsgpack");
}
