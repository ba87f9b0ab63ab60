/* Streams: entries of fields and values under ascending ids, and groups of consumers that share the reading of them.
 *
 * A stream is a big collection from the beginning, because it may well be empty. Its tree has the entries, some hundred in a leaf; the
 * header row has its counters, its groups and their consumers; each group has a tree of its own for what was delivered and not
 * acknowledged. Formats are in README.md.
 *
 * Nothing here asks what an id may be or whether a trimming is wise: that is the commands' (server/cmd/cmd_stream*.c). */
#ifndef STORAGE_TYPE_STREAM_H
#define STORAGE_TYPE_STREAM_H

#include "keyspace.h"

struct stream_id {
    uint64_t ms, seq;
};
#define STREAM_ID_MAX ((struct stream_id){UINT64_MAX, UINT64_MAX})

static inline int stream_id_cmp(struct stream_id a, struct stream_id b) {
    if (a.ms != b.ms) return a.ms < b.ms ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}
static inline bool stream_id_is_zero(struct stream_id id) {
    return id.ms == 0 && id.seq == 0;
}
/* The neighbouring id; false when there is none. */
bool stream_id_next(struct stream_id *id);
bool stream_id_prev(struct stream_id *id);

/* --- the stream itself --- */

struct stream_state {
    uint64_t length;
    uint64_t entries_added; /* ever, as far as XSETID did not say otherwise */
    struct stream_id first; /* 0-0 when it is empty */
    struct stream_id last;  /* the greatest ever given */
    struct stream_id max_deleted;
};

/* An empty one at a key that is not there. */
struct object *stream_create(struct keyspace *ks, int db, struct slice key);
const struct stream_state *stream_state(const struct object *o);
/* XSETID, RESTORE: everything but the length is taken as it is. */
void stream_set_state(struct keyspace *ks, int db, struct object *o, const struct stream_state *state);
/* Redis's radix tree of these nodes would have so many keys, and so many nodes of its own. */
uint64_t stream_nodes(const struct object *o);
uint64_t stream_radix_nodes(const struct object *o);

/* `pairs` are fields and values in turn, of so many bytes at most; the id is above state.last. */
enum { STREAM_ENTRY_BYTES_MAX = 1 << 30 };
void stream_append(struct keyspace *ks, int db, struct object *o, struct stream_id id,
                   const struct slice *pairs, size_t pair_count);
/* False when there is no such entry. Touches of the state only the length and what is first and deleted. */
bool stream_delete(struct keyspace *ks, int db, struct object *o, struct stream_id id);

struct stream_trim {
    bool by_length;   /* else by id */
    bool whole_nodes; /* nothing smaller goes: cheap, and stops short of what was asked for */
    uint64_t length_max;
    struct stream_id id_min;
    uint64_t deletes_max; /* 0: no bound */
};
/* Returns how many entries went. */
uint64_t stream_trim(struct keyspace *ks, int db, struct object *o, const struct stream_trim *how);

/* --- reading: all of this is good until the next change of the stream --- */

struct tree_leaf;

/* A leaf's pack, looked into (type_stream_node.c). */
struct stream_node {
    struct slice pack;
    struct stream_id master;     /* ids of entries are kept as differences to it */
    int64_t count, deleted;      /* entries that are there; that are only marked */
    uint64_t fields;             /* of the master entry, which others may share */
    size_t count_at, deleted_at; /* offsets in the pack */
    size_t fields_at, entries_at;
};

struct stream_entry {
    struct stream_id id;
    size_t pairs; /* left to be read */
    /* The rest is the reader's. */
    struct slice pack;
    size_t at, field_at, value_at;
    int64_t flags;
};

struct stream_cursor {
    struct stream_id from, to;
    bool reverse;
    struct tree_leaf *leaf;
    struct stream_node node;
    size_t at;
};

