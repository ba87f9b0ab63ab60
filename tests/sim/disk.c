/* See disk.h: the disk itself, and the calls of libc by which a process uses it. The linker sends those calls here
 * (--wrap); outside of a simulated process they go on to libc. */
#include "disk.h"

#include "mem.h"
#include "sim_kv.h"
#include "sim_uv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SECTOR = 512, PAGE = 4096, DOOMED_US = 30 * SIM_MS };
#define FREE_BYTES (UINT64_C(100) << 30)

/* A name appeared, went, or moved: what it takes to undo it. */
struct name_change {
    struct list link;
    enum { NAME_MADE, NAME_GONE, NAME_MOVED } kind;
    struct inode *dir, *to_dir, *inode, *replaced;
    char name[200], to_name[200];
};

static struct disk *test_disk;

void disk_use(struct disk *d) {
    test_disk = d;
}

struct disk *disk_current(void) {
    struct process *p = process_running();
    return p != NULL ? machine_disk(p->machine) : test_disk;
}

/* --- inodes and names --- */

static struct inode *inode_new(bool is_dir) {
    struct inode *i = mem_calloc(1, sizeof *i);
    i->is_dir = is_dir;
    i->refs = 1;
    i->old_len = NOT_CHANGED;
    list_init(&i->entries);
    return i;
}

struct inode *inode_keep(struct inode *i) {
    i->refs++;
    return i;
}

void inode_drop(struct inode *i) {
    if (i == NULL || --i->refs > 0) return;
    while (!list_empty(&i->entries)) {
        struct entry *e = container_of(i->entries.next, struct entry, link);
        list_unlink(&e->link);
        inode_drop(e->inode);
        mem_free(e);
    }
    if (i->db != NULL) kvdb_free(i->db);
    buf_free(&i->data);
    buf_free(&i->old);
    mem_free(i);
}

static struct entry *entry_find(struct inode *dir, const char *name) {
    LIST_FOR_EACH(it, &dir->entries) {
        struct entry *e = container_of(it, struct entry, link);
        if (strcmp(e->name, name) == 0) return e;
    }
    return NULL;
}

static void entry_add(struct inode *dir, const char *name, struct inode *inode) {
    struct entry *e = mem_calloc(1, sizeof *e);
    CHECK(strlen(name) < sizeof e->name);
    strcpy(e->name, name);
    e->inode = inode_keep(inode);
    list_push_back(&dir->entries, &e->link);
}

static void entry_remove(struct entry *e) {
    list_unlink(&e->link);
    inode_drop(e->inode);
    mem_free(e);
}

/* The folder that holds the last part of the path, and that part. NULL with errno when a folder is missing. */
static struct inode *walk(struct disk *d, struct inode *from, const char *path, char name[200]) {
    enum { DEPTH_MAX = 32 };
    struct inode *stack[DEPTH_MAX];
    size_t depth = 0;
    stack[0] = *path == '/' || from == NULL ? d->root : from;
    strcpy(name, ".");
    while (*path != '\0') {
        while (*path == '/') path++;
        size_t len = strcspn(path, "/");
        if (len == 0) break;
        char part[200];
        CHECK(len < sizeof part);
        memcpy(part, path, len);
        part[len] = '\0';
        path += len;
        bool last = path[strspn(path, "/")] == '\0';
        if (strcmp(part, ".") == 0) continue;
        if (strcmp(part, "..") == 0) {
            if (depth > 0) depth--;
            continue;
        }
        if (last) {
            strcpy(name, part);
            return stack[depth];
        }
        struct entry *e = entry_find(stack[depth], part);
        if (e == NULL || !e->inode->is_dir) {
            errno = e == NULL ? ENOENT : ENOTDIR;
            return NULL;
        }
        CHECK(depth + 1 < DEPTH_MAX);
        stack[++depth] = e->inode;
    }
    return stack[depth];
}

static struct inode *find_from(struct disk *d, struct inode *from, const char *path) {
    char name[200];
    struct inode *dir = walk(d, from, path, name);
    if (dir == NULL || strcmp(name, ".") == 0) return dir;
    struct entry *e = entry_find(dir, name);
    if (e == NULL) errno = ENOENT;
    return e != NULL ? e->inode : NULL;
}

struct inode *disk_find(struct disk *d, const char *path) {
    return find_from(d, NULL, path);
}

