/* See resp_parse.h; the states are drawn in README.md. Limits, their order and the error texts are Redis
 * 7.0's, with one difference: a header or inline line is measured from its own bytes, not from how many
 * happened to have arrived, so that the answer never depends on how the network cut the stream. */
#include "resp_parse.h"

#include "check.h"
#include "mem.h"
#include "num.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

enum {
    LINE_MAX_LEN = 64 * 1024, /* an inline request, or a "*..." or "$..." header, without its line end */
    ARGV_MIN = 16,
    ARGV_KEEP_MAX = 1024,       /* a larger array is given back before the next command */
    STORE_KEEP_MAX = 16 * 1024, /* likewise the bytes decoded from inline requests */
};

void resp_parser_init(struct resp_parser *p) {
    *p = (struct resp_parser){.args_left = -1, .bulk_len = -1};
}

void resp_parser_free(struct resp_parser *p) {
    mem_free(p->argv);
    buf_free(&p->store);
    resp_parser_init(p);
}

static void grow_argv(struct slice **argv, int *cap, int64_t wanted) {
    int64_t more = *cap < ARGV_MIN ? ARGV_MIN : (int64_t)*cap * 2;
    if (more > wanted) more = wanted < ARGV_MIN ? ARGV_MIN : wanted;
    *argv = mem_realloc(*argv, (size_t)more * sizeof **argv);
    *cap = (int)more;
}

static enum resp_status fail(struct resp_parser *p, const char *what) {
    snprintf(p->error, sizeof p->error, "Protocol error: %s", what);
    return RESP_ERROR;
}

/* argv pointers are good for this call only; until the command is whole they are kept as offsets. */
static enum resp_status more(struct resp_parser *p, const char *start, size_t wanted) {
    if (!p->rebase) {
        for (int i = 0; i < p->argc; i++) {
            p->argv[i].data = (const char *)((uintptr_t)p->argv[i].data - (uintptr_t)start);
        }
        p->rebase = true;
    }
    p->wanted = wanted;
    return RESP_MORE;
}

/* The way every well-formed header goes: up to nine digits and the line end, all there. `p` stands behind the
 * type byte; NULL leaves the judgement to the careful way. */
static inline const char *short_header(const char *p, const char *end, int64_t *n) {
    if (end - p < 3) return NULL;
    unsigned digit = (unsigned)(unsigned char)p[0] - '0';
    if (digit > 9) return NULL;
    if (p[1] == '\r') {
        *n = digit;
        return p + 3;
    }
    if (digit == 0) return NULL;
    int64_t v = digit;
    const char *stop = end - p - 1 < 9 ? end - 1 : p + 9;
    for (p++; p < stop; p++) {
        digit = (unsigned)(unsigned char)*p - '0';
        if (digit > 9) {
            if (*p != '\r') return NULL;
            *n = v;
            return p + 2;
        }
        v = v * 10 + digit;
    }
    return NULL;
}

enum line_status { LINE_WHOLE, LINE_MORE, LINE_TOO_LONG };

/* Finds `mark`, the first byte of the line end, behind p->pos; `tail` more bytes must follow it. */
static enum line_status find_line(struct resp_parser *p, struct slice input, char mark, size_t tail,
                                  size_t *line_len) {
    size_t from = p->scanned > p->pos ? p->scanned : p->pos;
    size_t to = input.len - p->pos > LINE_MAX_LEN + 1 ? p->pos + LINE_MAX_LEN + 1 : input.len;
    const char *found = from < to ? memchr(input.data + from, mark, to - from) : NULL;
    if (found == NULL) {
        p->scanned = to;
        return to - p->pos > LINE_MAX_LEN ? LINE_TOO_LONG : LINE_MORE;
    }
    size_t at = (size_t)(found - input.data);
    if (input.len - at <= tail) {
        p->scanned = at;
        return LINE_MORE;
    }
    *line_len = at - p->pos;
    return LINE_WHOLE;
}

static enum resp_status parse_inline(struct resp_parser *p, struct slice input, size_t *consumed) {
    size_t len = 0;
    switch (find_line(p, input, '\n', 0, &len)) {
    case LINE_MORE: return more(p, input.data, input.len + 1);
    case LINE_TOO_LONG: return fail(p, "too big inline request");
    case LINE_WHOLE: break;
    }
    size_t whole_len = len + 1;
    if (len > 0 && input.data[len - 1] == '\r') len--;
    if (p->store.cap > STORE_KEEP_MAX) buf_free(&p->store);
    buf_clear(&p->store);
    struct slice line = slice_make(input.data, len);
    if (!resp_split_line(line, &p->store, &p->argv, &p->argv_cap, &p->argc)) {
        return fail(p, "unbalanced quotes in request");
    }
    *consumed = whole_len;
    return RESP_COMMAND;
}

