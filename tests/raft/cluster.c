/* The cluster's machinery: disks, network, clocks and what a shell does with an update, in the order that
 * server/raft/README.md gives. */
#include "cluster.h"

#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more item of an array that doubles. */
#define ROOM(items, count, cap)                                                                              \
    do {                                                                                                     \
        if ((count) == (cap)) {                                                                              \
            (cap) = (cap) == 0 ? 8 : (cap)*2;                                                                \
            (items) = mem_realloc((items), (cap) * sizeof *(items));                                         \
        }                                                                                                    \
    } while (0)

/* --- logs --- */

const struct cl_entry *clog_at(const struct cl_log *log, uint64_t index) {
    if (index <= log->mark_index || index > clog_last(log)) return NULL;
    return &log->items[index - log->mark_index - 1];
}

uint64_t clog_term(const struct cl_log *log, uint64_t index) {
    if (index == log->mark_index) return log->mark_term;
    const struct cl_entry *e = clog_at(log, index);
    return e == NULL ? 0 : e->term;
}

void clog_cut(struct cl_log *log, uint64_t index) {
    const struct cl_entry *e = clog_at(log, index);
    if (e == NULL) return;
    size_t gone = index - log->mark_index;
    log->mark_index = index;
    log->mark_term = e->term;
    log->mark_chain = e->chain;
    log->count -= gone;
    memmove(log->items, log->items + gone, log->count * sizeof *log->items);
}

void clog_replace(struct cl_log *log, uint64_t first, const struct cl_entry *entries, size_t count) {
    CHECK(first > log->mark_index);
    CHECK(first <= clog_last(log) + 1);
    log->count = first - log->mark_index - 1;
    for (size_t i = 0; i < count; i++) {
        ROOM(log->items, log->count, log->cap);
        log->items[log->count++] = entries[i];
    }
}

static void clog_copy(struct cl_log *to, const struct cl_log *from) {
    to->mark_index = from->mark_index;
    to->mark_term = from->mark_term;
    to->mark_chain = from->mark_chain;
    to->count = 0;
    clog_replace(to, from->mark_index + 1, from->items, from->count);
}

static void clog_reset(struct cl_log *log, const struct cl_state *s) {
    log->count = 0;
    log->mark_index = s->index;
    log->mark_term = s->term;
    log->mark_chain = s->chain;
}

/* --- configurations --- */

static bool members_equal(const struct raft_members *a, const struct raft_members *b) {
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].id != b->items[i].id || a->items[i].seat != b->items[i].seat) return false;
    }
    return true;
}

const struct raft_members *cluster_members(struct cluster *c, const struct raft_members *m) {
    for (size_t i = c->member_count; i-- > 0;) {
        if (members_equal(c->members[i], m)) return c->members[i];
    }
    ROOM(c->members, c->member_count, c->member_cap);
    struct raft_members *copy = mem_alloc(sizeof *copy);
    *copy = *m;
    return c->members[c->member_count++] = copy;
}

void members_take(struct raft_members *m, uint64_t id) {
    for (size_t i = 0; i < m->count; i++) {
        if (m->items[i].id != id) continue;
        memmove(&m->items[i], &m->items[i + 1], (m->count - i - 1) * sizeof m->items[0]);
        m->count--;
        return;
    }
}

void members_put(struct raft_members *m, uint64_t id, enum raft_seat seat) {
    members_take(m, id);
    CHECK(m->count < RAFT_MEMBERS_MAX);
    size_t at = m->count;
    for (; at > 0 && m->items[at - 1].id > id; at--) m->items[at] = m->items[at - 1];
    m->items[at] = (struct raft_member){.id = id, .seat = seat};
    m->count++;
}

