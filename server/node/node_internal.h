/* The node's insides, shared by loop.c (libuv), node.c (turns), step.c (the core's updates), tail.c (recent entries), open.c (what
 * is on disk), propose.c and entry_prefix.c (into the log), apply.c (out of it), reads.c (confirmed reads), peers.c (other
 * nodes), forward.c (clients of the leader that are connected here), cluster.c (forming and changing a cluster), snapshot.c,
 * clock.c and host.c (what commands ask of the world). Only loop.c calls libuv. */
#ifndef NODE_NODE_INTERNAL_H
#define NODE_NODE_INTERNAL_H

#include "dispatch.h"
#include "entry.h"
#include "fiber.h"
#include "identity.h"
#include "log_writer.h"
#include "net.h"
#include "node.h"
#include "peer_net.h"
#include "raft.h"
#include "script.h"
#include "server.h"
#include "snapshot_install.h"
#include "snapshot_sink.h"
#include "verdict.h"
#include "writeback.h"

enum {
    TICK_MS = 100,             /* of a node by itself; in a cluster a third of raft-heartbeat-interval */
    PROPOSALS_IN_FLIGHT = 2,   /* one being synced, one waiting: the rest gathers in the entry being filled */
    ENTRY_BYTES_MAX = 4 << 20, /* an entry of this size is closed at once */
    COMMAND_BYTES_MAX = INT32_MAX,     /* a row of the log has room for less than 4 GB */
    UNCOMMITTED_BYTES_MAX = 256 << 20, /* beyond it, writing connections wait */
    READS_IN_LINE_MAX = 512, /* behind unanswered writes of one connection: their replies come all at once */
    EXPIRE_KEYS_MAX = 256,   /* keys removed by one tick entry */
    KS_STEPS_PER_TURN = 128,
    KS_STEPS_PER_CHANGE = 3, /* and this many more for each change since the last turn */
    KS_WARM_ROWS_PER_TURN = 128,
    KS_WARM_ROWS_PER_BUSY_TURN = 16, /* somebody is waiting for the next turn */
    EVICT_STEPS_PER_TURN = 1024,
    EVICT_STEPS_PER_CHANGE = 4,    /* the hand passes a key twice before it goes, and by some that stay */
    APPEND_BYTES_MAX = 1 << 20,    /* entries of one message to a peer */
    INFLIGHT_BYTES_MAX = 16 << 20, /* to one peer, unanswered */
    SYNC_HERE_US_MAX = 1000,       /* the loop itself waits for a disk that is faster (node_write_log) */
    DISK_RESERVE_BYTES = 32 << 20, /* with less than this and what the log needs free, writes are refused
                                    * before the disk refuses */
    DISK_LOOK_BYTES = 1 << 20,     /* the free space is looked at after so many bytes of writes */
};

/* A reply that waits for the log. Operations of one entry run in the order in which they were added; that is the
 * order of the commands in its payload, with local ones of the same connections in between. */
struct op {
    enum {
        OP_WRITE,
        OP_EXEC,
        OP_RUN,
        OP_BYTES
    } kind; /* from the payload; likewise, the head of a transaction; from `local`; a reply made before, in `bytes` */
    struct conn *conn; /* NULL: nobody waits */
    const struct command *cmd;
    uint32_t len; /* OP_BYTES; OP_EXEC: so many operations behind it are the transaction */
    uint8_t resp; /* 0: the session's when it runs */
    bool caching; /* CLIENT CACHING was said of it */
    bool silent;  /* CLIENT REPLY OFF or SKIP when it was parsed */
    bool
        waits; /* it may find nothing and wait (OP_EXEC: it changes the session): nothing of its connection is behind it */
};

/* A reply that is being written into its connection's output, from `begin` on. */
struct reply_span {
    struct reply_span *outer;
    struct conn *conn;
    size_t begin;
    bool holds;      /* nothing may be put before it: it is made in parts, or its header is written last */
    struct buf held; /* pushed to the connection meanwhile, to come behind */
};

