/* The simulator's databases behind storage/kv.h, as the disk sees them. */
#ifndef SIM_KV_H
#define SIM_KV_H

#include <stddef.h>

struct kvdb;
struct process;

void kvdb_free(struct kvdb *db);
void kvdb_power_cut(struct kvdb *db);
void kvdb_rot(struct kvdb *db); /* one row can no longer be read */
size_t kvdb_rows(const struct kvdb *db);
void kvdb_process_ended(const struct process *p);

#endif
