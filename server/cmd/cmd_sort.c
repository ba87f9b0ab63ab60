/* SORT and SORT_RO: the elements of a list, set or sorted set, put in order by themselves or by what other keys hold.
 *
 * Three steps: the elements are collected, each gets what it is compared by, and what is in the asked-for range is answered,
 * or stored as a list. Nothing is copied but what will be stored; elements and values stay where they are until then. */
#include "events.h"
#include "handlers.h"

#include "type_hash.h"
#include "type_list.h"
#include "type_set.h"
#include "type_zset.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct sort_options {
    bool desc, alpha;
    bool keep_order; /* BY a constant */
    int64_t start, count;
    const struct slice *by, *store; /* or NULL */
    const struct slice **gets;
    size_t get_count;
};

struct sort_item {
    struct pack_value value;
    struct slice by; /* what ALPHA compares, if `found` */
    double score;
    bool found;
    size_t index; /* as collected: decides between equals */
};

struct sort {
    struct cmd_ctx *c;
    struct sort_options options;
    struct sort_item *items;
    size_t count;
    size_t first, last; /* of what is asked for; last is one beyond */
    bool not_a_number;
};

/* --- options --- */

/* False after answering. */
static bool parse_limit(struct cmd_ctx *c, int at, struct sort_options *o) {
    return cmd_arg_i64(c, c->argv[at + 1], &o->start, NULL) &&
           cmd_arg_i64(c, c->argv[at + 2], &o->count, NULL);
}

