/* See prepare.h. */
#include "prepare.h"

#include "handlers.h"
#include "mem.h"
#include "num.h"
#include "server.h"

static struct buf *add(struct prepared *p, struct slice text) {
    if (p->argc == p->cap) {
        int cap = p->cap ? p->cap * 2 : 8;
        p->items = mem_realloc(p->items, (size_t)cap * sizeof *p->items);
        p->argv = mem_realloc(p->argv, (size_t)cap * sizeof *p->argv);
        for (int i = p->cap; i < cap; i++) p->items[i] = (struct buf){0};
        p->cap = cap;
    }
    struct buf *item = &p->items[p->argc++];
    buf_clear(item);
    buf_add_slice(item, text);
    return item;
}

/* The arguments are whole now. */
static void finish(struct prepared *p, const struct command *cmd) {
    for (int i = 0; i < p->argc; i++) p->argv[i] = buf_slice(&p->items[i]);
    p->cmd = cmd;
}

static void begin(struct prepared *p) {
    p->argc = 0;
    p->cmd = NULL;
}

void prepared_free(struct prepared *p) {
    for (int i = 0; i < p->cap; i++) buf_free(&p->items[i]);
    mem_free(p->items);
    mem_free(p->argv);
    *p = (struct prepared){0};
}

bool cmd_sets_requirepass(const struct command *cmd, int argc, const struct slice *argv) {
    if (cmd->fn != cmd_config_set || argc % 2 != 0) return false;
    for (int i = 2; i < argc; i += 2)
        if (slice_is(argv[i], "requirepass")) return true;
    return false;
}

/* How values are kept (_LIMITS), what is told and refused to clients of all nodes. */
static const char *const leaders_settings[] = {
    "hash-max-listpack-entries", "hash-max-listpack-value", "list-max-listpack-size",
    "list-compress-depth",       "set-max-intset-entries",  "zset-max-listpack-value",
    "zset-max-listpack-entries", "hll-sparse-max-bytes",    "stream-node-max-entries",
    "stream-node-max-bytes",     "notify-keyspace-events",  "busy-reply-threshold",
    "script-run-ms-max",         "min-replicas-to-write",   "min-replicas-max-lag",
};

bool cmd_sets_leaders(const struct command *cmd, int argc, const struct slice *argv) {
    if (cmd->fn != cmd_config_set || argc != 4) return false;
    const struct config_row *row = config_find(argv[2]);
    if (row == NULL) return false;
    for (size_t i = 0; i < sizeof leaders_settings / sizeof *leaders_settings; i++)
        if (strcmp(config_name(row), leaders_settings[i]) == 0) return true;
    return false;
}

bool cmd_populates(const struct command *cmd, int argc, const struct slice *argv) {
    return cmd->fn == cmd_debug && argc > 2 && argc <= 5 && slice_is(argv[1], "populate");
}

static bool asks_for_users(const struct command *cmd, int argc, const struct slice *argv) {
    return cmd->fn == cmd_acl_setuser || cmd->fn == cmd_acl_load || cmd_sets_requirepass(cmd, argc, argv);
}

bool cmd_is_prepared(const struct command *cmd, int argc, const struct slice *argv) {
    return asks_for_users(cmd, argc, argv) || cmd_populates(cmd, argc, argv);
}

const struct command *cmd_said_as(const struct command *cmd) {
    if (cmd->fn == cmd_populate) return command_by_name(SLICE("debug"));
    if (cmd->fn == cmd_users) return command_by_full_name(SLICE("acl|load"));
    return cmd->fn == cmd_requirepass ? command_by_full_name(SLICE("config|set")) : cmd;
}

bool cmd_changes_users(const struct command *cmd) {
    return cmd->fn == cmd_acl_setuser || cmd->fn == cmd_acl_deluser || cmd->fn == cmd_users ||
           cmd->fn == cmd_requirepass;
}

bool cmd_asks_for_users(const struct command *cmd, int argc, const struct slice *argv) {
    return asks_for_users(cmd, argc, argv) || cmd_changes_users(cmd);
}

/* --- ACL SETUSER --- */

/* ">password" and "<password" as "#hash" and "!hash". */
static void hide_password(struct buf *rule) {
    char hash[SHA256_HEX_LEN];
    if (rule->len == 0 || (rule->data[0] != '>' && rule->data[0] != '<')) return;
    char sign = rule->data[0] == '>' ? '#' : '!';
    sha256_hex(slice_make(rule->data + 1, rule->len - 1), hash);
    buf_clear(rule);
    buf_add_byte(rule, (uint8_t)sign);
    buf_add(rule, hash, sizeof hash);
}

static bool try_now(struct server *s, int argc, const struct slice *argv, struct reply *reply) {
    struct acl_user user;
    if (!acl_try_setuser(s->ks, argc, argv, &user, reply)) return false;
    acl_user_free(&user);
    return true;
}

/* As the configuration has it now. What cannot be merged is left as it is, and told when it is applied. */
static void open_channels(struct server *s, struct prepared *p, struct slice name) {
    struct acl_rules rules;
    struct acl_user user;
    int unmatched;
    finish(p, NULL);
    if (!acl_rules_merge(&rules, p->argc - 3, p->argv + 3, &unmatched)) return;
    bool is_new = !acl_user_of_state(s->ks, name, &user);
    if (!is_new) acl_user_free(&user);
    acl_rules_open_channels(&rules, is_new);
    p->argc = 3;
    for (int i = 0; i < rules.count; i++) add(p, buf_slice(&rules.items[i]));
    acl_rules_free(&rules);
}

