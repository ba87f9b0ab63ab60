/* See observe.h. Three sorts of knowledge are kept across crashes, by what was seen of each node:
 *
 *   history    for each index, every (term, content) that any node ever stored there, and which of them is committed
 *   durable    for each machine, what its log surely holds: entries whose write returned, and the vote of each term
 *   leaders    for each term, who led it */
#include "observe.h"

#include "hash.h"
#include "keyspace.h"
#include "mem.h"
#include "raft.h"
#include "raft_log.h"
#include "rules.h"
#include "writeback.h"

#include <inttypes.h>
#include <stdio.h>

enum { DIGEST_EVERY = 64 };

/* What was stored at one index. */
struct variant {
    struct variant *next;
    uint64_t term, prev_term, content;
};

struct place {
    struct variant *variants;
    uint64_t term, by_term; /* committed: the entry's term, and the term of whoever knew first; 0: not */
    uint64_t digest;        /* of the data after it; 0: nobody looked */
    int digest_by;
};

struct vote {
    uint64_t term, vote;
};

/* What one machine surely has on its disk. */
struct durable {
    uint64_t *terms; /* by index */
    size_t cap;
    uint64_t mark, last; /* up to `mark` it is in the state */
    uint64_t
        last_least; /* where the log may end instead, while a write that cuts it back is under way, or failed */
    struct vote newest;
    uint64_t node_id;
    uint64_t last_before; /* the newest batch: `last` */
    struct vote newest_before;
    uint64_t power_cuts; /* of its machine until then */
};

struct leader {
    uint64_t term, node_id;
};

/* A running node. */
struct node_seen {
    struct raft *raft;
    struct keyspace *ks;
    struct raft_log *log;
    enum raft_role role;
    uint64_t term, commit, applied;
};

static struct {
    struct place *places;
    size_t place_cap;
    uint64_t committed; /* the highest */
    struct durable durable[MACHINES_MAX];
    struct durable *lost; /* of disks that were lost: they had it when they said so */
    size_t lost_count;
    struct node_seen nodes[MACHINES_MAX];
    struct leader *leaders;
    size_t leader_count;
    uint64_t snapshots;
    struct raft_members members; /* of the newest leader, committed */
    uint64_t members_term;
    bool tracing;
} seen;

/* --- what is remembered --- */

static struct place *place_of(uint64_t index) {
    if (index >= seen.place_cap) {
        size_t cap = seen.place_cap ? seen.place_cap : 1024;
        while (cap <= index) cap *= 2;
        seen.places = mem_realloc(seen.places, cap * sizeof *seen.places);
        memset(seen.places + seen.place_cap, 0, (cap - seen.place_cap) * sizeof *seen.places);
        seen.place_cap = cap;
    }
    return &seen.places[index];
}

static void durable_put(struct durable *d, uint64_t index, uint64_t term) {
    if (index >= d->cap) {
        size_t cap = d->cap ? d->cap : 1024;
        while (cap <= index) cap *= 2;
        d->terms = mem_realloc(d->terms, cap * sizeof *d->terms);
        memset(d->terms + d->cap, 0, (cap - d->cap) * sizeof *d->terms);
        d->cap = cap;
    }
    d->terms[index] = term;
    d->last = index;
}

static bool durable_has(const struct durable *d, uint64_t index, uint64_t term) {
    return index <= d->mark || (index <= d->last && index < d->cap && d->terms[index] == term);
}

static struct machine *here(void) {
    struct process *p = process_running();
    return p != NULL ? p->machine : NULL;
}

static struct node_seen *node_here(void) {
    struct machine *m = here();
    return m != NULL ? &seen.nodes[m->host] : NULL;
}

#define U PRIu64

/* --- Raft's promises --- */

