/* Sorted sets. A small one is a pack of (member, score) pairs in order; a big one is a tree of such pairs,
 * and an index of members (zset_index.h). A score is an integer of the pack when that says it exactly,
 * else eight raw bytes.
 *
 * A set called listpack does not know a negative zero, as in Redis; any other does. Zeros of both signs
 * are equal. */
#include "type_zset.h"

#include "collection.h"
#include "zset_index.h"

#include <math.h>
#include <stdlib.h>

enum {
    LEAF_BYTES = 1024,
    LISTPACK_BYTES_MAX = 1 << 30, /* whatever the limits say: Redis keeps no bigger one */
};

struct zset {
    struct collection base;
    struct zset_index index;
    size_t index_counted;          /* of the index's bytes */
    const struct slice *inserting; /* the member that is being inserted: in the tree, not yet in the index */
    bool filling;                  /* all of them are being inserted; the index is built afterwards */
};

static inline struct zset *zset_of(const struct object *o) {
    return (struct zset *)(void *)object_collection(o);
}
static inline const struct tree *tree_of(const struct object *o) {
    return &object_collection(o)->tree;
}

/* --- items --- */

struct pack_value zset_score_entry(const double *score, enum object_encoding encoding) {
    const double bound = 9.2e18; /* within int64_t, with a margin */
    CHECK(!isnan(*score));
    if (*score > -bound && *score < bound) {
        int64_t whole = (int64_t)*score;
        bool is_negative_zero = whole == 0 && signbit(*score) && encoding != ENCODING_LISTPACK;
        if ((double)whole == *score && !is_negative_zero) return pack_integer(whole);
    }
    return pack_bytes(slice_make((const char *)score, sizeof *score));
}

static bool take_score(struct pack_value v, double *score) {
    if (v.is_int) {
        *score = (double)v.integer;
        return true;
    }
    if (v.text.len != sizeof *score) return false;
    memcpy(score, v.text.data, sizeof *score);
    return !isnan(*score);
}

static double score_at(struct slice pack, size_t item) {
    double score = 0;
    bool sound = take_score(pack_get(pack, pack_next(pack, item)), &score);
    CHECK(sound);
    return score;
}

/* Sorts as the scores do; both zeros are one. */
static uint64_t head_of_score(double score) {
    const uint64_t sign = UINT64_C(1) << 63;
    uint64_t bits;
    memcpy(&bits, &score, sizeof bits);
    if (bits == sign) bits = 0;
    return bits & sign ? ~bits : bits | sign;
}

/* Where to look: an item, or a gap between items. */
struct place {
    double score;
    struct slice member;
    enum { OF_ITEM, BEFORE_SCORE, BEHIND_SCORE, BEHIND_MEMBER } what;
};

static int compare_member(const struct place *p, struct slice pack, size_t at) {
    char scratch[NUM_I64_MAX_LEN];
    int c = slice_cmp(p->member, pack_get_text(pack, at, scratch));
    return c == 0 && p->what == BEHIND_MEMBER ? 1 : c;
}

static int compare_item(const void *key, struct slice pack, size_t at) {
    const struct place *p = key;
    double score = score_at(pack, at);
    if (p->score != score) return p->score < score ? -1 : 1;
    if (p->what == BEFORE_SCORE) return -1;
    if (p->what == BEHIND_SCORE) return 1;
    return compare_member(p, pack, at);
}

static uint64_t item_head(const struct tree *t, struct slice pack, size_t at) {
    (void)t;
    return head_of_score(score_at(pack, at));
}

static uint32_t hash_of(const struct tree *t, struct slice member) {
    return (uint32_t)(hash64_seeded(t->hash_seed, member) >> 32);
}

/* The items moved: the index follows. */
static void items_moved(struct tree *t, struct tree_leaf *from, struct tree_leaf *to, size_t at,
                        size_t count) {
    struct zset *z = t->owner;
    struct slice pack = leaf_pack(to);
    char scratch[NUM_I64_MAX_LEN];
    for (size_t i = 0; i < count && !z->filling; i++) {
        struct slice member = pack_get_text(pack, at, scratch);
        if (z->inserting == NULL || !slice_eq(*z->inserting, member))
            zset_index_move(&z->index, hash_of(t, member), from, to);
        at = pack_next(pack, pack_next(pack, at));
    }
}

