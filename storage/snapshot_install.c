/* See snapshot_install.h. What recovery sees, and what it does, whatever step a crash fell into:
 *
 *   install/   state/   install/state/   log           then
 *   ---------  -------  ---------------  ------------  -----------------------------------------------------------
 *   none       any      -                any           nothing was decided, or all is done
 *   there      there    there            as before     reset the log, swap
 *   there      there    there            reset         swap
 *   there      none     there            reset         the old state is out of the way: move the new one in
 *   there      there    none             reset         the new state is in its place: discard what is left of install/ */
#include "snapshot_install.h"

#include "folder.h"
#include "mem.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define SNAPSHOT_PREFIX "snapshot."

/* --- the swap --- */

static enum rc move(const char *from, const char *to, struct kv_error *error) {
    return rename(from, to) == 0 ? RC_OK : folder_error(error, "rename", from);
}

enum rc snapshot_swap(const char *group, struct kv_error *error) {
    struct path install = path_in(group, "install"), fresh = path_in(install.text, "state"),
                state = path_in(group, "state");
    enum rc rc = RC_OK;
    if (path_exists(fresh.text)) {
        rc = folder_discard(group, state.text, error);
        if (rc == RC_OK) rc = move(fresh.text, state.text, error);
    }
    /* Both folders, before install/ goes: a power cut must not show it gone and the old state still there. */
    if (rc == RC_OK && path_exists(install.text)) rc = folder_sync(install.text, error);
    if (rc == RC_OK) rc = folder_sync(group, error);
    if (rc == RC_OK) rc = folder_discard(group, install.text, error);
    return rc == RC_OK ? folder_sync(group, error) : rc;
}

/* --- recovery --- */

static enum rc note_term(void *arg, const struct log_entry *e) {
    *(uint64_t *)arg = e->term;
    return RC_OK;
}

static enum rc contradiction(struct kv_error *error, struct log_mark log, struct log_mark snapshot) {
    snprintf(
        error->text, sizeof error->text,
        "the snapshot to be installed is of entry %llu (term %llu), but the log begins behind %llu (%llu)",
        (unsigned long long)snapshot.index, (unsigned long long)snapshot.term, (unsigned long long)log.index,
        (unsigned long long)log.term);
    return RC_CORRUPT;
}

/* A log that has the snapshot's entry agrees with it up to there, and what is behind may have been acknowledged. */
static enum rc fit_log(struct raft_log *log, struct log_mark to, struct kv_error *error) {
    struct log_mark mark = raft_log_mark(log);
    if (mark.index > to.index || mark.term > to.term) return contradiction(error, mark, to);
    if (mark.index == to.index) return mark.term == to.term ? RC_OK : contradiction(error, mark, to);
    if (to.index <= raft_log_last_index(log)) {
        uint64_t term = 0;
        enum rc rc = raft_log_read(log, to.index, to.index, note_term, &term, error);
        if (rc != RC_OK || term == to.term) return rc;
    }
    return raft_log_reset(log, to, NULL, error);
}

static enum rc carry_on(const char *group, const struct path *install, struct raft_log *log,
                        struct kv_error *error) {
    struct path file = path_in(install->text, "manifest"), fresh = path_in(install->text, "state"),
                state = path_in(group, "state");
    struct buf bytes = {0};
    struct snapshot_manifest m;
    if (!path_exists(fresh.text) && !path_exists(state.text)) {
        snprintf(error->text, sizeof error->text,
                 "a snapshot was being installed, and neither it nor the state is there");
        return RC_CORRUPT;
    }
    enum rc rc = file_read(file.text, SNAPSHOT_MANIFEST_MAX, &bytes, error);
    if (rc == RC_NOT_FOUND) rc = RC_CORRUPT;
    if (rc == RC_OK) rc = snapshot_manifest_decode(buf_slice(&bytes), &m, error);
    buf_free(&bytes);
    if (rc != RC_OK) return rc;
    struct log_mark to = {.index = m.applied.index, .term = m.applied.term};
    snapshot_manifest_free(&m);
    /* When the new state is in its place the log was reset before, and may have grown and been cut since. */
    if (path_exists(fresh.text)) rc = fit_log(log, to, error);
    return rc == RC_OK ? snapshot_swap(group, error) : rc;
}

