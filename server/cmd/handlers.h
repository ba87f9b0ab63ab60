/* Prototypes of all command handlers, from the command table. */
#ifndef CMD_HANDLERS_H
#define CMD_HANDLERS_H

#include "cmd.h"

#define CMD(name, handler, arity, flags, categories, keys, tips)    cmd_fn handler;
#define SUBCMD(name, handler, arity, flags, categories, keys, tips) cmd_fn handler;
#include "commands.def"
#undef CMD
#undef SUBCMD

void cmd_debug_help(struct cmd_ctx *c);
int cmd_shown_refcount(const struct object *o); /* as OBJECT REFCOUNT and DEBUG OBJECT show it */

#endif
