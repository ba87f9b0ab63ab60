/* A cluster of Raft cores in memory: each node with a disk that keeps only what it was given time to keep, a network
 * that loses, repeats, reorders and separates, a clock each, a state machine, snapshots. Nothing happens by itself: a
 * script, a test or a random walk says what happens next.
 *
 * After every step the invariants of README.md are checked. The first one broken calls cluster_violation, which prints
 * and aborts unless the cluster says otherwise. */
#ifndef TESTS_RAFT_CLUSTER_H
#define TESTS_RAFT_CLUSTER_H

#include "buf.h"
#include "raft.h"

enum { CL_NODES_MAX = 16 }; /* node ids are 1 to this */

/* A log entry with what the core never sees: its content. `chain` stands for the whole log up to here. */
struct cl_entry {
    uint64_t term, value, chain;
    enum raft_entry_kind kind;
    size_t size;
    const struct raft_members *members; /* owned by the cluster */
};

/* Entries (mark_index, mark_index + count]; everything up to the mark was cut away. */
struct cl_log {
    uint64_t mark_index, mark_term, mark_chain;
    struct cl_entry *items;
    size_t count, cap;
};

/* What a state machine is after applying everything up to `index`: also a snapshot. */
struct cl_state {
    uint64_t index, term, chain;
    const struct raft_members *members; /* the newest applied configuration */
    uint64_t members_index;
};

/* What survives a crash. */
struct cl_disk {
    uint64_t term, vote;
    struct cl_log log;
    struct cl_state state;
};

struct cl_store {
    uint64_t id, term, vote, first;
    bool hard_state;
    struct cl_entry *entries;
    size_t entry_count;
};

struct cl_read {
    uint64_t id;
    uint64_t floor; /* the highest index committed anywhere when it was asked */
};

struct cl_node {
    uint64_t id;
    bool exists, up, retired; /* a retired one never returns */
    bool is_puppet;           /* never runs: the test speaks for it */
    bool is_slow;             /* cluster_settle leaves its disk alone */
    bool is_lazy;             /* entries are applied only when told to */
    uint64_t incarnation;
    struct raft *raft;

    struct cl_disk disk;
    struct cl_store *stores; /* not yet on the disk, oldest first */
    size_t store_count, store_cap;
    size_t written_count; /* of these, already on the disk, the core not told yet */

    struct cl_log log;
    struct cl_state state;
    struct cl_parcel *installing; /* the snapshot that the core said to install */

    struct cl_read *reads;
    size_t read_count, read_cap;
    uint64_t reads_done, reads_lost; /* counted */
    uint64_t read_done_id, read_lost_id;

    /* What the last update said. */
    enum raft_role role;
    enum raft_refusal refused;
    uint64_t term, leader_id, commit_index, apply_index, read_id, lease_until_us, members_index;
    bool readable;
    const struct raft_members *members; /* the core's */

    int64_t clock_ppm;        /* how much faster than true time its clock runs */
    uint64_t clock_offset_us; /* and how far it has jumped */

    uint64_t *votes; /* by term: whom it voted for, durably, ever */
    size_t vote_cap;
};

enum cl_parcel_kind { CL_MESSAGE, CL_SNAPSHOT, CL_SNAPSHOT_RESULT };

/* On the network. */
struct cl_parcel {
    enum cl_parcel_kind kind;
    uint64_t from, to;
    struct raft_message message; /* CL_MESSAGE; entries and values are owned */
    uint64_t *values;
    struct cl_state snapshot; /* CL_SNAPSHOT; CL_SNAPSHOT_RESULT: index */
    uint64_t term;            /* CL_SNAPSHOT: of the leader that sent it */
    uint64_t incarnation;     /* of the sender of a snapshot: nobody else hears how it ended */
};

