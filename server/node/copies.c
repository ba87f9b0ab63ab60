/* Copies of the data as RDB files, for clients that ask by SYNC (redis-cli --rdb). A thread reads the state database and writes the
 * file (storage/rdb_export.h); here it goes into the connection's output, never more at once than COPY_UNSENT_MAX, so that who
 * reads slowly holds up nobody but himself.
 *
 *    WAITING --what was applied when it was asked for is stored--> MEASURING --length known--> SENDING --end--> drained, gone
 *       | it cannot be stored: an error, gone                       (only for who takes no mark at the end)
 *
 * Who wants to hear of what is written from then on (cmd/feed.h) is told of it from the entry on that the copy is of: it is attached
 * when the write-back begins which makes that the stored state, and when something else is stored after all, again. What it
 * is told meanwhile is held until the copy has gone; then the connection stays (FEEDING).
 *
 * The client is gone, or reads nothing for repl-timeout: its thread ends by itself, and is looked after here until then. */
#include "node_internal.h"

#include "libraries.h"
#include "mem.h"
#include "rdb_export.h"

#include <stdio.h>

enum { COPY_UNSENT_MAX = 512 << 10, HELD_MAX = 256 << 20, MARK_LEN = 40 };

struct copy {
    struct list link;
    struct conn *conn; /* NULL: it is gone, only the thread is left */
    enum { WAITING, MEASURING, SENDING, FEEDING } phase;
    bool is_followed;   /* by what is written from then on: */
    uint64_t fed_index; /* that comes behind this entry; 0: it is not attached yet */
    struct buf held;    /* what came of that, until it may go: HELD_MAX, or the copy is broken off */
    uint64_t wanted_index;
    struct rdb_export *export; /* from MEASURING on */
    char mark[MARK_LEN];       /* behind the file, when there is no length in front of it */
    uint64_t sent, since_ms;   /* when the client last took something */
    size_t unsent_seen;
};

static size_t copy_count(const struct node *n) {
    size_t count = 0;
    LIST_FOR_EACH(it, &n->copies) count += container_of(it, struct copy, link)->phase != FEEDING;
    return count;
}

enum rc node_begin_copy(struct node *n, struct conn *c) {
    CHECK(c->copy == NULL);
    if (copy_count(n) >= COPIES_MAX) return RC_BUSY;
    struct copy *copy = mem_calloc(1, sizeof *copy);
    copy->conn = c;
    copy->wanted_index = ks_applied(n->ks).index;
    copy->since_ms = mono_now_ms();
    copy->is_followed = !c->session.wishes.no_feed;
    list_push_back(&n->copies, &copy->link);
    c->copy = copy;
    c->blocked = true; /* nothing behind it is ever parsed, but for an error */
    c->pending++;
    return RC_OK;
}

static void copy_free(struct copy *copy) {
    list_unlink(&copy->link);
    if (copy->export != NULL) rdb_export_free(copy->export);
    buf_free(&copy->held);
    mem_free(copy);
}

/* The connection is not this copy's any more. */
static struct conn *leave_conn(struct copy *copy) {
    struct conn *c = copy->conn;
    c->copy = NULL;
    copy->conn = NULL;
    c->blocked = false;
    if (copy->export != NULL) rdb_export_give_up(copy->export);
    return c;
}

void node_forget_copy(struct conn *c) {
    if (c->copy == NULL) return;
    leave_conn(c->copy);
    c->pending--; /* the connection is closing, and its end looks at what is left */
}

static void refuse(struct node *n, struct copy *copy, const char *error) {
    struct conn *c = leave_conn(copy);
    struct reply reply;
    feed_detach(&n->server, &c->session);
    reply_init(&reply, &c->out, c->session.resp);
    reply_error(&reply, error);
    stats_error(&n->server.stats, reply.error_code);
    conn_touch(c);
    conn_let_go(c);
}

