/* SENTINEL: what the clients of Redis Sentinel ask it, answered by every node on its ordinary port. The master is the
 * leader, the replicas are the other voters, and each node is a sentinel to the others. While no leader is known there
 * is no master: the name of one that is gone would keep a client waiting for it.
 *
 * Clients ask for the master by a name they were configured with. Asked for it, any name is good; where names are
 * listed (SENTINEL MASTERS, which redis-py asks for), they are those of sentinel-master-name.
 *
 * What they listen for (+switch-master) is sentinel_news.c's.
 */
#include "cmd_topology.h"
#include "handlers.h"
#include "server.h"

#include <stdio.h>

enum { FAILOVER_TIMEOUT_MS = 180000, CKQUORUM_MAJORITY = 2 };

/* A map under construction whose size is known at its end. */
struct fields {
    struct reply *out;
    size_t mark, count;
};

static struct fields fields_begin(struct reply *r) {
    return (struct fields){.out = r, .mark = reply_defer(r)};
}

static void field(struct fields *f, const char *name, const char *value) {
    reply_bulk_str(f->out, name);
    reply_bulk_str(f->out, value);
    f->count++;
}

static void field_int(struct fields *f, const char *name, int64_t value) {
    reply_bulk_str(f->out, name);
    reply_bulk_int(f->out, value);
    f->count++;
}

static void fields_end(struct fields *f) {
    reply_close_map(f->out, f->mark, f->count);
}

/* --- whom there is --- */

static size_t voter_count(const struct topology *t) {
    size_t count = 0;
    for (size_t i = 0; i < t->view.count; i++) count += !t->view.nodes[i].is_learner;
    return count;
}

static size_t quorum(const struct topology *t) {
    return voter_count(t) / CKQUORUM_MAJORITY + 1;
}

static bool is_other_voter(const struct cluster_node *node) {
    return !node->member->is_self && !node->is_learner;
}

static bool is_follower(const struct topology *t, const struct cluster_node *node) {
    return node != t->leader && !node->is_learner;
}

/* --- what is told of each --- */

/* The beginning that a master, a replica and a sentinel have in common. */
static void add_common(const struct cmd_ctx *c, struct fields *f, struct slice name,
                       const struct cluster_node *node, const char *flags) {
    int64_t heard_ms =
        node->member->is_self || node->member->heard_ms_ago < 0 ? 0 : node->member->heard_ms_ago;
    reply_bulk_str(f->out, "name");
    reply_bulk(f->out, name);
    f->count++;
    field(f, "ip", node->host);
    field_int(f, "port", node->port);
    field(f, "runid", node->name);
    field(f, "flags", flags);
    field_int(f, "link-pending-commands", 0);
    field_int(f, "link-refcount", 1);
    field_int(f, "last-ping-sent", 0);
    field_int(f, "last-ok-ping-reply", heard_ms);
    field_int(f, "last-ping-reply", heard_ms);
    field_int(f, "down-after-milliseconds", c->server->config.cluster_node_timeout);
}

static void add_role(const struct cmd_ctx *c, struct fields *f, const char *role) {
    field_int(f, "info-refresh", 0);
    field(f, "role-reported", role);
    field_int(f, "role-reported-time", c->now_ms - c->server->start_ms);
}

static void reply_master(struct cmd_ctx *c, const struct topology *t, struct slice name) {
    struct fields f = fields_begin(c->reply);
    size_t voters = voter_count(t);
    add_common(c, &f, name, t->leader, "master");
    add_role(c, &f, "master");
    field_int(&f, "config-epoch", (int64_t)t->state.term);
    field_int(&f, "num-slaves", (int64_t)voters - 1);
    field_int(&f, "num-other-sentinels", (int64_t)voters - 1);
    field_int(&f, "quorum", (int64_t)quorum(t));
    field_int(&f, "failover-timeout", FAILOVER_TIMEOUT_MS);
    field_int(&f, "parallel-syncs", (int64_t)voters - 1);
    fields_end(&f);
}

static void reply_replica(struct cmd_ctx *c, const struct topology *t, const struct cluster_node *node) {
    struct fields f = fields_begin(c->reply);
    char name[CLUSTER_ADDRESS_CAP + 16];
    snprintf(name, sizeof name, "%s:%d", node->host, node->port);
    add_common(c, &f, slice_of(name), node, node->is_failing ? "s_down,slave,disconnected" : "slave");
    add_role(c, &f, "slave");
    field_int(&f, "master-link-down-time", node->is_failing ? node->member->heard_ms_ago : 0);
    field(&f, "master-link-status", node->is_failing ? "err" : "ok");
    field(&f, "master-host", t->leader->host);
    field_int(&f, "master-port", t->leader->port);
    field_int(&f, "slave-priority", c->server->config.replica_priority);
    field_int(&f, "slave-repl-offset",
              (int64_t)(node->member->is_self ? t->state.applied_index : node->member->match_index));
    field_int(&f, "replica-announced", 1);
    fields_end(&f);
}

