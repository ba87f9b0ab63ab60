/* From a parsed command into the log: the gates, then the entry that is being filled. One entry holds every write that
 * arrived until it could go; what is no write runs at once, or, behind unanswered writes of its connection, in its
 * place among them. */
#include "cmd_block.h"
#include "cmd_nothing.h"
#include "node_internal.h"

#include "mem.h"
#include "num.h"

enum {
    SPARE_MAX = 8,
    SPARE_BUFFER_MAX = 1 << 20,
    LARGE_COMMAND_BYTES = 1 << 20,
    IN_LINE_BYTES_MAX = 16 << 20, /* beyond it, the connection waits for its writes to be answered */
};

struct proposal *proposal_new(struct node *n) {
    struct proposal *p = n->spare;
    if (p != NULL) {
        n->spare = p->next_spare;
        n->spare_count--;
    } else {
        p = mem_calloc(1, sizeof *p);
    }
    p->next_spare = NULL;
    p->kind = RAFT_ENTRY_COMMANDS;
    p->serial = 0;
    p->holders = 1;
    entry_begin(&p->payload);
    return p;
}

void node_begin_filling(struct node *n) {
    n->filling = proposal_new(n);
    n->filling->serial = ++n->serials;
}

void proposal_wrote(struct node *n, struct proposal *p) {
    p->write_count++;
    n->server.last_serial = p->serial;
}

static void buf_recycle(struct buf *b) {
    if (b->cap > SPARE_BUFFER_MAX)
        buf_free(b);
    else
        buf_clear(b);
}

void proposal_answered(struct proposal *p) {
    p->op_count = p->ops_done = 0;
    p->write_count = p->local_count = 0;
    p->has_expiry = false;
    buf_recycle(&p->local);
    buf_recycle(&p->bytes);
}

static void proposal_destroy(struct proposal *p) {
    buf_free(&p->payload);
    buf_free(&p->local);
    buf_free(&p->bytes);
    mem_free(p->ops);
    mem_free(p);
}

void proposal_release(struct node *n, struct proposal *p) {
    CHECK(p->holders > 0);
    if (--p->holders > 0) return;
    CHECK(p->op_count == 0);
    if (n->spare_count >= SPARE_MAX || !n->open) { /* a link may hold it for longer than the group lives */
        proposal_destroy(p);
        return;
    }
    buf_recycle(&p->payload);
    p->next_spare = n->spare;
    n->spare = p;
    n->spare_count++;
}

void proposals_free(struct node *n) {
    while (n->spare != NULL) {
        struct proposal *p = n->spare;
        n->spare = p->next_spare;
        proposal_destroy(p);
    }
    n->spare_count = 0;
    while (n->spare_jobs != NULL) {
        struct store_job *s = n->spare_jobs;
        n->spare_jobs = s->next_spare;
        mem_free(s->entries);
        mem_free(s->proposals);
        mem_free(s);
    }
}

void proposal_disappoint(struct node *n, struct proposal *p) {
    if (p->has_expiry) n->expiry_in_flight = false;
    for (size_t i = p->ops_done; i < p->op_count; i++) {
        struct conn *c = p->ops[i].conn;
        if (c == NULL) continue;
        if (p->ops[i].kind == OP_RUN) c->pending_reads--;
        if (!c->closing) conn_close(c);
        conn_let_go(c);
    }
    proposal_answered(p);
}

/* --- adding operations --- */

struct op *proposal_add_op(struct proposal *p, struct conn *c, const struct command *cmd) {
    if (p->op_count == p->op_cap) {
        p->op_cap = p->op_cap ? p->op_cap * 2 : 64;
        p->ops = mem_realloc(p->ops, p->op_cap * sizeof *p->ops);
    }
    struct op *op = &p->ops[p->op_count++];
    *op = (struct op){.conn = c, .cmd = cmd};
    if (c != NULL) {
        op->resp = c->session.resp;
        op->caching = tracking_is_caching(&c->session);
        c->pending++;
        c->last_proposal = p;
    }
    return op;
}

