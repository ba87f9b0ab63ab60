/* Leading: what each peer has, what it is sent next, and what is committed by that.
 *
 * PROBE: where the logs agree is not known: one append at a time, the next after its answer or a heartbeat's.
 * REPLICATE: appends follow each other without waiting, as far as the window allows.
 * SNAPSHOT: the log no longer goes back far enough: heartbeats only, until the shell's snapshot is there. */
#include "raft_internal.h"

#include <string.h>

enum { ENTRY_OVERHEAD = 32 }; /* of each entry in a message; what empty ones weigh */

/* --- peers --- */

struct peer *peer_find(struct raft *r, uint64_t id) {
    for (size_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].id == id) return &r->peers[i];
    return NULL;
}

static void peer_drop(struct raft *r, size_t at) {
    memmove(&r->peers[at], &r->peers[at + 1], (r->peer_count - at - 1) * sizeof r->peers[0]);
    r->peer_count--;
}

static void peer_add(struct raft *r, uint64_t id, uint64_t next, uint64_t round_min) {
    CHECK(r->peer_count < PEERS_MAX);
    struct peer *p = &r->peers[r->peer_count++];
    memset(p, 0, sizeof *p);
    p->id = id;
    p->next = next;
    p->state = RAFT_PROBE;
    p->since_us = r->now_us;
    p->round_min = round_min;
}

/* Whoever is new in the newest configuration starts afresh, and no answer to an earlier membership's messages
 * counts for it (pitfalls L10, M16). Whoever is no longer in it is served on until that is committed. */
void peers_follow_members(struct raft *r) {
    const struct raft_members *m = members_now(r);
    bool is_first = r->log.last_index + 1 == r->term_start;
    for (size_t i = 0; i < r->peer_count; i++)
        r->peers[i].is_leaving = members_find(m, r->peers[i].id) == NULL;
    for (size_t i = 0; i < m->count; i++) {
        if (m->items[i].id == r->config.id || peer_find(r, m->items[i].id) != NULL) continue;
        if (is_first)
            peer_add(r, m->items[i].id, r->term_start, 0);
        else
            peer_add(r, m->items[i].id, r->log.last_index, ++r->round); /* from the configuration on */
    }
}

void peers_drop_leaving(struct raft *r) {
    for (size_t i = r->peer_count; i-- > 0;) {
        if (!r->peers[i].is_leaving) continue;
        send_heartbeat(r, &r->peers[i]); /* if it has the entry, it learns that it is out */
        peer_drop(r, i);
    }
}

static uint64_t peer_value(const struct raft *r, uint64_t id, enum quorum_of what) {
    if (id == r->config.id) {
        switch (what) {
        case QUORUM_MATCH: return MUTANT(29) ? r->log.last_index : r->log.stored_index;
        case QUORUM_HEARD:
        case QUORUM_SENT: return r->now_us;
        case QUORUM_ROUND: return r->round;
        }
    }
    const struct peer *p = peer_find((struct raft *)(size_t)r, id);
    CHECK(p != NULL);
    switch (what) {
    case QUORUM_MATCH: return p->match;
    case QUORUM_HEARD: return max_u64(p->heard_us, p->since_us);
    case QUORUM_SENT: return p->sent_us;
    case QUORUM_ROUND: return p->round;
    }
    CHECK(false);
}

/* The highest value that both majorities of the newest configuration have reached. This node counts where its
 * own seat votes, and nowhere else (pitfalls C8, M6). */
uint64_t leader_quorum(const struct raft *r, enum quorum_of what) {
    CHECK(r->role == RAFT_LEADER);
    const struct raft_members *m = members_now(r);
    uint64_t old_values[RAFT_VOTERS_MAX], new_values[RAFT_VOTERS_MAX];
    size_t old_count = 0, new_count = 0;
    for (size_t i = 0; i < m->count; i++) {
        enum raft_seat seat = m->items[i].seat;
        if (seat == RAFT_LEARNER && MUTANT(28)) seat = RAFT_VOTER;
        if (seat == RAFT_LEARNER) continue;
        uint64_t value = peer_value(r, m->items[i].id, what);
        if (MUTANT(39) ? seat_votes_new(seat) : seat_votes_old(seat)) old_values[old_count++] = value;
        if (seat_votes_new(seat)) new_values[new_count++] = value;
    }
    CHECK(old_count > 0);
    CHECK(new_count > 0);
    return min_u64(quorum_index(old_values, old_count), quorum_index(new_values, new_count));
}

/* --- the window --- */

static bool inflight_is_full(const struct raft *r, const struct peer *p) {
    return p->inflight_count >= r->config.inflight_count_max ||
           p->inflight_bytes >= r->config.inflight_bytes_max;
}

