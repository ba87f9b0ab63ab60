/* See config.h. The rows of config.def become an array of descriptions; the kinds of values know how to read
 * and show themselves, and the few texts with rules of their own have a reader each. Error texts are
 * Redis's. */
#include "config.h"

#include "acl.h"
#include "mem.h"
#include "num.h"
#include "resp_parse.h"
#include "topology.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { KIND_BOOL, KIND_INT, KIND_OCTAL, KIND_MEMORY, KIND_PERCENT, KIND_ENUM, KIND_STRING, KIND_TEXT };
enum { IMMUTABLE = 1, PROTECTED = 2, SENSITIVE = 4, MULTI = 8, HIDDEN = 16, REPEATABLE = 32 };

/* The words an enum's values are, in order, for those it may take; ended by NULL. */
typedef const char *const words[];
static words words_guard = {"no", "yes", "local", NULL};
static words words_acl_pubsub_default = {"allchannels", "resetchannels", NULL};
static words words_loglevel = {"debug", "verbose", "notice", "warning", NULL};
static words words_supervised = {"upstart", "systemd", "auto", "no", NULL};
static words words_syslog_facility = {"user",   "local0", "local1", "local2", "local3",
                                      "local4", "local5", "local6", "local7", NULL};
static words words_oom_score_adj = {"no", "yes", "relative", "absolute", NULL};
static words words_maxmemory_policy = {"volatile-lru",   "volatile-lfu", "volatile-random",
                                       "volatile-ttl",   "allkeys-lru",  "allkeys-lfu",
                                       "allkeys-random", "noeviction",   NULL};
static words words_sanitize_dump_payload = {"no", "yes", "clients", NULL};
static words words_appendfsync = {"everysec", "always", "no", NULL};
static words words_repl_diskless_load = {"disabled", "on-empty-db", "swapdb", NULL};
static words words_propagation_error_behavior = {"ignore", "panic", "panic-on-replicas", NULL};
static words words_cluster_preferred_endpoint_type = {"ip", "hostname", "unknown-endpoint", NULL};
static words words_tls_auth_clients = {"no", "yes", "optional", NULL};
static words words_read_mode = {"read-index", "lease", NULL};

struct config_row {
    char name[48];
    const char *other_name;
    enum kind kind;
    size_t offset;
    int64_t min, max, initial;
    const char *initial_text;
    const char *const *words;
    unsigned flags;
    const char *inert;
};

#define HEAD(id, other, what)                                                                                \
    .name = #id, .other_name = other, .kind = what, .offset = offsetof(struct config, id)
#define NUMBER(id, other, what, low, high, start, how, why)                                                  \
    {HEAD(id, other, what), .min = low, .max = high, .initial = start, .flags = how, .inert = why},
#define BOOL(id, other, start, how, why)                                                                     \
    {HEAD(id, other, KIND_BOOL), .max = 1, .initial = start, .flags = how, .inert = why},
#define INT(id, other, low, high, start, how, why)   NUMBER(id, other, KIND_INT, low, high, start, how, why)
#define OCTAL(id, other, low, high, start, how, why) NUMBER(id, other, KIND_OCTAL, low, high, start, how, why)
#define MEMORY(id, other, low, high, start, how, why)                                                        \
    NUMBER(id, other, KIND_MEMORY, low, high, start, how, why)
#define PERCENT(id, other, low, high, start, how, why)                                                       \
    NUMBER(id, other, KIND_PERCENT, low, high, start, how, why)