/* CLIENT REPLY: whether the command just parsed is to stay unanswered; SKIP counts down here. */
bool session_take_silence(struct session *s) {
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
bool node_is_too_much(struct node *n, size_t size) {
    n->disk_unseen_bytes += size;
    return n->disk_unseen_bytes >= DISK_LOOK_BYTES && !node_disk_takes(n, size);
}

static void propose_filled(struct node *n);

static size_t size_of(int argc, const struct slice *argv) {
    size_t size = 0;
    for (int i = 0; i < argc; i++) size += argv[i].len;
    return size;
}

/* A large command that is alone in the entry becomes that entry where it lies, in its connection's input: a copy would take
 * as much memory again, and time in which no heartbeat leaves. `argv` means nothing any more then. */
static bool turn_input_into_entry(struct node *n, struct conn *c, const struct command *cmd, int argc,
                                  const struct slice *argv) {
    struct proposal *p = n->filling;
    struct buf *in = conn_input(c);
    bool is_script = cmd->categories & ACL_SCRIPTING; /* something may stand in front of it */
    if (in == NULL || in->len < LARGE_COMMAND_BYTES || is_script) return false;
    if (n->server.blocked_count > 0) return false; /* keys are looked at again by who serves them */
    if (p->write_count > 0 || p->payload.len > ENTRY_HEADER_SIZE) return false;
    if (!entry_make_in_place(in, (uint8_t)c->session.db, argc, argv)) return false;
    buf_free(&p->payload);
    p->payload = *in;
    *in = (struct buf){0};
    return true;
}

/* False when it is too large for the log, whatever the limits of the parser are set to. */
static bool add_write(struct node *n, struct conn *c, const struct command *cmd, int argc,
                      const struct slice *argv) {
    size_t size = size_of(argc, argv);
    if (size > COMMAND_BYTES_MAX) return false;
    if (size >= LARGE_COMMAND_BYTES)
        propose_filled(n); /* what there is, so that it gets an entry of its own */
    struct proposal *p = n->filling;
    /* What it may do behind a change of users depends on that. */
    bool waits = cmd_may_wait(cmd, argc, argv) || cmd_changes_users(cmd);
    node_watch_written(n, cmd, argc, argv);
    size_t before = p->payload.len;
    bool is_moved = turn_input_into_entry(n, c, cmd, argc, argv);
    if (!is_moved) node_add_payload(n, c, cmd, c->session.db, argc, argv);
    if (!is_moved && p->payload.len - before > COMMAND_BYTES_MAX) {
        p->payload.len = before;
        return false;
    }
    struct op *op = proposal_add_op(p, c, cmd);
    op->silent = session_take_silence(&c->session);
    op->waits = c->blocked = waits;
    proposal_wrote(n, p);
    if (!is_moved) node_serve_written(n, cmd, c->session.db, argc, argv);
    if (p->payload.len >= ENTRY_BYTES_MAX) node_propose_filled(n);
    return true;
}

void node_add_serve(struct node *n, struct conn *c, const struct command *cmd, int db, int argc,
                    const struct slice *argv, bool silent) {
    struct proposal *p = n->filling;
    entry_add(&p->payload, (uint8_t)db, argc, argv);
    struct op *op = proposal_add_op(p, c, cmd);
    op->silent = silent;
    op->waits = true;
    proposal_wrote(n, p);
    node_watch_written(n, cmd, argc, argv);
}

/* Behind the writes of its connection that are still unanswered, the last of which is in last_proposal. */
static void add_local(struct conn *c, const struct command *cmd, int argc, const struct slice *argv) {
    struct proposal *p = c->last_proposal;
    struct op *op = proposal_add_op(p, c, cmd);
    op->kind = OP_RUN;
    c->pending_reads++;
    op->silent = session_take_silence(&c->session);
    if (p->local.len == 0) entry_begin(&p->local);
    entry_add(&p->local, (uint8_t)c->session.db, argc, argv);
    p->local_count++;
}

static void add_bytes(struct proposal *p, struct conn *c, struct slice reply) {
    struct op *op = proposal_add_op(p, c, NULL);
    op->kind = OP_BYTES;
    op->len = (uint32_t)reply.len;
    buf_add_slice(&p->bytes, reply);
}

/* --- running at once --- */

void span_begin(struct node *n, struct reply_span *span, struct conn *c, bool holds) {
    *span = (struct reply_span){.outer = n->spans, .conn = c, .begin = c->out.len, .holds = holds};
    n->spans = span;
}

void span_end(struct node *n, struct reply_span *span, bool silent) {
    struct reply_span **at = &n->spans;
    while (*at != span) at = &(*at)->outer;
    *at = span->outer;
    if (silent) span->conn->out.len = span->begin;
    if (span->held.len == 0) return;
    conn_push(span->conn, buf_slice(&span->held));
    buf_free(&span->held);
}

void node_push(struct node *n, struct conn *c, struct slice bytes) {
    struct reply_span *span = n->spans;
    while (span != NULL && span->conn != c) span = span->outer;
    if (span != NULL && (span->holds || span->begin != c->out.len)) {
        buf_add_slice(&span->held, bytes);
        return;
    }
    conn_push(c, bytes);
    if (span != NULL) span->begin = c->out.len;
}

void node_run_now(struct node *n, struct conn *c, const struct command *cmd, int argc,
                  const struct slice *argv, struct reply *reply, struct cmd_wait *wait) {
    int64_t now_ms = node_clock_ms(n);
    if (cmd->flags & (CMD_READONLY | CMD_WRITE)) now_ms = node_read_clock_ms(n);
    if (cmd->flags & CMD_READONLY) n->read_us = n->turn_mono_us;
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
                          .arena = &n->arena,
                          .user = c->session.user->is_unrestricted ? NULL : c->session.user,
                          .wait = wait};
    node_run_command(n, &ctx);
    if (feed_is_on(&n->server.feed) && !node_is_in_the_middle(n)) feed_end_unit(&n->server); /* PUBLISH */
}

