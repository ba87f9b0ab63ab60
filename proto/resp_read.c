/* See resp_read.h. Recursive, with a bounded depth; an aggregate's array is only taken once the input is long
 * enough to hold that many elements, so a header alone cannot make it allocate. */
#include "resp_read.h"

#include "num.h"

enum {
    READ_DEPTH_MAX = 128,
    READ_VALUE_MIN = 3, /* the shortest value: "_\r\n" */
};

/* A line without its end, taken from the front of *s. */
static enum resp_read_status take_line(struct slice *s, struct slice *line) {
    const char *newline = s->len ? memchr(s->data, '\n', s->len) : NULL;
    if (newline == NULL) return RESP_READ_MORE;
    size_t len = (size_t)(newline - s->data);
    if (len == 0 || newline[-1] != '\r') return RESP_READ_ERROR;
    *line = slice_make(s->data, len - 1);
    *s = slice_make(newline + 1, s->len - len - 1);
    return RESP_READ_VALUE;
}

static enum resp_read_status take_bulk(struct slice *s, int64_t len, struct slice *text) {
    if (s->len < 2 || s->len - 2 < (uint64_t)len) return RESP_READ_MORE;
    *text = slice_make(s->data, (size_t)len);
    if (text->data[len] != '\r' || text->data[len + 1] != '\n') return RESP_READ_ERROR;
    *s = slice_make(s->data + len + 2, s->len - (size_t)len - 2);
    return RESP_READ_VALUE;
}

static bool is_bignum(struct slice digits) {
    size_t i = digits.len > 0 && digits.data[0] == '-';
    if (i == digits.len) return false;
    for (; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
    }
    return true;
}

/* Unlike an argument, a reply may be not-a-number. */
static bool read_double(struct slice text, double *out) {
    if (slice_is(text, "nan") || slice_is(text, "-nan")) {
        *out = __builtin_nan("");
        return true;
    }
    return parse_double(text, out);
}

static enum resp_read_status read_value(struct slice *s, struct arena *arena, int depth,
                                        struct resp_value *out);

static enum resp_read_status read_items(struct slice *s, struct arena *arena, int depth,
                                        struct resp_value *out) {
    if (out->count > s->len / READ_VALUE_MIN) return RESP_READ_MORE;
    if (out->count == 0) return RESP_READ_VALUE;
    out->items = arena_alloc(arena, out->count * sizeof *out->items);
    for (size_t i = 0; i < out->count; i++) {
        /* An attribute stands before an element without being one; inside an aggregate it is passed over. */
        do {
            enum resp_read_status status = read_value(s, arena, depth + 1, &out->items[i]);
            if (status != RESP_READ_VALUE) return status;
        } while (out->items[i].type == '|');
    }
    return RESP_READ_VALUE;
}

static enum resp_read_status read_value(struct slice *s, struct arena *arena, int depth,
                                        struct resp_value *out) {
    if (depth > READ_DEPTH_MAX) return RESP_READ_ERROR;
    if (s->len == 0) return RESP_READ_MORE;
    char type = s->data[0];
    if (memchr("+-:$*_,#!=(%~|>", type, 15) == NULL) return RESP_READ_ERROR;
    struct slice rest = slice_make(s->data + 1, s->len - 1), line;
    enum resp_read_status status = take_line(&rest, &line);
    if (status != RESP_READ_VALUE) return status;

    struct resp_value v = {.type = type, .text = line};
    bool ok = true;
    int64_t n = 0;
    switch (type) {
    case '+':
    case '-': break;
    case ':': ok = parse_i64(line, &v.integer); break;
    case ',': ok = read_double(line, &v.number); break;
    case '(': ok = is_bignum(line); break;
    case '#':
        v.integer = line.len == 1 && line.data[0] == 't';
        ok = v.integer || (line.len == 1 && line.data[0] == 'f');
        break;
    case '_':
        v.is_null = true;
        ok = line.len == 0;
        break;
    default: ok = parse_i64(line, &n) && n >= (type == '$' || type == '*' ? -1 : 0); break;
    }
    if (!ok) return RESP_READ_ERROR;
    if (n < 0) v.is_null = true;

    switch (type) {
    case '$':
    case '!':
    case '=':
        v.text = slice_make(NULL, 0);
        if (!v.is_null) status = take_bulk(&rest, n, &v.text);
        break;
    case '*':
    case '%':
    case '~':
    case '|':
    case '>':
        v.text = slice_make(NULL, 0);
        if (v.is_null) break;
        if (n > INT64_MAX / 2) return RESP_READ_ERROR;
        v.count = (size_t)(type == '%' || type == '|' ? 2 * n : n);
        status = read_items(&rest, arena, depth, &v);
        break;
    default: break;
    }
    if (status != RESP_READ_VALUE) return status;
    *out = v;
    *s = rest;
    return RESP_READ_VALUE;
}

enum resp_read_status resp_read(struct slice input, struct arena *arena, struct resp_value *out,
                                size_t *consumed) {
    struct slice rest = input;
    enum resp_read_status status = read_value(&rest, arena, 0, out);
    if (status == RESP_READ_VALUE) *consumed = input.len - rest.len;
    return status;
}
