/* See log_files.h. */
#include "log_files.h"

#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_LEN = 16 + 4,
    SPARES_MAX = 4,         /* segments without use that are kept */
    GROW_BYTES = 256 << 10, /* a file that grows is filled with zeros so far ahead */
    GATHER_MAX = 64 << 10,  /* payloads of up to this are copied together */
    BUFFER_KEEP_MAX = 8 << 20,
};

static struct path name_of(const struct log_files *f, uint64_t number) {
    char name[NAME_LEN + 1];
    snprintf(name, sizeof name, "%016" PRIx64 ".seg", number);
    return path_in(f->folder.text, name);
}

static struct log_segment *last_of(const struct log_files *f) {
    return &f->items[f->count - 1];
}

static void add(struct log_files *f, struct log_segment s) {
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 8;
        f->items = mem_realloc(f->items, f->cap * sizeof *f->items);
    }
    f->items[f->count++] = s;
}

static void take_first(struct log_files *f) {
    f->count--;
    memmove(f->items, f->items + 1, f->count * sizeof *f->items);
}

/* --- opening --- */

static bool parse_name(const char *name, uint64_t *number) {
    char *end;
    if (strlen(name) != NAME_LEN || strcmp(name + NAME_LEN - 4, ".seg") != 0) return false;
    *number = strtoull(name, &end, 16);
    return end == name + NAME_LEN - 4;
}

static int by_number(const void *a, const void *b) {
    const struct log_segment *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static enum rc list(struct log_files *f, struct kv_error *error) {
    DIR *dir = opendir(f->folder.text);
    if (dir == NULL) return folder_error(error, "read", f->folder.text);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct log_segment s = {.fd = -1};
        if (parse_name(d->d_name, &s.number)) add(f, s);
    }
    closedir(dir);
    if (f->count > 0) qsort(f->items, f->count, sizeof *f->items, by_number);
    return RC_OK;
}

void log_files_init(struct log_files *f, const char *folder, uint64_t segment_bytes) {
    *f = (struct log_files){.folder = path_make(folder), .segment_bytes = segment_bytes};
    CHECK(pthread_mutex_init(&f->in_use, NULL) == 0);
}

enum rc log_files_open(struct log_files *f, struct kv_error *error) {
    enum rc rc = list(f, error);
    for (size_t i = 0; rc == RC_OK && i < f->count; i++) {
        struct log_segment *s = &f->items[i];
        struct path path = name_of(f, s->number);
        struct stat st;
        if (i > 0 && s->number != s[-1].number + 1) {
            snprintf(error->text, sizeof error->text, "a file of the Raft log is missing before %.150s",
                     path.text);
            return RC_CORRUPT;
        }
        s->fd = open(path.text, O_RDWR | O_CLOEXEC);
        if (s->fd < 0 || fstat(s->fd, &st) != 0) return folder_error(error, "open", path.text);
        s->size = (uint64_t)st.st_size;
    }
    return rc;
}

void log_files_close(struct log_files *f) {
    for (size_t i = 0; i < f->count; i++)
        if (f->items[i].fd >= 0) close(f->items[i].fd);
    mem_free(f->items);
    buf_free(&f->head);
    buf_free(&f->gather);
    CHECK(pthread_mutex_destroy(&f->in_use) == 0);
}

/* --- writing --- */

