/* Digests: equal on nodes with equal data, whatever each of them happens to hold in memory. */
#include "collection.h"

/* A type without a digest of its own is summed up as it is kept, which is the same on all nodes. */
static uint64_t digest_as_kept(const struct object *o) {
    if (!object_is_big(o)) return hash64(packed_slice(o));
    const struct collection *c = object_collection(o);
    uint64_t h = c->tree.items;
    for (const struct tree_leaf *l = c->tree.first; l != NULL; l = l->next)
        h = hash64_seeded(h, leaf_pack(l));
    return h;
}

uint64_t object_value_digest(const struct object *o) {
    char scratch[NUM_I64_MAX_LEN];
    struct buf b = {0};
    buf_add_byte(&b, o->type);
    buf_add_u64le(&b, (uint64_t)object_deadline(o));
    if (o->type == OBJECT_STRING) {
        buf_add_slice(&b, string_get(o, scratch));
    } else {
        const struct collection_class *class = collection_class_of((enum object_type)o->type);
        buf_add_u64le(&b, class->digest ? class->digest(o) : digest_as_kept(o));
    }
    uint64_t h = hash64(buf_slice(&b));
    buf_free(&b);
    return h;
}

uint64_t object_digest(const struct object *o) {
    return hash64_seeded(object_value_digest(o), object_key(o));
}

struct digest {
    int db;
    uint64_t sum, mix;
    uint32_t count;
};

static bool digest_add(void *arg, const struct object *o) {
    struct digest *d = arg;
    uint64_t h = object_digest(o) ^ ((uint64_t)(d->db + 1) * UINT64_C(0x9e3779b97f4a7c15));
    d->sum += h;
    d->mix += hash64(slice_make((const char *)&h, sizeof h));
    d->count++;
    return true;
}

void ks_digest(struct keyspace *ks, uint8_t out[20]) {
    struct digest d = {0};
    for (d.db = 0; d.db < DB_SLOTS; d.db++) ks_visit_all(ks, d.db, digest_add, &d);
    memcpy(out, &d.sum, 8);
    memcpy(out + 8, &d.mix, 8);
    memcpy(out + 16, &d.count, 4);
}
