/* Listeners, and what concerns all connections: accepting, refusing beyond maxclients, flushing once a turn, idle
 * time-outs, stopping. */
#include "net_internal.h"

#include "io_threads.h"

#include "config.h"
#include "mem.h"
#include "peer_frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct listener {
    struct list link;
    struct net *net;
    bool is_pipe;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    char name[128];
};

void net_init(struct net *net, uv_loop_t *loop, const struct config *config, struct net_handler handler) {
    *net = (struct net){.loop = loop, .config = config, .handler = handler};
    list_init(&net->to_flush);
    list_init(&net->held);
    list_init(&net->listeners);
    net->scratch = mem_alloc(NET_SCRATCH_SIZE);
    net->io = io_threads_start((int)config->io_threads);
}

void net_name_address(const struct sockaddr_storage *addr, char *out, size_t cap) {
    char ip[INET6_ADDRSTRLEN] = "?";
    if (addr->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
        snprintf(out, cap, "[%s]:%d", ip, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
        snprintf(out, cap, "%s:%d", ip, ntohs(in->sin_port));
    }
}

static void name_conn(struct conn *c, const struct listener *l) {
    struct session *s = &c->session;
    uv_os_fd_t fd = -1;
    uv_fileno(&c->uv.handle, &fd);
    s->fd = fd;
    s->unix_socket = l->is_pipe;
    if (l->is_pipe) {
        snprintf(s->peer, sizeof s->peer, "%.60s:0", l->net->config->unixsocket);
        memcpy(s->local, s->peer, sizeof s->local);
        return;
    }
    struct sockaddr_storage addr;
    int len = sizeof addr;
    if (uv_tcp_getpeername(&c->uv.tcp, (struct sockaddr *)&addr, &len) == 0)
        net_name_address(&addr, s->peer, sizeof s->peer);
    len = sizeof addr;
    if (uv_tcp_getsockname(&c->uv.tcp, (struct sockaddr *)&addr, &len) == 0)
        net_name_address(&addr, s->local, sizeof s->local);
}

static void turn_away(struct conn *c, char *text) {
    uv_buf_t part = uv_buf_init(text, (unsigned)strlen(text));
    (void)uv_try_write(&c->uv.stream, &part, 1); /* a courtesy: if it does not fit, closing says enough */
    c->net->rejected++;
    conn_abandon(c);
}

static void refuse(struct conn *c) {
    static char text[] = "-ERR max number of clients reached\r\n";
    turn_away(c, text);
}

bool net_needs_password(const struct net *net) {
    const struct net_handler *h = &net->handler;
    return h->needs_password != NULL ? h->needs_password(h->arg) : net->config->requirepass[0] != '\0';
}

/* protected-mode: without a password only this machine is served. */
static bool is_stranger(const struct conn *c) {
    const struct session *s = &c->session;
    if (!c->net->config->protected_mode || net_needs_password(c->net) || s->unix_socket) return false;
    return strncmp(s->peer, "127.", 4) != 0 && strncmp(s->peer, "[::1]", 5) != 0 &&
           strncmp(s->peer, "[::ffff:127.", 12) != 0;
}

static void deny(struct conn *c) {
    static char text[] =
        "-DENIED this node is in protected mode and has no password, so it serves only its own machine: "
        "set requirepass, or protected-mode no, to be reached from elsewhere\r\n";
    turn_away(c, text);
}

static void accept_cb(uv_stream_t *server, int status) {
    struct listener *l = server->data;
    if (status < 0) return;
    struct net *net = l->net;
    struct conn *c = conn_new(net);
    if (l->is_pipe)
        uv_pipe_init(net->loop, &c->uv.pipe, 0);
    else
        uv_tcp_init(net->loop, &c->uv.tcp);
    c->uv.handle.data = c;
    if (uv_accept(server, &c->uv.stream) != 0) {
        conn_abandon(c);
        return;
    }
    net->accepted++;
    if (net->stopping || (int64_t)net->conn_count > net->config->maxclients) {
        refuse(c);
        return;
    }
    name_conn(c, l);
    if (is_stranger(c)) {
        deny(c);
        return;
    }
    if (!l->is_pipe) {
        uv_tcp_nodelay(&c->uv.tcp, 1);
        if (net->config->tcp_keepalive > 0)
            uv_tcp_keepalive(&c->uv.tcp, 1, (unsigned)net->config->tcp_keepalive);
    }
    conn_start(c);
}

static void copy_address(char out[64], struct slice text) {
    size_t len = text.len < 63 ? text.len : 63;
    memcpy(out, text.data, len);
    out[len] = '\0';
}

static void name_forwarded(struct conn *c, const struct peer_client *client) {
    struct session *s = &c->session;
    uv_os_fd_t fd = -1;
    uv_fileno(&c->uv.handle, &fd);
    s->fd = fd;
    s->forwarded = true;
    copy_address(s->peer, client->address);
    copy_address(s->local, client->local_address);
}

/* Nobody without the password gets as far as being forwarded: the other node has seen to that. */
static void take_over_session(struct session *s, const struct peer_client *client) {
    struct buf *texts[] = {&s->name, &s->lib_name, &s->lib_version};
    const struct slice said[] = {client->name, client->lib_name, client->lib_version};
    s->authenticated = true;
    s->there_id = client->id;
    s->db = (int)client->db;
    s->resp = client->resp;
    s->no_evict = client->no_evict;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_clear(texts[i]);
        buf_add_slice(texts[i], said[i]);
    }
}

