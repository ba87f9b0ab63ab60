/* See type_hash.h. */
#include "type_hash.h"

#include "hashed.h"

enum { PAIR = 2 };

static const struct tree_kind hash_kind = {
    .order = ORDER_HASH, .arity = PAIR, .leaf_bytes = HASHED_LEAF_BYTES, .head = hashed_head};
const struct collection_class hash_class = {
    .size = sizeof(struct collection), .kind = &hash_kind, .loaded = hashed_loaded, .digest = hash_digest};

size_t hash_len(const struct object *o) {
    CHECK(o->type == OBJECT_HASH);
    return object_is_big(o) ? (size_t)hashed_tree(o)->items : pack_count(packed_slice(o)) / PAIR;
}

/* --- finding --- */

static inline size_t packed_find(struct slice pack, struct slice field) {
    struct pack_value v = pack_text(field);
    return pack_find(pack, pack_first(pack), &v, PAIR);
}

static inline struct tree_pos big_find(const struct tree *t, struct slice field) {
    struct pack_value v = pack_text(field);
    return hashed_find(t, hash64_seeded(t->hash_seed, field), &v);
}

bool hash_get(const struct object *o, struct slice field, struct pack_value *value) {
    CHECK(o->type == OBJECT_HASH);
    struct slice pack;
    size_t at;
    if (object_is_big(o)) {
        struct tree_pos p = big_find(hashed_tree(o), field);
        if (pos_is_end(p)) return false;
        pack = leaf_pack(p.leaf);
        at = p.at;
    } else {
        pack = packed_slice(o);
        at = packed_find(pack, field);
        if (at == 0) return false;
    }
    *value = pack_get(pack, pack_next(pack, at));
    return true;
}

/* --- setting --- */

/* What Redis would keep as a listpack. */
static bool fits_listpack(const struct ks_limits *limits, const struct slice *pairs, size_t count) {
    enum { LISTPACK_BYTES_MAX = 1 << 30 };
    size_t sum = 0;
    for (size_t i = 0; i < count * PAIR; i++) {
        if (pairs[i].len > (uint64_t)limits->hash_max_listpack_value) return false;
        sum += pairs[i].len;
    }
    return sum <= LISTPACK_BYTES_MAX;
}

static bool packed_set(struct buf *p, struct slice field, struct slice value) {
    size_t at = packed_find(buf_slice(p), field);
    struct pack_value v = pack_text(value);
    if (at != 0) {
        pack_replace(p, pack_next(buf_slice(p), at), v);
        return false;
    }
    pack_append(p, pack_text(field));
    pack_append(p, v);
    return true;
}

static bool big_set(struct tree *t, struct slice field, struct slice value) {
    struct pack_value pair[PAIR] = {pack_text(field), pack_text(value)};
    uint64_t hash = hash64_seeded(t->hash_seed, field);
    struct tree_pos p = hashed_find(t, hash, &pair[0]);
    if (pos_is_end(p))
        tree_insert_hashed(t, hash, pair);
    else
        tree_replace(t, p, 1, pair[1]);
    return pos_is_end(p);
}

static inline bool stays_packed(const struct object *o, struct slice pack) {
    if (o->encoding == ENCODING_LISTPACK) return true;
    return pack.len <= PACKED_BYTES_MAX && pack_count(pack) <= PACKED_ITEMS_MAX * PAIR;
}

static void grow(struct keyspace *ks, int db, struct object *o) {
    struct buf was = {0};
    struct collection *c = collection_grow(ks, db, o, &was);
    struct slice pack = buf_slice(&was);
    for (size_t at = pack_first(pack); at != 0;) {
        char scratch[NUM_I64_MAX_LEN];
        size_t value_at = pack_next(pack, at);
        struct pack_value pair[PAIR] = {pack_get(pack, at), pack_get(pack, value_at)};
        uint64_t hash = hash64_seeded(c->tree.hash_seed, value_text(&pair[0], scratch));
        tree_insert_hashed(&c->tree, hash, pair);
        at = pack_next(pack, value_at);
    }
    buf_free(&was);
}

void hash_fit(struct keyspace *ks, int db, struct object *o) {
    if (!stays_packed(o, packed_slice(o))) grow(ks, db, o);
}

/* Sets pairs while the hash is one pack; returns how many of them were set. */
static size_t set_packed(struct keyspace *ks, int db, struct object *o, const struct slice *pairs,
                         size_t count, size_t *created) {
    uint64_t fields_max = (uint64_t)ks_limits(ks)->hash_max_listpack_entries;
    struct buf p = packed_open(ks, o);
    size_t done = 0;
    do {
        *created += packed_set(&p, pairs[done * PAIR], pairs[done * PAIR + 1]);
        done++;
        if (pack_count(buf_slice(&p)) / PAIR > fields_max) o->encoding = ENCODING_HASHTABLE;
    } while (done < count && stays_packed(o, buf_slice(&p)));
    packed_close(ks, o, &p);
    hash_fit(ks, db, o);
    return done;
}

