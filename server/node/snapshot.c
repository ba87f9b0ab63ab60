/* Snapshots: made and sent as leader, taken in and installed as follower. The core says who needs one and whether one that
 * came is wanted; storage makes, checks and installs the files; here they travel.
 *
 *   leader    MAKING --ks_snapshot_poll--> SENDING --END sent--> AWAITING --DONE--> told to the core, gone
 *                |          |                                       |
 *                |          ^<--- offered again, to be resumed --------+--- RESTING for a while
 *                |          +---- broken off, refused, too slow ----+--^        | too often, or no good
 *                +----------------------------------------------------------->+--> told to the core, gone
 *
 *   follower  TAKING --END, sink_finish--> CHECKING --whole; the core wants it--> DRAINING --log idle, committed-->
 *             RESETTING --log emptied--> REPLACING --new state open--> told to the core, DONE sent, gone
 *
 * While the state is being replaced the node has none (node.ks is NULL): commands wait. */
#include "node_internal.h"

#include "folder.h"
#include "mem.h"
#include "raft_members.h"

#include <stdio.h>
#include <string.h>

enum { REST_MS_MIN = 250, DONE_WITHIN_MS = 600000, PLACE_LAG_MAX = SNAPSHOT_SINK_QUEUE_BYTES / 2 };

struct snapshot_sending {
    struct snapshot_sending *next;
    struct node *node;
    uint64_t peer;
    enum { WAITING, MAKING, SENDING, AWAITING, RESTING } phase;
    uint64_t since_ms;
    uint64_t pinned_index; /* the log behind it is needed */
    struct path folder;
    struct snapshot_source *source;
    struct peer_stream *stream;
    struct stream_end *end;
    int64_t allowance; /* bytes, of snapshot-rate */
    bool begun;        /* RESUME came: the place is known */
    unsigned attempts; /* that broke off */
    uint64_t rest_ms;
};

struct snapshot_taking {
    struct node *node;
    enum { TAKING, CHECKING, DRAINING, RESETTING, REPLACING } phase;
    struct peer_stream *stream; /* NULL once it is gone */
    struct stream_end *end;
    struct snapshot_sink *sink;
    uint64_t leader, term, index, snapshot_term, members_index;
    struct raft_members members;
    uint64_t received; /* bytes, as a position in the whole */
    bool paused;
    struct keyspace *old_ks;
};

/* What a stream's callbacks are given: the stream may outlive whom it served, and is then nobody's. */
struct stream_end {
    struct snapshot_sending *sending;
    struct snapshot_taking *taking;
};

/* --- sending --- */

static struct snapshot_sending *find_sending(struct node *n, uint64_t peer) {
    for (struct snapshot_sending *s = n->sendings; s != NULL; s = s->next)
        if (s->peer == peer) return s;
    return NULL;
}

uint64_t node_pinned_index(const struct node *n) {
    uint64_t lowest = UINT64_MAX;
    for (const struct snapshot_sending *s = n->sendings; s != NULL; s = s->next)
        if (s->pinned_index < lowest) lowest = s->pinned_index;
    return lowest;
}

void node_snapshot_wanted(struct node *n, uint64_t peer) {
    struct snapshot_sending *s = find_sending(n, peer);
    if (s != NULL) return;
    s = mem_calloc(1, sizeof *s);
    *s = (struct snapshot_sending){.next = n->sendings,
                                   .node = n,
                                   .peer = peer,
                                   .phase = WAITING,
                                   .since_ms = mono_now_ms(),
                                   .pinned_index = n->cut_index};
    n->sendings = s;
}

static void release_source(struct snapshot_sending *s) {
    if (s->source != NULL) snapshot_source_close(s->source);
    s->source = NULL;
    struct kv_error error;
    if (s->folder.text[0] != '\0' && path_exists(s->folder.text) &&
        folder_discard(s->node->group_dir, s->folder.text, &error) == RC_OK)
        sweeper_look(s->node->sweeper);
    s->folder.text[0] = '\0';
}

static void close_sending_stream(struct snapshot_sending *s, const char *why) {
    if (s->stream == NULL) return;
    struct peer_stream *stream = s->stream;
    s->end->sending = NULL;
    s->end = NULL;
    s->stream = NULL;
    peer_stream_close(stream, why);
}

