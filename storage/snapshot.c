/* Manifests, making a snapshot, reading one in pieces; see snapshot.h. */
#include "snapshot.h"

#include "folder.h"
#include "hash.h"
#include "keyspace_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_VERSION = 1, MANIFEST_MEMBERS_MAX = KS_MEMBERS_MAX };

#define MANIFEST_MAGIC  UINT32_C(0x6e536452) /* "RdSn" */
#define FILE_SIZE_MAX   (UINT64_C(1) << 48)
#define TOTAL_BYTES_MAX (UINT64_C(1) << 56)

/* --- manifests --- */

void snapshot_manifest_encode(struct buf *out, const struct snapshot_manifest *m) {
    CHECK(m->file_count <= SNAPSHOT_FILES_MAX);
    buf_clear(out);
    buf_add_u32le(out, MANIFEST_MAGIC);
    buf_add_u32le(out, MANIFEST_VERSION);
    buf_add_u64le(out, m->id);
    buf_add_u64le(out, m->applied.index);
    buf_add_u64le(out, m->applied.term);
    buf_add_u64le(out, (uint64_t)m->applied.clock_ms);
    buf_add_u64le(out, m->place_seed);
    buf_add_u64le(out, m->members_index);
    buf_add_u32le(out, (uint32_t)m->members.len);
    buf_add_slice(out, buf_slice(&m->members));
    buf_add_u32le(out, (uint32_t)m->file_count);
    for (size_t i = 0; i < m->file_count; i++) {
        size_t len = strlen(m->files[i].name);
        buf_add_byte(out, (uint8_t)len);
        buf_add(out, m->files[i].name, len);
        buf_add_u64le(out, m->files[i].size);
    }
    buf_add_u32le(out, crc32c(0, buf_slice(out)));
}

/* It will be the name of a file of ours, and comes from elsewhere. */
static bool is_safe_name(struct slice name) {
    if (name.len == 0 || name.len > SNAPSHOT_NAME_MAX || name.data[0] == '.') return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '-' || c == '_';
        if (!safe) return false;
    }
    return true;
}

static bool take_file(struct slice *in, struct snapshot_file *file, const char *name_before) {
    uint8_t len;
    struct slice name;
    if (!slice_take_u8(in, &len) || !slice_take(in, len, &name) || !slice_take_u64le(in, &file->size))
        return false;
    if (!is_safe_name(name) || file->size > FILE_SIZE_MAX) return false;
    memcpy(file->name, name.data, name.len);
    file->name[name.len] = 0;
    return strcmp(name_before, file->name) < 0;
}

static bool take_manifest(struct slice in, struct snapshot_manifest *m) {
    uint64_t clock;
    uint32_t members_len, file_count;
    struct slice members;
    if (!slice_take_u64le(&in, &m->id) || !slice_take_u64le(&in, &m->applied.index) ||
        !slice_take_u64le(&in, &m->applied.term) || !slice_take_u64le(&in, &clock) ||
        !slice_take_u64le(&in, &m->place_seed) || !slice_take_u64le(&in, &m->members_index))
        return false;
    if (!slice_take_u32le(&in, &members_len) || members_len > MANIFEST_MEMBERS_MAX ||
        !slice_take(&in, members_len, &members) || !slice_take_u32le(&in, &file_count))
        return false;
    if (m->applied.index == 0 || m->applied.term == 0 || m->members_index > m->applied.index) return false;
    if (file_count == 0 || file_count > SNAPSHOT_FILES_MAX) return false;
    m->applied.clock_ms = (int64_t)clock;
    buf_add_slice(&m->members, members);
    m->files = mem_calloc(file_count, sizeof *m->files);
    m->file_count = file_count;
    for (size_t i = 0; i < file_count; i++) {
        if (!take_file(&in, &m->files[i], i == 0 ? "" : m->files[i - 1].name)) return false;
        m->total_bytes += m->files[i].size + SNAPSHOT_TRAILER_BYTES;
        if (m->total_bytes > TOTAL_BYTES_MAX) return false;
    }
    return in.len == 0;
}

enum rc snapshot_manifest_decode(struct slice bytes, struct snapshot_manifest *out, struct kv_error *error) {
    struct slice body = bytes;
    uint32_t magic, version, crc;
    const char *why = "is not one";
    struct snapshot_manifest m = {0};
    if (bytes.len <= SNAPSHOT_MANIFEST_MAX && slice_take_u32le(&body, &magic) && magic == MANIFEST_MAGIC &&
        slice_take_u32le(&body, &version)) {
        why = version != MANIFEST_VERSION ? "is of another version" : "is malformed";
        if (version == MANIFEST_VERSION && body.len >= sizeof crc) {
            body.len -= sizeof crc;
            memcpy(&crc, body.data + body.len, sizeof crc);
            if (crc == crc32c(0, slice_make(bytes.data, bytes.len - sizeof crc)) && take_manifest(body, &m)) {
                *out = m;
                return RC_OK;
            }
        }
    }
    snapshot_manifest_free(&m);
    snprintf(error->text, sizeof error->text, "the snapshot's manifest %s", why);
    return RC_CORRUPT;
}

