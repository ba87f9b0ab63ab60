/* The files that hold the Raft log's batches: segments, numbered without a gap, the last one being written. A segment is
 * written from its start to its end and never changed, until nothing in it is needed any more; then it is written anew
 * under a new number (a file whose blocks are all there is cheaper to sync than one that grows), or deleted.
 *
 * No batch lies in two of them: one that is larger than a segment has one of its own. Writes go past the page cache where the
 * file system can do that, so they are of whole blocks: the block in which the newest batch ends is written again with the
 * next. All of it is the writer's; readers on other threads use log_files_read only, which the writer keeps out while it
 * takes files away. */
#ifndef STORAGE_LOG_FILES_H
#define STORAGE_LOG_FILES_H

#include "folder.h"
#include "log_record.h"

#include <pthread.h>

struct log_segment {
    uint64_t number;
    int fd;
    uint64_t size;      /* of the file; writing below it changes nothing but bytes */
    uint64_t end;       /* of the newest batch in it */
    uint64_t top_index; /* the highest of any entry in it */
};

struct log_files {
    struct path folder;
    uint64_t segment_bytes;    /* whole blocks */
    struct log_segment *items; /* oldest first */
    size_t count, cap;
    size_t unused;          /* of the oldest, so many are kept to be written anew */
    struct buf head;        /* and rows, of the newest batch that was written since opening */
    pthread_mutex_t in_use; /* readers are kept out while `items` changes */
    int writing;            /* the last segment, for writing; -1: not opened yet */
    bool is_direct;         /* past the page cache */
    char *piece_memory;
    char *piece; /* whole blocks of it are written at once; aligned to one */
    uint64_t at; /* where in the segment `piece` belongs, */
    size_t fill; /* and what it holds: between batches, the block in which the newest ends, up to there */
};

void log_files_init(struct log_files *f, const char *folder, uint64_t segment_bytes);
/* Opens what is there, nothing of it read: RC_CORRUPT when one is missing between others. */
MUST_USE enum rc log_files_open(struct log_files *f, struct kv_error *error);
void log_files_close(struct log_files *f);

/* Writes one batch behind the newest and syncs it. Afterwards the last segment is the one that holds it, and *at is where
 * its head is. */
MUST_USE enum rc log_files_write(struct log_files *f, const struct log_state *state, uint64_t prev_term,
                                 const struct log_entry *entries, size_t count, uint32_t secret, uint64_t *at,
                                 struct kv_error *error);
/* Deletes, oldest first, segments whose entries are all at or before `index`, but for some that are kept to be written
 * anew, and the last. */
MUST_USE enum rc log_files_drop(struct log_files *f, uint64_t index, struct kv_error *error);
/* Deletes those behind `count`, which hold nothing. */
MUST_USE enum rc log_files_forget_behind(struct log_files *f, size_t count, struct kv_error *error);

/* Appends `len` bytes of the segment `number`. RC_NOT_FOUND: there is none any more. From any thread. */
MUST_USE enum rc log_files_read(struct log_files *f, uint64_t number, uint64_t at, uint64_t len,
                                struct buf *out, struct kv_error *error);

#endif