static struct inode *keep_or_null(struct inode *i) {
    return i != NULL ? inode_keep(i) : NULL;
}

static void note_change(struct disk *d, struct name_change change, const char *name, const char *to_name) {
    struct name_change *c = mem_alloc(sizeof *c);
    *c = change;
    strcpy(c->name, name);
    strcpy(c->to_name, to_name);
    keep_or_null(c->dir);
    keep_or_null(c->to_dir);
    keep_or_null(c->inode);
    keep_or_null(c->replaced);
    list_push_back(&d->journal, &c->link);
}

static void change_free(struct name_change *c) {
    list_unlink(&c->link);
    inode_drop(c->dir);
    inode_drop(c->to_dir);
    inode_drop(c->inode);
    inode_drop(c->replaced);
    mem_free(c);
}

static void undo(struct name_change *c) {
    struct entry *e;
    switch (c->kind) {
    case NAME_MADE:
        if ((e = entry_find(c->dir, c->name)) != NULL) entry_remove(e);
        break;
    case NAME_GONE: entry_add(c->dir, c->name, c->inode); break;
    case NAME_MOVED:
        if ((e = entry_find(c->to_dir, c->to_name)) != NULL) entry_remove(e);
        entry_add(c->dir, c->name, c->inode);
        if (c->replaced != NULL) entry_add(c->to_dir, c->to_name, c->replaced);
        break;
    }
}

static bool name_is_pending(const struct disk *d, const struct inode *i) {
    LIST_FOR_EACH(it, &d->journal) {
        const struct name_change *c = container_of(it, struct name_change, link);
        if (c->inode == i && c->kind != NAME_GONE) return true;
    }
    return false;
}

bool disk_path_is_pending(struct disk *d, const char *path) {
    if (list_empty(&d->journal)) return false;
    char above[800];
    CHECK(strlen(path) < sizeof above);
    for (const char *end = path + 1; *(end - 1) != '\0'; end++) {
        if (*end != '/' && *end != '\0') continue;
        memcpy(above, path, (size_t)(end - path));
        above[end - path] = '\0';
        const struct inode *i = disk_find(d, above);
        if (i != NULL && name_is_pending(d, i)) return true;
    }
    return false;
}

void disk_commit_names(struct disk *d) {
    while (!list_empty(&d->journal)) change_free(container_of(d->journal.next, struct name_change, link));
}

/* Syncing a folder makes its changes durable, and those before them: names are journalled in order. */
static void commit_names_of(struct disk *d, const struct inode *dir) {
    struct list *last = NULL;
    LIST_FOR_EACH(it, &d->journal) {
        struct name_change *c = container_of(it, struct name_change, link);
        if (c->dir == dir || c->to_dir == dir) last = it;
    }
    for (bool more = last != NULL; more;) {
        struct list *first = d->journal.next;
        more = first != last;
        change_free(container_of(first, struct name_change, link));
    }
}

static struct inode *make(struct disk *d, struct inode *dir, const char *name, bool is_dir) {
    struct inode *i = inode_new(is_dir);
    entry_add(dir, name, i);
    note_change(d, (struct name_change){.kind = NAME_MADE, .dir = dir, .inode = i}, name, "");
    inode_drop(i); /* its name keeps it */
    return i;
}

static void remove_entry(struct disk *d, struct inode *dir, struct entry *e) {
    note_change(d, (struct name_change){.kind = NAME_GONE, .dir = dir, .inode = e->inode}, e->name, "");
    entry_remove(e);
}

enum rc disk_make_dir(struct disk *d, const char *path, bool durable) {
    SIM_HEAP;
    char name[200];
    struct inode *dir = walk(d, NULL, path, name);
    if (dir == NULL) return RC_NOT_FOUND;
    if (strcmp(name, ".") == 0 || entry_find(dir, name) != NULL) return RC_OK;
    make(d, dir, name, true);
    if (durable) disk_commit_names(d);
    return RC_OK;
}

struct inode *disk_make_file(struct disk *d, const char *path, bool durable) {
    SIM_HEAP;
    char name[200];
    struct inode *dir = walk(d, NULL, path, name);
    if (dir == NULL) return NULL;
    struct entry *e = entry_find(dir, name);
    struct inode *i = e != NULL ? e->inode : make(d, dir, name, false);
    if (durable) disk_commit_names(d);
    return i;
}

