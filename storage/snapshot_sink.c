/* See snapshot_sink.h. Under `<group>/incoming`: the manifest, `state` with the files, and `progress`: for each file that
 * is complete, synced and was read back once, in order, 12 bytes: its number, its checksum, the checksum of these eight. */
#include "snapshot_sink.h"

#include "folder.h"
#include "hash.h"
#include "keyspace_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { RECORD_BYTES = 12, READ_BYTES = 1 << 20 };

/* What the state's own life needs meanwhile, and what a file system does not give to the last block. */
#define SPACE_MARGIN_BYTES (UINT64_C(64) << 20)

struct piece {
    struct piece *next;
    uint32_t file;
    uint64_t offset;
    size_t len;
    char bytes[];
};

enum sink_state { SINK_RECEIVING, SINK_VERIFYING, SINK_WHOLE, SINK_FAILED };

struct snapshot_sink {
    struct path group, incoming, state_dir;
    struct snapshot_manifest manifest;
    void (*wake)(void *arg);
    void *wake_arg;
    struct snapshot_place next; /* the caller's: what comes next */
    bool committed;

    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows, up to the blank line */
    pthread_cond_t changed;
    struct piece *queue, **queue_tail;
    size_t queue_bytes;
    struct snapshot_place written;
    enum sink_state state;
    bool stopping;
    enum rc rc; /* of SINK_FAILED */
    struct kv_error error;

    /* The sink's thread's own. */
    int fd; /* of the file that is being received; -1: none */
    int progress_fd;
    uint32_t crc_sent; /* its trailer, as far as it has come */
    uint32_t *crcs;    /* of complete files */
    size_t old_count;  /* complete files of earlier sessions: read once more in the end */
    char *room;        /* READ_BYTES */
};

/* --- the sink's thread --- */

static struct path path_of(const struct snapshot_sink *s, size_t file) {
    return path_in(s->state_dir.text, s->manifest.files[file].name);
}