struct cl_options {
    size_t voters, learners; /* ids 1 ..., members of the first configuration */
    uint64_t seed, election_us, heartbeat_us, lease_us;
    uint64_t uncommitted_bytes_max, append_bytes_max, inflight_bytes_max;
    size_t inflight_count_max;
    bool
        is_formed; /* the first configuration is that of a snapshot of index 1, as the node forms a cluster: whoever
                     * joins gets it with that snapshot. Otherwise it is nowhere in the log */
    bool puppets;       /* only node 1 runs; invariants that need the others' logs are off */
    bool old_snapshots; /* a snapshot is of what is durable, not of what is applied */
    bool strict;        /* no event makes so little sense that the core may call it invalid */
    bool trace;         /* what happens goes to `text` */
};

struct cl_commit {
    uint64_t term, chain, commit_term;
};

struct cl_fact {
    uint64_t index, term, chain;
};

struct cl_proposal {
    uint64_t node, incarnation, index, term;
};

struct cluster {
    struct cl_options options;
    struct cl_node nodes[CL_NODES_MAX + 1]; /* by id */
    uint64_t now_us;
    bool blocked[CL_NODES_MAX + 1][CL_NODES_MAX + 1]; /* [from][to] */
    struct cl_parcel **net;                           /* oldest first */
    size_t net_count, net_cap;
    struct buf text;
    bool is_muted;
    uint64_t steps, lease_count, install_count, digest;
    const struct cl_parcel
        *incoming; /* being delivered: the bytes of the entries that an update says to store */
    enum { INSTALL_WORKS, INSTALL_CRASHES_BEFORE, INSTALL_CRASHES_AFTER } install; /* the next one only */

    /* What only an observer of everything knows. */
    struct cl_commit *commits; /* [i]: of index i + 1 */
    size_t commit_count, commit_cap;
    uint64_t *leaders; /* by term */
    size_t leader_cap;
    struct cl_fact *facts; /* open addressing: (index, term) -> chain */
    size_t fact_count, fact_cap;
    struct cl_proposal *proposals; /* by value */
    size_t proposal_count, proposal_cap;
    uint64_t acked_index; /* the highest that was answered to a client */
    struct raft_members **members;
    size_t member_count, member_cap;

    void (*on_violation)(struct cluster *c, const char *what);
};

