/* Sorted sets, by range: of ranks, of scores, of members. Every range is first made one of ranks, in O(log
 * n), and then walked, counted or removed. */
#include "cmd_zset.h"
#include "handlers.h"

#include <math.h>
#include <stdlib.h>

enum range_by { BY_ANY, BY_RANK, BY_SCORE, BY_LEX };

/* One end of a range, as the client gave it. */
struct range_end {
    bool exclusive;
    int64_t rank; /* from the back when negative */
    double score;
    struct slice member;
    int infinite; /* of members: -1 before all, 1 behind all */
};

struct range {
    enum range_by by;
    struct range_end min, max;
};

/* Ranks from `first` on. */
struct span {
    uint64_t first, count;
};

/* --- reading ranges --- */

/* What C's strtod takes up to the end of the text, spaces in front and nothing at all included, as in
 * Redis. */
static bool parse_score_end(struct cmd_ctx *c, struct slice arg, struct range_end *out) {
    *out = (struct range_end){0};
    if (arg.len > 0 && arg.data[0] == '(') {
        out->exclusive = true;
        arg = slice_make(arg.data + 1, arg.len - 1);
    }
    char *text = arena_alloc(c->arena, arg.len + 1), *end;
    if (arg.len > 0) memcpy(text, arg.data, arg.len);
    text[arg.len] = '\0';
    out->score = strtod(text, &end);
    return *end == '\0' && !isnan(out->score);
}

static bool parse_lex_end(struct slice arg, struct range_end *out) {
    *out = (struct range_end){0};
    if (arg.len == 0) return false;
    bool alone = arg.len == 1 || arg.data[1] == '\0';
    switch (arg.data[0]) {
    case '-':
    case '+': out->infinite = arg.data[0] == '+' ? 1 : -1; return alone;
    case '(':
    case '[':
        out->exclusive = arg.data[0] == '(';
        out->member = slice_make(arg.data + 1, arg.len - 1);
        return true;
    default: return false;
    }
}

/* False after answering. */
static bool parse_range(struct cmd_ctx *c, enum range_by by, struct slice min, struct slice max,
                        struct range *out) {
    *out = (struct range){.by = by};
    switch (by) {
    case BY_RANK:
        return cmd_arg_i64(c, min, &out->min.rank, NULL) && cmd_arg_i64(c, max, &out->max.rank, NULL);
    case BY_SCORE:
        if (parse_score_end(c, min, &out->min) && parse_score_end(c, max, &out->max)) return true;
        reply_error(c->reply, "ERR min or max is not a float");
        return false;
    default:
        if (parse_lex_end(min, &out->min) && parse_lex_end(max, &out->max)) return true;
        reply_error(c->reply, "ERR min or max not valid string range item");
        return false;
    }
}

/* --- ranges as ranks --- */

static uint64_t lex_rank(const struct object *o, const struct range_end *end, bool is_max) {
    if (end->infinite != 0) return end->infinite < 0 ? 0 : zset_count(o);
    return zset_count_below_lex(o, end->member, is_max != end->exclusive);
}

/* In a set whose scores differ there may be others before it that are not, and Redis looks no further. */
static bool last_is_below(const struct object *o, const struct range_end *min) {
    char scratch[NUM_I64_MAX_LEN];
    if (min->infinite != 0) return min->infinite > 0;
    int c = slice_cmp(zset_member(zset_at(o, zset_count(o) - 1), scratch), min->member);
    return min->exclusive ? c <= 0 : c < 0;
}

static struct span rank_span(const struct object *o, const struct range *range) {
    int64_t count = (int64_t)zset_count(o), first = range->min.rank, last = range->max.rank;
    if (first < 0) first += count;
    if (last < 0) last += count;
    if (first < 0) first = 0;
    if (last >= count) last = count - 1;
    if (first > last) return (struct span){0};
    return (struct span){(uint64_t)first, (uint64_t)(last - first) + 1};
}

/* Ranks count from the lowest item, also when the range is to be walked backwards. */
static struct span span_of(const struct object *o, const struct range *range) {
    uint64_t first, end;
    if (range->by == BY_RANK) return rank_span(o, range);
    if (range->by == BY_SCORE) {
        first = zset_count_below(o, range->min.score, range->min.exclusive);
        end = zset_count_below(o, range->max.score, !range->max.exclusive);
    } else {
        first = lex_rank(o, &range->min, false);
        end = last_is_below(o, &range->min) ? 0 : lex_rank(o, &range->max, true);
    }
    return end > first ? (struct span){first, end - first} : (struct span){0};
}

/* --- ZRANGE and its kin --- */

struct range_options {
    enum range_by by;
    bool reverse, rev_given, with_scores;
    int64_t offset, limit; /* limit negative: none */
};

