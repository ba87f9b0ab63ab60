/* Keys and values as rows of bytes, and back. Byte tables in README.md; whatever changes here changes the format
 * version in the meta row. */
#include "collection.h"

#include <stdio.h>

enum {
    ROW_VERSION = 1,
    ROW_HAS_DEADLINE = 1,
    ROW_BIG = 2,
    META_MAGIC = 0x534b4452 /* "RDKS" */,
    META_VERSION = 4
};

void row_db_prefix(struct buf *out, uint8_t tag, uint32_t db_id) {
    buf_clear(out);
    buf_add_byte(out, tag);
    buf_add_u32be(out, db_id);
}

void row_key_of(struct buf *out, uint32_t db_id, uint64_t place, struct slice key) {
    row_db_prefix(out, ROW_KEY, db_id);
    buf_add_u64be(out, place);
    buf_add_slice(out, key);
}

void row_deadline_of(struct buf *out, uint32_t db_id, int64_t deadline_ms, uint64_t place, struct slice key) {
    CHECK(deadline_ms >= 0);
    row_db_prefix(out, ROW_DEADLINE, db_id);
    buf_add_u64be(out, (uint64_t)deadline_ms);
    buf_add_u64be(out, place);
    buf_add_slice(out, key);
}

bool row_parse_key(struct slice row, uint32_t *db_id, uint64_t *place, struct slice *key) {
    uint8_t tag;
    if (!slice_take_u8(&row, &tag) || tag != ROW_KEY) return false;
    if (!slice_take_u32be(&row, db_id) || !slice_take_u64be(&row, place)) return false;
    *key = row;
    return true;
}

bool row_parse_deadline(struct slice row, uint32_t *db_id, int64_t *deadline_ms, uint64_t *place,
                        struct slice *key) {
    uint8_t tag;
    uint64_t deadline;
    if (!slice_take_u8(&row, &tag) || tag != ROW_DEADLINE) return false;
    if (!slice_take_u32be(&row, db_id) || !slice_take_u64be(&row, &deadline) ||
        !slice_take_u64be(&row, place))
        return false;
    *deadline_ms = (int64_t)deadline;
    *key = row;
    return true;
}

void row_value_head(struct buf *out, const struct object *o) {
    CHECK(o->type != OBJECT_NONE);
    int64_t deadline_ms = object_deadline(o);
    buf_add_byte(out, ROW_VERSION);
    buf_add_byte(out, o->type);
    buf_add_byte(out, o->encoding);
    buf_add_byte(out,
                 (uint8_t)((deadline_ms >= 0 ? ROW_HAS_DEADLINE : 0) | (object_is_big(o) ? ROW_BIG : 0)));
    if (deadline_ms >= 0) buf_add_u64le(out, (uint64_t)deadline_ms);
}

void row_value_add(struct buf *out, const struct object *o) {
    buf_reserve(out, 32 + (size_t)o->len);
    row_value_head(out, o);
    if (object_is_big(o))
        collection_header_add(out, object_collection(o));
    else if (o->type == OBJECT_STRING && o->encoding == ENCODING_INT)
        buf_add_u64le(out, (uint64_t)o->as.integer);
    else
        buf_add(out, o->as.bytes, o->len);
}

/* The encodings that each type may have, as bits. */
static bool is_encoding_of(uint8_t type, uint8_t encoding) {
    static const unsigned allowed[] = {
        [OBJECT_STRING] = 1u << ENCODING_RAW | 1u << ENCODING_INT | 1u << ENCODING_EMBSTR,
        [OBJECT_LIST] = 1u << ENCODING_QUICKLIST,
        [OBJECT_SET] = 1u << ENCODING_INTSET | 1u << ENCODING_HASHTABLE,
        [OBJECT_ZSET] = 1u << ENCODING_LISTPACK | 1u << ENCODING_SKIPLIST,
        [OBJECT_HASH] = 1u << ENCODING_LISTPACK | 1u << ENCODING_HASHTABLE,
        [OBJECT_STREAM] = 1u << ENCODING_STREAM,
    };
    return type < sizeof allowed / sizeof *allowed && encoding <= ENCODING_STREAM &&
           (allowed[type] & 1u << encoding) != 0;
}

/* The value of a small collection; what is in it was checked by RocksDB's checksums. */
static void take_packed(struct keyspace *ks, struct object *o, struct slice value) {
    o->as.bytes = value_alloc(ks, value.len);
    memcpy(o->as.bytes, value.data, value.len);
    o->len = (uint32_t)value.len;
    o->cap = (uint32_t)mem_size(o->as.bytes);
}

