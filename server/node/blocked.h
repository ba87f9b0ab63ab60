/* Connections whose command waits for something: blocked.c keeps them, serve.c gives them what has come. Only these two
 * include this; what the rest of the node calls is in node_internal.h. */
#ifndef NODE_BLOCKED_H
#define NODE_BLOCKED_H

#include "cmd_block.h"
#include "node_internal.h"

/* How a wait ends when not by what was waited for. */
enum block_end { END_NONE, END_TIMEOUT, END_CLIENT_UNBLOCK, END_DEPOSED };

/* One connection that waits, with its command as it is to run again. */
struct blocked {
    struct list link; /* in blocking.for_keys or .for_replicas */
    struct conn *conn;
    const struct command *cmd;
    enum object_type type;
    int db, argc;
    struct slice *argv; /* into `bytes` */
    struct buf bytes;
    bool silent;            /* CLIENT REPLY */
    bool in_flight;         /* an entry that serves it is on its way: what that does comes first */
    enum block_end end;     /* how it is to end if that entry brings it nothing */
    uint64_t until_us;      /* 0: for ever */
    size_t heap_at;         /* its place in blocking.heap + 1; 0: none */
    int64_t replicas;       /* WAIT: for so many nodes ... */
    uint64_t write_index;   /* ... that have this entry */
    struct key_wait *waits; /* one for each key, none for WAIT */
    int wait_count;
};

struct key_wait {
    struct list link; /* in key_queue.waits */
    struct blocked *blocked;
    struct key_queue *queue;
};

/* Those who wait for one key, oldest first. There is one exactly while somebody does. */
struct key_queue {
    struct key_queue *chain; /* next in its bucket */
    struct list waits;
    struct list ready_link; /* in blocking.ready: something may be there */
    bool is_fresh;          /* and those who only read have not been told */
    size_t stream_waits;    /* who of them reads a stream */
    uint64_t hash;
    int db;
    size_t key_len;
    char key[];
};

/* As many as there are connections at most: maxclients bounds all of it. */
struct blocking {
    struct list for_keys, for_replicas; /* all of them */
    struct list ready;                  /* key queues, in the order in which their keys became ready */
    struct list unblocked; /* conn.held_link: answered, to go on with what they have sent since */
    uint64_t seed;         /* drawn by this process: nobody can choose keys that share a bucket */
    struct key_queue **buckets;
    size_t bucket_count, queue_count; /* a power of two, or 0 */
    struct blocked **heap;            /* by until_us */
    size_t heap_count, heap_cap;
};

static inline struct slice queue_key(const struct key_queue *q) {
    return slice_make(q->key, q->key_len);
}
struct key_queue *queue_find(const struct blocking *k, int db, struct slice key); /* NULL: nobody waits */
/* It was answered: it is forgotten, and its connection goes on. `took`: those behind it are to be offered the rest. */
void blocked_served(struct node *n, struct blocked *b, bool took);
/* Answers as that end wants. */
void blocked_end(struct node *n, struct blocked *b, enum block_end how);

#endif