static void reply_sentinel(struct cmd_ctx *c, const struct topology *t, const struct cluster_node *node) {
    struct fields f = fields_begin(c->reply);
    add_common(c, &f, slice_of(node->name), node,
               node->is_failing ? "s_down,sentinel,disconnected" : "sentinel");
    field_int(&f, "last-hello-message", 0);
    field(&f, "voted-leader", t->leader->name);
    field_int(&f, "voted-leader-epoch", (int64_t)t->state.term);
    fields_end(&f);
}

/* --- commands --- */

/* Such a client may listen for news next, of the master it asks for: from what it is told now, no change goes untold. */
static void note_client(struct cmd_ctx *c) {
    sentinel_news_look(c->server);
    if (c->session != NULL) c->session->asks_sentinel = true;
    if (c->argc == 3) sentinel_news_of(c->server, c->argv[2]);
}

void cmd_sentinel_address(struct cmd_ctx *c) {
    struct topology t;
    note_client(c);
    topology_load(c, &t);
    if (t.leader == NULL) {
        reply_null_array(c->reply);
        return;
    }
    reply_array(c->reply, 2);
    reply_bulk_str(c->reply, t.leader->host);
    reply_bulk_int(c->reply, t.leader->port);
}

/* False after answering: there is no master now, so none of that name. */
static bool load_master(struct cmd_ctx *c, struct topology *t) {
    note_client(c);
    topology_load(c, t);
    if (t->leader == NULL) reply_error(c->reply, "ERR No such master with that name");
    return t->leader != NULL;
}

void cmd_sentinel_masters(struct cmd_ctx *c) {
    struct topology t;
    note_client(c);
    topology_load(c, &t);
    size_t mark = reply_defer(c->reply), count = 0;
    for (const char *p = c->server->config.sentinel_master_name; t.leader != NULL && *p != '\0';) {
        size_t len = strcspn(p, " ");
        if (len > 0) {
            reply_master(c, &t, slice_make(p, len));
            count++;
        }
        p += len + strspn(p + len, " ");
    }
    reply_close_array(c->reply, mark, count);
}

void cmd_sentinel_master(struct cmd_ctx *c) {
    struct topology t;
    if (load_master(c, &t)) reply_master(c, &t, c->argv[2]);
}

/* Also SENTINEL SLAVES. */
void cmd_sentinel_replicas(struct cmd_ctx *c) {
    struct topology t;
    if (!load_master(c, &t)) return;
    size_t mark = reply_defer(c->reply), count = 0;
    for (size_t i = 0; i < t.view.count; i++) {
        if (!is_follower(&t, &t.view.nodes[i])) continue;
        reply_replica(c, &t, &t.view.nodes[i]);
        count++;
    }
    reply_close_array(c->reply, mark, count);
}

void cmd_sentinel_sentinels(struct cmd_ctx *c) {
    struct topology t;
    if (!load_master(c, &t)) return;
    size_t mark = reply_defer(c->reply), count = 0;
    for (size_t i = 0; i < t.view.count; i++) {
        if (!is_other_voter(&t.view.nodes[i])) continue;
        reply_sentinel(c, &t, &t.view.nodes[i]);
        count++;
    }
    reply_close_array(c->reply, mark, count);
}

/* A known leader is a majority that agrees, whomever else this node has a link to. */
void cmd_sentinel_ckquorum(struct cmd_ctx *c) {
    struct topology t;
    size_t usable = 0;
    topology_load(c, &t);
    for (size_t i = 0; i < t.view.count; i++) {
        const struct cluster_node *node = &t.view.nodes[i];
        usable += !node->is_learner && (node->member->is_self || node->member->is_connected);
    }
    if (t.leader != NULL && usable < quorum(&t)) usable = quorum(&t);
    if (t.leader != NULL) {
        char text[128];
        snprintf(text, sizeof text,
                 "OK %zu usable Sentinels. Quorum and failover authorization can be reached", usable);
        reply_simple(c->reply, text);
    } else {
        reply_errorf(c->reply, "NOQUORUM %zu usable Sentinels. No leader has been elected", usable);
    }
}

void cmd_sentinel_failover(struct cmd_ctx *c) {
    cmd_request(c, &(struct host_request){.kind = HOST_TRANSFER});
}
