/* INFO: the server in numbers, with Redis's sections and names, then ours: raft and storage. */
#include "cmd_script.h"
#include "libraries.h"
#include "cmd_topology.h"
#include "handlers.h"
#include "mem.h"
#include "server.h"

#include <stdio.h>
#include <stdlib.h>

/* What several sections are made of, asked for once. */
struct facts {
    const struct cmd_ctx *c;
    const struct server *server;
    struct host_usage usage;
    struct host_raft raft;
    struct topology topology;
    struct ks_stats ks;
};

typedef void section_fn(const struct facts *f, struct buf *out);

static void add_u64(struct buf *out, const char *name, uint64_t v) {
    buf_printf(out, "%s:%llu\r\n", name, (unsigned long long)v);
}

static void add_text(struct buf *out, const char *name, const char *text) {
    buf_printf(out, "%s:%s\r\n", name, text);
}

/* "name:v" and "name_human:1.50M" */
static void add_bytes(struct buf *out, const char *name, uint64_t v) {
    static const char units[] = "BKMGTP";
    double scaled = (double)v;
    int unit = 0;
    while (scaled >= 1024 && units[unit + 1] != '\0') {
        scaled /= 1024;
        unit++;
    }
    add_u64(out, name, v);
    buf_printf(out, "%s_human:%.*f%c\r\n", name, unit == 0 ? 0 : 2, scaled, units[unit]);
}

static void add_zeros(struct buf *out, const char *const *names) {
    for (; *names != NULL; names++) add_u64(out, *names, 0);
}

static double ratio(uint64_t a, uint64_t b) {
    return b > 0 ? (double)a / (double)b : 0;
}

