/*
 * The ceiling of three nodes: what replication of a synced log costs when there is nothing else. Three processes on loopback,
 * the first of which serves redis-benchmark:
 *
 *   bench-minirepl leader PORT PEER_PORT LOG_FILE VALUE_BYTES
 *   bench-minirepl follower PEER_PORT LOG_FILE            (twice)
 *
 * All SETs that arrive in one turn of the leader's event loop make one entry. At most IN_FLIGHT_MAX entries are uncommitted; what
 * arrives meanwhile gathers in the next one. An entry goes to the followers and to the leader's log thread at the same time; each
 * of the three writes what it has as one group into a preallocated file, syncs, and only then counts it. Two durable copies
 * commit an entry and answer its clients, one write for each connection. There are no elections, no state and no recovery: GET
 * answers a constant, and the log is a ring nobody reads.
 *
 * Formats, host order: an entry, in the log and on the wire, is {uint64 index, uint64 payload bytes, payload}, the payload being
 * the requests as they came; a follower answers with the uint64 index up to which it is durable.
 *
 * Only what redis-benchmark sends with -t set or -t get is understood; anything else ends the program or the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PEERS = 2,
    CONN_MAX = 4096,
    EVENT_MAX = 512,
    CONN_IN_BYTES = 1 << 16,
    ANSWER_BYTES_MAX = 1 << 20,
    IN_FLIGHT_MAX = 2,
    SLOTS =
        8, /* entries that are filled, in flight, or committed by the followers before our own disk has them */
    LOG_BYTES = 64 << 20,
    PEER_BACKLOG_BYTES_MAX = 1 << 30,
};

struct head {
    uint64_t index;
    uint64_t bytes;
};

struct waiter {
    int fd;
    uint32_t
        generation; /* of the connection: a descriptor may be somebody else's by the time of the answer */
    uint32_t count;
};

struct entry {
    char *data; /* a struct head, then the payload */
    size_t len, cap;
    struct waiter *waiters;
    size_t waiter_count, waiter_cap;
};

struct conn {
    char *in;
    size_t in_len;
    uint32_t generation;
    uint32_t due; /* answers to write before the turn ends */
};

struct peer {
    int fd;
    uint64_t durable_index;
    char *out; /* what the socket did not take yet; at most PEER_BACKLOG_BYTES_MAX, more ends the program */
    size_t out_len, out_cap;
    char ack[sizeof(uint64_t)];
    size_t ack_len;
};

/* The log file as a ring: a group that does not fit behind the last one starts over at offset 0. */
struct ring {
    int fd;
    off_t at;
};

static struct conn conns[CONN_MAX];
static struct peer peers[PEERS];
static struct entry slots[SLOTS];
static uint64_t proposed_index, commit_index,
    durable_index; /* slots[(proposed_index + 1) % SLOTS] is being filled */
static int due_fds[CONN_MAX];
static size_t due_count;
static char value_answer[1 << 16];
static size_t value_answer_bytes;
static char output[ANSWER_BYTES_MAX];
static int ep;

/* Between the event loop and the log thread: the loop raises `wanted`, the thread `synced`. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t log_wake = PTHREAD_COND_INITIALIZER;
static uint64_t log_wanted_index, log_synced_index;
static int log_done_fd;
static struct ring ring;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *grown(void *old, size_t bytes) {
    void *p = realloc(old, bytes);
    if (p == NULL) die("realloc");
    return p;
}

static void ring_open(const char *path) {
    static char
        zeros[4096]; /* small writes make small pages in the cache, so a group dirties no more than it has */
    ring.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ring.fd < 0) die(path);
    for (size_t done = 0; done < LOG_BYTES; done += sizeof zeros) {
        if (pwrite(ring.fd, zeros, sizeof zeros, (off_t)done) != (ssize_t)sizeof zeros) die("pwrite");
    }
    if (fsync(ring.fd) != 0) die("fsync");
}

/* One write, one sync. */
static void ring_append(const struct iovec *parts, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
    if ((size_t)ring.at + bytes > LOG_BYTES) ring.at = 0;
    ssize_t n = pwritev(ring.fd, parts, count, ring.at);
    if (n < 0 || (size_t)n != bytes) die("pwritev");
    if (fdatasync(ring.fd) != 0) die("fdatasync");
    ring.at += (off_t)bytes;
}