enum rc disk_remove(struct disk *d, const char *path) {
    SIM_HEAP;
    char name[200];
    struct inode *dir = walk(d, NULL, path, name);
    struct entry *e = dir != NULL ? entry_find(dir, name) : NULL;
    if (e == NULL) return RC_NOT_FOUND;
    remove_entry(d, dir, e);
    return RC_OK;
}

/* --- what is durable --- */

static void add_zeros(struct buf *b, size_t count) {
    if (count == 0) return;
    buf_reserve(b, count);
    memset(b->data + b->len, 0, count);
    b->len += count;
}

/* Before [at, at + len) changes: what a power cut may go back to. */
static void touch(struct inode *i, size_t at, size_t len) {
    /* A page that is written to again is dirty again, all of it. */
    if (i->lost && i->data.len <= PAGE) i->lost = false;
    if (i->old_len == NOT_CHANGED) {
        buf_clear(&i->old);
        i->old_from = at;
        i->old_len = i->data.len;
    }
    if (at < i->old_from) {
        struct buf all = {0};
        buf_add(&all, i->data.data + at, i->old_from - at);
        buf_add_slice(&all, buf_slice(&i->old));
        buf_free(&i->old);
        i->old = all;
        i->old_from = at;
    }
    size_t from = i->old_from + i->old.len, end = at + len, has = end < i->data.len ? end : i->data.len;
    if (from < has) buf_add(&i->old, i->data.data + from, has - from);
    add_zeros(&i->old, from < end ? end - (from < has ? has : from) : 0);
    i->dirty = true;
}

void inode_is_durable(struct inode *i) {
    i->dirty = i->lost = false;
    i->old_len = NOT_CHANGED;
    if (i->old.cap > PAGE) buf_free(&i->old);
}

static void settle(struct inode *i) {
    i->dirty = false;
    /* What an earlier sync lost, this one does not write either: the cache calls it clean. */
    if (!i->lost) inode_is_durable(i);
}

/* Sector by sector the old or the new content; a size in between. */
static void tear(struct inode *i) {
    struct buf out = {0};
    size_t least = i->old_len < i->data.len ? i->old_len : i->data.len;
    size_t most = i->old_len < i->data.len ? i->data.len : i->old_len;
    size_t len = sim_between(least, most), end = i->old_from + i->old.len;
    bool all_old = sim_chance(0.3), all_new = !all_old && sim_chance(0.4);
    if (all_old) len = i->old_len;
    if (all_new) len = i->data.len;
    buf_add(&out, i->data.data, i->data.len);
    while (out.len < len) buf_add_byte(&out, 0);
    for (size_t at = i->old_from - i->old_from % SECTOR; at < end; at += SECTOR) {
        if (all_new || (!all_old && sim_chance(0.5))) continue;
        for (size_t k = at > i->old_from ? at : i->old_from; k < at + SECTOR && k < end && k < out.len; k++)
            out.data[k] = i->old.data[k - i->old_from];
    }
    out.len = len;
    buf_free(&i->data);
    i->data = out;
    inode_is_durable(i);
}

static void cut_power(struct inode *i) {
    i->locked_by = NULL;
    if (i->db != NULL) kvdb_power_cut(i->db);
    if (i->dirty || i->lost) tear(i);
    LIST_FOR_EACH(it, &i->entries) {
        cut_power(container_of(it, struct entry, link)->inode);
    }
}

void disk_power_cut(struct disk *d) {
    SIM_HEAP;
    size_t count = 0;
    LIST_FOR_EACH(it, &d->journal) {
        count++;
    }
    for (size_t undone = count > 0 ? sim_below(count + 1) : 0; undone > 0; undone--) {
        struct name_change *c = container_of(d->journal.prev, struct name_change, link);
        undo(c);
        change_free(c);
    }
    disk_commit_names(d);
    cut_power(d->root);
}

struct disk *disk_new(void) {
    SIM_HEAP;
    struct disk *d = mem_calloc(1, sizeof *d);
    list_init(&d->journal);
    d->root = inode_new(true);
    d->manners = (struct disk_manners){.sync_us = 100, .free_bytes = FREE_BYTES};
    return d;
}

void disk_wipe(struct disk *d) {
    SIM_HEAP;
    disk_commit_names(d);
    inode_drop(d->root);
    d->root = inode_new(true);
    d->was_bad = d->manners.sync_fails > 0 || d->manners.free_bytes < FREE_BYTES;
}