static void sending_free(struct snapshot_sending *s) {
    for (struct snapshot_sending **at = &s->node->sendings; *at != NULL; at = &(*at)->next) {
        if (*at != s) continue;
        *at = s->next;
        break;
    }
    close_sending_stream(s, "done with");
    release_source(s);
    mem_free(s);
}

/* After a rest the same snapshot is offered again, and goes on where it stopped; a follower that refuses is not tried
 * without end. When it has become too old, or is no good, the core is told. */
static void rest(struct snapshot_sending *s, const char *why) {
    enum { ATTEMPTS_MAX = 8 };
    node_log("The snapshot for node %016llx: %s", (unsigned long long)s->peer, why);
    s->phase = RESTING;
    s->since_ms = mono_now_ms();
    s->rest_ms = (uint64_t)REST_MS_MIN << s->attempts;
    s->begun = false;
    close_sending_stream(s, why);
    if (s->source != NULL && ++s->attempts < ATTEMPTS_MAX) return;
    s->pinned_index = UINT64_MAX;
    release_source(s);
}

static void tell_core(struct snapshot_sending *s, uint64_t index) {
    struct node *n = s->node;
    uint64_t peer = s->peer;
    sending_free(s);
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_SENT, .peer = peer, .index = index};
    node_step(n, &event);
}

static void send_some(struct snapshot_sending *s) {
    struct kv_error error;
    struct peer_frame header = peer_stream_header(s->stream, s->node->term);
    bool limited = s->node->server.config.snapshot_rate > 0;
    while (peer_stream_writable(s->stream) && (!limited || s->allowance > 0) && side_work_is_due(s->node)) {
        struct snapshot_chunk chunk;
        uint64_t began_us = side_work_begin();
        enum rc rc = snapshot_source_next(s->source, &chunk, &error);
        if (rc == RC_NOT_FOUND) {
            peer_write_snapshot_end(peer_stream_out(s->stream), &header);
            peer_stream_flush(s->stream);
            s->phase = AWAITING;
            s->since_ms = mono_now_ms();
            return;
        }
        if (rc != RC_OK) {
            close_sending_stream(s, "it cannot be read");
            release_source(s);
            rest(s, error.text);
            return;
        }
        if (chunk.bytes.len == 0) {
            side_work_end(s->node, began_us);
            continue;
        }
        struct peer_snapshot_chunk frame = {.file = chunk.file, .offset = chunk.offset, .bytes = chunk.bytes};
        peer_write_snapshot_chunk(peer_stream_out(s->stream), &header, &frame);
        peer_stream_flush(s->stream);
        s->allowance -= (int64_t)chunk.bytes.len;
        side_work_end(s->node, began_us);
    }
}

static void sender_up_cb(void *arg) {
    struct stream_end *end = arg;
    struct snapshot_sending *s = end->sending;
    if (s == NULL) return;
    const struct snapshot_manifest *m = snapshot_source_about(s->source);
    struct peer_snapshot_begin begin = {.index = m->applied.index,
                                        .term = m->applied.term,
                                        .members_index = m->members_index,
                                        .files = snapshot_source_manifest(s->source)};
    if (members_decode(buf_slice(&m->members), &begin.members) != RC_OK) {
        rest(s, "its configuration makes no sense");
        return;
    }
    struct peer_frame header = peer_stream_header(s->stream, s->node->term);
    peer_write_snapshot_begin(peer_stream_out(s->stream), &header, &begin);
    peer_stream_flush(s->stream);
}

static void taken(struct snapshot_sending *s) {
    node_log("Node %016llx has the snapshot of entry %llu", (unsigned long long)s->peer,
             (unsigned long long)s->pinned_index);
    tell_core(s, s->pinned_index);
}

