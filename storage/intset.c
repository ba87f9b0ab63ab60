/* See intset.h. The width only grows: it is what the widest integer ever in it needed. */
#include "intset.h"

#include "check.h"
#include "mem.h"

static uint32_t width_of(struct slice s) {
    uint32_t w;
    memcpy(&w, s.data, sizeof w);
    return w;
}

static uint32_t width_for(int64_t v) {
    if (v >= INT16_MIN && v <= INT16_MAX) return 2;
    return v >= INT32_MIN && v <= INT32_MAX ? 4 : 8;
}

size_t intset_count(struct slice s) {
    uint32_t n;
    memcpy(&n, s.data + 4, sizeof n);
    return n;
}

static void count_set(struct buf *s, size_t count) {
    CHECK(count <= UINT32_MAX);
    uint32_t n = (uint32_t)count;
    memcpy(s->data + 4, &n, sizeof n);
}

static int64_t get(const char *data, uint32_t width, size_t i) {
    int16_t v16;
    int32_t v32;
    int64_t v64;
    const char *p = data + INTSET_HEAD + i * width;
    switch (width) {
    case 2: memcpy(&v16, p, sizeof v16); return v16;
    case 4: memcpy(&v32, p, sizeof v32); return v32;
    default: memcpy(&v64, p, sizeof v64); return v64;
    }
}

/* Little-endian: the lower bytes come first, whatever the width. */
static void set(char *data, uint32_t width, size_t i, int64_t v) {
    memcpy(data + INTSET_HEAD + i * width, &v, width);
}

static void make_room(struct buf *s, size_t len) {
    if (len > s->cap) {
        s->data = mem_realloc(s->data, len);
        s->cap = mem_size(s->data);
    }
    s->len = len;
}

void intset_begin(struct buf *s) {
    uint32_t width = 2;
    make_room(s, INTSET_HEAD);
    memcpy(s->data, &width, sizeof width);
    count_set(s, 0);
}

int64_t intset_at(struct slice s, size_t i) {
    return get(s.data, width_of(s), i);
}

bool intset_find(struct slice s, int64_t v, size_t *at) {
    uint32_t width = width_of(s);
    size_t low = 0, high = intset_count(s);
    /* Most sets grow at their end, and what is beyond either end need not be searched. */
    if (high > 0 && v > get(s.data, width, high - 1)) low = high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int64_t here = get(s.data, width, mid);
        if (here == v) {
            *at = mid;
            return true;
        }
        if (here < v)
            low = mid + 1;
        else
            high = mid;
    }
    *at = low;
    return false;
}

/* Room for one more at `at`, and all as wide as `width`. */
static void widen(struct buf *s, uint32_t was, uint32_t width, size_t count, size_t at) {
    make_room(s, INTSET_HEAD + (count + 1) * width);
    if (was == width) {
        char *p = s->data + INTSET_HEAD + at * width;
        memmove(p + width, p, (count - at) * width);
        return;
    }
    for (size_t i = count; i-- > 0;) set(s->data, width, i < at ? i : i + 1, get(s->data, was, i));
    memcpy(s->data, &width, sizeof width);
}

bool intset_add(struct buf *s, int64_t v) {
    size_t at, count = intset_count(buf_slice(s));
    if (intset_find(buf_slice(s), v, &at)) return false;
    uint32_t was = width_of(buf_slice(s)), width = width_for(v);
    if (width < was) width = was;
    widen(s, was, width, count, at);
    set(s->data, width, at, v);
    count_set(s, count + 1);
    return true;
}

bool intset_remove(struct buf *s, int64_t v) {
    size_t at, count = intset_count(buf_slice(s));
    if (!intset_find(buf_slice(s), v, &at)) return false;
    uint32_t width = width_of(buf_slice(s));
    char *p = s->data + INTSET_HEAD + at * width;
    memmove(p, p + width, (count - at - 1) * width);
    s->len -= width;
    count_set(s, count - 1);
    return true;
}

bool intset_valid(struct slice s) {
    if (s.len < INTSET_HEAD) return false;
    uint32_t width = width_of(s);
    if (width != 2 && width != 4 && width != 8) return false;
    size_t count = intset_count(s);
    if (s.len - INTSET_HEAD != count * width) return false;
    for (size_t i = 1; i < count; i++) {
        if (get(s.data, width, i - 1) >= get(s.data, width, i)) return false;
    }
    return true;
}
