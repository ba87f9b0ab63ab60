/* The command table: rows of commands.def, tied together once at program start, then looked up for every
 * command that arrives and every entry that is applied. Nothing here changes afterwards. */
#include "cmd.h"
#include "command_docs.h"
#include "handlers.h"
#include "num.h"

#include <string.h>

/* The words of commands.def. */
enum {
    WRITE = CMD_WRITE,
    LOGGED = CMD_WRITE | CMD_UNSAID,
    READONLY = CMD_READONLY,
    ASKED = CMD_READONLY | CMD_UNSAID,
    DENYOOM = CMD_DENYOOM,
    ADMIN = CMD_ADMIN,
    PUBSUB = CMD_PUBSUB,
    NOSCRIPT = CMD_NOSCRIPT,
    LOADING = CMD_LOADING,
    STALE = CMD_STALE,
    FAST = CMD_FAST,
    SKIP_MONITOR = CMD_SKIP_MONITOR,
    NO_MANDATORY_KEYS = CMD_NO_MANDATORY_KEYS,
    NO_AUTH = CMD_NO_AUTH,
    ALLOW_BUSY = CMD_ALLOW_BUSY,
    NO_ASYNC_LOADING = CMD_NO_ASYNC_LOADING,
    NO_MULTI = CMD_NO_MULTI,
    SKIP_SLOWLOG = CMD_SKIP_SLOWLOG,
    BLOCKING = CMD_BLOCKING,
    MAY_REPLICATE = CMD_MAY_REPLICATE,
    LEADER = CMD_LEADER,
    GUARDED = CMD_GUARDED,
    ALONE = CMD_ALONE,
    ASKING = CMD_ASKING,
    HIDDEN = CMD_HIDDEN,
    INTERNAL = CMD_INTERNAL,
    SESSION = CMD_SESSION,
    WAITS = CMD_WAITS,
};

#define KEY(what, from, to, by)                                                                              \
    { .flags = what, .first = from, .last = to, .step = by }
#define KEY_NOTE(what, from, to, by, text)                                                                   \
    { .flags = what, .first = from, .last = to, .step = by, .note = text }
/* The argument at `at` says how many keys follow it. */
#define KEY_COUNT(what, at)                                                                                  \
    { .flags = what, .find = FIND_COUNTED, .first = at }
#define KEY_COUNT_NOTE(what, at, text)                                                                       \
    { .flags = what, .find = FIND_COUNTED, .first = at, .note = text }
/* Behind a word that is looked for from the argument `from` on. */
#define KEY_WORD(what, word, from, to, by, part)                                                             \
    { .flags = what, .keyword = word, .first = from, .last = to, .step = by, .limit = part }
#define KEY_UNKNOWN(what, text)                                                                              \
    { .flags = what, .find = FIND_UNKNOWN, .note = text }
#define KEY_UNKNOWN_WORD(what, word, from, text)                                                             \
    { .flags = what, .find = FIND_UNKNOWN, .keyword = word, .first = from, .note = text }
#define SPEC_ARRAY(...) ((const struct key_spec[]){__VA_ARGS__})
#define KEYS(...)                                                                                            \
    .key_specs = SPEC_ARRAY(__VA_ARGS__),                                                                    \
    .key_spec_count = sizeof SPEC_ARRAY(__VA_ARGS__) / sizeof(struct key_spec)
#define NO_KEYS .key_specs = NULL

/* A row's place says whose subcommand it is: until tie() sets the real one, `parent` only tells that it has
 * one. */
static const struct command some_parent;

#define CMD(word, handler, args, how, acl, keys, hints)                                                      \
    {.name = word, .fn = handler, .arity = args, .flags = how, .categories = acl, .tips = hints, keys},
#define SUBCMD(word, handler, args, how, acl, keys, hints)                                                   \
    {.name = word,                                                                                           \
     .fn = handler,                                                                                          \
     .arity = args,                                                                                          \
     .flags = how,                                                                                           \
     .categories = acl,                                                                                      \
     .tips = hints,                                                                                          \
     .parent = &some_parent,                                                                                 \
     keys},
static struct command table[] = {
#include "commands.def"
};
#undef CMD
#undef SUBCMD

enum {
    ROW_COUNT = sizeof table / sizeof table[0],
    BUCKET_COUNT = 1024, /* a power of two, several times the rows, so that probes are short */
};

