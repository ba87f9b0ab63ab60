/* Big collections: containers, the rows of their leaves, and how both come and go. Leaves are listed, frozen, packed and
 * released by a write-back exactly as objects are; what differs is that they can leave their tree, and their tree its key:
 *
 *     a leaf that left is kept, empty, until the write-back that deletes its row has ended;
 *     a container that died is kept until no list names a leaf of it, for a running write-back may still have to pack some
 *     as they were; the rows it leaves behind go with one range delete in the next write-back. */
#include "collection.h"

#include <stdio.h>

enum { LEAF_ROW_VERSION = 1, FREE_AT_ONCE_LEAVES = 64 };

const struct collection_class *collection_class_of(enum object_type type) {
    /* A row for each type that can be big. */
    static const struct collection_class *const classes[] = {
        [OBJECT_LIST] = &list_class, [OBJECT_SET] = &set_class,       [OBJECT_HASH] = &hash_class,
        [OBJECT_ZSET] = &zset_class, [OBJECT_STREAM] = &stream_class,
    };
    CHECK(type < sizeof classes / sizeof *classes);
    CHECK(classes[type] != NULL);
    return classes[type];
}

static inline struct collection *leaf_collection(const struct tree_leaf *leaf) {
    return leaf->tree->owner;
}

/* --- what trees tell --- */

static void leaf_list_add(struct leaf_list *l, struct leaf_ref ref) {
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        l->items = mem_realloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = ref;
}

static void leaf_touch(struct tree_host *host, struct tree_leaf *leaf) {
    struct keyspace *ks = (struct keyspace *)(void *)((char *)host - offsetof(struct keyspace, host));
    struct leaf_ref ref = {leaf, leaf_collection(leaf)};
    if (leaf->dirty == ks->epoch) return;
    if (leaf->dirty != 0 && !(leaf->flags & LEAF_PACKED)) writeback_pack_leaf_now(ks, &ref);
    leaf->dirty = ks->epoch;
    leaf_list_add(&ks->dirty_leaves, ref);
    ref.collection->listed++;
    ks->stats.dirty_bytes += sizeof *leaf + ref.collection->prefix.len + leaf->pack.len;
}

/* It has been touched, so a list names it: it goes when the list is done with it. */
static void leaf_gone(struct tree_host *host, struct tree_leaf *leaf) {
    (void)host;
    leaf->flags |= LEAF_GONE;
}

void collection_host_init(struct keyspace *ks) {
    ks->host = (struct tree_host){.epoch = ks->epoch, .touch = leaf_touch, .gone = leaf_gone};
}

/* --- containers --- */

static void prefix_of(struct buf *out, uint32_t db_id, const struct object *o, uint64_t version) {
    row_db_prefix(out, ROW_ELEMENT, db_id);
    buf_add_u64be(out, o->place);
    buf_add_u32be(out, o->key_len);
    buf_add_slice(out, object_key(o));
    buf_add_u64be(out, version);
}

static void init_tree(struct collection *c, struct tree *t, const struct tree_kind *kind, uint32_t section) {
    tree_init(t, kind, &c->ks->host, c);
    t->hash_seed = c->ks->place_seed;
    t->memory = &c->ks->stats.memory_bytes;
    t->section = section;
}

static struct collection *container_new(struct keyspace *ks, struct db *db, const struct object *o,
                                        uint64_t version) {
    const struct collection_class *class = collection_class_of((enum object_type)o->type);
    CHECK(class->size >= sizeof(struct collection));
    struct collection *c = mem_calloc(1, class->size);
    c->class = class;
    c->ks = ks;
    c->db = db;
    c->version = version;
    c->sections = 1;
    init_tree(c, &c->tree, class->kind, 0);
    prefix_of(&c->prefix, db->id, o, version);
    collection_count(c, (ptrdiff_t)(mem_size(c) + mem_size(c->prefix.data)));
    if (class->init) class->init(ks, c);
    return c;
}