static void sender_frame_cb(void *arg, const struct peer_frame *frame) {
    struct stream_end *end = arg;
    struct snapshot_sending *s = end->sending;
    struct peer_snapshot_place place;
    char text[256] = "";
    if (s == NULL) return;
    switch (frame->kind) {
    case PEER_SNAPSHOT_RESUME:
        if (s->begun) return;
        if (peer_read_snapshot_place(frame, &place) != RC_OK ||
            !snapshot_source_seek(s->source, place.file, place.offset)) {
            rest(s, "it cannot be resumed there");
            return;
        }
        s->begun = true;
        send_some(s);
        return;
    case PEER_SNAPSHOT_DONE: taken(s); return;
    case PEER_SNAPSHOT_FAILED:
        if (peer_read_text(frame, text, sizeof text) != RC_OK)
            snprintf(text, sizeof text, "it was not taken");
        rest(s, text);
        return;
    default: rest(s, "the answer makes no sense");
    }
}

static void sender_writable_cb(void *arg) {
    struct stream_end *end = arg;
    if (end->sending != NULL && end->sending->phase == SENDING && end->sending->begun)
        send_some(end->sending);
}

static void sender_closed_cb(void *arg, const char *why) {
    struct stream_end *end = arg;
    struct snapshot_sending *s = end->sending;
    if (s != NULL) {
        s->stream = NULL;
        s->end = NULL;
        rest(s, why);
    }
    mem_free(end);
}

static bool someone_makes(const struct node *n) {
    for (const struct snapshot_sending *s = n->sendings; s != NULL; s = s->next)
        if (s->phase == MAKING) return true;
    return false;
}

static void begin_making(struct snapshot_sending *s) {
    struct node *n = s->node;
    if (someone_makes(n)) return;
    char name[64];
    snprintf(name, sizeof name, "snapshot.%016llx", (unsigned long long)rng_next(&n->rng));
    s->folder = path_in(n->group_dir, name);
    s->pinned_index = n->cut_index; /* what is made is not older */
    if (!ks_snapshot_begin(n->ks, s->folder.text)) return;
    s->phase = MAKING;
}

static void offer(struct snapshot_sending *s) {
    struct node *n = s->node;
    const struct raft_member *peer = members_find(&n->members, s->peer);
    if (peer == NULL) {
        release_source(s);
        rest(s, "it is no member any more");
        return;
    }
    s->end = mem_calloc(1, sizeof *s->end);
    s->end->sending = s;
    struct peer_stream_handler handler = {.arg = s->end,
                                          .up = sender_up_cb,
                                          .frame = sender_frame_cb,
                                          .writable = sender_writable_cb,
                                          .closed = sender_closed_cb};
    s->stream = peer_stream_open(n->peers, peer->id, peer->address, &handler);
    s->phase = SENDING;
    s->since_ms = mono_now_ms();
    node_log("Sending node %016llx a snapshot of entry %llu, %llu MB", (unsigned long long)s->peer,
             (unsigned long long)s->pinned_index,
             (unsigned long long)(snapshot_source_about(s->source)->total_bytes >> 20));
}

static void begin_sending(struct snapshot_sending *s) {
    struct node *n = s->node;
    struct kv_error error = {.text = ""};
    enum rc rc = ks_snapshot_poll(n->ks, &error);
    if (rc == RC_BUSY) return;
    if (rc == RC_OK) rc = snapshot_source_open(s->folder.text, &s->source, &error);
    if (rc != RC_OK) {
        rest(s, error.text);
        return;
    }
    s->pinned_index = snapshot_source_about(s->source)->applied.index;
    offer(s);
}

static void tend_sending(struct snapshot_sending *s) {
    uint64_t waited_ms = mono_now_ms() - s->since_ms;
    if (s->node->role != RAFT_LEADER) { /* the next leader sends its own */
        struct kv_error error;
        if (s->phase != MAKING || ks_snapshot_poll(s->node->ks, &error) != RC_BUSY) sending_free(s);
        return;
    }
    bool is_possible = !node_is_in_the_middle(s->node); /* to make one */
    switch (s->phase) {
    case WAITING:
        if (is_possible) begin_making(s);
        break;
    case MAKING:
        if (is_possible) begin_sending(s);
        break;
    case SENDING: {
        int64_t rate = s->node->server.config.snapshot_rate;
        if (rate > 0) {
            s->allowance += rate * (int64_t)waited_ms / 1000;
            if (s->allowance > rate / 4 + SNAPSHOT_CHUNK_BYTES)
                s->allowance = rate / 4 + SNAPSHOT_CHUNK_BYTES;
            s->since_ms = mono_now_ms();
        }
        if (s->begun) send_some(s);
        break;
    }
    case AWAITING:
        if (waited_ms > DONE_WITHIN_MS) rest(s, "it was not confirmed in time");
        break;
    case RESTING:
        if (waited_ms < s->rest_ms) break;
        if (s->source != NULL)
            offer(s);
        else
            tell_core(s, 0);
        break;
    }
}