/* Written anew rather than borrowed from the core: a mistake there must not hide itself here. */
bool members_quorum(const struct raft_members *m, bool (*has)(void *arg, uint64_t id), void *arg) {
    size_t old_all = 0, old_yes = 0, new_all = 0, new_yes = 0;
    bool is_joint = false;
    for (size_t i = 0; i < m->count; i++) {
        enum raft_seat seat = m->items[i].seat;
        bool in_old = seat == RAFT_VOTER || seat == RAFT_VOTER_OUT || seat == RAFT_VOTER_DOWN;
        bool in_new = seat == RAFT_VOTER || seat == RAFT_VOTER_IN;
        bool yes = (in_old || in_new) && has(arg, m->items[i].id);
        is_joint |= in_old != in_new;
        old_all += in_old;
        new_all += in_new;
        old_yes += in_old && yes;
        new_yes += in_new && yes;
    }
    return 2 * new_yes > new_all && (!is_joint || 2 * old_yes > old_all);
}

/* --- nodes --- */

struct cl_options cluster_defaults(size_t voters) {
    return (struct cl_options){.voters = voters,
                               .seed = 1,
                               .election_us = 1000000,
                               .heartbeat_us = 100000,
                               .uncommitted_bytes_max = 10000,
                               .append_bytes_max = 1000,
                               .inflight_bytes_max = 10000,
                               .inflight_count_max = 8};
}

uint64_t cluster_clock(const struct cluster *c, const struct cl_node *n) {
    int64_t drift = (int64_t)(c->now_us / 1000) * n->clock_ppm / 1000;
    return c->now_us + (uint64_t)drift + n->clock_offset_us;
}

struct cl_node *cluster_node(struct cluster *c, uint64_t id) {
    CHECK(id > 0);
    CHECK(id <= CL_NODES_MAX);
    return &c->nodes[id];
}

/* Starts a core from what the disk holds. */
static void node_start(struct cluster *c, struct cl_node *n) {
    const struct cl_options *o = &c->options;
    struct raft_config config = {.id = n->id,
                                 .term = n->disk.term,
                                 .vote = n->disk.vote,
                                 .mark_index = n->disk.log.mark_index,
                                 .mark_term = n->disk.log.mark_term,
                                 .applied_index = n->disk.state.index,
                                 .now_us = cluster_clock(c, n),
                                 .seed = o->seed * 1000 + n->id * 50 + n->incarnation,
                                 .election_us = o->election_us,
                                 .heartbeat_us = o->heartbeat_us,
                                 .lease_us = o->lease_us,
                                 .uncommitted_bytes_max = o->uncommitted_bytes_max,
                                 .append_bytes_max = o->append_bytes_max,
                                 .inflight_bytes_max = o->inflight_bytes_max,
                                 .inflight_count_max = o->inflight_count_max};
    if (n->disk.state.members != NULL) {
        config.members = *n->disk.state.members;
        config.members_index = n->disk.state.members_index;
    }
    CHECK(raft_new(&config, &n->raft) == RC_OK);
    clog_copy(&n->log, &n->disk.log);
    n->state = n->disk.state;
    for (size_t i = 0; i < n->log.count; i++) {
        const struct cl_entry *e = &n->log.items[i];
        struct raft_entry entry = {n->log.mark_index + i + 1, e->term, e->kind, e->size, e->members};
        raft_restore(n->raft, &entry);
    }
    n->up = true;
    n->incarnation++;
    n->role = RAFT_FOLLOWER;
    n->term = n->disk.term;
    n->leader_id = n->read_id = n->lease_until_us = 0;
    n->commit_index = n->apply_index = n->state.index;
    n->read_done_id = n->read_lost_id = 0;
    n->readable = false;
    n->members_index = observe_newest_members(n, &n->members);
}

static void node_make(struct cluster *c, uint64_t id, const struct raft_members *members) {
    struct cl_node *n = cluster_node(c, id);
    CHECK(!n->exists);
    n->exists = true;
    n->disk.state.members = members;
    if (members != NULL && c->options.is_formed) {
        n->disk.term = 1;
        n->disk.state = (struct cl_state){1, 1, 1, members, 1};
        clog_reset(&n->disk.log, &n->disk.state);
    }
    if (c->options.puppets && id != 1) {
        n->is_puppet = true;
    } else {
        node_start(c, n);
    }
}

struct cl_node *cluster_add(struct cluster *c, uint64_t id) {
    node_make(c, id, NULL);
    return cluster_node(c, id);
}

