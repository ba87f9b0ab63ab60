/* Streams in RDB payloads, to be read: looked through wholly before anything is made of them. Pure.
 *
 *     nodes: count, so many times  text: the 16 bytes of an id, big-endian | text: a pack
 *         the pack: entries, of them deleted, fields, so many field names, 0, then each entry:
 *             flags (1 deleted, 2 the node's fields), two differences to the node's id,
 *             values; or how many pairs, and pairs, | how many pack entries this was
 *     length, last id (two lengths); with type 19 also: first id, greatest deleted id, entries ever added
 *     groups: count, so many times  text: name | last id | with type 19: entries read
 *         pending: count, so many times  id (16 bytes), time of delivery (8), deliveries
 *         consumers: count, so many times  text: name | time seen (8) | count, so many ids of what is pending */
#ifndef STORAGE_RDB_STREAM_H
#define STORAGE_RDB_STREAM_H

#include "rdb_value.h"
#include "type_stream.h"

/* What is met, in this order: nodes, the state, then each group with its consumers, each with what is pending for it. */
struct rdb_stream_visitor {
    void *arg;
    /* A leaf of such a tree as streams are kept in (README.md), good during the call; how many entries it has, and how many that are
     * only marked as deleted. */
    void (*node)(void *arg, struct stream_id master, struct slice leaf, uint32_t entries, uint32_t deleted);
    void (*state)(void *arg, const struct stream_state *state);
    void (*group)(void *arg, struct slice name, struct stream_id last, int64_t entries_read);
    void (*consumer)(void *arg, struct slice name, int64_t seen_ms);
    void (*pending)(void *arg, struct stream_id id, int64_t delivered_ms, int64_t deliveries);
};

/* Whether `body`, what follows the type in a payload, is a sound stream: ids ascend, counts are right, and what is pending is
 * pending for exactly one consumer. The visitor's functions may be NULL. */
bool rdb_stream_read(struct slice body, enum rdb_type type, const struct rdb_stream_visitor *visitor);

#endif
