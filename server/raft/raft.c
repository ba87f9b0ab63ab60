/* See raft.h. This file is the way in and the way out: which events make sense, who handles them, what the
 * update says, and what must hold after every step. The rules themselves stand in election.c, follower.c,
 * replication.c, read.c and change.c. */
#include "raft_internal.h"

#include "mem.h"

#include <string.h>

/* --- life --- */

static bool config_is_sound(const struct raft_config *c) {
    if (c->id == 0 || c->term > TERM_MAX || c->mark_term > c->term) return false;
    if (c->mark_index > c->applied_index || c->members_index > c->applied_index) return false;
    if (c->members.count > 0 && !members_are_sound(&c->members)) return false;
    if (c->election_us == 0 || c->election_us > UINT64_MAX / 8) return false;
    if (c->heartbeat_us == 0 || c->heartbeat_us >= c->election_us / 2) return false; /* pitfall E18 */
    if (c->lease_us >= c->election_us) return false;
    if (c->append_bytes_max == 0 || c->inflight_bytes_max == 0) return false;
    return c->inflight_count_max > 0 && c->inflight_count_max <= RAFT_INFLIGHT_MAX;
}

enum rc raft_new(const struct raft_config *config, struct raft **out) {
    if (!config_is_sound(config)) return RC_INVALID;
    struct raft *r = mem_calloc(1, sizeof *r);
    r->config = *config;
    r->now_us = config->now_us;
    r->rng.state = config->seed;
    r->role = RAFT_FOLLOWER;
    r->term = r->asked_term = r->stored_term = config->term;
    r->vote = r->asked_vote = r->stored_vote = config->vote;
    r->commit_index = r->applied_index = config->applied_index;
    r->verified_index = r->told_index = r->commit_index;
    r->store_next = 1;
    log_init(&r->log, config->mark_index, config->mark_term, &config->members, config->members_index);
    *out = r;
    return RC_OK;
}

void raft_restore(struct raft *r, const struct raft_entry *entry) {
    CHECK(!r->is_started);
    CHECK(entry->term <= r->term);
    log_append(&r->log, entry);
    r->log.stored_index = r->log.last_index;
    if (entry->index > r->commit_index) r->uncommitted_bytes += entry->size;
}

/* Before the first step, when the log is complete. Whoever may have answered a leader before it was restarted
 * behaves as if it had heard it just now, because that leader may hold a lease on the answer. */
static void start(struct raft *r) {
    CHECK(r->log.last_index >= r->applied_index);
    r->is_started = true;
    bool is_alone = is_lone_voter(r) && log_newest_config(&r->log)->index <= r->applied_index;
    r->sticky_until_us =
        r->term == 0 || is_alone || MUTANT(49) ? r->now_us : r->now_us + r->config.election_us;
    reset_election(r);
}

void raft_free(struct raft *r) {
    log_free(&r->log);
    mem_free(r->messages);
    mem_free(r);
}

/* --- what makes sense --- */

static bool message_is_sound(const struct raft *r, const struct raft_message *m) {
    if (m == NULL || m->to != r->config.id || m->from == 0 || m->from == r->config.id) return false; /* L22 */
    if (m->term == 0 || m->term > TERM_MAX) return false;
    bool is_rival = r->role == RAFT_LEADER || (r->leader_id != 0 && r->leader_id != m->from);
    switch (m->kind) {
    case RAFT_APPEND:
        if (m->term == r->term && is_rival) return false; /* two leaders of one term: somebody lies */
        return append_is_sound(r, m);
    case RAFT_HEARTBEAT: return m->term != r->term || !is_rival;
    case RAFT_VOTE: return m->last_term < m->term || (!m->pre_vote && m->last_term == m->term);
    case RAFT_APPEND_REPLY:
    case RAFT_HEARTBEAT_REPLY:
    case RAFT_VOTE_REPLY:
    case RAFT_TIMEOUT_NOW: return true;
    }
    return false;
}

static bool snapshot_is_sound(const struct raft *r, const struct raft_event *e) {
    if (e->members == NULL || !members_are_sound(e->members) || e->members_index > e->index) return false;
    if (e->index == 0 || e->index > UINT64_MAX / 2 || e->snapshot_term == 0) return false;
    if (e->snapshot_term > e->term || e->term > TERM_MAX || e->peer == r->config.id) return false;
    return e->term != r->term || r->role != RAFT_LEADER;
}

