/* See network.h. A socket keeps what it sent until it has arrived at its peer; one timer for each direction. */
#include "network.h"

#include "mem.h"
#include "peer_frame.h"

#include <errno.h>
#include <stdio.h>

enum {
    SEND_BUFFER = 256 << 10,
    RECEIVE_BUFFER = 256 << 10,
    RETRANSMIT_US = 200 * SIM_MS,
    GIVE_UP_US = 20 * SIM_SECOND, /* silence after which a sender calls the connection broken */
    SYN_ATTEMPTS_MAX = 5,
    BACKLOG = 128,
    EPHEMERAL_PORT = 30000,
};

struct segment {
    struct list link;
    uint64_t arrives_us;
    bool end, reset;
    struct buf data;
};

struct listener {
    struct list link, queue; /* queue: struct waiting */
    int host, port;
    void (*incoming)(void *arg);
    void *arg;
};

struct waiting {
    struct list link;
    struct socket *socket;
};

static struct {
    int hosts;
    struct link_manners links[HOSTS_MAX][HOSTS_MAX];
    bool off[HOSTS_MAX];
    struct list sockets, listeners;
    int peer_ports;
    uint64_t next_id;
    int next_port;
    struct network_stats stats;
} net;

static void arrive(struct sim_timer *t);
static void schedule(struct socket *s);

void network_begin(int hosts) {
    CHECK(hosts <= HOSTS_MAX);
    memset(&net, 0, sizeof net);
    net.hosts = hosts;
    net.peer_ports = INT32_MAX;
    list_init(&net.sockets);
    list_init(&net.listeners);
    for (int a = 0; a < hosts; a++)
        for (int b = 0; b < hosts; b++)
            net.links[a][b] = (struct link_manners){.delay_us = 200, .reorder_frame = 0};
}

struct link_manners *network_link(int from, int to) {
    return &net.links[from][to];
}
void network_peer_ports(int from) {
    net.peer_ports = from;
}
struct network_stats network_stats(void) {
    return net.stats;
}

/* --- sockets --- */

static struct socket *socket_new(int host, int peer_host, const struct socket_events *events, void *owner) {
    struct socket *s = mem_calloc(1, sizeof *s);
    s->host = host;
    s->peer_host = peer_host;
    s->events = events;
    s->owner = owner;
    s->id = ++net.next_id;
    list_init(&s->sent);
    list_push_back(&net.sockets, &s->link);
    return s;
}

static void segment_free(struct segment *g) {
    list_unlink(&g->link);
    buf_free(&g->data);
    mem_free(g);
}

static void forget_sent(struct socket *s) {
    while (!list_empty(&s->sent)) segment_free(container_of(s->sent.next, struct segment, link));
    s->sent_bytes = 0;
    sim_timer_cancel(&s->arrival);
}

static void socket_free(struct socket *s) {
    if (s->peer != NULL) {
        s->peer->peer = NULL;
        schedule(s->peer); /* it may have waited for room here */
    }
    forget_sent(s);
    sim_timer_cancel(&s->connecting);
    sim_timer_cancel(&s->keepalive);
    list_unlink(&s->link);
    buf_free(&s->in);
    buf_free(&s->frame);
    mem_free(s);
}

static void free_if_done(struct socket *s) {
    if (s->closed && list_empty(&s->sent)) socket_free(s);
}

static void tell_readable(struct socket *s) {
    if (!s->closed && s->events != NULL && s->established) s->events->readable(s);
}

static void break_off(struct socket *s, int error) {
    if (s->error != 0) return;
    s->error = error;
    forget_sent(s);
    if (s->closed)
        socket_free(s);
    else
        tell_readable(s);
}

/* --- on the way --- */

static uint64_t delay_of(int from, int to) {
    const struct link_manners *l = &net.links[from][to];
    if (from == to) return 1 + sim_around(15);
    uint64_t us = l->delay_us / 2 + sim_around(l->delay_us / 2 + 1) + l->clog_us;
    if (sim_chance(l->loss)) us += RETRANSMIT_US + sim_around(RETRANSMIT_US);
    return us;
}

static bool is_cut(int from, int to) {
    return net.links[from][to].cut || net.off[from] || net.off[to];
}

static void schedule(struct socket *s) {
    if (list_empty(&s->sent) || s->arrival.place != 0) return;
    sim_timer_set(&s->arrival, container_of(s->sent.next, struct segment, link)->arrives_us, arrive);
}

