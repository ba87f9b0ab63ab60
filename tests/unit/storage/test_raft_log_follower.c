/* The Raft log as a follower uses it: the tail is replaced by entries of higher terms again and again, the log begins
 * anew behind a snapshot's mark, and somebody reads meanwhile. */
#include "log_writer.h"
#include "mem.h"
#include "rng.h"
#include "test.h"

#include "disk_faults.h"
#include "log_tear.h"

#include <pthread.h>
#include <semaphore.h>

enum { INDEX_MAX = 60000, SMALL_SEGMENT = 64 << 10 };

static struct kv_error error;

static struct raft_log *must_open(const struct scratch *s) {
    struct raft_log *log = NULL;
    enum rc rc =
        raft_log_open(s->path, &(struct raft_log_options){.segment_bytes = SMALL_SEGMENT}, &log, &error);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
    return log;
}

/* What an entry holds follows from its index and term. */
static void fill(uint64_t index, uint64_t term, struct buf *out) {
    struct rng r = {index * 7919 + term};
    size_t words = rng_next(&r) % 20 == 0 ? 1000 : 1 + rng_next(&r) % 40;
    buf_clear(out);
    while (words-- > 0) buf_add_u64le(out, rng_next(&r));
}

static bool is_entry(const struct log_entry *e, struct buf *scratch) {
    fill(e->index, e->term, scratch);
    return e->kind == (uint8_t)(e->index + e->term) && slice_eq(e->payload, buf_slice(scratch));
}

/* Entries [first, first + count) of `term`, with the hard state of that term: one batch. */
static enum rc put(struct raft_log *log, uint64_t first, size_t count, uint64_t term) {
    struct log_entry *entries = mem_calloc(count, sizeof *entries);
    struct buf *payloads = mem_calloc(count, sizeof *payloads);
    for (size_t i = 0; i < count; i++) {
        fill(first + i, term, &payloads[i]);
        entries[i] = (struct log_entry){.index = first + i,
                                        .term = term,
                                        .kind = (uint8_t)(first + i + term),
                                        .payload = buf_slice(&payloads[i])};
    }
    struct log_hard_state hs = raft_log_hard_state(log);
    if (hs.term < term) hs = (struct log_hard_state){.term = term};
    enum rc rc = raft_log_write(log, &(struct log_batch){&hs, entries, count}, &error);
    for (size_t i = 0; i < count; i++) buf_free(&payloads[i]);
    mem_free(payloads);
    mem_free(entries);
    return rc;
}

static void must_put(struct raft_log *log, uint64_t first, size_t count, uint64_t term) {
    enum rc rc = put(log, first, count, term);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
}

static void must_reset(struct raft_log *log, uint64_t index, uint64_t term) {
    enum rc rc = raft_log_reset(log, (struct log_mark){index, term}, NULL, &error);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
}

struct reading {
    const uint64_t *terms; /* by index; NULL: any, not going down */
    uint64_t next, last_term;
    size_t stop_after, seen;
    bool wrong;
    struct buf scratch;
};

static enum rc see(void *arg, const struct log_entry *e) {
    struct reading *r = arg;
    if (e->index != r->next++ || e->term < r->last_term || !is_entry(e, &r->scratch)) r->wrong = true;
    if (r->terms != NULL && r->terms[e->index] != e->term) r->wrong = true;
    r->last_term = e->term;
    return ++r->seen == r->stop_after ? RC_STOPPED : RC_OK;
}

static void check_all(struct raft_log *log, const uint64_t *terms) {
    uint64_t from = raft_log_mark(log).index + 1, last = raft_log_last_index(log);
    struct reading r = {.terms = terms, .next = from};
    enum rc rc = raft_log_read(log, from, last, see, &r, &error);
    buf_free(&r.scratch);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
    EXPECT(!r.wrong);
    EXPECT_EQ_U64(r.next, last + 1);
}

/* --- the tail is replaced --- */

