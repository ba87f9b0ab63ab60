/* See server.h. */
#include "server.h"

#include "events.h"
#include "script.h"

static void make_run_id(struct server *s) {
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = 0;
    for (size_t i = 0; i < sizeof s->run_id - 1; i++) {
        if (i % 16 == 0) bits = s->host->random(s->host);
        s->run_id[i] = digits[bits & 15];
        bits >>= 4;
    }
}

void server_init(struct server *s, struct host *host, struct keyspace *ks) {
    CHECK(host != NULL);
    *s = (struct server){.host = host, .ks = ks, .next_session_id = 1, .active_expire = true};
    s->executable = s->config_file = "";
    list_init(&s->sessions);
    list_init(&s->monitors);
    feed_init(&s->feed);
    tracking_init(&s->tracking);
    config_init(&s->config);
    acl_init(&s->acl);
    stats_init(&s->stats);
    pubsub_init(&s->pubsub, host->random(host));
    s->start_ms = host->now_us(host) / 1000;
    make_run_id(s);
}

void server_free(struct server *s) {
    CHECK(list_empty(&s->sessions));
    if (s->scripts != NULL) script_engine_free(s->scripts);
    arena_free(&s->script_arena);
    buf_free(&s->event_channel);
    buf_free(&s->monitor_line);
    watch_table_free(&s->watches);
    tracking_free(&s->tracking);
    pushes_free(&s->pushes);
    feed_free(&s->feed);
    pubsub_free(&s->pubsub);
    stats_free(&s->stats);
    acl_free(&s->acl);
    prepared_free(&s->prepared);
    config_free(&s->config);
}

void server_set_keyspace(struct server *s, struct keyspace *ks) {
    s->ks = ks;
    events_configure(s);
}

void server_tick(struct server *s, int64_t now_ms) {
    struct host_usage usage = {0};
    s->host->usage(s->host, &usage);
    rate_sample(&s->stats.ops, s->stats.commands_processed, now_ms);
    rate_sample(&s->stats.net_in, usage.net_in_bytes, now_ms);
    rate_sample(&s->stats.net_out, usage.net_out_bytes, now_ms);
    tracking_limit(s);
    feed_tick(s, now_ms);
    sentinel_news_look(s);
}
