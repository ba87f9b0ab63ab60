/* Just-in-time linearization (after Wing and Gong, and Lowe): walks through time and keeps every way in which the world can
 * be, as configurations
 *
 *     (the key's value, which of the running operations have taken effect, how many of the lost ones)
 *
 * An operation is made to take effect only when one has to: at the end of x, each configuration in which x has not is
 * replaced by all that come of letting running operations take effect in any order, up to and with x. No configuration
 * left means no order exists, and x's end is the earliest instant at which that is certain. Equal configurations are kept
 * once, so the work grows with what runs at a time, not with the length of the history.
 *
 * Two things keep it small. An operation that changes nothing takes effect as soon as its answer is right: later would be no
 * better. Operations that may never take effect and do the same thing to the key are interchangeable: they are a class, of
 * which only the number of those that have taken effect is kept; and of two configurations that differ in such numbers only, one
 * that has used fewer of every class can do whatever the other can. */
#include "search.h"

#include "check.h"
#include "hash.h"
#include "mem.h"

#include <stdlib.h>

enum {
    CONFIGS_MAX = 1 << 19, /* of one instant; more: UNDECIDED */
    NONE = -1
};

/* A configuration: header, mask words, used counts. The maker tells the reader of an explanation who wrote the value; it does
 * not tell configurations apart. */
struct config {
    uint32_t value; /* a number in `values` */
    uint32_t maker; /* task + 1 */
    uint32_t next;  /* item + 1: others in the set with the same value and mask */
    bool is_dead;   /* another one in the set can do all that this one can */
    uint64_t words[];
};

struct config_set {
    char *items;
    size_t count, cap;
    uint32_t *table; /* the first item + 1 of a value and mask; open addressing */
    size_t table_cap;
};

struct slot {
    bool used;
    uint32_t task;
    int after; /* the slot whose operation must take effect first, or NONE */
};

struct class {
    uint32_t first;  /* a task: what all of them do */
    uint32_t *tasks; /* in order of their starts */
    size_t count, started;
};

struct search {
    const struct task *tasks;
    size_t task_count;
    struct result landmark;
    uint32_t *class_of; /* class + 1 of a task that may never take effect; 0: it runs in a slot */
    struct class *classes;
    size_t class_count;
    struct slot *slots;
    size_t slot_count, mask_words, config_size;
    struct result *values; /* interned; 0 is nil */
    size_t value_count, value_cap;
    uint32_t *value_table;
    size_t value_table_cap;
    struct config_set seen, next;
    struct config *scratch;
    struct move move;
    struct possibility *found;
};

/* ----------------------------------------------------------------------------------------------------- values */

static size_t value_place(const struct search *s, struct result v) {
    size_t mask = s->value_table_cap - 1, at = (size_t)hash64(v.text) & mask;
    for (;; at = (at + 1) & mask) {
        uint32_t id = s->value_table[at];
        if (id == 0 || slice_eq(s->values[id].text, v.text)) return at;
    }
}

static uint32_t value_intern(struct search *s, struct slice text) {
    size_t at = value_place(s, result_text(text));
    if (s->value_table[at] != 0) return s->value_table[at];
    if (s->value_count == s->value_cap) {
        s->value_cap *= 2;
        s->values = mem_realloc(s->values, s->value_cap * sizeof *s->values);
        mem_free(s->value_table);
        s->value_table_cap = s->value_cap * 2;
        s->value_table = mem_calloc(s->value_table_cap, sizeof *s->value_table);
        for (uint32_t id = 1; id < s->value_count; id++) s->value_table[value_place(s, s->values[id])] = id;
        at = value_place(s, result_text(text));
    }
    char *copy = mem_alloc(text.len + 1);
    if (text.len != 0) memcpy(copy, text.data, text.len);
    s->values[s->value_count] = result_text(slice_make(copy, text.len));
    s->value_table[at] = (uint32_t)s->value_count;
    return (uint32_t)s->value_count++;
}

/* -------------------------------------------------------------------------------------------- configurations */