static int listen_on(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
    if (listen(fd, 511) != 0) die("listen");
    return fd;
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void watch(int fd, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(ep, how, fd, &event) != 0) die("epoll_ctl");
}

/* ---- the follower: read what there is, write it, sync it, say so ---- */

/* Bytes of the whole entries at the front; *last is the index of the last of them. */
static size_t whole_entries(const char *in, size_t len, uint64_t *last) {
    size_t at = 0;
    struct head head;
    while (len - at >= sizeof head) {
        memcpy(&head, in + at, sizeof head);
        if (len - at - sizeof head < head.bytes) break;
        at += sizeof head + head.bytes;
        *last = head.index;
    }
    return at;
}

static int connect_to(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int tries = 0; tries < 1000; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) die("socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
        close(fd);
        usleep(10000);
    }
    die("connect");
    return -1;
}

static int follower(const char *peer_port, const char *path) {
    ring_open(path);
    int fd = connect_to(peer_port);
    no_delay(fd);
    size_t cap = 1 << 20, len = 0;
    char *in = grown(NULL, cap);
    for (;;) {
        if (cap - len < cap / 2) in = grown(in, cap *= 2);
        ssize_t n = read(fd, in + len, cap - len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0; /* the leader has ended */
        len += (size_t)n;
        uint64_t last = 0;
        size_t bytes = whole_entries(in, len, &last);
        if (bytes == 0) continue;
        ring_append(&(struct iovec){.iov_base = in, .iov_len = bytes}, 1);
        if (write(fd, &last, sizeof last) != (ssize_t)sizeof last) return 0;
        memmove(in, in + bytes, len - bytes);
        len -= bytes;
    }
}

/* ---- the leader's log thread ---- */

static void *log_thread(void *arg) {
    (void)arg;
    for (;;) {
        pthread_mutex_lock(&log_lock);
        while (log_wanted_index == log_synced_index) pthread_cond_wait(&log_wake, &log_lock);
        uint64_t from = log_synced_index + 1, to = log_wanted_index;
        pthread_mutex_unlock(&log_lock);
        struct iovec parts[SLOTS];
        int count = 0;
        /* The loop leaves a slot alone until this thread has reported its index. */
        for (uint64_t i = from; i <= to; i++, count++) {
            parts[count] = (struct iovec){.iov_base = slots[i % SLOTS].data, .iov_len = slots[i % SLOTS].len};
        }
        ring_append(parts, count);
        pthread_mutex_lock(&log_lock);
        log_synced_index = to;
        pthread_mutex_unlock(&log_lock);
        uint64_t one = 1;
        if (write(log_done_fd, &one, sizeof one) != (ssize_t)sizeof one) die("eventfd");
    }
    return NULL;
}

/* ---- the leader's peers ---- */

static void peer_keep(struct peer *p, const char *data, size_t len) {
    if (p->out_len + len > PEER_BACKLOG_BYTES_MAX) {
        fprintf(stderr, "a follower is too slow\n");
        exit(1);
    }
    if (p->out_cap - p->out_len < len) p->out = grown(p->out, p->out_cap = 2 * (p->out_len + len));
    memcpy(p->out + p->out_len, data, len);
    p->out_len += len;
}

static size_t peer_write(struct peer *p, const char *data, size_t len) {
    ssize_t n = write(p->fd, data, len);
    if (n < 0 && errno != EAGAIN && errno != EINTR) die("a follower");
    return n < 0 ? 0 : (size_t)n;
}

static void peer_send(struct peer *p, const char *data, size_t len) {
    size_t done = p->out_len == 0 ? peer_write(p, data, len) : 0;
    if (done == len) return;
    if (p->out_len == 0) watch(p->fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    peer_keep(p, data + done, len - done);
}

static void peer_writable(struct peer *p) {
    size_t done = peer_write(p, p->out, p->out_len);
    memmove(p->out, p->out + done, p->out_len - done);
    p->out_len -= done;
    if (p->out_len == 0) watch(p->fd, EPOLLIN, EPOLL_CTL_MOD);
}

static void peer_readable(struct peer *p) {
    char in[4096];
    ssize_t n = read(p->fd, in, sizeof in);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        fprintf(stderr, "a follower has gone\n");
        exit(1);
    }
    for (ssize_t i = 0; i < n; i++) {
        p->ack[p->ack_len++] = in[i];
        if (p->ack_len < sizeof p->ack) continue;
        memcpy(&p->durable_index, p->ack, sizeof p->ack);
        p->ack_len = 0;
    }
}

/* ---- the leader's entries ---- */

static struct entry *filling(void) {
    return &slots[(proposed_index + 1) % SLOTS];
}

static void entry_add(struct entry *e, const char *data, size_t len) {
    if (e->len == 0) e->len = sizeof(struct head);
    if (e->cap < e->len + len) e->data = grown(e->data, e->cap = 2 * (e->len + len));
    memcpy(e->data + e->len, data, len);
    e->len += len;
}

static void entry_wait(struct entry *e, int fd, uint32_t count) {
    if (e->waiter_count == e->waiter_cap) {
        e->waiter_cap = e->waiter_cap * 2 + 64;
        e->waiters = grown(e->waiters, e->waiter_cap * sizeof *e->waiters);
    }
    e->waiters[e->waiter_count++] =
        (struct waiter){.fd = fd, .generation = conns[fd].generation, .count = count};
}

static void propose(void) {
    struct entry *e = filling();
    if (e->len == 0 || proposed_index - commit_index >= IN_FLIGHT_MAX) return;
    /* The slot that is filled next must be free: committed, and on our own disk. */
    uint64_t next = proposed_index + 2;
    if (next > SLOTS && next - SLOTS > durable_index) return;
    proposed_index++;
    struct head head = {.index = proposed_index, .bytes = e->len - sizeof head};
    memcpy(e->data, &head, sizeof head);
    pthread_mutex_lock(&log_lock);
    log_wanted_index = proposed_index;
    pthread_cond_signal(&log_wake);
    pthread_mutex_unlock(&log_lock);
    for (int i = 0; i < PEERS; i++) peer_send(&peers[i], e->data, e->len);
    filling()->len = 0;
    filling()->waiter_count = 0;
}

static void commit(void) {
    /* Of three durable indexes the middle one is on a majority. */
    uint64_t a = durable_index, b = peers[0].durable_index, c = peers[1].durable_index;
    uint64_t high = a > b ? a : b, low = a > b ? b : a;
    uint64_t middle = c > high ? high : c < low ? low : c;
    while (commit_index < middle) {
        struct entry *e = &slots[++commit_index % SLOTS];
        for (size_t i = 0; i < e->waiter_count; i++) {
            struct waiter *w = &e->waiters[i];
            struct conn *c_ = &conns[w->fd];
            if (c_->generation != w->generation) continue;
            if (c_->due == 0) due_fds[due_count++] = w->fd;
            c_->due += w->count;
        }
    }
}

/* ---- the leader's clients ---- */

static void conn_close(int fd) {
    conns[fd].generation++;
    conns[fd].in_len = 0;
    conns[fd].due = 0;
    close(fd);
}

/* redis-benchmark always reads what it asked for, so a full socket is a matter of moments. */
static bool send_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_times(int fd, const char *answer, size_t bytes, uint32_t count) {
    size_t used = 0;
    for (; count > 0; count--) {
        if (used + bytes > sizeof output) {
            if (!send_all(fd, output, used)) return false;
            used = 0;
        }
        memcpy(output + used, answer, bytes);
        used += bytes;
    }
    return send_all(fd, output, used);
}

static void answer_due(void) {
    for (size_t i = 0; i < due_count; i++) {
        int fd = due_fds[i];
        uint32_t count = conns[fd].due;
        conns[fd].due = 0;
        if (count > 0 && !send_times(fd, "+OK\r\n", 5, count)) conn_close(fd);
    }
    due_count = 0;
}

/* A number behind its sign ('*' or '$') and its \r\n; false when it is not all there. */
static bool take_number(const char *in, size_t len, size_t *at, size_t *number) {
    size_t n = 0;
    for (size_t i = *at + 1; i < len; i++) {
        if (in[i] == '\r') {
            if (i + 1 >= len) return false;
            *at = i + 2;
            *number = n;
            return true;
        }
        n = n * 10 + (size_t)(in[i] - '0');
    }
    return false;
}

/* Bytes of the request at the front, 0 when it is not whole; *kind is the first letter of its name. */
static size_t request_bytes(const char *in, size_t len, char *kind) {
    size_t at = 0, count, bytes;
    if (!take_number(in, len, &at, &count)) return 0;
    for (size_t i = 0; i < count; i++) {
        if (!take_number(in, len, &at, &bytes)) return 0;
        if (len < at + bytes + 2) return 0;
        if (i == 0) *kind = in[at];
        at += bytes + 2;
    }
    return at;
}

static bool conn_readable(int fd) {
    struct conn *c = &conns[fd];
    ssize_t n = read(fd, c->in + c->in_len, CONN_IN_BYTES - c->in_len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n <= 0) return false;
    c->in_len += (size_t)n;
    size_t at = 0, bytes;
    uint32_t sets = 0, gets = 0;
    char kind = 0;
    while ((bytes = request_bytes(c->in + at, c->in_len - at, &kind)) > 0) {
        if (kind == 'C') { /* the CONFIG GETs before a load, which the generator can do without */
            if (!send_all(fd, "-ERR no\r\n", 9)) return false;
        } else if (kind == 'G') {
            gets++;
        } else {
            entry_add(filling(), c->in + at, bytes);
            sets++;
        }
        at += bytes;
    }
    if (at == 0 && c->in_len == CONN_IN_BYTES) return false; /* a request larger than we care for */
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
    if (sets > 0) entry_wait(filling(), fd, sets);
    return gets == 0 || send_times(fd, value_answer, value_answer_bytes, gets);
}

static void conn_open(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= CONN_MAX) {
        close(fd);
        return;
    }
    no_delay(fd);
    if (conns[fd].in == NULL) conns[fd].in = grown(NULL, CONN_IN_BYTES);
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
}

