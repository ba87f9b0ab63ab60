/* Strings: integers, short texts and long ones. A value that is the canonical spelling of a 64-bit integer is kept
 * as that integer; other bytes live behind the key, inside the object's allocation, when they fit there, and in an
 * allocation of their own when they do not. The encoding is what Redis would call the value, whatever its place.
 *
 * Every function that changes a string does ks_edit() first; the string_assign pair leaves that to its callers in
 * the keyspace. Values given must not point into the object that is changed. */
#include "keyspace_internal.h"

#include "num.h"

enum {
    EMBSTR_LEN_MAX = 44,           /* up to here Redis calls a text embstr */
    GROW_DOUBLE_MAX = 1024 * 1024, /* appending doubles the room up to here, then adds as much each time */
    OUTSIDE_SPARE_MAX = 64, /* an outside value keeps its room when at most half of it, or this, is spare */
};

static inline uint8_t text_encoding(size_t len) {
    return len <= EMBSTR_LEN_MAX ? ENCODING_EMBSTR : ENCODING_RAW;
}

static inline bool is_canonical_int(struct slice text, int64_t *out) {
    return text.len <= NUM_I64_MAX_LEN && parse_i64(text, out);
}

static inline bool holds_bytes(const struct object *o) {
    return o->type == OBJECT_STRING && o->encoding != ENCODING_INT;
}

static void set_place(struct object *o, char *bytes, size_t cap) {
    CHECK(cap <= UINT32_MAX);
    o->as.bytes = bytes;
    o->cap = (uint32_t)cap;
}

/* Room for `len` bytes; what was there is lost. An overwrite by something as long or shorter allocates nothing,
 * unless more than half of a big allocation would lie idle. */
static void make_room(struct keyspace *ks, struct object *o, size_t len) {
    bool outside = object_has_outside_bytes(o);
    if (holds_bytes(o) && len <= o->cap && (!outside || o->cap - len <= len + OUTSIDE_SPARE_MAX)) return;
    size_t inside_cap = object_inside_cap(o);
    if (len <= inside_cap) {
        if (outside) value_free(ks, o->as.bytes);
        set_place(o, object_inside(o), inside_cap);
        return;
    }
    if (outside) value_free(ks, o->as.bytes);
    set_place(o, value_alloc(ks, len), len);
}

/* Room for `len` bytes behind what is there, which stays; more than asked for, so that appending again and again
 * costs amortised constant time. */
static void grow_room(struct keyspace *ks, struct object *o, size_t len) {
    CHECK(holds_bytes(o));
    if (len <= o->cap) return;
    size_t cap = len < GROW_DOUBLE_MAX ? len * 2 : len + GROW_DOUBLE_MAX;
    if (object_has_outside_bytes(o)) {
        set_place(o, value_realloc(ks, o->as.bytes, cap), cap);
        return;
    }
    char *bytes = value_alloc(ks, cap);
    memcpy(bytes, o->as.bytes, o->len);
    set_place(o, bytes, cap);
}

static void store_int(struct keyspace *ks, struct object *o, int64_t value) {
    object_drop_value(ks, o);
    o->type = OBJECT_STRING;
    o->encoding = ENCODING_INT;
    o->as.integer = value;
}

void string_assign_encoded(struct keyspace *ks, struct object *o, struct slice value, uint8_t encoding) {
    CHECK(encoding == ENCODING_RAW || encoding == ENCODING_EMBSTR);
    CHECK(value.len <= UINT32_MAX);
    if (!holds_bytes(o)) object_drop_value(ks, o);
    if (!prepared_take(ks, o, value)) {
        make_room(ks, o, value.len);
        if (value.len != 0) memcpy(o->as.bytes, value.data, value.len);
    }
    if (value.len > o->len) ks_note_growth(ks, value.len - o->len);
    o->len = (uint32_t)value.len;
    o->type = OBJECT_STRING;
    o->encoding = encoding;
}

void string_assign(struct keyspace *ks, struct object *o, struct slice value) {
    int64_t integer;
    if (is_canonical_int(value, &integer))
        store_int(ks, o, integer);
    else
        string_assign_encoded(ks, o, value, text_encoding(value.len));
}

/* The key's object, edited, its access clock touched, its value still the old one or none. `now_ms`: what had a deadline by
 * then is expired, and is deleted first; INT64_MIN when that was looked at before. */
static struct object *begin_set_at(struct keyspace *ks, int db, struct slice key, size_t room,
                                   bool keep_deadline, int64_t now_ms) {
    uint64_t place = place_of(ks, key);
    struct object *o = ks_find(ks, db, place, key);
    if (o == NULL) return ks_create(ks, db, place, key, room);
    if (object_deadline(o) >= 0 && object_deadline(o) <= now_ms) {
        ks_expire(ks, db, o);
        return ks_create(ks, db, place, key, room);
    }
    ks_edit(ks, db, o);
    if (o->type == OBJECT_STREAM) ks_signal(ks, db, key); /* it goes */
    o->access_s = ks->now_s;
    o->flags |= OBJECT_REFERENCED;
    if (!keep_deadline && object_deadline(o) >= 0) expiry_set(ks, ks_db(ks, db), o, -1);
    return o;
}

