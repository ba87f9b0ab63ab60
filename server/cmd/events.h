/* Keyspace notifications: what happens to keys, told to who subscribes to "__keyspace@<db>__:<key>" and
 * "__keyevent@<db>__:<event>". A handler says cmd_event right after a change; names, classes and order are Redis's. `new`,
 * `expired` and `keymiss` come out of the keyspace itself (ks_tell), whatever command is behind them.
 *
 * Told where subscribers are, which is the leader, while it applies and reads; nowhere else does anybody hear of it. Nothing
 * that is stored depends on whether events are told. While notify-keyspace-events is empty, an event costs one test. */
#ifndef CMD_EVENTS_H
#define CMD_EVENTS_H

#include "server.h"

/* A letter of notify-keyspace-events each. */
enum event_class {
    EVENT_GENERIC = 1 << 0,   /* g */
    EVENT_STRING = 1 << 1,    /* $ */
    EVENT_LIST = 1 << 2,      /* l */
    EVENT_SET = 1 << 3,       /* s */
    EVENT_HASH = 1 << 4,      /* h */
    EVENT_ZSET = 1 << 5,      /* z */
    EVENT_EXPIRED = 1 << 6,   /* x */
    EVENT_EVICTED = 1 << 7,   /* e: never happens here */
    EVENT_STREAM = 1 << 8,    /* t */
    EVENT_MODULE = 1 << 9,    /* d: likewise */
    EVENT_MISSED = 1 << 10,   /* m */
    EVENT_NEW = 1 << 11,      /* n */
    EVENT_KEYSPACE = 1 << 12, /* K: to the channels of keys */
    EVENT_KEYEVENT = 1 << 13, /* E: to the channels of events */
    EVENT_ALL = (1 << 10) - 1 /* A */
};

/* The setting has changed, or the keyspace has become another. */
void events_configure(struct server *s);

void event_publish(struct server *s, const char *event, int db, struct slice key);

static inline void cmd_event_in(struct cmd_ctx *c, enum event_class class, const char *event, int db,
                                struct slice key) {
    if (c->server->event_classes & class) event_publish(c->server, event, db, key);
}
static inline void cmd_event(struct cmd_ctx *c, enum event_class class, const char *event, struct slice key) {
    cmd_event_in(c, class, event, c->db, key);
}

#endif
