/* ACL, and what the log holds in its stead: _users for ACL LOAD and for the users of a configuration, _requirepass for CONFIG
 * SET. What is checked before the log (prepare.c) is checked again here, where the state is what counts. */
#include "cmd.h"
#include "handlers.h"
#include "mem.h"
#include "num.h"
#include "prepare.h"
#include "server.h"

#include <inttypes.h>

static struct session *self_of(const struct cmd_ctx *c) {
    return c->session;
}

/* --- SETUSER, DELUSER --- */

bool acl_try_setuser(struct keyspace *ks, int argc, const struct slice *argv, struct acl_user *out,
                     struct reply *reply) {
    struct slice name = argv[2];
    struct acl_rules rules;
    int unmatched = 0;
    if (acl_has_spaces(name)) {
        reply_error(reply, "ERR Usernames can't contain spaces or null characters");
        return false;
    }
    if (!acl_rules_merge(&rules, argc - 3, argv + 3, &unmatched)) {
        struct slice opens = argv[3 + unmatched];
        reply_errorf(reply, "ERR Unmatched parenthesis in acl selector starting at '%.*s'.",
                     cmd_quoted(opens), opens.data);
        return false;
    }
    if (!acl_user_of_state(ks, name, out)) acl_user_init(out, name);
    const char *error = NULL;
    for (int i = 0; i < rules.count && error == NULL; i++) {
        struct slice rule = buf_slice(&rules.items[i]);
        error = acl_apply(out, rule);
        if (error != NULL)
            reply_errorf(reply, "ERR Error in ACL SETUSER modifier '%.*s': %s", cmd_quoted(rule), rule.data,
                         error);
    }
    acl_rules_free(&rules);
    if (error == NULL && !acl_reads_again(out)) {
        error = "the user cannot be kept";
        reply_errorf(reply, "ERR %s", error);
    }
    if (error != NULL) acl_user_free(out);
    return error == NULL;
}

void cmd_acl_setuser(struct cmd_ctx *c) {
    struct acl_user user;
    if (!acl_try_setuser(c->ks, c->argc, c->argv, &user, c->reply)) return;
    acl_store(c->server, &user, c->now_ms);
    acl_user_free(&user);
    reply_ok(c->reply);
}

void cmd_acl_deluser(struct cmd_ctx *c) {
    int64_t deleted = 0;
    for (int i = 2; i < c->argc; i++) {
        if (!slice_eq(c->argv[i], SLICE("default"))) continue;
        reply_error(c->reply, "ERR The 'default' user cannot be removed");
        return;
    }
    for (int i = 2; i < c->argc; i++) deleted += acl_delete(c->server, c->argv[i], self_of(c));
    reply_int(c->reply, deleted);
}

/* --- files --- */

static const char no_file[] =
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL "
    "SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in "
    "order "
    "to store users in the Redis configuration.";

bool acl_has_file(const struct server *s, struct reply *reply) {
    if (s->config.aclfile[0] != '\0') return true;
    reply_error(reply, no_file);
    return false;
}

/* The log has _users instead. */
void cmd_acl_load(struct cmd_ctx *c) {
    reply_error(c->reply, "ERR ACL LOAD cannot be used here");
}

void cmd_acl_save(struct cmd_ctx *c) {
    struct buf text = {0}, path = {0};
    if (!acl_has_file(c->server, c->reply)) return;
    acl_write_lines(&c->server->acl, &text);
    acl_file_path(&c->server->config, &path);
    if (c->server->host->write_file(c->server->host, path.data, buf_slice(&text)) == RC_OK)
        reply_ok(c->reply);
    else
        reply_error(c->reply,
                    "ERR There was an error trying to save the ACLs. Please check the server logs for "
                    "more information");
    buf_free(&text);
    buf_free(&path);
}

/* _USERS SEED|LOAD hash name rules ...: all users there are. SEED: only if there are none yet; `hash` is that of the
 * requirepass that is among them, or empty. */
void cmd_users(struct cmd_ctx *c) {
    struct acl users;
    bool is_seed = slice_eq(c->argv[1], SLICE("seed"));
    if (!is_seed || !acl_state_has_users(c->ks)) {
        acl_init(&users);
        for (int i = 3; i + 1 < c->argc; i += 2) acl_take_text(&users, c->argv[i], c->argv[i + 1]);
        if (is_seed)
            acl_seed(c->server, &users);
        else
            acl_store_all(c->server, &users, self_of(c), c->now_ms);
        if (is_seed) acl_remember_file_password(c->ks, c->argv[2]);
        acl_free(&users);
    }
    reply_ok(c->reply);
}

/* _REQUIREPASS SET|FILE hash, "" for none. */
void cmd_requirepass(struct cmd_ctx *c) {
    bool is_of_file = slice_eq(c->argv[1], SLICE("file"));
    acl_store_requirepass(c->server, c->argv[2], c->now_ms);
    if (is_of_file) acl_remember_file_password(c->ks, c->argv[2]);
    reply_ok(c->reply);
}

