/* What RESTORE is given, with the checksum it needs: refused, or a value that is whole, of well-formed bytes, and no larger
 * than its payload could make it. The first byte chooses the limits. */
#include "intset.h"
#include "rdb_stream.h"
#include "rdb_value.h"

#include "check.h"
#include "fuzz.h"
#include "pack.h"

enum { GAIN_MAX = 100 }; /* bytes a payload's byte may become */

/* Nodes ascend, and are packs. */
static void see_node(void *arg, struct stream_id master, struct slice leaf, uint32_t entries,
                     uint32_t deleted) {
    struct stream_id *before = arg;
    CHECK(stream_id_cmp(*before, master) < 0 || stream_id_is_zero(master));
    *before = master;
    CHECK(pack_valid(leaf, NULL) && entries + deleted > 0);
}
static void see_group(void *arg, struct slice name, struct stream_id last, int64_t entries_read) {
    (void)arg;
    (void)last;
    fuzz_touch(name);
    CHECK(entries_read >= STREAM_READ_UNKNOWN);
}
static void see_consumer(void *arg, struct slice name, int64_t seen_ms) {
    (void)arg;
    (void)seen_ms;
    fuzz_touch(name);
}

static void check_stream(const struct rdb_value *v) {
    struct stream_id before = {0};
    struct rdb_stream_visitor visitor = {
        .arg = &before, .node = see_node, .group = see_group, .consumer = see_consumer};
    CHECK(rdb_stream_read(buf_slice(&v->bytes), v->stream_type, &visitor));
}

static void check_value(const struct rdb_value *v) {
    size_t entries = 0;
    struct slice bytes = buf_slice(&v->bytes);
    fuzz_touch(bytes);
    switch (v->type) {
    case OBJECT_STRING: return;
    case OBJECT_SET:
        if (v->encoding == ENCODING_INTSET) {
            CHECK(intset_valid(bytes) && intset_count(bytes) == v->items);
            return;
        }
        CHECK(pack_valid(bytes, &entries) && entries == v->items);
        return;
    case OBJECT_LIST: CHECK(pack_valid(bytes, &entries) && entries == v->items); return;
    case OBJECT_HASH:
    case OBJECT_ZSET: CHECK(pack_valid(bytes, &entries) && entries == v->items * 2); return;
    case OBJECT_STREAM: check_stream(v); return;
    case OBJECT_NONE: CHECK(v->type != OBJECT_NONE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    struct ks_limits limits = {.hash_max_listpack_entries = data[0] & 1 ? 2 : 512,
                               .hash_max_listpack_value = data[0] & 2 ? 4 : 64,
                               .list_max_listpack_size = -2,
                               .set_max_intset_entries = data[0] & 1 ? 2 : 512,
                               .zset_max_listpack_entries = data[0] & 1 ? 2 : 128,
                               .zset_max_listpack_value = data[0] & 2 ? 4 : 64};
    struct buf payload = {0};
    buf_add(&payload, data + 1, size - 1);
    rdb_seal(&payload, 0);
    char *exact = fuzz_exact_copy(payload.data, payload.len);
    struct slice bytes = slice_make(exact, payload.len);
    struct rdb_value v;
    CHECK(rdb_verify(bytes) == RC_OK);
    if (rdb_read(bytes, &limits, &v) == RC_OK) {
        CHECK(v.bytes.len <= bytes.len * GAIN_MAX);
        check_value(&v);
        rdb_value_free(&v);
    }
    mem_free(exact);
    buf_free(&payload);
    return 0;
}
