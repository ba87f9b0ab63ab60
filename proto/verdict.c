/* See verdict.h. */
#include "verdict.h"

enum { VERSION = 1 };

void verdict_encode(struct buf *out, const struct verdict *v) {
    CHECK(v->index > 0);
    CHECK(v->checkpoint > 0);
    size_t before = out->len;
    buf_add_byte(out, VERSION);
    buf_add_byte(out, (uint8_t)v->decision);
    buf_add_u64le(out, v->index);
    buf_add_u64le(out, v->checkpoint);
    buf_add_u64le(out, v->ran_ms);
    CHECK(out->len - before == VERDICT_SIZE);
}

enum rc verdict_decode(struct slice payload, struct verdict *out) {
    if (payload.len != VERDICT_SIZE || payload.data[0] != VERSION) return RC_INVALID;
    unsigned char decision = (unsigned char)payload.data[1];
    if (decision > VERDICT_OVER_LIMIT) return RC_INVALID;
    struct verdict v = {.decision = (enum verdict_decision)decision};
    struct slice rest = slice_make(payload.data + 2, payload.len - 2);
    if (!slice_take_u64le(&rest, &v.index) || !slice_take_u64le(&rest, &v.checkpoint) ||
        !slice_take_u64le(&rest, &v.ran_ms))
        return RC_INVALID;
    if (v.index == 0 || v.checkpoint == 0) return RC_INVALID;
    *out = v;
    return RC_OK;
}