bool node_is_overloaded(const struct node *n) {
    if (n->unapplied_bytes + n->filling->payload.len >= UNCOMMITTED_BYTES_MAX) return true;
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
    if (n->asker_id == c->session.id) return;
    n->asker_id = c->session.id;
    n->crowd_us = n->turn_mono_us;
}

/* Nobody to give it to: a client waits rather than being told, for a while. */
static enum conn_verdict wait_for_leader(struct node *n, struct conn *c, struct reply *reply) {
    uint64_t now_ms = mono_now_ms();
    if (c->waits_since_ms == 0) c->waits_since_ms = now_ms;
    if (!n->stopping && now_ms - c->waits_since_ms < (uint64_t)n->server.config.forward_wait_ms)
        return CONN_HOLD;
    c->waits_since_ms = 0;
    reply_error(reply, ERR_NO_LEADER);
    stats_error(&n->server.stats, reply->error_code);
    return CONN_NEXT;
}

/* Into the entry being filled. */
static enum gate take_write(struct node *n, struct conn *c, const struct command *cmd, int argc,
                            const struct slice *argv, struct reply *reply) {
    if (n->stopping || node_is_overloaded(n)) return GATE_HOLD;
    if (node_is_too_much(n, size_of(argc, argv)))
        reply_error(reply, "MISCONF the disk is too full for this write");
    else if (add_write(n, c, cmd, argc, argv))
        return GATE_PROPOSE;
    else
        reply_error(reply, "ERR a write of more than 2 GB is too large for the log");
    stats_error(&n->server.stats, reply->error_code);
    return GATE_REFUSED;
}

/* A read of data joins the entry being filled if its connection has a write there: that the entry is committed proves
 * what a round would. Otherwise this leader has to be confirmed after the read came. */
static bool must_confirm(struct node *n, const struct conn *c, const struct command *cmd) {
    if (!(cmd->flags & CMD_READONLY)) return false;
    if (c->pending > 0 && c->last_proposal == n->filling) return false;
    return !node_may_read(n, c);
}

/* Whether it need not be written down. Who would wait for something goes behind the writes that are on their way: one of them
 * may bring it, and an entry of its own afterwards would be a sync later. */
