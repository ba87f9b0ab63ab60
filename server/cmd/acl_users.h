/* Who is a user of this server. Users are the same on all nodes of a cluster: each is a value of the replicated state
 * (storage/system.h), "user:NAME" with acl_describe's text, changed by applying entries only; the table here follows it. Until
 * the cluster has any user, the configuration's hold: requirepass, `user` lines, or the aclfile. README, "Users", has the rest.
 *
 * Sessions point at their user, whose rights change in place. A user that is deleted takes his sessions with him. */
#ifndef CMD_ACL_USERS_H
#define CMD_ACL_USERS_H

#include "acl.h"
#include "acl_log.h"

struct config;
struct server;
struct session;

struct acl {
    struct acl_user **items; /* by name, in byte order; "default" is always among them */
    size_t count, cap;
    struct acl_user *default_user; /* never another one */
    struct acl_user nobody;        /* in no table: may do nothing */
    uint64_t changes;              /* counts what was done to users */
    bool is_replicated;            /* they are the state's, not the configuration's */
    bool
        file_counts; /* requirepass of the file has not been overruled since this process began (acl_file_password) */
    struct acl_log log;
};

void acl_init(struct acl *a); /* the open default user */
void acl_free(struct acl *a);
struct acl_user *acl_find(const struct acl *a, struct slice name); /* NULL: there is none */
/* Nobody has to say a password. */
static inline bool acl_is_open(const struct acl *a) {
    return a->default_user->nopass && a->default_user->is_on;
}

/* There is the open default user, and nobody else. */
bool acl_is_plain(const struct acl *a);

/* --- the configuration's users --- */

/* Takes the users of the configuration: requirepass, then `user` lines or the aclfile. False, with a sentence in `error`. */
MUST_USE bool acl_take_config(struct server *s, char *error, size_t cap);
/* Where the aclfile is: from `dir`, when it says no more than a name. */
void acl_file_path(const struct config *config, struct buf *out);
/* Its content; what is wrong comes in `errors`. */
MUST_USE enum rc acl_read_file(struct server *s, struct buf *text, struct buf *errors);
/* An aclfile's text as users of their own, in *out (acl_free). False, with Redis's list of errors, when any line is wrong. */
MUST_USE bool acl_parse_file(struct acl *out, const char *path, struct slice text, bool pubsub_is_open,
                             struct buf *errors);
/* As acl-pubsub-default allchannels has it: what begins without rights (a new user, `reset`, a selector) begins with all
 * channels. Said in rules, so that what they mean depends on no node's configuration. */
void acl_rules_open_channels(struct acl_rules *rules, bool is_new);
/* A user as acl_describe wrote him. */
void acl_take_text(struct acl *a, struct slice name, struct slice text);
/* "user NAME rules" lines of all users. */
void acl_write_lines(const struct acl *a, struct buf *out);

/* --- the state's --- */

/* Another state took the place of the one there was, if any (start, snapshot): the table becomes what it says. */
void acl_state_replaced(struct server *s);
bool acl_state_has_users(struct keyspace *ks);
/* As the state has him; when the state has no users at all, the open default user. False: there is none of this name. */
MUST_USE bool acl_user_of_state(struct keyspace *ks, struct slice name, struct acl_user *out);
/* While applying an entry, whose clock is `now_ms`. `self` is the session that asks for it, or NULL: it is closed behind its
 * reply. */
void acl_store(struct server *s, const struct acl_user *u, int64_t now_ms);
bool acl_delete(struct server *s, struct slice name, struct session *self);
/* All users at once; the default user, when it is not among them, is open. Ends the sessions of all others. */
void acl_store_all(struct server *s, const struct acl *users, struct session *self, int64_t now_ms);
/* Likewise for a cluster without users. */
void acl_seed(struct server *s, const struct acl *users);
/* The default user gets this password only (a hash; "": none is needed), as `requirepass` says. */
void acl_store_requirepass(struct server *s, struct slice hash, int64_t now_ms);
/* The hash of a file's requirepass, which is proposed once. */
void acl_remember_file_password(struct keyspace *ks, struct slice hash);
/* What the leader has to propose for its file's sake: false when the state knows of it. */
bool acl_file_password(struct server *s, char hash[SHA256_HEX_LEN]);

/* Whether this is the password of a user, NULL for none, who may come in. */
bool acl_knows(const struct acl_user *u, struct slice password);

/* --- sessions --- */

/* The session is the user's from now on. */
void session_set_user(struct session *session, struct acl_user *user, bool is_authenticated);
/* It has to say a password before anything else. */
bool session_needs_password(const struct server *s, const struct session *session);

#endif
