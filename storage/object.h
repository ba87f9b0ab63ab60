/* One key with its value in memory. An object never moves while it lives, so lists of dirty objects may point at
 * it; its value may move (inside, behind the key, or in an allocation of its own).
 *
 * Only keyspace.c and the type_*.c files change objects, and only after ks_edit(): that is what lets a write-back
 * that is under way keep the state of one log index. Commands read fields and call those functions. */
#ifndef STORAGE_OBJECT_H
#define STORAGE_OBJECT_H

#include "slice.h"

enum object_type {
    OBJECT_NONE = 0, /* a tombstone: the key is gone, the disk may not know yet */
    OBJECT_STRING = 1,
    OBJECT_LIST = 2,
    OBJECT_SET = 3,
    OBJECT_ZSET = 4,
    OBJECT_HASH = 5,
    OBJECT_STREAM = 6,
    /* stored bytes: numbers are never reused */
};

/* What OBJECT ENCODING answers: what Redis would call a value with this history. Stored; says nothing by itself about how the
 * value is kept, except that an intset's bytes are those of intset.h. */
enum object_encoding {
    ENCODING_RAW = 0,
    ENCODING_INT = 1,
    ENCODING_EMBSTR = 2,
    ENCODING_LISTPACK = 3,
    ENCODING_QUICKLIST = 4,
    ENCODING_INTSET = 5,
    ENCODING_HASHTABLE = 6,
    ENCODING_SKIPLIST = 7,
    ENCODING_STREAM = 8,
};

/* A deadline, kept while the key has one or while the disk still shows one. */
struct expiry {
    int64_t deadline_ms; /* -1: none (any more) */
    int64_t stored_ms;   /* what the disk has; -1: none */
    size_t heap_at;      /* place in the keyspace's heap + 1; 0: not in it */
    struct object *object;
    uint32_t db_id;
};

struct object {
    struct object *chain; /* next in its bucket */
    struct expiry *expiry;
    union {
        int64_t integer; /* ENCODING_INT */
        char *
            bytes; /* strings: the value; small collections: a pack or an intset, in an allocation of its own */
        struct collection *collection; /* OBJECT_BIG */
    } as;
    uint64_t place; /* slot (14 bits) and hash (50 bits): the position in the order of rows */
    uint32_t len;   /* bytes of the value; 0 when it is big */
    uint32_t cap;   /* bytes there is room for */
    uint32_t key_len;
    uint32_t access_s; /* server seconds of the last access (OBJECT IDLETIME) */
    uint8_t type;
    uint8_t encoding;
    uint8_t flags; /* OBJECT_STORED ... */
    uint8_t freq;  /* OBJECT FREQ's logarithmic counter, when the policy is LFU */
    uint8_t dirty; /* 0: as on disk; else the epoch of the write-back that will store it */
    char key[];
};

enum {
    OBJECT_STORED = 1, /* the disk has, or will have when the running write-back ends, a row of this key */
    OBJECT_PACKED = 2, /* already copied for the running write-back */
    OBJECT_REFERENCED = 4, /* second chance of the eviction hand */
    OBJECT_BIG = 8,        /* the value is a container of its own (collection.h), stored in rows of its own */
};

static inline struct slice object_key(const struct object *o) {
    return slice_make(o->key, o->key_len);
}
static inline int64_t object_deadline(const struct object *o) {
    return o->expiry ? o->expiry->deadline_ms : -1;
}

#endif
