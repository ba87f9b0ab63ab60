/* What clients ask to be done to the cluster (RAFT.NODE ADD, CLUSTER FAILOVER ...). Most of it takes a while: the connection is
 * held and answered when it is done, or known not to be. */
#include "cluster_internal.h"

#include "mem.h"

#include <stdio.h>
#include <string.h>

struct waiter {
    struct list link;
    struct conn *conn;
    enum host_request_kind kind;
    uint64_t members_index; /* of the change; later ones (leaving the joint) belong to it */
    uint64_t until_ms, id;
};

static void waiter_answer(struct waiter *w, const char *error) {
    struct conn *c = w->conn;
    list_unlink(&w->link);
    struct reply reply;
    reply_init(&reply, &c->out, c->session.resp);
    if (error == NULL)
        reply_simple(&reply, "OK");
    else
        reply_errorf(&reply, "ERR %s", error);
    c->blocked = false;
    c->waiter = NULL;
    conn_touch(c);
    mem_free(w);
}

void node_forget_waiter(struct conn *c) {
    if (c->waiter == NULL) return;
    list_unlink(&c->waiter->link);
    mem_free(c->waiter);
    c->waiter = NULL;
}

static void wait_for(struct node *n, struct session *s, const struct host_request *request, uint64_t id) {
    enum { WAIT_MS = 30000 };
    struct waiter *w = mem_calloc(1, sizeof *w);
    w->conn = conn_of_session(s);
    w->kind = request->kind;
    w->members_index = n->members_index;
    w->until_ms = mono_now_ms() + WAIT_MS;
    w->id = id;
    w->conn->blocked = true;
    w->conn->waiter = w;
    list_push_back(&n->waiters, &w->link);
}

static bool change_is_done(const struct node *n, const struct waiter *w) {
    return n->members_index >= w->members_index && n->commit_index >= n->members_index &&
           !members_are_joint(&n->members);
}

void node_look_at_waiters(struct node *n) {
    struct list *next;
    for (struct list *it = n->waiters.next; it != &n->waiters; it = next) {
        next = it->next;
        struct waiter *w = container_of(it, struct waiter, link);
        struct raft_status s;
        raft_status(n->raft, &s);
        bool leads = n->role == RAFT_LEADER;
        switch (w->kind) {
        case HOST_TRANSFER:
            if (!leads)
                waiter_answer(w, NULL);
            else if (s.transfer_to == 0)
                waiter_answer(w, "the node did not take over in time; this one goes on leading");
            continue;
        case HOST_LEAD:
            if (n->readable) {
                waiter_answer(w, NULL);
                continue;
            }
            break;
        case HOST_ADD:
        case HOST_REMOVE:
        case HOST_PROMOTE:
        case HOST_READDRESS:
            if (change_is_done(n, w)) {
                waiter_answer(w, NULL);
                continue;
            }
            if (!leads) {
                waiter_answer(w, "leadership was lost meanwhile: whether the change will be made is unknown");
                continue;
            }
            break;
        case HOST_INIT:
        case HOST_JOIN: break;
        }
        if (mono_now_ms() > w->until_ms)
            waiter_answer(w, "it has not happened within half a minute, but still may");
    }
}

static uint64_t id_by_address(const struct node *n, const char *address) {
    for (size_t i = 0; i < n->members.count; i++) {
        const char *there = n->members.items[i].address;
        size_t len = strcspn(there, "@");
        if (strlen(address) == len && memcmp(there, address, len) == 0) return n->members.items[i].id;
    }
    return 0;
}

/* A client's request that waits for what another node says. */
struct inquiry {
    struct node *node;
    uint64_t session_id, id;
    char address[RAFT_ADDRESS_CAP];
};

static void ask_and_wait(struct node *n, struct session *s, const struct host_request *request,
                         enum control_kind kind, const struct buf *body, peer_control_cb *cb) {
    struct inquiry *i = mem_calloc(1, sizeof *i);
    i->node = n;
    i->session_id = s->id;
    i->id = request->id;
    snprintf(i->address, sizeof i->address, "%s", request->address);
    cluster_ask(n, request->address, request->id, kind, body, cb, i);
    struct host_request as = *request;
    as.kind = HOST_JOIN; /* only the answer is waited for */
    wait_for(n, s, &as, 0);
}

