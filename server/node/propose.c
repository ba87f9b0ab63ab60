/* From a parsed command into the log: the gates, then the entry that is being filled. One entry holds every write that
 * arrived until it could go; what is no write runs at once, or, behind unanswered writes of its connection, in its
 * place among them. */
#include "node_internal.h"

#include "mem.h"

enum {
    SPARE_MAX = 8,
    SPARE_BUFFER_MAX = 1 << 20,
    COMMAND_BYTES_MAX = INT32_MAX, /* a row of the log has room for less than 4 GB */
    IN_LINE_BYTES_MAX = 16 << 20,  /* beyond it, the connection waits for its writes to be answered */
};

struct proposal *proposal_new(struct node *n) {
    struct proposal *p = n->spare;
    if (p != NULL) {
        n->spare = p->next;
        n->spare_count--;
    } else {
        p = mem_calloc(1, sizeof *p);
    }
    p->next = NULL;
    p->kind = RAFT_ENTRY_COMMANDS;
    entry_begin(&p->payload);
    return p;
}

static void buf_recycle(struct buf *b) {
    if (b->cap > SPARE_BUFFER_MAX)
        buf_free(b);
    else
        buf_clear(b);
}

void proposal_free(struct node *n, struct proposal *p) {
    if (n->spare_count >= SPARE_MAX) {
        buf_free(&p->payload);
        buf_free(&p->local);
        buf_free(&p->bytes);
        mem_free(p->ops);
        mem_free(p);
        return;
    }
    buf_recycle(&p->payload);
    buf_recycle(&p->local);
    buf_recycle(&p->bytes);
    p->op_count = 0;
    p->write_count = p->local_count = 0;
    p->has_expiry = false;
    p->next = n->spare;
    n->spare = p;
    n->spare_count++;
}

/* --- adding operations --- */

static struct op *add_op(struct proposal *p, struct conn *c, const struct command *cmd) {
    if (p->op_count == p->op_cap) {
        p->op_cap = p->op_cap ? p->op_cap * 2 : 64;
        p->ops = mem_realloc(p->ops, p->op_cap * sizeof *p->ops);
    }
    struct op *op = &p->ops[p->op_count++];
    *op = (struct op){.conn = c, .cmd = cmd};
    if (c != NULL) {
        op->resp = c->session.resp;
        c->pending++;
        c->last_proposal = p;
    }
    return op;
}

/* CLIENT REPLY: whether the command just parsed is to stay unanswered; SKIP counts down here. */
static bool take_silence(struct session *s) {
    if (s->reply_mode == SESSION_REPLY_SKIP_NEXT) {
        s->reply_mode = SESSION_REPLY_SKIP;
        return true;
    }
    if (s->reply_mode == SESSION_REPLY_SKIP) {
        s->reply_mode = SESSION_REPLY_ON;
        return true;
    }
    return s->reply_mode == SESSION_REPLY_OFF;
}

/* The clock's ticks are too far apart for who sends large values. */
static bool is_too_much_for_disk(struct node *n, int argc, const struct slice *argv) {
    size_t size = 0;
    for (int i = 0; i < argc; i++) size += argv[i].len;
    n->disk_unseen_bytes += size;
    return n->disk_unseen_bytes >= DISK_LOOK_BYTES && !node_disk_takes(n, size);
}

/* False when it is too large for the log, whatever the limits of the parser are set to. */
static bool add_write(struct node *n, struct conn *c, const struct command *cmd, int argc,
                      const struct slice *argv) {
    struct proposal *p = n->filling;
    size_t before = p->payload.len;
    entry_add(&p->payload, (uint8_t)c->session.db, argc, argv);
    if (p->payload.len - before > COMMAND_BYTES_MAX) {
        p->payload.len = before;
        return false;
    }
    add_op(p, c, cmd)->silent = take_silence(&c->session);
    p->write_count++;
    if (p->payload.len >= ENTRY_BYTES_MAX) node_propose_filled(n);
    return true;
}

/* Behind the writes of its connection that are still unanswered, the last of which is in last_proposal. */
static void add_local(struct conn *c, const struct command *cmd, int argc, const struct slice *argv) {
    struct proposal *p = c->last_proposal;
    struct op *op = add_op(p, c, cmd);
    op->kind = OP_RUN;
    c->pending_reads++;
    op->silent = take_silence(&c->session);
    if (p->local.len == 0) entry_begin(&p->local);
    entry_add(&p->local, (uint8_t)c->session.db, argc, argv);
    p->local_count++;
}

static void add_bytes(struct conn *c, struct slice reply) {
    struct proposal *p = c->last_proposal;
    struct op *op = add_op(p, c, NULL);
    op->kind = OP_BYTES;
    op->len = (uint32_t)reply.len;
    buf_add_slice(&p->bytes, reply);
}

/* --- running at once --- */

static void run_now(struct node *n, struct conn *c, const struct command *cmd, int argc,
                    const struct slice *argv, struct reply *reply) {
    int64_t now_ms = node_clock_ms(n);
    if (cmd->flags & CMD_READONLY) now_ms = node_read_clock_ms(n);
    struct cmd_ctx ctx = {.cmd = cmd,
                          .argc = argc,
                          .argv = argv,
                          .reply = reply,
                          .ks = n->ks,
                          .server = &n->server,
                          .session = &c->session,
                          .db = c->session.db,
                          .now_ms = now_ms,
                          .now_us = n->now_us,
                          .rng = &n->rng,
                          .arena = &n->arena};
    node_run_command(n, &ctx);
}

