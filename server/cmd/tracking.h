/* Client side caching: who keeps what in a memory of its own, and has to hear when it changes. All of it is the leader's:
 * the keyspace tells of each change (ks_watch), reads are remembered as they run. Belongs to the loop thread.
 *
 *     key -> those who read it       told, and forgotten, when the key changes (the ordinary mode)
 *     prefix -> those who ask for it told of all keys that changed, once a turn (BCAST)
 *
 * Nothing of it is in a log: a leader that is deposed closes the connections that track, and no cache outlives its connection. */
#ifndef CMD_TRACKING_H
#define CMD_TRACKING_H

#include "keyspace.h"
#include "list.h"

struct cmd_ctx;
struct reply;
struct server;
struct session;
struct tracked_key;
struct tracking_change;

/* What a session tracks. It outlives the session while keys name it. */
struct tracking_client {
    struct session *session; /* NULL: gone */
    uint64_t number;         /* never used again: the order of those who read a key */
    size_t key_count;        /* that name it */
    bool is_on, is_broadcast, opts_in, opts_out, no_loop;
    bool
        caching; /* CLIENT CACHING was said: of the next command, or of the transaction that begins with it */
    bool is_broken;         /* a message could not be redirected */
    uint64_t redirect;      /* the id it was given, 0: messages go to the session itself */
    struct session *target; /* who has that id; NULL: gone */
    struct list of_target;  /* in target->redirects */
    struct list prefixes;   /* of struct prefix_client.of_client */
    size_t prefix_bytes;
};

struct tracking {
    struct tracked_key **buckets; /* linear hashing: bucket_base of them, and those that were split already */
    size_t bucket_base, bucket_count, bucket_cap;
    size_t key_count, item_count; /* items: a key as read by one client */
    size_t hand;                  /* where eviction goes on */
    unsigned evictions_in_vain;
    uint64_t client_count, next_number; /* clients: those that track now */
    struct list prefixes;               /* of struct tracking_prefix.link, in their order */
    size_t prefix_count;
    struct tracking_change *changes; /* since the last broadcast */
    size_t change_count, change_cap;
    uint64_t change_number;
    bool caching;                    /* what runs now was asked for behind CLIENT CACHING */
    const struct cmd_ctx *outermost; /* what runs now: of a script, what called it */
};

struct tracking_options {
    uint64_t redirect;
    struct session *target; /* who has that id */
    bool is_broadcast, opts_in, opts_out, no_loop;
};

void tracking_init(struct tracking *t);
void tracking_free(struct tracking *t);

/* CLIENT TRACKING ON; what the options say was checked. */
void tracking_enable(struct server *server, struct session *session, const struct tracking_options *options,
                     const struct slice *prefixes, size_t prefix_count);
void tracking_disable(struct server *server, struct session *session);
/* It closes. */
void tracking_forget(struct server *server, struct session *session);
/* Calls `visit` for each prefix of the session, in their order. */
typedef bool tracking_prefix_fn(void *arg, struct slice prefix);
void tracking_each_prefix(const struct server *server, const struct session *session,
                          tracking_prefix_fn *visit, void *arg);

/* What the session's prefixes take; keys are the table's. */
size_t tracking_memory(const struct session *session);
/* CLIENT CACHING was said and still counts. */
bool tracking_is_caching(const struct session *session);
/* A command of a session that tracks, or did, was taken: CLIENT CACHING counts no more, unless it was that. */
void tracking_command_taken(struct session *session);

/* A command begins to run, and has run: what it read is remembered. The first says what the second wants to hear. */
const struct cmd_ctx *tracking_enter(struct cmd_ctx *c);
void tracking_leave(struct cmd_ctx *c, const struct cmd_ctx *outer);

/* A database was emptied or exchanged: everything that anybody keeps is void. */
void tracking_flushed(struct server *server);
/* Brings the table back towards tracking-table-max-keys, by telling those who keep other keys that they changed. */
void tracking_limit(struct server *server);
/* End of a turn: BCAST. */
void tracking_broadcast(struct server *server);

#endif
