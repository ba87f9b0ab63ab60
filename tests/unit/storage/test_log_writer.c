/* The log thread, and what is written without it: jobs come back in order, what came back is on disk, and after a
 * failure nothing is written. */
#include "log_writer.h"

#include "mem.h"
#include "rng.h"
#include "test.h"

#include "disk_faults.h"
#include "scratch.h"

#include <pthread.h>
#include <semaphore.h>

static struct kv_error error;

static struct raft_log *must_open(const struct scratch *s) {
    struct raft_log *log = NULL;
    enum rc rc = raft_log_open(s->path, &(struct raft_log_options){.segment_bytes = 256 << 10}, &log, &error);
    EXPECT_NOTE(rc == RC_OK, "%s: %s", rc_name(rc), error.text);
    return log;
}

/* The submitting side, as the node's loop has it: woken, it takes what is done and checks the order. */
struct loop {
    struct scratch path;
    struct raft_log *log;
    struct log_writer *writer;
    sem_t woken;
    uint64_t submitted, handed_back; /* job numbers */
    enum rc last_rc;
    bool out_of_order;
};

struct job {
    struct log_job job;
    uint64_t number;
    char *payloads;
};

static void wake(void *arg) {
    struct loop *l = arg;
    sem_post(&l->woken);
}

static void start_with(struct loop *l, const char *name, uint64_t here_us_max) {
    *l = (struct loop){.path = scratch_fresh(name)};
    sem_init(&l->woken, 0, 0);
    l->log = must_open(&l->path);
    l->writer = log_writer_start(l->log, here_us_max, wake, l);
}

static void start(struct loop *l, const char *name) {
    start_with(l, name, 0);
}

static struct job *new_job(struct loop *l, uint64_t first, size_t count, uint64_t term, size_t bytes) {
    struct job *j = mem_calloc(1, sizeof *j);
    j->number = ++l->submitted;
    j->job.owner = j;
    j->job.rc = RC_STOPPED;
    j->job.entry_count = count;
    j->job.entries = mem_calloc(count, sizeof *j->job.entries);
    j->payloads = mem_calloc(count, bytes);
    memset(j->payloads, (int)(j->number & 0x7f), count * bytes);
    for (size_t i = 0; i < count; i++)
        j->job.entries[i] = (struct log_entry){
            .index = first + i, .term = term, .kind = 1, .payload = {j->payloads + i * bytes, bytes}};
    if (term != 0) {
        j->job.has_hard_state = true;
        j->job.hard_state = (struct log_hard_state){.term = term, .vote = j->number};
    }
    return j;
}

static void queue(struct loop *l, struct job *j) {
    log_writer_submit(l->writer, &j->job);
}

static void submit(struct loop *l, struct job *j) {
    queue(l, j);
    log_writer_begin(l->writer);
}

static void take(struct loop *l, struct log_job *done) {
    while (done != NULL) {
        struct job *j = done->owner;
        done = done->next;
        if (j->number != ++l->handed_back) l->out_of_order = true;
        l->last_rc = j->job.rc;
        mem_free(j->payloads);
        mem_free(j->job.entries);
        mem_free(j);
    }
}

static void wait_for(struct loop *l, uint64_t number) {
    while (l->handed_back < number) {
        take(l, log_writer_take_done(l->writer));
        if (l->handed_back < number) sem_wait(&l->woken);
    }
}

static void finish(struct loop *l) {
    log_writer_begin(l->writer);
    wait_for(l, l->submitted);
}

static void stop(struct loop *l) {
    take(l, log_writer_stop(l->writer));
    raft_log_close(l->log);
    sem_destroy(&l->woken);
    EXPECT_EQ_U64(l->handed_back, l->submitted);
    EXPECT(!l->out_of_order);
}

TEST(a_job_comes_back_when_it_is_on_disk) {
    struct loop l;
    start(&l, "one");
    submit(&l, new_job(&l, 1, 3, 1, 100));
    wait_for(&l, 1);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
    EXPECT(log_writer_error(l.writer) == NULL);
    struct log_writer_stats stats = log_writer_stats(l.writer);
    EXPECT_EQ_INT(stats.jobs, 1);
    EXPECT_EQ_INT(stats.syncs, 1);
    EXPECT_EQ_INT(stats.entries, 3);
    EXPECT_EQ_INT(stats.bytes, 300);
    stop(&l);
    struct raft_log *log = must_open(&l.path);
    EXPECT_EQ_INT(raft_log_last_index(log), 3);
    EXPECT_EQ_INT(raft_log_hard_state(log).vote, 1);
    raft_log_close(log);
}

