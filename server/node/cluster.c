/* Forming a cluster, letting nodes in, and changing who belongs to it. A node that belongs to none (BLANK) has no log and
 * serves no client; it talks through control requests only:
 *
 *   --cluster-nodes a,b,c   every node asks all three who they are. Only the first of the list forms the cluster, and only
 *                           once all of them have answered that they are blank and were given the same list: a node that
 *                           lost its data has a new id and cannot make a second cluster beside the one it was in. The
 *                           others are told by whoever was formed before (FORM).
 *   --join a,b              asks members to be let in (JOIN) until it finds itself in a configuration: first a learner,
 *                           a voter once it has caught up.
 *
 * Changes go through the leader: a configuration is a log entry like any other. */
#include "cluster_internal.h"

#include "hash.h"
#include "mem.h"
#include "raft_members.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    CONTROL_TIMEOUT_MS = 2000,
    ASK_AGAIN_MS = 300,
    PROMOTE_LAG_MAX = 64, /* entries: a learner that close is a voter at once */
    REFUSALS_MAX = 8,     /* without hearing a leader: the others know better who is a member */
};

static void say_once(struct node *n, const char *text) {
    if (strcmp(n->cluster->told, text) == 0) return;
    snprintf(n->cluster->told, sizeof n->cluster->told, "%s", text);
    node_log("%s", text);
}

/* --- who this is --- */

static uint64_t random_id(void) {
    uint64_t id;
    do CHECK(getrandom(&id, sizeof id, 0) == (ssize_t)sizeof id);
    while (id == 0);
    return id;
}

static enum rc store_identity(struct node *n) {
    char path[4200];
    snprintf(path, sizeof path, "%.4000s/node", n->server.config.dir);
    struct buf file = {0};
    identity_encode(&n->identity, &file);
    enum rc rc = n->host.write_file(&n->host, path, buf_slice(&file));
    buf_free(&file);
    if (rc != RC_OK) node_log("The identity in %s: %s", path, rc_name(rc));
    return rc;
}

bool node_store_identity(struct node *n) {
    return store_identity(n) == RC_OK;
}

static void take_list(struct cluster *c, struct node *n, const char *text) {
    char list[4096];
    snprintf(list, sizeof list, "%s", text);
    c->count = 0;
    char *rest = list;
    for (char *word; (word = strsep(&rest, " ,")) != NULL;) {
        if (*word == '\0' || c->count == RAFT_MEMBERS_MAX) continue;
        struct candidate *cand = &c->candidates[c->count++];
        *cand = (struct candidate){.node = n};
        snprintf(cand->address, sizeof cand->address, "%s", word);
    }
}

/* The members' own words for a list: equal lists, equal hash. */
static uint64_t hash_list(const struct cluster *c) {
    struct buf text = {0};
    for (size_t i = 0; i < c->count; i++) {
        buf_add_str(&text, c->candidates[i].address);
        buf_add_byte(&text, ',');
    }
    uint64_t hash = hash64(buf_slice(&text));
    buf_free(&text);
    return hash | 1;
}

static bool wants_to_form(const struct node *n) {
    return n->identity.join[0] == '\0' && n->server.config.cluster_nodes[0] != '\0';
}

bool node_wants_peers(const struct node *n) {
    return n->identity.stage == IDENTITY_BLANK || n->identity.first.count != 1;
}

static void adopt_identity(struct node *n) {
    n->node_id = n->identity.id;
    memcpy(n->cluster_id, n->identity.cluster, sizeof n->cluster_id);
    n->formed = n->identity.stage != IDENTITY_BLANK;
}

/* A node that was told nothing is a cluster by itself. */
static void form_alone(struct node *n) {
    n->identity.stage = IDENTITY_FORMED;
    uint64_t ids[2] = {random_id(), random_id()};
    memcpy(n->identity.cluster, ids, sizeof n->identity.cluster);
    n->identity.first.count = 1;
    n->identity.first.items[0] = (struct raft_member){.id = n->identity.id, .seat = RAFT_VOTER};
    snprintf(n->identity.first.items[0].address, RAFT_ADDRESS_CAP, "%s", n->address);
}

