/* The bodies of all frames that are not Raft messages: handshake, snapshots, control. See peer_frame.h; the bytes are
 * drawn in README.md. A body is read to its end: bytes left over are malformed. */
#include "hash.h"
#include "peer_frame.h"
#include "raft_members.h"

/* --- parts --- */

/* Short texts stand behind their length in two bytes. */
static void add_short(struct buf *out, struct slice text, size_t max) {
    CHECK(text.len <= max);
    CHECK(text.len <= UINT16_MAX);
    uint16_t len = (uint16_t)text.len;
    buf_add(out, &len, sizeof len);
    buf_add_slice(out, text);
}

static bool take_short(struct slice *rest, size_t max, struct slice *out) {
    uint16_t len;
    return slice_take_raw(rest, &len, sizeof len) && len <= max && slice_take(rest, len, out);
}

static struct peer_frame header_of(const struct peer_frame *frame, enum peer_frame_kind kind) {
    struct peer_frame header = *frame;
    header.kind = kind;
    return header;
}

static void write_frame(struct buf *out, const struct peer_frame *frame, enum peer_frame_kind kind,
                        struct slice body) {
    struct peer_frame whole = header_of(frame, kind);
    whole.body = body;
    peer_frame_write(out, &whole);
}

/* What the other side says ends up in our log and on terminals. */
static size_t make_printable(char *out, size_t cap, struct slice text) {
    size_t len = text.len < cap ? text.len : cap;
    for (size_t i = 0; i < len; i++) out[i] = text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?';
    return len;
}

/* --- the handshake --- */

static void add_client(struct buf *out, const struct peer_client *c) {
    CHECK(c->resp == 2 || c->resp == 3);
    buf_add_u64le(out, c->id);
    buf_add_u32le(out, c->db);
    buf_add_byte(out, c->resp);
    buf_add_byte(out, (uint8_t)(c->no_evict | c->said_password << 1));
    add_short(out, c->address, PEER_CLIENT_ADDRESS_MAX);
    add_short(out, c->local_address, PEER_CLIENT_ADDRESS_MAX);
    add_short(out, c->name, PEER_NAME_MAX);
    add_short(out, c->lib_name, PEER_NAME_MAX);
    add_short(out, c->lib_version, PEER_NAME_MAX);
    add_short(out, c->user, PEER_NAME_MAX);
}

static bool take_client(struct slice *rest, struct peer_client *c) {
    uint8_t flags;
    if (!slice_take_u64le(rest, &c->id) || !slice_take_u32le(rest, &c->db) ||
        !slice_take_u8(rest, &c->resp) || !slice_take_u8(rest, &flags))
        return false;
    if ((c->resp != 2 && c->resp != 3) || flags > 3) return false;
    c->no_evict = flags & 1;
    c->said_password = flags >> 1;
    return take_short(rest, PEER_CLIENT_ADDRESS_MAX, &c->address) &&
           take_short(rest, PEER_CLIENT_ADDRESS_MAX, &c->local_address) &&
           take_short(rest, PEER_NAME_MAX, &c->name) && take_short(rest, PEER_NAME_MAX, &c->lib_name) &&
           take_short(rest, PEER_NAME_MAX, &c->lib_version) && take_short(rest, PEER_NAME_MAX, &c->user);
}

void peer_write_hello(struct buf *out, const struct peer_hello *hello) {
    struct peer_frame header = {
        .kind = PEER_HELLO, .origin = hello->origin, .source = hello->source, .target = hello->target};
    CHECK(hello->link >= PEER_LINK_RAFT);
    CHECK(hello->link <= PEER_LINK_CONTROL);
    size_t start = peer_frame_begin(out, &header);
    buf_add_u32le(out, hello->protocol);
    buf_add_u32le(out, hello->link);
    buf_add(out, hello->nonce, sizeof hello->nonce);
    add_short(out, slice_make(hello->address, strnlen(hello->address, sizeof hello->address)),
              RAFT_ADDRESS_CAP - 1);
    if (hello->link == PEER_LINK_FORWARD) add_client(out, &hello->client);
    peer_frame_end(out, start);
    CHECK(out->len - start <= PEER_HELLO_FRAME_MAX);
}

static bool take_hello(struct slice *rest, struct peer_hello *h) {
    uint32_t link;
    struct slice address;
    if (!slice_take_u32le(rest, &link) || link < PEER_LINK_RAFT || link > PEER_LINK_CONTROL) return false;
    h->link = (enum peer_link_kind)link;
    if (!slice_take_raw(rest, h->nonce, sizeof h->nonce)) return false;
    if (!take_short(rest, RAFT_ADDRESS_CAP - 1, &address)) return false;
    if (make_printable(h->address, sizeof h->address - 1, address) != address.len ||
        memcmp(h->address, address.data, address.len) != 0)
        return false;
    if (h->link == PEER_LINK_FORWARD && !take_client(rest, &h->client)) return false;
    return rest->len == 0;
}

