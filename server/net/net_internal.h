/* Between net.c (listeners, all connections) and conn.c (one connection). */
#ifndef NET_NET_INTERNAL_H
#define NET_NET_INTERNAL_H

#include "net.h"

enum { NET_SCRATCH_SIZE = 64 * 1024 };

/* "127.0.0.1:6379", "[::1]:6379" */
void net_name_address(const struct sockaddr_storage *addr, char *out, size_t cap);
/* As Redis: what has no colon is an IPv4 address, or the name of one. "*" is all of IPv4, "::*" of IPv6. 0, or a libuv error. */
int net_find_address(uv_loop_t *loop, const char *host, int port, struct sockaddr_storage *out);

struct conn *conn_new(struct net *net); /* its libuv handle is still to be initialised */
void conn_start(struct conn *c);        /* enters the handler's registry and reads */
/* Bytes that came before the connection was ours: as if they had just been read. */
void conn_take(struct conn *c, struct slice bytes);
void conn_abandon(struct conn *c); /* closes one that was never started */
/* What it would send now; NULL: nothing, or it cannot. */
const struct buf *conn_ready_to_send(const struct conn *c);
void conn_flush(struct conn *c);
void conn_look_after(struct conn *c); /* idle too long, or behind with reading too long: closed */
void conn_resume(struct conn *c);
struct conn *net_conn_of_handle(uv_handle_t *handle); /* NULL: it is something else, or closing */
/* client_memory.c: something of it came or went. */
void conn_measure(struct conn *c);
void conn_note_peak(struct conn *c);

#endif
