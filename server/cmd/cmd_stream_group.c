/* Groups of a stream's readers: XGROUP, and what becomes of entries that were delivered: XACK, XPENDING, XCLAIM, XAUTOCLAIM. Reading for
 * a group is in cmd_stream_read.c. */
#include "cmd_stream.h"
#include "events.h"
#include "handlers.h"

/* --- XGROUP --- */

struct group_target {
    struct object *o; /* NULL: there is no stream, and one may be made */
    struct stream_group *g;
    bool make_stream;
    int64_t entries_read;
};

static bool parse_group_options(struct cmd_ctx *c, bool is_create, struct group_target *t) {
    t->entries_read = STREAM_READ_UNKNOWN;
    for (int i = 5; i < c->argc; i++) {
        if (is_create && slice_is(c->argv[i], "mkstream")) {
            t->make_stream = true;
        } else if (i + 1 < c->argc && slice_is(c->argv[i], "entriesread")) {
            if (!cmd_arg_i64(c, c->argv[++i], &t->entries_read, NULL)) return false;
            if (t->entries_read >= 0 || t->entries_read == STREAM_READ_UNKNOWN) continue;
            reply_error(c->reply, "ERR value for ENTRIESREAD must be positive or -1");
            return false;
        } else {
            cmd_stream_bad_subcommand(c);
            return false;
        }
    }
    return true;
}

/* The stream and the group that a subcommand is about; false after answering. */
static bool find_target(struct cmd_ctx *c, bool needs_group, struct group_target *t) {
    if (!cmd_stream_write(c, c->argv[2], &t->o)) return false;
    if (t->o == NULL && !t->make_stream) {
        reply_error(c->reply,
                    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want "
                    "to use the MKSTREAM option to create an empty stream automatically.");
        return false;
    }
    t->g = t->o ? stream_group_find(t->o, c->argv[3]) : NULL;
    if (t->g != NULL || !needs_group) return true;
    reply_errorf(c->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'", (int)c->argv[3].len,
                 c->argv[3].data, (int)c->argv[2].len, c->argv[2].data);
    return false;
}

static void tell(struct cmd_ctx *c, const char *event) {
    cmd_event(c, EVENT_STREAM, event, c->argv[2]);
}

static struct stream_id last_of(const struct object *o) {
    return o ? stream_state(o)->last : (struct stream_id){0, 0};
}

void cmd_xgroup_create(struct cmd_ctx *c) {
    struct group_target t = {.o = NULL};
    struct stream_id id;
    if (!parse_group_options(c, true, &t) || !find_target(c, false, &t)) return;
    if (slice_eq(c->argv[4], SLICE("$"))) {
        id = last_of(t.o);
    } else if (!cmd_stream_id(c, c->argv[4], 0, &id)) {
        return;
    }
    if (t.g != NULL) {
        reply_error(c->reply, "BUSYGROUP Consumer Group name already exists");
        return;
    }
    if (t.o == NULL) t.o = stream_create(c->ks, c->db, c->argv[2]);
    stream_group_create(c->ks, c->db, t.o, c->argv[3], id, t.entries_read);
    tell(c, "xgroup-create");
    reply_ok(c->reply);
}

void cmd_xgroup_setid(struct cmd_ctx *c) {
    struct group_target t = {.o = NULL};
    struct stream_id id;
    if (!parse_group_options(c, false, &t) || !find_target(c, true, &t)) return;
    if (slice_eq(c->argv[4], SLICE("$"))) {
        id = last_of(t.o);
    } else if (!stream_id_parse(c->argv[4], 0, false, &id, NULL)) {
        reply_error(c->reply, ERR_STREAM_ID);
        return;
    }
    stream_group_set(c->ks, c->db, t.o, t.g, id, t.entries_read);
    tell(c, "xgroup-setid");
    reply_ok(c->reply);
}

