/* Terms, votes, and who may stand for election. Pre-vote always comes first (Raft thesis, 9.6), except for a
 * transfer; a node that hears a leader, or leads, does not listen to candidates (thesis, 4.2.3). */
#include "raft_internal.h"

#include <string.h>

bool is_lone_voter(const struct raft *r) {
    const struct raft_members *m = members_now(r);
    const struct raft_member *self = members_find(m, r->config.id);
    if (self == NULL || self->seat != RAFT_VOTER) return false;
    for (size_t i = 0; i < m->count; i++)
        if (&m->items[i] != self && m->items[i].seat != RAFT_LEARNER) return false;
    return true;
}

/* A lone voter has nobody to wait for (but it stands for election all the same, pitfall E12); unless it is
 * about to become one, and the leader that is leaving may still count on it. */
void reset_election(struct raft *r) {
    uint64_t t = r->config.election_us;
    bool at_once = is_lone_voter(r) && r->now_us >= r->sticky_until_us;
    r->election_due_us = r->now_us + (at_once ? 0 : t + rng_below(&r->rng, t));
}

bool is_sticky(const struct raft *r) {
    if (MUTANT(12)) return false;
    if (r->role == RAFT_LEADER) return r->now_us - leader_quorum(r, QUORUM_HEARD) <= r->config.election_us;
    return r->now_us < r->sticky_until_us;
}

static bool votes_in(const struct raft_members *m, uint64_t id) {
    const struct raft_member *self = members_find(m, id);
    return self != NULL && (seat_votes_old(self->seat) || seat_votes_new(self->seat));
}

/* Who votes in any configuration that may be the one in force for the others: from the committed one, as far
 * as this node knows, to the newest in its log. A node that has written itself out may be the only one whose
 * log is long enough to finish the change, and after a restart it may have forgotten how much of it was
 * committed (pitfall M7). Votes are counted by the newest configuration all the same. */
static bool may_campaign_for(const struct raft *r) {
    const struct log_view *l = &r->log;
    const struct log_config *oldest = log_config_at(l, r->commit_index);
    for (const struct log_config *c = log_newest_config(l); c >= oldest; c--) {
        if (votes_in(&c->members, r->config.id)) return true;
        if (MUTANT(51)) return false;
    }
    return false;
}

bool is_promotable(const struct raft *r) {
    if ((r->is_installing && !MUTANT(14)) || !can_store(r) || disk_is_stalled(r)) return false;
    return members_now(r)->count > 0 && may_campaign_for(r);
}

void become_follower(struct raft *r, uint64_t term, uint64_t leader_id) {
    CHECK(term >= r->term);
    CHECK(leader_id != r->config.id);
    if (r->role == RAFT_LEADER) leader_end(r);
    if (term > r->term) {
        r->term = term;
        if (!MUTANT(8)) r->vote = 0;
    }
    r->held_count = 0;
    r->role = RAFT_FOLLOWER;
    r->leader_id = leader_id;
    /* What is committed is in every later leader's log (leader completeness); of the rest nothing is known
     * yet. */
    r->verified_index = r->told_index = r->commit_index;
    r->round_heard = r->sent_us_heard = 0;
    r->reply_due = false;
    reset_election(r);
}

/* --- campaigns --- */

static bool has_won(const struct raft *r) {
    const struct raft_members *m = members_now(r);
    uint64_t old_votes[RAFT_VOTERS_MAX], new_votes[RAFT_VOTERS_MAX];
    size_t old_count = 0, new_count = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (seat_votes_old(m->items[i].seat)) old_votes[old_count++] = r->granted[i];
        if (seat_votes_new(m->items[i].seat)) new_votes[new_count++] = r->granted[i];
    }
    if (old_count == 0 || new_count == 0) return false;
    return quorum_index(old_votes, old_count) == 1 && quorum_index(new_votes, new_count) == 1;
}

static void grant(struct raft *r, uint64_t id) {
    const struct raft_member *member = members_find(members_now(r), id);
    if (member != NULL) r->granted[member - members_now(r)->items] = true;
}

/* Asks every voter that has not granted yet. What is told of the log is durable when the message leaves: a
 * pre-vote tells of the stored part only, a vote waits for its own store, which is behind all earlier ones
 * (pitfall E7). */
static void request_votes(struct raft *r) {
    bool pre_vote = r->role == RAFT_PRE_CANDIDATE;
    uint64_t last_index = pre_vote && !MUTANT(7) ? r->log.stored_index : r->log.last_index;
    const struct raft_members *m = members_now(r);
    for (size_t i = 0; i < m->count; i++) {
        const struct raft_member *to = &m->items[i];
        if (to->id == r->config.id || to->seat == RAFT_LEARNER || r->granted[i]) continue;
        send_message(r, &(struct raft_message){.kind = RAFT_VOTE,
                                               .from = r->config.id,
                                               .to = to->id,
                                               .term = r->term + pre_vote,
                                               .pre_vote = pre_vote,
                                               .is_transfer = !pre_vote && r->is_transfer,
                                               .last_index = last_index,
                                               .last_term = MUTANT(6) && last_index == r->log.mark_index
                                                                ? 0
                                                                : log_term_at(&r->log, last_index)});
    }
    r->resend_due_us = r->now_us + r->config.heartbeat_us;
}

