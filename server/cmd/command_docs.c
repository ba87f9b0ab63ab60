/* See command_docs.h and command_docs.def. The notation of arguments is read each time it is asked for: that
 * is rare, and the table stays readable. */
#include "command_docs.h"

#define DOC(id, from, of, cost, what, args)                                                                  \
    {.name = id,                                                                                             \
     .since = from,                                                                                          \
     .group = of,                                                                                            \
     .complexity = cost,                                                                                     \
     .summary = what,                                                                                        \
     .flags = "",                                                                                            \
     .arguments = args},
#define DOC_FLAGS(id, from, of, cost, what, how, until, instead, args)                                       \
    {.name = id,                                                                                             \
     .since = from,                                                                                          \
     .group = of,                                                                                            \
     .complexity = cost,                                                                                     \
     .summary = what,                                                                                        \
     .flags = how,                                                                                           \
     .deprecated_since = until,                                                                              \
     .replaced_by = instead,                                                                                 \
     .arguments = args},
static const struct command_doc docs[] = {
#include "command_docs.def"
};

const struct command_doc *command_doc_by_name(struct slice full_name) {
    for (size_t i = 0; i < sizeof docs / sizeof docs[0]; i++) {
        if (slice_eq(slice_of(docs[i].name), full_name)) return &docs[i];
    }
    return NULL;
}

/* --- arguments: a small recursive reader; `*p` is where it stands --- */

struct argument {
    struct slice name, type, token, since, deprecated_since;
    int key_spec; /* -1: none */
    bool optional, multiple, multiple_token;
    const char *inside; /* behind its '{', or NULL */
};

/* Up to one of the characters that end a word of the notation. */
static struct slice take_word(const char **p, const char *ends) {
    size_t len = strcspn(*p, ends);
    struct slice word = slice_make(*p, len);
    *p += len;
    return word;
}

static bool take(const char **p, char ch) {
    if (**p != ch) return false;
    ++*p;
    return true;
}

/* Leaves *p behind the '}' that belongs to the '{' before it. */
static void skip_inside(const char **p) {
    for (int depth = 1; depth > 0; ++*p) {
        CHECK(**p != '\0');
        if (**p == '\'') *p += 1 + strcspn(*p + 1, "'");
        if (**p == '{') depth++;
        if (**p == '}') depth--;
    }
}

static struct argument take_argument(const char **p) {
    static const char ends[] = "@'?*+~!{} ";
    struct argument a = {.key_spec = -1};
    a.name = take_word(p, "=");
    CHECK(take(p, '='));
    a.type = take_word(p, ends);
    if (take(p, '@')) a.key_spec = *(*p)++ - '0';
    if (take(p, '\'')) {
        a.token = take_word(p, "'");
        CHECK(take(p, '\''));
    }
    a.optional = take(p, '?');
    a.multiple = take(p, '*');
    a.multiple_token = take(p, '+');
    if (take(p, '~')) a.since = take_word(p, ends);
    if (take(p, '!')) a.deprecated_since = take_word(p, ends);
    if (take(p, '{')) {
        a.inside = *p;
        skip_inside(p);
    }
    CHECK(**p == '\0' || **p == ' ' || **p == '}');
    return a;
}

static void reply_arguments(struct reply *r, const char *p);

static void reply_field(struct reply *r, const char *name, struct slice value, size_t *count) {
    if (value.data == NULL) return;
    reply_bulk_str(r, name);
    reply_bulk(r, value);
    ++*count;
}

static void reply_argument(struct reply *r, const struct argument *a) {
    size_t mark = reply_defer(r), count = 0;
    reply_field(r, "name", a->name, &count);
    reply_field(r, "type", a->type, &count);
    if (a->key_spec >= 0) {
        reply_bulk_str(r, "key_spec_index");
        reply_int(r, a->key_spec);
        count++;
    }
    reply_field(r, "token", a->token, &count);
    reply_field(r, "since", a->since, &count);
    reply_field(r, "deprecated_since", a->deprecated_since, &count);
    if (a->optional || a->multiple || a->multiple_token) {
        reply_bulk_str(r, "flags");
        reply_set(r, (size_t)a->optional + a->multiple + a->multiple_token);
        if (a->optional) reply_simple(r, "optional");
        if (a->multiple) reply_simple(r, "multiple");
        if (a->multiple_token) reply_simple(r, "multiple_token");
        count++;
    }
    if (a->inside != NULL) {
        reply_bulk_str(r, "arguments");
        reply_arguments(r, a->inside);
        count++;
    }
    reply_close_map(r, mark, count);
}

/* Until the end, or the '}' of whoever holds them. */
static void reply_arguments(struct reply *r, const char *p) {
    size_t mark = reply_defer(r), count = 0;
    while (*p != '\0' && *p != '}') {
        struct argument a = take_argument(&p);
        reply_argument(r, &a);
        count++;
        while (*p == ' ') p++;
    }
    reply_close_array(r, mark, count);
}

void command_doc_arguments(struct reply *r, const char *notation) {
    reply_arguments(r, notation);
}
