/* Groups of consumers, and what was delivered to them and not acknowledged.
 *
 * Groups and consumers are lists in order of their names, as Redis answers them; a stream has few. What is pending is stored once, in
 * the group's tree, in order of ids; which of it is whose is told by a tree of ids for each consumer, in memory only. */
#include "stream_internal.h"

enum { ENTRY_ID_MS, ENTRY_ID_SEQ, ENTRY_CONSUMER, ENTRY_DELIVERED, ENTRY_DELIVERIES, ENTRY_ARITY };

/* --- both kinds of trees --- */

static uint64_t id_head(const struct tree *t, struct slice pack, size_t at) {
    (void)t;
    return (uint64_t)pack_get(pack, at).integer;
}

static struct stream_id id_at(struct slice pack, size_t at) {
    struct stream_id id = {.ms = (uint64_t)pack_get(pack, at).integer};
    id.seq = (uint64_t)pack_get(pack, pack_next(pack, at)).integer;
    return id;
}

static int id_compare(const void *key, struct slice pack, size_t at) {
    return stream_id_cmp(*(const struct stream_id *)key, id_at(pack, at));
}

static const struct tree_kind pending_kind = {
    .order = ORDER_KEY, .arity = ENTRY_ARITY, .leaf_bytes = 1024, .head = id_head, .compare = id_compare};
static const struct tree_kind ids_kind = {
    .order = ORDER_KEY, .arity = 2, .leaf_bytes = 512, .head = id_head, .compare = id_compare};

static struct tree_pos find_from(const struct tree *t, struct stream_id id) {
    return tree_lower_bound(t, id.ms, &id);
}

static bool is_at(struct tree_pos p, struct stream_id id) {
    return !pos_is_end(p) && stream_id_cmp(id_at(leaf_pack(p.leaf), p.at), id) == 0;
}

/* The consumers' trees are not counted by the keyspace, but by the stream. */
static void ids_insert(struct stream *s, struct tree *t, struct stream_id id) {
    struct pack_value entries[2] = {pack_integer((int64_t)id.ms), pack_integer((int64_t)id.seq)};
    size_t was = t->bytes;
    (void)tree_insert(t, find_from(t, id), entries);
    collection_count(&s->c, (ptrdiff_t)(t->bytes - was));
}

static void ids_remove(struct stream *s, struct tree *t, struct stream_id id) {
    struct tree_pos p = find_from(t, id);
    size_t was = t->bytes;
    CHECK(is_at(p, id));
    (void)tree_remove(t, p);
    collection_count(&s->c, (ptrdiff_t)(t->bytes - was));
}

/* --- making and finding --- */

static struct stream_consumer *consumer_new(struct stream *s, struct slice name, uint64_t number,
                                            int64_t seen_ms) {
    struct stream_consumer *c = mem_alloc(sizeof *c + name.len);
    *c = (struct stream_consumer){.number = number, .seen_ms = seen_ms, .name_len = (uint32_t)name.len};
    if (name.len > 0) memcpy(c->name, name.data, name.len);
    c->pending = mem_alloc(sizeof *c->pending);
    tree_init(c->pending, &ids_kind, NULL, NULL);
    collection_count(&s->c, (ptrdiff_t)(mem_size(c) + mem_size(c->pending)));
    return c;
}

static size_t consumer_bytes(const struct stream_consumer *c) {
    return mem_size(c) + mem_size(c->pending) + c->pending->bytes;
}

static void consumer_free(struct stream_consumer *c) {
    tree_free(c->pending);
    mem_free(c->pending);
    mem_free(c);
}

static struct stream_group *group_new(struct stream *s, struct slice name, uint32_t section) {
    struct stream_group *g = mem_alloc(sizeof *g + name.len);
    *g = (struct stream_group){.next_number = 1, .name_len = (uint32_t)name.len};
    if (name.len > 0) memcpy(g->name, name.data, name.len);
    g->pending = collection_add_tree(&s->c, &pending_kind, section);
    collection_count(&s->c, (ptrdiff_t)mem_size(g));
    return g;
}

static size_t group_bytes(const struct stream_group *g) {
    return mem_size(g) + mem_size(g->consumers) + mem_size(g->numbered);
}

