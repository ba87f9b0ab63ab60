/* Clients of the leader that are connected to this node: each gets a connection of its own to the leader, on which its
 * commands go and from which the replies come, as they are. Commands about this node are answered here; their replies
 * take their place among those of the leader.
 *
 *   client  --- GET, SET ... --->  conn  --- the same bytes --->  upstream  --->  leader's peer port, a conn like any other
 *           <--- replies in order --     <--- literals, replies --
 *
 * A client that is told things unasked (SUBSCRIBE) has a tunnel from then on: nothing is read on the way any more.
 *
 * What is not sent waits for a leader. What is sent and not answered when the way breaks is asked again if it only reads;
 * otherwise it is of unknown outcome: the client's connection closes, after what did come was passed on. */
#include "cmd_block.h"
#include "events.h"
#include "monitor.h"
#include "node_internal.h"

#include "mem.h"
#include "num.h"
#include "resp_skim.h"
#include "upstream.h"

#include <stdio.h>
#include <string.h>

enum { LITERALS_MAX = 16 << 20 };

/* What is owed, in order. */
struct expected {
    enum {
        FOR_CLIENT,
        SILENCED,
        OURS,
        LITERAL
    } kind; /* SILENCED: CLIENT REPLY; OURS: of what we told the leader */
    size_t
        len; /* LITERAL: so many bytes of `literals`; FOR_CLIENT, when it only reads: of `reads`; otherwise 0 */
    bool waits;                       /* for what may never come (BLPOP) */
    bool is_about_users;              /* ACL SETUSER: its answer is held until it holds here, too ... */
    uint64_t users_change;            /* ... which is when acl.changes is no longer this */
    bool is_exec;                     /* of a transaction that changes the session: SELECT, HELLO */
    const struct config_row *setting; /* CONFIG SET, with a value of so many bytes ... */
    size_t setting_len;               /* ... of `settings` */
    bool needs_state;                 /* nobody answers it in the middle of a script */
};

struct forward {
    struct list link; /* in node->forwards */
    struct node *node;
    struct conn *conn;
    struct upstream *upstream; /* NULL: none is open */
    uint64_t leader_id, retry_at_ms;
    int db;
    uint8_t resp;
    struct resp_skim skim;
    struct expected *queue; /* [first, first + count) */
    size_t first, count, cap;
    struct buf literals;
    struct buf reads; /* the requests of unanswered reads, to be asked again, from reads_at on */
    size_t reads_at;
    size_t others; /* what is expected beside those: it cannot be asked again */
    /* The session as a transaction that is being queued there will leave it, if it does; `executes`: it does. */
    bool changes_session, executes;
    bool is_tunnel,
        is_finished;   /* it stands for one reply that never ends; and the client will send no more */
    bool changes_user; /* AUTH is queued there: who it will be is known there only */
    int exec_db;
    uint8_t exec_resp;
    struct buf
        password; /* a requirepass that was set there, until it is answered: CONFIG GET of this node shows it, too */
    struct buf settings; /* likewise; and this node may lead one day */
    struct buf held;     /* came behind the beginning of an answer about users, which is held */
    uint64_t held_change, held_until_ms;
    size_t waiting; /* of what is expected, that waits: it ends with the client */
};

/* --- who leads --- */

static void add_length(struct buf *out, char type, uint64_t length) {
    char text[NUM_I64_MAX_LEN + 3];
    text[0] = type;
    size_t len = 1 + format_u64(text + 1, length);
    text[len++] = '\r';
    text[len++] = '\n';
    buf_add(out, text, len);
}

static void add_request(struct buf *out, int argc, const struct slice *argv) {
    add_length(out, '*', (uint64_t)argc);
    for (int i = 0; i < argc; i++) {
        add_length(out, '$', argv[i].len);
        buf_add_slice(out, argv[i]);
        buf_add_str(out, "\r\n");
    }
}

/* A large command goes as it came, in the buffer it came in: its copy would hold up the loop, and take as much memory again.
 * What only reads is kept as it was sent (f->reads). */
static bool pass_input(struct forward *f, const struct command *cmd) {
    enum { LARGE_MIN = 1 << 20 };
    struct conn *c = f->conn;
    struct buf *in = conn_input(c);
    if (in == NULL || in->len < LARGE_MIN || c->command_at > 0 || in->data[0] != '*') return false;
    return cmd != NULL && !(cmd->flags & CMD_READONLY) && upstream_take(f->upstream, in);
}