TEST(what_waits_goes_into_one_sync) {
    struct loop l;
    start(&l, "group");
    enum { JOBS = 2000 };
    for (uint64_t i = 1; i <= JOBS; i++) submit(&l, new_job(&l, i, 1, 1, 50));
    wait_for(&l, JOBS);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
    struct log_writer_stats stats = log_writer_stats(l.writer);
    EXPECT_EQ_INT(stats.entries, JOBS);
    EXPECT_NOTE(stats.syncs < JOBS / 4, "%d syncs", (int)stats.syncs);
    stop(&l);
    struct raft_log *log = must_open(&l.path);
    EXPECT_EQ_INT(raft_log_last_index(log), JOBS);
    EXPECT_EQ_INT(raft_log_hard_state(log).vote, JOBS);
    raft_log_close(log);
}

TEST(stopping_writes_what_is_queued) {
    struct loop l;
    start(&l, "stop");
    for (uint64_t i = 1; i <= 500; i++) submit(&l, new_job(&l, i, 1, 1, 50));
    stop(&l);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
    struct raft_log *log = must_open(&l.path);
    EXPECT_EQ_INT(raft_log_last_index(log), 500);
    raft_log_close(log);
    start(&l, "stop-idle");
    stop(&l);
}

static enum rc remember_byte(void *arg, const struct log_entry *e) {
    ((char *)arg)[e->index] = e->payload.data[0];
    return RC_OK;
}

/* Jobs that go back over what others of the same group wrote, votes, cuts, written by the thread or here: the log is as
 * if each was written alone. */
TEST(merged_groups_read_as_if_written_one_by_one) {
    struct rng r = {test_seed()};
    struct loop l;
    start_with(&l, "merge", UINT64_MAX);
    int here = 0;
    enum { MAX = 40000 };
    static char model[MAX + 1], got[MAX + 1];
    static uint64_t terms[MAX + 1];
    memset(got, 0, sizeof got);
    uint64_t last = 0, term = 1, floor = 0;
    for (int i = 0; i < 1500; i++) {
        uint64_t what = rng_below(&r, 20), first = last + 1;
        struct job *j;
        if (what == 0) {
            j = new_job(&l, 0, 0, ++term, 1); /* a vote */
        } else if (what == 1) {
            j = new_job(&l, 0, 0, 0, 1); /* a cut, or nothing at all */
            floor = floor + rng_below(&r, last - floor + 1);
            j->job.cut = (struct log_mark){floor, terms[floor]};
        } else {
            if (what < 6 && last > floor) {
                first = last - rng_below(&r, last - floor < 30 ? last - floor : 30);
                term++;
            }
            size_t count = 1 + (size_t)rng_below(&r, 6);
            j = new_job(&l, first, count, term, 1 + (size_t)rng_below(&r, 300));
            last = first + count - 1;
            CHECK(last <= MAX);
            for (uint64_t k = first; k <= last; k++) {
                model[k] = (char)(j->number & 0x7f);
                terms[k] = term;
            }
        }
        uint64_t how = rng_below(&r, 8);
        if (how == 0) log_writer_begin(l.writer);
        if (how == 0) wait_for(&l, j->number - 1);
        if (how == 0) usleep(100); /* the thread idles now, most of the time */
        queue(&l, j);
        if (how == 0 && log_writer_write_here(l.writer)) here++;
        if (how > 2) log_writer_begin(l.writer);
        if (rng_below(&r, 40) == 0) finish(&l);
    }
    EXPECT(here > 0);
    stop(&l);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
    struct raft_log *log = must_open(&l.path);
    EXPECT_EQ_INT(raft_log_last_index(log), last);
    EXPECT_EQ_INT(raft_log_hard_state(log).term, term);
    uint64_t from = raft_log_mark(log).index + 1;
    EXPECT(from <= floor + 1);
    EXPECT_EQ_INT(raft_log_read(log, from, last, remember_byte, got, &error), RC_OK);
    EXPECT(memcmp(got + from, model + from, last - from + 1) == 0);
    raft_log_close(log);
}

TEST(a_cut_alone_needs_no_sync) {
    struct loop l;
    start(&l, "cut");
    submit(&l, new_job(&l, 1, 10, 1, 10));
    wait_for(&l, 1);
    struct job *j = new_job(&l, 0, 0, 0, 1);
    j->job.cut = (struct log_mark){5, 1};
    submit(&l, j);
    wait_for(&l, 2);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
    EXPECT_EQ_INT(log_writer_stats(l.writer).syncs, 1);
    submit(&l, new_job(&l, 11, 1, 1, 10));
    stop(&l);
    struct raft_log *log = must_open(&l.path);
    EXPECT_EQ_INT(raft_log_mark(log).index, 5);
    EXPECT_EQ_INT(raft_log_last_index(log), 11);
    raft_log_close(log);
}

