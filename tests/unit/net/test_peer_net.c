/* Links between nodes: who gets in, what passes, what happens when it breaks. */
#include "nodes.h"

#include "rng.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static struct raft_message heartbeat_message(const struct node *from, const struct node *to) {
    return (struct raft_message){
        .kind = RAFT_HEARTBEAT, .from = from->id, .to = to->id, .term = 3, .commit_index = 7};
}

static bool send_heartbeat(struct node *from, struct node *to) {
    struct raft_message m = heartbeat_message(from, to);
    struct buf *out = peer_net_out(from->pn, to->id);
    if (out == NULL) return false;
    peer_write_message(out, &CLUSTER, &m);
    peer_net_sent(from->pn, to->id);
    return true;
}

/* An APPEND of one entry so long. */
static bool send_append(struct node *from, struct node *to, size_t size) {
    struct buf *out = peer_net_out(from->pn, to->id);
    if (out == NULL) return false;
    struct raft_message m = {
        .kind = RAFT_APPEND, .from = from->id, .to = to->id, .term = 3, .prev_index = 4, .prev_term = 1};
    struct raft_entry e = {.index = 5, .term = 2, .kind = RAFT_ENTRY_COMMANDS, .size = size};
    struct peer_append a;
    char *payload = mem_calloc(1, size + 1);
    peer_append_begin(&a, out, &CLUSTER, &m);
    peer_append_add(&a, &e, slice_make(payload, size));
    peer_append_end(&a);
    mem_free(payload);
    peer_net_sent(from->pn, to->id);
    return true;
}

static struct peer_link_info info_of(struct node *n) {
    struct peer_link_info info = {0};
    peer_net_links(n->pn, &info, 1);
    return info;
}

/* --- links come up, messages pass --- */

TEST(messages_pass_both_ways_on_two_links) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    EXPECT(peer_net_out(a->pn, b->id) == NULL); /* nobody we know */
    link_to(a, b);
    EXPECT(peer_net_out(a->pn, b->id) == NULL); /* not up yet */
    WAIT_FOR(a->ups == 1);
    EXPECT_EQ_INT(b->ups, 0); /* a's link is a's only */
    EXPECT(peer_net_out(b->pn, a->id) == NULL);
    link_to(b, a);
    WAIT_FOR(b->ups == 1);
    for (int i = 0; i < 5; i++) EXPECT(send_heartbeat(a, b));
    EXPECT(send_heartbeat(b, a));
    WAIT_FOR(b->messages == 5 && a->messages == 1);
    EXPECT_EQ_INT(b->last.kind, RAFT_HEARTBEAT);
    EXPECT_EQ_INT(b->last.from, a->id);
    EXPECT_EQ_INT(b->last.to, b->id);
    EXPECT_EQ_INT(b->last.commit_index, 7);
    EXPECT_EQ_INT(a->last.from, b->id);
    struct peer_link_info info = info_of(a);
    EXPECT(info.up && info.heard);
    EXPECT_EQ_INT(info.id, b->id);
    EXPECT_EQ_STR(info.address, b->address);
    EXPECT_EQ_INT(info.frames_out, 5);
    EXPECT_EQ_INT(info.frames_in, 1);
    EXPECT_EQ_INT(info.connects, 1);
    EXPECT_EQ_INT(info.dropped, 1);
    EXPECT(info.bytes_out > 5 * PEER_HEADER_SIZE);
    EXPECT(info.bytes_in > PEER_HEADER_SIZE);
    nodes_end();
}

/* Three nodes, each linked to the others. */
TEST(three_nodes_all_linked) {
    nodes_begin();
    struct node *n[3] = {node_start(1, NULL), node_start(2, NULL), node_start(3, NULL)};
    struct peer_address all[3];
    for (int i = 0; i < 3; i++) all[i] = (struct peer_address){.id = n[i]->id, .address = n[i]->address};
    for (int i = 0; i < 3; i++) peer_net_set_peers(n[i]->pn, all, 3); /* itself among them */
    WAIT_FOR(n[0]->ups == 2 && n[1]->ups == 2 && n[2]->ups == 2);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            EXPECT(i == k ? peer_net_out(n[i]->pn, n[k]->id) == NULL : send_heartbeat(n[i], n[k]));
    WAIT_FOR(n[0]->messages == 2 && n[1]->messages == 2 && n[2]->messages == 2);
    EXPECT_EQ_INT(n[0]->log.len, 0);
    nodes_end();
}

