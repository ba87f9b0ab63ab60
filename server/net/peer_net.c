/* Listeners on the peer port, the RAFT links kept to the peers, who is let in. One connection is peer_link.c's; see
 * peer_net.h. */
#include "mem.h"
#include "net_internal.h"
#include "peer_net_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    OUT_BYTES_MAX = 64 << 20,
    GREETING_MS = 5000,
    STEADY_MS = 1000, /* a link that lasted so long was a good one: the next is tried soon */
    KEEP_OUT_MAX = 1 << 20,
    KEEP_LANE_MAX = 1 << 20,
    WRONG_CLUSTER_QUIET =
        3, /* refusals: a node that is being formed has not heard of its cluster when others have */
    BULK_MIN = PEER_APART_MIN, /* a longer append goes in parts, and those behind it */
    LISTENER_MAGIC = 0x4c495354,
};

struct peer_listener {
    uint32_t magic; /* net.c looks for its connections among all TCP handles by theirs, in the same place */
    struct list link;
    struct peer_net *pn;
    uv_tcp_t tcp;
    int port;
};

/* One command may be as long as client-query-buffer-limit lets it, a gigabyte by itself, and its entry and frame are longer. */
static const size_t FRAME_BYTES_MAX = (size_t)4 << 30;

/* One that RAFT links are kept to. */
struct peer {
    struct peer_net *pn;
    uint64_t id;
    char address[RAFT_ADDRESS_CAP];
    struct link *out; /* NULL while it waits for the timer */
    struct link *in;  /* its RAFT link to us, if there is one */
    uv_timer_t timer; /* until the next attempt */
    uint64_t backoff_ms;
    uint64_t up_ms;
    bool up; /* and link_up was said */
    uint32_t refused_code;
    unsigned wrong_cluster_count; /* refusals in a row */
    size_t mark;                  /* of link_out's bytes, where the frame being written begins */
    uint64_t frames_out, bytes_out, frames_in, bytes_in, dropped, connects;
};

static const struct link_ops raft_out_ops, raft_in_ops;

/* --- the log --- */

/* The slot of this pair, or the one to forget for it: the oldest. */
static struct complaint *find_complaint(struct peer_net *pn, const char *whom, uint32_t code) {
    struct complaint *oldest = &pn->complaints[0];
    for (size_t i = 0; i < PEER_COMPLAINTS_MAX; i++) {
        struct complaint *c = &pn->complaints[i];
        if (c->code == code && strcmp(c->whom, whom) == 0) return c;
        if (c->ms < oldest->ms) oldest = c;
    }
    *oldest = (struct complaint){.code = code};
    snprintf(oldest->whom, sizeof oldest->whom, "%s", whom);
    return oldest;
}

void peer_net_complain(struct peer_net *pn, const char *whom, uint32_t code, const char *format, ...) {
    char line[512];
    uint64_t now = uv_now(pn->loop);
    struct complaint *c = find_complaint(pn, whom, code);
    if (c->ms != 0 && now - c->ms < PEER_COMPLAINT_MS) return;
    c->ms = now > 0 ? now : 1;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pn->handler.log(pn->handler.arg, line);
}

void peer_net_forget_complaints(struct peer_net *pn, const char *whom) {
    for (size_t i = 0; i < PEER_COMPLAINTS_MAX; i++)
        if (strcmp(pn->complaints[i].whom, whom) == 0) pn->complaints[i] = (struct complaint){0};
}

/* --- beginning and end --- */

static char *copy_text(const char *text) {
    if (text == NULL || *text == '\0') return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}

static void watch_cb(uv_timer_t *timer) {
    struct peer_net *pn = timer->data;
    LIST_FOR_EACH_SAFE(it, &pn->links) link_watch(container_of(it, struct link, link));
}

static void watch_closed_cb(uv_handle_t *handle) {
    struct peer_net *pn = handle->data;
    pn->handles_open--;
}

