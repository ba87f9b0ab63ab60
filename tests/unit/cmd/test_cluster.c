/* What clients are told of the cluster: CLUSTER, SENTINEL, ROLE, INFO, the gates of a node that does not lead, and the
 * requests that reach the host. Shapes are Redis 7.0's. Nodes 1, 2 and 3 are at 10.0.0.<id>:7000. */
#include "cmd_block.h"

#include "server_support.h"

#define NAME(digit) "000000000000000" digit "00112233445566778899aabb"

/* Three voters that all see each other. */
static struct session *cluster_open(uint64_t self, uint64_t leader) {
    server_open();
    struct cluster_state *s = &world.cluster;
    s->node_id = self;
    s->leader_id = s->last_leader_id = leader;
    s->is_leader = self == leader;
    s->applied_index = 40;
    s->member_count = 3;
    for (uint64_t id = 1; id <= 3; id++) {
        struct cluster_member *m = &s->members[id - 1];
        *m = (struct cluster_member){
            .id = id, .is_self = id == self, .is_connected = true, .heard_ms_ago = id == self ? 0 : 1500};
        snprintf(m->address, sizeof m->address, "10.0.0.%d:7000", (int)id);
        if (self != leader) continue;
        m->match_index = 38 + id;
        m->progress = CLUSTER_REPLICATE;
    }
    desk.server.leadership = s->is_leader ? LEADERSHIP_HERE : LEADERSHIP_THERE;
    snprintf(desk.server.leader_address, sizeof desk.server.leader_address, "10.0.0.%d:7000", (int)leader);
    return client_open("127.0.0.1:1");
}

static void lose_leader(void) {
    world.cluster.leader_id = 0;
    world.cluster.is_leader = false;
    desk.server.leadership = LEADERSHIP_NOBODY;
}

static void cluster_mode(void) {
    desk.server.config.cluster_enabled = true;
}

/* --- maps --- */

TEST(the_leader_has_all_slots_and_the_others_are_its_replicas) {
    struct session *s = cluster_open(1, 2);
    client_check(s, "cluster slots",
                 "*1 *5 :0 :16383 *4 $8 10.0.0.2 :7000 $40 " NAME("2") " *0 *4 $8 10.0.0.1 :7000 $40 " NAME(
                     "1") " *0 *4 $8 10.0.0.3 :7000 $40 " NAME("3") " *0");
    s->resp = 3;
    world.cluster.member_count = 2;
    client_check(s, "cluster slots",
                 "*1 *4 :0 :16383 *4 $8 10.0.0.2 :7000 $40 " NAME("2") " %0 *4 $8 10.0.0.1 :7000 $40 " NAME(
                     "1") " %0");
    server_close();
}

TEST(maps_stand_while_there_is_no_leader) {
    struct session *s = cluster_open(1, 2);
    char before[1024];
    snprintf(before, sizeof before, "%s", client_run(s, "cluster slots"));
    lose_leader();
    client_check(s, "cluster slots", before);
    client_check_has(s, "cluster nodes", NAME("2") " 10.0.0.2:7000@17000 master - ");
    world.cluster.last_leader_id = 0; /* there never was one */
    client_check(s, "cluster slots", "*0");
    client_check(s, "cluster shards", "*0");
    server_close();
}

TEST(replicas_that_fail_and_learners_are_not_offered) {
    struct session *s = cluster_open(1, 2);
    world.cluster.members[0].seat = CLUSTER_LEARNER;
    world.cluster.members[2].is_connected = false;
    world.cluster.members[2].heard_ms_ago = 15000;
    client_check(s, "cluster slots", "*1 *3 :0 :16383 *4 $8 10.0.0.2 :7000 $40 " NAME("2") " *0");
    client_check_has(s, "cluster nodes", " myself,slave,nofailover ");
    client_check_has(s, "cluster nodes", " slave,fail? " NAME("2") " 0 ");
    client_check_has(s, "cluster nodes", " disconnected\n");
    client_check_has(s, "cluster shards", "$6 health $4 fail");
    client_check(s, "cluster count-failure-reports " NAME("3"), ":1");
    client_check(s, "cluster count-failure-reports " NAME("2"), ":0");
    server_close();
}

TEST(shards) {
    struct session *s = cluster_open(2, 2);
    world.cluster.member_count = 2;
    client_check(
        s, "cluster shards",
        "*1 *4 $5 slots *2 :0 :16383 $5 nodes *2 "
        "*14 $2 id $40 " NAME(
            "2") " $4 port :7000 $2 ip $8 10.0.0.2 $8 endpoint $8 10.0.0.2 $4 role $6 master "
                 "$18 replication-offset :42 $6 health $6 online "
                 "*14 $2 id $40 " NAME(
                     "1") " $4 port :7000 $2 ip $8 10.0.0.1 $8 endpoint $8 10.0.0.1 $4 role $7 replica "
                          "$18 replication-offset :39 $6 health $6 online");
    s->resp = 3;
    client_check_has(s, "cluster shards", "*1 %2 $5 slots *2 :0 :16383 $5 nodes *2 %7 $2 id ");
    server_close();
}

