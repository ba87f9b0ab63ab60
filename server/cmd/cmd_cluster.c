/* CLUSTER: what Redis Cluster's clients and tools ask. One Raft group owns all slots, so its leader is the master of
 * all of them and the others are its replicas; what would give slots to somebody else is refused. Replies have the
 * shapes of Redis 7.0. */
#include "cmd_topology.h"
#include "handlers.h"
#include "hash.h"
#include "num.h"
#include "server.h"

#include <inttypes.h>
#include <stdio.h>

/* False after answering as Redis without cluster mode: a node alone that is not told to be one must look like it, for
 * there are clients (StackExchange.Redis) that ask and then take it for a cluster, with its single database. */
static bool load(struct cmd_ctx *c, struct topology *t) {
    topology_load(c, t);
    bool is_alone = t->state.member_count == 1 && !t->state.removed && !t->state.joining;
    if (c->server->config.cluster_enabled || !is_alone) return true;
    reply_error(c->reply, "ERR This instance has cluster support disabled");
    return false;
}

/* False after answering. */
static bool is_answered(struct cmd_ctx *c) {
    struct topology t;
    return load(c, &t);
}

static void reply_wrong_subcommand(struct cmd_ctx *c) {
    reply_errorf(c->reply,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLUSTER HELP.",
                 cmd_quoted(c->argv[1]), c->argv[1].data);
}

/* --- nodes --- */

/* Only of itself does a node know a name besides its address. */
static const char *hostname_of(const struct cmd_ctx *c, const struct cluster_node *node) {
    return node->member->is_self ? c->server->config.cluster_announce_hostname : "";
}

static int bus_port_of(const struct cmd_ctx *c, const struct cluster_node *node) {
    const struct config *config = &c->server->config;
    if (node->member->is_self && config->cluster_announce_bus_port != 0)
        return (int)config->cluster_announce_bus_port;
    if (node->member->is_self && config->cluster_port != 0) return (int)config->cluster_port;
    return node->port != 0 ? node->port + CLUSTER_BUS_OFFSET : 0;
}

static void add_flags(const struct cluster_node *node, struct buf *out) {
    if (node->member->is_self) buf_add_str(out, "myself,");
    buf_add_str(out, node->is_master ? "master" : "slave");
    if (node->is_learner) buf_add_str(out, ",nofailover");
    if (node->is_failing) buf_add_str(out, ",fail?");
    if (node->host[0] == '\0' && !node->member->is_self) buf_add_str(out, ",noaddr");
}

/* A line of CLUSTER NODES without its end. */
static void add_node(const struct cmd_ctx *c, const struct topology *t, const struct cluster_node *node,
                     struct buf *out) {
    const struct cluster_member *m = node->member;
    const char *hostname = hostname_of(c, node);
    bool has_master = t->view.has_master && !node->is_master;
    int64_t heard_ms = m->is_self || m->heard_ms_ago < 0 ? 0 : c->now_ms - m->heard_ms_ago;
    buf_printf(out, "%s %s:%d@%d%s%s ", node->name, node->host, node->port, bus_port_of(c, node),
               hostname[0] != '\0' ? "," : "", hostname);
    add_flags(node, out);
    buf_printf(out, " %s 0 %" PRId64 " %" PRIu64 " %s", has_master ? t->view.nodes[0].name : "-", heard_ms,
               t->state.term, m->is_self || m->is_connected ? "connected" : "disconnected");
    if (node->is_master) buf_printf(out, " 0-%d", CLUSTER_SLOT_COUNT - 1);
}

/* Of a node that is in no configuration (yet, or any more), its own line only tells who it is. */
static void add_outsider(const struct cmd_ctx *c, const struct topology *t, struct buf *out) {
    char name[CLUSTER_NAME_LEN + 1];
    int port = (int)c->server->config.port;
    cluster_name(&t->state, t->state.node_id, name);
    buf_printf(out, "%s :%d@%d myself,slave,noaddr - 0 0 %" PRIu64 " connected\n", name, port,
               port + CLUSTER_BUS_OFFSET, t->state.term);
}

