/* See type_list.h. Elements are entries of packs: of one pack while the list is small, of the leaves of a tree by position
 * when it is big. Small lists grow beyond PACKED_BYTES_MAX or PACKED_ITEMS_MAX, by the element that crosses the bound, and
 * stay big. */
#include "type_list.h"

#include "collection.h"

static uint64_t list_digest(const struct object *o);

static const struct tree_kind list_kind = {.order = ORDER_POSITION, .arity = 1, .leaf_bytes = 2048};
const struct collection_class list_class = {
    .size = sizeof(struct collection), .kind = &list_kind, .digest = list_digest};

static struct tree *tree_of(const struct object *o) {
    CHECK(o->type == OBJECT_LIST);
    return &object_collection(o)->tree;
}

uint64_t list_len(const struct object *o) {
    CHECK(o->type == OBJECT_LIST);
    return object_is_big(o) ? tree_of(o)->items : pack_count(packed_slice(o));
}

/* --- growing --- */

static bool is_too_long(const struct buf *pack) {
    return pack->len > PACKED_BYTES_MAX || pack_count(buf_slice(pack)) > PACKED_ITEMS_MAX;
}

static void refill(struct tree *t, struct slice pack) {
    struct tree_pos end = {.leaf = NULL};
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, at)) {
        struct pack_value v = pack_get(pack, at);
        tree_insert(t, end, &v);
    }
}

void list_fit(struct keyspace *ks, int db, struct object *o) {
    struct buf was = {0};
    struct slice bytes = packed_slice(o);
    if (bytes.len <= PACKED_BYTES_MAX && pack_count(bytes) <= PACKED_ITEMS_MAX) return;
    struct collection *c = collection_grow(ks, db, o, &was);
    refill(&c->tree, buf_slice(&was));
    buf_free(&was);
}

/* --- both ends --- */

static void pack_push(struct buf *pack, enum list_end end, struct pack_value v) {
    if (end == LIST_TAIL)
        pack_append(pack, v);
    else
        pack_insert(pack, pack_first(buf_slice(pack)), v);
}

/* Until it is too long or all are in; returns how many are. */
static size_t pack_push_some(struct buf *pack, enum list_end end, const struct slice *values, size_t count) {
    size_t pushed = 0;
    while (pushed < count && !is_too_long(pack)) pack_push(pack, end, pack_text(values[pushed++]));
    return pushed;
}

struct object *list_push(struct keyspace *ks, int db, struct slice key, struct object *o, enum list_end end,
                         const struct slice *values, size_t count) {
    CHECK(count > 0);
    size_t pushed = 0;
    if (o == NULL) {
        struct buf pack = {0};
        pack_begin(&pack);
        pushed = pack_push_some(&pack, end, values, count);
        o = collection_create(ks, db, key, OBJECT_LIST, ENCODING_QUICKLIST, pack);
        list_fit(ks, db, o);
    } else {
        ks_edit(ks, db, o);
        if (!object_is_big(o)) {
            struct buf pack = packed_open(ks, o);
            pushed = pack_push_some(&pack, end, values, count);
            packed_close(ks, o, &pack);
            list_fit(ks, db, o);
        }
    }
    for (; pushed < count; pushed++) {
        struct tree *t = tree_of(o);
        struct pack_value v = pack_text(values[pushed]);
        tree_insert(t, end == LIST_TAIL ? (struct tree_pos){.leaf = NULL} : tree_first(t), &v);
    }
    return o;
}

static void add_text(struct buf *out, struct slice pack, size_t at) {
    char digits[NUM_I64_MAX_LEN];
    buf_add_slice(out, pack_get_text(pack, at, digits));
}

void list_pop(struct keyspace *ks, int db, struct object *o, enum list_end end, struct buf *out) {
    ks_edit(ks, db, o);
    if (object_is_big(o)) {
        struct tree *t = tree_of(o);
        struct tree_pos p = end == LIST_HEAD ? tree_first(t) : tree_last(t);
        CHECK(!pos_is_end(p));
        add_text(out, leaf_pack(p.leaf), p.at);
        tree_remove(t, p);
        return;
    }
    struct buf pack = packed_open(ks, o);
    size_t at = end == LIST_HEAD ? pack_first(buf_slice(&pack)) : pack_last(buf_slice(&pack));
    CHECK(at != 0);
    add_text(out, buf_slice(&pack), at);
    pack_remove(&pack, at, 1);
    packed_close(ks, o, &pack);
}

bool list_drop_if_empty(struct keyspace *ks, int db, struct object *o) {
    if (list_len(o) > 0) return false;
    ks_delete(ks, db, o);
    return true;
}

/* --- in the middle --- */

void list_set(struct keyspace *ks, int db, struct object *o, uint64_t index, struct slice value) {
    CHECK(index < list_len(o));
    ks_edit(ks, db, o);
    if (object_is_big(o)) {
        tree_replace(tree_of(o), tree_at(tree_of(o), index), 0, pack_text(value));
        return;
    }
    struct buf pack = packed_open(ks, o);
    pack_replace(&pack, pack_seek(buf_slice(&pack), (int64_t)index), pack_text(value));
    packed_close(ks, o, &pack);
    list_fit(ks, db, o);
}

static bool walk_to(struct list_walk *w, struct slice value) {
    struct pack_value v = pack_text(value);
    while (!list_walk_ended(w) && !list_walk_is(w, &v)) list_walk_step(w);
    return !list_walk_ended(w);
}

