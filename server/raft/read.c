/* Reads: confirmed by a round of answers to messages sent after they came (thesis, 6.4), or allowed for a
 * while by a lease (6.4.1). Both count both majorities of the newest configuration. */
#include "raft_internal.h"

bool has_own_commit(const struct raft *r) {
    return r->role == RAFT_LEADER && r->commit_index >= r->term_start;
}

void on_read(struct raft *r) {
    if (!has_own_commit(r) && !(MUTANT(41) && r->role == RAFT_LEADER)) {
        r->refused = r->role == RAFT_LEADER ? RAFT_NOT_YET : RAFT_NOT_LEADER; /* pitfall R1 */
        return;
    }
    if (r->read_count == READS_MAX) {
        r->refused = RAFT_TOO_MUCH;
        return;
    }
    r->read_id = ++r->read_counter;
    size_t at = (r->read_first + r->read_count++) % READS_MAX;
    if (!MUTANT(42)) r->round++;
    r->reads[at] =
        (struct read){r->read_id, r->commit_index, r->round}; /* answers to what went before do not count */
    if (!is_lone_voter(r)) broadcast_heartbeat(r);
}

void reads_confirm(struct raft *r) {
    uint64_t round = leader_quorum(r, QUORUM_ROUND);
    while (r->read_count > 0) {
        const struct read *read = &r->reads[r->read_first];
        if (read->round > round || read->index > r->applied_index) return;
        CHECK(read->id > r->read_done);
        r->read_done = read->id;
        r->read_first = (r->read_first + 1) % READS_MAX;
        r->read_count--;
    }
}

void reads_lose(struct raft *r) {
    r->read_lost = r->read_counter;
    r->read_count = 0;
}

/* From the sending of what a majority answered (pitfall R6): since then none of them has voted for anybody
 * else, nor will until the time-out. Nothing of it holds once a node was told to campaign regardless (R7). */
uint64_t lease_until_us(const struct raft *r) {
    if (r->config.lease_us == 0) return 0;
    if ((r->transfer_to != 0 || r->lease_forfeited) && !MUTANT(44)) return 0;
    if (!has_own_commit(r) || r->applied_index < r->term_start) return 0;
    if (is_lone_voter(r)) return UINT64_MAX;
    uint64_t sent_us = leader_quorum(r, QUORUM_SENT);
    return sent_us > r->lease_floor_us ? sent_us + r->config.lease_us : 0;
}
