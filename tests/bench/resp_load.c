/*
 * The loads that redis-benchmark does not have: GETs and SETs mixed in one pipeline, SETs with a WAIT behind each pipeline of them,
 * and a steady rate whatever the server does, with what the longest answers were and when.
 *
 *   bench-resp-load PORT [NAME=NUMBER ...] [series=FILE]
 *
 *   requests  SETs and GETs in all (100000)         clients   connections (50)
 *   keys      key:000000000000 and on (100000)      pipeline  commands of a connection in flight (1)
 *   bytes     of a value (64)                       sets      how many of 100 are SETs (50)
 *   wait      1: WAIT 1 0 behind each pipeline (0)  turn      1: keys in turn, not at random: how to fill a server (0)
 *   rate      commands a second; 0: as fast as answers come (0)
 *
 * One thread, an epoll loop. A pipeline is sent when the one before is answered whole. With a rate, a command that finds no
 * connection free counts as waiting from the moment it was due; so a server that stops for a while is seen by all who would have
 * asked meanwhile. It prints what redis-benchmark --csv prints, a row for each of SET, GET and both together. `series` becomes a
 * CSV file: for each tenth of a second the commands that began in it and the longest answers, in microseconds.
 *
 * A SET must be answered +OK, WAIT with at least one replica, a GET with a value of the right length; anything else ends the
 * program. GETs that find nothing are counted in the last column.
 */
#include "load.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

enum {
    PIPELINE_MAX = 1024,
    LINE_BYTES_MAX = 512,
    IN_BYTES = 1 << 18,
    BUCKET_MS = 100,
    QUIET_MS_MAX = 60000,
    KEY_DIGITS = 12,
};

enum kind { GET, SET, WAIT, KINDS };

struct client {
    int fd;
    bool polls_out;
    size_t out_len, out_at, line_len, skip;
    size_t answered, sent_count; /* of the pipeline in flight */
    uint64_t began_ns[PIPELINE_MAX];
    uint8_t kinds[PIPELINE_MAX + 1];
    char line[LINE_BYTES_MAX];
    char *out;
};

struct bucket {
    uint32_t count, longest_us[2];
};

static struct {
    uint64_t requests, clients, keys, pipeline, bytes, sets, wait, turn, rate;
    const char *series;
} how = {.requests = 100000, .clients = 50, .keys = 100000, .pipeline = 1, .bytes = 64, .sets = 50};

static struct client *clients;
static struct client **idle;
static size_t idle_count;
static int ep;
static uint64_t began_ns, looked_ns, sent, answered, missing, counts[2];
static uint32_t *latencies[2];
static struct bucket *buckets;
static size_t bucket_count;
static char *get_text, *set_text;
static size_t get_len, set_len;
enum { GET_KEY_AT = sizeof "*2\r\n$3\r\nGET\r\n$16\r\nkey:" - 1, SET_KEY_AT = GET_KEY_AT };
static const char wait_text[] = "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n";

/* --- what is sent --- */

/* All commands of a kind are the same but for the digits of their keys. */
static void prepare(void) {
    get_text = malloc(128);
    set_text = malloc(how.bytes + 128);
    if (get_text == NULL || set_text == NULL) die("memory");
    get_len = (size_t)sprintf(get_text, "*2\r\n$3\r\nGET\r\n$16\r\nkey:%012d\r\n", 0);
    set_len = (size_t)sprintf(set_text, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%llu\r\n", 0,
                              (unsigned long long)how.bytes);
    for (uint64_t i = 0; i < how.bytes; i++) set_text[set_len++] = 'x';
    set_text[set_len++] = '\r';
    set_text[set_len++] = '\n';
}

static char *put(char *to, enum kind kind) {
    size_t len = kind == SET ? set_len : get_len;
    uint64_t key = (how.turn ? sent : next_random()) % how.keys;
    memcpy(to, kind == SET ? set_text : get_text, len);
    char *last = to + (kind == SET ? (size_t)SET_KEY_AT : (size_t)GET_KEY_AT) + KEY_DIGITS - 1;
    for (int digit = 0; digit < KEY_DIGITS; digit++, key /= 10) *last-- = (char)('0' + key % 10);
    return to + len;
}

static void poll_for(struct client *c, bool out) {
    if (c->polls_out == out) return;
    struct epoll_event event = {.events = out ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &event) != 0) die("epoll_ctl");
    c->polls_out = out;
}

static void flush(struct client *c) {
    while (c->out_at < c->out_len) {
        ssize_t n = write(c->fd, c->out + c->out_at, c->out_len - c->out_at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) die("write");
        c->out_at += (size_t)n;
    }
    poll_for(c, c->out_at < c->out_len);
}

