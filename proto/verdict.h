/* The payload of a RAFT_ENTRY_VERDICT entry: whether a script, in the middle of an entry before it, goes on or ends. Byte table in
 * README.md; what it is for, in server/node/README.md. */
#ifndef PROTO_VERDICT_H
#define PROTO_VERDICT_H

#include "buf.h"
#include "check.h"

/* Stored in the log: numbers are never reused. */
enum verdict_decision {
    VERDICT_GOES_ON = 0,
    VERDICT_SCRIPT_KILL = 1,
    VERDICT_FUNCTION_KILL = 2,
    VERDICT_OVER_LIMIT = 3,
};

struct verdict {
    enum verdict_decision decision;
    uint64_t index;      /* of the entry */
    uint64_t checkpoint; /* its scripts meet them in one order on all nodes: the first is 1 */
    uint64_t ran_ms;     /* the script, by then, as leaders count */
};

enum { VERDICT_SIZE = 26 };

void verdict_encode(struct buf *out, const struct verdict *v);
/* RC_INVALID, and *out untouched: another version, decision or length, an index or checkpoint of 0. */
MUST_USE enum rc verdict_decode(struct slice payload, struct verdict *out);

#endif
