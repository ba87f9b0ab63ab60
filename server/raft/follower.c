/* Following: taking a leader's entries and commit index, telling it what is durable, and taking a snapshot
 * when the leader has cut what is missing here. */
#include "raft_internal.h"

#define ENTRY_SIZE_MAX (UINT64_C(1) << 40) /* so that sums of sizes mean something */

/* --- what may be believed --- */

static bool entry_is_sound(const struct raft_entry *e, uint64_t index, uint64_t term_min, uint64_t term_max) {
    if (e->index != index || e->term < term_min || e->term > term_max || e->size > ENTRY_SIZE_MAX)
        return false;
    if (e->kind < RAFT_ENTRY_NOOP || e->kind > RAFT_ENTRY_VERDICT) return false;
    if (e->kind != RAFT_ENTRY_MEMBERS) return e->members == NULL;
    return e->members != NULL && members_are_sound(e->members);
}

/* No leader that keeps the rules sends anything else: contiguous entries, terms that do not fall, nothing
 * that contradicts what is committed (pitfalls L2, L7, X1). */
bool append_is_sound(const struct raft *r, const struct raft_message *m) {
    if (m->prev_index > UINT64_MAX / 2 || m->entry_count > UINT32_MAX) return false;
    if (m->prev_term > m->term || (m->prev_index == 0) != (m->prev_term == 0)) return false;
    if (m->entry_count > 0 && m->entries == NULL) return false;
    uint64_t term_min = m->prev_term > 0 ? m->prev_term : 1;
    for (size_t i = 0; i < m->entry_count; i++) {
        if (!entry_is_sound(&m->entries[i], m->prev_index + 1 + i, term_min, m->term)) return false;
        term_min = m->entries[i].term;
    }
    if (m->term < r->term) return true; /* will only be told so */
    const struct log_view *l = &r->log;
    if (m->prev_index >= l->mark_index && m->prev_index <= r->commit_index &&
        !log_has(l, m->prev_index, m->prev_term))
        return false;
    for (size_t i = 0; i < m->entry_count && m->entries[i].index <= r->commit_index; i++)
        if (m->entries[i].index >= l->mark_index && !log_has(l, m->entries[i].index, m->entries[i].term))
            return false;
    return true;
}

/* --- the leader speaks --- */

static void follow(struct raft *r, const struct raft_message *m) {
    if (r->role != RAFT_FOLLOWER || r->leader_id != m->from || r->term < m->term)
        become_follower(r, m->term, m->from);
    r->sticky_until_us = r->now_us + r->config.election_us;
    r->round_heard = max_u64(r->round_heard, m->round);
    r->sent_us_heard = max_u64(r->sent_us_heard, m->sent_us);
    reset_election(r);
}

/* Never beyond what is known to be the leader's log: a longer log of one's own may hold anything (pitfall
 * C4). */
static void follow_commit(struct raft *r, uint64_t leader_commit_index) {
    uint64_t index = min_u64(leader_commit_index, MUTANT(25) ? r->log.last_index : r->verified_index);
    if (index > r->commit_index) commit_to(r, index);
}

static struct raft_message reply_of_kind(const struct raft *r, enum raft_message_kind kind) {
    return (struct raft_message){.kind = kind,
                                 .from = r->config.id,
                                 .to = r->leader_id,
                                 .term = r->term,
                                 .round = r->round_heard,
                                 .sent_us = r->sent_us_heard};
}

static void reject(struct raft *r, const struct raft_message *m) {
    struct raft_message reply = reply_of_kind(r, RAFT_APPEND_REPLY);
    reply.rejected = true;
    reply.prev_index = m->prev_index;
    reply.match_index = min_u64(r->verified_index, r->log.stored_index);
    reply.hint_index = max_u64(log_find_by_term(&r->log, m->prev_index, m->prev_term), r->log.mark_index);
    reply.hint_term = log_term_at(&r->log, reply.hint_index);
    send_message(r, &reply);
}

/* How many of the message's entries are here already. What is verified needs no second look; behind it, only
 * a difference counts, never the length (pitfall L1). */
static size_t entries_here(const struct raft *r, const struct raft_message *m) {
    size_t i = 0;
    while (i < m->entry_count && (m->entries[i].index <= r->verified_index ||
                                  log_has(&r->log, m->entries[i].index, m->entries[i].term)))
        i++;
    return i;
}

static void truncate_from(struct raft *r, uint64_t first_index) {
    CHECK(first_index > r->commit_index); /* what is committed stays (pitfall L2) */
    CHECK(first_index > r->verified_index || MUTANT(15));
    for (uint64_t i = first_index; i <= r->log.last_index; i++) {
        CHECK(r->uncommitted_bytes >= log_size_at(&r->log, i));
        r->uncommitted_bytes -= log_size_at(&r->log, i);
    }
    log_truncate(&r->log, first_index);
    stores_truncate(r, first_index);
}