void snapshot_manifest_free(struct snapshot_manifest *m) {
    buf_free(&m->members);
    mem_free(m->files);
    m->files = NULL;
}

/* --- making one --- */

static int by_name(const void *a, const void *b) {
    const struct snapshot_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static enum rc list_files(const char *folder, struct snapshot_manifest *m, struct kv_error *error) {
    DIR *dir = opendir(folder);
    if (dir == NULL) return folder_error(error, "open", folder);
    enum rc rc = RC_OK;
    size_t cap = 0;
    for (struct dirent *d; rc == RC_OK && (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.') continue;
        struct stat st;
        if (!is_safe_name(slice_of(d->d_name)) || m->file_count == SNAPSHOT_FILES_MAX) {
            snprintf(error->text, sizeof error->text, "%.100s cannot be part of a snapshot", d->d_name);
            rc = RC_INVALID;
        } else if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            rc = folder_error(error, "stat", d->d_name);
        } else {
            if (m->file_count == cap) {
                cap = cap ? cap * 2 : 64;
                m->files = mem_realloc(m->files, cap * sizeof *m->files);
            }
            struct snapshot_file *f = &m->files[m->file_count++];
            snprintf(f->name, sizeof f->name, "%.*s", SNAPSHOT_NAME_MAX, d->d_name);
            f->size = (uint64_t)st.st_size;
        }
    }
    closedir(dir);
    if (rc == RC_OK) qsort(m->files, m->file_count, sizeof *m->files, by_name);
    return rc;
}

static enum rc fill(struct kv *kv, const char *folder, struct kv_error *error) {
    struct path state = path_in(folder, "state");
    struct snapshot_manifest m = {0};
    struct meta meta = {0};
    struct buf row = {0}, bytes = {0};
    enum rc rc = kv_get(kv, SLICE("M"), &row, error);
    if (rc == RC_NOT_FOUND) snprintf(error->text, sizeof error->text, "nothing is stored yet");
    if (rc == RC_OK) rc = meta_decode(buf_slice(&row), &meta, error);
    if (rc == RC_OK && getrandom(&m.id, sizeof m.id, 0) != (ssize_t)sizeof m.id)
        rc = folder_error(error, "draw a random number for", folder);
    if (rc == RC_OK) rc = kv_checkpoint(kv, state.text, error);
    if (rc == RC_OK) rc = list_files(state.text, &m, error);
    if (rc == RC_OK) rc = folder_sync(state.text, error);
    if (rc == RC_OK) {
        m.applied = meta.applied;
        m.place_seed = meta.place_seed;
        m.members_index = meta.members_index;
        buf_add_slice(&m.members, meta.members);
        snapshot_manifest_encode(&bytes, &m);
        rc = file_write(folder, "manifest", buf_slice(&bytes), error);
    }
    snapshot_manifest_free(&m);
    buf_free(&row);
    buf_free(&bytes);
    return rc;
}

enum rc snapshot_make(struct kv *kv, const char *folder, struct kv_error *error) {
    if (path_exists(folder)) {
        snprintf(error->text, sizeof error->text, "%.150s exists", folder);
        return RC_INVALID;
    }
    enum rc rc = folder_make(folder, error);
    if (rc == RC_OK) rc = fill(kv, folder, error);
    if (rc != RC_OK) folder_remove(folder);
    return rc;
}

/* --- reading one --- */

struct snapshot_source {
    struct path state;
    struct buf manifest_bytes;
    struct snapshot_manifest manifest;
    uint32_t file; /* the next piece begins here */
    uint64_t offset;
    int fd;          /* of `file`; -1: not open */
    uint64_t summed; /* so much of it is in `crc` */
    uint32_t crc;
    uint64_t left;
    char *room; /* SNAPSHOT_CHUNK_BYTES */
};

enum rc snapshot_source_open(const char *folder, struct snapshot_source **out, struct kv_error *error) {
    struct snapshot_source *s = mem_calloc(1, sizeof *s);
    s->fd = -1;
    s->state = path_in(folder, "state");
    struct path manifest = path_in(folder, "manifest");
    enum rc rc = file_read(manifest.text, SNAPSHOT_MANIFEST_MAX, &s->manifest_bytes, error);
    if (rc == RC_OK) rc = snapshot_manifest_decode(buf_slice(&s->manifest_bytes), &s->manifest, error);
    if (rc != RC_OK) {
        snapshot_source_close(s);
        return rc;
    }
    s->left = s->manifest.total_bytes;
    s->room = mem_alloc(SNAPSHOT_CHUNK_BYTES);
    *out = s;
    return RC_OK;
}

void snapshot_source_close(struct snapshot_source *s) {
    if (s == NULL) return;
    if (s->fd >= 0) close(s->fd);
    snapshot_manifest_free(&s->manifest);
    buf_free(&s->manifest_bytes);
    mem_free(s->room);
    mem_free(s);
}

struct slice snapshot_source_manifest(const struct snapshot_source *s) {
    return buf_slice(&s->manifest_bytes);
}
const struct snapshot_manifest *snapshot_source_about(const struct snapshot_source *s) {
    return &s->manifest;
}
uint64_t snapshot_source_left(const struct snapshot_source *s) {
    return s->left;
}

static void go_to(struct snapshot_source *s, uint32_t file, uint64_t offset) {
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
    s->file = file;
    s->offset = offset;
    s->summed = 0;
    s->crc = 0;
}

bool snapshot_source_seek(struct snapshot_source *s, uint32_t file, uint64_t offset) {
    const struct snapshot_manifest *m = &s->manifest;
    if (file > m->file_count) return false;
    if (file == m->file_count ? offset != 0 : offset >= m->files[file].size + SNAPSHOT_TRAILER_BYTES)
        return false;
    go_to(s, file, offset);
    s->left = 0;
    for (size_t i = file; i < m->file_count; i++) s->left += m->files[i].size + SNAPSHOT_TRAILER_BYTES;
    s->left -= offset;
    return true;
}

static enum rc open_file(struct snapshot_source *s, struct kv_error *error) {
    struct path p = path_in(s->state.text, s->manifest.files[s->file].name);
    struct stat st;
    int fd = open(p.text, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return folder_error(error, "open", p.text);
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != s->manifest.files[s->file].size) {
        close(fd);
        snprintf(error->text, sizeof error->text, "%.150s has changed its length", p.text);
        return RC_CORRUPT;
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    s->fd = fd;
    return RC_OK;
}

/* Reads the piece behind what has been summed up, up to `end`. */
static enum rc read_piece(struct snapshot_source *s, uint64_t end, size_t *len, struct kv_error *error) {
    size_t want = SNAPSHOT_CHUNK_BYTES - SNAPSHOT_TRAILER_BYTES;
    if (end - s->summed < want) want = (size_t)(end - s->summed);
    for (size_t got = 0; got < want;) {
        ssize_t n = pread(s->fd, s->room + got, want - got, (off_t)(s->summed + got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return folder_error(error, "read", s->manifest.files[s->file].name);
        if (n == 0) {
            snprintf(error->text, sizeof error->text, "%s has become shorter",
                     s->manifest.files[s->file].name);
            return RC_CORRUPT;
        }
        got += (size_t)n;
    }
    s->crc = crc32c(s->crc, slice_make(s->room, want));
    s->summed += want;
    *len = want;
    return RC_OK;
}

enum rc snapshot_source_next(struct snapshot_source *s, struct snapshot_chunk *out, struct kv_error *error) {
    if (s->file == s->manifest.file_count) return RC_NOT_FOUND;
    uint64_t size = s->manifest.files[s->file].size, offset = s->offset;
    size_t len = 0;
    enum rc rc = s->fd < 0 ? open_file(s, error) : RC_OK;
    if (rc != RC_OK) return rc;
    if (s->summed < offset && s->summed < size) {
        rc = read_piece(s, offset < size ? offset : size, &len, error);
        if (rc == RC_OK) *out = (struct snapshot_chunk){.file = s->file, .offset = offset};
        return rc;
    }
    if (offset < size) {
        CHECK(s->summed == offset);
        rc = read_piece(s, size, &len, error);
        if (rc != RC_OK) return rc;
    }
    uint64_t end = offset + len;
    if (end >= size) {
        size_t sent = (size_t)(end - size), more = SNAPSHOT_TRAILER_BYTES - sent;
        static_assert(sizeof s->crc == SNAPSHOT_TRAILER_BYTES, "the trailer is the checksum");
        memcpy(s->room + len, (const char *)&s->crc + sent, more);
        len += more;
    }
    *out = (struct snapshot_chunk){.file = s->file, .offset = offset, .bytes = slice_make(s->room, len)};
    s->left -= len;
    if (end >= size)
        go_to(s, s->file + 1, 0);
    else
        s->offset = end;
    return RC_OK;
}
