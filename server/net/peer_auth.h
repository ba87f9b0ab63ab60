/* Proving to know cluster-secret without saying it: HMAC-SHA256, keyed with the secret, over what both sides have said in
 * this handshake, their fresh nonces included. Each role has its own label, so that no proof can be sent back as the
 * other's. It guards who comes in; what then passes over the link is neither encrypted nor signed. */
#ifndef NET_PEER_AUTH_H
#define NET_PEER_AUTH_H

#include "peer_frame.h"

enum peer_role { PEER_INITIATOR, PEER_RESPONDER };

void peer_make_nonce(uint8_t nonce[PEER_NONCE_SIZE]); /* from the operating system */
/* `transcript`: the frames HELLO and CHALLENGE, as they were on the wire. */
void peer_make_proof(const char *secret, enum peer_role role, struct slice transcript,
                     struct peer_proof *out);
bool peer_proof_is(const struct peer_proof *a, const struct peer_proof *b); /* in constant time */

#endif