void disk_free(struct disk *d) {
    if (d == NULL) return;
    SIM_HEAP;
    disk_commit_names(d);
    inode_drop(d->root);
    mem_free(d);
}

static void count_rot(struct inode *i, const char *name, struct inode **chosen, char *what, size_t cap,
                      uint64_t *seen) {
    bool fits = !i->is_dir && i->data.len > 0;
    if (i->db != NULL && kvdb_rows(i->db) > 0) fits = true;
    if (fits && sim_below(++*seen) == 0) {
        *chosen = i;
        snprintf(what, cap, "%s", name);
    }
    LIST_FOR_EACH(it, &i->entries) {
        struct entry *e = container_of(it, struct entry, link);
        count_rot(e->inode, e->name, chosen, what, cap, seen);
    }
}

bool disk_rot(struct disk *d, char *what, size_t cap) {
    struct inode *i = NULL;
    uint64_t seen = 0;
    count_rot(d->root, "/", &i, what, cap, &seen);
    if (i == NULL) return false;
    d->was_bad = true;
    if (i->db != NULL) {
        kvdb_rot(i->db);
        return true;
    }
    size_t at = sim_below(i->data.len);
    i->data.data[at] = (char)(i->data.data[at] ^ (1 << sim_below(8)));
    return true;
}

enum rc disk_sync(struct disk *d) {
    const struct disk_manners *m = &d->manners;
    d->syncs++;
    if (d->doomed != NULL) {
        void (*tell)(struct disk * d) = d->doomed;
        d->doomed = NULL;
        tell(d);
        sim_sleep_us(DOOMED_US);
    }
    sim_sleep_us(sim_chance(m->stall_chance) ? sim_below(2 * m->stall_us + 1) : 10 + sim_around(m->sync_us));
    return sim_chance(m->sync_fails) ? RC_IO : RC_OK;
}

/* --- a process's files --- */

struct sim_file *file_of_fd(int fd) {
    struct process *p = process_running();
    if (p == NULL || fd < SIM_FD_FIRST || fd >= SIM_FD_FIRST + SIM_FD_MAX) return NULL;
    return p->files[fd - SIM_FD_FIRST];
}

static int fd_new(struct sim_file *f) {
    struct process *p = process_running();
    for (int i = 0; i < SIM_FD_MAX; i++) {
        if (p->files[i] != NULL) continue;
        p->files[i] = f;
        return SIM_FD_FIRST + i;
    }
    sim_fail("more open files than the simulator has places for");
}

static struct sim_file *file_new(struct inode *i) {
    struct sim_file *f = mem_calloc(1, sizeof *f);
    f->inode = i != NULL ? inode_keep(i) : NULL;
    return f;
}

static void file_free(struct sim_file *f, const struct process *p) {
    if (f->inode != NULL && f->inode->locked_by == p) f->inode->locked_by = NULL;
    if (f->kind == FILE_SOCKET) conn_unref(f->conn);
    inode_drop(f->inode);
    mem_free(f);
}

int fd_of_conn(struct conn_ref *c) {
    SIM_HEAP;
    struct sim_file *f = file_new(NULL);
    f->kind = FILE_SOCKET;
    f->conn = c;
    conn_addref(c);
    return fd_new(f);
}

void files_forget(struct process *p) {
    SIM_HEAP;
    for (int i = 0; i < SIM_FD_MAX; i++)
        if (p->files[i] != NULL) file_free(p->files[i], p);
    kvdb_process_ended(p);
}

static int refuse(int error) {
    errno = error;
    return -1;
}

static bool write_fails(struct disk *d) {
    if (d->manners.free_bytes == 0) errno = ENOSPC;
    if (d->manners.free_bytes == 0) return true;
    if (!sim_chance(d->manners.write_fails)) return false;
    errno = sim_chance(0.5) ? EIO : ENOSPC;
    return true;
}

