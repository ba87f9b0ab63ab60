/* The payload of a Raft log entry: every write that arrived in one turn of the leader's event loop, with the
 * clock and the seed that make applying it the same everywhere. Byte table in proto/README.md. */
#ifndef PROTO_ENTRY_H
#define PROTO_ENTRY_H

#include "buf.h"

struct entry_header {
    int64_t clock_ms; /* the leader's wall clock, never running backwards along the log */
    uint64_t seed;    /* source of all randomness in this entry */
    uint32_t count;   /* commands */
};

enum { ENTRY_HEADER_SIZE = 24, ENTRY_ARGS_MAX = INT32_MAX /* what a request can hold */ };

/* Writing: begin empties the buffer, add appends each command, finish fills in the header. An entry without
 * commands is valid. Whoever adds counts. */
void entry_begin(struct buf *b);
void entry_add(struct buf *b, uint8_t db, int argc, const struct slice *argv);
/* Both in one, for arguments that lie within `b`, one behind the other, as they do in a request: they are moved there, and
 * nothing is copied elsewhere. False, and nothing has changed, when they lie otherwise. */
bool entry_make_in_place(struct buf *b, uint8_t db, int argc, const struct slice *argv);
void entry_finish(struct buf *b, const struct entry_header *header);

/* One command read back; argv points into the entry's bytes and is owned by the reader. */
struct entry_reader {
    struct entry_header header;
    struct slice rest;
    uint32_t commands_left;
    uint8_t db;
    int argc;
    struct slice *argv;
    int argv_cap;
};

void entry_reader_init(struct entry_reader *r); /* once; the argv array is kept from entry to entry */
void entry_reader_free(struct entry_reader *r);
/* False when the bytes are no entry: wrong magic or version, short. */
bool entry_open(struct entry_reader *r, struct slice payload);
/* The entry's bytes are at `to` now: so are the arguments. */
void entry_move(struct entry_reader *r, const char *from, const char *to);
/* The next command: 1 and the fields are set, 0 at the end, -1 when the bytes are malformed. */
int entry_next(struct entry_reader *r);

#endif