void cmd_cluster_nodes(struct cmd_ctx *c) {
    struct topology t;
    struct buf out = {0};
    if (!load(c, &t)) return;
    if (t.view.self == NULL) add_outsider(c, &t, &out);
    for (size_t i = 0; i < t.view.count; i++) {
        add_node(c, &t, &t.view.nodes[i], &out);
        buf_add_byte(&out, '\n');
    }
    reply_verbatim(c->reply, "txt", buf_slice(&out));
    buf_free(&out);
}

/* Also CLUSTER SLAVES. */
void cmd_cluster_replicas(struct cmd_ctx *c) {
    struct topology t;
    struct buf line = {0};
    if (!load(c, &t)) return;
    const struct cluster_node *node = topology_find(c, &t, c->argv[2]);
    if (node == NULL) return;
    if (!node->is_master) {
        reply_error(c->reply, "ERR The specified node is not a master");
        return;
    }
    reply_array(c->reply, t.view.count - 1);
    for (size_t i = 0; i < t.view.count; i++) {
        if (t.view.nodes[i].is_master) continue;
        buf_clear(&line);
        add_node(c, &t, &t.view.nodes[i], &line);
        reply_bulk(c->reply, buf_slice(&line));
    }
    buf_free(&line);
}

void cmd_cluster_myid(struct cmd_ctx *c) {
    struct topology t;
    char name[CLUSTER_NAME_LEN + 1];
    topology_load(c, &t);
    cluster_name(&t.state, t.state.node_id, name);
    reply_bulk_str(c->reply, name);
}

void cmd_cluster_count_failure_reports(struct cmd_ctx *c) {
    struct topology t;
    if (!load(c, &t)) return;
    const struct cluster_node *node = topology_find(c, &t, c->argv[2]);
    if (node != NULL) reply_int(c->reply, node->is_failing);
}

/* --- maps --- */

/* What a client should connect to: a text, or null for "where you found me". */
static void reply_endpoint(struct cmd_ctx *c, const struct cluster_node *node) {
    const char *hostname = hostname_of(c, node);
    int type = c->server->config.cluster_preferred_endpoint_type;
    if (type == ENDPOINT_UNKNOWN)
        reply_null(c->reply);
    else
        reply_bulk_str(c->reply, type == ENDPOINT_HOSTNAME && hostname[0] != '\0' ? hostname : node->host);
}

/* What is known of a node besides its endpoint. */
static void reply_slot_node(struct cmd_ctx *c, const struct cluster_node *node) {
    const char *hostname = hostname_of(c, node);
    int type = c->server->config.cluster_preferred_endpoint_type;
    bool has_name = hostname[0] != '\0';
    bool shows_ip = type == ENDPOINT_UNKNOWN || (type == ENDPOINT_HOSTNAME && has_name);
    bool shows_name = has_name && type != ENDPOINT_HOSTNAME;
    reply_array(c->reply, 4);
    reply_endpoint(c, node);
    reply_int(c->reply, node->port);
    reply_bulk_str(c->reply, node->name);
    reply_map(c->reply, (size_t)shows_ip + shows_name);
    if (shows_ip) {
        reply_bulk_str(c->reply, "ip");
        reply_bulk_str(c->reply, node->host);
    }
    if (shows_name) {
        reply_bulk_str(c->reply, "hostname");
        reply_bulk_str(c->reply, hostname);
    }
}

void cmd_cluster_slots(struct cmd_ctx *c) {
    struct topology t;
    if (!load(c, &t)) return;
    if (!t.view.has_master) {
        reply_array(c->reply, 0);
        return;
    }
    size_t shown = 0;
    reply_array(c->reply, 1);
    size_t mark = reply_defer(c->reply);
    reply_int(c->reply, 0);
    reply_int(c->reply, CLUSTER_SLOT_COUNT - 1);
    for (size_t i = 0; i < t.view.count; i++) {
        const struct cluster_node *node = &t.view.nodes[i];
        if (!node->is_master && !cluster_is_replica(node)) continue;
        reply_slot_node(c, node);
        shown++;
    }
    reply_close_array(c->reply, mark, shown + 2);
}

