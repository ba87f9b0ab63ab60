/* Forwarded clients: from one node's upstream into another's client connection, and the replies back. */
#include "nodes.h"

#include "config.h"
#include "net.h"
#include "upstream.h"

#include <sys/socket.h>

struct told_upstream {
    int ups, downs, writables;
    uint32_t code;
    char why[PEER_WHY_CAP];
    struct buf bytes;
    struct upstream *closes; /* from within `bytes` */
};

static void on_up(void *arg) {
    ((struct told_upstream *)arg)->ups++;
}
static void on_bytes(void *arg, struct slice bytes) {
    struct told_upstream *t = arg;
    buf_add_slice(&t->bytes, bytes);
    if (t->closes != NULL) upstream_close(t->closes);
}
static void on_down(void *arg, uint32_t code, const char *why) {
    struct told_upstream *t = arg;
    t->downs++;
    t->code = code;
    snprintf(t->why, sizeof t->why, "%s", why);
}
static void on_writable(void *arg) {
    ((struct told_upstream *)arg)->writables++;
}

static const struct peer_client CLIENT = {.id = 7,
                                          .address = {"10.1.1.1:5555", 13},
                                          .local_address = {"10.1.1.2:6379", 13},
                                          .name = {"worker", 6},
                                          .user = {"default", 7},
                                          .db = 3,
                                          .resp = 3};

static struct upstream *open_to(struct node *a, const char *address, uint64_t target,
                                struct told_upstream *t) {
    struct upstream_handler h = {
        .arg = t, .up = on_up, .bytes = on_bytes, .down = on_down, .writable = on_writable};
    memset(t, 0, sizeof *t);
    return upstream_open(a->pn, address, target, &CLIENT, &h);
}

static void told_free(struct told_upstream *t) {
    buf_free(&t->bytes);
}

/* The leader's end is a bare socket here: what the test reads and writes. */
static void read_some(int fd, struct buf *into) {
    buf_reserve(into, 65536);
    ssize_t n = recv(fd, buf_tail(into), 65536, MSG_DONTWAIT);
    if (n > 0) into->len += (size_t)n;
}

static void write_all(int fd, struct slice bytes) {
    for (size_t at = 0; at < bytes.len;) {
        ssize_t n = send(fd, bytes.data + at, bytes.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) at += (size_t)n;
        if (n < 0) turn();
    }
}

TEST(commands_out_replies_back) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_upstream t;
    struct buf commands = {0};
    struct upstream *u = open_to(a, b->address, b->id, &t);
    upstream_send(u, SLICE("PING\r\n")); /* waits for the welcome */
    EXPECT(!upstream_is_up(u));
    EXPECT_EQ_INT(upstream_unsent(u), 6);
    WAIT_FOR(t.ups == 1 && b->forwards == 1);
    EXPECT(upstream_is_up(u));
    EXPECT_EQ_SLICE(buf_slice(&b->client_name), SLICE("worker"));
    upstream_send(u, SLICE("GET a\r\n"));
    buf_add_str(upstream_out(u), "GET b\r\n");
    WAIT_FOR((read_some(b->forward_fd, &commands), commands.len == 20));
    EXPECT_EQ_SLICE(buf_slice(&commands), SLICE("PING\r\nGET a\r\nGET b\r\n"));
    write_all(b->forward_fd, SLICE("+PONG\r\n>1\r\n:1\r\n$3\r\nab"));
    WAIT_FOR(t.bytes.len == 21);
    write_all(b->forward_fd, SLICE("c\r\n$-1\r\n"));
    WAIT_FOR(t.bytes.len == 29);
    EXPECT_EQ_SLICE(buf_slice(&t.bytes), SLICE("+PONG\r\n>1\r\n:1\r\n$3\r\nabc\r\n$-1\r\n"));
    close(b->forward_fd);
    WAIT_FOR(t.downs == 1);
    EXPECT_EQ_STR(t.why, "closed by the other side");
    upstream_send(u, SLICE("into nowhere"));
    upstream_close(u);
    buf_free(&commands);
    told_free(&t);
    nodes_end();
}

