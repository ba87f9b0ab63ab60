/* See io_threads.h. */
#include "io_threads.h"

#include "check.h"
#include "mem.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    LOOKS_BEFORE_SLEEP = 2000, /* some tens of microseconds: the next turn is often that near */
    LOOKS_BEFORE_YIELD = 1000, /* whoever is still writing may need this processor for it */
};

enum { INDEX_BITS = 16, COUNT_BITS = 16 };
_Static_assert(IO_WRITES_MAX < 1 << INDEX_BITS, "the index has room");

struct io_threads {
    struct io_write writes[IO_WRITES_MAX];
    _Atomic uint64_t ticket; /* generation, count, next */
    _Atomic size_t done;
    atomic_bool is_over;
    sem_t wake;
    int helpers;
    pthread_t threads[];
};

static uint64_t make_ticket(uint64_t generation, size_t count) {
    return generation << (COUNT_BITS + INDEX_BITS) | (uint64_t)count << INDEX_BITS;
}

/* -1: nothing is left. */
static int claim(struct io_threads *t) {
    uint64_t ticket = atomic_load_explicit(&t->ticket, memory_order_acquire);
    for (;;) {
        size_t next = ticket & ((1 << INDEX_BITS) - 1),
               count = ticket >> INDEX_BITS & ((1 << COUNT_BITS) - 1);
        if (next >= count) return -1;
        if (atomic_compare_exchange_weak_explicit(&t->ticket, &ticket, ticket + 1, memory_order_acq_rel,
                                                  memory_order_acquire))
            return (int)next;
    }
}

static void write_one(struct io_write *w) {
    do {
        w->written = send(w->fd, w->data, w->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (w->written < 0 && errno == EINTR);
    if (w->written < 0) w->written = -errno;
}

static void take_part(struct io_threads *t) {
    for (int i; (i = claim(t)) >= 0;) {
        write_one(&t->writes[i]);
        atomic_fetch_add_explicit(&t->done, 1, memory_order_release);
    }
}

static void *helper(void *arg) {
    struct io_threads *t = arg;
    while (!atomic_load(&t->is_over)) {
        bool is_woken = false;
        for (int i = 0; i < LOOKS_BEFORE_SLEEP && !is_woken; i++) is_woken = sem_trywait(&t->wake) == 0;
        while (!is_woken) is_woken = sem_wait(&t->wake) == 0;
        take_part(t);
    }
    return NULL;
}

struct io_threads *io_threads_start(int count) {
    if (count <= 1) return NULL;
    struct io_threads *t = mem_calloc(1, sizeof *t + (size_t)(count - 1) * sizeof(pthread_t));
    t->helpers = count - 1;
    CHECK(sem_init(&t->wake, 0, 0) == 0);
    for (int i = 0; i < t->helpers; i++) {
        CHECK(pthread_create(&t->threads[i], NULL, helper, t) == 0);
        (void)pthread_setname_np(t->threads[i], "io");
    }
    return t;
}

/* Those who were called before and have not come yet count. */
static void wake(struct io_threads *t, size_t helpers) {
    int called = 0;
    CHECK(sem_getvalue(&t->wake, &called) == 0);
    for (size_t i = (size_t)called; i < helpers; i++) CHECK(sem_post(&t->wake) == 0);
}

void io_threads_stop(struct io_threads *t) {
    if (t == NULL) return;
    atomic_store(&t->is_over, true);
    for (int i = 0; i < t->helpers; i++) CHECK(sem_post(&t->wake) == 0);
    for (int i = 0; i < t->helpers; i++) CHECK(pthread_join(t->threads[i], NULL) == 0);
    CHECK(sem_destroy(&t->wake) == 0);
    mem_free(t);
}

struct io_write *io_threads_writes(struct io_threads *t) {
    return t->writes;
}

void io_threads_write(struct io_threads *t, size_t count) {
    CHECK(count <= IO_WRITES_MAX);
    uint64_t generation = atomic_load_explicit(&t->ticket, memory_order_relaxed) >> (COUNT_BITS + INDEX_BITS);
    atomic_store_explicit(&t->done, 0, memory_order_relaxed);
    atomic_store_explicit(&t->ticket, make_ticket(generation + 1, count), memory_order_release);
    size_t helpers = count / IO_WRITES_EACH;
    wake(t, helpers < (size_t)t->helpers ? helpers : (size_t)t->helpers);
    take_part(t);
    for (int looks = 0; atomic_load_explicit(&t->done, memory_order_acquire) < count; looks++)
        if (looks >= LOOKS_BEFORE_YIELD) (void)sched_yield();
}
