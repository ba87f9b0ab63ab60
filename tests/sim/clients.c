/* See clients.h. A session's life:
 *
 *   idle --connect--> connecting --ok--> thinking --batch sent--> waiting --all answered--> thinking
 *    ^                    | refused, too long            |
 *    +----- pause --------+------------ closed, too long -+   (unanswered operations end as unknown)
 *
 * WATCH takes two batches: WATCH and GET, then, after a thought, MULTI, GETSET and EXEC. If EXEC does it, GETSET must have found
 * what GET saw; if it answers null, the history takes it as refused: never done.
 */
#include "clients.h"

#include "arena.h"
#include "cluster.h"
#include "history.h"
#include "mem.h"
#include "resp_read.h"

#include <stdio.h>

enum { BATCH_MAX = 16, SESSIONS_MAX = 12, SLOTS_MAX = 16, UNKNOWNS_PER_KEY_MAX = 5, OPS_PER_KEY_MAX = 200 };

/* Where a key lives. An operation of unknown outcome may take effect at any later time, and each one doubles what the
 * checker has to think of: so a key is given up after a while, or after some of these, and another takes its place. */
struct slot {
    int generation, unknowns, ops;
    uint64_t since_us;
};

struct session_op {
    size_t op;
    int slot; /* -1: a filler, which the history does not tell of */
    enum op_kind kind;
    char sort;
};

struct client {
    int host;
    uint32_t number; /* in the history; a new one after each lost connection */
    struct socket *socket;
    struct sim_timer timer;
    enum { IDLE, CONNECTING, THINKING, WAITING } state;
    struct session_op batch[BATCH_MAX];
    int batch_count, batch_done;
    int go_to;                       /* the machine that MOVED named; -1: any */
    bool batch_waits;                /* one command of it waits for an element */
    bool is_transaction, is_refused; /* MULTI stands before it and EXEC behind; MULTI was refused */
    int replies;                     /* of a transaction's, MULTI's and EXEC's among them */
    enum { UNWATCHED, WATCHING, WATCHED } watch; /* the batch, or the one before it, has WATCH and GET */
    int watched_slot;
    char watched_key[40];
    struct buf seen; /* under it */
    bool seen_is_nil;
    bool is_wary;                       /* nothing was answered since something was not: one at a time */
    uint64_t batch_began_us, served_us; /* served: when the newest operation that was answered had begun */
};

static struct {
    struct clients_options options;
    struct history *history;
    struct client items[SESSIONS_MAX];
    uint32_t next_number;
    uint64_t next_value;
    uint64_t fillers;        /* so many were sent */
    uint64_t costly_from_us; /* no command that goes through a whole collection before */
    bool paused;
    struct clients_stats stats;
    struct arena arena;
    struct slot slots[SLOTS_MAX];
} clients;

static void client_fire(struct sim_timer *t);

/* How long a session waits before its next batch. A rush overfills every queue as well as one that never ends would, and leaves the
 * CPU time for more seeds. */
static uint64_t thought_us(void) {
    const struct clients_options *o = &clients.options;
    bool is_rush = o->rush_us != 0 && world_now_us() % o->rush_every_us < o->rush_us;
    return sim_around(is_rush ? o->rush_think_us : o->think_us);
}

static void later(struct client *c, uint64_t us) {
    sim_timer_set(&c->timer, world_now_us() + us, client_fire);
}

/* --- a batch --- */

static void add_command(struct buf *out, int argc, const struct slice *argv) {
    buf_printf(out, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) {
        buf_printf(out, "$%zu\r\n", argv[i].len);
        buf_add_slice(out, argv[i]);
        buf_add(out, "\r\n", 2);
    }
}

/* The same, by a script, whose answer is the command's. */
static void add_script(struct buf *out, int argc, const struct slice *argv) {
    enum { WORDS_MAX = 8 };
    struct slice all[4 + WORDS_MAX] = {SLICE("EVAL"), SLICE("return redis.call(unpack(ARGV))"), SLICE("1"),
                                       argv[1]};
    CHECK(argc <= WORDS_MAX);
    memcpy(all + 4, argv, (size_t)argc * sizeof *argv);
    add_command(out, 4 + argc, all);
}

