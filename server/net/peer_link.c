/* One connection between nodes; see peer_link.h. The handshake's conversation is peer_greeting.c's. */
#include "peer_link.h"

#include "mem.h"
#include "net_internal.h"
#include "peer_net_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_SIZE = PEER_SCRATCH_SIZE,
    READ_SIZE_MAX = 4 << 20, /* a frame that announces a gigabyte has to come before we believe it */
    KEEP_INPUT_MAX = 1 << 20,
    PART_BYTES = 256 << 10,
    LINGER_MS = 2000,
    /* A machine that is gone is noticed some ten seconds later: when nothing is on its way, by the kernel's questions; on
     * RAFT links, by TCP_USER_TIMEOUT; on others by how often the kernel has sent the same thing again. */
    KEEPALIVE_SECONDS = 5,
    KEEPALIVE_INTERVAL_SECONDS = 2,
    KEEPALIVE_COUNT = 4,
    UNACKNOWLEDGED_MS = 10000,
    RETRANSMITS_MAX = 5, /* 0.2 + 0.4 + 0.8 + 1.6 + 3.2 seconds */
    PROBES_MAX = 2,      /* of a paused reader's window; they are further apart the longer it pauses */
};

/* Of link.bulk: bytes of its own, or lent ones. */
struct bulk_piece {
    struct list link;
    struct buf own;
    struct peer_lent lent; /* `bytes` is what is left of either */
};

static void start_reading(struct link *l);

static bool is_stranger(const struct link *l) {
    return l->state == LINK_STRANGER || l->state == LINK_PROVING;
}

/* --- the end --- */

static void drop_piece(struct bulk_piece *piece) {
    list_unlink(&piece->link);
    if (piece->lent.give_back != NULL) piece->lent.give_back(piece->lent.owner, piece->lent.what);
    buf_free(&piece->own);
    mem_free(piece);
}

static void drop_bulk(struct link *l) {
    while (!list_empty(&l->bulk)) drop_piece(container_of(l->bulk.next, struct bulk_piece, link));
    l->bulk_left = 0;
}

static void link_free(struct link *l) {
    buf_free(&l->in);
    buf_free(&l->early);
    buf_free(&l->out);
    buf_free(&l->sending);
    buf_free(&l->lane);
    buf_free(&l->apart);
    buf_free(&l->transcript);
    l->pn->links_open--;
    l->magic = 0;
    mem_free(l);
}

static void handle_closed_cb(uv_handle_t *handle) {
    struct link *l = handle->data;
    CHECK(l->magic == LINK_MAGIC);
    if (--l->handles_open > 0) return;
    if (l->owner != NULL) l->ops->closed(l);
    l->owner = NULL;
    if (!l->is_resolving) link_free(l);
}

static void close_quietly(struct link *l) {
    if (is_stranger(l)) l->pn->stranger_count--;
    if (!l->is_initiator && l->state == LINK_UP) l->pn->accepted_count--;
    l->state = LINK_CLOSING;
    drop_bulk(l);
    list_unlink(&l->link);
    list_unlink(&l->flush_link);
    if (l->is_resolving) uv_cancel((uv_req_t *)&l->resolve);
    uv_close((uv_handle_t *)&l->tcp, handle_closed_cb);
    uv_close((uv_handle_t *)&l->timer, handle_closed_cb);
}

const char *link_host(const struct link *l, char host[RAFT_ADDRESS_CAP]) {
    const char *colon = strrchr(l->address, ':');
    size_t len = colon != NULL ? (size_t)(colon - l->address) : strlen(l->address);
    memcpy(host, l->address, len);
    host[len] = '\0';
    return host;
}

/* Who belongs to no cluster yet refuses those who do until one of them tells it: no news to anybody. */
static bool is_to_be_expected(const struct peer_net *pn, uint32_t code) {
    static const struct peer_origin none;
    return code == PEER_WRONG_CLUSTER && memcmp(pn->origin.cluster, none.cluster, sizeof none.cluster) == 0;
}

