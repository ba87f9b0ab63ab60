/* The Raft algorithm as a value: one event in, one update out, nothing else. No socket, file, thread, clock or
 * random source: time, seeds and what the disk holds arrive in events; the shell (server/node) does what the update
 * says, in the order README.md gives. The same events give the same updates on every machine.
 *
 * The core never sees payload bytes. It knows entries by index, term, kind and size; the shell keeps the bytes (in
 * memory while they are in flight, in the log afterwards) and fetches them when an update names a range to send. */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "check.h"
#include "rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RAFT_VOTERS_MAX = 7 };

enum raft_role { RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER };

/* Stored in the log: numbers are never reused. */
enum raft_entry_kind {
    RAFT_ENTRY_NOOP = 1,     /* what a new leader appends to commit everything before it (thesis 6.4) */
    RAFT_ENTRY_COMMANDS = 2, /* proto/entry.h */
};

struct raft_entry {
    uint64_t index, term;
    enum raft_entry_kind kind;
    size_t size; /* payload bytes */
};

/* What the disk said at start. */
struct raft_config {
    uint64_t id; /* this node; never 0, never reused */
    uint64_t voters[RAFT_VOTERS_MAX];
    size_t voter_count;
    uint64_t term, vote;            /* the stored hard state */
    uint64_t mark_index, mark_term; /* everything up to here is applied and cut from the log */
    uint64_t applied_index;  /* what the state holds durably; mark_index <= applied_index <= last_index */
    uint64_t election_ticks; /* time-out T: drawn from [T, 2T) ticks */
    uint64_t
        uncommitted_bytes_max; /* proposals beyond this are refused until some commit; an empty one never is */
    uint64_t seed;
};

struct raft;

/* The terms of the stored entries, told once at start, in order, from mark_index + 1. */
struct raft_term_run {
    uint64_t first_index, term;
};

struct raft *raft_new(const struct raft_config *config, const struct raft_term_run *runs, size_t run_count,
                      uint64_t last_index);
void raft_free(struct raft *r);

enum raft_event_kind {
    RAFT_EVENT_TICK,    /* a fixed span of monotonic time has passed */
    RAFT_EVENT_PROPOSE, /* `kind`, `size`: append one entry; the update says where, or that it was refused */
    RAFT_EVENT_STORED,  /* `store_id`: everything that update asked to store is on stable storage */
    RAFT_EVENT_APPLIED, /* `index`: the shell has applied entries up to here */
    RAFT_EVENT_CUT,     /* `index`: the shell has cut the log up to here; it was durably applied before */
};

struct raft_event {
    enum raft_event_kind type;
    enum raft_entry_kind kind;
    size_t size;
    uint64_t store_id;
    uint64_t index;
};

/* What must happen now. Everything in it is a plain copy, good for as long as the caller keeps it. */
struct raft_update {
    /* To be made durable, all of it atomically, before RAFT_EVENT_STORED with this id; 0: nothing. Ids rise by one;
     * they are stored in order. What may leave only after that is not in this update: it comes in the one that
     * answers RAFT_EVENT_STORED, so the shell cannot get it wrong. */
    uint64_t store_id;
    bool store_hard_state;
    uint64_t term, vote;
    bool store_entry; /* the entry below is new; `entry.index` replaces everything stored at and after it */
    struct raft_entry entry;

    bool refused; /* RAFT_EVENT_PROPOSE was not taken: nothing happened, and nothing will */

    enum raft_role role;
    uint64_t leader_id;    /* 0: unknown */
    uint64_t commit_index; /* entries up to here are to be applied, in order; never falls */
    bool readable; /* this leader has committed an entry of its own term: reads and writes may be served */
};

/* RC_INVALID for an event that makes no sense (an unknown store id, an index beyond the log): nothing has changed. */
MUST_USE enum rc raft_step(struct raft *r, const struct raft_event *event, struct raft_update *out);

struct raft_status {
    enum raft_role role;
    uint64_t id, leader_id, term, vote, commit_index, applied_index, first_index, last_index, stored_index;
    size_t voter_count;
};
void raft_status(const struct raft *r, struct raft_status *out);
/* The term of an entry; 0 when it is cut away (but for the mark itself) or not there. */
uint64_t raft_term_at(const struct raft *r, uint64_t index);

/* --- quorum.c: pure arithmetic, tested against brute force --- */

/* The highest index that a majority has reached: voters[i] has reached match[i]. 0 for no voters. */
uint64_t quorum_index(const uint64_t *match, size_t count);
static inline size_t quorum_size(size_t voters) {
    return voters / 2 + 1;
}

#endif