/* "*<n>\r\n" at the front: sets args_left. */
static enum resp_status parse_count(struct resp_parser *p, const struct resp_limits *limits,
                                    struct slice input) {
    int64_t n = 0;
    const char *next = short_header(input.data + 1, input.data + input.len, &n);
    if (next == NULL) {
        size_t len = 0;
        switch (find_line(p, input, '\r', 1, &len)) {
        case LINE_MORE: return more(p, input.data, input.len + 1);
        case LINE_TOO_LONG: return fail(p, "too big mbulk count string");
        case LINE_WHOLE: break;
        }
        if (!parse_i64(slice_make(input.data + 1, len - 1), &n)) return fail(p, "invalid multibulk length");
        next = input.data + len + 2;
    }
    if (n > INT_MAX) return fail(p, "invalid multibulk length");
    if (n > limits->arg_count_max) {
        return fail(p,
                    limits->authenticated ? "invalid multibulk length" : "unauthenticated multibulk length");
    }
    p->pos = (size_t)(next - input.data);
    p->args_left = n < 0 ? 0 : n;
    return RESP_COMMAND;
}

/* "$<n>\r\n" at p->pos, the way short_header could not take: sets bulk_len. */
static enum resp_status parse_bulk_len(struct resp_parser *p, const struct resp_limits *limits,
                                       struct slice input) {
    size_t len = 0;
    switch (find_line(p, input, '\r', 1, &len)) {
    case LINE_MORE: return more(p, input.data, input.len + 1);
    case LINE_TOO_LONG: return fail(p, "too big bulk count string");
    case LINE_WHOLE: break;
    }
    const char *header = input.data + p->pos;
    if (*header != '$') {
        char got = *header == '\r' || *header == '\n' ? ' ' : *header; /* an error is one line */
        snprintf(p->error, sizeof p->error, "Protocol error: expected '$', got '%c'", got);
        return RESP_ERROR;
    }
    int64_t n;
    if (!parse_i64(slice_make(header + 1, len - 1), &n) || n < 0 || n > limits->bulk_len_max) {
        return fail(p, "invalid bulk length");
    }
    if (!limits->authenticated && n > limits->unauthenticated_bulk_len_max) {
        return fail(p, "unauthenticated bulk length");
    }
    p->pos += len + 2;
    p->bulk_len = n;
    return RESP_COMMAND;
}

static enum resp_status parse_args(struct resp_parser *p, const struct resp_limits *limits,
                                   struct slice input) {
    /* What short_header reads needs no judgement up to here. */
    int64_t short_max = limits->bulk_len_max;
    if (!limits->authenticated && limits->unauthenticated_bulk_len_max < short_max) {
        short_max = limits->unauthenticated_bulk_len_max;
    }
    const char *end = input.data + input.len;
    uintptr_t base = p->rebase ? 0 : (uintptr_t)input.data;
    while (p->args_left > 0) {
        if (p->bulk_len < 0) {
            const char *at = input.data + p->pos;
            const char *next = NULL;
            int64_t n = 0;
            if (at < end && *at == '$') next = short_header(at + 1, end, &n);
            if (next != NULL && n <= short_max) {
                p->pos = (size_t)(next - input.data);
                p->bulk_len = n;
            } else {
                enum resp_status status = parse_bulk_len(p, limits, input);
                if (status != RESP_COMMAND) return status;
            }
        }
        size_t len = (size_t)p->bulk_len;
        size_t left = input.len - p->pos;
        if (left < len || left - len < 2) return more(p, input.data, p->pos + len + 2);
        if (p->argc == p->argv_cap) grow_argv(&p->argv, &p->argv_cap, p->argc + p->args_left);
        p->argv[p->argc++] = slice_make((const char *)(base + p->pos), len);
        p->pos += len + 2;
        p->bulk_len = -1;
        p->args_left--;
    }
    return RESP_COMMAND;
}

static inline void begin_command(struct resp_parser *p) {
    if (p->argv_cap > ARGV_KEEP_MAX) {
        mem_free(p->argv);
        p->argv = NULL;
        p->argv_cap = 0;
    }
    p->argc = 0;
    p->rebase = false;
}