static const struct tree_kind zset_kind = {
    .order = ORDER_KEY,
    .arity = 2,
    .leaf_bytes = LEAF_BYTES,
    .head = item_head,
    .compare = compare_item,
    .moved = items_moved,
};

/* --- positions --- */

static struct zset_pos pos_in_pack(struct slice pack, size_t at) {
    return (struct zset_pos){.pack = pack, .at = at};
}

static struct zset_pos pos_in_tree(struct tree_pos p) {
    if (pos_is_end(p)) return (struct zset_pos){0};
    return (struct zset_pos){.leaf = p.leaf, .pack = leaf_pack(p.leaf), .at = p.at};
}

static struct tree_pos tree_pos_of(struct zset_pos p) {
    return (struct tree_pos){.leaf = p.leaf, .at = p.at};
}

uint64_t zset_count(const struct object *o) {
    CHECK(o->type == OBJECT_ZSET);
    return object_is_big(o) ? tree_of(o)->items : pack_count(packed_slice(o)) / 2;
}

static struct zset_pos find_big(const struct object *o, struct slice member) {
    const struct zset *z = zset_of(o);
    struct pack_value v = pack_text(member);
    struct zset_probe probe = {.hash = hash_of(&z->base.tree, member)};
    struct tree_leaf *leaf;
    while ((leaf = zset_index_next(&z->index, &probe)) != NULL) {
        struct slice pack = leaf_pack(leaf);
        size_t at = pack_find(pack, pack_first(pack), &v, 2);
        if (at != 0) return (struct zset_pos){.leaf = leaf, .pack = pack, .at = at};
    }
    return (struct zset_pos){0};
}

struct zset_pos zset_find(const struct object *o, struct slice member) {
    if (object_is_big(o)) return find_big(o, member);
    struct slice pack = packed_slice(o);
    size_t first = pack_first(pack);
    if (first == 0) return (struct zset_pos){0};
    struct pack_value v = pack_text(member);
    return pos_in_pack(pack, pack_find(pack, first, &v, 2));
}

struct zset_pos zset_at(const struct object *o, uint64_t rank) {
    if (rank >= zset_count(o)) return (struct zset_pos){0};
    if (object_is_big(o)) return pos_in_tree(tree_at(tree_of(o), rank));
    return pos_in_pack(packed_slice(o), pack_seek(packed_slice(o), (int64_t)rank * 2));
}

struct zset_pos zset_next(struct zset_pos p) {
    size_t at = pack_next(p.pack, pack_next(p.pack, p.at));
    if (at == 0 && p.leaf != NULL) return pos_in_tree(tree_next(tree_pos_of(p)));
    p.at = at;
    return p;
}

struct zset_pos zset_prev(struct zset_pos p) {
    if (p.at == pack_first(p.pack))
        return p.leaf != NULL ? pos_in_tree(tree_prev(tree_pos_of(p))) : (struct zset_pos){0};
    p.at = pack_prev(p.pack, pack_prev(p.pack, p.at));
    return p;
}

uint64_t zset_rank(const struct object *o, struct zset_pos p) {
    CHECK(!zset_pos_is_end(p));
    if (object_is_big(o)) return tree_rank(tree_of(o), tree_pos_of(p));
    uint64_t rank = 0;
    for (size_t at = pack_first(p.pack); at != p.at; rank++) at = pack_next(p.pack, pack_next(p.pack, at));
    return rank;
}

double zset_score(struct zset_pos p) {
    return score_at(p.pack, p.at);
}

struct slice zset_member(struct zset_pos p, char *scratch) {
    return pack_get_text(p.pack, p.at, scratch);
}

/* --- counting --- */

/* The first item of a pack that does not sort before the place, and how many do. */
static size_t packed_lower_bound(struct slice pack, const struct place *place, uint64_t *before) {
    size_t at = pack_first(pack);
    for (*before = 0; at != 0 && compare_item(place, pack, at) > 0; ++*before)
        at = pack_next(pack, pack_next(pack, at));
    return at;
}