void collection_count(struct collection *c, ptrdiff_t bytes) {
    c->bytes += (size_t)bytes;
    c->ks->stats.memory_bytes += (uint64_t)bytes;
}

/* Two containers of one key are never of one entry unless the first was gone before any write-back could see it. */
static struct collection *give_container(struct keyspace *ks, struct db *db, struct object *o) {
    struct collection *c = container_new(ks, db, o, ks->applied.index + 1);
    c->born = ks->epoch;
    o->flags |= OBJECT_BIG;
    o->as.collection = c;
    return c;
}

struct collection *collection_grow(struct keyspace *ks, int db, struct object *o, struct buf *was) {
    *was = packed_open(ks, o);
    return give_container(ks, ks_db(ks, db), o);
}

struct tree *collection_add_tree(struct collection *c, const struct tree_kind *kind, uint32_t section) {
    struct section_tree *s = mem_calloc(1, sizeof *s);
    if (section == 0) section = c->sections++;
    if (section >= c->sections) c->sections = section + 1;
    init_tree(c, &s->tree, kind, section);
    s->next = c->more;
    c->more = s;
    collection_count(c, (ptrdiff_t)mem_size(s));
    return &s->tree;
}

void collection_drop_tree(struct collection *c, struct tree *t) {
    struct section_tree **link = &c->more;
    while (&(*link)->tree != t) link = &(*link)->next;
    struct section_tree *s = *link;
    *link = s->next;
    tree_remove_range(t, 0, t->items);
    CHECK(t->leaves == 0);
    s->next = c->dropped;
    c->dropped = s;
}

static void free_dropped_trees(struct collection *c) {
    for (struct section_tree *s = c->dropped, *next; s != NULL; s = next) {
        next = s->next;
        mem_free(s);
    }
    c->dropped = NULL;
}

size_t collection_memory(const struct collection *c) {
    size_t size = c->bytes + c->tree.bytes;
    for (const struct section_tree *s = c->more; s != NULL; s = s->next) size += s->tree.bytes;
    return size;
}

static void free_tree(struct tree *t) {
    t->memory = NULL;
    tree_free(t);
}

size_t collection_free(struct collection *c) {
    CHECK(c->listed == 0);
    size_t size = collection_memory(c);
    if (c->class->drop) c->class->drop(c);
    free_tree(&c->tree);
    for (struct section_tree *s = c->more, *next; s != NULL; s = next) {
        next = s->next;
        free_tree(&s->tree);
        mem_free(s);
    }
    free_dropped_trees(c);
    buf_free(&c->prefix);
    mem_free(c);
    return size;
}

/* --- dying --- */

/* Nobody knows it any more: a small one is freed now, a big one in the background. */
static void bury(struct keyspace *ks, struct collection *c) {
    if (c->tree.leaves <= FREE_AT_ONCE_LEAVES) {
        ks->stats.memory_bytes -= collection_free(c);
        return;
    }
    c->next_buried = ks->buried;
    ks->buried = c;
}

static void drop_rows(struct keyspace *ks, const struct collection *c) {
    /* One that was made since the running write-back began has no rows, and will never have any. */
    if (!c->stored && c->born == ks->epoch) return;
    buf_add_u32le(&ks->dropped_collections, (uint32_t)c->prefix.len);
    buf_add_slice(&ks->dropped_collections, buf_slice(&c->prefix));
}

void collection_die(struct keyspace *ks, struct object *o) {
    struct collection *c = object_collection(o);
    CHECK(c->died == 0);
    c->died = ks->epoch;
    drop_rows(ks, c);
    if (c->listed == 0) bury(ks, c);
}

void collection_forget(struct keyspace *ks, struct object *o) {
    struct collection *c = object_collection(o);
    o->as.collection = NULL;
    o->flags &= (uint8_t)~OBJECT_BIG;
    o->type = OBJECT_NONE;
    if (c != NULL) ks->stats.memory_bytes -= collection_free(c);
}

