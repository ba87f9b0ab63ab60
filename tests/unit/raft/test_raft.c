/* The Raft core, event by event, as a cluster of one: what must be durable before what, in every order that a
 * disk can choose. Rules are quoted from the Raft paper (R) and thesis (T); pitfalls by their number in
 * server/raft/README.md. */
#include "test.h"

#include "raft.h"

static struct raft_config config_of(uint64_t term, uint64_t vote, uint64_t mark, uint64_t mark_term,
                                    uint64_t applied) {
    return (struct raft_config){.id = 7,
                                .members = {.count = 1, .items = {{.id = 7, .seat = RAFT_VOTER}}},
                                .term = term,
                                .vote = vote,
                                .mark_index = mark,
                                .mark_term = mark_term,
                                .applied_index = applied,
                                .election_us = 1000,
                                .heartbeat_us = 100,
                                .uncommitted_bytes_max = 1000,
                                .append_bytes_max = 1000,
                                .inflight_bytes_max = 1000,
                                .inflight_count_max = 16,
                                .seed = 1};
}

/* With entries of these terms behind the mark. */
static struct raft *restored(struct raft_config config, const uint64_t *terms, size_t count) {
    struct raft *r;
    EXPECT(raft_new(&config, &r) == RC_OK);
    for (size_t i = 0; i < count; i++) {
        struct raft_entry entry = {
            .index = config.mark_index + 1 + i, .term = terms[i], .kind = RAFT_ENTRY_COMMANDS, .size = 1};
        raft_restore(r, &entry);
    }
    return r;
}

static struct raft_update step(struct raft *r, struct raft_event event) {
    struct raft_update up;
    EXPECT(raft_step(r, &event, &up) == RC_OK);
    return up;
}

static struct raft_update tick(struct raft *r) {
    return step(r, (struct raft_event){.type = RAFT_EVENT_TICK});
}
static struct raft_update stored(struct raft *r, uint64_t id) {
    return step(r, (struct raft_event){.type = RAFT_EVENT_STORED, .store_id = id});
}
static struct raft_update propose(struct raft *r, size_t size) {
    return step(r, (struct raft_event){.type = RAFT_EVENT_PROPOSE, .size = size});
}
static struct raft_update applied(struct raft *r, uint64_t index) {
    return step(r, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = index});
}

/* A leader with its no-op committed and applied. */
static struct raft *leader(void) {
    struct raft_config config = config_of(0, 0, 0, 0, 0);
    struct raft *r = restored(config, NULL, 0);
    struct raft_update up = tick(r);
    up = stored(r, up.store_id);
    up = stored(r, up.store_id);
    EXPECT_EQ_INT(up.commit_index, 1);
    EXPECT(applied(r, 1).readable);
    return r;
}

/* E1: "each server will vote for at most one candidate in a given term" (R 5.2) holds across a crash only if
 * the own vote is durable before it counts. E12: a lone node stands for election, it does not start as
 * leader. */
TEST(own_vote_counts_only_when_it_is_durable) {
    struct raft_config config = config_of(4, 0, 0, 0, 0);
    struct raft *r = restored(config, NULL, 0);
    struct raft_update up = tick(r);
    EXPECT(up.role == RAFT_CANDIDATE);
    EXPECT(up.store_hard_state);
    EXPECT_EQ_INT(up.term, 5);
    EXPECT_EQ_INT(up.vote, 7);
    EXPECT(!up.appended);
    EXPECT(tick(r).role == RAFT_CANDIDATE); /* no second campaign while the vote is on its way */
    up = stored(r, up.store_id);
    EXPECT(up.role == RAFT_LEADER);
    raft_free(r);
}

/* C3: a new leader appends an entry of its own term at once; R1: nothing is served before it is committed and
 * applied ("a leader ... must commit a no-op entry at the start of its term", T 6.4). C9, R9: committed by
 * its own sync only. */
TEST(a_leader_serves_after_its_noop_is_durable_and_applied) {
    struct raft_config config = config_of(0, 0, 0, 0, 0);
    struct raft *r = restored(config, NULL, 0);
    struct raft_update up = tick(r);
    up = stored(r, up.store_id);
    EXPECT(up.appended);
    EXPECT(up.entry.kind == RAFT_ENTRY_NOOP);
    EXPECT_EQ_INT(up.entry.index, 1);
    EXPECT_EQ_INT(up.entry.term, 1);
    EXPECT_EQ_INT(up.commit_index, 0);
    EXPECT(!up.readable);
    up = stored(r, up.store_id);
    EXPECT_EQ_INT(up.commit_index, 1);
    EXPECT(!up.readable);
    EXPECT(applied(r, 1).readable);
    raft_free(r);
}

/* C1, C2: "only log entries from the leader's current term are committed by counting replicas" (R 5.4.2): the
 * stored tail of an earlier term is committed with the no-op, not before. */
