/* Sorted sets from their ends: ZPOPMIN, ZPOPMAX and ZMPOP, and those that wait for something to pop. */
#include "cmd_block.h"
#include "cmd_zset.h"
#include "handlers.h"

enum pop_shape {
    POP_FLAT,      /* member, score, member, score ... */
    POP_PAIRS,     /* [member, score] ... */
    POP_KEY_FLAT,  /* key, member, score */
    POP_KEY_PAIRS, /* key, [[member, score] ...] */
};

/* Answers and removes up to `count` items from the lower or the upper end of a set. */
static void pop_items(struct cmd_ctx *c, struct slice key, struct object *o, bool from_max, int64_t count,
                      enum pop_shape shape) {
    uint64_t have = zset_count(o), n = (uint64_t)count < have ? (uint64_t)count : have;
    bool pairs = shape == POP_PAIRS || shape == POP_KEY_PAIRS;
    if (shape == POP_KEY_PAIRS) reply_array(c->reply, 2);
    if (shape == POP_KEY_FLAT) reply_array(c->reply, (size_t)n * 2 + 1);
    if (shape == POP_KEY_FLAT || shape == POP_KEY_PAIRS) reply_bulk(c->reply, key);
    if (shape != POP_KEY_FLAT) reply_array(c->reply, (size_t)(pairs ? n : 2 * n));
    struct zset_pos p = n > 0 ? zset_at(o, from_max ? have - 1 : 0) : (struct zset_pos){0};
    char scratch[NUM_I64_MAX_LEN];
    for (uint64_t i = 0; i < n; i++, p = from_max ? zset_prev(p) : zset_next(p)) {
        if (pairs) reply_array(c->reply, 2);
        reply_bulk(c->reply, zset_member(p, scratch));
        reply_double(c->reply, zset_score(p));
    }
    zset_remove_range(c->ks, c->db, o, from_max ? have - n : 0, n);
    cmd_zset_took(c, from_max ? "zpopmax" : "zpopmin", key, o);
}

static void pop_generic(struct cmd_ctx *c, bool from_max) {
    int64_t count = 1;
    struct object *o;
    if (c->argc > 3) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    if (c->argc == 3 &&
        !cmd_arg_long_in(c, c->argv[2], 0, INT64_MAX, &count, "ERR value is out of range, must be positive"))
        return;
    if (!cmd_zset_write(c, c->argv[1], &o)) return;
    if (o == NULL || count == 0) {
        reply_array(c->reply, 0);
        return;
    }
    bool pairs = c->argc == 3 && c->reply->resp >= 3;
    pop_items(c, c->argv[1], o, from_max, count, pairs ? POP_PAIRS : POP_FLAT);
}

void cmd_zpopmin(struct cmd_ctx *c) {
    pop_generic(c, false);
}
void cmd_zpopmax(struct cmd_ctx *c) {
    pop_generic(c, true);
}

/* --- those that may wait --- */

struct pop_wanted {
    int first_key, key_count; /* in argv */
    bool from_max;
    int64_t count;
    enum pop_shape shape;
};

static void pop_or_wait(struct cmd_ctx *c, const struct pop_wanted *w, struct slice timeout) {
    int64_t timeout_ms;
    if (!cmd_arg_timeout(c, timeout, &timeout_ms)) return;
    for (int i = 0; i < w->key_count; i++) {
        struct slice key = c->argv[w->first_key + i];
        struct object *o;
        if (!cmd_blocking_key(c, key, OBJECT_ZSET, &o)) return;
        if (o == NULL) continue;
        pop_items(c, key, o, w->from_max, w->count, w->shape);
        return;
    }
    if (!cmd_block(c, OBJECT_ZSET, w->first_key, w->key_count, timeout_ms)) reply_null_array(c->reply);
}

static void block_generic(struct cmd_ctx *c, bool from_max) {
    struct pop_wanted w = {
        .first_key = 1, .key_count = c->argc - 2, .from_max = from_max, .count = 1, .shape = POP_KEY_FLAT};
    pop_or_wait(c, &w, c->argv[c->argc - 1]);
}

void cmd_bzpopmin(struct cmd_ctx *c) {
    block_generic(c, false);
}
void cmd_bzpopmax(struct cmd_ctx *c) {
    block_generic(c, true);
}

/* "numkeys key ... MIN | MAX [COUNT count]" from argv[at] on; false after answering. */
static bool parse_mpop(struct cmd_ctx *c, int at, struct pop_wanted *w) {
    int64_t key_count, count = -1;
    if (!cmd_arg_long_in(c, c->argv[at], 1, INT64_MAX, &key_count, "ERR numkeys should be greater than 0"))
        return false;
    if (key_count >= c->argc - at - 1) {
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    *w = (struct pop_wanted){.first_key = at + 1, .key_count = (int)key_count, .shape = POP_KEY_PAIRS};
    int i = w->first_key + w->key_count;
    bool sound = slice_is(c->argv[i], "min") || slice_is(c->argv[i], "max");
    w->from_max = slice_is(c->argv[i], "max");
    for (i++; sound && i < c->argc; i++) {
        sound = count < 0 && slice_is(c->argv[i], "count") && i + 1 < c->argc;
        if (!sound) break;
        if (!cmd_arg_long_in(c, c->argv[++i], 1, INT64_MAX, &count, "ERR count should be greater than 0"))
            return false;
    }
    if (!sound) reply_error(c->reply, ERR_SYNTAX);
    w->count = count < 0 ? 1 : count;
    return sound;
}

void cmd_zmpop(struct cmd_ctx *c) {
    struct pop_wanted w;
    if (!parse_mpop(c, 1, &w)) return;
    for (int i = 0; i < w.key_count; i++) {
        struct slice key = c->argv[w.first_key + i];
        struct object *o;
        if (!cmd_zset_write(c, key, &o)) return;
        if (o == NULL) continue;
        pop_items(c, key, o, w.from_max, w.count, w.shape);
        return;
    }
    reply_null_array(c->reply);
}

void cmd_bzmpop(struct cmd_ctx *c) {
    struct pop_wanted w;
    if (!parse_mpop(c, 2, &w)) return;
    pop_or_wait(c, &w, c->argv[1]);
}
