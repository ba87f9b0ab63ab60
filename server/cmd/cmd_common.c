/* What the handlers of many commands share: reading arguments, refusing wrong types, and glob patterns. The texts
 * of errors and the order in which things are refused are Redis's. */
#include "cmd.h"

#include "num.h"

#include <inttypes.h>

bool cmd_is_type(struct cmd_ctx *c, const struct object *o, enum object_type type) {
    if (o == NULL || o->type == type) return true;
    reply_error(c->reply, ERR_WRONGTYPE);
    return false;
}

bool cmd_delete(struct cmd_ctx *c, struct slice key) {
    struct object *o = ks_peek(c->ks, c->db, key, INT64_MIN);
    if (o != NULL) ks_delete(c->ks, c->db, o);
    return o != NULL;
}

bool cmd_arg_i64(struct cmd_ctx *c, struct slice arg, int64_t *out, const char *error) {
    if (parse_i64(arg, out)) return true;
    reply_error(c->reply, error ? error : ERR_NOT_AN_INTEGER);
    return false;
}

bool cmd_arg_long_in(struct cmd_ctx *c, struct slice arg, int64_t min, int64_t max, int64_t *out,
                     const char *error) {
    int64_t v;
    if (!cmd_arg_i64(c, arg, &v, error)) return false;
    if (v < min || v > max) {
        if (error != NULL)
            reply_error(c->reply, error);
        else
            reply_errorf(c->reply, "ERR value is out of range, value must between %" PRId64 " and %" PRId64,
                         min, max);
        return false;
    }
    *out = v;
    return true;
}

/* --- glob patterns --- */

/* Bytes are compared as signed, everywhere: Redis does so in ranges on the machines people know it from. */
static inline int glob_char(char ch, bool nocase) {
    if (nocase && ch >= 'A' && ch <= 'Z') ch = (char)(ch - 'A' + 'a');
    return (signed char)ch;
}

/* `*at` is behind the opening bracket; it is left behind the closing one, or at the end when there is none. */
static bool class_matches(struct slice p, size_t *at, char ch, bool nocase) {
    size_t i = *at;
    bool inverted = i < p.len && p.data[i] == '^';
    if (inverted) i++;
    int c = glob_char(ch, nocase);
    bool found = false;
    while (i < p.len && p.data[i] != ']') {
        size_t left = p.len - i;
        if (p.data[i] == '\\' && left >= 2) {
            /* An escaped member is itself, whatever `nocase` says. */
            if (p.data[i + 1] == ch) found = true;
            i += 2;
        } else if (left >= 3 && p.data[i + 1] == '-') {
            int low = glob_char(p.data[i], false), high = glob_char(p.data[i + 2], false);
            if (low > high) {
                int t = low;
                low = high;
                high = t;
            }
            low = glob_char((char)low, nocase);
            high = glob_char((char)high, nocase);
            if (c >= low && c <= high) found = true;
            i += 3;
        } else {
            if (glob_char(p.data[i], nocase) == c) found = true;
            i++;
        }
    }
    *at = i < p.len ? i + 1 : i;
    return found != inverted;
}

/* Whether the item of the pattern at *at, which is no star, matches one character; moves behind the item. */
static bool item_matches(struct slice p, size_t *at, char ch, bool nocase) {
    char first = p.data[(*at)++];
    if (first == '?') return true;
    if (first == '[') return class_matches(p, at, ch, nocase);
    if (first == '\\' && *at < p.len) first = p.data[(*at)++];
    return glob_char(first, nocase) == glob_char(ch, nocase);
}

bool glob_match(struct slice pattern, struct slice text, bool nocase) {
    /* Redis matches nothing but the empty pattern against an empty text: a lone star does not. */
    if (text.len == 0) return pattern.len == 0;
    /* When something behind a star fails, let the last star take one character more: earlier stars need never be
     * asked again, so the work is bounded by the product of the lengths whatever the pattern. */
    size_t p = 0, t = 0, star_p = 0, star_t = 0;
    bool starred = false;
    while (t < text.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            starred = true;
            star_p = ++p;
            star_t = t;
        } else if (p < pattern.len && item_matches(pattern, &p, text.data[t], nocase)) {
            t++;
        } else if (starred) {
            p = star_p;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*') p++;
    return p == pattern.len;
}
