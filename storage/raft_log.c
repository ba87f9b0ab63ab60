/* The Raft log: what its files hold, in memory, for writing and reading (log_record.h: what a batch looks like, log_files.h:
 * where it goes, log_scan.h: what is found again, log_floor.h: what must be found). Formats and the table of what is
 * detected: storage/README.md. Promises: a batch is all there or not at all; what raft_log_write answered RC_OK for is found
 * again by raft_log_open, or raft_log_open refuses. Group commit and threads are log_writer.c's. */
#include "raft_log.h"

#include "log_floor.h"
#include "log_scan.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where an entry is. */
struct place {
    uint64_t term;
    uint64_t at; /* of its payload */
    uint64_t len;
    uint32_t
        segment; /* number, less that of the first segment when the log was opened: they are used up one in 16 MB */
    uint32_t crc;
    uint8_t kind;
};

/* The entries behind the mark, in order: entry i at items[i - first]. */
struct places {
    struct place *items;
    uint64_t first; /* index of items[0] */
    size_t count, cap;
};

/* Of a reader, while it reads: was any of its entries replaced or dropped by the writer, other than behind the mark? */
struct reading {
    uint64_t to;
    bool was_replaced;
    struct reading *next;
};

/* The writer thread owns everything but what `mutex` guards, which others read and it alone changes. */
struct raft_log {
    struct log_files files;
    struct log_floor floor;
    int folder_fd;           /* locked: nobody else writes here */
    struct log_state now;    /* with cuts that no batch has written yet */
    struct log_state synced; /* as the last batch said */
    uint64_t bytes;
    uint64_t segment_base;

    pthread_mutex_t mutex;
    struct places places; /* of durable entries behind now.mark */
    struct reading *readings;
};

static enum rc fail(struct kv_error *error, enum rc rc, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return rc;
}

/* ---- places ---- */

static struct place *place_of(const struct places *p, uint64_t index) {
    return index >= p->first && index - p->first < p->count ? &p->items[index - p->first] : NULL;
}

static void places_end_at(struct places *p, uint64_t last) {
    if (last < p->first)
        p->count = 0;
    else if (last - p->first + 1 < p->count)
        p->count = last - p->first + 1;
}

static void places_begin_at(struct places *p, uint64_t first) {
    enum { KEEP = 1024 };
    if (first <= p->first) return;
    uint64_t gone = first - p->first;
    if (gone >= p->count) {
        p->count = 0;
    } else {
        p->count -= gone;
        memmove(p->items, p->items + gone, p->count * sizeof *p->items);
    }
    p->first = first;
    if (p->cap > KEEP && p->count < p->cap / 4) {
        p->cap /= 2;
        p->items = mem_realloc(p->items, p->cap * sizeof *p->items);
    }
}

static void places_add(struct places *p, struct place place) {
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 256;
        p->items = mem_realloc(p->items, p->cap * sizeof *p->items);
    }
    p->items[p->count++] = place;
}

/* The log is now what this batch says: its entries replace those at and after the first, and what its mark has passed is
 * no longer there. `at`: of its head; `rows`: of its entries. */
static void follow(struct raft_log *log, const struct log_head *head, struct slice head_and_rows,
                   uint64_t segment, uint64_t at) {
    struct places *p = &log->places;
    const struct log_state *s = &head->state;
    uint64_t last_before = p->first + p->count - 1;
    if (s->mark.index >= last_before)
        places_begin_at(p, s->mark.index + 1); /* perhaps beyond the end: a snapshot from elsewhere */
    if (head->entry_count > 0) places_end_at(p, head->first_index - 1);
    if (head->entry_count > 0 && p->count == 0) p->first = head->first_index;
    at += head_and_rows.len;
    for (uint32_t i = 0; i < head->entry_count; i++) {
        struct log_row row = log_record_row(head_and_rows, i);
        places_add(p, (struct place){.term = row.term,
                                     .at = at,
                                     .len = row.len,
                                     .segment = (uint32_t)(segment - log->segment_base),
                                     .crc = row.crc,
                                     .kind = row.kind});
        at += row.len;
    }
    places_end_at(p, s->last_index);
    places_begin_at(p, s->mark.index + 1);
}

