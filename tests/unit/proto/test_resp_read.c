/* Replies read back: the tree of each kind, every truncation, what is refused, and the round trip with the writer. */
#include "resp_read.h"

#include "test.h"

#include "guard.h"
#include "resp_write.h"
#include "rng.h"

#include <math.h>

/* Spells a tree: type byte, then text or (elements). */
static void spell(struct buf *out, const struct resp_value *v) {
    buf_add_byte(out, (uint8_t)v->type);
    if (v->is_null) {
        buf_add_str(out, "null");
    } else if (strchr("*%~|>", v->type)) {
        buf_add_str(out, "(");
        for (size_t i = 0; i < v->count; i++) {
            if (i > 0) buf_add_str(out, " ");
            spell(out, &v->items[i]);
        }
        buf_add_str(out, ")");
    } else if (v->type == ':') {
        buf_printf(out, "%" PRId64, v->integer);
    } else if (v->type == '#') {
        buf_add_str(out, v->integer ? "true" : "false");
    } else {
        buf_add_slice(out, v->text);
    }
}

/* The value ends where `input` does; each shorter input wants more, with bytes behind it nothing changes. */
static void check_read_bytes(struct slice input, const char *want) {
    struct arena arena = {0};
    struct guard guard = guard_make(input.len + 1);
    struct resp_value v;
    struct buf got = {0};
    for (size_t len = 0; len < input.len; len++) {
        size_t consumed = 777;
        struct slice part = guard_put(&guard, slice_make(input.data, len));
        EXPECT_NOTE(resp_read(part, &arena, &v, &consumed) == RESP_READ_MORE, "%zu bytes", len);
        EXPECT_EQ_INT(consumed, 777);
    }
    for (size_t extra = 0; extra < 2; extra++) {
        struct buf longer = {0};
        buf_add_slice(&longer, input);
        if (extra) buf_add_str(&longer, "?");
        size_t consumed = 0;
        EXPECT_EQ_INT(resp_read(guard_put(&guard, buf_slice(&longer)), &arena, &v, &consumed),
                      RESP_READ_VALUE);
        EXPECT_EQ_INT(consumed, input.len);
        buf_clear(&got);
        spell(&got, &v);
        EXPECT_EQ_BYTES(got.data, got.len, want, strlen(want));
        buf_free(&longer);
    }
    buf_free(&got);
    guard_free(&guard);
    arena_free(&arena);
}
#define check_read(literal, want) check_read_bytes(SLICE(literal), want)

TEST(scalars) {
    check_read("+OK\r\n", "+OK");
    check_read("+\r\n", "+");
    check_read("-ERR no\r\n", "-ERR no");
    check_read(":0\r\n", ":0");
    check_read(":-9223372036854775808\r\n", ":-9223372036854775808");
    check_read("$5\r\na\r\nbc\r\n", "$a\r\nbc");
    check_read("$0\r\n\r\n", "$");
    check_read("$-1\r\n", "$null");
    check_read("*-1\r\n", "*null");
    check_read("_\r\n", "_null");
    check_read(",3.25\r\n", ",3.25");
    check_read(",inf\r\n", ",inf");
    check_read(",nan\r\n", ",nan");
    check_read("#t\r\n", "#true");
    check_read("#f\r\n", "#false");
    check_read("(-12345678901234567890\r\n", "(-12345678901234567890");
    check_read("=7\r\ntxt:abc\r\n", "=txt:abc");
    check_read("!5\r\nERR x\r\n", "!ERR x");
}

TEST(aggregates) {
    check_read("*0\r\n", "*()");
    check_read("*2\r\n:1\r\n*1\r\n$1\r\na\r\n", "*(:1 *($a))");
    check_read("%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n", "%(+k ~(:1 :2))");
    check_read(">2\r\n+message\r\n_\r\n", ">(+message _null)");
    check_read("|1\r\n+ttl\r\n:5\r\n", "|(+ttl :5)");
    /* Inside an aggregate an attribute is not an element. */
    check_read("*2\r\n|1\r\n+ttl\r\n:5\r\n:1\r\n:2\r\n", "*(:1 :2)");
}

static void check_refused(struct slice input) {
    struct arena arena = {0};
    struct guard guard = guard_make(input.len);
    struct resp_value v;
    size_t consumed;
    enum resp_read_status status = resp_read(guard_put(&guard, input), &arena, &v, &consumed);
    if (status != RESP_READ_ERROR) test_print_bytes("input", input.data, input.len);
    EXPECT_EQ_INT(status, RESP_READ_ERROR);
    guard_free(&guard);
    arena_free(&arena);
}

