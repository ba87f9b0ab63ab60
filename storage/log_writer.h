/* The thread that makes the Raft log durable, with group commit: while one sync runs, what is submitted
 * gathers and goes into the next batch as one synced write. No timers. A job is owned by the writer from
 * submit until it is handed back, in order, through `done`.
 *
 *   loop thread: log_writer_submit ---> queue
 *   loop thread: log_writer_begin  ---> writer thread: raft_log_write (sync) ---> done list
 *   loop thread: log_writer_take_done <-- `wake` is called on the writer thread after each batch
 *
 * or, where the disk is fast and nothing else is to be done meanwhile, without the two changes of thread:
 *
 *   loop thread: log_writer_write_here: raft_log_write (sync) ---> done list
 *
 * After the first failure nothing further is written: every later job comes back with the same rc, so that
 * the node can stop without ever having acknowledged something behind a hole. */
#ifndef STORAGE_LOG_WRITER_H
#define STORAGE_LOG_WRITER_H

#include "raft_log.h"

struct log_job {
    struct log_job *next; /* the writer's */
    bool has_hard_state;
    struct log_hard_state hard_state;
    struct log_mark cut; /* index != 0: after the write, forget up to here; alone, it needs no sync */
    struct log_mark
        reset; /* index != 0: raft_log_reset, with the hard state if the job has one; no entries, no cut */
    struct log_entry *entries; /* the submitter's, payloads too; untouched until the job is handed back */
    size_t entry_count;
    void *owner; /* the submitter's */
    enum rc rc;  /* set when handed back */
};

struct log_writer;

/* What log_writer_write_here takes at most: with more there is more to do than to wait. */
enum { LOG_WRITER_HERE_BYTES_MAX = 128 << 10 };

/* `wake(arg)` is called on the writer thread. log_writer_write_here may be used while syncs take less than
 * `here_us_max`; 0: never. */
struct log_writer *log_writer_start(struct raft_log *log, uint64_t here_us_max, void (*wake)(void *arg),
                                    void *arg);
/* Writes what is queued, joins the thread and frees the writer. Answers the finished jobs nobody has taken
 * yet, the ones just written among them; `wake` is not called for these after log_writer_stop returned. */
struct log_job *log_writer_stop(struct log_writer *w);

/* Queues only. The queue has no bound of its own: the submitter bounds what it has in flight. */
void log_writer_submit(struct log_writer *w, struct log_job *job);
/* The thread begins with what is queued, unless it is at work already. Never blocks on the disk. */
void log_writer_begin(struct log_writer *w);
/* Writes what is queued on the calling thread: true, and log_writer_take_done has it, failed or not; `wake` is not
 * called. Blocks for one sync. Only when the writer thread is idle, what is queued is small and neither cuts nor
 * resets, and no recent sync was slow (the very first is the thread's); otherwise the same as log_writer_begin: false. */
bool log_writer_write_here(struct log_writer *w);
/* Finished jobs in submission order, linked by `next`; NULL when there are none. */
struct log_job *log_writer_take_done(struct log_writer *w);
/* The text of the failure that stopped writing; NULL while all is well. Stable once set, until
 * log_writer_stop. */
const char *log_writer_error(struct log_writer *w);

struct log_writer_stats {
    uint64_t syncs, jobs, entries, bytes; /* bytes of payload */
};
struct log_writer_stats log_writer_stats(struct log_writer *w);

#endif
