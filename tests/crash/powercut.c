/* A disk that forgets. Preloaded into a program (LD_PRELOAD), this library notes in a journal everything that
 * the program does to the files below one directory and that a power cut could undo: writes, truncations, and
 * the names that appear, move and disappear. It keeps enough beside the directory (the bytes that a write
 * replaces, a second link to every file that loses a name) for powercut.py to build, after the program was
 * killed at any instant, a directory that a disk could have held: what was synced is there, what was not is
 * there in part, torn, or not at all.
 *
 * It also plays a failing disk: while a control file exists, writes find no space, or a sync returns EIO.
 *
 *   POWERCUT_DIR      the directory, an absolute path without links; nothing is noted without it
 *   POWERCUT_SIDE     an existing directory on the same file system, outside POWERCUT_DIR, for journal and grave
 *   POWERCUT_AT       kill the process as it starts its Nth tracked operation; can be changed in the journal's head
 *   POWERCUT_SYNC_US  how long a sync takes (default 100 us); the real one is left out, the journal stands for it
 *   POWERCUT_CTL      a directory for the control files:
 *                       enospc    writes that need new blocks, and mkdir, fail with ENOSPC; the first such
 *                                 write is cut short instead. statvfs() says so, too, unless the file's
 *                                 text is "quota"
 *                       low-space only statvfs() says that the disk is full; there is a little room left
 *                       eio-read  reads of the files whose path contains its text fail with EIO
 *                       eio-sync  a number N: the Nth sync from now fails with EIO; 0: every sync fails
 *
 * Promises: an operation is in the journal before it is in the file (so a kill between the two loses nothing that
 * is needed to undo it), and a sync is in the journal only when it covers every operation that returned before it
 * started. sync_file_range() makes nothing durable, as its manual says. What cannot be followed (a shared
 * writable mapping) stops the program loudly. Which of the unsynced operations survive is left to powercut.py.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FD_MAX        65536
#define JOURNAL_BYTES (UINT64_C(4) << 30) /* sparse; a process that fills it is stopped */
#define HEAD_BYTES    4096
#define REC_MAGIC     0x31524350u /* "PCR1" */

/* powercut.py reads these two structures; the numbers are theirs, too. */
enum rec_type {
    REC_BASE_DIR = 1, /* ino, dino, name: was there, durably, when the process started */
    REC_BASE_FILE = 2,
    REC_WRITE = 3,     /* ino, off, len, size before, the replaced bytes */
    REC_TRUNC = 4,     /* ino, off = new size, size before, the bytes cut off */
    REC_SYNC = 5,      /* ino, off = the journal position that it covers, size */
    REC_SYNC_FAIL = 6, /* the same: what it would have covered may be gone for good */
    REC_SYNC_ALL = 7,
    REC_CREATE = 8, /* ino, dino, name */
    REC_MKDIR = 9,
    REC_LINK = 10,
    REC_UNLINK = 11,
    REC_RENAME = 12, /* ino, dino, name -> dino2, name2 */
};

struct rec {
    uint32_t magic, type, total_len, name_len, name2_len, pad;
    uint64_t ino, dino, dino2, off, len, size, data_len;
    int64_t res; /* what the operation returned; -1: the process died in it; -2: it failed */
};
_Static_assert(sizeof(struct rec) == 88, "powercut.py reads this layout");

struct head {
    char magic[8];
    _Atomic uint64_t tail;
    _Atomic uint64_t op_count;
    _Atomic uint64_t cut_at; /* 0: never */
    uint64_t pad[4];
    pthread_mutex_t lock; /* shared by the process and its forks */
};

struct tracked {
    bool on, append, dsync;
    dev_t dev;
    ino_t ino;
};

static struct head *head;
static char root[PATH_MAX], grave[PATH_MAX], ctl[PATH_MAX];
static size_t root_len;
static long sync_us = 100;
static bool space_gone;
static struct tracked fds[FD_MAX];

static _Noreturn void die(const char *what, const char *detail) {
    char line[PATH_MAX + 256];
    int n = snprintf(line, sizeof line, "powercut: %s: %s (errno %d)\n", what, detail, errno);
    if (n > 0) syscall(SYS_write, 2, line, (size_t)n);
    syscall(SYS_kill, getpid(), SIGABRT);
    _exit(134);
}

/* -------------------------------------------------------------------------------------------- the journal */

static void lock(void) {
    int rc = pthread_mutex_lock(&head->lock);
    if (rc == EOWNERDEAD) pthread_mutex_consistent(&head->lock); /* a fork was killed inside */
}

static void unlock(void) {
    int saved = errno;
    pthread_mutex_unlock(&head->lock);
    errno = saved;
}