#define ENUM(id, other, list, start, how, why)                                                               \
    {HEAD(id, other, KIND_ENUM), .words = words_##list, .initial = start, .flags = how, .inert = why},
#define STRING(id, other, start, how, why)                                                                   \
    {HEAD(id, other, KIND_STRING), .initial_text = start, .flags = how, .inert = why},
#define TEXT(id, other, start, how, why)                                                                     \
    {HEAD(id, other, KIND_TEXT), .initial_text = start, .flags = how, .inert = why},
static struct config_row rows[] = {
#include "config.def"
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

/* Fields have '_' where names have '-', but for the names that really have '_'. */
__attribute__((constructor)) static void spell_names(void) {
    for (int i = 0; i < ROW_COUNT; i++) {
        char *last = strrchr(rows[i].name, '_');
        bool is_list = last != NULL && strcmp(last, "_cpulist") == 0;
        for (char *p = rows[i].name; *p != '\0'; p++) {
            if (*p == '_' && !is_list) *p = '-';
        }
    }
}

static int64_t *int_field(const struct config *c, const struct config_row *row) {
    return (int64_t *)(void *)((char *)(size_t)c + row->offset);
}
static bool *bool_field(const struct config *c, const struct config_row *row) {
    return (bool *)((char *)(size_t)c + row->offset);
}
static int *enum_field(const struct config *c, const struct config_row *row) {
    return (int *)(void *)((char *)(size_t)c + row->offset);
}
static char **text_field(const struct config *c, const struct config_row *row) {
    return (char **)(void *)((char *)(size_t)c + row->offset);
}

static bool is_text(const struct config_row *row) {
    return row->kind == KIND_STRING || row->kind == KIND_TEXT;
}

/* Texts end with a NUL for whoever reads them as a string, and have their length in front, for they may have
 * NULs inside (a password may). */
struct text {
    size_t len;
    char bytes[];
};

static struct text *text_of(char *bytes) {
    return container_of(bytes, struct text, bytes);
}

static void free_text(char *bytes) {
    if (bytes != NULL) mem_free(text_of(bytes));
}

struct slice config_text(const char *bytes) {
    return slice_make(bytes, text_of((char *)(size_t)bytes)->len);
}

static void store_text(struct config *c, const struct config_row *row, struct slice value) {
    struct text *t = mem_alloc(sizeof *t + value.len + 1);
    t->len = value.len;
    if (value.len != 0) memcpy(t->bytes, value.data, value.len);
    t->bytes[value.len] = '\0';
    char **field = text_field(c, row);
    free_text(*field);
    *field = t->bytes;
}

static void store_number(struct config *c, const struct config_row *row, int64_t v) {
    switch (row->kind) {
    case KIND_BOOL: *bool_field(c, row) = v != 0; break;
    case KIND_ENUM: *enum_field(c, row) = (int)v; break;
    default: *int_field(c, row) = v; break;
    }
}

static bool wrong(char *why, const char *text) {
    snprintf(why, CONFIG_ERROR_CAP, "%s", text);
    return false;
}

/* --- texts with rules; each reads whole arguments and appends the normal form --- */

typedef bool text_fn(struct config *c, int argc, const struct slice *argv, struct buf *out, char *why);

static void join(struct buf *out, int argc, const struct slice *argv) {
    for (int i = 0; i < argc; i++) {
        if (i > 0) buf_add_byte(out, ' ');
        buf_add_slice(out, argv[i]);
    }
}

static bool text_bind(struct config *c, int argc, const struct slice *argv, struct buf *out, char *why) {
    enum { ADDRESSES_MAX = 16 };
    (void)c;
    if (argc > ADDRESSES_MAX) return wrong(why, "Too many bind addresses specified.");
    join(out, argc, argv);
    return true;
}

static bool text_save(struct config *c, int argc, const struct slice *argv, struct buf *out, char *why) {
    (void)c;
    if (argc == 1 && argv[0].len == 0) return true;
    bool ok = argc % 2 == 0;
    for (int i = 0; ok && i < argc; i++) {
        int64_t v = 0;
        ok = parse_i64(argv[i], &v) && v >= (i % 2 == 0 ? 1 : 0) && v <= INT32_MAX;
    }
    if (!ok) return wrong(why, "Invalid save parameters");
    join(out, argc, argv);
    return true;
}

static bool parse_memory(struct slice text, int64_t *out) {
    static const struct {
        const char *name;
        int64_t factor;
    } units[] = {{"", 1},         {"b", 1},          {"k", 1000},    {"kb", 1 << 10}, {"m", 1000 * 1000},
                 {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30}};
    size_t digits = 0;
    while (digits < text.len && isdigit((unsigned char)text.data[digits])) digits++;
    uint64_t n = 0;
    if (digits > 19) return false; /* no digits at all are zero, in Redis too */
    for (size_t i = 0; i < digits; i++) n = n * 10 + (uint64_t)(text.data[i] - '0');
    struct slice unit = slice_make(text.data + digits, text.len - digits);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!slice_is(unit, units[i].name)) continue;
        return n <= INT64_MAX && !__builtin_mul_overflow((int64_t)n, units[i].factor, out);
    }
    return false;
}

static const char *const output_classes[OUTPUT_CLASSES] = {"normal", "slave", "pubsub"};

static int output_class(struct slice word) {
    if (slice_is(word, "replica")) return OUTPUT_REPLICA;
    for (int i = 0; i < OUTPUT_CLASSES; i++) {
        if (slice_is(word, output_classes[i])) return i;
    }
    return -1;
}

static void show_output_limits(const struct output_limit limits[OUTPUT_CLASSES], struct buf *out) {
    for (int i = 0; i < OUTPUT_CLASSES; i++) {
        buf_printf(out, "%s%s %lld %lld %lld", i > 0 ? " " : "", output_classes[i], (long long)limits[i].hard,
                   (long long)limits[i].soft, (long long)limits[i].soft_seconds);
    }
}