static void take_entries(struct raft *r, const struct raft_entry *entries, size_t count) {
    if (entries[0].index <= r->log.last_index) truncate_from(r, entries[0].index);
    for (size_t i = 0; i < count; i++) {
        log_append(&r->log, &entries[i]);
        r->uncommitted_bytes += entries[i].size;
    }
    store_entries(r, entries[0].index); /* replaces what was there in the same write (pitfall L3) */
}

void on_append(struct raft *r, const struct raft_message *m) {
    follow(r, m);
    if (r->is_installing) return;
    if (m->prev_index > (MUTANT(16) ? 0 : r->verified_index) &&
        !log_has(&r->log, m->prev_index, m->prev_term)) {
        reject(r, m);
        return;
    }
    size_t here = MUTANT(15) ? 0 : entries_here(r, m);
    while (MUTANT(15) && here < m->entry_count && m->entries[here].index <= r->commit_index) here++;
    if (here < m->entry_count) {
        /* Behind something verified, terms that fall: not a leader's log. */
        if (m->entries[here].term < log_term_at(&r->log, m->entries[here].index - 1)) return;
        take_entries(r, m->entries + here, m->entry_count - here);
    } else {
        r->reply_due = true;
    }
    r->verified_index = max_u64(r->verified_index, m->prev_index + m->entry_count);
    follow_commit(r, m->commit_index);
}

/* Answered at once: it vouches for nothing on disk but the term. */
void on_heartbeat(struct raft *r, const struct raft_message *m) {
    follow(r, m);
    if (!r->is_installing) follow_commit(r, m->commit_index);
    /* The leader believes that more is known to be equal here: this node was restarted since. Its answer
     * brings an append, and with it what is committed (pitfall C11). */
    if (m->commit_index > r->verified_index) r->reply_due = true;
    struct raft_message reply = reply_of_kind(r, RAFT_HEARTBEAT_REPLY);
    send_message(r, &reply);
}

/* A leader of the past learns the term and steps down; without this a node that has moved on would never get
 * it to (pitfall E10). Nothing in the reply can be taken for an answer in the new term. */
void on_lower_term_leader(struct raft *r, const struct raft_message *m) {
    bool is_append = m->kind == RAFT_APPEND;
    if (MUTANT(10)) return;
    send_message(r, &(struct raft_message){.kind = is_append ? RAFT_APPEND_REPLY : RAFT_HEARTBEAT_REPLY,
                                           .from = r->config.id,
                                           .to = m->from,
                                           .term = r->term,
                                           .rejected = is_append});
}

/* What is both the leader's and on this disk is told as soon as it grows, be it by a message or by the disk.
 * The term and the log of the moment decide, not those of when the store was asked (pitfall L11). */
void follower_finish(struct raft *r) {
    uint64_t match = min_u64(MUTANT(18) ? r->log.last_index : r->verified_index, r->log.stored_index);
    if (MUTANT(53)) match = r->verified_index;
    if (r->leader_id == 0 || r->is_installing || (match <= r->told_index && !r->reply_due)) return;
    r->reply_due = false;
    r->told_index = max_u64(r->told_index, match);
    struct raft_message reply = reply_of_kind(r, RAFT_APPEND_REPLY);
    reply.match_index = match;
    reply.hint_index = r->verified_index;
    reply.hint_term = log_term_at(&r->log, r->verified_index);
    send_message(r, &reply);
}

/* --- snapshots --- */

void on_snapshot(struct raft *r, const struct raft_event *e) {
    if (e->term < r->term || r->is_installing) return;
    if (e->term > r->term && !can_store(r)) return;
    if (e->term > r->term || r->role != RAFT_FOLLOWER) become_follower(r, e->term, e->peer);
    r->reply_due = true;
    if (e->index <= r->commit_index && !MUTANT(32)) return;
    if (!MUTANT(33) &&
        log_has(&r->log, e->index, e->snapshot_term)) { /* the log goes on behind it (pitfall S2) */
        r->verified_index = max_u64(r->verified_index, e->index);
        commit_to(r, e->index);
        return;
    }
    r->is_installing = r->install = true;
    r->snapshot = (struct log_config){e->members_index, *e->members};
    r->snapshot_index = e->index;
    r->snapshot_term = e->snapshot_term;
}

/* The state is the snapshot's; everything that was not committed is gone, configurations too (pitfall S3). */
void on_installed(struct raft *r) {
    CHECK(r->is_installing);
    CHECK(r->snapshot_index > r->commit_index);
    r->is_installing = false;
    log_reset(&r->log, r->snapshot_index, r->snapshot_term, &r->snapshot.members, r->snapshot.index);
    r->commit_index = r->applied_index = r->verified_index = r->snapshot_index;
    r->uncommitted_bytes = 0;
    r->reply_due = true;
    reset_election(r);
}
