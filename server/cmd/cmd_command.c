/* COMMAND: the command table, told to clients. */
#include "cmd.h"
#include "command_docs.h"
#include "handlers.h"
#include "mem.h"

static const struct {
    uint32_t bit;
    const char *name;
} flag_names[] =
    {
        {CMD_WRITE, "write"},
        {CMD_READONLY, "readonly"},
        {CMD_DENYOOM, "denyoom"},
        {CMD_ADMIN, "admin"},
        {CMD_PUBSUB, "pubsub"},
        {CMD_NOSCRIPT, "noscript"},
        {CMD_BLOCKING, "blocking"},
        {CMD_LOADING, "loading"},
        {CMD_STALE, "stale"},
        {CMD_SKIP_MONITOR, "skip_monitor"},
        {CMD_SKIP_SLOWLOG, "skip_slowlog"},
        {CMD_ASKING, "asking"},
        {CMD_FAST, "fast"},
        {CMD_NO_AUTH, "no_auth"},
        {CMD_SENTINEL, "sentinel"},
        {CMD_ONLY_SENTINEL, "only_sentinel"},
        {CMD_NO_MANDATORY_KEYS, "no_mandatory_keys"},
        {CMD_NO_ASYNC_LOADING, "no_async_loading"},
        {CMD_NO_MULTI, "no_multi"},
        {CMD_MOVABLEKEYS, "movablekeys"},
        {CMD_ALLOW_BUSY, "allow_busy"},
},
  category_names[] = {
      {ACL_KEYSPACE, "keyspace"},
      {ACL_READ, "read"},
      {ACL_WRITE, "write"},
      {ACL_SET, "set"},
      {ACL_SORTEDSET, "sortedset"},
      {ACL_LIST, "list"},
      {ACL_HASH, "hash"},
      {ACL_STRING, "string"},
      {ACL_BITMAP, "bitmap"},
      {ACL_HYPERLOGLOG, "hyperloglog"},
      {ACL_GEO, "geo"},
      {ACL_STREAM, "stream"},
      {ACL_PUBSUB, "pubsub"},
      {ACL_ADMIN, "admin"},
      {ACL_FAST, "fast"},
      {ACL_SLOW, "slow"},
      {ACL_BLOCKING, "blocking"},
      {ACL_DANGEROUS, "dangerous"},
      {ACL_CONNECTION, "connection"},
      {ACL_TRANSACTION, "transaction"},
      {ACL_SCRIPTING, "scripting"},
};

enum {
    FLAG_COUNT = sizeof flag_names / sizeof flag_names[0],
    CATEGORY_COUNT = sizeof category_names / sizeof category_names[0],
};

static bool is_shown(const struct command *cmd) {
    return (cmd->flags & (CMD_HIDDEN | CMD_INTERNAL)) == 0;
}

static size_t shown_subcommands(const struct command *cmd) {
    size_t n = 0;
    for (int i = 0; i < cmd->subcommand_count; i++) n += is_shown(&cmd->subcommands[i]);
    return n;
}

/* Only whole commands, no subcommands. */
static bool is_listed(const struct command *cmd) {
    return cmd->parent == NULL && is_shown(cmd);
}

static const struct command *shown_by_name(struct slice name) {
    const struct command *cmd = command_by_full_name(name);
    return cmd != NULL && is_shown(cmd) ? cmd : NULL;
}

static void reply_name(struct reply *r, const struct command *cmd) {
    char name[COMMAND_NAME_CAP];
    size_t len = command_full_name(cmd, name, sizeof name);
    reply_bulk(r, slice_make(name, len));
}

/* Words separated by spaces, as a set of simple strings or of bulks. */
static void reply_words(struct reply *r, const char *words, bool simple) {
    size_t mark = reply_defer(r), count = 0;
    while (*words != '\0') {
        char word[64];
        size_t len = strcspn(words, " ");
        CHECK(len > 0 && len < sizeof word);
        memcpy(word, words, len);
        word[len] = '\0';
        if (simple) {
            reply_simple(r, word);
        } else {
            reply_bulk_str(r, word);
        }
        count++;
        words += len;
        while (*words == ' ') words++;
    }
    reply_close_set(r, mark, count);
}

/* --- COMMAND INFO --- */

static void reply_flags(struct reply *r, uint32_t flags) {
    size_t mark = reply_defer(r), count = 0;
    if (flags & CMD_UNSAID) flags &= ~(uint32_t)(flags & CMD_WRITE ? CMD_WRITE : CMD_READONLY);
    for (int i = 0; i < FLAG_COUNT; i++) {
        if (!(flags & flag_names[i].bit)) continue;
        reply_simple(r, flag_names[i].name);
        count++;
    }
    reply_close_set(r, mark, count);
}

static void reply_categories(struct reply *r, uint32_t categories) {
    size_t mark = reply_defer(r), count = 0;
    for (int i = 0; i < CATEGORY_COUNT; i++) {
        if (!(categories & category_names[i].bit)) continue;
        char name[32] = "@";
        strcat(name, category_names[i].name);
        reply_simple(r, name);
        count++;
    }
    reply_close_set(r, mark, count);
}