/* Classes that are not named keep their limits. */
static bool text_output_limits(struct config *c, int argc, const struct slice *argv, struct buf *out,
                               char *why) {
    struct output_limit limits[OUTPUT_CLASSES];
    memcpy(limits, c->output_limits, sizeof limits);
    if (argc % 4 != 0) return wrong(why, "Wrong number of arguments in buffer limit configuration.");
    for (int i = 0; i < argc; i += 4) {
        int class = output_class(argv[i]);
        if (class < 0) return wrong(why, "Invalid client class specified in buffer limit configuration.");
        struct output_limit *l = &limits[class];
        if (!parse_memory(argv[i + 1], &l->hard) || !parse_memory(argv[i + 2], &l->soft) ||
            !parse_i64(argv[i + 3], &l->soft_seconds) || l->soft_seconds < 0) {
            return wrong(why, "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        }
    }
    show_output_limits(limits, out);
    memcpy(c->output_limits, limits, sizeof limits);
    return true;
}

static bool text_oom_values(struct config *c, int argc, const struct slice *argv, struct buf *out,
                            char *why) {
    (void)c;
    if (argc != 3) return wrong(why, "wrong number of arguments");
    for (int i = 0; i < argc; i++) {
        int64_t v = 0;
        if (!parse_i64(argv[i], &v) || v < -2000 || v > 2000) {
            return wrong(why, "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
        }
    }
    join(out, argc, argv);
    return true;
}

/* Shown in one order, with A for all classes of keys together. */
static bool text_keyspace_events(struct config *c, int argc, const struct slice *argv, struct buf *out,
                                 char *why) {
    static const char classes[] = "g$lshzxetd", rest[] = "KEm";
    bool set[128] = {false};
    for (size_t i = 0; argc > 0 && i < argv[0].len; i++) {
        unsigned char letter = (unsigned char)argv[0].data[i];
        if (letter == 'A') {
            for (const char *p = classes; *p != '\0'; p++) set[(unsigned char)*p] = true;
        } else if (letter != '\0' && letter < 128 && strchr("g$lshzxetdKEmn", letter) != NULL) {
            set[letter] = true;
        } else {
            return wrong(why, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        }
    }
    c->tells_new_keys = set['n'];
    bool all = true;
    for (const char *p = classes; *p != '\0'; p++) all = all && set[(unsigned char)*p];
    if (all) {
        buf_add_byte(out, 'A');
    } else {
        for (const char *p = classes; *p != '\0'; p++) {
            if (set[(unsigned char)*p]) buf_add_byte(out, (uint8_t)*p);
        }
        if (set['n']) buf_add_byte(out, 'n');
    }
    for (const char *p = rest; *p != '\0'; p++) {
        if (set[(unsigned char)*p]) buf_add_byte(out, (uint8_t)*p);
    }
    return true;
}

static bool text_percentiles(struct config *c, int argc, const struct slice *argv, struct buf *out,
                             char *why) {
    double values[CONFIG_PERCENTILES_MAX];
    if (argc == 1 && argv[0].len == 0) argc = 0;
    if (argc > CONFIG_PERCENTILES_MAX) return wrong(why, "too many percentiles");
    for (int i = 0; i < argc; i++) {
        if (!parse_double(argv[i], &values[i])) {
            return wrong(why, "Invalid latency-tracking-info-percentiles parameters");
        }
        if (values[i] < 0 || values[i] > 100) {
            return wrong(why, "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
        }
    }
    for (int i = 0; i < argc; i++) {
        c->percentiles[i] = values[i];
        buf_printf(out, "%s%.10g", i > 0 ? " " : "", values[i]);
    }
    c->percentile_count = argc;
    return true;
}

static bool text_shutdown(struct config *c, int argc, const struct slice *argv, struct buf *out, char *why) {
    static words known = {"default", "save", "nosave", "now", "force", NULL};
    bool set[5] = {false};
    (void)c;
    for (int i = 0; i < argc; i++) {
        int k = 0;
        while (known[k] != NULL && !slice_is(argv[i], known[k])) k++;
        if (known[k] == NULL) {
            return wrong(why, "argument(s) must be one of the following: default, save, nosave, now, force");
        }
        set[k] = true;
    }
    if (set[1] && set[2]) return wrong(why, "shutdown options SAVE and NOSAVE can't be used simultaneously");
    const char *between = "";
    for (int k = 1; known[k] != NULL; k++) {
        if (!set[k]) continue;
        buf_printf(out, "%s%s", between, known[k]);
        between = " ";
    }
    if (argc == 0)
        return wrong(why, "argument(s) must be one of the following: default, save, nosave, now, force");
    if (*between == '\0') buf_add_str(out, "default");
    return true;
}

static bool text_replicaof(struct config *c, int argc, const struct slice *argv, struct buf *out, char *why) {
    int64_t port = 0;
    (void)c;
    (void)out;
    if (argc == 0 || (argc == 1 && argv[0].len == 0)) return true; /* the default */
    if (argc != 2) return wrong(why, "wrong number of arguments");
    if (slice_is(argv[0], "no") && slice_is(argv[1], "one")) return true;
    if (!parse_i64(argv[1], &port) || port < 0 || port > UINT16_MAX) return wrong(why, "Invalid master port");
    return wrong(why, "nodes replicate through the Raft log; there is nothing to set up here");
}

struct address_list {
    char items[CLUSTER_MEMBERS_MAX][CLUSTER_ADDRESS_CAP];
    int count;
};

/* NULL, or what is wrong with it. */
static const char *add_address(struct address_list *list, struct slice text) {
    char address[CLUSTER_ADDRESS_CAP];
    if (!cluster_normal_address(text, address)) return "argument(s) must be addresses, as host:port";
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->items[i], address) == 0) return "an address is there twice";
    if (list->count == CLUSTER_MEMBERS_MAX) return "too many addresses";
    memcpy(list->items[list->count++], address, sizeof address);
    return NULL;
}

/* Addresses of nodes' client ports, each once, separated by commas or spaces. */
static bool text_nodes(struct config *c, int argc, const struct slice *argv, struct buf *out, char *why) {
    struct address_list list = {.count = 0};
    (void)c;
    if (argc == 1 && argv[0].len == 0) return true; /* the default */
    for (int i = 0; i < argc; i++) {
        struct slice rest = argv[i];
        while (rest.len > 0) {
            const char *comma = memchr(rest.data, ',', rest.len);
            size_t len = comma != NULL ? (size_t)(comma - rest.data) : rest.len;
            const char *error = add_address(&list, slice_make(rest.data, len));
            if (error != NULL) return wrong(why, error);
            size_t used = len + (comma != NULL);
            rest = slice_make(rest.data + used, rest.len - used);
        }
    }
    for (int i = 0; i < list.count; i++) buf_printf(out, "%s%s", i > 0 ? " " : "", list.items[i]);
    return true;
}

static text_fn *text_reader(const struct config_row *row) {
    static const struct {
        const char *name;
        text_fn *read;
    } readers[] = {
        {"bind", text_bind},
        {"save", text_save},
        {"client-output-buffer-limit", text_output_limits},
        {"oom-score-adj-values", text_oom_values},
        {"notify-keyspace-events", text_keyspace_events},
        {"latency-tracking-info-percentiles", text_percentiles},
        {"shutdown-on-sigint", text_shutdown},
        {"shutdown-on-sigterm", text_shutdown},
        {"replicaof", text_replicaof},
        {"cluster-nodes", text_nodes},
        {"join", text_nodes},
    };
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        if (strcmp(readers[i].name, row->name) == 0) return readers[i].read;
    }
    CHECK(false); /* every TEXT row has a reader */
    return NULL;
}

/* --- setting --- */

static bool set_bool(const struct config_row *row, struct slice value, int64_t *out, char *why) {
    (void)row;
    if (!slice_is(value, "yes") && !slice_is(value, "no"))
        return wrong(why, "argument must be 'yes' or 'no'");
    *out = slice_is(value, "yes");
    return true;
}

static bool set_enum(const struct config_row *row, struct slice value, int64_t *out, char *why) {
    for (int i = 0; row->words[i] != NULL; i++) {
        if (!slice_is(value, row->words[i])) continue;
        *out = i;
        return true;
    }
    int n = snprintf(why, CONFIG_ERROR_CAP, "argument(s) must be one of the following: ");
    for (int i = 0; row->words[i] != NULL && n < CONFIG_ERROR_CAP; i++) {
        n += snprintf(why + n, (size_t)(CONFIG_ERROR_CAP - n), "%s%s", i > 0 ? ", " : "", row->words[i]);
    }
    return false;
}

static bool in_range(const struct config_row *row, int64_t v, char *why) {
    if (v >= row->min && v <= row->max) return true;
    const char *format = row->kind == KIND_OCTAL ? "argument must be between %llo and %llo inclusive"
                                                 : "argument must be between %lld and %lld inclusive";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(why, CONFIG_ERROR_CAP, format, (long long)row->min, (long long)row->max);
#pragma GCC diagnostic pop
    return false;
}

static bool set_int(const struct config_row *row, struct slice value, int64_t *out, char *why) {
    if (!parse_i64(value, out)) return wrong(why, "argument couldn't be parsed into an integer");
    return in_range(row, *out, why);
}

static bool set_octal(const struct config_row *row, struct slice value, int64_t *out, char *why) {
    int64_t v = 0;
    bool ok = value.len > 0 && value.len < 12;
    for (size_t i = 0; ok && i < value.len; i++) {
        ok = value.data[i] >= '0' && value.data[i] <= '7';
        v = v * 8 + (value.data[i] - '0');
    }
    if (!ok) return wrong(why, "argument couldn't be parsed as an octal number");
    *out = v;
    return in_range(row, v, why);
}

static bool set_memory(const struct config_row *row, struct slice value, int64_t *out, char *why) {
    if (!parse_memory(value, out)) return wrong(why, "argument must be a memory value");
    return in_range(row, *out, why);
}

static bool set_percent(const struct config_row *row, struct slice value, int64_t *out, char *why) {
    int64_t v = 0;
    if (value.len > 1 && value.data[value.len - 1] == '%') {
        if (!parse_i64(slice_make(value.data, value.len - 1), &v) || v < 0) {
            return wrong(why, "argument must be a memory or percent value");
        }
        if (v > -row->min) return wrong(why, "percentage argument must be less or equal to 100");
        *out = -v;
        return true;
    }
    if (!parse_memory(value, out)) return wrong(why, "argument must be a memory or percent value");
    return true;
}

typedef bool number_fn(const struct config_row *row, struct slice value, int64_t *out, char *why);
static number_fn *const number_readers[] = {
    [KIND_BOOL] = set_bool,     [KIND_INT] = set_int,         [KIND_OCTAL] = set_octal,
    [KIND_MEMORY] = set_memory, [KIND_PERCENT] = set_percent, [KIND_ENUM] = set_enum,
};

/* Text with {names} of what a process may show of itself. Something must be left to see where those that may be empty
 * are. */
static bool is_title_template(struct slice value) {
    static const char *const names[] = {"title", "unixsocket", "config-file", /* may be empty */
                                        "port",  "tls-port",   "listen-addr", "server-mode"};
    enum { MAY_BE_EMPTY = 3, NAME_COUNT = sizeof names / sizeof names[0] };
    bool seen = false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] != '{') {
            seen = seen || value.data[i] != ' ';
            continue;
        }
        const char *start = value.data + i + 1, *end = memchr(start, '}', value.len - i - 1);
        if (end == NULL) return false;
        struct slice name = slice_make(start, (size_t)(end - start));
        int n = 0;
        while (n < NAME_COUNT && !slice_eq(name, slice_make(names[n], strlen(names[n])))) n++;
        if (n == NAME_COUNT) return false;
        seen = seen || n >= MAY_BE_EMPTY;
        i += name.len + 1;
    }
    return seen;
}