struct cluster *cluster_new(const struct cl_options *options) {
    struct cluster *c = mem_calloc(1, sizeof *c);
    c->options = *options;
    c->now_us = 10000000;
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) c->nodes[id].id = id;
    struct raft_members first = {0};
    for (uint64_t id = 1; id <= options->voters + options->learners; id++) {
        members_put(&first, id, id <= options->voters ? RAFT_VOTER : RAFT_LEARNER);
    }
    const struct raft_members *kept = cluster_members(c, &first);
    for (uint64_t id = 1; id <= first.count; id++) node_make(c, id, kept);
    if (options->is_formed) observe_formed(c, &c->nodes[1].disk.state);
    return c;
}

static void snapshot_result(struct cluster *c, const struct cl_parcel *snapshot, uint64_t index);

static void stores_forget(struct cl_node *n, size_t count) {
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) mem_free(n->stores[i].entries);
    n->store_count -= count;
    n->written_count -= n->written_count < count ? n->written_count : count;
    memmove(n->stores, n->stores + count, n->store_count * sizeof *n->stores);
}

static void parcel_free(struct cl_parcel *p) {
    mem_free((void *)(uintptr_t)p->message.entries);
    mem_free(p->values);
    mem_free(p);
}

void cluster_free(struct cluster *c) {
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        struct cl_node *n = &c->nodes[id];
        if (n->up) raft_free(n->raft);
        stores_forget(n, n->store_count);
        mem_free(n->stores);
        if (n->installing != NULL) parcel_free(n->installing);
        mem_free(n->log.items);
        mem_free(n->disk.log.items);
        mem_free(n->reads);
        mem_free(n->votes);
    }
    for (size_t i = 0; i < c->net_count; i++) parcel_free(c->net[i]);
    for (size_t i = 0; i < c->member_count; i++) mem_free(c->members[i]);
    mem_free(c->net);
    mem_free(c->members);
    observe_free(c);
    buf_free(&c->text);
    mem_free(c);
}

struct cl_node *cluster_leader(struct cluster *c) {
    struct cl_node *best = NULL;
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        struct cl_node *n = &c->nodes[id];
        if (n->up && n->role == RAFT_LEADER && (best == NULL || n->term > best->term)) best = n;
    }
    return best;
}

/* --- disks --- */

/* The oldest store request that is not on the disk yet, all of it at once. */
void cluster_write(struct cluster *c, struct cl_node *n) {
    CHECK(n->written_count < n->store_count);
    const struct cl_store *s = &n->stores[n->written_count++];
    if (s->hard_state) {
        n->disk.term = s->term;
        n->disk.vote = s->vote;
    }
    if (s->entry_count > 0) {
        CHECK(s->first <= clog_last(&n->disk.log) + 1);
        clog_replace(&n->disk.log, s->first, s->entries, s->entry_count);
    }
    observe_written(c, n);
}

size_t cluster_store(struct cluster *c, uint64_t id, size_t count) {
    struct cl_node *n = cluster_node(c, id);
    size_t done = 0;
    while (done < count && n->up && n->store_count > 0) {
        if (n->written_count == 0) cluster_write(c, n);
        uint64_t store_id = n->stores[0].id;
        stores_forget(n, 1);
        say(c, "%" PRIu64 " stored #%" PRIu64 "\n", id, store_id);
        cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_STORED, .store_id = store_id});
        done++;
    }
    return done;
}

void cluster_crash(struct cluster *c, uint64_t id, size_t kept) {
    struct cl_node *n = cluster_node(c, id);
    CHECK(n->up);
    while (n->written_count < kept && n->written_count < n->store_count) cluster_write(c, n);
    raft_free(n->raft);
    n->raft = NULL;
    n->up = false;
    n->role = RAFT_FOLLOWER;
    n->lease_until_us = 0;
    n->readable = false;
    n->members = NULL;
    n->read_count = 0;
    n->log.count = 0;
    stores_forget(n, n->store_count);
    if (n->installing == NULL) return;
    snapshot_result(c, n->installing, 0);
    parcel_free(n->installing);
    n->installing = NULL;
}

