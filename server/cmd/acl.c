/* See acl.h: rules into users, and the questions. What a user is shown as is in acl_text.c. */
#include "acl.h"

#include "handlers.h"
#include "mem.h"
#include "resp_parse.h"

#include <ctype.h>

static const char unknown_command[] = "Unknown command or category name in ACL";
static const char syntax_error[] = "Syntax error";

static const struct {
    const char *name;
    uint32_t bit;
} categories[ACL_CATEGORY_COUNT] = {
    {"keyspace", ACL_KEYSPACE},
    {"read", ACL_READ},
    {"write", ACL_WRITE},
    {"set", ACL_SET},
    {"sortedset", ACL_SORTEDSET},
    {"list", ACL_LIST},
    {"hash", ACL_HASH},
    {"string", ACL_STRING},
    {"bitmap", ACL_BITMAP},
    {"hyperloglog", ACL_HYPERLOGLOG},
    {"geo", ACL_GEO},
    {"stream", ACL_STREAM},
    {"pubsub", ACL_PUBSUB},
    {"admin", ACL_ADMIN},
    {"fast", ACL_FAST},
    {"slow", ACL_SLOW},
    {"blocking", ACL_BLOCKING},
    {"dangerous", ACL_DANGEROUS},
    {"connection", ACL_CONNECTION},
    {"transaction", ACL_TRANSACTION},
    {"scripting", ACL_SCRIPTING},
};

const char *acl_category_name(int i) {
    CHECK(i >= 0 && i < ACL_CATEGORY_COUNT);
    return categories[i].name;
}

uint32_t acl_category_bit(int i) {
    CHECK(i >= 0 && i < ACL_CATEGORY_COUNT);
    return categories[i].bit;
}

uint32_t acl_category_by_name(struct slice name) {
    for (int i = 0; i < ACL_CATEGORY_COUNT; i++)
        if (slice_is(name, categories[i].name)) return categories[i].bit;
    return 0;
}

bool acl_has_spaces(struct slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\0' || isspace((unsigned char)text.data[i])) return true;
    return false;
}

/* --- patterns --- */

static void patterns_clear(struct acl_patterns *p) {
    for (size_t i = 0; i < p->count; i++) buf_free(&p->items[i].text);
    mem_free(p->items);
    *p = (struct acl_patterns){0};
}

/* A pattern that is there already gets the permissions as well. */
static void patterns_add(struct acl_patterns *p, struct slice text, unsigned permits) {
    for (size_t i = 0; i < p->count; i++) {
        if (!slice_eq(buf_slice(&p->items[i].text), text)) continue;
        p->items[i].permits |= permits;
        return;
    }
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 4;
        p->items = mem_realloc(p->items, p->cap * sizeof *p->items);
    }
    p->items[p->count] = (struct acl_pattern){.permits = permits};
    buf_add_slice(&p->items[p->count++].text, text);
}

static void patterns_copy(struct acl_patterns *to, const struct acl_patterns *from) {
    *to = (struct acl_patterns){0};
    for (size_t i = 0; i < from->count; i++)
        patterns_add(to, buf_slice(&from->items[i].text), from->items[i].permits);
}

/* --- first arguments --- */

static void first_args_drop(struct acl_selector *s, size_t i) {
    buf_free(&s->first_args[i].text);
    memmove(s->first_args + i, s->first_args + i + 1, (--s->first_arg_count - i) * sizeof *s->first_args);
}

static void first_args_reset(struct acl_selector *s, int command_id) {
    for (size_t i = s->first_arg_count; i-- > 0;)
        if (s->first_args[i].command_id == command_id) first_args_drop(s, i);
}

static void first_args_clear(struct acl_selector *s) {
    while (s->first_arg_count > 0) first_args_drop(s, s->first_arg_count - 1);
    mem_free(s->first_args);
    s->first_args = NULL;
}