static void section_server(const struct facts *f, struct buf *out) {
    const struct config *config = &f->server->config;
    int64_t uptime_s = (f->c->now_us / 1000 - f->server->start_ms) / 1000;
    if (uptime_s < 0) uptime_s = 0;
    add_text(out, "redis_version", REDIS_COMPATIBLE_VERSION);
    add_text(out, "redis_git_sha1", "00000000");
    add_u64(out, "redis_git_dirty", 0);
    add_text(out, "redis_build_id", "0");
    add_text(out, "redis_mode", config->cluster_enabled ? "cluster" : "standalone");
    add_text(out, "redraft_version", REDRAFT_VERSION);
    add_text(out, "os", f->usage.os[0] != '\0' ? f->usage.os : "unknown");
    add_u64(out, "arch_bits", sizeof(void *) * 8);
    add_text(out, "monotonic_clock", "POSIX clock_gettime");
    add_text(out, "multiplexing_api", "libuv");
    add_text(out, "atomicvar_api", "c11-builtin");
    buf_printf(out, "gcc_version:%d.%d.%d\r\n", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
    add_u64(out, "process_id", f->usage.process_id);
    add_text(out, "process_supervised", "no");
    add_text(out, "run_id", f->server->run_id);
    add_u64(out, "tcp_port", (uint64_t)config->port);
    add_u64(out, "server_time_usec", (uint64_t)f->c->now_us);
    add_u64(out, "uptime_in_seconds", (uint64_t)uptime_s);
    add_u64(out, "uptime_in_days", (uint64_t)uptime_s / 86400);
    add_u64(out, "hz", (uint64_t)config->hz);
    add_u64(out, "configured_hz", (uint64_t)config->hz);
    add_u64(out, "lru_clock", (uint64_t)(f->c->now_us / 1000000) & 0xffffff);
    add_text(out, "executable", f->server->executable);
    add_text(out, "config_file", f->server->config_file);
    add_u64(out, "io_threads_active", config->io_threads > 1);
}

static void section_clients(const struct facts *f, struct buf *out) {
    add_u64(out, "connected_clients", f->server->session_count);
    add_u64(out, "cluster_connections", 0);
    add_u64(out, "maxclients", (uint64_t)f->server->config.maxclients);
    add_u64(out, "client_recent_max_input_buffer", f->usage.input_peak);
    add_u64(out, "client_recent_max_output_buffer", f->usage.output_peak);
    add_u64(out, "blocked_clients", f->usage.connections_held + f->server->blocked_count);
    add_u64(out, "tracking_clients", f->server->tracking.client_count);
    add_u64(out, "clients_in_timeout_table", 0);
}

static void section_memory(const struct facts *f, struct buf *out) {
    static const char *const zeros[] = {"mem_not_counted_for_evict", "mem_replication_backlog",
                                        "mem_total_replication_buffers", "mem_clients_slaves", NULL};
    const struct host_usage *u = &f->usage;
    const struct config *config = &f->server->config;
    struct buf policy = {0};
    uint64_t used = u->memory_allocated;
    uint64_t dataset = f->ks.memory_bytes < used ? f->ks.memory_bytes : used;
    add_bytes(out, "used_memory", used);
    add_bytes(out, "used_memory_rss", u->memory_resident);
    add_bytes(out, "used_memory_peak", u->memory_peak);
    buf_printf(out, "used_memory_peak_perc:%.2f%%\r\n", 100 * ratio(used, u->memory_peak));
    add_u64(out, "used_memory_overhead", used - dataset);
    add_u64(out, "used_memory_startup", 0);
    add_u64(out, "used_memory_dataset", dataset);
    buf_printf(out, "used_memory_dataset_perc:%.2f%%\r\n", 100 * ratio(dataset, used));
    add_u64(out, "allocator_allocated", used);
    add_u64(out, "allocator_active", u->memory_active);
    add_u64(out, "allocator_resident", u->memory_resident);
    add_bytes(out, "total_system_memory", u->memory_total_system);
    struct cmd_script_usage scripts;
    uint64_t vm = f->server->scripts != NULL ? script_memory(f->server->scripts) : 0;
    struct library_usage libraries;
    cmd_script_usage(f->server->ks, &scripts);
    library_usage(f->server->ks, &libraries);
    add_bytes(out, "used_memory_lua", vm);
    add_u64(out, "used_memory_vm_eval", vm);
    add_u64(out, "used_memory_scripts_eval", scripts.bytes);
    add_u64(out, "number_of_cached_scripts", scripts.count);
    add_u64(out, "number_of_functions", libraries.functions);
    add_u64(out, "number_of_libraries", libraries.libraries);
    add_u64(out, "used_memory_vm_functions", 0); /* one for both */
    add_bytes(out, "used_memory_vm_total", vm);
    add_u64(out, "used_memory_functions", libraries.bytes);
    add_bytes(out, "used_memory_scripts", scripts.bytes + libraries.bytes);
    add_bytes(out, "maxmemory", (uint64_t)config->maxmemory);
    config_show(config, config_find(SLICE("maxmemory-policy")), &policy);
    buf_add_byte(&policy, '\0');
    add_text(out, "maxmemory_policy", policy.data);
    buf_free(&policy);
    buf_printf(out, "allocator_frag_ratio:%.2f\r\n", ratio(u->memory_active, used));
    buf_printf(out, "allocator_frag_bytes:%lld\r\n", (long long)(u->memory_active - used));
    buf_printf(out, "allocator_rss_ratio:%.2f\r\n", ratio(u->memory_resident, u->memory_active));
    buf_printf(out, "allocator_rss_bytes:%lld\r\n", (long long)(u->memory_resident - u->memory_active));
    add_text(out, "rss_overhead_ratio", "1.00");
    add_u64(out, "rss_overhead_bytes", 0);
    buf_printf(out, "mem_fragmentation_ratio:%.2f\r\n", ratio(u->memory_resident, used));
    buf_printf(out, "mem_fragmentation_bytes:%lld\r\n", (long long)(u->memory_resident - used));
    add_zeros(out, zeros);
    add_u64(out, "mem_clients_normal", u->connections_memory);
    add_u64(out, "mem_cluster_links", 0);
    add_u64(out, "mem_aof_buffer", 0);
    add_text(out, "mem_allocator", "jemalloc");
    add_u64(out, "active_defrag_running", 0);
    add_u64(out, "lazyfree_pending_objects", f->ks.flush_pending);
    add_u64(out, "lazyfreed_objects", f->ks.flush_dropped - f->ks.flush_pending);
}

/* Redis's words for what a write-back does here: rows of the state of one log index, stored in the
 * background. */
static void section_persistence(const struct facts *f, struct buf *out) {
    static const char *const cow[] = {"loading",          "async_loading",        "current_cow_peak",
                                      "current_cow_size", "current_cow_size_age", NULL};
    static const char *const aof[] = {"aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled",
                                      NULL};
    const struct host_usage *u = &f->usage;
    int64_t saved_s = u->writeback_last_s != 0 ? u->writeback_last_s : f->server->start_ms / 1000;
    const char *status = u->writeback_failed ? "err" : "ok";
    add_zeros(out, cow);
    add_text(out, "current_fork_perc", "0.00");
    add_u64(out, "current_save_keys_processed", 0);
    add_u64(out, "current_save_keys_total", 0);
    add_u64(out, "rdb_changes_since_last_save", f->ks.changes - f->ks.changes_stored);
    add_u64(out, "rdb_bgsave_in_progress", u->writeback_running);
    add_u64(out, "rdb_last_save_time", (uint64_t)saved_s);
    add_text(out, "rdb_last_bgsave_status", status);
    add_text(out, "rdb_last_bgsave_time_sec", u->writebacks > 0 ? "0" : "-1");
    add_text(out, "rdb_current_bgsave_time_sec", u->writeback_running ? "0" : "-1");
    add_u64(out, "rdb_saves", u->writebacks);
    add_u64(out, "rdb_last_cow_size", 0);
    add_u64(out, "rdb_last_load_keys_expired", 0);
    add_u64(out, "rdb_last_load_keys_loaded", 0);
    add_zeros(out, aof);
    add_text(out, "aof_last_rewrite_time_sec", "-1");
    add_text(out, "aof_current_rewrite_time_sec", "-1");
    add_text(out, "aof_last_bgrewrite_status", "ok");
    add_u64(out, "aof_rewrites", 0);
    add_u64(out, "aof_rewrites_consecutive_failures", 0);
    add_text(out, "aof_last_write_status", f->server->refuse_writes ? "err" : "ok");
    add_u64(out, "aof_last_cow_size", 0);
    add_u64(out, "module_fork_in_progress", 0);
    add_u64(out, "module_fork_last_cow_size", 0);
}

static void section_stats(const struct facts *f, struct buf *out) {
    static const char *const sync[] = {"sync_full", "sync_partial_ok", "sync_partial_err", NULL};
    static const char *const expiry[] = {"expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds",
                                         "evicted_keys", NULL};
    static const char *const rest[] = {"latest_fork_usec",
                                       "total_forks",
                                       "migrate_cached_sockets",
                                       "slave_expires_tracked_keys",
                                       "active_defrag_hits",
                                       "active_defrag_misses",
                                       "active_defrag_key_hits",
                                       "active_defrag_key_misses",
                                       "total_active_defrag_time",
                                       "current_active_defrag_time",
                                       NULL};
    static const char *const buffers[] = {"io_threaded_reads_processed", "io_threaded_writes_processed",
                                          "reply_buffer_shrinks", "reply_buffer_expands", NULL};
    const struct stats *s = &f->server->stats;
    const struct host_usage *u = &f->usage;
    add_u64(out, "total_connections_received", u->connections_received - s->connections_received_reset);
    add_u64(out, "total_commands_processed", s->commands_processed);
    add_u64(out, "instantaneous_ops_per_sec", rate_per_second(&s->ops));
    add_u64(out, "total_net_input_bytes", u->net_in_bytes - s->net_in_reset);
    add_u64(out, "total_net_output_bytes", u->net_out_bytes - s->net_out_reset);
    add_u64(out, "total_net_repl_input_bytes", 0);
    add_u64(out, "total_net_repl_output_bytes", 0);
    buf_printf(out, "instantaneous_input_kbps:%.2f\r\n", (double)rate_per_second(&s->net_in) / 1024);
    buf_printf(out, "instantaneous_output_kbps:%.2f\r\n", (double)rate_per_second(&s->net_out) / 1024);
    add_text(out, "instantaneous_input_repl_kbps", "0.00");
    add_text(out, "instantaneous_output_repl_kbps", "0.00");
    add_u64(out, "rejected_connections", u->connections_rejected - s->connections_rejected_reset);
    add_zeros(out, sync);
    add_u64(out, "expired_keys", f->ks.expired);
    add_text(out, "expired_stale_perc", "0.00");
    add_zeros(out, expiry);
    add_u64(out, "evicted_clients", u->connections_evicted);
    add_u64(out, "total_eviction_exceeded_time", 0);
    add_u64(out, "current_eviction_exceeded_time", 0);
    add_u64(out, "keyspace_hits", f->ks.hits);
    add_u64(out, "keyspace_misses", f->ks.misses);
    const struct topic_table *topics = f->server->pubsub.topics;
    add_u64(out, "pubsub_channels", topics[TOPIC_CHANNEL].count);
    add_u64(out, "pubsub_patterns", topics[TOPIC_PATTERN].count);
    add_u64(out, "pubsubshard_channels", topics[TOPIC_SHARD].count);
    add_zeros(out, rest);
    add_u64(out, "tracking_total_keys", f->server->tracking.key_count);
    add_u64(out, "tracking_total_items", f->server->tracking.item_count);
    add_u64(out, "tracking_total_prefixes", f->server->tracking.prefix_count);
    add_u64(out, "unexpected_error_replies", 0);
    add_u64(out, "total_error_replies", s->errors_total);
    add_u64(out, "dump_payload_sanitizations", 0);
    add_u64(out, "total_reads_processed", u->net_reads - s->net_reads_reset);
    add_u64(out, "total_writes_processed", u->net_writes - s->net_writes_reset);
    add_zeros(out, buffers);
}

/* Redis's word for how a follower is doing. */
static const char *attachment(const struct cluster_member *m) {
    return m->progress == CLUSTER_SNAPSHOT ? "send_bulk"
           : m->progress == CLUSTER_PROBE  ? "wait_bgsave"
                                           : "online";
}

/* Who is told of what is written (feed.h), behind the nodes of the cluster. */
static void add_fed(const struct facts *f, size_t shown, struct buf *out) {
    char host[CLUSTER_HOST_CAP];
    int port;
    LIST_FOR_EACH(it, &f->server->feed.sessions) {
        const struct session *s = container_of(it, struct session, feed_link);
        if (!cluster_split_address(slice_of(s->peer), host, &port)) host[0] = '\0', port = 0;
        buf_printf(out, "slave%zu:ip=%s,port=%d,state=%s,offset=%llu,lag=0\r\n", shown++, host, port,
                   s->is_fed_live ? "online" : "send_bulk", (unsigned long long)f->server->feed.offset);
    }
}

static void add_followers(const struct facts *f, struct buf *out) {
    size_t count = 0;
    const struct cluster_view *view = &f->topology.view;
    for (size_t i = 0; i < view->count && f->topology.is_master; i++)
        count += topology_is_attached(&view->nodes[i]);
    add_u64(out, "connected_slaves", count + f->server->feed.count);
    size_t shown = 0;
    for (size_t i = 0; shown < count; i++) {
        const struct cluster_node *node = &view->nodes[i];
        const struct cluster_member *m = node->member;
        if (!topology_is_attached(node)) continue;
        buf_printf(out, "slave%zu:ip=%s,port=%d,state=%s,offset=%llu,lag=%lld\r\n", shown, node->host,
                   node->port, attachment(m), (unsigned long long)m->match_index,
                   (long long)(m->heard_ms_ago > 0 ? m->heard_ms_ago / 1000 : 0));
        shown++;
    }
    add_fed(f, shown, out);
}

static void add_master(const struct facts *f, struct buf *out) {
    const struct topology *t = &f->topology;
    const struct cluster_node *master = t->master;
    int64_t heard_ms = t->leader != NULL ? t->leader->member->heard_ms_ago : -1;
    add_text(out, "master_host", master != NULL ? master->host : "");
    add_u64(out, "master_port", master != NULL ? (uint64_t)master->port : 0);
    add_text(out, "master_link_status", t->leader != NULL ? "up" : "down");
    buf_printf(out, "master_last_io_seconds_ago:%lld\r\n", (long long)(heard_ms < 0 ? -1 : heard_ms / 1000));
    add_u64(out, "master_sync_in_progress", 0);
    add_u64(out, "slave_read_repl_offset", t->state.commit_index);
    add_u64(out, "slave_repl_offset", t->state.applied_index);
    if (t->leader == NULL) add_text(out, "master_link_down_since_seconds", "-1");
    add_u64(out, "slave_priority", (uint64_t)f->server->config.replica_priority);
    add_u64(out, "slave_read_only", 1);
    add_u64(out, "replica_announced", 1);
}

/* The history that all nodes share goes by the cluster's id; a node's own by its run. */
static void add_history_id(const struct facts *f, struct buf *out) {
    const struct cluster_state *s = &f->topology.state;
    if (s->cluster_id[0] != '\0')
        buf_printf(out, "master_replid:%s00000000\r\n", s->cluster_id);
    else
        add_text(out, "master_replid", f->server->run_id);
}

static void section_replication(const struct facts *f, struct buf *out) {
    const struct topology *t = &f->topology;
    add_text(out, "role", t->is_master ? "master" : "slave");
    if (!t->is_master) add_master(f, out);
    add_followers(f, out);
    add_text(out, "master_failover_state", "no-failover");
    add_history_id(f, out);
    add_text(out, "master_replid2", "0000000000000000000000000000000000000000");
    add_u64(out, "master_repl_offset", t->is_master ? t->state.commit_index : t->state.applied_index);
    add_text(out, "second_repl_offset", "-1");
    add_u64(out, "repl_backlog_active", 0);
    add_u64(out, "repl_backlog_size", (uint64_t)f->server->config.repl_backlog_size);
    add_u64(out, "repl_backlog_first_byte_offset", 0);
    add_u64(out, "repl_backlog_histlen", 0);
}

static void section_cpu(const struct facts *f, struct buf *out) {
    const struct host_usage *u = &f->usage;
    buf_printf(out, "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\n", u->cpu_system_s, u->cpu_user_s);
    buf_printf(out, "used_cpu_sys_children:%.6f\r\nused_cpu_user_children:%.6f\r\n", 0.0, 0.0);
    buf_printf(out, "used_cpu_sys_main_thread:%.6f\r\nused_cpu_user_main_thread:%.6f\r\n",
               u->cpu_main_system_s, u->cpu_main_user_s);
}

static void section_modules(const struct facts *f, struct buf *out) {
    (void)f;
    (void)out;
}

static void section_commandstats(const struct facts *f, struct buf *out) {
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command_stats *s = &f->server->stats.commands[id];
        const struct command *cmd = command_by_id(id);
        char name[COMMAND_NAME_CAP];
        if ((s->calls == 0 && s->rejected == 0 && s->failed == 0) || (cmd->flags & CMD_INTERNAL)) continue;
        command_full_name(cmd, name, sizeof name);
        buf_printf(
            out,
            "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu\r\n",
            name, (unsigned long long)s->calls, (unsigned long long)s->usec, ratio(s->usec, s->calls),
            (unsigned long long)s->rejected, (unsigned long long)s->failed);
    }
}

