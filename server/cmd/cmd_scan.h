/* What SCAN, HSCAN, SSCAN and ZSCAN have in common: the cursor, the options, and the shape of the reply. */
#ifndef CMD_CMD_SCAN_H
#define CMD_CMD_SCAN_H

#include "cmd.h"

struct scan_options {
    bool by_pattern, by_type;
    struct slice pattern, type;
    int64_t count; /* how many items a call is about to look at; 10 unless told */
};

/* False after answering. */
bool cmd_scan_cursor(struct cmd_ctx *c, struct slice arg, uint64_t *out);
/* MATCH, COUNT and, with `may_type`, TYPE, from argv[first] on; false after answering. */
bool cmd_scan_options(struct cmd_ctx *c, int first, bool may_type, struct scan_options *out);
static inline bool scan_matches(const struct scan_options *o, struct slice text) {
    return !o->by_pattern || glob_match(o->pattern, text, false);
}

/* A page under way: its items are written to `list`, counted by whoever writes them, and come behind the next cursor, which is
 * known only after them. */
struct scan_page {
    struct buf bytes;
    struct reply list;
    size_t count;
};
void scan_page_begin(struct cmd_ctx *c, struct scan_page *page);
/* Answers [cursor, [items]] and frees the page. */
void scan_page_end(struct cmd_ctx *c, struct scan_page *page, uint64_t next_cursor);

#endif
