/* XREAD and XREADGROUP: what is new in several streams, for whoever asks, or for one consumer of a group. Both may wait. */
#include "cmd_block.h"
#include "cmd_nothing.h"
#include "cmd_stream.h"
#include "handlers.h"

#include <inttypes.h>
#include <stdio.h>

/* Who has waited gets so many at most when he did not say. */
enum { SERVED_COUNT_DEFAULT = 1000 };

struct stream_read {
    bool for_group;
    struct slice group, consumer;
    bool no_ack;
    int64_t count;      /* 0: all */
    int64_t timeout_ms; /* -1: does not wait */
    int first_key, key_count;
};

/* What is asked of one stream. */
struct stream_want {
    struct slice key;
    int id_at;              /* in argv */
    struct object *o;       /* NULL: there is none */
    struct stream_group *g; /* when reading for one */
    struct stream_id after;
    bool is_new; /* ">": behind what the group has delivered */
};

/* --- options --- */

static bool refuse(struct cmd_ctx *c, const char *error) {
    reply_error(c->reply, error);
    return false;
}

static bool parse_streams(struct cmd_ctx *c, int at, struct stream_read *r) {
    r->first_key = at;
    r->key_count = (c->argc - at) / 2;
    if ((c->argc - at) % 2 == 0) return true;
    return refuse(
        c, "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.");
}

static bool parse_timeout(struct cmd_ctx *c, struct slice arg, struct stream_read *r) {
    if (!cmd_arg_i64(c, arg, &r->timeout_ms, "ERR timeout is not an integer or out of range")) return false;
    return r->timeout_ms >= 0 || refuse(c, "ERR timeout is negative");
}

static bool parse_read(struct cmd_ctx *c, struct stream_read *r) {
    for (int i = 1; i < c->argc && r->first_key == 0; i++) {
        struct slice word = c->argv[i];
        int more = c->argc - i - 1;
        if (more > 0 && slice_is(word, "block")) {
            if (c->in_script) {
                reply_errorf(c->reply, "ERR %.*s command is not allowed with BLOCK option from scripts",
                             cmd_quoted(c->argv[0]), c->argv[0].data);
                return false;
            }
            if (!parse_timeout(c, c->argv[++i], r)) return false;
        } else if (more > 0 && slice_is(word, "count")) {
            if (!cmd_arg_i64(c, c->argv[++i], &r->count, NULL)) return false;
            if (r->count < 0) r->count = 0;
        } else if (more > 0 && slice_is(word, "streams")) {
            if (!parse_streams(c, i + 1, r)) return false;
        } else if (more > 1 && slice_is(word, "group")) {
            if (!r->for_group)
                return refuse(c, "ERR The GROUP option is only supported by XREADGROUP. "
                                 "You called XREAD instead.");
            r->group = c->argv[++i];
            r->consumer = c->argv[++i];
        } else if (slice_is(word, "noack")) {
            if (!r->for_group)
                return refuse(c, "ERR The NOACK option is only supported by XREADGROUP. "
                                 "You called XREAD instead.");
            r->no_ack = true;
        } else {
            return refuse(c, ERR_SYNTAX);
        }
    }
    if (r->first_key == 0) return refuse(c, ERR_SYNTAX);
    if (r->for_group && r->group.data == NULL) return refuse(c, "ERR Missing GROUP option for XREADGROUP");
    return true;
}

static bool find_group(struct cmd_ctx *c, const struct stream_read *r, struct stream_want *w) {
    w->g = w->o ? stream_group_find(w->o, r->group) : NULL;
    if (w->g != NULL) return true;
    if (c->is_served)
        return refuse(c, "NOGROUP the consumer group this client was blocked on no longer exists");
    reply_errorf(c->reply,
                 "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with GROUP option",
                 (int)w->key.len, w->key.data, (int)r->group.len, r->group.data);
    return false;
}

static bool parse_after(struct cmd_ctx *c, const struct stream_read *r, struct stream_want *w) {
    struct slice arg = c->argv[w->id_at];
    if (slice_eq(arg, SLICE("$"))) {
        if (r->for_group)
            return refuse(c, "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the "
                             "history of this consumer by specifying a proper ID, or use the > ID to get new "
                             "messages. The $ ID would just return an empty result set.");
        if (w->o != NULL) w->after = stream_state(w->o)->last;
        return true;
    }
    w->is_new = slice_eq(arg, SLICE(">"));
    if (w->is_new)
        return r->for_group ||
               refuse(c, "ERR The > ID can be specified only when calling XREADGROUP using the "
                         "GROUP <group> <consumer> option.");
    if (!cmd_stream_id(c, arg, 0, &w->after)) return false;
    /* The highest id says in Redis what ">" says. */
    w->is_new = r->for_group && stream_id_cmp(w->after, STREAM_ID_MAX) == 0;
    return true;
}

