/* See rules.h. */
#include "rules.h"

#include "mem.h"

#include <inttypes.h>

#define U PRIu64

enum { READS_SEEN_MAX = 4096, HEARD_MAX = 2 * RAFT_MEMBERS_MAX };

/* A read that waits for its round. */
struct read_seen {
    uint64_t id, committed; /* committed: somewhere, when it came */
};

struct heard {
    uint64_t id, at_us;
};

/* A node that runs; times are its own clock's. */
struct node {
    uint64_t id, election_us;
    enum raft_role role;
    uint64_t term, commit, now_us, lease_until_us;
    uint64_t promised_us;   /* it heard a leader, and gives no vote before; 0: it never did */
    uint64_t quiet_from_us; /* it began to lead, or to count others: nobody can have been heard for longer */
    uint64_t members_index;
    struct heard heard[HEARD_MAX];
    struct read_seen *reads; /* a ring */
    size_t read_first, read_count;
};

struct vote {
    uint64_t node_id, term, vote;
};

static struct node nodes[MACHINES_MAX];
static struct vote *votes; /* all that were ever stored */
static size_t vote_count, vote_cap;

void rules_vote_stored(uint64_t node_id, uint64_t term, uint64_t vote) {
    if (vote == 0) return;
    if (vote_count == vote_cap) {
        vote_cap = vote_cap ? 2 * vote_cap : 256;
        votes = mem_realloc(votes, vote_cap * sizeof *votes);
    }
    votes[vote_count++] = (struct vote){node_id, term, vote};
}

static bool has_voted(uint64_t node_id, uint64_t term, uint64_t vote) {
    for (size_t i = vote_count; i-- > 0;)
        if (votes[i].node_id == node_id && votes[i].term == term) return votes[i].vote == vote;
    return false;
}

/* --- terms and votes --- */

/* Nothing leaves in the name of a term or a vote that is not durable. A pre-vote is in nobody's name. */
static void check_messages(const struct machine *m, const struct node *n, const struct raft_update *up,
                           const struct rules_facts *facts) {
    for (size_t i = 0; i < up->message_count; i++) {
        const struct raft_message *out = &up->messages[i];
        if (out->kind == RAFT_VOTE && out->last_index > facts->stored_last)
            sim_fail("%s asks for a vote with entry %" U ", on its disk is %" U, m->name, out->last_index,
                     facts->stored_last);
        if (out->pre_vote) continue;
        if (out->term > facts->stored_term)
            sim_fail("%s speaks in term %" U ", on its disk is term %" U, m->name, out->term,
                     facts->stored_term);
        uint64_t given = 0; /* what it says of its vote */
        if (out->kind == RAFT_VOTE) given = n->id;
        if (out->kind == RAFT_VOTE_REPLY && !out->rejected) given = out->to;
        if (given != 0 && out->term == facts->stored_term && given != facts->stored_vote)
            sim_fail("%s tells of a vote in term %" U " that is not on its disk", m->name, out->term);
    }
}

static bool is_granted(const struct raft_message *asked, const struct raft_update *up) {
    if (!asked->pre_vote) return up->store_hard_state && up->term == asked->term && up->vote == asked->from;
    for (size_t i = 0; i < up->message_count; i++) {
        const struct raft_message *out = &up->messages[i];
        if (out->kind == RAFT_VOTE_REPLY && out->to == asked->from && out->pre_vote && !out->rejected)
            return true;
    }
    return false;
}