TEST(a_frame_larger_than_every_buffer) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_append(a, b, 40 << 20));
    EXPECT(send_heartbeat(a, b)); /* below the bound still */
    WAIT_FOR(peer_net_is_receiving(b->pn, a->id, WAIT_MS) || b->messages > 0);
    WAIT_FOR(b->messages == 2);
    EXPECT_EQ_INT(b->payload_bytes, 40 << 20);
    EXPECT(!peer_net_is_receiving(b->pn, a->id, WAIT_MS));
    EXPECT_EQ_INT(peer_net_unsent(a->pn, b->id), 0);
    nodes_end();
}

/* What does not fit any more is dropped, as networks do; and the link recovers. */
TEST(the_queue_has_a_bound) {
    nodes_begin();
    struct peer_net_options options = {.origin = CLUSTER, .out_bytes_max = 1 << 20};
    struct node *a = node_start(1, &options), *b = node_start(2, NULL);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_append(a, b, 3 << 20)); /* one alone may be larger */
    EXPECT(!peer_net_takes_append(a->pn, b->id));
    EXPECT(send_append(a, b, 10)); /* in vain */
    EXPECT_EQ_INT(info_of(a).dropped, 1);
    int heartbeats = 0;
    while (send_heartbeat(a, b)) heartbeats++; /* they have a queue of their own */
    EXPECT(heartbeats > 1000);
    EXPECT_EQ_INT(info_of(a).dropped, 2);
    EXPECT(peer_net_unsent(a->pn, b->id) > 4 << 20);
    WAIT_FOR(b->messages == 1 + heartbeats);
    EXPECT(peer_net_takes_append(a->pn, b->id));
    EXPECT(send_append(a, b, 10));
    WAIT_FOR(b->messages == 2 + heartbeats);
    EXPECT_EQ_INT(a->downs, 0);
    nodes_end();
}

/* A leader that sends something very long is heard all the while; appends keep their order. */
TEST(heartbeats_pass_long_appends) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_append(a, b, 50 << 20));
    EXPECT(send_append(a, b, 7)); /* small, but behind the other */
    for (int i = 1; i <= 5; i++) {
        EXPECT(send_heartbeat(a, b));
        WAIT_FOR(b->messages == i);
        EXPECT_EQ_INT(b->last.kind, RAFT_HEARTBEAT);
    }
    EXPECT_EQ_INT(b->payload_bytes, 0);
    EXPECT(peer_net_is_receiving(b->pn, a->id, WAIT_MS));
    WAIT_FOR(b->messages >= 6);
    EXPECT(b->payload_bytes >= 50 << 20);
    WAIT_FOR(b->messages == 7);
    EXPECT_EQ_INT(b->payload_bytes, (50 << 20) + 7);
    EXPECT_EQ_INT(peer_net_unsent(a->pn, b->id), 0);
    nodes_end();
}

static int given_back;

static void count_given_back(void *owner, void *what) {
    EXPECT(owner == &given_back);
    mem_free(what);
    given_back++;
}

/* The same as send_append, with a payload that is lent. */
static bool send_apart(struct node *from, struct node *to, size_t size) {
    struct buf *out = peer_net_out(from->pn, to->id);
    if (out == NULL) return false;
    struct raft_message m = {
        .kind = RAFT_APPEND, .from = from->id, .to = to->id, .term = 3, .prev_index = 4, .prev_term = 1};
    struct raft_entry e = {.index = 5, .term = 2, .kind = RAFT_ENTRY_COMMANDS, .size = size};
    struct peer_append a;
    char *payload = mem_calloc(1, size);
    struct peer_lent lent = {.bytes = slice_make(payload, size),
                             .give_back = count_given_back,
                             .owner = &given_back,
                             .what = payload};
    peer_append_begin(&a, out, &CLUSTER, &m);
    peer_append_end_apart(&a, &e);
    peer_net_sent_apart(from->pn, to->id, &lent);
    return true;
}

