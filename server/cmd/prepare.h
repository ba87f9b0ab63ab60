/* What a command that changes users looks like in the log: without passwords, which stand there as hashes, and without anything
 * a node would have to ask its own configuration or files for. The leader makes that from what the client sent, when nothing
 * of its connection is unanswered, so that what is wrong is told before the log.
 *
 *     ACL SETUSER bob >secret        ->  ACL SETUSER bob #2bb8...      (with `allchannels` where acl-pubsub-default says so)
 *     ACL LOAD                       ->  _USERS LOAD "" name rules ...
 *     CONFIG SET requirepass secret  ->  _REQUIREPASS SET 2bb8...
 *     DEBUG POPULATE 1000 key 20     ->  _POPULATE 1000 key 20            (of which only the leader has to allow DEBUG) */
#ifndef CMD_PREPARE_H
#define CMD_PREPARE_H

#include "acl_users.h"

struct prepared {
    const struct command *cmd; /* NULL: nothing was prepared */
    int argc;
    struct slice *argv; /* point into the items */
    struct buf *items;
    int cap;
};

/* It goes into the log in another form. */
bool cmd_is_prepared(const struct command *cmd, int argc, const struct slice *argv);
/* CONFIG SET that names requirepass: a write, whatever its row says. */
bool cmd_sets_requirepass(const struct command *cmd, int argc, const struct slice *argv);
/* CONFIG SET of one setting that only matters where the leader is. */
bool cmd_sets_leaders(const struct command *cmd, int argc, const struct slice *argv);
/* DEBUG POPULATE: a write as well. */
bool cmd_populates(const struct command *cmd, int argc, const struct slice *argv);
/* Into server->prepared. False after answering. `in_multi`: it is queued; whether it will succeed is seen at EXEC. */
MUST_USE bool cmd_prepare(struct server *s, struct session *session, const struct command *cmd, int argc,
                          const struct slice *argv, bool in_multi, struct reply *reply);
/* The command that a client has to say for this one to be in the log. */
const struct command *cmd_said_as(const struct command *cmd);
void prepared_free(struct prepared *p);
/* It asks for a change of users. */
bool cmd_asks_for_users(const struct command *cmd, int argc, const struct slice *argv);
/* Whether it changes users once it is applied: what its connection sends behind it waits. */
bool cmd_changes_users(const struct command *cmd);

/* All users of the table, as the arguments of _USERS SEED. */
void acl_prepare_seed(struct server *s, struct prepared *p);

/* cmd_acl.c */
MUST_USE bool acl_try_setuser(struct keyspace *ks, int argc, const struct slice *argv, struct acl_user *out,
                              struct reply *reply);
MUST_USE bool acl_has_file(const struct server *s, struct reply *reply); /* false after answering */

#endif
