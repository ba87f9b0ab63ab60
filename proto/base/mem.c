/* See mem.h. jemalloc stands behind malloc when the server is linked with it; sanitizer builds keep the
 * sanitizer's own allocator, and both answer malloc_usable_size. */
#include "mem.h"

#include "check.h"

#include <malloc.h>
#include <stdlib.h>

void *mem_alloc(size_t size) {
    void *p = malloc(size ? size : 1);
    CHECK(p != NULL);
    return p;
}

void *mem_calloc(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size ? size : 1);
    CHECK(p != NULL);
    return p;
}

void *mem_realloc(void *old, size_t size) {
    void *p = realloc(old, size ? size : 1);
    CHECK(p != NULL);
    return p;
}

void mem_free(void *p) {
    free(p);
}

size_t mem_size(const void *p) {
    return p ? malloc_usable_size((void *)(size_t)p) : 0;
}
