/* Frames between nodes: the bytes, what comes back, and that nothing malformed gets through. */
#include "peer_frame.h"

#include "guard.h"
#include "hash.h"
#include "raft_members.h"
#include "rng.h"
#include "test.h"

enum { BYTES_MAX = 1 << 20 };

static const struct peer_origin ORIGIN = {.group = 0, .cluster = "cluster-id-of-16"};
static const struct peer_frame HEADER = {
    .origin = {.cluster = "cluster-id-of-16"}, .source = 11, .target = 22, .term = 5};

static struct peer_frame read_whole(const struct buf *b) {
    struct peer_frame f;
    size_t size;
    EXPECT_EQ_INT(peer_frame_read(buf_slice(b), BYTES_MAX, &f, &size), RC_OK);
    EXPECT_EQ_INT(size, b->len);
    return f;
}

/* --- the frame itself --- */

/* The format, byte by byte: it may only change with the format byte. */
TEST(bytes_on_the_wire) {
    struct buf b = {0};
    struct peer_frame f = HEADER;
    f.kind = PEER_CONTROL_REQUEST;
    f.origin.group = 0x0102;
    f.body = SLICE("\x09xyz");
    peer_frame_write(&b, &f);
    EXPECT_EQ_INT(b.len, PEER_HEADER_SIZE + 4);
    EXPECT_EQ_SLICE(slice_make(b.data, 8), SLICE("\x4c\0\0\0\0\0\0\0"));
    uint32_t crc = crc32c(crc32c(0, slice_make(b.data, 8)), slice_make(b.data + 12, b.len - 12));
    EXPECT_EQ_BYTES(b.data + 8, 4, (const char *)&crc, 4);
    EXPECT_EQ_SLICE(slice_make(b.data + 12, b.len - 12), SLICE("RDP\x01"
                                                               "\x60\0\0\0\0\0\0\0"
                                                               "\x02\x01\0\0\0\0\0\0"
                                                               "cluster-id-of-16"
                                                               "\x0b\0\0\0\0\0\0\0"
                                                               "\x16\0\0\0\0\0\0\0"
                                                               "\x05\0\0\0\0\0\0\0"
                                                               "\x09xyz"));
    struct peer_frame again = read_whole(&b);
    EXPECT_EQ_INT(again.kind, f.kind);
    EXPECT_EQ_INT(again.origin.group, 0x0102);
    EXPECT(memcmp(again.origin.cluster, ORIGIN.cluster, sizeof ORIGIN.cluster) == 0);
    EXPECT_EQ_INT(again.source, 11);
    EXPECT_EQ_INT(again.target, 22);
    EXPECT_EQ_INT(again.term, 5);
    EXPECT_EQ_SLICE(again.body, f.body);
    buf_free(&b);
}

/* A frame that stands behind another in the same buffer is none the worse for it. */
TEST(one_behind_the_other) {
    struct buf b = {0};
    peer_write_snapshot_end(&b, &HEADER);
    size_t first = b.len;
    peer_write_snapshot_done(&b, &HEADER);
    struct peer_frame f;
    size_t size;
    EXPECT_EQ_INT(peer_frame_read(buf_slice(&b), BYTES_MAX, &f, &size), RC_OK);
    EXPECT_EQ_INT(f.kind, PEER_SNAPSHOT_END);
    EXPECT_EQ_INT(size, first);
    EXPECT_EQ_INT(peer_frame_read(slice_make(b.data + first, b.len - first), BYTES_MAX, &f, &size), RC_OK);
    EXPECT_EQ_INT(f.kind, PEER_SNAPSHOT_DONE);
    buf_free(&b);
}

TEST(every_split_point_wants_more) {
    struct buf b = {0};
    struct peer_control control = {.kind = 3, .body = SLICE("some bytes")};
    peer_write_control_response(&b, &HEADER, &control);
    struct guard guard = guard_make(b.len);
    for (size_t len = 0; len < b.len; len++) {
        struct peer_frame f = {.kind = 77};
        size_t size = 0;
        enum rc rc = peer_frame_read(guard_put(&guard, slice_make(b.data, len)), BYTES_MAX, &f, &size);
        EXPECT_NOTE(rc == RC_NOT_FOUND, "%zu bytes", len);
        EXPECT_EQ_INT(size, len < PEER_HEADER_SIZE ? PEER_HEADER_SIZE : b.len);
        EXPECT_EQ_INT(f.kind, 77);
    }
    guard_free(&guard);
    buf_free(&b);
}

/* A flip in the length may make it want more; it never makes it a frame. */
TEST(every_flipped_bit_is_noticed) {
    struct buf b = {0};
    struct peer_control control = {.kind = 3, .body = SLICE("some bytes")};
    peer_write_control_response(&b, &HEADER, &control);
    struct guard guard = guard_make(b.len);
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        struct peer_frame f;
        size_t size;
        b.data[bit / 8] ^= (char)(1 << bit % 8);
        enum rc rc = peer_frame_read(guard_put(&guard, buf_slice(&b)), BYTES_MAX, &f, &size);
        bool is_length = bit < 64;
        EXPECT_NOTE(rc == RC_INVALID || (is_length && rc == RC_NOT_FOUND), "bit %zu", bit);
        b.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    guard_free(&guard);
    buf_free(&b);
}

