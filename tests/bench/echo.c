/*
 * The ceiling of the bench: an epoll server that parses nothing and answers a constant, so that a run shows what the load
 * generator and the kernel allow on this machine. It looks at the first bytes of what arrives, knows from them how long every
 * request of redis-benchmark is, and divides.
 *
 *   bench-echo PORT VALUE_BYTES
 *
 * It serves redis-benchmark with -t set or -t get, -r, and one of them per connection; nothing else. Memory of the connections
 * is an array indexed by descriptor; what does not fit is refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONN_MAX = 4096, EVENT_MAX = 256, READ_MAX = 1 << 18, KEY_BYTES = 16 };

struct conn {
    size_t request_bytes; /* of each request; 0 until the first bytes told */
    size_t rest_bytes;    /* of an unfinished request, not yet answered   */
    const char *answer;
    size_t answer_bytes;
};

static struct conn conns[CONN_MAX];
static char input[READ_MAX];
static char output[READ_MAX];
static char value_answer[READ_MAX / 8];
static size_t value_bytes;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void learn(struct conn *c, const char *in, size_t len) {
    char head[32];
    size_t prefix = strlen("*3\r\n$3\r\nSET\r\n$16\r\n") + KEY_BYTES + 2;
    if (len > 8 && in[8] == 'G') {
        c->request_bytes = prefix;
        c->answer = value_answer;
    } else {
        c->request_bytes =
            prefix + (size_t)snprintf(head, sizeof head, "$%zu\r\n", value_bytes) + value_bytes + 2;
        c->answer = "+OK\r\n";
    }
    c->answer_bytes = strlen(c->answer);
}

static int send_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        /* The sockets are blocking for writes in effect: redis-benchmark always reads what it asked for. */
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* 0 to go on, -1 when the connection is over. */
static int serve(int fd) {
    struct conn *c = &conns[fd];
    ssize_t n = read(fd, input, sizeof input);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (n <= 0) return -1;
    /* Before the load the generator asks two CONFIG GETs, in one piece. */
    if (n > 8 && input[8] == 'C') return send_all(fd, "-ERR no\r\n-ERR no\r\n", 18);
    if (c->request_bytes == 0) learn(c, input, (size_t)n);
    c->rest_bytes += (size_t)n;
    size_t count = c->rest_bytes / c->request_bytes;
    c->rest_bytes %= c->request_bytes;
    while (count > 0) {
        size_t used = 0;
        for (; count > 0 && used + c->answer_bytes <= sizeof output; count--) {
            memcpy(output + used, c->answer, c->answer_bytes);
            used += c->answer_bytes;
        }
        if (send_all(fd, output, used) != 0) return -1;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3 || (value_bytes = strtoul(argv[2], NULL, 10)) == 0 ||
        value_bytes > sizeof value_answer - 32) {
        fprintf(stderr, "usage: bench-echo PORT VALUE_BYTES\n");
        return 2;
    }
    int n = snprintf(value_answer, sizeof value_answer, "$%zu\r\n", value_bytes);
    memset(value_answer + n, 'x', value_bytes);
    strcpy(value_answer + (size_t)n + value_bytes, "\r\n");

    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
    if (listen(listener, 511) != 0) die("listen");
    int ep = epoll_create1(0);
    if (ep < 0) die("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event) != 0) die("epoll_ctl");
    puts("Ready to accept connections");
    fflush(stdout);

    for (;;) {
        struct epoll_event events[EVENT_MAX];
        int count = epoll_wait(ep, events, EVENT_MAX, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (serve(fd) != 0) close(fd);
                continue;
            }
            int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (client < 0) continue;
            if (client >= CONN_MAX) {
                close(client);
                continue;
            }
            memset(&conns[client], 0, sizeof conns[client]);
            event.events = EPOLLIN;
            event.data.fd = client;
            if (epoll_ctl(ep, EPOLL_CTL_ADD, client, &event) != 0) close(client);
        }
    }
}
