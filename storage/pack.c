/* See pack.h. First bytes of an entry:
 *
 *     0xxxxxxx                     an integer from 0 to 127
 *     10llllll                     a text of l bytes
 *     110xxxxx xxxxxxxx            an integer of 13 bits, the higher ones first
 *     1110llll llllllll            a text, the higher bits of its length first
 *     11110000 and 4 bytes         a text; its length little-endian
 *     11110001 ... 11110100        an integer of 2, 3, 4, 8 bytes, little-endian
 *     11111111                     the end
 *
 * All integers are two's complement, but for the first kind. Behind an entry stands how many bytes it has, seven bits a byte, the
 * higher ones first; all bytes but the first have their top bit set. A length takes one byte more than it needs when all bits of
 * what it needs are ones, but for the single byte: so Redis writes them, and both sides must agree. */
#include "pack.h"

#include "check.h"
#include "mem.h"

enum {
    HEAD_SIZE = 6,
    COUNT_UNKNOWN = 65535,
    END = 0xff,
    TEXT_6_MAX = 63,
    TEXT_12_MAX = 4095,
    BACK_MAX = 5,
};
enum {
    CODE_TEXT_6 = 0x80,
    CODE_INT_13 = 0xc0,
    CODE_TEXT_12 = 0xe0,
    CODE_TEXT_32 = 0xf0,
    CODE_INT_16 = 0xf1,
    CODE_INT_24 = 0xf2,
    CODE_INT_32 = 0xf3,
    CODE_INT_64 = 0xf4,
};

/* --- reading one entry --- */

static inline const uint8_t *bytes_at(struct slice p, size_t at) {
    return (const uint8_t *)p.data + at;
}

static inline bool is_end(const uint8_t *e) {
    return *e == END;
}

static inline size_t back_size(size_t entry_size) {
    if (entry_size < 128) return 1;
    if (entry_size < 16383) return 2;
    if (entry_size < 2097151) return 3;
    if (entry_size < 268435455) return 4;
    return 5;
}

static inline uint32_t u32_at(const uint8_t *e) {
    uint32_t v;
    memcpy(&v, e, sizeof v);
    return v;
}

/* Bytes of the integers with the codes from CODE_INT_16 on. */
static inline size_t int_bytes(uint8_t code) {
    return code == CODE_INT_64 ? 8 : code - CODE_INT_16 + 2u;
}

/* Of an entry, without the length behind it. */
static inline size_t entry_size(const uint8_t *e) {
    uint8_t code = *e;
    if (code < CODE_TEXT_6) return 1;
    if (code < CODE_INT_13) return 1 + (code & 63u);
    if (code < CODE_TEXT_12) return 2;
    if (code < CODE_TEXT_32) return 2 + ((code & 15u) << 8 | e[1]);
    if (code == CODE_TEXT_32) return 5 + (size_t)u32_at(e + 1);
    return 1 + int_bytes(code);
}

static inline size_t whole_size(const uint8_t *e) {
    size_t size = entry_size(e);
    return size + back_size(size);
}

/* The entries of less common kinds. */
static int64_t wide_int(const uint8_t *e) {
    if (*e < CODE_TEXT_12) {
        uint32_t v = (*e & 31u) << 8 | e[1];
        return (int64_t)(v ^ 0x1000) - 0x1000;
    }
    size_t n = int_bytes(*e);
    uint64_t v = 0;
    memcpy(&v, e + 1, n);
    unsigned shift = 64 - 8 * (unsigned)n;
    return (int64_t)(v << shift) >> shift;
}

static inline struct pack_value value_at(const uint8_t *e) {
    uint8_t code = *e;
    if (code < CODE_TEXT_6) return pack_integer(code);
    size_t header;
    if (code < CODE_INT_13)
        header = 1;
    else if (code >= CODE_TEXT_12 && code < CODE_TEXT_32)
        header = 2;
    else if (code == CODE_TEXT_32)
        header = 5;
    else
        return pack_integer(wide_int(e));
    return pack_bytes(slice_make((const char *)e + header, entry_size(e) - header));
}

/* --- writing one entry --- */

static size_t int_size(int64_t v) {
    if (v >= 0 && v <= 127) return 1;
    if (v >= -4096 && v <= 4095) return 2;
    if (v >= INT16_MIN && v <= INT16_MAX) return 3;
    if (v >= -8388608 && v <= 8388607) return 4;
    if (v >= INT32_MIN && v <= INT32_MAX) return 5;
    return 9;
}