/* A stranger has nobody else to tell. */
static void note_reason(struct link *l, uint32_t code, const char *format, va_list args) {
    if (l->why[0] != '\0') return;
    l->code = code;
    vsnprintf(l->why, sizeof l->why, format, args);
    char host[RAFT_ADDRESS_CAP];
    if (l->ops != NULL || code == 0 || is_to_be_expected(l->pn, code)) return;
    peer_net_complain(l->pn, link_host(l, host), code, "Refused a link from %s: %s", l->address, l->why);
}

void link_close(struct link *l, uint32_t code, const char *format, ...) {
    if (l->state == LINK_CLOSING) return;
    va_list args;
    va_start(args, format);
    note_reason(l, code, format, args);
    va_end(args);
    close_quietly(l);
}

int link_take_socket(struct link *l) {
    uv_os_fd_t fd = -1;
    int duplicate = uv_fileno((uv_handle_t *)&l->tcp, &fd) == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    link_close(l, 0, "handed over");
    return duplicate;
}

static void linger_cb(uv_timer_t *timer) {
    struct link *l = timer->data;
    link_close(l, 0, "closed");
}

void link_finish(struct link *l, uint32_t code, const char *format, ...) {
    if (l->state == LINK_CLOSING || l->is_finishing) return;
    va_list args;
    va_start(args, format);
    note_reason(l, code, format, args);
    va_end(args);
    if (l->state == LINK_RESOLVING || l->state == LINK_CONNECTING) {
        close_quietly(l);
        return;
    }
    l->is_finishing = true;
    l->is_paused = false;
    buf_free(&l->in);
    uv_timer_start(&l->timer, linger_cb, LINGER_MS, 0);
    link_shutdown(l);
    start_reading(l);
}

/* --- output --- */

struct buf *link_out(struct link *l) {
    return l->state == LINK_UP ? &l->out : &l->early;
}

void link_touch(struct link *l) {
    if (l->state == LINK_CLOSING || !list_empty(&l->flush_link)) return;
    list_push_back(&l->pn->to_flush, &l->flush_link);
}

size_t link_unsent(const struct link *l) {
    return l->early.len + l->out.len + uv_stream_get_write_queue_size((const uv_stream_t *)&l->tcp);
}

static void give_back(struct link *l, struct buf *b) {
    if (b->cap > (l->ops != NULL ? l->ops->keep_bytes : 0))
        buf_free(b);
    else
        buf_clear(b);
}

static void write_cb(uv_write_t *write, int status) {
    struct link *l = write->data;
    CHECK(l->magic == LINK_MAGIC);
    bool was_full = l->ops != NULL && l->sending.len + l->out.len >= l->ops->queue_max;
    l->is_sending = false;
    give_back(l, &l->sending);
    if (l->state == LINK_CLOSING) return;
    if (status < 0) {
        link_close(l, 0, "%s", uv_strerror(status));
        return;
    }
    link_flush(l);
    if (!was_full || !link_is_up(l) || link_unsent(l) >= l->ops->queue_max) return;
    if (l->owner != NULL && l->ops->writable != NULL) l->ops->writable(l);
}

/* The socket is full: libuv waits for it with what is left. */
static void send_later(struct link *l, size_t sent) {
    struct buf empty = l->sending;
    l->sending = l->out;
    l->out = empty;
    uv_buf_t part = {.base = l->sending.data + sent, .len = l->sending.len - sent};
    l->is_sending = true;
    l->write.data = l;
    int rc = uv_write(&l->write, (uv_stream_t *)&l->tcp, &part, 1, write_cb);
    if (rc != 0) {
        l->is_sending = false;
        link_close(l, 0, "%s", uv_strerror(rc));
    }
}

static void add_piece(struct link *l, struct buf own, const struct peer_lent *lent) {
    struct bulk_piece *piece = mem_calloc(1, sizeof *piece);
    piece->own = own;
    piece->lent = *lent;
    list_push_back(&l->bulk, &piece->link);
    l->bulk_left += lent->bytes.len;
}

