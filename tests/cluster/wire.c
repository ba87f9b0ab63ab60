/* The network between the nodes: passes bytes, holds them back, delays them, or breaks connections, as the shared file
 * (faults.h) says at each moment.
 *
 *   wire FAULTS-FILE PORT,PORT,...       the nodes' peer ports on 127.0.0.1, in their order
 *
 * For each pair it listens at the address that faults.so leads node `from` to, on the port of node `to`, so that it knows
 * who talks to whom. A partition is not a broken connection: bytes stop on their way, TCP's buffers fill up, and when it is
 * over everything goes on, late. A new connection across a partition is neither refused nor served. It prints "ready". */
#include "faults.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 64 << 10,
    QUEUE_BYTES_MAX = 1 << 20, /* of one direction of a connection; then it is not read from any more */
    LOOK_MS = 5,               /* how soon a change in the file is noticed */
};

struct chunk {
    struct chunk *next;
    uint64_t due_us;
    size_t len, sent;
    char data[];
};

/* One direction of a connection. */
struct flow {
    const struct faults_link *link;
    uint32_t resets_seen;
    struct chunk *first, **last;
    size_t bytes;
    uint64_t free_us;        /* when a thin link has passed what was sent before */
    bool at_end, end_passed; /* the source said that nothing more comes; so did we */
};

struct end {
    struct conn *conn; /* NULL: a listener */
    int fd;
    uint32_t events; /* what epoll watches for */
    uint16_t from, to;
};

struct conn {
    struct conn *next;
    struct end near, far; /* of the node that opened it; of the other. far.fd: -1 until it is dialled */
    struct flow out, back;
    bool is_connected, is_dead;
};

static const struct faults *faults;
static int ports[FAULTS_NODES_MAX];
static size_t node_count;
static int epoll_fd;
static struct conn *conns;
static uint64_t now_us;

static _Noreturn void die(const char *what) {
    fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Without events it is left out altogether: epoll would go on telling of an end that nobody may hear of yet. */
static void watch(struct end *e, uint32_t events) {
    if (e->fd < 0 || e->events == events) return;
    struct epoll_event ev = {.events = events, .data.ptr = e};
    int what = events == 0 ? EPOLL_CTL_DEL : e->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(epoll_fd, what, e->fd, &ev) != 0) die("epoll_ctl");
    e->events = events;
}

/* Breaks a connection so that both ends notice: RST, not FIN. */
static void close_end(struct end *e) {
    struct linger hard = {.l_onoff = 1};
    if (e->fd < 0) return;
    setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(e->fd);
    e->fd = -1;
}

static void flow_empty(struct flow *f) {
    while (f->first != NULL) {
        struct chunk *c = f->first;
        f->first = c->next;
        free(c);
    }
    f->last = &f->first;
    f->bytes = 0;
}

static void flow_init(struct flow *f, size_t from, size_t to) {
    *f = (struct flow){.link = &faults->links[from][to]};
    f->resets_seen = atomic_load(&f->link->resets);
    f->last = &f->first;
}

static bool is_blocked(const struct flow *f) {
    return atomic_load(&f->link->blocked) != 0;
}

/* --------------------------------------------------------------------------------------------------- passing */

/* When bytes that are read now are through. */
static uint64_t due(struct flow *f, size_t len) {
    uint64_t kb_per_s = atomic_load(&f->link->kb_per_s), at = now_us + atomic_load(&f->link->delay_us);
    if (at < f->free_us) at = f->free_us;
    f->free_us = kb_per_s == 0 ? 0 : at + len * 1000 / kb_per_s;
    return kb_per_s == 0 ? at : f->free_us;
}

static void flow_read(struct conn *c, struct flow *f, struct end *from) {
    while (f->bytes < QUEUE_BYTES_MAX && !f->at_end && !c->is_dead) {
        struct chunk *piece = malloc(sizeof *piece + CHUNK_BYTES);
        ssize_t n = recv(from->fd, piece->data, CHUNK_BYTES, MSG_DONTWAIT);
        if (n <= 0) {
            free(piece);
            f->at_end = n == 0;
            c->is_dead = n < 0 && errno != EAGAIN && errno != EINTR;
            return;
        }
        *piece = (struct chunk){.due_us = due(f, (size_t)n), .len = (size_t)n};
        *f->last = piece;
        f->last = &piece->next;
        f->bytes += (size_t)n;
    }
}

static void flow_write(struct conn *c, struct flow *f, struct end *to) {
    while (f->first != NULL && f->first->due_us <= now_us) {
        struct chunk *piece = f->first;
        ssize_t n =
            send(to->fd, piece->data + piece->sent, piece->len - piece->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            c->is_dead = errno != EAGAIN && errno != EINTR;
            return;
        }
        piece->sent += (size_t)n;
        f->bytes -= (size_t)n;
        if (piece->sent < piece->len) return;
        f->first = piece->next;
        if (f->first == NULL) f->last = &f->first;
        free(piece);
    }
    if (f->first == NULL && f->at_end && !f->end_passed) {
        f->end_passed = true;
        shutdown(to->fd, SHUT_WR);
    }
}