/* Who asked, if he still waits. */
static struct waiter *waiter_of(const struct inquiry *i) {
    LIST_FOR_EACH(it, &i->node->waiters) {
        struct waiter *w = container_of(it, struct waiter, link);
        if (w->conn->session.id == i->session_id) return w;
    }
    return NULL;
}

static void invite_cb(void *arg, enum rc rc, uint32_t code, const char *text,
                      const struct peer_control *response, uint64_t responder_id,
                      const struct peer_origin *responder) {
    struct inquiry *i = arg;
    struct waiter *w = waiter_of(i);
    char line[300] = "";
    uint8_t said = ANSWER_NO;
    struct slice body = rc == RC_OK ? response->body : SLICE("");
    (void)code;
    (void)responder;
    (void)responder_id;
    if (rc != RC_OK)
        snprintf(line, sizeof line, "that node cannot be asked: %.200s", text ? text : "");
    else if (!slice_take_u8(&body, &said) || said != ANSWER_YES)
        snprintf(line, sizeof line, "that node refuses: %.*s", (int)(body.len < 200 ? body.len : 200),
                 body.data);
    if (w != NULL) waiter_answer(w, line[0] ? line : NULL);
    mem_free(i);
}

/* The node there is told whom to ask; it then comes by itself. */
static void invite(struct node *n, struct session *s, const struct host_request *request) {
    struct buf body = {0};
    for (size_t i = 0; i < n->members.count; i++) {
        if (i > 0) buf_add_byte(&body, ' ');
        buf_add_str(&body, n->members.items[i].address);
    }
    if (n->members.count ==
        1) { /* what a node calls itself when it has not met anybody is good for this machine only */
        char own[RAFT_ADDRESS_CAP];
        cluster_own_address(n, request->address, own);
        buf_clear(&body);
        buf_add_str(&body, own);
    }
    ask_and_wait(n, s, request, CONTROL_INVITE, &body, invite_cb);
    buf_free(&body);
}

static void lead_cb(void *arg, enum rc rc, uint32_t code, const char *text,
                    const struct peer_control *response, uint64_t responder_id,
                    const struct peer_origin *responder) {
    struct node *n = arg;
    uint8_t said = ANSWER_NO;
    (void)code;
    (void)text;
    (void)responder_id;
    (void)responder;
    struct slice body = rc == RC_OK ? response->body : SLICE("");
    if (rc == RC_OK && slice_take_u8(&body, &said) && said == ANSWER_YES) return;
    char line[300];
    snprintf(line, sizeof line, "the leader does not hand over: %.*s", (int)(body.len < 200 ? body.len : 200),
             rc == RC_OK ? body.data : "");
    struct list *next;
    for (struct list *it = n->waiters.next; it != &n->waiters; it = next) {
        next = it->next;
        struct waiter *w = container_of(it, struct waiter, link);
        if (w->kind == HOST_LEAD) waiter_answer(w, line);
    }
}

static const char *want_to_lead(struct node *n, const struct host_request *request) {
    const char *leader = cluster_leader_address(n);
    if (n->role == RAFT_LEADER) return "this node leads already";
    (void)
        request; /* Redis's FORCE and TAKEOVER: with a leader there is nothing to force, and without one it is all alike */
    if (leader == NULL) {
        struct raft_event event = {.type = RAFT_EVENT_CAMPAIGN};
        node_step(n, &event);
        return NULL;
    }
    struct buf nothing = {0};
    cluster_ask(n, leader, n->leader_id, CONTROL_LEAD, &nothing, lead_cb, n);
    return NULL;
}

