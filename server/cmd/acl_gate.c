/* See acl_gate.h. The texts are Redis's. */
#include "acl_gate.h"

#include "handlers.h"
#include "server.h"

#include <stdio.h>

enum { CATCH_UP_MS = 200 };

/* A node that does not lead hears of users later than clients may: it looks again before it says no. */
static bool may_change_yet(struct server *server, struct session *session, int64_t now_ms) {
    if (server->leadership != LEADERSHIP_THERE) return false;
    if (session->denied_since_ms == 0) session->denied_since_ms = now_ms > 0 ? now_ms : 1;
    session->denied_change = server->acl.changes;
    return now_ms - session->denied_since_ms < CATCH_UP_MS;
}

/* The command that was denied a moment ago, and nothing has changed: a wrong password is not hashed at every turn. */
static bool is_still_denied(const struct server *s, const struct session *session, int64_t now_ms) {
    return session->denied_since_ms != 0 && session->denied_change == s->acl.changes &&
           now_ms - session->denied_since_ms < CATCH_UP_MS;
}

const char *acl_denied_sort(const struct acl_user *user, const struct command *cmd, int argc,
                            const struct slice *argv) {
    if (cmd->fn != cmd_sort && cmd->fn != cmd_sort_ro) return NULL;
    for (int i = 2; i + 1 < argc; i++) {
        bool is_by = slice_is(argv[i], "by"), is_get = slice_is(argv[i], "get");
        bool names_keys = is_get || (is_by && argv[i + 1].len > 0 &&
                                     memchr(argv[i + 1].data, '*', argv[i + 1].len) != NULL);
        if (names_keys && !acl_reads_all_keys(user, cmd, argc, argv))
            return is_by ? "ERR BY option of SORT denied due to insufficient ACL permissions."
                         : "ERR GET option of SORT denied due to insufficient ACL permissions.";
        if (is_by || is_get || slice_is(argv[i], "store"))
            i++;
        else if (slice_is(argv[i], "limit"))
            i += 2;
    }
    return NULL;
}

static void say(struct acl_refusal *refusal, const struct command *cmd, enum acl_answer answer) {
    char name[COMMAND_NAME_CAP];
    command_full_name(cmd, name, sizeof name);
    if (answer == ACL_DENIED_COMMAND)
        snprintf(refusal->text, sizeof refusal->text,
                 "NOPERM this user has no permissions to run the '%s' command", name);
    else
        snprintf(refusal->text, sizeof refusal->text,
                 "NOPERM this user has no permissions to access one of the %s used as arguments",
                 answer == ACL_DENIED_KEY ? "keys" : "channels");
}

static void log_denied(struct server *s, struct session *session, const struct command *cmd, int argc,
                       const struct slice *argv, int64_t now_ms, enum acl_answer answer, int at,
                       enum acl_log_context context) {
    struct cmd_ctx c = {.cmd = cmd,
                        .argc = argc,
                        .argv = argv,
                        .server = s,
                        .session = session,
                        .db = session->db,
                        .now_ms = now_ms};
    acl_log_denied(&c, answer, at, session->user, context);
}

static enum acl_gate ask(struct server *s, struct session *session, const struct command *cmd, int argc,
                         const struct slice *argv, int64_t now_ms, struct acl_refusal *refusal) {
    int at = 0;
    enum acl_answer answer = acl_check(session->user, cmd, argc, argv, &at);
    const char *sort = answer == ACL_ALLOWED ? acl_denied_sort(session->user, cmd, argc, argv) : NULL;
    bool is_denied = answer != ACL_ALLOWED || sort != NULL;
    if (is_denied && may_change_yet(s, session, now_ms)) return ACL_GATE_HOLD;
    if (!is_denied) return ACL_GATE_OPEN;
    if (sort != NULL) {
        snprintf(refusal->text, sizeof refusal->text, "%s", sort);
        return ACL_GATE_SHUT;
    }
    log_denied(s, session, cmd, argc, argv, now_ms, answer, at,
               session->transaction.is_open ? ACL_LOG_MULTI : ACL_LOG_TOPLEVEL);
    say(refusal, cmd, answer);
    return ACL_GATE_SHUT;
}

/* The name and the password behind it, when the command says them. */
static bool find_credentials(const struct command *cmd, int argc, const struct slice *argv,
                             struct slice *name, struct slice *password) {
    int at = 0; /* of the password */
    if (cmd->fn == cmd_auth && argc <= 3) at = argc - 1;
    for (int i = 2; cmd->fn == cmd_hello && at == 0 && i + 2 < argc; i++)
        if (slice_is(argv[i], "auth")) at = i + 2;
    if (at == 0) return false;
    *name = at > 1 ? argv[at - 1] : SLICE("default");
    *password = argv[at];
    return true;
}

/* Likewise for who says a password that is not known yet. */
static bool awaits_user(struct server *s, struct session *session, const struct command *cmd, int argc,
                        const struct slice *argv, int64_t now_ms) {
    struct slice name, password;
    if (s->leadership != LEADERSHIP_THERE || !find_credentials(cmd, argc, argv, &name, &password))
        return false;
    return !acl_knows(acl_find(&s->acl, name), password) && may_change_yet(s, session, now_ms);
}

enum acl_gate acl_gate(struct server *s, struct session *session, const struct command *cmd, int argc,
                       const struct slice *argv, int64_t now_ms, struct acl_refusal *refusal) {
    enum acl_gate gate = ACL_GATE_OPEN;
    if (is_still_denied(s, session, now_ms)) return ACL_GATE_HOLD;
    if (!session->user->is_unrestricted) gate = ask(s, session, cmd, argc, argv, now_ms, refusal);
    if (gate == ACL_GATE_OPEN && cmd->flags & CMD_NO_AUTH && awaits_user(s, session, cmd, argc, argv, now_ms))
        gate = ACL_GATE_HOLD;
    if (gate != ACL_GATE_HOLD) session->denied_since_ms = 0;
    return gate;
}

bool acl_gate_at_exec(struct server *s, struct session *session, const struct command *cmd, int argc,
                      const struct slice *argv, int64_t now_ms, struct reply *reply) {
    static const char *const reasons[] = {
        [ACL_DENIED_COMMAND] = "no permission to execute the command or subcommand",
        [ACL_DENIED_KEY] = "no permission to touch the specified keys",
        [ACL_DENIED_CHANNEL] =
            "no permission to access one of the channels used as arguments to the command"};
    int at = 0;
    enum acl_answer answer = acl_check(session->user, cmd, argc, argv, &at);
    const char *sort = answer == ACL_ALLOWED ? acl_denied_sort(session->user, cmd, argc, argv) : NULL;
    if (answer == ACL_ALLOWED && sort == NULL) return true;
    if (sort != NULL) {
        reply_error(reply, sort);
        stats_error(&s->stats, reply->error_code);
        return false;
    }
    log_denied(s, session, cmd, argc, argv, now_ms, answer, at, ACL_LOG_MULTI);
    reply_errorf(
        reply,
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
        "This command is no longer allowed for the following reason: %s",
        reasons[answer]);
    stats_error(&s->stats, reply->error_code);
    return false;
}
