/* FCALL and FCALL_RO: a function of a library, found in the replicated state and run as a script is (cmd_script.h). */
#include "cmd_script.h"
#include "handlers.h"
#include "libraries.h"
#include "monitor.h"
#include "server.h"

#include "num.h"

/* The number of keys at argv[2]; false after answering. */
static bool take_key_count(struct cmd_ctx *c, int *key_count) {
    int64_t count;
    if (!parse_i64(c->argv[2], &count)) {
        reply_error(c->reply, "ERR Bad number of keys provided");
        return false;
    }
    return cmd_script_keys(c, key_count);
}

/* Everything that is borrowed from the keyspace is copied: the function is going to touch it. */
static void fcall(struct cmd_ctx *c, bool is_read_only) {
    struct script_engine *e = server_scripts(c->server);
    struct library library;
    struct script_function f;
    struct cmd_script s;
    int key_count;
    monitor_tell(c, false); /* before the commands that it calls */
    if (!library_with(c->ks, c->argv[1], &library, &f)) {
        reply_error(c->reply, "ERR Function not found");
        return;
    }
    struct slice sha = arena_copy(c->arena, library.sha), name = arena_copy(c->arena, f.name);
    if (!script_library_is_compiled(e, sha)) library_compile(e, &library);
    if (!take_key_count(c, &key_count)) return;
    uint32_t flags = f.flags | SCRIPT_HAS_SHEBANG;
    if (!cmd_script_flags(c, flags, is_read_only)) return;
    cmd_script_prepare(&s, c, name, key_count, flags, !is_read_only && !(f.flags & SCRIPT_NO_WRITES));
    script_library_call(e, sha, name, &s.run, c->reply);
}

void cmd_fcall(struct cmd_ctx *c) {
    fcall(c, false);
}

void cmd_fcall_ro(struct cmd_ctx *c) {
    fcall(c, true);
}

bool cmd_fcall_says_no_writes(struct keyspace *ks, struct slice function) {
    struct library library;
    struct script_function f;
    return library_with(ks, function, &library, &f) && f.flags & SCRIPT_NO_WRITES;
}

bool cmd_fcall_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv) {
    struct library library;
    struct script_function f;
    (void)db;
    (void)argc;
    return !library_with(ks, argv[1], &library, &f) || f.flags & SCRIPT_NO_WRITES;
}
