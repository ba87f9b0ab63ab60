/* See watch.h. */
#include "watch.h"

#include "hash.h"
#include "mem.h"

#include <string.h>

/* One session's watch of one key. */
struct watch {
    struct list of_key, of_session;
    struct watched_key *key;
    struct transaction *session;
    bool was_expired; /* when it was watched: that it goes is no change */
};

struct watched_key {
    struct watched_key *chain; /* next in its bucket */
    struct list watches;       /* of struct watch.of_key */
    uint64_t hash;
    int db;
    size_t len;
    char bytes[];
};

/* By name alone, so that one bucket holds a name in all databases. */
static uint64_t hash_of(struct slice key) {
    return hash64(key);
}

static struct slice key_slice(const struct watched_key *k) {
    return slice_make(k->bytes, k->len);
}

static bool is_key(const struct watched_key *k, uint64_t hash, struct slice key) {
    return k->hash == hash && slice_eq(key_slice(k), key);
}

static struct watched_key *find(const struct watch_table *w, int db, struct slice key) {
    if (w->key_count == 0) return NULL;
    uint64_t hash = hash_of(key);
    struct watched_key *k = w->buckets[hash & (w->bucket_count - 1)];
    while (k != NULL && !(k->db == db && is_key(k, hash, key))) k = k->chain;
    return k;
}

static void grow(struct watch_table *w) {
    enum { BUCKETS_MIN = 64 };
    size_t count = w->bucket_count ? w->bucket_count * 2 : BUCKETS_MIN;
    struct watched_key **buckets = mem_calloc(count, sizeof *buckets);
    for (size_t i = 0; i < w->bucket_count; i++) {
        for (struct watched_key *k = w->buckets[i], *next; k != NULL; k = next) {
            next = k->chain;
            k->chain = buckets[k->hash & (count - 1)];
            buckets[k->hash & (count - 1)] = k;
        }
    }
    mem_free(w->buckets);
    w->buckets = buckets;
    w->bucket_count = count;
}

static struct watched_key *make(struct watch_table *w, int db, struct slice key) {
    if (w->key_count >= w->bucket_count) grow(w);
    struct watched_key *k = mem_alloc(sizeof *k + key.len);
    *k = (struct watched_key){.hash = hash_of(key), .db = db, .len = key.len};
    if (key.len > 0) memcpy(k->bytes, key.data, key.len);
    list_init(&k->watches);
    struct watched_key **bucket = &w->buckets[k->hash & (w->bucket_count - 1)];
    k->chain = *bucket;
    *bucket = k;
    w->key_count++;
    return k;
}

static void drop(struct watch_table *w, struct watched_key *k) {
    struct watched_key **at = &w->buckets[k->hash & (w->bucket_count - 1)];
    while (*at != k) at = &(*at)->chain;
    *at = k->chain;
    w->key_count--;
    mem_free(k);
}

void watch_table_free(struct watch_table *w) {
    CHECK(w->key_count == 0);
    mem_free(w->buckets);
    *w = (struct watch_table){0};
}

/* --- what the keyspace tells --- */

static struct watch *watch_at(struct list *link) {
    return container_of(link, struct watch, of_key);
}

static void key_changed(struct watch_table *w, int db, struct slice key, bool is_gone) {
    struct watched_key *k = find(w, db, key);
    if (k == NULL) return;
    LIST_FOR_EACH(it, &k->watches) {
        struct watch *watch = watch_at(it);
        if (watch->was_expired && is_gone)
            watch->was_expired = false;
        else
            watch->session->is_dirty = true;
    }
}

static bool is_expired(const struct object *o, int64_t now_ms) {
    return o != NULL && object_deadline(o) >= 0 && object_deadline(o) <= now_ms;
}

/* What `k` holds is replaced by `after` (NULL: nothing). `now_ms` is not known while a flush or an exchange is applied, so
 * what was watched when it had expired counts as changed if it is there again. */
static void exchanged(struct watched_key *k, const struct object *before, const struct object *after) {
    if (before == NULL && after == NULL) return;
    LIST_FOR_EACH(it, &k->watches) {
        struct watch *watch = watch_at(it);
        if (watch->was_expired && after == NULL)
            watch->was_expired = false;
        else
            watch->session->is_dirty = true;
    }
}

