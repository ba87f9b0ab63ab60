/* See arena.h: a list of blocks, bumped through. */
#include "arena.h"

#include "mem.h"

enum { ARENA_BLOCK_SIZE = 16 * 1024, ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *older;
    size_t cap;
    _Alignas(ARENA_ALIGN) char bytes[];
};

void *arena_alloc(struct arena *a, size_t size) {
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (a->current == NULL || a->current->cap - a->used < size) {
        size_t cap = size > ARENA_BLOCK_SIZE ? size : ARENA_BLOCK_SIZE;
        struct arena_block *block = mem_alloc(sizeof *block + cap);
        *block = (struct arena_block){.older = a->current, .cap = cap};
        a->current = block;
        a->used = 0;
    }
    void *p = a->current->bytes + a->used;
    a->used += size;
    return p;
}

struct slice arena_copy(struct arena *a, struct slice bytes) {
    char *copy = arena_alloc(a, bytes.len + 1);
    if (bytes.len != 0) memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    return slice_make(copy, bytes.len);
}

void arena_reset(struct arena *a) {
    while (a->current && (a->current->older || a->current->cap > ARENA_BLOCK_SIZE)) {
        struct arena_block *older = a->current->older;
        mem_free(a->current);
        a->current = older;
    }
    a->used = 0;
}

void arena_free(struct arena *a) {
    while (a->current) {
        struct arena_block *older = a->current->older;
        mem_free(a->current);
        a->current = older;
    }
    a->used = 0;
}