/* What the leader is asked to change; NULL when it is under way. */
static const char *request_change(struct node *n, const struct host_request *request, uint64_t id) {
    struct raft_members wanted = n->members;
    struct raft_member *m = cluster_member(&wanted, id);
    switch (request->kind) {
    case HOST_ADD:
        if (m != NULL) return "it is a member already";
        if (!cluster_add_member(&wanted, id, request->address)) return "there are too many members";
        break;
    case HOST_REMOVE:
        if (m == NULL) return "there is no such member";
        memmove(m, m + 1, (size_t)(wanted.items + wanted.count - (m + 1)) * sizeof *m);
        wanted.count--;
        break;
    case HOST_PROMOTE:
        if (m == NULL) return "there is no such member";
        m->seat = RAFT_VOTER;
        break;
    case HOST_READDRESS:
        if (m == NULL) return "there is no such member";
        snprintf(m->address, sizeof m->address, "%s", request->address);
        break;
    default: return "not understood";
    }
    enum raft_refusal why = cluster_change(n, &wanted);
    return why == RAFT_TAKEN ? NULL : cluster_refusal(why);
}

/* Whoever is let in by its id has to be there, and free, or a former member: this cluster's log is all it may have. */
static void add_cb(void *arg, enum rc rc, uint32_t code, const char *text,
                   const struct peer_control *response, uint64_t responder_id,
                   const struct peer_origin *responder) {
    struct inquiry *i = arg;
    struct node *n = i->node;
    struct waiter *w = waiter_of(i);
    char line[300] = "";
    uint8_t is_blank = 0;
    struct slice body = rc == RC_OK ? response->body : SLICE("");
    (void)code;
    (void)responder_id;
    if (rc != RC_OK)
        snprintf(line, sizeof line, "that node cannot be asked: %.200s", text ? text : "");
    else if (!slice_take_u8(&body, &is_blank) ||
             (!is_blank && memcmp(responder->cluster, n->cluster_id, sizeof n->cluster_id) != 0))
        snprintf(line, sizeof line, "that node belongs to another cluster");
    if (w != NULL && line[0] == '\0') {
        struct host_request request = {.kind = HOST_ADD, .id = i->id, .address = i->address};
        const char *error = request_change(n, &request, i->id);
        w->kind = HOST_ADD;
        w->members_index = n->members_index;
        if (error != NULL) waiter_answer(w, error);
    } else if (w != NULL) {
        waiter_answer(w, line);
    }
    mem_free(i);
}

static void add_known(struct node *n, struct session *s, const struct host_request *request) {
    struct buf body = {0};
    buf_add_u64le(&body, n->cluster->list_hash);
    ask_and_wait(n, s, request, CONTROL_WHO, &body, add_cb);
    buf_free(&body);
}

void node_cluster_do(struct node *n, struct session *s, const struct host_request *request,
                     struct reply *reply) {
    uint64_t id = request->id != 0 ? request->id : id_by_address(n, request->address ? request->address : "");
    const char *error = NULL;
    switch (request->kind) {
    case HOST_INIT: { /* every node begins as a cluster of its own */
        char text[3 + IDENTITY_NAME_CAP] = "OK ";
        identity_cluster_name(n->cluster_id, text + 3);
        if (n->members.count > 1)
            reply_error(reply, "ERR this node belongs to a cluster already");
        else
            reply_simple(reply, text);
        return;
    }
    case HOST_JOIN:
        error = cluster_why_not_reset(n);
        if (error != NULL) break;
        n->wants_join[0] = '\0';
        for (int i = 0; i < request->address_count; i++)
            snprintf(n->wants_join + strlen(n->wants_join), sizeof n->wants_join - strlen(n->wants_join),
                     "%s%s", i ? " " : "", request->addresses[i]);
        n->wants_reset = true;
        reply_simple(reply, "OK");
        return;
    case HOST_TRANSFER: {
        enum raft_refusal why = cluster_transfer(n, id);
        if (why != RAFT_TAKEN) error = cluster_refusal(why);
        break;
    }
    case HOST_LEAD: error = want_to_lead(n, request); break;
    case HOST_ADD:
        if (request->id == 0)
            invite(n, s, request);
        else if (members_find(&n->members, id) != NULL)
            reply_error(reply, "ERR it is a member already");
        else
            add_known(n, s, request);
        return;
    case HOST_REMOVE:
    case HOST_PROMOTE:
    case HOST_READDRESS: error = request_change(n, request, id); break;
    }
    if (error != NULL)
        reply_errorf(reply, "ERR %s", error);
    else
        wait_for(n, s, request, id);
}
