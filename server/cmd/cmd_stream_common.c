/* See cmd_stream.h. */
#include "cmd_stream.h"

#include "events.h"

#include "num.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* --- ids --- */

enum { ID_TEXT_MAX = 127 };

/* Canonical numbers, and whatever else strtoull takes: Redis reads ids so, and clients' ids are what they are. */
static bool parse_part(const char *text, uint64_t *out) {
    int64_t v;
    if (parse_i64(slice_of(text), &v)) {
        *out = (uint64_t)v;
        return v >= 0;
    }
    char *end;
    errno = 0;
    unsigned long long u = strtoull(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0') return false;
    *out = u;
    return true;
}

bool stream_id_parse(struct slice arg, uint64_t missing_seq, bool strict, struct stream_id *id,
                     bool *seq_given) {
    char text[ID_TEXT_MAX + 1];
    if (arg.len > ID_TEXT_MAX) return false;
    memcpy(text, arg.data, arg.len);
    text[arg.len] = '\0';
    if (seq_given != NULL) *seq_given = true;
    if ((text[0] == '-' || text[0] == '+') && text[1] == '\0') {
        *id = text[0] == '-' ? (struct stream_id){0, 0} : STREAM_ID_MAX;
        return !strict;
    }
    struct stream_id parsed = {.seq = missing_seq};
    char *dash = strchr(text, '-');
    if (dash != NULL) *dash = '\0';
    if (!parse_part(text, &parsed.ms)) return false;
    if (dash != NULL && seq_given != NULL && strcmp(dash + 1, "*") == 0) {
        parsed.seq = 0;
        *seq_given = false;
    } else if (dash != NULL && !parse_part(dash + 1, &parsed.seq)) {
        return false;
    }
    *id = parsed;
    return true;
}

bool cmd_stream_id(struct cmd_ctx *c, struct slice arg, uint64_t missing_seq, struct stream_id *id) {
    if (stream_id_parse(arg, missing_seq, true, id, NULL)) return true;
    reply_error(c->reply, ERR_STREAM_ID);
    return false;
}

/* *excluded: the id itself is not meant. */
static bool parse_interval(struct cmd_ctx *c, struct slice arg, uint64_t missing_seq, struct stream_id *id,
                           bool *excluded) {
    *excluded = arg.len > 1 && arg.data[0] == '(';
    if (*excluded) arg = slice_make(arg.data + 1, arg.len - 1);
    if (stream_id_parse(arg, missing_seq, *excluded, id, NULL)) return true;
    reply_error(c->reply, ERR_STREAM_ID);
    return false;
}

bool cmd_stream_start(struct cmd_ctx *c, struct slice arg, struct stream_id *id) {
    bool excluded;
    if (!parse_interval(c, arg, 0, id, &excluded)) return false;
    if (!excluded || stream_id_next(id)) return true;
    reply_error(c->reply, "ERR invalid start ID for the interval");
    return false;
}

bool cmd_stream_end(struct cmd_ctx *c, struct slice arg, struct stream_id *id) {
    bool excluded;
    if (!parse_interval(c, arg, UINT64_MAX, id, &excluded)) return false;
    if (!excluded || stream_id_prev(id)) return true;
    reply_error(c->reply, "ERR invalid end ID for the interval");
    return false;
}

/* --- replies --- */

void reply_stream_id(struct reply *r, struct stream_id id) {
    reply_bulkf(r, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
}

void reply_stream_entry(struct reply *r, struct stream_entry *e) {
    struct stream_pair pair;
    reply_array(r, 2);
    reply_stream_id(r, e->id);
    reply_array(r, 2 * e->pairs);
    while (e->pairs > 0) {
        stream_entry_pair(e, &pair);
        reply_bulk(r, pair.field);
        reply_bulk(r, pair.value);
    }
}

bool reply_stream_entry_of(struct reply *r, const struct object *o, struct stream_id id) {
    struct stream_cursor cur;
    struct stream_entry e;
    stream_seek(&cur, o, id, id, false);
    if (!stream_next(&cur, &e)) return false;
    reply_stream_entry(r, &e);
    return true;
}

void reply_stream_range(struct reply *r, const struct object *o, struct stream_id from, struct stream_id to,
                        uint64_t count, bool reverse) {
    struct stream_cursor cur;
    struct stream_entry e;
    size_t mark = reply_defer(r), sent = 0;
    stream_seek(&cur, o, from, to, reverse);
    while ((count == 0 || sent < count) && stream_next(&cur, &e)) {
        reply_stream_entry(r, &e);
        sent++;
    }
    reply_close_array(r, mark, sent);
}

void cmd_stream_bad_subcommand(struct cmd_ctx *c) {
    char container[COMMAND_NAME_CAP];
    size_t len = command_full_name(c->cmd->parent, container, sizeof container);
    for (size_t i = 0; i < len; i++) container[i] = (char)toupper((unsigned char)container[i]);
    reply_errorf(c->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                 cmd_quoted(c->argv[1]), c->argv[1].data, container);
}

/* --- finding --- */

bool cmd_stream_read(struct cmd_ctx *c, struct slice key, struct object **o) {
    *o = cmd_read(c, key);
    return cmd_is_type(c, *o, OBJECT_STREAM);
}

bool cmd_stream_consult(struct cmd_ctx *c, struct slice key, struct object **o) {
    *o = cmd_consult(c, key);
    return cmd_is_type(c, *o, OBJECT_STREAM);
}

struct stream_consumer *cmd_stream_new_consumer(struct cmd_ctx *c, struct slice key, struct object *o,
                                                struct stream_group *g, struct slice name) {
    struct stream_consumer *consumer = stream_consumer_create(c->ks, c->db, o, g, name, c->now_ms);
    cmd_event(c, EVENT_STREAM, "xgroup-createconsumer", key);
    return consumer;
}

bool cmd_stream_write(struct cmd_ctx *c, struct slice key, struct object **o) {
    *o = cmd_write(c, key);
    return cmd_is_type(c, *o, OBJECT_STREAM);
}

/* --- how far a group has come --- */

bool stream_has_tombstones_from(const struct stream_state *s, struct stream_id id) {
    if (s->length == 0 || stream_id_is_zero(s->max_deleted)) return false;
    if (stream_id_cmp(s->max_deleted, s->first) < 0) return false; /* in front of all that is there */
    return stream_id_cmp(id, s->max_deleted) <= 0;
}

int64_t stream_entries_read_at(const struct stream_state *s, struct stream_id id) {
    int against_last = stream_id_cmp(id, s->last), against_first = stream_id_cmp(id, s->first);
    if (s->entries_added == 0) return 0;
    if (s->length == 0 && against_last <= 0) return (int64_t)s->entries_added;
    if (against_last == 0) return (int64_t)s->entries_added;
    if (against_last > 0) return STREAM_READ_UNKNOWN;
    /* With nothing deleted behind the first entry, what was added last is what is there. */
    if (!stream_id_is_zero(s->max_deleted) && stream_id_cmp(s->max_deleted, s->first) >= 0)
        return STREAM_READ_UNKNOWN;
    if (against_first < 0) return (int64_t)(s->entries_added - s->length);
    if (against_first == 0) return (int64_t)(s->entries_added - s->length + 1);
    return STREAM_READ_UNKNOWN;
}