static enum rc new_identity(struct node *n) {
    const struct config *c = &n->server.config;
    n->identity = (struct identity){.id = random_id()};
    snprintf(n->identity.join, sizeof n->identity.join, "%s", c->join);
    if (c->join[0] == '\0' && c->cluster_nodes[0] == '\0') form_alone(n);
    return store_identity(n);
}

bool node_open_identity(struct node *n) {
    char path[4200];
    snprintf(path, sizeof path, "%.4000s/node", n->server.config.dir);
    cluster_own_address(n, NULL, n->address);
    struct buf file = {0};
    enum rc rc = n->host.read_file(&n->host, path, &file);
    if (rc == RC_NOT_FOUND && node_has_log(n)) {
        node_log(
            "There is a log in %s, but the file %s that says whose it is is missing: it must be restored",
            n->server.config.dir, path);
        return false;
    }
    if (rc == RC_NOT_FOUND)
        rc = new_identity(n);
    else if (rc == RC_OK)
        rc = identity_decode(buf_slice(&file), &n->identity);
    buf_free(&file);
    if (rc != RC_OK) {
        node_log("The identity in %s: %s", path, rc_name(rc));
        return false;
    }
    if (n->identity.stage == IDENTITY_BLANK && node_has_log(n) && !node_discard_files(n)) return false;
    if (n->identity.stage == IDENTITY_RUNNING && !node_has_log(n)) {
        node_log("The log of this node is missing from %s, and with it perhaps what it has acknowledged. "
                 "Restore it, or "
                 "remove %s as well, and the node from its cluster, and let it join anew",
                 n->server.config.dir, path);
        return false;
    }
    n->cluster = mem_calloc(1, sizeof *n->cluster);
    take_list(n->cluster, n, n->identity.join[0] != '\0' ? n->identity.join : n->server.config.cluster_nodes);
    n->cluster->list_hash = hash_list(n->cluster);
    adopt_identity(n);
    return true;
}

/* From blank to formed. Durable before anything is done in its name. */
static bool become(struct node *n, const char *cluster, const struct raft_members *first) {
    CHECK(n->identity.stage == IDENTITY_BLANK);
    struct identity before = n->identity;
    memcpy(n->identity.cluster, cluster, sizeof n->identity.cluster);
    n->identity.first = *first;
    n->identity.stage = IDENTITY_FORMED;
    if (store_identity(n) != RC_OK) {
        n->identity = before;
        return false;
    }
    adopt_identity(n);
    node_identity_changed(n);
    n->wants_open = true; /* not from within a callback of the links */
    return true;
}

/* --- requests --- */

static void answer(struct peer_request *request, int yes, const char *text) {
    struct buf body = {0};
    buf_add_byte(&body, (uint8_t)yes);
    buf_add_str(&body, text);
    peer_request_answer(request, &(struct peer_control){.kind = 0, .body = buf_slice(&body)});
    buf_free(&body);
}

void cluster_ask(struct node *n, const char *address, uint64_t target, enum control_kind kind,
                 const struct buf *body, peer_control_cb *cb, void *arg) {
    struct peer_control request = {.kind = (uint8_t)kind, .body = buf_slice(body)};
    peer_net_control(n->peers, address, target, &request, CONTROL_TIMEOUT_MS, cb, arg);
}

static void who_cb(void *arg, enum rc rc, uint32_t code, const char *text,
                   const struct peer_control *response, uint64_t responder_id,
                   const struct peer_origin *responder) {
    struct candidate *c = arg;
    (void)code;
    (void)text;
    (void)responder;
    c->asking = false;
    c->answered = false;
    uint8_t blank;
    if (rc != RC_OK) return;
    struct slice body = response->body;
    if (!slice_take_u8(&body, &blank) || !slice_take_u64le(&body, &c->list_hash)) return;
    c->id = responder_id;
    c->is_blank = blank != 0;
    c->answered = true;
}

