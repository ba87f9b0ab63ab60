/* See stats.h. */
#include "stats.h"

#include "cmd.h"
#include "mem.h"
#include "session.h"

#include <math.h>
#include <stdio.h>

/* --- histograms: values below 64 each have a bucket; above, every power of two has 32 --- */

enum { SUB_COUNT = 1 << HISTOGRAM_SUB_BITS };

static int bucket_of(uint64_t us) {
    if (us < 2 * SUB_COUNT) return (int)us;
    int shift = 63 - __builtin_clzll(us) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (int)(us >> shift);
}

/* The largest value in the bucket. */
static uint64_t bucket_top(int bucket) {
    if (bucket < 2 * SUB_COUNT) return (uint64_t)bucket;
    int shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t top = (uint64_t)(bucket & (SUB_COUNT - 1)) + SUB_COUNT;
    return ((top + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, int64_t us) {
    uint64_t v = us < 0 ? 0 : (uint64_t)us;
    if (v > INT32_MAX) v = INT32_MAX;
    int bucket = bucket_of(v);
    CHECK(bucket < HISTOGRAM_BUCKETS);
    h->buckets[bucket]++;
    h->count++;
}

/* Redis measures in nanoseconds and keeps two significant digits of them: 1 us is shown as 1.003. */
static double as_redis_rounds(uint64_t us) {
    enum { PRECISION_BITS = 8 };
    uint64_t ns = us * 1000;
    int bits = ns > 0 ? 64 - __builtin_clzll(ns) : 0;
    int shift = bits > PRECISION_BITS ? bits - PRECISION_BITS : 0;
    return (double)((((ns >> shift) + 1) << shift) - 1) / 1000;
}

double histogram_percentile(const struct histogram *h, double percentile) {
    double want = ceil(percentile / 100 * (double)h->count);
    uint64_t rank = want < 1 ? 1 : (uint64_t)want, seen = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank) return as_redis_rounds(bucket_top(i));
    }
    return 0;
}

uint64_t histogram_count_to(const struct histogram *h, int64_t ns) {
    uint64_t count = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS && (int64_t)bucket_top(i) * 1000 <= ns; i++) count += h->buckets[i];
    return count;
}

/* --- errors --- */

void stats_error(struct stats *s, const char *code) {
    s->errors_total++;
    for (int i = 0; i < s->error_code_count; i++) {
        if (strcmp(s->errors[i].code, code) != 0) continue;
        s->errors[i].count++;
        return;
    }
    if (s->error_code_count == ERROR_CODES_MAX) return;
    struct error_stats *e = &s->errors[s->error_code_count++];
    snprintf(e->code, sizeof e->code, "%s", code);
    e->count = 1;
}

/* --- slowlog --- */

static void slow_entry_free(struct slow_entry *e) {
    for (int i = 0; i < e->argc; i++) buf_free(&e->argv[i]);
    mem_free(e->argv);
    buf_free(&e->peer);
    buf_free(&e->name);
    mem_free(e);
}

void slowlog_trim(struct slowlog *l, int64_t max_len) {
    while (l->count > max_len) {
        struct slow_entry *e = l->oldest;
        l->oldest = e->newer;
        if (l->oldest != NULL) l->oldest->older = NULL;
        if (l->newest == e) l->newest = NULL;
        l->count--;
        slow_entry_free(e);
    }
}

static void copy_arg(struct buf *out, struct slice arg) {
    if (arg.len <= SLOWLOG_ARG_LEN_MAX) {
        buf_add_slice(out, arg);
        return;
    }
    buf_add(out, arg.data, SLOWLOG_ARG_LEN_MAX);
    buf_printf(out, "... (%zu more bytes)", arg.len - SLOWLOG_ARG_LEN_MAX);
}