static struct segment *send_segment(struct socket *s, const char *data, size_t len) {
    struct segment *g = mem_calloc(1, sizeof *g);
    buf_add(&g->data, data, len);
    uint64_t at = world_now_us() + delay_of(s->host, s->peer_host);
    if (at < s->last_arrival_us) at = s->last_arrival_us;
    g->arrives_us = s->last_arrival_us = at;
    s->sent_bytes += len;
    net.stats.segments++;
    net.stats.bytes += len;
    list_push_back(&s->sent, &g->link);
    schedule(s);
    return g;
}

static void deliver(struct socket *s, struct segment *g) {
    struct socket *to = s->peer;
    if (g->reset) {
        break_off(to, -ECONNRESET);
        return;
    }
    buf_add_slice(&to->in, buf_slice(&g->data));
    if (g->end) to->eof = true;
    world_mix(g->data.len * 2 + g->end);
    tell_readable(to);
}

/* Nobody is at the other end any more: the machine that hears of the connection first says so, if it is heard. */
static void sent_to_nobody(struct socket *s) {
    forget_sent(s);
    if (s->closed)
        socket_free(s);
    else
        break_off(s, -ECONNRESET);
}

static void stall(struct socket *s) {
    uint64_t now = world_now_us();
    if (s->stuck_since_us == 0) s->stuck_since_us = now;
    if (now - s->stuck_since_us > GIVE_UP_US) {
        break_off(s, -ETIMEDOUT);
        return;
    }
    uint64_t pause = RETRANSMIT_US + (now - s->stuck_since_us) / 2;
    if (pause > 2 * SIM_SECOND) pause = 2 * SIM_SECOND;
    sim_timer_set(&s->arrival, now + pause / 2 + sim_below(pause), arrive);
}

static void arrive(struct sim_timer *t) {
    SIM_HEAP;
    struct socket *s = container_of(t, struct socket, arrival);
    if (is_cut(s->host, s->peer_host)) {
        stall(s);
        return;
    }
    s->stuck_since_us = 0;
    if (s->peer == NULL) {
        sent_to_nobody(s);
        return;
    }
    if (s->peer->in.len >= RECEIVE_BUFFER && !s->peer->closed) return; /* socket_consumed goes on */
    struct segment *g = container_of(s->sent.next, struct segment, link);
    s->sent_bytes -= g->data.len;
    list_unlink(&g->link);
    if (s->peer->closed && g->data.len > 0) { /* nobody reads it there */
        segment_free(g);
        sent_to_nobody(s);
        return;
    }
    uint64_t id = s->id;
    deliver(s, g);
    segment_free(g);
    (void)id;
    schedule(s);
    bool room = s->blocked && s->sent_bytes < SEND_BUFFER / 2;
    if (room) s->blocked = false;
    if (room && !s->closed && s->events != NULL) s->events->writable(s);
    free_if_done(s);
}

/* A frame of its own, ahead of what was sent before it or behind what is sent after it. */
static void send_astray(struct socket *s, struct slice frame) {
    struct segment *g = mem_calloc(1, sizeof *g);
    buf_add_slice(&g->data, frame);
    uint64_t astray_us = sim_around(sim_chance(0.8) ? 100 * SIM_MS : SIM_SECOND); /* time-outs pass */
    g->arrives_us = world_now_us() + delay_of(s->host, s->peer_host) + astray_us;
    s->sent_bytes += frame.len;
    struct list *before = &s->sent;
    while (before->prev != &s->sent &&
           container_of(before->prev, struct segment, link)->arrives_us > g->arrives_us)
        before = before->prev;
    list_push_back(before, &g->link);
    sim_timer_cancel(&s->arrival);
    schedule(s);
}

static void send_frame(struct socket *s, struct slice frame, bool is_message) {
    const struct link_manners *l = &net.links[s->host][s->peer_host];
    net.stats.frames++;
    if (is_message && sim_chance(l->drop_frame)) {
        net.stats.dropped++;
        return;
    }
    if (is_message && sim_chance(l->reorder_frame)) {
        net.stats.reordered++;
        send_astray(s, frame);
    } else {
        send_segment(s, frame.data, frame.len);
    }
    if (!is_message || !sim_chance(l->copy_frame)) return;
    net.stats.copied++;
    send_astray(s, frame);
}

