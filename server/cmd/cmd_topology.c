/* See cmd_topology.h. */
#include "cmd_topology.h"

#include "server.h"

#include <stdio.h>

/* Where the client reached this node, unless the configuration says better: for a node that no other has an address
 * of. Through a unix socket that is nowhere, and Redis leaves the host empty, too. */
static void own_address(const struct cmd_ctx *c, char *host, int *port) {
    const struct config *config = &c->server->config;
    host[0] = '\0';
    *port = (int)config->port;
    if (c->session != NULL && !c->session->unix_socket)
        (void)cluster_split_address(slice_of(c->session->local), host, port);
    if (config->cluster_announce_ip[0] != '\0')
        snprintf(host, CLUSTER_HOST_CAP, "%s", config->cluster_announce_ip);
    if (config->cluster_announce_port != 0) *port = (int)config->cluster_announce_port;
}

void topology_load(const struct cmd_ctx *c, struct topology *out) {
    char host[CLUSTER_HOST_CAP];
    int port;
    struct host *h = c->server->host;
    h->cluster(h, &out->state);
    own_address(c, host, &port);
    cluster_view(&out->state, host, port, c->server->config.cluster_node_timeout, &out->view);
    const struct cluster_state *s = &out->state;
    bool is_alone = s->member_count == 1 && s->members[0].is_self;
    out->is_master = s->is_leader || is_alone;
    out->leader = s->leader_id != 0 ? cluster_view_find(&out->view, s->leader_id) : NULL;
    const struct cluster_node *first = &out->view.nodes[0];
    out->master = out->view.has_master && !first->member->is_self ? first : NULL;
}

bool topology_is_attached(const struct cluster_node *node) {
    return !node->member->is_self && node->member->is_connected;
}

const struct cluster_node *topology_find(struct cmd_ctx *c, const struct topology *t, struct slice name) {
    uint64_t id;
    const struct cluster_node *node = NULL;
    if (cluster_parse_name(&t->state, name, &id)) node = cluster_view_find(&t->view, id);
    if (node == NULL) reply_errorf(c->reply, "ERR Unknown node %.*s", cmd_quoted(name), name.data);
    return node;
}

void cmd_request(struct cmd_ctx *c, const struct host_request *request) {
    struct host_request r = *request;
    if (r.address == NULL) r.address = "";
    c->server->host->cluster_do(c->server->host, c->session, &r, c->reply);
}
