/* What the server counts: calls and times of each command, errors by code, slow commands, latency spikes.
 * Every list has a bound. Belongs to the loop thread. */
#ifndef CMD_STATS_H
#define CMD_STATS_H

#include "buf.h"
#include "check.h"

struct command;
struct session;

/* --- how long a command takes: counts of microseconds in buckets no wider than 1/32 of their value --- */

enum {
    HISTOGRAM_SUB_BITS = 5,
    HISTOGRAM_OCTAVES = 26, /* up to 2^31 us; longer ones count as that */
    HISTOGRAM_BUCKETS = (HISTOGRAM_OCTAVES + 1) << HISTOGRAM_SUB_BITS,
};

struct histogram {
    uint64_t count;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, int64_t us);
/* The largest value that counts the same as the one at this percentile (0..100), in microseconds. */
double histogram_percentile(const struct histogram *h, double percentile);
/* How many values are at or below so many nanoseconds. */
uint64_t histogram_count_to(const struct histogram *h, int64_t ns);

struct command_stats {
    uint64_t calls, usec, rejected, failed;
    struct histogram *latency; /* NULL before the first call */
};

/* --- errors by code --- */

enum { ERROR_CODES_MAX = 128 }; /* further codes count in the total only */

struct error_stats {
    char code[32];
    uint64_t count;
};

/* --- slowlog: newest first, at most slowlog-max-len --- */

enum { SLOWLOG_ARGC_MAX = 32, SLOWLOG_ARG_LEN_MAX = 128 };

struct slow_entry {
    struct slow_entry *older, *newer;
    int64_t id, time_s, us;
    int argc;
    struct buf *argv;
    struct buf peer, name;
};

struct slowlog {
    struct slow_entry *newest, *oldest;
    int64_t count, next_id;
};

/* --- latency monitor: the worst of each second, by event --- */

enum { LATENCY_SAMPLES = 160, LATENCY_EVENTS_MAX = 32 };

struct latency_sample {
    int64_t time_s;
    uint32_t ms;
};

struct latency_event {
    char name[32];
    uint32_t max_ms;
    int next; /* where the next sample goes: the oldest one, when all are used */
    struct latency_sample samples[LATENCY_SAMPLES];
};

/* --- rates: what was counted per second, over the last samples --- */

enum { RATE_SAMPLES = 16 };

struct rate {
    uint64_t last_count;
    int64_t last_ms;
    int next;
    uint64_t samples[RATE_SAMPLES];
};

void rate_sample(struct rate *r, uint64_t count, int64_t now_ms);
uint64_t rate_per_second(const struct rate *r);

struct stats {
    struct command_stats *commands; /* command_stat_count() of them, by command->id */
    uint64_t commands_processed;
    uint64_t errors_total;
    struct error_stats errors[ERROR_CODES_MAX];
    int error_code_count;
    uint64_t acl_denied_auth; /* wrong passwords */
    struct slowlog slowlog;
    struct latency_event *latency_events; /* LATENCY_EVENTS_MAX of them */
    int latency_event_count;
    struct rate ops, net_in, net_out;
    /* the host counts these since the start; CONFIG RESETSTAT remembers where it was */
    uint64_t net_in_reset, net_out_reset, net_reads_reset, net_writes_reset, connections_received_reset,
        connections_rejected_reset;
};

void stats_init(struct stats *s);
void stats_free(struct stats *s);
void stats_reset(
    struct stats *s); /* CONFIG RESETSTAT: counters and histograms; not slowlog and latency events */

void stats_error(struct stats *s, const char *code);

void slowlog_add(struct slowlog *l, int64_t max_len, const struct session *session, int argc,
                 const struct slice *argv, uint64_t hidden_args, int64_t time_s, int64_t us);
void slowlog_trim(struct slowlog *l, int64_t max_len);

void latency_add(struct stats *s, const char *event, int64_t time_s, int64_t ms);
struct latency_event *latency_find(struct stats *s, struct slice name);
/* The i-th sample, oldest first; false at the end. */
bool latency_sample_at(const struct latency_event *e, int i, struct latency_sample *out);
void latency_remove(struct stats *s, struct latency_event *e);

#endif
