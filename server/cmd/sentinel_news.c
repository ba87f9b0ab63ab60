/* See sentinel_news.h. */
#include "sentinel_news.h"

#include "cmd_topology.h"
#include "handlers.h"
#include "server.h"

#include <stdio.h>
#include <string.h>

/* --- what is for whom --- */

/* What Sentinel publishes, without the sign in front. */
static const char *const events[] = {
    "switch-master",
    "sdown",
    "odown",
    "slave",
    "sentinel",
    "reset-master",
    "reboot",
    "tilt",
    "slave-reconf-sent",
    "slave-reconf-inprog",
    "slave-reconf-done",
    "replica-reconf-done",
    "dup-sentinel",
    "new-epoch",
    "try-failover",
    "elected-leader",
    "failover-end",
    "failover-end-for-timeout",
    "config-update-from",
    "convert-to-slave",
    "fix-slave-config",
    "role-change",
    "sentinel-address-switch",
};
enum { EVENT_COUNT = sizeof events / sizeof *events };

static bool has_sign(struct slice s) {
    return s.len > 0 && (s.data[0] == '+' || s.data[0] == '-');
}

static struct slice behind(struct slice s, size_t len) {
    return slice_make(s.data + len, s.len - len);
}

static bool is_event(struct slice name) {
    for (size_t i = 0; i < EVENT_COUNT; i++)
        if (slice_eq(name, slice_of(events[i]))) return true;
    return false;
}

/* "[-+]sdown" */
static bool has_either_sign(struct slice pattern) {
    return pattern.len > 4 && pattern.data[0] == '[' && has_sign(behind(pattern, 1)) &&
           has_sign(behind(pattern, 2)) && pattern.data[3] == ']';
}

static bool matches_an_event(struct slice pattern) {
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "+%s", events[i]);
        if (glob_match(pattern, slice_of(name), false)) return true;
    }
    return false;
}

static bool is_for_news(const struct session *session, bool is_pattern, struct slice name) {
    if (has_sign(name) && is_event(behind(name, 1))) return true;
    if (!is_pattern) return false;
    if (has_either_sign(name) && is_event(behind(name, 4))) return true;
    return session->asks_sentinel && matches_an_event(name);
}

bool sentinel_news_is_for(const struct session *session, const struct command *cmd, int argc,
                          const struct slice *argv) {
    bool is_pattern = cmd->fn == cmd_psubscribe;
    if (!is_pattern && cmd->fn != cmd_subscribe) return false;
    for (int i = 1; i < argc; i++)
        if (!is_for_news(session, is_pattern, argv[i])) return false;
    return true;
}

/* --- names --- */

/* So many clients ask for so few names. */
void sentinel_news_of(struct server *s, struct slice name) {
    struct sentinel_news *news = &s->sentinel_news;
    if (name.len == 0 || name.len >= SENTINEL_NAME_CAP || memchr(name.data, '\0', name.len) != NULL) return;
    for (size_t i = 0; i < news->name_count; i++)
        if (slice_eq(name, slice_of(news->names[i]))) return;
    if (news->name_count == SENTINEL_NAMES_MAX) return;
    char *text = news->names[news->name_count++];
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
}

/* A configured name may have been asked for, too; it is to be told once. */
static bool is_configured(const struct server *s, struct slice name) {
    for (const char *p = s->config.sentinel_master_name; *p != '\0';) {
        size_t len = strcspn(p, " ");
        if (len > 0 && slice_eq(slice_make(p, len), name)) return true;
        p += len + strspn(p + len, " ");
    }
    return false;
}

/* --- telling --- */

struct teller {
    struct server *server;
    const struct topology *topology;
    const struct cluster_node *about; /* NULL: the leader */
};