TEST(a_tail_may_be_replaced_again_and_again) {
    struct scratch s = scratch_fresh("replace");
    struct raft_log *log = must_open(&s);
    uint64_t terms[101] = {0};
    must_put(log, 1, 100, 1);
    for (uint64_t i = 1; i <= 100; i++) terms[i] = 1;
    /* Each leader replaces less or more than the one before it wrote, by a shorter or a longer tail. */
    static const struct {
        uint64_t first;
        size_t count;
    } tails[] = {{90, 11}, {90, 1}, {91, 10}, {50, 3}, {53, 40}, {2, 1}, {3, 98}, {1, 1}, {2, 5}, {7, 90}};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        uint64_t term = 2 + i;
        must_put(log, tails[i].first, tails[i].count, term);
        for (size_t k = 0; k < tails[i].count; k++) terms[tails[i].first + k] = term;
        EXPECT_EQ_U64(raft_log_last_index(log), tails[i].first + tails[i].count - 1);
        EXPECT_EQ_U64(raft_log_last_term(log), term);
        check_all(log, terms);
        if (i % 3 == 0) {
            raft_log_close(log);
            log = must_open(&s);
            EXPECT_EQ_U64(raft_log_hard_state(log).term, term);
            check_all(log, terms);
        }
    }
    raft_log_close(log);
}

/* A comes, B replaces it, A's bytes come back under a higher term: nothing of a former life may shine through. */
TEST(what_comes_back_is_the_new_one) {
    struct scratch s = scratch_fresh("aba");
    struct raft_log *log = must_open(&s);
    uint64_t terms[31] = {0};
    for (uint64_t term = 1; term <= 40; term++) {
        uint64_t first = term % 2 ? 1 : 1 + term / 2, count = 30 - first + 1 - term % 3;
        must_put(log, first, count, term);
        for (uint64_t i = first; i < first + count; i++) terms[i] = term;
        check_all(log, terms);
    }
    raft_log_close(log);
    log = must_open(&s);
    check_all(log, terms);
    raft_log_close(log);
}

TEST(a_reader_may_stop_and_go_on) {
    struct scratch s = scratch_fresh("pages");
    struct raft_log *log = must_open(&s);
    for (uint64_t i = 1; i <= 1000; i += 50) must_put(log, i, 50, 1 + i / 300);
    struct reading r = {.next = 1, .stop_after = 7};
    enum rc rc = RC_STOPPED;
    while (rc == RC_STOPPED) {
        r.seen = 0;
        rc = raft_log_read(log, r.next, 1000, see, &r, &error);
    }
    EXPECT_EQ_INT(rc, RC_OK);
    EXPECT_EQ_U64(r.next, 1001);
    EXPECT(!r.wrong);
    buf_free(&r.scratch);
    raft_log_close(log);
}

/* --- the log begins anew --- */

static void check_empty_at(struct raft_log *log, uint64_t index, uint64_t term) {
    EXPECT_EQ_U64(raft_log_mark(log).index, index);
    EXPECT_EQ_U64(raft_log_mark(log).term, term);
    EXPECT_EQ_U64(raft_log_last_index(log), index);
    EXPECT_EQ_U64(raft_log_last_term(log), term);
    struct reading r = {.next = index};
    EXPECT_EQ_INT(raft_log_read(log, index, index, see, &r, &error), RC_NOT_FOUND);
    EXPECT_EQ_INT(raft_log_read(log, index + 1, index + 1, see, &r, &error), RC_INVALID);
    EXPECT_EQ_INT(r.seen, 0);
}

TEST(a_reset_is_on_disk_when_it_returns) {
    static const struct { uint64_t index, term; } marks[] = {{1000, 5}, {60, 5}, {100, 5}, {1, 3}, {99, 4}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        struct scratch s = scratch_fresh("reset");
        struct raft_log *log = must_open(&s);
        must_put(log, 1, 100, 2);
        struct log_hard_state hs = {.term = 9, .vote = 77};
        EXPECT(raft_log_write(log, &(struct log_batch){.hard_state = &hs}, &error) == RC_OK);
        must_reset(log, marks[i].index, marks[i].term);
        for (int round = 0; round < 3; round++) {
            check_empty_at(log, marks[i].index, marks[i].term);
            EXPECT_EQ_U64(raft_log_hard_state(log).term, 9);
            EXPECT_EQ_U64(raft_log_hard_state(log).vote, 77);
            raft_log_close(log);
            log = must_open(&s);
        }
        must_put(log, marks[i].index + 1, 20, 9);
        raft_log_close(log);
        log = must_open(&s);
        EXPECT_EQ_U64(raft_log_mark(log).index, marks[i].index);
        EXPECT_EQ_U64(raft_log_last_index(log), marks[i].index + 20);
        check_all(log, NULL);
        raft_log_close(log);
    }
}

