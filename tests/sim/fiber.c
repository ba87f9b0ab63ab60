/* See fiber.h. A fiber is begun with makecontext; afterwards _setjmp and _longjmp change stacks, which cost no system
 * call. AddressSanitizer is told about each change. Stacks are kept for reuse. */
#include "fiber.h"

#include "check.h"

#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#ifdef SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
enum { STACK_BYTES = 1 << 20 };
#else
enum { STACK_BYTES = 256 << 10 };
#endif
enum { GUARD_BYTES = 4096 };

/* Calls from here are not a simulated process's. */
void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
int __real_mprotect(void *at, size_t len, int protection);

struct stack {
    struct stack *next; /* at its top while it is free */
};

struct fiber {
    char *stack; /* the guard page first */
    void (*run)(void *arg);
    void *arg;
    ucontext_t first;
    jmp_buf here, back;
    bool begun, ended;
#ifdef SIM_ASAN
    void *fake, *fake_back;
    const void *bottom_back;
    size_t size_back;
#endif
};

static struct fiber *running;
static struct stack *free_stacks;

static struct stack *stack_top(char *stack) {
    return (struct stack *)(void *)(stack + GUARD_BYTES + STACK_BYTES) - 1;
}

static char *stack_new(void) {
    if (free_stacks != NULL) {
        struct stack *s = free_stacks;
        free_stacks = s->next;
        return (char *)(s + 1) - GUARD_BYTES - STACK_BYTES;
    }
    char *p = __real_mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    CHECK(__real_mprotect(p, GUARD_BYTES, PROT_NONE) == 0);
    return p;
}

static void arrived(struct fiber *f) {
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(f->fake, &f->bottom_back, &f->size_back);
#else
    (void)f;
#endif
}

static void leave(struct fiber *f) {
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(f->ended ? NULL : &f->fake, f->bottom_back, f->size_back);
#endif
    _longjmp(f->back, 1);
}

static void enter(void) {
    struct fiber *f = running;
    arrived(f);
    f->run(f->arg);
    f->ended = true;
    leave(f);
}

struct fiber *sim_fiber_new(void (*run)(void *arg), void *arg) {
    struct fiber *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->stack = stack_new();
    f->run = run;
    f->arg = arg;
    CHECK(getcontext(&f->first) == 0);
    f->first.uc_stack.ss_sp = f->stack + GUARD_BYTES;
    f->first.uc_stack.ss_size = STACK_BYTES;
    makecontext(&f->first, enter, 0);
    return f;
}

void sim_fiber_free(struct fiber *f) {
    CHECK(f != running);
#ifdef SIM_ASAN
    __asan_unpoison_memory_region(f->stack + GUARD_BYTES, STACK_BYTES);
#endif
    struct stack *s = stack_top(f->stack);
    s->next = free_stacks;
    free_stacks = s;
    free(f);
}

/* No variable lives across the change of stacks: what was in a register then is not what it was. */
__attribute__((noinline)) static void change_to(struct fiber *f) {
    if (_setjmp(f->back) != 0) return;
    if (running->begun) _longjmp(running->here, 1);
    running->begun = true;
    setcontext(&running->first);
}

void sim_fiber_resume(struct fiber *f) {
    CHECK(running == NULL);
    CHECK(!f->ended);
    running = f;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(&f->fake_back, f->stack + GUARD_BYTES, STACK_BYTES);
#endif
    change_to(f);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(running->fake_back, NULL, NULL);
#endif
    running = NULL;
}

void sim_fiber_yield(void) {
    struct fiber *f = running;
    CHECK(f != NULL);
    if (_setjmp(f->here) == 0) leave(f);
    arrived(running);
}

bool sim_fiber_ended(const struct fiber *f) {
    return f->ended;
}
