/* What every fuzz target shares. A target is one file with LLVMFuzzerTestOneInput; it is built twice: with
 * libFuzzer (REDRAFT_FUZZ, clang), and with replay.c, which runs the corpus once in any build. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "mem.h"
#include "slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy with nothing behind it, so that the sanitizer sees the first byte too many. Free it with mem_free. */
__attribute__((unused)) static char *fuzz_exact_copy(const void *data, size_t len) {
    char *copy = mem_alloc(len);
    if (len != 0) memcpy(copy, data, len);
    return copy;
}

/* Reads every byte of a slice. */
__attribute__((unused)) static void fuzz_touch(struct slice s) {
    static volatile char sink;
    (void)sink;
    for (size_t i = 0; i < s.len; i++) sink = s.data[i];
}

#endif