static enum rc read_bytes(struct slice bytes, size_t bytes_max) {
    struct peer_frame f;
    size_t size;
    struct guard guard = guard_make(bytes.len);
    enum rc rc = peer_frame_read(guard_put(&guard, bytes), bytes_max, &f, &size);
    guard_free(&guard);
    return rc;
}

TEST(garbage_is_told_from_its_first_bytes) {
    EXPECT_EQ_INT(read_bytes(SLICE("GET / HTTP/1.1"), BYTES_MAX), RC_INVALID);
    EXPECT_EQ_INT(read_bytes(SLICE("*1\r\n$4\r\nPING\r\n"), BYTES_MAX), RC_INVALID);
    EXPECT_EQ_INT(read_bytes(SLICE("\x47\0\0\0\0\0\0\0"), BYTES_MAX), RC_INVALID); /* shorter than a header */
    EXPECT_EQ_INT(read_bytes(SLICE("\x48\0\0\0\0\0\0\0"), BYTES_MAX), RC_NOT_FOUND);
    EXPECT_EQ_INT(read_bytes(SLICE("\x48\0\0\0\0\0\0\x80"), BYTES_MAX), RC_INVALID);
    EXPECT_EQ_INT(read_bytes(SLICE("\x48\0\0\0\0\0\0\0____RDP\x02"), BYTES_MAX), RC_INVALID); /* format */
    EXPECT_EQ_INT(read_bytes(SLICE("\x48\0\0\0\0\0\0\0____RDP\x01\x60\0\0\0"), BYTES_MAX), RC_NOT_FOUND);
    EXPECT_EQ_INT(read_bytes(SLICE("\x48\0\0\0\0\0\0\0____RDP\x01\x61\x01\0\0"), BYTES_MAX),
                  RC_INVALID); /* kind */
    EXPECT_EQ_INT(read_bytes(SLICE("\x48\0\0\0\0\0\0\0____RDP\x01\0\0\0\0"), BYTES_MAX), RC_INVALID);
}

TEST(longer_than_allowed) {
    struct buf b = {0};
    struct peer_control control = {.body = SLICE("0123456789")};
    peer_write_control_request(&b, &HEADER, &control);
    EXPECT_EQ_INT(read_bytes(buf_slice(&b), b.len), RC_OK);
    EXPECT_EQ_INT(read_bytes(buf_slice(&b), b.len - 1), RC_INVALID);
    EXPECT_EQ_INT(read_bytes(slice_make(b.data, 8), b.len - 1), RC_INVALID); /* at once */
    buf_free(&b);
}

/* --- Raft messages --- */

static struct raft_message message(enum raft_message_kind kind) {
    struct raft_message m = {.kind = kind, .from = 11, .to = 22, .term = 9};
    switch (kind) {
    case RAFT_APPEND:
        m.round = 1, m.sent_us = 2, m.prev_index = 100, m.prev_term = 3, m.commit_index = 99;
        break;
    case RAFT_APPEND_REPLY:
        m.round = 1, m.sent_us = 2, m.prev_index = 100, m.prev_term = 3, m.match_index = 104;
        m.rejected = true, m.hint_index = 88, m.hint_term = 2;
        break;
    case RAFT_HEARTBEAT: m.round = UINT64_MAX, m.sent_us = 2, m.commit_index = 7; break;
    case RAFT_HEARTBEAT_REPLY: m.round = 1, m.sent_us = UINT64_MAX; break;
    case RAFT_VOTE: m.pre_vote = m.is_transfer = true, m.last_index = INT64_MAX, m.last_term = 8; break;
    case RAFT_VOTE_REPLY: m.pre_vote = m.rejected = true; break;
    case RAFT_TIMEOUT_NOW: m.round = 5, m.sent_us = 6; break;
    }
    return m;
}

static void write_message(struct buf *b, const struct raft_message *m) {
    struct peer_append a;
    if (m->kind != RAFT_APPEND) {
        peer_write_message(b, &ORIGIN, m);
        return;
    }
    peer_append_begin(&a, b, &ORIGIN, m);
    peer_append_end(&a);
}

static void expect_equal(const struct raft_message *a, const struct raft_message *b) {
    EXPECT_EQ_INT(a->kind, b->kind);
    EXPECT_EQ_U64(a->from, b->from);
    EXPECT_EQ_U64(a->to, b->to);
    EXPECT_EQ_U64(a->term, b->term);
    EXPECT_EQ_U64(a->round, b->round);
    EXPECT_EQ_U64(a->sent_us, b->sent_us);
    EXPECT_EQ_U64(a->prev_index, b->prev_index);
    EXPECT_EQ_U64(a->prev_term, b->prev_term);
    EXPECT_EQ_U64(a->commit_index, b->commit_index);
    EXPECT_EQ_U64(a->match_index, b->match_index);
    EXPECT_EQ_U64(a->hint_index, b->hint_index);
    EXPECT_EQ_U64(a->hint_term, b->hint_term);
    EXPECT_EQ_INT(a->rejected, b->rejected);
    EXPECT_EQ_INT(a->pre_vote, b->pre_vote);
    EXPECT_EQ_INT(a->is_transfer, b->is_transfer);
    EXPECT_EQ_U64(a->last_index, b->last_index);
    EXPECT_EQ_U64(a->last_term, b->last_term);
    EXPECT_EQ_INT(a->entry_count, b->entry_count);
}