/* --- what there is --- */

void cmd_acl_users(struct cmd_ctx *c) {
    const struct acl *a = &c->server->acl;
    reply_array(c->reply, a->count);
    for (size_t i = 0; i < a->count; i++) reply_bulk(c->reply, buf_slice(&a->items[i]->name));
}

void cmd_acl_list(struct cmd_ctx *c) {
    struct buf lines = {0};
    acl_write_lines(&c->server->acl, &lines);
    reply_array(c->reply, c->server->acl.count);
    struct slice rest = buf_slice(&lines);
    for (size_t i = 0; i < c->server->acl.count; i++) {
        const char *end = memchr(rest.data, '\n', rest.len);
        CHECK(end != NULL);
        size_t len = (size_t)(end - rest.data);
        reply_bulk(c->reply, slice_make(rest.data, len));
        rest = slice_make(end + 1, rest.len - len - 1);
    }
    buf_free(&lines);
}

void cmd_acl_whoami(struct cmd_ctx *c) {
    reply_bulk(c->reply, buf_slice(&c->session->user->name));
}

typedef void describe_fn(const struct acl_selector *s, struct buf *out);

static void reply_described(struct reply *r, const char *title, describe_fn *describe,
                            const struct acl_selector *s) {
    struct buf text = {0};
    describe(s, &text);
    reply_bulk_str(r, title);
    reply_bulk(r, buf_slice(&text));
    buf_free(&text);
}

static void reply_selector(struct reply *r, const struct acl_selector *s) {
    reply_described(r, "commands", acl_describe_commands, s);
    reply_described(r, "keys", acl_describe_keys, s);
    reply_described(r, "channels", acl_describe_channels, s);
}

void cmd_acl_getuser(struct cmd_ctx *c) {
    const struct acl_user *u = acl_find(&c->server->acl, c->argv[2]);
    struct reply *r = c->reply;
    const char *flags[3];
    if (u == NULL) {
        reply_null(r);
        return;
    }
    reply_map(r, 6);
    reply_bulk_str(r, "flags");
    size_t flag_count = acl_flags(u, flags);
    reply_set(r, flag_count);
    for (size_t i = 0; i < flag_count; i++) reply_bulk_str(r, flags[i]);
    reply_bulk_str(r, "passwords");
    reply_array(r, u->password_count);
    for (size_t i = 0; i < u->password_count; i++) reply_bulk(r, slice_make(u->passwords[i], SHA256_HEX_LEN));
    reply_selector(r, &u->selectors[0]);
    reply_bulk_str(r, "selectors");
    reply_array(r, u->selector_count - 1);
    for (size_t i = 1; i < u->selector_count; i++) {
        reply_map(r, 3);
        reply_selector(r, &u->selectors[i]);
    }
}

/* --- categories --- */

static bool is_shown(const struct command *cmd) {
    return !(cmd->flags & (CMD_INTERNAL | CMD_HIDDEN));
}

void cmd_acl_cat(struct cmd_ctx *c) {
    if (c->argc > 3) {
        reply_error(c->reply, "ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.");
        return;
    }
    if (c->argc == 2) {
        reply_array(c->reply, ACL_CATEGORY_COUNT);
        for (int i = 0; i < ACL_CATEGORY_COUNT; i++) reply_bulk_str(c->reply, acl_category_name(i));
        return;
    }
    uint32_t bit = acl_category_by_name(c->argv[2]);
    if (bit == 0) {
        reply_errorf(c->reply, "ERR Unknown category '%.*s'", cmd_quoted(c->argv[2]), c->argv[2].data);
        return;
    }
    size_t mark = reply_defer(c->reply), count = 0;
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        char name[COMMAND_NAME_CAP];
        if (!(cmd->categories & bit) || !is_shown(cmd)) continue;
        reply_bulk(c->reply, slice_make(name, command_full_name(cmd, name, sizeof name)));
        count++;
    }
    reply_close_array(c->reply, mark, count);
}

/* --- questions --- */

static bool refuse_arity(struct cmd_ctx *c, const struct command *cmd, int argc) {
    char name[COMMAND_NAME_CAP];
    if (cmd->arity >= 0 ? argc == cmd->arity : argc >= -cmd->arity) return false;
    command_full_name(cmd, name, sizeof name);
    reply_errorf(c->reply, "ERR wrong number of arguments for '%s' command", name);
    return true;
}

/* In texts, names end with their first NUL, as in Redis. */
static int shown_len(struct slice s) {
    const char *nul = s.len > 0 ? memchr(s.data, '\0', s.len) : NULL;
    return (int)(nul != NULL ? (size_t)(nul - s.data) : s.len);
}

