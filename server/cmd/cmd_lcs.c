/* LCS: the longest common subsequence of two strings, as itself, as its length, or as the ranges it is made of,
 * last range first. The classic table takes four bytes a cell and is refused when it gets too big. */
#include "handlers.h"
#include "server.h"

#include "num.h"

#include <stdlib.h>

struct lcs {
    struct slice a, b;
    uint32_t *table; /* (a.len + 1) rows of (b.len + 1): the length for the first i bytes of a and j of b */
};

struct lcs_options {
    bool index, length, with_match_len;
    int64_t min_match_len;
};

static inline uint32_t *cell(const struct lcs *l, size_t i, size_t j) {
    return &l->table[i * (l->b.len + 1) + j];
}
static inline uint32_t larger(uint32_t x, uint32_t y) {
    return x > y ? x : y;
}

/* False after answering. */
static bool parse_options(struct cmd_ctx *c, struct lcs_options *o) {
    for (int i = 3; i < c->argc; i++) {
        struct slice word = c->argv[i];
        if (slice_is(word, "idx")) {
            o->index = true;
        } else if (slice_is(word, "len")) {
            o->length = true;
        } else if (slice_is(word, "withmatchlen")) {
            o->with_match_len = true;
        } else if (slice_is(word, "minmatchlen") && i + 1 < c->argc) {
            if (!cmd_arg_i64(c, c->argv[++i], &o->min_match_len, NULL)) return false;
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    if (o->index && o->length) {
        reply_error(c->reply, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

static bool make_table(struct cmd_ctx *c, struct lcs *l) {
    uint64_t cells = ((uint64_t)l->a.len + 1) * ((uint64_t)l->b.len + 1); /* both lengths are below 2^32 */
    uint64_t bytes;
    if (!__builtin_mul_overflow(cells, sizeof *l->table, &bytes)) {
        if (bytes > (uint64_t)c->server->config.proto_max_bulk_len) {
            reply_error(c->reply,
                        "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
            return false;
        }
        l->table = malloc(bytes); /* a client's wish, not worth stopping the node for */
    }
    if (l->table != NULL) return true;
    reply_error(c->reply, "ERR Insufficient memory, failed allocating transient memory for LCS");
    return false;
}

static void fill_table(struct lcs *l) {
    for (size_t j = 0; j <= l->b.len; j++) *cell(l, 0, j) = 0;
    for (size_t i = 1; i <= l->a.len; i++) {
        const uint32_t *above = cell(l, i - 1, 0);
        uint32_t *row = cell(l, i, 0);
        char ch = l->a.data[i - 1];
        row[0] = 0;
        for (size_t j = 1; j <= l->b.len; j++)
            row[j] = l->b.data[j - 1] == ch ? above[j - 1] + 1 : larger(above[j], row[j - 1]);
    }
}

/* One step back through the table; true when it was over a common byte. On a tie it goes back in b, which decides
 * which of several equally long subsequences is found. */
static bool step_back(const struct lcs *l, size_t *i, size_t *j) {
    if (l->a.data[*i - 1] == l->b.data[*j - 1]) {
        --*i;
        --*j;
        return true;
    }
    if (*cell(l, *i - 1, *j) > *cell(l, *i, *j - 1))
        --*i;
    else
        --*j;
    return false;
}

static void reply_text(struct cmd_ctx *c, const struct lcs *l) {
    size_t i = l->a.len, j = l->b.len, left = *cell(l, i, j);
    char *text = arena_alloc(c->arena, left + 1);
    struct slice whole = slice_make(text, left);
    while (i > 0 && j > 0)
        if (step_back(l, &i, &j)) text[--left] = l->a.data[i];
    reply_bulk(c->reply, whole);
}

static void reply_range(struct cmd_ctx *c, size_t a, size_t b, size_t len, bool with_len) {
    reply_array(c->reply, with_len ? 3 : 2);
    reply_array(c->reply, 2);
    reply_int(c->reply, (int64_t)a);
    reply_int(c->reply, (int64_t)(a + len - 1));
    reply_array(c->reply, 2);
    reply_int(c->reply, (int64_t)b);
    reply_int(c->reply, (int64_t)(b + len - 1));
    if (with_len) reply_int(c->reply, (int64_t)len);
}

static void reply_ranges(struct cmd_ctx *c, const struct lcs *l, const struct lcs_options *o) {
    reply_map(c->reply, 2);
    reply_bulk_str(c->reply, "matches");
    size_t mark = reply_defer(c->reply), ranges = 0;
    size_t i = l->a.len, j = l->b.len, run = 0;
    while (i > 0 && j > 0) {
        size_t run_a = i, run_b = j; /* where a run that ends with this step starts */
        bool common = step_back(l, &i, &j);
        if (common) run++;
        bool at_start = i == 0 || j == 0;
        if (run == 0 || (common && !at_start)) continue;
        if (common) {
            run_a = i;
            run_b = j;
        }
        if ((int64_t)run >= o->min_match_len) {
            reply_range(c, run_a, run_b, run, o->with_match_len);
            ranges++;
        }
        run = 0;
    }
    reply_close_array(c->reply, mark, ranges);
    reply_bulk_str(c->reply, "len");
    reply_int(c->reply, *cell(l, l->a.len, l->b.len));
}

void cmd_lcs(struct cmd_ctx *c) {
    const struct object *oa = cmd_read(c, c->argv[1]), *ob = cmd_read(c, c->argv[2]);
    if ((oa != NULL && oa->type != OBJECT_STRING) || (ob != NULL && ob->type != OBJECT_STRING)) {
        reply_error(c->reply, "ERR The specified keys must contain string values");
        return;
    }
    struct lcs_options options = {0};
    if (!parse_options(c, &options)) return;

    char scratch_a[NUM_I64_MAX_LEN], scratch_b[NUM_I64_MAX_LEN];
    struct lcs l = {.a = oa ? string_get(oa, scratch_a) : SLICE(""),
                    .b = ob ? string_get(ob, scratch_b) : SLICE("")};
    if (!make_table(c, &l)) return;
    fill_table(&l);
    if (options.index)
        reply_ranges(c, &l, &options);
    else if (options.length)
        reply_int(c->reply, *cell(&l, l.a.len, l.b.len));
    else
        reply_text(c, &l);
    free(l.table);
}
