/* The handshake of a link, both roles. Every arrow is a frame; the transcript that proofs are made over is HELLO and
 * CHALLENGE as they were on the wire.
 *
 *     initiator                                              responder
 *     HELLO      who, of which cluster, to whom, nonce  -->  hear_hello: version
 *                                                       <--  CHALLENGE nonce           only with a secret
 *     PROOF      HMAC as initiator                      -->  hear_proof
 *                                                            let_in: target, cluster, the node's own opinion
 *     hear_welcome: HMAC, target, cluster               <--  WELCOME HMAC as responder   or REFUSED code, text
 *
 * A side with a secret takes no part in a handshake without it. */
#include "mem.h"
#include "peer_auth.h"
#include "peer_net_internal.h"

#include <stdio.h>

static bool is_blank(const struct peer_origin *o) {
    static const uint8_t zeros[PEER_CLUSTER_ID_SIZE];
    return memcmp(o->cluster, zeros, sizeof zeros) == 0;
}

static bool is_same_cluster(const struct peer_origin *a, const struct peer_origin *b) {
    return a->group == b->group && memcmp(a->cluster, b->cluster, sizeof a->cluster) == 0;
}

/* Who belongs to no cluster yet may talk to everybody, and anybody may ask: what comes of it is the node's. */
static bool clusters_conflict(enum peer_link_kind kind, const struct peer_origin *a,
                              const struct peer_origin *b) {
    return kind != PEER_LINK_CONTROL && !is_blank(a) && !is_blank(b) && !is_same_cluster(a, b);
}

static void say(struct link *l, const struct buf *frame) {
    buf_add_slice(&l->out, buf_slice(frame));
    link_flush(l);
}

/* --- the initiator --- */

void greeting_begin(struct link *l) {
    struct peer_net *pn = l->pn;
    struct buf frame = {0};
    l->hello.protocol = PEER_PROTOCOL_VERSION;
    l->hello.link = l->ops->kind;
    l->hello.origin = pn->origin;
    l->hello.source = pn->id;
    l->hello.target = l->peer_id;
    memcpy(l->hello.address, pn->address, sizeof l->hello.address);
    peer_make_nonce(l->hello.nonce);
    peer_write_hello(&frame, &l->hello);
    l->hello.client = (struct peer_client){0};
    buf_clear(&l->transcript);
    buf_add_slice(&l->transcript, buf_slice(&frame));
    say(l, &frame);
    buf_free(&frame);
}

static void hear_challenge(struct link *l, const struct peer_frame *f, struct slice bytes) {
    struct peer_challenge challenge;
    struct peer_proof proof;
    if (l->has_secret || peer_read_challenge(f, &challenge) != RC_OK) {
        link_close(l, PEER_UNEXPECTED, "its challenge makes no sense");
        return;
    }
    if (l->pn->secret == NULL) {
        link_close(l, PEER_BAD_SECRET, "it asks for a cluster-secret, and there is none here");
        return;
    }
    l->has_secret = true;
    l->peer_origin = f->origin;
    buf_add_slice(&l->transcript, bytes);
    peer_make_proof(l->pn->secret, PEER_INITIATOR, buf_slice(&l->transcript), &proof);
    struct peer_frame header = link_header(l, 0);
    struct buf frame = {0};
    peer_write_proof(&frame, &header, &proof);
    say(l, &frame);
    buf_free(&frame);
}

/* What the CHALLENGE said is covered by the proofs, so the WELCOME has to say the same. */
static bool knows_secret(struct link *l, const struct peer_proof *theirs) {
    struct peer_proof ours;
    if (l->pn->secret == NULL) return !l->has_secret;
    if (!l->has_secret) return false;
    peer_make_proof(l->pn->secret, PEER_RESPONDER, buf_slice(&l->transcript), &ours);
    return peer_proof_is(&ours, theirs);
}

static bool is_who_challenged(const struct link *l, const struct peer_frame *f) {
    struct peer_frame challenge, hello;
    size_t size, more;
    if (!l->has_secret) return true;
    struct slice said = buf_slice(&l->transcript);
    CHECK(peer_frame_read(said, PEER_HELLO_FRAME_MAX, &hello, &size) == RC_OK);
    said = slice_make(said.data + size, said.len - size);
    CHECK(peer_frame_read(said, PEER_HELLO_FRAME_MAX, &challenge, &more) == RC_OK);
    return challenge.source == f->source && is_same_cluster(&challenge.origin, &f->origin);
}

