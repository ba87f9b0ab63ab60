/* What the files of this folder share. Nobody outside includes it. README.md says who owns what; each
 * function is described where it stands. The one rule to keep in mind: within a step, functions change the
 * state and push messages; raft.c alone turns that into the update, so that one step asks for at most one
 * store. */
#ifndef RAFT_RAFT_INTERNAL_H
#define RAFT_RAFT_INTERNAL_H

#include "raft.h"

enum {
    STORES_MAX = 4096, /* stores in flight; when full, what would need another is refused or ignored */
    PEERS_MAX = 2 * RAFT_MEMBERS_MAX, /* members, and those that left and are to hear of it */
    HELD_MAX = 64,                    /* messages that wait for the hard state; further ones are dropped */
    READS_MAX = 4096,                 /* reads waiting for their round; further ones are refused */
};
#define TERM_MAX (UINT64_C(1) << 62) /* a term beyond this is a lie: nobody can count so far */

/* A build for the tests' tests: with -DRAFT_MUTANT=n, rule n of mutants.def is broken, and some test must
 * notice. */
#ifdef RAFT_MUTANT
#define MUTANT(n) (RAFT_MUTANT == (n))
#else
#define MUTANT(n) 0
#endif

/* --- log_view.c: the log without its bytes --- */

struct term_run {
    uint64_t first_index, term;
};
struct log_config {
    uint64_t index;
    struct raft_members members;
};
struct log_view {
    uint64_t mark_index, last_index;
    uint64_t stored_index; /* the longest prefix of this log that is on disk */
    struct term_run *runs; /* ascending; the first one starts at the mark */
    size_t run_count, run_cap;
    size_t *sizes; /* of entries (mark, last]; entry i at i % sizes_cap */
    size_t sizes_cap;
    struct log_config *configs; /* ascending by index, never empty; the last one is in force */
    size_t config_count, config_cap;
};

void log_init(struct log_view *l, uint64_t mark_index, uint64_t mark_term, const struct raft_members *members,
              uint64_t members_index);
void log_free(struct log_view *l);
uint64_t log_term_at(const struct log_view *l, uint64_t index);
bool log_has(const struct log_view *l, uint64_t index, uint64_t term);
size_t log_size_at(const struct log_view *l, uint64_t index);
void log_append(struct log_view *l, const struct raft_entry *entry);
void log_truncate(struct log_view *l, uint64_t first_index);
void log_cut(struct log_view *l, uint64_t index);
void log_reset(struct log_view *l, uint64_t index, uint64_t term, const struct raft_members *members,
               uint64_t members_index);
const struct log_config *log_newest_config(const struct log_view *l);
const struct log_config *log_config_at(const struct log_view *l, uint64_t index);
uint64_t log_find_by_term(const struct log_view *l, uint64_t index, uint64_t term);

/* --- the state --- */

/* What was asked to be stored and is not confirmed. */
struct store {
    uint64_t last_index; /* vouches for the log up to here; lowered when the log is truncated meanwhile; 0: no
                     * entries */
    uint64_t term, vote; /* when has_hard_state */
    bool has_hard_state;
    uint64_t bytes; /* of its entries */
};

struct inflight {
    uint64_t last_index;
    uint64_t bytes;
};

/* What a leader knows of another node. */
struct peer {
    uint64_t id;
    uint64_t match, next; /* match < next */
    enum raft_progress_state state;
    bool is_leaving;     /* no longer a member: dropped when the configuration without it is committed */
    bool is_paused;      /* PROBE: a probe is on its way */
    bool snapshot_asked; /* snapshot_to was given, SNAPSHOT_SENT has not come */
    uint64_t since_us, heard_us;
    uint64_t moved_us;  /* when match rose, or what waits for an answer was sent; 0: may be asked at once */
    uint64_t round_min; /* replies of lower rounds are from an earlier membership of this node */
    uint64_t round, sent_us;
    uint64_t told_commit;
    struct inflight inflight[RAFT_INFLIGHT_MAX]; /* a ring; its bound is config.inflight_count_max */
    size_t inflight_first, inflight_count;
    uint64_t inflight_bytes;
};

struct read {
    uint64_t id, index, round;
};

struct raft {
    struct raft_config config;
    bool is_started;
    uint64_t now_us;
    struct rng rng;

    enum raft_role role;
    uint64_t term, vote, leader_id;
    struct log_view log;
    uint64_t commit_index, applied_index;
    uint64_t uncommitted_bytes; /* of entries (commit, last] */

    /* the disk */
    struct store stores[STORES_MAX]; /* id % STORES_MAX; (store_done, store_next) are in flight */
    uint64_t store_done, store_next;
    uint64_t stores_bytes;           /* of the entries in them */
    uint64_t stalled_us;             /* when nothing is confirmed until then, the disk hangs */
    uint64_t asked_term, asked_vote; /* the hard state as it will be when all stores in flight are done */
    uint64_t stored_term, stored_vote;