static struct object *create(struct keyspace *ks, int db, struct slice key) {
    struct buf empty = {0};
    pack_begin(&empty);
    return collection_create(ks, db, key, OBJECT_HASH, ENCODING_LISTPACK, empty);
}

size_t hash_set(struct keyspace *ks, int db, struct object **o, struct slice key, const struct slice *pairs,
                size_t count) {
    CHECK(count > 0);
    if (*o == NULL)
        *o = create(ks, db, key);
    else
        ks_edit(ks, db, *o);
    CHECK((*o)->type == OBJECT_HASH);
    if ((*o)->encoding == ENCODING_LISTPACK && !fits_listpack(ks_limits(ks), pairs, count))
        (*o)->encoding = ENCODING_HASHTABLE;

    size_t created = 0, done = 0;
    if (!object_is_big(*o)) done = set_packed(ks, db, *o, pairs, count, &created);
    for (; done < count; done++)
        created += big_set(hashed_tree(*o), pairs[done * PAIR], pairs[done * PAIR + 1]);
    return created;
}

/* --- removing --- */

static size_t remove_packed(struct keyspace *ks, int db, struct object *o, const struct slice *fields,
                            size_t count) {
    size_t removed = 0, i = 0, at = 0;
    while (i < count && (at = packed_find(packed_slice(o), fields[i])) == 0) i++;
    if (i == count) return 0; /* nothing to change */

    ks_edit(ks, db, o);
    struct buf p = packed_open(ks, o);
    for (; i < count; i++) {
        at = packed_find(buf_slice(&p), fields[i]);
        if (at == 0) continue;
        pack_remove(&p, at, PAIR);
        removed++;
    }
    packed_close(ks, o, &p);
    return removed;
}

static size_t remove_big(struct keyspace *ks, int db, struct object *o, const struct slice *fields,
                         size_t count) {
    struct tree *t = hashed_tree(o);
    size_t removed = 0;
    for (size_t i = 0; i < count; i++) {
        struct tree_pos p = big_find(t, fields[i]);
        if (pos_is_end(p)) continue;
        if (removed == 0) ks_edit(ks, db, o);
        tree_remove(t, p);
        removed++;
    }
    return removed;
}

size_t hash_remove(struct keyspace *ks, int db, struct object **o, const struct slice *fields, size_t count) {
    CHECK((*o)->type == OBJECT_HASH);
    size_t removed =
        object_is_big(*o) ? remove_big(ks, db, *o, fields, count) : remove_packed(ks, db, *o, fields, count);
    if (hash_len(*o) == 0) {
        ks_delete(ks, db, *o);
        *o = NULL;
    }
    return removed;
}

/* --- walking --- */

static void get_pair(struct slice pack, size_t at, struct pack_value *field, struct pack_value *value) {
    *field = pack_get(pack, at);
    *value = pack_get(pack, pack_next(pack, at));
}

bool hash_next(struct hash_cursor *c, struct pack_value *field, struct pack_value *value) {
    struct item i = {c->leaf, c->at};
    i = c->begun ? item_next(c->object, i, PAIR) : item_first(c->object);
    c->begun = true;
    c->leaf = i.leaf;
    c->at = i.at;
    if (i.at == 0) return false;
    get_pair(item_pack(c->object, i), i.at, field, value);
    return true;
}

void hash_at(const struct object *o, uint64_t rank, struct pack_value *field, struct pack_value *value) {
    struct item i = item_at(o, rank, PAIR);
    CHECK(i.at != 0);
    get_pair(item_pack(o, i), i.at, field, value);
}

struct pair_visit {
    hash_visit_fn *visit;
    void *arg;
};

static void visit_pair(void *arg, struct slice pack, size_t at) {
    const struct pair_visit *v = arg;
    struct pack_value field, value;
    get_pair(pack, at, &field, &value);
    v->visit(v->arg, field, value);
}

void hash_pick(const struct object *o, const uint64_t *ranks, size_t count, hash_visit_fn *visit, void *arg) {
    struct pair_visit v = {visit, arg};
    items_pick(o, PAIR, hash_len(o), ranks, count, visit_pair, &v);
}

uint64_t hash_scan(const struct object *o, uint64_t cursor, uint64_t count, hash_visit_fn *visit, void *arg) {
    struct pair_visit v = {visit, arg};
    return items_scan(o, PAIR, cursor, count, visit_pair, &v);
}

uint64_t hash_digest(const struct object *o) {
    struct hash_cursor c = {.object = o};
    struct pack_value field, value;
    char scratch[2][NUM_I64_MAX_LEN];
    uint64_t sum = 0;
    while (hash_next(&c, &field, &value))
        sum += hash64_seeded(hash64(value_text(&field, scratch[0])), value_text(&value, scratch[1]));
    return sum;
}
