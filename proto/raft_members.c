/* See raft_members.h; the bytes are drawn in README.md. */
#include "raft_members.h"

enum { MEMBERS_VERSION = 1 };

static bool seat_exists(uint8_t seat) {
    return seat >= RAFT_LEARNER && seat <= RAFT_VOTER_DOWN;
}

void members_encode(struct buf *out, const struct raft_members *members) {
    CHECK(members->count <= RAFT_MEMBERS_MAX);
    buf_add_byte(out, MEMBERS_VERSION);
    buf_add_byte(out, (uint8_t)members->count);
    uint64_t before = 0;
    for (size_t i = 0; i < members->count; i++) {
        const struct raft_member *m = &members->items[i];
        size_t len = strnlen(m->address, sizeof m->address);
        CHECK(m->id > before);
        CHECK(seat_exists((uint8_t)m->seat));
        CHECK(len > 0);
        CHECK(len < RAFT_ADDRESS_CAP);
        before = m->id;
        buf_add_u64le(out, m->id);
        buf_add_byte(out, (uint8_t)m->seat);
        buf_add_byte(out, (uint8_t)len);
        buf_add(out, m->address, len);
    }
}

static bool take_member(struct slice *rest, uint64_t before, struct raft_member *out) {
    uint8_t seat, len;
    struct slice address;
    *out = (struct raft_member){0};
    if (!slice_take_u64le(rest, &out->id) || !slice_take_u8(rest, &seat) || !slice_take_u8(rest, &len))
        return false;
    if (out->id <= before || !seat_exists(seat) || len == 0 || len >= RAFT_ADDRESS_CAP) return false;
    if (!slice_take(rest, len, &address) || memchr(address.data, '\0', len) != NULL) return false;
    out->seat = (enum raft_seat)seat;
    memcpy(out->address, address.data, len);
    return true;
}

enum rc members_decode(struct slice bytes, struct raft_members *out) {
    uint8_t version, count;
    struct raft_members members = {0};
    if (!slice_take_u8(&bytes, &version) || version != MEMBERS_VERSION) return RC_INVALID;
    if (!slice_take_u8(&bytes, &count) || count > RAFT_MEMBERS_MAX) return RC_INVALID;
    uint64_t before = 0;
    for (; members.count < count; members.count++) {
        struct raft_member *m = &members.items[members.count];
        if (!take_member(&bytes, before, m)) return RC_INVALID;
        before = m->id;
    }
    if (bytes.len != 0) return RC_INVALID;
    *out = members;
    return RC_OK;
}