static int compare_errors(const void *a, const void *b) {
    return strcmp(((const struct error_stats *)a)->code, ((const struct error_stats *)b)->code);
}

static void section_errorstats(const struct facts *f, struct buf *out) {
    const struct stats *s = &f->server->stats;
    struct error_stats sorted[ERROR_CODES_MAX];
    size_t count = (size_t)s->error_code_count;
    memcpy(sorted, s->errors, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_errors);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "errorstat_%s:count=%llu\r\n", sorted[i].code, (unsigned long long)sorted[i].count);
    }
}

static void section_latencystats(const struct facts *f, struct buf *out) {
    const struct config *config = &f->server->config;
    if (!config->latency_tracking) return;
    for (int id = 0; id < command_stat_count(); id++) {
        const struct histogram *h = f->server->stats.commands[id].latency;
        const struct command *cmd = command_by_id(id);
        char name[COMMAND_NAME_CAP];
        if (h == NULL || (cmd->flags & CMD_INTERNAL)) continue;
        command_full_name(cmd, name, sizeof name);
        buf_printf(out, "latency_percentiles_usec_%s:", name);
        for (int i = 0; i < config->percentile_count; i++) {
            double p = config->percentiles[i];
            buf_printf(out, "%sp%.10g=%.3f", i > 0 ? "," : "", p, histogram_percentile(h, p));
        }
        buf_add_str(out, "\r\n");
    }
}