/* --- delivering --- */

/* The group has come to this entry. */
static void advance(struct cmd_ctx *c, struct stream_want *w, struct stream_id id) {
    const struct stream_state *s = stream_state(w->o);
    int64_t read = w->g->entries_read;
    if (read != STREAM_READ_UNKNOWN && !stream_has_tombstones_from(s, id)) {
        read++;
    } else if (s->entries_added > 0) {
        read = stream_entries_read_at(s, id);
    }
    stream_group_set(c->ks, c->db, w->o, w->g, id, read);
}

static void deliver_new(struct cmd_ctx *c, const struct stream_read *r, struct stream_want *w,
                        struct stream_consumer *consumer, struct stream_id from) {
    struct stream_cursor cur;
    struct stream_entry e;
    size_t mark = reply_defer(c->reply);
    int64_t sent = 0;
    stream_seek(&cur, w->o, from, STREAM_ID_MAX, false);
    while ((r->count == 0 || sent < r->count) && stream_next(&cur, &e)) {
        struct stream_pending p = {
            .id = e.id, .consumer = consumer, .delivered_ms = c->now_ms, .deliveries = 1};
        if (stream_id_cmp(e.id, w->g->last) > 0) advance(c, w, e.id);
        reply_stream_entry(c->reply, &e);
        if (!r->no_ack) stream_pending_put(c->ks, c->db, w->o, w->g, &p);
        sent++;
    }
    reply_close_array(c->reply, mark, (size_t)sent);
}

/* What the consumer has got already and not acknowledged. */
static void deliver_again(struct cmd_ctx *c, const struct stream_read *r, struct stream_want *w,
                          struct stream_consumer *consumer, struct stream_id from) {
    struct stream_pending p;
    size_t mark = reply_defer(c->reply);
    int64_t sent = 0;
    while ((r->count == 0 || sent < r->count) && stream_pending_find(w->g, consumer, from, &p)) {
        if (reply_stream_entry_of(c->reply, w->o, p.id)) {
            p.delivered_ms = c->now_ms;
            p.deliveries++;
            stream_pending_put(c->ks, c->db, w->o, w->g, &p);
        } else {
            reply_array(c->reply, 2);
            reply_stream_id(c->reply, p.id);
            reply_null_array(c->reply);
        }
        sent++;
        from = p.id;
        if (!stream_id_next(&from)) break;
    }
    reply_close_array(c->reply, mark, (size_t)sent);
}

/* Whether there is anything for him. */
static bool has_something(const struct stream_read *r, const struct stream_want *w) {
    if (w->o == NULL) return false;
    if (r->for_group && !w->is_new) return true;
    if (stream_state(w->o)->length == 0) return false;
    return stream_id_cmp(stream_last_entry(w->o), r->for_group ? w->g->last : w->after) > 0;
}

static void deliver(struct cmd_ctx *c, const struct stream_read *r, struct stream_want *w) {
    struct stream_id from = w->is_new ? w->g->last : w->after;
    bool any = stream_id_next(&from);
    if (c->reply->resp == 2) reply_array(c->reply, 2);
    reply_bulk(c->reply, w->key);
    if (!r->for_group) {
        CHECK(any); /* an entry has an id behind it */
        reply_stream_range(c->reply, w->o, from, STREAM_ID_MAX, (uint64_t)r->count, false);
        return;
    }
    struct stream_consumer *consumer = stream_consumer_find(w->g, r->consumer);
    if (consumer == NULL) {
        consumer = cmd_stream_new_consumer(c, w->key, w->o, w->g, r->consumer);
    } else {
        stream_consumer_seen(c->ks, c->db, w->o, consumer, c->now_ms);
    }
    if (w->is_new) {
        deliver_new(c, r, w, consumer, from);
    } else {
        deliver_again(c, r, w, consumer, from);
    }
}

/* --- the commands --- */

/* For the one key that he was waiting for. False: not now, he waits on; or it was answered with an error. */
static bool find_served(struct cmd_ctx *c, const struct stream_read *r, struct stream_want *w,
                        bool *waits_on) {
    *waits_on = false;
    w->o = r->for_group ? cmd_write(c, w->key) : ks_peek(c->ks, c->db, w->key, c->now_ms);
    if (w->o != NULL && w->o->type != OBJECT_STREAM) w->o = NULL;
    if (w->o != NULL) return !r->for_group || find_group(c, r, w);
    *waits_on = !r->for_group;
    if (*waits_on) return false;
    return refuse(c, "UNBLOCKED the stream key no longer exists");
}

