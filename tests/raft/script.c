/* The language of scripts: one line a command, words in between. Messages are said and filtered in the words in which
 * text.c prints them. */
#include "script.h"

#include "mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 300 };

struct words {
    const char *line; /* whole, for complaints */
    char *items[WORDS_MAX];
    size_t count, at;
};

_Noreturn static void complain(const struct words *w, const char *what) {
    fflush(stdout);
    fprintf(stderr, "script: %s: %s\n", w->line, what);
    exit(2);
}

static const char *peek(const struct words *w) {
    return w->at < w->count ? w->items[w->at] : NULL;
}

static const char *take(struct words *w) {
    if (w->at == w->count) complain(w, "a word is missing");
    return w->items[w->at++];
}

static bool take_if(struct words *w, const char *word) {
    if (peek(w) == NULL || strcmp(peek(w), word) != 0) return false;
    w->at++;
    return true;
}

static bool is_number(const char *word) {
    return word != NULL && isdigit((unsigned char)word[0]);
}

static uint64_t number_of(const struct words *w, const char *text) {
    char *end;
    if (!is_number(text)) complain(w, "a number is missing");
    uint64_t n = strtoull(text, &end, 10);
    if (*end != '\0') complain(w, "not a number");
    return n;
}

static uint64_t take_number(struct words *w) {
    return number_of(w, take(w));
}

static uint64_t take_number_or(struct words *w, uint64_t otherwise) {
    return is_number(peek(w)) ? take_number(w) : otherwise;
}

static struct cl_node *take_node(struct cluster *c, struct words *w) {
    uint64_t id = take_number(w);
    if (id == 0 || id > CL_NODES_MAX || !c->nodes[id].exists) complain(w, "no such node");
    return cluster_node(c, id);
}

static struct cl_node *take_running(struct cluster *c, struct words *w) {
    struct cl_node *n = take_node(c, w);
    if (!n->up) complain(w, "that node is not running");
    return n;
}

/* "index/term" */
static void take_position(const struct words *w, const char *text, uint64_t *index, uint64_t *term) {
    if (sscanf(text, "%" SCNu64 "/%" SCNu64, index, term) != 2) complain(w, "not an index/term");
}

/* "3" "4l" "5+" "6-" "7~" */
static void put_member(const struct words *w, struct raft_members *m, const char *text) {
    char *end;
    uint64_t id = strtoull(text, &end, 10);
    enum raft_seat seat = RAFT_VOTER;
    if (*end == 'l') seat = RAFT_LEARNER;
    if (*end == '+') seat = RAFT_VOTER_IN;
    if (*end == '-') seat = RAFT_VOTER_OUT;
    if (*end == '~') seat = RAFT_VOTER_DOWN;
    if (id == 0 || (seat == RAFT_VOTER && *end != '\0')) complain(w, "not a member");
    members_put(m, id, seat);
}

/* --- messages --- */

struct filter {
    uint64_t from, to; /* 0: any */
    const char *kind;  /* NULL: any */
    uint64_t count;
    bool is_reversed;
};

static struct filter take_filter(struct words *w) {
    struct filter f = {.count = UINT64_MAX};
    while (peek(w) != NULL) {
        const char *word = take(w);
        const char *arrow = strchr(word, '>');
        if (arrow != NULL) {
            f.from = word[0] == '*' ? 0 : strtoull(word, NULL, 10);
            f.to = arrow[1] == '*' ? 0 : strtoull(arrow + 1, NULL, 10);
        } else if (strcmp(word, "first") == 0) {
            f.count = take_number_or(w, 1);
        } else if (strcmp(word, "reversed") == 0) {
            f.is_reversed = true;
        } else {
            f.kind = word;
        }
    }
    return f;
}

static bool filter_takes(const struct filter *f, const struct cl_parcel *p) {
    if ((f->from != 0 && p->from != f->from) || (f->to != 0 && p->to != f->to)) return false;
    if (f->kind == NULL) return true;
    struct buf b = {0};
    text_parcel(&b, p);
    buf_add_byte(&b, '\0');
    const char *kind = strchr(b.data, ' ') + 1;
    size_t len = strcspn(kind, " ");
    bool takes = len == strlen(f->kind) && memcmp(kind, f->kind, len) == 0;
    buf_free(&b);
    return takes;
}

