/* libuv over the simulated network and the simulated clocks: the part of its interface that the server uses, with its
 * promises (callbacks only from uv_run, a write's callback never from within uv_write, memory the caller's until the
 * close callback), in libuv 1.44's order of a turn: timers, idle, poll, check, closing. A turn takes a little time; how
 * many bytes a read brings, and how long waking up takes, is chance's. */
#include "sim_uv.h"

#include "disk.h"
#include "mem.h"
#include "network.h"

#include <uv.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { TURN_US = 15, READS_PER_TURN = 4 };

/* A socket with the open files that refer to it. Belongs to the simulator, for the network calls it at any time. */
struct conn_ref {
    uint32_t files;
    struct socket *socket;
    struct handle *handle; /* whose events these are; NULL: nobody's yet */
};

/* The other half of a uv_handle_t, whose user cannot see it. Belongs to the process. */
struct handle {
    struct list link; /* in the loop */
    struct list kin;  /* among the loop's handles of its kind */
    struct sim_loop *loop;
    uv_handle_t *uv;
    bool active, closing, reading, unreferenced;
    void (*cb)(void);
    /* timer */
    uint64_t due_ms, repeat_ms, order;
    /* poll, signal, async */
    int fd, events, signum;
    bool fired;
    /* stream */
    struct conn_ref *conn;
    int own_fd; /* -1: none */
    int port;
    struct listener *listener;
    struct socket *accepted;
    uv_connect_t *connecting;
    bool connect_over, told_end, finishing, read_failed;
    int connect_status;
    uv_alloc_cb alloc;
    struct buf unsent;
    uint64_t taken; /* bytes of all writes so far that the socket took */
    uint64_t given;
    struct list writes; /* struct write_request */
    uv_shutdown_t *shutdown;
};

struct write_request {
    struct list link;
    uv_write_t *req;
    uint64_t end; /* done when so many bytes were taken */
    int status;
};

struct work {
    struct list link;
    uv_work_t *req;
    uv_work_cb run;
    uv_after_work_cb after;
    struct sim_loop *loop;
    bool done;
};

/* What a turn goes through one after the other. */
enum kind { KIND_TIMER, KIND_IDLE, KIND_PREPARE, KIND_CHECK, KIND_IO, KINDS };

struct sim_loop {
    struct list link; /* in the process */
    struct process *process;
    struct sim_thread *thread; /* in uv_run; NULL: nobody */
    uv_loop_t *uv;
    struct list handles, works; /* all of them, in the order in which they came */
    struct list kinds[KINDS];   /* the same, each among its like */
    size_t closing;
    struct handle *next_timer; /* when next_timer_known */
    bool next_timer_known;
    uint64_t now_ms, order;
    bool asleep;
};

static struct sim_loop *loop_of(const uv_loop_t *uv) {
    return uv->internal_fields;
}

static struct handle *half(const void *uv) {
    return ((const uv_handle_t *)uv)->u.reserved[0];
}

static int host_of(const struct process *p) {
    return machine_host(p->machine);
}

static void rouse(struct sim_loop *l) {
    if (l->thread != NULL && l->asleep)
        sim_wake(l->thread, sim_chance(0.01) ? sim_between(100, 3000) : sim_between(1, 20));
}

/* --- loops and handles --- */

static void update_now(struct sim_loop *l) {
    l->now_ms = machine_mono_us(l->process->machine) / 1000;
}

int uv_loop_init(uv_loop_t *uv) {
    struct sim_loop *l = mem_calloc(1, sizeof *l);
    memset(uv, 0, sizeof *uv);
    uv->internal_fields = l;
    l->uv = uv;
    l->process = process_running();
    list_init(&l->handles);
    list_init(&l->works);
    for (int k = 0; k < KINDS; k++) list_init(&l->kinds[k]);
    list_push_back(&l->process->loops, &l->link);
    update_now(l);
    return 0;
}

int uv_loop_close(uv_loop_t *uv) {
    struct sim_loop *l = loop_of(uv);
    if (!list_empty(&l->handles)) return UV_EBUSY;
    list_unlink(&l->link);
    mem_free(l);
    return 0;
}

