/* What happens in a cluster, in words: the output of scripts, and what a failed random run shows.
 *
 * Entries are index/term, a no-op 4/2-, a configuration 5/2{1 2 3+}; seats: l learner, + coming, - going, ~ becoming a learner. */
#include "cluster.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void say(struct cluster *c, const char *format, ...) {
    if (!c->options.trace || c->is_muted) return;
    char line[4000];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    CHECK(len >= 0);
    buf_add(&c->text, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

const char *role_name(enum raft_role role) {
    switch (role) {
    case RAFT_FOLLOWER: return "follower";
    case RAFT_PRE_CANDIDATE: return "pre-candidate";
    case RAFT_CANDIDATE: return "candidate";
    case RAFT_LEADER: return "leader";
    }
    return "?";
}

const char *refusal_name(enum raft_refusal refusal) {
    switch (refusal) {
    case RAFT_TAKEN: return "taken";
    case RAFT_NOT_LEADER: return "not leader";
    case RAFT_TOO_MUCH: return "too much";
    case RAFT_TRANSFERRING: return "transferring";
    case RAFT_NOT_YET: return "not yet";
    case RAFT_CHANGING: return "changing";
    case RAFT_SENSELESS: return "senseless";
    }
    return "?";
}

void text_members(struct buf *b, const struct raft_members *m) {
    static const char *seats[] = {[RAFT_LEARNER] = "l",
                                  [RAFT_VOTER] = "",
                                  [RAFT_VOTER_IN] = "+",
                                  [RAFT_VOTER_OUT] = "-",
                                  [RAFT_VOTER_DOWN] = "~"};
    buf_add_byte(b, '{');
    for (size_t i = 0; m != NULL && i < m->count; i++) {
        buf_printf(b, "%s%" PRIu64 "%s", i == 0 ? "" : " ", m->items[i].id, seats[m->items[i].seat]);
    }
    buf_add_byte(b, '}');
}

static void text_entry(struct buf *b, uint64_t index, uint64_t term, enum raft_entry_kind kind,
                       const struct raft_members *members) {
    buf_printf(b, "%" PRIu64 "/%" PRIu64, index, term);
    if (kind == RAFT_ENTRY_NOOP) buf_add_byte(b, '-');
    if (kind == RAFT_ENTRY_MEMBERS) text_members(b, members);
}

static const char *message_name(const struct raft_message *m) {
    switch (m->kind) {
    case RAFT_APPEND: return "append";
    case RAFT_APPEND_REPLY: return "append-reply";
    case RAFT_HEARTBEAT: return "heartbeat";
    case RAFT_HEARTBEAT_REPLY: return "heartbeat-reply";
    case RAFT_VOTE: return m->pre_vote ? "pre-vote" : "vote";
    case RAFT_VOTE_REPLY: return m->pre_vote ? "pre-vote-reply" : "vote-reply";
    case RAFT_TIMEOUT_NOW: return "timeout-now";
    }
    return "?";
}

void text_message(struct buf *b, const struct raft_message *m) {
    buf_printf(b, "%" PRIu64 ">%" PRIu64 " %s t%" PRIu64, m->from, m->to, message_name(m), m->term);
    if (m->kind == RAFT_APPEND) buf_printf(b, " prev=%" PRIu64 "/%" PRIu64, m->prev_index, m->prev_term);
    if (m->kind == RAFT_APPEND || m->kind == RAFT_HEARTBEAT)
        buf_printf(b, " commit=%" PRIu64, m->commit_index);
    if (m->kind == RAFT_VOTE) {
        buf_printf(b, " last=%" PRIu64 "/%" PRIu64, m->last_index, m->last_term);
        if (m->is_transfer) buf_add_str(b, " transfer");
    }
    if (m->rejected) buf_add_str(b, " rejected");
    if (m->kind == RAFT_APPEND_REPLY && m->rejected) {
        buf_printf(b, " prev=%" PRIu64 " hint=%" PRIu64 "/%" PRIu64, m->prev_index, m->hint_index,
                   m->hint_term);
    }
    if (m->kind == RAFT_APPEND_REPLY && !m->rejected) buf_printf(b, " match=%" PRIu64, m->match_index);
    if (m->kind != RAFT_APPEND || m->entry_count == 0) return;
    buf_add_str(b, " [");
    for (size_t i = 0; i < m->entry_count; i++) {
        if (i > 0) buf_add_byte(b, ' ');
        if (m->entries == NULL) {
            buf_printf(b, "%" PRIu64, m->prev_index + 1 + i);
        } else {
            text_entry(b, m->entries[i].index, m->entries[i].term, m->entries[i].kind, m->entries[i].members);
        }
    }
    buf_add_byte(b, ']');
}

void text_parcel(struct buf *b, const struct cl_parcel *p) {
    if (p->kind == CL_MESSAGE) {
        text_message(b, &p->message);
    } else if (p->kind == CL_SNAPSHOT) {
        buf_printf(b, "%" PRIu64 ">%" PRIu64 " snapshot t%" PRIu64 " of %" PRIu64 "/%" PRIu64 " ", p->from,
                   p->to, p->term, p->snapshot.index, p->snapshot.term);
        text_members(b, p->snapshot.members);
    } else if (p->snapshot.index == 0) {
        buf_printf(b, "%" PRIu64 ">%" PRIu64 " snapshot-failed", p->from, p->to);
    } else {
        buf_printf(b, "%" PRIu64 ">%" PRIu64 " snapshot-installed %" PRIu64, p->from, p->to,
                   p->snapshot.index);
    }
}

void text_log(struct buf *b, const struct cl_log *log) {
    if (log->mark_index > 0) buf_printf(b, "(%" PRIu64 "/%" PRIu64 ") ", log->mark_index, log->mark_term);
    for (size_t i = 0; i < log->count; i++) {
        const struct cl_entry *e = &log->items[i];
        if (i > 0) buf_add_byte(b, ' ');
        text_entry(b, log->mark_index + 1 + i, e->term, e->kind, e->members);
    }
}

static void text_store(struct buf *b, const struct raft_update *up) {
    buf_printf(b, " stores #%" PRIu64, up->store_id);
    if (up->store_hard_state) buf_printf(b, " t%" PRIu64 " vote=%" PRIu64, up->term, up->vote);
    if (up->store_first == 0) return;
    buf_printf(b, " %" PRIu64, up->store_first);
    if (up->store_last != up->store_first) buf_printf(b, "..%" PRIu64, up->store_last);
}

void say_update(struct cluster *c, struct cl_node *n, const struct raft_update *up,
                const struct cl_node *before) {
    struct buf b = {0};
    if (up->refused != RAFT_TAKEN) buf_printf(&b, " refused: %s;", refusal_name(up->refused));
    if (up->role != before->role || (n->term != before->term && up->role != RAFT_FOLLOWER)) {
        buf_printf(&b, " %s t%" PRIu64 ";", role_name(up->role), n->term);
    } else if (n->term != before->term) {
        buf_printf(&b, " t%" PRIu64 ";", n->term);
    }
    if (up->leader_id != before->leader_id && up->role != RAFT_LEADER) {
        buf_printf(&b, " leader is %" PRIu64 ";", up->leader_id);
    }
    if (up->store_id != 0) {
        text_store(&b, up);
        buf_add_byte(&b, ';');
    }
    if (up->members_index != before->members_index) {
        buf_add_str(&b, " members ");
        text_members(&b, up->members);
        buf_add_byte(&b, ';');
    }
    if (up->commit_index != before->commit_index) buf_printf(&b, " commits %" PRIu64 ";", up->commit_index);
    if (up->readable != before->readable) buf_add_str(&b, up->readable ? " readable;" : " not readable;");
    if (up->read_id != 0) buf_printf(&b, " read %" PRIu64 ";", up->read_id);
    if (up->read_done > before->read_done_id) buf_printf(&b, " reads done to %" PRIu64 ";", up->read_done);
    if (up->read_lost > before->read_lost_id) buf_printf(&b, " reads lost to %" PRIu64 ";", up->read_lost);
    if (up->snapshot_to != 0) buf_printf(&b, " snapshot to %" PRIu64 ";", up->snapshot_to);
    if (up->install) buf_add_str(&b, " installs;");
    if (b.len > 0) say(c, "%" PRIu64 "%.*s\n", n->id, (int)b.len - 1, b.data);
    buf_free(&b);
    for (size_t i = 0; i < up->message_count; i++) {
        struct buf m = {0};
        text_message(&m, &up->messages[i]);
        say(c, "  %.*s\n", (int)m.len, m.data);
        buf_free(&m);
    }
}

void say_status(struct cluster *c, const struct cl_node *n) {
    struct raft_status s;
    if (!n->up) {
        say(c, "%" PRIu64 " down\n", n->id);
        return;
    }
    raft_status(n->raft, &s);
    struct buf b = {0};
    text_members(&b, n->members);
    say(c,
        "%" PRIu64 " %s t%" PRIu64 " vote=%" PRIu64 " leader=%" PRIu64 " commit=%" PRIu64 " applied=%" PRIu64
        " stored=%" PRIu64 " log=%" PRIu64 "..%" PRIu64 " %.*s%s%s\n",
        n->id, role_name(s.role), s.term, s.vote, s.leader_id, s.commit_index, s.applied_index,
        s.stored_index, s.first_index, s.last_index, (int)b.len, b.data,
        s.is_promotable ? "" : " not promotable", s.transfer_to != 0 ? " transferring" : "");
    buf_free(&b);
    static const char *states[] = {"probe", "replicate", "snapshot"};
    for (size_t i = 0; i < s.peer_count; i++) {
        const struct raft_peer_status *p = &s.peers[i];
        say(c, "  %" PRIu64 " %s match=%" PRIu64 " next=%" PRIu64 " inflight=%zu\n", p->id, states[p->state],
            p->match_index, p->next_index, p->inflight_count);
    }
}
