/* A running node: it gives the Raft core hands, and is the only place that knows the right order of things.
 *
 *   a turn of the loop:  sockets read -> commands parsed -> gates -> writes encoded into the entry being filled
 *                        log thread done -> raft_step(stored) -> committed entries applied, replies written
 *                        end of turn: the entry proposed -> raft_step -> handed to the log thread; replies flushed
 *
 * README.md has the table of who owns what. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "config.h"

/* It ended well, but its databases are open: a snapshot is on its way into their place, and the next start completes it. */
enum { NODE_LEFT_OPEN = -1 };

/* Runs until SIGTERM, SIGINT or SHUTDOWN; returns the process's exit code, or NODE_LEFT_OPEN. `config` is taken over. */
int node_run(struct config *config, const char *executable, const char *config_file);

#endif
