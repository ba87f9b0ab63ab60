/* See peer_frame.h; the bytes are drawn in README.md. The handshake's, the snapshots' and the control frames' bodies are
 * in peer_bodies.c; here are the frame itself and Raft's messages. */
#include "peer_frame.h"

#include "hash.h"
#include "mem.h"
#include "raft_members.h"

enum {
    FRAME_MAGIC = 0x504452, /* "RDP" */
    FRAME_FORMAT = 1,
    CRC_FROM = 12,         /* the checksum is of the length before it and of all that is behind it */
    STORE_KEEP_MAX = 4096, /* larger arrays are given back instead of kept for the next append */
};

/* On the wire, in this order and without padding. */
struct wire_header {
    uint64_t size; /* of the whole frame */
    uint32_t crc;
    uint32_t magic_format; /* magic in the low three bytes, format in the high one */
    uint32_t kind;
    uint32_t zero;
    uint64_t group;
    uint8_t cluster[PEER_CLUSTER_ID_SIZE];
    uint64_t source, target, term;
};
static_assert(sizeof(struct wire_header) == PEER_HEADER_SIZE, "wire format");
static_assert(offsetof(struct wire_header, magic_format) == CRC_FROM, "wire format");

static_assert(PEER_APART_HEAD_SIZE == PEER_HEADER_SIZE + PEER_APPEND_FIXED_SIZE + PEER_APPEND_ENTRY_SIZE,
              "wire format");

enum { MAGIC_FORMAT_END = offsetof(struct wire_header, kind), KIND_END = offsetof(struct wire_header, zero) };

/* --- any frame --- */

const char *peer_frame_name(uint32_t kind) {
    switch (kind) {
    case RAFT_APPEND: return "APPEND";
    case RAFT_APPEND_REPLY: return "APPEND_REPLY";
    case RAFT_HEARTBEAT: return "HEARTBEAT";
    case RAFT_HEARTBEAT_REPLY: return "HEARTBEAT_REPLY";
    case RAFT_VOTE: return "VOTE";
    case RAFT_VOTE_REPLY: return "VOTE_REPLY";
    case RAFT_TIMEOUT_NOW: return "TIMEOUT_NOW";
    case PEER_HELLO: return "HELLO";
    case PEER_CHALLENGE: return "CHALLENGE";
    case PEER_PROOF: return "PROOF";
    case PEER_WELCOME: return "WELCOME";
    case PEER_REFUSED: return "REFUSED";
    case PEER_PART: return "PART";
    case PEER_SNAPSHOT_BEGIN: return "SNAPSHOT_BEGIN";
    case PEER_SNAPSHOT_CHUNK: return "SNAPSHOT_CHUNK";
    case PEER_SNAPSHOT_END: return "SNAPSHOT_END";
    case PEER_SNAPSHOT_RESUME: return "SNAPSHOT_RESUME";
    case PEER_SNAPSHOT_DONE: return "SNAPSHOT_DONE";
    case PEER_SNAPSHOT_FAILED: return "SNAPSHOT_FAILED";
    case PEER_CONTROL_REQUEST: return "CONTROL_REQUEST";
    case PEER_CONTROL_RESPONSE: return "CONTROL_RESPONSE";
    default: return "?";
    }
}

static bool kind_exists(uint32_t kind) {
    return peer_frame_name(kind)[0] != '?';
}

size_t peer_frame_begin(struct buf *out, const struct peer_frame *frame) {
    CHECK(kind_exists(frame->kind));
    size_t start = out->len;
    struct wire_header wire = {
        .magic_format = FRAME_MAGIC | (uint32_t)FRAME_FORMAT << 24,
        .kind = frame->kind,
        .group = frame->origin.group,
        .source = frame->source,
        .target = frame->target,
        .term = frame->term,
    };
    memcpy(wire.cluster, frame->origin.cluster, sizeof wire.cluster);
    buf_add(out, &wire, sizeof wire); /* no length yet: an unfinished frame is none */
    return start;
}

static uint32_t frame_crc(const char *frame, size_t size) {
    uint32_t crc = crc32c(0, slice_make(frame, offsetof(struct wire_header, crc)));
    return crc32c(crc, slice_make(frame + CRC_FROM, size - CRC_FROM));
}

void peer_frame_end(struct buf *out, size_t start) {
    CHECK(out->len >= start);
    CHECK(out->len - start >= PEER_HEADER_SIZE);
    uint64_t size = out->len - start;
    char *frame = out->data + start;
    memcpy(frame, &size, sizeof size);
    uint32_t crc = frame_crc(frame, size);
    memcpy(frame + offsetof(struct wire_header, crc), &crc, sizeof crc);
}

