/* A program that uses the server the way C programs do: through hiredis, unmodified.
 *
 * Blocking calls, pipelines and an asynchronous connection under libuv, each kind of reply that RESP2 has, errors, and
 * values of every byte and of sizes around the buffers' edges. Prints a line for each test, `ok NAME` or
 * `not ok NAME: FILE:LINE: what`, and exits 0 when all are ok. The database is emptied before each test.
 *
 * Usage: resident HOST PORT. What the replies of particular commands look like in full is left to the other residents.
 */
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <hiredis/adapters/libuv.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *server_host;
static int server_port;

static const char *failure; /* where the current test went wrong, or NULL */
static char failure_text[1024];

#define EXPECT(cond)                                                                                         \
    do {                                                                                                     \
        if (!(cond) && failure == NULL) {                                                                    \
            snprintf(failure_text, sizeof failure_text, "%s:%d: %s", __FILE__, __LINE__, #cond);             \
            failure = failure_text;                                                                          \
        }                                                                                                    \
    } while (0)

/* --- helpers -------------------------------------------------------------------------------------------------- */

static redisContext *connect_sync(void) {
    struct timeval timeout = {.tv_sec = 30, .tv_usec = 0};
    redisContext *c = redisConnectWithTimeout(server_host, server_port, timeout);
    if (c == NULL || c->err) {
        fprintf(stderr, "cannot connect: %s\n", c ? c->errstr : "no memory");
        exit(2);
    }
    redisSetTimeout(c, timeout);
    return c;
}

/* One command in hiredis's own format words, %b among them; the reply is never NULL: a lost
 * connection ends the program, for every later test would fail too. */
static redisReply *call(redisContext *c, const char *format, ...) {
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(c, format, args);
    va_end(args);
    if (reply == NULL) {
        fprintf(stderr, "connection lost at \"%s\": %s\n", format, c->errstr);
        exit(2);
    }
    return reply;
}

static int is_status(const redisReply *r, const char *text) {
    return r != NULL && r->type == REDIS_REPLY_STATUS && strcmp(r->str, text) == 0;
}

static int is_int(const redisReply *r, long long value) {
    return r != NULL && r->type == REDIS_REPLY_INTEGER && r->integer == value;
}

static int is_bulk(const redisReply *r, const char *data, size_t len) {
    return r != NULL && r->type == REDIS_REPLY_STRING && (size_t)r->len == len &&
           memcmp(r->str, data, len) == 0;
}

static int is_error(const redisReply *r, const char *prefix) {
    return r != NULL && r->type == REDIS_REPLY_ERROR && strncmp(r->str, prefix, strlen(prefix)) == 0;
}

static int is_nil(const redisReply *r) {
    return r != NULL && r->type == REDIS_REPLY_NIL;
}

/* The reply must satisfy the test; it is released either way. */
#define CALL(test, ...)                                                                                      \
    do {                                                                                                     \
        redisReply *reply = call(c, __VA_ARGS__);                                                            \
        EXPECT(test);                                                                                        \
        freeReplyObject(reply);                                                                              \
    } while (0)

/* The same for the next reply of a pipeline. */
#define NEXT(test)                                                                                           \
    do {                                                                                                     \
        redisReply *reply = NULL;                                                                            \
        EXPECT(redisGetReply(c, (void **)&reply) == REDIS_OK && (test));                                     \
        freeReplyObject(reply);                                                                              \
    } while (0)

static unsigned char *pattern(size_t len) {
    unsigned char *p = malloc(len + 1);
    if (p == NULL) abort();
    for (size_t i = 0; i < len; i++) p[i] = (unsigned char)(i * 31 + i / 251);
    return p;
}

/* --- blocking ------------------------------------------------------------------------------------------------- */

static void test_every_kind_of_reply(redisContext *c) {
    CALL(is_status(reply, "PONG"), "PING");
    CALL(is_bulk(reply, "hello", 5), "PING hello");
    CALL(is_status(reply, "OK"), "SET k v");
    CALL(is_bulk(reply, "v", 1), "GET k");
    CALL(is_nil(reply), "GET none");
    CALL(is_int(reply, 1), "EXISTS k");
    CALL(is_int(reply, -2), "TTL none");
    CALL(is_int(reply, INT64_MAX), "INCRBY max 9223372036854775807");
    CALL(is_int(reply, INT64_MIN + 1), "DECRBY min 9223372036854775807");
    CALL(is_error(reply, "ERR unknown command 'NOSUCH', with args beginning with: 'a' "), "NOSUCH a");
    CALL(is_error(reply, "ERR wrong number of arguments for 'get' command"), "GET");
    CALL(is_error(reply, "ERR value is not an integer or out of range"), "INCR k");
    CALL(reply->type == REDIS_REPLY_ARRAY && reply->elements == 0, "KEYS nothing*");
    CALL(reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && is_bulk(reply->element[0], "v", 1) &&
             is_nil(reply->element[1]) && is_bulk(reply->element[2], "v", 1),
         "MGET k none k");
    /* An array inside an array, and a null array as an element. */
    CALL(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
             reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[0]->elements >= 6 &&
             is_bulk(reply->element[0]->element[0], "get", 3) && is_int(reply->element[0]->element[1], 2) &&
             is_nil(reply->element[1]),
         "COMMAND INFO get nosuch");
    CALL(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && is_bulk(reply->element[0], "0", 1) &&
             reply->element[1]->type == REDIS_REPLY_ARRAY && reply->element[1]->elements == 3,
         "SCAN 0 COUNT 1000");
    CALL(reply->type == REDIS_REPLY_ARRAY && (reply->elements == 3 || reply->elements == 5), "ROLE");
    CALL(reply->type == REDIS_REPLY_ARRAY && reply->elements > 50 && reply->element[0]->elements >= 7,
         "COMMAND");
}

static void test_binary_safe(redisContext *c) {
    static const size_t sizes[] = {0,     1,     2,     255,   256,   4095,    4096,   16383,
                                   16384, 16385, 65535, 65536, 65537, 1 << 20, 8 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t len = sizes[i];
        unsigned char *data = pattern(len);
        CALL(is_status(reply, "OK"), "SET %b %b", "k\0\r\n", (size_t)4, data, len);
        CALL(is_bulk(reply, (char *)data, len), "GET %b", "k\0\r\n", (size_t)4);
        CALL(is_int(reply, (long long)len), "STRLEN %b", "k\0\r\n", (size_t)4);
        CALL(is_bulk(reply, (char *)data, len), "ECHO %b", data, len);
        free(data);
    }
    CALL(is_nil(reply), "GET k");
    const char *argv[] = {"SET", "", "\0\0"};
    const size_t lens[] = {3, 0, 2};
    EXPECT(redisAppendCommandArgv(c, 3, argv, lens) == REDIS_OK);
    NEXT(is_status(reply, "OK"));
    CALL(is_bulk(reply, "\0\0", 2), "GET %b", "", (size_t)0);
}

static void test_many_arguments(redisContext *c) {
    enum { PAIRS = 20000, ARGS = 1 + 2 * PAIRS };
    const char **argv = calloc(ARGS, sizeof *argv);
    size_t *lens = calloc(ARGS, sizeof *lens);
    char *words = calloc(ARGS, 24);
    if (argv == NULL || lens == NULL || words == NULL) abort();
    argv[0] = "MSET", lens[0] = 4;
    for (int i = 1; i < ARGS; i++) {
        lens[i] = (size_t)snprintf(words + 24 * i, 24, i % 2 ? "key:%d" : "value:%d", (i - 1) / 2);
        argv[i] = words + 24 * i;
    }
    EXPECT(redisAppendCommandArgv(c, ARGS, argv, lens) == REDIS_OK);
    NEXT(is_status(reply, "OK"));
    CALL(is_int(reply, PAIRS), "DBSIZE");
    CALL(is_bulk(reply, "value:19999", 11), "GET key:19999");
    free(argv);
    free(lens);
    free(words);
}

static void test_pipeline(redisContext *c) {
    enum { DEPTH = 10000 };
    for (int i = 0; i < DEPTH; i++) {
        EXPECT(redisAppendCommand(c, "SET key:%d %d", i, i) == REDIS_OK);
        EXPECT(redisAppendCommand(c, "INCR key:%d", i) == REDIS_OK);
        EXPECT(redisAppendCommand(c, "GET key:%d", i) == REDIS_OK);
        if (i % 1000 == 0) EXPECT(redisAppendCommand(c, "NOSUCH") == REDIS_OK);
    }
    for (int i = 0; i < DEPTH; i++) {
        char want[24];
        int len = snprintf(want, sizeof want, "%d", i + 1);
        NEXT(is_status(reply, "OK"));
        NEXT(is_int(reply, i + 1));
        NEXT(is_bulk(reply, want, (size_t)len));
        if (i % 1000 == 0) {
            NEXT(is_error(reply, "ERR unknown command"));
        }
    }
}

static void test_errors_leave_the_connection(redisContext *c) {
    CALL(is_status(reply, "OK"), "SET s text");
    CALL(is_error(reply, "ERR syntax error"), "SET s x BOGUS");
    CALL(is_error(reply, "ERR invalid expire time in 'set' command"), "SET s x EX 0");
    CALL(is_error(reply, "ERR offset is out of range"), "SETRANGE s -1 x");
    CALL(is_error(reply, "ERR no such key"), "RENAME none other");
    CALL(is_error(reply, "ERR DB index is out of range"), "SELECT 100000");
    CALL(is_error(reply, "ERR unknown subcommand 'x'. Try CONFIG HELP."), "CONFIG x");
    CALL(is_error(reply, "NOPROTO unsupported protocol version"), "HELLO 4");
    CALL(is_bulk(reply, "text", 4), "GET s");
}

static void test_hello_and_reset(redisContext *c) {
    CALL(reply->type == REDIS_REPLY_ARRAY && reply->elements == 14 &&
             is_bulk(reply->element[0], "server", 6) && is_bulk(reply->element[1], "redis", 5) &&
             is_int(reply->element[5], 2),
         "HELLO 2 SETNAME resident");
    CALL(is_bulk(reply, "resident", 8), "CLIENT GETNAME");
    CALL(is_status(reply, "OK"), "SELECT 3");
    CALL(is_status(reply, "RESET"), "RESET");
    CALL(is_nil(reply), "CLIENT GETNAME");
    CALL(is_status(reply, "OK"), "SET here 1");
    CALL(is_status(reply, "OK"), "SELECT 0");
    CALL(is_int(reply, 1), "EXISTS here");
}

static void test_reply_off(redisContext *c) {
    /* Silenced commands must still take effect, and the next answer must belong to the command after them. */
    EXPECT(redisAppendCommand(c, "CLIENT REPLY OFF") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "SET quiet 1") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "INCR quiet") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "CLIENT REPLY ON") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "GET quiet") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "CLIENT REPLY SKIP") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "INCR quiet") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "GET quiet") == REDIS_OK);
    NEXT(is_status(reply, "OK"));
    NEXT(is_bulk(reply, "2", 1));
    NEXT(is_bulk(reply, "3", 1));
}

