/* Mathematics that is the same on all processors: random numbers from a seed of the run, and functions that the C library would
 * compute with whatever instructions there are, in the last bit differently. These are computed with more digits and rounded. */
#include "script_internal.h"

#include <math.h>

/* --- random numbers: the linear congruence of POSIX's drand48, as Redis has it --- */

uint64_t maths_seed(uint64_t seed) {
    return ((seed << 16) | 0x330e) & ((UINT64_C(1) << 48) - 1);
}

static int64_t next_random(struct script_run *run) {
    run->random = (run->random * UINT64_C(0x5deece66d) + 0xb) & ((UINT64_C(1) << 48) - 1);
    return (int64_t)(run->random >> 17);
}

static int maths_random(lua_State *L) {
    struct script_run *run = script_of(L)->run;
    int64_t drawn = run != NULL ? next_random(run) : 0;
    lua_Number r = (lua_Number)(drawn % INT32_MAX) / (lua_Number)INT32_MAX;
    int low = 1, high;
    switch (lua_gettop(L)) {
    case 0: lua_pushnumber(L, r); return 1;
    case 1: high = luaL_checkint(L, 1); break;
    case 2:
        low = luaL_checkint(L, 1);
        high = luaL_checkint(L, 2);
        break;
    default: return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    double span = (double)high - low + 1;
    lua_pushnumber(L, floor(r * span) + low);
    return 1;
}

static int maths_randomseed(lua_State *L) {
    int seed = luaL_checkint(L, 1);
    struct script_run *run = script_of(L)->run;
    if (run != NULL) run->random = maths_seed((uint32_t)seed);
    return 0;
}

/* --- functions --- */

#define ROUNDED(name)                                                                                        \
    static int maths_##name(lua_State *L) {                                                                  \
        lua_pushnumber(L, (double)name##l((long double)luaL_checknumber(L, 1)));                             \
        return 1;                                                                                            \
    }
#define ROUNDED_2(name)                                                                                      \
    static int maths_##name(lua_State *L) {                                                                  \
        lua_pushnumber(                                                                                      \
            L, (double)name##l((long double)luaL_checknumber(L, 1), (long double)luaL_checknumber(L, 2)));   \
        return 1;                                                                                            \
    }

ROUNDED(sin)
ROUNDED(cos)
ROUNDED(tan)
ROUNDED(asin)
ROUNDED(acos)
ROUNDED(atan)
ROUNDED(sinh)
ROUNDED(cosh)
ROUNDED(tanh)
ROUNDED(exp)
ROUNDED(log)
ROUNDED(log10)
ROUNDED_2(atan2)
ROUNDED_2(pow)

void maths_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"random", maths_random},
        {"randomseed", maths_randomseed},
        {"sin", maths_sin},
        {"cos", maths_cos},
        {"tan", maths_tan},
        {"asin", maths_asin},
        {"acos", maths_acos},
        {"atan", maths_atan},
        {"sinh", maths_sinh},
        {"cosh", maths_cosh},
        {"tanh", maths_tanh},
        {"exp", maths_exp},
        {"log", maths_log},
        {"log10", maths_log10},
        {"atan2", maths_atan2},
        {"pow", maths_pow},
        {NULL, NULL},
    };
    luaL_register(L, "math", functions);
    lua_settop(L, 0);
}
