/* A node's life: the turns of its loop, the clock ticks, the beginning and the end. What is on disk is open.c's. */
#include "node_internal.h"

#include "mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    LEVEL0_FILES_MAX = 24,
    DIRTY_SHARE = 4, /* of the budget may be dirty, and as much again be on its way to the disk */
    WARM_SHARE = 8 /* tenths of the budget */,
    WARM_AGAIN_SECONDS = 10,
    HOPELESS_MS = 10000
};

/* --- clocks and log lines --- */

int64_t node_now_us(struct node *n) {
    if (!n->now_known) {
        n->now_us = wall_us();
        n->now_mono_us = mono_us();
        n->now_known = true;
    }
    return n->now_us;
}

/* Of this turn, for spans of time: no setting of the clock moves it. */
static int64_t mono_ms(struct node *n) {
    node_now_us(n);
    return (int64_t)(n->now_mono_us / 1000);
}

int64_t node_clock_ms(struct node *n) {
    enum { SLOWER = 8 };
    int64_t now_us = node_now_us(n), passed_us = (int64_t)(n->now_mono_us - n->clock_mono_us);
    int64_t least_us = n->clock_us + passed_us - passed_us / SLOWER;
    n->clock_us = now_us > least_us ? now_us : least_us;
    n->clock_mono_us = n->now_mono_us;
    return n->clock_us / 1000;
}

int64_t node_read_clock_ms(struct node *n) {
    for (uint64_t i = n->applied_index + 1; i <= n->tail.last_index; i++) {
        const struct proposal *p = tail_at(&n->tail, i);
        if (p != NULL && p->kind == RAFT_ENTRY_COMMANDS) return p->clock_ms;
    }
    return node_clock_ms(n);
}

void node_clock_seen(struct node *n, int64_t clock_ms) {
    if (clock_ms <= node_clock_ms(n)) return;
    n->clock_us = clock_ms * 1000;
}

void node_log(const char *format, ...) {
    char when[64], text[1024];
    struct timespec t;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &t);
    localtime_r(&t.tv_sec, &tm);
    strftime(when, sizeof when, "%d %b %Y %H:%M:%S", &tm);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("%d:M %s.%03d * %s\n", (int)getpid(), when, (int)(t.tv_nsec / 1000000), text);
    fflush(stdout);
}

void node_fail(struct node *n, const char *format, ...) {
    if (n->failed) return;
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n->failed = true;
    node_log("Stopping: %s", text);
    loop_stop(n);
}

void node_stop(struct node *n, const char *why) {
    if (n->stopping) return;
    node_log("%s received: finishing what was begun, then exiting", why);
    n->stopping = true;
    n->stop_begun_ms = mono_ms(n);
    n->stop_by_ms = n->stop_begun_ms + n->server.config.shutdown_timeout * 1000;
    net_stop(&n->net);
}

/* What the state database holds durably need not be in the log any more; but followers catch up from the log more easily
 * than by a snapshot, and one that is being sent continues in the log. */
void node_cut_log(struct node *n) {
    struct ks_applied stored = ks_stored(n->ks);
    uint64_t index = stored.index;
    if (index == n->cut_looked_at) return;
    n->cut_looked_at = index;
    if (n->members.count > 1)
        index = raft_index_before(n->raft, index, (uint64_t)n->server.config.raft_log_retain);
    uint64_t pinned = node_pinned_index(n);
    if (pinned < index) index = pinned;
    if (index <= n->cut_index) return;
    uint64_t term = index == stored.index ? stored.term : raft_term_at(n->raft, index);
    n->cut_index = index;
    struct raft_event event = {.type = RAFT_EVENT_CUT, .index = index};
    node_step(n, &event);
    struct store_job *s = store_job_new(n);
    s->job.cut = (struct log_mark){.index = index, .term = term};
    n->jobs_out++;
    log_writer_submit(n->writer, &s->job);
}

