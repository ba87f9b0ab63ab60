/* See entry.h; the bytes are drawn in README.md. Integrity is guarded by the log's checksums, not here, but
 * the reader trusts nothing: any bytes either read as an entry within bounds or are refused. */
#include "entry.h"

#include "check.h"
#include "mem.h"

enum {
    ENTRY_MAGIC = 0x454452, /* "RDE" */
    ENTRY_VERSION = 1,
    VARINT_MAX = 10,
    ARGV_KEEP_MAX = 1024, /* a larger array is given back instead of kept for the next entry */
};

/* The stored header, in this order and without padding. */
struct entry_wire_header {
    uint32_t magic_version; /* magic in the low three bytes, version in the high one */
    uint32_t count;
    int64_t clock_ms;
    uint64_t seed;
};
static_assert(sizeof(struct entry_wire_header) == ENTRY_HEADER_SIZE, "stored format");

/* Little-endian base 128. */
static inline char *put_varint(char *p, uint64_t v) {
    for (; v >= 0x80; v >>= 7) *p++ = (char)(v | 0x80);
    *p++ = (char)v;
    return p;
}

/* One value has one spelling: a last byte of zero (padding) and bits past the 64th are refused. */
static bool take_long_varint(struct slice *s, uint64_t *out) {
    uint64_t v = 0;
    size_t bytes_max = s->len < VARINT_MAX ? s->len : VARINT_MAX;
    for (size_t i = 0; i < bytes_max; i++) {
        uint8_t byte = (uint8_t)s->data[i];
        if (i == VARINT_MAX - 1 && byte > 1) return false;
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        if (byte == 0 && i > 0) return false;
        *s = slice_make(s->data + i + 1, s->len - i - 1);
        *out = v;
        return true;
    }
    return false;
}

void entry_begin(struct buf *b) {
    buf_clear(b);
    buf_reserve(b, ENTRY_HEADER_SIZE);
    memset(b->data, 0, ENTRY_HEADER_SIZE); /* no magic yet: an unfinished entry does not open */
    b->len = ENTRY_HEADER_SIZE;
}

void entry_add(struct buf *b, uint8_t db, int argc, const struct slice *argv) {
    CHECK(b->len >= ENTRY_HEADER_SIZE);
    CHECK(argc >= 1);
    CHECK(argc <= ENTRY_ARGS_MAX);
    size_t size_max = 1 + VARINT_MAX + (size_t)argc * VARINT_MAX;
    for (int i = 0; i < argc; i++) size_max += argv[i].len;
    buf_reserve(b, size_max);
    char *p = buf_tail(b);
    *p++ = (char)db;
    p = put_varint(p, (uint64_t)argc);
    for (int i = 0; i < argc; i++) {
        p = put_varint(p, argv[i].len);
        if (argv[i].len != 0) memcpy(p, argv[i].data, argv[i].len);
        p += argv[i].len;
    }
    b->len = (size_t)(p - b->data);
    CHECK(b->len <= b->cap);
}

static size_t varint_len(uint64_t v) {
    size_t len = 1;
    for (; v >= 0x80; v >>= 7) len++;
    return len;
}

/* Where each argument is, and where it goes. */
struct move {
    size_t from, to, len;
};

static bool plan_moves(const struct buf *b, int argc, const struct slice *argv, struct move *moves,
                       size_t *end) {
    size_t from_min = 0;
    *end = ENTRY_HEADER_SIZE + 1 + varint_len((uint64_t)argc);
    for (int i = 0; i < argc; i++) {
        size_t from = (size_t)((uintptr_t)argv[i].data - (uintptr_t)b->data);
        if (from < from_min || from > b->len || argv[i].len > b->len - from) return false;
        from_min = from + argv[i].len;
        *end += varint_len(argv[i].len);
        moves[i] = (struct move){from, *end, argv[i].len};
        *end += argv[i].len;
    }
    return true;
}

/* Those that go up, the last first, then those that go down, the first first: no other's bytes are overwritten before
 * it has gone. */
static void make_moves(char *data, const struct move *moves, int count) {
    for (int i = count; i-- > 0;)
        if (moves[i].to > moves[i].from && moves[i].len > 0)
            memmove(data + moves[i].to, data + moves[i].from, moves[i].len);
    for (int i = 0; i < count; i++)
        if (moves[i].to < moves[i].from && moves[i].len > 0)
            memmove(data + moves[i].to, data + moves[i].from, moves[i].len);
}

