/* Commitment and disks: pitfalls C1 to C12, and of D1 to D14 those that the core can have, of the list in
 * server/raft/README.md. */
#include "play.h"

#define LEADER_OF_TERM_5                                                                                     \
    "campaign 1; say 2>1 pre-vote-reply t5; say 3>1 pre-vote-reply t5; store 1; say 2>1 vote-reply t5; say " \
    "3>1 vote-reply t5;"                                                                                     \
    "store 1;"

TEST(c1_an_entry_of_an_earlier_term_is_not_committed_by_counting) {
    struct cluster *c = play(
        "nodes 5 puppets; given 1 t4 log 1 2 4;" LEADER_OF_TERM_5
        "say 2>1 append-reply t5 match=3; say 3>1 append-reply t5 match=3; say 4>1 append-reply t5 match=3");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    leave(c);
}
TEST(c2_the_own_terms_entry_commits_all_before_it) {
    struct cluster *c = play(
        "nodes 5 puppets; given 1 t4 log 1 2 4;" LEADER_OF_TERM_5
        "say 2>1 append-reply t5 match=3; say 3>1 append-reply t5 match=4; say 4>1 append-reply t5 match=4");
    EXPECT_EQ_INT(commit_of(c, 1), 4);
    leave(c);
}
TEST(c3_nothing_is_served_before_the_noop_is_applied) {
    struct cluster *c = play("nodes 3; lazy 1; campaign 1; quiet settle");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(commit_of(c, 1), 1);
    EXPECT(!c->nodes[1].readable);
    more(c, "apply 1");
    EXPECT(c->nodes[1].readable);
    leave(c);
}
TEST(c4_a_follower_commits_only_what_this_leader_has_verified) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 2 2 2; say 2>1 heartbeat t3 commit=4; store 1");
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    more(c, "say 2>1 append t3 prev=1/1 commit=4");
    EXPECT_EQ_INT(commit_of(c, 1), 1);
    more(c, "say 2>1 append t3 prev=1/1 commit=4 [2/2]");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    more(c, "say 2>1 append t3 prev=1/1 commit=1");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    leave(c);
}
TEST(c5_a_heartbeat_tells_no_more_than_the_follower_has) {
    struct cluster *c = play("nodes 3; elect 1; crash 3; propose 1 3; quiet settle; restart 3; pass 100");
    EXPECT_SAID(c, "1>2 heartbeat t1 commit=4");
    EXPECT_SAID(c, "1>3 heartbeat t1 commit=1");
    leave(c);
}
TEST(c6_a_majority_without_the_leader_commits_and_the_leader_applies_later) {
    struct cluster *c = play("nodes 3; elect 1; slow 1; propose 1; quiet settle");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    EXPECT_EQ_INT(c->nodes[1].apply_index, 1);
    more(c, "quiet store 1");
    EXPECT_EQ_INT(c->nodes[1].apply_index, 2);
    leave(c);
}
TEST(c7_commitment_goes_on_while_proposals_do) {
    struct cluster *c = play("nodes 3; elect 1");
    for (int i = 0; i < 50; i++) {
        uint64_t before = commit_of(c, 1);
        more(c, "propose 1; store 1 1; deliver first 4; propose 1; store 2 1; store 3 1; deliver first 4");
        EXPECT(c->nodes[1].store_count > 0);
        if (i > 5) EXPECT(commit_of(c, 1) > before);
    }
    leave(c);
}
TEST(c8_learners_and_those_who_leave_count_as_their_seats_say) {
    struct cluster *c =
        play("nodes 1 learners 3; tick; settle; quiet run 300; propose 1; quiet deliver; quiet store 2;"
             "quiet store 3; quiet store 4; quiet deliver");
    EXPECT_EQ_INT(peer_of(c, 1, 2)->match_index, 2);
    EXPECT_EQ_INT(commit_of(c, 1), 1); /* three learners have it, the voter has not */
    more(c, "store 1");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    leave(c);
}
TEST(c8_nobodys_acknowledgement_holds_back_nothing_and_commits_nothing) {
    EXPECT(quorum_index(NULL, 0) == UINT64_MAX);
    EXPECT_EQ_INT(quorum_index((uint64_t[]){0, 5}, 2), 0);
    EXPECT_EQ_INT(quorum_index((uint64_t[]){0, 5, 7}, 3), 5);
    EXPECT_EQ_INT(quorum_index((uint64_t[]){9, 5, 7, 1}, 4), 5);
    EXPECT_EQ_INT(quorum_index((uint64_t[]){1, 1, 1, 8, 8, 8, 8}, 7), 8);
}
TEST(c9_a_lone_voter_commits_by_its_own_disk_only) {
    struct cluster *c = play("nodes 1; tick; settle; propose 1");
    EXPECT_EQ_INT(commit_of(c, 1), 1);
    more(c, "store 1");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    leave(c);
}
TEST(c10_a_smaller_configuration_commits_at_once_what_has_its_majority) {
    struct cluster *c =
        play("nodes 2; elect 1; change 1 : 1; quiet settle; quiet run 300; propose 1; quiet store 1");
    EXPECT_EQ_STR(members_of(c, 1), "{1}");
    EXPECT_EQ_INT(commit_of(c, 1), clog_last(&c->nodes[1].log));
    leave(c);
}
TEST(c10_leaving_the_joint_configuration_recounts) {
    /* 4 voters, 3 of them needed; 4 leaves while only 1 and 2 have the last entry. */
    struct cluster *c = play("nodes 4; elect 1; crash 4; change 1 : 1 2 3; quiet settle; quiet run 300");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3}");
    more(c, "crash 3; propose 1; quiet settle");
    EXPECT_EQ_INT(commit_of(c, 1), clog_last(&c->nodes[1].log));
    leave(c);
}
TEST(c11_after_a_restart_commitment_starts_at_the_applied_state) {
    struct cluster *c = play(
        "nodes 3; elect 1; propose 1 4; quiet settle; quiet run 200; flush 2; propose 1 2; quiet settle; "
        "quiet run 200; crash 2; restart 2");
    EXPECT_EQ_INT(commit_of(c, 2), 5);
    EXPECT_EQ_INT(c->nodes[2].state.index, 5);
    more(c, "propose 1; quiet settle; quiet run 200");
    EXPECT_EQ_INT(c->nodes[2].state.index, 8);
    leave(c);
}
TEST(c11_a_restarted_follower_of_an_idle_cluster_catches_up) {
    struct cluster *c = play(
        "nodes 3; elect 1; propose 1 4; quiet settle; quiet run 200; flush 2; propose 1 2; quiet settle; "
        "quiet run 200; crash 2; restart 2; quiet run 500");
    EXPECT_EQ_INT(c->nodes[2].state.index, 7);
    leave(c);
}
TEST(c12_an_old_leaders_append_does_not_meet_a_new_leaders_commit_index) {
    struct cluster *c = play("nodes 3 puppets; given 1 t1 log 1; say 3>1 heartbeat t2 commit=0; store 1;"
                             "say 2>1 append t1 prev=1/1 commit=2 [2/1]; say 3>1 heartbeat t2 commit=2");
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    EXPECT_EQ_STR(log_of(c, 1), "1/1-");
    leave(c);
}
TEST(c12_entries_of_an_old_leader_are_not_committed_by_a_new_ones_word) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 append t1 prev=0/0 commit=0 [1/1 2/1]; store 1; say "
                             "3>1 heartbeat t2 commit=2;"
                             "store 1");
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    leave(c);
}
TEST(d1_power_lost_everywhere_loses_nothing_acknowledged) {
    struct cluster *c = play("nodes 3; elect 1; propose 1 5; quiet settle; crash 1; crash 2; crash 3; "
                             "restart 1 2 3; quiet run 6000");
    struct cl_node *leader = cluster_leader(c);
    EXPECT(leader != NULL);
    EXPECT(c->acked_index == 6);
    EXPECT(leader->state.index >= 6);
    leave(c);
}
TEST(d9_a_leader_whose_disk_hangs_gives_way) {
    struct cluster *c = play("nodes 3; elect 1; slow 1; propose 1; quiet run 6000");
    EXPECT(!leads(c, 1));
    EXPECT(leads(c, 2) || leads(c, 3));
    more(c, "fast 1; quiet run 1000");
    EXPECT_EQ_INT(commit_of(c, 1), cluster_leader(c)->commit_index);
    leave(c);
}
TEST(d10_writes_on_their_way_to_a_disk_are_bounded) {
    struct cluster *c = play("nodes 3 uncommitted-bytes 1000000000; elect 1; slow 1");
    uint64_t taken = 0;
    while (taken < 100000 && cluster_propose(c, 1, 1)) taken++;
    EXPECT(taken >= 1000);
    EXPECT(taken < 100000);
    EXPECT(c->nodes[1].refused == RAFT_TOO_MUCH);
    more(c, "quiet settle; fast 1; quiet settle; quiet propose 1; quiet settle; quiet run 500");
    EXPECT_EQ_INT(commit_of(c, 1), taken + 2);
    leave(c);
}
TEST(d10_a_follower_whose_disk_is_full_of_writes_still_hears_its_leader) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 append t1 prev=0/0 commit=0 [1/1]; store 1");
    uint64_t index = 1, values[1] = {0};
    while (c->nodes[1].store_count == index - 1 && index < 100000) {
        index++;
        struct raft_entry entry = {index, 1, RAFT_ENTRY_COMMANDS, 1, NULL};
        cluster_send(c,
                     &(struct raft_message){.kind = RAFT_APPEND,
                                            .from = 2,
                                            .to = 1,
                                            .term = 1,
                                            .prev_index = index - 1,
                                            .prev_term = 1,
                                            .entries = &entry,
                                            .entry_count = 1},
                     values);
        cluster_deliver(c, c->net_count - 1);
    }
    EXPECT(index > 1000);
    EXPECT(index < 100000);
    for (int i = 0; i < 10; i++) {
        more(c, "pass 900; say 2>1 heartbeat t1 commit=0");
        EXPECT_SAID(c, "1>2 heartbeat-reply t1");
    }
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    more(c, "store 1; say 2>1 append t1 prev=3/1 commit=0");
    EXPECT_SAID(c, "1>2 append-reply t1 match=");
    leave(c);
}
TEST(d10_a_slow_follower_holds_up_nobody) {
    struct cluster *c = play("nodes 3; elect 1; slow 3; propose 1 6; quiet settle");
    EXPECT_EQ_INT(commit_of(c, 1), 7);
    leave(c);
}
TEST(d10_a_slow_leaders_disk_holds_up_no_acknowledgement) {
    struct cluster *c = play("nodes 3; elect 1; slow 1; propose 1 3; quiet settle; quiet run 100");
    EXPECT_EQ_INT(commit_of(c, 2), 4);
    EXPECT_EQ_INT(c->nodes[2].state.index, 4);
    leave(c);
}

TEST_MAIN
