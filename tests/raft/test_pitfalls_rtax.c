/* Reads, transfers, applying, robustness: pitfalls R1 to R10, T1 to T5, and of A and X those that the core can have, of the
 * list in server/raft/README.md. */
#include "play.h"

#include "walk.h"

TEST(r1_a_new_leader_reads_only_after_committing_in_its_term) {
    struct cluster *c = play("nodes 3; elect 1; propose 1; quiet settle; crash 1; skip 1500; campaign 2; "
                             "quiet deliver; quiet deliver;"
                             "quiet store 2; quiet deliver; quiet store 3; quiet deliver; read 2");
    EXPECT(leads(c, 2));
    EXPECT_SAID(c, "refused: not yet");
    more(c, "quiet settle; read 2; settle");
    EXPECT_SAID(c, "reads done");
    leave(c);
}
TEST(r2_answers_to_messages_sent_before_the_read_do_not_confirm_it) {
    struct cluster *c = play(
        "nodes 3; elect 1; pass 100; deliver 1>2; deliver 1>3; read 1; deliver 2>1 first; deliver 3>1 first");
    EXPECT_NOT_SAID(c, "reads done");
    more(c, "settle");
    EXPECT_SAID(c, "reads done to 1");
    leave(c);
}
TEST(r2_read_ids_are_never_used_again) {
    struct cluster *c = play("nodes 3; elect 1; read 1; read 1; settle; read 1");
    EXPECT_EQ_INT(c->nodes[1].read_id, 3);
    leave(c);
}
TEST(r_reads_that_wait_are_bounded) {
    struct cluster *c = play("nodes 3; elect 1; partition 1 | 2 3");
    uint64_t taken = 0;
    while (taken < 100000 && cluster_read(c, 1)) {
        taken++;
        while (c->net_count > 0) cluster_drop(c, 0);
    }
    EXPECT(taken >= 1000);
    EXPECT(taken < 100000);
    EXPECT(c->nodes[1].refused == RAFT_TOO_MUCH);
    more(c, "heal; quiet run 200; read 1");
    EXPECT_NOT_SAID(c, "refused");
    EXPECT_EQ_INT(c->nodes[1].reads_done, taken);
    leave(c);
}
TEST(r3_reads_are_failed_when_leadership_goes) {
    struct cluster *c = play("nodes 3; elect 1; read 1; read 1; say 2>1 append-reply t9 rejected");
    EXPECT_SAID(c, "reads lost to 2");
    EXPECT_EQ_INT(c->nodes[1].read_count, 0);
    leave(c);
}
TEST(r3_also_when_nobody_answers) {
    struct cluster *c = play("nodes 3; elect 1; partition 1 | 2 3; read 1; quiet run 2500");
    EXPECT_EQ_INT(c->nodes[1].reads_lost, 1);
    leave(c);
}
TEST(r4_reads_are_confirmed_by_both_majorities_and_not_by_those_removed) {
    struct cluster *c = play("nodes 3; add 4; add 5; elect 1; slow 2 3 4 5; change 1 : 1 4 5; quiet run 100; "
                             "crash 4; crash 5; read 1;"
                             "settle");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2- 3- 4+ 5+}");
    EXPECT_NOT_SAID(c, "reads done"); /* 2 and 3 answer; of the new voters only 1 does */
    leave(c);
}
TEST(r4_learners_confirm_nothing) {
    struct cluster *c = play("nodes 3 learners 2; elect 1; quiet run 200; crash 2; crash 3; read 1; settle");
    EXPECT_NOT_SAID(c, "reads done");
    leave(c);
}
TEST(r5_a_read_waits_for_the_state) {
    struct cluster *c = play("nodes 3; elect 1; lazy 1; propose 1 2; quiet settle; read 1; settle");
    EXPECT_NOT_SAID(c, "reads done");
    more(c, "apply 1 1");
    EXPECT_NOT_SAID(c, "reads done");
    more(c, "apply 1 1");
    EXPECT_SAID(c, "reads done to 1");
    leave(c);
}
TEST(r6_a_lease_counts_from_the_sending) {
    struct cluster *c = play("nodes 3 lease 800; elect 1; quiet run 200; pass 100; skip 500; settle");
    /* What was sent 500 ms ago is answered only now. */
    EXPECT(c->nodes[1].lease_until_us <= cluster_clock(c, &c->nodes[1]) + 300000);
    EXPECT(c->nodes[1].lease_until_us > cluster_clock(c, &c->nodes[1]));
    leave(c);
}
TEST(r6_without_the_setting_there_is_no_lease) {
    struct cluster *c = play("nodes 3; elect 1; quiet run 300");
    EXPECT_EQ_INT(c->nodes[1].lease_until_us, 0);
    leave(c);
}
TEST(r6_whoever_took_part_in_a_lease_and_restarts_waits_for_a_time_out) {
    struct cluster *c = play("nodes 3 lease 800; elect 1; quiet run 300; partition 1 | 2 3; crash 2; crash "
                             "3; restart 2 3; campaign 2;"
                             "quiet settle");
    EXPECT(!leads(c, 2));
    more(c, "say 9>3 pre-vote t7 last=9/6; say 9>3 vote t7 last=9/6; store 3");
    EXPECT_NOT_SAID(c, "vote-reply");
    more(c, "skip 1000; campaign 2; quiet settle");
    EXPECT(leads(c, 2));
    leave(c);
}
TEST(r7_a_transfer_ends_the_lease) {
    struct cluster *c = play("nodes 3 lease 800; elect 1; quiet run 300");
    EXPECT(c->nodes[1].lease_until_us > cluster_clock(c, &c->nodes[1]));
    more(c, "transfer 1 3");
    EXPECT_EQ_INT(c->nodes[1].lease_until_us, 0);
    leave(c);
}
TEST(r7_after_a_transfer_given_up_an_old_answer_gives_no_lease) {
    /* The target never has everything, so it is never told to campaign; what was sent before the end does not count. */
    struct cluster *c = play(
        "nodes 3 lease 800; elect 1; slow 3; propose 1; quiet settle; transfer 1 3; quiet run 950; pass 30;"
        "pass 30; deliver");
    EXPECT_EQ_INT(c->nodes[1].lease_until_us, 0);
    more(c, "quiet run 300");
    EXPECT(c->nodes[1].lease_until_us > cluster_clock(c, &c->nodes[1]));
    leave(c);
}
TEST(r8_a_leader_that_slept_has_no_lease) {
    struct cluster *c = play("nodes 3 lease 800; elect 1; quiet run 300; skip 5000");
    EXPECT(c->nodes[1].lease_until_us < cluster_clock(c, &c->nodes[1]));
    more(c, "tick 2; tick 3; partition 1 | 2 3; quiet settle; run 4000");
    EXPECT(leads(c, 2) || leads(c, 3));
    leave(c);
}
TEST(r8_a_clock_that_goes_back_stands_still) {
    struct cluster *c = play("nodes 3 lease 800; elect 1; quiet run 300");
    uint64_t until_us = c->nodes[1].lease_until_us;
    c->nodes[1].clock_offset_us -= 2000000;
    more(c, "tick 1");
    EXPECT(c->nodes[1].lease_until_us <= until_us);
    leave(c);
}
TEST(r9_a_lone_voter_reads_what_is_durable) {
    struct cluster *c = play("nodes 1; tick; settle; propose 1; read 1");
    EXPECT_SAID(c, "reads done to 1");
    EXPECT_EQ_INT(c->nodes[1].state.index, 1);
    EXPECT_EQ_INT(c->acked_index, 0);
    leave(c);
}
TEST(r10_a_follower_does_not_forget_a_leader_that_may_hold_a_lease) {
    struct cluster *c = play("nodes 3 lease 800; elect 1; quiet run 200; campaign 2; settle");
    EXPECT_NOT_SAID(c, "pre-candidate");
    EXPECT_EQ_INT(status_of(c, 2).leader_id, 1);
    leave(c);
}