TEST(each_kind_of_message_comes_back) {
    struct buf b = {0};
    struct peer_append_store store = {0};
    for (int kind = RAFT_APPEND; kind <= RAFT_TIMEOUT_NOW; kind++) {
        struct raft_message m = message((enum raft_message_kind)kind), again;
        buf_clear(&b);
        write_message(&b, &m);
        struct peer_frame f = read_whole(&b);
        EXPECT_EQ_INT(peer_read_message(&f, &store, &again), RC_OK);
        expect_equal(&again, &m);
    }
    peer_append_store_free(&store);
    buf_free(&b);
}

/* Each body one byte shorter, down to nothing, and one longer; the frame around it is sound. */
static void expect_only_this_length(const struct buf *whole, enum rc (*read)(const struct peer_frame *)) {
    struct peer_frame f = read_whole(whole);
    struct buf body = {0};
    buf_add_slice(&body, f.body);
    struct guard guard = guard_make(body.len + 1);
    EXPECT_EQ_INT(read(&f), RC_OK);
    for (size_t len = 0; len < body.len; len++) {
        f.body = guard_put(&guard, slice_make(body.data, len));
        EXPECT_NOTE(read(&f) == RC_INVALID, "%s of %zu bytes", peer_frame_name(f.kind), len);
    }
    buf_add_byte(&body, 0);
    f.body = guard_put(&guard, buf_slice(&body));
    EXPECT_NOTE(read(&f) == RC_INVALID, "%s and one byte", peer_frame_name(f.kind));
    guard_free(&guard);
    buf_free(&body);
}

static enum rc read_message(const struct peer_frame *f) {
    static struct peer_append_store store;
    struct raft_message m = {.kind = (enum raft_message_kind)99};
    enum rc rc = peer_read_message(f, &store, &m);
    EXPECT(rc == RC_OK || m.kind == 99);
    for (size_t i = 0; rc == RC_OK && i < m.entry_count; i++) { /* what it says is there can be read */
        EXPECT(store.payloads[i].data >= f->body.data);
        EXPECT(store.payloads[i].data + store.payloads[i].len <= f->body.data + f->body.len);
        if (m.entries[i].kind == RAFT_ENTRY_MEMBERS) EXPECT(m.entries[i].members->count > 0);
    }
    return rc;
}

TEST(messages_have_one_length) {
    struct buf b = {0};
    for (int kind = RAFT_APPEND; kind <= RAFT_TIMEOUT_NOW; kind++) {
        struct raft_message m = message((enum raft_message_kind)kind);
        buf_clear(&b);
        write_message(&b, &m);
        expect_only_this_length(&b, read_message);
    }
    buf_free(&b);
}

static struct raft_members three(void) {
    struct raft_members m = {.count = 3,
                             .items = {{.id = 11, .seat = RAFT_VOTER, .address = "10.0.0.1:6379"},
                                       {.id = 22, .seat = RAFT_VOTER, .address = "10.0.0.2:6379"},
                                       {.id = 33, .seat = RAFT_LEARNER, .address = "10.0.0.3:6379"}}};
    return m;
}

/* Payloads from different places; configurations in between, each with its own members. */
static void write_append(struct buf *b, size_t count, struct raft_message *m) {
    struct peer_append a;
    struct buf payload = {0};
    *m = message(RAFT_APPEND);
    peer_append_begin(&a, b, &ORIGIN, m);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&payload);
        struct raft_entry e = {.index = 101 + i, .term = 3 + i / 2 % 7, .kind = RAFT_ENTRY_COMMANDS};
        if (i % 3 == 0) {
            struct raft_members members = three();
            snprintf(members.items[0].address, RAFT_ADDRESS_CAP, "entry-%zu:1", i);
            members_encode(&payload, &members);
            e.kind = RAFT_ENTRY_MEMBERS;
        } else if (i % 3 == 1) {
            e.kind = RAFT_ENTRY_NOOP;
        } else {
            buf_printf(&payload, "payload of %zu", i);
        }
        e.term = 3 + (i < 12 ? i / 2 : 6);
        e.size = payload.len;
        peer_append_add(&a, &e, buf_slice(&payload));
    }
    EXPECT_EQ_INT(peer_append_size(&a), b->len - a.start);
    peer_append_end(&a);
    m->entry_count = count;
    buf_free(&payload);
}

