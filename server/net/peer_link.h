/* One connection between nodes, whichever side opened it: connecting, the handshake, frames or bytes in, bytes out,
 * closing. Between peer_net.c (whom RAFT links are kept to), peer_stream.c (snapshots, control), upstream.c (forwarded
 * clients); nobody else sees it.
 *
 *     initiator: RESOLVING -> CONNECTING -> GREETING -> UP          responder: STRANGER -> (PROVING) -> UP
 *                      any of these --link_close, link_finish, the network--> CLOSING -> freed
 *
 * A link is freed behind its `closed` callback, which comes from the loop, once. What its owner is told before that, and
 * what the owner does with it, may close the link: whoever calls a callback looks at the state again afterwards. */
#ifndef NET_PEER_LINK_H
#define NET_PEER_LINK_H

#include "list.h"
#include "peer_net.h"

enum { LINK_MAGIC = 0x4c494e4b, LINK_WATCH_MS = 2000 };

enum link_state {
    LINK_RESOLVING,
    LINK_CONNECTING,
    LINK_GREETING,
    LINK_STRANGER,
    LINK_PROVING,
    LINK_UP,
    LINK_CLOSING
};

struct link;

/* What a link is for; const, one for each use. */
struct link_ops {
    enum peer_link_kind kind;
    size_t keep_bytes;          /* an output buffer larger than this is given back when it is empty */
    bool is_timed_whole;        /* the time-out is for all of its life, not only for the handshake */
    void (*up)(struct link *l); /* welcomed, or welcome: may be NULL */
    /* One of the two: a frame after the handshake, or the bytes as they come. */
    void (*frame)(struct link *l, const struct peer_frame *f);
    void (*bytes)(struct link *l, struct slice bytes);
    void (*writable)(struct link *l); /* fewer than queue_max bytes wait again; may be NULL */
    size_t queue_max;
    void (*closed)(struct link *l); /* l->code and l->why say how it ended; the owner lets go of it */
};

struct link {
    uint32_t magic;
    struct peer_net *pn;
    const struct link_ops *ops; /* of an accepted one: NULL until its HELLO is accepted */
    void *owner;                /* NULL: nobody to tell */
    struct list link;           /* in pn->links; pn->strangers while it is one */
    struct list flush_link;     /* in pn->to_flush */
    enum link_state state;
    bool is_initiator;

    uv_tcp_t tcp;
    uv_timer_t timer; /* the handshake's end; later, what link_resume put off; last, the end of lingering */
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    uv_write_t write;
    uv_shutdown_t shutdown;
    int handles_open; /* of tcp and timer */
    bool is_resolving, is_sending, is_reading, is_paused;
    bool is_finishing;   /* nothing is delivered any more: what is left is sent */
    bool wants_shutdown; /* once everything is sent, our side of the connection is closed */
    bool is_shut;        /* it is */

    char
        address[RAFT_ADDRESS_CAP]; /* the peer's: what was given, or where it comes from ("127.0.0.1:1234") */
    uint64_t peer_id;              /* told in HELLO or WELCOME; before that whom we look for */
    struct peer_origin peer_origin;
    struct buf transcript;   /* the frames HELLO and CHALLENGE */
    struct peer_hello hello; /* ours or the stranger's; slices point into transcript */
    bool has_secret;         /* a CHALLENGE was said */

    struct buf in;      /* bytes of a frame that is not whole */
    struct slice rest;  /* while a frame is being handled: what came behind it */
    struct buf early;   /* what was to be sent before the link was up */
    struct buf out;     /* of this turn */
    struct buf sending; /* handed to libuv */
    struct list bulk;   /* whole frames that go in parts, one after `out` each turn: struct bulk_piece */
    size_t bulk_left;   /* bytes of it */
    struct buf lane;    /* of the parts that came: the frames that are not whole */
    struct buf apart;   /* the lane is the head of an append whose payload comes here ... */
    size_t apart_len;   /* ... and will be so long. 0: there is none */
    size_t wanted;      /* bytes that `in` must have before it is looked at again */
    uint64_t heard_ms;  /* loop time when bytes last came */
    uint64_t sent_ms;   /* and went */
    uint64_t frames_in, bytes_in, bytes_out;

    uint32_t code; /* why it closed: enum peer_refusal said by either side; 0: another reason */
    bool was_refused_by_peer;
    char why[PEER_WHY_CAP];
};

struct link_target {
    const char *address;
    uint64_t id;
    const struct peer_client *client; /* of FORWARD */
    uint64_t timeout_ms;
};

/* Never fails at once: what goes wrong is told by `closed`. */
struct link *link_open(struct peer_net *pn, const struct link_ops *ops, void *owner,
                       const struct link_target *target);
/* An accepted connection: a stranger. Its handle is still to be accepted into l->tcp. */
struct link *link_new_stranger(struct peer_net *pn);
void link_start_stranger(struct link *l);

/* Where bytes for the other side go: `early` until it is up. Touch it, and it leaves with the next link_flush_all. */
struct buf *link_out(struct link *l);
void link_touch(struct link *l);
void link_flush(struct link *l);
size_t link_unsent(const struct link *l);
/* The last bytes of `out`, whole frames, go in parts: what is appended to `out` from now on may overtake them. */
void link_move_to_bulk(struct link *l, size_t from);
/* Behind them, what is lent. */
void link_lend_to_bulk(struct link *l, const struct peer_lent *lent);
static inline size_t link_bulk_left(const struct link *l) {
    return l->bulk_left;
}
void link_pause(struct link *l);
void link_resume(struct link *l);
/* Sends what there is, closes our side, and reads on. */
void link_shutdown(struct link *l);
/* Sends what there is, closes our side, drops what still comes, and closes when the other side has too, or soon after. */
void link_finish(struct link *l, uint32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* At once. The first reason given is kept. */
void link_close(struct link *l, uint32_t code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends the link's part in a connection that goes on elsewhere: a duplicate of the socket, or -1. */
int link_take_socket(struct link *l);

/* Where it comes from, without the port, which is another one each time. */
const char *link_host(const struct link *l, char host[RAFT_ADDRESS_CAP]);
struct peer_frame link_header(const struct link *l, uint64_t term);

/* Called every LINK_WATCH_MS: closes it when the other machine is gone. */
void link_watch(struct link *l);
/* The handshake is done: what waited is sent, and its owner told. An accepted one has got its ops and owner before. */
void link_rise(struct link *l);

/* peer_greeting.c: the handshake. */
void greeting_begin(struct link *l); /* the initiator's connection is there */
/* A frame before the link is up; `bytes` is the whole frame as it came. */
void greeting_frame(struct link *l, const struct peer_frame *f, struct slice bytes);

static inline bool link_is_up(const struct link *l) {
    return l != NULL && l->state == LINK_UP && !l->is_finishing;
}

#endif
