/* The floor of the Raft log: one small file beside it that says which batch was surely synced, written after each sync
 * without a sync of its own. It outlives the process, so damage at the very end of the log is not taken for a write that a
 * power cut tore. It also holds the log's secret. Byte table: README.md. */
#ifndef STORAGE_LOG_FLOOR_H
#define STORAGE_LOG_FLOOR_H

#include "log_record.h"

struct log_floor {
    int fd;          /* -1: not open */
    uint32_t secret; /* begins the checksums of batches */
};

/* What it said last. */
struct log_floor_mark {
    uint64_t seq, last_index, last_term;
};

/* RC_NOT_FOUND when there is none. One readable slot is enough: it is the newest, or the one before. */
MUST_USE enum rc log_floor_open(struct log_floor *f, const char *folder, struct log_floor_mark *mark,
                                struct kv_error *error);
/* Durable when it returns, with a secret of its own: before the log's first batch. */
MUST_USE enum rc log_floor_create(struct log_floor *f, const char *folder, struct kv_error *error);
MUST_USE enum rc log_floor_write(struct log_floor *f, const struct log_state *state, struct kv_error *error);
void log_floor_close(struct log_floor *f);

#endif