static bool term_at(const struct raft_log *log, uint64_t index, uint64_t *term) {
    const struct place *place = place_of(&log->places, index);
    if (index == log->now.mark.index)
        *term = log->now.mark.term;
    else if (place != NULL)
        *term = place->term;
    else
        return false;
    return true;
}

/* ---- opening ---- */

static enum rc lock_folder(struct raft_log *log, const char *path, struct kv_error *error) {
    if (mkdir(path, 0755) != 0 && errno != EEXIST) return folder_error(error, "create", path);
    log->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->folder_fd < 0) return folder_error(error, "open", path);
    if (flock(log->folder_fd, LOCK_EX | LOCK_NB) == 0) return RC_OK;
    if (errno != EWOULDBLOCK) return folder_error(error, "lock", path);
    return fail(error, RC_BUSY, "%s is in use by another process", path);
}

/* Makes the floor of a new log. */
static enum rc find_floor(struct raft_log *log, const char *path, struct log_floor_mark *mark,
                          struct kv_error *error) {
    if (faccessat(log->folder_fd, "CURRENT", F_OK, 0) == 0)
        return fail(error, RC_CORRUPT, "%s: this log was written by an earlier version", path);
    enum rc rc = log_floor_open(&log->floor, path, mark, error);
    if (rc == RC_OK && mark->seq > 0 && log->files.count == 0)
        return fail(error, RC_CORRUPT, "%s: the log is gone, its floor file is not", path);
    if (rc != RC_NOT_FOUND) return rc;
    if (log->files.count > 0) return fail(error, RC_CORRUPT, "%s: the log's floor file is missing", path);
    return log_floor_create(&log->floor, path, error);
}

/* One batch more was found: it has to continue what there is. */
static enum rc replay(void *arg, const struct log_head *head, struct slice head_and_rows, uint64_t segment,
                      uint64_t at, struct kv_error *error) {
    struct raft_log *log = arg;
    const struct log_state *s = &head->state;
    bool is_first = log->now.seq == 0;
    uint64_t seq = s->seq, before = 0;
    if (is_first) {
        log->segment_base = segment;
        /* What is before it is in no file any more: check_ends sees whether it is missed. */
        log->places.first = head->entry_count > 0 ? head->first_index : s->last_index + 1;
    }
    if (s->last_index < s->mark.index || s->last_term < s->mark.term || s->hard_state.term < s->last_term ||
        s->hard_state.term < log->now.hard_state.term || s->mark.index < log->now.mark.index)
        return fail(error, RC_CORRUPT, "batch %llu of the Raft log contradicts itself",
                    (unsigned long long)seq);
    log->now.mark = s->mark;
    if (head->entry_count > 0 && !is_first) {
        uint64_t end = log->places.first + log->places.count;
        bool follows = head->first_index <= (end > s->mark.index + 1 ? end : s->mark.index + 1);
        if (!follows || (term_at(log, head->first_index - 1, &before) && before != head->prev_term))
            return fail(error, RC_CORRUPT, "batch %llu of the Raft log does not continue the one before",
                        (unsigned long long)seq);
    }
    before = head->prev_term;
    for (uint32_t i = 0; i < head->entry_count; i++) {
        uint64_t term = log_record_row(head_and_rows, i).term;
        if (term < before)
            return fail(error, RC_CORRUPT, "terms of batch %llu go down", (unsigned long long)seq);
        before = term;
    }
    follow(log, head, head_and_rows, segment, at);
    log->now = *s;
    return RC_OK;
}

/* The newest batch says where the log begins and ends. */
static enum rc check_ends(const struct raft_log *log, struct kv_error *error) {
    const struct log_state *s = &log->now;
    uint64_t term = 0;
    if (s->seq == 0) return RC_OK;
    if (log->places.first != s->mark.index + 1)
        return fail(error, RC_CORRUPT, "entry %llu of the Raft log is missing",
                    (unsigned long long)s->mark.index + 1);
    if (s->mark.index + log->places.count != s->last_index)
        return fail(error, RC_CORRUPT, "entry %llu of the Raft log is missing",
                    (unsigned long long)(s->mark.index + log->places.count + 1));
    if (!term_at(log, s->last_index, &term) || term != s->last_term)
        return fail(error, RC_CORRUPT, "the last entry is of term %llu, not %llu", (unsigned long long)term,
                    (unsigned long long)s->last_term);
    return RC_OK;
}

