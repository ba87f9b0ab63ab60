/* Streams in DUMP payloads, from objects and into them. */
#include "rdb_object.h"

#include "rdb_codec.h"
#include "rdb_stream.h"
#include "stream_internal.h"

static void add_raw_id(struct buf *out, struct stream_id id) {
    buf_add_u64be(out, id.ms);
    buf_add_u64be(out, id.seq);
}

static void add_id(struct buf *out, struct stream_id id) {
    rdb_add_len(out, id.ms);
    rdb_add_len(out, id.seq);
}

static void add_raw_id_text(struct buf *out, struct stream_id id) {
    rdb_add_len(out, 2 * sizeof(uint64_t));
    add_raw_id(out, id);
}

/* A leaf begins with its id, which Redis has outside of the pack. */
static void add_node(struct buf *out, struct slice leaf, struct buf *scratch) {
    size_t ms = pack_first(leaf), seq = pack_next(leaf, ms);
    struct stream_id id = {(uint64_t)pack_get(leaf, ms).integer, (uint64_t)pack_get(leaf, seq).integer};
    buf_clear(scratch);
    buf_add_slice(scratch, leaf);
    pack_remove(scratch, ms, 2);
    add_raw_id_text(out, id);
    rdb_add_text(out, buf_slice(scratch));
}

static void write_nodes(struct rdb_out *out, const struct object *o) {
    const struct tree *t = &object_collection(o)->tree;
    struct buf scratch = {0};
    rdb_add_len(&out->bytes, t->leaves);
    for (const struct tree_leaf *l = t->first; l != NULL; l = l->next) {
        add_node(&out->bytes, leaf_pack(l), &scratch);
        rdb_spill(out);
    }
    buf_free(&scratch);
}

static void write_consumer(struct rdb_out *out, const struct stream_group *g,
                           const struct stream_consumer *c) {
    struct stream_id from = {0};
    struct stream_pending p;
    rdb_add_text(&out->bytes, stream_consumer_name(c));
    buf_add_u64le(&out->bytes, (uint64_t)c->seen_ms);
    rdb_add_len(&out->bytes, stream_consumer_pending_count(c));
    while (stream_pending_find(g, c, from, &p)) {
        add_raw_id(&out->bytes, p.id);
        rdb_spill(out);
        from = p.id;
        if (!stream_id_next(&from)) break;
    }
}

static void write_group(struct rdb_out *out, const struct stream_group *g) {
    struct stream_id from = {0};
    struct stream_pending p;
    rdb_add_text(&out->bytes, stream_group_name(g));
    add_id(&out->bytes, g->last);
    rdb_add_len(&out->bytes, (uint64_t)g->entries_read);
    rdb_add_len(&out->bytes, stream_pending_count(g));
    while (stream_pending_find(g, NULL, from, &p)) {
        add_raw_id(&out->bytes, p.id);
        buf_add_u64le(&out->bytes, (uint64_t)p.delivered_ms);
        rdb_add_len(&out->bytes, (uint64_t)p.deliveries);
        rdb_spill(out);
        from = p.id;
        if (!stream_id_next(&from)) break;
    }
    rdb_add_len(&out->bytes, g->consumer_count);
    for (size_t i = 0; i < g->consumer_count; i++) write_consumer(out, g, g->consumers[i]);
}

void rdb_write_stream(struct rdb_out *out, const struct object *o) {
    const struct stream_state *s = stream_state(o);
    rdb_begin(out, RDB_STREAM_LISTPACKS_2, o);
    write_nodes(out, o);
    rdb_add_len(&out->bytes, s->length);
    add_id(&out->bytes, s->last);
    add_id(&out->bytes, s->first);
    add_id(&out->bytes, s->max_deleted);
    rdb_add_len(&out->bytes, s->entries_added);
    rdb_add_len(&out->bytes, stream_group_count(o));
    for (size_t i = 0; i < stream_group_count(o); i++) write_group(out, stream_group_at(o, i));
}

struct stream_maker {
    struct keyspace *ks;
    struct object *o;
    struct stream_group *group;
    struct stream_consumer *consumer;
    int db;
};

static void make_node(void *arg, struct stream_id master, struct slice leaf, uint32_t entries,
                      uint32_t deleted) {
    struct stream_maker *m = arg;
    struct stream *s = stream_of(m->o);
    struct stream_id last;
    CHECK(stream_node_valid(leaf, &last));
    struct tree_leaf *l = tree_add_leaf(&s->c.tree, s->c.tree.last, master.ms);
    struct buf pack = {0};
    buf_add_slice(&pack, leaf);
    pack_join(&l->pack, &pack);
    buf_free(&pack);
    tree_edited_leaf(&s->c.tree, l, entries + deleted);
    ks_note_growth(m->ks, leaf.len);
    s->state.length += entries;
}

static void make_state(void *arg, const struct stream_state *state) {
    struct stream_maker *m = arg;
    stream_set_state(m->ks, m->db, m->o, state);
}

static void make_group(void *arg, struct slice name, struct stream_id last, int64_t entries_read) {
    struct stream_maker *m = arg;
    m->group = stream_group_create(m->ks, m->db, m->o, name, last, entries_read);
}

static void make_consumer(void *arg, struct slice name, int64_t seen_ms) {
    struct stream_maker *m = arg;
    m->consumer = stream_consumer_create(m->ks, m->db, m->o, m->group, name, seen_ms);
}

static void make_pending(void *arg, struct stream_id id, int64_t delivered_ms, int64_t deliveries) {
    struct stream_maker *m = arg;
    struct stream_pending p = {id, m->consumer, delivered_ms, deliveries};
    stream_pending_put(m->ks, m->db, m->o, m->group, &p);
}

struct object *rdb_restore_stream(struct keyspace *ks, int db, struct slice key,
                                  const struct rdb_value *value) {
    struct stream_maker m = {.ks = ks, .o = stream_create(ks, db, key), .db = db};
    struct rdb_stream_visitor visitor = {.arg = &m,
                                         .node = make_node,
                                         .state = make_state,
                                         .group = make_group,
                                         .consumer = make_consumer,
                                         .pending = make_pending};
    CHECK(rdb_stream_read(buf_slice(&value->bytes), value->stream_type, &visitor));
    return m.o;
}
