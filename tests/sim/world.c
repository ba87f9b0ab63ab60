/* See world.h. */
#include "world.h"

#include "disk.h"
#include "fiber.h"
#include "sim_uv.h"

#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is not a simulated process's memory. */
static struct process ourselves = {.heap.large = {&ourselves.heap.large, &ourselves.heap.large}};

/* --- time --- */

static struct {
    uint64_t now_us, seq, steps, digest;
    uint64_t until_us;        /* nothing beyond it happens in the present world_run_until */
    struct sim_timer **queue; /* a heap, from 1 */
    size_t count, cap;
    struct rng rng;
} world;

static bool is_before(const struct sim_timer *a, const struct sim_timer *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void put_at(size_t place, struct sim_timer *t) {
    world.queue[place] = t;
    t->place = place;
}

static void sift_up(size_t place, struct sim_timer *t) {
    for (; place > 1 && is_before(t, world.queue[place / 2]); place /= 2)
        put_at(place, world.queue[place / 2]);
    put_at(place, t);
}

static void sift_down(size_t place, struct sim_timer *t) {
    for (;;) {
        size_t child = place * 2;
        if (child > world.count) break;
        if (child < world.count && is_before(world.queue[child + 1], world.queue[child])) child++;
        if (!is_before(world.queue[child], t)) break;
        put_at(place, world.queue[child]);
        place = child;
    }
    put_at(place, t);
}

void sim_timer_cancel(struct sim_timer *t) {
    if (t->place == 0) return;
    size_t place = t->place;
    struct sim_timer *last = world.queue[world.count--];
    t->place = 0;
    if (last == t) return;
    if (place > 1 && is_before(last, world.queue[place / 2]))
        sift_up(place, last);
    else
        sift_down(place, last);
}

void sim_timer_set(struct sim_timer *t, uint64_t at_us, void (*fire)(struct sim_timer *t)) {
    sim_timer_cancel(t);
    if (world.count + 2 > world.cap) {
        world.cap = world.cap ? world.cap * 2 : 256;
        world.queue = realloc(world.queue, world.cap * sizeof(struct sim_timer *));
        CHECK(world.queue != NULL);
    }
    t->at_us = at_us > world.now_us ? at_us : world.now_us;
    t->seq = ++world.seq;
    t->fire = fire;
    sift_up(++world.count, t);
}

void world_begin(uint64_t seed) {
    CHECK(world.count == 0);
    enum { KEPT_BYTES = 256 << 20 };
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES); /* the next seed needs it again */
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    world.now_us = world.seq = world.steps = 0;
    world.digest = seed;
    world.rng.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

void world_end(void) {
    CHECK(world.count == 0);
    CHECK(ourselves.heap.bytes == 0);
    free(world.queue);
    world.queue = NULL;
    world.cap = 0;
}

uint64_t world_now_us(void) {
    return world.now_us;
}
uint64_t world_steps(void) {
    return world.steps;
}
uint64_t world_digest(void) {
    return world.digest;
}

void world_mix(uint64_t value) {
    struct rng r = {world.digest ^ value};
    world.digest = rng_next(&r);
}

static void pass_to(uint64_t at_us) {
    CHECK(at_us >= world.now_us);
    world.now_us = at_us;
    world.steps++;
    world_mix(at_us);
}

bool world_run_until(uint64_t us) {
    world.until_us = us;
    while (world.count > 0 && world.queue[1]->at_us <= us) {
        struct sim_timer *t = world.queue[1];
        sim_timer_cancel(t);
        pass_to(t->at_us);
        t->fire(t);
    }
    if (us != UINT64_MAX && world.now_us < us) world.now_us = us;
    return world.count > 0;
}

/* --- chance --- */

struct rng *world_rng(void) {
    return &world.rng;
}
uint64_t sim_below(uint64_t bound) {
    return rng_below(&world.rng, bound);
}
uint64_t sim_between(uint64_t low, uint64_t high) {
    return low + rng_below(&world.rng, high - low + 1);
}
bool sim_chance(double probability) {
    return probability > 0 && (double)(rng_next(&world.rng) >> 11) * 0x1p-53 < probability;
}

uint64_t sim_around(uint64_t mean) {
    enum { AT_MOST = 20 };
    double u = ((double)(rng_next(&world.rng) >> 11) + 1) * 0x1p-53;
    double x = -log(u);
    return (uint64_t)((x < AT_MOST ? x : AT_MOST) * (double)mean);
}

/* --- memory --- */

/* mem.h, with a heap for each process, which goes with it. Small blocks are cut from slabs and kept for reuse by their
 * size; large ones are the C library's, and where AddressSanitizer is to watch them, all are. */
struct block {
    size_t size;
    struct process *owner;
};

struct large {
    struct list link;
    struct block block;
};

static_assert(sizeof(struct block) % 16 == 0 && sizeof(struct large) % 16 == 0, "blocks stay aligned");

struct slab {
    struct slab *next;
    void *unused; /* so that blocks stay aligned */
};

enum { SLAB_BYTES = 64 << 10 };
#ifdef SIM_ASAN
static const size_t small_max = 0;
#else
static const size_t small_max = SIM_SMALL_MAX;
#endif

static struct process *heap_owner;
static struct slab *unused_slabs;

struct process *heap_ours(void) {
    struct process *saved = heap_owner;
    heap_owner = NULL;
    return saved;
}

void heap_back(struct process **saved) {
    heap_owner = *saved;
}

void *mem_alloc(size_t size);
void *mem_calloc(size_t count, size_t size);
void *mem_realloc(void *old, size_t size);
void mem_free(void *p);
size_t mem_size(const void *p);

static bool is_small(size_t size) {
    return size < small_max;
}

/* The class of a size: how many steps it takes, less one. */
static size_t class_of(size_t size) {
    return size / SIM_SMALL_STEP;
}

static size_t small_bytes(size_t size) {
    return sizeof(struct block) + (class_of(size) + 1) * SIM_SMALL_STEP;
}

static void slab_new(struct heap *h) {
    struct slab *s = unused_slabs;
    if (s != NULL)
        unused_slabs = s->next;
    else
        s = malloc(SLAB_BYTES);
    CHECK(s != NULL);
    s->next = h->slabs;
    h->slabs = s;
    h->fresh = (char *)(s + 1);
    h->fresh_end = (char *)s + SLAB_BYTES;
}

static struct block *small_new(struct heap *h, size_t size) {
    struct block **reusable = (struct block **)&h->reusable[class_of(size)];
    if (*reusable != NULL) {
        struct block *b = *reusable;
        *reusable = *(struct block **)(b + 1);
        return b;
    }
    size_t bytes = small_bytes(size);
    if ((size_t)(h->fresh_end - h->fresh) < bytes) slab_new(h); /* what was left of the last stays unused */
    struct block *b = (struct block *)(void *)h->fresh;
    h->fresh += bytes;
    return b;
}

static struct block *large_adopt(struct large *l, struct heap *h) {
    CHECK(l != NULL);
    list_push_back(&h->large, &l->link);
    return &l->block;
}

static struct large *large_of(struct block *b) {
    return container_of(b, struct large, block);
}

static size_t large_bytes(size_t size) {
    CHECK(size < SIZE_MAX - sizeof(struct large));
    return sizeof(struct large) + size;
}

static void *own_block(struct block *b, size_t size, struct process *owner) {
    *b = (struct block){.size = size, .owner = owner};
    owner->heap.bytes += size;
    return b + 1;
}

static void *alloc_for(struct process *owner, size_t size) {
    struct heap *h = &owner->heap;
    return own_block(is_small(size) ? small_new(h, size) : large_adopt(malloc(large_bytes(size)), h), size,
                     owner);
}

void *mem_alloc(size_t size) {
    return alloc_for(heap_owner ? heap_owner : &ourselves, size);
}

void *mem_calloc(size_t count, size_t size) {
    size_t bytes;
    CHECK(!__builtin_mul_overflow(count, size, &bytes));
    struct process *owner = heap_owner ? heap_owner : &ourselves;
    if (is_small(bytes)) return memset(alloc_for(owner, bytes), 0, bytes);
    return own_block(large_adopt(calloc(1, large_bytes(bytes)), &owner->heap), bytes, owner);
}

/* What grows stays its owner's. */
void *mem_realloc(void *old, size_t size) {
    if (old == NULL) return mem_alloc(size);
    struct block *b = (struct block *)old - 1;
    struct process *owner = b->owner;
    size_t old_size = b->size;
    if (!is_small(old_size) && !is_small(size)) {
        list_unlink(&large_of(b)->link);
        owner->heap.bytes -= old_size;
        return own_block(large_adopt(realloc(large_of(b), large_bytes(size)), &owner->heap), size, owner);
    }
    if (is_small(old_size) && is_small(size) && class_of(old_size) == class_of(size)) {
        owner->heap.bytes -= old_size;
        return own_block(b, size, owner);
    }
    void *new = memcpy(alloc_for(owner, size), old, old_size < size ? old_size : size);
    mem_free(old);
    return new;
}

void mem_free(void *p) {
    if (p == NULL) return;
    struct block *b = (struct block *)p - 1;
    struct heap *h = &b->owner->heap;
    h->bytes -= b->size;
    if (is_small(b->size)) {
        void **reusable = &h->reusable[class_of(b->size)];
        *(void **)p = *reusable;
        *reusable = b;
        return;
    }
    list_unlink(&large_of(b)->link);
    free(large_of(b));
}

size_t mem_size(const void *p) {
    return p ? ((const struct block *)p)[-1].size : 0;
}

static void heap_free(struct heap *h) {
    while (!list_empty(&h->large)) {
        struct large *l = container_of(h->large.next, struct large, link);
        list_unlink(&l->link);
        free(l);
    }
    while (h->slabs != NULL) {
        struct slab *s = h->slabs;
        h->slabs = s->next;
        s->next = unused_slabs;
        unused_slabs = s;
    }
}

/* --- threads --- */

struct sim_thread {
    struct process *process;
    struct list link;
    struct fiber *fiber;
    struct sim_timer timer;
    const void *waits_on;
    bool blocked, woken; /* woken: sim_block is over, or need not begin */
    bool deferred;       /* its time came while the process was paused */
    bool ended;
    void *(*run)(void *arg);
    int (*main)(void *arg);
    void *arg;
};

static struct sim_thread *running;

struct process *process_running(void) {
    return running ? running->process : NULL;
}
struct sim_thread *sim_thread_running(void) {
    return running;
}
bool sim_thread_ended(const struct sim_thread *t) {
    return t->ended;
}

static void run_thread(struct sim_thread *t) {
    struct process *p = t->process;
    running = t;
    heap_owner = p;
    sim_fiber_resume(t->fiber);
    heap_owner = NULL;
    running = NULL;
    if (p->ended) { /* its main returned, or it called exit */
        machine_process_ended(p->machine, p);
        return;
    }
    if (!sim_fiber_ended(t->fiber)) return;
    t->ended = true;
    sim_fiber_free(t->fiber);
    t->fiber = NULL;
    for (struct list *it = p->threads.next; it != &p->threads; it = it->next) {
        struct sim_thread *other = container_of(it, struct sim_thread, link);
        if (other->blocked && other->waits_on == t) sim_wake(other, 0);
    }
}

static void thread_fire(struct sim_timer *timer) {
    struct sim_thread *t = container_of(timer, struct sim_thread, timer);
    if (t->process->paused) {
        t->deferred = true;
        return;
    }
    t->woken = true;
    run_thread(t);
}

static void thread_enter(void *arg) {
    struct sim_thread *t = arg;
    if (t->main != NULL)
        sim_exit(t->main(t->arg));
    else
        t->run(t->arg);
}

static struct sim_thread *thread_new(struct process *p, void *arg) {
    struct sim_thread *t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    t->process = p;
    t->arg = arg;
    t->fiber = sim_fiber_new(thread_enter, t);
    list_push_back(&p->threads, &t->link);
    return t;
}

struct sim_thread *sim_thread_start(void *(*run)(void *arg), void *arg) {
    CHECK(running != NULL);
    struct sim_thread *t = thread_new(running->process, arg);
    t->run = run;
    sim_timer_set(&t->timer, world.now_us + sim_between(1, 50), thread_fire);
    return t;
}

void sim_block(void) {
    struct sim_thread *t = running;
    CHECK(t != NULL);
    struct process *owner = heap_owner; /* others run meanwhile */
    t->blocked = true;
    while (!t->woken) sim_fiber_yield();
    heap_owner = owner;
    t->blocked = t->woken = false;
}

void sim_wake(struct sim_thread *t, uint64_t delay_us) {
    if (t->ended) return;
    uint64_t at = world.now_us + delay_us;
    if (t->timer.place != 0 && t->timer.at_us <= at) return;
    sim_timer_set(&t->timer, at, thread_fire);
}

/* Nothing happens until then that this thread's time would have to wait for, so it need not give the CPU away to get
 * it back at once: the same step, but for two changes of stacks. */
static bool sleep_undisturbed(struct sim_thread *t, uint64_t until) {
    if (t->woken || t->timer.place != 0 || t->process->paused || until > world.until_us) return false;
    if (world.count > 0 && world.queue[1]->at_us <= until) return false;
    world.seq++;
    pass_to(until);
    return true;
}

void sim_sleep_us(uint64_t us) {
    struct sim_thread *t = running;
    if (t == NULL) return;
    uint64_t until = world.now_us + us;
    if (sleep_undisturbed(t, until)) return;
    do {
        sim_timer_set(&t->timer, until, thread_fire);
        sim_block();
    } while (world.now_us < until);
}

/* The scheduler of a real machine is seldom late, and sometimes very. */
static uint64_t scheduling_us(void) {
    return sim_chance(0.002) ? sim_between(1000, 20000) : sim_between(1, 30);
}

void sim_wait_on(const void *what) {
    running->waits_on = what;
    sim_block();
    running->waits_on = NULL;
}

void sim_notify(const void *what, bool all) {
    CHECK(running != NULL);
    struct process *p = running->process;
    for (struct list *it = p->threads.next; it != &p->threads; it = it->next) {
        struct sim_thread *t = container_of(it, struct sim_thread, link);
        if (!t->blocked || t->waits_on != what) continue;
        t->waits_on = NULL; /* one signal is not spent on it twice */
        sim_wake(t, scheduling_us());
        if (!all) return;
    }
}

/* --- processes --- */

struct process *process_start(struct machine *m, int (*main)(void *arg), void *arg) {
    static uint64_t serial;
    struct process *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->machine = m;
    p->serial = ++serial;
    p->rng.state = rng_next(&world.rng);
    list_init(&p->heap.large);
    list_init(&p->threads);
    list_init(&p->loops);
    struct sim_thread *t = thread_new(p, arg);
    t->main = main;
    sim_timer_set(&t->timer, world.now_us + sim_between(1, 1000), thread_fire);
    return p;
}

void process_kill(struct process *p) {
    CHECK(running == NULL);
    while (!list_empty(&p->loops)) loop_forget(p->loops.next);
    files_forget(p);
    while (!list_empty(&p->threads)) {
        struct sim_thread *t = container_of(p->threads.next, struct sim_thread, link);
        list_unlink(&t->link);
        sim_timer_cancel(&t->timer);
        if (t->fiber != NULL) sim_fiber_free(t->fiber);
        free(t);
    }
    heap_free(&p->heap);
    free(p);
}

void process_pause(struct process *p) {
    p->paused = true;
}

void process_resume(struct process *p) {
    p->paused = false;
    for (struct list *it = p->threads.next; it != &p->threads; it = it->next) {
        struct sim_thread *t = container_of(it, struct sim_thread, link);
        if (t->deferred) sim_timer_set(&t->timer, world.now_us + sim_between(1, 100), thread_fire);
        t->deferred = false;
    }
}

_Noreturn void sim_exit(int code) {
    running->process->exit_code = code;
    running->process->ended = true;
    sim_fiber_yield();
    sim_fail("a process that has ended runs on");
}

/* --- telling --- */

enum { LOG_LINES = 4000, LOG_LINE_CAP = 228 };

static struct log_line {
    uint64_t at_us;
    char text[LOG_LINE_CAP];
} log_lines[LOG_LINES];
static size_t log_count;
static bool log_all;
static void (*tell_more)(void);

void sim_on_failure(void (*tell)(void)) {
    tell_more = tell;
}
void sim_log_level(bool all) {
    log_all = all;
}

/* printf and puts are a simulated process's. */
static void show(const char *line) {
    fputs(line, stdout);
    fputc('\n', stdout);
}

void sim_tell(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stdout, format, args);
    va_end(args);
}

