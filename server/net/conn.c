/* One client connection: reading, parsing, holding back, writing, closing. See net.h for the states. */
#include "net_internal.h"

#include "config.h"
#include "mem.h"
#include "server.h"

#include <stdio.h>

enum {
    READ_SIZE = 64 * 1024,
    READ_AT_ONCE_MAX = 512 * 1024,
    ENTRY_ROOM =
        64, /* behind a large command: a few bytes more, and it is an entry of the log (conn_input) */
    KEEP_BUFFER_MAX = 32 * 1024,
    TRY_WRITE_MAX = 1 << 20,
};

static void conn_free_if_done(struct conn *c) {
    if (!c->handle_closed || c->pending > 0) return;
    CHECK(list_empty(&c->flush_link));
    CHECK(list_empty(&c->held_link));
    resp_parser_free(&c->parser);
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->sending);
    c->magic = 0;
    mem_free(c);
}

static void close_cb(uv_handle_t *handle) {
    struct conn *c = handle->data;
    CHECK(c->magic == CONN_MAGIC);
    c->handle_closed = true;
    c->net->conn_count--;
    conn_free_if_done(c);
}

void conn_close(struct conn *c) {
    if (c->closing) return;
    c->closing = true;
    conn_measure(c);
    list_unlink(&c->flush_link);
    list_unlink(&c->held_link);
    c->net->handler.closed(c->net->handler.arg, c);
    uv_close(&c->uv.handle, close_cb);
}

static void stop_reading(struct conn *c) {
    if (!c->is_reading) return;
    c->is_reading = false;
    uv_read_stop(&c->uv.stream);
}

static void close_if_drained(struct conn *c) {
    if (c->draining && c->pending == 0 && c->out.len == 0 && !c->is_sending) conn_close(c);
}

void conn_drain(struct conn *c) {
    if (c->closing) return;
    c->draining = true;
    list_unlink(&c->held_link);
    stop_reading(c);
    conn_touch(c); /* the flush looks whether it can close */
}

void conn_let_go(struct conn *c) {
    CHECK(c->pending > 0);
    c->pending--;
    if (c->closing)
        conn_free_if_done(c);
    else if (c->pending == 0 || !c->is_reading)
        conn_touch(c); /* the flush sees whether it may read on, or close */
}

/* --- input --- */

static bool is_full(const struct conn *c) {
    return c->pending >= CONN_PENDING_MAX ||
           c->out.len + c->sending.len - c->sending_from >= CONN_OUTPUT_PAUSE;
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct conn *c = handle->data;
    if (c->in.len == 0 && !c->net->scratch_busy) {
        c->net->scratch_busy = true;
        *out = uv_buf_init(c->net->scratch, READ_SIZE);
        return;
    }
    size_t want = c->parser.wanted > c->in.len ? c->parser.wanted - c->in.len : 0;
    /* The end of a large argument is read as it is: room for more would double what it takes. */
    if (want == 0 || (want < READ_SIZE && c->in.len < READ_SIZE)) want = READ_SIZE;
    if (want > 4 << 20)
        want = 4 << 20; /* a client that announces a gigabyte has to send it before we believe it */
    buf_expect(&c->in, want, c->parser.wanted + ENTRY_ROOM);
    /* libuv reads up to 32 times before it looks at anybody else, as long as there is so much. */
    size_t room = c->in.cap - c->in.len;
    *out = uv_buf_init(buf_tail(&c->in), (unsigned)(room < READ_AT_ONCE_MAX ? room : READ_AT_ONCE_MAX));
}

/* Ahead of the answers to what was right before it, the error would be taken for one of them. */
static void protocol_error(struct conn *c) {
    c->owes_error = c->session.reply_mode == SESSION_REPLY_ON;
    conn_drain(c);
}

static void say_error(struct conn *c) {
    char line[256];
    snprintf(line, sizeof line, "-ERR %s\r\n", c->parser.error);
    buf_add_str(&c->out, line);
    c->owes_error = false;
}