void peer_frame_write(struct buf *out, const struct peer_frame *frame) {
    size_t start = peer_frame_begin(out, frame);
    buf_add_slice(out, frame->body);
    peer_frame_end(out, start);
}

uint32_t peer_frame_kind(struct slice frame) {
    uint32_t kind;
    CHECK(frame.len >= PEER_HEADER_SIZE);
    memcpy(&kind, frame.data + offsetof(struct wire_header, kind), sizeof kind);
    return kind;
}

static struct peer_frame frame_of(const struct wire_header *wire, struct slice body) {
    struct peer_frame frame = {
        .kind = wire->kind,
        .origin.group = wire->group,
        .source = wire->source,
        .target = wire->target,
        .term = wire->term,
        .body = body,
    };
    memcpy(frame.origin.cluster, wire->cluster, sizeof wire->cluster);
    return frame;
}

enum rc peer_frame_read(struct slice input, size_t bytes_max, struct peer_frame *out, size_t *size) {
    struct wire_header wire = {0};
    if (input.len > 0) memcpy(&wire, input.data, input.len < sizeof wire ? input.len : sizeof wire);
    if (input.len >= sizeof wire.size && (wire.size < PEER_HEADER_SIZE || wire.size > bytes_max))
        return RC_INVALID;
    if (input.len >= MAGIC_FORMAT_END && wire.magic_format != (FRAME_MAGIC | (uint32_t)FRAME_FORMAT << 24))
        return RC_INVALID;
    if (input.len >= KIND_END && !kind_exists(wire.kind)) return RC_INVALID;
    if (input.len < PEER_HEADER_SIZE || input.len < wire.size) {
        *size = input.len < PEER_HEADER_SIZE ? PEER_HEADER_SIZE : (size_t)wire.size;
        return RC_NOT_FOUND;
    }
    if (wire.zero != 0 || wire.crc != frame_crc(input.data, wire.size)) return RC_INVALID;
    *out = frame_of(&wire, slice_make(input.data + PEER_HEADER_SIZE, (size_t)wire.size - PEER_HEADER_SIZE));
    *size = (size_t)wire.size;
    return RC_OK;
}

/* --- Raft messages, written --- */

/* On the wire: the fields behind the header, in this order, 8 bytes each. Which ones a kind has. */
enum {
    FIELD_FLAGS = 1 << 0,
    FIELD_ROUND = 1 << 1, /* round, sent_us */
    FIELD_PREV = 1 << 2,  /* prev_index, prev_term */
    FIELD_COMMIT = 1 << 3,
    FIELD_MATCH = 1 << 4,
    FIELD_HINT = 1 << 5, /* hint_index, hint_term */
    FIELD_LAST = 1 << 6, /* last_index, last_term */
    FIELD_ENTRIES = 1 << 7,
};

enum { FLAG_REJECTED = 1 << 0, FLAG_PRE_VOTE = 1 << 1, FLAG_TRANSFER = 1 << 2 };

/* Which flags each kind may have, beside its fields. */
struct message_shape {
    unsigned fields;
    uint64_t flags;
};

static struct message_shape shape_of(uint32_t kind) {
    switch (kind) {
    case RAFT_APPEND:
        return (struct message_shape){FIELD_ROUND | FIELD_PREV | FIELD_COMMIT | FIELD_ENTRIES, 0};
    case RAFT_APPEND_REPLY:
        return (struct message_shape){FIELD_FLAGS | FIELD_ROUND | FIELD_PREV | FIELD_MATCH | FIELD_HINT,
                                      FLAG_REJECTED};
    case RAFT_HEARTBEAT: return (struct message_shape){FIELD_ROUND | FIELD_COMMIT, 0};
    case RAFT_HEARTBEAT_REPLY: return (struct message_shape){FIELD_ROUND, 0};
    case RAFT_VOTE: return (struct message_shape){FIELD_FLAGS | FIELD_LAST, FLAG_PRE_VOTE | FLAG_TRANSFER};
    case RAFT_VOTE_REPLY: return (struct message_shape){FIELD_FLAGS, FLAG_PRE_VOTE | FLAG_REJECTED};
    case RAFT_TIMEOUT_NOW: return (struct message_shape){FIELD_ROUND, 0};
    default: return (struct message_shape){0, 0};
    }
}

