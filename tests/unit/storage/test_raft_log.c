/* The Raft log: what was answered RC_OK is found again, whatever happened to the process; and whatever
 * happened to the files, it is all found again or the log refuses to open. */
#include "log_record.h"

#include "rng.h"
#include "test.h"

#include "disk_faults.h"
#include "log_tear.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { ENTRIES_MAX = 20000, SMALL_SEGMENT = 64 << 10 };

static struct kv_error error;

static enum rc open_log(const struct scratch *s, struct raft_log **log) {
    return raft_log_open(s->path, &(struct raft_log_options){.segment_bytes = SMALL_SEGMENT}, log, &error);
}

static struct raft_log *must_open(const struct scratch *s) {
    struct raft_log *log = NULL;
    enum rc rc = open_log(s, &log);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
    return log;
}

/* The payload an entry must have: follows from index and term, so that a reader needs no copy of what was
 * written. */
static struct slice payload_of(uint64_t index, uint64_t term, struct buf *scratch) {
    struct rng r = {index * 1000003 + term};
    uint64_t len = rng_next(&r) % 16 == 0 ? rng_below(&r, 20000) : rng_below(&r, 400);
    buf_clear(scratch);
    while (scratch->len < len) buf_add_u64le(scratch, rng_next(&r));
    return slice_make(scratch->data, len);
}

static enum rc append(struct raft_log *log, uint64_t first, size_t count, uint64_t term) {
    struct log_entry *entries = calloc(count, sizeof *entries);
    struct buf *payloads = calloc(count, sizeof *payloads);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct log_entry){.index = first + i,
                                        .term = term,
                                        .kind = (uint8_t)(first + i),
                                        .payload = payload_of(first + i, term, &payloads[i])};
    struct log_hard_state hs = raft_log_hard_state(log);
    if (hs.term < term) hs = (struct log_hard_state){.term = term, .vote = term * 7};
    enum rc rc = raft_log_write(
        log, &(struct log_batch){.hard_state = &hs, .entries = entries, .entry_count = count}, &error);
    for (size_t i = 0; i < count; i++) buf_free(&payloads[i]);
    free(payloads);
    free(entries);
    return rc;
}

static void must_append(struct raft_log *log, uint64_t first, size_t count, uint64_t term) {
    enum rc rc = append(log, first, count, term);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
}

struct reading {
    uint64_t next;
    uint64_t term; /* 0: any */
    const uint64_t *terms;
    bool wrong;
    struct buf scratch;
};

static enum rc check_entry(void *arg, const struct log_entry *e) {
    struct reading *r = arg;
    uint64_t term = r->terms != NULL ? r->terms[e->index] : r->term != 0 ? r->term : e->term;
    if (e->index != r->next || e->term != term || e->kind != (uint8_t)e->index ||
        !slice_eq(e->payload, payload_of(e->index, term, &r->scratch)))
        r->wrong = true;
    r->next++;
    return RC_OK;
}

/* Everything behind the mark is there, in order, byte for byte. */
static void check_all(struct raft_log *log, const uint64_t *terms) {
    uint64_t mark = raft_log_mark(log).index, last = raft_log_last_index(log);
    struct reading r = {.next = mark + 1, .terms = terms};
    enum rc rc = raft_log_read(log, mark + 1, last, check_entry, &r, &error);
    buf_free(&r.scratch);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
    EXPECT(!r.wrong);
    EXPECT_EQ_U64(r.next, last + 1);
}

TEST(a_new_log_is_empty_and_stays_so) {
    struct scratch s = scratch_fresh("new");
    for (int round = 0; round < 3; round++) {
        struct raft_log *log = must_open(&s);
        EXPECT_EQ_INT(raft_log_last_index(log), 0);
        EXPECT_EQ_INT(raft_log_last_term(log), 0);
        EXPECT_EQ_INT(raft_log_mark(log).index, 0);
        EXPECT_EQ_INT(raft_log_hard_state(log).term, 0);
        EXPECT_EQ_INT(raft_log_hard_state(log).vote, 0);
        raft_log_close(log);
    }
}

