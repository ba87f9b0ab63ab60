/* What a session keeps of MULTI and WATCH (README, "Transactions"). Embedded in struct session; belongs to the loop thread. */
#ifndef CMD_TRANSACTION_H
#define CMD_TRANSACTION_H

#include "buf.h"
#include "list.h"

struct command;
struct keyspace;
struct server;
struct session;

struct transaction {
    bool is_open;        /* after MULTI */
    bool is_doomed;      /* a command was refused: EXEC answers EXECABORT */
    struct buf queue;    /* proto/entry.h: the commands, each with the database it is for */
    uint32_t count;      /* in the queue: */
    uint32_t writes;     /*   those for the log */
    uint32_t reads;      /*   those that only read */
    uint32_t flags;      /* CMD_... of all of them, or-ed */
    bool changes_users;  /* one of them does */
    bool runs_scripts;   /* some of them may */
    bool says_it_writes; /* one of them is what Redis calls a write */
    int db;              /* as the SELECTs in the queue leave it */

    struct list watches; /* of struct watch.of_session */
    size_t watch_bytes;  /* what they take of memory */
    bool is_dirty;       /* a watched key was changed: EXEC answers nil */
    uint64_t
        watch_serial; /* what was proposed up to here may still change one: EXEC waits for it (watch.h) */
};

void transaction_init(struct transaction *t);
static inline bool transaction_watches(const struct transaction *t) {
    return !list_empty(&t->watches);
}
/* Puts a command that passed the gates into the queue. */
void transaction_queue(struct server *server, struct transaction *t, const struct command *cmd, int argc,
                       const struct slice *argv);
/* As DISCARD: nothing is queued or watched any more. */
void transaction_discard(struct server *server, struct transaction *t);
void transaction_free(struct server *server, struct transaction *t);

#endif
