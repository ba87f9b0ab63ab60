/* What the handlers of sorted sets share (cmd_zset*.c, cmd_geo*.c). */
#ifndef CMD_CMD_ZSET_H
#define CMD_CMD_ZSET_H

#include "cmd.h"
#include "type_zset.h"

/* ZADD's options, and GEOADD's. */
struct zset_add_options {
    bool nx, xx, gt, lt;
    bool changed; /* CH: count what got another score, too */
    bool incr;
};

struct zset_add_counts {
    int64_t added, updated;
    double score; /* of the last item that was not left alone */
    bool any;     /* there was one */
};

/* The items' members and scores into the set at `key`, which is created unless `xx`. False after answering
 * an error. */
bool cmd_zset_add(struct cmd_ctx *c, struct slice key, const struct zset_add_options *how,
                  const struct zset_item *items, size_t count, struct zset_add_counts *out);

/* The set at a key of a command that reads; *o NULL when there is none. False after answering WRONGTYPE. */
bool cmd_zset_read(struct cmd_ctx *c, struct slice key, struct object **o);
/* Likewise for a command that writes. */
bool cmd_zset_write(struct cmd_ctx *c, struct slice key, struct object **o);
bool cmd_zset_consult(struct cmd_ctx *c, struct slice key, struct object **o); /* cmd_consult */
/* Items were taken from it, which is told. A set without items does not exist. */
void cmd_zset_took(struct cmd_ctx *c, const char *event, struct slice key, struct object *o);
/* False after answering "not a float". */
bool cmd_arg_double(struct cmd_ctx *c, struct slice arg, double *out, const char *error);

/* An answer of `count` items: with scores, RESP2 puts them between the members, RESP3 makes pairs. */
void reply_zset_begin(struct reply *r, size_t count, bool with_scores);
void reply_zset_item(struct reply *r, struct slice member, double score, bool with_scores);
/* `count` items from this one on. */
void reply_zset_items(struct reply *r, struct zset_pos p, uint64_t count, bool reverse, bool with_scores);

/* Items gathered to be stored or answered; members are copied into the command's arena. */
struct zset_items {
    struct zset_item *items;
    size_t count, cap;
};
void zset_items_add(struct cmd_ctx *c, struct zset_items *list, struct slice member, double score);
void zset_items_free(struct zset_items *list);
/* Stores them at the key, or deletes it when there are none, and answers how many there are. */
void cmd_zset_store(struct cmd_ctx *c, struct slice key, struct zset_items *list, const char *event);

#endif
