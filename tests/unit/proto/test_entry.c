/* Log entries: the stored bytes, the round trip, and that damaged bytes are refused or harmless. */
#include "entry.h"

#include "test.h"

#include "guard.h"
#include "mem.h"
#include "rng.h"

static void write_sample(struct buf *b) {
    struct slice set[] = {SLICE("SET"), SLICE("k"), SLICE("")};
    struct slice ping[] = {SLICE("PING")};
    char long_value[200];
    memset(long_value, 'v', sizeof long_value);
    struct slice append[] = {SLICE("APPEND"), SLICE("\0\xff"), slice_make(long_value, sizeof long_value)};
    entry_begin(b);
    entry_add(b, 0, 3, set);
    entry_add(b, 15, 1, ping);
    entry_add(b, 255, 3, append);
    struct entry_header h = {.clock_ms = 1700000000123, .seed = UINT64_C(0x0123456789abcdef), .count = 3};
    entry_finish(b, &h);
}

/* Other versions of the program read these bytes: they may only change with the version byte. */
TEST(stored_bytes) {
    struct buf b = {0};
    struct slice set[] = {SLICE("SET"), SLICE("k"), SLICE("")};
    entry_begin(&b);
    entry_add(&b, 9, 3, set);
    struct entry_header h = {
        .clock_ms = 0x1122334455667788, .seed = UINT64_C(0xaabbccddeeff0011), .count = 1};
    entry_finish(&b, &h);
    EXPECT_EQ_SLICE(buf_slice(&b), SLICE("RDE\x01"
                                         "\x01\0\0\0"
                                         "\x88\x77\x66\x55\x44\x33\x22\x11"
                                         "\x11\x00\xff\xee\xdd\xcc\xbb\xaa"
                                         "\x09\x03"
                                         "\x03SET"
                                         "\x01k"
                                         "\x00"));
    buf_free(&b);
}

TEST(read_back) {
    struct buf b = {0};
    write_sample(&b);
    struct entry_reader r;
    entry_reader_init(&r);
    for (int again = 0; again < 2; again++) {
        EXPECT(entry_open(&r, buf_slice(&b)));
        EXPECT_EQ_INT(r.header.clock_ms, 1700000000123);
        EXPECT_EQ_U64(r.header.seed, UINT64_C(0x0123456789abcdef));
        EXPECT_EQ_INT(r.header.count, 3);
        EXPECT_EQ_INT(entry_next(&r), 1);
        EXPECT_EQ_INT(r.db, 0);
        EXPECT_EQ_INT(r.argc, 3);
        EXPECT_EQ_SLICE(r.argv[0], SLICE("SET"));
        EXPECT_EQ_SLICE(r.argv[1], SLICE("k"));
        EXPECT_EQ_SLICE(r.argv[2], SLICE(""));
        EXPECT_EQ_INT(entry_next(&r), 1);
        EXPECT_EQ_INT(r.db, 15);
        EXPECT_EQ_INT(r.argc, 1);
        EXPECT_EQ_SLICE(r.argv[0], SLICE("PING"));
        EXPECT_EQ_INT(entry_next(&r), 1);
        EXPECT_EQ_INT(r.db, 255);
        EXPECT_EQ_SLICE(r.argv[1], SLICE("\0\xff"));
        EXPECT_EQ_INT(r.argv[2].len, 200);
        EXPECT(r.argv[2].data[0] == 'v' && r.argv[2].data[199] == 'v');
        EXPECT_EQ_INT(entry_next(&r), 0);
        EXPECT_EQ_INT(entry_next(&r), 0);
    }
    entry_reader_free(&r);
    buf_free(&b);
}

/* A request, whatever its arguments are, becomes the entry that its arguments make, in the buffer it lies in. */
static void check_in_place(int argc, const size_t *lens, size_t before, size_t spare) {
    struct buf request = {0}, entry = {0};
    struct slice argv[64];
    size_t at[64];
    for (size_t i = 0; i < before; i++) buf_add_byte(&request, 'x'); /* a command that was done with */
    buf_printf(&request, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) {
        buf_printf(&request, "$%zu\r\n", lens[i]);
        at[i] = request.len;
        for (size_t k = 0; k < lens[i]; k++) buf_add_byte(&request, (uint8_t)(i * 31 + (int)k % 251));
        buf_add_str(&request, "\r\n");
    }
    struct buf in = {.data = mem_alloc(request.len + spare), .len = request.len, .cap = request.len + spare};
    memcpy(in.data, request.data, request.len);
    for (int i = 0; i < argc; i++) argv[i] = slice_make(request.data + at[i], lens[i]);
    entry_begin(&entry);
    entry_add(&entry, 7, argc, argv);
    for (int i = 0; i < argc; i++) argv[i].data = in.data + at[i];
    EXPECT(entry_make_in_place(&in, 7, argc, argv));
    EXPECT_EQ_SLICE(buf_slice(&in), buf_slice(&entry));
    buf_free(&request);
    buf_free(&entry);
    buf_free(&in);
}

