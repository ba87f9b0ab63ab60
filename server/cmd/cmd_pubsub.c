/* SUBSCRIBE, PUBLISH and their relatives. Who listens to what is pubsub.c's. */
#include "cmd.h"
#include "handlers.h"
#include "server.h"

static const char *const subscribe_words[TOPIC_KINDS] = {"subscribe", "psubscribe", "ssubscribe"};
static const char *const unsubscribe_words[TOPIC_KINDS] = {"unsubscribe", "punsubscribe", "sunsubscribe"};

/* --- listening --- */

/* Three words for each name: these are pushes, which CLIENT REPLY does not silence. */
static void say(struct cmd_ctx *c, const char *word, struct slice name, enum topic_kind kind) {
    struct session *s = c->session;
    struct buf aside = {0};
    struct reply pushed, *r = c->reply;
    bool is_silenced = r->out == NULL || s->reply_mode != SESSION_REPLY_ON;
    if (is_silenced) {
        reply_init(&pushed, &aside, r->resp);
        r = &pushed;
    }
    reply_push(r, 3);
    reply_bulk_str(r, word);
    if (name.data != NULL)
        reply_bulk(r, name);
    else
        reply_null(r);
    reply_int(r, subscriptions_shown(&s->subscriptions, kind));
    if (is_silenced) c->server->host->session_push(c->server->host, s, buf_slice(&aside));
    buf_free(&aside);
}

static struct slice name_at(const struct cmd_ctx *c, int i) {
    struct slice name = c->argv[i];
    return name.data != NULL ? name : SLICE("");
}

static void subscribe(struct cmd_ctx *c, enum topic_kind kind) {
    struct subscriptions *all = &c->session->subscriptions;
    bool is_local = all->is_local || !subscriptions_any(all);
    all->is_local = is_local && sentinel_news_is_for(c->session, c->cmd, c->argc, c->argv);
    if (all->is_local) sentinel_news_look(c->server); /* what is so already is no news for it */
    for (int i = 1; i < c->argc; i++) {
        pubsub_subscribe(c->server, c->session, kind, name_at(c, i));
        say(c, subscribe_words[kind], name_at(c, i), kind);
    }
}

static void unsubscribe_all(struct cmd_ctx *c, enum topic_kind kind) {
    struct buf name = {0};
    struct slice oldest = subscriptions_oldest(&c->session->subscriptions, kind);
    if (oldest.data == NULL) say(c, unsubscribe_words[kind], oldest, kind);
    while (oldest.data != NULL) {
        buf_clear(&name);
        buf_reserve(&name, 1); /* an empty name is one, too */
        buf_add_slice(&name, oldest);
        pubsub_unsubscribe(c->server, c->session, kind, buf_slice(&name));
        say(c, unsubscribe_words[kind], buf_slice(&name), kind);
        oldest = subscriptions_oldest(&c->session->subscriptions, kind);
    }
    buf_free(&name);
}

static void unsubscribe(struct cmd_ctx *c, enum topic_kind kind) {
    if (c->argc == 1) unsubscribe_all(c, kind);
    for (int i = 1; i < c->argc; i++) {
        pubsub_unsubscribe(c->server, c->session, kind, name_at(c, i));
        say(c, unsubscribe_words[kind], name_at(c, i), kind);
    }
}

void cmd_subscribe(struct cmd_ctx *c) {
    subscribe(c, TOPIC_CHANNEL);
}

void cmd_psubscribe(struct cmd_ctx *c) {
    subscribe(c, TOPIC_PATTERN);
}

void cmd_ssubscribe(struct cmd_ctx *c) {
    subscribe(c, TOPIC_SHARD);
}

void cmd_unsubscribe(struct cmd_ctx *c) {
    unsubscribe(c, TOPIC_CHANNEL);
}

void cmd_punsubscribe(struct cmd_ctx *c) {
    unsubscribe(c, TOPIC_PATTERN);
}

void cmd_sunsubscribe(struct cmd_ctx *c) {
    unsubscribe(c, TOPIC_SHARD);
}

/* --- telling --- */

void cmd_publish(struct cmd_ctx *c) {
    size_t count = pubsub_publish(c->server, name_at(c, 1), c->argv[2]);
    reply_int(c->reply,
              c->in_logged_script ? 0 : (int64_t)count); /* listeners are where the leader is, only */
}

void cmd_spublish(struct cmd_ctx *c) {
    size_t count = pubsub_publish_shard(c->server, name_at(c, 1), c->argv[2]);
    reply_int(c->reply, c->in_logged_script ? 0 : (int64_t)count);
}

/* --- PUBSUB --- */

struct listing {
    struct reply *reply;
    const struct slice *pattern; /* NULL: all */
    size_t count;
};

static void list_topic(void *arg, struct slice name) {
    struct listing *l = arg;
    if (l->pattern != NULL && !glob_match(*l->pattern, name, false)) return;
    reply_bulk(l->reply, name);
    l->count++;
}

static void list_topics(struct cmd_ctx *c, enum topic_kind kind) {
    if (c->argc > 3) {
        reply_errorf(c->reply,
                     "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.",
                     cmd_quoted(c->argv[1]), c->argv[1].data);
        return;
    }
    struct listing l = {.reply = c->reply, .pattern = c->argc == 3 ? &c->argv[2] : NULL};
    size_t mark = reply_defer(c->reply);
    pubsub_each_topic(c->server, kind, list_topic, &l);
    reply_close_array(c->reply, mark, l.count);
}

static void count_listeners(struct cmd_ctx *c, enum topic_kind kind) {
    reply_array(c->reply, 2 * (size_t)(c->argc - 2));
    for (int i = 2; i < c->argc; i++) {
        reply_bulk(c->reply, c->argv[i]);
        reply_int(c->reply, (int64_t)pubsub_listeners(c->server, kind, name_at(c, i)));
    }
}

void cmd_pubsub_channels(struct cmd_ctx *c) {
    list_topics(c, TOPIC_CHANNEL);
}

void cmd_pubsub_shardchannels(struct cmd_ctx *c) {
    list_topics(c, TOPIC_SHARD);
}

void cmd_pubsub_numsub(struct cmd_ctx *c) {
    count_listeners(c, TOPIC_CHANNEL);
}

void cmd_pubsub_shardnumsub(struct cmd_ctx *c) {
    count_listeners(c, TOPIC_SHARD);
}

void cmd_pubsub_numpat(struct cmd_ctx *c) {
    reply_int(c->reply, (int64_t)c->server->pubsub.topics[TOPIC_PATTERN].count);
}