struct peer_net *peer_net_new(uv_loop_t *loop, const struct peer_net_options *options,
                              const struct peer_net_handler *handler) {
    struct peer_net *pn = mem_calloc(1, sizeof *pn);
    pn->loop = loop;
    pn->handler = *handler;
    pn->id = options->id;
    pn->origin = options->origin;
    pn->secret = copy_text(options->secret);
    pn->frame_bytes_max = options->frame_bytes_max ? options->frame_bytes_max : FRAME_BYTES_MAX;
    pn->out_bytes_max = options->out_bytes_max ? options->out_bytes_max : OUT_BYTES_MAX;
    pn->greeting_ms = options->greeting_ms ? options->greeting_ms : GREETING_MS;
    pn->rng.state = options->seed;
    list_init(&pn->listeners);
    list_init(&pn->links);
    list_init(&pn->strangers);
    list_init(&pn->to_flush);
    pn->scratch = mem_alloc(PEER_SCRATCH_SIZE);
    peer_net_set_address(pn, options->address);
    CHECK(uv_timer_init(loop, &pn->watch) == 0);
    pn->watch.data = pn;
    pn->handles_open++;
    uv_timer_start(&pn->watch, watch_cb, LINK_WATCH_MS, LINK_WATCH_MS);
    return pn;
}

static void listener_closed_cb(uv_handle_t *handle) {
    struct peer_listener *l = handle->data;
    l->pn->handles_open--;
    mem_free(l);
}

static void peer_closed_cb(uv_handle_t *handle) {
    struct peer *p = handle->data;
    p->pn->handles_open--;
    mem_free(p);
}

/* Its last words still go out. What it says is not heard any more, and it notices: its next link is judged anew. */
static void peer_remove(struct peer *p) {
    if (p->in != NULL) link_close(p->in, 0, "no longer a peer");
    if (p->out != NULL) {
        p->out->owner = NULL;
        link_finish(p->out, 0, "no longer a peer");
    }
    uv_close((uv_handle_t *)&p->timer, peer_closed_cb);
}

static void close_links(struct list *links, const char *why) {
    LIST_FOR_EACH_SAFE(it, links) link_close(container_of(it, struct link, link), 0, "%s", why);
}

static void close_listeners(struct peer_net *pn) {
    while (!list_empty(&pn->listeners)) {
        struct peer_listener *l = container_of(pn->listeners.next, struct peer_listener, link);
        list_unlink(&l->link);
        uv_close((uv_handle_t *)&l->tcp, listener_closed_cb);
    }
}

void peer_net_close_all(struct peer_net *pn) {
    if (pn->closing) return;
    pn->closing = true;
    uv_close((uv_handle_t *)&pn->watch, watch_closed_cb);
    close_listeners(pn);
    for (size_t i = 0; i < pn->peer_count; i++) {
        struct peer *p = pn->peers[i];
        if (p->out != NULL) p->out->owner = NULL;
        uv_close((uv_handle_t *)&p->timer, peer_closed_cb);
    }
    pn->peer_count = 0;
    close_links(&pn->links, "stopping");
    close_links(&pn->strangers, "stopping");
}

void peer_net_free(struct peer_net *pn) {
    CHECK(pn->handles_open == 0);
    CHECK(pn->links_open == 0);
    peer_append_store_free(&pn->store);
    mem_free(pn->peers);
    mem_free(pn->secret);
    mem_free(pn->scratch);
    mem_free(pn);
}

void peer_net_set_address(struct peer_net *pn, const char *address) {
    snprintf(pn->address, sizeof pn->address, "%s", address != NULL ? address : "");
}

void peer_net_set_secret(struct peer_net *pn, const char *secret) {
    mem_free(pn->secret);
    pn->secret = copy_text(secret);
}

void peer_net_set_identity(struct peer_net *pn, uint64_t id, const struct peer_origin *origin) {
    bool is_same = pn->id == id && memcmp(&pn->origin, origin, sizeof *origin) == 0;
    pn->id = id;
    pn->origin = *origin;
    if (is_same) return;
    LIST_FOR_EACH_SAFE(it, &pn->links) {
        struct link *l = container_of(it, struct link, link);
        if (l->ops->kind == PEER_LINK_RAFT || l->ops->kind == PEER_LINK_SNAPSHOT)
            link_close(l, 0, "this node has a new identity");
    }
}