static void reply_text(struct reply *r, const char *name, const char *value) {
    reply_bulk_str(r, name);
    reply_bulk_str(r, value);
}

/* How far a node is: the leader knows of all, others of themselves and what is committed; 0 when unknown. */
static uint64_t offset_of(const struct topology *t, const struct cluster_node *node) {
    if (node->member->is_self) return t->is_master ? t->state.commit_index : t->state.applied_index;
    return node->is_master ? t->state.commit_index : node->member->match_index;
}

static void reply_shard_node(struct cmd_ctx *c, const struct topology *t, const struct cluster_node *node) {
    struct reply *r = c->reply;
    const char *hostname = hostname_of(c, node);
    reply_map(r, 7 + (size_t)(hostname[0] != '\0'));
    reply_text(r, "id", node->name);
    reply_bulk_str(r, "port");
    reply_int(r, node->port);
    reply_text(r, "ip", node->host);
    reply_bulk_str(r, "endpoint");
    if (c->server->config.cluster_preferred_endpoint_type == ENDPOINT_UNKNOWN)
        reply_bulk_str(r, "");
    else
        reply_endpoint(c, node);
    if (hostname[0] != '\0') reply_text(r, "hostname", hostname);
    reply_text(r, "role", node->is_master ? "master" : "replica");
    reply_bulk_str(r, "replication-offset");
    reply_int(r, (int64_t)offset_of(t, node));
    reply_text(r, "health", node->is_failing ? "fail" : "online");
}

void cmd_cluster_shards(struct cmd_ctx *c) {
    struct topology t;
    if (!load(c, &t)) return;
    if (!t.view.has_master) {
        reply_array(c->reply, 0);
        return;
    }
    reply_array(c->reply, 1);
    reply_map(c->reply, 2);
    reply_bulk_str(c->reply, "slots");
    reply_array(c->reply, 2);
    reply_int(c->reply, 0);
    reply_int(c->reply, CLUSTER_SLOT_COUNT - 1);
    reply_bulk_str(c->reply, "nodes");
    size_t mark = reply_defer(c->reply), shown = 0;
    for (size_t i = 0; i < t.view.count; i++) {
        if (t.view.nodes[i].is_learner) continue;
        reply_shard_node(c, &t, &t.view.nodes[i]);
        shown++;
    }
    reply_close_array(c->reply, mark, shown);
}

void cmd_cluster_links(struct cmd_ctx *c) {
    struct topology t;
    struct reply *r = c->reply;
    if (!load(c, &t)) return;
    size_t mark = reply_defer(r), shown = 0;
    for (size_t i = 0; i < t.view.count; i++) {
        const struct cluster_node *node = &t.view.nodes[i];
        if (node->member->is_self || !node->member->is_connected) continue;
        reply_map(r, 6);
        reply_text(r, "direction", "to");
        reply_text(r, "node", node->name);
        reply_bulk_str(r, "create-time");
        reply_int(r, c->server->start_ms);
        reply_text(r, "events", "rw");
        reply_bulk_str(r, "send-buffer-allocated");
        reply_int(r, 0);
        reply_bulk_str(r, "send-buffer-used");
        reply_int(r, 0);
        shown++;
    }
    reply_close_array(r, mark, shown);
}