/* Once a byte of it was sent, an error would be taken for data. */
static void break_off(struct copy *copy, const char *why) {
    char reason[128];
    snprintf(reason, sizeof reason, "its copy of the data breaks off: %.90s", why);
    conn_close_with_reason(copy->conn, reason); /* which leaves it to node_forget_copy */
}

static void fail(struct node *n, struct copy *copy, enum rc rc, const char *why) {
    node_log("A copy of the data cannot be made (%s): %s", rc_name(rc), why);
    if (copy->phase == SENDING)
        break_off(copy, why);
    else
        refuse(n, copy, "ERR the copy of the data cannot be made: the log of the server says why");
}

/* --- what follows the copy --- */

static bool is_fed_from(const struct copy *copy, uint64_t index) {
    return copy->fed_index != 0 && copy->fed_index == index;
}

static void attach(struct node *n, struct copy *copy) {
    struct session *session = &copy->conn->session;
    feed_detach(&n->server, session);
    buf_clear(&copy->held);
    copy->fed_index = ks_applied(n->ks).index;
    feed_attach(&n->server, session);
}

bool node_hold_for_copy(struct conn *c, struct slice bytes) {
    if (c->copy == NULL || c->copy->phase == FEEDING) return false;
    buf_add_slice(&c->copy->held, bytes);
    return true;
}

/* --- the head --- */

static void begin_sending(struct node *n, struct copy *copy, uint64_t length) {
    struct conn *c = copy->conn;
    if (c->session.wishes.takes_mark) {
        static const char digits[] = "0123456789abcdef";
        uint8_t random[MARK_LEN / 2];
        n->host.secret(&n->host, random, sizeof random);
        for (size_t i = 0; i < MARK_LEN; i++)
            copy->mark[i] = digits[random[i / 2] >> (i % 2 != 0 ? 0 : 4) & 15];
        buf_printf(&c->out, "$EOF:%.*s\r\n", MARK_LEN, copy->mark);
    } else {
        buf_printf(&c->out, "$%llu\r\n", (unsigned long long)length);
    }
    copy->phase = SENDING;
    copy->since_ms = mono_now_ms();
    node_log("Sending client %s a copy of the data, as of entry %llu", c->session.peer,
             (unsigned long long)rdb_export_index(copy->export));
}

static void begin_reading(struct node *n, struct copy *copy) {
    const struct copy_wishes *w = &copy->conn->session.wishes;
    struct kv_error error = {.text = "nothing is stored"};
    struct ks_stats stats;
    ks_stats(n->ks, &stats);
    struct rdb_export_options options = {
        .data = !w->no_data,
        .functions = !w->no_functions,
        .is_measured = !w->takes_mark,
        .version = REDIS_COMPATIBLE_VERSION,
        .now_s = node_now_ms(n) / 1000,
        .used_memory_bytes = stats.memory_bytes,
        .library_code = library_code,
        .wake = node_wake,
        .wake_arg = n,
    };
    enum rc rc = rdb_export_start(n->ks, &options, &copy->export, &error);
    if (rc != RC_OK)
        fail(n, copy, rc, error.text);
    else if (options.is_measured)
        copy->phase = MEASURING;
    else
        begin_sending(n, copy, 0);
}

/* What is newer than the state database is only in memory and in the log. */
static void wait_for_state(struct node *n, struct copy *copy) {
    struct writeback_stats wb;
    if (n->ks == NULL || node_is_in_the_middle(n)) return;
    uint64_t stored = ks_stored(n->ks).index;
    if (copy->is_followed && stored == ks_applied(n->ks).index && !is_fed_from(copy, stored)) attach(n, copy);
    if (copy->is_followed ? is_fed_from(copy, stored) : stored >= copy->wanted_index) {
        begin_reading(n, copy);
        return;
    }
    ks_writeback_stats(n->ks, &wb);
    if (wb.failing) {
        refuse(n, copy, "MISCONF the data cannot be written back now, so there can be no copy of it");
    } else if (!ks_writeback_running(n->ks)) {
        if (copy->is_followed) attach(n, copy);
        ks_writeback_begin(n->ks);
    }
}

