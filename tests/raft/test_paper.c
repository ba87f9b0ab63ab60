/* The rules of Raft, one test each, in the order in which the paper (P: "In Search of an Understandable Consensus
 * Algorithm", extended version) and the thesis (T: "Consensus: Bridging Theory and Practice") give them. Beyond what
 * each test says, the invariants of observe.c hold after every step of every one. */
#include "play.h"

/* P 5.1: "Current terms are exchanged whenever servers communicate; if one server's current term is smaller than the
 * other's, then it updates its current term to the larger value." */
TEST(p51_a_follower_adopts_a_later_term) {
    struct cluster *c = play("nodes 3 puppets; given 1 t1 log 1; say 2>1 append t5 prev=1/1 commit=0");
    EXPECT_EQ_INT(term_of(c, 1), 5);
    leave(c);
}
TEST(p51_a_candidate_with_an_earlier_term_becomes_a_follower) {
    struct cluster *c = play("nodes 3 puppets; campaign 1; say 2>1 pre-vote-reply t1; store 1");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    more(c, "say 3>1 vote-reply t4 rejected");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    EXPECT_EQ_INT(term_of(c, 1), 4);
    leave(c);
}
TEST(p51_a_leader_with_an_earlier_term_becomes_a_follower) {
    struct cluster *c = play("nodes 3; elect 1; say 2>1 append-reply t9 rejected");
    EXPECT(!leads(c, 1));
    EXPECT_EQ_INT(term_of(c, 1), 9);
    leave(c);
}
/* P 5.1: "If a server receives a request with a stale term number, it rejects the request." */
TEST(p51_a_request_of_an_earlier_term_is_answered_with_the_later_one) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t4 log 1 2; say 2>1 append t3 prev=2/2 commit=2 [3/3]");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/2-");
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    EXPECT_SAID(c, "1>2 append-reply t4");
    leave(c);
}

/* P 5.2: "When servers start up, they begin as followers." */
TEST(p52_everybody_starts_as_a_follower) {
    struct cluster *c = play("nodes 5; status");
    for (uint64_t id = 1; id <= 5; id++) EXPECT(status_of(c, id).role == RAFT_FOLLOWER);
    leave(c);
}
/* P 5.2: "If a follower receives no communication over a period of time called the election timeout, then it ... begins
 * an election." */
TEST(p52_silence_for_a_time_out_begins_an_election) {
    struct cluster *c = play("nodes 3 puppets; pass 999");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    more(c, "pass 1001");
    EXPECT(status_of(c, 1).role == RAFT_PRE_CANDIDATE);
    leave(c);
}
/* P 5.2: "a server remains in follower state as long as it receives valid RPCs from a leader". */
TEST(p52_heartbeats_keep_a_follower_quiet) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 heartbeat t1 commit=0; store 1");
    for (int i = 0; i < 20; i++) more(c, "pass 900; say 2>1 heartbeat t1 commit=0");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    EXPECT_EQ_INT(term_of(c, 1), 1);
    leave(c);
}
/* P 5.2: "To begin an election, a follower increments its current term and transitions to candidate state. It then votes
 * for itself and issues RequestVote RPCs in parallel to each of the other servers." */
TEST(p52_a_candidate_votes_for_itself_and_asks_everybody) {
    struct cluster *c = play("nodes 5 puppets; given 1 t2 log 1 2; campaign 1");
    more(c, "say 2>1 pre-vote-reply t3; say 3>1 pre-vote-reply t3; store 1");
    EXPECT_EQ_INT(status_of(c, 1).vote, 1);
    EXPECT_SAID(c, "1>2 vote t3 last=2/2");
    EXPECT_SAID(c, "1>3 vote t3 last=2/2");
    EXPECT_SAID(c, "1>4 vote t3 last=2/2");
    EXPECT_SAID(c, "1>5 vote t3 last=2/2");
    leave(c);
}
/* P 5.2: "A candidate wins an election if it receives votes from a majority of the servers in the full cluster for the
 * same term." */