static void stop_listening(struct handle *h) {
    if (h->listener != NULL) network_unlisten(h->listener);
    h->listener = NULL;
    if (h->accepted != NULL) socket_reset(h->accepted);
    h->accepted = NULL;
}

/* The process is gone and its memory soon: what the network knows of it goes first. */
void loop_forget(struct list *link) {
    struct sim_loop *l = container_of(link, struct sim_loop, link);
    LIST_FOR_EACH(it, &l->handles) {
        struct handle *h = container_of(it, struct handle, link);
        stop_listening(h);
        if (h->conn != NULL) h->conn->handle = NULL;
    }
    list_unlink(&l->link);
}

static enum kind kind_of(uv_handle_type type) {
    switch (type) {
    case UV_TIMER: return KIND_TIMER;
    case UV_IDLE: return KIND_IDLE;
    case UV_PREPARE: return KIND_PREPARE;
    case UV_CHECK: return KIND_CHECK;
    default: return KIND_IO;
    }
}

static struct handle *handle_new(uv_loop_t *uv, void *handle, uv_handle_type type) {
    struct handle *h = mem_calloc(1, sizeof *h);
    uv_handle_t *u = handle;
    void *data = u->data; /* libuv leaves it alone */
    h->loop = loop_of(uv);
    h->uv = u;
    h->own_fd = -1;
    list_init(&h->writes);
    u->data = data;
    u->loop = uv;
    u->type = type;
    u->u.reserved[0] = h;
    list_push_back(&h->loop->handles, &h->link);
    list_push_back(&h->loop->kinds[kind_of(type)], &h->kin);
    return h;
}

int uv_is_closing(const uv_handle_t *u) {
    return half(u)->closing;
}
int uv_is_active(const uv_handle_t *u) {
    return half(u)->active && !half(u)->closing;
}
void uv_ref(uv_handle_t *u) {
    half(u)->unreferenced = false;
}
void uv_unref(uv_handle_t *u) {
    half(u)->unreferenced = true;
}
uint64_t uv_now(const uv_loop_t *uv) {
    return loop_of(uv)->now_ms;
}
void uv_update_time(uv_loop_t *uv) {
    update_now(loop_of(uv));
}
uint64_t uv_hrtime(void) {
    return machine_mono_us(process_running()->machine) * 1000;
}
void uv_stop(uv_loop_t *uv) {
    uv->stop_flag = 1;
}
uv_loop_t *uv_handle_get_loop(const uv_handle_t *u) {
    return u->loop;
}
const char *uv_strerror(int error) {
    return error == UV_EOF ? "end of file" : strerror(-error);
}
const char *uv_err_name(int error) {
    return uv_strerror(error);
}
uv_buf_t uv_buf_init(char *base, unsigned len) {
    return (uv_buf_t){.base = base, .len = len};
}

void uv_walk(uv_loop_t *uv, uv_walk_cb cb, void *arg) {
    struct sim_loop *l = loop_of(uv);
    LIST_FOR_EACH_SAFE(it, &l->handles) {
        cb(container_of(it, struct handle, link)->uv, arg);
    }
}

static bool is_stream(const struct handle *h) {
    return h->uv->type == UV_TCP || h->uv->type == UV_NAMED_PIPE;
}

void uv_close(uv_handle_t *u, uv_close_cb cb) {
    struct handle *h = half(u);
    CHECK(!h->closing);
    h->closing = true;
    h->loop->closing++;
    h->active = h->reading = false;
    if (h->loop->next_timer == h) h->loop->next_timer_known = false;
    u->close_cb = cb;
    if (!is_stream(h)) return;
    stop_listening(h);
    if (h->conn != NULL) h->conn->handle = NULL;
    h->conn = NULL;
    if (h->own_fd >= 0) close(h->own_fd);
    h->own_fd = -1;
}

static void finish_close(struct handle *h) {
    uv_handle_t *u = h->uv;
    LIST_FOR_EACH_SAFE(it, &h->writes) {
        struct write_request *w = container_of(it, struct write_request, link);
        list_unlink(&w->link);
        uv_write_t *req = w->req;
        mem_free(w);
        if (req->cb != NULL) req->cb(req, UV_ECANCELED);
    }
    if (h->connecting != NULL) h->connecting->cb(h->connecting, UV_ECANCELED);
    if (h->shutdown != NULL) h->shutdown->cb(h->shutdown, UV_ECANCELED);
    uv_close_cb cb = u->close_cb;
    list_unlink(&h->link);
    list_unlink(&h->kin);
    h->loop->closing--;
    buf_free(&h->unsent);
    mem_free(h);
    if (cb != NULL) cb(u);
}

