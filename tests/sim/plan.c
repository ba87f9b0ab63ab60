/* See plan.h. Each fault lasts for a while and undoes itself by a timer, so several overlap. */
#include "plan.h"

#include "operator.h"

#include <stdio.h>

static const char *const names[FAULT_KINDS] = {
    "kill",        "stop",      "power",      "power-all", "power-sync", "pause",
    "cut",         "one-way",   "ring",       "clog",      "lag",        "loss",
    "frames",      "disk-slow", "disk-stall", "disk-sync", "disk-full",  "clock-jump",
    "clock-drift", "transfer",  "replace",    "lost",      "grow",       "rot"};

const char *fault_name(enum fault f) {
    return names[f];
}

/* What is to be undone, and when. */
struct undo {
    struct sim_timer timer;
    enum fault fault;
    int machine;
};
enum { UNDO_MAX = 64 };

static struct {
    uint32_t faults;
    uint64_t counts[FAULT_KINDS];
    struct sim_timer next;
    struct undo undos[UNDO_MAX];
    uint64_t mean_us; /* between two */
    bool hostile;
} plan;

uint32_t plan_faults(void) {
    return plan.faults;
}
uint64_t plan_count(enum fault f) {
    return plan.counts[f];
}

static bool has(enum fault f) {
    return (plan.faults & (1u << f)) != 0;
}

/* --- the network --- */

static void heal_links(void) {
    for (int a = 0; a < HOSTS_MAX; a++)
        for (int b = 0; b < HOSTS_MAX; b++) {
            struct link_manners *l = network_link(a, b);
            l->cut = false;
        }
}

static void calm_links(void) {
    for (int a = 0; a < HOSTS_MAX; a++)
        for (int b = 0; b < HOSTS_MAX; b++)
            *network_link(a, b) = (struct link_manners){.delay_us = network_link(a, b)->delay_us};
}

/* Clients are on either side, too. */
static void cut_in_two(void) {
    uint64_t side = rng_next(world_rng());
    int leader = operator_leader();
    if (leader >= 0 && sim_chance(0.4)) { /* by itself, and still asked by some */
        side &= ~((UINT64_C(1) << cluster_size()) - 1);
        side |= UINT64_C(1) << leader;
    }
    bool both_ways = sim_chance(0.7);
    for (int a = 0; a < HOSTS_MAX; a++)
        for (int b = 0; b < HOSTS_MAX; b++)
            if ((side >> a & 1) && !(side >> b & 1)) {
                network_link(a, b)->cut = true;
                if (both_ways) network_link(b, a)->cut = true;
            }
}

static void silence(int who) {
    bool in = sim_chance(0.5), out = !in || sim_chance(0.2);
    for (int other = 0; other < cluster_size(); other++) {
        if (other == who) continue;
        if (in) network_link(other, who)->cut = true;
        if (out) network_link(who, other)->cut = true;
    }
}

/* Each keeps the links to its neighbours only: nobody sees everybody, everybody sees a majority or not. */
static void ring(void) {
    int n = cluster_size();
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) {
            int apart = (a - b + n) % n;
            bool neighbours = apart == 1 || apart == n - 1;
            network_link(a, b)->cut = a != b && !neighbours;
        }
}

static void clog_some(void) {
    int a = (int)sim_below(HOSTS_MAX), b = (int)sim_below((uint64_t)cluster_size());
    uint64_t us = sim_around(300 * SIM_MS);
    if (sim_chance(0.3)) {
        for (int i = 0; i < HOSTS_MAX; i++) network_link(i, b)->clog_us = us;
        return;
    }
    network_link(a, b)->clog_us = us;
    if (sim_chance(0.5)) network_link(b, a)->clog_us = us;
}

/* For a while a leader that others have given up still hears them, as they were: time-outs are half a second. Clients reach it. */
static void lag(int leader) {
    uint64_t there_us = sim_between(300, 1400) * SIM_MS, back_us = sim_between(300, 1400) * SIM_MS;
    bool both = sim_chance(0.6), there = both || sim_chance(0.5);
    for (int other = 0; other < cluster_size(); other++) {
        if (other == leader) continue;
        if (there) network_link(leader, other)->clog_us = there_us;
        if (both || !there) network_link(other, leader)->clog_us = back_us;
    }
}

static void lose(void) {
    double loss = sim_chance(0.5) ? 0.01 : 0.2;
    for (int a = 0; a < HOSTS_MAX; a++)
        for (int b = 0; b < HOSTS_MAX; b++) network_link(a, b)->loss = loss;
}