/* Log matching: index and term determine the entry, and the one before it. */
static void entry_stored(uint64_t index, uint64_t term, uint64_t prev_term, uint64_t content) {
    struct place *p = place_of(index);
    for (struct variant *v = p->variants; v != NULL; v = v->next) {
        if (v->term != term) continue;
        if (v->content != content)
            sim_fail("log matching: entry %" U " of term %" U " is stored with two contents", index, term);
        if (v->prev_term != prev_term && v->prev_term != UINT64_MAX && prev_term != UINT64_MAX)
            sim_fail("log matching: entry %" U " of term %" U " follows one of term %" U " and one of %" U,
                     index, term, v->prev_term, prev_term);
        if (v->prev_term == UINT64_MAX) v->prev_term = prev_term;
        return;
    }
    struct variant *v = mem_calloc(1, sizeof *v);
    *v = (struct variant){.next = p->variants, .term = term, .prev_term = prev_term, .content = content};
    p->variants = v;
}

/* State machine safety: all nodes agree about what is committed at an index. */
static void committed_at(const struct machine *m, uint64_t index, uint64_t term, uint64_t by_term) {
    struct place *p = place_of(index);
    if (p->term == 0) {
        p->term = term;
        p->by_term = by_term;
    }
    if (by_term < p->by_term) p->by_term = by_term;
    if (p->term != term)
        sim_fail("state machine safety: at %" U " an entry of term %" U
                 " is committed, and %s commits one of term %" U,
                 index, p->term, m->name, term);
    if (index > seen.committed) seen.committed = index;
}

/* Election safety: at most one leader in a term. */
static void leads(const struct machine *m, uint64_t term, uint64_t node_id) {
    for (size_t i = seen.leader_count; i-- > 0;) {
        if (seen.leaders[i].term != term) continue;
        if (seen.leaders[i].node_id != node_id)
            sim_fail("election safety: %s leads term %" U ", which has a leader already", m->name, term);
        return;
    }
    seen.leaders = mem_realloc(seen.leaders, (seen.leader_count + 1) * sizeof *seen.leaders);
    seen.leaders[seen.leader_count++] = (struct leader){term, node_id};
    world_mix(term);
}

/* Leader completeness: what was committed in earlier terms is in the new leader's log. */
static void check_complete(const struct machine *m, const struct raft *r, uint64_t term) {
    struct raft_status status;
    raft_status(r, &status);
    for (uint64_t i = 1; i <= seen.committed; i++) {
        const struct place *p = place_of(i);
        if (p->term == 0 || p->by_term >= term || i < status.first_index) continue;
        uint64_t has = i <= status.last_index ? raft_term_at(r, i) : 0;
        if (has != p->term)
            sim_fail("leader completeness: %s leads term %" U ", but at %" U " it has term %" U " where %" U
                     " was committed (in term %" U ")",
                     m->name, term, i, has, p->term, p->by_term);
    }
}

static const struct durable *durable_of(uint64_t node_id) {
    for (int i = 0; i < MACHINES_MAX; i++)
        if (seen.durable[i].node_id == node_id) return &seen.durable[i];
    for (size_t i = 0; i < seen.lost_count; i++)
        if (seen.lost[i].node_id == node_id) return &seen.lost[i];
    return NULL;
}

/* Committed is durable: on the disks of a majority, of both majorities while the configuration is joint. */
static void check_durable(const struct machine *m, const struct raft_members *members, uint64_t index,
                          uint64_t term) {
    size_t old = 0, old_has = 0, new = 0, new_has = 0;
    for (size_t i = 0; i < members->count; i++) {
        const struct raft_member *member = &members->items[i];
        const struct durable *d = durable_of(member->id);
        bool has = d != NULL && durable_has(d, index, term);
        old += seat_votes_old(member->seat);
        new += seat_votes_new(member->seat);
        old_has += has && seat_votes_old(member->seat);
        new_has += has && seat_votes_new(member->seat);
    }
    if (old_has * 2 <= old || new_has * 2 <= new)
        sim_fail("%s commits entry %" U " of term %" U
                 ", but it is on the disks of %zu of %zu voters (%zu of %zu)",
                 m->name, index, term, old_has, old, new_has, new);
}

