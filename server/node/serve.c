/* Giving those who wait what has come.
 *
 * A command that waits and changes data (BLPOP) is served by an entry of its own, _SERVE, which runs it again on every node,
 * for the key that became ready. It takes what is there or does nothing, as the state says, and so is the same everywhere;
 * only the leader knows that somebody waits for the answer. Once such an entry is under way, what it does comes before any
 * other end of the wait. It is proposed twice:
 *
 *     at once   behind each write that may bring something to a key somebody waits for, in the same entry: nothing comes
 *               between the two, as in Redis. It is a guess by the names of keys, and costs nothing but bytes when wrong
 *     later     when an entry was applied and the keyspace said that a key is ready (ks_listen), for those the guess left out
 *
 * Both in the order of arrival, and at most one for each who waits. A command that only reads (XREAD) runs here, right behind
 * the write. */
#include "blocked.h"

#include "mem.h"

#include <string.h>

enum {
    SERVED_AT_ONCE_MAX = 64 /* of one key: the rest when these are done */,
    CHAIN_MAX = 16,
    KEYS_MAX = 16
};

static bool only_reads(const struct blocked *b) {
    return b->cmd->flags & CMD_READONLY;
}

static const struct command *serve_command(void) {
    static const struct command *cmd;
    if (cmd == NULL) cmd = command_by_name(SLICE("_serve"));
    return cmd;
}

bool node_is_serve(const struct command *cmd) {
    return cmd == serve_command();
}

static void propose_serve(struct node *n, struct blocked *b, struct slice key) {
    struct slice *argv = mem_alloc(((size_t)b->argc + 2) * sizeof *argv);
    argv[0] = SLICE("_serve");
    argv[1] = key;
    memcpy(argv + 2, b->argv, (size_t)b->argc * sizeof *argv);
    node_add_serve(n, b->conn, serve_command(), b->db, b->argc + 2, argv, b->silent);
    mem_free(argv);
    CHECK(!b->in_flight);
    b->in_flight = true;
}

/* --- at once --- */

/* What is done to such a key cannot give anybody anything. */
static bool may_bring(const struct key_spec *spec) {
    return strstr(spec->flags, "insert") != NULL || strstr(spec->flags, "update") != NULL;
}

/* Who was served may itself bring something to somebody (BLMOVE), and so on. */
static void serve_key(struct node *n, int db, struct slice key, size_t most, unsigned chain) {
    struct key_queue *q = queue_find(n->blocking, db, key);
    if (q == NULL) return;
    for (struct list *it = q->waits.next; it != &q->waits && most > 0; it = it->next) {
        struct blocked *b = container_of(it, struct key_wait, link)->blocked;
        if (b->in_flight || only_reads(b)) continue;
        propose_serve(n, b, key);
        most--;
        if (chain > 0) node_serve_behind(n, b->cmd, b->db, b->argc, b->argv, chain - 1);
    }
}

void node_serve_behind(struct node *n, const struct command *cmd, int db, int argc, const struct slice *argv,
                       unsigned chain) {
    struct key_position keys[KEYS_MAX];
    if (n->blocking->queue_count == 0 || !n->readable) return;
    int count = command_keys(cmd, argc, argv, keys, KEYS_MAX);
    for (int i = 0; i < count && i < KEYS_MAX; i++) {
        if (!may_bring(keys[i].spec)) continue;
        /* What stands behind the key bounds how many elements it gets: RPUSH key a b c. */
        int behind = argc - 1 - keys[i].at;
        serve_key(n, db, argv[keys[i].at], cmd->key_spec_count > 1 || behind < 1 ? 1 : (size_t)behind, chain);
    }
}

void node_serve_written(struct node *n, const struct command *cmd, int db, int argc,
                        const struct slice *argv) {
    node_serve_behind(n, cmd, db, argc, argv, CHAIN_MAX);
}

/* --- what became of it --- */

/* It was counted when it began to wait; how it ended is known now. */
static void account(struct node *n, const struct blocked *b, bool failed) {
    uint64_t now = mono_us();
    cmd_account_served(&n->server, &b->conn->session, b->cmd, b->argc, b->argv, node_now_us(n),
                       (int64_t)(now - n->turn_mono_us), failed);
    n->turn_mono_us = now;
}

