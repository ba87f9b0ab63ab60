/* Out of the log: committed entries, in order, the same code on every node. Where somebody here waits for an entry,
 * the replies go straight into the waiting connections; otherwise they are discarded. */
#include "cmd_block.h"
#include "node_internal.h"

#include "mem.h"
#include "push.h"

/* What a command that waits wants to be kept of its arguments may stand there still. */
static void reset_arena(const struct cmd_ctx *c) {
    if (c->wait == NULL || !c->wait->waits) arena_reset(c->arena);
}

static uint32_t errors_of(const struct cmd_ctx *c) {
    return c->reply->error_count + c->reply->told_error_count;
}

void node_command_ran(struct node *n, struct cmd_ctx *c, struct command_start start) {
    const char *fault = ks_fault(n->ks);
    if (fault != NULL) {
        bool is_logged = c->cmd->flags & CMD_WRITE && !(c->cmd->flags & CMD_ALONE);
        if (is_logged) {
            node_fail(n, "an entry cannot be applied: %s", fault);
        } else {
            if (c->reply->out) c->reply->out->len = start.out_len;
            reply_errorf(c->reply, "ERR the data on disk could not be read: %s", fault);
            ks_clear_fault(n->ks);
        }
    }
    if (c->session == NULL || c->is_served || (c->cmd->flags & CMD_INTERNAL)) {
        /* Nobody here waits for it, or it was counted when it began to wait. */
        reset_arena(c);
        return;
    }
    uint64_t now = mono_us();
    int64_t took = (int64_t)(now - (start.began_us != 0 ? start.began_us : n->turn_mono_us));
    n->turn_mono_us = now;
    if (c->wait != NULL && c->wait->waits)
        cmd_account_wait(&n->server, c->cmd, took);
    else
        cmd_account(&n->server, c->session, c->cmd, c->argc, c->argv, node_now_us(n), took,
                    errors_of(c) > start.errors);
    reset_arena(c);
}

/* Runs and accounts for one command. The clock is read once: the end of one command is the start of the next. */
void node_run_command(struct node *n, struct cmd_ctx *c) {
    struct command_start start = {.errors = errors_of(c), .out_len = c->reply->out ? c->reply->out->len : 0};
    cmd_run(c);
    node_command_ran(n, c, start);
}

/* What replicas of Redis are told together: a command, or all of a transaction. */
static void end_unit(struct node *n) {
    struct applying *a = &n->applying;
    if (a->execution.head != NULL || (a->unwatched_writes > 0 && --a->unwatched_writes > 0)) return;
    if (feed_is_on(&n->server.feed)) feed_end_unit(&n->server);
}

/* --- scripts --- */

/* What was read from the log for this entry alone goes when the replay is left: the entry goes on with a copy. */
static void keep_payload(struct node *n) {
    struct applying *a = &n->applying;
    if (a->p != NULL || a->is_copied) return;
    buf_clear(&a->copy);
    buf_add_slice(&a->copy, a->payload);
    entry_move(&n->reader, a->payload.data, a->copy.data);
    entry_move(&n->scout, a->payload.data, a->copy.data);
    a->payload = buf_slice(&a->copy);
    a->is_copied = true;
}

static void script_ended(struct node *n) {
    struct applying *a = &n->applying;
    struct conn *c = a->conn;
    node_command_ran(n, &a->ctx, (struct command_start){.began_us = n->script.began_us});
    if (c != NULL && !c->closing && a->reply.out != NULL) buf_add_slice(&c->out, buf_slice(&n->script.out));
    if (a->holds) push_release(&n->server);
    script_drop_output(n);
    end_unit(n);
}

/* Its context is to outlast this turn, and its reply is kept apart until it is whole. False: it was left in the middle. */
static bool apply_script(struct node *n, const struct op *op, const struct cmd_ctx *ctx, bool is_replicated) {
    struct applying *a = &n->applying;
    keep_payload(n);
    a->conn = op->conn;
    a->ctx = *ctx;
    a->reply = *ctx->reply;
    a->ctx.reply = &a->reply;
    a->ctx.wait = NULL;
    a->ctx.arena = &n->script.arena;
    buf_clear(&n->script.out);
    if (a->reply.out != NULL) a->reply.out = &n->script.out;
    a->has_run_script = true;
    n->script.began_us = mono_us();
    if (a->since_us == 0) a->since_us = n->script.began_us;
    a->holds = push_hold(&n->server, ctx->session);
    if (!script_run(n, &a->ctx, is_replicated)) return false;
    script_ended(n);
    return true;
}