static void ask_who(struct node *n) {
    struct buf body = {0};
    buf_add_u64le(&body, n->cluster->list_hash);
    for (size_t i = 0; i < n->cluster->count; i++) {
        struct candidate *c = &n->cluster->candidates[i];
        if (c->asking) continue;
        c->asking = true;
        cluster_ask(n, c->address, 0, CONTROL_WHO, &body, who_cb, c);
    }
    buf_free(&body);
}

/* All of the list, blank and of one mind. Their answers are durable promises: an id that was told is stored. */
static void try_to_form(struct node *n) {
    struct cluster *cl = n->cluster;
    struct raft_members first = {.count = 0};
    char text[256];
    for (size_t i = 0; i < cl->count; i++) {
        const struct candidate *c = &cl->candidates[i];
        if (!c->answered) return;
        if (!c->is_blank) {
            snprintf(text, sizeof text,
                     "%.100s belongs to a cluster already, of which this node is no member (yet). If its "
                     "data was lost, "
                     "start it with --join instead",
                     c->address);
            say_once(n, text);
            return;
        }
        if (c->list_hash != cl->list_hash) {
            snprintf(text, sizeof text, "%.100s was started with another list of cluster-nodes", c->address);
            say_once(n, text);
            return;
        }
    }
    if (cl->count == 0 || cl->candidates[0].id != n->node_id) return; /* somebody else does it */
    for (size_t i = 0; i < cl->count; i++) {
        size_t at = first.count; /* by id */
        if (members_find(&first, cl->candidates[i].id) != NULL) {
            say_once(n, "Two of cluster-nodes are the same node");
            return;
        }
        for (; at > 0 && first.items[at - 1].id > cl->candidates[i].id; at--)
            first.items[at] = first.items[at - 1];
        first.items[at] = (struct raft_member){.id = cl->candidates[i].id, .seat = RAFT_VOTER};
        memcpy(first.items[at].address, cl->candidates[i].address, RAFT_ADDRESS_CAP);
        first.count++;
    }
    if (!members_are_sound(&first)) {
        say_once(n, "cluster-nodes names too many nodes: seven may vote");
        return;
    }
    uint64_t ids[2] = {random_id(), random_id()};
    if (become(n, (const char *)ids, &first)) node_log("Formed a cluster of %zu nodes", first.count);
}

static void form_cb(void *arg, enum rc rc, uint32_t code, const char *text,
                    const struct peer_control *response, uint64_t responder_id,
                    const struct peer_origin *responder) {
    struct node *n = arg;
    (void)code;
    (void)text;
    (void)response;
    (void)responder;
    (void)responder_id;
    (void)rc; /* it is asked again when its link is refused again */
    n->forming_others = false;
}

/* A member that belongs to no cluster yet was not told, or its answer was lost. */
static void tell_formed(struct node *n, uint64_t id) {
    const struct raft_member *m = members_find(&n->members, id);
    if (m == NULL || n->forming_others) return;
    struct raft_members none = {.count = 0};
    struct buf body = {0};
    buf_add(&body, n->cluster_id, sizeof n->cluster_id);
    members_encode(&body, members_find(&n->identity.first, id) != NULL ? &n->identity.first : &none);
    n->forming_others = true;
    cluster_ask(n, m->address, id, CONTROL_FORM, &body, form_cb, n);
    buf_free(&body);
}

void node_refused(struct node *n, uint64_t id, uint32_t code, const char *text) {
    if (code == PEER_WRONG_CLUSTER) tell_formed(n, id);
    if (code != PEER_UNKNOWN_SENDER || !n->identity.was_member || n->leader_id != 0) return;
    if (++n->refused_by_count == REFUSALS_MAX)
        node_log("Node %016llx says: %s", (unsigned long long)id, text);
}

