/* A stream: its counters, and entries coming and going. See type_stream.h; what a leaf looks like is type_stream_node.c's. */
#include "stream_internal.h"

enum { NODE_BYTES_MAX = 1 << 30 };

bool stream_id_next(struct stream_id *id) {
    if (id->seq < UINT64_MAX) {
        id->seq++;
        return true;
    }
    if (id->ms == UINT64_MAX) return false;
    *id = (struct stream_id){id->ms + 1, 0};
    return true;
}

bool stream_id_prev(struct stream_id *id) {
    if (id->seq > 0) {
        id->seq--;
        return true;
    }
    if (id->ms == 0) return false;
    *id = (struct stream_id){id->ms - 1, UINT64_MAX};
    return true;
}

/* --- the container --- */

static void add_id(struct buf *out, struct stream_id id) {
    buf_add_u64le(out, id.ms);
    buf_add_u64le(out, id.seq);
}

static bool take_id(struct slice *in, struct stream_id *id) {
    return slice_take_u64le(in, &id->ms) && slice_take_u64le(in, &id->seq);
}

static void state_add(struct buf *out, const struct stream_state *s) {
    buf_add_u64le(out, s->length);
    buf_add_u64le(out, s->entries_added);
    add_id(out, s->first);
    add_id(out, s->last);
    add_id(out, s->max_deleted);
}

static void header_add(struct buf *out, const struct collection *c) {
    const struct stream *s = (const struct stream *)(const void *)c;
    state_add(out, &s->state);
    stream_groups_add(out, s);
}

static bool header_take(struct keyspace *ks, struct collection *c, struct slice *in) {
    (void)ks;
    struct stream *s = (struct stream *)(void *)c;
    return slice_take_u64le(in, &s->state.length) && slice_take_u64le(in, &s->state.entries_added) &&
           take_id(in, &s->state.first) && take_id(in, &s->state.last) &&
           take_id(in, &s->state.max_deleted) && stream_groups_take(s, in);
}

/* Nodes one after the other, and as many entries as the header says. */
static bool loaded(struct keyspace *ks, struct collection *c) {
    (void)ks;
    struct stream *s = (struct stream *)(void *)c;
    struct stream_id last = {0, 0};
    uint64_t length = 0;
    for (const struct tree_leaf *leaf = c->tree.first; leaf != NULL; leaf = leaf->next) {
        struct stream_node n;
        struct stream_id before = last;
        if (!stream_node_valid(leaf_pack(leaf), &last)) return false;
        stream_node_open(&n, leaf_pack(leaf));
        if (leaf->items != n.count + n.deleted) return false;
        if (leaf->prev != NULL && stream_id_cmp(before, n.master) >= 0) return false;
        length += (uint64_t)n.count;
    }
    return length == s->state.length && stream_groups_loaded(s);
}

static void copy(struct keyspace *ks, struct collection *to, const struct collection *from) {
    (void)ks;
    const struct stream *s = (const struct stream *)(const void *)from;
    ((struct stream *)(void *)to)->state = s->state;
    stream_groups_copy((struct stream *)(void *)to, s);
}

static uint64_t digest(const struct object *o) {
    const struct stream *s = stream_of(o);
    struct buf b = {0};
    state_add(&b, &s->state);
    for (const struct tree_leaf *leaf = s->c.tree.first; leaf != NULL; leaf = leaf->next) {
        buf_add_u64le(&b, hash64(leaf_pack(leaf)));
    }
    stream_groups_digest(&b, s);
    uint64_t h = hash64(buf_slice(&b));
    buf_free(&b);
    return h;
}

static void drop(struct collection *c) {
    stream_groups_drop((struct stream *)(void *)c);
}

const struct collection_class stream_class = {
    .size = sizeof(struct stream),
    .kind = &stream_kind,
    .header_add = header_add,
    .header_take = header_take,
    .loaded = loaded,
    .copy = copy,
    .digest = digest,
    .drop = drop,
};

/* --- the state --- */

struct object *stream_create(struct keyspace *ks, int db, struct slice key) {
    struct buf none = {0};
    pack_begin(&none);
    struct object *o = collection_create(ks, db, key, OBJECT_STREAM, ENCODING_STREAM, none);
    (void)collection_grow(ks, db, o, &none);
    buf_free(&none);
    return o;
}

const struct stream_state *stream_state(const struct object *o) {
    return &stream_of(o)->state;
}

void stream_set_state(struct keyspace *ks, int db, struct object *o, const struct stream_state *state) {
    ks_edit(ks, db, o);
    struct stream_state *s = &stream_of(o)->state;
    uint64_t length = s->length;
    *s = *state;
    s->length = length;
}

