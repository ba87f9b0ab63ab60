/* The random walk. Each seed first draws what kind of a life it will be (how many nodes, how bad the network, which
 * faults at all), then what happens next, again and again: different seeds exaggerate different things. */
#include "walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum action {
    DELIVER,
    DROP,
    DUPLICATE,
    STORE,
    WRITE,
    INSTALL,
    PASS,
    TICK,
    PROPOSE,
    READ,
    APPLY,
    CUT,
    CRASH,
    RESTART,
    PARTITION,
    BLOCK,
    HEAL,
    CAMPAIGN,
    TRANSFER,
    CHANGE,
    UNREACHABLE,
    JUMP,
    RETIRE,
    BREAK_INSTALL,
    SETTLE,
    PAUSE,
    RESUME,
    HOLD,
    RELEASE,
    BOUNCE,
    ACTIONS
};

/* How often each happens beside the others, in a life that has it at its normal rate. */
static const uint64_t usual[ACTIONS] = {
    [DELIVER] = 1500, [DROP] = 20,    [DUPLICATE] = 20,  [STORE] = 500, [WRITE] = 20,  [INSTALL] = 100,
    [PASS] = 90,      [TICK] = 10,    [PROPOSE] = 80,    [READ] = 30,   [APPLY] = 20,  [CUT] = 15,
    [CRASH] = 8,      [RESTART] = 25, [PARTITION] = 4,   [BLOCK] = 8,   [HEAL] = 10,   [CAMPAIGN] = 15,
    [TRANSFER] = 8,   [CHANGE] = 12,  [UNREACHABLE] = 5, [JUMP] = 2,    [RETIRE] = 1,  [BREAK_INSTALL] = 1,
    [SETTLE] = 2,     [PAUSE] = 3,    [RESUME] = 4,      [HOLD] = 6,    [RELEASE] = 8, [BOUNCE] = 2,
};

struct walker {
    struct cluster *c;
    struct rng rng;
    uint64_t weights[ACTIONS], weight_total;
    uint64_t disorder; /* how many of 100 deliveries are out of turn */
    uint64_t laziness; /* how many of 100 nodes apply late */
    uint64_t pass_us;  /* how much time passes at most, usually */
    uint64_t proposal_max;
    bool paused[CL_NODES_MAX + 1];                 /* the process stands still, its clock does not */
    bool held[CL_NODES_MAX + 1][CL_NODES_MAX + 1]; /* [from][to]: what is sent arrives later */
    struct walk_counts *counts;
};

static uint64_t below(struct walker *w, uint64_t bound) {
    return rng_below(&w->rng, bound);
}
static bool chance(struct walker *w, uint64_t of_hundred) {
    return below(w, 100) < of_hundred;
}

/* --- choosing whom --- */

static struct cl_node *choose(struct walker *w, bool (*fits)(const struct cl_node *n)) {
    struct cl_node *found[CL_NODES_MAX];
    size_t count = 0;
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        if (!w->paused[id] && fits(&w->c->nodes[id])) found[count++] = &w->c->nodes[id];
    }
    return count == 0 ? NULL : found[below(w, count)];
}
static bool is_up(const struct cl_node *n) {
    return n->up;
}
static bool is_down(const struct cl_node *n) {
    return n->exists && !n->up && !n->retired;
}
static bool is_leading(const struct cl_node *n) {
    return n->up && n->role == RAFT_LEADER;
}
static bool is_storing(const struct cl_node *n) {
    return n->up && n->store_count > 0;
}
static bool is_writing(const struct cl_node *n) {
    return n->up && n->store_count > n->written_count;
}
static bool is_installing(const struct cl_node *n) {
    return n->up && n->installing != NULL;
}
static bool is_behind(const struct cl_node *n) {
    return n->up && n->state.index < n->apply_index;
}

/* Somebody to ask for something: mostly one who thinks it leads. */
static struct cl_node *choose_server(struct walker *w) {
    struct cl_node *n = chance(w, 95) ? choose(w, is_leading) : NULL;
    return n != NULL || chance(w, 90) ? n : choose(w, is_up);
}

/* --- configurations --- */

static bool is_alive(void *arg, uint64_t id) {
    const struct cluster *c = arg;
    return id <= CL_NODES_MAX && !c->nodes[id].retired;
}

