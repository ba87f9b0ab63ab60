/* What lists, sets, sorted sets, hashes and streams have in common. Included by keyspace.c's circle and the type_*.c files only.
 *
 * A collection is small or big. A small one is bytes of the object (a pack, or an intset), one row like a string. A big one
 * (OBJECT_BIG) is a container: a tree of leaves, beside it whatever the type needs to find things fast, which is built when
 * it is loaded. On disk it is a header in the key's row, and a row for each leaf under the container's version, the index of
 * the entry that made it: leaves that did not change are not written again, and the whole goes with one range delete.
 *
 *     ks_edit(ks, db, o)                      before any change, small or big, as for strings
 *     small:  struct buf p = packed_open(o);  pack_...(&p, ...);  packed_close(ks, o, &p);
 *     big:    tree_...(&object_collection(o)->tree, ...)   leaves take care of themselves
 *     empty:  ks_delete(ks, db, o)            a collection without items does not exist (streams do)
 *
 * Which of the two a value is must follow from its content and ks_limits alone, never from this node's memory or settings. */
#ifndef STORAGE_COLLECTION_H
#define STORAGE_COLLECTION_H

#include "keyspace_internal.h"
#include "tree.h"

/* What no encoding of Redis's asks to be kept in one piece is kept so up to here, because one row is cheaper than two. */
enum { PACKED_BYTES_MAX = 2048, PACKED_ITEMS_MAX = 128 };

struct collection_class {
    size_t size; /* of the container, a struct that begins with a struct collection; zeroed when made */
    const struct tree_kind *kind;
    /* All of these may be NULL. */
    void (*init)(struct keyspace *ks, struct collection *c);
    /* What the type adds to the header row, and reads back: false when malformed. */
    void (*header_add)(struct buf *out, const struct collection *c);
    bool (*header_take)(struct keyspace *ks, struct collection *c, struct slice *in);
    /* All leaves are there: checks them, beyond that they are packs of whole items, and builds what is not stored. False when
     * malformed. */
    bool (*loaded)(struct keyspace *ks, struct collection *c);
    /* The trees are copied already; the rest. */
    void (*copy)(struct keyspace *ks, struct collection *to, const struct collection *from);
    /* Of the content, small or big: the same for the same items however they are kept. NULL: a digest of how it is kept, which is
     * the same on all nodes, but not for a copy that was made in another order. */
    uint64_t (*digest)(const struct object *o);
    /* Frees what init, header_take, loaded and copy made, not the trees; any thread. */
    void (*drop)(struct collection *c);
};
extern const struct collection_class list_class, set_class, zset_class, hash_class, stream_class;
const struct collection_class *collection_class_of(enum object_type type);

/* `bytes` counts what the type allocates besides trees; changed by collection_count() only. */
struct collection {
    struct tree tree;          /* section 0 */
    struct section_tree *more; /* further trees of the type (collection_add_tree) */
    const struct collection_class *class;
    struct keyspace *ks;
    struct db *db;
    struct buf prefix; /* of its leaves' rows: 'E' db place key-length key version */
    uint64_t version;
    size_t bytes;
    uint32_t listed;   /* leaves that are dirty, those that left the trees included */
    uint32_t sections; /* given out so far */
    uint8_t died;      /* the epoch in which its key was deleted; 0: it lives */
    bool stored;       /* the disk may have rows of it */
    uint8_t born;      /* the epoch in which it was made; 0: before the write-back that stored it */
    struct section_tree *dropped; /* kept while leaves of theirs are listed */
    struct collection *next_buried;
};

static inline bool object_is_big(const struct object *o) {
    return o->flags & OBJECT_BIG;
}
static inline struct collection *object_collection(const struct object *o) {
    CHECK(object_is_big(o));
    return o->as.collection;
}

/* --- small ones --- */

/* A key that is not there (ks_write said so) becomes a small collection; `bytes` (an empty pack, an intset) are taken over. */
struct object *collection_create(struct keyspace *ks, int db, struct slice key, enum object_type type,
                                 enum object_encoding encoding, struct buf bytes);
static inline struct slice packed_slice(const struct object *o) {
    CHECK(!object_is_big(o));
    return slice_make(o->as.bytes, o->len);
}
/* The bytes, to be changed as a buf; the object must be edited (ks_edit), and gets them back with packed_close. */
struct buf packed_open(struct keyspace *ks, struct object *o);
void packed_close(struct keyspace *ks, struct object *o, struct buf *bytes);

/* --- big ones --- */

/* An edited small collection becomes big: an empty container, to be filled by the caller from *was, the caller's to free. */
struct collection *collection_grow(struct keyspace *ks, int db, struct object *o, struct buf *was);
/* The type allocated or freed so many bytes (mem_size) outside the trees. */
void collection_count(struct collection *c, ptrdiff_t bytes);

/* A further tree of the container, for what is stored in leaves of its own (a stream's pending entries): linked into `more`,
 * with a section of its own that is stored by the type's header, or taken from it (`section` 0: a new one). */
struct section_tree {
    struct tree tree;
    struct section_tree *next;
};
struct tree *collection_add_tree(struct collection *c, const struct tree_kind *kind, uint32_t section);
/* Its leaves, and their rows. */
void collection_drop_tree(struct collection *c, struct tree *t);

/* --- for keyspace.c, rows.c and writeback.c --- */

void collection_host_init(struct keyspace *ks);
/* What a header row says behind what all rows have: the version, and what the type adds. */
void collection_header_add(struct buf *out, const struct collection *c);
/* The container of a key that was not in memory, with all its leaves; false when its rows are malformed or cannot be read. */
bool collection_load(struct keyspace *ks, struct db *db, struct object *o, struct slice header);
struct object *collection_copy(struct keyspace *ks, const struct object *o, int to_db, struct slice to_key);
/* Gives a new key what a big one holds, which is left with nothing: for ks_move. */
struct object *collection_move(struct keyspace *ks, struct object *o, int to_db, struct slice to_key);
/* The value is deleted or replaced. */
void collection_die(struct keyspace *ks, struct object *o);
/* Only memory is given up: it is clean. */
void collection_forget(struct keyspace *ks, struct object *o);
/* Frees everything, from any thread, once no leaf of it is listed; returns the bytes, which nobody has subtracted yet. */
size_t collection_free(struct collection *c);
size_t collection_memory(const struct collection *c);

/* A leaf's row: its key, and its value unless that is to be deleted. */
void collection_leaf_key(struct buf *out, const struct tree_leaf *leaf);
void collection_leaf_value(struct buf *out, const struct tree_leaf *leaf);
/* The disk has what was packed of a leaf on the frozen list. */
void collection_leaf_stored(struct keyspace *ks, const struct leaf_ref *ref);

#endif
