/* Between cluster.c (forming, joining, who belongs to it), requests.c (what clients ask of the cluster) and own_address.c. */
#ifndef NODE_CLUSTER_INTERNAL_H
#define NODE_CLUSTER_INTERNAL_H

#include "node_internal.h"

/* On the wire: numbers are never reused. */
enum control_kind {
    CONTROL_WHO = 1,    /* list hash -> stage, list hash */
    CONTROL_FORM = 2,   /* cluster id, first configuration (may be empty) -> answer */
    CONTROL_JOIN = 3,   /* own address, the address it reached us at -> answer with the cluster id in front */
    CONTROL_INVITE = 4, /* addresses to ask -> answer */
    CONTROL_LEAD = 5,   /* the sender wants to lead -> answer */
    CONTROL_UNBLOCK = 6, /* id of a client of the sender's, with an error or not -> answer */
};

/* An answer: a byte, 1 for yes, then a text: of what is wrong, or of who is to be asked instead (ELSEWHERE). */
enum { ANSWER_NO = 0, ANSWER_YES = 1, ANSWER_ELSEWHERE = 2 };

/* One address of cluster-nodes or join, and what is known of who is there. */
struct candidate {
    struct node *node;
    char address[RAFT_ADDRESS_CAP];
    bool asking, answered, is_blank;
    uint64_t id, list_hash;
};

struct cluster {
    struct candidate candidates[RAFT_MEMBERS_MAX];
    size_t count;
    size_t next; /* whom to ask to be let in */
    uint64_t list_hash;
    uint64_t asked_at_ms;
    char told[512]; /* the last thing said in the log about it, to say it once */
    char elsewhere[RAFT_ADDRESS_CAP];
};

/* What this node is to call itself to somebody at `peer`; NULL: to whoever asks. `out` has RAFT_ADDRESS_CAP bytes. */
void cluster_own_address(const struct node *n, const char *peer, char *out);

void cluster_ask(struct node *n, const char *address, uint64_t target, enum control_kind kind,
                 const struct buf *body, peer_control_cb *cb, void *arg);
/* NULL: this node has nothing that would be lost if it became part of another cluster. */
const char *cluster_why_not_reset(struct node *n);
const char *cluster_leader_address(const struct node *n); /* NULL: nobody else is known to lead */

/* As leader. `wanted` is worked out from node.members. */
enum raft_refusal cluster_change(struct node *n, const struct raft_members *wanted);
enum raft_refusal cluster_transfer(struct node *n, uint64_t to);
const char *cluster_refusal(enum raft_refusal why);
struct raft_member *cluster_member(struct raft_members *m, uint64_t id); /* NULL when there is none */
bool cluster_add_member(struct raft_members *m, uint64_t id, const char *address);

#endif