static int open_from(struct inode *from, const char *path, int flags) {
    SIM_HEAP;
    struct disk *d = disk_current();
    char name[200];
    struct inode *dir = walk(d, from, path, name);
    if (dir == NULL) return -1;
    struct inode *i = dir;
    if (strcmp(name, ".") != 0) {
        struct entry *e = entry_find(dir, name);
        if (e == NULL && !(flags & O_CREAT)) return refuse(ENOENT);
        if (e != NULL && (flags & O_CREAT) && (flags & O_EXCL)) return refuse(EEXIST);
        if (e == NULL && write_fails(d)) return -1;
        i = e != NULL ? e->inode : make(d, dir, name, false);
    }
    if ((flags & O_DIRECTORY) && !i->is_dir) return refuse(ENOTDIR);
    bool writable = (flags & O_ACCMODE) != O_RDONLY;
    if (writable && i->is_dir) return refuse(EISDIR);
    if ((flags & O_TRUNC) && writable && i->data.len > 0) {
        touch(i, 0, i->data.len);
        i->lost = false;
        buf_clear(&i->data);
    }
    struct sim_file *f = file_new(i);
    f->writable = writable;
    f->append = (flags & O_APPEND) != 0;
    return fd_new(f);
}

/* --- the calls --- */

#define WRAP(result, name, ...)                                                                              \
    result __real_##name(__VA_ARGS__);                                                                       \
    result __wrap_##name(__VA_ARGS__);                                                                       \
    result __wrap_##name(__VA_ARGS__)

WRAP(int, open, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (process_running() == NULL) return __real_open(path, flags, mode);
    return open_from(NULL, path, flags);
}

WRAP(int, openat, int dirfd, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (process_running() == NULL) return __real_openat(dirfd, path, flags, mode);
    struct sim_file *f = file_of_fd(dirfd);
    return open_from(f != NULL ? f->inode : NULL, path, flags);
}

WRAP(int, close, int fd) {
    if (process_running() == NULL || fd < SIM_FD_FIRST) return __real_close(fd);
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL) return refuse(EBADF);
    SIM_HEAP;
    process_running()->files[fd - SIM_FD_FIRST] = NULL;
    file_free(f, process_running());
    return 0;
}

/* What is in no cache takes a while, and meanwhile others write. */
static ssize_t read_at(struct sim_file *f, void *out, size_t len, size_t at) {
    struct inode *i = f->inode;
    if (i->is_dir) return refuse(EISDIR);
    if (sim_chance(0.02)) sim_sleep_us(sim_around(3 * SIM_MS));
    if (at >= i->data.len) return 0;
    if (len > i->data.len - at) len = i->data.len - at;
    memcpy(out, i->data.data + at, len);
    return (ssize_t)len;
}

static ssize_t write_at(struct sim_file *f, const void *data, size_t len, size_t at) {
    struct disk *d = disk_current();
    struct inode *i = f->inode;
    if (!f->writable) return refuse(EBADF);
    if (write_fails(d)) return -1;
    SIM_HEAP;
    touch(i, at, len);
    add_zeros(&i->data, at + len > i->data.len ? at + len - i->data.len : 0);
    memcpy(i->data.data + at, data, len);
    d->bytes_written += len;
    return (ssize_t)len;
}

static ssize_t event_read(struct sim_file *f, void *out, size_t len) {
    if (len < sizeof f->counter) return refuse(EINVAL);
    if (f->counter == 0) return refuse(EAGAIN);
    memcpy(out, &f->counter, sizeof f->counter);
    f->counter = 0;
    return sizeof f->counter;
}

static ssize_t event_write(struct sim_file *f, const void *data, size_t len, int fd) {
    uint64_t more;
    if (len != sizeof more) return refuse(EINVAL);
    memcpy(&more, data, sizeof more);
    f->counter += more;
    loop_fd_ready(process_running(), fd);
    return sizeof more;
}

WRAP(ssize_t, read, int fd, void *out, size_t len) {
    if (process_running() == NULL || fd < SIM_FD_FIRST) return __real_read(fd, out, len);
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL) return refuse(EBADF);
    if (f->kind == FILE_EVENT) return event_read(f, out, len);
    ssize_t n = read_at(f, out, len, f->at);
    if (n > 0) f->at += (size_t)n;
    return n;
}

WRAP(ssize_t, write, int fd, const void *data, size_t len) {
    if (process_running() == NULL || fd < SIM_FD_FIRST) return __real_write(fd, data, len);
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL) return refuse(EBADF);
    if (f->kind == FILE_EVENT) return event_write(f, data, len, fd);
    ssize_t n = write_at(f, data, len, f->append ? f->inode->data.len : f->at);
    if (n > 0) f->at += (size_t)n;
    return n;
}

