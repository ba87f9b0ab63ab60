/* Buffers, arenas, slices and lists: growth, alignment, what stays where. */
#include "arena.h"
#include "buf.h"
#include "list.h"
#include "mem.h"

#include "test.h"

#include "rng.h"

TEST(buf_grows_and_drops) {
    struct buf b = {0};
    buf_drop(&b, 0);
    buf_add(&b, NULL, 0);
    EXPECT_EQ_INT(b.len, 0);
    for (int i = 0; i < 10000; i++) buf_add_byte(&b, (uint8_t)i);
    EXPECT_EQ_INT(b.len, 10000);
    EXPECT(b.cap >= b.len && b.cap < 40000);
    buf_drop(&b, 9990);
    EXPECT_EQ_INT(b.len, 10);
    for (int i = 0; i < 10; i++) EXPECT_EQ_INT((uint8_t)b.data[i], (uint8_t)(9990 + i));
    buf_clear(&b);
    buf_reserve(&b, 100000);
    EXPECT(b.cap >= 100000);
    buf_free(&b);
    EXPECT(b.data == NULL && b.len == 0 && b.cap == 0);
}

TEST(buf_printf_of_any_length) {
    struct buf b = {0};
    for (int width = 1; width < 300; width++) {
        buf_clear(&b);
        buf_printf(&b, "<%0*d>", width, 7);
        EXPECT_EQ_INT(b.len, width + 2);
        EXPECT(b.data[0] == '<' && b.data[width] == '7' && b.data[width + 1] == '>');
    }
    buf_free(&b);
}

TEST(fixed_integers_round_trip) {
    struct buf b = {0};
    buf_add_byte(&b, 0xfe);
    buf_add_u32le(&b, 0x01020304);
    buf_add_u64le(&b, UINT64_C(0x0102030405060708));
    buf_add_u32be(&b, 0x01020304);
    buf_add_u64be(&b, UINT64_C(0x0102030405060708));
    EXPECT_EQ_SLICE(buf_slice(&b), SLICE("\xfe\4\3\2\1\10\7\6\5\4\3\2\1\1\2\3\4\1\2\3\4\5\6\7\10"));
    struct slice s = buf_slice(&b);
    uint8_t u8;
    uint32_t u32;
    uint64_t u64;
    EXPECT(slice_take_u8(&s, &u8) && u8 == 0xfe);
    EXPECT(slice_take_u32le(&s, &u32) && u32 == 0x01020304);
    EXPECT(slice_take_u64le(&s, &u64) && u64 == UINT64_C(0x0102030405060708));
    EXPECT(slice_take_u32be(&s, &u32) && u32 == 0x01020304);
    struct slice before = s;
    before.len = s.len = 7;
    EXPECT(!slice_take_u64be(&s, &u64)); /* too short: nothing is taken */
    EXPECT(s.data == before.data && s.len == before.len);
    s.len = 8;
    EXPECT(slice_take_u64be(&s, &u64) && u64 == UINT64_C(0x0102030405060708));
    EXPECT_EQ_INT(s.len, 0);
    EXPECT(!slice_take_u8(&s, &u8));
    buf_free(&b);
}

TEST(slices_compare) {
    EXPECT(slice_eq(SLICE(""), slice_make(NULL, 0)));
    EXPECT(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
    EXPECT(!slice_eq(SLICE("a\0b"), SLICE("a\0c")));
    EXPECT(!slice_eq(SLICE("a"), SLICE("ab")));
    EXPECT(slice_is(SLICE("Nx"), "NX"));
    EXPECT(!slice_is(SLICE("N"), "NX"));
    EXPECT(!slice_is(SLICE("NX\0"), "NX"));
    EXPECT(slice_cmp(SLICE("a"), SLICE("b")) < 0);
    EXPECT(slice_cmp(SLICE("\xff"), SLICE("b")) > 0);
    EXPECT(slice_cmp(SLICE("a"), SLICE("aa")) < 0);
    EXPECT(slice_cmp(SLICE("aa"), SLICE("a")) > 0);
    EXPECT(slice_cmp(slice_make(NULL, 0), SLICE("")) == 0);
}

/* Pieces are aligned, disjoint and stay until the reset; a reset keeps at most one ordinary block. */
TEST(arena_pieces_stay) {
    struct rng rng = {test_seed()};
    struct arena a = {0};
    enum { PIECES = 500 };
    static unsigned char *piece[PIECES];
    static size_t size[PIECES];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < PIECES; i++) {
            size[i] = rng_below(&rng, rng_below(&rng, 50) ? 200 : 100000);
            piece[i] = arena_alloc(&a, size[i]);
            EXPECT_EQ_INT((uintptr_t)piece[i] % 16, 0);
            memset(piece[i], i & 0xff, size[i]);
        }
        for (int i = 0; i < PIECES; i++) {
            for (size_t k = 0; k < size[i]; k++) EXPECT(piece[i][k] == (i & 0xff));
        }
        arena_reset(&a);
        EXPECT_EQ_INT(a.used, 0);
    }
    struct slice copy = arena_copy(&a, SLICE("bytes"));
    EXPECT_EQ_SLICE(copy, SLICE("bytes"));
    EXPECT_EQ_INT(copy.data[5], 0);
    EXPECT_EQ_INT(arena_copy(&a, slice_make(NULL, 0)).len, 0);
    arena_free(&a);
    EXPECT(a.current == NULL);
    arena_reset(&a);
}

struct item {
    int value;
    struct list link;
};

TEST(lists_link_and_unlink) {
    struct list head;
    list_init(&head);
    EXPECT(list_empty(&head));
    struct item items[5];
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
        list_push_back(&head, &items[i].link);
    }
    list_unlink(&items[2].link);
    list_unlink(&items[2].link);
    int sum = 0, count = 0;
    LIST_FOR_EACH_SAFE(it, &head) {
        struct item *item = (struct item *)(void *)((char *)it - offsetof(struct item, link));
        sum = sum * 10 + item->value;
        count++;
        if (item->value == 1) list_unlink(it);
    }
    EXPECT_EQ_INT(count, 4);
    EXPECT_EQ_INT(sum, 134);
    count = 0;
    LIST_FOR_EACH(it, &head) count++;
    EXPECT_EQ_INT(count, 3);
}

TEST(memory_counts_at_least_what_was_asked) {
    EXPECT_EQ_INT(mem_size(NULL), 0);
    char *p = mem_alloc(100);
    EXPECT(mem_size(p) >= 100);
    p = mem_realloc(p, 5000);
    EXPECT(mem_size(p) >= 5000);
    mem_free(p);
    p = mem_calloc(0, 8);
    mem_free(p);
    mem_free(NULL);
}

TEST_MAIN
