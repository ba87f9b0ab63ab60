/* Nodes that have nothing but links, all on one loop: what each was told is noted down. */
#ifndef TESTS_NODES_H
#define TESTS_NODES_H

#include "mem.h"
#include "peer_net.h"
#include "test.h"

#include <signal.h>
#include <unistd.h>

enum { NODES_MAX = 4, WAIT_MS = 20000 /* only a broken test waits so long */ };

struct told_control {
    int answers;
    enum rc rc;
    uint32_t code;
    char text[PEER_WHY_CAP];
    uint8_t kind;
    char body[256];
    size_t body_len;
    uint64_t responder;
};

struct end_of_stream { /* one end of a snapshot link */
    struct peer_stream *stream;
    int ups, frames, writables, closes;
    uint64_t bytes;
    bool bad;
    char why[PEER_WHY_CAP];
};

struct node {
    struct peer_net *pn;
    uint64_t id;
    int port;
    char address[64];
    /* what accept says */
    enum peer_refusal verdict;
    int asked;
    /* what it was told */
    int messages, ups, downs, refusals, forwards, requests;
    struct raft_message last;
    size_t payload_bytes;
    int taken; /* payloads that had a buffer of their own */
    uint32_t refusal_code;
    char refusal[PEER_WHY_CAP];
    int forward_fd;
    struct buf leftover, client_name;
    struct peer_request *request; /* not answered yet */
    bool answers_at_once;
    struct end_of_stream accepted;
    bool closes_streams;
    struct buf log;
};

static uv_loop_t loop;
static uv_timer_t heartbeat; /* so that the loop wakes up */
static struct node nodes[NODES_MAX + 1];
static const struct peer_origin CLUSTER = {.cluster = "the same cluster"};
static const struct peer_origin OTHER_CLUSTER = {.cluster = "another cluster!"};

static enum peer_refusal on_accept(void *arg, const struct peer_hello *hello, char *why) {
    struct node *n = arg;
    (void)hello;
    n->asked++;
    if (n->verdict != PEER_ACCEPTED) snprintf(why, PEER_WHY_CAP, "as the test wants it");
    return n->verdict;
}
static void on_message(void *arg, const struct raft_message *m, const struct slice *payloads,
                       struct buf *whole) {
    struct node *n = arg;
    EXPECT(whole == NULL || (m->entry_count == 1 && slice_eq(buf_slice(whole), payloads[0])));
    n->messages++;
    n->last = *m;
    for (size_t i = 0; i < m->entry_count; i++) n->payload_bytes += payloads[i].len;
    if (whole == NULL) return;
    n->taken++;
    buf_free(whole);
}
static void on_link_up(void *arg, uint64_t id) {
    (void)id;
    ((struct node *)arg)->ups++;
}
static void on_link_down(void *arg, uint64_t id) {
    (void)id;
    ((struct node *)arg)->downs++;
}
static void on_refused(void *arg, uint64_t id, uint32_t code, const char *text) {
    struct node *n = arg;
    (void)id;
    n->refusals++;
    n->refusal_code = code;
    snprintf(n->refusal, sizeof n->refusal, "%s", text);
}
static void on_forward(void *arg, int fd, struct slice leftover, const struct peer_hello *hello) {
    struct node *n = arg;
    n->forwards++;
    n->forward_fd = fd;
    buf_add_slice(&n->leftover, leftover);
    buf_add_slice(&n->client_name, hello->client.name);
}
static void on_control(void *arg, struct peer_request *request, const struct peer_hello *hello,
                       const struct peer_control *control) {
    struct node *n = arg;
    (void)hello;
    n->requests++;
    if (!n->answers_at_once) {
        n->request = request;
        return;
    }
    struct peer_control response = {.kind = (uint8_t)(control->kind + 1), .body = control->body};
    peer_request_answer(request, &response);
}
static void on_stream_up(void *arg) {
    ((struct end_of_stream *)arg)->ups++;
}
static void on_stream_frame(void *arg, const struct peer_frame *f) {
    struct end_of_stream *e = arg;
    struct peer_snapshot_chunk chunk;
    e->frames++;
    if (f->kind != PEER_SNAPSHOT_CHUNK) return;
    if (peer_read_snapshot_chunk(f, &chunk) == RC_OK && chunk.offset == e->bytes)
        e->bytes += chunk.bytes.len;
    else
        e->bad = true;
}
static void on_stream_writable(void *arg) {
    ((struct end_of_stream *)arg)->writables++;
}
static void on_stream_closed(void *arg, const char *why) {
    struct end_of_stream *e = arg;
    e->closes++;
    e->stream = NULL;
    snprintf(e->why, sizeof e->why, "%s", why);
}
__attribute__((unused)) static struct peer_stream_handler stream_handler(struct end_of_stream *e) {
    return (struct peer_stream_handler){.arg = e,
                                        .up = on_stream_up,
                                        .frame = on_stream_frame,
                                        .writable = on_stream_writable,
                                        .closed = on_stream_closed};
}
static void on_snapshot(void *arg, struct peer_stream *stream, const struct peer_hello *hello) {
    struct node *n = arg;
    (void)hello;
    if (n->closes_streams) {
        peer_stream_close(stream, "not today");
        return;
    }
    struct peer_stream_handler h = stream_handler(&n->accepted);
    n->accepted.stream = stream;
    peer_stream_handle(stream, &h);
}
static void on_log(void *arg, const char *line) {
    struct node *n = arg;
    buf_add_str(&n->log, line);
    buf_add_str(&n->log, "\n");
}
__attribute__((unused)) static void on_answer(void *arg, enum rc rc, uint32_t code, const char *text,
                                              const struct peer_control *response, uint64_t responder_id,
                                              const struct peer_origin *responder) {
    struct told_control *t = arg;
    t->answers++;
    t->rc = rc;
    t->code = code;
    t->responder = responder_id;
    snprintf(t->text, sizeof t->text, "%s", text);
    EXPECT((rc == RC_OK) == (response != NULL && responder != NULL));
    if (response == NULL) return;
    t->kind = response->kind;
    t->body_len = response->body.len;
    if (t->body_len <= sizeof t->body) memcpy(t->body, response->body.data, t->body_len);
}