enum resp_status resp_parse(struct resp_parser *p, const struct resp_limits *limits, struct slice input,
                            size_t *consumed) {
    *consumed = 0;
    CHECK(input.len >= p->pos); /* bytes the parser has seen may not be taken away */
    if (p->args_left < 0) {
        if (input.len == 0) {
            p->wanted = 1;
            return RESP_MORE;
        }
        if (p->scanned == 0) begin_command(p);
        enum resp_status status;
        if (input.data[0] != '*') {
            status = parse_inline(p, input, consumed);
            if (status == RESP_COMMAND) p->scanned = 0;
            return status;
        }
        status = parse_count(p, limits, input);
        if (status != RESP_COMMAND) return status;
    }
    enum resp_status status = parse_args(p, limits, input);
    if (status != RESP_COMMAND) return status;
    if (p->rebase) {
        for (int i = 0; i < p->argc; i++) {
            p->argv[i].data = (const char *)((uintptr_t)p->argv[i].data + (uintptr_t)input.data);
        }
    }
    *consumed = p->pos;
    p->pos = p->scanned = 0;
    p->args_left = -1;
    return RESP_COMMAND;
}

/* Behind one command; NULL when it is not whole, or not plain. */
static const char *peek_command(const char *at, const char *end, struct slice *second) {
    enum { FEW = 64 }; /* longer commands are worth no look ahead */
    int64_t count, len;
    if (at == end || *at != '*') return NULL;
    at = short_header(at + 1, end, &count);
    if (at == NULL || count < 1 || count > FEW) return NULL;
    *second = SLICE("");
    for (int64_t i = 0; i < count; i++) {
        if (at >= end || *at != '$') return NULL;
        at = short_header(at + 1, end, &len);
        if (at == NULL || end - at < len + 2) return NULL;
        if (i == 1) *second = slice_make(at, (size_t)len);
        at += len + 2;
    }
    return at;
}

size_t resp_peek(struct slice input, struct slice *words, size_t max) {
    const char *at = input.data, *end = input.data + input.len;
    size_t count = 0;
    while (count < max && (at = peek_command(at, end, &words[count])) != NULL) count++;
    return count;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Inside double quotes, behind the opening one. NULL when the closing one is missing or glued to what follows. */
static const char *split_double_quoted(const char *p, const char *end, char **out) {
    for (; p < end && *p != '"'; p++) {
        if (*p != '\\' || end - p < 2) {
            *(*out)++ = *p;
            continue;
        }
        if (end - p >= 4 && p[1] == 'x' && hex_value(p[2]) >= 0 && hex_value(p[3]) >= 0) {
            *(*out)++ = (char)(hex_value(p[2]) * 16 + hex_value(p[3]));
            p += 3;
            continue;
        }
        switch (*++p) {
        case 'n': *(*out)++ = '\n'; break;
        case 'r': *(*out)++ = '\r'; break;
        case 't': *(*out)++ = '\t'; break;
        case 'b': *(*out)++ = '\b'; break;
        case 'a': *(*out)++ = '\a'; break;
        default: *(*out)++ = *p;
        }
    }
    if (p == end || (end - p > 1 && !isspace((unsigned char)p[1]))) return NULL;
    return p + 1;
}

static const char *split_single_quoted(const char *p, const char *end, char **out) {
    for (; p < end && *p != '\''; p++) {
        if (*p == '\\' && end - p > 1 && p[1] == '\'') p++;
        *(*out)++ = *p;
    }
    if (p == end || (end - p > 1 && !isspace((unsigned char)p[1]))) return NULL;
    return p + 1;
}

/* One word, which a closing quote ends as a space does. */
static const char *split_word(const char *p, const char *end, char **out) {
    for (; p < end; p++) {
        switch (*p) {
        case ' ':
        case '\n':
        case '\r':
        case '\t': return p;
        case '"': return split_double_quoted(p + 1, end, out);
        case '\'': return split_single_quoted(p + 1, end, out);
        default: *(*out)++ = *p;
        }
    }
    return p;
}

bool resp_split_line(struct slice line, struct buf *store, struct slice **argv, int *argv_cap, int *argc) {
    if (line.len == 0) {
        *argc = 0;
        return true;
    }
    int count = 0;
    const char *p = line.data, *end = p + line.len;
    buf_reserve(store, line.len); /* decoding never lengthens, so the words stay where they are written */
    char *out = buf_tail(store);
    for (;;) {
        while (p < end && isspace((unsigned char)*p)) p++;
        if (p >= end) break;
        const char *word = out;
        p = split_word(p, end, &out);
        if (p == NULL) return false;
        if (count == *argv_cap) grow_argv(argv, argv_cap, INT_MAX);
        (*argv)[count++] = slice_make(word, (size_t)(out - word));
    }
    store->len = (size_t)(out - store->data);
    *argc = count;
    return true;
}