static struct rec *rec_begin(enum rec_type type, const char *name, const char *name2, uint64_t data_len) {
    uint64_t at = atomic_load(&head->tail);
    size_t name_len = name ? strlen(name) : 0, name2_len = name2 ? strlen(name2) : 0;
    uint64_t total_len = (sizeof(struct rec) + name_len + name2_len + data_len + 7) & ~UINT64_C(7);
    if (total_len > UINT32_MAX || at + total_len > JOURNAL_BYTES) die("the journal is full", root);
    struct rec *r = (struct rec *)((char *)head + at);
    *r = (struct rec){.magic = REC_MAGIC,
                      .type = type,
                      .total_len = (uint32_t)total_len,
                      .name_len = (uint32_t)name_len,
                      .name2_len = (uint32_t)name2_len,
                      .data_len = data_len,
                      .res = -1};
    if (name_len) memcpy(r + 1, name, name_len);
    if (name2_len) memcpy((char *)(r + 1) + name_len, name2, name2_len);
    return r;
}

static char *rec_data(struct rec *r) {
    return (char *)(r + 1) + r->name_len + r->name2_len;
}

/* The tail moves last: a kill before this leaves a record that nobody sees. */
static void rec_commit(struct rec *r) {
    atomic_fetch_add(&head->tail, r->total_len);
}

static void rec_name(enum rec_type type, uint64_t ino, uint64_t dino, const char *name) {
    struct rec *r = rec_begin(type, name, NULL, 0);
    r->ino = ino;
    r->dino = dino;
    rec_commit(r);
}

static void rec_sync(enum rec_type type, const struct stat *st, uint64_t covers) {
    struct rec *r = rec_begin(type, NULL, NULL, 0);
    r->ino = st ? st->st_ino : 0;
    r->size = st ? (uint64_t)st->st_size : 0;
    r->off = covers;
    rec_commit(r);
}

/* The bytes [off, off + len) of fd's file, which may be open for writing only. */
static void read_old(int fd, char *to, uint64_t len, uint64_t off) {
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int in = (int)syscall(SYS_openat, AT_FDCWD, self, O_RDONLY | O_CLOEXEC);
    if (in < 0) die("cannot read back", self);
    while (len > 0) {
        ssize_t n = syscall(SYS_pread64, in, to, len, off);
        if (n < 0) die("cannot read back", self);
        if (n == 0) break;
        to += n;
        off += (uint64_t)n;
        len -= (uint64_t)n;
    }
    syscall(SYS_close, in);
}

static void rec_overwrite(int fd, uint64_t off, uint64_t len, const struct stat *st, struct rec **out) {
    uint64_t size = (uint64_t)st->st_size;
    uint64_t old_len = off >= size ? 0 : (len < size - off ? len : size - off);
    struct rec *r = rec_begin(REC_WRITE, NULL, NULL, old_len);
    r->ino = st->st_ino;
    r->off = off;
    r->len = len;
    r->size = size;
    if (old_len) read_old(fd, rec_data(r), old_len, off);
    rec_commit(r);
    *out = r;
}

static struct rec *rec_resize(int fd, uint64_t new_size, const struct stat *st) {
    uint64_t size = (uint64_t)st->st_size;
    uint64_t old_len = new_size < size ? size - new_size : 0;
    struct rec *r = rec_begin(REC_TRUNC, NULL, NULL, old_len);
    r->ino = st->st_ino;
    r->off = new_size;
    r->size = size;
    if (old_len) read_old(fd, rec_data(r), old_len, new_size);
    rec_commit(r);
    return r;
}

