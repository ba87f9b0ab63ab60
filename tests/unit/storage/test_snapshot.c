/* Snapshots: made from a keyspace that goes on, sent in pieces, received whatever happens to the pieces, and put in the
 * state's place: at every instant the old state is there or the new one, whole. */
#include "snapshot.h"

#include "folder.h"
#include "hash.h"
#include "keyspace_internal.h"
#include "raft_log.h"
#include "snapshot_install.h"
#include "snapshot_sink.h"
#include "test.h"

#include "disk_stops.h"
#include "scratch.h"

#include <semaphore.h>

enum { SEED = 77, KEYS = 400, OLD_INDEX = 15, OLD_LAST = 20, OLD_TERM = 2 };

static struct kv_error error;

#define MUST(call)                                                                                           \
    do {                                                                                                     \
        enum rc must_rc = (call);                                                                            \
        EXPECT_NOTE(must_rc == RC_OK, "%s: %s", rc_name(must_rc), error.text);                               \
    } while (0)

/* --- a node's folder --- */

static struct keyspace *open_state(const char *group) {
    struct keyspace_options options = {
        .block_cache_bytes = 1 << 20, .background_threads = 1, .place_seed = SEED};
    struct path p = path_in(group, "state");
    struct keyspace *ks = NULL;
    MUST(ks_open(p.text, &options, &ks, &error));
    return ks;
}

static struct raft_log *open_log(const char *group) {
    struct path p = path_in(group, "log");
    struct raft_log *log = NULL;
    MUST(raft_log_open(p.text, &(struct raft_log_options){.memtable_bytes = 64 << 10}, &log, &error));
    return log;
}

/* The state of an index: each key holds something that follows from it; the configuration too. */
static void set_state(struct keyspace *ks, uint64_t index, uint64_t term) {
    char name[32], value[3000];
    ks_begin_entry(ks);
    for (int i = 0; i < KEYS; i++) {
        size_t len = (size_t)(i % 10 == 0 ? 2000 : 20) + (size_t)(index % 900);
        memset(value, (int)('a' + (index + (uint64_t)i) % 26), len);
        int n = snprintf(name, sizeof name, "key:%d", i);
        string_set(ks, i % 3, slice_make(name, (size_t)n), slice_make(value, len), false);
    }
    int n = snprintf(name, sizeof name, "members of %llu", (unsigned long long)index);
    ks_set_members(ks, index, slice_make(name, (size_t)n));
    ks_set_applied(ks, (struct ks_applied){.index = index, .term = term, .clock_ms = (int64_t)index * 10});
}

static void check_state(struct keyspace *ks, uint64_t index, uint64_t term) {
    char name[32], value[3000], scratch[32];
    EXPECT_EQ_U64(ks_applied(ks).index, index);
    EXPECT_EQ_U64(ks_applied(ks).term, term);
    for (int i = 0; i < KEYS; i++) {
        size_t len = (size_t)(i % 10 == 0 ? 2000 : 20) + (size_t)(index % 900);
        memset(value, (int)('a' + (index + (uint64_t)i) % 26), len);
        int n = snprintf(name, sizeof name, "key:%d", i);
        struct object *o = ks_peek(ks, i % 3, slice_make(name, (size_t)n), -1);
        EXPECT(o != NULL);
        EXPECT_EQ_SLICE(string_get(o, scratch), slice_make(value, len));
    }
    EXPECT_EQ_INT(ks_count(ks, 0) + ks_count(ks, 1) + ks_count(ks, 2), KEYS);
    uint64_t members_index;
    int n = snprintf(name, sizeof name, "members of %llu", (unsigned long long)index);
    EXPECT_EQ_SLICE(ks_members(ks, &members_index), slice_make(name, (size_t)n));
    EXPECT_EQ_U64(members_index, index);
}

