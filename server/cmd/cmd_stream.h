/* What the commands of streams share: ids as clients write them, entries as clients read them, and how far a group has come. */
#ifndef CMD_CMD_STREAM_H
#define CMD_CMD_STREAM_H

#include "cmd.h"
#include "type_stream.h"

/* "ms-seq", or "ms" with `missing_seq`. False after answering. */
bool cmd_stream_id(struct cmd_ctx *c, struct slice arg, uint64_t missing_seq, struct stream_id *id);
/* The same without an answer, and with more: "-" and "+" unless `strict`; "ms-*" when seq_given is not NULL. */
bool stream_id_parse(struct slice arg, uint64_t missing_seq, bool strict, struct stream_id *id,
                     bool *seq_given);
/* One end of an interval, "(" in front leaves the id itself out. False after answering. */
bool cmd_stream_start(struct cmd_ctx *c, struct slice arg, struct stream_id *id);
bool cmd_stream_end(struct cmd_ctx *c, struct slice arg, struct stream_id *id);

#define ERR_STREAM_ID "ERR Invalid stream ID specified as stream command argument"

void reply_stream_id(struct reply *r, struct stream_id id);
/* Reads the entry to its end. */
void reply_stream_entry(struct reply *r, struct stream_entry *e);
/* The entry of this id; false when there is none, and nothing was answered. */
bool reply_stream_entry_of(struct reply *r, const struct object *o, struct stream_id id);
/* An array of entries, at most `count` (0: all). */
void reply_stream_range(struct reply *r, const struct object *o, struct stream_id from, struct stream_id to,
                        uint64_t count, bool reverse);

/* The stream to be read or written, NULL when there is none; false after answering WRONGTYPE. */
bool cmd_stream_read(struct cmd_ctx *c, struct slice key, struct object **o);
bool cmd_stream_write(struct cmd_ctx *c, struct slice key, struct object **o);
bool cmd_stream_consult(struct cmd_ctx *c, struct slice key, struct object **o); /* cmd_consult */
/* A consumer that is not there yet, and its event. */
struct stream_consumer *cmd_stream_new_consumer(struct cmd_ctx *c, struct slice key, struct object *o,
                                                struct stream_group *g, struct slice name);
/* "ERR unknown subcommand or wrong number of arguments ..." */
void cmd_stream_bad_subcommand(struct cmd_ctx *c);

/* How many entries a reader has read who has come to this id, if that can be told; else STREAM_READ_UNKNOWN. */
int64_t stream_entries_read_at(const struct stream_state *s, struct stream_id id);
/* Whether an entry at or behind this id was deleted, as far as is known. */
bool stream_has_tombstones_from(const struct stream_state *s, struct stream_id id);

#endif