TEST(entries_term_and_vote_are_found_again) {
    struct scratch s = scratch_fresh("again");
    struct raft_log *log = must_open(&s);
    must_append(log, 1, 3, 1);
    must_append(log, 4, 1, 2);
    struct log_hard_state hs = {.term = 5, .vote = 99};
    EXPECT(raft_log_write(log, &(struct log_batch){.hard_state = &hs}, &error) == RC_OK);
    raft_log_close(log);
    for (int round = 0; round < 3; round++) {
        log = must_open(&s);
        EXPECT_EQ_INT(raft_log_last_index(log), 4);
        EXPECT_EQ_INT(raft_log_last_term(log), 2);
        EXPECT_EQ_INT(raft_log_hard_state(log).term, 5);
        EXPECT_EQ_INT(raft_log_hard_state(log).vote, 99);
        const uint64_t terms[] = {0, 1, 1, 1, 2};
        check_all(log, terms);
        raft_log_close(log);
    }
}

TEST(an_entry_may_be_empty_or_large) {
    struct scratch s = scratch_fresh("sizes");
    struct raft_log *log = must_open(&s);
    struct buf big = {0};
    while (big.len < 3000000) buf_add_u64le(&big, big.len * 31);
    struct log_hard_state hs = {.term = 1};
    struct log_entry e[2] = {{.index = 1, .term = 1, .kind = 0},
                             {.index = 2, .term = 1, .payload = buf_slice(&big)}};
    EXPECT(raft_log_write(log, &(struct log_batch){&hs, e, 2}, &error) == RC_OK);
    EXPECT_EQ_INT(raft_log_bytes(log), big.len);
    raft_log_close(log);
    log = must_open(&s);
    EXPECT_EQ_INT(raft_log_last_index(log), 2);
    raft_log_close(log);
    buf_free(&big);
}

TEST(entries_replace_what_they_conflict_with) {
    struct scratch s = scratch_fresh("conflict");
    struct raft_log *log = must_open(&s);
    must_append(log, 1, 10, 1);
    must_append(log, 4, 2, 2); /* now 1..3 of term 1, 4..5 of term 2 */
    const uint64_t terms[] = {0, 1, 1, 1, 2, 2, 3};
    EXPECT_EQ_INT(raft_log_last_index(log), 5);
    check_all(log, terms);
    raft_log_close(log);
    log = must_open(&s);
    EXPECT_EQ_INT(raft_log_last_index(log), 5);
    EXPECT_EQ_INT(raft_log_last_term(log), 2);
    check_all(log, terms);
    must_append(log, 6, 1, 3);
    check_all(log, terms);
    must_append(log, 1, 1, 4); /* all of it */
    raft_log_close(log);
    log = must_open(&s);
    EXPECT_EQ_INT(raft_log_last_index(log), 1);
    EXPECT_EQ_INT(raft_log_last_term(log), 4);
    raft_log_close(log);
}

TEST(reading_outside_of_the_log_is_told_apart) {
    struct scratch s = scratch_fresh("outside");
    struct raft_log *log = must_open(&s);
    must_append(log, 1, 10, 1);
    EXPECT(raft_log_cut(log, (struct log_mark){4, 1}, &error) == RC_OK);
    struct reading r = {.next = 5};
    EXPECT_EQ_INT(raft_log_read(log, 4, 6, check_entry, &r, &error), RC_NOT_FOUND);
    EXPECT_EQ_INT(raft_log_read(log, 5, 11, check_entry, &r, &error), RC_INVALID);
    EXPECT_EQ_INT(r.next, 5);
    EXPECT_EQ_INT(raft_log_read(log, 5, 7, check_entry, &r, &error), RC_OK);
    EXPECT_EQ_INT(r.next, 8);
    EXPECT(!r.wrong);
    buf_free(&r.scratch);
    raft_log_close(log);
}

static enum rc stop_at_three(void *arg, const struct log_entry *e) {
    (void)arg;
    return e->index == 3 ? RC_STOPPED : RC_OK;
}

