/* Bytes that end where memory ends: reading one too many stops the test with a fault, in any build. */
#ifndef TESTS_GUARD_H
#define TESTS_GUARD_H

#include "slice.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
    char *pages;
    size_t size; /* of the readable part; one page without any access follows */
};

__attribute__((unused)) static struct guard guard_make(size_t size_min) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (size_min + page - 1) / page * page;
    if (size == 0) size = page;
    char *p = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + size, page, PROT_NONE) != 0) abort();
    return (struct guard){.pages = p, .size = size};
}

__attribute__((unused)) static void guard_free(struct guard *g) {
    munmap(g->pages, g->size + (size_t)sysconf(_SC_PAGESIZE));
    *g = (struct guard){0};
}

/* A copy of `bytes` whose last byte is the last readable one. What was there before is wiped. */
__attribute__((unused)) static struct slice guard_put(struct guard *g, struct slice bytes) {
    if (bytes.len > g->size) abort();
    char *at = g->pages + g->size - bytes.len;
    memset(g->pages, '#', g->size - bytes.len);
    if (bytes.len != 0) memcpy(at, bytes.data, bytes.len);
    return slice_make(at, bytes.len);
}

#endif
