/* What nodes say to each other, as bytes: frames of one header, one body, one checksum over both. The byte tables are in
 * proto/README.md. Pure; the conversation they make up is server/net/peer_net.h's.
 *
 * Writing appends to a buffer; what the writer is given wrong is our bug (CHECK). Reading trusts nothing: whatever is
 * malformed is RC_INVALID, and a length is believed only as far as the caller's bound.
 *
 *     peer_write_message(&out, &origin, &message);                          a Raft message without entries
 *
 *     peer_append_begin(&a, &out, &origin, &message);                       RAFT_APPEND: the payloads are copied once,
 *     peer_append_add(&a, &entry, payload);  ...                            from wherever each of them is, into `out`
 *     peer_append_end(&a);
 *
 *     rc = peer_frame_read(input, frame_bytes_max, &frame, &size);          RC_NOT_FOUND: come back with `size` bytes
 *     rc = peer_read_message(&frame, &store, &message);                     entries and payloads are in `store` */
#ifndef PROTO_PEER_FRAME_H
#define PROTO_PEER_FRAME_H

#include "buf.h"
#include "check.h"
#include "raft_message.h"

enum {
    PEER_PROTOCOL_VERSION = 2,
    PEER_HEADER_SIZE = 72,
    PEER_CLUSTER_ID_SIZE = 16,
    PEER_NONCE_SIZE = 32,
    PEER_MAC_SIZE = 32,
    PEER_TEXT_MAX = 1024, /* of REFUSED and SNAPSHOT_FAILED */
    PEER_CLIENT_ADDRESS_MAX = 63,
    PEER_NAME_MAX = 2048,            /* each of a forwarded client's names */
    PEER_HELLO_FRAME_MAX = 16 << 10, /* no frame of a handshake is longer: what a stranger can make us hold */
    PEER_APPEND_ENTRY_SIZE = 24,     /* what an entry takes in a RAFT_APPEND beside its payload */
    PEER_APPEND_FIXED_SIZE = 48,     /* what a RAFT_APPEND takes beside header and entries */
    PEER_APART_HEAD_SIZE = 144,      /* the sum of header, fixed part and entry: all of it but the payload */
};

/* On the wire: numbers are never reused. 1..31 are enum raft_message_kind. */
enum peer_frame_kind {
    PEER_HELLO = 32,     /* initiator, first: struct peer_hello */
    PEER_CHALLENGE = 33, /* responder with a secret: struct peer_challenge */
    PEER_PROOF = 34,     /* initiator: struct peer_proof */
    PEER_WELCOME =
        35, /* responder: struct peer_proof, all zero without a secret; the header says who it is */
    PEER_REFUSED = 36, /* either side, last: struct peer_refused */

    PEER_PART =
        40, /* a piece of the bytes of other frames, on a RAFT link: what is small need not wait for what is long */

    PEER_SNAPSHOT_BEGIN = 64, /* sender: struct peer_snapshot_begin */
    PEER_SNAPSHOT_CHUNK = 65, /* sender: struct peer_snapshot_chunk */
    PEER_SNAPSHOT_END = 66,   /* sender: no body; everything has been sent */
    PEER_SNAPSHOT_RESUME =
        67,                  /* receiver: struct peer_snapshot_place; where to go on, or how far it has got */
    PEER_SNAPSHOT_DONE = 68, /* receiver: no body; it is in place, durably */
    PEER_SNAPSHOT_FAILED = 69, /* either side, last: a text (peer_read_text) */

    PEER_CONTROL_REQUEST = 96, /* struct peer_control: a kind and bytes that mean nothing here */
    PEER_CONTROL_RESPONSE = 97,
};

/* Which Raft group of which cluster speaks. An all-zero cluster id is a node that belongs to none yet. */
struct peer_origin {
    uint64_t group;
    uint8_t cluster[PEER_CLUSTER_ID_SIZE];
};

struct peer_frame {
    uint32_t kind; /* enum peer_frame_kind or enum raft_message_kind: one of those named above, no other */
    struct peer_origin origin;
    uint64_t source, target; /* node ids; target 0: whoever reads this */
    uint64_t term;           /* of a Raft message or a snapshot; otherwise 0 */
    struct slice body;       /* borrowed from the input */
};

/* --- any frame --- */

/* Begins a frame at the end of `out`: the caller appends the body and hands the returned place to peer_frame_end, which
 * fills in length and checksum. `frame->body` is ignored. */
size_t peer_frame_begin(struct buf *out, const struct peer_frame *frame);
void peer_frame_end(struct buf *out, size_t start);
/* The two in one, with frame->body. */
void peer_frame_write(struct buf *out, const struct peer_frame *frame);

/* Takes one frame from the front of `input`.
 * RC_OK         *out is the frame, its body borrowed from `input`; *size is how many bytes it took
 * RC_NOT_FOUND  it is not all there yet: *size is how many bytes the input must have before asking again can help (an
 *               honest claim of the sender's, at most bytes_max: no reason to allocate so much at once)
 * RC_INVALID    garbage, another version, longer than bytes_max, an unknown kind, a wrong checksum: nothing that follows
 *               can be understood. Garbage is told from the first bytes, without waiting for more */
