/* Where replies end: at every split point, and always where resp_read says. */
#include "resp_skim.h"

#include "buf.h"
#include "guard.h"
#include "resp_read.h"
#include "rng.h"
#include "test.h"

/* The offsets at which replies end ("12") and pushes ("12>"), with "error" behind them if that is how it ended, and "..."
 * when the last one is not whole. Fed in parts of `part` bytes, each ending where memory ends. */
static const char *skim(struct slice wire, size_t part, struct guard *guard) {
    static char out[4096];
    struct resp_skim s = {0};
    size_t at = 0;
    int len = 0;
    out[0] = '\0';
    while (at < wire.len) {
        size_t n = wire.len - at < part ? wire.len - at : part, done = 0;
        while (done < n) {
            size_t consumed = 0;
            struct slice input = guard_put(guard, slice_make(wire.data + at + done, n - done));
            enum resp_skim_status status = resp_skim(&s, input, &consumed);
            if (status == RESP_SKIM_ERROR) {
                snprintf(out + len, sizeof out - (size_t)len, "error");
                return out;
            }
            EXPECT(consumed > 0);
            EXPECT(consumed <= input.len);
            done += consumed;
            if (status == RESP_SKIM_MORE) {
                EXPECT_EQ_INT(done, n);
                break;
            }
            EXPECT(resp_skim_is_between(&s));
            len += snprintf(out + len, sizeof out - (size_t)len, "%zu%s ", at + done,
                            status == RESP_SKIM_PUSH ? ">" : "");
            EXPECT(len < (int)sizeof out - 32);
        }
        at += n;
    }
    if (!resp_skim_is_between(&s)) snprintf(out + len, sizeof out - (size_t)len, "...");
    return out;
}

static void check_skim(const char *text, size_t len, const char *want) {
    struct slice wire = slice_make(text, len);
    struct guard guard = guard_make(len);
    for (size_t part = 1; part <= len; part++) {
        const char *got = skim(wire, part, &guard);
        EXPECT_NOTE(strcmp(got, want) == 0, "%s in parts of %zu: \"%s\", not \"%s\"", text, part, got, want);
    }
    guard_free(&guard);
}
#define CHECK_SKIM(text, want) check_skim(text, sizeof(text) - 1, want)

TEST(scalars) {
    CHECK_SKIM("+OK\r\n", "5 ");
    CHECK_SKIM("+\r\n", "3 ");
    CHECK_SKIM("-ERR no\r\n:12\r\n", "9 14 ");
    CHECK_SKIM("_\r\n#t\r\n,1.5\r\n(123\r\n", "3 7 13 19 ");
    CHECK_SKIM("$-1\r\n*-1\r\n", "5 10 ");
    CHECK_SKIM("+a\rb\r\n", "6 ");
    CHECK_SKIM("+OK\r", "...");
}

TEST(bulks) {
    CHECK_SKIM("$0\r\n\r\n$3\r\na\r\n\r\n", "6 15 ");
    CHECK_SKIM("$5\r\n*1\r\n!\r\n", "11 ");
    CHECK_SKIM("!5\r\nERR a\r\n=5\r\ntxt:a\r\n", "11 22 ");
    CHECK_SKIM("$5\r\nabc", "...");
    CHECK_SKIM("$5\r\nabcde\r", "...");
    CHECK_SKIM("$1\r\nab\n", "error");
    CHECK_SKIM("$1\r\na\ra", "error");
}

TEST(aggregates) {
    CHECK_SKIM("*0\r\n%0\r\n~0\r\n", "4 8 12 ");
    CHECK_SKIM("*2\r\n:1\r\n:2\r\n+x\r\n", "12 16 ");
    CHECK_SKIM("*2\r\n*2\r\n:1\r\n*0\r\n$1\r\na\r\n+x\r\n", "23 27 ");
    CHECK_SKIM("%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n_\r\n", "23 ");
    CHECK_SKIM("*1\r\n*1\r\n*1\r\n*-1\r\n:1\r\n", "17 21 ");
    CHECK_SKIM("*2\r\n:1\r\n", "...");
}

TEST(pushes_answer_nothing) {
    CHECK_SKIM(">2\r\n+message\r\n+x\r\n+OK\r\n", "18> 23 ");
    CHECK_SKIM(">0\r\n", "4> ");
    CHECK_SKIM("*1\r\n>1\r\n:1\r\n", "12 "); /* inside a reply it is an element like any other */
}

TEST(attributes_belong_to_what_follows) {
    CHECK_SKIM("|1\r\n+ttl\r\n:3\r\n", "...");
    CHECK_SKIM("|1\r\n+ttl\r\n:3\r\n+OK\r\n", "19 ");
    CHECK_SKIM("|0\r\n+OK\r\n", "9 ");
    CHECK_SKIM("*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n+x\r\n", "26 30 ");
    CHECK_SKIM("*1\r\n|1\r\n+a\r\n*1\r\n:3\r\n|0\r\n:1\r\n", "28 ");
    CHECK_SKIM("|1\r\n+a\r\n:1\r\n>1\r\n:1\r\n", "20> ");
}