/* --- timers, idle, check, prepare, async, signals, polls --- */

int uv_timer_init(uv_loop_t *uv, uv_timer_t *u) {
    handle_new(uv, u, UV_TIMER);
    return 0;
}

/* Of those due at the same time the one that was started first. */
static bool is_sooner(const struct handle *a, const struct handle *b) {
    return b == NULL || (a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order);
}

static void timer_stop(struct handle *h) {
    h->active = false;
    if (h->loop->next_timer == h) h->loop->next_timer_known = false;
}

int uv_timer_start(uv_timer_t *u, uv_timer_cb cb, uint64_t timeout, uint64_t repeat) {
    struct handle *h = half(u);
    struct sim_loop *l = h->loop;
    if (h->closing) return UV_EINVAL;
    timer_stop(h);
    h->active = true;
    h->cb = (void (*)(void))cb;
    h->due_ms = l->now_ms + timeout;
    h->repeat_ms = repeat;
    h->order = ++l->order;
    if (l->next_timer_known && is_sooner(h, l->next_timer)) l->next_timer = h;
    return 0;
}

int uv_timer_stop(uv_timer_t *u) {
    timer_stop(half(u));
    return 0;
}

int uv_timer_again(uv_timer_t *u) {
    struct handle *h = half(u);
    if (h->cb == NULL) return UV_EINVAL;
    if (h->repeat_ms != 0) uv_timer_start(u, (uv_timer_cb)h->cb, h->repeat_ms, h->repeat_ms);
    return 0;
}

void uv_timer_set_repeat(uv_timer_t *u, uint64_t repeat) {
    half(u)->repeat_ms = repeat;
}

static int start(void *u, void (*cb)(void)) {
    struct handle *h = half(u);
    h->cb = cb;
    h->active = true;
    return 0;
}

static int stop(void *u) {
    half(u)->active = false;
    return 0;
}

#define PLAIN_HANDLE(word, type)                                                                             \
    int uv_##word##_init(uv_loop_t *uv, uv_##word##_t *u) {                                                  \
        handle_new(uv, u, type);                                                                             \
        return 0;                                                                                            \
    }                                                                                                        \
    int uv_##word##_start(uv_##word##_t *u, uv_##word##_cb cb) {                                             \
        return start(u, (void (*)(void))cb);                                                                 \
    }                                                                                                        \
    int uv_##word##_stop(uv_##word##_t *u) {                                                                 \
        return stop(u);                                                                                      \
    }
PLAIN_HANDLE(check, UV_CHECK)
PLAIN_HANDLE(idle, UV_IDLE)
PLAIN_HANDLE(prepare, UV_PREPARE)

int uv_async_init(uv_loop_t *uv, uv_async_t *u, uv_async_cb cb) {
    handle_new(uv, u, UV_ASYNC);
    return start(u, (void (*)(void))cb);
}

int uv_async_send(uv_async_t *u) {
    struct handle *h = half(u);
    h->fired = true;
    rouse(h->loop);
    return 0;
}

int uv_signal_init(uv_loop_t *uv, uv_signal_t *u) {
    handle_new(uv, u, UV_SIGNAL);
    return 0;
}

int uv_signal_start(uv_signal_t *u, uv_signal_cb cb, int signum) {
    half(u)->signum = u->signum = signum;
    return start(u, (void (*)(void))cb);
}

int uv_signal_stop(uv_signal_t *u) {
    return stop(u);
}

void loop_signal(struct process *p, int signum) {
    LIST_FOR_EACH(lit, &p->loops) {
        struct sim_loop *l = container_of(lit, struct sim_loop, link);
        LIST_FOR_EACH(it, &l->handles) {
            struct handle *h = container_of(it, struct handle, link);
            if (h->uv->type == UV_SIGNAL && h->active && h->signum == signum) h->fired = true;
        }
        rouse(l);
    }
}