TEST(nodes_are_lines) {
    struct session *s = cluster_open(1, 2);
    desk.now_ms = INT64_C(1700000001500);
    client_check(
        s, "cluster nodes",
        "$373 " NAME("2") " 10.0.0.2:7000@17000 master - 0 1700000000000 7 connected 0-16383\n" NAME(
            "1") " 10.0.0.1:7000@17000 myself,slave " NAME("2") " 0 0 7 connected\n" NAME("3") " 10.0.0.3:"
                                                                                               "7000@17000 "
                                                                                               "slave " NAME(
                                                                                                   "2") " 0 "
                                                                                                        "1700"
                                                                                                        "0000"
                                                                                                        "0000"
                                                                                                        "0 7 "
                                                                                                        "conn"
                                                                                                        "ecte"
                                                                                                        "d"
                                                                                                        "\n");
    client_check(
        s, "cluster replicas " NAME("2"),
        "*2 $130 " NAME("1") " 10.0.0.1:7000@17000 myself,slave " NAME("2") " 0 0 7 connected $135 " NAME(
            "3") " 10.0.0.3:7000@17000 slave " NAME("2") " 0 1700000000000 7 connected");
    client_check_has(s, "cluster slaves 0000000000000002", "*2 $130 ");
    client_check(s, "cluster replicas " NAME("1"), "-ERR The specified node is not a master");
    client_check(s, "cluster replicas abc", "-ERR Unknown node abc");
    s->resp = 3;
    client_check_has(s, "cluster nodes", "=377 txt:" NAME("2"));
    server_close();
}

TEST(a_node_outside_of_a_cluster_says_who_it_is) {
    struct session *s = cluster_open(1, 2);
    world.cluster.member_count = 0;
    world.cluster.leader_id = world.cluster.last_leader_id = 0;
    world.cluster.joining = true;
    client_check_has(s, "cluster nodes", NAME("1") " :6379@16379 myself,slave,noaddr - 0 0 7 connected\n");
    client_check_has(s, "cluster info", "cluster_state:fail cluster_slots_assigned:0 ");
    client_check(s, "cluster slots", "*0");
    client_check(s, "role", "*5 $5 slave $0  :0 $7 connect :40");
    client_check_has(s, "info raft", "raft_state:joining ");
    server_close();
}

TEST(info_of_the_cluster) {
    struct session *s = cluster_open(1, 2);
    world.cluster.messages_sent = 11;
    world.cluster.messages_received = 12;
    client_check(
        s, "cluster info",
        "$314 cluster_state:ok cluster_slots_assigned:16384 cluster_slots_ok:16384 cluster_slots_pfail:0 "
        "cluster_slots_fail:0 cluster_known_nodes:3 cluster_size:1 cluster_current_epoch:7 "
        "cluster_my_epoch:7 "
        "cluster_stats_messages_sent:11 cluster_stats_messages_received:12 "
        "total_cluster_links_buffer_limit_exceeded:0 ");
    lose_leader();
    client_check_has(
        s, "cluster info",
        "cluster_state:fail cluster_slots_assigned:16384 cluster_slots_ok:0 cluster_slots_pfail:16384 ");
    server_close();
}

TEST(endpoints_of_other_types) {
    struct session *s = cluster_open(1, 1);
    world.cluster.member_count = 1;
    cluster_mode();
    client_check(s, "config set cluster-announce-hostname a.b", "+OK");
    client_check(s, "cluster slots",
                 "*1 *3 :0 :16383 *4 $8 10.0.0.1 :7000 $40 " NAME("1") " *2 $8 hostname $3 a.b");
    client_check(s, "config set cluster-preferred-endpoint-type hostname", "+OK");
    client_check(s, "cluster slots",
                 "*1 *3 :0 :16383 *4 $3 a.b :7000 $40 " NAME("1") " *2 $2 ip $8 10.0.0.1");
    client_check(s, "config set cluster-preferred-endpoint-type unknown-endpoint", "+OK");
    client_check(s, "cluster slots",
                 "*1 *3 :0 :16383 *4 $-1 :7000 $40 " NAME("1") " *4 $2 ip $8 10.0.0.1 $8 hostname $3 a.b");
    client_check_has(s, "cluster shards", "$8 endpoint $0  $8 hostname $3 a.b $4 role ");
    client_check_has(s, "cluster nodes", " 10.0.0.1:7000@17000,a.b myself,master ");
    server_close();
}

TEST(links_are_those_that_work) {
    struct session *s = cluster_open(1, 2);
    world.cluster.members[2].is_connected = false;
    client_check(s, "cluster links",
                 "*1 *12 $9 direction $2 to $4 node $40 " NAME(
                     "2") " $11 create-time :1700000000000 $6 events $2 rw $21 "
                          "send-buffer-allocated :0 $16 send-buffer-used :0");
    server_close();
}

/* --- a node alone --- */

TEST(a_node_alone_looks_like_redis_without_cluster_mode) {
    static const char *const commands[] = {
        "cluster info",
        "cluster nodes",
        "cluster slots",
        "cluster shards",
        "cluster links",
        "cluster keyslot a",
        "cluster countkeysinslot 1",
        "cluster getkeysinslot 1 1",
        "cluster replicas a",
        "cluster reset",
        "cluster addslots 1",
        "cluster setslot 1 stable",
        "cluster saveconfig",
        "cluster bumpepoch",
        "cluster set-config-epoch 1",
        "cluster flushslots",
        "cluster replicate a",
        "readonly",
        "readwrite",
        "asking",
    };
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        client_check(s, commands[i], "-ERR This instance has cluster support disabled");
    client_check(s, "cluster myid", "$40 " NAME("1"));
    client_check(s, "cluster meet 10.0.0.2 7000", "+OK"); /* and yet it can grow */
    cluster_mode();
    /* It shows the address by which it was reached, having no other. */
    client_check(s, "cluster slots", "*1 *3 :0 :16383 *4 $9 127.0.0.1 :6379 $40 " NAME("1") " *0");
    client_check(s, "readonly", "+OK");
    client_check(s, "config set cluster-announce-ip 1.2.3.4 cluster-announce-port 5", "+OK");
    client_check(s, "cluster slots", "*1 *3 :0 :16383 *4 $7 1.2.3.4 :5 $40 " NAME("1") " *0");
    server_close();
}

