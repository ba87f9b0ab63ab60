/* SHA-1 against the examples of FIPS 180-4 and every length around a block's end. */
#include "sha1.h"

#include "test.h"

static void expect_sha1(struct slice bytes, const char *hex) {
    char got[SHA1_HEX_LEN];
    sha1_hex(bytes, got);
    EXPECT(memcmp(got, hex, sizeof got) == 0);
}

TEST(known_sums) {
    expect_sha1(SLICE(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    expect_sha1(SLICE("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    expect_sha1(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    expect_sha1(SLICE("return 1"), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
}

TEST(a_million_times_a) {
    char *text = malloc(1000000);
    EXPECT(text != NULL);
    memset(text, 'a', 1000000);
    expect_sha1(slice_make(text, 1000000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    free(text);
}

/* The sums of 0 to 129 zeros, summed up themselves: padding goes wrong at some length or not at all. */
TEST(every_length_around_blocks) {
    static const char zeros[130];
    char sums[130][SHA1_HEX_LEN];
    for (size_t len = 0; len < 130; len++) sha1_hex(slice_make(zeros, len), sums[len]);
    expect_sha1(slice_make(sums[0], sizeof sums), "8c1e77fa91a2cb7c174f56b636cadae5fe345e66");
}

TEST_MAIN
