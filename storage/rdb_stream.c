/* See rdb_stream.h. What Redis writes is more orderly than what it would read: ids and names ascend. Here they must, and with
 * that nothing is there twice. */
#include "rdb_stream.h"

#include "mem.h"
#include "pack.h"
#include "rdb_codec.h"

enum { FLAG_DELETED = 1, FLAG_SAME_FIELDS = 2, NODE_BYTES_MAX = 1 << 30 };

struct pending_entry {
    struct stream_id id;
    int64_t delivered_ms, deliveries;
    bool taken; /* by a consumer */
};

struct reader {
    struct slice from; /* what is left */
    struct rdb_texts texts;
    enum rdb_type type;
    const struct rdb_stream_visitor *visitor;
    struct stream_state state; /* as far as the entries tell it, then all */
    struct stream_id last;     /* of the entries so far, or the last node's own id */
    struct stream_id last_entry;
    struct buf pack;    /* the node, as this house keeps it */
    struct buf pending; /* struct pending_entry, of one group, ascending */
    size_t pending_count;
};

static struct stream_id id_of(const char *bytes) {
    struct slice s = slice_make(bytes, 16);
    struct stream_id id = {0};
    if (!slice_take_u64be(&s, &id.ms) || !slice_take_u64be(&s, &id.seq)) return id;
    return id;
}

static bool take_raw_id(struct slice *s, struct stream_id *id) {
    struct slice bytes;
    if (!slice_take(s, 16, &bytes)) return false;
    *id = id_of(bytes.data);
    return true;
}

static bool take_id(struct slice *s, struct stream_id *id) {
    return rdb_take_len(s, &id->ms) && rdb_take_len(s, &id->seq);
}

/* --- a node's pack --- */

struct node {
    struct slice pack;
    size_t at; /* the next entry of the pack; 0: no more */
    struct stream_id master;
    int64_t entries, deleted; /* as its head says, then what is left of them to come */
    int64_t fields;
};

static bool take_int(struct node *n, int64_t min, int64_t max, int64_t *out) {
    if (n->at == 0) return false;
    struct pack_value v = pack_get(n->pack, n->at);
    n->at = pack_next(n->pack, n->at);
    *out = v.integer;
    return v.is_int && v.integer >= min && v.integer <= max;
}

static bool take_count(struct node *n, int64_t *out) {
    return take_int(n, 0, INT32_MAX, out);
}

/* Walks over `count` entries of the pack, whatever they are. */
static bool skip(struct node *n, int64_t count) {
    for (; count > 0 && n->at != 0; count--) n->at = pack_next(n->pack, n->at);
    return count == 0;
}

static bool take_node_head(struct node *n) {
    int64_t zero;
    return take_count(n, &n->entries) && take_count(n, &n->deleted) && take_count(n, &n->fields) &&
           skip(n, n->fields) && take_int(n, 0, 0, &zero);
}

/* Ids ascend but for those of deleted entries: XSETID may have turned the stream back behind them. */
static bool take_entry(struct reader *r, struct node *n) {
    int64_t flags, ms, seq, size, pairs = n->fields;
    if (!take_int(n, 0, FLAG_DELETED | FLAG_SAME_FIELDS, &flags)) return false;
    if (!take_int(n, INT64_MIN, INT64_MAX, &ms) || !take_int(n, INT64_MIN, INT64_MAX, &seq)) return false;
    bool same_fields = flags & FLAG_SAME_FIELDS;
    if (!same_fields && !take_count(n, &pairs)) return false;
    if (!skip(n, same_fields ? pairs : pairs * 2) || !take_int(n, 0, INT64_MAX, &size)) return false;
    if (size != (same_fields ? pairs + 3 : pairs * 2 + 4)) return false;
    if (flags & FLAG_DELETED) return n->deleted-- > 0;
    struct stream_id id = {n->master.ms + (uint64_t)ms, n->master.seq + (uint64_t)seq};
    if (stream_id_cmp(id, n->master) < 0 || stream_id_cmp(id, r->last_entry) <= 0) return false;
    if (r->state.length++ == 0) r->state.first = id;
    r->last = r->last_entry = id;
    return n->entries-- > 0;
}

