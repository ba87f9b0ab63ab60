/* Commands that may run scripts (EVAL, FCALL) run on a stack of their own, so that a script that takes long can be left in the
 * middle, at one of the checkpoints that its engine calls at fixed amounts of work, and the loop goes on turning.
 *
 *     ended <--- the command returns --- RUNNING --- checkpoint ---> LEFT --- a turn later, it may go on ---> RUNNING
 *
 * A script that every node runs goes on, or ends, as the log says: behind the script's entry, an entry of kind VERDICT for each
 * checkpoint. The leader proposes them; the first one for a checkpoint counts, on every node and in every replay. A script that
 * only this node runs (it does not write, and is in no log) is decided about here. README.md, "Scripts that take long". */
#include "node_internal.h"

#include "mem.h"
#include "push.h"
#include "script.h"

#include <string.h>

static uint64_t ran_ms(const struct script_call *s) {
    return s->ran_ms_before + (mono_us() - s->since_us) / 1000;
}

/* --- what clients hear --- */

void script_tell(struct node *n) {
    const struct script_call *s = &n->script;
    struct running_script *r = &n->server.script;
    *r = (struct running_script){.is_running = node_is_in_the_middle(n)};
    if (!r->is_running) return;
    r->is_decided_here = n->role == RAFT_LEADER;
    if (s->ctx == NULL) return;
    int64_t threshold_ms = n->server.config.busy_reply_threshold;
    r->cmd = s->ctx->cmd;
    r->argc = s->ctx->argc;
    r->argv = s->ctx->argv;
    r->is_function = s->ctx->cmd->name[0] == 'f';
    r->has_written = s->has_written;
    r->ran_ms = (int64_t)ran_ms(s);
    r->is_overdue =
        threshold_ms > 0 && r->ran_ms >= threshold_ms && (r->is_decided_here || !s->is_over_there);
}

/* Who has the answer of a script, or of anything behind it, is not to hear from a node that is still at it that it is busy. (An
 * answer that was long on its way may be older than the script; who asks then waits for its end.) */
void script_is_over_there(struct node *n) {
    if (!n->server.script.is_running || n->script.is_over_there) return;
    n->script.is_over_there = true;
    script_tell(n);
}

bool node_is_in_the_middle(const struct node *n) {
    return n->script.ctx != NULL || n->applying.is_left || n->is_torn;
}

/* --- running --- */

/* On the script's stack. Once it has to end, it is not left again: whatever it still does is no other node's business. */
static const char *checkpoint(void *arg, uint64_t number, bool has_written) {
    struct node *n = arg;
    struct script_call *s = &n->script;
    (void)number; /* of this run; an entry may hold several */
    if (s->end != NULL) return s->end;
    s->has_written = has_written;
    if (s->is_replicated) s->checkpoint++;
    s->is_left = true;
    s->may_go_on = false;
    s->left_turn = n->turns;
    struct tracking *tracking = &n->server.tracking;
    bool caching = tracking->caching;
    const struct cmd_ctx *outermost = tracking->outermost;
    tracking->caching = false;
    tracking->outermost = NULL;
    push_leave(&n->server);
    fiber_leave(s->fiber);
    push_return(&n->server);
    tracking->caching = caching;
    tracking->outermost = outermost;
    s->is_left = false;
    return s->end;
}

static void run_cb(void *arg) {
    struct node *n = arg;
    cmd_run(n->script.ctx);
}

/* Its command has returned, or was left once more. */
static bool came_back(struct node *n, bool has_ended) {
    struct script_call *s = &n->script;
    if (has_ended) {
        s->ctx = NULL;
        s->end = NULL;
    }
    script_tell(n);
    return has_ended;
}

bool script_run(struct node *n, struct cmd_ctx *ctx, bool is_replicated) {
    struct script_call *s = &n->script;
    CHECK(s->ctx == NULL);
    if (s->fiber == NULL) s->fiber = fiber_new();
    s->limits =
        (struct script_limits){.arg = n, .checkpoint = checkpoint, .spent = is_replicated ? &s->spent : NULL};
    ctx->script_limits = &s->limits;
    s->ctx = ctx;
    s->is_replicated = is_replicated;
    s->has_written = false;
    s->kill = VERDICT_GOES_ON;
    s->ran_ms_before = 0;
    s->since_us = mono_us();
    if (fiber_call(s->fiber, run_cb, n)) {
        s->ctx = NULL; /* nearly all: nobody has seen that there was one */
        s->end = NULL;
        return true;
    }
    return came_back(n, false);
}

bool script_resume(struct node *n) {
    CHECK(n->script.is_left);
    CHECK(n->script.may_go_on);
    return came_back(n, fiber_resume(n->script.fiber));
}

void script_begin_entry(struct node *n, uint64_t index) {
    struct script_call *s = &n->script;
    s->entry_index = s->seen_index = index;
    s->is_over_there = false;
    s->checkpoint = s->proposed_checkpoint = s->spent = 0;
}

