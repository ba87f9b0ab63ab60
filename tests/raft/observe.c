/* The invariants, seen by an observer of everything: what is recorded when entries are appended, written, committed and
 * applied, and what must then hold. Names in messages are those of figure 3 of the Raft paper where it has one. */
#include "cluster.h"

#include "mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cluster_violation(struct cluster *c, const char *format, ...) {
    char what[500];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (c->on_violation != NULL) c->on_violation(c, what);
    fflush(stdout);
    if (c->text.len > 0) fprintf(stderr, "%.*s", (int)c->text.len, c->text.data);
    fprintf(stderr, "VIOLATION after %" PRIu64 " steps: %s\n", c->steps, what);
    abort();
}

void observe_free(struct cluster *c) {
    mem_free(c->commits);
    mem_free(c->leaders);
    mem_free(c->facts);
    mem_free(c->proposals);
}

/* --- log matching --- */

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t z =
        (a ^ (b + UINT64_C(0x9e3779b97f4a7c15) + (a << 6) + (a >> 2))) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 29);
}

uint64_t chain_next(uint64_t chain, const struct cl_entry *e) {
    return mix(mix(mix(chain, e->term), (uint64_t)e->kind), e->value);
}

static struct cl_fact *fact_place(struct cl_fact *facts, size_t cap, uint64_t index, uint64_t term) {
    size_t at = mix(index, term) & (cap - 1);
    while (facts[at].index != 0 && (facts[at].index != index || facts[at].term != term))
        at = (at + 1) & (cap - 1);
    return &facts[at];
}

static void facts_grow(struct cluster *c) {
    size_t cap = c->fact_cap == 0 ? 256 : c->fact_cap * 2;
    struct cl_fact *facts = mem_calloc(cap, sizeof *facts);
    for (size_t i = 0; i < c->fact_cap; i++) {
        const struct cl_fact *f = &c->facts[i];
        if (f->index != 0) *fact_place(facts, cap, f->index, f->term) = *f;
    }
    mem_free(c->facts);
    c->facts = facts;
    c->fact_cap = cap;
}

/* "If two logs contain an entry with the same index and term, then the logs are identical in all entries up through
 * the given index." */
static void check_log_matching(struct cluster *c, struct cl_node *n, uint64_t index,
                               const struct cl_entry *e) {
    if (2 * c->fact_count >= c->fact_cap) facts_grow(c);
    struct cl_fact *f = fact_place(c->facts, c->fact_cap, index, e->term);
    if (f->index == 0) {
        *f = (struct cl_fact){index, e->term, e->chain};
        c->fact_count++;
    } else if (f->chain != e->chain) {
        cluster_violation(c,
                          "Log Matching: node %" PRIu64 " has another entry or history at index %" PRIu64
                          " term %" PRIu64,
                          n->id, index, e->term);
    }
}

/* Computes the chains of entries about to be put into the node's log. */
void observe_append(struct cluster *c, struct cl_node *n, uint64_t first, struct cl_entry *entries,
                    size_t count) {
    const struct cl_log *log = &n->log;
    if (first <= log->mark_index || first > clog_last(log) + 1) {
        cluster_violation(c,
                          "node %" PRIu64 " stores from %" PRIu64 ", its log is (%" PRIu64 ", %" PRIu64 "]",
                          n->id, first, log->mark_index, clog_last(log));
    }
    const struct cl_entry *before = clog_at(log, first - 1);
    uint64_t chain = before == NULL ? log->mark_chain : before->chain;
    uint64_t term = before == NULL ? log->mark_term : before->term;
    for (size_t i = 0; i < count; i++) {
        struct cl_entry *e = &entries[i];
        uint64_t index = first + i;
        if (e->term < term || e->term > n->term) {
            cluster_violation(
                c, "node %" PRIu64 " of term %" PRIu64 " stores an entry of term %" PRIu64 " after %" PRIu64,
                n->id, n->term, e->term, term);
        }
        term = e->term;
        e->chain = chain = chain_next(chain, e);
        if (!c->options.puppets) check_log_matching(c, n, index, e);
    }
    /* What is gone now: nothing that is committed, here or anywhere, and nothing of a leader ("Leader Append-Only"). */
    for (uint64_t index = first; index <= clog_last(log); index++) {
        size_t at = index - first;
        if (at < count && entries[at].chain == clog_at(log, index)->chain) continue;
        if (n->role == RAFT_LEADER) {
            cluster_violation(c, "Leader Append-Only: node %" PRIu64 " drops its entry %" PRIu64, n->id,
                              index);
        }
        if (index <= n->commit_index) {
            cluster_violation(c, "node %" PRIu64 " drops entry %" PRIu64 ", committed is %" PRIu64, n->id,
                              index, n->commit_index);
        }
        /* One that has not heard of the term in which it was committed was not counted, and may still follow a leader of
         * a term before. */
        if (index <= c->commit_count && c->commits[index - 1].commit_term <= n->term &&
            c->commits[index - 1].chain == clog_at(log, index)->chain) {
            cluster_violation(c, "node %" PRIu64 " drops entry %" PRIu64 ", which is committed elsewhere",
                              n->id, index);
        }
    }
}

