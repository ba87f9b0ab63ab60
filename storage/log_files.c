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
    BLOCK = 4096,           /* what direct writes are multiples of, in the file and in memory, on any disk */
    GROW_BYTES = 256 << 10, /* a file that grows is filled with zeros so far ahead */
    PIECE_BYTES = 1 << 20,
    HEAD_KEEP_MAX = 1 << 20,
};

static uint64_t blocks_up(uint64_t bytes) {
    return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

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
    *f = (struct log_files){
        .folder = path_make(folder), .segment_bytes = blocks_up(segment_bytes), .writing = -1};
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
    if (f->writing >= 0) close(f->writing);
    mem_free(f->items);
    buf_free(&f->head);
    mem_free(f->piece_memory);
    CHECK(pthread_mutex_destroy(&f->in_use) == 0);
}

/* --- writing --- */

/* Not every file system can write past the page cache; some say so when it is tried. */
static enum rc open_to_write(struct log_files *f, bool is_direct, struct kv_error *error) {
    struct path path = name_of(f, last_of(f)->number);
    if (f->writing >= 0) close(f->writing);
    f->writing = open(path.text, O_WRONLY | O_CLOEXEC | (is_direct ? O_DIRECT : 0));
    f->is_direct = is_direct;
    if (f->writing < 0 && is_direct && errno == EINVAL) return open_to_write(f, false, error);
    return f->writing < 0 ? folder_error(error, "open", path.text) : RC_OK;
}

static enum rc write_blocks(struct log_files *f, const char *data, size_t len, uint64_t at,
                            struct kv_error *error) {
    struct log_segment *s = last_of(f);
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(f->writing, data + done, len - done, (off_t)(at + done));
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EINVAL && f->is_direct) {
            enum rc rc = open_to_write(f, false, error);
            if (rc != RC_OK) return rc;
        } else if (n == 0 || errno != EINTR) {
            return folder_error(error, "write", "the Raft log");
        }
    }
    if (at + len > s->size) s->size = at + len;
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
    enum rc rc = open_to_write(f, true, error);
    return rc == RC_OK ? folder_sync(f->folder.text, error) : rc;
}

static bool has_room(const struct log_files *f, uint64_t bytes) {
    if (f->count == 0) return false;
    const struct log_segment *s = last_of(f);
    return s->end == 0 || s->end + bytes <= f->segment_bytes;
}

/* A file that has become longer goes on with zeros for a while: the next batches are then written into blocks that are
 * there. */
static enum rc fill_ahead(struct log_files *f, struct kv_error *error) {
    static _Alignas(BLOCK) char zeros[GROW_BYTES];
    uint64_t from = last_of(f)->size, to = (from + GROW_BYTES - 1) / GROW_BYTES * GROW_BYTES;
    if (to > f->segment_bytes) to = f->segment_bytes;
    return from < to ? write_blocks(f, zeros, to - from, from, error) : RC_OK;
}

/* The block in which the newest batch ends is about to be written again. */
static enum rc take_up_end(struct log_files *f, struct kv_error *error) {
    const struct log_segment *s = last_of(f);
    if (f->piece == NULL) {
        f->piece_memory = mem_alloc(PIECE_BYTES + BLOCK);
        f->piece = f->piece_memory + (BLOCK - (uintptr_t)f->piece_memory % BLOCK) % BLOCK;
    }
    enum rc rc = f->writing < 0 ? open_to_write(f, true, error) : RC_OK;
    if (rc != RC_OK || f->at + f->fill == s->end) return rc;
    f->at = s->end / BLOCK * BLOCK;
    for (f->fill = 0; f->at + f->fill < s->end;) {
        ssize_t n = pread(s->fd, f->piece + f->fill, s->end - f->at - f->fill, (off_t)(f->at + f->fill));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return folder_error(error, "read", "the Raft log");
        f->fill += (size_t)n;
    }
    return RC_OK;
}

static enum rc add_to_piece(struct log_files *f, struct slice bytes, struct kv_error *error) {
    while (bytes.len > 0) {
        size_t n = bytes.len < PIECE_BYTES - f->fill ? bytes.len : PIECE_BYTES - f->fill;
        memcpy(f->piece + f->fill, bytes.data, n);
        f->fill += n;
        bytes = slice_make(bytes.data + n, bytes.len - n);
        if (f->fill < PIECE_BYTES) break;
        enum rc rc = write_blocks(f, f->piece, PIECE_BYTES, f->at, error);
        if (rc != RC_OK) return rc;
        f->at += PIECE_BYTES;
        f->fill = 0;
    }
    return RC_OK;
}

/* What the piece holds is written with zeros up to the end of its block, and that block is what it holds then. */
static enum rc write_rest(struct log_files *f, struct kv_error *error) {
    size_t len = blocks_up(f->fill), whole = f->fill / BLOCK * BLOCK;
    memset(f->piece + f->fill, 0, len - f->fill);
    enum rc rc = write_blocks(f, f->piece, len, f->at, error);
    if (whole > 0) memcpy(f->piece, f->piece + whole, f->fill - whole);
    f->at += whole;
    f->fill -= whole;
    return rc;
}

static enum rc write_record(struct log_files *f, const struct log_entry *entries, size_t count, uint64_t end,
                            struct kv_error *error) {
    static const char padding[LOG_ALIGN];
    enum rc rc = add_to_piece(f, buf_slice(&f->head), error);
    for (size_t i = 0; rc == RC_OK && i < count; i++) rc = add_to_piece(f, entries[i].payload, error);
    if (rc != RC_OK) return rc;
    size_t missing = end - (f->at + f->fill);
    CHECK(missing < LOG_ALIGN);
    rc = add_to_piece(f, slice_make(padding, missing), error);
    return rc == RC_OK ? write_rest(f, error) : rc;
}

enum rc log_files_write(struct log_files *f, const struct log_state *state, uint64_t prev_term,
                        const struct log_entry *entries, size_t count, uint32_t secret, uint64_t *at,
                        struct kv_error *error) {
    uint64_t bytes = log_record_bytes(entries, count);
    enum rc rc = has_room(f, bytes) ? RC_OK : begin_segment(f, error);
    if (rc != RC_OK) return rc;
    rc = take_up_end(f, error);
    if (rc != RC_OK) return rc;
    struct log_segment *s = last_of(f);
    uint64_t size = s->size;
    if (f->head.cap > HEAD_KEEP_MAX) buf_free(&f->head);
    buf_clear(&f->head);
    log_record_add(&f->head, state, prev_term, entries, count, secret);
    rc = write_record(f, entries, count, s->end + bytes, error);
    if (rc != RC_OK) return rc;
    *at = s->end;
    s->end += bytes;
    if (s->size > size) rc = fill_ahead(f, error);
    if (rc == RC_OK && fdatasync(f->writing) != 0) rc = folder_error(error, "sync", "the Raft log");
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