/* Whether nobody would miss a node for good: every configuration that may still come into force has its majorities. */
static bool all_have_quorums(struct cluster *c) {
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        const struct cl_node *n = &c->nodes[id];
        if (!n->exists) continue;
        const struct cl_log *logs[] = {&n->log, &n->disk.log};
        for (size_t l = 0; l < 2; l++) {
            for (size_t i = 0; i < logs[l]->count; i++) {
                const struct raft_members *m = logs[l]->items[i].members;
                if (m != NULL && !members_quorum(m, is_alive, c)) return false;
            }
        }
        const struct raft_members *m = n->disk.state.members;
        if (m != NULL && !members_quorum(m, is_alive, c)) return false;
        if (n->members != NULL && n->members->count > 0 && !members_quorum(n->members, is_alive, c))
            return false;
    }
    for (size_t i = 0; i < c->net_count; i++) {
        const struct raft_message *m = &c->net[i]->message;
        for (size_t e = 0; e < m->entry_count; e++) {
            if (m->entries[e].members != NULL && !members_quorum(m->entries[e].members, is_alive, c))
                return false;
        }
    }
    return true;
}

static void do_retire(struct walker *w) {
    struct cl_node *n = choose(w, is_up);
    if (n == NULL) return;
    n->retired = true;
    if (!all_have_quorums(w->c)) {
        n->retired = false;
        return;
    }
    say(w->c, "-- %" PRIu64 " is lost for ever\n", n->id);
    cluster_crash(w->c, n->id, 0);
    w->counts->retired++;
}

/* A configuration that differs in one to three seats. */
static bool draw_members(struct walker *w, const struct cl_node *leader, struct raft_members *out) {
    *out = (struct raft_members){0};
    for (size_t i = 0; i < leader->members->count; i++) {
        const struct raft_member *m = &leader->members->items[i];
        if (m->seat != RAFT_VOTER_OUT)
            members_put(out, m->id, m->seat == RAFT_VOTER ? RAFT_VOTER : RAFT_LEARNER);
    }
    for (uint64_t changes = 1 + below(w, 3); changes > 0; changes--) {
        uint64_t id = 1 + below(w, CL_NODES_MAX - 6);
        if (w->c->nodes[id].retired || out->count >= 8) {
            members_take(out, id);
            continue;
        }
        if (chance(w, 40)) {
            members_take(out, id);
        } else {
            members_put(out, id, chance(w, 30) ? RAFT_LEARNER : RAFT_VOTER);
        }
    }
    size_t voters = 0;
    for (size_t i = 0; i < out->count; i++) voters += out->items[i].seat == RAFT_VOTER;
    return voters >= 1 && voters <= 7 && members_quorum(out, is_alive, w->c);
}

static void do_change(struct walker *w) {
    struct cl_node *n = choose(w, is_leading);
    struct raft_members wanted;
    if (n == NULL || !draw_members(w, n, &wanted)) return;
    for (size_t i = 0; i < wanted.count; i++) {
        if (!w->c->nodes[wanted.items[i].id].exists) cluster_add(w->c, wanted.items[i].id);
    }
    say(w->c, "-- %" PRIu64 " changes the configuration\n", n->id);
    if (!cluster_change(w->c, n->id, &wanted)) w->counts->refusals++;
}

/* --- the network and the rest of the world --- */

static bool is_waiting(const struct walker *w, const struct cl_parcel *p) {
    return w->paused[p->to] || w->held[p->from][p->to];
}

/* The oldest that nothing holds back, or, out of turn, any such. */
static void do_deliver(struct walker *w) {
    struct cluster *c = w->c;
    if (c->net_count == 0) return;
    size_t at = chance(w, w->disorder) ? below(w, c->net_count) : 0;
    while (at < c->net_count && is_waiting(w, c->net[at])) at++;
    if (at < c->net_count) cluster_deliver(c, at);
    while (c->net_count > 200) cluster_drop(c, below(w, c->net_count));
}

/* Mostly a leader: it goes on believing what it believed. */
static struct cl_node *choose_victim(struct walker *w) {
    struct cl_node *n = chance(w, 70) ? choose(w, is_leading) : NULL;
    return n != NULL ? n : choose(w, is_up);
}

static void do_pause(struct walker *w) {
    struct cl_node *n = choose_victim(w);
    if (n == NULL) return;
    w->paused[n->id] = true;
    say(w->c, "-- %" PRIu64 " is paused\n", n->id);
}