TEST(a_failure_is_for_good) {
    struct loop l;
    start(&l, "fail");
    submit(&l, new_job(&l, 1, 10, 1, 10));
    wait_for(&l, 1);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
    atomic_store(&fault_write_errno, ENOSPC);
    submit(&l, new_job(&l, 11, 1, 1, 10));
    wait_for(&l, 2);
    EXPECT_EQ_INT(l.last_rc, RC_NO_SPACE);
    EXPECT(log_writer_error(l.writer) != NULL);
    EXPECT(strstr(log_writer_error(l.writer), "No space") != NULL);
    /* The disk is well again, but entry 11 was refused: entry 12 must not be written behind it. */
    faults_off();
    submit(&l, new_job(&l, 12, 1, 1, 10));
    wait_for(&l, 3);
    EXPECT_EQ_INT(l.last_rc, RC_NO_SPACE);
    EXPECT_EQ_INT(log_writer_stats(l.writer).syncs, 1);
    stop(&l);
    struct raft_log *log = must_open(&l.path);
    EXPECT(raft_log_last_index(log) == 10 || raft_log_last_index(log) == 11);
    raft_log_close(log);
}

/* Entry after entry, until one is written here: the thread idles again only a moment after it has handed back what it
 * had. Answers the last entry. From then on the thread sleeps until it is told to begin. */
static uint64_t until_here(struct loop *l, uint64_t last) {
    for (;;) {
        queue(l, new_job(l, ++last, 1, 1, 10));
        bool here = log_writer_write_here(l->writer);
        finish(l);
        EXPECT_EQ_INT(l->last_rc, RC_OK);
        if (here) return last;
    }
}

TEST(what_is_written_here_comes_back_at_once) {
    struct loop l;
    start_with(&l, "here", UINT64_MAX);
    EXPECT(!log_writer_write_here(l.writer)); /* there is nothing */
    queue(&l, new_job(&l, 1, 1, 1, 10));
    EXPECT(!log_writer_write_here(l.writer)); /* nobody knows yet how long a sync takes here */
    finish(&l);
    uint64_t last = until_here(&l, 1), syncs = log_writer_stats(l.writer).syncs;
    while (sem_trywait(&l.woken) == 0) continue;
    for (int i = 0; i < 20; i++) {
        queue(&l, new_job(&l, ++last, 1, 1, 10));
        queue(&l, new_job(&l, ++last, 1, 1, 10));
        EXPECT(log_writer_write_here(l.writer));
        take(&l, log_writer_take_done(l.writer));
        EXPECT_EQ_U64(l.handed_back, l.submitted);
        EXPECT_EQ_INT(l.last_rc, RC_OK);
    }
    EXPECT_EQ_U64(log_writer_stats(l.writer).syncs, syncs + 20);
    EXPECT(sem_trywait(&l.woken) != 0);
    stop(&l);
    struct raft_log *log = must_open(&l.path);
    EXPECT_EQ_U64(raft_log_last_index(log), last);
    EXPECT_EQ_U64(raft_log_hard_state(log).vote, l.submitted);
    raft_log_close(log);
}

/* What the loop had better not wait for goes to the thread, and what follows it waits its turn. */
TEST(what_may_take_long_is_not_written_here) {
    struct loop l;
    start_with(&l, "long", UINT64_MAX);
    uint64_t last = until_here(&l, 0);
    struct job *cut = new_job(&l, 0, 0, 0, 1);
    cut->job.cut = (struct log_mark){last, 1};
    queue(&l, cut);
    queue(&l, new_job(&l, ++last, 1, 1, 10));
    EXPECT(!log_writer_write_here(l.writer));
    finish(&l);
    last = until_here(&l, last);
    struct job *reset = new_job(&l, 0, 0, 0, 1);
    reset->job.reset = (struct log_mark){last + 10, 1};
    queue(&l, reset);
    EXPECT(!log_writer_write_here(l.writer));
    finish(&l);
    last = until_here(&l, last + 10);
    queue(&l, new_job(&l, last + 1, 5, 1, 100 << 10));
    EXPECT(!log_writer_write_here(l.writer));
    stop(&l);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
    struct raft_log *log = must_open(&l.path);
    EXPECT_EQ_U64(raft_log_last_index(log), last + 5);
    raft_log_close(log);
}