static uint16_t *config_used(const struct search *s, struct config *c) {
    return (uint16_t *)(void *)(c->words + s->mask_words);
}
static bool config_has(const struct config *c, size_t slot) {
    return (c->words[slot / 64] >> (slot % 64) & 1) != 0;
}
static void config_mark(struct config *c, size_t slot) {
    c->words[slot / 64] |= UINT64_C(1) << (slot % 64);
}
static void config_unmark(struct config *c, size_t slot) {
    c->words[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

static struct config *set_at(const struct search *s, const struct config_set *set, size_t i) {
    return (struct config *)(void *)(set->items + i * s->config_size);
}

static bool config_eq(const struct search *s, const struct config *a, const struct config *b) {
    return a->value == b->value && memcmp(a->words, b->words, s->mask_words * sizeof *a->words) == 0;
}

/* With the same value and mask, who has used up no more of any class has every future that the other has. */
static bool config_covers(const struct search *s, struct config *a, struct config *b) {
    const uint16_t *x = config_used(s, a), *y = config_used(s, b);
    for (size_t k = 0; k < s->class_count; k++) {
        if (x[k] > y[k]) return false;
    }
    return true;
}

static size_t set_place(const struct search *s, const struct config_set *set, const struct config *c) {
    struct slice words = slice_make((const char *)c->words, s->mask_words * sizeof *c->words);
    size_t mask = set->table_cap - 1, at = (size_t)hash64_seeded(c->value, words) & mask;
    for (;; at = (at + 1) & mask) {
        if (set->table[at] == 0 || config_eq(s, set_at(s, set, set->table[at] - 1), c)) return at;
    }
}

static void set_chain(const struct search *s, struct config_set *set, size_t i) {
    struct config *c = set_at(s, set, i);
    size_t at = set_place(s, set, c);
    c->next = set->table[at];
    set->table[at] = (uint32_t)i + 1;
}

static void set_resize(const struct search *s, struct config_set *set, size_t cap) {
    set->cap = cap;
    set->items = mem_realloc(set->items, cap * s->config_size);
    mem_free(set->table);
    set->table_cap = cap * 2;
    set->table = mem_calloc(set->table_cap, sizeof *set->table);
    for (size_t i = 0; i < set->count; i++) {
        if (!set_at(s, set, i)->is_dead) set_chain(s, set, i);
    }
}

static void set_clear(const struct search *s, struct config_set *set) {
    bool was_small = set->count < set->cap / 16;
    set->count = 0;
    if (set->cap > 16 && was_small) {
        set_resize(s, set, set->cap / 2);
    } else {
        memset(set->table, 0, set->table_cap * sizeof *set->table);
    }
}

/* `c` does not stand in this set: adding moves the items. Those that it covers leave their chain, not the set. */
static void set_add(const struct search *s, struct config_set *set, struct config *c) {
    uint32_t *link = &set->table[set_place(s, set, c)];
    while (*link != 0) {
        struct config *other = set_at(s, set, *link - 1);
        if (config_covers(s, other, c)) return;
        if (config_covers(s, c, other)) {
            other->is_dead = true;
            *link = other->next;
        } else {
            link = &other->next;
        }
    }
    if (set->count == set->cap) set_resize(s, set, set->cap * 2);
    memcpy(set_at(s, set, set->count), c, s->config_size);
    set_at(s, set, set->count)->is_dead = false;
    set_chain(s, set, set->count++);
}

static void set_free(struct config_set *set) {
    mem_free(set->items);
    mem_free(set->table);
}

/* --------------------------------------------------------------------------------------------- taking effect */

/* Applies a task to a value; false when its answer says that it was not there. */
static bool task_fits(struct search *s, const struct task *t, uint32_t value) {
    model_apply(t->kind, t->arg, s->values[value], &s->move);
    if (t->op->outcome == OP_ANSWERED) return model_reply_is(&s->move, t->op->result);
    return true;
}

static uint32_t value_after(struct search *s, uint32_t value) {
    if (!s->move.is_possible || !s->move.changes) return value;
    return s->move.next_is_nil ? 0 : value_intern(s, buf_slice(&s->move.next));
}

static bool slot_may_go(const struct search *s, const struct config *c, size_t i) {
    const struct slot *slot = &s->slots[i];
    if (!slot->used || config_has(c, i)) return false;
    return slot->after == NONE || config_has(c, (size_t)slot->after);
}

/* Lets everything take effect that changes nothing and whose answer is right now. */
static void config_settle(struct search *s, struct config *c) {
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < s->slot_count; i++) {
            if (!slot_may_go(s, c, i)) continue;
            const struct task *t = &s->tasks[s->slots[i].task];
            if (!model_never_changes(t->op) || !task_fits(s, t, c->value)) continue;
            config_mark(c, i);
            again = true;
        }
    }
}

static bool passes_landmark(const struct search *s, uint32_t value) {
    struct slice text = s->values[value].text, mark = s->landmark.text;
    if (s->landmark.is_nil || value == 0) return true;
    return memcmp(text.data, mark.data, text.len < mark.len ? text.len : mark.len) == 0;
}