static void do_resume(struct walker *w) {
    for (size_t id = 1; id <= CL_NODES_MAX; id++) {
        if (!w->paused[id] || chance(w, 30)) continue;
        w->paused[id] = false;
        say(w->c, "-- %zu goes on\n", id);
        /* It has slept, and does not know it: what it says first may be a lie. */
        if (w->c->nodes[id].up && chance(w, 50)) cluster_read(w->c, id);
    }
}

static void do_hold(struct walker *w) {
    struct cl_node *n = choose_victim(w);
    if (n == NULL) return;
    bool in = chance(w, 70), out = !in || chance(w, 50);
    for (size_t id = 1; id <= CL_NODES_MAX; id++) {
        w->held[id][n->id] |= in;
        w->held[n->id][id] |= out;
    }
    say(w->c, "-- what goes%s%s %" PRIu64 " is held up\n", in ? " to" : "", out ? " from" : "", n->id);
}

static void do_release(struct walker *w) {
    for (size_t a = 1; a <= CL_NODES_MAX; a++) {
        for (size_t b = 1; b <= CL_NODES_MAX; b++) w->held[a][b] &= chance(w, 20);
    }
    say(w->c, "-- what was held up goes on\n");
}

static void do_partition(struct walker *w) {
    uint64_t side[CL_NODES_MAX + 1];
    for (size_t i = 1; i <= CL_NODES_MAX; i++) side[i] = below(w, 2);
    for (size_t a = 1; a <= CL_NODES_MAX; a++) {
        for (size_t b = 1; b <= CL_NODES_MAX; b++) w->c->blocked[a][b] = side[a] != side[b];
    }
    say(w->c, "-- a partition\n");
}

static void do_block(struct walker *w) {
    struct cl_node *a = choose(w, is_up), *b = choose(w, is_up);
    if (a == NULL || b == NULL || a == b) return;
    w->c->blocked[a->id][b->id] = true;
    say(w->c, "-- nothing gets from %" PRIu64 " to %" PRIu64 "\n", a->id, b->id);
}

/* Some nodes do not notice at once: they are paused, or slow. */
static void do_pass(struct walker *w) {
    uint64_t us = below(w, chance(w, 5) ? 2 * w->c->options.election_us : w->pass_us);
    w->c->now_us += us;
    say(w->c, "-- %" PRIu64 " us pass\n", us);
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        if (!w->paused[id] && chance(w, 90)) cluster_tick(w->c, id);
    }
}

static void do_cut(struct walker *w) {
    struct cl_node *n = choose(w, is_up);
    if (n == NULL) return;
    cluster_flush(w->c, n->id);
    if (chance(w, 30)) return;
    uint64_t keep = below(w, 6);
    if (n->state.index <= n->log.mark_index + keep) return;
    say(w->c, "-- %" PRIu64 " cuts its log at %" PRIu64 "\n", n->id, n->state.index - keep);
    cluster_cut(w->c, n->id, n->state.index - keep);
}

static void do_crash(struct walker *w) {
    struct cl_node *n = choose(w, is_up);
    if (n == NULL) return;
    size_t kept = chance(w, 50) ? 0 : below(w, n->store_count + 1);
    say(w->c, "-- %" PRIu64 " crashes, %zu of %zu stores kept\n", n->id, kept, n->store_count);
    cluster_crash(w->c, n->id, kept);
    w->counts->crashes++;
}

static void restart(struct walker *w, struct cl_node *n) {
    say(w->c, "-- %" PRIu64 " restarts\n", n->id);
    n->is_lazy = chance(w, w->laziness);
    cluster_restart(w->c, n->id);
}

/* Power comes and goes: many at once, back at once, without what they remembered. */
static void do_bounce(struct walker *w) {
    struct cl_node *spared = choose_victim(w);
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        struct cl_node *n = &w->c->nodes[id];
        if (!n->up || n == spared || w->paused[id] || chance(w, 30)) continue;
        say(w->c, "-- %" PRIu64 " bounces\n", id);
        cluster_crash(w->c, id, below(w, n->store_count + 1));
        restart(w, n);
        w->counts->crashes++;
    }
    if (spared != NULL && chance(w, 50)) w->paused[spared->id] = true;
    struct cl_node *candidate = chance(w, 50) ? choose(w, is_up) : NULL;
    if (candidate != NULL) cluster_campaign(w->c, candidate->id);
}

static void do_transfer(struct walker *w) {
    struct cl_node *n = choose_server(w), *to = choose(w, is_up);
    if (n == NULL || to == NULL) return;
    say(w->c, "-- %" PRIu64 " hands over\n", n->id);
    if (cluster_transfer(w->c, n->id, chance(w, 20) ? 0 : to->id)) w->counts->transfers++;
}

