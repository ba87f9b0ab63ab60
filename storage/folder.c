/* See folder.h. */
#include "folder.h"

#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRASH_PREFIX "trash."

struct path path_in(const char *folder, const char *name) {
    struct path p;
    int len = snprintf(p.text, sizeof p.text, "%s/%s", folder, name);
    CHECK(len > 0);
    CHECK((size_t)len < sizeof p.text);
    return p;
}

struct path path_make(const char *text) {
    struct path p;
    size_t len = strlen(text);
    CHECK(len < sizeof p.text);
    memcpy(p.text, text, len + 1);
    return p;
}

bool path_exists(const char *path) {
    return access(path, F_OK) == 0;
}

enum rc folder_error(struct kv_error *error, const char *what, const char *path) {
    int saved = errno;
    snprintf(error->text, sizeof error->text, "%s %.150s: %s", what, path, strerror(saved));
    return saved == ENOSPC || saved == EDQUOT ? RC_NO_SPACE : RC_IO;
}

enum rc folder_make(const char *path, struct kv_error *error) {
    if (mkdir(path, 0755) == 0 || errno == EEXIST) return RC_OK;
    return folder_error(error, "create", path);
}

enum rc folder_sync(const char *path, struct kv_error *error) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return folder_error(error, "open", path);
    enum rc rc = fsync(fd) == 0 ? RC_OK : folder_error(error, "sync", path);
    close(fd);
    return rc;
}

enum rc file_read(const char *path, size_t bytes_max, struct buf *out, struct kv_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)folder_error(error, "open", path);
        return errno == ENOENT ? RC_NOT_FOUND : RC_IO;
    }
    enum rc rc = RC_OK;
    buf_clear(out);
    for (;;) {
        buf_reserve(out, 1 << 16);
        ssize_t n = read(fd, buf_tail(out), 1 << 16);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = folder_error(error, "read", path);
        if (n <= 0) break;
        out->len += (size_t)n;
        if (out->len <= bytes_max) continue;
        snprintf(error->text, sizeof error->text, "%.150s is longer than such a file ever is", path);
        rc = RC_CORRUPT;
        break;
    }
    close(fd);
    return rc;
}

static enum rc write_all(int fd, struct slice bytes, const char *path, struct kv_error *error) {
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return folder_error(error, "write", path);
        bytes = slice_make(bytes.data + n, bytes.len - (size_t)n);
    }
    return fsync(fd) == 0 ? RC_OK : folder_error(error, "sync", path);
}

enum rc file_write(const char *folder, const char *name, struct slice bytes, struct kv_error *error) {
    struct path final = path_in(folder, name), fresh = path_in(folder, "new");
    int fd = open(fresh.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return folder_error(error, "create", fresh.text);
    enum rc rc = write_all(fd, bytes, fresh.text, error);
    close(fd);
    if (rc == RC_OK && rename(fresh.text, final.text) != 0) rc = folder_error(error, "rename", fresh.text);
    if (rc != RC_OK) (void)unlink(fresh.text);
    return rc == RC_OK ? folder_sync(folder, error) : rc;
}

enum rc folder_discard(const char *group, const char *path, struct kv_error *error) {
    uint64_t number;
    char name[64];
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return folder_error(error, "draw a random name for", path);
    snprintf(name, sizeof name, TRASH_PREFIX "%016llx", (unsigned long long)number);
    struct path to = path_in(group, name);
    if (rename(path, to.text) == 0 || errno == ENOENT) return RC_OK;
    return folder_error(error, "rename", path);
}

/* `stop` is asked before each file. */
static void remove_until(const char *path, const _Atomic bool *stop) {
    DIR *dir = opendir(path);
    if (dir == NULL) {
        (void)unlink(path);
        return;
    }
    for (struct dirent *d; !atomic_load(stop) && (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        struct path inner = path_in(path, d->d_name);
        if (unlink(inner.text) != 0 && errno != ENOENT) remove_until(inner.text, stop);
    }
    closedir(dir);
    (void)rmdir(path);
}

void folder_remove(const char *path) {
    static const _Atomic bool never;
    remove_until(path, &never);
}

struct sweeper {
    struct path group;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool look; /* under mutex */
    _Atomic bool stop;
};

static void sweep(struct sweeper *s) {
    DIR *dir = opendir(s->group.text);
    for (struct dirent *d; dir != NULL && !atomic_load(&s->stop) && (d = readdir(dir)) != NULL;) {
        if (strncmp(d->d_name, TRASH_PREFIX, sizeof TRASH_PREFIX - 1) != 0) continue;
        struct path p = path_in(s->group.text, d->d_name);
        remove_until(p.text, &s->stop);
    }
    if (dir != NULL) closedir(dir);
}

static void *sweeper_main(void *arg) {
    struct sweeper *s = arg;
    pthread_mutex_lock(&s->mutex);
    while (!atomic_load(&s->stop)) {
        if (!s->look) {
            pthread_cond_wait(&s->changed, &s->mutex);
            continue;
        }
        s->look = false;
        pthread_mutex_unlock(&s->mutex);
        sweep(s);
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

struct sweeper *sweeper_start(const char *group) {
    struct sweeper *s = mem_calloc(1, sizeof *s);
    s->group = path_make(group);
    s->look = true;
    CHECK(pthread_mutex_init(&s->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&s->changed, NULL) == 0);
    CHECK(pthread_create(&s->thread, NULL, sweeper_main, s) == 0);
    return s;
}

void sweeper_look(struct sweeper *s) {
    pthread_mutex_lock(&s->mutex);
    s->look = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

void sweeper_stop(struct sweeper *s) {
    if (s == NULL) return;
    pthread_mutex_lock(&s->mutex);
    atomic_store(&s->stop, true);
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    CHECK(pthread_join(s->thread, NULL) == 0);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}