/* Who has not said the password yet may not make the server hold much for him. */
static void limit(const struct conn *c, struct resp_limits *limits) {
    enum { UNAUTHENTICATED_ARG_COUNT_MAX = 10 };
    limits->authenticated = c->session.authenticated || !net_needs_password(c->net);
    limits->arg_count_max = limits->authenticated ? INT32_MAX : UNAUTHENTICATED_ARG_COUNT_MAX;
}

/* A single command has nobody ahead of it to wait for. */
static size_t look_ahead(const struct conn *c, struct slice input) {
    enum { LONELY_LEN = 128 };
    const struct net_handler *h = &c->net->handler;
    return h->coming != NULL && input.len >= LONELY_LEN ? h->coming(h->arg, c, input) : SIZE_MAX;
}

/* Offers the handler every whole command in `input`; returns how much of it is done with. */
static size_t process(struct conn *c, struct slice input) {
    size_t done = 0,
           looked_at = c->parser.pos > 0 ? 1 : 0; /* commands ahead that need no look: one half understood */
    struct resp_limits limits = {.bulk_len_max = c->net->config->proto_max_bulk_len,
                                 .unauthenticated_bulk_len_max = 16384};
    while (done < input.len && !c->draining && !c->closing) {
        if (is_full(c)) {
            stop_reading(c);
            break;
        }
        if (looked_at-- == 0) looked_at = look_ahead(c, slice_make(input.data + done, input.len - done));
        size_t consumed = 0;
        limit(c, &limits);
        enum resp_status status =
            resp_parse(&c->parser, &limits, slice_make(input.data + done, input.len - done), &consumed);
        if (status == RESP_MORE) {
            done += consumed;
            break;
        }
        if (status == RESP_ERROR) {
            protocol_error(c);
            return input.len;
        }
        enum conn_verdict verdict = CONN_NEXT;
        c->is_at_end = input.data == c->in.data && done + consumed == c->in.len;
        c->command_at = done;
        if (c->parser.argc > 0)
            verdict = c->net->handler.command(c->net->handler.arg, c, c->parser.argc, c->parser.argv);
        if (verdict == CONN_PARK || verdict == CONN_BLOCK) {
            c->parked = true;
            if (verdict == CONN_BLOCK) done += consumed;
            break;
        }
        if (verdict == CONN_HOLD) {
            if (list_empty(&c->held_link)) list_push_back(&c->net->held, &c->held_link);
            stop_reading(c);
            break;
        }
        done += consumed;
    }
    return done;
}

struct buf *conn_input(struct conn *c) {
    CHECK(c->in_process);
    return c->is_at_end ? &c->in : NULL;
}

/* The handler may have taken it. */
static void drop_input(struct conn *c, size_t done) {
    if (c->in.len > 0) buf_drop(&c->in, done);
}

static bool waits(const struct conn *c) {
    return c->parked || !list_empty(&c->held_link);
}

static void process_kept(struct conn *c) {
    if (c->in_process || c->parked) return;
    c->in_process = true;
    drop_input(c, process(c, buf_slice(&c->in)));
    c->in_process = false;
    if (c->in.len == 0 && c->in.cap > KEEP_BUFFER_MAX) buf_free(&c->in);
    if (c->ended && !c->closing && !waits(c) && !is_full(c)) conn_drain(c);
}

void conn_unread(struct conn *c, struct slice requests) {
    CHECK(!c->in_process);
    CHECK(!c->closing);
    struct buf in = {0};
    buf_add_slice(&in, requests);
    buf_add_slice(&in, buf_slice(&c->in));
    buf_free(&c->in);
    c->in = in;
    resp_parser_free(&c->parser); /* what it had begun it finds again */
    resp_parser_init(&c->parser);
    if (waits(c)) return;
    list_push_back(&c->net->held, &c->held_link);
    stop_reading(c);
}

static void process_covered(struct conn *c) {
    c->in_process = c->confirmed = true;
    drop_input(c, process(c, slice_make(c->in.data, c->covered)));
    c->in_process = c->confirmed = false;
}

void conn_unpark(struct conn *c, bool confirmed) {
    CHECK(c->parked);
    CHECK(c->covered <= c->in.len);
    c->parked = false;
    if (confirmed) process_covered(c);
    c->covered = 0;
    if (c->closing) return;
    conn_resume(c);
}