TEST(a_request_becomes_an_entry_where_it_lies) {
    static const size_t lens[] = {0, 1, 2, 9, 10, 127, 128, 1000, 16383, 16384, 70000};
    enum { COUNT = sizeof lens / sizeof *lens };
    for (int a = 0; a < COUNT; a++)
        for (int b = 0; b < COUNT; b++)
            for (size_t before = 0; before < 60; before += 7)
                check_in_place(3, (size_t[]){3, lens[a], lens[b]}, before, before);
    check_in_place(1, lens + 3, 0, 0);
    check_in_place(COUNT, lens, 0, 0);
    check_in_place(COUNT, lens, 500, 64);
    size_t many[60] = {[30] = 5000}; /* those in front of it move up, those behind it down */
    check_in_place(60, many, 0, 3);
}

TEST(what_lies_elsewhere_is_left_alone) {
    struct buf in = {0};
    buf_add_str(&in, "*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n");
    struct slice whole = slice_make(in.data, in.len), word = slice_make(in.data + 8, 4),
                 x = slice_make(in.data + 18, 1);
    EXPECT(!entry_make_in_place(&in, 0, 2, (struct slice[]){word, SLICE("elsewhere")}));
    EXPECT(!entry_make_in_place(&in, 0, 2, (struct slice[]){x, word})); /* in another order */
    EXPECT(!entry_make_in_place(&in, 0, 2, (struct slice[]){word, slice_make(x.data, 4)}));
    EXPECT_EQ_SLICE(buf_slice(&in), whole);
    EXPECT_EQ_SLICE(whole, SLICE("*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n"));
    buf_free(&in);
}

TEST(an_entry_without_commands) {
    struct buf b = {0};
    buf_add_str(&b, "left over from the last entry");
    entry_begin(&b);
    struct entry_reader r;
    entry_reader_init(&r);
    EXPECT(!entry_open(&r, buf_slice(&b))); /* not finished yet */
    entry_finish(&b, &(struct entry_header){.clock_ms = -1});
    EXPECT_EQ_INT(b.len, ENTRY_HEADER_SIZE);
    EXPECT(entry_open(&r, buf_slice(&b)));
    EXPECT_EQ_INT(r.header.clock_ms, -1);
    EXPECT_EQ_INT(entry_next(&r), 0);
    entry_reader_free(&r);
    buf_free(&b);
}

/* Reads all there is; the number of commands, or -1 when the bytes are refused. Touches every byte. */
static int read_all(struct entry_reader *r, struct slice bytes) {
    static volatile unsigned char touched; /* volatile, so that the reads happen */
    (void)touched;
    if (!entry_open(r, bytes)) return -1;
    for (int n = 0;; n++) {
        int rc = entry_next(r);
        if (rc < 0) return -1;
        if (rc == 0) return n;
        EXPECT(r->argc >= 1);
        for (int i = 0; i < r->argc; i++) {
            EXPECT(r->argv[i].data >= bytes.data);
            EXPECT(r->argv[i].data + r->argv[i].len <= bytes.data + bytes.len);
            for (size_t k = 0; k < r->argv[i].len; k++) touched ^= (unsigned char)r->argv[i].data[k];
        }
    }
}

TEST(every_truncation_is_refused) {
    struct buf b = {0};
    write_sample(&b);
    struct guard guard = guard_make(b.len);
    struct entry_reader r;
    entry_reader_init(&r);
    for (size_t len = 0; len < b.len; len++) {
        EXPECT_NOTE(read_all(&r, guard_put(&guard, slice_make(b.data, len))) == -1, "%zu bytes", len);
    }
    EXPECT_EQ_INT(read_all(&r, guard_put(&guard, buf_slice(&b))), 3);
    buf_add_byte(&b, 0);
    EXPECT_EQ_INT(read_all(&r, buf_slice(&b)), -1); /* nor may anything follow */
    entry_reader_free(&r);
    guard_free(&guard);
    buf_free(&b);
}