/* --- votes and elections --- */

static uint64_t *vote_of(struct cl_node *n, uint64_t term) {
    if (term >= n->vote_cap) {
        size_t cap = term * 2 + 16;
        n->votes = mem_realloc(n->votes, cap * sizeof *n->votes);
        memset(n->votes + n->vote_cap, 0, (cap - n->vote_cap) * sizeof *n->votes);
        n->vote_cap = cap;
    }
    return &n->votes[term];
}

/* The disk changed. */
void observe_written(struct cluster *c, struct cl_node *n) {
    if (n->disk.vote == 0) return;
    uint64_t *vote = vote_of(n, n->disk.term);
    if (*vote != 0 && *vote != n->disk.vote) {
        cluster_violation(c, "node %" PRIu64 " votes for %" PRIu64 " and for %" PRIu64 " in term %" PRIu64,
                          n->id, *vote, n->disk.vote, n->disk.term);
    }
    *vote = n->disk.vote;
}

struct ballot {
    struct cluster *c;
    uint64_t term, candidate;
};

static bool has_voted(void *arg, uint64_t id) {
    struct ballot *b = arg;
    return id <= CL_NODES_MAX && *vote_of(&b->c->nodes[id], b->term) == b->candidate;
}

static void check_election(struct cluster *c, struct cl_node *n) {
    if (n->disk.term != n->term || n->disk.vote != n->id) {
        cluster_violation(c, "node %" PRIu64 " leads term %" PRIu64 ", its own vote is not durable", n->id,
                          n->term);
    }
    if (c->options.puppets) return;
    if (n->term >= c->leader_cap) {
        size_t cap = n->term * 2 + 16;
        c->leaders = mem_realloc(c->leaders, cap * sizeof *c->leaders);
        memset(c->leaders + c->leader_cap, 0, (cap - c->leader_cap) * sizeof *c->leaders);
        c->leader_cap = cap;
    }
    uint64_t *leader = &c->leaders[n->term];
    if (*leader != 0) {
        cluster_violation(c, "Election Safety: nodes %" PRIu64 " and %" PRIu64 " lead term %" PRIu64, *leader,
                          n->id, n->term);
    }
    *leader = n->id;
    struct ballot ballot = {c, n->term, n->id};
    if (!members_quorum(n->members, has_voted, &ballot)) {
        cluster_violation(c, "node %" PRIu64 " leads term %" PRIu64 " without a majority of durable votes",
                          n->id, n->term);
    }
    for (uint64_t index = n->log.mark_index + 1; index <= c->commit_count; index++) {
        const struct cl_commit *commit = &c->commits[index - 1];
        const struct cl_entry *e = clog_at(&n->log, index);
        if (commit->commit_term < n->term && (e == NULL || e->chain != commit->chain)) {
            cluster_violation(c,
                              "Leader Completeness: node %" PRIu64 " leads term %" PRIu64
                              " without entry %" PRIu64 ", committed in term %" PRIu64,
                              n->id, n->term, index, commit->commit_term);
        }
    }
}

/* --- commitment --- */

struct copies {
    struct cluster *c;
    uint64_t index, chain;
};

static bool has_durably(void *arg, uint64_t id) {
    struct copies *k = arg;
    if (id > CL_NODES_MAX) return false;
    const struct cl_disk *d = &k->c->nodes[id].disk;
    const struct cl_entry *e = clog_at(&d->log, k->index);
    return e != NULL ? e->chain == k->chain : d->log.mark_index >= k->index;
}

static uint64_t chain_at(struct cl_node *n, uint64_t index) {
    const struct cl_entry *e = clog_at(&n->log, index);
    return e != NULL ? e->chain : index == n->log.mark_index ? n->log.mark_chain : 0;
}

static void commit_add(struct cluster *c, struct cl_commit commit) {
    if (c->commit_count == c->commit_cap) {
        c->commit_cap = c->commit_cap == 0 ? 64 : c->commit_cap * 2;
        c->commits = mem_realloc(c->commits, c->commit_cap * sizeof *c->commits);
    }
    c->commits[c->commit_count++] = commit;
}

