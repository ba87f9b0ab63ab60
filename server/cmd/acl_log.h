/* What users were denied, the newest first: ACL LOG. A node's own, as the slowlog is. */
#ifndef CMD_ACL_LOG_H
#define CMD_ACL_LOG_H

#include "acl.h"

struct session;

enum acl_log_reason { ACL_LOG_COMMAND, ACL_LOG_KEY, ACL_LOG_CHANNEL, ACL_LOG_AUTH };
enum acl_log_context { ACL_LOG_TOPLEVEL, ACL_LOG_MULTI, ACL_LOG_LUA };

struct acl_log_entry {
    uint64_t count; /* of the like within a minute of each other */
    enum acl_log_reason reason;
    enum acl_log_context context;
    struct buf object, username, client;
    int64_t at_ms; /* the last time */
};

struct acl_log {
    struct acl_log_entry *items; /* the newest first */
    size_t count, cap;
};

void acl_log_clear(struct acl_log *log);
/* `answer` is acl_check's, `at` its index; `c` is the command that was denied, by whoever has the session. */
void acl_log_denied(const struct cmd_ctx *c, enum acl_answer answer, int at, const struct acl_user *user,
                    enum acl_log_context context);
/* A password that was wrong. */
void acl_log_auth(const struct cmd_ctx *c, struct slice username);

#endif
