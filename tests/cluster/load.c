/* Clients that write down what they did and saw: the load of the cluster tests.
 *
 *   load --ports 7000,7001,7002 --history FILE --seed N [--clients 6] [--rate 300] [--depth 4] [--slots 3]
 *        [--timeout-ms 3000]
 *
 * Each client is a thread with one connection to one node: a plain client, which stays with its node until the connection
 * breaks or it feels like another, and which follows -MOVED as a cluster client does. It sends up to `depth` commands at once,
 * `rate` in a second. It runs until it reads a line "stop", then lets the clients finish, reads every key once more through
 * several nodes, and ends; on standard output it says "answered=... refused=... unknown=... moved=...", also once a second.
 *
 * What has no answer is of unknown outcome: the client goes on under a new number. An error is a refusal when its code says
 * that nothing was done; any other error is not expected, and makes the exit code 3.
 *
 * Keys: of each family there are some `slots` in use at a time, and a slot's key is replaced by a fresh one after some hundred
 * commands, so that no key's history becomes long; old ones are read and written again at times, since what was stored long
 * ago must not get lost either. Four families are keys of their own: registers r, counters c, appends a, lists l. Three live in collections
 * that all clients share, where the history's key is a field or a member: registers h and counters n are fields of the
 * hash "big:hash"; m are members of the set "big:set", in the history a register that holds "1" while the member is there.
 * Fillers, which no history tells of, keep those collections big and make and unmake others: nodes must agree on them too. */
#include "history.h"
#include "rng.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NODES_MAX = 16, DEPTH_MAX = 64, SLOTS_MAX = 64, FAMILIES = 7 };
static const char family_letters[FAMILIES + 1] = "rcahnml";
/* So many commands, and a slot's key is replaced. Of lists few: what was pushed with an unknown outcome may be anywhere in them, and
 * each of it doubles what the checker has to think of. */
static const uint64_t commands_per_key[FAMILIES] = {300, 300, 300, 300, 300, 300, 30};

static struct {
    int ports[NODES_MAX];
    size_t port_count, clients, depth, slots;
    uint64_t seed, timeout_ms;
    double rate;
    const char *history_path;
} options = {.clients = 6, .depth = 4, .slots = 3, .timeout_ms = 3000, .rate = 300};

static _Atomic bool stopping;
static _Atomic uint64_t answered, refused, unknown, moved, unexpected;
static _Atomic uint64_t commands_of_slot[FAMILIES][SLOTS_MAX];
static pthread_mutex_t history_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *history_file;

struct client {
    pthread_t thread;
    struct rng rng;
    size_t number, life; /* which connection this is */
    uint64_t written;    /* values, to make them unique */
    redisContext *redis;
    size_t node;
};

