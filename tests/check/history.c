/* Histories in memory and as text. What they mean is check.c's business. */
#include "history.h"

#include "arena.h"
#include "check.h"
#include "mem.h"
#include "num.h"

struct history {
    struct arena bytes;
    struct op *ops;
    size_t count, cap;
};

static const char *const kind_names[OP_KINDS] = {"GET",    "STRLEN", "SET",    "SETNX", "GETSET", "DEL",
                                                 "GETDEL", "INCRBY", "APPEND", "RPUSH", "LPOP",   "LRANGE"};

const char *op_kind_name(enum op_kind kind) {
    return kind_names[kind];
}

static bool kind_takes_arg(enum op_kind kind) {
    return kind == OP_SET || kind == OP_SETNX || kind == OP_GETSET || kind == OP_INCRBY ||
           kind == OP_APPEND || kind == OP_RPUSH;
}

struct history *history_new(void) {
    return mem_calloc(1, sizeof(struct history));
}

void history_free(struct history *h) {
    if (h == NULL) return;
    arena_free(&h->bytes);
    mem_free(h->ops);
    mem_free(h);
}

size_t history_start(struct history *h, uint32_t client, enum op_kind kind, struct slice key,
                     struct slice arg, uint64_t start) {
    int64_t number;
    CHECK(kind < OP_KINDS);
    CHECK(kind != OP_INCRBY || parse_i64(arg, &number));
    CHECK(kind != OP_RPUSH || memchr(arg.data, ',', arg.len) == NULL);
    if (h->count == h->cap) {
        h->cap = h->cap == 0 ? 1024 : h->cap * 2;
        h->ops = mem_realloc(h->ops, h->cap * sizeof *h->ops);
    }
    h->ops[h->count] = (struct op){.client = client,
                                   .kind = kind,
                                   .outcome = OP_UNKNOWN,
                                   .key = arena_copy(&h->bytes, key),
                                   .arg = arena_copy(&h->bytes, kind_takes_arg(kind) ? arg : SLICE("")),
                                   .start = start,
                                   .end = UINT64_MAX};
    return h->count++;
}

static struct op *op_to_end(struct history *h, size_t op, uint64_t end) {
    CHECK(op < h->count);
    struct op *o = &h->ops[op];
    CHECK(o->outcome == OP_UNKNOWN);
    CHECK(o->start <= end);
    o->end = end;
    return o;
}

void history_end(struct history *h, size_t op, uint64_t end, struct result result) {
    struct op *o = op_to_end(h, op, end);
    o->outcome = OP_ANSWERED;
    o->result.is_nil = result.is_nil;
    if (!result.is_nil) o->result.text = arena_copy(&h->bytes, result.text);
}

void history_refuse(struct history *h, size_t op, uint64_t end, struct slice why) {
    struct op *o = op_to_end(h, op, end);
    o->outcome = OP_REFUSED;
    o->result = result_text(arena_copy(&h->bytes, why));
}

size_t history_count(const struct history *h) {
    return h->count;
}

const struct op *history_op(const struct history *h, size_t op) {
    CHECK(op < h->count);
    return &h->ops[op];
}

/* ------------------------------------------------------------------------------------------------------- text */

static bool is_plain(char c) {
    return c > ' ' && c <= '~' && c != '%' && c != '"';
}

/* A word of the format: as it is, or in quotes when it is empty or would read as something else; bytes that are not
 * printable as %XX. */
static void add_word(struct buf *out, struct slice text) {
    bool quoted = text.len == 0 || slice_eq(text, SLICE("nil")) || slice_eq(text, SLICE("?")) ||
                  slice_eq(text, SLICE("->")) || text.data[0] == '!';
    if (quoted) buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (is_plain(text.data[i])) {
            buf_add_byte(out, (uint8_t)text.data[i]);
        } else {
            buf_printf(out, "%%%02x", (unsigned char)text.data[i]);
        }
    }
    if (quoted) buf_add_byte(out, '"');
}

void history_write_op(const struct op *op, struct buf *out) {
    buf_printf(out, "%u %llu ", op->client, (unsigned long long)op->start);
    if (op->outcome == OP_UNKNOWN) {
        buf_add_str(out, "-");
    } else {
        buf_printf(out, "%llu", (unsigned long long)op->end);
    }
    buf_printf(out, " %s ", kind_names[op->kind]);
    add_word(out, op->key);
    if (kind_takes_arg(op->kind)) {
        buf_add_byte(out, ' ');
        add_word(out, op->arg);
    }
    buf_add_str(out, " -> ");
    if (op->outcome == OP_UNKNOWN) {
        buf_add_byte(out, '?');
    } else if (op->outcome == OP_REFUSED) {
        buf_printf(out, "!%.*s", (int)op->result.text.len, op->result.text.data);
    } else if (op->result.is_nil) {
        buf_add_str(out, "nil");
    } else {
        add_word(out, op->result.text);
    }
    buf_add_byte(out, '\n');
}

