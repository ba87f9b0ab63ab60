/* EVAL and its kind, and SCRIPT. The text of a script is a value of the server's own ("script:<sha1>", storage/system.h): it gets
 * there by SCRIPT LOAD, or when EVAL is applied first, and is what EVALSHA finds on every node, after a restart, out of a snapshot.
 * What is compiled is each node's own. */
#include "cmd_script.h"
#include "handlers.h"
#include "libraries.h"
#include "monitor.h"
#include "server.h"
#include "sha.h"
#include "system.h"

#include <ctype.h>

enum { NAME_PREFIX_LEN = 7, NAME_LEN = NAME_PREFIX_LEN + SHA1_HEX_LEN };
#define NAME_PREFIX "script:"

/* "script:<sha1>" */
struct script_name {
    char text[NAME_LEN];
};

static struct slice name_of(const struct script_name *n) {
    return slice_make(n->text, NAME_LEN);
}
static struct slice sha_of(const struct script_name *n) {
    return slice_make(n->text + NAME_PREFIX_LEN, SHA1_HEX_LEN);
}

static void name_by_body(struct script_name *n, struct slice body) {
    memcpy(n->text, NAME_PREFIX, NAME_PREFIX_LEN);
    sha1_hex(body, n->text + NAME_PREFIX_LEN);
}

/* False when it is no SHA1 in hex, of either case. */
static bool name_by_sha(struct script_name *n, struct slice sha) {
    if (sha.len != SHA1_HEX_LEN) return false;
    memcpy(n->text, NAME_PREFIX, NAME_PREFIX_LEN);
    for (int i = 0; i < SHA1_HEX_LEN; i++)
        n->text[NAME_PREFIX_LEN + i] = (char)tolower((unsigned char)sha.data[i]);
    return true;
}

/* --- running --- */

/* Compiled, in the end; false after answering. */
static bool compile(struct cmd_ctx *c, const struct script_name *n, struct slice body, uint32_t *flags) {
    struct script_engine *e = server_scripts(c->server);
    struct buf error = {0};
    size_t code_at;
    bool is_ready = script_read_shebang(body, flags, &code_at, &error);
    if (!is_ready) {
        buf_add_byte(&error, '\0');
        reply_error(c->reply, error.data);
    } else if (!script_is_compiled(e, sha_of(n))) {
        is_ready = script_compile(e, sha_of(n), slice_make(body.data + code_at, body.len - code_at), &error);
        if (!is_ready)
            reply_errorf(c->reply, "ERR Error compiling script (new function): %.*s", (int)error.len,
                         error.data);
    }
    buf_free(&error);
    return is_ready;
}

static void run(struct cmd_ctx *c, const struct script_name *n, uint32_t flags, int key_count,
                bool is_read_only) {
    struct cmd_script s;
    if (!cmd_script_flags(c, flags, is_read_only)) return;
    cmd_script_prepare(&s, c, sha_of(n), key_count, flags, !is_read_only && !(flags & SCRIPT_NO_WRITES));
    script_eval(server_scripts(c->server), sha_of(n), &s.run, c->reply);
}

static void eval(struct cmd_ctx *c, bool is_read_only) {
    struct script_name n;
    uint32_t flags;
    int key_count;
    monitor_tell(c, false);
    if (!cmd_script_keys(c, &key_count)) return;
    name_by_body(&n, c->argv[1]);
    if (!compile(c, &n, c->argv[1], &flags)) return;
    if (!system_has(c->ks, name_of(&n))) system_set(c->ks, name_of(&n), c->argv[1]);
    run(c, &n, flags, key_count, is_read_only);
}

static void evalsha(struct cmd_ctx *c, bool is_read_only) {
    struct script_name n;
    struct slice body;
    uint32_t flags;
    int key_count;
    monitor_tell(c, false);
    if (!name_by_sha(&n, c->argv[1])) {
        reply_error(c->reply, ERR_NOSCRIPT);
        return;
    }
    if (!cmd_script_keys(c, &key_count)) return;
    if (!system_get(c->ks, name_of(&n), &body)) {
        reply_error(c->reply, ERR_NOSCRIPT);
        return;
    }
    if (!compile(c, &n, body, &flags)) return;
    run(c, &n, flags, key_count, is_read_only);
}

void cmd_eval(struct cmd_ctx *c) {
    eval(c, false);
}
void cmd_eval_ro(struct cmd_ctx *c) {
    eval(c, true);
}
void cmd_evalsha(struct cmd_ctx *c) {
    evalsha(c, false);
}
void cmd_evalsha_ro(struct cmd_ctx *c) {
    evalsha(c, true);
}

