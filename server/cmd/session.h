/* What the server knows about one client connection, apart from its socket: net/conn.h embeds it. */
#ifndef CMD_SESSION_H
#define CMD_SESSION_H

#include "buf.h"
#include "list.h"
#include "pubsub.h"
#include "transaction.h"

struct acl_user;
struct command;
struct tracking_client;

enum { SESSION_REPLY_ON, SESSION_REPLY_OFF, SESSION_REPLY_SKIP_NEXT, SESSION_REPLY_SKIP };

/* What it said of the copy it wants (REPLCONF). */
struct copy_wishes {
    bool takes_mark; /* the end may be told by a mark behind it, instead of a length in front */
    bool no_data, no_functions;
    bool is_replica; /* it is a Redis that wants to follow */
    bool no_feed;    /* the copy is all it wants */
};

struct session {
    uint64_t id;
    struct list link; /* in server->sessions, oldest first */
    int db;           /* as of the last command parsed */
    uint8_t resp;     /* 2 or 3 */
    bool authenticated;
    bool said_password;      /* that is why; or else none was needed when it came */
    struct acl_user *user;   /* acl_users.h; whoever has said no password is the default user */
    uint64_t denied_change;  /* acl.changes then */
    int64_t denied_since_ms; /* acl_gate.c; 0: nothing was denied, or for good */
    bool no_evict;
    bool is_monitor;          /* MONITOR */
    struct list monitor_link; /* then: in server->monitors */
    bool is_fed;              /* feed.h; ... */
    bool is_fed_live;         /* ... and the copy that comes first has been sent */
    struct list feed_link;    /* then: in server->feed.sessions */
    char exec_word[4];        /* EXEC as it was spelled last */
    bool is_blocked;          /* its last command waits (BLPOP, WAIT ...) */
    uint64_t write_index;     /* log entry of its last write that was applied; 0: none */
    bool close_after_reply;   /* QUIT, CLIENT KILL of oneself: nothing further is parsed */
    uint8_t reply_mode;       /* CLIENT REPLY */
    struct copy_wishes wishes;
    int64_t created_ms, last_command_ms;
    const struct command *last_command; /* NULL before the first */
    struct buf name, lib_name, lib_version;
    char peer[64], local[64]; /* "127.0.0.1:1234", "[::1]:1", "/path:0" */
    int fd;
    struct transaction transaction;
    struct tracking_client *tracking; /* tracking.h; NULL: it never tracked */
    struct list redirects;            /* of those whose invalidations come here */
    struct subscriptions subscriptions;
    bool asks_sentinel; /* it has used SENTINEL */
    /* On a node that does not lead: what of this client's is at the leader, and would die with it (dispatch.h). */
    bool multi_there, watch_there;
    bool changes_there;  /* that transaction has a command that may change something */
    bool is_stale_there; /* RESET: what the leader knows of it is not to be used any more */
    bool unix_socket;
    bool forwarded;                /* through another node: `peer` is its address there */
    uint64_t there_node, there_id; /* of a forwarded one: that node, and its id there */
};

#endif
