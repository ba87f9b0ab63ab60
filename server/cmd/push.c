/* See push.h. */
#include "push.h"

#include "server.h"

void push_bytes(struct server *server, struct session *to, struct slice bytes) {
    if (to == server->pushes.running)
        buf_add_slice(&server->pushes.held, bytes);
    else if (to == server->pushes.left)
        buf_add_slice(&server->pushes.left_held, bytes);
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

static void exchange(struct pushes *p) {
    struct session *running = p->running;
    struct buf held = p->held;
    p->running = p->left;
    p->held = p->left_held;
    p->left = running;
    p->left_held = held;
}

void push_leave(struct server *server) {
    CHECK(server->pushes.left == NULL);
    CHECK(server->pushes.left_held.len == 0);
    exchange(&server->pushes);
}

void push_return(struct server *server) {
    CHECK(server->pushes.running == NULL);
    exchange(&server->pushes);
}

void pushes_free(struct pushes *p) {
    buf_free(&p->held);
    buf_free(&p->left_held);
}