static void add_successor(struct search *s, uint32_t task, uint32_t after) {
    if (!passes_landmark(s, after)) return;
    if (after != s->scratch->value) s->scratch->maker = task + 1;
    s->scratch->value = after;
    config_settle(s, s->scratch);
    set_add(s, &s->seen, s->scratch);
}

/* All configurations one step from the ith of those seen are seen, too. */
static void expand(struct search *s, size_t i) {
    for (size_t k = 0; k < s->slot_count; k++) {
        const struct config *c = set_at(s, &s->seen, i);
        uint32_t task = s->slots[k].task;
        if (!slot_may_go(s, c, k) || !task_fits(s, &s->tasks[task], c->value)) continue;
        memcpy(s->scratch, c, s->config_size);
        config_mark(s->scratch, k);
        add_successor(s, task, value_after(s, c->value));
    }
    for (size_t k = 0; k < s->class_count; k++) {
        struct config *c = set_at(s, &s->seen, i);
        const struct class *class = &s->classes[k];
        uint16_t used = config_used(s, c)[k];
        if (used == class->started) continue;
        task_fits(s, &s->tasks[class->first], c->value);
        uint32_t after = value_after(s, c->value);
        if (after == c->value) continue; /* one that would change nothing here is better kept for later */
        memcpy(s->scratch, c, s->config_size);
        config_used(s, s->scratch)[k]++;
        add_successor(s, class->tasks[used], after);
    }
}

/* ----------------------------------------------------------------------------------------------------- events */

static void start_task(struct search *s, uint32_t task) {
    if (s->class_of[task] != 0) {
        s->classes[s->class_of[task] - 1].started++;
        return;
    }
    const struct op *op = s->tasks[task].op;
    int after = NONE, free_slot = NONE;
    for (size_t i = 0; i < s->slot_count; i++) {
        const struct slot *slot = &s->slots[i];
        if (!slot->used) {
            if (free_slot == NONE) free_slot = (int)i;
            continue;
        }
        const struct op *other = s->tasks[slot->task].op;
        bool is_before =
            op->outcome == OP_ANSWERED && other->outcome == OP_ANSWERED && other->client == op->client;
        if (is_before && (after == NONE || s->slots[after].task < slot->task)) after = (int)i;
    }
    CHECK(free_slot != NONE);
    s->slots[free_slot] = (struct slot){.used = true, .task = task, .after = after};
}

/* False when no configuration survives; then `seen` holds all that were possible just before. */
static bool end_task(struct search *s, size_t slot) {
    set_clear(s, &s->seen);
    for (size_t i = 0; i < s->next.count; i++) {
        if (set_at(s, &s->next, i)->is_dead) continue;
        memcpy(s->scratch, set_at(s, &s->next, i), s->config_size);
        config_settle(s, s->scratch);
        set_add(s, &s->seen, s->scratch);
    }
    set_clear(s, &s->next);
    for (size_t i = 0; i < s->seen.count && s->seen.count <= CONFIGS_MAX; i++) {
        const struct config *c = set_at(s, &s->seen, i);
        if (c->is_dead) continue;
        if (!config_has(c, slot)) {
            expand(s, i);
            continue;
        }
        memcpy(s->scratch, c, s->config_size);
        config_unmark(s->scratch, slot);
        set_add(s, &s->next, s->scratch);
    }
    s->slots[slot].used = false;
    for (size_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i].after == (int)slot) s->slots[i].after = NONE;
    }
    return s->next.count != 0;
}

static size_t slot_of(const struct search *s, uint32_t task) {
    for (size_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i].used && s->slots[i].task == task) return i;
    }
    CHECK(false);
    return 0;
}

static void list_values(struct search *s, struct finding *f) {
    bool *listed = mem_calloc(s->value_count, sizeof *listed);
    s->found = mem_alloc(s->value_count * sizeof *s->found);
    f->values = s->found;
    for (size_t i = 0; i < s->seen.count; i++) {
        const struct config *c = set_at(s, &s->seen, i);
        if (listed[c->value]) continue;
        listed[c->value] = true;
        s->found[f->value_count++] =
            (struct possibility){s->values[c->value], c->maker == 0 ? SIZE_MAX : c->maker - 1};
    }
    mem_free(listed);
}

struct by_end {
    uint64_t end;
    uint32_t task;
};

static int compare_ends(const void *a, const void *b) {
    const struct by_end *x = a, *y = b;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return x->task < y->task ? -1 : x->task > y->task;
}

/* The tasks that must take effect, by their ends. */
static struct by_end *tasks_by_end(const struct search *s, size_t *count) {
    struct by_end *ends = mem_alloc((s->task_count + 1) * sizeof *ends);
    *count = 0;
    for (uint32_t t = 0; t < s->task_count; t++) {
        if (s->tasks[t].end != UINT64_MAX) ends[(*count)++] = (struct by_end){s->tasks[t].end, t};
    }
    qsort(ends, *count, sizeof *ends, compare_ends);
    return ends;
}