/* One connection's commands of the entry that was being filled, as requests again, in their order. False when some of
 * them cannot be: a reply made here stands between them, or a transaction, whose commands were answered QUEUED already. */
static bool collect(struct proposal *p, const struct conn *c, struct entry_reader *writes,
                    struct entry_reader *locals, struct buf *out) {
    bool whole = true;
    CHECK(entry_open(writes, buf_slice(&p->payload)));
    if (p->local_count > 0) CHECK(entry_open(locals, buf_slice(&p->local)));
    for (size_t i = 0; i < p->op_count; i++) {
        const struct op *op = &p->ops[i];
        struct entry_reader *r = op->kind == OP_RUN ? locals : writes;
        if (op->kind != OP_BYTES) CHECK(entry_next(r) == 1);
        if (op->conn != c || node_is_serve(op->cmd)) continue;
        int prefix = op->kind == OP_WRITE ? node_prefix(r).argc : 0;
        if (op->kind == OP_WRITE && op->cmd->flags & CMD_INTERNAL)
            whole = false; /* ACL LOAD, CONFIG SET requirepass: made of what is here */
        else if (op->kind == OP_BYTES || op->kind == OP_EXEC || op->silent || r->db != c->session.db)
            whole = false;
        else
            add_request(out, r->argc - prefix, r->argv + prefix);
    }
    return whole;
}

/* What waited in the entry being filled has not been in any log: it meets the gates again, and goes to whoever leads now,
 * waits for somebody to lead, or hears that this node was removed. */
void node_give_back(struct node *n) {
    struct proposal *p = n->filling;
    if (n->server.leadership == LEADERSHIP_HERE || (p->op_count == 0 && p->write_count == 0)) return;
    node_begin_filling(n);
    entry_finish(&p->payload, &(struct entry_header){.count = p->write_count});
    if (p->local_count > 0) entry_finish(&p->local, &(struct entry_header){.count = p->local_count});
    struct entry_reader writes, locals;
    entry_reader_init(&writes);
    entry_reader_init(&locals);
    for (size_t i = 0; i < p->op_count; i++) {
        struct conn *c = p->ops[i].conn;
        if (c == NULL || c->closing || c->given_back) continue;
        if (node_is_serve(p->ops[i].cmd)) {
            node_serve_given_up(c);
            continue;
        }
        struct buf requests = {0};
        c->given_back = true;
        if (collect(p, c, &writes, &locals, &requests))
            conn_unread(c, buf_slice(&requests));
        else
            conn_close(c);
        if (c->blocked)
            node_unblocked(n, c); /* had it been applied, it might wait; so it is to be offered again */
        buf_free(&requests);
    }
    entry_reader_free(&writes);
    entry_reader_free(&locals);
    if (p->has_expiry) n->expiry_in_flight = false;
    for (size_t i = 0; i < p->op_count; i++) {
        struct conn *c = p->ops[i].conn;
        if (c == NULL) continue;
        c->given_back = false;
        if (p->ops[i].kind == OP_RUN) c->pending_reads--;
        conn_let_go(c);
    }
    proposal_answered(p);
    proposal_release(n, p);
}

/* The gates ask server.leadership where commands go. A leader that may not serve yet is nobody. */
void node_leadership_moved(struct node *n, bool was_readable) {
    struct server *s = &n->server;
    const struct raft_member *leader = members_find(&n->members, n->leader_id);
    s->leader_address[0] = '\0';
    if (n->removed) {
        s->leadership = LEADERSHIP_REMOVED;
    } else if (n->readable) {
        s->leadership = LEADERSHIP_HERE;
    } else if (leader != NULL && leader->id != n->node_id) {
        s->leadership = LEADERSHIP_THERE;
        size_t len = strcspn(leader->address, "@"); /* what stands behind it is for peers */
        snprintf(s->leader_address, sizeof s->leader_address, "%.*s", (int)len, leader->address);
    } else {
        s->leadership = LEADERSHIP_NOBODY;
    }
    if (!node_adjust_oom_score(n)) node_log("oom-score-adj cannot be set");
    if (was_readable && !n->readable) {
        n->deposed_at_ms = mono_now_ms();
        node_drop_sessions(n);
        node_drop_listeners(n);
    }
    if (n->role == RAFT_LEADER && n->readable && !was_readable) {
        node_log("Leading the cluster in term %llu", (unsigned long long)n->term);
        n->server.last_serial = n->applied_serial = n->filling->serial - 1;
        node_begin_limits(n);
        node_begin_users(n);
    }
}