static bool first_arg_matches(const struct acl_selector *s, int command_id, struct slice arg) {
    for (size_t i = 0; i < s->first_arg_count; i++) {
        struct slice text = buf_slice(&s->first_args[i].text);
        if (s->first_args[i].command_id == command_id && text.len == arg.len &&
            strncasecmp(text.data, arg.data, arg.len) == 0)
            return true;
    }
    return false;
}

static void first_args_add(struct acl_selector *s, int command_id, struct slice arg) {
    if (first_arg_matches(s, command_id, arg)) return;
    s->first_args = mem_realloc(s->first_args, (s->first_arg_count + 1) * sizeof *s->first_args);
    s->first_args[s->first_arg_count] = (struct acl_first_arg){.command_id = command_id};
    buf_add_slice(&s->first_args[s->first_arg_count++].text, arg);
}

/* --- selectors and users --- */

static void selector_free(struct acl_selector *s) {
    patterns_clear(&s->keys);
    patterns_clear(&s->channels);
    first_args_clear(s);
}

static void selector_copy(struct acl_selector *to, const struct acl_selector *from) {
    *to = *from;
    patterns_copy(&to->keys, &from->keys);
    patterns_copy(&to->channels, &from->channels);
    to->first_args = NULL;
    to->first_arg_count = 0;
    for (size_t i = 0; i < from->first_arg_count; i++)
        first_args_add(to, from->first_args[i].command_id, buf_slice(&from->first_args[i].text));
}

static struct acl_selector *add_selector(struct acl_user *u) {
    u->selectors = mem_realloc(u->selectors, (u->selector_count + 1) * sizeof *u->selectors);
    struct acl_selector *s = &u->selectors[u->selector_count++];
    *s = (struct acl_selector){0};
    return s;
}

void acl_user_init(struct acl_user *u, struct slice name) {
    *u = (struct acl_user){0};
    buf_add_slice(&u->name, name);
    add_selector(u);
}

void acl_user_init_open(struct acl_user *u) {
    acl_user_init(u, SLICE("default"));
    CHECK(acl_apply_text(u, SLICE("on nopass ~* &* +@all")) == NULL);
}

static void clear_but_name(struct acl_user *u) {
    for (size_t i = 0; i < u->selector_count; i++) selector_free(&u->selectors[i]);
    mem_free(u->selectors);
    mem_free(u->passwords);
}

void acl_user_free(struct acl_user *u) {
    clear_but_name(u);
    buf_free(&u->name);
    *u = (struct acl_user){0};
}

void acl_user_copy(struct acl_user *u, const struct acl_user *from) {
    CHECK(u != from);
    struct buf name = u->name;
    clear_but_name(u);
    *u = *from;
    u->name = name;
    size_t bytes = from->password_count * sizeof *from->passwords;
    u->passwords = NULL;
    if (bytes > 0) memcpy(u->passwords = mem_alloc(bytes), from->passwords, bytes);
    u->selectors = mem_alloc(from->selector_count * sizeof *u->selectors);
    for (size_t i = 0; i < from->selector_count; i++) selector_copy(&u->selectors[i], &from->selectors[i]);
}

/* --- rules about commands --- */

static bool is_of_rules(const struct command *cmd) {
    return !(cmd->flags & CMD_INTERNAL);
}

static void set_bit(struct acl_selector *s, int id, bool allow) {
    CHECK(id >= 0 && id < ACL_COMMAND_BITS);
    uint64_t bit = UINT64_C(1) << (id % 64);
    if (allow) {
        s->allowed[id / 64] |= bit;
    } else {
        s->allowed[id / 64] &= ~bit;
        s->all_commands = false;
    }
}

bool acl_allows_command(const struct acl_selector *s, const struct command *cmd) {
    return s->allowed[cmd->id / 64] >> (cmd->id % 64) & 1;
}

