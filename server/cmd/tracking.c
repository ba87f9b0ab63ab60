/* See tracking.h. */
#include "tracking.h"

#include "hash.h"
#include "mem.h"
#include "push.h"
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS_ON_STACK = 64 };

/* A key, and those who read it since it last changed: in the order of their numbers. */
struct tracked_key {
    struct tracked_key *chain;
    uint64_t hash;
    struct tracking_client **clients; /* of `cap`; with cap 0 it is `only` */
    struct tracking_client *only;
    uint32_t count, cap;
    size_t len;
    char bytes[];
};

struct tracking_prefix {
    struct list link;    /* in tracking->prefixes */
    struct list clients; /* of struct prefix_client.of_prefix */
    uint64_t since;      /* changes with a smaller number came before anybody asked */
    size_t len;
    char bytes[];
};

struct prefix_client {
    struct list of_prefix, of_client;
    struct tracking_prefix *prefix;
    struct tracking_client *client;
};

/* A key that was changed in this turn and begins with some prefix. */
struct tracking_change {
    uint64_t number; /* in their order */
    uint64_t writer; /* session id; 0: nobody's command did it */
    char *bytes;
    size_t len;
};

/* --- messages --- */

static void push_text(struct reply *r, const char *text) {
    reply_bulk_str(r, text);
}

/* Nobody is there any more to take its messages. */
static void say_broken(struct server *server, struct tracking_client *client) {
    struct session *s = client->session;
    client->is_broken = true;
    if (s->resp < 3) return;
    struct buf bytes = {0};
    struct reply r;
    reply_init(&r, &bytes, s->resp);
    reply_push(&r, 2);
    push_text(&r, "tracking-redir-broken");
    reply_int(&r, (int64_t)client->redirect);
    push_bytes(server, s, buf_slice(&bytes));
    buf_free(&bytes);
}

/* `keys` is an encoded array, or null for all there are. RESP2 has no place for it but in a subscriber's connection. */
static void send_keys(struct server *server, struct tracking_client *client, const struct slice *keys) {
    struct session *to = client->redirect != 0 ? client->target : client->session;
    if (to == NULL) {
        say_broken(server, client);
        return;
    }
    struct buf bytes = {0};
    struct reply r;
    reply_init(&r, &bytes, to->resp);
    if (to->resp >= 3) {
        reply_push(&r, 2);
        push_text(&r, "invalidate");
    } else if (client->redirect != 0 && subscriptions_any(&to->subscriptions)) {
        reply_array(&r, 3);
        push_text(&r, "message");
        push_text(&r, "__redis__:invalidate");
    } else {
        return;
    }
    if (keys != NULL)
        reply_raw(&r, *keys);
    else
        reply_null(&r);
    push_bytes(server, to, buf_slice(&bytes));
    buf_free(&bytes);
}

static void send_key(struct server *server, struct tracking_client *client, struct slice key) {
    struct buf bytes = {0};
    struct reply r;
    reply_init(&r, &bytes, 2);
    reply_array(&r, 1);
    reply_bulk(&r, key);
    struct slice array = buf_slice(&bytes);
    send_keys(server, client, &array);
    buf_free(&bytes);
}

/* --- the table --- */

static struct slice key_slice(const struct tracked_key *k) {
    return slice_make(k->bytes, k->len);
}

static struct tracking_client **clients_of(struct tracked_key *k) {
    return k->cap > 0 ? k->clients : &k->only;
}

static size_t bucket_of(const struct tracking *t, uint64_t hash) {
    size_t at = hash & (2 * t->bucket_base - 1);
    return at < t->bucket_count ? at : hash & (t->bucket_base - 1);
}

static struct tracked_key **find(const struct tracking *t, uint64_t hash, struct slice key) {
    struct tracked_key **at = &t->buckets[bucket_of(t, hash)];
    while (*at != NULL && !((*at)->hash == hash && slice_eq(key_slice(*at), key))) at = &(*at)->chain;
    return at;
}

