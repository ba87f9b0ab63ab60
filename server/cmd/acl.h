/* Users and what they may do: rules as ACL SETUSER takes them, their canonical text, and the question every command is asked
 * at the gates. A user has one selector (the root) or more: it may do what one of them allows as a whole. Passwords are known
 * by their SHA-256 only.
 *
 * Pure values: who is a user of this server, and how that is stored, is in acl_users.h. Texts of errors are Redis's. */
#ifndef CMD_ACL_H
#define CMD_ACL_H

#include "buf.h"
#include "cmd.h"
#include "sha.h"

enum { ACL_COMMAND_BITS = 1024, ACL_COMMAND_WORDS = ACL_COMMAND_BITS / 64 };
enum { ACL_PERMITS_READ = 1, ACL_PERMITS_WRITE = 2, ACL_PERMITS_ALL = 3 };

struct acl_pattern {
    struct buf text;
    unsigned permits; /* of keys: ACL_PERMITS_... */
};

struct acl_patterns {
    struct acl_pattern *items;
    size_t count, cap;
};

/* "+select|0": a command that is not allowed otherwise is allowed with this first argument. */
struct acl_first_arg {
    int command_id;
    struct buf text;
};

struct acl_selector {
    bool all_keys, all_channels;
    bool all_commands;                   /* nothing was taken away since +@all */
    bool future_commands;                /* began with +@all: also those of versions to come */
    uint64_t allowed[ACL_COMMAND_WORDS]; /* by command id */
    struct acl_first_arg *first_args;
    size_t first_arg_count;
    struct acl_patterns keys, channels;
};

enum acl_sanitize { ACL_SANITIZE_UNSAID, ACL_SANITIZE_SKIP, ACL_SANITIZE_YES };

struct acl_user {
    struct buf name;
    bool is_on;
    bool nopass;
    bool is_unrestricted;       /* derived: some selector allows everything */
    enum acl_sanitize sanitize; /* kept and shown: payloads are always checked */
    char (*passwords)[SHA256_HEX_LEN];
    size_t password_count;
    struct acl_selector *selectors; /* at least the root */
    size_t selector_count;
};

/* As ACL SETUSER makes one: off, may do nothing. */
void acl_user_init(struct acl_user *u, struct slice name);
void acl_user_free(struct acl_user *u);
/* The default user of a server without any configuration: may do everything, without a password. */
void acl_user_init_open(struct acl_user *u);
/* All but the name becomes as that of `from`. */
void acl_user_copy(struct acl_user *u, const struct acl_user *from);

/* --- rules --- */

/* Applies one rule. NULL, or what is wrong with it; then the user may be changed in part. */
const char *acl_apply(struct acl_user *u, struct slice rule);
/* The text behind "user NAME": rules with spaces between, as acl_describe writes them. */
const char *acl_apply_text(struct acl_user *u, struct slice rules);
/* "on #... ~* &* +@all". Applied to a new user, it makes the same one. */
void acl_describe(const struct acl_user *u, struct buf *out);
/* Whether that is so: whoever keeps the text makes sure before. */
MUST_USE bool acl_reads_again(const struct acl_user *u);
/* Parts of it. */
void acl_describe_commands(const struct acl_selector *s, struct buf *out);
void acl_describe_keys(const struct acl_selector *s, struct buf *out);     /* "~a %R~b" */
void acl_describe_channels(const struct acl_selector *s, struct buf *out); /* "&a &b" */
size_t acl_flags(const struct acl_user *u, const char *flags[3]);          /* "on", "nopass" ... */

/* The arguments of ACL SETUSER with the parts of selectors, "(+get" "~a)", joined. False when a parenthesis is not closed:
 * *unmatched is where it opens. */
struct acl_rules {
    struct buf *items;
    int count;
};
MUST_USE bool acl_rules_merge(struct acl_rules *rules, int argc, const struct slice *argv, int *unmatched);
void acl_rules_free(struct acl_rules *rules);

/* Names of users and patterns have none of these. */
bool acl_has_spaces(struct slice text);

/* --- questions --- */

enum acl_answer { ACL_ALLOWED, ACL_DENIED_COMMAND, ACL_DENIED_KEY, ACL_DENIED_CHANNEL };

/* Whether the user may give this command. *at: the argument that is denied (a key, a channel), 0 for a command. A user of
 * NULL may do everything. Commands of NO_AUTH are everybody's. */
enum acl_answer acl_check(const struct acl_user *u, const struct command *cmd, int argc,
                          const struct slice *argv, int *at);
/* The same, by a selector that reads all keys: what SORT's BY and GET ask for. */
bool acl_reads_all_keys(const struct acl_user *u, const struct command *cmd, int argc,
                        const struct slice *argv);
/* By literal text (PSUBSCRIBE) or as what the user's patterns match (SUBSCRIBE, PUBLISH). */
bool acl_may_use_channel(const struct acl_user *u, struct slice channel, bool is_literal);
bool acl_allows_command(const struct acl_selector *s, const struct command *cmd);
/* Compares in a time that says nothing about the passwords. */
bool acl_password_is(const struct acl_user *u, struct slice password);

/* Categories by name, "keyspace" and so on, in the order in which they are shown. */
enum { ACL_CATEGORY_COUNT = 21 };
const char *acl_category_name(int i);
uint32_t acl_category_bit(int i);
uint32_t acl_category_by_name(struct slice name); /* 0: there is none */

#endif