/* A leader's state of several files; its snapshot of `index` is at <group>/snapshot.1. */
static void make_leader(const struct scratch *group, uint64_t index, uint64_t term) {
    scratch_must(mkdir(group->path, 0755) == 0, group->path);
    struct keyspace *ks = open_state(group->path);
    for (uint64_t i = index - 3; i <= index; i++) {
        set_state(ks, i, term);
        MUST(ks_store_all(ks, &error));
    }
    struct path folder = path_in(group->path, "snapshot.1");
    EXPECT(ks_snapshot_begin(ks, folder.text));
    enum rc rc;
    while ((rc = ks_snapshot_poll(ks, &error)) == RC_BUSY) {
        usleep(500);
        ks_turn(ks, 10);
    }
    MUST(rc);
    ks_close(ks);
}

static enum rc append(struct raft_log *log, uint64_t first, uint64_t last, uint64_t term) {
    struct log_hard_state hs = {.term = term, .vote = 5};
    enum rc rc = RC_OK;
    for (uint64_t i = first; rc == RC_OK && i <= last; i++) {
        struct log_entry e = {.index = i, .term = term, .kind = 1, .payload = SLICE("x")};
        rc = raft_log_write(log, &(struct log_batch){&hs, &e, 1}, &error);
    }
    return rc;
}

/* A follower that fell behind. */
static void make_follower(const struct scratch *group) {
    scratch_must(mkdir(group->path, 0755) == 0, group->path);
    struct raft_log *log = open_log(group->path);
    MUST(append(log, 1, OLD_LAST, OLD_TERM));
    raft_log_close(log);
    struct keyspace *ks = open_state(group->path);
    set_state(ks, OLD_INDEX, OLD_TERM);
    MUST(ks_store_all(ks, &error));
    ks_close(ks);
}

static void copy_tree(const char *from, const char *to) {
    scratch_remove(to);
    scratch_must(mkdir(to, 0755) == 0, to);
    DIR *dir = opendir(from);
    scratch_must(dir != NULL, from);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.') continue;
        struct path source = path_in(from, d->d_name), target = path_in(to, d->d_name);
        struct stat st;
        scratch_must(stat(source.text, &st) == 0, source.text);
        if (S_ISDIR(st.st_mode)) {
            copy_tree(source.text, target.text);
        } else {
            struct buf b = scratch_load(source.text);
            scratch_save(target.text, buf_slice(&b));
            buf_free(&b);
        }
    }
    closedir(dir);
}

static int count_trash(const char *group) {
    int count = 0;
    DIR *dir = opendir(group);
    scratch_must(dir != NULL, group);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) count += strncmp(d->d_name, "trash.", 6) == 0;
    closedir(dir);
    return count;
}

/* --- sending and receiving --- */

static void woken(void *arg) {
    sem_post(arg);
}

static sem_t wake_up;

static struct snapshot_source *open_source(const struct scratch *leader) {
    struct path folder = path_in(leader->path, "snapshot.1");
    struct snapshot_source *s = NULL;
    MUST(snapshot_source_open(folder.text, &s, &error));
    return s;
}

static enum rc try_sink(const struct scratch *group, struct slice manifest, struct snapshot_sink **out) {
    sem_init(&wake_up, 0, 0);
    return snapshot_sink_begin(group->path, manifest, SEED, woken, &wake_up, out, &error);
}

static struct snapshot_sink *open_sink(const struct scratch *group, const struct snapshot_source *source) {
    struct snapshot_sink *sink = NULL;
    MUST(try_sink(group, snapshot_source_manifest(source), &sink));
    return sink;
}

static void seek_to_sink(struct snapshot_source *source, struct snapshot_sink *sink) {
    struct snapshot_place p = snapshot_sink_place(sink);
    EXPECT(snapshot_source_seek(source, p.file, p.offset));
}

/* Sends up to `pieces` pieces, each cut in two; answers what stopped it: RC_NOT_FOUND is the end. */
static enum rc send_some(struct snapshot_source *source, struct snapshot_sink *sink, size_t pieces) {
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < pieces; i++) {
        struct snapshot_chunk c;
        rc = snapshot_source_next(source, &c, &error);
        if (rc != RC_OK) break;
        struct snapshot_chunk first = c, second = c;
        first.bytes.len = c.bytes.len / 2;
        second.bytes = slice_make(c.bytes.data + first.bytes.len, c.bytes.len - first.bytes.len);
        second.offset += first.bytes.len;
        while ((rc = snapshot_sink_write(sink, &first, &error)) == RC_BUSY) usleep(200);
        if (rc != RC_OK) break;
        while ((rc = snapshot_sink_write(sink, &second, &error)) == RC_BUSY) usleep(200);
    }
    return rc;
}

