/* What commands about the server may ask of the world (server/cmd/host.h), answered from the node. */
#include "node_internal.h"

#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#ifdef REDRAFT_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

static struct node *node_of(struct host *h) {
    return container_of(h, struct node, host);
}

static void host_session_close(struct host *h, struct session *s, bool after_reply) {
    (void)h;
    struct conn *c = conn_of_session(s);
    if (after_reply)
        s->close_after_reply = true;
    else
        conn_close(c);
}

static void host_session_push(struct host *h, struct session *s, struct slice bytes) {
    if (!node_hold_for_copy(conn_of_session(s), bytes)) node_push(node_of(h), conn_of_session(s), bytes);
}

static bool host_session_unblock(struct host *h, struct session *s, bool with_error) {
    return node_unblock(node_of(h), s, with_error);
}

static int64_t host_replicas_with(struct host *h, const struct session *s) {
    return node_replicas_with(node_of(h), s->write_index);
}

enum { BIG_ARGUMENT = 32 * 1024, REPLY_BUFFER = 16 * 1024 };

static void host_session_usage(struct host *h, const struct session *s, struct host_session_usage *out) {
    (void)h;
    const struct conn *c = container_of(s, const struct conn, session);
    size_t understood = 0; /* a large argument that is still coming in stands alone in Redis's buffer */
    /* Redis keeps the first of what is unsent in a buffer of this size, and the rest in a list of others. */
    size_t unsent = conn_unsent(c), first = unsent < REPLY_BUFFER ? unsent : REPLY_BUFFER;
    if (c->parser.bulk_len >= BIG_ARGUMENT && c->parser.pos <= c->in.len) understood = c->parser.pos;
    *out = (struct host_session_usage){
        .query_buffer = c->in.len - understood,
        .query_buffer_free = c->in.cap - c->in.len,
        .argv_mem = (size_t)c->parser.argv_cap * sizeof(struct slice),
        .output_buffer = c->out.cap,
        .output_pending = first,
        .output_behind = unsent - first,
        .total = conn_memory(c),
    };
}

/* --- memory --- */

struct memory {
    size_t allocated, active, resident;
};

/* What was freed and lies in the threads' caches counts as allocated in the allocator's sum, though nobody uses it. */
static struct memory measure_memory(void) {
    struct memory m = {0};
#ifdef REDRAFT_JEMALLOC
    enum { NAME_CAP = 64 };
    char cached_name[NAME_CAP];
    uint64_t epoch = 1;
    size_t size = sizeof epoch, cached = 0;
    mallctl("epoch", &epoch, &size, &epoch, size);
    size = sizeof(size_t);
    mallctl("stats.allocated", &m.allocated, &size, NULL, 0);
    snprintf(cached_name, sizeof cached_name, "stats.arenas.%u.tcache_bytes", (unsigned)MALLCTL_ARENAS_ALL);
    mallctl(cached_name, &cached, &size, NULL, 0);
    if (cached < m.allocated) m.allocated -= cached;
    mallctl("stats.active", &m.active, &size, NULL, 0);
    mallctl("stats.resident", &m.resident, &size, NULL, 0);
#endif
    return m;
}

