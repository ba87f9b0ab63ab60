/* CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: what a client says about the cache it keeps. Who has to hear of what is
 * in tracking.c. */
#include "cmd.h"
#include "handlers.h"
#include "mem.h"
#include "server.h"

/* NULL when the session does not track. */
static struct tracking_client *client_of(const struct session *s) {
    return s->tracking != NULL && s->tracking->is_on ? s->tracking : NULL;
}

/* --- CLIENT TRACKING --- */

/* Ids are compared as Redis does: 0 can be given twice, and names nobody. */
static bool parse_redirect(struct cmd_ctx *c, struct slice arg, struct tracking_options *o) {
    int64_t id = 0;
    if (o->redirect != 0) {
        reply_error(c->reply, "ERR A client can only redirect to a single other client");
        return false;
    }
    if (!cmd_arg_i64(c, arg, &id, NULL)) return false;
    o->redirect = (uint64_t)id;
    o->target = session_by_id(c->server, c->session, (uint64_t)id);
    if (o->target == NULL) reply_error(c->reply, "ERR The client ID you want redirect to does not exist");
    return o->target != NULL;
}

/* False after answering. `prefixes` has room for all arguments. */
static bool parse_options(struct cmd_ctx *c, struct tracking_options *o, struct slice *prefixes,
                          size_t *prefix_count) {
    for (int i = 3; i < c->argc; i++) {
        bool more = i + 1 < c->argc;
        if (slice_is(c->argv[i], "redirect") && more) {
            if (!parse_redirect(c, c->argv[++i], o)) return false;
        } else if (slice_is(c->argv[i], "bcast")) {
            o->is_broadcast = true;
        } else if (slice_is(c->argv[i], "optin")) {
            o->opts_in = true;
        } else if (slice_is(c->argv[i], "optout")) {
            o->opts_out = true;
        } else if (slice_is(c->argv[i], "noloop")) {
            o->no_loop = true;
        } else if (slice_is(c->argv[i], "prefix") && more) {
            prefixes[(*prefix_count)++] = c->argv[++i];
        } else {
            reply_error(c->reply, ERR_SYNTAX);
            return false;
        }
    }
    return true;
}

static bool overlap(struct slice a, struct slice b) {
    size_t len = a.len < b.len ? a.len : b.len;
    return len == 0 || memcmp(a.data, b.data, len) == 0;
}

struct prefix_search {
    struct slice prefix, found;
};

static bool search_cb(void *arg, struct slice prefix) {
    struct prefix_search *search = arg;
    if (!overlap(prefix, search->prefix)) return true;
    search->found = prefix.data != NULL ? prefix : SLICE("");
    return false;
}

static bool refuse_overlap(struct cmd_ctx *c, const char *what, struct slice prefix, struct slice other) {
    reply_errorf(c->reply,
                 "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes for a single client must not "
                 "overlap.",
                 cmd_quoted(prefix), prefix.data, what, cmd_quoted(other), other.data);
    return false;
}

/* A key must belong to one prefix of a client at most, or it would be told of it twice. */
static bool prefixes_are_apart(struct cmd_ctx *c, const struct slice *prefixes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct prefix_search search = {.prefix = prefixes[i]};
        tracking_each_prefix(c->server, c->session, search_cb, &search);
        if (search.found.data != NULL) return refuse_overlap(c, "an existing", prefixes[i], search.found);
        for (size_t j = i + 1; j < count; j++) {
            if (overlap(prefixes[i], prefixes[j]))
                return refuse_overlap(c, "another provided", prefixes[i], prefixes[j]);
        }
    }
    return true;
}

/* What does not go together, among the options or with what the client said before; NULL: it does. */
static const char *contradiction(const struct tracking_client *client, const struct tracking_options *o,
                                 size_t prefix_count) {
    if (prefix_count > 0 && !o->is_broadcast) return "ERR PREFIX option requires BCAST mode to be enabled";
    if (client != NULL && client->is_broadcast != o->is_broadcast)
        return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then "
               "re-enabling it with a different mode.";
    if (o->is_broadcast && (o->opts_in || o->opts_out))
        return "ERR OPTIN and OPTOUT are not compatible with BCAST";
    if (o->opts_in && o->opts_out) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
    if (client != NULL && ((o->opts_in && client->opts_out) || (o->opts_out && client->opts_in)))
        return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then "
               "re-enabling it with a different mode.";
    return NULL;
}

