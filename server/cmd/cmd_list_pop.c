/* Taking elements out of lists: at once, or, in the commands that begin with B, as soon as there are some (cmd_block.h). */
#include "cmd_block.h"
#include "cmd_list.h"
#include "handlers.h"

/* The outermost element, whose text stands in *out. The key stays, empty or not. */
static void take(struct cmd_ctx *c, struct object *o, enum list_end end, struct buf *out) {
    buf_clear(out);
    list_pop(c->ks, c->db, o, end, out);
}

/* After elements were taken; an empty list goes. */
static void taken(struct cmd_ctx *c, struct slice key, struct object *o, enum list_end end) {
    list_tell(c, end == LIST_HEAD ? "lpop" : "rpop", key);
    list_drop_empty(c, o, key);
}

static void pop_one(struct cmd_ctx *c, struct slice key, struct object *o, enum list_end end) {
    struct buf value = {0};
    take(c, o, end, &value);
    reply_bulk(c->reply, buf_slice(&value));
    buf_free(&value);
    taken(c, key, o, end);
}

/* An array, outermost first. */
static void pop_many(struct cmd_ctx *c, struct slice key, struct object *o, enum list_end end, uint64_t max) {
    uint64_t len = list_len(o), count = max < len ? max : len;
    list_reply_range(c, o, end == LIST_HEAD ? 0 : len - 1, count, end == LIST_TAIL);
    list_remove_range(c->ks, c->db, o, end == LIST_HEAD ? 0 : len - count, count);
    taken(c, key, o, end);
}

/* --- LPOP, RPOP --- */

static void pop(struct cmd_ctx *c, enum list_end end) {
    int64_t count = 0;
    bool many = c->argc == 3;
    if (c->argc > 3) {
        reply_errorf(c->reply, "ERR wrong number of arguments for '%s' command", c->cmd->name);
        return;
    }
    if (many &&
        !cmd_arg_long_in(c, c->argv[2], 0, INT64_MAX, &count, "ERR value is out of range, must be positive"))
        return;
    struct object *o = cmd_write(c, c->argv[1]);
    if (!cmd_is_type(c, o, OBJECT_LIST)) return;
    if (o == NULL && many)
        reply_null_array(c->reply);
    else if (o == NULL)
        reply_null(c->reply);
    else if (!many)
        pop_one(c, c->argv[1], o, end);
    else if (count == 0)
        reply_array(c->reply, 0);
    else
        pop_many(c, c->argv[1], o, end, (uint64_t)count);
}

void cmd_lpop(struct cmd_ctx *c) {
    pop(c, LIST_HEAD);
}
void cmd_rpop(struct cmd_ctx *c) {
    pop(c, LIST_TAIL);
}

/* --- LMOVE and its kin --- */

/* `from` is a list; the destination may be anything, the same list too, which then keeps its deadline. */
static void move_between(struct cmd_ctx *c, struct object *from, enum list_end out, struct slice to_key,
                         enum list_end in) {
    struct object *to = cmd_write(c, to_key);
    if (!cmd_is_type(c, to, OBJECT_LIST)) return;
    struct buf value = {0};
    take(c, from, out, &value);
    struct slice text = buf_slice(&value);
    list_push(c->ks, c->db, to_key, to, in, &text, 1);
    list_tell_push(c, in, to_key);
    reply_bulk(c->reply, text);
    buf_free(&value);
    taken(c, c->argv[1], from, out);
}

static void move(struct cmd_ctx *c, enum list_end out, enum list_end in) {
    struct object *from = cmd_write(c, c->argv[1]);
    if (!cmd_is_type(c, from, OBJECT_LIST)) return;
    if (from == NULL)
        reply_null(c->reply);
    else
        move_between(c, from, out, c->argv[2], in);
}

void cmd_lmove(struct cmd_ctx *c) {
    enum list_end out, in;
    if (list_arg_end(c, c->argv[3], &out) && list_arg_end(c, c->argv[4], &in)) move(c, out, in);
}

void cmd_rpoplpush(struct cmd_ctx *c) {
    move(c, LIST_TAIL, LIST_HEAD);
}