static uint64_t count_before(const struct object *o, const struct place *place) {
    uint64_t before;
    if (object_is_big(o)) {
        const struct tree *t = tree_of(o);
        return tree_rank(t, tree_lower_bound(t, head_of_score(place->score), place));
    }
    packed_lower_bound(packed_slice(o), place, &before);
    return before;
}

uint64_t zset_count_below(const struct object *o, double score, bool or_equal) {
    struct place place = {.score = score, .what = or_equal ? BEHIND_SCORE : BEFORE_SCORE};
    return count_before(o, &place);
}

/* When scores differ, members are taken to ascend all the same, as Redis takes them. */
static uint64_t search_member(const struct object *o, const struct place *place) {
    uint64_t low = 0, high = zset_count(o);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct zset_pos p = zset_at(o, middle);
        if (compare_member(place, p.pack, p.at) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t count_leading_members(struct slice pack, const struct place *place) {
    uint64_t count = 0;
    for (size_t at = pack_first(pack); at != 0 && compare_member(place, pack, at) > 0; count++)
        at = pack_next(pack, pack_next(pack, at));
    return count;
}

uint64_t zset_count_below_lex(const struct object *o, struct slice member, bool or_equal) {
    struct place place = {.member = member, .what = or_equal ? BEHIND_MEMBER : OF_ITEM};
    if (!object_is_big(o)) return count_leading_members(packed_slice(o), &place);
    place.score = zset_score(zset_at(o, 0));
    bool is_one_score = place.score == zset_score(zset_at(o, zset_count(o) - 1));
    return is_one_score ? count_before(o, &place) : search_member(o, &place);
}

/* --- scanning --- */

struct scan {
    const struct tree *tree;
    zset_visit_fn *visit;
    void *arg;
    uint32_t last_hash;
    const struct tree_leaf *last_leaf;
};

/* An entry of the index says which leaf; in there, all members of this hash are meant. */
static void scan_entry(void *arg, uint32_t hash, struct tree_leaf *leaf) {
    struct scan *s = arg;
    if (leaf == s->last_leaf && hash == s->last_hash) return;
    s->last_leaf = leaf;
    s->last_hash = hash;
    struct slice pack = leaf_pack(leaf);
    char scratch[NUM_I64_MAX_LEN];
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, pack_next(pack, at))) {
        struct slice member = pack_get_text(pack, at, scratch);
        if (hash_of(s->tree, member) == hash) s->visit(s->arg, member, score_at(pack, at));
    }
}

uint64_t zset_scan(const struct object *o, uint64_t cursor, size_t want, zset_visit_fn *visit, void *arg) {
    if (object_is_big(o)) {
        struct scan s = {.tree = tree_of(o), .visit = visit, .arg = arg};
        return zset_index_scan(&zset_of(o)->index, cursor, want, scan_entry, &s);
    }
    char scratch[NUM_I64_MAX_LEN];
    for (struct zset_pos p = zset_at(o, 0); !zset_pos_is_end(p); p = zset_next(p))
        visit(arg, zset_member(p, scratch), zset_score(p));
    return 0;
}

/* --- the index of a big one --- */

static void count_index(struct zset *z) {
    if (z->index.bytes == z->index_counted) return;
    collection_count(&z->base, (ptrdiff_t)z->index.bytes - (ptrdiff_t)z->index_counted);
    z->index_counted = z->index.bytes;
}

static void insert_in_tree(struct zset *z, struct tree_pos before, struct slice member, double score) {
    struct pack_value entries[2] = {pack_text(member), zset_score_entry(&score, ENCODING_SKIPLIST)};
    z->inserting = &member;
    struct tree_pos p = tree_insert(&z->base.tree, before, entries);
    z->inserting = NULL;
    zset_index_add(&z->index, hash_of(&z->base.tree, member), p.leaf);
    count_index(z);
}

static void remove_from_index(struct zset *z, struct zset_pos p) {
    char scratch[NUM_I64_MAX_LEN];
    zset_index_remove(&z->index, hash_of(&z->base.tree, zset_member(p, scratch)), p.leaf);
}

static struct tree_pos place_in_tree(struct zset *z, struct slice member, double score) {
    struct place place = {.score = score, .member = member};
    return tree_lower_bound(&z->base.tree, head_of_score(score), &place);
}

