/* XINFO: a stream, its groups and their consumers, as they are. */
#include "cmd_stream.h"
#include "handlers.h"

static void field_int(struct reply *r, const char *name, uint64_t v) {
    reply_bulk_str(r, name);
    reply_int(r, (int64_t)v);
}

static void field_id(struct reply *r, const char *name, struct stream_id id) {
    reply_bulk_str(r, name);
    reply_stream_id(r, id);
}

/* The stream; NULL after answering. */
static struct object *find(struct cmd_ctx *c) {
    struct object *o;
    if (!cmd_stream_read(c, c->argv[2], &o)) return NULL;
    if (o == NULL) reply_error(c->reply, ERR_NO_SUCH_KEY);
    return o;
}

static int64_t idle_ms(const struct cmd_ctx *c, int64_t since_ms) {
    return c->now_ms > since_ms ? c->now_ms - since_ms : 0;
}

/* What the group has read, and how many entries it is behind; null where that cannot be told. */
static void reply_progress(struct reply *r, const struct stream_state *s, const struct stream_group *g) {
    int64_t read = g->entries_read;
    reply_bulk_str(r, "entries-read");
    if (read == STREAM_READ_UNKNOWN) {
        reply_null(r);
    } else {
        reply_int(r, read);
    }
    if (read == STREAM_READ_UNKNOWN || stream_has_tombstones_from(s, g->last)) {
        read = stream_entries_read_at(s, g->last);
    }
    reply_bulk_str(r, "lag");
    if (s->entries_added == 0) {
        reply_int(r, 0);
    } else if (read == STREAM_READ_UNKNOWN) {
        reply_null(r);
    } else {
        reply_int(r, (int64_t)(s->entries_added - (uint64_t)read));
    }
}

/* --- STREAM --- */

struct info_options {
    bool full;
    int64_t count; /* of entries, and of what is pending; 0: all */
};

static bool parse_info(struct cmd_ctx *c, struct info_options *o) {
    enum { COUNT_DEFAULT = 10 };
    o->count = COUNT_DEFAULT;
    o->full = c->argc > 3;
    bool fits = c->argc == 3 || ((c->argc == 4 || c->argc == 6) && slice_is(c->argv[3], "full") &&
                                 (c->argc == 4 || slice_is(c->argv[4], "count")));
    if (!fits) {
        cmd_stream_bad_subcommand(c);
        return false;
    }
    if (c->argc == 6 && !cmd_arg_i64(c, c->argv[5], &o->count, NULL)) return false;
    if (o->count < 0) o->count = COUNT_DEFAULT;
    return true;
}

/* `owner`: one consumer's; NULL: all of the group's, with the names of whose they are. */
static void reply_pending(struct reply *r, const struct stream_group *g, const struct stream_consumer *owner,
                          int64_t count) {
    struct stream_pending p = {.id = {0, 0}};
    size_t mark = reply_defer(r);
    int64_t sent = 0;
    bool more = true;
    while (more && (count == 0 || sent < count) && stream_pending_find(g, owner, p.id, &p)) {
        reply_array(r, owner ? 3 : 4);
        reply_stream_id(r, p.id);
        if (owner == NULL) reply_bulk(r, stream_consumer_name(p.consumer));
        reply_int(r, p.delivered_ms);
        reply_int(r, p.deliveries);
        sent++;
        more = stream_id_next(&p.id);
    }
    reply_close_array(r, mark, (size_t)sent);
}

static void reply_consumer_in_full(struct reply *r, const struct stream_group *g,
                                   const struct stream_consumer *consumer, int64_t count) {
    reply_map(r, 4);
    reply_bulk_str(r, "name");
    reply_bulk(r, stream_consumer_name(consumer));
    field_int(r, "seen-time", (uint64_t)consumer->seen_ms);
    field_int(r, "pel-count", stream_consumer_pending_count(consumer));
    reply_bulk_str(r, "pending");
    reply_pending(r, g, consumer, count);
}