static bool parse_options(struct cmd_ctx *c, bool may_store, struct sort_options *o) {
    o->count = -1;
    o->gets = arena_alloc(c->arena, sizeof *o->gets * (size_t)c->argc);
    for (int i = 2; i < c->argc; i++) {
        struct slice word = c->argv[i];
        int left = c->argc - i - 1;
        if (slice_is(word, "asc")) {
            o->desc = false;
        } else if (slice_is(word, "desc")) {
            o->desc = true;
        } else if (slice_is(word, "alpha")) {
            o->alpha = true;
        } else if (slice_is(word, "limit") && left >= 2) {
            if (!parse_limit(c, i, o)) return false;
            i += 2;
        } else if (may_store && slice_is(word, "store") && left >= 1) {
            o->store = &c->argv[++i];
        } else if (slice_is(word, "by") && left >= 1) {
            o->by = &c->argv[++i];
            if (o->by->len == 0 || memchr(o->by->data, '*', o->by->len) == NULL) o->keep_order = true;
        } else if (slice_is(word, "get") && left >= 1) {
            o->gets[o->get_count++] = &c->argv[++i];
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    return true;
}

/* --- what a pattern leads to --- */

static struct slice value_text(struct cmd_ctx *c, struct pack_value v) {
    if (!v.is_int) return v.text;
    char *text = arena_alloc(c->arena, NUM_I64_MAX_LEN);
    return slice_make(text, format_i64(text, v.integer));
}

/* The part of a pattern that names a field: behind the first "->" that follows the asterisk, unless nothing follows it. */
static struct slice field_part(struct slice pattern, size_t asterisk) {
    for (size_t i = asterisk + 1; i + 2 < pattern.len; i++)
        if (pattern.data[i] == '-' && pattern.data[i + 1] == '>')
            return slice_make(pattern.data + i + 2, pattern.len - i - 2);
    return (struct slice){0};
}

static struct slice key_of(struct cmd_ctx *c, struct slice front, struct slice middle, struct slice back) {
    char *key = arena_alloc(c->arena, front.len + middle.len + back.len);
    if (front.len > 0) memcpy(key, front.data, front.len);
    if (middle.len > 0) memcpy(key + front.len, middle.data, middle.len);
    if (back.len > 0) memcpy(key + front.len + middle.len, back.data, back.len);
    return slice_make(key, front.len + middle.len + back.len);
}

/* False: there is no such value. */
static bool look_up(struct cmd_ctx *c, struct slice pattern, struct pack_value element,
                    struct pack_value *out) {
    if (slice_eq(pattern, SLICE("#"))) {
        *out = element;
        return true;
    }
    const char *asterisk = pattern.len > 0 ? memchr(pattern.data, '*', pattern.len) : NULL;
    if (asterisk == NULL) return false;
    size_t front = (size_t)(asterisk - pattern.data);
    struct slice field = field_part(pattern, front);
    size_t back = pattern.len - front - 1 - (field.len > 0 ? field.len + 2 : 0);
    struct slice key =
        key_of(c, slice_make(pattern.data, front), value_text(c, element), slice_make(asterisk + 1, back));
    const struct object *o = cmd_read(c, key);
    if (o == NULL || o->type != (field.len > 0 ? OBJECT_HASH : OBJECT_STRING)) return false;
    if (field.len > 0) return hash_get(o, field, out);
    *out = o->encoding == ENCODING_INT ? pack_integer(o->as.integer) : pack_bytes(string_get(o, NULL));
    return true;
}

/* --- collecting --- */

static void collect(struct sort *s, struct pack_value v) {
    s->items[s->count] = (struct sort_item){.value = v, .index = s->count};
    s->count++;
}

static void collect_list(struct sort *s, const struct object *o) {
    bool backwards = s->options.keep_order && s->options.desc;
    struct list_walk w = list_walk_from(o, backwards ? list_len(o) - 1 : 0, backwards);
    for (; !list_walk_ended(&w); list_walk_step(&w)) {
        struct slice text = list_walk_text(&w);
        collect(s, text.data == w.digits ? pack_text(text) : pack_bytes(text));
    }
}

static void collect_set(struct sort *s, const struct object *o) {
    struct set_cursor cursor = {.object = o};
    struct pack_value v;
    while (set_next(&cursor, &v)) collect(s, v);
}

static void collect_zset(struct sort *s, const struct object *o) {
    bool backwards = s->options.keep_order && s->options.desc;
    struct zset_pos p = zset_at(o, backwards ? zset_count(o) - 1 : 0);
    for (; !zset_pos_is_end(p); p = backwards ? zset_prev(p) : zset_next(p)) {
        char scratch[NUM_I64_MAX_LEN];
        struct slice member = zset_member(p, scratch);
        collect(s, member.data == scratch ? pack_text(member) : pack_bytes(member));
    }
}

static size_t element_count(const struct object *o) {
    if (o == NULL) return 0;
    switch (o->type) {
    case OBJECT_LIST: return list_len(o);
    case OBJECT_SET: return set_len(o);
    default: return zset_count(o);
    }
}

static void collect_all(struct sort *s, const struct object *o) {
    size_t count = element_count(o);
    if (count == 0) return;
    s->items = arena_alloc(s->c->arena, count * sizeof *s->items);
    switch (o->type) {
    case OBJECT_LIST: collect_list(s, o); break;
    case OBJECT_SET: collect_set(s, o); break;
    default: collect_zset(s, o); break;
    }
    CHECK(s->count == count);
}

/* Numbers that make no sense are brought within the elements there are. */
static void choose_range(struct sort *s) {
    int64_t count = (int64_t)s->count, start = s->options.start, wanted = s->options.count;
    if (start < 0) start = 0;
    if (start > count) start = count;
    if (wanted < 0 || wanted > count - start) wanted = count - start;
    s->first = (size_t)start;
    s->last = (size_t)(start + wanted);
}

/* --- comparing --- */

/* Whatever strtod takes to the end: leading spaces, hexadecimal, nothing at all. */
static bool lenient_double(struct cmd_ctx *c, struct slice text, double *out) {
    if (parse_double(text, out)) return true;
    char *copy = arena_alloc(c->arena, text.len + 1), *end;
    if (text.len > 0) memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *out = strtod(copy, &end);
    return *end == '\0' && errno != ERANGE && !isnan(*out);
}

/* Gives an item what it is compared by. */
static void weigh(struct sort *s, struct sort_item *item) {
    struct pack_value v = item->value;
    item->found = s->options.by == NULL || look_up(s->c, *s->options.by, item->value, &v);
    if (!item->found) return;
    if (s->options.alpha)
        item->by = value_text(s->c, v);
    else if (v.is_int)
        item->score = (double)v.integer;
    else if (!lenient_double(s->c, v.text, &item->score))
        s->not_a_number = true;
}

static int compare_elements(const struct sort_item *a, const struct sort_item *b) {
    char a_text[NUM_I64_MAX_LEN], b_text[NUM_I64_MAX_LEN];
    struct slice x = a->value.text, y = b->value.text;
    if (a->value.is_int) x = slice_make(a_text, format_i64(a_text, a->value.integer));
    if (b->value.is_int) y = slice_make(b_text, format_i64(b_text, b->value.integer));
    return slice_cmp(x, y);
}

/* Texts are compared byte by byte: a locale would not be the same on all nodes. Who has nothing to be compared by goes
 * first. */
static int compare_items(const void *left, const void *right, void *arg) {
    const struct sort_item *a = left, *b = right;
    const struct sort_options *o = arg;
    int order;
    if (!o->alpha)
        order = a->score != b->score ? (a->score < b->score ? -1 : 1) : compare_elements(a, b);
    else if (a->found != b->found)
        order = a->found ? 1 : -1;
    else
        order = slice_cmp(a->by, b->by);
    if (order == 0) return a->index < b->index ? -1 : 1;
    return o->desc ? -order : order;
}

static void put_in_order(struct sort *s) {
    for (size_t i = 0; i < s->count; i++) weigh(s, &s->items[i]);
    if (s->count > 1) qsort_r(s->items, s->count, sizeof *s->items, compare_items, &s->options);
}

/* --- answering --- */

static void reply_value(struct reply *r, struct pack_value v) {
    if (v.is_int)
        reply_bulk_int(r, v.integer);
    else
        reply_bulk(r, v.text);
}

static size_t answer_len(const struct sort *s) {
    size_t per_item = s->options.get_count > 0 ? s->options.get_count : 1;
    return (s->last - s->first) * per_item;
}

static void answer(struct sort *s) {
    struct reply *r = s->c->reply;
    struct pack_value v;
    reply_array(r, answer_len(s));
    for (size_t i = s->first; i < s->last; i++) {
        struct pack_value element = s->items[i].value;
        if (s->options.get_count == 0) reply_value(r, element);
        for (size_t k = 0; k < s->options.get_count; k++) {
            if (look_up(s->c, *s->options.gets[k], element, &v))
                reply_value(r, v);
            else
                reply_null(r);
        }
    }
}

/* The key that is replaced may be one of those read from, so everything is copied before it goes. */
static void store(struct sort *s) {
    struct cmd_ctx *c = s->c;
    struct slice key = *s->options.store;
    size_t len = answer_len(s), n = 0;
    struct slice *texts = arena_alloc(c->arena, len * sizeof *texts);
    for (size_t i = s->first; i < s->last; i++) {
        struct pack_value element = s->items[i].value, v = element;
        if (s->options.get_count == 0) texts[n++] = arena_copy(c->arena, value_text(c, v));
        for (size_t k = 0; k < s->options.get_count; k++) {
            bool found = look_up(c, *s->options.gets[k], element, &v);
            texts[n++] = found ? arena_copy(c->arena, value_text(c, v)) : SLICE("");
        }
    }
    CHECK(n == len);
    if (len > 0) {
        struct object *old = cmd_write(c, key);
        if (old != NULL) ks_clear(c->ks, c->db, old);
        list_push(c->ks, c->db, key, NULL, LIST_TAIL, texts, len);
        cmd_event(c, EVENT_LIST, "sortstore", key);
    } else if (cmd_delete(c, key)) {
        cmd_event(c, EVENT_GENERIC, "del", key);
    }
    reply_int(c->reply, (int64_t)len);
}

static void sort_key(struct cmd_ctx *c, bool may_store) {
    struct sort s = {.c = c};
    if (!parse_options(c, may_store, &s.options)) return;
    const struct object *o = cmd_read(c, c->argv[1]);
    if (o != NULL && o->type != OBJECT_LIST && o->type != OBJECT_SET && o->type != OBJECT_ZSET) {
        reply_error(c->reply, ERR_WRONGTYPE);
        return;
    }
    /* What is stored has an order, and a set has none to keep; a script may store what it is told. */
    bool may_be_stored = s.options.store != NULL || c->in_script;
    if (s.options.keep_order && o != NULL && o->type == OBJECT_SET && may_be_stored) {
        s.options.keep_order = false;
        s.options.alpha = true;
        s.options.by = NULL;
    }
    collect_all(&s, o);
    choose_range(&s);
    if (!s.options.keep_order) put_in_order(&s);
    if (s.not_a_number)
        reply_error(c->reply, "ERR One or more scores can't be converted into double");
    else if (s.options.store != NULL)
        store(&s);
    else
        answer(&s);
}

void cmd_sort(struct cmd_ctx *c) {
    sort_key(c, true);
}

void cmd_sort_ro(struct cmd_ctx *c) {
    sort_key(c, false);
}