struct finding search_run(struct search *s) {
    struct finding f = {.verdict = HISTORY_LINEARIZABLE};
    size_t end_count, started = 0;
    struct by_end *ends = tasks_by_end(s, &end_count);
    for (size_t e = 0; e < end_count && f.verdict == HISTORY_LINEARIZABLE; e++) {
        /* What starts at the instant at which another ends may still be before it. */
        while (started < s->task_count && s->tasks[started].op->start <= ends[e].end)
            start_task(s, (uint32_t)started++);
        bool survives = end_task(s, slot_of(s, ends[e].task));
        if (s->seen.count > CONFIGS_MAX) {
            f.verdict = HISTORY_UNDECIDED;
        } else if (!survives) {
            f.verdict = HISTORY_NOT_LINEARIZABLE;
        }
        f.culprit = ends[e].task;
    }
    if (f.verdict == HISTORY_NOT_LINEARIZABLE) list_values(s, &f);
    mem_free(ends);
    return f;
}

/* ---------------------------------------------------------------------------------------------- making ready */

static void find_classes(struct search *s) {
    s->class_of = mem_calloc(s->task_count + 1, sizeof *s->class_of);
    for (uint32_t t = 0; t < s->task_count; t++) {
        const struct task *task = &s->tasks[t];
        if (task->end != UINT64_MAX) continue;
        size_t k = 0;
        for (; k < s->class_count; k++) {
            const struct task *first = &s->tasks[s->classes[k].first];
            if (first->kind == task->kind && slice_eq(first->arg, task->arg)) break;
        }
        if (k == s->class_count) {
            s->classes = mem_realloc(s->classes, (k + 1) * sizeof *s->classes);
            s->classes[s->class_count++] = (struct class){.first = t};
        }
        struct class *class = &s->classes[k];
        CHECK(class->count < UINT16_MAX);
        class->tasks = mem_realloc(class->tasks, (class->count + 1) * sizeof *class->tasks);
        class->tasks[class->count++] = t;
        s->class_of[t] = (uint32_t)k + 1;
    }
}

/* How many tasks run in slots at the same time, at most. */
static size_t slots_needed(const struct search *s) {
    size_t end_count, most = 0, running = 0, started = 0;
    struct by_end *ends = tasks_by_end(s, &end_count);
    for (size_t e = 0; e < end_count; e++, running--) {
        for (; started < s->task_count && s->tasks[started].op->start <= ends[e].end; started++) {
            running += s->class_of[started] == 0;
        }
        if (running > most) most = running;
    }
    mem_free(ends);
    return most;
}

struct search *search_new(const struct task *tasks, size_t count, struct result landmark) {
    struct search *s = mem_calloc(1, sizeof *s);
    CHECK(count < UINT32_MAX);
    s->tasks = tasks;
    s->task_count = count;
    s->landmark = landmark;
    find_classes(s);
    s->slot_count = slots_needed(s);
    s->slots = mem_calloc(s->slot_count + 1, sizeof *s->slots);
    s->mask_words = (s->slot_count + 63) / 64;
    size_t used_words = (s->class_count * sizeof(uint16_t) + 7) / 8;
    s->config_size = sizeof(struct config) + (s->mask_words + used_words) * sizeof(uint64_t);
    s->value_cap = 64;
    s->value_count = 1;
    s->values = mem_alloc(s->value_cap * sizeof *s->values);
    s->values[0] = result_nil();
    s->value_table_cap = s->value_cap * 2;
    s->value_table = mem_calloc(s->value_table_cap, sizeof *s->value_table);
    set_resize(s, &s->seen, 16);
    set_resize(s, &s->next, 16);
    s->scratch = mem_calloc(1, s->config_size);
    set_add(s, &s->next, s->scratch); /* nil, and nothing has happened */
    return s;
}

void search_free(struct search *s) {
    for (size_t i = 1; i < s->value_count; i++) mem_free((void *)(uintptr_t)s->values[i].text.data);
    for (size_t k = 0; k < s->class_count; k++) mem_free(s->classes[k].tasks);
    mem_free(s->class_of);
    mem_free(s->classes);
    mem_free(s->slots);
    mem_free(s->values);
    mem_free(s->value_table);
    set_free(&s->seen);
    set_free(&s->next);
    mem_free(s->scratch);
    move_free(&s->move);
    mem_free(s->found);
    mem_free(s);
}
