/* One core of a cluster of three or more, spoken to by hand: the rules that a random life seldom comes near.
 * Each test names its pitfall as server/raft/README.md does. The node under test is 1. */
#include "test.h"

#include "raft.h"

enum { T = 1000, BEAT = 100 };

static struct raft *core;
static struct raft_update up;
static uint64_t now_us;
static struct raft_message sent[64]; /* by the last step, and by the stores it asked for */
static size_t sent_count;
static bool stores_hang;
static uint64_t stores_open[64], store_count;

static struct raft_members members_of(const char *seats) { /* "VV-L": 1 and 2 vote, 4 learns */
    struct raft_members m = {0};
    for (size_t i = 0; seats[i]; i++)
        if (seats[i] != '-')
            m.items[m.count++] =
                (struct raft_member){.id = i + 1, .seat = seats[i] == 'V' ? RAFT_VOTER : RAFT_LEARNER};
    return m;
}

static struct raft_config config_of(const char *seats) {
    return (struct raft_config){.id = 1,
                                .members = members_of(seats),
                                .seed = 1,
                                .now_us = now_us,
                                .election_us = T,
                                .heartbeat_us = BEAT,
                                .lease_us = 900,
                                .uncommitted_bytes_max = 10000,
                                .append_bytes_max = 1000,
                                .inflight_bytes_max = 10000,
                                .inflight_count_max = 4};
}

static void give(struct raft_event e);

static void collect(void) {
    for (size_t i = 0; i < up.message_count && sent_count < 64; i++) sent[sent_count++] = up.messages[i];
    if (up.store_id == 0) return;
    stores_open[store_count++] = up.store_id;
    if (stores_hang) return;
    struct raft_update first = up;
    while (store_count > 0) {
        uint64_t id = stores_open[0];
        memmove(stores_open, stores_open + 1, --store_count * sizeof stores_open[0]);
        struct raft_event e = {.type = RAFT_EVENT_STORED, .store_id = id, .now_us = now_us};
        EXPECT(raft_step(core, &e, &up) == RC_OK);
        collect();
    }
    if (first.appended) up.entry = first.entry;
    up.refused = first.refused;
    up.install |= first.install;
    up.snapshot_to |= first.snapshot_to;
}

/* One event, and the stores it leads to done at once unless stores_hang. */
static void give(struct raft_event e) {
    sent_count = 0;
    e.now_us = now_us;
    EXPECT(raft_step(core, &e, &up) == RC_OK);
    collect();
    if (up.apply_index > 0) {
        struct raft_status st;
        raft_status(core, &st);
        if (up.apply_index > st.applied_index) {
            struct raft_update before = up;
            struct raft_event a = {.type = RAFT_EVENT_APPLIED, .index = up.apply_index, .now_us = now_us};
            EXPECT(raft_step(core, &a, &up) == RC_OK);
            for (size_t i = 0; i < up.message_count && sent_count < 64; i++)
                sent[sent_count++] = up.messages[i];
            up.refused = before.refused;
            up.read_id = before.read_id;
            up.install = before.install;
            up.entry = before.entry;
            if (before.snapshot_to) up.snapshot_to = before.snapshot_to;
        }
    }
}

static void event(enum raft_event_kind type) {
    give((struct raft_event){.type = type});
}

static void tick_at(uint64_t us) {
    now_us = us;
    event(RAFT_EVENT_TICK);
}

