/* See type_set.h. */
#include "type_set.h"

#include "hashed.h"
#include "intset.h"
#include "set_writer.h"

static const struct tree_kind set_kind = {
    .order = ORDER_HASH, .arity = 1, .leaf_bytes = HASHED_LEAF_BYTES, .head = hashed_head};
const struct collection_class set_class = {
    .size = sizeof(struct collection), .kind = &set_kind, .loaded = hashed_loaded, .digest = set_digest};

static inline bool is_intset(const struct object *o) {
    return o->encoding == ENCODING_INTSET;
}

size_t set_len(const struct object *o) {
    CHECK(o->type == OBJECT_SET);
    if (object_is_big(o)) return (size_t)hashed_tree(o)->items;
    return is_intset(o) ? intset_count(packed_slice(o)) : pack_count(packed_slice(o));
}

/* --- finding --- */

static inline size_t packed_find(struct slice pack, const struct pack_value *member) {
    return pack_find(pack, pack_first(pack), member, 1);
}

static inline struct tree_pos big_find(const struct tree *t, const struct pack_value *member) {
    char scratch[NUM_I64_MAX_LEN];
    return hashed_find(t, hash64_seeded(t->hash_seed, value_text(member, scratch)), member);
}

bool set_has(const struct object *o, const struct pack_value *member) {
    CHECK(o->type == OBJECT_SET);
    size_t at;
    if (object_is_big(o)) return !pos_is_end(big_find(hashed_tree(o), member));
    if (is_intset(o)) return member->is_int && intset_find(packed_slice(o), member->integer, &at);
    return packed_find(packed_slice(o), member) != 0;
}

/* --- adding --- */

static bool big_add(struct tree *t, const struct pack_value *member) {
    char scratch[NUM_I64_MAX_LEN];
    uint64_t hash = hash64_seeded(t->hash_seed, value_text(member, scratch));
    if (!pos_is_end(hashed_find(t, hash, member))) return false;
    tree_insert_hashed(t, hash, member);
    return true;
}

static void grow(struct keyspace *ks, int db, struct object *o) {
    struct buf was = {0};
    struct collection *c = collection_grow(ks, db, o, &was);
    struct slice pack = buf_slice(&was);
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, at)) {
        char scratch[NUM_I64_MAX_LEN];
        struct pack_value member = pack_get(pack, at);
        uint64_t hash = hash64_seeded(c->tree.hash_seed, value_text(&member, scratch));
        tree_insert_hashed(&c->tree, hash, &member);
    }
    buf_free(&was);
}

static inline bool stays_packed(struct slice pack) {
    return pack.len <= PACKED_BYTES_MAX && pack_count(pack) <= PACKED_ITEMS_MAX;
}

void set_fit(struct keyspace *ks, int db, struct object *o) {
    if (!is_intset(o) && !stays_packed(packed_slice(o))) grow(ks, db, o);
}

static void grow_if_too_big(struct set_writer *w) {
    if (stays_packed(buf_slice(&w->bytes))) return;
    packed_close(w->ks, w->object, &w->bytes);
    grow(w->ks, w->db, w->object);
}

static void intset_to_table(struct set_writer *w) {
    struct buf pack = {0};
    struct slice integers = buf_slice(&w->bytes);
    pack_begin(&pack);
    buf_reserve(&pack, integers.len);
    for (size_t i = 0; i < intset_count(integers); i++)
        pack_append(&pack, pack_integer(intset_at(integers, i)));
    buf_free(&w->bytes);
    w->bytes = pack;
    w->object->encoding = ENCODING_HASHTABLE;
    grow_if_too_big(w);
}

size_t set_intset_max(const struct ks_limits *limits) {
    enum { REDIS_MAX = 1 << 30 };
    uint64_t max = (uint64_t)limits->set_max_intset_entries;
    return max < REDIS_MAX ? (size_t)max : REDIS_MAX;
}

static bool add_integer(struct set_writer *w, int64_t integer) {
    if (!intset_add(&w->bytes, integer)) return false;
    if (intset_count(buf_slice(&w->bytes)) > set_intset_max(ks_limits(w->ks))) intset_to_table(w);
    return true;
}

