/* Where broken invariants end: the expression and its place go to standard error, then the process aborts so
 * that a core and the crash tests see it. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *expr, const char *file, int line) {
    fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, expr);
    fflush(stderr);
    abort();
}

const char *rc_name(enum rc rc) {
    switch (rc) {
    case RC_OK: return "ok";
    case RC_NOT_FOUND: return "not found";
    case RC_INVALID: return "invalid";
    case RC_IO: return "input/output error";
    case RC_NO_SPACE: return "no space left on device";
    case RC_CORRUPT: return "corrupt";
    case RC_BUSY: return "busy";
    case RC_STOPPED: return "stopped";
    }
    return "unknown";
}