TEST(p52_a_majority_of_votes_elects) {
    struct cluster *c =
        play("nodes 5 puppets; campaign 1; say 2>1 pre-vote-reply t1; say 3>1 pre-vote-reply t1; store 1");
    more(c, "say 2>1 vote-reply t1; say 2>1 vote-reply t1; say 4>1 vote-reply t1 rejected");
    EXPECT(!leads(c, 1));
    more(c, "say 3>1 vote-reply t1");
    EXPECT(leads(c, 1));
    leave(c);
}
TEST(p52_a_minority_of_votes_does_not_elect) {
    struct cluster *c = play("nodes 5; partition 1 2 | 3 4 5; quiet run 5000");
    EXPECT(!leads(c, 1));
    EXPECT(!leads(c, 2));
    leave(c);
}
/* P 5.2: "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis". */
TEST(p52_one_vote_a_term) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 vote t1 last=0/0; store 1");
    EXPECT_SAID(c, "1>2 vote-reply t1\n");
    more(c, "say 3>1 vote t1 last=5/1");
    EXPECT_SAID(c, "1>3 vote-reply t1 rejected");
    more(c, "say 2>1 vote t1 last=0/0"); /* the same candidate may ask again: the answer may have been lost */
    EXPECT_SAID(c, "1>2 vote-reply t1\n");
    leave(c);
}
/* P 5.2: "If the leader's term is at least as large as the candidate's current term, then the candidate recognizes the
 * leader as legitimate and returns to follower state." */
TEST(p52_a_candidate_returns_to_follower_for_a_leader_of_its_term) {
    struct cluster *c = play("nodes 3 puppets; campaign 1; say 2>1 pre-vote-reply t1; store 1");
    more(c, "say 2>1 append t1 prev=0/0 commit=0 [1/1-]");
    EXPECT(status_of(c, 1).role == RAFT_FOLLOWER);
    EXPECT_EQ_INT(status_of(c, 1).leader_id, 2);
    leave(c);
}
/* P 5.2: "If the term in the RPC is smaller than the candidate's current term, then the candidate rejects the RPC and
 * continues in candidate state." */
TEST(p52_a_candidate_stays_one_for_a_leader_of_an_earlier_term) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t3 log; campaign 1; say 2>1 pre-vote-reply t4; store 1");
    more(c, "say 3>1 append t3 prev=0/0 commit=0 [1/3-]");
    EXPECT(status_of(c, 1).role == RAFT_CANDIDATE);
    EXPECT_EQ_STR(log_of(c, 1), "");
    leave(c);
}
/* P 5.2: "Raft uses randomized election timeouts to ensure that split votes are rare and that they are resolved quickly." */
TEST(p52_time_outs_differ_and_lie_between_one_and_two) {
    uint64_t lowest = UINT64_MAX, highest = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        char script[100];
        snprintf(script, sizeof script, "nodes 3 puppets seed %" PRIu64, seed);
        struct cluster *c = play(script);
        uint64_t ms = 0;
        while (status_of(c, 1).role == RAFT_FOLLOWER) {
            more(c, "pass 10");
            ms += 10;
        }
        if (ms < lowest) lowest = ms;
        if (ms > highest) highest = ms;
        leave(c);
    }
    EXPECT(lowest >= 1000);
    EXPECT(lowest < 1050);
    EXPECT(highest > 1950);
    EXPECT(highest <= 2010);
}
TEST(p52_split_votes_are_resolved) {
    for (uint64_t seed = 1; seed <= 50; seed++) {
        char script[100];
        snprintf(script, sizeof script, "nodes 4 seed %" PRIu64, seed);
        struct cluster *c = play(script);
        more(c, "campaign 1; campaign 2; campaign 3; campaign 4; deliver reversed; quiet run 6000");
        EXPECT(cluster_leader(c) != NULL);
        leave(c);
    }
}

