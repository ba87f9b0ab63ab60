/*
 * What redis-benchmark is for Redis, for etcd: a load of puts or linearizable gets over gRPC, one thread, an epoll loop, its
 * request bytes prepared beforehand, so that the server is what is measured.
 *
 *   bench-etcd-load PORT put|get|mixed|fill REQUESTS CLIENTS STREAMS KEYS VALUE_BYTES
 *
 * Each client is a connection with STREAMS requests in flight. put, get, and mixed, half of each, take random keys of KEYS; fill
 * puts them in turn. STREAMS times VALUE_BYTES is bounded by what etcd takes of a connection before it says that it has room.
 * It prints what redis-benchmark --csv prints for one test: a line of names, then operations/s and milliseconds.
 *
 * Of HTTP/2 it speaks what etcd needs: preface, SETTINGS and PING answered, HPACK with the first request's headers in the
 * dynamic table and one byte for each header from then on. Answers are not decoded beyond their frames: a call that fails in
 * gRPC ends with trailers and no message, so a message of the size to be expected is a success, anything else ends the program.
 */
#include "load.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

enum {
    CLIENTS_MAX = 1000,
    STREAMS_MAX = 256,
    IN_BYTES = 1 << 17,
    OUT_BYTES = 1 << 18, /* more than STREAMS_MAX requests that fit the window */
    VALUE_BYTES_MAX = 16384,
    REQUEST_WINDOW = 49152, /* of the 65535 bytes of HTTP/2's first window, what values may take */
    DATA_BYTES_MAX = 16384, /* of a frame, as HTTP/2 begins */
    KEY_BYTES = 16,
    FRAME_HEAD_BYTES = 9,
    ANSWER_WINDOW = 0x7fff0000, /* bytes of answers a connection may send before it would ask for more */
};

/* Frame types and flags of RFC 9113 that we meet. */
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct stream {
    uint32_t id; /* 0: no request in flight */
    bool is_put;
    uint32_t message_bytes;
    uint64_t sent_ns;
};

struct client {
    int fd;
    bool greeted;   /* the headers are in the server's dynamic table */
    bool knows_put; /* and the path among them is that of puts */
    uint32_t next_id;
    uint64_t answer_bytes;
    struct stream streams[STREAMS_MAX];
    size_t in_len, out_len;
    char in[IN_BYTES];
    char out[OUT_BYTES];
};

static struct client *clients;
static int ep;
static bool in_turn;
static uint64_t puts_percent;
static uint32_t *latency_us;
static size_t stream_count, value_bytes;
static uint64_t key_count, to_send, answered, to_answer;
static char value[VALUE_BYTES_MAX];

static void put(struct client *c, const void *data, size_t len) {
    if (c->out_len + len > OUT_BYTES) fail("more to send than there is room for");
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
}

static void put_u32(struct client *c, uint32_t n) {
    n = htonl(n);
    put(c, &n, sizeof n);
}

static void put_frame(struct client *c, size_t len, int type, int flags, uint32_t stream) {
    char head[FRAME_HEAD_BYTES - 4] = {(char)(len >> 16), (char)(len >> 8), (char)len, (char)type,
                                       (char)flags};
    put(c, head, sizeof head);
    put_u32(c, stream);
}

/* HPACK: a literal that enters the dynamic table; `name` is the index of its name, or 0 when the name follows. */
static size_t hpack_literal(char *to, int name, const char *name_text, const char *text) {
    size_t at = 0, len;
    to[at++] = (char)(0x40 | name);
    if (name == 0) {
        to[at++] = (char)(len = strlen(name_text));
        memcpy(to + at, name_text, len);
        at += len;
    }
    to[at++] = (char)(len = strlen(text));
    memcpy(to + at, text, len);
    return at + len;
}