TEST(a_reset_may_carry_the_hard_state_or_raise_it) {
    struct scratch s = scratch_fresh("reset-hard");
    struct raft_log *log = must_open(&s);
    must_reset(log, 50, 4); /* of a new node */
    EXPECT_EQ_U64(raft_log_hard_state(log).term, 4);
    EXPECT_EQ_U64(raft_log_hard_state(log).vote, 0);
    struct log_hard_state hs = {.term = 6, .vote = 3};
    EXPECT(raft_log_reset(log, (struct log_mark){50, 4}, &hs, &error) == RC_OK); /* the same once more */
    raft_log_close(log);
    log = must_open(&s);
    check_empty_at(log, 50, 4);
    EXPECT_EQ_U64(raft_log_hard_state(log).term, 6);
    EXPECT_EQ_U64(raft_log_hard_state(log).vote, 3);
    raft_log_close(log);
}

/* A power cut tears the reset's batch at every byte: then the old log is there, whole. */
TEST(a_torn_reset_leaves_the_old_log) {
    struct scratch s = scratch_fresh("reset-tear"), base = scratch_fresh("reset-base"),
                   torn = scratch_fresh("reset-torn");
    struct raft_log *log = must_open(&s);
    must_put(log, 1, 40, 3);
    scratch_copy(s.path, base.path);
    must_reset(log, 20, 3);
    struct torn_batch t = torn_batch_between(&base, &s);
    raft_log_close(log);
    for (size_t cut = 0; cut <= t.to - t.from; cut++) {
        scratch_copy(base.path, torn.path);
        tear(&t, &torn, cut, '\0');
        log = must_open(&torn);
        if (cut < t.to - t.from) {
            EXPECT_EQ_U64(raft_log_mark(log).index, 0);
            EXPECT_EQ_U64(raft_log_last_index(log), 40);
            check_all(log, NULL);
            must_reset(log, 20, 3); /* done again */
        }
        check_empty_at(log, 20, 3);
        must_put(log, 21, 5, 4);
        raft_log_close(log);
        log = must_open(&torn);
        EXPECT_EQ_U64(raft_log_last_index(log), 25);
        check_all(log, NULL);
        raft_log_close(log);
    }
    torn_batch_free(&t);
}

TEST(a_reset_on_a_full_disk_is_told) {
    struct scratch s = scratch_fresh("reset-full");
    for (int round = 0; round < 2; round++) {
        struct raft_log *log = must_open(&s);
        must_put(log, raft_log_last_index(log) + 1, 40, 3);
        uint64_t last = raft_log_last_index(log), mark = raft_log_mark(log).index;
        /* The first write is the batch, the second the floor: then the reset is on disk and not answered. */
        atomic_store(&fault_after, round);
        atomic_store(&fault_write_errno, ENOSPC);
        EXPECT_EQ_INT(raft_log_reset(log, (struct log_mark){last, 3}, NULL, &error), RC_NO_SPACE);
        faults_off();
        raft_log_close(log);
        log = must_open(&s);
        EXPECT_EQ_U64(raft_log_mark(log).index, round == 0 ? mark : last);
        EXPECT_EQ_U64(raft_log_last_index(log), last);
        check_all(log, NULL);
        raft_log_close(log);
    }
}

