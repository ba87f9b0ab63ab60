/* See raft.h. What is here today: election, the own-term no-op, replication to this node's own disk, commitment by
 * quorum of durable copies, cutting the log. Peers are not spoken to yet: a configuration with more than this node
 * as a voter is refused by raft_new. */
#include "raft.h"

#include "mem.h"

#include <string.h>

enum { STORES_IN_FLIGHT_MAX = 4096 };

/* A request to store, not yet confirmed. `term` is that of the moment: a completion that arrives in a later term
 * must not vouch for entries that were replaced meanwhile (pitfalls L11, L16). */
struct store {
    uint64_t term;
    uint64_t last_index; /* 0: no entry in it */
    bool is_vote;        /* carries this node's vote for itself in `term` */
};

struct raft {
    struct raft_config config;
    enum raft_role role;
    uint64_t term, vote, leader_id;
    uint64_t last_index, commit_index, applied_index, stored_index;
    uint64_t term_start; /* index of the no-op of this leadership */
    uint64_t match[RAFT_VOTERS_MAX];
    bool granted[RAFT_VOTERS_MAX];
    uint64_t ticks, election_deadline;
    struct rng rng;
    uint64_t uncommitted_bytes;
    uint64_t base_index; /* the ring below describes entries base_index + 1 ... */

    struct raft_term_run *runs; /* ascending; runs[0] starts at the mark */
    size_t run_count, run_cap;

    /* sizes of uncommitted entries, to give their bytes back at commitment */
    size_t *sizes;
    size_t sizes_cap; /* a power of two; entry i is at i % sizes_cap */

    struct store stores[STORES_IN_FLIGHT_MAX];
    uint64_t store_next, store_done; /* ids: (done, next) are in flight */
};

/* --- terms --- */

static void run_add(struct raft *r, uint64_t first_index, uint64_t term) {
    if (r->run_count > 0) {
        CHECK(first_index > r->runs[r->run_count - 1].first_index);
        CHECK(term >= r->runs[r->run_count - 1].term);
        if (r->runs[r->run_count - 1].term == term) return;
    }
    if (r->run_count == r->run_cap) {
        r->run_cap = r->run_cap ? r->run_cap * 2 : 8;
        r->runs = mem_realloc(r->runs, r->run_cap * sizeof *r->runs);
    }
    r->runs[r->run_count++] = (struct raft_term_run){first_index, term};
}

uint64_t raft_term_at(const struct raft *r, uint64_t index) {
    if (index < r->config.mark_index || index > r->last_index) return 0;
    size_t low = 0, high = r->run_count;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (r->runs[mid].first_index <= index)
            low = mid;
        else
            high = mid;
    }
    return r->runs[low].term;
}

/* --- the ring of sizes --- */

static void size_put(struct raft *r, uint64_t index, size_t size) {
    if (index - r->base_index > r->sizes_cap) {
        size_t cap = r->sizes_cap * 2;
        size_t *sizes = mem_calloc(cap, sizeof *sizes);
        for (uint64_t i = r->base_index + 1; i < index; i++) sizes[i % cap] = r->sizes[i % r->sizes_cap];
        mem_free(r->sizes);
        r->sizes = sizes;
        r->sizes_cap = cap;
    }
    r->sizes[index % r->sizes_cap] = size;
    r->uncommitted_bytes += size;
}

static void sizes_release(struct raft *r, uint64_t to_index) {
    for (; r->base_index < to_index; r->base_index++) {
        size_t size = r->sizes[(r->base_index + 1) % r->sizes_cap];
        CHECK(r->uncommitted_bytes >= size);
        r->uncommitted_bytes -= size;
    }
}

/* --- life --- */

static size_t voter_at(const struct raft *r, uint64_t id) {
    for (size_t i = 0; i < r->config.voter_count; i++)
        if (r->config.voters[i] == id) return i;
    return RAFT_VOTERS_MAX;
}

static bool is_only_voter(const struct raft *r) {
    return r->config.voter_count == 1 && r->config.voters[0] == r->config.id;
}

