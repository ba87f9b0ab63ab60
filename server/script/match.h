/* Lua 5.1's patterns. What may take very long, backtracking, is counted as work of the script. */
#ifndef SCRIPT_MATCH_H
#define SCRIPT_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lib_out.h"

enum { MATCH_CAPTURES_MAX = LUA_MAXCAPTURES };

struct match {
    lua_State *L;
    const char *text, *text_end; /* a zero stands behind the text */
    struct lib_steps steps;
    int depth;
    int count; /* of captures */
    struct {
        const char *at;
        ptrdiff_t len; /* or one of those below */
    } captures[MATCH_CAPTURES_MAX];
};

enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

void match_begin(struct match *m, lua_State *L, const char *text, size_t len);
/* Where the pattern, which ends with a zero, stops matching when it starts at `at`; NULL when it does not match. Captures
 * are those of the last try. */
const char *match_at(struct match *m, const char *at, const char *pattern);
/* What the steps since the beginning cost, at the latest when the text or the pattern go away. */
static inline void match_end(struct match *m) {
    lib_steps_flush(&m->steps);
}
/* Pushes capture number `i`, from 0. Without captures number 0 is the whole match. */
void match_push_capture(struct match *m, int i, const char *from, const char *to);
/* All of them; the whole match when there is none and `from` is given. Returns how many. */
int match_push_captures(struct match *m, const char *from, const char *to);

#endif