    /* elections */
    uint64_t election_due_us, resend_due_us;
    uint64_t sticky_until_us; /* until then a leader is believed to live: no votes for others, no campaign */
    bool granted
        [RAFT_MEMBERS_MAX]; /* in the order of the newest configuration, which a candidate's log keeps */
    bool is_transfer;       /* this campaign was asked for by the old leader */

    /* a follower's */
    uint64_t verified_index;             /* equal to the leader's log up to here; at least commit_index */
    uint64_t told_index;                 /* what the leader was told of it */
    uint64_t round_heard, sent_us_heard; /* the newest of this leader */
    bool reply_due;
    bool is_installing;
    struct log_config snapshot; /* being installed: its configuration ... */
    uint64_t snapshot_index, snapshot_term;

    /* a leader's */
    uint64_t term_start; /* the index of this leadership's no-op */
    uint64_t heartbeat_due_us, round;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
    struct read reads[READS_MAX]; /* a ring; ids rise by one */
    size_t read_first, read_count;
    uint64_t read_counter, read_done, read_lost;
    uint64_t transfer_to, transfer_until_us;
    uint64_t lease_floor_us; /* messages sent up to then give no lease */
    bool lease_forfeited;    /* a node was told to campaign in spite of it: none again in this term */

    /* what this step leads to; emptied at the start of each */
    struct raft_message *messages;
    size_t message_count, message_cap;
    struct raft_message held[HELD_MAX]; /* until the hard state is durable; kept from step to step */
    size_t held_count;
    uint64_t store_first, store_last;
    bool has_appended;
    struct raft_entry entry;
    enum raft_refusal refused;
    uint64_t read_id;
    bool install;
};

static inline uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}
static inline uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}
static inline const struct raft_members *members_now(const struct raft *r) {
    return &log_newest_config(&r->log)->members;
}

/* --- outbox.c: stores in flight, and messages that wait for them --- */

bool can_store(const struct raft *r);
bool disk_is_stalled(const struct raft *r);
bool hard_state_is_durable(const struct raft *r);
void store_entries(struct raft *r, uint64_t first_index);
void stores_truncate(struct raft *r, uint64_t first_index);
uint64_t store_ask(struct raft *r);
void store_complete(struct raft *r, uint64_t store_id);
void send_message(struct raft *r, const struct raft_message *m);

/* --- election.c --- */

void reset_election(struct raft *r);
bool is_sticky(const struct raft *r);
bool is_promotable(const struct raft *r);
bool is_lone_voter(const struct raft *r);
void become_follower(struct raft *r, uint64_t term, uint64_t leader_id);
void campaign(struct raft *r);
void election_tick(struct raft *r);
void on_own_vote_durable(struct raft *r);
void on_vote(struct raft *r, const struct raft_message *m);
void on_vote_of_lower_term(struct raft *r, const struct raft_message *m);
void on_vote_reply(struct raft *r, const struct raft_message *m);
void on_timeout_now(struct raft *r, const struct raft_message *m);

/* --- follower.c --- */

bool append_is_sound(const struct raft *r, const struct raft_message *m);
void on_append(struct raft *r, const struct raft_message *m);
void on_heartbeat(struct raft *r, const struct raft_message *m);
void on_lower_term_leader(struct raft *r, const struct raft_message *m);
void follower_finish(struct raft *r);
void on_snapshot(struct raft *r, const struct raft_event *e);
void on_installed(struct raft *r);

/* --- replication.c: the leader --- */

enum quorum_of { QUORUM_MATCH, QUORUM_HEARD, QUORUM_ROUND, QUORUM_SENT };
uint64_t leader_quorum(const struct raft *r, enum quorum_of what);
struct peer *peer_find(struct raft *r, uint64_t id);
void peers_follow_members(struct raft *r);
void peers_drop_leaving(struct raft *r);
void leader_begin(struct raft *r);
void leader_end(struct raft *r);
void leader_append(struct raft *r, enum raft_entry_kind kind, size_t size,
                   const struct raft_members *members);
void leader_tick(struct raft *r);
void leader_finish(struct raft *r);
void commit_to(struct raft *r, uint64_t index);
void send_appends(struct raft *r, struct peer *p, bool even_empty);
void send_heartbeat(struct raft *r, struct peer *p);
void broadcast_heartbeat(struct raft *r);
void on_append_reply(struct raft *r, const struct raft_message *m);
void on_heartbeat_reply(struct raft *r, const struct raft_message *m);
void on_unreachable(struct raft *r, uint64_t id);
void on_snapshot_sent(struct raft *r, uint64_t id, uint64_t index);
uint64_t take_snapshot_to(struct raft *r);

/* --- read.c --- */

bool has_own_commit(const struct raft *r);
void on_read(struct raft *r);
void reads_confirm(struct raft *r);
void reads_lose(struct raft *r);
uint64_t lease_until_us(const struct raft *r);

/* --- change.c --- */

void on_change(struct raft *r, const struct raft_event *e);
void change_finish(struct raft *r);
bool is_leaving(const struct raft *r);
void on_transfer(struct raft *r, uint64_t id);
void transfer_tick(struct raft *r);
void transfer_go_on(struct raft *r);
void transfer_end(struct raft *r);

#endif