/* Entries with ids from `from` to `to`, both included. */
void stream_seek(struct stream_cursor *cur, const struct object *o, struct stream_id from,
                 struct stream_id to, bool reverse);
bool stream_next(struct stream_cursor *cur, struct stream_entry *e);
/* The next pair of the entry, pairs > 0; integers are spelled into `scratch`. */
struct stream_pair {
    struct slice field, value;
    char scratch[2][24];
};
void stream_entry_pair(struct stream_entry *e, struct stream_pair *pair);
bool stream_has(const struct object *o, struct stream_id id);
/* The last entry's id; 0-0 when there is none. */
struct stream_id stream_last_entry(const struct object *o);

/* --- groups --- */

#define STREAM_READ_UNKNOWN (-1)

struct tree;

struct stream_consumer {
    uint64_t number; /* names it in pending entries; never given again within its group */
    int64_t seen_ms;
    struct tree *pending; /* ids; built when the stream is loaded */
    uint32_t name_len;
    char name[];
};

struct stream_group {
    struct stream_id last;              /* delivered up to here */
    int64_t entries_read;               /* STREAM_READ_UNKNOWN */
    struct tree *pending;               /* delivered and not acknowledged */
    struct stream_consumer **consumers; /* by name */
    struct stream_consumer **numbered;  /* the same, by number */
    size_t consumer_count, consumer_cap;
    uint64_t next_number;
    uint32_t name_len;
    char name[];
};

static inline struct slice stream_consumer_name(const struct stream_consumer *c) {
    return slice_make(c->name, c->name_len);
}
static inline struct slice stream_group_name(const struct stream_group *g) {
    return slice_make(g->name, g->name_len);
}

size_t stream_group_count(const struct object *o);
/* By name, ascending. */
struct stream_group *stream_group_at(const struct object *o, size_t i);
/* NULL: no such group, or consumer. */
struct stream_group *stream_group_find(const struct object *o, struct slice name);
struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct slice name);

/* There is none of that name yet. */
struct stream_group *stream_group_create(struct keyspace *ks, int db, struct object *o, struct slice name,
                                         struct stream_id last, int64_t entries_read);
void stream_group_destroy(struct keyspace *ks, int db, struct object *o, struct stream_group *g);
void stream_group_set(struct keyspace *ks, int db, struct object *o, struct stream_group *g,
                      struct stream_id last, int64_t entries_read);
struct stream_consumer *stream_consumer_create(struct keyspace *ks, int db, struct object *o,
                                               struct stream_group *g, struct slice name, int64_t seen_ms);
void stream_consumer_seen(struct keyspace *ks, int db, struct object *o, struct stream_consumer *consumer,
                          int64_t seen_ms);
/* Its pending entries go with it. */
void stream_consumer_delete(struct keyspace *ks, int db, struct object *o, struct stream_group *g,
                            struct stream_consumer *consumer);

struct stream_pending {
    struct stream_id id;
    struct stream_consumer *consumer;
    int64_t delivered_ms;
    int64_t deliveries;
};

uint64_t stream_pending_count(const struct stream_group *g);
uint64_t stream_consumer_pending_count(const struct stream_consumer *consumer);
/* The group's first pending entry at or behind `from`, of this consumer (NULL: of any); false when there is none. */
bool stream_pending_find(const struct stream_group *g, const struct stream_consumer *consumer,
                         struct stream_id from, struct stream_pending *out);
/* The group's last one; false when there is none. */
bool stream_pending_last(const struct stream_group *g, struct stream_pending *out);
bool stream_pending_get(const struct stream_group *g, struct stream_id id, struct stream_pending *out);
/* Adds it, or changes the one of this id. */
void stream_pending_put(struct keyspace *ks, int db, struct object *o, struct stream_group *g,
                        const struct stream_pending *p);
/* False when there is none of this id. */
bool stream_pending_remove(struct keyspace *ks, int db, struct object *o, struct stream_group *g,
                           struct stream_id id);

#endif
