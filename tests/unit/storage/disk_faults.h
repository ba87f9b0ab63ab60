/* A disk that fails on demand: this program's open, write, pwrite and fdatasync stand before libc's, for RocksDB
 * too, and fail with the chosen errno once the allowance is used up. */
#ifndef TESTS_UNIT_STORAGE_DISK_FAULTS_H
#define TESTS_UNIT_STORAGE_DISK_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic int fault_write_errno, fault_sync_errno;          /* 0: works */
static _Atomic long fault_after;                                 /* calls that still work */
static _Atomic unsigned fault_sync_us;                           /* each sync takes so much longer */
static _Atomic bool fault_no_direct_open, fault_no_direct_write; /* a file system that cannot */

static bool fault_due(const _Atomic int *which) {
    int err = atomic_load(which);
    if (err == 0 || atomic_fetch_sub(&fault_after, 1) > 0) return false;
    errno = err;
    return true;
}

__attribute__((unused)) static void faults_off(void) {
    atomic_store(&fault_write_errno, 0);
    atomic_store(&fault_sync_errno, 0);
    atomic_store(&fault_after, 0);
    atomic_store(&fault_sync_us, 0);
    atomic_store(&fault_no_direct_open, false);
    atomic_store(&fault_no_direct_write, false);
}

int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (flags & O_DIRECT && atomic_load(&fault_no_direct_open)) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t len) {
    /* Standard output and error are no disks. */
    if (fd > 2 && fault_due(&fault_write_errno)) return -1;
    return syscall(SYS_write, fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
    if (fd > 2 && fault_due(&fault_write_errno)) return -1;
    if (atomic_load(&fault_no_direct_write) && fcntl(fd, F_GETFL) & O_DIRECT) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, len, at);
}

int fdatasync(int fd) {
    unsigned us = atomic_load(&fault_sync_us);
    if (us > 0) usleep(us);
    if (fault_due(&fault_sync_errno)) return -1;
    return (int)syscall(SYS_fdatasync, fd);
}

#endif