/* BY_ANY and `may_reverse` say what the client may still choose. False after answering. */
static bool parse_range_options(struct cmd_ctx *c, int first, bool may_reverse, bool may_score,
                                struct range_options *out) {
    bool by_any = out->by == BY_ANY;
    out->limit = -1;
    for (int i = first; i < c->argc; i++) {
        struct slice word = c->argv[i];
        if (may_score && slice_is(word, "withscores")) {
            out->with_scores = true;
        } else if (slice_is(word, "limit") && c->argc - i > 2) {
            if (!cmd_arg_i64(c, c->argv[i + 1], &out->offset, NULL)) return false;
            if (!cmd_arg_i64(c, c->argv[i + 2], &out->limit, NULL)) return false;
            i += 2;
        } else if (may_reverse && !out->reverse && slice_is(word, "rev")) {
            out->reverse = true;
        } else if (by_any && out->by == BY_ANY && slice_is(word, "bylex")) {
            out->by = BY_LEX;
        } else if (by_any && out->by == BY_ANY && slice_is(word, "byscore")) {
            out->by = BY_SCORE;
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    if (out->by == BY_ANY) out->by = BY_RANK;
    const char *conflict = NULL;
    if (out->limit != -1 && out->by == BY_RANK)
        conflict = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
    else if (out->with_scores && out->by == BY_LEX)
        conflict = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
    if (conflict != NULL) reply_error(c->reply, conflict);
    return conflict == NULL;
}

/* The span as it is walked: `first` is where to begin, in the direction. */
static struct span walked_span(const struct object *o, struct span span, const struct range_options *how) {
    if (how->reverse && how->by == BY_RANK) span.first = zset_count(o) - span.first - span.count;
    if (how->by != BY_RANK) {
        uint64_t skip =
            how->offset < 0 || (uint64_t)how->offset > span.count ? span.count : (uint64_t)how->offset;
        if (!how->reverse) span.first += skip;
        span.count -= skip;
        if (how->limit >= 0 && (uint64_t)how->limit < span.count) {
            if (how->reverse) span.first += span.count - (uint64_t)how->limit;
            span.count = (uint64_t)how->limit;
        }
    }
    if (how->reverse) span.first += span.count - 1;
    return span;
}

/* The range of the set at argv[at], with its ends in the two arguments behind. `dst`: where to store it,
 * instead of answering. */
static void range_generic(struct cmd_ctx *c, int at, struct range_options how, bool may_reverse,
                          const struct slice *dst) {
    if (!parse_range_options(c, at + 3, may_reverse, dst == NULL, &how)) return;
    struct slice min = c->argv[at + 1], max = c->argv[at + 2];
    struct range range;
    bool swapped = how.reverse && how.by != BY_RANK;
    if (!parse_range(c, how.by, swapped ? max : min, swapped ? min : max, &range)) return;
    struct object *o;
    if (!(dst ? cmd_zset_consult(c, c->argv[at], &o) : cmd_zset_read(c, c->argv[at], &o))) return;
    struct span span = {0};
    if (o != NULL) span = span_of(o, &range);
    if (span.count > 0) span = walked_span(o, span, &how);
    struct zset_pos p = span.count > 0 ? zset_at(o, span.first) : (struct zset_pos){0};
    if (dst == NULL) {
        reply_zset_begin(c->reply, (size_t)span.count, how.with_scores);
        reply_zset_items(c->reply, p, span.count, how.reverse, how.with_scores);
        return;
    }
    struct zset_items list = {0};
    char scratch[NUM_I64_MAX_LEN];
    for (uint64_t i = 0; i < span.count; i++, p = how.reverse ? zset_prev(p) : zset_next(p))
        zset_items_add(c, &list, zset_member(p, scratch), zset_score(p));
    cmd_zset_store(c, *dst, &list, "zrangestore");
    zset_items_free(&list);
}

void cmd_zrange(struct cmd_ctx *c) {
    range_generic(c, 1, (struct range_options){.by = BY_ANY}, true, NULL);
}
void cmd_zrangestore(struct cmd_ctx *c) {
    range_generic(c, 2, (struct range_options){.by = BY_ANY}, true, &c->argv[1]);
}
void cmd_zrevrange(struct cmd_ctx *c) {
    range_generic(c, 1, (struct range_options){.by = BY_RANK, .reverse = true}, false, NULL);
}
void cmd_zrangebyscore(struct cmd_ctx *c) {
    range_generic(c, 1, (struct range_options){.by = BY_SCORE}, false, NULL);
}
void cmd_zrevrangebyscore(struct cmd_ctx *c) {
    range_generic(c, 1, (struct range_options){.by = BY_SCORE, .reverse = true}, false, NULL);
}
void cmd_zrangebylex(struct cmd_ctx *c) {
    range_generic(c, 1, (struct range_options){.by = BY_LEX}, false, NULL);
}
void cmd_zrevrangebylex(struct cmd_ctx *c) {
    range_generic(c, 1, (struct range_options){.by = BY_LEX, .reverse = true}, false, NULL);
}

/* --- counting and removing --- */

static void count_generic(struct cmd_ctx *c, enum range_by by) {
    struct range range;
    struct object *o;
    if (!parse_range(c, by, c->argv[2], c->argv[3], &range)) return;
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    reply_int(c->reply, o != NULL ? (int64_t)span_of(o, &range).count : 0);
}

void cmd_zcount(struct cmd_ctx *c) {
    count_generic(c, BY_SCORE);
}
void cmd_zlexcount(struct cmd_ctx *c) {
    count_generic(c, BY_LEX);
}

static void remove_generic(struct cmd_ctx *c, enum range_by by) {
    struct range range;
    struct object *o;
    if (!parse_range(c, by, c->argv[2], c->argv[3], &range)) return;
    if (!cmd_zset_write(c, c->argv[1], &o)) return;
    struct span span = {0};
    if (o != NULL) {
        span = span_of(o, &range);
        zset_remove_range(c->ks, c->db, o, span.first, span.count);
        if (span.count > 0) cmd_zset_took(c, c->cmd->name, c->argv[1], o);
    }
    reply_int(c->reply, (int64_t)span.count);
}

void cmd_zremrangebyrank(struct cmd_ctx *c) {
    remove_generic(c, BY_RANK);
}
void cmd_zremrangebyscore(struct cmd_ctx *c) {
    remove_generic(c, BY_SCORE);
}
void cmd_zremrangebylex(struct cmd_ctx *c) {
    remove_generic(c, BY_LEX);
}