static enum rc check_against_floor(const struct log_state *s, const struct log_floor_mark *floor,
                                   struct kv_error *error) {
    if (s->seq < floor->seq)
        return fail(error, RC_CORRUPT,
                    "the log ends with batch %llu (entry %llu), but batch %llu (entry %llu) was on disk",
                    (unsigned long long)s->seq, (unsigned long long)s->last_index,
                    (unsigned long long)floor->seq, (unsigned long long)floor->last_index);
    if (s->seq == floor->seq && (s->last_index != floor->last_index || s->last_term != floor->last_term))
        return fail(error, RC_CORRUPT, "the log and its floor file are of different histories");
    return RC_OK;
}

static void log_free(struct raft_log *log) {
    log_floor_close(&log->floor);
    log_files_close(&log->files);
    if (log->folder_fd >= 0) close(log->folder_fd);
    CHECK(pthread_mutex_destroy(&log->mutex) == 0);
    mem_free(log->places.items);
    mem_free(log);
}

enum rc raft_log_open(const char *path, const struct raft_log_options *options, struct raft_log **out,
                      struct kv_error *error) {
    struct raft_log *log = mem_calloc(1, sizeof *log);
    log->folder_fd = log->floor.fd = -1;
    log->places.first = 1;
    CHECK(pthread_mutex_init(&log->mutex, NULL) == 0);
    struct log_floor_mark floor = {0};
    struct log_scan_result found;
    log_files_init(&log->files, path, options->segment_bytes);
    enum rc rc = lock_folder(log, path, error);
    if (rc == RC_OK) rc = log_files_open(&log->files, error);
    if (rc == RC_OK) rc = find_floor(log, path, &floor, error);
    if (rc == RC_OK) rc = log_scan(&log->files, log->floor.secret, replay, log, &found, error);
    if (rc == RC_OK) rc = check_ends(log, error);
    if (rc == RC_OK) rc = check_against_floor(&log->now, &floor, error);
    if (rc == RC_OK) rc = log_files_forget_behind(&log->files, found.segments, error);
    if (rc != RC_OK) {
        log_free(log);
        return rc;
    }
    log->synced = log->now;
    *out = log;
    return RC_OK;
}

void raft_log_close(struct raft_log *log) {
    if (log != NULL) log_free(log);
}

struct log_hard_state raft_log_hard_state(const struct raft_log *log) {
    return log->now.hard_state;
}
struct log_mark raft_log_mark(const struct raft_log *log) {
    return log->now.mark;
}
uint64_t raft_log_last_index(const struct raft_log *log) {
    return log->now.last_index;
}
uint64_t raft_log_last_term(const struct raft_log *log) {
    return log->now.last_term;
}
uint64_t raft_log_bytes(const struct raft_log *log) {
    return log->bytes;
}

/* ---- writing ---- */

static void set_hard_state(struct log_state *s, const struct log_hard_state *hard_state) {
    if (hard_state == NULL) return;
    CHECK(hard_state->term >= s->hard_state.term);
    s->hard_state = *hard_state;
}

/* What was stored from `first` on is no longer what they may have seen of it. */
static void tell_readers(struct raft_log *log, uint64_t first) {
    for (struct reading *r = log->readings; r != NULL; r = r->next)
        if (first <= r->to) r->was_replaced = true;
}

