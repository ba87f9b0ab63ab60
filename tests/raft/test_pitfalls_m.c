/* Membership: pitfalls M1 to M17 of the list in server/raft/README.md. */
#include "play.h"

TEST(m1_no_change_before_the_leader_has_committed_in_its_term) {
    struct cluster *c = play("nodes 4; partition 1 2 3 | 4; campaign 1; quiet deliver; quiet deliver; quiet "
                             "store 1; quiet deliver;"
                             "quiet store 2; quiet store 3; quiet deliver; change 1 : 1 2 3");
    EXPECT(leads(c, 1));
    EXPECT_SAID(c, "refused: not yet");
    leave(c);
}
TEST(m2_one_change_at_a_time) {
    struct cluster *c = play("nodes 4; elect 1; change 1 : 1 2 3; change 1 : 1 2 4");
    EXPECT_SAID(c, "refused: changing");
    /* Joint and committed: still under way. */
    more(c, "deliver; quiet store 2; quiet store 3; slow 1; deliver; deliver; change 1 : 1 2 4");
    EXPECT_SAID(c, "refused: changing");
    leave(c);
}
TEST(m2_also_when_the_first_is_not_joint) {
    struct cluster *c = play("nodes 4; elect 1; change 1 : 1 2 3 4 5l; change 1 : 1 2 3 4 6l");
    EXPECT_SAID(c, "refused: changing");
    more(c, "quiet settle; change 1 : 1 2 3 4 6l");
    EXPECT_NOT_SAID(c, "refused");
    leave(c);
}
TEST(m2_a_change_worked_out_from_an_old_configuration_is_refused) {
    struct cluster *c =
        play("nodes 4; elect 1; change 1 : 1 2 3; quiet settle; quiet run 200; change 1 from 0 : 1 2 4");
    EXPECT_SAID(c, "refused: changing");
    more(c, "change 1 from 3 : 1 2 4");
    EXPECT_NOT_SAID(c, "refused");
    leave(c);
}
TEST(m3_a_configuration_counts_in_elections_before_it_is_committed) {
    struct cluster *c = play("nodes 3 puppets; given 1 t1 log 1; say 2>1 append t1 prev=1/1 commit=0 [2/1{1l "
                             "2 3}]; store 1; pass 3000;"
                             "say 2>1 pre-vote-reply t2");
    EXPECT(status_of(c, 1).role == RAFT_PRE_CANDIDATE); /* 1 and 2 are no majority of 2 and 3 */
    more(c, "say 3>1 pre-vote-reply t2");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    leave(c);
}
TEST(m3_a_learner_by_a_committed_configuration_does_not_campaign) {
    struct cluster *c = play("nodes 3 puppets; given 1 t1 log 1; lazy 1; say 2>1 append t1 prev=1/1 commit=2 "
                             "[2/1{1l 2 3}]; store 1;"
                             "pass 3000; campaign 1");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    EXPECT_EQ_INT(c->nodes[1].state.index, 0); /* though it is not applied yet */
    leave(c);
}
TEST(m4_removing_two_that_lag_makes_no_second_leader) {
    /* 2 and 3 hear of nothing while 1 shrinks the configuration with 4 and 5. */
    struct cluster *c = play("nodes 5; elect 1; block 1>2 1>3 4>2 4>3 5>2 5>3; change 1 : 1 3 4 5; quiet run "
                             "300; change 1 : 1 4 5;"
                             "quiet run 300; heal; quiet run 6000");
    EXPECT_EQ_STR(members_of(c, 1), "{1 4 5}");
    EXPECT(leads(c, 1)); /* two leaders in a term would have been a violation */
    leave(c);
}
TEST(m5_a_voter_that_does_not_know_it_is_one_votes) {
    struct cluster *c = play("nodes 3 puppets; given 1 t1 log 1; say 2>1 append t1 prev=1/1 commit=1 [2/1{1l "
                             "2 3}]; store 1; skip 1500;"
                             "say 3>1 vote t2 last=5/1; store 1");
    EXPECT_SAID(c, "1>3 vote-reply t2\n");
    leave(c);
}
TEST(m5_a_node_that_knows_nobody_votes) {
    struct cluster *c =
        play("nodes 1; add 4; say 2>4 pre-vote t2 last=5/1; say 2>4 vote t2 last=5/1; store 4");
    EXPECT_SAID(c, "4>2 pre-vote-reply t2\n");
    EXPECT_SAID(c, "4>2 vote-reply t2\n");
    leave(c);
}
TEST(m6_a_removed_leader_stays_until_the_change_is_committed_and_does_not_count) {
    struct cluster *c = play("nodes 3; elect 1; change 1 : 2 3; deliver; quiet store 1; quiet store 2; quiet "
                             "store 3; deliver; drop 1>3;"
                             "crash 3; quiet settle");
    EXPECT(leads(c, 1));
    EXPECT_EQ_STR(members_of(c, 1), "{2 3}");
    EXPECT_EQ_INT(commit_of(c, 1), 2); /* 1 and 2 have entry 3; of 2 and 3 only one has */
    more(c, "restart 3; quiet run 900");
    EXPECT(!leads(c, 1));
    EXPECT_EQ_INT(commit_of(c, 1), 3);
    leave(c);
}
TEST(m6_those_who_remain_hear_of_the_commitment) {
    struct cluster *c = play("nodes 3; elect 1; change 1 : 2 3; quiet settle");
    EXPECT(commit_of(c, 2) >= 3);
    EXPECT(commit_of(c, 3) >= 3);
    EXPECT(cluster_leader(c) != NULL); /* and need no time-out to go on */
    leave(c);
}
TEST(m7_a_node_outside_its_newest_configuration_may_finish_what_it_alone_has) {
    /* Two nodes; {2} is in the log of 1 only, and 1 loses its leadership before anybody else has it. */
    struct cluster *c = play("nodes 2; elect 1; change 1 : 2; deliver 1>2; store 1; store 2; deliver 2>1; "
                             "store 1; drop 1>2; crash 1;"
                             "restart 1");
    EXPECT_EQ_STR(members_of(c, 1), "{2}");
    EXPECT_EQ_STR(members_of(c, 2), "{1- 2}");
    more(c, "quiet run 20000");
    EXPECT_EQ_STR(members_of(c, 2), "{2}");
    EXPECT(leads(c, 2));
    leave(c);
}
TEST(m7_also_after_a_restart_that_forgot_what_is_committed) {
    /* 2 was a learner at what it knows to be committed, then the only voter, then (not committed) a learner again. */
    struct cluster *c = play("nodes 1 learners 1; tick; settle; quiet run 200; flush 2; change 1 : 1l 2; "
                             "quiet settle; quiet run 3000;"
                             "change 2 : 1 2l; deliver 2>1; quiet store 1; quiet store 2; deliver 1>2; quiet "
                             "store 2; crash 2; drop;"
                             "restart 2");
    EXPECT_EQ_STR(members_of(c, 1), "{1+ 2~}");
    EXPECT_EQ_STR(members_of(c, 2), "{1 2l}");
    more(c, "quiet run 20000");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2l}");
    EXPECT(leads(c, 1));
    leave(c);
}
TEST(m8_a_truncated_configuration_is_out_of_force) {
    struct cluster *c = play(
        "nodes 3 puppets; given 1 t1 log 1; say 2>1 append t1 prev=1/1 commit=1 [2/1{1 2 3-} 3/1]; store 1");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3-}");
    more(c, "say 3>1 append t2 prev=1/1 commit=1 [2/2]");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3}");
    leave(c);
}
TEST(m8_also_after_a_restart) {
    struct cluster *c = play("nodes 3 puppets; given 1 t1 log 1; say 2>1 append t1 prev=1/1 commit=1 [2/1{1 "
                             "2 3-} 3/1]; store 1; flush 1;"
                             "crash 1; restart 1");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3-}");
    more(c, "say 3>1 append t2 prev=1/1 commit=1 [2/2]");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3}");
    leave(c);
}
TEST(m9_a_joint_configuration_needs_both_majorities_to_commit) {
    struct cluster *c =
        play("nodes 3; add 4; add 5; add 6; elect 1; crash 2; crash 3; change 1 : 4 5 6; quiet run 400");
    EXPECT_EQ_INT(commit_of(c, 1), 1); /* all of the new voters, one of three old ones */
    leave(c);
    c = play("nodes 3; add 4; add 5; add 6; elect 1; crash 5; crash 6; change 1 : 4 5 6; quiet run 400");
    EXPECT_EQ_INT(commit_of(c, 1), 1); /* all of the old ones, one of three new ones */
    more(c, "restart 5; quiet run 2000");
    EXPECT_EQ_STR(members_of(c, 4), "{4 5 6}");
    leave(c);
}
TEST(m9_another_leader_finishes_the_change) {
    struct cluster *c = play("nodes 3; add 4; elect 1; change 1 : 1 2 4; deliver 1>2; deliver 1>3; quiet "
                             "store 2; quiet store 3; crash 1;"
                             "quiet run 8000");
    EXPECT(cluster_leader(c) != NULL);
    EXPECT_EQ_STR(members_of(c, cluster_leader(c)->id), "{1 2 4}");
    leave(c);
}
TEST(m9_a_transfer_does_not_stop_the_joint_configuration_from_being_left) {
    struct cluster *c =
        play("nodes 3; add 4; elect 1; change 1 : 1 2 4; transfer 1 2; quiet settle; quiet run 3000");
    EXPECT_EQ_STR(members_of(c, cluster_leader(c)->id), "{1 2 4}");
    leave(c);
}
TEST(m10_a_learner_that_lags_does_not_hold_up_commitment) {
    struct cluster *c = play(
        "nodes 3; add 4; elect 1; change 1 : 1 2 3 4l; crash 4; quiet settle; propose 1 3; quiet settle");
    EXPECT_EQ_INT(commit_of(c, 1), 5);
    EXPECT_EQ_INT(peer_of(c, 1, 4)->match_index,
                  0); /* what the shell looks at before it asks to make it a voter */
    leave(c);
}
TEST(m11_a_node_believes_the_configuration_that_it_replays) {
    /* A configuration of the past made it the only voter, and it has seen no later one: by the rules it may lead. Hence ids are
     * random and never used twice, so that no past configuration names a new node (server/node makes the id). */
    struct cluster *c =
        play("nodes 3 puppets; say 2>1 append t1 prev=0/0 commit=0 [1/1{1}]; store 1; pass 3000; settle");
    EXPECT(leads(c, 1));
    leave(c);
}
TEST(m13_a_node_that_has_a_log_knows_its_members_from_it) {
    struct cluster *c = play("nodes 3; add 4; elect 1; change 1 : 1 2 3 4; quiet settle; quiet run 300; "
                             "flush 4; crash 4; restart 4");
    EXPECT_EQ_STR(members_of(c, 4), "{1 2 3 4}");
    leave(c);
}
TEST(m14_a_change_during_a_partition_loses_nothing) {
    struct cluster *c = play("nodes 3; add 4; elect 1; propose 1 2; quiet settle; partition 1 4 | 2 3; "
                             "change 1 : 1 2 3 4; propose 1 2;"
                             "quiet run 6000; heal; quiet run 3000");
    struct cl_node *leader = cluster_leader(c);
    EXPECT(leader != NULL);
    EXPECT(c->acked_index == 3);
    EXPECT_EQ_STR(members_of(c, leader->id), "{1 2 3}");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3}");
    leave(c);
}
TEST(m15_the_configuration_at_the_cut_is_the_right_one) {
    for (uint64_t mark = 1; mark <= 5; mark++) {
        struct cluster *c = play("nodes 3; add 4; elect 1; propose 1; change 1 : 1 2 3 4l; quiet settle; "
                                 "propose 1 2; quiet settle");
        char script[100];
        snprintf(script, sizeof script, "cut 1 %" PRIu64 "; crash 1; restart 1", mark);
        more(c, script);
        EXPECT_EQ_STR(members_of(c, 1),
                      "{1 2 3 4l}"); /* of entry 3; observe.c compares with the log after every step */
        more(c, "quiet run 6000");
        EXPECT(cluster_leader(c) != NULL);
        leave(c);
    }
}
TEST(m16_acknowledgements_of_an_earlier_membership_are_ignored) {
    struct cluster *c = play("nodes 3; elect 1; propose 1 3; quiet settle; duplicate; crash 3; change 1 : 1 "
                             "2; quiet settle; quiet run 300;"
                             "change 1 : 1 2 3l; quiet settle");
    EXPECT_EQ_INT(peer_of(c, 1, 3)->match_index, 0);
    more(c, "say 3>1 append-reply t1 match=4 round=1");
    EXPECT_EQ_INT(peer_of(c, 1, 3)->match_index, 0);
    leave(c);
}
TEST(m17_from_two_to_one_with_the_commit_notice_lost) {
    struct cluster *c = play("nodes 2; elect 1; change 1 : 2; deliver 1>2; store 1; store 2; deliver 2>1; "
                             "deliver 1>2; crash 1; store 2;"
                             "quiet run 5000");
    EXPECT(leads(c, 2));
    EXPECT_EQ_STR(members_of(c, 2), "{2}");
    leave(c);
}
TEST(m17_from_two_to_one_when_the_other_is_lost_before_it_has_the_change) {
    /* 2 alone cannot know that it should go on: both of two are a majority. It waits rather than guesses. */
    struct cluster *c = play("nodes 2; elect 1; change 1 : 2; crash 1; quiet run 10000");
    EXPECT(!leads(c, 2));
    more(c, "restart 1; quiet run 6000");
    EXPECT(cluster_leader(c) != NULL);
    leave(c);
}
/* "1 2l 3+": the words of text.c */
static struct raft_members members_from(const char *text) {
    struct raft_members m = {0};
    for (; *text != '\0'; text += strcspn(text, " "), text += *text == ' ') {
        char *end;
        m.items[m.count].id = strtoull(text, &end, 10);
        m.items[m.count++].seat = *end == 'l'   ? RAFT_LEARNER
                                  : *end == '+' ? RAFT_VOTER_IN
                                  : *end == '-' ? RAFT_VOTER_OUT
                                  : *end == '~' ? RAFT_VOTER_DOWN
                                                : RAFT_VOTER;
    }
    return m;
}
TEST(m_which_configurations_are_sound) {
    struct {
        const char *text;
        bool sound;
    } cases[] = {
        {"1", true},
        {"1 2 3", true},
        {"1l 2", true},
        {"1- 2+", true},
        {"1~ 2+", true},
        {"1 2 3 4 5 6 7", true},
        {"1- 2- 3- 4- 5- 6- 7- 8+ 9+ 10+ 11+ 12+ 13+ 14+ 15l 16l", true},
        {"", false},
        {"0", false},
        {"2 1", false},
        {"1 1", false},
        {"1l", false},
        {"1l 2l", false},
        {"1-", false},
        {"1- 2l", false},
        {"1+", false},
        {"1+ 2l", false},
        {"1~", false},
        {"1 2 3 4 5 6 7 8", false},
        {"1 2 3 4 5 6 7 8+", false},
        {"1 2 3 4 5 6 7 8-", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raft_members m = members_from(cases[i].text);
        EXPECT_NOTE(members_are_sound(&m) == cases[i].sound, "%s", cases[i].text);
    }
    struct raft_members m = members_from("1 2 3");
    m.items[1].seat = (enum raft_seat)6;
    EXPECT(!members_are_sound(&m));
    m.items[1].seat = (enum raft_seat)0;
    EXPECT(!members_are_sound(&m));
    m = members_from("1 2 3");
    memset(m.items[2].address, 'x', sizeof m.items[2].address);
    EXPECT(!members_are_sound(&m));
    m = members_from("1 2 3");
    m.count = RAFT_MEMBERS_MAX + 1;
    EXPECT(!members_are_sound(&m));
    struct raft_config config = {.id = 1,
                                 .election_us = 1000,
                                 .heartbeat_us = 100,
                                 .append_bytes_max = 1,
                                 .inflight_bytes_max = 1,
                                 .inflight_count_max = 1,
                                 .members = members_from("2 1")};
    struct raft *r = NULL;
    EXPECT(raft_new(&config, &r) == RC_INVALID);
}
TEST(m_too_many_or_too_few_voters_are_refused) {
    struct cluster *c = play("nodes 3; elect 1; change 1 : 1 2 3 4 5 6 7 8");
    EXPECT_SAID(c, "refused: senseless");
    more(c, "change 1 : 1l 2l");
    EXPECT_SAID(c, "refused: senseless");
    more(c, "change 1 : 1 2+ 3");
    EXPECT_SAID(c, "refused: senseless");
    more(c, "change 1 : 4 5 6 7 8 9 10");
    EXPECT_NOT_SAID(c, "refused");
    leave(c);
}

TEST(m_a_joint_configuration_that_would_be_too_large_is_refused) {
    struct cluster *c = play("nodes 7 learners 4; elect 1; change 1 : 8 9 10 11 12 13 14 15l 16l");
    EXPECT_NOT_SAID(c, "refused"); /* 7 that go, 4 and 5 that come or stay: 16 */
    leave(c);
    struct raft_members from = {0}, wanted = {0}, joint;
    for (uint64_t id = 1; id <= 7; id++) members_put(&from, id, RAFT_VOTER);
    for (uint64_t id = 8; id <= 17; id++) members_put(&wanted, id, id < 15 ? RAFT_VOTER : RAFT_LEARNER);
    members_enter(&from, &wanted, &joint);
    EXPECT(!members_are_sound(&joint));
}
/* Whatever the two are: the old majority is that of the one, the new majority that of the other, and what is left is the other. */
TEST(m9_entering_and_leaving_a_joint_configuration) {
    struct rng rng = {7};
    for (int round = 0; round < 20000; round++) {
        struct raft_members from = {0}, wanted = {0}, joint, after;
        for (uint64_t id = 1; id <= 10; id++) {
            uint64_t a = rng_below(&rng, 4), b = rng_below(&rng, 4);
            if (a < 2) members_put(&from, id, a == 0 ? RAFT_VOTER : RAFT_LEARNER);
            if (b < 2) members_put(&wanted, id, b == 0 ? RAFT_VOTER : RAFT_LEARNER);
        }
        if (!members_are_sound(&from) || !members_are_sound(&wanted)) continue;
        members_enter(&from, &wanted, &joint);
        EXPECT(members_are_sound(&joint));
        bool differ = false;
        for (uint64_t id = 1; id <= 10; id++) {
            const struct raft_member *f = members_find(&from, id), *w = members_find(&wanted, id),
                                     *j = members_find(&joint, id);
            bool was = f != NULL && f->seat == RAFT_VOTER, will = w != NULL && w->seat == RAFT_VOTER;
            differ |= was != will;
            EXPECT((j != NULL && seat_votes_old(j->seat)) == was);
            EXPECT((j != NULL && seat_votes_new(j->seat)) == will);
        }
        EXPECT(members_are_joint(&joint) == differ);
        members_leave(&joint, &after);
        EXPECT_EQ_INT(after.count, wanted.count);
        for (size_t i = 0; i < wanted.count; i++) {
            EXPECT_EQ_INT(after.items[i].id, wanted.items[i].id);
            EXPECT(after.items[i].seat == wanted.items[i].seat);
        }
    }
}

TEST_MAIN
