/* See feed.h. */
#include "feed.h"

#include "events.h"
#include "handlers.h"
#include "num.h"
#include "push.h"
#include "server.h"

void feed_init(struct feed *f) {
    list_init(&f->sessions);
    f->db = -1;
}

void feed_free(struct feed *f) {
    CHECK(f->count == 0);
    buf_free(&f->unit);
    buf_free(&f->out);
    buf_free(&f->reply);
}

/* --- who is fed --- */

void feed_attach(struct server *s, struct session *session) {
    CHECK(s->feed.unit_commands == 0);
    CHECK(!session->is_fed);
    session->is_fed = true;
    list_push_back(&s->feed.sessions, &session->feed_link);
    s->feed.count++;
    s->feed.db = -1;
    s->feed.pinged_ms = s->host->now_us(s->host) / 1000;
    events_configure(s);
}

void feed_detach(struct server *s, struct session *session) {
    if (!session->is_fed) return;
    session->is_fed = session->is_fed_live = false;
    list_unlink(&session->feed_link);
    s->feed.count--;
    events_configure(s);
}

static void send(struct server *s, struct slice bytes) {
    s->feed.offset += bytes.len;
    LIST_FOR_EACH_SAFE(it, &s->feed.sessions) {
        push_bytes(s, container_of(it, struct session, feed_link), bytes);
    }
}

/* --- a unit --- */

static void add_request(struct buf *out, int argc, const struct slice *argv) {
    buf_printf(out, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) {
        buf_printf(out, "$%zu\r\n", argv[i].len);
        buf_add_slice(out, argv[i]);
        buf_add_str(out, "\r\n");
    }
}

static void add_select(struct buf *out, int db) {
    char text[NUM_I64_MAX_LEN];
    struct slice argv[] = {SLICE("SELECT"), slice_make(text, format_i64(text, db))};
    add_request(out, 2, argv);
}

void feed_add(struct server *s, int db, int argc, const struct slice *argv) {
    struct feed *f = &s->feed;
    if (f->unit_commands == 0)
        f->unit_first_db = db;
    else if (db != f->unit_db)
        add_select(&f->unit, db);
    f->unit_db = db;
    f->unit_commands++;
    add_request(&f->unit, argc, argv);
}

void feed_end_unit(struct server *s) {
    enum { KEPT_MAX = 1 << 20 };
    struct feed *f = &s->feed;
    bool is_whole = f->unit_commands > 1; /* one command is whole by itself */
    if (f->unit_commands == 0) return;
    buf_clear(&f->out);
    if (f->db != f->unit_first_db) add_select(&f->out, f->unit_first_db);
    if (is_whole) add_request(&f->out, 1, &SLICE("MULTI"));
    buf_add_slice(&f->out, buf_slice(&f->unit));
    if (is_whole) add_request(&f->out, 1, &SLICE("EXEC"));
    f->db = f->unit_db;
    f->unit_commands = 0;
    buf_clear(&f->unit);
    send(s, buf_slice(&f->out));
    if (f->unit.cap > KEPT_MAX) buf_free(&f->unit);
    if (f->out.cap > KEPT_MAX) buf_free(&f->out);
}

/* --- commands --- */

static uint64_t changes_of(const struct cmd_ctx *c) {
    struct ks_stats stats;
    ks_stats(c->ks, &stats);
    return stats.changes;
}

/* A reply that nobody waits for is needed here all the same: it says what was taken. */
void feed_before(struct cmd_ctx *c, struct feed_mark *mark) {
    struct feed *f = &c->server->feed;
    *mark = (struct feed_mark){changes_of(c), c->reply->error_count, c->reply->out, 0};
    if (c->cmd->runs_scripts) return;
    if (mark->out == NULL) {
        buf_clear(&f->reply);
        c->reply->out = &f->reply;
    }
    mark->out_len = c->reply->out->len;
}

/* Whether Redis would tell of it; EVAL and its like it tells of by what they called. */
static bool is_told(const struct cmd_ctx *c, const struct feed_mark *mark) {
    const struct command *cmd = c->cmd;
    if (cmd->fn == cmd_publish || cmd->fn == cmd_spublish) return true;
    if ((cmd->flags & (CMD_WRITE | CMD_UNSAID | CMD_INTERNAL)) != CMD_WRITE) return false;
    if (cmd->fn == cmd_flushall || cmd->fn == cmd_flushdb) return c->reply->error_count == mark->errors;
    return changes_of(c) != mark->changes;
}

static void tell(struct cmd_ctx *c, const struct feed_mark *mark, struct slice reply) {
    if (!is_told(c, mark)) return;
    if (!feed_effects(c, reply)) feed_add(c->server, c->db, c->argc, c->argv);
}

void feed_after(struct cmd_ctx *c, const struct feed_mark *mark) {
    if (c->cmd->runs_scripts) return;
    const struct buf *out = c->reply->out;
    struct slice reply = slice_make(out->data + mark->out_len, out->len - mark->out_len);
    c->reply->out = mark->out;
    if (c->cmd->fn == cmd_serve) {
        struct cmd_ctx served = *c;
        served.argc -= 2;
        served.argv += 2;
        served.cmd = command_lookup(served.argc, served.argv);
        CHECK(served.cmd != NULL);
        tell(&served, mark, reply);
    } else {
        tell(c, mark, reply);
    }
}

void feed_expired(struct server *s, int db, struct slice key) {
    struct slice argv[] = {SLICE("DEL"), key};
    feed_add(s, db, 2, argv);
}

void feed_tick(struct server *s, int64_t now_ms) {
    struct feed *f = &s->feed;
    if (!feed_is_on(f) || now_ms - f->pinged_ms < s->config.repl_ping_replica_period * 1000) return;
    f->pinged_ms = now_ms;
    buf_clear(&f->out);
    add_request(&f->out, 1, &SLICE("PING"));
    send(s, buf_slice(&f->out));
}
