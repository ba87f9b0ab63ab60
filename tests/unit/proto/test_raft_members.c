/* Configurations: what is stored, what comes back, what is refused. */
#include "raft_members.h"

#include "guard.h"
#include "test.h"

static struct raft_members sample(void) {
    struct raft_members m = {
        .count = 3,
        .items = {{.id = 1, .seat = RAFT_VOTER, .address = "10.0.0.1:6379"},
                  {.id = 7, .seat = RAFT_VOTER_IN, .address = "h:1"},
                  {.id = UINT64_MAX, .seat = RAFT_LEARNER, .address = "[::1]:6379@17000"}}};
    return m;
}

static void expect_equal(const struct raft_members *a, const struct raft_members *b) {
    EXPECT_EQ_INT(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        EXPECT_EQ_U64(a->items[i].id, b->items[i].id);
        EXPECT_EQ_INT(a->items[i].seat, b->items[i].seat);
        EXPECT_EQ_STR(a->items[i].address, b->items[i].address);
    }
}

/* The format, byte by byte: it may only change with the version byte. */
TEST(stored_bytes) {
    struct raft_members m = {.count = 2,
                             .items = {{.id = 0x0102030405060708, .seat = RAFT_VOTER, .address = "a:1"},
                                       {.id = 0x1102030405060708, .seat = RAFT_VOTER_DOWN, .address = "b"}}};
    struct buf b = {0};
    members_encode(&b, &m);
    EXPECT_EQ_SLICE(buf_slice(&b), SLICE("\x01\x02"
                                         "\x08\x07\x06\x05\x04\x03\x02\x01\x02\x03"
                                         "a:1"
                                         "\x08\x07\x06\x05\x04\x03\x02\x11\x05\x01"
                                         "b"));
    buf_free(&b);
}

TEST(read_back) {
    struct raft_members m = sample(), again;
    struct buf b = {0};
    members_encode(&b, &m);
    EXPECT_EQ_INT(members_decode(buf_slice(&b), &again), RC_OK);
    expect_equal(&again, &m);
    m.count = 0;
    buf_clear(&b);
    members_encode(&b, &m);
    EXPECT_EQ_INT(members_decode(buf_slice(&b), &again), RC_OK);
    EXPECT_EQ_INT(again.count, 0);
    buf_free(&b);
}

TEST(as_many_and_as_long_as_may_be) {
    struct raft_members m = {.count = RAFT_MEMBERS_MAX}, again;
    for (size_t i = 0; i < m.count; i++) {
        m.items[i] = (struct raft_member){.id = i + 1, .seat = RAFT_VOTER};
        memset(m.items[i].address, 'a', RAFT_ADDRESS_CAP - 1);
    }
    struct buf b = {0};
    members_encode(&b, &m);
    EXPECT_EQ_INT(members_decode(buf_slice(&b), &again), RC_OK);
    expect_equal(&again, &m);
    b.data[1]++; /* one more than there may be, in order and whole */
    buf_add_u64le(&b, RAFT_MEMBERS_MAX + 1);
    buf_add_str(&b, "\x02\x01"
                    "a");
    EXPECT_EQ_INT(members_decode(buf_slice(&b), &again), RC_INVALID);
    buf_free(&b);
}

TEST(every_truncation_is_refused) {
    struct raft_members m = sample(), again = {.count = 99};
    struct buf b = {0};
    members_encode(&b, &m);
    struct guard guard = guard_make(b.len);
    for (size_t len = 0; len < b.len; len++) {
        enum rc rc = members_decode(guard_put(&guard, slice_make(b.data, len)), &again);
        EXPECT_NOTE(rc == RC_INVALID, "%zu bytes", len);
    }
    buf_add_byte(&b, 0);
    EXPECT_EQ_INT(members_decode(buf_slice(&b), &again), RC_INVALID); /* nor may anything follow */
    EXPECT_EQ_INT(again.count, 99);
    guard_free(&guard);
    buf_free(&b);
}

static enum rc decode(struct slice bytes) {
    struct raft_members m;
    return members_decode(bytes, &m);
}

TEST(malformed) {
#define MEMBER(id, seat)                                                                                     \
    id "\0\0\0\0\0\0\0" seat "\x01"                                                                          \
       "a"
    EXPECT_EQ_INT(decode(SLICE("\x01\x02" MEMBER("\x01", "\x02") MEMBER("\x02", "\x02"))), RC_OK);
    EXPECT_EQ_INT(decode(SLICE("\x02\x02" MEMBER("\x01", "\x02") MEMBER("\x02", "\x02"))),
                  RC_INVALID); /* version */
    EXPECT_EQ_INT(decode(SLICE("\x01\x02" MEMBER("\x02", "\x02") MEMBER("\x01", "\x02"))),
                  RC_INVALID); /* order */
    EXPECT_EQ_INT(decode(SLICE("\x01\x02" MEMBER("\x02", "\x02") MEMBER("\x02", "\x02"))),
                  RC_INVALID);                                                   /* twice */
    EXPECT_EQ_INT(decode(SLICE("\x01\x01" MEMBER("\x00", "\x02"))), RC_INVALID); /* id 0 */
    EXPECT_EQ_INT(decode(SLICE("\x01\x01" MEMBER("\x01", "\x00"))), RC_INVALID); /* seat */
    EXPECT_EQ_INT(decode(SLICE("\x01\x01" MEMBER("\x01", "\x05"))), RC_OK);
    EXPECT_EQ_INT(decode(SLICE("\x01\x01" MEMBER("\x01", "\x06"))), RC_INVALID);
    EXPECT_EQ_INT(decode(SLICE("\x01\x01\x01\0\0\0\0\0\0\0\x02\x00")), RC_INVALID); /* no address */
    EXPECT_EQ_INT(decode(SLICE("\x01\x01\x01\0\0\0\0\0\0\0\x02\x02"
                               "a\0")),
                  RC_INVALID); /* a NUL in it */
    EXPECT_EQ_INT(decode(SLICE("\x01\x01\x01\0\0\0\0\0\0\0\x02\x80"
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
                  RC_INVALID); /* 128 bytes and the NUL would be 129 */
}

TEST_MAIN
