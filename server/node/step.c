/* One event through the core, and what its update asks for, in the order that README.md gives: entries into memory, the
 * request to store to the log writer, messages to the peers, then what is known now. */
#include "node_internal.h"

#include "mem.h"
#include "raft_members.h"

/* Where the bytes of an update's entries are. */
struct step_source {
    struct proposal *own;         /* of a proposal */
    const struct raft_message *m; /* of a message, with ... */
    const struct slice *payloads;
    struct buf *whole; /* NULL, or all of payloads[0], to be taken */
};

/* --- requests to store --- */

struct store_job *store_job_new(struct node *n) {
    struct store_job *s = n->spare_jobs;
    if (s == NULL) return mem_calloc(1, sizeof *s);
    n->spare_jobs = s->next_spare;
    struct log_entry *entries = s->entries;
    struct proposal **proposals = s->proposals;
    *s = (struct store_job){.entries = entries, .proposals = proposals, .cap = s->cap};
    return s;
}

void store_job_done(struct node *n, struct store_job *s) {
    for (size_t i = 0; i < s->job.entry_count; i++) proposal_release(n, s->proposals[i]);
    s->next_spare = n->spare_jobs;
    n->spare_jobs = s;
}

static void reserve(struct store_job *s, size_t count) {
    if (count <= s->cap) return;
    s->cap = count;
    s->entries = mem_realloc(s->entries, count * sizeof *s->entries);
    s->proposals = mem_realloc(s->proposals, count * sizeof *s->proposals);
}

/* A new leader's log replaces what this node had there: whoever waits for it here is told nothing more. */
static void drop_replaced(struct node *n, uint64_t from_index) {
    while (n->tail.last_index >= from_index && n->tail.last_index >= n->tail.first_index) {
        struct proposal *p = tail_pop_newest(&n->tail);
        CHECK(p->index > n->applied_index);
        n->unapplied_bytes -= p->payload.len;
        proposal_disappoint(n, p);
        proposal_release(n, p);
    }
    if (n->tail.last_index >= from_index)
        tail_restart(&n->tail, from_index - 1); /* beyond it, they were on disk only */
}

static struct proposal *entry_of_message(struct node *n, const struct step_source *src, uint64_t index) {
    size_t at = (size_t)(index - src->m->prev_index - 1);
    CHECK(at < src->m->entry_count);
    const struct raft_entry *e = &src->m->entries[at];
    struct proposal *p = proposal_new(n);
    if (src->whole != NULL) {
        CHECK(src->m->entry_count == 1);
        buf_free(&p->payload);
        p->payload = *src->whole;
        *src->whole = (struct buf){0};
    } else {
        buf_clear(&p->payload);
        buf_add_slice(&p->payload, src->payloads[at]);
    }
    p->kind = e->kind;
    p->index = e->index;
    p->term = e->term;
    return p;
}

static struct proposal *own_entry(struct node *n, const struct step_source *src, const struct raft_entry *e) {
    /* What the core appends by itself may come in the update that refuses a proposal: it is not to be mistaken for it. */
    bool was_proposed = e->kind == RAFT_ENTRY_COMMANDS || e->kind == RAFT_ENTRY_VERDICT;
    struct proposal *p = was_proposed ? src->own : NULL;
    CHECK(p != NULL || !was_proposed);
    if (p == NULL) {
        p = proposal_new(n);
        buf_clear(&p->payload);
        if (e->members != NULL) members_encode(&p->payload, e->members);
    }
    p->kind = e->kind;
    p->index = e->index;
    p->term = e->term;
    return p;
}

static void store_entries(struct node *n, struct store_job *s, const struct raft_update *up,
                          const struct step_source *src) {
    drop_replaced(n, up->store_first);
    size_t count = (size_t)(up->store_last - up->store_first + 1);
    reserve(s, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t index = up->store_first + i;
        struct proposal *p = up->appended ? own_entry(n, src, &up->entry) : entry_of_message(n, src, index);
        tail_push(&n->tail, p);
        p->holders = 2;
        n->unapplied_bytes += p->payload.len;
        n->log_bytes += p->payload.len;
        s->proposals[i] = p;
        s->entries[i] = (struct log_entry){
            .index = p->index, .term = p->term, .kind = (uint8_t)p->kind, .payload = buf_slice(&p->payload)};
    }
    s->job.entries = s->entries;
    s->job.entry_count = count;
}

static void store(struct node *n, const struct raft_update *up, const struct step_source *src) {
    struct store_job *s = store_job_new(n);
    s->store_id = up->store_id;
    if (up->store_hard_state) {
        s->job.has_hard_state = true;
        s->job.hard_state = (struct log_hard_state){.term = up->term, .vote = up->vote};
    }
    if (up->store_first != 0) store_entries(n, s, up, src);
    n->jobs_out++;
    log_writer_submit(n->writer, &s->job);
}