WRAP(ssize_t, pread, int fd, void *out, size_t len, off_t at) {
    if (process_running() == NULL) return __real_pread(fd, out, len, at);
    struct sim_file *f = file_of_fd(fd);
    return f != NULL ? read_at(f, out, len, (size_t)at) : refuse(EBADF);
}

WRAP(ssize_t, pwrite, int fd, const void *data, size_t len, off_t at) {
    if (process_running() == NULL) return __real_pwrite(fd, data, len, at);
    struct sim_file *f = file_of_fd(fd);
    return f != NULL ? write_at(f, data, len, (size_t)at) : refuse(EBADF);
}

static int sync_file(int fd) {
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL) return refuse(EBADF);
    struct disk *d = disk_current();
    struct inode *i = f->inode;
    enum rc rc = disk_sync(d);
    CHECK(file_of_fd(fd) == f); /* nobody closes a file that is being synced; it keeps the inode */
    SIM_HEAP;
    if (rc != RC_OK) {
        i->lost = i->lost || i->dirty; /* what did not reach the disk is forgotten: no later sync writes it */
        i->dirty = false;
    } else if (i->is_dir) {
        commit_names_of(d, i);
    } else {
        settle(i);
    }
    return rc == RC_OK ? 0 : refuse(EIO);
}

WRAP(int, fsync, int fd) {
    return process_running() == NULL ? __real_fsync(fd) : sync_file(fd);
}

WRAP(int, fdatasync, int fd) {
    return process_running() == NULL ? __real_fdatasync(fd) : sync_file(fd);
}

WRAP(int, ftruncate, int fd, off_t len) {
    if (process_running() == NULL) return __real_ftruncate(fd, len);
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL || !f->writable) return refuse(EBADF);
    SIM_HEAP;
    size_t was = f->inode->data.len, is = (size_t)len;
    touch(f->inode, was < is ? was : is, was < is ? is - was : was - is);
    if (was < is) add_zeros(&f->inode->data, is - was);
    f->inode->data.len = is;
    return 0;
}

WRAP(off_t, lseek, int fd, off_t at, int whence) {
    if (process_running() == NULL) return __real_lseek(fd, at, whence);
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL) return refuse(EBADF);
    size_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? f->at : f->inode->data.len;
    f->at = base + (size_t)at;
    return (off_t)f->at;
}

/* The cache is dropped: what is read from here on is what the disk has, also where a sync failed. */
WRAP(int, posix_fadvise, int fd, off_t at, off_t len, int advice) {
    if (process_running() == NULL) return __real_posix_fadvise(fd, at, len, advice);
    struct sim_file *f = file_of_fd(fd);
    SIM_HEAP;
    if (f != NULL && advice == POSIX_FADV_DONTNEED && f->inode->lost && !f->inode->dirty) tear(f->inode);
    return 0;
}

WRAP(int, flock, int fd, int operation) {
    if (process_running() == NULL) return __real_flock(fd, operation);
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL) return refuse(EBADF);
    if (f->inode->locked_by != NULL && f->inode->locked_by != process_running()) return refuse(EWOULDBLOCK);
    f->inode->locked_by = process_running();
    return 0;
}

static int make_dir_from(struct inode *from, const char *path) {
    SIM_HEAP;
    struct disk *d = disk_current();
    char name[200];
    struct inode *dir = walk(d, from, path, name);
    if (dir == NULL) return -1;
    if (strcmp(name, ".") == 0 || entry_find(dir, name) != NULL) return refuse(EEXIST);
    if (write_fails(d)) return -1;
    make(d, dir, name, true);
    return 0;
}

WRAP(int, mkdir, const char *path, mode_t mode) {
    return process_running() == NULL ? __real_mkdir(path, mode) : make_dir_from(NULL, path);
}

WRAP(int, mkdirat, int dirfd, const char *path, mode_t mode) {
    if (process_running() == NULL) return __real_mkdirat(dirfd, path, mode);
    struct sim_file *f = file_of_fd(dirfd);
    return make_dir_from(f != NULL ? f->inode : NULL, path);
}

static int remove_from(struct inode *from, const char *path, bool dir_wanted) {
    SIM_HEAP;
    struct disk *d = disk_current();
    char name[200];
    struct inode *dir = walk(d, from, path, name);
    if (dir == NULL) return -1;
    struct entry *e = entry_find(dir, name);
    if (e == NULL) return refuse(ENOENT);
    if (e->inode->is_dir != dir_wanted) return refuse(dir_wanted ? ENOTDIR : EISDIR);
    if (dir_wanted && !list_empty(&e->inode->entries)) return refuse(ENOTEMPTY);
    remove_entry(d, dir, e);
    return 0;
}