int uv_poll_init(uv_loop_t *uv, uv_poll_t *u, int fd) {
    handle_new(uv, u, UV_POLL)->fd = fd;
    return 0;
}

int uv_poll_start(uv_poll_t *u, int events, uv_poll_cb cb) {
    half(u)->events = events;
    return start(u, (void (*)(void))cb);
}

int uv_poll_stop(uv_poll_t *u) {
    return stop(u);
}

void loop_fd_ready(struct process *p, int fd) {
    (void)fd;
    LIST_FOR_EACH(it, &p->loops) {
        rouse(container_of(it, struct sim_loop, link));
    }
}

/* --- addresses --- */

static struct sockaddr_in address_of(int host, int port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(UINT32_C(0x0a000001) + (uint32_t)host); /* 10.0.0.1 and on */
    return in;
}

static int give_address(struct sockaddr *out, int *len, int host, int port) {
    struct sockaddr_in in = address_of(host, port);
    if (*len < (int)sizeof in) return UV_ENOBUFS;
    memcpy(out, &in, sizeof in);
    *len = sizeof in;
    return 0;
}

int uv_ip4_addr(const char *ip, int port, struct sockaddr_in *out) {
    memset(out, 0, sizeof *out);
    out->sin_family = AF_INET;
    out->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, ip, &out->sin_addr) == 1 ? 0 : UV_EINVAL;
}

int uv_ip6_addr(const char *ip, int port, struct sockaddr_in6 *out) {
    memset(out, 0, sizeof *out);
    out->sin6_family = AF_INET6;
    out->sin6_port = htons((uint16_t)port);
    return inet_pton(AF_INET6, ip, &out->sin6_addr) == 1 ? 0 : UV_EINVAL;
}

int uv_inet_pton(int af, const char *src, void *dst) {
    return inet_pton(af, src, dst) == 1 ? 0 : UV_EINVAL;
}

int uv_inet_ntop(int af, const void *src, char *dst, size_t size) {
    return inet_ntop(af, src, dst, (socklen_t)size) != NULL ? 0 : UV_ENOSPC;
}

int uv_ip4_name(const struct sockaddr_in *in, char *dst, size_t size) {
    return uv_inet_ntop(AF_INET, &in->sin_addr, dst, size);
}

/* There are no names here, only addresses. */
int uv_getaddrinfo(uv_loop_t *uv, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
                   const char *service, const struct addrinfo *hints) {
    (void)uv, (void)req, (void)cb, (void)node, (void)service, (void)hints;
    return UV_EAI_NONAME;
}

void uv_freeaddrinfo(struct addrinfo *info) {
    (void)info;
}

/* --- streams --- */

static void conn_connected(struct socket *s, int error) {
    struct conn_ref *c = s->owner;
    struct handle *h = c->handle;
    if (h == NULL) return;
    h->connect_over = true;
    h->connect_status = error;
    rouse(h->loop);
}

static void conn_event(struct socket *s) {
    struct conn_ref *c = s->owner;
    if (c->handle != NULL) rouse(c->handle->loop);
}

static const struct socket_events conn_events = {conn_connected, conn_event, conn_event};

void conn_addref(struct conn_ref *c) {
    c->files++;
}

void conn_unref(struct conn_ref *c) {
    if (--c->files > 0) return;
    socket_close(c->socket);
    SIM_HEAP;
    mem_free(c);
}

static struct conn_ref *conn_new(void) {
    SIM_HEAP;
    return mem_calloc(1, sizeof(struct conn_ref));
}

static int stream_init(uv_loop_t *uv, void *u, uv_handle_type type) {
    ((uv_stream_t *)u)->write_queue_size = 0;
    handle_new(uv, u, type);
    return 0;
}

int uv_tcp_init(uv_loop_t *uv, uv_tcp_t *u) {
    return stream_init(uv, u, UV_TCP);
}
int uv_pipe_init(uv_loop_t *uv, uv_pipe_t *u, int ipc) {
    (void)ipc;
    return stream_init(uv, u, UV_NAMED_PIPE);
}
int uv_pipe_bind(uv_pipe_t *u, const char *name) {
    (void)u, (void)name;
    return UV_ENOTSUP;
}
int uv_tcp_nodelay(uv_tcp_t *u, int enable) {
    (void)u, (void)enable;
    return 0;
}
int uv_tcp_keepalive(uv_tcp_t *u, int enable, unsigned delay) {
    const struct handle *h = half(u);
    if (h->conn != NULL) socket_keepalive(h->conn->socket, enable ? (uint64_t)delay * SIM_SECOND : 0);
    return 0;
}