/* Writes the batch, syncs it, and lets readers see it. */
static enum rc write_batch(struct raft_log *log, const struct log_state *next, uint64_t prev_term,
                           const struct log_entry *entries, size_t count, struct kv_error *error) {
    uint64_t at;
    enum rc rc = log_files_write(&log->files, next, prev_term, entries, count, log->floor.secret, &at, error);
    /* Answer RC_OK only when the floor stands: it is what tells a lost batch from one never promised. */
    if (rc == RC_OK) rc = log_floor_write(&log->floor, next, error);
    if (rc != RC_OK) return rc;
    struct log_head head = {.state = *next, .entry_count = (uint32_t)count};
    if (count > 0) head.first_index = entries[0].index;
    const struct log_segment *segment = &log->files.items[log->files.count - 1];
    if (log->now.seq == 0) log->segment_base = segment->number;
    pthread_mutex_lock(&log->mutex);
    uint64_t first = count > 0 ? entries[0].index : next->last_index + 1;
    if (first <= log->now.last_index) tell_readers(log, first);
    follow(log, &head, buf_slice(&log->files.head), segment->number, at);
    log->now = log->synced = *next;
    pthread_mutex_unlock(&log->mutex);
    return RC_OK;
}

enum rc raft_log_write(struct raft_log *log, const struct log_batch *batch, struct kv_error *error) {
    struct log_state next = log->now;
    const struct log_entry *entries = batch->entries;
    size_t count = batch->entry_count;
    uint64_t bytes = 0, prev_term = 0;
    next.seq++;
    set_hard_state(&next, batch->hard_state);
    if (count > 0) {
        CHECK(entries[0].index > next.mark.index);
        CHECK(entries[0].index <= next.last_index + 1);
        CHECK(term_at(log, entries[0].index - 1, &prev_term));
        uint64_t term = prev_term;
        for (size_t i = 0; i < count; i++) {
            CHECK(i == 0 || entries[i].index == entries[i - 1].index + 1);
            CHECK(entries[i].term > 0 && entries[i].term >= term);
            term = entries[i].term;
            bytes += entries[i].payload.len;
        }
        next.last_index = entries[count - 1].index;
        next.last_term = term;
        CHECK(next.hard_state.term >= next.last_term);
    }
    enum rc rc = write_batch(log, &next, prev_term, entries, count, error);
    if (rc == RC_OK) log->bytes += bytes;
    return rc;
}

enum rc raft_log_reset(struct raft_log *log, struct log_mark mark, const struct log_hard_state *hard_state,
                       struct kv_error *error) {
    struct log_state next = log->now;
    CHECK(mark.index > 0);
    CHECK(mark.index >= next.mark.index);
    CHECK(mark.term >= next.mark.term);
    next.seq++;
    set_hard_state(&next, hard_state);
    /* A node that has never been in the mark's term has voted for nobody in it. */
    if (next.hard_state.term < mark.term) next.hard_state = (struct log_hard_state){.term = mark.term};
    next.mark = mark;
    next.last_index = mark.index;
    next.last_term = mark.term;
    return write_batch(log, &next, 0, NULL, 0, error);
}

enum rc raft_log_cut(struct raft_log *log, struct log_mark mark, struct kv_error *error) {
    if (mark.index <= log->now.mark.index) return RC_OK;
    if (mark.index <= log->now.last_index) {
        uint64_t term = 0;
        CHECK(term_at(log, mark.index, &term));
        CHECK(term == mark.term);
    } else {
        /* A snapshot that is ahead of the log: nothing of the log is left. */
        CHECK(mark.term >= log->now.last_term);
        CHECK(mark.term <= log->now.hard_state.term);
    }
    pthread_mutex_lock(&log->mutex);
    if (mark.index > log->now.last_index) {
        log->now.last_index = mark.index;
        log->now.last_term = mark.term;
    }
    log->now.mark = mark; /* travels in the next batch */
    places_begin_at(&log->places, mark.index + 1);
    pthread_mutex_unlock(&log->mutex);
    /* Files go behind the mark that is on disk already: after a crash that one may be back. */
    return log_files_drop(&log->files, log->synced.mark.index, error);
}

/* ---- reading ---- */

/* What is read at once: entries of one segment, with little between them. */
enum { READ_ENTRIES = 128, READ_BYTES = 256 << 10 };

struct page {
    struct place places[READ_ENTRIES];
    size_t count;
    uint64_t bytes; /* from the first one on */
    struct buf data;
};