/* apply.c: of the transaction whose operations are being run. */
struct execution {
    const struct op *head; /* NULL: no transaction */
    bool holds;            /* what is pushed to its session meanwhile comes behind it */
    uint32_t left;         /* operations */
    bool is_over;          /* nothing of it is to happen */
    struct reply_span span;
};

/* apply.c: the entry of commands that is being applied. A script that takes long is left in the middle, and the entry with it. */
struct applying {
    uint64_t index, term;
    struct slice payload;
    struct proposal *p; /* NULL: nobody here waits for it. The tail keeps it until the entry is done */
    struct buf copy;    /* of the payload, when nobody else keeps it: `is_copied` */
    struct rng rng;
    struct execution execution;
    size_t bytes_at;   /* in p->bytes */
    uint64_t since_us; /* the first script of this turn began; 0: none has */
    bool is_left, is_copied;
    bool in_exec;              /* the operation that runs is one of a transaction */
    bool has_run_script;       /* since the clock was looked at */
    uint32_t unwatched_writes; /* left of a transaction that nobody here waits for */
    /* Of the command that runs scripts. */
    struct conn *conn; /* NULL: nobody waits for it */
    bool holds;
    struct cmd_ctx ctx;
    struct reply reply;
};

/* scripts.c: the command that is on the other stack. */
struct script_call {
    struct fiber *fiber; /* made when there is something to run */
    struct script_limits limits;
    struct cmd_ctx *ctx;              /* NULL: there is none */
    bool is_replicated;               /* every node runs it: the log says how it goes on */
    bool is_left, may_go_on;          /* it is at a checkpoint; what comes of that is known */
    bool has_written;                 /* as of that checkpoint */
    const char *end;                  /* why it has to end; NULL: it goes on */
    enum verdict_decision kill;       /* somebody asked for it */
    uint64_t left_turn;               /* node.turns, then */
    uint64_t began_us;                /* for statistics */
    uint64_t ran_ms_before, since_us; /* by the last verdict, and when that was */
    uint64_t entry_index, checkpoint; /* the last one met in this entry */
    uint64_t spent;                   /* work of the scripts of this entry, since that one */
    uint64_t seen_index;              /* up to here the log was looked through for verdicts on it */
    bool is_over_there;               /* the leader has answered something since: here it is only behind */
    uint64_t proposed_checkpoint, proposed_term;
    struct script_read *read; /* it is not an entry's */
    struct arena arena;
    struct buf out; /* its reply, until it is whole */
};

/* A request of the core on its way through the log writer. */
struct store_job {
    struct log_job job;
    uint64_t store_id;           /* 0: nothing the core waits for (a cut) */
    struct log_entry *entries;   /* job.entry_count of them ... */
    struct proposal **proposals; /* ... and whose they are: each holds its payload until the job is back */
    size_t cap;
    struct store_job *next_spare;
};

/* One log entry in memory, with everything here that waits for it. Held by the tail, by the job that stores it, and, when it
 * is large, by the links that send it; the payload is not touched while one of them does. */
struct proposal {
    struct proposal *next_spare;
    enum raft_entry_kind kind;
    uint32_t holders;
    uint64_t index, term;
    uint64_t serial;    /* counts what was proposed here; 0: it came from elsewhere */
    int64_t clock_ms;   /* what a COMMANDS entry proposed here carries */
    struct buf payload; /* proto/entry.h, or raft_members.h */
    struct buf local;   /* the same format: commands that run here only */
    struct buf bytes;   /* replies made before */
    struct op *ops;
    size_t op_count, op_cap;
    size_t ops_done; /* the first so many are answered */
    uint32_t write_count, local_count;
    bool wanted; /* propose it even without a write: a read has to be confirmed behind an unanswered write */
    bool has_expiry; /* carries a tick: the next may go once this is applied */
};

/* tail.c: entries [first_index, last_index], the newest of the log. */
struct tail {
    struct proposal **items; /* entry i at i & (cap - 1) */
    size_t cap;
    uint64_t first_index, last_index;
    uint64_t bytes; /* of payload */
};

