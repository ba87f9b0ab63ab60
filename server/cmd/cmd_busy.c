/* SCRIPT KILL and FUNCTION KILL: what may be stopped, and what clients are told while a script takes long. Stopping it is the host's,
 * for all nodes have to stop it at the same place (server/node/scripts.c). */
#include "cmd_busy.h"

#include "cmd.h"
#include "handlers.h"
#include "server.h"

const char *cmd_busy_error(const struct server *server) {
    return server->script.is_function ? ERR_BUSY_FUNCTION : ERR_BUSY_SCRIPT;
}

static void kill_script(struct cmd_ctx *c, bool is_function) {
    const struct running_script *s = &c->server->script;
    if (s->cmd == NULL) {
        reply_error(c->reply, "NOTBUSY No scripts in execution right now.");
    } else if (s->has_written) {
        reply_error(
            c->reply,
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can "
            "either wait the script termination or kill the server in a hard way using the SHUTDOWN "
            "NOSAVE command.");
    } else if (s->is_function != is_function) {
        reply_error(c->reply, cmd_busy_error(c->server));
    } else {
        c->server->host->script_kill(c->server->host, is_function);
        reply_ok(c->reply);
    }
}

void cmd_script_kill(struct cmd_ctx *c) {
    kill_script(c, false);
}

void cmd_function_kill(struct cmd_ctx *c) {
    kill_script(c, true);
}