TEST(upstreams_that_do_not_come_about) {
    nodes_begin();
    struct peer_net_options secret = {.origin = CLUSTER, .secret = "open sesame"};
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL), *c = node_start(3, &secret);
    struct told_upstream nowhere, refused, other, barred;
    b->verdict = PEER_NOT_LEADER;
    struct upstream *u[4] = {open_to(a, "127.0.0.1:1@1", b->id, &nowhere),
                             open_to(a, b->address, b->id, &refused), open_to(a, b->address, 99, &other),
                             open_to(a, c->address, c->id, &barred)};
    WAIT_FOR(nowhere.downs && refused.downs && other.downs && barred.downs);
    EXPECT_EQ_INT(nowhere.code, 0);
    EXPECT_EQ_STR(nowhere.why, "connection refused");
    EXPECT_EQ_INT(refused.code, PEER_NOT_LEADER);
    EXPECT_EQ_INT(other.code, PEER_WRONG_TARGET);
    EXPECT_EQ_INT(barred.code, PEER_BAD_SECRET);
    EXPECT_EQ_INT(b->forwards + c->forwards, 0);
    for (int i = 0; i < 4; i++) upstream_close(u[i]);
    nodes_end();
}

TEST(with_a_secret) {
    nodes_begin();
    struct peer_net_options secret = {.origin = CLUSTER, .secret = "open sesame"};
    struct node *a = node_start(1, &secret), *b = node_start(2, &secret);
    struct told_upstream t;
    struct upstream *u = open_to(a, b->address, b->id, &t);
    WAIT_FOR(t.ups == 1 && b->forwards == 1);
    EXPECT_EQ_SLICE(buf_slice(&b->client_name), SLICE("worker"));
    upstream_close(u);
    close(b->forward_fd);
    nodes_end();
}

/* A client may call itself what it likes. */
TEST(names_that_are_too_long_are_cut) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_upstream t = {0};
    struct upstream_handler h = {.arg = &t, .up = on_up, .bytes = on_bytes, .down = on_down};
    char *name = mem_calloc(1, 1 << 20);
    memset(name, 'n', 1 << 20);
    struct slice long_name = slice_make(name, 1 << 20);
    struct peer_client client = {.address = long_name,
                                 .local_address = long_name,
                                 .name = long_name,
                                 .lib_name = long_name,
                                 .lib_version = long_name,
                                 .user = long_name,
                                 .resp = 2};
    struct upstream *u = upstream_open(a->pn, b->address, b->id, &client, &h);
    mem_free(name);
    WAIT_FOR(t.ups == 1 && b->forwards == 1);
    EXPECT_EQ_INT(b->client_name.len, PEER_NAME_MAX);
    upstream_close(u);
    close(b->forward_fd);
    nodes_end();
}

TEST(closing_from_within) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_upstream t;
    struct upstream *u = open_to(a, b->address, b->id, &t);
    WAIT_FOR(b->forwards == 1 && t.ups == 1);
    t.closes = u;
    write_all(b->forward_fd, SLICE("+OK\r\n"));
    WAIT_FOR(t.bytes.len == 5);
    wait_ms(20);
    EXPECT_EQ_INT(t.downs, 0);
    close(b->forward_fd);
    told_free(&t);
    nodes_end();
}

/* While paused nothing is read: the leader's replies wait in the sockets, and then in the leader. */
TEST(back_pressure) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_upstream t;
    static char reply[65536 + 10];
    struct upstream *u = open_to(a, b->address, b->id, &t);
    upstream_pause(u); /* the handshake goes on all the same */
    WAIT_FOR(b->forwards == 1 && t.ups == 1);
    int header = snprintf(reply, sizeof reply, "$%d\r\n", 65536);
    memcpy(reply + header + 65536, "\r\n", 2);
    size_t size = (size_t)header + 65536 + 2, sent = 0;
    for (int quiet = 0; quiet < 50;) {
        ssize_t n = send(b->forward_fd, reply + sent % size, size - sent % size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        quiet = n > 0 ? 0 : quiet + 1;
        turn();
    }
    EXPECT_EQ_INT(t.bytes.len, 0);
    EXPECT(sent < 256 << 20);
    upstream_resume(u);
    WAIT_FOR(t.bytes.len == sent);
    upstream_close(u);
    close(b->forward_fd);
    told_free(&t);
    nodes_end();
}

/* And the other way: the caller sees that the leader does not read. */
TEST(commands_that_are_not_read) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_upstream t;
    struct buf commands = {0};
    static char chunk[1 << 20];
    struct upstream *u = open_to(a, b->address, b->id, &t);
    WAIT_FOR(b->forwards == 1 && t.ups == 1);
    size_t sent = 0;
    for (int quiet = 0; quiet < 50;) {
        bool full = upstream_unsent(u) >= UPSTREAM_QUEUE;
        if (!full) upstream_send(u, slice_make(chunk, sizeof chunk)), sent += sizeof chunk;
        quiet = full ? quiet + 1 : 0;
        turn();
    }
    EXPECT(sent < 256 << 20);
    int writables = t.writables;
    WAIT_FOR((read_some(b->forward_fd, &commands), commands.len == sent));
    EXPECT(t.writables > writables);
    upstream_finish(u); /* half-closed: the leader sees the end, its replies still come */
    WAIT_FOR(recv(b->forward_fd, chunk, 1, MSG_DONTWAIT) == 0);
    write_all(b->forward_fd, SLICE("+OK\r\n"));
    close(b->forward_fd);
    WAIT_FOR(t.downs == 1);
    EXPECT_EQ_SLICE(buf_slice(&t.bytes), SLICE("+OK\r\n"));
    upstream_close(u);
    buf_free(&commands);
    told_free(&t);
    nodes_end();
}