/* --- the queue --- */

static void push(struct forward *f, struct expected e) {
    if (f->first + f->count == f->cap) {
        if (f->first > f->cap / 2) {
            memmove(f->queue, f->queue + f->first, f->count * sizeof *f->queue);
            f->first = 0;
        } else {
            f->cap = f->cap ? f->cap * 2 : 16;
            f->queue = mem_realloc(f->queue, f->cap * sizeof *f->queue);
        }
    }
    f->queue[f->first + f->count++] = e;
}

static void pop(struct forward *f) {
    CHECK(f->count > 0);
    f->count--;
    f->first = f->count == 0 ? 0 : f->first + 1;
}

static struct expected *oldest(struct forward *f) {
    return f->count > 0 ? &f->queue[f->first] : NULL;
}

/* One command of the client less to answer. */
static void answered(struct forward *f) {
    struct conn *c = f->conn;
    CHECK(c->forwarded > 0);
    c->forwarded--;
    conn_let_go(c);
}

static void write_literals(struct forward *f) {
    struct expected *e;
    while ((e = oldest(f)) != NULL && e->kind == LITERAL) {
        size_t len = e->len;
        if (!f->conn->closing) buf_add(&f->conn->out, f->literals.data, len);
        buf_drop(&f->literals, len);
        pop(f);
        f->others--;
        answered(f);
    }
}

void forward_add_bytes(struct conn *c, struct slice reply) {
    struct forward *f = c->forward;
    push(f, (struct expected){.kind = LITERAL, .len = reply.len});
    f->others++;
    buf_add_slice(&f->literals, reply);
    c->pending++;
    c->forwarded++;
}

/* --- what the upstream says --- */

static void forget_read(struct forward *f, size_t len) {
    f->others -= len == 0;
    f->reads_at += len;
    if (f->reads_at < f->reads.len / 2)
        return; /* seldom, so that long pipelines are not moved for each reply */
    buf_drop(&f->reads, f->reads_at);
    f->reads_at = 0;
}

/* The reply to such an EXEC begins: an array says that it was executed, an error or a null that it was not. */
static void see_exec(struct forward *f, struct slice bytes) {
    f->executes = bytes.data[0] == '*' && bytes.len > 1 && bytes.data[1] != '-';
    if (bytes.len == 1) conn_drain(f->conn); /* a single byte came: who can tell */
}

static void take_setting(struct forward *f, const struct expected *e) {
    char text[CONFIG_ERROR_CAP];
    const char *why = text;
    struct server *s = &f->node->server;
    struct slice value = e->setting_len > 0 ? slice_make(f->settings.data, e->setting_len) : SLICE("");
    bool taken = config_set(&s->config, e->setting, value, text) &&
                 s->host->config_changed(s->host, config_name(e->setting), &why);
    if (!taken) node_log("%s cannot be set here: %s", config_name(e->setting), why);
    events_configure(s);
}

static void see_beginning(struct forward *f, const struct expected *e, struct slice bytes) {
    if (e->is_exec) see_exec(f, bytes);
    if (e->setting != NULL && bytes.data[0] == '+') take_setting(f, e);
    if (e->needs_state && bytes.data[0] != '-' && bytes.data[0] != '>') script_is_over_there(f->node);
}

static void exec_ended(struct forward *f) {
    struct session *s = &f->conn->session;
    f->conn->blocked = false;
    if (!f->executes) return;
    s->db = f->db = f->exec_db;
    s->resp = f->resp = f->exec_resp;
    if (f->changes_user) conn_drain(f->conn);
}

/* Whether what it asked waits already is known there only: here it counts as waiting from the first. */
static void expect_waiting(struct forward *f, size_t waiting) {
    bool waited = f->waiting > 0, waits = waiting > 0;
    f->waiting = waiting;
    if (waits == waited) return;
    f->conn->closes_at_eof = f->conn->session.is_blocked = waits;
    if (waits)
        f->node->server.blocked_count++;
    else
        f->node->server.blocked_count--;
}

static void reply_ended(struct forward *f) {
    struct expected e = *oldest(f);
    pop(f);
    if (e.is_exec) exec_ended(f);
    if (e.waits) expect_waiting(f, f->waiting - 1);
    if (e.setting != NULL) buf_drop(&f->settings, e.setting_len);
    forget_read(f, e.len);
    if (e.kind != OURS) answered(f);
    write_literals(f);
}

