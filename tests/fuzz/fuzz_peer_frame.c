/* Peer frames: any bytes are refused, wanted more of, or read within bounds; and since everything but a text for the log
 * has one spelling, what was read and written again gives the same bytes. A first byte below 128 is the kind of a frame
 * whose body follows (its checksum is made right here); any other is followed by a stream as it comes. */
#include "peer_frame.h"

#include "fuzz.h"

enum { BYTES_MAX = 1 << 20 };

static bool write_append(struct buf *out, const struct peer_origin *origin, const struct raft_message *m,
                         const struct peer_append_store *store) {
    struct peer_append a;
    peer_append_begin(&a, out, origin, m);
    for (size_t i = 0; i < m->entry_count; i++) {
        fuzz_touch(store->payloads[i]);
        const struct raft_entry *e = &m->entries[i];
        CHECK((e->members != NULL) == (e->kind == RAFT_ENTRY_MEMBERS));
        peer_append_add(&a, e, store->payloads[i]);
    }
    peer_append_end(&a);
    return true;
}

static bool rewrite_message(const struct peer_frame *f, struct buf *out) {
    static struct peer_append_store store;
    struct raft_message m;
    if (peer_read_message(f, &store, &m) != RC_OK) return false;
    CHECK(store.entries_cap <= 2 * (f->body.len / PEER_APPEND_ENTRY_SIZE) + 16 || store.entries_cap <= 4096);
    if (m.kind == RAFT_APPEND) return write_append(out, &f->origin, &m, &store);
    peer_write_message(out, &f->origin, &m);
    return true;
}

static bool rewrite_greeting(const struct peer_frame *f, struct buf *out) {
    struct peer_hello hello;
    struct peer_challenge challenge;
    struct peer_proof proof;
    if (peer_read_hello(f, &hello) == RC_OK) {
        if (hello.protocol != PEER_PROTOCOL_VERSION || f->term != 0) return false;
        CHECK(strlen(hello.address) < sizeof hello.address);
        peer_write_hello(out, &hello);
    } else if (peer_read_challenge(f, &challenge) == RC_OK) {
        peer_write_challenge(out, f, &challenge);
    } else if (peer_read_proof(f, &proof) == RC_OK) {
        (f->kind == PEER_PROOF ? peer_write_proof : peer_write_welcome)(out, f, &proof);
    } else {
        return false;
    }
    return true;
}

static bool rewrite_snapshot(const struct peer_frame *f, struct buf *out) {
    static struct peer_snapshot_begin begin;
    struct peer_snapshot_chunk chunk;
    struct peer_snapshot_place place;
    if (peer_read_snapshot_begin(f, &begin) == RC_OK) {
        peer_write_snapshot_begin(out, f, &begin);
    } else if (peer_read_snapshot_chunk(f, &chunk) == RC_OK) {
        peer_write_snapshot_chunk(out, f, &chunk);
    } else if (peer_read_snapshot_place(f, &place) == RC_OK) {
        peer_write_snapshot_resume(out, f, &place);
    } else if (peer_read_nothing(f) == RC_OK) {
        (f->kind == PEER_SNAPSHOT_END ? peer_write_snapshot_end : peer_write_snapshot_done)(out, f);
    } else {
        return false;
    }
    return true;
}

static bool rewrite_control(const struct peer_frame *f, struct buf *out) {
    struct peer_control control;
    if (peer_read_control(f, &control) != RC_OK) return false;
    if (f->kind == PEER_CONTROL_REQUEST)
        peer_write_control_request(out, f, &control);
    else
        peer_write_control_response(out, f, &control);
    return true;
}

static void read_texts(const struct peer_frame *f) {
    struct peer_refused refused;
    char text[100];
    if (peer_read_refused(f, &refused) == RC_OK) CHECK(strlen(refused.text) <= PEER_TEXT_MAX);
    if (peer_read_text(f, text, sizeof text) == RC_OK) CHECK(strlen(text) < sizeof text);
}

static void try_frame(const struct peer_frame *f, struct slice bytes) {
    struct buf again = {0};
    read_texts(f);
    int readers = rewrite_message(f, &again) + rewrite_greeting(f, &again) + rewrite_snapshot(f, &again) +
                  rewrite_control(f, &again);
    CHECK(readers <= 1);
    if (readers == 1) CHECK(slice_eq(buf_slice(&again), bytes));
    buf_free(&again);
}

static void try_stream(struct slice wire) {
    while (wire.len > 0) {
        struct peer_frame f;
        size_t size = 0;
        enum rc rc = peer_frame_read(wire, BYTES_MAX, &f, &size);
        if (rc == RC_NOT_FOUND) CHECK(size > wire.len && size <= BYTES_MAX);
        if (rc != RC_OK) return;
        CHECK(size >= PEER_HEADER_SIZE && size <= wire.len);
        try_frame(&f, slice_make(wire.data, size));
        wire = slice_make(wire.data + size, wire.len - size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    char *copy = fuzz_exact_copy(data + 1, size - 1);
    struct peer_frame f = {.kind = data[0], .source = 1, .target = 2, .body = slice_make(copy, size - 1)};
    if (f.kind >= 128) {
        try_stream(f.body);
    } else if (peer_frame_name(f.kind)[0] != '?') {
        f.term = f.kind < 32 ? 1000 : 0;
        struct buf frame = {0};
        peer_frame_write(&frame, &f);
        char *exact = fuzz_exact_copy(frame.data, frame.len);
        try_stream(slice_make(exact, frame.len));
        mem_free(exact);
        buf_free(&frame);
    }
    mem_free(copy);
    return 0;
}
