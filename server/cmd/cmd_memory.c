/* MEMORY: where it goes. */
#include "cmd.h"
#include "cmd_script.h"
#include "libraries.h"
#include "handlers.h"
#include "server.h"

void cmd_memory_usage(struct cmd_ctx *c) {
    for (int i = 3; i < c->argc; i++) {
        int64_t samples = 0;
        if (!slice_is(c->argv[i], "samples") || i + 1 >= c->argc) {
            reply_error(c->reply, ERR_SYNTAX);
            return;
        }
        if (!cmd_arg_i64(c, c->argv[++i], &samples, NULL)) return;
        if (samples < 0) {
            reply_error(c->reply, ERR_SYNTAX);
            return;
        }
    }
    const struct object *o = ks_peek(c->ks, c->db, c->argv[2], c->now_ms);
    if (o == NULL) {
        reply_null(c->reply);
    } else {
        reply_int(c->reply, (int64_t)object_memory(o));
    }
}

static void field(struct reply *r, const char *name, uint64_t v) {
    reply_bulk_str(r, name);
    reply_int(r, (int64_t)v);
}

static void ratio(struct reply *r, const char *name, double a, double b) {
    reply_bulk_str(r, name);
    reply_double(r, b > 0 ? a / b : 0);
}

static void database(struct reply *r, struct keyspace *ks, int db) {
    enum { TABLE_BYTES_PER_KEY = 16 }; /* its share of the buckets */
    char name[16] = "db.";
    size_t len = 3;
    if (db >= 10) name[len++] = (char)('0' + db / 10);
    name[len++] = (char)('0' + db % 10);
    name[len] = '\0';
    reply_bulk_str(r, name);
    reply_map(r, 3);
    field(r, "overhead.hashtable.main", ks_count(ks, db) * TABLE_BYTES_PER_KEY);
    field(r, "overhead.hashtable.expires", ks_count_expires(ks, db) * sizeof(struct expiry));
    field(r, "overhead.hashtable.slot-to-keys", 0);
}

void cmd_memory_stats(struct cmd_ctx *c) {
    struct reply *r = c->reply;
    struct host_usage u = {0};
    struct ks_stats k = {0};
    c->server->host->usage(c->server->host, &u);
    ks_stats(c->ks, &k);
    uint64_t dataset = k.memory_bytes < u.memory_allocated ? k.memory_bytes : u.memory_allocated;
    uint64_t overhead = u.memory_allocated - dataset, keys = 0;
    size_t mark = reply_defer(r), pairs = 0;
    field(r, "peak.allocated", u.memory_peak);
    field(r, "total.allocated", u.memory_allocated);
    field(r, "startup.allocated", 0);
    field(r, "replication.backlog", 0);
    field(r, "clients.slaves", 0);
    field(r, "clients.normal", u.connections_memory);
    field(r, "cluster.links", 0);
    field(r, "aof.buffer", 0);
    struct cmd_script_usage scripts;
    struct library_usage libraries;
    cmd_script_usage(c->ks, &scripts);
    library_usage(c->ks, &libraries);
    field(r, "lua.caches", scripts.bytes);
    field(r, "functions.caches", libraries.bytes);
    pairs += 10;
    for (int db = 0; db < KS_DB_COUNT; db++) {
        if (ks_count(c->ks, db) == 0) continue;
        keys += ks_count(c->ks, db);
        database(r, c->ks, db);
        pairs++;
    }
    field(r, "overhead.total", overhead);
    field(r, "keys.count", keys);
    field(r, "keys.bytes-per-key", keys > 0 ? dataset / keys : 0);
    field(r, "dataset.bytes", dataset);
    ratio(r, "dataset.percentage", (double)dataset * 100, (double)u.memory_allocated);
    ratio(r, "peak.percentage", (double)u.memory_allocated * 100, (double)u.memory_peak);
    field(r, "allocator.allocated", u.memory_allocated);
    field(r, "allocator.active", u.memory_active);
    field(r, "allocator.resident", u.memory_resident);
    ratio(r, "allocator-fragmentation.ratio", (double)u.memory_active, (double)u.memory_allocated);
    field(r, "allocator-fragmentation.bytes", u.memory_active - u.memory_allocated);
    ratio(r, "allocator-rss.ratio", (double)u.memory_resident, (double)u.memory_active);
    field(r, "allocator-rss.bytes", u.memory_resident - u.memory_active);
    ratio(r, "rss-overhead.ratio", 1, 1);
    field(r, "rss-overhead.bytes", 0);
    ratio(r, "fragmentation", (double)u.memory_resident, (double)u.memory_allocated);
    field(r, "fragmentation.bytes", u.memory_resident - u.memory_allocated);
    reply_close_map(r, mark, pairs + 17);
}

void cmd_memory_doctor(struct cmd_ctx *c) {
    struct host_usage u = {0};
    struct buf text = {0};
    uint64_t budget = (uint64_t)c->server->config.maxmemory;
    c->server->host->usage(c->server->host, &u);
    if (u.memory_resident > u.memory_allocated + u.memory_allocated / 2 && u.memory_allocated > 64 << 20) {
        buf_printf(&text, "Memory is fragmented: %llu bytes are in use, %llu resident.\n",
                   (unsigned long long)u.memory_allocated, (unsigned long long)u.memory_resident);
    }
    if (budget != 0 && u.memory_allocated > budget + budget / 4) {
        buf_printf(&text, "Memory in use is well above maxmemory: %llu bytes of %llu.\n",
                   (unsigned long long)u.memory_allocated, (unsigned long long)budget);
    }
    if (text.len == 0) buf_add_str(&text, "No problems with memory were found.\n");
    reply_verbatim(c->reply, "txt", buf_slice(&text));
    buf_free(&text);
}

void cmd_memory_malloc_stats(struct cmd_ctx *c) {
    struct host_usage u = {0};
    struct buf text = {0};
    c->server->host->usage(c->server->host, &u);
    buf_printf(&text, "Allocated: %llu, active: %llu, resident: %llu\n",
               (unsigned long long)u.memory_allocated, (unsigned long long)u.memory_active,
               (unsigned long long)u.memory_resident);
    reply_verbatim(c->reply, "txt", buf_slice(&text));
    buf_free(&text);
}

/* The allocator gives unused pages back by itself. */
void cmd_memory_purge(struct cmd_ctx *c) {
    reply_ok(c->reply);
}
