/* A simulated network of machines: connections as TCP makes them (bytes in order, or an end), over links that delay,
 * clog, lose and break. What TCP hides from its users it hides here: a lost segment is a pause, a partition is silence,
 * and then either everything that was sent or a reset. Frames of peer links can be duplicated, dropped and reordered
 * one by one, as if the links were no streams (network_shuffle). */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "buf.h"
#include "world.h"

enum { HOSTS_MAX = 24 };

/* One direction of one pair of hosts. The plan turns these while the world runs. */
struct link_manners {
    uint64_t delay_us;                            /* mean */
    double loss;                                  /* chance that a segment needs a retransmission */
    bool cut;                                     /* nothing arrives */
    uint64_t clog_us;                             /* added to each delay */
    double drop_frame, copy_frame, reorder_frame; /* chances for each frame of a peer link */
};

struct socket;
struct listener;

struct socket_events {
    void (*connected)(struct socket *s, int error); /* 0, or a negative errno */
    void (*readable)(struct socket *s);             /* bytes came, or the end */
    void (*writable)(struct socket *s);             /* there is room again after there was none */
};

struct socket {
    struct list link;    /* of all */
    struct socket *peer; /* NULL when the other side is gone */
    int host, port, peer_host, peer_port;
    const struct socket_events *events;
    void *owner;
    struct buf in;    /* arrived, not read */
    bool established; /* as this side sees it */
    bool eof;         /* the peer has closed, and everything it sent before is in `in` */
    int error;        /* a negative errno: the connection is broken */
    bool closed;      /* by its program: lives on until what it sent has arrived */
    bool blocked;     /* its program was told that there is no room */
    bool is_peer_link, from_initiator;

    struct list sent; /* struct segment: on its way to the peer, in order */
    uint64_t sent_bytes, last_arrival_us, stuck_since_us;
    struct buf frame; /* of a peer link: the beginning of a frame that is still being written */
    struct sim_timer arrival, connecting;
    struct sim_timer keepalive;
    uint64_t keepalive_us; /* 0: off */
    unsigned attempts;
    uint64_t id;
};

void network_begin(int hosts);
void network_end(void);
struct link_manners *network_link(int from, int to);
/* The port from which on connections are peer links. */
void network_peer_ports(int from);

struct listener *network_listen(int host, int port, void (*incoming)(void *arg),
                                void *arg); /* NULL: in use */
void network_unlisten(struct listener *l);
bool network_has_incoming(const struct listener *l);
/* An accepted connection, or NULL. */
struct socket *network_accept(struct listener *l, const struct socket_events *events, void *owner);

struct socket *network_connect(int host, int to_host, int to_port, const struct socket_events *events,
                               void *owner);
size_t socket_write(struct socket *s, const char *data, size_t len); /* how much was taken */
void socket_finish(struct socket *s);               /* nothing more will be written; reading goes on */
void socket_consumed(struct socket *s, size_t len); /* bytes of `in` were read */
/* Closed by the program: what was written still arrives, then the end. Freed when all is delivered. */
void socket_close(struct socket *s);
/* Notices now and then when nobody is at the other end any more, also when nothing is sent. */
void socket_keepalive(struct socket *s, uint64_t us);
/* At once, and the peer hears that it was. */
void socket_reset(struct socket *s);
/* The machine is gone: nobody is told. Later it is there again. */
void network_power(int host, bool on);

struct network_stats {
    uint64_t segments, bytes, frames, dropped, copied, reordered;
};
struct network_stats network_stats(void);
void network_tell(void); /* each socket's standing, to standard output */

#endif
