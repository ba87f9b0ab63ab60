/* Libraries that scripts have beside those of Lua itself, and our own versions of those functions of Lua's that could
 * run for very long in one call: they count what they do (work.h). Each opener leaves the stack as it was. */
#ifndef SCRIPT_LIB_H
#define SCRIPT_LIB_H

#include <lua.h>

void lib_cmsgpack_open(lua_State *L); /* sets the global `cmsgpack` */
void lib_struct_open(lua_State *L);   /* sets the global `struct` */
/* Replace functions in `string` and `table`, which must be open. */
void lib_string_open(lua_State *L);
void lib_table_open(lua_State *L);
/* Sets the global `cjson`. Scripts may configure it: whoever runs the next one resets that, as it would differ between
 * nodes otherwise. */
void lib_cjson_open(lua_State *L);
void lib_cjson_reset(lua_State *L);

#endif
