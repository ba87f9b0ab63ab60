/* Walking the keys of a database: KEYS, all at once, and SCAN, a step at a time. A cursor is a position in the order
 * of rows and nothing is kept between calls, so it stays good across restarts and changes of leader. */
#include "handlers.h"

#include "num.h"

struct key_filter {
    bool by_pattern, by_type;
    struct slice pattern, type;
};

static bool filter_passes(const struct key_filter *f, const struct object *o) {
    if (f->by_pattern && !glob_match(f->pattern, object_key(o), false)) return false;
    return !f->by_type || slice_is(f->type, object_type_name(o));
}

struct key_lister {
    const struct key_filter *filter;
    struct reply *out;
    size_t count;
};

static bool list_key(void *arg, const struct object *o) {
    struct key_lister *l = arg;
    if (!filter_passes(l->filter, o)) return true;
    reply_bulk(l->out, object_key(o));
    l->count++;
    return true;
}

static inline bool is_star(struct slice pattern) {
    return pattern.len == 1 && pattern.data[0] == '*';
}

void cmd_keys(struct cmd_ctx *c) {
    enum { STEP = 1024 };
    struct slice pattern = c->argv[1];
    struct key_filter filter = {.by_pattern = !is_star(pattern), .pattern = pattern};
    struct key_lister lister = {.filter = &filter, .out = c->reply};
    size_t mark = reply_defer(c->reply);
    uint64_t cursor = 0;
    do {
        cursor = ks_scan(c->ks, c->db, cursor, STEP, c->now_ms, list_key, &lister);
    } while (cursor != 0 && ks_fault(c->ks) == NULL);
    reply_close_array(c->reply, mark, lister.count);
}

/* What C's strtoul accepts without leading space, as in Redis: an optional sign, no digits at all are zero, and a zero
 * byte ends the text. */
static bool parse_cursor(struct slice text, uint64_t *out) {
    text.len = strnlen(text.data, text.len);
    bool negative = text.len > 0 && text.data[0] == '-';
    size_t i = negative || (text.len > 0 && text.data[0] == '+') ? 1 : 0;
    if (i == 1 && text.len == 1) return false;
    uint64_t v = 0;
    for (; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text.data[i] - '0'), &v))
            return false;
    }
    *out = negative ? 0 - v : v;
    return true;
}

/* False after answering. */
static bool parse_scan_options(struct cmd_ctx *c, struct key_filter *filter, int64_t *count) {
    for (int i = 2; i < c->argc; i += 2) {
        struct slice word = c->argv[i];
        bool has_value = i + 1 < c->argc;
        if (has_value && slice_is(word, "count")) {
            if (!cmd_arg_i64(c, c->argv[i + 1], count, NULL)) return false;
            if (*count >= 1) continue;
        } else if (has_value && slice_is(word, "match")) {
            filter->pattern = c->argv[i + 1];
            filter->by_pattern = !is_star(filter->pattern);
            continue;
        } else if (has_value && slice_is(word, "type")) {
            filter->type = c->argv[i + 1];
            filter->by_type = true;
            continue;
        }
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    return true;
}

void cmd_scan(struct cmd_ctx *c) {
    uint64_t cursor;
    int64_t count = 10;
    struct key_filter filter = {0};
    if (!parse_cursor(c->argv[1], &cursor)) {
        reply_error(c->reply, "ERR invalid cursor");
        return;
    }
    if (!parse_scan_options(c, &filter, &count)) return;

    /* The next cursor comes before the keys and is known after them. */
    struct buf keys = {0};
    struct reply list;
    reply_init(&list, &keys, c->reply->resp);
    struct key_lister lister = {.filter = &filter, .out = &list};
    cursor = ks_scan(c->ks, c->db, cursor, (size_t)count, c->now_ms, list_key, &lister);

    char digits[NUM_I64_MAX_LEN];
    reply_array(c->reply, 2);
    reply_bulk(c->reply, slice_make(digits, format_u64(digits, cursor)));
    reply_array(c->reply, lister.count);
    reply_raw(c->reply, buf_slice(&keys));
    buf_free(&keys);
}