/* Everything a follower's log goes through, at random, against a list of terms. */
TEST(any_follower_s_life_is_remembered) {
    struct rng r = {test_seed()};
    struct scratch s = scratch_fresh("life");
    struct raft_log *log = must_open(&s);
    uint64_t *terms = mem_calloc(INDEX_MAX + 1, sizeof *terms);
    uint64_t last = 0, mark = 0, term = 1;
    for (int step = 0; step < 600; step++) {
        uint64_t what = rng_below(&r, 100);
        if (what < 70) {
            uint64_t first = last + 1;
            if (rng_below(&r, 3) == 0 && last > mark) {
                uint64_t back = last - mark < 40 || rng_below(&r, 10) == 0 ? last - mark : 40;
                first = last - rng_below(&r, back);
                term++;
            }
            size_t count = 1 + (size_t)rng_below(&r, 30);
            must_put(log, first, count, term);
            last = first + count - 1;
            for (uint64_t i = first; i <= last; i++) terms[i] = term;
        } else if (what < 78) {
            uint64_t back = last - mark;
            mark = rng_below(&r, 2) ? last + rng_below(&r, 100) : last - rng_below(&r, back + 1);
            if (mark == 0) continue;
            last = mark;
            term += rng_below(&r, 2);
            must_reset(log, mark, term);
            terms[mark] = term;
        } else if (what < 90 && last > 0) {
            mark += rng_below(&r, last - mark + 1);
            EXPECT(raft_log_cut(log, (struct log_mark){mark, mark ? terms[mark] : 0}, &error) == RC_OK);
        } else {
            raft_log_close(log);
            log = must_open(&s);
            EXPECT(raft_log_mark(log).index <= mark); /* the last cut may not have been written */
            mark = raft_log_mark(log).index;
        }
        EXPECT_EQ_U64(raft_log_last_index(log), last);
        EXPECT_EQ_U64(raft_log_last_term(log), last ? terms[last] : 0);
        EXPECT(last < INDEX_MAX - 200);
        if (step % 10 == 0) check_all(log, terms);
    }
    check_all(log, terms);
    raft_log_close(log);
    mem_free(terms);
}

/* --- reading while another thread writes --- */

struct reader {
    struct raft_log *log;
    _Atomic uint64_t from, to;
    _Atomic bool stop;
    _Atomic int whole, refused, bad;
    struct kv_error why;
};

static void *read_on(void *arg) {
    struct reader *rd = arg;
    struct reading r = {0};
    struct kv_error e;
    while (!atomic_load(&rd->stop)) {
        uint64_t from = atomic_load(&rd->from), to = atomic_load(&rd->to);
        if (to < from || from == 0) continue;
        r.next = from;
        r.last_term = 0;
        enum rc rc = raft_log_read(rd->log, from, to, see, &r, &e);
        if (rc == RC_OK && r.next == to + 1) {
            atomic_fetch_add(&rd->whole, 1);
        } else if (rc == RC_NOT_FOUND || rc == RC_INVALID) {
            atomic_fetch_add(&rd->refused, 1);
        } else {
            rd->why = e;
            atomic_fetch_add(&rd->bad, 1);
        }
    }
    if (r.wrong) atomic_fetch_add(&rd->bad, 1);
    buf_free(&r.scratch);
    return NULL;
}

/* What is read is one state of the log, or the reader is told that it changed; never a hole, never a mixture. */
TEST(a_reader_is_told_when_the_tail_was_replaced) {
    struct rng r = {test_seed()};
    struct scratch s = scratch_fresh("race");
    struct raft_log *log = must_open(&s);
    struct reader rd = {.log = log};
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, read_on, &rd) == 0);
    uint64_t mark = 0, term = 1;
    must_put(log, 1, 100, term);
    for (int i = 0; i < 1500; i++) {
        uint64_t last = raft_log_last_index(log);
        atomic_store(&rd.from, mark + 1);
        atomic_store(&rd.to, last);
        if (rng_below(&r, 30) == 0) {
            mark = last + rng_below(&r, 3);
            must_reset(log, mark, ++term);
            must_put(log, mark + 1, 50, term);
        } else if (last - mark > 20 && rng_below(&r, 2)) {
            must_put(log, last - rng_below(&r, 20), 1 + rng_below(&r, 3), ++term);
        } else {
            must_put(log, last + 1, 1 + rng_below(&r, 10), term);
        }
    }
    while (atomic_load(&rd.whole) == 0) {
        atomic_store(&rd.from, mark + 1);
        atomic_store(&rd.to, raft_log_last_index(log));
        usleep(1000);
    }
    atomic_store(&rd.stop, true);
    pthread_join(thread, NULL);
    printf("    %d whole, %d told\n", atomic_load(&rd.whole), atomic_load(&rd.refused));
    EXPECT_NOTE(atomic_load(&rd.bad) == 0, "%d bad: %s", atomic_load(&rd.bad), rd.why.text);
    raft_log_close(log);
}

