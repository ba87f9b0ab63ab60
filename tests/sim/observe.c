/* See observe.h. */
#include "observe.h"

void observe_begin(void) {}
void observe_end(void) {}
void observe_process_gone(struct machine *m) {
    (void)m;
}
void observe_wiped(struct machine *m) {
    (void)m;
}
int observe_leader(void) {
    return -1;
}
uint64_t observe_entries(void) {
    return 0;
}
bool observe_settled(char *why, size_t cap) {
    (void)why, (void)cap;
    return true;
}
