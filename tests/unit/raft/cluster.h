/* A cluster of cores in memory, with everything that can go wrong between them: messages late, lost, doubled
 * and out of order, disks that lag and lose what was not synced, crashes, pauses, partitions, snapshots that
 * fail half-way. What must always hold is checked as it happens, against what all nodes together know:
 *
 * - one leader in a term; every leader has everything that was committed in earlier ones;
 * - what one node reports as committed, no node ever sees otherwise; it is on the disks of both majorities;
 * - nothing leaves in the name of a term, a vote or an entry that is not on the sender's disk;
 * - a read that is done has seen everything that was committed when it came; so has a lease. */
#ifndef TESTS_UNIT_RAFT_CLUSTER_H
#define TESTS_UNIT_RAFT_CLUSTER_H

#include "test.h"

#include "mem.h"
#include "raft.h"

enum { NODES = 7, LOG_MAX = 6000, STORES = 4200, POSTS = 1500, READS = 64, CONFIGS = 4000 };

struct line { /* an entry with what stands for its bytes */
    uint64_t term, value;
    enum raft_entry_kind kind;
    size_t size;
    const struct raft_members *members;
};

struct state { /* what applying has led to */
    uint64_t applied, members_index;
    struct raft_members members;
};

struct pending_store {
    uint64_t id, term, vote, first, last, due_us;
    bool has_hard_state;
    struct line *lines;
};

struct node {
    uint64_t id;
    struct raft *raft; /* NULL: down */
    struct {
        uint64_t term, vote, mark, last;
        struct line *lines; /* by index; [mark].term is the mark's */
        struct state state;
    } disk;
    struct line *lines; /* what the core was told or made */
    uint64_t last, mark;
    struct state state;
    struct pending_store stores[STORES];
    size_t store_first, store_count;
    struct {
        uint64_t id, must_see;
    } reads[READS];
    size_t read_count;
    uint64_t next_tick_us, paused_until_us;
    uint64_t clock_offset_us, clock_per_1000; /* its clock is another in each life, and runs up to 3 % off */
    struct raft_update up;                    /* the last one; its pointers are stale */
    struct raft_members members;
    uint64_t
        sending_until_us[NODES +
                         1]; /* a snapshot to this node: what is not heard of by then has failed; 0: none */
    bool is_installing;
    struct snapshot {
        uint64_t from, from_term, index, term;
        struct state state;
    } snapshot;
};

struct post { /* a message on its way */
    uint64_t due_us;
    struct raft_message m;
    struct line *lines;
    bool is_snapshot, is_sent_report; /* the shell's own traffic */
    struct snapshot snapshot;
    uint64_t from, to, index;
};

struct sim {
    struct rng rng;
    uint64_t seed, now_us, value;
    struct node nodes[NODES + 1]; /* by id */
    struct post posts[POSTS];
    size_t post_count;
    bool cut[NODES + 1][NODES + 1]; /* from, to */
    struct line *committed;
    uint64_t committed_last, committed_in[LOG_MAX]; /* the term of the leader that found out */
    uint64_t leader_of[200000];                     /* by term */
    struct raft_members *configs[CONFIGS];
    size_t config_count;
    /* how bad the world is, of 1000 */
    unsigned loss, doubling, crash, fault;
    uint64_t delay_us, disk_us;
    uint64_t elections, reads_done, changes, snapshots, installs, leases, joints;
};

static uint64_t clock_of(const struct sim *s, const struct node *n) {
    return n->clock_offset_us + s->now_us / 1000 * n->clock_per_1000;
}

static uint64_t pick(struct sim *s, uint64_t bound) {
    return rng_below(&s->rng, bound);
}
static bool chance(struct sim *s, unsigned of_1000) {
    return pick(s, 1000) < of_1000;
}

static const struct raft_members *intern(struct sim *s, const struct raft_members *m) {
    EXPECT(s->config_count < CONFIGS);
    struct raft_members *copy = mem_alloc(sizeof *copy);
    *copy = *m;
    return s->configs[s->config_count++] = copy;
}

/* --- checks --- */

static bool line_is(const struct line *a, const struct line *b) {
    return a->term == b->term && a->value == b->value && a->kind == b->kind;
}

static bool disk_has(const struct node *n, uint64_t index, const struct line *line) {
    if (index <= n->disk.mark) return true;
    return index <= n->disk.last && line_is(&n->disk.lines[index], line);
}

