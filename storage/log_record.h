/* A batch of the Raft log as bytes. Pure. Byte tables: README.md.
 *
 *     head | one row for each entry | payloads | padding to 8
 *
 * The head says what the log is after the batch (where it ends, its mark, term and vote) and counts batches; it and the rows
 * are under one checksum, begun with the log's secret, so that no client's value passes for a batch. Each row has the
 * checksum of its own payload. */
#ifndef STORAGE_LOG_RECORD_H
#define STORAGE_LOG_RECORD_H

#include "buf.h"
#include "raft_log.h"

enum { LOG_HEAD_BYTES = 96, LOG_ROW_BYTES = 24, LOG_ENTRIES_MAX = 1 << 24, LOG_ALIGN = 8 };

/* What the log is after a batch. */
struct log_state {
    uint64_t seq; /* of the batch, from 1; 0: nothing was ever written */
    struct log_hard_state hard_state;
    struct log_mark mark;
    uint64_t last_index, last_term;
};

struct log_head {
    struct log_state state;
    uint64_t bytes; /* of the whole record, padding included */
    uint32_t entry_count;
    uint64_t first_index,
        prev_term; /* of the entries, and the term of the entry before them; 0 without entries */
};

struct log_row {
    uint64_t term, len;
    uint32_t crc;
    uint8_t kind;
};

uint64_t log_record_bytes(const struct log_entry *entries, size_t count);
/* Appends head and rows; the payloads, one behind the other, and the padding follow. */
void log_record_add(struct buf *out, const struct log_state *state, uint64_t prev_term,
                    const struct log_entry *entries, size_t count, uint32_t secret);

static inline bool log_head_may_begin(const char *p) {
    return memcmp(p, "RdL2", 4) == 0;
}
/* How many bytes head and rows take, by what the head's first LOG_HEAD_BYTES say; 0 when they are no head. Not believed
 * before log_record_parse has seen all of these bytes. */
uint64_t log_head_bytes(struct slice head);
bool log_record_parse(struct slice head_and_rows, uint32_t secret, struct log_head *out);
/* Of one that was parsed. */
struct log_row log_record_row(struct slice head_and_rows, uint32_t i);
uint32_t log_payload_crc(uint32_t crc, struct slice piece); /* begun with log_row_seed */
uint32_t log_row_seed(uint64_t index, uint64_t term,
                      uint8_t kind); /* so that no entry is taken for another */

#endif