TEST(a_visitor_can_stop_the_reading) {
    struct scratch s = scratch_fresh("visitor");
    struct raft_log *log = must_open(&s);
    must_append(log, 1, 10, 1);
    EXPECT_EQ_INT(raft_log_read(log, 1, 10, stop_at_three, NULL, &error), RC_STOPPED);
    raft_log_close(log);
}

TEST(cutting_frees_the_disk_and_keeps_the_rest) {
    struct scratch s = scratch_fresh("cut");
    struct raft_log *log = must_open(&s);
    int most = 0;
    for (uint64_t i = 1; i <= 8000; i += 8) {
        must_append(log, i, 8, 1);
        if (i % 100 < 8 && i > 300) EXPECT(raft_log_cut(log, (struct log_mark){i - 300, 1}, &error) == RC_OK);
        int files = scratch_files(s.path, ".seg", NULL, NULL);
        if (files > most) most = files;
    }
    /* 8000 entries fill dozens of files; 300 fill a handful, and two are kept to be written anew. */
    EXPECT_NOTE(most > 3 && most <= 12, "%d files", most);
    uint64_t mark = raft_log_mark(log).index;
    check_all(log, NULL);
    raft_log_close(log);
    log = must_open(&s);
    EXPECT(raft_log_mark(log).index > 7000);
    EXPECT(raft_log_mark(log).index <= mark);
    EXPECT_EQ_INT(raft_log_last_index(log), 8000);
    check_all(log, NULL);
    raft_log_close(log);
}

TEST(a_log_cut_to_its_end_goes_on) {
    struct scratch s = scratch_fresh("cut-all");
    struct raft_log *log = must_open(&s);
    for (uint64_t round = 0; round < 20; round++) {
        must_append(log, round * 100 + 1, 100, round + 1);
        EXPECT(raft_log_cut(log, (struct log_mark){round * 100 + 100, round + 1}, &error) == RC_OK);
        EXPECT_EQ_INT(raft_log_last_index(log), raft_log_mark(log).index);
        struct log_hard_state hs = {.term = round + 1, .vote = 3};
        EXPECT(raft_log_write(log, &(struct log_batch){.hard_state = &hs}, &error) == RC_OK);
        raft_log_close(log);
        log = must_open(&s);
        EXPECT_EQ_INT(raft_log_mark(log).index, round * 100 + 100);
        EXPECT_EQ_INT(raft_log_last_index(log), round * 100 + 100);
        EXPECT_EQ_INT(raft_log_last_term(log), round + 1);
        EXPECT_EQ_INT(raft_log_hard_state(log).vote, 3);
    }
    raft_log_close(log);
}

TEST(a_mark_ahead_of_the_log_empties_it) {
    struct scratch s = scratch_fresh("ahead");
    struct raft_log *log = must_open(&s);
    must_append(log, 1, 10, 1);
    struct log_hard_state hs = {.term = 7};
    EXPECT(raft_log_write(log, &(struct log_batch){.hard_state = &hs}, &error) == RC_OK);
    EXPECT(raft_log_cut(log, (struct log_mark){100, 6}, &error) == RC_OK);
    must_append(log, 101, 2, 7);
    raft_log_close(log);
    log = must_open(&s);
    EXPECT_EQ_INT(raft_log_mark(log).index, 100);
    EXPECT_EQ_INT(raft_log_mark(log).term, 6);
    EXPECT_EQ_INT(raft_log_last_index(log), 102);
    check_all(log, NULL);
    raft_log_close(log);
}

TEST(only_one_process_has_it_open) {
    struct scratch s = scratch_fresh("lock");
    struct raft_log *log = must_open(&s), *second = NULL;
    EXPECT_EQ_INT(open_log(&s, &second), RC_BUSY);
    raft_log_close(log);
}