TEST(entries_come_back) {
    struct buf b = {0};
    struct peer_append_store store = {0};
    for (size_t count = 0; count < 200; count += count < 40 ? 1 : 37) { /* the arrays move while they grow */
        struct raft_message m, again;
        buf_clear(&b);
        write_append(&b, count, &m);
        struct peer_frame f = read_whole(&b);
        EXPECT_EQ_INT(peer_read_message(&f, &store, &again), RC_OK);
        expect_equal(&again, &m);
        for (size_t i = 0; i < count; i++) {
            const struct raft_entry *e = &again.entries[i];
            char want[64];
            EXPECT_EQ_INT(e->index, 101 + i);
            EXPECT_EQ_INT(e->term, 3 + (i < 12 ? i / 2 : 6));
            EXPECT_EQ_INT(e->size, store.payloads[i].len);
            EXPECT_EQ_INT(e->members != NULL, i % 3 == 0);
            if (i % 3 == 0) {
                snprintf(want, sizeof want, "entry-%zu:1", i);
                EXPECT_EQ_INT(e->kind, RAFT_ENTRY_MEMBERS);
                EXPECT_EQ_INT(e->members->count, 3);
                EXPECT_EQ_STR(e->members->items[0].address, want);
            } else if (i % 3 == 2) {
                snprintf(want, sizeof want, "payload of %zu", i);
                EXPECT_EQ_SLICE(store.payloads[i], slice_of(want));
            }
        }
        if (count > 0 && count < 10) expect_only_this_length(&b, read_message);
    }
    peer_append_store_free(&store);
    buf_free(&b);
}

/* With the checksum made anew, every flipped bit of the body is refused or read within bounds. */
TEST(flipped_bits_behind_a_sound_checksum_are_harmless) {
    struct buf b = {0}, body = {0};
    struct raft_message m;
    write_append(&b, 7, &m);
    struct peer_frame f = read_whole(&b);
    buf_add_slice(&body, f.body);
    struct guard guard = guard_make(body.len);
    for (size_t bit = 0; bit < body.len * 8; bit++) {
        body.data[bit / 8] ^= (char)(1 << bit % 8);
        f.body = guard_put(&guard, buf_slice(&body));
        enum rc rc = read_message(&f);
        EXPECT(rc == RC_OK || rc == RC_INVALID);
        if (bit >= 40 * 8 && bit < 48 * 8) EXPECT_NOTE(rc == RC_INVALID, "count, bit %zu", bit);
        body.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    guard_free(&guard);
    buf_free(&body);
    buf_free(&b);
}

/* The head of an append whose payload stays where it is. */
static void write_apart(struct buf *b, struct raft_message *m, uint64_t entry_term, uint64_t size) {
    struct peer_append a;
    *m = message(RAFT_APPEND);
    struct raft_entry e = {
        .index = m->prev_index + 1, .term = entry_term, .kind = RAFT_ENTRY_COMMANDS, .size = size};
    peer_append_begin(&a, b, &ORIGIN, m);
    peer_append_end_apart(&a, &e);
}

static enum rc read_apart(const struct buf *head, struct slice payload, struct peer_frame *f,
                          struct raft_message *out) {
    static struct peer_append_store store;
    enum rc rc = peer_read_apart(buf_slice(head), payload, &store, f, out);
    if (rc == RC_OK) EXPECT_EQ_SLICE(store.payloads[0], payload);
    if (out == NULL) peer_append_store_free(&store);
    return rc;
}

TEST(a_payload_may_come_apart) {
    struct buf b = {0}, whole = {0};
    struct raft_message m, back;
    struct peer_frame f;
    size_t len = 0;
    struct slice payload = SLICE("a payload of some length");
    write_apart(&b, &m, message(RAFT_APPEND).term, payload.len);
    EXPECT_EQ_INT(b.len, PEER_APART_HEAD_SIZE);
    for (size_t cut = 0; cut < b.len; cut++)
        EXPECT(!peer_append_is_apart(slice_make(b.data, cut), SIZE_MAX, &len));
    EXPECT(peer_append_is_apart(buf_slice(&b), SIZE_MAX, &len));
    EXPECT_EQ_INT(len, payload.len);
    EXPECT(peer_append_is_apart(buf_slice(&b), PEER_APART_HEAD_SIZE + payload.len, &len));
    EXPECT(!peer_append_is_apart(buf_slice(&b), PEER_APART_HEAD_SIZE + payload.len - 1, &len));
    EXPECT_EQ_INT(read_apart(&b, payload, &f, &back), RC_OK);
    EXPECT_EQ_U64(f.source, m.from);
    EXPECT_EQ_U64(f.target, m.to);
    m.entry_count = 1;
    EXPECT_EQ_U64(back.term, m.term);
    EXPECT_EQ_U64(back.prev_index, m.prev_index);
    EXPECT_EQ_U64(back.commit_index, m.commit_index);
    EXPECT_EQ_INT(back.entry_count, 1);
    EXPECT_EQ_U64(back.entries[0].index, m.prev_index + 1);
    EXPECT_EQ_U64(back.entries[0].size, payload.len);
    EXPECT_EQ_INT(back.entries[0].kind, RAFT_ENTRY_COMMANDS);
    EXPECT_EQ_INT(read_apart(&b, slice_make(payload.data, payload.len - 1), &f, &back), RC_INVALID);
    /* Put together it is no frame: nothing vouches for it but the parts it comes in. */
    buf_add_slice(&whole, buf_slice(&b));
    buf_add_slice(&whole, payload);
    EXPECT_EQ_INT(read_bytes(buf_slice(&whole), SIZE_MAX), RC_INVALID);
    buf_clear(&b);
    write_apart(&b, &m, m.term + 1, payload.len); /* of a term that its leader has not seen */
    EXPECT_EQ_INT(read_apart(&b, payload, &f, &back), RC_INVALID);
    (void)read_apart(&b, SLICE(""), &f, NULL);
    buf_free(&b);
    buf_free(&whole);
}

TEST(what_is_no_append_of_one_entry_does_not_come_apart) {
    struct buf b = {0}, good = {0};
    struct raft_message m;
    size_t len;
    write_append(&b, 1, &m);
    EXPECT(!peer_append_is_apart(buf_slice(&b), SIZE_MAX, &len)); /* it has a checksum */
    write_apart(&good, &m, 1, 100);
    static const size_t fields[] = {
        0, 8, 12, 16, 20, 112, 128}; /* size, checksum, magic, kind, zero, count, entry's size */
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        good.data[fields[i]] ^= 1;
        EXPECT_NOTE(!peer_append_is_apart(buf_slice(&good), SIZE_MAX, &len), "field at %zu", fields[i]);
        good.data[fields[i]] ^= 1;
    }
    EXPECT(peer_append_is_apart(buf_slice(&good), SIZE_MAX, &len));
    buf_free(&b);
    buf_free(&good);
}