/* Rules for strings that are more than any text. */
static bool check_string(const struct config_row *row, struct slice value, char *why) {
    /* A secret may have NULs, but not at the start, where it would look like none at all. */
    size_t checked = row->flags & SENSITIVE && value.len > 0 ? 1 : value.len;
    if (checked > 0 && memchr(value.data, '\0', checked) != NULL)
        return wrong(why, "argument must not have a NUL byte there");
    if (strcmp(row->name, "proc-title-template") == 0 && !is_title_template(value))
        return wrong(why, "template format is invalid or contains unknown variables");
    if (strcmp(row->name, "cluster-announce-hostname") == 0) {
        for (size_t i = 0; i < value.len; i++) {
            unsigned char ch = (unsigned char)value.data[i];
            if (!isalnum(ch) && ch != '-' && ch != '.') {
                return wrong(why, "Hostnames may only contain alphanumeric characters, hyphens or dots");
            }
        }
    }
    return true;
}

static bool set_words(struct config *c, const struct config_row *row, int argc, const struct slice *argv,
                      char *why) {
    struct buf text = {0};
    bool ok = text_reader(row)(c, argc, argv, &text, why);
    if (ok) store_text(c, row, buf_slice(&text));
    buf_free(&text);
    return ok;
}

static int split_spaces(struct slice value, struct slice *argv, int cap) {
    int argc = 0;
    while (value.len > 0 && argc < cap) {
        const char *space = memchr(value.data, ' ', value.len);
        size_t len = space != NULL ? (size_t)(space - value.data) : value.len;
        argv[argc++] = slice_make(value.data, len);
        if (space == NULL) break;
        value = slice_make(space + 1, value.len - len - 1);
        if (value.len == 0 && argc < cap)
            argv[argc++] = value; /* a space at the end: an empty word behind it */
    }
    return argc;
}

