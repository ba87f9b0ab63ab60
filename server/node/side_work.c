/* What a leader does on its loop for somebody who is far behind: reading old entries from the log, reading and sending a
 * snapshot. It gets as much of a turn as the rest of the last turn took, so that clients keep half of the loop at least; never so
 * much that this node would be heard or answer too late; and never nothing. An idle loop turns at once again, so there it
 * costs no speed. */
#include "node_internal.h"

enum { LEAST_US = 1000, MOST_US = 10000 };

void side_work_turn(struct node *n) {
    struct side_work *w = &n->side_work;
    if (w->spent_us == 0) {
        *w = (struct side_work){.budget_us = LEAST_US};
        return;
    }
    /* The thread's own time: how long it waited for something to do, or for the processor, says nothing. */
    uint64_t cpu_us = thread_cpu_us(), passed_us = w->cpu_us != 0 ? cpu_us - w->cpu_us : 0;
    uint64_t others_us = passed_us > w->spent_us ? passed_us - w->spent_us : 0;
    w->budget_us = others_us < LEAST_US ? LEAST_US : others_us > MOST_US ? MOST_US : others_us;
    w->cpu_us = cpu_us;
    w->spent_us = 0;
}

bool side_work_is_due(const struct node *n) {
    return n->side_work.spent_us < n->side_work.budget_us;
}

uint64_t side_work_begin(void) {
    return mono_us();
}

/* A microsecond at least, or work that is too quick to be seen would never end. */
void side_work_end(struct node *n, uint64_t began_us) {
    n->side_work.spent_us += mono_us() - began_us + 1;
}