static uint64_t flags_of(const struct raft_message *m) {
    return (m->rejected ? FLAG_REJECTED : 0u) | (m->pre_vote ? FLAG_PRE_VOTE : 0u) |
           (m->is_transfer ? FLAG_TRANSFER : 0u);
}

static void write_fields(struct buf *out, const struct raft_message *m) {
    struct message_shape shape = shape_of(m->kind);
    if (shape.fields & FIELD_FLAGS) buf_add_u64le(out, flags_of(m) & shape.flags);
    if (shape.fields & FIELD_ROUND) {
        buf_add_u64le(out, m->round);
        buf_add_u64le(out, m->sent_us);
    }
    if (shape.fields & FIELD_PREV) {
        buf_add_u64le(out, m->prev_index);
        buf_add_u64le(out, m->prev_term);
    }
    if (shape.fields & FIELD_COMMIT) buf_add_u64le(out, m->commit_index);
    if (shape.fields & FIELD_MATCH) buf_add_u64le(out, m->match_index);
    if (shape.fields & FIELD_HINT) {
        buf_add_u64le(out, m->hint_index);
        buf_add_u64le(out, m->hint_term);
    }
    if (shape.fields & FIELD_LAST) {
        buf_add_u64le(out, m->last_index);
        buf_add_u64le(out, m->last_term);
    }
}

static size_t begin_message(struct buf *out, const struct peer_origin *origin, const struct raft_message *m) {
    CHECK(m->from != 0);
    CHECK(m->to != 0);
    struct peer_frame header = {
        .kind = m->kind, .origin = *origin, .source = m->from, .target = m->to, .term = m->term};
    size_t start = peer_frame_begin(out, &header);
    write_fields(out, m);
    return start;
}

void peer_write_message(struct buf *out, const struct peer_origin *origin, const struct raft_message *m) {
    CHECK(m->kind >= RAFT_APPEND_REPLY);
    CHECK(m->kind <= RAFT_TIMEOUT_NOW);
    peer_frame_end(out, begin_message(out, origin, m));
}

void peer_append_begin(struct peer_append *a, struct buf *out, const struct peer_origin *origin,
                       const struct raft_message *m) {
    CHECK(m->kind == RAFT_APPEND);
    *a = (struct peer_append){.out = out, .next_index = m->prev_index + 1};
    a->start = begin_message(out, origin, m);
    buf_add_u64le(out, 0); /* the count */
    CHECK(peer_append_size(a) == PEER_HEADER_SIZE + PEER_APPEND_FIXED_SIZE);
}

static void add_entry_head(struct peer_append *a, const struct raft_entry *entry) {
    CHECK(entry->index == a->next_index);
    CHECK(entry->kind >= RAFT_ENTRY_NOOP);
    CHECK(entry->kind <= RAFT_ENTRY_VERDICT);
    buf_add_u64le(a->out, entry->term);
    buf_add_u64le(a->out, entry->size);
    buf_add_u64le(a->out, entry->kind);
    a->next_index++;
    a->count++;
}

void peer_append_add(struct peer_append *a, const struct raft_entry *entry, struct slice payload) {
    CHECK(entry->size == payload.len);
    buf_reserve(a->out, PEER_APPEND_ENTRY_SIZE + payload.len);
    add_entry_head(a, entry);
    buf_add_slice(a->out, payload);
}

static void write_count(struct peer_append *a) {
    size_t count_at = a->start + PEER_HEADER_SIZE + PEER_APPEND_FIXED_SIZE - sizeof a->count;
    memcpy(a->out->data + count_at, &a->count, sizeof a->count);
}

void peer_append_end(struct peer_append *a) {
    write_count(a);
    peer_frame_end(a->out, a->start);
    a->out = NULL;
}

void peer_append_end_apart(struct peer_append *a, const struct raft_entry *entry) {
    CHECK(a->count == 0);
    add_entry_head(a, entry);
    CHECK(peer_append_size(a) == PEER_APART_HEAD_SIZE);
    write_count(a);
    uint64_t size = PEER_APART_HEAD_SIZE + entry->size;
    memcpy(a->out->data + a->start, &size, sizeof size);
    a->out = NULL;
}

void peer_append_cancel(struct peer_append *a) {
    CHECK(a->out->len >= a->start);
    a->out->len = a->start;
    a->out = NULL;
}

/* --- Raft messages, read --- */

/* An index plus one is still an index. */
static bool take_index(struct slice *rest, uint64_t *out) {
    uint64_t index;
    if (!slice_take_u64le(rest, &index) || index > INT64_MAX) return false;
    *out = index;
    return true;
}

