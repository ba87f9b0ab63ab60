/* A configuration as bytes: the payload of a RAFT_ENTRY_MEMBERS entry, and what a node stores of the newest one. The
 * byte table is in proto/README.md. Who holds the bytes guards their integrity; here nothing is trusted all the same. */
#ifndef PROTO_RAFT_MEMBERS_H
#define PROTO_RAFT_MEMBERS_H

#include "buf.h"
#include "check.h"
#include "raft_message.h"

/* Appends. A configuration that members_decode would refuse is our bug (CHECK). */
void members_encode(struct buf *out, const struct raft_members *members);

/* RC_INVALID, and *out untouched, for an unknown version, bytes missing or left over, too many members, an id of 0, ids
 * that do not rise, an unknown seat, or an address that is empty, too long or holds a NUL. No members at all are fine:
 * a node that belongs to nobody yet. Bytes and values match one to one. */
MUST_USE enum rc members_decode(struct slice bytes, struct raft_members *out);

#endif
