/* The little language in which scripts and tests say what happens to a cluster: README.md describes it. */
#ifndef TESTS_RAFT_SCRIPT_H
#define TESTS_RAFT_SCRIPT_H

#include "cluster.h"

/* Runs commands, separated by ';' or line ends, on *c; `nodes` makes it anew. What happens is added to (*c)->text. A
 * command that makes no sense is printed and ends the process. */
void script_run(struct cluster **c, const char *text);

#endif