static void reply_group_in_full(struct reply *r, const struct stream_state *s, const struct stream_group *g,
                                int64_t count) {
    reply_map(r, 7);
    reply_bulk_str(r, "name");
    reply_bulk(r, stream_group_name(g));
    field_id(r, "last-delivered-id", g->last);
    reply_progress(r, s, g);
    field_int(r, "pel-count", stream_pending_count(g));
    reply_bulk_str(r, "pending");
    reply_pending(r, g, NULL, count);
    reply_bulk_str(r, "consumers");
    reply_array(r, g->consumer_count);
    for (size_t i = 0; i < g->consumer_count; i++) reply_consumer_in_full(r, g, g->consumers[i], count);
}

static void reply_edge(struct reply *r, const struct object *o, const char *name, bool last) {
    struct stream_cursor cur;
    struct stream_entry e;
    reply_bulk_str(r, name);
    stream_seek(&cur, o, (struct stream_id){0, 0}, STREAM_ID_MAX, last);
    if (stream_next(&cur, &e)) {
        reply_stream_entry(r, &e);
    } else {
        reply_null(r);
    }
}

void cmd_xinfo_stream(struct cmd_ctx *c) {
    struct object *o = find(c);
    struct info_options options;
    if (o == NULL || !parse_info(c, &options)) return;
    const struct stream_state *s = stream_state(o);
    struct reply *r = c->reply;
    reply_map(r, options.full ? 9 : 10);
    field_int(r, "length", s->length);
    field_int(r, "radix-tree-keys", stream_nodes(o));
    field_int(r, "radix-tree-nodes", stream_radix_nodes(o));
    field_id(r, "last-generated-id", s->last);
    field_id(r, "max-deleted-entry-id", s->max_deleted);
    field_int(r, "entries-added", s->entries_added);
    field_id(r, "recorded-first-entry-id", s->first);
    if (!options.full) {
        field_int(r, "groups", stream_group_count(o));
        reply_edge(r, o, "first-entry", false);
        reply_edge(r, o, "last-entry", true);
        return;
    }
    reply_bulk_str(r, "entries");
    reply_stream_range(r, o, (struct stream_id){0, 0}, STREAM_ID_MAX, (uint64_t)options.count, false);
    reply_bulk_str(r, "groups");
    reply_array(r, stream_group_count(o));
    for (size_t i = 0; i < stream_group_count(o); i++) {
        reply_group_in_full(r, s, stream_group_at(o, i), options.count);
    }
}

/* --- GROUPS, CONSUMERS --- */

void cmd_xinfo_groups(struct cmd_ctx *c) {
    const struct object *o = find(c);
    if (o == NULL) return;
    reply_array(c->reply, stream_group_count(o));
    for (size_t i = 0; i < stream_group_count(o); i++) {
        const struct stream_group *g = stream_group_at(o, i);
        reply_map(c->reply, 6);
        reply_bulk_str(c->reply, "name");
        reply_bulk(c->reply, stream_group_name(g));
        field_int(c->reply, "consumers", g->consumer_count);
        field_int(c->reply, "pending", stream_pending_count(g));
        field_id(c->reply, "last-delivered-id", g->last);
        reply_progress(c->reply, stream_state(o), g);
    }
}

void cmd_xinfo_consumers(struct cmd_ctx *c) {
    const struct object *o = find(c);
    if (o == NULL) return;
    const struct stream_group *g = stream_group_find(o, c->argv[3]);
    if (g == NULL) {
        reply_errorf(c->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                     (int)c->argv[3].len, c->argv[3].data, (int)c->argv[2].len, c->argv[2].data);
        return;
    }
    reply_array(c->reply, g->consumer_count);
    for (size_t i = 0; i < g->consumer_count; i++) {
        const struct stream_consumer *consumer = g->consumers[i];
        reply_map(c->reply, 3);
        reply_bulk_str(c->reply, "name");
        reply_bulk(c->reply, stream_consumer_name(consumer));
        field_int(c->reply, "pending", stream_consumer_pending_count(consumer));
        field_int(c->reply, "idle", (uint64_t)idle_ms(c, consumer->seen_ms));
    }
}
