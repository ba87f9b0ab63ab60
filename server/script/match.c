/* See match.h. One function for each thing a pattern may begin with; what follows it is matched from within, so that it
 * can be tried otherwise when that fails. Only things that can be tried otherwise go deeper. */
#include "match.h"

#include <ctype.h>
#include <string.h>

#include <lauxlib.h>

/* Deeper than patterns of people go; Lua 5.1 itself knows no limit and crashes, later ones stop at 200. */
enum { DEPTH_MAX = 1000 };

void match_begin(struct match *m, lua_State *L, const char *text, size_t len) {
    m->L = L;
    m->text = text;
    m->text_end = text + len;
    m->steps = (struct lib_steps){.L = L};
    m->depth = 0;
    m->count = 0;
}

/* --- one character --- */

static unsigned char byte(const char *at) {
    return (unsigned char)*at;
}

/* %a and its like; the upper case letter is everything else. */
static bool is_of_class(int c, int letter) {
    bool is_in;
    switch (tolower(letter)) {
    case 'a': is_in = isalpha(c); break;
    case 'c': is_in = iscntrl(c); break;
    case 'd': is_in = isdigit(c); break;
    case 'l': is_in = islower(c); break;
    case 'p': is_in = ispunct(c); break;
    case 's': is_in = isspace(c); break;
    case 'u': is_in = isupper(c); break;
    case 'w': is_in = isalnum(c); break;
    case 'x': is_in = isxdigit(c); break;
    case 'z': is_in = c == 0; break;
    default: return letter == c;
    }
    return isupper(letter) ? !is_in : is_in;
}

