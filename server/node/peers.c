/* The other nodes: who may come in, Raft messages out and in, and which door leads where (a peer's client to net, a
 * snapshot to snapshot.c, a request to cluster.c). */
#include "node_internal.h"

#include "mem.h"
#include "raft_members.h"

#include <stdio.h>
#include <string.h>

/* --- out --- */

struct sending {
    struct node *node;
    struct peer_append *append;
};

static enum rc add_logged(void *arg, const struct log_entry *e) {
    struct sending *s = arg;
    struct raft_entry entry = {
        .index = e->index, .term = e->term, .kind = (enum raft_entry_kind)e->kind, .size = e->payload.len};
    peer_append_add(s->append, &entry, e->payload);
    return RC_OK;
}

/* The entries of an append: recent ones are in memory, older ones are read from the log. False when they are in neither:
 * cut, or not written yet; the core asks again, or learns better. */
static bool add_entries(struct node *n, struct peer_append *append, uint64_t first, uint64_t last) {
    struct sending sending = {n, append};
    struct kv_error error;
    uint64_t in_memory = n->tail.first_index > last ? last + 1 : n->tail.first_index;
    if (first < in_memory) {
        enum rc rc = raft_log_read(n->log, first, in_memory - 1, add_logged, &sending, &error);
        if (rc == RC_CORRUPT) /* it would be asked for again and again, and somebody else may have it */
            node_fail(n, "the log cannot be read at entry %llu: %s", (unsigned long long)first, error.text);
        if (rc != RC_OK) return false;
    }
    for (uint64_t i = first > in_memory ? first : in_memory; i <= last; i++) {
        const struct proposal *p = tail_at(&n->tail, i);
        if (p == NULL) return false;
        struct raft_entry entry = {.index = i, .term = p->term, .kind = p->kind, .size = p->payload.len};
        peer_append_add(append, &entry, buf_slice(&p->payload));
    }
    return true;
}

/* The large entry that is alone in its message, as each is that is larger than a message should be, if it is in memory. */
static struct proposal *large_one(const struct node *n, const struct raft_message *m) {
    if (m->kind != RAFT_APPEND || m->entry_count != 1) return NULL;
    struct proposal *p = tail_at(&n->tail, m->prev_index + 1);
    return p != NULL && p->kind == RAFT_ENTRY_COMMANDS && p->payload.len > PEER_APART_MIN ? p : NULL;
}

static void give_back(void *owner, void *what) {
    proposal_release(owner, what);
}

/* The links read it where it is: to copy it for each of them would hold up the loop, and with it the heartbeats. */
static void send_large(struct node *n, struct buf *out, const struct raft_message *m, struct proposal *p) {
    struct peer_append append;
    struct raft_entry entry = {.index = p->index, .term = p->term, .kind = p->kind, .size = p->payload.len};
    struct peer_lent lent = {.bytes = buf_slice(&p->payload), .give_back = give_back, .owner = n, .what = p};
    peer_append_begin(&append, out, &n->origin, m);
    peer_append_end_apart(&append, &entry);
    p->holders++;
    peer_net_sent_apart(n->peers, m->to, &lent);
    n->messages_sent++;
}

static void send_now(struct node *n, const struct raft_message *m) {
    if (m->kind == RAFT_APPEND && !peer_net_takes_append(n->peers, m->to)) return;
    struct buf *out = peer_net_out(n->peers, m->to);
    if (out == NULL) return;
    struct proposal *large = large_one(n, m);
    if (large != NULL) {
        send_large(n, out, m, large);
        return;
    }
    if (m->kind != RAFT_APPEND) {
        peer_write_message(out, &n->origin, m);
    } else {
        struct peer_append append;
        peer_append_begin(&append, out, &n->origin, m);
        if (m->entry_count > 0 &&
            !add_entries(n, &append, m->prev_index + 1, m->prev_index + m->entry_count)) {
            peer_append_cancel(&append);
            return;
        }
        peer_append_end(&append);
    }
    peer_net_sent(n->peers, m->to);
    n->messages_sent++;
}