/* P 5.3: "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel to each of
 * the other servers to replicate the entry." */
TEST(p53_a_leader_sends_new_entries_to_all) {
    struct cluster *c = play("nodes 3; elect 1");
    more(c, "propose 1");
    EXPECT_SAID(c, "1>2 append t1 prev=1/1 commit=1 [2]");
    EXPECT_SAID(c, "1>3 append t1 prev=1/1 commit=1 [2]");
    leave(c);
}
/* P 5.3: "A log entry is committed once the leader that created the entry has replicated it on a majority of the servers."
 * P figure 2: the leader's own copy counts, when it is durable. */
TEST(p53_a_majority_of_copies_commits) {
    struct cluster *c =
        play("nodes 5 puppets; campaign 1; say 2>1 pre-vote-reply t1; say 3>1 pre-vote-reply t1; store 1;"
             "say 2>1 vote-reply t1; say 3>1 vote-reply t1; store 1");
    more(c, "say 2>1 append-reply t1 match=1");
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    more(c, "say 3>1 append-reply t1 match=1");
    EXPECT_EQ_INT(commit_of(c, 1), 1);
    leave(c);
}
/* P 5.3: "it includes that index in future AppendEntries RPCs (including heartbeats) so that the other servers eventually
 * find out. Once a follower learns that a log entry is committed, it applies the entry". */
TEST(p53_followers_hear_of_commitment_and_apply) {
    struct cluster *c = play("nodes 3; elect 1; propose 1; quiet settle; quiet run 200");
    for (uint64_t id = 1; id <= 3; id++) EXPECT_EQ_INT(c->nodes[id].state.index, 2);
    leave(c);
}
/* P 5.3: "If the follower does not find an entry in its log with the same index and term, then it refuses the new
 * entries." */
TEST(p53_a_follower_refuses_what_does_not_join) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 2; say 2>1 append t3 prev=3/3 commit=0 [4/3]");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/2-");
    more(c, "store 1; say 2>1 append t3 prev=2/3 commit=0 [3/3]");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/2-");
    EXPECT_SAID(c, "1>2 append-reply t3 rejected prev=2");
    leave(c);
}
/* P figure 2, AppendEntries 3 and 4: "If an existing entry conflicts with a new one (same index but different terms),
 * delete the existing entry and all that follow it. Append any new entries not already in the log." */
