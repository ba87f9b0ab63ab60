/* The commands of streams that have nothing to do with groups: options, limits, replies, in the order Redis checks them. How
 * entries are kept is type_stream.c's. */
#include "cmd_stream.h"
#include "events.h"
#include "handlers.h"

/* --- options of XADD and XTRIM --- */

enum trim_by { TRIM_NOT, TRIM_BY_LENGTH, TRIM_BY_ID };

struct add_options {
    struct stream_id id;
    bool id_given, seq_given;
    bool no_stream; /* none is to be made */
    enum trim_by by;
    struct stream_trim trim;
    int64_t limit;
    bool limit_given;
};

/* MAXLEN or MINID, at *i: its operator, and what it compares with. */
static bool parse_threshold(struct cmd_ctx *c, int *i, enum trim_by by, struct add_options *o) {
    if (o->by != TRIM_NOT) {
        reply_error(c->reply,
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        return false;
    }
    struct slice next = c->argv[*i + 1];
    int more = c->argc - 1 - *i;
    o->trim.whole_nodes = more >= 2 && slice_eq(next, SLICE("~"));
    if (o->trim.whole_nodes || (more >= 2 && slice_eq(next, SLICE("=")))) ++*i;
    struct slice threshold = c->argv[++*i];
    o->by = by;
    o->trim.by_length = by == TRIM_BY_LENGTH;
    if (by == TRIM_BY_ID) return cmd_stream_id(c, threshold, 0, &o->trim.id_min);
    int64_t length;
    if (!cmd_arg_i64(c, threshold, &length, NULL)) return false;
    if (length < 0) {
        reply_error(c->reply, "ERR The MAXLEN argument must be >= 0.");
        return false;
    }
    o->trim.length_max = (uint64_t)length;
    return true;
}

static bool parse_limit(struct cmd_ctx *c, struct slice arg, struct add_options *o) {
    if (!cmd_arg_i64(c, arg, &o->limit, NULL)) return false;
    if (o->limit < 0) {
        reply_error(c->reply, "ERR The LIMIT argument must be >= 0.");
        return false;
    }
    o->limit_given = true;
    return true;
}

/* An unbounded ~ would stop the world for as long as it takes. */
static int64_t default_limit(struct cmd_ctx *c) {
    int64_t limit = 100 * ks_limits(c->ks)->stream_node_max_entries;
    if (limit <= 0) return 10000;
    return limit > 1000000 ? 1000000 : limit;
}

static bool options_fit(struct cmd_ctx *c, bool is_add, struct add_options *o) {
    const char *error = NULL;
    if (o->limit != 0 && o->by == TRIM_NOT)
        error = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
    else if (!is_add && o->by == TRIM_NOT)
        error = "ERR syntax error, XTRIM must be called with a trimming strategy";
    else if (o->limit_given && !o->trim.whole_nodes)
        error = "ERR syntax error, LIMIT cannot be used without the special ~ option";
    if (error != NULL) {
        reply_error(c->reply, error);
        return false;
    }
    if (!o->limit_given && o->trim.whole_nodes) o->limit = default_limit(c);
    o->trim.deletes_max = (uint64_t)o->limit;
    return true;
}

/* XADD's options end with the id, whose place is *end. */
static bool parse_options(struct cmd_ctx *c, bool is_add, struct add_options *o, int *end) {
    int i = 2;
    for (; i < c->argc; i++) {
        bool more = i + 1 < c->argc;
        struct slice word = c->argv[i];
        if (is_add && slice_eq(word, SLICE("*"))) break;
        if (more && slice_is(word, "maxlen")) {
            if (!parse_threshold(c, &i, TRIM_BY_LENGTH, o)) return false;
        } else if (more && slice_is(word, "minid")) {
            if (!parse_threshold(c, &i, TRIM_BY_ID, o)) return false;
        } else if (more && slice_is(word, "limit")) {
            if (!parse_limit(c, c->argv[++i], o)) return false;
        } else if (is_add && slice_is(word, "nomkstream")) {
            o->no_stream = true;
        } else if (is_add) {
            o->id_given = stream_id_parse(word, 0, true, &o->id, &o->seq_given);
            if (!o->id_given) reply_error(c->reply, ERR_STREAM_ID);
            if (!o->id_given) return false;
            break;
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    *end = i;
    return options_fit(c, is_add, o);
}

/* --- XADD, XTRIM, XDEL --- */

static void tell(struct cmd_ctx *c, const char *event) {
    cmd_event(c, EVENT_STREAM, event, c->argv[1]);
}

/* The id of the next entry; false when there is none, or the one asked for has passed. */
static bool next_id(const struct cmd_ctx *c, const struct add_options *o, struct stream_id last,
                    struct stream_id *id) {
    if (o->id_given && o->seq_given) {
        *id = o->id;
        return stream_id_cmp(*id, last) > 0;
    }
    uint64_t ms = o->id_given ? o->id.ms : (uint64_t)c->now_ms;
    if (ms > last.ms) {
        *id = (struct stream_id){ms, 0};
        return true;
    }
    *id = last;
    if (!o->id_given) return stream_id_next(id);
    if (ms < last.ms || last.seq == UINT64_MAX) return false;
    id->seq++;
    return true;
}

void cmd_xadd(struct cmd_ctx *c) {
    struct add_options options = {.by = TRIM_NOT};
    int at;
    if (!parse_options(c, true, &options, &at)) return;
    int first = at + 1, count = c->argc - first;
    if (count < 2 || count % 2 == 1) {
        reply_error(c->reply, "ERR wrong number of arguments for 'xadd' command");
        return;
    }
    if (options.id_given && options.seq_given && stream_id_is_zero(options.id)) {
        reply_error(c->reply, "ERR The ID specified in XADD must be greater than 0-0");
        return;
    }
    struct object *o;
    if (!cmd_stream_write(c, c->argv[1], &o)) return;
    if (o == NULL && options.no_stream) {
        reply_null(c->reply);
        return;
    }
    struct stream_id id, last = o ? stream_state(o)->last : (struct stream_id){0, 0};
    if (stream_id_cmp(last, STREAM_ID_MAX) == 0) {
        reply_error(c->reply, "ERR The stream has exhausted the last possible ID, unable to add more items");
        return;
    }
    if (!next_id(c, &options, last, &id)) {
        reply_error(c->reply,
                    "ERR The ID specified in XADD is equal or smaller than the target stream top item");
        return;
    }
    size_t size = 0;
    for (int i = first; i < c->argc; i++) size += c->argv[i].len;
    if (size > STREAM_ENTRY_BYTES_MAX) {
        reply_error(c->reply, "ERR Elements are too large to be stored");
        return;
    }
    if (o == NULL) o = stream_create(c->ks, c->db, c->argv[1]);
    stream_append(c->ks, c->db, o, id, c->argv + first, (size_t)count / 2);
    reply_stream_id(c->reply, id);
    tell(c, "xadd");
    if (options.by != TRIM_NOT && stream_trim(c->ks, c->db, o, &options.trim) > 0) tell(c, "xtrim");
    ks_signal(c->ks, c->db, c->argv[1]);
}

void cmd_xtrim(struct cmd_ctx *c) {
    struct add_options options = {.by = TRIM_NOT};
    int end;
    struct object *o;
    if (!parse_options(c, false, &options, &end)) return;
    if (!cmd_stream_write(c, c->argv[1], &o)) return;
    uint64_t trimmed = o ? stream_trim(c->ks, c->db, o, &options.trim) : 0;
    if (trimmed > 0) tell(c, "xtrim");
    reply_int(c->reply, (int64_t)trimmed);
}

void cmd_xdel(struct cmd_ctx *c) {
    struct object *o;
    if (!cmd_stream_write(c, c->argv[1], &o)) return;
    if (o == NULL) {
        reply_int(c->reply, 0);
        return;
    }
    struct stream_id id;
    for (int i = 2; i < c->argc; i++) {
        if (!cmd_stream_id(c, c->argv[i], 0, &id)) return;
    }
    int64_t deleted = 0;
    for (int i = 2; i < c->argc; i++) {
        (void)stream_id_parse(c->argv[i], 0, true, &id, NULL);
        deleted += stream_delete(c->ks, c->db, o, id);
    }
    if (deleted > 0) tell(c, "xdel");
    reply_int(c->reply, deleted);
}

/* --- reading --- */

void cmd_xlen(struct cmd_ctx *c) {
    struct object *o;
    if (cmd_stream_read(c, c->argv[1], &o)) reply_int(c->reply, o ? (int64_t)stream_state(o)->length : 0);
}

static void range(struct cmd_ctx *c, bool reverse) {
    struct stream_id from, to;
    int64_t count = -1;
    if (!cmd_stream_start(c, c->argv[reverse ? 3 : 2], &from)) return;
    if (!cmd_stream_end(c, c->argv[reverse ? 2 : 3], &to)) return;
    for (int i = 4; i < c->argc; i += 2) {
        if (i + 1 == c->argc || !slice_is(c->argv[i], "count")) {
            reply_error(c->reply, ERR_SYNTAX);
            return;
        }
        if (!cmd_arg_i64(c, c->argv[i + 1], &count, NULL)) return;
        if (count < 0) count = 0;
    }
    struct object *o;
    if (!cmd_stream_read(c, c->argv[1], &o)) return;
    if (o == NULL) {
        reply_array(c->reply, 0);
    } else if (count == 0) {
        reply_null_array(c->reply);
    } else {
        reply_stream_range(c->reply, o, from, to, count < 0 ? 0 : (uint64_t)count, reverse);
    }
}

void cmd_xrange(struct cmd_ctx *c) {
    range(c, false);
}

void cmd_xrevrange(struct cmd_ctx *c) {
    range(c, true);
}

/* --- XSETID --- */

struct setid_options {
    int64_t entries_added; /* -1: as it is */
    struct stream_id max_deleted;
};

static bool parse_setid(struct cmd_ctx *c, struct stream_id id, struct setid_options *o) {
    for (int i = 3; i < c->argc; i += 2) {
        const char *error = ERR_SYNTAX;
        if (i + 1 < c->argc && slice_is(c->argv[i], "entriesadded")) {
            if (!cmd_arg_i64(c, c->argv[i + 1], &o->entries_added, NULL)) return false;
            error = o->entries_added < 0 ? "ERR entries_added must be positive" : NULL;
        } else if (i + 1 < c->argc && slice_is(c->argv[i], "maxdeletedid")) {
            if (!cmd_stream_id(c, c->argv[i + 1], 0, &o->max_deleted)) return false;
            error = stream_id_cmp(id, o->max_deleted) < 0
                        ? "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
                        : NULL;
        }
        if (error == NULL) continue;
        reply_error(c->reply, error);
        return false;
    }
    return true;
}

void cmd_xsetid(struct cmd_ctx *c) {
    struct stream_id id;
    struct setid_options options = {.entries_added = -1};
    struct object *o;
    if (!cmd_stream_id(c, c->argv[2], 0, &id) || !parse_setid(c, id, &options)) return;
    if (!cmd_stream_write(c, c->argv[1], &o)) return;
    const char *error = NULL;
    struct stream_state state = o ? *stream_state(o) : (struct stream_state){0};
    if (o == NULL)
        error = ERR_NO_SUCH_KEY;
    else if (state.length > 0 && stream_id_cmp(id, stream_last_entry(o)) < 0)
        error = "ERR The ID specified in XSETID is smaller than the target stream top item";
    else if (state.length > 0 && options.entries_added != -1 &&
             state.length > (uint64_t)options.entries_added)
        error = "ERR The entries_added specified in XSETID is smaller than the target stream length";
    if (error != NULL) {
        reply_error(c->reply, error);
        return;
    }
    state.last = id;
    if (options.entries_added != -1) state.entries_added = (uint64_t)options.entries_added;
    if (!stream_id_is_zero(options.max_deleted)) state.max_deleted = options.max_deleted;
    stream_set_state(c->ks, c->db, o, &state);
    tell(c, "xsetid");
    reply_ok(c->reply);
}
