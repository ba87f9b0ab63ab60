/* Snapshots and cutting the log: pitfalls S1 to S16, as far as the core is concerned, of the list in server/raft/README.md. */
#include "play.h"

/* 3 has missed everything after entry 1, and 1 has cut its log behind 6. */
#define BEHIND                                                                                               \
    "nodes 3; elect 1; crash 3; propose 1 5; quiet settle; quiet run 200; cut 1 6; cut 2 6; restart 3;"

TEST(s1_a_snapshot_behind_the_commit_index_is_ignored_and_answered) {
    struct cluster *c = play("nodes 3 puppets; given 1 t1 log 1 1 1; say 2>1 append t1 prev=3/1 commit=3;"
                             "say 2>1 snapshot t1 of 2/1 {1 2}");
    EXPECT_NOT_SAID(c, "installs");
    EXPECT_SAID(c, "append-reply t1 match=3");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3}");
    leave(c);
}
TEST(s2_a_snapshot_that_agrees_with_the_log_keeps_the_suffix) {
    struct cluster *c = play("nodes 3 puppets; given 1 t2 log 1 1 2 2; say 2>1 snapshot t2 of 3/2 {1 2 3}");
    EXPECT_NOT_SAID(c, "installs");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1- 3/2- 4/2-");
    EXPECT_EQ_INT(commit_of(c, 1), 3);
    leave(c);
}
TEST(s3_a_snapshot_that_conflicts_drops_everything_uncommitted_and_its_configuration) {
    struct cluster *c =
        play("nodes 3 puppets; say 2>1 append t2 prev=0/0 commit=0 [1/1 2/2{1 2} 3/2]; store 1");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2}");
    more(c, "say 3>1 snapshot t3 of 2/3 {1 2 3 4l}; store 1; install 1");
    EXPECT_EQ_STR(log_of(c, 1), "(2/3) ");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3 4l}");
    EXPECT_EQ_INT(status_of(c, 1).last_index, 2);
    leave(c);
}
TEST(s4_a_crash_at_any_moment_of_an_installation_can_be_started_from) {
    static const char *moments[] = {"crash 3", "install-crashes before; install 3",
                                    "install-crashes after; install 3"};
    for (size_t i = 0; i < 3; i++) {
        struct cluster *c = play(BEHIND "slow 3; quiet run 200");
        EXPECT(c->nodes[3].installing != NULL);
        more(c, moments[i]);
        more(c, "fast 3; restart 3; quiet run 1000");
        EXPECT_EQ_INT(c->nodes[3].state.index, 6);
        EXPECT_EQ_INT(commit_of(c, 3), 6);
        leave(c);
    }
}
TEST(s5_a_second_snapshot_does_not_interfere_with_the_one_being_installed) {
    struct cluster *c =
        play("nodes 3 puppets; say 2>1 snapshot t1 of 5/1 {1 2 3}; say 2>1 snapshot t1 of 8/1 {1 2 3}");
    EXPECT_NOT_SAID(c, "installs\n> 2>1 snapshot t1 of 8/1 {1 2 3}\n1 installs");
    more(c, "store 1; install 1");
    EXPECT_EQ_INT(c->nodes[1].state.index, 5);
    more(c, "say 2>1 snapshot t1 of 8/1 {1 2 3}; install 1");
    EXPECT_EQ_INT(c->nodes[1].state.index, 8);
    EXPECT_EQ_INT(commit_of(c, 1), 8);
    leave(c);
}
TEST(s6_an_installation_while_entries_are_being_applied) {
    struct cluster *c =
        play("nodes 3 puppets; lazy 1; say 2>1 append t1 prev=0/0 commit=3 [1/1 2/1 3/1]; store 1; apply 1 1;"
             "say 2>1 snapshot t1 of 9/1 {1 2 3}; apply 1 1; install 1");
    EXPECT_EQ_INT(c->nodes[1].state.index, 9);
    EXPECT_EQ_INT(status_of(c, 1).applied_index, 9);
    leave(c);
}
TEST(s7_a_snapshot_brings_joint_configurations_and_learners) {
    struct cluster *c =
        play("nodes 3 puppets; say 2>1 snapshot t1 of 9/1 {1 2~ 3- 4+ 5l}; store 1; install 1");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2~ 3- 4+ 5l}");
    EXPECT(status_of(c, 1).is_joint);
    leave(c);
}
TEST(s7_a_snapshot_may_make_a_voter_a_learner) {
    struct cluster *c =
        play("nodes 3 puppets; say 2>1 snapshot t1 of 9/1 {1l 2 3}; store 1; install 1; pass 3000");
    EXPECT_EQ_STR(members_of(c, 1), "{1l 2 3}");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    EXPECT(!status_of(c, 1).is_promotable);
    leave(c);
}
TEST(s8_a_snapshot_carries_the_configuration_of_its_index) {
    /* The newest one is in 1's log, not committed; the snapshot's is that of the state. */
    struct cluster *c = play(
        "nodes 3; elect 1; crash 3; propose 1 3; quiet settle; cut 1 4; block 2>1; change 1 : 1 2 3 4l;"
        "restart 3; quiet pass 100; deliver 1>3; deliver 3>1; deliver 1>3; deliver 3>1; deliver snapshot");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3 4l}");
    EXPECT_SAID(c, "snapshot t1 of 4/1 {1 2 3}\n");
    leave(c);
}
TEST(s9_after_a_snapshot_that_is_newer_than_needed_the_log_goes_on) {
    struct cluster *c =
        play(BEHIND
             "quiet pass 100; deliver 1>3; deliver 3>1; deliver 1>3; deliver 3>1; propose 1 3; quiet settle;"
             "quiet run 300");
    EXPECT_EQ_INT(c->nodes[3].log.mark_index, 6);
    EXPECT_EQ_STR(log_of(c, 3), "(6/1) 7/1 8/1 9/1");
    leave(c);
}
TEST(s10_a_lost_report_does_not_leave_the_follower_in_the_snapshot_state) {
    struct cluster *c = play(
        BEHIND
        "quiet pass 100; deliver 1>3; deliver 3>1; deliver 1>3; deliver 3>1; deliver snapshot; install 3");
    EXPECT(peer_of(c, 1, 3)->state == RAFT_SNAPSHOT);
    more(c, "deliver append-reply"); /* the report has not come, and need not */
    EXPECT(peer_of(c, 1, 3)->state == RAFT_REPLICATE);
    EXPECT_EQ_INT(peer_of(c, 1, 3)->match_index, 6);
    more(c, "drop snapshot-installed; deliver snapshot-failed; propose 1; quiet settle");
    EXPECT(peer_of(c, 1, 3)->state == RAFT_REPLICATE);
    EXPECT_EQ_INT(peer_of(c, 1, 3)->match_index, 7);
    leave(c);
}
TEST(s10_a_failed_snapshot_is_sent_again) {
    struct cluster *c =
        play(BEHIND "quiet pass 100; deliver 1>3; deliver 3>1; deliver 1>3; deliver 3>1; drop snapshot;"
                    "deliver snapshot-failed; quiet run 500");
    EXPECT_EQ_INT(commit_of(c, 3), 6);
    leave(c);
}
TEST(s11_cutting_below_a_slow_follower_while_it_is_sent_to) {
    struct cluster *c =
        play("nodes 3; elect 1; slow 3; propose 1 4; quiet settle; quiet run 200; cut 1 5; cut 2 5; propose "
             "1; quiet settle; drop *>3;"
             "quiet run 300; fast 3; quiet run 1000");
    EXPECT_EQ_INT(commit_of(c, 3), 6);
    EXPECT_EQ_INT(peer_of(c, 1, 3)->match_index, 6);
    leave(c);
}
TEST(s12_a_snapshot_of_a_deposed_leader_is_not_installed) {
    struct cluster *c =
        play("nodes 3 puppets; say 3>1 heartbeat t5 commit=0; store 1; say 2>1 snapshot t4 of 9/4 {1 2 3}");
    EXPECT_NOT_SAID(c, "installs");
    EXPECT_EQ_INT(term_of(c, 1), 5);
    leave(c);
}
TEST(s14_a_new_leader_whose_log_was_cut_serves_the_lagging_one) {
    struct cluster *c = play(BEHIND "crash 1; quiet run 6000");
    EXPECT(leads(c, 2));
    EXPECT_EQ_INT(c->nodes[3].log.mark_index, 6);
    EXPECT_EQ_INT(commit_of(c, 3), commit_of(c, 2));
    leave(c);
}
TEST(s15_the_mark_keeps_its_term) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t5 log 1 2 2 4; say 2>1 append t5 prev=4/4 commit=4; cut 1 3");
    EXPECT_EQ_INT(raft_term_at(c->nodes[1].raft, 3), 2);
    EXPECT_EQ_INT(raft_term_at(c->nodes[1].raft, 2), 0);
    EXPECT_EQ_INT(status_of(c, 1).first_index, 4);
    more(c, "flush 1; crash 1; restart 1");
    EXPECT_EQ_INT(raft_term_at(c->nodes[1].raft, 3), 2);
    more(c, "say 2>1 append t5 prev=3/2 commit=4 [4/4 5/5]; store 1");
    EXPECT_EQ_STR(log_of(c, 1), "(3/2) 4/4- 5/5");
    leave(c);
}
TEST(s14_how_far_back_a_margin_of_bytes_reaches) {
    struct cluster *c = play("nodes 1; tick; settle; propose 1 5 size 100; settle; cut 1 2");
    struct raft *r = c->nodes[1].raft;
    EXPECT_EQ_INT(raft_index_before(r, 6, 0), 6);
    EXPECT_EQ_INT(raft_index_before(r, 6, 99), 6);
    EXPECT_EQ_INT(raft_index_before(r, 6, 100), 5);
    EXPECT_EQ_INT(raft_index_before(r, 6, 250), 4);
    EXPECT_EQ_INT(raft_index_before(r, 5, 200), 3);
    EXPECT_EQ_INT(raft_index_before(r, 6, 100000), 2);
    EXPECT_EQ_INT(raft_index_before(r, 99, 100), 5);
    leave(c);
}
TEST(s11_cutting_again_at_the_mark_is_nothing_and_beyond_the_state_is_refused) {
    struct cluster *c = play("nodes 1; tick; settle; propose 1 5; settle; cut 1 3");
    EXPECT(cluster_step(c, &c->nodes[1], (struct raft_event){.type = RAFT_EVENT_CUT, .index = 3}));
    EXPECT(!cluster_step(c, &c->nodes[1], (struct raft_event){.type = RAFT_EVENT_CUT, .index = 2}));
    EXPECT(!cluster_step(c, &c->nodes[1], (struct raft_event){.type = RAFT_EVENT_CUT, .index = 7}));
    EXPECT_EQ_INT(status_of(c, 1).first_index, 4);
    leave(c);
}
TEST(s16_what_was_cut_counts_as_committed) {
    struct cluster *c = play("nodes 1; tick; settle; propose 1 5; settle; cut 1 6; crash 1; restart 1");
    EXPECT_EQ_INT(commit_of(c, 1), 6);
    EXPECT_EQ_INT(raft_index_before(c->nodes[1].raft, 6, 0), 6);
    leave(c);
}

TEST_MAIN