/* Something of it is at a leader, and would be lost with the way there. */
static bool is_pinned(const struct conn *c) {
    return c->session.multi_there || c->session.watch_there;
}

static void drop_held(struct forward *f) {
    if (f->held.len > 0) f->node->forwards_held--;
    buf_free(&f->held);
}

/* Reads that nobody has begun to answer are asked again, of whoever leads then. Anything else may have been done or not,
 * and only the end of the connection says so. */
static void broken(struct forward *f) {
    struct conn *c = f->conn;
    upstream_close(f->upstream);
    f->upstream = NULL;
    drop_held(f);
    bool pinned = is_pinned(c);
    if (c->forwarded == 0) {
        if (pinned) conn_drain(c);
        return;
    }
    bool again = !f->is_tunnel && f->others == 0 && resp_skim_is_between(&f->skim) && !c->draining && !pinned;
    c->pending -= c->forwarded;
    c->forwarded = 0;
    f->count = f->first = f->others = 0;
    expect_waiting(f, 0);
    buf_clear(&f->literals);
    buf_clear(&f->settings);
    if (again)
        conn_unread(c, slice_make(f->reads.data + f->reads_at, f->reads.len - f->reads_at));
    else
        conn_drain(c); /* what did come is still sent */
    buf_clear(&f->reads);
    f->reads_at = 0;
}

static void take_password(struct forward *f) {
    char why[CONFIG_ERROR_CAP];
    struct config *config = &f->node->server.config;
    if (f->password.data != NULL &&
        !config_set(config, config_find(SLICE("requirepass")), buf_slice(&f->password), why))
        node_log("requirepass cannot be shown here: %s", why);
}

/* Who was told that a password is needed now finds it needed at this node, too. */
static bool must_hold(struct forward *f, const struct expected *e, struct slice bytes) {
    enum { HELD_MS = 1000 };
    if (f->held.len > 0) return true;
    if (e == NULL || !e->is_about_users || !resp_skim_is_between(&f->skim)) return false;
    if (bytes.data[0] == '+') take_password(f);
    buf_free(&f->password);
    if (bytes.data[0] == '-' || e->users_change != f->node->server.acl.changes) return false;
    if (bytes.len > 1 && bytes.data[0] == ':' && bytes.data[1] == '0') return false;
    f->held_change = e->users_change;
    f->held_until_ms = mono_now_ms() + HELD_MS;
    f->node->forwards_held++;
    return true;
}

static void bytes_cb(void *arg, struct slice bytes) {
    struct forward *f = arg;
    struct conn *c = f->conn;
    while (bytes.len > 0) {
        size_t consumed = 0;
        const struct expected *e = oldest(f);
        if (must_hold(f, e, bytes)) {
            buf_add_slice(&f->held, bytes);
            upstream_pause(f->upstream);
            break;
        }
        if (f->is_tunnel && e == NULL) {
            buf_add_slice(&c->out, bytes);
            break;
        }
        if (e != NULL && resp_skim_is_between(&f->skim)) see_beginning(f, e, bytes);
        enum resp_skim_status status = resp_skim(&f->skim, bytes, &consumed);
        if (status == RESP_SKIM_ERROR || (e == NULL && status == RESP_SKIM_REPLY)) {
            broken(f);
            return;
        }
        if (e == NULL || e->kind == FOR_CLIENT || f->skim.top == '>' || status == RESP_SKIM_PUSH)
            buf_add(&c->out, bytes.data, consumed);
        if (status == RESP_SKIM_REPLY) reply_ended(f);
        bytes = slice_make(bytes.data + consumed, bytes.len - consumed);
    }
    conn_touch(c);
    if (c->out.len >= CONN_OUTPUT_PAUSE) upstream_pause(f->upstream);
}

static void pass_on(struct forward *f) {
    struct buf held = f->held;
    struct expected *e = oldest(f);
    f->held = (struct buf){0};
    f->node->forwards_held--;
    if (e != NULL) e->is_about_users = false;
    upstream_resume(f->upstream);
    bytes_cb(f, buf_slice(&held));
    buf_free(&held);
}