static void check_durable(struct sim *s, const struct raft_update *up, uint64_t index) {
    uint64_t has_old[RAFT_VOTERS_MAX], has_new[RAFT_VOTERS_MAX];
    size_t old_count = 0, new_count = 0;
    for (size_t i = 0; i < up->members->count; i++) {
        const struct raft_member *m = &up->members->items[i];
        uint64_t has = disk_has(&s->nodes[m->id], index, &s->committed[index]);
        if (seat_votes_old(m->seat)) has_old[old_count++] = has;
        if (seat_votes_new(m->seat)) has_new[new_count++] = has;
    }
    EXPECT_NOTE(quorum_index(has_old, old_count) == 1, "index %" PRIu64, index);
    EXPECT_NOTE(quorum_index(has_new, new_count) == 1, "index %" PRIu64, index);
}

static void check_commit(struct sim *s, struct node *n, const struct raft_update *up) {
    EXPECT(up->commit_index >= n->up.commit_index);
    EXPECT(up->apply_index >= n->up.apply_index);
    EXPECT(up->commit_index <= n->last);
    for (uint64_t i = n->up.commit_index + 1; i <= up->commit_index; i++) {
        if (i <= n->mark) continue;
        if (i <= s->committed_last) {
            EXPECT_NOTE(line_is(&s->committed[i], &n->lines[i]), "node %" PRIu64 " index %" PRIu64, n->id, i);
        } else {
            EXPECT(i == s->committed_last + 1);
            EXPECT(up->role == RAFT_LEADER || n->up.role == RAFT_LEADER); /* only leaders find out first */
            s->committed[i] = n->lines[i];
            s->committed_in[i] = up->term;
            s->committed_last = i;
            if (up->role == RAFT_LEADER) check_durable(s, up, i);
        }
    }
}

static void check_leader(struct sim *s, struct node *n, const struct raft_update *up) {
    if (up->role != RAFT_LEADER || (n->up.role == RAFT_LEADER && n->up.term == up->term)) return;
    s->elections++;
    EXPECT(up->term < sizeof s->leader_of / sizeof s->leader_of[0]);
    EXPECT_NOTE(s->leader_of[up->term] == 0, "term %" PRIu64, up->term);
    s->leader_of[up->term] = n->id;
    for (uint64_t i = n->mark + 1; i <= s->committed_last && s->committed_in[i] < up->term; i++)
        EXPECT_NOTE(i <= n->last && line_is(&s->committed[i], &n->lines[i]),
                    "leader %" PRIu64 " lacks %" PRIu64, n->id, i);
}

static void check_message(const struct node *n, const struct raft_message *m) {
    EXPECT(m->from == n->id);
    bool is_pre = m->pre_vote && (m->kind == RAFT_VOTE || !m->rejected);
    if (!is_pre) EXPECT(m->term == n->disk.term);
    if (m->kind == RAFT_VOTE && !m->pre_vote) EXPECT(n->disk.vote == n->id);
    if (m->kind == RAFT_VOTE) EXPECT(m->last_index <= n->disk.last);
    if (m->kind == RAFT_VOTE_REPLY && !m->pre_vote && !m->rejected) EXPECT(n->disk.vote == m->to);
    if (m->kind == RAFT_APPEND_REPLY && !m->rejected) {
        EXPECT(m->match_index <= n->disk.last);
        if (m->match_index > n->disk.mark)
            EXPECT(line_is(&n->disk.lines[m->match_index], &n->lines[m->match_index]));
    }
    if (m->kind == RAFT_APPEND) EXPECT(m->prev_index + m->entry_count <= n->last);
}