static void section_cluster(const struct facts *f, struct buf *out) {
    add_u64(out, "cluster_enabled", f->server->config.cluster_enabled);
}

static void section_keyspace(const struct facts *f, struct buf *out) {
    for (int db = 0; db < KS_DB_COUNT; db++) {
        uint64_t keys = ks_count(f->c->ks, db);
        if (keys == 0) continue;
        buf_printf(out, "db%d:keys=%llu,expires=%llu,avg_ttl=%lld\r\n", db, (unsigned long long)keys,
                   (unsigned long long)ks_count_expires(f->c->ks, db),
                   (long long)ks_avg_ttl_ms(f->c->ks, db, f->c->now_ms));
    }
}

static const char *seat_name(enum cluster_seat seat) {
    static const char *const names[] = {[CLUSTER_VOTER] = "voter",
                                        [CLUSTER_LEARNER] = "learner",
                                        [CLUSTER_JOINING] = "joining",
                                        [CLUSTER_LEAVING] = "leaving"};
    return names[seat];
}

static const char *progress_name(enum cluster_progress progress) {
    static const char *const names[] = {[CLUSTER_PROGRESS_UNKNOWN] = "unknown",
                                        [CLUSTER_PROBE] = "probe",
                                        [CLUSTER_REPLICATE] = "replicate",
                                        [CLUSTER_SNAPSHOT] = "snapshot"};
    return names[progress];
}