/* A payload that is lent arrives as one that was copied, in its place among others, and is given back once. */
TEST(lent_payloads) {
    nodes_begin();
    given_back = 0;
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_apart(a, b, 20 << 20));
    EXPECT(send_append(a, b, 7));
    EXPECT(send_apart(a, b, 1));
    EXPECT(send_apart(a, b, 100));
    EXPECT(send_append(a, b, 300 << 10));
    EXPECT(send_apart(a, b, 3 << 20));
    EXPECT(send_heartbeat(a, b));
    WAIT_FOR(b->messages == 1);
    EXPECT_EQ_INT(b->last.kind, RAFT_HEARTBEAT);
    EXPECT_EQ_INT(b->payload_bytes, 0);
    EXPECT(peer_net_is_receiving(b->pn, a->id, WAIT_MS));
    WAIT_FOR(b->messages == 7);
    EXPECT_EQ_INT(b->payload_bytes, (20 << 20) + 7 + 1 + 100 + (300 << 10) + (3 << 20));
    EXPECT_EQ_INT(b->taken, 4);
    EXPECT_EQ_INT(given_back, 4);
    EXPECT_EQ_INT(peer_net_unsent(a->pn, b->id), 0);
    EXPECT(!peer_net_is_receiving(b->pn, a->id, WAIT_MS));
    nodes_end();
}

TEST(lent_payloads_are_given_back_when_the_link_breaks) {
    nodes_begin();
    given_back = 0;
    struct peer_net_options options = {.origin = CLUSTER, .out_bytes_max = 30 << 20};
    struct node *a = node_start(1, &options), *b = node_start(2, NULL);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_apart(a, b, 20 << 20));
    EXPECT(send_apart(a, b, 20 << 20));
    EXPECT_EQ_INT(given_back, 0);
    EXPECT(send_apart(a, b, 20 << 20)); /* too much waits: it is dropped */
    EXPECT_EQ_INT(given_back, 1);
    WAIT_FOR(peer_net_is_receiving(b->pn, a->id, WAIT_MS));
    node_stop(b);
    WAIT_FOR(a->downs == 1);
    EXPECT_EQ_INT(given_back, 3);
    nodes_end();
}

TEST(a_frame_longer_than_the_receiver_allows_ends_the_link) {
    nodes_begin();
    struct peer_net_options options = {.origin = CLUSTER, .frame_bytes_max = 1000};
    struct node *a = node_start(1, NULL), *b = node_start(2, &options);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_append(a, b, 700));
    WAIT_FOR(b->messages == 1);
    EXPECT(send_append(a, b, 1000));
    WAIT_FOR(a->downs == 1);
    WAIT_FOR(a->ups == 2);
    EXPECT_EQ_INT(b->messages, 1);
    nodes_end();
}

/* --- links break and come again --- */

TEST(reconnects_when_the_peer_comes_back) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    int port = b->port;
    node_stop(b);
    WAIT_FOR(a->downs == 1);
    EXPECT(peer_net_out(a->pn, b->id) == NULL);
    wait_ms(400);
    uint64_t connects = info_of(a).connects;
    EXPECT_NOTE(connects >= 2 && connects <= 12, "%d attempts", (int)connects); /* the back-off grows */
    EXPECT_EQ_INT(log_count(a, "is not linked") + log_count(a, "is no longer linked"),
                  1); /* and the log does not */
    EXPECT(!info_of(a).up);
    node_start(2, NULL);
    nodes[2].port = 0;
    char error[256];
    EXPECT_NOTE(peer_net_listen(b->pn, "127.0.0.1", port, 10, error, sizeof error) == RC_OK, "%s", error);
    WAIT_FOR(a->ups == 2);
    EXPECT(send_heartbeat(a, b));
    WAIT_FOR(b->messages == 1);
    nodes_end();
}

/* A node that has waited long is connected to at once when it shows that it is there. */
TEST(who_connects_to_us_is_connected_to) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    struct peer_address nowhere = {.id = b->id, .address = "127.0.0.1:1@1"};
    peer_net_set_peers(a->pn, &nowhere, 1);
    wait_ms(1500);
    uint64_t connects = info_of(a).connects;
    link_to(b, a);
    WAIT_FOR(b->ups == 1);
    WAIT_FOR(info_of(a).heard);
    EXPECT(info_of(a).connects == connects + 1);
    nodes_end();
}

