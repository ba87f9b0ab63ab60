/* The faults that hold at the moment: one shared file for a whole cluster, written by harness.py, mapped by every node's
 * faults.so and by the wire between the nodes. Little endian, and laid out alike in harness.py. */
#ifndef CLUSTER_FAULTS_H
#define CLUSTER_FAULTS_H

#include <stdatomic.h>
#include <stdint.h>

enum { FAULTS_NODES_MAX = 16 };

/* What the node's own machine does to it. All-zero: nothing. */
struct faults_node {
    /* Every sync of a file takes so much longer; lowering it frees those that hang. */
    _Atomic uint64_t sync_us;
    /* Clocks run faster by so many millionths, slower when negative; above -1000000. */
    _Atomic int64_t clock_ppm;
    _Atomic int64_t wall_us; /* the wall clock stands so far from the right time */
    uint64_t pad[5];
};

/* What the network does to bytes from one node to another. */
struct faults_link {
    /* 1: they stop on their way, and go on when it is 0 again, as TCP's do after a partition. */
    _Atomic uint32_t blocked;
    _Atomic uint32_t delay_us; /* they arrive later */
    /* Each change: what is on its way is lost, connections (of either's making) break. */
    _Atomic uint32_t resets;
    _Atomic uint32_t kb_per_s; /* how much gets through; 0: anything */
};

struct faults {
    char magic[8]; /* FAULTS_MAGIC, without its NUL */
    uint64_t node_count;
    struct faults_node nodes[FAULTS_NODES_MAX];
    struct faults_link links[FAULTS_NODES_MAX][FAULTS_NODES_MAX]; /* [from][to] */
};
#define FAULTS_MAGIC "RDFAULT1"
_Static_assert(sizeof(struct faults_node) == 64 && sizeof(struct faults_link) == 16 &&
                   sizeof(struct faults) ==
                       16 + 64 * FAULTS_NODES_MAX + 16 * FAULTS_NODES_MAX * FAULTS_NODES_MAX,
               "harness.py writes this layout");

/* Node `from` reaches the others at this address instead of 127.0.0.1, on their own ports: there sits the wire. */
#define FAULTS_WIRE_NET(from) (0x7f010001u + (((uint32_t)(from) + 1) << 8)) /* 127.1.(from + 1).1 */

#endif