void collection_leaf_stored(struct keyspace *ks, const struct leaf_ref *ref) {
    struct collection *c = ref->collection;
    struct tree_leaf *leaf = ref->leaf;
    leaf->flags &= (uint8_t)~LEAF_PACKED;
    CHECK(c->listed > 0);
    c->listed--;
    if (leaf->dirty == ks->frozen_epoch) {
        leaf->dirty = 0;
        if (leaf->flags & LEAF_GONE) tree_leaf_free(leaf, &ks->stats.memory_bytes);
    }
    if (c->listed > 0) return;
    free_dropped_trees(c);
    if (c->died != 0) bury(ks, c);
}

/* --- rows --- */

void collection_leaf_key(struct buf *out, const struct tree_leaf *leaf) {
    buf_clear(out);
    buf_add_slice(out, buf_slice(&leaf_collection(leaf)->prefix));
    buf_add_u32be(out, leaf->tree->section);
    buf_add_u64be(out, leaf->label);
}

void collection_leaf_value(struct buf *out, const struct tree_leaf *leaf) {
    buf_clear(out);
    buf_add_byte(out, LEAF_ROW_VERSION);
    buf_add_u32le(out, leaf->items);
    buf_add_slice(out, leaf_pack(leaf));
}

void collection_header_add(struct buf *out, const struct collection *c) {
    buf_add_u64le(out, c->version);
    if (c->class->header_add) c->class->header_add(out, c);
}

static struct tree *section_of(struct collection *c, uint32_t section) {
    if (section == 0) return &c->tree;
    for (struct section_tree *s = c->more; s != NULL; s = s->next)
        if (s->tree.section == section) return &s->tree;
    return NULL;
}

/* A row behind the container's prefix. */
static bool load_leaf(struct collection *c, struct slice place, struct slice value) {
    uint8_t version;
    uint32_t section, items;
    uint64_t label;
    if (!slice_take_u32be(&place, &section) || !slice_take_u64be(&place, &label) || place.len != 0)
        return false;
    if (!slice_take_u8(&value, &version) || version != LEAF_ROW_VERSION) return false;
    if (!slice_take_u32le(&value, &items) || items == 0) return false;
    struct tree *t = section_of(c, section);
    if (t == NULL || (t->last != NULL && t->last->label >= label)) return false;
    size_t entries;
    if (!pack_valid(value, &entries)) return false;
    if (t->kind->arity != 0 && entries != (uint64_t)items * t->kind->arity) return false;
    struct buf pack = {.data = mem_alloc(value.len), .len = value.len};
    pack.cap = mem_size(pack.data);
    memcpy(pack.data, value.data, value.len);
    tree_load_leaf(t, label, pack, items);
    return true;
}

static bool read_leaves(struct collection *c, struct kv_iter *it) {
    struct slice prefix = buf_slice(&c->prefix);
    bool sound = true;
    for (kv_iter_seek(it, prefix); sound && kv_iter_valid(it); kv_iter_next(it)) {
        struct slice key = kv_iter_key(it);
        if (!slice_begins(key, prefix)) break;
        sound = load_leaf(c, slice_make(key.data + prefix.len, key.len - prefix.len), kv_iter_value(it));
    }
    return sound;
}

static bool load_leaves(struct keyspace *ks, struct collection *c) {
    struct buf upper = {0};
    struct slice prefix = buf_slice(&c->prefix);
    buf_add(&upper, prefix.data, prefix.len - sizeof(uint64_t));
    buf_add_u64be(&upper, c->version + 1);
    struct kv_iter *it = ks->reader != NULL ? ks->reader : kv_iter_new(ks->kv, buf_slice(&upper), false);
    struct kv_error error;
    bool sound = read_leaves(c, it);
    if (!kv_iter_valid(it) && kv_iter_error(it, &error) != RC_OK) {
        ks_fail(ks, "reading a collection from disk failed", &error);
        sound = false;
    }
    if (it != ks->reader) kv_iter_free(it);
    buf_free(&upper);
    return sound;
}

