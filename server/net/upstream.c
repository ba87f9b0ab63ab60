/* One client's commands to the leader and the replies back; see upstream.h. The connection is peer_link.c's. */
#include "upstream.h"

#include "mem.h"
#include "peer_net_internal.h"

enum { KEEP_BYTES = 32 << 10 };

struct upstream {
    struct link *link; /* NULL once it is down */
    struct upstream_handler handler;
    struct buf nowhere; /* what is sent to one that is down */
};

static void upstream_up(struct link *l) {
    struct upstream *u = l->owner;
    if (u->handler.up != NULL) u->handler.up(u->handler.arg);
}

static void upstream_bytes(struct link *l, struct slice bytes) {
    struct upstream *u = l->owner;
    if (u != NULL) u->handler.bytes(u->handler.arg, bytes);
}

static void upstream_writable(struct link *l) {
    struct upstream *u = l->owner;
    if (u->handler.writable != NULL) u->handler.writable(u->handler.arg);
}

static void upstream_closed(struct link *l) {
    struct upstream *u = l->owner;
    u->link = NULL;
    u->handler.down(u->handler.arg, l->code, l->why);
}

static const struct link_ops upstream_ops = {.kind = PEER_LINK_FORWARD,
                                             .keep_bytes = KEEP_BYTES,
                                             .queue_max = UPSTREAM_QUEUE,
                                             .up = upstream_up,
                                             .bytes = upstream_bytes,
                                             .writable = upstream_writable,
                                             .closed = upstream_closed};

struct upstream *upstream_open(struct peer_net *pn, const char *address, uint64_t target,
                               const struct peer_client *client, const struct upstream_handler *handler) {
    struct upstream *u = mem_calloc(1, sizeof *u);
    u->handler = *handler;
    struct link_target to = {
        .address = address, .id = target, .client = client, .timeout_ms = pn->greeting_ms};
    u->link = link_open(pn, &upstream_ops, u, &to);
    return u;
}

struct buf *upstream_out(struct upstream *u) {
    if (u->link == NULL || u->link->state == LINK_CLOSING || u->link->wants_shutdown) {
        buf_clear(&u->nowhere);
        return &u->nowhere;
    }
    link_touch(u->link);
    return link_out(u->link);
}

bool upstream_take(struct upstream *u, struct buf *bytes) {
    struct buf *out = upstream_out(u);
    if (out->len > 0) return false;
    buf_free(out);
    *out = *bytes;
    *bytes = (struct buf){0};
    return true;
}

void upstream_send(struct upstream *u, struct slice bytes) {
    buf_add_slice(upstream_out(u), bytes);
}

void upstream_flush(struct upstream *u) {
    if (link_is_up(u->link)) link_flush(u->link);
}

size_t upstream_unsent(const struct upstream *u) {
    return u->link != NULL && u->link->state != LINK_CLOSING ? link_unsent(u->link) : 0;
}

bool upstream_is_up(const struct upstream *u) {
    return link_is_up(u->link);
}

void upstream_pause(struct upstream *u) {
    if (u->link != NULL) link_pause(u->link);
}

void upstream_resume(struct upstream *u) {
    if (u->link != NULL) link_resume(u->link);
}

void upstream_finish(struct upstream *u) {
    if (u->link != NULL) link_shutdown(u->link);
}

void upstream_close(struct upstream *u) {
    if (u->link != NULL) {
        u->link->owner = NULL;
        link_close(u->link, 0, "closed");
    }
    buf_free(&u->nowhere);
    mem_free(u);
}
