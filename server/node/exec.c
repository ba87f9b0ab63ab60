/* EXEC. A transaction that writes is one thing in the log: _EXEC, which says how many writes follow that belong to it, and
 * those; what it has beside them runs on this node alone, in its place among them, while the entry is applied (README,
 * "Transactions"). One without writes runs at once.
 *
 * WATCH: whoever watches is told of every change that is applied. What is in the log and not applied yet and might change
 * a watched key has left its entry's serial number with the session: EXEC is held until that entry was applied. Then nothing
 * is on its way that could change a watched key, and the transaction is proposed in the same breath. */
#include "acl_gate.h"
#include "monitor.h"
#include "node_internal.h"

#include "mem.h"
#include "num.h"

enum { KEYS_MAX = 32 };

/* --- what is on its way --- */

/* A script may touch others than those it was given. */
static bool names_all_keys(const struct command *cmd) {
    if (cmd->categories & ACL_SCRIPTING) return false;
    for (int i = 0; i < cmd->key_spec_count; i++) {
        if (cmd->key_specs[i].find == FIND_UNKNOWN) return false;
    }
    return cmd->key_spec_count > 0;
}

void node_watch_written(struct node *n, const struct command *cmd, int argc, const struct slice *argv) {
    const struct watch_table *w = &n->server.watches;
    uint64_t serial = n->filling->serial;
    if (w->key_count == 0) return;
    if (node_is_serve(cmd)) {
        argc -= 2;
        argv += 2;
        cmd = command_lookup(argc, argv);
    }
    struct key_position keys[KEYS_MAX];
    int count = names_all_keys(cmd) ? command_keys(cmd, argc, argv, keys, KEYS_MAX) : -1;
    if (count < 0 || count > KEYS_MAX) {
        watch_suspect(w, (struct slice){0}, serial);
        return;
    }
    for (int i = 0; i < count; i++) {
        struct slice key = argv[keys[i].at];
        watch_suspect(w, key.data != NULL ? key : SLICE(""), serial);
    }
}

void node_drop_sessions(struct node *n) {
    node_void_migrations(n);
    LIST_FOR_EACH_SAFE(it, &n->server.sessions) {
        struct session *s = container_of(it, struct session, link);
        struct transaction *t = &s->transaction;
        bool tracks = s->tracking != NULL && s->tracking->is_on;
        if (!t->is_open && !transaction_watches(t) && !tracks) continue;
        transaction_discard(&n->server, t);
        tracking_disable(&n->server, s);
        conn_drain(conn_of_session(s));
    }
}

/* --- into the log --- */

static struct slice exec_word(void) {
    return SLICE("_exec");
}

bool node_is_exec(const struct entry_reader *r) {
    return r->argc == 3 && slice_eq(r->argv[0], exec_word());
}

/* _EXEC writes deadline: if the entry's clock has reached the deadline (0: there is none), a watched key has expired, and
 * nothing happens. */
static void add_head(struct node *n, const struct transaction *t, uint32_t write_count, int64_t deadline_ms) {
    char writes[NUM_I64_MAX_LEN], deadline[NUM_I64_MAX_LEN];
    struct slice argv[3] = {exec_word(), slice_make(writes, format_i64(writes, write_count)),
                            slice_make(deadline, format_i64(deadline, deadline_ms))};
    entry_add(&n->filling->payload, (uint8_t)t->db, 3, argv);
    proposal_wrote(n, n->filling);
}

bool node_exec_head(const struct entry_reader *r, uint32_t *writes, bool *is_over) {
    int64_t count = 0, deadline_ms = 0;
    if (!parse_i64(r->argv[1], &count) || !parse_i64(r->argv[2], &deadline_ms)) return false;
    if (count < 0 || count > r->commands_left) return false;
    *writes = (uint32_t)count;
    *is_over = deadline_ms != 0 && r->header.clock_ms >= deadline_ms;
    return true;
}

/* What the client said: some commands stand in the queue in another form. */
static const struct command *said_command(const struct entry_reader *r) {
    const struct command *cmd = command_lookup(r->argc, r->argv);
    CHECK(cmd != NULL);
    return cmd_said_as(cmd);
}

