/* Threads that help the loop write (`io-threads`): a write to a socket is most of what a short answer costs. The loop hands
 * over all that is to be sent, takes part, and goes on when all of it was tried: nobody else touches anything of a connection
 * meanwhile, and helpers see bytes and descriptors only.
 *
 *     loop    ---- writes[0 .. count) --->  [ ticket: generation, count, next ]  <--- claim, one by one ---  helpers
 *             <--- done == count --------
 *
 * Whoever is awake claims the next write. A helper that wakes late finds nothing left, so nobody waits for it; the ticket
 * says in one word which writes it is of, so that it cannot mistake the next ones for them. */
#ifndef NET_IO_THREADS_H
#define NET_IO_THREADS_H

#include <stddef.h>
#include <sys/types.h>

struct io_write {
    int fd;
    const char *data;
    size_t len;
    ssize_t written; /* or -errno */
    void *of;        /* the loop's */
};

enum { IO_WRITES_MAX = 4096, IO_WRITES_EACH = 8 /* what a helper is woken for */ };

struct io_threads;

struct io_threads *io_threads_start(int count); /* the loop's own is one of them; 1: NULL */
void io_threads_stop(struct io_threads *t);

/* Room for IO_WRITES_MAX, to be filled before io_threads_write. */
struct io_write *io_threads_writes(struct io_threads *t);
void io_threads_write(struct io_threads *t, size_t count);

#endif