/* One bucket more, which takes its part of the one it was split from: no insertion has to move all there is. */
static void split(struct tracking *t) {
    enum { BUCKETS_MIN = 64 };
    if (t->bucket_count == t->bucket_cap) {
        t->bucket_cap = t->bucket_cap ? t->bucket_cap * 2 : BUCKETS_MIN;
        t->buckets = mem_realloc(t->buckets, t->bucket_cap * sizeof(struct tracked_key *));
    }
    if (t->bucket_count == 0) {
        t->bucket_base = t->bucket_count = 1;
        t->buckets[0] = NULL;
        return;
    }
    size_t from = t->bucket_count - t->bucket_base, to = t->bucket_count++;
    t->buckets[to] = NULL;
    for (struct tracked_key **at = &t->buckets[from]; *at != NULL;) {
        struct tracked_key *k = *at;
        if ((k->hash & (2 * t->bucket_base - 1)) == from) {
            at = &k->chain;
            continue;
        }
        *at = k->chain;
        k->chain = t->buckets[to];
        t->buckets[to] = k;
    }
    if (t->bucket_count == 2 * t->bucket_base) t->bucket_base = t->bucket_count;
}

static void let_go(struct tracking_client *client) {
    CHECK(client->key_count > 0);
    if (--client->key_count == 0 && client->session == NULL) mem_free(client);
}

/* Takes it out of the table; it is still whole. */
static struct tracked_key *take_out(struct tracking *t, struct tracked_key **at) {
    struct tracked_key *k = *at;
    *at = k->chain;
    t->key_count--;
    t->item_count -= k->count;
    return k;
}

static void key_free(struct tracked_key *k) {
    struct tracking_client **clients = clients_of(k);
    for (uint32_t i = 0; i < k->count; i++) let_go(clients[i]);
    if (k->cap > 0) mem_free(k->clients);
    mem_free(k);
}

static void forget_keys(struct tracking *t) {
    for (size_t i = 0; i < t->bucket_count; i++)
        while (t->buckets[i] != NULL) key_free(take_out(t, &t->buckets[i]));
    CHECK(t->key_count == 0);
    CHECK(t->item_count == 0);
    mem_free(t->buckets);
    t->buckets = NULL;
    t->bucket_base = t->bucket_count = t->bucket_cap = t->hand = 0;
}

static struct tracked_key *key_for(struct tracking *t, struct slice key) {
    uint64_t hash = hash64(key);
    if (t->key_count >= t->bucket_count) split(t);
    struct tracked_key **at = find(t, hash, key), *k = *at;
    if (k != NULL) return k;
    k = mem_alloc(sizeof *k + key.len);
    *k = (struct tracked_key){.hash = hash, .len = key.len};
    if (key.len > 0) memcpy(k->bytes, key.data, key.len);
    *at = k;
    t->key_count++;
    return k;
}

static void add_client(struct tracking *t, struct tracked_key *k, struct tracking_client *client) {
    struct tracking_client **clients = clients_of(k);
    uint32_t low = 0, high = k->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (clients[middle]->number < client->number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < k->count && clients[low] == client) return;
    if (k->count > 0 && k->count >= k->cap) {
        uint32_t cap = k->cap ? k->cap * 2 : 4;
        clients = mem_realloc(k->cap ? k->clients : NULL, cap * sizeof(struct tracking_client *));
        if (k->cap == 0) clients[0] = k->only;
        k->clients = clients;
        k->cap = cap;
    }
    memmove(clients + low + 1, clients + low, (k->count - low) * sizeof(struct tracking_client *));
    clients[low] = client;
    k->count++;
    t->item_count++;
    client->key_count++;
}

/* --- reads --- */

static void remember_keys(struct tracking *t, struct tracking_client *client, const struct cmd_ctx *c) {
    struct key_position on_stack[KEYS_ON_STACK], *keys = on_stack;
    int count = command_keys(c->cmd, c->argc, c->argv, keys, KEYS_ON_STACK);
    if (count > KEYS_ON_STACK) {
        keys = mem_alloc((size_t)count * sizeof *keys);
        count = command_keys(c->cmd, c->argc, c->argv, keys, count);
    }
    for (int i = 0; i < count; i++) add_client(t, key_for(t, c->argv[keys[i].at]), client);
    if (keys != on_stack) mem_free(keys);
}

const struct cmd_ctx *tracking_enter(struct cmd_ctx *c) {
    struct tracking *t = &c->server->tracking;
    const struct cmd_ctx *outer = t->outermost;
    if (outer == NULL) t->outermost = c;
    return outer;
}

/* A script that has read anything has read all the keys it was given, as in Redis 7.0. */
static void remember(struct cmd_ctx *c) {
    struct tracking *t = &c->server->tracking;
    if (c->session == NULL || c->is_served || !(c->cmd->flags & CMD_READONLY)) return;
    if (c->cmd->categories & ACL_SCRIPTING) return;
    struct tracking_client *client = c->session->tracking;
    if (client == NULL || !client->is_on || client->is_broadcast) return;
    bool caching = client->caching || t->caching;
    if (client->opts_in ? !caching : client->opts_out && caching) return;
    remember_keys(t, client, t->outermost);
}

