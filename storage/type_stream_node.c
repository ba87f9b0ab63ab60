/* The format of a stream's leaf (README.md), and reading entries from leaf to leaf. */
#include "stream_internal.h"

enum { PACK_HEAD = 6 };

/* --- the tree's view --- */

static struct stream_id master_of(struct slice pack, size_t at) {
    struct stream_id id = {.ms = (uint64_t)pack_get(pack, at).integer};
    id.seq = (uint64_t)pack_get(pack, pack_next(pack, at)).integer;
    return id;
}

static uint64_t node_head(const struct tree *t, struct slice pack, size_t at) {
    (void)t;
    (void)at;
    return (uint64_t)pack_get(pack, PACK_HEAD).integer;
}

static int node_compare(const void *key, struct slice pack, size_t at) {
    return stream_id_cmp(*(const struct stream_id *)key, master_of(pack, at));
}

const struct tree_kind stream_kind = {
    .order = ORDER_KEY,
    .arity = 0,
    .leaf_bytes = 4096,
    .head = node_head,
    .compare = node_compare,
};

/* --- nodes --- */

static int64_t int_at(struct slice pack, size_t at) {
    return pack_get(pack, at).integer;
}

/* `count` entries of the pack further on; 0 at the end. */
static size_t skip(struct slice pack, size_t at, uint64_t count) {
    while (count-- > 0 && at != 0) at = pack_next(pack, at);
    return at;
}

void stream_node_open(struct stream_node *n, struct slice pack) {
    n->pack = pack;
    n->master = master_of(pack, PACK_HEAD);
    n->count_at = skip(pack, PACK_HEAD, 2);
    n->deleted_at = pack_next(pack, n->count_at);
    size_t at = pack_next(pack, n->deleted_at);
    n->count = int_at(pack, n->count_at);
    n->deleted = int_at(pack, n->deleted_at);
    n->fields = (uint64_t)int_at(pack, at);
    n->fields_at = pack_next(pack, at);
    n->entries_at = skip(pack, n->fields_at, n->fields + 1);
}

void stream_node_begin(struct buf *pack, struct stream_id master, const struct slice *pairs,
                       size_t pair_count) {
    pack_append(pack, pack_integer((int64_t)master.ms));
    pack_append(pack, pack_integer((int64_t)master.seq));
    pack_append(pack, pack_integer(0)); /* entries */
    pack_append(pack, pack_integer(0)); /* of them deleted */
    pack_append(pack, pack_integer((int64_t)pair_count));
    for (size_t i = 0; i < pair_count; i++) pack_append(pack, pack_text(pairs[2 * i]));
    pack_append(pack, pack_integer(0)); /* where a walk from the end stops */
}

static bool has_same_fields(const struct stream_node *n, const struct slice *pairs, size_t pair_count) {
    char scratch[NUM_I64_MAX_LEN];
    if (n->fields != pair_count) return false;
    size_t at = n->fields_at;
    for (size_t i = 0; i < pair_count; i++, at = pack_next(n->pack, at)) {
        if (!slice_eq(pack_get_text(n->pack, at, scratch), pairs[2 * i])) return false;
    }
    return true;
}

void stream_node_append(struct buf *pack, struct stream_id id, const struct slice *pairs, size_t pair_count) {
    struct stream_node n;
    stream_node_open(&n, buf_slice(pack));
    bool same = has_same_fields(&n, pairs, pair_count);
    pack_replace(pack, n.count_at, pack_integer(n.count + 1));
    pack_append(pack, pack_integer(same ? STREAM_ENTRY_SAME_FIELDS : 0));
    pack_append(pack, pack_integer((int64_t)(id.ms - n.master.ms)));
    pack_append(pack, pack_integer((int64_t)(id.seq - n.master.seq)));
    if (!same) pack_append(pack, pack_integer((int64_t)pair_count));
    for (size_t i = 0; i < pair_count; i++) {
        if (!same) pack_append(pack, pack_text(pairs[2 * i]));
        pack_append(pack, pack_text(pairs[2 * i + 1]));
    }
    pack_append(pack, pack_integer((int64_t)(same ? pair_count + 3 : 2 * pair_count + 4)));
}