static void test_quit_closes(redisContext *unused) {
    (void)unused;
    redisContext *c = connect_sync();
    EXPECT(redisAppendCommand(c, "SET last 1") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "QUIT") == REDIS_OK);
    EXPECT(redisAppendCommand(c, "SET last 2") == REDIS_OK);
    NEXT(is_status(reply, "OK"));
    NEXT(is_status(reply, "OK"));
    void *none = NULL;
    EXPECT(redisGetReply(c, &none) == REDIS_ERR && (c->err == REDIS_ERR_EOF || c->err == REDIS_ERR_IO));
    redisFree(c);
    c = connect_sync();
    CALL(is_bulk(reply, "1", 1), "GET last");
    redisFree(c);
}

static void test_many_connections(redisContext *unused) {
    (void)unused;
    enum { CONNECTIONS = 200 };
    redisContext *all[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        all[i] = connect_sync();
        EXPECT(redisAppendCommand(all[i], "INCR shared") == REDIS_OK);
        int done = 0;
        EXPECT(redisBufferWrite(all[i], &done) == REDIS_OK);
    }
    long long sum = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        redisReply *reply = NULL;
        EXPECT(redisGetReply(all[i], (void **)&reply) == REDIS_OK && reply->type == REDIS_REPLY_INTEGER);
        if (reply != NULL) sum += reply->integer;
        freeReplyObject(reply);
        redisFree(all[i]);
    }
    /* Each connection saw a different value: together all of 1..CONNECTIONS. */
    EXPECT(sum == (long long)CONNECTIONS * (CONNECTIONS + 1) / 2);
}