bool config_set(struct config *c, const struct config_row *row, struct slice value, char *why) {
    enum { WORDS_MAX = 64 };
    if (row->kind == KIND_TEXT) {
        struct slice argv[WORDS_MAX] = {value};
        int argc = row->flags & MULTI ? split_spaces(value, argv, WORDS_MAX) : 1;
        return set_words(c, row, argc, argv, why);
    }
    if (row->kind == KIND_STRING) {
        if (!check_string(row, value, why)) return false;
        store_text(c, row, value);
        return true;
    }
    int64_t v = 0;
    if (!number_readers[row->kind](row, value, &v, why)) return false;
    if (strcmp(row->name, "hz") == 0) v = v < 1 ? 1 : v > 500 ? 500 : v;
    if (strcmp(row->name, "activedefrag") == 0 && v != 0) {
        return wrong(why,
                     "Active defragmentation cannot be enabled: it requires a Redis server compiled with a "
                     "modified Jemalloc like the one shipped by default with the Redis source distribution");
    }
    store_number(c, row, v);
    return true;
}

/* --- showing --- */

static void show_number(const struct config_row *row, int64_t v, struct buf *out) {
    switch (row->kind) {
    case KIND_BOOL: buf_add_str(out, v ? "yes" : "no"); break;
    case KIND_ENUM: buf_add_str(out, row->words[v]); break;
    case KIND_OCTAL: buf_printf(out, "%llo", (long long)v); break;
    case KIND_PERCENT:
        if (v < 0) {
            buf_printf(out, "%lld%%", (long long)-v);
            break;
        }
        /* fall through */
    default: buf_printf(out, "%lld", (long long)v); break;
    }
}

static int64_t number_of(const struct config *c, const struct config_row *row) {
    switch (row->kind) {
    case KIND_BOOL: return *bool_field(c, row);
    case KIND_ENUM: return *enum_field(c, row);
    default: return *int_field(c, row);
    }
}

void config_show(const struct config *c, const struct config_row *row, struct buf *out) {
    if (is_text(row)) {
        buf_add_slice(out, config_text(*text_field(c, row)));
    } else {
        show_number(row, number_of(c, row), out);
    }
}

bool config_is_default(const struct config *c, const struct config_row *row) {
    if (is_text(row)) return slice_eq(config_text(*text_field(c, row)), slice_of(row->initial_text));
    return number_of(c, row) == row->initial;
}

int config_count(void) {
    return ROW_COUNT;
}
const struct config_row *config_at(int i) {
    CHECK(i >= 0 && i < ROW_COUNT);
    return &rows[i];
}
const char *config_name(const struct config_row *row) {
    return row->name;
}
const char *config_other_name(const struct config_row *row) {
    return row->other_name;
}
bool config_is_immutable(const struct config_row *row) {
    return row->flags & IMMUTABLE;
}
bool config_is_protected(const struct config_row *row) {
    return row->flags & PROTECTED;
}
bool config_is_sensitive(const struct config_row *row) {
    return row->flags & SENSITIVE;
}
bool config_is_repeatable(const struct config_row *row) {
    return row->flags & REPEATABLE;
}
bool config_is_hidden(const struct config_row *row) {
    return row->flags & HIDDEN;
}
bool config_is_inert(const struct config_row *row) {
    return row->inert[0] != '\0';
}

const struct config_row *config_find(struct slice name) {
    for (int i = 0; i < ROW_COUNT; i++) {
        if (slice_is(name, rows[i].name)) return &rows[i];
        if (rows[i].other_name != NULL && slice_is(name, rows[i].other_name)) return &rows[i];
    }
    return NULL;
}