static bool changes_nothing(struct node *n, const struct conn *c, const struct command *cmd, int argc,
                            const struct slice *argv) {
    bool writes_are_under_way = n->tail.last_index > n->applied_index || n->filling->write_count > 0;
    if (writes_are_under_way && cmd_may_wait(cmd, argc, argv)) return false;
    return cmd_changes_nothing(cmd, n->ks, c->session.db, argc, argv);
}

/* ACL SETUSER and what else stands in the log in another form. False after answering. */
static bool prepare(struct node *n, struct conn *c, const struct command **cmd, int *argc,
                    const struct slice **argv, struct reply *reply) {
    struct server *s = &n->server;
    struct prepared *p = &s->prepared;
    uint32_t errors = reply->error_count;
    bool ok = cmd_prepare(s, &c->session, *cmd, *argc, *argv, false, reply);
    if (!ok) stats_error(&s->stats, reply->error_code);
    if (!ok || p->cmd != *cmd)
        cmd_account(s, &c->session, *cmd, *argc, *argv, node_now_us(n),
                    (int64_t)(mono_us() - n->turn_mono_us), reply->error_count > errors);
    if (!ok) return false;
    *cmd = p->cmd;
    *argc = p->argc;
    *argv = p->argv;
    return true;
}

static enum conn_verdict take_command(struct node *n, struct conn *c, int argc, const struct slice *argv) {
    const struct command *cmd = NULL;
    struct reply reply;
    n->answers_behind = false;
    if (c->tunnels && cmd_is_paused(&n->server, argc, argv, node_clock_ms(n))) return CONN_HOLD;
    if (c->tunnels) return node_tunnel(n, c, argc, argv);
    if (c->blocked || n->ks == NULL) return CONN_HOLD;
    /* What is behind a script that takes long stays there: the entry's operations are in the middle of being run. */
    if (n->server.script.is_running && c->pending > c->forwarded) return CONN_HOLD;
    time_from_here(n, c);
    /* A reply is written in place when nothing is owed to this connection, else it takes its place in line: here, among
     * what waits for the log, or there, among what the leader is to answer. */
    bool there = c->forwarded > 0, in_line = c->pending > 0;
    CHECK(!there || c->forwarded == c->pending);
    size_t out_before = c->out.len;
    if (in_line && !there && c->last_proposal->local.len + c->last_proposal->bytes.len >= IN_LINE_BYTES_MAX)
        return CONN_HOLD;
    if (in_line) buf_clear(&n->scratch);
    reply_init(&reply, in_line ? &n->scratch : &c->out, c->session.resp);
    enum gate gate = cmd_gate(&n->server, &c->session, argc, argv, node_clock_ms(n), &reply, &cmd);
    if (gate != GATE_NO_LEADER && gate != GATE_HOLD) c->waits_since_ms = 0;
    switch (gate) {
    case GATE_HOLD: return CONN_HOLD;
    case GATE_NO_LEADER:
        if (wait_for_leader(n, c, &reply) == CONN_HOLD) return CONN_HOLD;
        c->session.transaction.is_doomed = c->session.transaction.is_open;
        gate = GATE_REFUSED;
        break;
    case GATE_FORWARD: return node_forward(n, c, cmd, argc, argv);
    case GATE_TUNNEL: return node_open_tunnel(n, c, argc, argv);
    case GATE_EXEC: return node_exec(n, c, cmd);
    case GATE_PROPOSE:
        if (there) return CONN_HOLD;
        if (cmd_is_prepared(cmd, argc, argv)) {
            if (in_line) return CONN_HOLD;
            if (!prepare(n, c, &cmd, &argc, &argv, &reply)) {
                gate = GATE_REFUSED;
                break;
            }
        }
        if (!in_line && changes_nothing(n, c, cmd, argc, argv)) {
            if (node_may_read(n, c)) break;
            node_await_read(n, c);
            return CONN_PARK;
        }
        gate = take_write(n, c, cmd, argc, argv, &reply);
        if (gate == GATE_HOLD) return CONN_HOLD;
        if (gate != GATE_PROPOSE) break;
        return c->blocked ? CONN_BLOCK : CONN_NEXT;
    case GATE_RUN:
        if (there || (in_line && cmd_may_wait(cmd, argc, argv))) return CONN_HOLD;
        if (must_confirm(n, c, cmd)) {
            node_await_read(n, c);
            return CONN_PARK;
        }
        if (in_line) {
            if (c->pending_reads >= READS_IN_LINE_MAX) return CONN_HOLD;
            add_local(c, cmd, argc, argv);
            return CONN_NEXT;
        }
        break;
    case GATE_RUN_ALONE:
        if (in_line) return CONN_HOLD;
        if (cmd->flags & CMD_WRITE && !node_may_read(n, c)) {
            node_await_read(n, c);
            return CONN_PARK;
        }
        break;
    case GATE_RUN_NOW:
    case GATE_REFUSED: break;
    }
    if (cmd != NULL && cmd->runs_scripts && gate != GATE_REFUSED) {
        CHECK(!in_line);
        return script_read(n, c, cmd, argc, argv) ? CONN_NEXT : CONN_BLOCK;
    }
    struct cmd_wait wait = {0};
    struct reply_span span;
    span_begin(n, &span, c, cmd == NULL || !(cmd->flags & CMD_PUBSUB));
    if (gate == GATE_REFUSED)
        span.begin = in_line ? c->out.len : out_before;
    else
        node_run_now(n, c, cmd, argc, argv, &reply, &wait);
    bool silent = session_take_silence(&c->session);
    span_end(n, &span, silent);
    if (wait.waits) {
        CHECK(!in_line);
        c->blocked = true;
        node_block(n, c, cmd, c->session.db, argc, argv, silent, &wait);
        return CONN_BLOCK;
    }
    if (in_line && !silent) {
        if (there)
            forward_add_bytes(c, buf_slice(&n->scratch));
        else
            add_bytes(c->last_proposal, c, buf_slice(&n->scratch));
    }
    if (n->answers_behind && !in_line && !silent) {
        add_bytes(n->filling, c, slice_make(c->out.data + out_before, c->out.len - out_before));
        c->out.len = out_before;
    }
    if (in_line && n->scratch.cap > SPARE_BUFFER_MAX) buf_free(&n->scratch);
    if (!in_line && !c->closing) conn_touch(c);
    if (c->session.close_after_reply) conn_drain(c);
    return CONN_NEXT;
}