struct meanwhile {
    struct raft_log *log;
    uint64_t replaced, seen;
};

static enum rc replace_meanwhile(void *arg, const struct log_entry *e) {
    struct meanwhile *m = arg;
    EXPECT_EQ_U64(e->index, ++m->seen);
    if (e->index == 5) must_put(m->log, m->replaced, 1, raft_log_last_term(m->log) + 1);
    return RC_OK;
}

/* A node applies what is committed from its log while a new leader replaces what is not. */
TEST(what_is_replaced_behind_its_end_does_not_stop_a_reader) {
    struct scratch s = scratch_fresh("meanwhile");
    struct raft_log *log = must_open(&s);
    for (uint64_t replaced = 1001; replaced >= 999; replaced--) {
        must_put(log, raft_log_last_index(log) + 1, 1200 - raft_log_last_index(log),
                 raft_log_last_term(log) + 1);
        struct meanwhile m = {log, replaced, 0};
        enum rc rc = raft_log_read(log, 1, 1000, replace_meanwhile, &m, &error);
        EXPECT_EQ_INT(rc, replaced > 1000 ? RC_OK : RC_INVALID);
        EXPECT(rc == RC_OK ? m.seen == 1000 : m.seen < 1000);
    }
    raft_log_close(log);
}

/* --- through the log thread --- */

static void post(void *arg) {
    sem_post(arg);
}

TEST(a_reset_job_has_its_place_in_the_queue) {
    struct scratch s = scratch_fresh("job");
    struct raft_log *log = must_open(&s);
    sem_t woken;
    sem_init(&woken, 0, 0);
    struct log_writer *w = log_writer_start(log, 0, post, &woken);
    enum { ROUNDS = 60, PER_ROUND = 5 };
    static struct log_job jobs[ROUNDS * PER_ROUND];
    static struct log_entry entries[ROUNDS * PER_ROUND];
    static struct buf payloads[ROUNDS * PER_ROUND];
    memset(jobs, 0, sizeof jobs);
    size_t n = 0;
    uint64_t last = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t term = round + 1;
        for (int i = 0; i < PER_ROUND - 1; i++, n++) {
            last++;
            fill(last, term, &payloads[n]);
            entries[n] = (struct log_entry){.index = last,
                                            .term = term,
                                            .kind = (uint8_t)(last + term),
                                            .payload = buf_slice(&payloads[n])};
            jobs[n] = (struct log_job){.has_hard_state = true,
                                       .hard_state = {.term = term, .vote = n},
                                       .entries = &entries[n],
                                       .entry_count = 1};
            log_writer_submit(w, &jobs[n]);
            log_writer_begin(w);
        }
        last = round % 2 ? last + 10 : last - 2;
        jobs[n] = (struct log_job){.reset = {last, term}};
        if (round % 3 == 0) {
            jobs[n].has_hard_state = true;
            jobs[n].hard_state = (struct log_hard_state){.term = term, .vote = n};
        }
        log_writer_submit(w, &jobs[n++]);
    }
    /* And what follows a reset continues it. */
    struct log_entry tail = {.index = last + 1, .term = ROUNDS};
    struct log_job tail_job = {.entries = &tail, .entry_count = 1};
    log_writer_submit(w, &tail_job);
    size_t back = 0;
    for (struct log_job *job = log_writer_stop(w); job != NULL; job = job->next, back++) {
        EXPECT_EQ_INT(job->rc, RC_OK);
        EXPECT(job == (back < n ? &jobs[back] : &tail_job));
    }
    EXPECT_EQ_INT(back, n + 1);
    raft_log_close(log);
    log = must_open(&s);
    EXPECT_EQ_U64(raft_log_mark(log).index, last);
    EXPECT_EQ_U64(raft_log_mark(log).term, ROUNDS);
    EXPECT_EQ_U64(raft_log_last_index(log), last + 1);
    EXPECT_EQ_U64(raft_log_hard_state(log).vote, n - 2);
    raft_log_close(log);
    for (size_t i = 0; i < n; i++) buf_free(&payloads[i]);
    sem_destroy(&woken);
}

TEST_MAIN