TEST(a_cancelled_append_leaves_nothing) {
    struct buf b = {0};
    struct peer_append a;
    struct raft_message m = message(RAFT_APPEND);
    struct raft_entry e = {.index = 101, .term = 3, .kind = RAFT_ENTRY_NOOP};
    buf_add_str(&b, "before");
    peer_append_begin(&a, &b, &ORIGIN, &m);
    peer_append_add(&a, &e, SLICE(""));
    peer_append_cancel(&a);
    EXPECT_EQ_SLICE(buf_slice(&b), SLICE("before"));
    buf_free(&b);
}

/* An APPEND of one entry, with one field set to something. */
static enum rc append_of(uint64_t prev_index, uint64_t prev_term, uint64_t term, uint64_t entry_term,
                         uint64_t kind, struct slice payload) {
    struct buf body = {0};
    buf_add_u64le(&body, 1); /* round, sent_us */
    buf_add_u64le(&body, 1);
    buf_add_u64le(&body, prev_index);
    buf_add_u64le(&body, prev_term);
    buf_add_u64le(&body, 0); /* commit_index */
    buf_add_u64le(&body, 1); /* count */
    buf_add_u64le(&body, entry_term);
    buf_add_u64le(&body, payload.len);
    buf_add_u64le(&body, kind);
    buf_add_slice(&body, payload);
    struct peer_frame f = HEADER;
    f.kind = RAFT_APPEND;
    f.term = term;
    f.body = buf_slice(&body);
    enum rc rc = read_message(&f);
    buf_free(&body);
    return rc;
}

TEST(appends_that_no_leader_sends) {
    EXPECT_EQ_INT(append_of(4, 2, 5, 3, RAFT_ENTRY_COMMANDS, SLICE("x")), RC_OK);
    EXPECT_EQ_INT(append_of(4, 2, 5, 3, 0, SLICE("x")), RC_INVALID);
    EXPECT_EQ_INT(append_of(4, 2, 5, 3, RAFT_ENTRY_VERDICT, SLICE("x")), RC_OK);
    EXPECT_EQ_INT(append_of(4, 2, 5, 3, RAFT_ENTRY_VERDICT + 1, SLICE("x")), RC_INVALID);
    EXPECT_EQ_INT(append_of(4, 2, 5, 3, UINT64_C(1) << 32 | 2, SLICE("x")), RC_INVALID);
    EXPECT_EQ_INT(append_of(4, 4, 5, 3, RAFT_ENTRY_COMMANDS, SLICE("x")), RC_INVALID); /* the term falls */
    EXPECT_EQ_INT(append_of(4, 2, 2, 3, RAFT_ENTRY_COMMANDS, SLICE("x")),
                  RC_INVALID); /* later than its leader */
    EXPECT_EQ_INT(append_of(0, 0, 5, 0, RAFT_ENTRY_COMMANDS, SLICE("x")), RC_INVALID);
    EXPECT_EQ_INT(append_of(INT64_MAX, 2, 5, 3, RAFT_ENTRY_COMMANDS, SLICE("x")), RC_OK);
    EXPECT_EQ_INT(append_of((uint64_t)INT64_MAX + 1, 2, 5, 3, RAFT_ENTRY_COMMANDS, SLICE("x")), RC_INVALID);
    EXPECT_EQ_INT(append_of(4, 2, (uint64_t)INT64_MAX + 1, 3, RAFT_ENTRY_COMMANDS, SLICE("x")), RC_INVALID);
    EXPECT_EQ_INT(append_of(4, 2, 5, 3, RAFT_ENTRY_MEMBERS, SLICE("x")), RC_INVALID);
    EXPECT_EQ_INT(append_of(4, 2, 5, 3, RAFT_ENTRY_MEMBERS, SLICE("\x01\x00")), RC_INVALID); /* of nobody */
}

