/* A client connection that is passed on: a socket of its own to the leader's peer port (link kind FORWARD), commands out,
 * replies back, both as the bytes they are. What goes where, and what a broken upstream means for the client, is the
 * node's.
 *
 *                 upstream_open              TCP, HELLO .. WELCOME            end of file, error, refused
 *        (none) ----------------> OPENING ------------------------> UP -------------------------------------------> CLOSED
 *                                    |  refused, not reached, too long                                                ^
 *                                    +--------------------------------------------------------------------------------+
 *
 * Bytes sent while OPENING wait. `down` is called once, and no other callback after it; upstream_close, which is owed
 * exactly once, before or after, gives the memory back and is followed by no callback at all.
 * Replies arrive as they come, not whole by whole: a reply of a gigabyte passes through in pieces. */
#ifndef NET_UPSTREAM_H
#define NET_UPSTREAM_H

#include "peer_net.h"

struct upstream;

struct upstream_handler {
    void *arg;
    void (*up)(void *arg); /* welcomed */
    /* Bytes as they come; they may begin and end inside of a reply. */
    void (*bytes)(void *arg, struct slice bytes);
    /* Nothing more comes. code: enum peer_refusal when the other side refused, otherwise 0. */
    void (*down)(void *arg, uint32_t code, const char *why);
    /* The bytes that wait to be sent have fallen below UPSTREAM_QUEUE again. May be NULL. */
    void (*writable)(void *arg);
};

enum { UPSTREAM_QUEUE = 4 << 20 /* the caller pauses its client above it */ };

/* Connects to the node `target` at `address` (as in struct raft_member). `client` goes into the HELLO: copied, names longer
 * than PEER_NAME_MAX cut. */
struct upstream *upstream_open(struct peer_net *pn, const char *address, uint64_t target,
                               const struct peer_client *client, const struct upstream_handler *handler);
/* Appends; copied. Allowed in every state: what goes to one that is down goes nowhere. */
void upstream_send(struct upstream *u, struct slice bytes);
struct buf *upstream_out(struct upstream *u); /* the same without the copy */
/* Likewise: takes the whole buffer, which stays where it is until it is flushed. False when others' bytes wait to go first. */
bool upstream_take(struct upstream *u, struct buf *bytes);
/* Writes what was appended. peer_net_flush does it for every upstream that was touched in this turn. */
void upstream_flush(struct upstream *u);
size_t upstream_unsent(const struct upstream *u);
bool upstream_is_up(const struct upstream *u);
/* Back-pressure: while paused nothing is read, so `bytes` is not called. */
void upstream_pause(struct upstream *u);
void upstream_resume(struct upstream *u);
/* Half-closes: the leader sees the end of the client's commands, answers what it got, and closes. */
void upstream_finish(struct upstream *u);
/* At once. */
void upstream_close(struct upstream *u);

#endif