void slowlog_add(struct slowlog *l, int64_t max_len, const struct session *session, int argc,
                 const struct slice *argv, uint64_t hidden_args, int64_t time_s, int64_t us) {
    if (max_len <= 0) return;
    struct slow_entry *e = mem_calloc(1, sizeof *e);
    e->id = l->next_id++;
    e->time_s = time_s;
    e->us = us;
    e->argc = argc < SLOWLOG_ARGC_MAX ? argc : SLOWLOG_ARGC_MAX;
    e->argv = mem_calloc((size_t)e->argc, sizeof *e->argv);
    for (int i = 0; i < e->argc; i++) {
        if (argc > SLOWLOG_ARGC_MAX && i == SLOWLOG_ARGC_MAX - 1) {
            buf_printf(&e->argv[i], "... (%d more arguments)", argc - SLOWLOG_ARGC_MAX + 1);
        } else if (hidden_args & (UINT64_C(1) << i)) {
            buf_add_str(&e->argv[i], "(redacted)");
        } else {
            copy_arg(&e->argv[i], argv[i]);
        }
    }
    if (session != NULL) {
        buf_add_str(&e->peer, session->peer);
        buf_add_slice(&e->name, buf_slice(&session->name));
    }
    e->older = l->newest;
    if (l->newest != NULL) l->newest->newer = e;
    l->newest = e;
    if (l->oldest == NULL) l->oldest = e;
    l->count++;
    slowlog_trim(l, max_len);
}

/* --- latency monitor --- */

struct latency_event *latency_find(struct stats *s, struct slice name) {
    for (int i = 0; i < s->latency_event_count; i++) {
        if (slice_eq(slice_of(s->latency_events[i].name), name)) return &s->latency_events[i];
    }
    return NULL;
}

void latency_add(struct stats *s, const char *event, int64_t time_s, int64_t ms) {
    struct latency_event *e = latency_find(s, slice_of(event));
    uint32_t value = ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    if (e == NULL) {
        if (s->latency_event_count == LATENCY_EVENTS_MAX) return;
        e = &s->latency_events[s->latency_event_count++];
        memset(e, 0, sizeof *e);
        snprintf(e->name, sizeof e->name, "%s", event);
    }
    if (value > e->max_ms) e->max_ms = value;
    struct latency_sample *last = &e->samples[(e->next + LATENCY_SAMPLES - 1) % LATENCY_SAMPLES];
    if (last->time_s == time_s) { /* one sample a second: the worst */
        if (value > last->ms) last->ms = value;
        return;
    }
    e->samples[e->next] = (struct latency_sample){time_s, value};
    e->next = (e->next + 1) % LATENCY_SAMPLES;
}

bool latency_sample_at(const struct latency_event *e, int i, struct latency_sample *out) {
    for (int k = 0; k < LATENCY_SAMPLES; k++) {
        const struct latency_sample *sample = &e->samples[(e->next + k) % LATENCY_SAMPLES];
        if (sample->time_s == 0 || i-- > 0) continue;
        *out = *sample;
        return true;
    }
    return false;
}

void latency_remove(struct stats *s, struct latency_event *e) {
    struct latency_event *end = s->latency_events + s->latency_event_count;
    memmove(e, e + 1, (size_t)(end - e - 1) * sizeof *e);
    s->latency_event_count--;
}

/* --- rates --- */

void rate_sample(struct rate *r, uint64_t count, int64_t now_ms) {
    int64_t ms = now_ms - r->last_ms;
    if (r->last_ms != 0 && ms > 0 && count >= r->last_count) {
        r->samples[r->next] = (count - r->last_count) * 1000 / (uint64_t)ms;
        r->next = (r->next + 1) % RATE_SAMPLES;
    }
    r->last_ms = now_ms;
    r->last_count = count;
}

uint64_t rate_per_second(const struct rate *r) {
    uint64_t sum = 0;
    for (int i = 0; i < RATE_SAMPLES; i++) sum += r->samples[i];
    return sum / RATE_SAMPLES;
}

/* --- all of it --- */

void stats_init(struct stats *s) {
    *s = (struct stats){0};
    s->commands = mem_calloc((size_t)command_stat_count(), sizeof *s->commands);
    s->latency_events = mem_calloc(LATENCY_EVENTS_MAX, sizeof *s->latency_events);
}

static void forget_commands(struct stats *s) {
    for (int i = 0; i < command_stat_count(); i++) {
        mem_free(s->commands[i].latency);
        s->commands[i] = (struct command_stats){0};
    }
}

void stats_free(struct stats *s) {
    forget_commands(s);
    slowlog_trim(&s->slowlog, 0);
    mem_free(s->commands);
    mem_free(s->latency_events);
    *s = (struct stats){0};
}

void stats_reset(struct stats *s) {
    forget_commands(s);
    s->commands_processed = 0;
    s->errors_total = 0;
    s->error_code_count = 0;
    s->ops = s->net_in = s->net_out = (struct rate){0};
}