/* Random appends, conflicts, votes, cuts, restarts, against a model. */
TEST(any_sequence_of_operations_is_remembered) {
    struct rng r = {test_seed()};
    struct scratch s = scratch_fresh("model");
    struct raft_log *log = must_open(&s);
    uint64_t *terms = calloc(ENTRIES_MAX, sizeof *terms);
    uint64_t last = 0, mark = 0, term = 1;
    struct log_hard_state hs = {0};
    for (int step = 0; step < 400; step++) {
        uint64_t what = rng_below(&r, 100);
        if (what < 60) { /* append, now and then over what is there */
            uint64_t first = last + 1;
            if (rng_below(&r, 8) == 0 && last > mark) {
                first = last - rng_below(&r, last - mark);
                term++;
            }
            size_t count = 1 + (size_t)rng_below(&r, 20);
            must_append(log, first, count, term);
            if (hs.term < term) hs = (struct log_hard_state){.term = term, .vote = term * 7};
            last = first + count - 1;
            for (uint64_t i = first; i <= last; i++) terms[i] = term;
        } else if (what < 75) {
            term = hs.term + 1;
            hs = (struct log_hard_state){.term = term, .vote = rng_next(&r)};
            EXPECT(raft_log_write(log, &(struct log_batch){.hard_state = &hs}, &error) == RC_OK);
        } else if (what < 88) {
            uint64_t to = mark + rng_below(&r, last - mark + 1);
            EXPECT(raft_log_cut(log, (struct log_mark){to, to == 0 ? 0 : terms[to]}, &error) == RC_OK);
            mark = to;
        } else {
            raft_log_close(log);
            log = must_open(&s);
            EXPECT(raft_log_mark(log).index <= mark); /* the last cut may not have been written */
            mark = raft_log_mark(log).index;
        }
        EXPECT_EQ_INT(raft_log_last_index(log), last);
        EXPECT_EQ_INT(raft_log_last_term(log), last == 0 ? 0 : terms[last]);
        EXPECT_EQ_INT(raft_log_hard_state(log).term, hs.term);
        EXPECT_EQ_U64(raft_log_hard_state(log).vote, hs.vote);
        if (step % 10 == 0) check_all(log, terms);
    }
    check_all(log, terms);
    raft_log_close(log);
    free(terms);
}

/* ---- the process dies ---- */

static _Atomic uint64_t *map_counter(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    scratch_must(fd >= 0 && ftruncate(fd, 4096) == 0, path);
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    scratch_must(p != MAP_FAILED, "mmap");
    close(fd);
    return p;
}

/* Appends until it is killed, telling through a mapped file how far it was answered. A program of its own,
 * for RocksDB's threads do not live through fork: this one again, with the paths in its environment. */
TEST(child_appends_until_killed) {
    const char *path = getenv("TEST_APPEND_TO"), *counter = getenv("TEST_COUNT_IN");
    if (path == NULL || counter == NULL) return; /* an ordinary run */
    _Atomic uint64_t *answered = map_counter(counter);
    struct scratch s;
    snprintf(s.path, sizeof s.path, "%s", path);
    struct raft_log *log = NULL;
    if (open_log(&s, &log) != RC_OK) _exit(2);
    for (;;) {
        uint64_t next = raft_log_last_index(log) + 1;
        if (append(log, next, 1 + next % 5, 1) != RC_OK) _exit(3);
        atomic_store(answered, raft_log_last_index(log));
        if (next % 50 == 0 && next > 400)
            if (raft_log_cut(log, (struct log_mark){next - 400, 1}, &error) != RC_OK) _exit(4);
    }
}

TEST(what_was_answered_outlives_kill_9) {
    struct rng r = {test_seed()};
    struct scratch s = scratch_fresh("killed"), counter = scratch_fresh("counter");
    _Atomic uint64_t *answered = map_counter(counter.path);
    setenv("TEST_APPEND_TO", s.path, 1);
    setenv("TEST_COUNT_IN", counter.path, 1);
    for (int round = 0; round < 12; round++) {
        uint64_t before = atomic_load(answered);
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            execl("/proc/self/exe", "child", "child_appends_until_killed", (char *)NULL);
            _exit(5);
        }
        /* Long enough to get somewhere, measured by its progress and not by the clock. */
        uint64_t goal = before + 1 + rng_below(&r, 800);
        int status = 0;
        while (atomic_load(answered) < goal && waitpid(child, &status, WNOHANG) == 0) usleep(100);
        kill(child, SIGKILL);
        if (waitpid(child, &status, 0) != child) EXPECT(status != 0);
        EXPECT_NOTE(!WIFEXITED(status), "the child gave up with %d", WEXITSTATUS(status));
        struct raft_log *log = must_open(&s);
        EXPECT(raft_log_last_index(log) >= atomic_load(answered));
        check_all(log, NULL);
        atomic_store(answered, raft_log_last_index(log));
        raft_log_close(log);
    }
    unsetenv("TEST_APPEND_TO");
    munmap((void *)answered, 4096);
}

