/* SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP: strings seen as rows of bits. What is refused, with which words and in which
 * order is Redis's; fields of several bits are cmd_bitfield.c's. */
#include "cmd_bitmap.h"
#include "events.h"
#include "handlers.h"

#include "bits.h"
#include "num.h"

bool cmd_arg_bit_offset(struct cmd_ctx *c, struct slice arg, unsigned field_bits, uint64_t *out) {
    bool in_fields = field_bits > 0 && arg.len > 0 && arg.data[0] == '#';
    if (in_fields) arg = slice_make(arg.data + 1, arg.len - 1);
    int64_t offset;
    if (!parse_i64(arg, &offset) || offset < 0 ||
        (in_fields && __builtin_mul_overflow(offset, (int64_t)field_bits, &offset)) ||
        offset / 8 >= STRING_LEN_MAX) {
        reply_error(c->reply, ERR_BIT_OFFSET);
        return false;
    }
    *out = (uint64_t)offset;
    return true;
}

char *cmd_open_bits(struct cmd_ctx *c, struct slice key, struct object *o, uint64_t last_bit) {
    size_t len = last_bit / 8 + 1;
    CHECK(len <= STRING_LEN_MAX);
    if (o != NULL && o->encoding == ENCODING_RAW && string_len(o) >= len) return NULL;
    return string_open(c->ks, c->db, key, o, len);
}

void cmd_setbit(struct cmd_ctx *c) {
    static const char *const no_bit = "ERR bit is not an integer or out of range";
    struct slice key = c->argv[1];
    uint64_t at;
    int64_t bit;
    if (!cmd_arg_bit_offset(c, c->argv[2], 0, &at)) return;
    if (!cmd_arg_i64(c, c->argv[3], &bit, no_bit)) return;
    if (bit != 0 && bit != 1) {
        reply_error(c->reply, no_bit);
        return;
    }
    struct object *o = cmd_write(c, key);
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    char scratch[NUM_I64_MAX_LEN];
    struct slice before = o != NULL ? string_get(o, scratch) : SLICE("");
    uint64_t old = bits_get(before, at, 1);
    bool changes = old != (uint64_t)bit || at / 8 >= before.len;
    char *bytes = cmd_open_bits(c, key, o, at);
    /* What neither grows nor flips is no change, and need not be stored again. */
    if (bytes == NULL && changes) bytes = string_open(c->ks, c->db, key, o, 0);
    if (bytes != NULL) bits_set(bytes, at, 1, (uint64_t)bit);
    if (changes) cmd_event(c, EVENT_STRING, "setbit", key);
    reply_int(c->reply, (int64_t)old);
}

void cmd_getbit(struct cmd_ctx *c) {
    uint64_t at;
    if (!cmd_arg_bit_offset(c, c->argv[2], 0, &at)) return;
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    char scratch[NUM_I64_MAX_LEN];
    reply_int(c->reply, o != NULL ? (int64_t)bits_get(string_get(o, scratch), at, 1) : 0);
}

/* --- ranges --- */

/* "BIT" or "BYTE"; false after answering. */
static bool parse_unit(struct cmd_ctx *c, struct slice word, bool *in_bits) {
    *in_bits = slice_is(word, "bit");
    if (*in_bits || slice_is(word, "byte")) return true;
    reply_error(c->reply, ERR_SYNTAX);
    return false;
}

/* From start to end, in bytes or bits, counted from the end when negative, as a range of bits; false when it is empty. */
static bool range_of_bits(size_t len, bool in_bits, int64_t start, int64_t end, uint64_t *from,
                          uint64_t *to) {
    int64_t total = (int64_t)len * (in_bits ? 8 : 1);
    if (start < 0) start += total;
    if (end < 0) end += total;
    if (start < 0) start = 0;
    if (end < 0) end = 0;
    if (end >= total) end = total - 1;
    if (start > end) return false;
    *from = (uint64_t)start * (in_bits ? 1 : 8);
    *to = in_bits ? (uint64_t)end : (uint64_t)end * 8 + 7;
    return true;
}

static uint64_t count_range(struct slice value, uint64_t from, uint64_t to) {
    size_t first = from / 8, last = to / 8;
    uint64_t count = bits_count(slice_make(value.data + first, last - first + 1));
    unsigned before = from & 7, behind = 7 - (to & 7);
    if (before > 0) count -= (uint64_t)__builtin_popcountll(bits_get(value, first * 8, before));
    if (behind > 0) count -= (uint64_t)__builtin_popcountll(bits_get(value, to + 1, behind));
    return count;
}

/* Redis looks the key up first: of one that is absent, the rest of the arguments is never read. */
void cmd_bitcount(struct cmd_ctx *c) {
    const struct object *o = cmd_read(c, c->argv[1]);
    if (o == NULL) {
        reply_int(c->reply, 0);
        return;
    }
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    if (c->argc == 3 || c->argc > 5) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    char scratch[NUM_I64_MAX_LEN];
    struct slice value = string_get(o, scratch);
    int64_t start = 0, end = -1;
    bool in_bits = false, reversed = false;
    if (c->argc >= 4) {
        if (!cmd_arg_i64(c, c->argv[2], &start, NULL)) return;
        if (!cmd_arg_i64(c, c->argv[3], &end, NULL)) return;
        reversed = start < 0 && end < 0 && start > end; /* an answer before the unit is looked at */
        if (!reversed && c->argc == 5 && !parse_unit(c, c->argv[4], &in_bits)) return;
    }
    uint64_t from, to;
    bool some = !reversed && range_of_bits(value.len, in_bits, start, end, &from, &to);
    reply_int(c->reply, some ? (int64_t)count_range(value, from, to) : 0);
}