/* peers.c: appends whose entries are to be read from the log, and those behind them, in order. */
struct append_queue {
    struct raft_message *items; /* [first, end) */
    size_t first, end, cap;
};

/* side_work.c's: of a turn. */
struct side_work {
    uint64_t spent_us, budget_us;
    uint64_t cpu_us; /* of the loop's thread when the turn began; 0: there was nothing to measure */
};

/* libuv's handles; touched by loop.c only. */
struct node_loop {
    uv_loop_t loop;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t timer;
    uv_poll_t wake;
    int wake_fd; /* an eventfd: the other threads write, the loop reads */
    uv_signal_t sigterm, sigint;
    bool idle_running;
    int timer_ms;
    uv_timer_t alarm;
    uint64_t alarm_at_us; /* 0: it is off */
};

struct blocking;
struct cmd_wait;
struct migration;
enum { COPIES_MAX = 4 }; /* being sent at once: each has a thread and some megabytes */

struct node {
    struct server server;
    struct host host;
    struct net net;
    struct node_loop uv;

    struct raft *raft;
    struct raft_log *log;
    struct log_writer *writer;
    struct keyspace *ks;
    struct sweeper *sweeper; /* deletes what was discarded */
    int lock_fd;
    char group_dir[4200], state_dir[4300];

    struct identity identity;
    uint64_t node_id;
    char cluster_id[IDENTITY_CLUSTER_SIZE];
    char address[RAFT_ADDRESS_CAP]; /* what others call this node by */
    struct cluster *cluster;        /* cluster.c's */
    struct list copies;             /* copies.c's */
    struct list movings;            /* migrate.c's */
    struct list waiters;            /* clients' requests about the cluster that are not done */
    char wants_join[IDENTITY_JOIN_CAP];
    /* formed: it belongs to a cluster. open: log, state and core are there. The others: with the next turn. */
    bool formed, open, wants_open, wants_reset;
    bool is_member, joining, removed, forming_others, handed_over;
    unsigned refused_by_count; /* since a link last came up, or a leader was heard */

    struct peer_net *peers;
    struct raft_member met[RAFT_MEMBERS_MAX]; /* who spoke to this node while it was being let in */
    size_t met_count;
    struct raft_member parting[RAFT_MEMBERS_MAX]; /* who was a member a moment ago */
    size_t parting_count;
    uint64_t parting_since_ms;
    struct peer_origin origin;
    uint64_t messages_sent, messages_received;
    struct snapshot_sending *sendings; /* snapshot.c's: to followers, one each */
    struct snapshot_taking *taking;    /* from a leader */
    struct snapshot_install *installing;

    struct proposal *filling;         /* takes what arrives; never NULL once the node is open */
    uint64_t serials, applied_serial; /* the last one given, and applied */
    struct tail tail;
    struct append_queue later;
    struct side_work side_work;
    struct proposal *spare; /* for reuse */
    struct store_job *spare_jobs;
    size_t spare_count;
    size_t jobs_out;                                   /* with the log writer */
    uint64_t unapplied_bytes;                          /* payload in the tail beyond applied_index */
    uint64_t applied_index, apply_index, commit_index; /* apply_index: up to here is to be applied */

    /* What the core said last. */
    enum raft_role role;
    uint64_t term, leader_id;
    uint64_t last_leader_id; /* the last one known */
    uint64_t lease_until_us;
    struct raft_members members; /* in force */
    uint64_t members_index;

    struct list
        read_waiters; /* connections whose next command is a read, until a round confirms this leader */
    struct list read_rounds; /* of those, the ones whose round is under way, with its id in conn.read_id */
    uint64_t read_done, read_lost;
    uint64_t lease_now_us, lease_looked_at;
    bool lease_now_known;
    int64_t clock_us;       /* see node_clock_ms */
    uint64_t clock_mono_us; /* when it was looked at last */
    int64_t now_us;         /* wall clock of this turn */
    uint64_t now_mono_us;
    uint64_t turn_mono_us;
    bool now_known;
    const struct conn *timed; /* whose commands turn_mono_us has been following */
    struct entry_reader reader, local_reader, scout;
    struct arena arena;
    struct rng rng;
    struct buf scratch;       /* a reply that has to wait for its turn */
    struct reply_span *spans; /* replies that are being written, the newest first */