void node_pass_on_held(struct node *n) {
    struct list *next;
    if (n->forwards_held == 0) return;
    for (struct list *it = n->forwards.next; it != &n->forwards; it = next) {
        next = it->next;
        struct forward *f = container_of(it, struct forward, link);
        if (f->held.len == 0) continue;
        if (f->held_change != n->server.acl.changes || mono_now_ms() >= f->held_until_ms) pass_on(f);
    }
}

static void down_cb(void *arg, uint32_t code, const char *why) {
    enum { RETRY_MS = 50 };
    struct forward *f = arg;
    (void)code;
    (void)why;
    f->retry_at_ms = mono_now_ms() + RETRY_MS;
    if (f->held.len > 0) pass_on(f);
    if (f->upstream != NULL) broken(f);
}

/* --- sending --- */

static void open_upstream(struct forward *f) {
    struct node *n = f->node;
    const struct session *s = &f->conn->session;
    const struct raft_member *leader = members_find(&n->members, n->leader_id);
    struct peer_client client = {
        .id = s->id,
        .address = slice_of(s->peer),
        .local_address = slice_of(s->local),
        .name = buf_slice(&s->name),
        .lib_name = buf_slice(&s->lib_name),
        .lib_version = buf_slice(&s->lib_version),
        .user = buf_slice(&s->user->name),
        .db = (uint32_t)s->db,
        .resp = s->resp,
        .no_evict = s->no_evict,
        .said_password = s->said_password,
    };
    struct upstream_handler handler = {.arg = f, .bytes = bytes_cb, .down = down_cb};
    f->upstream = upstream_open(n->peers, leader->address, leader->id, &client, &handler);
    f->leader_id = leader->id;
    f->db = s->db;
    f->resp = s->resp;
    f->skim = (struct resp_skim){0};
}

static struct forward *forward_of(struct node *n, struct conn *c) {
    if (c->forward == NULL) {
        c->forward = mem_calloc(1, sizeof *c->forward);
        c->forward->node = n;
        c->forward->conn = c;
        list_push_back(&n->forwards, &c->forward->link);
    }
    return c->forward;
}

/* What the client changed here in between (SELECT, HELLO) is told there before its next command. */
static void tell_session(struct forward *f, struct buf *out) {
    const struct session *s = &f->conn->session;
    if (f->db != s->db) {
        buf_printf(out, "SELECT %d\r\n", s->db);
        push(f, (struct expected){.kind = OURS});
        f->others++;
    }
    if (f->resp != s->resp) {
        buf_printf(out, "HELLO %d\r\n", s->resp);
        push(f, (struct expected){.kind = OURS});
        f->others++;
    }
    f->db = s->db;
    f->resp = s->resp;
}

/* Whether there is a way to the leader of today. It takes a moment to open; the command waits where it is. */
static bool is_ready(struct node *n, struct forward *f) {
    if (f->upstream != NULL && f->leader_id != n->leader_id) {
        if (f->conn->forwarded > 0) return false; /* first the old one answers, or its silence is told */
        upstream_close(f->upstream);
        f->upstream = NULL;
        f->retry_at_ms = 0;
    }
    if (f->upstream == NULL && mono_now_ms() >= f->retry_at_ms) open_upstream(f);
    return f->upstream != NULL && upstream_is_up(f->upstream) &&
           upstream_unsent(f->upstream) < UPSTREAM_QUEUE && f->literals.len < LITERALS_MAX;
}

/* What a command that is queued there will have changed. */
static void follow_session(const struct node *n, struct forward *f, const struct command *cmd, int argc,
                           const struct slice *argv) {
    int64_t number = 0;
    if (!f->changes_session) {
        f->exec_db = f->conn->session.db;
        f->exec_resp = f->conn->session.resp;
        f->changes_user = false;
    }
    if (cmd == NULL || argc < 2) return;
    if (cmd->flags & CMD_NO_AUTH && (strcmp(cmd->name, "auth") == 0 || argc > 2))
        f->changes_user = f->changes_session = true;
    if (!parse_i64(argv[1], &number)) return;
    if (strcmp(cmd->name, "select") == 0 && number >= 0 && number < n->server.config.databases) {
        f->exec_db = (int)number;
        f->changes_session = true;
    } else if (strcmp(cmd->name, "hello") == 0 && (number == 2 || number == 3)) {
        f->exec_resp = (uint8_t)number;
        f->changes_session = true;
    }
}

