/* What tests in C say most: play a script, then look.
 *
 *     struct cluster *c = play("nodes 3; elect 1; propose 1; settle");
 *     EXPECT_EQ_STR(log_of(c, 3), "1/1- 2/1");
 *     leave(c); */
#ifndef TESTS_RAFT_PLAY_H
#define TESTS_RAFT_PLAY_H

#include "test.h"

#include "script.h"

/* The next run's words only: what was said before is forgotten. */
__attribute__((unused)) static const char *more(struct cluster *c, const char *script) {
    buf_clear(&c->text);
    script_run(&c, script);
    buf_add_byte(&c->text, '\0');
    c->text.len--;
    return c->text.data;
}

__attribute__((unused)) static struct cluster *play(const char *script) {
    struct cluster *c = NULL;
    script_run(&c, script);
    buf_add_byte(&c->text, '\0');
    c->text.len--;
    return c;
}

__attribute__((unused)) static void leave(struct cluster *c) {
    cluster_free(c);
}

/* Whether the words of the last run contain these. */
__attribute__((unused)) static bool said(struct cluster *c, const char *words) {
    return strstr(c->text.data, words) != NULL;
}

#define EXPECT_SAID(c, words)     EXPECT_NOTE(said(c, words), "\"%s\" in:\n%s", words, (c)->text.data)
#define EXPECT_NOT_SAID(c, words) EXPECT_NOTE(!said(c, words), "\"%s\" not in:\n%s", words, (c)->text.data)

/* Good until the next call. */
__attribute__((unused)) static const char *log_of(struct cluster *c, uint64_t id) {
    static struct buf b;
    buf_clear(&b);
    text_log(&b, c->nodes[id].up ? &c->nodes[id].log : &c->nodes[id].disk.log);
    buf_add_byte(&b, '\0');
    return b.data;
}

__attribute__((unused)) static const char *members_of(struct cluster *c, uint64_t id) {
    static struct buf b;
    buf_clear(&b);
    text_members(&b, c->nodes[id].members);
    buf_add_byte(&b, '\0');
    return b.data;
}

__attribute__((unused)) static struct raft_status status_of(struct cluster *c, uint64_t id) {
    struct raft_status s;
    raft_status(c->nodes[id].raft, &s);
    return s;
}

__attribute__((unused)) static bool leads(struct cluster *c, uint64_t id) {
    return c->nodes[id].up && c->nodes[id].role == RAFT_LEADER;
}

__attribute__((unused)) static uint64_t commit_of(struct cluster *c, uint64_t id) {
    return c->nodes[id].commit_index;
}

__attribute__((unused)) static uint64_t term_of(struct cluster *c, uint64_t id) {
    return status_of(c, id).term;
}

__attribute__((unused)) static const struct raft_peer_status *peer_of(struct cluster *c, uint64_t leader,
                                                                      uint64_t id) {
    static struct raft_status s;
    raft_status(c->nodes[leader].raft, &s);
    for (size_t i = 0; i < s.peer_count; i++) {
        if (s.peers[i].id == id) return &s.peers[i];
    }
    return NULL;
}

#endif