/* --- changing --- */

struct object *zset_create(struct keyspace *ks, int db, struct slice key, size_t member_len) {
    const struct ks_limits *limits = ks_limits(ks);
    bool big =
        limits->zset_max_listpack_entries == 0 || (uint64_t)limits->zset_max_listpack_value < member_len;
    struct buf pack = {0};
    pack_begin(&pack);
    return collection_create(ks, db, key, OBJECT_ZSET, big ? ENCODING_SKIPLIST : ENCODING_LISTPACK, pack);
}

/* Whether a pack of so many bytes and items may stay one. */
static bool may_be_packed(const struct object *o, size_t bytes, uint64_t count) {
    if (o->encoding == ENCODING_LISTPACK) return true;
    return bytes <= PACKED_BYTES_MAX && count <= PACKED_ITEMS_MAX;
}

static void build_index(struct zset *z) {
    char scratch[NUM_I64_MAX_LEN];
    struct zset_index_batch batch;
    zset_index_batch_begin(&batch, &z->index, z->base.tree.items);
    for (struct tree_pos p = tree_first(&z->base.tree); !pos_is_end(p); p = tree_next(p)) {
        struct slice member = pack_get_text(leaf_pack(p.leaf), p.at, scratch);
        zset_index_batch_add(&batch, hash_of(&z->base.tree, member), p.leaf);
    }
    zset_index_batch_end(&batch);
    count_index(z);
}

static void append_to_tree(struct zset *z, struct slice member, double score) {
    struct pack_value entries[2] = {pack_text(member), zset_score_entry(&score, ENCODING_SKIPLIST)};
    tree_insert(&z->base.tree, (struct tree_pos){0}, entries);
}

static void fill_from_pack(struct zset *z, struct slice pack) {
    char scratch[NUM_I64_MAX_LEN];
    z->filling = true;
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, pack_next(pack, at)))
        append_to_tree(z, pack_get_text(pack, at, scratch), score_at(pack, at));
    z->filling = false;
    build_index(z);
}

static void grow(struct keyspace *ks, int db, struct object *o) {
    struct buf was;
    struct zset *z = (struct zset *)(void *)collection_grow(ks, db, o, &was);
    fill_from_pack(z, buf_slice(&was));
    buf_free(&was);
}

/* What is about to get one member more is called skiplist from now on when Redis would. */
static void reconsider_encoding(struct keyspace *ks, struct object *o, struct slice member) {
    if (o->encoding != ENCODING_LISTPACK) return;
    const struct ks_limits *limits = ks_limits(ks);
    if (zset_count(o) + 1 > (uint64_t)limits->zset_max_listpack_entries ||
        member.len > (uint64_t)limits->zset_max_listpack_value || o->len + member.len > LISTPACK_BYTES_MAX)
        o->encoding = ENCODING_SKIPLIST;
}

static void insert_packed(struct keyspace *ks, struct object *o, struct slice member, double score) {
    struct buf pack = packed_open(ks, o);
    struct place place = {.score = score, .member = member};
    uint64_t before;
    size_t was = pack.len, at = packed_lower_bound(buf_slice(&pack), &place, &before);
    at = pack_insert(&pack, at, pack_text(member));
    at = pack_next(buf_slice(&pack), at);
    pack_insert(&pack, at, zset_score_entry(&score, (enum object_encoding)o->encoding));
    ks_note_growth(ks, pack.len - was);
    packed_close(ks, o, &pack);
}

void zset_insert(struct keyspace *ks, int db, struct object *o, struct slice member, double score) {
    ks_edit(ks, db, o);
    reconsider_encoding(ks, o, member);
    if (!object_is_big(o)) {
        size_t more = pack_value_size(pack_text(member)) +
                      pack_value_size(zset_score_entry(&score, (enum object_encoding)o->encoding));
        if (may_be_packed(o, o->len + more, zset_count(o) + 1)) {
            insert_packed(ks, o, member, score);
            return;
        }
        grow(ks, db, o);
    }
    struct zset *z = zset_of(o);
    insert_in_tree(z, place_in_tree(z, member, score), member, score);
}

static void remove_packed(struct keyspace *ks, struct object *o, size_t at, size_t count) {
    struct buf pack = packed_open(ks, o);
    pack_remove(&pack, at, 2 * count);
    packed_close(ks, o, &pack);
}

