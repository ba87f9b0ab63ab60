/* Putting a received snapshot in the state's place. Under `<group>`:
 *
 *   incoming/  --snapshot_sink_commit--> install/ --raft_log_reset--> --snapshot_swap--> state/
 *      may be partial                      whole, decided: a crash from here on is carried on by snapshot_recover
 *
 * In a running node, after snapshot_sink_commit: submit a log job with reset = the manifest's (index, term) and wait until
 * it is handed back; then snapshot_install_start with the old keyspace, and wait for the new one. Between the commit and
 * the end nothing else may be written to the log or applied; any failure in between ends the process, and the next start
 * carries on. */
#ifndef STORAGE_SNAPSHOT_INSTALL_H
#define STORAGE_SNAPSHOT_INSTALL_H

#include "raft_log.h"
#include "snapshot.h"
#include "writeback.h"

/* At every start, after raft_log_open and before ks_open: carries on an install that was decided, however far it came, and
 * discards what else is left over (for a sweeper to delete), snapshots made for others (`snapshot.*`) included. What is in
 * `incoming` stays, to be gone on with, unless the log has come as far by itself. A log that already agrees with the snapshot at its index is kept, entries
 * behind it too. RC_CORRUPT: the snapshot and the log contradict each other. */
MUST_USE enum rc snapshot_recover(const char *group, struct raft_log *log, struct kv_error *error);

/* `<group>/install` becomes `<group>/state`; the old state is discarded. The keyspace is closed, the log was reset. A few
 * renames and syncs; after a failure or a crash it can be called again. */
MUST_USE enum rc snapshot_swap(const char *group, struct kv_error *error);

/* The same for a running node, on a thread of its own: closes `ks` (freeing its memory takes time), swaps, opens the new
 * state at `<group>/state`. `wake(arg)` is called on that thread when poll has an answer. */
struct snapshot_install;
struct snapshot_install *snapshot_install_start(const char *group, struct keyspace *ks,
                                                const struct keyspace_options *options,
                                                void (*wake)(void *arg), void *arg);
/* RC_BUSY until it has ended. RC_OK: *ks is the new one. Otherwise there is none, and the node must stop. After any
 * other answer than RC_BUSY the install is freed. */
MUST_USE enum rc snapshot_install_poll(struct snapshot_install *in, struct keyspace **ks,
                                       struct kv_error *error);

/* Discards a snapshot that was partly received and will not be resumed. */
MUST_USE enum rc snapshot_forget_incoming(const char *group, struct kv_error *error);

#endif