/* --- asynchronous --------------------------------------------------------------------------------------------- */

enum { ASYNC_COMMANDS = 5000 };

struct async_test {
    int connected, disconnected, sent, answered;
    uv_timer_t timer;
    uv_loop_t loop;
};

static void on_connect(const redisAsyncContext *ac, int status) {
    struct async_test *t = ac->data;
    EXPECT(status == REDIS_OK);
    t->connected++;
}

static void on_disconnect(const redisAsyncContext *ac, int status) {
    struct async_test *t = ac->data;
    EXPECT(status == REDIS_OK);
    t->disconnected++;
    uv_close((uv_handle_t *)&t->timer, NULL);
}

static void on_timeout(uv_timer_t *timer) {
    (void)timer;
    fprintf(stderr, "the asynchronous test did not end\n");
    exit(2);
}

static void on_reply(redisAsyncContext *ac, void *r, void *privdata) {
    struct async_test *t = ac->data;
    const redisReply *reply = r;
    int n = (int)(intptr_t)privdata;
    char want[24];
    int len = snprintf(want, sizeof want, "%d", n / 3);
    EXPECT(n == t->answered); /* answers come in the order of the commands */
    t->answered++;
    if (n % 3 == 0) EXPECT(is_status(reply, "OK"));
    if (n % 3 == 1) EXPECT(is_bulk(reply, want, (size_t)len));
    if (n % 3 == 2) EXPECT(is_error(reply, "ERR value is not an integer"));
    if (t->answered == ASYNC_COMMANDS) redisAsyncDisconnect(ac);
}

