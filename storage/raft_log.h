/* The Raft log with term and vote, on disk. One writer thread (log_writer.h) appends; reading back happens at
 * start and, later, for slow followers, from any thread. What raft_log_write returned RC_OK for is on stable
 * storage. Formats: storage/README.md. */
#ifndef STORAGE_RAFT_LOG_H
#define STORAGE_RAFT_LOG_H

#include "kv.h"

struct log_entry {
    uint64_t index, term;
    uint8_t kind;         /* the core's enum raft_entry_kind, kept verbatim */
    struct slice payload; /* borrowed */
};

struct log_hard_state {
    uint64_t term;
    uint64_t vote; /* node id, 0 for none */
};

/* Everything before and at `index` is in the state database (or a snapshot) and may be gone from the log. */
struct log_mark {
    uint64_t index, term;
};

struct raft_log;

struct raft_log_options {
    uint64_t segment_bytes; /* of the files it is kept in */
};

/* Opens or creates (the last folder of `path` only). Reads every entry from mark.index + 1 on and checks
 * that they are contiguous, that each continues the one before it, that checksums hold, and that nothing is
 * missing at the end; otherwise RC_CORRUPT: the node must not start, for it may have acknowledged what is
 * gone. RC_BUSY: another process has it open. What the state database has applied is one more floor that
 * only the caller knows: its applied index must not be above last_index. */
MUST_USE enum rc raft_log_open(const char *path, const struct raft_log_options *options,
                               struct raft_log **out, struct kv_error *error);
void raft_log_close(struct raft_log *log);

/* As read when opened (the writer's own view afterwards). last_index == mark.index when the log is empty. */
struct log_hard_state raft_log_hard_state(const struct raft_log *log);
struct log_mark raft_log_mark(const struct raft_log *log);
uint64_t raft_log_last_index(const struct raft_log *log);
uint64_t raft_log_last_term(const struct raft_log *log);

/* One atomic, synced batch. Entries replace everything stored at and after the first one's index
 * (truncation and append are one batch); they must continue the log: first index <= last_index + 1 and >
 * mark.index, terms that do not go down, and no term above the hard state's. After a failure nobody knows
 * what is on the disk: do not write again, close and open. */
struct log_batch {
    const struct log_hard_state *hard_state; /* NULL: unchanged */
    const struct log_entry *entries;
    size_t entry_count;
};
MUST_USE enum rc raft_log_write(struct raft_log *log, const struct log_batch *batch, struct kv_error *error);

/* Calls `visit` for each entry in [from, to], in order, until it returns something other than RC_OK, which
 * is passed on. RC_NOT_FOUND when `from` is at or before the mark; RC_INVALID when `to` is not written, or
 * the writer replaced entries of the range meanwhile; RC_CORRUPT for a bad record or a hole. */
typedef enum rc log_visit_fn(void *arg, const struct log_entry *entry);
MUST_USE enum rc raft_log_read(struct raft_log *log, uint64_t from, uint64_t to, log_visit_fn *visit,
                               void *arg, struct kv_error *error);

/* Forgets entries at and before the mark; a mark beyond last_index (a snapshot from elsewhere) empties the
 * log. Called by the writer thread only, behind the state database's durable applied index. The mark's term
 * is the entry's. Not written by itself but with the next batch: after a crash the older mark may be back,
 * with its entries. Now and then it deletes files (a few fsyncs), otherwise it is a memory write and one
 * lookup. */
MUST_USE enum rc raft_log_cut(struct raft_log *log, struct log_mark mark, struct kv_error *error);

/* The log begins anew behind the mark: no entry is left, last_index == mark.index. For a snapshot that replaces the
 * state: its mark may be beyond last_index, or where this log has an entry of another term, but not before the log's own
 * mark. One atomic, synced batch, with the hard state if one is given (NULL: kept, or raised to the mark's term without
 * a vote). Called where raft_log_write is. Entries behind the mark that agree with the snapshot go too: a node
 * that may have acknowledged them keeps its log instead (snapshot_install.h). */
MUST_USE enum rc raft_log_reset(struct raft_log *log, struct log_mark mark,
                                const struct log_hard_state *hard_state, struct kv_error *error);

uint64_t raft_log_bytes(const struct raft_log *log); /* payload bytes written since open, for pacing */

#endif