/* A vote, or the promise of one, is for a log that ends no earlier, and not for anybody while a leader may hold a lease. */
static void check_grant(const struct machine *m, const struct node *n, const struct raft_message *asked,
                        const struct raft_update *up, const struct raft *r) {
    if (!is_granted(asked, up)) return;
    struct raft_status status;
    raft_status(r, &status);
    uint64_t term = raft_term_at(r, status.last_index);
    if (asked->last_term < term || (asked->last_term == term && asked->last_index < status.last_index))
        sim_fail("%s votes for a log that ends at %" U " of term %" U ", its own at %" U " of term %" U,
                 m->name, asked->last_index, asked->last_term, status.last_index, term);
    if (n->promised_us != 0 && !asked->is_transfer && n->now_us < n->promised_us)
        sim_fail("%s votes, but has heard a leader %" U " ms ago", m->name,
                 (n->now_us + n->election_us - n->promised_us) / 1000);
}

/* A leader was voted for by a majority, by both while the configuration is joint. */
static void check_elected(const struct machine *m, const struct node *n, const struct raft_update *up) {
    uint64_t old[RAFT_VOTERS_MAX], new[RAFT_VOTERS_MAX];
    size_t old_count = 0, new_count = 0;
    for (size_t i = 0; i < up->members->count; i++) {
        const struct raft_member *member = &up->members->items[i];
        bool has = has_voted(member->id, up->term, n->id);
        if (seat_votes_old(member->seat)) old[old_count++] = has;
        if (seat_votes_new(member->seat)) new[new_count++] = has;
    }
    if (quorum_index(old, old_count) == 0 || quorum_index(new, new_count) == 0)
        sim_fail("%s leads term %" U " without the votes of a majority", m->name, up->term);
}

/* While a lease lasts there is no leader of a later term. */
static void check_leases(const struct machine *m) {
    for (int i = 0; i < cluster_size(); i++) {
        const struct machine *other = cluster_machine(i);
        const struct node *a = &nodes[m->host], *b = &nodes[i];
        if (a->role != RAFT_LEADER || b->role != RAFT_LEADER || a->term == b->term) continue;
        const struct machine *holder = a->term < b->term ? m : other;
        if (nodes[holder->host].lease_until_us <= machine_mono_us(holder)) continue;
        sim_fail("%s leads term %" U ", %s term %" U ", and the lease of %s lasts", m->name, a->term,
                 other->name, b->term, holder->name);
    }
}

/* --- leading --- */

static void hear(struct node *n, uint64_t id, uint64_t now_us) {
    struct heard *at = &n->heard[0]; /* the same one, or who was not heard for longest */
    for (size_t i = 0; i < HEARD_MAX && at->id != id; i++)
        if (n->heard[i].id == id || n->heard[i].at_us < at->at_us) at = &n->heard[i];
    *at = (struct heard){id, now_us};
}

static uint64_t heard_us(const struct node *n, uint64_t id) {
    if (id == n->id) return n->now_us;
    for (size_t i = 0; i < HEARD_MAX; i++)
        if (n->heard[i].id == id && n->heard[i].at_us > n->quiet_from_us) return n->heard[i].at_us;
    return n->quiet_from_us;
}

/* Whoever has not heard a majority for two time-outs leads no more. */
static void check_heard(const struct machine *m, const struct node *n, const struct raft_update *up) {
    uint64_t old[RAFT_VOTERS_MAX], new[RAFT_VOTERS_MAX];
    size_t old_count = 0, new_count = 0;
    for (size_t i = 0; i < up->members->count; i++) {
        const struct raft_member *member = &up->members->items[i];
        uint64_t at = heard_us(n, member->id);
        if (seat_votes_old(member->seat)) old[old_count++] = at;
        if (seat_votes_new(member->seat)) new[new_count++] = at;
    }
    uint64_t at_old = quorum_index(old, old_count), at_new = quorum_index(new, new_count);
    uint64_t at = at_old < at_new ? at_old : at_new;
    if (n->now_us > at && n->now_us - at > 2 * n->election_us)
        sim_fail("%s leads term %" U " on, but has not heard a majority for %" U " ms", m->name, up->term,
                 (n->now_us - at) / 1000);
}