static void add_some_way(struct buf *out, int argc, const struct slice *argv) {
    if (sim_chance(clients.options.scripts))
        add_script(out, argc, argv);
    else
        add_command(out, argc, argv);
}

static const char *const words[OP_KINDS] = {
    [OP_GET] = "GET",       [OP_STRLEN] = "STRLEN", [OP_SET] = "SET",       [OP_SETNX] = "SETNX",
    [OP_GETSET] = "GETSET", [OP_DEL] = "DEL",       [OP_GETDEL] = "GETDEL", [OP_INCRBY] = "INCRBY",
    [OP_APPEND] = "APPEND", [OP_RPUSH] = "RPUSH",   [OP_LPOP] = "LPOP",     [OP_LRANGE] = "LRANGE",
};

/* What is done to a field of the hash that all clients share, and to a member of their set: in the history each is a key of its
 * own, a member one that holds "1" while it is there. */
static const char *const field_words[OP_KINDS] = {
    [OP_GET] = "HGET",     [OP_STRLEN] = "HSTRLEN", [OP_SET] = "HSET",
    [OP_SETNX] = "HSETNX", [OP_DEL] = "HDEL",       [OP_INCRBY] = "HINCRBY",
};
static const char *const member_words[OP_KINDS] = {
    [OP_STRLEN] = "SISMEMBER", [OP_SETNX] = "SADD", [OP_DEL] = "SREM"};

/* Keys are of these sorts: texts, numbers that are only counted, lists, fields, members. */
static enum op_kind choose(char sort) {
    static const enum op_kind texts[] = {OP_GET,    OP_GET,    OP_GET,    OP_SET,    OP_SET,
                                         OP_SET,    OP_APPEND, OP_APPEND, OP_GETSET, OP_DEL,
                                         OP_GETDEL, OP_SETNX,  OP_STRLEN};
    static const enum op_kind numbers[] = {OP_INCRBY, OP_INCRBY, OP_GET};
    static const enum op_kind lists[] = {OP_RPUSH, OP_RPUSH, OP_RPUSH, OP_LPOP, OP_LPOP, OP_LRANGE};
    static const enum op_kind fields[] = {OP_GET, OP_GET, OP_SET, OP_SET, OP_SETNX, OP_DEL, OP_STRLEN};
    static const enum op_kind members[] = {OP_STRLEN, OP_SETNX, OP_DEL};
    switch (sort) {
    case 'h': return fields[sim_below(sizeof fields / sizeof *fields)];
    case 'm': return members[sim_below(sizeof members / sizeof *members)];
    case 'n': return numbers[sim_below(sizeof numbers / sizeof *numbers)];
    case 'l': return lists[sim_below(sizeof lists / sizeof *lists)];
    default: return texts[sim_below(sizeof texts / sizeof *texts)];
    }
}

/* LPOP, or BLPOP for a while: to the history it is the same, for it ends with nothing only when nothing was there at
 * some time. */
static void add_pop(struct client *c, struct buf *out, struct slice key) {
    char seconds[16];
    snprintf(seconds, sizeof seconds, "0.%03d", (int)sim_between(1, 300));
    bool waits = !c->batch_waits && sim_chance(0.6);
    c->batch_waits = c->batch_waits || waits;
    struct slice argv[3] = {waits ? SLICE("BLPOP") : SLICE("LPOP"), key, slice_of(seconds)};
    add_command(out, waits ? 3 : 2, argv);
}

static void add_member_operation(struct buf *out, char sort, enum op_kind kind, struct slice key,
                                 struct slice arg) {
    struct slice argv[4] = {slice_of((sort == 'h' ? field_words : member_words)[kind]),
                            sort == 'h' ? SLICE("H") : SLICE("S"), key, arg};
    add_some_way(out, sort == 'h' && arg.len > 0 ? 4 : 3, argv);
}

/* A script does something to what is shared; one in many takes long enough to be left in the middle, and goes on by verdicts. */
static int script_words(struct slice *argv) {
    static const char *const scripts[] = {
        "for i = 1, 30 do redis.call('hset', KEYS[1], 'filler' .. math.random(1500), redis.call('time')[1]) "
        "end",
        "for _, m in ipairs(redis.call('spop', 'U', 20)) do redis.call('sadd', 'T', m .. 's') end",
        "local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i % 7 end redis.call('hset', KEYS[1], "
        "'filler1', n)",
        "for i = 1, 3 do redis.call('hincrby', KEYS[1], 'count', i) for k = 1, tonumber(ARGV[1]) do end end"};
    bool is_long = sim_chance(0.001);
    argv[0] = SLICE("EVAL");
    argv[1] = slice_of(scripts[is_long ? 2 + sim_below(2) : sim_below(4)]);
    argv[2] = SLICE("1");
    argv[3] = SLICE("G");
    argv[4] = is_long ? SLICE("1500000") : SLICE("100");
    return 5;
}