static void hear(struct raft_message m) {
    if (m.to == 0) m.to = 1;
    give((struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
}

static struct raft_status status(void) {
    struct raft_status st;
    raft_status(core, &st);
    return st;
}

static const struct raft_peer_status *peer(uint64_t id) {
    static struct raft_status st;
    st = status();
    size_t at = 0;
    while (at < st.peer_count && st.peers[at].id != id) at++;
    EXPECT(at < st.peer_count);
    return &st.peers[at];
}

/* The last message of a kind that went to a node in the last step; NULL: none. */
static const struct raft_message *to(uint64_t id, enum raft_message_kind kind) {
    for (size_t i = sent_count; i-- > 0;)
        if (sent[i].to == id && sent[i].kind == kind) return &sent[i];
    return NULL;
}

/* A core with a log of these terms behind its mark, nothing of it applied. */
static void begin_with(struct raft_config config, const char *terms) {
    now_us = config.now_us;
    stores_hang = false;
    store_count = sent_count = 0;
    up = (struct raft_update){0};
    EXPECT(raft_new(&config, &core) == RC_OK);
    for (size_t i = 0; terms[i]; i++) {
        struct raft_entry entry = {.index = config.mark_index + 1 + i,
                                   .term = (uint64_t)(terms[i] - '0'),
                                   .kind = RAFT_ENTRY_COMMANDS,
                                   .size = 10};
        raft_restore(core, &entry);
    }
}

static void begin(const char *seats) {
    now_us = 10;
    begin_with(config_of(seats), "");
}

static void grant_from(uint64_t id, bool pre_vote) {
    hear((struct raft_message){
        .kind = RAFT_VOTE_REPLY, .from = id, .term = status().term + pre_vote, .pre_vote = pre_vote});
}

static void become_candidate(void) {
    now_us += 2 * T; /* no leader for long */
    event(RAFT_EVENT_CAMPAIGN);
    for (uint64_t id = 2; up.role == RAFT_PRE_CANDIDATE; id++) grant_from(id, true);
    EXPECT(up.role == RAFT_CANDIDATE);
}

static void become_leader(void) {
    become_candidate();
    for (uint64_t id = 2; up.role == RAFT_CANDIDATE; id++) grant_from(id, false);
    EXPECT(up.role == RAFT_LEADER);
}

static void ack(uint64_t id, uint64_t match) {
    hear((struct raft_message){.kind = RAFT_APPEND_REPLY,
                               .from = id,
                               .term = status().term,
                               .match_index = match,
                               .hint_index = match,
                               .round = 1000 /* of whatever membership */});
}

static void beat_reply(uint64_t id, uint64_t round, uint64_t sent_us) {
    hear((struct raft_message){
        .kind = RAFT_HEARTBEAT_REPLY, .from = id, .term = status().term, .round = round, .sent_us = sent_us});
}

/* With the no-op committed and applied by 1 and 2, then 3. */
static void lead(const char *seats) {
    begin(seats);
    become_leader();
    for (uint64_t id = 2; id <= strlen(seats); id++)
        if (seats[id - 1] != '-') ack(id, 1);
    EXPECT_EQ_INT(up.commit_index, 1);
    EXPECT(up.readable);
}

static void propose(void) {
    give((struct raft_event){.type = RAFT_EVENT_PROPOSE, .size = 10});
}

static void change_to(const char *seats) {
    struct raft_members m = members_of(seats);
    give((struct raft_event){.type = RAFT_EVENT_CHANGE, .members = &m, .index = up.members_index});
}

/* Entries of these terms behind prev, from node 2 in `term`. */
static void append_from_2(uint64_t term, uint64_t prev_index, uint64_t prev_term, const char *terms,
                          uint64_t commit_index) {
    struct raft_entry entries[16];
    size_t count = strlen(terms);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct raft_entry){.index = prev_index + 1 + i,
                                         .term = (uint64_t)(terms[i] - '0'),
                                         .kind = RAFT_ENTRY_COMMANDS,
                                         .size = 10};
    hear((struct raft_message){.kind = RAFT_APPEND,
                               .from = 2,
                               .term = term,
                               .prev_index = prev_index,
                               .prev_term = prev_term,
                               .entries = entries,
                               .entry_count = count,
                               .commit_index = commit_index,
                               .round = 1,
                               .sent_us = 1});
}

static void heartbeat_from_2(uint64_t term, uint64_t commit_index) {
    hear((struct raft_message){.kind = RAFT_HEARTBEAT,
                               .from = 2,
                               .term = term,
                               .commit_index = commit_index,
                               .round = 1,
                               .sent_us = 1});
}

static void end(void) {
    raft_free(core);
}

/* E3: a grant of an earlier term, and E4: a pre-vote's grant, elect nobody. */
TEST(only_grants_of_this_term_and_phase_count) {
    begin("VVV");
    become_candidate();
    become_candidate(); /* term 2 */
    EXPECT_EQ_INT(up.term, 2);
    hear((struct raft_message){.kind = RAFT_VOTE_REPLY, .from = 2, .term = 1});
    EXPECT(up.role == RAFT_CANDIDATE);
    hear((struct raft_message){.kind = RAFT_VOTE_REPLY, .from = 2, .term = 2, .pre_vote = true});
    EXPECT(up.role == RAFT_CANDIDATE);
    hear((struct raft_message){.kind = RAFT_VOTE_REPLY, .from = 2, .term = 3, .pre_vote = true});
    EXPECT(up.role == RAFT_CANDIDATE);
    hear((struct raft_message){.kind = RAFT_VOTE_REPLY, .from = 9, .term = 2}); /* a stranger */
    EXPECT(up.role == RAFT_CANDIDATE);
    grant_from(3, false);
    EXPECT(up.role == RAFT_LEADER);
    end();
}

/* E1: requests for votes leave, and answers to them, only when the own vote is durable. */
TEST(votes_wait_for_the_disk) {
    begin("VVV");
    now_us += 2 * T;
    event(RAFT_EVENT_CAMPAIGN);
    EXPECT(to(2, RAFT_VOTE)->pre_vote);
    stores_hang = true;
    grant_from(2, true);
    EXPECT(up.role == RAFT_CANDIDATE);
    EXPECT(to(2, RAFT_VOTE) == NULL);
    EXPECT_EQ_INT(store_count, 1);
    give((struct raft_event){.type = RAFT_EVENT_STORED, .store_id = stores_open[0]});
    EXPECT(!to(2, RAFT_VOTE)->pre_vote);
    EXPECT(to(3, RAFT_VOTE) != NULL);
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 5});
    EXPECT(to(3, RAFT_VOTE_REPLY) == NULL);
    give((struct raft_event){.type = RAFT_EVENT_STORED, .store_id = stores_open[1]});
    EXPECT(!to(3, RAFT_VOTE_REPLY)->rejected);
    EXPECT_EQ_INT(to(3, RAFT_VOTE_REPLY)->term, 5);
    end();
}