int uv_tcp_bind(uv_tcp_t *u, const struct sockaddr *addr, unsigned flags) {
    (void)flags;
    if (addr->sa_family != AF_INET) return UV_EADDRNOTAVAIL;
    half(u)->port = ntohs(((const struct sockaddr_in *)(const void *)addr)->sin_port);
    return 0;
}

static void incoming(void *arg) {
    rouse(((struct handle *)arg)->loop);
}

int uv_listen(uv_stream_t *u, int backlog, uv_connection_cb cb) {
    (void)backlog;
    struct handle *h = half(u);
    h->listener = network_listen(host_of(h->loop->process), h->port, incoming, h);
    if (h->listener == NULL) return UV_EADDRINUSE;
    return start(u, (void (*)(void))cb);
}

static void adopt(struct handle *h, struct conn_ref *c, int fd) {
    h->conn = c;
    c->handle = h;
    h->own_fd = fd;
    h->active = true;
}

int uv_accept(uv_stream_t *server, uv_stream_t *client) {
    struct handle *l = half(server), *h = half(client);
    if (l->accepted == NULL) return UV_EAGAIN;
    struct conn_ref *c = conn_new();
    c->socket = l->accepted;
    l->accepted = NULL;
    c->socket->events = &conn_events;
    c->socket->owner = c;
    adopt(h, c, fd_of_conn(c));
    return 0;
}

int uv_tcp_open(uv_tcp_t *u, uv_os_sock_t fd) {
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL || f->kind != FILE_SOCKET) return UV_EBADF;
    adopt(half(u), f->conn, fd);
    return 0;
}

int uv_fileno(const uv_handle_t *u, uv_os_fd_t *fd) {
    struct handle *h = half(u);
    *fd = is_stream(h) ? h->own_fd : h->fd;
    return *fd < 0 ? UV_EBADF : 0;
}

int uv_tcp_connect(uv_connect_t *req, uv_tcp_t *u, const struct sockaddr *addr, uv_connect_cb cb) {
    struct handle *h = half(u);
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;
    if (addr->sa_family != AF_INET) return UV_EAFNOSUPPORT;
    uint32_t host = ntohl(in->sin_addr.s_addr) - UINT32_C(0x0a000001);
    if (host >= HOSTS_MAX) return UV_ENETUNREACH;
    struct conn_ref *c = conn_new();
    c->socket = network_connect(host_of(h->loop->process), (int)host, ntohs(in->sin_port), &conn_events, c);
    adopt(h, c, fd_of_conn(c));
    req->cb = cb;
    req->handle = (uv_stream_t *)u;
    req->type = UV_CONNECT;
    h->connecting = req;
    h->connect_over = false;
    return 0;
}

int uv_tcp_getpeername(const uv_tcp_t *u, struct sockaddr *out, int *len) {
    const struct handle *h = half(u);
    if (h->conn == NULL) return UV_ENOTCONN;
    return give_address(out, len, h->conn->socket->peer_host, h->conn->socket->peer_port);
}

int uv_tcp_getsockname(const uv_tcp_t *u, struct sockaddr *out, int *len) {
    const struct handle *h = half(u);
    int port = h->conn != NULL ? h->conn->socket->port : h->port;
    return give_address(out, len, host_of(h->loop->process), port);
}

int uv_read_start(uv_stream_t *u, uv_alloc_cb alloc, uv_read_cb cb) {
    struct handle *h = half(u);
    if (h->closing) return UV_EINVAL;
    if (h->conn == NULL) return UV_ENOTCONN;
    h->reading = true;
    h->alloc = alloc;
    return start(u, (void (*)(void))cb);
}

int uv_read_stop(uv_stream_t *u) {
    half(u)->reading = false;
    return 0;
}

static void push_unsent(struct handle *h) {
    if (h->unsent.len == 0 || h->conn == NULL || !h->conn->socket->established) return;
    size_t n = socket_write(h->conn->socket, h->unsent.data, h->unsent.len);
    h->taken += n;
    buf_drop(&h->unsent, n);
    ((uv_stream_t *)h->uv)->write_queue_size = h->unsent.len;
}

