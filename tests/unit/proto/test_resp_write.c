/* Replies: the bytes of each kind in RESP2 and RESP3. */
#include "resp_write.h"

#include "test.h"

#include <math.h>

/* Runs `call` on a reply `r` of each version and compares what it wrote. */
#define check_reply(call, want2, want3)                                                                      \
    do {                                                                                                     \
        for (int resp = 2; resp <= 3; resp++) {                                                              \
            struct buf out = {0};                                                                            \
            struct reply reply, *r = &reply;                                                                 \
            reply_init(r, &out, resp);                                                                       \
            call;                                                                                            \
            EXPECT_EQ_SLICE(buf_slice(&out), resp == 2 ? SLICE(want2) : SLICE(want3));                       \
            reply_init(r, NULL, resp); /* and nothing at all when nobody listens */                          \
            call;                                                                                            \
            buf_free(&out);                                                                                  \
        }                                                                                                    \
    } while (0)
#define check_same(call, want) check_reply(call, want, want)

TEST(lines) {
    check_same(reply_ok(r), "+OK\r\n");
    check_same(reply_simple(r, "QUEUED"), "+QUEUED\r\n");
    check_same(reply_simple(r, ""), "+\r\n");
    check_same(reply_raw(r, SLICE("*1\r\n:1\r\n")), "*1\r\n:1\r\n");
    check_same(reply_raw(r, slice_make(NULL, 0)), "");
}

TEST(integers) {
    check_same(reply_int(r, 0), ":0\r\n");
    check_same(reply_int(r, 9), ":9\r\n");
    check_same(reply_int(r, 10), ":10\r\n");
    check_same(reply_int(r, -1), ":-1\r\n");
    check_same(reply_int(r, 12345), ":12345\r\n");
    check_same(reply_int(r, INT64_MAX), ":9223372036854775807\r\n");
    check_same(reply_int(r, INT64_MIN), ":-9223372036854775808\r\n");
    check_reply(reply_bool(r, true), ":1\r\n", "#t\r\n");
    check_reply(reply_bool(r, false), ":0\r\n", "#f\r\n");
}

TEST(bulks) {
    check_same(reply_bulk(r, SLICE("value")), "$5\r\nvalue\r\n");
    check_same(reply_bulk(r, SLICE("")), "$0\r\n\r\n");
    check_same(reply_bulk(r, slice_make(NULL, 0)), "$0\r\n\r\n");
    check_same(reply_bulk(r, SLICE("a\r\n\0b")), "$5\r\na\r\n\0b\r\n");
    check_same(reply_bulk_str(r, "0123456789"), "$10\r\n0123456789\r\n");
    check_same(reply_bulk_int(r, -42), "$3\r\n-42\r\n");
    check_same(reply_bulk_int(r, INT64_MIN), "$20\r\n-9223372036854775808\r\n");
    check_same(reply_bulkf(r, "%s-%d", "a", 7), "$3\r\na-7\r\n");
    check_reply(reply_bignum(r, SLICE("12345678901234567890123")), "$23\r\n12345678901234567890123\r\n",
                "(12345678901234567890123\r\n");
    check_reply(reply_verbatim(r, "txt", SLICE("hello")), "$5\r\nhello\r\n", "=9\r\ntxt:hello\r\n");
    check_reply(reply_verbatim(r, "mkd", SLICE("")), "$0\r\n\r\n", "=4\r\nmkd:\r\n");
}

TEST(long_formatted_bulk) {
    struct buf out = {0};
    struct reply r;
    reply_init(&r, &out, 3);
    reply_bulkf(&r, "%0700d", 7);
    EXPECT_EQ_INT(out.len, 6 + 700 + 2);
    EXPECT(memcmp(out.data, "$700\r\n00", 8) == 0);
    EXPECT(memcmp(out.data + out.len - 4, "07\r\n", 4) == 0);
    buf_free(&out);
}

TEST(nulls) {
    check_reply(reply_null(r), "$-1\r\n", "_\r\n");
    check_reply(reply_null_array(r), "*-1\r\n", "_\r\n");
}