static size_t value_entry_size(const struct pack_value *v) {
    if (v->is_int) return int_size(v->integer);
    size_t len = v->text.len;
    return len + (len <= TEXT_6_MAX ? 1 : len <= TEXT_12_MAX ? 2 : 5);
}

static void write_int(uint8_t *e, size_t size, int64_t v) {
    if (size == 1) {
        *e = (uint8_t)v;
    } else if (size == 2) {
        e[0] = (uint8_t)(CODE_INT_13 | (((uint64_t)v >> 8) & 31));
        e[1] = (uint8_t)v;
    } else {
        *e = (uint8_t)(size == 9 ? CODE_INT_64 : CODE_INT_16 + size - 3);
        memcpy(e + 1, &v, size - 1);
    }
}

static void write_back(uint8_t *e, size_t size) {
    size_t n = back_size(size);
    for (size_t i = n; i-- > 0;) {
        e[i] = (uint8_t)((size & 127) | (i > 0 ? 128 : 0));
        size >>= 7;
    }
}

/* `size` is value_entry_size(). */
static void write_entry(uint8_t *e, const struct pack_value *v, size_t size) {
    if (v->is_int) {
        write_int(e, size, v->integer);
    } else {
        size_t len = v->text.len;
        uint32_t len32 = (uint32_t)len;
        if (len <= TEXT_6_MAX) {
            e[0] = (uint8_t)(CODE_TEXT_6 | len);
        } else if (len <= TEXT_12_MAX) {
            e[0] = (uint8_t)(CODE_TEXT_12 | len >> 8);
            e[1] = (uint8_t)len;
        } else {
            e[0] = CODE_TEXT_32;
            memcpy(e + 1, &len32, sizeof len32);
        }
        if (len > 0) memcpy(e + size - len, v->text.data, len);
    }
    write_back(e + size, size);
}

struct pack_value pack_text(struct slice text) {
    int64_t v;
    if (text.len <= NUM_I64_MAX_LEN && parse_i64(text, &v)) return pack_integer(v);
    return pack_bytes(text);
}

size_t pack_value_size(struct pack_value v) {
    size_t size = value_entry_size(&v);
    return size + back_size(size);
}

/* --- the head --- */

static inline unsigned count_get(const char *data) {
    uint16_t n;
    memcpy(&n, data + 4, sizeof n);
    return n;
}

static void head_set(struct buf *p, size_t len, size_t count) {
    CHECK(len <= UINT32_MAX);
    uint32_t len32 = (uint32_t)len;
    uint16_t n = (uint16_t)(count < COUNT_UNKNOWN ? count : COUNT_UNKNOWN);
    p->len = len;
    memcpy(p->data, &len32, sizeof len32);
    memcpy(p->data + 4, &n, sizeof n);
}

/* Room for a pack of `len` bytes, and no more than the allocator gives anyway. */
static void make_room(struct buf *p, size_t len) {
    if (len <= p->cap) return;
    p->data = mem_realloc(p->data, len);
    p->cap = mem_size(p->data);
}

void pack_begin(struct buf *p) {
    make_room(p, PACK_EMPTY_SIZE);
    p->data[HEAD_SIZE] = (char)END;
    head_set(p, PACK_EMPTY_SIZE, 0);
}

static size_t count_from(const uint8_t *e) {
    size_t n = 0;
    for (; !is_end(e); e += whole_size(e)) n++;
    return n;
}

size_t pack_count(struct slice p) {
    unsigned n = count_get(p.data);
    return n != COUNT_UNKNOWN ? n : count_from(bytes_at(p, HEAD_SIZE));
}

/* --- walking --- */

size_t pack_first(struct slice p) {
    return is_end(bytes_at(p, HEAD_SIZE)) ? 0 : HEAD_SIZE;
}

/* Where the entry begins that ends before `at`. */
static size_t before(struct slice p, size_t at) {
    if (at <= HEAD_SIZE) return 0;
    const uint8_t *b = bytes_at(p, at);
    size_t size = 0;
    unsigned shift = 0;
    do {
        b--;
        size |= (size_t)(*b & 127) << shift;
        shift += 7;
    } while (*b & 128);
    return (size_t)(b - (const uint8_t *)p.data) - size;
}

size_t pack_last(struct slice p) {
    return before(p, p.len - 1);
}

size_t pack_next(struct slice p, size_t at) {
    at += whole_size(bytes_at(p, at));
    return is_end(bytes_at(p, at)) ? 0 : at;
}

