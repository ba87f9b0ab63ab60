/* Between net.c (listeners, all connections) and conn.c (one connection). */
#ifndef NET_NET_INTERNAL_H
#define NET_NET_INTERNAL_H

#include "net.h"

enum { NET_SCRATCH_SIZE = 64 * 1024 };

struct conn *conn_new(struct net *net); /* its libuv handle is still to be initialised */
void conn_start(struct conn *c);        /* enters the handler's registry and reads */
void conn_abandon(struct conn *c);      /* closes one that was never started */
void conn_flush(struct conn *c);
void conn_look_after(struct conn *c); /* idle too long, or behind with reading too long: closed */
void conn_resume(struct conn *c);

#endif