/* A command that may have to wait was applied, or one that waits was offered what there is. */
static void after_wait(struct node *n, const struct op *op, const struct cmd_ctx *ctx) {
    struct conn *c = op->conn;
    if (ctx->session == NULL)
        return; /* nobody waits any more: what it took is lost, as what a dead socket takes */
    if (node_is_serve(ctx->cmd))
        node_serve_ran(n, c, ctx);
    else if (ctx->wait->waits)
        node_block(n, c, ctx->cmd, ctx->db, ctx->argc, ctx->argv, op->silent, ctx->wait);
    else
        node_unblocked(n, c);
}

/* Of _SERVE, the command it is about. */
static bool serve_is_known(const struct command *cmd, const struct entry_reader *r) {
    return !node_is_serve(cmd) || (r->argc > 2 && command_lookup(r->argc - 2, r->argv + 2) != NULL);
}

/* In a transaction that is being applied, where only its entry's clock counts. */
static int64_t clock_of_read(struct node *n, const struct command *cmd, bool in_exec) {
    if (in_exec) return n->reader.header.clock_ms;
    return cmd->flags & CMD_READONLY ? node_read_clock_ms(n) : node_clock_ms(n);
}

/* Whose script it is, as the state has it here. Who was deleted may do nothing. */
static const struct acl_user *user_of_entry(const struct node *n, struct slice name) {
    const struct acl *acl = &n->server.acl;
    const struct acl_user *user = acl_find(acl, name);
    return user != NULL ? user : &acl->nobody;
}

static const struct acl_user *rights_of(const struct session *s) {
    return s == NULL || s->user->is_unrestricted ? NULL : s->user;
}

/* `in_exec`: in a transaction, where nothing waits. False: it is a script, and was left in the middle. */
static bool apply_one(struct node *n, const struct op *op, struct entry_reader *r, bool is_write,
                      bool in_exec) {
    static const struct op nobody = {0};
    int argc = r->argc;
    const struct slice *argv = r->argv;
    const struct acl_user *user = NULL;
    if (op == NULL) op = &nobody;
    struct entry_prefix prefix = {0};
    if (is_write) prefix = node_prefix(r);
    if (prefix.is_as) user = user_of_entry(n, prefix.user);
    argc -= prefix.argc;
    argv += prefix.argc;
    struct conn *c = op->conn;
    struct reply reply;
    struct session *session = c != NULL && !c->closing ? &c->session : NULL;
    reply_init(&reply, session && !op->silent ? &c->out : NULL,
               op->resp != 0     ? op->resp
               : session != NULL ? session->resp
                                 : 2);
    const struct command *cmd = op->cmd ? op->cmd : command_lookup(argc, argv);
    if (cmd == NULL ||
        !serve_is_known(cmd,
                        r)) { /* written by a newer version: skipping it would make this node's data differ */
        node_fail(n, "entry with an unknown command '%.*s'", (int)argv[0].len, argv[0].data);
        return true;
    }
    struct cmd_ctx ctx = {.cmd = cmd,
                          .argc = argc,
                          .argv = argv,
                          .reply = &reply,
                          .ks = n->ks,
                          .server = &n->server,
                          .session = session,
                          .db = r->db,
                          .now_ms = is_write ? r->header.clock_ms : clock_of_read(n, cmd, in_exec),
                          .now_us = n->now_us,
                          .rng = is_write ? &n->applying.rng : &n->rng,
                          .arena = &n->arena,
                          .user = is_write ? user : rights_of(session),
                          .terms = prefix.terms};
    struct cmd_wait wait = {0};
    bool has_ended = true;
    if (session != NULL && op->waits) ctx.wait = &wait;
    n->server.tracking.caching = op->caching;
    if (cmd->runs_scripts) {
        has_ended = apply_script(n, op, &ctx, is_write);
    } else if (session != NULL && !in_exec) {
        struct reply_span span;
        span_begin(n, &span, c, !(cmd->flags & CMD_PUBSUB));
        node_run_command(n, &ctx);
        span_end(n, &span, false);
    } else {
        node_run_command(n, &ctx);
    }
    n->server.tracking.caching = false;
    if (!cmd->runs_scripts) end_unit(n);
    if (op->waits) after_wait(n, op, &ctx);
    return has_ended;
}