/* --- taking --- */

static void close_taking_stream(struct snapshot_taking *t, const char *why) {
    if (t->stream == NULL) return;
    struct peer_stream *stream = t->stream;
    t->end->taking = NULL;
    t->end = NULL;
    t->stream = NULL;
    peer_stream_close(stream, why);
}

static void taking_free(struct snapshot_taking *t, bool keep) {
    t->node->taking = NULL;
    close_taking_stream(t, "done with");
    snapshot_sink_close(t->sink, keep);
    if (!keep) sweeper_look(t->node->sweeper);
    mem_free(t);
}

/* What has come is kept: the next attempt goes on there. */
static void refuse(struct snapshot_taking *t, const char *why) {
    node_log("The snapshot of entry %llu: %s", (unsigned long long)t->index, why);
    if (t->stream != NULL) {
        struct peer_frame header = peer_stream_header(t->stream, t->node->term);
        peer_write_snapshot_failed(peer_stream_out(t->stream), &header, why);
        peer_stream_flush(t->stream);
    }
    taking_free(t, true);
}

static void say_done(struct snapshot_taking *t) {
    if (t->stream == NULL) return;
    struct peer_frame header = peer_stream_header(t->stream, t->node->term);
    peer_write_snapshot_done(peer_stream_out(t->stream), &header);
    peer_stream_flush(t->stream);
}

static uint64_t position(const struct snapshot_manifest *m, uint32_t file, uint64_t offset) {
    uint64_t at = offset;
    for (uint32_t i = 0; i < file && i < m->file_count; i++) at += m->files[i].size + SNAPSHOT_TRAILER_BYTES;
    return at;
}

static uint64_t unwritten(struct snapshot_taking *t) {
    struct snapshot_place place = snapshot_sink_place(t->sink);
    uint64_t written = position(snapshot_sink_about(t->sink), place.file, place.offset);
    return t->received > written ? t->received - written : 0;
}

static void on_begin(struct snapshot_taking *t, const struct peer_frame *frame) {
    struct node *n = t->node;
    struct peer_snapshot_begin begin;
    struct kv_error error = {.text = ""};
    if (t->sink != NULL || peer_read_snapshot_begin(frame, &begin) != RC_OK) {
        refuse(t, "its beginning makes no sense");
        return;
    }
    t->term = frame->term;
    t->index = begin.index;
    t->snapshot_term = begin.term;
    t->members_index = begin.members_index;
    t->members = begin.members;
    if (begin.index <= n->commit_index) { /* it is all here */
        say_done(t);
        taking_free(t, true);
        return;
    }
    struct keyspace_options options;
    node_keyspace_options(n, &options);
    if (snapshot_sink_begin(n->group_dir, begin.files, options.place_seed, node_wake, n, &t->sink, &error) !=
        RC_OK) {
        refuse(t, error.text);
        return;
    }
    const struct snapshot_manifest *m = snapshot_sink_about(t->sink);
    if (m->applied.index != t->index || m->applied.term != t->snapshot_term ||
        m->members_index != t->members_index) {
        refuse(t, "its beginning and its manifest contradict each other");
        return;
    }
    struct snapshot_place place = snapshot_sink_place(t->sink);
    t->received = position(snapshot_sink_about(t->sink), place.file, place.offset);
    node_log("Taking a snapshot of entry %llu from node %016llx, %llu MB, %llu of them are here already",
             (unsigned long long)t->index, (unsigned long long)t->leader,
             (unsigned long long)(snapshot_sink_about(t->sink)->total_bytes >> 20),
             (unsigned long long)(t->received >> 20));
    struct peer_snapshot_place resume = {place.file, place.offset};
    struct peer_frame header = peer_stream_header(t->stream, n->term);
    peer_write_snapshot_resume(peer_stream_out(t->stream), &header, &resume);
    peer_stream_flush(t->stream);
}