void tracking_leave(struct cmd_ctx *c, const struct cmd_ctx *outer) {
    struct tracking *t = &c->server->tracking;
    if (t->client_count > 0 && t->outermost != NULL) remember(c);
    t->outermost = outer;
}

/* --- changes --- */

static bool is_deaf(const struct tracking_client *client) {
    return client->session == NULL || !client->is_on || client->is_broadcast;
}

static void tell(struct server *server, struct tracked_key *k) {
    const struct session *writer = server->pushes.running;
    struct tracking_client **clients = clients_of(k);
    for (uint32_t i = 0; i < k->count; i++) {
        if (is_deaf(clients[i]) || (clients[i]->no_loop && clients[i]->session == writer)) continue;
        send_key(server, clients[i], key_slice(k));
    }
}

static bool begins_with(struct slice key, const struct tracking_prefix *p) {
    return slice_begins(key, slice_make(p->bytes, p->len));
}

static bool is_asked_for(const struct tracking *t, struct slice key) {
    LIST_FOR_EACH(it, &t->prefixes) {
        if (begins_with(key, container_of(it, struct tracking_prefix, link))) return true;
    }
    return false;
}

static void note_change(struct server *server, struct slice key) {
    struct tracking *t = &server->tracking;
    const struct session *running = server->pushes.running;
    uint64_t writer = running != NULL ? running->id : 0;
    if (!is_asked_for(t, key)) return;
    struct tracking_change *last = t->change_count > 0 ? &t->changes[t->change_count - 1] : NULL;
    if (last != NULL && last->writer == writer && slice_eq(slice_make(last->bytes, last->len), key)) {
        last->number = ++t->change_number;
        return;
    }
    if (t->change_count == t->change_cap) {
        t->change_cap = t->change_cap ? t->change_cap * 2 : 64;
        t->changes = mem_realloc(t->changes, t->change_cap * sizeof *t->changes);
    }
    struct tracking_change *change = &t->changes[t->change_count++];
    *change = (struct tracking_change){.number = ++t->change_number, .writer = writer, .len = key.len};
    change->bytes = mem_alloc(key.len + 1);
    if (key.len > 0) memcpy(change->bytes, key.data, key.len);
}

static void change_cb(void *arg, enum ks_change change, int db, int with, struct slice key) {
    struct server *server = arg;
    struct tracking *t = &server->tracking;
    (void)with;
    if (change == KS_CHANGE_DATABASE) return; /* tracking_flushed */
    if (db >= KS_DB_COUNT) return;            /* the server's own */
    if (t->prefix_count > 0) note_change(server, key);
    if (t->key_count == 0) return;
    struct tracked_key **at = find(t, hash64(key), key);
    if (*at == NULL) return;
    struct tracked_key *k = take_out(t, at);
    tell(server, k);
    key_free(k);
}

void tracking_flushed(struct server *server) {
    struct tracking *t = &server->tracking;
    if (t->client_count == 0) return;
    LIST_FOR_EACH(it, &server->sessions) {
        struct tracking_client *client = container_of(it, struct session, link)->tracking;
        if (client != NULL && client->is_on) send_keys(server, client, NULL);
    }
    forget_keys(t);
}

/* The effort grows while it is not enough. */
void tracking_limit(struct server *server) {
    enum { EFFORT = 100 };
    struct tracking *t = &server->tracking;
    size_t max = (size_t)server->config.tracking_table_max_keys;
    if (t->client_count == 0 || max == 0 || t->key_count <= max) {
        t->evictions_in_vain = 0;
        return;
    }
    for (unsigned left = EFFORT * ++t->evictions_in_vain; left > 0 && t->key_count > max;) {
        if (t->hand >= t->bucket_count) t->hand = 0;
        struct tracked_key **at = &t->buckets[t->hand];
        if (*at == NULL) {
            t->hand++;
            continue;
        }
        struct tracked_key *k = take_out(t, at);
        tell(server, k);
        key_free(k);
        left--;
    }
}

