/* Links under random treatment: everything that may be called is called at any time, nodes stop and come back, strangers
 * talk nonsense, connections break. What must hold: nothing crashes or leaks, every callback that is owed comes exactly
 * once, nothing arrives damaged or twice, and when it is over, all links come up. */
#include "nodes.h"

#include "rng.h"
#include "upstream.h"

#include <arpa/inet.h>
#include <sys/socket.h>

enum { NODES = 3, STREAMS_MAX = 8, UPSTREAMS_MAX = 8, ASKED_MAX = 2000 };

static struct rng rng;
static struct told_control asked[ASKED_MAX];
static int asked_count;
static int chunks_heard, forwards; /* to see that the treatment is of any use */
static size_t bytes_heard;
static uint64_t sent_round, heard_round[NODES + 1][NODES + 1];

struct sender { /* of a snapshot */
    struct peer_stream *stream;
    struct end_of_stream told;
    uint64_t sent;
    int node;
};
static struct sender senders[STREAMS_MAX];

struct passer { /* of a client */
    struct upstream *upstream;
    int node, downs;
};
static struct passer passers[UPSTREAMS_MAX];

static struct node *any_node(void) {
    return &nodes[1 + rng_below(&rng, NODES)];
}

/* --- what is done to them --- */

static void do_set_peers(struct node *n) {
    struct peer_address peers[NODES];
    size_t count = 0;
    for (int i = 1; i <= NODES; i++)
        if (rng_below(&rng, 4) != 0)
            peers[count++] =
                (struct peer_address){.id = (uint64_t)i * 11,
                                      .address = rng_below(&rng, 8) ? nodes[i].address : any_node()->address};
    peer_net_set_peers(n->pn, peers, count);
}

/* Rounds rise from message to message: what arrives twice or out of order shows. */
static void do_send(struct node *n) {
    struct node *to = any_node();
    struct buf *out = peer_net_out(n->pn, to->id);
    if (out == NULL) return;
    size_t size = (size_t)rng_below(&rng, rng_below(&rng, 10) ? 100 : 600000);
    char *payload = mem_calloc(1, size + 1);
    struct raft_message m = {
        .kind = RAFT_APPEND, .from = n->id, .to = to->id, .term = 3, .round = ++sent_round};
    struct raft_entry e = {.index = 1, .term = 2, .kind = RAFT_ENTRY_COMMANDS, .size = size};
    struct peer_append a;
    peer_append_begin(&a, out, &CLUSTER, &m);
    peer_append_add(&a, &e, slice_make(payload, size));
    if (rng_below(&rng, 10)) {
        peer_append_end(&a);
        peer_net_sent(n->pn, to->id);
    } else {
        peer_append_cancel(&a);
    }
    mem_free(payload);
}

static void do_ask(struct node *n) {
    if (asked_count == ASKED_MAX) return;
    char body[100] = {0};
    struct peer_control request = {.kind = 1, .body = slice_make(body, rng_below(&rng, sizeof body))};
    struct node *to = any_node();
    peer_net_control(n->pn, to->address, rng_below(&rng, 2) ? to->id : 0, &request, 1 + rng_below(&rng, 200),
                     on_answer, &asked[asked_count++]);
}

static void do_answer(struct node *n) {
    struct peer_control response = {.kind = 2};
    if (n->request == NULL) return;
    struct peer_request *r = n->request;
    n->request = NULL;
    peer_request_answer(r, &response);
}

static void do_stream(struct node *n) {
    struct sender *s = &senders[rng_below(&rng, STREAMS_MAX)];
    if (s->told.stream == NULL) {
        struct node *to = any_node();
        EXPECT(s->stream == NULL || s->told.closes == 1);
        *s = (struct sender){.node = (int)(n - nodes)};
        struct peer_stream_handler h = stream_handler(&s->told);
        s->stream = s->told.stream = peer_stream_open(n->pn, to->id, to->address, &h);
        return;
    }
    static char chunk[20000];
    struct peer_frame header = peer_stream_header(s->stream, 3);
    struct peer_snapshot_chunk c = {.offset = s->sent,
                                    .bytes = slice_make(chunk, rng_below(&rng, sizeof chunk))};
    switch (rng_below(&rng, 8)) {
    case 0: peer_stream_close(s->stream, "chance"); break;
    case 1: peer_stream_pause(s->stream); break;
    case 2: peer_stream_resume(s->stream); break;
    default:
        peer_write_snapshot_chunk(peer_stream_out(s->stream), &header, &c);
        s->sent += c.bytes.len;
        peer_stream_flush(s->stream);
        break;
    }
}

static void do_accepted_stream(struct node *n) {
    struct peer_stream *s = n->accepted.stream;
    if (s == NULL) return;
    struct peer_frame header = peer_stream_header(s, 3);
    switch (rng_below(&rng, 4)) {
    case 0: peer_stream_pause(s); break;
    case 1: peer_stream_resume(s); break;
    case 2:
        peer_write_snapshot_failed(peer_stream_out(s), &header, "chance");
        peer_stream_close(s, "chance");
        break;
    case 3: peer_write_snapshot_done(peer_stream_out(s), &header), peer_stream_flush(s); break;
    }
}