void observe_formed(struct cluster *c, const struct cl_state *first) {
    CHECK(first->index == c->commit_count + 1);
    commit_add(c, (struct cl_commit){first->term, first->chain, first->term});
}

/* The first that calls these entries committed is the leader that counted their copies. */
static void commit_new(struct cluster *c, struct cl_node *n, const struct cl_node *before) {
    uint64_t index = n->commit_index;
    /* One that is not in the configuration that it has just committed leads no longer. */
    if (n->role != RAFT_LEADER && (before->role != RAFT_LEADER || before->term != n->term)) {
        cluster_violation(c, "node %" PRIu64 " commits %" PRIu64 ", which no leader has committed", n->id,
                          index);
    }
    if (clog_term(&n->log, index) != n->term) {
        cluster_violation(c,
                          "node %" PRIu64 " of term %" PRIu64 " commits entry %" PRIu64 " of term %" PRIu64
                          " by counting (5.4.2)",
                          n->id, n->term, index, clog_term(&n->log, index));
    }
    struct copies copies = {c, index, chain_at(n, index)};
    if (!members_quorum(n->members, has_durably, &copies)) {
        cluster_violation(
            c, "node %" PRIu64 " commits entry %" PRIu64 ", which is not on the disks of a majority", n->id,
            index);
    }
    while (c->commit_count < index) {
        const struct cl_entry *e = clog_at(&n->log, c->commit_count + 1);
        if (e == NULL) {
            cluster_violation(c, "node %" PRIu64 " commits entry %zu, which it does not have", n->id,
                              c->commit_count + 1);
        }
        commit_add(c, (struct cl_commit){e->term, e->chain, n->term});
    }
}

static void check_commit(struct cluster *c, struct cl_node *n, const struct cl_node *before) {
    uint64_t old_commit = before->commit_index;
    if (n->commit_index < old_commit) {
        cluster_violation(c, "node %" PRIu64 " has committed %" PRIu64 " and now %" PRIu64, n->id, old_commit,
                          n->commit_index);
    }
    if (n->commit_index > clog_last(&n->log)) {
        cluster_violation(c, "node %" PRIu64 " commits %" PRIu64 " beyond its log", n->id, n->commit_index);
    }
    if (c->options.puppets || n->commit_index == old_commit) return;
    if (n->commit_index > c->commit_count) commit_new(c, n, before);
    /* The chain stands for all entries up to here. */
    if (n->commit_index > n->log.mark_index &&
        chain_at(n, n->commit_index) != c->commits[n->commit_index - 1].chain) {
        cluster_violation(c, "State Machine Safety: node %" PRIu64 " commits another entry %" PRIu64, n->id,
                          n->commit_index);
    }
}

/* --- after every update --- */

/* The newest configuration in the log, or the applied one behind it. */
uint64_t observe_newest_members(const struct cl_node *n, const struct raft_members **out) {
    for (uint64_t index = clog_last(&n->log); index > n->log.mark_index; index--) {
        const struct cl_entry *e = clog_at(&n->log, index);
        if (e->kind != RAFT_ENTRY_MEMBERS) continue;
        *out = e->members;
        return index;
    }
    *out = n->state.members;
    return n->state.members_index;
}

static void check_members(struct cluster *c, struct cl_node *n) {
    const struct raft_members *members;
    uint64_t index = observe_newest_members(n, &members);
    size_t count = members == NULL ? 0 : members->count;
    bool same = n->members_index == index && (n->members == NULL ? 0 : n->members->count) == count;
    for (size_t i = 0; same && i < count; i++) {
        same = members->items[i].id == n->members->items[i].id &&
               members->items[i].seat == n->members->items[i].seat;
    }
    if (!same) {
        cluster_violation(c,
                          "node %" PRIu64 " goes by the configuration of %" PRIu64
                          ", the newest in its log is of %" PRIu64,
                          n->id, n->members_index, index);
    }
}

/* A joint configuration is left only when both majorities have it. */
static void check_change(struct cluster *c, struct cl_node *n, const struct cl_node *before) {
    if (c->options.puppets || before->role != RAFT_LEADER || before->term != n->term) return;
    if (n->members_index <= before->members_index || before->members_index <= n->log.mark_index) return;
    struct copies copies = {c, before->members_index, chain_at(n, before->members_index)};
    if (!members_quorum(before->members, has_durably, &copies)) {
        cluster_violation(
            c, "leader %" PRIu64 " changes the configuration of %" PRIu64 " before it is committed", n->id,
            before->members_index);
    }
}

