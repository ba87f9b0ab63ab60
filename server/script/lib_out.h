/* Shared by the libraries: a string that is being made, and steps that are counted in batches. */
#ifndef SCRIPT_LIB_OUT_H
#define SCRIPT_LIB_OUT_H

#include <stddef.h>

#include <lua.h>

#include "work.h"

/* What copying so many bytes costs, in instructions of Lua's machine. */
enum { LIB_BYTES_PER_STEP = 32 };
/* No function makes longer strings: a value of the database has no more either. */
enum { LIB_STRING_MAX = 512 << 20 };

/* --- steps --- */

struct lib_steps {
    lua_State *L;
    uint64_t pending;
};

enum { LIB_STEPS_BATCH = 1024 };

void lib_steps_flush(struct lib_steps *s);
static inline void lib_step(struct lib_steps *s, uint64_t steps) {
    s->pending += steps;
    if (s->pending >= LIB_STEPS_BATCH) lib_steps_flush(s);
}

/* --- a string that grows --- */

/* The memory is the struct's own at first, and then a userdata's, which stands in a place of the stack that was taken when
 * it was begun: an error in the script leaves nothing behind. */
struct lib_out {
    lua_State *L;
    int place;
    char *data;
    size_t len, cap;
    struct lib_steps steps;
    char first[512];
};

void lib_out_begin(struct lib_out *o, lua_State *L); /* pushes one value, to be left where it is */
/* Room for so many bytes, which the caller fills. Raises "not enough memory" beyond LIB_STRING_MAX. */
char *lib_out_room(struct lib_out *o, size_t len);
void lib_out_add(struct lib_out *o, const char *data, size_t len);
static inline void lib_out_byte(struct lib_out *o, char byte) {
    *lib_out_room(o, 1) = byte;
}
void lib_out_push(struct lib_out *o); /* pushes the string */
_Noreturn void lib_too_large(lua_State *L);

#endif
