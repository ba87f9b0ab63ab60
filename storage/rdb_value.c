/* See rdb_value.h. A collection is gathered in one pack, entry by entry, each as pack_text() would have it, whatever form it
 * came in; then its encoding is chosen as Redis would choose it. */
#include "rdb_value.h"

#include "hash.h"
#include "intset.h"
#include "mem.h"
#include "rdb_codec.h"
#include "rdb_old.h"
#include "rdb_stream.h"

#include <math.h>
#include <stdlib.h>

/* What a collection may have altogether: a pack's length has 32 bits. */
static const size_t bytes_max = (size_t)3 << 30;

/* --- the frame --- */

void rdb_seal(struct buf *out, size_t start) {
    uint16_t version = RDB_VERSION;
    buf_add(out, &version, sizeof version);
    buf_add_u64le(out, crc64(0, slice_make(out->data + start, out->len - start)));
}

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

/* --- gathering --- */

struct reader {
    struct slice from; /* what is left of the payload */
    struct rdb_texts texts;
    const struct ks_limits *limits;
    struct buf *pack;
    size_t count;   /* entries in the pack */
    size_t longest; /* of the texts that came one by one */
};

static bool gather(void *arg, struct pack_value v) {
    struct reader *r = arg;
    size_t size = pack_value_size(v);
    if (size > bytes_max - r->pack->len) return false;
    buf_reserve(r->pack, size);
    pack_append(r->pack, v);
    r->count++;
    return true;
}

static bool gather_text(struct reader *r) {
    struct slice text;
    if (!rdb_take_text(&r->texts, &text)) return false;
    if (text.len > r->longest) r->longest = text.len;
    return gather(r, pack_text(text));
}

/* `count` comes with the payload; texts take at least a byte each, so nobody waits long for a lie. */
static bool gather_texts(struct reader *r, uint64_t per_item) {
    uint64_t count;
    if (!rdb_take_len(&r->from, &count) || count > r->from.len) return false;
    for (uint64_t i = 0; i < count * per_item; i++)
        if (!gather_text(r)) return false;
    return true;
}

static bool gather_pack(struct reader *r, struct slice pack) {
    if (!pack_valid(pack, NULL)) return false;
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, at)) {
        struct pack_value v = pack_get(pack, at);
        if (!gather(r, v.is_int ? v : pack_text(v.text))) return false;
    }
    return true;
}

typedef bool blob_fn(struct reader *r, struct slice blob);

static bool gather_ziplist(struct reader *r, struct slice blob) {
    return ziplist_read(blob, gather, r);
}
static bool gather_zipmap(struct reader *r, struct slice blob) {
    return zipmap_read(blob, gather, r);
}

static bool gather_blob(struct reader *r, blob_fn *gather_from) {
    struct slice blob;
    return rdb_take_text(&r->texts, &blob) && gather_from(r, blob);
}

/* --- duplicates --- */

static uint64_t entry_hash(struct slice pack, size_t at) {
    struct pack_value v = pack_get(pack, at);
    return v.is_int ? (uint64_t)v.integer * UINT64_C(0x9e3779b97f4a7c15) : hash64(v.text);
}

/* Whether two items of `per_item` entries begin alike. A table of offsets, at most half full. */
static bool has_duplicates(const struct buf *gathered, size_t items, unsigned per_item) {
    struct slice pack = buf_slice(gathered);
    size_t slots = 16;
    while (slots < items * 2) slots *= 2;
    uint32_t *table = mem_calloc(slots, sizeof *table);
    bool twice = false;
    for (size_t at = pack_first(pack); at != 0 && !twice;) {
        struct pack_value v = pack_get(pack, at);
        uint64_t h = entry_hash(pack, at);
        size_t slot = (h ^ h >> 32) & (slots - 1);
        for (; table[slot] != 0 && !twice; slot = (slot + 1) & (slots - 1))
            twice = pack_is(pack, table[slot], &v);
        table[slot] = (uint32_t)at;
        for (unsigned i = 0; i < per_item && at != 0; i++) at = pack_next(pack, at);
    }
    mem_free(table);
    return twice;
}