/* E10: a leader of the past is told the term; a candidate too. */
TEST(lower_terms_are_answered_with_the_own) {
    struct raft_config config = config_of("VVV");
    config.term = 7;
    begin_with(config, "");
    heartbeat_from_2(5, 0);
    EXPECT_EQ_INT(to(2, RAFT_HEARTBEAT_REPLY)->term, 7);
    append_from_2(5, 0, 0, "5", 0);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->term, 7);
    EXPECT(to(2, RAFT_APPEND_REPLY)->rejected);
    EXPECT_EQ_INT(status().last_index, 0);
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 6, .pre_vote = true});
    EXPECT(to(3, RAFT_VOTE_REPLY)->rejected);
    EXPECT_EQ_INT(to(3, RAFT_VOTE_REPLY)->term, 7);
    end();
}

/* E15: a leader that nobody answers steps down after two time-outs; after one it listens to candidates. D9:
 * so does one whose disk does not answer, with an allowance for what it was given to write. */
TEST(a_leader_alone_or_without_a_disk_steps_down) {
    lead("VVV");
    uint64_t start = now_us;
    tick_at(start + 2 * T);
    EXPECT(up.role == RAFT_LEADER);
    tick_at(start + 2 * T + 1);
    EXPECT(up.role == RAFT_FOLLOWER);
    EXPECT_EQ_INT(up.leader_id, 0);
    end();
    lead("VVV");
    now_us += T;
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 2, .last_index = 1, .last_term = 1});
    EXPECT_EQ_INT(up.term, 1);
    now_us += 1;
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 2, .last_index = 1, .last_term = 1});
    EXPECT_EQ_INT(up.term, 2);
    EXPECT(!to(3, RAFT_VOTE_REPLY)->rejected);
    end();
    for (uint64_t size = 10; size <= 4010; size += 4000) { /* 4000 bytes are worth 1000 us */
        lead("VVV");
        start = now_us;
        stores_hang = true;
        give((struct raft_event){.type = RAFT_EVENT_PROPOSE, .size = size});
        give((struct raft_event){.type = RAFT_EVENT_PROPOSE, .size = 4000}); /* that gives it no more time */
        EXPECT_EQ_INT(up.refused, RAFT_TAKEN);
        uint64_t until = start + 2 * T + size / 4;
        while (now_us + BEAT <= until) {
            now_us += BEAT;
            beat_reply(2, 1, now_us);
            tick_at(now_us);
            EXPECT(up.role == RAFT_LEADER);
        }
        tick_at(until + 1);
        EXPECT(up.role == RAFT_FOLLOWER);
        EXPECT(!status().is_promotable);
        end();
    }
}

/* E13: a node that hears a leader ignores candidates, and their terms; a transfer's it does not. R6: it has
 * promised that, so not even a command makes it campaign; nor does a restart free it, unless it never had a
 * term. */
TEST(who_hears_a_leader_stays_with_it) {
    begin("VVV");
    heartbeat_from_2(3, 0);
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 9});
    EXPECT_EQ_INT(sent_count, 0);
    EXPECT_EQ_INT(up.term, 3);
    event(RAFT_EVENT_CAMPAIGN);
    EXPECT(up.role == RAFT_FOLLOWER);
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 9, .is_transfer = true});
    EXPECT(!to(3, RAFT_VOTE_REPLY)->rejected);
    end();
    struct raft_config config = config_of("VVV");
    config.term = 3;
    begin_with(config, "");
    now_us += T - 1;
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 9});
    EXPECT_EQ_INT(up.term, 3);
    now_us += 1;
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 9});
    EXPECT_EQ_INT(up.term, 9);
    end();
    begin("VVV");
    hear((struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 1});
    EXPECT_EQ_INT(up.term, 1);
    end();
}