static enum rc checksum(struct snapshot_sink *s, size_t file, uint32_t *crc, struct kv_error *error) {
    struct path p = path_of(s, file);
    int fd = open(p.text, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return folder_error(error, "open", p.text);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    enum rc rc = RC_OK;
    uint64_t len = 0;
    *crc = 0;
    for (;;) {
        ssize_t n = read(fd, s->room, READ_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = folder_error(error, "read", p.text);
        if (n <= 0) break;
        *crc = crc32c(*crc, slice_make(s->room, (size_t)n));
        len += (uint64_t)n;
    }
    close(fd);
    if (rc == RC_OK && len != s->manifest.files[file].size) {
        snprintf(error->text, sizeof error->text, "%.150s is not as long as it was sent", p.text);
        rc = RC_CORRUPT;
    }
    return rc;
}

/* The file is read back; one that is not as it was sent goes, so that the next begin asks for it again. */
static enum rc verify(struct snapshot_sink *s, size_t file, uint32_t crc_sent, struct kv_error *error) {
    uint32_t crc = 0;
    enum rc rc = checksum(s, file, &crc, error);
    if (rc == RC_OK && crc != crc_sent) {
        snprintf(error->text, sizeof error->text, "%s is not as it was sent: checksum %08x instead of %08x",
                 s->manifest.files[file].name, crc, crc_sent);
        rc = RC_CORRUPT;
    }
    if (rc != RC_CORRUPT) return rc;
    struct path p = path_of(s, file);
    (void)unlink(p.text);
    if (ftruncate(s->progress_fd, (off_t)file * RECORD_BYTES) != 0)
        return folder_error(error, "truncate", "progress");
    return RC_CORRUPT;
}

static enum rc record(struct snapshot_sink *s, uint32_t file, uint32_t crc, struct kv_error *error) {
    uint32_t r[3] = {file, crc, 0};
    r[2] = crc32c(0, slice_make((const char *)r, 8));
    static_assert(sizeof r == RECORD_BYTES, "a record of `progress`");
    ssize_t n = pwrite(s->progress_fd, r, sizeof r, (off_t)file * RECORD_BYTES);
    if (n == (ssize_t)sizeof r) return RC_OK;
    if (n >= 0) errno = ENOSPC;
    return folder_error(error, "write", "progress");
}

static enum rc complete(struct snapshot_sink *s, uint32_t file, struct kv_error *error) {
    enum rc rc = RC_OK;
    if (fsync(s->fd) != 0) {
        /* The page cache now takes for clean what is not on the disk: the file has to come again as a whole. */
        struct path p = path_of(s, file);
        rc = folder_error(error, "sync", p.text);
        (void)unlink(p.text);
    }
    close(s->fd);
    s->fd = -1;
    if (rc == RC_OK) rc = verify(s, file, s->crc_sent, error);
    if (rc == RC_OK) rc = record(s, file, s->crc_sent, error);
    if (rc == RC_OK) s->crcs[file] = s->crc_sent;
    return rc;
}

static enum rc write_piece(struct snapshot_sink *s, const struct piece *p, struct snapshot_place *end,
                           struct kv_error *error) {
    uint64_t size = s->manifest.files[p->file].size, at = p->offset;
    struct slice rest = slice_make(p->bytes, p->len);
    if (s->fd < 0) {
        struct path path = path_of(s, p->file);
        s->fd = open(path.text, O_WRONLY | O_CREAT | O_CLOEXEC | (at == 0 ? O_TRUNC : 0), 0644);
        if (s->fd < 0) return folder_error(error, "create", path.text);
    }
    while (rest.len > 0 && at < size) {
        size_t want = rest.len < size - at ? rest.len : (size_t)(size - at);
        ssize_t n = pwrite(s->fd, rest.data, want, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) return folder_error(error, "write", s->manifest.files[p->file].name);
        rest = slice_make(rest.data + n, rest.len - (size_t)n);
        at += (uint64_t)n;
    }
    if (rest.len > 0) memcpy((char *)&s->crc_sent + (at - size), rest.data, rest.len);
    at += rest.len;
    *end = (struct snapshot_place){p->file, at};
    if (at < size + SNAPSHOT_TRAILER_BYTES) return RC_OK;
    *end = (struct snapshot_place){p->file + 1, 0};
    return complete(s, p->file, error);
}

/* Whether the files together are the state that the manifest promises. */
static enum rc check_state(struct snapshot_sink *s, struct kv_error *error) {
    const struct snapshot_manifest *m = &s->manifest;
    struct buf row = {0};
    struct meta meta = {0};
    enum rc rc = kv_peek(s->state_dir.text, SLICE("M"), &row, error);
    if (rc == RC_NOT_FOUND) {
        snprintf(error->text, sizeof error->text, "the snapshot has no meta row");
        rc = RC_CORRUPT;
    }
    if (rc == RC_OK) rc = meta_decode(buf_slice(&row), &meta, error);
    if (rc == RC_OK &&
        (meta.applied.index != m->applied.index || meta.applied.term != m->applied.term ||
         meta.applied.clock_ms != m->applied.clock_ms || meta.place_seed != m->place_seed ||
         meta.members_index != m->members_index || !slice_eq(meta.members, buf_slice(&m->members)))) {
        snprintf(error->text, sizeof error->text, "the snapshot holds another state than its manifest says");
        rc = RC_CORRUPT;
    }
    buf_free(&row);
    return rc;
}

static enum rc verify_all(struct snapshot_sink *s, struct kv_error *error) {
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < s->old_count; i++) rc = verify(s, i, s->crcs[i], error);
    if (rc == RC_OK) {
        rc = check_state(s, error);
        /* Each file is as it was sent, so none can be asked for again: without its manifest, all of it is. */
        struct path manifest = path_in(s->incoming.text, "manifest");
        if (rc != RC_OK && rc != RC_NO_SPACE) (void)unlink(manifest.text);
    }
    if (rc == RC_OK) rc = folder_sync(s->state_dir.text, error);
    if (rc == RC_OK) rc = folder_sync(s->incoming.text, error);
    return rc;
}

/* Under the mutex; gives it back while it works. */
static void work(struct snapshot_sink *s) {
    struct piece *p = s->queue;
    if (p != NULL) {
        s->queue = p->next;
        if (s->queue == NULL) s->queue_tail = &s->queue;
    }
    pthread_mutex_unlock(&s->mutex);
    struct kv_error error = {.text = ""};
    struct snapshot_place end = {0};
    enum rc rc = p != NULL ? write_piece(s, p, &end, &error) : verify_all(s, &error);
    pthread_mutex_lock(&s->mutex);
    if (rc != RC_OK) {
        s->state = SINK_FAILED;
        s->rc = rc;
        s->error = error;
    } else if (p == NULL) {
        s->state = SINK_WHOLE;
    } else {
        s->written = end;
        s->queue_bytes -= p->len;
    }
    mem_free(p);
}

static void *sink_main(void *arg) {
    struct snapshot_sink *s = arg;
    pthread_mutex_lock(&s->mutex);
    while (!s->stopping) {
        bool busy = s->state == SINK_VERIFYING || (s->state == SINK_RECEIVING && s->queue != NULL);
        if (!busy) {
            pthread_cond_wait(&s->changed, &s->mutex);
            continue;
        }
        work(s);
        pthread_mutex_unlock(&s->mutex);
        s->wake(s->wake_arg);
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* --- beginning --- */

static size_t find_file(const struct snapshot_manifest *m, const char *name) {
    size_t low = 0, high = m->file_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(m->files[mid].name, name);
        if (c == 0) return mid;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return SIZE_MAX;
}

/* What is neither complete nor the file to go on with was never ours, or is behind one that has to come again. */
static enum rc remove_strangers(struct snapshot_sink *s, size_t keep_up_to, struct kv_error *error) {
    DIR *dir = opendir(s->state_dir.text);
    if (dir == NULL) return folder_error(error, "open", s->state_dir.text);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        size_t file = find_file(&s->manifest, d->d_name);
        if (file != SIZE_MAX && file <= keep_up_to) continue;
        struct path p = path_in(s->state_dir.text, d->d_name);
        folder_remove(p.text);
    }
    closedir(dir);
    return RC_OK;
}

static uint64_t size_on_disk(const struct snapshot_sink *s, size_t file) {
    struct path p = path_of(s, file);
    struct stat st;
    return stat(p.text, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Finds out how far an earlier session came. */
static enum rc take_up(struct snapshot_sink *s, uint64_t *have_bytes, struct kv_error *error) {
    const struct snapshot_manifest *m = &s->manifest;
    struct path p = path_in(s->incoming.text, "progress");
    s->progress_fd = open(p.text, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->progress_fd < 0) return folder_error(error, "open", p.text);
    size_t done = 0;
    *have_bytes = 0;
    for (uint32_t r[3]; done < m->file_count; done++) {
        if (pread(s->progress_fd, r, sizeof r, (off_t)done * RECORD_BYTES) != (ssize_t)sizeof r) break;
        if (r[0] != done || r[2] != crc32c(0, slice_make((const char *)r, 8))) break;
        struct path file = path_of(s, done);
        if (!path_exists(file.text) || size_on_disk(s, done) != m->files[done].size) break;
        s->crcs[done] = r[1];
        *have_bytes += m->files[done].size;
    }
    if (ftruncate(s->progress_fd, (off_t)done * RECORD_BYTES) != 0)
        return folder_error(error, "truncate", p.text);
    s->old_count = done;
    s->written = (struct snapshot_place){.file = (uint32_t)done};
    if (done < m->file_count) {
        uint64_t size = size_on_disk(s, done);
        if (size <= m->files[done].size) s->written.offset = size;
        *have_bytes += s->written.offset;
    }
    s->next = s->written;
    return remove_strangers(s, done, error);
}

static enum rc check_space(const struct snapshot_sink *s, uint64_t have_bytes, struct kv_error *error) {
    struct statvfs fs;
    if (statvfs(s->group.text, &fs) != 0)
        return folder_error(error, "ask for the free space of", s->group.text);
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t need = s->manifest.total_bytes - have_bytes + SPACE_MARGIN_BYTES;
    if (free_bytes >= need) return RC_OK;
    snprintf(error->text, sizeof error->text, "a snapshot needs %llu bytes of disk, %llu are free",
             (unsigned long long)need, (unsigned long long)free_bytes);
    return RC_NO_SPACE;
}

/* Keeps what an earlier session received of the same snapshot; anything else goes. */
static enum rc prepare_folder(struct snapshot_sink *s, struct slice manifest, struct kv_error *error) {
    struct path file = path_in(s->incoming.text, "manifest");
    struct buf old = {0};
    enum rc rc = file_read(file.text, SNAPSHOT_MANIFEST_MAX, &old, error);
    bool same = rc == RC_OK && slice_eq(buf_slice(&old), manifest);
    buf_free(&old);
    if (same) return folder_make(s->state_dir.text, error);
    rc = folder_discard(s->group.text, s->incoming.text, error);
    if (rc == RC_OK) rc = check_space(s, 0, error);
    if (rc == RC_OK) rc = folder_make(s->incoming.text, error);
    if (rc == RC_OK) rc = folder_make(s->state_dir.text, error);
    if (rc == RC_OK) rc = file_write(s->incoming.text, "manifest", manifest, error);
    if (rc == RC_OK) rc = folder_sync(s->group.text, error);
    return rc;
}

static void sink_free(struct snapshot_sink *s) {
    for (struct piece *p = s->queue, *next; p != NULL; p = next) {
        next = p->next;
        mem_free(p);
    }
    if (s->fd >= 0) close(s->fd);
    if (s->progress_fd >= 0) close(s->progress_fd);
    snapshot_manifest_free(&s->manifest);
    mem_free(s->crcs);
    mem_free(s->room);
    mem_free(s);
}

enum rc snapshot_sink_begin(const char *group, struct slice manifest, uint64_t place_seed,
                            void (*wake)(void *arg), void *arg, struct snapshot_sink **out,
                            struct kv_error *error) {
    struct snapshot_sink *s = mem_calloc(1, sizeof *s);
    s->fd = s->progress_fd = -1;
    s->queue_tail = &s->queue;
    s->wake = wake;
    s->wake_arg = arg;
    s->group = path_make(group);
    s->incoming = path_in(group, "incoming");
    s->state_dir = path_in(s->incoming.text, "state");
    struct path install = path_in(group, "install");
    uint64_t have_bytes = 0;
    enum rc rc = snapshot_manifest_decode(manifest, &s->manifest, error);
    if (rc == RC_OK && s->manifest.place_seed != place_seed) {
        snprintf(error->text, sizeof error->text, "the snapshot is of another cluster");
        rc = RC_INVALID;
    }
    if (rc == RC_OK && path_exists(install.text)) {
        snprintf(error->text, sizeof error->text, "an earlier snapshot is being installed");
        rc = RC_BUSY;
    }
    if (rc == RC_OK) rc = prepare_folder(s, manifest, error);
    if (rc == RC_OK) {
        s->crcs = mem_calloc(s->manifest.file_count, sizeof *s->crcs);
        s->room = mem_alloc(READ_BYTES);
        rc = take_up(s, &have_bytes, error);
    }
    if (rc == RC_OK) rc = check_space(s, have_bytes, error);
    if (rc != RC_OK) {
        sink_free(s);
        return rc;
    }
    CHECK(pthread_mutex_init(&s->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&s->changed, NULL) == 0);
    CHECK(pthread_create(&s->thread, NULL, sink_main, s) == 0);
    *out = s;
    return RC_OK;
}

/* --- the caller's side --- */

const struct snapshot_manifest *snapshot_sink_about(const struct snapshot_sink *s) {
    return &s->manifest;
}

struct snapshot_place snapshot_sink_place(struct snapshot_sink *s) {
    pthread_mutex_lock(&s->mutex);
    struct snapshot_place p = s->written;
    pthread_mutex_unlock(&s->mutex);
    return p;
}

enum rc snapshot_sink_poll(struct snapshot_sink *s, struct kv_error *error) {
    pthread_mutex_lock(&s->mutex);
    enum rc rc = s->state == SINK_WHOLE ? RC_OK : s->state == SINK_FAILED ? s->rc : RC_BUSY;
    if (s->state == SINK_FAILED) *error = s->error;
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static enum rc refuse(struct kv_error *error, const char *why) {
    snprintf(error->text, sizeof error->text, "%s", why);
    return RC_INVALID;
}

enum rc snapshot_sink_write(struct snapshot_sink *s, const struct snapshot_chunk *chunk,
                            struct kv_error *error) {
    size_t len = chunk->bytes.len;
    if (chunk->file != s->next.file || chunk->offset != s->next.offset ||
        chunk->file >= s->manifest.file_count)
        return refuse(error, "a piece of the snapshot came out of order");
    uint64_t end = s->manifest.files[chunk->file].size + SNAPSHOT_TRAILER_BYTES;
    if (len > end - chunk->offset) return refuse(error, "a piece of the snapshot is longer than its file");
    if (len == 0) return RC_OK;
    struct piece *p = mem_alloc(sizeof *p + len);
    *p = (struct piece){.file = chunk->file, .offset = chunk->offset, .len = len};
    memcpy(p->bytes, chunk->bytes.data, len);

    pthread_mutex_lock(&s->mutex);
    enum rc rc = RC_OK;
    if (s->state == SINK_FAILED) {
        rc = s->rc;
        *error = s->error;
    } else if (s->queue_bytes + len > SNAPSHOT_SINK_QUEUE_BYTES && s->queue_bytes > 0) {
        rc = RC_BUSY;
    } else {
        *s->queue_tail = p;
        s->queue_tail = &p->next;
        s->queue_bytes += len;
        pthread_cond_signal(&s->changed);
    }
    pthread_mutex_unlock(&s->mutex);
    if (rc != RC_OK) {
        mem_free(p);
        return rc;
    }
    s->next.offset += len;
    if (s->next.offset == end) s->next = (struct snapshot_place){.file = chunk->file + 1};
    return RC_OK;
}

/* The files are verified when all pieces in the queue are written, for the state changes behind them. */
enum rc snapshot_sink_finish(struct snapshot_sink *s, struct kv_error *error) {
    if (s->next.file != s->manifest.file_count)
        return refuse(error, "the snapshot ended before all of it came");
    pthread_mutex_lock(&s->mutex);
    if (s->state == SINK_RECEIVING) s->state = SINK_VERIFYING;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    return RC_OK;
}

enum rc snapshot_sink_commit(struct snapshot_sink *s, struct kv_error *error) {
    struct path install = path_in(s->group.text, "install");
    CHECK(snapshot_sink_poll(s, error) == RC_OK);
    CHECK(!s->committed);
    if (rename(s->incoming.text, install.text) != 0) return folder_error(error, "rename", s->incoming.text);
    s->committed = true;
    return folder_sync(s->group.text, error);
}

void snapshot_sink_close(struct snapshot_sink *s, bool keep) {
    if (s == NULL) return;
    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    CHECK(pthread_join(s->thread, NULL) == 0);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    struct kv_error error; /* what cannot be discarded is discarded by the next begin, or the next start */
    if (!keep && !s->committed) (void)!folder_discard(s->group.text, s->incoming.text, &error);
    sink_free(s);
}