/* ---- the machine dies: the end of the newest file is torn ---- */

TEST(a_torn_last_batch_is_forgotten_and_nothing_else) {
    struct rng r = {test_seed()};
    struct scratch s = scratch_fresh("tear"), base = scratch_fresh("tear-base"),
                   torn = scratch_fresh("tear-torn");
    struct raft_log *log = must_open(&s);
    must_append(log, 1, 20, 1);
    scratch_copy(s.path, base.path); /* the floor says: 20 */
    must_append(log, 21, 10, 1);     /* the batch the power cut meets */
    struct torn_batch t = torn_batch_between(&base, &s);
    raft_log_close(log);
    size_t span = t.to - t.from;
    EXPECT(span > 1000);
    for (int round = 0; round < 60; round++) {
        size_t bytes = round < 12   ? (size_t)round
                       : round < 30 ? 90 + 8 * (size_t)round
                                    : (size_t)rng_below(&r, span);
        scratch_copy(base.path, torn.path);
        tear(&t, &torn, bytes, round % 2 ? '\0' : 'x');
        log = must_open(&torn);
        EXPECT_EQ_INT(raft_log_last_index(log), 20);
        check_all(log, NULL);
        /* And the log goes on from there, twice. */
        must_append(log, 21, 7, 2);
        raft_log_close(log);
        log = must_open(&torn);
        EXPECT_EQ_INT(raft_log_last_index(log), 27);
        check_all(log, NULL);
        raft_log_close(log);
    }
    torn_batch_free(&t);
}

/* The first batch of a segment: its file is there, under its name, and holds nothing, or what it held in its former life. */
TEST(a_torn_first_batch_of_a_segment_is_forgotten) {
    struct scratch s = scratch_fresh("first"), base = scratch_fresh("first-base"),
                   torn = scratch_fresh("first-torn");
    struct raft_log *log = must_open(&s);
    int fresh = 0, anew = 0;
    for (uint64_t i = 1; fresh < 2 || anew < 4; i += 8) {
        struct newest_file was = {""}, is = {""};
        scratch_files(s.path, ".seg", see_newest_file, &was);
        int files = scratch_files(s.path, ".seg", NULL, NULL);
        scratch_copy(s.path, base.path);
        must_append(log, i, 8, 1);
        scratch_files(s.path, ".seg", see_newest_file, &is);
        if (i > 1 && strcmp(was.name, is.name) != 0) {
            bool grown = scratch_files(s.path, ".seg", NULL, NULL) > files;
            scratch_copy(s.path, torn.path);
            struct buf file = scratch_load(newest_segment(&torn).path);
            uint64_t bytes;
            memcpy(&bytes, file.data + 8, sizeof bytes);
            file.data[bytes - LOG_ALIGN - 1] ^= 1; /* of the last payload */
            scratch_save(newest_segment(&torn).path, buf_slice(&file));
            buf_free(&file);
            struct scratch floor = scratch_in(&base, "floor");
            struct buf old_floor = scratch_load(floor.path);
            scratch_save(scratch_in(&torn, "floor").path, buf_slice(&old_floor));
            buf_free(&old_floor);
            struct raft_log *again = must_open(&torn);
            EXPECT_EQ_INT(raft_log_last_index(again), i - 1);
            check_all(again, NULL);
            must_append(again, i, 8, 2);
            raft_log_close(again);
            again = must_open(&torn);
            EXPECT_EQ_INT(raft_log_last_index(again), i + 7);
            check_all(again, NULL);
            raft_log_close(again);
            fresh += grown;
            anew += !grown;
        }
        if (fresh >= 2 && i > 100) EXPECT(raft_log_cut(log, (struct log_mark){i - 50, 1}, &error) == RC_OK);
    }
    raft_log_close(log);
}