TEST(every_bit_flip_is_harmless) {
    struct buf b = {0};
    write_sample(&b);
    struct guard guard = guard_make(b.len);
    struct entry_reader r;
    entry_reader_init(&r);
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        b.data[bit / 8] ^= (char)(1 << bit % 8);
        int n = read_all(&r, guard_put(&guard, buf_slice(&b)));
        if (bit < 32) EXPECT_EQ_INT(n, -1);              /* magic and version */
        if (bit >= 32 && bit < 64) EXPECT_EQ_INT(n, -1); /* count */
        EXPECT(r.argv_cap <= (int)b.len);
        b.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    entry_reader_free(&r);
    guard_free(&guard);
    buf_free(&b);
}

static int read_body(struct slice body, uint32_t count) {
    struct buf b = {0};
    entry_begin(&b);
    buf_add_slice(&b, body);
    entry_finish(&b, &(struct entry_header){.count = count});
    struct guard guard = guard_make(b.len);
    struct entry_reader r;
    entry_reader_init(&r);
    int n = read_all(&r, guard_put(&guard, buf_slice(&b)));
    EXPECT(r.argv_cap <= 64); /* a claim is not a reason to allocate */
    entry_reader_free(&r);
    guard_free(&guard);
    buf_free(&b);
    return n;
}

TEST(malformed_commands) {
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\x01p"), 1), 1);
    EXPECT_EQ_INT(read_body(SLICE("\0\0"), 1), -1);                        /* no argument */
    EXPECT_EQ_INT(read_body(SLICE("\0\x02\x01p"), 1), -1);                 /* one too few */
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\x02p"), 1), -1);                 /* too short */
    EXPECT_EQ_INT(read_body(SLICE("\0\x81\x00\x01p"), 1), -1);             /* padded count */
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\x81\x00p"), 1), -1);             /* padded length */
    EXPECT_EQ_INT(read_body(SLICE("\0\xff\xff\xff\xff\x07"), 1), -1);      /* huge count */
    EXPECT_EQ_INT(read_body(SLICE("\0\x80\x80\x80\x80\x10\x01p"), 1), -1); /* 2^32 arguments */
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1),
                  -1); /* 2^64-1 bytes */
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), 1), -1); /* more */
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1), -1);
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"), 1),
                  -1); /* not 0 either */
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\x01p"), 2), -1);
    EXPECT_EQ_INT(read_body(SLICE("\0\x01\x01p"), 0), -1);
    EXPECT_EQ_INT(read_body(SLICE(""), UINT32_MAX), -1);
}

/* Random commands, with lengths around the steps of the length encoding. */
TEST(random_entries) {
    struct rng rng = {test_seed()};
    static char bytes[70000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)rng_next(&rng);
    static const size_t lens[] = {0, 1, 126, 127, 128, 129, 16383, 16384, 65535};
    struct buf b = {0};
    struct entry_reader r;
    entry_reader_init(&r);
    for (int round = 0; round < 200; round++) {
        uint64_t seed = rng_next(&rng);
        uint32_t count = (uint32_t)rng_below(&rng, 20);
        /* The same draws made twice: once written, once expected. */
        for (int pass = 0; pass < 2; pass++) {
            struct rng draw = {seed};
            if (pass == 0) entry_begin(&b);
            if (pass == 1) EXPECT(entry_open(&r, buf_slice(&b)));
            for (uint32_t i = 0; i < count; i++) {
                static struct slice argv[300];
                uint8_t db = (uint8_t)rng_next(&draw);
                int argc = 1 + (int)rng_below(&draw, rng_below(&draw, 20) ? 6 : 300);
                for (int k = 0; k < argc; k++) {
                    size_t len = argc < 10 ? lens[rng_below(&draw, 9)] : rng_below(&draw, 9);
                    argv[k] = slice_make(bytes + rng_below(&draw, 1000), len);
                }
                if (pass == 0) {
                    entry_add(&b, db, argc, argv);
                    continue;
                }
                EXPECT_EQ_INT(entry_next(&r), 1);
                EXPECT_EQ_INT(r.db, db);
                EXPECT_EQ_INT(r.argc, argc);
                for (int k = 0; k < argc; k++) EXPECT_EQ_SLICE(r.argv[k], argv[k]);
            }
            if (pass == 0) entry_finish(&b, &(struct entry_header){.count = count, .seed = seed});
            if (pass == 1) EXPECT_EQ_INT(entry_next(&r), 0);
        }
    }
    entry_reader_free(&r);
    buf_free(&b);
}

TEST_MAIN