/* The same entries behind the node's id, each as pack_text() has it. */
static void make_leaf(struct buf *out, struct stream_id master, struct slice pack) {
    pack_begin(out);
    buf_reserve(out, pack.len + 64);
    pack_append(out, pack_integer((int64_t)master.ms));
    pack_append(out, pack_integer((int64_t)master.seq));
    for (size_t at = pack_first(pack); at != 0; at = pack_next(pack, at)) {
        struct pack_value v = pack_get(pack, at);
        pack_append(out, v.is_int ? v : pack_text(v.text));
    }
}

static bool take_node(struct reader *r, bool is_first) {
    struct slice text, pack;
    if (!rdb_take_text(&r->texts, &text) || text.len != 16) return false;
    struct node n = {.master = id_of(text.data)};
    if (!is_first && stream_id_cmp(r->last, n.master) >= 0) return false;
    r->last = n.master;
    if (!rdb_take_text(&r->texts, &pack) || pack.len > NODE_BYTES_MAX || !pack_valid(pack, NULL))
        return false;
    make_leaf(&r->pack, n.master, pack);
    n.pack = buf_slice(&r->pack);
    n.at = pack_seek(n.pack, 2);
    if (!take_node_head(&n)) return false;
    int64_t entries = n.entries, deleted = n.deleted;
    while (n.at != 0)
        if (!take_entry(r, &n)) return false;
    if (n.entries != 0 || n.deleted != 0 || entries + deleted == 0) return false;
    if (r->visitor->node)
        r->visitor->node(r->visitor->arg, n.master, n.pack, (uint32_t)entries, (uint32_t)deleted);
    return true;
}

/* --- the state --- */

static bool take_state(struct reader *r) {
    struct stream_state *s = &r->state;
    struct stream_id first;
    uint64_t length;
    if (!rdb_take_len(&r->from, &length) || length != s->length) return false;
    if (!take_id(&r->from, &s->last) || stream_id_cmp(r->last_entry, s->last) > 0) return false;
    s->entries_added = length;
    /* The first id follows from the entries. */
    if (r->type == RDB_STREAM_LISTPACKS_2 &&
        (!take_id(&r->from, &first) || !take_id(&r->from, &s->max_deleted) ||
         !rdb_take_len(&r->from, &s->entries_added)))
        return false;
    if (r->visitor->state) r->visitor->state(r->visitor->arg, s);
    return true;
}

/* --- groups --- */

/* The name, which must sort behind the one before: *before is set to it. */
static bool take_name(struct reader *r, struct buf *before, bool is_first, struct slice *name) {
    if (!rdb_take_text(&r->texts, name)) return false;
    if (!is_first && slice_cmp(buf_slice(before), *name) >= 0) return false;
    buf_clear(before);
    buf_add_slice(before, *name);
    return true;
}

/* How many entries a group has read that has come so far, as Redis works it out for streams of older payloads. */
static int64_t entries_read_until(const struct stream_state *s, struct stream_id id) {
    int to_last = stream_id_cmp(id, s->last);
    if (s->entries_added == 0) return 0;
    if (to_last == 0 || (s->length == 0 && to_last < 0)) return (int64_t)s->entries_added;
    if (to_last > 0) return STREAM_READ_UNKNOWN;
    int to_first = stream_id_cmp(id, s->first);
    if (to_first > 0) return STREAM_READ_UNKNOWN;
    return (int64_t)(s->entries_added - s->length) + (to_first == 0);
}