/* --- lists --- */

/* Such an element is a long one; Redis knows no empty one here. */
static bool gather_plain(struct reader *r) {
    struct slice text;
    return rdb_take_text(&r->texts, &text) && text.len > 0 && gather(r, pack_text(text));
}

static bool read_nodes(struct reader *r, bool with_kind) {
    enum { NODE_PLAIN = 1, NODE_PACKED = 2 };
    uint64_t nodes, kind = NODE_PACKED;
    if (!rdb_take_len(&r->from, &nodes)) return false;
    for (; nodes > 0; nodes--) {
        if (with_kind && !rdb_take_len(&r->from, &kind)) return false;
        if (kind != NODE_PLAIN && kind != NODE_PACKED) return false;
        bool ok =
            kind == NODE_PLAIN ? gather_plain(r) : gather_blob(r, with_kind ? gather_pack : gather_ziplist);
        if (!ok) return false;
    }
    return true;
}

static bool read_list(struct reader *r, enum rdb_type type, struct rdb_value *out) {
    out->type = OBJECT_LIST;
    out->encoding = ENCODING_QUICKLIST;
    switch (type) {
    case RDB_LIST: return gather_texts(r, 1);
    case RDB_LIST_ZIPLIST: return gather_blob(r, gather_ziplist);
    default: return read_nodes(r, type == RDB_LIST_QUICKLIST_2);
    }
}

/* --- sets --- */

static bool gather_intset(struct reader *r, struct slice blob) {
    if (!intset_valid(blob)) return false;
    for (size_t i = 0; i < intset_count(blob); i++)
        if (!gather(r, pack_integer(intset_at(blob, i)))) return false;
    return true;
}

static bool all_integers(struct slice pack) {
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, at))
        if (!pack_get(pack, at).is_int) return false;
    return true;
}

static void become_intset(struct buf *bytes) {
    struct buf set = {0};
    struct slice pack = buf_slice(bytes);
    intset_begin(&set);
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, at))
        intset_add(&set, pack_get(pack, at).integer);
    buf_free(bytes);
    *bytes = set;
}

static bool read_set(struct reader *r, enum rdb_type type, struct rdb_value *out) {
    out->type = OBJECT_SET;
    out->encoding = ENCODING_HASHTABLE;
    bool ok = type == RDB_SET ? gather_texts(r, 1) : gather_blob(r, gather_intset);
    if (!ok || has_duplicates(r->pack, r->count, 1)) return false;
    if (r->count > (uint64_t)r->limits->set_max_intset_entries || !all_integers(buf_slice(r->pack)))
        return true;
    out->encoding = ENCODING_INTSET;
    become_intset(r->pack);
    return true;
}

/* --- hashes --- */

static bool gather_hash(struct reader *r, enum rdb_type type) {
    switch (type) {
    case RDB_HASH: return gather_texts(r, 2);
    case RDB_HASH_ZIPMAP: return gather_blob(r, gather_zipmap);
    case RDB_HASH_ZIPLIST: return gather_blob(r, gather_ziplist);
    default: return gather_blob(r, gather_pack);
    }
}

static size_t longest_entry(struct slice pack) {
    char scratch[NUM_I64_MAX_LEN];
    size_t longest = 0;
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, at)) {
        size_t len = pack_get_text(pack, at, scratch).len;
        if (len > longest) longest = len;
    }
    return longest;
}