TEST(a_stored_tail_is_committed_with_the_own_term_noop) {
    struct raft_config config = config_of(3, 7, 10, 2, 12);
    struct raft *r = restored(config, (uint64_t[]){2, 2, 2, 3, 3, 3, 3, 3, 3, 3}, 10);
    EXPECT_EQ_INT(raft_term_at(r, 10), 2);
    EXPECT_EQ_INT(raft_term_at(r, 13), 2);
    EXPECT_EQ_INT(raft_term_at(r, 14), 3);
    EXPECT_EQ_INT(raft_term_at(r, 9), 0);
    EXPECT_EQ_INT(raft_term_at(r, 21), 0);
    struct raft_update up = tick(r);
    EXPECT_EQ_INT(up.commit_index, 12);
    up = stored(r, up.store_id);
    EXPECT_EQ_INT(up.entry.index, 21);
    EXPECT_EQ_INT(up.entry.term, 4);
    EXPECT_EQ_INT(up.commit_index, 12);
    up = stored(r, up.store_id);
    EXPECT_EQ_INT(up.commit_index, 21);
    raft_free(r);
}

TEST(several_entries_in_flight_commit_one_by_one_in_order) {
    struct raft *r = leader();
    struct raft_update a = propose(r, 10), b = propose(r, 10);
    EXPECT_EQ_INT(a.entry.index, 2);
    EXPECT_EQ_INT(b.entry.index, 3);
    EXPECT_EQ_INT(b.commit_index, 1);
    struct raft_event early = {.type = RAFT_EVENT_STORED, .store_id = b.store_id};
    struct raft_update up;
    EXPECT(raft_step(r, &early, &up) == RC_INVALID); /* out of order: the shell's bug, nothing has changed */
    EXPECT_EQ_INT(stored(r, a.store_id).commit_index, 2);
    EXPECT_EQ_INT(stored(r, b.store_id).commit_index, 3);
    raft_free(r);
}

/* What is in an entry is the shell's business; its kind comes back as it was proposed, and no other kind may be. */
TEST(a_verdict_is_an_entry_like_any_other) {
    struct raft *r = leader();
    struct raft_event propose_kind = {.type = RAFT_EVENT_PROPOSE, .size = 26, .kind = RAFT_ENTRY_VERDICT};
    struct raft_update up = step(r, propose_kind);
    EXPECT(!up.refused);
    EXPECT_EQ_INT(up.entry.kind, RAFT_ENTRY_VERDICT);
    EXPECT_EQ_INT(up.entry.index, 2);
    EXPECT_EQ_INT(propose(r, 10).entry.kind, RAFT_ENTRY_COMMANDS);
    EXPECT_EQ_INT(stored(r, up.store_id).commit_index, 2);
    propose_kind.kind = RAFT_ENTRY_NOOP;
    EXPECT(raft_step(r, &propose_kind, &up) == RC_INVALID);
    propose_kind.kind = RAFT_ENTRY_MEMBERS;
    EXPECT(raft_step(r, &propose_kind, &up) == RC_INVALID);
    raft_free(r);
}

/* D9 is for those who have somebody to make room for. */
TEST(a_lone_voter_waits_for_its_disk) {
    struct raft *r = leader();
    struct raft_update a = propose(r, 10);
    EXPECT(step(r, (struct raft_event){.type = RAFT_EVENT_TICK, .now_us = 1000000}).role == RAFT_LEADER);
    EXPECT_EQ_INT(stored(r, a.store_id).commit_index, 2);
    raft_free(r);
}

TEST(a_follower_or_candidate_takes_no_proposal) {
    struct raft_config config = config_of(0, 0, 0, 0, 0);
    struct raft *r = restored(config, NULL, 0);
    EXPECT(propose(r, 1).refused);
    tick(r);
    EXPECT(propose(r, 1).refused);
    raft_free(r);
}

/* L19: a proposal over the limit is refused cleanly; the first one is always taken, however big. */
TEST(uncommitted_bytes_are_bounded) {
    struct raft *r = leader();
    struct raft_update big = propose(r, 5000);
    EXPECT(!big.refused);
    struct raft_update up = propose(r, 1);
    EXPECT(up.refused);
    EXPECT_EQ_INT(up.store_id, 0);
    stored(r, big.store_id);
    EXPECT(!propose(r, 600).refused);
    EXPECT(!propose(r, 400).refused);
    EXPECT(propose(r, 1).refused);
    raft_free(r);
}

/* S15: the mark keeps the term of the last entry cut away. */
TEST(cutting_keeps_the_term_of_the_mark) {
    struct raft_config config = config_of(3, 7, 0, 0, 6);
    struct raft *r = restored(config, (uint64_t[]){1, 1, 1, 2, 2, 3}, 6);
    step(r, (struct raft_event){.type = RAFT_EVENT_CUT, .index = 4});
    EXPECT_EQ_INT(raft_term_at(r, 3), 0);
    EXPECT_EQ_INT(raft_term_at(r, 4), 2);
    EXPECT_EQ_INT(raft_term_at(r, 5), 2);
    EXPECT_EQ_INT(raft_term_at(r, 6), 3);
    struct raft_status s;
    raft_status(r, &s);
    EXPECT_EQ_INT(s.first_index, 5);
    raft_free(r);
}