/* With TEST_TRACE, what happens, a line for each update that says something. */
static void trace(struct sim *s, const struct node *n, const struct raft_event *e,
                  const struct raft_update *up) {
    static const char *kinds[] = {"tick",        "propose",       "stored",   "applied",  "cut",
                                  "message",     "read",          "change",   "transfer", "campaign",
                                  "unreachable", "snapshot_sent", "snapshot", "installed"};
    static const char *messages[] = {"",     "append",     "append_reply", "heartbeat", "heartbeat_reply",
                                     "vote", "vote_reply", "timeout_now"};
    if (getenv("TEST_TRACE") == NULL) return;
    fprintf(stderr, "%" PRIu64 " n%" PRIu64 " %s", s->now_us, n->id, kinds[e->type]);
    const struct raft_message *m = e->message;
    if (e->type == RAFT_EVENT_MESSAGE)
        fprintf(stderr,
                " %s from %" PRIu64 " term %" PRIu64 " prev %" PRIu64 "/%" PRIu64 " +%zu commit %" PRIu64
                " match %" PRIu64 " hint %" PRIu64 "/%" PRIu64 " last %" PRIu64 "/%" PRIu64 "%s%s%s",
                messages[m->kind], m->from, m->term, m->prev_index, m->prev_term, m->entry_count,
                m->commit_index, m->match_index, m->hint_index, m->hint_term, m->last_index, m->last_term,
                m->rejected ? " rejected" : "", m->pre_vote ? " pre" : "", m->is_transfer ? " transfer" : "");
    fprintf(stderr,
            " index %" PRIu64 " -> role %d term %" PRIu64 " leader %" PRIu64 " store %" PRIu64 " [%" PRIu64
            ",%" PRIu64 "] commit %" PRIu64 " apply %" PRIu64 " members %" PRIu64 " messages %zu%s\n",
            e->index, (int)up->role, up->term, up->leader_id, up->store_id, up->store_first, up->store_last,
            up->commit_index, up->apply_index, up->members_index, up->message_count,
            up->install ? " install" : "");
}

/* --- the world between nodes --- */

static void post_add(struct sim *s, struct post post) {
    if (s->post_count == POSTS) {
        mem_free(post.lines);
        return;
    }
    post.due_us = s->now_us + pick(s, s->delay_us + 1);
    if (chance(s, 5)) post.due_us += pick(s, 3000000); /* a straggler */
    s->posts[s->post_count++] = post;
}

static void post_message(struct sim *s, struct node *n, const struct raft_message *m) {
    check_message(n, m);
    unsigned copies = 1 + chance(s, s->doubling);
    for (unsigned c = 0; c < copies; c++) {
        if (chance(s, s->loss) || m->to > NODES) continue;
        struct post post = {.m = *m, .from = m->from, .to = m->to};
        if (m->entry_count > 0) {
            EXPECT(m->prev_index >= n->mark);
            post.lines = mem_alloc(m->entry_count * sizeof *post.lines);
            memcpy(post.lines, n->lines + m->prev_index + 1, m->entry_count * sizeof *post.lines);
        }
        post_add(s, post);
    }
}

static void take_store(struct sim *s, struct node *n, const struct raft_update *up,
                       const struct raft_entry *entries, const struct line *lines, uint64_t entries_first) {
    if (up->store_id == 0) {
        EXPECT(!up->store_hard_state);
        EXPECT(up->store_first == 0);
        return;
    }
    EXPECT(!n->is_installing || up->install);
    EXPECT(n->store_count < STORES);
    struct pending_store *p = &n->stores[(n->store_first + n->store_count++) % STORES];
    *p = (struct pending_store){.id = up->store_id,
                                .term = up->term,
                                .vote = up->vote,
                                .has_hard_state = up->store_hard_state,
                                .first = up->store_first,
                                .last = up->store_last,
                                .due_us = s->now_us + pick(s, s->disk_us + 1)};
    if (up->store_first == 0) return;
    EXPECT(up->store_first <= n->last + 1);
    EXPECT(up->store_first > up->commit_index || up->store_first > n->up.commit_index);
    EXPECT(up->store_last < LOG_MAX);
    for (uint64_t i = up->store_first; i <= up->store_last; i++) {
        struct line *line = &n->lines[i];
        if (up->appended) {
            EXPECT(up->store_first == up->store_last);
            EXPECT(up->entry.index == i);
            *line = (struct line){.term = up->entry.term,
                                  .value = ++s->value,
                                  .kind = up->entry.kind,
                                  .size = up->entry.size,
                                  .members = up->entry.members ? intern(s, up->entry.members) : NULL};
        } else {
            EXPECT(entries != NULL);
            EXPECT(entries[i - entries_first].index == i);
            *line = lines[i - entries_first];
        }
        EXPECT(raft_term_at(n->raft, i) == line->term);
    }
    n->last = up->store_last;
    p->lines = mem_alloc((p->last - p->first + 1) * sizeof *p->lines);
    memcpy(p->lines, n->lines + p->first, (p->last - p->first + 1) * sizeof *p->lines);
}

