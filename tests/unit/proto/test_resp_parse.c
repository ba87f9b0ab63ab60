/* Requests: what each sequence of bytes means, however the network cuts it and wherever the buffer lies. */
#include "resp_parse.h"

#include "test.h"

#include "guard.h"
#include "rng.h"

static const struct resp_limits ordinary = {.bulk_len_max = 512 * 1024 * 1024,
                                            .arg_count_max = INT32_MAX,
                                            .unauthenticated_bulk_len_max = 16384,
                                            .authenticated = true};

/* Spells outcomes: the words of a command, quoted where bare words would mislead; " | " between outcomes. */
static void spell_word(struct buf *out, struct slice word) {
    bool bare = word.len > 0;
    for (size_t i = 0; i < word.len; i++) bare = bare && word.data[i] > ' ' && word.data[i] <= '~';
    if (bare) {
        buf_add_slice(out, word);
        return;
    }
    buf_add_str(out, "'");
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.data[i];
        if (c >= ' ' && c <= '~') {
            buf_add_byte(out, c);
        } else {
            buf_printf(out, "\\x%02x", c);
        }
    }
    buf_add_str(out, "'");
}

static void spell_command(struct buf *out, const struct resp_parser *p) {
    if (p->argc == 0) buf_add_str(out, "(none)");
    for (int i = 0; i < p->argc; i++) {
        if (i > 0) buf_add_str(out, " ");
        spell_word(out, p->argv[i]);
    }
}

/* A connection as the server keeps it: the unconsumed bytes, moved to another place before every call. */
struct session {
    struct resp_parser parser;
    struct resp_limits limits;
    struct buf pending;
    struct buf spelled;
    struct guard guards[2];
    int guard_in_use;
    enum resp_status last;
};

static void session_begin(struct session *s, const struct resp_limits *limits, size_t size_max) {
    *s = (struct session){.limits = *limits, .last = RESP_MORE};
    resp_parser_init(&s->parser);
    s->guards[0] = guard_make(size_max);
    s->guards[1] = guard_make(size_max);
}

static void session_end(struct session *s) {
    resp_parser_free(&s->parser);
    buf_free(&s->pending);
    buf_free(&s->spelled);
    guard_free(&s->guards[0]);
    guard_free(&s->guards[1]);
}

static void session_feed(struct session *s, struct slice bytes) {
    buf_add_slice(&s->pending, bytes);
    while (s->last != RESP_ERROR) {
        s->guard_in_use ^= 1;
        struct slice input = guard_put(&s->guards[s->guard_in_use], buf_slice(&s->pending));
        size_t consumed = 12345;
        s->last = resp_parse(&s->parser, &s->limits, input, &consumed);
        EXPECT(consumed <= input.len);
        if (s->last == RESP_MORE) {
            EXPECT_EQ_INT(consumed, 0);
            EXPECT(s->parser.wanted > input.len);
            return;
        }
        if (s->spelled.len > 0) buf_add_str(&s->spelled, " | ");
        if (s->last == RESP_ERROR) {
            EXPECT_EQ_INT(consumed, 0);
            buf_printf(&s->spelled, "error: %s", s->parser.error);
            return;
        }
        EXPECT(consumed > 0);
        spell_command(&s->spelled, &s->parser);
        buf_drop(&s->pending, consumed);
    }
}

/* Unfinished bytes at the end show as "more". */
static void session_check(struct session *s, const char *want) {
    if (s->last == RESP_MORE && s->pending.len > 0) {
        if (s->spelled.len > 0) buf_add_str(&s->spelled, " | ");
        buf_add_str(&s->spelled, "more");
    }
    EXPECT_EQ_BYTES(s->spelled.data, s->spelled.len, want, strlen(want));
}

static void check_cut(struct slice input, const struct resp_limits *limits, size_t first, size_t step,
                      const char *want) {
    struct session s;
    session_begin(&s, limits, input.len);
    session_feed(&s, slice_make(input.data, first));
    for (size_t at = first; at < input.len; at += step) {
        session_feed(&s, slice_make(input.data + at, input.len - at < step ? input.len - at : step));
    }
    session_check(&s, want);
    session_end(&s);
}