enum rc peer_read_hello(const struct peer_frame *frame, struct peer_hello *out) {
    struct peer_hello h = {.origin = frame->origin, .source = frame->source, .target = frame->target};
    struct slice rest = frame->body;
    if (frame->kind != PEER_HELLO || !slice_take_u32le(&rest, &h.protocol)) return RC_INVALID;
    if (h.protocol == PEER_PROTOCOL_VERSION && !take_hello(&rest, &h)) return RC_INVALID;
    *out = h;
    return RC_OK;
}

void peer_write_challenge(struct buf *out, const struct peer_frame *frame, const struct peer_challenge *c) {
    write_frame(out, frame, PEER_CHALLENGE, slice_make((const char *)c->nonce, sizeof c->nonce));
}

void peer_write_proof(struct buf *out, const struct peer_frame *frame, const struct peer_proof *p) {
    write_frame(out, frame, PEER_PROOF, slice_make((const char *)p->mac, sizeof p->mac));
}

void peer_write_welcome(struct buf *out, const struct peer_frame *frame, const struct peer_proof *p) {
    write_frame(out, frame, PEER_WELCOME, slice_make((const char *)p->mac, sizeof p->mac));
}

enum rc peer_read_challenge(const struct peer_frame *frame, struct peer_challenge *out) {
    if (frame->kind != PEER_CHALLENGE || frame->body.len != sizeof out->nonce) return RC_INVALID;
    memcpy(out->nonce, frame->body.data, sizeof out->nonce);
    return RC_OK;
}

enum rc peer_read_proof(const struct peer_frame *frame, struct peer_proof *out) {
    if (frame->kind != PEER_PROOF && frame->kind != PEER_WELCOME) return RC_INVALID;
    if (frame->body.len != sizeof out->mac) return RC_INVALID;
    memcpy(out->mac, frame->body.data, sizeof out->mac);
    return RC_OK;
}

void peer_write_refused(struct buf *out, const struct peer_frame *frame, enum peer_refusal code,
                        const char *text) {
    CHECK(code != PEER_ACCEPTED);
    struct peer_frame header = header_of(frame, PEER_REFUSED);
    size_t start = peer_frame_begin(out, &header);
    buf_add_u32le(out, code);
    buf_add(out, text, strnlen(text, PEER_TEXT_MAX));
    peer_frame_end(out, start);
}

enum rc peer_read_refused(const struct peer_frame *frame, struct peer_refused *out) {
    struct slice rest = frame->body;
    uint32_t code;
    if (frame->kind != PEER_REFUSED || !slice_take_u32le(&rest, &code)) return RC_INVALID;
    if (code == PEER_ACCEPTED || rest.len > PEER_TEXT_MAX) return RC_INVALID;
    out->code = code;
    out->text[make_printable(out->text, PEER_TEXT_MAX, rest)] = '\0';
    return RC_OK;
}

const char *peer_refusal_name(uint32_t code) {
    switch (code) {
    case PEER_ACCEPTED: return "accepted";
    case PEER_WRONG_CLUSTER: return "wrong cluster";
    case PEER_WRONG_TARGET: return "wrong target";
    case PEER_WRONG_VERSION: return "wrong version";
    case PEER_UNKNOWN_SENDER: return "unknown sender";
    case PEER_BAD_SECRET: return "bad secret";
    case PEER_NOT_LEADER: return "not leader";
    case PEER_BUSY: return "busy";
    case PEER_STOPPING: return "stopping";
    case PEER_UNEXPECTED: return "unexpected";
    default: return "unknown reason";
    }
}

/* --- snapshots --- */

void peer_write_snapshot_begin(struct buf *out, const struct peer_frame *frame,
                               const struct peer_snapshot_begin *s) {
    struct peer_frame header = header_of(frame, PEER_SNAPSHOT_BEGIN);
    size_t start = peer_frame_begin(out, &header);
    buf_add_u64le(out, s->index);
    buf_add_u64le(out, s->term);
    buf_add_u64le(out, s->members_index);
    buf_add_u64le(out, 0); /* the length of the members */
    size_t members_at = out->len;
    members_encode(out, &s->members);
    uint64_t members_size = out->len - members_at;
    memcpy(out->data + members_at - sizeof members_size, &members_size, sizeof members_size);
    buf_add_slice(out, s->files);
    peer_frame_end(out, start);
}

/* A snapshot holds at least one entry, and none that is newer than itself. */
enum rc peer_read_snapshot_begin(const struct peer_frame *frame, struct peer_snapshot_begin *out) {
    struct slice rest = frame->body, members;
    uint64_t index, term, members_index, members_size;
    struct raft_members decoded;
    if (frame->kind != PEER_SNAPSHOT_BEGIN) return RC_INVALID;
    if (!slice_take_u64le(&rest, &index) || !slice_take_u64le(&rest, &term) ||
        !slice_take_u64le(&rest, &members_index) || !slice_take_u64le(&rest, &members_size) ||
        !slice_take(&rest, members_size, &members))
        return RC_INVALID;
    if (index == 0 || index > INT64_MAX || term == 0 || term > INT64_MAX || members_index > index)
        return RC_INVALID;
    if (members_decode(members, &decoded) != RC_OK) return RC_INVALID;
    *out = (struct peer_snapshot_begin){
        .index = index, .term = term, .members_index = members_index, .members = decoded, .files = rest};
    return RC_OK;
}