/* Whether the client's next command can be sent to the leader; NULL with a verdict otherwise. */
static struct forward *find_way(struct node *n, struct conn *c, enum conn_verdict *verdict) {
    *verdict = CONN_HOLD;
    if (c->pending > c->forwarded)
        return NULL; /* something still waits for the log of this node, once leader */
    struct forward *f = forward_of(n, c);
    if (is_pinned(c) && (f->upstream == NULL || (n->leader_id != 0 && n->leader_id != f->leader_id))) {
        if (c->forwarded > 0 && f->upstream != NULL) return NULL;
        conn_drain(c); /* what it has begun was with another leader */
        *verdict = CONN_NEXT;
        return NULL;
    }
    if (is_pinned(c) && c->session.is_stale_there) {
        if (c->forwarded > 0) return NULL;
        conn_drain(c); /* it is somebody else now, and what it watches is there */
        *verdict = CONN_NEXT;
        return NULL;
    }
    if (members_find(&n->members, n->leader_id) == NULL || n->leader_id == n->node_id) return NULL;
    if (c->session.is_stale_there) {
        if (c->forwarded > 0) return NULL;
        if (f->upstream != NULL) upstream_close(f->upstream);
        f->upstream = NULL;
        c->session.is_stale_there = false;
    }
    return is_ready(n, f) ? f : NULL;
}

static void keep_password(struct forward *f, int argc, const struct slice *argv) {
    buf_clear(&f->password);
    buf_reserve(&f->password, 1); /* none is a password, too */
    for (int i = 2; i + 1 < argc; i += 2) {
        if (!slice_is(argv[i], "requirepass")) continue;
        buf_clear(&f->password);
        buf_add_slice(&f->password, argv[i + 1]);
    }
}

enum conn_verdict node_forward(struct node *n, struct conn *c, const struct command *cmd, int argc,
                               const struct slice *argv) {
    enum conn_verdict verdict;
    struct forward *f = find_way(n, c, &verdict);
    if (f == NULL) return verdict;
    struct buf *out = upstream_out(f->upstream);
    tell_session(f, out);
    size_t told = out->len;
    if (!pass_input(f, cmd)) add_request(out, argc, argv);
    struct expected e = {.kind = session_take_silence(&c->session) ? SILENCED : FOR_CLIENT};
    bool in_multi = c->session.multi_there;
    cmd_forwarded(&n->server, &c->session, cmd, argc, argv);
    if (cmd != NULL) monitor_tell_of(&n->server, &c->session, cmd, argc, argv);
    if (in_multi && c->session.multi_there) follow_session(n, f, cmd, argc, argv);
    if (in_multi && !c->session.multi_there) {
        e.is_exec = f->changes_session && strcmp(cmd->name, "exec") == 0;
        if (e.is_exec) c->blocked = true; /* what follows depends on it */
        f->changes_session = false;
    }
    e.waits = !in_multi && cmd_may_wait(cmd, argc, argv);
    e.is_about_users = !in_multi && cmd_asks_for_users(cmd, argc, argv);
    e.users_change = n->server.acl.changes;
    if (e.is_about_users && cmd_sets_requirepass(cmd, argc, argv)) keep_password(f, argc, argv);
    if (!in_multi && cmd_sets_leaders(cmd, argc, argv)) {
        e.setting = config_find(argv[2]);
        e.setting_len = argv[3].len;
        buf_add_slice(&f->settings, argv[3]);
    }
    e.needs_state = cmd != NULL && !(cmd->flags & CMD_ALLOW_BUSY);
    if (e.waits) expect_waiting(f, f->waiting + 1);
    if (e.kind == FOR_CLIENT && !in_multi && (cmd->flags & CMD_READONLY) && !e.waits) {
        e.len = out->len - told;
        buf_add(&f->reads, out->data + told, e.len);
    }
    f->others += e.len == 0;
    push(f, e);
    c->pending++;
    c->forwarded++;
    n->server.stats.commands_processed++;
    return CONN_NEXT;
}

/* --- tunnels --- */

/* CLIENT REPLY was answered here, and is to be kept there from now on. */
static void tell_silence(const struct session *s, struct buf *out) {
    if (s->reply_mode == SESSION_REPLY_OFF) buf_add_str(out, "CLIENT REPLY OFF\r\n");
    if (s->reply_mode == SESSION_REPLY_SKIP) buf_add_str(out, "CLIENT REPLY SKIP\r\n");
}

