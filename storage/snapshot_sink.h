/* Taking in a snapshot, piece by piece, under `<group>/incoming`. The caller's thread only checks the order and copies;
 * a thread of the sink's own writes, syncs, and reads each file back to compare it with its checksum.
 *
 *   begin --write...write--> all here --finish--> verifying --poll: RC_OK--> whole --commit--> <group>/install
 *     |          |  poll: failed                     |
 *     +----------+-----------close----------+--------+     keep: what is good is taken up by the next begin
 *
 * A piece that is lost with the connection, a crash, a power cut: a begin with the same manifest tells where to go on. */
#ifndef STORAGE_SNAPSHOT_SINK_H
#define STORAGE_SNAPSHOT_SINK_H

#include "snapshot.h"

enum { SNAPSHOT_SINK_QUEUE_BYTES = 8 << 20 }; /* not yet written: what a sender may have in flight */

struct snapshot_sink;

struct snapshot_place {
    uint32_t file; /* == file count when everything is here */
    uint64_t offset;
};

/* `manifest` as the source has it; copied. `place_seed`: this cluster's, another one is refused (RC_INVALID), like a
 * manifest that is none (RC_CORRUPT). RC_NO_SPACE: the disk has no room for what is still to come and a margin; nothing
 * was changed. RC_BUSY: an earlier snapshot is just being installed. What an earlier, other snapshot left is discarded.
 * `wake(arg)` is called on the sink's thread when place or poll has something new. */
MUST_USE enum rc snapshot_sink_begin(const char *group, struct slice manifest, uint64_t place_seed,
                                     void (*wake)(void *arg), void *arg, struct snapshot_sink **out,
                                     struct kv_error *error);
const struct snapshot_manifest *snapshot_sink_about(const struct snapshot_sink *s);
/* How much has been written: where the sender starts, and later what he may count as arrived. */
struct snapshot_place snapshot_sink_place(struct snapshot_sink *s);
/* The piece that follows the one before (the first: snapshot_sink_place). Its own checksum is the caller's to compare.
 * RC_INVALID: it does not follow, or is longer than its file. RC_BUSY: more than SNAPSHOT_SINK_QUEUE_BYTES wait to be
 * written; not taken. A failure of the sink's thread, as poll tells it. */
MUST_USE enum rc snapshot_sink_write(struct snapshot_sink *s, const struct snapshot_chunk *chunk,
                                     struct kv_error *error);
/* Everything was sent. RC_INVALID when it did not all come. Otherwise poll tells how verifying ends. */
MUST_USE enum rc snapshot_sink_finish(struct snapshot_sink *s, struct kv_error *error);
/* RC_BUSY: receiving or verifying. RC_OK: whole, synced, every file as its checksum says, and it opens as the state of
 * the manifest's index. RC_CORRUPT: a file is not as it was sent; the next begin asks for it again. RC_NO_SPACE, RC_IO. */
MUST_USE enum rc snapshot_sink_poll(struct snapshot_sink *s, struct kv_error *error);
/* The point of no return: after it, also after a crash, this snapshot replaces the state (snapshot_install.h). Only after
 * poll said RC_OK. One rename and one sync. */
MUST_USE enum rc snapshot_sink_commit(struct snapshot_sink *s, struct kv_error *error);
/* Waits for what the thread is at. Without `keep`, what has come is discarded, unless it was committed. NULL is fine. */
void snapshot_sink_close(struct snapshot_sink *s, bool keep);

#endif