/* --- listening --- */

static void accept_cb(uv_stream_t *server, int status) {
    struct peer_listener *listener = server->data;
    struct peer_net *pn = listener->pn;
    if (status < 0) return;
    struct link *l = link_new_stranger(pn);
    if (uv_accept(server, (uv_stream_t *)&l->tcp) != 0) {
        link_close(l, 0, "cannot be accepted");
        return;
    }
    link_start_stranger(l);
    if (pn->stranger_count <= PEER_STRANGERS_MAX) return;
    /* Who is honest says hello at once; who has been silent for longest is the least likely to be. */
    struct link *oldest = container_of(pn->strangers.next, struct link, link);
    link_close(oldest, COMPLAINT_TOO_MANY, "too many are there that do not say who they are");
}

static int listen_on(struct peer_net *pn, const char *host, int port, int backlog) {
    struct sockaddr_storage addr;
    int rc = net_find_address(pn->loop, host, port, &addr);
    if (rc != 0) return rc;
    struct peer_listener *l = mem_calloc(1, sizeof *l);
    l->magic = LISTENER_MAGIC;
    l->pn = pn;
    list_init(&l->link);
    CHECK(uv_tcp_init(pn->loop, &l->tcp) == 0);
    l->tcp.data = l;
    pn->handles_open++;
    unsigned flags = addr.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
    int len = sizeof addr;
    rc = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&addr, flags);
    if (rc == 0) rc = uv_listen((uv_stream_t *)&l->tcp, backlog, accept_cb);
    if (rc == 0) rc = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&addr, &len);
    if (rc != 0) {
        uv_close((uv_handle_t *)&l->tcp, listener_closed_cb);
        return rc;
    }
    l->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&addr)->sin6_port
                                               : ((struct sockaddr_in *)(void *)&addr)->sin_port);
    list_push_back(&pn->listeners, &l->link);
    return 0;
}

enum rc peer_net_listen(struct peer_net *pn, const char *bind, int port, int backlog, char *error,
                        size_t cap) {
    char addresses[1024];
    snprintf(addresses, sizeof addresses, "%s", bind);
    char *rest = addresses;
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (*word == '\0') continue;
        bool optional = *word == '-';
        int rc = listen_on(pn, word + optional, port, backlog);
        if (rc == 0 || (optional && (rc == UV_EADDRNOTAVAIL || rc == UV_EAFNOSUPPORT))) continue;
        snprintf(error, cap, "Failed listening on peer port %d (%.64s): %s", port, word + optional,
                 uv_strerror(rc));
        close_listeners(pn);
        return rc == UV_EADDRINUSE ? RC_BUSY : RC_IO;
    }
    return RC_OK;
}

int peer_net_port(const struct peer_net *pn) {
    return list_empty(&pn->listeners) ? 0
                                      : container_of(pn->listeners.next, struct peer_listener, link)->port;
}

const struct link_ops *peer_net_ops_for(enum peer_link_kind kind) {
    switch (kind) {
    case PEER_LINK_RAFT: return &raft_in_ops;
    case PEER_LINK_SNAPSHOT: return &accepted_stream_ops;
    case PEER_LINK_CONTROL: return &accepted_control_ops;
    case PEER_LINK_FORWARD: break; /* has no frames: it was handed over */
    }
    CHECK(kind != PEER_LINK_FORWARD);
    return NULL;
}

/* --- links to the peers --- */

static struct peer *find_peer(const struct peer_net *pn, uint64_t id) {
    for (size_t i = 0; i < pn->peer_count; i++)
        if (pn->peers[i]->id == id) return pn->peers[i];
    return NULL;
}