/* A broken connection tells the other end only when the way there is free. */
static void flow_step(struct conn *c, struct flow *f, struct end *from, struct end *to) {
    if (atomic_load(&f->link->resets) != f->resets_seen) c->is_dead = true;
    if (c->is_dead || is_blocked(f)) return;
    flow_read(c, f, from);
    if (!c->is_dead) flow_write(c, f, to);
}

static uint32_t wanted(const struct flow *in, const struct flow *out) {
    uint32_t events = 0;
    if (!is_blocked(in) && !in->at_end && in->bytes < QUEUE_BYTES_MAX) events |= EPOLLIN;
    if (!is_blocked(out) && out->first != NULL && out->first->due_us <= now_us) events |= EPOLLOUT;
    return events;
}

static void conn_dial(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[c->near.to])};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->far.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->far.fd < 0) die("socket");
    int on = 1;
    setsockopt(c->far.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* On loopback this ends at once, one way or the other; without a listener the opener's connection breaks. */
    if (connect(c->far.fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        c->is_dead = true;
        return;
    }
    c->is_connected = true;
}

static void conn_step(struct conn *c) {
    bool any_blocked = is_blocked(&c->out) || is_blocked(&c->back);
    if (!c->is_dead && !c->is_connected && !any_blocked) conn_dial(c);
    if (!c->is_dead && c->is_connected) {
        flow_step(c, &c->out, &c->near, &c->far);
        flow_step(c, &c->back, &c->far, &c->near);
    }
    if (!c->is_connected && atomic_load(&c->out.link->resets) != c->out.resets_seen) c->is_dead = true;
    if (c->out.end_passed && c->back.end_passed) c->is_dead = true;
    if (c->is_dead) return;
    watch(&c->near, c->is_connected ? wanted(&c->out, &c->back) : 0);
    watch(&c->far, wanted(&c->back, &c->out));
}

static void conn_free(struct conn *c) {
    close_end(&c->near);
    close_end(&c->far);
    flow_empty(&c->out);
    flow_empty(&c->back);
    free(c);
}

/* Everything that may have changed without a socket saying so: the file, due times. */
static void step_all(void) {
    for (struct conn **link = &conns; *link != NULL;) {
        struct conn *c = *link;
        conn_step(c);
        if (c->is_dead) {
            *link = c->next;
            conn_free(c);
        } else {
            link = &c->next;
        }
    }
}

/* -------------------------------------------------------------------------------------------------- the nodes */

static void accept_all(const struct end *listener) {
    int fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->near = (struct end){.conn = c, .fd = fd, .from = listener->from, .to = listener->to};
        c->far = (struct end){.conn = c, .fd = -1};
        flow_init(&c->out, listener->from, listener->to);
        flow_init(&c->back, listener->to, listener->from);
        c->next = conns;
        conns = c;
    }
}

static void listen_for(uint16_t from, uint16_t to) {
    struct end *e = calloc(1, sizeof *e);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[to])};
    at.sin_addr.s_addr = htonl(FAULTS_WIRE_NET(from));
    *e = (struct end){
        .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .from = from, .to = to};
    int on = 1;
    if (e->fd < 0 || setsockopt(e->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(e->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(e->fd, 128) != 0) {
        die("cannot listen");
    }
    watch(e, EPOLLIN);
}

static void map_faults(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(path);
    void *map = mmap(NULL, sizeof(struct faults), PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) die(path);
    faults = map;
    if (memcmp(faults->magic, FAULTS_MAGIC, 8) != 0) die("not a file of faults");
    close(fd);
}

int main(int argc, char **argv) {
    struct epoll_event events[64];
    if (argc != 3) {
        fprintf(stderr, "usage: %s FAULTS-FILE PORT,PORT,...\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive the test */
    map_faults(argv[1]);
    for (char *word = strtok(argv[2], ","); word != NULL && node_count < FAULTS_NODES_MAX;
         word = strtok(NULL, ",")) {
        ports[node_count++] = atoi(word);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t from = 0; from < node_count; from++) {
        for (size_t to = 0; to < node_count; to++) {
            if (from != to) listen_for((uint16_t)from, (uint16_t)to);
        }
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 64, LOOK_MS);
        now_us = clock_us();
        for (int i = 0; i < n; i++) {
            struct end *e = events[i].data.ptr;
            if (e->conn == NULL) {
                accept_all(e);
            } else if (!e->conn->is_dead) {
                conn_step(e->conn);
            }
        }
        step_all(); /* who died in this turn may still be named by an event of it, so memory goes back only here */
    }
}