/* What is said of a container is said of its subcommands. */
static void set_command(struct acl_selector *s, const struct command *cmd, bool allow) {
    set_bit(s, cmd->id, allow);
    first_args_reset(s, cmd->id);
    for (int i = 0; i < cmd->subcommand_count; i++) set_bit(s, cmd->subcommands[i].id, allow);
}

static const char *apply_category(struct acl_selector *s, struct slice name, bool allow) {
    uint32_t bit = acl_category_by_name(name);
    if (bit == 0) return unknown_command;
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        if (cmd->categories & bit && is_of_rules(cmd)) set_command(s, cmd, allow);
    }
    return NULL;
}

static void apply_all_commands(struct acl_selector *s, bool allow) {
    memset(s->allowed, allow ? 0xff : 0, sizeof s->allowed);
    s->all_commands = s->future_commands = allow;
    first_args_clear(s);
}

static const struct command *command_of_rule(struct slice name) {
    const struct command *cmd = name.len > 0 ? command_by_full_name(name) : NULL;
    return cmd != NULL && is_of_rules(cmd) ? cmd : NULL;
}

/* "config|get", or "select|0". The last bar counts. */
static const char *allow_with_arg(struct acl_selector *s, struct slice rule, size_t bar) {
    struct slice name = slice_make(rule.data, bar), arg = slice_make(rule.data + bar + 1, rule.len - bar - 1);
    const struct command *cmd = command_of_rule(name);
    if (cmd == NULL) return unknown_command;
    if (cmd->parent != NULL) return "Allowing first-arg of a subcommand is not supported";
    if (arg.len == 0 || acl_has_spaces(arg)) return syntax_error;
    if (cmd->subcommand_count > 0) {
        cmd = command_of_rule(rule);
        if (cmd == NULL) return unknown_command;
        set_command(s, cmd, true);
    } else {
        first_args_add(s, cmd->id, arg);
    }
    return NULL;
}

static const char *apply_command(struct acl_selector *s, struct slice rule, bool allow) {
    for (size_t bar = rule.len; allow && bar-- > 0;)
        if (rule.data[bar] == '|') return allow_with_arg(s, rule, bar);
    const struct command *cmd = command_of_rule(rule);
    if (cmd == NULL) return unknown_command;
    set_command(s, cmd, allow);
    return NULL;
}

/* --- rules about keys and channels --- */

/* "~pattern", "%R~pattern", "%RW~pattern". */
static const char *apply_key_pattern(struct acl_selector *s, struct slice rule) {
    unsigned permits = 0;
    size_t at = 1;
    if (s->all_keys)
        return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have "
               "any "
               "effect. Try 'resetkeys' to start with an empty list of patterns";
    if (rule.data[0] == '~') permits = ACL_PERMITS_ALL;
    while (rule.data[0] == '%' && at < rule.len) {
        char ch = (char)toupper((unsigned char)rule.data[at++]);
        if (ch == '~') break;
        unsigned bit = ch == 'R' ? ACL_PERMITS_READ : ch == 'W' ? ACL_PERMITS_WRITE : 0;
        if (bit == 0 || permits & bit) return syntax_error;
        permits |= bit;
    }
    struct slice pattern = slice_make(rule.data + at, rule.len - at);
    if (permits == 0 || acl_has_spaces(pattern)) return syntax_error;
    patterns_add(&s->keys, pattern, permits);
    return NULL;
}

static const char *apply_channel_pattern(struct acl_selector *s, struct slice pattern) {
    if (s->all_channels)
        return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not "
               "have "
               "any effect. Try 'resetchannels' to start with an empty list of channels";
    if (acl_has_spaces(pattern)) return syntax_error;
    patterns_add(&s->channels, pattern, ACL_PERMITS_ALL);
    return NULL;
}

static void set_all_keys(struct acl_selector *s, bool all) {
    s->all_keys = all;
    patterns_clear(&s->keys);
}

static void set_all_channels(struct acl_selector *s, bool all) {
    s->all_channels = all;
    patterns_clear(&s->channels);
}