/* L1: an append that brings nothing new truncates nothing. L5: one from below the mark is no conflict. */
TEST(old_appends_take_nothing_away) {
    struct raft_config config = config_of("VVV");
    config.term = 3;
    config.mark_index = config.applied_index = 4;
    config.mark_term = 2;
    begin_with(config, "");
    append_from_2(3, 4, 2, "333", 4);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->match_index, 7);
    append_from_2(3, 4, 2, "3", 4);
    EXPECT_EQ_INT(status().last_index, 7);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->match_index, 7);
    append_from_2(3, 2, 1, "12", 4);
    EXPECT(!to(2, RAFT_APPEND_REPLY)->rejected);
    EXPECT_EQ_INT(status().last_index, 7);
    end();
    begin_with(config, ""); /* the same, with nothing verified in this term */
    append_from_2(3, 2, 1, "123", 4);
    EXPECT(!to(2, RAFT_APPEND_REPLY)->rejected);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->match_index, 5);
    end();
}

/* L2: whoever contradicts what is committed is not a leader. */
TEST(what_is_committed_stays) {
    struct raft_config config = config_of("VVV");
    config.term = 3;
    config.applied_index = 2;
    begin_with(config, "112");
    struct raft_entry entry = {.index = 2, .term = 3, .kind = RAFT_ENTRY_COMMANDS};
    struct raft_message m = {.kind = RAFT_APPEND,
                             .from = 2,
                             .to = 1,
                             .term = 4,
                             .prev_index = 1,
                             .prev_term = 1,
                             .entries = &entry,
                             .entry_count = 1};
    struct raft_event e = {.type = RAFT_EVENT_MESSAGE, .message = &m};
    EXPECT(raft_step(core, &e, &up) == RC_INVALID);
    EXPECT_EQ_INT(status().term, 3);
    append_from_2(4, 2, 1, "4", 0); /* behind it, it may be replaced */
    EXPECT_EQ_INT(raft_term_at(core, 3), 4);
    end();
}

/* C4: a follower commits what it has compared with the leader's log, not what it happens to have. */
TEST(a_follower_commits_what_is_verified) {
    struct raft_config config = config_of("VVV");
    config.term = 3;
    begin_with(config, "1122");
    heartbeat_from_2(4, 4);
    EXPECT_EQ_INT(up.commit_index, 0);
    append_from_2(4, 2, 1, "", 4);
    EXPECT_EQ_INT(up.commit_index, 2);
    append_from_2(4, 2, 1, "4", 4);
    EXPECT_EQ_INT(up.commit_index, 3);
    EXPECT_EQ_INT(status().last_index, 3);
    end();
}

/* L16: a store whose entries were replaced meanwhile vouches for those that were not, only. */
TEST(a_late_store_vouches_for_what_is_left_of_it) {
    begin("VVV");
    stores_hang = true;
    append_from_2(1, 0, 0, "111", 0);
    append_from_2(2, 1, 1, "22", 0);
    give((struct raft_event){.type = RAFT_EVENT_STORED, .store_id = 1});
    EXPECT_EQ_INT(status().stored_index, 1);
    give((struct raft_event){.type = RAFT_EVENT_STORED, .store_id = 2});
    EXPECT_EQ_INT(status().stored_index, 3);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->match_index, 3);
    end();
}

/* L8, L12: match never falls, and never leaves the leader's log. L9: a rejection of an older probe is stale.
 * */
TEST(odd_answers_do_not_move_a_peer) {
    lead("VVV");
    propose();
    propose();
    ack(2, 3);
    ack(2, 2);
    EXPECT_EQ_INT(peer(2)->match_index, 3);
    ack(2, 77);
    EXPECT_EQ_INT(peer(2)->match_index, 3);
    EXPECT_EQ_INT(up.commit_index, 3);
    end();
    struct raft_config config = config_of("VVV");
    config.term = 2;
    begin_with(config, "1111111111");
    become_leader();
    struct raft_message no = {.kind = RAFT_APPEND_REPLY, .from = 2, .term = 3, .rejected = true};
    no.prev_index = 10, no.hint_index = 6, no.hint_term = 1;
    hear(no);
    EXPECT_EQ_INT(to(2, RAFT_APPEND)->prev_index, 6);
    no.hint_index = 2;
    hear(no); /* again the answer to the first probe */
    EXPECT_EQ_INT(sent_count, 0);
    EXPECT_EQ_INT(peer(2)->next_index, 7);
    end();
}