/* The first argument is right for nearly all commands, and harmless for the rest; but a script's first key is the third. */
static struct slice likely_key(int argc, const struct slice *argv) {
    bool runs_script =
        argc > 3 && argv[0].len >= 4 &&
        (strncasecmp(argv[0].data, "eval", 4) == 0 || strncasecmp(argv[0].data, "fcal", 4) == 0);
    if (runs_script) return argv[3];
    return argc > 1 ? argv[1] : SLICE("");
}

/* The next command of the payload. Every so many, a scout runs ahead and has their keys fetched into the cache. */
static int next_write(struct node *n) {
    struct entry_reader *r = &n->reader;
    if ((r->header.count - r->commands_left) % KS_PREFETCH_MAX == 0 && r->commands_left > 1) {
        struct ks_hint hints[KS_PREFETCH_MAX];
        size_t count = 0;
        while (count < KS_PREFETCH_MAX && entry_next(&n->scout) == 1) {
            hints[count].db = n->scout.db < KS_DB_COUNT ? n->scout.db : 0;
            hints[count++].key = likely_key(n->scout.argc, n->scout.argv);
        }
        ks_prefetch(n->ks, hints, count);
    }
    return entry_next(r);
}

/* --- transactions --- */

/* A head that makes no sense was written by a newer version. */
static bool open_head(struct node *n, uint32_t *writes, bool *is_over) {
    if (node_exec_head(&n->reader, writes, is_over)) return true;
    node_fail(n, "the head of a transaction in the log is malformed");
    return false;
}

static void end_execution(struct node *n, struct execution *e) {
    struct conn *c = e->head->conn;
    bool waits = e->head->waits;
    e->head = NULL;
    if (e->holds) push_release(&n->server);
    span_end(n, &e->span, false);
    end_unit(n);
    node_serve_readers(n);
    if (c->closing) return;
    node_exec_ended(n, c, command_by_name(SLICE("exec")));
    if (waits) node_unblocked(n, c);
}

static void begin_execution(struct node *n, struct execution *e, const struct op *op) {
    uint32_t writes;
    CHECK(next_write(n) == 1);
    CHECK(node_is_exec(&n->reader));
    if (!open_head(n, &writes, &e->is_over)) return;
    e->head = op;
    e->left = op->len;
    e->holds = push_hold(&n->server, op->conn->closing ? NULL : &op->conn->session);
    span_begin(n, &e->span, op->conn, true);
    struct reply reply;
    reply_init(&reply, op->conn->closing || op->silent ? NULL : &op->conn->out, op->resp);
    if (e->is_over)
        reply_null_array(&reply);
    else
        reply_array(&reply, op->len);
}

/* It looks at no data, and forgets none: DEBUG RELOAD in the middle of an entry would. */
static bool is_harmless_debug(const struct entry_reader *r) {
    return r->argc > 1 && (slice_is(r->argv[1], "sleep") || slice_is(r->argv[1], "set-active-expire") ||
                           slice_is(r->argv[1], "protocol") || slice_is(r->argv[1], "log"));
}

/* One operation of it. What only reads is of no use to who is gone, and what is about the session has none; who listens is to
 * hear of it. */
static bool execute_op(struct node *n, const struct op *op, struct entry_reader *r) {
    bool is_write = op->kind == OP_WRITE;
    bool is_for_others = op->cmd->flags & (CMD_WRITE | CMD_MAY_REPLICATE);
    if (n->applying.execution.is_over || (!is_for_others && op->conn->closing)) return true;
    if (!is_write && op->cmd->flags & CMD_GUARDED && !is_harmless_debug(r)) {
        struct reply reply;
        reply_init(&reply, op->silent ? NULL : &op->conn->out, 2);
        reply_error(&reply, "ERR DEBUG cannot be part of a transaction that writes");
        return true;
    }
    return apply_one(n, op, r, is_write, true);
}

/* --- an entry --- */

/* Many scripts in one entry take as long as one that does not end: between two of them the entry is left as well. */
static bool has_had_its_time(struct node *n) {
    enum { ENTRY_US = 50000 };
    struct applying *a = &n->applying;
    if (!a->has_run_script || a->since_us == 0) return false;
    a->has_run_script = false;
    return mono_us() - a->since_us >= ENTRY_US;
}