TEST(messages_from_or_to_nobody) {
    struct buf b = {0};
    struct raft_message m = message(RAFT_HEARTBEAT);
    write_message(&b, &m);
    struct peer_frame f = read_whole(&b);
    EXPECT_EQ_INT(read_message(&f), RC_OK);
    f.source = 0;
    EXPECT_EQ_INT(read_message(&f), RC_INVALID);
    f.source = 1, f.target = 0;
    EXPECT_EQ_INT(read_message(&f), RC_INVALID);
    f.target = 1, f.kind = PEER_CONTROL_REQUEST;
    EXPECT_EQ_INT(read_message(&f), RC_INVALID);
    buf_free(&b);
}

TEST(flags_that_do_not_exist) {
    struct peer_frame f = HEADER;
    f.kind = RAFT_VOTE_REPLY;
    f.body = SLICE("\x03\0\0\0\0\0\0\0");
    EXPECT_EQ_INT(read_message(&f), RC_OK);
    f.body = SLICE("\x04\0\0\0\0\0\0\0"); /* a transfer: of a vote, not of its reply */
    EXPECT_EQ_INT(read_message(&f), RC_INVALID);
    f.body = SLICE("\0\0\0\0\0\0\0\x80");
    EXPECT_EQ_INT(read_message(&f), RC_INVALID);
}

/* --- the handshake --- */

static struct peer_hello forward_hello(void) {
    struct peer_hello h = {.protocol = PEER_PROTOCOL_VERSION,
                           .link = PEER_LINK_FORWARD,
                           .origin = ORIGIN,
                           .source = 11,
                           .target = 22,
                           .address = "10.0.0.1:6379",
                           .nonce = "0123456789abcdef0123456789abcde",
                           .client = {.id = 77,
                                      .address = SLICE("127.0.0.1:5555"),
                                      .local_address = SLICE("127.0.0.1:6379"),
                                      .name = SLICE("n\0m"),
                                      .lib_version = SLICE("1.2"),
                                      .user = SLICE("default"),
                                      .db = 15,
                                      .resp = 3,
                                      .no_evict = true,
                                      .said_password = true}};
    return h;
}

static enum rc read_hello(const struct peer_frame *f) {
    struct peer_hello h;
    return peer_read_hello(f, &h);
}

TEST(hello_comes_back) {
    struct buf b = {0};
    struct peer_hello h = forward_hello(), again;
    peer_write_hello(&b, &h);
    struct peer_frame f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_hello(&f, &again), RC_OK);
    EXPECT_EQ_INT(again.protocol, h.protocol);
    EXPECT_EQ_INT(again.link, h.link);
    EXPECT(memcmp(&again.origin, &h.origin, sizeof h.origin) == 0);
    EXPECT_EQ_INT(again.source, 11);
    EXPECT_EQ_INT(again.target, 22);
    EXPECT_EQ_STR(again.address, h.address);
    EXPECT(memcmp(again.nonce, h.nonce, sizeof h.nonce) == 0);
    EXPECT_EQ_INT(again.client.id, 77);
    EXPECT_EQ_SLICE(again.client.address, h.client.address);
    EXPECT_EQ_SLICE(again.client.local_address, h.client.local_address);
    EXPECT_EQ_SLICE(again.client.name, h.client.name);
    EXPECT_EQ_SLICE(again.client.lib_name, SLICE(""));
    EXPECT_EQ_SLICE(again.client.lib_version, h.client.lib_version);
    EXPECT_EQ_SLICE(again.client.user, h.client.user);
    EXPECT_EQ_INT(again.client.db, 15);
    EXPECT_EQ_INT(again.client.resp, 3);
    EXPECT(again.client.no_evict);
    EXPECT(again.client.said_password);
    expect_only_this_length(&b, read_hello);
    for (int link = PEER_LINK_RAFT; link <= PEER_LINK_CONTROL; link++) {
        h.link = (enum peer_link_kind)link;
        buf_clear(&b);
        peer_write_hello(&b, &h);
        expect_only_this_length(&b, read_hello);
    }
    buf_free(&b);
}

/* So that it can be told why it is refused. */
TEST(hello_of_another_version_says_who_it_is) {
    struct buf b = {0};
    struct peer_hello h = forward_hello(), again;
    h.protocol = PEER_PROTOCOL_VERSION + 1;
    peer_write_hello(&b, &h);
    struct peer_frame f = read_whole(&b);
    f.body.len = 9; /* whatever it means there */
    EXPECT_EQ_INT(peer_read_hello(&f, &again), RC_OK);
    EXPECT_EQ_INT(again.protocol, PEER_PROTOCOL_VERSION + 1);
    EXPECT_EQ_INT(again.source, 11);
    buf_free(&b);
}