static bool packed_add(struct set_writer *w, const struct pack_value *member) {
    if (packed_find(buf_slice(&w->bytes), member) != 0) return false;
    pack_append(&w->bytes, *member);
    grow_if_too_big(w);
    return true;
}

struct set_writer set_write_begin(struct keyspace *ks, int db, struct object *o) {
    struct set_writer w = {.ks = ks, .db = db, .object = o};
    CHECK(o->type == OBJECT_SET);
    if (!object_is_big(o)) w.bytes = packed_open(ks, o);
    return w;
}

bool set_write(struct set_writer *w, const struct pack_value *member) {
    if (!object_is_big(w->object) && is_intset(w->object)) {
        if (member->is_int) return add_integer(w, member->integer);
        intset_to_table(w);
    }
    return object_is_big(w->object) ? big_add(hashed_tree(w->object), member) : packed_add(w, member);
}

void set_write_end(struct set_writer *w) {
    if (!object_is_big(w->object)) packed_close(w->ks, w->object, &w->bytes);
}

struct object *set_create(struct keyspace *ks, int db, struct slice key, bool of_integers) {
    struct buf empty = {0};
    if (of_integers)
        intset_begin(&empty);
    else
        pack_begin(&empty);
    return collection_create(ks, db, key, OBJECT_SET, of_integers ? ENCODING_INTSET : ENCODING_HASHTABLE,
                             empty);
}

size_t set_add(struct keyspace *ks, int db, struct object **o, struct slice key, const struct slice *members,
               size_t count) {
    CHECK(count > 0);
    size_t i = 0, added = 0;
    struct pack_value member = pack_text(members[0]);
    if (*o == NULL) {
        *o = set_create(ks, db, key, member.is_int);
    } else {
        /* A set that has them all is not changed, and not written to disk again. */
        while (set_has(*o, &member)) {
            if (++i == count) return 0;
            member = pack_text(members[i]);
        }
        ks_edit(ks, db, *o);
    }
    struct set_writer w = set_write_begin(ks, db, *o);
    for (; i < count; i++) {
        member = pack_text(members[i]);
        added += set_write(&w, &member);
    }
    set_write_end(&w);
    return added;
}

/* --- removing --- */

static bool small_remove(const struct object *o, struct buf *bytes, const struct pack_value *member) {
    if (is_intset(o)) return member->is_int && intset_remove(bytes, member->integer);
    size_t at = packed_find(buf_slice(bytes), member);
    if (at != 0) pack_remove(bytes, at, 1);
    return at != 0;
}

static size_t remove_small(struct keyspace *ks, struct object *o, const struct slice *members, size_t count) {
    size_t removed = 0;
    struct buf bytes = packed_open(ks, o);
    for (size_t i = 0; i < count; i++) {
        struct pack_value member = pack_text(members[i]);
        removed += small_remove(o, &bytes, &member);
    }
    packed_close(ks, o, &bytes);
    return removed;
}

static size_t remove_big(struct tree *t, const struct slice *members, size_t count) {
    size_t removed = 0;
    for (size_t i = 0; i < count; i++) {
        struct pack_value member = pack_text(members[i]);
        struct tree_pos p = big_find(t, &member);
        if (pos_is_end(p)) continue;
        tree_remove(t, p);
        removed++;
    }
    return removed;
}

static void delete_if_empty(struct keyspace *ks, int db, struct object **o) {
    if (set_len(*o) > 0) return;
    ks_delete(ks, db, *o);
    *o = NULL;
}

size_t set_remove(struct keyspace *ks, int db, struct object **o, const struct slice *members, size_t count) {
    size_t i = 0;
    for (; i < count; i++) {
        struct pack_value member = pack_text(members[i]);
        if (set_has(*o, &member)) break;
    }
    if (i == count) return 0; /* nothing to change */

    ks_edit(ks, db, *o);
    size_t removed = object_is_big(*o) ? remove_big(hashed_tree(*o), members + i, count - i)
                                       : remove_small(ks, *o, members + i, count - i);
    delete_if_empty(ks, db, o);
    return removed;
}