/* --- memory and write-back --- */

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static bool wants_writeback(struct node *n) {
    const struct config *c = &n->server.config;
    struct ks_stats stats;
    ks_stats(n->ks, &stats);
    uint64_t dirty_max = smaller((uint64_t)c->writeback_dirty_bytes, n->memory_budget / DIRTY_SHARE);
    if (stats.dirty_bytes >= dirty_max)
        return stats.dirty_bytes >= smaller(4 * dirty_max, n->memory_budget / 2) ||
               ks_level0_files(n->ks) < LEVEL0_FILES_MAX;
    if (n->log_bytes - n->log_bytes_at_writeback >= (uint64_t)c->writeback_log_bytes) return true;
    return stats.flush_pending > 0 || mono_ms(n) - n->writeback_at_ms >= c->writeback_seconds * 1000;
}

static size_t new_changes(struct node *n) {
    struct ks_stats stats;
    ks_stats(n->ks, &stats);
    size_t changes = stats.changes - n->changes_seen;
    n->changes_seen = stats.changes;
    return changes;
}

/* Both have to outrun what the turns change: packing, or the next write-back finds the log, and with it the replay after a
 * crash, grown beyond its bound; eviction, or memory grows with the data. */
void node_relieve_memory(struct node *n) {
    if (!ks_writeback_running(n->ks) && wants_writeback(n)) {
        n->writeback_at_ms = mono_ms(n);
        n->log_bytes_at_writeback = n->log_bytes;
        ks_writeback_begin(n->ks);
    }
    size_t changes = new_changes(n);
    ks_turn(n->ks, KS_STEPS_PER_TURN + KS_STEPS_PER_CHANGE * changes);
    if (n->memory_budget != UINT64_MAX)
        ks_evict(n->ks, n->memory_budget, EVICT_STEPS_PER_TURN + EVICT_STEPS_PER_CHANGE * changes);
}

static void warm_up(struct node *n) {
    uint64_t target = n->memory_budget == UINT64_MAX ? UINT64_MAX : n->memory_budget / 10 * WARM_SHARE;
    bool busy = n->server.stats.commands_processed != n->commands_seen;
    n->commands_seen = n->server.stats.commands_processed;
    n->warming = ks_warm_step(n->ks, target, busy ? KS_WARM_ROWS_PER_BUSY_TURN : KS_WARM_ROWS_PER_TURN);
}

/* With room in memory for twice what is there, and some of the data on disk only, more of it may come back. */
static void look_for_room(struct node *n) {
    struct ks_stats stats;
    ks_stats(n->ks, &stats);
    if (n->warming || !n->serving || node_is_in_the_middle(n) ||
        stats.memory_bytes > n->memory_budget / 10 * WARM_SHARE / 2)
        return;
    ks_warm_again(n->ks);
    n->warming = true;
}

static void care_for_storage(struct node *n) {
    if (node_is_in_the_middle(n)) return; /* the state is that of no index */
    node_relieve_memory(n);
    node_cut_log(n);
    if (n->warming) warm_up(n);
}

/* --- turns --- */

static void announce(struct node *n) {
    struct buf where = {0};
    net_describe(&n->net, &where);
    buf_add_byte(&where, '\0');
    node_log("Ready to accept connections on %s, data in %s (entry %llu applied)", where.data,
             n->server.config.dir, (unsigned long long)n->applied_index);
    buf_free(&where);
}

static void start_serving(struct node *n) {
    char error[512];
    if (net_listen(&n->net, error, sizeof error) != RC_OK) {
        node_fail(n, "%s", error);
        return;
    }
    if (list_empty(&n->net.listeners)) {
        node_fail(n, "there is nothing to listen on: bind and port name no address, unixsocket no path");
        return;
    }
    n->serving = true;
    n->warming = true;
    announce(n);
}

/* Whoever has companions leaves when its clients have gone and somebody else leads, or nobody can; what is not committed,
 * the others see to. A node by itself finishes what it has. */
static bool is_drained(struct node *n) {
    if (!n->open) return true;
    if (n->net.conn_count > 0) return false;
    if (n->members.count > 1)
        return n->role != RAFT_LEADER ||
               mono_ms(n) - n->stop_begun_ms > 2 * n->server.config.raft_election_timeout;
    return n->tail.last_index == n->applied_index && n->filling->write_count == 0;
}

