/* What cmd_set.c and cmd_set_algebra.c share. */
#ifndef CMD_CMD_SET_H
#define CMD_CMD_SET_H

#include "cmd.h"
#include "type_set.h"

static inline void reply_member(struct reply *r, struct pack_value member) {
    if (member.is_int)
        reply_bulk_int(r, member.integer);
    else
        reply_bulk(r, member.text);
}

#endif