/* Every tracked operation passes here, under the lock: the instant at which the power may go. */
static void cut_point(void) {
    uint64_t n = atomic_fetch_add(&head->op_count, 1) + 1;
    uint64_t cut_at = atomic_load(&head->cut_at);
    if (cut_at == 0 || n < cut_at) return;
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* ---------------------------------------------------------------------------------------------- the start */

static void note_base(const char *path, uint64_t dino, const char *name) {
    struct stat st;
    if (lstat(path, &st) != 0) die("cannot stat", path);
    if (!S_ISDIR(st.st_mode)) {
        struct rec *r = rec_begin(REC_BASE_FILE, name, NULL, 0);
        r->ino = st.st_ino;
        r->dino = dino;
        r->size = (uint64_t)st.st_size;
        rec_commit(r);
        return;
    }
    rec_name(REC_BASE_DIR, st.st_ino, dino, name);
    DIR *dir = opendir(path);
    if (dir == NULL) die("cannot list", path);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        char child[PATH_MAX];
        if (snprintf(child, sizeof child, "%s/%s", path, d->d_name) >= (int)sizeof child)
            die("path too long", path);
        note_base(child, st.st_ino, d->d_name);
    }
    closedir(dir);
}

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("POWERCUT_DIR"), *side = getenv("POWERCUT_SIDE"), *s;
    if (dir == NULL || side == NULL) return;
    char path[PATH_MAX];
    if (strlen(dir) >= sizeof root - 1 || strlen(side) >= sizeof path - 64) die("path too long", dir);
    strcpy(root, dir);
    root_len = strlen(root);
    while (root_len > 1 && root[root_len - 1] == '/') root[--root_len] = 0;
    snprintf(grave, sizeof grave, "%s/grave", side);
    if ((s = getenv("POWERCUT_CTL")) != NULL) snprintf(ctl, sizeof ctl, "%s", s);
    if ((s = getenv("POWERCUT_SYNC_US")) != NULL) sync_us = atol(s);

    snprintf(path, sizeof path, "%s/journal", side);
    bool first = true;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        first = false; /* a program started by the tracked one: it goes on in the same journal */
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    }
    if (fd < 0) die("cannot open", path);
    if (first && syscall(SYS_ftruncate, fd, JOURNAL_BYTES) != 0) die("cannot size", path);
    void *map = (void *)syscall(SYS_mmap, NULL, JOURNAL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) die("cannot map", path);
    syscall(SYS_close, fd);
    struct head *h = map;
    if (!first) {
        head = h;
        return;
    }
    mkdir(grave, 0700);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&h->lock, &attr);
    atomic_store(&h->tail, HEAD_BYTES);
    if ((s = getenv("POWERCUT_AT")) != NULL) atomic_store(&h->cut_at, strtoull(s, NULL, 10));
    head = h;
    note_base(root, 0, "");
    memcpy(h->magic, "POWERCUT", 8); /* last: without it nothing was done yet */
}

/* -------------------------------------------------------------------------------------------------- names */

/* The absolute path without "//", "." and ".."; true when it is the root or below it. */
static bool below(int dirfd, const char *path, char out[static PATH_MAX]) {
    if (head == NULL) return false;
    char full[PATH_MAX];
    if (path[0] == '/') {
        if (snprintf(full, sizeof full, "%s", path) >= (int)sizeof full) return false;
    } else {
        char base[PATH_MAX];
        if (dirfd == AT_FDCWD) {
            if (getcwd(base, sizeof base) == NULL) return false;
        } else {
            char self[64];
            snprintf(self, sizeof self, "/proc/self/fd/%d", dirfd);
            ssize_t n = readlink(self, base, sizeof base - 1);
            if (n < 0) return false;
            base[n] = 0;
        }
        size_t n = strlen(base);
        if (n + 1 + strlen(path) >= sizeof full) return false;
        memcpy(full, base, n);
        full[n] = '/';
        strcpy(full + n + 1, path);
    }
    size_t len = 0;
    for (const char *p = full; *p != 0;) {
        while (*p == '/') p++;
        size_t n = strcspn(p, "/");
        if (n == 0) break;
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            while (len > 0 && out[--len] != '/') {
            }
        } else if (!(n == 1 && p[0] == '.')) {
            out[len++] = '/';
            memcpy(out + len, p, n);
            len += n;
        }
        p += n;
    }
    out[len] = 0;
    return len >= root_len && memcmp(out, root, root_len) == 0 &&
           (out[root_len] == 0 || out[root_len] == '/');
}

/* The inode of the folder that holds a path, and the path's last part. */
static uint64_t parent_of(const char *path, const char **name) {
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = (size_t)(slash - path);
    memcpy(dir, path, n);
    dir[n] = 0;
    *name = slash + 1;
    struct stat st;
    return stat(n ? dir : "/", &st) == 0 ? st.st_ino : 0;
}

/* A second name for a file about to lose one: its bytes and its inode number stay until the run is judged. */
static void bury(const char *path, const struct stat *st) {
    if (!S_ISREG(st->st_mode)) return;
    char to[PATH_MAX + 32];
    snprintf(to, sizeof to, "%s/%llu", grave, (unsigned long long)st->st_ino);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0) != 0 && errno != EEXIST)
        die("cannot bury", path);
}

static void track(int fd, int flags) {
    struct stat st;
    if (fd < 0 || fd >= FD_MAX || fstat(fd, &st) != 0) return;
    fds[fd] = (struct tracked){.on = S_ISREG(st.st_mode) || S_ISDIR(st.st_mode),
                               .append = flags & O_APPEND,
                               .dsync = flags & O_DSYNC,
                               .dev = st.st_dev,
                               .ino = st.st_ino};
}

static void forget(int fd) {
    if (fd >= 0 && fd < FD_MAX) fds[fd].on = false;
}

/* A descriptor may have been closed and reused behind our back (stdio closes without asking): believe only
 * what fstat says. */
static bool is_tracked(int fd, struct stat *st) {
    if (head == NULL || fd < 0 || fd >= FD_MAX || !fds[fd].on) return false;
    int saved = errno;
    if (fstat(fd, st) == 0 && st->st_ino == fds[fd].ino && st->st_dev == fds[fd].dev) return true;
    errno = saved;
    fds[fd].on = false;
    return false;
}

