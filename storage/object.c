/* What onlookers ask of any object. */
#include "collection.h"

const char *object_type_name(const struct object *o) {
    static const char *const names[] = {
        [OBJECT_STRING] = "string", [OBJECT_LIST] = "list", [OBJECT_SET] = "set",
        [OBJECT_ZSET] = "zset",     [OBJECT_HASH] = "hash", [OBJECT_STREAM] = "stream",
    };
    CHECK(o->type != OBJECT_NONE);
    CHECK(o->type < sizeof names / sizeof *names);
    return names[o->type];
}

const char *object_encoding_name(const struct object *o) {
    static const char *const names[] = {
        [ENCODING_RAW] = "raw",
        [ENCODING_INT] = "int",
        [ENCODING_EMBSTR] = "embstr",
        [ENCODING_LISTPACK] = "listpack",
        [ENCODING_QUICKLIST] = "quicklist",
        [ENCODING_INTSET] = "intset",
        [ENCODING_HASHTABLE] = "hashtable",
        [ENCODING_SKIPLIST] = "skiplist",
        [ENCODING_STREAM] = "stream",
    };
    CHECK(o->encoding < sizeof names / sizeof *names);
    return names[o->encoding];
}

size_t object_memory(const struct object *o) {
    size_t size = mem_size(o) + mem_size(o->expiry);
    if (object_is_big(o))
        size += collection_memory(object_collection(o));
    else if (object_has_outside_bytes(o))
        size += mem_size(o->as.bytes);
    return size;
}
