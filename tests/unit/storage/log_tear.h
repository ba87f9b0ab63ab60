/* What a power cut may leave of the batch that was being written: some first bytes of it, and then what was in the file before,
 * or anything. */
#ifndef TESTS_UNIT_STORAGE_LOG_TEAR_H
#define TESTS_UNIT_STORAGE_LOG_TEAR_H

#include "scratch.h"
#include "test.h"

struct newest_file {
    char name[64];
};

static void see_newest_file(void *arg, const char *name) {
    struct newest_file *n = arg;
    if (strcmp(name, n->name) > 0) snprintf(n->name, sizeof n->name, "%s", name);
}

static struct scratch newest_segment(const struct scratch *s) {
    struct newest_file n = {""};
    EXPECT(scratch_files(s->path, ".seg", see_newest_file, &n) > 0);
    return scratch_in(s, n.name);
}

/* The newest segment before a batch and after it; the batch is [from, to). */
struct torn_batch {
    struct buf before, after;
    size_t from, to;
};

static struct torn_batch torn_batch_between(const struct scratch *base, const struct scratch *now) {
    struct torn_batch t = {scratch_load(newest_segment(base).path), scratch_load(newest_segment(now).path), 0,
                           0};
    EXPECT(t.after.len >= t.before.len);
    while (t.before.len < t.after.len) buf_add_byte(&t.before, 0);
    while (t.from < t.after.len && t.before.data[t.from] == t.after.data[t.from]) t.from++;
    t.to = t.after.len;
    while (t.to > t.from && t.before.data[t.to - 1] == t.after.data[t.to - 1]) t.to--;
    EXPECT(t.to > t.from);
    return t;
}

/* In the copied log `torn`: so many bytes of the batch are there, and for the rest `filler`, or with '\0' what was there
 * before. */
static void tear(const struct torn_batch *t, const struct scratch *torn, size_t bytes, char filler) {
    struct buf b = {0};
    buf_add(&b, t->before.data, t->before.len);
    memcpy(b.data + t->from, t->after.data + t->from, bytes);
    if (filler != '\0') memset(b.data + t->from + bytes, filler, t->to - t->from - bytes);
    scratch_save(newest_segment(torn).path, buf_slice(&b));
    buf_free(&b);
}

static void torn_batch_free(struct torn_batch *t) {
    buf_free(&t->before);
    buf_free(&t->after);
}

#endif