struct object *row_object(struct keyspace *ks, struct db *db, uint64_t place, struct slice key,
                          struct slice value, enum row_depth depth) {
    uint8_t version, type, encoding, flags;
    uint64_t deadline = 0, integer = 0;
    if (!slice_take_u8(&value, &version) || version != ROW_VERSION) return NULL;
    if (!slice_take_u8(&value, &type) || !slice_take_u8(&value, &encoding) || !slice_take_u8(&value, &flags))
        return NULL;
    if (!is_encoding_of(type, encoding)) return NULL;
    if ((flags & ROW_HAS_DEADLINE) && !slice_take_u64le(&value, &deadline)) return NULL;
    bool is_string = type == OBJECT_STRING, is_int = is_string && encoding == ENCODING_INT,
         is_big = flags & ROW_BIG;
    if (is_big && is_string) return NULL;
    if (is_int && (!slice_take_u64le(&value, &integer) || value.len != 0)) return NULL;
    struct object *o = object_new(ks, place, key, is_string && !is_int ? value.len : 0);
    if (is_int) {
        o->as.integer = (int64_t)integer;
    } else if (is_string) {
        string_assign_encoded(ks, o, value, encoding);
    } else if (!is_big) {
        take_packed(ks, o, value);
    } else {
        o->flags |= OBJECT_BIG;
        o->type = type;
        if (depth == ROW_WHOLE && !collection_load(ks, db, o, value)) {
            o->type = OBJECT_NONE;
            o->flags &= (uint8_t)~OBJECT_BIG;
            object_free(ks, o);
            return NULL;
        }
    }
    o->type = type;
    o->encoding = encoding;
    o->flags |= OBJECT_STORED;
    if (flags & ROW_HAS_DEADLINE) {
        struct expiry *e = mem_alloc(sizeof *e);
        ks->stats.memory_bytes += mem_size(e);
        *e = (struct expiry){
            .deadline_ms = (int64_t)deadline, .stored_ms = (int64_t)deadline, .object = o, .db_id = db->id};
        o->expiry = e;
    }
    return o;
}

/* The limits in the order in which they are stored, which is that of the struct. */
enum { LIMIT_COUNT = sizeof(struct ks_limits) / sizeof(int64_t) };
static int64_t *limit_at(struct ks_limits *limits, size_t i) {
    return &((int64_t *)(void *)limits)[i];
}

void meta_encode(struct buf *out, const struct meta *m) {
    buf_clear(out);
    buf_add_u32le(out, META_MAGIC);
    buf_add_u32le(out, META_VERSION);
    buf_add_u64le(out, m->applied.index);
    buf_add_u64le(out, m->applied.term);
    buf_add_u64le(out, (uint64_t)m->applied.clock_ms);
    buf_add_u64le(out, m->place_seed);
    buf_add_u32le(out, m->next_db_id);
    for (int i = 0; i < DB_SLOTS; i++) {
        buf_add_u32le(out, m->dbs[i].id);
        buf_add_u64le(out, m->dbs[i].keys);
        buf_add_u64le(out, m->dbs[i].expires);
    }
    struct ks_limits limits = m->limits;
    for (size_t i = 0; i < LIMIT_COUNT; i++) buf_add_u64le(out, (uint64_t)*limit_at(&limits, i));
    buf_add_u64le(out, m->members_index);
    buf_add_u32le(out, (uint32_t)m->members.len);
    buf_add_slice(out, m->members);
    buf_add_u32le(out, crc32c(0, buf_slice(out)));
}

static bool take_meta(struct slice body, struct meta *m) {
    uint64_t clock;
    uint32_t members_len;
    if (!slice_take_u64le(&body, &m->applied.index) || !slice_take_u64le(&body, &m->applied.term))
        return false;
    if (!slice_take_u64le(&body, &clock) || !slice_take_u64le(&body, &m->place_seed) ||
        !slice_take_u32le(&body, &m->next_db_id))
        return false;
    m->applied.clock_ms = (int64_t)clock;
    for (int i = 0; i < DB_SLOTS; i++)
        if (!slice_take_u32le(&body, &m->dbs[i].id) || !slice_take_u64le(&body, &m->dbs[i].keys) ||
            !slice_take_u64le(&body, &m->dbs[i].expires))
            return false;
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        uint64_t limit;
        if (!slice_take_u64le(&body, &limit)) return false;
        *limit_at(&m->limits, i) = (int64_t)limit;
    }
    return slice_take_u64le(&body, &m->members_index) && slice_take_u32le(&body, &members_len) &&
           slice_take(&body, members_len, &m->members) && body.len == 0;
}

enum rc meta_decode(struct slice row, struct meta *m, struct kv_error *error) {
    struct slice body = row, tail;
    uint32_t magic, version, crc;
    if (!slice_take_u32le(&body, &magic) || magic != META_MAGIC || !slice_take_u32le(&body, &version)) {
        snprintf(error->text, sizeof error->text, "the state database's meta row is none");
        return RC_CORRUPT;
    }
    if (version != META_VERSION) {
        snprintf(error->text, sizeof error->text, "the state database has version %u, this program reads %d",
                 version, META_VERSION);
        return RC_CORRUPT;
    }
    struct meta found = {0};
    if (body.len >= 4) {
        tail = slice_make(body.data + body.len - 4, 4);
        body.len -= 4;
        if (slice_take_u32le(&tail, &crc) && crc == crc32c(0, slice_make(row.data, row.len - 4)) &&
            take_meta(body, &found)) {
            *m = found;
            return RC_OK;
        }
    }
    snprintf(error->text, sizeof error->text, "the state database's meta row is malformed");
    return RC_CORRUPT;
}