static void move_or_wait(struct cmd_ctx *c, enum list_end out, enum list_end in, struct slice timeout) {
    int64_t timeout_ms;
    struct object *from;
    if (!cmd_arg_timeout(c, timeout, &timeout_ms)) return;
    if (!cmd_blocking_key(c, c->argv[1], OBJECT_LIST, &from)) return;
    if (from != NULL)
        move_between(c, from, out, c->argv[2], in);
    else if (!cmd_block(c, OBJECT_LIST, 1, 1, timeout_ms))
        reply_null(c->reply);
}

void cmd_blmove(struct cmd_ctx *c) {
    enum list_end out, in;
    if (list_arg_end(c, c->argv[3], &out) && list_arg_end(c, c->argv[4], &in))
        move_or_wait(c, out, in, c->argv[5]);
}

void cmd_brpoplpush(struct cmd_ctx *c) {
    move_or_wait(c, LIST_TAIL, LIST_HEAD, c->argv[3]);
}

/* --- of several keys --- */

static void pop_or_wait(struct cmd_ctx *c, enum list_end end) {
    int last = c->argc - 1;
    int64_t timeout_ms;
    if (!cmd_arg_timeout(c, c->argv[last], &timeout_ms)) return;
    for (int i = 1; i < last; i++) {
        struct object *o;
        if (!cmd_blocking_key(c, c->argv[i], OBJECT_LIST, &o)) return;
        if (o == NULL) continue;
        reply_array(c->reply, 2);
        reply_bulk(c->reply, c->argv[i]);
        pop_one(c, c->argv[i], o, end);
        return;
    }
    if (!cmd_block(c, OBJECT_LIST, 1, last - 1, timeout_ms)) reply_null_array(c->reply);
}

void cmd_blpop(struct cmd_ctx *c) {
    pop_or_wait(c, LIST_HEAD);
}
void cmd_brpop(struct cmd_ctx *c) {
    pop_or_wait(c, LIST_TAIL);
}

/* [timeout] numkeys key ... LEFT|RIGHT [COUNT n] */
struct mpop {
    int first_key, key_count;
    enum list_end end;
    int64_t count;
};

/* False after answering. */
static bool parse_mpop(struct cmd_ctx *c, int at, struct mpop *out) {
    int64_t keys;
    if (!cmd_arg_long_in(c, c->argv[at], 1, INT64_MAX, &keys, "ERR numkeys should be greater than 0"))
        return false;
    if (keys >= c->argc - at - 1) {
        reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    *out = (struct mpop){.first_key = at + 1, .key_count = (int)keys, .count = -1};
    int i = at + 1 + out->key_count;
    if (!list_arg_end(c, c->argv[i++], &out->end)) return false;
    for (; i < c->argc; i += 2) {
        if (out->count != -1 || !slice_is(c->argv[i], "count") || i + 1 >= c->argc) {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
        if (!cmd_arg_long_in(c, c->argv[i + 1], 1, INT64_MAX, &out->count,
                             "ERR count should be greater than 0"))
            return false;
    }
    if (out->count == -1) out->count = 1;
    return true;
}

static void pop_with_key(struct cmd_ctx *c, struct slice key, struct object *o, const struct mpop *args) {
    reply_array(c->reply, 2);
    reply_bulk(c->reply, key);
    pop_many(c, key, o, args->end, (uint64_t)args->count);
}

void cmd_lmpop(struct cmd_ctx *c) {
    struct mpop args;
    if (!parse_mpop(c, 1, &args)) return;
    for (int i = 0; i < args.key_count; i++) {
        struct slice key = c->argv[args.first_key + i];
        struct object *o = cmd_write(c, key);
        if (!cmd_is_type(c, o, OBJECT_LIST)) return;
        if (o == NULL) continue;
        pop_with_key(c, key, o, &args);
        return;
    }
    reply_null_array(c->reply);
}

void cmd_blmpop(struct cmd_ctx *c) {
    struct mpop args;
    int64_t timeout_ms;
    if (!parse_mpop(c, 2, &args) || !cmd_arg_timeout(c, c->argv[1], &timeout_ms)) return;
    for (int i = 0; i < args.key_count; i++) {
        struct slice key = c->argv[args.first_key + i];
        struct object *o;
        if (!cmd_blocking_key(c, key, OBJECT_LIST, &o)) return;
        if (o == NULL) continue;
        pop_with_key(c, key, o, &args);
        return;
    }
    if (!cmd_block(c, OBJECT_LIST, args.first_key, args.key_count, timeout_ms)) reply_null_array(c->reply);
}
