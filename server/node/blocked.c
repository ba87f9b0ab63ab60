/* Connections whose command waits (BLPOP, XREAD BLOCK, WAIT ...). They are parked: nothing of them is parsed, but that their
 * client hangs up is noticed. What ends the wait, other than what was waited for, is decided here: time, CLIENT UNBLOCK, a
 * leader that is deposed, the end of the connection. All of it is this node's alone; nothing about waiting is in the log. */
#include "blocked.h"

#include "hash.h"
#include "mem.h"

#include <string.h>

/* --- queues of keys --- */

static uint64_t queue_hash(const struct blocking *k, int db, struct slice key) {
    return hash64_seeded(k->seed + (uint64_t)db, key);
}

struct key_queue *queue_find(const struct blocking *k, int db, struct slice key) {
    if (k->queue_count == 0) return NULL;
    uint64_t hash = queue_hash(k, db, key);
    struct key_queue *q = k->buckets[hash & (k->bucket_count - 1)];
    while (q != NULL && (q->hash != hash || q->db != db || !slice_eq(queue_key(q), key))) q = q->chain;
    return q;
}

static void grow_buckets(struct blocking *k) {
    size_t count = k->bucket_count ? k->bucket_count * 2 : 64;
    struct key_queue **buckets = mem_calloc(count, sizeof *buckets);
    for (size_t i = 0; i < k->bucket_count; i++) {
        for (struct key_queue *q = k->buckets[i], *next; q != NULL; q = next) {
            next = q->chain;
            q->chain = buckets[q->hash & (count - 1)];
            buckets[q->hash & (count - 1)] = q;
        }
    }
    mem_free(k->buckets);
    k->buckets = buckets;
    k->bucket_count = count;
}

static struct key_queue *queue_make(struct blocking *k, int db, struct slice key) {
    if (k->queue_count >= k->bucket_count) grow_buckets(k);
    struct key_queue *q = mem_calloc(1, sizeof *q + key.len);
    q->hash = queue_hash(k, db, key);
    q->db = db;
    q->key_len = key.len;
    if (key.len > 0) memcpy(q->key, key.data, key.len);
    list_init(&q->waits);
    list_init(&q->ready_link);
    struct key_queue **bucket = &k->buckets[q->hash & (k->bucket_count - 1)];
    q->chain = *bucket;
    *bucket = q;
    k->queue_count++;
    return q;
}

static void queue_free(struct blocking *k, struct key_queue *q) {
    struct key_queue **link = &k->buckets[q->hash & (k->bucket_count - 1)];
    while (*link != q) link = &(*link)->chain;
    *link = q->chain;
    list_unlink(&q->ready_link);
    mem_free(q);
    k->queue_count--;
}

/* --- the keyspace says that something may be there --- */

static void mark_ready(struct blocking *k, struct key_queue *q) {
    q->is_fresh = true;
    if (list_empty(&q->ready_link)) list_push_back(&k->ready, &q->ready_link);
}

static void signal_cb(void *arg, int db, struct slice key) {
    struct blocking *k = ((struct node *)arg)->blocking;
    if (key.data != NULL) {
        struct key_queue *q = queue_find(k, db, key);
        if (q != NULL) mark_ready(k, q);
        return;
    }
    for (size_t i = 0; i < k->bucket_count; i++) {
        for (struct key_queue *q = k->buckets[i]; q != NULL; q = q->chain) {
            if (q->db == db) mark_ready(k, q);
        }
    }
}

/* --- deadlines: a heap, the earliest at its root --- */

static void heap_put(struct blocking *k, size_t at, struct blocked *b) {
    k->heap[at] = b;
    b->heap_at = at + 1;
}

static void heap_rise(struct blocking *k, size_t at) {
    struct blocked *b = k->heap[at];
    for (size_t up; at > 0 && k->heap[up = (at - 1) / 2]->until_us > b->until_us; at = up)
        heap_put(k, at, k->heap[up]);
    heap_put(k, at, b);
}

static void heap_sink(struct blocking *k, size_t at) {
    struct blocked *b = k->heap[at];
    for (size_t down; (down = 2 * at + 1) < k->heap_count; at = down) {
        if (down + 1 < k->heap_count && k->heap[down + 1]->until_us < k->heap[down]->until_us) down++;
        if (k->heap[down]->until_us >= b->until_us) break;
        heap_put(k, at, k->heap[down]);
    }
    heap_put(k, at, b);
}

static void heap_add(struct blocking *k, struct blocked *b) {
    if (k->heap_count == k->heap_cap) {
        k->heap_cap = k->heap_cap ? k->heap_cap * 2 : 64;
        k->heap = mem_realloc(k->heap, k->heap_cap * sizeof *k->heap);
    }
    k->heap[k->heap_count] = b;
    heap_rise(k, k->heap_count++);
}