TEST(a_client_on_a_unix_socket_is_told_no_host) {
    server_open();
    struct session *s = client_open("/tmp/s:0");
    s->unix_socket = true;
    snprintf(s->local, sizeof s->local, "/tmp/s:0");
    cluster_mode();
    client_check(s, "cluster slots", "*1 *3 :0 :16383 *4 $0  :6379 $40 " NAME("1") " *0");
    server_close();
}

/* --- slots and keys --- */

TEST(keys_of_a_slot) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    cluster_mode();
    client_check(s, "mset {a}1 x {a}2 x b x", "+OK");
    client_check(s, "cluster keyslot {a}1", ":15495");
    client_check(s, "cluster keyslot b", ":3300");
    client_check(s, "cluster countkeysinslot 15495", ":2");
    client_check(s, "cluster countkeysinslot 3300", ":1");
    client_check(s, "cluster countkeysinslot 3299", ":0");
    client_check(s, "cluster countkeysinslot 16383", ":0");
    client_check(s, "cluster countkeysinslot 16384", "-ERR Invalid slot");
    client_check(s, "cluster countkeysinslot x", "-ERR value is not an integer or out of range");
    client_check(s, "cluster getkeysinslot 3300 10", "*1 $1 b");
    client_check_has(s, "cluster getkeysinslot 15495 1", "*1 $4 {a}");
    client_check(s, "cluster getkeysinslot 15495 0", "*0");
    client_check(s, "cluster getkeysinslot 3300 -1", "-ERR Invalid slot or number of keys");
    for (int i = 0; i < 3000; i++) { /* more than one step of the walk */
        char line[64];
        snprintf(line, sizeof line, "set {a}%d x", i);
        client_run(s, line);
    }
    client_check(s, "cluster countkeysinslot 15495", ":3000");
    server_close();
}

TEST(slots_stay_where_they_are) {
    struct session *s = cluster_open(1, 2);
    client_check(s, "cluster addslots 5", "-ERR Slot 5 is already busy");
    client_check(s, "cluster addslots 5 x", "-ERR Invalid or out of range slot");
    client_check(s, "cluster addslotsrange 1 2", "-ERR Slot 1 is already busy");
    client_check(s, "cluster addslotsrange 1 2 3",
                 "-ERR wrong number of arguments for 'cluster|addslotsrange' command");
    client_check(s, "cluster delslotsrange 2 1",
                 "-ERR start slot number 2 is greater than end slot number 1");
    client_check_has(s, "cluster delslots 5", "-ERR all slots belong to the leader");
    client_check_has(s, "cluster flushslots", "-ERR all slots belong to the leader");
    client_check(s, "cluster setslot 5 stable", "+OK");
    client_check(s, "cluster setslot 5 node " NAME("2"), "+OK");
    client_check_has(s, "cluster setslot 5 node " NAME("1"), "-ERR all slots belong to the leader");
    client_check_has(s, "cluster setslot 5 migrating " NAME("2"), "-ERR all slots belong to the leader");
    client_check(s, "cluster setslot 5 node x", "-ERR Unknown node x");
    client_check(s, "cluster setslot 5 migrating",
                 "-ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");
    client_check(s, "cluster setslot 16384 stable", "-ERR Invalid or out of range slot");
    client_check(s, "cluster replicate " NAME("2"), "+OK");
    client_check(s, "cluster replicate " NAME("1"), "-ERR Can't replicate myself");
    client_check(s, "cluster replicate " NAME("3"), "-ERR I can only replicate a master, not a replica.");
    client_check(s, "cluster bumpepoch", "+STILL 7");
    client_check(s, "cluster saveconfig", "+OK");
    client_check_has(s, "cluster reset", "-ERR a node leaves its cluster by CLUSTER FORGET");
    client_check(s, "cluster reset x", "-ERR syntax error");
    client_check_has(s, "cluster set-config-epoch 1", "-ERR the epoch is Raft's term");
    EXPECT_EQ_INT(world.requests, 0);
    server_close();
}

TEST(hello_tells_the_role) {
    struct session *s = cluster_open(1, 2);
    cluster_mode();
    client_check_has(s, "hello 3", "$4 mode $7 cluster $4 role $7 replica ");
    server_close();
    s = cluster_open(2, 2);
    client_check_has(s, "hello 3", "$4 mode $10 standalone $4 role $6 master ");
    server_close();
}

/* --- who is master: ROLE, INFO, SENTINEL --- */

TEST(role_of_a_leader_and_of_a_follower) {
    struct session *s = cluster_open(2, 2);
    client_check(s, "role", "*3 $6 master :42 *2 *3 $8 10.0.0.1 $4 7000 $2 39 *3 $8 10.0.0.3 $4 7000 $2 41");
    world.cluster.members[0].seat = CLUSTER_LEARNER;
    world.cluster.members[2].is_connected = false;
    client_check(s, "role", "*3 $6 master :42 *0");
    server_close();
    s = cluster_open(1, 2);
    client_check(s, "role", "*5 $5 slave $8 10.0.0.2 :7000 $9 connected :40");
    lose_leader();
    client_check(s, "role", "*5 $5 slave $8 10.0.0.2 :7000 $7 connect :40");
    server_close();
}