int uv_write(uv_write_t *req, uv_stream_t *u, const uv_buf_t bufs[], unsigned count, uv_write_cb cb) {
    struct handle *h = half(u);
    if (h->closing || h->conn == NULL) return UV_EBADF;
    if (h->finishing) return UV_EPIPE;
    struct write_request *w = mem_calloc(1, sizeof *w);
    for (unsigned i = 0; i < count; i++) {
        buf_add(&h->unsent, bufs[i].base, bufs[i].len);
        h->given += bufs[i].len;
    }
    *w = (struct write_request){.req = req, .end = h->given};
    req->cb = cb;
    req->handle = u;
    req->type = UV_WRITE;
    list_push_back(&h->writes, &w->link);
    push_unsent(h);
    u->write_queue_size = h->unsent.len;
    return 0;
}

int uv_try_write(uv_stream_t *u, const uv_buf_t bufs[], unsigned count) {
    struct handle *h = half(u);
    if (h->closing || h->conn == NULL) return UV_EBADF;
    if (h->conn->socket->error != 0) return h->conn->socket->error;
    if (h->finishing) return UV_EPIPE;
    if (h->connecting != NULL || h->unsent.len > 0) return UV_EAGAIN;
    size_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t n = socket_write(h->conn->socket, bufs[i].base, bufs[i].len);
        total += n;
        if (n < bufs[i].len) break;
    }
    h->given += total;
    h->taken += total;
    return total > 0 ? (int)total : UV_EAGAIN;
}

size_t uv_stream_get_write_queue_size(const uv_stream_t *u) {
    return half(u)->unsent.len;
}

int uv_shutdown(uv_shutdown_t *req, uv_stream_t *u, uv_shutdown_cb cb) {
    struct handle *h = half(u);
    if (h->closing || h->conn == NULL || h->finishing) return UV_ENOTCONN;
    h->finishing = true;
    req->cb = cb;
    req->handle = u;
    req->type = UV_SHUTDOWN;
    h->shutdown = req;
    return 0;
}

int uv_is_readable(const uv_stream_t *u) {
    return half(u)->conn != NULL;
}
int uv_is_writable(const uv_stream_t *u) {
    return half(u)->conn != NULL && !half(u)->finishing;
}

static void end_writes(struct handle *h) {
    struct socket *s = h->conn->socket;
    if (s->established) push_unsent(h);
    LIST_FOR_EACH_SAFE(it, &h->writes) {
        struct write_request *w = container_of(it, struct write_request, link);
        if (s->error == 0 && w->end > h->taken) break;
        int status = w->end <= h->taken ? 0 : s->error;
        uv_write_t *req = w->req;
        list_unlink(&w->link);
        mem_free(w);
        if (req->cb != NULL) req->cb(req, status);
        if (h->closing) return;
        it_next = h->writes.next; /* the callback may have written more */
    }
    if (h->shutdown != NULL && (h->unsent.len == 0 || s->error != 0)) {
        uv_shutdown_t *req = h->shutdown;
        h->shutdown = NULL;
        if (s->error == 0) socket_finish(s);
        if (req->cb != NULL) req->cb(req, s->error);
    }
}

static bool can_read(const struct handle *h) {
    const struct socket *s = h->conn->socket;
    if (!h->reading || h->connecting != NULL) return false;
    return s->in.len > 0 || (!h->told_end && (s->eof || s->error != 0));
}

static void read_once(struct handle *h) {
    struct socket *s = h->conn->socket;
    uv_read_cb cb = (uv_read_cb)h->cb;
    uv_buf_t into = {0};
    if (s->in.len == 0) {
        h->told_end = true;
        h->reading = false;
        cb((uv_stream_t *)h->uv, s->error != 0 ? s->error : UV_EOF, &into);
        return;
    }
    h->alloc(h->uv, 65536, &into);
    if (into.base == NULL || into.len == 0) {
        cb((uv_stream_t *)h->uv, UV_ENOBUFS, &into);
        return;
    }
    size_t n = s->in.len < into.len ? s->in.len : into.len;
    if (n > 1 && sim_chance(0.1)) n = sim_between(1, n);
    memcpy(into.base, s->in.data, n);
    socket_consumed(s, n);
    cb((uv_stream_t *)h->uv, (ssize_t)n, &into);
}