void link_move_to_bulk(struct link *l, size_t from) {
    CHECK(from <= l->out.len);
    struct buf own = {0};
    buf_add(&own, l->out.data + from, l->out.len - from);
    l->out.len = from;
    add_piece(l, own, &(struct peer_lent){.bytes = buf_slice(&own)});
}

void link_lend_to_bulk(struct link *l, const struct peer_lent *lent) {
    add_piece(l, (struct buf){0}, lent);
}

/* The next bytes of the bulk, behind `out`. */
static void take_from_bulk(struct link *l, size_t n) {
    CHECK(n <= l->bulk_left);
    l->bulk_left -= n;
    while (n > 0) {
        struct bulk_piece *piece = container_of(l->bulk.next, struct bulk_piece, link);
        struct slice *left = &piece->lent.bytes;
        size_t some = left->len < n ? left->len : n;
        buf_add(&l->out, left->data, some);
        *left = slice_make(left->data + some, left->len - some);
        n -= some;
        if (left->len == 0) drop_piece(piece);
    }
}

/* One part behind what is small. It goes by way of libuv even if the socket would take it at once: the next part is for
 * the next turn, with what is small then in front of it. */
static void send_part(struct link *l) {
    struct peer_frame part = link_header(l, 0);
    part.kind = PEER_PART;
    buf_reserve(&l->out, PEER_HEADER_SIZE + PART_BYTES);
    size_t start = peer_frame_begin(&l->out, &part);
    take_from_bulk(l, l->bulk_left < PART_BYTES ? l->bulk_left : PART_BYTES);
    peer_frame_end(&l->out, start);
    l->bytes_out += l->out.len;
    l->sent_ms = uv_now(l->pn->loop);
    send_later(l, 0);
}

static void shutdown_cb(uv_shutdown_t *shutdown, int status) {
    struct link *l = shutdown->data;
    CHECK(l->magic == LINK_MAGIC);
    if (status < 0) link_close(l, 0, "%s", uv_strerror(status));
}

static void shut(struct link *l) {
    l->is_shut = true;
    l->shutdown.data = l;
    int rc = uv_shutdown(&l->shutdown, (uv_stream_t *)&l->tcp, shutdown_cb);
    if (rc != 0) link_close(l, 0, "%s", uv_strerror(rc));
}

static bool is_connected(const struct link *l) {
    return l->state != LINK_RESOLVING && l->state != LINK_CONNECTING && l->state != LINK_CLOSING;
}

void link_flush(struct link *l) {
    list_unlink(&l->flush_link);
    if (!is_connected(l) || l->is_sending) return;
    if (link_bulk_left(l) > 0 && !l->is_shut) {
        send_part(l);
    } else if (l->out.len > 0 && !l->is_shut) {
        uv_buf_t part = {.base = l->out.data, .len = l->out.len < INT32_MAX ? l->out.len : INT32_MAX};
        int n = uv_try_write((uv_stream_t *)&l->tcp, &part, 1);
        if (n < 0 && n != UV_EAGAIN) {
            link_close(l, 0, "%s", uv_strerror(n));
            return;
        }
        size_t sent = n > 0 ? (size_t)n : 0;
        l->sent_ms = uv_now(l->pn->loop);
        l->bytes_out += l->out.len;
        if (sent < l->out.len)
            send_later(l, sent);
        else
            give_back(l, &l->out);
    }
    if (l->state == LINK_CLOSING) return;
    bool is_empty = !l->is_sending && l->out.len == 0 && l->early.len == 0;
    bool is_time = l->state == LINK_UP || l->is_finishing;
    if (l->wants_shutdown && is_time && is_empty && !l->is_shut) shut(l);
}

void link_shutdown(struct link *l) {
    if (l->state == LINK_CLOSING) return;
    l->wants_shutdown = true;
    if (l->is_finishing) buf_free(&l->early); /* it will never be up */
    link_flush(l);
}

/* --- input --- */