/* --- adoption: the socket becomes a client connection --- */

static struct config config;
static struct net net;
static struct conn *adopted;
static int opened, closed, commands_seen;
static char last_command[64];

static void on_opened(void *arg, struct conn *c) {
    (void)arg;
    (void)c;
    opened++;
}
static void on_closed(void *arg, struct conn *c) {
    (void)arg;
    closed++;
    if (adopted == c) adopted = NULL;
    buf_free(&c->session.name);
    buf_free(&c->session.lib_name);
    buf_free(&c->session.lib_version);
}
static enum conn_verdict on_command(void *arg, struct conn *c, int argc, const struct slice *argv) {
    (void)arg;
    commands_seen++;
    snprintf(last_command, sizeof last_command, "%d %.*s", argc, (int)argv[0].len, argv[0].data);
    buf_add_str(&c->out, "+OK\r\n");
    conn_touch(c);
    return CONN_NEXT;
}

static void net_begin(void) {
    struct net_handler h = {
        .opened = on_opened, .closed = on_closed, .command = on_command, .log = on_log, .arg = &nodes[2]};
    config_init(&config);
    net_init(&net, &loop, &config, h);
    opened = closed = commands_seen = 0;
}

static void net_end(void) {
    net_close_all(&net);
    wait_ms(10);
    net_free(&net);
    config_free(&config);
}

static void turn_both(void) {
    net_flush(&net);
    turn();
}

TEST(a_forwarded_client_is_a_client) {
    nodes_begin();
    net_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_upstream t;
    struct upstream *u = open_to(a, b->address, b->id, &t);
    WAIT_FOR(b->forwards == 1);
    adopted = net_adopt(&net, b->forward_fd, SLICE("PING\r\n*1\r\n$4\r\nEC"), &CLIENT);
    EXPECT(adopted != NULL);
    EXPECT_EQ_INT(opened, 1);
    EXPECT_EQ_INT(commands_seen, 1); /* what had come already */
    const struct session *s = &adopted->session;
    EXPECT(s->forwarded && s->authenticated);
    EXPECT_EQ_STR(s->peer, "10.1.1.1:5555");
    EXPECT_EQ_STR(s->local, "10.1.1.2:6379");
    EXPECT_EQ_INT(s->db, 3);
    EXPECT_EQ_INT(s->resp, 3);
    EXPECT_EQ_SLICE(buf_slice(&s->name), SLICE("worker"));
    upstream_send(u, SLICE("HO\r\nGET key\r\n"));
    WAIT_FOR((turn_both(), t.bytes.len == 15)); /* three times +OK */
    EXPECT_EQ_STR(last_command, "2 GET");
    upstream_close(u);
    WAIT_FOR((turn_both(), closed == 1));
    EXPECT_EQ_INT(net.conn_count, 0);
    told_free(&t);
    net_end();
    nodes_end();
}

/* The databases of the two nodes may not be equally many. */
TEST(a_database_that_is_not_here) {
    nodes_begin();
    net_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_upstream t;
    struct peer_client client = CLIENT;
    client.db = 16;
    struct upstream *u = open_to(a, b->address, b->id, &t);
    WAIT_FOR(b->forwards == 1);
    EXPECT(net_adopt(&net, b->forward_fd, SLICE(""), &client) == NULL);
    WAIT_FOR(t.downs == 1);
    EXPECT_EQ_SLICE(buf_slice(&t.bytes), SLICE("-ERR DB index is out of range\r\n"));
    upstream_close(u);
    told_free(&t);
    net_end();
    nodes_end();
}

TEST(one_client_too_many) {
    nodes_begin();
    net_begin();
    config.maxclients = 0;
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct told_upstream t;
    struct upstream *u = open_to(a, b->address, b->id, &t);
    WAIT_FOR(b->forwards == 1);
    EXPECT(net_adopt(&net, b->forward_fd, SLICE(""), &CLIENT) == NULL);
    WAIT_FOR(t.downs == 1);
    EXPECT_EQ_SLICE(buf_slice(&t.bytes), SLICE("-ERR max number of clients reached\r\n"));
    upstream_close(u);
    told_free(&t);
    net_end();
    nodes_end();
}

TEST_MAIN