static void on_chunk(struct snapshot_taking *t, const struct peer_frame *frame) {
    struct peer_snapshot_chunk in;
    struct kv_error error = {.text = "pieces do not fit together"};
    if (t->sink == NULL || peer_read_snapshot_chunk(frame, &in) != RC_OK) {
        refuse(t, "a piece makes no sense");
        return;
    }
    struct snapshot_chunk chunk = {.file = in.file, .offset = in.offset, .bytes = in.bytes};
    if (snapshot_sink_write(t->sink, &chunk, &error) != RC_OK) {
        refuse(t, error.text);
        return;
    }
    t->received += in.bytes.len;
    if (t->paused || unwritten(t) < PLACE_LAG_MAX) return;
    t->paused = true;
    peer_stream_pause(t->stream);
}

static void taker_frame_cb(void *arg, const struct peer_frame *frame) {
    struct stream_end *end = arg;
    struct snapshot_taking *t = end->taking;
    struct kv_error error = {.text = ""};
    if (t == NULL || t->phase != TAKING) return;
    switch (frame->kind) {
    case PEER_SNAPSHOT_BEGIN: on_begin(t, frame); return;
    case PEER_SNAPSHOT_CHUNK: on_chunk(t, frame); return;
    case PEER_SNAPSHOT_END:
        if (t->sink == NULL || snapshot_sink_finish(t->sink, &error) != RC_OK)
            refuse(t, error.text);
        else
            t->phase = CHECKING;
        return;
    case PEER_SNAPSHOT_FAILED: taking_free(t, true); return;
    default: refuse(t, "a frame that has no place here");
    }
}

/* Gone in the middle, it is resumed by the next; whole, it is used all the same. */
static void taker_closed_cb(void *arg, const char *why) {
    struct stream_end *end = arg;
    struct snapshot_taking *t = end->taking;
    (void)why;
    if (t != NULL) {
        t->stream = NULL;
        t->end = NULL;
        if (t->phase == TAKING) taking_free(t, true);
    }
    mem_free(end);
}

void node_receive_snapshot(struct node *n, struct peer_stream *stream, const struct peer_hello *hello) {
    if (!n->open || n->ks == NULL || (n->taking != NULL && n->taking->phase != TAKING)) {
        struct stream_end *nobody = mem_calloc(1, sizeof *nobody);
        struct peer_stream_handler handler = {
            .arg = nobody, .frame = taker_frame_cb, .closed = taker_closed_cb};
        peer_stream_handle(stream, &handler);
        peer_stream_close(stream, "another snapshot is being installed");
        return;
    }
    if (n->taking != NULL) taking_free(n->taking, true); /* of an earlier leader, or of a stream that broke */
    struct snapshot_taking *t = mem_calloc(1, sizeof *t);
    t->node = n;
    t->leader = hello->source;
    t->stream = stream;
    t->end = mem_calloc(1, sizeof *t->end);
    t->end->taking = t;
    n->taking = t;
    struct peer_stream_handler handler = {.arg = t->end, .frame = taker_frame_cb, .closed = taker_closed_cb};
    peer_stream_handle(stream, &handler);
}

static void drain_sink(struct snapshot_taking *t) {
    struct kv_error error = {.text = ""};
    if (t->sink == NULL) return;
    enum rc rc = snapshot_sink_poll(t->sink, &error);
    if (rc != RC_BUSY && rc != RC_OK) {
        refuse(t, error.text);
        return;
    }
    if (!t->paused || unwritten(t) > PLACE_LAG_MAX / 2) return;
    t->paused = false;
    if (t->stream != NULL) peer_stream_resume(t->stream);
}

