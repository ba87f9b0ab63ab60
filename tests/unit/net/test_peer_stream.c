/* Snapshots: streams of frames with back-pressure. Control: one request, one response. */
#include "nodes.h"

#include "hash.h"

enum { CHUNK = 64 << 10 };

/* Sends chunks while the stream takes them, up to `bytes` in all. */
static void send_chunks(struct peer_stream *s, uint64_t *sent, uint64_t bytes) {
    static char chunk[CHUNK];
    struct peer_frame header = peer_stream_header(s, 5);
    while (*sent < bytes && peer_stream_writable(s)) {
        struct peer_snapshot_chunk c = {.file = 1, .offset = *sent, .bytes = slice_make(chunk, CHUNK)};
        peer_write_snapshot_chunk(peer_stream_out(s), &header, &c);
        peer_stream_flush(s);
        *sent += CHUNK;
    }
}

TEST(a_snapshot_passes_in_pieces) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct end_of_stream e = {0};
    struct peer_stream_handler h = stream_handler(&e);
    uint64_t sent = 0, bytes = 64 << 20;
    e.stream = peer_stream_open(a->pn, b->id, b->address, &h);
    EXPECT(!peer_stream_writable(e.stream));
    WAIT_FOR(e.ups == 1);
    EXPECT_EQ_INT(peer_stream_peer(e.stream), b->id);
    while (sent < bytes) {
        send_chunks(e.stream, &sent, bytes);
        turn();
    }
    WAIT_FOR(b->accepted.bytes == bytes);
    EXPECT(!b->accepted.bad);
    EXPECT(e.writables > 0);
    /* the way back, and the end */
    struct peer_frame header = peer_stream_header(b->accepted.stream, 5);
    peer_write_snapshot_done(peer_stream_out(b->accepted.stream), &header);
    peer_stream_close(b->accepted.stream, "done");
    WAIT_FOR(e.frames == 1 && e.closes == 1);
    WAIT_FOR(b->accepted.closes == 1);
    EXPECT_EQ_STR(b->accepted.why, "done");
    EXPECT_EQ_STR(e.why, "closed by the other side");
    nodes_end();
}

/* A receiver that does not read stops the sender: what is held is bounded by the queue and the sockets. */
TEST(back_pressure) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct end_of_stream e = {0};
    struct peer_stream_handler h = stream_handler(&e);
    uint64_t sent = 0, bytes = UINT64_C(1) << 30;
    e.stream = peer_stream_open(a->pn, b->id, b->address, &h);
    WAIT_FOR(e.ups == 1 && b->accepted.stream != NULL);
    peer_stream_pause(b->accepted.stream);
    for (int quiet = 0; quiet < 50;) {
        uint64_t before = sent;
        send_chunks(e.stream, &sent, bytes);
        quiet = sent == before ? quiet + 1 : 0;
        turn();
    }
    EXPECT_NOTE(sent < bytes / 8, "%d MB", (int)(sent >> 20));
    EXPECT(!peer_stream_writable(e.stream));
    EXPECT_EQ_INT(b->accepted.frames, 0);
    int writables = e.writables;
    peer_stream_resume(b->accepted.stream);
    WAIT_FOR(b->accepted.bytes == sent);
    EXPECT(e.writables > writables);
    EXPECT(peer_stream_writable(e.stream));
    EXPECT(!b->accepted.bad);
    peer_stream_close(e.stream, "enough");
    WAIT_FOR(e.closes == 1 && b->accepted.closes == 1);
    nodes_end();
}

static struct peer_stream *paused_at_once;
static void pause_after_each(void *arg, const struct peer_frame *f) {
    on_stream_frame(arg, f);
    peer_stream_pause(paused_at_once);
}

/* Frames that were read before the pause wait as well, one at a time. */
TEST(paused_after_every_frame) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct end_of_stream e = {0};
    struct peer_stream_handler h = stream_handler(&e);
    e.stream = peer_stream_open(a->pn, b->id, b->address, &h);
    WAIT_FOR(b->accepted.stream != NULL && e.ups == 1);
    struct peer_stream_handler pausing = stream_handler(&b->accepted);
    pausing.frame = pause_after_each;
    paused_at_once = b->accepted.stream;
    peer_stream_handle(b->accepted.stream, &pausing);
    for (uint64_t i = 0; i < 20; i++) {
        struct peer_frame header = peer_stream_header(e.stream, 5);
        struct peer_snapshot_chunk c = {.offset = 5 * i, .bytes = SLICE("bytes")};
        peer_write_snapshot_chunk(peer_stream_out(e.stream), &header, &c);
    }
    peer_stream_flush(e.stream);
    for (int i = 1; i <= 20; i++) {
        WAIT_FOR(b->accepted.frames == i);
        for (int k = 0; k < 3; k++) turn();
        EXPECT_EQ_INT(b->accepted.frames, i);
        peer_stream_resume(b->accepted.stream);
    }
    EXPECT_EQ_INT(b->accepted.bytes, 100);
    EXPECT(!b->accepted.bad);
    nodes_end();
    EXPECT_EQ_INT(e.closes, 1);
}