/* Open addressing over the top-level names: row + 1, or 0. */
static uint16_t buckets[BUCKET_COUNT];
static_assert(ROW_COUNT * 2 < BUCKET_COUNT, "grow BUCKET_COUNT");

static inline uint8_t fold(char c) {
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Up to eight bytes as a number, without reading past them. */
static inline uint64_t load_bytes(const char *p, size_t len) {
    uint64_t wide = 0;
    uint32_t head = 0, tail = 0;
    if (len >= 8) {
        memcpy(&wide, p, 8);
        return wide;
    }
    if (len >= 4) {
        memcpy(&head, p, 4);
        memcpy(&tail, p + len - 4, 4);
        return (uint64_t)tail << 32 | head;
    }
    for (size_t i = 0; i < len; i++) wide = wide << 8 | (uint8_t)p[i];
    return wide;
}

/* Of the length and the first and last eight bytes, which tells all names apart well enough. Setting bit 5
 * folds the case of letters; that it folds other characters, too, only makes a wrong guess that the
 * comparison rejects. */
static inline uint32_t name_hash(struct slice name) {
    const uint64_t fold_bits = UINT64_C(0x2020202020202020);
    uint64_t bits = load_bytes(name.data, name.len) | fold_bits;
    if (name.len > 8) bits ^= (load_bytes(name.data + name.len - 8, 8) | fold_bits) * 31;
    bits = (bits ^ name.len) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(bits >> 40);
}

static inline bool name_is(const char *name, struct slice word) {
    for (size_t i = 0; i < word.len; i++) {
        /* Ends at the name's NUL at the latest, unless the word has one there, too. */
        if ((uint8_t)name[i] != fold(word.data[i]) || name[i] == '\0') return false;
    }
    return name[word.len] == '\0';
}

/* First, last and step as clients before key specs know them: one range that covers all specs, or all that can be
 * covered by one, and then the keys are called movable. */
static void derive_key_range(struct command *cmd) {
    for (int i = 0; i < cmd->key_spec_count; i++) {
        const struct key_spec *spec = &cmd->key_specs[i];
        if (spec->find != FIND_RANGE || spec->keyword != NULL) {
            cmd->flags |= CMD_MOVABLEKEYS;
            continue;
        }
        int last = spec->last < 0 ? spec->last : spec->first + spec->last;
        if (cmd->first_key == 0) {
            cmd->first_key = spec->first;
            cmd->last_key = last;
            cmd->key_step = spec->step;
            continue;
        }
        CHECK(spec->first == cmd->last_key + 1);
        cmd->last_key = last;
    }
}

/* What the specs say of Redis's commands is true of each of ours: deleting, and not from an argument that may be missing. */
static void derive_taking(struct command *cmd) {
    if (!(cmd->flags & CMD_WRITE) || cmd->key_spec_count == 0) return;
    const struct key_spec *spec = &cmd->key_specs[0];
    if (spec->keyword == NULL && strstr(spec->flags, "delete") != NULL) cmd->flags |= CMD_TAKES;
}

/* Those that make, list and stop scripts are subcommands. */
static void derive_scripting(struct command *cmd) {
    cmd->runs_scripts = (cmd->categories & ACL_SCRIPTING) && cmd->parent == NULL && cmd->fn != cmd_container;
}

static void derive_categories(struct command *cmd) {
    if (cmd->flags & CMD_INTERNAL) return;
    bool is_said = !(cmd->flags & CMD_UNSAID);
    if ((cmd->flags & CMD_WRITE) && is_said) cmd->categories |= ACL_WRITE;
    if ((cmd->flags & CMD_READONLY) && is_said && !(cmd->categories & ACL_SCRIPTING))
        cmd->categories |= ACL_READ;
    if (cmd->flags & CMD_ADMIN) cmd->categories |= ACL_ADMIN | ACL_DANGEROUS;
    if (cmd->flags & CMD_PUBSUB) cmd->categories |= ACL_PUBSUB;
    if (cmd->flags & CMD_BLOCKING) cmd->categories |= ACL_BLOCKING;
    cmd->categories |= (cmd->flags & CMD_FAST) ? ACL_FAST : ACL_SLOW;
}

static void add_name(int row) {
    uint32_t at = name_hash(slice_of(table[row].name)) & (BUCKET_COUNT - 1);
    while (buckets[at] != 0) at = (at + 1) & (BUCKET_COUNT - 1);
    buckets[at] = (uint16_t)(row + 1);
}

__attribute__((constructor)) static void tie(void) {
    struct command *container = NULL;
    for (int row = 0; row < ROW_COUNT; row++) {
        struct command *cmd = &table[row];
        cmd->id = row;
        derive_key_range(cmd);
        derive_taking(cmd);
        derive_scripting(cmd);
        derive_categories(cmd);
        if (cmd->flags & CMD_BLOCKING) cmd->flags |= CMD_WAITS;
        if (cmd->parent != NULL) {
            CHECK(container != NULL);
            cmd->parent = container;
            if (container->subcommands == NULL) container->subcommands = cmd;
            container->subcommand_count++;
        } else {
            container = cmd;
            add_name(row);
        }
        char name[COMMAND_NAME_CAP];
        size_t len = command_full_name(cmd, name, sizeof name);
        cmd->doc = command_doc_by_name(slice_make(name, len));
    }
}

const struct command *command_by_name(struct slice name) {
    for (uint32_t at = name_hash(name) & (BUCKET_COUNT - 1); buckets[at] != 0;
         at = (at + 1) & (BUCKET_COUNT - 1)) {
        const struct command *cmd = &table[buckets[at] - 1];
        if (name_is(cmd->name, name)) return cmd;
    }
    return NULL;
}

const struct command *command_lookup(int argc, const struct slice *argv) {
    CHECK(argc > 0);
    const struct command *cmd = command_by_name(argv[0]);
    if (cmd == NULL || cmd->subcommand_count == 0 || argc == 1) return cmd;
    for (int i = 0; i < cmd->subcommand_count; i++) {
        if (name_is(cmd->subcommands[i].name, argv[1])) return &cmd->subcommands[i];
    }
    return cmd;
}

const struct command *command_by_full_name(struct slice name) {
    const char *bar = name.len > 0 ? memchr(name.data, '|', name.len) : NULL;
    if (bar == NULL) return command_by_name(name);
    size_t len = (size_t)(bar - name.data);
    struct slice words[2] = {slice_make(name.data, len), slice_make(bar + 1, name.len - len - 1)};
    const struct command *cmd = command_lookup(2, words);
    return cmd != NULL && cmd->parent != NULL ? cmd : NULL;
}

int command_stat_count(void) {
    return ROW_COUNT;
}

const struct command *command_by_id(int id) {
    CHECK(id >= 0 && id < ROW_COUNT);
    return &table[id];
}

static size_t put_word(char *out, size_t cap, size_t len, const char *word) {
    while (*word != '\0' && len + 1 < cap) out[len++] = *word++;
    return len;
}

size_t command_full_name(const struct command *cmd, char *out, size_t cap) {
    CHECK(cap > 0);
    size_t len = 0;
    if (cmd->parent != NULL) {
        len = put_word(out, cap, len, cmd->parent->name);
        len = put_word(out, cap, len, "|");
    }
    len = put_word(out, cap, len, cmd->name);
    out[len] = '\0';
    return len;
}

/* Behind the last of the words that has something behind it: an option that is given twice counts once. */
static int behind_last_word(const struct key_spec *spec, int argc, const struct slice *argv) {
    if (spec->keyword == NULL) return 0;
    for (int at = argc - 2; at >= spec->first; at--) {
        if (slice_is(argv[at], spec->keyword)) return at + 1;
    }
    return 0;
}

/* Where the spec's keys begin: 0 when its keyword is not there, and that is no mistake, for most are optional. */
static int first_of_spec(const struct key_spec *spec, int argc, const struct slice *argv) {
    if (spec->find == FIND_UNKNOWN) return behind_last_word(spec, argc, argv);
    if (spec->keyword == NULL) return spec->first;
    for (int at = argc + spec->first; spec->first < 0 && at > 0; at--) {
        if (slice_is(argv[at], spec->keyword)) return at + 1;
    }
    for (int at = spec->first < 0 ? argc : spec->first; at < argc; at++) {
        if (slice_is(argv[at], spec->keyword)) return at + 1;
    }
    return 0;
}

/* The last key, and the first one moved behind the count; 0 when there is none, -1 when the arguments do not fit. */
static int last_of_spec(const struct key_spec *spec, int *first, int argc, const struct slice *argv) {
    int64_t last;
    if (spec->find == FIND_COUNTED) {
        int64_t count;
        if (*first >= argc || !parse_i64(argv[*first], &count) || count < 0 || count > argc) return -1;
        if (count == 0) return 0;
        last = *first + count;
        ++*first;
    } else if (spec->last >= 0) {
        last = *first + spec->last;
    } else {
        last = spec->limit > 0 ? *first + (argc - *first) / spec->limit + spec->last : argc + spec->last;
    }
    return *first >= argc || last >= argc || last < *first ? -1 : (int)last;
}

bool key_spec_is_of_keys(const struct key_spec *spec) {
    return strncmp(spec->flags, "not_key", 7) != 0;
}

/* MIGRATE: one key, or those behind KEYS, whatever its values look like; none when both are there. */
static int first_of_migrate(int argc, const struct slice *argv) {
    for (int i = 6; i < argc; i++) {
        if (slice_is(argv[i], "keys")) return argv[3].len > 0 ? argc : i + 1;
        if (slice_is(argv[i], "auth")) i++;
        if (slice_is(argv[i], "auth2")) i += 2;
    }
    return 3;
}

static int keys_of_migrate(const struct command *cmd, int argc, const struct slice *argv,
                           struct key_position *out, int cap) {
    int first = first_of_migrate(argc, argv), count = first == 3 ? 1 : argc - first;
    if (count == 0) return -1;
    for (int i = 0; i < count && i < cap; i++)
        out[i] = (struct key_position){first + i, &cmd->key_specs[first == 3 ? 0 : 1]};
    return count;
}

static int find_names(const struct command *cmd, int argc, const struct slice *argv, bool of_keys,
                      struct key_position *out, int cap) {
    if (cmd->arity >= 0 ? argc != cmd->arity : argc < -cmd->arity) return -1;
    if (cmd->fn == cmd_migrate) return of_keys ? keys_of_migrate(cmd, argc, argv, out, cap) : 0;
    int count = 0;
    bool none_is_fine = true;
    for (int i = 0; i < cmd->key_spec_count; i++) {
        const struct key_spec *spec = &cmd->key_specs[i];
        if (key_spec_is_of_keys(spec) != of_keys) continue;
        none_is_fine = cmd->flags & CMD_NO_MANDATORY_KEYS;
        int first = first_of_spec(spec, argc, argv);
        if (first == 0) continue;
        int last = last_of_spec(spec, &first, argc, argv);
        if (last < 0) return -1;
        if (last == 0) continue;
        int step = spec->step > 0 ? spec->step : 1;
        for (int at = first; at <= last; at += step) {
            if (count < cap) out[count] = (struct key_position){at, spec};
            count++;
        }
    }
    return count == 0 && !none_is_fine ? -1 : count;
}

int command_keys(const struct command *cmd, int argc, const struct slice *argv, struct key_position *out,
                 int cap) {
    return find_names(cmd, argc, argv, true, out, cap);
}

bool command_has_slot(const struct command *cmd, int argc, const struct slice *argv, struct slice *name) {
    struct key_position first;
    if (find_names(cmd, argc, argv, true, &first, 1) <= 0 &&
        find_names(cmd, argc, argv, false, &first, 1) <= 0)
        return false;
    *name = argv[first.at];
    return true;
}

/* BITFIELD only reads when there is nothing but GET. */
static const char *flags_of_bitfield(int argc, const struct slice *argv) {
    for (int i = 2; i < argc;) {
        int left = argc - i - 1;
        if (slice_is(argv[i], "get") && left >= 2)
            i += 3;
        else if (slice_is(argv[i], "overflow") && left >= 1)
            i += 2;
        else
            return "RW access update";
    }
    return "RO access";
}

/* What a command with variable_flags does to its key depends on its options: SET reads only with GET. */
const char *command_key_flags(const struct command *cmd, const struct key_spec *spec, int argc,
                              const struct slice *argv) {
    if (strstr(spec->flags, "variable_flags") == NULL) return spec->flags;
    if (cmd->fn == cmd_bitfield) return flags_of_bitfield(argc, argv);
    for (int i = 3; i < argc; i++) {
        if (slice_is(argv[i], "get")) return "RW access update";
    }
    return "OW update";
}

/* Dispatch answers an unknown subcommand itself, so nothing is ever run by a container's name. */
void cmd_container(struct cmd_ctx *c) {
    reply_error(c->reply, ERR_SYNTAX);
}
