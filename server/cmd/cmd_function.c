/* FUNCTION: libraries of functions, which all nodes have (libraries.h). What their code declares is found by running it, alike on every
 * node, while the entry is applied. */
#include "cmd_busy.h"
#include "cmd_script.h"
#include "handlers.h"
#include "libraries.h"
#include "mem.h"
#include "rdb_codec.h"
#include "rdb_value.h"
#include "resp_parse.h"
#include "server.h"
#include "sha.h"

/* --- a library's first line --- */

static bool begins_with(struct slice s, const char *word) {
    size_t len = strlen(word);
    return s.len >= len && strncasecmp(s.data, word, len) == 0;
}

/* A library that is to become one. */
struct candidate {
    struct buf name;
    struct slice code;
    struct buf unpacked; /* the code's memory, when it came packed */
    char sha[SCRIPT_SHA_LEN];
    struct script_library declared;
};

static void candidate_free(struct candidate *l) {
    buf_free(&l->name);
    buf_free(&l->unpacked);
    script_library_free(&l->declared);
}

static bool read_words(int count, const struct slice *words, struct buf *name, struct buf *error) {
    bool has_name = false;
    for (int i = 1; i < count; i++) {
        struct slice w = words[i];
        if (!begins_with(w, "name=")) {
            buf_printf(error, "ERR Invalid metadata value given: %.*s", cmd_quoted(w), w.data);
            return false;
        }
        if (has_name) {
            buf_add_str(error, "ERR Invalid metadata value, name argument was given multiple times");
            return false;
        }
        has_name = true;
        buf_add(name, w.data + 5, w.len - 5);
    }
    if (!has_name) {
        buf_add_str(error, "ERR Library name was not given");
        return false;
    }
    struct slice engine = slice_make(words[0].data + 2, words[0].len - 2);
    if (!script_is_name(buf_slice(name))) {
        buf_add_str(error, "ERR " SCRIPT_NAME_ERROR);
        return false;
    }
    if (!slice_is(engine, "lua")) {
        buf_printf(error, "ERR Engine '%.*s' not found", cmd_quoted(engine), engine.data);
        return false;
    }
    return true;
}

/* #!lua name=<name>; `*code_at` is the end of this line, so that lines are counted as they stand there. */
static bool read_first_line(struct slice code, struct buf *name, size_t *code_at, struct buf *error) {
    if (!slice_begins(code, SLICE("#!"))) {
        buf_add_str(error, "ERR Missing library metadata");
        return false;
    }
    if (code.len > STRING_LEN_MAX / 2) { /* with what stands beside it, it is one value */
        buf_add_str(error, "ERR the code of a library may have 256 MB at most");
        return false;
    }
    const char *end = memchr(code.data, '\n', code.len);
    struct buf store = {0};
    struct slice *words = NULL;
    int cap = 0, count = 0;
    bool ok = false;
    if (end != NULL &&
        resp_split_line(slice_make(code.data, (size_t)(end - code.data)), &store, &words, &cap, &count) &&
        count > 0) {
        *code_at = (size_t)(end - code.data);
        ok = read_words(count, words, name, error);
    } else {
        buf_add_str(error, "ERR Invalid library metadata");
    }
    buf_free(&store);
    mem_free(words);
    return ok;
}

/* --- running its code --- */

/* So much work, a fraction of a second, is enough to declare functions. */
static const char *load_checkpoint(void *arg, uint64_t number, bool has_written) {
    (void)arg;
    (void)has_written;
    return number < 4 ? NULL : "ERR FUNCTION LOAD timeout";
}

static bool declare(struct cmd_ctx *c, struct candidate *l, size_t code_at, struct buf *error) {
    static const struct script_limits limits = {.checkpoint = load_checkpoint};
    struct script_engine *e = server_scripts(c->server);
    struct slice sha = slice_make(l->sha, sizeof l->sha);
    struct cmd_script s;
    struct buf text = {0};
    sha1_hex(l->code, l->sha);
    cmd_script_prepare(&s, c, buf_slice(&l->name), 0, 0, false);
    s.run.limits = &limits;
    if (!script_library_is_compiled(e, sha) &&
        !script_library_compile(e, sha, slice_make(l->code.data + code_at, l->code.len - code_at), &text)) {
        buf_add_str(error, "ERR Error compiling function: ");
    } else if (!script_library_declare(e, sha, &s.run, &l->declared, &text)) {
        buf_add_str(error, "ERR Error registering functions: ");
    } else if (l->declared.count == 0) {
        buf_add_str(error, "ERR No functions registered");
    }
    buf_add_slice(error, buf_slice(&text));
    buf_free(&text);
    return error->len == 0;
}

