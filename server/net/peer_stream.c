/* SNAPSHOT links, a stream of frames either way, and CONTROL links, one request and one response. See peer_net.h. */
#include "mem.h"
#include "peer_net_internal.h"

#include <stdio.h>

enum { KEEP_STREAM_BYTES = 2 * PEER_STREAM_QUEUE, CONTROL_KEEP_BYTES = 0 };

/* --- snapshots --- */

struct peer_stream {
    struct link *link;
    struct peer_stream_handler handler; /* of an accepted one: all NULL until the node has taken it */
};

static void stream_up(struct link *l) {
    struct peer_stream *s = l->owner;
    if (s->handler.up != NULL) s->handler.up(s->handler.arg);
}

static void stream_frame(struct link *l, const struct peer_frame *f) {
    struct peer_stream *s = l->owner;
    if (f->kind < PEER_SNAPSHOT_BEGIN || f->kind > PEER_SNAPSHOT_FAILED)
        link_close(l, PEER_UNEXPECTED, "a frame of kind %s has no place in a snapshot",
                   peer_frame_name(f->kind));
    else if (f->source != l->peer_id || memcmp(&f->origin, &l->peer_origin, sizeof f->origin) != 0)
        link_close(l, PEER_UNEXPECTED, "a frame of somebody else's");
    else
        s->handler.frame(s->handler.arg, f);
}

static void stream_writable(struct link *l) {
    struct peer_stream *s = l->owner;
    if (s->handler.writable != NULL) s->handler.writable(s->handler.arg);
}

static void stream_closed(struct link *l) {
    struct peer_stream *s = l->owner;
    if (s->handler.closed != NULL) s->handler.closed(s->handler.arg, l->why);
    mem_free(s);
}

static const struct link_ops opened_stream_ops = {.kind = PEER_LINK_SNAPSHOT,
                                                  .keep_bytes = KEEP_STREAM_BYTES,
                                                  .queue_max = PEER_STREAM_QUEUE,
                                                  .up = stream_up,
                                                  .frame = stream_frame,
                                                  .writable = stream_writable,
                                                  .closed = stream_closed};

struct peer_stream *peer_stream_open(struct peer_net *pn, uint64_t id, const char *address,
                                     const struct peer_stream_handler *handler) {
    struct peer_stream *s = mem_calloc(1, sizeof *s);
    s->handler = *handler;
    struct link_target target = {.address = address, .id = id, .timeout_ms = pn->greeting_ms};
    s->link = link_open(pn, &opened_stream_ops, s, &target);
    return s;
}

/* The node says what to do with it, or closes it. */
static void accepted_stream_up(struct link *l) {
    struct peer_net *pn = l->pn;
    struct peer_stream *s = mem_calloc(1, sizeof *s);
    s->link = l;
    l->owner = s;
    pn->handler.snapshot(pn->handler.arg, s, &l->hello);
    CHECK(s->handler.frame != NULL || !link_is_up(l));
}

const struct link_ops accepted_stream_ops = {.kind = PEER_LINK_SNAPSHOT,
                                             .keep_bytes = KEEP_STREAM_BYTES,
                                             .queue_max = PEER_STREAM_QUEUE,
                                             .up = accepted_stream_up,
                                             .frame = stream_frame,
                                             .writable = stream_writable,
                                             .closed = stream_closed};

void peer_stream_handle(struct peer_stream *s, const struct peer_stream_handler *handler) {
    CHECK(handler->frame != NULL);
    CHECK(handler->closed != NULL);
    s->handler = *handler;
}

uint64_t peer_stream_peer(const struct peer_stream *s) {
    return s->link->peer_id;
}

struct buf *peer_stream_out(struct peer_stream *s) {
    return link_out(s->link);
}

void peer_stream_flush(struct peer_stream *s) {
    if (link_is_up(s->link)) link_flush(s->link);
}

bool peer_stream_writable(const struct peer_stream *s) {
    return link_is_up(s->link) && link_unsent(s->link) < PEER_STREAM_QUEUE;
}

void peer_stream_pause(struct peer_stream *s) {
    link_pause(s->link);
}

void peer_stream_resume(struct peer_stream *s) {
    link_resume(s->link);
}

void peer_stream_close(struct peer_stream *s, const char *why) {
    link_finish(s->link, 0, "%s", why);
}