void cmd_acl_dryrun(struct cmd_ctx *c) {
    const struct acl_user *u = acl_find(&c->server->acl, c->argv[2]);
    int argc = c->argc - 3, at;
    const struct slice *argv = c->argv + 3;
    if (u == NULL) {
        reply_errorf(c->reply, "ERR User '%.*s' not found", cmd_quoted(c->argv[2]), c->argv[2].data);
        return;
    }
    const struct command *cmd = command_lookup(argc, argv);
    if (cmd == NULL || cmd->flags & CMD_INTERNAL || (cmd->subcommand_count > 0 && argc > 1)) {
        reply_errorf(c->reply, "ERR Command '%.*s' not found", cmd_quoted(argv[0]), argv[0].data);
        return;
    }
    if (refuse_arity(c, cmd, argc)) return;
    char name[COMMAND_NAME_CAP];
    command_full_name(cmd, name, sizeof name);
    switch (acl_check(u, cmd, argc, argv, &at)) {
    case ACL_ALLOWED: reply_ok(c->reply); break;
    case ACL_DENIED_COMMAND:
        reply_bulkf(c->reply, "This user has no permissions to run the '%s' command", name);
        break;
    case ACL_DENIED_KEY:
        reply_bulkf(c->reply, "This user has no permissions to access the '%.*s' key", shown_len(argv[at]),
                    argv[at].data);
        break;
    case ACL_DENIED_CHANNEL:
        reply_bulkf(c->reply, "This user has no permissions to access the '%.*s' channel",
                    shown_len(argv[at]), argv[at].data);
        break;
    }
}

void cmd_acl_genpass(struct cmd_ctx *c) {
    enum { BITS_MAX = 4096, BITS_DEFAULT = 256 };
    static const char digits[] = "0123456789abcdef";
    int64_t bits = BITS_DEFAULT;
    char pass[BITS_MAX / 4];
    uint8_t secret[BITS_MAX / 8];
    if (c->argc > 3) {
        reply_error(c->reply,
                    "ERR unknown subcommand or wrong number of arguments for 'GENPASS'. Try ACL HELP.");
        return;
    }
    if (c->argc == 3 && !cmd_arg_i64(c, c->argv[2], &bits, NULL)) return;
    if (bits <= 0 || bits > BITS_MAX) {
        reply_errorf(
            c->reply,
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive "
            "number up to %d",
            (int)BITS_MAX);
        return;
    }
    size_t len = ((size_t)bits + 3) / 4;
    c->server->host->secret(c->server->host, secret, (len + 1) / 2);
    for (size_t i = 0; i < len; i++) pass[i] = digits[secret[i / 2] >> (i % 2 * 4) & 15];
    reply_bulk(c->reply, slice_make(pass, len));
}

/* --- the log --- */

static void reply_entry(struct cmd_ctx *c, const struct acl_log_entry *e) {
    static const char *const reasons[] = {[ACL_LOG_COMMAND] = "command",
                                          [ACL_LOG_KEY] = "key",
                                          [ACL_LOG_CHANNEL] = "channel",
                                          [ACL_LOG_AUTH] = "auth"};
    static const char *const contexts[] = {
        [ACL_LOG_TOPLEVEL] = "toplevel", [ACL_LOG_MULTI] = "multi", [ACL_LOG_LUA] = "lua"};
    struct reply *r = c->reply;
    reply_map(r, 7);
    reply_bulk_str(r, "count");
    reply_int(r, (int64_t)e->count);
    reply_bulk_str(r, "reason");
    reply_bulk_str(r, reasons[e->reason]);
    reply_bulk_str(r, "context");
    reply_bulk_str(r, contexts[e->context]);
    reply_bulk_str(r, "object");
    reply_bulk(r, buf_slice(&e->object));
    reply_bulk_str(r, "username");
    reply_bulk(r, buf_slice(&e->username));
    reply_bulk_str(r, "age-seconds");
    reply_double(r, (double)(c->now_ms - e->at_ms) / 1000);
    reply_bulk_str(r, "client-info");
    reply_bulk(r, buf_slice(&e->client));
}

void cmd_acl_log(struct cmd_ctx *c) {
    enum { SHOWN_DEFAULT = 10 };
    struct acl_log *log = &c->server->acl.log;
    int64_t count = SHOWN_DEFAULT;
    if (c->argc > 3) {
        reply_error(c->reply, "ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.");
        return;
    }
    if (c->argc == 3 && slice_is(c->argv[2], "reset")) {
        acl_log_clear(log);
        reply_ok(c->reply);
        return;
    }
    if (c->argc == 3 && !cmd_arg_i64(c, c->argv[2], &count, NULL)) return;
    if (count < 0) count = 0;
    size_t shown = (uint64_t)count < log->count ? (size_t)count : log->count;
    reply_array(c->reply, shown);
    for (size_t i = 0; i < shown; i++) reply_entry(c, &log->items[i]);
}