void cluster_restart(struct cluster *c, uint64_t id) {
    struct cl_node *n = cluster_node(c, id);
    CHECK(n->exists);
    CHECK(!n->up);
    node_start(c, n);
}

void cluster_flush(struct cluster *c, uint64_t id) {
    struct cl_node *n = cluster_node(c, id);
    (void)c;
    /* Never ahead of the own log: apply_index waits for it. */
    if (n->up) n->disk.state = n->state;
}

void cluster_cut(struct cluster *c, uint64_t id, uint64_t index) {
    struct cl_node *n = cluster_node(c, id);
    CHECK(n->up);
    CHECK(index <= n->disk.state.index);
    if (index <= n->log.mark_index) return;
    clog_cut(&n->disk.log, index);
    clog_cut(&n->log, index);
    cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_CUT, .index = index});
}

/* --- the network --- */

void cluster_post(struct cluster *c, struct cl_parcel *p) {
    ROOM(c->net, c->net_count, c->net_cap);
    c->net[c->net_count++] = p;
}

static struct cl_parcel *post(struct cluster *c, enum cl_parcel_kind kind, uint64_t from, uint64_t to) {
    struct cl_parcel *p = mem_calloc(1, sizeof *p);
    p->kind = kind;
    p->from = from;
    p->to = to;
    cluster_post(c, p);
    return p;
}

static struct cl_parcel *post_message(struct cluster *c, const struct raft_message *m) {
    struct cl_parcel *p = post(c, CL_MESSAGE, m->from, m->to);
    p->message = *m;
    p->message.entries = NULL;
    if (m->entry_count > 0) p->values = mem_calloc(m->entry_count, sizeof *p->values);
    return p;
}

static void post_copy(struct cluster *c, const struct raft_message *m, const uint64_t *values) {
    struct cl_parcel *p = post_message(c, m);
    if (m->entry_count == 0) return;
    struct raft_entry *entries = mem_alloc(m->entry_count * sizeof *entries);
    memcpy(entries, m->entries, m->entry_count * sizeof *entries);
    memcpy(p->values, values, m->entry_count * sizeof *values);
    p->message.entries = entries;
}

void cluster_send(struct cluster *c, const struct raft_message *m, const uint64_t *values) {
    post_copy(c, m, values);
}

void cluster_last_round(struct cluster *c, uint64_t from, uint64_t to, uint64_t *round, uint64_t *sent_us) {
    for (size_t i = c->net_count; i-- > 0;) {
        const struct cl_parcel *p = c->net[i];
        if (p->kind != CL_MESSAGE || p->from != from || p->to != to || p->message.round == 0) continue;
        *round = p->message.round;
        *sent_us = p->message.sent_us;
        return;
    }
}

static struct cl_parcel *net_take(struct cluster *c, size_t at) {
    CHECK(at < c->net_count);
    struct cl_parcel *p = c->net[at];
    c->net_count--;
    memmove(&c->net[at], &c->net[at + 1], (c->net_count - at) * sizeof *c->net);
    return p;
}

/* A node sends: the shell adds the entries' bytes from its log. */
static void node_send(struct cluster *c, struct cl_node *n, const struct raft_message *m) {
    CHECK(m->from == n->id);
    CHECK(m->entries == NULL);
    observe_message(c, n, m);
    struct cl_parcel *p = post_message(c, m);
    if (m->entry_count == 0) return;
    struct raft_entry *entries = mem_calloc(m->entry_count, sizeof *entries);
    p->message.entries = entries;
    for (size_t i = 0; i < m->entry_count; i++) {
        uint64_t index = m->prev_index + 1 + i;
        const struct cl_entry *e = clog_at(&n->log, index);
        if (e == NULL) {
            cluster_violation(c, "node %" PRIu64 " sends entry %" PRIu64 ", which it does not have", n->id,
                              index);
        }
        entries[i] = (struct raft_entry){index, e->term, e->kind, e->size, e->members};
        p->values[i] = e->value;
    }
}

static void snapshot_result(struct cluster *c, const struct cl_parcel *snapshot, uint64_t index) {
    struct cl_parcel *p = post(c, CL_SNAPSHOT_RESULT, snapshot->to, snapshot->from);
    p->snapshot.index = index;
    p->incarnation = snapshot->incarnation;
}