    bool readable, serving, stopping, failed, disk_is_full;
    struct ks_limits limits_told; /* a leader's: what the log says last about them */
    struct applying applying;
    struct script_call script;
    uint64_t turns;
    bool abandons_script; /* SHUTDOWN NOSAVE: what was left in the middle is not waited for */
    bool
        is_torn; /* an entry was given up in the middle: what is in memory is the state of no index, and is never stored */
    bool in_entry, wants_writeback; /* one is being applied; and a write-back when it is done */
    bool wake_seen, expiry_in_flight, expiry_again;
    bool warming;
    uint64_t commands_seen; /* stats.commands_processed when the last rows were warmed up */
    uint64_t changes_seen;  /* ks_stats.changes at the end of the last turn */
    uint64_t asker_id;      /* session that asked for something last */
    uint64_t crowd_us;      /* when the one before it was another: turn_mono_us of then */
    uint64_t read_us;       /* when somebody read last, likewise */
    uint64_t proposed_us;   /* when the last entry went */
    uint64_t log_bytes,
        log_bytes_at_writeback; /* payload bytes given to the log; of these before the last write-back */
    int64_t writeback_at_ms, stop_by_ms, stop_begun_ms, slow_tick_ms, failing_since_ms;
    uint64_t deposed_at_ms;  /* 0: not, or long ago */
    uint64_t apply_until_us; /* entries are applied until then, the rest in the next turn */
    uint64_t
        preparing_index; /* the next entry to be applied, whose value is being copied first; 0: there is none */
    uint64_t leader_moved_ms;  /* when leader_id last changed */
    struct list forwards;      /* forward.c's */
    size_t forwards_held;      /* so many of them hold an answer back */
    struct blocking *blocking; /* blocked.c's: who waits in BLPOP and its like */
    uint64_t cut_index,
        cut_looked_at;        /* where the log was cut; what was stored when that was last worked out */
    size_t disk_unseen_bytes; /* writes taken since node_disk_takes last looked */
    uint64_t ticks;
    uint64_t memory_budget; /* for ks_stats.memory_bytes; UINT64_MAX without maxmemory */
    uint64_t memory_limit;  /* maxmemory as last looked at */
    uint64_t memory_peak;
    bool answers_behind;  /* what runs now is answered when the entry being filled is applied */
    bool oom_is_adjusted; /* oom-score-adj is in force, and this was the score before: */
    int oom_base;
};

/* step.c: one event through the core, and what its update asks for. */
void node_step(struct node *n, struct raft_event *event);
/* Likewise, for what may be refused. */
enum raft_refusal node_ask(struct node *n, struct raft_event *event, struct raft_update *up);
/* Likewise, for what comes from elsewhere: false when it makes no sense to the core. */
bool node_try(struct node *n, struct raft_event *event, struct raft_update *up);
/* A peer's message; payloads are its entries' bytes. `whole`, unless NULL: a buffer with those of the only one, to be taken. */
void node_take_message(struct node *n, const struct raft_message *m, const struct slice *payloads,
                       struct buf *whole);
/* RAFT_EVENT_PROPOSE of `p`, which is then the tail's; false when it was refused and is still the caller's. */
bool node_submit(struct node *n, struct proposal *p);
void node_take_stored(struct node *n); /* what the log writer has finished */
/* What was given to the log writer is written from here on: by its thread, or, `here`, before this returns, if that is
 * quick: true, and the core has been told. */
bool node_write_log(struct node *n, bool here);
struct store_job *store_job_new(struct node *n);
void store_job_done(struct node *n, struct store_job *s);
void node_trim_tail(struct node *n);
void node_drop_entries(struct node *n,
                       uint64_t index); /* a snapshot took their place: the log goes on behind index */