static uint64_t resident_bytes(void) {
    unsigned long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL) return 0;
    if (fscanf(f, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* How long free pages are kept for the next allocation. With a limit they count against it, so they go back soon;
 * the background thread sees to it while nothing is allocated. */
static void set_decay(bool has_limit) {
#ifdef REDRAFT_JEMALLOC
    enum { DECAY_MS = 2000, DECAY_MS_LIMITED = 100, NAME_CAP = 64 };
    bool on = true;
    ssize_t decay_ms = has_limit ? DECAY_MS_LIMITED : DECAY_MS;
    unsigned arenas = 0;
    size_t size = sizeof arenas;
    mallctl("background_thread", NULL, NULL, &on, sizeof on);
    mallctl("arenas.dirty_decay_ms", NULL, NULL, &decay_ms, sizeof decay_ms);
    mallctl("arenas.narenas", &arenas, &size, NULL, 0);
    for (unsigned i = 0; i < arenas;
         i++) { /* those there are already; an unused one says no, which is fine */
        char name[NAME_CAP];
        snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", i);
        mallctl(name, NULL, NULL, &decay_ms, sizeof decay_ms);
    }
#else
    (void)has_limit;
#endif
}

/* maxmemory is for the whole process: what is not the keyspace (RocksDB, buffers, the log in flight, what the allocator
 * holds back) is taken off before the keyspace gets its share. But eviction leaves holes, which the allocator fills
 * again rather than gives back: were all of them taken off, each eviction would ask for the next one, without end. */
void node_update_memory(struct node *n) {
    enum { HOLES_SHARE = 4, ALLOWANCE_SHARE = 16 /* for what comes between two looks */, PEAK_TICKS = 10 };
    uint64_t limit = (uint64_t)n->server.config.maxmemory;
    /* A look makes the allocator add up all it has, a million instructions: for the peak alone, one a second will do. */
    if (limit == 0 && n->memory_limit == 0 && n->ticks % PEAK_TICKS != 1) return;
    struct memory m = measure_memory();
    if (m.allocated > n->memory_peak) n->memory_peak = m.allocated;
    if (limit != n->memory_limit || n->ticks <= 1) set_decay(limit > 0);
    n->memory_limit = limit;
    if (limit == 0) {
        n->memory_budget = UINT64_MAX;
        return;
    }
    struct ks_stats stats;
    ks_stats(n->ks, &stats);
    uint64_t resident = resident_bytes();
    uint64_t others = resident > stats.memory_bytes ? resident - stats.memory_bytes : 0;
    uint64_t holes = m.allocated > 0 && resident > m.allocated ? resident - m.allocated : 0;
    if (holes > limit / HOLES_SHARE) others -= smaller(others, holes - limit / HOLES_SHARE);
    limit -= limit / ALLOWANCE_SHARE;
    uint64_t least = limit / 8;
    n->memory_budget = others + least < limit ? limit - others : least;
}

static double seconds(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void host_usage(struct host *h, struct host_usage *out) {
    struct node *n = node_of(h);
    struct memory m = measure_memory();
    struct rusage all, loop;
    struct sysinfo machine;
    getrusage(RUSAGE_SELF, &all);
    getrusage(RUSAGE_THREAD, &loop);
    sysinfo(&machine);
    struct writeback_stats wb;
    ks_writeback_stats(n->ks, &wb);
    struct log_writer_stats log = log_writer_stats(n->writer);
    uint64_t resident = resident_bytes();
    if (m.allocated == 0) m = (struct memory){resident, resident, resident};
    if (m.allocated > n->memory_peak) n->memory_peak = m.allocated;
    uint64_t held = 0;
    struct net_peak peak = net_recent_peak(&n->net);
    LIST_FOR_EACH(it, &n->net.held) held += !forward_is_opening(container_of(it, struct conn, held_link));
    *out = (struct host_usage){
        .memory_allocated = m.allocated,
        .memory_resident = resident,
        .memory_peak = n->memory_peak,
        .memory_active = m.active,
        .memory_total_system = (uint64_t)machine.totalram * machine.mem_unit,
        .cpu_user_s = seconds(all.ru_utime),
        .cpu_system_s = seconds(all.ru_stime),
        .cpu_main_user_s = seconds(loop.ru_utime),
        .cpu_main_system_s = seconds(loop.ru_stime),
        .net_in_bytes = n->net.bytes_in,
        .net_out_bytes = n->net.bytes_out,
        .net_reads = n->net.reads,
        .net_writes = n->net.writes,
        .connections_held = held,
        .connections_memory = n->net.client_memory,
        .input_peak = peak.input,
        .output_peak = peak.output,
        .connections_evicted = n->net.evicted,
        .connections_received = n->net.accepted,
        .connections_rejected = n->net.rejected,
        .kv_memory_bytes = ks_kv_memory(n->ks),
        .log_bytes = log.bytes,
        .log_syncs = log.syncs,
        .log_entries = log.entries,
        .writebacks = wb.count,
        .writeback_rows = wb.rows,
        .writeback_bytes = wb.bytes,
        .writeback_last_s = wb.last_finished_s,
        .writeback_running = ks_writeback_running(n->ks),
        .writeback_failed = wb.failing,
        .process_id = (uint64_t)getpid(),
    };
    struct utsname os;
    if (uname(&os) == 0)
        snprintf(out->os, sizeof out->os, "%.40s %.60s %.20s", os.sysname, os.release, os.machine);
}

static void host_raft(struct host *h, struct host_raft *out) {
    struct node *n = node_of(h);
    struct raft_status s;
    raft_status(n->raft, &s);
    static const char *const roles[] = {[RAFT_FOLLOWER] = "follower",
                                        [RAFT_PRE_CANDIDATE] = "candidate",
                                        [RAFT_CANDIDATE] = "candidate",
                                        [RAFT_LEADER] = "leader"};
    *out = (struct host_raft){
        .role = roles[s.role],
        .node_id = s.id,
        .leader_id = s.leader_id,
        .term = s.term,
        .commit_index = s.commit_index,
        .applied_index = n->applied_index,
        .last_index = s.last_index,
        .first_index = s.first_index,
        .voters = s.voter_count,
        .durable_applied_index = ks_stored(n->ks).index,
    };
}

static enum cluster_seat seat_of(enum raft_seat seat) {
    switch (seat) {
    case RAFT_LEARNER: return CLUSTER_LEARNER;
    case RAFT_VOTER: return CLUSTER_VOTER;
    case RAFT_VOTER_IN: return CLUSTER_JOINING;
    case RAFT_VOTER_OUT:
    case RAFT_VOTER_DOWN: return CLUSTER_LEAVING;
    }
    return CLUSTER_LEARNER;
}

static void describe_progress(const struct raft_status *s, struct cluster_member *m) {
    static const enum cluster_progress progress[] = {[RAFT_PROBE] = CLUSTER_PROBE,
                                                     [RAFT_REPLICATE] = CLUSTER_REPLICATE,
                                                     [RAFT_SNAPSHOT] = CLUSTER_SNAPSHOT};
    uint64_t now_us = boot_us();
    for (size_t i = 0; i < s->peer_count; i++) {
        const struct raft_peer_status *p = &s->peers[i];
        if (p->id != m->id) continue;
        m->match_index = p->match_index;
        m->progress = progress[p->state];
        if (p->heard_us != 0) m->heard_ms_ago = (int64_t)(now_us - p->heard_us) / 1000;
    }
}

static void host_cluster(struct host *h, struct cluster_state *out) {
    struct node *n = node_of(h);
    struct raft_status s;
    struct peer_link_info links[RAFT_MEMBERS_MAX];
    raft_status(n->raft, &s);
    size_t link_count = peer_net_links(n->peers, links, RAFT_MEMBERS_MAX);
    *out = (struct cluster_state){
        .node_id = s.id,
        .leader_id = s.leader_id,
        .last_leader_id = n->last_leader_id,
        .term = s.term,
        .commit_index = s.commit_index,
        .applied_index = n->applied_index,
        .members_index = n->members_index,
        .is_leader = s.role == RAFT_LEADER,
        .readable = n->readable,
        .removed = n->removed,
        .joining = n->joining,
        .messages_sent = n->messages_sent,
        .messages_received = n->messages_received,
        .member_count = n->members.count,
    };
    for (size_t i = 0; i < n->members.count; i++) {
        const struct raft_member *from = &n->members.items[i];
        struct cluster_member *m = &out->members[i];
        m->id = from->id;
        m->seat = seat_of(from->seat);
        snprintf(m->address, sizeof m->address, "%.*s", (int)strcspn(from->address, "@"), from->address);
        m->is_self = from->id == n->node_id;
        m->is_connected = m->is_self;
        m->heard_ms_ago = m->is_self ? 0 : -1;
        if (m->is_self) m->match_index = s.stored_index;
        for (size_t k = 0; k < link_count && k < RAFT_MEMBERS_MAX; k++)
            if (links[k].id == m->id) m->is_connected = links[k].up;
        describe_progress(&s, m);
    }
    identity_cluster_name(n->cluster_id, out->cluster_id);
}

static void host_cluster_do(struct host *h, struct session *s, const struct host_request *request,
                            struct reply *reply) {
    node_cluster_do(node_of(h), s, request, reply);
}

static enum rc host_copy(struct host *h, struct session *s) {
    return node_begin_copy(node_of(h), conn_of_session(s));
}

static void host_migrate(struct host *h, struct session *s, struct migration *m) {
    node_begin_migration(node_of(h), conn_of_session(s), m);
}

/* --- files --- */

static enum rc rc_of_errno(void) {
    return errno == ENOSPC || errno == EDQUOT ? RC_NO_SPACE : RC_IO;
}

static enum rc write_all(int fd, struct slice content) {
    while (content.len > 0) {
        ssize_t n = write(fd, content.data, content.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return rc_of_errno();
        content = slice_make(content.data + n, content.len - (size_t)n);
    }
    return fsync(fd) == 0 ? RC_OK : rc_of_errno();
}

/* The name is durable only when its folder is synced, too. */
static enum rc sync_parent(const char *path) {
    char dir[4096];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL)
        snprintf(dir, sizeof dir, ".");
    else
        slash[slash == dir] = '\0';
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return rc_of_errno();
    enum rc rc = fsync(fd) == 0 ? RC_OK : rc_of_errno();
    close(fd);
    return rc;
}

static enum rc host_write_file(struct host *h, const char *path, struct slice content) {
    (void)h;
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.%d.new", path, (int)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return rc_of_errno();
    enum rc rc = write_all(fd, content);
    close(fd);
    if (rc == RC_OK && rename(temporary, path) != 0) rc = rc_of_errno();
    if (rc == RC_OK) rc = sync_parent(path);
    if (rc != RC_OK) unlink(temporary);
    return rc;
}

static enum rc host_read_file(struct host *h, const char *path, struct buf *content) {
    (void)h;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? RC_NOT_FOUND : RC_IO;
    enum rc rc = RC_OK;
    for (;;) {
        buf_reserve(content, 16384);
        ssize_t got = read(fd, buf_tail(content), 16384);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) rc = RC_IO;
        if (got <= 0) break;
        content->len += (size_t)got;
    }
    close(fd);
    return rc;
}

/* --- control --- */

static enum rc host_shutdown(struct host *h, int flags) {
    if (flags & HOST_SHUTDOWN_ABORT) return RC_BUSY;
    struct node *n = node_of(h);
    node_stop(n, "SHUTDOWN");
    n->abandons_script = flags & HOST_SHUTDOWN_NOSAVE;
    return RC_OK;
}

static void host_script_kill(struct host *h, bool is_function) {
    node_kill_script(node_of(h), is_function);
}

static void host_sleep_us(struct host *h, int64_t us) {
    (void)h;
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
}

static enum rc host_reload(struct host *h) {
    struct node *n = node_of(h);
    struct kv_error error;
    enum rc rc = ks_store_all(n->ks, &error);
    if (rc == RC_OK) ks_forget(n->ks);
    return rc;
}

static enum rc host_save(struct host *h, bool wait) {
    struct node *n = node_of(h);
    struct kv_error error;
    if (n->in_entry) {
        n->wants_writeback = true;
        return RC_OK;
    }
    if (wait) return ks_store_all(n->ks, &error);
    ks_writeback_begin(n->ks);
    return RC_OK;
}

static void host_unpause(struct host *h) {
    struct node *n = node_of(h);
    node_propose_expired(n); /* held connections are offered their command at every turn */
    n->answers_behind = n->readable && n->filling->has_expiry;
}

static uint64_t host_random(struct host *h) {
    return rng_next(&node_of(h)->rng);
}

static void host_secret(struct host *h, void *out, size_t len) {
    (void)h;
    enum { AT_ONCE = 256 }; /* so much comes whole */
    for (char *p = out; len > 0;) {
        size_t part = len < AT_ONCE ? len : AT_ONCE;
        CHECK(getrandom(p, part, 0) == (ssize_t)part);
        p += part;
        len -= part;
    }
}

static int64_t host_now_us(struct host *h) {
    (void)h;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void host_log(struct host *h, const char *line) {
    (void)h;
    node_log("%s", line);
}

/* More clients than files would take from RocksDB the ones it needs, and stop the node. */
static bool allow_clients(const struct node *n, char *text, size_t cap, const char **why) {
    int64_t possible = node_clients_possible(n->server.config.maxclients);
    if (possible == n->server.config.maxclients) return true;
    snprintf(text, cap,
             "The operating system is not able to handle the specified number of clients, try with %lld",
             (long long)possible);
    *why = text;
    return false;
}

/* bind and port move the listeners; everything else is read where it is used. */
static bool host_config_changed(struct host *h, const char *name, const char **why) {
    struct node *n = node_of(h);
    static char text[256];
    if (strcmp(name, "maxclients") == 0) return allow_clients(n, text, sizeof text, why);
    if (strcmp(name, "port") != 0 && strcmp(name, "bind") != 0) {
        if (strcmp(name, "maxmemory") == 0) node_update_memory(n);
        if (strcmp(name, "maxmemory-policy") == 0) node_update_clock(n);
        if (strncmp(name, "oom-score-adj", 13) == 0 && !node_adjust_oom_score(n)) {
            *why = "Failed to apply new oom_score_adj configuration, check server logs.";
            return false;
        }
        node_propose_limits(n);
        return true;
    }
    if (!n->serving) return true;
    net_unlisten(&n->net);
    if (net_listen(&n->net, text, sizeof text) == RC_OK) return true;
    node_log("%s", text);
    *why = strcmp(name, "port") == 0 ? "Unable to listen on this port. Check server logs."
                                     : "Failed to bind to specified addresses.";
    return false;
}

void host_init(struct node *n) {
    n->host = (struct host){
        .session_close = host_session_close,
        .session_push = host_session_push,
        .session_unblock = host_session_unblock,
        .replicas_with = host_replicas_with,
        .session_usage = host_session_usage,
        .usage = host_usage,
        .raft = host_raft,
        .cluster = host_cluster,
        .cluster_do = host_cluster_do,
        .copy = host_copy,
        .migrate = host_migrate,
        .config_changed = host_config_changed,
        .write_file = host_write_file,
        .read_file = host_read_file,
        .shutdown = host_shutdown,
        .script_kill = host_script_kill,
        .sleep_us = host_sleep_us,
        .reload = host_reload,
        .save = host_save,
        .unpause = host_unpause,
        .random = host_random,
        .secret = host_secret,
        .now_us = host_now_us,
        .log = host_log,
    };
}