/* L13: where the logs part is found in one probe for each term. */
TEST(one_probe_for_each_term) {
    struct raft_config config = config_of("VVV");
    config.term = 5;
    begin_with(config, "11155555");
    become_leader(); /* 9 is its no-op */
    EXPECT_EQ_INT(to(2, RAFT_APPEND)->prev_index, 8);
    hear((struct raft_message){.kind = RAFT_APPEND_REPLY,
                               .from = 2,
                               .term = 6,
                               .rejected = true,
                               .prev_index = 8,
                               .hint_index = 8,
                               .hint_term = 4});
    EXPECT_EQ_INT(to(2, RAFT_APPEND)->prev_index, 3);
    end();
    config.term = 6;
    begin_with(
        config,
        "1113333333"); /* the follower's side: nothing it has of term 3 can be in a log with term 2 there */
    append_from_2(6, 8, 2, "", 0);
    EXPECT(to(2, RAFT_APPEND_REPLY)->rejected);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->hint_index, 3);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->hint_term, 1);
    end();
}

/* L14: when everything in a full window is lost, the answers to heartbeats get it going again, one at a time.
 * */
TEST(a_full_window_of_lost_messages_is_left) {
    lead("VVV");
    for (int i = 0; i < 6; i++) propose();
    EXPECT_EQ_INT(peer(2)->inflight_count, 4);
    now_us += BEAT / 2;
    beat_reply(2, 1, now_us); /* perhaps they are just on their way */
    EXPECT(to(2, RAFT_APPEND) == NULL);
    now_us += BEAT;
    beat_reply(2, 1, now_us);
    EXPECT_EQ_INT(to(2, RAFT_APPEND)->prev_index, 5);
    hear((struct raft_message){.kind = RAFT_APPEND_REPLY,
                               .from = 2,
                               .term = 1,
                               .rejected = true,
                               .prev_index = 5,
                               .hint_index = 1,
                               .hint_term = 1});
    EXPECT_EQ_INT(to(2, RAFT_APPEND)->prev_index, 1);
    EXPECT_EQ_INT(to(2, RAFT_APPEND)->entry_count, 6);
    end();
}

/* C1, C2: figure 8 of the Raft paper: an entry of an earlier term on a majority is not committed by that,
 * only under one of the leader's own term. */
TEST(figure_8) {
    struct raft_config config = config_of("VVVVV");
    config.term = 3;
    begin_with(config, "12");
    become_leader(); /* 3 is of term 4 */
    ack(2, 2);
    ack(3, 2);
    EXPECT_EQ_INT(up.commit_index, 0);
    ack(2, 3);
    EXPECT_EQ_INT(up.commit_index, 0);
    ack(3, 3);
    EXPECT_EQ_INT(up.commit_index, 3);
    end();
}

/* S1, S2: a snapshot of what is here already is not installed. S3: one that is not replaces everything. */
TEST(snapshots_that_are_not_needed_are_not_installed) {
    struct raft_members m = members_of("VVV");
    struct raft_config config = config_of("VVV");
    config.term = 2;
    begin_with(config, "11122");
    heartbeat_from_2(2, 0);
    struct raft_event e = {
        .type = RAFT_EVENT_SNAPSHOT, .peer = 2, .term = 2, .members = &m, .members_index = 1};
    e.index = 4, e.snapshot_term = 2;
    give(e);
    EXPECT(!up.install);
    EXPECT_EQ_INT(up.commit_index, 4);
    EXPECT_EQ_INT(status().last_index, 5);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->match_index, 4);
    e.index = 3, e.snapshot_term = 1;
    give(e);
    EXPECT(!up.install);
    e.term = 1, e.snapshot_term = 1, e.index = 9;
    give(e); /* of a leader of the past */
    EXPECT(!up.install);
    e.term = 2, e.snapshot_term = 2;
    give(e);
    EXPECT(up.install);
    EXPECT(!status().is_promotable);
    append_from_2(2, 5, 2, "2", 5);
    EXPECT_EQ_INT(sent_count, 0);
    heartbeat_from_2(2, 9);
    EXPECT(to(2, RAFT_HEARTBEAT_REPLY) != NULL);
    give((struct raft_event){.type = RAFT_EVENT_INSTALLED});
    EXPECT_EQ_INT(up.commit_index, 9);
    EXPECT_EQ_INT(status().first_index, 10);
    EXPECT_EQ_INT(raft_term_at(core, 9), 2);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->match_index, 9);
    end();
}