MUST_USE enum rc peer_frame_read(struct slice input, size_t bytes_max, struct peer_frame *out, size_t *size);

uint32_t peer_frame_kind(struct slice frame); /* of one that was written here */
const char *peer_frame_name(uint32_t kind);   /* "APPEND", "HELLO"; "?" for others. For the log */

/* --- Raft messages --- */

/* All but RAFT_APPEND. The header's source, target and term are the message's from, to and term. */
void peer_write_message(struct buf *out, const struct peer_origin *origin, const struct raft_message *m);

/* RAFT_APPEND, entry by entry, contiguous from m->prev_index + 1; m->entries and m->entry_count are ignored. Nothing else
 * may be appended to `out` before peer_append_end or _cancel. An append without entries is fine. */
struct peer_append {
    struct buf *out;
    size_t start;
    uint64_t next_index;
    uint64_t count;
};
void peer_append_begin(struct peer_append *a, struct buf *out, const struct peer_origin *origin,
                       const struct raft_message *m);
/* entry->index must be the next one and payload.len be entry->size. entry->members is not looked at: the payload is
 * members_encode's bytes. */
void peer_append_add(struct peer_append *a, const struct raft_entry *entry, struct slice payload);
void peer_append_end(struct peer_append *a);
/* Instead of peer_append_add and peer_append_end, for a frame of this one entry that goes in parts: `out` gets the
 * PEER_APART_HEAD_SIZE bytes of its head, and entry->size bytes of payload are to follow from where they are. The frame has
 * no checksum (0), since each part has its own, so nobody has to go through all of it at once. */
void peer_append_end_apart(struct peer_append *a, const struct raft_entry *entry);
void peer_append_cancel(struct peer_append *a); /* `out` is as it was before peer_append_begin */
/* Bytes of the frame so far: what to stop by. */
static inline size_t peer_append_size(const struct peer_append *a) {
    return a->out->len - a->start;
}

/* Where the entries of the last RAFT_APPEND read are kept; all-zero is empty. Grows with entries that are really there. */
struct peer_append_store {
    struct raft_entry *entries;   /* members point into `members` below */
    struct slice *payloads;       /* payloads[i] is of entries[i], borrowed from the frame's body */
    struct raft_members *members; /* of the RAFT_ENTRY_MEMBERS among them, in order */
    size_t entries_cap, members_cap;
};
void peer_append_store_free(struct peer_append_store *store);

/* *out (and out->entries, in *store) is good until the store is used again or the frame's bytes go. RC_INVALID, and *out
 * untouched: not a Raft message, fields missing or left over, flags or an entry kind that do not exist, indexes beyond
 * 2^63, ids of 0, terms that fall or are above the message's, a configuration that members_decode refuses or that is
 * empty. What it says about the log is the core's to judge. */
MUST_USE enum rc peer_read_message(const struct peer_frame *frame, struct peer_append_store *store,
                                   struct raft_message *out);

/* Of frames that come in parts only. Whether these bytes begin with the head of what peer_append_end_apart made, no longer than
 * bytes_max; the rest is then *payload_len bytes of payload. */
bool peer_append_is_apart(struct slice input, size_t bytes_max, size_t *payload_len);
/* The frame of such a head and its payload, and its message, as peer_frame_read and peer_read_message would have it. */
MUST_USE enum rc peer_read_apart(struct slice head, struct slice payload, struct peer_append_store *store,
                                 struct peer_frame *frame, struct raft_message *out);

/* --- the handshake --- */

/* On the wire: numbers are never reused. */
enum peer_link_kind {
    PEER_LINK_RAFT = 1,     /* Raft messages, from the initiator only */
    PEER_LINK_SNAPSHOT = 2, /* one snapshot, from the initiator */
    PEER_LINK_FORWARD = 3,  /* a client of the initiator's: RESP after the WELCOME */
    PEER_LINK_CONTROL = 4,  /* one request of the initiator's, one response */
};

/* Of PEER_LINK_FORWARD: whose commands come. */
struct peer_client {
    uint64_t id;                                    /* at the initiator */
    struct slice address, local_address;            /* "127.0.0.1:1234" */
    struct slice name, lib_name, lib_version, user; /* at most PEER_NAME_MAX each */
    uint32_t db;
    uint8_t resp; /* 2 or 3 */
    bool no_evict;
    bool
        said_password; /* or else it is who it is because none is needed, which the other side knows better */
};

/* Who speaks stands in the frame's header: cluster (zero: none yet), source, target (0: whoever is there). */
struct peer_hello {
    uint32_t protocol; /* PEER_PROTOCOL_VERSION */
    enum peer_link_kind link;
    struct peer_origin origin;
    uint64_t source, target;
    char address[RAFT_ADDRESS_CAP]; /* where the initiator's clients reach it; may be empty */
    uint8_t nonce[PEER_NONCE_SIZE];
    struct peer_client client; /* PEER_LINK_FORWARD; otherwise all zero. Slices borrowed from the frame */
};

struct peer_challenge {
    uint8_t nonce[PEER_NONCE_SIZE];
};

