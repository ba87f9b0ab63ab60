/* SHA-256 against the examples of FIPS 180-4 and values of coreutils' sha256sum. */
#include "sha256.h"

#include "mem.h"

#include "test.h"

static void check_hash(struct slice text, const char *want) {
    char hex[SHA256_HEX_LEN];
    sha256_hex(text, hex);
    EXPECT_EQ_SLICE(slice_make(hex, sizeof hex), slice_of(want));
}

TEST(the_examples_of_the_standard) {
    check_hash(SLICE(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hash(SLICE("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_hash(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* Around the ends of blocks, where the length no longer fits behind the text. */
TEST(all_lengths_of_the_last_block) {
    static const struct {
        size_t len;
        const char *want;
    } cases[] = {
        {55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
        {64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
        {1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = mem_alloc(cases[i].len);
        memset(text, 'a', cases[i].len);
        check_hash(slice_make(text, cases[i].len), cases[i].want);
        mem_free(text);
    }
}

TEST_MAIN