/* An entry that nobody here waits for: a transaction's head says whether what follows it happens. False: it was left. */
static bool apply_unwatched(struct node *n) {
    int more = 1;
    while (!n->failed && !has_had_its_time(n) && (more = next_write(n)) == 1) {
        uint32_t writes = 0;
        bool is_over = false;
        if (!node_is_exec(&n->reader)) {
            if (!apply_one(n, NULL, &n->reader, true, false)) return false;
            continue;
        }
        if (!open_head(n, &writes, &is_over)) return true;
        n->applying.unwatched_writes = is_over ? 0 : writes;
        while (is_over && writes-- > 0)
            if (next_write(n) != 1) break;
    }
    if (!n->failed && more < 0) node_fail(n, "an entry is malformed");
    return n->failed || more < 1;
}

/* False: it is a script, and was left in the middle. */
static bool begin_op(struct node *n, const struct op *op) {
    struct applying *a = &n->applying;
    struct conn *c = op->conn;
    a->in_exec = a->execution.head != NULL;
    switch (op->kind) {
    case OP_WRITE:
        CHECK(next_write(n) == 1);
        return a->in_exec ? execute_op(n, op, &n->reader) : apply_one(n, op, &n->reader, true, false);
    case OP_EXEC: begin_execution(n, &a->execution, op); return true;
    case OP_RUN:
        CHECK(entry_next(&n->local_reader) == 1);
        return a->in_exec ? execute_op(n, op, &n->local_reader)
                          : apply_one(n, op, &n->local_reader, false, false);
    case OP_BYTES:
        if (!c->closing && !(a->in_exec && a->execution.is_over))
            buf_add(&c->out, a->p->bytes.data + a->bytes_at, op->len);
        a->bytes_at += op->len;
        return true;
    }
    return true;
}

static void end_op(struct node *n, const struct op *op) {
    struct applying *a = &n->applying;
    struct conn *c = op->conn;
    if (op->kind == OP_WRITE) {
        if (c != NULL) c->session.write_index = a->p->index;
        if (!a->in_exec) node_serve_readers(n);
    } else if (op->kind == OP_RUN) {
        c->pending_reads--;
    }
    if (a->in_exec && --a->execution.left == 0) end_execution(n, &a->execution);
    a->p->ops_done++;
    if (c == NULL) return;
    if (!c->closing) conn_touch(c);
    if (op->kind == OP_WRITE && c->session.close_after_reply) conn_drain(c); /* its user is no more */
    conn_let_go(c);
}

/* Operations in their order, each taking its command from the payload, from the local commands, or ready made. False: it was
 * left. */
static bool apply_ops(struct node *n) {
    struct proposal *p = n->applying.p;
    while (p->ops_done < p->op_count && !n->failed) {
        if (has_had_its_time(n)) return false;
        const struct op *op = &p->ops[p->ops_done];
        if (!begin_op(n, op)) return false;
        end_op(n, op);
    }
    return true;
}

static bool has_ops(const struct applying *a) {
    return a->p != NULL && a->p->op_count > 0;
}

static void end_entry(struct node *n) {
    struct applying *a = &n->applying;
    a->is_left = n->in_entry = false;
    if (a->is_copied) buf_free(&a->copy);
    ks_forget_prepared(n->ks);
    if (!n->failed)
        ks_set_applied(n->ks, (struct ks_applied){
                                  .index = a->index, .term = a->term, .clock_ms = n->reader.header.clock_ms});
}

/* Its operations, or the rest of them. False: it was left, and is to be gone on with. */
static bool apply_commands(struct node *n) {
    struct applying *a = &n->applying;
    a->since_us = 0;
    if (has_ops(a) ? apply_ops(n) : apply_unwatched(n)) {
        end_entry(n);
        return true;
    }
    a->is_left = true;
    if (!n->script.is_left) push_leave(&n->server);
    script_tell(n);
    return false;
}