/* --- broadcasts --- */

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len) {
    size_t common = a_len < b_len ? a_len : b_len;
    int order = common > 0 ? memcmp(a, b, common) : 0;
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_changes(const void *a, const void *b) {
    const struct tracking_change *x = a, *y = b;
    int order = compare_bytes(x->bytes, x->len, y->bytes, y->len);
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

static struct slice change_slice(const struct tracking_change *c) {
    return slice_make(c->bytes, c->len);
}

/* Of several changes of a key, the last one says who wrote it. */
static void drop_doubles(struct tracking *t) {
    size_t kept = 0;
    for (size_t i = 0; i < t->change_count; i++) {
        if (kept > 0 && slice_eq(change_slice(&t->changes[kept - 1]), change_slice(&t->changes[i])))
            mem_free(t->changes[--kept].bytes);
        t->changes[kept++] = t->changes[i];
    }
    t->change_count = kept;
}

static void drop_changes(struct tracking *t) {
    enum { KEEP_MAX = 1024 };
    for (size_t i = 0; i < t->change_count; i++) mem_free(t->changes[i].bytes);
    t->change_count = 0;
    if (t->change_cap <= KEEP_MAX) return;
    mem_free(t->changes);
    t->changes = NULL;
    t->change_cap = 0;
}

/* Those of [first, end) that are news for the prefix, without what `but` wrote itself (0: all). False when there are none. */
static bool gather(const struct tracking *t, const struct tracking_prefix *p, size_t first, size_t end,
                   uint64_t but, struct buf *out) {
    struct reply r;
    size_t count = 0;
    buf_clear(out);
    reply_init(&r, out, 2);
    size_t mark = reply_defer(&r);
    for (size_t i = first; i < end; i++) {
        const struct tracking_change *c = &t->changes[i];
        if (c->number < p->since || (but != 0 && c->writer == but)) continue;
        reply_bulk(&r, change_slice(c));
        count++;
    }
    reply_close_array(&r, mark, count);
    return count > 0;
}

static void broadcast_prefix(struct server *server, const struct tracking_prefix *p) {
    struct tracking *t = &server->tracking;
    size_t first = 0, end;
    while (first < t->change_count && !begins_with(change_slice(&t->changes[first]), p)) first++;
    for (end = first; end < t->change_count && begins_with(change_slice(&t->changes[end]), p);) end++;
    struct buf all = {0}, some = {0};
    bool any = gather(t, p, first, end, 0, &all);
    LIST_FOR_EACH(it, &p->clients) {
        if (!any) break;
        struct tracking_client *client = container_of(it, struct prefix_client, of_prefix)->client;
        if (client->no_loop && !gather(t, p, first, end, client->session->id, &some)) continue;
        struct slice keys = buf_slice(client->no_loop ? &some : &all);
        send_keys(server, client, &keys);
    }
    buf_free(&all);
    buf_free(&some);
}

void tracking_broadcast(struct server *server) {
    struct tracking *t = &server->tracking;
    if (t->change_count == 0) return;
    qsort(t->changes, t->change_count, sizeof *t->changes, compare_changes);
    drop_doubles(t);
    LIST_FOR_EACH(it, &t->prefixes)
    broadcast_prefix(server, container_of(it, struct tracking_prefix, link));
    drop_changes(t);
}

/* --- prefixes --- */

static struct tracking_prefix *prefix_for(struct tracking *t, struct slice prefix) {
    struct list *at = t->prefixes.next;
    for (; at != &t->prefixes; at = at->next) {
        struct tracking_prefix *p = container_of(at, struct tracking_prefix, link);
        int order = compare_bytes(p->bytes, p->len, prefix.data, prefix.len);
        if (order == 0) return p;
        if (order > 0) break;
    }
    struct tracking_prefix *p = mem_alloc(sizeof *p + prefix.len);
    *p = (struct tracking_prefix){.since = t->change_number + 1, .len = prefix.len};
    if (prefix.len > 0) memcpy(p->bytes, prefix.data, prefix.len);
    list_init(&p->clients);
    list_push_back(at, &p->link);
    t->prefix_count++;
    return p;
}

static void add_prefix(struct tracking *t, struct tracking_client *client, struct slice prefix) {
    struct tracking_prefix *p = prefix_for(t, prefix);
    LIST_FOR_EACH(it, &p->clients) {
        if (container_of(it, struct prefix_client, of_prefix)->client == client) return;
    }
    struct prefix_client *pc = mem_calloc(1, sizeof *pc);
    pc->prefix = p;
    pc->client = client;
    list_push_back(&p->clients, &pc->of_prefix);
    list_push_back(&client->prefixes, &pc->of_client);
    client->prefix_bytes += sizeof *pc + sizeof *p + p->len;
}

static void drop_prefixes(struct tracking *t, struct tracking_client *client) {
    client->prefix_bytes = 0;
    LIST_FOR_EACH_SAFE(it, &client->prefixes) {
        struct prefix_client *pc = container_of(it, struct prefix_client, of_client);
        list_unlink(&pc->of_prefix);
        list_unlink(&pc->of_client);
        if (list_empty(&pc->prefix->clients)) {
            list_unlink(&pc->prefix->link);
            mem_free(pc->prefix);
            t->prefix_count--;
        }
        mem_free(pc);
    }
}

void tracking_each_prefix(const struct server *server, const struct session *session,
                          tracking_prefix_fn *visit, void *arg) {
    const struct tracking_client *client = session->tracking;
    if (client == NULL) return;
    LIST_FOR_EACH(it, &server->tracking.prefixes) {
        struct tracking_prefix *p = container_of(it, struct tracking_prefix, link);
        LIST_FOR_EACH(own, &client->prefixes) {
            if (container_of(own, struct prefix_client, of_client)->prefix != p) continue;
            if (!visit(arg, slice_make(p->bytes, p->len))) return;
        }
    }
}

/* --- sessions --- */

void tracking_init(struct tracking *t) {
    *t = (struct tracking){0};
    list_init(&t->prefixes);
}

void tracking_free(struct tracking *t) {
    CHECK(t->client_count == 0);
    CHECK(list_empty(&t->prefixes));
    forget_keys(t);
    drop_changes(t);
    mem_free(t->changes);
    *t = (struct tracking){0};
}

static struct tracking_client *client_of(struct tracking *t, struct session *session) {
    if (session->tracking != NULL) return session->tracking;
    struct tracking_client *client = mem_calloc(1, sizeof *client);
    client->session = session;
    client->number = ++t->next_number;
    list_init(&client->of_target);
    list_init(&client->prefixes);
    return session->tracking = client;
}

void tracking_enable(struct server *server, struct session *session, const struct tracking_options *options,
                     const struct slice *prefixes, size_t prefix_count) {
    struct tracking *t = &server->tracking;
    struct tracking_client *client = client_of(t, session);
    if (!client->is_on) t->client_count++;
    client->is_on = true;
    client->is_broken = false;
    client->is_broadcast = options->is_broadcast;
    client->opts_in = options->opts_in;
    client->opts_out = options->opts_out;
    client->no_loop = options->no_loop;
    client->redirect = options->redirect;
    client->target = options->target;
    list_unlink(&client->of_target);
    if (client->target != NULL) list_push_back(&client->target->redirects, &client->of_target);
    if (options->is_broadcast && prefix_count == 0) add_prefix(t, client, SLICE(""));
    for (size_t i = 0; options->is_broadcast && i < prefix_count; i++) add_prefix(t, client, prefixes[i]);
    ks_watch(server->ks, KS_WATCHER_TRACKING, change_cb,
             server); /* again: the state may be another one by now */
}

/* Keys go on naming who tracks no more: as in Redis, it hears of them if it tracks again. */
void tracking_disable(struct server *server, struct session *session) {
    struct tracking *t = &server->tracking;
    struct tracking_client *client = session->tracking;
    if (client == NULL || !client->is_on) return;
    drop_prefixes(t, client);
    client->is_on = client->is_broken = client->is_broadcast = client->opts_in = client->opts_out = false;
    client->no_loop = client->caching = false;
    client->redirect = 0;
    client->target = NULL;
    list_unlink(&client->of_target);
    if (--t->client_count > 0) return;
    forget_keys(t);
    drop_changes(t);
    if (server->ks != NULL) ks_watch(server->ks, KS_WATCHER_TRACKING, NULL, NULL);
}

void tracking_forget(struct server *server, struct session *session) {
    LIST_FOR_EACH_SAFE(it, &session->redirects) {
        container_of(it, struct tracking_client, of_target)->target = NULL;
        list_unlink(it);
    }
    struct tracking_client *client = session->tracking;
    if (client == NULL) return;
    tracking_disable(server, session);
    session->tracking = NULL;
    client->session = NULL;
    if (client->key_count == 0) mem_free(client);
}

size_t tracking_memory(const struct session *session) {
    const struct tracking_client *client = session->tracking;
    return client != NULL ? sizeof *client + client->prefix_bytes : 0;
}

bool tracking_is_caching(const struct session *session) {
    return session->tracking != NULL && session->tracking->caching;
}

void tracking_command_taken(struct session *session) {
    const struct command *cmd = session->last_command;
    if (session->transaction.is_open) return; /* EXEC is still to come */
    if (cmd != NULL && cmd->parent != NULL && strcmp(cmd->parent->name, "client") == 0) return;
    session->tracking->caching = false;
}
