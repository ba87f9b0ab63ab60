/* The state of the server that commands about it read and change: configuration, sessions, statistics. One
 * instance, owned by server/node; belongs to the loop thread. */
#ifndef CMD_SERVER_H
#define CMD_SERVER_H

#include "acl_users.h"
#include "cmd.h"
#include "config.h"
#include "feed.h"
#include "host.h"
#include "prepare.h"
#include "pubsub.h"
#include "sentinel_news.h"
#include "session.h"
#include "push.h"
#include "stats.h"
#include "tracking.h"
#include "watch.h"

/* The Redis whose behaviour this server has; clients decide by it what they may send. */
#define REDIS_COMPATIBLE_VERSION "7.0.15"

/* Where commands that need the leader go; kept up to date by the node, read by the gates. */
enum leadership {
    LEADERSHIP_HERE,    /* this node leads */
    LEADERSHIP_THERE,   /* another does, at leader_address */
    LEADERSHIP_NOBODY,  /* nobody is known to, or this node is in no cluster yet */
    LEADERSHIP_REMOVED, /* this node was removed from the cluster: it will not know any more */
};

/* A script that takes long: it was left in the middle, and the data with it. Kept up to date by the node, read by the gates. */
struct running_script {
    bool is_running;  /* what concerns data, or this node, waits */
    bool is_overdue;  /* for longer than busy-reply-threshold: clients are told */
    bool is_function; /* FCALL's */
    bool has_written;
    bool is_decided_here; /* this node leads, if only by name: what stops the script is asked here */
    const struct command *cmd;
    int argc;
    const struct slice *argv; /* good while it runs */
    int64_t ran_ms;
};

struct server {
    struct host *host;
    enum leadership leadership;
    char leader_address[CLUSTER_ADDRESS_CAP]; /* "host:port" while it is THERE */
    struct keyspace *ks;
    struct config config;
    struct acl acl;
    struct prepared prepared; /* of the command that just passed the gates */
    struct stats stats;
    struct list sessions; /* of struct session.link, oldest first */
    uint64_t session_count, next_session_id;
    uint64_t blocked_count; /* sessions that are blocked */
    struct watch_table watches;
    struct script_engine *scripts; /* NULL until one is needed: cmd_script.h */
    struct arena script_arena;     /* for the commands of scripts */
    struct pubsub pubsub;
    struct sentinel_news sentinel_news;
    struct list monitors; /* of struct session.monitor_link */
    uint64_t monitor_count;
    struct buf monitor_line;  /* scratch of cmd_monitor.c */
    uint32_t event_classes;   /* enum event_class: what is told of keys; 0: nothing */
    struct buf event_channel; /* scratch of events.c */
    struct tracking tracking;
    struct pushes pushes;
    struct feed feed;
    uint64_t last_serial; /* of what was proposed so far (watch.h); kept up to date by the node */
    char run_id[41];
    int64_t start_ms;      /* wall clock */
    bool active_expire;    /* DEBUG SET-ACTIVE-EXPIRE */
    bool debug_in_scripts; /* DEBUG SET-DISABLE-DENY-SCRIPTS */
    bool refuse_writes;    /* the disk refuses: writes are answered with `refuse_reason` */
    char refuse_reason[256];
    int64_t replica_count, replicas_counted_ms; /* terms.c */
    int64_t attack_logged_ms;
    int64_t pause_until_ms; /* CLIENT PAUSE; 0: not paused */
    bool pause_writes_only;
    struct running_script script;
    const char *executable, *config_file; /* absolute paths; config_file "" when there is none */
};

/* Configuration at its defaults. */
void server_init(struct server *s, struct host *host, struct keyspace *ks);
void server_free(struct server *s);
/* NULL: there is none for now. */
void server_set_keyspace(struct server *s, struct keyspace *ks);
/* About ten times a second: rates (instantaneous_ops_per_sec and the like). */
void server_tick(struct server *s, int64_t now_ms);

/* Brings the configuration file up to date; there must be one. */
MUST_USE enum rc server_rewrite_config(struct server *s, bool everything);

/* session.c: a session enters and leaves the registry. */
void session_open(struct server *s, struct session *session, int64_t now_ms);
void session_close(struct server *s, struct session *session);
/* What it takes of memory, beside itself. */
size_t session_memory(const struct session *session);
/* Who `asker` means by an id: clients of another node know themselves, and each other, by the ids they have there. NULL:
 * nobody. */
struct session *session_by_id(const struct server *s, const struct session *asker, uint64_t id);
static inline uint64_t session_own_id(const struct session *session) {
    return session->forwarded ? session->there_id : session->id;
}
/* False when the name has characters that would garble CLIENT LIST. */
bool session_set_name(struct session *session, struct slice name);

#endif