static void for_each_name(struct teller *t, const char *event,
                          void (*write)(const struct teller *t, struct slice name, struct buf *out)) {
    struct server *s = t->server;
    struct buf text = {0};
    for (const char *p = s->config.sentinel_master_name; *p != '\0';) {
        size_t len = strcspn(p, " ");
        buf_clear(&text);
        write(t, slice_make(p, len), &text);
        if (len > 0) pubsub_tell(s, slice_of(event), buf_slice(&text));
        p += len + strspn(p + len, " ");
    }
    for (size_t i = 0; i < s->sentinel_news.name_count; i++) {
        struct slice name = slice_of(s->sentinel_news.names[i]);
        if (is_configured(s, name)) continue;
        buf_clear(&text);
        write(t, name, &text);
        pubsub_tell(s, slice_of(event), buf_slice(&text));
    }
    buf_free(&text);
}

static void write_switch(const struct teller *t, struct slice name, struct buf *out) {
    const struct sentinel_news *old = &t->server->sentinel_news;
    const struct cluster_node *leader = t->topology->leader;
    buf_printf(out, "%.*s %s %d %s %d", (int)name.len, name.data, old->host, old->port, leader->host,
               leader->port);
}

static void write_replica(const struct teller *t, struct slice name, struct buf *out) {
    const struct cluster_node *n = t->about, *leader = t->topology->leader;
    buf_printf(out, "slave %s:%d %s %d @ %.*s %s %d", n->host, n->port, n->host, n->port, (int)name.len,
               name.data, leader->host, leader->port);
}

static void write_sentinel(const struct teller *t, struct slice name, struct buf *out) {
    const struct cluster_node *n = t->about, *leader = t->topology->leader;
    buf_printf(out, "sentinel %s %s %d @ %.*s %s %d", n->name, n->host, n->port, (int)name.len, name.data,
               leader->host, leader->port);
}

static void tell_leader(struct server *s, const struct topology *t) {
    struct sentinel_news *news = &s->sentinel_news;
    struct teller teller = {.server = s, .topology = t};
    bool is_same = news->port == t->leader->port && strcmp(news->host, t->leader->host) == 0;
    if (is_same) return;
    if (news->host[0] != '\0') for_each_name(&teller, "+switch-master", write_switch);
    snprintf(news->host, sizeof news->host, "%s", t->leader->host);
    news->port = t->leader->port;
}

static const struct known_node *find_known(const struct sentinel_news *news, uint64_t id) {
    for (size_t i = 0; i < news->node_count; i++)
        if (news->nodes[i].id == id) return &news->nodes[i];
    return NULL;
}

static void tell_node(struct server *s, const struct topology *t, const struct cluster_node *node) {
    const struct sentinel_news *news = &s->sentinel_news;
    const struct known_node *known = find_known(news, node->member->id);
    struct teller teller = {.server = s, .topology = t, .about = node};
    bool was_down = known != NULL && known->is_down;
    if (!news->has_looked) return;
    if (known == NULL && node != t->leader) for_each_name(&teller, "+slave", write_replica);
    if (known == NULL) for_each_name(&teller, "+sentinel", write_sentinel);
    if (was_down == node->is_failing) return;
    const char *event = node->is_failing ? "+sdown" : "-sdown";
    if (node != t->leader) for_each_name(&teller, event, write_replica);
    for_each_name(&teller, event, write_sentinel);
}

static bool is_other_voter(const struct cluster_node *node) {
    return !node->member->is_self && !node->is_learner;
}

void sentinel_news_look(struct server *s) {
    struct cmd_ctx c = {.server = s};
    struct sentinel_news *news = &s->sentinel_news;
    struct topology t;
    topology_load(&c, &t);
    if (t.leader == NULL) return; /* what there is to tell will be told by the name of the next one */
    tell_leader(s, &t);
    for (size_t i = 0; i < t.view.count; i++)
        if (is_other_voter(&t.view.nodes[i])) tell_node(s, &t, &t.view.nodes[i]);
    news->node_count = 0;
    for (size_t i = 0; i < t.view.count; i++) {
        const struct cluster_node *node = &t.view.nodes[i];
        if (!is_other_voter(node)) continue;
        news->nodes[news->node_count++] =
            (struct known_node){.id = node->member->id, .is_down = node->is_failing};
    }
    news->has_looked = true;
}