struct peer_frame peer_stream_header(const struct peer_stream *s, uint64_t term) {
    return link_header(s->link, term);
}

/* --- control, asked --- */

struct control {
    struct buf
        request; /* its frame's body waits here: the header names the responder, whom the WELCOME tells */
    uint8_t kind;
    peer_control_cb *cb;
    void *arg;
    bool was_sent, was_answered;
};

static void control_up(struct link *l) {
    struct control *c = l->owner;
    struct peer_frame header = link_header(l, 0);
    struct peer_control request = {.kind = c->kind, .body = buf_slice(&c->request)};
    peer_write_control_request(link_out(l), &header, &request);
    c->was_sent = true;
    link_flush(l);
}

static void control_frame(struct link *l, const struct peer_frame *f) {
    struct control *c = l->owner;
    struct peer_control response;
    if (f->kind != PEER_CONTROL_RESPONSE || f->source != l->peer_id ||
        peer_read_control(f, &response) != RC_OK) {
        link_close(l, 0, "its answer makes no sense");
        return;
    }
    c->was_answered = true;
    link_close(l, 0, "answered");
    c->cb(c->arg, RC_OK, 0, "", &response, l->peer_id, &f->origin);
}

static void control_closed(struct link *l) {
    struct control *c = l->owner;
    if (!c->was_answered) {
        enum rc rc = c->was_sent ? RC_STOPPED : l->code != 0 ? RC_INVALID : RC_IO;
        c->cb(c->arg, rc, l->code, l->why, NULL, l->peer_id, NULL);
    }
    buf_free(&c->request);
    mem_free(c);
}

static const struct link_ops control_ops = {.kind = PEER_LINK_CONTROL,
                                            .keep_bytes = CONTROL_KEEP_BYTES,
                                            .is_timed_whole = true,
                                            .queue_max = SIZE_MAX,
                                            .up = control_up,
                                            .frame = control_frame,
                                            .closed = control_closed};

void peer_net_control(struct peer_net *pn, const char *address, uint64_t target,
                      const struct peer_control *request, uint64_t timeout_ms, peer_control_cb *cb,
                      void *arg) {
    struct control *c = mem_calloc(1, sizeof *c);
    c->kind = request->kind;
    c->cb = cb;
    c->arg = arg;
    buf_add_slice(&c->request, request->body);
    struct link_target to = {.address = address, .id = target, .timeout_ms = timeout_ms};
    link_open(pn, &control_ops, c, &to);
}

/* --- control, answered --- */

struct peer_request {
    struct link *link; /* NULL once it is gone */
};

/* The owner of an accepted CONTROL link is its request, once there is one. */
static void accepted_control_frame(struct link *l, const struct peer_frame *f) {
    struct peer_net *pn = l->pn;
    struct peer_control request;
    if (f->kind != PEER_CONTROL_REQUEST || f->source != l->peer_id || l->owner != l ||
        peer_read_control(f, &request) != RC_OK) {
        link_close(l, PEER_UNEXPECTED, "a frame of kind %s has no place here", peer_frame_name(f->kind));
        return;
    }
    struct peer_request *r = mem_calloc(1, sizeof *r);
    r->link = l;
    l->owner = r;
    uv_timer_stop(&l->timer); /* the answer may take its time */
    pn->handler.control(pn->handler.arg, r, &l->hello, &request);
}

static void accepted_control_closed(struct link *l) {
    if (l->owner == l) return;
    struct peer_request *r = l->owner;
    r->link = NULL;
}

const struct link_ops accepted_control_ops = {.kind = PEER_LINK_CONTROL,
                                              .keep_bytes = CONTROL_KEEP_BYTES,
                                              .is_timed_whole = true,
                                              .queue_max = SIZE_MAX,
                                              .frame = accepted_control_frame,
                                              .closed = accepted_control_closed};

void peer_request_answer(struct peer_request *request, const struct peer_control *response) {
    struct link *l = request->link;
    mem_free(request);
    if (l == NULL) return;
    l->owner = NULL;
    if (!link_is_up(l)) return;
    struct peer_frame header = link_header(l, 0);
    peer_write_control_response(link_out(l), &header, response);
    link_finish(l, 0, "answered");
}
