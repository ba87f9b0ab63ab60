/* What the rest of the simulator needs of its libuv (sim_uv.c). */
#ifndef SIM_UV_H
#define SIM_UV_H

#include "list.h"

struct process;
struct conn_ref;

void loop_forget(struct list *loop_link);        /* process_kill */
void loop_fd_ready(struct process *p, int fd);   /* an event file can be read */
void loop_signal(struct process *p, int signum); /* as kill(1) */
void conn_unref(struct conn_ref *c);             /* an open file of a socket is closed */
void conn_addref(struct conn_ref *c);

#endif