void cmd_cluster_info(struct cmd_ctx *c) {
    struct topology t;
    struct buf out = {0};
    if (!load(c, &t)) return;
    bool is_up = t.leader != NULL && !t.state.removed && !t.state.joining;
    int assigned = t.view.has_master ? CLUSTER_SLOT_COUNT : 0, ok = is_up ? CLUSTER_SLOT_COUNT : 0;
    buf_printf(&out, "cluster_state:%s\r\n", is_up ? "ok" : "fail");
    buf_printf(&out, "cluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n", assigned, ok);
    buf_printf(&out, "cluster_slots_pfail:%d\r\ncluster_slots_fail:0\r\n", assigned > ok ? assigned - ok : 0);
    buf_printf(&out, "cluster_known_nodes:%zu\r\ncluster_size:%d\r\n", t.view.count, t.view.has_master);
    buf_printf(&out, "cluster_current_epoch:%" PRIu64 "\r\ncluster_my_epoch:%" PRIu64 "\r\n", t.state.term,
               t.state.term);
    buf_printf(&out, "cluster_stats_messages_sent:%" PRIu64 "\r\n", t.state.messages_sent);
    buf_printf(&out, "cluster_stats_messages_received:%" PRIu64 "\r\n", t.state.messages_received);
    buf_printf(&out, "total_cluster_links_buffer_limit_exceeded:0\r\n");
    reply_verbatim(c->reply, "txt", buf_slice(&out));
    buf_free(&out);
}

/* --- slots and keys --- */

void cmd_cluster_keyslot(struct cmd_ctx *c) {
    if (is_answered(c)) reply_int(c->reply, key_slot(c->argv[2]));
}

struct slot_walk {
    struct reply *out; /* NULL: only count */
    uint16_t slot;
    uint64_t count, count_max;
};

static bool take_key(void *arg, const struct object *o) {
    struct slot_walk *w = arg;
    if (key_slot(object_key(o)) != w->slot || w->count == w->count_max) return false;
    if (w->out != NULL) reply_bulk(w->out, object_key(o));
    w->count++;
    return true;
}

/* Keys are in the order of slots, and a cursor (52 bits) begins with the slot's 14. */
static void walk_slot(struct cmd_ctx *c, struct slot_walk *w) {
    enum { STEP = 1024, SLOT_SHIFT = 52 - 14 };
    uint64_t cursor = (uint64_t)w->slot << SLOT_SHIFT;
    do {
        cursor = ks_scan(c->ks, 0, cursor, STEP, c->now_ms, take_key, w);
    } while (cursor != 0 && cursor >> SLOT_SHIFT == w->slot && ks_fault(c->ks) == NULL);
}

void cmd_cluster_countkeysinslot(struct cmd_ctx *c) {
    int64_t slot;
    if (!is_answered(c) || !cmd_arg_i64(c, c->argv[2], &slot, NULL)) return;
    if (slot < 0 || slot >= CLUSTER_SLOT_COUNT) {
        reply_error(c->reply, "ERR Invalid slot");
        return;
    }
    struct slot_walk w = {.slot = (uint16_t)slot, .count_max = UINT64_MAX};
    walk_slot(c, &w);
    reply_int(c->reply, (int64_t)w.count);
}

void cmd_cluster_getkeysinslot(struct cmd_ctx *c) {
    int64_t slot, count;
    if (!is_answered(c) || !cmd_arg_i64(c, c->argv[2], &slot, NULL)) return;
    if (!cmd_arg_i64(c, c->argv[3], &count, NULL)) return;
    if (slot < 0 || slot >= CLUSTER_SLOT_COUNT || count < 0) {
        reply_error(c->reply, "ERR Invalid slot or number of keys");
        return;
    }
    size_t mark = reply_defer(c->reply);
    struct slot_walk w = {.out = c->reply, .slot = (uint16_t)slot, .count_max = (uint64_t)count};
    walk_slot(c, &w);
    reply_close_array(c->reply, mark, w.count);
}

/* --- members: these change the cluster, so a node alone may be asked, too --- */

