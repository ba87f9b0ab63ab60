/* OBJECT: what a key looks like from inside. Looking leaves the access clocks as they are. */
#include "handlers.h"
#include "server.h"

/* NULL after answering null: there is no such key. */
static const struct object *looked_up(struct cmd_ctx *c) {
    const struct object *o = ks_inspect(c->ks, c->db, c->argv[2], c->now_ms);
    if (o == NULL) reply_null(c->reply);
    return o;
}

static bool counts_frequency(const struct server *s) {
    return s->config.maxmemory_policy == POLICY_ALLKEYS_LFU ||
           s->config.maxmemory_policy == POLICY_VOLATILE_LFU;
}

#define ERR_POLICY_SWITCH                                                                                    \
    " Please note that when switching between policies at runtime LRU and LFU data will take some time to "  \
    "adjust."

void cmd_object_encoding(struct cmd_ctx *c) {
    const struct object *o = looked_up(c);
    if (o != NULL) reply_bulk_str(c->reply, object_encoding_name(o));
}

void cmd_object_freq(struct cmd_ctx *c) {
    const struct object *o = looked_up(c);
    if (o == NULL) return;
    if (counts_frequency(c->server))
        reply_int(c->reply, o->freq);
    else
        reply_error(
            c->reply,
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked." ERR_POLICY_SWITCH);
}

void cmd_object_idletime(struct cmd_ctx *c) {
    const struct object *o = looked_up(c);
    if (o == NULL) return;
    if (counts_frequency(c->server)) {
        reply_error(c->reply,
                    "ERR An LFU maxmemory policy is selected, idle time not tracked." ERR_POLICY_SWITCH);
        return;
    }
    uint32_t now_s = ks_clock_s(c->ks);
    reply_int(c->reply, now_s > o->access_s ? now_s - o->access_s : 0);
}

/* Values are not shared here, but clients of Redis may know that small integers are, and how that shows. */
int cmd_shown_refcount(const struct object *o) {
    enum { SHARED_INTEGERS = 10000 };
    bool shared = o->type == OBJECT_STRING && o->encoding == ENCODING_INT && o->as.integer >= 0 &&
                  o->as.integer < SHARED_INTEGERS;
    return shared ? INT32_MAX : 1;
}

void cmd_object_refcount(struct cmd_ctx *c) {
    const struct object *o = looked_up(c);
    if (o != NULL) reply_int(c->reply, cmd_shown_refcount(o));
}

void cmd_object_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    How the value is represented: \"embstr\", \"listpack\", \"hashtable\" and so on.",
        "FREQ <key>",
        "    How often the key is used, on a logarithmic scale; for the LFU policies.",
        "IDLETIME <key>",
        "    Seconds since the key was last used; for all other policies.",
        "REFCOUNT <key>",
        "    How often the value is referred to.",
        "HELP",
        "    This text.",
    };
    reply_array(c->reply, sizeof lines / sizeof *lines);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) reply_simple(c->reply, lines[i]);
}
