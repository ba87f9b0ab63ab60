/* RocksDB's WAL files of the Raft log, as they lie on disk before RocksDB replays them. A recycled file still holds, behind
 * the newest record, what its former life left there; RocksDB 7.8 in the one recovery mode that recycles reads such
 * a rest for ever and never comes back (and would skip over damage in silence). So the rest is cut off first, by us.
 *
 * RocksDB writes one record for each batch, and raft_log.c writes a batch only after the one before it was synced. Hence
 * bytes that are no record end the file, unless a record starts somewhere behind them: then what is broken had been synced. */
#ifndef STORAGE_WAL_H
#define STORAGE_WAL_H

#include "kv.h"

/* `number` is the file's, from its name. RC_OK: the file holds whole records of its own, then at most pieces of one
 * more. RC_CORRUPT: a synced record is damaged; the file is as it was. Nobody else may have the file open. */
MUST_USE enum rc wal_trim(int fd, uint64_t number, struct kv_error *error);

#endif