/* Whether the user may still do what was queued; false with an error in place of the reply. */
static bool is_still_allowed(struct node *n, struct conn *c, const struct entry_reader *r,
                             struct reply *reply) {
    if (c->session.user->is_unrestricted) return true;
    return acl_gate_at_exec(&n->server, &c->session, said_command(r), r->argc, r->argv, node_clock_ms(n),
                            reply);
}

/* How many writes of the queue will be in the log: fewer than there are when the user's rights have changed. */
static uint32_t count_allowed(const struct conn *c, struct entry_reader *r, const struct transaction *t) {
    const struct acl_user *user = c->session.user;
    uint32_t count = 0;
    if (user->is_unrestricted) return t->writes;
    CHECK(entry_open(r, buf_slice(&t->queue)));
    while (entry_next(r) == 1) {
        int at;
        if (!(command_lookup(r->argc, r->argv)->flags & CMD_WRITE)) continue;
        const struct command *cmd = said_command(r);
        if (acl_check(user, cmd, r->argc, r->argv, &at) == ACL_ALLOWED &&
            acl_denied_sort(user, cmd, r->argc, r->argv) == NULL)
            count++;
    }
    return count;
}

static void add_denied(struct node *n, struct conn *c, const struct buf *error, bool silent) {
    struct op *op = proposal_add_op(n->filling, c, NULL);
    op->kind = OP_BYTES;
    op->len = silent ? 0 : (uint32_t)error->len;
    buf_add(&n->filling->bytes, error->data, op->len);
}

static void add_one(struct node *n, struct conn *c, const struct entry_reader *r, bool silent, bool blocks) {
    struct proposal *p = n->filling;
    const struct command *cmd = command_lookup(r->argc, r->argv);
    struct buf error = {0};
    struct reply reply;
    CHECK(cmd != NULL);
    reply_init(&reply, &error, c->session.resp);
    if (!is_still_allowed(n, c, r, &reply)) {
        add_denied(n, c, &error, silent);
        buf_free(&error);
        return;
    }
    struct op *op = proposal_add_op(p, c, cmd);
    op->silent = silent;
    if (blocks) op->resp = 0; /* HELLO may stand before it */
    if (cmd->flags & CMD_WRITE) {
        node_add_payload(n, c, cmd, r->db, r->argc, r->argv);
        proposal_wrote(n, p);
        node_watch_written(n, cmd, r->argc, r->argv);
        return;
    }
    op->kind = OP_RUN;
    c->pending_reads++;
    if (p->local.len == 0) entry_begin(&p->local);
    entry_add(&p->local, r->db, r->argc, r->argv);
    p->local_count++;
}

/* Those who wait for what it brings come behind all of it. */
static void serve_written(struct node *n, struct entry_reader *r, struct slice queue) {
    CHECK(entry_open(r, queue));
    while (entry_next(r) == 1) {
        const struct command *cmd = command_lookup(r->argc, r->argv);
        if (cmd->flags & CMD_WRITE) node_serve_written(n, cmd, r->db, r->argc, r->argv);
    }
}

static void close_queue(struct transaction *t) {
    if (t->count == 0) entry_begin(&t->queue);
    entry_finish(&t->queue, &(struct entry_header){.count = t->count});
}

/* Whether others than the log have a say: then what follows on this connection waits, for it may depend on it (SELECT). */
static bool changes_session(const struct transaction *t) {
    return t->count > t->writes + t->reads || t->changes_users;
}

static enum conn_verdict propose(struct node *n, struct conn *c, const struct command *exec) {
    struct transaction *t = &c->session.transaction;
    struct entry_reader *r = &n->local_reader;
    bool silent = session_take_silence(&c->session), blocks = changes_session(t);
    int64_t deadline_ms = transaction_watches(t) ? watch_deadline(&n->server.watches, t) : 0;
    close_queue(t);
    struct op *head = proposal_add_op(n->filling, c, exec);
    head->kind = OP_EXEC;
    head->len = t->count;
    head->silent = silent;
    head->waits = blocks;
    add_head(n, t, count_allowed(c, r, t), deadline_ms);
    struct buf queue = t->queue;
    t->queue = (struct buf){0};
    transaction_discard(&n->server, t);
    CHECK(entry_open(r, buf_slice(&queue)));
    while (entry_next(r) == 1) add_one(n, c, r, silent, blocks);
    serve_written(n, r, buf_slice(&queue));
    buf_free(&queue);
    if (n->filling->payload.len >= ENTRY_BYTES_MAX) node_propose_filled(n);
    if (!blocks) return CONN_NEXT;
    c->blocked = true;
    return CONN_BLOCK;
}