struct conn *net_adopt(struct net *net, int fd, struct slice leftover, const struct peer_client *client) {
    struct conn *c = conn_new(net);
    uv_tcp_init(net->loop, &c->uv.tcp);
    c->uv.handle.data = c;
    if (uv_tcp_open(&c->uv.tcp, fd) != 0) {
        close(fd);
        conn_abandon(c);
        return NULL;
    }
    net->accepted++;
    if (net->stopping || (int64_t)net->conn_count > net->config->maxclients) {
        refuse(c);
        return NULL;
    }
    if ((int64_t)client->db >= net->config->databases) {
        static char text[] = "-ERR DB index is out of range\r\n";
        turn_away(c, text);
        return NULL;
    }
    name_forwarded(c, client);
    conn_start(c);
    if (c->closing) return NULL;
    take_over_session(&c->session, client);
    if (net->handler.adopted != NULL && !net->handler.adopted(net->handler.arg, c, client)) {
        conn_close(c);
        return NULL;
    }
    conn_take(c, leftover);
    return c;
}

static struct listener *listener_new(struct net *net, bool is_pipe) {
    struct listener *l = mem_calloc(1, sizeof *l);
    l->net = net;
    l->is_pipe = is_pipe;
    if (is_pipe)
        uv_pipe_init(net->loop, &l->uv.pipe, 0);
    else
        uv_tcp_init(net->loop, &l->uv.tcp);
    l->uv.handle.data = l;
    list_push_back(&net->listeners, &l->link);
    return l;
}

int net_find_address(uv_loop_t *loop, const char *host, int port, struct sockaddr_storage *out) {
    if (strcmp(host, "*") == 0) host = "0.0.0.0";
    if (strcmp(host, "::*") == 0) host = "::";
    if (strchr(host, ':') != NULL) return uv_ip6_addr(host, port, (struct sockaddr_in6 *)(void *)out);
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
    if (uv_ip4_addr(host, port, in) == 0) return 0;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    uv_getaddrinfo_t query;
    int rc = uv_getaddrinfo(loop, &query, NULL, host, NULL, &hints);
    if (rc != 0) return rc;
    memcpy(in, query.addrinfo->ai_addr, sizeof *in);
    in->sin_port = htons((uint16_t)port);
    uv_freeaddrinfo(query.addrinfo);
    return 0;
}

/* "-::1" in `bind`: an address whose absence is no error. */
static int listen_tcp(struct net *net, const char *address, struct listener **out) {
    int port = (int)net->config->port;
    struct sockaddr_storage addr;
    bool is_v6 = strchr(address, ':') != NULL;
    int rc = net_find_address(net->loop, address, port, &addr);
    if (rc != 0) return rc;
    struct listener *l = listener_new(net, false);
    *out = l;
    net_name_address(&addr, l->name, sizeof l->name);
    rc = uv_tcp_bind(&l->uv.tcp, (const struct sockaddr *)&addr, is_v6 ? UV_TCP_IPV6ONLY : 0);
    if (rc == 0) rc = uv_listen(&l->uv.stream, (int)net->config->tcp_backlog, accept_cb);
    return rc;
}

static int listen_unix(struct net *net) {
    const char *path = net->config->unixsocket;
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return UV_ENAMETOOLONG; /* libuv would cut it */
    unlink(path);
    struct listener *l = listener_new(net, true);
    snprintf(l->name, sizeof l->name, "%s", path);
    int rc = uv_pipe_bind(&l->uv.pipe, path);
    if (rc == 0) rc = uv_listen(&l->uv.stream, (int)net->config->tcp_backlog, accept_cb);
    mode_t mode = (mode_t)net->config->unixsocketperm;
    if (rc == 0 && mode != 0 && chmod(path, mode) != 0) rc = -errno;
    return rc;
}

static void listener_free_cb(uv_handle_t *handle) {
    mem_free(handle->data);
}

static void listener_close(struct listener *l) {
    list_unlink(&l->link);
    if (l->is_pipe) unlink(l->name);
    uv_close(&l->uv.handle, listener_free_cb);
}