/* Entries of earlier terms are committed with one of the leader's own. */
static void check_commit(const struct machine *m, const struct raft_update *up, const struct raft *r) {
    uint64_t term = raft_term_at(r, up->commit_index);
    if (term != 0 && term != up->term)
        sim_fail("%s leads term %" U " and commits %" U ", of term %" U ", by counting", m->name, up->term,
                 up->commit_index, term);
}

/* --- reads --- */

/* A read is answered from a state that has all that was committed anywhere when it came. */
static void check_reads(const struct machine *m, struct node *n, const struct raft_update *up,
                        const struct rules_facts *facts) {
    for (; n->read_count > 0; n->read_count--, n->read_first++) {
        const struct read_seen *read = &n->reads[n->read_first % READS_SEEN_MAX];
        bool is_done = read->id <= up->read_done;
        if (!is_done && read->id > up->read_lost) break;
        if (is_done && facts->applied < read->committed)
            sim_fail("%s answers a read from its state at %" U ", but %" U " was committed when it came",
                     m->name, facts->applied, read->committed);
    }
    if (up->read_id == 0 || up->read_id <= up->read_done || n->read_count == READS_SEEN_MAX) return;
    n->reads[(n->read_first + n->read_count++) % READS_SEEN_MAX] =
        (struct read_seen){up->read_id, facts->committed};
}

/* --- a step --- */

void rules_step(const struct machine *m, const struct raft_event *event, const struct raft_update *up,
                const struct raft *r, const struct rules_facts *facts) {
    struct node *n = &nodes[m->host];
    bool led = n->role == RAFT_LEADER && n->term == up->term;
    if (event->now_us > n->now_us) n->now_us = event->now_us;
    if (!led || up->members_index != n->members_index) n->quiet_from_us = n->now_us;
    if (event->type == RAFT_EVENT_MESSAGE) {
        const struct raft_message *in = event->message;
        hear(n, in->from, n->now_us);
        if (in->kind == RAFT_VOTE) check_grant(m, n, in, up, r);
        if (in->kind == RAFT_HEARTBEAT && in->term == up->term) n->promised_us = n->now_us + n->election_us;
    }
    check_messages(m, n, up, facts);
    if (up->role == RAFT_LEADER) {
        if (!led) check_elected(m, n, up);
        if (led && event->type == RAFT_EVENT_TICK) check_heard(m, n, up);
        if (up->commit_index > n->commit) check_commit(m, up, r);
    }
    if (event->type == RAFT_EVENT_READ && up->read_id != 0 && up->read_id <= up->read_done &&
        facts->applied < facts->committed)
        sim_fail("%s answers a read at once, at %" U ", but %" U " is committed", m->name, facts->applied,
                 facts->committed);
    check_reads(m, n, up, facts);
    n->role = up->role;
    n->term = up->term;
    n->commit = up->commit_index;
    n->members_index = up->members_index;
    bool is_news = !led || up->lease_until_us > n->lease_until_us;
    n->lease_until_us = up->lease_until_us;
    if (up->role == RAFT_LEADER && is_news) check_leases(m);
}

void rules_node_begins(const struct machine *m, const struct raft_config *config) {
    struct node *n = &nodes[m->host];
    rules_node_gone(m);
    n->id = config->id;
    n->election_us = config->election_us;
    n->term = config->term;
    n->commit = config->applied_index;
    rules_vote_stored(config->id, config->term, config->vote); /* its write may have ended with a crash */
    n->reads = mem_alloc(READS_SEEN_MAX * sizeof *n->reads);
}

void rules_node_gone(const struct machine *m) {
    struct node *n = &nodes[m->host];
    mem_free(n->reads);
    memset(n, 0, sizeof *n);
}

void rules_begin(void) {
    memset(nodes, 0, sizeof nodes);
}

void rules_end(void) {
    for (int i = 0; i < MACHINES_MAX; i++) mem_free(nodes[i].reads);
    mem_free(votes);
    memset(nodes, 0, sizeof nodes);
    votes = NULL;
    vote_count = vote_cap = 0;
}
