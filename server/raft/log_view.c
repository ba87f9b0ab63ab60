/* The log as the core sees it: the term and the size of each entry after the mark, which prefix is on disk,
 * and the configurations in it. No payload, no disk: those are the shell's. */
#include "raft_internal.h"

#include "mem.h"

#include <string.h>

enum { SIZES_CAP_MIN = 64 };

static void run_add(struct log_view *l, uint64_t first_index, uint64_t term) {
    if (l->run_count > 0) {
        CHECK(term >= l->runs[l->run_count - 1].term);
        if (l->runs[l->run_count - 1].term == term) return;
    }
    if (l->run_count == l->run_cap) {
        l->run_cap = l->run_cap ? l->run_cap * 2 : 8;
        l->runs = mem_realloc(l->runs, l->run_cap * sizeof *l->runs);
    }
    l->runs[l->run_count++] = (struct term_run){first_index, term};
}

static void config_add(struct log_view *l, uint64_t index, const struct raft_members *members) {
    if (l->config_count == l->config_cap) {
        l->config_cap = l->config_cap ? l->config_cap * 2 : 4;
        l->configs = mem_realloc(l->configs, l->config_cap * sizeof *l->configs);
    }
    l->configs[l->config_count++] = (struct log_config){index, *members};
}

void log_init(struct log_view *l, uint64_t mark_index, uint64_t mark_term, const struct raft_members *members,
              uint64_t members_index) {
    *l = (struct log_view){.mark_index = mark_index, .last_index = mark_index, .stored_index = mark_index};
    l->sizes_cap = SIZES_CAP_MIN;
    l->sizes = mem_calloc(l->sizes_cap, sizeof *l->sizes);
    run_add(l, mark_index, mark_term);
    config_add(l, members_index, members);
}

void log_free(struct log_view *l) {
    mem_free(l->runs);
    mem_free(l->sizes);
    mem_free(l->configs);
}

/* The run that holds an index of [mark, last]. */
static size_t run_of(const struct log_view *l, uint64_t index) {
    size_t low = 0, high = l->run_count;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (l->runs[mid].first_index <= index)
            low = mid;
        else
            high = mid;
    }
    return low;
}

uint64_t log_term_at(const struct log_view *l, uint64_t index) {
    if (index < l->mark_index || index > l->last_index) return 0;
    if (index == l->last_index) return l->runs[l->run_count - 1].term;
    return l->runs[run_of(l, index)].term;
}

bool log_has(const struct log_view *l, uint64_t index, uint64_t term) {
    return index >= l->mark_index && index <= l->last_index && log_term_at(l, index) == term;
}

/* The highest index up to the given one whose term is not above the given one: nothing in between can be
 * equal in a log that has this term there. One below the mark when there is none. */
uint64_t log_find_by_term(const struct log_view *l, uint64_t index, uint64_t term) {
    index = min_u64(index, l->last_index);
    if (index < l->mark_index) return index;
    size_t run = run_of(l, index);
    while (l->runs[run].term > term) {
        CHECK(l->runs[run].first_index > 0);
        index = l->runs[run].first_index - 1;
        if (run-- == 0) break;
    }
    return index;
}

size_t log_size_at(const struct log_view *l, uint64_t index) {
    CHECK(index > l->mark_index);
    CHECK(index <= l->last_index);
    return l->sizes[index & (l->sizes_cap - 1)];
}

static void sizes_resize(struct log_view *l, size_t cap) {
    size_t *sizes = mem_calloc(cap, sizeof *sizes);
    for (uint64_t i = l->mark_index + 1; i <= l->last_index; i++)
        sizes[i & (cap - 1)] = l->sizes[i & (l->sizes_cap - 1)];
    mem_free(l->sizes);
    l->sizes = sizes;
    l->sizes_cap = cap;
}

void log_append(struct log_view *l, const struct raft_entry *entry) {
    CHECK(entry->index == l->last_index + 1);
    CHECK(entry->term > 0);
    CHECK((entry->kind == RAFT_ENTRY_MEMBERS) == (entry->members != NULL));
    run_add(l, entry->index, entry->term);
    if (l->last_index - l->mark_index == l->sizes_cap) sizes_resize(l, l->sizes_cap * 2);
    l->last_index = entry->index;
    l->sizes[entry->index & (l->sizes_cap - 1)] = entry->size;
    if (entry->members != NULL && entry->index > log_newest_config(l)->index)
        config_add(l, entry->index, entry->members);
}

/* Drops this entry and all behind it; a configuration among them was never in force. */
void log_truncate(struct log_view *l, uint64_t first_index) {
    CHECK(first_index > l->mark_index);
    CHECK(first_index <= l->last_index);
    l->last_index = first_index - 1;
    l->stored_index = min_u64(l->stored_index, l->last_index);
    while (l->runs[l->run_count - 1].first_index > l->last_index) l->run_count--;
    while (log_newest_config(l)->index > l->last_index && !MUTANT(34)) {
        CHECK(l->config_count > 1);
        l->config_count--;
    }
}

void log_cut(struct log_view *l, uint64_t index) {
    CHECK(index >= l->mark_index);
    CHECK(index <= l->stored_index);
    size_t drop = 0; /* runs that end at or before the mark */
    while (drop + 1 < l->run_count && l->runs[drop + 1].first_index <= index) drop++;
    memmove(l->runs, l->runs + drop, (l->run_count - drop) * sizeof *l->runs);
    l->run_count -= drop;
    l->runs[0].first_index = index;
    drop = 0; /* configurations that another one at or before the mark has replaced */
    while (drop + 1 < l->config_count && l->configs[drop + 1].index <= index) drop++;
    memmove(l->configs, l->configs + drop, (l->config_count - drop) * sizeof *l->configs);
    l->config_count -= drop;
    l->mark_index = index;
    size_t count = l->last_index - l->mark_index;
    if (l->sizes_cap > 4096 && count < l->sizes_cap / 8) sizes_resize(l, l->sizes_cap / 4);
}

/* The log after a snapshot: nothing behind the mark, all of it on disk. */
void log_reset(struct log_view *l, uint64_t index, uint64_t term, const struct raft_members *members,
               uint64_t members_index) {
    l->mark_index = l->last_index = l->stored_index = index;
    l->run_count = 0;
    run_add(l, index, term);
    l->config_count = 0;
    config_add(l, members_index, members);
}

const struct log_config *log_newest_config(const struct log_view *l) {
    CHECK(l->config_count > 0);
    return &l->configs[l->config_count - 1];
}

/* The configuration in force at an index that is not below the mark. */
const struct log_config *log_config_at(const struct log_view *l, uint64_t index) {
    size_t at = l->config_count - 1;
    while (at > 0 && l->configs[at].index > index) at--;
    return &l->configs[at];
}
