/* What is on its way to the disk, and the messages that may not leave before it is there.
 *
 * Stores are confirmed in order, so the log is durable up to the newest confirmed store's last entry, unless
 * the log was truncated while that store was in flight: then it vouches only for what lies before the
 * truncation, whatever was appended there since (pitfall L16). No message leaves in the name of a term or
 * vote that is not durable: it is held here, and goes out in the update that answers the store (pitfalls E1,
 * L17). */
#include "raft_internal.h"

#include "mem.h"

enum { DISK_BYTES_PER_US_MIN = 4 /* 4 MB/s */ };

bool can_store(const struct raft *r) {
    return r->store_next - r->store_done - 1 < STORES_MAX;
}

static struct store *store_at(struct raft *r, uint64_t store_id) {
    return &r->stores[store_id % STORES_MAX];
}

/* From now on the disk has two time-outs, and as long as a slow one takes for what it has been given so far.
 * What is given to it meanwhile gives it no more time. */
static void watch_disk(struct raft *r) {
    r->stalled_us = r->now_us + 2 * r->config.election_us + r->stores_bytes / DISK_BYTES_PER_US_MIN;
}

/* A disk that has confirmed nothing for that long: this node cannot lead (pitfall D9). */
bool disk_is_stalled(const struct raft *r) {
    return r->store_done + 1 != r->store_next && r->now_us > r->stalled_us && !MUTANT(31);
}

bool hard_state_is_durable(const struct raft *r) {
    return r->stored_term == r->term && r->stored_vote == r->vote;
}

/* Entries [first_index, last of the log] are to be stored with this step. */
void store_entries(struct raft *r, uint64_t first_index) {
    CHECK(r->store_first == 0);
    CHECK(first_index > r->commit_index);
    r->store_first = first_index;
    r->store_last = r->log.last_index;
}

void stores_truncate(struct raft *r, uint64_t first_index) {
    for (uint64_t id = r->store_done + 1; id < r->store_next; id++) {
        struct store *s = store_at(r, id);
        if (!MUTANT(17)) s->last_index = min_u64(s->last_index, first_index - 1);
    }
}

/* The one store of this step: its id, or 0 when there is nothing to store. */
uint64_t store_ask(struct raft *r) {
    bool has_hard_state = r->term != r->asked_term || r->vote != r->asked_vote;
    if (!has_hard_state && r->store_first == 0) return 0;
    CHECK(can_store(r));
    CHECK(r->term >= r->asked_term);
    uint64_t id = r->store_next++, bytes = 0;
    for (uint64_t i = r->store_first; i != 0 && i <= r->store_last; i++) bytes += log_size_at(&r->log, i);
    *store_at(r, id) = (struct store){.last_index = r->store_last,
                                      .term = r->term,
                                      .vote = r->vote,
                                      .has_hard_state = has_hard_state,
                                      .bytes = bytes};
    r->stores_bytes += bytes;
    if (id == r->store_done + 1) watch_disk(r);
    r->asked_term = r->term;
    r->asked_vote = r->vote;
    return id;
}

static void push(struct raft *r, const struct raft_message *m) {
    if (r->message_count == r->message_cap) {
        r->message_cap = r->message_cap ? r->message_cap * 2 : 32;
        r->messages = mem_realloc(r->messages, r->message_cap * sizeof *r->messages);
    }
    r->messages[r->message_count++] = *m;
}

/* Of each kind the newest to each node is enough: losing a message is harmless. */
static void hold(struct raft *r, const struct raft_message *m) {
    for (size_t i = 0; i < r->held_count; i++) {
        struct raft_message *h = &r->held[i];
        if (h->kind == m->kind && h->to == m->to && h->pre_vote == m->pre_vote) {
            *h = *m;
            return;
        }
    }
    if (r->held_count < HELD_MAX) r->held[r->held_count++] = *m;
}

void send_message(struct raft *r, const struct raft_message *m) {
    CHECK(m->from == r->config.id);
    CHECK(m->to != r->config.id);
    if (hard_state_is_durable(r) || MUTANT(1))
        push(r, m);
    else
        hold(r, m);
}

void store_complete(struct raft *r, uint64_t store_id) {
    CHECK(store_id == r->store_done + 1);
    const struct store *s = store_at(r, store_id);
    r->store_done = store_id;
    CHECK(r->stores_bytes >= s->bytes);
    r->stores_bytes -= s->bytes;
    watch_disk(r);
    if (s->last_index > r->log.stored_index) r->log.stored_index = s->last_index;
    CHECK(r->log.stored_index <= r->log.last_index);
    if (!s->has_hard_state) return;
    CHECK(s->term >= r->stored_term);
    r->stored_term = s->term;
    r->stored_vote = s->vote;
    if (!hard_state_is_durable(r)) return;
    for (size_t i = 0; i < r->held_count; i++) push(r, &r->held[i]);
    r->held_count = 0;
}