static bool event_is_sound(const struct raft *r, const struct raft_event *e) {
    switch (e->type) {
    case RAFT_EVENT_PROPOSE:
        return e->kind == 0 || e->kind == RAFT_ENTRY_COMMANDS || e->kind == RAFT_ENTRY_VERDICT;
    case RAFT_EVENT_TICK:
    case RAFT_EVENT_READ:
    case RAFT_EVENT_TRANSFER:
    case RAFT_EVENT_CAMPAIGN:
    case RAFT_EVENT_UNREACHABLE: return true;
    case RAFT_EVENT_STORED: return e->store_id == r->store_done + 1 && e->store_id < r->store_next;
    case RAFT_EVENT_APPLIED:
        return e->index >= r->applied_index && e->index <= min_u64(r->commit_index, r->log.stored_index);
    case RAFT_EVENT_CUT: return e->index >= r->log.mark_index && e->index <= r->applied_index;
    case RAFT_EVENT_MESSAGE: return message_is_sound(r, e->message);
    case RAFT_EVENT_CHANGE: return e->members != NULL;
    case RAFT_EVENT_SNAPSHOT_SENT: return e->index <= r->commit_index;
    case RAFT_EVENT_SNAPSHOT: return snapshot_is_sound(r, e);
    case RAFT_EVENT_INSTALLED: return r->is_installing && r->store_done + 1 == r->store_next;
    }
    return false;
}

/* --- events --- */

static void on_propose(struct raft *r, enum raft_entry_kind kind, size_t size) {
    if (r->role != RAFT_LEADER)
        r->refused = RAFT_NOT_LEADER;
    else if ((r->transfer_to != 0 && !MUTANT(45)) || is_leaving(r))
        r->refused = RAFT_TRANSFERRING; /* pitfall T1 */
    else if (!can_store(r))
        r->refused = RAFT_TOO_MUCH;
    else if (size > 0 && r->uncommitted_bytes > 0 &&
             (size > r->config.uncommitted_bytes_max ||
              r->uncommitted_bytes > r->config.uncommitted_bytes_max - size))
        r->refused = RAFT_TOO_MUCH; /* pitfall L19 */
    else
        leader_append(r, kind != 0 ? kind : RAFT_ENTRY_COMMANDS, size, NULL);
}

static void on_stored(struct raft *r, uint64_t store_id) {
    store_complete(r, store_id);
    if (r->role == RAFT_CANDIDATE && hard_state_is_durable(r)) on_own_vote_durable(r);
}

static bool is_reply(const struct raft_message *m) {
    return m->kind == RAFT_APPEND_REPLY || m->kind == RAFT_HEARTBEAT_REPLY || m->kind == RAFT_VOTE_REPLY;
}

static bool is_known(struct raft *r, uint64_t id) {
    return members_find(members_now(r), id) != NULL || peer_find(r, id) != NULL;
}

/* With the disk full of stores, or a snapshot on its way into the state, only what asks for no store is
 * listened to. The others will say it again. */
static bool is_deaf_to(const struct raft *r, const struct raft_message *m) {
    if (can_store(r) && !r->is_installing) return false;
    bool is_harmless =
        is_reply(m) || m->kind == RAFT_HEARTBEAT || (m->kind == RAFT_APPEND && r->is_installing);
    return m->term > r->term || !is_harmless;
}

static void on_lower_term(struct raft *r, const struct raft_message *m) {
    if (m->kind == RAFT_APPEND || m->kind == RAFT_HEARTBEAT) on_lower_term_leader(r, m);
    if (m->kind == RAFT_VOTE) on_vote_of_lower_term(r, m);
}