/* --- LOAD, DELETE, FLUSH --- */

static void reply_text_error(struct cmd_ctx *c, const struct buf *error) {
    reply_errorf(c->reply, "%.*s", (int)error->len, error->data);
}

static bool says(struct buf *error, const char *before, struct slice name, const char *after) {
    buf_printf(error, "%s%.*s%s", before, cmd_quoted(name), name.data, after);
    return false;
}

static bool is_among(const struct candidate *libraries, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++)
        if (slice_eq(buf_slice(&libraries[i].name), name)) return true;
    return false;
}

/* No function of them is in another library, unless that one is to go for one of them. */
static bool has_free_functions(struct cmd_ctx *c, const struct candidate *libraries, size_t count,
                               struct buf *error) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < libraries[i].declared.count; j++) {
            struct slice name = libraries[i].declared.functions[j].name;
            struct library other;
            struct script_function f;
            if (library_with(c->ks, name, &other, &f) && !is_among(libraries, count, other.name))
                return says(error, "ERR Function ", name, " already exists");
        }
    }
    return true;
}

static void put(struct cmd_ctx *c, const struct candidate *libraries, size_t count) {
    for (size_t i = 0; i < count; i++) library_remove(c->ks, buf_slice(&libraries[i].name));
    for (size_t i = 0; i < count; i++) {
        const struct candidate *l = &libraries[i];
        library_add(c->ks, buf_slice(&l->name), slice_make(l->sha, SCRIPT_SHA_LEN), l->code, &l->declared);
    }
}

static bool load(struct cmd_ctx *c, struct candidate *l, bool replace, struct buf *error) {
    struct library old;
    size_t code_at;
    if (!read_first_line(l->code, &l->name, &code_at, error)) return false;
    if (!replace && library_get(c->ks, buf_slice(&l->name), &old))
        return says(error, "ERR Library '", buf_slice(&l->name), "' already exists");
    if (!declare(c, l, code_at, error) || !has_free_functions(c, l, 1, error)) return false;
    put(c, l, 1);
    return true;
}

void cmd_function_load(struct cmd_ctx *c) {
    bool replace = false;
    for (int i = 2; i < c->argc - 1; i++) {
        if (!slice_is(c->argv[i], "replace")) {
            reply_errorf(c->reply, "ERR Unknown option given: %.*s", cmd_quoted(c->argv[i]), c->argv[i].data);
            return;
        }
        replace = true;
    }
    struct candidate l = {.code = c->argv[c->argc - 1]};
    struct buf error = {0};
    if (load(c, &l, replace, &error))
        reply_bulk(c->reply, buf_slice(&l.name));
    else
        reply_text_error(c, &error);
    candidate_free(&l);
    buf_free(&error);
}

void cmd_function_delete(struct cmd_ctx *c) {
    if (library_remove(c->ks, c->argv[2]))
        reply_ok(c->reply);
    else
        reply_error(c->reply, "ERR Library not found");
}

/* False after answering: more arguments than it takes. */
static bool has_at_most(struct cmd_ctx *c, int argc) {
    if (c->argc <= argc) return true;
    reply_errorf(c->reply,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try FUNCTION HELP.",
                 cmd_quoted(c->argv[1]), c->argv[1].data);
    return false;
}