bool entry_make_in_place(struct buf *b, uint8_t db, int argc, const struct slice *argv) {
    CHECK(argc >= 1);
    struct move *moves = mem_alloc((size_t)argc * sizeof *moves);
    size_t end;
    bool is_in_place = plan_moves(b, argc, argv, moves, &end);
    if (is_in_place) {
        if (end > b->len) buf_reserve(b, end - b->len);
        make_moves(b->data, moves, argc);
        memset(b->data, 0, ENTRY_HEADER_SIZE);
        char *p = b->data + ENTRY_HEADER_SIZE;
        *p++ = (char)db;
        p = put_varint(p, (uint64_t)argc);
        for (int i = 0; i < argc; i++) {
            p = put_varint(p, moves[i].len);
            CHECK(p == b->data + moves[i].to);
            p += moves[i].len;
        }
        b->len = end;
    }
    mem_free(moves);
    return is_in_place;
}

void entry_finish(struct buf *b, const struct entry_header *header) {
    CHECK(b->len >= ENTRY_HEADER_SIZE);
    struct entry_wire_header wire = {
        .magic_version = ENTRY_MAGIC | (uint32_t)ENTRY_VERSION << 24,
        .count = header->count,
        .clock_ms = header->clock_ms,
        .seed = header->seed,
    };
    memcpy(b->data, &wire, sizeof wire);
}

void entry_reader_init(struct entry_reader *r) {
    *r = (struct entry_reader){0};
}

void entry_reader_free(struct entry_reader *r) {
    mem_free(r->argv);
    *r = (struct entry_reader){0};
}

bool entry_open(struct entry_reader *r, struct slice payload) {
    struct entry_wire_header wire;
    if (!slice_take_raw(&payload, &wire, sizeof wire)) return false;
    if (wire.magic_version != (ENTRY_MAGIC | (uint32_t)ENTRY_VERSION << 24)) return false;
    r->header = (struct entry_header){.clock_ms = wire.clock_ms, .seed = wire.seed, .count = wire.count};
    r->rest = payload;
    r->commands_left = wire.count;
    r->argc = 0;
    if (r->argv_cap > ARGV_KEEP_MAX) {
        mem_free(r->argv);
        r->argv = NULL;
        r->argv_cap = 0;
    }
    return true;
}

static void reader_grow(struct entry_reader *r, int argc) {
    int cap = argc < 16 ? 16 : argc;
    r->argv = mem_realloc(r->argv, (size_t)cap * sizeof *r->argv);
    r->argv_cap = cap;
}

/* The same from one pointer to another; NULL when it is not whole or not well spelled. Nearly every count and length is
 * below 128. */
static inline const char *pass_varint(const char *p, const char *end, uint64_t *out) {
    if (p < end && (uint8_t)*p < 0x80) {
        *out = (uint8_t)*p;
        return p + 1;
    }
    struct slice s = slice_make(p, (size_t)(end - p));
    uint64_t v;
    if (!take_long_varint(&s, &v)) return NULL;
    *out = v;
    return s.data;
}

/* Pointers in registers, not a slice in memory: written in halves and copied whole, that one would have to wait for its own
 * stores (measured: a sixth of a follower's time under pipelined SETs). */
int entry_next(struct entry_reader *r) {
    if (r->commands_left == 0) return r->rest.len == 0 ? 0 : -1;
    const char *p = r->rest.data, *end = p + r->rest.len;
    if (p == end) return -1;
    uint8_t db = (uint8_t)*p++;
    uint64_t argc = 0;
    if ((p = pass_varint(p, end, &argc)) == NULL) return -1;
    /* Each argument takes at least its length byte, so the array never outgrows the payload. */
    if (argc < 1 || argc > ENTRY_ARGS_MAX || argc > (size_t)(end - p)) return -1;
    if ((int)argc > r->argv_cap) reader_grow(r, (int)argc);
    struct slice *argv = r->argv;
    for (uint64_t i = 0; i < argc; i++) {
        uint64_t len = 0;
        if ((p = pass_varint(p, end, &len)) == NULL || len > (size_t)(end - p)) return -1;
        argv[i].data = p;
        argv[i].len = len;
        p += len;
    }
    r->db = db;
    r->argc = (int)argc;
    r->rest.data = p;
    r->rest.len = (size_t)(end - p);
    r->commands_left--;
    return 1;
}

void entry_move(struct entry_reader *r, const char *from, const char *to) {
    r->rest.data = to + (r->rest.data - from);
    for (int i = 0; i < r->argc; i++) r->argv[i].data = to + (r->argv[i].data - from);
}
