/* Rules of Raft that hold at every step of every core. What breaks one of them need not do harm in this run: a message that left too
 * soon matters only if the power goes just then. So the rules themselves are watched, besides what follows from them (observe.c). */
#ifndef SIM_RULES_H
#define SIM_RULES_H

#include "cluster.h"
#include "raft.h"

/* What is known of the world and of this machine as the step is made. */
struct rules_facts {
    uint64_t committed;   /* the highest index that anybody knew to be committed before it */
    uint64_t applied;     /* by this node's state */
    uint64_t stored_term; /* on its disk */
    uint64_t stored_vote; /* in that term; 0: none */
    uint64_t stored_last; /* the last entry on its disk */
};

void rules_begin(void);
void rules_end(void);
void rules_node_begins(const struct machine *m, const struct raft_config *config);
void rules_node_gone(const struct machine *m);
/* A node's vote is on its disk, for good. */
void rules_vote_stored(uint64_t node_id, uint64_t term, uint64_t vote);
void rules_step(const struct machine *m, const struct raft_event *event, const struct raft_update *up,
                const struct raft *r, const struct rules_facts *facts);

#endif