TEST(t1_a_transfer_stops_proposals_until_it_is_given_up) {
    struct cluster *c = play("nodes 3; elect 1; crash 3; transfer 1 3; propose 1");
    EXPECT_SAID(c, "refused: transferring");
    more(c, "quiet run 1100; propose 1");
    EXPECT_NOT_SAID(c, "refused");
    EXPECT_EQ_INT(status_of(c, 1).transfer_to, 0);
    leave(c);
}
TEST(t2_the_target_must_have_everything_on_its_disk) {
    struct cluster *c = play("nodes 3; elect 1; slow 3; propose 1; quiet settle; transfer 1 3; settle");
    EXPECT_NOT_SAID(c, "timeout-now");
    more(c, "fast 3; settle");
    EXPECT(leads(c, 3));
    leave(c);
}
TEST(t2_a_lost_order_to_campaign_is_given_again) {
    struct cluster *c = play("nodes 3; elect 1; transfer 1 3; drop timeout-now; quiet run 500");
    EXPECT(leads(c, 3));
    leave(c);
}
TEST(t3_a_target_that_is_removed_or_no_voter_ends_the_transfer) {
    struct cluster *c = play("nodes 3 learners 1; elect 1; transfer 1 4");
    EXPECT_SAID(c, "refused: senseless");
    more(c, "transfer 1 9");
    EXPECT_SAID(c, "refused: senseless");
    more(c, "transfer 1 3; change 1 : 1 2");
    EXPECT_SAID(c, "refused: transferring");
    leave(c);
}
TEST(t3_the_transfers_flag_does_not_make_up_for_a_short_log) {
    struct cluster *c = play("nodes 3 puppets; given 1 t2 log 1 2; say 2>1 heartbeat t2 commit=0; say 3>1 "
                             "vote t3 last=1/1 transfer; store 1");
    EXPECT_SAID(c, "vote-reply t3 rejected");
    leave(c);
}
TEST(t3_an_order_to_campaign_counts_only_from_the_leader_of_the_term) {
    struct cluster *c = play("nodes 3 puppets; given 1 t3 log 1; say 2>1 heartbeat t3 commit=0; say 3>1 "
                             "timeout-now t3; say 3>1 timeout-now t2");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    more(c, "say 2>1 timeout-now t3");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    leave(c);
}
TEST(t4_writes_before_the_transfer_do_not_starve_it) {
    struct cluster *c =
        play("nodes 3 inflight 2; elect 1; propose 1 20; transfer 1 3; quiet settle; quiet run 300");
    EXPECT(leads(c, 3));
    EXPECT(commit_of(c, 3) >= 21);
    leave(c);
}
TEST(t3_without_a_target_the_most_up_to_date_of_those_alive_gets_it) {
    struct cluster *c =
        play("nodes 4; elect 1; block 1>2; propose 1; quiet settle; crash 4; transfer 1; settle");
    EXPECT_SAID(c, "1>3 timeout-now");
    EXPECT(leads(c, 3));
    leave(c);
    c = play("nodes 3; elect 1; crash 2; quiet run 900; skip 200; quiet tick 1; transfer 1; settle");
    EXPECT(leads(c, 3)); /* 2 is as level, and silent */
    leave(c);
    c = play("nodes 3; elect 1; slow 3; propose 1; quiet settle; crash 2; quiet run 1200; transfer 1");
    EXPECT_EQ_INT(status_of(c, 1).transfer_to, 3); /* 2 had more, and is silent */
    leave(c);
}
TEST(t5_a_transfer_to_itself_repeated_or_by_another) {
    struct cluster *c = play("nodes 3; elect 1; transfer 1 1");
    EXPECT_SAID(c, "refused: senseless");
    more(c, "transfer 2 3");
    EXPECT_SAID(c, "refused: not leader");
    more(c, "transfer 1 3; transfer 1 3");
    EXPECT_SAID(c, "refused: transferring");
    more(c, "quiet settle");
    EXPECT(leads(c, 3));
    leave(c);
}