void zset_remove(struct keyspace *ks, int db, struct object *o, struct zset_pos p) {
    CHECK(!zset_pos_is_end(p));
    ks_edit(ks, db, o);
    if (!object_is_big(o)) {
        remove_packed(ks, o, p.at, 1);
        return;
    }
    struct zset *z = zset_of(o);
    remove_from_index(z, p);
    tree_remove(&z->base.tree, tree_pos_of(p));
    count_index(z);
}

void zset_update(struct keyspace *ks, int db, struct object *o, struct zset_pos p, struct slice member,
                 double score) {
    CHECK(!zset_pos_is_end(p));
    if (zset_score(p) == score) return;
    zset_remove(ks, db, o, p);
    if (!object_is_big(o)) {
        insert_packed(ks, o, member, score);
        zset_fit(ks, db, o);
        return;
    }
    struct zset *z = zset_of(o);
    insert_in_tree(z, place_in_tree(z, member, score), member, score);
}

void zset_remove_range(struct keyspace *ks, int db, struct object *o, uint64_t rank, uint64_t count) {
    CHECK(rank + count <= zset_count(o));
    if (count == 0) return;
    ks_edit(ks, db, o);
    struct zset_pos p = zset_at(o, rank);
    if (!object_is_big(o)) {
        remove_packed(ks, o, p.at, (size_t)count);
        return;
    }
    struct zset *z = zset_of(o);
    for (uint64_t i = 0; i < count; i++, p = zset_next(p)) remove_from_index(z, p);
    tree_remove_range(&z->base.tree, rank, count);
    count_index(z);
}

/* --- a whole set at once --- */

int zset_item_cmp(const struct zset_item *a, const struct zset_item *b) {
    if (a->score != b->score) return a->score < b->score ? -1 : 1;
    return slice_cmp(a->member, b->member);
}

static int compare_items(const void *a, const void *b) {
    return zset_item_cmp(a, b);
}

/* Of so many items, the longest member of this length. */
static enum object_encoding encoding_for(const struct keyspace *ks, size_t count, size_t longest,
                                         size_t bytes) {
    const struct ks_limits *limits = ks_limits(ks);
    bool fits = count <= (uint64_t)limits->zset_max_listpack_entries &&
                longest <= (uint64_t)limits->zset_max_listpack_value && bytes <= LISTPACK_BYTES_MAX;
    return fits ? ENCODING_LISTPACK : ENCODING_SKIPLIST;
}

static void append_items(struct buf *pack, const struct zset_item *items, size_t count,
                         enum object_encoding encoding) {
    for (size_t i = 0; i < count; i++) {
        pack_append(pack, pack_text(items[i].member));
        pack_append(pack, zset_score_entry(&items[i].score, encoding));
    }
}

void zset_fit(struct keyspace *ks, int db, struct object *o) {
    if (!may_be_packed(o, o->len, zset_count(o))) grow(ks, db, o);
}

static void fill_from_items(struct zset *z, const struct zset_item *items, size_t count) {
    z->filling = true;
    for (size_t i = 0; i < count; i++) append_to_tree(z, items[i].member, items[i].score);
    z->filling = false;
    build_index(z);
}

struct object *zset_store(struct keyspace *ks, int db, struct slice key, struct zset_item *items,
                          size_t count) {
    CHECK(count > 0);
    qsort(items, count, sizeof *items, compare_items);
    size_t longest = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += items[i].member.len;
        if (items[i].member.len > longest) longest = items[i].member.len;
    }
    enum object_encoding encoding = encoding_for(ks, count, longest, bytes);
    struct object *o = ks_find(ks, db, place_of(ks, key), key);
    if (o != NULL) ks_clear(ks, db, o);
    struct buf pack = {0};
    pack_begin(&pack);
    /* What cannot stay packed whatever its scores are is not packed first. */
    bool packs = encoding == ENCODING_LISTPACK || (count <= PACKED_ITEMS_MAX && bytes <= PACKED_BYTES_MAX);
    if (packs) append_items(&pack, items, count, encoding);
    o = collection_create(ks, db, key, OBJECT_ZSET, encoding, pack);
    if (packs && may_be_packed(o, o->len, count)) return o;
    grow(ks, db, o);
    if (!packs) fill_from_items(zset_of(o), items, count);
    return o;
}