static void shuffle_frames(void) {
    double p = sim_chance(0.5) ? 0.02 : 0.2;
    for (int a = 0; a < cluster_size(); a++)
        for (int b = 0; b < cluster_size(); b++) {
            struct link_manners *l = network_link(a, b);
            l->drop_frame = sim_chance(0.5) ? p : 0;
            l->copy_frame = sim_chance(0.5) ? p : 0;
            l->reorder_frame = sim_chance(0.5) ? p : 0;
        }
}

/* --- doing and undoing --- */

static void undo_fire(struct sim_timer *t);

static void undo_after(enum fault f, int machine, uint64_t us) {
    for (int i = 0; i < UNDO_MAX; i++) {
        struct undo *u = &plan.undos[i];
        if (u->timer.place != 0) continue;
        u->fault = f;
        u->machine = machine;
        sim_timer_set(&u->timer, world_now_us() + us, undo_fire);
        return;
    }
}

static void disk_well(struct machine *m) {
    m->disk->manners = (struct disk_manners){.sync_us = 100, .free_bytes = UINT64_C(100) << 30};
}

static void undo_one(enum fault f, int machine) {
    struct machine *m = cluster_machine(machine);
    switch (f) {
    case FAULT_KILL: machine_start(m); break;
    case FAULT_POWER:
    case FAULT_POWER_SYNC:
    case FAULT_POWER_ALL:
        if (!operator_works_at(machine)) machine_power_on(m);
        break;
    case FAULT_PAUSE: machine_resume(m); break;
    case FAULT_CUT:
    case FAULT_ONE_WAY:
    case FAULT_RING: heal_links(); break;
    case FAULT_CLOG:
    case FAULT_LAG:
    case FAULT_LOSS:
    case FAULT_FRAMES: calm_links(); break;
    case FAULT_DISK_SLOW:
    case FAULT_DISK_STALL:
    case FAULT_DISK_SYNC:
    case FAULT_DISK_FULL: disk_well(m); break;
    case FAULT_CLOCK_DRIFT: machine_drift(m, 1); break;
    case FAULT_STOP:
    case FAULT_CLOCK_JUMP:
    case FAULT_TRANSFER:
    case FAULT_REPLACE:
    case FAULT_LOST:
    case FAULT_GROW:
    case FAULT_ROT:
    case FAULT_KINDS: break;
    }
}

static void undo_fire(struct sim_timer *t) {
    struct undo *u = container_of(t, struct undo, timer);
    sim_log("-- %s is over (n%d)", names[u->fault], u->machine + 1);
    undo_one(u->fault, u->machine);
}

static void set_disk(struct machine *m, enum fault f) {
    struct disk_manners *d = &m->disk->manners;
    if (f == FAULT_DISK_SYNC || f == FAULT_DISK_FULL) m->disk->was_bad = true;
    switch (f) {
    case FAULT_DISK_SLOW: d->sync_us = sim_around(20 * SIM_MS); break;
    case FAULT_DISK_STALL:
        d->stall_chance = 0.05;
        d->stall_us = sim_between(100 * SIM_MS, 8 * SIM_SECOND);
        break;
    case FAULT_DISK_SYNC: d->sync_fails = sim_chance(0.5) ? 0.02 : 0.5; break;
    default: d->free_bytes = sim_chance(0.6) ? sim_below(64 << 20) : 0; break;
    }
}

/* The sync takes 30 ms: some of what the machine says meanwhile arrives before its power goes. */
static void cut_doomed(struct sim_timer *t) {
    struct undo *u = container_of(t, struct undo, timer);
    machine_power_cut(cluster_machine(u->machine));
    undo_after(FAULT_POWER_SYNC, u->machine, sim_around(SIM_SECOND));
}

static void doomed(struct disk *d) {
    int i = 0;
    while (cluster_machine(i)->disk != d) i++;
    undo_after(FAULT_POWER_SYNC, i, sim_below(30 * SIM_MS));
    for (int k = 0; k < UNDO_MAX; k++) {
        struct undo *u = &plan.undos[k];
        if (u->timer.place != 0 && u->fault == FAULT_POWER_SYNC && u->machine == i)
            u->timer.fire = cut_doomed;
    }
}