TEST(doubles) {
    check_reply(reply_double(r, 3), "$1\r\n3\r\n", ",3\r\n");
    check_reply(reply_double(r, 0.1), "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n");
    check_reply(reply_double(r, INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    check_reply(reply_double(r, -INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
}

TEST(aggregates) {
    check_same(reply_array(r, 0), "*0\r\n");
    check_same(reply_array(r, 1234), "*1234\r\n");
    check_reply(reply_map(r, 3), "*6\r\n", "%3\r\n");
    check_reply(reply_set(r, 3), "*3\r\n", "~3\r\n");
    check_reply(reply_push(r, 3), "*3\r\n", ">3\r\n");
    struct buf out = {0};
    struct reply r;
    reply_init(&r, &out, 3);
    reply_attribute(&r, 2);
    EXPECT_EQ_SLICE(buf_slice(&out), SLICE("|2\r\n"));
    buf_free(&out);
}

static void write_nested(struct reply *r) {
    reply_int(r, 1);
    size_t outer = reply_defer(r);
    size_t first = reply_defer(r);
    for (int i = 0; i < 12; i++) reply_int(r, i % 10);
    reply_close_set(r, first, 12);
    size_t second = reply_defer(r);
    reply_close_map(r, second, 0);
    size_t third = reply_defer(r);
    reply_bulk_str(r, "k");
    reply_bulk_str(r, "v");
    reply_close_map(r, third, 1);
    reply_close_array(r, outer, 3);
    reply_int(r, 2);
}

TEST(lengths_known_at_the_end) {
    check_reply(write_nested(r),
                ":1\r\n*3\r\n*12\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:0\r\n:1\r\n"
                "*0\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n:2\r\n",
                ":1\r\n*3\r\n~12\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:0\r\n:1\r\n"
                "%0\r\n%1\r\n$1\r\nk\r\n$1\r\nv\r\n:2\r\n");
}

TEST(errors) {
    check_same(reply_error(r, "ERR syntax error"), "-ERR syntax error\r\n");
    check_same(reply_errorf(r, "ERR unknown command '%s'", "x"), "-ERR unknown command 'x'\r\n");
    /* A client's bytes inside an error cannot end the line. */
    check_same(reply_errorf(r, "ERR unknown command '%s'", "a\r\n+OK\r\nb"),
               "-ERR unknown command 'a  +OK  b'\r\n");
    check_same(reply_error(r, "ERR text\r\n"), "-ERR text\r\n");
    check_same(reply_error(r, "ERR"), "-ERR\r\n");
}

/* Statistics need the code even when nobody reads the reply. */
TEST(errors_are_counted) {
    struct buf out = {0};
    for (int listening = 0; listening < 2; listening++) {
        struct reply r;
        reply_init(&r, listening ? &out : NULL, 2);
        EXPECT_EQ_INT(r.error_count, 0);
        EXPECT_EQ_STR(r.error_code, "");
        reply_error(&r, "WRONGTYPE Operation against a key holding the wrong kind of value");
        EXPECT_EQ_INT(r.error_count, 1);
        EXPECT_EQ_STR(r.error_code, "WRONGTYPE");
        reply_error(&r, "AVERYLONGCODETHATDOESNOTFITINTOTHEFIELD x");
        EXPECT_EQ_INT(r.error_count, 2);
        EXPECT_EQ_STR(r.error_code, "AVERYLONGCODETHATDOESNOTFITINTO");
        reply_ok(&r);
        EXPECT_EQ_INT(r.error_count, 2);
    }
    buf_free(&out);
}

TEST(long_errors) {
    struct buf out = {0};
    struct reply r;
    reply_init(&r, &out, 2);
    reply_errorf(&r, "ERR %02000d", 5);
    EXPECT_EQ_INT(out.len, 5 + 2000 + 2);
    EXPECT(memcmp(out.data + out.len - 4, "05\r\n", 4) == 0);
    buf_free(&out);
}

TEST_MAIN
