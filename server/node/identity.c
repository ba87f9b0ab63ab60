/* See identity.h. */
#include "identity.h"

#include "hash.h"
#include "raft_members.h"
#include "sha.h"

#include <string.h>

enum { MAGIC = 0x4e444652, VERSION = 2 };

void identity_encode(const struct identity *identity, struct buf *out) {
    size_t start = out->len;
    buf_add_u32le(out, MAGIC);
    buf_add_u32le(out, VERSION);
    buf_add(out, identity->cluster, sizeof identity->cluster);
    buf_add_u64le(out, identity->id);
    buf_add_byte(out, (uint8_t)identity->stage);
    buf_add_byte(out, identity->was_member);
    struct buf members = {0};
    members_encode(&members, &identity->first);
    buf_add_u32le(out, (uint32_t)members.len);
    buf_add_slice(out, buf_slice(&members));
    buf_free(&members);
    buf_add_u32le(out, (uint32_t)strlen(identity->join));
    buf_add_str(out, identity->join);
    buf_add_u32le(out, crc32c(0, slice_make(out->data + start, out->len - start)));
}

static bool take_bytes(struct slice *rest, struct slice *out) {
    uint32_t len;
    if (!slice_take_u32le(rest, &len) || rest->len < len) return false;
    *out = slice_make(rest->data, len);
    *rest = slice_make(rest->data + len, rest->len - len);
    return true;
}

enum rc identity_decode(struct slice file, struct identity *out) {
    if (file.len < 4) return RC_CORRUPT;
    struct slice rest = slice_make(file.data, file.len - 4), body = rest,
                 tail = slice_make(file.data + body.len, 4);
    struct slice members, join, flags;
    struct identity i = {0};
    uint32_t magic, version, crc;
    if (!slice_take_u32le(&tail, &crc) || crc != crc32c(0, body)) return RC_CORRUPT;
    if (!slice_take_u32le(&rest, &magic) || !slice_take_u32le(&rest, &version)) return RC_CORRUPT;
    if (magic != MAGIC || version != VERSION) return RC_CORRUPT;
    if (!slice_take_raw(&rest, i.cluster, sizeof i.cluster) || !slice_take_u64le(&rest, &i.id))
        return RC_CORRUPT;
    if (rest.len < 2) return RC_CORRUPT;
    flags = slice_make(rest.data, 2);
    rest = slice_make(rest.data + 2, rest.len - 2);
    if (!take_bytes(&rest, &members) || !take_bytes(&rest, &join) || rest.len > 0) return RC_CORRUPT;
    i.stage = (enum identity_stage)flags.data[0];
    i.was_member = flags.data[1] != 0;
    if (i.stage > IDENTITY_RUNNING || i.id == 0 || join.len >= sizeof i.join) return RC_CORRUPT;
    memcpy(i.join, join.data, join.len);
    if (members_decode(members, &i.first) != RC_OK) return RC_CORRUPT;
    *out = i;
    return RC_OK;
}

void identity_cluster_name(const char cluster[IDENTITY_CLUSTER_SIZE], char out[IDENTITY_NAME_CAP]) {
    char digest[SHA256_HEX_LEN];
    sha256_hex(slice_make(cluster, IDENTITY_CLUSTER_SIZE), digest);
    memcpy(out, digest, IDENTITY_NAME_CAP - 1);
    out[IDENTITY_NAME_CAP - 1] = '\0';
}