/* ---- the disk lies ---- */

static void make_log_of_many_files(const struct scratch *s) {
    struct raft_log *log = must_open(s);
    uint64_t term = 1, terms[1000];
    for (uint64_t i = 1; i <= 900; i += 5) {
        must_append(log, i, 5, term);
        for (uint64_t k = i; k < i + 5; k++) terms[k] = term;
        if (i % 100 == 1) { /* a conflict here and there */
            must_append(log, i + 2, 3, ++term);
            for (uint64_t k = i + 2; k < i + 5; k++) terms[k] = term;
        }
        if (i % 200 == 1 && i > 1)
            EXPECT(raft_log_cut(log, (struct log_mark){i - 100, terms[i - 100]}, &error) == RC_OK);
    }
    struct log_hard_state hs = {.term = term + 5, .vote = 1234};
    EXPECT(raft_log_write(log, &(struct log_batch){.hard_state = &hs}, &error) == RC_OK);
    must_append(log, raft_log_last_index(log) + 1, 1, term + 5);
    raft_log_close(log);
}

struct names {
    char name[64][64];
    int count;
};

static void add_name(void *arg, const char *name) {
    struct names *n = arg;
    CHECK(n->count < 64);
    snprintf(n->name[n->count++], sizeof n->name[0], "%s", name);
}

struct damage_tally {
    int refused, harmless;
};

/* Either the log refuses, or everything is there, term and vote too. */
static void open_damaged(const struct scratch *s, uint64_t last, const char *what, size_t at,
                         struct damage_tally *t) {
    struct raft_log *log = NULL;
    enum rc rc = open_log(s, &log);
    if (rc != RC_OK) {
        EXPECT_NOTE(error.text[0] != 0, "%s at %zu: refused without a reason", what, at);
        t->refused++;
        /* It refuses the second time too: opening must not launder the damage. */
        EXPECT_NOTE(open_log(s, &log) != RC_OK, "%s at %zu: refused once, then accepted", what, at);
        return;
    }
    EXPECT_NOTE(raft_log_last_index(log) == last, "%s at %zu: ends with %" PRIu64 ", not %" PRIu64, what, at,
                raft_log_last_index(log), last);
    EXPECT_NOTE(raft_log_hard_state(log).vote == 1234, "%s at %zu: forgot the vote", what, at);
    check_all(log, NULL);
    raft_log_close(log);
    t->harmless++;
}

TEST(a_flipped_bit_anywhere_is_noticed_or_harmless) {
    struct rng r = {test_seed()};
    struct scratch s = scratch_fresh("flip"), hurt = scratch_fresh("flip-hurt");
    make_log_of_many_files(&s);
    struct raft_log *log = must_open(&s);
    for (int i = 0; i < 5; i++) must_append(log, raft_log_last_index(log) + 1, 3, raft_log_last_term(log));
    uint64_t last = raft_log_last_index(log);
    raft_log_close(log);
    struct names files = {0};
    scratch_files(s.path, "", add_name, &files);
    EXPECT(scratch_files(s.path, ".seg", NULL, NULL) >= 3);
    struct damage_tally segments = {0}, other = {0};
    for (int f = 0; f < files.count; f++) {
        struct scratch from = scratch_in(&s, files.name[f]);
        struct buf original = scratch_load(from.path);
        bool is_segment = strstr(files.name[f], ".seg") != NULL;
        int rounds = is_segment ? 18 : 8;
        for (int i = 0; i < rounds; i++) {
            /* The last third of the rounds goes for the end, where a loss would be hardest to see. */
            size_t end = original.len < 200 ? original.len : 200;
            size_t at = i * 3 < rounds * 2 ? (size_t)rng_below(&r, original.len)
                                           : original.len - 1 - (size_t)rng_below(&r, end);
            scratch_copy(s.path, hurt.path);
            struct scratch to = scratch_in(&hurt, files.name[f]);
            int bit = (int)rng_below(&r, 8);
            original.data[at] = (char)(original.data[at] ^ (1 << bit));
            char flipped = original.data[at];
            scratch_save(to.path, buf_slice(&original));
            open_damaged(&hurt, last, files.name[f], at, is_segment ? &segments : &other);
            /* Undo from the file on disk, whatever the flip was. */
            struct buf again = scratch_load(from.path);
            CHECK(again.data[at] != flipped);
            original.data[at] = again.data[at];
            buf_free(&again);
        }
        buf_free(&original);
    }
    printf("    refused/harmless: segments %d/%d, others %d/%d\n", segments.refused, segments.harmless,
           other.refused, other.harmless);
    EXPECT(segments.refused > 0);
}