/* A pause is for what comes after the handshake. */
static bool holds_back(const struct link *l) {
    return l->is_paused && l->state == LINK_UP && !l->is_finishing;
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct link *l = handle->data;
    if (l->in.len == 0 && !l->pn->scratch_busy) {
        l->pn->scratch_busy = true;
        *out = uv_buf_init(l->pn->scratch, READ_SIZE);
        return;
    }
    size_t want = l->wanted > l->in.len ? l->wanted - l->in.len : 0;
    if (want < READ_SIZE) want = READ_SIZE;
    if (want > READ_SIZE_MAX) want = READ_SIZE_MAX;
    buf_expect(&l->in, want, l->wanted);
    *out = uv_buf_init(buf_tail(&l->in), (unsigned)want);
}

static void bad_frame(struct link *l) {
    link_close(l, PEER_UNEXPECTED, "what it sent is no frame of ours, or is longer than is allowed");
}

/* Hands out every whole frame in `input`; how much of it is done with. */
static size_t process(struct link *l, struct slice input) {
    size_t done = 0;
    while (done < input.len && !holds_back(l)) {
        if (l->state == LINK_CLOSING || l->is_finishing) return input.len;
        struct slice rest = slice_make(input.data + done, input.len - done);
        if (l->state == LINK_UP && l->ops->bytes != NULL) {
            l->ops->bytes(l, rest);
            return input.len;
        }
        struct peer_frame frame;
        size_t size = 0, bytes_max = l->state == LINK_UP ? l->pn->frame_bytes_max : PEER_HELLO_FRAME_MAX;
        enum rc rc = peer_frame_read(rest, bytes_max, &frame, &size);
        if (rc == RC_INVALID) {
            bad_frame(l);
            return input.len;
        }
        l->wanted = rc == RC_NOT_FOUND ? size : 0;
        if (rc == RC_NOT_FOUND) break;
        done += size;
        l->frames_in++;
        l->rest = slice_make(rest.data + size, rest.len - size);
        if (l->state == LINK_UP)
            l->ops->frame(l, &frame);
        else
            greeting_frame(l, &frame, slice_make(rest.data, size));
    }
    return done;
}

static void process_kept(struct link *l) {
    if (l->in.len < l->wanted) return;
    struct buf in = l->in; /* link_finish frees l->in, and it may be called from within */
    l->in = (struct buf){0};
    buf_drop(&in, process(l, buf_slice(&in)));
    if (in.len == 0 && in.cap > KEEP_INPUT_MAX)
        buf_free(&in);
    else
        l->in = in;
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct link *l = stream->data;
    CHECK(l->magic == LINK_MAGIC);
    bool from_scratch = buf->base == l->pn->scratch;
    if (n <= 0) {
        if (from_scratch) l->pn->scratch_busy = false;
        if (n < 0) link_close(l, 0, "%s", n == UV_EOF ? "closed by the other side" : uv_strerror((int)n));
        return;
    }
    l->bytes_in += (uint64_t)n;
    l->heard_ms = uv_now(l->pn->loop);
    if (from_scratch) {
        size_t done = process(l, slice_make(buf->base, (size_t)n));
        if (l->state != LINK_CLOSING && !l->is_finishing) buf_add(&l->in, buf->base + done, (size_t)n - done);
        l->pn->scratch_busy = false;
    } else {
        l->in.len += (size_t)n;
        process_kept(l);
    }
}

static void start_reading(struct link *l) {
    if (l->is_reading || holds_back(l) || !is_connected(l)) return;
    int rc = uv_read_start((uv_stream_t *)&l->tcp, alloc_cb, read_cb);
    l->is_reading = rc == 0;
    if (rc != 0) link_close(l, 0, "%s", uv_strerror(rc));
}

void link_pause(struct link *l) {
    l->is_paused = true;
    if (!holds_back(l) || !l->is_reading) return;
    uv_read_stop((uv_stream_t *)&l->tcp);
    l->is_reading = false;
}

static void kick_cb(uv_timer_t *timer) {
    struct link *l = timer->data;
    if (l->state != LINK_UP || l->is_paused) return;
    process_kept(l);
    start_reading(l);
}

/* What was read before the pause and not handed out is handed out from the loop, not from within this call. */
void link_resume(struct link *l) {
    if (!l->is_paused) return;
    l->is_paused = false;
    if (l->state == LINK_UP && l->in.len > 0 && !l->is_finishing)
        uv_timer_start(&l->timer, kick_cb, 0, 0);
    else
        start_reading(l);
}