bool node_is_overloaded(const struct node *n) {
    if (n->flight_bytes + n->filling->payload.len >= UNCOMMITTED_BYTES_MAX) return true;
    struct ks_stats stats;
    if (n->memory_budget == UINT64_MAX) return false;
    ks_stats(n->ks, &stats);
    return ks_writeback_running(n->ks) && stats.dirty_bytes > n->memory_budget / 4;
}

/* The time of a connection's first command starts when the connection gets its turn, not when the one before it ended:
 * system calls lie in between. */
static void time_from_here(struct node *n, const struct conn *c) {
    if (n->timed == c) return;
    n->timed = c;
    n->turn_mono_us = mono_us();
}

enum conn_verdict node_command(void *arg, struct conn *c, int argc, const struct slice *argv) {
    struct node *n = arg;
    const struct command *cmd = NULL;
    struct reply reply;
    time_from_here(n, c);
    /* A reply is written in place when nothing is owed to this connection, else it takes its place in line. */
    bool in_line = c->pending > 0;
    size_t out_before = c->out.len;
    if (in_line && c->last_proposal->local.len + c->last_proposal->bytes.len >= IN_LINE_BYTES_MAX)
        return CONN_HOLD;
    if (in_line) buf_clear(&n->scratch);
    reply_init(&reply, in_line ? &n->scratch : &c->out, c->session.resp);
    enum gate gate = cmd_gate(&n->server, &c->session, argc, argv, node_clock_ms(n), &reply, &cmd);
    switch (gate) {
    case GATE_HOLD:
    case GATE_NO_LEADER: return CONN_HOLD;
    case GATE_FORWARD: CHECK(false); /* nobody else is there */
    case GATE_PROPOSE:
        if (n->stopping || node_is_overloaded(n)) return CONN_HOLD;
        gate = GATE_REFUSED;
        if (is_too_much_for_disk(n, argc, argv))
            reply_error(&reply, "MISCONF the disk is too full for this write");
        else if (add_write(n, c, cmd, argc, argv))
            return CONN_NEXT;
        else
            reply_error(&reply, "ERR a write of more than 2 GB is too large for the log");
        stats_error(&n->server.stats, reply.error_code);
        break;
    case GATE_RUN:
        if (in_line) {
            if (c->pending_reads >= READS_IN_LINE_MAX) return CONN_HOLD;
            add_local(c, cmd, argc, argv);
            return CONN_NEXT;
        }
        break;
    case GATE_RUN_ALONE:
        if (in_line) return CONN_HOLD;
        break;
    case GATE_RUN_NOW:
    case GATE_REFUSED: break;
    }
    if (gate != GATE_REFUSED) run_now(n, c, cmd, argc, argv, &reply);
    bool silent = take_silence(&c->session);
    if (in_line && !silent) add_bytes(c, buf_slice(&n->scratch));
    if (in_line && n->scratch.cap > SPARE_BUFFER_MAX) buf_free(&n->scratch);
    if (!in_line && silent) c->out.len = out_before;
    if (!in_line && !c->closing) conn_touch(c);
    if (c->session.close_after_reply) conn_drain(c);
    return CONN_NEXT;
}

/* --- into the log --- */

void node_submit(struct node *n, struct proposal *p, const struct raft_update *up) {
    p->kind = up->entry.kind;
    p->index = up->entry.index;
    p->term = up->entry.term;
    struct store_job *s = &p->store;
    s->proposal = p;
    s->store_id = up->store_id;
    s->entry = (struct log_entry){
        .index = p->index, .term = p->term, .kind = (uint8_t)p->kind, .payload = buf_slice(&p->payload)};
    s->job = (struct log_job){.entries = &s->entry, .entry_count = 1};
    *n->flight_tail = p;
    n->flight_tail = &p->next;
    n->flight_count++;
    n->flight_bytes += p->payload.len;
    n->log_bytes += p->payload.len;
    log_writer_submit(n->writer, &s->job);
}

void node_propose_filled(struct node *n) {
    struct proposal *p = n->filling;
    if (p == NULL || p->write_count == 0 || !n->readable) return;
    if (n->flight_count >= PROPOSALS_IN_FLIGHT && p->payload.len < ENTRY_BYTES_MAX) return;
    p->clock_ms = node_clock_ms(n);
    entry_finish(
        &p->payload,
        &(struct entry_header){.clock_ms = p->clock_ms, .seed = rng_next(&n->rng), .count = p->write_count});
    struct raft_event event = {
        .type = RAFT_EVENT_PROPOSE, .kind = RAFT_ENTRY_COMMANDS, .size = p->payload.len};
    struct raft_update up;
    CHECK(raft_step(n->raft, &event, &up) == RC_OK);
    if (up.refused) return; /* too much is uncommitted: it goes on filling, and connections are held */
    node_submit(n, p, &up);
    n->filling = proposal_new(n);
}

/* --- expiry: the leader finds what is due, everybody deletes it by the entry --- */

static void propose_due(void *arg, int db, struct slice key) {
    struct node *n = arg;
    struct slice argv[2] = {SLICE("_expire"), key};
    struct proposal *p = n->filling;
    add_op(p, NULL, NULL);
    entry_add(&p->payload, (uint8_t)db, 2, argv);
    p->write_count++;
    p->has_expiry = true;
}

void node_propose_expired(struct node *n) {
    if (!n->server.active_expire || n->expiry_in_flight || n->stopping || n->server.refuse_writes) return;
    size_t found = ks_due(n->ks, node_clock_ms(n), EXPIRE_KEYS_MAX, propose_due, n);
    ks_clear_fault(n->ks); /* a row that cannot be read is met again by whoever needs it */
    n->expiry_in_flight = found > 0;
    n->expiry_again = found == EXPIRE_KEYS_MAX;
}