/* One line each, by id. What only a leader knows (match, lag, state) is shown by the leader. */
static void add_members(const struct facts *f, struct buf *out) {
    const struct cluster_state *s = &f->topology.state;
    add_u64(out, "raft_members", s->member_count);
    for (size_t i = 0; i < s->member_count; i++) {
        const struct cluster_member *m = &s->members[i];
        uint64_t match = m->is_self && s->is_leader ? f->raft.last_index : m->match_index;
        buf_printf(out,
                   "raft_member%zu:id=%016llx,addr=%s,seat=%s,role=%s,self=%d,connected=%d,heard_ms=%lld", i,
                   (unsigned long long)m->id, m->address, seat_name(m->seat),
                   m->id == s->leader_id ? "leader" : "follower", m->is_self, m->is_connected,
                   (long long)m->heard_ms_ago);
        if (s->is_leader)
            buf_printf(out, ",match=%llu,lag=%llu,state=%s", (unsigned long long)match,
                       (unsigned long long)(f->raft.last_index > match ? f->raft.last_index - match : 0),
                       m->is_self ? "replicate" : progress_name(m->progress));
        buf_add_str(out, "\r\n");
    }
}

static void section_raft(const struct facts *f, struct buf *out) {
    const struct host_raft *r = &f->raft;
    const struct cluster_state *s = &f->topology.state;
    const struct cluster_node *leader = f->topology.leader;
    add_text(out, "raft_state", s->removed ? "removed" : s->joining ? "joining" : "up");
    add_text(out, "raft_cluster_id", s->cluster_id);
    add_text(out, "raft_role", r->role != NULL ? r->role : "unknown");
    buf_printf(out, "raft_node_id:%016llx\r\nraft_leader_id:%016llx\r\n", (unsigned long long)r->node_id,
               (unsigned long long)r->leader_id);
    if (leader != NULL)
        buf_printf(out, "raft_leader_address:%s:%d\r\n", leader->host, leader->port);
    else
        add_text(out, "raft_leader_address", "");
    add_u64(out, "raft_readable", s->readable);
    add_u64(out, "raft_current_term", r->term);
    add_u64(out, "raft_num_voting_nodes", r->voters);
    add_u64(out, "raft_first_index", r->first_index);
    add_u64(out, "raft_current_index", r->last_index);
    add_u64(out, "raft_commit_index", r->commit_index);
    add_u64(out, "raft_last_applied_index", r->applied_index);
    add_u64(out, "raft_durable_applied_index", r->durable_applied_index);
    add_u64(out, "raft_log_window", r->last_index >= r->first_index ? r->last_index - r->first_index + 1 : 0);
    add_u64(out, "raft_log_bytes", f->usage.log_bytes);
    add_u64(out, "raft_log_entries", f->usage.log_entries);
    add_u64(out, "raft_log_syncs", f->usage.log_syncs);
    add_u64(out, "raft_messages_sent", s->messages_sent);
    add_u64(out, "raft_messages_received", s->messages_received);
    add_u64(out, "raft_members_index", s->members_index);
    add_members(f, out);
}