/* ------------------------------------------------------------------------------------------------- faults */

static bool ctl_path(const char *name, char out[static PATH_MAX + 32]) {
    if (ctl[0] == 0) return false;
    snprintf(out, PATH_MAX + 32, "%s/%s", ctl, name);
    return true;
}

static bool no_space(void) {
    char path[PATH_MAX + 32];
    if (!ctl_path("enospc", path)) return false;
    int saved = errno;
    bool gone = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
    if (!gone) space_gone = false;
    errno = saved;
    return gone;
}

static bool sync_fails(void) {
    char path[PATH_MAX + 32], text[24] = "";
    if (!ctl_path("eio-sync", path)) return false;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = syscall(SYS_pread64, fd, text, sizeof text - 1, 0);
    long left = n > 0 ? atol(text) : 0;
    if (left > 1) {
        n = snprintf(text, sizeof text, "%-8ld", left - 1);
        syscall(SYS_pwrite64, fd, text, (size_t)n, 0);
    } else if (left == 1) {
        syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    }
    syscall(SYS_close, fd);
    return left <= 1;
}

static bool full_to_see(const char *path) {
    char full[PATH_MAX], flag[PATH_MAX + 32], text[8] = "";
    if (!below(AT_FDCWD, path, full) || !ctl_path("low-space", flag)) return false;
    if (syscall(SYS_faccessat, AT_FDCWD, flag, F_OK) == 0) return true;
    ctl_path("enospc", flag);
    int saved = errno, fd = (int)syscall(SYS_openat, AT_FDCWD, flag, O_RDONLY | O_CLOEXEC);
    errno = saved;
    if (fd < 0) return false;
    ssize_t n = syscall(SYS_pread64, fd, text, sizeof text - 1, 0);
    syscall(SYS_close, fd);
    return n >= 0 && strcmp(text, "quota") != 0;
}

static bool read_fails(int fd) {
    char path[PATH_MAX + 32], text[64] = "", self[64], name[PATH_MAX];
    if (!ctl_path("eio-read", path)) return false;
    int saved = errno, ctl_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    errno = saved;
    if (ctl_fd < 0) return false;
    ssize_t n = syscall(SYS_pread64, ctl_fd, text, sizeof text - 1, 0);
    syscall(SYS_close, ctl_fd);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(self, name, sizeof name - 1);
    if (n < 0 || len < 0) return false;
    name[len] = 0;
    return strstr(name, text) != NULL;
}

/* ----------------------------------------------------------------------------------------- data and syncs */

static ssize_t raw_write(int fd, const struct iovec *iov, int count, off_t off) {
    if (off < 0) return syscall(SYS_writev, fd, iov, count);
    return syscall(SYS_pwritev, fd, iov, count, off, 0);
}

static ssize_t do_write(int fd, const struct iovec *iov, int count, off_t off) {
    struct stat st;
    if (!is_tracked(fd, &st)) return raw_write(fd, iov, count, off);
    lock();
    cut_point();
    if (fstat(fd, &st) != 0) die("cannot stat", "a tracked file");
    uint64_t len = 0, at = (uint64_t)off;
    for (int i = 0; i < count; i++) len += iov[i].iov_len;
    if (fds[fd].append) {
        at = (uint64_t)st.st_size;
    } else if (off < 0) {
        at = (uint64_t)lseek(fd, 0, SEEK_CUR);
    }
    struct iovec part;
    /* What was allocated before the disk was full, by fallocate() or not, is the file's. */
    uint64_t allocated = (uint64_t)st.st_blocks * 512;
    if (no_space() && at + len > (uint64_t)st.st_size && at + len > allocated) {
        if (space_gone || count == 0 || iov[0].iov_len < 2) {
            unlock();
            errno = ENOSPC;
            return -1;
        }
        space_gone = true;
        part = (struct iovec){.iov_base = iov[0].iov_base, .iov_len = iov[0].iov_len / 2};
        iov = &part;
        count = 1;
        len = part.iov_len;
    }
    struct rec *r;
    rec_overwrite(fd, at, len, &st, &r);
    ssize_t n = raw_write(fd, iov, count, off);
    r->res = n < 0 ? -2 : n;
    if (n >= 0 && fds[fd].dsync) {
        int saved = errno;
        uint64_t covers = atomic_load(&head->tail);
        if (fstat(fd, &st) == 0) rec_sync(REC_SYNC, &st, covers);
        errno = saved;
    }
    unlock();
    return n;
}

