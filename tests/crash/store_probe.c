/* The storage room alone, under the same load that a node gives it: log entries in, applied to the keyspace, written
 * back, evicted, the log cut behind. What entry i does follows from i, so what must be stored follows from the index
 * of the last entry, and the program checks that at each start, before it goes on. It prints each entry's index when
 * the entry is durable. tests/crash/storage kills it, at any instant and by power cuts.
 *
 *   store_probe DIR [ENTRIES]     without a number: until it is killed */
#include "keyspace.h"
#include "log_writer.h"
#include "mem.h"
#include "raft_log.h"
#include "writeback.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DBS = 3, KEYS = 500, VALUE_MAX = 3000, SEGMENT_BYTES = 128 << 10, MEMORY_BYTES = 300 << 10 };

#define FAR_MS INT64_C(4000000000000)

struct shadow { /* what a key must hold; len 0: no such key */
    size_t len;
    uint64_t hash;
    int64_t deadline_ms;
};

static struct keyspace *ks;
static struct raft_log *raft_log;
static struct shadow shadows[DBS][KEYS];
static char value[VALUE_MAX];

static _Noreturn void broken(const char *what, uint64_t a, uint64_t b, const char *text) {
    printf("BROKEN %s: %llu, %llu %s\n", what, (unsigned long long)a, (unsigned long long)b, text);
    fflush(stdout);
    _exit(1);
}