/* --- at once --- */

static enum conn_verdict answered(struct node *n, struct conn *c, const struct command *exec,
                                  size_t out_before) {
    if (session_take_silence(&c->session)) c->out.len = out_before;
    node_exec_ended(n, c, exec);
    conn_touch(c);
    return CONN_NEXT;
}

void node_exec_ended(struct node *n, struct conn *c, const struct command *exec) {
    uint64_t now = mono_us();
    cmd_account(&n->server, &c->session, exec, 1, (struct slice[]){SLICE("exec")}, node_now_us(n),
                (int64_t)(now - n->turn_mono_us), false);
    n->turn_mono_us = now;
    monitor_tell_of(&n->server, &c->session, exec, 1,
                    &(struct slice){c->session.exec_word, sizeof c->session.exec_word});
    if (c->session.close_after_reply) conn_drain(c);
}

static enum conn_verdict run(struct node *n, struct conn *c, const struct command *exec) {
    struct transaction *t = &c->session.transaction;
    struct entry_reader *r = &n->local_reader;
    size_t out_before = c->out.len;
    struct reply reply;
    reply_init(&reply, &c->out, c->session.resp);
    reply_array(&reply, t->count);
    close_queue(t);
    struct buf queue = t->queue;
    struct reply_span span;
    span_begin(n, &span, c, true);
    t->queue = (struct buf){0};
    transaction_discard(&n->server, t);
    CHECK(entry_open(r, buf_slice(&queue)));
    bool holds = push_hold(&n->server, &c->session);
    while (entry_next(r) == 1)
        if (is_still_allowed(n, c, r, &reply))
            node_run_now(n, c, command_lookup(r->argc, r->argv), r->argc, r->argv, &reply, NULL);
    if (holds) push_release(&n->server);
    buf_free(&queue);
    enum conn_verdict verdict = answered(n, c, exec, out_before);
    span_end(n, &span, false);
    return verdict;
}

static enum conn_verdict say(struct node *n, struct conn *c, const struct command *exec, const char *error) {
    size_t out_before = c->out.len;
    struct reply reply;
    reply_init(&reply, &c->out, c->session.resp);
    transaction_discard(&n->server, &c->session.transaction);
    if (error == NULL) {
        reply_null_array(&reply);
    } else {
        reply_error(&reply, error);
        stats_error(&n->server.stats, reply.error_code);
    }
    return answered(n, c, exec, out_before);
}

enum conn_verdict node_exec(struct node *n, struct conn *c, const struct command *exec) {
    struct transaction *t = &c->session.transaction;
    bool in_line = c->pending > 0;
    if (c->forwarded > 0) return CONN_HOLD;
    if (transaction_watches(t)) {
        if (in_line || t->watch_serial > n->applied_serial) return CONN_HOLD;
        bool has_expired = watch_has_expired(&n->server.watches, t, node_clock_ms(n));
        ks_clear_fault(n->ks); /* a row that cannot be read is met again by whoever needs it */
        if (t->is_dirty || has_expired) return say(n, c, exec, NULL);
    }
    if (t->writes == 0 && !t->runs_scripts) {
        if (in_line) return CONN_HOLD;
        if (t->reads == 0 || node_may_read(n, c)) return run(n, c, exec);
        node_await_read(n, c);
        return CONN_PARK;
    }
    if (n->stopping || node_is_overloaded(n)) return CONN_HOLD;
    bool is_too_large = t->queue.len > COMMAND_BYTES_MAX, is_full = node_is_too_much(n, t->queue.len);
    if ((is_too_large || is_full) && in_line) return CONN_HOLD;
    if (is_too_large)
        return say(n, c, exec,
                   "EXECABORT Transaction discarded because of: more than 2 GB are too large for the log");
    if (is_full)
        return say(n, c, exec,
                   "EXECABORT Transaction discarded because of: MISCONF the disk is too full for it");
    return propose(n, c, exec);
}