static void step_unreachable(struct walker *w) {
    struct cl_node *n = choose(w, is_up), *peer = choose(w, is_up);
    if (n == NULL || peer == NULL || n == peer) return;
    cluster_step(w->c, n, (struct raft_event){.type = RAFT_EVENT_UNREACHABLE, .peer = peer->id});
}

static void do_settle(struct walker *w) {
    for (size_t id = 1; id <= CL_NODES_MAX; id++) {
        if (w->paused[id]) return;
    }
    cluster_settle(w->c);
}

static void act(struct walker *w, enum action action) {
    struct cluster *c = w->c;
    struct cl_node *n;
    switch (action) {
    case DELIVER: do_deliver(w); break;
    case DROP:
        if (c->net_count > 0) cluster_drop(c, below(w, c->net_count));
        break;
    case DUPLICATE:
        if (c->net_count > 0) cluster_duplicate(c, below(w, c->net_count));
        break;
    case STORE:
        if ((n = choose(w, is_storing)) != NULL) cluster_store(c, n->id, chance(w, 70) ? 1 : 1 + below(w, 8));
        break;
    case WRITE:
        if ((n = choose(w, is_writing)) != NULL) cluster_write(c, n);
        break;
    case INSTALL:
        if ((n = choose(w, is_installing)) != NULL) cluster_install(c, n->id);
        break;
    case PASS: do_pass(w); break;
    case TICK:
        if ((n = choose(w, is_up)) != NULL) cluster_tick(c, n->id);
        break;
    case PROPOSE:
        if ((n = choose_server(w)) != NULL && !cluster_propose(c, n->id, 1 + below(w, w->proposal_max))) {
            w->counts->refusals++;
        }
        break;
    case READ:
        if ((n = choose_server(w)) != NULL) cluster_read(c, n->id);
        break;
    case APPLY:
        if ((n = choose(w, is_behind)) != NULL) cluster_apply(c, n->id, 1 + below(w, 5));
        break;
    case CUT: do_cut(w); break;
    case CRASH: do_crash(w); break;
    case RESTART:
        if ((n = choose(w, is_down)) != NULL) restart(w, n);
        break;
    case PARTITION: do_partition(w); break;
    case BLOCK: do_block(w); break;
    case HEAL: cluster_heal(c); break;
    case CAMPAIGN:
        if ((n = choose(w, is_up)) != NULL) cluster_campaign(c, n->id);
        break;
    case TRANSFER: do_transfer(w); break;
    case CHANGE: do_change(w); break;
    case UNREACHABLE: step_unreachable(w); break;
    case JUMP:
        if (c->options.lease_us == 0 && (n = choose(w, is_up)) != NULL) {
            n->clock_offset_us += below(w, 3 * c->options.election_us);
        }
        break;
    case RETIRE: do_retire(w); break;
    case BREAK_INSTALL: c->install = chance(w, 50) ? INSTALL_CRASHES_BEFORE : INSTALL_CRASHES_AFTER; break;
    case SETTLE: do_settle(w); break;
    case PAUSE: do_pause(w); break;
    case RESUME: do_resume(w); break;
    case HOLD: do_hold(w); break;
    case RELEASE: do_release(w); break;
    case BOUNCE: do_bounce(w); break;
    case ACTIONS: break;
    }
}

/* --- the two halves of a life --- */

static struct cl_options draw_options(struct walker *w, uint64_t seed) {
    /* One draw a statement: compilers differ in which operand comes first. */
    struct cl_options o = cluster_defaults(1 + below(w, 6));
    if (chance(w, 40)) o.voters = 3;
    if (chance(w, 10)) o.voters = 7;
    if (o.voters < 5 && chance(w, 30)) o.learners = 1 + below(w, 2);
    o.seed = seed;
    if (chance(w, 40)) o.lease_us = o.election_us * 8 / 10;
    o.append_bytes_max = 1 + below(w, 200);
    o.inflight_count_max = 1 + below(w, 8);
    o.inflight_bytes_max = 1 + below(w, 1000);
    o.uncommitted_bytes_max = 1 + below(w, 3000);
    o.old_snapshots = chance(w, 50);
    return o;
}

