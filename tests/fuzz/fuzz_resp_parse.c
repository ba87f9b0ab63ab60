/* Requests: cut anywhere, the stream must mean what it means whole; what was understood, written out again in
 * canonical form, must be understood alike. The first two bytes choose the limits and the cuts. */
#include "resp_parse.h"

#include "check.h"
#include "fuzz.h"
#include "rng.h"

/* One connection's worth of outcomes, as bytes that can be compared. */
struct transcript {
    struct buf outcomes;
    struct buf canonical; /* the commands, written out again */
    enum resp_status last;
};

static void note_command(struct transcript *t, const struct resp_parser *p, struct slice input) {
    buf_printf(&t->outcomes, "command %d\n", p->argc);
    if (p->argc > 0) buf_printf(&t->canonical, "*%d\r\n", p->argc);
    for (int i = 0; i < p->argc; i++) {
        struct slice arg = p->argv[i];
        bool in_input = arg.data >= input.data && arg.data + arg.len <= input.data + input.len;
        bool in_store =
            p->store.data && arg.data >= p->store.data && arg.data + arg.len <= p->store.data + p->store.len;
        CHECK(in_input || in_store);
        buf_printf(&t->outcomes, "%zu:", arg.len);
        buf_add_slice(&t->outcomes, arg);
        buf_printf(&t->canonical, "$%zu\r\n", arg.len);
        buf_add_slice(&t->canonical, arg);
        buf_add_str(&t->canonical, "\r\n");
    }
}

/* Feeds the stream in parts of 1 to `part_max` bytes, or all at once with 0. */
static struct transcript run(struct slice wire, const struct resp_limits *limits, size_t part_max,
                             uint64_t seed) {
    struct transcript t = {.last = RESP_MORE};
    struct rng rng = {seed};
    struct resp_parser p;
    resp_parser_init(&p);
    size_t start = 0, end = 0;
    while (t.last != RESP_ERROR && (t.last == RESP_COMMAND || end < wire.len)) {
        if (t.last == RESP_MORE) {
            size_t part = part_max == 0 ? wire.len : 1 + rng_below(&rng, part_max);
            end = wire.len - end < part ? wire.len : end + part;
        }
        struct slice input = slice_make(fuzz_exact_copy(wire.data + start, end - start), end - start);
        size_t consumed = 0;
        t.last = resp_parse(&p, limits, input, &consumed);
        CHECK(consumed <= input.len);
        CHECK((consumed > 0) == (t.last == RESP_COMMAND));
        if (t.last == RESP_COMMAND) note_command(&t, &p, input);
        if (t.last == RESP_ERROR) buf_printf(&t.outcomes, "error %s\n", p.error);
        if (t.last == RESP_MORE) CHECK(p.wanted > input.len);
        start += consumed;
        mem_free((void *)(uintptr_t)input.data);
    }
    resp_parser_free(&p);
    return t;
}

static void transcript_free(struct transcript *t) {
    buf_free(&t->outcomes);
    buf_free(&t->canonical);
}

/* What a look ahead says is coming comes. */
static void peek(struct slice wire, const struct resp_limits *limits) {
    enum { WORDS = 16 };
    struct slice words[WORDS];
    char *copy = fuzz_exact_copy(wire.data, wire.len);
    struct slice input = slice_make(copy, wire.len);
    size_t count = resp_peek(input, words, WORDS), consumed = 0;
    struct resp_parser p;
    resp_parser_init(&p);
    for (size_t i = 0; i < count; i++) {
        input = slice_make(input.data + consumed, input.len - consumed);
        CHECK(resp_parse(&p, limits, input, &consumed) == RESP_COMMAND);
        CHECK(slice_eq(words[i], p.argc > 1 ? p.argv[1] : SLICE("")));
    }
    resp_parser_free(&p);
    mem_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    struct resp_limits limits = {.bulk_len_max = data[0] & 1 ? 100 : 512 * 1024 * 1024,
                                 .arg_count_max = data[0] & 2 ? 10 : INT32_MAX,
                                 .unauthenticated_bulk_len_max = data[0] & 4 ? 50 : 16384,
                                 .authenticated = !(data[0] & 8)};
    struct slice wire = slice_make((const char *)data + 2, size - 2);

    struct transcript whole = run(wire, &limits, 0, 0);
    struct transcript cut = run(wire, &limits, 1 + (data[1] & 63u), data[1]);
    CHECK(whole.last == cut.last);
    CHECK(slice_eq(buf_slice(&whole.outcomes), buf_slice(&cut.outcomes)));
    transcript_free(&cut);

    struct resp_limits generous = {
        .bulk_len_max = INT64_MAX, .arg_count_max = INT32_MAX, .authenticated = true};
    peek(wire, &generous);
    struct slice canonical = buf_slice(&whole.canonical);
    if (canonical.len > 0) {
        struct transcript again = run(canonical, &generous, 0, 0);
        CHECK(again.last == RESP_MORE);
        CHECK(slice_eq(buf_slice(&again.canonical), canonical));
        transcript_free(&again);
    }
    transcript_free(&whole);
    return 0;
}