TEST(events_that_make_no_sense_change_nothing) {
    struct raft *r = leader();
    struct raft_status before, after;
    raft_status(r, &before);
    struct raft_event bad[] = {
        {.type = RAFT_EVENT_STORED, .store_id = 99}, {.type = RAFT_EVENT_STORED, .store_id = 0},
        {.type = RAFT_EVENT_APPLIED, .index = 2},    {.type = RAFT_EVENT_APPLIED, .index = 0},
        {.type = RAFT_EVENT_CUT, .index = 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct raft_update up;
        EXPECT(raft_step(r, &bad[i], &up) == RC_INVALID);
    }
    raft_status(r, &after);
    EXPECT(after.role == before.role);
    EXPECT_EQ_INT(after.term, before.term);
    EXPECT_EQ_INT(after.last_index, before.last_index);
    EXPECT_EQ_INT(after.stored_index, before.stored_index);
    EXPECT_EQ_INT(after.commit_index, before.commit_index);
    EXPECT_EQ_INT(after.applied_index, before.applied_index);
    EXPECT_EQ_INT(after.first_index, before.first_index);
    raft_free(r);
}

TEST(quorum_index_is_what_a_majority_has_reached) {
    struct rng rng = {42};
    for (int round = 0; round < 20000; round++) {
        uint64_t match[RAFT_VOTERS_MAX];
        size_t n = 1 + rng_below(&rng, RAFT_VOTERS_MAX);
        for (size_t i = 0; i < n; i++) match[i] = rng_below(&rng, 6);
        uint64_t expected = 0;
        for (uint64_t candidate = 0; candidate < 6; candidate++) {
            size_t reached = 0;
            for (size_t i = 0; i < n; i++) reached += match[i] >= candidate;
            if (2 * reached > n) expected = candidate;
        }
        EXPECT_EQ_INT(quorum_index(match, n), expected);
    }
    EXPECT(quorum_index(NULL, 0) == UINT64_MAX); /* a majority that does not exist holds nothing back */
}

/* Random events with a disk that crashes: what was committed is never lost, terms never fall, no term has two
 * votes. The model's disk holds what was stored; a restart begins from exactly that. */
static void run_seed(uint64_t seed) {
    struct rng rng = {seed};
    struct {
        uint64_t term, vote, last, mark, applied;
        uint64_t terms[4096];
    } disk = {0};
    uint64_t committed = 0;
    for (int life = 0; life < 30; life++) {
        struct raft_config config =
            config_of(disk.term, disk.vote, disk.mark, disk.terms[disk.mark], disk.applied);
        struct raft *r = restored(config, disk.terms + disk.mark + 1, disk.last - disk.mark);
        struct raft_update queue[512];
        size_t head = 0, tail = 0;
        uint64_t commit = disk.applied, applied_to = disk.applied, apply = disk.applied, life_term = 0;
        for (int i = 0; i < 60; i++) {
            struct raft_update up = {0};
            switch (rng_below(&rng, 5)) {
            case 0: up = tick(r); break;
            case 1: up = propose(r, rng_below(&rng, 300)); break;
            case 2:
            case 3:
                if (head == tail) continue;
                if (queue[head].store_hard_state) {
                    EXPECT(queue[head].term > disk.term);
                    disk.term = queue[head].term;
                    disk.vote = queue[head].vote;
                }
                if (queue[head].store_first != 0) {
                    EXPECT_EQ_INT(queue[head].entry.index, disk.last + 1);
                    EXPECT_EQ_INT(queue[head].entry.term, disk.term);
                    disk.last = queue[head].entry.index;
                    disk.terms[disk.last] = queue[head].entry.term;
                }
                up = stored(r, queue[head++].store_id);
                break;
            default:
                if (applied_to == apply) continue;
                applied_to += 1 + rng_below(&rng, apply - applied_to);
                up = applied(r, applied_to);
                if (rng_below(&rng, 3) == 0) disk.applied = applied_to; /* a write-back */
                if (rng_below(&rng, 3) == 0) {
                    disk.mark = disk.applied;
                    if (disk.mark > 0)
                        step(r, (struct raft_event){.type = RAFT_EVENT_CUT, .index = disk.mark});
                }
                break;
            }
            if (up.store_id != 0) queue[tail++] = up;
            if (up.store_hard_state) EXPECT_EQ_INT(life_term, 0);
            if (up.store_hard_state) life_term = up.term;
            EXPECT(up.commit_index >= commit);
            EXPECT(up.commit_index <= disk.last);
            commit = up.commit_index;
            apply = up.apply_index;
            if (commit > committed) committed = commit;
        }
        raft_free(r); /* the crash: queued stores never happened */
        EXPECT(disk.last >= committed);
    }
}

TEST(random_lives_of_a_lone_voter) {
    test_random(300, run_seed);
}

TEST_MAIN