void config_init(struct config *c) {
    *c = (struct config){0};
    for (int i = 0; i < ROW_COUNT; i++) {
        const struct config_row *row = &rows[i];
        if (row->kind == KIND_TEXT) {
            char why[CONFIG_ERROR_CAP];
            store_text(c, row, SLICE(""));
            CHECK(config_set(c, row, slice_of(row->initial_text), why));
            CHECK(config_is_default(c, row)); /* defaults are written in their normal form */
        } else if (row->kind == KIND_STRING) {
            store_text(c, row, slice_of(row->initial_text));
        } else {
            store_number(c, row, row->initial);
        }
    }
}

struct ks_limits config_limits(const struct config *c) {
    return (struct ks_limits){
        .hash_max_listpack_entries = c->hash_max_listpack_entries,
        .hash_max_listpack_value = c->hash_max_listpack_value,
        .list_max_listpack_size = c->list_max_listpack_size,
        .set_max_intset_entries = c->set_max_intset_entries,
        .zset_max_listpack_entries = c->zset_max_listpack_entries,
        .zset_max_listpack_value = c->zset_max_listpack_value,
        .stream_node_max_bytes = c->stream_node_max_bytes,
        .stream_node_max_entries = c->stream_node_max_entries,
        .hll_sparse_max_bytes = c->hll_sparse_max_bytes,
    };
}

void config_free(struct config *c) {
    for (int i = 0; i < ROW_COUNT; i++) {
        if (is_text(&rows[i])) free_text(*text_field(c, &rows[i]));
    }
    buf_free(&c->users);
    *c = (struct config){0};
}

/* --- files and command lines --- */

enum { INCLUDE_DEPTH_MAX = 16 };

struct loading {
    struct config *config;
    config_read_fn *read;
    void *arg;
    char *error;
    size_t cap;
    bool save_seen; /* the first `save` replaces the default, further ones add to it */
};

/* Names that Redis no longer uses but still takes from files. */
static bool is_forgotten(struct slice name) {
    return slice_is(name, "list-max-ziplist-entries") || slice_is(name, "list-max-ziplist-value") ||
           slice_is(name, "lua-replicate-commands");
}

static bool add_save(struct loading *l, const struct config_row *row, int argc, const struct slice *argv,
                     char *why) {
    struct buf text = {0}, all = {0};
    bool ok = text_save(l->config, argc, argv, &text, why);
    if (ok) {
        bool keep = l->save_seen && !(argc == 1 && argv[0].len == 0) && l->config->save[0] != '\0';
        if (keep) buf_printf(&all, "%s%s", l->config->save, text.len > 0 ? " " : "");
        buf_add_slice(&all, buf_slice(&text));
        store_text(l->config, row, buf_slice(&all));
        l->save_seen = true;
    }
    buf_free(&text);
    buf_free(&all);
    return ok;
}

/* In the quotes that resp_split_line takes off again. */
static void add_quoted(struct buf *out, struct slice s) {
    buf_add_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.data[i];
        if (ch == '"' || ch == '\\') {
            buf_printf(out, "\\%c", ch);
        } else if (ch < ' ' || ch > '~') {
            buf_printf(out, "\\x%02x", ch);
        } else {
            buf_add_byte(out, ch);
        }
    }
    buf_add_byte(out, '"');
}

static bool user_is_there(const struct config *c, struct slice line) {
    struct slice rest = buf_slice(&c->users);
    const char *end;
    for (; rest.len > 0; rest = slice_make(end + 1, rest.len - (size_t)(end + 1 - rest.data))) {
        end = memchr(rest.data, '\n', rest.len);
        CHECK(end != NULL);
        if (rest.len > line.len && memcmp(rest.data, line.data, line.len) == 0) return true;
    }
    return false;
}

static const char *wrong_rule(int argc, const struct slice *argv) {
    struct acl_user u;
    struct acl_rules rules;
    int unmatched;
    const char *error = NULL;
    if (!acl_rules_merge(&rules, argc, argv, &unmatched))
        return "Unmatched parenthesis in selector definition";
    acl_user_init(&u, SLICE(""));
    for (int i = 0; i < rules.count && error == NULL; i++) error = acl_apply(&u, buf_slice(&rules.items[i]));
    acl_user_free(&u);
    acl_rules_free(&rules);
    return error;
}

/* user NAME rules: who may come in, as long as the cluster knows no users. */
static bool add_user(struct config *c, int argc, const struct slice *argv, char *why) {
    struct buf line = {0};
    const char *error = argc < 2 ? "it has no name" : wrong_rule(argc - 2, argv + 2);
    if (error == NULL && acl_has_spaces(argv[1])) error = "Spaces not allowed in ACL usernames";
    for (int i = 1; i < argc; i++) {
        if (i > 1) buf_add_byte(&line, ' ');
        add_quoted(&line, argv[i]);
        if (i == 1 && error == NULL && user_is_there(c, buf_slice(&line)))
            error = "Duplicate user found. A user can only be defined once in config files";
    }
    buf_add_byte(&line, '\n');
    if (error == NULL)
        buf_add_slice(&c->users, buf_slice(&line));
    else
        snprintf(why, CONFIG_ERROR_CAP, "Error in user declaration: %s", error);
    buf_free(&line);
    return error == NULL;
}