static const char *apply_to_selector(struct acl_selector *s, struct slice rule) {
    struct slice rest = slice_make(rule.data + 1, rule.len - 1);
    if (slice_is(rule, "allkeys") || slice_is(rule, "~*"))
        set_all_keys(s, true);
    else if (slice_is(rule, "resetkeys"))
        set_all_keys(s, false);
    else if (slice_is(rule, "allchannels") || slice_is(rule, "&*"))
        set_all_channels(s, true);
    else if (slice_is(rule, "resetchannels"))
        set_all_channels(s, false);
    else if (slice_is(rule, "allcommands") || slice_is(rule, "+@all"))
        apply_all_commands(s, true);
    else if (slice_is(rule, "nocommands") || slice_is(rule, "-@all"))
        apply_all_commands(s, false);
    else if (rule.data[0] == '~' || rule.data[0] == '%')
        return apply_key_pattern(s, rule);
    else if (rule.data[0] == '&')
        return apply_channel_pattern(s, rest);
    else if ((rule.data[0] == '+' || rule.data[0] == '-') && rest.len > 0 && rest.data[0] == '@')
        return apply_category(s, slice_make(rest.data + 1, rest.len - 1), rule.data[0] == '+');
    else if (rule.data[0] == '+' || rule.data[0] == '-')
        return apply_command(s, rest, rule.data[0] == '+');
    else
        return syntax_error;
    return NULL;
}

/* "(+get ~a)". Quotes that do not match make an empty one, as in Redis: it allows nothing. */
static const char *apply_new_selector(struct acl_user *u, struct slice rule) {
    struct buf store = {0};
    struct slice *argv = NULL;
    const char *error = NULL;
    int cap = 0, argc = 0;
    struct acl_selector *s = add_selector(u);
    if (!resp_split_line(slice_make(rule.data + 1, rule.len - 2), &store, &argv, &cap, &argc)) argc = 0;
    for (int i = 0; i < argc && error == NULL; i++)
        error = argv[i].len > 0 ? apply_to_selector(s, argv[i]) : syntax_error;
    if (error != NULL) selector_free(&u->selectors[--u->selector_count]);
    mem_free(argv);
    buf_free(&store);
    return error;
}

static void clear_selectors(struct acl_user *u) {
    while (u->selector_count > 1) selector_free(&u->selectors[--u->selector_count]);
}

/* --- rules about passwords --- */

static bool is_hash(struct slice text) {
    if (text.len != SHA256_HEX_LEN) return false;
    for (size_t i = 0; i < text.len; i++) {
        char ch = text.data[i];
        if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'f')) return false;
    }
    return true;
}

static void reset_passwords(struct acl_user *u, bool nopass) {
    u->nopass = nopass;
    u->password_count = 0;
    mem_free(u->passwords);
    u->passwords = NULL;
}

/* ">password", "#hash", "<password", "!hash". */
static const char *apply_password(struct acl_user *u, struct slice rule) {
    char hash[SHA256_HEX_LEN];
    struct slice rest = slice_make(rule.data + 1, rule.len - 1);
    if (rule.data[0] == '>' || rule.data[0] == '<') {
        sha256_hex(rest, hash);
    } else {
        if (!is_hash(rest))
            return "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
                   "characters";
        memcpy(hash, rest.data, sizeof hash);
    }
    size_t at = 0;
    while (at < u->password_count && memcmp(u->passwords[at], hash, sizeof hash) != 0) at++;
    if (rule.data[0] == '>' || rule.data[0] == '#') {
        u->nopass = false;
        if (at < u->password_count) return NULL;
        u->passwords = mem_realloc(u->passwords, (u->password_count + 1) * sizeof *u->passwords);
        memcpy(u->passwords[u->password_count++], hash, sizeof hash);
        return NULL;
    }
    if (at == u->password_count) return "The password you are trying to remove from the user does not exist";
    memmove(u->passwords + at, u->passwords + at + 1, (--u->password_count - at) * sizeof *u->passwords);
    return NULL;
}

