/* What is sent to a session unasked: messages that stand between its replies. They go into its output at once; but while
 * its own command runs, whose reply may be half written, they are held back until that reply is there. A transaction or a
 * script counts as one command. */
#ifndef CMD_PUSH_H
#define CMD_PUSH_H

#include "buf.h"

struct server;
struct session;

struct pushes {
    struct session *running; /* whose command runs; NULL: nobody's, or nobody was asked about */
    struct buf held;         /* for that one */
    struct session *left;    /* whose command was left in the middle: a script that takes long */
    struct buf left_held;
};

void push_bytes(struct server *server, struct session *to, struct slice bytes);
/* From here to push_release, what is for `running` is held. False, and nothing changes, inside of another hold. */
bool push_hold(struct server *server, struct session *running);
void push_release(struct server *server);
/* The command that runs is left in the middle, and taken up again: others run in between. */
void push_leave(struct server *server);
void push_return(struct server *server);
void pushes_free(struct pushes *p);

#endif
