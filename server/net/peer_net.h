/* Links between nodes: a listener on the peer port, outgoing links, the handshake. What Raft messages, snapshots and
 * requests mean is not known here; who may come in is asked of the node.
 *
 * Raft traffic runs one way on each connection: a node keeps one outgoing RAFT link to every peer and sends only there;
 * what arrives on links that others opened is received. A link's life at its initiator:
 *
 *            connect             TCP up, HELLO sent          [CHALLENGE, PROOF sent]  WELCOME, all of it right
 *   (wait) ----------> CONNECTING ----------------> GREETING -----------------------------------------------> UP
 *      ^                    |                           |                                                     |
 *      +---- 50 ms .. 1 s --+------- refused, wrong ----+--------------------- closed, broken ----------------+
 *
 * and at its responder:
 *
 *            accept             HELLO, welcome     [CHALLENGE sent; PROOF right]   WELCOME sent
 *   (none) ----------> STRANGER ------------------------------------------------------------> UP (or handed over: FORWARD)
 *                          | silent for some seconds, garbage, refused: a REFUSED if it makes sense, closed
 *
 * Threads: everything on the loop's thread. Callbacks come from within the loop, never from within a call into this file,
 * unless said otherwise; they may call anything here.
 * Bounds: strangers by PEER_STRANGERS_MAX (more are closed at once), accepted links by PEER_ACCEPTED_MAX, a frame by
 * frame_bytes_max (the link closes), a RAFT link's unsent bytes by out_bytes_max (peer_net_out says NULL), a snapshot's
 * by PEER_STREAM_QUEUE (not `writable`), control requests by their time-out.
 * What is refused or cannot be reached is logged once a minute for each (address, reason); a node of another cluster not
 * at the first refusals, which is how it looks while a cluster is being formed. */
#ifndef NET_PEER_NET_H
#define NET_PEER_NET_H

#include "buf.h"
#include "check.h"
#include "peer_frame.h"

#include <uv.h>

struct peer_net;
struct peer_stream;
struct peer_request;

enum {
    PEER_PORT_OFFSET = 10000, /* from the client port to the peer port */
    PEER_STRANGERS_MAX = 128,
    PEER_ACCEPTED_MAX =
        1024, /* FORWARD links do not count: they are client connections, bounded by maxclients */
    PEER_STREAM_QUEUE = 1 << 20,
    PEER_BACKOFF_MS_MIN = 50,
    PEER_BACKOFF_MS_MAX = 1000,
    PEER_WHY_CAP = 256,
};

/* Copied by peer_net_new, texts too. */
struct peer_net_options {
    uint64_t id; /* this node; may be 0 while it has none */
    struct peer_origin origin;
    const char *address;    /* this node's own, told in HELLO; NULL or "": not known */
    const char *secret;     /* cluster-secret; NULL or "": none */
    size_t frame_bytes_max; /* 0: 4 GiB. Memory follows what arrives, not what is announced */
    size_t out_bytes_max;   /* 0: 64 MiB. A single frame above it still goes out on an empty queue */
    uint64_t greeting_ms;   /* for the whole of a handshake, TCP included; 0: 5000 */
    uint64_t seed;          /* of the back-off's jitter */
};

struct peer_net_handler {
    void *arg;
    /* May this one in? PEER_ACCEPTED, or the code to refuse with and a text for the other side and the log in `why`
     * (PEER_WHY_CAP bytes). Asked once the sender has proved to know the secret. Version, own id as target, and, but
     * for CONTROL links, a cluster id that differs from ours with both of them set were looked at before. */
    enum peer_refusal (*accept)(void *arg, const struct peer_hello *hello, char *why);
    /* A Raft message arrived. m->from is who the link's HELLO said, m->to is this node, the cluster is ours.
     * payloads[i] belongs to m->entries[i]. All borrowed until the call returns; but `whole`, unless it is NULL, has all of
     * payloads[0] and nothing else, and the callee may take its bytes and leave it empty. */
    void (*message)(void *arg, const struct raft_message *m, const struct slice *payloads, struct buf *whole);
    /* Our RAFT link to the peer came up, or is no longer. Nothing is told of peers that peer_net_set_peers took away. */
    void (*link_up)(void *arg, uint64_t id);
    void (*link_down)(void *arg, uint64_t id);
    /* The peer refuses our RAFT link (it is tried again all the same): for INFO, and to notice that one was removed. */
    void (*refused)(void *arg, uint64_t id, uint32_t code, const char *text);
    /* A FORWARD link was let in and welcomed: the socket is the callee's now, as are, borrowed, the bytes that came behind
     * the handshake and hello->client. Usually net_adopt(). */
    void (*forward)(void *arg, int fd, struct slice leftover, const struct peer_hello *hello);
    /* A control request. Answer it now or later with peer_request_answer, exactly once. hello and body are borrowed. */
    void (*control)(void *arg, struct peer_request *request, const struct peer_hello *hello,
                    const struct peer_control *control);
    /* A SNAPSHOT link was let in. The callee calls peer_stream_handle (or peer_stream_close) before it returns. */
    void (*snapshot)(void *arg, struct peer_stream *stream, const struct peer_hello *hello);
    void (*log)(void *arg, const char *line);
};
/* Every callback must be there. */