/* What is in the network now, not what comes of it. */
static void for_filtered(struct cluster *c, struct words *w, void (*act)(struct cluster *, size_t)) {
    struct filter f = take_filter(w);
    struct cl_parcel *chosen[1000];
    size_t count = 0;
    for (size_t i = 0; i < c->net_count && count < f.count && count < 1000; i++) {
        size_t at = f.is_reversed ? c->net_count - 1 - i : i;
        if (filter_takes(&f, c->net[at])) chosen[count++] = c->net[at];
    }
    if (count == 0) say(c, "nothing of that kind\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < c->net_count; at++) {
            if (c->net[at] != chosen[i]) continue;
            act(c, at);
            break;
        }
    }
}

static void say_and_drop(struct cluster *c, size_t at) {
    struct buf b = {0};
    text_parcel(&b, c->net[at]);
    say(c, "x %.*s\n", (int)b.len, b.data);
    buf_free(&b);
    cluster_drop(c, at);
}

static bool kind_of(const char *word, struct raft_message *m) {
    static const struct {
        const char *name;
        enum raft_message_kind kind;
        bool pre_vote;
    } kinds[] = {{"append", RAFT_APPEND, false},
                 {"append-reply", RAFT_APPEND_REPLY, false},
                 {"heartbeat", RAFT_HEARTBEAT, false},
                 {"heartbeat-reply", RAFT_HEARTBEAT_REPLY, false},
                 {"vote", RAFT_VOTE, false},
                 {"pre-vote", RAFT_VOTE, true},
                 {"vote-reply", RAFT_VOTE_REPLY, false},
                 {"pre-vote-reply", RAFT_VOTE_REPLY, true},
                 {"timeout-now", RAFT_TIMEOUT_NOW, false}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(word, kinds[i].name) != 0) continue;
        m->kind = kinds[i].kind;
        m->pre_vote = kinds[i].pre_vote;
        return true;
    }
    return false;
}

/* "[4/2" "5/2-]" ... : entries, with contents that follow from index and term */
static size_t take_entries(struct cluster *c, struct words *w, struct raft_entry *entries, uint64_t *values) {
    size_t count = 0;
    bool more = true;
    w->items[w->at]++;
    while (more && peek(w) != NULL && count < 32) {
        char *word = w->items[w->at++];
        char *end = strchr(word, ']');
        if (end != NULL) more = false;
        struct raft_entry *e = &entries[count];
        *e = (struct raft_entry){.kind = RAFT_ENTRY_COMMANDS, .size = 1};
        take_position(w, word, &e->index, &e->term);
        char *brace = strchr(word, '{');
        if (strchr(word, '-') != NULL && brace == NULL)
            *e = (struct raft_entry){e->index, e->term, RAFT_ENTRY_NOOP, 0, NULL};
        if (brace != NULL) {
            struct raft_members m = {0};
            char *member = brace + 1;
            for (;;) {
                if (*member != '\0' && *member != '}') {
                    char text[16];
                    snprintf(text, sizeof text, "%.*s", (int)strcspn(member, "}"), member);
                    put_member(w, &m, text);
                }
                if (strchr(member, '}') != NULL) break;
                member = w->items[w->at++];
                more = strchr(member, ']') == NULL;
            }
            e->kind = RAFT_ENTRY_MEMBERS;
            e->members = cluster_members(c, &m);
        }
        values[count++] = 0;
    }
    return count;
}