static void take_reads(struct sim *s, struct node *n, const struct raft_update *up, uint64_t must_see) {
    EXPECT(up->read_done >= n->up.read_done);
    EXPECT(up->read_lost >= n->up.read_lost);
    if (up->read_id != 0 && n->read_count < READS) {
        n->reads[n->read_count].id = up->read_id;
        n->reads[n->read_count++].must_see = must_see;
    }
    size_t kept = 0;
    for (size_t i = 0; i < n->read_count; i++) {
        if (n->reads[i].id <= up->read_done) {
            s->reads_done++;
            EXPECT_NOTE(n->state.applied >= n->reads[i].must_see, "stale read on %" PRIu64, n->id);
        } else if (n->reads[i].id > up->read_lost) {
            n->reads[kept++] = n->reads[i];
        }
    }
    n->read_count = kept;
}

static void post_snapshot(struct sim *s, struct node *n, uint64_t to) {
    struct snapshot snapshot = {
        .from = n->id, .from_term = n->up.term, .index = n->state.applied, .state = n->state};
    snapshot.term = raft_term_at(n->raft, snapshot.index);
    EXPECT(snapshot.term > 0);
    s->snapshots++;
    n->sending_until_us[to] = s->now_us + 4000000;
    bool fails = chance(s, 200);
    struct post post = {
        .from = n->id, .to = to, .is_snapshot = !fails, .is_sent_report = fails, .snapshot = snapshot};
    if (fails) post.from = to, post.to = n->id;
    post_add(s, post);
}

static enum rc give(struct sim *s, struct node *n, struct raft_event e, const struct line *lines) {
    struct raft_update up;
    e.now_us = clock_of(s, n);
    uint64_t must_see = s->committed_last;
    enum rc rc = raft_step(n->raft, &e, &up);
    if (rc != RC_OK) return rc;
    trace(s, n, &e, &up);
    const struct raft_message *m = e.type == RAFT_EVENT_MESSAGE ? e.message : NULL;
    take_store(s, n, &up, m ? m->entries : NULL, lines, m ? m->prev_index + 1 : 0);
    if (e.type == RAFT_EVENT_APPLIED) n->state.applied = e.index;
    check_commit(s, n, &up);
    check_leader(s, n, &up);
    EXPECT(up.term >= n->up.term);
    take_reads(s, n, &up, must_see);
    for (size_t i = 0; i < up.message_count; i++) post_message(s, n, &up.messages[i]);
    n->members = *up.members;
    n->up = up;
    if (up.snapshot_to != 0) post_snapshot(s, n, up.snapshot_to);
    if (up.install) n->is_installing = true;
    return RC_OK;
}

/* --- a node's shell --- */

static void node_start(struct sim *s, struct node *n) {
    n->clock_offset_us = 1 + pick(s, 1000000000);
    n->clock_per_1000 = 970 + pick(s, 61);
    struct raft_config config = {
        .id = n->id,
        .members = n->disk.state.members,
        .members_index = n->disk.state.members_index,
        .term = n->disk.term,
        .vote = n->disk.vote,
        .mark_index = n->disk.mark,
        .mark_term = n->disk.lines[n->disk.mark].term,
        .applied_index = n->disk.state.applied,
        .now_us = clock_of(s, n),
        .seed = rng_next(&s->rng),
        .election_us = 1000000,
        .heartbeat_us = 100000,
        .lease_us = 900000,
        .uncommitted_bytes_max = 3000,
        .append_bytes_max = 400,
        .inflight_bytes_max = 2000,
        .inflight_count_max = 1 + pick(s, 12),
    };
    EXPECT(raft_new(&config, &n->raft) == RC_OK);
    memcpy(n->lines, n->disk.lines, (n->disk.last + 1) * sizeof *n->lines);
    for (uint64_t i = n->disk.mark + 1; i <= n->disk.last; i++) {
        const struct line *line = &n->disk.lines[i];
        struct raft_entry entry = {
            .index = i, .term = line->term, .kind = line->kind, .size = line->size, .members = line->members};
        raft_restore(n->raft, &entry);
    }
    n->last = n->disk.last;
    n->mark = n->disk.mark;
    n->state = n->disk.state;
    n->up = (struct raft_update){
        .term = n->disk.term, .commit_index = n->disk.state.applied, .apply_index = n->disk.state.applied};
    n->members = n->disk.state.members;
    n->read_count = 0;
    n->is_installing = false;
    memset(n->sending_until_us, 0, sizeof n->sending_until_us);
    n->next_tick_us = s->now_us;
}