size_t pack_prev(struct slice p, size_t at) {
    return before(p, at);
}

static size_t walk_on(struct slice p, uint64_t steps) {
    const uint8_t *e = bytes_at(p, HEAD_SIZE);
    for (; steps > 0 && !is_end(e); steps--) e += whole_size(e);
    return is_end(e) ? 0 : (size_t)(e - (const uint8_t *)p.data);
}

static size_t walk_back(struct slice p, uint64_t steps) {
    size_t at = pack_last(p);
    for (; steps > 0 && at != 0; steps--) at = before(p, at);
    return at;
}

size_t pack_seek(struct slice p, int64_t index) {
    unsigned n = count_get(p.data);
    if (n != COUNT_UNKNOWN) {
        if (index >= (int64_t)n || index < -(int64_t)n) return 0;
        if (index < 0) index += n;
        if (index > (int64_t)n / 2) index -= n;
    }
    return index >= 0 ? walk_on(p, (uint64_t)index) : walk_back(p, -(uint64_t)index - 1);
}

struct pack_value pack_get(struct slice p, size_t at) {
    return value_at(bytes_at(p, at));
}

struct slice pack_get_text(struct slice p, size_t at, char *scratch) {
    struct pack_value v = value_at(bytes_at(p, at));
    return v.is_int ? slice_make(scratch, format_i64(scratch, v.integer)) : v.text;
}

/* --- finding --- */

/* An integer may stand as a text, if its maker did not look. */
static bool spells(struct slice text, int64_t v) {
    int64_t spelled;
    return text.len <= NUM_I64_MAX_LEN && parse_i64(text, &spelled) && spelled == v;
}

static inline bool is_integer(const uint8_t *e, int64_t v) {
    if (*e < CODE_TEXT_6) return v == *e;
    struct pack_value here = value_at(e);
    return here.is_int ? here.integer == v : spells(here.text, v);
}

/* Lengths are compared first: most entries differ there, and their bytes are not looked at. */
static inline bool is_text(const uint8_t *e, struct slice text) {
    uint8_t code = *e;
    if (code < CODE_TEXT_6) return false;
    if (code < CODE_INT_13) return slice_eq(slice_make((const char *)e + 1, code & 63u), text);
    struct pack_value here = value_at(e);
    return !here.is_int && slice_eq(here.text, text);
}

bool pack_is(struct slice p, size_t at, const struct pack_value *v) {
    const uint8_t *e = bytes_at(p, at);
    return v->is_int ? is_integer(e, v->integer) : is_text(e, v->text);
}

static inline const uint8_t *skip_entries(const uint8_t *e, unsigned count) {
    for (; count > 0 && !is_end(e); count--) e += whole_size(e);
    return e;
}

/* The search of nearly all lookups: the first byte tells kind and length, and names made by a program differ at their
 * ends if anywhere, so few entries need a comparison. A short text may stand behind a long head, if its maker liked. */
static size_t find_short_text(struct slice p, const uint8_t *e, struct slice text, unsigned stride) {
    uint8_t code = (uint8_t)(CODE_TEXT_6 | text.len), last = (uint8_t)text.data[text.len - 1];
    for (; !is_end(e); e = skip_entries(e, stride)) {
        bool found = *e == code ? e[text.len] == last && memcmp(e + 1, text.data, text.len) == 0
                                : *e >= CODE_TEXT_12 && is_text(e, text);
        if (found) return (size_t)(e - (const uint8_t *)p.data);
    }
    return 0;
}

size_t pack_find(struct slice p, size_t from, const struct pack_value *v, unsigned stride) {
    CHECK(stride > 0);
    if (from == 0) return 0;
    const uint8_t *e = bytes_at(p, from);
    if (!v->is_int && v->text.len > 0 && v->text.len <= TEXT_6_MAX)
        return find_short_text(p, e, v->text, stride);
    while (!is_end(e)) {
        if (v->is_int ? is_integer(e, v->integer) : is_text(e, v->text))
            return (size_t)(e - (const uint8_t *)p.data);
        e = skip_entries(e, stride);
    }
    return 0;
}

/* --- changing --- */

/* The count when `more` have come, kept unknown when it was. */
static size_t count_grown(const struct buf *p, size_t more) {
    unsigned n = count_get(p->data);
    return n == COUNT_UNKNOWN ? COUNT_UNKNOWN : n + more;
}