/* Of reads only: writes meet their keys when they are applied. Who reads is expected to go on reading. */
size_t node_coming(void *arg, const struct conn *c, struct slice input) {
    const struct node *n = arg;
    const struct command *last = c->session.last_command;
    if (n->ks == NULL || last == NULL || !(last->flags & CMD_READONLY)) return SIZE_MAX;
    struct slice keys[KS_PREFETCH_MAX];
    struct ks_hint hints[KS_PREFETCH_MAX];
    size_t count = resp_peek(input, keys, KS_PREFETCH_MAX);
    if (count < 2) return SIZE_MAX;
    for (size_t i = 0; i < count; i++) hints[i] = (struct ks_hint){.db = c->session.db, .key = keys[i]};
    ks_prefetch(n->ks, hints, count);
    return count;
}

enum conn_verdict node_command(void *arg, struct conn *c, int argc, const struct slice *argv) {
    struct node *n = arg;
    if (n->server.tracking.client_count > 0) tracking_limit(&n->server);
    enum conn_verdict verdict = take_command(n, c, argc, argv);
    if (c->session.tracking != NULL && (verdict == CONN_NEXT || verdict == CONN_BLOCK))
        tracking_command_taken(&c->session);
    return verdict;
}

/* --- into the log --- */

static void propose_filled(struct node *n) {
    struct proposal *p = n->filling;
    if (p->write_count == 0 || !n->readable) return;
    n->proposed_us = mono_us();
    p->clock_ms = node_clock_ms(n);
    entry_finish(
        &p->payload,
        &(struct entry_header){.clock_ms = p->clock_ms, .seed = rng_next(&n->rng), .count = p->write_count});
    /* Refused, it goes on filling, and connections are held: too much is uncommitted, or leadership moves. */
    if (!node_submit(n, p)) return;
    node_begin_filling(n);
}