static void do_fault(enum fault f) {
    int who = (int)sim_below((uint64_t)cluster_size());
    if (sim_chance(0.3) && operator_leader() >= 0) who = operator_leader();
    struct machine *m = cluster_machine(who);
    uint64_t lasts = sim_chance(0.7) ? sim_around(2 * SIM_SECOND) : sim_around(15 * SIM_SECOND);
    plan.counts[f]++;
    sim_log("-- %s (n%d) for %.3f s", names[f], who + 1, (double)lasts / SIM_SECOND);
    world_mix(f * 31 + (unsigned)who);
    switch (f) {
    case FAULT_KILL: machine_kill(m); break;
    case FAULT_STOP: machine_stop(m); return;
    case FAULT_POWER: machine_power_cut(m); break;
    case FAULT_POWER_SYNC: m->disk->doomed = doomed; return;
    case FAULT_POWER_ALL:
        for (int i = 0; i < cluster_size(); i++) {
            machine_power_cut(cluster_machine(i));
            undo_after(f, i, sim_around(3 * SIM_SECOND));
        }
        return;
    case FAULT_PAUSE: machine_pause(m); break;
    case FAULT_CUT: cut_in_two(); break;
    case FAULT_ONE_WAY: silence(who); break;
    case FAULT_RING: ring(); break;
    case FAULT_CLOG: clog_some(); break;
    case FAULT_LAG: lag(operator_leader() >= 0 ? operator_leader() : who); break;
    case FAULT_LOSS: lose(); break;
    case FAULT_FRAMES: shuffle_frames(); break;
    case FAULT_DISK_SLOW:
    case FAULT_DISK_STALL:
    case FAULT_DISK_SYNC:
    case FAULT_DISK_FULL: set_disk(m, f); break;
    case FAULT_CLOCK_JUMP: {
        int64_t us = (int64_t)sim_around(sim_chance(0.5) ? 100 * SIM_MS : 60 * SIM_SECOND);
        machine_jump(m, sim_chance(0.5) ? us : -us);
        return;
    }
    case FAULT_CLOCK_DRIFT: machine_drift(m, 1 + ((double)sim_below(2001) - 1000) / 20000.0); break;
    case FAULT_TRANSFER: operator_transfer(); return;
    case FAULT_REPLACE:
    case FAULT_LOST: operator_replace(who, f == FAULT_LOST); return;
    case FAULT_GROW: operator_grow(); return;
    case FAULT_ROT: operator_rot(who); return;
    case FAULT_KINDS: break;
    }
    undo_after(f, who, lasts);
}

static void next_fault(struct sim_timer *t) {
    if (plan.hostile) {
        enum fault f = (enum fault)sim_below(FAULT_KINDS);
        for (int tries = 0; !has(f) && tries < 200; tries++) f = (enum fault)sim_below(FAULT_KINDS);
        if (has(f)) do_fault(f);
    }
    sim_timer_set(t, world_now_us() + sim_around(plan.mean_us), next_fault);
}

void plan_begin(uint32_t faults, uint32_t never) {
    memset(&plan, 0, sizeof plan);
    plan.mean_us = sim_between(200, 4000) * SIM_MS;
    plan.faults = faults;
    if (faults == 0) { /* a run with few kinds finds what one with all of them drowns */
        double density = sim_chance(0.3) ? 0.15 : 0.5;
        for (int f = 0; f < FAULT_KINDS; f++)
            if (sim_chance(density)) plan.faults |= 1u << f;
    }
    plan.faults &= ~never;
    uint64_t delay = sim_chance(0.7) ? sim_between(50, 1000) : sim_between(1000, 50000);
    for (int a = 0; a < HOSTS_MAX; a++)
        for (int b = 0; b < HOSTS_MAX; b++) network_link(a, b)->delay_us = delay;
    sim_timer_set(&plan.next, world_now_us() + sim_around(plan.mean_us), next_fault);
}

void plan_hostile(bool on) {
    plan.hostile = on;
}

void plan_repair(void) {
    plan.hostile = false;
    for (int i = 0; i < UNDO_MAX; i++) sim_timer_cancel(&plan.undos[i].timer);
    heal_links();
    calm_links();
    for (int i = 0; i < cluster_size(); i++) {
        struct machine *m = cluster_machine(i);
        disk_well(m);
        m->disk->doomed = NULL;
        machine_drift(m, 1);
        machine_resume(m);
        /* RocksDB takes no further file after a failed one until it is opened again (storage/kv.c). A member of a cluster
         * ends by itself then, so that it is; one that is alone goes on serving reads until somebody restarts it. */
        if (m->disk->ingest_failed && cluster_founders() == 1) machine_kill(m);
        if (operator_works_at(i)) continue;
        machine_power_on(m);
        machine_start(m);
    }
}

void plan_end(void) {
    sim_timer_cancel(&plan.next);
    for (int i = 0; i < UNDO_MAX; i++) sim_timer_cancel(&plan.undos[i].timer);
}
