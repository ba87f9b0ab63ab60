/* MULTI, EXEC, DISCARD, WATCH, UNWATCH, and the queue they are about. EXEC comes here only when there is nothing to execute:
 * the node takes the queue otherwise (README, "Transactions"). */
#include "cmd.h"
#include "entry.h"
#include "cmd_script.h"
#include "handlers.h"
#include "num.h"
#include "server.h"

#include <string.h>

void transaction_init(struct transaction *t) {
    list_init(&t->watches);
}

/* The database of what follows a SELECT is known before it runs: whether it will succeed depends on nothing else. */
static void follow_select(struct server *server, struct transaction *t, struct slice arg) {
    int64_t db = 0;
    if (parse_i64(arg, &db) && db >= 0 && db < server->config.databases) t->db = (int)db;
}

void transaction_queue(struct server *server, struct transaction *t, const struct command *cmd, int argc,
                       const struct slice *argv) {
    if (t->count == 0) entry_begin(&t->queue);
    entry_add(&t->queue, (uint8_t)t->db, argc, argv);
    t->count++;
    t->writes += (cmd->flags & CMD_WRITE) != 0;
    t->reads += (cmd->flags & (CMD_READONLY | CMD_WRITE)) == CMD_READONLY;
    /* CLIENT PAUSE WRITE lets scripts pass that say they never write. */
    bool never_writes = cmd_script_says_no_writes(server->ks, cmd, argc, argv);
    t->flags |= never_writes ? cmd->flags & ~(uint32_t)CMD_MAY_REPLICATE : cmd->flags;
    if (cmd_changes_users(cmd)) t->changes_users = true;
    if (cmd->flags & CMD_WRITE && !(cmd->flags & CMD_UNSAID)) {
        t->flags |= CMD_MAY_REPLICATE;
        t->says_it_writes = true;
    }
    t->runs_scripts |= cmd->runs_scripts;
    if (strcmp(cmd->name, "select") == 0) follow_select(server, t, argv[1]);
}

void transaction_discard(struct server *server, struct transaction *t) {
    watch_forget(&server->watches, server->ks, t);
    buf_free(&t->queue);
    t->is_open = t->is_doomed = t->runs_scripts = false;
    t->count = t->writes = t->reads = t->flags = 0;
    t->changes_users = t->says_it_writes = false;
}

void transaction_free(struct server *server, struct transaction *t) {
    transaction_discard(server, t);
}

void cmd_multi(struct cmd_ctx *c) {
    struct transaction *t = &c->session->transaction;
    if (t->is_open) {
        reply_error(c->reply, "ERR MULTI calls can not be nested");
        return;
    }
    t->is_open = true;
    t->db = c->session->db;
    reply_ok(c->reply);
}

void cmd_discard(struct cmd_ctx *c) {
    if (!c->session->transaction.is_open) {
        reply_error(c->reply, "ERR DISCARD without MULTI");
        return;
    }
    transaction_discard(c->server, &c->session->transaction);
    reply_ok(c->reply);
}

void cmd_exec(struct cmd_ctx *c) {
    if (!c->session->transaction.is_open) {
        reply_error(c->reply, "ERR EXEC without MULTI");
        return;
    }
    CHECK(c->session->transaction.is_doomed);
    transaction_discard(c->server, &c->session->transaction);
    reply_error(c->reply, "EXECABORT Transaction discarded because of previous errors.");
}

void cmd_watch(struct cmd_ctx *c) {
    struct session *s = c->session;
    if (s->transaction.is_open) {
        reply_error(c->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    for (int i = 1; i < c->argc; i++)
        watch_add(&c->server->watches, c->ks, &s->transaction, c->db, c->argv[i], c->now_ms);
    uint64_t proposed = c->server->last_serial;
    if (s->transaction.watch_serial < proposed) s->transaction.watch_serial = proposed;
    reply_ok(c->reply);
}

void cmd_unwatch(struct cmd_ctx *c) {
    watch_forget(&c->server->watches, c->ks, &c->session->transaction);
    reply_ok(c->reply);
}