/* Two that call themselves master confuse clients, and a deposed leader does not know of the next one yet. */
TEST(a_deposed_leader_calls_itself_master_no_more) {
    struct session *s = cluster_open(2, 2);
    lose_leader();
    client_check(s, "role", "*5 $5 slave $0  :0 $7 connect :40");
    client_check_has(
        s, "info replication",
        "role:slave master_host: master_port:0 master_link_status:down master_last_io_seconds_ago:-1 ");
    client_check(s, "sentinel get-master-addr-by-name x", "*-1");
    server_close();
}

TEST(a_node_alone_is_a_master_before_it_has_elected_itself) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    lose_leader();
    client_check(s, "role", "*3 $6 master :42 *0");
    client_check_has(s, "info replication", "role:master connected_slaves:0 ");
    server_close();
}

TEST(info_replication) {
    struct session *s = cluster_open(2, 2);
    world.cluster.members[2].progress = CLUSTER_SNAPSHOT;
    client_check_has(
        s, "info replication",
        "role:master connected_slaves:2 slave0:ip=10.0.0.1,port=7000,state=online,offset=39,lag=1 "
        "slave1:ip=10.0.0.3,port=7000,state=send_bulk,offset=41,lag=1 master_failover_state:no-failover "
        "master_replid:00112233445566778899aabbccddeeff00000000 ");
    client_check_has(s, "info replication", "master_repl_offset:42 ");
    world.cluster.members[2].progress = CLUSTER_PROBE;
    world.cluster.members[0].is_connected = false;
    client_check_has(s, "info replication",
                     "connected_slaves:1 slave0:ip=10.0.0.3,port=7000,state=wait_bgsave,offset=41,lag=1 ");
    server_close();
    s = cluster_open(1, 2);
    client_check_has(
        s, "info replication",
        "role:slave master_host:10.0.0.2 master_port:7000 master_link_status:up "
        "master_last_io_seconds_ago:1 master_sync_in_progress:0 slave_read_repl_offset:42 "
        "slave_repl_offset:40 slave_priority:100 slave_read_only:1 replica_announced:1 connected_slaves:0 ");
    client_check_has(s, "info replication", "master_replid:00112233445566778899aabbccddeeff00000000 ");
    server_close();
}

TEST(info_raft_lists_members) {
    struct session *s = cluster_open(2, 2);
    world.cluster.members[2].seat = CLUSTER_LEARNER;
    world.cluster.members[2].progress = CLUSTER_PROBE;
    client_check_has(s, "info raft", "raft_cluster_id:00112233445566778899aabbccddeeff ");
    client_check_has(s, "info raft", "raft_leader_address:10.0.0.2:7000 ");
    client_check_has(
        s, "info raft",
        "raft_members:3 raft_member0:id=0000000000000001,addr=10.0.0.1:7000,seat=voter,role=follower,"
        "self=0,connected=1,heard_ms=1500,match=39,lag=0,state=replicate raft_member1:id=0000000000000002,");
    client_check_has(
        s, "info raft",
        "seat=learner,role=follower,self=0,connected=1,heard_ms=1500,match=41,lag=0,state=probe ");
    server_close();
    s = cluster_open(1, 2);
    client_check_has(
        s, "info raft",
        "raft_member1:id=0000000000000002,addr=10.0.0.2:7000,seat=voter,role=leader,self=0,connected=1,"
        "heard_ms=1500 raft_member2:");
    server_close();
}

TEST(sentinel_clients_find_the_leader) {
    struct session *s = cluster_open(1, 2);
    client_check(s, "sentinel get-master-addr-by-name any", "*2 $8 10.0.0.2 $4 7000");
    client_check_has(s, "sentinel master any",
                     "*40 $4 name $3 any $2 ip $8 10.0.0.2 $4 port $4 7000 $5 runid $40 " NAME(
                         "2") " $5 flags $6 master ");
    client_check_has(s, "sentinel master any",
                     "$10 num-slaves $1 2 $19 num-other-sentinels $1 2 $6 quorum $1 2 ");
    client_check_has(s, "sentinel masters", "*1 *40 $4 name $8 mymaster ");
    client_check(s, "config set sentinel-master-name \" a  bc \"", "+OK");
    client_check_has(s, "sentinel masters", "*2 *40 $4 name $1 a $2 ip ");
    client_check_has(s, "sentinel masters", " *40 $4 name $2 bc $2 ip ");
    client_check_has(s, "sentinel replicas any", "*2 *42 $4 name $13 10.0.0.1:7000 $2 ip $8 10.0.0.1 ");
    client_check_has(s, "sentinel slaves any", "$11 master-host $8 10.0.0.2 $11 master-port $4 7000 ");
    client_check_has(s, "sentinel sentinels any", "*2 *28 $4 name $40 " NAME("2") " $2 ip $8 10.0.0.2 ");
    client_check(s, "sentinel ckquorum any",
                 "+OK 3 usable Sentinels. Quorum and failover authorization can be reached");
    client_check(s, "sentinel myid", "$40 " NAME("1"));
    s->resp = 3;
    client_check_has(s, "sentinel master any", "%20 $4 name ");
    client_check_has(s, "sentinel replicas any", "*2 %21 $4 name ");
    client_check_has(s, "sentinel sentinels any", "*2 %14 $4 name ");
    server_close();
}