bool acl_password_is(const struct acl_user *u, struct slice password) {
    char hash[SHA256_HEX_LEN];
    sha256_hex(password, hash);
    unsigned found = 0;
    for (size_t i = 0; i < u->password_count; i++) {
        unsigned differs = 0;
        for (size_t k = 0; k < sizeof hash; k++) differs |= (unsigned char)(hash[k] ^ u->passwords[i][k]);
        found |= differs == 0;
    }
    return found != 0;
}

/* --- rules about users --- */

static void apply_reset(struct acl_user *u) {
    reset_passwords(u, false);
    set_all_keys(&u->selectors[0], false);
    set_all_channels(&u->selectors[0], false);
    u->is_on = false;
    u->sanitize = ACL_SANITIZE_YES;
    clear_selectors(u);
    apply_all_commands(&u->selectors[0], false);
}

static const char *apply(struct acl_user *u, struct slice rule) {
    if (rule.len == 0) return NULL;
    if (slice_is(rule, "on"))
        u->is_on = true;
    else if (slice_is(rule, "off"))
        u->is_on = false;
    else if (slice_is(rule, "skip-sanitize-payload"))
        u->sanitize = ACL_SANITIZE_SKIP;
    else if (slice_is(rule, "sanitize-payload"))
        u->sanitize = ACL_SANITIZE_YES;
    else if (slice_is(rule, "nopass"))
        reset_passwords(u, true);
    else if (slice_is(rule, "resetpass"))
        reset_passwords(u, false);
    else if (slice_is(rule, "clearselectors"))
        clear_selectors(u);
    else if (slice_is(rule, "reset"))
        apply_reset(u);
    else if (rule.data[0] == '>' || rule.data[0] == '<' || rule.data[0] == '#' || rule.data[0] == '!')
        return apply_password(u, rule);
    else if (rule.len > 1 && rule.data[0] == '(' && rule.data[rule.len - 1] == ')')
        return apply_new_selector(u, rule);
    else
        return apply_to_selector(&u->selectors[0], rule);
    return NULL;
}

static void derive_unrestricted(struct acl_user *u) {
    u->is_unrestricted = false;
    for (size_t i = 0; i < u->selector_count; i++) {
        const struct acl_selector *s = &u->selectors[i];
        if (s->all_commands && s->all_keys && s->all_channels) u->is_unrestricted = true;
    }
}

const char *acl_apply(struct acl_user *u, struct slice rule) {
    const char *error = apply(u, rule);
    derive_unrestricted(u);
    return error;
}

/* No rule has a space inside, and none of a selector begins with a parenthesis: so what ends with one, and has another selector
 * or nothing behind it, ends the selector. */
const char *acl_apply_text(struct acl_user *u, struct slice rules) {
    const char *error = NULL;
    bool is_inside = false;
    while (error == NULL && rules.len > 0) {
        const char *space = memchr(rules.data, ' ', rules.len);
        struct slice rule = slice_make(rules.data, space != NULL ? (size_t)(space - rules.data) : rules.len);
        size_t used = rule.len + (space != NULL);
        rules = slice_make(rules.data + used, rules.len - used);
        if (!is_inside && rule.len > 0 && rule.data[0] == '(') {
            is_inside = true;
            add_selector(u);
            rule = slice_make(rule.data + 1, rule.len - 1);
        }
        bool ends = is_inside && (rules.len == 0 || rules.data[0] == '(');
        if (ends && (rule.len == 0 || rule.data[--rule.len] != ')')) return syntax_error;
        if (!is_inside)
            error = apply(u, rule);
        else if (rule.len > 0)
            error = apply_to_selector(&u->selectors[u->selector_count - 1], rule);
        if (ends) is_inside = false;
    }
    derive_unrestricted(u);
    return error != NULL || !is_inside ? error : syntax_error;
}