static void node_crash(struct node *n) {
    raft_free(n->raft);
    n->raft = NULL;
    for (; n->store_count > 0; n->store_count--) {
        mem_free(n->stores[n->store_first].lines);
        n->store_first = (n->store_first + 1) % STORES;
    }
}

static void disk_write(struct node *n, const struct pending_store *p) {
    if (p->has_hard_state) {
        EXPECT(p->term >= n->disk.term);
        if (p->term == n->disk.term)
            EXPECT(n->disk.vote == 0 || n->disk.vote == p->vote); /* one vote in a term */
        n->disk.term = p->term;
        n->disk.vote = p->vote;
    }
    if (p->first == 0) return;
    EXPECT(p->first <= n->disk.last + 1);
    EXPECT(p->first > n->disk.state.applied);
    memcpy(n->disk.lines + p->first, p->lines, (p->last - p->first + 1) * sizeof *p->lines);
    n->disk.last = p->last;
    EXPECT(n->disk.lines[p->last].term <= n->disk.term);
}

static void node_store(struct sim *s, struct node *n) {
    struct pending_store p = n->stores[n->store_first];
    disk_write(n, &p);
    mem_free(p.lines);
    n->store_first = (n->store_first + 1) % STORES;
    n->store_count--;
    EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_STORED, .store_id = p.id}, NULL) == RC_OK);
}

static void node_apply(struct sim *s, struct node *n) {
    if (n->state.applied >= n->up.apply_index) return;
    uint64_t to = n->state.applied + 1 + pick(s, n->up.apply_index - n->state.applied);
    for (uint64_t i = n->state.applied + 1; i <= to; i++) {
        EXPECT(i <= n->disk.last);
        EXPECT(line_is(&n->lines[i], &n->disk.lines[i]));
        if (n->lines[i].kind != RAFT_ENTRY_MEMBERS) continue;
        n->state.members = *n->lines[i].members;
        n->state.members_index = i;
    }
    EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = to}, NULL) == RC_OK);
}

static void node_write_back(struct sim *s, struct node *n) {
    n->disk.state = n->state;
    if (!chance(s, 400) || n->state.applied == n->mark) return;
    uint64_t to = n->mark + 1 + pick(s, n->state.applied - n->mark);
    EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_CUT, .index = to}, NULL) == RC_OK);
    n->mark = n->disk.mark = to;
}

/* Drained, then the disk becomes the snapshot in one go, with a crash before or after it now and then. */
static void node_install(struct sim *s, struct node *n) {
    if (n->store_count > 0) {
        EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_INSTALLED}, NULL) == RC_INVALID);
        return;
    }
    if (chance(s, 100)) {
        node_crash(n);
        return;
    }
    const struct snapshot *from = &n->snapshot;
    n->disk.state = n->state = from->state;
    n->disk.mark = n->disk.last = n->mark = n->last = from->index;
    n->disk.lines[from->index] = n->lines[from->index] = (struct line){.term = from->term};
    n->is_installing = false;
    s->installs++;
    if (chance(s, 100)) {
        node_crash(n);
        return;
    }
    EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_INSTALLED}, NULL) == RC_OK);
    EXPECT(n->up.commit_index == from->index);
    if (chance(s, 700))
        post_add(
            s, (struct post){.is_sent_report = true, .from = n->id, .to = from->from, .index = from->index});
}

/* --- the loop --- */

static void deliver_snapshot(struct sim *s, struct node *n, const struct snapshot *snapshot) {
    if (n->is_installing) return;
    n->snapshot = *snapshot;
    struct raft_event e = {.type = RAFT_EVENT_SNAPSHOT,
                           .index = snapshot->index,
                           .snapshot_term = snapshot->term,
                           .term = snapshot->from_term,
                           .peer = snapshot->from,
                           .members = &snapshot->state.members,
                           .members_index = snapshot->state.members_index};
    EXPECT(give(s, n, e, NULL) == RC_OK);
    if (!n->is_installing)
        post_add(s, (struct post){.is_sent_report = true, .from = n->id, .to = snapshot->from, .index = 0});
}

