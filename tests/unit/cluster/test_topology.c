/* Tests of server/cluster: names, addresses, and who is master and who replica in clients' eyes. */
#include "topology.h"

#include "test.h"

static struct cluster_state state_of_three(void) {
    struct cluster_state s = {.cluster_id = "00112233445566778899aabbccddeeff",
                              .node_id = 2,
                              .leader_id = 2,
                              .last_leader_id = 2,
                              .is_leader = true,
                              .readable = true,
                              .member_count = 3};
    for (size_t i = 0; i < 3; i++) {
        struct cluster_member *m = &s.members[i];
        *m = (struct cluster_member){.id = i + 1, .is_connected = true, .is_self = i == 1};
        snprintf(m->address, sizeof m->address, "10.0.0.%zu:7000", i + 1);
    }
    return s;
}

/* --- names --- */

TEST(a_name_is_the_id_and_the_beginning_of_the_clusters) {
    struct cluster_state s = state_of_three();
    char name[CLUSTER_NAME_LEN + 1];
    cluster_name(&s, UINT64_C(0xfedcba9876543210), name);
    EXPECT(strcmp(name, "fedcba9876543210"
                        "00112233445566778899aabb") == 0);
    cluster_name(&s, 1, name);
    EXPECT(strcmp(name, "0000000000000001"
                        "00112233445566778899aabb") == 0);
}

TEST(a_cluster_without_an_id_still_gives_names_of_forty_digits) {
    struct cluster_state s = {.node_id = 1};
    char name[CLUSTER_NAME_LEN + 1];
    cluster_name(&s, 1, name);
    EXPECT(strcmp(name, "0000000000000001"
                        "000000000000000000000000") == 0);
}

