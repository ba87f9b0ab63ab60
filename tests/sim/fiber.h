/* A thread of a simulated process, as a stack of its own that runs until it gives the CPU back. Only one runs at a
 * time, so nothing here is a race, and a process is killed by freeing its fibers where they stand. */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

#include <stdbool.h>

/* AddressSanitizer has to be told of stacks and to see every block of memory by itself. */
#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif

struct fiber;

struct fiber *sim_fiber_new(void (*run)(void *arg), void *arg);
void sim_fiber_free(struct fiber *f);   /* also one that has not ended; not the running one */
void sim_fiber_resume(struct fiber *f); /* from outside any fiber: until it yields or ends */
void sim_fiber_yield(void);             /* from within one */
bool sim_fiber_ended(const struct fiber *f);

#endif
