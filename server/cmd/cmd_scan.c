/* Walking the keys of a database: KEYS, all at once, and SCAN, a step at a time. A cursor is a position in the order
 * of rows and nothing is kept between calls, so it stays good across restarts and changes of leader. */
#include "cmd_scan.h"
#include "handlers.h"

#include "num.h"

static bool filter_passes(const struct scan_options *f, const struct object *o) {
    if (!scan_matches(f, object_key(o))) return false;
    return !f->by_type || slice_is(f->type, object_type_name(o));
}

struct key_lister {
    const struct scan_options *filter;
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
    struct scan_options filter = {.by_pattern = !is_star(pattern), .pattern = pattern};
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

bool cmd_scan_cursor(struct cmd_ctx *c, struct slice arg, uint64_t *out) {
    if (parse_cursor(arg, out)) {
        if (c->in_logged_script && c->cmd->fn != cmd_scan) *out = 0;
        return true;
    }
    reply_error(c->reply, "ERR invalid cursor");
    return false;
}

bool cmd_scan_options(struct cmd_ctx *c, int first, bool may_type, struct scan_options *out) {
    enum { COUNT_DEFAULT = 10 };
    *out = (struct scan_options){.count = COUNT_DEFAULT};
    for (int i = first; i < c->argc; i += 2) {
        struct slice word = c->argv[i];
        bool has_value = i + 1 < c->argc;
        if (has_value && slice_is(word, "count")) {
            if (!cmd_arg_i64(c, c->argv[i + 1], &out->count, NULL)) return false;
            if (out->count >= 1) continue;
        } else if (has_value && slice_is(word, "match")) {
            out->pattern = c->argv[i + 1];
            out->by_pattern = !is_star(out->pattern);
            continue;
        } else if (has_value && may_type && slice_is(word, "type")) {
            out->type = c->argv[i + 1];
            out->by_type = true;
            continue;
        }
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    /* Where a page of a collection ends depends on how it lies in memory, so scripts get all of it at once. */
    if (c->in_logged_script && c->cmd->fn != cmd_scan) out->count = INT64_C(1) << 40;
    return true;
}

void scan_page_begin(struct cmd_ctx *c, struct scan_page *page) {
    *page = (struct scan_page){0};
    reply_init(&page->list, &page->bytes, c->reply->resp);
}

void scan_page_end(struct cmd_ctx *c, struct scan_page *page, uint64_t next_cursor) {
    char digits[NUM_I64_MAX_LEN];
    reply_array(c->reply, 2);
    reply_bulk(c->reply, slice_make(digits, format_u64(digits, next_cursor)));
    reply_array(c->reply, page->count);
    reply_raw(c->reply, buf_slice(&page->bytes));
    buf_free(&page->bytes);
}

void cmd_scan(struct cmd_ctx *c) {
    uint64_t cursor;
    struct scan_options options;
    if (!cmd_scan_cursor(c, c->argv[1], &cursor)) return;
    if (!cmd_scan_options(c, 2, true, &options)) return;

    struct scan_page page;
    scan_page_begin(c, &page);
    struct key_lister lister = {.filter = &options, .out = &page.list};
    if (c->in_logged_script)
        cursor = ks_scan_exactly(c->ks, c->db, cursor, (size_t)options.count, c->now_ms, list_key, &lister);
    else
        cursor = ks_scan(c->ks, c->db, cursor, (size_t)options.count, c->now_ms, list_key, &lister);
    page.count = lister.count;
    scan_page_end(c, &page, cursor);
}