/* One entry is under way, and what is small waits for it: it would be a sync of its own, and its clients are few. But who is far
 * away, or slow, is not waited for. */
static bool is_worth_a_second(const struct node *n) {
    enum { SECOND_BYTES_MIN = 16 << 10, SOON_US = 2000 };
    return n->filling->payload.len >= SECOND_BYTES_MIN || mono_us() - n->proposed_us >= SOON_US;
}

void node_propose_filled(struct node *n) {
    uint64_t under_way = n->tail.last_index - n->applied_index;
    if (n->filling->write_count == 0) return;
    bool may_go = under_way == 0 || (under_way < PROPOSALS_IN_FLIGHT && is_worth_a_second(n));
    if (may_go || n->filling->payload.len >= ENTRY_BYTES_MAX) propose_filled(n);
}

/* --- limits of encodings --- */

void node_begin_limits(struct node *n) {
    n->limits_told = *ks_limits(n->ks);
    node_propose_limits(n);
}

void node_propose_limits(struct node *n) {
    enum { COUNT = sizeof(struct ks_limits) / sizeof(int64_t) };
    struct ks_limits limits = config_limits(&n->server.config);
    if (!n->readable || memcmp(&limits, &n->limits_told, sizeof limits) == 0) return;
    n->limits_told = limits;
    char texts[COUNT][NUM_I64_MAX_LEN];
    struct slice argv[1 + COUNT] = {SLICE("_limits")};
    const int64_t *values = (const int64_t *)(const void *)&limits;
    for (size_t i = 0; i < COUNT; i++) argv[1 + i] = slice_make(texts[i], format_i64(texts[i], values[i]));
    struct proposal *p = n->filling;
    proposal_add_op(p, NULL, NULL);
    entry_add(&p->payload, 0, 1 + COUNT, argv);
    proposal_wrote(n, p);
}

/* --- users of the configuration --- */

static void propose_prepared(struct node *n, const struct prepared *prepared) {
    struct proposal *p = n->filling;
    proposal_add_op(p, NULL, prepared->cmd);
    entry_add(&p->payload, 0, prepared->argc, prepared->argv);
    proposal_wrote(n, p);
}

void node_begin_users(struct node *n) {
    struct server *s = &n->server;
    char hash[SHA256_HEX_LEN];
    if (!acl_state_has_users(n->ks)) {
        if (acl_is_plain(&s->acl)) return;
        acl_prepare_seed(s, &s->prepared);
        propose_prepared(n, &s->prepared);
        node_log("The users of this node's configuration become those of the cluster");
    } else if (acl_file_password(s, hash)) {
        struct slice argv[] = {SLICE("_requirepass"), SLICE("file"), slice_make(hash, sizeof hash)};
        struct prepared p = {.cmd = command_by_name(argv[0]), .argc = 3, .argv = argv};
        propose_prepared(n, &p);
        node_log("The requirepass of this node's configuration becomes that of the cluster");
    }
}

/* --- expiry: the leader finds what is due, everybody deletes it by the entry --- */

void node_propose_due(void *arg, int db, struct slice key) {
    struct node *n = arg;
    struct slice argv[2] = {SLICE("_expire"), key};
    struct proposal *p = n->filling;
    proposal_add_op(p, NULL, NULL);
    entry_add(&p->payload, (uint8_t)db, 2, argv);
    proposal_wrote(n, p);
    watch_suspect(&n->server.watches, key.data != NULL ? key : SLICE(""), p->serial);
    p->has_expiry = true;
}

void node_propose_expired(struct node *n) {
    if (!n->readable || !n->server.active_expire || n->expiry_in_flight || n->stopping ||
        n->server.refuse_writes || n->server.pause_until_ms > node_clock_ms(n) || node_is_in_the_middle(n))
        return;
    size_t found = ks_due(n->ks, node_clock_ms(n), EXPIRE_KEYS_MAX, node_propose_due, n);
    ks_clear_fault(n->ks); /* a row that cannot be read is met again by whoever needs it */
    n->expiry_in_flight = found > 0;
    n->expiry_again = found == EXPIRE_KEYS_MAX;
}
