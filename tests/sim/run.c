/* See run.h.
 *
 *   form -> (calm | hostile)* -> repair -> everybody is served again -> clients stop -> all nodes equal -> history checked
 */
#include "run.h"

#include "clients.h"
#include "cluster.h"
#include "history.h"
#include "mem.h"
#include "observe.h"
#include "operator.h"
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    FORM_WITHIN_US = 30 * SIM_SECOND,
    SERVED_WITHIN_US =
        60 * SIM_SECOND, /* after repair: the back-off of supervisors and links, then an election or some */
    SETTLED_WITHIN_US = 30 * SIM_SECOND, /* nodes catch up, write back, and have equal data */
    LOOK_US = 100 * SIM_MS,
    CLIENT_HOSTS_FROM = MACHINES_MAX,
};

static const struct run_options *now_running;

static void tell_replay(void) {
    char more[100] = "";
    int at = 0;
    observe_tell();
    if (now_running->verbose) network_tell();
    if (now_running->machines != 0)
        at += snprintf(more + at, sizeof more - (size_t)at, " --machines %d", now_running->machines);
    if (now_running->faults != 0)
        at += snprintf(more + at, sizeof more - (size_t)at, " --faults 0x%x", now_running->faults);
    if (now_running->never != 0)
        at += snprintf(more + at, sizeof more - (size_t)at, " --never 0x%x", now_running->never);
    if (now_running->seconds != 0)
        snprintf(more + at, sizeof more - (size_t)at, " --seconds %" PRIu64, now_running->seconds);
    sim_tell("replay with: sim --verbose --seed %" PRIu64 "%s\n", now_running->seed, more);
}

/* --- the cluster --- */

static void set(struct cluster_options *o, const char *name, const char *value) {
    size_t at = 0;
    while (o->args[at] != NULL) at++;
    CHECK(at + 3 <= sizeof o->args / sizeof *o->args);
    o->args[at] = name;
    o->args[at + 1] = value;
}

static const char *one_of(const char *a, const char *b, const char *c) {
    uint64_t which = sim_below(3);
    return which == 0 ? a : which == 1 ? b : c;
}

/* Small bounds, so that what happens once an hour in the world happens every second here. */
static void choose_options(struct cluster_options *o, int machines) {
    *o = (struct cluster_options){.machines = machines};
    set(o, "--writeback-seconds", one_of("1", "3", "30"));
    set(o, "--writeback-dirty-bytes", one_of("1kb", "100kb", "64mb"));
    set(o, "--maxmemory", one_of("0", "0", "3mb"));
    set(o, "--raft-log-segment", one_of("64kb", "256kb", "1mb"));
    set(o, "--raft-log-retain", one_of("0", "20kb", "64mb"));
    set(o, "--read-mode", one_of("read-index", "read-index", "lease"));
    set(o, "--cluster-enabled", one_of("no", "no", "yes"));
    set(o, "--cluster-secret", one_of("", "", "xyzzy"));
}

static int choose_machines(void) {
    static const int sizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7};
    return sizes[sim_below(sizeof sizes / sizeof *sizes)];
}

/* --- phases --- */

typedef bool condition_fn(char *why, size_t cap);

static void until(const char *what, uint64_t within_us, condition_fn *holds) {
    uint64_t end = world_now_us() + within_us;
    char why[400] = "";
    while (!holds(why, sizeof why)) {
        if (world_now_us() >= end)
            sim_fail("%s, not within %.0f s: %s", what, (double)within_us / SIM_SECOND, why);
        world_run_until(world_now_us() + LOOK_US);
    }
}

static uint64_t served_since;

static bool all_served(char *why, size_t cap) {
    return clients_served_since(served_since, why, cap);
}

static bool all_quiet(char *why, size_t cap) {
    snprintf(why, cap, "a client still waits");
    return clients_are_quiet();
}

static bool operator_done(char *why, size_t cap) {
    return operator_is_idle(why, cap);
}

static void serve(const char *what, uint64_t within_us) {
    served_since = world_now_us();
    until(what, within_us, all_served);
}

static void trouble(uint64_t seconds) {
    uint64_t end = world_now_us() + seconds * SIM_SECOND;
    bool hostile = true;
    while (world_now_us() < end) {
        plan_hostile(hostile);
        uint64_t phase =
            world_now_us() + (hostile ? sim_around(15 * SIM_SECOND) : sim_around(4 * SIM_SECOND));
        world_run_until(phase < end ? phase : end);
        hostile = !hostile;
    }
}

