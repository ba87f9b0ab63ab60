/* What becomes of commands whose words mean something else elsewhere, for the feed (feed.h): each handler below says what its
 * command has done, from what it was told, what it answered, and how its keys are now. */
#include "feed.h"

#include "handlers.h"
#include "num.h"
#include "pack.h"
#include "rdb_object.h"
#include "resp_read.h"
#include "server.h"
#include "type_hash.h"
#include "type_stream.h"

#include <stdio.h>

struct told {
    struct cmd_ctx *c;
    struct resp_value reply; /* type 0: none */
};
typedef void effect_fn(struct told *t);

#define ADD(t, ...)                                                                                          \
    feed_add((t)->c->server, (t)->c->db,                                                                     \
             (int)(sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice)),                            \
             (struct slice[]){__VA_ARGS__})

static struct slice number(struct told *t, int64_t n) {
    char *text = arena_alloc(t->c->arena, NUM_I64_MAX_LEN);
    return slice_make(text, format_i64(text, n));
}

static struct slice key_of(const struct told *t) {
    return t->c->argv[1];
}

static const struct object *there(const struct told *t, struct slice key) {
    return ks_peek(t->c->ks, t->c->db, key, INT64_MIN);
}

/* --- as the key is now --- */

/* Its whole value: right whatever the command was. */
static void add_value(struct told *t, struct slice key) {
    const struct object *o = there(t, key);
    if (o == NULL) {
        ADD(t, SLICE("del"), key);
        return;
    }
    struct buf payload = {0};
    int64_t deadline_ms = object_deadline(o);
    rdb_dump(&payload, t->c->ks, o);
    ADD(t, SLICE("restore"), key, number(t, deadline_ms >= 0 ? deadline_ms : 0), buf_slice(&payload),
        SLICE("REPLACE"), SLICE("ABSTTL"));
    buf_free(&payload);
}

static void value(struct told *t) {
    add_value(t, key_of(t));
}

/* EXPIRE and its kin, GETEX: a deadline that is over deletes. */
static void deadline(struct told *t) {
    const struct object *o = there(t, key_of(t));
    if (o == NULL)
        ADD(t, SLICE("del"), key_of(t));
    else if (object_deadline(o) < 0)
        ADD(t, SLICE("persist"), key_of(t));
    else
        ADD(t, SLICE("pexpireat"), key_of(t), number(t, object_deadline(o)));
}

static void deleted(struct told *t) {
    ADD(t, SLICE("del"), key_of(t));
}

static void add_set(struct told *t, struct slice text) {
    const struct object *o = there(t, key_of(t));
    if (o == NULL)
        ADD(t, SLICE("del"), key_of(t));
    else
        ADD(t, SLICE("set"), key_of(t), text, SLICE("PXAT"), number(t, object_deadline(o)));
}

static void setex(struct told *t) {
    add_set(t, t->c->argv[3]);
}

static bool says_deadline(const struct cmd_ctx *c) {
    for (int i = 3; i < c->argc; i++) {
        struct slice word = c->argv[i];
        if (slice_is(word, "ex") || slice_is(word, "px") || slice_is(word, "exat") || slice_is(word, "pxat"))
            return true;
    }
    return false;
}

static void set(struct told *t) {
    if (says_deadline(t->c))
        add_set(t, t->c->argv[2]);
    else
        feed_add(t->c->server, t->c->db, t->c->argc, t->c->argv);
}

static void incrbyfloat(struct told *t) {
    const struct object *o = there(t, key_of(t));
    char scratch[NUM_I64_MAX_LEN];
    CHECK(o != NULL);
    ADD(t, SLICE("set"), key_of(t), string_get(o, scratch), SLICE("KEEPTTL"));
}

static void hincrbyfloat(struct told *t) {
    const struct object *o = there(t, key_of(t));
    struct pack_value now;
    CHECK(o != NULL);
    CHECK(hash_get(o, t->c->argv[2], &now));
    ADD(t, SLICE("hset"), key_of(t), t->c->argv[2], now.is_int ? number(t, now.integer) : now.text);
}

static void restore(struct told *t) {
    const struct cmd_ctx *c = t->c;
    const struct object *o = there(t, key_of(t));
    bool is_absolute = slice_eq(c->argv[2], SLICE("0"));
    for (int i = 4; i < c->argc; i++) is_absolute |= slice_is(c->argv[i], "absttl");
    if (o == NULL) {
        ADD(t, SLICE("del"), key_of(t));
        return;
    }
    struct slice *argv = arena_alloc(c->arena, ((size_t)c->argc + 1) * sizeof *argv);
    memcpy(argv, c->argv, (size_t)c->argc * sizeof *argv);
    if (!is_absolute) {
        argv[2] = number(t, object_deadline(o));
        argv[c->argc] = SLICE("ABSTTL");
    }
    feed_add(c->server, c->db, c->argc + !is_absolute, argv);
}

