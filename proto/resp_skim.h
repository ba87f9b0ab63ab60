/* Where replies end: a stream of RESP2 and RESP3 replies is looked through once, piece by piece, without keeping any of
 * it. For a node that passes another's answers on as they arrive and has to know how many are complete. Only lengths are
 * understood: whether a double is one is the reader's business. */
#ifndef PROTO_RESP_SKIM_H
#define PROTO_RESP_SKIM_H

#include "slice.h"

enum { RESP_SKIM_DEPTH_MAX = 128, RESP_SKIM_LENGTH_MAX = 21 /* "-9223372036854775808\r" */ };

/* All-zero is the beginning of a stream. */
struct resp_skim {
    uint64_t left[RESP_SKIM_DEPTH_MAX]; /* values still to come, of each aggregate that is open */
    uint64_t
        is_attribute[RESP_SKIM_DEPTH_MAX / 64]; /* a bit for each: an attribute is no element of its parent */
    uint64_t bulk_left;                         /* bytes still to come of a bulk, its CR LF included */
    uint32_t depth;                             /* aggregates that are open */
    char length[RESP_SKIM_LENGTH_MAX];          /* of the line being read, when its type has one */
    uint8_t length_len;
    char type; /* of the line being read; 0 between lines */
    char
        top; /* type of the top-level value being read; 0 between them; '|' also while only an attribute came */
    bool cr; /* the byte before was a CR */
};

enum resp_skim_status {
    RESP_SKIM_MORE,  /* all of the input was looked at, and no top-level value ends in it */
    RESP_SKIM_REPLY, /* a reply ended; an attribute before it is part of it */
    RESP_SKIM_PUSH,  /* a push (type '>') ended: it answers nothing */
    RESP_SKIM_ERROR, /* not RESP: the stream is of no further use */
};

/* Looks at the input up to the end of one top-level value; *consumed bytes were looked at. What resp_read would take
 * ends where it says; what it would refuse may be passed. */
enum resp_skim_status resp_skim(struct resp_skim *s, struct slice input, size_t *consumed);

/* Whether the stream stands between two replies. */
static inline bool resp_skim_is_between(const struct resp_skim *s) {
    return s->top == 0;
}

#endif