/* Only between turns is it certain that nobody is in the middle of using what goes. */
static bool change_lives(struct node *n) {
    if (n->wants_reset && !node_reset(n)) node_fail(n, "the node cannot begin anew");
    if (n->wants_open) {
        n->wants_open = false;
        if (!node_open_group(n)) node_fail(n, "the node cannot go on as a member of the cluster");
    }
    return !n->failed;
}

/* Handing leadership over comes after the clients' last writes. */
static void hand_over(struct node *n) {
    if (n->role != RAFT_LEADER || n->members.count < 2 || n->handed_over) return;
    if (n->net.conn_count > 0 && mono_ms(n) - n->stop_begun_ms < 500) return;
    n->handed_over = true;
    node_hand_over(n);
}

/* With nothing better to do than to wait for the disk, the loop may as well write the log itself, which saves two changes of
 * thread. Of a node alone, all wait for the disk who do not read; with companions there is something to do meanwhile,
 * unless one client waits for one write. A disk that is fast may stand still for a while all the same: readers do not. */
static bool writes_itself(const struct node *n) {
    enum { LATELY_US = 100000 };
    if (n->role != RAFT_LEADER || n->tail.last_index - n->applied_index != 1 || n->stopping) return false;
    const struct proposal *p = tail_at(&n->tail, n->tail.last_index);
    if (p == NULL || p->payload.len > LOG_WRITER_HERE_BYTES_MAX || !list_empty(&n->read_rounds)) return false;
    bool is_for_one = n->turn_mono_us - n->crowd_us >= LATELY_US;
    if (n->members.count == 1) return is_for_one || n->turn_mono_us - n->read_us >= LATELY_US;
    return is_for_one && p->write_count == 1 && p->local_count == 0;
}

/* The log thread is told before the peers: sending to them wakes up to two processes, and on a machine with few
 * processors these may run first. */
static void propose_and_send(struct node *n) {
    node_start_reads(n);
    node_propose_filled(n);
    if (!writes_itself(n)) node_write_log(n, false);
    peer_net_flush(n->peers);
}

/* What is committed is applied and answered; what arrived goes into the log and to the peers first, so that they work
 * while replies are written. */
static void attend(struct node *n) {
    node_apply(n);
    node_pass_on_held(n);
    bool is_in_the_middle = node_is_in_the_middle(n); /* of a script that its clients may want to stop */
    if ((n->readable || n->members.count != 1 || is_in_the_middle) && !n->serving && !n->stopping)
        start_serving(n);
    if (n->failed) return;
    node_give_back(n);
    node_turn_blocked(n);
    node_finish_reads(n);
    net_resume(&n->net);
    node_send_later(n);
    propose_and_send(n);
    tracking_broadcast(&n->server);
    net_flush(&n->net);
    net_evict_clients(&n->net);
    propose_and_send(n); /* a flush may have let connections read on */
}

/* The end of a turn. What a follower was sent is stored first: its leader waits for it. */
void node_turn(struct node *n) {
    n->lease_now_known = false;
    n->turns++;
    if (!change_lives(n)) return;
    side_work_turn(n);
    if (n->open && n->role != RAFT_LEADER && node_write_log(n, true)) peer_net_flush(n->peers);
    if (n->open && n->wake_seen) {
        n->wake_seen = false;
        node_take_stored(n);
    }
    if (n->open) node_turn_snapshots(n);
    if (n->open) node_turn_copies(n);
    if (n->open && n->ks != NULL) {
        script_turn(n);
        attend(n);
        if (!n->failed && writes_itself(n) && node_write_log(n, true)) attend(n);
        if (n->failed) return;
        care_for_storage(n);
        bool is_left = node_is_in_the_middle(n);
        bool applies = is_left ? script_is_due(n) : n->applied_index < n->apply_index;
        bool stores = !is_left && (ks_has_work(n->ks) || n->warming);
        bool sends = n->later.first < n->later.end || !side_work_is_due(n);
        loop_keep_awake(n, stores || applies || sends);
    } else {
        net_flush(&n->net);
    }
    if (n->open) node_write_log(n, false);
    peer_net_flush(n->peers);
    n->now_known = false;
    n->timed = NULL;
    if (n->stopping) hand_over(n);
    if (n->stopping && is_drained(n)) loop_stop(n);
}

