/* Who listens to what: channels, patterns of channels and shard channels, and the messages that come of it. Subscriptions
 * live in memory of the node that leads and are in no log (README, "Publish and subscribe"). Belongs to the loop thread. */
#ifndef CMD_PUBSUB_H
#define CMD_PUBSUB_H

#include "buf.h"
#include "list.h"

struct server;
struct session;
struct subscription;
struct topic;

/* Each has names of its own: a message to a channel goes to listeners of that channel and of patterns that match it, one
 * to a shard channel to its listeners only. */
enum topic_kind { TOPIC_CHANNEL, TOPIC_PATTERN, TOPIC_SHARD, TOPIC_KINDS };

/* What a session listens to. */
struct subscriptions {
    struct list of_kind[TOPIC_KINDS]; /* of struct subscription, oldest first */
    uint32_t counts[TOPIC_KINDS];
    size_t bytes;  /* what they take of memory */
    bool is_local; /* all of it is news of this node (SENTINEL), which has it whoever leads */
};

/* All topics of a kind that somebody listens to. */
struct topic_table {
    struct topic **buckets;
    size_t bucket_count, count; /* a power of two, or 0 */
    struct list all;            /* oldest first */
};

struct pubsub {
    struct topic_table topics[TOPIC_KINDS];
    struct subscription **buckets; /* of all subscriptions, by topic and session */
    size_t bucket_count, count;
    uint64_t seed;    /* drawn by this process: nobody can choose names that share a bucket */
    struct buf frame; /* the message that is being delivered */
};

void pubsub_init(struct pubsub *p, uint64_t seed);
void pubsub_free(struct pubsub *p); /* nobody listens any more */

void subscriptions_init(struct subscriptions *s);
static inline bool subscriptions_any(const struct subscriptions *s) {
    return (s->counts[TOPIC_CHANNEL] | s->counts[TOPIC_PATTERN] | s->counts[TOPIC_SHARD]) != 0;
}
static inline bool pubsub_is_idle(const struct pubsub *p) { /* nobody listens to anything */
    return p->count == 0;
}
/* What replies call the number of subscriptions: channels and patterns together, shard channels by themselves. */
static inline uint32_t subscriptions_shown(const struct subscriptions *s, enum topic_kind kind) {
    return kind == TOPIC_SHARD ? s->counts[TOPIC_SHARD] : s->counts[TOPIC_CHANNEL] + s->counts[TOPIC_PATTERN];
}
/* The name of the oldest subscription of that kind, good until it ends; data NULL: there is none. */
struct slice subscriptions_oldest(const struct subscriptions *s, enum topic_kind kind);

/* Nothing happens when the session listens to it already, or does not. */
void pubsub_subscribe(struct server *s, struct session *session, enum topic_kind kind, struct slice name);
void pubsub_unsubscribe(struct server *s, struct session *session, enum topic_kind kind, struct slice name);
/* From all, without a word. */
void pubsub_forget(struct server *s, struct session *session);
/* Calls back for each subscription of the session, until that says false. */
void pubsub_each_of(const struct session *session, enum topic_kind kind,
                    bool (*fn)(void *arg, struct slice name), void *arg);

/* PUBLISH, and whatever else the leader has to tell who listens: returns how many were told. A message comes in the
 * subscribers' output at once, in its place among their replies. On a node that does not lead nobody is told. */
size_t pubsub_publish(struct server *s, struct slice channel, struct slice message);
size_t pubsub_publish_shard(struct server *s, struct slice channel, struct slice message);
/* News of this node, for who listens here, whoever leads. */
size_t pubsub_tell(struct server *s, struct slice channel, struct slice message);

size_t pubsub_listeners(const struct server *s, enum topic_kind kind, struct slice name);
/* Calls back for each topic of that kind, oldest first. */
void pubsub_each_topic(const struct server *s, enum topic_kind kind, void (*fn)(void *arg, struct slice name),
                       void *arg);

#endif
