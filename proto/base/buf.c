/* The growing half of buf.h; the copying half is inline there. */
#include "buf.h"

#include "check.h"
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>

void buf_free(struct buf *b) {
    mem_free(b->data);
    *b = (struct buf){0};
}

void buf_grow(struct buf *b, size_t more) {
    CHECK(more <= SIZE_MAX / 2 - b->len);
    size_t want = b->len + more;
    size_t cap = b->cap < 32 ? 64 : b->cap * 2;
    if (cap < want) cap = want;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void buf_expect(struct buf *b, size_t more, size_t total) {
    enum { BELIEVED_SHARE = 16, SMALL = 64 * 1024 };
    if (b->cap - b->len >= more) return;
    bool is_believed =
        total > SMALL && b->len >= total / BELIEVED_SHARE && total >= b->len && total - b->len >= more;
    if (!is_believed) {
        buf_grow(b, more);
        return;
    }
    b->data = mem_realloc(b->data, total);
    b->cap = total;
}

void buf_drop(struct buf *b, size_t n) {
    CHECK(n <= b->len);
    if (n == 0) return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    vsnprintf(buf_tail(b), (size_t)n + 1, format, again);
    va_end(again);
    b->len += (size_t)n;
}
