/* RAFT.CLUSTER, RAFT.NODE, RAFT.TRANSFER_LEADER, and Redis's FAILOVER: how a cluster begins, who is in it, who leads.
 * The names are RedisRaft's. Here it is only checked what was asked; the node does it (host.h, cluster_do). */
#include "cmd_topology.h"
#include "handlers.h"
#include "num.h"
#include "server.h"

/* "host:port", or "host:port@peerport", into its normal form; false after answering. */
static bool take_address(struct cmd_ctx *c, struct slice arg, char *out) {
    if (cluster_normal_address(arg, out)) return true;
    reply_errorf(c->reply, "ERR Invalid node address specified: %.*s", cmd_quoted(arg), arg.data);
    return false;
}

/* A member by its name, its id or its address; NULL after answering. */
static const struct cluster_node *take_member(struct cmd_ctx *c, const struct topology *t, struct slice arg) {
    char host[CLUSTER_HOST_CAP];
    int port;
    if (cluster_split_address(arg, host, &port)) {
        for (size_t i = 0; i < t->view.count; i++) {
            const struct cluster_node *node = &t->view.nodes[i];
            if (node->port == port && strcmp(node->host, host) == 0) return node;
        }
    }
    return topology_find(c, t, arg);
}

/* --- RAFT.CLUSTER --- */

void cmd_raft_cluster_init(struct cmd_ctx *c) {
    cmd_request(c, &(struct host_request){.kind = HOST_INIT});
}

void cmd_raft_cluster_join(struct cmd_ctx *c) {
    char addresses[HOST_ADDRESSES_MAX][CLUSTER_ADDRESS_CAP];
    struct host_request request = {.kind = HOST_JOIN, .address_count = c->argc - 2};
    if (request.address_count > HOST_ADDRESSES_MAX) {
        reply_error(c->reply, "ERR too many addresses");
        return;
    }
    for (int i = 0; i < request.address_count; i++) {
        if (!take_address(c, c->argv[i + 2], addresses[i])) return;
        request.addresses[i] = addresses[i];
    }
    cmd_request(c, &request);
}

/* --- RAFT.NODE --- */

/* RAFT.NODE ADD [id|0|auto] host:port: of a node whose id nobody says it is asked for. */
void cmd_raft_node_add(struct cmd_ctx *c) {
    char address[CLUSTER_ADDRESS_CAP];
    struct topology t;
    struct host_request request = {.kind = HOST_ADD, .address = address};
    if (c->argc > 4) {
        reply_error(c->reply, "ERR wrong number of arguments for 'raft.node|add' command");
        return;
    }
    topology_load(c, &t);
    if (c->argc == 4 && !slice_is(c->argv[2], "0") && !slice_is(c->argv[2], "auto") &&
        !cluster_parse_name(&t.state, c->argv[2], &request.id)) {
        reply_errorf(c->reply, "ERR Invalid node id specified: %.*s", cmd_quoted(c->argv[2]),
                     c->argv[2].data);
        return;
    }
    if (take_address(c, c->argv[c->argc - 1], address)) cmd_request(c, &request);
}

static void request_about_member(struct cmd_ctx *c, enum host_request_kind kind) {
    struct topology t;
    topology_load(c, &t);
    const struct cluster_node *node = take_member(c, &t, c->argv[2]);
    if (node == NULL) return;
    cmd_request(
        c, &(struct host_request){.kind = kind, .id = node->member->id, .address = node->member->address});
}

void cmd_raft_node_remove(struct cmd_ctx *c) {
    request_about_member(c, HOST_REMOVE);
}

void cmd_raft_node_promote(struct cmd_ctx *c) {
    request_about_member(c, HOST_PROMOTE);
}

void cmd_raft_node_address(struct cmd_ctx *c) {
    char address[CLUSTER_ADDRESS_CAP];
    struct topology t;
    topology_load(c, &t);
    const struct cluster_node *node = take_member(c, &t, c->argv[2]);
    if (node == NULL || !take_address(c, c->argv[3], address)) return;
    cmd_request(c,
                &(struct host_request){.kind = HOST_READDRESS, .id = node->member->id, .address = address});
}

/* --- who leads --- */

