/* See resp_write.h. Integers, bulks and aggregate headers are what nearly every command answers, so they
 * reserve once and write digits by hand; printf serves only the rest. */
#include "resp_write.h"

#include "check.h"
#include "num.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    HEADER_MAX = 1 + NUM_I64_MAX_LEN + 2, /* type byte, digits, line end */
    FORMAT_STACK = 512,
};

static inline char *put_line_end(char *p) {
    p[0] = '\r';
    p[1] = '\n';
    return p + 2;
}

static inline char *put_header(char *p, char type, uint64_t n) {
    *p++ = type;
    return put_line_end(p + format_u64(p, n));
}

static inline void write_header(struct reply *r, char type, uint64_t n) {
    struct buf *out = r->out;
    if (out == NULL) return;
    buf_reserve(out, HEADER_MAX);
    out->len = (size_t)(put_header(buf_tail(out), type, n) - out->data);
}

static inline void write_literal(struct reply *r, struct slice bytes) {
    if (r->out != NULL) buf_add_slice(r->out, bytes);
}

/* type, text, line end */
static void write_line(struct reply *r, char type, struct slice text) {
    struct buf *out = r->out;
    if (out == NULL) return;
    buf_reserve(out, text.len + 3);
    char *p = buf_tail(out);
    *p++ = type;
    if (text.len != 0) memcpy(p, text.data, text.len);
    out->len = (size_t)(put_line_end(p + text.len) - out->data);
}

void reply_ok(struct reply *r) {
    write_literal(r, SLICE("+OK\r\n"));
}

void reply_simple(struct reply *r, const char *text) {
    write_line(r, '+', slice_of(text));
}

void reply_error(struct reply *r, const char *text) {
    CHECK(text[0] != '-'); /* the code comes first, the type byte is ours */
    struct slice s = slice_of(text);
    while (s.len > 0 && (s.data[s.len - 1] == '\n' || s.data[s.len - 1] == '\r')) s.len--;

    r->error_count++;
    size_t code_len = 0;
    while (code_len < s.len && s.data[code_len] != ' ' && code_len < sizeof r->error_code - 1) code_len++;
    memcpy(r->error_code, s.data, code_len);
    r->error_code[code_len] = '\0';

    if (r->out == NULL) return;
    write_line(r, '-', s);
    /* A line break inside the text would end the reply early and desynchronise the client. */
    char *p = buf_tail(r->out) - 2 - s.len;
    for (size_t i = 0; i < s.len; i++) {
        if (p[i] == '\r' || p[i] == '\n') p[i] = ' ';
    }
}

/* Formats onto the stack when it fits there; *heap takes the text otherwise. */
static const char *format_text(char stack[FORMAT_STACK], struct buf *heap, const char *format, va_list args,
                               size_t *len) __attribute__((format(printf, 3, 0)));
static const char *format_text(char stack[FORMAT_STACK], struct buf *heap, const char *format, va_list args,
                               size_t *len) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(stack, FORMAT_STACK, format, args);
    CHECK(n >= 0);
    *len = (size_t)n;
    const char *text = stack;
    if (n >= FORMAT_STACK) {
        buf_reserve(heap, *len + 1);
        vsnprintf(heap->data, *len + 1, format, again);
        text = heap->data;
    }
    va_end(again);
    return text;
}

void reply_errorf(struct reply *r, const char *format, ...) {
    char stack[FORMAT_STACK];
    struct buf heap = {0};
    size_t len;
    va_list args;
    va_start(args, format);
    reply_error(r, format_text(stack, &heap, format, args, &len));
    va_end(args);
    buf_free(&heap);
}

void reply_int(struct reply *r, int64_t v) {
    struct buf *out = r->out;
    if (out == NULL) return;
    buf_reserve(out, HEADER_MAX);
    char *p = buf_tail(out);
    *p++ = ':';
    out->len = (size_t)(put_line_end(p + format_i64(p, v)) - out->data);
}

void reply_bulk(struct reply *r, struct slice value) {
    struct buf *out = r->out;
    if (out == NULL) return;
    buf_reserve(out, HEADER_MAX + value.len + 2);
    char *p = put_header(buf_tail(out), '$', value.len);
    if (value.len != 0) memcpy(p, value.data, value.len);
    out->len = (size_t)(put_line_end(p + value.len) - out->data);
}