/* Small ones are written anew without them. */
static void remove_small_ranks(struct keyspace *ks, struct object *o, const uint64_t *ranks, size_t count) {
    struct buf was = packed_open(ks, o), left = {0};
    struct slice from = buf_slice(&was);
    size_t k = 0;
    if (is_intset(o)) {
        intset_begin(&left);
        for (size_t i = 0; i < intset_count(from); i++) {
            if (k < count && ranks[k] == i)
                k++;
            else
                intset_add(&left, intset_at(from, i));
        }
    } else {
        uint64_t rank = 0;
        pack_begin(&left);
        for (size_t at = pack_first(from); at != 0; at = pack_next(from, at), rank++) {
            if (k < count && ranks[k] == rank)
                k++;
            else
                pack_append(&left, pack_get(from, at));
        }
    }
    buf_free(&was);
    packed_close(ks, o, &left);
}

/* From the end, so that the ranks in front stay what they are; neighbours together. */
static void remove_big_ranks(struct tree *t, const uint64_t *ranks, size_t count) {
    while (count > 0) {
        size_t first = count - 1;
        while (first > 0 && ranks[first - 1] + 1 == ranks[first]) first--;
        if (count - first == 1)
            tree_remove(t, tree_at(t, ranks[first]));
        else
            tree_remove_range(t, ranks[first], count - first);
        count = first;
    }
}

void set_remove_ranks(struct keyspace *ks, int db, struct object **o, const uint64_t *ranks, size_t count) {
    if (count == 0) return;
    CHECK(ranks[count - 1] < set_len(*o));
    ks_edit(ks, db, *o);
    if (object_is_big(*o))
        remove_big_ranks(hashed_tree(*o), ranks, count);
    else
        remove_small_ranks(ks, *o, ranks, count);
    delete_if_empty(ks, db, o);
}

/* --- walking --- */

/* In an intset `at` is the index + 1. */
static bool next_integer(struct set_cursor *c, struct pack_value *member) {
    struct slice integers = packed_slice(c->object);
    if (c->at == intset_count(integers)) return false;
    *member = pack_integer(intset_at(integers, c->at++));
    return true;
}

bool set_next(struct set_cursor *c, struct pack_value *member) {
    if (is_intset(c->object)) return next_integer(c, member);
    struct item i = {c->leaf, c->at};
    i = c->begun ? item_next(c->object, i, 1) : item_first(c->object);
    c->begun = true;
    c->leaf = i.leaf;
    c->at = i.at;
    if (i.at == 0) return false;
    *member = pack_get(item_pack(c->object, i), i.at);
    return true;
}

struct pack_value set_at(const struct object *o, uint64_t rank) {
    CHECK(rank < set_len(o));
    if (is_intset(o)) return pack_integer(intset_at(packed_slice(o), (size_t)rank));
    struct item i = item_at(o, rank, 1);
    return pack_get(item_pack(o, i), i.at);
}

struct member_visit {
    set_visit_fn *visit;
    void *arg;
};

static void visit_member(void *arg, struct slice pack, size_t at) {
    const struct member_visit *v = arg;
    v->visit(v->arg, pack_get(pack, at));
}

void set_pick(const struct object *o, const uint64_t *ranks, size_t count, set_visit_fn *visit, void *arg) {
    struct member_visit v = {visit, arg};
    if (!is_intset(o)) {
        items_pick(o, 1, set_len(o), ranks, count, visit_member, &v);
        return;
    }
    for (size_t k = 0; k < count; k++) visit(arg, set_at(o, ranks[k]));
}

uint64_t set_scan(const struct object *o, uint64_t cursor, uint64_t count, set_visit_fn *visit, void *arg) {
    struct member_visit v = {visit, arg};
    if (!is_intset(o)) return items_scan(o, 1, cursor, count, visit_member, &v);
    for (size_t i = 0; i < set_len(o); i++) visit(arg, set_at(o, i));
    return 0;
}

uint64_t set_digest(const struct object *o) {
    struct set_cursor c = {.object = o};
    struct pack_value member;
    char scratch[NUM_I64_MAX_LEN];
    uint64_t sum = 0;
    while (set_next(&c, &member)) sum += hash64(value_text(&member, scratch));
    return sum;
}
