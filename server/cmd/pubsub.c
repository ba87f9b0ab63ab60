/* See pubsub.h. */
#include "pubsub.h"

#include "hash.h"
#include "mem.h"
#include "server.h"

#include <string.h>

/* One session that listens to one topic. */
struct subscription {
    struct subscription *chain; /* next in its bucket */
    struct list of_topic, of_session;
    struct topic *topic;
    struct session *session;
};

/* There is one exactly while somebody listens. */
struct topic {
    struct topic *chain;       /* next in its bucket */
    struct list link;          /* in topic_table.all */
    struct list subscriptions; /* oldest first */
    size_t subscription_count;
    uint64_t hash;
    enum topic_kind kind;
    size_t len;
    char name[];
};

static struct slice name_of(const struct topic *t) {
    return slice_make(t->name, t->len);
}

static struct subscription *of_topic(struct list *link) {
    return container_of(link, struct subscription, of_topic);
}

static struct subscription *of_session(struct list *link) {
    return container_of(link, struct subscription, of_session);
}

void pubsub_init(struct pubsub *p, uint64_t seed) {
    *p = (struct pubsub){.seed = seed};
    for (int kind = 0; kind < TOPIC_KINDS; kind++) list_init(&p->topics[kind].all);
}

void pubsub_free(struct pubsub *p) {
    CHECK(p->count == 0);
    for (int kind = 0; kind < TOPIC_KINDS; kind++) {
        CHECK(p->topics[kind].count == 0);
        mem_free(p->topics[kind].buckets);
    }
    mem_free(p->buckets);
    buf_free(&p->frame);
}

void subscriptions_init(struct subscriptions *s) {
    *s = (struct subscriptions){0};
    for (int kind = 0; kind < TOPIC_KINDS; kind++) list_init(&s->of_kind[kind]);
}

struct slice subscriptions_oldest(const struct subscriptions *s, enum topic_kind kind) {
    const struct list *head = &s->of_kind[kind];
    return list_empty(head) ? (struct slice){0} : name_of(of_session(head->next)->topic);
}

/* --- topics --- */

enum { BUCKETS_MIN = 64 };

static struct topic *find_topic(const struct pubsub *p, enum topic_kind kind, struct slice name) {
    const struct topic_table *table = &p->topics[kind];
    if (table->count == 0) return NULL;
    uint64_t hash = hash64_seeded(p->seed, name);
    struct topic *t = table->buckets[hash & (table->bucket_count - 1)];
    while (t != NULL && !(t->hash == hash && slice_eq(name_of(t), name))) t = t->chain;
    return t;
}

static void grow_topics(struct topic_table *table) {
    size_t count = table->bucket_count ? table->bucket_count * 2 : BUCKETS_MIN;
    struct topic **buckets = mem_calloc(count, sizeof(struct topic *));
    LIST_FOR_EACH(it, &table->all) {
        struct topic *t = container_of(it, struct topic, link);
        t->chain = buckets[t->hash & (count - 1)];
        buckets[t->hash & (count - 1)] = t;
    }
    mem_free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
}

static struct topic *make_topic(struct pubsub *p, enum topic_kind kind, struct slice name) {
    struct topic_table *table = &p->topics[kind];
    if (table->count >= table->bucket_count) grow_topics(table);
    struct topic *t = mem_alloc(sizeof *t + name.len);
    *t = (struct topic){.hash = hash64_seeded(p->seed, name), .kind = kind, .len = name.len};
    if (name.len > 0) memcpy(t->name, name.data, name.len);
    list_init(&t->subscriptions);
    list_push_back(&table->all, &t->link);
    struct topic **bucket = &table->buckets[t->hash & (table->bucket_count - 1)];
    t->chain = *bucket;
    *bucket = t;
    table->count++;
    return t;
}

static void drop_topic(struct pubsub *p, struct topic *t) {
    struct topic_table *table = &p->topics[t->kind];
    struct topic **at = &table->buckets[t->hash & (table->bucket_count - 1)];
    while (*at != t) at = &(*at)->chain;
    *at = t->chain;
    list_unlink(&t->link);
    table->count--;
    mem_free(t);
}

/* --- subscriptions --- */

static uint64_t hash_of(const struct topic *t, const struct session *session) {
    uint64_t bits = (t->hash + (uint64_t)t->kind) ^ (session->id * UINT64_C(0x9e3779b97f4a7c15));
    return bits ^ bits >> 29;
}

static struct subscription **bucket_of(const struct pubsub *p, const struct topic *t,
                                       const struct session *session) {
    return &p->buckets[hash_of(t, session) & (p->bucket_count - 1)];
}

static struct subscription *find(const struct pubsub *p, const struct topic *t,
                                 const struct session *session) {
    if (t == NULL || p->count == 0) return NULL;
    struct subscription *s = *bucket_of(p, t, session);
    while (s != NULL && !(s->topic == t && s->session == session)) s = s->chain;
    return s;
}

static void grow(struct pubsub *p) {
    struct subscription **old = p->buckets;
    size_t old_count = p->bucket_count;
    p->bucket_count = old_count ? old_count * 2 : BUCKETS_MIN;
    p->buckets = mem_calloc(p->bucket_count, sizeof(struct subscription *));
    for (size_t i = 0; i < old_count; i++) {
        for (struct subscription *s = old[i], *next; s != NULL; s = next) {
            struct subscription **bucket = bucket_of(p, s->topic, s->session);
            next = s->chain;
            s->chain = *bucket;
            *bucket = s;
        }
    }
    mem_free(old);
}