/* L6, S9, S10: who needs what is cut gets a snapshot, asked for once; an acknowledgement ends the wait as
 * well. */
TEST(a_peer_behind_the_mark_gets_a_snapshot) {
    lead("VVV");
    for (int i = 0; i < 3; i++) propose();
    ack(2, 4);
    give((struct raft_event){.type = RAFT_EVENT_CUT, .index = 4});
    give((struct raft_event){.type = RAFT_EVENT_UNREACHABLE, .peer = 3});
    now_us += BEAT;
    beat_reply(3, 1, now_us); /* has 1, needs 2 */
    EXPECT_EQ_INT(up.snapshot_to, 3);
    EXPECT(to(3, RAFT_APPEND) == NULL);
    event(RAFT_EVENT_TICK);
    EXPECT_EQ_INT(up.snapshot_to, 0);
    give((struct raft_event){.type = RAFT_EVENT_SNAPSHOT_SENT, .peer = 3, .index = 0});
    EXPECT_EQ_INT(up.snapshot_to, 0); /* it failed: again when the peer answers */
    beat_reply(3, 1, now_us);
    EXPECT_EQ_INT(up.snapshot_to, 3);
    propose();
    EXPECT(to(3, RAFT_APPEND) == NULL);
    ack(3, 4);
    EXPECT(peer(3)->state == RAFT_REPLICATE);
    EXPECT_EQ_INT(to(3, RAFT_APPEND)->prev_index, 4);
    end();
}

/* M1, M2: no change before something of the own term is committed, none while one is under way. */
TEST(one_change_at_a_time) {
    begin("VVV");
    become_leader();
    change_to("VVVL");
    EXPECT(up.refused == RAFT_NOT_YET);
    ack(2, 1);
    change_to("---L");
    EXPECT(up.refused == RAFT_SENSELESS);
    change_to("VVV");
    EXPECT(up.refused == RAFT_SENSELESS);
    change_to("VVVL");
    EXPECT(up.refused == RAFT_TAKEN);
    EXPECT(!status().is_joint);
    change_to("VVVV");
    EXPECT(up.refused == RAFT_CHANGING);
    ack(2, 2);
    EXPECT_EQ_INT(up.commit_index, 2);
    change_to("VVVV");
    EXPECT(up.refused == RAFT_TAKEN);
    EXPECT(status().is_joint);
    ack(2, 3);
    EXPECT_EQ_INT(up.commit_index, 2); /* two of three, but two of four */
    ack(4, 3);
    EXPECT_EQ_INT(up.commit_index, 3);
    EXPECT(!status().is_joint); /* left by itself */
    EXPECT_EQ_INT(up.members_index, 4);
    end();
}

/* M6: a leader that was removed is not counted, tells the others when that is committed, and has the best of
 * them lead. */
TEST(a_removed_leader_hands_over) {
    lead("VVV");
    change_to("-VV");
    ack(2, 2);
    ack(3, 2);
    EXPECT_EQ_INT(up.members_index, 3);
    EXPECT(members_find(up.members, 1) == NULL);
    propose();
    EXPECT(up.refused == RAFT_TRANSFERRING);
    ack(2, 3);
    EXPECT_EQ_INT(up.commit_index, 2);
    EXPECT(up.role == RAFT_LEADER);
    ack(3, 3);
    EXPECT_EQ_INT(up.commit_index, 3);
    EXPECT(up.role == RAFT_FOLLOWER);
    EXPECT_EQ_INT(to(2, RAFT_HEARTBEAT)->commit_index, 3);
    EXPECT((to(2, RAFT_TIMEOUT_NOW) != NULL) + (to(3, RAFT_TIMEOUT_NOW) != NULL) == 1);
    EXPECT(!status().is_promotable);
    end();
}

/* L10, M16: answers to an earlier membership do not count for a peer that was removed and came back. */
TEST(a_peer_that_comes_back_starts_afresh) {
    lead("VVVV");
    ack(4, 1);
    struct raft_message late = {
        .kind = RAFT_APPEND_REPLY, .from = 4, .term = 1, .match_index = 1, .round = 1};
    change_to("VVV");
    ack(2, 2);
    ack(3, 2);
    ack(2, 3);
    ack(3, 3);
    EXPECT_EQ_INT(up.commit_index, 3);
    change_to("VVVL");
    EXPECT_EQ_INT(peer(4)->match_index, 0);
    uint64_t round = to(4, RAFT_APPEND)->round;
    hear(late);
    EXPECT_EQ_INT(peer(4)->match_index, 0);
    late.round = round;
    hear(late);
    EXPECT_EQ_INT(peer(4)->match_index, 1);
    end();
}

