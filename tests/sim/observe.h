/* Looks into the running servers at every step and stops the run when an invariant of Raft is broken. README.md lists
 * the invariants. The linker sends some of the calls between rooms through here (--wrap), so nothing is added to them:
 * each of the functions below does what its original does and then looks. */
#ifndef SIM_OBSERVE_H
#define SIM_OBSERVE_H

#include "cluster.h"

void observe_begin(bool tracing); /* tracing: Raft's messages and events go into the log */
void observe_end(void);
void observe_process_gone(struct machine *m);
void observe_wiped(struct machine *m);

/* In the configuration of the newest leader. */
bool observe_is_member(uint64_t node_id);
bool observe_is_voter(uint64_t node_id); /* and of both majorities */
int observe_leader(void);                /* the machine of the newest leader that runs; -1: none */
uint64_t observe_entries(void);          /* the highest index that anybody knows to be committed */
uint64_t observe_terms(void);            /* terms that had a leader */
uint64_t observe_snapshots(void);        /* installed */
void observe_tell(void);                 /* each node's standing, to standard output */
/* Every node that runs has applied what was committed, and has the same data. */
bool observe_settled(char *why, size_t cap);

#endif