/* --- as a class of collections --- */

static void class_init(struct keyspace *ks, struct collection *c) {
    (void)ks;
    struct zset *z = (struct zset *)(void *)c;
    zset_index_init(&z->index);
    count_index(z);
}

/* Items of this pack are sound, and in order behind the one before them (`last`, if it has a member). */
static bool items_valid(struct slice pack, struct zset_item *last, char *last_scratch) {
    for (size_t at = pack_first(pack); at != 0;) {
        size_t score_entry_at = pack_next(pack, at);
        struct zset_item item;
        char scratch[NUM_I64_MAX_LEN];
        if (score_entry_at == 0 || !take_score(pack_get(pack, score_entry_at), &item.score)) return false;
        item.member = pack_get_text(pack, at, scratch);
        if (last->member.data != NULL && zset_item_cmp(last, &item) >= 0) return false;
        bool spelled = item.member.data == scratch;
        if (spelled) {
            memcpy(last_scratch, scratch, sizeof scratch);
            item.member.data = last_scratch;
        }
        *last = item;
        at = pack_next(pack, score_entry_at);
    }
    return true;
}

bool zset_packed_valid(struct slice pack) {
    struct zset_item last = {0};
    char scratch[NUM_I64_MAX_LEN];
    return pack_first(pack) != 0 && items_valid(pack, &last, scratch);
}

static bool class_loaded(struct keyspace *ks, struct collection *c) {
    (void)ks;
    struct zset_item last = {0};
    char scratch[NUM_I64_MAX_LEN];
    if (c->tree.items == 0) return false;
    for (const struct tree_leaf *l = c->tree.first; l != NULL; l = l->next)
        if (!items_valid(leaf_pack(l), &last, scratch)) return false;
    build_index((struct zset *)(void *)c);
    return true;
}

static void class_copy(struct keyspace *ks, struct collection *to, const struct collection *from) {
    (void)ks;
    struct zset *z = (struct zset *)(void *)to;
    zset_index_copy(&z->index, &((const struct zset *)(const void *)from)->index);
    const struct tree_leaf *was = from->tree.first;
    for (struct tree_leaf *l = to->tree.first; l != NULL; l = l->next, was = was->next) {
        l->mark = was->mark;
        zset_index_rename(&z->index, l);
    }
    count_index(z);
}

static void class_drop(struct collection *c) {
    zset_index_free(&((struct zset *)(void *)c)->index);
}

uint64_t zset_digest(const struct object *o) {
    char scratch[NUM_I64_MAX_LEN];
    uint64_t sum = 0;
    for (struct zset_pos p = zset_at(o, 0); !zset_pos_is_end(p); p = zset_next(p)) {
        double score = zset_score(p);
        uint64_t bits;
        memcpy(&bits, &score, sizeof bits);
        sum += hash64_seeded(bits, zset_member(p, scratch));
    }
    return sum;
}

const struct collection_class zset_class = {
    .size = sizeof(struct zset),
    .kind = &zset_kind,
    .init = class_init,
    .loaded = class_loaded,
    .copy = class_copy,
    .digest = zset_digest,
    .drop = class_drop,
};

/* --- for tests --- */

void zset_check(const struct object *o) {
    if (!object_is_big(o)) {
        CHECK(zset_packed_valid(packed_slice(o)));
        return;
    }
    const struct zset *z = zset_of(o);
    tree_check(&z->base.tree);
    zset_index_check(&z->index);
    struct zset_item last = {0};
    char scratch[NUM_I64_MAX_LEN], spelled[NUM_I64_MAX_LEN];
    for (const struct tree_leaf *l = z->base.tree.first; l != NULL; l = l->next)
        CHECK(items_valid(leaf_pack(l), &last, scratch));
    for (struct zset_pos p = zset_at(o, 0); !zset_pos_is_end(p); p = zset_next(p)) {
        struct zset_pos found = find_big(o, zset_member(p, spelled));
        CHECK(found.leaf == p.leaf);
        CHECK(found.at == p.at);
    }
}