TEST(peers_are_replaced_and_readdressed) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL), *c = node_start(3, NULL);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_heartbeat(a, b)); /* last words arrive */
    link_to(a, c);
    EXPECT(peer_net_out(a->pn, b->id) == NULL);
    WAIT_FOR(a->ups == 2 && b->messages == 1);
    EXPECT(send_heartbeat(a, c));
    WAIT_FOR(c->messages == 1);
    EXPECT_EQ_INT(a->downs, 0); /* of one that was taken away nothing is told */
    struct peer_address wrong = {.id = c->id, .address = b->address};
    peer_net_set_peers(a->pn, &wrong, 1); /* another node answers there */
    WAIT_FOR(a->downs == 1);
    WAIT_FOR(a->refusals >= 1);
    EXPECT_EQ_INT(a->refusal_code, PEER_WRONG_TARGET);
    EXPECT_EQ_INT(info_of(a).refused_code, PEER_WRONG_TARGET);
    link_to(a, c);
    WAIT_FOR(a->ups == 3);
    peer_net_set_peers(a->pn, NULL, 0);
    wait_ms(100);
    nodes_end();
}

TEST(addresses_that_are_none) {
    nodes_begin();
    struct node *a = node_start(1, NULL);
    struct peer_address peers[] = {{.id = 5, .address = "nonsense"}, {.id = 6, .address = "localhost:60000"}};
    peer_net_set_peers(a->pn, peers, 2);
    WAIT_FOR(log_has(a, "is no address"));
    peers[0].address = "name.that.does.not.exist.invalid:6379";
    peer_net_set_peers(a->pn, peers, 2);
    wait_ms(50);
    EXPECT_EQ_INT(a->ups, 0);
    nodes_end(); /* while a name is being looked for */
}

/* --- who is refused --- */

static void expect_refused(struct node *a, struct node *b, enum peer_refusal code) {
    link_to(a, b);
    WAIT_FOR(a->refusals >= 2);       /* it is tried again all the same */
    if (code == PEER_WRONG_CLUSTER) { /* it may be about to be formed: the first three are not worth a line */
        EXPECT(a->refusals > 3 || a->log.len == 0);
        WAIT_FOR(a->refusals >= 5);
    }
    EXPECT_EQ_INT(a->refusal_code, code);
    EXPECT_EQ_INT(a->ups, 0);
    EXPECT_EQ_INT(b->messages, 0);
    EXPECT(a->log.len > 0);
    EXPECT_EQ_INT(log_count(a, "\n"), 1);
    EXPECT(log_count(b, "\n") <= 1);
    EXPECT(!info_of(a).up);
    EXPECT_EQ_INT(info_of(a).refused_code, code);
}

TEST(another_cluster_is_refused) {
    nodes_begin();
    struct peer_net_options other = {.origin = OTHER_CLUSTER};
    struct node *a = node_start(1, NULL), *b = node_start(2, &other);
    expect_refused(a, b, PEER_WRONG_CLUSTER);
    EXPECT_EQ_INT(b->asked, 0);
    EXPECT(log_has(b, "another cluster"));
    nodes_end();
}

TEST(another_group_is_refused) {
    nodes_begin();
    struct peer_net_options other = {.origin = CLUSTER};
    other.origin.group = 1;
    struct node *a = node_start(1, NULL), *b = node_start(2, &other);
    expect_refused(a, b, PEER_WRONG_CLUSTER);
    nodes_end();
}

TEST(the_node_has_its_own_opinion) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    b->verdict = PEER_UNKNOWN_SENDER;
    expect_refused(a, b, PEER_UNKNOWN_SENDER);
    EXPECT(b->asked >= 2);
    EXPECT(strstr(a->refusal, "as the test wants it") != NULL);
    b->verdict = PEER_ACCEPTED;
    WAIT_FOR(a->ups == 1);
    EXPECT_EQ_INT(info_of(a).refused_code, 0);
    nodes_end();
}

TEST(with_the_same_secret_they_meet) {
    nodes_begin();
    struct peer_net_options secret = {.origin = CLUSTER, .secret = "open sesame"};
    struct node *a = node_start(1, &secret), *b = node_start(2, &secret);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_heartbeat(a, b));
    WAIT_FOR(b->messages == 1);
    nodes_end();
}

TEST(a_wrong_secret_is_refused) {
    nodes_begin();
    struct peer_net_options secret = {.origin = CLUSTER, .secret = "open sesame"};
    struct peer_net_options wrong = {.origin = CLUSTER, .secret = "open barley"};
    struct node *a = node_start(1, &wrong), *b = node_start(2, &secret);
    expect_refused(a, b, PEER_BAD_SECRET);
    EXPECT_EQ_INT(b->asked, 0);
    peer_net_set_secret(a->pn, "open sesame");
    WAIT_FOR(a->ups == 1);
    nodes_end();
}

