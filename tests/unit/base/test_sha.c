/* The digests are the standards', in lower case, whatever is in the text. */
#include "sha.h"

#include "test.h"

static void check_1(struct slice text, const char *want) {
    char hex[SHA1_HEX_LEN];
    sha1_hex(text, hex);
    EXPECT_EQ_SLICE(slice_make(hex, sizeof hex), slice_of(want));
}

static void check_256(struct slice text, const char *want) {
    char hex[SHA256_HEX_LEN];
    sha256_hex(text, hex);
    EXPECT_EQ_SLICE(slice_make(hex, sizeof hex), slice_of(want));
}

TEST(the_examples_of_the_standard) {
    check_1(SLICE(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check_1(SLICE("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    check_256(SLICE(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_256(SLICE("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(a_text_may_hold_anything) {
    check_1(SLICE("a\0b"), "4a3dec2d1f8245280855c42db0ee4239f917fdb8");
    check_256(SLICE("a\0b"), "59b271ae1bbcb1d31d41929817f4b16fb439eb4f31520b5ad1d5ce98920a7138");
}

TEST_MAIN