/* --- arguments --- */

static struct buf *add_rule(struct acl_rules *rules, struct slice text) {
    struct buf *item = &rules->items[rules->count++];
    *item = (struct buf){0};
    buf_add_slice(item, text);
    return item;
}

bool acl_rules_merge(struct acl_rules *rules, int argc, const struct slice *argv, int *unmatched) {
    struct buf *open = NULL;
    *rules = (struct acl_rules){.items = mem_alloc((size_t)(argc > 0 ? argc : 1) * sizeof *rules->items)};
    for (int i = 0; i < argc; i++) {
        bool ends = argv[i].len > 0 && argv[i].data[argv[i].len - 1] == ')';
        if (argv[i].len > 0 && argv[i].data[0] == '(' && !ends) {
            if (open != NULL)
                buf_free(&rules->items[--rules->count]); /* the last one that opens counts, as in Redis */
            open = add_rule(rules, argv[i]);
            *unmatched = i;
        } else if (open != NULL) {
            buf_add_byte(open, ' ');
            buf_add_slice(open, argv[i]);
            if (ends) open = NULL;
        } else {
            add_rule(rules, argv[i]);
        }
    }
    if (open == NULL) return true;
    acl_rules_free(rules);
    return false;
}

void acl_rules_free(struct acl_rules *rules) {
    for (int i = 0; i < rules->count; i++) buf_free(&rules->items[i]);
    mem_free(rules->items);
    *rules = (struct acl_rules){0};
}

/* --- questions --- */

enum { KEYS_AT_ONCE = 32 };

/* The keys of a command, found once for all selectors. */
struct found_keys {
    struct key_position here[KEYS_AT_ONCE];
    struct key_position *items;
    int count; /* -1: not looked for yet */
};

static void find_keys(struct found_keys *k, const struct command *cmd, int argc, const struct slice *argv) {
    k->items = k->here;
    k->count = command_keys(cmd, argc, argv, k->here, KEYS_AT_ONCE);
    if (k->count < 0) k->count = 0; /* what makes no sense is told so by the command */
    if (k->count <= KEYS_AT_ONCE) return;
    k->items = mem_alloc((size_t)k->count * sizeof *k->items);
    command_keys(cmd, argc, argv, k->items, k->count);
}

static unsigned permits_of(const char *flags) {
    bool writes = strstr(flags, "insert") || strstr(flags, "delete") || strstr(flags, "update");
    return (strstr(flags, "access") ? ACL_PERMITS_READ : 0U) | (writes ? ACL_PERMITS_WRITE : 0U);
}

static bool may_use_key(const struct acl_selector *s, struct slice key, unsigned needed) {
    for (size_t i = 0; i < s->keys.count; i++) {
        const struct acl_pattern *p = &s->keys.items[i];
        if ((p->permits & needed) == needed && glob_match(buf_slice(&p->text), key, false)) return true;
    }
    return false;
}

static bool may_use_channel(const struct acl_selector *s, struct slice channel, bool is_literal) {
    if (s->all_channels) return true;
    for (size_t i = 0; i < s->channels.count; i++) {
        struct slice pattern = buf_slice(&s->channels.items[i].text);
        if (is_literal ? slice_eq(pattern, channel) : glob_match(pattern, channel, false)) return true;
    }
    return false;
}

bool acl_may_use_channel(const struct acl_user *u, struct slice channel, bool is_literal) {
    for (size_t i = 0; u != NULL && i < u->selector_count; i++)
        if (may_use_channel(&u->selectors[i], channel, is_literal)) return true;
    return u == NULL;
}

