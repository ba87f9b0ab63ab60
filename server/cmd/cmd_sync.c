/* REPLCONF, SYNC and PSYNC: for who wants a copy of the data as an RDB file (redis-cli --rdb and --functions-rdb), and, unless it
 * says that the copy is all (`rdb-only`), what is written from then on (feed.h; redis-cli --replica). The copy is made and sent
 * by the host. A Redis server that wants to become a replica is refused: nothing here takes its acknowledgements. */
#include "handlers.h"
#include "server.h"

#define NO_REPLICAS                                                                                          \
    "ERR replicas of Redis cannot follow this server: nodes replicate through the Raft log. A copy of the "  \
    "data "                                                                                                  \
    "is what redis-cli --rdb asks for"

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool take_word(struct slice *text, struct slice *word) {
    size_t begin = 0, end;
    while (begin < text->len && is_blank(text->data[begin])) begin++;
    for (end = begin; end < text->len && !is_blank(text->data[end]);) end++;
    *word = slice_make(text->data + begin, end - begin);
    *text = slice_make(text->data + end, text->len - end);
    return word->len > 0;
}

/* False after answering. */
static bool take_filter(struct cmd_ctx *c, struct slice words) {
    struct copy_wishes *w = &c->session->wishes;
    struct slice word;
    w->no_data = w->no_functions = true;
    while (take_word(&words, &word)) {
        if (!slice_is(word, "functions")) {
            reply_errorf(c->reply, "ERR Unsupported rdb-filter-only option: %.*s", cmd_quoted(word),
                         word.data);
            return false;
        }
        w->no_functions = false;
    }
    return true;
}

/* False after answering, or when nothing is to be answered. */
static bool take_option(struct cmd_ctx *c, struct slice name, struct slice value) {
    enum { ADDRESS_MAX = 46 };
    struct copy_wishes *w = &c->session->wishes;
    int64_t number;
    if (slice_is(name, "capa")) {
        if (slice_is(value, "eof")) w->takes_mark = true;
    } else if (slice_is(name, "rdb-only")) {
        if (!cmd_arg_long_in(c, value, 0, 1, &number, NULL)) return false;
        w->no_feed = number != 0;
    } else if (slice_is(name, "rdb-filter-only")) {
        return take_filter(c, value);
    } else if (slice_is(name, "listening-port")) {
        if (!cmd_arg_i64(c, value, &number, NULL)) return false;
        w->is_replica = true;
    } else if (slice_is(name, "ip-address")) {
        if (value.len < ADDRESS_MAX) return true;
        reply_errorf(c->reply, "ERR REPLCONF ip-address provided by replica instance is too long: %zu bytes",
                     value.len);
        return false;
    } else if (slice_is(name, "ack") || slice_is(name, "getack")) {
        return false; /* of replicas, which expect no answer */
    } else {
        reply_errorf(c->reply, "ERR Unrecognized REPLCONF option: %.*s", cmd_quoted(name), name.data);
        return false;
    }
    return true;
}

void cmd_replconf(struct cmd_ctx *c) {
    if (c->argc % 2 == 0) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    for (int i = 1; i < c->argc; i += 2)
        if (!take_option(c, c->argv[i], c->argv[i + 1])) return;
    reply_ok(c->reply);
}

void cmd_sync(struct cmd_ctx *c) {
    const struct copy_wishes *w = &c->session->wishes;
    if ((w->no_data || w->no_functions) && !w->takes_mark) {
        reply_error(c->reply, "ERR Filtered replica requires EOF capability");
    } else if (w->is_replica) {
        reply_error(c->reply, NO_REPLICAS);
    } else if (c->server->host->copy(c->server->host, c->session) != RC_OK) {
        reply_error(c->reply, "ERR too many copies of the data are being sent already: try again later");
    }
}

void cmd_psync(struct cmd_ctx *c) {
    c->session->wishes.is_replica = true; /* it will try SYNC next */
    reply_error(c->reply, NO_REPLICAS);
}
