/* See push.h. */
#include "push.h"

#include "server.h"

void push_bytes(struct server *server, struct session *to, struct slice bytes) {
    if (to == server->pushes.running)
        buf_add_slice(&server->pushes.held, bytes);
    else
        server->host->session_push(server->host, to, bytes);
}

bool push_hold(struct server *server, struct session *running) {
    struct pushes *p = &server->pushes;
    if (p->running != NULL) return false;
    CHECK(p->held.len == 0);
    p->running = running;
    return running != NULL;
}

void push_release(struct server *server) {
    enum { KEEP_MAX = 64 << 10 };
    struct pushes *p = &server->pushes;
    struct session *to = p->running;
    CHECK(to != NULL);
    p->running = NULL;
    if (p->held.len == 0) return;
    server->host->session_push(server->host, to, buf_slice(&p->held));
    if (p->held.cap > KEEP_MAX)
        buf_free(&p->held);
    else
        buf_clear(&p->held);
}

void pushes_free(struct pushes *p) {
    buf_free(&p->held);
}