TEST(p53_conflicting_entries_are_replaced) {
    struct {
        const char *log, *append, *want;
    } cases[] = {
        {"1 2 3", "prev=3/3 commit=0 [4/4]", "1/1- 2/2- 3/3- 4/4"},
        {"1 2 3", "prev=2/2 commit=0 [3/3]", "1/1- 2/2- 3/3-"},
        {"1 2 3", "prev=0/0 commit=0 [1/1 2/2]", "1/1- 2/2- 3/3-"},
        {"1 2 3", "prev=1/1 commit=0 [2/4]", "1/1- 2/4"},
        {"1 2 3", "prev=0/0 commit=0 [1/4 2/4]", "1/4 2/4"},
        {"1 2 3", "prev=1/1 commit=0 [2/2 3/4 4/4]", "1/1- 2/2- 3/4 4/4"},
        {"1 2 3", "prev=1/1 commit=0", "1/1- 2/2- 3/3-"},
        {"", "prev=0/0 commit=0 [1/4]", "1/4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char script[300];
        snprintf(script, sizeof script, "nodes 3 puppets; given 1 t4 log %s; say 2>1 append t4 %s; store 1",
                 cases[i].log, cases[i].append);
        struct cluster *c = play(script);
        EXPECT_EQ_STR(log_of(c, 1), cases[i].want);
        leave(c);
    }
}
/* P 5.3: "the leader never overwrites or deletes entries in its own log"; "brings the follower's log to a state that
 * matches". Figure 7, each of its followers alone. */
TEST(p53_figure_7) {
    static const char *followers[] = {"t6 log 1 1 1 4 4 5 5 6 6",     "t4 log 1 1 1 4",
                                      "t6 log 1 1 1 4 4 5 5 6 6 6 6", "t7 log 1 1 1 4 4 5 5 6 6 6 7 7",
                                      "t4 log 1 1 1 4 4 4 4",         "t3 log 1 1 1 2 2 2 3 3 3 3 3"};
    for (size_t i = 0; i < sizeof followers / sizeof followers[0]; i++) {
        char script[300];
        snprintf(script, sizeof script,
                 "nodes 3; given 1 t7 log 1 1 1 4 4 5 5 6 6 6; given 2 %s; elect 1; quiet run 1000",
                 followers[i]);
        struct cluster *c = play(script);
        char leader[200];
        snprintf(leader, sizeof leader, "%s", log_of(c, 1));
        EXPECT_EQ_STR(leader, "1/1- 2/1- 3/1- 4/4- 5/4- 6/5- 7/5- 8/6- 9/6- 10/6- 11/8-");
        EXPECT_EQ_STR(log_of(c, 2), leader);
        EXPECT_EQ_INT(commit_of(c, 2), 11);
        leave(c);
    }
}
/* P 5.3 at its end: "the follower can include the term of the conflicting entry and the first index it stores for that
 * term ... one AppendEntries RPC will be required for each term with conflicting entries". */
TEST(p53_one_probe_for_each_conflicting_term) {
    struct buf script = {0};
    buf_add_str(&script, "nodes 3; given 1 t5 log 1");
    for (int i = 0; i < 100; i++) buf_add_str(&script, " 5");
    buf_add_str(&script, "; given 2 t4 log 1");
    for (int term = 2; term <= 4; term++) {
        for (int i = 0; i < 50; i++) buf_printf(&script, " %d", term);
    }
    buf_add_str(&script, "; elect 1; crash 1; restart 1");
    buf_add_byte(&script, '\0');
    struct cluster *c = play(script.data);
    int refused = 0;
    more(c, "campaign 1");
    for (int i = 0; i < 30; i++) {
        more(c, "pass 50; settle");
        for (const char *p = c->text.data; (p = strstr(p, "  2>1 append-reply")) != NULL; p++) {
            const char *end = strchr(p, '\n');
            refused += memmem(p, (size_t)(end - p), "rejected", 8) != NULL;
        }
    }
    EXPECT(leads(c, 1));
    EXPECT_NOTE(refused <= 4, "%d refusals", refused);
    EXPECT_EQ_INT(commit_of(c, 2), commit_of(c, 1));
    buf_free(&script);
    leave(c);
}

/* P 5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the candidate ... If the logs have
 * last entries with different terms, then the log with the later term is more up-to-date. If the logs end with the same
 * term, then whichever log is longer". */
TEST(p541_votes_go_to_logs_that_are_up_to_date) {
    struct {
        const char *log, *last;
        bool granted;
    } cases[] = {
        {"1", "1/1", true},    {"1", "1/2", true},    {"1 1", "1/2", true},   {"1", "2/1", true},
        {"1 2", "2/1", false}, {"1 1", "1/1", false}, {"1 2", "9/1", false},  {"2", "1/1", false},
        {"", "0/0", true},     {"1", "0/0", false},   {"2 2 2", "3/2", true}, {"1 1 2", "4/1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char script[300];
        snprintf(script, sizeof script,
                 "nodes 3 puppets; given 1 t3 log %s; say 2>1 vote t4 last=%s; store 1", cases[i].log,
                 cases[i].last);
        struct cluster *c = play(script);
        EXPECT_NOTE(said(c, cases[i].granted ? "vote-reply t4\n" : "vote-reply t4 rejected"), "case %zu: %s",
                    i, c->text.data);
        leave(c);
    }
}
/* P 5.4.2: "Raft never commits log entries from previous terms by counting replicas. Only log entries from the leader's
 * current term are committed by counting replicas". */
TEST(p542_earlier_terms_are_not_committed_by_counting) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 2; campaign 1; say 2>1 pre-vote-reply t3; store 1;"
             "say 2>1 vote-reply t3; store 1");
    EXPECT(leads(c, 1));
    more(c, "say 2>1 append-reply t3 match=2; say 3>1 append-reply t3 match=2");
    EXPECT_EQ_INT(commit_of(c, 1), 0);
    more(c, "say 2>1 append-reply t3 match=3");
    EXPECT_EQ_INT(commit_of(c, 1), 3);
    leave(c);
}
/* P figure 2: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)". */
TEST(p53_a_follower_commits_no_further_than_was_verified) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 1 2 2; say 2>1 append t3 prev=1/1 commit=4 [2/1]; store 1");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    more(c, "say 2>1 heartbeat t3 commit=4");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    leave(c);
}
/* P 5.5: "Raft RPCs are idempotent, so this causes no harm." */
TEST(p55_everything_may_come_twice) {
    struct cluster *c = play("nodes 3");
    more(c,
         "campaign 1; duplicate; settle; propose 1; duplicate; duplicate; quiet settle; propose 1; duplicate;"
         "quiet settle; quiet run 300");
    EXPECT(leads(c, 1));
    EXPECT_EQ_STR(log_of(c, 3), "1/1- 2/1 3/1");
    EXPECT_EQ_INT(commit_of(c, 3), 3);
    leave(c);
}

