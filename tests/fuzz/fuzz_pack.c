/* Packs and intsets of strangers: refused, or walked from both ends within their bytes, and changed without harm. The first
 * byte chooses which. */
#include "intset.h"
#include "pack.h"

#include "check.h"
#include "fuzz.h"

static size_t walk(struct slice p) {
    char scratch[NUM_I64_MAX_LEN];
    size_t count = 0;
    for (size_t at = pack_first(p); at != 0; at = pack_next(p, at)) {
        fuzz_touch(pack_get_text(p, at, scratch));
        struct pack_value v = pack_get(p, at);
        CHECK(pack_is(p, at, &v));
        CHECK(pack_find(p, pack_first(p), &v, 1) != 0);
        CHECK(pack_seek(p, (int64_t)count) == at);
        count++;
    }
    return count;
}

static size_t walk_back(struct slice p) {
    size_t count = 0;
    for (size_t at = pack_last(p); at != 0; at = pack_prev(p, at)) {
        fuzz_touch(pack_get(p, at).text);
        count++;
    }
    return count;
}

/* Taken apart in the middle, made canonical, and put together again. */
static void change(struct slice p, size_t count) {
    struct buf a = {0}, b = {0};
    char scratch[NUM_I64_MAX_LEN];
    pack_begin(&a);
    pack_begin(&b);
    for (size_t at = pack_first(p); at != 0; at = pack_next(p, at))
        pack_append(&a, pack_text(pack_get_text(p, at, scratch)));
    size_t len = a.len, middle = pack_seek(buf_slice(&a), (int64_t)(count / 2));
    pack_move_tail(&a, middle, &b);
    pack_join(&a, &b);
    CHECK(a.len == len && pack_valid(buf_slice(&a), NULL));
    while (pack_count(buf_slice(&a)) > 0) pack_remove(&a, pack_last(buf_slice(&a)), 1);
    buf_free(&a);
    buf_free(&b);
}

static void try_pack(struct slice p) {
    size_t count = 0;
    if (!pack_valid(p, &count)) return;
    CHECK(walk(p) == count && walk_back(p) == count && pack_count(p) == count);
    change(p, count);
}

static void try_intset(struct slice s) {
    if (!intset_valid(s)) return;
    struct buf again = {0};
    intset_begin(&again);
    for (size_t i = 0; i < intset_count(s); i++) {
        size_t at;
        CHECK(intset_add(&again, intset_at(s, i)));
        CHECK(intset_find(s, intset_at(s, i), &at) && at == i);
    }
    CHECK(intset_count(buf_slice(&again)) == intset_count(s));
    for (size_t i = 0; i < intset_count(s); i++) CHECK(intset_remove(&again, intset_at(s, i)));
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    char *copy = fuzz_exact_copy(data + 1, size - 1);
    struct slice bytes = slice_make(copy, size - 1);
    if (data[0] & 1)
        try_intset(bytes);
    else
        try_pack(bytes);
    mem_free(copy);
    return 0;
}
