/* The log thread of log_writer.h, and what is written without it. A group is a run of queued jobs, in order, that become one
 * raft_log_write; it ends at a job with a cut, so that a cut always meets the log it was meant for, and at
 * a size bound, so that the first of many waits for a bounded write. A reset is a group of its own. Cuts are done after
 * the group's jobs were handed back: nobody waits for them.
 *
 *   idle --begin--> gather --raft_log_write--> hand back + wake --raft_log_cut--> gather or idle
 *                                  |
 *                                  +--failure--> failed: hands every job back with the same rc, for good
 *
 * Whoever sets `writing`, the thread or log_writer_write_here, owns the log and the group until it is cleared again. */
#include "log_writer.h"

#include "mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum {
    GROUP_BYTES_MAX = 4 << 20,
    SYNC_SHARE = 16, /* of what the newest sync counts for, when it was faster */
};

struct job_list {
    struct log_job *head, *tail;
};

struct log_writer {
    struct raft_log *log;
    uint64_t here_us_max;
    void (*wake)(void *arg);
    void *wake_arg;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards what follows, up to the blank line */
    pthread_cond_t queued;
    struct job_list queue, done;
    bool waiting, stopping;
    bool writing;     /* a group is being written or cut */
    uint64_t sync_us; /* how long a write takes, as note_sync expects it */
    struct log_writer_stats stats;

    /* Of whoever has set `writing`. */
    struct log_entry *entries; /* of the group; payloads stay the jobs' */
    size_t entry_count, entry_cap;
    enum rc failed; /* sticky */
    struct kv_error error;
    _Atomic bool error_shown; /* set after `error` was written for the last time */
};

static void list_add(struct job_list *l, struct log_job *job) {
    job->next = NULL;
    if (l->head == NULL)
        l->head = job;
    else
        l->tail->next = job;
    l->tail = job;
}

static void list_join(struct job_list *l, struct job_list *more) {
    if (more->head == NULL) return;
    if (l->head == NULL)
        l->head = more->head;
    else
        l->tail->next = more->head;
    l->tail = more->tail;
    *more = (struct job_list){0};
}

/* Moves the next group from the front of the queue. At least one job when there is any. */
static void take_group(struct job_list *queue, struct job_list *group) {
    size_t bytes = 0;
    while (queue->head != NULL && bytes < GROUP_BYTES_MAX) {
        struct log_job *job = queue->head;
        if (job->reset.index != 0 && group->head != NULL) break;
        queue->head = job->next;
        list_add(group, job);
        if (job->reset.index != 0) break;
        for (size_t i = 0; i < job->entry_count; i++) bytes += job->entries[i].payload.len;
        if (job->cut.index != 0) break;
    }
    if (queue->head == NULL) queue->tail = NULL;
}

/* Appends a job's entries to the group's. One that goes back behind the group's end replaces what it
 * overlaps, which then never reaches the disk: its own job is answered all the same, as if it had been
 * written and replaced. */
static void merge_entries(struct log_writer *w, const struct log_job *job) {
    if (job->entry_count == 0) return;
    uint64_t first = job->entries[0].index;
    while (w->entry_count > 0 && w->entries[w->entry_count - 1].index >= first) w->entry_count--;
    CHECK(w->entry_count == 0 || w->entries[w->entry_count - 1].index + 1 == first);
    if (w->entry_cap - w->entry_count < job->entry_count) {
        w->entry_cap = (w->entry_count + job->entry_count) * 2;
        w->entries = mem_realloc(w->entries, w->entry_cap * sizeof *w->entries);
    }
    memcpy(w->entries + w->entry_count, job->entries, job->entry_count * sizeof *job->entries);
    w->entry_count += job->entry_count;
}

static void fail_for_good(struct log_writer *w, enum rc rc) {
    w->failed = rc;
    atomic_store_explicit(&w->error_shown, true, memory_order_release);
}

static void reset_log(struct log_writer *w, const struct log_job *job, struct log_writer_stats *added) {
    const struct log_hard_state *hard_state = job->has_hard_state ? &job->hard_state : NULL;
    enum rc rc = raft_log_reset(w->log, job->reset, hard_state, &w->error);
    if (rc != RC_OK)
        fail_for_good(w, rc);
    else
        added->syncs++;
}

/* Writes the group and stamps its jobs. A group of cuts alone writes nothing. */
static void write_group(struct log_writer *w, struct job_list *group, struct log_writer_stats *added) {
    struct log_batch batch = {0};
    w->entry_count = 0;
    for (struct log_job *job = group->head; job != NULL; job = job->next) {
        added->jobs++;
        if (w->failed != RC_OK) continue;
        if (job->reset.index != 0) {
            reset_log(w, job, added);
            continue;
        }
        if (job->has_hard_state) batch.hard_state = &job->hard_state;
        merge_entries(w, job);
    }
    batch.entries = w->entries;
    batch.entry_count = w->entry_count;
    if (w->failed == RC_OK && (batch.hard_state != NULL || batch.entry_count > 0)) {
        enum rc rc = raft_log_write(w->log, &batch, &w->error);
        if (rc != RC_OK)
            fail_for_good(w, rc);
        else {
            added->syncs++;
            added->entries += batch.entry_count;
            for (size_t i = 0; i < batch.entry_count; i++) added->bytes += batch.entries[i].payload.len;
        }
    }
    for (struct log_job *job = group->head; job != NULL; job = job->next) job->rc = w->failed;
}