static void reply_field_int(struct reply *r, const char *name, int64_t v) {
    reply_bulk_str(r, name);
    reply_int(r, v);
}

/* "type" and "spec", for which `fields` fields are due. */
static void reply_typed(struct reply *r, const char *type, size_t fields) {
    reply_map(r, 2);
    reply_bulk_str(r, "type");
    reply_bulk_str(r, type);
    reply_bulk_str(r, "spec");
    reply_map(r, fields);
}

static void reply_begin_search(struct reply *r, const struct key_spec *spec) {
    if (spec->find == FIND_UNKNOWN) {
        reply_typed(r, "unknown", 0);
    } else if (spec->keyword != NULL) {
        reply_typed(r, "keyword", 2);
        reply_bulk_str(r, "keyword");
        reply_bulk_str(r, spec->keyword);
        reply_field_int(r, "startfrom", spec->first);
    } else {
        reply_typed(r, "index", 1);
        reply_field_int(r, "index", spec->first);
    }
}

static void reply_find_keys(struct reply *r, const struct key_spec *spec) {
    switch (spec->find) {
    case FIND_UNKNOWN: reply_typed(r, "unknown", 0); return;
    case FIND_COUNTED:
        reply_typed(r, "keynum", 3);
        reply_field_int(r, "keynumidx", 0);
        reply_field_int(r, "firstkey", 1);
        reply_field_int(r, "keystep", 1);
        return;
    case FIND_RANGE: break;
    }
    reply_typed(r, "range", 3);
    reply_field_int(r, "lastkey", spec->last);
    reply_field_int(r, "keystep", spec->step);
    reply_field_int(r, "limit", spec->limit);
}

static void reply_key_spec(struct reply *r, const struct key_spec *spec) {
    reply_map(r, spec->note != NULL ? 4 : 3);
    if (spec->note != NULL) {
        reply_bulk_str(r, "notes");
        reply_bulk_str(r, spec->note);
    }
    reply_bulk_str(r, "flags");
    reply_words(r, spec->flags, true);
    reply_bulk_str(r, "begin_search");
    reply_begin_search(r, spec);
    reply_bulk_str(r, "find_keys");
    reply_find_keys(r, spec);
}

static void reply_info(struct reply *r, const struct command *cmd) {
    reply_array(r, 10);
    reply_name(r, cmd);
    reply_int(r, cmd->arity);
    reply_flags(r, cmd->flags);
    reply_int(r, cmd->first_key);
    reply_int(r, cmd->last_key);
    reply_int(r, cmd->key_step);
    reply_categories(r, cmd->categories);
    reply_words(r, cmd->tips, false);
    reply_set(r, (size_t)cmd->key_spec_count);
    for (int i = 0; i < cmd->key_spec_count; i++) reply_key_spec(r, &cmd->key_specs[i]);
    reply_set(r, shown_subcommands(cmd));
    for (int i = 0; i < cmd->subcommand_count; i++) {
        if (is_shown(&cmd->subcommands[i])) reply_info(r, &cmd->subcommands[i]);
    }
}

void cmd_command(struct cmd_ctx *c) {
    size_t mark = reply_defer(c->reply), count = 0;
    for (int id = 0; id < command_stat_count(); id++) {
        if (!is_listed(command_by_id(id))) continue;
        reply_info(c->reply, command_by_id(id));
        count++;
    }
    reply_close_array(c->reply, mark, count);
}

void cmd_command_info(struct cmd_ctx *c) {
    if (c->argc == 2) {
        cmd_command(c);
        return;
    }
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        const struct command *cmd = shown_by_name(c->argv[i]);
        if (cmd == NULL) {
            reply_null(c->reply);
        } else {
            reply_info(c->reply, cmd);
        }
    }
}

void cmd_command_count(struct cmd_ctx *c) {
    int64_t count = 0;
    for (int id = 0; id < command_stat_count(); id++) count += is_listed(command_by_id(id));
    reply_int(c->reply, count);
}

/* --- COMMAND LIST --- */

enum filter { FILTER_NONE, FILTER_MODULE, FILTER_CATEGORY, FILTER_PATTERN };

static bool passes(const struct command *cmd, enum filter filter, struct slice value) {
    char name[COMMAND_NAME_CAP];
    size_t len = command_full_name(cmd, name, sizeof name);
    switch (filter) {
    case FILTER_NONE: return true;
    case FILTER_MODULE: return false; /* there are no modules */
    case FILTER_PATTERN: return glob_match(value, slice_make(name, len), true);
    case FILTER_CATEGORY: break;
    }
    for (int i = 0; i < CATEGORY_COUNT; i++) {
        if (slice_is(value, category_names[i].name)) return cmd->categories & category_names[i].bit;
    }
    return false;
}

