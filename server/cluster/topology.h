/* How clients see the cluster. The node says what it knows (struct cluster_state); this room works out what Redis's
 * own words for it are: ids of 40 digits, one master that owns all slots and its replicas, hosts and ports. Pure, and
 * in no protocol: server/cmd writes the replies. README.md has the rules. */
#ifndef CLUSTER_TOPOLOGY_H
#define CLUSTER_TOPOLOGY_H

#include "check.h"
#include "slice.h"

enum {
    CLUSTER_MEMBERS_MAX = 16,  /* as RAFT_MEMBERS_MAX */
    CLUSTER_ADDRESS_CAP = 128, /* "host:port" with its NUL, as RAFT_ADDRESS_CAP */
    CLUSTER_SLOT_COUNT = 16384,
    CLUSTER_BUS_OFFSET = 10000,  /* a node's peers reach it so many ports further than its clients */
    CLUSTER_NAME_LEN = 40,       /* of a node, as clients see it */
    CLUSTER_HOST_CAP = 128,      /* with its NUL */
    CLUSTER_PLAIN_NAME_LEN = 16, /* the id alone */
    CLUSTER_CLUSTER_ID_CAP = 33  /* 32 hex digits and a NUL */
};

enum cluster_seat {
    CLUSTER_VOTER,
    CLUSTER_LEARNER, /* no vote */
    CLUSTER_JOINING, /* will be a voter when the change under way ends */
    CLUSTER_LEAVING, /* is one until then */
};

/* How a leader sends to a peer; unknown elsewhere. */
enum cluster_progress { CLUSTER_PROGRESS_UNKNOWN, CLUSTER_PROBE, CLUSTER_REPLICATE, CLUSTER_SNAPSHOT };

struct cluster_member {
    uint64_t id; /* never 0 */
    enum cluster_seat seat;
    char address[CLUSTER_ADDRESS_CAP]; /* "host:port" of the client port; "" when not known (a lone node) */
    bool is_self;
    bool is_connected;    /* there is a link to it that works; true of oneself */
    int64_t heard_ms_ago; /* -1: unknown, or never in this term */
    /* Known on the leader only; 0 elsewhere. */
    uint64_t match_index;
    enum cluster_progress progress;
};

/* What a node knows of its cluster, filled in by the host. */
struct cluster_state {
    char cluster_id[CLUSTER_CLUSTER_ID_CAP];
    uint64_t node_id;
    uint64_t leader_id;      /* 0: unknown now */
    uint64_t last_leader_id; /* what maps show while it is; 0 when there has been none since the start */
    uint64_t term, commit_index, applied_index, members_index;
    bool is_leader; /* leader_id == node_id */
    bool readable;  /* as leader: it has applied an entry of its own term */
    bool removed;   /* this node was a member and is no longer */
    bool joining;   /* this node belongs to no cluster yet: it waits to be told, or to be let in */
    uint64_t messages_sent, messages_received; /* between nodes, since the start */
    size_t member_count;
    struct cluster_member members[CLUSTER_MEMBERS_MAX]; /* of the newest configuration, ascending by id */
};

/* --- names: 16 hex digits of the id, then the first 24 of the cluster's --- */

/* `out` has CLUSTER_NAME_LEN bytes and a NUL. */
void cluster_name(const struct cluster_state *state, uint64_t id, char *out);
/* A name of 40 digits of this cluster, or the 16 digits of the id alone. False for anything else. */
bool cluster_parse_name(const struct cluster_state *state, struct slice text, uint64_t *id);

/* --- addresses --- */

/* "host:port", "[::1]:port" (and "::1:port", as Redis writes it): the host without brackets. False when it is none,
 * or the host does not fit into CLUSTER_HOST_CAP. */
bool cluster_split_address(struct slice address, char *host, int *port);
/* `out` has CLUSTER_ADDRESS_CAP bytes. False when it does not fit, or the host has characters that are in no address. */
bool cluster_join_address(struct slice host, int port, char *out);

/* The same address in the form others use, "@peerport" behind it allowed: "[::1]:6379@7000". `out` has
 * CLUSTER_ADDRESS_CAP bytes. False when it is none. */
bool cluster_normal_address(struct slice text, char *out);

/* --- who is what --- */

/* A member as clients see it. */
struct cluster_node {
    const struct cluster_member *member;
    char name[CLUSTER_NAME_LEN + 1];
    char host[CLUSTER_HOST_CAP]; /* "" when unknown */
    int port;                    /* 0 when unknown */
    bool is_master;              /* it owns all slots; at most one does */
    bool is_learner;             /* it has no vote (yet): not offered to clients */
    bool is_failing; /* out of reach for a while, as far as this node can tell; never the master */
};

struct cluster_view {
    const struct cluster_state *state;
    bool has_master; /* false only when no leader was ever known */
    size_t count;
    struct cluster_node nodes[CLUSTER_MEMBERS_MAX]; /* the master first, then the others by id */
    const struct cluster_node *self;                /* NULL when this node is no member */
};

/* `own_host` and `own_port`: where the asking client reached this node, for when it does not know its own address.
 * The view points into `state`. */
void cluster_view(const struct cluster_state *state, const char *own_host, int own_port,
                  int64_t failing_after_ms, struct cluster_view *out);
/* NULL when there is none of that id. */
const struct cluster_node *cluster_view_find(const struct cluster_view *view, uint64_t id);
/* Offered to clients as replicas: members with a vote that are not failing. */
bool cluster_is_replica(const struct cluster_node *node);

#endif