void cmd_function_flush(struct cmd_ctx *c) {
    if (!has_at_most(c, 3)) return;
    if (c->argc == 3 && !slice_is(c->argv[2], "sync") && !slice_is(c->argv[2], "async")) {
        reply_error(c->reply, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
        return;
    }
    library_remove_all(c->ks);
    reply_ok(c->reply);
}

/* --- LIST --- */

struct listing {
    struct slice pattern; /* data NULL: all */
    bool has_pattern, with_code;
    struct cmd_ctx *c;
    uint64_t count;
};

static bool is_listed(const struct listing *l, const struct library *library) {
    return !l->has_pattern || glob_match(l->pattern, library->name, true);
}

static void count_listed(void *arg, const struct library *library) {
    struct listing *l = arg;
    if (is_listed(l, library)) l->count++;
}

static void reply_flags(struct reply *r, uint32_t flags) {
    const char *words[SCRIPT_FLAG_COUNT];
    size_t count = script_flag_words(flags, words);
    reply_set(r, count);
    for (size_t i = 0; i < count; i++) reply_simple(r, words[i]);
}

static void list_function(struct reply *r, const struct script_function *f) {
    reply_map(r, 3);
    reply_bulk(r, SLICE("name"));
    reply_bulk(r, f->name);
    reply_bulk(r, SLICE("description"));
    if (f->description.data != NULL)
        reply_bulk(r, f->description);
    else
        reply_null(r);
    reply_bulk(r, SLICE("flags"));
    reply_flags(r, f->flags);
}

static void list_library(void *arg, const struct library *library) {
    const struct listing *l = arg;
    struct reply *r = l->c->reply;
    struct slice functions = library->functions;
    struct script_function f;
    if (!is_listed(l, library)) return;
    reply_map(r, l->with_code ? 4 : 3);
    reply_bulk(r, SLICE("library_name"));
    reply_bulk(r, library->name);
    reply_bulk(r, SLICE("engine"));
    reply_bulk(r, SLICE("LUA"));
    reply_bulk(r, SLICE("functions"));
    reply_array(r, library->function_count);
    while (library_next(&functions, &f)) list_function(r, &f);
    if (!l->with_code) return;
    reply_bulk(r, SLICE("library_code"));
    reply_bulk(r, library->code);
}

void cmd_function_list(struct cmd_ctx *c) {
    struct listing l = {.c = c};
    for (int i = 2; i < c->argc; i++) {
        struct slice word = c->argv[i];
        if (!l.with_code && slice_is(word, "withcode")) {
            l.with_code = true;
        } else if (!l.has_pattern && slice_is(word, "libraryname")) {
            if (++i == c->argc) {
                reply_error(c->reply, "ERR library name argument was not given");
                return;
            }
            l.has_pattern = true;
            l.pattern = c->argv[i];
        } else {
            reply_errorf(c->reply, "ERR Unknown argument %.*s", cmd_quoted(word), word.data);
            return;
        }
    }
    library_each(c->ks, count_listed, &l);
    reply_array(c->reply, l.count);
    library_each(c->ks, list_library, &l);
}

/* --- STATS --- */

/* The function that takes long. What takes no time is over before anybody could ask. */
static void reply_running(struct reply *r, const struct running_script *script) {
    if (script->cmd == NULL) {
        reply_null(r);
        return;
    }
    reply_map(r, 3);
    reply_bulk(r, SLICE("name"));
    reply_bulk(r, script->argv[1]);
    reply_bulk(r, SLICE("command"));
    reply_array(r, (size_t)script->argc);
    for (int i = 0; i < script->argc; i++) reply_bulk(r, script->argv[i]);
    reply_bulk(r, SLICE("duration_ms"));
    reply_int(r, script->ran_ms);
}

void cmd_function_stats(struct cmd_ctx *c) {
    const struct running_script *script = &c->server->script;
    struct reply *r = c->reply;
    if (script->cmd != NULL && !script->is_function) {
        reply_error(r, cmd_busy_error(c->server));
        return;
    }
    struct library_usage usage;
    library_usage(c->ks, &usage);
    reply_map(r, 2);
    reply_bulk(r, SLICE("running_script"));
    reply_running(r, script);
    reply_bulk(r, SLICE("engines"));
    reply_map(r, 1);
    reply_bulk(r, SLICE("LUA"));
    reply_map(r, 2);
    reply_bulk(r, SLICE("libraries_count"));
    reply_int(r, (int64_t)usage.libraries);
    reply_bulk(r, SLICE("functions_count"));
    reply_int(r, (int64_t)usage.functions);
}

/* --- DUMP, RESTORE --- */

enum {
    OPCODE_LIBRARY = 0xf5,
    OPCODE_LIBRARY_OLD = 0xf6
}; /* in Redis's RDB format; the second of candidates for 7.0 */

static void dump_one(void *arg, const struct library *library) {
    buf_add_byte(arg, OPCODE_LIBRARY);
    rdb_add_text(arg, library->code);
}

void cmd_function_dump(struct cmd_ctx *c) {
    struct buf payload = {0};
    library_each(c->ks, dump_one, &payload);
    rdb_seal(&payload, 0);
    reply_bulk(c->reply, buf_slice(&payload));
    buf_free(&payload);
}

struct restore {
    struct candidate *libraries;
    size_t count, cap;
};

static struct candidate *restore_add(struct restore *r) {
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 8 : 2 * r->cap;
        r->libraries = mem_realloc(r->libraries, r->cap * sizeof *r->libraries);
    }
    r->libraries[r->count] = (struct candidate){0};
    return &r->libraries[r->count++];
}