/* --- appends that wait for their turn --- */

enum { LATER_MAX = 1024 };

static bool is_read_back(const struct node *n, const struct raft_message *m) {
    return m->entry_count > 0 && m->prev_index + 1 < n->tail.first_index;
}

/* Behind those that wait already: an append that overtakes another is refused. */
static bool has_to_wait(const struct node *n, const struct raft_message *m) {
    const struct append_queue *q = &n->later;
    for (size_t i = q->first; i < q->end; i++)
        if (q->items[i].to == m->to) return true;
    return is_read_back(n, m) && !side_work_is_due(n);
}

/* What finds no room is as good as lost on the way: the core asks again. */
static void send_later(struct append_queue *q, const struct raft_message *m) {
    if (q->end - q->first >= LATER_MAX) return;
    if (q->end == q->cap && q->first > 0) {
        memmove(q->items, q->items + q->first, (q->end - q->first) * sizeof *q->items);
        q->end -= q->first;
        q->first = 0;
    }
    if (q->end == q->cap) {
        q->cap = q->cap ? q->cap * 2 : 16;
        q->items = mem_realloc(q->items, q->cap * sizeof *q->items);
    }
    q->items[q->end++] = *m;
}

static void send_timed(struct node *n, const struct raft_message *m) {
    bool timed = m->kind == RAFT_APPEND && is_read_back(n, m);
    uint64_t began_us = timed ? side_work_begin() : 0;
    send_now(n, m);
    if (timed) side_work_end(n, began_us);
}

void node_send(struct node *n, const struct raft_message *m) {
    if (m->kind == RAFT_APPEND && has_to_wait(n, m))
        send_later(&n->later, m);
    else
        send_timed(n, m);
}

void node_send_later(struct node *n) {
    struct append_queue *q = &n->later;
    for (bool first = true; q->first < q->end && (first || side_work_is_due(n)); first = false) {
        struct raft_message m = q->items[q->first++];
        if (n->role == RAFT_LEADER && m.term == n->term) send_timed(n, &m);
    }
}

void append_queue_free(struct append_queue *q) {
    mem_free(q->items);
    *q = (struct append_queue){0};
}

/* --- whom there are links to --- */

static bool is_peer(const struct peer_address *peers, size_t count, uint64_t id) {
    for (size_t i = 0; i < count; i++)
        if (peers[i].id == id) return true;
    return false;
}

static void remember(struct raft_member *list, size_t *count, uint64_t id, const char *address) {
    size_t i = 0;
    while (i < *count && list[i].id != id) i++;
    if (i == RAFT_MEMBERS_MAX) return;
    if (i == *count) *count = i + 1;
    list[i].id = id;
    snprintf(list[i].address, sizeof list[i].address, "%s", address);
}

/* A node that is no member (yet), or hears no leader, may have an old configuration or none: whoever of its cluster speaks
 * to it may be its leader (Raft thesis, 4.2.1). */
static bool knows_too_little(const struct node *n) {
    return n->joining || n->removed || n->members.count == 0 || n->leader_id == 0;
}

/* To the members; to those who have just left, for they are to hear of it; and to those who spoke to a node that knew too
 * little, until it knows them as members. */
static void keep_links(struct node *n) {
    struct peer_address peers[3 * RAFT_MEMBERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < n->members.count; i++)
        if (n->members.items[i].id != n->node_id)
            peers[count++] = (struct peer_address){n->members.items[i].id, n->members.items[i].address};
    for (size_t i = 0; i < n->met_count; i++)
        if ((knows_too_little(n) || n->met[i].id == n->leader_id) && !is_peer(peers, count, n->met[i].id))
            peers[count++] = (struct peer_address){n->met[i].id, n->met[i].address};
    for (size_t i = 0; i < n->parting_count; i++)
        if (!is_peer(peers, count, n->parting[i].id))
            peers[count++] = (struct peer_address){n->parting[i].id, n->parting[i].address};
    peer_net_set_peers(n->peers, peers, count);
}