static uint64_t mono_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* A slow one counts at once and for long, the longer the slower it was; only many fast ones make it be forgotten. */
static void note_sync(struct log_writer *w, uint64_t took_us) {
    if (took_us >= w->sync_us)
        w->sync_us = took_us;
    else
        w->sync_us -= (w->sync_us - took_us) / SYNC_SHARE;
}

/* On the calling thread, with the mutex held before and afterwards. Answers the cut that is still to be done, index 0
 * for none; until then `writing` stays set. */
static struct log_mark write_next_group(struct log_writer *w) {
    CHECK(!w->writing);
    CHECK(w->queue.head != NULL);
    w->writing = true;
    struct job_list group = {0};
    take_group(&w->queue, &group);
    struct log_mark cut = group.tail->cut;
    pthread_mutex_unlock(&w->mutex);

    struct log_writer_stats added = {0};
    uint64_t before_us = mono_us();
    write_group(w, &group, &added);
    uint64_t took_us = mono_us() - before_us;

    pthread_mutex_lock(&w->mutex);
    w->stats.syncs += added.syncs;
    w->stats.jobs += added.jobs;
    w->stats.entries += added.entries;
    w->stats.bytes += added.bytes;
    if (added.syncs > 0) note_sync(w, took_us);
    list_join(&w->done, &group); /* from here on the jobs are the submitter's again */
    return cut;
}

static void *writer_main(void *arg) {
    struct log_writer *w = arg;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (w->writing || (w->queue.head == NULL && !w->stopping)) {
            w->waiting = true;
            pthread_cond_wait(&w->queued, &w->mutex);
        }
        w->waiting = false;
        if (w->queue.head == NULL) break;
        struct log_mark cut = write_next_group(w);
        pthread_mutex_unlock(&w->mutex);
        w->wake(w->wake_arg);

        if (cut.index != 0 && w->failed == RC_OK) {
            enum rc rc = raft_log_cut(w->log, cut, &w->error);
            if (rc != RC_OK) fail_for_good(w, rc);
        }
        pthread_mutex_lock(&w->mutex);
        w->writing = false;
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

struct log_writer *log_writer_start(struct raft_log *log, uint64_t here_us_max, void (*wake)(void *arg),
                                    void *arg) {
    struct log_writer *w = mem_calloc(1, sizeof *w);
    w->log = log;
    w->here_us_max = here_us_max;
    w->sync_us = here_us_max; /* too slow until one has shown to be faster */
    w->wake = wake;
    w->wake_arg = arg;
    CHECK(pthread_mutex_init(&w->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&w->queued, NULL) == 0);
    CHECK(pthread_create(&w->thread, NULL, writer_main, w) == 0);
    return w;
}

struct log_job *log_writer_stop(struct log_writer *w) {
    if (w == NULL) return NULL;
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    pthread_cond_signal(&w->queued);
    pthread_mutex_unlock(&w->mutex);
    CHECK(pthread_join(w->thread, NULL) == 0);
    CHECK(w->queue.head == NULL);
    struct log_job *done = w->done.head;
    pthread_cond_destroy(&w->queued);
    pthread_mutex_destroy(&w->mutex);
    mem_free(w->entries);
    mem_free(w);
    return done;
}

void log_writer_submit(struct log_writer *w, struct log_job *job) {
    CHECK(job->reset.index == 0 || (job->entry_count == 0 && job->cut.index == 0));
    pthread_mutex_lock(&w->mutex);
    CHECK(!w->stopping);
    list_add(&w->queue, job);
    pthread_mutex_unlock(&w->mutex);
}

/* Cuts and resets delete files now and then, which takes as long as it takes. */
static bool is_quick(const struct job_list *queue) {
    size_t bytes = 0;
    for (const struct log_job *job = queue->head; job != NULL; job = job->next) {
        if (job->reset.index != 0 || job->cut.index != 0) return false;
        for (size_t i = 0; i < job->entry_count; i++) bytes += job->entries[i].payload.len;
        if (bytes > LOG_WRITER_HERE_BYTES_MAX) return false;
    }
    return true;
}

/* With the mutex held, which it gives up. A thread that is at work looks at the queue by itself. */
static void unlock_and_begin(struct log_writer *w) {
    bool signal = w->waiting && w->queue.head != NULL;
    if (signal) w->waiting = false;
    pthread_mutex_unlock(&w->mutex);
    if (signal) pthread_cond_signal(&w->queued);
}

void log_writer_begin(struct log_writer *w) {
    pthread_mutex_lock(&w->mutex);
    unlock_and_begin(w);
}

bool log_writer_write_here(struct log_writer *w) {
    pthread_mutex_lock(&w->mutex);
    bool here = w->queue.head != NULL && !w->writing && w->sync_us < w->here_us_max && is_quick(&w->queue);
    if (here) {
        struct log_mark cut = write_next_group(w);
        CHECK(cut.index == 0);
        w->writing = false;
    }
    unlock_and_begin(w);
    return here;
}

struct log_job *log_writer_take_done(struct log_writer *w) {
    pthread_mutex_lock(&w->mutex);
    struct log_job *jobs = w->done.head;
    w->done = (struct job_list){0};
    pthread_mutex_unlock(&w->mutex);
    return jobs;
}

const char *log_writer_error(struct log_writer *w) {
    return atomic_load_explicit(&w->error_shown, memory_order_acquire) ? w->error.text : NULL;
}

struct log_writer_stats log_writer_stats(struct log_writer *w) {
    pthread_mutex_lock(&w->mutex);
    struct log_writer_stats stats = w->stats;
    pthread_mutex_unlock(&w->mutex);
    return stats;
}
