/* The Raft algorithm as a value: one event in, one update out, nothing else. No socket, file, thread, clock
 * or random source: time, seeds and what the disk holds arrive in events; the shell (server/node) does what
 * the update says, in the order README.md gives. The same events give the same updates on every machine.
 *
 * The core never sees payload bytes. It knows entries by index, term, kind and size; the shell keeps the
 * bytes (in memory while they are recent, in the log afterwards) and fetches them when a message names a
 * range to send. */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "check.h"
#include "raft_message.h"
#include "rng.h"

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

/* What the disk said at start, and the bounds to keep. */
struct raft_config {
    uint64_t id; /* this node; never 0, never reused */
    /* The configuration in force at applied_index, and the index of its entry. Without members (count 0,
     * index 0) the node waits to be told: it votes and follows, and never campaigns. A cluster begins with
     * its first configuration as entry 1 of term 1, applied and cut (mark, applied and members_index 1, term
     * 1), so that whoever joins gets it with a snapshot. */
    struct raft_members members;
    uint64_t members_index;
    uint64_t term, vote;            /* the stored hard state */
    uint64_t mark_index, mark_term; /* everything up to here is applied and cut from the log */
    uint64_t applied_index; /* what the state holds durably; mark_index <= applied_index <= last_index */

    uint64_t now_us;
    uint64_t seed;
    uint64_t election_us;  /* time-out T: drawn anew from [T, 2T) each time */
    uint64_t heartbeat_us; /* below T / 2 */
    /* Reads without a round until so long after a message that a majority answered was sent; below T by the
     * drift of clocks; 0: no leases. */
    uint64_t lease_us;
    /* Proposals beyond this are refused until some commit; an empty one never is. */
    uint64_t uncommitted_bytes_max;
    uint64_t append_bytes_max;   /* entries of one message; a single larger one travels alone */
    uint64_t inflight_bytes_max; /* sent to one follower and not answered */
    size_t inflight_count_max;   /* messages likewise; at most RAFT_INFLIGHT_MAX */
};
enum { RAFT_INFLIGHT_MAX = 256, RAFT_APPEND_ENTRIES_MAX = 1024 /* of one message */ };

struct raft;

/* RC_INVALID when the bounds make no sense (heartbeat_us >= election_us / 2, ...) or the members are no
 * configuration. */
MUST_USE enum rc raft_new(const struct raft_config *config, struct raft **out);
/* The stored entries, told once, in order, from mark_index + 1 on, before the first step. */
void raft_restore(struct raft *r, const struct raft_entry *entry);
void raft_free(struct raft *r);

enum raft_event_kind {
    /* Time has passed: a few times per heartbeat_us. */
    RAFT_EVENT_TICK,
    /* `size`: append one entry, of commands when `kind` is 0. The update says where, or that it was refused. */
    RAFT_EVENT_PROPOSE,
    /* `store_id`: everything that update asked to store is on stable storage. */
    RAFT_EVENT_STORED,
    /* `index`: the shell has applied entries up to here. */
    RAFT_EVENT_APPLIED,
    /* `index`: the shell cuts the log up to here; it was durably applied before. */
    RAFT_EVENT_CUT,
    /* `message`: from a peer, well formed. Entries are borrowed until the call returns. */
    RAFT_EVENT_MESSAGE,
    /* Asks for a read: the update has its read_id, or it was refused. */
    RAFT_EVENT_READ,
    /* `members` (seats LEARNER and VOTER only), `index`: the members_index this was worked out from. */
    RAFT_EVENT_CHANGE,
    /* `peer`: hand leadership to it; 0: to whoever is most up to date. */
    RAFT_EVENT_TRANSFER,
    /* Stand for election now, without waiting for the time-out (a pre-vote comes first). Ignored while a leader
     * may live: one was heard, or this node was started, within election_us. */
    RAFT_EVENT_CAMPAIGN,
    /* `peer`: its link broke; what was sent may be lost. Whoever is not known is ignored. */
    RAFT_EVENT_UNREACHABLE,
    /* Snapshots travel by reference: the shell moves the bytes. Sender: the update named the peer (snapshot_to);
     * this says how it ended: `index` of what the peer has installed, or 0 when it failed. It always comes, unless
     * leadership ended before. */
    RAFT_EVENT_SNAPSHOT_SENT,
    /* Receiver: a whole, verified snapshot of `index`, `snapshot_term`, `members`, `members_index` is here, sent
     * by a leader of `term`, `peer` (0: not known). The update says whether to install it. */
    RAFT_EVENT_SNAPSHOT,
    /* That snapshot is installed, durably: it is the state, and the log is empty behind its mark. All stores were
     * confirmed before, and none is asked between `install` and this; other events may come in between. */
    RAFT_EVENT_INSTALLED,
};

struct raft_event {
    enum raft_event_kind type;
    /* Monotonic, also while the machine sleeps (CLOCK_BOOTTIME). Going back counts as standing still. */
    uint64_t now_us;
    size_t size;
    enum raft_entry_kind kind;
    uint64_t store_id, index, peer, term, snapshot_term, members_index;
    const struct raft_message *message;
    const struct raft_members *members;
};

