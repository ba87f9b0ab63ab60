/* DEBUG: what tests need. Anything that would change data without the log is left out. */
#include "cmd.h"
#include "handlers.h"
#include "libraries.h"
#include "num.h"
#include "rdb_codec.h"
#include "rdb_object.h"
#include "server.h"
#include "type_hash.h"
#include "type_list.h"
#include "type_set.h"
#include "type_zset.h"

#include <stdio.h>
#include <stdlib.h>

typedef void debug_fn(struct cmd_ctx *c);

static void debug_ok(struct cmd_ctx *c) {
    reply_ok(c->reply);
}

/* The number at the start of the text, 0 when there is none. */
static double lenient_number(struct slice text) {
    char copy[64];
    size_t len = text.len < sizeof copy - 1 ? text.len : sizeof copy - 1;
    memcpy(copy, text.data, len);
    copy[len] = '\0';
    return strtod(copy, NULL);
}

static void debug_sleep(struct cmd_ctx *c) {
    enum { SLEEP_S_MAX = 1000000 };
    double seconds = lenient_number(c->argv[2]);
    if (seconds > SLEEP_S_MAX) seconds = SLEEP_S_MAX;
    if (seconds > 0) c->server->host->sleep_us(c->server->host, (int64_t)(seconds * 1e6));
    reply_ok(c->reply);
}

static void debug_set_active_expire(struct cmd_ctx *c) {
    c->server->active_expire = lenient_number(c->argv[2]) != 0;
    reply_ok(c->reply);
}

static void debug_set_deny_scripts(struct cmd_ctx *c) {
    c->server->debug_in_scripts = lenient_number(c->argv[2]) != 0;
    reply_ok(c->reply);
}

static void debug_error(struct cmd_ctx *c) {
    struct slice text = c->argv[2];
    if (text.len > 0 && text.data[0] == '-') text = slice_make(text.data + 1, text.len - 1);
    reply_errorf(c->reply, "%.*s", (int)text.len, text.data);
}

/* --- data --- */

static void hex(char *out, const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void debug_digest(struct cmd_ctx *c) {
    uint8_t digest[20];
    char text[2 * sizeof digest + 1];
    ks_digest(c->ks, digest);
    hex(text, digest, sizeof digest);
    reply_simple(c->reply, text);
}

static void debug_digest_value(struct cmd_ctx *c) {
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        const struct object *o = ks_peek(c->ks, c->db, c->argv[i], c->now_ms);
        char text[41];
        snprintf(text, sizeof text, "%024d%016llx", 0,
                 o != NULL ? (unsigned long long)object_value_digest(o) : 0);
        reply_simple(c->reply, text);
    }
}

static struct object *debug_key(struct cmd_ctx *c) {
    struct object *o = ks_peek(c->ks, c->db, c->argv[2], c->now_ms);
    if (o == NULL) reply_error(c->reply, ERR_NO_SUCH_KEY);
    return o;
}

/* How many nodes Redis would have made of the list; the payload says it behind its type. */
static uint64_t node_count(struct slice payload) {
    struct slice rest = slice_make(payload.data + 1, payload.len - 1);
    uint64_t nodes = 0;
    CHECK(rdb_take_len(&rest, &nodes));
    return nodes;
}

/* The serialized length is that of the value in a DUMP: without type, version and checksum. */
static void debug_object(struct cmd_ctx *c) {
    const struct object *o = debug_key(c);
    if (o == NULL) return;
    struct buf payload = {0}, text = {0};
    rdb_dump(&payload, c->ks, o);
    size_t len = payload.len - 1 - RDB_FOOTER_SIZE;
    buf_printf(&text, "Value at:%p refcount:%d encoding:%s serializedlength:%zu lru:%u lru_seconds_idle:%u",
               (const void *)o, cmd_shown_refcount(o), object_encoding_name(o), len, o->access_s & 0xffffff,
               ks_clock_s(c->ks) - o->access_s);
    if (o->type == OBJECT_LIST) {
        uint64_t nodes = node_count(buf_slice(&payload));
        buf_printf(&text,
                   " ql_nodes:%llu ql_avg_node:%.2f ql_listpack_max:%lld ql_compressed:0 "
                   "ql_uncompressed_size:%zu",
                   (unsigned long long)nodes, (double)list_len(o) / (double)nodes,
                   (long long)ks_limits(c->ks)->list_max_listpack_size, len);
    }
    buf_add_byte(&text, 0);
    reply_simple(c->reply, text.data);
    buf_free(&text);
    buf_free(&payload);
}

