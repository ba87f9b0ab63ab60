/* See rdb_codec.h. */
#include "rdb_codec.h"

#include "lzf.h"
#include "mem.h"
#include "num.h"

enum { LEN_6 = 0, LEN_14 = 1, LEN_WIDE = 2, LEN_ENCODED = 3 }; /* the two leading bits */
enum { LEN_32_TAG = 0x80, LEN_64_TAG = 0x81 };
enum { ENC_INT8 = 0, ENC_INT16 = 1, ENC_INT32 = 2, ENC_LZF = 3 };
enum { INT32_TEXT_MAX = 11 }; /* "-2147483648" */
enum { PACK_LEN_MIN = 21, PACK_GAIN_MIN = 4 };

/* --- writing --- */

void rdb_add_len(struct buf *out, uint64_t len) {
    if (len < 1 << 6) {
        buf_add_byte(out, (uint8_t)len);
    } else if (len < 1 << 14) {
        buf_add_byte(out, (uint8_t)(LEN_14 << 6 | len >> 8));
        buf_add_byte(out, (uint8_t)len);
    } else if (len <= UINT32_MAX) {
        buf_add_byte(out, LEN_32_TAG);
        buf_add_u32be(out, (uint32_t)len);
    } else {
        buf_add_byte(out, LEN_64_TAG);
        buf_add_u64be(out, len);
    }
}

static bool add_int(struct buf *out, struct slice text) {
    int64_t v;
    if (text.len > INT32_TEXT_MAX || !parse_i64(text, &v) || v < INT32_MIN || v > INT32_MAX) return false;
    int encoding = v == (int8_t)v ? ENC_INT8 : v == (int16_t)v ? ENC_INT16 : ENC_INT32;
    buf_add_byte(out, (uint8_t)(LEN_ENCODED << 6 | encoding));
    buf_add(out, &v, (size_t)1 << encoding); /* little-endian: the low bytes come first */
    return true;
}

static bool add_packed(struct buf *out, struct slice text) {
    if (text.len < PACK_LEN_MIN) return false;
    char *packed = mem_alloc(text.len);
    size_t len = lzf_pack(text, packed, text.len - PACK_GAIN_MIN);
    if (len != 0) {
        buf_add_byte(out, LEN_ENCODED << 6 | ENC_LZF);
        rdb_add_len(out, len);
        rdb_add_len(out, text.len);
        buf_add(out, packed, len);
    }
    mem_free(packed);
    return len != 0;
}

void rdb_add_text(struct buf *out, struct slice text) {
    if (add_int(out, text) || add_packed(out, text)) return;
    rdb_add_len(out, text.len);
    buf_add_slice(out, text);
}

/* --- reading --- */

/* A length, or with *encoded the number of an encoding. */
static bool take_len(struct slice *s, uint64_t *len, bool *encoded) {
    uint8_t first, second;
    uint32_t wide;
    if (!slice_take_u8(s, &first)) return false;
    *encoded = first >> 6 == LEN_ENCODED;
    switch (first >> 6) {
    case LEN_6:
    case LEN_ENCODED: *len = first & 0x3f; return true;
    case LEN_14:
        if (!slice_take_u8(s, &second)) return false;
        *len = (uint64_t)(first & 0x3f) << 8 | second;
        return true;
    default: break;
    }
    if (first == LEN_64_TAG) return slice_take_u64be(s, len);
    if (first != LEN_32_TAG || !slice_take_u32be(s, &wide)) return false;
    *len = wide;
    return true;
}

bool rdb_take_len(struct slice *s, uint64_t *len) {
    bool encoded;
    return take_len(s, len, &encoded) && !encoded;
}

bool rdb_take_time(struct slice *s, int64_t *ms) {
    return slice_take_raw(s, ms, sizeof *ms);
}

static bool take_int(struct slice *s, uint64_t encoding, int64_t *out) {
    int8_t i8;
    int16_t i16;
    int32_t i32;
    switch (encoding) {
    case ENC_INT8:
        if (!slice_take_raw(s, &i8, sizeof i8)) return false;
        *out = i8;
        return true;
    case ENC_INT16:
        if (!slice_take_raw(s, &i16, sizeof i16)) return false;
        *out = i16;
        return true;
    case ENC_INT32:
        if (!slice_take_raw(s, &i32, sizeof i32)) return false;
        *out = i32;
        return true;
    default: return false;
    }
}

static bool take_lzf(struct slice *s, size_t len_max, struct buf *store) {
    uint64_t packed_len, len;
    struct slice packed;
    if (!rdb_take_len(s, &packed_len) || !rdb_take_len(s, &len)) return false;
    if (!slice_take(s, packed_len, &packed)) return false;
    if (len > len_max || len / LZF_GAIN_MAX > packed.len) return false;
    buf_clear(store);
    /* Redis's unpacker tells a failure by a length of 0, so there anything unpacks to nothing. */
    if (len == 0) return true;
    buf_reserve(store, len);
    if (!lzf_unpack(packed, store->data, len)) return false;
    store->len = len;
    return true;
}

static bool take_text(struct slice *s, size_t len_max, struct buf *store, struct slice *text) {
    uint64_t len;
    bool encoded;
    int64_t v;
    if (!take_len(s, &len, &encoded)) return false;
    if (!encoded) return len <= len_max && slice_take(s, len, text);
    if (len == ENC_LZF) {
        if (!take_lzf(s, len_max, store)) return false;
    } else {
        if (!take_int(s, len, &v)) return false;
        buf_clear(store);
        buf_reserve(store, NUM_I64_MAX_LEN);
        store->len = format_i64(store->data, v);
    }
    *text = buf_slice(store);
    return true;
}

bool rdb_take_text(struct rdb_texts *t, struct slice *text) {
    return take_text(t->from, t->len_max, &t->store, text);
}