static struct slice next_word(struct slice *line) {
    while (line->len != 0 && line->data[0] == ' ') *line = slice_make(line->data + 1, line->len - 1);
    const char *end = line->len == 0 ? NULL : memchr(line->data, ' ', line->len);
    struct slice word = slice_make(line->data, end != NULL ? (size_t)(end - line->data) : line->len);
    *line = slice_make(line->data + word.len, line->len - word.len);
    return word;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What add_word wrote, decoded to `out`. */
static bool decode_word(struct slice word, struct buf *out) {
    if (word.len == 0) return false;
    if (word.data[0] == '"') {
        if (word.len < 2 || word.data[word.len - 1] != '"') return false;
        word = slice_make(word.data + 1, word.len - 2);
    }
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] != '%') {
            if (!is_plain(word.data[i])) return false;
            buf_add_byte(out, (uint8_t)word.data[i]);
            continue;
        }
        if (i + 2 >= word.len) return false;
        int high = hex_digit(word.data[i + 1]), low = hex_digit(word.data[i + 2]);
        if (high < 0 || low < 0) return false;
        buf_add_byte(out, (uint8_t)(high * 16 + low));
        i += 2;
    }
    return true;
}

static bool kind_of(struct slice name, enum op_kind *kind, bool *is_incr) {
    *is_incr = slice_eq(name, SLICE("INCR"));
    if (*is_incr) name = SLICE("INCRBY");
    for (int k = 0; k < OP_KINDS; k++) {
        if (slice_eq(name, slice_of(kind_names[k]))) {
            *kind = (enum op_kind)k;
            return true;
        }
    }
    return false;
}

/* CLIENT START END|- KIND KEY [ARG] -> RESULT|nil|?|!WHY */
static bool read_line(struct history *h, struct slice line, struct buf *key, struct buf *arg,
                      struct buf *text) {
    uint64_t client, start, end = 0;
    enum op_kind kind;
    bool is_incr;
    int64_t number;
    if (!parse_u64(next_word(&line), &client) || client > UINT32_MAX ||
        !parse_u64(next_word(&line), &start)) {
        return false;
    }
    struct slice end_word = next_word(&line);
    bool is_open = slice_eq(end_word, SLICE("-"));
    if (!is_open && (!parse_u64(end_word, &end) || end < start || end == UINT64_MAX)) return false;
    if (!kind_of(next_word(&line), &kind, &is_incr) || !decode_word(next_word(&line), key)) return false;
    if (is_incr) buf_add_byte(arg, '1');
    if (kind_takes_arg(kind) && !is_incr && !decode_word(next_word(&line), arg)) return false;
    if (kind == OP_INCRBY && !parse_i64(buf_slice(arg), &number)) return false;
    if (kind == OP_RPUSH && arg->len != 0 && memchr(arg->data, ',', arg->len) != NULL) return false;
    if (!slice_eq(next_word(&line), SLICE("->"))) return false;
    struct slice result = line;
    while (result.len != 0 && result.data[0] == ' ') result = slice_make(result.data + 1, result.len - 1);
    if (is_open != slice_eq(result, SLICE("?"))) return false;
    bool is_refused = result.len != 0 && result.data[0] == '!', is_nil = slice_eq(result, SLICE("nil"));
    if (!is_open && !is_refused && !is_nil && !decode_word(result, text)) return false;
    size_t op = history_start(h, (uint32_t)client, kind, buf_slice(key), buf_slice(arg), start);
    if (is_refused) {
        history_refuse(h, op, end, slice_make(result.data + 1, result.len - 1));
    } else if (!is_open) {
        history_end(h, op, end, is_nil ? result_nil() : result_text(buf_slice(text)));
    }
    return true;
}

enum rc history_read(struct history *h, struct slice text, size_t *line) {
    struct buf key = {0}, arg = {0}, result = {0};
    enum rc rc = RC_OK;
    for (*line = 1; text.len != 0 && rc == RC_OK; ++*line) {
        const char *end = memchr(text.data, '\n', text.len);
        struct slice one = slice_make(text.data, end != NULL ? (size_t)(end - text.data) : text.len);
        size_t taken = one.len + (end != NULL);
        text = slice_make(text.data + taken, text.len - taken);
        if (one.len == 0 || one.data[0] == '#') continue;
        buf_clear(&key);
        buf_clear(&arg);
        buf_clear(&result);
        if (!read_line(h, one, &key, &arg, &result)) rc = RC_INVALID;
    }
    if (rc != RC_OK) --*line;
    buf_free(&key);
    buf_free(&arg);
    buf_free(&result);
    return rc;
}