static bool take_pending(struct reader *r) {
    uint64_t count;
    struct stream_id before = {0};
    if (!rdb_take_len(&r->from, &count)) return false;
    buf_clear(&r->pending);
    for (uint64_t i = 0; i < count; i++) {
        struct pending_entry p = {0};
        uint64_t deliveries;
        if (!take_raw_id(&r->from, &p.id) || !rdb_take_time(&r->from, &p.delivered_ms)) return false;
        if (!rdb_take_len(&r->from, &deliveries) || deliveries > INT64_MAX) return false;
        if (i > 0 && stream_id_cmp(before, p.id) >= 0) return false;
        p.deliveries = (int64_t)deliveries;
        before = p.id;
        buf_add(&r->pending, &p, sizeof p);
    }
    r->pending_count = count;
    return true;
}

static struct pending_entry *find_pending(struct reader *r, struct stream_id id) {
    struct pending_entry *all = (struct pending_entry *)(void *)r->pending.data;
    size_t low = 0, high = r->pending_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = stream_id_cmp(all[mid].id, id);
        if (order == 0) return &all[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Returns how many pending entries are this consumer's, -1 when it is malformed. */
static int64_t take_consumer(struct reader *r, struct buf *before, bool is_first) {
    struct slice name;
    int64_t seen_ms;
    uint64_t count;
    if (!take_name(r, before, is_first, &name)) return -1;
    if (!rdb_take_time(&r->from, &seen_ms) || !rdb_take_len(&r->from, &count)) return -1;
    if (r->visitor->consumer) r->visitor->consumer(r->visitor->arg, name, seen_ms);
    for (uint64_t i = 0; i < count; i++) {
        struct stream_id id;
        if (!take_raw_id(&r->from, &id)) return -1;
        struct pending_entry *p = find_pending(r, id);
        if (p == NULL || p->taken) return -1;
        p->taken = true;
        if (r->visitor->pending) r->visitor->pending(r->visitor->arg, p->id, p->delivered_ms, p->deliveries);
    }
    return (int64_t)count;
}

static bool take_consumers(struct reader *r) {
    uint64_t count, taken = 0;
    struct buf before = {0};
    bool ok = rdb_take_len(&r->from, &count);
    for (uint64_t i = 0; ok && i < count; i++) {
        int64_t n = take_consumer(r, &before, i == 0);
        ok = n >= 0;
        taken += (uint64_t)n;
    }
    buf_free(&before);
    return ok && taken == r->pending_count;
}

static bool take_group(struct reader *r, struct buf *before, bool is_first) {
    struct slice name;
    struct stream_id last;
    uint64_t said;
    if (!take_name(r, before, is_first, &name) || !take_id(&r->from, &last)) return false;
    int64_t entries_read = entries_read_until(&r->state, last);
    if (r->type == RDB_STREAM_LISTPACKS_2) {
        if (!rdb_take_len(&r->from, &said)) return false;
        entries_read = (int64_t)said;
        if (entries_read < STREAM_READ_UNKNOWN) return false;
    }
    if (r->visitor->group) r->visitor->group(r->visitor->arg, buf_slice(before), last, entries_read);
    return take_pending(r) && take_consumers(r);
}

static bool take_groups(struct reader *r) {
    uint64_t count;
    struct buf before = {0};
    bool ok = rdb_take_len(&r->from, &count);
    for (uint64_t i = 0; ok && i < count; i++) ok = take_group(r, &before, i == 0);
    buf_free(&before);
    return ok;
}

static bool take_nodes(struct reader *r) {
    uint64_t nodes;
    if (!rdb_take_len(&r->from, &nodes)) return false;
    for (uint64_t i = 0; i < nodes; i++)
        if (!take_node(r, i == 0)) return false;
    return true;
}

bool rdb_stream_read(struct slice body, enum rdb_type type, const struct rdb_stream_visitor *visitor) {
    struct reader r = {.from = body, .type = type, .visitor = visitor};
    r.texts = (struct rdb_texts){.from = &r.from, .len_max = STRING_LEN_MAX};
    bool ok = take_nodes(&r) && take_state(&r) && take_groups(&r);
    buf_free(&r.texts.store);
    buf_free(&r.pack);
    buf_free(&r.pending);
    return ok;
}