void peer_write_snapshot_chunk(struct buf *out, const struct peer_frame *frame,
                               const struct peer_snapshot_chunk *c) {
    struct peer_frame header = header_of(frame, PEER_SNAPSHOT_CHUNK);
    buf_reserve(out, PEER_HEADER_SIZE + 16 + c->bytes.len);
    size_t start = peer_frame_begin(out, &header);
    buf_add_u64le(out, c->offset);
    buf_add_u32le(out, c->file);
    buf_add_u32le(out, crc32c(0, c->bytes));
    buf_add_slice(out, c->bytes);
    peer_frame_end(out, start);
}

enum rc peer_read_snapshot_chunk(const struct peer_frame *frame, struct peer_snapshot_chunk *out) {
    struct peer_snapshot_chunk c;
    struct slice rest = frame->body;
    if (frame->kind != PEER_SNAPSHOT_CHUNK || !slice_take_u64le(&rest, &c.offset) ||
        !slice_take_u32le(&rest, &c.file) || !slice_take_u32le(&rest, &c.crc))
        return RC_INVALID;
    if (c.offset > INT64_MAX - rest.len || c.crc != crc32c(0, rest)) return RC_INVALID;
    c.bytes = rest;
    *out = c;
    return RC_OK;
}

void peer_write_snapshot_resume(struct buf *out, const struct peer_frame *frame,
                                const struct peer_snapshot_place *p) {
    struct peer_frame header = header_of(frame, PEER_SNAPSHOT_RESUME);
    size_t start = peer_frame_begin(out, &header);
    buf_add_u64le(out, p->offset);
    buf_add_u32le(out, p->file);
    peer_frame_end(out, start);
}

enum rc peer_read_snapshot_place(const struct peer_frame *frame, struct peer_snapshot_place *out) {
    struct peer_snapshot_place p;
    struct slice rest = frame->body;
    if (frame->kind != PEER_SNAPSHOT_RESUME || !slice_take_u64le(&rest, &p.offset) ||
        !slice_take_u32le(&rest, &p.file) || rest.len != 0 || p.offset > INT64_MAX)
        return RC_INVALID;
    *out = p;
    return RC_OK;
}

void peer_write_snapshot_end(struct buf *out, const struct peer_frame *frame) {
    write_frame(out, frame, PEER_SNAPSHOT_END, slice_make(NULL, 0));
}

void peer_write_snapshot_done(struct buf *out, const struct peer_frame *frame) {
    write_frame(out, frame, PEER_SNAPSHOT_DONE, slice_make(NULL, 0));
}

enum rc peer_read_nothing(const struct peer_frame *frame) {
    if (frame->kind != PEER_SNAPSHOT_END && frame->kind != PEER_SNAPSHOT_DONE) return RC_INVALID;
    return frame->body.len == 0 ? RC_OK : RC_INVALID;
}

void peer_write_snapshot_failed(struct buf *out, const struct peer_frame *frame, const char *text) {
    write_frame(out, frame, PEER_SNAPSHOT_FAILED, slice_make(text, strnlen(text, PEER_TEXT_MAX)));
}

enum rc peer_read_text(const struct peer_frame *frame, char *out, size_t cap) {
    CHECK(cap > 0);
    if (frame->kind != PEER_SNAPSHOT_FAILED || frame->body.len > PEER_TEXT_MAX) return RC_INVALID;
    out[make_printable(out, cap - 1, frame->body)] = '\0';
    return RC_OK;
}

/* --- control --- */

static void write_control(struct buf *out, const struct peer_frame *frame, enum peer_frame_kind kind,
                          const struct peer_control *c) {
    struct peer_frame header = header_of(frame, kind);
    size_t start = peer_frame_begin(out, &header);
    buf_add_byte(out, c->kind);
    buf_add_slice(out, c->body);
    peer_frame_end(out, start);
}

void peer_write_control_request(struct buf *out, const struct peer_frame *frame,
                                const struct peer_control *c) {
    write_control(out, frame, PEER_CONTROL_REQUEST, c);
}

void peer_write_control_response(struct buf *out, const struct peer_frame *frame,
                                 const struct peer_control *c) {
    write_control(out, frame, PEER_CONTROL_RESPONSE, c);
}

enum rc peer_read_control(const struct peer_frame *frame, struct peer_control *out) {
    struct slice rest = frame->body;
    uint8_t kind;
    if (frame->kind != PEER_CONTROL_REQUEST && frame->kind != PEER_CONTROL_RESPONSE) return RC_INVALID;
    if (!slice_take_u8(&rest, &kind)) return RC_INVALID;
    *out = (struct peer_control){.kind = kind, .body = rest};
    return RC_OK;
}