/* Each byte is written twice: to the log, and when it is written back. */
bool node_disk_takes(struct node *n, size_t more) {
    struct statvfs fs;
    uint64_t segment = smaller((uint64_t)n->server.config.raft_log_segment, UINT32_MAX);
    uint64_t promised = n->unapplied_bytes + (n->filling ? n->filling->payload.len : 0) + more;
    n->disk_unseen_bytes = 0;
    return statvfs(n->state_dir, &fs) != 0 ||
           (uint64_t)fs.f_bavail * fs.f_frsize >= DISK_RESERVE_BYTES + 2 * segment + 2 * promised;
}

/* Refusing writes while there still is a little room lets the node finish what it has acknowledged, go on serving reads,
 * and take writes again by itself when space returns. */
static void watch_disk_space(struct node *n) {
    struct writeback_stats wb;
    bool full = n->disk_is_full = !node_disk_takes(n, 0);
    ks_writeback_stats(n->ks, &wb);
    bool refuse = full || wb.failing; /* it is tried again every few seconds */
    if (!wb.failing || full) n->failing_since_ms = mono_ms(n);
    if (n->members.count > 1 && mono_ms(n) - n->failing_since_ms > HOPELESS_MS) {
        node_fail(n, "the data cannot be written back, and there are others to serve it: %.200s", wb.failure);
        return;
    }
    if (full)
        snprintf(n->server.refuse_reason, sizeof n->server.refuse_reason,
                 "the disk is full: writes are refused until more than %lld MB are free",
                 (long long)((DISK_RESERVE_BYTES + 2 * n->server.config.raft_log_segment) >> 20));
    else if (wb.failing)
        snprintf(n->server.refuse_reason, sizeof n->server.refuse_reason,
                 "the data cannot be written back: %.200s", wb.failure);
    if (refuse == n->server.refuse_writes) return;
    n->server.refuse_writes = refuse;
    if (refuse)
        node_log("Refusing writes: %s", n->server.refuse_reason);
    else
        node_log("The disk can be written again: accepting writes");
}

/* What an access costs a key is counted by the clock and the policy as they are now. */
void node_update_clock(struct node *n) {
    int policy = n->server.config.maxmemory_policy;
    ks_set_clock(n->ks, (uint32_t)(node_now_ms(n) / 1000),
                 policy == POLICY_ALLKEYS_LFU || policy == POLICY_VOLATILE_LFU);
}

/* Who cannot write lets somebody else lead, who may be better off. */
static void lead_only_with_a_disk(struct node *n) {
    enum { AGAIN_TICKS = 50 };
    if (n->server.refuse_writes && n->ticks % AGAIN_TICKS == 0) node_hand_over(n);
}

/* Ten times a second, whatever the length of a tick. */
static void tick_slowly(struct node *n) {
    n->ticks++;
    node_update_clock(n);
    node_update_memory(n);
    watch_disk_space(n);
    lead_only_with_a_disk(n);
    node_tend_forwards(n);
    node_propose_expired(n);
    if (n->ticks % (1000 / TICK_MS) == 0) net_look_after(&n->net);
    if (n->ticks % (WARM_AGAIN_SECONDS * 1000 / TICK_MS) == 0) look_for_room(n);
    server_tick(&n->server, node_now_ms(n));
}

/* Replies for entries that nobody can commit now would never come. */
static void give_up_entries(struct node *n) {
    if (n->readable || n->deposed_at_ms == 0) return;
    if (mono_now_ms() - n->deposed_at_ms < (uint64_t)n->server.config.forward_wait_ms) return;
    n->deposed_at_ms = 0;
    for (uint64_t i = n->applied_index + 1; i <= n->tail.last_index; i++) {
        struct proposal *p = tail_at(&n->tail, i);
        bool is_decided = n->applying.is_left && p == n->applying.p; /* it is committed, and ends some day */
        if (p != NULL && !is_decided) proposal_disappoint(n, p);
    }
}