/* The sender of a snapshot hears of its end in any case, if only from its own patience. */
void cluster_drop(struct cluster *c, size_t at) {
    struct cl_parcel *p = net_take(c, at);
    if (p->kind == CL_SNAPSHOT) snapshot_result(c, p, 0);
    if (p->kind == CL_SNAPSHOT_RESULT) {
        struct cl_parcel *failed = post(c, CL_SNAPSHOT_RESULT, p->from, p->to);
        failed->incarnation = p->incarnation;
    }
    parcel_free(p);
}

void cluster_duplicate(struct cluster *c, size_t at) {
    CHECK(at < c->net_count);
    const struct cl_parcel *p = c->net[at];
    if (p->kind == CL_MESSAGE) post_copy(c, &p->message, p->values);
}

void cluster_heal(struct cluster *c) {
    memset(c->blocked, 0, sizeof c->blocked);
}

/* --- what a shell does with an update --- */

static void take_store(struct cluster *c, struct cl_node *n, const struct raft_update *up) {
    ROOM(n->stores, n->store_count, n->store_cap);
    struct cl_store *s = &n->stores[n->store_count++];
    *s = (struct cl_store){.id = up->store_id,
                           .term = up->term,
                           .vote = up->vote,
                           .first = up->store_first,
                           .hard_state = up->store_hard_state};
    if (up->store_first == 0) return;
    s->entry_count = up->store_last - up->store_first + 1;
    s->entries = mem_calloc(s->entry_count, sizeof *s->entries);
    for (size_t i = 0; i < s->entry_count; i++) {
        const struct raft_entry *e = &up->entry;
        uint64_t value = 0;
        if (!up->appended) {
            CHECK(c->incoming != NULL);
            const struct raft_message *m = &c->incoming->message;
            size_t at = up->store_first + i - m->prev_index - 1;
            CHECK(at < m->entry_count);
            e = &m->entries[at];
            value = c->incoming->values[at];
        } else if (e->kind == RAFT_ENTRY_COMMANDS) {
            ROOM(c->proposals, c->proposal_count, c->proposal_cap);
            value = c->proposal_count;
            c->proposals[c->proposal_count++] =
                (struct cl_proposal){n->id, n->incarnation, e->index, e->term};
        }
        CHECK(e->index == up->store_first + i);
        s->entries[i] = (struct cl_entry){.term = e->term, .value = value, .kind = e->kind, .size = e->size};
        if (e->kind == RAFT_ENTRY_MEMBERS) s->entries[i].members = cluster_members(c, e->members);
    }
    observe_append(c, n, up->store_first, s->entries, s->entry_count);
    clog_replace(&n->log, up->store_first, s->entries, s->entry_count);
}

static void take_snapshot_order(struct cluster *c, struct cl_node *n, uint64_t to) {
    struct cl_parcel *p = post(c, CL_SNAPSHOT, n->id, to);
    p->snapshot = c->options.old_snapshots ? n->disk.state : n->state;
    p->term = n->term;
    p->incarnation = n->incarnation;
}

static void apply_one(struct cluster *c, struct cl_node *n) {
    uint64_t index = n->state.index + 1;
    const struct cl_entry *e = clog_at(&n->log, index);
    if (e == NULL) cluster_violation(c, "node %" PRIu64 " has no entry %" PRIu64 " to apply", n->id, index);
    n->state.index = index;
    n->state.term = e->term;
    n->state.chain = e->chain;
    if (e->kind == RAFT_ENTRY_MEMBERS) {
        n->state.members = e->members;
        n->state.members_index = index;
    }
    observe_apply(c, n, index);
}

void cluster_apply(struct cluster *c, uint64_t id, size_t count) {
    struct cl_node *n = cluster_node(c, id);
    uint64_t first = n->state.index + 1;
    for (; count > 0 && n->state.index < n->apply_index; count--) apply_one(c, n);
    if (n->state.index < first) return;
    if (first == n->state.index) {
        say(c, "%" PRIu64 " applies %" PRIu64 "\n", id, first);
    } else {
        say(c, "%" PRIu64 " applies %" PRIu64 " to %" PRIu64 "\n", id, first, n->state.index);
    }
    cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = n->state.index});
}

