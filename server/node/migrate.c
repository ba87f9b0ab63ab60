/* MIGRATE under way: the other server is told and heard on a connection of its own (net/outgoing.h), then what it has taken is
 * deleted through the log (cmd/migration.h). The client waits, nobody else does; when it goes, the rest is done all the same.
 *
 *    sent --a line for each, or a failure--> something arrived and is not to stay --> _MIGRATED in the log --applied--> answered
 *                                            nothing did, or COPY -----------------------------------------------> answered
 *
 * Keys that did not arrive for certain are kept, and so is what was written to meanwhile: a digest in the log says so of what comes
 * last, a watch of what came before (the target may be this very server, which is given the value that it has). When this node does
 * not lead any more everything is kept: then keys may be at both places, and the client is told. */
#include "node_internal.h"

#include "mem.h"
#include "migration.h"
#include "outgoing.h"

#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 64 << 10, ERROR_CAP = 512 };

struct moving_key {
    bool arrived;
    struct transaction watch; /* is_dirty: the key was changed since */
};

struct moving {
    struct list link;
    struct node *node;
    struct conn *conn; /* NULL: the client has gone */
    bool silent;       /* CLIENT REPLY */
    struct migration what;
    struct outgoing *there;
    struct buf line;         /* of an answer, as far as it has come */
    size_t lines;            /* answers */
    struct moving_key *keys; /* what.key_count of them */
    size_t arrived_count;
    bool is_void;          /* this node has ceased to lead since */
    bool is_refused;       /* AUTH or SELECT failed: what came behind means nothing */
    char error[ERROR_CAP]; /* "" while there is none */
};

static void forget_keys(struct moving *m) {
    struct node *n = m->node;
    for (size_t i = 0; i < m->what.key_count; i++) watch_forget(&n->server.watches, n->ks, &m->keys[i].watch);
}

static void moving_free(struct moving *m) {
    forget_keys(m);
    list_unlink(&m->link);
    if (m->conn != NULL) m->conn->moving = NULL;
    migration_free(&m->what);
    buf_free(&m->line);
    mem_free(m->keys);
    mem_free(m);
}

static void answer(struct moving *m, const char *error) {
    struct node *n = m->node;
    struct conn *c = m->conn;
    if (c == NULL) return;
    struct reply reply;
    reply_init(&reply, m->silent ? NULL : &c->out, c->session.resp);
    if (error[0] == '\0') {
        reply_ok(&reply);
    } else {
        reply_error(&reply, error);
        stats_error(&n->server.stats, reply.error_code);
    }
    c->moving = NULL;
    c->blocked = false;
    m->conn = NULL;
    conn_touch(c);
    conn_let_go(c);
}

/* --- into the log --- */

static void propose(struct moving *m) {
    struct node *n = m->node;
    struct proposal *p = n->filling;
    struct conn *c = m->conn;
    struct slice *argv = mem_alloc((2 + 2 * m->arrived_count) * sizeof *argv);
    int argc = 0;
    const char *name = m->what.names.data;
    argv[argc++] = SLICE("_migrated");
    argv[argc++] = slice_of(m->error);
    for (size_t i = 0; i < m->what.key_count; i++) {
        const struct migrated_key *key = &m->what.keys[i];
        if (m->keys[i].arrived) {
            bool is_dirty = m->keys[i].watch.is_dirty;
            argv[argc++] = slice_make(name, key->key_len);
            argv[argc++] = slice_make((const char *)&key->digest, is_dirty ? 0 : sizeof key->digest);
        }
        name += key->key_len;
    }
    const struct command *cmd = command_by_name(argv[0]);
    entry_add(&p->payload, (uint8_t)m->what.db, argc, argv);
    if (c != NULL) c->pending--; /* it is the operation's from here on */
    struct op *op = proposal_add_op(p, c, cmd);
    op->silent = m->silent;
    op->waits = c != NULL; /* what its connection sends behind it is parsed when it is applied */
    proposal_wrote(n, p);
    node_watch_written(n, cmd, argc, argv);
    if (c != NULL) c->moving = NULL;
    m->conn = NULL;
    mem_free(argv);
}