static void log_done(void) {
    uint64_t ignored;
    if (read(log_done_fd, &ignored, sizeof ignored) < 0 && errno != EAGAIN) die("eventfd");
    pthread_mutex_lock(&log_lock);
    durable_index = log_synced_index;
    pthread_mutex_unlock(&log_lock);
}

static void leader_event(int listener, const struct epoll_event *event) {
    int fd = event->data.fd;
    if (fd == listener) {
        conn_open(listener);
        return;
    }
    if (fd == log_done_fd) {
        log_done();
        return;
    }
    for (int i = 0; i < PEERS; i++) {
        if (fd != peers[i].fd) continue;
        if ((event->events & EPOLLOUT) != 0) peer_writable(&peers[i]);
        if ((event->events & ~(uint32_t)EPOLLOUT) != 0) peer_readable(&peers[i]);
        return;
    }
    if (!conn_readable(fd)) conn_close(fd);
}

static int leader(const char *port, const char *peer_port, const char *path, size_t value_bytes) {
    if (value_bytes == 0 || value_bytes > sizeof value_answer - 32) return 2;
    int n = snprintf(value_answer, sizeof value_answer, "$%zu\r\n", value_bytes);
    memset(value_answer + n, 'x', value_bytes);
    memcpy(value_answer + n + value_bytes, "\r\n", 2);
    value_answer_bytes = (size_t)n + value_bytes + 2;

    ring_open(path);
    ep = epoll_create1(EPOLL_CLOEXEC);
    log_done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ep < 0 || log_done_fd < 0) die("epoll_create1 or eventfd");
    watch(log_done_fd, EPOLLIN, EPOLL_CTL_ADD);
    int peer_listener = listen_on(peer_port);
    for (int i = 0; i < PEERS; i++) {
        peers[i].fd = accept4(peer_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peers[i].fd < 0) die("accept4");
        no_delay(peers[i].fd);
        watch(peers[i].fd, EPOLLIN, EPOLL_CTL_ADD);
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, log_thread, NULL) != 0) die("pthread_create");
    /* Whoever can connect finds the followers there. */
    int listener = listen_on(port);
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);

    for (;;) {
        struct epoll_event events[EVENT_MAX];
        int count = epoll_wait(ep, events, EVENT_MAX, -1);
        for (int i = 0; i < count; i++) leader_event(listener, &events[i]);
        commit();
        propose();
        answer_due();
    }
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "leader") == 0)
        return leader(argv[2], argv[3], argv[4], strtoul(argv[5], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "follower") == 0) return follower(argv[2], argv[3]);
    fprintf(stderr, "usage: bench-minirepl leader PORT PEER_PORT LOG_FILE VALUE_BYTES\n"
                    "       bench-minirepl follower PEER_PORT LOG_FILE\n");
    return 2;
}