static bool read_hash(struct reader *r, enum rdb_type type, struct rdb_value *out) {
    const struct ks_limits *limits = r->limits;
    out->type = OBJECT_HASH;
    if (!gather_hash(r, type)) return false;
    if (r->count % 2 != 0 || has_duplicates(r->pack, r->count / 2, 2)) return false;
    if (type == RDB_HASH_ZIPMAP) r->longest = longest_entry(buf_slice(r->pack));
    /* What came as a pack or a ziplist stays one however long its values are: Redis looks at their number only. */
    bool small = r->count / 2 <= (uint64_t)limits->hash_max_listpack_entries &&
                 r->longest <= (uint64_t)limits->hash_max_listpack_value;
    out->encoding = small ? ENCODING_LISTPACK : ENCODING_HASHTABLE;
    return true;
}

/* --- sorted sets --- */

struct scored {
    double score;
    size_t member; /* offset in the pack of members */
};

static int compare_scored(const void *left, const void *right, void *arg) {
    const struct scored *a = left, *b = right;
    struct slice members = *(const struct slice *)arg;
    char a_text[NUM_I64_MAX_LEN], b_text[NUM_I64_MAX_LEN];
    if (a->score != b->score) return a->score < b->score ? -1 : 1;
    return slice_cmp(pack_get_text(members, a->member, a_text), pack_get_text(members, b->member, b_text));
}

static bool take_score(struct slice *s, enum rdb_type type, double *score) {
    enum { MINUS_INFINITY = 255, INFINITY_SAID = 254, NO_NUMBER = 253 };
    uint8_t len;
    struct slice text;
    if (type == RDB_ZSET_2) return slice_take_raw(s, score, sizeof *score) && !isnan(*score);
    if (!slice_take_u8(s, &len) || len == NO_NUMBER) return false;
    if (len >= INFINITY_SAID) {
        *score = len == MINUS_INFINITY ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    return slice_take(s, len, &text) && parse_double(text, score);
}

static bool gather_score(struct reader *r, double score) {
    char text[NUM_DOUBLE_MAX_LEN];
    return gather(r, pack_text(slice_make(text, format_double(text, score))));
}

/* Members and scores in their order, into an empty pack. */
static bool gather_sorted(struct reader *r, struct slice members, struct scored *scored, size_t count) {
    qsort_r(scored, count, sizeof *scored, compare_scored, &members);
    for (size_t i = 0; i < count; i++) {
        if (!gather(r, pack_get(members, scored[i].member))) return false;
        if (!gather_score(r, scored[i].score)) return false;
    }
    return true;
}

/* Members with scores, one after the other; a Redis writes the highest first. */
static bool gather_scored(struct reader *r, enum rdb_type type) {
    uint64_t count;
    struct buf scored = {0}, members;
    if (!rdb_take_len(&r->from, &count)) return false;
    bool ok = true;
    for (uint64_t i = 0; i < count && ok; i++) {
        struct scored s = {.member = r->pack->len - 1};
        ok = gather_text(r) && take_score(&r->from, type, &s.score);
        if (ok) buf_add(&scored, &s, sizeof s);
    }
    members = *r->pack;
    *r->pack = (struct buf){0};
    r->count = 0;
    pack_begin(r->pack);
    ok =
        ok && count > 0 && gather_sorted(r, buf_slice(&members), (struct scored *)(void *)scored.data, count);
    buf_free(&members);
    buf_free(&scored);
    return ok;
}

/* A pack's members and scores, which must be in order. */
static bool gather_ordered(struct reader *r, struct slice pack) {
    struct scored before = {0}, here = {0};
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, at)) {
        here.member = at;
        struct pack_value member = pack_get(pack, at), score;
        at = pack_next(pack, at);
        if (at == 0) return false;
        score = pack_get(pack, at);
        if (score.is_int)
            here.score = (double)score.integer;
        else if (!parse_double(score.text, &here.score))
            return false;
        if (before.member != 0 && compare_scored(&before, &here, &pack) >= 0) return false;
        if (!gather(r, member) || !gather_score(r, here.score)) return false;
        before = here;
    }
    return true;
}