static uint64_t mix(uint64_t x) {
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t hash_on(uint64_t h, const char *data, size_t len) {
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return h;
}

static struct slice key_of(char out[32], uint64_t n) {
    return slice_make(out, (size_t)snprintf(out, 32, "key:%llu", (unsigned long long)n));
}

static struct slice value_of(uint64_t i, size_t len) {
    for (size_t at = 0; at < len; at++) value[at] = (char)mix(i + at / 64);
    return slice_make(value, len);
}

/* What entry i does: to the keyspace (`real`), or to the shadow of it. */
static void perform(uint64_t i, bool real) {
    uint64_t r = mix(i), n = (r >> 8) % KEYS, kind = (r >> 32) % 1000;
    int db = (int)((r >> 20) % DBS);
    struct shadow *s = &shadows[db][n];
    char text[32];
    struct slice key = key_of(text, n);
    struct object *o = real ? ks_write(ks, db, key, 1) : NULL;
    if (kind == 0) {
        if (real)
            ks_flush(ks, 1);
        else
            memset(shadows[1], 0, sizeof shadows[1]);
    } else if (kind < 3) {
        if (real) {
            ks_swap(ks, 1, 2);
        } else {
            struct shadow old[KEYS];
            memcpy(old, shadows[1], sizeof old);
            memcpy(shadows[1], shadows[2], sizeof old);
            memcpy(shadows[2], old, sizeof old);
        }
    } else if (kind < 600) {
        size_t len = kind < 50 ? 1 + r % VALUE_MAX : 1 + r % 100;
        struct slice v = value_of(i, len);
        if (real)
            (void)string_set(ks, db, key, v, false);
        else
            *s = (struct shadow){.len = len, .hash = hash_on(1, v.data, len), .deadline_ms = -1};
    } else if (kind < 800) {
        struct slice v = value_of(i, 8);
        if (real && o) string_append(ks, db, o, v);
        if (!real && s->len) s->len += 8, s->hash = hash_on(s->hash, v.data, 8);
    } else if (kind < 900) {
        if (real && o) ks_set_deadline(ks, db, o, FAR_MS + (int64_t)n);
        if (!real && s->len) s->deadline_ms = FAR_MS + (int64_t)n;
    } else {
        if (real && o) ks_delete(ks, db, o);
        if (!real) *s = (struct shadow){0};
    }
    const char *fault = real ? ks_fault(ks) : NULL;
    if (fault) broken("a disk read failed at entry", i, 0, fault);
}

static void apply(uint64_t i) {
    perform(i, true);
    ks_set_applied(ks, (struct ks_applied){.index = i, .term = 1, .clock_ms = 1});
}

static enum rc replay(void *arg, const struct log_entry *e) {
    uint64_t *next = arg;
    if (e->index != *next || e->term != 1) broken("an entry out of order", e->index, *next, "");
    if (e->payload.len != mix(e->index) % 300)
        broken("an entry with another payload", e->index, e->payload.len, "");
    apply((*next)++);
    return RC_OK;
}

static void check_all(uint64_t last) {
    for (uint64_t i = 1; i <= last; i++) perform(i, false);
    for (int db = 0; db < DBS; db++) {
        uint64_t count = 0;
        for (uint64_t n = 0; n < KEYS; n++) {
            char text[32], scratch[32];
            struct object *o = ks_read(ks, db, key_of(text, n), 1);
            const struct shadow *s = &shadows[db][n];
            if (ks_fault(ks)) broken("a disk read failed for key", n, (uint64_t)db, ks_fault(ks));
            if ((o != NULL) != (s->len != 0))
                broken("a key is there, or is not", n, (uint64_t)db, o ? "there" : "not");
            if (o == NULL) continue;
            count++;
            struct slice v = string_get(o, scratch);
            if (v.len != s->len || hash_on(1, v.data, v.len) != s->hash)
                broken("a key holds another value", n, (uint64_t)db, "");
            if (object_deadline(o) != s->deadline_ms) broken("a deadline differs", n, (uint64_t)db, "");
        }
        if (ks_count(ks, db) != count) broken("the count is wrong", ks_count(ks, db), count, "");
    }
}

static void wake(void *arg) {
    (void)arg;
}

static void open_both(const char *dir) {
    char path[4096];
    struct kv_error error = {.text = ""};
    struct raft_log_options log_options = {.segment_bytes = SEGMENT_BYTES};
    struct keyspace_options options = {.block_cache_bytes = 1 << 20, .background_threads = 2, .wake = wake};
    snprintf(path, sizeof path, "%s/log", dir);
    enum rc rc = raft_log_open(path, &log_options, &raft_log, &error);
    if (rc != RC_OK) broken("the log does not open", (uint64_t)rc, 0, error.text);
    snprintf(path, sizeof path, "%s/state", dir);
    rc = ks_open(path, &options, &ks, &error);
    if (rc != RC_OK) broken("the state does not open", (uint64_t)rc, 0, error.text);
    uint64_t applied = ks_applied(ks).index, last = raft_log_last_index(raft_log), next = applied + 1;
    if (applied > last) broken("the state is ahead of the log", applied, last, "");
    rc = raft_log_read(raft_log, next, last, replay, &next, &error);
    if (last >= next && rc != RC_OK) broken("the log cannot be read", next, last, error.text);
    check_all(last);
    printf("ready %llu (state %llu, log from %llu)\n", (unsigned long long)last, (unsigned long long)applied,
           (unsigned long long)raft_log_mark(raft_log).index + 1);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    uint64_t todo = argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
    open_both(argv[1]);
    char payload[300] = {0};
    struct kv_error error = {.text = ""};
    struct log_hard_state first_term = {.term = 1, .vote = 1};
    uint64_t next = raft_log_last_index(raft_log) + 1;
    while (todo > 0) {
        struct log_entry entries[8];
        size_t count = 1 + mix(next) % 8;
        for (size_t k = 0; k < count; k++)
            entries[k] = (struct log_entry){
                .index = next + k, .term = 1, .payload = slice_make(payload, mix(next + k) % 300)};
        struct log_batch batch = {
            .hard_state = next == 1 ? &first_term : NULL, .entries = entries, .entry_count = count};
        enum rc rc = raft_log_write(raft_log, &batch, &error);
        if (rc != RC_OK) broken("the log cannot be written", next, (uint64_t)rc, error.text);
        for (size_t k = 0; k < count; k++) apply(next++);
        printf("%llu\n", (unsigned long long)next - 1);
        fflush(stdout);
        todo = todo > count ? todo - count : 0;

        struct ks_stats stats;
        ks_stats(ks, &stats);
        if (stats.dirty_keys > 100) (void)ks_writeback_begin(ks);
        ks_turn(ks, 16);
        (void)ks_evict(ks, MEMORY_BYTES, 64);
        struct ks_applied stored = ks_stored(ks);
        rc = raft_log_cut(raft_log, (struct log_mark){.index = stored.index, .term = stored.term}, &error);
        if (rc != RC_OK) broken("the log cannot be cut", stored.index, (uint64_t)rc, error.text);
    }
    ks_close(ks);
    raft_log_close(raft_log);
    return 0;
}
