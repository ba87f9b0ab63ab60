/* Log replication: pitfalls L1 to L22 of the list in server/raft/README.md. */
#include "play.h"

TEST(l1_a_delayed_prefix_truncates_nothing) {
    struct cluster *c = play(
        "nodes 3 puppets; given 1 t2 log 1 1 2 2; say 2>1 append t2 prev=0/0 commit=0 [1/1 2/1]; store 1");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1- 3/2- 4/2-");
    more(c, "say 2>1 append t2 prev=1/1 commit=0 [2/1]; say 2>1 append t2 prev=3/2 commit=0");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1- 3/2- 4/2-");
    leave(c);
}
TEST(l2_truncation_begins_at_the_first_difference) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t3 log 1 1 2 2; say 2>1 append t3 prev=0/0 commit=0 [1/1 2/1 3/3]");
    EXPECT_SAID(c, "stores #1 3");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1- 3/3");
    leave(c);
}
TEST(l2_what_is_committed_is_never_truncated) {
    struct cluster *c = play("nodes 3 puppets; given 1 t2 log 1 1; say 2>1 append t2 prev=2/1 commit=2; say "
                             "3>1 append t3 prev=1/1 "
                             "commit=0 [2/3]");
    EXPECT_SAID(c, "1 calls that invalid");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1-");
    more(
        c,
        "say 2>1 append t2 prev=1/1 commit=0 [2/2]; say 2>1 append t2 prev=2/2 commit=2"); /* of the same term, too */
    EXPECT_SAID(c, "1 calls that invalid\n> 2>1 append t2 prev=2/2 commit=2\n1 calls that invalid");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1-");
    leave(c);
}
TEST(l3_truncation_and_append_are_one_write) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 2 2 2; say 2>1 append t3 prev=1/1 commit=0 [2/3 3/3]");
    EXPECT_EQ_INT(c->nodes[1].store_count, 1);
    EXPECT_EQ_INT(c->nodes[1].stores[0].first, 2);
    EXPECT_EQ_INT(c->nodes[1].stores[0].entry_count, 2);
    leave(c);
}
TEST(l4_prev_of_zero_is_no_licence_to_overwrite) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 2; say 2>1 append t2 prev=0/0 commit=0 [1/1]");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/2-");
    leave(c);
}
TEST(l4_an_append_that_begins_below_the_mark_overwrites_nothing) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 1 2 2; say 2>1 append t2 prev=4/2 commit=4; cut 1 3;"
             "say 2>1 append t2 prev=1/1 commit=4 [2/1 3/2 4/2 5/2]; store 1");
    EXPECT_EQ_STR(log_of(c, 1), "(3/2) 4/2- 5/2");
    EXPECT_SAID(c, "append-reply t2 match=5");
    leave(c);
}
TEST(l5_a_prev_that_was_cut_here_is_no_conflict) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 1 2; say 2>1 append t2 prev=3/2 commit=3; cut 1 3;"
             "say 2>1 append t2 prev=2/1 commit=3");
    EXPECT_SAID(c, "append-reply t2 match=3");
    EXPECT_EQ_INT(c->nodes[1].log.mark_index, 3);
    leave(c);
}
TEST(l6_a_leader_that_has_cut_the_entry_before_sends_a_snapshot) {
    struct cluster *c =
        play("nodes 3; elect 1; crash 3; propose 1 4; quiet settle; quiet run 200; cut 1 5; cut 2 5; "
             "restart 3; pass 100; settle");
    EXPECT_SAID(c, "1>3 snapshot t1 of 5/1");
    EXPECT_NOT_SAID(c, "prev=0/0");
    leave(c);
}
TEST(l7_messages_hold_contiguous_slices) {
    struct cluster *c = play(
        "nodes 3 append-bytes 100 inflight 2; elect 1; block 1>2; propose 1 1 size 10; propose 1 1 size 500;"
        "propose 1 3 size 10; quiet settle; unblock 1>2; quiet run 500");
    EXPECT_EQ_STR(log_of(c, 2), "1/1- 2/1 3/1 4/1 5/1 6/1");
    more(c, "say 1>2 append t1 prev=6/1 commit=6 [7/1 9/1]");
    EXPECT_SAID(c, "2 calls that invalid");
    leave(c);
}
TEST(l7_a_message_holds_a_bounded_number_of_entries) {
    struct cluster *c = play("nodes 2 learners 1 append-bytes 100000000 inflight-bytes 100000000 "
                             "uncommitted-bytes 100000000; elect 1;"
                             "crash 3; quiet propose 1 3000 size 1; quiet settle; restart 3");
    size_t most = 0;
    for (int i = 0; i < 30; i++) {
        more(c, "pass 50");
        while (c->net_count > 0) {
            size_t count = c->net[0]->message.entry_count;
            if (count > most) most = count;
            cluster_deliver(c, 0);
            cluster_store(c, 3, SIZE_MAX);
        }
    }
    EXPECT_EQ_INT(most, RAFT_APPEND_ENTRIES_MAX);
    EXPECT_EQ_INT(commit_of(c, 3), 3001);
    leave(c);
}
TEST(l8_acknowledgements_out_of_order_never_lower_what_is_known) {
    struct cluster *c = play("nodes 3; elect 1; propose 1 3; quiet settle");
    EXPECT_EQ_INT(peer_of(c, 1, 2)->match_index, 4);
    more(c, "say 2>1 append-reply t1 match=2 round=1; say 2>1 append-reply t1 match=4 round=1; say 2>1 "
            "append-reply t1 match=0 round=1");
    EXPECT_EQ_INT(peer_of(c, 1, 2)->match_index, 4);
    EXPECT_EQ_INT(peer_of(c, 1, 2)->next_index, 5);
    leave(c);
}
TEST(l9_a_refusal_of_an_earlier_probe_is_ignored) {
    struct cluster *c = play("nodes 3; elect 1; propose 1 3; quiet settle");
    more(c, "say 2>1 append-reply t1 rejected prev=1 hint=0/0 round=1");
    EXPECT_EQ_INT(peer_of(c, 1, 2)->next_index, 5);
    EXPECT(peer_of(c, 1, 2)->state == RAFT_REPLICATE);
    leave(c);
}
TEST(l9_only_the_last_probe_can_be_refused) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t4 log 1 1 2 2 3 3; campaign 1; say 2>1 pre-vote-reply t5; store 1;"
             "say 2>1 vote-reply t5; store 1; say 2>1 append-reply t5 rejected prev=6 hint=4/2");
    EXPECT_EQ_INT(peer_of(c, 1, 2)->next_index, 5);
    EXPECT_SAID(c, "1>2 append t5 prev=4/2");
    more(
        c,
        "say 2>1 append-reply t5 rejected prev=6 hint=4/2; say 2>1 append-reply t5 rejected prev=6 hint=1/1");
    EXPECT_NOT_SAID(c, "1>2 append");
    EXPECT_EQ_INT(peer_of(c, 1, 2)->next_index, 5);
    more(c, "say 2>1 append-reply t5 rejected prev=4 hint=2/1");
    EXPECT_EQ_INT(peer_of(c, 1, 2)->next_index, 3);
    leave(c);
}
TEST(l10_an_acknowledgement_of_an_earlier_leadership_is_ignored) {
    struct cluster *c = play(
        "nodes 3 puppets; given 1 t4 log 1 2; campaign 1; say 2>1 pre-vote-reply t5; store 1;"
        "say 2>1 vote-reply t5; store 1; say 2>1 append-reply t4 match=3; say 3>1 append-reply t4 match=3");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    leave(c);
}
TEST(l11_what_was_written_for_the_old_leader_is_not_acknowledged_to_it) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 append t1 prev=0/0 commit=0 [1/1 2/1]; say 3>1 "
                             "heartbeat t2 commit=0; store 1");
    EXPECT_NOT_SAID(c, "match=2");
    EXPECT_NOT_SAID(c, "1>2 append-reply");
    leave(c);
}
TEST(l11_what_is_on_the_disk_and_not_verified_is_not_acknowledged) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 2 2 2; say 2>1 append t3 prev=1/1 commit=0; store 1");
    EXPECT_SAID(c, "append-reply t3 match=1");
    EXPECT_NOT_SAID(c, "match=4");
    leave(c);
}
TEST(l12_an_acknowledgement_beyond_the_leaders_log_counts_only_for_what_is_there) {
    struct cluster *c = play(
        "nodes 3 puppets; campaign 1; say 2>1 pre-vote-reply t1; store 1; say 2>1 vote-reply t1; store 1;"
        "say 2>1 append-reply t1 match=99");
    EXPECT(commit_of(c, 1) <= 1);
    EXPECT(peer_of(c, 1, 2)->match_index <= 1);
    more(c, "propose 1; say 3>1 append-reply t1 match=1");
    EXPECT_EQ_INT(commit_of(c, 1), 1);
    leave(c);
}
TEST(l13_a_long_divergent_tail_is_passed_term_by_term) {
    struct buf script = {0};
    buf_add_str(&script, "nodes 3; given 1 t9 log 1 9; given 2 t8 log 1");
    for (int i = 0; i < 200; i++) buf_printf(&script, " %d", 2 + i / 50);
    buf_add_str(&script, "; crash 3; elect 1; quiet run 200");
    buf_add_byte(&script, '\0');
    struct cluster *c = play(script.data);
    EXPECT_EQ_STR(log_of(c, 2), log_of(c, 1));
    EXPECT_EQ_INT(commit_of(c, 2), commit_of(c, 1));
    buf_free(&script);
    leave(c);
}
TEST(l14_a_whole_window_lost_is_noticed) {
    struct cluster *c = play("nodes 2 inflight 4; elect 1; propose 1 10; drop append; settle");
    EXPECT_EQ_INT(commit_of(c, 1), 1);
    more(c, "quiet run 300");
    EXPECT_EQ_INT(commit_of(c, 1), 11);
    leave(c);
}
TEST(l14_a_single_lost_append_is_noticed) {
    struct cluster *c = play("nodes 2; elect 1; propose 1; drop append; quiet run 300");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    leave(c);
}
TEST(l15_a_level_follower_leaves_the_probe_state_without_traffic) {
    struct cluster *c = play("nodes 3; elect 1; unreachable 1 2");
    EXPECT(peer_of(c, 1, 2)->state == RAFT_PROBE);
    more(c, "quiet run 300");
    EXPECT(peer_of(c, 1, 2)->state == RAFT_REPLICATE);
    leave(c);
}
TEST(l16_aba_the_first_write_does_not_vouch_for_the_third) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t1 log 1; say 2>1 append t2 prev=1/1 commit=1 [2/2 3/2];"
             "say 3>1 append t3 prev=1/1 commit=1 [2/3]; say 2>1 append t4 prev=1/1 commit=1 [2/2 3/2]");
    more(c, "store 1 1");
    EXPECT_EQ_INT(status_of(c, 1).stored_index, 1);
    more(c, "store 1 1");
    EXPECT_EQ_INT(status_of(c, 1).stored_index, 1);
    EXPECT_NOT_SAID(c, "match=3");
    more(c, "store 1 1");
    EXPECT_EQ_INT(status_of(c, 1).stored_index, 3);
    EXPECT_SAID(c, "1>2 append-reply t4 match=3");
    leave(c);
}
TEST(l17_a_term_is_stored_with_or_before_its_entries) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 append t6 prev=0/0 commit=0 [1/6]");
    EXPECT(c->nodes[1].stores[0].hard_state);
    EXPECT_EQ_INT(c->nodes[1].stores[0].term, 6);
    more(c, "crash 1 keeping 1; restart 1");
    EXPECT_EQ_INT(term_of(c, 1), 6);
    leave(c);
}
TEST(l19_proposals_beyond_the_limit_are_refused_and_empty_ones_are_not) {
    struct cluster *c = play("nodes 3 uncommitted-bytes 100; elect 1; partition 1 | 2 3; propose 1 size 90");
    EXPECT_NOT_SAID(c, "refused");
    more(c, "propose 1 size 20");
    EXPECT_SAID(c, "refused: too much");
    more(c, "propose 1 size 0");
    EXPECT_NOT_SAID(c, "refused");
    more(c, "heal; quiet run 300; propose 1 size 90");
    EXPECT_NOT_SAID(c, "refused");
    leave(c);
}
TEST(l19_a_single_large_proposal_is_taken) {
    struct cluster *c =
        play("nodes 1 uncommitted-bytes 100 append-bytes 100; tick; settle; propose 1 size 100000");
    EXPECT_NOT_SAID(c, "refused");
    leave(c);
}
TEST(l20_stepping_down_drops_nothing) {
    struct cluster *c =
        play("nodes 3; elect 1; partition 1 | 2 3; propose 1 3; quiet store 1; quiet run 2500");
    EXPECT(!leads(c, 1));
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1 3/1 4/1");
    leave(c);
}
TEST(l21_the_cores_idea_of_the_log_follows_a_truncation) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t3 log 1 2 2 3; say 2>1 append t4 prev=1/1 commit=0 [2/4]; store 1");
    EXPECT_EQ_INT(raft_term_at(c->nodes[1].raft, 2), 4);
    EXPECT_EQ_INT(raft_term_at(c->nodes[1].raft, 3), 0);
    EXPECT_EQ_INT(status_of(c, 1).last_index, 2);
    more(c, "say 2>1 append t4 prev=4/4 commit=0");
    EXPECT_SAID(c, "rejected prev=4 hint=2/4");
    leave(c);
}
TEST(l22_a_message_for_another_node_is_refused) {
    struct cluster *c = play("nodes 3 puppets");
    struct raft_message m = {.kind = RAFT_APPEND, .from = 2, .to = 3, .term = 4};
    struct raft_event ev = {.type = RAFT_EVENT_MESSAGE, .message = &m};
    EXPECT(!cluster_step(c, &c->nodes[1], ev));
    EXPECT_EQ_INT(term_of(c, 1), 0);
    m.to = m.from = 1;
    EXPECT(!cluster_step(c, &c->nodes[1], ev));
    leave(c);
}

TEST_MAIN
