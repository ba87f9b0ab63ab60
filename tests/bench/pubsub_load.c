/*
 * PUBLISH to many: one connection sends batches of PUBLISH, and the next when each subscriber has heard all of it and the batch
 * is answered. redis-benchmark can do neither.
 *
 *   bench-pubsub-load PORT MESSAGES SUBSCRIBERS BATCH BYTES
 *
 * One thread, an epoll loop. It prints what redis-benchmark --csv prints for one test; messages are counted as they are
 * published, and a latency is that of a batch, to the last byte of the last subscriber. An answer other than the number of
 * subscribers, and a message of another length than expected, end the program.
 */
#include "load.h"

#include <stdbool.h>
#include <string.h>

enum { SUBSCRIBERS_MAX = 1000, BATCH_MAX = 256, BYTES_MAX = 65536, ANSWER_MAX = 16 };

struct client {
    int fd;
    size_t left; /* bytes of this batch that are still to come */
};

static struct client subscribers[SUBSCRIBERS_MAX], publisher;
static size_t subscriber_count, batch_count, batch_bytes, heard_bytes, answer_bytes;
static size_t waiting; /* clients that have not everything */
static char *batch, answers[BATCH_MAX * ANSWER_MAX], expected[BATCH_MAX * ANSWER_MAX];
static uint64_t batches, done, sent_ns;
static uint32_t *latency_us; /* of each batch */

static void prepare(size_t bytes) {
    char *at = batch = malloc(batch_count * (bytes + 64));
    if (batch == NULL) die("malloc");
    for (size_t i = 0; i < batch_count; i++) {
        at += sprintf(at, "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n$%zu\r\n", bytes);
        memset(at, 'x', bytes);
        at += bytes;
        at += sprintf(at, "\r\n");
        answer_bytes += (size_t)sprintf(expected + answer_bytes, ":%zu\r\n", subscriber_count);
    }
    batch_bytes = (size_t)(at - batch);
    char head[64];
    heard_bytes =
        batch_count *
        ((size_t)sprintf(head, "*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$%zu\r\n", bytes) + bytes + 2);
}

static void write_all(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) die("write");
        bytes += n;
        len -= (size_t)n;
    }
}

static void send_batch(void) {
    waiting = subscriber_count + 1;
    for (size_t i = 0; i < subscriber_count; i++) subscribers[i].left = heard_bytes;
    publisher.left = answer_bytes;
    sent_ns = now_ns();
    write_all(publisher.fd, batch, batch_bytes);
}

static void readable(struct client *c) {
    static char anything[1 << 16];
    bool is_publisher = c == &publisher;
    char *to = is_publisher ? answers + (answer_bytes - c->left) : anything;
    size_t room = is_publisher ? c->left : sizeof anything;
    ssize_t n = read(c->fd, to, room);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) fail("the server closed a connection");
    if ((size_t)n > c->left) fail("more came than was published");
    c->left -= (size_t)n;
    if (c->left > 0) return;
    if (is_publisher && memcmp(answers, expected, answer_bytes) != 0)
        fail("a PUBLISH reached another number of subscribers");
    if (--waiting > 0) return;
    latency_us[done++] = (uint32_t)((now_ns() - sent_ns) / 1000);
    if (done < batches) send_batch();
}

/* Its subscription is confirmed before anything is published. */
static void subscribe(struct client *c, const char *port, int ep) {
    static const char request[] = "SUBSCRIBE bench\r\n",
                      answer[] = "*3\r\n$9\r\nsubscribe\r\n$5\r\nbench\r\n:1\r\n";
    char got[sizeof answer];
    size_t len = 0;
    c->fd = load_connect(port, ep, c);
    write_all(c->fd, request, sizeof request - 1);
    while (len < sizeof answer - 1) {
        ssize_t n = read(c->fd, got + len, sizeof answer - 1 - len);
        if (n <= 0) die("SUBSCRIBE");
        len += (size_t)n;
    }
    if (memcmp(got, answer, sizeof answer - 1) != 0) fail("SUBSCRIBE was not answered as expected");
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: bench-pubsub-load PORT MESSAGES SUBSCRIBERS BATCH BYTES\n");
        return 2;
    }
    uint64_t messages = strtoull(argv[2], NULL, 10);
    size_t bytes = strtoul(argv[5], NULL, 10);
    subscriber_count = strtoul(argv[3], NULL, 10);
    batch_count = strtoul(argv[4], NULL, 10);
    if (messages == 0 || subscriber_count == 0 || subscriber_count > SUBSCRIBERS_MAX || batch_count == 0 ||
        batch_count > BATCH_MAX || bytes > BYTES_MAX)
        fail("a number is out of range");
    batches = (messages + batch_count - 1) / batch_count;
    latency_us = calloc(batches, sizeof *latency_us);
    int ep = epoll_create1(0);
    if (latency_us == NULL || ep < 0) die("memory or epoll");
    prepare(bytes);
    for (size_t i = 0; i < subscriber_count; i++) subscribe(&subscribers[i], argv[1], ep);
    publisher.fd = load_connect(argv[1], ep, &publisher);
    uint64_t began = now_ns();
    send_batch();
    while (done < batches) {
        struct epoll_event events[256];
        int count = epoll_wait(ep, events, 256, 20000);
        if (count == 0) fail("nothing came for 20 seconds");
        for (int i = 0; i < count; i++) readable(events[i].data.ptr);
    }
    uint64_t took_ns = now_ns() - began;
    report_head();
    report_row("PUBLISH", latency_us, batches, batches * batch_count, took_ns, 0);
    return 0;
}