/* The reason of the one reaches the other, though the other is still sending. */
TEST(the_receiver_gives_up) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct end_of_stream e = {0};
    struct peer_stream_handler h = stream_handler(&e);
    uint64_t sent = 0;
    e.stream = peer_stream_open(a->pn, b->id, b->address, &h);
    WAIT_FOR(e.ups == 1 && b->accepted.stream != NULL);
    peer_stream_pause(b->accepted.stream);
    send_chunks(e.stream, &sent, 16 << 20);
    turn();
    struct peer_frame header = peer_stream_header(b->accepted.stream, 5);
    peer_write_snapshot_failed(peer_stream_out(b->accepted.stream), &header, "the disk is full");
    peer_stream_close(b->accepted.stream, "the disk is full");
    WAIT_FOR(e.frames == 1);
    if (e.stream != NULL) peer_stream_close(e.stream, "it failed");
    WAIT_FOR(e.closes == 1 && b->accepted.closes == 1);
    EXPECT_EQ_STR(b->accepted.why, "the disk is full");
    nodes_end();
}

TEST(streams_that_do_not_come_about) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct end_of_stream e[5] = {{0}};
    struct peer_stream_handler h[5];
    for (int i = 0; i < 5; i++) h[i] = stream_handler(&e[i]);
    e[0].stream = peer_stream_open(a->pn, b->id, "127.0.0.1:1@1", &h[0]);
    e[1].stream = peer_stream_open(a->pn, b->id, "nonsense", &h[1]);
    EXPECT_EQ_INT(e[1].closes, 0); /* never from within the call */
    e[2].stream = peer_stream_open(a->pn, 99, b->address, &h[2]);
    e[3].stream = peer_stream_open(a->pn, b->id, b->address, &h[3]);
    peer_stream_close(e[3].stream, "changed my mind");
    WAIT_FOR(e[0].closes == 1 && e[1].closes == 1 && e[2].closes == 1 && e[3].closes == 1);
    EXPECT_EQ_STR(e[0].why, "connection refused");
    EXPECT_EQ_STR(e[1].why, "\"nonsense\" is no address");
    EXPECT(strstr(e[2].why, "wrong target") != NULL);
    EXPECT_EQ_STR(e[3].why, "changed my mind");
    b->closes_streams = true;
    e[4].stream = peer_stream_open(a->pn, b->id, b->address, &h[4]);
    WAIT_FOR(e[4].closes == 1);
    for (int i = 0; i < 5; i++) EXPECT_EQ_INT(e[i].ups, i == 4);
    nodes_end();
}

/* A stream that is not let in ends as one that was refused. */
TEST(a_refused_stream) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct end_of_stream e = {0};
    struct peer_stream_handler h = stream_handler(&e);
    b->verdict = PEER_BUSY;
    e.stream = peer_stream_open(a->pn, b->id, b->address, &h);
    WAIT_FOR(e.closes == 1);
    EXPECT_EQ_STR(e.why, "busy: as the test wants it");
    nodes_end();
}

TEST(a_frame_that_is_no_snapshots_ends_it) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct end_of_stream e = {0};
    struct peer_stream_handler h = stream_handler(&e);
    e.stream = peer_stream_open(a->pn, b->id, b->address, &h);
    struct peer_frame header = peer_stream_header(e.stream, 0);
    struct peer_control control = {.kind = 1};
    peer_write_control_request(peer_stream_out(e.stream), &header, &control); /* waits until it is up */
    WAIT_FOR(e.closes == 1 && b->accepted.closes == 1);
    EXPECT_EQ_INT(b->accepted.frames, 0);
    nodes_end();
}

/* --- control --- */

static void ask(struct node *n, const char *address, uint64_t target, struct slice body, uint64_t timeout_ms,
                struct told_control *t) {
    struct peer_control request = {.kind = 4, .body = body};
    peer_net_control(n->pn, address, target, &request, timeout_ms, on_answer, t);
    EXPECT_EQ_INT(t->answers, 0);
}

TEST(a_request_is_answered) {
    nodes_begin();
    struct peer_net_options blank = {0};
    struct node *a = node_start(1, &blank), *b = node_start(2, NULL);
    struct told_control known = {0}, whoever = {0};
    ask(a, b->address, b->id, SLICE("what?"), WAIT_MS, &known);
    ask(a, b->address, 0, SLICE(""), WAIT_MS, &whoever);
    WAIT_FOR(known.answers == 1 && whoever.answers == 1);
    EXPECT_EQ_INT(known.rc, RC_OK);
    EXPECT_EQ_INT(known.kind, 5);
    EXPECT_EQ_BYTES(known.body, known.body_len, "what?", 5);
    EXPECT_EQ_INT(whoever.rc, RC_OK);
    EXPECT_EQ_INT(whoever.responder, b->id);
    EXPECT_EQ_INT(whoever.body_len, 0);
    wait_ms(20);
    EXPECT_EQ_INT(known.answers + whoever.answers, 2);
    EXPECT_EQ_INT(b->requests, 2);
    nodes_end();
}