TEST(without_a_leader_there_is_no_master_for_sentinel_clients) {
    struct session *s = cluster_open(1, 2);
    lose_leader();
    client_check(s, "sentinel get-master-addr-by-name any", "*-1");
    client_check(s, "sentinel masters", "*0");
    client_check(s, "sentinel master any", "-ERR No such master with that name");
    client_check(s, "sentinel replicas any", "-ERR No such master with that name");
    client_check(s, "sentinel sentinels any", "-ERR No such master with that name");
    client_check(s, "sentinel ckquorum any", "-NOQUORUM 3 usable Sentinels. No leader has been elected");
    s->resp = 3;
    client_check(s, "sentinel get-master-addr-by-name any", "_");
    server_close();
}

TEST(replicas_out_of_reach_are_down_for_sentinel_clients) {
    struct session *s = cluster_open(2, 2);
    world.cluster.members[0].is_connected = false;
    world.cluster.members[0].heard_ms_ago = 20000;
    world.cluster.members[2].seat = CLUSTER_LEARNER;
    client_check_has(s, "sentinel replicas any", "*1 *42 $4 name $13 10.0.0.1:7000 ");
    client_check_has(s, "sentinel replicas any", "$5 flags $25 s_down,slave,disconnected ");
    client_check_has(s, "sentinel replicas any", "$18 master-link-status $3 err ");
    client_check_has(s, "sentinel sentinels any", "$5 flags $28 s_down,sentinel,disconnected ");
    server_close();
}

TEST(wait_counts_who_has_it) {
    struct session *s = cluster_open(2, 2);
    struct cmd_wait wait = {0};
    world.replicas = 1;
    client_check(s, "wait 0 0", ":1");
    client_check(s, "wait 1 0", ":1");
    client_check(s, "wait 2 0", ":1"); /* nobody can wait here */
    world.wait = &wait;
    client_check(s, "wait 1 0", ":1");
    EXPECT(!wait.waits);
    client_check(s, "wait 2 100", "");
    EXPECT(wait.waits);
    EXPECT_EQ_INT(wait.replicas, 2);
    EXPECT_EQ_INT(wait.timeout_ms, 100);
    world.replicas = 2;
    client_check(s, "wait 2 100", ":2");
    client_check(s, "wait x 100", "-ERR value is not an integer or out of range");
    client_check(s, "wait 1 x", "-ERR timeout is not an integer or out of range");
    client_check(s, "wait 1 -1", "-ERR timeout is negative");
    world.wait = NULL;
    server_close();
}

/* --- whatever a node knows, its answers agree with each other --- */

static void random_state(struct rng *rng) {
    struct cluster_state *s = &world.cluster;
    *s = (struct cluster_state){.cluster_id = "00112233445566778899aabbccddeeff",
                                .node_id = 1 + rng_next(rng) % 6};
    s->member_count = rng_next(rng) % 6;
    s->leader_id = rng_next(rng) % 7; /* nobody, a member, or one that is no member (yet) */
    s->last_leader_id = s->leader_id != 0 ? s->leader_id : rng_next(rng) % 7;
    s->is_leader = s->leader_id == s->node_id;
    for (size_t i = 0; i < s->member_count; i++) {
        struct cluster_member *m = &s->members[i];
        *m = (struct cluster_member){.id = i + 1,
                                     .seat = (enum cluster_seat)(rng_next(rng) % 4),
                                     .is_self = i + 1 == s->node_id,
                                     .is_connected = i + 1 == s->node_id || rng_next(rng) % 2 == 0,
                                     .heard_ms_ago = (int64_t)(rng_next(rng) % 30000) - 1,
                                     .match_index = rng_next(rng) % 50,
                                     .progress = (enum cluster_progress)(rng_next(rng) % 4)};
        snprintf(m->address, sizeof m->address, "10.0.0.%d:%d", (int)m->id, 7000 + (int)m->id);
    }
}

static int occurrences(const char *text, const char *part) {
    int count = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part)) count++;
    return count;
}

static void check_agreement(struct session *c, uint64_t seed) {
    const struct cluster_state *s = &world.cluster;
    char role[1024], slots[2048], nodes[2048], port[32];
    snprintf(role, sizeof role, "%s", client_run(c, "role"));
    snprintf(slots, sizeof slots, "%s", client_run(c, "cluster slots"));
    snprintf(nodes, sizeof nodes, "%s", client_run(c, "cluster nodes"));
    bool is_master = strncmp(role, "*3 $6 master ", 13) == 0;
    bool knows_leader = s->leader_id >= 1 && s->leader_id <= s->member_count;
    EXPECT_NOTE(is_master || strncmp(role, "*5 $5 slave ", 12) == 0, "seed %" PRIu64, seed);
    client_check_has(c, "info replication", is_master ? "role:master " : "role:slave ");
    EXPECT_NOTE(!is_master || s->is_leader || s->member_count == 1, "seed %" PRIu64, seed);
    EXPECT_NOTE(occurrences(nodes, "myself,") == 1, "seed %" PRIu64 ": %s", seed, nodes);
    EXPECT_NOTE(occurrences(nodes, " 0-16383\n") == (strcmp(slots, "*0") != 0), "seed %" PRIu64, seed);
    /* Whoever asks in the way of sentinels' clients finds whom the others find. */
    snprintf(port, sizeof port, "$4 %d", 7000 + (int)s->leader_id);
    const char *master = client_run(c, "sentinel get-master-addr-by-name x");
    EXPECT_NOTE((strcmp(master, "*-1") != 0) == knows_leader, "seed %" PRIu64 ": %s", seed, master);
    if (!knows_leader) return;
    EXPECT_NOTE(strstr(master, port) != NULL, "seed %" PRIu64 ": %s", seed, master);
    snprintf(port, sizeof port, " :%d ", 7000 + (int)s->leader_id);
    const char *first = strstr(slots, " *4 $8 10.0.0.");
    EXPECT_NOTE(first != NULL && strncmp(first + 15, port, 7) == 0, "seed %" PRIu64 ": %s", seed, slots);
    if (!is_master) EXPECT_NOTE(strstr(role, port) != NULL, "seed %" PRIu64 ": %s", seed, role);
    if (is_master && s->member_count > 1)
        EXPECT_NOTE(s->leader_id == s->node_id, "seed %" PRIu64 ": two masters", seed);
}