static void heap_remove(struct blocking *k, struct blocked *b) {
    if (b->heap_at == 0) return;
    size_t at = b->heap_at - 1;
    struct blocked *last = k->heap[--k->heap_count];
    b->heap_at = 0;
    if (last == b) return;
    heap_put(k, at, last);
    heap_rise(k, at);
    heap_sink(k, last->heap_at - 1);
}

/* --- parking --- */

static void copy_args(struct blocked *b, int argc, const struct slice *argv) {
    b->argc = argc;
    b->argv = mem_alloc((size_t)argc * sizeof *b->argv);
    for (int i = 0; i < argc; i++) {
        b->argv[i] = argv[i];
        buf_add_slice(&b->bytes, b->argv[i]);
    }
    const char *at = b->bytes.data;
    for (int i = 0; i < argc; i++) {
        b->argv[i].data = at;
        at += b->argv[i].len;
    }
}

static bool waits_in(const struct blocked *b, const struct key_queue *q) {
    for (int i = 0; i < b->wait_count; i++) {
        if (b->waits[i].queue == q) return true;
    }
    return false;
}

/* A key named twice is waited for once. */
static void queue_up(struct blocking *k, struct blocked *b, const struct cmd_wait *w) {
    b->waits = mem_alloc((size_t)w->key_count * sizeof *b->waits);
    for (int i = 0; i < w->key_count; i++) {
        struct slice key = b->argv[w->first_key + i];
        struct key_queue *q = queue_find(k, b->db, key);
        if (q == NULL) q = queue_make(k, b->db, key);
        if (waits_in(b, q)) continue;
        struct key_wait *wait = &b->waits[b->wait_count++];
        *wait = (struct key_wait){.blocked = b, .queue = q};
        q->stream_waits += b->type == OBJECT_STREAM;
        list_push_back(&q->waits, &wait->link);
    }
}

void node_block(struct node *n, struct conn *c, const struct command *cmd, int db, int argc,
                const struct slice *argv, bool silent, const struct cmd_wait *w) {
    struct blocking *k = n->blocking;
    CHECK(c->blocked_in == NULL);
    if (c->ended) { /* its client hung up meanwhile */
        conn_close(c);
        return;
    }
    struct blocked *b = mem_calloc(1, sizeof *b);
    b->conn = c;
    b->cmd = cmd;
    b->type = w->type;
    b->db = db;
    b->silent = silent;
    copy_args(b, argc, w->argv != NULL ? w->argv : argv);
    b->replicas = w->replicas;
    b->write_index = c->session.write_index;
    if (w->key_count > 0) queue_up(k, b, w);
    if (w->timeout_ms > 0 && (uint64_t)w->timeout_ms < UINT64_MAX / 2000) {
        b->until_us = mono_us() + (uint64_t)w->timeout_ms * 1000;
        heap_add(k, b);
    }
    list_push_back(b->replicas > 0 ? &k->for_replicas : &k->for_keys, &b->link);
    c->blocked_in = b;
    c->closes_at_eof = true;
    c->session.is_blocked = true;
    n->server.blocked_count++;
    if (k->queue_count > 0)
        ks_listen(n->ks, signal_cb, n); /* again and again: the state may be another one by now */
}

static void forget(struct node *n, struct blocked *b) {
    struct blocking *k = n->blocking;
    heap_remove(k, b);
    list_unlink(&b->link);
    for (int i = 0; i < b->wait_count; i++) {
        struct key_queue *q = b->waits[i].queue;
        list_unlink(&b->waits[i].link);
        q->stream_waits -= b->type == OBJECT_STREAM;
        if (list_empty(&q->waits)) queue_free(k, q);
    }
    if (k->queue_count == 0 && n->ks != NULL) ks_listen(n->ks, NULL, NULL);
    b->conn->blocked_in = NULL;
    b->conn->closes_at_eof = false;
    b->conn->session.is_blocked = false;
    n->server.blocked_count--;
    mem_free(b->waits);
    mem_free(b->argv);
    buf_free(&b->bytes);
    mem_free(b);
}

void node_forget_blocked(struct node *n, struct conn *c) {
    if (c->blocked_in != NULL) forget(n, c->blocked_in);
}

/* In the middle of an entry nothing else may run: what the client has sent meanwhile is parsed at the end of the turn. */
void node_unblocked(struct node *n, struct conn *c) {
    c->blocked = false;
    if (c->closing || !c->parked) return;
    list_unlink(&c->held_link);
    list_push_back(&n->blocking->unblocked, &c->held_link);
}

void blocked_served(struct node *n, struct blocked *b, bool took) {
    struct conn *c = b->conn;
    for (int i = 0; took && i < b->wait_count; i++) mark_ready(n->blocking, b->waits[i].queue);
    forget(n, b);
    conn_touch(c);
    node_unblocked(n, c);
}

/* --- other ends --- */

/* How many other voters have this entry. What was answered is on a majority, whether or not all of it has said so to
 * this leader. */