static bool gather_scored_blob(struct reader *r, enum rdb_type type) {
    if (!gather_blob(r, type == RDB_ZSET_ZIPLIST ? gather_ziplist : gather_pack)) return false;
    struct buf as_it_came = *r->pack;
    *r->pack = (struct buf){0};
    r->count = 0;
    pack_begin(r->pack);
    bool ok = gather_ordered(r, buf_slice(&as_it_came));
    buf_free(&as_it_came);
    return ok;
}

static bool read_zset(struct reader *r, enum rdb_type type, struct rdb_value *out) {
    const struct ks_limits *limits = r->limits;
    out->type = OBJECT_ZSET;
    bool one_by_one = type == RDB_ZSET || type == RDB_ZSET_2;
    bool ok = one_by_one ? gather_scored(r, type) : gather_scored_blob(r, type);
    if (!ok || has_duplicates(r->pack, r->count / 2, 2)) return false;
    bool small = r->count / 2 <= (uint64_t)limits->zset_max_listpack_entries &&
                 r->longest <= (uint64_t)limits->zset_max_listpack_value;
    out->encoding = small ? ENCODING_LISTPACK : ENCODING_SKIPLIST;
    return true;
}

/* --- any --- */

static bool read_string(struct reader *r, struct rdb_value *out) {
    struct slice text;
    out->type = OBJECT_STRING;
    if (!rdb_take_text(&r->texts, &text)) return false;
    buf_clear(&out->bytes);
    buf_add_slice(&out->bytes, text);
    return true;
}

static bool read_stream(struct reader *r, enum rdb_type type, struct rdb_value *out) {
    static const struct rdb_stream_visitor nobody = {0};
    out->type = OBJECT_STREAM;
    out->encoding = ENCODING_STREAM;
    out->stream_type = type;
    if (!rdb_stream_read(r->from, type, &nobody)) return false;
    buf_clear(&out->bytes);
    buf_add_slice(&out->bytes, r->from);
    return true;
}

static bool read_value(struct reader *r, enum rdb_type type, struct rdb_value *out) {
    unsigned per_item = 1;
    bool ok = false;
    switch (type) {
    case RDB_STRING: return read_string(r, out);
    case RDB_LIST:
    case RDB_LIST_ZIPLIST:
    case RDB_LIST_QUICKLIST:
    case RDB_LIST_QUICKLIST_2: ok = read_list(r, type, out); break;
    case RDB_SET:
    case RDB_SET_INTSET: ok = read_set(r, type, out); break;
    case RDB_HASH:
    case RDB_HASH_ZIPMAP:
    case RDB_HASH_ZIPLIST:
    case RDB_HASH_LISTPACK:
        ok = read_hash(r, type, out);
        per_item = 2;
        break;
    case RDB_ZSET:
    case RDB_ZSET_2:
    case RDB_ZSET_ZIPLIST:
    case RDB_ZSET_LISTPACK:
        ok = read_zset(r, type, out);
        per_item = 2;
        break;
    case RDB_STREAM_LISTPACKS:
    case RDB_STREAM_LISTPACKS_2: return read_stream(r, type, out);
    }
    out->items = r->count / per_item;
    return ok && r->count > 0;
}

enum rc rdb_read(struct slice payload, const struct ks_limits *limits, struct rdb_value *out) {
    uint8_t type;
    struct rdb_value v = {0};
    if (!slice_take_u8(&payload, &type)) return RC_INVALID;
    struct reader r = {.from = payload, .limits = limits, .pack = &v.bytes};
    r.texts = (struct rdb_texts){.from = &r.from, .len_max = STRING_LEN_MAX};
    pack_begin(&v.bytes);
    bool ok = read_value(&r, (enum rdb_type)type, &v);
    buf_free(&r.texts.store);
    if (!ok) {
        rdb_value_free(&v);
        return RC_INVALID;
    }
    if (v.type != OBJECT_STRING && v.type != OBJECT_STREAM) pack_trim(&v.bytes);
    *out = v;
    return RC_OK;
}

void rdb_value_free(struct rdb_value *v) {
    buf_free(&v->bytes);
}