void cmd_bitpos(struct cmd_ctx *c) {
    int64_t bit, start = 0, end = -1;
    if (!cmd_arg_i64(c, c->argv[2], &bit, NULL)) return;
    if (bit != 0 && bit != 1) {
        reply_error(c->reply, "ERR The bit argument must be 1 or 0.");
        return;
    }
    const struct object *o = cmd_read(c, c->argv[1]);
    if (o == NULL) { /* zeros without end; the rest of the arguments is never read */
        reply_int(c->reply, bit ? -1 : 0);
        return;
    }
    if (!cmd_is_type(c, o, OBJECT_STRING)) return;
    if (c->argc > 6) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    bool in_bits = false;
    if (c->argc >= 4 && !cmd_arg_i64(c, c->argv[3], &start, NULL)) return;
    if (c->argc == 6 && !parse_unit(c, c->argv[5], &in_bits)) return;
    if (c->argc >= 5 && !cmd_arg_i64(c, c->argv[4], &end, NULL)) return;

    char scratch[NUM_I64_MAX_LEN];
    struct slice value = string_get(o, scratch);
    uint64_t from, to;
    int64_t found = -1;
    if (range_of_bits(value.len, in_bits, start, end, &from, &to)) {
        found = bits_find(value, bit, from, to);
        /* Without an end given, the zeros behind the string count: all ones have the first of them right there. */
        if (found < 0 && bit == 0 && c->argc < 5) found = (int64_t)value.len * 8;
    }
    reply_int(c->reply, found);
}

/* --- BITOP --- */

enum bit_operation { BITOP_AND, BITOP_OR, BITOP_XOR, BITOP_NOT };

static bool parse_operation(struct cmd_ctx *c, enum bit_operation *out) {
    static const char *const words[] = {"and", "or", "xor", "not"};
    for (int i = 0; i < 4; i++) {
        if (!slice_is(c->argv[1], words[i])) continue;
        *out = (enum bit_operation)i;
        return true;
    }
    reply_error(c->reply, ERR_SYNTAX);
    return false;
}

static inline uint64_t operate(enum bit_operation operation, uint64_t a, uint64_t b) {
    switch (operation) {
    case BITOP_AND: return a & b;
    case BITOP_OR: return a | b;
    case BITOP_XOR: return a ^ b;
    case BITOP_NOT: return ~b;
    }
    CHECK(false);
}

/* Inlined with a constant operation, so that the loop holds nothing but it. */
static inline __attribute__((always_inline)) void combine_as(enum bit_operation operation, char *result,
                                                             const char *source, size_t len) {
    for (; len >= 8; result += 8, source += 8, len -= 8) {
        uint64_t a, b;
        memcpy(&a, result, 8);
        memcpy(&b, source, 8);
        a = operate(operation, a, b);
        memcpy(result, &a, 8);
    }
    for (; len > 0; result++, source++, len--)
        *result = (char)operate(operation, (uint8_t)*result, (uint8_t)*source);
}

/* One more source over what there is so far; behind its end it has zeros. */
static void combine(enum bit_operation operation, char *result, size_t result_len, struct slice source) {
    switch (operation) {
    case BITOP_AND:
        combine_as(BITOP_AND, result, source.data, source.len);
        memset(result + source.len, 0, result_len - source.len);
        break;
    case BITOP_OR: combine_as(BITOP_OR, result, source.data, source.len); break;
    case BITOP_XOR: combine_as(BITOP_XOR, result, source.data, source.len); break;
    case BITOP_NOT: combine_as(BITOP_NOT, result, source.data, source.len); break;
    }
}

/* The values, absent ones empty, and the longest length; false after answering WRONGTYPE. */
static bool load_sources(struct cmd_ctx *c, struct slice *sources, int count, size_t *len_max) {
    *len_max = 0;
    for (int i = 0; i < count; i++) {
        const struct object *o = cmd_consult(c, c->argv[3 + i]);
        if (!cmd_is_type(c, o, OBJECT_STRING)) return false;
        sources[i] = SLICE("");
        if (o != NULL) sources[i] = string_get(o, arena_alloc(c->arena, NUM_I64_MAX_LEN));
        if (sources[i].len > *len_max) *len_max = sources[i].len;
    }
    return true;
}

/* The result is made aside, as its key may be one of the sources, too. */
void cmd_bitop(struct cmd_ctx *c) {
    enum bit_operation operation;
    if (!parse_operation(c, &operation)) return;
    if (operation == BITOP_NOT && c->argc != 4) {
        reply_error(c->reply, "ERR BITOP NOT must be called with a single source key.");
        return;
    }
    int count = c->argc - 3;
    struct slice key = c->argv[2], *sources = arena_alloc(c->arena, (size_t)count * sizeof *sources);
    size_t len;
    if (!load_sources(c, sources, count, &len)) return;
    if (len == 0) {
        if (cmd_delete(c, key)) cmd_event(c, EVENT_GENERIC, "del", key);
        reply_int(c->reply, 0);
        return;
    }
    char *result = arena_alloc(c->arena, len);
    size_t first_len = operation == BITOP_NOT ? 0 : sources[0].len;
    if (first_len != 0) memcpy(result, sources[0].data, first_len);
    memset(result + first_len, 0, len - first_len);
    for (int i = operation == BITOP_NOT ? 0 : 1; i < count; i++) combine(operation, result, len, sources[i]);
    (void)cmd_write(c, key); /* goes, if it is expired */
    string_set_raw(c->ks, c->db, key, slice_make(result, len), false);
    cmd_event(c, EVENT_STRING, "set", key);
    reply_int(c->reply, (int64_t)len);
}