static void peer_connect(struct peer *p) {
    CHECK(p->out == NULL);
    uv_timer_stop(&p->timer);
    struct link_target target = {.address = p->address, .id = p->id, .timeout_ms = p->pn->greeting_ms};
    p->connects++;
    p->out = link_open(p->pn, &raft_out_ops, p, &target);
}

static void retry_cb(uv_timer_t *timer) {
    peer_connect(timer->data);
}

/* Three quarters to five quarters of the back-off, which doubles. */
static void connect_later(struct peer *p) {
    uint64_t wait_ms = p->backoff_ms - p->backoff_ms / 4 + rng_below(&p->pn->rng, p->backoff_ms / 2 + 1);
    p->backoff_ms = p->backoff_ms * 2 < PEER_BACKOFF_MS_MAX ? p->backoff_ms * 2 : PEER_BACKOFF_MS_MAX;
    if (wait_ms > PEER_BACKOFF_MS_MAX) wait_ms = PEER_BACKOFF_MS_MAX;
    uv_timer_start(&p->timer, retry_cb, wait_ms, 0);
}

static void raft_out_up(struct link *l) {
    struct peer *p = l->owner;
    p->up = true;
    p->up_ms = uv_now(p->pn->loop);
    p->refused_code = 0;
    p->wrong_cluster_count = 0;
    p->pn->handler.link_up(p->pn->handler.arg, p->id);
}

static void raft_out_closed(struct link *l) {
    struct peer *p = l->owner;
    struct peer_net *pn = p->pn;
    uint64_t now = uv_now(pn->loop), id = p->id;
    bool was_up = p->up;
    p->out = NULL;
    p->bytes_out += l->bytes_out;
    p->refused_code = l->code;
    if (was_up && now - p->up_ms >= STEADY_MS) {
        p->backoff_ms = PEER_BACKOFF_MS_MIN;
        peer_net_forget_complaints(pn, l->address);
    }
    if (was_up) p->up_ms = now;
    p->up = false;
    connect_later(p);
    const char *what = l->was_refused_by_peer ? "refuses our link"
                       : was_up               ? "is no longer linked"
                                              : "is not linked";
    bool is_early = l->code == PEER_WRONG_CLUSTER && ++p->wrong_cluster_count <= WRONG_CLUSTER_QUIET;
    if (!is_early)
        peer_net_complain(pn, l->address, l->code ? l->code : COMPLAINT_UNREACHABLE,
                          "Node %016llx at %s %s: %s", (unsigned long long)id, l->address, what, l->why);
    if (was_up) pn->handler.link_down(pn->handler.arg, id);
    if (l->code != 0) pn->handler.refused(pn->handler.arg, id, l->code, l->why);
}

/* Nothing comes back on it. */
static void raft_out_frame(struct link *l, const struct peer_frame *f) {
    link_close(l, PEER_UNEXPECTED, "a frame of kind %s came back on it", peer_frame_name(f->kind));
}

static const struct link_ops raft_out_ops = {.kind = PEER_LINK_RAFT,
                                             .keep_bytes = KEEP_OUT_MAX,
                                             .queue_max = SIZE_MAX,
                                             .up = raft_out_up,
                                             .frame = raft_out_frame,
                                             .closed = raft_out_closed};

/* --- links from the peers --- */

static bool is_raft_from(const struct link *l, uint64_t id) {
    return l->ops == &raft_in_ops && l->peer_id == id;
}

/* A peer that connects anew has lost its old connection, whether or not we have noticed. And it can be reached. */
static void raft_in_up(struct link *l) {
    struct peer_net *pn = l->pn;
    LIST_FOR_EACH_SAFE(it, &pn->links) {
        struct link *other = container_of(it, struct link, link);
        if (other != l && is_raft_from(other, l->peer_id)) link_close(other, 0, "a newer one has come");
    }
    struct peer *p = find_peer(pn, l->peer_id);
    if (p == NULL) return;
    p->in = l;
    p->backoff_ms = PEER_BACKOFF_MS_MIN;
    if (p->out == NULL) peer_connect(p);
}

static void raft_in_closed(struct link *l) {
    struct peer *p = find_peer(l->pn, l->peer_id);
    if (p != NULL && p->in == l) p->in = NULL;
}