static void put_headers(struct client *c, const struct stream *s) {
    static const char *const paths[] = {"/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put"};
    const char *path = paths[s->is_put];
    char block[256];
    size_t at = 0;
    block[at++] = (char)0x83; /* :method POST */
    block[at++] = (char)0x86; /* :scheme http */
    if (c->greeted) {
        /* The four literals below, the last one first: the table counts from its newest entry, 62. The path that is not in
         * the table is a literal (of :path, 4) that does not enter it. */
        if (s->is_put == c->knows_put) {
            block[at++] = (char)0xc1;
        } else {
            block[at++] = 0x04;
            block[at++] = (char)strlen(path);
            memcpy(block + at, path, strlen(path));
            at += strlen(path);
        }
        memcpy(block + at, "\xc0\xbf\xbe", 3);
        at += 3;
    } else {
        at += hpack_literal(block + at, 4, NULL, path);
        at += hpack_literal(block + at, 1, NULL, "localhost");
        at += hpack_literal(block + at, 31, NULL, "application/grpc");
        at += hpack_literal(block + at, 0, "te", "trailers");
        c->greeted = true;
        c->knows_put = s->is_put;
    }
    put_frame(c, at, HEADERS, END_HEADERS, s->id);
    put(c, block, at);
}

/* A message goes in as many DATA frames as it needs. */
static void put_data(struct client *c, const char *message, size_t len, uint32_t stream) {
    while (len > 0) {
        size_t part = len < DATA_BYTES_MAX ? len : DATA_BYTES_MAX;
        len -= part;
        put_frame(c, part, DATA, len == 0 ? END_STREAM : 0, stream);
        put(c, message, part);
        message += part;
    }
}

static size_t varint(char *to, uint64_t n) {
    size_t at = 0;
    for (; n >= 128; n >>= 7) to[at++] = (char)(0x80 | (n & 0x7f));
    to[at++] = (char)n;
    return at;
}

/* PutRequest{key = 1, value = 2} or RangeRequest{key = 1}, behind gRPC's five bytes: not compressed, so long. */
static void put_message(struct client *c, const struct stream *s) {
    char key[KEY_BYTES + 16];
    uint64_t number = in_turn ? to_send : next_random() % key_count;
    snprintf(key, sizeof key, "key:%012llu", (unsigned long long)number);
    static char message[5 + 2 + KEY_BYTES + 8 + VALUE_BYTES_MAX];
    size_t at = 5;
    message[at++] = 0x0a;
    message[at++] = KEY_BYTES;
    memcpy(message + at, key, KEY_BYTES);
    at += KEY_BYTES;
    if (s->is_put) {
        message[at++] = 0x12;
        at += varint(message + at, value_bytes);
        memcpy(message + at, value, value_bytes);
        at += value_bytes;
    }
    message[3] = (char)((at - 5) >> 8);
    message[4] = (char)(at - 5);
    put_data(c, message, at, s->id);
}

static void request(struct client *c, struct stream *s, uint64_t now) {
    if (to_send == 0) return;
    to_send--;
    *s = (struct stream){.id = c->next_id, .sent_ns = now, .is_put = next_random() % 100 < puts_percent};
    c->next_id += 2;
    put_headers(c, s);
    put_message(c, s);
}

/* Everything goes out at once: at most STREAMS_MAX small requests, less than any socket buffer. */
static void flush(struct client *c) {
    size_t at = 0;
    while (at < c->out_len) {
        ssize_t n = write(c->fd, c->out + at, c->out_len - at);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) die("write");
        at += (size_t)n;
    }
    c->out_len = 0;
}

static struct stream *stream_of(struct client *c, uint32_t id) {
    for (size_t i = 0; i < stream_count; i++) {
        if (c->streams[i].id == id) return &c->streams[i];
    }
    fail("an answer nobody waits for");
    return NULL;
}

static void stream_done(struct client *c, struct stream *s, uint64_t now) {
    /* A put's answer has at least a header; a get's must hold the value. */
    if (s->message_bytes < (s->is_put ? 6 : 5 + KEY_BYTES + value_bytes))
        fail("a call failed: no message, or one that is too short");
    latency_us[answered++] = (uint32_t)((now - s->sent_ns) / 1000);
    s->id = 0;
    request(c, s, now);
}

