/* How the work of a script is counted: everything a script can make last long passes here (script.h, struct script_limits). */
#ifndef SCRIPT_WORK_H
#define SCRIPT_WORK_H

#include <stdint.h>

struct lua_State;

/* So much was done, in units of an instruction of the VM, or is about to be. May leave the stack for a while, and raises a Lua
 * error when the run has to end: whoever calls it owns nothing that Lua does not know of. */
void script_work(struct lua_State *L, uint64_t units);

#endif
