/* Commands about the server as a whole: time, role, saving, stopping; and the one entry the server writes by
 * itself. */
#include "cmd_block.h"
#include "cmd_busy.h"
#include "cmd_topology.h"
#include "handlers.h"
#include "server.h"

/* --- modules: none are loaded, and none can be --- */

void cmd_module_list(struct cmd_ctx *c) {
    reply_array(c->reply, 0);
}

void cmd_module_load(struct cmd_ctx *c) {
    reply_error(c->reply, "ERR Error loading the extension. Please check the server logs.");
}

void cmd_module_unload(struct cmd_ctx *c) {
    reply_error(c->reply, "ERR Error unloading module: no such module with that name");
}

/* --- the server --- */

void cmd_time(struct cmd_ctx *c) {
    reply_array(c->reply, 2);
    reply_bulk_int(c->reply, c->now_us / 1000000);
    reply_bulk_int(c->reply, c->now_us % 1000000);
}

static void reply_master_role(struct cmd_ctx *c, const struct topology *t) {
    reply_array(c->reply, 3);
    reply_bulk_str(c->reply, "master");
    reply_int(c->reply, (int64_t)t->state.commit_index);
    size_t mark = reply_defer(c->reply), count = 0;
    for (size_t i = 0; i < t->view.count; i++) {
        const struct cluster_node *node = &t->view.nodes[i];
        if (!topology_is_attached(node) || !cluster_is_replica(node)) continue;
        reply_array(c->reply, 3);
        reply_bulk_str(c->reply, node->host);
        reply_bulk_int(c->reply, node->port);
        reply_bulk_int(c->reply, (int64_t)node->member->match_index);
        count++;
    }
    reply_close_array(c->reply, mark, count);
}

void cmd_role(struct cmd_ctx *c) {
    struct topology t;
    topology_load(c, &t);
    if (t.is_master) {
        reply_master_role(c, &t);
        return;
    }
    reply_array(c->reply, 5);
    reply_bulk_str(c->reply, "slave");
    reply_bulk_str(c->reply, t.master != NULL ? t.master->host : "");
    reply_int(c->reply, t.master != NULL ? t.master->port : 0);
    reply_bulk_str(c->reply, t.leader != NULL ? "connected" : "connect");
    reply_int(c->reply, (int64_t)t.state.applied_index);
}

/* Until so many others have what this connection wrote, and say so: what was answered is on a majority already. */
void cmd_wait(struct cmd_ctx *c) {
    int64_t replicas = 0, timeout_ms = 0;
    if (!cmd_arg_i64(c, c->argv[1], &replicas, NULL)) return;
    if (!cmd_arg_i64(c, c->argv[2], &timeout_ms, "ERR timeout is not an integer or out of range")) return;
    if (timeout_ms < 0) {
        reply_error(c->reply, "ERR timeout is negative");
        return;
    }
    struct host *host = c->server->host;
    int64_t reached = host->replicas_with(host, c->session);
    if (reached >= replicas || !cmd_block_for_replicas(c, replicas, timeout_ms)) reply_int(c->reply, reached);
}

void cmd_lolwut(struct cmd_ctx *c) {
    int64_t version;
    if (c->argc >= 3 && slice_is(c->argv[1], "version") && !cmd_arg_i64(c, c->argv[2], &version, NULL))
        return;
    reply_verbatim(c->reply, "txt", SLICE("Redis ver. " REDIS_COMPATIBLE_VERSION "\n"));
}

/* --- saving: every answered write is on disk already; these write back what is only in the log --- */

void cmd_save(struct cmd_ctx *c) {
    if (c->server->host->save(c->server->host, true) == RC_OK) {
        reply_ok(c->reply);
    } else {
        reply_error(c->reply, "ERR the data could not be written back");
    }
}

static void start_save(struct cmd_ctx *c, const char *answer) {
    if (c->server->host->save(c->server->host, false) == RC_OK) {
        reply_simple(c->reply, answer);
    } else {
        reply_error(c->reply, "ERR the data could not be written back");
    }
}

void cmd_bgsave(struct cmd_ctx *c) {
    if (c->argc > 2 || (c->argc == 2 && !slice_is(c->argv[1], "schedule"))) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    start_save(c, "Background saving started");
}

void cmd_bgrewriteaof(struct cmd_ctx *c) {
    start_save(c, "Background append only file rewriting started");
}

void cmd_lastsave(struct cmd_ctx *c) {
    struct host_usage usage = {0};
    c->server->host->usage(c->server->host, &usage);
    reply_int(c->reply, usage.writeback_last_s != 0 ? usage.writeback_last_s : c->server->start_ms / 1000);
}

void cmd_shutdown(struct cmd_ctx *c) {
    int flags = 0;
    bool save = false, nosave = false;
    for (int i = 1; i < c->argc; i++) {
        if (slice_is(c->argv[i], "nosave")) {
            nosave = true;
            flags |= HOST_SHUTDOWN_NOSAVE;
        } else if (slice_is(c->argv[i], "save")) {
            save = true;
        } else if (slice_is(c->argv[i], "now")) {
            flags |= HOST_SHUTDOWN_NOW;
        } else if (slice_is(c->argv[i], "force")) {
            flags |= HOST_SHUTDOWN_FORCE;
        } else if (slice_is(c->argv[i], "abort")) {
            flags |= HOST_SHUTDOWN_ABORT;
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return;
        }
    }
    bool abort = flags & HOST_SHUTDOWN_ABORT;
    if ((abort && c->argc > 2) || (save && nosave)) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    if (c->server->script.is_running && !nosave && !abort) {
        reply_error(c->reply, cmd_busy_error(c->server));
        return;
    }
    enum rc rc = c->server->host->shutdown(c->server->host, flags);
    if (abort && rc == RC_OK) {
        reply_ok(c->reply);
    } else if (abort) {
        reply_error(c->reply, "ERR No shutdown in progress.");
    } else if (rc != RC_OK) {
        reply_error(c->reply, "ERR Errors trying to SHUTDOWN. Check logs.");
    }
}

/* _LIMITS number ...: proposed by a leader whose settings differ from the state's limits; in the order of the struct. */
void cmd_limits(struct cmd_ctx *c) {
    struct ks_limits limits;
    int64_t *values = (int64_t *)(void *)&limits;
    for (int i = 1; i < c->argc; i++)
        if (!cmd_arg_i64(c, c->argv[i], &values[i - 1], NULL)) return;
    ks_set_limits(c->ks, &limits);
    reply_ok(c->reply);
}

/* _EXPIRE key ...: proposed by the leader for keys that are due. A key that got a later deadline meanwhile
 * stays: what counts is the entry's clock and the state it is applied to. */
void cmd_expire_due(struct cmd_ctx *c) {
    for (int i = 1; i < c->argc; i++) cmd_write(c, c->argv[i]);
    reply_ok(c->reply);
}