TEST(no_secret_where_one_is_asked_for) {
    nodes_begin();
    struct peer_net_options secret = {.origin = CLUSTER, .secret = "open sesame"};
    struct node *a = node_start(1, NULL), *b = node_start(2, &secret);
    expect_refused(a, b, PEER_BAD_SECRET);
    EXPECT_EQ_INT(b->asked, 0);
    nodes_end();
}

TEST(a_secret_where_none_is_asked_for) {
    nodes_begin();
    struct peer_net_options secret = {.origin = CLUSTER, .secret = "open sesame"};
    struct node *a = node_start(1, &secret), *b = node_start(2, NULL);
    expect_refused(a, b, PEER_BAD_SECRET);
    nodes_end();
}

/* Joining: a node of no cluster may talk to one that has one, if the nodes agree. */
TEST(a_blank_node_is_the_nodes_business) {
    nodes_begin();
    struct peer_net_options blank = {0};
    struct node *a = node_start(1, NULL), *b = node_start(2, &blank);
    link_to(a, b);
    WAIT_FOR(a->ups == 1);
    EXPECT(send_heartbeat(a, b));
    WAIT_FOR(b->messages == 1);
    peer_net_set_identity(b->pn, b->id, &CLUSTER); /* the link was to somebody else */
    WAIT_FOR(a->downs == 1);
    WAIT_FOR(a->ups == 2);
    peer_net_set_identity(b->pn, b->id, &CLUSTER); /* nothing new */
    wait_ms(100);
    EXPECT_EQ_INT(a->downs, 1);
    nodes_end();
}

/* --- strangers --- */

static int connect_to(const struct node *n) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)n->port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0);
    (void)connect(fd, (struct sockaddr *)&addr, sizeof addr);
    return fd;
}

/* 1: closed by the other side; 0: still open. What it says is put into `said`. */
static bool is_closed(int fd, struct buf *said) {
    char bytes[4096];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0 && said != NULL) buf_add(said, bytes, (size_t)n);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOTCONN);
}

static void say(int fd, struct slice bytes) {
    for (size_t at = 0; at < bytes.len; turn()) {
        ssize_t n = send(fd, bytes.data + at, bytes.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) at += (size_t)n;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOTCONN) return;
    }
}

TEST(garbage_is_closed_at_once) {
    static const char *const garbage[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "*1\r\n$4\r\nPING\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on, as TLS does"};
    nodes_begin();
    struct node *a = node_start(1, NULL);
    for (size_t i = 0; i < 3; i++) {
        int fd = connect_to(a);
        say(fd, slice_make(garbage[i], i == 2 ? 34 : strlen(garbage[i])));
        WAIT_FOR(is_closed(fd, NULL));
        close(fd);
    }
    EXPECT_EQ_INT(log_count(a, "\n"), 1); /* they all come from one address */
    EXPECT(log_has(a, "127.0.0.1"));
    nodes_end();
}

TEST(random_bytes_are_harmless) {
    nodes_begin();
    struct node *a = node_start(1, NULL);
    uint64_t state = test_seed();
    for (int round = 0; round < 30; round++) {
        char bytes[300];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)((state = state * 6364136223846793005u + 1) >> 56);
        if (round % 2 == 0) memcpy(bytes, "\x60\0\0\0\0\0\0\0____RDP\x01\x20\0\0\0", 20);
        int fd = connect_to(a);
        say(fd, slice_make(bytes, sizeof bytes));
        WAIT_FOR(is_closed(fd, NULL));
        close(fd);
    }
    EXPECT_EQ_INT(a->messages + a->asked, 0);
    nodes_end();
}

TEST(who_says_nothing_is_closed) {
    nodes_begin();
    struct peer_net_options hasty = {.origin = CLUSTER, .greeting_ms = 100};
    struct node *a = node_start(1, &hasty);
    int silent = connect_to(a), slow = connect_to(a);
    say(slow, SLICE("\x60\0\0\0\0\0\0\0____RDP\x01")); /* so far it could become a frame */
    WAIT_FOR(is_closed(silent, NULL));
    WAIT_FOR(is_closed(slow, NULL));
    EXPECT(log_has(a, "does not say who it is"));
    close(silent);
    close(slow);
    nodes_end();
}

