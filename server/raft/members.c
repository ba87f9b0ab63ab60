/* Configurations as values: which are sound, how one becomes another through a joint one. See raft.h. */
#include "raft.h"

#include <string.h>

bool seat_votes_old(enum raft_seat seat) {
    return seat == RAFT_VOTER || seat == RAFT_VOTER_OUT || seat == RAFT_VOTER_DOWN;
}

bool seat_votes_new(enum raft_seat seat) {
    return seat == RAFT_VOTER || seat == RAFT_VOTER_IN;
}

bool members_are_sound(const struct raft_members *m) {
    if (m->count == 0 || m->count > RAFT_MEMBERS_MAX) return false;
    size_t old_voters = 0, new_voters = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct raft_member *item = &m->items[i];
        if (item->id == 0 || (i > 0 && item->id <= m->items[i - 1].id)) return false;
        if (item->seat < RAFT_LEARNER || item->seat > RAFT_VOTER_DOWN) return false;
        if (memchr(item->address, 0, sizeof item->address) == NULL) return false;
        old_voters += seat_votes_old(item->seat);
        new_voters += seat_votes_new(item->seat);
    }
    return old_voters >= 1 && old_voters <= RAFT_VOTERS_MAX && new_voters >= 1 &&
           new_voters <= RAFT_VOTERS_MAX;
}

bool members_are_joint(const struct raft_members *m) {
    for (size_t i = 0; i < m->count; i++)
        if (seat_votes_old(m->items[i].seat) != seat_votes_new(m->items[i].seat)) return true;
    return false;
}

const struct raft_member *members_find(const struct raft_members *m, uint64_t id) {
    for (size_t i = 0; i < m->count; i++)
        if (m->items[i].id == id) return &m->items[i];
    return NULL;
}

static bool is_voter(const struct raft_member *m) {
    return m != NULL && m->seat == RAFT_VOTER;
}

static bool has_same_voters(const struct raft_members *a, const struct raft_members *b) {
    for (size_t i = 0; i < a->count; i++)
        if (is_voter(&a->items[i]) && !is_voter(members_find(b, a->items[i].id))) return false;
    for (size_t i = 0; i < b->count; i++)
        if (is_voter(&b->items[i]) && !is_voter(members_find(a, b->items[i].id))) return false;
    return true;
}

/* The seat in the joint configuration of whoever has these seats before and after; 0: none. */
static enum raft_seat joint_seat(const struct raft_member *before, const struct raft_member *after) {
    if (is_voter(before)) {
        if (after == NULL) return RAFT_VOTER_OUT;
        return is_voter(after) ? RAFT_VOTER : RAFT_VOTER_DOWN;
    }
    if (after == NULL) return 0; /* a learner leaves without ado */
    return is_voter(after) ? RAFT_VOTER_IN : RAFT_LEARNER;
}

void members_enter(const struct raft_members *from, const struct raft_members *wanted,
                   struct raft_members *out) {
    CHECK(!members_are_joint(from));
    CHECK(!members_are_joint(wanted));
    if (has_same_voters(from, wanted)) {
        *out = *wanted;
        return;
    }
    memset(out, 0, sizeof *out);
    size_t i = 0, j = 0;
    while (i < from->count || j < wanted->count) { /* two sorted lists become one */
        const struct raft_member *before = i < from->count ? &from->items[i] : NULL;
        const struct raft_member *after = j < wanted->count ? &wanted->items[j] : NULL;
        if (before != NULL && after != NULL && before->id != after->id) {
            if (before->id < after->id)
                after = NULL;
            else
                before = NULL;
        }
        i += before != NULL;
        j += after != NULL;
        enum raft_seat seat = joint_seat(before, after);
        if (seat == 0) continue;
        if (out->count == RAFT_MEMBERS_MAX) {
            out->count = 0;
            return;
        }
        out->items[out->count] = after != NULL ? *after : *before;
        out->items[out->count++].seat = seat;
    }
}

void members_leave(const struct raft_members *joint, struct raft_members *out) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < joint->count; i++) {
        enum raft_seat seat = joint->items[i].seat;
        if (seat == RAFT_VOTER_OUT) continue;
        out->items[out->count] = joint->items[i];
        out->items[out->count++].seat = seat_votes_new(seat) ? RAFT_VOTER : RAFT_LEARNER;
    }
}
