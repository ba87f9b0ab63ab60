/* What the files of list commands share. */
#ifndef CMD_CMD_LIST_H
#define CMD_CMD_LIST_H

#include "cmd.h"
#include "type_list.h"

/* LEFT or RIGHT; false after answering a syntax error. */
bool list_arg_end(struct cmd_ctx *c, struct slice arg, enum list_end *end);
/* An array of `count` elements, all of which exist, from that position on. */
void list_reply_range(struct cmd_ctx *c, const struct object *o, uint64_t from, uint64_t count,
                      bool backwards);

/* An event of a list; of pushing to that end; and `o` goes, with its event, when it is empty. */
void list_tell(struct cmd_ctx *c, const char *event, struct slice key);
void list_tell_push(struct cmd_ctx *c, enum list_end end, struct slice key);
void list_drop_empty(struct cmd_ctx *c, struct object *o, struct slice key);

#endif
