/* See operator.h. */
#include "operator.h"

#include "clients.h"
#include "cluster.h"
#include "observe.h"

static struct question *asked;

int operator_leader(void) {
    return observe_leader();
}

static void transferred(void *arg, const char *reply) {
    (void)arg;
    asked = NULL;
    sim_log("operator: transfer: %s", reply ? reply : "(no answer)");
}

void operator_transfer(void) {
    static const struct slice words[] = {{"RAFT.TRANSFER_LEADER", 20}};
    int to = operator_leader();
    if (asked != NULL || to < 0) return;
    asked = ask(OPERATOR_HOST, to, 3 * SIM_SECOND, 1, words, transferred, NULL);
}

void operator_end(void) {
    if (asked != NULL) question_free(asked);
    asked = NULL;
}
