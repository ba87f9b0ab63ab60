/* Commands of lists. Those that wait for an element are cmd_list_pop.c's, with those that take elements out of several keys. */
#include "cmd_list.h"

#include "events.h"
#include "handlers.h"

bool list_arg_end(struct cmd_ctx *c, struct slice arg, enum list_end *end) {
    bool right = slice_is(arg, "right");
    if (!right && !slice_is(arg, "left")) {
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    *end = right ? LIST_TAIL : LIST_HEAD;
    return true;
}

/* `index` counts from the back when negative; the first `len` positions count. */
static int64_t from_front(int64_t index, uint64_t len) {
    return index < 0 ? index + (int64_t)len : index;
}

/* --- events --- */

void list_tell(struct cmd_ctx *c, const char *event, struct slice key) {
    cmd_event(c, EVENT_LIST, event, key);
}

void list_tell_push(struct cmd_ctx *c, enum list_end end, struct slice key) {
    list_tell(c, end == LIST_HEAD ? "lpush" : "rpush", key);
}

void list_drop_empty(struct cmd_ctx *c, struct object *o, struct slice key) {
    if (list_drop_if_empty(c->ks, c->db, o)) cmd_event(c, EVENT_GENERIC, "del", key);
}

/* --- pushing --- */

static void push(struct cmd_ctx *c, enum list_end end, bool only_if_there) {
    struct object *o = cmd_write(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    if (o == NULL && only_if_there) {
        reply_int(c->reply, 0);
        return;
    }
    o = list_push(c->ks, c->db, c->argv[1], o, end, c->argv + 2, (size_t)c->argc - 2);
    list_tell_push(c, end, c->argv[1]);
    reply_int(c->reply, (int64_t)list_len(o));
}

void cmd_lpush(struct cmd_ctx *c) {
    push(c, LIST_HEAD, false);
}
void cmd_rpush(struct cmd_ctx *c) {
    push(c, LIST_TAIL, false);
}
void cmd_lpushx(struct cmd_ctx *c) {
    push(c, LIST_HEAD, true);
}
void cmd_rpushx(struct cmd_ctx *c) {
    push(c, LIST_TAIL, true);
}

void cmd_linsert(struct cmd_ctx *c) {
    bool before = slice_is(c->argv[2], "before");
    if (!before && !slice_is(c->argv[2], "after")) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    struct object *o = cmd_write(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    if (o == NULL) {
        reply_int(c->reply, 0);
    } else if (!list_insert(c->ks, c->db, o, c->argv[3], before, c->argv[4])) {
        reply_int(c->reply, -1);
    } else {
        list_tell(c, "linsert", c->argv[1]);
        reply_int(c->reply, (int64_t)list_len(o));
    }
}

/* --- looking --- */

void cmd_llen(struct cmd_ctx *c) {
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    reply_int(c->reply, o == NULL ? 0 : (int64_t)list_len(o));
}

void cmd_lindex(struct cmd_ctx *c) {
    int64_t index;
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    if (o == NULL) {
        reply_null(c->reply);
        return;
    }
    if (!cmd_arg_i64(c, c->argv[2], &index, NULL)) return;
    index = from_front(index, list_len(o));
    struct list_walk w = list_walk_from(o, index < 0 ? UINT64_MAX : (uint64_t)index, false);
    if (list_walk_ended(&w))
        reply_null(c->reply);
    else
        reply_bulk(c->reply, list_walk_text(&w));
}

void list_reply_range(struct cmd_ctx *c, const struct object *o, uint64_t from, uint64_t count,
                      bool backwards) {
    reply_array(c->reply, count);
    struct list_walk w = list_walk_from(o, from, backwards);
    for (; count > 0; count--, list_walk_step(&w)) reply_bulk(c->reply, list_walk_text(&w));
}

/* What of a list of `len` elements lies between two positions, both included, either of which may lie outside. */
static void clip(int64_t start, int64_t stop, uint64_t len, uint64_t *from, uint64_t *count) {
    start = from_front(start, len);
    stop = from_front(stop, len);
    if (start < 0) start = 0;
    if (stop >= (int64_t)len) stop = (int64_t)len - 1;
    bool is_empty = start > stop;
    *from = is_empty ? 0 : (uint64_t)start;
    *count = is_empty ? 0 : (uint64_t)(stop - start) + 1;
}

void cmd_lrange(struct cmd_ctx *c) {
    int64_t start, stop;
    uint64_t from, count;
    if (!cmd_arg_i64(c, c->argv[2], &start, NULL) || !cmd_arg_i64(c, c->argv[3], &stop, NULL)) return;
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    if (o == NULL) {
        reply_array(c->reply, 0);
        return;
    }
    clip(start, stop, list_len(o), &from, &count);
    list_reply_range(c, o, from, count, false);
}

/* --- LPOS --- */

struct lpos {
    int64_t rank, count, maxlen; /* count -1: not given */
};

/* False after answering. */
static bool parse_lpos(struct cmd_ctx *c, struct lpos *out) {
    *out = (struct lpos){.rank = 1, .count = -1};
    for (int i = 3; i < c->argc; i++) {
        bool has_value = i + 1 < c->argc;
        if (has_value && slice_is(c->argv[i], "rank")) {
            if (!cmd_arg_i64(c, c->argv[++i], &out->rank, NULL)) return false;
            if (out->rank == INT64_MIN)
                out->rank = -1; /* its opposite is itself: the first match is late enough */
            if (out->rank != 0) continue;
            reply_error(c->reply,
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
                        "or use negative to start from the end of the list");
            return false;
        } else if (has_value && slice_is(c->argv[i], "count")) {
            if (!cmd_arg_long_in(c, c->argv[++i], 0, INT64_MAX, &out->count, "ERR COUNT can't be negative"))
                return false;
        } else if (has_value && slice_is(c->argv[i], "maxlen")) {
            if (!cmd_arg_long_in(c, c->argv[++i], 0, INT64_MAX, &out->maxlen, "ERR MAXLEN can't be negative"))
                return false;
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    return true;
}

/* With COUNT an array of positions, else the one position or null. */
static void find_positions(struct cmd_ctx *c, const struct object *o, const struct lpos *args) {
    bool backwards = args->rank < 0, many = args->count >= 0;
    uint64_t rank = (uint64_t)(backwards ? -args->rank : args->rank), len = list_len(o), matches = 0;
    uint64_t looks = args->maxlen == 0 || (uint64_t)args->maxlen > len ? len : (uint64_t)args->maxlen;
    uint64_t wanted = !many ? 1 : args->count == 0 ? UINT64_MAX : (uint64_t)args->count, found = 0;
    struct pack_value v = pack_text(c->argv[2]);
    struct list_walk w = list_walk_from(o, backwards ? len - 1 : 0, backwards);
    size_t mark = many ? reply_defer(c->reply) : 0;
    for (uint64_t i = 0; i < looks && found < wanted; i++, list_walk_step(&w)) {
        if (!list_walk_is(&w, &v) || ++matches < rank) continue;
        reply_int(c->reply, (int64_t)(backwards ? len - 1 - i : i));
        found++;
    }
    if (many)
        reply_close_array(c->reply, mark, found);
    else if (found == 0)
        reply_null(c->reply);
}

void cmd_lpos(struct cmd_ctx *c) {
    struct lpos args;
    if (!parse_lpos(c, &args)) return;
    const struct object *o = cmd_read(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    if (o != NULL)
        find_positions(c, o, &args);
    else if (args.count >= 0)
        reply_array(c->reply, 0);
    else
        reply_null(c->reply);
}

/* --- changing --- */

void cmd_lset(struct cmd_ctx *c) {
    int64_t index;
    struct object *o = cmd_write(c, c->argv[1]);
    if (o == NULL) {
        reply_error(c->reply, ERR_NO_SUCH_KEY);
        return;
    }
    if (!cmd_is_type(c, o, OBJECT_LIST) || !cmd_arg_i64(c, c->argv[2], &index, NULL)) return;
    index = from_front(index, list_len(o));
    if (index < 0 || (uint64_t)index >= list_len(o)) {
        reply_error(c->reply, ERR_OUT_OF_RANGE);
        return;
    }
    list_set(c->ks, c->db, o, (uint64_t)index, c->argv[3]);
    list_tell(c, "lset", c->argv[1]);
    reply_ok(c->reply);
}

void cmd_lrem(struct cmd_ctx *c) {
    int64_t count;
    if (!cmd_arg_i64(c, c->argv[2], &count, NULL)) return;
    struct object *o = cmd_write(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    uint64_t removed = 0;
    if (o != NULL) {
        uint64_t max = count == 0 ? UINT64_MAX : count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
        removed = list_remove(c->ks, c->db, o, count < 0 ? LIST_TAIL : LIST_HEAD, max, c->argv[3]);
        if (removed > 0) list_tell(c, "lrem", c->argv[1]);
        list_drop_empty(c, o, c->argv[1]);
    }
    reply_int(c->reply, (int64_t)removed);
}

void cmd_ltrim(struct cmd_ctx *c) {
    int64_t start, stop;
    uint64_t from, count;
    if (!cmd_arg_i64(c, c->argv[2], &start, NULL) || !cmd_arg_i64(c, c->argv[3], &stop, NULL)) return;
    struct object *o = cmd_write(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    if (o != NULL) {
        uint64_t len = list_len(o);
        clip(start, stop, len, &from, &count);
        list_remove_range(c->ks, c->db, o, from + count, len - from - count);
        list_remove_range(c->ks, c->db, o, 0, from);
        list_tell(c, "ltrim", c->argv[1]);
        list_drop_empty(c, o, c->argv[1]);
    }
    reply_ok(c->reply);
}