void cmd_xgroup_destroy(struct cmd_ctx *c) {
    struct group_target t = {.o = NULL};
    if (!find_target(c, false, &t)) return;
    reply_int(c->reply, t.g != NULL);
    if (t.g == NULL) return;
    stream_group_destroy(c->ks, c->db, t.o, t.g);
    tell(c, "xgroup-destroy");
    ks_signal(c->ks, c->db, c->argv[2]); /* who waits for the group must hear of it */
}

void cmd_xgroup_createconsumer(struct cmd_ctx *c) {
    struct group_target t = {.o = NULL};
    if (!find_target(c, true, &t)) return;
    bool is_new = stream_consumer_find(t.g, c->argv[4]) == NULL;
    if (is_new) (void)cmd_stream_new_consumer(c, c->argv[2], t.o, t.g, c->argv[4]);
    reply_int(c->reply, is_new);
}

void cmd_xgroup_delconsumer(struct cmd_ctx *c) {
    struct group_target t = {.o = NULL};
    if (!find_target(c, true, &t)) return;
    struct stream_consumer *consumer = stream_consumer_find(t.g, c->argv[4]);
    reply_int(c->reply, consumer ? (int64_t)stream_consumer_pending_count(consumer) : 0);
    if (consumer == NULL) return;
    stream_consumer_delete(c->ks, c->db, t.o, t.g, consumer);
    tell(c, "xgroup-delconsumer");
}

/* --- XACK --- */

void cmd_xack(struct cmd_ctx *c) {
    struct object *o;
    struct stream_id id;
    if (!cmd_stream_consult(c, c->argv[1], &o)) return;
    struct stream_group *g = o ? stream_group_find(o, c->argv[2]) : NULL;
    if (g == NULL) {
        reply_int(c->reply, 0);
        return;
    }
    for (int i = 3; i < c->argc; i++) {
        if (!cmd_stream_id(c, c->argv[i], 0, &id)) return;
    }
    int64_t acknowledged = 0;
    for (int i = 3; i < c->argc; i++) {
        (void)stream_id_parse(c->argv[i], 0, true, &id, NULL);
        acknowledged += stream_pending_remove(c->ks, c->db, o, g, id);
    }
    reply_int(c->reply, acknowledged);
}

/* --- XPENDING --- */

static bool no_group(struct cmd_ctx *c) {
    reply_errorf(c->reply, "NOGROUP No such key '%.*s' or consumer group '%.*s'", (int)c->argv[1].len,
                 c->argv[1].data, (int)c->argv[2].len, c->argv[2].data);
    return false;
}

static int64_t idle_ms(const struct cmd_ctx *c, int64_t since_ms) {
    return c->now_ms > since_ms ? c->now_ms - since_ms : 0;
}

static void pending_summary(struct cmd_ctx *c, const struct stream_group *g) {
    struct stream_pending p;
    reply_array(c->reply, 4);
    reply_int(c->reply, (int64_t)stream_pending_count(g));
    if (!stream_pending_find(g, NULL, (struct stream_id){0, 0}, &p)) {
        reply_null(c->reply);
        reply_null(c->reply);
        reply_null_array(c->reply);
        return;
    }
    reply_stream_id(c->reply, p.id);
    (void)stream_pending_last(g, &p);
    reply_stream_id(c->reply, p.id);
    size_t mark = reply_defer(c->reply), n = 0;
    for (size_t i = 0; i < g->consumer_count; i++) {
        uint64_t count = stream_consumer_pending_count(g->consumers[i]);
        if (count == 0) continue;
        reply_array(c->reply, 2);
        reply_bulk(c->reply, stream_consumer_name(g->consumers[i]));
        reply_bulk_int(c->reply, (int64_t)count);
        n++;
    }
    reply_close_array(c->reply, mark, n);
}

struct pending_range {
    struct stream_id from, to;
    int64_t count, idle_ms_min;
    struct slice consumer; /* data NULL: of any */
};