void cmd_command_list(struct cmd_ctx *c) {
    enum filter filter = FILTER_NONE;
    struct slice value = SLICE("");
    if (c->argc == 5 && slice_is(c->argv[2], "filterby")) {
        value = c->argv[4];
        if (slice_is(c->argv[3], "module")) filter = FILTER_MODULE;
        if (slice_is(c->argv[3], "aclcat")) filter = FILTER_CATEGORY;
        if (slice_is(c->argv[3], "pattern")) filter = FILTER_PATTERN;
    }
    if (c->argc != 2 && filter == FILTER_NONE) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    size_t mark = reply_defer(c->reply), count = 0;
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        /* Subcommands are listed beside their container, as Redis does. */
        if (!is_shown(cmd) || !passes(cmd, filter, value)) continue;
        reply_name(c->reply, cmd);
        count++;
    }
    /* A set when it is all of them, an array when filtered: as Redis does. */
    if (filter == FILTER_NONE) {
        reply_close_set(c->reply, mark, count);
    } else {
        reply_close_array(c->reply, mark, count);
    }
}

/* --- COMMAND DOCS --- */

static void reply_field(struct reply *r, const char *name, const char *value, size_t *count) {
    if (value == NULL || value[0] == '\0') return;
    reply_bulk_str(r, name);
    reply_bulk_str(r, value);
    ++*count;
}

static void reply_docs(struct reply *r, const struct command *cmd) {
    const struct command_doc *doc = cmd->doc;
    size_t mark = reply_defer(r), count = 0;
    if (doc != NULL) {
        reply_field(r, "summary", doc->summary, &count);
        reply_field(r, "since", doc->since, &count);
        reply_field(r, "group", doc->group, &count);
        reply_field(r, "complexity", doc->complexity, &count);
        if (doc->flags[0] != '\0') {
            reply_bulk_str(r, "doc_flags");
            reply_words(r, doc->flags, true);
            count++;
        }
        reply_field(r, "deprecated_since", doc->deprecated_since, &count);
        reply_field(r, "replaced_by", doc->replaced_by, &count);
        if (doc->arguments[0] != '\0') {
            reply_bulk_str(r, "arguments");
            command_doc_arguments(r, doc->arguments);
            count++;
        }
    }
    if (cmd->subcommand_count > 0) {
        reply_bulk_str(r, "subcommands");
        reply_map(r, shown_subcommands(cmd));
        for (int i = 0; i < cmd->subcommand_count; i++) {
            if (!is_shown(&cmd->subcommands[i])) continue;
            reply_name(r, &cmd->subcommands[i]);
            reply_docs(r, &cmd->subcommands[i]);
        }
        count++;
    }
    reply_close_map(r, mark, count);
}

void cmd_command_docs(struct cmd_ctx *c) {
    size_t mark = reply_defer(c->reply), count = 0;
    for (int id = 0; c->argc == 2 && id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        if (!is_listed(cmd)) continue;
        reply_name(c->reply, cmd);
        reply_docs(c->reply, cmd);
        count++;
    }
    for (int i = 2; i < c->argc; i++) {
        const struct command *cmd = shown_by_name(c->argv[i]);
        if (cmd == NULL) continue;
        reply_name(c->reply, cmd);
        reply_docs(c->reply, cmd);
        count++;
    }
    reply_close_map(c->reply, mark, count);
}

/* --- COMMAND GETKEYS --- */

static void reply_keys(struct cmd_ctx *c, bool with_flags) {
    int argc = c->argc - 2;
    const struct slice *argv = c->argv + 2;
    const struct command *cmd = command_lookup(argc, argv);
    /* A container stands for itself only alone: what follows it here is no subcommand of it. */
    if (cmd == NULL || !is_shown(cmd) || (cmd->subcommand_count > 0 && argc > 1)) {
        reply_error(c->reply, "ERR Invalid command specified");
        return;
    }
    if (cmd->key_spec_count == 0 || !key_spec_is_of_keys(&cmd->key_specs[0])) {
        reply_error(c->reply, "ERR The command has no key arguments");
        return;
    }
    int count = command_keys(cmd, argc, argv, NULL, 0);
    bool fits = cmd->arity >= 0 ? argc == cmd->arity : argc >= -cmd->arity;
    if (count < 0 && fits && cmd->flags & CMD_NO_MANDATORY_KEYS) count = 0;
    if (count < 0) {
        reply_error(c->reply, fits ? "ERR Invalid arguments specified for command"
                                   : "ERR Invalid number of arguments specified for command");
        return;
    }
    struct key_position *keys = mem_alloc((size_t)(count > 0 ? count : 1) * sizeof *keys);
    command_keys(cmd, argc, argv, keys, count);
    reply_array(c->reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        if (with_flags) reply_array(c->reply, 2);
        reply_bulk(c->reply, argv[keys[i].at]);
        if (with_flags) reply_words(c->reply, command_key_flags(cmd, keys[i].spec, argc, argv), true);
    }
    mem_free(keys);
}

void cmd_command_getkeys(struct cmd_ctx *c) {
    reply_keys(c, false);
}

void cmd_command_getkeysandflags(struct cmd_ctx *c) {
    reply_keys(c, true);
}