/* A lone voter has nobody to wait for (pitfall E12: but it still stands for election, it does not just lead). */
static void reset_election(struct raft *r) {
    uint64_t t = r->config.election_ticks;
    r->election_deadline = r->ticks + (is_only_voter(r) ? 0 : t + rng_below(&r->rng, t));
}

struct raft *raft_new(const struct raft_config *config, const struct raft_term_run *runs, size_t run_count,
                      uint64_t last_index) {
    CHECK(config->id != 0);
    CHECK(config->voter_count == 1);
    CHECK(config->voters[0] == config->id);
    CHECK(config->mark_index <= config->applied_index);
    CHECK(config->applied_index <= last_index);
    struct raft *r = mem_calloc(1, sizeof *r);
    r->config = *config;
    r->role = RAFT_FOLLOWER;
    r->term = config->term;
    r->vote = config->vote;
    r->last_index = r->stored_index = last_index;
    r->commit_index = r->applied_index = config->applied_index;
    r->base_index = last_index;
    r->sizes_cap = 64;
    r->sizes = mem_calloc(r->sizes_cap, sizeof *r->sizes);
    r->rng.state = config->seed;
    r->store_next = 1;
    run_add(r, config->mark_index, config->mark_term);
    for (size_t i = 0; i < run_count; i++) run_add(r, runs[i].first_index, runs[i].term);
    CHECK(r->term >= r->runs[r->run_count - 1].term);
    reset_election(r);
    return r;
}

void raft_free(struct raft *r) {
    mem_free(r->runs);
    mem_free(r->sizes);
    mem_free(r);
}

/* --- storing --- */

static bool can_store(const struct raft *r) {
    return r->store_next - r->store_done - 1 < STORES_IN_FLIGHT_MAX;
}

static struct store *ask_store(struct raft *r, struct raft_update *out) {
    CHECK(can_store(r));
    CHECK(out->store_id == 0);
    out->store_id = r->store_next++;
    struct store *s = &r->stores[out->store_id % STORES_IN_FLIGHT_MAX];
    *s = (struct store){.term = r->term};
    return s;
}

static void append(struct raft *r, enum raft_entry_kind kind, size_t size, struct raft_update *out) {
    CHECK(r->role == RAFT_LEADER);
    r->last_index++;
    run_add(r, r->last_index, r->term);
    size_put(r, r->last_index, size);
    ask_store(r, out)->last_index = r->last_index;
    out->store_entry = true;
    out->entry = (struct raft_entry){.index = r->last_index, .term = r->term, .kind = kind, .size = size};
}

/* --- elections --- */

static void campaign(struct raft *r, struct raft_update *out) {
    r->role = RAFT_CANDIDATE;
    r->leader_id = 0;
    r->term++;
    r->vote = r->config.id;
    memset(r->granted, 0, sizeof r->granted);
    reset_election(r);
    ask_store(r, out)->is_vote = true;
    out->store_hard_state = true;
    out->term = r->term;
    out->vote = r->vote;
}

static void become_leader(struct raft *r, struct raft_update *out) {
    CHECK(r->role == RAFT_CANDIDATE);
    r->role = RAFT_LEADER;
    r->leader_id = r->config.id;
    memset(r->match, 0, sizeof r->match);
    r->match[voter_at(r, r->config.id)] = r->stored_index;
    append(r, RAFT_ENTRY_NOOP, 0, out);
    r->term_start = r->last_index;
}

/* This node's own vote counts only once it is durable: a candidate that crashed before could vote again in the
 * same term (pitfall E1). */
static void own_vote_stored(struct raft *r, struct raft_update *out) {
    r->granted[voter_at(r, r->config.id)] = true;
    size_t granted = 0;
    for (size_t i = 0; i < r->config.voter_count; i++) granted += r->granted[i];
    if (granted >= quorum_size(r->config.voter_count)) become_leader(r, out);
}

/* --- commitment --- */

/* Only an entry of the leader's own term is committed by counting; older ones follow with it (figure 8 of the Raft
 * paper; pitfalls C1, C2). */
static void advance_commit(struct raft *r) {
    if (r->role != RAFT_LEADER) return;
    uint64_t index = quorum_index(r->match, r->config.voter_count);
    if (index <= r->commit_index || index < r->term_start) return;
    CHECK(raft_term_at(r, index) == r->term);
    r->commit_index = index;
    sizes_release(r, index);
}

