/* Linearizable reads. A leader that is not the only voter may have been replaced without knowing it, so a read waits
 * until a majority has answered something that was sent after the read arrived (Raft thesis, 6.4). Connections whose next
 * command is a read are parked; at the end of a turn one round asks for all of them; when it is confirmed, everything
 * that had arrived before the round was begun may be read. With a lease, or alone, there is nothing to wait for. */
#include "node_internal.h"

bool node_may_read(struct node *n, const struct conn *c) {
    if (c->confirmed || n->lease_until_us == UINT64_MAX) return true;
    if (n->lease_until_us == 0 || n->server.config.read_mode != READ_MODE_LEASE) return false;
    /* The clock is asked again for each piece of input: the process may have been stopped in between, and another
     * leader may have taken over before this read was sent. */
    if (n->lease_looked_at != n->net.reads || !n->lease_now_known) {
        n->lease_looked_at = n->net.reads;
        n->lease_now_known = true;
        n->lease_now_us = boot_us();
    }
    return n->lease_now_us < n->lease_until_us;
}

/* It may have been held for something else before, and been offered its command again by its own output, say. */
void node_await_read(struct node *n, struct conn *c) {
    CHECK(!c->parked);
    list_unlink(&c->held_link);
    list_push_back(&n->read_waiters, &c->held_link);
}

/* Offered again, and sent where a leader is; who is parked once more goes to the end and waits for the next turn. */
static void unpark_all(struct list *parked) {
    size_t count = 0;
    LIST_FOR_EACH(it, parked) count++;
    for (; count > 0 && !list_empty(parked); count--) {
        struct conn *c = container_of(parked->next, struct conn, held_link);
        list_unlink(&c->held_link);
        conn_unpark(c, false);
    }
}

void node_start_reads(struct node *n) {
    if (list_empty(&n->read_waiters)) return;
    struct raft_event event = {.type = RAFT_EVENT_READ};
    struct raft_update up;
    if (node_ask(n, &event, &up) != RAFT_TAKEN) {
        unpark_all(&n->read_waiters);
        return;
    }
    while (!list_empty(&n->read_waiters)) {
        struct conn *c = container_of(n->read_waiters.next, struct conn, held_link);
        list_unlink(&c->held_link);
        list_push_back(&n->read_rounds, &c->held_link);
        c->read_id = up.read_id;
        c->covered = c->in.len;
    }
}

/* A connection may park again while it goes on, so only those that are here now are looked at. */
void node_finish_reads(struct node *n) {
    while (!list_empty(&n->read_rounds)) {
        struct conn *c = container_of(n->read_rounds.next, struct conn, held_link);
        if (c->read_id > n->read_done && c->read_id > n->read_lost) return;
        list_unlink(&c->held_link);
        conn_unpark(c, c->read_id <= n->read_done);
    }
}