static void inflight_add(struct raft *r, struct peer *p, uint64_t last_index, uint64_t bytes) {
    CHECK(!inflight_is_full(r, p));
    if (p->inflight_count == 0) p->moved_us = r->now_us;
    size_t at = (p->inflight_first + p->inflight_count++) % RAFT_INFLIGHT_MAX;
    p->inflight[at] = (struct inflight){last_index, bytes};
    p->inflight_bytes += bytes;
}

static void inflight_pop(struct peer *p) {
    CHECK(p->inflight_count > 0);
    CHECK(p->inflight_bytes >= p->inflight[p->inflight_first].bytes);
    p->inflight_bytes -= p->inflight[p->inflight_first].bytes;
    p->inflight_first = (p->inflight_first + 1) % RAFT_INFLIGHT_MAX;
    p->inflight_count--;
}

static void inflight_answered(struct peer *p, uint64_t match) {
    while (p->inflight_count > 0 && p->inflight[p->inflight_first].last_index <= match) inflight_pop(p);
}

static void inflight_reset(struct peer *p) {
    p->inflight_first = p->inflight_count = 0;
    p->inflight_bytes = 0;
}

/* --- states --- */

static void become_probe(struct peer *p, uint64_t next) {
    CHECK(next > p->match);
    p->state = RAFT_PROBE;
    p->next = next;
    p->is_paused = false;
    p->moved_us = 0;
    inflight_reset(p);
}

/* `agrees_index`: the peer has said that its log is equal up to here, though it may not be durable yet. */
static void become_replicate(struct raft *r, struct peer *p, uint64_t agrees_index) {
    agrees_index = max_u64(p->match, min_u64(agrees_index, r->log.last_index));
    become_probe(p, agrees_index + 1);
    p->state = RAFT_REPLICATE;
    uint64_t bytes = 0;
    for (uint64_t i = max_u64(p->match, r->log.mark_index) + 1; i <= agrees_index; i++)
        bytes += log_size_at(&r->log, i) + ENTRY_OVERHEAD;
    if (bytes > 0) inflight_add(r, p, agrees_index, bytes);
}

static void become_snapshot(struct peer *p) {
    become_probe(p, p->match + 1);
    p->state = RAFT_SNAPSHOT;
}

/* --- sending --- */

static struct raft_message message_to(const struct raft *r, const struct peer *p,
                                      enum raft_message_kind kind) {
    return (struct raft_message){.kind = kind,
                                 .from = r->config.id,
                                 .to = p->id,
                                 .term = r->term,
                                 .round = r->round,
                                 .sent_us = r->now_us};
}

void send_heartbeat(struct raft *r, struct peer *p) {
    struct raft_message m = message_to(r, p, RAFT_HEARTBEAT);
    m.commit_index = min_u64(p->match, r->commit_index); /* it may not have more (pitfall C5) */
    p->told_commit = max_u64(p->told_commit, m.commit_index);
    send_message(r, &m);
}

void broadcast_heartbeat(struct raft *r) {
    for (size_t i = 0; i < r->peer_count; i++) send_heartbeat(r, &r->peers[i]);
}

/* How many entries from `next` on one message takes, and their bytes. */
static size_t entries_for(const struct raft *r, uint64_t next, uint64_t *bytes_out) {
    uint64_t bytes = 0, index = next;
    while (index <= r->log.last_index && index - next < RAFT_APPEND_ENTRIES_MAX) {
        uint64_t more = log_size_at(&r->log, index) + ENTRY_OVERHEAD;
        if (index > next && bytes + more > r->config.append_bytes_max) break;
        bytes += more;
        index++;
    }
    *bytes_out = bytes;
    return index - next;
}

static bool may_send(const struct raft *r, const struct peer *p) {
    switch (p->state) {
    case RAFT_PROBE: return !p->is_paused;
    case RAFT_REPLICATE: return !inflight_is_full(r, p);
    case RAFT_SNAPSHOT: return false;
    }
    return false;
}

/* Everything this peer may be sent now. `even_empty`: at least one message, so that it answers. */
void send_appends(struct raft *r, struct peer *p, bool even_empty) {
    while (may_send(r, p)) {
        uint64_t prev_index = p->next - 1;
        if (prev_index < r->log.mark_index && !MUTANT(47)) { /* its term is cut away (pitfall L6) */
            become_snapshot(p);
            return;
        }
        uint64_t bytes;
        size_t count = entries_for(r, p->next, &bytes);
        if (count == 0 && !even_empty) return;
        even_empty = false;
        struct raft_message m = message_to(r, p, RAFT_APPEND);
        m.prev_index = prev_index;
        m.prev_term = log_term_at(&r->log, prev_index);
        m.commit_index = r->commit_index;
        m.entry_count = count;
        p->told_commit = max_u64(p->told_commit, min_u64(r->commit_index, prev_index + count));
        send_message(r, &m);
        if (p->state == RAFT_PROBE) {
            p->is_paused = true;
            p->moved_us = r->now_us;
        } else if (count > 0) {
            inflight_add(r, p, prev_index + count, bytes);
            p->next += count;
        }
    }
}