static bool is_from_whom_it_should(const struct link *l, const struct peer_frame *f) {
    return f->source == l->peer_id && f->target == l->pn->id &&
           memcmp(&f->origin, &l->peer_origin, sizeof f->origin) == 0;
}

static void makes_no_sense(struct link *l, const struct peer_frame *f) {
    char host[RAFT_ADDRESS_CAP];
    peer_net_complain(l->pn, link_host(l, host), PEER_UNEXPECTED,
                      "Closing the link from %s: its %s makes no sense", l->address,
                      peer_frame_name(f->kind));
    link_close(l, PEER_UNEXPECTED, "malformed");
}

static bool is_let_speak(struct link *l, const struct peer_frame *f) {
    if (is_from_whom_it_should(l, f)) return true;
    link_close(l, PEER_WRONG_TARGET, "a frame of somebody else's, or for somebody else");
    return false;
}

static void tell_message(struct link *l, const struct raft_message *m, size_t size, struct buf *whole) {
    struct peer_net *pn = l->pn;
    struct peer *p = find_peer(pn, l->peer_id);
    if (p != NULL) {
        p->frames_in++;
        p->bytes_in += size;
    }
    pn->handler.message(pn->handler.arg, m, pn->store.payloads, whole);
}

static void take_message(struct link *l, const struct peer_frame *f) {
    struct raft_message m;
    if (!is_let_speak(l, f)) return;
    if (peer_read_message(f, &l->pn->store, &m) != RC_OK)
        makes_no_sense(l, f);
    else
        tell_message(l, &m, PEER_HEADER_SIZE + f->body.len, NULL);
}

/* The payload that comes apart is all there. */
static void take_apart(struct link *l, const char *head, const struct peer_frame *part) {
    struct peer_frame f;
    struct raft_message m;
    if (peer_read_apart(slice_make(head, PEER_APART_HEAD_SIZE), buf_slice(&l->apart), &l->pn->store, &f,
                        &m) != RC_OK)
        makes_no_sense(l, part);
    else if (is_let_speak(l, &f))
        tell_message(l, &m, PEER_APART_HEAD_SIZE + l->apart.len, &l->apart);
    buf_free(&l->apart);
    l->apart_len = 0;
}

/* Takes what belongs to the payload; true when that is all of it. */
static bool fill_apart(struct link *l, struct slice *bytes) {
    struct slice some = *bytes;
    size_t missing = l->apart_len - l->apart.len;
    if (some.len > missing) some.len = missing;
    buf_expect(&l->apart, some.len, l->apart_len);
    buf_add_slice(&l->apart, some);
    *bytes = slice_make(bytes->data + some.len, bytes->len - some.len);
    return l->apart.len == l->apart_len;
}

/* Hands out the whole frames in the lane. An append whose payload is apart leaves its head there until it is whole: the
 * payload gets a buffer of its own, and is copied nowhere else once it is there. */
static void empty_lane(struct link *l, const struct peer_frame *part) {
    size_t at = 0;
    while (link_is_up(l)) {
        struct slice input = slice_make(l->lane.data + at, l->lane.len - at);
        struct peer_frame f;
        size_t size;
        if (peer_append_is_apart(input, l->pn->frame_bytes_max, &l->apart_len)) {
            struct slice rest =
                slice_make(input.data + PEER_APART_HEAD_SIZE, input.len - PEER_APART_HEAD_SIZE);
            size = PEER_APART_HEAD_SIZE + l->apart_len;
            if (!fill_apart(l, &rest)) {
                l->lane.len = at + PEER_APART_HEAD_SIZE;
                break;
            }
            take_apart(l, input.data, part);
            at += size;
            continue;
        }
        enum rc rc = peer_frame_read(input, l->pn->frame_bytes_max, &f, &size);
        if (rc == RC_NOT_FOUND) break;
        if (rc != RC_OK) {
            makes_no_sense(l, part);
            return;
        }
        at += size;
        take_message(l, &f);
    }
    buf_drop(&l->lane, at);
}