static void say_snapshot(struct cluster *c, struct words *w, uint64_t from, uint64_t to) {
    struct cl_parcel *p = mem_calloc(1, sizeof *p);
    *p = (struct cl_parcel){.kind = CL_SNAPSHOT, .from = from, .to = to};
    p->term = number_of(w, take(w) + 1);
    if (!take_if(w, "of")) complain(w, "a snapshot of what?");
    take_position(w, take(w), &p->snapshot.index, &p->snapshot.term);
    struct raft_members m = {0};
    while (peek(w) != NULL) {
        char *word = w->items[w->at++];
        if (*word == '{') word++;
        word[strcspn(word, "}")] = '\0';
        if (*word != '\0') put_member(w, &m, word);
    }
    p->snapshot.members = cluster_members(c, &m);
    cluster_post(c, p);
}

/* A puppet speaks: the words are those that text.c uses. It is delivered at once. */
static void run_say(struct cluster *c, struct words *w) {
    struct raft_message m = {0};
    struct raft_entry entries[32];
    uint64_t values[32];
    if (sscanf(take(w), "%" SCNu64 ">%" SCNu64, &m.from, &m.to) != 2) complain(w, "from whom to whom?");
    if (take_if(w, "snapshot")) {
        say_snapshot(c, w, m.from, m.to);
        cluster_deliver(c, c->net_count - 1);
        return;
    }
    if (!kind_of(take(w), &m)) complain(w, "no such message");
    while (peek(w) != NULL) {
        const char *word = peek(w);
        if (word[0] == '[') {
            m.entry_count = take_entries(c, w, entries, values);
            m.entries = entries;
            continue;
        }
        w->at++;
        const char *value = strchr(word, '=') == NULL ? "" : strchr(word, '=') + 1;
        if (word[0] == 't' && is_number(word + 1))
            m.term = number_of(w, word + 1);
        else if (strncmp(word, "prev=", 5) == 0 && m.kind == RAFT_APPEND)
            take_position(w, value, &m.prev_index, &m.prev_term);
        else if (strncmp(word, "prev=", 5) == 0)
            m.prev_index = number_of(w, value);
        else if (strncmp(word, "commit=", 7) == 0)
            m.commit_index = number_of(w, value);
        else if (strncmp(word, "last=", 5) == 0)
            take_position(w, value, &m.last_index, &m.last_term);
        else if (strncmp(word, "match=", 6) == 0)
            m.match_index = number_of(w, value);
        else if (strncmp(word, "hint=", 5) == 0)
            take_position(w, value, &m.hint_index, &m.hint_term);
        else if (strncmp(word, "round=", 6) == 0)
            m.round = number_of(w, value);
        else if (strncmp(word, "sent=", 5) == 0)
            m.sent_us = number_of(w, value);
        else if (strcmp(word, "rejected") == 0)
            m.rejected = true;
        else if (strcmp(word, "transfer") == 0)
            m.is_transfer = true;
        else
            complain(w, word);
    }
    bool is_answer = m.kind == RAFT_APPEND_REPLY || m.kind == RAFT_HEARTBEAT_REPLY;
    if (is_answer && m.round == 0) cluster_last_round(c, m.to, m.from, &m.round, &m.sent_us);
    cluster_send(c, &m, values);
    cluster_deliver(c, c->net_count - 1);
}

/* --- what one sees --- */

static void say_log(struct cluster *c, uint64_t id, const struct cl_log *log) {
    struct buf b = {0};
    text_log(&b, log);
    say(c, "%" PRIu64 ": %.*s\n", id, (int)b.len, b.data == NULL ? "" : b.data);
    buf_free(&b);
}

/* The named nodes, or all that there are. */
static void for_nodes(struct cluster *c, struct words *w, void (*act)(struct cluster *, struct cl_node *)) {
    bool all = peek(w) == NULL;
    for (uint64_t id = 1; all && id <= CL_NODES_MAX; id++) {
        if (c->nodes[id].exists && !c->nodes[id].is_puppet) act(c, &c->nodes[id]);
    }
    while (peek(w) != NULL) act(c, take_node(c, w));
}

