/* The insides of peer_net.h, shared by peer_net.c (listeners, RAFT links), peer_link.c and peer_greeting.c (one
 * connection), peer_stream.c (snapshots and control), upstream.c. */
#ifndef NET_PEER_NET_INTERNAL_H
#define NET_PEER_NET_INTERNAL_H

#include "peer_link.h"
#include "rng.h"

enum {
    PEER_SCRATCH_SIZE = 64 * 1024,
    PEER_COMPLAINTS_MAX = 64, /* (address, reason) pairs remembered so as not to be logged again */
    PEER_COMPLAINT_MS = 60000,
};

/* Why a line was logged, to whom: not again within a minute. */
struct complaint {
    char whom[RAFT_ADDRESS_CAP];
    uint32_t code;
    uint64_t ms;
};

struct peer_net {
    uv_loop_t *loop;
    struct peer_net_handler handler;
    uint64_t id;
    struct peer_origin origin;
    char address[RAFT_ADDRESS_CAP];
    char *secret; /* NULL: none */
    size_t frame_bytes_max, out_bytes_max;
    uint64_t greeting_ms;
    struct rng rng;
    uv_timer_t watch; /* LINK_WATCH_MS */
    struct list listeners;
    struct list links;     /* all but strangers */
    struct list strangers; /* oldest first */
    struct list to_flush;
    size_t stranger_count, accepted_count;
    struct peer **peers; /* in the order of peer_net_set_peers */
    size_t peer_count;
    int handles_open; /* of listeners, peers and `watch` */
    size_t links_open;
    bool closing;
    char *scratch; /* input of the link being read, when it has none left over */
    bool scratch_busy;
    struct peer_append_store store;
    struct complaint complaints[PEER_COMPLAINTS_MAX];
};

/* A line in the log, unless one was logged for this address and reason within the last minute. `code` is an
 * enum peer_refusal or one of these. */
enum { COMPLAINT_UNREACHABLE = 1000, COMPLAINT_SILENT, COMPLAINT_BROKEN, COMPLAINT_TOO_MANY };
void peer_net_complain(struct peer_net *pn, const char *whom, uint32_t code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* It was well with him since: what comes next is news. */
void peer_net_forget_complaints(struct peer_net *pn, const char *whom);

/* The ops of an accepted link, once it is let in. */
const struct link_ops *peer_net_ops_for(enum peer_link_kind kind);
/* peer_stream.c */
extern const struct link_ops accepted_stream_ops, accepted_control_ops;

#endif
