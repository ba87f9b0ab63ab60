/* A connection of this server's to another one, for one request: connect, send, hand on what comes back. Names are looked up, and
 * everything else is done, without the loop ever waiting; nothing may stand still for longer than the time given. */
#ifndef NET_OUTGOING_H
#define NET_OUTGOING_H

#include "buf.h"

struct net;
struct outgoing;

enum outgoing_step { OUTGOING_CONNECTING, OUTGOING_WRITING, OUTGOING_READING };

/* Each may close it. */
struct outgoing_handler {
    void *arg;
    void (*bytes)(void *arg, struct slice bytes);
    /* It has failed, or nothing happened for too long. It is closed already, and gone. */
    void (*failed)(void *arg, enum outgoing_step step);
};

/* Takes the request's bytes over. Never calls back before it returns. */
struct outgoing *outgoing_open(struct net *net, const char *host, int port, int64_t patience_ms,
                               struct buf *request, const struct outgoing_handler *handler);
/* No call comes after it. */
void outgoing_close(struct outgoing *o);

#endif