/* One of so many; of the costly ones, which are the last, not more than some a second. */
static size_t choose_whole(size_t count, size_t costly) {
    enum { APART_US = 400 * SIM_MS };
    bool is_soon = world_now_us() < clients.costly_from_us;
    size_t which = sim_below(is_soon ? count - costly : count);
    if (which >= count - costly) clients.costly_from_us = world_now_us() + sim_around(APART_US);
    return which;
}

/* Keeps the shared hash and set big, and makes others of them: whether nodes agree about those, digests say. */
static void add_filler(struct client *c, struct buf *out) {
    enum { MANY_MAX = 60, FEW_MAX = 8, GROWING = 60, WORDS_MAX = 2 + 2 * MANY_MAX };
    /* The last three go through all of a collection on each node. */
    static const char *const whole[][4] = {{"SPOP", "T", "30", NULL},     {"SPOP", "U", NULL, NULL},
                                           {"DEL", "G", NULL, NULL},      {"PEXPIRE", "U", "700", NULL},
                                           {"COPY", "H", "G", "REPLACE"}, {"SUNIONSTORE", "U", "T", "S"},
                                           {"SDIFFSTORE", "T", "S", "U"}};
    static const char *const many[][2] = {
        {"HSET", "H"}, {"HDEL", "H"}, {"SADD", "S"}, {"SREM", "S"}, {"SADD", "T"}};
    static char texts[2 * MANY_MAX][24];
    struct slice argv[WORDS_MAX];
    int argc = 0;
    if (sim_chance(0.1)) {
        argc = script_words(argv);
    } else if (sim_chance(0.3)) {
        const char *const *words_of = whole[choose_whole(sizeof whole / sizeof *whole, 3)];
        while (argc < 4 && words_of[argc] != NULL) {
            argv[argc] = slice_of(words_of[argc]);
            argc++;
        }
    } else {
        const char *const *command = many[sim_below(sizeof many / sizeof *many)];
        int first = (int)sim_below((uint64_t)clients.options.members);
        int count = (int)sim_between(1, clients.fillers++ < GROWING || sim_chance(0.1) ? MANY_MAX : FEW_MAX);
        argv[argc++] = slice_of(command[0]);
        argv[argc++] = slice_of(command[1]);
        for (int i = 0; i < count; i++) {
            snprintf(texts[2 * i], sizeof *texts, "filler%d", first + i);
            argv[argc++] = slice_of(texts[2 * i]);
            if (strcmp(command[0], "HSET") != 0) continue;
            snprintf(texts[2 * i + 1], sizeof *texts, "%llu", (unsigned long long)sim_below(UINT64_MAX));
            argv[argc++] = slice_of(texts[2 * i + 1]);
        }
    }
    add_command(out, argc, argv);
    c->batch[c->batch_count++] = (struct session_op){.slot = -1};
}

static char sort_of(uint64_t k) {
    return "tlnhmtlnhm"[k % 10];
}

/* One more operation is done to it. */
static void name_key(uint64_t k, char *key, size_t cap) {
    struct slot *slot = &clients.slots[k];
    bool is_old = world_now_us() - slot->since_us > clients.options.key_life_us;
    if (is_old || slot->unknowns >= UNKNOWNS_PER_KEY_MAX || slot->ops >= OPS_PER_KEY_MAX)
        *slot = (struct slot){.generation = slot->generation + 1, .since_us = world_now_us()};
    slot->ops++;
    snprintf(key, cap, "%c%d.%d", sort_of(k), (int)k, slot->generation);
}

static void note_operation(struct client *c, enum op_kind kind, char sort, int slot, struct slice key,
                           struct slice arg) {
    struct session_op *o = &c->batch[c->batch_count++];
    o->kind = kind;
    o->sort = sort;
    o->slot = slot;
    o->op = history_start(clients.history, c->number, kind, key, arg, world_now_us());
    clients.stats.started++;
}

