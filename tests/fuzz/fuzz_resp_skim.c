/* Replies, skimmed: cut anywhere, the stream has the same ends; and what resp_read takes ends where it says. The first
 * byte chooses the cuts. */
#include "resp_skim.h"

#include "buf.h"
#include "check.h"
#include "fuzz.h"
#include "resp_read.h"
#include "rng.h"

/* The places where something ended, as bytes that can be compared. */
static struct buf run(struct slice wire, size_t part_max, uint64_t seed, bool *failed) {
    struct buf ends = {0};
    struct resp_skim s = {0};
    struct rng rng = {seed};
    *failed = false;
    for (size_t at = 0; at < wire.len && !*failed;) {
        size_t part = part_max == 0 ? wire.len : 1 + rng_below(&rng, part_max), consumed = 0;
        if (part > wire.len - at) part = wire.len - at;
        char *copy = fuzz_exact_copy(wire.data + at, part);
        enum resp_skim_status status = resp_skim(&s, slice_make(copy, part), &consumed);
        mem_free(copy);
        *failed = status == RESP_SKIM_ERROR;
        if (*failed) break;
        CHECK(consumed > 0 && consumed <= part);
        if (status == RESP_SKIM_MORE) CHECK(consumed == part);
        at += consumed;
        if (status != RESP_SKIM_MORE) buf_printf(&ends, "%zu %d\n", at, (int)status);
    }
    return ends;
}

static void compare_with_reader(struct slice wire) {
    struct arena arena = {0};
    struct resp_value v;
    size_t want = 0, got = 0;
    enum resp_read_status status = resp_read(wire, &arena, &v, &want);
    if (status == RESP_READ_VALUE && v.type != '|') {
        struct resp_skim s = {0};
        CHECK(resp_skim(&s, wire, &got) == (v.type == '>' ? RESP_SKIM_PUSH : RESP_SKIM_REPLY));
        CHECK(got == want);
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    struct slice wire = slice_make((const char *)data + 1, size - 1);
    bool whole_failed, cut_failed;
    struct buf whole = run(wire, 0, 0, &whole_failed);
    struct buf cut = run(wire, 1 + (data[0] & 63u), data[0], &cut_failed);
    CHECK(whole_failed == cut_failed);
    CHECK(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    buf_free(&whole);
    buf_free(&cut);
    compare_with_reader(wire);
    return 0;
}