static bool apply_payload(struct node *n, struct slice payload, uint64_t index, uint64_t term,
                          struct proposal *p) {
    struct applying *a = &n->applying;
    if (!entry_open(&n->reader, payload) || !entry_open(&n->scout, payload)) {
        node_fail(n, "entry %llu is malformed", (unsigned long long)index);
        return true;
    }
    node_clock_seen(n, n->reader.header.clock_ms);
    a->index = index;
    a->term = term;
    a->payload = payload;
    a->p = p;
    a->is_copied = a->has_run_script = false;
    a->unwatched_writes = 0;
    a->rng = (struct rng){n->reader.header.seed};
    a->bytes_at = 0;
    a->execution.head = NULL;
    script_begin_entry(n, index);
    ks_begin_entry(n->ks);
    n->in_entry = true;
    if (has_ops(a) && p->local_count > 0) {
        entry_finish(&p->local, &(struct entry_header){.count = p->local_count});
        CHECK(entry_open(&n->local_reader, buf_slice(&p->local)));
    }
    return apply_commands(n);
}

/* The entry that was left. True when it is done. */
static bool go_on(struct node *n) {
    struct applying *a = &n->applying;
    if (n->is_torn) return false;
    n->turn_mono_us = mono_us();
    if (n->script.is_left) {
        if (n->script.read != NULL || !n->script.may_go_on) return false;
        if (!script_resume(n)) return false;
        script_ended(n);
        if (has_ops(a)) end_op(n, &a->p->ops[a->p->ops_done]);
    } else {
        push_return(&n->server);
    }
    return apply_commands(n);
}

void apply_abandon(struct node *n, bool in_script) {
    struct applying *a = &n->applying;
    if (!a->is_left) return;
    if (!in_script)
        push_return(&n->server);
    else if (a->holds)
        push_release(&n->server);
    arena_reset(&n->script.arena);
    if (a->execution.head != NULL) {
        if (a->execution.holds) push_release(&n->server);
        span_end(n, &a->execution.span, false);
    }
    if (a->is_copied) buf_free(&a->copy);
    script_drop_output(n);
    a->is_left = n->in_entry = false;
    n->is_torn = true;
}

/* An entry without commands and without a clock: a no-op, a configuration, or what became of a script. */
static void pass_over(struct node *n, enum raft_entry_kind kind, struct slice payload, uint64_t index,
                      uint64_t term) {
    ks_begin_entry(n->ks);
    if (kind == RAFT_ENTRY_MEMBERS) ks_set_members(n->ks, index, payload);
    ks_set_applied(n->ks,
                   (struct ks_applied){.index = index, .term = term, .clock_ms = ks_applied(n->ks).clock_ms});
}

/* A kind that is not known was written by a newer version: skipping it would make this node's data differ. False: it was
 * left in the middle. */
static bool apply_entry(struct node *n, enum raft_entry_kind kind, struct slice payload, uint64_t index,
                        uint64_t term, struct proposal *p) {
    switch (kind) {
    case RAFT_ENTRY_COMMANDS: return apply_payload(n, payload, index, term, p);
    case RAFT_ENTRY_NOOP:
    case RAFT_ENTRY_VERDICT:
    case RAFT_ENTRY_MEMBERS: pass_over(n, kind, payload, index, term); return true;
    }
    node_fail(n, "entry %llu is of the unknown kind %d", (unsigned long long)index, (int)kind);
    return true;
}

/* Answered. What comes to the front of the line next is kept for followers that still need it. */
static void finish(struct node *n, struct proposal *p) {
    bool had_expiry = p->has_expiry;
    n->unapplied_bytes -= p->payload.len;
    if (p->serial > 0) n->applied_serial = p->serial;
    proposal_answered(p);
    if (!had_expiry) return;
    n->expiry_in_flight = false;
    if (n->expiry_again) node_propose_expired(n);
}

/* A node with companions has to answer them meanwhile, or they would think it dead: who is far behind, and has commands whose
 * data are on disk only, could be busy for seconds with what arrives at once. The rest comes with the next turns. */
static void limit_time(struct node *n) {
    enum { APPLY_US = 20000 };
    n->apply_until_us = n->members.count > 1 ? mono_us() + APPLY_US : UINT64_MAX;
}

static bool may_go_on(const struct node *n) {
    return n->apply_until_us == UINT64_MAX || mono_us() < n->apply_until_us;
}

/* Replay of what the log holds beyond the state on disk. */
static enum rc replay_entry(void *arg, const struct log_entry *e) {
    struct node *n = arg;
    if (!apply_entry(n, (enum raft_entry_kind)e->kind, e->payload, e->index, e->term, NULL)) return RC_BUSY;
    n->applied_index = e->index;
    if (n->failed) return RC_STOPPED;
    node_relieve_memory(n); /* the tail of the log may be larger than memory */
    return may_go_on(n) ? RC_OK : RC_BUSY;
}