/* Everything was said, by both sides. */
static void end(struct moving *m) {
    struct node *n = m->node;
    outgoing_close(m->there);
    if (m->arrived_count == 0 || m->what.copies)
        answer(m, m->error);
    else if (!n->readable || m->is_void)
        answer(m,
               "ERR leadership moved while keys were migrated: the target has some, and all are still here");
    else if (n->server.refuse_writes)
        answer(m, "MISCONF writes are refused: the target has the keys, and all are still here");
    else
        propose(m);
    moving_free(m);
    loop_keep_awake(n, true); /* a timer may have brought it here, and these come before the loop sleeps */
}

/* --- the other server --- */

static void note_error(struct moving *m, struct slice line) {
    if (m->error[0] != '\0') return;
    snprintf(m->error, sizeof m->error, "ERR Target instance replied with error: %.*s",
             (int)(line.len - 1 < ERROR_CAP / 2 ? line.len - 1 : ERROR_CAP / 2), line.data + 1);
}

static void take_line(struct moving *m, struct slice line) {
    size_t greetings = m->what.line_count - m->what.key_count, at = m->lines++;
    bool failed = line.len == 0 || line.data[0] != '+';
    if (failed) note_error(m, line.len > 0 ? line : SLICE("- an answer that makes no sense"));
    if (at < greetings) {
        m->is_refused |= failed;
    } else if (!failed && !m->is_refused) {
        m->keys[at - greetings].arrived = true;
        m->arrived_count++;
    }
}

static void failed_cb(void *arg, enum outgoing_step step) {
    static const char *const texts[] = {
        [OUTGOING_CONNECTING] = "IOERR error or timeout connecting to the client",
        [OUTGOING_WRITING] = "IOERR error or timeout writing to target instance",
        [OUTGOING_READING] = "IOERR error or timeout reading to target instance"};
    struct moving *m = arg;
    if (m->error[0] == '\0') snprintf(m->error, sizeof m->error, "%s", texts[step]);
    end(m);
}

static void bytes_cb(void *arg, struct slice bytes) {
    struct moving *m = arg;
    buf_add_slice(&m->line, bytes);
    size_t done = 0;
    while (m->lines < m->what.line_count) {
        const char *from = m->line.data + done;
        const char *stop = memchr(from, '\n', m->line.len - done);
        if (stop == NULL) break;
        size_t len = (size_t)(stop - from);
        take_line(m, slice_make(from, len > 0 && from[len - 1] == '\r' ? len - 1 : len));
        done += len + 1;
    }
    buf_drop(&m->line, done);
    if (m->lines == m->what.line_count)
        end(m);
    else if (m->line.len > LINE_MAX_BYTES)
        failed_cb(m, OUTGOING_READING);
}

static void watch_keys(struct moving *m) {
    struct node *n = m->node;
    const char *name = m->what.names.data;
    for (size_t i = 0; i < m->what.key_count; i++) {
        struct slice key = slice_make(name, m->what.keys[i].key_len);
        transaction_init(&m->keys[i].watch);
        watch_add(&n->server.watches, n->ks, &m->keys[i].watch, m->what.db, key, node_read_clock_ms(n));
        name += key.len;
    }
}

void node_begin_migration(struct node *n, struct conn *c, struct migration *what) {
    struct moving *m = mem_calloc(1, sizeof *m);
    m->node = n;
    m->conn = c;
    m->silent = c->session.reply_mode == SESSION_REPLY_OFF || c->session.reply_mode == SESSION_REPLY_SKIP;
    m->what = *what;
    m->keys = mem_calloc(what->key_count, sizeof *m->keys);
    watch_keys(m);
    list_push_back(&n->movings, &m->link);
    c->moving = m;
    c->blocked = true;
    c->pending++;
    struct outgoing_handler handler = {.arg = m, .bytes = bytes_cb, .failed = failed_cb};
    m->there = outgoing_open(&n->net, what->host, what->port, what->patience_ms, &m->what.request, &handler);
}

void node_forget_migration(struct conn *c) {
    if (c->moving == NULL) return;
    c->moving->conn = NULL;
    c->moving = NULL;
    c->pending--; /* the connection is closing, and its end looks at what is left */
}

void node_void_migrations(struct node *n) {
    LIST_FOR_EACH(it, &n->movings) {
        struct moving *m = container_of(it, struct moving, link);
        m->is_void = true;
        forget_keys(m);
    }
}

void node_end_migrations(struct node *n) {
    LIST_FOR_EACH_SAFE(it, &n->movings) {
        struct moving *m = container_of(it, struct moving, link);
        outgoing_close(m->there);
        moving_free(m);
    }
}