/* A term is nothing that another node may drive to its end either. */
static bool take_term(struct slice *rest, uint64_t term_max, uint64_t *out) {
    uint64_t term;
    if (!slice_take_u64le(rest, &term) || term > term_max) return false;
    *out = term;
    return true;
}

static bool take_flags(struct slice *rest, uint64_t allowed, struct raft_message *m) {
    uint64_t flags;
    if (!slice_take_u64le(rest, &flags) || (flags & ~allowed) != 0) return false;
    m->rejected = flags & FLAG_REJECTED;
    m->pre_vote = flags & FLAG_PRE_VOTE;
    m->is_transfer = flags & FLAG_TRANSFER;
    return true;
}

static bool take_fields(struct slice *rest, struct raft_message *m) {
    struct message_shape shape = shape_of(m->kind);
    unsigned f = shape.fields;
    if ((f & FIELD_FLAGS) && !take_flags(rest, shape.flags, m)) return false;
    if ((f & FIELD_ROUND) && !(slice_take_u64le(rest, &m->round) && slice_take_u64le(rest, &m->sent_us)))
        return false;
    if ((f & FIELD_PREV) && !(take_index(rest, &m->prev_index) && take_term(rest, INT64_MAX, &m->prev_term)))
        return false;
    if ((f & FIELD_COMMIT) && !take_index(rest, &m->commit_index)) return false;
    if ((f & FIELD_MATCH) && !take_index(rest, &m->match_index)) return false;
    if ((f & FIELD_HINT) && !(take_index(rest, &m->hint_index) && take_term(rest, INT64_MAX, &m->hint_term)))
        return false;
    if ((f & FIELD_LAST) && !(take_index(rest, &m->last_index) && take_term(rest, INT64_MAX, &m->last_term)))
        return false;
    return true;
}

void peer_append_store_free(struct peer_append_store *store) {
    mem_free(store->entries);
    mem_free(store->payloads);
    mem_free(store->members);
    *store = (struct peer_append_store){0};
}

static void store_grow(struct peer_append_store *store, size_t count) {
    if (count < store->entries_cap) return;
    size_t cap = store->entries_cap == 0 ? 16 : store->entries_cap * 2;
    store->entries = mem_realloc(store->entries, cap * sizeof *store->entries);
    store->payloads = mem_realloc(store->payloads, cap * sizeof *store->payloads);
    store->entries_cap = cap;
}

static struct raft_members *store_members(struct peer_append_store *store, size_t at) {
    if (at >= store->members_cap) {
        size_t cap = store->members_cap == 0 ? 1 : store->members_cap * 2;
        store->members = mem_realloc(store->members, cap * sizeof *store->members);
        store->members_cap = cap;
    }
    return &store->members[at];
}

/* The arrays may move while they grow, so `members` is set when all entries are read. */
static void link_members(struct peer_append_store *store, size_t count) {
    size_t next = 0;
    for (size_t i = 0; i < count; i++)
        if (store->entries[i].kind == RAFT_ENTRY_MEMBERS) store->entries[i].members = &store->members[next++];
}

static bool take_entry(struct slice *rest, struct raft_entry *e, struct slice *payload) {
    uint64_t size, kind;
    if (!slice_take_u64le(rest, &e->term) || !slice_take_u64le(rest, &size) || !slice_take_u64le(rest, &kind))
        return false;
    if (kind < RAFT_ENTRY_NOOP || kind > RAFT_ENTRY_VERDICT || !slice_take(rest, size, payload)) return false;
    e->kind = (enum raft_entry_kind)kind;
    e->size = size;
    return true;
}

/* An entry's term is at least that of the one before it, and no leader has entries of later terms than its own. */
static bool take_entries(struct slice *rest, struct peer_append_store *store, struct raft_message *m) {
    uint64_t count, term_before = m->prev_term;
    size_t members_count = 0;
    if (!slice_take_u64le(rest, &count) || count > rest->len / PEER_APPEND_ENTRY_SIZE) return false;
    if (store->entries_cap > STORE_KEEP_MAX) peer_append_store_free(store);
    for (uint64_t i = 0; i < count; i++) {
        store_grow(store, i);
        struct raft_entry *e = &store->entries[i];
        *e = (struct raft_entry){.index = m->prev_index + 1 + i};
        if (!take_entry(rest, e, &store->payloads[i])) return false;
        if (e->term < term_before || e->term == 0 || e->term > m->term) return false;
        term_before = e->term;
        if (e->kind != RAFT_ENTRY_MEMBERS) continue;
        struct raft_members *members = store_members(store, members_count++);
        if (members_decode(store->payloads[i], members) != RC_OK || members->count == 0) return false;
    }
    link_members(store, count);
    m->entries = store->entries;
    m->entry_count = count;
    return true;
}