static void passer_bytes(void *arg, struct slice bytes) {
    struct passer *p = arg;
    EXPECT_EQ_INT(p->downs, 0);
    bytes_heard += bytes.len;
    if (rng_below(&rng, 10) != 0) return;
    upstream_close(p->upstream);
    p->upstream = NULL;
}

static void passer_down(void *arg, uint32_t code, const char *why) {
    struct passer *p = arg;
    (void)code, (void)why;
    EXPECT_EQ_INT(++p->downs, 1);
    if (rng_below(&rng, 2)) return;
    upstream_close(p->upstream);
    p->upstream = NULL;
}

static void do_upstream(struct node *n) {
    static const struct peer_client client = {.resp = 2, .name = {"somebody", 8}};
    struct passer *p = &passers[rng_below(&rng, UPSTREAMS_MAX)];
    if (p->upstream == NULL) {
        struct node *to = any_node();
        struct upstream_handler h = {.arg = p, .bytes = passer_bytes, .down = passer_down};
        *p = (struct passer){.node = (int)(n - nodes)};
        p->upstream = upstream_open(n->pn, to->address, to->id, &client, &h);
        return;
    }
    switch (rng_below(&rng, 7)) {
    case 0:
        upstream_close(p->upstream);
        p->upstream = NULL;
        break;
    case 1: upstream_pause(p->upstream); break;
    case 2: upstream_resume(p->upstream); break;
    case 3: upstream_finish(p->upstream); break;
    default: upstream_send(p->upstream, SLICE("PING\r\n")); break;
    }
}

/* The leader's end of a forwarded client: says something, hangs up. */
static void do_forwarded(struct node *n) {
    if (n->forward_fd <= 0) return;
    if (rng_below(&rng, 3)) {
        (void)!send(n->forward_fd, "+OK\r\n$3\r\nabc\r\n*1\r\n:1\r\n", 23, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    close(n->forward_fd);
    n->forward_fd = 0;
}

static void do_nonsense(struct node *n) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)n->port)};
    char bytes[100];
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)rng_next(&rng);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        (void)!send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}

static void do_identity(struct node *n) {
    peer_net_set_identity(n->pn, n->id, rng_below(&rng, 3) ? &CLUSTER : &OTHER_CLUSTER);
}

static void do_secret(struct node *n) {
    static const char *const secrets[] = {NULL, "open sesame", "open barley"};
    peer_net_set_secret(n->pn, secrets[rng_below(&rng, 3)]);
}

/* --- what is watched --- */

/* In place of nodes.h's: rounds from one node to another only rise. */
static void chaos_message(void *arg, const struct raft_message *m, const struct slice *payloads,
                          struct buf *whole) {
    (void)whole;
    struct node *n = arg;
    uint64_t *heard = &heard_round[m->from / 11][m->to / 11];
    EXPECT_EQ_INT(m->to, n->id);
    EXPECT(m->round > *heard);
    EXPECT_EQ_INT(m->entry_count, 1);
    EXPECT_EQ_INT(payloads[0].len, m->entries[0].size);
    *heard = m->round;
    n->messages++;
}

static void chaos_forward(void *arg, int fd, struct slice leftover, const struct peer_hello *hello) {
    struct node *n = arg;
    (void)leftover;
    EXPECT_EQ_SLICE(hello->client.name, SLICE("somebody"));
    forwards++;
    if (n->forward_fd > 0) close(n->forward_fd);
    n->forward_fd = fd;
}

static void chaos_control(void *arg, struct peer_request *request, const struct peer_hello *hello,
                          const struct peer_control *control) {
    struct node *n = arg;
    (void)hello, (void)control;
    do_answer(n);
    n->request = request; /* answered by and by */
}

static void chaos_chunk(void *arg, const struct peer_frame *f) {
    struct end_of_stream *e = arg;
    on_stream_frame(arg, f);
    chunks_heard++;
    EXPECT(!e->bad);
}

static void chaos_snapshot(void *arg, struct peer_stream *stream, const struct peer_hello *hello) {
    struct node *n = arg;
    (void)hello;
    if (n->accepted.stream != NULL) {
        peer_stream_close(stream, "one at a time");
        return;
    }
    n->accepted = (struct end_of_stream){.stream = stream};
    struct peer_stream_handler h = stream_handler(&n->accepted);
    h.frame = chaos_chunk;
    peer_stream_handle(stream, &h);
}

static void chaos_start(int i) {
    struct node *n = &nodes[i];
    struct peer_net_options o = {.id = (uint64_t)i * 11,
                                 .origin = CLUSTER,
                                 .greeting_ms = 300,
                                 .out_bytes_max = 1 << 20,
                                 .seed = rng_next(&rng)};
    struct peer_net_handler h = {.arg = n,
                                 .accept = on_accept,
                                 .message = chaos_message,
                                 .link_up = on_link_up,
                                 .link_down = on_link_down,
                                 .refused = on_refused,
                                 .forward = chaos_forward,
                                 .control = chaos_control,
                                 .snapshot = chaos_snapshot,
                                 .log = on_log};
    char error[256] = "";
    n->pn = peer_net_new(&loop, &o, &h);
    n->id = o.id;
    EXPECT_NOTE(peer_net_listen(n->pn, "127.0.0.1", n->port, 128, error, sizeof error) == RC_OK, "%s", error);
    n->port = peer_net_port(n->pn);
    snprintf(n->address, sizeof n->address, "127.0.0.1:1@%d", n->port);
    n->ups = n->downs = 0;
}