static void on_heartbeat(uv_timer_t *timer) {
    (void)timer;
}

static void nodes_begin(void) {
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    EXPECT_EQ_INT(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &heartbeat);
    uv_timer_start(&heartbeat, on_heartbeat, 2, 2);
}

/* Node i has id i * 11. NULL options: of CLUSTER, without a secret. */
__attribute__((unused)) static struct node *node_start(int i, const struct peer_net_options *options) {
    struct node *n = &nodes[i];
    char error[256] = "";
    memset(n, 0, sizeof *n);
    struct peer_net_options o = {.origin = CLUSTER};
    if (options != NULL) o = *options;
    n->id = o.id = (uint64_t)i * 11;
    n->answers_at_once = true;
    struct peer_net_handler h = {.arg = n,
                                 .accept = on_accept,
                                 .message = on_message,
                                 .link_up = on_link_up,
                                 .link_down = on_link_down,
                                 .refused = on_refused,
                                 .forward = on_forward,
                                 .control = on_control,
                                 .snapshot = on_snapshot,
                                 .log = on_log};
    n->pn = peer_net_new(&loop, &o, &h);
    EXPECT_NOTE(peer_net_listen(n->pn, "127.0.0.1", 0, 128, error, sizeof error) == RC_OK, "%s", error);
    n->port = peer_net_port(n->pn);
    snprintf(n->address, sizeof n->address, "127.0.0.1:1@%d", n->port);
    return n;
}

static void node_stop(struct node *n) {
    struct peer_net *pn = n->pn;
    if (pn == NULL) return;
    peer_net_close_all(pn);
    n->pn = NULL;
    uv_unref((uv_handle_t *)&heartbeat);
    while (nodes[1].pn == NULL && nodes[2].pn == NULL && nodes[3].pn == NULL &&
           uv_run(&loop, UV_RUN_ONCE) != 0) {
    }
    for (int i = 0; i < 50; i++)
        uv_run(&loop, UV_RUN_NOWAIT); /* while others live, the loop never runs dry */
    uv_ref((uv_handle_t *)&heartbeat);
    peer_net_free(pn);
}

/* One turn of the loop and of all nodes. */
static void turn(void) {
    for (int i = 1; i <= NODES_MAX; i++)
        if (nodes[i].pn != NULL) peer_net_flush(nodes[i].pn);
    uv_run(&loop, UV_RUN_ONCE);
}

#define WAIT_FOR(cond)                                                                                       \
    do {                                                                                                     \
        uv_update_time(&loop);                                                                               \
        uint64_t wait_from = uv_now(&loop);                                                                  \
        while (!(cond) && uv_now(&loop) - wait_from < WAIT_MS) turn();                                       \
        EXPECT(cond);                                                                                        \
    } while (0)

/* Lets things happen that should not. */
__attribute__((unused)) static void wait_ms(uint64_t ms) {
    uv_update_time(&loop);
    uint64_t from = uv_now(&loop);
    while (uv_now(&loop) - from < ms) turn();
}

static void nodes_end(void) {
    for (int i = 1; i <= NODES_MAX; i++) {
        node_stop(&nodes[i]);
        buf_free(&nodes[i].log);
        buf_free(&nodes[i].leftover);
        buf_free(&nodes[i].client_name);
    }
    uv_close((uv_handle_t *)&heartbeat, NULL);
    while (uv_run(&loop, UV_RUN_ONCE) != 0) {
    }
    EXPECT_EQ_INT(uv_loop_close(&loop), 0);
}

__attribute__((unused)) static bool log_has(struct node *n, const char *text) {
    return n->log.len > 0 && memmem(n->log.data, n->log.len, text, strlen(text)) != NULL;
}

__attribute__((unused)) static int log_count(struct node *n, const char *text) {
    int count = 0;
    size_t at = 0;
    for (char *p;
         at < n->log.len && (p = memmem(n->log.data + at, n->log.len - at, text, strlen(text))) != NULL;
         count++)
        at = (size_t)(p - n->log.data) + 1;
    return count;
}

/* `from` keeps a link to `to`. */
__attribute__((unused)) static void link_to(struct node *from, struct node *to) {
    struct peer_address peer = {.id = to->id, .address = to->address};
    peer_net_set_peers(from->pn, &peer, 1);
}

#endif