TEST(answers_agree) {
    uint64_t seed = test_seed();
    server_open();
    struct session *c = client_open("127.0.0.1:1");
    cluster_mode();
    for (int i = 0, rounds = test_rounds(2000); i < rounds; i++) {
        struct rng rng = {seed + (uint64_t)i};
        random_state(&rng);
        check_agreement(c, seed + (uint64_t)i);
    }
    server_close();
}

/* --- the gates of a node that does not lead --- */

TEST(a_follower_forwards_what_is_for_the_leader) {
    static const struct {
        const char *line;
        enum gate gate;
    } cases[] = {
        {"set k v", GATE_FORWARD},
        {"get k", GATE_FORWARD},
        {"mset a 1 b 2", GATE_FORWARD},
        {"dbsize", GATE_FORWARD},
        {"keys *", GATE_FORWARD},
        {"scan 0", GATE_FORWARD},
        {"randomkey", GATE_FORWARD},
        {"flushall", GATE_FORWARD},
        {"object encoding k", GATE_FORWARD},
        {"memory usage k", GATE_FORWARD},
        {"wait 1 1", GATE_FORWARD},
        {"swapdb 0 1", GATE_FORWARD},
        {"function flush", GATE_FORWARD},
        {"cluster meet a 1", GATE_FORWARD},
        {"cluster forget a", GATE_FORWARD},
        {"cluster countkeysinslot 1", GATE_FORWARD},
        {"cluster getkeysinslot 1 1", GATE_FORWARD},
        {"raft.node add auto h:1", GATE_FORWARD},
        {"raft.node remove h:1", GATE_FORWARD},
        {"raft.transfer_leader", GATE_FORWARD},
        {"sentinel failover x", GATE_FORWARD},
        {"failover", GATE_FORWARD},
        {"ping", GATE_RUN_NOW},
        {"echo x", GATE_RUN_NOW},
        {"select 1", GATE_RUN_NOW},
        {"hello 3", GATE_RUN_NOW},
        {"client id", GATE_RUN_NOW},
        {"command count", GATE_RUN_NOW},
        {"info", GATE_RUN},
        {"config get port", GATE_RUN},
        {"role", GATE_RUN},
        {"time", GATE_RUN},
        {"cluster nodes", GATE_RUN},
        {"cluster slots", GATE_RUN},
        {"cluster failover", GATE_RUN_ALONE},
        {"raft.cluster init", GATE_RUN_ALONE},
        {"sentinel masters", GATE_RUN},
        {"slowlog len", GATE_RUN},
        {"latency latest", GATE_RUN},
        {"memory doctor", GATE_RUN},
        {"debug digest", GATE_RUN_ALONE},
        {"lastsave", GATE_RUN},
        {"get", GATE_REFUSED},
        {"nosuch", GATE_REFUSED},
    };
    struct session *s = cluster_open(1, 2);
    desk.server.config.enable_debug_command = GUARD_YES;
    desk.server.refuse_writes = true; /* this node's disk is not the leader's */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        client_run(s, cases[i].line);
        EXPECT_NOTE(world.gate == cases[i].gate, "%s: %d, want %d", cases[i].line, world.gate, cases[i].gate);
    }
    lose_leader();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum gate want = cases[i].gate == GATE_FORWARD ? GATE_NO_LEADER : cases[i].gate;
        client_run(s, cases[i].line);
        EXPECT_NOTE(world.gate == want, "%s: %d, want %d", cases[i].line, world.gate, want);
    }
    server_close();
}

TEST(cluster_clients_are_sent_to_the_leader) {
    struct session *s = cluster_open(1, 2);
    cluster_mode();
    client_check(s, "set a v", "-MOVED 15495 10.0.0.2:7000");
    client_check(s, "get {a}b", "-MOVED 15495 10.0.0.2:7000");
    client_check(s, "mget b a", "-MOVED 3300 10.0.0.2:7000"); /* one group has all slots: none is crossed */
    client_check(s, "object encoding a", "-MOVED 15495 10.0.0.2:7000");
    client_check(s, "readonly", "+OK");
    client_check(s, "get a", "-MOVED 15495 10.0.0.2:7000"); /* no stale read, not even to whom asks for one */
    client_check_has(s, "info errorstats", "errorstat_MOVED:count=5 ");
    client_run(s, "dbsize"); /* has no slot */
    EXPECT_EQ_INT(world.gate, GATE_FORWARD);
    strcpy(desk.server.leader_address, "[::1]:7000");
    client_check(s, "get a", "-MOVED 15495 ::1:7000"); /* as Redis writes it */
    client_check(s, "config set cluster-preferred-endpoint-type unknown-endpoint", "+OK");
    client_check(s, "get a", "-MOVED 15495 :7000");
    desk.server.leader_address[0] = '\0'; /* elected, and nobody knows where it is */
    client_run(s, "get a");
    EXPECT_EQ_INT(world.gate, GATE_NO_LEADER);
    lose_leader();
    client_run(s, "get a");
    EXPECT_EQ_INT(world.gate, GATE_NO_LEADER);
    server_close();
}