size_t stream_entry_read(const struct stream_node *n, size_t at, struct stream_entry *e) {
    struct slice pack = n->pack;
    e->pack = pack;
    e->at = at;
    e->flags = int_at(pack, at);
    at = pack_next(pack, at);
    e->id.ms = n->master.ms + (uint64_t)int_at(pack, at);
    at = pack_next(pack, at);
    e->id.seq = n->master.seq + (uint64_t)int_at(pack, at);
    at = pack_next(pack, at);
    bool same = e->flags & STREAM_ENTRY_SAME_FIELDS;
    if (same) {
        e->pairs = n->fields;
        e->field_at = n->fields_at;
    } else {
        e->pairs = (size_t)int_at(pack, at);
        e->field_at = 0;
        at = pack_next(pack, at);
    }
    e->value_at = at;
    return skip(pack, at, (same ? 1 : 2) * e->pairs + 1);
}

void stream_entry_pair(struct stream_entry *e, struct stream_pair *pair) {
    CHECK(e->pairs > 0);
    size_t *field_at = e->flags & STREAM_ENTRY_SAME_FIELDS ? &e->field_at : &e->value_at;
    pair->field = pack_get_text(e->pack, *field_at, pair->scratch[0]);
    *field_at = pack_next(e->pack, *field_at);
    pair->value = pack_get_text(e->pack, e->value_at, pair->scratch[1]);
    e->value_at = pack_next(e->pack, e->value_at);
    e->pairs--;
}

/* Where the entry begins behind which stands its count of pack entries, at `count_at`; 0: it is the master's. */
static size_t entry_before(struct slice pack, size_t count_at) {
    int64_t count = int_at(pack, count_at);
    size_t at = count_at;
    for (int64_t i = 0; i < count; i++) at = pack_prev(pack, at);
    return count > 0 ? at : 0;
}

struct stream_id stream_node_last_id(const struct stream_node *n) {
    struct stream_entry e = {.id = n->master};
    size_t at = entry_before(n->pack, pack_last(n->pack));
    if (at != 0) (void)stream_entry_read(n, at, &e);
    return e.id;
}

void stream_node_mark(struct buf *pack, const struct stream_entry *e) {
    size_t was = pack->len;
    pack_replace(pack, e->at, pack_integer(e->flags | STREAM_ENTRY_DELETED));
    CHECK(pack->len == was);
}

void stream_node_count_marked(struct buf *pack, int64_t marked) {
    struct stream_node n;
    stream_node_open(&n, buf_slice(pack));
    pack_replace(pack, n.deleted_at, pack_integer(n.deleted + marked));
    pack_replace(pack, n.count_at, pack_integer(n.count - marked));
}

size_t stream_node_prefix(struct slice pack) {
    return skip(pack, PACK_HEAD, 2) - PACK_HEAD;
}

/* --- nodes from outside --- */

struct walk {
    struct slice pack;
    size_t at; /* 0: the end */
};

static bool walk_int(struct walk *w, int64_t min, int64_t max, int64_t *out) {
    if (w->at == 0) return false;
    struct pack_value v = pack_get(w->pack, w->at);
    w->at = pack_next(w->pack, w->at);
    *out = v.integer;
    return v.is_int && v.integer >= min && v.integer <= max;
}

static bool walk_skip(struct walk *w, int64_t count) {
    for (; count > 0 && w->at != 0; count--) w->at = pack_next(w->pack, w->at);
    return count == 0;
}

/* An entry at w. What is there has ascending ids from the master's on; what is only marked may stand anywhere, for XSETID can turn back
 * the last id behind it. */