TEST(a_file_that_is_gone_or_short_is_noticed_or_harmless) {
    struct rng r = {test_seed()};
    struct scratch s = scratch_fresh("gone"), hurt = scratch_fresh("gone-hurt");
    make_log_of_many_files(&s);
    struct raft_log *log = must_open(&s);
    uint64_t last = raft_log_last_index(log);
    raft_log_close(log);
    struct names files = {0};
    scratch_files(s.path, "", add_name, &files);
    struct damage_tally tally = {0};
    for (int f = 0; f < files.count; f++) {
        struct buf original = scratch_load(scratch_in(&s, files.name[f]).path);
        for (int i = 0; i < 4; i++) {
            scratch_copy(s.path, hurt.path);
            struct scratch to = scratch_in(&hurt, files.name[f]);
            if (i == 0)
                EXPECT(unlink(to.path) == 0);
            else if (original.len > 0)
                EXPECT(truncate(to.path, (off_t)rng_below(&r, original.len)) == 0);
            open_damaged(&hurt, last, files.name[f], original.len, &tally);
        }
        buf_free(&original);
    }
    printf("    refused/harmless: %d/%d\n", tally.refused, tally.harmless);
    EXPECT(tally.refused > 0);
}

/* What lies behind the newest batch is searched for newer ones: a client must not be able to plant one. `secret`: what his
 * value's checksum begins with. */
static enum rc open_with_planted(const char *name, bool knows_secret) {
    struct scratch s = scratch_fresh(name), base = scratch_fresh("planted-base");
    struct raft_log *log = must_open(&s);
    must_append(log, 1, 3, 1);
    scratch_copy(s.path, base.path);
    struct buf floor = scratch_load(scratch_in(&s, "floor").path), planted = {0}, filler = {0};
    uint32_t secret = 0;
    if (knows_secret) memcpy(&secret, floor.data + 8, sizeof secret);
    log_record_add(&planted, &(struct log_state){.seq = 1000000, .hard_state = {.term = 1}}, 0, NULL, 0,
                   secret);
    while (filler.len < 5000) buf_add_byte(&filler, 'f');
    struct log_hard_state hs = {.term = 1};
    struct log_entry e[2] = {{.index = 4, .term = 1, .payload = buf_slice(&planted)},
                             {.index = 5, .term = 1, .payload = buf_slice(&filler)}};
    EXPECT(raft_log_write(log, &(struct log_batch){&hs, e, 2}, &error) == RC_OK);
    struct torn_batch t = torn_batch_between(&base, &s);
    raft_log_close(log);
    tear(&t, &base, t.to - t.from - 1000, '\0');
    enum rc rc = open_log(&base, &log);
    if (rc == RC_OK) {
        EXPECT_EQ_INT(raft_log_last_index(log), 3);
        raft_log_close(log);
    }
    torn_batch_free(&t);
    buf_free(&floor);
    buf_free(&planted);
    buf_free(&filler);
    return rc;
}

TEST(a_payload_that_looks_like_a_batch_is_none) {
    EXPECT_EQ_INT(open_with_planted("planted", false), RC_OK);
    EXPECT_EQ_INT(open_with_planted("planted-by-one-who-knows", true), RC_CORRUPT);
}

