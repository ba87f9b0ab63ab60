/* What CLUSTER, SENTINEL, ROLE and INFO tell of the cluster, worked out once, so that they agree with each other. */
#ifndef CMD_CMD_TOPOLOGY_H
#define CMD_CMD_TOPOLOGY_H

#include "cmd.h"
#include "host.h"
#include "topology.h"

struct topology {
    struct cluster_state state;
    struct cluster_view view;
    /* What ROLE and INFO say. Unlike the maps, which stand during an election, only the leader calls itself master:
     * of several nodes at most one does. A lone node does from the start, as Redis. */
    bool is_master;
    const struct cluster_node *leader; /* known now; NULL while there is none */
    const struct cluster_node
        *master; /* whom this node follows, or followed last; NULL when unknown or itself */
};

/* Pointers in `out` point into it. */
void topology_load(const struct cmd_ctx *c, struct topology *out);

/* A follower that the leader, who asks, sends to now. */
bool topology_is_attached(const struct cluster_node *node);

/* The node called so, or an error that names it: "ERR Unknown node abc". */
const struct cluster_node *topology_find(struct cmd_ctx *c, const struct topology *t, struct slice name);

/* Asks the host, which answers or will. */
void cmd_request(struct cmd_ctx *c, const struct host_request *request);

#endif