static void group_free(struct stream_group *g) {
    for (size_t i = 0; i < g->consumer_count; i++) consumer_free(g->consumers[i]);
    mem_free(g->consumers);
    mem_free(g->numbered);
    mem_free(g);
}

/* The place of a name among `count` of them, or where it would be. */
static bool find_consumer(const struct stream_group *g, struct slice name, size_t *at) {
    size_t low = 0, high = g->consumer_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = slice_cmp(stream_consumer_name(g->consumers[middle]), name);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *at = low;
    return false;
}

static struct stream_consumer *by_number(const struct stream_group *g, uint64_t number, size_t *at) {
    size_t low = 0, high = g->consumer_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (g->numbered[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *at = low;
    return low < g->consumer_count && g->numbered[low]->number == number ? g->numbered[low] : NULL;
}

static void *widen(struct stream *s, void *list, size_t size) {
    size_t was = mem_size(list);
    list = mem_realloc(list, size);
    collection_count(&s->c, (ptrdiff_t)(mem_size(list) - was));
    return list;
}

/* The consumer's name and number are new to the group. */
static void link_consumer(struct stream *s, struct stream_group *g, struct stream_consumer *c) {
    if (g->consumer_count == g->consumer_cap) {
        g->consumer_cap = g->consumer_cap ? g->consumer_cap * 2 : 2;
        g->consumers = widen(s, g->consumers, g->consumer_cap * sizeof *g->consumers);
        g->numbered = widen(s, g->numbered, g->consumer_cap * sizeof *g->numbered);
    }
    size_t at, number_at;
    CHECK(!find_consumer(g, stream_consumer_name(c), &at));
    CHECK(by_number(g, c->number, &number_at) == NULL);
    memmove(g->consumers + at + 1, g->consumers + at, (g->consumer_count - at) * sizeof *g->consumers);
    memmove(g->numbered + number_at + 1, g->numbered + number_at,
            (g->consumer_count - number_at) * sizeof *g->numbered);
    g->consumers[at] = c;
    g->numbered[number_at] = c;
    g->consumer_count++;
}

static bool find_group(const struct stream *s, struct slice name, size_t *at) {
    *at = 0;
    while (*at < s->group_count) {
        int order = slice_cmp(stream_group_name(s->groups[*at]), name);
        if (order >= 0) return order == 0;
        ++*at;
    }
    return false;
}

static void link_group(struct stream *s, struct stream_group *g) {
    if (s->group_count == s->group_cap) {
        s->group_cap = s->group_cap ? s->group_cap * 2 : 2;
        s->groups = widen(s, s->groups, s->group_cap * sizeof *s->groups);
    }
    size_t at;
    CHECK(!find_group(s, stream_group_name(g), &at));
    memmove(s->groups + at + 1, s->groups + at, (s->group_count++ - at) * sizeof *s->groups);
    s->groups[at] = g;
}

size_t stream_group_count(const struct object *o) {
    return stream_of(o)->group_count;
}

struct stream_group *stream_group_at(const struct object *o, size_t i) {
    CHECK(i < stream_of(o)->group_count);
    return stream_of(o)->groups[i];
}

struct stream_group *stream_group_find(const struct object *o, struct slice name) {
    size_t at;
    return find_group(stream_of(o), name, &at) ? stream_of(o)->groups[at] : NULL;
}

struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct slice name) {
    size_t at;
    return find_consumer(g, name, &at) ? g->consumers[at] : NULL;
}

/* --- changing groups --- */

struct stream_group *stream_group_create(struct keyspace *ks, int db, struct object *o, struct slice name,
                                         struct stream_id last, int64_t entries_read) {
    ks_edit(ks, db, o);
    struct stream_group *g = group_new(stream_of(o), name, 0);
    g->last = last;
    g->entries_read = entries_read;
    link_group(stream_of(o), g);
    ks_note_growth(ks, sizeof *g + name.len);
    return g;
}

void stream_group_destroy(struct keyspace *ks, int db, struct object *o, struct stream_group *g) {
    ks_edit(ks, db, o);
    struct stream *s = stream_of(o);
    size_t at, freed = group_bytes(g);
    CHECK(find_group(s, stream_group_name(g), &at));
    memmove(s->groups + at, s->groups + at + 1, (--s->group_count - at) * sizeof *s->groups);
    for (size_t i = 0; i < g->consumer_count; i++) freed += consumer_bytes(g->consumers[i]);
    collection_drop_tree(&s->c, g->pending);
    group_free(g);
    collection_count(&s->c, -(ptrdiff_t)freed);
}

void stream_group_set(struct keyspace *ks, int db, struct object *o, struct stream_group *g,
                      struct stream_id last, int64_t entries_read) {
    ks_edit(ks, db, o);
    g->last = last;
    g->entries_read = entries_read;
}

struct stream_consumer *stream_consumer_create(struct keyspace *ks, int db, struct object *o,
                                               struct stream_group *g, struct slice name, int64_t seen_ms) {
    ks_edit(ks, db, o);
    struct stream_consumer *c = consumer_new(stream_of(o), name, g->next_number++, seen_ms);
    link_consumer(stream_of(o), g, c);
    ks_note_growth(ks, sizeof *c + name.len);
    return c;
}

void stream_consumer_seen(struct keyspace *ks, int db, struct object *o, struct stream_consumer *consumer,
                          int64_t seen_ms) {
    ks_edit(ks, db, o);
    consumer->seen_ms = seen_ms;
}

void stream_consumer_delete(struct keyspace *ks, int db, struct object *o, struct stream_group *g,
                            struct stream_consumer *consumer) {
    ks_edit(ks, db, o);
    struct stream *s = stream_of(o);
    for (struct tree_pos p = tree_first(consumer->pending); !pos_is_end(p); p = tree_next(p)) {
        struct tree_pos theirs = find_from(g->pending, id_at(leaf_pack(p.leaf), p.at));
        CHECK(is_at(theirs, id_at(leaf_pack(p.leaf), p.at)));
        (void)tree_remove(g->pending, theirs);
    }
    size_t at, number_at;
    CHECK(find_consumer(g, stream_consumer_name(consumer), &at));
    CHECK(by_number(g, consumer->number, &number_at) == consumer);
    g->consumer_count--;
    memmove(g->consumers + at, g->consumers + at + 1, (g->consumer_count - at) * sizeof *g->consumers);
    memmove(g->numbered + number_at, g->numbered + number_at + 1,
            (g->consumer_count - number_at) * sizeof *g->numbered);
    collection_count(&s->c, -(ptrdiff_t)consumer_bytes(consumer));
    consumer_free(consumer);
}

/* --- what is pending --- */

uint64_t stream_pending_count(const struct stream_group *g) {
    return g->pending->items;
}

uint64_t stream_consumer_pending_count(const struct stream_consumer *consumer) {
    return consumer->pending->items;
}

static void read_pending(const struct stream_group *g, struct tree_pos p, struct stream_pending *out) {
    struct slice pack = leaf_pack(p.leaf);
    size_t number_at;
    out->id = id_at(pack, p.at);
    size_t at = pos_entry(p, ENTRY_CONSUMER);
    out->consumer = by_number(g, (uint64_t)pack_get(pack, at).integer, &number_at);
    CHECK(out->consumer != NULL);
    at = pack_next(pack, at);
    out->delivered_ms = pack_get(pack, at).integer;
    out->deliveries = pack_get(pack, pack_next(pack, at)).integer;
}

bool stream_pending_get(const struct stream_group *g, struct stream_id id, struct stream_pending *out) {
    struct tree_pos p = find_from(g->pending, id);
    if (!is_at(p, id)) return false;
    read_pending(g, p, out);
    return true;
}

bool stream_pending_find(const struct stream_group *g, const struct stream_consumer *consumer,
                         struct stream_id from, struct stream_pending *out) {
    struct tree_pos p = find_from(consumer ? consumer->pending : g->pending, from);
    if (pos_is_end(p)) return false;
    if (consumer != NULL) return stream_pending_get(g, id_at(leaf_pack(p.leaf), p.at), out);
    read_pending(g, p, out);
    return true;
}

bool stream_pending_last(const struct stream_group *g, struct stream_pending *out) {
    struct tree_pos p = tree_last(g->pending);
    if (pos_is_end(p)) return false;
    read_pending(g, p, out);
    return true;
}

static void replace(struct tree *t, struct tree_pos *p, unsigned which, int64_t v) {
    if (pack_get(leaf_pack(p->leaf), pos_entry(*p, which)).integer == v) return;
    *p = tree_replace(t, *p, which, pack_integer(v));
}

void stream_pending_put(struct keyspace *ks, int db, struct object *o, struct stream_group *g,
                        const struct stream_pending *p) {
    ks_edit(ks, db, o);
    struct stream *s = stream_of(o);
    struct tree_pos at = find_from(g->pending, p->id);
    int64_t number = (int64_t)p->consumer->number;
    if (!is_at(at, p->id)) {
        struct pack_value entries[ENTRY_ARITY] = {pack_integer((int64_t)p->id.ms),
                                                  pack_integer((int64_t)p->id.seq), pack_integer(number),
                                                  pack_integer(p->delivered_ms), pack_integer(p->deliveries)};
        (void)tree_insert(g->pending, at, entries);
        ids_insert(s, p->consumer->pending, p->id);
        ks_note_growth(ks, ENTRY_ARITY * sizeof(uint64_t));
        return;
    }
    struct stream_pending was;
    read_pending(g, at, &was);
    replace(g->pending, &at, ENTRY_CONSUMER, number);
    replace(g->pending, &at, ENTRY_DELIVERED, p->delivered_ms);
    replace(g->pending, &at, ENTRY_DELIVERIES, p->deliveries);
    if (was.consumer == p->consumer) return;
    ids_remove(s, was.consumer->pending, p->id);
    ids_insert(s, p->consumer->pending, p->id);
}

bool stream_pending_remove(struct keyspace *ks, int db, struct object *o, struct stream_group *g,
                           struct stream_id id) {
    struct stream_pending was;
    struct tree_pos p = find_from(g->pending, id);
    if (!is_at(p, id)) return false;
    ks_edit(ks, db, o);
    read_pending(g, p, &was);
    ids_remove(stream_of(o), was.consumer->pending, id);
    (void)tree_remove(g->pending, p);
    return true;
}

/* --- rows, copies --- */

static void add_name(struct buf *out, struct slice name) {
    buf_add_u32le(out, (uint32_t)name.len);
    buf_add_slice(out, name);
}

static bool take_name(struct slice *in, struct slice *name) {
    uint32_t len;
    return slice_take_u32le(in, &len) && slice_take(in, len, name);
}

static void group_add(struct buf *out, const struct stream_group *g) {
    add_name(out, stream_group_name(g));
    buf_add_u32le(out, g->pending->section);
    buf_add_u64le(out, g->last.ms);
    buf_add_u64le(out, g->last.seq);
    buf_add_u64le(out, (uint64_t)g->entries_read);
    buf_add_u64le(out, g->next_number);
    buf_add_u32le(out, (uint32_t)g->consumer_count);
    for (size_t i = 0; i < g->consumer_count; i++) {
        const struct stream_consumer *c = g->numbered[i];
        add_name(out, stream_consumer_name(c));
        buf_add_u64le(out, c->number);
        buf_add_u64le(out, (uint64_t)c->seen_ms);
    }
}

void stream_groups_add(struct buf *out, const struct stream *s) {
    buf_add_u32le(out, (uint32_t)s->group_count);
    for (size_t i = 0; i < s->group_count; i++) group_add(out, s->groups[i]);
}

static bool consumer_take(struct stream *s, struct stream_group *g, struct slice *in) {
    struct slice name;
    uint64_t number, seen_ms;
    size_t at;
    if (!take_name(in, &name) || !slice_take_u64le(in, &number) || !slice_take_u64le(in, &seen_ms))
        return false;
    if (find_consumer(g, name, &at) || by_number(g, number, &at) || number >= g->next_number) return false;
    link_consumer(s, g, consumer_new(s, name, number, (int64_t)seen_ms));
    return true;
}

static bool group_take(struct stream *s, struct slice *in) {
    struct slice name;
    struct stream_id last;
    uint32_t section, consumers;
    uint64_t entries_read, next_number;
    size_t at;
    if (!take_name(in, &name) || !slice_take_u32le(in, &section) || !slice_take_u64le(in, &last.ms) ||
        !slice_take_u64le(in, &last.seq) || !slice_take_u64le(in, &entries_read) ||
        !slice_take_u64le(in, &next_number) || !slice_take_u32le(in, &consumers))
        return false;
    if (section == 0 || find_group(s, name, &at)) return false;
    struct stream_group *g = group_new(s, name, section);
    g->last = last;
    g->entries_read = (int64_t)entries_read;
    g->next_number = next_number;
    link_group(s, g);
    for (; consumers > 0; consumers--) {
        if (!consumer_take(s, g, in)) return false;
    }
    return true;
}

bool stream_groups_take(struct stream *s, struct slice *in) {
    uint32_t count;
    if (!slice_take_u32le(in, &count)) return false;
    for (; count > 0; count--) {
        if (!group_take(s, in)) return false;
    }
    return true;
}

static bool is_id_entry(struct slice pack, size_t at) {
    for (unsigned i = 0; i < ENTRY_ARITY; i++, at = pack_next(pack, at)) {
        if (!pack_get(pack, at).is_int) return false;
    }
    return true;
}

static bool group_loaded(struct stream *s, struct stream_group *g) {
    struct stream_id last = {0, 0};
    bool is_first = true;
    for (struct tree_pos p = tree_first(g->pending); !pos_is_end(p); p = tree_next(p)) {
        struct slice pack = leaf_pack(p.leaf);
        size_t number_at;
        if (!is_id_entry(pack, p.at)) return false;
        struct stream_id id = id_at(pack, p.at);
        if (!is_first && stream_id_cmp(id, last) <= 0) return false;
        uint64_t number = (uint64_t)pack_get(pack, pos_entry(p, ENTRY_CONSUMER)).integer;
        struct stream_consumer *c = by_number(g, number, &number_at);
        if (c == NULL) return false;
        ids_insert(s, c->pending, id);
        last = id;
        is_first = false;
    }
    return true;
}

bool stream_groups_loaded(struct stream *s) {
    for (size_t i = 0; i < s->group_count; i++) {
        if (!group_loaded(s, s->groups[i])) return false;
    }
    return true;
}

static struct tree *tree_of_section(struct stream *s, uint32_t section) {
    struct section_tree *more = s->c.more;
    while (more->tree.section != section) more = more->next;
    return &more->tree;
}

void stream_groups_copy(struct stream *to, const struct stream *from) {
    for (size_t i = 0; i < from->group_count; i++) {
        const struct stream_group *g = from->groups[i];
        struct stream_group *fresh = mem_alloc(sizeof *fresh + g->name_len);
        *fresh = *g;
        memcpy(fresh->name, g->name, g->name_len);
        fresh->pending = tree_of_section(to, g->pending->section);
        fresh->consumers = fresh->numbered = NULL;
        fresh->consumer_count = fresh->consumer_cap = 0;
        collection_count(&to->c, (ptrdiff_t)mem_size(fresh));
        link_group(to, fresh);
        for (size_t k = 0; k < g->consumer_count; k++) {
            const struct stream_consumer *c = g->numbered[k];
            link_consumer(to, fresh, consumer_new(to, stream_consumer_name(c), c->number, c->seen_ms));
        }
        CHECK(group_loaded(to, fresh));
    }
}

void stream_groups_drop(struct stream *s) {
    for (size_t i = 0; i < s->group_count; i++) group_free(s->groups[i]);
    mem_free(s->groups);
}

/* By names: numbers tell in which order consumers came. */
void stream_groups_digest(struct buf *out, const struct stream *s) {
    for (size_t i = 0; i < s->group_count; i++) {
        const struct stream_group *g = s->groups[i];
        struct stream_pending p;
        add_name(out, stream_group_name(g));
        buf_add_u64le(out, g->last.ms);
        buf_add_u64le(out, g->last.seq);
        buf_add_u64le(out, (uint64_t)g->entries_read);
        for (size_t k = 0; k < g->consumer_count; k++) {
            add_name(out, stream_consumer_name(g->consumers[k]));
            buf_add_u64le(out, (uint64_t)g->consumers[k]->seen_ms);
        }
        for (struct tree_pos at = tree_first(g->pending); !pos_is_end(at); at = tree_next(at)) {
            read_pending(g, at, &p);
            buf_add_u64le(out, p.id.ms);
            buf_add_u64le(out, p.id.seq);
            buf_add_u64le(out, hash64(stream_consumer_name(p.consumer)));
            buf_add_u64le(out, (uint64_t)p.delivered_ms);
            buf_add_u64le(out, (uint64_t)p.deliveries);
        }
    }
}