static void hear_welcome(struct link *l, const struct peer_frame *f) {
    struct peer_proof theirs;
    if (peer_read_proof(f, &theirs) != RC_OK || !is_who_challenged(l, f)) {
        link_close(l, PEER_UNEXPECTED, "its welcome makes no sense");
    } else if (!knows_secret(l, &theirs)) {
        link_close(l, PEER_BAD_SECRET, "it does not know our cluster-secret");
    } else if (l->peer_id != 0 && f->source != l->peer_id) {
        link_close(l, PEER_WRONG_TARGET, "another node answers there");
    } else if (clusters_conflict(l->ops->kind, &f->origin, &l->pn->origin)) {
        link_close(l, PEER_WRONG_CLUSTER, "a node of another cluster answers there");
    } else {
        l->peer_id = f->source;
        l->peer_origin = f->origin;
        buf_free(&l->transcript);
        link_rise(l);
    }
}

static void hear_refusal(struct link *l, const struct peer_frame *f) {
    struct peer_refused refused;
    if (peer_read_refused(f, &refused) != RC_OK) {
        link_close(l, PEER_UNEXPECTED, "its refusal makes no sense");
        return;
    }
    l->was_refused_by_peer = true;
    link_close(l, refused.code, "%s: %s", peer_refusal_name(refused.code), refused.text);
}

/* --- the responder --- */

static void refuse(struct link *l, enum peer_refusal code, const char *why) {
    struct peer_frame header = link_header(l, 0);
    struct buf frame = {0};
    peer_write_refused(&frame, &header, code, why);
    say(l, &frame);
    buf_free(&frame);
    link_finish(l, code, "%s: %s", peer_refusal_name(code), why);
}

/* The transcript may move as it grows, and the HELLO's texts with it. */
static void read_hello_again(struct link *l) {
    struct peer_frame f;
    size_t size;
    CHECK(peer_frame_read(buf_slice(&l->transcript), PEER_HELLO_FRAME_MAX, &f, &size) == RC_OK);
    CHECK(peer_read_hello(&f, &l->hello) == RC_OK);
}

/* PEER_ACCEPTED, or a reason that stands before the node's own opinion. */
static enum peer_refusal judge(const struct link *l, char *why) {
    const struct peer_net *pn = l->pn;
    const struct peer_hello *h = &l->hello;
    if (pn->closing) {
        snprintf(why, PEER_WHY_CAP, "this node is stopping");
        return PEER_STOPPING;
    }
    if (h->target != 0 && h->target != pn->id) {
        snprintf(why, PEER_WHY_CAP, "this is not the node it looks for");
        return PEER_WRONG_TARGET;
    }
    if (clusters_conflict(h->link, &h->origin, &pn->origin)) {
        snprintf(why, PEER_WHY_CAP, "this node belongs to another cluster");
        return PEER_WRONG_CLUSTER;
    }
    if (h->source == 0 && h->link != PEER_LINK_CONTROL) {
        snprintf(why, PEER_WHY_CAP, "a node without an id may only ask");
        return PEER_UNKNOWN_SENDER;
    }
    if (pn->accepted_count >= PEER_ACCEPTED_MAX && h->link != PEER_LINK_FORWARD) {
        snprintf(why, PEER_WHY_CAP, "too many links");
        return PEER_BUSY;
    }
    return PEER_ACCEPTED;
}

static void welcome(struct link *l) {
    struct peer_proof proof = {{0}};
    if (l->has_secret && l->pn->secret != NULL)
        peer_make_proof(l->pn->secret, PEER_RESPONDER, buf_slice(&l->transcript), &proof);
    struct peer_frame header = link_header(l, 0);
    struct buf frame = {0};
    peer_write_welcome(&frame, &header, &proof);
    say(l, &frame);
    buf_free(&frame);
}