static void on_stored(struct raft *r, uint64_t store_id, struct raft_update *out) {
    const struct store *s = &r->stores[store_id % STORES_IN_FLIGHT_MAX];
    r->store_done = store_id;
    if (s->term != r->term) return;
    if (s->is_vote && r->role == RAFT_CANDIDATE) own_vote_stored(r, out);
    if (s->last_index == 0) return;
    CHECK(s->last_index > r->stored_index);
    r->stored_index = s->last_index;
    if (r->role == RAFT_LEADER) r->match[voter_at(r, r->config.id)] = r->stored_index;
    advance_commit(r);
}

static void on_cut(struct raft *r, uint64_t index) {
    r->config.mark_term = raft_term_at(r, index);
    r->config.mark_index = index;
    size_t drop = 0; /* runs that end at or before the mark */
    while (drop + 1 < r->run_count && r->runs[drop + 1].first_index <= index) drop++;
    memmove(r->runs, r->runs + drop, (r->run_count - drop) * sizeof *r->runs);
    r->run_count -= drop;
    r->runs[0].first_index = index;
}

static bool makes_sense(const struct raft *r, const struct raft_event *e) {
    switch (e->type) {
    case RAFT_EVENT_TICK:
    case RAFT_EVENT_PROPOSE: return true;
    case RAFT_EVENT_STORED: return e->store_id == r->store_done + 1 && e->store_id < r->store_next;
    case RAFT_EVENT_APPLIED: return e->index >= r->applied_index && e->index <= r->commit_index;
    case RAFT_EVENT_CUT: return e->index >= r->config.mark_index && e->index <= r->applied_index;
    }
    return false;
}

static bool takes_proposal(const struct raft *r, size_t size) {
    if (r->role != RAFT_LEADER || !can_store(r)) return false;
    return r->uncommitted_bytes == 0 || r->uncommitted_bytes + size <= r->config.uncommitted_bytes_max;
}

static void check_invariants(const struct raft *r) {
    CHECK(r->applied_index <= r->commit_index);
    CHECK(r->commit_index <= r->last_index);
    CHECK(r->stored_index <= r->last_index);
    CHECK(r->config.mark_index <= r->applied_index);
    CHECK(r->base_index <= r->last_index);
    if (r->role == RAFT_LEADER) CHECK(r->leader_id == r->config.id);
    if (r->role == RAFT_LEADER) CHECK(r->vote == r->config.id);
}

enum rc raft_step(struct raft *r, const struct raft_event *event, struct raft_update *out) {
    if (!makes_sense(r, event)) return RC_INVALID;
    *out = (struct raft_update){0};
    switch (event->type) {
    case RAFT_EVENT_TICK:
        r->ticks++;
        if (r->role != RAFT_LEADER && r->ticks >= r->election_deadline && r->store_done + 1 == r->store_next)
            campaign(r, out);
        break;
    case RAFT_EVENT_PROPOSE:
        out->refused = !takes_proposal(r, event->size);
        if (!out->refused) append(r, event->kind, event->size, out);
        break;
    case RAFT_EVENT_STORED: on_stored(r, event->store_id, out); break;
    case RAFT_EVENT_APPLIED: r->applied_index = event->index; break;
    case RAFT_EVENT_CUT: on_cut(r, event->index); break;
    }
    out->role = r->role;
    out->leader_id = r->leader_id;
    out->commit_index = r->commit_index;
    out->readable = r->role == RAFT_LEADER && r->applied_index >= r->term_start;
    check_invariants(r);
    return RC_OK;
}

void raft_status(const struct raft *r, struct raft_status *out) {
    *out = (struct raft_status){
        .role = r->role,
        .id = r->config.id,
        .leader_id = r->leader_id,
        .term = r->term,
        .vote = r->vote,
        .commit_index = r->commit_index,
        .applied_index = r->applied_index,
        .first_index = r->config.mark_index + 1,
        .last_index = r->last_index,
        .stored_index = r->stored_index,
        .voter_count = r->config.voter_count,
    };
}