/* Behind the single character, class or set that the pattern begins with. */
static const char *single_end(struct match *m, const char *p) {
    char first = *p++;
    if (first == '%') {
        if (*p == '\0') luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[') return p;
    if (*p == '^') p++;
    do { /* a bracket that comes first is one of the set */
        if (*p == '\0') luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == '%' && *p != '\0') p++;
    } while (*p != ']');
    return p + 1;
}

/* `set` is at its opening bracket, `last` at the closing one. */
static bool is_in_set(struct match *m, int c, const char *set, const char *last) {
    bool is_excluding = set[1] == '^';
    lib_step(&m->steps, (uint64_t)(last - set) / 8);
    for (const char *p = set + (is_excluding ? 2 : 1); p < last; p++) {
        if (*p == '%') {
            if (is_of_class(c, byte(++p))) return !is_excluding;
        } else if (p[1] == '-' && p + 2 < last) {
            if (byte(p) <= c && c <= byte(p + 2)) return !is_excluding;
            p += 2;
        } else if (byte(p) == c) {
            return !is_excluding;
        }
    }
    return is_excluding;
}

/* Whether the single of the pattern, which ends at `end`, is what stands at `at`. */
static bool is_single(struct match *m, const char *at, const char *p, const char *end) {
    lib_step(&m->steps, 1);
    if (at >= m->text_end) return false;
    switch (*p) {
    case '.': return true;
    case '%': return is_of_class(byte(at), byte(p + 1));
    case '[': return is_in_set(m, byte(at), p, end - 1);
    default: return *p == *at;
    }
}

/* --- what can be tried otherwise --- */

static const char *match_rest(struct match *m, const char *at, const char *p);

static const char *go_deeper(struct match *m, const char *at, const char *p) {
    if (++m->depth > DEPTH_MAX) luaL_error(m->L, "pattern too complex");
    const char *end = match_rest(m, at, p);
    m->depth--;
    return end;
}

/* As many as there are, then fewer and fewer. */
static const char *match_most(struct match *m, const char *at, const char *p, const char *end) {
    ptrdiff_t count = 0;
    while (is_single(m, at + count, p, end)) count++;
    for (; count >= 0; count--) {
        const char *stop = go_deeper(m, at + count, end + 1);
        if (stop != NULL) return stop;
    }
    return NULL;
}

static const char *match_fewest(struct match *m, const char *at, const char *p, const char *end) {
    for (;; at++) {
        const char *stop = go_deeper(m, at, end + 1);
        if (stop != NULL) return stop;
        if (!is_single(m, at, p, end)) return NULL;
    }
}

static const char *open_capture(struct match *m, const char *at, const char *p, ptrdiff_t kind) {
    if (m->count >= MATCH_CAPTURES_MAX) luaL_error(m->L, "too many captures");
    int i = m->count;
    m->captures[i].at = at;
    m->captures[i].len = kind;
    m->count = i + 1;
    const char *stop = go_deeper(m, at, p);
    if (stop == NULL) m->count--;
    return stop;
}

static const char *close_capture(struct match *m, const char *at, const char *p) {
    int i = m->count - 1;
    while (i >= 0 && m->captures[i].len != CAPTURE_OPEN) i--;
    if (i < 0) luaL_error(m->L, "invalid pattern capture");
    m->captures[i].len = at - m->captures[i].at;
    const char *stop = go_deeper(m, at, p);
    if (stop == NULL) m->captures[i].len = CAPTURE_OPEN;
    return stop;
}

/* --- what cannot: the position behind it, or NULL --- */

/* %bxy; `p` is at the x. */
static const char *pass_balanced(struct match *m, const char *at, const char *p) {
    if (p[0] == '\0' || p[1] == '\0') luaL_error(m->L, "unbalanced pattern");
    if (at >= m->text_end || *at != p[0]) return NULL;
    for (size_t open = 1; ++at < m->text_end;) {
        lib_step(&m->steps, 1);
        if (*at == p[1]) {
            if (--open == 0) return at + 1;
        } else if (*at == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* %f: `p` is at the set. */
static bool is_frontier(struct match *m, const char *at, const char *p, const char *end) {
    int before = at == m->text ? '\0' : byte(at - 1);
    lib_step(&m->steps, 1);
    return !is_in_set(m, before, p, end - 1) && is_in_set(m, byte(at), p, end - 1);
}

/* %1: what the capture holds, once more. */
static const char *pass_back_reference(struct match *m, const char *at, int digit) {
    int i = digit - '1';
    if (i < 0 || i >= m->count || m->captures[i].len == CAPTURE_OPEN)
        luaL_error(m->L, "invalid capture index");
    ptrdiff_t len = m->captures[i].len; /* a position is matched by nothing */
    if (len < 0 || len > m->text_end - at) return NULL;
    lib_step(&m->steps, 1 + (uint64_t)len / LIB_BYTES_PER_STEP);
    return memcmp(at, m->captures[i].at, (size_t)len) == 0 ? at + len : NULL;
}

/* --- all together --- */

enum step { STEP_ON, STEP_DONE };

/* The next thing of the pattern. DONE: *at is the answer; ON: both have moved on. */
static enum step match_single(struct match *m, const char **at, const char **p) {
    const char *end = single_end(m, *p);
    switch (*end) {
    case '?':
        if (is_single(m, *at, *p, end)) {
            const char *stop = go_deeper(m, *at + 1, end + 1);
            if (stop != NULL) {
                *at = stop;
                return STEP_DONE;
            }
        }
        *p = end + 1;
        return STEP_ON;
    case '*': *at = match_most(m, *at, *p, end); return STEP_DONE;
    case '+': *at = is_single(m, *at, *p, end) ? match_most(m, *at + 1, *p, end) : NULL; return STEP_DONE;
    case '-': *at = match_fewest(m, *at, *p, end); return STEP_DONE;
    default:
        *at = is_single(m, *at, *p, end) ? *at + 1 : NULL;
        *p = end;
        return *at != NULL ? STEP_ON : STEP_DONE;
    }
}

/* The same for what begins with %. */
static enum step match_escape(struct match *m, const char **at, const char **p) {
    const char *what = *p + 1;
    if (*what == 'b') {
        *at = pass_balanced(m, *at, what + 1);
        *p = what + 3;
    } else if (*what == 'f') {
        if (what[1] != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
        const char *end = single_end(m, what + 1);
        if (!is_frontier(m, *at, what + 1, end)) *at = NULL;
        *p = end;
    } else if (isdigit(byte(what))) {
        *at = pass_back_reference(m, *at, byte(what));
        *p = what + 1;
    } else {
        return match_single(m, at, p);
    }
    return *at != NULL ? STEP_ON : STEP_DONE;
}

static const char *match_rest(struct match *m, const char *at, const char *p) {
    enum step step = STEP_ON;
    while (step == STEP_ON) {
        lib_step(&m->steps, 1);
        switch (*p) {
        case '\0': return at;
        case '(':
            return p[1] == ')' ? open_capture(m, at, p + 2, CAPTURE_POSITION)
                               : open_capture(m, at, p + 1, CAPTURE_OPEN);
        case ')': return close_capture(m, at, p + 1);
        case '%': step = match_escape(m, &at, &p); break;
        case '$':
            if (p[1] == '\0') return at == m->text_end ? at : NULL;
            step = match_single(m, &at, &p);
            break;
        default: step = match_single(m, &at, &p);
        }
    }
    return at;
}

const char *match_at(struct match *m, const char *at, const char *pattern) {
    m->count = 0;
    m->depth = 0;
    return match_rest(m, at, pattern);
}

void match_push_capture(struct match *m, int i, const char *from, const char *to) {
    if (i >= m->count) {
        if (i != 0) luaL_error(m->L, "invalid capture index");
        lua_pushlstring(m->L, from, (size_t)(to - from));
        return;
    }
    ptrdiff_t len = m->captures[i].len;
    if (len == CAPTURE_OPEN) luaL_error(m->L, "unfinished capture");
    if (len == CAPTURE_POSITION)
        lua_pushinteger(m->L, m->captures[i].at - m->text + 1);
    else
        lua_pushlstring(m->L, m->captures[i].at, (size_t)len);
}

int match_push_captures(struct match *m, const char *from, const char *to) {
    int count = m->count == 0 && from != NULL ? 1 : m->count;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++) match_push_capture(m, i, from, to);
    return count;
}
