/* Replies: whatever arrives is a value, an error, or wants more; a value's shorter prefixes all want more, and
 * every slice of its tree can be read. */
#include "resp_read.h"

#include "check.h"
#include "fuzz.h"

static void walk(const struct resp_value *v) {
    fuzz_touch(v->text);
    for (size_t i = 0; i < v->count; i++) walk(&v->items[i]);
}

static enum resp_read_status read_exact(const uint8_t *data, size_t size, size_t *consumed) {
    struct arena arena = {0};
    struct resp_value v;
    char *copy = fuzz_exact_copy(data, size);
    enum resp_read_status status = resp_read(slice_make(copy, size), &arena, &v, consumed);
    if (status == RESP_READ_VALUE) walk(&v);
    arena_free(&arena);
    mem_free(copy);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t consumed = 0, ignored;
    if (read_exact(data, size, &consumed) != RESP_READ_VALUE) return 0;
    CHECK(consumed > 0 && consumed <= size);
    /* All prefixes of short values, some of long ones. */
    size_t stride = 1 + consumed / 64;
    for (size_t len = 0; len < consumed; len += stride) {
        CHECK(read_exact(data, len, &ignored) == RESP_READ_MORE);
    }
    CHECK(read_exact(data, consumed, &ignored) == RESP_READ_VALUE);
    return 0;
}