/* What a follower acknowledges is on its disk, as the leader has it. */
static void check_acknowledged(const struct machine *m, const struct raft_message *out) {
    if (out->kind != RAFT_APPEND_REPLY || out->rejected || out->match_index == 0) return;
    for (int i = 0; i < cluster_size(); i++) {
        const struct node_seen *leader = &seen.nodes[i];
        if (leader->raft == NULL || leader->role != RAFT_LEADER || leader->term != out->term) continue;
        uint64_t term = raft_term_at(leader->raft, out->match_index);
        if (term != 0 && !durable_has(&seen.durable[m->host], out->match_index, term))
            sim_fail("%s acknowledges entry %" U ", but does not have that of term %" U " on its disk",
                     m->name, out->match_index, term);
    }
}

static void look_at_update(struct machine *m, struct raft *r, const struct raft_update *up) {
    struct node_seen *n = &seen.nodes[m->host];
    struct durable *d = &seen.durable[m->host];
    if (up->term < n->term) sim_fail("%s goes back from term %" U " to %" U, m->name, n->term, up->term);
    if (up->commit_index < n->commit)
        sim_fail("%s goes back from commit index %" U " to %" U, m->name, n->commit, up->commit_index);
    if (up->apply_index > up->commit_index) sim_fail("%s may apply what is not committed", m->name);
    if (up->role == RAFT_LEADER && (n->role != RAFT_LEADER || n->term != up->term)) {
        leads(m, up->term, d->node_id);
        check_complete(m, r, up->term);
    }
    for (uint64_t i = n->commit + 1; i <= up->commit_index; i++) {
        uint64_t term = raft_term_at(r, i);
        if (term == 0) continue; /* cut, or of a snapshot */
        committed_at(m, i, term, up->term);
        if (i == up->commit_index && up->role == RAFT_LEADER) check_durable(m, up->members, i, term);
    }
    if (up->role == RAFT_LEADER && up->term >= seen.members_term && up->members_index <= up->commit_index) {
        seen.members_term = up->term;
        seen.members = *up->members;
    }
    for (size_t i = 0; i < up->message_count; i++) check_acknowledged(m, &up->messages[i]);
    n->role = up->role;
    n->term = up->term;
    n->commit = up->commit_index;
}

/* --- the functions looked through --- */

#define LOOK(result, name, ...)                                                                              \
    result __real_##name(__VA_ARGS__);                                                                       \
    result __wrap_##name(__VA_ARGS__);                                                                       \
    result __wrap_##name(__VA_ARGS__)

LOOK(enum rc, raft_new, const struct raft_config *config, struct raft **out) {
    enum rc rc = __real_raft_new(config, out);
    if (rc != RC_OK || here() == NULL) return rc;
    struct node_seen *n = node_here();
    n->raft = *out;
    n->role = RAFT_FOLLOWER;
    n->term = config->term;
    n->commit = n->applied = config->applied_index;
    seen.durable[here()->host].node_id = here()->node_id = config->id;
    SIM_HEAP;
    rules_node_begins(here(), config);
    return rc;
}

LOOK(void, raft_free, struct raft *r) {
    if (here() != NULL && node_here()->raft == r) {
        SIM_HEAP;
        node_here()->raft = NULL;
        rules_node_gone(here());
    }
    __real_raft_free(r);
}

static const char *name_of(uint64_t node_id) {
    for (int i = 0; i < MACHINES_MAX; i++)
        if (seen.durable[i].node_id == node_id && i < cluster_size()) return cluster_machine(i)->name;
    return "?";
}

