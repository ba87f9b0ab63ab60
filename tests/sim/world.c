/* See world.h. */
#include "world.h"

#include "disk.h"
#include "fiber.h"
#include "sim_uv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- time --- */

static struct {
    uint64_t now_us, seq, steps, digest;
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
    world.now_us = world.seq = world.steps = 0;
    world.digest = seed;
    world.rng.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

void world_end(void) {
    CHECK(world.count == 0);
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

bool world_run_until(uint64_t us) {
    while (world.count > 0 && world.queue[1]->at_us <= us) {
        struct sim_timer *t = world.queue[1];
        sim_timer_cancel(t);
        CHECK(t->at_us >= world.now_us);
        world.now_us = t->at_us;
        world.steps++;
        world_mix(t->at_us);
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

/* mem.h, with a list for each process. Blocks are the C library's, so that AddressSanitizer watches them. */
struct heap_block {
    struct list link;
    size_t size;
    struct process *owner;
};

static_assert(sizeof(struct heap_block) % 16 == 0, "blocks stay aligned");

static struct process *heap_owner;
static struct process ourselves = {.memory = {&ourselves.memory, &ourselves.memory}};

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

static void *block_adopt(struct heap_block *b, size_t size, struct process *owner) {
    CHECK(b != NULL);
    b->size = size;
    b->owner = owner;
    list_push_back(&owner->memory, &b->link);
    owner->memory_bytes += size;
    return b + 1;
}

static size_t block_bytes(size_t size) {
    CHECK(size < SIZE_MAX - sizeof(struct heap_block));
    return sizeof(struct heap_block) + size;
}

void *mem_alloc(size_t size) {
    return block_adopt(malloc(block_bytes(size)), size, heap_owner ? heap_owner : &ourselves);
}

void *mem_calloc(size_t count, size_t size) {
    size_t bytes;
    CHECK(!__builtin_mul_overflow(count, size, &bytes));
    return block_adopt(calloc(1, block_bytes(bytes)), bytes, heap_owner ? heap_owner : &ourselves);
}

/* What grows stays its owner's. */
void *mem_realloc(void *old, size_t size) {
    if (old == NULL) return mem_alloc(size);
    struct heap_block *b = (struct heap_block *)old - 1;
    struct process *owner = b->owner;
    list_unlink(&b->link);
    owner->memory_bytes -= b->size;
    return block_adopt(realloc(b, block_bytes(size)), size, owner);
}

void mem_free(void *p) {
    if (p == NULL) return;
    struct heap_block *b = (struct heap_block *)p - 1;
    list_unlink(&b->link);
    b->owner->memory_bytes -= b->size;
    free(b);
}

size_t mem_size(const void *p) {
    return p ? ((const struct heap_block *)p)[-1].size : 0;
}

static void free_memory(struct process *p) {
    while (!list_empty(&p->memory)) {
        struct heap_block *b = container_of(p->memory.next, struct heap_block, link);
        list_unlink(&b->link);
        free(b);
    }
    p->memory_bytes = 0;
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
    fiber_resume(t->fiber);
    heap_owner = NULL;
    running = NULL;
    if (p->ended) { /* its main returned, or it called exit */
        machine_process_ended(p->machine, p);
        return;
    }
    if (!fiber_ended(t->fiber)) return;
    t->ended = true;
    fiber_free(t->fiber);
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
    t->fiber = fiber_new(thread_enter, t);
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
    while (!t->woken) fiber_yield();
    heap_owner = owner;
    t->blocked = t->woken = false;
}

void sim_wake(struct sim_thread *t, uint64_t delay_us) {
    if (t->ended) return;
    uint64_t at = world.now_us + delay_us;
    if (t->timer.place != 0 && t->timer.at_us <= at) return;
    sim_timer_set(&t->timer, at, thread_fire);
}

void sim_sleep_us(uint64_t us) {
    struct sim_thread *t = running;
    if (t == NULL) return;
    uint64_t until = world.now_us + us;
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
    list_init(&p->memory);
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
        if (t->fiber != NULL) fiber_free(t->fiber);
        free(t);
    }
    free_memory(p);
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
    fiber_yield();
    sim_fail("a process that has ended runs on");
}

/* --- telling --- */

enum { LOG_LINES = 4000, LOG_LINE_CAP = 240 };

static char log_lines[LOG_LINES][LOG_LINE_CAP];
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

void sim_log(const char *format, ...) {
    char *line = log_lines[log_count++ % LOG_LINES];
    va_list args;
    int at = snprintf(line, LOG_LINE_CAP, "%12.6f ", (double)world.now_us / SIM_SECOND);
    va_start(args, format);
    vsnprintf(line + at, LOG_LINE_CAP - (size_t)at, format, args);
    va_end(args);
    if (log_all) show(line);
}

void sim_log_dump(void) {
    if (log_all) return;
    size_t from = log_count > LOG_LINES ? log_count - LOG_LINES : 0;
    for (size_t i = from; i < log_count; i++) show(log_lines[i % LOG_LINES]);
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