static bool walk_entry(struct walk *w, struct stream_id master, int64_t fields, struct stream_id *last,
                       int64_t *live) {
    int64_t flags, ms, seq, pairs = fields, count;
    if (!walk_int(w, 0, STREAM_ENTRY_DELETED | STREAM_ENTRY_SAME_FIELDS, &flags)) return false;
    if (!walk_int(w, INT64_MIN, INT64_MAX, &ms) || !walk_int(w, INT64_MIN, INT64_MAX, &seq)) return false;
    bool same = flags & STREAM_ENTRY_SAME_FIELDS;
    if (!same && !walk_int(w, 0, INT32_MAX, &pairs)) return false;
    if (!walk_skip(w, same ? pairs : 2 * pairs)) return false;
    if (!walk_int(w, 0, INT64_MAX, &count) || count != (same ? pairs + 3 : 2 * pairs + 4)) return false;
    if (flags & STREAM_ENTRY_DELETED) return true;
    struct stream_id id = {master.ms + (uint64_t)ms, master.seq + (uint64_t)seq};
    if (stream_id_cmp(id, master) < 0 || (*live > 0 && stream_id_cmp(id, *last) <= 0)) return false;
    *last = id;
    ++*live;
    return true;
}

bool stream_node_valid(struct slice pack, struct stream_id *last) {
    struct walk w = {.pack = pack, .at = pack_first(pack)};
    int64_t ms, seq, count, deleted, fields, zero, entries = 0, live = 0;
    if (!walk_int(&w, INT64_MIN, INT64_MAX, &ms) || !walk_int(&w, INT64_MIN, INT64_MAX, &seq)) return false;
    if (!walk_int(&w, 0, INT32_MAX, &count) || !walk_int(&w, 0, INT32_MAX, &deleted)) return false;
    if (!walk_int(&w, 0, INT32_MAX, &fields) || !walk_skip(&w, fields) || !walk_int(&w, 0, 0, &zero))
        return false;
    struct stream_id master = {(uint64_t)ms, (uint64_t)seq};
    *last = master;
    for (; w.at != 0; entries++) {
        if (!walk_entry(&w, master, fields, last, &live)) return false;
    }
    return live == count && entries - live == deleted && entries > 0;
}

/* --- reading from leaf to leaf --- */

static void enter(struct stream_cursor *cur, struct tree_leaf *leaf) {
    cur->leaf = leaf;
    if (leaf == NULL) return;
    stream_node_open(&cur->node, leaf_pack(leaf));
    cur->at = cur->reverse ? pack_last(cur->node.pack) : cur->node.entries_at;
}

void stream_seek(struct stream_cursor *cur, const struct object *o, struct stream_id from,
                 struct stream_id to, bool reverse) {
    const struct tree *t = &stream_of(o)->c.tree;
    *cur = (struct stream_cursor){.from = from, .to = to, .reverse = reverse};
    /* The leaf that begins at the id, or before it: the last one that begins before the next id. */
    struct stream_id key = reverse ? to : from;
    enter(cur, stream_id_next(&key) ? tree_leaf_before(t, key.ms, &key) : t->last);
}

bool stream_next(struct stream_cursor *cur, struct stream_entry *e) {
    while (cur->leaf != NULL) {
        size_t at = cur->at;
        if (cur->reverse && at != 0) at = entry_before(cur->node.pack, at);
        if (at == 0) {
            enter(cur, cur->reverse ? cur->leaf->prev : cur->leaf->next);
            continue;
        }
        size_t next = stream_entry_read(&cur->node, at, e);
        cur->at = cur->reverse ? pack_prev(cur->node.pack, at) : next;
        if (e->flags & STREAM_ENTRY_DELETED) continue; /* its id may be out of order */
        bool early = cur->reverse ? stream_id_cmp(e->id, cur->to) > 0 : stream_id_cmp(e->id, cur->from) < 0;
        bool late = cur->reverse ? stream_id_cmp(e->id, cur->from) < 0 : stream_id_cmp(e->id, cur->to) > 0;
        if (late) cur->leaf = NULL;
        if (!early && !late) return true;
    }
    return false;
}