static void act_status(struct cluster *c, struct cl_node *n) {
    say_status(c, n);
}
static void act_log(struct cluster *c, struct cl_node *n) {
    say_log(c, n->id, n->up ? &n->log : &n->disk.log);
}
static void act_disk(struct cluster *c, struct cl_node *n) {
    say(c, "t%" PRIu64 " vote=%" PRIu64 " applied=%" PRIu64 " ", n->disk.term, n->disk.vote,
        n->disk.state.index);
    say_log(c, n->id, &n->disk.log);
}
static void act_lease(struct cluster *c, struct cl_node *n) {
    uint64_t now_us = cluster_clock(c, n);
    if (!n->up || !n->readable || n->lease_until_us <= now_us) {
        say(c, "%" PRIu64 " no lease\n", n->id);
    } else if (n->lease_until_us == UINT64_MAX) {
        say(c, "%" PRIu64 " needs no lease\n", n->id);
    } else {
        say(c, "%" PRIu64 " has a lease for %" PRIu64 " ms\n", n->id, (n->lease_until_us - now_us) / 1000);
    }
}
static void act_tick(struct cluster *c, struct cl_node *n) {
    cluster_tick(c, n->id);
}
static void act_restart(struct cluster *c, struct cl_node *n) {
    cluster_restart(c, n->id);
}
static void act_slow(struct cluster *c, struct cl_node *n) {
    (void)c;
    n->is_slow = true;
}
static void act_fast(struct cluster *c, struct cl_node *n) {
    (void)c;
    n->is_slow = false;
}
static void act_lazy(struct cluster *c, struct cl_node *n) {
    (void)c;
    n->is_lazy = true;
}
static void act_eager(struct cluster *c, struct cl_node *n) {
    n->is_lazy = false;
    if (n->up) cluster_apply(c, n->id, SIZE_MAX);
}
static void act_flush(struct cluster *c, struct cl_node *n) {
    cluster_flush(c, n->id);
}

/* --- commands --- */

static void run_nodes(struct cluster **c, struct words *w) {
    struct cl_options o = cluster_defaults(take_number(w));
    o.trace = true;
    while (peek(w) != NULL) {
        if (take_if(w, "learners"))
            o.learners = take_number(w);
        else if (take_if(w, "puppets"))
            o.puppets = true;
        else if (take_if(w, "seed"))
            o.seed = take_number(w);
        else if (take_if(w, "lease"))
            o.lease_us = take_number(w) * 1000;
        else if (take_if(w, "inflight"))
            o.inflight_count_max = take_number(w);
        else if (take_if(w, "inflight-bytes"))
            o.inflight_bytes_max = take_number(w);
        else if (take_if(w, "append-bytes"))
            o.append_bytes_max = take_number(w);
        else if (take_if(w, "uncommitted-bytes"))
            o.uncommitted_bytes_max = take_number(w);
        else
            complain(w, "no such option");
    }
    if (*c != NULL) cluster_free(*c);
    *c = cluster_new(&o);
}

/* given ID tTERM [vote=ID] log TERM TERM ...: what its disk holds before it starts. Entries hold no commands. */
static void run_given(struct cluster *c, struct words *w) {
    struct cl_node *n = take_node(c, w);
    if (n->up) cluster_crash(c, n->id, 0);
    n->disk.log.count = 0;
    n->log.count = 0;
    while (peek(w) != NULL) {
        const char *word = take(w);
        if (word[0] == 't')
            n->disk.term = number_of(w, word + 1);
        else if (strncmp(word, "vote=", 5) == 0)
            n->disk.vote = number_of(w, word + 5);
        else if (strcmp(word, "log") == 0)
            break;
        else
            complain(w, word);
    }
    n->term = n->disk.term;
    while (peek(w) != NULL) {
        struct cl_entry e = {.term = take_number(w), .kind = RAFT_ENTRY_NOOP};
        observe_append(c, n, clog_last(&n->log) + 1, &e, 1);
        clog_replace(&n->log, clog_last(&n->log) + 1, &e, 1);
        clog_replace(&n->disk.log, clog_last(&n->disk.log) + 1, &e, 1);
    }
    if (n->is_puppet) return;
    cluster_restart(c, n->id);
    c->now_us +=
        c->options.election_us; /* or it would listen to nobody, lest it break a lease it took part in */
}