static void draw_life(struct walker *w) {
    for (size_t i = 0; i < ACTIONS; i++) {
        /* A third of the faults are missing altogether, others come more often than usual. What ends a fault never is. */
        static const bool always[ACTIONS] = {
            [DELIVER] = true, [STORE] = true, [INSTALL] = true, [PASS] = true,   [PROPOSE] = true,
            [RESTART] = true, [HEAL] = true,  [RESUME] = true,  [RELEASE] = true};
        uint64_t scale = always[i] ? 1 + below(w, 3) : below(w, 3);
        if (chance(w, 10)) scale *= i == CAMPAIGN || i == BOUNCE ? 20 : 4;
        w->weights[i] = usual[i] * scale;
        w->weight_total += w->weights[i];
    }
    w->disorder = chance(w, 30) ? 0 : below(w, 100);
    w->laziness = chance(w, 60) ? 0 : below(w, 100);
    static const uint64_t heartbeats[] = {1, 2, 4, 10};
    w->pass_us = w->c->options.heartbeat_us * heartbeats[below(w, 4)];
    w->proposal_max = 1 + below(w, 100);
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        struct cl_node *n = &w->c->nodes[id];
        /* Clocks differ by at most a tenth: less than what lies between the lease and the time-out. */
        n->clock_ppm = (int64_t)below(w, 100000) - 50000;
        n->clock_offset_us = below(w, 1000000);
        if (n->up) n->is_lazy = chance(w, w->laziness);
    }
}

static void flush_trace(struct walker *w, const struct walk_options *o) {
    if (!o->trace) return;
    fwrite(w->c->text.data, 1, w->c->text.len, stdout);
    fflush(stdout);
    buf_clear(&w->c->text);
}

/* Most lives begin well: the more there is to lose. */
static void begin_well(struct walker *w) {
    cluster_campaign(w->c, 1 + below(w, w->c->options.voters));
    cluster_settle(w->c);
    struct cl_node *leader = cluster_leader(w->c);
    for (uint64_t count = below(w, 5); leader != NULL && count > 0; count--)
        cluster_propose(w->c, leader->id, 1);
}

static void go_wrong(struct walker *w, const struct walk_options *o) {
    if (chance(w, 80)) begin_well(w);
    uint64_t steps = 300 + below(w, 2700);
    if (chance(w, 1)) steps *= 20;
    for (; steps > 0; steps--) {
        uint64_t at = below(w, w->weight_total);
        size_t action = 0;
        for (; at >= w->weights[action]; action++) at -= w->weights[action];
        act(w, (enum action)action);
        flush_trace(w, o);
    }
}

static bool is_joint(const struct raft_members *m) {
    for (size_t i = 0; i < m->count; i++) {
        if (m->items[i].seat != RAFT_VOTER && m->items[i].seat != RAFT_LEARNER) return true;
    }
    return false;
}

static bool is_voter(const struct raft_members *m, uint64_t id) {
    for (size_t i = 0; i < m->count; i++) {
        if (m->items[i].id == id) return m->items[i].seat == RAFT_VOTER;
    }
    return false;
}

/* A leader that serves, everybody level with it, no read forgotten, no change half done. */
static bool is_well(struct walker *w, uint64_t wanted_commit) {
    struct cluster *c = w->c;
    struct cl_node *leader = cluster_leader(c);
    if (leader == NULL || !leader->readable || leader->commit_index < wanted_commit) return false;
    if (is_joint(leader->members) || leader->commit_index != clog_last(&leader->log)) return false;
    if (leader->read_count > 0 || !is_voter(leader->members, leader->id)) return false;
    for (size_t i = 0; i < leader->members->count; i++) {
        const struct cl_node *n = &c->nodes[leader->members->items[i].id];
        if (!n->retired && n->state.index != leader->commit_index) return false;
    }
    return true;
}

static void everybody_up(struct walker *w) {
    struct cluster *c = w->c;
    cluster_heal(c);
    c->install = INSTALL_WORKS;
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        struct cl_node *n = &c->nodes[id];
        if (n->exists && !n->up && !n->retired) restart(w, n);
        n->is_lazy = false;
        if (n->up) cluster_apply(c, id, SIZE_MAX);
    }
}

/* What is asked of a cluster: a read and a write; asked again when they were lost with the leader that took them. */
struct errand {
    uint64_t index, term; /* of the write; 0: not asked yet */
};