struct peer_proof {
    uint8_t mac[PEER_MAC_SIZE];
};

/* On the wire: numbers are never reused. */
enum peer_refusal {
    PEER_ACCEPTED = 0,      /* never sent */
    PEER_WRONG_CLUSTER = 1, /* "I belong to another cluster" */
    PEER_WRONG_TARGET = 2,  /* "I am not the node you are looking for" */
    PEER_WRONG_VERSION = 3,
    PEER_UNKNOWN_SENDER = 4, /* not a member here */
    PEER_BAD_SECRET = 5,     /* a wrong one, or one side has none */
    PEER_NOT_LEADER = 6,     /* FORWARD to a node that does not lead */
    PEER_BUSY = 7,           /* too many links, a snapshot in progress */
    PEER_STOPPING = 8,
    PEER_UNEXPECTED = 9, /* garbage, or a frame that has no place here */
};

struct peer_refused {
    uint32_t code;                /* enum peer_refusal, or one that a later version has */
    char text[PEER_TEXT_MAX + 1]; /* printable ASCII: whatever is not, arrives as '?' */
};

void peer_write_hello(struct buf *out, const struct peer_hello *hello);
/* The rest take who speaks to whom from `frame` (kind and body are ignored). */
void peer_write_challenge(struct buf *out, const struct peer_frame *frame, const struct peer_challenge *c);
void peer_write_proof(struct buf *out, const struct peer_frame *frame, const struct peer_proof *p);
void peer_write_welcome(struct buf *out, const struct peer_frame *frame, const struct peer_proof *p);
/* The text is cut at PEER_TEXT_MAX. */
void peer_write_refused(struct buf *out, const struct peer_frame *frame, enum peer_refusal code,
                        const char *text);

/* RC_INVALID for a frame of another kind and for a body that is not of this shape. A HELLO of another protocol version
 * reads as RC_OK with only `protocol`, origin, source and target filled in: the refusal can be said. */
MUST_USE enum rc peer_read_hello(const struct peer_frame *frame, struct peer_hello *out);
MUST_USE enum rc peer_read_challenge(const struct peer_frame *frame, struct peer_challenge *out);
MUST_USE enum rc peer_read_proof(const struct peer_frame *frame,
                                 struct peer_proof *out); /* PROOF and WELCOME */
MUST_USE enum rc peer_read_refused(const struct peer_frame *frame, struct peer_refused *out);
const char *peer_refusal_name(uint32_t code); /* "wrong cluster"; "unknown reason" for others */

/* --- snapshots --- */

struct peer_snapshot_begin {
    uint64_t index, term;        /* the last entry it contains */
    uint64_t members_index;      /* of the entry that made this configuration */
    struct raft_members members; /* as of `index` */
    struct slice files;          /* what comes, in the storage's own words */
};
struct peer_snapshot_chunk {
    uint32_t file; /* its place in `files` */
    uint64_t offset;
    uint32_t crc; /* CRC32C of the bytes, as the sender read them from its disk */
    struct slice bytes;
};
struct peer_snapshot_place {
    uint32_t file;
    uint64_t offset;
};

/* The frame's term is the sender's Raft term. */
void peer_write_snapshot_begin(struct buf *out, const struct peer_frame *frame,
                               const struct peer_snapshot_begin *s);
/* Fills in chunk->crc by itself. */
void peer_write_snapshot_chunk(struct buf *out, const struct peer_frame *frame,
                               const struct peer_snapshot_chunk *c);
void peer_write_snapshot_end(struct buf *out, const struct peer_frame *frame);
void peer_write_snapshot_resume(struct buf *out, const struct peer_frame *frame,
                                const struct peer_snapshot_place *p);
void peer_write_snapshot_done(struct buf *out, const struct peer_frame *frame);
void peer_write_snapshot_failed(struct buf *out, const struct peer_frame *frame, const char *text);

MUST_USE enum rc peer_read_snapshot_begin(const struct peer_frame *frame, struct peer_snapshot_begin *out);
/* A chunk whose bytes do not have its crc is RC_INVALID. */
MUST_USE enum rc peer_read_snapshot_chunk(const struct peer_frame *frame, struct peer_snapshot_chunk *out);
MUST_USE enum rc peer_read_snapshot_place(const struct peer_frame *frame, struct peer_snapshot_place *out);
MUST_USE enum rc peer_read_nothing(const struct peer_frame *frame); /* SNAPSHOT_END, SNAPSHOT_DONE */
/* SNAPSHOT_FAILED. Copied as a C string, what is not printable ASCII as '?', cut at cap. */
MUST_USE enum rc peer_read_text(const struct peer_frame *frame, char *out, size_t cap);

/* --- control --- */

struct peer_control {
    uint8_t kind;
    struct slice body;
};
void peer_write_control_request(struct buf *out, const struct peer_frame *frame,
                                const struct peer_control *c);
void peer_write_control_response(struct buf *out, const struct peer_frame *frame,
                                 const struct peer_control *c);
MUST_USE enum rc peer_read_control(const struct peer_frame *frame, struct peer_control *out); /* both */

#endif