static void end_sending(struct sim *s, struct node *n, uint64_t to, uint64_t index) {
    n->sending_until_us[to] = 0;
    if (index > n->up.commit_index) return; /* of an earlier life */
    struct raft_event e = {.type = RAFT_EVENT_SNAPSHOT_SENT, .peer = to, .index = index};
    EXPECT(give(s, n, e, NULL) == RC_OK);
}

static void deliver(struct sim *s, struct post *post) {
    struct node *n = &s->nodes[post->to];
    if (n->raft == NULL || s->cut[post->from][post->to]) {
        mem_free(post->lines);
        return;
    }
    if (post->is_snapshot) {
        deliver_snapshot(s, n, &post->snapshot);
    } else if (post->is_sent_report) {
        end_sending(s, n, post->from, post->index);
    } else {
        struct raft_entry *entries = mem_alloc((post->m.entry_count + 1) * sizeof *entries);
        for (size_t i = 0; i < post->m.entry_count; i++)
            entries[i] = (struct raft_entry){.index = post->m.prev_index + 1 + i,
                                             .term = post->lines[i].term,
                                             .kind = post->lines[i].kind,
                                             .size = post->lines[i].size,
                                             .members = post->lines[i].members};
        post->m.entries = entries;
        EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &post->m},
                    post->lines) == RC_OK);
        mem_free(entries);
    }
    mem_free(post->lines);
}

static void deliver_due(struct sim *s) {
    for (size_t i = 0; i < s->post_count;) {
        struct node *n = &s->nodes[s->posts[i].to];
        if (s->posts[i].due_us > s->now_us || n->paused_until_us > s->now_us) {
            i++;
            continue;
        }
        struct post post = s->posts[i];
        s->posts[i] = s->posts[--s->post_count];
        deliver(s, &post);
    }
}

static struct node *any_leader(struct sim *s) {
    size_t first = pick(s, NODES);
    for (size_t i = 0; i < NODES; i++) {
        struct node *n = &s->nodes[1 + (first + i) % NODES];
        if (n->raft != NULL && n->up.role == RAFT_LEADER) return n;
    }
    return NULL;
}

static void change_something(struct sim *s, struct node *n) {
    struct raft_members m = n->members;
    for (unsigned times = 1 + (unsigned)pick(s, 3); times > 0; times--) {
        uint64_t id = 1 + pick(s, NODES);
        size_t at = 0;
        while (at < m.count && m.items[at].id < id) at++;
        bool is_there = at < m.count && m.items[at].id == id;
        if (is_there && chance(s, 350)) {
            memmove(&m.items[at], &m.items[at + 1], (m.count - at - 1) * sizeof m.items[0]);
            m.count--;
            continue;
        }
        if (!is_there) {
            memmove(&m.items[at + 1], &m.items[at], (m.count - at) * sizeof m.items[0]);
            m.count++;
        }
        m.items[at] = (struct raft_member){.id = id, .seat = chance(s, 700) ? RAFT_VOTER : RAFT_LEARNER};
        snprintf(m.items[at].address, sizeof m.items[at].address, "n%d", (int)pick(s, 3));
    }
    struct raft_event e = {.type = RAFT_EVENT_CHANGE, .members = &m, .index = n->up.members_index};
    EXPECT(give(s, n, e, NULL) == RC_OK);
    if (n->up.refused == RAFT_TAKEN) s->changes++;
    if (members_are_joint(&n->members)) s->joints++;
}

static void client(struct sim *s) {
    struct node *n = any_leader(s);
    if (n == NULL || n->paused_until_us > s->now_us || s->value > LOG_MAX - 500) return;
    switch (pick(s, 40)) {
    case 0: change_something(s, n); return;
    case 1: {
        struct raft_event e = {.type = RAFT_EVENT_TRANSFER, .peer = pick(s, NODES + 1)};
        EXPECT(give(s, n, e, NULL) == RC_OK);
        return;
    }
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_READ}, NULL) == RC_OK); return;
    default: {
        struct raft_event e = {.type = RAFT_EVENT_PROPOSE, .size = pick(s, 300)};
        if (n->last + 100 < LOG_MAX) EXPECT(give(s, n, e, NULL) == RC_OK);
    }
    }
}