static void campaign_for_term(struct raft *r, bool is_transfer) {
    become_follower(r, r->term + 1, 0);
    r->role = RAFT_CANDIDATE;
    r->vote = r->config.id;
    r->is_transfer = is_transfer;
    if (!MUTANT(11)) memset(r->granted, 0, sizeof r->granted);
    /* Held until the vote for itself is durable; only then that one counts (pitfall E1). */
    request_votes(r);
}

void campaign(struct raft *r) {
    become_follower(r, r->term, 0);
    r->role = RAFT_PRE_CANDIDATE;
    memset(r->granted, 0, sizeof r->granted);
    grant(r, r->config.id);
    if (has_won(r))
        campaign_for_term(r, false);
    else
        request_votes(r);
}

void election_tick(struct raft *r) {
    if (r->now_us >= r->election_due_us) {
        if (r->role == RAFT_CANDIDATE && !hard_state_is_durable(r) && !disk_is_stalled(r))
            return; /* its requests have not even left */
        if (is_promotable(r))
            campaign(r);
        else
            become_follower(r, r->term, 0); /* its leader, if it had one, is gone */
        return;
    }
    bool is_asking = r->role == RAFT_PRE_CANDIDATE || (r->role == RAFT_CANDIDATE && hard_state_is_durable(r));
    if (is_asking && r->now_us >= r->resend_due_us) request_votes(r);
}

static void become_leader(struct raft *r) {
    CHECK(r->role == RAFT_CANDIDATE);
    CHECK(hard_state_is_durable(r));
    CHECK(r->log.stored_index == r->log.last_index);
    r->role = RAFT_LEADER;
    r->leader_id = r->config.id;
    leader_begin(r);
}

void on_own_vote_durable(struct raft *r) {
    CHECK(r->role == RAFT_CANDIDATE);
    CHECK(r->vote == r->config.id);
    grant(r, r->config.id);
    if (has_won(r)) become_leader(r);
}

/* --- votes --- */

static void reply_to_vote(struct raft *r, const struct raft_message *m, bool is_granted) {
    send_message(r, &(struct raft_message){.kind = RAFT_VOTE_REPLY,
                                           .from = r->config.id,
                                           .to = m->from,
                                           .term = m->pre_vote && is_granted ? m->term : r->term,
                                           .pre_vote = m->pre_vote,
                                           .rejected = !is_granted});
}

void on_vote_of_lower_term(struct raft *r, const struct raft_message *m) {
    reply_to_vote(r, m, false);
}

void on_vote(struct raft *r, const struct raft_message *m) {
    if (is_sticky(r) && (m->pre_vote || !m->is_transfer)) {
        if (m->pre_vote && m->term == r->term)
            reply_to_vote(r, m, false); /* it is behind: let it know the term */
        return;
    }
    if (!m->pre_vote && m->term > r->term) become_follower(r, m->term, 0);
    bool is_free = m->term > r->term || r->vote == m->from || (r->vote == 0 && r->leader_id == 0);
    uint64_t last_term = log_term_at(&r->log, r->log.last_index);
    if (MUTANT(5)) last_term = m->last_term;
    bool is_up_to_date =
        m->last_term > last_term || (m->last_term == last_term && m->last_index >= r->log.last_index);
    bool is_granted = is_free && is_up_to_date;
    if (is_granted && (!m->pre_vote || MUTANT(9))) {
        r->vote = m->from;
        reset_election(r);
    }
    reply_to_vote(r, m, is_granted);
}

/* Refusals are not counted: whoever is refused hears a higher term, or tries again after its time-out. */
void on_vote_reply(struct raft *r, const struct raft_message *m) {
    if (m->rejected) return;
    if (m->pre_vote && !(MUTANT(4) && r->role == RAFT_CANDIDATE)) {
        if (r->role != RAFT_PRE_CANDIDATE || m->term != r->term + 1) return;
        grant(r, m->from);
        if (has_won(r)) campaign_for_term(r, false);
    } else {
        if (r->role != RAFT_CANDIDATE || (m->term != r->term && !MUTANT(3)) || !hard_state_is_durable(r))
            return;
        grant(r, m->from);
        if (has_won(r)) become_leader(r);
    }
}

void on_timeout_now(struct raft *r, const struct raft_message *m) {
    if (r->role != RAFT_FOLLOWER || m->term != r->term || m->from != r->leader_id || !is_promotable(r))
        return;
    campaign_for_term(r, true);
}
