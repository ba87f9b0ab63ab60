/* LATENCY: spikes by event, and how long commands take. */
#include "cmd.h"
#include "handlers.h"
#include "server.h"

#include <stdio.h>

static int sample_count(const struct latency_event *e) {
    struct latency_sample s;
    int n = 0;
    while (latency_sample_at(e, n, &s)) n++;
    return n;
}

void cmd_latency_latest(struct cmd_ctx *c) {
    const struct stats *s = &c->server->stats;
    reply_array(c->reply, (size_t)s->latency_event_count);
    for (int i = 0; i < s->latency_event_count; i++) {
        const struct latency_event *e = &s->latency_events[i];
        struct latency_sample last = {0};
        CHECK(latency_sample_at(e, sample_count(e) - 1, &last));
        reply_array(c->reply, 4);
        reply_bulk_str(c->reply, e->name);
        reply_int(c->reply, last.time_s);
        reply_int(c->reply, last.ms);
        reply_int(c->reply, e->max_ms);
    }
}

void cmd_latency_history(struct cmd_ctx *c) {
    const struct latency_event *e = latency_find(&c->server->stats, c->argv[2]);
    if (e == NULL) {
        reply_array(c->reply, 0);
        return;
    }
    int count = sample_count(e);
    reply_array(c->reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        struct latency_sample s = {0};
        CHECK(latency_sample_at(e, i, &s));
        reply_array(c->reply, 2);
        reply_int(c->reply, s.time_s);
        reply_int(c->reply, s.ms);
    }
}

void cmd_latency_reset(struct cmd_ctx *c) {
    struct stats *s = &c->server->stats;
    int64_t removed = 0;
    if (c->argc == 2) {
        removed = s->latency_event_count;
        s->latency_event_count = 0;
    }
    for (int i = 2; i < c->argc; i++) {
        struct latency_event *e = latency_find(s, c->argv[i]);
        if (e == NULL) continue;
        latency_remove(s, e);
        removed++;
    }
    reply_int(c->reply, removed);
}

void cmd_latency_doctor(struct cmd_ctx *c) {
    const struct stats *s = &c->server->stats;
    struct buf text = {0};
    if (c->server->config.latency_monitor_threshold == 0) {
        buf_add_str(&text,
                    "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it "
                    "on.\n");
    } else if (s->latency_event_count == 0) {
        buf_add_str(&text, "No event took as long as latency-monitor-threshold since monitoring began.\n");
    }
    for (int i = 0; i < s->latency_event_count; i++) {
        const struct latency_event *e = &s->latency_events[i];
        uint64_t sum = 0;
        int n = sample_count(e);
        for (int k = 0; k < n; k++) {
            struct latency_sample sample = {0};
            CHECK(latency_sample_at(e, k, &sample));
            sum += sample.ms;
        }
        buf_printf(&text, "%d. %s: %d latency spikes, %.1f ms on average, worst all time event %u ms.\n",
                   i + 1, e->name, n, n > 0 ? (double)sum / n : 0.0, e->max_ms);
    }
    reply_verbatim(c->reply, "txt", buf_slice(&text));
    buf_free(&text);
}

/* One column for each sample, oldest first. */
void cmd_latency_graph(struct cmd_ctx *c) {
    enum { ROWS = 4 };
    const struct latency_event *e = latency_find(&c->server->stats, c->argv[2]);
    if (e == NULL) {
        reply_errorf(c->reply, "ERR No samples available for event '%.*s'", (int)c->argv[2].len,
                     c->argv[2].data);
        return;
    }
    struct latency_sample samples[LATENCY_SAMPLES];
    int n = 0;
    uint32_t high = 0, low = UINT32_MAX;
    while (n < LATENCY_SAMPLES && latency_sample_at(e, n, &samples[n])) {
        if (samples[n].ms > high) high = samples[n].ms;
        if (samples[n].ms < low) low = samples[n].ms;
        n++;
    }
    struct buf text = {0};
    buf_printf(&text, "%s - high %u ms, low %u ms (all time high %u ms)\n", e->name, high, low, e->max_ms);
    for (int i = 0; i < n; i++) buf_add_byte(&text, '-');
    buf_add_byte(&text, '\n');
    for (uint32_t row = ROWS; row-- > 0;) {
        for (int i = 0; i < n; i++) {
            uint32_t level = high > low ? (samples[i].ms - low) * (ROWS - 1) / (high - low) : 0;
            buf_add_byte(&text, level == row ? '#' : level > row ? '|' : ' ');
        }
        buf_add_byte(&text, '\n');
    }
    reply_verbatim(c->reply, "txt", buf_slice(&text));
    buf_free(&text);
}

/* --- LATENCY HISTOGRAM --- */

static void reply_histogram(struct reply *r, const struct command *cmd, const struct histogram *h) {
    enum { FIRST_BITS = 10, LAST_BITS = 42 }; /* 1 us to an hour */
    char name[COMMAND_NAME_CAP];
    command_full_name(cmd, name, sizeof name);
    reply_bulk_str(r, name);
    reply_map(r, 2);
    reply_bulk_str(r, "calls");
    reply_int(r, (int64_t)h->count);
    reply_bulk_str(r, "histogram_usec");
    size_t mark = reply_defer(r), pairs = 0;
    uint64_t before = 0;
    for (int bits = FIRST_BITS; bits <= LAST_BITS && before < h->count; bits++) {
        int64_t top_ns = (INT64_C(1) << bits) - 1;
        uint64_t count = histogram_count_to(h, top_ns);
        if (count == before) continue;
        reply_int(r, top_ns / 1000);
        reply_int(r, (int64_t)count);
        pairs++;
        before = count;
    }
    reply_close_map(r, mark, pairs);
}

static size_t reply_one(struct cmd_ctx *c, const struct command *cmd) {
    const struct histogram *h = c->server->stats.commands[cmd->id].latency;
    if (h == NULL || (cmd->flags & CMD_INTERNAL)) return 0;
    reply_histogram(c->reply, cmd, h);
    return 1;
}

void cmd_latency_histogram(struct cmd_ctx *c) {
    size_t mark = reply_defer(c->reply), count = 0;
    for (int id = 0; c->argc == 2 && id < command_stat_count(); id++)
        count += reply_one(c, command_by_id(id));
    for (int i = 2; i < c->argc; i++) {
        const struct command *cmd = command_by_full_name(c->argv[i]);
        if (cmd == NULL) continue;
        count += reply_one(c, cmd);
        for (int k = 0; k < cmd->subcommand_count; k++) count += reply_one(c, &cmd->subcommands[k]);
    }
    reply_close_map(c->reply, mark, count);
}