/* One directive: its name and its arguments. */
static bool apply_directive(struct loading *l, int argc, const struct slice *argv, char *why) {
    enum { WORDS_MAX = 64 };
    if (is_forgotten(argv[0])) return true;
    if (slice_is(argv[0], "user")) return add_user(l->config, argc, argv, why);
    const struct config_row *row = config_find(argv[0]);
    if (row == NULL) return wrong(why, "Bad directive or wrong number of arguments");
    if (!(row->flags & MULTI)) {
        if (argc != 2) return wrong(why, "wrong number of arguments");
        return config_set(l->config, row, argv[1], why);
    }
    struct slice split[WORDS_MAX];
    const struct slice *args = argv + 1;
    int count = argc - 1;
    if (count == 1 && memchr(args[0].data, ' ', args[0].len) != NULL) {
        count = split_spaces(args[0], split, WORDS_MAX);
        args = split;
    }
    if (strcmp(row->name, "save") == 0) return add_save(l, row, count, args, why);
    return set_words(l->config, row, count, args, why);
}

static bool load_file(struct loading *l, const char *path, int depth);

static bool is_secret(struct slice name) {
    const struct config_row *row = config_find(name);
    return slice_is(name, "user") || (row != NULL && row->flags & SENSITIVE);
}

static bool load_line(struct loading *l, const char *path, int number, struct slice line, int depth) {
    struct buf store = {0};
    struct slice *argv = NULL;
    int argv_cap = 0, argc = 0;
    char why[CONFIG_ERROR_CAP];
    bool ok = true;
    if (!resp_split_line(line, &store, &argv, &argv_cap, &argc)) {
        ok = wrong(why, "Unbalanced quotes in configuration line");
    } else if (argc == 2 && slice_is(argv[0], "include")) {
        char *included = mem_alloc(argv[1].len + 1);
        memcpy(included, argv[1].data, argv[1].len);
        included[argv[1].len] = '\0';
        ok = load_file(l, included, depth + 1);
        mem_free(included);
        why[0] = '\0'; /* what went wrong inside has been said */
    } else if (argc > 0) {
        ok = apply_directive(l, argc, argv, why);
    }
    if (!ok && why[0] != '\0') {
        if (argc > 0 && is_secret(argv[0])) line = argv[0]; /* passwords are nobody's business */
        char place[32] = "";
        if (number > 0) snprintf(place, sizeof place, " line %d:", number);
        snprintf(l->error, l->cap, "%s:%s '%.*s': %s", path, place, (int)(line.len < 200 ? line.len : 200),
                 line.data, why);
    }
    mem_free(argv);
    buf_free(&store);
    return ok;
}

static struct slice trim(struct slice s) {
    while (s.len > 0 && strchr(" \t\r\n", s.data[0]) != NULL) s = slice_make(s.data + 1, s.len - 1);
    while (s.len > 0 && strchr(" \t\r\n", s.data[s.len - 1]) != NULL) s.len--;
    return s;
}

/* Takes the next line off *rest, without its line break. */
static bool next_line(struct slice *rest, struct slice *line) {
    if (rest->len == 0) return false;
    const char *end = memchr(rest->data, '\n', rest->len);
    size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
    *line = slice_make(rest->data, len);
    size_t used = len + (end != NULL ? 1 : 0);
    *rest = slice_make(rest->data + used, rest->len - used);
    return true;
}

static bool load_file(struct loading *l, const char *path, int depth) {
    char why[CONFIG_ERROR_CAP] = "";
    struct buf content = {0};
    bool ok = true;
    if (depth > INCLUDE_DEPTH_MAX) {
        ok = wrong(why, "files include each other too deeply");
    } else if (!l->read(l->arg, path, &content, why)) {
        ok = false;
    }
    if (!ok) snprintf(l->error, l->cap, "%s: cannot be read: %s", path, why);
    struct slice rest = buf_slice(&content), line;
    for (int number = 1; ok && next_line(&rest, &line); number++) {
        line = trim(line);
        if (line.len == 0 || line.data[0] == '#') continue;
        ok = load_line(l, path, number, line, depth);
    }
    buf_free(&content);
    return ok;
}

static int word_count(const char *arg) {
    struct buf store = {0};
    struct slice *argv = NULL;
    int cap = 0, argc = 0;
    if (!resp_split_line(slice_of(arg), &store, &argv, &cap, &argc)) argc = -1;
    mem_free(argv);
    buf_free(&store);
    return argc;
}

static bool is_option(const char *arg) {
    return strncmp(arg, "--", 2) == 0;
}

/* The options as lines of a file, the way Redis understands them: "--name" takes the argument behind it
 * whatever it looks like, and further ones until the next that starts with "--"; name and value may also be
 * one argument. `--save` with nothing behind it is `save ""`. */
static void options_as_lines(int argc, char **argv, struct buf *out) {
    bool value_due = false;
    for (int i = 0; i < argc; i++) {
        if (value_due || !is_option(argv[i])) {
            if (i > 0) buf_add_byte(out, ' ');
            add_quoted(out, slice_of(argv[i]));
            value_due = false;
            continue;
        }
        if (i > 0) buf_add_byte(out, '\n');
        buf_add_str(out, argv[i] + 2);
        value_due = word_count(argv[i]) == 1;
        if (strcasecmp(argv[i], "--save") == 0 && (i + 1 == argc || is_option(argv[i + 1]))) {
            buf_add_str(out, " \"\"");
            value_due = false;
        }
    }
}

/* What no value shows by itself. */
static bool agrees(const struct config *c, char *error, size_t cap) {
    if (c->raft_heartbeat_interval * 2 < c->raft_election_timeout) return true;
    snprintf(error, cap,
             "raft-heartbeat-interval (%lld ms) must be less than half of raft-election-timeout (%lld ms)",
             (long long)c->raft_heartbeat_interval, (long long)c->raft_election_timeout);
    return false;
}