struct peer_net *peer_net_new(uv_loop_t *loop, const struct peer_net_options *options,
                              const struct peer_net_handler *handler);
/* Binds `port` (0: any that is free) on each address of `bind`, in redis.conf's words ("127.0.0.1 -::1", "*").
 * With a text in `error`, and no listener left, if any of it fails: RC_BUSY when the port is in use, RC_IO otherwise. */
MUST_USE enum rc peer_net_listen(struct peer_net *pn, const char *bind, int port, int backlog, char *error,
                                 size_t cap);
int peer_net_port(const struct peer_net *pn); /* 0: does not listen */
/* What cluster-port and port mean together: cluster_port, or port + PEER_PORT_OFFSET; 0 when that is no port. */
int peer_port_of(int port, int cluster_port);

/* After forming, joining or leaving: who we are from now on. RAFT and SNAPSHOT links that were opened or let in as
 * somebody else close, and are opened anew; CONTROL and FORWARD links go on. */
void peer_net_set_identity(struct peer_net *pn, uint64_t id, const struct peer_origin *origin);
void peer_net_set_address(struct peer_net *pn, const char *address);
/* CONFIG SET cluster-secret: for handshakes from now on; links that are up stay. */
void peer_net_set_secret(struct peer_net *pn, const char *secret);

/* Whom RAFT links are kept to. Ids that are new are connected to, others closed, an address that changed is used from now
 * on. An entry with our own id is passed over. Addresses are those of struct raft_member: "host:port" of the client port,
 * the peer port being PEER_PORT_OFFSET further, or "host:port@peerport". Copied. */
struct peer_address {
    uint64_t id;
    const char *address;
};
void peer_net_set_peers(struct peer_net *pn, const struct peer_address *peers, size_t count);

/* --- Raft messages --- */

/* Where to append one frame for this peer (peer_write_message, peer_append_*). NULL when there is no such peer, its link is
 * not up, or more than out_bytes_max wait already: the message is dropped, as networks do. Good until the loop goes on. */
struct buf *peer_net_out(struct peer_net *pn, uint64_t id);
/* After that frame: counts it and remembers to flush. A long RAFT_APPEND goes in parts, which everything but appends passes
 * by; when more than out_bytes_max of appends wait, it is dropped. */
void peer_net_sent(struct peer_net *pn, uint64_t id);
/* The same after a frame that peer_append_end_apart ended. Its payload is lent: it is read, part by part, until it is given
 * back, once, when it has been sent or never will be; perhaps before this returns. */
struct peer_lent {
    struct slice bytes;
    void (*give_back)(void *owner, void *what);
    void *owner, *what;
};
void peer_net_sent_apart(struct peer_net *pn, uint64_t id, const struct peer_lent *payload);
/* Whether an append would be dropped by peer_net_sent: nobody need fetch its entries then. */
bool peer_net_takes_append(const struct peer_net *pn, uint64_t id);
/* One write for each link that has something: at the end of the turn. */
void peer_net_flush(struct peer_net *pn);
/* Bytes given and not yet taken by the socket: what flow control of appends may look at. 0 when not up. */
size_t peer_net_unsent(const struct peer_net *pn, uint64_t id);
/* A frame of this peer's is on its way in and not whole, and its bytes keep coming (within the last `within_ms`). A leader
 * that sends a very long entry cannot send heartbeats meanwhile: it is alive all the same. */