static void add_operation(struct client *c, struct buf *out) {
    if (sim_chance(clients.options.fillers)) {
        add_filler(c, out);
        return;
    }
    char key[40], arg[32] = "";
    uint64_t k = sim_below((uint64_t)clients.options.keys);
    char sort = sort_of(k);
    enum op_kind kind = choose(sort);
    name_key(k, key, sizeof key);
    bool has_arg = kind == OP_SET || kind == OP_SETNX || kind == OP_GETSET || kind == OP_APPEND ||
                   kind == OP_INCRBY || kind == OP_RPUSH;
    if (kind == OP_INCRBY)
        snprintf(arg, sizeof arg, "%d", (int)sim_between(1, 1 << 30));
    else if (sort == 'm' && has_arg)
        snprintf(arg, sizeof arg, "1");
    else if (has_arg)
        snprintf(arg, sizeof arg, "v%llu.", (unsigned long long)++clients.next_value);
    struct slice argv[4] = {slice_of(words[kind]), slice_of(key), slice_of(arg), SLICE("-1")};
    if (sort == 'h' || sort == 'm') {
        add_member_operation(out, sort, kind, argv[1], argv[2]);
    } else if (kind == OP_LPOP) {
        add_pop(c, out, argv[1]);
    } else if (kind == OP_LRANGE) {
        argv[2] = SLICE("0");
        add_some_way(out, 4, argv);
        argv[2] = SLICE("");
    } else {
        add_some_way(out, has_arg ? 3 : 2, argv);
    }
    note_operation(c, kind, sort, (int)k, argv[1], argv[2]);
}

/* A text is watched and looked at. */
static void add_watch(struct client *c, struct buf *out) {
    uint64_t k;
    do k = sim_below((uint64_t)clients.options.keys);
    while (sort_of(k) != 't');
    name_key(k, c->watched_key, sizeof c->watched_key);
    c->watched_slot = (int)k;
    struct slice key = slice_of(c->watched_key);
    add_command(out, 2, (struct slice[]){SLICE("WATCH"), key});
    c->batch[c->batch_count++] = (struct session_op){.slot = -1};
    add_command(out, 2, (struct slice[]){SLICE("GET"), key});
    note_operation(c, OP_GET, 't', c->watched_slot, key, SLICE(""));
}

static void add_watched(struct client *c, struct buf *out) {
    char value[32];
    snprintf(value, sizeof value, "v%llu.", (unsigned long long)++clients.next_value);
    struct slice argv[3] = {SLICE("GETSET"), slice_of(c->watched_key), slice_of(value)};
    add_command(out, 3, argv);
    note_operation(c, OP_GETSET, 't', c->watched_slot, argv[1], argv[2]);
}

static void begin_batch(struct client *c) {
    struct buf out = {0};
    int count = c->is_wary ? 1 : 1 + (int)sim_below((uint64_t)clients.options.pipeline_max);
    c->batch_count = c->batch_done = 0;
    c->batch_waits = false;
    c->batch_began_us = world_now_us();
    c->watch = c->watch == WATCHING ? WATCHED : sim_chance(clients.options.watches) ? WATCHING : UNWATCHED;
    c->is_transaction =
        c->watch == WATCHED || (c->watch == UNWATCHED && sim_chance(clients.options.transactions));
    c->replies = 0;
    const struct slice multi = SLICE("MULTI"), exec = SLICE("EXEC");
    if (c->is_transaction) add_command(&out, 1, &multi);
    if (c->watch == WATCHING)
        add_watch(c, &out);
    else if (c->watch == WATCHED)
        add_watched(c, &out);
    else
        for (int i = 0; i < count && i < BATCH_MAX; i++) add_operation(c, &out);
    if (c->is_transaction) add_command(&out, 1, &exec);
    c->state = WAITING;
    later(c, clients.options.patience_us);
    if (socket_write(c->socket, out.data, out.len) < out.len) socket_reset(c->socket);
    buf_free(&out);
}

/* --- connections --- */