void reply_bulk_str(struct reply *r, const char *text) {
    reply_bulk(r, slice_of(text));
}

void reply_bulk_int(struct reply *r, int64_t v) {
    char digits[NUM_I64_MAX_LEN];
    reply_bulk(r, slice_make(digits, format_i64(digits, v)));
}

void reply_bulkf(struct reply *r, const char *format, ...) {
    char stack[FORMAT_STACK];
    struct buf heap = {0};
    size_t len;
    va_list args;
    va_start(args, format);
    const char *text = format_text(stack, &heap, format, args, &len);
    va_end(args);
    reply_bulk(r, slice_make(text, len));
    buf_free(&heap);
}

void reply_null(struct reply *r) {
    write_literal(r, r->resp == 2 ? SLICE("$-1\r\n") : SLICE("_\r\n"));
}

void reply_null_array(struct reply *r) {
    write_literal(r, r->resp == 2 ? SLICE("*-1\r\n") : SLICE("_\r\n"));
}

void reply_array(struct reply *r, size_t n) {
    write_header(r, '*', n);
}

void reply_map(struct reply *r, size_t pairs) {
    write_header(r, r->resp == 2 ? '*' : '%', r->resp == 2 ? pairs * 2 : pairs);
}

void reply_set(struct reply *r, size_t n) {
    write_header(r, r->resp == 2 ? '*' : '~', n);
}

void reply_push(struct reply *r, size_t n) {
    write_header(r, r->resp == 2 ? '*' : '>', n);
}

void reply_attribute(struct reply *r, size_t pairs) {
    CHECK(r->resp == 3); /* RESP2 has nothing a client would skip */
    write_header(r, '|', pairs);
}

void reply_double(struct reply *r, double v) {
    char text[NUM_DOUBLE_MAX_LEN];
    struct slice s = slice_make(text, format_double(text, v));
    if (r->resp == 2) {
        reply_bulk(r, s);
    } else {
        write_line(r, ',', s);
    }
}

void reply_bool(struct reply *r, bool v) {
    if (r->resp == 2) {
        write_literal(r, v ? SLICE(":1\r\n") : SLICE(":0\r\n"));
    } else {
        write_literal(r, v ? SLICE("#t\r\n") : SLICE("#f\r\n"));
    }
}

void reply_verbatim(struct reply *r, const char *type3, struct slice text) {
    if (r->resp == 2) {
        reply_bulk(r, text);
        return;
    }
    CHECK(strlen(type3) == 3);
    struct buf *out = r->out;
    if (out == NULL) return;
    buf_reserve(out, HEADER_MAX + 4 + text.len + 2);
    char *p = put_header(buf_tail(out), '=', text.len + 4);
    memcpy(p, type3, 3);
    p[3] = ':';
    if (text.len != 0) memcpy(p + 4, text.data, text.len);
    out->len = (size_t)(put_line_end(p + 4 + text.len) - out->data);
}

void reply_bignum(struct reply *r, struct slice digits) {
    if (r->resp == 2) {
        reply_bulk(r, digits);
    } else {
        write_line(r, '(', digits);
    }
}

void reply_raw(struct reply *r, struct slice bytes) {
    write_literal(r, bytes);
}

size_t reply_defer(struct reply *r) {
    return r->out != NULL ? r->out->len : 0;
}

/* The header goes in front of what was written since the mark; moving bytes once at memory speed beats
 * counting elements twice. */
static void close_aggregate(struct reply *r, size_t mark, char type, uint64_t n) {
    struct buf *out = r->out;
    if (out == NULL) return;
    CHECK(mark <= out->len);
    char header[HEADER_MAX];
    size_t header_len = (size_t)(put_header(header, type, n) - header);
    buf_reserve(out, header_len);
    memmove(out->data + mark + header_len, out->data + mark, out->len - mark);
    memcpy(out->data + mark, header, header_len);
    out->len += header_len;
}

void reply_close_array(struct reply *r, size_t mark, size_t n) {
    close_aggregate(r, mark, '*', n);
}

void reply_close_map(struct reply *r, size_t mark, size_t pairs) {
    close_aggregate(r, mark, r->resp == 2 ? '*' : '%', r->resp == 2 ? pairs * 2 : pairs);
}

void reply_close_set(struct reply *r, size_t mark, size_t n) {
    close_aggregate(r, mark, r->resp == 2 ? '*' : '~', n);
}
