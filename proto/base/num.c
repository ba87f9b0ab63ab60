/* See num.h. The integer paths are hand-written because every reply and every request passes through them;
 * floating point tries an exact shortcut for short decimals and otherwise asks libc, whose rounding is the
 * behaviour to match. The process must stay in the "C" locale for LC_NUMERIC. */
#include "num.h"

#include "check.h"
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Decimal digits without a leading zero, at most `max`. */
static bool parse_digits(const char *p, const char *end, uint64_t max, uint64_t *out) {
    if (p == end) return false;
    unsigned digit = (unsigned)(unsigned char)*p - '0';
    if (digit > 9 || (digit == 0 && end - p > 1)) return false;
    uint64_t n = digit;
    for (p++; p < end; p++) {
        digit = (unsigned)(unsigned char)*p - '0';
        if (digit > 9 || n > (max - digit) / 10) return false;
        n = n * 10 + digit;
    }
    if (n > max) return false;
    *out = n;
    return true;
}

bool parse_i64(struct slice text, int64_t *out) {
    if (text.len == 0) return false;
    const char *p = text.data, *end = p + text.len;
    bool negative = *p == '-';
    uint64_t n;
    if (!parse_digits(p + negative, end, (uint64_t)INT64_MAX + negative, &n)) return false;
    if (negative && n == 0) return false;
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

bool parse_u64(struct slice text, uint64_t *out) {
    return text.len != 0 && parse_digits(text.data, text.data + text.len, UINT64_MAX, out);
}

/* Up to 15 digits with one optional point: mantissa and power of ten are both exact doubles, so one division
 * rounds exactly as strtod would. Anything else is left to strtod. */
static bool parse_double_short(struct slice text, double *out) {
    static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (text.len == 0 || text.len > 17) return false;
    const char *p = text.data, *end = p + text.len, *point = NULL;
    bool negative = *p == '-';
    uint64_t n = 0;
    int digits = 0;
    for (p += negative; p < end; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (digit <= 9) {
            n = n * 10 + digit;
            digits++;
        } else if (*p == '.' && point == NULL) {
            point = p;
        } else {
            return false;
        }
    }
    if (digits == 0 || digits > 15) return false;
    double v = (double)n / power[point ? end - point - 1 : 0];
    *out = negative ? -v : v;
    return true;
}

/* libc's strtod family wants a terminated string. */
enum { NUM_STACK_COPY = 256 };
static char *terminated(struct slice text, char stack[NUM_STACK_COPY]) {
    char *copy = text.len < NUM_STACK_COPY ? stack : mem_alloc(text.len + 1);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

bool parse_double(struct slice text, double *out) {
    double v;
    if (parse_double_short(text, &v)) {
        *out = v;
        return true;
    }
    if (text.len == 0 || isspace((unsigned char)text.data[0])) return false;
    char stack[NUM_STACK_COPY], *end;
    char *copy = terminated(text, stack);
    errno = 0;
    v = strtod(copy, &end);
    bool ok = end == copy + text.len && !isnan(v) && !(errno == ERANGE && (isinf(v) || v == 0));
    if (copy != stack) mem_free(copy);
    if (ok) *out = v;
    return ok;
}

bool parse_long_double(struct slice text, long double *out) {
    if (text.len == 0 || text.len >= NUM_LD_MAX_LEN || isspace((unsigned char)text.data[0])) return false;
    char stack[NUM_STACK_COPY], *end;
    char *copy = terminated(text, stack);
    errno = 0;
    long double v = strtold(copy, &end);
    bool ok = end == copy + text.len && !isnan(v) && !(errno == ERANGE && (isinf(v) || v == 0));
    if (copy != stack) mem_free(copy);
    if (ok) *out = v;
    return ok;
}

static unsigned digit_count(uint64_t v) {
    unsigned n = 1;
    for (;;) {
        if (v < 10) return n;
        if (v < 100) return n + 1;
        if (v < 1000) return n + 2;
        if (v < 10000) return n + 3;
        v /= 10000;
        n += 4;
    }
}

size_t format_u64(char *out, uint64_t v) {
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    if (v < 10) {
        *out = (char)('0' + v);
        return 1;
    }
    unsigned len = digit_count(v);
    char *p = out + len;
    while (v >= 100) {
        p -= 2;
        memcpy(p, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        memcpy(out, pairs + v * 2, 2);
    } else {
        *out = (char)('0' + v);
    }
    return len;
}

size_t format_i64(char *out, int64_t v) {
    if (v >= 0) return format_u64(out, (uint64_t)v);
    *out = '-';
    return 1 + format_u64(out + 1, 0 - (uint64_t)v);
}

size_t format_double(char *out, double v) {
    if (isinf(v)) {
        size_t len = v > 0 ? 3 : 4;
        memcpy(out, v > 0 ? "inf" : "-inf", len);
        return len;
    }
    /* Below 1e17 "%.17g" shows integers in full; minus zero keeps its sign there, so printf gets it. */
    if (v > -1e17 && v < 1e17 && v == (double)(int64_t)v && !(v == 0 && signbit(v))) {
        return format_i64(out, (int64_t)v);
    }
    char text[NUM_DOUBLE_MAX_LEN];
    int len = snprintf(text, sizeof text, "%.17g", v);
    CHECK(len > 0 && len < (int)sizeof text);
    memcpy(out, text, (size_t)len);
    return (size_t)len;
}

size_t format_long_double(char *out, long double v) {
    if (isinf(v)) return format_double(out, v > 0 ? (double)INFINITY : -(double)INFINITY);
    if (v > -9e18L && v < 9e18L && v == (long double)(int64_t)v) return format_i64(out, (int64_t)v);
    char text[NUM_LD_MAX_LEN];
    int printed = snprintf(text, sizeof text, "%.17Lf", v);
    CHECK(printed > 0 && printed < (int)sizeof text);
    size_t len = (size_t)printed;
    if (memchr(text, '.', len) != NULL) {
        while (text[len - 1] == '0') len--;
        if (text[len - 1] == '.') len--;
    }
    /* What is too small for 17 digits rounds to zero, which carries no sign. */
    if (len == 2 && text[0] == '-' && text[1] == '0') {
        *out = '0';
        return 1;
    }
    memcpy(out, text, len);
    return len;
}