void conn_close_with_reason(struct conn *c, const char *reason) {
    char line[160];
    snprintf(line, sizeof line, "closing client %s: %s", c->session.peer, reason);
    c->net->handler.log(c->net->handler.arg, line);
    conn_close(c);
}

size_t conn_unsent(const struct conn *c) {
    return c->out.len + uv_stream_get_write_queue_size(&c->uv.stream);
}

static const struct output_limit *limit_of(const struct conn *c) {
    int class = subscriptions_any(&c->session.subscriptions) ? OUTPUT_PUBSUB : OUTPUT_NORMAL;
    if (c->copy != NULL) class = OUTPUT_REPLICA;
    return &c->net->config->output_limits[class];
}

static bool is_over_limit(const struct conn *c) {
    int64_t limit = limit_of(c)->hard;
    return limit > 0 && conn_unsent(c) >= (uint64_t)limit;
}

/* Before the turn's other commands: who asks next should not see it any more. */
static void close_if_over_limit(struct conn *c) {
    if (!c->closing && is_over_limit(c))
        conn_close_with_reason(c, "its output exceeds client-output-buffer-limit");
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct conn *c = stream->data;
    CHECK(c->magic == CONN_MAGIC);
    bool from_scratch = buf->base == c->net->scratch;
    if (n < 0) {
        if (from_scratch) c->net->scratch_busy = false;
        if (n != UV_EOF || c->closes_at_eof) {
            conn_close(c);
        } else if (waits(c)) { /* half-closed: what it asked is still answered */
            c->ended = true;
            stop_reading(c);
        } else {
            conn_drain(c);
        }
        return;
    }
    c->net->bytes_in += (uint64_t)n;
    c->net->reads++;
    if (n > 0) c->active_ms = uv_now(c->net->loop);
    if (from_scratch) {
        size_t done = 0;
        if (!c->parked) {
            c->in_process = true;
            done = process(c, slice_make(buf->base, (size_t)n));
            c->in_process = false;
        }
        if (!c->closing) buf_add(&c->in, buf->base + done, (size_t)n - done);
        c->net->scratch_busy = false;
    } else {
        c->in.len += (size_t)n;
        process_kept(c);
    }
    if ((int64_t)c->in.len > c->net->config->client_query_buffer_limit && !c->closing) {
        conn_close_with_reason(c, "its input exceeds client-query-buffer-limit");
    }
    close_if_over_limit(c);
    conn_measure(c);
    net_evict_clients(c->net);
}

void conn_take(struct conn *c, struct slice bytes) {
    buf_add_slice(&c->in, bytes);
    c->net->bytes_in += bytes.len;
    if (bytes.len > 0) process_kept(c);
    conn_measure(c);
}

static void start_reading(struct conn *c) {
    if (c->is_reading || c->ended || c->draining || c->closing) return;
    c->is_reading = uv_read_start(&c->uv.stream, alloc_cb, read_cb) == 0;
    if (!c->is_reading) conn_close(c);
}

void conn_resume(struct conn *c) {
    if (c->draining || c->closing || c->parked) return;
    if (is_full(c)) {
        stop_reading(c); /* a flush goes on only with those who do not read */
        return;
    }
    process_kept(c);
    if (list_empty(&c->held_link) && !is_full(c)) start_reading(c);
}

/* --- output --- */

static void write_cb(uv_write_t *write, int status) {
    struct conn *c = write->data;
    CHECK(c->magic == CONN_MAGIC);
    c->is_sending = false;
    c->active_ms = uv_now(c->net->loop);
    if (c->sending.cap > KEEP_BUFFER_MAX)
        buf_free(&c->sending);
    else
        buf_clear(&c->sending);
    c->sending_from = 0;
    if (c->closing) return;
    if (status < 0)
        conn_close(c);
    else
        conn_touch(c);
}

/* The socket is full: libuv waits for it with what is left. */
static void send_later(struct conn *c, size_t sent) {
    struct buf empty = c->sending;
    c->sending = c->out;
    c->out = empty;
    c->sending_from = sent;
    /* uv_buf_init would cut it at 4 GB. */
    uv_buf_t part = {.base = c->sending.data + sent, .len = c->sending.len - sent};
    c->is_sending = true;
    c->write.data = c;
    if (uv_write(&c->write, &c->uv.stream, &part, 1, write_cb) != 0) {
        c->is_sending = false;
        conn_close(c);
    }
}