static void transfer_to(struct cmd_ctx *c, const struct cluster_node *node) {
    struct host_request request = {.kind = HOST_TRANSFER};
    if (node != NULL && node->is_learner) {
        reply_error(c->reply, "ERR a learner cannot lead before it is a voter");
        return;
    }
    if (node != NULL) request.id = node->member->id;
    cmd_request(c, &request);
}

void cmd_raft_transfer_leader(struct cmd_ctx *c) {
    struct topology t;
    const struct cluster_node *node = NULL;
    if (c->argc > 2) {
        reply_error(c->reply, "ERR wrong number of arguments for 'raft.transfer_leader' command");
        return;
    }
    topology_load(c, &t);
    if (c->argc == 2 && (node = take_member(c, &t, c->argv[1])) == NULL) return;
    transfer_to(c, node);
}

struct failover {
    bool abort, force;
    int64_t timeout_ms; /* 0: none */
    struct slice host;
    int64_t port; /* 0: no target */
};

/* FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]; false after answering. */
static bool take_failover(struct cmd_ctx *c, struct failover *f) {
    for (int i = 1; i < c->argc; i++) {
        int more = c->argc - i - 1;
        struct slice word = c->argv[i];
        if (slice_is(word, "timeout") && more >= 1 && f->timeout_ms == 0) {
            if (!cmd_arg_i64(c, c->argv[++i], &f->timeout_ms, NULL)) return false;
            if (f->timeout_ms > 0) continue;
            reply_error(c->reply, "ERR FAILOVER timeout must be greater than 0");
            return false;
        }
        if (slice_is(word, "abort") && c->argc == 2) {
            f->abort = true;
        } else if (slice_is(word, "to") && more >= 2 && f->port == 0) {
            f->host = c->argv[i + 1];
            if (!cmd_arg_i64(c, c->argv[i + 2], &f->port, NULL)) return false;
            i += 2;
        } else if (slice_is(word, "force") && !f->force) {
            f->force = true;
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    return true;
}

static const struct cluster_node *find_address(const struct topology *t, struct slice host, int64_t port) {
    for (size_t i = 0; i < t->view.count; i++) {
        const struct cluster_node *node = &t->view.nodes[i];
        if (node->port == port && slice_is(host, node->host)) return node;
    }
    return NULL;
}

/* Redis's own way to hand over. A time-out has nothing to say here: the leader takes up its work again when the other
 * does not after an election time-out, and never gives up what is committed, which is what FORCE would ask for. */
void cmd_failover(struct cmd_ctx *c) {
    struct topology t;
    struct failover f = {0};
    const struct cluster_node *target = NULL;
    if (c->server->config.cluster_enabled) {
        reply_error(c->reply,
                    "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.");
        return;
    }
    if (!take_failover(c, &f)) return;
    topology_load(c, &t);
    if (f.abort) {
        reply_error(c->reply, "ERR No failover in progress.");
        return;
    }
    if (t.view.count < 2) {
        reply_error(c->reply, "ERR FAILOVER requires connected replicas.");
        return;
    }
    if (f.force && (f.port == 0 || f.timeout_ms == 0)) {
        reply_error(c->reply,
                    "ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
        return;
    }
    if (f.port != 0 && (target = find_address(&t, f.host, f.port)) == NULL) {
        reply_error(c->reply, "ERR FAILOVER target HOST and PORT is not a replica.");
        return;
    }
    transfer_to(c, target);
}

/* REPLICAOF, SLAVEOF. NO ONE asks a node to be a master, which the leader is already. */
void cmd_replicaof(struct cmd_ctx *c) {
    struct topology t;
    int64_t port;
    if (c->server->config.cluster_enabled) {
        reply_error(c->reply, "ERR REPLICAOF not allowed in cluster mode.");
        return;
    }
    topology_load(c, &t);
    if (slice_is(c->argv[1], "no") && slice_is(c->argv[2], "one")) {
        if (t.is_master)
            reply_ok(c->reply);
        else
            reply_error(c->reply, "ERR a follower becomes the leader by CLUSTER FAILOVER");
    } else if (!parse_i64(c->argv[2], &port) || port < 0 || port > UINT16_MAX) {
        reply_error(c->reply, "ERR Invalid master port");
    } else {
        reply_error(c->reply,
                    "ERR nodes replicate through the Raft log: a node joins a cluster by CLUSTER MEET, "
                    "sent to a member, or RAFT.CLUSTER JOIN");
    }
}