static bool parse_pending(struct cmd_ctx *c, struct pending_range *r) {
    int at = 3;
    if (c->argc < 6 || c->argc > 9) {
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    if (slice_is(c->argv[at], "idle")) {
        if (!cmd_arg_i64(c, c->argv[at + 1], &r->idle_ms_min, NULL)) return false;
        if (c->argc < 8) {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
        at += 2;
    }
    if (!cmd_arg_i64(c, c->argv[at + 2], &r->count, NULL)) return false;
    if (!cmd_stream_start(c, c->argv[at], &r->from) || !cmd_stream_end(c, c->argv[at + 1], &r->to))
        return false;
    if (c->argc > at + 3) r->consumer = c->argv[at + 3];
    return true;
}

static void pending_entries(struct cmd_ctx *c, const struct stream_group *g, const struct pending_range *r) {
    const struct stream_consumer *consumer = NULL;
    if (r->consumer.data != NULL && (consumer = stream_consumer_find(g, r->consumer)) == NULL) {
        reply_array(c->reply, 0);
        return;
    }
    struct stream_pending p = {.id = r->from};
    size_t mark = reply_defer(c->reply);
    int64_t sent = 0;
    bool more = true;
    while (more && sent < r->count && stream_pending_find(g, consumer, p.id, &p)) {
        if (stream_id_cmp(p.id, r->to) > 0) break;
        if (r->idle_ms_min == 0 || c->now_ms - p.delivered_ms >= r->idle_ms_min) {
            reply_array(c->reply, 4);
            reply_stream_id(c->reply, p.id);
            reply_bulk(c->reply, stream_consumer_name(p.consumer));
            reply_int(c->reply, idle_ms(c, p.delivered_ms));
            reply_int(c->reply, p.deliveries);
            sent++;
        }
        more = stream_id_next(&p.id);
    }
    reply_close_array(c->reply, mark, (size_t)sent);
}

void cmd_xpending(struct cmd_ctx *c) {
    struct pending_range r = {.count = 0};
    bool summary = c->argc == 3;
    if (!summary && !parse_pending(c, &r)) return;
    struct object *o;
    if (!cmd_stream_read(c, c->argv[1], &o)) return;
    const struct stream_group *g = o ? stream_group_find(o, c->argv[2]) : NULL;
    if (g == NULL) {
        (void)no_group(c);
    } else if (summary) {
        pending_summary(c, g);
    } else {
        pending_entries(c, g, &r);
    }
}

/* --- XCLAIM and XAUTOCLAIM --- */

struct claim {
    struct object *o;
    struct stream_group *g;
    struct stream_consumer *consumer;              /* NULL: not looked for yet */
    int64_t idle_ms_min, delivered_ms, deliveries; /* deliveries -1: one more */
    bool force, just_ids;
};

/* Only who gets something comes into being by that. */
static struct stream_consumer *claimer(struct cmd_ctx *c, struct claim *claim) {
    if (claim->consumer != NULL) return claim->consumer;
    claim->consumer = stream_consumer_find(claim->g, c->argv[3]);
    if (claim->consumer == NULL) {
        claim->consumer = cmd_stream_new_consumer(c, c->argv[1], claim->o, claim->g, c->argv[3]);
    } else {
        stream_consumer_seen(c->ks, c->db, claim->o, claim->consumer, c->now_ms);
    }
    return claim->consumer;
}

static bool is_too_fresh(const struct cmd_ctx *c, const struct claim *claim, const struct stream_pending *p) {
    return claim->idle_ms_min > 0 && c->now_ms - p->delivered_ms < claim->idle_ms_min;
}

/* The entry is there and changes hands. */
static void take(struct cmd_ctx *c, struct claim *claim, struct stream_pending *p) {
    p->consumer = claimer(c, claim);
    p->delivered_ms = claim->delivered_ms;
    if (claim->deliveries >= 0) {
        p->deliveries = claim->deliveries;
    } else if (!claim->just_ids) {
        p->deliveries++;
    }
    stream_pending_put(c->ks, c->db, claim->o, claim->g, p);
}

static void reply_claimed(struct cmd_ctx *c, const struct claim *claim, struct stream_id id) {
    if (claim->just_ids) {
        reply_stream_id(c->reply, id);
    } else {
        CHECK(reply_stream_entry_of(c->reply, claim->o, id));
    }
}

/* Answers with the entry, when the claim is good; returns whether it was. */
static bool claim_one(struct cmd_ctx *c, struct claim *claim, struct stream_id id) {
    struct stream_pending p = {.id = id, .deliveries = 1};
    if (!stream_has(claim->o, id)) {
        (void)stream_pending_remove(c->ks, c->db, claim->o, claim->g, id);
        return false;
    }
    if (stream_pending_get(claim->g, id, &p)) {
        if (is_too_fresh(c, claim, &p)) return false;
    } else if (!claim->force) {
        return false;
    }
    take(c, claim, &p);
    reply_claimed(c, claim, id);
    return true;
}

/* The words behind the ids. */
static bool parse_claim_options(struct cmd_ctx *c, int i, struct claim *claim, struct stream_id *last) {
    int64_t at_ms = -1;
    for (; i < c->argc; i++) {
        struct slice word = c->argv[i];
        bool more = i + 1 < c->argc;
        if (slice_is(word, "force")) {
            claim->force = true;
        } else if (slice_is(word, "justid")) {
            claim->just_ids = true;
        } else if (more && slice_is(word, "idle")) {
            if (!cmd_arg_i64(c, c->argv[++i], &at_ms, "ERR Invalid IDLE option argument for XCLAIM"))
                return false;
            at_ms = (int64_t)((uint64_t)c->now_ms - (uint64_t)at_ms);
        } else if (more && slice_is(word, "time")) {
            if (!cmd_arg_i64(c, c->argv[++i], &at_ms, "ERR Invalid TIME option argument for XCLAIM"))
                return false;
        } else if (more && slice_is(word, "retrycount")) {
            if (!cmd_arg_i64(c, c->argv[++i], &claim->deliveries,
                             "ERR Invalid RETRYCOUNT option argument for XCLAIM"))
                return false;
        } else if (more && slice_is(word, "lastid")) {
            if (!cmd_stream_id(c, c->argv[++i], 0, last)) return false;
        } else {
            reply_errorf(c->reply, "ERR Unrecognized XCLAIM option '%.*s'", (int)word.len, word.data);
            return false;
        }
    }
    /* A time that cannot be is not refused: clients reckon it with clocks of their own. */
    claim->delivered_ms = at_ms < 0 || at_ms > c->now_ms ? c->now_ms : at_ms;
    return true;
}

static bool find_claimed(struct cmd_ctx *c, struct claim *claim) {
    if (!cmd_is_type(c, claim->o, OBJECT_STREAM)) return false;
    claim->g = claim->o ? stream_group_find(claim->o, c->argv[2]) : NULL;
    return claim->g != NULL || no_group(c);
}

static bool parse_idle_min(struct cmd_ctx *c, struct claim *claim, const char *error) {
    if (!cmd_arg_i64(c, c->argv[4], &claim->idle_ms_min, error)) return false;
    if (claim->idle_ms_min < 0) claim->idle_ms_min = 0;
    return true;
}

void cmd_xclaim(struct cmd_ctx *c) {
    struct claim claim = {.o = cmd_consult(c, c->argv[1]), .deliveries = -1};
    struct stream_id id, last = {0, 0};
    if (!find_claimed(c, &claim)) return;
    if (!parse_idle_min(c, &claim, "ERR Invalid min-idle-time argument for XCLAIM")) return;
    int end = 5;
    while (end < c->argc && stream_id_parse(c->argv[end], 0, true, &id, NULL)) end++;
    if (!parse_claim_options(c, end, &claim, &last)) return;
    if (stream_id_cmp(last, claim.g->last) > 0) {
        stream_group_set(c->ks, c->db, claim.o, claim.g, last, claim.g->entries_read);
    }
    size_t mark = reply_defer(c->reply), claimed = 0;
    for (int i = 5; i < end; i++) {
        (void)stream_id_parse(c->argv[i], 0, true, &id, NULL);
        claimed += claim_one(c, &claim, id);
    }
    reply_close_array(c->reply, mark, claimed);
}

struct autoclaim {
    struct stream_id from;
    int64_t count;
    struct buf taken, gone; /* struct stream_id */
};

static bool parse_autoclaim(struct cmd_ctx *c, struct claim *claim, struct autoclaim *a) {
    enum { COUNT_DEFAULT = 100, COUNT_FACTOR = 16 };
    a->count = COUNT_DEFAULT;
    if (!parse_idle_min(c, claim, "ERR Invalid min-idle-time argument for XAUTOCLAIM")) return false;
    if (!cmd_stream_start(c, c->argv[5], &a->from)) return false;
    for (int i = 6; i < c->argc; i++) {
        if (i + 1 < c->argc && slice_is(c->argv[i], "count")) {
            if (!cmd_arg_long_in(c, c->argv[++i], 1, INT64_MAX / COUNT_FACTOR, &a->count,
                                 "ERR COUNT must be > 0"))
                return false;
        } else if (slice_is(c->argv[i], "justid")) {
            claim->just_ids = true;
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    return true;
}

/* Looks at some of what is pending; returns where to go on, 0-0 at the end. */
static struct stream_id claim_idle(struct cmd_ctx *c, struct claim *claim, struct autoclaim *a) {
    enum { LOOKS_FOR_EACH = 10 };
    struct stream_pending p = {.id = a->from};
    int64_t looks = a->count * LOOKS_FOR_EACH, left = a->count;
    bool more = true;
    for (; more && stream_pending_find(claim->g, NULL, p.id, &p); more = stream_id_next(&p.id)) {
        if (looks-- == 0 || left == 0) return p.id;
        if (!stream_has(claim->o, p.id)) {
            (void)stream_pending_remove(c->ks, c->db, claim->o, claim->g, p.id);
            buf_add(&a->gone, &p.id, sizeof p.id);
            left--;
        } else if (!is_too_fresh(c, claim, &p)) {
            take(c, claim, &p);
            buf_add(&a->taken, &p.id, sizeof p.id);
            left--;
        }
    }
    return (struct stream_id){0, 0};
}

static struct stream_id id_of(const struct buf *ids, size_t i) {
    struct stream_id id;
    memcpy(&id, ids->data + i * sizeof id, sizeof id);
    return id;
}

void cmd_xautoclaim(struct cmd_ctx *c) {
    /* The key is missed, if it is, whatever is wrong with the arguments: as in Redis. */
    struct claim claim = {.o = cmd_consult(c, c->argv[1]), .deliveries = -1, .delivered_ms = c->now_ms};
    struct autoclaim a = {.count = 0};
    if (!parse_autoclaim(c, &claim, &a) || !find_claimed(c, &claim)) return;
    struct stream_id next = claim_idle(c, &claim, &a);
    size_t taken = a.taken.len / sizeof next, gone = a.gone.len / sizeof next;
    reply_array(c->reply, 3);
    reply_stream_id(c->reply, next);
    reply_array(c->reply, taken);
    for (size_t i = 0; i < taken; i++) reply_claimed(c, &claim, id_of(&a.taken, i));
    reply_array(c->reply, gone);
    for (size_t i = 0; i < gone; i++) reply_stream_id(c->reply, id_of(&a.gone, i));
    buf_free(&a.taken);
    buf_free(&a.gone);
}