static void trace_message(const char *what, const struct raft_message *m) {
    static const char *const kinds[] = {"?",    "append",     "append-reply", "heartbeat", "heartbeat-reply",
                                        "vote", "vote-reply", "timeout-now"};
    sim_log("%s %s: %s from %s to %s, term %" U " round %" U " prev %" U "/%" U " +%zu commit %" U
            " match %" U " hint %" U "/%" U " last %" U "/%" U "%s%s%s",
            here()->name, what, m->kind < 8 ? kinds[m->kind] : "?", name_of(m->from), name_of(m->to), m->term,
            m->round, m->prev_index, m->prev_term, m->entry_count, m->commit_index, m->match_index,
            m->hint_index, m->hint_term, m->last_index, m->last_term, m->rejected ? " rejected" : "",
            m->pre_vote ? " pre" : "", m->is_transfer ? " transfer" : "");
}

static void trace(const struct raft_event *event, const struct raft_update *out, enum rc rc) {
    static const char *const kinds[] = {"tick",        "propose",       "stored",   "applied",  "cut",
                                        "message",     "read",          "change",   "transfer", "campaign",
                                        "unreachable", "snapshot-sent", "snapshot", "installed"};
    if (event->type == RAFT_EVENT_MESSAGE)
        trace_message(rc == RC_OK ? "hears" : "does not understand", event->message);
    else if (event->type != RAFT_EVENT_TICK && event->type != RAFT_EVENT_APPLIED)
        sim_log("%s event: %s, store %" U " index %" U " peer %s%s%s", here()->name,
                event->type < sizeof kinds / sizeof *kinds ? kinds[event->type] : "?", event->store_id,
                event->index, name_of(event->peer), rc != RC_OK ? ", no sense" : "",
                rc == RC_OK && out->refused ? ", refused" : "");
    if (rc != RC_OK) return;
    for (size_t i = 0; i < out->message_count; i++) trace_message("says", &out->messages[i]);
    if (out->store_id != 0)
        sim_log("%s stores %" U ":%s term %" U " entries %" U " to %" U, here()->name, out->store_id,
                out->store_hard_state ? " vote" : "", out->term, out->store_first, out->store_last);
    if (out->snapshot_to != 0)
        sim_log("%s wants to send a snapshot to %s", here()->name, name_of(out->snapshot_to));
}

LOOK(enum rc, raft_step, struct raft *r, const struct raft_event *event, struct raft_update *out) {
    enum rc rc = __real_raft_step(r, event, out);
    if (seen.tracing && here() != NULL) trace(event, out, rc);
    if (rc != RC_OK || here() == NULL) return rc;
    SIM_HEAP;
    const struct durable *d = &seen.durable[here()->host];
    struct rules_facts facts = {.committed = seen.committed,
                                .applied = node_here()->applied,
                                .stored_term = d->newest.term,
                                .stored_vote = d->newest.vote,
                                .stored_last = d->last > d->mark ? d->last : d->mark};
    look_at_update(here(), r, out);
    rules_step(here(), event, out, r, &facts);
    return rc;
}

static uint64_t content_of(const struct log_entry *e) {
    return hash64(e->payload) * 31 + e->kind;
}

struct reload {
    struct durable *d;
    uint64_t prev_term;
};

static enum rc reload_entry(void *arg, const struct log_entry *e) {
    SIM_HEAP;
    struct reload *r = arg;
    entry_stored(e->index, e->term, r->prev_term, content_of(e));
    durable_put(r->d, e->index, e->term);
    r->prev_term = e->term;
    return RC_OK;
}

/* The newest batch, damaged where the power has gone as well, looks like one that was being written (storage/README.md). */
static bool is_past_noticing(const struct machine *m, const struct durable *d, uint64_t last,
                             const struct log_hard_state *hard) {
    return m->rotten && m->power_cuts > d->power_cuts && last == d->last_before &&
           hard->term == d->newest_before.term && hard->vote == d->newest_before.vote;
}

/* It is taken for noticed: what that node would do now is nobody's fault. */
static enum rc refuse_log(const struct machine *m, struct raft_log **out, struct kv_error *error) {
    sim_log("%s: its newest batch has rotted, which nobody can tell from one that was being written",
            m->name);
    raft_log_close(*out);
    *out = NULL;
    snprintf(error->text, sizeof error->text, "the newest batch has rotted");
    return RC_CORRUPT;
}