static enum rc wait_sink(struct snapshot_sink *sink) {
    enum rc rc;
    while ((rc = snapshot_sink_poll(sink, &error)) == RC_BUSY) sem_wait(&wake_up);
    return rc;
}

static enum rc finish(struct snapshot_sink *sink) {
    enum rc rc = snapshot_sink_finish(sink, &error);
    return rc == RC_OK ? wait_sink(sink) : rc;
}

/* Until the sink's thread has nothing to do: its place does not move any more. */
static void wait_written(struct snapshot_sink *sink) {
    struct snapshot_place before, now = snapshot_sink_place(sink);
    do {
        before = now;
        usleep(3000);
        now = snapshot_sink_place(sink);
    } while (now.file != before.file || now.offset != before.offset);
}

/* As snapshot_sink_commit does. */
static void decide(const struct scratch *group) {
    struct path incoming = path_in(group->path, "incoming"), install = path_in(group->path, "install");
    EXPECT(rename(incoming.text, install.text) == 0);
}

/* Receives all of it and leaves it in <group>/incoming. */
static void receive_all(const struct scratch *leader, const struct scratch *group) {
    struct snapshot_source *source = open_source(leader);
    struct snapshot_sink *sink = open_sink(group, source);
    seek_to_sink(source, sink);
    EXPECT_EQ_INT(send_some(source, sink, SIZE_MAX), RC_NOT_FOUND);
    EXPECT_EQ_U64(snapshot_source_left(source), 0);
    MUST(finish(sink));
    snapshot_sink_close(sink, true);
    snapshot_source_close(source);
}

/* Starts as a node does, and tells which index it has; everything must fit together. */
static uint64_t restart(const char *group, uint64_t new_index, uint64_t new_term) {
    struct raft_log *log = open_log(group);
    MUST(snapshot_recover(group, log, &error));
    struct keyspace *ks = open_state(group);
    uint64_t index = ks_applied(ks).index, mark = raft_log_mark(log).index, last = raft_log_last_index(log);
    EXPECT_NOTE(mark <= index && index <= last, "state %d, log %d..%d", (int)index, (int)mark, (int)last);
    if (index == OLD_INDEX) {
        check_state(ks, OLD_INDEX, OLD_TERM);
        EXPECT_EQ_U64(last, OLD_LAST);
    } else {
        check_state(ks, new_index, new_term);
    }
    EXPECT_EQ_U64(raft_log_hard_state(log).vote, raft_log_hard_state(log).term == 7 ? 0 : 5);
    ks_close(ks);
    raft_log_close(log);
    struct path install = path_in(group, "install"), made = path_in(group, "snapshot.1");
    EXPECT(!path_exists(install.text));
    EXPECT(!path_exists(made.text));
    return index;
}

TEST(a_snapshot_arrives_and_replaces_the_state) {
    struct scratch leader = scratch_fresh("leader"), group = scratch_fresh("follower");
    make_leader(&leader, 100, 7);
    make_follower(&group);
    struct snapshot_source *source = open_source(&leader);
    const struct snapshot_manifest *m = snapshot_source_about(source);
    EXPECT_EQ_U64(m->applied.index, 100);
    EXPECT_EQ_U64(m->applied.term, 7);
    EXPECT_EQ_INT(m->applied.clock_ms, 1000);
    EXPECT_EQ_U64(m->place_seed, SEED);
    EXPECT_EQ_U64(m->members_index, 100);
    EXPECT_EQ_SLICE(buf_slice(&m->members), SLICE("members of 100"));
    EXPECT(m->file_count >= 4);
    snapshot_source_close(source);

    receive_all(&leader, &group);
    EXPECT_EQ_U64(restart(group.path, 100, 7), OLD_INDEX); /* received is not installed */
    source = open_source(&leader);
    struct snapshot_sink *sink = open_sink(&group, source);
    EXPECT_EQ_INT(snapshot_sink_place(sink).file, snapshot_source_about(source)->file_count);
    MUST(finish(sink));
    MUST(snapshot_sink_commit(sink, &error));
    snapshot_sink_close(sink, false);
    snapshot_source_close(source);
    EXPECT_EQ_U64(restart(group.path, 100, 7), 100);
    struct raft_log *log = open_log(group.path);
    EXPECT_EQ_U64(raft_log_mark(log).index, 100);
    EXPECT_EQ_U64(raft_log_mark(log).term, 7);
    EXPECT_EQ_U64(raft_log_last_index(log), 100);
    raft_log_close(log);
    /* What was replaced is deleted by a sweeper, now or in a later life. */
    EXPECT(count_trash(group.path) > 0);
    struct sweeper *sweeper = sweeper_start(group.path);
    while (count_trash(group.path) > 0) usleep(1000);
    sweeper_stop(sweeper);
    EXPECT_EQ_U64(restart(group.path, 100, 7), 100);
}