void conn_push(struct conn *c, struct slice bytes) {
    if (c->closing || c->draining) return;
    if (!is_over_limit(c)) buf_add_slice(&c->out, bytes);
    conn_touch(c);
}

/* Who listens may hear nothing for long. */
static bool may_be_idle(const struct conn *c) {
    return c->pending > 0 || waits(c) || subscriptions_any(&c->session.subscriptions);
}

static void close_if_idle(struct conn *c) {
    uint64_t timeout_ms = (uint64_t)c->net->config->timeout * 1000, now = uv_now(c->net->loop);
    size_t unsent = conn_unsent(c);
    if (unsent != c->unsent_seen) c->active_ms = now; /* a large reply is on its way, slowly */
    c->unsent_seen = unsent;
    if (timeout_ms == 0 || may_be_idle(c)) return;
    if (now - c->active_ms > timeout_ms) conn_close(c);
}

static void watch_soft_limit(struct conn *c) {
    const struct output_limit *limit = limit_of(c);
    if (limit->soft == 0 || conn_unsent(c) < (uint64_t)limit->soft)
        c->over_soft_ms = 0;
    else if (c->over_soft_ms == 0)
        c->over_soft_ms = uv_now(c->net->loop);
}

static void close_if_behind(struct conn *c) {
    watch_soft_limit(c);
    uint64_t patience_ms = (uint64_t)limit_of(c)->soft_seconds * 1000;
    if (c->over_soft_ms != 0 && uv_now(c->net->loop) - c->over_soft_ms > patience_ms)
        conn_close_with_reason(c, "its output stays above the soft client-output-buffer-limit");
}

void conn_look_after(struct conn *c) {
    close_if_idle(c);
    if (!c->closing) close_if_behind(c);
}

const struct buf *conn_ready_to_send(const struct conn *c) {
    bool may = c->out.len > 0 && !c->is_sending && !c->owes_error && !c->closing && !is_over_limit(c);
    return may ? &c->out : NULL;
}

static ssize_t send_now(struct conn *c) {
    if (c->is_written) {
        c->is_written = false;
        return c->written;
    }
    uv_buf_t part = {.base = c->out.data, .len = c->out.len < INT32_MAX ? c->out.len : INT32_MAX};
    return uv_try_write(&c->uv.stream, &part, 1);
}

void conn_flush(struct conn *c) {
    conn_note_peak(c);
    if (c->owes_error && c->pending == 0) say_error(c);
    close_if_over_limit(c);
    if (c->closing) return;
    if (c->out.len > 0 && !c->is_sending) {
        ssize_t n = send_now(c);
        if (n < 0 && n != UV_EAGAIN) {
            conn_close(c);
            return;
        }
        size_t sent = n > 0 ? (size_t)n : 0;
        c->net->bytes_out += c->out.len;
        c->net->writes++;
        if (sent < c->out.len)
            send_later(c, sent);
        else if (c->out.cap > KEEP_BUFFER_MAX)
            buf_free(&c->out);
        else
            buf_clear(&c->out);
    }
    if (c->closing) return;
    watch_soft_limit(c);
    if (c->forward != NULL) c->net->handler.flushed(c->net->handler.arg, c);
    close_if_drained(c);
    if (!c->closing && !c->is_reading && !waits(c)) conn_resume(c);
    conn_measure(c);
}

/* --- beginning --- */

struct conn *conn_new(struct net *net) {
    struct conn *c = mem_calloc(1, sizeof *c);
    c->magic = CONN_MAGIC;
    c->net = net;
    list_init(&c->flush_link);
    list_init(&c->held_link);
    list_init(&c->session.link);
    resp_parser_init(&c->parser);
    net->conn_count++;
    return c;
}

void conn_start(struct conn *c) {
    c->active_ms = uv_now(c->net->loop);
    c->net->handler.opened(c->net->handler.arg, c);
    if (!c->closing) start_reading(c);
}

void conn_abandon(struct conn *c) {
    c->closing = true;
    uv_close(&c->uv.handle, close_cb);
}
