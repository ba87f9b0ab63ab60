/* See rdb_value.h. Everything read here was written by a stranger: no length is believed before the bytes for it
 * have been counted, and nothing is allocated that the input could not fill. */
#include "rdb_value.h"

#include "hash.h"
#include "mem.h"
#include "num.h"

enum { RDB_STRING = 0 };
enum { LEN_6 = 0, LEN_14 = 1, LEN_WIDE = 2, LEN_ENCODED = 3 }; /* the two leading bits */
enum { LEN_32_TAG = 0x80, LEN_64_TAG = 0x81 };
enum { ENC_INT8 = 0, ENC_INT16 = 1, ENC_INT32 = 2, ENC_LZF = 3 };
enum { INT32_TEXT_MAX = 11 }; /* "-2147483648" */
enum { PACK_LEN_MIN = 21, PACK_GAIN_MIN = 4 };
enum {
    LZF_LITERAL_MAX = 32,
    LZF_MATCH_MIN = 3,
    LZF_MATCH_MAX = 264,
    LZF_LONG_MATCH = 7,      /* in the three bits: more in the next byte */
    LZF_DISTANCE_MAX = 8192, /* thirteen bits, less 1 */
    LZF_SLOT_BITS = 16,
};

/* --- writing --- */

static void add_len(struct buf *out, uint64_t len) {
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

/* --- packing --- */

/* A run of literal bytes is open behind its control byte, which is written when the run is closed. */
struct lzf_writer {
    char *out;
    size_t at, cap, run;
};

static void open_run(struct lzf_writer *w) {
    w->run = 0;
    w->at++;
}

static void close_run(struct lzf_writer *w) {
    if (w->run == 0)
        w->at--; /* no literal came: take the control byte back */
    else
        w->out[w->at - w->run - 1] = (char)(w->run - 1);
}

static bool add_literal(struct lzf_writer *w, char byte) {
    if (w->at >= w->cap) return false;
    w->out[w->at++] = byte;
    if (++w->run == LZF_LITERAL_MAX) {
        close_run(w);
        open_run(w);
    }
    return true;
}

static bool add_match(struct lzf_writer *w, size_t distance, size_t len) {
    if (w->at - (w->run == 0) + 4 >= w->cap) return false;
    close_run(w);
    size_t high = (distance - 1) >> 8, more = len - 2;
    if (more < LZF_LONG_MATCH) {
        w->out[w->at++] = (char)(more << 5 | high);
    } else {
        w->out[w->at++] = (char)(LZF_LONG_MATCH << 5 | high);
        w->out[w->at++] = (char)(more - LZF_LONG_MATCH);
    }
    w->out[w->at++] = (char)(distance - 1);
    open_run(w);
    return true;
}

static inline uint32_t lzf_slot(const char *p) {
    uint32_t h = (uint32_t)(uint8_t)p[0] << 16 | (uint32_t)(uint8_t)p[1] << 8 | (uint8_t)p[2];
    return ((h >> (24 - LZF_SLOT_BITS)) - h * 5) & ((1U << LZF_SLOT_BITS) - 1);
}

static size_t match_len(struct slice plain, size_t from, size_t at) {
    size_t max = plain.len - at - 2, len = LZF_MATCH_MIN;
    if (max > LZF_MATCH_MAX) max = LZF_MATCH_MAX;
    /* Two bytes are left for the next look; but the packer of Redis compares its first 16 without counting, and so
     * gets to the very end from here. */
    if (max == 17 || max == 18) max = 19;
    while (len < max && plain.data[from + len] == plain.data[at + len]) len++;
    return len;
}

/* Greedy: `seen` knows where three bytes with this hash were met last; position 0 stands for nowhere. */
static bool pack(struct lzf_writer *w, struct slice plain, uint32_t *seen) {
    const char *data = plain.data;
    size_t i = 0;
    open_run(w);
    while (i + 2 < plain.len) {
        uint32_t slot = lzf_slot(data + i);
        size_t from = seen[slot];
        seen[slot] = (uint32_t)i;
        if (from == 0 || i - from > LZF_DISTANCE_MAX || memcmp(data + from, data + i, LZF_MATCH_MIN) != 0) {
            if (!add_literal(w, data[i++])) return false;
            continue;
        }
        size_t len = match_len(plain, from, i);
        if (!add_match(w, i - from, len)) return false;
        i += len;
        if (i + 2 >= plain.len) break;
        /* Of the bytes skipped, remember only where the last two starts were. */
        seen[lzf_slot(data + i - 2)] = (uint32_t)(i - 2);
        seen[lzf_slot(data + i - 1)] = (uint32_t)(i - 1);
    }
    if (w->at + 3 > w->cap) return false;
    while (i < plain.len)
        if (!add_literal(w, data[i++])) return false;
    close_run(w);
    return true;
}

size_t lzf_pack(struct slice plain, char *out, size_t out_cap) {
    if (plain.len == 0 || plain.len > UINT32_MAX || out_cap == 0) return 0;
    struct lzf_writer w = {.out = out, .cap = out_cap};
    uint32_t *seen = mem_calloc((size_t)1 << LZF_SLOT_BITS, sizeof *seen);
    bool fits = pack(&w, plain, seen);
    mem_free(seen);
    return fits ? w.at : 0;
}

static bool add_packed(struct buf *out, struct slice text) {
    if (text.len < PACK_LEN_MIN) return false;
    char *packed = mem_alloc(text.len);
    size_t len = lzf_pack(text, packed, text.len - PACK_GAIN_MIN);
    if (len != 0) {
        buf_add_byte(out, LEN_ENCODED << 6 | ENC_LZF);
        add_len(out, len);
        add_len(out, text.len);
        buf_add(out, packed, len);
    }
    mem_free(packed);
    return len != 0;
}

void rdb_dump_string(struct buf *out, struct slice text) {
    size_t start = out->len;
    buf_reserve(out, 32);
    buf_add_byte(out, RDB_STRING);
    if (!add_int(out, text) && !add_packed(out, text)) {
        buf_reserve(out, text.len + 32);
        add_len(out, text.len);
        buf_add_slice(out, text);
    }
    uint16_t version = RDB_VERSION;
    buf_add(out, &version, sizeof version);
    buf_add_u64le(out, crc64(0, slice_make(out->data + start, out->len - start)));
}

/* --- reading --- */

enum rc rdb_verify(struct slice payload) {
    if (payload.len < RDB_FOOTER_SIZE) return RC_INVALID;
    struct slice head = slice_make(payload.data, payload.len - RDB_FOOTER_SIZE);
    struct slice footer = slice_make(payload.data + head.len, RDB_FOOTER_SIZE);
    uint16_t version;
    uint64_t crc;
    if (!slice_take_raw(&footer, &version, sizeof version) || !slice_take_u64le(&footer, &crc))
        return RC_INVALID;
    if (version > RDB_VERSION) return RC_INVALID;
    if (crc != crc64(0, slice_make(payload.data, head.len + sizeof version))) return RC_INVALID;
    return RC_OK;
}

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

static bool take_plain_len(struct slice *s, uint64_t *len) {
    bool encoded;
    return take_len(s, len, &encoded) && !encoded;
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

/* A control byte below 32 starts a run of that many literal bytes and one more. Any other repeats earlier output:
 * its upper three bits are the length less 2 (7: more in the next byte), the lower five and one more byte the
 * distance less 1. */
bool lzf_unpack(struct slice packed, char *out, size_t out_len) {
    size_t at = 0;
    while (packed.len > 0) {
        uint8_t control, more = 0, low;
        struct slice literal;
        if (!slice_take_u8(&packed, &control)) return false;
        if (control < LZF_LITERAL_MAX) {
            if (!slice_take(&packed, (size_t)control + 1, &literal) || literal.len > out_len - at)
                return false;
            memcpy(out + at, literal.data, literal.len);
            at += literal.len;
            continue;
        }
        if (control >> 5 == LZF_LONG_MATCH && !slice_take_u8(&packed, &more)) return false;
        if (!slice_take_u8(&packed, &low)) return false;
        size_t len = (size_t)(control >> 5) + more + 2;
        size_t distance = ((size_t)(control & 0x1f) << 8 | low) + 1;
        if (distance > at || len > out_len - at) return false;
        /* Byte by byte: the source may run into what is being written, which repeats it. */
        for (; len > 0; len--, at++) out[at] = out[at - distance];
    }
    return at == out_len;
}

static bool take_lzf(struct slice *s, size_t len_max, struct buf *store) {
    enum { GAIN_MAX = LZF_MATCH_MAX / 3 }; /* the longest match takes 3 bytes */
    uint64_t packed_len, len;
    struct slice packed;
    if (!take_plain_len(s, &packed_len) || !take_plain_len(s, &len)) return false;
    if (!slice_take(s, packed_len, &packed)) return false;
    if (len > len_max || len / GAIN_MAX > packed.len) return false;
    buf_clear(store);
    /* Redis's unpacker tells a failure by a length of 0, so there anything unpacks to nothing. */
    if (len == 0) return true;
    buf_reserve(store, len);
    if (!lzf_unpack(packed, store->data, len)) return false;
    store->len = len;
    return true;
}

static bool take_string(struct slice *s, size_t len_max, struct buf *store, struct slice *text) {
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

enum rc rdb_read_string(struct slice payload, size_t len_max, struct buf *store, struct slice *text) {
    uint8_t type;
    struct slice found;
    if (!slice_take_u8(&payload, &type) || type != RDB_STRING) return RC_INVALID;
    if (!take_string(&payload, len_max, store, &found)) return RC_INVALID;
    *text = found;
    return RC_OK;
}