/* The received state is a keyspace like any other: ingested files and all, it takes further write-backs. */
TEST(the_new_state_goes_on) {
    struct scratch leader = scratch_fresh("leader"), group = scratch_fresh("follower");
    make_leader(&leader, 100, 7);
    make_follower(&group);
    receive_all(&leader, &group);
    decide(&group);
    EXPECT_EQ_U64(restart(group.path, 100, 7), 100);
    struct keyspace *ks = open_state(group.path);
    for (uint64_t i = 101; i <= 112; i++) { /* enough files for a compaction */
        set_state(ks, i, 7);
        MUST(ks_store_all(ks, &error));
    }
    check_state(ks, 112, 7);
    ks_forget(ks);
    check_state(ks, 112, 7);
    ks_close(ks);
    ks = open_state(group.path);
    check_state(ks, 112, 7);
    ks_close(ks);
}

/* In a running node: the old keyspace in, the new one out. */
TEST(a_running_node_changes_its_state) {
    struct scratch leader = scratch_fresh("leader"), group = scratch_fresh("follower");
    make_leader(&leader, 100, 7);
    make_follower(&group);
    struct raft_log *log = open_log(group.path);
    struct keyspace *ks = open_state(group.path), *fresh = NULL;
    ks_writeback_begin(ks); /* whatever it is at */
    struct snapshot_source *source = open_source(&leader);
    struct snapshot_sink *sink = open_sink(&group, source);
    EXPECT_EQ_INT(send_some(source, sink, SIZE_MAX), RC_NOT_FOUND);
    MUST(finish(sink));
    MUST(snapshot_sink_commit(sink, &error));
    struct snapshot_sink *second = NULL;
    EXPECT_EQ_INT(try_sink(&group, snapshot_source_manifest(source), &second), RC_BUSY);
    snapshot_sink_close(sink, false);
    snapshot_source_close(source);
    MUST(raft_log_reset(log, (struct log_mark){100, 7}, NULL, &error));
    struct keyspace_options options = {
        .block_cache_bytes = 1 << 20, .background_threads = 1, .place_seed = SEED};
    struct snapshot_install *in = snapshot_install_start(group.path, ks, &options, woken, &wake_up);
    enum rc rc;
    while ((rc = snapshot_install_poll(in, &fresh, &error)) == RC_BUSY) sem_wait(&wake_up);
    MUST(rc);
    check_state(fresh, 100, 7);
    set_state(fresh, 101, 8);
    MUST(ks_store_all(fresh, &error));
    ks_close(fresh);
    MUST(append(log, 101, 101, 8));
    raft_log_close(log);
    EXPECT_EQ_U64(restart(group.path, 101, 8), 101);
}

/* --- pieces get lost --- */

