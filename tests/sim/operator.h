/* Who runs the cluster: moves leadership, and replaces machines, by the commands and in the order that an operator would
 * use. A machine is replaced by taking its node out of the cluster, giving it a new disk and letting it join as a new one;
 * either the node is taken out while it runs, or its disk was lost first, or has lost bits. Or one more machine joins. One
 * at a time: a wiped voter is a lost copy, and a bad disk may be one. */
#ifndef SIM_OPERATOR_H
#define SIM_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>

enum { OPERATOR_HOST = 23 };

void operator_begin(void);
void operator_end(void);
int operator_leader(void);    /* the machine of the newest leader that runs; -1: none */
void operator_transfer(void); /* asks it to hand over */
/* Begins to replace a machine, if nothing of the kind is under way. */
void operator_replace(int machine, bool lost_first);
/* Adds a machine, if nothing of the kind is under way: its node joins. */
void operator_grow(void);
/* Damages a disk, if nothing of the kind is under way; the operator learns of it sooner or later, and replaces the machine. */
void operator_rot(int machine);
bool operator_is_idle(char *why, unsigned long cap);
bool operator_works_at(int machine); /* nobody else starts or stops it */
uint64_t operator_replaced(void);

#endif