enum rc net_listen(struct net *net, char *error, size_t cap) {
    char addresses[1024];
    snprintf(addresses, sizeof addresses, "%s", net->config->bind);
    char *rest = addresses;
    for (char *word; net->config->port != 0 && (word = strsep(&rest, " ")) != NULL;) {
        if (*word == '\0') continue;
        bool optional = *word == '-';
        struct listener *l = NULL;
        int rc = listen_tcp(net, word + optional, &l);
        if (rc == 0) continue;
        if (l != NULL) listener_close(l);
        if (optional && (rc == UV_EADDRNOTAVAIL || rc == UV_EAFNOSUPPORT)) continue;
        snprintf(error, cap, "Failed listening on port %d (%.64s): %s", (int)net->config->port,
                 word + optional, uv_strerror(rc));
        return RC_IO;
    }
    if (net->config->unixsocket[0] != '\0') {
        int rc = listen_unix(net);
        if (rc != 0) {
            snprintf(error, cap, "cannot listen on %.200s: %s", net->config->unixsocket, uv_strerror(rc));
            return RC_IO;
        }
    }
    return RC_OK;
}

void net_describe(const struct net *net, struct buf *out) {
    const char *separator = "";
    LIST_FOR_EACH(it, &net->listeners) {
        buf_add_str(out, separator);
        buf_add_str(out, container_of(it, struct listener, link)->name);
        separator = ", ";
    }
}

void net_unlisten(struct net *net) {
    while (!list_empty(&net->listeners))
        listener_close(container_of(net->listeners.next, struct listener, link));
}

/* Ahead of the flush proper, which then finds what was sent. */
static void write_together(struct net *net) {
    struct io_write *writes = io_threads_writes(net->io);
    size_t count = 0;
    for (struct list *it = net->to_flush.next; it != &net->to_flush && count < IO_WRITES_MAX; it = it->next) {
        struct conn *c = container_of(it, struct conn, flush_link);
        const struct buf *out = conn_ready_to_send(c);
        uv_os_fd_t fd;
        if (out == NULL || c->is_written || uv_fileno(&c->uv.handle, &fd) != 0) continue;
        writes[count++] = (struct io_write){.fd = fd, .data = out->data, .len = out->len, .of = c};
    }
    if (count < 2 * IO_WRITES_EACH) return;
    io_threads_write(net->io, count);
    for (size_t i = 0; i < count; i++) {
        struct conn *c = writes[i].of;
        c->is_written = true;
        c->written = writes[i].written;
    }
}

void net_flush(struct net *net) {
    if (net->io != NULL) write_together(net);
    /* A flush may let a connection read on and so touch others: go on until the list is empty. */
    while (!list_empty(&net->to_flush)) {
        struct conn *c = container_of(net->to_flush.next, struct conn, flush_link);
        list_unlink(&c->flush_link);
        conn_flush(c);
    }
}

void net_resume(struct net *net) {
    struct list held;
    if (list_empty(&net->held)) return;
    held = net->held; /* take the whole list: who is held again goes to the end of a new one */
    held.next->prev = held.prev->next = &held;
    list_init(&net->held);
    while (!list_empty(&held)) {
        struct conn *c = container_of(held.next, struct conn, held_link);
        list_unlink(&c->held_link);
        conn_resume(c);
    }
}

struct conn *net_conn_of_handle(uv_handle_t *handle) {
    if (handle->type != UV_TCP && handle->type != UV_NAMED_PIPE) return NULL;
    struct conn *c = handle->data;
    return c != NULL && c->magic == CONN_MAGIC && !c->closing ? c : NULL;
}

static void look_after_cb(uv_handle_t *handle, void *arg) {
    (void)arg;
    struct conn *c = net_conn_of_handle(handle);
    if (c != NULL) conn_look_after(c);
}

void net_look_after(struct net *net) {
    const struct output_limit *limits = net->config->output_limits;
    bool has_soft_limit = limits[OUTPUT_NORMAL].soft > 0 || limits[OUTPUT_PUBSUB].soft > 0;
    if (net->config->timeout > 0 || has_soft_limit) uv_walk(net->loop, look_after_cb, NULL);
}

static void drain_cb(uv_handle_t *handle, void *arg) {
    (void)arg;
    struct conn *c = net_conn_of_handle(handle);
    if (c == NULL) return;
    if (c->closes_at_eof)
        conn_close(c);
    else
        conn_drain(c);
}

void net_stop(struct net *net) {
    net->stopping = true;
    net_unlisten(net);
    uv_walk(net->loop, drain_cb, NULL);
}

static void close_cb(uv_handle_t *handle, void *arg) {
    (void)arg;
    struct conn *c = net_conn_of_handle(handle);
    if (c != NULL) conn_close(c);
}

void net_close_all(struct net *net) {
    uv_walk(net->loop, close_cb, NULL);
}

void net_free(struct net *net) {
    io_threads_stop(net->io);
    mem_free(net->scratch);
}
