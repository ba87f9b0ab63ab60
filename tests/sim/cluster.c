/* See cluster.h. */
#include "cluster.h"

#include "mem.h"
#include "observe.h"
#include "raft_message.h"
#include "sim_uv.h"

#include <signal.h>
#include <stdio.h>

/* server/main.c, compiled under this name. */
int server_main(int argc, char **argv);

#define WALL_BASE_US INT64_C(1700000000000000)

static struct {
    struct cluster_options options;
    int size;
    struct machine machines[MACHINES_MAX];
} cluster;

int cluster_size(void) {
    return cluster.size;
}

int cluster_founders(void) {
    return cluster.options.machines;
}

struct machine *cluster_machine(int i) {
    CHECK(i >= 0 && i < cluster.size);
    return &cluster.machines[i];
}

/* --- what a process asks of its machine --- */

struct disk *machine_disk(struct machine *m) {
    return m->disk;
}
const char *machine_name(const struct machine *m) {
    return m->name;
}
int machine_host(const struct machine *m) {
    return m->host;
}

uint64_t machine_mono_us(const struct machine *m) {
    return m->anchor_mono_us + (uint64_t)((double)(world_now_us() - m->anchor_world_us) * m->rate);
}

int64_t machine_wall_us(const struct machine *m) {
    return (int64_t)machine_mono_us(m) + m->wall_offset_us;
}

uint64_t machine_world_us(const struct machine *m, uint64_t mono_us) {
    if (mono_us <= m->anchor_mono_us) return world_now_us();
    return m->anchor_world_us + (uint64_t)((double)(mono_us - m->anchor_mono_us) / m->rate) + 1;
}

void machine_drift(struct machine *m, double rate) {
    uint64_t mono = machine_mono_us(m);
    m->anchor_world_us = world_now_us();
    m->anchor_mono_us = mono;
    m->rate = rate;
}

void machine_jump(struct machine *m, int64_t us) {
    m->wall_offset_us += us;
}

/* --- processes come and go --- */

struct start {
    int argc;
    char *argv[48];
    char port[16], dir[16], bind[32], nodes[300];
};

static int run_server(void *arg) {
    struct start *s = arg;
    return server_main(s->argc, s->argv);
}

static struct start starts[MACHINES_MAX];

static void list_addresses(char *out, size_t cap, int machines) {
    size_t at = 0;
    for (int i = 0; i < machines; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s10.0.0.%d:%d", i ? "," : "", i + 1, CLIENT_PORT);
    CHECK(at < cap);
}

static void arguments(struct machine *m, struct start *s) {
    snprintf(s->port, sizeof s->port, "%d", CLIENT_PORT);
    snprintf(s->dir, sizeof s->dir, "/data");
    snprintf(s->bind, sizeof s->bind, "10.0.0.%d", m->host + 1);
    const char *own[] = {"redraft-server", "--port",           s->port, "--bind", s->bind, "--dir",
                         s->dir,           "--protected-mode", "no"};
    s->argc = 0;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) s->argv[s->argc++] = (char *)(size_t)own[i];
    for (size_t i = 0; cluster.options.args[i] != NULL; i++)
        s->argv[s->argc++] = (char *)(size_t)cluster.options.args[i];
    if (m->joins || cluster_founders() > 1) {
        list_addresses(s->nodes, sizeof s->nodes, m->joins ? cluster_size() : cluster_founders());
        s->argv[s->argc++] = (char *)(size_t)(m->joins ? "--join" : "--cluster-nodes");
        s->argv[s->argc++] = s->nodes;
    }
    s->argv[s->argc] = NULL;
}

void machine_start(struct machine *m) {
    if (m->process != NULL || !m->powered) return;
    sim_timer_cancel(&m->restart);
    struct start *s = &starts[m->host];
    arguments(m, s);
    m->starts++;
    m->process = process_start(m, run_server, s);
    sim_log("%s: starts", m->name);
}

static void restart(struct sim_timer *t) {
    machine_start(container_of(t, struct machine, restart));
}

void machine_restart_after(struct machine *m, uint64_t us) {
    sim_timer_set(&m->restart, world_now_us() + us, restart);
}

static void process_gone(struct machine *m) {
    struct process *p = m->process;
    m->process = NULL;
    observe_process_gone(m);
    m->raft = NULL;
    m->ks = NULL;
    process_kill(p);
}

void machine_process_ended(struct machine *m, struct process *p) {
    CHECK(m->process == p);
    sim_log("%s: the server ended with code %d", m->name, p->exit_code);
    world_mix((uint64_t)p->exit_code + 77);
    if (p->exit_code != 0 && !m->disk->was_bad)
        sim_fail("%s: the server gave up, and its disk was never bad", m->name);
    process_gone(m);
    if (m->restarts) machine_restart_after(m, SIM_SECOND + sim_around(SIM_SECOND));
}

void machine_kill(struct machine *m) {
    if (m->process == NULL) return;
    sim_log("%s: killed", m->name);
    process_gone(m);
}

void machine_stop(struct machine *m) {
    if (m->process == NULL) return;
    sim_log("%s: SIGTERM", m->name);
    loop_signal(m->process, SIGTERM);
}

void machine_power_cut(struct machine *m) {
    if (!m->powered) return;
    sim_log("%s: power cut", m->name);
    m->power_cuts++;
    sim_timer_cancel(&m->restart);
    if (m->process != NULL) process_gone(m);
    network_power(m->host, false);
    disk_power_cut(m->disk);
    m->powered = false;
}

void machine_power_on(struct machine *m) {
    if (m->powered) return;
    sim_log("%s: power on", m->name);
    m->powered = true;
    network_power(m->host, true);
    machine_start(m);
}

void machine_wipe(struct machine *m) {
    machine_power_cut(m);
    sim_log("%s: a new disk", m->name);
    disk_wipe(m->disk);
    m->rotten = false;
    observe_wiped(m);
}

void machine_pause(struct machine *m) {
    if (m->process == NULL || m->process->paused) return;
    sim_log("%s: paused", m->name);
    process_pause(m->process);
}

void machine_resume(struct machine *m) {
    if (m->process == NULL || !m->process->paused) return;
    sim_log("%s: goes on", m->name);
    process_resume(m->process);
}

/* --- all of them --- */

static struct machine *add_machine(void) {
    struct machine *m = &cluster.machines[cluster.size];
    m->host = cluster.size++;
    snprintf(m->name, sizeof m->name, "n%d", m->host + 1);
    m->disk = disk_new();
    m->powered = m->restarts = true;
    m->rate = 1;
    m->anchor_mono_us = sim_between(1, 1000) * SIM_SECOND;
    m->anchor_world_us = world_now_us();
    m->wall_offset_us = WALL_BASE_US + (int64_t)world_now_us() - (int64_t)m->anchor_mono_us;
    return m;
}

void cluster_begin(const struct cluster_options *options) {
    CHECK(options->machines <= MACHINES_MAX);
    memset(&cluster, 0, sizeof cluster);
    cluster.options = *options;
    while (cluster.size < options->machines) (void)add_machine();
}

struct machine *cluster_grow(void) {
    enum { MORE_MAX = 2 };
    if (cluster.size == RAFT_VOTERS_MAX || cluster.size == cluster_founders() + MORE_MAX) return NULL;
    return add_machine();
}

void cluster_end(void) {
    for (int i = 0; i < cluster.size; i++) {
        struct machine *m = &cluster.machines[i];
        m->restarts = false;
        sim_timer_cancel(&m->restart);
        if (m->process != NULL) process_gone(m);
        disk_free(m->disk);
    }
}
