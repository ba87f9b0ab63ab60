/* Changing who is a member, by way of a joint configuration when the voters change (thesis, 4.3), and handing
 * leadership over (3.10). A configuration is in force from the moment it is in the log. */
#include "raft_internal.h"

#include <string.h>

/* --- membership --- */

static bool is_plain(const struct raft_members *m) {
    return members_are_sound(m) && !members_are_joint(m);
}

static bool members_are_equal(const struct raft_members *a, const struct raft_members *b) {
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct raft_member *x = &a->items[i], *y = &b->items[i];
        if (x->id != y->id || x->seat != y->seat || strcmp(x->address, y->address) != 0) return false;
    }
    return true;
}

/* One change at a time, and none before this leader has committed something of its own: two leaders' changes
 * could otherwise each have a majority (pitfalls M1, M2). */
static enum raft_refusal refuse_change(const struct raft *r, const struct raft_event *e) {
    if (r->role != RAFT_LEADER) return RAFT_NOT_LEADER;
    if (r->transfer_to != 0) return RAFT_TRANSFERRING;
    if (!has_own_commit(r) && !MUTANT(36)) return RAFT_NOT_YET;
    const struct log_config *newest = log_newest_config(&r->log);
    if (newest->index > r->commit_index && !MUTANT(37)) return RAFT_CHANGING;
    if (members_are_joint(&newest->members)) return RAFT_CHANGING;
    if (e->index != newest->index) return RAFT_CHANGING;
    if (!is_plain(e->members) || members_are_equal(e->members, &newest->members)) return RAFT_SENSELESS;
    return can_store(r) ? RAFT_TAKEN : RAFT_TOO_MUCH;
}

void on_change(struct raft *r, const struct raft_event *e) {
    r->refused = refuse_change(r, e);
    if (r->refused != RAFT_TAKEN) return;
    struct raft_members next;
    members_enter(members_now(r), e->members, &next);
    if (!members_are_sound(&next))
        r->refused = RAFT_SENSELESS; /* too many while both majorities stand */
    else
        leader_append(r, RAFT_ENTRY_MEMBERS, 0, &next);
}

static struct peer *most_up_to_date(struct raft *r);
static void send_timeout_now(struct raft *r, struct peer *p);

/* This node is no voter any more, and that is committed: the others hear of it, and the best of them takes
 * over at once (pitfall M6). */
static void resign(struct raft *r) {
    broadcast_heartbeat(r);
    struct peer *heir = most_up_to_date(r);
    if (heir != NULL) send_timeout_now(r, heir);
    become_follower(r, r->term, 0);
}

/* It leads until the configuration without it is committed, and takes no proposals meanwhile: what is still
 * under way when it steps down has an unknown end. */
bool is_leaving(const struct raft *r) {
    const struct raft_member *self = members_find(members_now(r), r->config.id);
    return self == NULL || self->seat == RAFT_LEARNER;
}

/* What the newest configuration asks of the leader once it is committed. */
void change_finish(struct raft *r) {
    const struct log_config *newest = log_newest_config(&r->log);
    if ((newest->index > r->commit_index && !MUTANT(54)) || !has_own_commit(r)) return;
    if (members_are_joint(&newest->members)) {
        /* Any leader finishes what another began (pitfall M9); not while it hands over: then the next one
         * does. */
        if (r->has_appended || r->transfer_to != 0 || !can_store(r) || MUTANT(40)) return;
        struct raft_members next;
        members_leave(&newest->members, &next);
        leader_append(r, RAFT_ENTRY_MEMBERS, 0, &next);
        return;
    }
    peers_drop_leaving(r);
    if (is_leaving(r) && !MUTANT(38)) resign(r);
}

/* --- transfer --- */

static bool may_lead(const struct raft *r, uint64_t id) {
    const struct raft_member *m = members_find(members_now(r), id);
    return m != NULL && seat_votes_new(m->seat) && id != r->config.id;
}

static bool is_heard(const struct raft *r, const struct peer *p) {
    return p->heard_us != 0 && r->now_us - p->heard_us <= r->config.election_us;
}

/* Of the peers that may lead and are alive, the one with the longest log; NULL: none. */
static struct peer *most_up_to_date(struct raft *r) {
    struct peer *best = NULL;
    for (size_t i = 0; i < r->peer_count; i++) {
        struct peer *p = &r->peers[i];
        if (!may_lead(r, p->id) || !is_heard(r, p)) continue;
        if (best == NULL || p->match > best->match ||
            (p->match == best->match && p->heard_us > best->heard_us))
            best = p;
    }
    return best;
}

static void send_timeout_now(struct raft *r, struct peer *p) {
    r->lease_forfeited = true;
    send_message(r, &(struct raft_message){.kind = RAFT_TIMEOUT_NOW,
                                           .from = r->config.id,
                                           .to = p->id,
                                           .term = r->term,
                                           .round = r->round,
                                           .sent_us = r->now_us});
}

void on_transfer(struct raft *r, uint64_t id) {
    if (r->role != RAFT_LEADER) {
        r->refused = RAFT_NOT_LEADER;
        return;
    }
    if (r->transfer_to != 0) {
        r->refused = RAFT_TRANSFERRING;
        return;
    }
    struct peer *p = id == 0 ? most_up_to_date(r) : may_lead(r, id) ? peer_find(r, id) : NULL;
    if (p == NULL) {
        r->refused = RAFT_SENSELESS;
        return;
    }
    r->transfer_to = p->id;
    r->transfer_until_us = r->now_us + r->config.election_us;
    send_appends(r, p, false);
    transfer_go_on(r);
}

/* As soon as the target has everything, durably, it is told to campaign (pitfall T2); nothing new is appended
 * meanwhile. */
void transfer_go_on(struct raft *r) {
    if (r->transfer_to == 0) return;
    struct peer *p = peer_find(r, r->transfer_to);
    CHECK(p != NULL);
    if (p->match == r->log.last_index || MUTANT(46)) send_timeout_now(r, p);
}

/* Leadership stays here; a lease must be earned by messages sent from now on (pitfall R7). */
void transfer_end(struct raft *r) {
    r->transfer_to = 0;
    r->lease_floor_us = r->now_us;
}

void transfer_tick(struct raft *r) {
    if (r->transfer_to == 0) return;
    if (r->now_us >= r->transfer_until_us)
        transfer_end(r);
    else if (r->now_us >= r->heartbeat_due_us)
        transfer_go_on(r);
}