void node_end_parting(struct node *n) {
    enum { PARTING_MS = 3000 };
    if (n->parting_count == 0 || mono_now_ms() - n->parting_since_ms < PARTING_MS) return;
    n->parting_count = 0;
    keep_links(n);
}

/* Outgoing links follow the configuration in force, and so does what this node calls itself. */
void node_members_changed(struct node *n, const struct raft_members *before) {
    for (size_t i = 0; i < before->count; i++) {
        const struct raft_member *m = &before->items[i];
        if (m->id == n->node_id || members_find(&n->members, m->id) != NULL) continue;
        remember(n->parting, &n->parting_count, m->id, m->address);
        n->parting_since_ms = mono_now_ms();
    }
    const struct raft_member *self = members_find(&n->members, n->node_id);
    if (self != NULL && strcmp(self->address, n->address) != 0) {
        snprintf(n->address, sizeof n->address, "%s", self->address);
        peer_net_set_address(n->peers, n->address);
    }
    node_membership_moved(n, self != NULL);
    keep_links(n);
}

static void meet(struct node *n, const struct peer_hello *hello) {
    if (hello->address[0] == '\0') return;
    remember(n->met, &n->met_count, hello->source, hello->address);
    keep_links(n);
}

/* --- in --- */

static struct node *node_of(void *arg) {
    return arg;
}

static bool is_ours(const struct node *n, const struct peer_hello *hello) {
    return memcmp(hello->origin.cluster, n->cluster_id, sizeof n->cluster_id) == 0;
}

/* Who is no member (any more) has nothing to say here, but for one who asks to be let in; as far as this node can tell who
 * is one. */
static enum peer_refusal accept_cb(void *arg, const struct peer_hello *hello, char *why) {
    struct node *n = node_of(arg);
    if (n->stopping) {
        snprintf(why, PEER_WHY_CAP, "this node is stopping");
        return PEER_STOPPING;
    }
    if (hello->link == PEER_LINK_CONTROL) return PEER_ACCEPTED;
    if (!is_ours(n, hello)) {
        snprintf(why, PEER_WHY_CAP, "%s",
                 n->formed ? "it belongs to no cluster" : "this node belongs to no cluster yet");
        return PEER_WRONG_CLUSTER;
    }
    bool is_member = members_find(&n->members, hello->source) != NULL;
    if (!is_member && hello->source != n->leader_id && !knows_too_little(n)) {
        snprintf(why, PEER_WHY_CAP, "it is not a member of this cluster");
        return PEER_UNKNOWN_SENDER;
    }
    if (hello->link == PEER_LINK_FORWARD && !n->readable) {
        snprintf(why, PEER_WHY_CAP, "this node does not lead");
        return PEER_NOT_LEADER;
    }
    if (hello->link == PEER_LINK_RAFT && !is_member) meet(n, hello);
    return PEER_ACCEPTED;
}

static void message_cb(void *arg, const struct raft_message *m, const struct slice *payloads,
                       struct buf *whole) {
    struct node *n = node_of(arg);
    n->messages_received++;
    if (!n->open || n->failed) return;
    /* Without room on the disk nothing is taken, rather than failing in the middle: it is sent again. */
    if (m->kind == RAFT_APPEND && m->entry_count > 0 && n->disk_is_full) return;
    node_take_message(n, m, payloads, whole);
}

static void link_up_cb(void *arg, uint64_t id) {
    struct node *n = node_of(arg);
    node_log("Connected to node %016llx", (unsigned long long)id);
    n->refused_by_count = 0;
}