static void show_line(const struct log_line *line) {
    char text[LOG_LINE_CAP + 40];
    snprintf(text, sizeof text, "%12.6f %s", (double)line->at_us / SIM_SECOND, line->text);
    show(text);
}

static struct log_line *new_line(void) {
    struct log_line *line = &log_lines[log_count++ % LOG_LINES];
    line->at_us = world.now_us;
    return line;
}

void sim_log(const char *format, ...) {
    struct log_line *line = new_line();
    va_list args;
    va_start(args, format);
    vsnprintf(line->text, LOG_LINE_CAP, format, args);
    va_end(args);
    if (log_all) show_line(line);
}

void sim_log_words(const char *who, const char *text) {
    struct log_line *line = new_line();
    char *end = line->text + LOG_LINE_CAP;
    char *at = stpncpy(line->text, who, 20);
    at = stpncpy(at, "| ", 3);
    at = stpncpy(at, text, (size_t)(end - 1 - at));
    *at = '\0';
    if (log_all) show_line(line);
}

void sim_log_dump(void) {
    if (log_all) return;
    size_t from = log_count > LOG_LINES ? log_count - LOG_LINES : 0;
    for (size_t i = from; i < log_count; i++) show_line(&log_lines[i % LOG_LINES]);
    log_count = 0;
}

_Noreturn void sim_fail(const char *format, ...) {
    va_list args;
    char text[2000];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_log_dump();
    char headline[2100];
    snprintf(headline, sizeof headline, "\n%12.6f FAILED: %s", (double)world.now_us / SIM_SECOND, text);
    show(headline);
    if (tell_more != NULL) tell_more();
    fflush(stdout);
    _Exit(1);
}