void cmd_cluster_meet(struct cmd_ctx *c) {
    int64_t port, bus_port;
    char address[CLUSTER_ADDRESS_CAP];
    struct slice host = c->argv[2];
    if (c->argc > 5) {
        reply_wrong_subcommand(c);
        return;
    }
    if (!parse_i64(c->argv[3], &port)) {
        reply_errorf(c->reply, "ERR Invalid TCP base port specified: %.*s", cmd_quoted(c->argv[3]),
                     c->argv[3].data);
        return;
    }
    if (port < 1 || port > UINT16_MAX || !cluster_join_address(host, (int)port, address)) {
        reply_errorf(c->reply, "ERR Invalid node address specified: %.*s:%.*s", cmd_quoted(host), host.data,
                     cmd_quoted(c->argv[3]), c->argv[3].data);
        return;
    }
    if (c->argc == 5 && (!parse_i64(c->argv[4], &bus_port) || bus_port != port + CLUSTER_BUS_OFFSET)) {
        reply_errorf(c->reply,
                     "ERR Invalid TCP bus port specified: %.*s, it is always %d more than the other",
                     cmd_quoted(c->argv[4]), c->argv[4].data, CLUSTER_BUS_OFFSET);
        return;
    }
    cmd_request(c, &(struct host_request){.kind = HOST_ADD, .address = address});
}

void cmd_cluster_forget(struct cmd_ctx *c) {
    struct topology t;
    topology_load(c, &t);
    const struct cluster_node *node = topology_find(c, &t, c->argv[2]);
    if (node == NULL) return;
    cmd_request(c, &(struct host_request){
                       .kind = HOST_REMOVE, .id = node->member->id, .address = node->member->address});
}

void cmd_cluster_failover(struct cmd_ctx *c) {
    struct topology t;
    bool force = false;
    if (c->argc > 3) {
        reply_wrong_subcommand(c);
        return;
    }
    if (c->argc == 3) {
        force = slice_is(c->argv[2], "force") || slice_is(c->argv[2], "takeover");
        if (!force) {
            reply_error(c->reply, ERR_SYNTAX);
            return;
        }
    }
    topology_load(c, &t);
    if (t.is_master) {
        reply_error(c->reply, "ERR You should send CLUSTER FAILOVER to a replica");
    } else if (t.state.removed || t.view.self == NULL) {
        reply_error(c->reply, "ERR this node belongs to no cluster");
    } else if (t.view.self->is_learner) {
        reply_error(c->reply, "ERR this node is a learner: it cannot lead before it is a voter");
    } else {
        cmd_request(c, &(struct host_request){.kind = HOST_LEAD, .id = t.state.node_id, .force = force});
    }
}

void cmd_cluster_reset(struct cmd_ctx *c) {
    if (!is_answered(c)) return;
    if (c->argc > 3) {
        reply_wrong_subcommand(c);
    } else if (c->argc == 3 && !slice_is(c->argv[2], "hard") && !slice_is(c->argv[2], "soft")) {
        reply_error(c->reply, ERR_SYNTAX);
    } else {
        reply_error(c->reply,
                    "ERR a node leaves its cluster by CLUSTER FORGET, and begins anew with an empty dir");
    }
}

/* --- slots stay where they are --- */

static bool take_slot(struct cmd_ctx *c, struct slice arg, int *out) {
    int64_t slot;
    if (!parse_i64(arg, &slot) || slot < 0 || slot >= CLUSTER_SLOT_COUNT) {
        reply_error(c->reply, "ERR Invalid or out of range slot");
        return false;
    }
    *out = (int)slot;
    return true;
}

/* Checks arguments as Redis would; false after answering. */
static bool take_slots(struct cmd_ctx *c, bool ranges, int *first) {
    if (ranges && c->argc % 2 != 0) {
        reply_errorf(c->reply, "ERR wrong number of arguments for 'cluster|%s' command", c->cmd->name);
        return false;
    }
    for (int i = 2; i < c->argc; i += ranges ? 2 : 1) {
        int from, to;
        if (!take_slot(c, c->argv[i], &from)) return false;
        if (i == 2) *first = from;
        if (!ranges) continue;
        if (!take_slot(c, c->argv[i + 1], &to)) return false;
        if (from > to) {
            reply_errorf(c->reply, "ERR start slot number %d is greater than end slot number %d", from, to);
            return false;
        }
    }
    return true;
}