/* T1, T2, R7: a transfer takes no proposals, waits until the target has everything, and ends by itself; the
 * lease is gone at once, and once a node was told to campaign it does not come back in this term. */
TEST(transfer) {
    lead("VVV");
    propose();
    beat_reply(2, 1, now_us);
    EXPECT(up.lease_until_us > now_us);
    give((struct raft_event){.type = RAFT_EVENT_TRANSFER, .peer = 1});
    EXPECT(up.refused == RAFT_SENSELESS);
    give((struct raft_event){.type = RAFT_EVENT_TRANSFER, .peer = 2});
    EXPECT(up.refused == RAFT_TAKEN);
    EXPECT_EQ_INT(up.lease_until_us, 0);
    EXPECT(to(2, RAFT_TIMEOUT_NOW) == NULL);
    propose();
    EXPECT(up.refused == RAFT_TRANSFERRING);
    uint64_t start = now_us;
    now_us += T / 2;
    ack(2, 1);
    ack(3, 1);
    EXPECT(to(2, RAFT_TIMEOUT_NOW) == NULL);
    tick_at(start + T); /* too slow: it is over, and nobody was told anything */
    EXPECT_EQ_INT(status().transfer_to, 0);
    beat_reply(2, 1, start);
    EXPECT_EQ_INT(up.lease_until_us, 0);
    now_us++;
    beat_reply(2, 1, now_us);
    EXPECT(up.lease_until_us > now_us);
    give((struct raft_event){.type = RAFT_EVENT_TRANSFER, .peer = 2});
    ack(2, 2);
    EXPECT(to(2, RAFT_TIMEOUT_NOW) != NULL);
    now_us += T / 2;
    beat_reply(2, 1, now_us);
    tick_at(now_us + T / 2);
    EXPECT_EQ_INT(status().transfer_to, 0);
    beat_reply(2, 1, now_us);
    EXPECT_EQ_INT(up.lease_until_us, 0);
    propose();
    EXPECT(up.refused == RAFT_TAKEN);
    end();
}

/* R2, R3: a read needs answers to what was sent after it came; with the leadership it is lost. */
TEST(reads_need_a_round_of_their_own) {
    lead("VVV");
    event(RAFT_EVENT_READ);
    uint64_t first = up.read_id, first_round = to(2, RAFT_HEARTBEAT)->round;
    event(RAFT_EVENT_READ);
    uint64_t second = up.read_id;
    EXPECT(second > first);
    beat_reply(2, first_round - 1, now_us);
    EXPECT(up.read_done < first);
    beat_reply(2, first_round, now_us);
    EXPECT_EQ_INT(up.read_done, first);
    beat_reply(2, UINT64_MAX, now_us); /* never sent */
    EXPECT_EQ_INT(up.read_done, first);
    heartbeat_from_2(9, 0);
    EXPECT_EQ_INT(up.read_lost, second);
    EXPECT_EQ_INT(up.read_done, first);
    end();
}

/* C5, C12: a commit index goes out with the next tick when nothing else carries it, and never beyond what the
 * peer has. */
TEST(the_last_commit_is_told) {
    lead("VVV");
    propose();
    ack(2, 2);
    EXPECT_EQ_INT(up.commit_index, 2);
    EXPECT_EQ_INT(sent_count, 0);
    tick_at(now_us + 1);
    EXPECT_EQ_INT(to(2, RAFT_HEARTBEAT)->commit_index, 2);
    EXPECT(to(3, RAFT_HEARTBEAT) == NULL); /* has 1: the next heartbeat will do */
    tick_at(now_us + 1);
    EXPECT_EQ_INT(sent_count, 0);
    tick_at(now_us + BEAT);
    EXPECT_EQ_INT(to(3, RAFT_HEARTBEAT)->commit_index, 1);
    end();
}

/* C11: a follower that was restarted knows an older commit index than the leader believes; the next heartbeat
 * mends that. */
TEST(a_restarted_follower_learns_the_commit_index) {
    struct raft_config config = config_of("VVV");
    config.term = 3;
    config.applied_index = 1;
    begin_with(config, "1233");
    heartbeat_from_2(3, 4);
    EXPECT_EQ_INT(up.commit_index, 1);
    EXPECT(!to(2, RAFT_APPEND_REPLY)->rejected);
    EXPECT_EQ_INT(to(2, RAFT_APPEND_REPLY)->match_index, 1);
    append_from_2(3, 4, 3, "", 4);
    EXPECT_EQ_INT(up.commit_index, 4);
    end();
    lead("VVV"); /* and the leader's side of it */
    propose();
    ack(2, 2);
    now_us += BEAT;
    ack(2, 1);
    EXPECT_EQ_INT(to(2, RAFT_APPEND)->prev_index, 2);
    EXPECT_EQ_INT(peer(2)->match_index, 2);
    ack(2, 1);
    EXPECT(to(2, RAFT_APPEND) == NULL);
    end();
}