int64_t node_replicas_with(struct node *n, uint64_t index) {
    struct raft_status s;
    raft_status(n->raft, &s);
    int64_t reached = 0, certain = (int64_t)(s.voter_count / 2);
    for (size_t i = 0; i < s.peer_count; i++) {
        const struct raft_member *m = members_find(&n->members, s.peers[i].id);
        reached += m != NULL && m->seat != RAFT_LEARNER && s.peers[i].match_index >= index;
    }
    return reached > certain ? reached : certain;
}

void blocked_end(struct node *n, struct blocked *b, enum block_end how) {
    struct conn *c = b->conn;
    struct reply reply;
    CHECK(!b->in_flight);
    reply_init(&reply, b->silent ? NULL : &c->out, c->session.resp);
    switch (how) {
    case END_NONE: CHECK(false);
    case END_TIMEOUT:
        if (b->replicas > 0)
            reply_int(&reply, node_replicas_with(n, b->write_index));
        else
            reply_null_array(&reply);
        break;
    case END_CLIENT_UNBLOCK: reply_error(&reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK"); break;
    case END_DEPOSED:
        reply_error(&reply, "UNBLOCKED force unblock from blocking operation, instance state changed (master "
                            "-> replica?)");
        break;
    }
    if (reply.error_count > 0) {
        stats_error(&n->server.stats, reply.error_code);
        n->server.stats.commands[b->cmd->id].failed++;
    }
    forget(n, b);
    conn_touch(c);
    node_unblocked(n, c);
    if (how == END_DEPOSED) conn_drain(c);
}

bool node_unblock(struct node *n, struct session *s, bool with_error) {
    struct blocked *b = conn_of_session(s)->blocked_in;
    enum block_end how = with_error ? END_CLIENT_UNBLOCK : END_TIMEOUT;
    if (b == NULL && s->is_blocked) {
        node_unblock_there(n, s, with_error);
        return true;
    }
    if (b == NULL) return false;
    if (b->in_flight)
        b->end = how;
    else
        blocked_end(n, b, how);
    return true;
}

static void end_overdue(struct node *n) {
    struct blocking *k = n->blocking;
    uint64_t now_us = mono_us();
    while (k->heap_count > 0 && k->heap[0]->until_us <= now_us) {
        struct blocked *b = k->heap[0];
        heap_remove(k, b);
        if (b->in_flight)
            b->end = END_TIMEOUT;
        else
            blocked_end(n, b, END_TIMEOUT);
    }
}

static void end_all(struct node *n, struct list *waiting) {
    LIST_FOR_EACH_SAFE(it, waiting) {
        struct blocked *b = container_of(it, struct blocked, link);
        if (!b->in_flight) blocked_end(n, b, END_DEPOSED);
    }
}

static void look_at_replicas(struct node *n) {
    LIST_FOR_EACH_SAFE(it, &n->blocking->for_replicas) {
        struct blocked *b = container_of(it, struct blocked, link);
        if (node_replicas_with(n, b->write_index) >= b->replicas) blocked_end(n, b, END_TIMEOUT);
    }
}

/* --- turns --- */

void node_alarm(struct node *n) {
    end_overdue(n);
    loop_keep_awake(n, true); /* timers come before the loop sleeps: the answers are to leave now */
}

static void set_alarm(struct node *n) {
    enum { FAR_MS = 3600 * 1000 };
    const struct blocking *k = n->blocking;
    if (k->heap_count == 0) {
        loop_set_alarm(n, 0, 0);
        return;
    }
    uint64_t at_us = k->heap[0]->until_us;
    if (at_us == n->uv.alarm_at_us) return;
    uint64_t now_us = mono_us();
    uint64_t ms = at_us > now_us ? (at_us - now_us + 999) / 1000 : 1;
    loop_set_alarm(n, at_us, ms < FAR_MS ? ms : FAR_MS);
}

static void resume_unblocked(struct node *n) {
    struct blocking *k = n->blocking;
    while (!list_empty(&k->unblocked)) {
        struct conn *c = container_of(k->unblocked.next, struct conn, held_link);
        list_unlink(&c->held_link);
        conn_unpark(c, false);
    }
}

void node_turn_blocked(struct node *n) {
    struct blocking *k = n->blocking;
    if (!n->readable) {
        end_all(n, &k->for_keys);
        end_all(n, &k->for_replicas);
    }
    look_at_replicas(n);
    if (k->heap_count > 0) end_overdue(n);
    if (!list_empty(&k->ready) && !node_is_in_the_middle(n)) node_serve_ready(n);
    resume_unblocked(n);
    set_alarm(n);
}

void node_open_blocking(struct node *n) {
    struct blocking *k = n->blocking = mem_calloc(1, sizeof *k);
    k->seed = rng_next(&n->rng);
    list_init(&k->for_keys);
    list_init(&k->for_replicas);
    list_init(&k->ready);
    list_init(&k->unblocked);
}

void node_close_blocking(struct node *n) {
    struct blocking *k = n->blocking;
    CHECK(list_empty(&k->for_keys));
    CHECK(list_empty(&k->for_replicas));
    mem_free(k->buckets);
    mem_free(k->heap);
    mem_free(k);
}
