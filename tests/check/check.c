/* Takes a history apart into keys, makes what is lost cheap to search, and explains what cannot be. */
#include "search.h"

#include "check.h"
#include "mem.h"

#include <stdlib.h>

enum {
    AROUND_MAX = 12, /* operations shown around a contradiction */
    VALUES_SHOWN_MAX = 6,
    TEXT_SHOWN_MAX = 60, /* bytes of a value; of a longer one its end, which is where appends differ */
};

/* One key's operations, by their starts. */
struct part {
    const struct history *h;
    struct slice key;
    struct task *tasks;
    size_t count;
    struct buf blanks;           /* what replaces the values that nobody saw */
    const struct task *landmark; /* who saw the longest value, of a key that only grows; NULL: of any other */
};

struct ref {
    const struct op *op;
    size_t number;
};

static int compare_refs(const void *a, const void *b) {
    const struct ref *x = a, *y = b;
    int c = slice_cmp(x->op->key, y->op->key);
    if (c != 0) return c;
    if (x->op->start != y->op->start) return x->op->start < y->op->start ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static struct ref *refs_by_key(const struct history *h) {
    size_t count = history_count(h);
    struct ref *refs = mem_alloc((count + 1) * sizeof *refs);
    for (size_t i = 0; i < count; i++) refs[i] = (struct ref){history_op(h, i), i};
    qsort(refs, count, sizeof *refs, compare_refs);
    return refs;
}

/* ------------------------------------------------------------------------------------------ what became of it */

static bool kind_writes_text(enum op_kind kind) {
    return kind == OP_SET || kind == OP_SETNX || kind == OP_GETSET || kind == OP_APPEND || kind == OP_RPUSH;
}

static bool kind_shows_text(enum op_kind kind) {
    return kind == OP_GET || kind == OP_GETSET || kind == OP_GETDEL || kind == OP_LPOP || kind == OP_LRANGE;
}

/* How a written value can be found again in what was read. */
enum trace {
    TRACE_NONE,  /* numbers, or texts that run into each other: not at all */
    TRACE_WHOLE, /* nothing but whole values is written */
    TRACE_ITEMS, /* nothing but items is added, each followed by a comma */
};

static bool is_item_append(const struct task *t) {
    return t->op->kind == OP_APPEND && t->arg.len > 1 &&
           memchr(t->arg.data, ',', t->arg.len) == t->arg.data + t->arg.len - 1;
}

static enum trace trace_of(const struct part *p) {
    bool whole = false, appends = false, pushes = false;
    for (size_t i = 0; i < p->count; i++) {
        const struct task *t = &p->tasks[i];
        if (t->op->kind == OP_INCRBY || (t->op->kind == OP_APPEND && !is_item_append(t))) return TRACE_NONE;
        appends |= t->op->kind == OP_APPEND;
        pushes |= t->op->kind == OP_RPUSH;
        whole |= t->op->kind == OP_SET || t->op->kind == OP_SETNX || t->op->kind == OP_GETSET;
    }
    if (appends + pushes + whole > 1) return TRACE_NONE;
    return appends || pushes ? TRACE_ITEMS : TRACE_WHOLE;
}

/* Whether `text`, which ends in a comma or is an item itself, has the item `part`. */
static bool has_item(struct slice text, struct slice part) {
    if (part.len != 0 && part.data[part.len - 1] == ',') part.len--;
    while (text.len != 0) {
        const char *comma = memchr(text.data, ',', text.len);
        struct slice item = slice_make(text.data, comma != NULL ? (size_t)(comma - text.data) : text.len);
        if (slice_eq(item, part)) return true;
        size_t taken = item.len + (comma != NULL);
        text = slice_make(text.data + taken, text.len - taken);
    }
    return false;
}

static bool is_only_writer(const struct part *p, size_t i) {
    for (size_t k = 0; k < p->count; k++) {
        const struct task *t = &p->tasks[k];
        if (k != i && kind_writes_text(t->op->kind) && slice_eq(t->op->arg, p->tasks[i].op->arg))
            return false;
    }
    return true;
}

/* An operation without an answer whose value was seen did take effect, before the first who saw it was done. One whose value
 * nobody saw is as good as any other of its kind, length and fate: its value becomes a blank that the search takes for the
 * same. Both only where the value can be told from others. */
static void settle_unknown(struct part *p, size_t i, enum trace trace) {
    struct task *t = &p->tasks[i];
    uint64_t seen_by = UINT64_MAX;
    for (size_t k = 0; k < p->count; k++) {
        const struct op *o = p->tasks[k].op;
        if (o->outcome != OP_ANSWERED || !kind_shows_text(o->kind) || o->result.is_nil) continue;
        bool is_seen = trace == TRACE_ITEMS ? has_item(o->result.text, t->op->arg)
                                            : trace == TRACE_WHOLE && slice_eq(o->result.text, t->op->arg);
        if (is_seen && o->end < seen_by) seen_by = o->end;
    }
    if (seen_by != UINT64_MAX && is_only_writer(p, i)) {
        t->end = seen_by > t->op->start ? seen_by : t->op->start;
    } else if (seen_by == UINT64_MAX && trace != TRACE_NONE) {
        while (p->blanks.len < t->arg.len) buf_add_byte(&p->blanks, 1);
        t->is_blank = true;
    }
}

static bool lengths_matter(const struct part *p) {
    for (size_t i = 0; i < p->count; i++) {
        if (p->tasks[i].kind == OP_APPEND || p->tasks[i].kind == OP_STRLEN) return true;
    }
    return false;
}

static void settle_all_unknown(struct part *p) {
    enum trace trace = trace_of(p);
    for (size_t i = 0; i < p->count; i++) {
        const struct op *o = p->tasks[i].op;
        if (o->outcome == OP_UNKNOWN && kind_writes_text(o->kind)) settle_unknown(p, i, trace);
    }
    bool keep_lengths = lengths_matter(p);
    for (size_t i = 0; i < p->count; i++) {
        struct task *t = &p->tasks[i];
        if (t->is_blank)
            t->arg = slice_make(p->blanks.data, keep_lengths || t->arg.len == 0 ? t->arg.len : 1);
    }
}

static bool is_pure_read(enum op_kind kind) {
    return kind == OP_GET || kind == OP_STRLEN || kind == OP_LRANGE;
}

/* Orders of appends are many, but whoever reads the key later tells which one it was. */
static void find_landmark(struct part *p) {
    const struct task *longest = NULL;
    for (size_t i = 0; i < p->count; i++) {
        const struct op *o = p->tasks[i].op;
        if (!is_pure_read(o->kind) && o->kind != OP_APPEND && o->kind != OP_RPUSH) return;
        if (o->outcome != OP_ANSWERED || !kind_shows_text(o->kind) || o->result.is_nil) continue;
        if (longest == NULL || longest->op->result.text.len < o->result.text.len) longest = &p->tasks[i];
    }
    p->landmark = longest;
}

static enum op_kind plainest_kind(const struct op *o) {
    if (o->outcome != OP_UNKNOWN) return o->kind;
    return o->kind == OP_GETSET ? OP_SET : o->kind == OP_GETDEL ? OP_DEL : o->kind;
}

/* What may have had an effect, or tells something. */
static void part_fill(struct part *p, const struct ref *refs, size_t count) {
    p->tasks = mem_alloc((count + 1) * sizeof *p->tasks);
    for (size_t i = 0; i < count; i++) {
        const struct op *o = refs[i].op;
        bool is_mute = o->outcome == OP_REFUSED || (o->outcome == OP_UNKNOWN && is_pure_read(o->kind));
        if (!is_mute)
            p->tasks[p->count++] = (struct task){o, refs[i].number, plainest_kind(o), false, o->arg, o->end};
    }
    settle_all_unknown(p);
    find_landmark(p);
}

/* ------------------------------------------------------------------------------------------------ explanations */

static void show_text(struct buf *out, struct result value) {
    if (value.is_nil) {
        buf_add_str(out, "nil");
        return;
    }
    struct slice text = value.text;
    buf_add_byte(out, '"');
    if (text.len > TEXT_SHOWN_MAX) {
        buf_printf(out, "(%zu bytes)...", text.len);
        text = slice_make(text.data + text.len - TEXT_SHOWN_MAX, TEXT_SHOWN_MAX);
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == 1) {
            buf_add_str(out, "*"); /* a value that nobody saw */
        } else if (c < ' ' || c > '~') {
            buf_printf(out, "\\x%02x", (unsigned char)c);
        } else {
            buf_add_byte(out, (uint8_t)c);
        }
    }
    buf_add_byte(out, '"');
}