static void on_message(struct raft *r, const struct raft_message *m) {
    if (is_deaf_to(r, m)) return;
    if (is_reply(m) && !is_known(r, m->from) && !MUTANT(48)) return; /* pitfall X2 */
    if (m->term < r->term && !(MUTANT(3) && m->kind == RAFT_VOTE_REPLY)) {
        on_lower_term(r, m);
        return;
    }
    /* A vote may be ignored together with its term, a pre-vote and its grant speak of a term that is not
     * there yet, and the leader's messages are followed where they are handled. */
    bool is_grant = m->kind == RAFT_VOTE_REPLY && m->pre_vote && !m->rejected;
    if (m->term > r->term && is_reply(m) && !is_grant) become_follower(r, m->term, 0);
    switch (m->kind) {
    case RAFT_APPEND: on_append(r, m); break;
    case RAFT_APPEND_REPLY: on_append_reply(r, m); break;
    case RAFT_HEARTBEAT: on_heartbeat(r, m); break;
    case RAFT_HEARTBEAT_REPLY: on_heartbeat_reply(r, m); break;
    case RAFT_VOTE: on_vote(r, m); break;
    case RAFT_VOTE_REPLY: on_vote_reply(r, m); break;
    case RAFT_TIMEOUT_NOW: on_timeout_now(r, m); break;
    }
}

static void on_tick(struct raft *r) {
    if (r->role == RAFT_LEADER)
        leader_tick(r);
    else
        election_tick(r);
}

/* A node that hears a leader would break its promise to it by voting for itself. */
static void on_campaign(struct raft *r) {
    if (r->role != RAFT_LEADER && is_promotable(r) && (!is_sticky(r) || MUTANT(52))) campaign(r);
}

static void dispatch(struct raft *r, const struct raft_event *e) {
    switch (e->type) {
    case RAFT_EVENT_TICK: on_tick(r); break;
    case RAFT_EVENT_PROPOSE: on_propose(r, e->kind, e->size); break;
    case RAFT_EVENT_STORED: on_stored(r, e->store_id); break;
    case RAFT_EVENT_APPLIED: r->applied_index = e->index; break;
    case RAFT_EVENT_CUT: log_cut(&r->log, e->index); break;
    case RAFT_EVENT_MESSAGE: on_message(r, e->message); break;
    case RAFT_EVENT_READ: on_read(r); break;
    case RAFT_EVENT_CHANGE: on_change(r, e); break;
    case RAFT_EVENT_TRANSFER: on_transfer(r, e->peer); break;
    case RAFT_EVENT_CAMPAIGN: on_campaign(r); break;
    case RAFT_EVENT_UNREACHABLE: on_unreachable(r, e->peer); break;
    case RAFT_EVENT_SNAPSHOT_SENT: on_snapshot_sent(r, e->peer, e->index); break;
    case RAFT_EVENT_SNAPSHOT: on_snapshot(r, e); break;
    case RAFT_EVENT_INSTALLED: on_installed(r); break;
    }
}

/* --- the update --- */

static void begin(struct raft *r, const struct raft_event *e) {
    r->now_us = max_u64(r->now_us, e->now_us);
    r->message_count = 0;
    r->store_first = r->store_last = 0;
    r->has_appended = r->install = false;
    r->refused = RAFT_TAKEN;
    r->read_id = 0;
}

static uint64_t apply_index(const struct raft *r) {
    return MUTANT(27) ? r->commit_index : min_u64(r->commit_index, r->log.stored_index);
}

static void finish(struct raft *r, struct raft_update *out) {
    if (r->role == RAFT_LEADER) leader_finish(r);
    if (r->role == RAFT_FOLLOWER) follower_finish(r);
    bool has_hard_state = r->term != r->asked_term || r->vote != r->asked_vote;
    *out = (struct raft_update){
        .store_id = store_ask(r),
        .store_hard_state = has_hard_state,
        .term = r->term,
        .vote = r->vote,
        .store_first = r->store_first,
        .store_last = r->store_last,
        .appended = r->has_appended,
        .refused = r->refused,
        .messages = r->messages,
        .message_count = r->message_count,
        .snapshot_to = take_snapshot_to(r),
        .install = r->install,
        .role = r->role,
        .leader_id = r->leader_id,
        .commit_index = r->commit_index,
        .apply_index = apply_index(r),
        .readable = has_own_commit(r) && r->applied_index >= r->term_start,
        .read_id = r->read_id,
        .read_done = r->read_done,
        .read_lost = r->read_lost,
        .lease_until_us = lease_until_us(r),
        .members = members_now(r),
        .members_index = log_newest_config(&r->log)->index,
    };
    if (!r->has_appended) return;
    out->entry = r->entry;
    if (out->entry.members != NULL) out->entry.members = members_now(r);
}

