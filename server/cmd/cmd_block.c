/* See cmd_block.h; and _SERVE, by which a command that has waited comes out of the log. */
#include "cmd_block.h"

#include "handlers.h"
#include "num.h"

#include <math.h>
#include <string.h>

bool cmd_arg_timeout(struct cmd_ctx *c, struct slice arg, int64_t *timeout_ms) {
    long double seconds, ms;
    if (!parse_long_double(arg, &seconds)) {
        reply_error(c->reply, "ERR timeout is not a float or out of range");
        return false;
    }
    ms = ceill(seconds * 1000);
    if (ms < 0 || ms > (long double)INT64_MAX) { /* what is too large for Redis wraps around there */
        reply_error(c->reply, "ERR timeout is negative");
        return false;
    }
    *timeout_ms = (int64_t)ms;
    return true;
}

bool cmd_blocking_key(struct cmd_ctx *c, struct slice key, enum object_type type, struct object **o) {
    *o = NULL;
    if (c->is_served && !slice_eq(key, c->served_key)) return true;
    struct object *there = cmd_write(c, key);
    if (there != NULL && there->type != type) {
        if (c->is_served) return true;
        return cmd_is_type(c, there, type);
    }
    *o = there;
    return true;
}

bool cmd_block(struct cmd_ctx *c, enum object_type type, int first_key, int key_count, int64_t timeout_ms) {
    CHECK(first_key > 0);
    CHECK(key_count > 0);
    CHECK(key_count <= c->argc - first_key);
    if (c->wait == NULL) return c->is_served;
    c->wait->waits = true;
    c->wait->type = type;
    c->wait->first_key = first_key;
    c->wait->key_count = key_count;
    c->wait->timeout_ms = timeout_ms;
    return true;
}

bool cmd_block_for_replicas(struct cmd_ctx *c, int64_t replicas, int64_t timeout_ms) {
    CHECK(replicas > 0);
    if (c->wait == NULL) return false;
    c->wait->waits = true;
    c->wait->replicas = replicas;
    c->wait->timeout_ms = timeout_ms;
    return true;
}

/* XREAD and XREADGROUP wait only if they say so, among their options. */
bool cmd_may_wait(const struct command *cmd, int argc, const struct slice *argv) {
    if (!(cmd->flags & CMD_WAITS)) return false;
    if (!(cmd->categories & ACL_STREAM)) return true;
    for (int i = 1; i < argc && !slice_is(argv[i], "streams"); i++) {
        if (slice_is(argv[i], "block")) return true;
    }
    return false;
}

void cmd_block_rewrite(struct cmd_ctx *c, int at, struct slice arg) {
    CHECK(at > 0);
    CHECK(at < c->argc);
    struct cmd_wait *w = c->wait;
    if (w == NULL) return;
    if (w->argv == NULL) {
        w->argv = arena_alloc(c->arena, (size_t)c->argc * sizeof *w->argv);
        memcpy(w->argv, c->argv, (size_t)c->argc * sizeof *w->argv);
    }
    char *copy = arena_alloc(c->arena, arg.len + 1);
    if (arg.len > 0) memcpy(copy, arg.data, arg.len);
    w->argv[at] = slice_make(copy, arg.len);
}

/* _SERVE key command ...: proposed by the leader for a command that waits, when something may be there for it under that key. */
void cmd_serve(struct cmd_ctx *c) {
    struct cmd_ctx served = *c;
    served.is_served = true;
    served.served_key = c->argv[1];
    served.argc -= 2;
    served.argv += 2;
    served.cmd = command_lookup(served.argc, served.argv);
    CHECK(served.cmd != NULL);
    served.cmd->fn(&served);
}
