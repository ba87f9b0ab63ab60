/* See resp_skim.h. A value is a line (type, text, CR LF); a bulk's line is followed by its bytes and CR LF, an
 * aggregate's by its elements. */
#include "resp_skim.h"

#include "check.h"
#include "num.h"

static bool has_length(char type) {
    return type == '$' || type == '!' || type == '=' || type == '*' || type == '%' || type == '~' ||
           type == '|' || type == '>';
}

static bool is_bulk(char type) {
    return type == '$' || type == '!' || type == '=';
}

/* One value more is complete, and with it perhaps the aggregates whose last one it was. True: that was the top-level
 * value. */
static bool value_ended(struct resp_skim *s) {
    while (s->depth > 0) {
        uint32_t at = s->depth - 1;
        CHECK(s->left[at] > 0);
        if (--s->left[at] > 0) return false;
        s->depth = at;
        if (s->is_attribute[at / 64] >> at % 64 & 1) return false; /* what it belongs to follows */
    }
    return true;
}

/* Both end together, so one takes the other's place: a script may nest thousands of lists of a single element. */
static bool is_last_of_another(const struct resp_skim *s) {
    uint32_t at = s->depth - 1;
    return s->depth > 0 && s->left[at] == 1 && s->type != '|' && !(s->is_attribute[at / 64] >> at % 64 & 1);
}

static bool open_aggregate(struct resp_skim *s, uint64_t values) {
    if (is_last_of_another(s)) {
        s->left[s->depth - 1] = values;
        return true;
    }
    if (s->depth == RESP_SKIM_DEPTH_MAX) return false;
    uint64_t bit = UINT64_C(1) << s->depth % 64, *word = &s->is_attribute[s->depth / 64];
    *word = s->type == '|' ? *word | bit : *word & ~bit;
    s->left[s->depth++] = values;
    return true;
}

enum line_outcome { LINE_BAD, LINE_GOES_ON, LINE_ENDED_VALUE };

/* The line of a type that has a length is whole. */
static enum line_outcome take_length(struct resp_skim *s) {
    int64_t n;
    CHECK(s->length_len > 0); /* the CR */
    if (!parse_i64(slice_make(s->length, s->length_len - 1u), &n)) return LINE_BAD;
    if (n < 0) return n == -1 && (s->type == '$' || s->type == '*') ? LINE_ENDED_VALUE : LINE_BAD;
    if (is_bulk(s->type)) {
        s->bulk_left = (uint64_t)n + 2;
        s->cr = false;
        return LINE_GOES_ON;
    }
    if (n > INT64_MAX / 2) return LINE_BAD;
    uint64_t values = (uint64_t)n * (s->type == '%' || s->type == '|' ? 2 : 1);
    if (values == 0) return s->type == '|' ? LINE_GOES_ON : LINE_ENDED_VALUE;
    return open_aggregate(s, values) ? LINE_GOES_ON : LINE_BAD;
}

/* Takes what is there of the line; *taken bytes. */
static enum line_outcome take_line(struct resp_skim *s, struct slice input, size_t *taken) {
    const char *newline = memchr(input.data, '\n', input.len);
    size_t len = newline ? (size_t)(newline - input.data) : input.len;
    if (has_length(s->type)) {
        if (len > sizeof s->length - s->length_len) return LINE_BAD;
        memcpy(s->length + s->length_len, input.data, len);
        s->length_len = (uint8_t)(s->length_len + len);
    }
    if (len > 0) s->cr = input.data[len - 1] == '\r';
    *taken = len + (newline != NULL);
    if (newline == NULL) return LINE_GOES_ON;
    if (!s->cr) return LINE_BAD;
    enum line_outcome outcome = has_length(s->type) ? take_length(s) : LINE_ENDED_VALUE;
    s->type = 0;
    return outcome;
}

/* Takes what is there of a bulk's bytes; false when its end is not CR LF. */
static bool take_bulk(struct resp_skim *s, struct slice input, size_t *taken) {
    size_t n = s->bulk_left < input.len ? (size_t)s->bulk_left : input.len;
    *taken = n;
    for (size_t i = s->bulk_left - n < 2 && n > 2 ? n - 2 : 0; s->bulk_left - n < 2 && i < n; i++) {
        uint64_t left = s->bulk_left - i;
        if ((left == 2 && input.data[i] != '\r') || (left == 1 && input.data[i] != '\n')) return false;
    }
    s->bulk_left -= n;
    return true;
}

static enum resp_skim_status reply_ended(struct resp_skim *s) {
    enum resp_skim_status status = s->top == '>' ? RESP_SKIM_PUSH : RESP_SKIM_REPLY;
    s->top = 0;
    return status;
}

enum resp_skim_status resp_skim(struct resp_skim *s, struct slice input, size_t *consumed) {
    size_t at = 0;
    while (at < input.len) {
        size_t taken = 0;
        bool ended = false;
        struct slice rest = slice_make(input.data + at, input.len - at);
        if (s->bulk_left > 0) {
            if (!take_bulk(s, rest, &taken)) return RESP_SKIM_ERROR;
            ended = s->bulk_left == 0;
        } else if (s->type != 0) {
            enum line_outcome outcome = take_line(s, rest, &taken);
            if (outcome == LINE_BAD) return RESP_SKIM_ERROR;
            ended = outcome == LINE_ENDED_VALUE;
        } else {
            if (memchr("+-:$*_,#!=(%~|>", rest.data[0], 15) == NULL) return RESP_SKIM_ERROR;
            s->type = rest.data[0];
            s->length_len = 0;
            s->cr = false;
            if (s->depth == 0) s->top = s->type;
            taken = 1;
        }
        at += taken;
        *consumed = at;
        if (ended && value_ended(s)) return reply_ended(s);
    }
    *consumed = at;
    return RESP_SKIM_MORE;
}