/* For the checker's own program, and for eyes. */
static void save_history(const struct history *h, const char *path) {
    struct buf text = {0};
    for (size_t i = 0; i < history_count(h); i++) history_write_op(history_op(h, i), &text);
    FILE *f = fopen(path, "w");
    if (f == NULL || fwrite(text.data, 1, text.len, f) != text.len) sim_fail("cannot write %s", path);
    fclose(f);
    buf_free(&text);
}

static void check_history(const struct history *h, struct run_result *result) {
    if (now_running->history_path != NULL) save_history(h, now_running->history_path);
    struct buf why = {0};
    enum history_verdict verdict = history_check(h, &why);
    buf_add_byte(&why, '\0');
    if (verdict == HISTORY_NOT_LINEARIZABLE)
        sim_fail("the clients' history cannot be explained:\n%s", why.data);
    result->undecided = verdict == HISTORY_UNDECIDED;
    buf_free(&why);
}

static void live(const struct run_options *options, struct history *h, struct run_result *result) {
    for (int i = 0; i < cluster_size(); i++) machine_start(cluster_machine(i));
    struct clients_options clients = {.count = (int)sim_between(2, 8),
                                      .first_host = CLIENT_HOSTS_FROM,
                                      .keys = (int)sim_between(2, 10),
                                      .key_life_us = sim_between(3, 15) * SIM_SECOND,
                                      .think_us = sim_between(20, 300) * SIM_MS,
                                      .rush_think_us = sim_between(3, 20) * SIM_MS,
                                      .rush_every_us = sim_between(3, 15) * SIM_SECOND,
                                      .rush_us = sim_chance(0.5) ? 0 : sim_between(200, 1500) * SIM_MS,
                                      .pipeline_max = sim_chance(0.5) ? 1 : 6,
                                      .patience_us = sim_between(1000, 8000) * SIM_MS,
                                      .moves = sim_chance(0.5) ? 0 : 0.05,
                                      .fillers = sim_chance(0.3) ? 0 : 0.15,
                                      .members = sim_chance(0.4) ? 1500 : 400,
                                      .transactions = sim_chance(0.4) ? 0 : 0.25,
                                      .watches = sim_chance(0.4) ? 0 : 0.15,
                                      .scripts = sim_chance(0.5) ? 0 : 0.25};
    clients_begin(&clients, h);
    serve("a new cluster serves", FORM_WITHIN_US);
    operator_begin();
    plan_begin(options->faults, options->never);
    trouble(options->seconds != 0 ? options->seconds : sim_between(10, 90));
    sim_log("-- everything is repaired");
    plan_repair();
    serve("after all faults, every client is served", SERVED_WITHIN_US);
    until("the operator's work is done", SERVED_WITHIN_US, operator_done);
    clients_pause();
    until("the last answers come", 10 * SIM_SECOND, all_quiet);
    until("all nodes have equal data", SETTLED_WITHIN_US, observe_settled);
    check_history(h, result);
    result->faults = plan_faults();
    plan_end();
    result->replaced = operator_replaced();
    operator_end();
    struct clients_stats stats = clients_stats();
    clients_end();
    result->operations = stats.started;
    result->answered = stats.answered;
    result->refused = stats.refused;
    result->unknown = stats.unknown;
    result->watched = stats.watched;
    for (int i = 0; i < cluster_size(); i++) result->starts += cluster_machine(i)->starts;
}

void run_seed(const struct run_options *options, struct run_result *result) {
    SIM_HEAP;
    now_running = options;
    *result = (struct run_result){0};
    sim_on_failure(tell_replay);
    sim_log_level(options->verbose);
    world_begin(options->seed);
    network_begin(HOSTS_MAX);
    network_peer_ports(PEER_PORT);
    struct cluster_options cluster;
    result->machines = options->machines != 0 ? options->machines : choose_machines();
    choose_options(&cluster, result->machines);
    cluster_begin(&cluster);
    observe_begin(options->trace);
    struct history *h = history_new();
    live(options, h, result);
    result->entries = observe_entries();
    result->terms = observe_terms();
    result->snapshots = observe_snapshots();
    struct network_stats network = network_stats();
    result->astray = network.dropped + network.copied + network.reordered;
    cluster_end();
    network_end();
    observe_end();
    history_free(h);
    result->simulated_us = world_now_us();
    result->steps = world_steps();
    result->digest = world_digest();
    world_end();
}
