/* Strings and lists of one key, after Redis's documentation. */
#include "model.h"

#include "num.h"

void move_free(struct move *m) {
    buf_free(&m->next);
    buf_free(&m->reply);
}

static void reply_number(struct move *m, int64_t v) {
    char digits[NUM_I64_MAX_LEN];
    buf_add(&m->reply, digits, format_i64(digits, v));
}

static void reply_value(struct move *m, struct result value) {
    m->reply_is_nil = value.is_nil;
    if (!value.is_nil) buf_add_slice(&m->reply, value.text);
}

static void become(struct move *m, struct slice text) {
    m->changes = true;
    buf_add_slice(&m->next, text);
}

static void become_nil(struct move *m) {
    m->changes = true;
    m->next_is_nil = true;
}

static void apply_incrby(struct slice arg, struct result now, struct move *m) {
    int64_t value = 0, by = 0, sum;
    if ((!now.is_nil && !parse_i64(now.text, &value)) || !parse_i64(arg, &by) ||
        __builtin_add_overflow(value, by, &sum)) {
        m->is_possible = false;
        return;
    }
    reply_number(m, sum);
    become(m, buf_slice(&m->reply));
}

static int64_t item_count(struct slice list) {
    int64_t n = 0;
    for (size_t i = 0; i < list.len; i++) n += list.data[i] == ',';
    return n;
}

static void apply_lpop(struct result now, struct move *m) {
    const char *comma = now.is_nil ? NULL : memchr(now.text.data, ',', now.text.len);
    if (comma == NULL) {
        m->reply_is_nil = true;
        return;
    }
    size_t len = (size_t)(comma - now.text.data);
    buf_add(&m->reply, now.text.data, len);
    if (len + 1 == now.text.len) {
        become_nil(m);
    } else {
        become(m, slice_make(comma + 1, now.text.len - len - 1));
    }
}

void model_apply(enum op_kind kind, struct slice arg, struct result now, struct move *m) {
    struct slice text = now.is_nil ? SLICE("") : now.text;
    buf_clear(&m->next);
    buf_clear(&m->reply);
    m->is_possible = true;
    m->changes = m->next_is_nil = m->reply_is_nil = false;
    switch (kind) {
    case OP_GET:
    case OP_LRANGE: reply_value(m, now); return;
    case OP_STRLEN: reply_number(m, (int64_t)text.len); return;
    case OP_SET:
        buf_add_str(&m->reply, "OK");
        become(m, arg);
        return;
    case OP_SETNX:
        reply_number(m, now.is_nil);
        if (now.is_nil) become(m, arg);
        return;
    case OP_GETSET:
        reply_value(m, now);
        become(m, arg);
        return;
    case OP_DEL:
        reply_number(m, !now.is_nil);
        if (!now.is_nil) become_nil(m);
        return;
    case OP_GETDEL:
        reply_value(m, now);
        if (!now.is_nil) become_nil(m);
        return;
    case OP_INCRBY: apply_incrby(arg, now, m); return;
    case OP_APPEND:
        become(m, text);
        buf_add_slice(&m->next, arg);
        reply_number(m, (int64_t)m->next.len);
        return;
    case OP_RPUSH:
        become(m, text);
        buf_add_slice(&m->next, arg);
        buf_add_byte(&m->next, ',');
        reply_number(m, item_count(buf_slice(&m->next)));
        return;
    case OP_LPOP: apply_lpop(now, m); return;
    case OP_KINDS: break;
    }
    m->is_possible = false;
}

bool model_reply_is(const struct move *m, struct result observed) {
    if (!m->is_possible || m->reply_is_nil != observed.is_nil) return false;
    return observed.is_nil || slice_eq(buf_slice(&m->reply), observed.text);
}

bool model_never_changes(const struct op *op) {
    switch (op->kind) {
    case OP_GET:
    case OP_STRLEN:
    case OP_LRANGE: return true;
    case OP_SETNX:
    case OP_DEL: return op->outcome == OP_ANSWERED && slice_eq(op->result.text, SLICE("0"));
    case OP_GETDEL:
    case OP_LPOP: return op->outcome == OP_ANSWERED && op->result.is_nil;
    default: return false;
    }
}
