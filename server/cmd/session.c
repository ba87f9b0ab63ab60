/* See session.h and server.h: sessions enter and leave the registry. */
#include "monitor.h"
#include "server.h"

void session_open(struct server *s, struct session *session, int64_t now_ms) {
    session->id = s->next_session_id++;
    session->db = 0;
    session->resp = 2;
    session->user = NULL;
    session_set_user(session, s->acl.default_user, acl_is_open(&s->acl));
    session->denied_since_ms = 0;
    session->reply_mode = SESSION_REPLY_ON;
    transaction_init(&session->transaction);
    session->tracking = NULL;
    list_init(&session->redirects);
    subscriptions_init(&session->subscriptions);
    session->created_ms = session->last_command_ms = now_ms;
    session->last_command = NULL;
    list_push_back(&s->sessions, &session->link);
    s->session_count++;
}

void session_close(struct server *s, struct session *session) {
    CHECK(s->session_count > 0);
    list_unlink(&session->link);
    s->session_count--;
    transaction_free(s, &session->transaction);
    tracking_forget(s, session);
    pubsub_forget(s, session);
    monitor_end(s, session);
    feed_detach(s, session);
    buf_free(&session->name);
    buf_free(&session->lib_name);
    buf_free(&session->lib_version);
}

size_t session_memory(const struct session *s) {
    const struct transaction *t = &s->transaction;
    return s->name.cap + s->lib_name.cap + s->lib_version.cap + t->queue.cap + t->watch_bytes +
           s->subscriptions.bytes + tracking_memory(s);
}

struct session *session_by_id(const struct server *s, const struct session *asker, uint64_t id) {
    LIST_FOR_EACH(it, &s->sessions) {
        struct session *session = container_of(it, struct session, link);
        if (asker->forwarded != session->forwarded) continue;
        if (asker->forwarded && asker->there_node != session->there_node) continue;
        if (session_own_id(session) == id) return session;
    }
    return NULL;
}

bool session_set_name(struct session *session, struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < '!' || name.data[i] > '~') return false;
    }
    buf_clear(&session->name);
    buf_add_slice(&session->name, name);
    return true;
}