/* What a crash left is what the opened log says; what was surely there must be. */
LOOK(enum rc, raft_log_open, const char *path, const struct raft_log_options *options, struct raft_log **out,
     struct kv_error *error) {
    enum rc rc = __real_raft_log_open(path, options, out, error);
    struct machine *m = here();
    if (rc != RC_OK || m == NULL) return rc;
    struct durable *d = &seen.durable[m->host];
    struct log_mark mark = raft_log_mark(*out);
    uint64_t last = raft_log_last_index(*out);
    struct log_hard_state hard = raft_log_hard_state(*out);
    bool is_shorter = last < d->last_least,
         has_forgotten = hard.term < d->newest.term ||
                         (hard.term == d->newest.term && d->newest.vote != 0 && hard.vote != d->newest.vote);
    if ((is_shorter || has_forgotten) && is_past_noticing(m, d, last, &hard))
        return refuse_log(m, out, error);
    if (is_shorter)
        sim_fail("%s: its log ends at %" U ", but %" U " was durable", m->name, last, d->last_least);
    if (has_forgotten) sim_fail("%s forgot its vote of term %" U, m->name, d->newest.term);
    struct kv_error ignored;
    struct reload r = {.d = d, .prev_term = mark.term};
    if (last > mark.index && raft_log_read(*out, mark.index + 1, last, reload_entry, &r, &ignored) != RC_OK &&
        !m->rotten)
        sim_fail("%s: its log cannot be read after it was opened", m->name);
    d->last = d->last_least = last;
    if (mark.index > d->mark) d->mark = mark.index;
    d->newest = (struct vote){hard.term, hard.vote};
    seen.nodes[m->host].log = *out;
    return rc;
}

static void note_hard_state(const struct machine *m, struct durable *d, const struct log_hard_state *h) {
    if (h->term < d->newest.term)
        sim_fail("%s stores term %" U " after %" U, m->name, h->term, d->newest.term);
    if (h->term == d->newest.term && d->newest.vote != 0 && h->vote != d->newest.vote)
        sim_fail("%s votes twice in term %" U, m->name, h->term);
    d->newest = (struct vote){h->term, h->vote};
    rules_vote_stored(d->node_id, h->term, h->vote);
}

LOOK(enum rc, raft_log_write, struct raft_log *log, const struct log_batch *batch, struct kv_error *error) {
    struct machine *m = here();
    uint64_t first = batch->entry_count > 0 ? batch->entries[0].index : 0, prev_term = UINT64_MAX;
    if (m != NULL && first == raft_log_last_index(log) + 1) prev_term = raft_log_last_term(log);
    struct durable *d = m != NULL ? &seen.durable[m->host] : NULL;
    if (m != NULL && batch->entry_count > 0) {
        uint64_t end = batch->entries[batch->entry_count - 1].index;
        if (end < d->last_least) d->last_least = end;
    }
    enum rc rc = __real_raft_log_write(log, batch, error);
    if (rc != RC_OK || m == NULL) return rc;
    SIM_HEAP;
    d->last_before = d->last;
    d->newest_before = d->newest;
    d->power_cuts = m->power_cuts;
    if (batch->hard_state != NULL) note_hard_state(m, d, batch->hard_state);
    for (size_t i = 0; i < batch->entry_count; i++) {
        const struct log_entry *e = &batch->entries[i];
        const struct place *p = place_of(e->index);
        if (e->index <= seen.nodes[m->host].commit && p->term != 0 && p->term != e->term)
            sim_fail("%s replaces entry %" U ", which it knows to be committed", m->name, e->index);
        entry_stored(e->index, e->term, prev_term, content_of(e));
        durable_put(d, e->index, e->term);
        prev_term = e->term;
    }
    d->last_least = d->last;
    return rc;
}

