/* Elections, terms and votes: pitfalls E1 to E20 of the list in server/raft/README.md. */
#include "play.h"

TEST(e1_a_vote_leaves_only_when_it_is_durable) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 vote t1 last=0/0");
    EXPECT_NOT_SAID(c, "vote-reply");
    more(c, "store 1");
    EXPECT_SAID(c, "1>2 vote-reply t1\n");
    leave(c);
}
TEST(e1_a_vote_lost_in_a_crash_was_never_told) {
    struct cluster *c = play(
        "nodes 3 puppets; say 2>1 vote t1 last=0/0; crash 1; restart 1; say 3>1 vote t1 last=0/0; store 1");
    EXPECT_SAID(c, "1>3 vote-reply t1\n");
    EXPECT_NOT_SAID(c, "1>2 vote-reply");
    leave(c);
}
TEST(e1_a_candidates_own_vote_counts_only_when_it_is_durable) {
    struct cluster *c = play("nodes 3 puppets; campaign 1; say 2>1 pre-vote-reply t1; say 2>1 vote-reply t1");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    EXPECT_NOT_SAID(c, "1>2 vote t1");
    more(c, "store 1; say 2>1 vote-reply t1");
    EXPECT(leads(c, 1));
    leave(c);
}
TEST(e1_a_candidate_waits_for_its_disk_before_it_stands_again) {
    struct cluster *c = play("nodes 3 puppets; campaign 1; say 2>1 pre-vote-reply t1; pass 1999");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    EXPECT_EQ_INT(c->nodes[1].store_count, 1);
    more(c, "store 1; say 2>1 vote-reply t1");
    EXPECT(leads(c, 1));
    leave(c);
}
TEST(e2_a_node_that_knows_nobody_keeps_its_vote) {
    struct cluster *c =
        play("nodes 1; add 4; say 2>4 vote t1 last=0/0; store 4; crash 4; restart 4; skip 1000;"
             "say 3>4 vote t1 last=9/0; store 4");
    EXPECT_EQ_INT(c->nodes[4].disk.vote, 2);
    EXPECT_SAID(c, "4>3 vote-reply t1 rejected");
    leave(c);
}
TEST(e3_replies_of_an_earlier_term_are_not_counted) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t3 log 1; campaign 1; say 2>1 pre-vote-reply t4; store 1");
    more(c, "say 2>1 vote-reply t3; say 3>1 vote-reply t3");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    leave(c);
}
TEST(e4_a_pre_vote_is_no_vote) {
    struct cluster *c =
        play("nodes 3 puppets; campaign 1; say 2>1 pre-vote-reply t1; store 1; say 2>1 pre-vote-reply t1;"
             "say 3>1 pre-vote-reply t1");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    leave(c);
}
TEST(e4_a_vote_is_no_pre_vote) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log; campaign 1; say 2>1 vote-reply t2; say 3>1 vote-reply t2");
    EXPECT(status_of(c, 1).role == RAFT_PRE_CANDIDATE);
    leave(c);
}
TEST(e5_the_later_term_beats_the_longer_log) {
    struct cluster *c = play("nodes 3 puppets; given 1 t3 log 1 2; say 2>1 vote t4 last=100/1; store 1");
    EXPECT_SAID(c, "vote-reply t4 rejected");
    more(c, "skip 1000; say 3>1 vote t5 last=1/3; store 1");
    EXPECT_SAID(c, "1>3 vote-reply t5\n");
    leave(c);
}
TEST(e6_a_log_that_is_all_snapshot_still_has_a_last_term) {
    struct cluster *c =
        play("nodes 3; elect 1; propose 1 3; quiet settle; quiet run 200; cut 2 4; crash 1; skip 1500");
    more(c, "campaign 2");
    EXPECT_SAID(c, "pre-vote t2 last=4/1");
    more(c, "quiet settle; quiet run 500");
    EXPECT(leads(c, 2));
    leave(c);
}
TEST(e7_a_candidate_claims_only_what_is_on_its_disk) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 append t1 prev=0/0 commit=0 [1/1]; store 1;"
                             "say 2>1 append t1 prev=1/1 commit=0 [2/1]; skip 1500; campaign 1");
    EXPECT_SAID(c, "pre-vote t2 last=1/1");
    /* The vote itself waits behind the entry's write, and then the claim is true. */
    more(c, "say 2>1 pre-vote-reply t2");
    EXPECT_NOT_SAID(c, "1>2 vote");
    more(c, "store 1");
    EXPECT_SAID(c, "1>2 vote t2 last=2/1");
    leave(c);
}
TEST(e8_a_term_seen_is_not_a_vote_given) {
    struct cluster *c = play("nodes 3 puppets; given 1 t2 vote=1 log 1 2; say 2>1 vote t5 last=1/1; store 1");
    EXPECT_EQ_INT(c->nodes[1].disk.term, 5);
    EXPECT_EQ_INT(c->nodes[1].disk.vote, 0);
    more(c, "say 3>1 vote t5 last=2/2; store 1");
    EXPECT_SAID(c, "1>3 vote-reply t5\n");
    leave(c);
}
TEST(e9_a_pre_vote_changes_nothing) {
    struct cluster *c = play("nodes 3 puppets; given 1 t3 vote=2 log 1; say 3>1 pre-vote t9 last=5/5");
    EXPECT_SAID(c, "1>3 pre-vote-reply t9\n");
    EXPECT_EQ_INT(term_of(c, 1), 3);
    EXPECT_EQ_INT(status_of(c, 1).vote, 2);
    EXPECT_EQ_INT(c->nodes[1].store_count, 0);
    leave(c);
}
TEST(e9_a_pre_vote_does_not_put_off_the_own_election) {
    struct cluster *c = play("nodes 3 puppets");
    for (int i = 0; i < 25; i++) more(c, "say 2>1 pre-vote t1 last=0/0; pass 80");
    EXPECT(status_of(c, 1).role == RAFT_PRE_CANDIDATE);
    leave(c);
}
TEST(e9_a_refusal_carries_the_refusers_term) {
    struct cluster *c = play("nodes 3 puppets; given 1 t7 log 1 6; say 2>1 pre-vote t8 last=1/1");
    EXPECT_SAID(c, "1>2 pre-vote-reply t7 rejected");
    leave(c);
}
TEST(e10_lower_terms_are_answered_so_that_they_catch_up) {
    struct cluster *c = play("nodes 3 puppets; given 1 t7 log 1; say 2>1 append t5 prev=1/1 commit=1");
    EXPECT_SAID(c, "1>2 append-reply t7");
    more(c, "say 2>1 heartbeat t5 commit=1");
    EXPECT_SAID(c, "1>2 heartbeat-reply t7");
    more(c, "say 2>1 pre-vote t6 last=9/5");
    EXPECT_SAID(c, "1>2 pre-vote-reply t7 rejected");
    leave(c);
}
TEST(e10_a_higher_term_with_a_shorter_log_and_a_lower_term_with_a_longer_one_elect_somebody) {
    struct cluster *c = play("nodes 3; given 1 t9 log 1; given 2 t3 log 1 2 2 3; crash 3; quiet run 20000");
    EXPECT(leads(c, 2));
    EXPECT_EQ_INT(commit_of(c, 1), commit_of(c, 2));
    leave(c);
}
TEST(e11_a_pre_candidate_starts_counting_anew_and_knows_no_leader) {
    struct cluster *c = play("nodes 5 puppets; campaign 1; say 2>1 pre-vote-reply t1; campaign 1");
    EXPECT_EQ_INT(status_of(c, 1).leader_id, 0);
    more(c, "say 3>1 pre-vote-reply t1");
    EXPECT(status_of(c, 1).role == RAFT_PRE_CANDIDATE); /* 2's belongs to the time before */
    leave(c);
}
TEST(e12_a_lone_voter_elects_itself_and_does_not_start_as_leader) {
    struct cluster *c = play("nodes 1");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    more(c, "tick; settle; crash 1; restart 1");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    more(c, "tick; settle");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(term_of(c, 1), 2);
    leave(c);
}
TEST(e13_a_candidate_that_was_cut_off_does_not_disturb) {
    struct cluster *c =
        play("nodes 3; elect 1; say 3>2 vote t50 last=9/9; say 3>1 vote t50 last=9/9; quiet settle");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(term_of(c, 2), 1);
    leave(c);
}
TEST(e14_partial_connectivity_leaves_the_leader_alone) {
    struct cluster *c =
        play("nodes 5; elect 1; block 4>1 1>4 4>3 3>4 4>5 5>4 5>1 1>5 5>2 2>5; quiet run 30000; propose 1;"
             "quiet settle");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    leave(c);
}
TEST(e14_a_leader_that_loses_its_majority_gives_way) {
    /* 1 can talk only to 2; 2 to all. */
    struct cluster *c = play("nodes 5; elect 1; block 1>3 3>1 1>4 4>1 1>5 5>1; quiet run 20000");
    EXPECT(!leads(c, 1));
    struct cl_node *leader = cluster_leader(c);
    EXPECT(leader != NULL);
    EXPECT(cluster_propose(c, leader->id, 1));
    more(c, "quiet settle");
    EXPECT_EQ_INT(leader->commit_index, clog_last(&leader->log));
    leave(c);
}
TEST(e15_a_leader_that_hears_nobody_steps_down_after_two_time_outs) {
    struct cluster *c = play("nodes 3; elect 1; block 2>1 3>1; quiet run 2100");
    EXPECT(!leads(c, 1));
    leave(c);
}
TEST(e16_nobody_campaigns_while_it_installs_a_snapshot) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t1 log 1; say 2>1 snapshot t1 of 5/1 {1 2 3}; pass 3000; campaign 1");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    EXPECT(!status_of(c, 1).is_promotable);
    leave(c);
}
TEST(e17_a_deposed_leader_appends_nothing) {
    struct cluster *c = play("nodes 3; elect 1; say 2>1 append-reply t5 rejected; propose 1");
    EXPECT_SAID(c, "refused: not leader");
    EXPECT_EQ_STR(log_of(c, 1), "1/1-");
    leave(c);
}
TEST(e18_heartbeats_must_be_faster_than_time_outs) {
    struct raft_config config = {.id = 1,
                                 .election_us = 1000,
                                 .heartbeat_us = 500,
                                 .append_bytes_max = 1,
                                 .inflight_bytes_max = 1,
                                 .inflight_count_max = 1};
    members_put(&config.members, 1, RAFT_VOTER);
    struct raft *r = NULL;
    EXPECT(raft_new(&config, &r) == RC_INVALID);
    config.heartbeat_us = 100;
    config.lease_us = 1000;
    EXPECT(raft_new(&config, &r) == RC_INVALID);
    config.lease_us = 800;
    config.inflight_count_max = RAFT_INFLIGHT_MAX + 1;
    EXPECT(raft_new(&config, &r) == RC_INVALID);
    config.inflight_count_max = 1;
    EXPECT(raft_new(&config, &r) == RC_OK);
    raft_free(r);
}
TEST(e19_a_storm_of_candidates_settles) {
    for (int seed = 1; seed <= 30; seed++) {
        char script[200];
        snprintf(script, sizeof script,
                 "nodes 7 seed %d; campaign 1; campaign 2; campaign 3; campaign 4; campaign 5; campaign 6;"
                 "campaign 7; quiet run 10000",
                 seed);
        struct cluster *c = play(script);
        EXPECT_NOTE(cluster_leader(c) != NULL, "seed %d", seed);
        leave(c);
    }
}
TEST(e20_a_snapshot_of_an_earlier_term_does_not_lower_the_term) {
    struct cluster *c = play("nodes 3 puppets; given 1 t7 log 1; say 2>1 snapshot t3 of 5/3 {1 2 3}");
    EXPECT_EQ_INT(term_of(c, 1), 7);
    EXPECT_EQ_STR(log_of(c, 1), "1/1-");
    more(c, "say 2>1 snapshot t7 of 5/3 {1 2 3}; store 1; install 1");
    EXPECT_EQ_INT(term_of(c, 1), 7);
    EXPECT_EQ_INT(raft_term_at(c->nodes[1].raft, 5), 3);
    leave(c);
}

TEST_MAIN