/* Who is silent for longest goes first; who is honest still gets in. */
TEST(strangers_are_bounded) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    int fds[PEER_STRANGERS_MAX + 20];
    int count = (int)(sizeof fds / sizeof *fds), closed = 0;
    for (int i = 0; i < count; i++) {
        fds[i] = connect_to(a);
        turn();
    }
    WAIT_FOR(is_closed(fds[0], NULL) && is_closed(fds[19], NULL));
    for (int i = 0; i < count; i++) closed += is_closed(fds[i], NULL);
    EXPECT_EQ_INT(closed, 20);
    link_to(b, a);
    WAIT_FOR(b->ups == 1);
    for (int i = 0; i < count; i++) close(fds[i]);
    nodes_end();
}

/* Frames that are whole and sound around bodies that are not: to a stranger's door, and behind a sound HELLO. */
TEST(sound_frames_with_random_bodies_are_harmless) {
    static const uint32_t kinds[] = {
        RAFT_APPEND,         RAFT_VOTE,           PEER_HELLO,           PEER_PROOF, PEER_REFUSED,
        PEER_SNAPSHOT_BEGIN, PEER_SNAPSHOT_CHUNK, PEER_CONTROL_REQUEST, PEER_PART};
    nodes_begin();
    struct node *a = node_start(1, NULL);
    struct rng rng = {test_seed()};
    struct buf b = {0};
    for (int round = 0; round < 200; round++) {
        char body[200];
        for (size_t i = 0; i < sizeof body; i++) body[i] = (char)(rng_below(&rng, 3) ? 0 : rng_next(&rng));
        buf_clear(&b);
        if (round % 2) {
            struct peer_hello h = {.protocol = PEER_PROTOCOL_VERSION,
                                   .link = (enum peer_link_kind)(1 + rng_below(&rng, 4)),
                                   .origin = CLUSTER,
                                   .source = 22,
                                   .target = 11,
                                   .client = {.resp = 2}};
            peer_write_hello(&b, &h);
        }
        struct peer_frame f = {.kind = kinds[rng_below(&rng, 9)],
                               .origin = CLUSTER,
                               .source = 22,
                               .target = 11,
                               .term = 1,
                               .body = slice_make(body, rng_below(&rng, sizeof body))};
        peer_frame_write(&b, &f);
        int fd = connect_to(a);
        say(fd, buf_slice(&b));
        for (int i = 0; i < 3; i++) turn();
        close(fd);
        if (a->forward_fd > 0) close(a->forward_fd);
        a->forward_fd = 0;
    }
    buf_free(&b);
    nodes_end();
}

static struct peer_hello hello_of(uint64_t source, uint64_t target, enum peer_link_kind kind) {
    return (struct peer_hello){.protocol = PEER_PROTOCOL_VERSION,
                               .link = kind,
                               .origin = CLUSTER,
                               .source = source,
                               .target = target};
}

/* What a node answers to these bytes before it closes, if it does: the frame's kind, or 0. */
static uint32_t answer_to(struct node *n, const struct buf *bytes, struct peer_refused *refused) {
    int fd = connect_to(n);
    struct buf said = {0};
    struct peer_frame f = {0};
    size_t size;
    say(fd, buf_slice(bytes));
    bool closed = false;
    WAIT_FOR((closed = is_closed(fd, &said)) ||
             peer_frame_read(buf_slice(&said), 1 << 20, &f, &size) == RC_OK);
    if (f.kind == PEER_REFUSED) EXPECT_EQ_INT(peer_read_refused(&f, refused), RC_OK);
    buf_free(&said);
    close(fd);
    return f.kind;
}

TEST(another_version_is_told_so) {
    nodes_begin();
    struct node *a = node_start(1, NULL);
    struct peer_refused refused;
    struct buf b = {0};
    struct peer_hello h = hello_of(22, 11, PEER_LINK_RAFT);
    h.protocol = 7;
    peer_write_hello(&b, &h);
    EXPECT_EQ_INT(answer_to(a, &b, &refused), PEER_REFUSED);
    EXPECT_EQ_INT(refused.code, PEER_WRONG_VERSION);
    EXPECT_EQ_STR(refused.text, "it speaks version 7, this node speaks 2");
    buf_free(&b);
    nodes_end();
}

TEST(a_raft_link_needs_an_id) {
    nodes_begin();
    struct node *a = node_start(1, NULL);
    struct peer_refused refused;
    struct buf b = {0};
    struct peer_hello h = hello_of(0, 11, PEER_LINK_RAFT);
    peer_write_hello(&b, &h);
    EXPECT_EQ_INT(answer_to(a, &b, &refused), PEER_REFUSED);
    EXPECT_EQ_INT(refused.code, PEER_UNKNOWN_SENDER);
    buf_clear(&b);
    h.source = 22;
    h.target = 12;
    peer_write_hello(&b, &h);
    EXPECT_EQ_INT(answer_to(a, &b, &refused), PEER_REFUSED);
    EXPECT_EQ_INT(refused.code, PEER_WRONG_TARGET);
    buf_free(&b);
    nodes_end();
}