static void lose(struct client *c, uint64_t pause_us) {
    for (int i = c->batch_done; c->state == WAITING && i < c->batch_count; i++) {
        c->is_wary = true;
        if (c->batch[i].slot < 0) continue;
        clients.stats.unknown++;
        clients.slots[c->batch[i].slot].unknowns++;
    }
    if (c->socket != NULL) {
        if (sim_chance(0.5))
            socket_close(c->socket);
        else
            socket_reset(c->socket);
    }
    c->socket = NULL;
    c->state = IDLE;
    c->watch = UNWATCHED;
    c->number = ++clients.next_number;
    later(c, pause_us);
}

/* "MOVED 5 10.0.0.2:6379" */
static void follow(struct client *c, struct slice error) {
    char text[80];
    int host = 0;
    snprintf(text, sizeof text, "%.*s", (int)error.len, error.data);
    if (sscanf(text, "MOVED %*d 10.0.0.%d:", &host) == 1 && host >= 1 && host <= cluster_size())
        c->go_to = host - 1;
}

/* As the model has it: of BLPOP's pair the element, of a list its elements with a comma behind each. */
static struct result result_of(const struct resp_value *v, enum op_kind kind, struct buf *list) {
    if (v->is_null) return result_nil();
    if (v->type != '*') return result_text(v->text);
    if (kind == OP_LPOP && v->count == 2) return result_text(v->items[1].text);
    for (size_t i = 0; i < v->count; i++) {
        buf_add_slice(list, v->items[i].text);
        buf_add_byte(list, ',');
    }
    return v->count == 0 ? result_nil() : result_text(buf_slice(list));
}

/* The session may watch still, and nobody thinks of it: another one is better. */
static void give_up_watching(struct client *c) {
    c->watch = UNWATCHED;
    if (c->go_to < 0) c->go_to = (int)sim_below((uint64_t)cluster_size());
}

static void see_watched(struct client *c, const struct session_op *o, const struct resp_value *v) {
    if (v->type == '-') give_up_watching(c);
    if (o->slot < 0) return;
    buf_clear(&c->seen);
    buf_add_slice(&c->seen, v->text);
    c->seen_is_nil = v->is_null;
}

static void record(struct client *c, const struct session_op *o, const struct resp_value *v) {
    uint64_t now = world_now_us();
    if (c->watch == WATCHING) see_watched(c, o, v);
    if (o->slot < 0) {
        if (v->type == '-') {
            follow(c, v->text);
        } else {
            c->served_us = c->batch_began_us;
            c->is_wary = false;
        }
        return;
    }
    if (v->type == '-') {
        clients.stats.refused++;
        snprintf(clients.stats.last_refusal, sizeof clients.stats.last_refusal, "%.*s", (int)v->text.len,
                 v->text.data);
        history_refuse(clients.history, o->op, now, v->text);
        follow(c, v->text);
        return;
    }
    clients.stats.answered++;
    c->served_us = c->batch_began_us;
    c->is_wary = false;
    struct buf list = {0};
    bool tells_if_new = o->sort == 'h' && o->kind == OP_SET; /* HSET does, where SET answers OK */
    history_end(clients.history, o->op, now,
                tells_if_new ? result_text(SLICE("OK")) : result_of(v, o->kind, &list));
    buf_free(&list);
}

/* A watched key was changed, or it was still what it was when it was looked at. */
static void record_watched(struct client *c, const struct resp_value *v) {
    struct session_op *o = &c->batch[c->batch_done++];
    if (v->is_null) {
        clients.stats.refused++;
        history_refuse(clients.history, o->op, world_now_us(), SLICE("a watched key was changed"));
        return;
    }
    bool is_error = v->type == '-';
    const struct resp_value *was = is_error || v->count != 1 ? v : &v->items[0];
    if (!is_error && (v->count != 1 || was->is_null != c->seen_is_nil ||
                      (!was->is_null && !slice_eq(was->text, buf_slice(&c->seen)))))
        sim_fail("n%d executes a transaction on %s, which was %.*s when it was watched and is %.*s",
                 c->socket->peer_host + 1, c->watched_key, (int)c->seen.len, c->seen.data, (int)was->text.len,
                 was->text.data);
    if (!is_error) clients.stats.watched++;
    record(c, o, was);
}