/* P 6: "a server always uses the latest configuration in its log, regardless of whether the entry is committed". */
TEST(p6_a_configuration_is_in_force_when_appended) {
    struct cluster *c = play("nodes 3; elect 1; partition 1 | 2 3; change 1 : 1 2");
    EXPECT_EQ_STR(members_of(c, 1), "{1 2 3-}");
    EXPECT_EQ_STR(members_of(c, 2), "{1 2 3}");
    more(c, "unblock 1>3 3>1; quiet run 200");
    EXPECT_EQ_STR(members_of(c, 3), members_of(c, 1));
    leave(c);
}
/* P 6: "Agreement (for elections and entry commitment) requires separate majorities from both the old and new
 * configurations." */
TEST(p6_joint_commitment_needs_both_majorities) {
    struct cluster *c = play(
        "nodes 3; add 4; add 5; elect 1; crash 2; crash 3; change 1 : 1 4 5; quiet settle; quiet run 300");
    EXPECT_EQ_INT(commit_of(c, 1), 1); /* 1 4 5 have it: all of the new voters, one of three old ones */
    more(c, "restart 2; quiet run 400");
    EXPECT(commit_of(c, 1) > 1);
    EXPECT_EQ_STR(members_of(c, 1), "{1 4 5}");
    leave(c);
}
TEST(p6_a_joint_election_needs_both_majorities) {
    struct cluster *c =
        play("nodes 3; add 4; add 5; elect 1; crash 2; crash 3; change 1 : 1 4 5; quiet run 300");
    EXPECT_EQ_STR(members_of(c, 5), "{1 2- 3- 4+ 5+}");
    more(c, "quiet run 8000");
    EXPECT(cluster_leader(c) == NULL); /* three of three new voters, one of three old ones */
    more(c, "restart 2; quiet run 8000");
    EXPECT(cluster_leader(c) != NULL);
    leave(c);
}
/* P 6: "new servers join the cluster as non-voting members (the leader replicates log entries to them, but they are not
 * considered for majorities)". */
TEST(p6_learners_get_the_log_and_do_not_count) {
    struct cluster *c = play("nodes 2 learners 2; elect 1; crash 2; propose 1; quiet settle; quiet run 200");
    EXPECT_EQ_STR(log_of(c, 3), "1/1- 2/1");
    EXPECT_EQ_INT(commit_of(c, 1), 1);
    leave(c);
}
/* P 6: "the leader steps down (returns to follower state) once it has committed the Cnew log entry ... it does not
 * include itself in majorities." */
