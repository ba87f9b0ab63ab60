/* Who runs the cluster: commands that move leadership and change who belongs to it, sent as an operator would. */
#ifndef SIM_OPERATOR_H
#define SIM_OPERATOR_H

enum { OPERATOR_HOST = 23 };

int operator_leader(void);    /* the machine of the newest leader that runs; -1: none */
void operator_transfer(void); /* asks it, or somebody else, to hand over */
void operator_end(void);

#endif