static void on_form(struct node *n, struct peer_request *request, struct slice body) {
    char cluster[IDENTITY_CLUSTER_SIZE];
    struct raft_members first;
    if (!slice_take_raw(&body, cluster, sizeof cluster) || members_decode(body, &first) != RC_OK) {
        answer(request, ANSWER_NO, "malformed");
        return;
    }
    if (n->identity.stage != IDENTITY_BLANK) {
        bool same = memcmp(cluster, n->cluster_id, sizeof cluster) == 0;
        answer(request, same ? ANSWER_YES : ANSWER_NO, same ? "" : "this node belongs to another cluster");
        return;
    }
    if (first.count > 0 && members_find(&first, n->node_id) == NULL) {
        answer(request, ANSWER_NO, "this node is not in that configuration");
        return;
    }
    bool ok = become(n, cluster, &first);
    answer(request, ok ? ANSWER_YES : ANSWER_NO, ok ? "" : "its identity cannot be stored");
    if (ok) node_log("Formed by another node, as one of %zu", first.count);
}

static void on_who(struct node *n, struct peer_request *request) {
    struct buf body = {0};
    buf_add_byte(&body, n->identity.stage == IDENTITY_BLANK);
    buf_add_u64le(&body, n->cluster->list_hash);
    peer_request_answer(request, &(struct peer_control){.kind = CONTROL_WHO, .body = buf_slice(&body)});
    buf_free(&body);
}

/* --- being let in --- */

static void join_cb(void *arg, enum rc rc, uint32_t code, const char *text,
                    const struct peer_control *response, uint64_t responder_id,
                    const struct peer_origin *responder) {
    struct candidate *c = arg;
    struct node *n = c->node;
    struct cluster *cl = n->cluster;
    (void)responder_id;
    (void)code;
    c->asking = false;
    cl->next++;
    uint8_t said;
    char line[512];
    if (rc != RC_OK) {
        snprintf(line, sizeof line, "%.100s cannot be asked to let this node in: %.200s", c->address,
                 text ? text : "");
        say_once(n, line);
        return;
    }
    struct slice body = response->body;
    if (!slice_take_u8(&body, &said)) return;
    if (said == ANSWER_ELSEWHERE) {
        snprintf(cl->elsewhere, sizeof cl->elsewhere, "%.*s", (int)body.len, body.data);
        return;
    }
    if (said == ANSWER_NO) {
        snprintf(line, sizeof line, "%.100s does not let this node in: %.*s", c->address,
                 (int)(body.len < 200 ? body.len : 200), body.data);
        say_once(n, line);
        return;
    }
    if (n->identity.stage != IDENTITY_BLANK) return;
    struct raft_members none = {.count = 0};
    if (become(n, (const char *)responder->cluster, &none)) node_log("Let in by %s", c->address);
}

static void ask_to_join(struct node *n) {
    struct cluster *cl = n->cluster;
    if (cl->count == 0) return;
    struct candidate *c = &cl->candidates[cl->next % cl->count];
    if (c->asking) return;
    const char *address = cl->elsewhere[0] != '\0' ? cl->elsewhere : c->address;
    struct buf body = {0};
    cluster_own_address(n, address, n->address);
    peer_net_set_address(n->peers, n->address);
    buf_add_u32le(&body, (uint32_t)strlen(n->address));
    buf_add_str(&body, n->address);
    buf_add_str(&body, cl->elsewhere[0] != '\0' ? "" : c->address);
    c->asking = true;
    cluster_ask(n, address, 0, CONTROL_JOIN, &body, join_cb, c);
    cl->elsewhere[0] = '\0';
    buf_free(&body);
}

enum raft_refusal cluster_change(struct node *n, const struct raft_members *wanted) {
    struct raft_event event = {.type = RAFT_EVENT_CHANGE, .members = wanted, .index = n->members_index};
    struct raft_update up;
    return node_ask(n, &event, &up);
}

const char *cluster_refusal(enum raft_refusal why) {
    switch (why) {
    case RAFT_TAKEN: return "";
    case RAFT_NOT_LEADER: return "this node does not lead";
    case RAFT_TOO_MUCH: return "too much is waiting to be committed";
    case RAFT_TRANSFERRING: return "leadership is being handed over";
    case RAFT_NOT_YET: return "this leader is not ready yet";
    case RAFT_CHANGING: return "another change is under way";
    case RAFT_SENSELESS: return "that would be no configuration to work with";
    }
    return "";
}

