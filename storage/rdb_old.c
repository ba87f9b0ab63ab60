/* See rdb_old.h. */
#include "rdb_old.h"

enum { ZIPLIST_HEAD = 10, COUNT_UNKNOWN = 65535, END = 0xff, WIDE = 254 };
enum { INT_16 = 0xc0, INT_32 = 0xd0, INT_64 = 0xe0, INT_24 = 0xf0, INT_8 = 0xfe };
enum { IMMEDIATE_FIRST = 0xf1, IMMEDIATE_LAST = 0xfd };

/* One byte, or 254 and four. */
static bool take_size(struct slice *s, uint32_t *size) {
    uint8_t first;
    if (!slice_take_u8(s, &first) || first == END) return false;
    *size = first;
    return first != WIDE || slice_take_u32le(s, size);
}

static bool take_ziplist_text(struct slice *s, uint8_t code, struct pack_value *v) {
    uint8_t low;
    uint32_t len = code & 63u;
    if (code >> 6 == 1) {
        if (!slice_take_u8(s, &low)) return false;
        len = len << 8 | low;
    } else if (code >> 6 == 2) {
        if (!slice_take_u32be(s, &len)) return false;
    }
    struct slice text;
    if (!slice_take(s, len, &text)) return false;
    *v = pack_text(text);
    return true;
}

static bool take_ziplist_int(struct slice *s, uint8_t code, struct pack_value *v) {
    size_t n;
    switch (code) {
    case INT_8: n = 1; break;
    case INT_16: n = 2; break;
    case INT_24: n = 3; break;
    case INT_32: n = 4; break;
    case INT_64: n = 8; break;
    default:
        if (code < IMMEDIATE_FIRST || code > IMMEDIATE_LAST) return false;
        *v = pack_integer(code - IMMEDIATE_FIRST);
        return true;
    }
    uint64_t bits = 0;
    if (!slice_take_raw(s, &bits, n)) return false;
    unsigned shift = 64 - 8 * (unsigned)n;
    *v = pack_integer((int64_t)(bits << shift) >> shift);
    return true;
}

static bool take_entry(struct slice *s, size_t size_before, struct pack_value *v) {
    uint32_t said_before;
    uint8_t code;
    if (!take_size(s, &said_before) || said_before != size_before) return false;
    if (!slice_take_u8(s, &code)) return false;
    return code < INT_16 ? take_ziplist_text(s, code, v) : take_ziplist_int(s, code, v);
}

bool ziplist_read(struct slice bytes, rdb_item_fn *item, void *arg) {
    struct slice s = bytes;
    uint32_t total, last;
    uint16_t said;
    if (!slice_take_u32le(&s, &total) || !slice_take_u32le(&s, &last) ||
        !slice_take_raw(&s, &said, sizeof said))
        return false;
    if (total != bytes.len || s.len == 0 || (uint8_t)s.data[s.len - 1] != END) return false;
    s.len--;
    size_t count = 0, at = ZIPLIST_HEAD, size_before = 0;
    for (; s.len > 0; count++) {
        struct pack_value v;
        const char *begin = s.data;
        if (!take_entry(&s, size_before, &v) || !item(arg, v)) return false;
        at = (size_t)(begin - bytes.data);
        size_before = (size_t)(s.data - begin);
    }
    return last == at && (said == COUNT_UNKNOWN || said == count);
}

bool zipmap_read(struct slice bytes, rdb_item_fn *item, void *arg) {
    struct slice s = bytes, field, value, unused;
    uint8_t said, unused_len;
    uint32_t field_len, value_len;
    if (!slice_take_u8(&s, &said) || s.len == 0 || (uint8_t)s.data[s.len - 1] != END) return false;
    s.len--;
    size_t count = 0;
    for (; s.len > 0; count++) {
        if (!take_size(&s, &field_len) || !slice_take(&s, field_len, &field)) return false;
        if (!take_size(&s, &value_len) || !slice_take_u8(&s, &unused_len)) return false;
        if (!slice_take(&s, value_len, &value) || !slice_take(&s, unused_len, &unused)) return false;
        if (!item(arg, pack_text(field)) || !item(arg, pack_text(value))) return false;
    }
    return said >= WIDE || said == count;
}
