/* See peer_auth.h. */
#include "peer_auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

void peer_make_nonce(uint8_t nonce[PEER_NONCE_SIZE]) {
    CHECK(getrandom(nonce, PEER_NONCE_SIZE, 0) == PEER_NONCE_SIZE);
}

void peer_make_proof(const char *secret, enum peer_role role, struct slice transcript,
                     struct peer_proof *out) {
    struct buf said = {0};
    unsigned len = 0;
    buf_add_str(&said, role == PEER_INITIATOR ? "redraft peer initiator 1" : "redraft peer responder 1");
    buf_add_byte(&said, '\0');
    buf_add_slice(&said, transcript);
    CHECK(HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)said.data, said.len,
               out->mac, &len) != NULL);
    CHECK(len == PEER_MAC_SIZE);
    buf_free(&said);
}

bool peer_proof_is(const struct peer_proof *a, const struct peer_proof *b) {
    return CRYPTO_memcmp(a->mac, b->mac, sizeof a->mac) == 0;
}