static int do_truncate(int fd, off_t size) {
    struct stat st;
    if (!is_tracked(fd, &st)) return (int)syscall(SYS_ftruncate, fd, size);
    lock();
    cut_point();
    if (fstat(fd, &st) != 0) die("cannot stat", "a tracked file");
    struct rec *r = rec_resize(fd, (uint64_t)size, &st);
    int rc = (int)syscall(SYS_ftruncate, fd, size);
    r->res = rc == 0 ? 0 : -2;
    unlock();
    return rc;
}

static int do_fallocate(int fd, int mode, off_t off, off_t len) {
    struct stat st;
    if (!is_tracked(fd, &st)) return (int)syscall(SYS_fallocate, fd, mode, off, len);
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    lock();
    cut_point();
    if (!(mode & FALLOC_FL_PUNCH_HOLE) && no_space()) {
        unlock();
        errno = ENOSPC;
        return -1;
    }
    if (fstat(fd, &st) != 0) die("cannot stat", "a tracked file");
    struct rec *zeroed = NULL, *grown = NULL;
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
        uint64_t end = (uint64_t)(off + len), size = (uint64_t)st.st_size;
        uint64_t old_end = end < size ? end : size;
        if (old_end > (uint64_t)off) rec_overwrite(fd, (uint64_t)off, old_end - (uint64_t)off, &st, &zeroed);
    }
    if (!(mode & FALLOC_FL_KEEP_SIZE) && off + len > st.st_size) {
        grown = rec_resize(fd, (uint64_t)(off + len), &st);
    }
    int rc = (int)syscall(SYS_fallocate, fd, mode, off, len);
    if (zeroed) zeroed->res = rc == 0 ? (int64_t)zeroed->len : -2;
    if (grown) grown->res = rc == 0 ? 0 : -2;
    unlock();
    return rc;
}

static int do_sync(int fd, long number) {
    struct stat st;
    if (!is_tracked(fd, &st)) return (int)syscall(number, fd);
    lock();
    cut_point();
    uint64_t covers = atomic_load(&head->tail);
    if (fstat(fd, &st) != 0) die("cannot stat", "a tracked file");
    if (sync_fails()) {
        rec_sync(REC_SYNC_FAIL, &st, covers);
        unlock();
        errno = EIO;
        return -1;
    }
    unlock();
    int saved = errno;
    struct timespec ts = {sync_us / 1000000, sync_us % 1000000 * 1000};
    if (sync_us > 0) nanosleep(&ts, NULL);
    errno = saved;
    lock();
    rec_sync(REC_SYNC, &st, covers);
    unlock();
    return 0;
}

/* -------------------------------------------------------------------------------------- names that change */

static int do_open(int dirfd, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    if (!below(dirfd, path, full)) {
        int fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
        forget(fd);
        return fd;
    }
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    lock();
    struct stat st;
    bool existed = stat(full, &st) == 0;
    if (!existed && (flags & O_CREAT)) cut_point();
    if (existed && (flags & O_TRUNC) && S_ISREG(st.st_mode) && st.st_size > 0 &&
        !((flags & O_CREAT) && (flags & O_EXCL))) {
        cut_point();
        int in = (int)syscall(SYS_openat, AT_FDCWD, full, O_RDONLY | O_CLOEXEC);
        if (in < 0) die("cannot read back", full);
        rec_resize(in, 0, &st)->res = 0;
        syscall(SYS_close, in);
    }
    int fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0) {
        track(fd, flags);
        if (!existed && fstat(fd, &st) == 0) {
            const char *name;
            uint64_t dino = parent_of(full, &name);
            rec_name(REC_CREATE, st.st_ino, dino, name);
        }
    }
    unlock();
    return fd;
}

static int do_link(int fd1, const char *from, int fd2, const char *to, int flags) {
    char src[PATH_MAX], dst[PATH_MAX];
    below(fd1, from, src);
    if (!below(fd2, to, dst)) return (int)syscall(SYS_linkat, fd1, from, fd2, to, flags);
    lock();
    cut_point();
    int rc = (int)syscall(SYS_linkat, fd1, from, fd2, to, flags);
    struct stat st;
    if (rc == 0 && lstat(dst, &st) == 0) {
        const char *name;
        uint64_t dino = parent_of(dst, &name);
        rec_name(REC_LINK, st.st_ino, dino, name);
    }
    unlock();
    return rc;
}