/* False: not now, or, with another verdict than CONN_HOLD, not any more. */
static bool enter_tunnel(struct node *n, struct conn *c, enum conn_verdict *verdict) {
    *verdict = CONN_HOLD;
    if (c->pending > 0) return false;
    struct forward *f = find_way(n, c, verdict);
    if (f == NULL) return false;
    struct buf *out = upstream_out(f->upstream);
    tell_session(f, out);
    tell_silence(&c->session, out);
    f->is_tunnel = c->tunnels = true;
    c->pending++;
    c->forwarded++;
    return true;
}

/* The connection that CLIENT TRACKING ... REDIRECT names by its id here; NULL: it names none. */
static struct conn *redirect_target(struct node *n, struct conn *c, int argc, const struct slice *argv) {
    if (argc < 5 || !slice_is(argv[0], "client") || !slice_is(argv[1], "tracking")) return NULL;
    for (int i = 3; i + 1 < argc; i++) {
        int64_t id = 0;
        if (!slice_is(argv[i], "redirect") || !parse_i64(argv[i + 1], &id)) continue;
        struct session *s = session_by_id(&n->server, &c->session, (uint64_t)id);
        return s != NULL ? conn_of_session(s) : NULL;
    }
    return NULL;
}

/* It has to be known there, too, before it is named. False: it is not yet. */
static bool bring_target(struct node *n, struct conn *c, int argc, const struct slice *argv) {
    struct conn *target = redirect_target(n, c, argc, argv);
    enum conn_verdict verdict;
    if (target == NULL || target == c || target->tunnels || target->draining || target->closing) return true;
    return enter_tunnel(n, target, &verdict) || verdict != CONN_HOLD;
}

enum conn_verdict node_open_tunnel(struct node *n, struct conn *c, int argc, const struct slice *argv) {
    enum conn_verdict verdict;
    return enter_tunnel(n, c, &verdict) ? node_tunnel(n, c, argc, argv) : verdict;
}

enum conn_verdict node_tunnel(struct node *n, struct conn *c, int argc, const struct slice *argv) {
    struct forward *f = c->forward;
    if (upstream_unsent(f->upstream) >= UPSTREAM_QUEUE || !bring_target(n, c, argc, argv)) return CONN_HOLD;
    add_request(upstream_out(f->upstream), argc, argv);
    c->session.last_command_ms = node_clock_ms(n);
    n->server.stats.commands_processed++;
    return CONN_NEXT;
}

/* The client sends no more: the leader is told, answers what it got, and closes. */
static void finish_tunnel(struct forward *f) {
    if (!f->is_tunnel || f->is_finished || !f->conn->draining || f->upstream == NULL) return;
    f->is_finished = true;
    upstream_finish(f->upstream);
}

/* A leader that hangs keeps its connections open: once another has led for a while, what the old one still owes is given up. */
void node_tend_forwards(struct node *n) {
    uint64_t patience_ms = (uint64_t)n->server.config.raft_election_timeout;
    if (n->leader_id == 0 || mono_now_ms() - n->leader_moved_ms < patience_ms) return;
    struct list *next;
    for (struct list *it = n->forwards.next; it != &n->forwards; it = next) {
        next = it->next;
        struct forward *f = container_of(it, struct forward, link);
        if (f->upstream != NULL && f->leader_id != n->leader_id) broken(f);
    }
}

bool forward_is_opening(const struct conn *c) {
    return c->forward != NULL && c->forward->upstream != NULL && !upstream_is_up(c->forward->upstream);
}

/* The client reads slowly: so do we, until it has caught up. */
void forward_flushed(struct conn *c) {
    if (c->forward->upstream != NULL && c->out.len < CONN_OUTPUT_PAUSE) upstream_resume(c->forward->upstream);
    finish_tunnel(c->forward);
}

void forward_close(struct conn *c) {
    struct forward *f = c->forward;
    if (f == NULL) return;
    if (f->upstream != NULL) upstream_close(f->upstream);
    drop_held(f);
    buf_free(&f->password);
    buf_free(&f->settings);
    expect_waiting(f, 0);
    list_unlink(&f->link);
    c->forward = NULL;
    uint32_t owed = c->forwarded;
    c->forwarded = 0;
    mem_free(f->queue);
    buf_free(&f->literals);
    buf_free(&f->reads);
    mem_free(f);
    c->pending -= owed; /* the connection is closing, and its end looks at what is left */
}
