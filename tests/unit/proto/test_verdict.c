/* Verdicts on scripts: what is stored, what comes back, what is refused. */
#include "verdict.h"

#include "test.h"

static const char stored[] = "\x01\x03"
                             "\x08\x07\x06\x05\x04\x03\x02\x01"
                             "\x09\x00\x00\x00\x00\x00\x00\x00"
                             "\x60\xea\x00\x00\x00\x00\x00\x00";

/* The format, byte by byte: it may only change with the version byte. */
TEST(stored_bytes) {
    struct verdict v = {VERDICT_OVER_LIMIT, UINT64_C(0x0102030405060708), 9, 60000}, again = {0};
    struct buf b = {0};
    verdict_encode(&b, &v);
    EXPECT_EQ_SLICE(buf_slice(&b), slice_make(stored, sizeof stored - 1));
    EXPECT_EQ_INT(verdict_decode(buf_slice(&b), &again), RC_OK);
    EXPECT_EQ_INT(again.decision, VERDICT_OVER_LIMIT);
    EXPECT_EQ_U64(again.index, v.index);
    EXPECT_EQ_U64(again.checkpoint, 9);
    EXPECT_EQ_U64(again.ran_ms, 60000);
    buf_free(&b);
}

static enum rc decode_with(size_t at, char byte, size_t len) {
    char bytes[sizeof stored];
    struct verdict v = {.index = 77};
    memcpy(bytes, stored, sizeof stored);
    bytes[at] = byte;
    enum rc rc = verdict_decode(slice_make(bytes, len), &v);
    if (rc != RC_OK) EXPECT_EQ_U64(v.index, 77);
    return rc;
}

TEST(refused) {
    EXPECT_EQ_INT(decode_with(0, 1, VERDICT_SIZE), RC_OK);
    EXPECT_EQ_INT(decode_with(0, 2, VERDICT_SIZE), RC_INVALID);
    EXPECT_EQ_INT(decode_with(1, 4, VERDICT_SIZE), RC_INVALID);
    EXPECT_EQ_INT(decode_with(1, -1, VERDICT_SIZE), RC_INVALID);
    EXPECT_EQ_INT(decode_with(10, 0, VERDICT_SIZE), RC_INVALID);
    for (size_t len = 0; len < VERDICT_SIZE; len++) EXPECT_EQ_INT(decode_with(0, 1, len), RC_INVALID);
    EXPECT_EQ_INT(decode_with(0, 1, VERDICT_SIZE + 1), RC_INVALID);
}

TEST_MAIN