/* X2: strangers are not believed, not even about the term. */
TEST(answers_of_strangers_change_nothing) {
    lead("VVV");
    hear((struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 8, .term = 9, .match_index = 1});
    hear((struct raft_message){.kind = RAFT_HEARTBEAT_REPLY, .from = 8, .term = 9});
    hear((struct raft_message){.kind = RAFT_VOTE_REPLY, .from = 8, .term = 9, .rejected = true});
    EXPECT(up.role == RAFT_LEADER);
    EXPECT_EQ_INT(up.term, 1);
    end();
}

/* M7: a node may finish a change that writes it out, also when a restart made it forget that the change
 * before is committed. */
TEST(a_voter_of_any_configuration_that_may_be_in_force_campaigns) {
    struct raft_config config = config_of("LV");
    config.term = 2;
    begin_with(config, "1");
    struct raft_members joint = {.count = 2,
                                 .items = {{.id = 1, .seat = RAFT_VOTER}, {.id = 2, .seat = RAFT_VOTER}}};
    struct raft_members out = members_of("LV");
    struct raft_entry entry = {.index = 2, .term = 2, .kind = RAFT_ENTRY_MEMBERS, .members = &joint};
    raft_restore(core, &entry);
    entry.index = 3;
    entry.members = &out;
    raft_restore(core, &entry);
    EXPECT(status().is_promotable);
    append_from_2(2, 3, 2, "", 3); /* it is committed: over */
    EXPECT_EQ_INT(up.commit_index, 3);
    EXPECT(!status().is_promotable);
    end();
}

/* X1, L7, L22: nonsense is refused and changes nothing. */
TEST(nonsense_is_refused) {
    struct raft_config config = config_of("VVV");
    config.term = 3;
    config.applied_index = 1;
    begin_with(config, "123");
    event(RAFT_EVENT_TICK);
    struct raft_entry gap[] = {{.index = 4, .term = 3, .kind = RAFT_ENTRY_NOOP},
                               {.index = 6, .term = 3, .kind = RAFT_ENTRY_NOOP}};
    struct raft_entry falls[] = {{.index = 4, .term = 3, .kind = RAFT_ENTRY_NOOP},
                                 {.index = 5, .term = 2, .kind = RAFT_ENTRY_NOOP}};
    struct raft_entry above[] = {{.index = 4, .term = 5, .kind = RAFT_ENTRY_NOOP}};
    struct raft_entry kind[] = {{.index = 4, .term = 3, .kind = 9}};
    struct raft_entry bare[] = {{.index = 4, .term = 3, .kind = RAFT_ENTRY_MEMBERS}};
    struct raft_members nobody = {0};
    struct raft_entry empty[] = {{.index = 4, .term = 3, .kind = RAFT_ENTRY_MEMBERS, .members = &nobody}};
    struct raft_message base = {
        .kind = RAFT_APPEND, .from = 2, .to = 1, .term = 4, .prev_index = 3, .prev_term = 3};
    struct raft_message bad[14];
    for (size_t i = 0; i < 14; i++) bad[i] = base;
    bad[0].entries = gap, bad[0].entry_count = 2;
    bad[1].entries = falls, bad[1].entry_count = 2;
    bad[2].entries = above, bad[2].entry_count = 1;
    bad[3].entries = kind, bad[3].entry_count = 1;
    bad[4].entries = bare, bad[4].entry_count = 1;
    bad[5].entries = empty, bad[5].entry_count = 1;
    bad[6].entry_count = 1;
    bad[7].to = 5;
    bad[8].from = 1;
    bad[9].from = 0;
    bad[10].term = UINT64_MAX;
    bad[11].prev_index = UINT64_MAX;
    bad[12].kind = 77;
    bad[13].prev_index = 1, bad[13].prev_term = 3; /* contradicts what is committed */
    for (size_t i = 0; i < 14; i++) {
        struct raft_event e = {.type = RAFT_EVENT_MESSAGE, .message = &bad[i], .now_us = now_us};
        EXPECT_NOTE(raft_step(core, &e, &up) == RC_INVALID, "message %zu", i);
        EXPECT_EQ_INT(status().term, 3);
        EXPECT_EQ_INT(status().last_index, 3);
    }
    end();
}

TEST_MAIN