/* Why something was refused: nothing happened, and nothing will. */
enum raft_refusal {
    RAFT_TAKEN,
    RAFT_NOT_LEADER,
    RAFT_TOO_MUCH,     /* uncommitted bytes, or stores in flight */
    RAFT_TRANSFERRING, /* leadership is being handed over, or this leader is about to be removed */
    RAFT_NOT_YET,      /* nothing of this leader's own term is committed */
    RAFT_CHANGING,     /* a change is under way, or `index` is not the newest configuration's */
    /* No voter left, too many, a target that is no voter, the configuration that is there already. */
    RAFT_SENSELESS,
};

/* What must happen now. Pointers in it are the core's, good until the next step. */
struct raft_update {
    /* To be made durable, all of it atomically, before RAFT_EVENT_STORED with this id; 0: nothing. Ids rise
     * by one; they are stored in order. What may leave only after that is not in this update: it comes in the
     * one that answers RAFT_EVENT_STORED, so the shell cannot get it wrong. */
    uint64_t store_id;
    bool store_hard_state;
    uint64_t term, vote;
    /* Entries [store_first, store_last] replace everything stored at and after store_first; 0: none. They are
     * the message's entries of these indexes, or, when `appended`, the one below. */
    uint64_t store_first, store_last;
    /* As leader: what was proposed, a no-op (size 0), or a configuration (encode entry.members). */
    bool appended;
    struct raft_entry entry;

    enum raft_refusal refused; /* PROPOSE, READ, CHANGE, TRANSFER */

    /* To be sent, now, in this order; losing any of them is harmless. An append's entries are
     * [prev_index + 1, prev_index + entry_count]: their bytes are in the shell's memory or in the log. */
    const struct raft_message *messages;
    size_t message_count;
    uint64_t snapshot_to; /* this peer needs a snapshot: answered by RAFT_EVENT_SNAPSHOT_SENT; 0: none */
    /* RAFT_EVENT_SNAPSHOT: install it behind all stores in flight, then say RAFT_EVENT_INSTALLED. */
    bool install;

    enum raft_role role;
    uint64_t leader_id;    /* 0: unknown */
    uint64_t commit_index; /* never falls */
    uint64_t apply_index;  /* committed, and durable here: entries up to here are to be applied, in order */
    bool readable;      /* this leader has applied an entry of its own term: reads and writes may be served */
    uint64_t read_id;   /* of this RAFT_EVENT_READ; never reused */
    uint64_t read_done; /* reads with ids up to here may be answered from the state as it is now */
    /* Reads with ids up to here, and not done, never will be: ask again, here or elsewhere. */
    uint64_t read_lost;
    uint64_t lease_until_us; /* until then reads need not ask; UINT64_MAX for a lone voter, 0: no lease */
    /* The newest configuration in the log, in force from the moment it is appended, and its index. */
    const struct raft_members *members;
    uint64_t members_index;
};

/* RC_INVALID for an event that makes no sense (an unknown store id, an index beyond the log): nothing has
 * changed. */
MUST_USE enum rc raft_step(struct raft *r, const struct raft_event *event, struct raft_update *out);

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };

struct raft_peer_status {
    uint64_t id, match_index, next_index;
    enum raft_progress_state state;
    uint64_t heard_us; /* when it last answered; 0: not in this term */
    size_t inflight_count;
};

struct raft_status {
    enum raft_role role;
    uint64_t id, leader_id, term, vote, commit_index, applied_index, first_index, last_index, stored_index;
    uint64_t members_index, transfer_to;
    bool is_joint, is_promotable; /* whether it would campaign */
    size_t voter_count;
    struct raft_peer_status peers[RAFT_MEMBERS_MAX]; /* of a leader: everybody but itself */
    size_t peer_count;
};
void raft_status(const struct raft *r, struct raft_status *out);
/* The term of an entry; 0 when it is cut away (but for the mark itself) or not there. */
uint64_t raft_term_at(const struct raft *r, uint64_t index);
/* The lowest index such that the entries after it, up to `index`, are at most `bytes`: for cutting with a
 * margin. */
uint64_t raft_index_before(const struct raft *r, uint64_t index, uint64_t bytes);

/* --- quorum.c: pure arithmetic, tested against brute force --- */

/* The highest value that a majority has reached: voters[i] has reached match[i]. UINT64_MAX for no voters: a
 * majority that does not exist never holds back the other one. */
uint64_t quorum_index(const uint64_t *match, size_t count);
static inline size_t quorum_size(size_t voters) {
    return voters / 2 + 1;
}

/* --- members.c: configurations as values --- */

bool members_are_sound(
    const struct raft_members *m); /* sorted, unique, within bounds, a voter in each majority */
bool members_are_joint(const struct raft_members *m);
const struct raft_member *members_find(const struct raft_members *m, uint64_t id); /* NULL when not there */
bool seat_votes_old(enum raft_seat seat);
bool seat_votes_new(enum raft_seat seat);
/* From a configuration that is not joint to the wanted one: joint when the voters differ, else the wanted one
 * itself. Without members when there would be too many of them while both majorities stand. */
void members_enter(const struct raft_members *from, const struct raft_members *wanted,
                   struct raft_members *out);
/* What a joint configuration becomes. */
void members_leave(const struct raft_members *joint, struct raft_members *out);

#endif