static void look_at_length(struct node *n, struct copy *copy) {
    struct kv_error error = {.text = ""};
    uint64_t length = 0;
    enum rc rc = rdb_export_length(copy->export, &length, &error);
    if (rc == RC_OK)
        begin_sending(n, copy, length);
    else if (rc != RC_BUSY)
        fail(n, copy, rc, error.text);
}

/* --- the rest --- */

static void go_on_feeding(struct copy *copy) {
    struct conn *c = copy->conn;
    node_log("Client %s has been sent its copy of the data (%llu bytes), and is told of what is written from "
             "then on",
             c->session.peer, (unsigned long long)copy->sent);
    copy->phase = FEEDING;
    rdb_export_free(copy->export);
    copy->export = NULL;
    c->session.is_fed_live = true;
    conn_push(c, buf_slice(&copy->held));
    buf_free(&copy->held);
}

static void end_feeding(struct node *n, struct copy *copy) {
    struct conn *c = leave_conn(copy);
    feed_detach(&n->server, &c->session);
    conn_drain(c);
    conn_let_go(c);
}

static void end_copy(struct copy *copy) {
    if (copy->conn->session.wishes.takes_mark) buf_add(&copy->conn->out, copy->mark, MARK_LEN);
    if (copy->is_followed) {
        go_on_feeding(copy);
        return;
    }
    node_log("Client %s has been sent its copy of the data (%llu bytes); its connection ends here",
             copy->conn->session.peer, (unsigned long long)copy->sent);
    struct conn *c = leave_conn(copy);
    conn_drain(c);
    conn_let_go(c);
}

static void send_some(struct node *n, struct copy *copy) {
    struct conn *c = copy->conn;
    struct kv_error error = {.text = ""};
    while (conn_unsent(c) < COPY_UNSENT_MAX) {
        size_t before = c->out.len;
        enum rc rc = rdb_export_take(copy->export, &c->out, &error);
        if (rc == RC_BUSY) return;
        if (rc == RC_NOT_FOUND) {
            end_copy(copy);
            return;
        }
        if (rc != RC_OK) {
            fail(n, copy, rc, error.text);
            return;
        }
        copy->sent += c->out.len - before;
        conn_touch(c);
    }
}

/* Files of the state that compaction has replaced stay on the disk as long as it is read. */
static bool is_too_slow(const struct node *n, struct copy *copy) {
    size_t unsent = conn_unsent(copy->conn);
    if (copy->phase < SENDING || unsent != copy->unsent_seen || unsent == 0) copy->since_ms = mono_now_ms();
    copy->unsent_seen = unsent;
    return mono_now_ms() - copy->since_ms > (uint64_t)n->server.config.repl_timeout * 1000;
}

static void tend(struct node *n, struct copy *copy) {
    if (copy->conn == NULL) {
        if (copy->export == NULL || rdb_export_is_over(copy->export)) copy_free(copy);
        return;
    }
    if (is_too_slow(n, copy)) {
        break_off(copy, "it has read nothing for repl-timeout");
        return;
    }
    if (copy->held.len > HELD_MAX) {
        break_off(copy, "too much was written meanwhile");
        return;
    }
    switch (copy->phase) {
    case WAITING: wait_for_state(n, copy); break;
    case MEASURING: look_at_length(n, copy); break;
    case SENDING: send_some(n, copy); break;
    case FEEDING:
        if (n->stopping) end_feeding(n, copy);
        break;
    }
}

void node_turn_copies(struct node *n) {
    LIST_FOR_EACH_SAFE(it, &n->copies) tend(n, container_of(it, struct copy, link));
}

void node_end_copies(struct node *n) {
    LIST_FOR_EACH_SAFE(it, &n->copies) {
        struct copy *copy = container_of(it, struct copy, link);
        if (copy->conn != NULL && copy->phase >= SENDING)
            break_off(copy, "the state it is of goes");
        else if (copy->conn != NULL)
            refuse(n, copy, "ERR the state of this node goes, and the copy of it with it");
        copy_free(copy);
    }
}
