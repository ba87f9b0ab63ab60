/* Long values copied before they are set. To copy half a gigabyte into memory that is new takes a third of a second, most of it
 * the kernel's for making pages, and a node that does it in one go is heard of by nobody meanwhile. Nothing about the state
 * depends on it: what was not prepared is copied when it is set. */
#include "keyspace_internal.h"

/* Setting it will write into the room that the key's value has, which costs little. */
static bool has_room(struct keyspace *ks, int db, struct slice key, size_t len) {
    const struct object *o = table_find(ks_db(ks, db), place_of(ks, key), key);
    return o != NULL && o->type == OBJECT_STRING && o->encoding != ENCODING_INT && o->cap >= len;
}

bool ks_prepare_string(struct keyspace *ks, int db, struct slice key, struct slice value, size_t bytes_max) {
    struct prepared_value *p = &ks->prepared;
    if (p->bytes == NULL || p->from.data != value.data || p->from.len != value.len) {
        ks_forget_prepared(ks);
        if (value.len == 0 || value.len > STRING_LEN_MAX || has_room(ks, db, key, value.len)) return true;
        *p = (struct prepared_value){.from = value, .bytes = value_alloc(ks, value.len)};
    }
    size_t left = value.len - p->done, n = left < bytes_max ? left : bytes_max;
    memcpy(p->bytes + p->done, value.data + p->done, n);
    p->done += n;
    return p->done == value.len;
}

void ks_forget_prepared(struct keyspace *ks) {
    struct prepared_value *p = &ks->prepared;
    if (p->bytes != NULL) value_free(ks, p->bytes);
    *p = (struct prepared_value){0};
}

bool prepared_take(struct keyspace *ks, struct object *o, struct slice value) {
    struct prepared_value *p = &ks->prepared;
    if (p->bytes == NULL || p->from.data != value.data || p->from.len != value.len) return false;
    memcpy(p->bytes + p->done, value.data + p->done, value.len - p->done);
    if (object_has_outside_bytes(o)) value_free(ks, o->as.bytes);
    o->as.bytes = p->bytes;
    o->cap = (uint32_t)value.len;
    *p = (struct prepared_value){0};
    return true;
}