/* --- the beginning --- */

static struct link *link_new(struct peer_net *pn) {
    struct link *l = mem_calloc(1, sizeof *l);
    l->magic = LINK_MAGIC;
    l->pn = pn;
    list_init(&l->link);
    list_init(&l->flush_link);
    list_init(&l->bulk);
    CHECK(uv_tcp_init(pn->loop, &l->tcp) == 0);
    CHECK(uv_timer_init(pn->loop, &l->timer) == 0);
    l->tcp.data = l->timer.data = l->resolve.data = l->connect.data = l;
    l->handles_open = 2;
    l->heard_ms = uv_now(pn->loop);
    pn->links_open++;
    return l;
}

static void set_options(struct link *l) {
    uv_os_fd_t fd = -1;
    int interval = KEEPALIVE_INTERVAL_SECONDS, count = KEEPALIVE_COUNT;
    uv_tcp_nodelay(&l->tcp, 1);
    uv_tcp_keepalive(&l->tcp, 1, KEEPALIVE_SECONDS);
    if (uv_fileno((uv_handle_t *)&l->tcp, &fd) != 0) return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

/* Only where the other side always reads: the kernel would also end a connection whose reader pauses for so long. */
static void notice_silence(struct link *l) {
    uv_os_fd_t fd = -1;
    unsigned unacknowledged_ms = UNACKNOWLEDGED_MS;
    if (l->ops->kind == PEER_LINK_RAFT && uv_fileno((uv_handle_t *)&l->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
}

/* A reader that pauses answers the kernel's probes all the same; a machine that is gone answers nothing. */
void link_watch(struct link *l) {
    uv_os_fd_t fd = -1;
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (l->state != LINK_UP || l->ops->kind == PEER_LINK_RAFT) return;
    if (link_unsent(l) == 0 && l->heard_ms > l->sent_ms) return; /* it has answered since */
    if (uv_fileno((uv_handle_t *)&l->tcp, &fd) != 0) return;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) return;
    if (info.tcpi_retransmits >= RETRANSMITS_MAX || info.tcpi_probes >= PROBES_MAX)
        link_close(l, 0, "its machine does not answer");
}

static void timeout_cb(uv_timer_t *timer) {
    struct link *l = timer->data;
    if (is_stranger(l))
        link_close(l, COMPLAINT_SILENT, "it does not say who it is");
    else if (l->state == LINK_UP)
        link_close(l, 0, "no answer in time");
    else
        link_close(l, 0, "%s", l->state == LINK_GREETING ? "silent in the handshake" : "cannot be reached");
}

static void connect_cb(uv_connect_t *connect, int status) {
    struct link *l = connect->data;
    CHECK(l->magic == LINK_MAGIC);
    if (l->state == LINK_CLOSING) return;
    if (status < 0) {
        link_close(l, 0, "%s", uv_strerror(status));
        return;
    }
    set_options(l);
    l->state = LINK_GREETING;
    greeting_begin(l);
    start_reading(l);
}

static void connect_to(struct link *l, const struct sockaddr *addr) {
    l->state = LINK_CONNECTING;
    int rc = uv_tcp_connect(&l->connect, &l->tcp, addr, connect_cb);
    if (rc != 0) link_close(l, 0, "%s", uv_strerror(rc));
}

static void resolved_cb(uv_getaddrinfo_t *resolve, int status, struct addrinfo *info) {
    struct link *l = resolve->data;
    CHECK(l->magic == LINK_MAGIC);
    l->is_resolving = false;
    if (l->state == LINK_CLOSING) {
        if (l->handles_open == 0) link_free(l);
    } else if (status < 0) {
        link_close(l, 0, "its name cannot be resolved: %s", uv_strerror(status));
    } else {
        connect_to(l, info->ai_addr);
    }
    uv_freeaddrinfo(info);
}

static void resolve(struct link *l) {
    char host[RAFT_ADDRESS_CAP], service[8];
    int port, peer_port;
    struct sockaddr_storage addr;
    if (!peer_address_parse(l->address, host, sizeof host, &port, &peer_port)) {
        link_close(l, 0, "\"%s\" is no address", l->address);
        return;
    }
    if (uv_ip4_addr(host, peer_port, (struct sockaddr_in *)(void *)&addr) == 0 ||
        uv_ip6_addr(host, peer_port, (struct sockaddr_in6 *)(void *)&addr) == 0) {
        connect_to(l, (const struct sockaddr *)&addr);
        return;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    snprintf(service, sizeof service, "%d", peer_port);
    int rc = uv_getaddrinfo(l->pn->loop, &l->resolve, resolved_cb, host, service, &hints);
    l->is_resolving = rc == 0;
    if (rc != 0) link_close(l, 0, "%s", uv_strerror(rc));
}

/* The client's names have to outlive the call: the HELLO is written when the connection is there. A client may call itself
 * what it likes, but not for so long that the HELLO would be refused. */
static void keep_client(struct link *l, const struct peer_client *client) {
    struct peer_client *c = &l->hello.client;
    struct {
        struct slice *text;
        size_t len_max;
    } parts[] = {{&c->address, PEER_CLIENT_ADDRESS_MAX},
                 {&c->local_address, PEER_CLIENT_ADDRESS_MAX},
                 {&c->name, PEER_NAME_MAX},
                 {&c->lib_name, PEER_NAME_MAX},
                 {&c->lib_version, PEER_NAME_MAX},
                 {&c->user, PEER_NAME_MAX}};
    *c = *client;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].text->len > parts[i].len_max) parts[i].text->len = parts[i].len_max;
        buf_add_slice(&l->transcript, *parts[i].text);
    }
    size_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        parts[i].text->data = l->transcript.data + at;
        at += parts[i].text->len;
    }
}

