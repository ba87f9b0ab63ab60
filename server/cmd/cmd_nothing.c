/* See cmd_nothing.h. */
#include "cmd_nothing.h"

#include "cmd_script.h"
#include "handlers.h"
#include "libraries.h"

typedef bool check_fn(struct keyspace *ks, int db, int argc, const struct slice *argv);

static const struct {
    cmd_fn *command;
    check_fn *check;
} checks[] = {
    {cmd_sadd, cmd_sadd_changes_nothing},       {cmd_xreadgroup, cmd_group_read_finds_nothing},
    {cmd_eval, cmd_eval_changes_nothing},       {cmd_eval_ro, cmd_eval_ro_changes_nothing},
    {cmd_evalsha, cmd_evalsha_changes_nothing}, {cmd_evalsha_ro, cmd_evalsha_ro_changes_nothing},
    {cmd_fcall, cmd_fcall_changes_nothing},
};

/* A command that only takes finds nothing to take. */
static bool none_is_there(const struct command *cmd, struct keyspace *ks, int db, int argc,
                          const struct slice *argv) {
    enum { KEYS_MAX = 16 };
    struct key_position keys[KEYS_MAX];
    int count = command_keys(cmd, argc, argv, keys, KEYS_MAX);
    if (count < 1 || count > KEYS_MAX) return false;
    for (int i = 0; i < count; i++) {
        const struct object *o = ks_peek(ks, db, argv[keys[i].at], INT64_MIN);
        /* SMOVE's other set may stay, but not be deleted here for being over. */
        if (o != NULL && (keys[i].spec == &cmd->key_specs[0] || object_deadline(o) >= 0)) return false;
    }
    return true;
}

static bool check(const struct command *cmd, struct keyspace *ks, int db, int argc,
                  const struct slice *argv) {
    if (cmd->flags & CMD_TAKES) return none_is_there(cmd, ks, db, argc, argv);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (cmd->fn == checks[i].command) return checks[i].check(ks, db, argc, argv);
    return false;
}

bool cmd_changes_nothing(const struct command *cmd, struct keyspace *ks, int db, int argc,
                         const struct slice *argv) {
    bool nothing = check(cmd, ks, db, argc, argv), is_known = ks_fault(ks) == NULL;
    ks_clear_fault(ks); /* a row that cannot be read is met again by the entry */
    return nothing && is_known;
}