/* When command number `number` is due; without a rate, at once. */
static uint64_t due_ns(uint64_t number, uint64_t now) {
    return how.rate == 0 ? now : began_ns + (uint64_t)((double)number * 1e9 / (double)how.rate);
}

static void send_pipeline(struct client *c, uint64_t now) {
    char *to = c->out;
    c->sent_count = c->answered = c->out_at = 0;
    while (c->sent_count < how.pipeline && sent < how.requests) {
        uint64_t due = due_ns(sent, now);
        if (due > now) break;
        enum kind kind = next_random() % 100 < how.sets ? SET : GET;
        /* Due before we last looked, and no connection was free then: it has waited for the server. Otherwise only for us. */
        c->began_ns[c->sent_count] = due < looked_ns ? due : now;
        c->kinds[c->sent_count++] = (uint8_t)kind;
        to = put(to, kind);
        sent++;
    }
    if (how.wait) {
        memcpy(to, wait_text, sizeof wait_text - 1);
        to += sizeof wait_text - 1;
        c->kinds[c->sent_count] = WAIT;
    }
    c->out_len = (size_t)(to - c->out);
    flush(c);
}

static void send_due(uint64_t now) {
    while (idle_count > 0 && sent < how.requests && due_ns(sent, now) <= now)
        send_pipeline(idle[--idle_count], now);
    looked_ns = now;
}

/* --- what comes --- */

static void note(struct client *c, size_t i, uint64_t now) {
    enum kind kind = c->kinds[i];
    uint64_t us = (now - c->began_ns[i]) / 1000, at = (c->began_ns[i] - began_ns) / 1000000 / BUCKET_MS;
    uint32_t capped = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    latencies[kind][counts[kind]++] = capped;
    answered++;
    if (how.series == NULL) return;
    if (at >= bucket_count) {
        size_t count = at * 2 + 64;
        buckets = realloc(buckets, count * sizeof *buckets);
        if (buckets == NULL) die("memory");
        memset(buckets + bucket_count, 0, (count - bucket_count) * sizeof *buckets);
        bucket_count = count;
    }
    buckets[at].count++;
    if (capped > buckets[at].longest_us[kind]) buckets[at].longest_us[kind] = capped;
}

/* With WAIT, a SET counts as answered when its replica has it. */
static void complete(struct client *c, uint64_t now) {
    size_t all = c->sent_count + (how.wait ? 1 : 0), i = c->answered++;
    if (!how.wait) note(c, i, now);
    if (c->answered < all) return;
    for (i = 0; how.wait && i < c->sent_count; i++) note(c, i, now);
    idle[idle_count++] = c;
}

static void answer(struct client *c, uint64_t now) {
    static const char *const names[KINDS] = {"GET", "SET", "WAIT"};
    if (c->answered == c->sent_count + (how.wait ? 1 : 0)) fail("an answer nobody waits for");
    enum kind kind = c->kinds[c->answered];
    const char *line = c->line;
    if (kind == GET && line[0] == '$') {
        long long len = strtoll(line + 1, NULL, 10);
        if (len < 0) {
            missing++;
        } else {
            if ((uint64_t)len != how.bytes) fail("a value of another length");
            c->skip = (size_t)len + 2;
            return; /* complete when it has come */
        }
    } else if (!(kind == SET && strcmp(line, "+OK") == 0) &&
               !(kind == WAIT && line[0] == ':' && line[1] >= '1' && line[1] <= '9')) {
        fprintf(stderr, "%s was answered %s\n", names[kind], line);
        exit(1);
    }
    complete(c, now);
}

static void take(struct client *c, const char *data, size_t len, uint64_t now) {
    while (len > 0) {
        if (c->skip > 0) {
            size_t part = c->skip < len ? c->skip : len;
            c->skip -= part;
            data += part;
            len -= part;
            if (c->skip == 0) complete(c, now);
            continue;
        }
        const char *end = memchr(data, '\n', len);
        size_t part = end == NULL ? len : (size_t)(end - data) + 1;
        if (c->line_len + part >= LINE_BYTES_MAX) fail("a line that is too long");
        memcpy(c->line + c->line_len, data, part);
        c->line_len += part;
        data += part;
        len -= part;
        if (end == NULL) return;
        if (c->line_len < 3) fail("an empty line");
        c->line[c->line_len - 2] = '\0';
        c->line_len = 0;
        answer(c, now);
    }
}

static void ready(struct client *c, uint32_t events) {
    static char in[IN_BYTES];
    if ((events & EPOLLOUT) != 0) flush(c);
    if ((events & ~(uint32_t)EPOLLOUT) == 0) return;
    ssize_t n = read(c->fd, in, sizeof in);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) fail("the server closed a connection");
    take(c, in, (size_t)n, now_ns());
}