/* A node is invited into another cluster than its own by asking it. Only asking goes that far. */
TEST(another_cluster_may_ask) {
    nodes_begin();
    struct peer_net_options other = {.origin = OTHER_CLUSTER};
    struct node *a = node_start(1, &other), *b = node_start(2, NULL);
    struct told_control t = {0};
    ask(a, b->address, b->id, SLICE("?"), WAIT_MS, &t);
    WAIT_FOR(t.answers == 1);
    EXPECT_EQ_INT(t.rc, RC_OK);
    EXPECT_EQ_INT(b->requests, 1);
    nodes_end();
}

TEST(an_answer_that_comes_later) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_control t = {0};
    struct peer_control response = {.kind = 9, .body = SLICE("at last")};
    b->answers_at_once = false;
    ask(a, b->address, b->id, SLICE("?"), WAIT_MS, &t);
    WAIT_FOR(b->request != NULL);
    peer_net_set_identity(b->pn, 77, &CLUSTER); /* joining, for example: the answer still arrives */
    EXPECT_EQ_INT(t.answers, 0);
    peer_net_set_identity(b->pn, b->id, &CLUSTER);
    peer_request_answer(b->request, &response);
    WAIT_FOR(t.answers == 1);
    EXPECT_EQ_INT(t.rc, RC_OK);
    EXPECT_EQ_INT(t.kind, 9);
    nodes_end();
}

TEST(requests_that_fail) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL), *c = node_start(3, NULL);
    struct told_control nowhere = {0}, nonsense = {0}, other = {0}, refused = {0}, late = {0};
    struct peer_control response = {.kind = 9};
    b->answers_at_once = false;
    c->verdict = PEER_UNKNOWN_SENDER;
    ask(a, "127.0.0.1:1@1", 0, SLICE("?"), WAIT_MS, &nowhere);
    ask(a, "nonsense", 0, SLICE("?"), WAIT_MS, &nonsense);
    ask(a, b->address, 99, SLICE("?"), WAIT_MS, &other);
    ask(a, c->address, c->id, SLICE("?"), WAIT_MS, &refused);
    ask(a, b->address, b->id, SLICE("?"), 100, &late);
    WAIT_FOR(nowhere.answers && nonsense.answers && other.answers && refused.answers && late.answers);
    EXPECT_EQ_INT(nowhere.rc, RC_IO);
    EXPECT_EQ_INT(nonsense.rc, RC_IO);
    EXPECT_EQ_INT(other.rc, RC_INVALID);
    EXPECT_EQ_INT(other.code, PEER_WRONG_TARGET);
    EXPECT_EQ_INT(refused.rc, RC_INVALID);
    EXPECT_EQ_INT(refused.code, PEER_UNKNOWN_SENDER);
    EXPECT_EQ_STR(refused.text, "unknown sender: as the test wants it");
    EXPECT_EQ_INT(late.rc, RC_STOPPED);
    EXPECT_EQ_STR(late.text, "no answer in time");
    peer_request_answer(b->request, &response); /* to one that has gone: nothing happens */
    nodes_end();
}

/* A large request and a large answer. */
TEST(large_bodies) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_control t = {0};
    char *body = mem_calloc(1, 10 << 20);
    ask(a, b->address, b->id, slice_make(body, 10 << 20), WAIT_MS, &t);
    mem_free(body);
    WAIT_FOR(t.answers == 1);
    EXPECT_EQ_INT(t.rc, RC_OK);
    EXPECT_EQ_INT(t.body_len, 10 << 20);
    nodes_end();
}

/* Whatever is on its way when a node stops is told its end, once. */
TEST(stopping_in_the_middle) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_control t[3] = {{0}};
    struct end_of_stream e[2] = {{0}};
    struct peer_stream_handler h[2] = {stream_handler(&e[0]), stream_handler(&e[1])};
    struct peer_control response = {.kind = 9};
    b->answers_at_once = false;
    link_to(a, b);
    link_to(b, a);
    ask(a, b->address, b->id, SLICE("?"), WAIT_MS, &t[0]);
    e[0].stream = peer_stream_open(a->pn, b->id, b->address, &h[0]);
    WAIT_FOR(b->request != NULL && e[0].ups == 1 && a->ups == 1);
    ask(a, b->address, b->id, SLICE("?"), WAIT_MS, &t[1]);
    e[1].stream = peer_stream_open(a->pn, b->id, b->address, &h[1]);
    struct peer_request *request = b->request;
    node_stop(a);
    EXPECT_EQ_INT(t[0].answers, 1);
    EXPECT_EQ_INT(t[0].rc, RC_STOPPED);
    EXPECT_EQ_INT(t[1].answers, 1);
    EXPECT_EQ_INT(e[0].closes, 1);
    EXPECT_EQ_INT(e[1].closes, 1);
    WAIT_FOR(b->accepted.closes == 1);
    peer_request_answer(request, &response);
    nodes_end();
}

TEST_MAIN