TEST(a_transfer_goes_on_where_it_stopped) {
    struct rng r = {test_seed()};
    struct scratch leader = scratch_fresh("leader"), group = scratch_fresh("follower");
    make_leader(&leader, 100, 7);
    make_follower(&group);
    struct snapshot_source *source = open_source(&leader);
    uint64_t most_left = snapshot_source_left(source);
    enum rc rc = RC_OK;
    int sessions = 0;
    for (; rc != RC_NOT_FOUND; sessions++) {
        struct snapshot_sink *sink = open_sink(&group, source);
        seek_to_sink(source, sink);
        EXPECT(snapshot_source_left(source) <= most_left); /* what was written does not come again */
        most_left = snapshot_source_left(source);
        rc = send_some(source, sink, 1 + (size_t)rng_below(&r, 3));
        if (rc == RC_OK && rng_below(&r, 2)) {
            struct snapshot_chunk c; /* half a piece more */
            rc = snapshot_source_next(source, &c, &error);
            if (rc == RC_OK) {
                c.bytes.len = c.bytes.len / 3;
                MUST(snapshot_sink_write(sink, &c, &error));
            }
        }
        if (rc == RC_OK && rng_below(&r, 2)) { /* all that was sent is written */
            wait_written(sink);
        }
        if (rc == RC_NOT_FOUND) MUST(finish(sink));
        snapshot_sink_close(sink, true);
        EXPECT(sessions < 1000);
    }
    printf("    %d sessions\n", sessions);
    snapshot_source_close(source);
    EXPECT_EQ_U64(restart(group.path, 100, 7), OLD_INDEX);
    decide(&group);
    EXPECT_EQ_U64(restart(group.path, 100, 7), 100);
}

/* --- a crash at every step --- */

/* Everything from the decision to the new state, until the disk stops. */
static bool install(const struct scratch *group, struct raft_log *log, bool *decided) {
    struct path incoming = path_in(group->path, "incoming"), target = path_in(group->path, "install");
    if (rename(incoming.text, target.text) != 0) return false;
    *decided = true;
    if (folder_sync(group->path, &error) != RC_OK) return false;
    if (raft_log_reset(log, (struct log_mark){100, 7}, NULL, &error) != RC_OK) return false;
    return snapshot_swap(group->path, &error) == RC_OK;
}

TEST(a_crash_between_any_two_steps_leaves_one_state_whole) {
    struct scratch leader = scratch_fresh("leader"), ready = scratch_fresh("ready"),
                   group = scratch_fresh("crash");
    make_leader(&leader, 100, 7);
    make_follower(&ready);
    receive_all(&leader, &ready);
    bool done = false;
    long steps = 0, old = 0, fresh = 0;
    for (; !done; steps++) {
        copy_tree(ready.path, group.path);
        struct raft_log *log = open_log(group.path);
        bool decided = false;
        disk_stop_after(steps, EIO);
        done = install(&group, log, &decided);
        bool stopped = disk_has_stopped();
        raft_log_close(log);
        disk_goes_on();
        EXPECT(done != stopped);
        uint64_t index = restart(group.path, 100, 7);
        EXPECT_EQ_U64(index, decided ? 100 : OLD_INDEX);
        old += !decided;
        fresh += decided;
        EXPECT_EQ_U64(restart(group.path, 100, 7), index);
        EXPECT(steps < 100);
    }
    printf("    %ld steps; %ld times the old state, %ld times the new one\n", steps, old, fresh);
    EXPECT(old > 0);
    EXPECT(fresh >= 6);
}

/* Recovery itself is cut short, again and again, each time a step later. */
TEST(a_recovery_may_be_interrupted_too) {
    struct scratch leader = scratch_fresh("leader"), ready = scratch_fresh("ready"),
                   group = scratch_fresh("crash");
    make_leader(&leader, 100, 7);
    make_follower(&ready);
    receive_all(&leader, &ready);
    decide(&ready);
    for (long most = 0; most < 12; most++) {
        copy_tree(ready.path, group.path);
        for (long steps = 0; steps <= most; steps++) {
            struct raft_log *log = open_log(group.path);
            disk_stop_after(steps, EIO);
            enum rc rc = snapshot_recover(group.path, log, &error);
            bool stopped = disk_has_stopped();
            raft_log_close(log);
            disk_goes_on();
            EXPECT_EQ_INT(rc, stopped ? RC_IO : RC_OK);
        }
        EXPECT_EQ_U64(restart(group.path, 100, 7), 100);
    }
}

TEST_MAIN
