/* See rdb_object.h. What is one pack for Redis too goes as it is; everything else entry by entry, whether it is small or
 * big here. */
#include "rdb_object.h"

#include "collection.h"
#include "rdb_codec.h"
#include "type_hash.h"
#include "type_list.h"
#include "type_set.h"
#include "type_zset.h"

/* --- the packs of a collection, one after the other --- */

struct packs {
    struct slice pack; /* zero: no more */
    const struct tree_leaf *leaf;
};

static struct packs first_pack(const struct object *o) {
    if (!object_is_big(o)) return (struct packs){.pack = packed_slice(o)};
    const struct tree_leaf *leaf = object_collection(o)->tree.first;
    return (struct packs){.pack = leaf ? leaf_pack(leaf) : (struct slice){0}, .leaf = leaf};
}

static bool next_pack(struct packs *p) {
    p->leaf = p->leaf ? p->leaf->next : NULL;
    p->pack = p->leaf ? leaf_pack(p->leaf) : (struct slice){0};
    return p->leaf != NULL;
}

static size_t entry_count(const struct object *o) {
    if (!object_is_big(o)) return pack_count(packed_slice(o));
    const struct tree *t = &object_collection(o)->tree;
    return t->items * t->kind->arity;
}

typedef void entry_fn(void *arg, struct slice pack, size_t at);

static void each_entry(const struct object *o, entry_fn *entry, void *arg) {
    struct packs p = first_pack(o);
    do {
        for (size_t at = pack_first(p.pack); at != 0; at = pack_next(p.pack, at)) entry(arg, p.pack, at);
    } while (next_pack(&p));
}

/* --- writing --- */

void rdb_begin(struct rdb_out *out, enum rdb_type type, const struct object *o) {
    buf_add_byte(&out->bytes, (uint8_t)type);
    if (out->has_keys) rdb_add_text(&out->bytes, object_key(o));
}

static void add_entry(void *arg, struct slice pack, size_t at) {
    struct rdb_out *out = arg;
    char scratch[NUM_I64_MAX_LEN];
    rdb_add_text(&out->bytes, pack_get_text(pack, at, scratch));
    rdb_spill(out);
}

static void write_string(struct rdb_out *out, const struct object *o) {
    char scratch[NUM_I64_MAX_LEN];
    rdb_begin(out, RDB_STRING, o);
    rdb_add_text(&out->bytes, string_get(o, scratch));
}

static void write_as_kept(struct rdb_out *out, const struct object *o, enum rdb_type type) {
    rdb_begin(out, type, o);
    rdb_add_text(&out->bytes, packed_slice(o));
}

static void write_set(struct rdb_out *out, const struct object *o) {
    if (o->encoding == ENCODING_INTSET && !object_is_big(o)) {
        write_as_kept(out, o, RDB_SET_INTSET);
        return;
    }
    rdb_begin(out, RDB_SET, o);
    rdb_add_len(&out->bytes, entry_count(o));
    each_entry(o, add_entry, out);
}

static void write_hash(struct rdb_out *out, const struct object *o) {
    if (o->encoding == ENCODING_LISTPACK && !object_is_big(o)) {
        write_as_kept(out, o, RDB_HASH_LISTPACK);
        return;
    }
    rdb_begin(out, RDB_HASH, o);
    rdb_add_len(&out->bytes, entry_count(o) / 2);
    each_entry(o, add_entry, out);
}

/* The highest score first: so Redis, reading, adds each in front. */
static void write_skiplist(struct rdb_out *out, const struct object *o) {
    char scratch[NUM_I64_MAX_LEN];
    uint64_t count = zset_count(o);
    rdb_begin(out, RDB_ZSET_2, o);
    rdb_add_len(&out->bytes, count);
    for (struct zset_pos p = zset_at(o, count - 1); !zset_pos_is_end(p); p = zset_prev(p)) {
        double score = zset_score(p);
        rdb_add_text(&out->bytes, zset_member(p, scratch));
        buf_add(&out->bytes, &score, sizeof score);
        rdb_spill(out);
    }
}

/* Redis's packs have their scores as texts, unless they are whole. */
static void add_score(struct buf *pack, double score) {
    char text[NUM_DOUBLE_MAX_LEN];
    struct pack_value v = zset_score_entry(&score, ENCODING_LISTPACK);
    if (!v.is_int) v = pack_bytes(slice_make(text, format_double(text, score)));
    pack_append(pack, v);
}

static void write_zset(struct rdb_out *out, const struct object *o) {
    if (o->encoding != ENCODING_LISTPACK) {
        write_skiplist(out, o);
        return;
    }
    struct buf pack = {0};
    pack_begin(&pack);
    for (struct zset_pos p = zset_at(o, 0); !zset_pos_is_end(p); p = zset_next(p)) {
        char member[NUM_I64_MAX_LEN];
        pack_append(&pack, pack_text(zset_member(p, member)));
        add_score(&pack, zset_score(p));
    }
    rdb_begin(out, RDB_ZSET_LISTPACK, o);
    rdb_add_text(&out->bytes, buf_slice(&pack));
    buf_free(&pack);
}

