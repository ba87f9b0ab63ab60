/* What a node finds on disk: the lock of its folder, who it is, its log and its state, and whether these fit together;
 * and the way back, closing them in order. */
#include "node_internal.h"

#include "folder.h"
#include "hash.h"
#include "mem.h"
#include "raft_members.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder outlives a power cut when its parent is synced; what it holds is of no use without it. */
static bool make_dir(const char *path) {
    bool made = mkdir(path, 0755) == 0;
    if (!made && errno != EEXIST) {
        node_log("Cannot create the folder %s: %s", path, strerror(errno));
        return false;
    }
    char parent[4400];
    snprintf(parent, sizeof parent, "%s/..", path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (!synced && made) node_log("Cannot sync the folder of %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return synced || !made;
}

static bool lock_dir(struct node *n) {
    char path[4200];
    snprintf(path, sizeof path, "%s/LOCK", n->server.config.dir);
    n->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (n->lock_fd < 0) {
        node_log("Cannot open %s: %s", path, strerror(errno));
        return false;
    }
    if (flock(n->lock_fd, LOCK_EX | LOCK_NB) == 0) return true;
    node_log("Another redraft-server is using the data in %s", n->server.config.dir);
    return false;
}

static void group_path(const struct node *n, const char *name, char *out, size_t cap) {
    snprintf(out, cap, "%.4000s/group-0%s%s", n->server.config.dir, name[0] ? "/" : "", name);
}

bool node_has_log(const struct node *n) {
    char path[4300];
    struct stat st;
    group_path(n, "log", path, sizeof path);
    return stat(path, &st) == 0;
}

/* The folder, its lock, and who this is. */
bool node_open_folder(struct node *n) {
    return make_dir(n->server.config.dir) && lock_dir(n) && node_open_identity(n);
}

/* Of the log's entries the core needs what they are, not what is in them; but for configurations. */
static enum rc restore_entry(void *arg, const struct log_entry *e) {
    struct raft *r = arg;
    struct raft_members members;
    struct raft_entry entry = {
        .index = e->index, .term = e->term, .kind = (enum raft_entry_kind)e->kind, .size = e->payload.len};
    if (entry.kind == RAFT_ENTRY_MEMBERS) {
        if (members_decode(e->payload, &members) != RC_OK) return RC_CORRUPT;
        entry.members = &members;
    }
    raft_restore(r, &entry);
    return RC_OK;
}

/* In force when the state was stored; none in a node that is being let in and has heard nothing yet. */
static enum rc find_members(struct node *n, struct raft_config *config) {
    struct slice bytes = ks_members(n->ks, &config->members_index);
    return config->members_index != 0 ? members_decode(bytes, &config->members) : RC_OK;
}

/* Known always; used when read-mode says so. */
static uint64_t lease_us(const struct config *c) {
    enum { DRIFT_SHARE = 10 }; /* clocks may differ by a tenth in speed */
    uint64_t election_us = (uint64_t)c->raft_election_timeout * 1000;
    return election_us - election_us / DRIFT_SHARE;
}

/* The core starts from what both databases say; if they contradict each other, something durable was lost, and a node
 * that might have acknowledged it must not go on as if nothing were. */
static bool open_raft(struct node *n) {
    const struct config *c = &n->server.config;
    struct log_mark mark = raft_log_mark(n->log);
    uint64_t last = raft_log_last_index(n->log);
    struct ks_applied applied = ks_applied(n->ks);
    if (applied.index < mark.index || applied.index > last) {
        node_log(
            "The data does not fit together: the log holds entries %llu to %llu, the state is of entry %llu",
            (unsigned long long)mark.index + 1, (unsigned long long)last, (unsigned long long)applied.index);
        return false;
    }
    struct log_hard_state hard = raft_log_hard_state(n->log);
    struct raft_config config = {.id = n->node_id,
                                 .term = hard.term,
                                 .vote = hard.vote,
                                 .mark_index = mark.index,
                                 .mark_term = mark.term,
                                 .applied_index = applied.index,
                                 .now_us = boot_us(),
                                 .seed = rng_next(&n->rng),
                                 .election_us = (uint64_t)c->raft_election_timeout * 1000,
                                 .heartbeat_us = (uint64_t)c->raft_heartbeat_interval * 1000,
                                 .lease_us = lease_us(c),
                                 .uncommitted_bytes_max = UNCOMMITTED_BYTES_MAX,
                                 .append_bytes_max = APPEND_BYTES_MAX,
                                 .inflight_bytes_max = INFLIGHT_BYTES_MAX,
                                 .inflight_count_max = RAFT_INFLIGHT_MAX};
    if (find_members(n, &config) != RC_OK || raft_new(&config, &n->raft) != RC_OK) {
        node_log("The cluster's configuration, as it is stored here, makes no sense");
        return false;
    }
    struct kv_error error = {.text = ""};
    enum rc rc = last > mark.index
                     ? raft_log_read(n->log, mark.index + 1, last, restore_entry, n->raft, &error)
                     : RC_OK;
    if (rc != RC_OK) {
        node_log("The log cannot be read: %s %s", rc_name(rc), error.text);
        raft_free(n->raft);
        return false;
    }
    n->applied_index = n->commit_index = n->apply_index = applied.index;
    node_clock_seen(n, applied.clock_ms);
    n->cut_index = mark.index;
    tail_init(&n->tail, last);
    n->unapplied_bytes = 0;
    return true;
}

/* Four write-backs. How much memory will be the keyspace's is not known yet; half of maxmemory is a guess that holds when it
 * is small, and only then it matters. */
static uint64_t level_bytes(const struct config *c) {
    enum { LEVEL_BYTES_MIN = 4 << 20, LEVEL_BYTES_MAX = 512 << 20, WRITEBACKS = 4 };
    uint64_t writeback = (uint64_t)c->writeback_dirty_bytes;
    uint64_t possible = (uint64_t)c->maxmemory / 8;
    if (c->maxmemory > 0 && possible < writeback) writeback = possible;
    uint64_t bytes = writeback < LEVEL_BYTES_MAX / WRITEBACKS ? WRITEBACKS * writeback : LEVEL_BYTES_MAX;
    return bytes > LEVEL_BYTES_MIN ? bytes : LEVEL_BYTES_MIN;
}

void node_keyspace_options(struct node *n, struct keyspace_options *out) {
    *out = (struct keyspace_options){.block_cache_bytes = (size_t)n->server.config.rocksdb_cache,
                                     .level_bytes = level_bytes(&n->server.config),
                                     .background_threads = 2,
                                     .place_seed = hash64(slice_make(n->cluster_id, sizeof n->cluster_id)),
                                     .wake = node_wake,
                                     .wake_arg = n};
}

static bool open_log(struct node *n) {
    char path[4300];
    group_path(n, "log", path, sizeof path);
    struct kv_error error = {.text = ""};
    struct raft_log_options options = {.segment_bytes = (uint64_t)n->server.config.raft_log_segment};
    enum rc rc = raft_log_open(path, &options, &n->log, &error);
    if (rc == RC_OK) return true;
    node_log("The log in %s cannot be opened (%s): %s", path, rc_name(rc), error.text);
    return false;
}

static bool open_state(struct node *n) {
    struct kv_error error = {.text = ""};
    struct keyspace_options options;
    node_keyspace_options(n, &options);
    enum rc rc = snapshot_recover(n->group_dir, n->log, &error);
    if (rc == RC_OK && !make_dir(n->state_dir)) return false;
    if (rc == RC_OK) rc = ks_open(n->state_dir, &options, &n->ks, &error);
    if (rc == RC_OK) return true;
    node_log("The state in %s cannot be opened (%s): %s", n->state_dir, rc_name(rc), error.text);
    return false;
}

/* A cluster begins with its first configuration as entry 1, applied and cut, the same on all nodes it was formed of:
 * whoever comes later needs a snapshot, and has the configuration from there. Each step may be found done already. */
static bool begin_log(struct node *n) {
    struct kv_error error = {.text = ""};
    enum rc rc = RC_OK;
    if (n->identity.stage != IDENTITY_FORMED || n->identity.first.count == 0) return true;
    if (ks_applied(n->ks).index == 0) {
        struct buf members = {0};
        members_encode(&members, &n->identity.first);
        ks_begin_entry(n->ks);
        ks_set_members(n->ks, 1, buf_slice(&members));
        ks_set_applied(n->ks, (struct ks_applied){.index = 1, .term = 1});
        buf_free(&members);
        rc = ks_store_all(n->ks, &error);
    }
    if (rc == RC_OK && raft_log_mark(n->log).index == 0) {
        struct log_hard_state hard = {.term = 1};
        rc = raft_log_reset(n->log, (struct log_mark){.index = 1, .term = 1}, &hard, &error);
    }
    if (rc != RC_OK) node_log("The log cannot be begun (%s): %s", rc_name(rc), error.text);
    return rc == RC_OK;
}

/* The log and the state are there from now on; whoever finds them gone has lost something. */
static bool note_running(struct node *n) {
    if (n->identity.stage == IDENTITY_RUNNING) return true;
    n->identity.stage = IDENTITY_RUNNING;
    return node_store_identity(n);
}

bool node_open_group(struct node *n) {
    CHECK(!n->open);
    group_path(n, "", n->group_dir, sizeof n->group_dir);
    group_path(n, "state", n->state_dir, sizeof n->state_dir);
    if (!make_dir(n->group_dir) || !open_log(n)) return false;
    if (!open_state(n)) {
        raft_log_close(n->log);
        return false;
    }
    if (!begin_log(n) || !open_raft(n) || !note_running(n)) {
        ks_close(n->ks);
        raft_log_close(n->log);
        return false;
    }
    server_set_keyspace(&n->server, n->ks);
    acl_state_replaced(&n->server);
    n->writer = log_writer_start(n->log, SYNC_HERE_US_MAX, node_wake, n);
    n->sweeper = sweeper_start(n->group_dir);
    node_begin_filling(n);
    n->writeback_at_ms = (int64_t)mono_now_ms();
    n->role = RAFT_FOLLOWER;
    n->removed = n->readable = false;
    n->leader_id = n->last_leader_id = 0;
    n->members_index = UINT64_MAX; /* what the core says first is news */
    n->open = true;
    node_tick(n);
    return true;
}

/* --- closing --- */

static void stop_log(struct node *n) {
    for (struct log_job *job = log_writer_stop(n->writer), *next; job != NULL; job = next) {
        next = job->next;
        store_job_done(n, container_of(job, struct store_job, job));
    }
}

int node_close_group(struct node *n) {
    struct kv_error error;
    int code = 0;
    if (!n->open) return n->failed ? 1 : 0;
    node_end_copies(n);
    if (n->failed) return 1; /* what is on disk is sound; what is in memory is not known to be */
    node_abandon_script(n);
    if (!node_end_snapshots(n)) return NODE_LEFT_OPEN;
    enum rc rc =
        n->is_torn ? RC_OK : ks_store_all(n->ks, &error); /* torn: the next start applies it from the log */
    if (rc != RC_OK) {
        node_log("The last write-back failed (%s): the log has it all, the next start replays it",
                 error.text);
        code = 1;
    }
    node_cut_log(n);
    stop_log(n);
    sweeper_stop(n->sweeper);
    ks_close(n->ks);
    raft_log_close(n->log);
    n->ks = n->server.ks = NULL;
    return code;
}

void node_close_group_memory(struct node *n) {
    if (!n->open) return;
    while (n->tail.last_index >= n->tail.first_index) {
        struct proposal *p = tail_pop_newest(&n->tail);
        proposal_disappoint(n, p);
        proposal_release(n, p);
    }
    tail_free(&n->tail);
    append_queue_free(&n->later);
    proposal_disappoint(n, n->filling);
    proposal_release(n, n->filling);
    proposals_free(n);
    raft_free(n->raft);
    n->raft = NULL;
    n->open = false;
}

/* Nothing of it is wanted any more: a node without data goes to another cluster. */
void node_discard_group(struct node *n) {
    node_abandon_script(n);
    n->is_torn = false;
    (void)node_end_snapshots(n);
    stop_log(n);
    sweeper_stop(n->sweeper);
    node_end_copies(n);
    ks_close(n->ks);
    raft_log_close(n->log);
    n->ks = n->server.ks = NULL;
    n->readable = false;
    node_close_group_memory(n);
}

/* The sweeper deletes them after the next start. Gone for good before anything else is done: an old log must not be
 * found by a new identity. */
bool node_discard_files(struct node *n) {
    static const char *const names[] = {"log", "state", "state.ingest", "incoming", "install"};
    struct kv_error error = {.text = ""};
    enum rc rc = RC_OK;
    group_path(n, "", n->group_dir, sizeof n->group_dir);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == RC_OK; i++)
        rc = folder_discard(n->group_dir, path_in(n->group_dir, names[i]).text, &error);
    if (rc == RC_OK) rc = folder_sync(n->group_dir, &error);
    if (rc != RC_OK) node_log("%s cannot be emptied: %s", n->group_dir, error.text);
    return rc == RC_OK;
}