TEST(a_log_without_its_floor_is_refused) {
    struct scratch s = scratch_fresh("floorless");
    struct raft_log *log = must_open(&s);
    must_append(log, 1, 3, 1);
    raft_log_close(log);
    EXPECT(unlink(scratch_in(&s, "floor").path) == 0);
    EXPECT_EQ_INT(open_log(&s, &log), RC_CORRUPT);
    EXPECT(strstr(error.text, "floor") != NULL);
    /* Nor is a floor without its log taken for a new one, and nothing is made in its place. */
    struct scratch other = scratch_fresh("logless");
    log = must_open(&other);
    must_append(log, 1, 3, 1);
    raft_log_close(log);
    EXPECT(unlink(newest_segment(&other).path) == 0);
    EXPECT_EQ_INT(open_log(&other, &log), RC_CORRUPT);
    EXPECT_EQ_INT(scratch_files(other.path, ".seg", NULL, NULL), 0);
}

/* ---- the disk refuses ---- */

static void check_failing(const char *name, _Atomic int *which, int err, enum rc want) {
    struct scratch s = scratch_fresh(name);
    for (long after = 0; after < 8; after++) {
        struct raft_log *log = must_open(&s);
        uint64_t answered = raft_log_last_index(log);
        atomic_store(&fault_after, after);
        atomic_store(which, err);
        enum rc rc = RC_OK;
        for (int i = 0; i < 200 && rc == RC_OK; i++) {
            rc = append(log, raft_log_last_index(log) + 1, 4, 1);
            if (rc == RC_OK) answered = raft_log_last_index(log);
        }
        EXPECT_NOTE(rc == want, "%s: %s", rc_name(rc), error.text);
        EXPECT(error.text[0] != 0);
        faults_off();
        raft_log_close(log);
        log = must_open(&s);
        EXPECT(raft_log_last_index(log) >= answered);
        check_all(log, NULL);
        raft_log_close(log);
    }
}

TEST(a_full_disk_is_told_and_loses_nothing) {
    check_failing("full", &fault_write_errno, ENOSPC, RC_NO_SPACE);
}

TEST(a_failing_write_is_told_and_loses_nothing) {
    check_failing("write-fails", &fault_write_errno, EIO, RC_IO);
}

TEST(a_failing_sync_is_told_and_loses_nothing) {
    check_failing("sync-fails", &fault_sync_errno, EIO, RC_IO);
}

/* Not a fault: such file systems are met, and some say so only when they are written to. */
TEST(a_file_system_without_direct_writes_will_do) {
    struct scratch s = scratch_fresh("direct");
    uint64_t last = 0;
    for (int round = 0; round < 4; round++) {
        atomic_store(round < 2 ? &fault_no_direct_open : &fault_no_direct_write, round % 2 == 0);
        struct raft_log *log = must_open(&s);
        for (int i = 0; i < 100; i++, last += 4) must_append(log, last + 1, 4, 1);
        faults_off();
        raft_log_close(log);
        log = must_open(&s);
        EXPECT_EQ_INT(raft_log_last_index(log), last);
        check_all(log, NULL);
        raft_log_close(log);
    }
}

/* A new log needs its floor; one that is there is opened without a write. */
TEST(opening_on_a_full_disk_is_told_and_harms_nothing) {
    struct scratch s = scratch_fresh("full-open");
    struct raft_log *log = NULL;
    for (int round = 0; round < 2; round++) {
        atomic_store(&fault_write_errno, ENOSPC);
        enum rc rc = open_log(&s, &log);
        EXPECT_NOTE(rc == (round == 0 ? RC_NO_SPACE : RC_OK), "%s: %s", rc_name(rc), error.text);
        faults_off();
        if (round == 0) log = must_open(&s);
        EXPECT_EQ_INT(raft_log_last_index(log), round == 0 ? 0 : 300);
        if (round == 0) must_append(log, 1, 300, 1);
        raft_log_close(log);
    }
}

TEST_MAIN