/* A recorded handshake is of no use: the nonce is another one each time. */
TEST(a_proof_cannot_be_replayed_or_left_out) {
    nodes_begin();
    struct peer_net_options secret = {.origin = CLUSTER, .secret = "open sesame"};
    struct node *a = node_start(1, &secret);
    struct peer_refused refused;
    struct buf b = {0};
    struct peer_hello h = hello_of(22, 11, PEER_LINK_RAFT);
    struct peer_proof proof = {.mac = "a proof of long ago"};
    struct peer_frame header = {.origin = CLUSTER, .source = 22, .target = 11};
    peer_write_hello(&b, &h);
    EXPECT_EQ_INT(answer_to(a, &b, &refused), PEER_CHALLENGE);
    peer_write_hello(&b, &h); /* said twice */
    EXPECT_EQ_INT(answer_to(a, &b, &refused), PEER_CHALLENGE);
    buf_clear(&b);
    peer_write_proof(&b, &header, &proof); /* without a hello */
    EXPECT_EQ_INT(answer_to(a, &b, &refused), 0);
    buf_clear(&b);
    peer_write_hello(&b, &h);
    peer_write_proof(&b, &header, &proof);
    int fd = connect_to(a);
    say(fd, buf_slice(&b));
    WAIT_FOR(is_closed(fd, NULL));
    close(fd);
    WAIT_FOR(log_has(a, "does not know the cluster-secret"));
    EXPECT_EQ_INT(a->asked, 0);
    buf_free(&b);
    nodes_end();
}

/* A link that was let in says what it may not: it closes, nothing is delivered. */
static void check_misbehaviour(void (*misbehave)(struct buf *)) {
    nodes_begin();
    struct node *a = node_start(1, NULL);
    struct buf b = {0};
    struct peer_hello h = hello_of(22, 11, PEER_LINK_RAFT);
    peer_write_hello(&b, &h);
    misbehave(&b);
    int fd = connect_to(a);
    say(fd, buf_slice(&b));
    WAIT_FOR(is_closed(fd, NULL));
    EXPECT_EQ_INT(a->asked, 1);
    EXPECT_EQ_INT(a->messages, 0);
    close(fd);
    buf_free(&b);
    nodes_end();
}

static void add_heartbeat(struct buf *b, uint64_t from, uint64_t to, const struct peer_origin *origin) {
    struct raft_message m = {.kind = RAFT_HEARTBEAT, .from = from, .to = to, .term = 1};
    peer_write_message(b, origin, &m);
}
static void in_anothers_name(struct buf *b) {
    add_heartbeat(b, 33, 11, &CLUSTER);
}
static void to_another(struct buf *b) {
    add_heartbeat(b, 22, 33, &CLUSTER);
}
static void of_another_cluster(struct buf *b) {
    add_heartbeat(b, 22, 11, &OTHER_CLUSTER);
}
static void with_a_flipped_bit(struct buf *b) {
    add_heartbeat(b, 22, 11, &CLUSTER);
    b->data[b->len - 1] ^= 1;
}
static void a_control_frame(struct buf *b) {
    struct peer_frame header = {.origin = CLUSTER, .source = 22, .target = 11};
    struct peer_control control = {.kind = 1};
    peer_write_control_request(b, &header, &control);
}
static void a_second_hello(struct buf *b) {
    struct peer_hello h = hello_of(22, 11, PEER_LINK_RAFT);
    peer_write_hello(b, &h);
}
static void garbage_in_parts(struct buf *b) {
    struct peer_frame f = {.kind = PEER_PART,
                           .origin = CLUSTER,
                           .source = 22,
                           .target = 11,
                           .body = SLICE("not a frame of ours")};
    peer_frame_write(b, &f);
}
static void a_part_in_a_part(struct buf *b) {
    struct peer_frame f = {
        .kind = PEER_PART, .origin = CLUSTER, .source = 22, .target = 11, .body = SLICE("")};
    struct buf inner = {0};
    peer_frame_write(&inner, &f);
    f.body = buf_slice(&inner);
    peer_frame_write(b, &f);
    buf_free(&inner);
}
static void anothers_name_in_parts(struct buf *b) {
    struct buf inner = {0};
    add_heartbeat(&inner, 33, 11, &CLUSTER);
    struct peer_frame f = {
        .kind = PEER_PART, .origin = CLUSTER, .source = 22, .target = 11, .body = buf_slice(&inner)};
    peer_frame_write(b, &f);
    buf_free(&inner);
}
static void a_message_cut_short(struct buf *b) {
    struct peer_frame f = {
        .kind = RAFT_VOTE, .origin = CLUSTER, .source = 22, .target = 11, .term = 1, .body = SLICE("123")};
    peer_frame_write(b, &f);
}