static bool find(struct cmd_ctx *c, const struct stream_read *r, struct stream_want *w) {
    if (!(r->for_group ? cmd_stream_consult : cmd_stream_read)(c, w->key, &w->o)) return false;
    return !r->for_group || find_group(c, r, w);
}

/* Looks at what is asked of each stream; false after answering. Of a command that has waited, only the key it is served from counts. */
static bool look(struct cmd_ctx *c, const struct stream_read *r, struct stream_want *wants) {
    for (int i = 0; i < r->key_count; i++) {
        struct stream_want *w = &wants[i];
        bool waits_on = false;
        *w = (struct stream_want){.key = c->argv[r->first_key + i], .id_at = r->first_key + r->key_count + i};
        if (c->is_served && !slice_eq(w->key, c->served_key)) continue;
        if (!(c->is_served ? find_served(c, r, w, &waits_on) : find(c, r, w)) && !waits_on) return false;
        if (!parse_after(c, r, w)) return false;
    }
    return true;
}

static bool wait_for_more(struct cmd_ctx *c, const struct stream_read *r, const struct stream_want *wants) {
    char text[2 * 20 + 2];
    for (int i = 0; i < r->key_count; i++) {
        if (!slice_eq(c->argv[wants[i].id_at], SLICE("$"))) continue;
        int len = snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, wants[i].after.ms, wants[i].after.seq);
        cmd_block_rewrite(c, wants[i].id_at, slice_make(text, (size_t)len));
    }
    return cmd_block(c, OBJECT_STREAM, r->first_key, r->key_count, r->timeout_ms);
}

static void read_streams(struct cmd_ctx *c, bool for_group) {
    struct stream_read r = {.for_group = for_group, .timeout_ms = -1};
    if (!parse_read(c, &r)) return;
    if (c->is_served && r.count == 0) r.count = SERVED_COUNT_DEFAULT;
    struct stream_want *wants = arena_alloc(c->arena, (size_t)r.key_count * sizeof *wants);
    if (!look(c, &r, wants)) return;
    size_t mark = 0, served = 0;
    for (int i = 0; i < r.key_count; i++) {
        /* Redis looks for each once more, and may miss it again. */
        if (wants[i].o == NULL && !c->is_served) (void)cmd_read(c, wants[i].key);
        if (!has_something(&r, &wants[i])) continue;
        if (served++ == 0) mark = reply_defer(c->reply);
        deliver(c, &r, &wants[i]);
    }
    if (served == 0) {
        if (r.timeout_ms < 0 || !wait_for_more(c, &r, wants)) reply_null_array(c->reply);
    } else if (c->reply->resp == 2) {
        reply_close_array(c->reply, mark, served);
    } else {
        reply_close_map(c->reply, mark, served);
    }
}

void cmd_xread(struct cmd_ctx *c) {
    read_streams(c, false);
}

void cmd_xreadgroup(struct cmd_ctx *c) {
    read_streams(c, true);
}

/* --- what changes nothing --- */

/* One that expires is another matter: reading it deletes it. */
static bool has_nothing_new(struct keyspace *ks, int db, struct slice key, struct slice group) {
    struct object *o = ks_peek(ks, db, key, INT64_MIN);
    if (o == NULL || o->type != OBJECT_STREAM || object_deadline(o) >= 0) return false;
    struct stream_read r = {.for_group = true};
    struct stream_want w = {.o = o, .g = stream_group_find(o, group), .is_new = true};
    return w.g != NULL && !has_something(&r, &w);
}

/* XREADGROUP is a write that finds nothing new most of the time, where consumers ask. */
bool cmd_group_read_finds_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv) {
    struct reply nowhere;
    reply_init(&nowhere, NULL, 2);
    struct cmd_ctx c = {.ks = ks, .db = db, .argc = argc, .argv = argv, .reply = &nowhere};
    struct stream_read r = {.for_group = true, .timeout_ms = -1};
    if (!parse_read(&c, &r)) return false;
    for (int i = r.first_key; i < r.first_key + r.key_count; i++) {
        if (!slice_eq(argv[i + r.key_count], SLICE(">")) || !has_nothing_new(ks, db, argv[i], r.group))
            return false;
    }
    return true;
}