void pubsub_subscribe(struct server *server, struct session *session, enum topic_kind kind,
                      struct slice name) {
    struct pubsub *p = &server->pubsub;
    struct topic *t = find_topic(p, kind, name);
    if (find(p, t, session) != NULL) return;
    if (t == NULL) t = make_topic(p, kind, name);
    if (p->count >= p->bucket_count) grow(p);
    struct subscription *s = mem_alloc(sizeof *s);
    struct subscription **bucket = bucket_of(p, t, session);
    *s = (struct subscription){.chain = *bucket, .topic = t, .session = session};
    *bucket = s;
    list_push_back(&t->subscriptions, &s->of_topic);
    list_push_back(&session->subscriptions.of_kind[kind], &s->of_session);
    t->subscription_count++;
    session->subscriptions.counts[kind]++;
    session->subscriptions.bytes += sizeof *s + sizeof *t + t->len;
    p->count++;
}

static void end(struct pubsub *p, struct subscription *s) {
    struct subscription **at = bucket_of(p, s->topic, s->session);
    struct topic *t = s->topic;
    while (*at != s) at = &(*at)->chain;
    *at = s->chain;
    list_unlink(&s->of_topic);
    list_unlink(&s->of_session);
    s->session->subscriptions.counts[t->kind]--;
    s->session->subscriptions.bytes -= sizeof *s + sizeof *t + t->len;
    p->count--;
    if (--t->subscription_count == 0) drop_topic(p, t);
    mem_free(s);
}

void pubsub_unsubscribe(struct server *server, struct session *session, enum topic_kind kind,
                        struct slice name) {
    struct subscription *s = find(&server->pubsub, find_topic(&server->pubsub, kind, name), session);
    if (s != NULL) end(&server->pubsub, s);
    if (!subscriptions_any(&session->subscriptions)) session->subscriptions.is_local = false;
}

void pubsub_forget(struct server *server, struct session *session) {
    for (int kind = 0; kind < TOPIC_KINDS; kind++) {
        LIST_FOR_EACH_SAFE(it, &session->subscriptions.of_kind[kind]) end(&server->pubsub, of_session(it));
    }
    session->subscriptions.is_local = false;
}

void pubsub_each_of(const struct session *session, enum topic_kind kind,
                    bool (*fn)(void *arg, struct slice name), void *arg) {
    LIST_FOR_EACH(it, (struct list *)&session->subscriptions.of_kind[kind]) {
        if (!fn(arg, name_of(of_session(it)->topic))) return;
    }
}

/* --- messages --- */

/* Encoded once: the two protocols differ in the first byte only. */
static void begin_frame(struct pubsub *p, struct reply *r, size_t parts, const char *type) {
    buf_clear(&p->frame);
    reply_init(r, &p->frame, 3);
    reply_push(r, parts);
    reply_bulk_str(r, type);
}

static size_t deliver(struct server *server, const struct topic *t) {
    struct buf *frame = &server->pubsub.frame;
    LIST_FOR_EACH(it, (struct list *)&t->subscriptions) {
        struct session *to = of_topic(it)->session;
        frame->data[0] = to->resp == 2 ? '*' : '>';
        server->host->session_push(server->host, to, buf_slice(frame));
    }
    return t->subscription_count;
}

static size_t publish(struct server *server, enum topic_kind kind, const char *type, struct slice channel,
                      struct slice message) {
    struct pubsub *p = &server->pubsub;
    const struct topic *t = find_topic(p, kind, channel);
    struct reply r;
    if (t == NULL) return 0;
    begin_frame(p, &r, 3, type);
    reply_bulk(&r, channel);
    reply_bulk(&r, message);
    return deliver(server, t);
}

static size_t publish_to_patterns(struct server *server, struct slice channel, struct slice message) {
    struct pubsub *p = &server->pubsub;
    size_t told = 0;
    LIST_FOR_EACH(it, &p->topics[TOPIC_PATTERN].all) {
        const struct topic *t = container_of(it, struct topic, link);
        struct reply r;
        if (!glob_match(name_of(t), channel, false)) continue;
        begin_frame(p, &r, 4, "pmessage");
        reply_bulk(&r, name_of(t));
        reply_bulk(&r, channel);
        reply_bulk(&r, message);
        told += deliver(server, t);
    }
    return told;
}

/* A large message is not kept. */
static void end_frame(struct pubsub *p) {
    enum { KEEP_MAX = 64 << 10 };
    if (p->frame.cap > KEEP_MAX) buf_free(&p->frame);
}

size_t pubsub_tell(struct server *server, struct slice channel, struct slice message) {
    size_t told = publish(server, TOPIC_CHANNEL, "message", channel, message);
    told += publish_to_patterns(server, channel, message);
    end_frame(&server->pubsub);
    return told;
}

size_t pubsub_publish(struct server *server, struct slice channel, struct slice message) {
    return server->leadership == LEADERSHIP_HERE ? pubsub_tell(server, channel, message) : 0;
}

size_t pubsub_publish_shard(struct server *server, struct slice channel, struct slice message) {
    if (server->leadership != LEADERSHIP_HERE) return 0;
    size_t told = publish(server, TOPIC_SHARD, "smessage", channel, message);
    end_frame(&server->pubsub);
    return told;
}

size_t pubsub_listeners(const struct server *server, enum topic_kind kind, struct slice name) {
    const struct topic *t = find_topic(&server->pubsub, kind, name);
    return t != NULL ? t->subscription_count : 0;
}

void pubsub_each_topic(const struct server *server, enum topic_kind kind,
                       void (*fn)(void *arg, struct slice name), void *arg) {
    LIST_FOR_EACH(it, (struct list *)&server->pubsub.topics[kind].all)
    fn(arg, name_of(container_of(it, struct topic, link)));
}
