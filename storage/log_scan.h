/* What is in the Raft log's files, batch by batch, and whether something is missing. */
#ifndef STORAGE_LOG_SCAN_H
#define STORAGE_LOG_SCAN_H

#include "log_files.h"

/* A whole batch: its head, the bytes it was parsed from, and where it lies. */
typedef enum rc log_scan_fn(void *arg, const struct log_head *head, struct slice head_and_rows,
                            uint64_t segment, uint64_t at, struct kv_error *error);

struct log_scan_result {
    size_t segments; /* up to the one that holds the newest batch; those behind hold nothing */
    uint64_t seq;    /* of the newest batch; 0: there is none */
};

/* Visits the batches in order and sets `end` and `top_index` of their segments. What follows the newest one is a batch that a
 * power cut tore, or older than the segment; RC_CORRUPT when it is anything else, or when a batch is missing. What a killed
 * process wrote may be in the page cache only, and is about to be counted as stored: so the files are synced first, and
 * then read from the disk, because after a failed sync the cache is not the disk. */
MUST_USE enum rc log_scan(struct log_files *f, uint32_t secret, log_scan_fn *visit, void *arg,
                          struct log_scan_result *result, struct kv_error *error);

#endif