static void section_storage(const struct facts *f, struct buf *out) {
    add_u64(out, "keys_in_memory", f->ks.objects);
    add_u64(out, "keys_memory_bytes", f->ks.memory_bytes);
    add_u64(out, "cache_evicted_keys", f->ks.evicted); /* out of memory, not out of the data */
    add_u64(out, "disk_loads", f->ks.loads);
    add_u64(out, "disk_load_misses", f->ks.load_misses);
    add_u64(out, "dirty_keys", f->ks.dirty_keys);
    add_u64(out, "dirty_bytes", f->ks.dirty_bytes);
    add_u64(out, "writebacks", f->usage.writebacks);
    add_u64(out, "writeback_running", f->usage.writeback_running);
    add_u64(out, "writeback_rows", f->usage.writeback_rows);
    add_u64(out, "writeback_bytes", f->usage.writeback_bytes);
    add_u64(out, "rocksdb_memory_bytes", f->usage.kv_memory_bytes);
}

enum { DEFAULT = 1, ALL = 2, EVERYTHING = 4 };

static const struct {
    const char *name, *title;
    section_fn *fn;
    int groups;
} sections[] = {
    {"server", "Server", section_server, DEFAULT | ALL | EVERYTHING},
    {"clients", "Clients", section_clients, DEFAULT | ALL | EVERYTHING},
    {"memory", "Memory", section_memory, DEFAULT | ALL | EVERYTHING},
    {"persistence", "Persistence", section_persistence, DEFAULT | ALL | EVERYTHING},
    {"stats", "Stats", section_stats, DEFAULT | ALL | EVERYTHING},
    {"replication", "Replication", section_replication, DEFAULT | ALL | EVERYTHING},
    {"cpu", "CPU", section_cpu, DEFAULT | ALL | EVERYTHING},
    {"modules", "Modules", section_modules, DEFAULT | ALL | EVERYTHING},
    {"commandstats", "Commandstats", section_commandstats, ALL | EVERYTHING},
    {"errorstats", "Errorstats", section_errorstats, DEFAULT | ALL | EVERYTHING},
    {"latencystats", "Latencystats", section_latencystats, ALL | EVERYTHING},
    {"cluster", "Cluster", section_cluster, DEFAULT | ALL | EVERYTHING},
    {"keyspace", "Keyspace", section_keyspace, DEFAULT | ALL | EVERYTHING},
    {"raft", "Raft", section_raft, DEFAULT | ALL | EVERYTHING},
    {"storage", "Storage", section_storage, DEFAULT | ALL | EVERYTHING},
};
enum { SECTION_COUNT = sizeof sections / sizeof sections[0] };