TEST(refused) {
    static const char *const bad[] = {
        "?",        "\r\n",    "PING\r\n",       "+OK\n",         ":\r\n",       ":x\r\n",
        ":1.5\r\n", "$-2\r\n", "$x\r\n",         "$?\r\n",        "*-2\r\n",     "%-1\r\n",
        "~-1\r\n",  ">-1\r\n", "|-1\r\n",        "=-1\r\n",       "!-1\r\n",     "_x\r\n",
        "#\r\n",    "#x\r\n",  "#tt\r\n",        ",\r\n",         ",x\r\n",      "(\r\n",
        "(-\r\n",   "(1x\r\n", "$3\r\nabcd\r\n", "$3\r\nabc\n\n", "*1\r\n?\r\n", "*2\r\n:1\r\n?\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check_refused(slice_of(bad[i]));
}

TEST(depth_has_a_bound) {
    struct buf deep = {0};
    for (int i = 0; i < 100; i++) buf_add_str(&deep, "*1\r\n");
    struct arena arena = {0};
    struct resp_value v;
    size_t consumed;
    EXPECT_EQ_INT(resp_read(buf_slice(&deep), &arena, &v, &consumed), RESP_READ_MORE);
    for (int i = 0; i < 1000000; i++) buf_add_str(&deep, "*1\r\n");
    EXPECT_EQ_INT(resp_read(buf_slice(&deep), &arena, &v, &consumed), RESP_READ_ERROR);
    buf_free(&deep);
    arena_free(&arena);
}

/* A count is not a reason to allocate. */
TEST(memory_follows_bytes_not_claims) {
    struct arena arena = {0};
    struct resp_value v;
    size_t consumed;
    EXPECT_EQ_INT(resp_read(SLICE("*9223372036854775\r\n:1\r\n"), &arena, &v, &consumed), RESP_READ_MORE);
    EXPECT_EQ_INT(resp_read(SLICE("%4611686018427387903\r\n"), &arena, &v, &consumed), RESP_READ_MORE);
    EXPECT_EQ_INT(resp_read(SLICE("%4611686018427387904\r\n"), &arena, &v, &consumed), RESP_READ_ERROR);
    EXPECT_EQ_INT(resp_read(SLICE("$9223372036854775807\r\nabc"), &arena, &v, &consumed), RESP_READ_MORE);
    EXPECT(arena.current == NULL);
    arena_free(&arena);
}

/* Writes a random value and what the reader should make of it. */
static void write_random(struct rng *rng, struct reply *r, struct buf *want, int depth) {
    size_t n = rng_below(rng, 4);
    switch (rng_below(rng, depth < 4 ? 11 : 7)) {
    case 0:
        reply_ok(r);
        buf_add_str(want, "+OK");
        return;
    case 1: {
        int64_t v = (int64_t)(rng_next(rng) >> rng_below(rng, 64));
        reply_int(r, v);
        buf_printf(want, ":%" PRId64, v);
        return;
    }
    case 2: {
        char bytes[40];
        size_t len = rng_below(rng, sizeof bytes);
        for (size_t i = 0; i < len; i++) bytes[i] = (char)rng_next(rng);
        reply_bulk(r, slice_make(bytes, len));
        buf_add_str(want, "$");
        buf_add(want, bytes, len);
        return;
    }
    case 3:
        reply_null(r);
        buf_add_str(want, r->resp == 2 ? "$null" : "_null");
        return;
    case 4:
        reply_double(r, 1.5 * (double)n);
        buf_printf(want, "%c%.17g", r->resp == 2 ? '$' : ',', 1.5 * (double)n);
        return;
    case 5:
        reply_bool(r, n != 0);
        buf_add_str(want, r->resp == 2 ? (n ? ":1" : ":0") : (n ? "#true" : "#false"));
        return;
    case 6:
        reply_verbatim(r, "txt", SLICE("abc"));
        buf_add_str(want, r->resp == 2 ? "$abc" : "=txt:abc");
        return;
    case 7:
        reply_array(r, n);
        buf_add_str(want, "*(");
        break;
    case 8:
        reply_set(r, n);
        buf_add_str(want, r->resp == 2 ? "*(" : "~(");
        break;
    case 9:
        reply_map(r, n);
        buf_add_str(want, r->resp == 2 ? "*(" : "%(");
        n *= 2;
        break;
    default:
        reply_push(r, n);
        buf_add_str(want, r->resp == 2 ? "*(" : ">(");
        break;
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0) buf_add_str(want, " ");
        write_random(rng, r, want, depth + 1);
    }
    buf_add_str(want, ")");
}

TEST(round_trip_with_the_writer) {
    struct rng rng = {test_seed()};
    for (int round = 0; round < 500; round++) {
        struct buf out = {0}, want = {0}, got = {0};
        struct reply r;
        reply_init(&r, &out, 2 + round % 2);
        write_random(&rng, &r, &want, 0);
        struct arena arena = {0};
        struct resp_value v;
        size_t consumed = 0;
        EXPECT_EQ_INT(resp_read(buf_slice(&out), &arena, &v, &consumed), RESP_READ_VALUE);
        EXPECT_EQ_INT(consumed, out.len);
        spell(&got, &v);
        EXPECT_EQ_SLICE(buf_slice(&got), buf_slice(&want));
        for (size_t len = 0; len < out.len; len++) {
            EXPECT_EQ_INT(resp_read(slice_make(out.data, len), &arena, &v, &consumed), RESP_READ_MORE);
        }
        arena_free(&arena);
        buf_free(&out);
        buf_free(&want);
        buf_free(&got);
    }
}

TEST_MAIN