static void trouble(struct sim *s) {
    struct node *n = &s->nodes[1 + pick(s, NODES)];
    switch (pick(s, 10)) {
    case 0:
    case 1:
        for (int i = 1; i <= NODES; i++) { /* one side, the other side, both ways or one way */
            uint64_t a = 1 + pick(s, NODES), b = 1 + pick(s, NODES);
            s->cut[a][b] = true;
            if (chance(s, 700)) s->cut[b][a] = true;
        }
        break;
    case 2:
    case 3:
    case 4: memset(s->cut, 0, sizeof s->cut); break;
    case 5:
        for (uint64_t i = 1; i <= NODES; i++) s->cut[n->id][i] = s->cut[i][n->id] = true;
        break;
    case 6: n->paused_until_us = s->now_us + pick(s, 3000000); break;
    case 7:
        if (n->raft != NULL)
            (void)!give(s, n, (struct raft_event){.type = RAFT_EVENT_UNREACHABLE, .peer = 1 + pick(s, NODES)},
                        NULL);
        break;
    case 8:
        if (n->raft != NULL)
            EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_CAMPAIGN}, NULL) == RC_OK);
        break;
    default: n->next_tick_us += pick(s, 2000000); break;
    }
}

static void check_leases(struct sim *s) {
    for (int i = 1; i <= NODES; i++) {
        const struct node *n = &s->nodes[i];
        if (n->raft == NULL || n->up.lease_until_us <= clock_of(s, n)) continue;
        s->leases++;
        EXPECT_NOTE(n->up.commit_index >= s->committed_last, "stale lease on %d", i);
    }
}

static void node_turn(struct sim *s, struct node *n) {
    if (n->raft == NULL) {
        if (chance(s, 5)) node_start(s, n);
        return;
    }
    if (n->paused_until_us > s->now_us) return;
    if (s->now_us >= n->next_tick_us) {
        EXPECT(give(s, n, (struct raft_event){.type = RAFT_EVENT_TICK}, NULL) == RC_OK);
        n->next_tick_us = s->now_us + 20000;
    }
    for (uint64_t i = 1; i <= NODES; i++)
        if (n->sending_until_us[i] != 0 && n->sending_until_us[i] < s->now_us) end_sending(s, n, i, 0);
    while (n->store_count > 0 && n->stores[n->store_first].due_us <= s->now_us) node_store(s, n);
    if (chance(s, 300)) node_apply(s, n);
    if (!n->is_installing && chance(s, 20)) node_write_back(s, n);
    if (n->is_installing && chance(s, 50)) node_install(s, n);
    if (n->raft != NULL && chance(s, s->crash) && chance(s, 100)) node_crash(n);
}

static void sim_step(struct sim *s, bool is_calm) {
    s->now_us += pick(s, 8000);
    deliver_due(s);
    check_leases(s);
    for (int i = 1; i <= NODES; i++) node_turn(s, &s->nodes[i]);
    check_leases(s);
    if (is_calm) return;
    if (chance(s, 300)) client(s);
    if (chance(s, s->fault) && chance(s, 100)) trouble(s);
}

static struct sim *sim_new(uint64_t seed) {
    struct sim *s = mem_calloc(1, sizeof *s);
    s->rng.state = s->seed = seed;
    s->now_us = 1 + pick(s, 5000000);
    s->committed = mem_calloc(LOG_MAX, sizeof *s->committed);
    s->loss = (unsigned)pick(s, 2) * (unsigned)pick(s, 200);
    s->doubling = (unsigned)pick(s, 100);
    s->crash = (unsigned)pick(s, 2) * (unsigned)pick(s, 30);
    s->fault = (unsigned)pick(s, 200);
    s->delay_us = pick(s, 2) ? 5000 : pick(s, 200000);
    s->disk_us = pick(s, 2) ? 3000 : pick(s, 300000);
    struct raft_members first = {.count = 1 + pick(s, 5)};
    for (size_t i = 0; i < first.count; i++)
        first.items[i] = (struct raft_member){.id = i + 1, .seat = RAFT_VOTER};
    s->committed[s->committed_last = 1] = (struct line){.term = 1, .kind = RAFT_ENTRY_MEMBERS};
    for (uint64_t i = 1; i <= NODES; i++) {
        struct node *n = &s->nodes[i];
        n->id = i;
        n->disk.lines = mem_calloc(LOG_MAX, sizeof *n->disk.lines);
        n->lines = mem_calloc(LOG_MAX, sizeof *n->lines);
        if (i <=
            first.count) { /* the first configuration is entry 1: whoever joins gets it with a snapshot */
            n->disk.state = (struct state){.applied = 1, .members_index = 1, .members = first};
            n->disk.term = n->disk.mark = n->disk.last = 1;
            n->disk.lines[1] = s->committed[1];
        }
        node_start(s, n);
    }
    return s;
}