/* --- whether it goes on --- */

static const char *text_of(enum verdict_decision decision) {
    switch (decision) {
    case VERDICT_GOES_ON: return NULL;
    case VERDICT_SCRIPT_KILL: /* in Redis's words, for both */
    case VERDICT_FUNCTION_KILL: return "ERR Script killed by user with SCRIPT KILL...";
    case VERDICT_OVER_LIMIT: return "ERR Script ended: it ran for longer than script-run-ms-max.";
    }
    return NULL;
}

static enum verdict_decision decide(const struct node *n) {
    const struct script_call *s = &n->script;
    int64_t most_ms = n->server.config.script_run_ms_max;
    if (most_ms > 0 && ran_ms(s) >= (uint64_t)most_ms) return VERDICT_OVER_LIMIT;
    return s->has_written ? VERDICT_GOES_ON : s->kill;
}

static void take_verdict(struct node *n, enum verdict_decision decision, uint64_t after_ms) {
    struct script_call *s = &n->script;
    uint64_t own_ms = ran_ms(s);
    s->ran_ms_before = after_ms > own_ms ? after_ms : own_ms;
    s->since_us = mono_us();
    s->end = text_of(decision);
    s->may_go_on = true;
    if (s->end != NULL) node_log("%s", s->end + strlen("ERR "));
}

/* One entry behind the one that is being applied. */
static void look_at(struct node *n, uint64_t index, enum raft_entry_kind kind, struct slice payload) {
    struct script_call *s = &n->script;
    struct verdict v;
    CHECK(index == s->seen_index + 1);
    s->seen_index = index;
    if (kind != RAFT_ENTRY_VERDICT) return;
    if (verdict_decode(payload, &v) != RC_OK) {
        node_fail(n, "entry %llu, a verdict, is malformed", (unsigned long long)index);
        return;
    }
    if (v.index == s->entry_index && v.checkpoint == s->checkpoint) take_verdict(n, v.decision, v.ran_ms);
}

static enum rc look_at_stored(void *arg, const struct log_entry *e) {
    struct node *n = arg;
    look_at(n, e->index, (enum raft_entry_kind)e->kind, e->payload);
    return n->script.may_go_on || n->failed ? RC_BUSY : RC_OK;
}

/* Verdicts for one checkpoint are all behind the first one for the checkpoint before it, since whoever proposes one has seen that:
 * so what was looked at once need not be again. */
static void look_for_verdict(struct node *n) {
    struct script_call *s = &n->script;
    while (s->seen_index < n->apply_index && !s->may_go_on && !n->failed) {
        const struct proposal *p = tail_at(&n->tail, s->seen_index + 1);
        if (p != NULL) {
            look_at(n, p->index, p->kind, buf_slice(&p->payload));
            continue;
        }
        uint64_t to = n->tail.first_index - 1 < n->apply_index ? n->tail.first_index - 1 : n->apply_index;
        struct kv_error error = {.text = ""};
        enum rc rc = raft_log_read(n->log, s->seen_index + 1, to, look_at_stored, n, &error);
        if (rc != RC_OK && rc != RC_BUSY)
            node_fail(n, "the log cannot be read at entry %llu: %s %s", (unsigned long long)s->seen_index + 1,
                      rc_name(rc), error.text);
    }
}

/* A leader's, once for each checkpoint and term; refused, with the next turn. */
static void propose_verdict(struct node *n) {
    struct script_call *s = &n->script;
    if (n->role != RAFT_LEADER || (s->proposed_checkpoint == s->checkpoint && s->proposed_term == n->term))
        return;
    struct verdict v = {
        .decision = decide(n), .index = s->entry_index, .checkpoint = s->checkpoint, .ran_ms = ran_ms(s)};
    struct proposal *p = proposal_new(n);
    p->kind = RAFT_ENTRY_VERDICT;
    buf_clear(&p->payload);
    verdict_encode(&p->payload, &v);
    if (!node_submit(n, p)) {
        proposal_release(n, p);
        return;
    }
    s->proposed_checkpoint = s->checkpoint;
    s->proposed_term = n->term;
}

/* Alone with it, this node decides. Who leads no more has nobody to answer, and has to apply what others propose. */
static void decide_here(struct node *n) {
    struct script_call *s = &n->script;
    take_verdict(n, decide(n), ran_ms(s));
    if (s->end == NULL && !n->readable) s->end = "ERR Script ended: this node does not lead any more.";
}

/* The sockets were looked at since it was left, so a SCRIPT KILL that had come by then was heard. */
static bool has_had_a_turn(const struct node *n) {
    return n->turns != n->script.left_turn;
}

void script_look(struct node *n) {
    struct script_call *s = &n->script;
    if (!s->is_left || s->may_go_on) return;
    if (!s->is_replicated) {
        if (has_had_a_turn(n)) decide_here(n);
        return;
    }
    look_for_verdict(n);
    if (!s->may_go_on && !n->failed && has_had_a_turn(n)) propose_verdict(n);
}