/* peers.c: the other nodes */
void node_identity_changed(struct node *n);
bool node_open_peers(struct node *n); /* false after saying why */
void node_send(struct node *n, const struct raft_message *m);
void node_send_later(struct node *n); /* once a turn: what had to wait */
void append_queue_free(struct append_queue *q);
void node_members_changed(struct node *n, const struct raft_members *before); /* whom to keep links to */
void node_end_parting(struct node *n);

/* side_work.c: what is done for who is far behind */
void side_work_turn(struct node *n); /* a new turn begins */
bool side_work_is_due(const struct node *n);
uint64_t side_work_begin(void);
void side_work_end(struct node *n, uint64_t began_us);

/* snapshot.c */
void node_snapshot_wanted(struct node *n, uint64_t peer);
void node_receive_snapshot(struct node *n, struct peer_stream *stream, const struct peer_hello *hello);
void node_turn_snapshots(struct node *n);
uint64_t node_pinned_index(const struct node *n); /* the log is needed behind it; UINT64_MAX: it is not */
bool node_end_snapshots(struct node *n);          /* false when the state is between two: leave it as it is */

/* copies.c: the data as RDB files, for who asks by SYNC */
/* What a connection is told while its copy is on the way; true: it is held. */
bool node_hold_for_copy(struct conn *c, struct slice bytes);
enum rc node_begin_copy(struct node *n, struct conn *c); /* RC_BUSY: too many are under way */
void node_turn_copies(struct node *n);
void node_forget_copy(struct conn *c); /* the connection goes */
void node_end_copies(struct node *n);  /* the state goes: waits for the threads that read it */

/* migrate.c */
void node_begin_migration(struct node *n, struct conn *c, struct migration *what);
void node_forget_migration(struct conn *c); /* the connection goes; the rest is done all the same */
void node_void_migrations(struct node *n);  /* this node leads no more: nothing is deleted */
void node_end_migrations(struct node *n);   /* nothing more is deleted here */

/* forward.c: clients of the leader that are connected here */
void node_leadership_moved(struct node *n, bool was_readable);
void node_give_back(struct node *n); /* once deposed: what has not been proposed goes to the new leader */
void forward_flushed(struct conn *c);
/* Each turn: answers about users go to their clients when this node has applied what they are about. */
void node_pass_on_held(struct node *n);
bool forward_is_opening(const struct conn *c); /* it waits for its connection to the leader only */
void node_tend_forwards(struct node *n);       /* those whose leader is no leader any more */
/* Passes one command on. CONN_HOLD: not now. */
enum conn_verdict node_forward(struct node *n, struct conn *c, const struct command *cmd, int argc,
                               const struct slice *argv);
/* Passes one command on and opens a tunnel: all that follows goes to this leader, whatever it is, and all that comes from
 * there goes to the client. It ends with either connection. CONN_HOLD: not now, for earlier commands are to be answered. */
enum conn_verdict node_open_tunnel(struct node *n, struct conn *c, int argc, const struct slice *argv);
enum conn_verdict node_tunnel(struct node *n, struct conn *c, int argc, const struct slice *argv);
/* A reply made here, behind those that are still to come from the leader. */
void forward_add_bytes(struct conn *c, struct slice reply);
void forward_close(struct conn *c); /* the connection goes */

/* tail.c */
void tail_init(struct tail *t, uint64_t last_index);
void tail_free(struct tail *t);                                 /* its entries are gone by now */
struct proposal *tail_at(const struct tail *t, uint64_t index); /* NULL when it is not in memory */
void tail_push(struct tail *t, struct proposal *p);
struct proposal *tail_pop_newest(struct tail *t);
/* The oldest applied entry, if it need not be kept; NULL otherwise. */
struct proposal *tail_pop_surplus(struct tail *t, uint64_t applied_index, bool keep_some);
/* The oldest entry, applied or not, when there are too many and it is stored, may be applied, and nobody waits for it. */
struct proposal *tail_pop_backlog(struct tail *t, uint64_t apply_index);
void tail_restart(struct tail *t, uint64_t last_index); /* an empty one goes on elsewhere */