bool collection_load(struct keyspace *ks, struct db *db, struct object *o, struct slice header) {
    uint64_t version;
    if (!slice_take_u64le(&header, &version)) return false;
    struct collection *c = container_new(ks, db, o, version);
    o->as.collection = c;
    c->stored = true;
    bool sound = !c->class->header_take || c->class->header_take(ks, c, &header);
    sound = sound && header.len == 0 && load_leaves(ks, c);
    if (sound && c->class->loaded) sound = c->class->loaded(ks, c);
    if (!sound) {
        o->as.collection = NULL;
        ks->stats.memory_bytes -= collection_free(c);
    }
    return sound;
}

/* --- copying and moving --- */

static void copy_big(struct keyspace *ks, struct collection *to, const struct collection *from) {
    tree_copy(&to->tree, &from->tree);
    to->sections = from->sections;
    for (const struct section_tree *s = from->more; s != NULL; s = s->next)
        tree_copy(collection_add_tree(to, s->tree.kind, s->tree.section), &s->tree);
    if (to->class->copy) to->class->copy(ks, to, from);
}

/* A new key for what `o` holds, without any of it yet. */
static struct object *create_like(struct keyspace *ks, const struct object *o, int to_db,
                                  struct slice to_key) {
    uint64_t place = place_of(ks, to_key);
    struct object *to = ks_find(ks, to_db, place, to_key);
    if (to != NULL) ks_delete(ks, to_db, to);
    to = ks_create(ks, to_db, place, to_key, 0);
    to->type = o->type;
    to->encoding = o->encoding;
    ks_set_deadline(ks, to_db, to, object_deadline(o));
    return to;
}

static void touch_leaves(struct keyspace *ks, const struct tree *t) {
    for (struct tree_leaf *leaf = t->first; leaf != NULL; leaf = leaf->next) leaf_touch(&ks->host, leaf);
}

/* Its leaves stay where they are in memory; on disk all of them are written anew, under the new key. */
static void rename_rows(struct collection *c, struct db *db, const struct object *to) {
    struct keyspace *ks = c->ks;
    writeback_pack_leaves_now(ks, c); /* a running write-back stores the state from before this */
    drop_rows(ks, c);
    size_t before = mem_size(c->prefix.data);
    c->db = db;
    c->version = ks->applied.index + 1;
    c->stored = false;
    c->born = ks->epoch;
    prefix_of(&c->prefix, db->id, to, c->version);
    collection_count(c, (ptrdiff_t)mem_size(c->prefix.data) - (ptrdiff_t)before);
    touch_leaves(ks, &c->tree);
    for (const struct section_tree *s = c->more; s != NULL; s = s->next) touch_leaves(ks, &s->tree);
}

struct object *collection_move(struct keyspace *ks, struct object *o, int to_db, struct slice to_key) {
    struct object *to = create_like(ks, o, to_db, to_key);
    to->as.collection = object_collection(o);
    to->flags |= OBJECT_BIG;
    o->as.bytes = NULL;
    o->flags &= (uint8_t)~OBJECT_BIG;
    rename_rows(to->as.collection, ks_db(ks, to_db), to);
    return to;
}

struct object *collection_copy(struct keyspace *ks, const struct object *o, int to_db, struct slice to_key) {
    struct object *to = create_like(ks, o, to_db, to_key);
    if (object_is_big(o)) {
        copy_big(ks, give_container(ks, ks_db(ks, to_db), to), object_collection(o));
    } else {
        to->as.bytes = value_alloc(ks, o->len);
        memcpy(to->as.bytes, o->as.bytes, o->len);
        to->len = o->len;
        to->cap = (uint32_t)mem_size(to->as.bytes);
        ks_note_growth(ks, o->len);
    }
    return to;
}