/* Parts, put together, are frames like others. */
static void take_part(struct link *l, const struct peer_frame *part) {
    struct slice bytes = part->body;
    if (l->apart_len > 0) {
        if (!fill_apart(l, &bytes)) return;
        take_apart(l, l->lane.data, part);
        buf_clear(&l->lane);
    }
    buf_add_slice(&l->lane, bytes);
    empty_lane(l, part);
    if (l->lane.len == 0 && l->lane.cap > KEEP_LANE_MAX) buf_free(&l->lane);
}

static void raft_in_frame(struct link *l, const struct peer_frame *f) {
    if (f->kind == PEER_PART && is_from_whom_it_should(l, f))
        take_part(l, f);
    else
        take_message(l, f);
}

static const struct link_ops raft_in_ops = {.kind = PEER_LINK_RAFT,
                                            .queue_max = SIZE_MAX,
                                            .up = raft_in_up,
                                            .frame = raft_in_frame,
                                            .closed = raft_in_closed};

/* --- whom links are kept to --- */

static struct peer *peer_new(struct peer_net *pn, uint64_t id) {
    struct peer *p = mem_calloc(1, sizeof *p);
    p->pn = pn;
    p->id = id;
    p->backoff_ms = PEER_BACKOFF_MS_MIN;
    p->up_ms = uv_now(pn->loop);
    CHECK(uv_timer_init(pn->loop, &p->timer) == 0);
    p->timer.data = p;
    pn->handles_open++;
    LIST_FOR_EACH(it, &pn->links) {
        struct link *l = container_of(it, struct link, link);
        if (is_raft_from(l, id)) p->in = l;
    }
    return p;
}

/* The attempt that is going on, or the link that is up, leads to the old address. */
static void peer_set_address(struct peer *p, const char *address) {
    if (strcmp(p->address, address) == 0) return;
    snprintf(p->address, sizeof p->address, "%s", address);
    p->backoff_ms = PEER_BACKOFF_MS_MIN;
    if (p->out == NULL)
        peer_connect(p);
    else
        link_close(p->out, 0, "it has a new address");
}

/* Takes the peer out of the old array, so that what is left there is to be removed. */
static struct peer *take_peer(struct peer **old, size_t count, uint64_t id) {
    for (size_t i = 0; i < count; i++) {
        struct peer *p = old[i];
        if (p == NULL || p->id != id) continue;
        old[i] = NULL;
        return p;
    }
    return NULL;
}

void peer_net_set_peers(struct peer_net *pn, const struct peer_address *peers, size_t count) {
    if (pn->closing) return;
    struct peer **old = pn->peers;
    size_t old_count = pn->peer_count;
    pn->peers = mem_calloc(count + 1, sizeof *pn->peers);
    pn->peer_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (peers[i].id == pn->id || find_peer(pn, peers[i].id) != NULL) continue;
        struct peer *p = take_peer(old, old_count, peers[i].id);
        pn->peers[pn->peer_count++] = p != NULL ? p : peer_new(pn, peers[i].id);
    }
    for (size_t i = 0; i < old_count; i++)
        if (old[i] != NULL) peer_remove(old[i]);
    mem_free(old);
    for (size_t i = 0; i < count; i++) {
        struct peer *p = find_peer(pn, peers[i].id);
        if (p != NULL) peer_set_address(p, peers[i].address);
    }
}

/* --- messages --- */

/* The link to send on, or NULL, which is counted. */
static struct link *link_for(struct peer *p, size_t unsent_max) {
    if (p == NULL) return NULL;
    if (link_is_up(p->out) && link_unsent(p->out) <= unsent_max) return p->out;
    p->dropped++;
    return NULL;
}

struct buf *peer_net_out(struct peer_net *pn, uint64_t id) {
    struct peer *p = find_peer(pn, id);
    struct link *l = link_for(p, pn->out_bytes_max);
    if (l == NULL) return NULL;
    p->mark = l->out.len;
    return link_out(l);
}

