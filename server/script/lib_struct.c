/* struct: numbers and strings as packed bytes and back, as Redis 7.0's library of that name (Roberto Ierusalimschy's
 * struct 0.2) does it. A format is a row of options:
 *
 *     > <      big, little endian from here on (at first: little)    b B h H l L T   1, 2, 8, 8 bytes; T has no sign
 *     ! !n     align to n, 8 without (at first: 1)                   i I in In       4 or n bytes, at most 32
 *     x        one byte of padding                                   f d             float, double
 *     space    nothing                                               s               a string and a zero
 *                                                                    c cn            one byte, n bytes of a string
 *     c0       pack: the whole string; unpack: as many bytes as the number before it says, which it replaces
 *
 * Formats and data come from anybody: every size is looked at before it is used. Numbers that fit no integer become what
 * the machine Redis usually runs on makes of them, the same on every machine. */
#include "lib.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "lib_out.h"

enum { INTEGER_BYTES_MAX = 32, ALIGN_USUAL = 8 };

struct format {
    lua_State *L;
    const char *at; /* ends with a zero */
    bool is_big_endian;
    size_t align;
    /* The option in hand. */
    char option;
    size_t size;    /* of its data; 0 for what has none, or not a known one */
    size_t padding; /* before it */
    struct lib_steps steps;
};

/* The digits that follow, if any. */
static int take_count(struct format *f, int otherwise) {
    if (!isdigit((unsigned char)*f->at)) return otherwise;
    int n = 0;
    do {
        int digit = *f->at++ - '0';
        if (n > (INT_MAX - digit) / 10) luaL_error(f->L, "integral size overflow");
        n = n * 10 + digit;
    } while (isdigit((unsigned char)*f->at));
    return n;
}

static size_t option_size(struct format *f) {
    int size;
    switch (f->option) {
    case 'b':
    case 'B':
    case 'x': return 1;
    case 'h':
    case 'H': return 2;
    case 'f': return 4;
    case 'l':
    case 'L':
    case 'T':
    case 'd': return 8;
    case 'c': return (size_t)take_count(f, 1);
    case 'i':
    case 'I':
        size = take_count(f, 4);
        if (size > INTEGER_BYTES_MAX)
            luaL_error(f->L, "integral size %d is larger than limit of %d", size, INTEGER_BYTES_MAX);
        return (size_t)size;
    default: return 0;
    }
}

/* The next option, for data that begin at `pos`; false at the end. */
static bool next_option(struct format *f, size_t pos) {
    if (*f->at == '\0') return false;
    lib_step(&f->steps, 1);
    f->option = *f->at++;
    f->size = option_size(f);
    f->padding = 0;
    if (f->size == 0 || f->option == 'c') return true;
    /* Sizes that are no power of two are padded as Redis pads them: by the bits that are set in `unit - 1`. */
    size_t unit = f->size < f->align ? f->size : f->align;
    f->padding = (unit - (pos & (unit - 1))) & (unit - 1);
    return true;
}

/* An option without data. */
static void control(struct format *f) {
    int align;
    switch (f->option) {
    case ' ': return;
    case '>': f->is_big_endian = true; return;
    case '<': f->is_big_endian = false; return;
    case '!':
        align = take_count(f, ALIGN_USUAL);
        if (align <= 0 || (align & (align - 1)) != 0)
            luaL_error(f->L, "alignment %d is not a power of 2", align);
        f->align = (size_t)align;
        return;
    default: luaL_argerror(f->L, 1, lua_pushfstring(f->L, "invalid format option '%c'", f->option));
    }
}

static struct format format_begin(lua_State *L) {
    return (struct format){.L = L, .at = luaL_checkstring(L, 1), .align = 1, .steps = {.L = L}};
}

/* --- pack --- */

/* What the conversion instructions of x86-64 give. */
static uint64_t integer_bits(double n) {
    if (n >= -0x1p63 && n < 0x1p63) return (uint64_t)(int64_t)n;
    if (n >= 0x1p63) return n < 0x1p64 ? (uint64_t)n : 0;
    return UINT64_C(1) << 63; /* too small, or not a number */
}

static void add_bytes(struct format *f, struct lib_out *o, uint64_t value, size_t size) {
    char *at = lib_out_room(o, size);
    for (size_t i = 0; i < size; i++, value >>= 8) at[f->is_big_endian ? size - 1 - i : i] = (char)value;
}

static void add_float(struct format *f, struct lib_out *o, double n) {
    float narrow = (float)n; /* beyond its range: infinite, as IEEE 754 says */
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    add_bytes(f, o, bits, sizeof bits);
}

static void add_double(struct format *f, struct lib_out *o, double n) {
    uint64_t bits;
    memcpy(&bits, &n, sizeof bits);
    add_bytes(f, o, bits, sizeof bits);
}

static void add_string(struct format *f, struct lib_out *o, int arg) {
    size_t len;
    const char *data = luaL_checklstring(f->L, arg, &len);
    if (f->size == 0) f->size = len;
    luaL_argcheck(f->L, len >= f->size, arg + 1, "string too short");
    lib_out_add(o, data, f->size);
    if (f->option == 's') lib_out_byte(o, '\0');
}