static void stream_turn(struct handle *h) {
    if (h->listener != NULL) {
        for (struct socket *s; !h->closing && (s = network_accept(h->listener, NULL, NULL)) != NULL;) {
            h->accepted = s;
            ((uv_connection_cb)h->cb)((uv_stream_t *)h->uv, 0);
            if (h->accepted != NULL) break; /* it waits until it is taken */
        }
        return;
    }
    if (h->conn == NULL) return;
    if (h->connecting != NULL && h->connect_over) {
        uv_connect_t *req = h->connecting;
        h->connecting = NULL;
        req->cb(req, h->connect_status);
    }
    if (h->closing || h->connecting != NULL) return;
    for (int i = 0; i < READS_PER_TURN && !h->closing && h->conn != NULL && can_read(h); i++) read_once(h);
    if (!h->closing && h->conn != NULL) end_writes(h);
}

/* --- work that may block --- */

static void *work_main(void *arg) {
    struct work *w = arg;
    w->run(w->req);
    w->done = true;
    rouse(w->loop);
    return NULL;
}

int uv_queue_work(uv_loop_t *uv, uv_work_t *req, uv_work_cb run, uv_after_work_cb after) {
    struct work *w = mem_calloc(1, sizeof *w);
    *w = (struct work){.req = req, .run = run, .after = after, .loop = loop_of(uv)};
    req->loop = uv;
    list_push_back(&w->loop->works, &w->link);
    sim_thread_start(work_main, w);
    return 0;
}

static void end_works(struct sim_loop *l) {
    LIST_FOR_EACH_SAFE(it, &l->works) {
        struct work *w = container_of(it, struct work, link);
        if (!w->done) continue;
        list_unlink(&w->link);
        struct work copy = *w;
        mem_free(w);
        if (copy.after != NULL) copy.after(copy.req, 0);
    }
}

/* --- a turn --- */

static bool has_counted(const struct handle *h) {
    const struct sim_file *f = file_of_fd(h->fd);
    return f != NULL && f->counter > 0;
}

static bool stream_is_ready(const struct handle *h) {
    if (h->listener != NULL) return network_has_incoming(h->listener);
    if (h->conn == NULL) return false;
    if (h->connecting != NULL) return h->connect_over;
    if (can_read(h)) return true;
    if (h->conn->socket->error != 0) return !list_empty(&h->writes) || h->shutdown != NULL;
    if (h->shutdown != NULL && h->unsent.len == 0) return true;
    if (!list_empty(&h->writes)) {
        const struct write_request *w = container_of(h->writes.next, struct write_request, link);
        if (w->end <= h->taken) return true;
    }
    return h->unsent.len > 0 && !h->conn->socket->blocked;
}

/* Of KIND_IO. */
static bool is_ready(const struct handle *h) {
    switch (h->uv->type) {
    case UV_ASYNC:
    case UV_SIGNAL: return h->active && h->fired;
    case UV_POLL: return h->active && has_counted(h);
    default: return stream_is_ready(h);
    }
}

static bool anything_ready(const struct sim_loop *l) {
    if (l->closing > 0) return true;
    LIST_FOR_EACH(it, &l->kinds[KIND_IDLE]) {
        if (container_of(it, struct handle, kin)->active) return true;
    }
    LIST_FOR_EACH(it, &l->kinds[KIND_IO]) {
        if (is_ready(container_of(it, struct handle, kin))) return true;
    }
    LIST_FOR_EACH(it, &l->works) {
        if (container_of(it, struct work, link)->done) return true;
    }
    return false;
}

static struct handle *next_timer(struct sim_loop *l) {
    if (l->next_timer_known) return l->next_timer;
    struct handle *best = NULL;
    LIST_FOR_EACH(it, &l->kinds[KIND_TIMER]) {
        struct handle *h = container_of(it, struct handle, kin);
        if (h->active && is_sooner(h, best)) best = h;
    }
    l->next_timer_known = true;
    return l->next_timer = best;
}

