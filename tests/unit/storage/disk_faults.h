/* A disk that fails on demand: this program's write, pwrite and fdatasync stand before libc's, for RocksDB
 * too, and fail with the chosen errno once the allowance is used up. */
#ifndef TESTS_UNIT_STORAGE_DISK_FAULTS_H
#define TESTS_UNIT_STORAGE_DISK_FAULTS_H

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic int fault_write_errno, fault_sync_errno; /* 0: works */
static _Atomic long fault_after;                        /* calls that still work */
static _Atomic unsigned fault_sync_us;                  /* each sync takes so much longer */

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
}

ssize_t write(int fd, const void *data, size_t len) {
    /* Standard output and error are no disks. */
    if (fd > 2 && fault_due(&fault_write_errno)) return -1;
    return syscall(SYS_write, fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
    if (fd > 2 && fault_due(&fault_write_errno)) return -1;
    return syscall(SYS_pwrite64, fd, data, len, at);
}

int fdatasync(int fd) {
    unsigned us = atomic_load(&fault_sync_us);
    if (us > 0) usleep(us);
    if (fault_due(&fault_sync_errno)) return -1;
    return (int)syscall(SYS_fdatasync, fd);
}

#endif
