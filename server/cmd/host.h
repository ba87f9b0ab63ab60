/* What commands may ask of the world: filled in by server/node, faked by unit tests. Everything here is for
 * commands about the server; nothing that applies an entry may call it. */
#ifndef CMD_HOST_H
#define CMD_HOST_H

#include "buf.h"
#include "check.h"
#include "resp_write.h"
#include "topology.h"

struct migration;
struct session;

struct host_session_usage { /* CLIENT LIST's numbers about buffers */
    size_t query_buffer, query_buffer_free, argv_mem, output_buffer, total;
    size_t output_pending, output_behind; /* made in this turn; waiting for a client that reads slowly */
};

struct host_usage { /* INFO's numbers about the process */
    uint64_t memory_allocated, memory_resident, memory_peak, memory_active, memory_total_system;
    double cpu_user_s, cpu_system_s, cpu_main_user_s, cpu_main_system_s;
    uint64_t net_in_bytes, net_out_bytes, net_reads, net_writes;
    uint64_t connections_received, connections_rejected;
    uint64_t input_peak, output_peak; /* buffers of one connection, the largest of the last seconds */
    uint64_t connections_memory,
        connections_evicted;   /* what they take together; closed by maxmemory-clients */
    uint64_t connections_held; /* their next command waits, e.g. for the end of CLIENT PAUSE */
    uint64_t kv_memory_bytes;  /* RocksDB: caches, memtables, table readers */
    uint64_t log_bytes, log_syncs, log_entries;
    uint64_t writebacks, writeback_rows, writeback_bytes;
    int64_t writeback_last_s; /* wall clock of the last finished write-back; 0 before the first */
    bool writeback_running, writeback_failed;
    uint64_t process_id;
    char os[128]; /* "Linux 6.1.0 x86_64"; empty when unknown */
};

struct host_raft {
    const char *role; /* "leader", "follower", "candidate" */
    uint64_t node_id, leader_id, term, commit_index, applied_index, last_index, first_index, voters;
    uint64_t durable_applied_index; /* what the state database holds */
};

/* What a client asks to be done to the cluster. The success of all of them is +OK; of INIT, "+OK <cluster id>". */
enum host_request_kind {
    HOST_INIT,    /* this fresh node becomes the first of a new cluster */
    HOST_JOIN,    /* this fresh node asks `addresses` to let it in */
    HOST_ADD,     /* the node at `address` becomes a voter, by way of a learner; `id` 0: ask it for its id */
    HOST_REMOVE,  /* the member of this `id`, or when that is 0 of this `address`, leaves */
    HOST_PROMOTE, /* the learner `id` becomes a voter */
    HOST_READDRESS, /* the member `id` is at `address` from now on */
    HOST_TRANSFER,  /* the leader hands over to `id`; 0: to whoever is most up to date */
    HOST_LEAD, /* this node wants to lead: asks the leader to hand over, or without one (or with `force`) stands
                     * for election */
};
enum { HOST_ADDRESSES_MAX = 16 };

/* Everything in it is borrowed until the call returns. */
struct host_request {
    enum host_request_kind kind;
    uint64_t id;
    const char *address; /* "host:port", checked; "" when not given */
    const char *addresses[HOST_ADDRESSES_MAX];
    int address_count;
    bool force;
};

enum { HOST_SHUTDOWN_NOW = 1, HOST_SHUTDOWN_FORCE = 2, HOST_SHUTDOWN_ABORT = 4, HOST_SHUTDOWN_NOSAVE = 8 };

struct host {
    /* Closes a session, at once or when its reply has left. */
    void (*session_close)(struct host *h, struct session *s, bool after_reply);
    /* Adds to a session's output what it did not ask for: a whole RESP value, at once, or, when the session is in the middle
     * of being answered, behind the answer. CLIENT REPLY does not silence it; who is about to be closed gets nothing more.
     * Never closes a session at once. */
    void (*session_push)(struct host *h, struct session *s, struct slice bytes);
    /* Ends what the session waits for, as when the time is over, or with an error; false when it does not wait. */
    bool (*session_unblock)(struct host *h, struct session *s, bool with_error);
    /* How many other nodes surely have what the session wrote. */
    int64_t (*replicas_with)(struct host *h, const struct session *s);
    void (*session_usage)(struct host *h, const struct session *s, struct host_session_usage *out);
    void (*usage)(struct host *h, struct host_usage *out);
    void (*raft)(struct host *h, struct host_raft *out);
    void (*cluster)(struct host *h, struct cluster_state *out);
    /* Writes the reply at once, or nothing: then the connection is held and answered later. The command that asks
     * (flag ALONE, so that nothing else of its connection is unanswered) replies in neither case. Kinds other than
     * INIT, JOIN and LEAD come to leaders only. */
    void (*cluster_do)(struct host *h, struct session *s, const struct host_request *request,
                       struct reply *reply);
    /* SYNC: the session is sent a copy of the data as an RDB file, of a state not older than now, as session->wishes say; it is
     * not answered otherwise, but by an error if there can be none, and closed behind it. RC_BUSY: too many are being sent;
     * nothing is. */
    MUST_USE enum rc (*copy)(struct host *h, struct session *s);
    /* Sends what it says, has what arrived deleted here, and answers; takes its memory over. */
    void (*migrate)(struct host *h, struct session *s, struct migration *m);
    /* A configuration value has been stored: take it over. False (with *why) to refuse: it is then put
     * back. */
    bool (*config_changed)(struct host *h, const char *name, const char **why);
    /* Appends the file's content (CONFIG REWRITE reads the old file). */
    MUST_USE enum rc (*read_file)(struct host *h, const char *path, struct buf *content);
    /* Replaces a file atomically and durably. */
    MUST_USE enum rc (*write_file)(struct host *h, const char *path, struct slice content);
    /* RC_OK: the process ends soon and the client gets no reply. RC_BUSY: nothing to abort. */
    MUST_USE enum rc (*shutdown)(struct host *h, int flags);
    /* SCRIPT KILL, FUNCTION KILL: the script that server->script tells of ends as soon as it can be told. */
    void (*script_kill)(struct host *h, bool is_function);
    void (*sleep_us)(struct host *h, int64_t us); /* DEBUG SLEEP: blocks everything, as in Redis */
    /* Writes everything back and forgets all memory, so that data comes from disk again (DEBUG RELOAD). */
    MUST_USE enum rc (*reload)(struct host *h);
    /* Starts a write-back now (SAVE, BGSAVE); RC_OK at once with `wait` false, when stored with `wait`
     * true. */
    MUST_USE enum rc (*save)(struct host *h, bool wait);
    void (*unpause)(struct host *h); /* held commands may run again */
    uint64_t (*random)(struct host *h);
    void (*secret)(struct host *h, void *out, size_t len); /* random bytes that nobody can guess */
    int64_t (*now_us)(struct host *h);                     /* wall clock */
    void (*log)(struct host *h, const char *line);
};

#endif