/* Raft's messages travel each by itself. What is no frame ends that: the link carries something else from here on. */
static void send_frames(struct socket *s, const char *data, size_t len) {
    enum { FRAME_MAX = 1 << 30 };
    struct peer_frame frame;
    size_t size = 0, at = 0;
    buf_add(&s->frame, data, len);
    enum rc rc;
    while ((rc = peer_frame_read(slice_make(s->frame.data + at, s->frame.len - at), FRAME_MAX, &frame,
                                 &size)) == RC_OK) {
        send_frame(s, slice_make(s->frame.data + at, size), frame.kind < PEER_HELLO);
        at += size;
    }
    buf_drop(&s->frame, at);
    if (rc != RC_INVALID) return;
    s->is_peer_link = false;
    send_segment(s, s->frame.data, s->frame.len);
    buf_clear(&s->frame);
}

size_t socket_write(struct socket *s, const char *data, size_t len) {
    SIM_HEAP;
    CHECK(!s->closed);
    if (s->error != 0) return len;
    bool by_frames = s->is_peer_link && s->from_initiator;
    size_t room = s->sent_bytes < SEND_BUFFER ? SEND_BUFFER - s->sent_bytes : 0;
    /* What arrives makes room, and tells. When nothing is on its way and nothing will be, because what is taken is part of a frame
     * or is dropped, nobody would ever tell: so all of it is taken. */
    if (by_frames && s->sent_bytes == 0) room = len;
    if (len > room) {
        s->blocked = true;
        len = room;
    }
    if (len > 0 && by_frames)
        send_frames(s, data, len);
    else if (len > 0)
        send_segment(s, data, len);
    return len;
}

static void probe(struct sim_timer *t) {
    SIM_HEAP;
    struct socket *s = container_of(t, struct socket, keepalive);
    bool answered_by_nobody = s->peer == NULL && s->established && !is_cut(s->host, s->peer_host);
    sim_timer_set(t, world_now_us() + s->keepalive_us, probe);
    if (answered_by_nobody && !s->closed) break_off(s, -ECONNRESET);
}

void socket_keepalive(struct socket *s, uint64_t us) {
    s->keepalive_us = us;
    if (us > 0) sim_timer_set(&s->keepalive, world_now_us() + us, probe);
}

void socket_finish(struct socket *s) {
    SIM_HEAP;
    if (s->error == 0) send_segment(s, "", 0)->end = true;
}

void socket_consumed(struct socket *s, size_t len) {
    SIM_HEAP;
    bool was_full = s->in.len >= RECEIVE_BUFFER;
    buf_drop(&s->in, len);
    if (was_full && s->in.len < RECEIVE_BUFFER && s->peer != NULL) schedule(s->peer);
}

void socket_close(struct socket *s) {
    SIM_HEAP;
    if (s->closed) return;
    s->closed = true;
    s->events = NULL;
    sim_timer_cancel(&s->connecting);
    if (s->error != 0 || (s->peer == NULL && list_empty(&s->sent))) {
        socket_free(s);
        return;
    }
    struct segment *g = send_segment(s, "", 0);
    g->end = true;
    g->reset = s->in.len > 0; /* as a kernel does when something was left unread */
}

void socket_reset(struct socket *s) {
    SIM_HEAP;
    if (s->closed) return;
    forget_sent(s);
    s->closed = true;
    s->events = NULL;
    sim_timer_cancel(&s->connecting);
    if (s->error != 0 || s->peer == NULL) {
        socket_free(s);
        return;
    }
    send_segment(s, "", 0)->reset = true;
}

/* --- connecting --- */

static struct listener *find_listener(int host, int port) {
    LIST_FOR_EACH(it, &net.listeners) {
        struct listener *l = container_of(it, struct listener, link);
        if (l->host == host && l->port == port) return l;
    }
    return NULL;
}

static void connect_failed(struct socket *s, int error) {
    s->error = error;
    if (s->events != NULL) s->events->connected(s, error);
}

static void connect_done(struct sim_timer *t) {
    SIM_HEAP;
    struct socket *s = container_of(t, struct socket, connecting);
    if (s->error != 0) {
        connect_failed(s, s->error);
        return;
    }
    s->established = true;
    s->events->connected(s, 0);
}

static void connect_refused(struct sim_timer *t) {
    SIM_HEAP;
    connect_failed(container_of(t, struct socket, connecting), -ECONNREFUSED);
}