static void ask(struct walker *w, struct errand *e) {
    struct cluster *c = w->c;
    struct cl_node *leader = cluster_leader(c);
    if (leader == NULL || !leader->readable) return;
    bool is_lost = clog_term(&leader->log, e->index) != e->term && leader->log.mark_index < e->index;
    if (e->index != 0 && !is_lost) return;
    e->index = 0;
    cluster_read(c, leader->id);
    if (cluster_propose(c, leader->id, 1)) *e = (struct errand){clog_last(&leader->log), leader->term};
    cluster_settle(c);
}

static bool is_done(struct walker *w, const struct errand *e) {
    const struct cl_node *leader = cluster_leader(w->c);
    return e->index != 0 && leader != NULL && leader->readable && leader->commit_index >= e->index &&
           leader->read_count == 0;
}

_Noreturn static void give_up(struct walker *w, const struct walk_options *o, const char *what) {
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        if (w->c->nodes[id].exists) say_status(w->c, &w->c->nodes[id]);
    }
    flush_trace(w, o);
    cluster_violation(w->c, "%s", what);
}

enum { PATIENCE = 20 }; /* time-outs */

/* One node is cut off, wholly, in one direction, or from some; the others are a majority of every configuration, and all
 * connected. They get things done. */
static void limp(struct walker *w, const struct walk_options *o) {
    struct cluster *c = w->c;
    struct cl_node *n = choose_victim(w);
    if (n == NULL) return;
    n->retired = true;
    bool are_enough = all_have_quorums(c);
    n->retired = false;
    if (!are_enough) return;
    bool in = chance(w, 60), out = !in || chance(w, 60);
    uint64_t share = chance(w, 50) ? 100 : below(w, 100);
    for (size_t id = 1; id <= CL_NODES_MAX; id++) {
        bool is_cut = chance(w, share);
        c->blocked[id][n->id] = in && is_cut;
        c->blocked[n->id][id] = out && is_cut;
    }
    say(c, "-- what goes%s%s %" PRIu64 " gets lost, from or to %" PRIu64 " of 100\n", in ? " to" : "",
        out ? " from" : "", n->id, share);
    struct errand e = {0};
    uint64_t step = c->options.heartbeat_us / 2;
    for (uint64_t us = 0; us < PATIENCE * c->options.election_us; us += step) {
        flush_trace(w, o);
        cluster_pass(c, step);
        cluster_settle(c);
        ask(w, &e);
        if (is_done(w, &e)) return;
    }
    give_up(w, o, "a majority is connected and gets nothing done");
}

/* Nothing goes wrong any more: first everybody becomes level, without anything new to carry the news; then new things are
 * done, by everybody. */
static void recover(struct walker *w, const struct walk_options *o) {
    struct cluster *c = w->c;
    bool was_level = false;
    struct errand e = {0};
    uint64_t step = c->options.heartbeat_us / 2;
    for (uint64_t us = 0; us < PATIENCE * c->options.election_us; us += step) {
        flush_trace(w, o);
        cluster_pass(c, step);
        cluster_settle(c);
        was_level |= is_well(w, 0);
        if (was_level) ask(w, &e);
        if (is_done(w, &e) && is_well(w, e.index)) return;
    }
    give_up(w, o, "the cluster does not recover");
}

static void count(struct walker *w) {
    const struct cluster *c = w->c;
    struct walk_counts *k = w->counts;
    k->steps += c->steps;
    k->commits += c->commit_count;
    for (size_t term = 0; term < c->leader_cap; term++) k->terms += c->leaders[term] != 0;
    k->configurations += c->member_count;
    k->leases += c->lease_count;
    k->snapshots += c->install_count;
    for (uint64_t id = 1; id <= CL_NODES_MAX; id++) {
        k->reads_done += c->nodes[id].reads_done;
        k->reads_lost += c->nodes[id].reads_lost;
    }
    k->digest = k->digest * 31 + c->digest;
}

void walk(const struct walk_options *options, struct walk_counts *counts) {
    struct walker w = {.rng = {options->seed * UINT64_C(0x9e3779b97f4a7c15)}, .counts = counts};
    struct cl_options o = draw_options(&w, options->seed);
    o.trace = options->trace;
    o.strict = o.is_formed = true;
    w.c = cluster_new(&o);
    draw_life(&w);
    go_wrong(&w, options);
    say(w.c, "-- from now on nothing goes wrong\n");
    memset(w.paused, 0, sizeof w.paused);
    everybody_up(&w);
    if (chance(&w, 40)) limp(&w, options);
    everybody_up(&w);
    recover(&w, options);
    count(&w);
    cluster_free(w.c);
}