static void run_change(struct cluster *c, struct words *w) {
    struct cl_node *n = take_running(c, w);
    struct raft_members m = {0};
    uint64_t index = n->members_index;
    if (take_if(w, "from")) index = take_number(w);
    if (!take_if(w, ":")) complain(w, "change ID [from INDEX] : members");
    while (peek(w) != NULL) put_member(w, &m, take(w));
    cluster_step(c, n, (struct raft_event){.type = RAFT_EVENT_CHANGE, .members = &m, .index = index});
}

static void run_partition(struct cluster *c, struct words *w) {
    unsigned side[CL_NODES_MAX + 1] = {0}, number = 1;
    while (peek(w) != NULL) {
        if (take_if(w, "|"))
            number++;
        else
            side[take_node(c, w)->id] = number;
    }
    for (size_t a = 1; a <= CL_NODES_MAX; a++) {
        for (size_t b = 1; b <= CL_NODES_MAX; b++) c->blocked[a][b] = side[a] != side[b];
    }
}

static void run_block(struct cluster *c, struct words *w, bool blocked) {
    while (peek(w) != NULL) {
        uint64_t from, to;
        if (sscanf(take(w), "%" SCNu64 ">%" SCNu64, &from, &to) != 2) complain(w, "which link?");
        c->blocked[from][to] = blocked;
    }
}

static void run_elect(struct cluster *c, struct words *w) {
    struct cl_node *n = take_running(c, w);
    bool was_muted = c->is_muted;
    c->is_muted = true;
    cluster_campaign(c, n->id);
    cluster_settle(c);
    c->is_muted = was_muted;
    if (n->role != RAFT_LEADER) complain(w, "it was not elected");
    say(c, "%" PRIu64 " leads t%" PRIu64 "\n", n->id, n->term);
}

static void run_propose(struct cluster *c, struct words *w) {
    struct cl_node *n = take_running(c, w);
    uint64_t count = take_number_or(w, 1), size = take_if(w, "size") ? take_number(w) : 10;
    while (count-- > 0) cluster_propose(c, n->id, size);
}

static void run_crash(struct cluster *c, struct words *w) {
    struct cl_node *n = take_running(c, w);
    cluster_crash(c, n->id, take_if(w, "keeping") ? take_number(w) : 0);
}

static void run_event(struct cluster *c, struct words *w, enum raft_event_kind type) {
    struct cl_node *n = take_running(c, w);
    cluster_step(c, n, (struct raft_event){.type = type, .peer = take_number_or(w, 0)});
}