static void show_op(struct buf *out, const struct op *op, size_t number, uint64_t zero) {
    buf_printf(out, "#%zu client %u [%llu, ", number, op->client, (unsigned long long)(op->start - zero));
    if (op->outcome == OP_UNKNOWN) {
        buf_add_str(out, "...");
    } else {
        buf_printf(out, "%llu", (unsigned long long)(op->end - zero));
    }
    buf_printf(out, "] %s %.*s", op_kind_name(op->kind), (int)op->key.len, op->key.data);
    if (op->arg.len != 0) {
        buf_add_byte(out, ' ');
        show_text(out, result_text(op->arg));
    }
    buf_add_str(out, " -> ");
    if (op->outcome == OP_UNKNOWN) {
        buf_add_byte(out, '?');
    } else if (op->outcome == OP_REFUSED) {
        buf_printf(out, "refused (%.*s)", (int)op->result.text.len, op->result.text.data);
    } else {
        show_text(out, op->result);
    }
    buf_add_byte(out, '\n');
}

/* Who wrote what the culprit saw, also among those who were told that they did not. */
static void show_origin(struct buf *out, const struct op *culprit, const struct ref *refs, size_t count,
                        uint64_t zero) {
    if (!kind_shows_text(culprit->kind) || culprit->outcome != OP_ANSWERED || culprit->result.is_nil) return;
    if (culprit->kind == OP_LRANGE) return;
    bool is_written = false, is_added = false;
    for (size_t i = 0; i < count; i++) {
        const struct op *o = refs[i].op;
        is_added |= o->kind == OP_INCRBY || o->kind == OP_APPEND || o->kind == OP_RPUSH;
        if (!kind_writes_text(o->kind) || !slice_eq(o->arg, culprit->result.text)) continue;
        buf_add_str(out, "What it saw was written by\n  ");
        show_op(out, o, refs[i].number, zero);
        is_written = true;
    }
    if (!is_written && !is_added) buf_add_str(out, "What it saw was never written to this key.\n");
}

