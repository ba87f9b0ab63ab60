/* libuv: the loop, its timer, signals, and the eventfd by which other threads wake it. Everything that happens in a turn is
 * node.c's. */
#include "node_internal.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void idle_cb(uv_idle_t *idle) {
    (void)idle; /* its being there keeps the loop from sleeping */
}

void loop_keep_awake(struct node *n, bool awake) {
    if (awake == n->uv.idle_running) return;
    n->uv.idle_running = awake;
    if (awake)
        uv_idle_start(&n->uv.idle, idle_cb);
    else
        uv_idle_stop(&n->uv.idle);
}

/* From the log thread and from the storage thread alike. An eventfd of our own: uv_async_send would have the loop spin
 * until the sender is back from its system call (measured: a tenth of the CPU of a SET). */
void node_wake(void *arg) {
    struct node *n = arg;
    uint64_t one = 1;
    CHECK(write(n->uv.wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static void wake_cb(uv_poll_t *poll, int status, int events) {
    struct node *n = poll->data;
    uint64_t count;
    (void)status;
    (void)events;
    if (read(n->uv.wake_fd, &count, sizeof count) == (ssize_t)sizeof count) n->wake_seen = true;
}

static void check_cb(uv_check_t *check) {
    node_turn(check->data);
}

static void timer_cb(uv_timer_t *timer) {
    node_tick(timer->data);
}

static void alarm_cb(uv_timer_t *timer) {
    struct node *n = timer->data;
    n->uv.alarm_at_us = 0;
    node_alarm(n);
}

void loop_set_alarm(struct node *n, uint64_t at_us, uint64_t ms) {
    if (n->uv.alarm_at_us == at_us) return;
    n->uv.alarm_at_us = at_us;
    if (at_us == 0) {
        uv_timer_stop(&n->uv.alarm);
        return;
    }
    uv_update_time(&n->uv.loop); /* libuv counts from when it last looked at the clock */
    uv_timer_start(&n->uv.alarm, alarm_cb, ms, 0);
}

static void signal_cb(uv_signal_t *handle, int signum) {
    node_stop(handle->data, signum == SIGTERM ? "SIGTERM" : "SIGINT");
}

void loop_set_tick(struct node *n, int ms) {
    if (n->uv.timer_ms == ms) return;
    n->uv.timer_ms = ms;
    uv_timer_start(&n->uv.timer, timer_cb, (uint64_t)ms, (uint64_t)ms);
}

void loop_stop(struct node *n) {
    uv_stop(&n->uv.loop);
}

void loop_open(struct node *n) {
    struct node_loop *l = &n->uv;
    CHECK(uv_loop_init(&l->loop) == 0);
    uv_check_init(&l->loop, &l->check);
    uv_idle_init(&l->loop, &l->idle);
    uv_timer_init(&l->loop, &l->timer);
    uv_timer_init(&l->loop, &l->alarm);
    uv_signal_init(&l->loop, &l->sigterm);
    uv_signal_init(&l->loop, &l->sigint);
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(l->wake_fd >= 0);
    CHECK(uv_poll_init(&l->loop, &l->wake, l->wake_fd) == 0);
    CHECK(uv_poll_start(&l->wake, UV_READABLE, wake_cb) == 0);
    l->check.data = l->idle.data = l->timer.data = l->alarm.data = n;
    l->wake.data = l->sigterm.data = l->sigint.data = n;
}

void loop_run(struct node *n) {
    struct node_loop *l = &n->uv;
    uv_check_start(&l->check, check_cb);
    uv_signal_start(&l->sigterm, signal_cb, SIGTERM);
    uv_signal_start(&l->sigint, signal_cb, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* the terminal may go, as with Redis */
    node_tick(n);            /* a lone voter need not wait for its first tick */
    uv_run(&l->loop, UV_RUN_DEFAULT);
}

static void close_any(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void loop_close(struct node *n) {
    uv_walk(&n->uv.loop, close_any, NULL);
    for (int i = 0; i < 100 && uv_run(&n->uv.loop, UV_RUN_NOWAIT) != 0; i++) continue;
    (void)uv_loop_close(&n->uv.loop);
    close(n->uv.wake_fd);
}