static void take_update(struct cluster *c, struct cl_node *n, const struct raft_update *up) {
    struct cl_node before = {.role = n->role,
                             .term = n->term,
                             .leader_id = n->leader_id,
                             .commit_index = n->commit_index,
                             .members_index = n->members_index,
                             .members = n->members,
                             .readable = n->readable,
                             .read_done_id = n->read_done_id,
                             .read_lost_id = n->read_lost_id};
    n->role = up->role;
    n->refused = up->refused;
    n->leader_id = up->leader_id;
    n->apply_index = up->apply_index;
    n->readable = up->readable;
    n->lease_until_us = up->lease_until_us;
    n->members_index = up->members_index;
    if (up->members == NULL) {
        n->members = NULL;
    } else if (n->members == NULL || !members_equal(n->members, up->members)) {
        n->members = cluster_members(c, up->members);
    }
    if (up->store_hard_state) n->term = up->term;
    if (up->store_id != 0) take_store(c, n, up);
    n->commit_index = up->commit_index;
    observe_update(c, n, up, &before);
    observe_reads(c, n, up);
    if (c->options.trace) say_update(c, n, up, &before);
    for (size_t i = 0; i < up->message_count; i++) node_send(c, n, &up->messages[i]);
    if (up->snapshot_to != 0) take_snapshot_order(c, n, up->snapshot_to);
    observe_core(c, n);
    if (!n->is_lazy) cluster_apply(c, n->id, SIZE_MAX);
}

bool cluster_step(struct cluster *c, struct cl_node *n, struct raft_event ev) {
    CHECK(n->up);
    ev.now_us = cluster_clock(c, n);
    c->steps++;
    struct raft_update up;
    if (raft_step(n->raft, &ev, &up) != RC_OK) {
        say(c, "%" PRIu64 " calls that invalid\n", n->id);
        if (c->options.strict)
            cluster_violation(c, "node %" PRIu64 " calls event %d invalid", n->id, (int)ev.type);
        return false;
    }
    take_update(c, n, &up);
    return true;
}

/* A verified snapshot is there. Everything asked of the disk before comes before it. */
static bool deliver_snapshot(struct cluster *c, struct cl_node *n, struct cl_parcel *p) {
    struct raft_event ev = {.type = RAFT_EVENT_SNAPSHOT,
                            .now_us = cluster_clock(c, n),
                            .peer = p->from,
                            .term = p->term,
                            .index = p->snapshot.index,
                            .snapshot_term = p->snapshot.term,
                            .members = p->snapshot.members,
                            .members_index = p->snapshot.members_index};
    struct raft_update up;
    c->steps++;
    if (raft_step(n->raft, &ev, &up) != RC_OK) {
        cluster_violation(c, "node %" PRIu64 " calls a snapshot invalid", n->id);
    }
    if (up.install) {
        if (n->installing != NULL)
            cluster_violation(c, "node %" PRIu64 " installs two snapshots at once", n->id);
        n->installing = p;
    } else {
        snapshot_result(c, p, up.commit_index >= p->snapshot.index ? p->snapshot.index : 0);
    }
    take_update(c, n, &up);
    return up.install;
}

static void install(struct cluster *c, struct cl_node *n) {
    n->disk.state = n->state = n->installing->snapshot;
    clog_reset(&n->disk.log, &n->state);
    clog_reset(&n->log, &n->state);
    observe_installed(c, n);
}

bool cluster_install(struct cluster *c, uint64_t id) {
    struct cl_node *n = cluster_node(c, id);
    if (!n->up || n->installing == NULL || n->store_count > 0) return false;
    if (c->install != INSTALL_WORKS) {
        if (c->install == INSTALL_CRASHES_AFTER) install(c, n);
        c->install = INSTALL_WORKS;
        say(c, "%" PRIu64 " crashes while it installs a snapshot\n", id);
        cluster_crash(c, id, 0);
        return true;
    }
    struct cl_parcel *p = n->installing;
    install(c, n);
    n->installing = NULL;
    say(c, "%" PRIu64 " installed a snapshot of %" PRIu64 "\n", id, p->snapshot.index);
    snapshot_result(c, p, p->snapshot.index);
    parcel_free(p);
    cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_INSTALLED, .index = n->state.index});
    return true;
}