static void connect_arrive(struct sim_timer *t) {
    SIM_HEAP;
    struct socket *s = container_of(t, struct socket, connecting);
    if (is_cut(s->host, s->peer_host) || is_cut(s->peer_host, s->host)) {
        if (++s->attempts > SYN_ATTEMPTS_MAX)
            connect_failed(s, -ETIMEDOUT);
        else
            sim_timer_set(t, world_now_us() + (uint64_t)SIM_SECOND * s->attempts, connect_arrive);
        return;
    }
    uint64_t back = world_now_us() + delay_of(s->peer_host, s->host);
    struct listener *l = find_listener(s->peer_host, s->peer_port);
    if (l == NULL) {
        sim_timer_set(t, back, connect_refused);
        return;
    }
    struct socket *other = socket_new(s->peer_host, s->host, NULL, NULL);
    other->port = s->peer_port;
    other->peer_port = s->port;
    other->peer = s;
    s->peer = other;
    other->is_peer_link = s->is_peer_link = s->peer_port >= net.peer_ports && s->peer_port < EPHEMERAL_PORT;
    s->from_initiator = true;
    struct waiting *w = mem_calloc(1, sizeof *w);
    w->socket = other;
    list_push_back(&l->queue, &w->link);
    sim_timer_set(t, back, connect_done);
    l->incoming(l->arg);
}

struct socket *network_connect(int host, int to_host, int to_port, const struct socket_events *events,
                               void *owner) {
    SIM_HEAP;
    struct socket *s = socket_new(host, to_host, events, owner);
    s->port = EPHEMERAL_PORT + net.next_port++ % 20000;
    s->peer_port = to_port;
    sim_timer_set(&s->connecting, world_now_us() + delay_of(host, to_host), connect_arrive);
    return s;
}

struct listener *network_listen(int host, int port, void (*incoming)(void *arg), void *arg) {
    SIM_HEAP;
    if (find_listener(host, port) != NULL) return NULL;
    struct listener *l = mem_calloc(1, sizeof *l);
    l->host = host;
    l->port = port;
    l->incoming = incoming;
    l->arg = arg;
    list_init(&l->queue);
    list_push_back(&net.listeners, &l->link);
    return l;
}

static struct socket *take_waiting(struct listener *l) {
    if (list_empty(&l->queue)) return NULL;
    struct waiting *w = container_of(l->queue.next, struct waiting, link);
    struct socket *s = w->socket;
    list_unlink(&w->link);
    mem_free(w);
    return s;
}

bool network_has_incoming(const struct listener *l) {
    return !list_empty(&l->queue);
}

struct socket *network_accept(struct listener *l, const struct socket_events *events, void *owner) {
    SIM_HEAP;
    struct socket *s = take_waiting(l);
    if (s == NULL) return NULL;
    s->events = events;
    s->owner = owner;
    s->established = true;
    return s;
}

void network_unlisten(struct listener *l) {
    SIM_HEAP;
    for (struct socket *s; (s = take_waiting(l)) != NULL;) socket_reset(s);
    list_unlink(&l->link);
    mem_free(l);
}

void network_power(int host, bool on) {
    SIM_HEAP;
    net.off[host] = !on;
    if (on) return;
    LIST_FOR_EACH_SAFE(it, &net.listeners) {
        struct listener *l = container_of(it, struct listener, link);
        if (l->host == host) network_unlisten(l);
    }
    LIST_FOR_EACH_SAFE(it, &net.sockets) {
        struct socket *s = container_of(it, struct socket, link);
        if (s->host == host) socket_free(s);
    }
}

void network_end(void) {
    SIM_HEAP;
    while (!list_empty(&net.listeners))
        network_unlisten(container_of(net.listeners.next, struct listener, link));
    while (!list_empty(&net.sockets)) socket_free(container_of(net.sockets.next, struct socket, link));
}

void network_tell(void) {
    LIST_FOR_EACH(it, &net.sockets) {
        const struct socket *s = container_of(it, struct socket, link);
        sim_tell("  socket %llu %d:%d to %d:%d%s%s%s%s error %d, sent %llu, in %zu, peer %s, arrival %s, "
                 "stuck %llu\n",
                 (unsigned long long)s->id, s->host + 1, s->port, s->peer_host + 1, s->peer_port,
                 s->established ? " up" : "", s->closed ? " closed" : "", s->eof ? " eof" : "",
                 s->blocked ? " blocked" : "", s->error, (unsigned long long)s->sent_bytes, s->in.len,
                 s->peer ? "there" : "gone",
                 s->arrival.place       ? "due"
                 : list_empty(&s->sent) ? "none"
                                        : "FORGOTTEN",
                 (unsigned long long)s->stuck_since_us);
    }
}