/* False when the option takes no argument. */
static bool add_option(struct format *f, struct lib_out *o, int arg) {
    switch (f->option) {
    case 'b':
    case 'B':
    case 'h':
    case 'H':
    case 'l':
    case 'L':
    case 'T':
    case 'i':
    case 'I': add_bytes(f, o, integer_bits(luaL_checknumber(f->L, arg)), f->size); return true;
    case 'f': add_float(f, o, luaL_checknumber(f->L, arg)); return true;
    case 'd': add_double(f, o, luaL_checknumber(f->L, arg)); return true;
    case 'c':
    case 's': add_string(f, o, arg); return true;
    case 'x': lib_out_byte(o, '\0'); return false;
    default: control(f); return false;
    }
}

static int lib_pack(lua_State *L) {
    struct format f = format_begin(L);
    struct lib_out out;
    lib_out_begin(&out, L); /* also what stands where a missing argument is looked for */
    int arg = 2;
    while (next_option(&f, out.len)) {
        memset(lib_out_room(&out, f.padding), 0, f.padding);
        if (add_option(&f, &out, arg)) arg++;
    }
    lib_steps_flush(&f.steps);
    lib_out_push(&out);
    return 1;
}

/* --- unpack --- */

static uint64_t read_bytes(const struct format *f, const unsigned char *at, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) value = value << 8 | at[f->is_big_endian ? i : size - 1 - i];
    return value;
}

static void push_integer(const struct format *f, const unsigned char *at) {
    uint64_t value = read_bytes(f, at, f->size);
    bool has_sign = islower((unsigned char)f->option);
    if (has_sign && f->size > 0 && f->size < sizeof value) {
        uint64_t sign = UINT64_C(1) << (8 * f->size - 1);
        value = (value ^ sign) - sign;
    }
    lua_pushnumber(f->L, has_sign ? (lua_Number)(int64_t)value : (lua_Number)value);
}

static void push_float(const struct format *f, const unsigned char *at) {
    uint32_t bits = (uint32_t)read_bytes(f, at, 4);
    float n;
    memcpy(&n, &bits, sizeof n);
    lua_pushnumber(f->L, (lua_Number)n);
}

static void push_double(const struct format *f, const unsigned char *at) {
    uint64_t bits = read_bytes(f, at, 8);
    double n;
    memcpy(&n, &bits, sizeof n);
    lua_pushnumber(f->L, n);
}

/* c0: the number that was just read is the size, and taken back. */
static void take_size(struct format *f, int *results) {
    if (*results == 0 || !lua_isnumber(f->L, -1)) luaL_error(f->L, "format 'c0' needs a previous size");
    f->size = (size_t)integer_bits(lua_tonumber(f->L, -1));
    lua_pop(f->L, 1);
    --*results;
}

/* What is unpacked, and where the option in hand begins. */
struct data {
    const unsigned char *bytes;
    size_t len, pos;
};

static void check_room(const struct format *f, const struct data *d) {
    bool fits = d->pos <= d->len && f->size <= d->len - d->pos;
    luaL_argcheck(f->L, fits, 2, "data string too short");
}

static void push_chars(struct format *f, const struct data *d, size_t len) {
    lib_step(&f->steps, len / LIB_BYTES_PER_STEP);
    lua_pushlstring(f->L, (const char *)d->bytes + d->pos, len);
}

static void push_option(struct format *f, const struct data *d, int *results) {
    const unsigned char *at = d->bytes + d->pos, *zero;
    switch (f->option) {
    case 'b':
    case 'B':
    case 'h':
    case 'H':
    case 'l':
    case 'L':
    case 'T':
    case 'i':
    case 'I': push_integer(f, at); break;
    case 'f': push_float(f, at); break;
    case 'd': push_double(f, at); break;
    case 'x': return;
    case 'c':
        if (f->size == 0) take_size(f, results);
        check_room(f, d);
        push_chars(f, d, f->size);
        break;
    case 's':
        zero = memchr(at, '\0', d->len - d->pos);
        if (zero == NULL) luaL_error(f->L, "unfinished string in data");
        f->size = (size_t)(zero - at) + 1;
        push_chars(f, d, f->size - 1);
        break;
    default: control(f); return;
    }
    ++*results;
}

static int lib_unpack(lua_State *L) {
    struct format f = format_begin(L);
    struct data d;
    d.bytes = (const unsigned char *)luaL_checklstring(L, 2, &d.len);
    d.pos = (size_t)luaL_optinteger(L, 3, 1);
    luaL_argcheck(L, d.pos > 0, 3, "offset must be 1 or greater");
    d.pos--;
    int results = 0;
    while (next_option(&f, d.pos)) {
        d.pos += f.padding;
        check_room(&f, &d);
        luaL_checkstack(L, 2, "too many results");
        push_option(&f, &d, &results);
        d.pos += f.size;
    }
    lib_steps_flush(&f.steps);
    lua_pushinteger(L, (lua_Integer)(d.pos + 1));
    return results + 1;
}

static int lib_size(lua_State *L) {
    struct format f = format_begin(L);
    size_t pos = 0;
    while (next_option(&f, pos)) {
        if (f.option == 's') return luaL_argerror(L, 1, "option 's' has no fixed size");
        if (f.option == 'c' && f.size == 0) return luaL_argerror(L, 1, "option 'c0' has no fixed size");
        if (!isalnum((unsigned char)f.option)) control(&f);
        pos += f.padding + f.size;
    }
    lib_steps_flush(&f.steps);
    lua_pushinteger(L, (lua_Integer)pos);
    return 1;
}

void lib_struct_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"pack", lib_pack}, {"unpack", lib_unpack}, {"size", lib_size}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_setglobal(L, "struct");
}