void node_serve_ran(struct node *n, struct conn *c, const struct cmd_ctx *ctx) {
    struct blocked *b = c->blocked_in;
    CHECK(b != NULL);
    CHECK(b->in_flight);
    b->in_flight = false;
    if (!ctx->wait->waits) {
        account(n, b, ctx->reply->error_count > 0);
        blocked_served(n, b, true);
    } else if (b->end != END_NONE) {
        blocked_end(n, b, b->end);
    }
}

void node_serve_given_up(struct conn *c) {
    if (c->blocked_in == NULL) return;
    CHECK(c->blocked_in->in_flight);
    c->blocked_in->in_flight = false;
}

/* --- later --- */

static void serve_reader(struct node *n, struct blocked *b, struct slice key) {
    struct conn *c = b->conn;
    struct cmd_wait wait = {0};
    struct reply reply;
    reply_init(&reply, b->silent ? NULL : &c->out, c->session.resp);
    struct cmd_ctx ctx = {.cmd = b->cmd,
                          .argc = b->argc,
                          .argv = b->argv,
                          .reply = &reply,
                          .ks = n->ks,
                          .server = &n->server,
                          .session = &c->session,
                          .db = b->db,
                          .now_ms = node_read_clock_ms(n),
                          .now_us = n->now_us,
                          .rng = &n->rng,
                          .arena = &n->arena,
                          .wait = &wait,
                          .is_served = true,
                          .served_key = key};
    struct reply_span span;
    span_begin(n, &span, c, true);
    node_run_command(n, &ctx);
    span_end(n, &span, false);
    if (wait.waits) return;
    account(n, b, reply.error_count > 0);
    blocked_served(n, b, false);
}

/* Serving one of them changes nothing for the others. */
static void serve_readers(struct node *n, struct key_queue *q) {
    struct buf key = {0};
    struct blocked **readers = NULL;
    size_t count = 0, cap = 0;
    q->is_fresh = false;
    if (q->stream_waits == 0) return; /* only XREAD reads and waits */
    LIST_FOR_EACH(it, &q->waits) {
        struct blocked *b = container_of(it, struct key_wait, link)->blocked;
        if (!only_reads(b)) continue;
        if (count == cap)
            readers = mem_realloc(readers, (cap = cap ? cap * 2 : 16) * sizeof(struct blocked *));
        readers[count++] = b;
    }
    if (count > 0) buf_add_slice(&key, queue_key(q)); /* the queue goes with the last of them */
    for (size_t i = 0; i < count; i++) serve_reader(n, readers[i], buf_slice(&key));
    mem_free(readers);
    buf_free(&key);
}

void node_serve_readers(struct node *n) {
    struct blocking *k = n->blocking;
    if (!n->readable) return;
    for (struct list *it = k->ready.next, *next; it != &k->ready; it = next) {
        next = it->next;
        struct key_queue *q = container_of(it, struct key_queue, ready_link);
        if (q->is_fresh) serve_readers(n, q);
    }
}

/* What is there is over: as in Redis, who would have been served has it deleted. */
static void delete_if_over(struct node *n, const struct key_queue *q) {
    bool is_there = ks_peek(n->ks, q->db, queue_key(q), INT64_MIN) != NULL;
    ks_clear_fault(n->ks);
    if (is_there && !n->server.refuse_writes) node_propose_due(n, q->db, queue_key(q));
}

static void serve_writers(struct node *n, struct key_queue *q) {
    const struct object *o = ks_peek(n->ks, q->db, queue_key(q), node_clock_ms(n));
    if (o == NULL) delete_if_over(n, q);
    ks_clear_fault(n->ks); /* a row that cannot be read is met again by whoever needs it */
    if (o == NULL && q->stream_waits == 0) return;
    size_t left = SERVED_AT_ONCE_MAX;
    for (struct list *it = q->waits.next; it != &q->waits && left > 0; it = it->next) {
        struct blocked *b = container_of(it, struct key_wait, link)->blocked;
        if (b->in_flight || only_reads(b)) continue;
        /* Who waits in a group of a stream also wants to know that it is gone. */
        if (b->type != OBJECT_STREAM && (o == NULL || o->type != b->type)) continue;
        propose_serve(n, b, queue_key(q));
        left--;
    }
}

void node_serve_ready(struct node *n) {
    struct blocking *k = n->blocking;
    if (n->stopping || !n->readable) return;
    node_serve_readers(n);
    while (!list_empty(&k->ready)) {
        struct key_queue *q = container_of(k->ready.next, struct key_queue, ready_link);
        list_unlink(&q->ready_link);
        serve_writers(n, q);
    }
}
