/* Allocation that cannot fail: a node without memory stops at once instead of limping on half-applied. The
 * total in use is asked of the allocator (server/node), not counted here. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull));
void mem_free(void *p);

/* The bytes the allocator really set aside for p: what a memory budget must count. */
size_t mem_size(const void *p);

#endif
