/* What befalls the cluster: which faults there are in this run, when, and to whom; all drawn from the seed. A run has
 * calm phases and hostile ones; after the last, everything is repaired. */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "cluster.h"

enum fault {
    FAULT_KILL,      /* kill -9, and a start */
    FAULT_STOP,      /* SIGTERM, and a start */
    FAULT_POWER,     /* one machine */
    FAULT_POWER_ALL, /* all at once */
    FAULT_POWER_SYNC, /* one machine, while a sync of its disk is under way and what it says meanwhile is heard */
    FAULT_PAUSE,      /* the process stands still */
    FAULT_CUT,        /* two sides that do not hear each other */
    FAULT_ONE_WAY, /* one that is not heard, or does not hear */
    FAULT_RING,    /* each hears only some */
    FAULT_CLOG,    /* links become slow */
    FAULT_LAG,     /* what the leader says, or hears, is older than a time-out or two */
    FAULT_LOSS,    /* links lose segments */
    FAULT_FRAMES,  /* peer links drop, copy and reorder frames */
    FAULT_DISK_SLOW,
    FAULT_DISK_STALL,
    FAULT_DISK_SYNC, /* a sync fails */
    FAULT_DISK_FULL,
    FAULT_CLOCK_JUMP,
    FAULT_CLOCK_DRIFT,
    FAULT_TRANSFER, /* leadership is moved */
    FAULT_REPLACE,  /* a node is taken out, and its machine joins as a new one */
    FAULT_LOST,     /* a disk is lost, and its machine replaced */
    FAULT_GROW,     /* a machine more joins */
    FAULT_ROT,      /* a bit or a row of a disk rots; after a while its machine is replaced */
    FAULT_KINDS
};

const char *fault_name(enum fault f);
/* `faults`: a bit for each that may occur; 0: chance decides which. */
void plan_begin(uint32_t faults, uint32_t never);
void plan_end(void);
void plan_hostile(bool on); /* calm: faults end by themselves, no new ones begin */
void plan_repair(void);     /* everything works, everybody is up */
uint32_t plan_faults(void);
uint64_t plan_count(enum fault f);

#endif
