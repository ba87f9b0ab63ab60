/* See operator.h. A replacement's life; at each step the operator asks again until it is done (a machine that is added
 * begins with JOINING, one whose disk rots with ROTTING):
 *
 *   ROTTING --some time--> REMOVING
 *   REMOVING --the configuration has forgotten the node--> new disk, --join --> JOINING --the new node is a voter--> idle
 */
#include "operator.h"

#include "clients.h"
#include "cluster.h"
#include "observe.h"

#include <inttypes.h>
#include <stdio.h>

enum { LOOK_US = 300 * SIM_MS, ASK_AGAIN_US = 2 * SIM_SECOND, JOIN_WITHIN_US = 20 * SIM_SECOND };

static struct {
    struct question *transfer, *question;
    struct sim_timer timer;
    enum work { NOTHING, ROTTING, REMOVING, JOINING } state;
    int machine;
    uint64_t old_id, asked_us, joining_since_us, rotting_until_us, replaced;
} operator;

int operator_leader(void) {
    return observe_leader();
}

/* --- leadership --- */

static void transferred(void *arg, const char *reply) {
    (void)arg;
    operator.transfer = NULL;
    sim_log("operator: transfer: %s", reply ? reply : "(no answer)");
}

void operator_transfer(void) {
    static const struct slice words[] = {{"RAFT.TRANSFER_LEADER", 20}};
    int to = operator_leader();
    if (operator.transfer != NULL || to<0) return;
    operator.transfer = ask(OPERATOR_HOST, to, 3 * SIM_SECOND, 1, words, transferred, NULL);
}

/* --- replacing --- */

static void removed(void *arg, const char *reply) {
    (void)arg;
    operator.question = NULL;
    sim_log("operator: removal of %016" PRIx64 ": %s", operator.old_id, reply ? reply : "(no answer)");
}

static void ask_for_removal(void) {
    char name[20];
    int leader = operator_leader();
    if (operator.question != NULL || leader<0 || world_now_us() < operator.asked_us) return;
    operator.asked_us = world_now_us() + ASK_AGAIN_US;
    snprintf(name, sizeof name, "%016" PRIx64, operator.old_id);
    struct slice words[] = {SLICE("RAFT.NODE"), SLICE("REMOVE"), slice_of(name)};
    operator.question = ask(OPERATOR_HOST, leader, ASK_AGAIN_US, 3, words, removed, NULL);
}

static void begin_joining(struct machine *m) {
    machine_wipe(m);
    m->joins = true;
    machine_power_on(m);
    operator.state = JOINING;
    operator.joining_since_us = world_now_us();
}

static void look(struct sim_timer *t) {
    struct machine *m = cluster_machine(operator.machine);
    if (operator.state == ROTTING) {
        if (world_now_us() >= operator.rotting_until_us) operator.state = REMOVING;
    } else if (operator.state == REMOVING && observe_is_member(operator.old_id)) {
        ask_for_removal();
    } else if (operator.state == REMOVING) {
        begin_joining(m);
    } else if (m->node_id != operator.old_id && observe_is_voter(m->node_id)) {
        sim_log("operator: %s has joined", m->name);
        operator.state = NOTHING;
        operator.replaced++;
        return;
    } else if (world_now_us() - operator.joining_since_us> JOIN_WITHIN_US && !observe_is_member(m->node_id)) {
        /* Let in by a leader that was none for long, say: the next node of this machine tries. */
        sim_log("operator: %s is not let in, and tries as a new node", m->name);
        begin_joining(m);
    } else {
        machine_power_on(m);
        machine_start(m);
    }
    sim_timer_set(t, world_now_us() + LOOK_US, look);
}

static bool is_replaceable(const struct machine *m) {
    return operator.state == NOTHING && cluster_size() >= 3 && m->node_id != 0 &&
           observe_is_voter(m->node_id);
}

static void begin(enum work state, const struct machine *m) {
    operator.state = state;
    operator.machine = m->host;
    operator.old_id = m->node_id;
    operator.asked_us = 0;
    sim_timer_set(&operator.timer, world_now_us() + LOOK_US, look);
}

void operator_replace(int machine, bool lost_first) {
    struct machine *m = cluster_machine(machine);
    if (!is_replaceable(m)) return;
    sim_log("operator: replaces %s, %016" PRIx64 "%s", m->name, m->node_id,
            lost_first ? ", whose disk is lost" : "");
    begin(REMOVING, m);
    if (lost_first) machine_wipe(m);
}

void operator_grow(void) {
    if (operator.state != NOTHING) return;
    struct machine *m = cluster_grow();
    if (m == NULL) return;
    sim_log("operator: %s is new", m->name);
    begin(JOINING, m);
    begin_joining(m);
}

void operator_rot(int machine) {
    struct machine *m = cluster_machine(machine);
    char what[200];
    if (!is_replaceable(m) || !disk_rot(m->disk, what, sizeof what)) return;
    sim_log("operator: %s, %016" PRIx64 ", has a bad disk: %s", m->name, m->node_id, what);
    m->rotten = true;
    begin(ROTTING, m);
    operator.rotting_until_us = world_now_us() +
        sim_between(1, 20) * SIM_SECOND; /* the end of a run waits for it */
}

bool operator_is_idle(char *why, unsigned long cap) {
    if (operator.state == NOTHING) return true;
    snprintf(why, cap, "%s is still %s",
             cluster_machine(operator.machine)->name, operator.state == JOINING ? "not let in" : "a member");
    return false;
}

bool operator_works_at(int machine) {
    return operator.state == REMOVING && operator.machine == machine && !cluster_machine(machine)->powered;
}

uint64_t operator_replaced(void) {
    return operator.replaced;
}

void operator_begin(void) {
    memset(&operator, 0, sizeof operator);
}

void operator_end(void) {
    if (operator.transfer != NULL) question_free(operator.transfer);
    if (operator.question != NULL) question_free(operator.question);
    sim_timer_cancel(&operator.timer);
    memset(&operator, 0, sizeof operator);
}
