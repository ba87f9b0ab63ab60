/* The configuration: redis.conf's names and ours, one row each in config.def. Values are checked when they
 * are set, so whoever reads a field finds it valid. Pure: files are read through a callback, and what a
 * change means for the running server is the host's business (host.h, config_changed). */
#ifndef CMD_CONFIG_H
#define CMD_CONFIG_H

#include "buf.h"
#include "check.h"
#include "keyspace.h"

enum { GUARD_NO, GUARD_YES, GUARD_LOCAL }; /* enable-debug-command and its kin */
enum { LOGLEVEL_DEBUG, LOGLEVEL_VERBOSE, LOGLEVEL_NOTICE, LOGLEVEL_WARNING };
enum maxmemory_policy {
    POLICY_VOLATILE_LRU,
    POLICY_VOLATILE_LFU,
    POLICY_VOLATILE_RANDOM,
    POLICY_VOLATILE_TTL,
    POLICY_ALLKEYS_LRU,
    POLICY_ALLKEYS_LFU,
    POLICY_ALLKEYS_RANDOM,
    POLICY_NOEVICTION,
};
enum { ENDPOINT_IP, ENDPOINT_HOSTNAME, ENDPOINT_UNKNOWN }; /* cluster-preferred-endpoint-type */
enum { READ_MODE_READ_INDEX, READ_MODE_LEASE };
enum { ACL_PUBSUB_ALLCHANNELS, ACL_PUBSUB_RESETCHANNELS }; /* acl-pubsub-default */
enum { OUTPUT_NORMAL, OUTPUT_REPLICA, OUTPUT_PUBSUB, OUTPUT_CLASSES };
enum { CONFIG_PERCENTILES_MAX = 32 };

struct output_limit {
    int64_t hard, soft, soft_seconds; /* bytes, 0: none */
};

struct config {
#define BOOL(name, other, initial, flags, inert)              bool name;
#define INT(name, other, min, max, initial, flags, inert)     int64_t name;
#define OCTAL(name, other, min, max, initial, flags, inert)   int64_t name;
#define MEMORY(name, other, min, max, initial, flags, inert)  int64_t name;
#define PERCENT(name, other, min, max, initial, flags, inert) int64_t name;
#define ENUM(name, other, words, initial, flags, inert)       int name;
#define STRING(name, other, initial, flags, inert)            char *name; /* never NULL */
#define TEXT(name, other, initial, flags, inert)              char *name; /* never NULL */
#include "config.def"
#undef BOOL
#undef INT
#undef OCTAL
#undef MEMORY
#undef PERCENT
#undef ENUM
#undef STRING
#undef TEXT
    /* what some texts mean; follows them */
    bool tells_new_keys; /* notify-keyspace-events has an n, which is not shown beside A, as in Redis */
    struct output_limit output_limits[OUTPUT_CLASSES];
    double percentiles[CONFIG_PERCENTILES_MAX]; /* of INFO latencystats */
    int percentile_count;
    struct buf
        users; /* the `user` lines of files: a line each, name and rules in quotes; acl_users.h takes them */
};

/* The settings that say when values change their encoding, as the state has them. */
struct ks_limits config_limits(const struct config *c);

/* A STRING or TEXT field with its length: a password may have NULs inside. */
struct slice config_text(const char *field);

void config_init(struct config *c); /* everything at its default */
void config_free(struct config *c);

/* --- rows, for whoever walks, finds, shows and changes values by name --- */

struct config_row;
int config_count(void);
const struct config_row *config_at(int i);
const struct config_row *config_find(struct slice name); /* by either name, case folded; NULL when unknown */
const char *config_name(const struct config_row *row);   /* "maxmemory-policy" */
const char *config_other_name(const struct config_row *row); /* NULL when there is none */
bool config_is_immutable(const struct config_row *row);
bool config_is_repeatable(
    const struct config_row *row); /* immutable, but the present value may be set again */
bool config_is_protected(const struct config_row *row);
bool config_is_sensitive(const struct config_row *row);
bool config_is_hidden(const struct config_row *row); /* from patterns */
bool config_is_inert(const struct config_row *row);
bool config_is_default(const struct config *c, const struct config_row *row);
void config_show(const struct config *c, const struct config_row *row,
                 struct buf *out); /* appends the value */

enum { CONFIG_ERROR_CAP = 512 };
/* The value as CONFIG SET takes it: one text. False, with Redis's text in `why` (CONFIG_ERROR_CAP bytes),
 * when it is no good; nothing has changed then. */
MUST_USE bool config_set(struct config *c, const struct config_row *row, struct slice value, char *why);

/* --- files and command lines --- */

/* Appends the file's content; false, with a reason in `why` (CONFIG_ERROR_CAP bytes), when it cannot be
 * read. */
typedef bool config_read_fn(void *arg, const char *path, struct buf *content, char *why);

/* argv as main() has it: [FILE] [--name value ...]. Later values win. False with a whole sentence in
 * `error`, which names file and line, or the option. *file is the FILE, or NULL. */
MUST_USE bool config_load(struct config *c, int argc, char **argv, config_read_fn *read, void *arg,
                          const char **file, char *error, size_t cap);
/* The text of a file that was `old`, with today's values: comments and order stay, what is not at its
 * default and not there yet is added at the end; with `everything`, defaults too. */
/* `users` are lines in place of those that begin with "user". */
void config_rewrite(const struct config *c, struct slice old, struct slice users, bool everything,
                    struct buf *out);

#endif