WRAP(int, unlink, const char *path) {
    return process_running() == NULL ? __real_unlink(path) : remove_from(NULL, path, false);
}

WRAP(int, rmdir, const char *path) {
    return process_running() == NULL ? __real_rmdir(path) : remove_from(NULL, path, true);
}

WRAP(int, unlinkat, int dirfd, const char *path, int flags) {
    if (process_running() == NULL) return __real_unlinkat(dirfd, path, flags);
    struct sim_file *f = file_of_fd(dirfd);
    return remove_from(f != NULL ? f->inode : NULL, path, (flags & AT_REMOVEDIR) != 0);
}

static int move(struct inode *from, const char *old, struct inode *to, const char *new) {
    SIM_HEAP;
    struct disk *d = disk_current();
    char name[200], to_name[200];
    struct inode *dir = walk(d, from, old, name), *to_dir = walk(d, to, new, to_name);
    if (dir == NULL || to_dir == NULL) return -1;
    struct entry *e = entry_find(dir, name), *over = entry_find(to_dir, to_name);
    if (e == NULL) return refuse(ENOENT);
    if (over == e) return 0;
    if (over != NULL && over->inode->is_dir && !list_empty(&over->inode->entries)) return refuse(ENOTEMPTY);
    if (over != NULL && over->inode->is_dir != e->inode->is_dir)
        return refuse(over->inode->is_dir ? EISDIR : ENOTDIR);
    struct inode *i = inode_keep(e->inode);
    note_change(d,
                (struct name_change){.kind = NAME_MOVED,
                                     .dir = dir,
                                     .to_dir = to_dir,
                                     .inode = i,
                                     .replaced = over != NULL ? over->inode : NULL},
                name, to_name);
    if (over != NULL) entry_remove(over);
    entry_remove(e);
    entry_add(to_dir, to_name, i);
    inode_drop(i);
    return 0;
}

WRAP(int, rename, const char *old, const char *new) {
    return process_running() == NULL ? __real_rename(old, new) : move(NULL, old, NULL, new);
}

WRAP(int, renameat, int old_dirfd, const char *old, int new_dirfd, const char *new) {
    if (process_running() == NULL) return __real_renameat(old_dirfd, old, new_dirfd, new);
    struct sim_file *f = file_of_fd(old_dirfd), *g = file_of_fd(new_dirfd);
    return move(f != NULL ? f->inode : NULL, old, g != NULL ? g->inode : NULL, new);
}

WRAP(int, link, const char *old, const char *new) {
    if (process_running() == NULL) return __real_link(old, new);
    SIM_HEAP;
    struct disk *d = disk_current();
    char name[200];
    struct inode *i = find_from(d, NULL, old), *dir = walk(d, NULL, new, name);
    if (i == NULL || dir == NULL) return -1;
    if (entry_find(dir, name) != NULL) return refuse(EEXIST);
    entry_add(dir, name, i);
    note_change(d, (struct name_change){.kind = NAME_MADE, .dir = dir, .inode = i}, name, "");
    return 0;
}

static int exists(struct inode *from, const char *path) {
    return find_from(disk_current(), from, path) != NULL ? 0 : -1;
}

WRAP(int, access, const char *path, int mode) {
    return process_running() == NULL ? __real_access(path, mode) : exists(NULL, path);
}

WRAP(int, faccessat, int dirfd, const char *path, int mode, int flags) {
    if (process_running() == NULL) return __real_faccessat(dirfd, path, mode, flags);
    struct sim_file *f = file_of_fd(dirfd);
    return exists(f != NULL ? f->inode : NULL, path);
}

static int describe(const struct inode *i, struct stat *out) {
    if (i == NULL) return -1;
    memset(out, 0, sizeof *out);
    out->st_mode = i->is_dir ? S_IFDIR | 0755 : S_IFREG | 0644;
    out->st_size = (off_t)i->data.len;
    out->st_nlink = 1;
    return 0;
}

WRAP(int, stat, const char *path, struct stat *out) {
    if (process_running() == NULL) return __real_stat(path, out);
    return describe(find_from(disk_current(), NULL, path), out);
}