/* Upstreams are given back by hand; the rest ends by itself. */
static void chaos_stop(int i) {
    struct node *n = &nodes[i];
    for (int k = 0; k < UPSTREAMS_MAX; k++) {
        if (passers[k].upstream == NULL || passers[k].node != i) continue;
        upstream_close(passers[k].upstream);
        passers[k].upstream = NULL;
    }
    EXPECT(n->ups >= n->downs);
    node_stop(n);
    do_answer(n);
    if (n->forward_fd > 0) close(n->forward_fd);
    n->forward_fd = 0;
    EXPECT(n->accepted.stream == NULL);
    for (int k = 0; k < STREAMS_MAX; k++)
        if (senders[k].node == i) EXPECT(senders[k].told.stream == NULL);
    buf_clear(&n->log);
}

/* With one mind about everything. */
static void agree(void) {
    struct peer_address all[NODES];
    for (int i = 1; i <= NODES; i++)
        all[i - 1] = (struct peer_address){.id = nodes[i].id, .address = nodes[i].address};
    for (int i = 1; i <= NODES; i++) {
        nodes[i].verdict = PEER_ACCEPTED;
        peer_net_set_identity(nodes[i].pn, nodes[i].id, &CLUSTER);
        peer_net_set_secret(nodes[i].pn, "open sesame");
        peer_net_set_peers(nodes[i].pn, all, NODES);
    }
}

static void one_thing(void) {
    struct node *n = any_node();
    uint64_t what = rng_below(&rng, 100);
    n->verdict = rng_below(&rng, 20) ? PEER_ACCEPTED : PEER_BUSY;
    if (what < 40)
        do_send(n);
    else if (what < 45)
        do_set_peers(n);
    else if (what < 50)
        do_ask(n);
    else if (what < 55)
        do_answer(n);
    else if (what < 70)
        do_stream(n);
    else if (what < 75)
        do_accepted_stream(n);
    else if (what < 87)
        do_upstream(n);
    else if (what < 93)
        do_forwarded(n);
    else if (what < 97)
        do_nonsense(n);
    else if (what < 98)
        do_identity(n);
    else if (what < 99)
        do_secret(n);
    else if (rng_below(&rng, 10) == 0) {
        int i = (int)(n - nodes);
        chaos_stop(i);
        chaos_start(i);
    }
}

static bool all_up(void) {
    for (int i = 1; i <= NODES; i++) {
        struct peer_link_info info[NODES];
        size_t count = peer_net_links(nodes[i].pn, info, NODES);
        if (count != NODES - 1 || !info[0].up || !info[1].up || !info[0].heard || !info[1].heard)
            return false;
    }
    return true;
}

/* Whatever was, they find together again. */
static void make_peace(void) {
    agree();
    WAIT_FOR(all_up());
}

TEST(random_treatment) {
    rng.state = test_seed();
    nodes_begin();
    for (int i = 1; i <= NODES; i++) chaos_start(i);
    make_peace();
    for (int step = 0, count = test_rounds(10000); step < count; step++) {
        one_thing();
        if (step % 100 == 99) agree();
        if (rng_below(&rng, 3) == 0) turn();
    }
    make_peace();
    for (int i = 1; i <= NODES; i++) {
        int before = nodes[i].messages;
        struct node *from = &nodes[1 + i % NODES];
        struct raft_message m = {
            .kind = RAFT_APPEND, .from = from->id, .to = nodes[i].id, .term = 3, .round = ++sent_round};
        struct raft_entry e = {.index = 1, .term = 2, .kind = RAFT_ENTRY_NOOP};
        struct peer_append a;
        struct buf *out = NULL;
        WAIT_FOR((out = peer_net_out(from->pn, nodes[i].id)) != NULL);
        peer_append_begin(&a, out, &CLUSTER, &m);
        peer_append_add(&a, &e, SLICE(""));
        peer_append_end(&a);
        peer_net_sent(from->pn, nodes[i].id);
        WAIT_FOR(nodes[i].messages > before);
    }
    for (int i = 1; i <= NODES; i++) chaos_stop(i);
    int answered = 0;
    for (int i = 0; i < asked_count; i++) {
        EXPECT_EQ_INT(asked[i].answers, 1);
        answered += asked[i].rc == RC_OK;
    }
    printf("    %d messages, %d of %d requests answered, %d chunks, %d forwards, %zu bytes of replies\n",
           nodes[1].messages + nodes[2].messages + nodes[3].messages, answered, asked_count, chunks_heard,
           forwards, bytes_heard);
    nodes_end();
}

TEST_MAIN