bool peer_net_is_receiving(const struct peer_net *pn, uint64_t id, uint64_t within_ms);

enum { PEER_APART_MIN = 256 << 10 }; /* payloads that are longer are worth being lent */

struct peer_link_info {
    uint64_t id;
    char address[RAFT_ADDRESS_CAP];
    bool up;        /* our RAFT link to it */
    bool heard;     /* its RAFT link to us is open */
    uint64_t up_ms; /* loop time since when `up` is what it is */
    uint64_t frames_out, bytes_out, frames_in, bytes_in, dropped /* peer_net_out said NULL */, connects;
    uint64_t unsent;
    uint32_t refused_code; /* why it is not up, when that is known: enum peer_refusal; 0 otherwise */
};
/* Fills at most `cap`; returns how many there are. In the order of peer_net_set_peers. */
size_t peer_net_links(const struct peer_net *pn, struct peer_link_info *out, size_t cap);

/* --- control: one request, one response --- */

/* RC_OK       *response is the answer (borrowed), responder_id and *responder say whose it is
 * RC_INVALID  refused, by either side: `code` is an enum peer_refusal, `text` says more. The request was not seen
 * RC_IO       not reached: the request was not seen
 * RC_STOPPED  timed out, or broken off: whether the request was seen is unknown
 * `responder` is NULL unless RC_OK. */
typedef void peer_control_cb(void *arg, enum rc rc, uint32_t code, const char *text,
                             const struct peer_control *response, uint64_t responder_id,
                             const struct peer_origin *responder);
/* target 0: whoever is there. The callback comes exactly once, later. request->body is copied. */
void peer_net_control(struct peer_net *pn, const char *address, uint64_t target,
                      const struct peer_control *request, uint64_t timeout_ms, peer_control_cb *cb,
                      void *arg);
/* Answers and forgets the request. Nothing happens when its link has closed meanwhile. */
void peer_request_answer(struct peer_request *request, const struct peer_control *response);

/* --- snapshots: a stream of frames, either way --- */

struct peer_stream_handler {
    void *arg;
    void (*up)(void *arg);                                    /* the initiator's: welcomed. May be NULL */
    void (*frame)(void *arg, const struct peer_frame *frame); /* a frame of kind PEER_SNAPSHOT_*; borrowed */
    void (*writable)(void *arg); /* fell below PEER_STREAM_QUEUE again. May be NULL */
    /* Once, last, also after one's own peer_stream_close: the stream is gone. */
    void (*closed)(void *arg, const char *why);
};
/* Opens a SNAPSHOT link. `closed` tells of a failure to connect as well. */
struct peer_stream *peer_stream_open(struct peer_net *pn, uint64_t id, const char *address,
                                     const struct peer_stream_handler *handler);
void peer_stream_handle(struct peer_stream *s,
                        const struct peer_stream_handler *handler); /* an accepted one */
uint64_t peer_stream_peer(const struct peer_stream *s);
/* Frames may be appended at any time; what is appended before `up` waits. Call peer_stream_flush afterwards. */
struct buf *peer_stream_out(struct peer_stream *s);
void peer_stream_flush(struct peer_stream *s);
bool peer_stream_writable(
    const struct peer_stream *s); /* fewer than PEER_STREAM_QUEUE bytes wait; false before `up` */
/* Stops and starts reading: the disk is slower than the network. A stopped stream delivers no frame. */
void peer_stream_pause(struct peer_stream *s);
void peer_stream_resume(struct peer_stream *s);
/* What was appended is still sent (for a few seconds at most), then it closes. `why` is for our own log and `closed`. */
void peer_stream_close(struct peer_stream *s, const char *why);
/* The header for frames to this peer. */
struct peer_frame peer_stream_header(const struct peer_stream *s, uint64_t term);

/* --- addresses, and the end --- */

/* Splits "host:port", "[v6]:port", either with "@peerport" behind it. False for anything else. *peer_port is what stands
 * behind '@', or port + PEER_PORT_OFFSET. */
bool peer_address_parse(const char *address, char *host, size_t host_cap, int *port, int *peer_port);

/* Closes everything; callbacks that are owed (closed, control) come now or while the loop runs on. */
void peer_net_close_all(struct peer_net *pn);
/* After the loop has run out of our handles. */
void peer_net_free(struct peer_net *pn);

#endif