/* Makes the bytes [at, at + was) of the pack `now` many, moving what is behind them. */
static uint8_t *resize_at(struct buf *p, size_t at, size_t was, size_t now) {
    make_room(p, p->len - was + now);
    char *hole = p->data + at;
    memmove(hole + now, hole + was, p->len - at - was);
    p->len = p->len - was + now;
    return (uint8_t *)hole;
}

size_t pack_insert(struct buf *p, size_t at, struct pack_value v) {
    if (at == 0) at = p->len - 1;
    size_t size = value_entry_size(&v), whole = size + back_size(size);
    uint8_t *e = resize_at(p, at, 0, whole);
    write_entry(e, &v, size);
    head_set(p, p->len, count_grown(p, 1));
    return at;
}

void pack_append(struct buf *p, struct pack_value v) {
    (void)pack_insert(p, 0, v);
}

void pack_replace(struct buf *p, size_t at, struct pack_value v) {
    size_t size = value_entry_size(&v), whole = size + back_size(size);
    uint8_t *e = resize_at(p, at, whole_size(bytes_at(buf_slice(p), at)), whole);
    write_entry(e, &v, size);
    head_set(p, p->len, count_grown(p, 0));
}

size_t pack_remove(struct buf *p, size_t at, size_t count) {
    CHECK(at >= HEAD_SIZE);
    const uint8_t *begin = bytes_at(buf_slice(p), at), *e = begin;
    size_t removed = 0;
    for (; removed < count && !is_end(e); removed++) e += whole_size(e);
    bool at_end = is_end(e);
    resize_at(p, at, (size_t)(e - begin), 0);
    unsigned n = count_get(p->data);
    head_set(p, p->len, n == COUNT_UNKNOWN ? count_from(bytes_at(buf_slice(p), HEAD_SIZE)) : n - removed);
    return at_end ? 0 : at;
}

/* Entries that are whole already, from elsewhere. */
static void append_entries(struct buf *to, const char *entries, size_t len, size_t count) {
    uint8_t *hole = resize_at(to, to->len - 1, 0, len);
    memcpy(hole, entries, len);
    head_set(to, to->len, count_grown(to, count));
}

void pack_move_tail(struct buf *from, size_t at, struct buf *to) {
    if (at == 0) return;
    size_t len = from->len - 1 - at, n = count_from((const uint8_t *)from->data + at);
    size_t was = pack_count(buf_slice(from));
    append_entries(to, from->data + at, len, n);
    from->data[at] = (char)END;
    head_set(from, at + 1, was - n);
}

void pack_join(struct buf *to, struct buf *from) {
    append_entries(to, from->data + HEAD_SIZE, from->len - PACK_EMPTY_SIZE, pack_count(buf_slice(from)));
    pack_begin(from);
}

void pack_trim(struct buf *p) {
    if (p->cap == p->len) return;
    p->data = mem_realloc(p->data, p->len);
    p->cap = mem_size(p->data);
}

/* --- bytes from outside --- */

/* The bytes that tell an entry's size, 0 for what begins none. */
static size_t size_bytes(uint8_t code) {
    if (code < CODE_TEXT_12) return 1;
    if (code < CODE_TEXT_32) return 2;
    if (code == CODE_TEXT_32) return 5;
    return code <= CODE_INT_64 ? 1 : 0;
}

/* The whole size of the entry at the front of `left` bytes, the end's byte not counted; 0 when it is none. */
static size_t valid_entry(const uint8_t *e, size_t left) {
    size_t need = size_bytes(*e);
    if (need == 0 || need > left) return 0;
    size_t size = entry_size(e), back = back_size(size);
    if (size > left || back > left - size) return 0;
    uint8_t want[BACK_MAX];
    write_back(want, size);
    return memcmp(want, e + size, back) == 0 ? size + back : 0;
}

bool pack_valid(struct slice p, size_t *count) {
    if (p.len < PACK_EMPTY_SIZE || p.len > UINT32_MAX) return false;
    if (u32_at(bytes_at(p, 0)) != p.len || !is_end(bytes_at(p, p.len - 1))) return false;
    const uint8_t *e = bytes_at(p, HEAD_SIZE), *end = bytes_at(p, p.len - 1);
    size_t n = 0;
    for (; e < end; n++) {
        size_t size = valid_entry(e, (size_t)(end - e));
        if (size == 0) return false;
        e += size;
    }
    unsigned said = count_get(p.data);
    if (said != COUNT_UNKNOWN && said != n) return false;
    if (count != NULL) *count = n;
    return true;
}
