/* See fiber.h. The first step onto the stack is makecontext's; afterwards _setjmp and _longjmp change stacks, which cost no system
 * call. ThreadSanitizer keeps books about longjmp, so under it swapcontext does. */
#include "fiber.h"

#include "check.h"
#include "mem.h"

#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum {
    GUARD_BYTES = 64 << 10,
    STACK_BYTES = 8 << 20 /* as the main thread's: what works there works here */
};

struct fiber {
    char *stack; /* the guard first */
    void (*run)(void *arg);
    void *arg;
    bool is_begun, is_used, is_running;
    ucontext_t first, loop;
    jmp_buf here, back;
#ifdef FIBER_ASAN
    void *fake_here, *fake_back;
    const void *bottom_back;
    size_t size_back;
#endif
#ifdef FIBER_TSAN
    void *tsan_here, *tsan_back;
    ucontext_t inside;
#endif
};

/* --- what the sanitizers are told --- */

static void about_to_enter(struct fiber *f) {
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&f->fake_back, f->stack + GUARD_BYTES, STACK_BYTES);
#endif
#ifdef FIBER_TSAN
    f->tsan_back = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan_here, 0);
#endif
    (void)f;
}

static void entered(struct fiber *f) {
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(f->fake_here, &f->bottom_back, &f->size_back);
#endif
    (void)f;
}

static void about_to_go_back(struct fiber *f) {
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&f->fake_here, f->bottom_back, f->size_back);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(f->tsan_back, 0);
#endif
    (void)f;
}

static void went_back(struct fiber *f) {
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(f->fake_back, NULL, NULL);
#endif
    (void)f;
}

/* --- changing stacks --- */

/* No variable lives across a change: what was in a register then is not what it was. */
__attribute__((noinline)) static void go_there(struct fiber *f) {
#ifdef FIBER_TSAN
    CHECK(swapcontext(&f->loop, f->is_begun ? &f->inside : &f->first) == 0);
#else
    if (_setjmp(f->back) != 0) return;
    if (f->is_begun) _longjmp(f->here, 1);
    CHECK(setcontext(&f->first) == 0);
#endif
}

__attribute__((noinline)) static void go_back(struct fiber *f) {
#ifdef FIBER_TSAN
    CHECK(swapcontext(&f->inside, &f->loop) == 0);
#else
    if (_setjmp(f->here) == 0) _longjmp(f->back, 1);
#endif
}

void fiber_leave(struct fiber *f) {
    CHECK(f->is_running);
    about_to_go_back(f);
    go_back(f);
    entered(f);
}

/* The stack is never left for good: behind one call it waits for the next. makecontext passes ints only. */
static void enter(unsigned high, unsigned low) {
    struct fiber *f = (struct fiber *)((uintptr_t)high << 32 | (uintptr_t)low);
    f->is_begun = true;
    entered(f);
    for (;;) {
        f->run(f->arg);
        f->is_used = false;
        fiber_leave(f);
    }
}

bool fiber_resume(struct fiber *f) {
    CHECK(f->is_used);
    CHECK(!f->is_running);
    f->is_running = true;
    about_to_enter(f);
    go_there(f);
    went_back(f);
    f->is_running = false;
    return !f->is_used;
}

bool fiber_call(struct fiber *f, void (*run)(void *arg), void *arg) {
    CHECK(!f->is_used);
    f->run = run;
    f->arg = arg;
    f->is_used = true;
    return fiber_resume(f);
}

bool fiber_is_used(const struct fiber *f) {
    return f->is_used;
}

/* --- life --- */

struct fiber *fiber_new(void) {
    struct fiber *f = mem_calloc(1, sizeof *f);
    f->stack = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    CHECK(f->stack != MAP_FAILED);
    CHECK(mprotect(f->stack, GUARD_BYTES, PROT_NONE) == 0);
    CHECK(getcontext(&f->first) == 0);
    f->first.uc_stack.ss_sp = f->stack + GUARD_BYTES;
    f->first.uc_stack.ss_size = STACK_BYTES;
    uintptr_t self = (uintptr_t)f;
    makecontext(&f->first, (void (*)(void))(void *)enter, 2, (unsigned)(self >> 32), (unsigned)self);
#ifdef FIBER_TSAN
    f->tsan_here = __tsan_create_fiber(0);
#endif
    return f;
}

void fiber_free(struct fiber *f) {
    if (f == NULL) return;
    CHECK(!f->is_used);
#ifdef FIBER_TSAN
    __tsan_destroy_fiber(f->tsan_here);
#endif
    CHECK(munmap(f->stack, GUARD_BYTES + STACK_BYTES) == 0);
    mem_free(f);
}