static void restore_free(struct restore *r) {
    for (size_t i = 0; i < r->count; i++) candidate_free(&r->libraries[i]);
    mem_free(r->libraries);
}

static bool take_code(struct slice *from, struct candidate *l) {
    struct rdb_texts texts = {.from = from, .len_max = STRING_LEN_MAX};
    struct slice text;
    bool ok = rdb_take_text(&texts, &text);
    if (ok) buf_add_slice(&l->unpacked, text);
    l->code = buf_slice(&l->unpacked);
    buf_free(&texts.store);
    return ok;
}

static bool has_function(const struct candidate *l, struct slice name) {
    for (size_t i = 0; i < l->declared.count; i++) {
        struct slice own = l->declared.functions[i].name;
        if (own.len == name.len && strncasecmp(own.data, name.data, name.len) == 0) return true;
    }
    return false;
}

/* The last one shares nothing with those before it. */
static bool is_new(const struct restore *r, struct buf *error) {
    const struct candidate *l = &r->libraries[r->count - 1];
    for (size_t i = 0; i + 1 < r->count; i++) {
        for (size_t j = 0; j < l->declared.count; j++) {
            struct slice name = l->declared.functions[j].name;
            if (has_function(&r->libraries[i], name))
                return says(error, "ERR Function ", name, " already exists");
        }
    }
    return true;
}

static bool read_library(struct cmd_ctx *c, struct slice *from, struct restore *r, struct buf *error) {
    struct candidate *l = restore_add(r);
    size_t code_at;
    if (!take_code(from, l)) return says(error, "ERR Failed loading library payload", SLICE(""), "");
    if (!read_first_line(l->code, &l->name, &code_at, error)) return false;
    struct slice name = buf_slice(&l->name);
    if (is_among(r->libraries, r->count - 1, name))
        return says(error, "ERR Library '", name, "' already exists");
    return declare(c, l, code_at, error) && is_new(r, error);
}

static bool read_libraries(struct cmd_ctx *c, struct slice from, struct restore *r, struct buf *error) {
    uint8_t opcode;
    while (slice_take_u8(&from, &opcode)) {
        if (opcode == OPCODE_LIBRARY_OLD)
            return says(error, "ERR Failed loading library name", SLICE(""), "");
        if (opcode != OPCODE_LIBRARY) return says(error, "ERR given type is not a function", SLICE(""), "");
        if (!read_library(c, &from, r, error)) return false;
    }
    return true;
}

enum policy { POLICY_APPEND, POLICY_REPLACE, POLICY_FLUSH };

static bool may_join(struct cmd_ctx *c, const struct restore *r, enum policy policy, struct buf *error) {
    struct library old;
    for (size_t i = 0; policy == POLICY_APPEND && i < r->count; i++) {
        struct slice name = buf_slice(&r->libraries[i].name);
        if (library_get(c->ks, name, &old)) return says(error, "ERR Library ", name, " already exists");
    }
    return policy == POLICY_FLUSH || has_free_functions(c, r->libraries, r->count, error);
}

/* Everything is looked at before anything is changed. */
void cmd_function_restore(struct cmd_ctx *c) {
    enum policy policy = POLICY_APPEND;
    struct slice payload = c->argv[2];
    if (!has_at_most(c, 4)) return;
    if (c->argc == 4) {
        struct slice word = c->argv[3];
        if (slice_is(word, "flush")) {
            policy = POLICY_FLUSH;
        } else if (slice_is(word, "replace")) {
            policy = POLICY_REPLACE;
        } else if (!slice_is(word, "append")) {
            reply_error(c->reply,
                        "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
            return;
        }
    }
    if (rdb_verify(payload) != RC_OK) {
        reply_error(c->reply, "ERR DUMP payload version or checksum are wrong");
        return;
    }
    struct restore r = {0};
    struct buf error = {0};
    struct slice content = slice_make(payload.data, payload.len - RDB_FOOTER_SIZE);
    if (read_libraries(c, content, &r, &error) && may_join(c, &r, policy, &error)) {
        if (policy == POLICY_FLUSH) library_remove_all(c->ks);
        put(c, r.libraries, r.count);
        reply_ok(c->reply);
    } else {
        reply_text_error(c, &error);
    }
    restore_free(&r);
    buf_free(&error);
}