/* --- as the reply says --- */

static bool is_list(const struct resp_value *v) {
    return (v->type == '*' || v->type == '~') && !v->is_null;
}

/* The key something was taken from; false when nothing was. */
static bool taken_from(const struct told *t, struct slice *key) {
    if (!is_list(&t->reply) || t->reply.count < 2) return false;
    *key = t->reply.items[0].text;
    return true;
}

static void spop(struct told *t) {
    const struct resp_value *v = &t->reply;
    size_t count = is_list(v) ? v->count : v->type == '$' && !v->is_null;
    struct slice *argv = arena_alloc(t->c->arena, (count + 2) * sizeof *argv);
    if (count == 0) return;
    argv[0] = SLICE("srem");
    argv[1] = key_of(t);
    for (size_t i = 0; i < count; i++) argv[i + 2] = is_list(v) ? v->items[i].text : v->text;
    feed_add(t->c->server, t->c->db, (int)count + 2, argv);
}

static void pop_as(struct told *t, const char *command) {
    struct slice key;
    if (taken_from(t, &key)) ADD(t, slice_of(command), key);
}

static void blpop(struct told *t) {
    pop_as(t, "lpop");
}
static void brpop(struct told *t) {
    pop_as(t, "rpop");
}
static void bzpopmin(struct told *t) {
    pop_as(t, "zpopmin");
}
static void bzpopmax(struct told *t) {
    pop_as(t, "zpopmax");
}

static void brpoplpush(struct told *t) {
    ADD(t, SLICE("rpoplpush"), t->c->argv[1], t->c->argv[2]);
}
static void blmove(struct told *t) {
    ADD(t, SLICE("lmove"), t->c->argv[1], t->c->argv[2], t->c->argv[3], t->c->argv[4]);
}

/* LMPOP and ZMPOP with their blocking kin: the word behind the keys says from which end. */
static void pop_many(struct told *t, int count_at) {
    const struct cmd_ctx *c = t->c;
    struct slice key;
    int64_t keys = 0;
    if (!taken_from(t, &key)) return;
    CHECK(parse_i64(c->argv[count_at], &keys));
    struct slice end = c->argv[count_at + keys + 1];
    const char *command = slice_is(end, "left")    ? "lpop"
                          : slice_is(end, "right") ? "rpop"
                          : slice_is(end, "min")   ? "zpopmin"
                                                   : "zpopmax";
    ADD(t, slice_of(command), key, number(t, (int64_t)t->reply.items[1].count));
}

static void mpop(struct told *t) {
    pop_many(t, 1);
}
static void bmpop(struct told *t) {
    pop_many(t, 2);
}

/* --- streams --- */

static struct slice id_text(struct told *t, struct stream_id id) {
    enum { ID_CAP = 48 };
    char *text = arena_alloc(t->c->arena, ID_CAP);
    return slice_make(text, (size_t)snprintf(text, ID_CAP, "%llu-%llu", (unsigned long long)id.ms,
                                             (unsigned long long)id.seq));
}

/* How much "about so much" was depends on how a node keeps it: to what it came is said exactly. Returns the argument behind. */
static int exact_trim(struct told *t, int from, struct slice *argv, int *argc) {
    const struct cmd_ctx *c = t->c;
    const struct object *o = there(t, key_of(t));
    int i = from + 1;
    if (slice_is(c->argv[i], "~") || slice_is(c->argv[i], "=")) i++;
    i++;
    if (i + 1 < c->argc && slice_is(c->argv[i], "limit")) i += 2;
    bool by_id = slice_is(c->argv[from], "minid") && o != NULL && stream_state(o)->length > 0;
    argv[(*argc)++] = by_id ? SLICE("MINID") : SLICE("MAXLEN");
    argv[(*argc)++] = SLICE("=");
    argv[(*argc)++] = by_id       ? id_text(t, stream_state(o)->first)
                      : o != NULL ? number(t, (int64_t)stream_state(o)->length)
                                  : SLICE("0");
    return i;
}

static bool trims(struct slice word) {
    return slice_is(word, "maxlen") || slice_is(word, "minid");
}

static void xadd(struct told *t) {
    const struct cmd_ctx *c = t->c;
    const struct object *o = there(t, key_of(t));
    struct slice *argv = arena_alloc(c->arena, ((size_t)c->argc + 2) * sizeof *argv);
    int argc = 0, i = 2;
    argv[argc++] = SLICE("xadd");
    argv[argc++] = key_of(t);
    while (slice_is(c->argv[i], "nomkstream") || trims(c->argv[i]))
        i = trims(c->argv[i]) ? exact_trim(t, i, argv, &argc) : i + 1;
    CHECK(o != NULL);
    argv[argc++] = id_text(t, stream_state(o)->last);
    for (i++; i < c->argc; i++) argv[argc++] = c->argv[i];
    feed_add(c->server, c->db, argc, argv);
}