/* A command on its way; also a line of the history. */
struct request {
    struct op op;
    char key[64], arg[64], number[24];
    const char *name; /* as it is sent; op.kind says what it means */
    const char *extra;
    const char *collection; /* whose field or member the key is, or NULL */
    struct buf list;        /* its answer as the history has it */
    struct buf filler;      /* a whole command, encoded, that is in no history; empty: none */
};

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void sleep_us(uint64_t us) {
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

static uint32_t client_id(const struct client *c) {
    return (uint32_t)(c->number * 1000000 + c->life);
}

/* ---------------------------------------------------------------------------------------------- the history */

static void record(struct request *q, enum op_outcome outcome) {
    static struct buf line;
    if (q->filler.len > 0) {
        buf_free(&q->filler);
        return;
    }
    q->op.outcome = outcome;
    q->op.key = slice_of(q->key);
    q->op.arg = slice_of(q->arg);
    pthread_mutex_lock(&history_lock);
    buf_clear(&line);
    history_write_op(&q->op, &line);
    fwrite(line.data, 1, line.len, history_file);
    pthread_mutex_unlock(&history_lock);
    buf_free(&q->list);
    atomic_fetch_add(outcome == OP_ANSWERED ? &answered : outcome == OP_REFUSED ? &refused : &unknown, 1);
}

/* ----------------------------------------------------------------------------------------------- the commands */

static void choose_key(struct client *c, struct request *q, size_t family) {
    size_t slot = (size_t)rng_below(&c->rng, options.slots);
    uint64_t generation = atomic_fetch_add(&commands_of_slot[family][slot], 1) / commands_per_key[family];
    if (rng_below(&c->rng, 12) == 0) generation = rng_below(&c->rng, generation + 1);
    snprintf(q->key, sizeof q->key, "%c:%zu:%" PRIu64, family_letters[family], slot, generation);
}

static void value_of(struct client *c, struct request *q, const char *end) {
    snprintf(q->arg, sizeof q->arg, "%zu.%" PRIu64 "%s", c->number, ++c->written, end);
}

static void choose_register(struct client *c, struct request *q) {
    static const struct {
        unsigned below;
        enum op_kind kind;
        const char *name, *extra;
    } table[] = {
        {40, OP_GET, "GET", NULL},     {44, OP_STRLEN, "STRLEN", NULL}, {64, OP_SET, "SET", NULL},
        {70, OP_SETNX, "SET", "NX"},   {74, OP_SETNX, "SETNX", NULL},   {82, OP_GETSET, "GETSET", NULL},
        {90, OP_GETSET, "SET", "GET"}, {96, OP_DEL, "DEL", NULL},       {100, OP_GETDEL, "GETDEL", NULL}};
    uint64_t drawn = rng_below(&c->rng, 100);
    size_t i = 0;
    while (table[i].below <= drawn) i++;
    q->op.kind = table[i].kind;
    q->name = table[i].name;
    q->extra = table[i].extra;
    if (q->op.kind == OP_SET || q->op.kind == OP_SETNX || q->op.kind == OP_GETSET) value_of(c, q, "");
}

static void choose_counter(struct client *c, struct request *q) {
    uint64_t drawn = rng_below(&c->rng, 100);
    q->op.kind = drawn < 40 ? OP_GET : OP_INCRBY;
    q->name = drawn < 40 ? "GET" : drawn < 90 ? "INCR" : "INCRBY";
    if (q->op.kind == OP_INCRBY) snprintf(q->arg, sizeof q->arg, "%s", drawn < 90 ? "1" : "7");
}

static void choose_append(struct client *c, struct request *q) {
    q->op.kind = rng_below(&c->rng, 100) < 40 ? OP_GET : OP_APPEND;
    q->name = q->op.kind == OP_GET ? "GET" : "APPEND";
    if (q->op.kind == OP_APPEND) value_of(c, q, ",");
}

static void choose_field(struct client *c, struct request *q) {
    static const struct {
        unsigned below;
        enum op_kind kind;
        const char *name;
    } table[] = {{40, OP_GET, "HGET"},
                 {46, OP_STRLEN, "HSTRLEN"},
                 {74, OP_SET, "HSET"},
                 {86, OP_SETNX, "HSETNX"},
                 {100, OP_DEL, "HDEL"}};
    uint64_t drawn = rng_below(&c->rng, 100);
    size_t i = 0;
    while (table[i].below <= drawn) i++;
    q->collection = "big:hash";
    q->op.kind = table[i].kind;
    q->name = table[i].name;
    if (q->op.kind == OP_SET || q->op.kind == OP_SETNX) value_of(c, q, "");
}

static void choose_field_counter(struct client *c, struct request *q) {
    q->collection = "big:hash";
    q->op.kind = rng_below(&c->rng, 100) < 40 ? OP_GET : OP_INCRBY;
    q->name = q->op.kind == OP_GET ? "HGET" : "HINCRBY";
    if (q->op.kind == OP_INCRBY) snprintf(q->arg, sizeof q->arg, "%d", rng_below(&c->rng, 10) == 0 ? 7 : 1);
}

/* SADD and SREM answer as SETNX of "1" and DEL do, SISMEMBER as STRLEN. */
static void choose_member(struct client *c, struct request *q) {
    uint64_t drawn = rng_below(&c->rng, 100);
    q->collection = "big:set";
    q->op.kind = drawn < 40 ? OP_STRLEN : drawn < 72 ? OP_SETNX : OP_DEL;
    q->name = drawn < 40 ? "SISMEMBER" : drawn < 72 ? "SADD" : "SREM";
    if (q->op.kind == OP_SETNX) snprintf(q->arg, sizeof q->arg, "1");
}

/* To the history BLPOP is LPOP: it ends with nothing only when nothing was there at some time. */
static void choose_list(struct client *c, struct request *q) {
    static const char *const seconds[] = {"0.001", "0.01", "0.1", "0.5"};
    uint64_t drawn = rng_below(&c->rng, 100);
    q->op.kind = drawn < 50 ? OP_RPUSH : drawn < 85 ? OP_LPOP : OP_LRANGE;
    q->name = drawn < 50 ? "RPUSH" : drawn < 65 ? "LPOP" : drawn < 85 ? "BLPOP" : "LRANGE";
    if (q->op.kind == OP_RPUSH) value_of(c, q, "");
    if (drawn >= 65 && drawn < 85) q->extra = seconds[rng_below(&c->rng, 4)];
}

/* A command for many fields or members, or for whole collections; each draws what it takes from the entry's seed alone. */
static void choose_filler(struct client *c, struct request *q) {
    enum { UNIVERSE = 4000, MANY_MAX = 60 };
    static const char *const whole[] = {"SPOP fill:a 40",
                                        "SPOP fill:b",
                                        "SUNIONSTORE fill:b fill:a big:set",
                                        "SINTERSTORE fill:a fill:b big:set",
                                        "SDIFFSTORE fill:a fill:b fill:a",
                                        "COPY big:hash fill:hash REPLACE",
                                        "RENAME fill:hash fill:was",
                                        "DEL fill:was",
                                        "EXPIRE fill:b 1"};
    static const char *const many[] = {"HSET big:hash", "HDEL big:hash", "SADD big:set", "SREM big:set",
                                       "SADD fill:a"};
    struct buf text = {0};
    if (rng_below(&c->rng, 5) == 0) {
        buf_add_str(&text, whole[rng_below(&c->rng, sizeof whole / sizeof *whole)]);
    } else {
        const char *command = many[rng_below(&c->rng, sizeof many / sizeof *many)];
        uint64_t first = rng_below(&c->rng, UNIVERSE), count = 1 + rng_below(&c->rng, MANY_MAX);
        buf_add_str(&text, command);
        for (uint64_t i = first; i < first + count; i++) {
            buf_printf(&text, " filler:%" PRIu64, i);
            if (strcmp(command, "HSET big:hash") == 0) buf_printf(&text, " %" PRIu64, rng_next(&c->rng));
        }
    }
    buf_add_byte(&text, '\0');
    char *encoded = NULL;
    const char *argv[MANY_MAX * 2 + 4];
    int argc = 0;
    for (char *save = NULL, *w = strtok_r(text.data, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    long long len = redisFormatCommandArgv(&encoded, argc, argv, NULL);
    buf_add(&q->filler, encoded, (size_t)len);
    redisFreeCommand(encoded);
    buf_free(&text);
    q->name = "a filler";
}

static void choose(struct client *c, struct request *q) {
    static void (*const choices[FAMILIES])(struct client *, struct request *) = {
        choose_register,      choose_counter, choose_append, choose_field,
        choose_field_counter, choose_member,  choose_list};
    enum { FILLERS_OF_100 = 5 };
    size_t family = (size_t)rng_below(&c->rng, FAMILIES);
    *q = (struct request){.op = {.client = client_id(c)}};
    if (rng_below(&c->rng, 100) < FILLERS_OF_100) {
        choose_filler(c, q);
        return;
    }
    choose_key(c, q, family);
    choices[family](c, q);
}

/* INCR and SADD have their argument in the history and not in the command. */
static void send_request(redisContext *redis, const struct request *q) {
    const char *argv[6];
    size_t lens[6];
    int argc = 0;
    if (q->filler.len > 0) {
        redisAppendFormattedCommand(redis, q->filler.data, q->filler.len);
        return;
    }
    argv[argc++] = q->name;
    if (q->collection != NULL) argv[argc++] = q->collection;
    argv[argc++] = q->key;
    bool is_told = strcmp(q->name, "INCR") != 0 && strcmp(q->name, "SADD") != 0;
    if (q->arg[0] != '\0' && is_told) argv[argc++] = q->arg;
    if (q->extra != NULL) argv[argc++] = q->extra;
    if (q->op.kind == OP_LRANGE) {
        argv[argc++] = "0";
        argv[argc++] = "-1";
    }
    for (int i = 0; i < argc; i++) lens[i] = strlen(argv[i]);
    redisAppendCommandArgv(redis, argc, argv, lens);
}

/* -------------------------------------------------------------------------------------------------- answers */

static bool is_refusal(const char *error) {
    static const char *const codes[] = {"MOVED ",    "CLUSTERDOWN ", "MISCONF ", "LOADING ",    "TRYAGAIN ",
                                        "READONLY ", "OOM ",         "BUSY ",    "MASTERDOWN ", "UNBLOCKED "};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (strncmp(error, codes[i], strlen(codes[i])) == 0) return true;
    }
    return false;
}

/* Of BLPOP's pair the element; of a list its elements, with a comma behind each. */
static bool take_list(struct request *q, const redisReply *r) {
    if (q->op.kind == OP_LPOP && r->elements == 2) {
        q->op.result = result_text(slice_make(r->element[1]->str, (size_t)r->element[1]->len));
        return true;
    }
    for (size_t i = 0; i < r->elements; i++) {
        buf_add(&q->list, r->element[i]->str, (size_t)r->element[i]->len);
        buf_add_byte(&q->list, ',');
    }
    q->op.result = r->elements == 0 ? result_nil() : result_text(buf_slice(&q->list));
    return q->op.kind == OP_LRANGE;
}

/* SET's NX and GET have answers of their own; the history knows SETNX and GETSET. */
static bool take_answer(struct request *q, const redisReply *r) {
    bool is_number = r->type == REDIS_REPLY_INTEGER, is_nil = r->type == REDIS_REPLY_NIL;
    bool is_text = r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
    if (r->type == REDIS_REPLY_ARRAY) return take_list(q, r);
    if (q->op.kind == OP_SETNX && q->extra != NULL) {
        q->op.result = result_text(is_nil ? SLICE("0") : SLICE("1"));
        return is_nil || is_text;
    }
    if (q->collection != NULL && q->op.kind == OP_SET) { /* HSET tells whether the field is new */
        q->op.result = result_text(SLICE("OK"));
        return is_number;
    }
    if (is_number) {
        snprintf(q->number, sizeof q->number, "%lld", r->integer);
        q->op.result = result_text(slice_of(q->number));
        return true;
    }
    q->op.result = is_nil ? result_nil() : result_text(slice_make(r->str, (size_t)r->len));
    return is_nil || is_text;
}

/* The port a -MOVED names; 0: none that we know. */
static size_t moved_to(const char *error, size_t fallback) {
    const char *colon = strrchr(error, ':');
    int port = colon != NULL ? atoi(colon + 1) : 0;
    for (size_t i = 0; i < options.port_count; i++) {
        if (options.ports[i] == port) return i;
    }
    return fallback;
}

static void finish(struct client *c, struct request *q, redisReply *r, size_t *go_to) {
    q->op.end = clock_ns();
    if (r->type != REDIS_REPLY_ERROR) {
        if (q->filler.len == 0 && !take_answer(q, r)) {
            fprintf(stderr, "load: %s %s was answered with type %d\n", q->name, q->key, r->type);
            atomic_fetch_add(&unexpected, 1);
        }
        record(q, OP_ANSWERED);
        return;
    }
    bool is_nothing_to_rename = q->filler.len > 0 && strcmp(r->str, "ERR no such key") == 0;
    if (!is_refusal(r->str) && !is_nothing_to_rename) {
        fprintf(stderr, "load: %s %s was answered: %s\n", q->name, q->key, r->str);
        atomic_fetch_add(&unexpected, 1);
    }
    if (strncmp(r->str, "MOVED ", 6) == 0) {
        *go_to = moved_to(r->str, *go_to);
        atomic_fetch_add(&moved, 1);
    } else if (strncmp(r->str, "CLUSTERDOWN ", 12) == 0) {
        *go_to = (size_t)rng_below(&c->rng, options.port_count);
    }
    char *space = strchr(r->str, ' ');
    if (space != NULL) *space = '\0';
    q->op.result = result_text(slice_of(r->str));
    record(q, OP_REFUSED);
}

/* --------------------------------------------------------------------------------------------------- clients */

static void hang_up(struct client *c) {
    if (c->redis != NULL) redisFree(c->redis);
    c->redis = NULL;
    c->life++;
}

static bool call_up(struct client *c, uint64_t timeout_ms) {
    struct timeval patience = {.tv_sec = (time_t)(timeout_ms / 1000),
                               .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    c->redis = redisConnectWithTimeout("127.0.0.1", options.ports[c->node], patience);
    if (c->redis != NULL && c->redis->err == 0 && redisSetTimeout(c->redis, patience) == REDIS_OK)
        return true;
    hang_up(c);
    return false;
}

/* One burst: all of it is sent, then all answers are read. False when the connection broke on the way. */
static bool burst(struct client *c, struct request *requests, size_t count, size_t *go_to) {
    uint64_t start = clock_ns();
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        requests[i].op.start = start;
        send_request(c->redis, &requests[i]);
    }
    for (; done < count; done++) {
        void *reply = NULL;
        if (redisGetReply(c->redis, &reply) != REDIS_OK || reply == NULL) break;
        finish(c, &requests[done], reply, go_to);
        freeReplyObject(reply);
    }
    for (size_t i = done; i < count; i++) record(&requests[i], OP_UNKNOWN);
    return done == count;
}

static void *client_main(void *arg) {
    struct client *c = arg;
    struct request requests[DEPTH_MAX];
    c->node = (size_t)rng_below(&c->rng, options.port_count);
    while (!atomic_load(&stopping)) {
        if (c->redis == NULL && !call_up(c, options.timeout_ms)) {
            c->node = (size_t)rng_below(&c->rng, options.port_count);
            sleep_us(5000 + rng_below(&c->rng, 20000));
            continue;
        }
        size_t count = rng_below(&c->rng, 2) == 0 ? 1 : 1 + (size_t)rng_below(&c->rng, options.depth);
        size_t go_to = c->node;
        for (size_t i = 0; i < count; i++) choose(c, &requests[i]);
        bool is_whole = burst(c, requests, count, &go_to);
        if (!is_whole || rng_below(&c->rng, 300) == 0) go_to = (size_t)rng_below(&c->rng, options.port_count);
        if (!is_whole || go_to != c->node) {
            hang_up(c);
            c->node = go_to;
        }
        sleep_us(
            (uint64_t)((double)count * 1e6 / options.rate * (0.5 + (double)rng_below(&c->rng, 1000) / 1000)));
    }
    hang_up(c);
    return NULL;
}

/* One key once more: asked at any node, then where that one points to. */
static bool read_key(struct client *c, size_t family, size_t slot, uint64_t generation) {
    enum { TRIES_MAX = 300 };
    uint64_t before = atomic_load(&answered);
    c->node = (size_t)rng_below(&c->rng, options.port_count);
    for (size_t tries = 0; tries < TRIES_MAX; tries++) {
        struct request q = {.op = {.client = client_id(c), .kind = OP_GET}, .name = "GET"};
        if (family_letters[family] == 'h' || family_letters[family] == 'n')
            q = (struct request){.op = q.op, .name = "HGET", .collection = "big:hash"};
        else if (family_letters[family] == 'm')
            q = (struct request){.op = {.client = client_id(c), .kind = OP_STRLEN},
                                 .name = "SISMEMBER",
                                 .collection = "big:set"};
        else if (family_letters[family] == 'l')
            q = (struct request){.op = {.client = client_id(c), .kind = OP_LRANGE}, .name = "LRANGE"};
        snprintf(q.key, sizeof q.key, "%c:%zu:%" PRIu64, family_letters[family], slot, generation);
        size_t go_to = c->node;
        if (call_up(c, options.timeout_ms)) burst(c, &q, 1, &go_to);
        hang_up(c);
        if (atomic_load(&answered) != before) return true;
        if (go_to == c->node) {
            go_to = (size_t)rng_below(&c->rng, options.port_count);
            sleep_us(100000);
        }
        c->node = go_to;
    }
    return false;
}

static bool read_everything(struct client *c) {
    for (size_t family = 0; family < FAMILIES; family++) {
        for (size_t slot = 0; slot < options.slots; slot++) {
            uint64_t last = atomic_load(&commands_of_slot[family][slot]) / commands_per_key[family];
            for (uint64_t g = 0; g <= last; g++) {
                if (!read_key(c, family, slot, g)) return false;
            }
        }
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------ the program */

static void usage(const char *program, const char *what) {
    fprintf(stderr, "%s: what is '%s'? The head of load.c says what there is\n", program, what);
    exit(2);
}

static void read_options(int argc, char **argv) {
    for (int i = 1; i < argc; i += 2) {
        char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value == NULL) usage(argv[0], argv[i]);
        if (strcmp(argv[i], "--ports") == 0) {
            for (char *w = strtok(value, ","); w != NULL && options.port_count < NODES_MAX;
                 w = strtok(NULL, ",")) {
                options.ports[options.port_count++] = atoi(w);
            }
        } else if (strcmp(argv[i], "--history") == 0) {
            options.history_path = value;
        } else if (strcmp(argv[i], "--seed") == 0) {
            options.seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--clients") == 0) {
            options.clients = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--rate") == 0) {
            options.rate = strtod(value, NULL);
        } else if (strcmp(argv[i], "--depth") == 0) {
            options.depth = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--slots") == 0) {
            options.slots = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--timeout-ms") == 0) {
            options.timeout_ms = strtoull(value, NULL, 10);
        } else {
            usage(argv[0], argv[i]);
        }
    }
    bool is_sound = options.port_count > 0 && options.history_path != NULL && options.clients > 0 &&
                    options.rate > 0 && options.depth > 0 && options.depth <= DEPTH_MAX &&
                    options.slots > 0 && options.slots <= SLOTS_MAX;
    if (!is_sound) usage(argv[0], "missing, or out of its bounds");
}

static void report(void) {
    printf("answered=%" PRIu64 " refused=%" PRIu64 " unknown=%" PRIu64 " moved=%" PRIu64
           " unexpected=%" PRIu64 "\n",
           atomic_load(&answered), atomic_load(&refused), atomic_load(&unknown), atomic_load(&moved),
           atomic_load(&unexpected));
    fflush(stdout);
}

static void wait_for_stop(void) {
    struct pollfd in = {.fd = 0, .events = POLLIN};
    while (poll(&in, 1, 1000) == 0) report();
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    history_file = fopen(options.history_path, "w");
    if (history_file == NULL) {
        perror(options.history_path);
        return 2;
    }
    struct client *clients = calloc(options.clients + 1, sizeof *clients);
    for (size_t i = 0; i < options.clients; i++) {
        clients[i].number = i + 1;
        clients[i].rng.state = options.seed * 1000 + i;
        if (pthread_create(&clients[i].thread, NULL, client_main, &clients[i]) != 0) return 2;
    }
    wait_for_stop();
    atomic_store(&stopping, true);
    for (size_t i = 0; i < options.clients; i++) pthread_join(clients[i].thread, NULL);
    struct client *last = &clients[options.clients];
    last->number = options.clients + 1;
    last->rng.state = options.seed * 1000 + options.clients;
    bool all_read = read_everything(last);
    if (!all_read) fprintf(stderr, "load: a key could not be read at the end\n");
    report();
    free(clients);
    if (fclose(history_file) != 0) return 2;
    return !all_read ? 4 : atomic_load(&unexpected) > 0 ? 3 : 0;
}
