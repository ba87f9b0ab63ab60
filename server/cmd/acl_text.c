/* See acl.h: users as text, in Redis's normal form. What a selector may do with commands is shown as the categories that come
 * closest, and what is missing or too much by single commands; the order in which rules were given is not kept. */
#include "acl.h"

#include <stdio.h>

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

/* Applies a rule to a selector of its own, which is what a user without a name is for. */
static void apply_word(struct acl_user *u, const char *sign, const char *name) {
    char rule[COMMAND_NAME_CAP + 4];
    int len = snprintf(rule, sizeof rule, "%s%s", sign, name);
    CHECK(acl_apply(u, slice_make(rule, (size_t)len)) == NULL);
}

/* How many commands of a category the selector allows, and how many it does not. */
static void count_category(const struct acl_selector *s, uint32_t bit, int *on, int *off) {
    *on = *off = 0;
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        if (!(cmd->categories & bit) || !is_of_rules(cmd)) continue;
        if (acl_allows_command(s, cmd))
            ++*on;
        else
            ++*off;
    }
}

/* The category that brings us nearest to `left`, what is still to be said: more of it fits than does not; of those the one with the
 * least that does not fit, and then the one with the most that does. -1: none. */
static int best_category(const struct acl_selector *left, bool adds, const bool *said) {
    int best = -1, least = INT32_MAX, most = 0;
    for (int i = 0; i < ACL_CATEGORY_COUNT; i++) {
        int on, off;
        if (said[i]) continue;
        count_category(left, acl_category_bit(i), &on, &off);
        int fits = adds ? on : off, misfits = adds ? off : on;
        if (fits <= misfits || misfits > least || (misfits == least && fits <= most)) continue;
        best = i;
        least = misfits;
        most = fits;
    }
    return best;
}

static void describe_first_args(const struct acl_selector *s, const struct command *cmd, const char *name,
                                struct buf *out) {
    for (size_t i = 0; i < s->first_arg_count; i++) {
        if (s->first_args[i].command_id != cmd->id) continue;
        buf_printf(out, " +%s|", name);
        buf_add_slice(out, buf_slice(&s->first_args[i].text));
    }
}

/* What `said` does not say yet. A container's row comes before those of its subcommands, which it speaks for. */
static void describe_rest(const struct acl_selector *s, struct acl_user *said, struct buf *out) {
    for (int id = 0; id < command_stat_count(); id++) {
        const struct command *cmd = command_by_id(id);
        char name[COMMAND_NAME_CAP];
        if (!is_of_rules(cmd)) continue;
        command_full_name(cmd, name, sizeof name);
        bool allowed = acl_allows_command(s, cmd);
        if (allowed != acl_allows_command(&said->selectors[0], cmd)) {
            buf_printf(out, " %s%s", allowed ? "+" : "-", name);
            apply_word(said, allowed ? "+" : "-", name);
        }
        if (!allowed) describe_first_args(s, cmd, name, out);
    }
}

void acl_describe_commands(const struct acl_selector *s, struct buf *out) {
    struct acl_user said, left; /* what is said so far; and what would be left of `s` without that */
    bool is_said[ACL_CATEGORY_COUNT] = {false}, adds = !s->future_commands;
    acl_user_init(&said, SLICE(""));
    acl_user_init(&left, SLICE(""));
    memcpy(left.selectors[0].allowed, s->allowed, sizeof s->allowed);
    buf_add_str(out, adds ? "-@all" : "+@all");
    apply_word(&said, adds ? "-@" : "+@", "all");
    int best;
    while ((best = best_category(&left.selectors[0], adds, is_said)) >= 0) {
        const char *name = acl_category_name(best);
        is_said[best] = true;
        buf_printf(out, " %s%s", adds ? "+@" : "-@", name);
        apply_word(&said, adds ? "+@" : "-@", name);
        apply_word(&left, adds ? "-@" : "+@", name);
    }
    describe_rest(s, &said, out);
    acl_user_free(&said);
    acl_user_free(&left);
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
