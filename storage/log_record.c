/* See log_record.h. */
#include "log_record.h"

#include "hash.h"

#define HEAD_MAGIC UINT32_C(0x324c6452) /* "RdL2" */

enum { CHECKED_FROM = 8 };

static_assert(LOG_HEAD_BYTES == 4 + 4 + 8 + 4 + 4 + 9 * 8, "head of a batch");
static_assert(LOG_ROW_BYTES == 8 + 8 + 4 + 1 + 3, "row of an entry");

uint64_t log_record_bytes(const struct log_entry *entries, size_t count) {
    uint64_t bytes = LOG_HEAD_BYTES + (uint64_t)count * LOG_ROW_BYTES;
    for (size_t i = 0; i < count; i++) bytes += entries[i].payload.len;
    return (bytes + LOG_ALIGN - 1) / LOG_ALIGN * LOG_ALIGN;
}

uint32_t log_row_seed(uint64_t index, uint64_t term, uint8_t kind) {
    char bytes[17];
    memcpy(bytes, &index, 8);
    memcpy(bytes + 8, &term, 8);
    bytes[16] = (char)kind;
    return crc32c(0, slice_make(bytes, sizeof bytes));
}

uint32_t log_payload_crc(uint32_t crc, struct slice piece) {
    return crc32c(crc, piece);
}

void log_record_add(struct buf *out, const struct log_state *s, uint64_t prev_term,
                    const struct log_entry *entries, size_t count, uint32_t secret) {
    CHECK(count <= LOG_ENTRIES_MAX);
    size_t start = out->len;
    buf_add_u32le(out, HEAD_MAGIC);
    buf_add_u32le(out, 0);
    buf_add_u64le(out, log_record_bytes(entries, count));
    buf_add_u32le(out, (uint32_t)count);
    buf_add_u32le(out, 0);
    buf_add_u64le(out, s->seq);
    buf_add_u64le(out, s->hard_state.term);
    buf_add_u64le(out, s->hard_state.vote);
    buf_add_u64le(out, s->mark.index);
    buf_add_u64le(out, s->mark.term);
    buf_add_u64le(out, s->last_index);
    buf_add_u64le(out, s->last_term);
    buf_add_u64le(out, count > 0 ? entries[0].index : 0);
    buf_add_u64le(out, count > 0 ? prev_term : 0);
    for (size_t i = 0; i < count; i++) {
        const struct log_entry *e = &entries[i];
        buf_add_u64le(out, e->term);
        buf_add_u64le(out, e->payload.len);
        buf_add_u32le(out, log_payload_crc(log_row_seed(e->index, e->term, e->kind), e->payload));
        buf_add_u32le(out, e->kind);
    }
    uint32_t crc =
        crc32c(secret, slice_make(out->data + start + CHECKED_FROM, out->len - start - CHECKED_FROM));
    memcpy(out->data + start + 4, &crc, sizeof crc);
}

uint64_t log_head_bytes(struct slice head) {
    uint32_t magic, crc, count;
    uint64_t bytes;
    if (!slice_take_u32le(&head, &magic) || magic != HEAD_MAGIC || !slice_take_u32le(&head, &crc) ||
        !slice_take_u64le(&head, &bytes) || !slice_take_u32le(&head, &count) || count > LOG_ENTRIES_MAX)
        return 0;
    uint64_t need = LOG_HEAD_BYTES + (uint64_t)count * LOG_ROW_BYTES;
    return bytes >= need && bytes % LOG_ALIGN == 0 ? need : 0;
}

bool log_record_parse(struct slice bytes, uint32_t secret, struct log_head *out) {
    struct slice in = bytes;
    struct log_head h;
    uint32_t magic, crc, reserved;
    if (bytes.len < LOG_HEAD_BYTES || log_head_bytes(bytes) != bytes.len) return false;
    bool whole = slice_take_u32le(&in, &magic) && slice_take_u32le(&in, &crc) &&
                 slice_take_u64le(&in, &h.bytes) && slice_take_u32le(&in, &h.entry_count) &&
                 slice_take_u32le(&in, &reserved) && slice_take_u64le(&in, &h.state.seq) &&
                 slice_take_u64le(&in, &h.state.hard_state.term) &&
                 slice_take_u64le(&in, &h.state.hard_state.vote) &&
                 slice_take_u64le(&in, &h.state.mark.index) && slice_take_u64le(&in, &h.state.mark.term) &&
                 slice_take_u64le(&in, &h.state.last_index) && slice_take_u64le(&in, &h.state.last_term) &&
                 slice_take_u64le(&in, &h.first_index) && slice_take_u64le(&in, &h.prev_term);
    CHECK(whole);
    if (crc != crc32c(secret, slice_make(bytes.data + CHECKED_FROM, bytes.len - CHECKED_FROM))) return false;
    *out = h;
    return true;
}

struct log_row log_record_row(struct slice bytes, uint32_t i) {
    struct log_row row;
    const char *p = bytes.data + LOG_HEAD_BYTES + (size_t)i * LOG_ROW_BYTES;
    memcpy(&row.term, p, 8);
    memcpy(&row.len, p + 8, 8);
    memcpy(&row.crc, p + 16, 4);
    row.kind = (uint8_t)p[20];
    return row;
}