bool script_is_due(const struct node *n) {
    const struct script_call *s = &n->script;
    if (!s->is_left) return n->applying.is_left && !n->is_torn;
    return s->may_go_on || !s->is_replicated || !has_had_a_turn(n) || s->seen_index < n->apply_index;
}

void node_kill_script(struct node *n, bool is_function) {
    struct script_call *s = &n->script;
    if (s->ctx != NULL) s->kill = is_function ? VERDICT_FUNCTION_KILL : VERDICT_SCRIPT_KILL;
}

/* --- one that only reads, of a connection --- */

struct script_read {
    struct conn *conn;
    bool silent;
    struct cmd_ctx ctx;
    struct reply reply;
    struct buf bytes; /* the arguments', which the connection's input does not keep */
    struct slice argv[];
};

static struct script_read *read_new(struct node *n, struct conn *c, const struct command *cmd, int argc,
                                    const struct slice *argv) {
    struct script_read *r = mem_calloc(1, sizeof *r + (size_t)argc * sizeof *argv);
    r->conn = c;
    size_t size = 0;
    for (int i = 0; i < argc; i++) size += argv[i].len;
    buf_reserve(&r->bytes, size);
    for (int i = 0; i < argc; i++) {
        r->argv[i] = slice_make(buf_tail(&r->bytes), argv[i].len);
        buf_add_slice(&r->bytes, argv[i]);
    }
    buf_clear(&n->script.out);
    reply_init(&r->reply, &n->script.out, c->session.resp);
    r->ctx = (struct cmd_ctx){.cmd = cmd,
                              .argc = argc,
                              .argv = r->argv,
                              .reply = &r->reply,
                              .ks = n->ks,
                              .server = &n->server,
                              .session = &c->session,
                              .db = c->session.db,
                              .now_ms = node_read_clock_ms(n),
                              .now_us = n->now_us,
                              .rng = &n->rng,
                              .arena = &n->script.arena,
                              .user = c->session.user->is_unrestricted ? NULL : c->session.user};
    return r;
}

static void answer(struct node *n, struct script_read *r) {
    struct conn *c = r->conn;
    node_command_ran(n, &r->ctx, (struct command_start){.began_us = n->script.began_us});
    if (!c->closing && !r->silent) buf_add_slice(&c->out, buf_slice(&n->script.out));
    push_release(&n->server);
    if (!c->closing) conn_touch(c);
    script_drop_output(n);
    buf_free(&r->bytes);
    mem_free(r);
}

bool script_read(struct node *n, struct conn *c, const struct command *cmd, int argc,
                 const struct slice *argv) {
    struct script_call *s = &n->script;
    struct script_read *r = read_new(n, c, cmd, argc, argv);
    r->silent = session_take_silence(&c->session);
    s->began_us = mono_us();
    CHECK(push_hold(&n->server, &c->session));
    if (script_run(n, &r->ctx, false)) {
        answer(n, r);
        return true;
    }
    CHECK(s->read == NULL);
    s->read = r;
    c->blocked = true;
    c->pending++; /* it stays until it is answered */
    return false;
}

/* Between turns, as that is when nothing else is in the middle of anything. */
static void go_on_reading(struct node *n) {
    struct script_read *r = n->script.read;
    struct conn *c = r->conn;
    if (!script_resume(n)) return;
    n->script.read = NULL;
    answer(n, r);
    script_tell(n);
    node_unblocked(n, c);
    conn_let_go(c);
}

/* --- turns, and the end --- */

void script_turn(struct node *n) {
    if (n->abandons_script) {
        node_abandon_script(n);
        if (n->is_torn) loop_stop(n);
        n->abandons_script = false;
    }
    script_look(n);
    if (n->script.read != NULL && n->script.may_go_on && !n->failed) go_on_reading(n);
    if (n->server.script.is_running || node_is_in_the_middle(n)) script_tell(n);
}

void script_drop_output(struct node *n) {
    enum { KEEP_MAX = 1 << 20 };
    if (n->script.out.cap > KEEP_MAX)
        buf_free(&n->script.out);
    else
        buf_clear(&n->script.out);
}

void node_abandon_script(struct node *n) {
    struct script_call *s = &n->script;
    bool in_script = s->is_left;
    if (in_script) {
        s->end = "ERR Script ended: this node does not go on with it.";
        s->may_go_on = true;
        if (s->read != NULL) {
            go_on_reading(n);
            CHECK(s->read == NULL);
            return;
        }
        CHECK(script_resume(n));
    }
    apply_abandon(n, in_script);
    script_tell(n);
}

void script_free(struct script_call *s) {
    fiber_free(s->fiber);
    arena_free(&s->arena);
    buf_free(&s->out);
}