/* A leader that is in the middle of sending a very long entry cannot send heartbeats, nor be answered: while it keeps
 * coming, the leader is alive, and hears that this node is. */
static bool leader_is_busy_sending(struct node *n) {
    if (n->role != RAFT_FOLLOWER || n->leader_id == 0) return false;
    if (!peer_net_is_receiving(n->peers, n->leader_id, (uint64_t)n->server.config.raft_election_timeout))
        return false;
    struct raft_message alive = {
        .kind = RAFT_HEARTBEAT_REPLY, .from = n->node_id, .to = n->leader_id, .term = n->term};
    node_send(n, &alive);
    return true;
}

void node_tick(struct node *n) {
    if (n->open) {
        struct raft_event tick = {.type = RAFT_EVENT_TICK};
        if (!leader_is_busy_sending(n)) node_step(n, &tick);
        give_up_entries(n);
    }
    node_tend_cluster(n);
    if (n->open && n->ks != NULL && mono_ms(n) - n->slow_tick_ms >= TICK_MS) {
        n->slow_tick_ms = mono_ms(n);
        tick_slowly(n);
    }
    /* The loop may sleep until the next tick before its turn ends. */
    if (n->open) node_write_log(n, false);
    peer_net_flush(n->peers);
    int interval = (int)n->server.config.raft_heartbeat_interval / 3;
    loop_set_tick(n, n->members.count == 1 ? TICK_MS : interval > 0 ? interval : 1);
    n->now_known = false; /* timers come before the loop sleeps: what wakes it is later than this */
    if (n->stopping && mono_ms(n) > n->stop_by_ms) {
        node_log("Clients that do not read their replies are left behind");
        loop_stop(n);
    }
}

/* --- connections enter and leave --- */

static void conn_opened(void *arg, struct conn *c) {
    struct node *n = arg;
    session_open(&n->server, &c->session, node_clock_ms(n));
}

static void conn_closed(void *arg, struct conn *c) {
    struct node *n = arg;
    forward_close(c);
    node_forget_waiter(c);
    node_forget_copy(c);
    node_forget_migration(c);
    node_forget_blocked(n, c);
    session_close(&n->server, &c->session);
}

static void conn_flushed(void *arg, struct conn *c) {
    (void)arg;
    if (c->forward != NULL) forward_flushed(c);
}

static bool needs_password(void *arg) {
    struct node *n = arg;
    return !acl_is_open(&n->server.acl);
}

/* The node it comes from has seen its password; what the user may do is for this node to say. */
static bool conn_adopted(void *arg, struct conn *c, const struct peer_client *client) {
    struct node *n = arg;
    struct acl_user *user = acl_find(&n->server.acl, client->user);
    if (user == NULL) return false;
    session_set_user(&c->session, user, client->said_password || acl_is_open(&n->server.acl));
    c->session.said_password = client->said_password;
    return true;
}

static void conn_log(void *arg, const char *line) {
    (void)arg;
    node_log("%s", line);
}

/* --- the beginning --- */

/* logfile and pidfile, as redis.conf means them. */
static bool open_logfile(const char *path) {
    if (path[0] == '\0') return true;
    if (freopen(path, "a", stdout) != NULL && dup2(fileno(stdout), STDERR_FILENO) >= 0) return true;
    fprintf(stderr, "Cannot write the log file %s: %s\n", path, strerror(errno));
    return false;
}

static void write_pidfile(struct node *n) {
    const char *path = n->server.config.pidfile;
    if (path[0] == '\0') return;
    FILE *f = fopen(path, "w");
    if (f == NULL || fprintf(f, "%d\n", (int)getpid()) < 0)
        node_log("Cannot write the pid file %s: %s", path, strerror(errno));
    if (f != NULL) fclose(f);
}