void observe_update(struct cluster *c, struct cl_node *n, const struct raft_update *up,
                    const struct cl_node *before) {
    bool was_leader = before->role == RAFT_LEADER;
    uint64_t old_term = before->term;
    check_commit(c, n, before);
    check_change(c, n, before);
    if (n->term < old_term || n->term < n->disk.term) {
        cluster_violation(c, "the term of node %" PRIu64 " falls from %" PRIu64 " to %" PRIu64, n->id,
                          old_term, n->term);
    }
    if (!up->install) check_members(c, n);
    if (n->role == RAFT_LEADER && (!was_leader || old_term != n->term)) check_election(c, n);
    if (n->role == RAFT_LEADER && n->leader_id != n->id) {
        cluster_violation(c, "node %" PRIu64 " leads and says that %" PRIu64 " does", n->id, n->leader_id);
    }
    if (n->apply_index > n->commit_index || n->apply_index < n->state.index) {
        cluster_violation(
            c, "node %" PRIu64 " applies up to %" PRIu64 ", committed %" PRIu64 ", applied %" PRIu64, n->id,
            n->apply_index, n->commit_index, n->state.index);
    }
    if (n->apply_index > clog_last(&n->disk.log)) {
        cluster_violation(c, "node %" PRIu64 " applies %" PRIu64 " before it is on its own disk", n->id,
                          n->apply_index);
    }
}

/* What the core says about itself must be what its shell knows. */
void observe_core(struct cluster *c, struct cl_node *n) {
    struct raft_status s;
    raft_status(n->raft, &s);
    if (s.term != n->term) {
        cluster_violation(
            c, "node %" PRIu64 " is in term %" PRIu64 ", and never asked to store more than %" PRIu64, n->id,
            s.term, n->term);
    }
    if (s.last_index != clog_last(&n->log) ||
        raft_term_at(n->raft, s.last_index) != clog_term(&n->log, s.last_index)) {
        cluster_violation(c,
                          "node %" PRIu64 " believes its log to end at %" PRIu64 "/%" PRIu64
                          ", it ends at %" PRIu64 "/%" PRIu64,
                          n->id, s.last_index, raft_term_at(n->raft, s.last_index), clog_last(&n->log),
                          clog_term(&n->log, clog_last(&n->log)));
    }
    if (s.stored_index > clog_last(&n->disk.log) ||
        (s.stored_index > n->log.mark_index &&
         clog_term(&n->disk.log, s.stored_index) != clog_term(&n->log, s.stored_index))) {
        cluster_violation(c, "node %" PRIu64 " believes %" PRIu64 " to be stored, which it is not", n->id,
                          s.stored_index);
    }
}

/* Nothing that binds the sender leaves before what it rests on is on the sender's disk. */
void observe_message(struct cluster *c, struct cl_node *n, const struct raft_message *m) {
    c->digest = mix(mix(mix(c->digest, m->from * 16 + m->to), (uint64_t)m->kind * 2 + m->rejected),
                    m->term + (m->prev_index << 16) + (m->commit_index << 32) + (m->match_index << 48));
    bool granted = m->kind == RAFT_VOTE_REPLY && !m->pre_vote && !m->rejected;
    bool leads = m->kind == RAFT_APPEND || m->kind == RAFT_HEARTBEAT || m->kind == RAFT_TIMEOUT_NOW;
    bool stands = m->kind == RAFT_VOTE && !m->pre_vote;
    bool acks = m->kind == RAFT_APPEND_REPLY && !m->rejected;
    if (m->to == n->id || m->to == 0)
        cluster_violation(c, "node %" PRIu64 " writes to %" PRIu64, n->id, m->to);
    if ((granted || leads || stands || acks) && n->disk.term < m->term) {
        cluster_violation(c, "node %" PRIu64 " speaks in term %" PRIu64 ", on its disk is %" PRIu64, n->id,
                          m->term, n->disk.term);
    }
    if (granted && *vote_of(n, m->term) != m->to) {
        cluster_violation(
            c, "node %" PRIu64 " grants its vote of term %" PRIu64 " to %" PRIu64 ", on its disk is %" PRIu64,
            n->id, m->term, m->to, *vote_of(n, m->term));
    }
    if ((leads || stands) && *vote_of(n, m->term) != n->id) {
        cluster_violation(c, "node %" PRIu64 " acts in term %" PRIu64 " without its own vote on its disk",
                          n->id, m->term);
    }
    if (m->kind == RAFT_APPEND && m->prev_term != clog_term(&n->log, m->prev_index)) {
        cluster_violation(
            c, "node %" PRIu64 " says its entry %" PRIu64 " is of term %" PRIu64 ", it is of %" PRIu64, n->id,
            m->prev_index, m->prev_term, clog_term(&n->log, m->prev_index));
    }
    if (!acks) return;
    if (m->match_index > clog_last(&n->disk.log)) {
        cluster_violation(c, "node %" PRIu64 " acknowledges %" PRIu64 ", on its disk is %" PRIu64, n->id,
                          m->match_index, clog_last(&n->disk.log));
    }
    const struct cl_node *leader = m->to <= CL_NODES_MAX ? &c->nodes[m->to] : NULL;
    if (leader == NULL || !leader->up || leader->role != RAFT_LEADER || leader->term != m->term) return;
    const struct cl_entry *here = clog_at(&n->disk.log, m->match_index),
                          *there = clog_at(&leader->log, m->match_index);
    if (here != NULL && there != NULL && here->chain != there->chain) {
        cluster_violation(c,
                          "node %" PRIu64 " acknowledges entry %" PRIu64 ", which differs from the leader's",
                          n->id, m->match_index);
    }
}