bool stream_has(const struct object *o, struct stream_id id) {
    struct stream_cursor cur;
    struct stream_entry e;
    stream_seek(&cur, o, id, id, false);
    return stream_next(&cur, &e);
}

struct stream_id stream_last_entry(const struct object *o) {
    struct stream_cursor cur;
    struct stream_entry e = {.id = {0, 0}};
    stream_seek(&cur, o, (struct stream_id){0, 0}, STREAM_ID_MAX, true);
    if (!stream_next(&cur, &e)) e.id = (struct stream_id){0, 0};
    return e.id;
}

static void find_first(struct object *o) {
    struct stream *s = stream_of(o);
    struct stream_cursor cur;
    struct stream_entry e = {.id = {0, 0}};
    s->state.first = (struct stream_id){0, 0};
    if (s->state.length == 0) return;
    stream_seek(&cur, o, (struct stream_id){0, 0}, STREAM_ID_MAX, false);
    CHECK(stream_next(&cur, &e));
    s->state.first = e.id;
}

uint64_t stream_nodes(const struct object *o) {
    return stream_of(o)->c.tree.leaves;
}

/* How many bytes of their ids, in the order of significance, two nodes have in common. */
static unsigned common_bytes(const struct tree_leaf *a, const struct tree_leaf *b) {
    struct stream_node x, y;
    stream_node_open(&x, leaf_pack(a));
    stream_node_open(&y, leaf_pack(b));
    uint64_t ms = x.master.ms ^ y.master.ms, seq = x.master.seq ^ y.master.seq;
    if (ms != 0) return (unsigned)__builtin_clzll(ms) / 8;
    CHECK(seq != 0);
    return 8 + (unsigned)__builtin_clzll(seq) / 8;
}

/* A place at which keys part, or a key's end, below one at `parent`: itself, and the bytes in between as a node of their own. */
static uint64_t radix_place(unsigned depth, unsigned parent) {
    return 1 + (depth > parent + 1);
}

/* Keys come in order, so the places at which they part, and below which another key may still part, are a stack. */
uint64_t stream_radix_nodes(const struct object *o) {
    enum { KEY_BYTES = 16 };
    const struct tree_leaf *leaf = stream_of(o)->c.tree.first;
    unsigned open[KEY_BYTES], count = 0, before = 0;
    uint64_t nodes = 0;
    if (leaf == NULL) return 1;
    if (leaf->next == NULL) return 2;
    for (; leaf->next != NULL; leaf = leaf->next) {
        unsigned depth = common_bytes(leaf, leaf->next);
        nodes += radix_place(KEY_BYTES, before > depth ? before : depth);
        while (count > 0 && open[count - 1] > depth) {
            unsigned done = open[--count], above = count > 0 ? open[count - 1] : 0;
            nodes += radix_place(done, above > depth ? above : depth);
        }
        if (count == 0 || open[count - 1] < depth) open[count++] = depth;
        before = depth;
    }
    nodes += radix_place(KEY_BYTES, before);
    for (; count > 1; count--) nodes += radix_place(open[count - 1], open[count - 2]);
    return nodes + 1 + (open[0] > 0);
}

/* --- entries --- */

/* Whether the last node is to take no further entry of so many bytes. Redis counts its own node's bytes. */
static bool is_full(const struct keyspace *ks, const struct tree_leaf *leaf, size_t more) {
    const struct ks_limits *limits = ks_limits(ks);
    struct stream_node n;
    stream_node_open(&n, leaf_pack(leaf));
    uint64_t bytes_max = (uint64_t)limits->stream_node_max_bytes;
    if (bytes_max == 0 || bytes_max > NODE_BYTES_MAX) bytes_max = NODE_BYTES_MAX;
    if (n.pack.len - stream_node_prefix(n.pack) + more >= bytes_max) return true;
    int64_t entries_max = limits->stream_node_max_entries;
    return entries_max > 0 && n.count + n.deleted >= entries_max;
}

/* A node may be left without entries; one that begins behind where the stream goes on now, after XSETID, must go. */
static void drop_late_nodes(struct tree *t, struct stream_id id) {
    while (t->last != NULL) {
        struct stream_node n;
        stream_node_open(&n, leaf_pack(t->last));
        if (stream_id_cmp(n.master, id) <= 0) return;
        CHECK(n.count == 0);
        tree_remove_leaf(t, t->last);
    }
}

