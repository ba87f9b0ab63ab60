/* What Raft nodes say to each other, as values, and what a log entry and a configuration are. The core (server/raft)
 * makes and reads them; peer_frame.h turns them into bytes and back. Plain structs: everything here is only data. */
#ifndef PROTO_RAFT_MESSAGE_H
#define PROTO_RAFT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RAFT_VOTERS_MAX = 7,   /* of each of the two majorities that a joint configuration has */
    RAFT_MEMBERS_MAX = 16, /* voters, learners and those who are leaving */
    RAFT_ADDRESS_CAP = 128 /* "host:port" of the client port, with its NUL */
};

/* Stored: numbers are never reused. The old majority is of VOTER, VOTER_OUT and VOTER_DOWN, the new one of VOTER and
 * VOTER_IN; a configuration with any of the last three is joint (Raft thesis, 4.3). */
enum raft_seat {
    RAFT_LEARNER = 1,
    RAFT_VOTER = 2,
    RAFT_VOTER_IN = 3,   /* was a learner or nobody, will be a voter */
    RAFT_VOTER_OUT = 4,  /* was a voter, will be nobody */
    RAFT_VOTER_DOWN = 5, /* was a voter, will be a learner */
};

struct raft_member {
    uint64_t id; /* random, never 0, never reused */
    enum raft_seat seat;
    char address[RAFT_ADDRESS_CAP]; /* of its clients; peers: 10000 ports further. Opaque to the core */
};

struct raft_members {
    size_t count;
    struct raft_member items[RAFT_MEMBERS_MAX]; /* ascending by id */
};

/* Stored in the log: numbers are never reused. */
enum raft_entry_kind {
    RAFT_ENTRY_NOOP = 1,     /* what a new leader appends to commit everything before it (thesis 6.4) */
    RAFT_ENTRY_COMMANDS = 2, /* proto/entry.h */
    RAFT_ENTRY_MEMBERS = 3,  /* a configuration: members_encode's bytes */
    RAFT_ENTRY_VERDICT = 4,  /* what becomes of a script in an entry before it: proto/verdict.h */
};

struct raft_entry {
    uint64_t index, term;
    enum raft_entry_kind kind;
    size_t size;                        /* payload bytes */
    const struct raft_members *members; /* of RAFT_ENTRY_MEMBERS, decoded; NULL otherwise. Borrowed */
};

/* On the wire: numbers are never reused. */
enum raft_message_kind {
    RAFT_APPEND = 1,       /* prev_index, prev_term, commit_index, entries */
    RAFT_APPEND_REPLY = 2, /* match_index, hint_index, hint_term; may be rejected */
    RAFT_HEARTBEAT = 3,    /* commit_index */
    RAFT_HEARTBEAT_REPLY = 4,
    RAFT_VOTE = 5,       /* pre_vote, is_transfer, last_index, last_term */
    RAFT_VOTE_REPLY = 6, /* pre_vote, rejected */
    RAFT_TIMEOUT_NOW = 7,
};

struct raft_message {
    enum raft_message_kind kind;
    uint64_t from, to; /* node ids */
    uint64_t term;     /* of the sender; for a pre-vote and its grant, the term it would campaign in */

    /* Leader to follower: told, and told back in the reply. `round` never repeats within a term and rises; `sent_us`
     * is the leader's clock. They say how recently a reply proves the leader to have been heard (reads, leases). */
    uint64_t round, sent_us;

    uint64_t prev_index, prev_term;
    uint64_t commit_index;
    const struct raft_entry *entries; /* prev_index + 1 ...; NULL in an update: the shell knows the bytes */
    size_t entry_count;

    /* RAFT_APPEND_REPLY: everything up to here is equal to the leader's log, and durable. */
    uint64_t match_index;
    /* A rejected one (prev_index repeats the append's): the highest index at which the follower's log might agree, with
     * the term it has there. One that is not: the last entry the follower has of the leader's log, perhaps not
     * durable yet: appends go on behind it. */
    uint64_t hint_index, hint_term;
    bool rejected;

    bool pre_vote;    /* asks only whether a vote would be given: changes nothing (thesis 9.6) */
    bool is_transfer; /* the old leader asked for this: it does not protect its lease (thesis 4.2.3) */
    uint64_t last_index, last_term;
};

#endif