/* "If a server has applied a log entry at a given index to its state machine, no other server will ever apply a
 * different log entry for the same index." */
void observe_apply(struct cluster *c, struct cl_node *n, uint64_t index) {
    const struct cl_entry *e = clog_at(&n->log, index);
    if (c->options.puppets) return;
    if (index > c->commit_count || c->commits[index - 1].chain != e->chain) {
        cluster_violation(c, "State Machine Safety: node %" PRIu64 " applies another entry %" PRIu64, n->id,
                          index);
    }
    if (e->kind != RAFT_ENTRY_COMMANDS) return;
    const struct cl_proposal *p = &c->proposals[e->value];
    if (p->index != index || p->term != e->term) {
        cluster_violation(c, "entry %" PRIu64 " was proposed as %" PRIu64, index, p->index);
    }
    if (p->node == n->id && p->incarnation == n->incarnation && index > c->acked_index)
        c->acked_index = index;
}

void observe_installed(struct cluster *c, struct cl_node *n) {
    c->install_count++;
    if (c->options.puppets) return;
    if (n->state.index > c->commit_count || c->commits[n->state.index - 1].chain != n->state.chain) {
        cluster_violation(c, "node %" PRIu64 " installs a snapshot of %" PRIu64 ", which is not committed",
                          n->id, n->state.index);
    }
}

/* --- reads --- */

/* Linearizable: what was acknowledged before the read was asked is in the state that answers it. */
void observe_reads(struct cluster *c, struct cl_node *n, const struct raft_update *up) {
    if (up->read_id > n->read_id) {
        if (n->read_count == n->read_cap) {
            n->read_cap = n->read_cap == 0 ? 8 : n->read_cap * 2;
            n->reads = mem_realloc(n->reads, n->read_cap * sizeof *n->reads);
        }
        n->reads[n->read_count++] = (struct cl_read){up->read_id, c->commit_count};
        n->read_id = up->read_id;
    }
    size_t kept = 0;
    for (size_t i = 0; i < n->read_count; i++) {
        const struct cl_read *r = &n->reads[i];
        if (r->id <= up->read_done) {
            n->reads_done++;
            if (n->state.index < r->floor && !c->options.puppets) {
                cluster_violation(c,
                                  "node %" PRIu64 " answers read %" PRIu64 " with %" PRIu64
                                  " applied, %" PRIu64 " was committed when it was asked",
                                  n->id, r->id, n->state.index, r->floor);
            }
        } else if (r->id <= up->read_lost) {
            n->reads_lost++;
        } else {
            n->reads[kept++] = *r;
        }
    }
    n->read_count = kept;
    n->read_done_id = up->read_done;
    n->read_lost_id = up->read_lost;
    /* Leases, of everybody and at every instant: a node that has not been stepped for a while would use its own, too. */
    if (c->options.puppets) return;
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        const struct cl_node *l = &c->nodes[id];
        if (!l->up || !l->readable || l->lease_until_us == 0 || cluster_clock(c, l) >= l->lease_until_us)
            continue;
        c->lease_count++;
        if (l->role != RAFT_LEADER)
            cluster_violation(c, "node %" PRIu64 " has a lease and does not lead", l->id);
        if (l->state.index < c->acked_index) {
            cluster_violation(c,
                              "node %" PRIu64 " may answer from its lease with %" PRIu64 " applied, %" PRIu64
                              " was acknowledged",
                              l->id, l->state.index, c->acked_index);
        }
    }
}