static void debug_sdslen(struct cmd_ctx *c) {
    const struct object *o = debug_key(c);
    if (o == NULL) return;
    if (o->type != OBJECT_STRING || o->encoding == ENCODING_INT) {
        reply_error(c->reply, "ERR Not an sds encoded string.");
        return;
    }
    char text[256];
    snprintf(
        text, sizeof text,
        "key_sds_len:%u, key_sds_avail:0, key_zmalloc: %u, val_sds_len:%u, val_sds_avail:%u, val_zmalloc: %u",
        o->key_len, o->key_len, o->len, o->cap > o->len ? o->cap - o->len : 0,
        o->cap > o->len ? o->cap : o->len);
    reply_simple(c->reply, text);
}

/* Redis prints these to its standard output, where nobody looks; here they only say whether there is anything to print. */
static void debug_listpack(struct cmd_ctx *c) {
    const struct object *o = debug_key(c);
    if (o == NULL) return;
    if (o->encoding == ENCODING_LISTPACK)
        reply_simple(c->reply, "Listpack structure printed on stdout");
    else
        reply_error(c->reply, "ERR Not a listpack encoded object.");
}

static void debug_quicklist(struct cmd_ctx *c) {
    const struct object *o = debug_key(c);
    if (o == NULL) return;
    if (o->encoding == ENCODING_QUICKLIST)
        reply_simple(c->reply, "Quicklist structure printed on stdout");
    else
        reply_error(c->reply, "ERR Not a quicklist encoded object.");
}

static void debug_htstats(struct cmd_ctx *c) {
    int64_t db = 0;
    if (!cmd_arg_i64(c, c->argv[2], &db, NULL)) return;
    if (db < 0 || db >= c->server->config.databases) {
        reply_error(c->reply, "ERR Out of range database");
        return;
    }
    struct buf text = {0};
    buf_printf(&text, "[Dictionary HT]\n number of elements: %llu\n[Expires HT]\n number of elements: %llu\n",
               (unsigned long long)ks_count(c->ks, (int)db),
               (unsigned long long)ks_count_expires(c->ks, (int)db));
    reply_verbatim(c->reply, "txt", buf_slice(&text));
    buf_free(&text);
}

/* What Redis keeps in a hash table is none here; how many elements it has is all there is to say. */
static void debug_htstats_key(struct cmd_ctx *c) {
    const struct object *o = debug_key(c);
    if (o == NULL) return;
    uint64_t count;
    if (o->type == OBJECT_HASH && o->encoding == ENCODING_HASHTABLE) {
        count = hash_len(o);
    } else if (o->type == OBJECT_SET && o->encoding == ENCODING_HASHTABLE) {
        count = set_len(o);
    } else if (o->type == OBJECT_ZSET && o->encoding == ENCODING_SKIPLIST) {
        count = zset_count(o);
    } else {
        reply_error(c->reply,
                    "ERR The value stored at the specified key is not represented using an hash table");
        return;
    }
    struct buf text = {0};
    buf_printf(&text, "Hash table 0 stats (main hash table):\n number of elements: %llu\n",
               (unsigned long long)count);
    reply_verbatim(c->reply, "txt", buf_slice(&text));
    buf_free(&text);
}

/* Random texts against random patterns of the bytes that mean something in them. */
static void debug_stringmatch_test(struct cmd_ctx *c) {
    enum { ROUNDS = 20000, LEN_MAX = 32 };
    static const char letters[] = "*?[]^-\\ab";
    char bytes[2][LEN_MAX];
    for (int i = 0; i < ROUNDS; i++) {
        struct slice part[2];
        for (int k = 0; k < 2; k++) {
            size_t len = rng_below(c->rng, LEN_MAX);
            for (size_t at = 0; at < len; at++) bytes[k][at] = letters[rng_below(c->rng, sizeof letters - 1)];
            part[k] = slice_make(bytes[k], len);
        }
        (void)glob_match(part[0], part[1], false);
    }
    reply_simple(c->reply, "Apparently Redis did not crash: test passed");
}