LOOK(enum rc, raft_log_cut, struct raft_log *log, struct log_mark mark, struct kv_error *error) {
    enum rc rc = __real_raft_log_cut(log, mark, error);
    if (rc != RC_OK || here() == NULL) return rc;
    struct durable *d = &seen.durable[here()->host];
    if (mark.index > seen.committed) sim_fail("%s cuts entries that are not committed", here()->name);
    if (mark.index > d->mark) d->mark = mark.index;
    return rc;
}

LOOK(enum rc, raft_log_reset, struct raft_log *log, struct log_mark mark, const struct log_hard_state *hard,
     struct kv_error *error) {
    struct durable *d = here() != NULL ? &seen.durable[here()->host] : NULL;
    if (d != NULL && mark.index < d->last_least) d->last_least = mark.index;
    enum rc rc = __real_raft_log_reset(log, mark, hard, error);
    if (rc != RC_OK || d == NULL) return rc;
    if (mark.index > seen.committed)
        sim_fail("%s installs a snapshot of what is not committed", here()->name);
    if (hard != NULL) note_hard_state(here(), d, hard);
    d->mark = d->last = d->last_least = mark.index;
    seen.snapshots++;
    return rc;
}

LOOK(enum rc, ks_open, const char *path, const struct keyspace_options *options, struct keyspace **out,
     struct kv_error *error) {
    enum rc rc = __real_ks_open(path, options, out, error);
    if (rc != RC_OK || here() == NULL) return rc;
    node_here()->ks = *out;
    node_here()->applied = ks_applied(*out).index;
    return rc;
}

LOOK(void, ks_close, struct keyspace *ks) {
    if (here() != NULL && node_here()->ks == ks) node_here()->ks = NULL;
    __real_ks_close(ks);
}

static uint64_t digest_of(struct keyspace *ks) {
    uint8_t bytes[20];
    ks_digest(ks, bytes);
    return hash64(slice_make((const char *)bytes, sizeof bytes)) | 1;
}

static void check_digest(const struct machine *m, uint64_t index, uint64_t digest) {
    struct place *p = place_of(index);
    if (p->digest == 0) {
        p->digest = digest;
        p->digest_by = m->host;
    }
    if (p->digest != digest)
        sim_fail("after entry %" U " the data of %s and of n%d differ", index, m->name, p->digest_by + 1);
}

/* Entries are applied in order, each once, only committed ones, and make the same of the same. */
LOOK(void, ks_set_applied, struct keyspace *ks, struct ks_applied applied) {
    __real_ks_set_applied(ks, applied);
    struct machine *m = here();
    if (m == NULL) return;
    struct node_seen *n = &seen.nodes[m->host];
    const struct place *p;
    {
        SIM_HEAP;
        p = place_of(applied.index);
    }
    if (n->raft == NULL &&
        applied.index == 1) { /* the configuration that the founders were given stands for it */
        SIM_HEAP;
        committed_at(m, 1, applied.term, applied.term);
    }
    if (applied.index != n->applied + 1)
        sim_fail("%s applies entry %" U " after %" U, m->name, applied.index, n->applied);
    if (p->term == 0) sim_fail("%s applies entry %" U ", which is not committed", m->name, applied.index);
    if (p->term != applied.term)
        sim_fail("%s applies at %" U " an entry of term %" U ", committed is one of %" U, m->name,
                 applied.index, applied.term, p->term);
    n->applied = applied.index;
    if (applied.index % DIGEST_EVERY != 0 || m->rotten) return; /* bad rows have no digest */
    uint64_t digest = digest_of(ks);
    SIM_HEAP;
    check_digest(m, applied.index, digest);
}

/* --- questions --- */

bool observe_is_member(uint64_t node_id) {
    return members_find(&seen.members, node_id) != NULL;
}

bool observe_is_voter(uint64_t node_id) {
    const struct raft_member *m = members_find(&seen.members, node_id);
    return m != NULL && m->seat == RAFT_VOTER;
}

