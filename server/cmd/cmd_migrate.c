/* MIGRATE: the keys are looked up and written down as RESTOREs here, at the leader, by a confirmed read; the host sends them and has
 * what arrived deleted through the log (migration.h), so nothing waits for the other server but the client. */
#include "events.h"
#include "feed.h"
#include "handlers.h"
#include "migration.h"
#include "num.h"
#include "rdb_object.h"
#include "mem.h"
#include "server.h"

#include <stdio.h>
#include <stdlib.h>

struct migrate_args {
    bool copies, replaces;
    struct slice user, password; /* data NULL: not said */
    int first_key, key_count;
    int64_t db, patience_ms;
};

void migration_free(struct migration *m) {
    buf_free(&m->request);
    buf_free(&m->names);
    mem_free(m->keys);
    m->keys = NULL;
}

/* False after answering. */
static bool parse_keys(struct cmd_ctx *c, int at, struct migrate_args *a) {
    if (c->argv[3].len != 0) {
        reply_error(c->reply,
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string");
        return false;
    }
    a->first_key = at;
    a->key_count = c->argc - at;
    return true;
}

/* False after answering. */
static bool parse_options(struct cmd_ctx *c, struct migrate_args *a) {
    *a = (struct migrate_args){.first_key = 3, .key_count = 1};
    for (int i = 6; i < c->argc; i++) {
        struct slice word = c->argv[i];
        int more = c->argc - 1 - i;
        if (slice_is(word, "copy")) {
            a->copies = true;
        } else if (slice_is(word, "replace")) {
            a->replaces = true;
        } else if (slice_is(word, "auth") && more >= 1) {
            a->user = (struct slice){0};
            a->password = c->argv[++i];
        } else if (slice_is(word, "auth2") && more >= 2) {
            a->user = c->argv[i + 1];
            a->password = c->argv[i + 2];
            i += 2;
        } else if (slice_is(word, "keys")) {
            return parse_keys(c, i + 1, a);
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    return true;
}

/* False after answering. */
static bool parse(struct cmd_ctx *c, struct migrate_args *a) {
    enum { PATIENCE_MS = 1000 };
    if (!parse_options(c, a) || !cmd_arg_i64(c, c->argv[5], &a->patience_ms, NULL) ||
        !cmd_arg_i64(c, c->argv[4], &a->db, NULL))
        return false;
    if (a->patience_ms <= 0) a->patience_ms = PATIENCE_MS;
    return true;
}

/* --- the request --- */

static void begin_request(struct buf *out, int argc) {
    buf_printf(out, "*%d\r\n", argc);
}

static void add_word(struct buf *out, struct slice word) {
    buf_printf(out, "$%zu\r\n", word.len);
    buf_add_slice(out, word);
    buf_add_str(out, "\r\n");
}

static void add_number(struct buf *out, int64_t number) {
    char text[NUM_I64_MAX_LEN];
    add_word(out, slice_make(text, format_i64(text, number)));
}

static void add_greeting(struct migration *m, const struct migrate_args *a) {
    if (a->password.data != NULL) {
        begin_request(&m->request, a->user.data != NULL ? 3 : 2);
        add_word(&m->request, SLICE("AUTH"));
        if (a->user.data != NULL) add_word(&m->request, a->user);
        add_word(&m->request, a->password);
        m->line_count++;
    }
    begin_request(&m->request, 2);
    add_word(&m->request, SLICE("SELECT"));
    add_number(&m->request, a->db);
    m->line_count++;
}

static void add_key(struct cmd_ctx *c, struct migration *m, const struct migrate_args *a, struct slice key,
                    const struct object *o) {
    int64_t deadline_ms = object_deadline(o), ttl_ms = 0;
    struct buf payload = {0};
    if (deadline_ms >= 0) ttl_ms = deadline_ms > c->now_ms ? deadline_ms - c->now_ms : 1;
    rdb_dump(&payload, c->ks, o);
    begin_request(&m->request, a->replaces ? 5 : 4);
    add_word(&m->request, c->server->config.cluster_enabled ? SLICE("RESTORE-ASKING") : SLICE("RESTORE"));
    add_word(&m->request, key);
    add_number(&m->request, ttl_ms);
    add_word(&m->request, buf_slice(&payload));
    if (a->replaces) add_word(&m->request, SLICE("REPLACE"));
    buf_free(&payload);
    m->line_count++;
    m->keys[m->key_count++] =
        (struct migrated_key){.key_len = (uint32_t)key.len, .digest = object_value_digest(o)};
    buf_add_slice(&m->names, key);
}

/* Those that are there. */
static void add_keys(struct cmd_ctx *c, struct migration *m, const struct migrate_args *a) {
    m->keys = mem_alloc(((size_t)a->key_count + 1) * sizeof *m->keys);
    for (int i = a->first_key; i < a->first_key + a->key_count; i++) {
        const struct object *o = cmd_read(c, c->argv[i]);
        if (o != NULL) add_key(c, m, a, c->argv[i], o);
    }
}

static int port_of(struct slice text) {
    char digits[16];
    snprintf(digits, sizeof digits, "%.*s", (int)(text.len < 15 ? text.len : 15), text.data);
    long port = strtol(digits, NULL, 10);
    return port > 0 && port <= UINT16_MAX ? (int)port : 0;
}

void cmd_migrate(struct cmd_ctx *c) {
    struct migrate_args a;
    if (!parse(c, &a)) return;
    struct migration m = {
        .db = c->db, .copies = a.copies, .port = port_of(c->argv[2]), .patience_ms = a.patience_ms};
    struct slice host = c->argv[1];
    snprintf(m.host, sizeof m.host, "%.*s", (int)(host.len < sizeof m.host ? host.len : 0), host.data);
    add_greeting(&m, &a);
    add_keys(c, &m, &a);
    if (m.key_count == 0 || ks_fault(c->ks) != NULL) {
        reply_simple(c->reply, "NOKEY");
        migration_free(&m);
        return;
    }
    c->server->host->migrate(c->server->host, c->session, &m);
}

/* --- out of the log --- */

static bool is_as_sent(const struct object *o, struct slice digest) {
    uint64_t sent;
    return o != NULL && slice_take_u64le(&digest, &sent) && object_value_digest(o) == sent;
}

/* Whoever names a key twice has it sent twice. */
static bool is_named_before(const struct cmd_ctx *c, int at) {
    for (int i = 2; i < at; i += 2)
        if (slice_eq(c->argv[i], c->argv[at])) return true;
    return false;
}

void cmd_migrated(struct cmd_ctx *c) {
    struct slice error = c->argv[1], *gone = arena_alloc(c->arena, (size_t)c->argc * sizeof *gone);
    int changed = 0, gone_count = 0;
    gone[gone_count++] = SLICE("DEL"); /* what replicas of Redis are told */
    for (int i = 2; i + 1 < c->argc; i += 2) {
        struct object *o = cmd_write(c, c->argv[i]);
        if (!is_as_sent(o, c->argv[i + 1])) {
            changed += o != NULL || !is_named_before(c, i);
            continue;
        }
        ks_delete(c->ks, c->db, o);
        cmd_event(c, EVENT_GENERIC, "del", c->argv[i]);
        gone[gone_count++] = c->argv[i];
    }
    if (gone_count > 1 && feed_is_on(&c->server->feed)) feed_add(c->server, c->db, gone_count, gone);
    if (error.len > 0)
        reply_errorf(c->reply, "%.*s", (int)error.len, error.data);
    else if (changed > 0)
        reply_errorf(
            c->reply,
            "ERR keys that changed here while they were migrated: %d. They were kept, and the target "
            "has them as they were before",
            changed);
    else
        reply_ok(c->reply);
}