/* All of it was done, or, with an error, nothing. */
static void record_exec(struct client *c, const struct resp_value *v) {
    bool is_error = v->type == '-';
    if (c->watch == WATCHED) {
        record_watched(c, v);
        return;
    }
    if (!is_error && (v->is_null || v->count != (size_t)c->batch_count))
        sim_fail("n%d answers EXEC of %d commands with %s of %zu", c->socket->peer_host + 1, c->batch_count,
                 v->is_null ? "null" : "an array", v->count);
    for (int i = 0; i < c->batch_count; i++)
        record(c, &c->batch[c->batch_done++], is_error ? v : &v->items[i]);
}

/* When MULTI is refused, what follows is no transaction, and EXEC nothing but an error. */
static void take_reply(struct client *c, const struct resp_value *v) {
    if (!c->is_transaction) {
        record(c, &c->batch[c->batch_done++], v);
        return;
    }
    int at = c->replies++;
    if (at == 0) {
        c->is_refused = v->type == '-';
        if (c->is_refused && c->watch == WATCHED) give_up_watching(c);
    } else if (at > c->batch_count && !c->is_refused) {
        record_exec(c, v);
    } else if (at <= c->batch_count && c->is_refused) {
        record(c, &c->batch[c->batch_done++], v);
    }
    if (at <= c->batch_count && v->type == '-') follow(c, v->text);
}

static bool is_answered(const struct client *c) {
    return c->is_transaction ? c->replies == c->batch_count + 2 : c->batch_done == c->batch_count;
}

static void readable(struct socket *s) {
    struct client *c = s->owner;
    while (s->in.len > 0) {
        struct resp_value v;
        size_t used = 0;
        enum resp_read_status status = resp_read(buf_slice(&s->in), &clients.arena, &v, &used);
        if (status == RESP_READ_MORE) break;
        if (status == RESP_READ_ERROR)
            sim_fail("n%d answers what is no RESP: %.*s", s->peer_host + 1, (int)s->in.len, s->in.data);
        if (c->state != WAITING) {
            /* Of the server's own accord: an error that says why it closes. */
            if (v.type != '-')
                sim_fail("n%d answers what was not asked: %.*s", s->peer_host + 1, (int)used, s->in.data);
            socket_consumed(s, used);
            arena_reset(&clients.arena);
            continue;
        }
        take_reply(c, &v);
        socket_consumed(s, used);
        arena_reset(&clients.arena);
        if (!is_answered(c)) continue;
        c->state = THINKING;
        if (c->go_to >= 0) {
            lose(c, 1);
            return;
        }
        later(c, thought_us());
    }
    if (s->eof || s->error != 0) {
        clients.stats.closed_by_server++;
        lose(c, sim_between(1, 50) * SIM_MS);
    }
}

static void connected(struct socket *s, int error) {
    struct client *c = s->owner;
    if (error != 0) {
        lose(c, sim_between(50, 500) * SIM_MS);
        return;
    }
    c->state = THINKING;
    later(c, thought_us());
}

static void writable(struct socket *s) {
    (void)s;
}

static const struct socket_events events = {connected, readable, writable};

static void client_fire(struct sim_timer *t) {
    SIM_HEAP;
    struct client *c = container_of(t, struct client, timer);
    switch (c->state) {
    case IDLE:
        if (clients.paused) return;
        c->state = CONNECTING;
        clients.stats.connects++;
        if (c->go_to < 0) c->go_to = (int)sim_below((uint64_t)cluster_size());
        c->socket = network_connect(c->host, c->go_to, CLIENT_PORT, &events, c);
        c->go_to = -1;
        later(c, clients.options.patience_us);
        break;
    case THINKING:
        if (clients.paused) return;
        if (sim_chance(clients.options.moves))
            lose(c, 1);
        else
            begin_batch(c);
        break;
    case CONNECTING:
    case WAITING: lose(c, sim_between(1, 100) * SIM_MS); break;
    }
}

/* --- all of them --- */

void clients_begin(const struct clients_options *options, struct history *history) {
    SIM_HEAP;
    memset(&clients, 0, sizeof clients);
    clients.options = *options;
    clients.history = history;
    CHECK(options->count <= SESSIONS_MAX);
    CHECK(options->pipeline_max <= BATCH_MAX);
    CHECK(options->keys <= SLOTS_MAX);
    for (int i = 0; i < options->count; i++) {
        struct client *c = &clients.items[i];
        c->host = options->first_host + i;
        c->number = ++clients.next_number;
        c->go_to = -1;
        later(c, sim_between(1, 1000) * SIM_MS);
    }
}