static bool is_wanted(const struct cmd_ctx *c, int section) {
    if (c->argc == 1) return sections[section].groups & DEFAULT;
    for (int i = 1; i < c->argc; i++) {
        int groups = sections[section].groups;
        if (slice_is(c->argv[i], sections[section].name)) return true;
        if (slice_is(c->argv[i], "module_list") && sections[section].fn == section_modules) return true;
        if (slice_is(c->argv[i], "default") && (groups & DEFAULT)) return true;
        if (slice_is(c->argv[i], "all") && (groups & ALL)) return true;
        if (slice_is(c->argv[i], "everything") && (groups & EVERYTHING)) return true;
    }
    return false;
}

void cmd_info(struct cmd_ctx *c) {
    struct facts f = {.c = c, .server = c->server};
    struct host *host = c->server->host;
    host->usage(host, &f.usage);
    host->raft(host, &f.raft);
    topology_load(c, &f.topology);
    ks_stats(c->ks, &f.ks);
    struct buf out = {0};
    for (int i = 0; i < SECTION_COUNT; i++) {
        if (!is_wanted(c, i)) continue;
        buf_printf(&out, "%s# %s\r\n", out.len > 0 ? "\r\n" : "", sections[i].title);
        sections[i].fn(&f, &out);
    }
    reply_verbatim(c->reply, "txt", buf_slice(&out));
    buf_free(&out);
}