static void run_timers(struct sim_loop *l) {
    for (struct handle *h; (h = next_timer(l)) != NULL && h->due_ms <= l->now_ms;) {
        uv_timer_cb cb = (uv_timer_cb)h->cb;
        timer_stop(h);
        if (h->repeat_ms != 0) uv_timer_start((uv_timer_t *)h->uv, cb, h->repeat_ms, h->repeat_ms);
        cb((uv_timer_t *)h->uv);
    }
}

/* Until something is ready, or a timer due. */
static void poll(struct sim_loop *l, bool wait) {
    sim_sleep_us(1 + sim_below(TURN_US * 2));
    if (!wait || anything_ready(l)) {
        update_now(l);
        return;
    }
    const struct handle *timer = next_timer(l);
    struct machine *m = l->process->machine;
    l->asleep = true;
    if (timer != NULL) {
        uint64_t at = machine_world_us(m, timer->due_ms * 1000);
        sim_wake(l->thread, at > world_now_us() ? at - world_now_us() + sim_below(300) : 0);
    }
    sim_block();
    l->asleep = false;
    update_now(l);
}

static bool is_newest(const struct handle *h) {
    return h->loop->handles.prev == &h->link;
}

/* Callbacks may close handles, which go at the end of the turn, and make others. Those are met in the same turn, unless
 * it was the newest handle's callback: such a turn ends with the handle that was the last when it came to it. */
static void each(struct sim_loop *l, enum kind kind) {
    bool over = false;
    for (struct list *it = l->kinds[kind].next; it != &l->kinds[kind] && !over; it = it->next) {
        struct handle *h = container_of(it, struct handle, kin);
        over = is_newest(h);
        if (h->active && !h->closing) ((void (*)(uv_handle_t *))h->cb)(h->uv);
    }
}

static void io(struct sim_loop *l) {
    bool over = false;
    for (struct list *it = l->kinds[KIND_IO].next; it != &l->kinds[KIND_IO] && !over; it = it->next) {
        struct handle *h = container_of(it, struct handle, kin);
        over = is_newest(h);
        if (h->closing || !is_ready(h)) continue;
        switch (h->uv->type) {
        case UV_POLL: ((uv_poll_cb)h->cb)((uv_poll_t *)h->uv, 0, UV_READABLE); break;
        case UV_ASYNC:
            h->fired = false;
            ((uv_async_cb)h->cb)((uv_async_t *)h->uv);
            break;
        case UV_SIGNAL:
            h->fired = false;
            ((uv_signal_cb)h->cb)((uv_signal_t *)h->uv, h->signum);
            break;
        case UV_TCP:
        case UV_NAMED_PIPE: stream_turn(h); break;
        default: break;
        }
    }
    end_works(l);
}

static void close_handles(struct sim_loop *l) {
    while (l->closing > 0) {
        LIST_FOR_EACH(it, &l->handles) {
            struct handle *h = container_of(it, struct handle, link);
            if (!h->closing) continue;
            finish_close(h); /* anything may have changed: from the front */
            break;
        }
    }
}

static bool is_alive(const struct sim_loop *l) {
    if (!list_empty(&l->works)) return true;
    LIST_FOR_EACH(it, &l->handles) {
        const struct handle *h = container_of(it, struct handle, link);
        if (h->closing || (h->active && !h->unreferenced)) return true;
    }
    return false;
}

int uv_loop_alive(const uv_loop_t *uv) {
    return is_alive(loop_of(uv));
}

int uv_run(uv_loop_t *uv, uv_run_mode mode) {
    struct sim_loop *l = loop_of(uv);
    l->thread = sim_thread_running();
    while (is_alive(l) && !uv->stop_flag) {
        update_now(l);
        run_timers(l);
        each(l, KIND_IDLE);
        each(l, KIND_PREPARE);
        poll(l, mode == UV_RUN_DEFAULT && !uv->stop_flag);
        io(l);
        each(l, KIND_CHECK);
        close_handles(l);
        if (mode != UV_RUN_DEFAULT) break;
    }
    uv->stop_flag = 0;
    l->thread = NULL;
    return is_alive(l);
}

/* Nothing that could be cancelled is ever under way. */
int uv_cancel(uv_req_t *req) {
    (void)req;
    return UV_EBUSY;
}