TEST(errors) {
    CHECK_SKIM("x", "error");
    CHECK_SKIM("+OK\r\n\r\n", "5 error");
    CHECK_SKIM("+OK\n", "error");
    CHECK_SKIM("$\r\n", "error");
    CHECK_SKIM("$a\r\n", "error");
    CHECK_SKIM("$-2\r\n", "error");
    CHECK_SKIM("%-1\r\n", "error");
    CHECK_SKIM("$99999999999999999999\r\n", "error");
    CHECK_SKIM("*9999999999999999999\r\n", "error");
    CHECK_SKIM("%4611686018427387904\r\n", "error");
    CHECK_SKIM("*4611686018427387903\r\n:1\r\n", "...");
    CHECK_SKIM("$9223372036854775807\r\n", "...");
    CHECK_SKIM("$1111111111111111111111111111111111111", "error");
    CHECK_SKIM("*?\r\n", "error");
}

TEST(depth) {
    struct buf b = {0};
    for (int i = 0; i < RESP_SKIM_DEPTH_MAX; i++) buf_add_str(&b, "*2\r\n");
    for (int i = 0; i <= RESP_SKIM_DEPTH_MAX; i++) buf_add_str(&b, ":1\r\n");
    struct guard guard = guard_make(b.len + 8);
    char want[32];
    snprintf(want, sizeof want, "%zu ", b.len);
    EXPECT_EQ_STR(skim(buf_slice(&b), 7, &guard), want);
    buf_clear(&b);
    for (int i = 0; i <= RESP_SKIM_DEPTH_MAX; i++) buf_add_str(&b, "*2\r\n");
    EXPECT_EQ_STR(skim(buf_slice(&b), 7, &guard), "error");
    guard_free(&guard);
    buf_free(&b);
}

/* What a script returns that refers to itself: the last element costs no depth, but an attribute's value ends none. */
TEST(last_elements_nest_as_deep_as_they_like) {
    struct buf b = {0};
    for (int i = 0; i < 8000; i++) buf_add_str(&b, i % 2 == 0 ? "*1\r\n" : "*2\r\n:1\r\n");
    buf_add_str(&b, "-ERR so deep\r\n");
    struct guard guard = guard_make(b.len + 64);
    char want[32];
    snprintf(want, sizeof want, "%zu ", b.len);
    EXPECT_EQ_STR(skim(buf_slice(&b), 7, &guard), want);
    buf_clear(&b);
    buf_add_str(&b, "*1\r\n|1\r\n+a\r\n*1\r\n:1\r\n*1\r\n:2\r\n");
    snprintf(want, sizeof want, "%zu ", b.len);
    EXPECT_EQ_STR(skim(buf_slice(&b), 7, &guard), want);
    guard_free(&guard);
    buf_free(&b);
}

/* A gigabyte passes without being kept. */
TEST(large_bulk_in_pieces) {
    static char piece[1 << 16];
    struct resp_skim s = {0};
    size_t consumed, left = (size_t)1 << 30;
    EXPECT_EQ_INT(resp_skim(&s, SLICE("*2\r\n$1073741824\r\n"), &consumed), RESP_SKIM_MORE);
    for (; left > 0; left -= sizeof piece) {
        EXPECT_EQ_INT(resp_skim(&s, slice_make(piece, sizeof piece), &consumed), RESP_SKIM_MORE);
        EXPECT_EQ_INT(consumed, sizeof piece);
    }
    EXPECT_EQ_INT(resp_skim(&s, SLICE("\r\n:1\r\n+"), &consumed), RESP_SKIM_REPLY);
    EXPECT_EQ_INT(consumed, 6);
}

static void add_random_value(struct buf *b, struct rng *rng, int depth) {
    static const char types[] = "+-:$_#,!=(*%~>|";
    char type = types[rng_below(rng, depth > 3 ? 10 : 15)];
    uint64_t n = rng_below(rng, 4);
    switch (type) {
    case '+':
    case '-': buf_printf(b, "%c%.*s\r\n", type, (int)n, "text"); break;
    case ':':
    case ',':
    case '(': buf_printf(b, "%c%d\r\n", type, (int)rng_below(rng, 1000)); break;
    case '#': buf_add_str(b, "#f\r\n"); break;
    case '_': buf_add_str(b, "_\r\n"); break;
    case '$':
    case '!':
    case '=': buf_printf(b, "%c%d\r\n%.*s\r\n", type, (int)n, (int)n, "\r\n*"); break;
    default:
        buf_printf(b, "%c%d\r\n", type, (int)n);
        for (uint64_t i = 0; i < (type == '%' || type == '|' ? 2 * n : n); i++)
            add_random_value(b, rng, depth + 1);
        if (type == '|') add_random_value(b, rng, depth);
        break;
    }
}

/* Where resp_read sees values end (a top-level attribute is a value of its own there). */
TEST(random_streams_end_where_resp_read_says) {
    struct rng rng = {test_seed()};
    struct buf b = {0};
    for (int round = 0; round < 1000; round++) {
        buf_clear(&b);
        for (uint64_t i = 0, n = 1 + rng_below(&rng, 5); i < n && b.len < 3000; i++)
            add_random_value(&b, &rng, 0);
        if (b.len > 3000) continue;
        char want[4096];
        int len = 0;
        struct arena arena = {0};
        for (size_t at = 0; at < b.len;) {
            struct resp_value v;
            size_t consumed = 0;
            EXPECT_EQ_INT(resp_read(slice_make(b.data + at, b.len - at), &arena, &v, &consumed),
                          RESP_READ_VALUE);
            at += consumed;
            if (v.type != '|')
                len +=
                    snprintf(want + len, sizeof want - (size_t)len, "%zu%s ", at, v.type == '>' ? ">" : "");
        }
        arena_free(&arena);
        check_skim(b.data, b.len, want);
    }
    buf_free(&b);
}

TEST_MAIN
