/* <dir>/node: who this node is, and whether its log must be there. Byte table in README.md. Written whole, atomically
 * and durably, each time it changes. */
#ifndef NODE_IDENTITY_H
#define NODE_IDENTITY_H

#include "buf.h"
#include "check.h"
#include "raft_message.h"

enum { IDENTITY_CLUSTER_SIZE = 16, IDENTITY_JOIN_CAP = 1024 };

/*            forms alone, is formed, is let in             log and state made
 *   BLANK --------------------------------------> FORMED -------------------> RUNNING
 *
 * A node acknowledges nothing before it is RUNNING. From then on a missing log is a loss, not a beginning. */
enum identity_stage { IDENTITY_BLANK, IDENTITY_FORMED, IDENTITY_RUNNING };

struct identity {
    enum identity_stage stage;
    uint64_t id;                         /* random, never 0, never reused */
    char cluster[IDENTITY_CLUSTER_SIZE]; /* all zero while BLANK */
    bool was_member;                     /* a configuration that it applied had it */
    struct raft_members first; /* the cluster's first configuration; none of a node that was let in later */
    char join[IDENTITY_JOIN_CAP]; /* addresses of members to ask, separated by spaces */
};

void identity_encode(const struct identity *identity, struct buf *out);
MUST_USE enum rc identity_decode(struct slice file, struct identity *out);

/* What clients and people call the cluster by. The id itself is not told to them: it seeds the hashes that place keys, and who
 * knew it could choose keys that all meet in one place. */
enum { IDENTITY_NAME_CAP = 2 * IDENTITY_CLUSTER_SIZE + 1 };
void identity_cluster_name(const char cluster[IDENTITY_CLUSTER_SIZE], char out[IDENTITY_NAME_CAP]);

#endif
