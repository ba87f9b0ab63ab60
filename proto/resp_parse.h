/* Requests, from bytes to argument slices: RESP multibulk and inline, incremental, without copying.
 *
 * The caller keeps the unconsumed bytes in one buffer and calls resp_parse again whenever more came. The
 * parser remembers how far it looked, relative to the start of the unconsumed bytes, so that a command that
 * trickles in is never scanned twice; the buffer may move between calls. On RESP_COMMAND the slices in
 * `argv` point into `input` (an inline request's into the parser) and `*consumed` says how much to drop once
 * they are no longer needed; otherwise it is 0.
 * Errors carry Redis's own text; after one the connection must be closed. */
#ifndef PROTO_RESP_PARSE_H
#define PROTO_RESP_PARSE_H

#include "buf.h"

struct resp_limits {
    int64_t bulk_len_max;  /* proto-max-bulk-len */
    int64_t arg_count_max; /* INT32_MAX as Redis; 10 before authentication, as Redis */
    int64_t
        unauthenticated_bulk_len_max; /* 16384 while not authenticated; used when `authenticated` is false */
    bool authenticated;
};

enum resp_status {
    RESP_MORE,    /* nothing whole yet; *wanted_out hints how many bytes the current argument still needs */
    RESP_COMMAND, /* p->argc (may be 0: an empty line or *0, to be skipped) and p->argv are set */
    RESP_ERROR,   /* p->error holds the text behind "-ERR ", e.g. "Protocol error: invalid bulk length" */
};

struct resp_parser {
    /* the command just parsed */
    int argc;
    struct slice *argv; /* owned by the parser, reused by the next call */
    char error[160];
    size_t wanted; /* after RESP_MORE: bytes of `input` needed before another call can get further; a hint */

    /* where the parser stands within the unconsumed bytes */
    int argv_cap;
    int64_t args_left; /* arguments still to come; -1 between commands */
    int64_t bulk_len;  /* length of the argument being read; -1 when its header is not read yet */
    size_t pos;        /* everything before is understood */
    size_t scanned;    /* no newline between pos and here */
    struct buf store;  /* the words of an inline request, decoded */
    bool rebase;       /* argv holds offsets, not pointers: the buffer may move between calls */
};

void resp_parser_init(struct resp_parser *p);
void resp_parser_free(struct resp_parser *p);
enum resp_status resp_parse(struct resp_parser *p, const struct resp_limits *limits, struct slice input,
                            size_t *consumed);

/* For who wants to know what is coming: the second words of the commands `input` begins with, as long as these are whole and
 * spelled as programs spell them (an empty word where a command has none). At most `max`; says how many. */
size_t resp_peek(struct slice input, struct slice *words, size_t max);

/* Splits one inline line the way Redis does ("set k \"a b\\x00\""); used for inline requests and for redis.conf
 * lines. False on unbalanced quotes. The decoded bytes are appended to *store; argv slices point into it once
 * all are decoded (so *store must not be changed while they are used). */
bool resp_split_line(struct slice line, struct buf *store, struct slice **argv, int *argv_cap, int *argc);

#endif
