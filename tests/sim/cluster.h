/* Machines: a disk, clocks, a place in the network, and at most one process, the server. What happens to machines is
 * decided elsewhere (plan.c); here it is done. */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "disk.h"
#include "network.h"

enum { MACHINES_MAX = 12, CLIENT_PORT = 6379, PEER_PORT = 16379 };

struct machine {
    int host;
    char name[16];
    struct disk *disk;
    struct process *process; /* NULL: none runs */
    bool joins;              /* as a new node, to the cluster that is there */
    bool rotten;             /* its disk has lost bits; until it gets a new one */
    uint64_t power_cuts;
    bool powered, restarts; /* restarts: a supervisor starts the process again when it ends */
    struct sim_timer restart;
    uint64_t starts;

    /* Its clocks: monotonic = at + what the world's clock went on since, times rate; wall = monotonic + offset. */
    uint64_t anchor_world_us, anchor_mono_us;
    double rate;
    int64_t wall_offset_us;

    /* What observe.c found in the running process. */
    struct raft *raft;
    struct keyspace *ks;
    uint64_t node_id;
};

struct cluster_options {
    int machines;         /* that found it; more may come */
    const char *args[24]; /* of every server, besides where it lives and listens; NULL-terminated */
};

void cluster_begin(const struct cluster_options *options);
void cluster_end(void);
int cluster_size(void);
int cluster_founders(void);
struct machine *cluster_grow(void); /* one more, without a process; NULL: there are enough */
struct machine *cluster_machine(int i);

void machine_start(struct machine *m);     /* a server, if none runs and there is power */
void machine_kill(struct machine *m);      /* kill -9: the page cache stays */
void machine_stop(struct machine *m);      /* SIGTERM */
void machine_power_cut(struct machine *m); /* off: what was not synced may be gone */
void machine_power_on(struct machine *m);
void machine_wipe(struct machine *m); /* off, and a new disk */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
void machine_jump(struct machine *m, int64_t us);   /* its wall clock is set */
void machine_drift(struct machine *m, double rate); /* its clocks go so fast from now on */
void machine_restart_after(struct machine *m, uint64_t us);

#endif