/* Sends from inside the first answer as programs do, so that writing and reading take turns. */
static void on_first(redisAsyncContext *ac, void *r, void *privdata) {
    struct async_test *t = ac->data;
    (void)privdata;
    EXPECT(is_status(r, "OK"));
    for (int n = 0; n < ASYNC_COMMANDS; n++) {
        int rc = REDIS_ERR;
        void *data = (void *)(intptr_t)n;
        if (n % 3 == 0) rc = redisAsyncCommand(ac, on_reply, data, "SET async:%d %d", n / 3, n / 3);
        if (n % 3 == 1) rc = redisAsyncCommand(ac, on_reply, data, "GET async:%d", n / 3);
        if (n % 3 == 2) rc = redisAsyncCommand(ac, on_reply, data, "INCR text");
        EXPECT(rc == REDIS_OK);
        t->sent++;
    }
}

static void test_asynchronous(redisContext *c) {
    struct async_test *t = calloc(1, sizeof *t);
    if (t == NULL || uv_loop_init(&t->loop) != 0) abort();
    redisAsyncContext *ac = redisAsyncConnect(server_host, server_port);
    if (ac == NULL || ac->err) {
        fprintf(stderr, "cannot connect asynchronously\n");
        exit(2);
    }
    ac->data = t;
    uv_timer_init(&t->loop, &t->timer);
    uv_timer_start(&t->timer, on_timeout, 60000, 0);
    EXPECT(redisLibuvAttach(ac, &t->loop) == REDIS_OK);
    EXPECT(redisAsyncSetConnectCallback(ac, on_connect) == REDIS_OK);
    EXPECT(redisAsyncSetDisconnectCallback(ac, on_disconnect) == REDIS_OK);
    EXPECT(redisAsyncCommand(ac, on_first, NULL, "SET text abc") == REDIS_OK);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    EXPECT(t->connected == 1 && t->disconnected == 1);
    EXPECT(t->sent == ASYNC_COMMANDS && t->answered == ASYNC_COMMANDS);
    uv_loop_close(&t->loop);
    free(t);
    CALL(is_int(reply, (ASYNC_COMMANDS + 2) / 3 + 1), "DBSIZE");
}

/* --- all of them ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(redisContext *c);
} tests[] = {
    {"every kind of reply", test_every_kind_of_reply},
    {"binary-safe keys and values", test_binary_safe},
    {"many arguments", test_many_arguments},
    {"pipeline", test_pipeline},
    {"errors leave the connection", test_errors_leave_the_connection},
    {"HELLO 2 and RESET", test_hello_and_reset},
    {"CLIENT REPLY", test_reply_off},
    {"QUIT closes after what came before it", test_quit_closes},
    {"many connections", test_many_connections},
    {"asynchronous, libuv", test_asynchronous},
};

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s HOST PORT\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    server_host = argv[1];
    server_port = atoi(argv[2]);
    int failed = 0;
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        failure = NULL;
        redisContext *c = connect_sync();
        CALL(is_status(reply, "OK"), "FLUSHALL");
        tests[i].run(c);
        redisFree(c);
        if (failure != NULL)
            printf("not ok %s: %s\n", tests[i].name, failure);
        else
            printf("ok %s\n", tests[i].name);
        fflush(stdout);
        failed += failure != NULL;
    }
    return failed ? 1 : 0;
}