static void run_command(struct cluster **at, struct words *w) {
    struct cluster *c = *at;
    if (take_if(w, "quiet")) {
        c->is_muted = true;
        run_command(at, w);
        (*at)->is_muted = false;
        return;
    }
    const char *name = take(w);
    if (strcmp(name, "nodes") == 0) {
        run_nodes(at, w);
        return;
    }
    if (c == NULL) complain(w, "`nodes` comes first");
    if (strcmp(name, "add") == 0)
        cluster_add(c, take_number(w));
    else if (strcmp(name, "given") == 0)
        run_given(c, w);
    else if (strcmp(name, "campaign") == 0)
        run_event(c, w, RAFT_EVENT_CAMPAIGN);
    else if (strcmp(name, "elect") == 0)
        run_elect(c, w);
    else if (strcmp(name, "propose") == 0)
        run_propose(c, w);
    else if (strcmp(name, "read") == 0)
        run_event(c, w, RAFT_EVENT_READ);
    else if (strcmp(name, "change") == 0)
        run_change(c, w);
    else if (strcmp(name, "transfer") == 0)
        run_event(c, w, RAFT_EVENT_TRANSFER);
    else if (strcmp(name, "unreachable") == 0)
        run_event(c, w, RAFT_EVENT_UNREACHABLE);
    else if (strcmp(name, "tick") == 0)
        for_nodes(c, w, act_tick);
    else if (strcmp(name, "pass") == 0)
        cluster_pass(c, take_number(w) * 1000);
    else if (strcmp(name, "skip") == 0)
        c->now_us += take_number(w) * 1000;
    else if (strcmp(name, "run") == 0)
        cluster_run(c, take_number(w) * 1000);
    else if (strcmp(name, "clock") == 0) {
        struct cl_node *n = take_node(c, w);
        n->clock_offset_us += take_number(w) * 1000;
    } else if (strcmp(name, "settle") == 0)
        cluster_settle(c);
    else if (strcmp(name, "deliver") == 0)
        for_filtered(c, w, cluster_deliver);
    else if (strcmp(name, "drop") == 0)
        for_filtered(c, w, say_and_drop);
    else if (strcmp(name, "duplicate") == 0)
        for_filtered(c, w, cluster_duplicate);
    else if (strcmp(name, "say") == 0)
        run_say(c, w);
    else if (strcmp(name, "store") == 0) {
        struct cl_node *n = take_running(c, w);
        cluster_store(c, n->id, take_number_or(w, UINT64_MAX));
    } else if (strcmp(name, "install") == 0) {
        if (!cluster_install(c, take_running(c, w)->id)) complain(w, "nothing to install, or not yet");
    } else if (strcmp(name, "apply") == 0) {
        struct cl_node *n = take_running(c, w);
        cluster_apply(c, n->id, take_number_or(w, UINT64_MAX));
    } else if (strcmp(name, "crash") == 0)
        run_crash(c, w);
    else if (strcmp(name, "restart") == 0)
        for_nodes(c, w, act_restart);
    else if (strcmp(name, "slow") == 0)
        for_nodes(c, w, act_slow);
    else if (strcmp(name, "fast") == 0)
        for_nodes(c, w, act_fast);
    else if (strcmp(name, "lazy") == 0)
        for_nodes(c, w, act_lazy);
    else if (strcmp(name, "eager") == 0)
        for_nodes(c, w, act_eager);
    else if (strcmp(name, "flush") == 0)
        for_nodes(c, w, act_flush);
    else if (strcmp(name, "cut") == 0) {
        struct cl_node *n = take_running(c, w);
        uint64_t index = take_number(w);
        if (index > n->state.index) complain(w, "it has not applied that yet");
        cluster_flush(c, n->id);
        cluster_cut(c, n->id, index);
    } else if (strcmp(name, "partition") == 0)
        run_partition(c, w);
    else if (strcmp(name, "block") == 0)
        run_block(c, w, true);
    else if (strcmp(name, "unblock") == 0)
        run_block(c, w, false);
    else if (strcmp(name, "heal") == 0)
        cluster_heal(c);
    else if (strcmp(name, "install-crashes") == 0) {
        c->install = take_if(w, "before") ? INSTALL_CRASHES_BEFORE : INSTALL_CRASHES_AFTER;
        take_if(w, "after");
    } else if (strcmp(name, "status") == 0)
        for_nodes(c, w, act_status);
    else if (strcmp(name, "lease") == 0)
        for_nodes(c, w, act_lease);
    else if (strcmp(name, "log") == 0)
        for_nodes(c, w, act_log);
    else if (strcmp(name, "disk") == 0)
        for_nodes(c, w, act_disk);
    else
        complain(w, "no such command");
    if (peek(w) != NULL) complain(w, "too many words");
}

void script_run(struct cluster **c, const char *text) {
    while (*text != '\0') {
        size_t len = strcspn(text, ";\n");
        char line[2000], copy[2000];
        CHECK(len < sizeof line);
        memcpy(line, text, len);
        line[len] = '\0';
        memcpy(copy, line, len + 1);
        struct words w = {.line = copy};
        for (char *word = strtok(line, " \t"); word != NULL; word = strtok(NULL, " \t")) {
            CHECK(w.count < WORDS_MAX);
            w.items[w.count++] = word;
        }
        if (w.count > 0) run_command(c, &w);
        text += len + (text[len] != '\0');
    }
}