/* --- lists: nodes as large as Redis would make them, had the elements been appended one by one. How many there are comes
 * in front of them, so they are counted first. --- */

struct nodes {
    struct rdb_out *out; /* NULL: they are only counted */
    struct buf node;
    size_t node_bytes;
    int64_t fill; /* list-max-listpack-size */
    uint64_t count, in_node;
};

static bool node_takes(const struct nodes *n, size_t text_len) {
    static const size_t bytes_max[] = {4096, 8192, 16384, 32768, 65536};
    enum { OVERHEAD = 8, COUNTED_BYTES_MAX = 8192 };
    size_t bytes = n->node_bytes + text_len + OVERHEAD;
    if (n->fill >= 0) return bytes <= COUNTED_BYTES_MAX && (int64_t)n->in_node < n->fill;
    int64_t level = -n->fill - 1;
    return bytes <= bytes_max[level < 4 ? level : 4];
}

static void begin_node(struct nodes *n) {
    n->in_node = 0;
    n->node_bytes = PACK_EMPTY_SIZE;
    if (n->out != NULL) pack_begin(&n->node);
}

static void end_node(struct nodes *n) {
    enum { NODE_PACKED = 2 };
    n->count++;
    if (n->out != NULL) {
        CHECK(n->node.len == n->node_bytes);
        rdb_add_len(&n->out->bytes, NODE_PACKED);
        rdb_add_text(&n->out->bytes, buf_slice(&n->node));
        rdb_spill(n->out);
    }
    begin_node(n);
}

static void add_to_node(void *arg, struct slice pack, size_t at) {
    struct nodes *n = arg;
    char scratch[NUM_I64_MAX_LEN];
    struct pack_value value = pack_get(pack, at);
    if (n->in_node > 0 && !node_takes(n, pack_get_text(pack, at, scratch).len)) end_node(n);
    if (n->out != NULL) pack_append(&n->node, value);
    n->node_bytes += pack_value_size(value);
    n->in_node++;
}

static uint64_t each_node(struct rdb_out *out, const struct object *o, int64_t fill) {
    struct nodes n = {.out = out, .fill = fill};
    begin_node(&n);
    each_entry(o, add_to_node, &n);
    if (n.in_node > 0) end_node(&n);
    buf_free(&n.node);
    return n.count;
}

static void write_list(struct rdb_out *out, const struct object *o, int64_t fill) {
    uint64_t count = each_node(NULL, o, fill);
    rdb_begin(out, RDB_LIST_QUICKLIST_2, o);
    rdb_add_len(&out->bytes, count);
    CHECK(each_node(out, o, fill) == count);
}

void rdb_write(struct rdb_out *out, const struct ks_limits *limits, const struct object *o) {
    switch ((enum object_type)o->type) {
    case OBJECT_STRING: write_string(out, o); break;
    case OBJECT_LIST: write_list(out, o, limits->list_max_listpack_size); break;
    case OBJECT_SET: write_set(out, o); break;
    case OBJECT_HASH: write_hash(out, o); break;
    case OBJECT_ZSET: write_zset(out, o); break;
    case OBJECT_STREAM: rdb_write_stream(out, o); break;
    case OBJECT_NONE: CHECK(o->type != OBJECT_NONE);
    }
}

void rdb_dump(struct buf *bytes, const struct keyspace *ks, const struct object *o) {
    struct rdb_out out = {.bytes = *bytes};
    rdb_write(&out, ks_limits(ks), o);
    rdb_seal(&out.bytes, bytes->len);
    *bytes = out.bytes;
}

/* --- reading --- */

/* Scores as this house keeps them. */
static void convert_scores(struct rdb_value *value) {
    struct slice from = buf_slice(&value->bytes);
    struct buf to = {0};
    pack_begin(&to);
    for (size_t at = pack_first(from); at != 0; at = pack_next(from, at)) {
        pack_append(&to, pack_get(from, at));
        at = pack_next(from, at);
        struct pack_value v = pack_get(from, at);
        double score = (double)v.integer;
        if (!v.is_int) CHECK(parse_double(v.text, &score));
        pack_append(&to, zset_score_entry(&score, value->encoding));
    }
    buf_free(&value->bytes);
    value->bytes = to;
}

struct object *rdb_restore(struct keyspace *ks, int db, struct slice key, struct rdb_value *value) {
    if (value->type == OBJECT_STRING) return string_set(ks, db, key, buf_slice(&value->bytes), false);
    if (value->type == OBJECT_STREAM) return rdb_restore_stream(ks, db, key, value);
    if (value->type == OBJECT_ZSET) convert_scores(value);
    struct object *o = collection_create(ks, db, key, value->type, value->encoding, value->bytes);
    value->bytes = (struct buf){0};
    switch (value->type) {
    case OBJECT_LIST: list_fit(ks, db, o); break;
    case OBJECT_SET: set_fit(ks, db, o); break;
    case OBJECT_ZSET: zset_fit(ks, db, o); break;
    case OBJECT_HASH: hash_fit(ks, db, o); break;
    default: CHECK(value->type != OBJECT_NONE);
    }
    return o;
}