int observe_leader(void) {
    int best = -1;
    for (int i = 0; i < cluster_size(); i++) {
        const struct node_seen *n = &seen.nodes[i];
        if (n->raft == NULL || n->role != RAFT_LEADER) continue;
        if (best < 0 || n->term > seen.nodes[best].term) best = i;
    }
    return best;
}

uint64_t observe_entries(void) {
    return seen.committed;
}
uint64_t observe_snapshots(void) {
    return seen.snapshots;
}
uint64_t observe_terms(void) {
    return seen.leader_count;
}

bool observe_settled(char *why, size_t cap) {
    for (int i = 0; i < cluster_size(); i++) {
        struct machine *m = cluster_machine(i);
        const struct node_seen *n = &seen.nodes[i];
        if (m->process == NULL || n->ks == NULL) {
            snprintf(why, cap, "%s does not run", m->name);
            return false;
        }
        if (n->applied < seen.committed) {
            snprintf(why, cap, "%s has applied %" U " of %" U, m->name, n->applied, seen.committed);
            return false;
        }
    }
    for (int i = 0; i < cluster_size(); i++)
        check_digest(cluster_machine(i), seen.nodes[i].applied, digest_of(seen.nodes[i].ks));
    return true;
}

void observe_tell(void) {
    static const char *const roles[] = {"follower", "pre-candidate", "candidate", "leader"};
    for (int i = 0; i < cluster_size(); i++) {
        const struct node_seen *n = &seen.nodes[i];
        const struct machine *m = cluster_machine(i);
        struct raft_status s = {.role = RAFT_FOLLOWER};
        if (n->raft != NULL) raft_status(n->raft, &s);
        sim_tell("  n%d: %s%s, id %016" PRIx64 ", ", i + 1, m->process == NULL ? "down" : roles[s.role],
                 m->process != NULL && m->process->paused ? ", paused" : "", m->node_id);
        sim_tell("term %" U ", entries %" U " to %" U " (stored %" U "), committed %" U ", applied %" U
                 " (state %" U "), leader %016" PRIx64 "\n",
                 s.term, s.first_index, s.last_index, s.stored_index, s.commit_index, s.applied_index,
                 n->applied, s.leader_id);
        for (size_t k = 0; k < s.peer_count; k++)
            sim_tell("      of %016" PRIx64 ": match %" U ", next %" U ", %s, %zu in flight\n", s.peers[k].id,
                     s.peers[k].match_index, s.peers[k].next_index,
                     s.peers[k].state == RAFT_PROBE       ? "probe"
                     : s.peers[k].state == RAFT_REPLICATE ? "replicate"
                                                          : "snapshot",
                     s.peers[k].inflight_count);
    }
}

void observe_process_gone(struct machine *m) {
    SIM_HEAP;
    memset(&seen.nodes[m->host], 0, sizeof seen.nodes[m->host]);
    rules_node_gone(m);
}

void observe_wiped(struct machine *m) {
    SIM_HEAP;
    seen.lost = mem_realloc(seen.lost, (seen.lost_count + 1) * sizeof *seen.lost);
    seen.lost[seen.lost_count++] = seen.durable[m->host];
    memset(&seen.durable[m->host], 0, sizeof seen.durable[m->host]);
}

void observe_begin(bool tracing) {
    memset(&seen, 0, sizeof seen);
    seen.tracing = tracing;
    rules_begin();
}

void observe_end(void) {
    SIM_HEAP;
    for (size_t i = 0; i < seen.place_cap; i++)
        for (struct variant *v = seen.places[i].variants, *next; v != NULL; v = next) {
            next = v->next;
            mem_free(v);
        }
    mem_free(seen.places);
    mem_free(seen.leaders);
    for (size_t i = 0; i < seen.lost_count; i++) mem_free(seen.lost[i].terms);
    mem_free(seen.lost);
    for (int i = 0; i < MACHINES_MAX; i++) mem_free(seen.durable[i].terms);
    memset(&seen, 0, sizeof seen);
    rules_end();
}
