/* Counting: histograms, the slowlog's ring, the latency monitor, rates. */
#include "cmd.h"
#include "session.h"
#include "stats.h"

#include "test.h"

/* A value and the top of its bucket are never further apart than 1/32, plus the rounding Redis shows. */
TEST(histograms_keep_two_digits) {
    static struct histogram h;
    for (int64_t us = 0; us < INT64_C(3) << 30; us += 1 + us / 37) {
        memset(&h, 0, sizeof h);
        histogram_add(&h, us);
        double shown = histogram_percentile(&h, 50), want = us < INT32_MAX ? (double)us : (double)INT32_MAX;
        EXPECT_NOTE(shown >= want && shown <= want * (1 + 1.0 / 24) + 0.01, "%" PRId64 ": %f", us, shown);
    }
    histogram_add(&h, -5);
    EXPECT(histogram_percentile(&h, 0) == 0);
}

TEST(percentiles) {
    static struct histogram h;
    for (int i = 1; i <= 1000; i++) histogram_add(&h, i <= 990 ? 1 : 1000);
    EXPECT(histogram_percentile(&h, 50) < 1.1);
    EXPECT(histogram_percentile(&h, 99) < 1.1);
    EXPECT(histogram_percentile(&h, 99.1) >= 1000);
    EXPECT(histogram_percentile(&h, 100) >= 1000);
    EXPECT_EQ_U64(histogram_count_to(&h, 1023), 990);
    EXPECT_EQ_U64(histogram_count_to(&h, 999), 0);
    EXPECT_EQ_U64(histogram_count_to(&h, INT64_C(1) << 40), 1000);
}

TEST(the_slowlog_keeps_the_newest) {
    struct slowlog log = {0};
    char long_arg[300];
    struct slice argv[40];
    memset(long_arg, 'x', sizeof long_arg);
    for (int i = 0; i < 40; i++) argv[i] = SLICE("a");
    argv[1] = slice_make(long_arg, sizeof long_arg);
    slowlog_add(&log, 0, NULL, 1, argv, 0, 1, 1);
    EXPECT_EQ_INT(log.count, 0);
    for (int i = 0; i < 5; i++) slowlog_add(&log, 3, NULL, 40, argv, 1 << 2, 100 + i, i);
    EXPECT_EQ_INT(log.count, 3);
    EXPECT_EQ_INT(log.newest->us, 4);
    EXPECT_EQ_INT(log.newest->id, 4);
    EXPECT_EQ_INT(log.oldest->us, 2);
    EXPECT_EQ_INT(log.newest->argc, SLOWLOG_ARGC_MAX);
    EXPECT_EQ_INT(log.newest->argv[1].len, SLOWLOG_ARG_LEN_MAX + strlen("... (172 more bytes)"));
    EXPECT_EQ_SLICE(buf_slice(&log.newest->argv[2]), SLICE("(redacted)"));
    EXPECT_EQ_SLICE(buf_slice(&log.newest->argv[31]), SLICE("... (9 more arguments)"));
    slowlog_trim(&log, 1);
    EXPECT(log.newest == log.oldest);
    EXPECT_EQ_INT(log.newest->us, 4);
    slowlog_trim(&log, 0);
    EXPECT(log.newest == NULL && log.oldest == NULL);
}

TEST(the_latency_monitor_keeps_the_worst_of_each_second) {
    struct stats s;
    struct latency_sample sample = {0};
    stats_init(&s);
    latency_add(&s, "command", 100, 5);
    latency_add(&s, "command", 100, 9);
    latency_add(&s, "command", 100, 7);
    struct latency_event *e = latency_find(&s, SLICE("command"));
    EXPECT(latency_sample_at(e, 0, &sample));
    EXPECT_EQ_INT(sample.ms, 9);
    EXPECT(!latency_sample_at(e, 1, &sample));
    for (int i = 0; i < 1000; i++) latency_add(&s, "command", 200 + i, i);
    EXPECT(latency_sample_at(e, 0, &sample)); /* the oldest still kept */
    EXPECT_EQ_INT(sample.time_s, 1200 - LATENCY_SAMPLES);
    EXPECT(latency_sample_at(e, LATENCY_SAMPLES - 1, &sample));
    EXPECT_EQ_INT(sample.ms, 999);
    EXPECT_EQ_INT(e->max_ms, 999);
    char name[32];
    for (int i = 0; i < 100; i++) {
        sprintf(name, "event-%d", i);
        latency_add(&s, name, 1, 1);
    }
    EXPECT_EQ_INT(s.latency_event_count, LATENCY_EVENTS_MAX);
    latency_remove(&s, latency_find(&s, SLICE("command")));
    EXPECT(latency_find(&s, SLICE("command")) == NULL);
    EXPECT(latency_find(&s, SLICE("event-3")) != NULL);
    stats_free(&s);
}

TEST(errors_by_code_have_a_bound) {
    struct stats s;
    char code[32];
    stats_init(&s);
    for (int i = 0; i < 2 * ERROR_CODES_MAX; i++) {
        sprintf(code, "E%d", i);
        stats_error(&s, code);
        stats_error(&s, "E0");
    }
    EXPECT_EQ_INT(s.error_code_count, ERROR_CODES_MAX);
    EXPECT_EQ_U64(s.errors_total, 4 * ERROR_CODES_MAX);
    EXPECT_EQ_U64(s.errors[0].count, 2 * ERROR_CODES_MAX + 1);
    stats_free(&s);
}

TEST(rates) {
    struct rate r = {0};
    for (int i = 0; i <= RATE_SAMPLES; i++) rate_sample(&r, (uint64_t)i * 50, 1000 + i * 100);
    EXPECT_EQ_U64(rate_per_second(&r), 500);
    for (int i = 1; i <= RATE_SAMPLES; i++) rate_sample(&r, RATE_SAMPLES * 50, 10000 + i * 100);
    EXPECT(rate_per_second(&r) < 10);
    rate_sample(&r, 0, 20000); /* counters that began anew are no huge rate */
    EXPECT(rate_per_second(&r) < 10);
}

TEST_MAIN