TEST(a_leader_moves_nobody) {
    struct session *s = cluster_open(2, 2);
    cluster_mode();
    client_check(s, "set a v", "+OK");
    client_check(s, "get a", "$1 v");
    server_close();
}

TEST(a_removed_node_says_so) {
    struct session *s = cluster_open(1, 2);
    desk.server.leadership = LEADERSHIP_REMOVED;
    world.cluster.removed = true;
    client_check(s, "set a v", "-CLUSTERDOWN this node was removed from the cluster");
    client_check(s, "get a", "-CLUSTERDOWN this node was removed from the cluster");
    client_check(s, "cluster meet h 1", "-CLUSTERDOWN this node was removed from the cluster");
    client_check(s, "ping", "+PONG");
    client_check_has(s, "info raft", "raft_state:removed ");
    client_check_has(s, "cluster info", "cluster_state:fail ");
    client_check(s, "cluster failover", "-ERR this node belongs to no cluster");
    server_close();
}

TEST(a_pause_holds_before_anything_is_forwarded) {
    struct session *s = cluster_open(1, 2);
    client_check(s, "client pause 100 all", "+OK");
    client_run(s, "set k v");
    EXPECT_EQ_INT(world.gate, GATE_HOLD);
    server_close();
}

TEST(authentication_comes_before_forwarding) {
    struct session *s = cluster_open(1, 2);
    client_run(s, "config set requirepass secret"); /* of all nodes, so the leader has to say so */
    EXPECT_EQ_INT(world.gate, GATE_FORWARD);
    EXPECT(acl_apply(desk.server.acl.default_user, SLICE(">secret")) == NULL);
    client_check(client_open("127.0.0.1:2"), "get k", "-NOAUTH Authentication required.");
    client_run(s, "get k");
    EXPECT_EQ_INT(world.gate, GATE_FORWARD);
    server_close();
}

/* --- requests --- */

#define REQUEST(s, line, want_kind, want_id, want_addresses)                                                 \
    do {                                                                                                     \
        int requests_before = world.requests;                                                                \
        client_check(s, line, "+OK");                                                                        \
        EXPECT_NOTE(world.requests == requests_before + 1, "%s", line);                                      \
        EXPECT_NOTE(world.request.kind == want_kind && world.request.id == want_id &&                        \
                        strcmp(world.request_addresses, want_addresses) == 0,                                \
                    "%s: kind %d, id %d, addresses '%s'", line, (int)world.request.kind,                     \
                    (int)world.request.id, world.request_addresses);                                         \
    } while (0)

#define REFUSED(s, line, want)                                                                               \
    do {                                                                                                     \
        int requests_before = world.requests;                                                                \
        client_check(s, line, want);                                                                         \
        EXPECT_NOTE(world.requests == requests_before, "%s", line);                                          \
    } while (0)

TEST(requests_to_the_leader) {
    struct session *s = cluster_open(2, 2);
    REQUEST(s, "cluster meet 10.0.0.4 7000", HOST_ADD, 0, "10.0.0.4:7000 ");
    REQUEST(s, "cluster meet ::1 7000 17000", HOST_ADD, 0, "[::1]:7000 ");
    REQUEST(s, "cluster forget " NAME("3"), HOST_REMOVE, 3, "10.0.0.3:7000 ");
    REQUEST(s, "cluster forget 0000000000000002", HOST_REMOVE, 2, "10.0.0.2:7000 ");
    REQUEST(s, "raft.node add auto h:7", HOST_ADD, 0, "h:7 ");
    REQUEST(s, "raft.node add 0 h:7", HOST_ADD, 0, "h:7 ");
    REQUEST(s, "raft.node add h:7", HOST_ADD, 0, "h:7 ");
    REQUEST(s, "raft.node add 00000000000000ff h:7", HOST_ADD, 255, "h:7 ");
    REQUEST(s, "raft.node remove " NAME("1"), HOST_REMOVE, 1, "10.0.0.1:7000 ");
    REQUEST(s, "raft.node remove 10.0.0.1:7000", HOST_REMOVE, 1, "10.0.0.1:7000 ");
    REQUEST(s, "raft.node promote 0000000000000003", HOST_PROMOTE, 3, "10.0.0.3:7000 ");
    REQUEST(s, "raft.node address 0000000000000003 h:9", HOST_READDRESS, 3, "h:9 ");
    REQUEST(s, "raft.transfer_leader", HOST_TRANSFER, 0, "");
    REQUEST(s, "raft.transfer_leader 0000000000000003", HOST_TRANSFER, 3, "");
    REQUEST(s, "raft.transfer_leader 10.0.0.3:7000", HOST_TRANSFER, 3, "");
    REQUEST(s, "sentinel failover any", HOST_TRANSFER, 0, "");
    REQUEST(s, "failover", HOST_TRANSFER, 0, "");
    REQUEST(s, "failover to 10.0.0.3 7000", HOST_TRANSFER, 3, "");
    REQUEST(s, "failover to 10.0.0.3 7000 force timeout 10", HOST_TRANSFER, 3, "");
    server_close();
}