struct raft_member *cluster_member(struct raft_members *m, uint64_t id) {
    for (size_t i = 0; i < m->count; i++)
        if (m->items[i].id == id) return &m->items[i];
    return NULL;
}

bool cluster_add_member(struct raft_members *m, uint64_t id, const char *address) {
    if (m->count == RAFT_MEMBERS_MAX) return false;
    size_t at = m->count++;
    for (; at > 0 && m->items[at - 1].id > id; at--) m->items[at] = m->items[at - 1];
    m->items[at] = (struct raft_member){.id = id, .seat = RAFT_LEARNER};
    snprintf(m->items[at].address, RAFT_ADDRESS_CAP, "%s", address);
    return true;
}

/* A node's first companion tells it what it is called from outside. */
static enum raft_refusal let_in(struct node *n, uint64_t id, const char *address, const char *reached_at) {
    struct raft_members wanted = n->members;
    struct raft_member *there = cluster_member(&wanted, id);
    if (there != NULL && strcmp(there->address, address) == 0) return RAFT_TAKEN;
    if (there != NULL)
        snprintf(there->address, RAFT_ADDRESS_CAP, "%s", address);
    else if (!cluster_add_member(&wanted, id, address))
        return RAFT_SENSELESS;
    struct raft_member *self = cluster_member(&wanted, n->node_id);
    if (self != NULL && wanted.count == 2 && n->server.config.cluster_announce_ip[0] == '\0' &&
        reached_at[0] != '\0')
        snprintf(self->address, RAFT_ADDRESS_CAP, "%s", reached_at);
    return cluster_change(n, &wanted);
}

const char *cluster_leader_address(const struct node *n) {
    const struct raft_member *leader = members_find(&n->members, n->leader_id);
    return leader != NULL && leader->id != n->node_id ? leader->address : NULL;
}

static void on_join(struct node *n, struct peer_request *request, const struct peer_hello *hello,
                    bool is_ours, struct slice body) {
    uint32_t len;
    struct slice address;
    char own[RAFT_ADDRESS_CAP], reached[RAFT_ADDRESS_CAP], host[RAFT_ADDRESS_CAP];
    int port, peer_port;
    if (!slice_take_u32le(&body, &len) || !slice_take(&body, len, &address) || len >= sizeof own ||
        body.len >= sizeof reached) {
        answer(request, ANSWER_NO, "malformed");
        return;
    }
    static const char no_cluster[IDENTITY_CLUSTER_SIZE];
    if (!is_ours && memcmp(hello->origin.cluster, no_cluster, sizeof no_cluster) != 0) {
        answer(request, ANSWER_NO, "it belongs to another cluster");
        return;
    }
    snprintf(own, sizeof own, "%.*s", (int)address.len, address.data);
    snprintf(reached, sizeof reached, "%.*s", (int)body.len, body.data);
    if (!peer_address_parse(own, host, sizeof host, &port, &peer_port)) {
        answer(request, ANSWER_NO, "its address makes no sense");
        return;
    }
    if (!n->readable) {
        const char *leader = cluster_leader_address(n);
        answer(request, leader ? ANSWER_ELSEWHERE : ANSWER_NO,
               leader ? leader : "nobody leads this cluster at the moment");
        return;
    }
    enum raft_refusal why = let_in(n, hello->source, own, reached);
    answer(request, why == RAFT_TAKEN ? ANSWER_YES : ANSWER_NO, cluster_refusal(why));
    if (why == RAFT_TAKEN && cluster_member(&n->members, hello->source) != NULL)
        node_log("Node %016llx at %s is let in", (unsigned long long)hello->source, own);
}

/* --- leaving oneself behind: a node that has nothing may become part of another cluster --- */

static bool is_empty(struct node *n) {
    for (int db = 0; db < KS_DB_COUNT; db++)
        if (ks_count(n->ks, db) > 0) return false;
    return true;
}

