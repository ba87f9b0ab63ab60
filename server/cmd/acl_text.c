/* See acl.h: users as text, in Redis's normal form. What a selector may do with commands is shown as the categories that come
 * closest, and what is missing or too much by single commands; the order in which rules were given is not kept. */
#include "acl.h"

static const char *key_prefix(unsigned permits) {
    return permits == ACL_PERMITS_ALL ? "~" : permits == ACL_PERMITS_READ ? "%R~" : "%W~";
}

/* "~*" is not a pattern but the end of patterns: the pattern that looks like it is spelt otherwise where it has to be read
 * again. Redis cannot read what it writes there. */
static void describe_keys(const struct acl_selector *s, bool is_read_again, struct buf *out) {
    if (s->all_keys) buf_add_str(out, "~*");
    for (size_t i = 0; i < s->keys.count; i++) {
        const struct acl_pattern *p = &s->keys.items[i];
        bool looks_like_all = p->permits == ACL_PERMITS_ALL && slice_eq(buf_slice(&p->text), SLICE("*"));
        if (i > 0) buf_add_byte(out, ' ');
        buf_add_str(out, looks_like_all && is_read_again ? "%RW~" : key_prefix(p->permits));
        buf_add_slice(out, buf_slice(&p->text));
    }
}

void acl_describe_keys(const struct acl_selector *s, struct buf *out) {
    describe_keys(s, false, out);
}

void acl_describe_channels(const struct acl_selector *s, struct buf *out) {
    if (s->all_channels) buf_add_str(out, "&*");
    for (size_t i = 0; i < s->channels.count; i++) {
        if (i > 0) buf_add_byte(out, ' ');
        buf_add_byte(out, '&');
        buf_add_slice(out, buf_slice(&s->channels.items[i].text));
    }
}

/* --- commands --- */

static bool is_of_rules(const struct command *cmd) {
    return !(cmd->flags & CMD_INTERNAL);
}

/* A set of commands, by id. */
struct set {
    uint64_t bits[ACL_COMMAND_WORDS];
};

static bool set_has(const struct set *set, int id) {
    return set->bits[id / 64] >> (id % 64) & 1;
}

static void set_put(struct set *set, int id, bool is_in) {
    uint64_t bit = UINT64_C(1) << (id % 64);
    set->bits[id / 64] = is_in ? set->bits[id / 64] | bit : set->bits[id / 64] & ~bit;
}

/* A rule about a container speaks for its subcommands. */
static void set_put_command(struct set *set, const struct command *cmd, bool is_in) {
    set_put(set, cmd->id, is_in);
    for (int i = 0; i < cmd->subcommand_count; i++) set_put(set, cmd->subcommands[i].id, is_in);
}

/* Of each category: the commands in it, and those that a rule about it speaks for. */
static struct category_sets {
    bool are_made;
    struct set in[ACL_CATEGORY_COUNT], reached[ACL_CATEGORY_COUNT];
} categories;

static void make_categories(void) {
    if (categories.are_made) return;
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        for (int i = 0; i < ACL_CATEGORY_COUNT; i++) {
            if (!(cmd->categories & acl_category_bit(i)) || !is_of_rules(cmd)) continue;
            set_put(&categories.in[i], id, true);
            set_put_command(&categories.reached[i], cmd, true);
        }
    }
    categories.are_made = true;
}

static void set_put_category(struct set *set, int category, bool is_in) {
    for (int w = 0; w < ACL_COMMAND_WORDS; w++) {
        uint64_t reached = categories.reached[category].bits[w];
        set->bits[w] = is_in ? set->bits[w] | reached : set->bits[w] & ~reached;
    }
}

/* The category that brings us nearest to `left`, what is still to be said: more of it fits than does not; of those the one with
 * the least that does not fit, and then the one with the most that does. -1: none. */
static int best_category(const struct set *left, bool adds, const bool *is_said) {
    int best = -1, least = INT32_MAX, most = 0;
    for (int i = 0; i < ACL_CATEGORY_COUNT; i++) {
        int on = 0, off = 0;
        if (is_said[i]) continue;
        for (int w = 0; w < ACL_COMMAND_WORDS; w++) {
            uint64_t in = categories.in[i].bits[w];
            on += __builtin_popcountll(in & left->bits[w]);
            off += __builtin_popcountll(in & ~left->bits[w]);
        }
        int fits = adds ? on : off, misfits = adds ? off : on;
        if (fits <= misfits || misfits > least || (misfits == least && fits <= most)) continue;
        best = i;
        least = misfits;
        most = fits;
    }
    return best;
}