bool config_load(struct config *c, int argc, char **argv, config_read_fn *read, void *arg, const char **file,
                 char *error, size_t cap) {
    struct loading l = {.config = c, .read = read, .arg = arg, .error = error, .cap = cap};
    int at = 1;
    *file = NULL;
    if (at < argc && !is_option(argv[at])) {
        *file = argv[at++];
        if (!load_file(&l, *file, 0)) return false;
    }
    struct buf options = {0};
    options_as_lines(argc - at, argv + at, &options);
    struct slice rest = buf_slice(&options), line;
    bool ok = true;
    while (ok && next_line(&rest, &line)) ok = load_line(&l, "command line", 0, trim(line), 0);
    buf_free(&options);
    return ok && agrees(c, error, cap);
}

/* --- CONFIG REWRITE --- */

static void add_memory(struct buf *out, int64_t v) {
    static const struct {
        int64_t factor;
        const char *name;
    } units[] = {{1 << 30, "gb"}, {1 << 20, "mb"}, {1 << 10, "kb"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (v == 0 || v % units[i].factor != 0) continue;
        buf_printf(out, "%lld%s", (long long)(v / units[i].factor), units[i].name);
        return;
    }
    buf_printf(out, "%lld", (long long)v);
}

/* The line, or lines, that set this row to its value. */
static void add_lines(const struct config *c, const struct config_row *row, struct buf *out) {
    struct slice text = is_text(row) ? config_text(*text_field(c, row)) : SLICE("");
    int per_line = strcmp(row->name, "save") == 0                         ? 2
                   : strcmp(row->name, "client-output-buffer-limit") == 0 ? 4
                                                                          : 0;
    if (per_line > 0 && text.len > 0) {
        enum { WORDS_MAX = 64 };
        struct slice argv[WORDS_MAX];
        int argc = split_spaces(text, argv, WORDS_MAX);
        for (int i = 0; i + per_line <= argc; i += per_line) {
            buf_printf(out, "%s ", row->name);
            join(out, per_line, argv + i);
            buf_add_byte(out, '\n');
        }
        return;
    }
    buf_printf(out, "%s ", row->name);
    if (is_text(row) && ((row->flags & MULTI) == 0 || text.len == 0)) {
        add_quoted(out, text);
    } else if (row->kind == KIND_MEMORY) {
        add_memory(out, *int_field(c, row));
    } else {
        config_show(c, row, out);
    }
    buf_add_byte(out, '\n');
}

static bool line_says_the_same(const struct config *c, const struct config_row *row, struct slice value) {
    if (row->kind == KIND_TEXT) return false;
    struct config other;
    char why[CONFIG_ERROR_CAP];
    config_init(&other);
    bool same = config_set(&other, row, value, why);
    if (same && is_text(row))
        same = slice_eq(config_text(*text_field(c, row)), config_text(*text_field(&other, row)));
    if (same && !is_text(row)) same = number_of(c, row) == number_of(&other, row);
    config_free(&other);
    return same;
}

static bool is_user_line(struct slice line) {
    line = trim(line);
    return line.len > 4 && strncasecmp(line.data, "user", 4) == 0 && strchr(" \t", line.data[4]) != NULL;
}

static const struct config_row *row_of_line(struct slice line, struct buf *store, struct slice **argv,
                                            int *cap, int *argc) {
    line = trim(line);
    *argc = 0;
    buf_clear(store);
    if (line.len == 0 || line.data[0] == '#') return NULL;
    if (!resp_split_line(line, store, argv, cap, argc) || *argc == 0) return NULL;
    return config_find((*argv)[0]);
}

void config_rewrite(const struct config *c, struct slice old, struct slice users, bool everything,
                    struct buf *out) {
    static const char heading[] = "# Generated by CONFIG REWRITE";
    bool written[ROW_COUNT] = {false};
    bool headed = false;
    struct buf store = {0};
    struct slice *argv = NULL;
    int cap = 0, argc = 0;
    struct slice line;
    while (next_line(&old, &line)) {
        if (slice_eq(trim(line), slice_of(heading))) headed = true;
        const struct config_row *row = row_of_line(line, &store, &argv, &cap, &argc);
        if (is_user_line(line)) {
            buf_add_slice(out, users);
            users.len = 0;
            continue;
        }
        if (row == NULL) {
            buf_add_slice(out, line);
            buf_add_byte(out, '\n');
            continue;
        }
        /* The first line of a name says it all; what follows of the same name said more, or something
         * else. */
        if (written[row - rows]) continue;
        written[row - rows] = true;
        if (argc == 2 && line_says_the_same(c, row, argv[1])) {
            buf_add_slice(out, line);
            buf_add_byte(out, '\n');
        } else {
            add_lines(c, row, out);
        }
    }
    for (int i = 0; i < ROW_COUNT; i++) {
        if (written[i] || (!everything && config_is_default(c, &rows[i]))) continue;
        if (!headed) buf_printf(out, "%s\n", heading);
        headed = true;
        add_lines(c, &rows[i], out);
    }
    if (users.len > 0 && !headed) buf_printf(out, "%s\n", heading);
    buf_add_slice(out, users);
    mem_free(argv);
    buf_free(&store);
}