const char *cluster_why_not_reset(struct node *n) {
    if (n->identity.stage == IDENTITY_BLANK) return NULL;
    if (n->members.count != 1 || n->removed) return "this node belongs to a cluster already";
    if (!is_empty(n)) return "this node has data, which would be lost: flush it first";
    return NULL;
}

static void on_invite(struct node *n, struct peer_request *request, struct slice body) {
    const char *why = cluster_why_not_reset(n);
    if (body.len >= sizeof n->identity.join) why = "malformed";
    if (why == NULL) {
        snprintf(n->wants_join, sizeof n->wants_join, "%.*s", (int)body.len, body.data);
        n->wants_reset = true;
    }
    answer(request, why == NULL ? ANSWER_YES : ANSWER_NO, why ? why : "");
}

/* Between turns: the old life ends, and a blank one begins. A crash in between leaves a blank identity beside a log, which
 * the next start throws away: nothing of it may be found by the new life. */
bool node_reset(struct node *n) {
    n->wants_reset = false;
    node_log("Leaving the cluster of its own, to join another by %s", n->wants_join);
    if (n->open) node_discard_group(n);
    n->met_count = 0;
    n->identity = (struct identity){.id = random_id()};
    memcpy(n->identity.join, n->wants_join, sizeof n->identity.join);
    if (store_identity(n) != RC_OK || !node_discard_files(n)) return false;
    take_list(n->cluster, n, n->identity.join);
    n->cluster->next = 0;
    n->cluster->elsewhere[0] = n->cluster->told[0] = '\0';
    adopt_identity(n);
    n->members = (struct raft_members){.count = 0};
    n->members_index = 0;
    n->refused_by_count = 0;
    n->is_member = n->joining = n->removed = false;
    peer_net_set_peers(n->peers, NULL, 0);
    node_identity_changed(n);
    return true;
}

/* --- leadership --- */

enum raft_refusal cluster_transfer(struct node *n, uint64_t to) {
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER, .peer = to};
    struct raft_update up;
    return node_ask(n, &event, &up);
}

static void on_lead(struct node *n, struct peer_request *request, const struct peer_hello *hello) {
    enum raft_refusal why = n->open ? cluster_transfer(n, hello->source) : RAFT_NOT_LEADER;
    answer(request, why == RAFT_TAKEN ? ANSWER_YES : ANSWER_NO, cluster_refusal(why));
}

/* CLIENT UNBLOCK of a client that waits here through the node it is connected to. */
static void on_unblock(struct node *n, struct peer_request *request, uint64_t source, struct slice body) {
    uint64_t id;
    uint8_t with_error;
    bool ended = false, is_sound = slice_take_u64le(&body, &id) && slice_take_u8(&body, &with_error);
    if (is_sound) {
        LIST_FOR_EACH_SAFE(it, &n->server.sessions) {
            struct session *s = container_of(it, struct session, link);
            if (s->forwarded && s->there_node == source && s->there_id == id)
                ended = node_unblock(n, s, with_error != 0) || ended;
        }
    }
    answer(request, ended ? ANSWER_YES : ANSWER_NO, "");
}

static void unblock_cb(void *arg, enum rc rc, uint32_t code, const char *text,
                       const struct peer_control *response, uint64_t responder_id,
                       const struct peer_origin *responder) {
    (void)arg, (void)rc, (void)code, (void)text, (void)response, (void)responder_id, (void)responder;
}

void node_unblock_there(struct node *n, const struct session *s, bool with_error) {
    const char *leader = cluster_leader_address(n);
    if (leader == NULL) return;
    struct buf body = {0};
    buf_add_u64le(&body, s->id);
    buf_add_byte(&body, with_error);
    cluster_ask(n, leader, n->leader_id, CONTROL_UNBLOCK, &body, unblock_cb, NULL);
    buf_free(&body);
}

void node_hand_over(struct node *n) {
    if (n->role == RAFT_LEADER && n->members.count > 1) (void)cluster_transfer(n, 0);
}