static void enable(struct cmd_ctx *c, const struct tracking_options *o, const struct slice *prefixes,
                   size_t prefix_count) {
    const char *error = contradiction(client_of(c->session), o, prefix_count);
    if (error != NULL) {
        reply_error(c->reply, error);
    } else if (prefixes_are_apart(c, prefixes, prefix_count)) {
        tracking_enable(c->server, c->session, o, prefixes, prefix_count);
        reply_ok(c->reply);
    }
}

void cmd_client_tracking(struct cmd_ctx *c) {
    struct tracking_options o = {0};
    size_t prefix_count = 0;
    struct slice *prefixes = mem_alloc((size_t)c->argc * sizeof *prefixes);
    if (parse_options(c, &o, prefixes, &prefix_count)) {
        if (slice_is(c->argv[2], "on")) {
            enable(c, &o, prefixes, prefix_count);
        } else if (slice_is(c->argv[2], "off")) {
            tracking_disable(c->server, c->session);
            reply_ok(c->reply);
        } else {
            reply_error(c->reply, ERR_SYNTAX);
        }
    }
    mem_free(prefixes);
}

/* --- the others --- */

void cmd_client_caching(struct cmd_ctx *c) {
    struct tracking_client *client = client_of(c->session);
    bool yes = slice_is(c->argv[2], "yes");
    if (client == NULL) {
        reply_error(c->reply,
                    "ERR CLIENT CACHING can be called only when the client is in tracking mode with "
                    "OPTIN or OPTOUT mode enabled");
    } else if (!yes && !slice_is(c->argv[2], "no")) {
        reply_error(c->reply, ERR_SYNTAX);
    } else if (yes ? !client->opts_in : !client->opts_out) {
        reply_error(c->reply,
                    yes ? "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
                        : "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    } else {
        client->caching = true;
        reply_ok(c->reply);
    }
}

void cmd_client_getredir(struct cmd_ctx *c) {
    const struct tracking_client *client = client_of(c->session);
    reply_int(c->reply, client != NULL ? (int64_t)client->redirect : -1);
}

static bool prefix_cb(void *arg, struct slice prefix) {
    struct cmd_ctx *c = arg;
    reply_bulk(c->reply, prefix);
    return true;
}

static bool count_cb(void *arg, struct slice prefix) {
    (void)prefix;
    ++*(size_t *)arg;
    return true;
}

void cmd_client_trackinginfo(struct cmd_ctx *c) {
    const struct tracking_client *client = client_of(c->session);
    const char *flags[8];
    size_t flag_count = 0, prefix_count = 0;
    flags[flag_count++] = client != NULL ? "on" : "off";
    if (client != NULL && client->is_broadcast) flags[flag_count++] = "bcast";
    if (client != NULL && client->opts_in) flags[flag_count++] = "optin";
    if (client != NULL && client->opts_in && client->caching) flags[flag_count++] = "caching-yes";
    if (client != NULL && client->opts_out) flags[flag_count++] = "optout";
    if (client != NULL && client->opts_out && client->caching) flags[flag_count++] = "caching-no";
    if (client != NULL && client->no_loop) flags[flag_count++] = "noloop";
    if (client != NULL && client->is_broken) flags[flag_count++] = "broken_redirect";
    reply_map(c->reply, 3);
    reply_bulk_str(c->reply, "flags");
    reply_set(c->reply, flag_count);
    for (size_t i = 0; i < flag_count; i++) reply_bulk_str(c->reply, flags[i]);
    reply_bulk_str(c->reply, "redirect");
    reply_int(c->reply, client != NULL ? (int64_t)client->redirect : -1);
    reply_bulk_str(c->reply, "prefixes");
    tracking_each_prefix(c->server, c->session, count_cb, &prefix_count);
    reply_array(c->reply, prefix_count);
    tracking_each_prefix(c->server, c->session, prefix_cb, c);
}