static void frame(struct client *c, int type, int flags, uint32_t id, const char *data, size_t len,
                  uint64_t now) {
    switch (type) {
    case DATA:
        stream_of(c, id)->message_bytes += (uint32_t)len;
        c->answer_bytes += len;
        if (c->answer_bytes > ANSWER_WINDOW)
            fail("more answers than a connection's window; ask for fewer requests");
        if ((flags & END_STREAM) != 0) stream_done(c, stream_of(c, id), now);
        return;
    case HEADERS:
        if ((flags & END_STREAM) != 0) stream_done(c, stream_of(c, id), now);
        return;
    case SETTINGS:
        if ((flags & ACK) == 0) put_frame(c, 0, SETTINGS, ACK, 0);
        return;
    case PING:
        if ((flags & ACK) != 0 || len != 8) return;
        put_frame(c, len, PING, ACK, 0);
        put(c, data, len);
        return;
    case RST_STREAM:
    case GOAWAY: fail("the server ended a call or the connection"); return;
    case WINDOW_UPDATE: /* our requests are far smaller than any window */
    default: return;
    }
}

static void readable(struct client *c) {
    ssize_t n = read(c->fd, c->in + c->in_len, IN_BYTES - c->in_len);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) fail("the server closed a connection");
    c->in_len += (size_t)n;
    uint64_t now = now_ns();
    size_t at = 0;
    while (c->in_len - at >= FRAME_HEAD_BYTES) {
        const unsigned char *head = (const unsigned char *)c->in + at;
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        uint32_t id;
        memcpy(&id, head + 5, sizeof id);
        if (len > IN_BYTES - FRAME_HEAD_BYTES) fail("a frame that is too large");
        if (c->in_len - at - FRAME_HEAD_BYTES < len) break;
        frame(c, head[3], head[4], ntohl(id) & 0x7fffffff, c->in + at + FRAME_HEAD_BYTES, len, now);
        at += FRAME_HEAD_BYTES + len;
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
    flush(c);
}

static void client_open(struct client *c, const char *port) {
    c->fd = load_connect(port, ep, c);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    put(c, preface, sizeof preface - 1);
    put_frame(c, 0, SETTINGS, 0, 0);
    put_frame(c, 4, WINDOW_UPDATE, 0, 0);
    put_u32(c, ANSWER_WINDOW - 65535);
    c->next_id = 1;
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: bench-etcd-load PORT put|get|mixed|fill REQUESTS CLIENTS STREAMS KEYS "
                        "VALUE_BYTES\n");
        return 2;
    }
    in_turn = strcmp(argv[2], "fill") == 0;
    puts_percent = in_turn || strcmp(argv[2], "put") == 0 ? 100 : strcmp(argv[2], "mixed") == 0 ? 50 : 0;
    to_send = to_answer = strtoull(argv[3], NULL, 10);
    size_t client_count = strtoul(argv[4], NULL, 10);
    stream_count = strtoul(argv[5], NULL, 10);
    key_count = strtoull(argv[6], NULL, 10);
    value_bytes = strtoul(argv[7], NULL, 10);
    if (to_send == 0 || key_count == 0 || client_count == 0 || client_count > CLIENTS_MAX ||
        stream_count == 0 || stream_count > STREAMS_MAX || value_bytes == 0 ||
        value_bytes > VALUE_BYTES_MAX || (stream_count > 1 && stream_count * value_bytes > REQUEST_WINDOW))
        fail("a number is out of range");
    memset(value, 'x', sizeof value);
    random_state ^= (uint64_t)getpid() << 32;
    latency_us = calloc(to_answer, sizeof *latency_us);
    clients = calloc(client_count, sizeof *clients);
    ep = epoll_create1(0);
    if (latency_us == NULL || clients == NULL || ep < 0) die("memory or epoll");
    for (size_t i = 0; i < client_count; i++) client_open(&clients[i], argv[1]);
    uint64_t began = now_ns();
    for (size_t i = 0; i < client_count; i++) {
        for (size_t s = 0; s < stream_count; s++) request(&clients[i], &clients[i].streams[s], now_ns());
        flush(&clients[i]);
    }
    while (answered < to_answer) {
        struct epoll_event events[256];
        int count = epoll_wait(ep, events, 256, 20000);
        if (count == 0) fail("no answer for 20 seconds");
        for (int i = 0; i < count; i++) readable(events[i].data.ptr);
    }
    uint64_t took_ns = now_ns() - began;
    report_head();
    report_row(argv[2], latency_us, to_answer, to_answer, took_ns, 0);
    return 0;
}
