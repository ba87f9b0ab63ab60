/* Replies, from values to bytes, in RESP2 or RESP3. A reply writes into a buffer that somebody else owns (a
 * connection's output); with `out` NULL everything is discarded, which is how followers and CLIENT REPLY OFF
 * run the same handlers. Whoever begins an array of n writes exactly n elements. */
#ifndef PROTO_RESP_WRITE_H
#define PROTO_RESP_WRITE_H

#include "buf.h"

struct reply {
    struct buf *out;           /* NULL discards */
    uint8_t resp;              /* 2 or 3 */
    uint32_t error_count;      /* errors written, for commandstats and errorstats */
    uint32_t told_error_count; /* and those that errorstats knows from where they came (scripts) */
    char error_code[32];       /* first word of the last error, e.g. "WRONGTYPE"; lower stats read it */
};

static inline void reply_init(struct reply *r, struct buf *out, int resp) {
    r->out = out;
    r->resp = (uint8_t)resp;
    r->error_count = r->told_error_count = 0;
    r->error_code[0] = '\0';
}

void reply_ok(struct reply *r);
void reply_simple(struct reply *r, const char *text);
/* `text` starts with its code: "ERR syntax error", "WRONGTYPE Operation ...". Line breaks become spaces. */
void reply_error(struct reply *r, const char *text);
void reply_errorf(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_int(struct reply *r, int64_t v);
void reply_bulk(struct reply *r, struct slice value);
void reply_bulk_str(struct reply *r, const char *text);
void reply_bulk_int(struct reply *r, int64_t v);
void reply_bulkf(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_null(struct reply *r);       /* RESP2 $-1, RESP3 _ */
void reply_null_array(struct reply *r); /* RESP2 *-1, RESP3 _ */
void reply_array(struct reply *r, size_t n);
void reply_map(struct reply *r, size_t pairs); /* RESP2: an array of 2*pairs */
void reply_set(struct reply *r, size_t n);
void reply_push(struct reply *r, size_t n);                                 /* RESP2: an array */
void reply_attribute(struct reply *r, size_t pairs);                        /* RESP3 only */
void reply_double(struct reply *r, double v);                               /* RESP2: a bulk string */
void reply_bool(struct reply *r, bool v);                                   /* RESP2: 1 or 0 */
void reply_verbatim(struct reply *r, const char *type3, struct slice text); /* RESP2: a bulk string */
void reply_bignum(struct reply *r, struct slice digits);                    /* RESP2: a bulk string */
void reply_raw(struct reply *r, struct slice bytes);                        /* already encoded */

/* An aggregate whose length is known only at its end: `mark = reply_defer(r)`, the elements, then one of the
 * closers with that mark. */
size_t reply_defer(struct reply *r);
void reply_close_array(struct reply *r, size_t mark, size_t n);
void reply_close_map(struct reply *r, size_t mark, size_t pairs);
void reply_close_set(struct reply *r, size_t mark, size_t n);

#endif