TEST(p6_a_leader_that_leaves_steps_down_when_the_last_configuration_is_committed) {
    struct cluster *c = play("nodes 3; elect 1; change 1 : 2 3; quiet settle; quiet run 300");
    EXPECT(!leads(c, 1));
    EXPECT_EQ_STR(members_of(c, 2), "{2 3}");
    more(c, "quiet run 4000");
    EXPECT(leads(c, 2) || leads(c, 3));
    EXPECT(!leads(c, 1));
    leave(c);
}
/* P 6: "servers disregard RequestVote RPCs when they believe a current leader exists." */
TEST(p6_votes_are_not_given_while_a_leader_is_heard) {
    struct cluster *c = play("nodes 3 puppets; say 2>1 heartbeat t3 commit=0; store 1");
    more(c, "say 3>1 vote t8 last=9/7");
    EXPECT_NOT_SAID(c, "vote-reply");
    EXPECT_EQ_INT(term_of(c, 1), 3);
    leave(c);
}

/* P 7: "The leader uses a new RPC called InstallSnapshot to send snapshots to followers that are too far behind." */
TEST(p7_a_follower_too_far_behind_gets_a_snapshot) {
    struct cluster *c =
        play("nodes 3; elect 1; crash 3; propose 1 4; quiet settle; cut 1 5; restart 3; quiet run 500");
    EXPECT_EQ_INT(c->nodes[3].state.index, 5);
    EXPECT_EQ_INT(c->nodes[3].log.mark_index, 5);
    more(c, "propose 1; quiet settle; quiet run 200");
    EXPECT_EQ_STR(log_of(c, 3), "(5/1) 6/1");
    leave(c);
}
/* P 7: "If instead the follower receives a snapshot that describes a prefix of its log ... entries following the snapshot
 * are still valid and must be retained." */
TEST(p7_a_snapshot_of_a_prefix_keeps_what_follows) {
    struct cluster *c =
        play("nodes 3 puppets; given 1 t2 log 1 1 2 2; say 2>1 snapshot t2 of 3/2 {1 2 3}; store 1");
    EXPECT_EQ_STR(log_of(c, 1), "1/1- 2/1- 3/2- 4/2-");
    EXPECT_EQ_INT(commit_of(c, 1), 3);
    leave(c);
}

/* P 8, T 6.4: "a leader must have the latest information on which entries are committed ... each leader commit a blank
 * no-op entry into the log at the start of its term." */
TEST(p8_a_leader_begins_with_a_noop_and_reads_wait_for_it) {
    struct cluster *c =
        play("nodes 3; campaign 1; quiet deliver; quiet deliver; quiet store 1; quiet deliver;"
             "quiet store 2; quiet store 3; quiet deliver");
    EXPECT(leads(c, 1));
    EXPECT_EQ_STR(log_of(c, 1), "1/1-");
    more(c, "read 1");
    EXPECT_SAID(c, "refused: not yet");
    more(c, "quiet settle; read 1");
    EXPECT_NOT_SAID(c, "refused");
    leave(c);
}
/* P 8: "a leader must check whether it has been deposed before processing a read-only request ... exchange heartbeat
 * messages with a majority of the cluster before responding". */
TEST(p8_a_read_waits_for_a_majority) {
    struct cluster *c = play("nodes 5; elect 1; read 1");
    EXPECT_NOT_SAID(c, "reads done");
    more(c, "deliver first 1; deliver 2>1; deliver 3>1");
    EXPECT_NOT_SAID(c, "reads done");
    more(c, "settle");
    EXPECT_SAID(c, "reads done to 1");
    leave(c);
}