static enum rc discard_snapshots(const char *group, struct kv_error *error) {
    DIR *dir = opendir(group);
    if (dir == NULL) return folder_error(error, "open", group);
    enum rc rc = RC_OK;
    for (struct dirent *d; rc == RC_OK && (d = readdir(dir)) != NULL;) {
        if (strncmp(d->d_name, SNAPSHOT_PREFIX, sizeof SNAPSHOT_PREFIX - 1) != 0) continue;
        struct path p = path_in(group, d->d_name);
        rc = folder_discard(group, p.text, error);
    }
    closedir(dir);
    return rc;
}

/* What was partly received may be gone on with, unless the log has come as far by itself. */
static enum rc look_at_incoming(const char *group, uint64_t last_index, struct kv_error *error) {
    struct path manifest = path_in(group, "incoming/manifest");
    struct buf bytes = {0};
    struct snapshot_manifest m;
    enum rc rc = file_read(manifest.text, SNAPSHOT_MANIFEST_MAX, &bytes, error);
    if (rc == RC_OK) rc = snapshot_manifest_decode(buf_slice(&bytes), &m, error);
    buf_free(&bytes);
    bool useful = rc == RC_OK && m.applied.index > last_index;
    if (rc == RC_OK) snapshot_manifest_free(&m);
    return useful ? RC_OK : snapshot_forget_incoming(group, error);
}

enum rc snapshot_recover(const char *group, struct raft_log *log, struct kv_error *error) {
    struct path install = path_in(group, "install");
    enum rc rc = RC_OK;
    if (path_exists(install.text)) rc = carry_on(group, &install, log, error);
    if (rc == RC_OK) rc = look_at_incoming(group, raft_log_last_index(log), error);
    return rc == RC_OK ? discard_snapshots(group, error) : rc;
}

enum rc snapshot_forget_incoming(const char *group, struct kv_error *error) {
    struct path incoming = path_in(group, "incoming");
    return folder_discard(group, incoming.text, error);
}

/* --- in a running node --- */

struct snapshot_install {
    struct path group, state;
    struct keyspace_options options;
    void (*wake)(void *arg);
    void *wake_arg;
    pthread_t thread;
    pthread_mutex_t mutex;
    bool ended; /* under mutex; what follows is the thread's until then */
    struct keyspace *ks;
    enum rc rc;
    struct kv_error error;
};

static void *install_main(void *arg) {
    struct snapshot_install *in = arg;
    ks_close(in->ks);
    in->ks = NULL;
    in->rc = snapshot_swap(in->group.text, &in->error);
    if (in->rc == RC_OK) in->rc = ks_open(in->state.text, &in->options, &in->ks, &in->error);
    pthread_mutex_lock(&in->mutex);
    in->ended = true;
    pthread_mutex_unlock(&in->mutex);
    in->wake(in->wake_arg);
    return NULL;
}

struct snapshot_install *snapshot_install_start(const char *group, struct keyspace *ks,
                                                const struct keyspace_options *options,
                                                void (*wake)(void *arg), void *arg) {
    struct snapshot_install *in = mem_calloc(1, sizeof *in);
    in->group = path_make(group);
    in->state = path_in(group, "state");
    in->options = *options;
    in->wake = wake;
    in->wake_arg = arg;
    in->ks = ks;
    CHECK(pthread_mutex_init(&in->mutex, NULL) == 0);
    CHECK(pthread_create(&in->thread, NULL, install_main, in) == 0);
    return in;
}

enum rc snapshot_install_poll(struct snapshot_install *in, struct keyspace **ks, struct kv_error *error) {
    pthread_mutex_lock(&in->mutex);
    bool ended = in->ended;
    pthread_mutex_unlock(&in->mutex);
    if (!ended) return RC_BUSY;
    CHECK(pthread_join(in->thread, NULL) == 0);
    enum rc rc = in->rc;
    if (rc == RC_OK)
        *ks = in->ks;
    else
        *error = in->error;
    pthread_mutex_destroy(&in->mutex);
    mem_free(in);
    return rc;
}
