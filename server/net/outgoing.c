/* See outgoing.h. One timer drives it: it begins with the first tick, so that nothing is called back early, and looks whether
 * anything has moved since. The memory goes when both handles are closed and no lookup is under way. */
#include "outgoing.h"

#include "mem.h"
#include "net_internal.h"

#include <stdio.h>

enum { READ_BYTES = 16 << 10, TICK_MIN_MS = 10, HOST_CAP = 256 };

struct outgoing {
    struct outgoing_handler handler;
    struct net *net;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    struct buf request;
    char host[HOST_CAP];
    int port;
    enum outgoing_step step;
    bool has_begun, is_resolving, is_closing;
    int handles; /* open ones */
    uint64_t patience_ms, moved_ms;
    size_t unsent_seen;
    char input[READ_BYTES];
};

static void free_if_done(struct outgoing *o) {
    if (!o->is_closing || o->handles > 0 || o->is_resolving) return;
    buf_free(&o->request);
    mem_free(o);
}

static void closed_cb(uv_handle_t *handle) {
    struct outgoing *o = handle->data;
    o->handles--;
    free_if_done(o);
}

void outgoing_close(struct outgoing *o) {
    if (o->is_closing) return;
    o->is_closing = true;
    if (o->is_resolving) uv_cancel((uv_req_t *)&o->resolve);
    uv_close((uv_handle_t *)&o->tcp, closed_cb);
    uv_close((uv_handle_t *)&o->timer, closed_cb);
}

static void fail(struct outgoing *o) {
    if (o->is_closing) return;
    outgoing_close(o);
    o->handler.failed(o->handler.arg, o->step);
}

static void moved(struct outgoing *o) {
    o->moved_ms = uv_now(o->net->loop);
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct outgoing *o = handle->data;
    *out = uv_buf_init(o->input, READ_BYTES);
}

static void read_cb(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct outgoing *o = stream->data;
    moved(o);
    if (len < 0)
        fail(o);
    else if (len > 0)
        o->handler.bytes(o->handler.arg, slice_make(buf->base, (size_t)len));
}

static void write_cb(uv_write_t *write, int status) {
    struct outgoing *o = write->data;
    if (o->is_closing) return;
    moved(o);
    if (status < 0)
        fail(o);
    else
        o->step = OUTGOING_READING;
}

/* The other side answers while it is still being written to. */
static void connect_cb(uv_connect_t *connect, int status) {
    struct outgoing *o = connect->data;
    if (o->is_closing) return;
    moved(o);
    o->step = OUTGOING_WRITING; /* where Redis notices that nobody listens there */
    if (status < 0) {
        fail(o);
        return;
    }
    uv_buf_t part = {.base = o->request.data, .len = o->request.len}; /* uv_buf_init would cut it at 4 GB */
    uv_tcp_nodelay(&o->tcp, 1);
    if (uv_write(&o->write, (uv_stream_t *)&o->tcp, &part, 1, write_cb) != 0 ||
        uv_read_start((uv_stream_t *)&o->tcp, alloc_cb, read_cb) != 0)
        fail(o);
}

static void connect_to(struct outgoing *o, const struct sockaddr *address) {
    if (uv_tcp_connect(&o->connect, &o->tcp, address, connect_cb) != 0) fail(o);
}

static void resolved_cb(uv_getaddrinfo_t *resolve, int status, struct addrinfo *info) {
    struct outgoing *o = resolve->data;
    o->is_resolving = false;
    if (o->is_closing)
        free_if_done(o);
    else if (status < 0)
        fail(o);
    else
        connect_to(o, info->ai_addr);
    uv_freeaddrinfo(info);
}

static void begin(struct outgoing *o) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct sockaddr_storage address;
    char service[16];
    o->has_begun = true;
    moved(o);
    if (uv_ip4_addr(o->host, o->port, (struct sockaddr_in *)(void *)&address) == 0 ||
        uv_ip6_addr(o->host, o->port, (struct sockaddr_in6 *)(void *)&address) == 0) {
        connect_to(o, (const struct sockaddr *)&address);
        return;
    }
    snprintf(service, sizeof service, "%d", o->port);
    o->is_resolving = uv_getaddrinfo(o->net->loop, &o->resolve, resolved_cb, o->host, service, &hints) == 0;
    if (!o->is_resolving) fail(o);
}

static void timer_cb(uv_timer_t *timer) {
    struct outgoing *o = timer->data;
    if (!o->has_begun) {
        begin(o);
        return;
    }
    size_t unsent = uv_stream_get_write_queue_size((uv_stream_t *)&o->tcp);
    if (unsent != o->unsent_seen) moved(o);
    o->unsent_seen = unsent;
    if (uv_now(o->net->loop) - o->moved_ms >= o->patience_ms) fail(o);
}

struct outgoing *outgoing_open(struct net *net, const char *host, int port, int64_t patience_ms,
                               struct buf *request, const struct outgoing_handler *handler) {
    struct outgoing *o = mem_calloc(1, sizeof *o);
    o->handler = *handler;
    o->net = net;
    o->request = *request;
    *request = (struct buf){0};
    snprintf(o->host, sizeof o->host, "%s", host);
    o->port = port;
    o->patience_ms = (uint64_t)patience_ms;
    uv_tcp_init(net->loop, &o->tcp);
    uv_timer_init(net->loop, &o->timer);
    o->handles = 2;
    o->tcp.data = o->timer.data = o->resolve.data = o->connect.data = o->write.data = o;
    uint64_t tick_ms = o->patience_ms / 4 < TICK_MIN_MS ? TICK_MIN_MS : o->patience_ms / 4;
    uv_timer_start(&o->timer, timer_cb, 0, tick_ms < 1000 ? tick_ms : 1000);
    return o;
}