static void describe_first_args(const struct acl_selector *s, const struct command *cmd, struct buf *out) {
    char name[COMMAND_NAME_CAP];
    for (size_t i = 0; i < s->first_arg_count; i++) {
        if (s->first_args[i].command_id != cmd->id) continue;
        command_full_name(cmd, name, sizeof name);
        buf_printf(out, " +%s|", name);
        buf_add_slice(out, buf_slice(&s->first_args[i].text));
    }
}

/* What `said` does not say yet. A container's row comes before those of its subcommands. */
static void describe_rest(const struct acl_selector *s, struct set *said, struct buf *out) {
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        char name[COMMAND_NAME_CAP];
        if (!is_of_rules(cmd)) continue;
        bool is_allowed = acl_allows_command(s, cmd);
        if (is_allowed != set_has(said, id)) {
            command_full_name(cmd, name, sizeof name);
            buf_printf(out, " %s%s", is_allowed ? "+" : "-", name);
            set_put_command(said, cmd, is_allowed);
        }
        if (!is_allowed && s->first_arg_count > 0) describe_first_args(s, cmd, out);
    }
}

void acl_describe_commands(const struct acl_selector *s, struct buf *out) {
    struct set said, left; /* what is said so far; and what would be left of `s` without that */
    bool is_said[ACL_CATEGORY_COUNT] = {false}, adds = !s->future_commands;
    int best;
    make_categories();
    memset(&said, adds ? 0 : 0xff, sizeof said);
    memcpy(left.bits, s->allowed, sizeof left.bits);
    buf_add_str(out, adds ? "-@all" : "+@all");
    while ((best = best_category(&left, adds, is_said)) >= 0) {
        is_said[best] = true;
        buf_printf(out, " %s%s", adds ? "+@" : "-@", acl_category_name(best));
        set_put_category(&said, best, adds);
        set_put_category(&left, best, !adds);
    }
    describe_rest(s, &said, out);
}

/* --- users --- */

size_t acl_flags(const struct acl_user *u, const char *flags[3]) {
    size_t count = 0;
    flags[count++] = u->is_on ? "on" : "off";
    if (u->nopass) flags[count++] = "nopass";
    if (u->sanitize == ACL_SANITIZE_SKIP) flags[count++] = "skip-sanitize-payload";
    if (u->sanitize == ACL_SANITIZE_YES) flags[count++] = "sanitize-payload";
    return count;
}

static void describe_selector(const struct acl_selector *s, struct buf *out) {
    size_t before = out->len;
    describe_keys(s, true, out);
    if (out->len > before) buf_add_byte(out, ' ');
    if (!s->all_channels) buf_add_str(out, "resetchannels ");
    before = out->len;
    acl_describe_channels(s, out);
    if (out->len > before) buf_add_byte(out, ' ');
    acl_describe_commands(s, out);
}

void acl_describe(const struct acl_user *u, struct buf *out) {
    const char *flags[3];
    size_t count = acl_flags(u, flags);
    for (size_t i = 0; i < count; i++) buf_printf(out, "%s ", flags[i]);
    for (size_t i = 0; i < u->password_count; i++)
        buf_printf(out, "#%.*s ", (int)SHA256_HEX_LEN, u->passwords[i]);
    for (size_t i = 0; i < u->selector_count; i++) {
        if (i > 0) buf_add_str(out, " (");
        describe_selector(&u->selectors[i], out);
        if (i > 0) buf_add_byte(out, ')');
    }
}

bool acl_reads_again(const struct acl_user *u) {
    struct acl_user again;
    struct buf text = {0}, same = {0};
    acl_user_init(&again, buf_slice(&u->name));
    acl_describe(u, &text);
    bool ok = acl_apply_text(&again, buf_slice(&text)) == NULL && again.selector_count == u->selector_count;
    if (ok) acl_describe(&again, &same);
    ok = ok && slice_eq(buf_slice(&text), buf_slice(&same)) && again.is_unrestricted == u->is_unrestricted;
    for (size_t i = 0; ok && i < u->selector_count; i++) {
        for (int id = 0; id < command_stat_count(); id++) {
            const struct command *cmd = command_by_id(id);
            if (is_of_rules(cmd) &&
                acl_allows_command(&u->selectors[i], cmd) != acl_allows_command(&again.selectors[i], cmd))
                ok = false;
        }
    }
    acl_user_free(&again);
    buf_free(&text);
    buf_free(&same);
    return ok;
}