bool list_insert(struct keyspace *ks, int db, struct object *o, struct slice pivot, bool before,
                 struct slice value) {
    struct list_walk w = list_walk_from(o, 0, false);
    if (!walk_to(&w, pivot)) return false;
    if (!before) list_walk_step(&w); /* beyond the end: at the end, in packs and trees alike */
    struct pack_value v = pack_text(value);
    ks_edit(ks, db, o);
    if (object_is_big(o)) {
        struct tree_pos p = {.leaf = list_walk_ended(&w) ? NULL : w.leaf, .at = w.at};
        tree_insert(tree_of(o), p, &v);
        return true;
    }
    struct buf pack = packed_open(ks, o);
    pack_insert(&pack, w.at, v);
    packed_close(ks, o, &pack);
    list_fit(ks, db, o);
    return true;
}

/* Walking backwards, what follows an element that was removed has been looked at already. */
static uint64_t remove_from_tree(struct tree *t, enum list_end from, uint64_t max,
                                 const struct pack_value *v) {
    uint64_t removed = 0;
    bool forward = from == LIST_HEAD;
    struct tree_pos p = forward ? tree_first(t) : tree_last(t);
    while (removed < max && !pos_is_end(p)) {
        if (!pack_is(leaf_pack(p.leaf), p.at, v)) {
            p = forward ? tree_next(p) : tree_prev(p);
            continue;
        }
        p = tree_remove(t, p);
        removed++;
        if (!forward) p = pos_is_end(p) ? tree_last(t) : tree_prev(p);
    }
    return removed;
}

static uint64_t remove_from_pack(struct buf *pack, enum list_end from, uint64_t max,
                                 const struct pack_value *v) {
    uint64_t removed = 0;
    bool forward = from == LIST_HEAD;
    size_t at = forward ? pack_first(buf_slice(pack)) : pack_last(buf_slice(pack));
    while (removed < max && at != 0) {
        if (!pack_is(buf_slice(pack), at, v)) {
            at = forward ? pack_next(buf_slice(pack), at) : pack_prev(buf_slice(pack), at);
            continue;
        }
        at = pack_remove(pack, at, 1);
        removed++;
        if (!forward) at = at == 0 ? pack_last(buf_slice(pack)) : pack_prev(buf_slice(pack), at);
    }
    return removed;
}

uint64_t list_remove(struct keyspace *ks, int db, struct object *o, enum list_end from, uint64_t max,
                     struct slice value) {
    struct list_walk w = list_walk_from(o, 0, false);
    if (!walk_to(&w, value)) return 0; /* nothing changes, nothing is edited */
    struct pack_value v = pack_text(value);
    ks_edit(ks, db, o);
    if (object_is_big(o)) return remove_from_tree(tree_of(o), from, max, &v);
    struct buf pack = packed_open(ks, o);
    uint64_t removed = remove_from_pack(&pack, from, max, &v);
    packed_close(ks, o, &pack);
    return removed;
}

void list_remove_range(struct keyspace *ks, int db, struct object *o, uint64_t index, uint64_t count) {
    CHECK(index <= list_len(o));
    CHECK(count <= list_len(o) - index);
    if (count == 0) return;
    ks_edit(ks, db, o);
    if (object_is_big(o)) {
        tree_remove_range(tree_of(o), index, count);
        return;
    }
    struct buf pack = packed_open(ks, o);
    pack_remove(&pack, pack_seek(buf_slice(&pack), (int64_t)index), count);
    packed_close(ks, o, &pack);
}

/* --- walks --- */

static void stand_on(struct list_walk *w, struct tree_pos p) {
    w->leaf = p.leaf;
    w->at = pos_is_end(p) ? 0 : p.at;
}

struct list_walk list_walk_from(const struct object *o, uint64_t index, bool backwards) {
    struct list_walk w = {.list = o, .backwards = backwards};
    if (index >= list_len(o)) return w;
    if (object_is_big(o))
        stand_on(&w, tree_at(tree_of(o), index));
    else
        w.at = pack_seek(packed_slice(o), (int64_t)index);
    return w;
}

static struct slice pack_under(const struct list_walk *w) {
    CHECK(!list_walk_ended(w));
    return w->leaf != NULL ? leaf_pack(w->leaf) : packed_slice(w->list);
}

struct slice list_walk_text(struct list_walk *w) {
    return pack_get_text(pack_under(w), w->at, w->digits);
}

bool list_walk_is(const struct list_walk *w, const struct pack_value *v) {
    return pack_is(pack_under(w), w->at, v);
}

void list_walk_step(struct list_walk *w) {
    struct slice pack = pack_under(w);
    if (w->leaf != NULL) {
        struct tree_pos p = {.leaf = w->leaf, .at = w->at};
        stand_on(w, w->backwards ? tree_prev(p) : tree_next(p));
    } else {
        w->at = w->backwards ? pack_prev(pack, w->at) : pack_next(pack, w->at);
    }
}

/* Of the elements and their order. */
static uint64_t list_digest(const struct object *o) {
    uint64_t digest = list_len(o);
    for (struct list_walk w = list_walk_from(o, 0, false); !list_walk_ended(&w); list_walk_step(&w))
        digest = hash64_seeded(digest, list_walk_text(&w));
    return digest;
}
