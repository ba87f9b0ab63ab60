/* Watched keys: who watches what, and who was betrayed. No versions are stored: while a session of the leader watches, the
 * keyspace tells of each change to a key that is watched (ks_watch). Belongs to the loop thread.
 *
 * What is in the log and not applied yet is told apart by serial numbers of whoever proposes (node/README): each write that
 * goes into the log leaves, with those who watch its keys, the serial number of the entry it is in. */
#ifndef CMD_WATCH_H
#define CMD_WATCH_H

#include "keyspace.h"
#include "transaction.h"

struct watched_key;

struct watch_table {
    struct watched_key **buckets;
    size_t bucket_count, key_count; /* a power of two, or 0 */
    struct keyspace *ks;            /* whose changes are heard; means nothing while nobody watches */
};

void watch_table_free(struct watch_table *w);
/* Nothing happens when the session watches it already. */
void watch_add(struct watch_table *w, struct keyspace *ks, struct transaction *t, int db, struct slice key,
               int64_t now_ms);
/* `ks` as it is now; NULL: there is none any more. */
void watch_forget(struct watch_table *w, struct keyspace *ks, struct transaction *t);
/* True when a key that was there when it was watched has expired meanwhile. */
bool watch_has_expired(const struct watch_table *w, const struct transaction *t, int64_t now_ms);
/* The earliest deadline of what is watched and not expired; 0: there is none. */
int64_t watch_deadline(const struct watch_table *w, const struct transaction *t);
/* A write that names this key (whatever the database) goes into the entry `serial`; key.data NULL: any key. */
void watch_suspect(const struct watch_table *w, struct slice key, uint64_t serial);

#endif