static void show_values(struct buf *out, const struct part *p, const struct finding *f, uint64_t zero) {
    const struct task *culprit = &p->tasks[f->culprit];
    struct move m = {0};
    buf_add_str(out, "Whatever else took effect before it ended, the key could hold only\n");
    for (size_t i = 0; i < f->value_count && i < VALUES_SHOWN_MAX; i++) {
        const struct possibility *v = &f->values[i];
        buf_add_str(out, "  ");
        show_text(out, v->value);
        model_apply(culprit->op->kind, culprit->arg, v->value, &m);
        buf_add_str(out, ", and the answer would be ");
        if (m.is_possible) {
            show_text(out, m.reply_is_nil ? result_nil() : result_text(buf_slice(&m.reply)));
        } else {
            buf_add_str(out, "an error");
        }
        if (v->maker != SIZE_MAX) {
            buf_add_str(out, "; made so by\n    ");
            show_op(out, p->tasks[v->maker].op, p->tasks[v->maker].number, zero);
        } else {
            buf_add_byte(out, '\n');
        }
    }
    if (f->value_count > VALUES_SHOWN_MAX) {
        buf_printf(out, "  and %zu other values\n", f->value_count - VALUES_SHOWN_MAX);
    }
    move_free(&m);
}

/* The last operations that started before the culprit ended. */
static void show_around(struct buf *out, const struct op *culprit, uint64_t end, const struct ref *refs,
                        size_t count, uint64_t zero) {
    size_t past = 0, shown = 0;
    while (past < count && refs[past].op->start <= end) past++;
    size_t from = past;
    while (from > 0 && shown < AROUND_MAX) {
        from--;
        shown++;
    }
    buf_add_str(out, "Around it on this key:\n");
    for (size_t i = from; i < past; i++) {
        buf_add_str(out, refs[i].op == culprit ? "> " : "  ");
        show_op(out, refs[i].op, refs[i].number, zero);
    }
}

static void explain(struct buf *out, const struct part *p, const struct finding *f, const struct ref *refs,
                    size_t count, uint64_t zero) {
    const struct task *t = &p->tasks[f->culprit];
    buf_printf(out, "NOT LINEARIZABLE: key %.*s, at %llu (times count from %llu)\n", (int)p->key.len,
               p->key.data, (unsigned long long)(t->end - zero), (unsigned long long)zero);
    if (t->op->outcome == OP_UNKNOWN)
        buf_add_str(out, "Its value was seen, so it took effect by then; yet it cannot have:\n");
    buf_add_str(out, "  ");
    show_op(out, t->op, t->number, zero);
    show_origin(out, t->op, refs, count, zero);
    if (p->landmark != NULL) {
        buf_add_str(out, "The key only grew, and the longest that anybody saw of it is\n  ");
        show_op(out, p->landmark->op, p->landmark->number, zero);
    }
    show_values(out, p, f, zero);
    show_around(out, t->op, t->end, refs, count, zero);
}

/* ------------------------------------------------------------------------------------------------- the verdict */

static enum history_verdict check_key(const struct history *h, const struct ref *refs, size_t count,
                                      uint64_t zero, struct buf *why) {
    struct part p = {.h = h, .key = refs[0].op->key};
    part_fill(&p, refs, count);
    struct search *s =
        search_new(p.tasks, p.count, p.landmark != NULL ? p.landmark->op->result : result_nil());
    struct finding f = search_run(s);
    if (f.verdict == HISTORY_NOT_LINEARIZABLE && why != NULL) explain(why, &p, &f, refs, count, zero);
    if (f.verdict == HISTORY_UNDECIDED && why != NULL) {
        buf_printf(why, "UNDECIDED: key %.*s: too much at the same time, at ", (int)p.key.len, p.key.data);
        show_op(why, p.tasks[f.culprit].op, p.tasks[f.culprit].number, zero);
    }
    search_free(s);
    mem_free(p.tasks);
    buf_free(&p.blanks);
    return f.verdict;
}

enum history_verdict history_check(const struct history *h, struct buf *why) {
    size_t count = history_count(h);
    struct ref *refs = refs_by_key(h);
    enum history_verdict verdict = HISTORY_LINEARIZABLE;
    uint64_t zero = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if (refs[i].op->start < zero) zero = refs[i].op->start;
    }
    for (size_t from = 0, to; from < count && verdict != HISTORY_NOT_LINEARIZABLE; from = to) {
        for (to = from + 1; to < count && slice_eq(refs[to].op->key, refs[from].op->key);) to++;
        enum history_verdict one = check_key(h, refs + from, to - from, zero, why);
        if (one != HISTORY_LINEARIZABLE) verdict = one;
    }
    mem_free(refs);
    return verdict;
}