static void check_leader(const struct raft *r) {
    CHECK(r->leader_id == r->config.id);
    CHECK(r->vote == r->config.id);
    CHECK(hard_state_is_durable(r));
    CHECK(r->term_start > 0);
    CHECK(r->term_start <= r->log.last_index);
    CHECK(log_term_at(&r->log, r->log.last_index) == r->term);
    CHECK(!r->is_installing);
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct peer *p = &r->peers[i];
        CHECK(p->id != r->config.id);
        CHECK(p->match < p->next);
        CHECK(p->match <= r->log.last_index);
        CHECK(p->next <= r->log.last_index + 1);
        CHECK(p->inflight_count <= r->config.inflight_count_max);
        CHECK(p->state == RAFT_REPLICATE || p->inflight_count == 0);
        CHECK(p->round <= r->round);
    }
}

static void check_invariants(const struct raft *r) {
    const struct log_view *l = &r->log;
    CHECK(l->mark_index <= r->applied_index);
    CHECK(r->applied_index <= apply_index(r));
    CHECK(r->commit_index <= l->last_index);
    CHECK(l->stored_index <= l->last_index);
    CHECK(log_term_at(l, l->last_index) <= r->term);
    CHECK(r->stored_term <= r->asked_term);
    CHECK(r->asked_term == r->term);
    CHECK(r->asked_vote == r->vote);
    CHECK(log_newest_config(l)->index <= l->last_index);
    CHECK(r->store_done < r->store_next);
    if (hard_state_is_durable(r)) CHECK(r->held_count == 0);
    if (r->role == RAFT_LEADER) {
        check_leader(r);
    } else {
        CHECK(r->leader_id != r->config.id);
        CHECK(r->peer_count == 0);
        CHECK(r->read_count == 0);
        CHECK(r->transfer_to == 0);
    }
    if (r->role == RAFT_FOLLOWER) {
        CHECK(r->verified_index >= r->commit_index);
        CHECK(r->verified_index <= l->last_index);
    } else {
        CHECK(!r->is_installing);
    }
    if (r->role == RAFT_CANDIDATE) CHECK(r->vote == r->config.id);
}

enum rc raft_step(struct raft *r, const struct raft_event *event, struct raft_update *out) {
    if (!r->is_started) start(r);
    if (!event_is_sound(r, event)) return RC_INVALID;
    begin(r, event);
    dispatch(r, event);
    finish(r, out);
    check_invariants(r);
    return RC_OK;
}

/* --- looking in --- */

static void status_of_peers(const struct raft *r, struct raft_status *out) {
    for (size_t i = 0; i < r->peer_count && out->peer_count < RAFT_MEMBERS_MAX; i++) {
        const struct peer *p = &r->peers[i];
        if (p->is_leaving && r->peer_count > RAFT_MEMBERS_MAX) continue;
        out->peers[out->peer_count++] = (struct raft_peer_status){
            .id = p->id,
            .match_index = p->match,
            .next_index = p->next,
            .state = p->state,
            .heard_us = p->heard_us,
            .inflight_count = p->inflight_count,
        };
    }
}

void raft_status(const struct raft *r, struct raft_status *out) {
    const struct raft_members *m = members_now(r);
    *out = (struct raft_status){
        .role = r->role,
        .id = r->config.id,
        .leader_id = r->leader_id,
        .term = r->term,
        .vote = r->vote,
        .commit_index = r->commit_index,
        .applied_index = r->applied_index,
        .first_index = r->log.mark_index + 1,
        .last_index = r->log.last_index,
        .stored_index = r->log.stored_index,
        .members_index = log_newest_config(&r->log)->index,
        .transfer_to = r->transfer_to,
        .is_joint = members_are_joint(m),
        .is_promotable = is_promotable(r),
    };
    for (size_t i = 0; i < m->count; i++) out->voter_count += seat_votes_new(m->items[i].seat);
    status_of_peers(r, out);
}

uint64_t raft_term_at(const struct raft *r, uint64_t index) {
    return log_term_at(&r->log, index);
}

uint64_t raft_index_before(const struct raft *r, uint64_t index, uint64_t bytes) {
    index = min_u64(index, r->log.last_index);
    while (index > r->log.mark_index && log_size_at(&r->log, index) <= bytes)
        bytes -= log_size_at(&r->log, index--);
    return index;
}
