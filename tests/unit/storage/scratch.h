/* Scratch folders for the storage tests: made under TMPDIR or /tmp, removed at the end of the process, and
 * copied whole. */
#ifndef TESTS_UNIT_STORAGE_SCRATCH_H
#define TESTS_UNIT_STORAGE_SCRATCH_H

#include "buf.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
    char path[256];
};

__attribute__((unused)) static void scratch_must(bool ok, const char *what) {
    if (ok) return;
    perror(what);
    abort();
}

__attribute__((unused)) static void scratch_remove(const char *path) {
    DIR *dir = opendir(path);
    if (dir == NULL) return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        char file[600];
        snprintf(file, sizeof file, "%s/%s", path, d->d_name);
        if (unlink(file) != 0) scratch_remove(file);
    }
    closedir(dir);
    rmdir(path);
}

/* All of a process's folders are in one, which goes with the process that made it (not with one it forked).
 */
static struct scratch scratch_top;
static pid_t scratch_owner;

__attribute__((unused)) static void scratch_remove_top(void) {
    if (getpid() == scratch_owner) scratch_remove(scratch_top.path);
}

__attribute__((unused)) static void scratch_make_top(void) {
    if (scratch_owner != 0) return;
    const char *tmp = getenv("TMPDIR");
    snprintf(scratch_top.path, sizeof scratch_top.path, "%.200s/redraft-test-XXXXXX", tmp ? tmp : "/tmp");
    scratch_must(mkdtemp(scratch_top.path) != NULL, "mkdtemp");
    scratch_owner = getpid();
    atexit(scratch_remove_top);
}

/* A folder of its own. */
__attribute__((unused)) static struct scratch scratch_new(void) {
    scratch_make_top();
    struct scratch s;
    snprintf(s.path, sizeof s.path, "%.240s/XXXXXX", scratch_top.path);
    scratch_must(mkdtemp(s.path) != NULL, "mkdtemp");
    return s;
}

__attribute__((unused)) static struct scratch scratch_in(const struct scratch *folder, const char *name) {
    struct scratch s;
    CHECK(snprintf(s.path, sizeof s.path, "%s/%s", folder->path, name) < (int)sizeof s.path);
    return s;
}

/* A path where nothing is yet, or no longer. */
__attribute__((unused)) static struct scratch scratch_fresh(const char *name) {
    scratch_make_top();
    struct scratch s = scratch_in(&scratch_top, name);
    scratch_remove(s.path);
    return s;
}

__attribute__((unused)) static struct buf scratch_load(const char *path) {
    struct buf b = {0};
    int fd = open(path, O_RDONLY);
    scratch_must(fd >= 0, path);
    for (;;) {
        buf_reserve(&b, 1 << 16);
        ssize_t n = read(fd, buf_tail(&b), 1 << 16);
        scratch_must(n >= 0, "read");
        if (n == 0) break;
        b.len += (size_t)n;
    }
    close(fd);
    return b;
}

__attribute__((unused)) static void scratch_save(const char *path, struct slice bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    scratch_must(fd >= 0, path);
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        scratch_must(n > 0, "write");
        bytes = slice_make(bytes.data + n, bytes.len - (size_t)n);
    }
    close(fd);
}

/* Files only, no folders within. */
__attribute__((unused)) static void scratch_copy(const char *from, const char *to) {
    scratch_remove(to);
    scratch_must(mkdir(to, 0755) == 0, to);
    DIR *dir = opendir(from);
    scratch_must(dir != NULL, from);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.') continue;
        char source[600], target[600];
        snprintf(source, sizeof source, "%s/%s", from, d->d_name);
        snprintf(target, sizeof target, "%s/%s", to, d->d_name);
        struct buf b = scratch_load(source);
        scratch_save(target, buf_slice(&b));
        buf_free(&b);
    }
    closedir(dir);
}

/* Calls `each(arg, name)` for the files whose names end in `suffix`; "" means all. Answers how many there
 * were. */
__attribute__((unused)) static int scratch_files(const char *path, const char *suffix,
                                                 void (*each)(void *arg, const char *name), void *arg) {
    DIR *dir = opendir(path);
    scratch_must(dir != NULL, path);
    int count = 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        size_t len = strlen(d->d_name), end = strlen(suffix);
        if (d->d_name[0] == '.' || len < end || strcmp(d->d_name + len - end, suffix) != 0) continue;
        count++;
        if (each != NULL) each(arg, d->d_name);
    }
    closedir(dir);
    return count;
}

#endif
