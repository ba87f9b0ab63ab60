/* See acl_users.h. */
#include "acl_users.h"

#include "mem.h"
#include "resp_parse.h"
#include "server.h"
#include "system.h"

#include <stdio.h>

/* --- the table --- */

static size_t place_of(const struct acl *a, struct slice name) {
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(buf_slice(&a->items[middle]->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct acl_user *acl_find(const struct acl *a, struct slice name) {
    size_t at = place_of(a, name);
    return at < a->count && slice_eq(buf_slice(&a->items[at]->name), name) ? a->items[at] : NULL;
}

/* The user of this name, new and without any rights when there was none. */
static struct acl_user *find_or_add(struct acl *a, struct slice name) {
    size_t at = place_of(a, name);
    if (at < a->count && slice_eq(buf_slice(&a->items[at]->name), name)) return a->items[at];
    if (a->count == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 8;
        a->items = mem_realloc(a->items, a->cap * sizeof *a->items);
    }
    memmove(a->items + at + 1, a->items + at, (a->count - at) * sizeof *a->items);
    a->count++;
    a->items[at] = mem_alloc(sizeof **a->items);
    acl_user_init(a->items[at], name);
    return a->items[at];
}

static void remove_at(struct acl *a, size_t at) {
    acl_user_free(a->items[at]);
    mem_free(a->items[at]);
    memmove(a->items + at, a->items + at + 1, (--a->count - at) * sizeof *a->items);
}

static void set_default_open(struct acl *a) {
    struct acl_user open;
    acl_user_init_open(&open);
    acl_user_copy(a->default_user, &open);
    acl_user_free(&open);
}

void acl_init(struct acl *a) {
    *a = (struct acl){0};
    acl_user_init(&a->nobody, SLICE(""));
    a->default_user = find_or_add(a, SLICE("default"));
    set_default_open(a);
}

void acl_free(struct acl *a) {
    while (a->count > 0) remove_at(a, a->count - 1);
    mem_free(a->items);
    acl_user_free(&a->nobody);
    acl_log_clear(&a->log);
    *a = (struct acl){0};
}

static bool is_same(const struct acl_user *a, const struct acl_user *b) {
    struct buf x = {0}, y = {0};
    acl_describe(a, &x);
    acl_describe(b, &y);
    bool same = slice_eq(buf_slice(&x), buf_slice(&y));
    buf_free(&x);
    buf_free(&y);
    return same;
}

bool acl_is_plain(const struct acl *a) {
    struct acl_user open;
    acl_user_init_open(&open);
    bool is_plain = a->count == 1 && is_same(a->default_user, &open);
    acl_user_free(&open);
    return is_plain;
}

void acl_write_lines(const struct acl *a, struct buf *out) {
    for (size_t i = 0; i < a->count; i++) {
        buf_add_str(out, "user ");
        buf_add_slice(out, buf_slice(&a->items[i]->name));
        buf_add_byte(out, ' ');
        acl_describe(a->items[i], out);
        buf_add_byte(out, '\n');
    }
}

bool acl_knows(const struct acl_user *u, struct slice password) {
    return u != NULL && u->is_on && (u->nopass || acl_password_is(u, password));
}

/* --- sessions --- */

void session_set_user(struct session *session, struct acl_user *user, bool is_authenticated) {
    /* What the leader knows of the session, it knows of the user it was. */
    if (session->user != NULL && session->user != user) session->is_stale_there = true;
    session->user = user;
    session->authenticated = is_authenticated;
    session->said_password = false;
}

bool session_needs_password(const struct server *s, const struct session *session) {
    return !session->authenticated && !acl_is_open(&s->acl);
}

static void end_session(struct server *s, struct session *session, const struct session *self) {
    session->user = s->acl.default_user;
    session->authenticated = session->said_password = false;
    s->host->session_close(s->host, session, session == self);
}

/* Who was this user is nobody now, and goes. */
static void end_sessions_of(struct server *s, const struct acl_user *user, const struct session *self) {
    LIST_FOR_EACH_SAFE(it, &s->sessions) {
        struct session *session = container_of(it, struct session, link);
        if (session->user == user) end_session(s, session, self);
    }
}

static void remove_user(struct server *s, size_t at, const struct session *self) {
    s->acl.changes++;
    CHECK(s->acl.items[at] != s->acl.default_user);
    end_sessions_of(s, s->acl.items[at], self);
    remove_at(&s->acl, at);
}

/* --- the configuration's --- */

void acl_rules_open_channels(struct acl_rules *rules, bool is_new) {
    struct acl_rules out = {.items = mem_calloc(2 * (size_t)rules->count + 1, sizeof *out.items)};
    if (is_new) buf_add_str(&out.items[out.count++], "allchannels");
    for (int i = 0; i < rules->count; i++) {
        struct slice rule = buf_slice(&rules->items[i]);
        struct buf *item = &out.items[out.count++];
        if (rule.len > 1 && rule.data[0] == '(') {
            buf_add_str(item, "(allchannels ");
            rule = slice_make(rule.data + 1, rule.len - 1);
        }
        buf_add_slice(item, rule);
        if (slice_is(rule, "reset")) buf_add_str(&out.items[out.count++], "allchannels");
    }
    acl_rules_free(rules);
    *rules = out;
}

/* Applies all of them; the first error ends it. */
static const char *apply_all(struct acl_user *u, const struct acl_rules *rules, int *failed) {
    for (int i = 0; i < rules->count; i++) {
        const char *error = acl_apply(u, buf_slice(&rules->items[i]));
        *failed = i;
        if (error != NULL) return error;
    }
    return NULL;
}

static void take_requirepass(struct acl *a, struct slice password) {
    char rule[1 + SHA256_HEX_LEN] = "#";
    if (password.len == 0) return;
    sha256_hex(password, rule + 1);
    CHECK(acl_apply(a->default_user, SLICE("resetpass")) == NULL);
    CHECK(acl_apply(a->default_user, slice_make(rule, sizeof rule)) == NULL);
}

/* One `user` line of the configuration, in the quotes it was kept in. It was looked at when it was read, so only what depends
 * on other settings can be wrong. */
static bool take_line(struct server *s, struct slice line, char *error, size_t cap) {
    struct buf store = {0};
    struct slice *argv = NULL;
    struct acl_rules rules;
    int argv_cap = 0, argc = 0, at = 0;
    CHECK(resp_split_line(line, &store, &argv, &argv_cap, &argc));
    CHECK(argc > 0);
    CHECK(acl_rules_merge(&rules, argc - 1, argv + 1, &at));
    struct acl_user *u = find_or_add(&s->acl, argv[0]);
    if (u == s->acl.default_user) CHECK(acl_apply(u, SLICE("reset")) == NULL);
    if (s->config.acl_pubsub_default == ACL_PUBSUB_ALLCHANNELS) acl_rules_open_channels(&rules, true);
    const char *why = apply_all(u, &rules, &at);
    if (why != NULL) {
        struct slice rule = buf_slice(&rules.items[at]);
        if (rule.data[0] == '<') rule.len = 1; /* passwords are nobody's business */
        snprintf(error, cap, "Error loading ACL rule '%.*s' for the user named '%.*s': %s", cmd_quoted(rule),
                 rule.data, cmd_quoted(argv[0]), argv[0].data, why);
    }
    acl_rules_free(&rules);
    mem_free(argv);
    buf_free(&store);
    CHECK(why != NULL || acl_reads_again(u)); /* before anybody is served */
    return why == NULL;
}

static bool take_lines(struct server *s, char *error, size_t cap) {
    struct slice rest = buf_slice(&s->config.users);
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        CHECK(end != NULL);
        struct slice line = slice_make(rest.data, (size_t)(end - rest.data));
        if (!take_line(s, line, error, cap)) return false;
        rest = slice_make(end + 1, rest.len - line.len - 1);
    }
    return true;
}

void acl_file_path(const struct config *config, struct buf *out) {
    buf_clear(out);
    if (config->aclfile[0] != '/') buf_printf(out, "%s/", config->dir);
    buf_add(out, config->aclfile, strlen(config->aclfile) + 1);
}

enum rc acl_read_file(struct server *s, struct buf *text, struct buf *errors) {
    struct buf path = {0};
    acl_file_path(&s->config, &path);
    enum rc rc = s->host->read_file(s->host, path.data, text);
    buf_free(&path);
    if (rc != RC_OK)
        buf_printf(errors, "Error loading ACLs, opening file '%s': %s", s->config.aclfile,
                   rc == RC_NOT_FOUND ? "No such file or directory" : rc_name(rc));
    return rc;
}

static bool take_file(struct server *s, char *error, size_t cap) {
    const char *path = s->config.aclfile;
    struct buf text = {0}, errors = {0};
    struct acl from_file;
    bool is_open = s->config.acl_pubsub_default == ACL_PUBSUB_ALLCHANNELS;
    bool ok = acl_read_file(s, &text, &errors) == RC_OK &&
              acl_parse_file(&from_file, path, buf_slice(&text), is_open, &errors);
    if (!ok) snprintf(error, cap, "%.*s", (int)errors.len, errors.data);
    for (size_t i = 0; ok && i < from_file.count; i++)
        acl_user_copy(find_or_add(&s->acl, buf_slice(&from_file.items[i]->name)), from_file.items[i]);
    if (ok) acl_free(&from_file);
    buf_free(&text);
    buf_free(&errors);
    return ok;
}

bool acl_take_config(struct server *s, char *error, size_t cap) {
    const struct config *config = &s->config;
    if (config->aclfile[0] != '\0' && config->users.len > 0) {
        snprintf(error, cap,
                 "There are users in the configuration and there is an aclfile: only one of them may say who "
                 "the users are.");
        return false;
    }
    s->acl.file_counts = config->requirepass[0] != '\0';
    take_requirepass(&s->acl, config_text(config->requirepass));
    bool ok = take_lines(s, error, cap) && (config->aclfile[0] == '\0' || take_file(s, error, cap));
    buf_free(&s->config.users); /* with the passwords in it */
    return ok;
}

/* --- aclfiles --- */

struct file_reader {
    struct acl *users;
    const char *path;
    bool pubsub_is_open, has_default;
    struct buf *errors;
};

static int split_at_spaces(struct slice line, struct slice **argv) {
    int argc = 0;
    *argv = mem_alloc((line.len + 1) * sizeof **argv);
    for (size_t start = 0, i = 0; i <= line.len; i++) {
        if (i < line.len && line.data[i] != ' ') continue;
        (*argv)[argc++] = slice_make(line.data + start, i - start);
        start = i + 1;
    }
    return argc;
}

static void read_rules(struct file_reader *f, struct acl_user *u, int number, int argc,
                       const struct slice *argv) {
    struct acl_rules rules;
    int unmatched;
    if (!acl_rules_merge(&rules, argc, argv, &unmatched)) {
        buf_printf(f->errors, "%s:%d: Unmatched parenthesis in selector definition.", f->path, number);
        return;
    }
    if (f->pubsub_is_open) acl_rules_open_channels(&rules, true);
    for (int i = 0; i < rules.count; i++) {
        const char *error = acl_apply(u, buf_slice(&rules.items[i]));
        if (error != NULL) buf_printf(f->errors, "%s:%d: %s. ", f->path, number, error);
    }
    if (!acl_reads_again(u)) buf_printf(f->errors, "%s:%d: the user cannot be kept. ", f->path, number);
    acl_rules_free(&rules);
}

static void read_user(struct file_reader *f, int number, int argc, const struct slice *argv) {
    struct slice name = argc > 1 ? argv[1] : SLICE("");
    if (argc < 2 || !slice_eq(argv[0], SLICE("user"))) {
        buf_printf(f->errors, "%s:%d should start with user keyword followed by the username. ", f->path,
                   number);
        return;
    }
    if (acl_has_spaces(name)) {
        buf_printf(f->errors, "'%s:%d: username '%.*s' contains invalid characters. ", f->path, number,
                   cmd_quoted(name), name.data);
        return;
    }
    bool is_default = slice_eq(name, SLICE("default"));
    if (is_default ? f->has_default : acl_find(f->users, name) != NULL) {
        buf_printf(f->errors, "WARNING: Duplicate user '%.*s' found on line %d. ", cmd_quoted(name),
                   name.data, number);
        return;
    }
    struct acl_user *u = find_or_add(f->users, name);
    if (is_default) {
        struct acl_user none;
        acl_user_init(&none, name);
        acl_user_copy(u, &none);
        acl_user_free(&none);
        f->has_default = true;
    }
    read_rules(f, u, number, argc - 2, argv + 2);
}

static struct slice trim(struct slice s) {
    while (s.len > 0 && s.data[0] != '\0' && strchr(" \t\r\n", s.data[0]) != NULL)
        s = slice_make(s.data + 1, s.len - 1);
    while (s.len > 0 && s.data[s.len - 1] != '\0' && strchr(" \t\r\n", s.data[s.len - 1]) != NULL) s.len--;
    return s;
}

bool acl_parse_file(struct acl *out, const char *path, struct slice text, bool pubsub_is_open,
                    struct buf *errors) {
    struct file_reader f = {.users = out, .path = path, .pubsub_is_open = pubsub_is_open, .errors = errors};
    acl_init(out);
    for (int number = 1; text.len > 0; number++) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len, used = len + (end != NULL);
        struct slice line = trim(slice_make(text.data, len)), *argv;
        text = slice_make(text.data + used, text.len - used);
        if (line.len == 0) continue;
        int argc = split_at_spaces(line, &argv);
        read_user(&f, number, argc, argv);
        mem_free(argv);
    }
    if (errors->len == 0) return true;
    buf_add_str(errors,
                "WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
    acl_free(out);
    return false;
}

/* --- the state's --- */

static struct slice state_name(struct buf *b, struct slice user) {
    buf_clear(b);
    buf_add_str(b, "user:");
    buf_add_slice(b, user);
    return buf_slice(b);
}

bool acl_state_has_users(struct keyspace *ks) {
    return system_has(ks, SLICE("user:default"));
}

/* What stands in the state was made by acl_describe, of this version or an older one. */
static void user_of_text(struct acl_user *u, struct slice name, struct slice text) {
    acl_user_init(u, name);
    const char *error = acl_apply_text(u, text);
    CHECK(error == NULL);
}

void acl_take_text(struct acl *a, struct slice name, struct slice text) {
    struct acl_user u;
    user_of_text(&u, name, text);
    acl_user_copy(find_or_add(a, name), &u);
    acl_user_free(&u);
}

bool acl_user_of_state(struct keyspace *ks, struct slice name, struct acl_user *out) {
    struct buf full = {0};
    struct slice text;
    bool found = system_get(ks, state_name(&full, name), &text);
    if (found) {
        user_of_text(out, name, text);
    } else if (!acl_state_has_users(ks) && slice_eq(name, SLICE("default"))) {
        acl_user_init_open(out);
        found = true;
    }
    buf_free(&full);
    return found;
}

static void store_value(struct keyspace *ks, const struct acl_user *u) {
    struct buf full = {0}, text = {0};
    acl_describe(u, &text);
    system_set(ks, state_name(&full, buf_slice(&u->name)), buf_slice(&text));
    buf_free(&full);
    buf_free(&text);
}

/* The first user of a cluster brings the default user along, which says that the configuration's hold no more. */
static void begin_users(struct server *s) {
    if (acl_state_has_users(s->ks)) return;
    struct acl_user open;
    acl_user_init_open(&open);
    store_value(s->ks, &open);
    acl_user_free(&open);
    acl_state_replaced(s);
}

/* A session that listens to what its user may not hear any more ends. */
struct listening {
    const struct acl_user *upcoming;
    bool is_literal, is_denied;
};

static bool may_listen(void *arg, struct slice name) {
    struct listening *l = arg;
    l->is_denied = !acl_may_use_channel(l->upcoming, name, l->is_literal);
    return !l->is_denied;
}

static void revoke_channels(struct server *s, const struct acl_user *user, const struct acl_user *upcoming) {
    if (pubsub_is_idle(&s->pubsub)) return;
    LIST_FOR_EACH_SAFE(it, &s->sessions) {
        struct session *session = container_of(it, struct session, link);
        struct listening l = {.upcoming = upcoming};
        if (session->user != user) continue;
        for (enum topic_kind kind = 0; kind < TOPIC_KINDS && !l.is_denied; kind++) {
            l.is_literal = kind == TOPIC_PATTERN;
            pubsub_each_of(session, kind, may_listen, &l);
        }
        if (l.is_denied) s->host->session_close(s->host, session, false);
    }
}

static void put(struct server *s, const struct acl_user *u) {
    struct acl_user *user = find_or_add(&s->acl, buf_slice(&u->name));
    revoke_channels(s, user, u);
    s->acl.changes++;
    acl_user_copy(user, u);
}

static void overrule_file(struct server *s, const struct acl_user *u, int64_t now_ms) {
    if (slice_eq(buf_slice(&u->name), SLICE("default")) && now_ms > s->start_ms) s->acl.file_counts = false;
}

void acl_store(struct server *s, const struct acl_user *u, int64_t now_ms) {
    begin_users(s);
    store_value(s->ks, u);
    put(s, u);
    overrule_file(s, u, now_ms);
}

bool acl_delete(struct server *s, struct slice name, struct session *self) {
    struct buf full = {0};
    bool deleted = system_delete(s->ks, state_name(&full, name));
    buf_free(&full);
    if (!deleted) return false;
    size_t at = place_of(&s->acl, name);
    CHECK(at < s->acl.count);
    remove_user(s, at, self);
    return true;
}

static bool is_default(const struct acl *a, size_t at) {
    return a->items[at] == a->default_user;
}

void acl_store_all(struct server *s, const struct acl *users, struct session *self, int64_t now_ms) {
    begin_users(s);
    for (size_t i = s->acl.count; i-- > 0;) {
        if (is_default(&s->acl, i)) continue;
        struct buf full = {0};
        system_delete(s->ks, state_name(&full, buf_slice(&s->acl.items[i]->name)));
        buf_free(&full);
        remove_user(s, i, self);
    }
    for (size_t i = 0; i < users->count; i++) acl_store(s, users->items[i], now_ms);
}

/* The first users of a cluster. Where they are those that were there already, by configuration, their sessions go on. */
void acl_seed(struct server *s, const struct acl *users) {
    CHECK(!acl_state_has_users(s->ks));
    for (size_t i = 0; i < users->count; i++) store_value(s->ks, users->items[i]);
    acl_state_replaced(s);
}

/* --- another state --- */

struct replacing {
    struct server *server;
    struct acl fresh;
};

static void visit_user(void *arg, struct slice name, struct slice text) {
    struct replacing *r = arg;
    struct slice own = slice_make(name.data + 5, name.len - 5);
    acl_take_text(&r->fresh, own, text);
}

/* Nobody knows what happened in between. A user who is another one than he was may be a new one of that name. */
void acl_state_replaced(struct server *s) {
    struct replacing r = {.server = s};
    struct acl *a = &s->acl;
    if (!acl_state_has_users(s->ks)) return;
    acl_init(&r.fresh);
    system_each(s->ks, SLICE("user:"), visit_user, &r);
    a->is_replicated = true;
    for (size_t i = a->count; i-- > 0;) {
        const struct acl_user *u = acl_find(&r.fresh, buf_slice(&a->items[i]->name));
        if (!is_default(a, i) && (u == NULL || !is_same(u, a->items[i]))) remove_user(s, i, NULL);
    }
    for (size_t i = 0; i < r.fresh.count; i++) put(s, r.fresh.items[i]);
    acl_free(&r.fresh);
}

/* --- requirepass --- */

/* The hashes of requirepass that files have had, the newest last: each is proposed once, so that an old file does not bring a
 * password back that was replaced since. */
enum { FILE_PASSWORDS_MAX = 16 };
static const struct slice file_passwords_name = {"requirepass:files", 17};

static bool is_known_of_file(struct keyspace *ks, struct slice hash) {
    struct slice known;
    if (!system_get(ks, file_passwords_name, &known)) return false;
    for (size_t at = 0; at + SHA256_HEX_LEN <= known.len; at += SHA256_HEX_LEN)
        if (memcmp(known.data + at, hash.data, SHA256_HEX_LEN) == 0) return true;
    return false;
}

void acl_remember_file_password(struct keyspace *ks, struct slice hash) {
    struct buf all = {0};
    struct slice known;
    if (hash.len == 0 || is_known_of_file(ks, hash)) return;
    if (system_get(ks, file_passwords_name, &known)) buf_add_slice(&all, known);
    buf_add_slice(&all, hash);
    if (all.len > FILE_PASSWORDS_MAX * SHA256_HEX_LEN) buf_drop(&all, SHA256_HEX_LEN);
    system_set(ks, file_passwords_name, buf_slice(&all));
    buf_free(&all);
}

void acl_store_requirepass(struct server *s, struct slice hash, int64_t now_ms) {
    struct acl_user u;
    CHECK(acl_user_of_state(s->ks, SLICE("default"), &u));
    if (hash.len == 0) {
        CHECK(acl_apply(&u, SLICE("nopass")) == NULL);
    } else {
        char rule[1 + SHA256_HEX_LEN] = "#";
        CHECK(hash.len == SHA256_HEX_LEN);
        memcpy(rule + 1, hash.data, hash.len);
        CHECK(acl_apply(&u, SLICE("resetpass")) == NULL);
        CHECK(acl_apply(&u, slice_make(rule, sizeof rule)) == NULL);
    }
    acl_store(s, &u, now_ms);
    acl_user_free(&u);
}

bool acl_file_password(struct server *s, char hash[SHA256_HEX_LEN]) {
    struct slice password = config_text(s->config.requirepass);
    if (!s->acl.file_counts || password.len == 0) return false;
    sha256_hex(password, hash);
    if (!acl_state_has_users(s->ks)) return false; /* all of them are proposed */
    return s->acl.default_user->nopass || !is_known_of_file(s->ks, slice_make(hash, SHA256_HEX_LEN));
}