static void sim_free(struct sim *s) {
    for (int i = 1; i <= NODES; i++) {
        struct node *n = &s->nodes[i];
        if (n->raft != NULL) node_crash(n);
        mem_free(n->disk.lines);
        mem_free(n->lines);
    }
    for (size_t i = 0; i < s->post_count; i++) mem_free(s->posts[i].lines);
    for (size_t i = 0; i < s->config_count; i++) mem_free(s->configs[i]);
    mem_free(s->committed);
    mem_free(s);
}

static void sim_print(struct sim *s) {
    fprintf(stderr, "    at %" PRIu64 " us, %" PRIu64 " committed\n", s->now_us, s->committed_last);
    for (int i = 1; i <= NODES; i++) {
        struct node *n = &s->nodes[i];
        struct raft_status st = {0};
        if (n->raft != NULL) raft_status(n->raft, &st);
        fprintf(stderr,
                "    %d: %s role %d term %" PRIu64 " leader %" PRIu64 " log %" PRIu64 "..%" PRIu64
                " commit %" PRIu64 " applied %" PRIu64 " stores %zu promotable %d%s members %" PRIu64 ":",
                i, n->raft ? "up" : "down", (int)st.role, st.term, st.leader_id, st.first_index,
                st.last_index, st.commit_index, st.applied_index, n->store_count, st.is_promotable,
                n->is_installing ? " installing" : "", st.members_index);
        for (size_t m = 0; m < n->members.count; m++)
            fprintf(stderr, " %" PRIu64 "/%d", n->members.items[m].id, (int)n->members.items[m].seat);
        for (size_t p = 0; p < st.peer_count; p++)
            fprintf(stderr, " [%" PRIu64 " m%" PRIu64 " n%" PRIu64 " s%d i%zu]", st.peers[p].id,
                    st.peers[p].match_index, st.peers[p].next_index, (int)st.peers[p].state,
                    st.peers[p].inflight_count);
        fprintf(stderr, "\n");
    }
}

/* With everybody idle, whoever is restarted, with what is durable of its state, catches up by itself. */
static bool has_caught_up(const struct sim *s, const struct node *leader) {
    for (size_t i = 0; i < leader->members.count; i++)
        if (s->nodes[leader->members.items[i].id].state.applied < leader->up.commit_index) return false;
    return true;
}

/* With all nodes up and the network whole, everything settles: one leader, no change half done, and a new
 * entry reaches every member. */
static void sim_settle(struct sim *s) {
    memset(s->cut, 0, sizeof s->cut);
    s->loss = s->crash = 0;
    s->delay_us = s->disk_us = 3000;
    for (int i = 1; i <= NODES; i++) {
        s->nodes[i].paused_until_us = 0;
        s->nodes[i].next_tick_us = 0;
        if (s->nodes[i].raft == NULL) node_start(s, &s->nodes[i]);
    }
    uint64_t proposed = 0;
    bool has_restarted = false;
    struct node *leader = NULL;
    for (int i = 0; i < 30000; i++) {
        sim_step(s, true);
        if (i < 6000) continue;
        if (proposed == 0 || leader->raft == NULL || leader->up.role != RAFT_LEADER) {
            leader = any_leader(s);
            if (leader == NULL || !leader->up.readable || members_are_joint(&leader->members)) continue;
            EXPECT(give(s, leader, (struct raft_event){.type = RAFT_EVENT_PROPOSE, .size = 5}, NULL) ==
                   RC_OK);
            proposed = leader->up.refused == RAFT_TAKEN ? leader->last : 0;
            continue;
        }
        if (!has_caught_up(s, leader)) continue;
        const struct raft_member *self = members_find(&leader->members, leader->id);
        EXPECT(self != NULL);
        EXPECT(self->seat == RAFT_VOTER);
        if (has_restarted) return;
        struct node *n = &s->nodes[leader->members.items[pick(s, leader->members.count)].id];
        has_restarted = true;
        if (n == leader) return;
        node_crash(n);
        node_start(s, n);
    }
    sim_print(s);
    bool has_settled = false;
    EXPECT(has_settled);
}

#endif
