/* A disk that stops: this program's calls that change files stand before libc's, for RocksDB too, and once the allowed
 * number of them is used up, all of them fail, as if the machine had died there: what had been done stays, nothing more is
 * done. (What a power cut does to things that were not synced is tests/crash's.) */
#ifndef TESTS_UNIT_STORAGE_DISK_STOPS_H
#define TESTS_UNIT_STORAGE_DISK_STOPS_H

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic long disk_steps_left = LONG_MAX; /* LONG_MAX: it does not stop */
static _Atomic int disk_errno = EIO;
static _Atomic long long disk_free_bytes = -1; /* what statvfs says; -1: the truth */

static _Atomic bool disk_holds; /* pwrite waits */

static bool disk_stops(void) {
    if (atomic_load(&disk_steps_left) == LONG_MAX || atomic_fetch_sub(&disk_steps_left, 1) > 0) return false;
    errno = atomic_load(&disk_errno);
    return true;
}

/* Whether it has refused anything since disk_stop_after. */
__attribute__((unused)) static bool disk_has_stopped(void) {
    return atomic_load(&disk_steps_left) < 0;
}

__attribute__((unused)) static void disk_stop_after(long steps, int err) {
    atomic_store(&disk_errno, err);
    atomic_store(&disk_steps_left, steps);
}

__attribute__((unused)) static void disk_goes_on(void) {
    atomic_store(&disk_steps_left, LONG_MAX);
}

ssize_t write(int fd, const void *data, size_t len) {
    /* Standard output and error are no disks. */
    if (fd > 2 && disk_stops()) return -1;
    return syscall(SYS_write, fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
    while (atomic_load(&disk_holds)) usleep(500);
    if (disk_stops()) return -1;
    return syscall(SYS_pwrite64, fd, data, len, at);
}

int fdatasync(int fd) {
    return disk_stops() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    return disk_stops() ? -1 : (int)syscall(SYS_fsync, fd);
}

int ftruncate(int fd, off_t len) {
    return disk_stops() ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int rename(const char *from, const char *to) {
    return disk_stops() ? -1 : (int)syscall(SYS_renameat2, -100, from, -100, to, 0);
}

int unlink(const char *path) {
    return disk_stops() ? -1 : (int)syscall(SYS_unlinkat, -100, path, 0);
}

int rmdir(const char *path) {
    return disk_stops() ? -1 : (int)syscall(SYS_unlinkat, -100, path, 0x200);
}

int mkdir(const char *path, mode_t mode) {
    return disk_stops() ? -1 : (int)syscall(SYS_mkdirat, -100, path, mode);
}

int statvfs(const char *path, struct statvfs *out) {
    struct stat st;
    if (stat(path, &st) != 0) return -1;
    *out = (struct statvfs){.f_frsize = 1, .f_bavail = 1ull << 40};
    if (atomic_load(&disk_free_bytes) >= 0) out->f_bavail = (fsblkcnt_t)atomic_load(&disk_free_bytes);
    return 0;
}

#endif