static int do_rename(int fd1, const char *from, int fd2, const char *to, unsigned flags) {
    char src[PATH_MAX], dst[PATH_MAX];
    bool src_in = below(fd1, from, src), dst_in = below(fd2, to, dst);
    if (!src_in && !dst_in) return (int)syscall(SYS_renameat2, fd1, from, fd2, to, flags);
    if (flags & ~1u /* RENAME_NOREPLACE */) {
        errno = EINVAL;
        return -1;
    }
    lock();
    cut_point();
    struct stat a, b;
    bool had_src = lstat(from[0] == '/' || src_in ? src : from, &a) == 0;
    bool had_dst = lstat(dst, &b) == 0;
    bool same = had_src && had_dst && a.st_ino == b.st_ino;
    if (had_dst && dst_in && !same && !(flags & 1u)) bury(dst, &b);
    if (had_src && src_in && !dst_in) bury(src, &a);
    int rc = (int)syscall(SYS_renameat2, fd1, from, fd2, to, flags);
    if (rc == 0 && had_src && !same) {
        const char *name, *name2;
        uint64_t dino = src_in ? parent_of(src, &name) : 0, dino2 = dst_in ? parent_of(dst, &name2) : 0;
        if (src_in && dst_in) {
            struct rec *r = rec_begin(REC_RENAME, name, name2, 0);
            r->ino = a.st_ino;
            r->dino = dino;
            r->dino2 = dino2;
            rec_commit(r);
        } else if (dst_in) {
            rec_name(REC_LINK, a.st_ino, dino2, name2);
        } else {
            rec_name(REC_UNLINK, a.st_ino, dino, name);
        }
    }
    unlock();
    return rc;
}

/* A removed folder moves to the grave instead: its inode number must not come back for something else. */
static int remove_dir(const char *full) {
    DIR *dir = opendir(full);
    if (dir == NULL) return -1;
    int entries = 0;
    while (readdir(dir) != NULL) entries++;
    closedir(dir);
    if (entries > 2) {
        errno = ENOTEMPTY;
        return -1;
    }
    struct stat st;
    if (stat(full, &st) != 0) return -1;
    char to[PATH_MAX + 32];
    snprintf(to, sizeof to, "%s/%llu", grave, (unsigned long long)st.st_ino);
    return (int)syscall(SYS_renameat2, AT_FDCWD, full, AT_FDCWD, to, 0);
}

static int do_unlink(int dirfd, const char *path, int flags) {
    char full[PATH_MAX];
    if (!below(dirfd, path, full)) return (int)syscall(SYS_unlinkat, dirfd, path, flags);
    lock();
    cut_point();
    struct stat st;
    int rc = lstat(full, &st);
    const char *name;
    uint64_t dino = parent_of(full, &name);
    if (rc == 0 && (flags & AT_REMOVEDIR)) {
        rc = remove_dir(full);
    } else if (rc == 0) {
        bury(full, &st);
        rc = (int)syscall(SYS_unlinkat, dirfd, path, flags);
    }
    if (rc == 0) rec_name(REC_UNLINK, st.st_ino, dino, name);
    unlock();
    return rc;
}

static int do_mkdir(int dirfd, const char *path, mode_t mode) {
    char full[PATH_MAX];
    if (!below(dirfd, path, full)) return (int)syscall(SYS_mkdirat, dirfd, path, mode);
    lock();
    cut_point();
    struct stat st;
    if (no_space() && stat(full, &st) != 0) {
        unlock();
        errno = ENOSPC;
        return -1;
    }
    int rc = (int)syscall(SYS_mkdirat, dirfd, path, mode);
    if (rc == 0 && stat(full, &st) == 0) {
        const char *name;
        uint64_t dino = parent_of(full, &name);
        rec_name(REC_MKDIR, st.st_ino, dino, name);
    }
    unlock();
    return rc;
}

/* -------------------------------------------------------------------- the calls that the program believes in */

#define EXPORT __attribute__((visibility("default")))

static mode_t mode_of(int flags, va_list ap) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(ap, int) : 0;
}

#define OPEN(name, ...)                                                                                      \
    va_list ap;                                                                                              \
    va_start(ap, flags);                                                                                     \
    mode_t mode = mode_of(flags, ap);                                                                        \
    va_end(ap);                                                                                              \
    return do_open(__VA_ARGS__, flags, mode)

EXPORT int open(const char *path, int flags, ...) {
    OPEN(open, AT_FDCWD, path);
}
EXPORT int open64(const char *path, int flags, ...) {
    OPEN(open64, AT_FDCWD, path);
}
EXPORT int openat(int dirfd, const char *path, int flags, ...) {
    OPEN(openat, dirfd, path);
}
EXPORT int openat64(int dirfd, const char *path, int flags, ...) {
    OPEN(openat64, dirfd, path);
}

/* What _FORTIFY_SOURCE turns open() into. */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags);
EXPORT int __openat_2(int dirfd, const char *path, int flags);
EXPORT int __openat64_2(int dirfd, const char *path, int flags);
int __open_2(const char *path, int flags) {
    return do_open(AT_FDCWD, path, flags, 0);
}
int __open64_2(const char *path, int flags) {
    return do_open(AT_FDCWD, path, flags, 0);
}
int __openat_2(int dirfd, const char *path, int flags) {
    return do_open(dirfd, path, flags, 0);
}
int __openat64_2(int dirfd, const char *path, int flags) {
    return do_open(dirfd, path, flags, 0);
}