/* Whole, in two parts at every point (of short inputs), and byte by byte. */
static void check_parse_bytes(struct slice input, const struct resp_limits *limits, const char *want) {
    check_cut(input, limits, input.len, 1, want);
    size_t stride = input.len < 2000 ? 1 : input.len / 50;
    for (size_t cut = 0; cut < input.len; cut += stride) check_cut(input, limits, cut, input.len, want);
    check_cut(input, limits, 0, input.len < 2000 ? 1 : 997, want);
}

#define check_parse(literal, want) check_parse_bytes(SLICE(literal), &ordinary, want)

TEST(one_command) {
    check_parse("*1\r\n$4\r\nPING\r\n", "PING");
    check_parse("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n", "SET k value");
    check_parse("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "GET ''");
    check_parse("*2\r\n$4\r\nECHO\r\n$7\r\na\r\n$1\r\n\r\n", "ECHO 'a\\x0d\\x0a$1\\x0d\\x0a'");
    check_parse("*2\r\n$4\r\nECHO\r\n$3\r\n\0*\xff\r\n", "ECHO '\\x00*\\xff'");
    check_parse("*2\r\n$4\r\nECHO\r\n$12\r\nhello, world\r\n", "ECHO 'hello, world'");
}

TEST(nothing_whole_yet) {
    check_parse("", "");
    check_parse("*", "more");
    check_parse("*1", "more");
    check_parse("*1\r", "more");
    check_parse("*1\r\n", "more");
    check_parse("*1\r\n$", "more");
    check_parse("*1\r\n$4\r\nPIN", "more");
    check_parse("*1\r\n$4\r\nPING", "more");
    check_parse("*1\r\n$4\r\nPING\r", "more");
    check_parse("PING", "more");
    check_parse("PING\r", "more");
    /* The type of an argument is judged when its line is whole, as Redis does. */
    check_parse("*1\r\nfoo", "more");
}

TEST(pipelines) {
    check_parse("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n",
                "PING | GET a | PING | QUIT");
    check_parse("*1\r\n$4\r\nPING\r\n*-5\r\n", "PING | (none)");
    check_parse("*1\r\n$4\r\nPING\r\n*1\r\n$-5\r\n*1\r\n$4\r\nPING\r\n",
                "PING | error: Protocol error: invalid bulk length");
    check_parse("*1\r\n$4\r\nPINGxxPING\r\n", "PING | PING"); /* what ends an argument is not looked at */
    check_parse("*1\rx$4\ryPINGzz", "PING");                  /* nor is what follows a carriage return */
}

TEST(nothing_asked) {
    check_parse("\r\n", "(none)");
    check_parse("\n", "(none)");
    check_parse("   \r\n", "(none)");
    check_parse("*0\r\n", "(none)");
    check_parse("*-1\r\n", "(none)");
    check_parse("*-9223372036854775808\r\nPING\r\n", "(none) | PING");
    check_parse("\r\n\r\nPING\r\n", "(none) | (none) | PING");
}

TEST(counts_that_are_wrong) {
    check_parse("*\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*01\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*+1\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*1x\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("* 1\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*-0\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*1\0\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*2147483648\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*9999999999\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*99999999999999999999999\r\n", "error: Protocol error: invalid multibulk length");
    check_parse("*2147483647\r\n", "more");
    check_parse("*1073741824\r\n$1\r\na\r\n", "more");
}

TEST(bulk_lengths_that_are_wrong) {
    check_parse("*1\r\n$\r\n", "error: Protocol error: invalid bulk length");
    check_parse("*1\r\n$-1\r\n", "error: Protocol error: invalid bulk length");
    check_parse("*1\r\n$-5\r\n", "error: Protocol error: invalid bulk length");
    check_parse("*1\r\n$04\r\nPING\r\n", "error: Protocol error: invalid bulk length");
    check_parse("*1\r\n$4 \r\nPING\r\n", "error: Protocol error: invalid bulk length");
    check_parse("*1\r\n$536870912\r\n", "more");
    check_parse("*1\r\n$536870913\r\n", "error: Protocol error: invalid bulk length");
    check_parse("*1\r\n$9223372036854775807\r\n", "error: Protocol error: invalid bulk length");
    check_parse("*1\r\n$18446744073709551616\r\n", "error: Protocol error: invalid bulk length");
    check_parse("*1\r\nfoo\r\n", "error: Protocol error: expected '$', got 'f'");
    check_parse("*2\r\n$3\r\nGET\r\n:1\r\n", "error: Protocol error: expected '$', got ':'");
    check_parse("*1\r\n\xff\r\n", "error: Protocol error: expected '$', got '\xff'");
    check_parse("*1\r\n\r\n", "error: Protocol error: expected '$', got ' '");
}

TEST(the_largest_limits_do_not_overflow) {
    struct resp_limits wide = ordinary;
    wide.bulk_len_max = INT64_MAX;
    check_parse_bytes(SLICE("*1\r\n$9223372036854775807\r\nabc"), &wide, "more");
    check_parse_bytes(SLICE("*1\r\n$9223372036854775808\r\nabc"), &wide,
                      "error: Protocol error: invalid bulk length");
}

TEST(before_authentication) {
    struct resp_limits stranger = ordinary;
    stranger.authenticated = false;
    stranger.arg_count_max = 10;
    check_parse_bytes(SLICE("*10\r\n"), &stranger, "more");
    check_parse_bytes(SLICE("*11\r\n"), &stranger, "error: Protocol error: unauthenticated multibulk length");
    check_parse_bytes(SLICE("*2147483648\r\n"), &stranger, "error: Protocol error: invalid multibulk length");
    check_parse_bytes(SLICE("*1\r\n$16384\r\n"), &stranger, "more");
    check_parse_bytes(SLICE("*1\r\n$16385\r\n"), &stranger,
                      "error: Protocol error: unauthenticated bulk length");
    check_parse_bytes(SLICE("*1\r\n$536870913\r\n"), &stranger, "error: Protocol error: invalid bulk length");
    check_parse_bytes(SLICE("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n"), &stranger, "AUTH x");
    stranger.arg_count_max = 3;
    stranger.authenticated = true;
    check_parse_bytes(SLICE("*4\r\n"), &stranger, "error: Protocol error: invalid multibulk length");
}

/* prefix, then `len` times `fill`, then suffix */
static void check_long(const char *prefix, char fill, size_t len, const char *suffix, const char *want) {
    struct buf input = {0};
    buf_add_str(&input, prefix);
    for (size_t i = 0; i < len; i++) buf_add_byte(&input, (uint8_t)fill);
    buf_add_str(&input, suffix);
    check_parse_bytes(buf_slice(&input), &ordinary, want);
    buf_free(&input);
}

TEST(lines_have_an_end) {
    check_long("*", '1', 65535, "", "more");
    check_long("*", '1', 65535, "\r\n", "error: Protocol error: invalid multibulk length");
    check_long("*", '1', 65536, "", "error: Protocol error: too big mbulk count string");
    check_long("*", '1', 65536, "\r\n", "error: Protocol error: too big mbulk count string");
    check_long("*1\r\n$", '1', 65535, "", "more");
    check_long("*1\r\n$", '1', 65535, "\r\n", "error: Protocol error: invalid bulk length");
    check_long("*1\r\n$", '1', 65536, "", "error: Protocol error: too big bulk count string");
    check_long("*1\r\n", 'x', 65537, "\r\n", "error: Protocol error: too big bulk count string");
    check_long("", ' ', 65536, "", "more");
    check_long("", ' ', 65536, "\n", "(none)");
    check_long("", ' ', 65537, "", "error: Protocol error: too big inline request");
    check_long("", ' ', 65537, "\n", "error: Protocol error: too big inline request");
    /* The limit is each line's own: an argument or an earlier command does not count. */
    check_long("*1\r\n$4\r\nPING\r\n", ' ', 65536, "\n", "PING | (none)");
}

TEST(inline_requests) {
    check_parse("PING\r\n", "PING");
    check_parse("PING\n", "PING");
    check_parse("  PING  \r\n", "PING");
    check_parse("set k v\r\n", "set k v");
    check_parse("set\tk  v \r\n", "set k v");
    check_parse("PING\r\r\n", "PING");
    check_parse("PING \vb\r\n", "PING b");          /* between words any white space counts ... */
    check_parse("PING a\vb\r\n", "PING 'a\\x0bb'"); /* ... but only some of it ends a word */
    check_parse("$4\r\n", "$4");
    check_parse("PING a\0b\r\n", "PING 'a\\x00b'");
}

TEST(inline_quotes) {
    check_parse("PING \"\"\r\n", "PING ''");
    check_parse("PING ''\r\n", "PING ''");
    check_parse("PING 'a b'\r\n", "PING 'a b'");
    check_parse("PING \"a b\" c\r\n", "PING 'a b' c");
    check_parse("PING \"a\\x41\\n\\xzz\"\r\n", "PING 'aA\\x0axzz'");
    check_parse("PING \"\\x0\\x00\\xfF\"\r\n", "PING 'x0\\x00\\xff'");
    check_parse("PING \"\\r\\t\\b\\a\\\\\\\"\\q\"\r\n", "PING '\\x0d\\x09\\x08\\x07\\\"q'");
    check_parse("PING a\"b\"\r\n", "PING ab");
    check_parse("PING 'a\\'b\\n'\r\n", "PING a'b\\n");
    check_parse("PING \"a'b\" 'c\"d'\r\n", "PING a'b c\"d");
    check_parse("PING \"a\"\vb\r\n", "PING a b");
    static const char *const bad[] = {"PING \"a\r\n",     "PING 'a\r\n",    "PING \"a\"b\r\n",
                                      "PING 'a'b\r\n",    "PING a'b'c\r\n", "PING \"a\\\r\n",
                                      "PING \"a\\\"\r\n", "PING 'a\\'\r\n", "PING \"a\"\"b\"\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_parse_bytes(slice_of(bad[i]), &ordinary, "error: Protocol error: unbalanced quotes in request");
    }
}

TEST(split_line_appends_to_the_store) {
    struct buf store = {0};
    struct slice *argv = NULL;
    int cap = 0, argc = 77;
    EXPECT(resp_split_line(SLICE(""), &store, &argv, &cap, &argc));
    EXPECT_EQ_INT(argc, 0);
    buf_add_str(&store, "kept");
    EXPECT(resp_split_line(SLICE("save \"900 1\""), &store, &argv, &cap, &argc));
    EXPECT_EQ_INT(argc, 2);
    EXPECT_EQ_SLICE(argv[0], SLICE("save"));
    EXPECT_EQ_SLICE(argv[1], SLICE("900 1"));
    EXPECT_EQ_SLICE(buf_slice(&store), SLICE("keptsave900 1"));
    EXPECT(!resp_split_line(SLICE("save \""), &store, &argv, &cap, &argc));
    EXPECT_EQ_INT(argc, 2);
    EXPECT_EQ_INT(store.len, 13);
    struct buf many = {0};
    for (int i = 0; i < 1000; i++) buf_add_str(&many, "x ");
    EXPECT(resp_split_line(buf_slice(&many), &store, &argv, &cap, &argc));
    EXPECT_EQ_INT(argc, 1000);
    EXPECT_EQ_SLICE(argv[999], SLICE("x"));
    buf_free(&many);
    buf_free(&store);
    free(argv);
}

/* A random pipeline, randomly cut, reads back as it was written. */
TEST(random_pipelines) {
    struct rng rng = {test_seed()};
    for (int round = 0; round < 300; round++) {
        struct buf wire = {0}, want = {0};
        for (uint64_t n = 1 + rng_below(&rng, 8); n > 0; n--) {
            uint64_t argc = 1 + rng_below(&rng, rng_below(&rng, 10) ? 5 : 100);
            if (want.len > 0) buf_add_str(&want, " | ");
            buf_printf(&wire, "*%d\r\n", (int)argc);
            for (uint64_t i = 0; i < argc; i++) {
                uint64_t len = rng_below(&rng, rng_below(&rng, 10) ? 12 : 3000);
                buf_printf(&wire, "$%d\r\n", (int)len);
                size_t at = wire.len;
                for (uint64_t k = 0; k < len; k++) buf_add_byte(&wire, (uint8_t)rng_next(&rng));
                if (i > 0) buf_add_str(&want, " ");
                spell_word(&want, slice_make(wire.data + at, len));
                buf_add_str(&wire, "\r\n");
            }
        }
        struct session s;
        session_begin(&s, &ordinary, wire.len);
        for (size_t at = 0, part; at < wire.len; at += part) {
            part = 1 + rng_below(&rng, rng_below(&rng, 2) ? 20 : wire.len);
            if (part > wire.len - at) part = wire.len - at;
            session_feed(&s, slice_make(wire.data + at, part));
        }
        EXPECT_EQ_INT(s.pending.len, 0);
        EXPECT_EQ_SLICE(buf_slice(&s.spelled), buf_slice(&want));
        session_end(&s);
        buf_free(&wire);
        buf_free(&want);
    }
}

/* Garbage of the right alphabet: whole and byte by byte must agree, whatever the answer. */
TEST(random_garbage) {
    static const char alphabet[] = "**$$\r\r\n\n0123456789-ab \"'\\x";
    struct rng rng = {test_seed()};
    for (int round = 0; round < 3000; round++) {
        struct buf wire = {0};
        for (uint64_t n = rng_below(&rng, 60); n > 0; n--) {
            switch (rng_below(&rng, 4)) {
            case 0: buf_printf(&wire, "*%d\r\n", (int)rng_below(&rng, 4)); break;
            case 1: buf_printf(&wire, "$%d\r\n", (int)rng_below(&rng, 8)); break;
            default: buf_add_byte(&wire, (uint8_t)alphabet[rng_below(&rng, sizeof alphabet - 1)]);
            }
        }
        struct session whole, split;
        session_begin(&whole, &ordinary, wire.len);
        session_begin(&split, &ordinary, wire.len);
        session_feed(&whole, buf_slice(&wire));
        for (size_t i = 0; i < wire.len; i++) session_feed(&split, slice_make(wire.data + i, 1));
        EXPECT_EQ_INT(whole.last, split.last);
        EXPECT_EQ_SLICE(buf_slice(&split.spelled), buf_slice(&whole.spelled));
        session_end(&whole);
        session_end(&split);
        buf_free(&wire);
    }
}

/* Feeds `wire` a page at a time; every page but the first `readable` ones and the newest two is taken away, so a
 * parser that looked at the same bytes again and again would fault. Returns the status of the last call. */
static enum resp_status trickle(struct resp_parser *p, struct slice wire, size_t readable, bool open_at_end) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guard g = guard_make(wire.len);
    memcpy(g.pages, wire.data, wire.len);
    enum resp_status status = RESP_MORE;
    size_t consumed;
    for (size_t pages = 1; status == RESP_MORE && (pages - 1) * page < wire.len; pages++) {
        if (pages > readable + 2)
            mprotect(g.pages + readable * page, (pages - 2 - readable) * page, PROT_NONE);
        size_t len = pages * page < wire.len ? pages * page : wire.len;
        if (len == wire.len && open_at_end) mprotect(g.pages, g.size, PROT_READ);
        status = resp_parse(p, &ordinary, slice_make(g.pages, len), &consumed);
    }
    if (status == RESP_COMMAND) EXPECT_EQ_INT(consumed, wire.len);
    guard_free(&g);
    return status;
}

TEST(a_huge_argument_is_not_scanned_again) {
    struct buf wire = {0};
    size_t len = 4 * 1024 * 1024;
    buf_printf(&wire, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", len);
    for (size_t i = 0; i < len; i++) buf_add_byte(&wire, 'v');
    buf_add_str(&wire, "\r\n");
    struct resp_parser p;
    resp_parser_init(&p);
    EXPECT_EQ_INT(trickle(&p, buf_slice(&wire), 0, false), RESP_COMMAND);
    EXPECT_EQ_INT(p.argv[2].len, len);
    resp_parser_free(&p);
    buf_free(&wire);
}

TEST(many_arguments_are_not_scanned_again) {
    struct buf wire = {0};
    int argc = 300000;
    buf_printf(&wire, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) buf_printf(&wire, "$1\r\n%c\r\n", 'a' + i % 26);
    struct resp_parser p;
    resp_parser_init(&p);
    EXPECT_EQ_INT(trickle(&p, buf_slice(&wire), 0, false), RESP_COMMAND);
    EXPECT_EQ_INT(p.argc, argc);
    for (int i = 1; i < argc; i++) EXPECT(p.argv[i].data - p.argv[i - 1].data == 7);
    resp_parser_free(&p);
    buf_free(&wire);
}

TEST(a_long_line_is_not_scanned_again) {
    struct buf wire = {0};
    for (int i = 0; i < 60000; i++) buf_add_byte(&wire, 'a');
    buf_add_str(&wire, "\r\n");
    struct resp_parser p;
    resp_parser_init(&p);
    EXPECT_EQ_INT(trickle(&p, buf_slice(&wire), 1, true), RESP_COMMAND);
    EXPECT_EQ_INT(p.argv[0].len, 60000);
    resp_parser_free(&p);
    buf_free(&wire);
}

/* Arguments already read are turned into offsets once, not at every call. */
TEST(waiting_does_not_touch_the_arguments) {
    struct resp_parser p;
    resp_parser_init(&p);
    struct slice wire = SLICE("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\n123456789\r\n");
    size_t consumed;
    for (size_t len = 24; len < wire.len; len++) {
        EXPECT_EQ_INT(resp_parse(&p, &ordinary, slice_make(wire.data, len), &consumed), RESP_MORE);
        EXPECT_EQ_INT(p.argc, 2);
        EXPECT_EQ_INT((uintptr_t)p.argv[0].data, 8);
        EXPECT_EQ_INT((uintptr_t)p.argv[1].data, 17);
        if (len >= 24) EXPECT_EQ_INT(p.wanted, wire.len);
    }
    resp_parser_free(&p);
}

/* A claim is not a reason to allocate. */
TEST(memory_follows_bytes_not_claims) {
    struct resp_parser p;
    resp_parser_init(&p);
    size_t consumed;
    EXPECT_EQ_INT(resp_parse(&p, &ordinary, SLICE("*2147483647\r\n$536870912\r\n"), &consumed), RESP_MORE);
    EXPECT(p.argv_cap <= 16);
    EXPECT(p.store.cap == 0);
    resp_parser_free(&p);
}

TEST(memory_of_a_large_command_is_given_back) {
    struct resp_parser p;
    resp_parser_init(&p);
    struct buf wire = {0};
    buf_add_str(&wire, "*100000\r\n");
    for (int i = 0; i < 100000; i++) buf_add_str(&wire, "$0\r\n\r\n");
    size_t consumed;
    EXPECT_EQ_INT(resp_parse(&p, &ordinary, buf_slice(&wire), &consumed), RESP_COMMAND);
    EXPECT(p.argv_cap >= 100000);
    EXPECT_EQ_INT(resp_parse(&p, &ordinary, SLICE("*1\r\n$4\r\nPING\r\n"), &consumed), RESP_COMMAND);
    EXPECT(p.argv_cap <= 1024);
    resp_parser_free(&p);
    buf_free(&wire);
}

/* The words a look ahead finds, with " | " between them. */
static const char *peeked(struct slice wire, size_t max) {
    static char text[200];
    struct slice words[8];
    struct buf out = {0};
    size_t count = resp_peek(wire, words, max);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buf_add_str(&out, " | ");
        buf_add_slice(&out, words[i]);
    }
    snprintf(text, sizeof text, "%zu: %.*s", count, (int)out.len, out.len > 0 ? out.data : "");
    buf_free(&out);
    return text;
}

TEST(a_look_ahead_finds_the_second_words_of_whole_plain_commands) {
    struct slice two =
        SLICE("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$12\r\nlonger\r\nname\r\n$0\r\n\r\n");
    EXPECT_EQ_STR(peeked(two, 8), "2: a | longer\r\nname");
    EXPECT_EQ_STR(peeked(two, 1), "1: a");
    for (size_t cut = 1; cut <= 22; cut++)
        EXPECT_EQ_STR(peeked(slice_make(two.data, two.len - cut), 8), "1: a");
    EXPECT_EQ_STR(peeked(SLICE(""), 8), "0: ");
    EXPECT_EQ_STR(peeked(SLICE("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"), 8), "2:  | b");
    EXPECT_EQ_STR(peeked(SLICE("GET a\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"), 8), "0: ");
    EXPECT_EQ_STR(peeked(SLICE("*0\r\n"), 8), "0: ");
    EXPECT_EQ_STR(peeked(SLICE("*2\r\n$3\r\nGET\r\n$-1\r\n"), 8), "0: ");
    EXPECT_EQ_STR(peeked(SLICE("*2\r\n$3\r\nGET\r\n$999999999\r\na\r\n"), 8), "0: ");
    EXPECT_EQ_STR(peeked(SLICE("*65\r\n$3\r\nDEL\r\n$1\r\na\r\n"), 8), "0: ");
}

TEST_MAIN