/* --- what is known now --- */

static void learn(struct node *n, const struct raft_update *up) {
    n->commit_index = up->commit_index;
    n->apply_index = up->apply_index;
    n->lease_until_us = up->lease_until_us;
    bool moved = n->role != up->role || n->leader_id != up->leader_id || n->readable != up->readable ||
                 n->term != up->term;
    bool was_readable = n->readable;
    if (n->leader_id != up->leader_id) n->leader_moved_ms = mono_now_ms();
    n->role = up->role;
    n->term = up->term;
    n->leader_id = up->leader_id;
    n->readable = up->readable;
    if (n->leader_id != 0) n->last_leader_id = n->leader_id;
    if (n->members_index != up->members_index || n->members.count != up->members->count) {
        struct raft_members before = n->members;
        n->members = *up->members;
        n->members_index = up->members_index;
        node_members_changed(n, &before);
        moved = true;
    }
    if (moved) node_leadership_moved(n, was_readable);
    n->read_done = up->read_done;
    n->read_lost = up->read_lost;
}

static enum rc step(struct node *n, struct raft_event *event, struct raft_update *up,
                    const struct step_source *src) {
    event->now_us = boot_us();
    enum rc rc = raft_step(n->raft, event, up);
    if (rc != RC_OK) return rc;
    if (up->store_id != 0) store(n, up, src);
    for (size_t i = 0; i < up->message_count; i++) node_send(n, &up->messages[i]);
    if (up->snapshot_to != 0) node_snapshot_wanted(n, up->snapshot_to);
    learn(n, up);
    return RC_OK;
}

enum raft_refusal node_ask(struct node *n, struct raft_event *event, struct raft_update *up) {
    struct step_source nothing = {0};
    CHECK(step(n, event, up, &nothing) == RC_OK);
    return up->refused;
}

bool node_try(struct node *n, struct raft_event *event, struct raft_update *up) {
    struct step_source nothing = {0};
    return step(n, event, up, &nothing) == RC_OK;
}

void node_step(struct node *n, struct raft_event *event) {
    struct raft_update up;
    (void)node_ask(n, event, &up);
}

void node_take_message(struct node *n, const struct raft_message *m, const struct slice *payloads,
                       struct buf *whole) {
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE, .message = m};
    struct raft_update up;
    struct step_source src = {.m = m, .payloads = payloads, .whole = whole};
    (void)step(n, &event, &up, &src); /* what no sane peer sends changes nothing */
}

bool node_submit(struct node *n, struct proposal *p) {
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .kind = p->kind, .size = p->payload.len};
    struct raft_update up;
    struct step_source src = {.own = p};
    CHECK(step(n, &event, &up, &src) == RC_OK);
    return up.refused == RAFT_TAKEN;
}

/* --- what the log writer does --- */

void node_take_stored(struct node *n) {
    for (struct log_job *job = log_writer_take_done(n->writer), *next; job != NULL; job = next) {
        next = job->next;
        struct store_job *s = container_of(job, struct store_job, job);
        if (job->rc != RC_OK) {
            const char *why = log_writer_error(n->writer);
            node_fail(n, "the log cannot be written (%s): %s", rc_name(job->rc), why ? why : "");
            return;
        }
        uint64_t store_id = s->store_id;
        n->jobs_out--;
        store_job_done(n, s);
        if (store_id == 0) continue;
        struct raft_event event = {.type = RAFT_EVENT_STORED, .store_id = store_id};
        node_step(n, &event);
    }
}

bool node_write_log(struct node *n, bool here) {
    if (!here)
        log_writer_begin(n->writer);
    else if (log_writer_write_here(n->writer)) {
        node_take_stored(n);
        return true;
    }
    return false;
}

/* Applied entries make room; a node alone keeps none. A follower that receives faster than it applies lets go of what is on
 * its disk already, and reads it back from there (replay in apply.c). */
void node_trim_tail(struct node *n) {
    struct proposal *p;
    while ((p = tail_pop_surplus(&n->tail, n->applied_index, n->members.count > 1)) != NULL)
        proposal_release(n, p);
    bool may_read_back = n->role != RAFT_LEADER && n->preparing_index == 0;
    while (may_read_back && (p = tail_pop_backlog(&n->tail, n->apply_index)) != NULL) {
        n->unapplied_bytes -= p->payload.len;
        proposal_release(n, p);
    }
}

void node_drop_entries(struct node *n, uint64_t index) {
    while (n->tail.last_index >= n->tail.first_index) {
        struct proposal *p = tail_pop_newest(&n->tail);
        proposal_disappoint(n, p);
        proposal_release(n, p);
    }
    tail_restart(&n->tail, index);
    if (n->ks != NULL) ks_forget_prepared(n->ks);
    n->preparing_index = 0;
    n->unapplied_bytes = 0;
    n->applied_index = n->apply_index = n->commit_index = n->cut_index = index;
}