/* One sync of a slow disk may be waited for here, not two; when the disk has been fast for a while, it may be tried again. */
TEST(a_slow_sync_sends_the_next_to_the_thread) {
    enum { SLOW_US = 700000 };
    struct loop l;
    start_with(&l, "slow", SLOW_US - 100000); /* which a busy machine seldom takes */
    uint64_t last = until_here(&l, 0);
    atomic_store(&fault_sync_us, SLOW_US);
    queue(&l, new_job(&l, ++last, 1, 1, 10));
    EXPECT(log_writer_write_here(l.writer));
    faults_off();
    queue(&l, new_job(&l, ++last, 1, 1, 10));
    EXPECT(!log_writer_write_here(l.writer));
    finish(&l);
    last = until_here(&l, last);
    atomic_store(&fault_sync_us, SLOW_US); /* the thread's syncs count as well */
    submit(&l, new_job(&l, ++last, 1, 1, 10));
    finish(&l);
    faults_off();
    queue(&l, new_job(&l, ++last, 1, 1, 10));
    EXPECT(!log_writer_write_here(l.writer));
    stop(&l);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
}

TEST(what_is_queued_is_written_by_stopping) {
    struct loop l;
    start_with(&l, "stop-here", UINT64_MAX);
    uint64_t last = until_here(&l, 0);
    queue(&l, new_job(&l, ++last, 1, 1, 10));
    stop(&l);
    EXPECT_EQ_INT(l.last_rc, RC_OK);
    struct raft_log *log = must_open(&l.path);
    EXPECT_EQ_U64(raft_log_last_index(log), last);
    raft_log_close(log);
}

TEST(a_failure_here_is_for_good) {
    struct loop l;
    start_with(&l, "fail-here", UINT64_MAX);
    uint64_t last = until_here(&l, 0), syncs = log_writer_stats(l.writer).syncs;
    atomic_store(&fault_write_errno, ENOSPC);
    queue(&l, new_job(&l, last + 1, 1, 1, 10));
    EXPECT(log_writer_write_here(l.writer));
    take(&l, log_writer_take_done(l.writer));
    EXPECT_EQ_INT(l.last_rc, RC_NO_SPACE);
    EXPECT(strstr(log_writer_error(l.writer), "No space") != NULL);
    faults_off();
    /* Neither the thread nor whoever tries here again writes behind it. */
    submit(&l, new_job(&l, last + 2, 1, 1, 10));
    finish(&l);
    EXPECT_EQ_INT(l.last_rc, RC_NO_SPACE);
    queue(&l, new_job(&l, last + 3, 1, 1, 10));
    (void)log_writer_write_here(l.writer);
    finish(&l);
    EXPECT_EQ_INT(l.last_rc, RC_NO_SPACE);
    EXPECT_EQ_U64(log_writer_stats(l.writer).syncs, syncs);
    stop(&l);
    struct raft_log *log = must_open(&l.path);
    EXPECT(raft_log_last_index(log) == last || raft_log_last_index(log) == last + 1);
    raft_log_close(log);
}

/* Readers, as slow followers will be, while the writer appends and cuts. */
struct reader {
    struct raft_log *log;
    _Atomic uint64_t written;
    _Atomic bool stop;
    _Atomic int reads, bad;
};

static enum rc count_entry(void *arg, const struct log_entry *e) {
    *(uint64_t *)arg += e->index;
    return RC_OK;
}

static void *read_behind(void *arg) {
    struct reader *rd = arg;
    while (!atomic_load(&rd->stop)) {
        uint64_t to = atomic_load(&rd->written), from = to > 60 ? to - 60 : 1, sum = 0;
        if (to == 0) continue;
        struct kv_error e;
        enum rc rc = raft_log_read(rd->log, from, to, count_entry, &sum, &e);
        if (rc == RC_OK) {
            if (sum != (from + to) * (to - from + 1) / 2) atomic_fetch_add(&rd->bad, 1);
            atomic_fetch_add(&rd->reads, 1);
        } else if (rc != RC_NOT_FOUND) {
            atomic_fetch_add(&rd->bad, 1);
        }
    }
    return NULL;
}

TEST(readers_are_never_in_the_way) {
    struct loop l;
    start(&l, "readers");
    struct reader rd = {.log = l.log};
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, read_behind, &rd) == 0);
    for (uint64_t i = 1; i <= 1500; i++) {
        struct job *j = new_job(&l, i, 1, 1, 700);
        if (i % 40 == 0) j->job.cut = (struct log_mark){i - 30, 1};
        submit(&l, j);
        wait_for(&l, i);
        atomic_store(&rd.written, i);
    }
    while (atomic_load(&rd.reads) == 0) usleep(1000);
    atomic_store(&rd.stop, true);
    pthread_join(thread, NULL);
    EXPECT_EQ_INT(atomic_load(&rd.bad), 0);
    stop(&l);
}

TEST_MAIN