void stream_append(struct keyspace *ks, int db, struct object *o, struct stream_id id,
                   const struct slice *pairs, size_t pair_count) {
    ks_edit(ks, db, o);
    struct stream *s = stream_of(o);
    CHECK(stream_id_cmp(id, s->state.last) > 0);
    size_t size = 0;
    for (size_t i = 0; i < 2 * pair_count; i++) size += pairs[i].len;
    CHECK(size <= STREAM_ENTRY_BYTES_MAX);
    struct tree *t = &s->c.tree;
    drop_late_nodes(t, id);
    struct tree_leaf *leaf = t->last;
    if (leaf == NULL || is_full(ks, leaf, size)) {
        leaf = tree_add_leaf(t, leaf, id.ms);
        stream_node_begin(&leaf->pack, id, pairs, pair_count);
    } else {
        tree_edit_leaf(t, leaf);
    }
    stream_node_append(&leaf->pack, id, pairs, pair_count);
    tree_edited_leaf(t, leaf, leaf->items + 1);
    ks_note_growth(ks, size);
    if (s->state.length++ == 0) s->state.first = id;
    s->state.entries_added++;
    s->state.last = id;
}

/* Entries of a node are marked already: it and the stream have so many less. The tree counts what is marked too. */
static void close_marked(struct stream *s, struct tree_leaf *leaf, int64_t marked) {
    stream_node_count_marked(&leaf->pack, marked);
    tree_edited_leaf(&s->c.tree, leaf, leaf->items);
    s->state.length -= (uint64_t)marked;
}

bool stream_delete(struct keyspace *ks, int db, struct object *o, struct stream_id id) {
    struct stream *s = stream_of(o);
    struct stream_cursor cur;
    struct stream_entry e;
    stream_seek(&cur, o, id, id, false);
    if (!stream_next(&cur, &e)) return false;
    ks_edit(ks, db, o);
    if (cur.node.count == 1) {
        tree_remove_leaf(&s->c.tree, cur.leaf);
        s->state.length--;
    } else {
        tree_edit_leaf(&s->c.tree, cur.leaf);
        stream_node_mark(&cur.leaf->pack, &e);
        close_marked(s, cur.leaf, 1);
    }
    if (stream_id_cmp(id, s->state.max_deleted) > 0) s->state.max_deleted = id;
    if (s->state.length == 0 || stream_id_cmp(id, s->state.first) == 0) find_first(o);
    return true;
}

/* --- trimming --- */

static bool whole_node_goes(const struct stream *s, const struct stream_node *n,
                            const struct stream_trim *how) {
    uint64_t count = (uint64_t)n->count;
    if (how->by_length) return s->state.length - count >= how->length_max;
    return stream_id_cmp(stream_node_last_id(n), how->id_min) < 0;
}

/* Marks entries of the first node, up to where the trimming ends; returns how many. */
static uint64_t trim_within(struct stream *s, struct tree_leaf *leaf, const struct stream_trim *how) {
    struct stream_node n;
    struct stream_entry e;
    int64_t marked = 0;
    tree_edit_leaf(&s->c.tree, leaf);
    stream_node_open(&n, leaf_pack(leaf));
    for (size_t at = n.entries_at; at != 0;) {
        at = stream_entry_read(&n, at, &e);
        if (how->by_length ? s->state.length - (uint64_t)marked <= how->length_max
                           : stream_id_cmp(e.id, how->id_min) >= 0)
            break;
        if (e.flags & STREAM_ENTRY_DELETED) continue;
        stream_node_mark(&leaf->pack, &e);
        marked++;
    }
    close_marked(s, leaf, marked);
    return (uint64_t)marked;
}

static bool has_to_be_trimmed(const struct stream *s, const struct stream_trim *how) {
    if (s->state.length == 0) return false;
    return how->by_length ? s->state.length > how->length_max
                          : stream_id_cmp(s->state.first, how->id_min) < 0;
}

uint64_t stream_trim(struct keyspace *ks, int db, struct object *o, const struct stream_trim *how) {
    struct stream *s = stream_of(o);
    uint64_t deleted = 0;
    if (!has_to_be_trimmed(s, how)) return 0; /* and was not changed: somebody may watch it */
    while (s->c.tree.first != NULL && !(how->by_length && s->state.length <= how->length_max)) {
        struct tree_leaf *leaf = s->c.tree.first;
        struct stream_node n;
        stream_node_open(&n, leaf_pack(leaf));
        uint64_t count = (uint64_t)n.count;
        if (how->deletes_max > 0 && deleted + count > how->deletes_max) break;
        bool goes = whole_node_goes(s, &n, how);
        if (!goes && how->whole_nodes) break;
        if (deleted == 0) ks_edit(ks, db, o);
        if (!goes) {
            deleted += trim_within(s, leaf, how);
            break;
        }
        tree_remove_leaf(&s->c.tree, leaf);
        s->state.length -= count;
        deleted += count;
    }
    if (deleted > 0 || s->state.length == 0) find_first(o);
    return deleted;
}
