/* The node's insides, shared by node.c (turns), open.c (what is on disk), propose.c (into the log), apply.c (out of it) and host.c
 * (what commands ask of the world). */
#ifndef NODE_NODE_INTERNAL_H
#define NODE_NODE_INTERNAL_H

#include "dispatch.h"
#include "entry.h"
#include "log_writer.h"
#include "net.h"
#include "node.h"
#include "raft.h"
#include "server.h"
#include "writeback.h"

enum {
    TICK_MS = 100,
    ELECTION_TICKS = 10,
    PROPOSALS_IN_FLIGHT = 2,   /* one being synced, one waiting: the rest gathers in the entry being filled */
    ENTRY_BYTES_MAX = 4 << 20, /* an entry of this size is closed at once */
    UNCOMMITTED_BYTES_MAX = 256 << 20, /* beyond it, writing connections wait */
    READS_IN_LINE_MAX = 512, /* behind unanswered writes of one connection: their replies come all at once */
    EXPIRE_KEYS_MAX = 256,   /* keys removed by one tick entry */
    KS_STEPS_PER_TURN = 128,
    KS_STEPS_PER_CHANGE = 3, /* and this many more for each change since the last turn */
    KS_WARM_ROWS_PER_TURN = 128,
    KS_WARM_ROWS_PER_BUSY_TURN = 16, /* somebody is waiting for the next turn */
    EVICT_STEPS_PER_TURN = 1024,
    DISK_RESERVE_BYTES = 32 << 20, /* with less than this and what the log needs free, writes are refused
                                    * before the disk refuses */
    DISK_LOOK_BYTES = 1 << 20,     /* the free space is looked at after so many bytes of writes */
};

/* A reply that waits for the log. Operations of one entry run in the order in which they were added; that is the
 * order of the commands in its payload, with local ones of the same connections in between. */
struct op {
    enum {
        OP_WRITE,
        OP_RUN,
        OP_BYTES
    } kind;            /* from the payload; from `local`; a reply made before, in `bytes` */
    struct conn *conn; /* NULL: nobody waits */
    const struct command *cmd;
    uint32_t len; /* OP_BYTES */
    uint8_t resp;
    bool silent; /* CLIENT REPLY OFF or SKIP when it was parsed */
};

/* A request of the core on its way through the log writer. */
struct store_job {
    struct log_job job;
    struct log_entry entry;
    uint64_t store_id;         /* 0: nothing the core waits for (a cut) */
    struct proposal *proposal; /* the one this is part of; NULL: freed when it comes back */
};

/* One log entry on its way, with everything that waits for it. Owned by the node; while `store` is with the log
 * writer, payload and store are not touched. */
struct proposal {
    struct proposal *next;
    enum raft_entry_kind kind;
    uint64_t index, term;
    int64_t clock_ms;   /* what a COMMANDS entry carries, once it is proposed */
    struct buf payload; /* proto/entry.h */
    struct buf local;   /* the same format: commands that run here only */
    struct buf bytes;   /* replies made before */
    struct op *ops;
    size_t op_count, op_cap;
    uint32_t write_count, local_count;
    bool has_expiry; /* carries a tick: the next may go once this is applied */
    struct store_job store;
};

struct node {
    struct server server;
    struct host host;
    struct net net;
    uv_loop_t loop;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t timer;
    uv_poll_t wake;
    int wake_fd; /* an eventfd: the other threads write, the loop reads */
    uv_signal_t sigterm, sigint;

    struct raft *raft;
    struct raft_log *log;
    struct log_writer *writer;
    struct keyspace *ks;
    int lock_fd;
    char state_dir[4096];
    uint64_t node_id;
    char cluster_id[16];

    struct proposal *filling;               /* never NULL while serving */
    struct proposal *flight, **flight_tail; /* proposed, not applied, oldest first */
    struct proposal *spare;                 /* for reuse */
    size_t flight_count, spare_count;
    uint64_t flight_bytes;
    uint64_t applied_index, commit_index, durable_index;
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
    struct buf scratch; /* a reply that has to wait for its turn */

    bool readable, serving, stopping, failed;
    bool wake_seen, expiry_in_flight, expiry_again;
    bool idle_running, warming;
    uint64_t commands_seen; /* stats.commands_processed when the last rows were warmed up */
    uint64_t changes_seen;  /* ks_stats.changes at the end of the last turn */
    uint64_t log_bytes,
        log_bytes_at_writeback; /* payload bytes given to the log; of these before the last write-back */
    int64_t writeback_at_ms, stop_by_ms;
    uint64_t cut_index;
    size_t disk_unseen_bytes; /* writes taken since node_disk_takes last looked */
    uint64_t ticks;
    uint64_t memory_budget; /* for ks_stats.memory_bytes; UINT64_MAX without maxmemory */
    uint64_t memory_limit;  /* maxmemory as last looked at */
    uint64_t memory_peak;
};

/* node.c */
/* One event through the core, and what its update asks for. */
void node_step(struct node *n, const struct raft_event *event);
void node_submit(struct node *n, struct proposal *p, const struct raft_update *up);
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
uint64_t mono_us(void);

void node_cut_log(struct node *n); /* what the state database holds need not be in the log */
/* A bounded step of write-back and eviction; between two entries only. */
void node_relieve_memory(struct node *n);
void node_wake(void *arg); /* from any thread: the loop has something to look at */

/* open.c */
bool node_open_storage(struct node *n); /* false after saying why */
int node_close_storage(struct node *n); /* writes everything back; the exit code */

/* propose.c */
enum conn_verdict node_command(void *arg, struct conn *c, int argc, const struct slice *argv);
void node_propose_filled(struct node *n); /* end of turn: closes the entry being filled if it may go now */
void node_propose_expired(struct node *n);
struct proposal *proposal_new(struct node *n);
void proposal_free(struct node *n, struct proposal *p);
bool node_is_overloaded(const struct node *n);

/* apply.c */
void node_apply(struct node *n); /* everything committed and stored here */
void node_run_command(struct node *n, struct cmd_ctx *c);

/* host.c */
void host_init(struct node *n);
void node_update_memory(struct node *n);
void node_update_clock(struct node *n);

#endif