static void link_down_cb(void *arg, uint64_t id) {
    struct node *n = node_of(arg);
    if (!n->open || n->failed) return;
    struct raft_event event = {.type = RAFT_EVENT_UNREACHABLE, .peer = id};
    node_step(n, &event);
}

static void refused_cb(void *arg, uint64_t id, uint32_t code, const char *text) {
    node_refused(node_of(arg), id, code, text);
}

static void forward_cb(void *arg, int fd, struct slice leftover, const struct peer_hello *hello) {
    struct node *n = node_of(arg);
    struct conn *c = net_adopt(&n->net, fd, leftover, &hello->client);
    if (c != NULL) c->session.there_node = hello->source; /* refused, it has been told */
}

static void control_cb(void *arg, struct peer_request *request, const struct peer_hello *hello,
                       const struct peer_control *control) {
    node_control(node_of(arg), request, hello, control);
}

static void snapshot_cb(void *arg, struct peer_stream *stream, const struct peer_hello *hello) {
    node_receive_snapshot(node_of(arg), stream, hello);
}

static void log_cb(void *arg, const char *line) {
    (void)arg;
    node_log("%s", line);
}

static struct peer_origin origin_of(const struct node *n) {
    struct peer_origin origin = {.group = 0};
    memcpy(origin.cluster, n->cluster_id, sizeof origin.cluster);
    return origin;
}

void node_identity_changed(struct node *n) {
    n->origin = origin_of(n);
    peer_net_set_identity(n->peers, n->node_id, &n->origin);
    peer_net_set_address(n->peers, n->address);
}

/* The process that had the port may be about to end: whoever restarts nodes does not always wait for it. */
static enum rc listen_patiently(struct node *n, int port, char *error, size_t cap) {
    enum { PATIENCE_MS = 5000, AGAIN_MS = 100 };
    const struct config *c = &n->server.config;
    uint64_t until_ms = mono_now_ms() + (node_wants_peers(n) ? PATIENCE_MS : 0);
    enum rc rc = peer_net_listen(n->peers, c->bind, port, (int)c->tcp_backlog, error, cap);
    if (rc == RC_BUSY && mono_now_ms() < until_ms)
        node_log("%s; trying again for %d seconds", error, PATIENCE_MS / 1000);
    while (rc == RC_BUSY && mono_now_ms() < until_ms) {
        n->host.sleep_us(&n->host, AGAIN_MS * 1000);
        rc = peer_net_listen(n->peers, c->bind, port, (int)c->tcp_backlog, error, cap);
    }
    return rc;
}

bool node_open_peers(struct node *n) {
    const struct config *c = &n->server.config;
    n->origin = origin_of(n);
    struct peer_net_options options = {.id = n->node_id,
                                       .origin = n->origin,
                                       .address = n->address,
                                       .secret = c->cluster_secret,
                                       .greeting_ms = 2 * (uint64_t)c->raft_election_timeout,
                                       .seed = rng_next(&n->rng)};
    if (options.greeting_ms < 2000) options.greeting_ms = 2000;
    struct peer_net_handler handler = {.arg = n,
                                       .accept = accept_cb,
                                       .message = message_cb,
                                       .link_up = link_up_cb,
                                       .link_down = link_down_cb,
                                       .refused = refused_cb,
                                       .forward = forward_cb,
                                       .control = control_cb,
                                       .snapshot = snapshot_cb,
                                       .log = log_cb};
    n->peers = peer_net_new(&n->uv.loop, &options, &handler);
    char error[512];
    int port = peer_port_of((int)c->port, (int)c->cluster_port);
    if (port == 0) {
        if (!node_wants_peers(n)) return true; /* no client port either, or one too high: a node by itself */
        node_log("There is no port for peers: port and cluster-port name none");
        return false;
    }
    if (listen_patiently(n, port, error, sizeof error) == RC_OK) return true;
    if (!node_wants_peers(n)) {
        node_log("Other nodes cannot reach this one: %s", error);
        return true;
    }
    node_log("%s", error);
    return false;
}