/* --- leadership --- */

void leader_begin(struct raft *r) {
    r->term_start = r->log.last_index + 1;
    r->round++;
    r->lease_floor_us = 0;
    r->lease_forfeited = false;
    r->heartbeat_due_us = r->now_us + r->config.heartbeat_us;
    CHECK(r->peer_count == 0);
    peers_follow_members(r);
    leader_append(r, RAFT_ENTRY_NOOP, 0, NULL);
}

void leader_end(struct raft *r) {
    r->peer_count = 0;
    r->transfer_to = 0;
    reads_lose(r);
}

/* Sent to everybody in the same update that asks to store it: the own disk is just one of many (thesis,
 * 10.2.1). */
void leader_append(struct raft *r, enum raft_entry_kind kind, size_t size,
                   const struct raft_members *members) {
    CHECK(r->role == RAFT_LEADER);
    CHECK(can_store(r));
    CHECK(!r->has_appended);
    r->entry = (struct raft_entry){
        .index = r->log.last_index + 1, .term = r->term, .kind = kind, .size = size, .members = members};
    log_append(&r->log, &r->entry);
    r->uncommitted_bytes += size;
    store_entries(r, r->entry.index);
    r->has_appended = true;
    if (members != NULL) {
        r->entry.members = members_now(r);
        peers_follow_members(r);
    }
    for (size_t i = 0; i < r->peer_count; i++) send_appends(r, &r->peers[i], false);
}

/* A commit index travels with the next append or heartbeat. When there is nothing left to append, it goes out
 * with the next tick: by then a client that waits for each answer has sent its next write, and nothing needs
 * to be said. */
static void tell_commit(struct raft *r) {
    if (r->commit_index != r->log.last_index) return;
    for (size_t i = 0; i < r->peer_count; i++) {
        struct peer *p = &r->peers[i];
        if (p->match == r->log.last_index && p->told_commit < r->commit_index) send_heartbeat(r, p);
    }
}

void leader_tick(struct raft *r) {
    /* Twice as long as it sticks to itself and keeps others from campaigning: followers that are busy with a
     * large entry may still answer, and if somebody else was elected meanwhile, a higher term says so. */
    bool has_quorum = MUTANT(13) || r->now_us - leader_quorum(r, QUORUM_HEARD) <= 2 * r->config.election_us;
    /* Pitfalls E15, D9. A lone voter has nobody to make room for. */
    if (!has_quorum || (disk_is_stalled(r) && !is_lone_voter(r))) {
        become_follower(r, r->term, 0);
        return;
    }
    transfer_tick(r);
    if (r->now_us < r->heartbeat_due_us) {
        tell_commit(r);
        return;
    }
    r->heartbeat_due_us = r->now_us + r->config.heartbeat_us;
    broadcast_heartbeat(r);
}

void commit_to(struct raft *r, uint64_t index) {
    CHECK(index > r->commit_index);
    CHECK(index <= r->log.last_index);
    for (uint64_t i = r->commit_index + 1; i <= index; i++) {
        CHECK(r->uncommitted_bytes >= log_size_at(&r->log, i));
        r->uncommitted_bytes -= log_size_at(&r->log, i);
    }
    r->commit_index = index;
}

/* Only an entry of the leader's own term is committed by counting; older ones follow with it (figure 8 of the
 * Raft paper; pitfalls C1, C2). */
static void advance_commit(struct raft *r) {
    uint64_t index = leader_quorum(r, QUORUM_MATCH);
    if (index <= r->commit_index || (index < r->term_start && !MUTANT(24))) return;
    CHECK(log_term_at(&r->log, index) == r->term || MUTANT(24));
    commit_to(r, index);
}

void leader_finish(struct raft *r) {
    advance_commit(r);
    change_finish(r);
    if (r->role != RAFT_LEADER) return;
    advance_commit(r); /* a configuration that was appended may need fewer (pitfall C10) */
    reads_confirm(r);
}

/* --- answers --- */

