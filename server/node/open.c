/* What a node finds on disk: the lock of its folder, who it is, its log and its state, and whether these fit together;
 * and the way back, closing them in order. */
#include "node_internal.h"

#include "hash.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
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

/* <dir>/node: who this is. Byte table in README.md. */
enum { NODE_FILE_MAGIC = 0x4e444652, NODE_FILE_VERSION = 1, NODE_FILE_SIZE = 4 + 4 + 16 + 8 + 4 };

static bool read_identity(struct node *n, struct slice file) {
    struct slice body = slice_make(file.data, NODE_FILE_SIZE - 4), rest = file;
    uint32_t magic, version, crc;
    bool whole = file.len == NODE_FILE_SIZE && slice_take_u32le(&rest, &magic) &&
                 slice_take_u32le(&rest, &version) &&
                 slice_take_raw(&rest, n->cluster_id, sizeof n->cluster_id) &&
                 slice_take_u64le(&rest, &n->node_id) && slice_take_u32le(&rest, &crc);
    return whole && magic == NODE_FILE_MAGIC && version == NODE_FILE_VERSION && crc == crc32c(0, body) &&
           n->node_id != 0;
}

static enum rc write_identity(struct node *n, const char *path) {
    uint64_t ids[3];
    do CHECK(getrandom(ids, sizeof ids, 0) == (ssize_t)sizeof ids);
    while (ids[2] == 0);
    n->node_id = ids[2];
    memcpy(n->cluster_id, ids, sizeof n->cluster_id);
    struct buf b = {0};
    buf_add_u32le(&b, NODE_FILE_MAGIC);
    buf_add_u32le(&b, NODE_FILE_VERSION);
    buf_add(&b, n->cluster_id, sizeof n->cluster_id);
    buf_add_u64le(&b, n->node_id);
    buf_add_u32le(&b, crc32c(0, buf_slice(&b)));
    enum rc rc = n->host.write_file(&n->host, path, buf_slice(&b));
    buf_free(&b);
    return rc;
}

static bool open_identity(struct node *n) {
    char path[4200];
    snprintf(path, sizeof path, "%s/node", n->server.config.dir);
    struct buf file = {0};
    enum rc rc = n->host.read_file(&n->host, path, &file);
    if (rc == RC_NOT_FOUND)
        rc = write_identity(n, path);
    else if (rc == RC_OK && !read_identity(n, buf_slice(&file)))
        rc = RC_CORRUPT;
    buf_free(&file);
    if (rc != RC_OK) node_log("The identity in %s: %s", path, rc_name(rc));
    return rc == RC_OK;
}

struct runs {
    struct raft_term_run *items;
    size_t count, cap;
};

static enum rc note_term(void *arg, const struct log_entry *e) {
    struct runs *r = arg;
    if (r->count > 0 && r->items[r->count - 1].term == e->term) return RC_OK;
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->items = mem_realloc(r->items, r->cap * sizeof *r->items);
    }
    r->items[r->count++] = (struct raft_term_run){e->index, e->term};
    return RC_OK;
}

/* The core starts from what both databases say; if they contradict each other, something durable was lost, and a node
 * that might have acknowledged it must not go on as if nothing were. */
static bool open_raft(struct node *n) {
    struct log_mark mark = raft_log_mark(n->log);
    uint64_t last = raft_log_last_index(n->log);
    struct ks_applied applied = ks_applied(n->ks);
    if (applied.index < mark.index || applied.index > last) {
        node_log(
            "The data does not fit together: the log holds entries %llu to %llu, the state is of entry %llu",
            (unsigned long long)mark.index + 1, (unsigned long long)last, (unsigned long long)applied.index);
        return false;
    }
    struct runs runs = {0};
    struct kv_error error = {.text = ""};
    enum rc rc =
        last > mark.index ? raft_log_read(n->log, mark.index + 1, last, note_term, &runs, &error) : RC_OK;
    if (rc != RC_OK) {
        node_log("The log cannot be read: %s %s", rc_name(rc), error.text);
        mem_free(runs.items);
        return false;
    }
    struct log_hard_state hard = raft_log_hard_state(n->log);
    struct raft_config config = {.id = n->node_id,
                                 .voters = {n->node_id},
                                 .voter_count = 1,
                                 .term = hard.term,
                                 .vote = hard.vote,
                                 .mark_index = mark.index,
                                 .mark_term = mark.term,
                                 .applied_index = applied.index,
                                 .election_ticks = ELECTION_TICKS,
                                 .uncommitted_bytes_max = UNCOMMITTED_BYTES_MAX,
                                 .seed = rng_next(&n->rng)};
    n->raft = raft_new(&config, runs.items, runs.count, last);
    mem_free(runs.items);
    n->applied_index = n->commit_index = applied.index;
    n->durable_index = last;
    node_clock_seen(n, applied.clock_ms);
    n->cut_index = mark.index;
    return true;
}

bool node_open_storage(struct node *n) {
    const struct config *c = &n->server.config;
    char log_dir[4300], group_dir[4200];
    snprintf(group_dir, sizeof group_dir, "%.4000s/group-0", c->dir);
    snprintf(log_dir, sizeof log_dir, "%s/log", group_dir);
    snprintf(n->state_dir, sizeof n->state_dir, "%.4000s/group-0/state", c->dir);
    if (!make_dir(c->dir) || !lock_dir(n) || !make_dir(group_dir) || !open_identity(n)) return false;

    struct kv_error error = {.text = ""};
    struct raft_log_options log_options = {.memtable_bytes = (size_t)c->raft_log_memtable};
    enum rc rc = raft_log_open(log_dir, &log_options, &n->log, &error);
    if (rc != RC_OK) {
        node_log("The log in %s cannot be opened (%s): %s", log_dir, rc_name(rc), error.text);
        return false;
    }
    struct keyspace_options options = {.block_cache_bytes = (size_t)c->rocksdb_cache,
                                       .background_threads = 2,
                                       .place_seed = hash64(slice_make(n->cluster_id, sizeof n->cluster_id)),
                                       .wake = node_wake,
                                       .wake_arg = n};
    if (!make_dir(n->state_dir)) {
        raft_log_close(n->log);
        return false;
    }
    rc = ks_open(n->state_dir, &options, &n->ks, &error);
    if (rc != RC_OK) {
        node_log("The state in %s cannot be opened (%s): %s", n->state_dir, rc_name(rc), error.text);
        raft_log_close(n->log);
        return false;
    }
    n->server.ks = n->ks;
    if (!open_raft(n)) {
        ks_close(n->ks);
        raft_log_close(n->log);
        return false;
    }
    n->writer = log_writer_start(n->log, node_wake, n);
    return true;
}

/* --- closing --- */

int node_close_storage(struct node *n) {
    struct kv_error error;
    int code = 0;
    if (n->failed) return 1; /* what is on disk is sound; what is in memory is not known to be */
    enum rc rc = ks_store_all(n->ks, &error);
    if (rc != RC_OK) {
        node_log("The last write-back failed (%s): the log has it all, the next start replays it",
                 error.text);
        code = 1;
    }
    node_cut_log(n);
    for (struct log_job *job = log_writer_stop(n->writer), *next; job != NULL; job = next) {
        next = job->next;
        struct store_job *store = container_of(job, struct store_job, job);
        if (store->proposal == NULL) mem_free(store);
    }
    ks_close(n->ks);
    raft_log_close(n->log);
    return code;
}