/* How many of a command's arguments, from the first on, are channels; -1: all of them. */
static int channel_args(const struct command *cmd, bool *is_literal) {
    *is_literal = false;
    if (!(cmd->flags & CMD_PUBSUB) || cmd->parent != NULL) return 0;
    if (strcmp(cmd->name, "publish") == 0 || strcmp(cmd->name, "spublish") == 0) return 1;
    *is_literal = strcmp(cmd->name, "psubscribe") == 0;
    return *is_literal || strcmp(cmd->name, "subscribe") == 0 || strcmp(cmd->name, "ssubscribe") == 0 ? -1
                                                                                                      : 0;
}

static enum acl_answer ask_channels(const struct acl_selector *s, const struct command *cmd, int argc,
                                    const struct slice *argv, int *at) {
    bool is_literal;
    int count = s->all_channels ? 0 : channel_args(cmd, &is_literal);
    for (int i = 1; i < argc && (count < 0 || i <= count); i++) {
        if (may_use_channel(s, argv[i], is_literal)) continue;
        *at = i;
        return ACL_DENIED_CHANNEL;
    }
    return ACL_ALLOWED;
}

static bool may_give(const struct acl_selector *s, const struct command *cmd, int argc,
                     const struct slice *argv) {
    if (s->all_commands || cmd->flags & CMD_NO_AUTH || acl_allows_command(s, cmd)) return true;
    int at = cmd->parent != NULL ? 2 : 1;
    return argc > at && first_arg_matches(s, cmd->id, argv[at]);
}

static enum acl_answer ask_selector(const struct acl_selector *s, const struct command *cmd, int argc,
                                    const struct slice *argv, struct found_keys *keys, int *at) {
    if (!may_give(s, cmd, argc, argv)) return ACL_DENIED_COMMAND;
    if (!s->all_keys && cmd->key_spec_count > 0) {
        if (keys->count < 0) find_keys(keys, cmd, argc, argv);
        for (int i = 0; i < keys->count; i++) {
            const struct key_position *k = &keys->items[i];
            unsigned needed = permits_of(command_key_flags(cmd, k->spec, argc, argv));
            if (may_use_key(s, argv[k->at], needed)) continue;
            *at = k->at;
            return ACL_DENIED_KEY;
        }
    }
    return ask_channels(s, cmd, argc, argv, at);
}

/* When all selectors deny, what the one says that came furthest: a channel before a key before a command, and of these the
 * last argument. */
enum acl_answer acl_check(const struct acl_user *u, const struct command *cmd, int argc,
                          const struct slice *argv, int *at) {
    enum acl_answer worst = ACL_DENIED_COMMAND;
    struct found_keys keys;
    keys.count = -1;
    keys.items = keys.here;
    *at = 0;
    if (u == NULL || u->is_unrestricted) return ACL_ALLOWED;
    for (size_t i = 0; i < u->selector_count; i++) {
        int here = 0;
        enum acl_answer answer = ask_selector(&u->selectors[i], cmd, argc, argv, &keys, &here);
        if (answer == ACL_ALLOWED || answer > worst || (answer == worst && here > *at)) {
            worst = answer;
            *at = here;
        }
        if (answer == ACL_ALLOWED) break;
    }
    if (keys.items != keys.here) mem_free(keys.items);
    return worst;
}

bool acl_reads_all_keys(const struct acl_user *u, const struct command *cmd, int argc,
                        const struct slice *argv) {
    bool reads = u == NULL || u->is_unrestricted;
    struct found_keys keys;
    keys.count = -1;
    keys.items = keys.here;
    for (size_t i = 0; !reads && i < u->selector_count; i++) {
        const struct acl_selector *s = &u->selectors[i];
        int at;
        if (ask_selector(s, cmd, argc, argv, &keys, &at) != ACL_ALLOWED) continue;
        reads = s->all_keys;
        for (size_t k = 0; k < s->keys.count; k++) {
            const struct acl_pattern *p = &s->keys.items[k];
            reads |= p->permits & ACL_PERMITS_READ && slice_eq(buf_slice(&p->text), SLICE("*"));
        }
    }
    if (keys.items != keys.here) mem_free(keys.items);
    return reads;
}
