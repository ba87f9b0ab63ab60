/* Writes that change nothing, as things are. The leader answers them as it answers reads, without an entry in the log: clients
 * ask empty queues all the time, and add what is there already. */
#ifndef CMD_CMD_NOTHING_H
#define CMD_CMD_NOTHING_H

#include "cmd.h"

/* Whether it surely changes nothing; handlers of such commands then touch nothing either. A key whose deadline is over is there
 * still: deleting it is a change. */
bool cmd_changes_nothing(const struct command *cmd, struct keyspace *ks, int db, int argc,
                         const struct slice *argv);

/* The commands' own parts. */
bool cmd_sadd_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv);
bool cmd_group_read_finds_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv);

#endif