/* Whole and sound: does this node still need it? */
static void ask_core(struct snapshot_taking *t) {
    struct node *n = t->node;
    struct kv_error error = {.text = ""};
    enum rc rc = snapshot_sink_poll(t->sink, &error);
    if (rc == RC_BUSY) return;
    if (rc != RC_OK) {
        refuse(t, error.text);
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT,
                               .peer = t->leader,
                               .term = t->term,
                               .index = t->index,
                               .snapshot_term = t->snapshot_term,
                               .members = &t->members,
                               .members_index = t->members_index};
    struct raft_update up;
    if (!node_try(n, &event, &up)) {
        refuse(t, "it makes no sense here");
        return;
    }
    if (up.install) {
        t->phase = DRAINING;
        return;
    }
    if (n->commit_index >= t->index) say_done(t);
    taking_free(t, false);
}

/* From here on a crash is carried on by the next start. */
static void commit_install(struct snapshot_taking *t) {
    struct node *n = t->node;
    struct kv_error error = {.text = ""};
    if (n->jobs_out > 0) return;
    if (snapshot_sink_commit(t->sink, &error) != RC_OK) {
        node_fail(n, "the snapshot of entry %llu cannot be installed: %s", (unsigned long long)t->index,
                  error.text);
        return;
    }
    node_abandon_script(n);
    struct store_job *s = store_job_new(n);
    s->job.reset = (struct log_mark){.index = t->index, .term = t->snapshot_term};
    n->jobs_out++;
    log_writer_submit(n->writer, &s->job);
    node_end_copies(n);
    t->phase = RESETTING;
    t->old_ks = n->ks;
    n->ks = n->server.ks = NULL;
    n->warming = false;
}

static void replace_state(struct snapshot_taking *t) {
    struct node *n = t->node;
    if (n->jobs_out > 0) return;
    struct keyspace_options options;
    node_keyspace_options(n, &options);
    n->installing = snapshot_install_start(n->group_dir, t->old_ks, &options, node_wake, n);
    t->phase = REPLACING;
}

static void take_new_state(struct snapshot_taking *t) {
    struct node *n = t->node;
    struct kv_error error = {.text = ""};
    struct keyspace *ks = NULL;
    enum rc rc = snapshot_install_poll(n->installing, &ks, &error);
    if (rc == RC_BUSY) return;
    n->installing = NULL;
    if (rc != RC_OK) {
        node_fail(n, "the snapshot of entry %llu cannot be opened (%s): %s", (unsigned long long)t->index,
                  rc_name(rc), error.text);
        return;
    }
    n->ks = ks;
    server_set_keyspace(&n->server, ks);
    acl_state_replaced(&n->server);
    n->is_torn = false;
    node_drop_entries(n, t->index);
    node_clock_seen(n, ks_applied(ks).clock_ms);
    n->warming = true;
    sweeper_look(n->sweeper);
    struct raft_event event = {.type = RAFT_EVENT_INSTALLED, .index = t->index};
    node_step(n, &event);
    node_log("The snapshot of entry %llu is installed", (unsigned long long)t->index);
    say_done(t);
    taking_free(t, true);
}

static void tend_taking(struct snapshot_taking *t) {
    switch (t->phase) {
    case TAKING: drain_sink(t); break;
    case CHECKING: ask_core(t); break;
    case DRAINING: commit_install(t); break;
    case RESETTING: replace_state(t); break;
    case REPLACING: take_new_state(t); break;
    }
}

void node_turn_snapshots(struct node *n) {
    for (struct snapshot_sending *s = n->sendings, *next; s != NULL && n->ks != NULL; s = next) {
        next = s->next;
        tend_sending(s);
    }
    if (n->taking != NULL && !n->failed) tend_taking(n->taking);
}

/* For the storage thread. */
static void wait_a_moment(struct node *n) {
    enum { MOMENT_US = 1000 };
    n->host.sleep_us(&n->host, MOMENT_US);
    ks_turn(n->ks, 1);
}

/* The process ends, or the group. In the middle of an install the disk already says how the next start goes on. */
bool node_end_snapshots(struct node *n) {
    struct kv_error error;
    while (n->sendings != NULL) {
        while (n->sendings->phase == MAKING && n->ks != NULL && ks_snapshot_poll(n->ks, &error) == RC_BUSY)
            wait_a_moment(n);
        sending_free(n->sendings);
    }
    if (n->taking == NULL) return true;
    if (n->taking->phase >= RESETTING) return false;
    taking_free(n->taking, true);
    return true;
}
