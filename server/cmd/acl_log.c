/* See acl_log.h. */
#include "acl_log.h"

#include "cmd_client.h"
#include "mem.h"
#include "server.h"

enum {
    SAME_WITHIN_MS = 60000,
    LOOKED_THROUGH = 10, /* for an entry of the like */
    TEXT_MAX = 1024,     /* of a key's or a user's name */
};

static void entry_free(struct acl_log_entry *e) {
    buf_free(&e->object);
    buf_free(&e->username);
    buf_free(&e->client);
}

static void trim(struct acl_log *log, size_t most) {
    while (log->count > most) entry_free(&log->items[--log->count]);
}

void acl_log_clear(struct acl_log *log) {
    trim(log, 0);
    mem_free(log->items);
    *log = (struct acl_log){0};
}

static bool is_like(const struct acl_log_entry *a, const struct acl_log_entry *b) {
    int64_t apart_ms = a->at_ms > b->at_ms ? a->at_ms - b->at_ms : b->at_ms - a->at_ms;
    return a->reason == b->reason && a->context == b->context && apart_ms <= SAME_WITHIN_MS &&
           slice_eq(buf_slice(&a->object), buf_slice(&b->object)) &&
           slice_eq(buf_slice(&a->username), buf_slice(&b->username));
}

/* Takes the entry: to the front, or into one of the like, which comes to the front. */
static void add(struct acl_log *log, struct acl_log_entry e, size_t most) {
    size_t at = 0;
    while (at < log->count && at < LOOKED_THROUGH && !is_like(&log->items[at], &e)) at++;
    if (at < log->count && at < LOOKED_THROUGH) {
        e.count += log->items[at].count;
        entry_free(&log->items[at]);
    } else {
        if (log->count == log->cap) {
            log->cap = log->cap ? log->cap * 2 : 16;
            log->items = mem_realloc(log->items, log->cap * sizeof *log->items);
        }
        at = log->count++;
    }
    memmove(log->items + 1, log->items, at * sizeof *log->items);
    log->items[0] = e;
    trim(log, most);
}

static void log_entry(const struct cmd_ctx *c, struct acl_log_entry e, struct slice object,
                      struct slice username) {
    buf_add(&e.object, object.data, object.len < TEXT_MAX ? object.len : TEXT_MAX);
    buf_add(&e.username, username.data, username.len < TEXT_MAX ? username.len : TEXT_MAX);
    cmd_client_describe(c, c->session, &e.client);
    e.count = 1;
    e.at_ms = c->now_ms;
    add(&c->server->acl.log, e, (size_t)c->server->config.acllog_max_len);
}

void acl_log_denied(const struct cmd_ctx *c, enum acl_answer answer, int at, const struct acl_user *user,
                    enum acl_log_context context) {
    static const enum acl_log_reason reasons[] = {[ACL_DENIED_COMMAND] = ACL_LOG_COMMAND,
                                                  [ACL_DENIED_KEY] = ACL_LOG_KEY,
                                                  [ACL_DENIED_CHANNEL] = ACL_LOG_CHANNEL};
    char name[COMMAND_NAME_CAP];
    size_t len = command_full_name(c->cmd, name, sizeof name);
    CHECK(answer != ACL_ALLOWED);
    CHECK(at < c->argc);
    log_entry(c, (struct acl_log_entry){.reason = reasons[answer], .context = context},
              answer == ACL_DENIED_COMMAND ? slice_make(name, len) : c->argv[at], buf_slice(&user->name));
}

void acl_log_auth(const struct cmd_ctx *c, struct slice username) {
    bool in_multi = c->session->transaction.is_open;
    log_entry(c,
              (struct acl_log_entry){.reason = ACL_LOG_AUTH,
                                     .context = in_multi ? ACL_LOG_MULTI : ACL_LOG_TOPLEVEL},
              c->argv[0], username);
}
