/* Replies, from bytes to a tree: for tests, for the fuzz targets and for a node that relays another's answers.
 * Not on any hot path. */
#ifndef PROTO_RESP_READ_H
#define PROTO_RESP_READ_H

#include "arena.h"

struct resp_value {
    char type;         /* the RESP type byte: + - : $ * _ , # ! = ( % ~ | > */
    bool is_null;      /* $-1, *-1 or _ */
    struct slice text; /* + - $ ! = ( and the spelling of : and , */
    int64_t integer;   /* : and # */
    double number;     /* , */
    size_t count;      /* elements of * ~ > ; twice the pairs of % and | */
    struct resp_value *items;
};

enum resp_read_status { RESP_READ_MORE, RESP_READ_VALUE, RESP_READ_ERROR };

/* Reads one value from the front of `input`; slices point into `input`, nodes live in the arena. */
enum resp_read_status resp_read(struct slice input, struct arena *arena, struct resp_value *out,
                                size_t *consumed);

#endif
