/* BITFIELD and BITFIELD_RO: integers of 1 to 64 bits anywhere in a string. All arguments are read before the key is
 * looked at, so a wrong one changes nothing. */
#include "cmd_bitmap.h"
#include "events.h"
#include "handlers.h"

#include "bits.h"
#include "num.h"

enum field_verb { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum field_overflow { FIELD_WRAP, FIELD_SATURATE, FIELD_FAIL };

struct field_op {
    enum field_verb verb;
    enum field_overflow overflow;
    bool is_signed;
    unsigned width;
    uint64_t at;    /* first bit */
    int64_t number; /* of SET and INCRBY */
};

struct field_ops {
    struct field_op *items;
    int count;
    bool writes;
    uint64_t last_bit; /* the farthest one that is written */
};

/* --- arguments --- */

/* i1..i64, u1..u63. A zero byte ends the number, as it does in Redis. */
static bool parse_type(struct cmd_ctx *c, struct slice arg, struct field_op *op) {
    int64_t width;
    bool ok = arg.len > 0 && (arg.data[0] == 'i' || arg.data[0] == 'u');
    op->is_signed = ok && arg.data[0] == 'i';
    struct slice digits = slice_make(arg.data + 1, ok ? strnlen(arg.data + 1, arg.len - 1) : 0);
    if (!ok || !parse_i64(digits, &width) || width < 1 || width > (op->is_signed ? 64 : 63)) {
        reply_error(c->reply, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
                              "supported but i64 is.");
        return false;
    }
    op->width = (unsigned)width;
    return true;
}

static bool parse_overflow(struct cmd_ctx *c, struct slice word, enum field_overflow *out) {
    if (slice_is(word, "wrap"))
        *out = FIELD_WRAP;
    else if (slice_is(word, "sat"))
        *out = FIELD_SATURATE;
    else if (slice_is(word, "fail"))
        *out = FIELD_FAIL;
    else {
        reply_error(c->reply, "ERR Invalid OVERFLOW type specified");
        return false;
    }
    return true;
}

static bool parse_verb(struct slice word, int args_left, enum field_verb *out) {
    if (slice_is(word, "get") && args_left >= 2)
        *out = FIELD_GET;
    else if (slice_is(word, "set") && args_left >= 3)
        *out = FIELD_SET;
    else if (slice_is(word, "incrby") && args_left >= 3)
        *out = FIELD_INCRBY;
    else
        return false;
    return true;
}

/* A field that begins in the last bytes a string can have may not fit any more; Redis would let the string grow a
 * little too long for it. */
static bool fits(struct cmd_ctx *c, const struct field_op *op) {
    if ((op->at + op->width - 1) / 8 < STRING_LEN_MAX) return true;
    reply_error(c->reply, ERR_BIT_OFFSET);
    return false;
}

/* The operation at argv[*i], which is left at its last argument; false after answering. */
static bool parse_op(struct cmd_ctx *c, int *i, struct field_op *op) {
    if (!parse_verb(c->argv[*i], c->argc - *i - 1, &op->verb)) {
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    if (!parse_type(c, c->argv[*i + 1], op)) return false;
    if (!cmd_arg_bit_offset(c, c->argv[*i + 2], op->width, &op->at)) return false;
    *i += 2;
    if (op->verb == FIELD_GET) return true;
    return cmd_arg_i64(c, c->argv[++*i], &op->number, NULL) && fits(c, op);
}

static bool parse_ops(struct cmd_ctx *c, struct field_ops *ops) {
    enum field_overflow overflow = FIELD_WRAP;
    ops->items = arena_alloc(c->arena, ((size_t)c->argc / 3 + 1) * sizeof *ops->items);
    for (int i = 2; i < c->argc; i++) {
        if (slice_is(c->argv[i], "overflow") && i + 1 < c->argc) {
            if (!parse_overflow(c, c->argv[++i], &overflow)) return false;
            continue;
        }
        struct field_op *op = &ops->items[ops->count];
        *op = (struct field_op){.overflow = overflow};
        if (!parse_op(c, &i, op)) return false;
        ops->count++;
        if (op->verb == FIELD_GET) continue;
        ops->writes = true;
        uint64_t last = op->at + op->width - 1;
        if (last > ops->last_bit) ops->last_bit = last;
    }
    return true;
}

/* --- arithmetic --- */

/* Wide enough for every field and the sum of two of them. */
typedef __int128 field_value;

static field_value field_read(const struct field_op *op, struct slice value) {
    uint64_t bits = bits_get(value, op->at, op->width);
    if (!op->is_signed) return bits;
    unsigned unused = 64 - op->width;
    return (int64_t)(bits << unused) >> unused;
}

/* What SET and INCRBY make of a field that holds `old`; false when it does not fit and OVERFLOW FAIL says to leave it. */
static bool field_next(const struct field_op *op, field_value old, field_value *out) {
    field_value one = 1;
    field_value min = op->is_signed ? -(one << (op->width - 1)) : 0;
    field_value max = (op->is_signed ? one << (op->width - 1) : one << op->width) - 1;
    /* An unsigned field takes a negative number for the huge one that has the same bits. */
    field_value value = op->verb == FIELD_INCRBY ? old + op->number
                        : op->is_signed          ? op->number
                                                 : (field_value)(uint64_t)op->number;
    if (value >= min && value <= max) {
        *out = value;
        return true;
    }
    switch (op->overflow) {
    case FIELD_FAIL: return false;
    case FIELD_SATURATE:
        /* Redis takes the distance to the maximum for negative when it exceeds 63 bits, and then the maximum for passed: a
         * narrow field that is SET to nearly the smallest number there is ends at its largest. */
        *out = value > max || (op->verb == FIELD_SET && max - value > INT64_MAX) ? max : min;
        return true;
    case FIELD_WRAP: break;
    }
    unsigned unused = 64 - op->width;
    uint64_t bits = (uint64_t)value << unused;
    *out = op->is_signed ? (field_value)((int64_t)bits >> unused) : (field_value)(bits >> unused);
    return true;
}

/* --- running --- */

static void run_get(struct cmd_ctx *c, const struct field_op *op, const struct object *o) {
    char scratch[NUM_I64_MAX_LEN];
    reply_int(c->reply, (int64_t)field_read(op, o != NULL ? string_get(o, scratch) : SLICE("")));
}

enum write_outcome { WRITE_REFUSED, WRITE_SAME, WRITE_CHANGED };

/* *opened: the bytes while they are open for writing and no change was counted for it yet. Redis counts a change for each
 * field that changes, and for each one when the string has grown. */
static enum write_outcome run_write(struct cmd_ctx *c, const struct field_op *op, struct object *o,
                                    bool grown, char **opened) {
    field_value old = field_read(op, string_get(o, NULL)), next;
    if (!field_next(op, old, &next)) {
        reply_null(c->reply);
        return WRITE_REFUSED;
    }
    if (grown || old != next) {
        char *bytes = *opened != NULL ? *opened : string_open(c->ks, c->db, c->argv[1], o, 0);
        *opened = NULL;
        bits_set(bytes, op->at, op->width, (uint64_t)next);
    }
    reply_int(c->reply, (int64_t)(op->verb == FIELD_SET ? old : next));
    return old != next ? WRITE_CHANGED : WRITE_SAME;
}

static void run_ops(struct cmd_ctx *c, const struct field_ops *ops) {
    struct slice key = c->argv[1];
    struct object *o = cmd_write(c, key);
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    size_t len = o != NULL ? string_len(o) : 0;
    char *opened = cmd_open_bits(c, key, o, ops->last_bit);
    bool grown = opened != NULL;
    o = cmd_write(c, key);
    CHECK(o != NULL);
    reply_array(c->reply, (size_t)ops->count);
    bool is_longer = string_len(o) > len, changed = false;
    for (int i = 0; i < ops->count; i++) {
        if (ops->items[i].verb == FIELD_GET) {
            run_get(c, &ops->items[i], o);
            continue;
        }
        enum write_outcome outcome = run_write(c, &ops->items[i], o, grown, &opened);
        if (outcome == WRITE_CHANGED || (outcome == WRITE_SAME && is_longer)) changed = true;
    }
    if (changed) cmd_event(c, EVENT_STRING, "setbit", key);
}

static void run_gets(struct cmd_ctx *c, const struct field_ops *ops, const struct object *o) {
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    reply_array(c->reply, (size_t)ops->count);
    for (int i = 0; i < ops->count; i++) run_get(c, &ops->items[i], o);
}

void cmd_bitfield(struct cmd_ctx *c) {
    struct field_ops ops = {0};
    if (!parse_ops(c, &ops)) return;
    if (ops.writes)
        run_ops(c, &ops);
    else
        run_gets(c, &ops, cmd_consult(c, c->argv[1]));
}

void cmd_bitfield_ro(struct cmd_ctx *c) {
    struct field_ops ops = {0};
    if (!parse_ops(c, &ops)) return;
    if (ops.writes)
        reply_error(c->reply, "ERR BITFIELD_RO only supports the GET subcommand");
    else
        run_gets(c, &ops, cmd_read(c, c->argv[1]));
}
