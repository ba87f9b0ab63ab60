/*
 * SETs that wait for a replica: each client sends PIPELINE SETs and one WAIT 1 0 behind them, and goes on when all are answered,
 * which is what an application has to do with Redis to know its writes on two machines. redis-benchmark cannot mix commands.
 *
 *   bench-wait-load PORT REQUESTS CLIENTS PIPELINE KEYS VALUE_BYTES
 *
 * One thread, an epoll loop. It prints what redis-benchmark --csv prints for one test, the SETs being what is counted. An answer
 * other than PIPELINE times +OK and a number of replicas from 1 to 9 ends the program.
 */
#include "load.h"

#include <string.h>

enum { CLIENTS_MAX = 1000, PIPELINE_MAX = 256, VALUE_BYTES_MAX = 512, OK_BYTES = 5, WAIT_ANSWER_BYTES = 4 };

struct client {
    int fd;
    size_t in_len;
    uint64_t sent_ns;
    char in[PIPELINE_MAX * OK_BYTES + WAIT_ANSWER_BYTES];
};

static struct client clients[CLIENTS_MAX];
static int ep;
static size_t pipeline, set_bytes, batch_bytes;
static uint64_t key_count, to_send, to_answer, answered;
static char batch[PIPELINE_MAX * (VALUE_BYTES_MAX + 64) + 64];

/* All batches are the same but for the digits of their keys. */
static void prepare(size_t value_bytes) {
    char *at = batch;
    for (size_t i = 0; i < pipeline; i++) {
        at += sprintf(at, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%zu\r\n", 0, value_bytes);
        memset(at, 'x', value_bytes);
        at += value_bytes;
        at += sprintf(at, "\r\n");
    }
    set_bytes = (size_t)(at - batch) / pipeline;
    at += sprintf(at, "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n");
    batch_bytes = (size_t)(at - batch);
}

static void draw_keys(void) {
    static const size_t digits_at = sizeof "*3\r\n$3\r\nSET\r\n$16\r\nkey:" - 1;
    for (size_t i = 0; i < pipeline; i++) {
        uint64_t key = next_random() % key_count;
        char *last = batch + i * set_bytes + digits_at + 11;
        for (int digit = 0; digit < 12; digit++, key /= 10) *last-- = (char)('0' + key % 10);
    }
}

static void send_batch(struct client *c) {
    if (to_send == 0) return;
    to_send--;
    draw_keys();
    c->sent_ns = now_ns();
    c->in_len = 0;
    size_t at = 0;
    while (at < batch_bytes) {
        ssize_t n = write(c->fd, batch + at, batch_bytes - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) die("write");
        at += (size_t)n;
    }
}

static void readable(struct client *c) {
    size_t want = pipeline * OK_BYTES + WAIT_ANSWER_BYTES;
    ssize_t n = read(c->fd, c->in + c->in_len, want - c->in_len);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) fail("the server closed a connection");
    c->in_len += (size_t)n;
    if (c->in_len < want) return;
    for (size_t i = 0; i < pipeline; i++)
        if (memcmp(c->in + i * OK_BYTES, "+OK\r\n", OK_BYTES) != 0) fail("a SET was not answered with +OK");
    const char *wait = c->in + pipeline * OK_BYTES;
    if (wait[0] != ':' || wait[1] < '1' || wait[1] > '9') fail("no replica has it");
    latency_us[answered++] = (uint32_t)((now_ns() - c->sent_ns) / 1000);
    send_batch(c);
}

static void client_open(struct client *c, const char *port) {
    c->fd = load_connect(port, ep, c);
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: bench-wait-load PORT REQUESTS CLIENTS PIPELINE KEYS VALUE_BYTES\n");
        return 2;
    }
    uint64_t requests = strtoull(argv[2], NULL, 10);
    size_t client_count = strtoul(argv[3], NULL, 10), value_bytes = strtoul(argv[6], NULL, 10);
    pipeline = strtoul(argv[4], NULL, 10);
    key_count = strtoull(argv[5], NULL, 10);
    if (requests == 0 || key_count == 0 || client_count == 0 || client_count > CLIENTS_MAX || pipeline == 0 ||
        pipeline > PIPELINE_MAX || value_bytes == 0 || value_bytes > VALUE_BYTES_MAX)
        fail("a number is out of range");
    to_send = to_answer = (requests + pipeline - 1) / pipeline;
    random_state ^= (uint64_t)getpid() << 32;
    latency_us = calloc(to_answer, sizeof *latency_us);
    ep = epoll_create1(0);
    if (latency_us == NULL || ep < 0) die("memory or epoll");
    prepare(value_bytes);
    for (size_t i = 0; i < client_count; i++) client_open(&clients[i], argv[1]);
    uint64_t began = now_ns();
    for (size_t i = 0; i < client_count; i++) send_batch(&clients[i]);
    while (answered < to_answer) {
        struct epoll_event events[256];
        int count = epoll_wait(ep, events, 256, 20000);
        if (count == 0) fail("no answer for 20 seconds");
        for (int i = 0; i < count; i++) readable(events[i].data.ptr);
    }
    report("SET and WAIT", to_answer, to_answer * pipeline, now_ns() - began);
    return 0;
}
