/* The gates of users: may this session give this command? What is denied stands in the ACL log. */
#ifndef CMD_ACL_GATE_H
#define CMD_ACL_GATE_H

#include "acl.h"
#include "cmd.h"
#include "session.h"

struct acl_refusal {
    char text[160];
};

enum acl_gate {
    ACL_GATE_OPEN,
    ACL_GATE_SHUT, /* the refusal says why */
    ACL_GATE_HOLD, /* on a node that does not lead: what is denied here may be allowed by what the leader knows already */
};

/* Nearly always: then nothing else need be asked. */
static inline bool acl_gate_is_open(const struct session *session, const struct command *cmd) {
    return session->user->is_unrestricted && session->denied_since_ms == 0 && !(cmd->flags & CMD_NO_AUTH);
}
enum acl_gate acl_gate(struct server *s, struct session *session, const struct command *cmd, int argc,
                       const struct slice *argv, int64_t now_ms, struct acl_refusal *refusal);
/* SORT's patterns name keys that nobody can check beforehand: NULL, or the error. */
const char *acl_denied_sort(const struct acl_user *user, const struct command *cmd, int argc,
                            const struct slice *argv);
/* Asked again at EXEC: false after writing the error in place of the command's reply. */
MUST_USE bool acl_gate_at_exec(struct server *s, struct session *session, const struct command *cmd, int argc,
                               const struct slice *argv, int64_t now_ms, struct reply *reply);

#endif