static struct object *begin_set(struct keyspace *ks, int db, struct slice key, size_t room,
                                bool keep_deadline) {
    return begin_set_at(ks, db, key, room, keep_deadline, INT64_MIN);
}

struct object *string_put(struct keyspace *ks, int db, struct slice key, struct slice value, int64_t now_ms) {
    int64_t integer;
    bool is_int = is_canonical_int(value, &integer);
    struct object *o = begin_set_at(ks, db, key, is_int ? 0 : value.len, false, now_ms);
    if (is_int)
        store_int(ks, o, integer);
    else
        string_assign_encoded(ks, o, value, text_encoding(value.len));
    return o;
}

struct object *string_set(struct keyspace *ks, int db, struct slice key, struct slice value,
                          bool keep_deadline) {
    int64_t integer;
    if (is_canonical_int(value, &integer)) return string_set_int(ks, db, key, integer, keep_deadline);
    return string_set_text(ks, db, key, value, keep_deadline);
}

struct object *string_set_int(struct keyspace *ks, int db, struct slice key, int64_t value,
                              bool keep_deadline) {
    struct object *o = begin_set(ks, db, key, 0, keep_deadline);
    store_int(ks, o, value);
    return o;
}

struct object *string_set_text(struct keyspace *ks, int db, struct slice key, struct slice value,
                               bool keep_deadline) {
    struct object *o = begin_set(ks, db, key, value.len, keep_deadline);
    string_assign_encoded(ks, o, value, text_encoding(value.len));
    return o;
}

struct object *string_set_raw(struct keyspace *ks, int db, struct slice key, struct slice value,
                              bool keep_deadline) {
    struct object *o = begin_set(ks, db, key, value.len, keep_deadline);
    string_assign_encoded(ks, o, value, ENCODING_RAW);
    return o;
}

struct slice string_get(const struct object *o, char *scratch) {
    CHECK(o->type == OBJECT_STRING);
    if (o->encoding == ENCODING_INT) return slice_make(scratch, format_i64(scratch, o->as.integer));
    return slice_make(o->as.bytes, o->len);
}

size_t string_len(const struct object *o) {
    char scratch[NUM_I64_MAX_LEN];
    return string_get(o, scratch).len;
}

bool string_int(const struct object *o, int64_t *out) {
    CHECK(o->type == OBJECT_STRING);
    if (o->encoding != ENCODING_INT) return is_canonical_int(slice_make(o->as.bytes, o->len), out);
    *out = o->as.integer;
    return true;
}

/* An edited string's value as bytes that can grow, called raw from now on. */
static void make_raw(struct keyspace *ks, struct object *o) {
    if (o->encoding == ENCODING_INT) {
        char scratch[NUM_I64_MAX_LEN];
        struct slice text = string_get(o, scratch);
        string_assign_encoded(ks, o, text, ENCODING_RAW);
    }
    o->encoding = ENCODING_RAW;
}

void string_append(struct keyspace *ks, int db, struct object *o, struct slice tail) {
    CHECK(o->type == OBJECT_STRING);
    ks_edit(ks, db, o);
    make_raw(ks, o);
    size_t len = o->len + tail.len;
    CHECK(len <= STRING_LEN_MAX);
    grow_room(ks, o, len);
    if (tail.len != 0) memcpy(o->as.bytes + o->len, tail.data, tail.len);
    o->len = (uint32_t)len;
    ks_note_growth(ks, tail.len);
}

char *string_open(struct keyspace *ks, int db, struct slice key, struct object *o, size_t len) {
    CHECK(len <= STRING_LEN_MAX);
    if (o == NULL) {
        o = begin_set(ks, db, key, len, false);
        string_assign_encoded(ks, o, SLICE(""), ENCODING_RAW);
        make_room(ks, o, len); /* exactly, unlike what grows later */
    } else {
        CHECK(o->type == OBJECT_STRING);
        ks_edit(ks, db, o);
        make_raw(ks, o);
    }
    if (len > o->len) {
        grow_room(ks, o, len);
        memset(o->as.bytes + o->len, 0, len - o->len);
        ks_note_growth(ks, len - o->len);
        o->len = (uint32_t)len;
    }
    return o->as.bytes;
}

void string_write_at(struct keyspace *ks, int db, struct object *o, size_t offset, struct slice bytes) {
    CHECK(offset <= STRING_LEN_MAX);
    char *value = string_open(ks, db, object_key(o), o, offset + bytes.len);
    if (bytes.len != 0) memcpy(value + offset, bytes.data, bytes.len);
}