/* T 3.10: leadership transfer. */
TEST(t310_leadership_is_handed_over) {
    struct cluster *c = play("nodes 3; elect 1; propose 1 3; quiet settle; transfer 1 3; quiet settle");
    EXPECT(leads(c, 3));
    EXPECT(!leads(c, 1));
    EXPECT_EQ_INT(term_of(c, 3), 2);
    leave(c);
}
/* T 3.10, 1: "The prior leader stops accepting new client requests." 4: "If leadership transfer does not complete after
 * about an election timeout, the prior leader aborts the transfer and resumes accepting client requests." */
TEST(t310_a_transfer_stops_proposals_and_is_given_up_after_a_time_out) {
    struct cluster *c = play("nodes 3; elect 1; crash 3; transfer 1 3; propose 1");
    EXPECT_SAID(c, "refused: transferring");
    more(c, "quiet run 1200; propose 1");
    EXPECT_NOT_SAID(c, "refused");
    leave(c);
}
/* T 4.2.3: "if a server receives a RequestVote request within the minimum election timeout of hearing from a current
 * leader, it does not update its term or grant its vote"; except when "a special flag ... indicates that a server has
 * permission to disrupt the leader". */
TEST(t423_a_transfer_disturbs_the_leader_with_its_permission) {
    struct cluster *c =
        play("nodes 3 puppets; say 2>1 heartbeat t3 commit=0; store 1; say 3>1 vote t4 last=0/0 transfer;"
             "store 1");
    EXPECT_SAID(c, "1>3 vote-reply t4\n");
    leave(c);
}
/* T 6.2: "a leader in Raft steps down if an election timeout elapses without a successful round of heartbeats to a
 * majority of its cluster". */
TEST(t62_a_leader_without_a_majority_steps_down) {
    struct cluster *c = play("nodes 5; elect 1; partition 1 2 | 3 4 5; quiet run 2500");
    EXPECT(!leads(c, 1));
    leave(c);
}
TEST(t62_a_leader_with_a_majority_stays) {
    struct cluster *c = play("nodes 5; elect 1; crash 4; crash 5; quiet run 10000");
    EXPECT(leads(c, 1));
    EXPECT_EQ_INT(term_of(c, 1), 1);
    leave(c);
}
/* T 9.6: "in the Pre-Vote algorithm, a candidate only increments its term if it first learns from a majority of the
 * cluster that they would be willing to grant the candidate their votes". */
TEST(t96_a_node_cut_off_does_not_raise_its_term) {
    struct cluster *c = play("nodes 3; elect 1; partition 1 2 | 3; quiet run 20000; heal; quiet run 3000");
    EXPECT(leads(c, 1));
    for (uint64_t id = 1; id <= 3; id++) EXPECT_EQ_INT(term_of(c, id), 1);
    leave(c);
}
/* T 10.2.1: "the leader may ... write to its disk in parallel with replicating to the followers"; "the leader may even
 * commit an entry before it has been written to its own disk, if a majority of followers have written it". */
TEST(t1021_the_leaders_disk_is_one_of_many) {
    struct cluster *c = play("nodes 3; elect 1; slow 1; propose 1; quiet settle");
    EXPECT_EQ_INT(commit_of(c, 1), 2);
    EXPECT_EQ_INT(c->nodes[1].state.index, 1);
    more(c, "store 1");
    EXPECT_EQ_INT(c->nodes[1].state.index, 2);
    leave(c);
}
/* T 10.2.1: pipelining: "the leader does not wait for the acknowledgement before it sends the next". */
TEST(t1021_entries_are_pipelined) {
    struct cluster *c = play("nodes 3; elect 1");
    more(c, "propose 1 3");
    EXPECT_SAID(c, "1>2 append t1 prev=1/1 commit=1 [2]");
    EXPECT_SAID(c, "1>2 append t1 prev=2/1 commit=1 [3]");
    EXPECT_SAID(c, "1>2 append t1 prev=3/1 commit=1 [4]");
    leave(c);
}

TEST_MAIN