static struct object *content(struct keyspace *ks, int db, struct slice key) {
    return db < 0 ? NULL : ks_peek(ks, db, key, INT64_MIN);
}

/* A whole database is about to be emptied (with < 0) or to become what another is. */
static void database_changed(struct watch_table *w, int db, int with) {
    for (size_t i = 0; i < w->bucket_count; i++) {
        for (struct watched_key *k = w->buckets[i]; k != NULL; k = k->chain) {
            if (k->db != db) continue;
            exchanged(k, content(w->ks, db, key_slice(k)), content(w->ks, with, key_slice(k)));
        }
    }
}

static void change_cb(void *arg, enum ks_change change, int db, int with, struct slice key) {
    struct watch_table *w = arg;
    switch (change) {
    case KS_CHANGE_KEY: key_changed(w, db, key, false); return;
    case KS_CHANGE_GONE: key_changed(w, db, key, true); return;
    case KS_CHANGE_DATABASE: database_changed(w, db, with); return;
    }
}

/* --- what sessions do --- */

void watch_add(struct watch_table *w, struct keyspace *ks, struct transaction *t, int db, struct slice key,
               int64_t now_ms) {
    struct watched_key *k = find(w, db, key);
    if (k == NULL) k = make(w, db, key);
    LIST_FOR_EACH(it, &k->watches) {
        if (watch_at(it)->session == t) return;
    }
    struct watch *watch = mem_calloc(1, sizeof *watch);
    watch->key = k;
    watch->session = t;
    watch->was_expired = is_expired(content(ks, db, key), now_ms);
    list_push_back(&k->watches, &watch->of_key);
    list_push_back(&t->watches, &watch->of_session);
    t->watch_bytes += sizeof *watch + sizeof *k + k->len;
    w->ks = ks;
    ks_watch(ks, KS_WATCHER_WATCH, change_cb, w); /* again and again: the state may be another one by now */
}

void watch_forget(struct watch_table *w, struct keyspace *ks, struct transaction *t) {
    bool any = transaction_watches(t);
    LIST_FOR_EACH_SAFE(it, &t->watches) {
        struct watch *watch = container_of(it, struct watch, of_session);
        list_unlink(&watch->of_key);
        list_unlink(&watch->of_session);
        if (list_empty(&watch->key->watches)) drop(w, watch->key);
        mem_free(watch);
    }
    t->is_dirty = false;
    t->watch_bytes = 0;
    if (any && w->key_count == 0 && ks != NULL) ks_watch(ks, KS_WATCHER_WATCH, NULL, NULL);
}

bool watch_has_expired(const struct watch_table *w, const struct transaction *t, int64_t now_ms) {
    LIST_FOR_EACH(it, &t->watches) {
        const struct watch *watch = container_of(it, struct watch, of_session);
        if (watch->was_expired) continue;
        if (is_expired(content(w->ks, watch->key->db, key_slice(watch->key)), now_ms)) return true;
    }
    return false;
}

int64_t watch_deadline(const struct watch_table *w, const struct transaction *t) {
    int64_t earliest_ms = 0;
    LIST_FOR_EACH(it, &t->watches) {
        const struct watch *watch = container_of(it, struct watch, of_session);
        const struct object *o = content(w->ks, watch->key->db, key_slice(watch->key));
        if (watch->was_expired || o == NULL || object_deadline(o) < 0) continue;
        if (earliest_ms == 0 || object_deadline(o) < earliest_ms) earliest_ms = object_deadline(o);
    }
    return earliest_ms;
}

static void suspect_all_of(const struct watched_key *k, uint64_t serial) {
    LIST_FOR_EACH(it, &k->watches) watch_at(it)->session->watch_serial = serial;
}

void watch_suspect(const struct watch_table *w, struct slice key, uint64_t serial) {
    if (w->key_count == 0) return;
    if (key.data == NULL) {
        for (size_t i = 0; i < w->bucket_count; i++) {
            for (struct watched_key *k = w->buckets[i]; k != NULL; k = k->chain) suspect_all_of(k, serial);
        }
        return;
    }
    uint64_t hash = hash_of(key);
    for (struct watched_key *k = w->buckets[hash & (w->bucket_count - 1)]; k != NULL; k = k->chain) {
        if (is_key(k, hash, key)) suspect_all_of(k, serial);
    }
}
