/* What replicas of Redis are told: each write that this node applies, as Redis itself tells it.
 *
 * Commands go as they were said where their words mean the same elsewhere; where they depend on a clock, on chance or on who
 * waited, what goes is their effect (EXPIRE as PEXPIREAT, SPOP as SREM, BLPOP as LPOP; README, "Replicas of Redis"). Scripts
 * are what they called. What belongs together comes between MULTI and EXEC; SELECT comes where the database changes.
 *
 * Any node can feed: nothing of it is in the log. While nobody is fed, a command costs one test. */
#ifndef CMD_FEED_H
#define CMD_FEED_H

#include "cmd.h"
#include "list.h"

struct feed {
    struct list sessions; /* of struct session.feed_link */
    uint64_t count;       /* of them */
    uint64_t offset;      /* bytes that went, ever */
    int db;               /* that the stream is in; -1: whoever was attached last has seen no SELECT */
    /* The unit that is being run: a command, a transaction, a script. */
    struct buf unit; /* RESP */
    uint32_t unit_commands;
    int unit_first_db, unit_db;
    struct buf out, reply; /* scratch */
    int64_t pinged_ms;
};

void feed_init(struct feed *f);
void feed_free(struct feed *f);

/* From here on, between two commands, the session is told. It gets bytes as others get messages: host.session_push. */
void feed_attach(struct server *s, struct session *session);
void feed_detach(struct server *s, struct session *session); /* if it is attached */
static inline bool feed_is_on(const struct feed *f) {
    return f->count > 0;
}

/* Adds a command to the unit that is being run. */
void feed_add(struct server *s, int db, int argc, const struct slice *argv);

/* Around a command's handler, while somebody is fed. */
struct feed_mark {
    uint64_t changes;
    uint32_t errors;
    struct buf *out; /* of the reply, as it was */
    size_t out_len;
};
void feed_before(struct cmd_ctx *c, struct feed_mark *mark);
void feed_after(struct cmd_ctx *c, const struct feed_mark *mark);
/* feed_effects.c: adds the effects of a command that goes as such, with what it answered; false: it goes as it was said. */
bool feed_effects(struct cmd_ctx *c, struct slice reply);
/* A key's time was over, and it was deleted. */
void feed_expired(struct server *s, int db, struct slice key);
/* What was run since the last time belongs together. */
void feed_end_unit(struct server *s);
/* Ten times a second: PING, now and then. */
void feed_tick(struct server *s, int64_t now_ms);

#endif