/* clock.c: the machine's clocks. */
uint64_t mono_us(void);
static inline uint64_t mono_now_ms(void) {
    return mono_us() / 1000;
}
uint64_t boot_us(void);
uint64_t thread_cpu_us(void); /* goes on while the machine sleeps */
int64_t wall_us(void);

/* node.c */
void node_turn(struct node *n); /* the end of a turn of the loop */
void node_tick(struct node *n);
/* `wanted`, or fewer when the system allows too few open files even after raising the limit as far as it goes. */
int64_t node_clients_possible(int64_t wanted);
int64_t node_now_us(struct node *n); /* wall clock, read once a turn */
static inline int64_t node_now_ms(struct node *n) {
    return node_now_us(n) / 1000;
}
/* What deadlines are kept by: the wall clock, but never running backwards. When the wall clock was set back, or the
 * newest entry came from a clock that was ahead, it goes on, an eighth slower than time, until the wall clock has
 * caught up: keys expire meanwhile, and the two meet again. */
int64_t node_clock_ms(struct node *n);
/* What reads go by: while an entry is on its way, its clock, for it may still change what only later time would hide
 * (PERSIST): what a read calls expired must have expired for every entry applied after the read. */
int64_t node_read_clock_ms(struct node *n);
void node_clock_seen(struct node *n, int64_t clock_ms); /* an entry's */
void node_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void node_fail(struct node *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether the disk has room for what is in flight and so much more. */
bool node_disk_takes(struct node *n, size_t more);
void node_stop(struct node *n, const char *why); /* drains, then the loop ends */

void node_cut_log(struct node *n); /* what the state database holds need not be in the log */
/* A bounded step of write-back and eviction; between two entries only. */
void node_relieve_memory(struct node *n);

/* loop.c */
void node_wake(void *arg); /* from any thread: the loop has something to look at */
void loop_open(struct node *n);
void loop_run(struct node *n);
void loop_close(struct node *n);
void loop_keep_awake(struct node *n, bool awake);
void loop_stop(struct node *n);
void loop_set_tick(struct node *n, int ms);
/* node_alarm in `ms` from now, which is `at_us`; 0: never. */
void loop_set_alarm(struct node *n, uint64_t at_us, uint64_t ms);

/* open.c: what is on disk. False after saying why. */
bool node_open_folder(struct node *n);
bool node_open_group(struct node *n);
bool node_has_log(const struct node *n);
void node_keyspace_options(struct node *n, struct keyspace_options *out);
int node_close_group(struct node *n); /* writes everything back; the exit code */
void node_close_group_memory(struct node *n);
void node_discard_group(struct node *n);
bool node_discard_files(struct node *n); /* of the group, which is not open; false after saying why */

/* cluster.c: forming, joining, changing */
bool node_open_identity(struct node *n);
bool node_store_identity(struct node *n);
bool node_reset(struct node *n);             /* between turns, when wants_reset: blank again */
bool node_wants_peers(const struct node *n); /* it has, or is to have, companions */
void node_tend_cluster(struct node *n);      /* each tick */
void node_refused(struct node *n, uint64_t id, uint32_t code, const char *text);
void node_control(struct node *n, struct peer_request *request, const struct peer_hello *hello,
                  const struct peer_control *control);
void node_membership_moved(struct node *n, bool is_member);
/* A client connected here waits at the leader: asks it to end that. What comes of it, the client hears. */
void node_unblock_there(struct node *n, const struct session *s, bool with_error);
void node_hand_over(struct node *n); /* to whoever is most up to date */
void node_cluster_do(struct node *n, struct session *s, const struct host_request *request,
                     struct reply *reply);
void node_look_at_waiters(struct node *n);
void node_forget_waiter(struct conn *c);

/* entry_prefix.c */
/* A script of a user who may not do everything stands in the log as _AS USER command: every node asks what he may. One that was
 * let in on terms (cmd/terms.h) as _TERMS BITS command; one that is both as _AS USER _TERMS BITS command. */
struct entry_prefix {
    int argc; /* how many arguments it takes, before the command's own */
    bool is_as;
    struct slice user;
    uint32_t terms;
};
struct entry_prefix node_prefix(const struct entry_reader *r);
void node_add_payload(struct node *n, struct conn *c, const struct command *cmd, int db, int argc,
                      const struct slice *argv);

/* propose.c */
/* Around what writes one reply into a connection's output: what is pushed to it meanwhile comes before the reply or behind
 * it, and before it only if it does not hold, which is so for PUBLISH. `silent` takes the reply back. */
void span_begin(struct node *n, struct reply_span *span, struct conn *c, bool holds);
void span_end(struct node *n, struct reply_span *span, bool silent);
void node_push(struct node *n, struct conn *c,
               struct slice bytes); /* whole RESP values that nobody asked for */
size_t node_coming(void *arg, const struct conn *c, struct slice input);
enum conn_verdict node_command(void *arg, struct conn *c, int argc, const struct slice *argv);
/* Adds _SERVE, for a connection that waits. */
void node_add_serve(struct node *n, struct conn *c, const struct command *cmd, int db, int argc,
                    const struct slice *argv, bool silent);
void node_propose_filled(struct node *n); /* end of turn: closes the entry being filled if it may go now */
void node_propose_expired(struct node *n);
void node_propose_due(void *node, int db, struct slice key); /* this one, whose time is over */
/* The leader's settings about encodings become everybody's: called when it begins to lead and when one is set. */
void node_begin_limits(struct node *n);
void node_propose_limits(struct node *n);
/* The users of the leader's configuration become the cluster's, when it has none; likewise a requirepass that is new. */
void node_begin_users(struct node *n);
struct proposal *proposal_new(struct node *n);
void proposals_free(struct node *n);                       /* the spare ones */
void proposal_release(struct node *n, struct proposal *p); /* one holder less; the last one frees it */
void proposal_answered(struct proposal *p);                /* nobody waits for it any more */
/* Who waits for it will not be answered: of unknown outcome. */
void proposal_disappoint(struct node *n, struct proposal *p);
/* CLIENT REPLY: whether the command just parsed is to stay unanswered. Counts. */
bool session_take_silence(struct session *s);
bool node_is_overloaded(const struct node *n);

struct op *proposal_add_op(struct proposal *p, struct conn *c, const struct command *cmd);
void proposal_wrote(struct node *n, struct proposal *p); /* one more write stands in its payload */
void node_begin_filling(struct node *n);
bool node_is_too_much(struct node *n, size_t size); /* for the disk */
void node_run_now(struct node *n, struct conn *c, const struct command *cmd, int argc,
                  const struct slice *argv, struct reply *reply, struct cmd_wait *wait);

/* exec.c: transactions */
enum conn_verdict node_exec(struct node *n, struct conn *c, const struct command *exec);
void node_exec_ended(struct node *n, struct conn *c, const struct command *exec); /* accounts for it */
bool node_is_exec(const struct entry_reader *r);                                  /* the head of one */
/* What it says: so many of the writes behind it are its own; it is over before it began. False when it makes no sense. */
bool node_exec_head(const struct entry_reader *r, uint32_t *writes, bool *is_over);
/* A write goes into the entry being filled: those who watch its keys wait for it. */
void node_watch_written(struct node *n, const struct command *cmd, int argc, const struct slice *argv);
/* This node leads no more: what its sessions queued, watch and track means nothing elsewhere. They are closed. */
void node_drop_sessions(struct node *n);

/* news.c: what this node tells by itself */
/* This node leads no more: who listens here would wait for messages that go elsewhere. They are closed. */
void node_drop_listeners(struct node *n);

/* reads.c: reads of a leader that is not alone wait until a majority has confirmed it. */
bool node_may_read(struct node *n, const struct conn *c);
void node_await_read(struct node *n, struct conn *c); /* parks it */
void node_start_reads(struct node *n);                /* end of turn: one round for all that came in it */
void node_finish_reads(struct node *n);               /* those whose round has ended */

/* blocked.c: connections whose command waits, parked */
void node_open_blocking(struct node *n);
void node_close_blocking(struct node *n);
/* The command found nothing: it waits as `w` says. The connection is parked, or about to be. */
void node_block(struct node *n, struct conn *c, const struct command *cmd, int db, int argc,
                const struct slice *argv, bool silent, const struct cmd_wait *w);
/* The connection's command was answered: what is behind it is parsed at the end of the turn. */
void node_unblocked(struct node *n, struct conn *c);
void node_forget_blocked(struct node *n, struct conn *c);
bool node_unblock(struct node *n, struct session *s, bool with_error); /* CLIENT UNBLOCK */
int64_t node_replicas_with(struct node *n, uint64_t index);
void node_alarm(struct node *n);        /* somebody's time is over */
void node_turn_blocked(struct node *n); /* after what was committed was applied */

/* serve.c: giving them what has come */
bool node_is_serve(const struct command *cmd);
/* A write was added to the entry being filled: adds, behind it, those who wait for its keys. */
void node_serve_written(struct node *n, const struct command *cmd, int db, int argc,
                        const struct slice *argv);
void node_serve_behind(struct node *n, const struct command *cmd, int db, int argc, const struct slice *argv,
                       unsigned chain);
/* _SERVE was applied: ctx->wait says whether there was nothing. */
void node_serve_ran(struct node *n, struct conn *c, const struct cmd_ctx *ctx);
void node_serve_given_up(struct conn *c); /* it was in no log */
void node_serve_readers(struct node *n);  /* after each command that is applied */
void node_serve_ready(struct node *n);

/* apply.c */
void node_apply(struct node *n); /* everything committed and stored here */
void node_run_command(struct node *n, struct cmd_ctx *c);

/* oom.c: takes oom-score-adj over; false when the kernel does not. */
bool node_adjust_oom_score(struct node *n);

/* What a command is accounted for by. */
struct command_start {
    uint32_t errors;   /* in its reply, before */
    size_t out_len;    /* of the reply, before */
    uint64_t began_us; /* 0: when the command before it ended */
};
void node_command_ran(struct node *n, struct cmd_ctx *c, struct command_start start);
/* The entry that was left in the middle is given up, and with it the state in memory (node.is_torn); `in_script`: it was left by a
 * script, which has just ended. */
void apply_abandon(struct node *n, bool in_script);

/* scripts.c: commands that may run scripts, on a stack of their own */
bool script_run(struct node *n, struct cmd_ctx *ctx,
                bool is_replicated); /* false: it was left in the middle */
bool script_resume(struct node *n);  /* likewise; it may_go_on */
void script_begin_entry(struct node *n, uint64_t index);
void script_look(struct node *n);         /* whether it may go on */
void script_turn(struct node *n);         /* the beginning of a turn */
bool script_is_due(const struct node *n); /* the next turn is not to wait */
void script_tell(struct node *n);         /* server.script is brought up to date */
/* The leader answers again what it does not answer in the middle of a script. */
void script_is_over_there(struct node *n);
void script_drop_output(struct node *n);
void script_free(struct script_call *s);
/* One that only reads, at once; false: the connection is to be blocked, it is answered later. */
bool script_read(struct node *n, struct conn *c, const struct command *cmd, int argc,
                 const struct slice *argv);
void node_kill_script(struct node *n, bool is_function);
/* The state, or the process, goes: whatever was left in the middle ends here. */
void node_abandon_script(struct node *n);
/* An entry, or a read, was left in the middle: nothing else may touch the data. */
bool node_is_in_the_middle(const struct node *n);

/* host.c */
void host_init(struct node *n);
void node_update_memory(struct node *n);
void node_update_clock(struct node *n);

#endif