/* Clocks and rounds that were never sent are not believed. */
static struct peer *hear(struct raft *r, const struct raft_message *m) {
    if (r->role != RAFT_LEADER) return NULL;
    struct peer *p = peer_find(r, m->from);
    if (p == NULL || (m->round < p->round_min && !MUTANT(50))) return NULL;
    p->heard_us = r->now_us;
    if (m->round <= r->round) p->round = max_u64(p->round, m->round);
    if (m->sent_us <= r->now_us) p->sent_us = max_u64(p->sent_us, MUTANT(43) ? r->now_us : m->sent_us);
    return p;
}

/* The peer has nothing that agrees behind hint_index, nor has this log behind the highest entry there of at
 * most hint_term: at most one probe for each term (pitfall L13). An answer to anything but the last probe is
 * stale (L9). */
static void on_rejection(struct raft *r, struct peer *p, const struct raft_message *m) {
    if (p->state == RAFT_SNAPSHOT || m->prev_index <= p->match) return;
    if (p->state == RAFT_PROBE && p->next != m->prev_index + 1 && !MUTANT(21)) return;
    if (p->state == RAFT_REPLICATE && m->prev_index >= p->next) return;
    uint64_t agrees = min_u64(log_find_by_term(&r->log, m->hint_index, m->hint_term), m->prev_index - 1);
    if (MUTANT(23)) agrees = m->prev_index - 1;
    become_probe(p, max_u64(agrees, p->match) + 1);
}

/* It lives; but does it have everything? What was lost on the way is noticed here (pitfalls L14, L15): when
 * nothing has moved for as long as from one heartbeat to the next, one more append goes out, be it empty, be
 * the window full. */
static void nudge(struct raft *r, struct peer *p) {
    if (p->moved_us != 0 && r->now_us - p->moved_us < r->config.heartbeat_us) return;
    p->moved_us = r->now_us;
    if (p->state == RAFT_PROBE) p->is_paused = false;
    if (p->state == RAFT_REPLICATE && inflight_is_full(r, p) && !MUTANT(22)) inflight_pop(p);
    send_appends(r, p, true);
}

static void on_match(struct raft *r, struct peer *p, const struct raft_message *m) {
    uint64_t match = MUTANT(19) ? m->match_index : min_u64(m->match_index, r->log.last_index); /* L12 */
    if (match < p->match && !MUTANT(20)) { /* late; or it was restarted, and wants to hear where it stands */
        nudge(r, p);
        return;
    }
    if (match > p->match) p->moved_us = r->now_us;
    p->match = match;
    p->next = max_u64(p->next, match + 1);
    switch (p->state) {
    case RAFT_PROBE: become_replicate(r, p, m->hint_index); break;
    case RAFT_SNAPSHOT: /* however it got there, the log connects (pitfalls S9, S10) */
        if (p->match >= r->log.mark_index && !MUTANT(35)) become_replicate(r, p, m->hint_index);
        break;
    case RAFT_REPLICATE: inflight_answered(p, match); break;
    }
}

void on_append_reply(struct raft *r, const struct raft_message *m) {
    struct peer *p = hear(r, m);
    if (p == NULL) return;
    if (m->rejected)
        on_rejection(r, p, m);
    else
        on_match(r, p, m);
    send_appends(r, p, false);
    if (p->id == r->transfer_to) transfer_go_on(r);
}

void on_heartbeat_reply(struct raft *r, const struct raft_message *m) {
    struct peer *p = hear(r, m);
    if (p != NULL && (p->match < r->log.last_index || p->state == RAFT_PROBE)) nudge(r, p);
}

void on_unreachable(struct raft *r, uint64_t id) {
    struct peer *p = r->role == RAFT_LEADER ? peer_find(r, id) : NULL;
    if (p == NULL || p->state == RAFT_SNAPSHOT) return;
    become_probe(p, p->match + 1);
    p->is_paused = true; /* until it answers a heartbeat */
}

/* --- snapshots --- */

void on_snapshot_sent(struct raft *r, uint64_t id, uint64_t index) {
    struct peer *p = r->role == RAFT_LEADER ? peer_find(r, id) : NULL;
    if (p == NULL) return;
    p->snapshot_asked = false;
    if (p->state != RAFT_SNAPSHOT) return;
    become_probe(p, max_u64(p->match, index) + 1);
    p->is_paused = index == 0; /* after a failure, when it answers a heartbeat */
    send_appends(r, p, true);
}

/* One for each update; further ones are told in the next. Who leaves needs none. */
uint64_t take_snapshot_to(struct raft *r) {
    if (r->role != RAFT_LEADER) return 0;
    for (size_t i = 0; i < r->peer_count; i++) {
        struct peer *p = &r->peers[i];
        if (p->state != RAFT_SNAPSHOT || p->snapshot_asked || p->is_leaving) continue;
        p->snapshot_asked = true;
        return p->id;
    }
    return 0;
}
