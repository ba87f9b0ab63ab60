/*
 * Many connections that do next to nothing: opened all at once, as they come after a server or a network was away; each sends one
 * PING and must be answered. Then they stay, until a line comes from standard input, which is what is done with all of them:
 * `ping`, one PING each and its answer; `hello`, the same with CLIENT SETNAME; end of input, the end.
 *
 *   bench-idle PORT COUNT
 *
 * After each round it prints a line of CSV: what, connections that answered, milliseconds until the first, the half and the last
 * of them had. A connection that was closed or answered something else is not counted; nobody waits longer than 60 seconds.
 */
#include "load.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

enum { ANSWER_BYTES_MAX = 16, WAIT_MS_MAX = 60000, FILES_BESIDES = 64 };

struct client {
    int fd; /* -1: it is lost */
    bool waits;
    bool connected;
    size_t len;
    char in[ANSWER_BYTES_MAX];
};

static struct client *clients;
static size_t count, waiting, answered;
static const char *request, *expected;
static uint64_t began_ns, half_ns, first_ns, last_ns;

static void allow_files(size_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit");
    if (limit.rlim_cur >= wanted) return;
    struct rlimit raised = {wanted, limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0) die("more open files than this user may have: RLIMIT_NOFILE");
}

static void lose(struct client *c) {
    close(c->fd);
    c->fd = -1;
    if (c->waits) waiting--;
    c->waits = false;
}

static void ask(struct client *c) {
    c->waits = true;
    c->len = 0;
    if (write(c->fd, request, strlen(request)) != (ssize_t)strlen(request)) lose(c);
}

static void answer(struct client *c) {
    ssize_t n = read(c->fd, c->in + c->len, sizeof c->in - c->len);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0 || !c->waits) {
        lose(c);
        return;
    }
    c->len += (size_t)n;
    size_t whole = strlen(expected);
    if (c->len < whole) return;
    if (c->len > whole || memcmp(c->in, expected, whole) != 0) {
        lose(c);
        return;
    }
    c->waits = false;
    waiting--;
    last_ns = now_ns() - began_ns;
    if (answered == 0) first_ns = last_ns;
    if (++answered == (count + 1) / 2) half_ns = last_ns;
}

static void ready(struct client *c, int ep, uint32_t events) {
    if (c->fd < 0) return;
    if (!c->connected) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error != 0 || (events & EPOLLOUT) == 0) {
            lose(c);
            return;
        }
        c->connected = true;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &event) != 0) die("epoll_ctl");
        ask(c);
        return;
    }
    answer(c);
}

static void begin(const char *text, const char *wanted) {
    request = text;
    expected = wanted;
    began_ns = now_ns();
    answered = waiting = 0;
    first_ns = half_ns = last_ns = 0;
}

static void finish(const char *what, int ep) {
    while (waiting > 0 && now_ns() - began_ns < WAIT_MS_MAX * 1000000ULL) {
        struct epoll_event events[512];
        int n = epoll_wait(ep, events, 512, 1000);
        for (int i = 0; i < n; i++) ready(events[i].data.ptr, ep, events[i].events);
    }
    printf("%s,%zu,%.1f,%.1f,%.1f\n", what, answered, (double)first_ns / 1e6, (double)half_ns / 1e6,
           (double)last_ns / 1e6);
    fflush(stdout);
}

static void open_all(uint16_t port, int ep) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    waiting = count;
    for (size_t i = 0; i < count; i++) {
        struct client *c = &clients[i];
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (c->fd < 0) die("socket");
        c->waits = true;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
        if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
            die("connect");
        if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &event) != 0) die("epoll_ctl");
    }
}

static void ask_all(void) {
    for (size_t i = 0; i < count; i++) {
        if (clients[i].fd < 0) continue;
        waiting++;
        ask(&clients[i]);
    }
}

int main(int argc, char **argv) {
    if (argc != 3 || (count = strtoul(argv[2], NULL, 10)) == 0) {
        fprintf(stderr, "usage: bench-idle PORT COUNT\n");
        return 2;
    }
    allow_files(count + FILES_BESIDES);
    clients = calloc(count, sizeof *clients);
    int ep = epoll_create1(0);
    if (clients == NULL || ep < 0) die("memory or epoll");
    begin("PING\r\n", "+PONG\r\n");
    open_all((uint16_t)strtoul(argv[1], NULL, 10), ep);
    finish("open", ep);
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        bool names = strcmp(line, "hello\n") == 0;
        begin(names ? "CLIENT SETNAME idle\r\n" : "PING\r\n", names ? "+OK\r\n" : "+PONG\r\n");
        ask_all();
        finish(names ? "hello" : "ping", ep);
    }
    return 0;
}