struct cl_options cluster_defaults(size_t voters);
struct cluster *cluster_new(const struct cl_options *options);
void cluster_free(struct cluster *c);
_Noreturn void cluster_violation(struct cluster *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- nodes --- */
struct cl_node *cluster_node(struct cluster *c, uint64_t id);
struct cl_node *cluster_add(struct cluster *c, uint64_t id); /* a new node that knows nothing */
/* Loses what is not on the disk, but for the first `kept` store requests, which made it just in time. */
void cluster_crash(struct cluster *c, uint64_t id, size_t kept);
void cluster_restart(struct cluster *c, uint64_t id);
uint64_t cluster_clock(const struct cluster *c, const struct cl_node *n);
/* Whoever leads in the highest term, as far as it knows; NULL: nobody. */
struct cl_node *cluster_leader(struct cluster *c);

/* --- one event each; false: the core would not have it (RC_INVALID) --- */
bool cluster_step(struct cluster *c, struct cl_node *n, struct raft_event ev);
void cluster_tick(struct cluster *c, uint64_t id);
bool cluster_propose(struct cluster *c, uint64_t id, size_t size); /* false: refused */
bool cluster_read(struct cluster *c, uint64_t id);
/* `wanted` is worked out from the node's own newest configuration. */
bool cluster_change(struct cluster *c, uint64_t id, const struct raft_members *wanted);
bool cluster_transfer(struct cluster *c, uint64_t id, uint64_t to);
void cluster_campaign(struct cluster *c, uint64_t id);
size_t cluster_store(struct cluster *c, uint64_t id,
                     size_t count); /* completes the oldest; how many it did */
void cluster_write(struct cluster *c,
                   struct cl_node *n); /* the oldest, to disk, the core not told: half of that */
bool cluster_install(struct cluster *c, uint64_t id); /* false: nothing to, or its stores come first */
void cluster_apply(struct cluster *c, uint64_t id, size_t count);
void cluster_flush(struct cluster *c, uint64_t id); /* the state so far is durable */
void cluster_cut(struct cluster *c, uint64_t id, uint64_t index);

/* --- the network; positions count from the oldest --- */
void cluster_send(struct cluster *c, const struct raft_message *m, const uint64_t *values);
void cluster_post(struct cluster *c, struct cl_parcel *p); /* takes it */
/* The marks of the newest message of a leader that is still on its way: what an answer would repeat. */
void cluster_last_round(struct cluster *c, uint64_t from, uint64_t to, uint64_t *round, uint64_t *sent_us);
void cluster_deliver(struct cluster *c, size_t at);
void cluster_drop(struct cluster *c, size_t at);
void cluster_duplicate(struct cluster *c, size_t at);
void cluster_heal(struct cluster *c);

/* --- many events --- */
void cluster_settle(struct cluster *c); /* disks and network until nothing is on its way; no time passes */
void cluster_pass(struct cluster *c, uint64_t us);      /* time passes, and everybody hears of it */
void cluster_run(struct cluster *c, uint64_t us_total); /* both, in steps of half a heartbeat */

/* --- configurations --- */
const struct raft_members *cluster_members(struct cluster *c,
                                           const struct raft_members *m); /* a copy that stays */
void members_put(struct raft_members *m, uint64_t id, enum raft_seat seat);
void members_take(struct raft_members *m, uint64_t id);
/* Whether those that `has` says yes to are a majority, or both of them when there are two. */
bool members_quorum(const struct raft_members *m, bool (*has)(void *arg, uint64_t id), void *arg);

/* --- logs --- */
static inline uint64_t clog_last(const struct cl_log *log) {
    return log->mark_index + log->count;
}
const struct cl_entry *clog_at(const struct cl_log *log, uint64_t index); /* NULL: not there */
uint64_t clog_term(const struct cl_log *log, uint64_t index);             /* 0: not there */
void clog_cut(struct cl_log *log, uint64_t index);
void clog_replace(struct cl_log *log, uint64_t first, const struct cl_entry *entries, size_t count);

/* --- observe.c: the invariants --- */
uint64_t observe_newest_members(const struct cl_node *n, const struct raft_members **out);
void observe_append(struct cluster *c, struct cl_node *n, uint64_t first, struct cl_entry *entries,
                    size_t count);
void observe_written(struct cluster *c, struct cl_node *n);
void observe_update(struct cluster *c, struct cl_node *n, const struct raft_update *up,
                    const struct cl_node *before);
void observe_message(struct cluster *c, struct cl_node *n, const struct raft_message *m);
void observe_apply(struct cluster *c, struct cl_node *n, uint64_t index);
void observe_formed(struct cluster *c, const struct cl_state *first);
void observe_installed(struct cluster *c, struct cl_node *n);
void observe_core(struct cluster *c, struct cl_node *n);
void observe_reads(struct cluster *c, struct cl_node *n, const struct raft_update *up);
void observe_free(struct cluster *c);
uint64_t chain_next(uint64_t chain, const struct cl_entry *e);

/* --- text.c: what happened, in words --- */
void say(struct cluster *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_members(struct buf *b, const struct raft_members *m);
void text_message(struct buf *b, const struct raft_message *m);
void text_parcel(struct buf *b, const struct cl_parcel *p);
void text_log(struct buf *b, const struct cl_log *log);
void say_update(struct cluster *c, struct cl_node *n, const struct raft_update *up,
                const struct cl_node *before);
void say_status(struct cluster *c, const struct cl_node *n);
const char *role_name(enum raft_role role);
const char *refusal_name(enum raft_refusal refusal);

#endif