static void replay(struct node *n, uint64_t to) {
    struct kv_error error = {.text = ""};
    enum rc rc = raft_log_read(n->log, n->applied_index + 1, to, replay_entry, n, &error);
    if (rc != RC_OK && rc != RC_BUSY && !n->failed)
        node_fail(n, "the log cannot be read at entry %llu: %s %s", (unsigned long long)n->applied_index + 1,
                  rc_name(rc), error.text);
}

/* --- large values, beforehand --- */

enum { PREPARE_MIN = 4 << 20, PREPARE_BYTES_PER_TURN = 8 << 20 };

/* The value that such a command sets, with the key in front of it; 0: another command, or none that is so long. */
static int large_value_at(const struct entry_reader *r) {
    static const char *const setters[] = {"set", "setex", "psetex", "setnx", "getset", "mset", "msetnx"};
    bool is_setter = false;
    for (size_t i = 0; i < sizeof setters / sizeof *setters && !is_setter; i++)
        is_setter = slice_is(r->argv[0], setters[i]);
    for (int i = 2; is_setter && i < r->argc; i++)
        if (r->argv[i].len >= PREPARE_MIN) return i;
    return 0;
}

static struct slice key_of_value(const struct entry_reader *r, int at) {
    bool has_many = r->argv[0].len > 0 && (r->argv[0].data[0] | 0x20) == 'm';
    return r->argv[has_many ? at - 1 : 1];
}

/* Whether the entry can be applied now. The value that a large one sets is copied first, some of it each turn, since nobody
 * could be answered while all of it is copied; that it is committed, and so is never replaced by another one, makes the place
 * of its bytes a name for them until it is applied. */
static bool is_prepared(struct node *n, const struct proposal *p) {
    struct entry_reader r;
    bool is_done = true;
    if (p->kind != RAFT_ENTRY_COMMANDS || p->payload.len < PREPARE_MIN) return true;
    entry_reader_init(&r);
    if (entry_open(&r, buf_slice(&p->payload)) && entry_next(&r) == 1 && r.db < KS_DB_COUNT) {
        int at = large_value_at(&r);
        if (at > 0)
            is_done =
                ks_prepare_string(n->ks, r.db, key_of_value(&r, at), r.argv[at], PREPARE_BYTES_PER_TURN);
    }
    entry_reader_free(&r);
    n->preparing_index = is_done ? 0 : p->index;
    return is_done;
}

static void apply_recent(struct node *n, uint64_t to) {
    n->timed = NULL;
    n->turn_mono_us = mono_us();
    while (n->applied_index < to && !n->failed) {
        struct proposal *p = tail_at(&n->tail, n->applied_index + 1);
        CHECK(p != NULL);
        CHECK(p->index == n->applied_index + 1);
        if (!is_prepared(n, p)) return;
        if (!apply_entry(n, p->kind, buf_slice(&p->payload), p->index, p->term, p)) return;
        n->applied_index = p->index;
        if (!n->failed) finish(n, p);
        if (!may_go_on(n)) return;
    }
}

/* The entry that was left, first. False: it has to be left again, or still. */
static bool apply_left(struct node *n) {
    struct applying *a = &n->applying;
    if (!a->is_left) return true;
    n->timed = NULL;
    if (!go_on(n)) return false;
    n->applied_index = a->index;
    if (n->failed) return false;
    if (a->p != NULL) finish(n, a->p);
    return true;
}

void node_apply(struct node *n) {
    uint64_t before = n->applied_index;
    if (n->failed || n->script.read != NULL) return;
    script_look(n);
    limit_time(n);
    if (!apply_left(n)) return;
    uint64_t to = n->apply_index, old_to = n->tail.first_index - 1 < to ? n->tail.first_index - 1 : to;
    if (n->applied_index < old_to) replay(n, old_to);
    if (n->applied_index >= old_to && !n->applying.is_left) apply_recent(n, to);
    if (n->failed || n->applied_index == before) return;
    if (n->server.script.is_running) script_tell(n);
    struct raft_event event = {.type = RAFT_EVENT_APPLIED, .index = n->applied_index};
    node_step(n, &event);
    if (!n->applying.is_left) node_trim_tail(n);
}
