/* RocksDB's WAL files of the Raft log, as they lie on disk before RocksDB replays them. A recycled file
 * still holds, behind the newest record, what its former life left there; RocksDB 7.8 in the one recovery
 * mode that recycles reads such a rest for ever and never comes back (and would skip over damage in
 * silence). So raft_log_open cuts the rest off first. Pure: bytes in, an offset out. */
#ifndef STORAGE_WAL_H
#define STORAGE_WAL_H

#include "slice.h"

/* Where the whole records end that were written for the file of this number, counted from the start. */
size_t wal_end(struct slice file, uint64_t number);

#endif