WRAP(int, lstat, const char *path, struct stat *out) {
    if (process_running() == NULL) return __real_lstat(path, out);
    return describe(find_from(disk_current(), NULL, path), out);
}

WRAP(int, fstat, int fd, struct stat *out) {
    if (process_running() == NULL || fd < SIM_FD_FIRST) return __real_fstat(fd, out);
    struct sim_file *f = file_of_fd(fd);
    return f != NULL ? describe(f->inode, out) : refuse(EBADF);
}

WRAP(int, fstatat, int dirfd, const char *path, struct stat *out, int flags) {
    if (process_running() == NULL) return __real_fstatat(dirfd, path, out, flags);
    struct sim_file *f = file_of_fd(dirfd);
    return describe(find_from(disk_current(), f != NULL ? f->inode : NULL, path), out);
}

WRAP(int, statvfs, const char *path, struct statvfs *out) {
    if (process_running() == NULL) return __real_statvfs(path, out);
    memset(out, 0, sizeof *out);
    out->f_frsize = out->f_bsize = 4096;
    out->f_bavail = out->f_bfree = disk_current()->manners.free_bytes / 4096;
    out->f_blocks = UINT64_C(200) << 18;
    return 0;
}

/* A folder being read: the names as they were when it was opened. */
struct sim_dir {
    int fd;
    size_t at, count;
    struct dirent *items;
};

static struct sim_dir *read_names(int fd) {
    struct inode *dir = file_of_fd(fd)->inode;
    struct sim_dir *s = mem_calloc(1, sizeof *s);
    s->fd = fd;
    LIST_FOR_EACH(it, &dir->entries) {
        s->count++;
    }
    s->items = mem_calloc(s->count + 1, sizeof *s->items);
    size_t k = 0;
    LIST_FOR_EACH(it, &dir->entries) {
        struct entry *e = container_of(it, struct entry, link);
        s->items[k].d_type = e->inode->is_dir ? DT_DIR : DT_REG;
        strcpy(s->items[k++].d_name, e->name);
    }
    return s;
}

WRAP(DIR *, opendir, const char *path) {
    if (process_running() == NULL) return __real_opendir(path);
    int fd = open_from(NULL, path, O_RDONLY | O_DIRECTORY);
    return fd < 0 ? NULL : (DIR *)(void *)read_names(fd);
}

WRAP(DIR *, fdopendir, int fd) {
    if (process_running() == NULL) return __real_fdopendir(fd);
    return (DIR *)(void *)read_names(fd);
}

WRAP(struct dirent *, readdir, DIR *dir) {
    if (process_running() == NULL) return __real_readdir(dir);
    struct sim_dir *s = (struct sim_dir *)(void *)dir;
    return s->at < s->count ? &s->items[s->at++] : NULL;
}

WRAP(int, dirfd, DIR *dir) {
    return process_running() == NULL ? __real_dirfd(dir) : ((struct sim_dir *)(void *)dir)->fd;
}

WRAP(int, closedir, DIR *dir) {
    if (process_running() == NULL) return __real_closedir(dir);
    struct sim_dir *s = (struct sim_dir *)(void *)dir;
    __wrap_close(s->fd);
    mem_free(s->items);
    mem_free(s);
    return 0;
}

WRAP(int, eventfd, unsigned initial, int flags) {
    if (process_running() == NULL) return __real_eventfd(initial, flags);
    SIM_HEAP;
    struct sim_file *f = file_new(NULL);
    f->kind = FILE_EVENT;
    f->counter = initial;
    return fd_new(f);
}

WRAP(int, dup, int fd) {
    if (process_running() == NULL || fd < SIM_FD_FIRST) return __real_dup(fd);
    struct sim_file *f = file_of_fd(fd);
    if (f == NULL || f->kind != FILE_SOCKET) return refuse(EBADF);
    return fd_of_conn(f->conn);
}

/* Of a descriptor only its copying is asked for here. */
WRAP(int, fcntl, int fd, int command, ...) {
    va_list args;
    va_start(args, command);
    long arg = va_arg(args, long);
    va_end(args);
    if (process_running() == NULL || fd < SIM_FD_FIRST) return __real_fcntl(fd, command, arg);
    return command == F_DUPFD_CLOEXEC || command == F_DUPFD ? __wrap_dup(fd) : 0;
}
