/* Three kinds of wrong, kept apart. CHECK is for our own bugs: it stops the process in every build, because
 * going on with a broken invariant can lose data. `enum rc` is for the world (disks, peers): handle it or
 * pass it up; a function that fails leaves its out-parameters alone. The client's mistakes are neither: they
 * are answered with an error reply. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <assert.h>

enum rc {
    RC_OK = 0,
    RC_NOT_FOUND,
    RC_INVALID,  /* malformed input: a bad payload, a bad argument */
    RC_IO,       /* the disk said no */
    RC_NO_SPACE, /* the disk is full */
    RC_CORRUPT,  /* what was read is not what was written */
    RC_BUSY,     /* somebody else holds it (a lock file) */
    RC_STOPPED,  /* the thing asked is shutting down */
};

#define MUST_USE __attribute__((warn_unused_result))

_Noreturn void check_failed(const char *expr, const char *file, int line);

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

const char *rc_name(enum rc rc);

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