void node_control(struct node *n, struct peer_request *request, const struct peer_hello *hello,
                  const struct peer_control *control) {
    bool is_ours = memcmp(hello->origin.cluster, n->cluster_id, sizeof n->cluster_id) == 0;
    switch (control->kind) {
    case CONTROL_WHO: on_who(n, request); return;
    case CONTROL_FORM: on_form(n, request, control->body); return;
    case CONTROL_INVITE: on_invite(n, request, control->body); return;
    case CONTROL_JOIN:
        if (!n->open) break;
        on_join(n, request, hello, is_ours, control->body);
        return;
    case CONTROL_LEAD:
        if (!n->open || !is_ours) break;
        on_lead(n, request, hello);
        return;
    case CONTROL_UNBLOCK:
        if (!n->open || !is_ours) break;
        on_unblock(n, request, hello->source, control->body);
        return;
    default: break;
    }
    answer(request, ANSWER_NO, n->open ? "not understood" : "this node belongs to no cluster yet");
}

/* --- what goes on by itself --- */

/* Learners that have caught up become voters, one change at a time. */
static void promote(struct node *n) {
    if (!n->readable || members_are_joint(&n->members) || n->commit_index < n->members_index) return;
    struct raft_status s;
    raft_status(n->raft, &s);
    struct raft_members wanted = n->members;
    bool any = false;
    for (size_t i = 0; i < s.peer_count; i++) {
        struct raft_member *m = cluster_member(&wanted, s.peers[i].id);
        if (m == NULL || m->seat != RAFT_LEARNER || s.peers[i].state != RAFT_REPLICATE) continue;
        if (s.peers[i].match_index + PROMOTE_LAG_MAX < s.last_index) continue;
        m->seat = RAFT_VOTER;
        any = true;
    }
    if (any && cluster_change(n, &wanted) == RAFT_TAKEN)
        node_log("Learners that have caught up become voters");
}

/* Until a configuration with this node in it is committed, for one that is not may be lost again, and nobody would know
 * this node. */
static bool is_being_let_in(const struct node *n) {
    return n->identity.first.count == 0 && !n->identity.was_member;
}

/* The configuration in force has changed: is this node (still) one of it? */
void node_membership_moved(struct node *n, bool is_member) {
    n->is_member = is_member;
    n->joining = is_being_let_in(n);
}

/* Whether this node is out: it read so in the log, or was away when that was written, and nobody takes its links. */
static bool is_removed(const struct node *n) {
    if (!n->identity.was_member) return false;
    if (n->refused_by_count >= REFUSALS_MAX) return true;
    return n->commit_index >= n->members_index && n->members.count > 0 ? !n->is_member : n->removed;
}

static void settle_membership(struct node *n) {
    if (n->leader_id != 0) n->refused_by_count = 0;
    if (n->is_member && !n->identity.was_member && n->commit_index >= n->members_index) {
        n->identity.was_member = true;
        if (store_identity(n) != RC_OK) n->identity.was_member = false;
        n->joining = is_being_let_in(n);
    }
    bool removed = is_removed(n);
    if (removed == n->removed) return;
    n->removed = removed;
    node_log(removed ? "This node was removed from its cluster: it serves no longer"
                     : "This node belongs to its cluster again");
    node_leadership_moved(n, n->readable);
}

void node_tend_cluster(struct node *n) {
    if (n->open) {
        settle_membership(n);
        promote(n);
        node_end_parting(n);
        node_look_at_waiters(n);
    }
    if (mono_now_ms() - n->cluster->asked_at_ms < ASK_AGAIN_MS) return;
    n->cluster->asked_at_ms = mono_now_ms();
    if (n->identity.stage == IDENTITY_BLANK && wants_to_form(n)) {
        try_to_form(n);
        if (n->identity.stage == IDENTITY_BLANK) ask_who(n);
    } else if (n->identity.stage == IDENTITY_BLANK || n->joining) {
        ask_to_join(n);
    }
}