/* From the front of a frame's body, which may go on behind: entries. */
static bool take_message(const struct peer_frame *frame, struct slice *rest, struct raft_message *m) {
    if (frame->kind < RAFT_APPEND || frame->kind > RAFT_TIMEOUT_NOW) return false;
    if (frame->source == 0 || frame->target == 0 || frame->term > INT64_MAX) return false;
    *m = (struct raft_message){.kind = (enum raft_message_kind)frame->kind,
                               .from = frame->source,
                               .to = frame->target,
                               .term = frame->term};
    return take_fields(rest, m);
}

enum rc peer_read_message(const struct peer_frame *frame, struct peer_append_store *store,
                          struct raft_message *out) {
    struct raft_message m;
    struct slice rest = frame->body;
    if (!take_message(frame, &rest, &m)) return RC_INVALID;
    if (m.kind == RAFT_APPEND && !take_entries(&rest, store, &m)) return RC_INVALID;
    if (rest.len != 0) return RC_INVALID;
    *out = m;
    return RC_OK;
}

/* --- appends whose payload is apart --- */

/* Of the head, behind the header: the message's fields, the count, the entry. */
static bool take_apart(struct slice head, struct wire_header *wire, struct slice *body,
                       uint64_t *payload_len) {
    uint64_t count = 0, size = 0, term = 0;
    if (head.len < PEER_APART_HEAD_SIZE) return false;
    memcpy(wire, head.data, sizeof *wire);
    *body = slice_make(head.data + PEER_HEADER_SIZE, PEER_APART_HEAD_SIZE - PEER_HEADER_SIZE);
    struct slice entry = slice_make(head.data + PEER_HEADER_SIZE + PEER_APPEND_FIXED_SIZE - sizeof count,
                                    sizeof count + PEER_APPEND_ENTRY_SIZE);
    bool whole = slice_take_u64le(&entry, &count) && slice_take_u64le(&entry, &term) &&
                 slice_take_u64le(&entry, &size);
    CHECK(whole);
    *payload_len = size;
    return wire->magic_format == (FRAME_MAGIC | (uint32_t)FRAME_FORMAT << 24) && wire->zero == 0 &&
           wire->kind == RAFT_APPEND && wire->crc == 0 && count == 1 && wire->size >= PEER_APART_HEAD_SIZE &&
           size == wire->size - PEER_APART_HEAD_SIZE;
}

bool peer_append_is_apart(struct slice input, size_t bytes_max, size_t *payload_len) {
    struct wire_header wire;
    struct slice body;
    uint64_t len;
    if (!take_apart(input, &wire, &body, &len) || wire.size > bytes_max) return false;
    *payload_len = (size_t)len;
    return true;
}

enum rc peer_read_apart(struct slice head, struct slice payload, struct peer_append_store *store,
                        struct peer_frame *frame, struct raft_message *out) {
    struct wire_header wire;
    struct slice rest;
    struct raft_message m;
    uint64_t len, size, kind;
    if (!take_apart(head, &wire, &rest, &len) || payload.len != len) return RC_INVALID;
    struct peer_frame f = frame_of(&wire, rest);
    if (!take_message(&f, &rest, &m)) return RC_INVALID;
    store_grow(store, 0);
    struct raft_entry *e = &store->entries[0];
    *e = (struct raft_entry){.index = m.prev_index + 1};
    (void)slice_take(&rest, sizeof(uint64_t), &(struct slice){0}); /* the count */
    if (!slice_take_u64le(&rest, &e->term) || !slice_take_u64le(&rest, &size) ||
        !slice_take_u64le(&rest, &kind) || rest.len != 0)
        return RC_INVALID;
    if (kind != RAFT_ENTRY_COMMANDS || e->term < m.prev_term || e->term == 0 || e->term > m.term)
        return RC_INVALID; /* no other kind is that long */
    e->kind = RAFT_ENTRY_COMMANDS;
    e->size = len;
    store->payloads[0] = payload;
    m.entries = store->entries;
    m.entry_count = 1;
    *frame = f;
    *out = m;
    return RC_OK;
}