TEST(names_are_read_back_whole_or_by_their_first_sixteen_digits) {
    struct cluster_state s = state_of_three();
    static const struct {
        const char *text;
        uint64_t id; /* 0: no name */
    } cases[] = {
        {"fedcba9876543210"
         "00112233445566778899aabb",
         UINT64_C(0xfedcba9876543210)},
        {"FEDCBA9876543210"
         "00112233445566778899AABB",
         UINT64_C(0xfedcba9876543210)},
        {"fedcba9876543210", UINT64_C(0xfedcba9876543210)},
        {"0000000000000001", 1},
        {"0000000000000000", 0}, /* no node has it */
        {"fedcba9876543210"
         "ff112233445566778899aabb",
         0},                      /* of another cluster */
        {"fedcba987654321", 0},   /* too short */
        {"fedcba98765432100", 0}, /* neither */
        {"fedcba987654321g", 0},  /* not hex */
        {"fedcba9876543210"
         "00112233445566778899aab ",
         0}, /* not hex behind */
        {"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t id = 0;
        bool is_name = cluster_parse_name(&s, slice_of(cases[i].text), &id);
        EXPECT_NOTE(is_name == (cases[i].id != 0) && id == cases[i].id, "%s", cases[i].text);
    }
}

/* --- addresses --- */

TEST(addresses_are_split_into_host_and_port) {
    static const struct {
        const char *text, *host; /* NULL: no address */
        int port;
    } cases[] = {
        {"127.0.0.1:7000", "127.0.0.1", 7000},
        {"a-b.example_1:1", "a-b.example_1", 1},
        {"[::1]:65535", "::1", 65535},
        {"::1:7000", "::1", 7000},
        {"[fe80::1%eth0]:7", "fe80::1%eth0", 7},
        {"h:0", NULL, 0},
        {"h:65536", NULL, 0},
        {"h:", NULL, 0},
        {":7000", NULL, 0},
        {"[]:7000", NULL, 0},
        {"h", NULL, 0},
        {"", NULL, 0},
        {"h:7x", NULL, 0},
        {"h:+7", NULL, 0},
        {"a b:7", NULL, 0},
        {"a,b:7", NULL, 0},
        {"/tmp/s:7", NULL, 0},
        {"a\n:7", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char host[CLUSTER_HOST_CAP] = "";
        int port = 0;
        bool is_address = cluster_split_address(slice_of(cases[i].text), host, &port);
        EXPECT_NOTE(is_address == (cases[i].host != NULL), "%s", cases[i].text);
        if (is_address)
            EXPECT_NOTE(strcmp(host, cases[i].host) == 0 && port == cases[i].port, "%s", cases[i].text);
    }
}

TEST(a_host_that_is_too_long_is_no_address) {
    char text[300], host[CLUSTER_HOST_CAP], joined[CLUSTER_ADDRESS_CAP];
    int port;
    for (int len = 100; len < 200; len++) {
        memset(text, 'h', (size_t)len);
        snprintf(text + len, sizeof text - (size_t)len, ":65535");
        EXPECT(cluster_split_address(slice_of(text), host, &port) == (len < CLUSTER_HOST_CAP));
        EXPECT(cluster_join_address(slice_make(text, (size_t)len), 65535, joined) ==
               (len + 6 < CLUSTER_ADDRESS_CAP));
    }
}

TEST(addresses_are_joined_with_brackets_where_they_are_needed) {
    char out[CLUSTER_ADDRESS_CAP];
    EXPECT(cluster_join_address(SLICE("10.0.0.1"), 7000, out) && strcmp(out, "10.0.0.1:7000") == 0);
    EXPECT(cluster_join_address(SLICE("::1"), 7000, out) && strcmp(out, "[::1]:7000") == 0);
    EXPECT(cluster_join_address(SLICE("[::1]"), 7000, out) && strcmp(out, "[::1]:7000") == 0);
    EXPECT(!cluster_join_address(SLICE("10.0.0.1"), 0, out));
    EXPECT(!cluster_join_address(SLICE("10.0.0.1"), 65536, out));
    EXPECT(!cluster_join_address(SLICE(""), 7000, out));
    EXPECT(!cluster_join_address(SLICE("a b"), 7000, out));
}

/* --- who is what --- */

static struct cluster_view view;

static const struct cluster_view *view_of(const struct cluster_state *s) {
    cluster_view(s, "127.0.0.1", 6379, 15000, &view);
    return &view;
}

TEST(the_leader_is_the_master_and_comes_first) {
    struct cluster_state s = state_of_three();
    const struct cluster_view *v = view_of(&s);
    EXPECT(v->has_master && v->count == 3);
    EXPECT(v->nodes[0].is_master && v->nodes[0].member->id == 2 && v->self == &v->nodes[0]);
    EXPECT(v->nodes[1].member->id == 1 && cluster_is_replica(&v->nodes[1]));
    EXPECT(v->nodes[2].member->id == 3 && cluster_is_replica(&v->nodes[2]));
    EXPECT(!cluster_is_replica(&v->nodes[0]));
    EXPECT(strcmp(v->nodes[2].host, "10.0.0.3") == 0 && v->nodes[2].port == 7000);
    EXPECT(cluster_view_find(v, 3) == &v->nodes[2] && cluster_view_find(v, 4) == NULL);
}

TEST(during_an_election_the_last_leader_stands) {
    struct cluster_state s = state_of_three();
    s.leader_id = 0;
    s.is_leader = false;
    s.last_leader_id = 3;
    s.members[2].is_connected = false; /* it is gone, which is why there is an election */
    s.members[2].heard_ms_ago = 60000;
    const struct cluster_view *v = view_of(&s);
    EXPECT(v->has_master && v->nodes[0].member->id == 3 && v->nodes[0].is_master && !v->nodes[0].is_failing);
}

TEST(without_any_leader_ever_there_is_no_master) {
    struct cluster_state s = state_of_three();
    s.leader_id = s.last_leader_id = 0;
    EXPECT(!view_of(&s)->has_master && view.count == 3 && !view.nodes[0].is_master);
    s.last_leader_id = 9; /* one that has left the cluster meanwhile */
    EXPECT(!view_of(&s)->has_master);
}

TEST(learners_are_no_replicas) {
    struct cluster_state s = state_of_three();
    s.members[0].seat = CLUSTER_LEARNER;
    s.members[2].seat = CLUSTER_LEAVING;
    const struct cluster_view *v = view_of(&s);
    EXPECT(v->nodes[1].is_learner && !cluster_is_replica(&v->nodes[1]));
    EXPECT(cluster_is_replica(&v->nodes[2]));
}

TEST(who_is_out_of_reach_for_long_is_failing) {
    struct cluster_state s = state_of_three();
    s.members[0].is_connected = false;
    s.members[0].heard_ms_ago = 14999;
    EXPECT(!view_of(&s)->nodes[1].is_failing);
    s.members[0].heard_ms_ago = 15000;
    EXPECT(view_of(&s)->nodes[1].is_failing && !cluster_is_replica(&view.nodes[1]));
    s.members[0].is_connected = true;
    EXPECT(!view_of(&s)->nodes[1].is_failing);
}

TEST(only_a_leader_concludes_from_never_having_heard_of_somebody) {
    struct cluster_state s = state_of_three();
    s.members[0].is_connected = false;
    s.members[0].heard_ms_ago = -1;
    EXPECT(view_of(&s)->nodes[1].is_failing);
    s.is_leader = false;
    s.leader_id = 3;
    EXPECT(!view_of(&s)->nodes[1].is_failing);
}

TEST(a_node_that_does_not_know_its_address_has_the_one_it_was_reached_by) {
    struct cluster_state s = {.node_id = 7, .leader_id = 7, .is_leader = true, .member_count = 1};
    s.members[0] = (struct cluster_member){.id = 7, .is_self = true, .is_connected = true};
    EXPECT(view_of(&s)->has_master);
    EXPECT(strcmp(view.nodes[0].host, "127.0.0.1") == 0 && view.nodes[0].port == 6379);
}

TEST(a_node_that_is_no_member_has_no_self) {
    struct cluster_state s = state_of_three();
    s.members[1].is_self = false;
    s.removed = true;
    EXPECT(view_of(&s)->self == NULL);
}

static void check_normal(const char *text, const char *expected) {
    char out[CLUSTER_ADDRESS_CAP] = "untouched";
    bool is_one = cluster_normal_address(slice_of(text), out);
    EXPECT(is_one == (expected != NULL));
    EXPECT(strcmp(out, expected != NULL ? expected : "untouched") == 0);
}

TEST(an_address_may_say_where_peers_are_when_that_does_not_follow_from_it) {
    check_normal("a.example:6379", "a.example:6379");
    check_normal("a.example:6379@7000", "a.example:6379@7000");
    check_normal("a.example:6379@16379", "a.example:6379");
    check_normal("::1:6379@7", "[::1]:6379@7");
    check_normal("a.example:6379@", NULL);
    check_normal("a.example:6379@0", NULL);
    check_normal("a.example:6379@65536", NULL);
    check_normal("a.example@7000", NULL);
    check_normal("", NULL);
}

TEST_MAIN