TEST(requests_that_make_no_sense) {
    struct session *s = cluster_open(2, 2);
    REFUSED(s, "cluster meet h x", "-ERR Invalid TCP base port specified: x");
    REFUSED(s, "cluster meet h 0", "-ERR Invalid node address specified: h:0");
    REFUSED(s, "cluster meet h 65536", "-ERR Invalid node address specified: h:65536");
    REFUSED(s, "cluster meet \"a b\" 1", "-ERR Invalid node address specified: a b:1");
    REFUSED(s, "cluster meet h 1 2",
            "-ERR Invalid TCP bus port specified: 2, it is always 10000 more than the other");
    REFUSED(s, "cluster meet h 1 10001 x",
            "-ERR unknown subcommand or wrong number of arguments for 'meet'. Try CLUSTER HELP.");
    REFUSED(s, "cluster forget x", "-ERR Unknown node x");
    REFUSED(s, "cluster forget " NAME("9"), "-ERR Unknown node " NAME("9"));
    REFUSED(s, "cluster failover", "-ERR You should send CLUSTER FAILOVER to a replica");
    REFUSED(s, "raft.node add x h:7", "-ERR Invalid node id specified: x");
    REFUSED(s, "raft.node add auto h", "-ERR Invalid node address specified: h");
    REFUSED(s, "raft.node remove 10.0.0.9:7000", "-ERR Unknown node 10.0.0.9:7000");
    REFUSED(s, "raft.node address 0000000000000003 h", "-ERR Invalid node address specified: h");
    REFUSED(s, "raft.transfer_leader x", "-ERR Unknown node x");
    REFUSED(s, "raft.transfer_leader a b",
            "-ERR wrong number of arguments for 'raft.transfer_leader' command");
    REFUSED(s, "failover to 10.0.0.9 7000", "-ERR FAILOVER target HOST and PORT is not a replica.");
    REFUSED(s, "failover force",
            "-ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
    REFUSED(s, "failover timeout 0", "-ERR FAILOVER timeout must be greater than 0");
    REFUSED(s, "failover abort", "-ERR No failover in progress.");
    REFUSED(s, "failover abort timeout 1", "-ERR syntax error");
    REFUSED(s, "failover to h 1 to h 2", "-ERR syntax error");
    world.cluster.members[2].seat = CLUSTER_LEARNER;
    REFUSED(s, "raft.transfer_leader 0000000000000003", "-ERR a learner cannot lead before it is a voter");
    cluster_mode();
    REFUSED(s, "failover",
            "-ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.");
    server_close();
}

TEST(requests_to_any_node) {
    struct session *s = cluster_open(1, 2);
    REQUEST(s, "cluster failover", HOST_LEAD, 1, "");
    EXPECT(!world.request.force);
    REQUEST(s, "cluster failover force", HOST_LEAD, 1, "");
    EXPECT(world.request.force);
    REQUEST(s, "cluster failover takeover", HOST_LEAD, 1, "");
    EXPECT(world.request.force);
    REFUSED(s, "cluster failover x", "-ERR syntax error");
    world.cluster.members[0].seat = CLUSTER_LEARNER;
    REFUSED(s, "cluster failover", "-ERR this node is a learner: it cannot lead before it is a voter");
    REQUEST(s, "raft.cluster init", HOST_INIT, 0, "");
    REQUEST(s, "raft.cluster join a:1 [::1]:2", HOST_JOIN, 0, "a:1 [::1]:2 ");
    REFUSED(s, "raft.cluster join a", "-ERR Invalid node address specified: a");
    REFUSED(s,
            "raft.cluster join a:1 a:2 a:3 a:4 a:5 a:6 a:7 a:8 a:9 a:10 a:11 a:12 a:13 a:14 a:15 a:16 a:17",
            "-ERR too many addresses");
    world.answers_later = true; /* then nobody else answers */
    client_check(s, "raft.cluster join a:1", "");
    server_close();
}

TEST(replicaof_is_refused) {
    struct session *s = cluster_open(1, 2);
    client_check_has(s, "replicaof 10.0.0.2 7000", "-ERR nodes replicate through the Raft log");
    client_check(s, "slaveof h x", "-ERR Invalid master port");
    client_check_has(s, "replicaof no one", "-ERR a follower becomes the leader by CLUSTER FAILOVER");
    server_close();
    s = cluster_open(2, 2);
    client_check(s, "replicaof no one", "+OK");
    cluster_mode();
    client_check(s, "replicaof no one", "-ERR REPLICAOF not allowed in cluster mode.");
    server_close();
}

TEST(help) {
    struct session *s = cluster_open(1, 2);
    client_check_has(s, "cluster help", "+CLUSTER <subcommand> ");
    client_check_has(s, "raft.cluster help", "+RAFT.CLUSTER <subcommand> ");
    client_check_has(s, "raft.node help", "+RAFT.NODE <subcommand> ");
    client_check_has(s, "sentinel help", "+SENTINEL <subcommand> ");
    server_close();
}

TEST(what_clients_say_comes_back_cut) {
    struct session *s = cluster_open(2, 2);
    char line[1000] = "cluster replicas ";
    memset(line + strlen(line), 'x', 900);
    EXPECT(strlen(client_run(s, line)) < 200);
    memcpy(line, "cluster forget   ", 17);
    EXPECT(strlen(client_run(s, line)) < 200);
    server_close();
}

TEST_MAIN
