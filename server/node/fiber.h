/* A second stack for the loop's thread: a call that can be left in the middle and taken up again later. Whoever resumes it is back
 * when the call has ended or has left. There is one call at a time, and no lock, thread or global behind it; the stack has a
 * guard page, is touched as deep as it was used, and serves one call after the other. AddressSanitizer and ThreadSanitizer
 * are told of each change. */
#ifndef NODE_FIBER_H
#define NODE_FIBER_H

#include <stdbool.h>

struct fiber;

struct fiber *fiber_new(void);
void fiber_free(struct fiber *f); /* nothing is left in the middle on it */

/* Calls run(arg) there. True when it has ended, false when it has left: fiber_resume goes on with it. */
bool fiber_call(struct fiber *f, void (*run)(void *arg), void *arg);
bool fiber_resume(struct fiber *f);
/* Of the call itself, however deep: back to whoever resumed it. Returns when it is resumed. */
void fiber_leave(struct fiber *f);
/* A call is on it, left in the middle or running. */
bool fiber_is_used(const struct fiber *f);

#endif