TEST(a3_a_proposal_belongs_to_its_index_and_term) {
    /* 1's entry 2 is overwritten by 2's: observe.c checks at each entry applied that it is where and of what term it was
     * proposed; here nobody took the one for the other. */
    struct cluster *c = play("nodes 3; elect 1; partition 1 | 2 3; propose 1; quiet run 4000");
    struct cl_node *leader = cluster_leader(c);
    EXPECT(leader != NULL && leader->id != 1);
    cluster_propose(c, leader->id, 1);
    more(c, "quiet settle; heal; quiet run 500");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/2- 3/2");
    leave(c);
}
TEST(a5_slow_applying_delays_no_heartbeat) {
    struct cluster *c = play("nodes 3; elect 1; lazy 1 2 3; propose 1 20; quiet settle; quiet run 5000");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(commit_of(c, 1), 21);
    EXPECT_EQ_INT(c->nodes[1].state.index, 1);
    leave(c);
}

TEST(x1_senseless_messages_change_nothing) {
    static const char *messages[] = {
        "append t3 prev=0/0 commit=0 [1/4]",
        "append t3 prev=0/0 commit=0 [2/1]",
        "append t3 prev=0/0 commit=0 [1/2 2/1]",
        "append t3 prev=5/4 commit=0",
        "append t3 prev=5/0 commit=0",
        "append t0 prev=0/0 commit=0",
        "heartbeat t0 commit=0",
        "vote t3 last=1/4",
        "pre-vote t3 last=1/3",
        "append t9999999999999999999 prev=0/0 commit=0",
        "append t3 prev=0/0 commit=0 [1/3{1l}]",
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct cluster *c = play("nodes 3 puppets; given 1 t2 log 1 1");
        char script[200];
        snprintf(script, sizeof script, "say 2>1 %s", messages[i]);
        more(c, script);
        EXPECT_NOTE(said(c, "1 calls that invalid"), "%s", messages[i]);
        EXPECT_EQ_INT(term_of(c, 1), 2);
        EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1-");
        leave(c);
    }
}
TEST(x1_a_second_leader_of_a_term_is_not_believed) {
    struct cluster *c =
        play("nodes 3 puppets; say 2>1 heartbeat t2 commit=0; store 1; say 3>1 heartbeat t2 commit=0");
    EXPECT_SAID(c, "1 calls that invalid");
    more(c, "say 3>1 append t2 prev=0/0 commit=0 [1/2]");
    EXPECT_SAID(c, "1 calls that invalid");
    EXPECT_EQ_INT(status_of(c, 1).leader_id, 2);
    more(c, "quiet run 3000; say 2>1 pre-vote-reply t3; store 1; say 2>1 vote-reply t3; say 3>1 append t3 "
            "prev=0/0 commit=0");
    EXPECT(leads(c, 1));
    EXPECT_SAID(c, "1 calls that invalid");
    leave(c);
}
TEST(x1_senseless_snapshots_change_nothing) {
    struct raft_members good = {0}, learners = {0};
    members_put(&good, 1, RAFT_VOTER);
    members_put(&learners, 1, RAFT_LEARNER);
    const struct raft_event sound = {.type = RAFT_EVENT_SNAPSHOT,
                                     .peer = 2,
                                     .term = 4,
                                     .index = 9,
                                     .snapshot_term = 3,
                                     .members = &good,
                                     .members_index = 5};
    struct raft_event bad[7];
    for (size_t i = 0; i < 7; i++) bad[i] = sound;
    bad[0].index = 0;
    bad[1].snapshot_term = 0;
    bad[2].snapshot_term = 5;
    bad[3].members = NULL;
    bad[4].members = &learners;
    bad[5].members_index = 10;
    bad[6].peer = 1;
    struct cluster *c = play("nodes 3 puppets; given 1 t2 log 1 1");
    for (size_t i = 0; i < 7; i++) EXPECT_NOTE(!cluster_step(c, &c->nodes[1], bad[i]), "case %zu", i);
    EXPECT_EQ_INT(term_of(c, 1), 2);
    EXPECT(!cluster_step(c, &c->nodes[1], (struct raft_event){.type = RAFT_EVENT_INSTALLED}));
    EXPECT(!cluster_step(c, &c->nodes[1], (struct raft_event){.type = RAFT_EVENT_STORED, .store_id = 1}));
    EXPECT(!cluster_step(c, &c->nodes[1], (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = 1}));
    leave(c);
}
TEST(x1_an_append_without_the_entries_it_announces) {
    struct cluster *c = play("nodes 3 puppets");
    struct raft_message m = {.kind = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .entry_count = 3};
    EXPECT(!cluster_step(c, &c->nodes[1], (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m}));
    EXPECT_EQ_INT(term_of(c, 1), 0);
    leave(c);
}
/* Messages of every kind with random fields: none of them may crash a node, or make it forget what is committed. */
TEST(x1_random_messages_crash_nobody) {
    struct rng rng = {test_seed()};
    for (int round = 0; round < 300; round++) {
        struct cluster *c =
            play("nodes 3 puppets; given 1 t3 log 1 2 2 3; say 2>1 append t3 prev=3/2 commit=2");
        for (int i = 0; i < 100; i++) {
            struct raft_entry entries[3];
            uint64_t values[3] = {0};
            struct raft_message m = {.kind = (enum raft_message_kind)rng_below(&rng, 9),
                                     .from = 1 + rng_below(&rng, 4),
                                     .to = 1,
                                     .term = rng_below(&rng, 8),
                                     .round = rng_below(&rng, 4),
                                     .sent_us = rng_below(&rng, 4),
                                     .prev_index = rng_below(&rng, 8),
                                     .prev_term = rng_below(&rng, 6),
                                     .commit_index = rng_below(&rng, 10),
                                     .match_index = rng_below(&rng, 10),
                                     .hint_index = rng_below(&rng, 10),
                                     .hint_term = rng_below(&rng, 6),
                                     .rejected = rng_below(&rng, 2),
                                     .pre_vote = rng_below(&rng, 2),
                                     .is_transfer = rng_below(&rng, 2),
                                     .last_index = rng_below(&rng, 8),
                                     .last_term = rng_below(&rng, 6)};
            if (m.kind == RAFT_APPEND) m.entry_count = rng_below(&rng, 4);
            for (size_t e = 0; e < m.entry_count; e++) {
                entries[e] = (struct raft_entry){m.prev_index + 1 + e, m.prev_term + rng_below(&rng, 2),
                                                 RAFT_ENTRY_COMMANDS, 1, NULL};
            }
            m.entries = m.entry_count > 0 ? entries : NULL;
            cluster_send(c, &m, values);
            cluster_deliver(c, c->net_count - 1);
            if (rng_below(&rng, 3) == 0) cluster_store(c, 1, 1);
            if (rng_below(&rng, 10) == 0) cluster_pass(c, rng_below(&rng, 3000000));
            EXPECT(clog_term(&c->nodes[1].log, 2) == 2);
        }
        leave(c);
    }
}
TEST(x2_replies_of_strangers_are_dropped) {
    struct cluster *c =
        play("nodes 3 puppets; campaign 1; say 9>1 pre-vote-reply t1; say 8>1 pre-vote-reply t1");
    EXPECT(status_of(c, 1).role == RAFT_PRE_CANDIDATE);
    more(c, "say 2>1 pre-vote-reply t1; store 1; say 9>1 vote-reply t1; say 8>1 vote-reply t1");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    more(c,
         "say 2>1 vote-reply t1; store 1; say 9>1 append-reply t1 match=1; say 8>1 append-reply t1 match=1");
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    leave(c);
}
TEST(x2_a_strangers_term_unseats_nobody) {
    struct cluster *c = play("nodes 3; elect 1; say 9>1 append-reply t99 rejected; say 9>1 heartbeat-reply "
                             "t99; say 9>1 vote-reply t99 rejected;"
                             "say 9>2 append-reply t99 rejected; say 9>2 vote-reply t99 rejected");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(term_of(c, 1), 1);
    EXPECT_EQ_INT(term_of(c, 2), 1);
    leave(c);
}
TEST(x3_every_message_twice_and_in_the_wrong_order) {
    struct cluster *c = play("nodes 3; campaign 1");
    for (int i = 0; i < 40; i++) {
        more(c, "duplicate; deliver reversed; quiet store 1 1; quiet store 2 1; quiet store 3 1");
        if (c->nodes[1].readable && i < 20) more(c, "propose 1");
    }
    more(c, "quiet settle; quiet run 500");
    EXPECT(leads(c, 1));
    EXPECT(commit_of(c, 3) > 5);
    EXPECT_EQ_INT(commit_of(c, 3), commit_of(c, 1));
    leave(c);
}
TEST(x5_an_entry_of_an_unknown_kind_is_refused) {
    struct cluster *c = play("nodes 3 puppets");
    uint64_t values[1] = {0};
    for (int kind = 0; kind <= RAFT_ENTRY_VERDICT + 1; kind += RAFT_ENTRY_VERDICT + 1) {
        struct raft_entry entry = {1, 1, (enum raft_entry_kind)kind, 1, NULL};
        struct raft_message m = {
            .kind = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .entries = &entry, .entry_count = 1};
        cluster_send(c, &m, values);
        more(c, "deliver");
        EXPECT_SAID(c, "1 calls that invalid");
    }
    EXPECT_EQ_INT(status_of(c, 1).last_index, 0);
    leave(c);
}
TEST(x6_the_same_seed_walks_the_same_way) {
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct walk_counts a = {0}, b = {0};
        walk(&(struct walk_options){.seed = seed}, &a);
        walk(&(struct walk_options){.seed = seed}, &b);
        EXPECT_EQ_U64(a.digest, b.digest);
        EXPECT_EQ_INT(a.steps, b.steps);
    }
}

TEST_MAIN