static void xtrim(struct told *t) {
    struct slice argv[5] = {SLICE("xtrim"), key_of(t)};
    int argc = 2;
    (void)exact_trim(t, 2, argv, &argc);
    feed_add(t->c->server, t->c->db, argc, argv);
}

struct group_read {
    struct slice group, consumer;
    bool has_no_acks;
    int first_key, count;
};

static struct group_read parse_group_read(const struct cmd_ctx *c) {
    struct group_read r = {0};
    int i = 1;
    while (!slice_is(c->argv[i], "streams")) {
        if (slice_is(c->argv[i], "group")) {
            r.group = c->argv[i + 1];
            r.consumer = c->argv[i + 2];
            i += 3;
        } else if (slice_is(c->argv[i], "noack")) {
            r.has_no_acks = true;
            i++;
        } else {
            i += 2; /* COUNT, BLOCK */
        }
    }
    r.first_key = i + 1;
    r.count = (c->argc - r.first_key) / 2;
    return r;
}

/* Entries that were given to the consumer, as if he had claimed them. */
static void add_claims(struct told *t, const struct group_read *r, struct slice key,
                       const struct resp_value *entries) {
    for (size_t i = 0; i < entries->count; i++) {
        struct slice id = entries->items[i].items[0].text;
        ADD(t, SLICE("xclaim"), key, r->group, r->consumer, SLICE("0"), id, SLICE("TIME"),
            number(t, t->c->now_ms), SLICE("RETRYCOUNT"), SLICE("1"), SLICE("FORCE"), SLICE("JUSTID"),
            SLICE("LASTID"), id);
    }
}

/* What a reply of [[key, entries] ...], or a map of the same, has for the key. */
static const struct resp_value *entries_of(const struct resp_value *reply, struct slice key) {
    if (reply->is_null) return NULL;
    if (reply->type == '%') {
        for (size_t i = 0; i + 1 < reply->count; i += 2)
            if (slice_eq(reply->items[i].text, key)) return &reply->items[i + 1];
    } else if (reply->type == '*') {
        for (size_t i = 0; i < reply->count; i++)
            if (slice_eq(reply->items[i].items[0].text, key)) return &reply->items[i].items[1];
    }
    return NULL;
}

/* Only what is new to the group changes it for others; as in Redis, a consumer who got nothing is not told of. Without
 * acknowledgements nothing is left that could be claimed. */
static void xreadgroup(struct told *t) {
    struct group_read r = parse_group_read(t->c);
    for (int i = 0; i < r.count; i++) {
        struct slice key = t->c->argv[r.first_key + i];
        if (!slice_eq(t->c->argv[r.first_key + r.count + i], SLICE(">"))) continue;
        const struct resp_value *entries = entries_of(&t->reply, key);
        if (r.has_no_acks && there(t, key) != NULL)
            add_value(t, key);
        else if (entries != NULL && is_list(entries))
            add_claims(t, &r, key, entries);
    }
}

/* --- all of them --- */

bool feed_effects(struct cmd_ctx *c, struct slice reply) {
    static const struct {
        cmd_fn *command;
        effect_fn *effect;
    } effects[] = {
        {cmd_set, set},
        {cmd_setex, setex},
        {cmd_psetex, setex},
        {cmd_getex, deadline},
        {cmd_getdel, deleted},
        {cmd_expire, deadline},
        {cmd_pexpire, deadline},
        {cmd_expireat, deadline},
        {cmd_pexpireat, deadline},
        {cmd_incrbyfloat, incrbyfloat},
        {cmd_hincrbyfloat, hincrbyfloat},
        {cmd_restore, restore},
        {cmd_spop, spop},
        {cmd_blpop, blpop},
        {cmd_brpop, brpop},
        {cmd_bzpopmin, bzpopmin},
        {cmd_bzpopmax, bzpopmax},
        {cmd_brpoplpush, brpoplpush},
        {cmd_blmove, blmove},
        {cmd_lmpop, mpop},
        {cmd_zmpop, mpop},
        {cmd_blmpop, bmpop},
        {cmd_bzmpop, bmpop},
        {cmd_xadd, xadd},
        {cmd_xtrim, xtrim},
        {cmd_xreadgroup, xreadgroup},
        {cmd_xclaim, value},
        {cmd_xautoclaim, value},
    };
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++) {
        if (c->cmd->fn != effects[i].command) continue;
        struct told t = {.c = c};
        size_t consumed;
        if (resp_read(reply, c->arena, &t.reply, &consumed) != RESP_READ_VALUE)
            t.reply = (struct resp_value){0};
        effects[i].effect(&t);
        return true;
    }
    return false;
}