void clients_end(void) {
    SIM_HEAP;
    for (int i = 0; i < clients.options.count; i++) {
        struct client *c = &clients.items[i];
        if (c->socket != NULL) socket_reset(c->socket);
        sim_timer_cancel(&c->timer);
        buf_free(&c->seen);
    }
    arena_free(&clients.arena);
}

void clients_pause(void) {
    clients.paused = true;
}

void clients_resume(void) {
    clients.paused = false;
    for (int i = 0; i < clients.options.count; i++) {
        struct client *c = &clients.items[i];
        if (c->timer.place == 0) later(c, thought_us());
    }
}

bool clients_are_quiet(void) {
    for (int i = 0; i < clients.options.count; i++)
        if (clients.items[i].state == WAITING || clients.items[i].state == CONNECTING) return false;
    return true;
}

bool clients_served_since(uint64_t since, char *who, size_t cap) {
    static const char *const states[] = {"idle", "connecting", "thinking", "waiting"};
    for (int i = 0; i < clients.options.count; i++) {
        const struct client *c = &clients.items[i];
        if (c->served_us > since) continue;
        snprintf(who, cap, "client %d (%s%s%d)", i + 1, states[c->state], c->socket ? " at n" : "",
                 c->socket ? c->socket->peer_host + 1 : 0);
        return false;
    }
    return true;
}

struct clients_stats clients_stats(void) {
    return clients.stats;
}

/* --- questions --- */

struct question {
    struct socket *socket;
    struct sim_timer timer;
    struct buf out;
    void (*answered)(void *arg, const char *reply);
    void *arg;
};

void question_free(struct question *q) {
    SIM_HEAP;
    if (q->socket != NULL) socket_close(q->socket);
    sim_timer_cancel(&q->timer);
    buf_free(&q->out);
    mem_free(q);
}

static void question_end(struct question *q, const char *reply) {
    void (*answered)(void *arg, const char *reply) = q->answered;
    void *arg = q->arg;
    char copy[16384];
    if (reply != NULL) snprintf(copy, sizeof copy, "%s", reply);
    question_free(q);
    answered(arg, reply != NULL ? copy : NULL);
}

static void question_fire(struct sim_timer *t) {
    question_end(container_of(t, struct question, timer), NULL);
}

static void question_connected(struct socket *s, int error) {
    struct question *q = s->owner;
    if (error != 0)
        question_end(q, NULL);
    else
        (void)socket_write(s, q->out.data, q->out.len);
}

static void flatten(struct buf *out, const struct resp_value *v) {
    if (v->is_null)
        buf_add_str(out, "(nil)");
    else if (v->type == '*' || v->type == '~' || v->type == '>' || v->type == '%')
        for (size_t i = 0; i < v->count; i++) {
            flatten(out, &v->items[i]);
            buf_add_byte(out, '\n');
        }
    else {
        if (v->type == '-') buf_add_byte(out, '-');
        buf_add_slice(out, v->text);
    }
}

static void question_readable(struct socket *s) {
    struct question *q = s->owner;
    struct arena arena = {0};
    struct resp_value v;
    size_t used;
    enum resp_read_status status = resp_read(buf_slice(&s->in), &arena, &v, &used);
    struct buf text = {0};
    bool is_whole = status == RESP_READ_VALUE;
    if (is_whole) flatten(&text, &v);
    buf_add_byte(&text, '\0');
    arena_free(&arena);
    if (is_whole || s->eof || s->error != 0) question_end(q, is_whole ? text.data : NULL);
    buf_free(&text);
}

static const struct socket_events question_events = {question_connected, question_readable, writable};

struct question *ask(int from_host, int to_host, uint64_t patience_us, int argc, const struct slice *argv,
                     void (*answered)(void *arg, const char *reply), void *arg) {
    SIM_HEAP;
    struct question *q = mem_calloc(1, sizeof *q);
    q->answered = answered;
    q->arg = arg;
    add_command(&q->out, argc, argv);
    sim_timer_set(&q->timer, world_now_us() + patience_us, question_fire);
    q->socket = network_connect(from_host, to_host, CLIENT_PORT, &question_events, q);
    return q;
}