/* Each client is an open file; RocksDB and the listeners need some besides. */
int64_t node_clients_possible(int64_t wanted) {
    enum { FILES_BESIDES_CLIENTS = 1024 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
    rlim_t want = (rlim_t)wanted + FILES_BESIDES_CLIENTS;
    if (limit.rlim_cur < want) {
        struct rlimit raised = {limit.rlim_max < want ? limit.rlim_max : want, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    if (limit.rlim_cur >= want) return wanted;
    int64_t files = (int64_t)limit.rlim_cur;
    int64_t possible = files > 2 * FILES_BESIDES_CLIENTS ? files - FILES_BESIDES_CLIENTS : files / 3;
    return possible < wanted ? possible : wanted;
}

/* Those of the configuration hold until the cluster has its own. */
static bool take_users(struct node *n) {
    char error[1024];
    if (acl_take_config(&n->server, error, sizeof error)) return true;
    node_log("%s", error);
    return false;
}

static void bound_clients(struct node *n) {
    int64_t *maxclients = &n->server.config.maxclients;
    int64_t possible = node_clients_possible(*maxclients);
    if (possible == *maxclients) return;
    node_log(
        "The system does not allow this process enough open files: maxclients is lowered from %lld to %lld",
        (long long)*maxclients, (long long)possible);
    *maxclients = possible;
}

/* --- the end --- */

static void free_node(struct node *n) {
    net_close_all(&n->net);
    node_end_migrations(n);
    peer_net_close_all(n->peers);
    loop_close(n);
    peer_net_free(n->peers);
    net_free(&n->net);
    node_close_group_memory(n);
    mem_free(n->cluster);
    node_close_blocking(n);
    entry_reader_free(&n->reader);
    entry_reader_free(&n->local_reader);
    entry_reader_free(&n->scout);
    arena_free(&n->arena);
    script_free(&n->script);
    buf_free(&n->scratch);
}

static void init_node(struct node *n, struct config *config) {
    CHECK(getrandom(&n->rng.state, sizeof n->rng.state, 0) == (ssize_t)sizeof n->rng.state);
    host_init(n);
    server_init(&n->server, &n->host, NULL);
    config_free(&n->server.config);
    n->server.config = *config;
    n->memory_budget = UINT64_MAX;
    list_init(&n->read_waiters);
    list_init(&n->read_rounds);
    list_init(&n->waiters);
    list_init(&n->copies);
    list_init(&n->movings);
    list_init(&n->forwards);
    node_open_blocking(n);
    entry_reader_init(&n->reader);
    entry_reader_init(&n->local_reader);
    entry_reader_init(&n->scout);
    loop_open(n);
    struct net_handler handler = {.arg = n,
                                  .opened = conn_opened,
                                  .closed = conn_closed,
                                  .flushed = conn_flushed,
                                  .command = node_command,
                                  .coming = node_coming,
                                  .log = conn_log,
                                  .needs_password = needs_password,
                                  .adopted = conn_adopted};
    net_init(&n->net, &n->uv.loop, &n->server.config, handler);
}

int node_run(struct config *config, const char *executable, const char *config_file) {
    struct node *n = mem_calloc(1, sizeof *n);
    init_node(n, config);
    n->server.executable = executable;
    n->server.config_file = config_file;
    int code = 1;
    bool opened = false;
    if (open_logfile(n->server.config.logfile)) {
        node_log("Redraft %s, PID: %d", REDRAFT_VERSION,
                 (int)getpid()); /* supervisors and test harnesses look for it */
        bound_clients(n);        /* before the databases take their share of the files */
        opened =
            take_users(n) && node_open_folder(n) && node_open_peers(n) && (!n->formed || node_open_group(n));
    }
    if (opened) {
        write_pidfile(n);
        loop_run(n);
        code = node_close_group(n);
        if (n->server.config.pidfile[0] != '\0') unlink(n->server.config.pidfile);
        if (!n->failed) node_log("Bye");
        if (!n->failed && code != NODE_LEFT_OPEN) free_node(n);
    }
    if (!n->failed && code != NODE_LEFT_OPEN) {
        server_free(&n->server);
        mem_free(n);
    }
    return code;
}