/* --- without the log --- */

/* Whether it says that it never writes. */
static bool says_no_writes(struct slice body) {
    struct buf error = {0};
    uint32_t flags;
    size_t code_at;
    bool is_clear = script_read_shebang(body, &flags, &code_at, &error);
    buf_free(&error);
    return is_clear && flags & SCRIPT_NO_WRITES;
}

bool cmd_script_says_no_writes(struct keyspace *ks, const struct command *cmd, int argc,
                               const struct slice *argv) {
    struct script_name n;
    struct slice body;
    (void)argc;
    if (cmd->fn == cmd_eval) return says_no_writes(argv[1]);
    if (cmd->fn == cmd_fcall) return cmd_fcall_says_no_writes(ks, argv[1]);
    if (cmd->fn != cmd_evalsha) return false;
    return name_by_sha(&n, argv[1]) && system_get(ks, name_of(&n), &body) && says_no_writes(body);
}

static bool is_stored(struct keyspace *ks, struct slice body) {
    struct script_name n;
    name_by_body(&n, body);
    return system_has(ks, name_of(&n));
}

bool cmd_eval_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv) {
    (void)db;
    (void)argc;
    return argv[1].len > 2 && argv[1].data[0] == '#' && says_no_writes(argv[1]) && is_stored(ks, argv[1]);
}

bool cmd_eval_ro_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv) {
    (void)db;
    (void)argc;
    return is_stored(ks, argv[1]);
}

bool cmd_evalsha_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv) {
    struct script_name n;
    struct slice body;
    (void)db;
    (void)argc;
    return !name_by_sha(&n, argv[1]) || !system_get(ks, name_of(&n), &body) || says_no_writes(body);
}

bool cmd_evalsha_ro_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv) {
    (void)ks;
    (void)db;
    (void)argc;
    (void)argv;
    return true;
}

/* --- SCRIPT --- */

void cmd_script_load(struct cmd_ctx *c) {
    struct script_name n;
    uint32_t flags;
    name_by_body(&n, c->argv[2]);
    if (!compile(c, &n, c->argv[2], &flags)) return;
    if (!system_has(c->ks, name_of(&n))) system_set(c->ks, name_of(&n), c->argv[2]);
    reply_bulk(c->reply, sha_of(&n));
}

void cmd_script_exists(struct cmd_ctx *c) {
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        struct script_name n;
        reply_int(c->reply, name_by_sha(&n, c->argv[i]) && system_has(c->ks, name_of(&n)));
    }
}

struct names {
    struct arena *arena;
    struct slice *items;
    size_t count, cap;
};

static void add_name(void *arg, struct slice name, struct slice value) {
    struct names *names = arg;
    (void)value;
    if (names->count == names->cap) {
        size_t cap = names->cap > 0 ? names->cap * 2 : 64;
        struct slice *items = arena_alloc(names->arena, cap * sizeof *items);
        if (names->count > 0) memcpy(items, names->items, names->count * sizeof *items);
        names->items = items;
        names->cap = cap;
    }
    names->items[names->count++] = arena_copy(names->arena, name);
}

void cmd_script_flush(struct cmd_ctx *c) {
    struct names names = {.arena = c->arena};
    if (c->argc > 3 || (c->argc == 3 && !slice_is(c->argv[2], "sync") && !slice_is(c->argv[2], "async"))) {
        reply_error(c->reply, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        return;
    }
    system_each(c->ks, SLICE(NAME_PREFIX), add_name, &names);
    for (size_t i = 0; i < names.count; i++) (void)system_delete(c->ks, names.items[i]);
    script_forget_all(server_scripts(c->server));
    reply_ok(c->reply);
}

/* There is no debugger: nothing would be gained by saying otherwise. */
void cmd_script_debug(struct cmd_ctx *c) {
    if (slice_is(c->argv[2], "no"))
        reply_ok(c->reply);
    else if (slice_is(c->argv[2], "yes") || slice_is(c->argv[2], "sync"))
        reply_error(c->reply, "ERR there is no debugger for scripts");
    else
        reply_error(c->reply, "ERR Use SCRIPT DEBUG YES/SYNC/NO");
}

static void count_script(void *arg, struct slice name, struct slice value) {
    struct cmd_script_usage *u = arg;
    u->count++;
    u->bytes += name.len + value.len;
}

void cmd_script_usage(struct keyspace *ks, struct cmd_script_usage *out) {
    *out = (struct cmd_script_usage){0};
    system_each(ks, SLICE(NAME_PREFIX), count_script, out);
}
