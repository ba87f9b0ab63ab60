/* Who listens: what becomes of them when this node leads no more. */
#include "node_internal.h"

void node_drop_listeners(struct node *n) {
    LIST_FOR_EACH_SAFE(it, &n->server.sessions) {
        struct session *s = container_of(it, struct session, link);
        if (!subscriptions_any(&s->subscriptions) || s->subscriptions.is_local) continue;
        pubsub_forget(&n->server, s);
        conn_drain(conn_of_session(s));
    }
}