EXPORT int creat(const char *path, mode_t mode) {
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
EXPORT int creat64(const char *path, mode_t mode) {
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

/* stdio writes past us. Its files are opened here, so that their creation and truncation are known, and each sync
 * notes the size it saw: what grew after that is unsynced. */
static FILE *do_fopen(const char *path, const char *mode) {
    char full[PATH_MAX];
    if (!below(AT_FDCWD, path, full)) {
        FILE *(*real)(const char *, const char *) =
            (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
        FILE *f = real(path, mode);
        if (f != NULL) forget(fileno(f));
        return f;
    }
    int flags = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    if (mode[0] != 'r') flags |= O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    if (strchr(mode, 'x')) flags |= O_EXCL;
    if (strchr(mode, 'e')) flags |= O_CLOEXEC;
    int fd = do_open(AT_FDCWD, path, flags, 0666);
    return fd < 0 ? NULL : fdopen(fd, mode);
}

EXPORT FILE *fopen(const char *restrict path, const char *restrict mode) {
    return do_fopen(path, mode);
}
EXPORT FILE *fopen64(const char *restrict path, const char *restrict mode) {
    return do_fopen(path, mode);
}

EXPORT int close(int fd) {
    forget(fd);
    return (int)syscall(SYS_close, fd);
}

static int dup_to(int from, int to) {
    if (to >= 0 && to < FD_MAX) {
        fds[to] = (struct tracked){0};
        if (from >= 0 && from < FD_MAX) fds[to] = fds[from];
    }
    return to;
}

EXPORT int dup(int fd) {
    return dup_to(fd, (int)syscall(SYS_dup, fd));
}
EXPORT int dup2(int fd, int to) {
    if (fd == to) return (int)syscall(SYS_fcntl, fd, F_GETFD) < 0 ? -1 : to;
    return dup_to(fd, (int)syscall(SYS_dup3, fd, to, 0));
}
EXPORT int dup3(int fd, int to, int flags) {
    return dup_to(fd, (int)syscall(SYS_dup3, fd, to, flags));
}

#define FCNTL                                                                                                \
    va_list ap;                                                                                              \
    va_start(ap, cmd);                                                                                       \
    void *arg = va_arg(ap, void *);                                                                          \
    va_end(ap);                                                                                              \
    int rc = (int)syscall(SYS_fcntl, fd, cmd, arg);                                                          \
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) dup_to(fd, rc);                                            \
    return rc

EXPORT int fcntl(int fd, int cmd, ...) {
    FCNTL;
}
EXPORT int fcntl64(int fd, int cmd, ...) {
    FCNTL;
}

EXPORT ssize_t write(int fd, const void *data, size_t len) {
    if (head == NULL || fd < 0 || fd >= FD_MAX || !fds[fd].on) return syscall(SYS_write, fd, data, len);
    struct iovec iov = {(void *)(uintptr_t)data, len};
    return do_write(fd, &iov, 1, -1);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t len, off_t off) {
    struct iovec iov = {(void *)(uintptr_t)data, len};
    return do_write(fd, &iov, 1, off);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off) {
    return pwrite(fd, data, len, off);
}
EXPORT ssize_t writev(int fd, const struct iovec *iov, int count) {
    return do_write(fd, iov, count, -1);
}
EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t off) {
    return do_write(fd, iov, count, off);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t off) {
    return do_write(fd, iov, count, off);
}

static ssize_t do_read(int fd, void *data, size_t len, off_t off) {
    struct stat st;
    if (ctl[0] != 0 && is_tracked(fd, &st) && read_fails(fd)) {
        errno = EIO;
        return -1;
    }
    return off < 0 ? syscall(SYS_read, fd, data, len) : syscall(SYS_pread64, fd, data, len, off);
}
EXPORT ssize_t read(int fd, void *data, size_t len) {
    return do_read(fd, data, len, -1);
}
EXPORT ssize_t pread(int fd, void *data, size_t len, off_t off) {
    return do_read(fd, data, len, off);
}
EXPORT ssize_t pread64(int fd, void *data, size_t len, off64_t off) {
    return do_read(fd, data, len, off);
}

EXPORT int ftruncate(int fd, off_t size) {
    return do_truncate(fd, size);
}
EXPORT int ftruncate64(int fd, off64_t size) {
    return do_truncate(fd, size);
}
EXPORT int truncate(const char *path, off_t size) {
    int fd = do_open(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    int rc = do_truncate(fd, size), saved = errno;
    close(fd);
    errno = saved;
    return rc;
}
EXPORT int truncate64(const char *path, off64_t size) {
    return truncate(path, size);
}

EXPORT int fallocate(int fd, int mode, off_t off, off_t len) {
    return do_fallocate(fd, mode, off, len);
}
EXPORT int fallocate64(int fd, int mode, off64_t off, off64_t len) {
    return do_fallocate(fd, mode, off, len);
}
EXPORT int posix_fallocate(int fd, off_t off, off_t len) {
    int saved = errno;
    int rc = do_fallocate(fd, 0, off, len) == 0 ? 0 : errno;
    errno = saved;
    return rc;
}
EXPORT int posix_fallocate64(int fd, off64_t off, off64_t len) {
    return posix_fallocate(fd, off, len);
}

EXPORT int statvfs(const char *restrict path, struct statvfs *restrict out) {
    int (*real)(const char *, struct statvfs *) =
        (int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, "statvfs");
    int rc = real(path, out);
    if (rc == 0 && full_to_see(path)) out->f_bavail = out->f_bfree = 0;
    return rc;
}
EXPORT int statvfs64(const char *restrict path, struct statvfs64 *restrict out) {
    int (*real)(const char *, struct statvfs64 *) =
        (int (*)(const char *, struct statvfs64 *))dlsym(RTLD_NEXT, "statvfs64");
    int rc = real(path, out);
    if (rc == 0 && full_to_see(path)) out->f_bavail = out->f_bfree = 0;
    return rc;
}

EXPORT int fsync(int fd) {
    return do_sync(fd, SYS_fsync);
}
EXPORT int fdatasync(int fd) {
    return do_sync(fd, SYS_fdatasync);
}
EXPORT int sync_file_range(int fd, off64_t off, off64_t len, unsigned flags) {
    struct stat st;
    return is_tracked(fd, &st) ? 0 : (int)syscall(SYS_sync_file_range, fd, off, len, flags);
}
static void sync_all(void) {
    lock();
    cut_point();
    rec_sync(REC_SYNC_ALL, NULL, atomic_load(&head->tail));
    unlock();
}
EXPORT void sync(void) {
    if (head != NULL)
        sync_all();
    else
        syscall(SYS_sync);
}
EXPORT int syncfs(int fd) {
    struct stat st;
    if (!is_tracked(fd, &st)) return (int)syscall(SYS_syncfs, fd);
    sync_all();
    return 0;
}

EXPORT int link(const char *from, const char *to) {
    return do_link(AT_FDCWD, from, AT_FDCWD, to, 0);
}
EXPORT int linkat(int fd1, const char *from, int fd2, const char *to, int flags) {
    return do_link(fd1, from, fd2, to, flags);
}
EXPORT int rename(const char *from, const char *to) {
    return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}
EXPORT int renameat(int fd1, const char *from, int fd2, const char *to) {
    return do_rename(fd1, from, fd2, to, 0);
}
EXPORT int renameat2(int fd1, const char *from, int fd2, const char *to, unsigned flags) {
    return do_rename(fd1, from, fd2, to, flags);
}
EXPORT int unlink(const char *path) {
    return do_unlink(AT_FDCWD, path, 0);
}
EXPORT int unlinkat(int dirfd, const char *path, int flags) {
    return do_unlink(dirfd, path, flags);
}
EXPORT int rmdir(const char *path) {
    return do_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}
EXPORT int remove(const char *path) {
    int rc = do_unlink(AT_FDCWD, path, 0);
    return rc != 0 && errno == EISDIR ? do_unlink(AT_FDCWD, path, AT_REMOVEDIR) : rc;
}
EXPORT int mkdir(const char *path, mode_t mode) {
    return do_mkdir(AT_FDCWD, path, mode);
}
EXPORT int mkdirat(int dirfd, const char *path, mode_t mode) {
    return do_mkdir(dirfd, path, mode);
}

/* Callers of these two have a way without them. */
EXPORT ssize_t copy_file_range(int in, off64_t *in_off, int out, off64_t *out_off, size_t len,
                               unsigned flags) {
    struct stat st;
    if (!is_tracked(out, &st)) return syscall(SYS_copy_file_range, in, in_off, out, out_off, len, flags);
    errno = EXDEV;
    return -1;
}
static ssize_t do_sendfile(int out, int in, off_t *off, size_t len) {
    struct stat st;
    if (!is_tracked(out, &st)) return syscall(SYS_sendfile, out, in, off, len);
    errno = EINVAL;
    return -1;
}
EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t len) {
    return do_sendfile(out, in, off, len);
}
EXPORT ssize_t sendfile64(int out, int in, off64_t *off, size_t len) {
    return do_sendfile(out, in, off, len);
}

static void *do_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off) {
    struct stat st;
    if (fd >= 0 && (flags & MAP_SHARED) && (prot & PROT_WRITE) && is_tracked(fd, &st))
        die("cannot follow a shared writable mapping", root);
    return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}
EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off) {
    return do_mmap(addr, len, prot, flags, fd, off);
}
EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off) {
    return do_mmap(addr, len, prot, flags, fd, off);
}
