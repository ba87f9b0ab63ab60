/* Who a node is, as a file: what is written reads back, and nothing else is believed. */
#include "test.h"

#include "identity.h"

#include <string.h>

static struct identity sample(void) {
    struct identity i = {.stage = IDENTITY_RUNNING, .id = 77, .was_member = true};
    memcpy(i.cluster, "0123456789abcdef", sizeof i.cluster);
    i.first.count = 2;
    i.first.items[0] = (struct raft_member){.id = 5, .seat = RAFT_VOTER, .address = "a.example:6379"};
    i.first.items[1] = (struct raft_member){.id = 77, .seat = RAFT_VOTER, .address = "b.example:6379@7000"};
    strcpy(i.join, "c.example:1 d.example:2");
    return i;
}

TEST(what_is_written_reads_back) {
    struct identity in = sample(), out;
    struct buf file = {0};
    identity_encode(&in, &file);
    EXPECT(identity_decode(buf_slice(&file), &out) == RC_OK);
    EXPECT_EQ_INT(out.stage, IDENTITY_RUNNING);
    EXPECT_EQ_INT(out.id, 77);
    EXPECT(out.was_member);
    EXPECT(memcmp(out.cluster, in.cluster, sizeof in.cluster) == 0);
    EXPECT_EQ_INT(out.first.count, 2);
    EXPECT_EQ_INT(out.first.items[1].id, 77);
    EXPECT(strcmp(out.first.items[1].address, "b.example:6379@7000") == 0);
    EXPECT(strcmp(out.join, in.join) == 0);
    buf_free(&file);
}

TEST(a_blank_node_has_neither_cluster_nor_members) {
    struct identity in = {.stage = IDENTITY_BLANK, .id = 1}, out = sample();
    struct buf file = {0};
    identity_encode(&in, &file);
    EXPECT(identity_decode(buf_slice(&file), &out) == RC_OK);
    EXPECT_EQ_INT(out.stage, IDENTITY_BLANK);
    EXPECT_EQ_INT(out.first.count, 0);
    EXPECT_EQ_INT(out.join[0], '\0');
    EXPECT(!out.was_member);
    buf_free(&file);
}

/* Half a file after a power cut, a bit that flipped, bytes behind its end: the node must not become somebody else. */
TEST(nothing_but_the_whole_file_is_believed) {
    struct identity in = sample(), out = {.id = 42};
    struct buf file = {0};
    identity_encode(&in, &file);
    for (size_t len = 0; len < file.len; len++)
        EXPECT(identity_decode(slice_make(file.data, len), &out) == RC_CORRUPT);
    for (size_t bit = 0; bit < 8 * file.len; bit++) {
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ (1 << bit % 8));
        EXPECT(identity_decode(buf_slice(&file), &out) == RC_CORRUPT);
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ (1 << bit % 8));
    }
    buf_add_byte(&file, 0);
    EXPECT(identity_decode(buf_slice(&file), &out) == RC_CORRUPT);
    EXPECT_EQ_INT(out.id, 42);
    buf_free(&file);
}

TEST(an_id_of_zero_is_nobody) {
    struct identity in = sample(), out;
    struct buf file = {0};
    in.id = 0;
    identity_encode(&in, &file);
    EXPECT(identity_decode(buf_slice(&file), &out) == RC_CORRUPT);
    buf_free(&file);
}

TEST(a_cluster_is_called_by_a_name_that_does_not_give_its_id_away) {
    char id[IDENTITY_CLUSTER_SIZE], name[IDENTITY_NAME_CAP], other[IDENTITY_NAME_CAP], hex[3];
    for (size_t i = 0; i < sizeof id; i++) id[i] = (char)(i * 17);
    identity_cluster_name(id, name);
    EXPECT_EQ_INT(strlen(name), sizeof name - 1);
    for (size_t i = 0; i < sizeof id; i++) {
        snprintf(hex, sizeof hex, "%02x", (unsigned char)id[i]);
        EXPECT(strncmp(name + 2 * i, hex, 2) != 0);
    }
    id[0] ^= 1;
    identity_cluster_name(id, other);
    EXPECT(strcmp(name, other) != 0);
}

TEST_MAIN