TEST(malformed_hellos) {
    struct buf b = {0};
    struct peer_hello h = forward_hello();
    h.link = PEER_LINK_RAFT;
    peer_write_hello(&b, &h);
    struct peer_frame f = read_whole(&b);
    struct buf body = {0};
    buf_add_slice(&body, f.body);
    f.body = buf_slice(&body);
    EXPECT_EQ_INT(read_hello(&f), RC_OK);
    body.data[4] = 5; /* a link that does not exist */
    EXPECT_EQ_INT(read_hello(&f), RC_INVALID);
    body.data[4] = 0;
    EXPECT_EQ_INT(read_hello(&f), RC_INVALID);
    body.data[4] = PEER_LINK_RAFT;
    body.data[8 + PEER_NONCE_SIZE + 2] = '\n'; /* an address that would spoil the log */
    EXPECT_EQ_INT(read_hello(&f), RC_INVALID);
    body.data[8 + PEER_NONCE_SIZE + 2] = '\0';
    EXPECT_EQ_INT(read_hello(&f), RC_INVALID);
    buf_free(&body);
    buf_free(&b);
}

static enum rc read_challenge(const struct peer_frame *f) {
    struct peer_challenge c;
    return peer_read_challenge(f, &c);
}

static enum rc read_proof(const struct peer_frame *f) {
    struct peer_proof p;
    return peer_read_proof(f, &p);
}

TEST(challenge_proof_and_welcome) {
    struct buf b = {0};
    struct peer_challenge c = {.nonce = "abcdefghijklmnopqrstuvwxyz01234"};
    struct peer_proof p = {.mac = "ABCDEFGHIJKLMNOPQRSTUVWXYZ01234"}, p_again;
    struct peer_challenge c_again;
    peer_write_challenge(&b, &HEADER, &c);
    expect_only_this_length(&b, read_challenge);
    struct peer_frame f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_challenge(&f, &c_again), RC_OK);
    EXPECT(memcmp(&c, &c_again, sizeof c) == 0);
    EXPECT_EQ_INT(peer_read_proof(&f, &p_again), RC_INVALID); /* as long, but another kind */
    buf_clear(&b);
    peer_write_proof(&b, &HEADER, &p);
    expect_only_this_length(&b, read_proof);
    buf_clear(&b);
    peer_write_welcome(&b, &HEADER, &p);
    expect_only_this_length(&b, read_proof);
    f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_proof(&f, &p_again), RC_OK);
    EXPECT(memcmp(&p, &p_again, sizeof p) == 0);
    buf_free(&b);
}

TEST(refusals) {
    struct buf b = {0};
    struct peer_refused r;
    peer_write_refused(&b, &HEADER, PEER_UNKNOWN_SENDER, "who\x1b[1m are you?\n");
    struct peer_frame f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_refused(&f, &r), RC_OK);
    EXPECT_EQ_INT(r.code, PEER_UNKNOWN_SENDER);
    EXPECT_EQ_STR(r.text, "who?[1m are you??"); /* fit for a terminal */
    buf_clear(&b);
    char *text = malloc(5000);
    memset(text, 'a', 4999);
    text[4999] = '\0';
    peer_write_refused(&b, &HEADER, PEER_BUSY, text);
    free(text);
    f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_refused(&f, &r), RC_OK);
    EXPECT_EQ_INT(strlen(r.text), PEER_TEXT_MAX);
    f.body = SLICE("\x63\0\0\0");
    EXPECT_EQ_INT(peer_read_refused(&f, &r), RC_OK); /* a later version's reason */
    EXPECT_EQ_INT(r.code, 0x63);
    EXPECT_EQ_STR(peer_refusal_name(r.code), "unknown reason");
    f.body = SLICE("\0\0\0\0");
    EXPECT_EQ_INT(peer_read_refused(&f, &r), RC_INVALID);
    f.body = SLICE("\1\0\0");
    EXPECT_EQ_INT(peer_read_refused(&f, &r), RC_INVALID);
    buf_free(&b);
}

/* --- snapshots and control --- */

static enum rc read_place(const struct peer_frame *f) {
    struct peer_snapshot_place p;
    return peer_read_snapshot_place(f, &p);
}

TEST(snapshot_begin) {
    struct buf b = {0};
    struct peer_snapshot_begin s = {
        .index = 100, .term = 4, .members_index = 90, .members = three(), .files = SLICE("a list of\0files")};
    struct peer_snapshot_begin again;
    peer_write_snapshot_begin(&b, &HEADER, &s);
    struct peer_frame f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_snapshot_begin(&f, &again), RC_OK);
    EXPECT_EQ_INT(again.index, 100);
    EXPECT_EQ_INT(again.term, 4);
    EXPECT_EQ_INT(again.members_index, 90);
    EXPECT_EQ_INT(again.members.count, 3);
    EXPECT_EQ_STR(again.members.items[2].address, "10.0.0.3:6379");
    EXPECT_EQ_SLICE(again.files, s.files);
    struct slice whole = f.body;
    size_t files_at = whole.len - s.files.len;
    for (size_t len = 0; len < whole.len; len++) {
        f.body = slice_make(whole.data, len);
        EXPECT_EQ_INT(peer_read_snapshot_begin(&f, &again), len < files_at ? RC_INVALID : RC_OK);
    }
    s.members_index = 101; /* newer than the snapshot */
    buf_clear(&b);
    peer_write_snapshot_begin(&b, &HEADER, &s);
    f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_snapshot_begin(&f, &again), RC_INVALID);
    buf_free(&b);
}