static enum rc write_all(const struct log_segment *s, struct slice bytes, uint64_t at,
                         struct kv_error *error) {
    while (bytes.len > 0) {
        ssize_t n = pwrite(s->fd, bytes.data, bytes.len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return folder_error(error, "write", "the Raft log");
        bytes = slice_make(bytes.data + n, bytes.len - (size_t)n);
        at += (uint64_t)n;
    }
    return RC_OK;
}

/* Its name is on the disk before anything that counts is in it. */
static enum rc begin_segment(struct log_files *f, struct kv_error *error) {
    struct log_segment s = {.number = f->count > 0 ? last_of(f)->number + 1 : 1, .fd = -1};
    struct path path = name_of(f, s.number);
    if (f->unused > 0) {
        struct path old = name_of(f, f->items[0].number);
        if (rename(old.text, path.text) != 0) return folder_error(error, "rename", old.text);
        s.fd = f->items[0].fd;
        s.size = f->items[0].size;
        pthread_mutex_lock(&f->in_use);
        take_first(f);
        f->unused--;
        pthread_mutex_unlock(&f->in_use);
    } else {
        s.fd = open(path.text, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (s.fd < 0) return folder_error(error, "create", path.text);
    }
    pthread_mutex_lock(&f->in_use);
    add(f, s);
    pthread_mutex_unlock(&f->in_use);
    return folder_sync(f->folder.text, error);
}

static bool has_room(const struct log_files *f, uint64_t bytes) {
    if (f->count == 0) return false;
    const struct log_segment *s = last_of(f);
    return s->end == 0 || s->end + bytes <= f->segment_bytes;
}

/* A file that has become longer goes on with zeros for a while: the next batches are then written into blocks that are
 * there. Page by page, for what is written in one go is one piece of the page cache, and later dirty as one. */
static enum rc fill_ahead(const struct log_files *f, struct log_segment *s, struct kv_error *error) {
    static const char zeros[4096];
    if (s->end <= s->size) return RC_OK;
    uint64_t to = (s->end + GROW_BYTES - 1) / GROW_BYTES * GROW_BYTES;
    if (to > f->segment_bytes) to = f->segment_bytes;
    s->size = s->end;
    while (s->size < to) {
        uint64_t n = sizeof zeros - s->size % sizeof zeros;
        if (n > to - s->size) n = to - s->size;
        enum rc rc = write_all(s, slice_make(zeros, n), s->size, error);
        if (rc != RC_OK) return rc;
        s->size += n;
    }
    return RC_OK;
}

/* Small payloads are copied together, so that most batches are one call. */
static enum rc write_record(struct log_files *f, const struct log_segment *s, const struct log_entry *entries,
                            size_t count, uint64_t bytes, struct kv_error *error) {
    struct buf *b = &f->gather;
    uint64_t at = s->end, end = at + bytes;
    enum rc rc = RC_OK;
    buf_clear(b);
    buf_add_slice(b, buf_slice(&f->head));
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        struct slice payload = entries[i].payload;
        if (payload.len <= GATHER_MAX) buf_add_slice(b, payload);
        if (payload.len <= GATHER_MAX && b->len < BUFFER_KEEP_MAX / 2) continue;
        rc = write_all(s, buf_slice(b), at, error);
        at += b->len;
        buf_clear(b);
        if (payload.len <= GATHER_MAX || rc != RC_OK) continue;
        rc = write_all(s, payload, at, error);
        at += payload.len;
    }
    if (rc != RC_OK) return rc;
    while (at + b->len < end) buf_add_byte(b, 0);
    CHECK(at + b->len == end);
    return write_all(s, buf_slice(b), at, error);
}

enum rc log_files_write(struct log_files *f, const struct log_state *state, uint64_t prev_term,
                        const struct log_entry *entries, size_t count, uint32_t secret, uint64_t *at,
                        struct kv_error *error) {
    uint64_t bytes = log_record_bytes(entries, count);
    enum rc rc = has_room(f, bytes) ? RC_OK : begin_segment(f, error);
    if (rc != RC_OK) return rc;
    struct log_segment *s = last_of(f);
    if (f->head.cap > BUFFER_KEEP_MAX) buf_free(&f->head);
    buf_clear(&f->head);
    log_record_add(&f->head, state, prev_term, entries, count, secret);
    rc = write_record(f, s, entries, count, bytes, error);
    if (f->gather.cap > BUFFER_KEEP_MAX) buf_free(&f->gather);
    if (rc != RC_OK) return rc;
    *at = s->end;
    s->end += bytes;
    rc = fill_ahead(f, s, error);
    if (rc == RC_OK && fdatasync(s->fd) != 0) rc = folder_error(error, "sync", "the Raft log");
    if (count > 0 && entries[count - 1].index > s->top_index) s->top_index = entries[count - 1].index;
    return rc;
}

/* --- taking away --- */

static enum rc remove_at(struct log_files *f, size_t i, struct kv_error *error) {
    struct path path = name_of(f, f->items[i].number);
    if (unlink(path.text) != 0) return folder_error(error, "delete", path.text);
    close(f->items[i].fd);
    f->count--;
    memmove(f->items + i, f->items + i + 1, (f->count - i) * sizeof *f->items);
    return RC_OK;
}

enum rc log_files_drop(struct log_files *f, uint64_t index, struct kv_error *error) {
    size_t unused = 0;
    while (unused + 1 < f->count && f->items[unused].top_index <= index) unused++;
    enum rc rc = RC_OK;
    pthread_mutex_lock(&f->in_use);
    for (; rc == RC_OK && unused > 0 && (unused > SPARES_MAX || f->items[0].size > f->segment_bytes);
         unused--)
        rc = remove_at(f, 0, error);
    pthread_mutex_unlock(&f->in_use);
    f->unused = unused;
    return rc;
}

enum rc log_files_forget_behind(struct log_files *f, size_t count, struct kv_error *error) {
    if (f->count <= count) return RC_OK;
    enum rc rc = RC_OK;
    while (rc == RC_OK && f->count > count) rc = remove_at(f, f->count - 1, error);
    return rc == RC_OK ? folder_sync(f->folder.text, error) : rc;
}

/* --- reading --- */

enum rc log_files_read(struct log_files *f, uint64_t number, uint64_t at, uint64_t len, struct buf *out,
                       struct kv_error *error) {
    enum rc rc = RC_OK;
    pthread_mutex_lock(&f->in_use);
    if (f->count == 0 || number < f->items[0].number || number > last_of(f)->number) {
        rc = RC_NOT_FOUND;
    } else {
        int fd = f->items[number - f->items[0].number].fd;
        buf_reserve(out, len);
        while (rc == RC_OK && len > 0) {
            ssize_t n = pread(fd, buf_tail(out), len, (off_t)at);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) rc = folder_error(error, "read", "the Raft log");
            if (n == 0) {
                snprintf(error->text, sizeof error->text, "a file of the Raft log is too short");
                rc = RC_CORRUPT;
            }
            if (rc != RC_OK) break;
            out->len += (size_t)n;
            at += (uint64_t)n;
            len -= (uint64_t)n;
        }
    }
    pthread_mutex_unlock(&f->in_use);
    return rc;
}