bool peer_net_takes_append(const struct peer_net *pn, uint64_t id) {
    return peer_net_unsent(pn, id) <= pn->out_bytes_max;
}

/* The frame that was appended since peer_net_out; empty when it was not asked. */
static struct slice frame_written(const struct peer *p) {
    const struct buf *out = &p->out->out;
    return p->mark <= out->len ? slice_make(out->data + p->mark, out->len - p->mark) : slice_make(NULL, 0);
}

/* A long append goes in parts, so that heartbeats need not wait behind it; so do all appends as long as parts are
 * waiting, for an append that overtakes another is refused. */
static void send_append(struct peer *p, size_t size) {
    struct link *l = p->out;
    size_t waiting = link_bulk_left(l);
    if (waiting > p->pn->out_bytes_max) {
        l->out.len = p->mark;
        p->dropped++;
    } else if (size > BULK_MIN || waiting > 0) {
        link_move_to_bulk(l, p->mark);
    }
}

static struct peer *begin_sent(struct peer_net *pn, uint64_t id) {
    struct peer *p = find_peer(pn, id);
    CHECK(p != NULL);
    p->frames_out++;
    return p;
}

static void end_sent(struct peer *p) {
    p->mark = p->out->out.len;
    link_touch(p->out);
}

void peer_net_sent(struct peer_net *pn, uint64_t id) {
    struct peer *p = begin_sent(pn, id);
    if (!link_is_up(p->out)) return;
    struct slice frame = frame_written(p);
    if (frame.len >= PEER_HEADER_SIZE && peer_frame_kind(frame) == RAFT_APPEND) send_append(p, frame.len);
    end_sent(p);
}

void peer_net_sent_apart(struct peer_net *pn, uint64_t id, const struct peer_lent *payload) {
    struct peer *p = begin_sent(pn, id);
    CHECK(link_is_up(p->out)); /* since peer_net_out */
    if (link_bulk_left(p->out) > pn->out_bytes_max) {
        p->out->out.len = p->mark;
        p->dropped++;
        payload->give_back(payload->owner, payload->what);
    } else {
        link_move_to_bulk(p->out, p->mark);
        link_lend_to_bulk(p->out, payload);
    }
    end_sent(p);
}

void peer_net_flush(struct peer_net *pn) {
    while (!list_empty(&pn->to_flush)) link_flush(container_of(pn->to_flush.next, struct link, flush_link));
}

size_t peer_net_unsent(const struct peer_net *pn, uint64_t id) {
    const struct peer *p = find_peer(pn, id);
    return p != NULL && link_is_up(p->out) ? link_unsent(p->out) + link_bulk_left(p->out) : 0;
}

bool peer_net_is_receiving(const struct peer_net *pn, uint64_t id, uint64_t within_ms) {
    LIST_FOR_EACH(it, &pn->links) {
        const struct link *l = container_of(it, struct link, link);
        if (is_raft_from(l, id) && l->in.len + l->lane.len > 0 && uv_now(pn->loop) - l->heard_ms <= within_ms)
            return true;
    }
    return false;
}

size_t peer_net_links(const struct peer_net *pn, struct peer_link_info *out, size_t cap) {
    for (size_t i = 0; i < pn->peer_count && i < cap; i++) {
        const struct peer *p = pn->peers[i];
        out[i] = (struct peer_link_info){.id = p->id,
                                         .up = p->up,
                                         .heard = p->in != NULL,
                                         .up_ms = p->up_ms,
                                         .frames_out = p->frames_out,
                                         .bytes_out = p->bytes_out + (p->out != NULL ? p->out->bytes_out : 0),
                                         .frames_in = p->frames_in,
                                         .bytes_in = p->bytes_in,
                                         .dropped = p->dropped,
                                         .connects = p->connects,
                                         .unsent = peer_net_unsent(pn, p->id),
                                         .refused_code = p->refused_code};
        memcpy(out[i].address, p->address, sizeof p->address);
    }
    return pn->peer_count;
}