TEST(misbehaviour_closes_the_link) {
    check_misbehaviour(in_anothers_name);
    check_misbehaviour(to_another);
    check_misbehaviour(of_another_cluster);
    check_misbehaviour(with_a_flipped_bit);
    check_misbehaviour(a_control_frame);
    check_misbehaviour(a_second_hello);
    check_misbehaviour(a_message_cut_short);
    check_misbehaviour(garbage_in_parts);
    check_misbehaviour(a_part_in_a_part);
    check_misbehaviour(anothers_name_in_parts);
}

/* The newer of two links in one name stays. */
TEST(a_second_link_replaces_the_first) {
    nodes_begin();
    struct node *a = node_start(1, NULL);
    struct buf b = {0};
    struct peer_hello h = hello_of(22, 11, PEER_LINK_RAFT);
    peer_write_hello(&b, &h);
    int first = connect_to(a);
    say(first, buf_slice(&b));
    WAIT_FOR(a->asked == 1);
    int second = connect_to(a);
    add_heartbeat(&b, 22, 11, &CLUSTER);
    say(second, buf_slice(&b));
    WAIT_FOR(is_closed(first, NULL));
    WAIT_FOR(a->messages == 1);
    EXPECT(!is_closed(second, NULL));
    close(first);
    close(second);
    buf_free(&b);
    nodes_end();
}

/* --- addresses --- */

static void check_address(const char *address, const char *want) {
    char host[32], got[64] = "none";
    int port, peer_port;
    if (peer_address_parse(address, host, sizeof host, &port, &peer_port))
        snprintf(got, sizeof got, "%s %d %d", host, port, peer_port);
    EXPECT_NOTE(strcmp(got, want) == 0, "%s: %s", address, got);
}

TEST(address_texts) {
    check_address("10.0.0.1:6379", "10.0.0.1 6379 16379");
    check_address("10.0.0.1:6379@7000", "10.0.0.1 6379 7000");
    check_address("[::1]:6379", "::1 6379 16379");
    check_address("[fe80::1]:1@2", "fe80::1 1 2");
    check_address("::1:6379", "::1 6379 16379");
    check_address("host.name:55535", "host.name 55535 65535");
    check_address("host.name:55536", "none"); /* no port is 10000 further */
    check_address("host.name:65535@1", "host.name 65535 1");
    check_address("h:0@1", "h 0 1"); /* a node that listens for peers only */
    check_address("h:0", "none");
    check_address("", "none");
    check_address("host", "none");
    check_address(":6379", "none");
    check_address("[]:6379", "none");
    check_address("h:65536@1", "none");
    check_address("h:1@65536", "none");
    check_address("h:-1@1", "none");
    check_address("h:1@", "none");
    check_address("h:@1", "none");
    check_address("h@1", "none");
    check_address("a-name-that-is-too-long-for-the-buffer:1", "none");
}

TEST(ports) {
    EXPECT_EQ_INT(peer_port_of(6379, 0), 16379);
    EXPECT_EQ_INT(peer_port_of(6379, 7), 7);
    EXPECT_EQ_INT(peer_port_of(60000, 0), 0);
    EXPECT_EQ_INT(peer_port_of(0, 0), 0);
}

TEST(a_port_that_is_taken) {
    nodes_begin();
    struct node *a = node_start(1, NULL), *b = node_start(2, NULL);
    char error[256] = "";
    EXPECT_EQ_INT(peer_net_listen(b->pn, "127.0.0.1", a->port, 10, error, sizeof error), RC_BUSY);
    EXPECT(strstr(error, "address already in use") != NULL);
    EXPECT_EQ_INT(peer_net_listen(b->pn, "nowhere.invalid", 0, 10, error, sizeof error), RC_IO);
    nodes_end();
}

TEST_MAIN