static bool prepare_setuser(struct server *s, const struct command *cmd, int argc, const struct slice *argv,
                            bool in_multi, struct prepared *p, struct reply *reply) {
    if (!in_multi && !try_now(s, argc, argv, reply)) return false;
    for (int i = 0; i < argc; i++) {
        struct buf *item = add(p, argv[i]);
        if (i > 2) hide_password(item);
    }
    if (s->config.acl_pubsub_default == ACL_PUBSUB_ALLCHANNELS) open_channels(s, p, argv[2]);
    finish(p, cmd);
    return true;
}

/* --- ACL LOAD, and the configuration's users --- */

static void add_users(struct prepared *p, const struct acl *users) {
    for (size_t i = 0; i < users->count; i++) {
        add(p, buf_slice(&users->items[i]->name));
        acl_describe(users->items[i], add(p, SLICE("")));
    }
    finish(p, command_by_name(SLICE("_users")));
}

void acl_prepare_seed(struct server *s, struct prepared *p) {
    struct slice password = config_text(s->config.requirepass);
    char hash[SHA256_HEX_LEN];
    sha256_hex(password, hash);
    begin(p);
    add(p, SLICE("_users"));
    add(p, SLICE("seed"));
    add(p, slice_make(hash, password.len > 0 ? sizeof hash : 0));
    add_users(p, &s->acl);
}

static bool prepare_load(struct server *s, struct prepared *p, struct reply *reply) {
    struct buf text = {0}, errors = {0};
    struct acl users;
    if (!acl_has_file(s, reply)) return false;
    const char *path = s->config.aclfile;
    bool is_open = s->config.acl_pubsub_default == ACL_PUBSUB_ALLCHANNELS;
    bool ok = acl_read_file(s, &text, &errors) == RC_OK &&
              acl_parse_file(&users, path, buf_slice(&text), is_open, &errors);
    if (ok) {
        add(p, SLICE("_users"));
        add(p, SLICE("load"));
        add(p, SLICE(""));
        add_users(p, &users);
        acl_free(&users);
    } else {
        reply_errorf(reply, "ERR %.*s", (int)errors.len, errors.data);
    }
    buf_free(&text);
    buf_free(&errors);
    return ok;
}

/* --- CONFIG SET requirepass --- */

static struct slice requirepass_of(int argc, const struct slice *argv) {
    struct slice password = SLICE("");
    for (int i = 2; i + 1 < argc; i += 2)
        if (slice_is(argv[i], "requirepass")) password = argv[i + 1];
    return password;
}

/* The values of this node are set here and now, the password's text among them, which CONFIG GET shows. */
static bool prepare_requirepass(struct server *s, struct session *session, const struct command *cmd,
                                int argc, const struct slice *argv, bool in_multi, struct prepared *p,
                                struct reply *reply) {
    if (in_multi && argc != 4) {
        reply_error(reply, "ERR CONFIG SET failed (possibly related to argument 'requirepass') - in a "
                           "transaction, it has to be set by itself");
        return false;
    }
    struct cmd_ctx c = {
        .cmd = cmd, .argc = argc, .argv = argv, .reply = reply, .ks = s->ks, .server = s, .session = session};
    struct buf *out = reply->out;
    size_t before = out != NULL ? out->len : 0;
    uint32_t errors = reply->error_count;
    cmd_config_set(&c);
    if (reply->error_count > errors) return false;
    if (out != NULL) out->len = before;
    struct slice password = requirepass_of(argc, argv);
    char hash[SHA256_HEX_LEN];
    sha256_hex(password, hash);
    add(p, SLICE("_requirepass"));
    add(p, SLICE("set"));
    add(p, slice_make(hash, password.len > 0 ? sizeof hash : 0));
    finish(p, command_by_name(SLICE("_requirepass")));
    return true;
}

/* --- DEBUG POPULATE --- */

static bool take_count(struct slice arg, int64_t *out, struct reply *reply) {
    bool ok = parse_i64(arg, out) && *out >= 0;
    if (!ok) reply_error(reply, "ERR value is out of range, must be positive");
    return ok;
}

/* All of it is one command of the log, during which a node does nothing else. */
static bool prepare_populate(int argc, const struct slice *argv, struct prepared *p, struct reply *reply) {
    enum { KEYS_MAX = 10000000, KEY_BYTES = 64 };
    const int64_t bytes_max = INT64_C(1) << 30;
    int64_t count = 0, size = 0;
    if (!take_count(argv[2], &count, reply)) return false;
    if (argc > 4 && !take_count(argv[4], &size, reply)) return false;
    if (count > KEYS_MAX || (count > 0 && size > bytes_max / count - KEY_BYTES)) {
        reply_error(reply, "ERR at most ten million keys, and a gigabyte, can be made at once");
        return false;
    }
    add(p, SLICE("_populate"));
    add(p, argv[2]);
    add(p, argc > 3 ? argv[3] : SLICE("key"));
    add(p, argc > 4 ? argv[4] : SLICE("0"));
    finish(p, command_by_name(SLICE("_populate")));
    return true;
}

bool cmd_prepare(struct server *s, struct session *session, const struct command *cmd, int argc,
                 const struct slice *argv, bool in_multi, struct reply *reply) {
    struct prepared *p = &s->prepared;
    begin(p);
    if (cmd->fn == cmd_acl_setuser) return prepare_setuser(s, cmd, argc, argv, in_multi, p, reply);
    if (cmd->fn == cmd_acl_load) return prepare_load(s, p, reply);
    if (cmd->fn == cmd_debug) return prepare_populate(argc, argv, p, reply);
    return prepare_requirepass(s, session, cmd, argc, argv, in_multi, p, reply);
}