/* The socket becomes a client connection. */
static void hand_over(struct link *l) {
    struct peer_net *pn = l->pn;
    if (l->is_sending) { /* a new socket that has no room for a hundred bytes: not one we would want */
        link_close(l, PEER_UNEXPECTED, "it cannot be answered");
        return;
    }
    char host[RAFT_ADDRESS_CAP];
    int fd = link_take_socket(l);
    if (fd < 0)
        peer_net_complain(pn, link_host(l, host), COMPLAINT_BROKEN,
                          "Cannot take a client from %s: no file descriptor left", l->address);
    else
        pn->handler.forward(pn->handler.arg, fd, l->rest, &l->hello);
}

static void let_in(struct link *l) {
    struct peer_net *pn = l->pn;
    char why[PEER_WHY_CAP] = "";
    enum peer_refusal code = judge(l, why);
    if (code == PEER_ACCEPTED) code = pn->handler.accept(pn->handler.arg, &l->hello, why);
    if (l->state == LINK_CLOSING || l->is_finishing) return; /* the node closed everything meanwhile */
    if (code != PEER_ACCEPTED) {
        refuse(l, code, why);
        return;
    }
    l->peer_id = l->hello.source;
    l->peer_origin = l->hello.origin;
    welcome(l);
    if (l->state == LINK_CLOSING) return;
    if (l->hello.link == PEER_LINK_FORWARD) {
        hand_over(l);
        return;
    }
    l->ops = peer_net_ops_for(l->hello.link);
    l->owner = l;
    link_rise(l);
}

static void challenge(struct link *l) {
    struct peer_challenge c;
    struct peer_frame header = link_header(l, 0);
    struct buf frame = {0};
    peer_make_nonce(c.nonce);
    peer_write_challenge(&frame, &header, &c);
    buf_add_slice(&l->transcript, buf_slice(&frame));
    read_hello_again(l);
    l->has_secret = true;
    l->state = LINK_PROVING;
    say(l, &frame);
    buf_free(&frame);
}

static void hear_hello(struct link *l, const struct peer_frame *f, struct slice bytes) {
    if (peer_read_hello(f, &l->hello) != RC_OK) {
        link_close(l, PEER_UNEXPECTED, "its greeting makes no sense");
        return;
    }
    l->peer_id = l->hello.source;
    if (l->hello.protocol != PEER_PROTOCOL_VERSION) {
        char why[PEER_WHY_CAP];
        snprintf(why, sizeof why, "it speaks version %u, this node speaks %u", l->hello.protocol,
                 PEER_PROTOCOL_VERSION);
        refuse(l, PEER_WRONG_VERSION, why);
        return;
    }
    buf_add_slice(&l->transcript, bytes);
    read_hello_again(l);
    if (l->pn->secret != NULL)
        challenge(l);
    else
        let_in(l);
}

static void hear_proof(struct link *l, const struct peer_frame *f) {
    struct peer_proof ours, theirs;
    if (peer_read_proof(f, &theirs) != RC_OK) {
        link_close(l, PEER_UNEXPECTED, "its proof makes no sense");
        return;
    }
    if (l->pn->secret != NULL)
        peer_make_proof(l->pn->secret, PEER_INITIATOR, buf_slice(&l->transcript), &ours);
    if (l->pn->secret == NULL || !peer_proof_is(&ours, &theirs))
        refuse(l, PEER_BAD_SECRET, "it does not know the cluster-secret");
    else
        let_in(l);
}

void greeting_frame(struct link *l, const struct peer_frame *f, struct slice bytes) {
    uint32_t kind = f->kind;
    if (l->state == LINK_GREETING && kind == PEER_CHALLENGE) {
        hear_challenge(l, f, bytes);
    } else if (l->state == LINK_GREETING && kind == PEER_WELCOME) {
        hear_welcome(l, f);
    } else if (l->state == LINK_GREETING && kind == PEER_REFUSED) {
        hear_refusal(l, f);
    } else if (l->state == LINK_STRANGER && kind == PEER_HELLO) {
        hear_hello(l, f, bytes);
    } else if (l->state == LINK_PROVING && kind == PEER_PROOF) {
        hear_proof(l, f);
    } else {
        link_close(l, PEER_UNEXPECTED, "a frame of kind %s has no place in a handshake",
                   peer_frame_name(kind));
    }
}