static void deliver_result(struct cluster *c, struct cl_node *n, const struct cl_parcel *p) {
    if (n->incarnation != p->incarnation) return;
    cluster_step(
        c, n,
        (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_SENT, .peer = p->from, .index = p->snapshot.index});
}

void cluster_deliver(struct cluster *c, size_t at) {
    CHECK(at < c->net_count);
    struct cl_parcel *p = c->net[at];
    struct cl_node *n = cluster_node(c, p->to);
    if (!n->up || (p->kind != CL_SNAPSHOT_RESULT && c->blocked[p->from][p->to])) {
        if (!n->up && p->kind == CL_SNAPSHOT_RESULT) {
            parcel_free(net_take(c, at));
        } else {
            cluster_drop(c, at);
        }
        return;
    }
    net_take(c, at);
    if (c->options.trace) {
        struct buf b = {0};
        text_parcel(&b, p);
        say(c, "> %.*s\n", (int)b.len, b.data);
        buf_free(&b);
    }
    if (p->kind == CL_SNAPSHOT) {
        if (deliver_snapshot(c, n, p)) return;
    } else if (p->kind == CL_SNAPSHOT_RESULT) {
        deliver_result(c, n, p);
    } else {
        c->incoming = p;
        struct raft_event ev = {.type = RAFT_EVENT_MESSAGE, .message = &p->message};
        cluster_step(c, n, ev);
        c->incoming = NULL;
    }
    parcel_free(p);
}

/* --- single events --- */

void cluster_tick(struct cluster *c, uint64_t id) {
    struct cl_node *n = cluster_node(c, id);
    if (n->up) cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_TICK});
}

bool cluster_propose(struct cluster *c, uint64_t id, size_t size) {
    struct cl_node *n = cluster_node(c, id);
    cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_PROPOSE, .size = size});
    return n->refused == RAFT_TAKEN;
}

bool cluster_read(struct cluster *c, uint64_t id) {
    struct cl_node *n = cluster_node(c, id);
    cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_READ});
    return n->refused == RAFT_TAKEN;
}

bool cluster_change(struct cluster *c, uint64_t id, const struct raft_members *wanted) {
    struct cl_node *n = cluster_node(c, id);
    struct raft_event ev = {.type = RAFT_EVENT_CHANGE, .members = wanted, .index = n->members_index};
    cluster_step(c, n, ev);
    return n->refused == RAFT_TAKEN;
}

bool cluster_transfer(struct cluster *c, uint64_t id, uint64_t to) {
    struct cl_node *n = cluster_node(c, id);
    cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_TRANSFER, .peer = to});
    return n->refused == RAFT_TAKEN;
}

void cluster_campaign(struct cluster *c, uint64_t id) {
    cluster_step(c, cluster_node(c, id), (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
}

/* --- many events --- */

void cluster_settle(struct cluster *c) {
    for (int round = 0; round < 10000; round++) {
        bool moved = false;
        for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
            struct cl_node *n = &c->nodes[id];
            if (n->up && !n->is_slow) moved |= cluster_store(c, id, SIZE_MAX) > 0;
            if (n->up && !n->is_slow) moved |= cluster_install(c, id);
        }
        size_t count = c->net_count;
        for (size_t i = 0; i < count && c->net_count > 0; i++) {
            moved = true;
            cluster_deliver(c, 0);
        }
        if (!moved) return;
    }
    cluster_violation(c, "the cluster never comes to rest");
}

void cluster_pass(struct cluster *c, uint64_t us) {
    c->now_us += us;
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) cluster_tick(c, id);
}

void cluster_run(struct cluster *c, uint64_t us_total) {
    for (uint64_t us = 0; us < us_total; us += c->options.heartbeat_us / 2) {
        cluster_pass(c, c->options.heartbeat_us / 2);
        cluster_settle(c);
    }
}