/* A load on top of what is there finds keys that it would have to overwrite, and Redis gives up on the first. */
static bool would_collide(struct cmd_ctx *c) {
    bool keeps = false, merges = false, is_empty;
    struct library_usage libraries;
    library_usage(c->ks, &libraries);
    is_empty = libraries.libraries == 0;
    for (int i = 2; i < c->argc; i++) {
        keeps |= slice_is(c->argv[i], "noflush");
        merges |= slice_is(c->argv[i], "merge");
    }
    for (int db = 0; db < KS_DB_COUNT && is_empty; db++) is_empty = ks_count(c->ks, db) == 0;
    return keeps && !merges && !is_empty;
}

static void debug_reload(struct cmd_ctx *c) {
    for (int i = 2; i < c->argc; i++) {
        if (slice_is(c->argv[i], "merge") || slice_is(c->argv[i], "noflush") ||
            slice_is(c->argv[i], "nosave"))
            continue;
        reply_error(c->reply, "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
        return;
    }
    if (would_collide(c)) {
        reply_error(c->reply, "ERR Error trying to load the RDB dump, check server logs.");
        return;
    }
    enum rc rc = c->server->host->reload(c->server->host);
    if (rc == RC_OK) {
        reply_ok(c->reply);
    } else {
        reply_errorf(c->reply, "ERR the data could not be reloaded: %s", rc_name(rc));
    }
}

/* _POPULATE count prefix size: keys "<prefix>:<n>", but for those there are, with "value:<n>", cut or filled up with zero bytes to
 * the size, unless that is 0. What DEBUG POPULATE becomes in the log (prepare.h). */
void cmd_populate(struct cmd_ctx *c) {
    int64_t count, size;
    if (!cmd_arg_i64(c, c->argv[1], &count, NULL) || !cmd_arg_i64(c, c->argv[3], &size, NULL)) return;
    struct buf key = {0}, value = {0};
    for (int64_t i = 0; i < count; i++) {
        buf_clear(&key);
        buf_clear(&value);
        buf_add_slice(&key, c->argv[2]);
        buf_printf(&key, ":%lld", (long long)i);
        if (cmd_write(c, buf_slice(&key)) != NULL) continue;
        buf_printf(&value, "value:%lld", (long long)i);
        if (size > 0) {
            while (value.len < (size_t)size) buf_add_byte(&value, 0);
            value.len = (size_t)size;
        }
        string_set(c->ks, c->db, buf_slice(&key), buf_slice(&value), false);
    }
    buf_free(&key);
    buf_free(&value);
    reply_ok(c->reply);
}

static void debug_config_rewrite(struct cmd_ctx *c) {
    bool has_file = c->server->config_file[0] != '\0';
    enum rc rc = has_file ? server_rewrite_config(c->server, true) : RC_NOT_FOUND;
    if (rc == RC_OK) {
        reply_ok(c->reply);
    } else {
        reply_errorf(c->reply, "ERR CONFIG-REWRITE-FORCE-ALL failed: %s", rc_name(rc));
    }
}

/* --- switches of machinery that is not here --- */

static void debug_packed_threshold(struct cmd_ctx *c) {
    struct config scratch;
    char why[CONFIG_ERROR_CAP];
    config_init(&scratch);
    /* Any row that takes memory knows how to read it. */
    bool ok = config_set(&scratch, config_find(SLICE("maxmemory")), c->argv[2], why);
    int64_t size = scratch.maxmemory;
    config_free(&scratch);
    if (!ok || size > (INT64_C(1) << 32)) {
        reply_error(c->reply, "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
    } else {
        reply_ok(c->reply);
    }
}

static void debug_replybuffer(struct cmd_ctx *c) {
    if (slice_is(c->argv[2], "peak-reset-time") || slice_is(c->argv[2], "resizing")) {
        reply_ok(c->reply);
    } else {
        reply_error(c->reply, ERR_SYNTAX);
    }
}

static void debug_client_eviction(struct cmd_ctx *c) {
    reply_error(c->reply, "ERR maxmemory-clients is disabled.");
}

static void debug_structsize(struct cmd_ctx *c) {
    char text[128];
    snprintf(text, sizeof text, "bits:%zu object:%zu expiry:%zu", sizeof(void *) * 8, sizeof(struct object),
             sizeof(struct expiry));
    reply_simple(c->reply, text);
}

/* --- DEBUG PROTOCOL: a value of each type --- */

static void debug_protocol(struct cmd_ctx *c) {
    struct reply *r = c->reply;
    struct slice type = c->argv[2];
    if (slice_is(type, "string")) {
        reply_bulk_str(r, "Hello World");
    } else if (slice_is(type, "integer")) {
        reply_int(r, 12345);
    } else if (slice_is(type, "double")) {
        reply_double(r, 3.141);
    } else if (slice_is(type, "null")) {
        reply_null(r);
    } else if (slice_is(type, "array")) {
        reply_array(r, 3);
        for (int i = 0; i < 3; i++) reply_int(r, i);
    } else if (slice_is(type, "set")) {
        reply_set(r, 3);
        for (int i = 0; i < 3; i++) reply_int(r, i);
    } else if (slice_is(type, "map")) {
        reply_map(r, 3);
        for (int i = 0; i < 3; i++) {
            reply_int(r, i);
            reply_bool(r, i == 1);
        }
    } else if (slice_is(type, "attrib")) {
        if (r->resp >= 3) {
            reply_attribute(r, 1);
            reply_bulk_str(r, "key-popularity");
            reply_array(r, 2);
            reply_bulk_str(r, "key:123");
            reply_int(r, 90);
        }
        reply_bulk_str(r, "Some real reply following the attribute");
    } else if (slice_is(type, "push")) {
        if (r->resp < 3) {
            reply_error(r, "ERR RESP2 is not supported by this command");
            return;
        }
        reply_push(r, 2);
        reply_bulk_str(r, "server-cpu-usage");
        reply_int(r, 42);
    } else if (slice_is(type, "verbatim")) {
        reply_verbatim(r, "txt", SLICE("This is a verbatim\nstring"));
    } else if (slice_is(type, "true")) {
        reply_bool(r, true);
    } else if (slice_is(type, "false")) {
        reply_bool(r, false);
    } else if (slice_is(type, "bignum")) {
        reply_bignum(r, SLICE("1234567999999999999999999999999999999"));
    } else {
        reply_error(r, "ERR Wrong protocol type name. Please use one of the following: "
                       "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
    }
}

void cmd_debug(struct cmd_ctx *c) {
    static const struct {
        const char *name;
        int arity; /* as for commands, with DEBUG itself */
        debug_fn *fn;
    } subcommands[] = {
        {"change-repl-id", 2, debug_ok},
        {"client-eviction", 2, debug_client_eviction},
        {"config-rewrite-force-all", 2, debug_config_rewrite},
        {"digest", 2, debug_digest},
        {"digest-value", -2, debug_digest_value},
        {"error", 3, debug_error},
        {"help", 2, cmd_debug_help},
        {"htstats", 3, debug_htstats},
        {"htstats-key", 3, debug_htstats_key},
        {"leak", 3, debug_ok},
        {"listpack", 3, debug_listpack},
        {"loadaof", 2, debug_reload},
        {"log", 3, debug_ok},
        {"object", -3, debug_object},
        {"pause-cron", 3, debug_ok},
        {"protocol", 3, debug_protocol},
        {"quicklist", -3, debug_quicklist},
        {"quicklist-packed-threshold", 3, debug_packed_threshold},
        {"reload", -2, debug_reload},
        {"replybuffer", 4, debug_replybuffer},
        {"sdslen", 3, debug_sdslen},
        {"set-active-expire", 3, debug_set_active_expire},
        {"set-disable-deny-scripts", 3, debug_set_deny_scripts},
        {"set-skip-checksum-validation", 3, debug_ok},
        {"sleep", 3, debug_sleep},
        {"stringmatch-test", 2, debug_stringmatch_test},
        {"structsize", 2, debug_structsize},
    };
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++) {
        int arity = subcommands[i].arity;
        if (!slice_is(c->argv[1], subcommands[i].name)) continue;
        if (arity >= 0 ? c->argc != arity : c->argc < -arity) break;
        subcommands[i].fn(c);
        return;
    }
    int shown = c->argv[1].len < 128 ? (int)c->argv[1].len : 128;
    reply_errorf(c->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                 shown, c->argv[1].data);
}