static enum rc what_happened(struct raft_log *log, uint64_t from, const struct reading *r,
                             struct kv_error *error) {
    if (from <= log->now.mark.index)
        return fail(error, RC_NOT_FOUND, "entry %llu was cut", (unsigned long long)from);
    if (r->was_replaced) return fail(error, RC_INVALID, "entry %llu was replaced", (unsigned long long)r->to);
    if (r->to > log->now.last_index)
        return fail(error, RC_INVALID, "entry %llu is not written", (unsigned long long)r->to);
    return RC_OK;
}

static enum rc ask_what_happened(struct raft_log *log, uint64_t from, const struct reading *r,
                                 struct kv_error *error) {
    pthread_mutex_lock(&log->mutex);
    enum rc rc = what_happened(log, from, r, error);
    pthread_mutex_unlock(&log->mutex);
    return rc;
}

static void reading_begin(struct raft_log *log, struct reading *r) {
    pthread_mutex_lock(&log->mutex);
    r->next = log->readings;
    log->readings = r;
    pthread_mutex_unlock(&log->mutex);
}

static void reading_end(struct raft_log *log, struct reading *r) {
    pthread_mutex_lock(&log->mutex);
    struct reading **at = &log->readings;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    pthread_mutex_unlock(&log->mutex);
}

/* Where the next ones from `from` on are. */
static enum rc turn_page(struct raft_log *log, struct page *page, uint64_t from, const struct reading *r,
                         struct kv_error *error) {
    page->count = 0;
    page->bytes = 0;
    pthread_mutex_lock(&log->mutex);
    enum rc rc = what_happened(log, from, r, error);
    for (uint64_t i = from; rc == RC_OK && i <= r->to && page->count < READ_ENTRIES; i++) {
        const struct place *place = place_of(&log->places, i);
        CHECK(place != NULL);
        const struct place *first = page->count > 0 ? &page->places[0] : place;
        if (place->segment != first->segment || place->at < first->at) break;
        uint64_t bytes = place->at + place->len - first->at;
        if (page->count > 0 && bytes > READ_BYTES) break;
        page->places[page->count++] = *place;
        page->bytes = bytes;
    }
    pthread_mutex_unlock(&log->mutex);
    return rc;
}

static enum rc read_page(struct raft_log *log, struct page *page, uint64_t index, log_visit_fn *visit,
                         void *arg, bool *damaged, struct kv_error *error) {
    const struct place *first = &page->places[0];
    buf_clear(&page->data);
    buf_reserve(&page->data, 1); /* payloads may be empty */
    enum rc rc = log_files_read(&log->files, log->segment_base + first->segment, first->at, page->bytes,
                                &page->data, error);
    *damaged = rc == RC_NOT_FOUND;
    for (size_t i = 0; rc == RC_OK && i < page->count; i++) {
        const struct place *p = &page->places[i];
        struct log_entry e = {.index = index + i,
                              .term = p->term,
                              .kind = p->kind,
                              .payload = slice_make(page->data.data + (p->at - first->at), p->len)};
        if (log_payload_crc(log_row_seed(e.index, e.term, e.kind), e.payload) != p->crc) {
            *damaged = true;
            return fail(error, RC_CORRUPT, "entry %llu has a bad checksum", (unsigned long long)e.index);
        }
        rc = visit(arg, &e);
    }
    return rc;
}

enum rc raft_log_read(struct raft_log *log, uint64_t from, uint64_t to, log_visit_fn *visit, void *arg,
                      struct kv_error *error) {
    struct page page = {.count = 0};
    struct reading r = {.to = to};
    reading_begin(log, &r);
    enum rc rc = from > to ? ask_what_happened(log, from, &r, error) : RC_OK;
    while (rc == RC_OK && from <= to) {
        bool damaged = false;
        rc = turn_page(log, &page, from, &r, error);
        if (rc != RC_OK) break;
        rc = read_page(log, &page, from, visit, arg, &damaged, error);
        /* Between our look and the reading, the file may have been cut off and written anew. */
        if (damaged) {
            enum rc other = ask_what_happened(log, from, &r, error);
            rc = other != RC_OK ? other : RC_CORRUPT;
        }
        from += page.count;
    }
    reading_end(log, &r);
    buf_free(&page.data);
    return rc;
}
