/* See cmd_random.h. */
#include "cmd_random.h"

#include "sample.h"

/* Redis fills memory with the reply until it is killed; nobody asks for so many who means it. */
enum { REPEATED_MAX = 1 << 26 };

bool cmd_random_picks(struct cmd_ctx *c, int64_t count, uint64_t len, struct random_picks *out) {
    *out = (struct random_picks){0};
    if (count < -REPEATED_MAX) {
        reply_error(c->reply, ERR_COUNT_OUT_OF_RANGE);
        return false;
    }
    if (count < 0) {
        out->count = (size_t)-count;
        return true;
    }
    out->count = (size_t)((uint64_t)count < len ? (uint64_t)count : len);
    out->ranks = arena_alloc(c->arena, (out->count + 1) * sizeof *out->ranks);
    sample_ranks(c->rng, len, out->count, out->ranks);
    return true;
}
