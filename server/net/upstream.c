/* One client's commands to the leader and the replies back; see upstream.h. The connection is peer_link.c's; here the
 * replies are counted as they pass. */
#include "upstream.h"

#include "mem.h"
#include "peer_net_internal.h"
#include "resp_skim.h"

#include <stdio.h>

enum { KEEP_BYTES = 32 << 10, SWALLOWED_MAX = 512 };

struct upstream {
    struct link *link; /* NULL once it is down */
    struct upstream_handler handler;
    struct resp_skim skim;
    size_t swallow;       /* replies still to be kept from the caller */
    struct buf swallowed; /* the beginning of the one that is being swallowed */
    struct buf nowhere;   /* what is sent to one that is down */
};

static void upstream_up(struct link *l) {
    struct upstream *u = l->owner;
    if (u->handler.up != NULL) u->handler.up(u->handler.arg);
}

/* A slice of the input that goes to the caller in one piece. */
struct passed {
    const char *from;
    size_t len, replies, pushes;
};

/* False when the caller has closed it. */
static bool pass(struct link *l, struct passed *p) {
    struct upstream *u = l->owner;
    struct slice bytes = slice_make(p->from, p->len);
    size_t replies = p->replies, pushes = p->pushes;
    *p = (struct passed){0};
    if (bytes.len > 0) u->handler.replies(u->handler.arg, bytes, replies, pushes);
    return l->owner != NULL && l->state != LINK_CLOSING;
}

/* False when the caller has closed it. */
static bool keep_from_caller(struct link *l, struct slice part, enum resp_skim_status status) {
    struct upstream *u = l->owner;
    size_t room = SWALLOWED_MAX - u->swallowed.len;
    buf_add(&u->swallowed, part.data, part.len < room ? part.len : room);
    if (status != RESP_SKIM_REPLY) return true;
    u->swallow--;
    struct buf reply = u->swallowed;
    u->swallowed = (struct buf){0};
    if (u->handler.swallowed != NULL) u->handler.swallowed(u->handler.arg, buf_slice(&reply));
    buf_free(&reply);
    return l->owner != NULL && l->state != LINK_CLOSING;
}

static void upstream_bytes(struct link *l, struct slice bytes) {
    struct upstream *u = l->owner;
    struct passed p = {0};
    if (u == NULL) return;
    if (u->handler.bytes != NULL) {
        u->handler.bytes(u->handler.arg, bytes);
        return;
    }
    while (bytes.len > 0) {
        size_t consumed = 0;
        /* Pushes pass even so. (What begins with an attribute is taken for a reply; our server sends none.) */
        bool is_push = resp_skim_is_between(&u->skim) ? bytes.data[0] == '>' : u->skim.top == '>';
        bool swallows = u->swallow > 0 && !is_push;
        enum resp_skim_status status = resp_skim(&u->skim, bytes, &consumed);
        if (status == RESP_SKIM_ERROR) {
            if (pass(l, &p)) link_close(l, PEER_UNEXPECTED, "its replies are not RESP");
            return;
        }
        struct slice part = slice_make(bytes.data, consumed);
        bytes = slice_make(bytes.data + consumed, bytes.len - consumed);
        if (swallows) {
            if (!pass(l, &p) || !keep_from_caller(l, part, status)) return;
            continue;
        }
        if (p.from == NULL) p.from = part.data;
        p.len += part.len;
        p.replies += status == RESP_SKIM_REPLY;
        p.pushes += status == RESP_SKIM_PUSH;
    }
    pass(l, &p);
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
                               const struct peer_client *client, size_t swallow,
                               const struct upstream_handler *handler) {
    struct upstream *u = mem_calloc(1, sizeof *u);
    u->handler = *handler;
    u->swallow = swallow;
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

void upstream_swallow(struct upstream *u, size_t count) {
    u->swallow += count;
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
    buf_free(&u->swallowed);
    buf_free(&u->nowhere);
    mem_free(u);
}