TEST(snapshot_chunks_carry_their_own_checksum) {
    struct buf b = {0};
    struct peer_snapshot_chunk c = {.file = 3, .offset = UINT64_C(1) << 40, .bytes = SLICE("bytes")}, again;
    peer_write_snapshot_chunk(&b, &HEADER, &c);
    struct peer_frame f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_snapshot_chunk(&f, &again), RC_OK);
    EXPECT_EQ_INT(again.file, 3);
    EXPECT_EQ_U64(again.offset, c.offset);
    EXPECT_EQ_SLICE(again.bytes, c.bytes);
    EXPECT_EQ_INT(again.crc, crc32c(0, c.bytes));
    b.data[b.len - 1] ^= 1;
    EXPECT_EQ_INT(peer_read_snapshot_chunk(&f, &again), RC_INVALID);
    c.offset = INT64_MAX; /* its end would not be a place in a file */
    buf_clear(&b);
    peer_write_snapshot_chunk(&b, &HEADER, &c);
    f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_snapshot_chunk(&f, &again), RC_INVALID);
    buf_free(&b);
}

TEST(the_rest_of_a_snapshot) {
    struct buf b = {0};
    struct peer_snapshot_place p = {.file = 2, .offset = 12345}, again;
    char text[8];
    peer_write_snapshot_resume(&b, &HEADER, &p);
    expect_only_this_length(&b, read_place);
    struct peer_frame f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_snapshot_place(&f, &again), RC_OK);
    EXPECT_EQ_INT(again.file, 2);
    EXPECT_EQ_INT(again.offset, 12345);
    buf_clear(&b);
    peer_write_snapshot_end(&b, &HEADER);
    expect_only_this_length(&b, peer_read_nothing);
    buf_clear(&b);
    peer_write_snapshot_done(&b, &HEADER);
    expect_only_this_length(&b, peer_read_nothing);
    buf_clear(&b);
    peer_write_snapshot_failed(&b, &HEADER, "disk\nfull, alas");
    f = read_whole(&b);
    EXPECT_EQ_INT(peer_read_text(&f, text, sizeof text), RC_OK);
    EXPECT_EQ_STR(text, "disk?fu");
    buf_free(&b);
}

TEST(control) {
    struct buf b = {0};
    struct peer_control c = {.kind = 200, .body = SLICE("what\0ever")}, again;
    peer_write_control_request(&b, &HEADER, &c);
    struct peer_frame f = read_whole(&b);
    EXPECT_EQ_INT(f.kind, PEER_CONTROL_REQUEST);
    EXPECT_EQ_INT(peer_read_control(&f, &again), RC_OK);
    EXPECT_EQ_INT(again.kind, 200);
    EXPECT_EQ_SLICE(again.body, c.body);
    f.body.len = 1;
    EXPECT_EQ_INT(peer_read_control(&f, &again), RC_OK);
    EXPECT_EQ_INT(again.body.len, 0);
    f.body.len = 0;
    EXPECT_EQ_INT(peer_read_control(&f, &again), RC_INVALID);
    buf_free(&b);
}

/* A reader is given every kind of frame, and takes its own. */
TEST(each_reader_takes_its_own_kind_only) {
    static struct peer_snapshot_begin begin;
    struct peer_append_store store = {0};
    struct raft_message m;
    struct peer_hello hello;
    struct peer_challenge challenge;
    struct peer_proof proof;
    struct peer_refused refused;
    struct peer_snapshot_chunk chunk;
    struct peer_snapshot_place place;
    struct peer_control control;
    char text[10], zeros[200] = {0};
    for (uint32_t kind = 0; kind < 300; kind++) {
        int readers = 0;
        for (size_t len = 0; len <= sizeof zeros; len++) {
            struct peer_frame f = {.kind = kind, .source = 1, .target = 2, .body = slice_make(zeros, len)};
            int n =
                (peer_read_message(&f, &store, &m) == RC_OK) + (peer_read_hello(&f, &hello) == RC_OK) +
                (peer_read_challenge(&f, &challenge) == RC_OK) + (peer_read_proof(&f, &proof) == RC_OK) +
                (peer_read_refused(&f, &refused) == RC_OK) + (peer_read_snapshot_begin(&f, &begin) == RC_OK) +
                (peer_read_snapshot_chunk(&f, &chunk) == RC_OK) +
                (peer_read_snapshot_place(&f, &place) == RC_OK) + (peer_read_nothing(&f) == RC_OK) +
                (peer_read_text(&f, text, sizeof text) == RC_OK) + (peer_read_control(&f, &control) == RC_OK);
            EXPECT(n <= 1);
            readers |= n;
        }
        if (peer_frame_name(kind)[0] == '?') EXPECT_EQ_INT(readers, 0);
    }
    peer_append_store_free(&store);
}

TEST_MAIN