/* --- around it --- */

static void set_option(const char *text) {
    const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {
        {"requests=", &how.requests}, {"clients=", &how.clients}, {"keys=", &how.keys},
        {"pipeline=", &how.pipeline}, {"bytes=", &how.bytes},     {"sets=", &how.sets},
        {"wait=", &how.wait},         {"turn=", &how.turn},       {"rate=", &how.rate},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        size_t len = strlen(numbers[i].name);
        char *end;
        if (strncmp(text, numbers[i].name, len) != 0) continue;
        *numbers[i].value = strtoull(text + len, &end, 10);
        if (*end != '\0' || end == text + len) fail("a number is expected");
        return;
    }
    if (strncmp(text, "series=", 7) != 0) fail("no such option");
    how.series = text + 7;
}

static void open_clients(const char *port) {
    size_t out_max = how.pipeline * (set_len > get_len ? set_len : get_len) + sizeof wait_text;
    clients = calloc(how.clients, sizeof *clients);
    idle = calloc(how.clients, sizeof(struct client *));
    if (clients == NULL || idle == NULL) die("memory");
    for (uint64_t i = 0; i < how.clients; i++) {
        struct client *c = &clients[i];
        c->fd = load_connect(port, ep, c);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        c->out = malloc(out_max);
        if (c->out == NULL) die("memory");
        idle[idle_count++] = c;
    }
}

static void wait_for_events(void) {
    struct epoll_event events[256];
    uint64_t now = now_ns(), due = sent < how.requests && idle_count > 0 ? due_ns(sent, now) : UINT64_MAX;
    int timeout_ms = QUIET_MS_MAX;
    if (due != UINT64_MAX) {
        /* Between commands of a rate we sleep finer than epoll_wait can, and look whether anything came. */
        struct pollfd both = {.fd = ep, .events = POLLIN};
        uint64_t left = due > now ? due - now : 0;
        struct timespec nap = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};
        if (left > 0 && ppoll(&both, 1, &nap, NULL) < 0 && errno != EINTR) die("ppoll");
        timeout_ms = 0;
    }
    int count = epoll_wait(ep, events, 256, timeout_ms);
    if (count == 0 && timeout_ms > 0) fail("no answer for a minute");
    for (int i = 0; i < count; i++) ready(events[i].data.ptr, events[i].events);
}

static void write_series(void) {
    FILE *f = fopen(how.series, "w");
    if (f == NULL) die(how.series);
    fprintf(f, "ms,commands,longest_get_us,longest_set_us\n");
    for (size_t i = 0; i < bucket_count; i++) {
        const struct bucket *b = &buckets[i];
        if (b->count > 0)
            fprintf(f, "%zu,%u,%u,%u\n", i * BUCKET_MS, b->count, b->longest_us[GET], b->longest_us[SET]);
    }
    if (fclose(f) != 0) die(how.series);
}

int main(int argc, char **argv) {
    if (argc < 2 || strtoul(argv[1], NULL, 10) == 0) {
        fprintf(stderr, "usage: bench-resp-load PORT [NAME=NUMBER ...] [series=FILE]\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) set_option(argv[i]);
    if (how.requests == 0 || how.clients == 0 || how.keys == 0 || how.pipeline == 0 ||
        how.pipeline > PIPELINE_MAX || how.sets > 100 || how.bytes == 0)
        fail("a number is out of range");
    random_state ^= (uint64_t)getpid() << 32;
    for (int kind = GET; kind <= SET; kind++) latencies[kind] = calloc(how.requests, sizeof(uint32_t));
    ep = epoll_create1(0);
    if (latencies[GET] == NULL || latencies[SET] == NULL || ep < 0) die("memory or epoll");
    prepare();
    open_clients(argv[1]);
    began_ns = looked_ns = now_ns();
    while (answered < how.requests) {
        send_due(now_ns());
        wait_for_events();
    }
    uint64_t took_ns = now_ns() - began_ns;
    if (how.series != NULL) write_series();
    report_head();
    if (counts[SET] > 0) report_row("SET", latencies[SET], counts[SET], counts[SET], took_ns, 0);
    if (counts[GET] > 0) report_row("GET", latencies[GET], counts[GET], counts[GET], took_ns, missing);
    if (counts[SET] > 0 && counts[GET] > 0) {
        latencies[SET] = realloc(latencies[SET], answered * sizeof(uint32_t));
        if (latencies[SET] == NULL) die("memory");
        memcpy(latencies[SET] + counts[SET], latencies[GET], counts[GET] * sizeof(uint32_t));
        report_row("both", latencies[SET], answered, answered, took_ns, missing);
    }
    return 0;
}