struct link *link_open(struct peer_net *pn, const struct link_ops *ops, void *owner,
                       const struct link_target *target) {
    struct link *l = link_new(pn);
    l->ops = ops;
    l->owner = owner;
    l->is_initiator = true;
    l->peer_id = target->id;
    l->state = LINK_RESOLVING;
    snprintf(l->address, sizeof l->address, "%s", target->address);
    if (target->client != NULL) keep_client(l, target->client);
    list_push_back(&pn->links, &l->link);
    uv_timer_start(&l->timer, timeout_cb, target->timeout_ms, 0);
    if (pn->closing)
        link_close(l, 0, "stopping");
    else
        resolve(l);
    return l;
}

struct link *link_new_stranger(struct peer_net *pn) {
    struct link *l = link_new(pn);
    l->state = LINK_STRANGER;
    list_push_back(&pn->strangers, &l->link);
    pn->stranger_count++;
    return l;
}

void link_start_stranger(struct link *l) {
    struct sockaddr_storage addr;
    int len = sizeof addr;
    if (uv_tcp_getpeername(&l->tcp, (struct sockaddr *)&addr, &len) == 0)
        net_name_address(&addr, l->address, sizeof l->address);
    set_options(l);
    uv_timer_start(&l->timer, timeout_cb, l->pn->greeting_ms, 0);
    start_reading(l);
}

void link_rise(struct link *l) {
    CHECK(l->state != LINK_CLOSING);
    if (is_stranger(l)) {
        l->pn->stranger_count--;
        l->pn->accepted_count++;
        list_unlink(&l->link);
        list_push_back(&l->pn->links, &l->link);
    }
    l->state = LINK_UP;
    notice_silence(l);
    if (!l->ops->is_timed_whole) uv_timer_stop(&l->timer);
    buf_add_slice(&l->out, buf_slice(&l->early));
    buf_free(&l->early);
    if (l->is_paused) link_pause(l);
    if (l->ops->up != NULL && l->owner != NULL) l->ops->up(l);
    link_flush(l);
}

struct peer_frame link_header(const struct link *l, uint64_t term) {
    return (struct peer_frame){
        .origin = l->pn->origin, .source = l->pn->id, .target = l->peer_id, .term = term};
}
