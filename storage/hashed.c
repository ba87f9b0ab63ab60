/* Items by hash: see hashed.h. */
#include "hashed.h"

uint64_t hashed_head(const struct tree *t, struct slice pack, size_t at) {
    /* The seed is the same on all nodes, so that their leaves are. Items of one hash share a leaf however many they are, so
     * it must be as hard to guess as that of keys, which it is. */
    char scratch[NUM_I64_MAX_LEN];
    return hash64_seeded(t->hash_seed, pack_get_text(pack, at, scratch));
}

static size_t skip(struct slice pack, size_t at, unsigned entries) {
    while (entries-- > 0 && at != 0) at = pack_next(pack, at);
    return at;
}

bool hashed_loaded(struct keyspace *ks, struct collection *c) {
    (void)ks;
    const struct tree *t = &c->tree;
    for (const struct tree_leaf *l = t->first; l != NULL; l = l->next) {
        struct slice pack = leaf_pack(l);
        for (size_t at = pack_first(pack); at != 0; at = skip(pack, at, t->kind->arity)) {
            uint64_t hash = hashed_head(t, pack, at);
            if (hash < l->label || (l->next != NULL && hash >= l->next->label)) return false;
        }
    }
    return true;
}

/* A leaf of a big tree is rarely in a cache: all of it is asked for at once, not one line after the other. */
static inline void prefetch(struct slice pack) {
    enum { LINE = 64 };
    size_t len = pack.len < HASHED_LEAF_BYTES ? pack.len : HASHED_LEAF_BYTES;
    for (size_t i = LINE; i < len; i += LINE) __builtin_prefetch(pack.data + i);
}

struct tree_pos hashed_find(const struct tree *t, uint64_t hash, const struct pack_value *v) {
    struct tree_pos p = {.leaf = tree_leaf_of(t, hash)};
    if (p.leaf == NULL) return p;
    struct slice pack = leaf_pack(p.leaf);
    prefetch(pack);
    p.at = pack_find(pack, pack_first(pack), v, t->kind->arity);
    if (p.at == 0) p.leaf = NULL;
    return p;
}

/* --- walking --- */

struct item item_first(const struct object *o) {
    if (!object_is_big(o)) return (struct item){.at = pack_first(packed_slice(o))};
    struct tree_pos p = tree_first(hashed_tree(o));
    return (struct item){.leaf = p.leaf, .at = p.leaf ? p.at : 0};
}

struct item item_next(const struct object *o, struct item i, unsigned arity) {
    if (i.leaf == NULL) return (struct item){.at = skip(packed_slice(o), i.at, arity)};
    struct tree_pos p = tree_next((struct tree_pos){i.leaf, i.at});
    return (struct item){.leaf = p.leaf, .at = p.leaf ? p.at : 0};
}

struct item item_at(const struct object *o, uint64_t rank, unsigned arity) {
    if (!object_is_big(o)) return (struct item){.at = pack_seek(packed_slice(o), (int64_t)(rank * arity))};
    struct tree_pos p = tree_at(hashed_tree(o), rank);
    return (struct item){.leaf = p.leaf, .at = p.leaf ? p.at : 0};
}

void items_pick(const struct object *o, unsigned arity, uint64_t len, const uint64_t *ranks, size_t count,
                item_visit_fn *visit, void *arg) {
    enum { WALK_PER_DESCENT = 16 }; /* steps that cost about as much as finding a rank */
    if (object_is_big(o) && len / WALK_PER_DESCENT > count) {
        for (size_t k = 0; k < count; k++) {
            struct item i = item_at(o, ranks[k], arity);
            visit(arg, item_pack(o, i), i.at);
        }
        return;
    }
    struct item i = item_first(o);
    uint64_t rank = 0;
    for (size_t k = 0; k < count; k++) {
        for (; rank < ranks[k]; rank++) i = item_next(o, i, arity);
        CHECK(i.at != 0);
        visit(arg, item_pack(o, i), i.at);
    }
}

/* --- scanning --- */

enum { CURSOR_SHIFT = 12 };

static uint64_t visit_leaf(const struct tree *t, const struct tree_leaf *l, uint64_t from,
                           item_visit_fn *visit, void *arg) {
    struct slice pack = leaf_pack(l);
    uint64_t visited = 0;
    for (size_t at = pack_first(pack); at != 0; at = skip(pack, at, t->kind->arity)) {
        if (from > l->label && hashed_head(t, pack, at) < from) continue;
        visit(arg, pack, at);
        visited++;
    }
    return visited;
}

uint64_t items_scan(const struct object *o, unsigned arity, uint64_t cursor, uint64_t count,
                    item_visit_fn *visit, void *arg) {
    if (!object_is_big(o)) {
        struct slice pack = packed_slice(o);
        for (size_t at = pack_first(pack); at != 0; at = skip(pack, at, arity)) visit(arg, pack, at);
        return 0;
    }
    const struct tree *t = hashed_tree(o);
    uint64_t from = cursor << CURSOR_SHIFT, visited = 0;
    if (from >> CURSOR_SHIFT != cursor) return 0; /* beyond the last: nobody was given that one */
    const struct tree_leaf *l = tree_leaf_of(t, from);
    while (l != NULL) {
        visited += visit_leaf(t, l, from, visit, arg);
        l = l->next;
        /* Leaves begin anywhere: items that share the next position and are in this leaf come again rather than never. */
        if (l != NULL && visited >= count && l->label >> CURSOR_SHIFT > cursor)
            return l->label >> CURSOR_SHIFT;
    }
    return 0;
}
