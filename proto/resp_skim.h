/* Where replies end: a stream of RESP2 and RESP3 replies is looked through once, piece by piece, without keeping any of
 * it. For a node that passes another's answers on as they arrive and has to know how many are complete. */
#ifndef PROTO_RESP_SKIM_H
#define PROTO_RESP_SKIM_H

#include "slice.h"

enum { RESP_SKIM_DEPTH_MAX = 128, RESP_SKIM_LINE_MAX = 64 << 10 };

/* All-zero is the beginning of a stream. */
struct resp_skim {
    uint64_t left[RESP_SKIM_DEPTH_MAX]; /* values still to come, of each aggregate that is open */
    uint64_t bulk_left;                 /* bytes still to come of a bulk, its line end included */
    uint64_t number;                    /* the length being read */
    uint32_t depth;
    uint32_t line_len; /* bytes of the line being read, its type included */
    char type;         /* of the line being read; 0 between values */
    char top; /* type of the top-level value being read; 0 between them, '|' while only an attribute came */
    bool negative, digits, cr, in_stream;
};

enum resp_skim_status {
    RESP_SKIM_MORE,  /* all of the input was looked at, and no reply ended in it */
    RESP_SKIM_REPLY, /* a reply ended; an attribute before it is part of it */
    RESP_SKIM_PUSH,  /* a push (type '>') ended: it answers nothing */
    RESP_SKIM_ERROR, /* not RESP: the stream is of no further use */
};

/* Looks at the input up to the end of one top-level value; *consumed bytes were looked at. */
enum resp_skim_status resp_skim(struct resp_skim *s, struct slice input, size_t *consumed);

/* Whether the stream stands between two replies. */
static inline bool resp_skim_is_between(const struct resp_skim *s) {
    return s->top == 0;
}

#endif