static void refuse_to_add(struct cmd_ctx *c, bool ranges) {
    int first = 0;
    if (is_answered(c) && take_slots(c, ranges, &first))
        reply_errorf(c->reply, "ERR Slot %d is already busy", first);
}

static void refuse_to_move(struct cmd_ctx *c) {
    reply_error(c->reply, "ERR all slots belong to the leader, whoever it is, and cannot be given away");
}

static void refuse_to_delete(struct cmd_ctx *c, bool ranges) {
    int first;
    if (is_answered(c) && take_slots(c, ranges, &first)) refuse_to_move(c);
}

void cmd_cluster_addslots(struct cmd_ctx *c) {
    refuse_to_add(c, false);
}
void cmd_cluster_addslotsrange(struct cmd_ctx *c) {
    refuse_to_add(c, true);
}
void cmd_cluster_delslots(struct cmd_ctx *c) {
    refuse_to_delete(c, false);
}
void cmd_cluster_delslotsrange(struct cmd_ctx *c) {
    refuse_to_delete(c, true);
}
void cmd_cluster_flushslots(struct cmd_ctx *c) {
    if (is_answered(c)) refuse_to_move(c);
}

void cmd_cluster_setslot(struct cmd_ctx *c) {
    struct topology t;
    int slot;
    if (!load(c, &t) || !take_slot(c, c->argv[2], &slot)) return;
    if (slice_is(c->argv[3], "stable") && c->argc == 4) {
        reply_ok(c->reply);
        return;
    }
    bool to_node = slice_is(c->argv[3], "node");
    if (c->argc != 5 ||
        !(to_node || slice_is(c->argv[3], "importing") || slice_is(c->argv[3], "migrating"))) {
        reply_error(c->reply, "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");
        return;
    }
    const struct cluster_node *node = topology_find(c, &t, c->argv[4]);
    if (node == NULL) return;
    if (to_node && node->is_master)
        reply_ok(c->reply);
    else
        refuse_to_move(c);
}

void cmd_cluster_replicate(struct cmd_ctx *c) {
    struct topology t;
    if (!load(c, &t)) return;
    const struct cluster_node *node = topology_find(c, &t, c->argv[2]);
    if (node == NULL) return;
    if (node->member->is_self)
        reply_error(c->reply, "ERR Can't replicate myself");
    else if (!node->is_master)
        reply_error(c->reply, "ERR I can only replicate a master, not a replica.");
    else
        reply_ok(c->reply);
}

/* Members are in the log, and every change of them is durable when it is answered. */
void cmd_cluster_saveconfig(struct cmd_ctx *c) {
    if (is_answered(c)) reply_ok(c->reply);
}

void cmd_cluster_bumpepoch(struct cmd_ctx *c) {
    struct topology t;
    char text[64];
    if (!load(c, &t)) return;
    snprintf(text, sizeof text, "STILL %" PRIu64, t.state.term);
    reply_simple(c->reply, text);
}

void cmd_cluster_set_config_epoch(struct cmd_ctx *c) {
    int64_t epoch;
    if (!is_answered(c) || !cmd_arg_i64(c, c->argv[2], &epoch, NULL)) return;
    if (epoch < 0)
        reply_errorf(c->reply, "ERR Invalid config epoch specified: %" PRId64, epoch);
    else
        reply_error(c->reply, "ERR the epoch is Raft's term, which only elections change");
}

/* --- connections --- */

/* Reads of a replica: nothing here ever answers a stale read, so the promise to accept one changes nothing. */
void cmd_readonly(struct cmd_ctx *c) {
    if (is_answered(c)) reply_ok(c->reply);
}
void cmd_readwrite(struct cmd_ctx *c) {
    if (is_answered(c)) reply_ok(c->reply);
}
void cmd_asking(struct cmd_ctx *c) {
    if (is_answered(c)) reply_ok(c->reply);
}
