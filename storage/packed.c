/* Small collections: bytes of the object, in an allocation of their own, changed as a buf. */
#include "collection.h"

static void give_bytes(struct keyspace *ks, struct object *o, struct buf *bytes) {
    CHECK(bytes->data != NULL);
    CHECK(bytes->len <= UINT32_MAX);
    o->as.bytes = bytes->data;
    o->len = (uint32_t)bytes->len;
    o->cap = bytes->cap < UINT32_MAX ? (uint32_t)bytes->cap : UINT32_MAX;
    ks->stats.memory_bytes += mem_size(bytes->data);
    *bytes = (struct buf){0};
}

struct object *collection_create(struct keyspace *ks, int db, struct slice key, enum object_type type,
                                 enum object_encoding encoding, struct buf bytes) {
    CHECK(type != OBJECT_NONE);
    CHECK(type != OBJECT_STRING);
    struct object *o = ks_create(ks, db, place_of(ks, key), key, 0);
    o->type = (uint8_t)type;
    o->encoding = (uint8_t)encoding;
    ks_note_growth(ks, bytes.len);
    give_bytes(ks, o, &bytes);
    return o;
}

struct buf packed_open(struct keyspace *ks, struct object *o) {
    CHECK(!object_is_big(o));
    CHECK(o->dirty == ks->epoch);
    struct buf bytes = {.data = o->as.bytes, .len = o->len, .cap = o->cap};
    ks->stats.memory_bytes -= mem_size(bytes.data);
    o->as.bytes = NULL;
    o->len = o->cap = 0;
    return bytes;
}

void packed_close(struct keyspace *ks, struct object *o, struct buf *bytes) {
    CHECK(o->as.bytes == NULL);
    give_bytes(ks, o, bytes);
}
