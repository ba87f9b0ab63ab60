/* Glob patterns as Redis understands them, its corners included: every line was asked of KEYS in Redis 7.0. */
#include "cmd.h"

#include "test.h"

#include "mem.h"

/* From an allocation of their own size, so that a sanitizer sees a look behind the end. */
static bool match(const char *pattern, const char *text, bool nocase) {
    size_t p_len = strlen(pattern), t_len = strlen(text);
    char *p = mem_alloc(p_len), *t = mem_alloc(t_len);
    memcpy(p, pattern, p_len);
    memcpy(t, text, t_len);
    bool matched = glob_match(slice_make(p, p_len), slice_make(t, t_len), nocase);
    mem_free(p);
    mem_free(t);
    return matched;
}

static void check_match(const char *pattern, const char *text, bool want) {
    EXPECT_NOTE(match(pattern, text, false) == want, "%s, %s", pattern, text);
}

TEST(characters_and_stars) {
    check_match("", "", true);
    check_match("", "a", false);
    check_match("a", "", false);
    check_match("*", "a", true);
    check_match("*", "", false); /* KEYS and SCAN never ask for a lone star */
    check_match("a", "a", true);
    check_match("a", "b", false);
    check_match("a", "aa", false);
    check_match("a*", "a", true);
    check_match("a**", "a", true);
    check_match("**a", "a", true);
    check_match("h?llo", "hello", true);
    check_match("h?llo", "hllo", false);
    check_match("h*llo", "hllo", true);
    check_match("h*llo", "heeello", true);
    check_match("*ab", "aab", true);
    check_match("a*b*c", "abbc", true);
    check_match("*a*b*", "xxaxxbxx", true);
    check_match("*a*b*", "xxbxxaxx", false);
    check_match("\\*", "*", true);
    check_match("\\*", "a", false);
    check_match("a\\?b", "a?b", true);
    check_match("\\", "\\", true);
    check_match("\\\\", "\\", true);
}

TEST(classes) {
    check_match("h[ae]llo", "hallo", true);
    check_match("h[ae]llo", "hillo", false);
    check_match("h[^e]llo", "hallo", true);
    check_match("h[^e]llo", "hello", false);
    check_match("h[a-c]llo", "hbllo", true);
    check_match("[c-a]", "b", true);
    check_match("[\\]]", "]", true);
    check_match("[a\\-c]", "-", true);
    check_match("[a\\-c]", "b", false);
    check_match("[-]", "-", true);
    check_match("[a-]]", "a", true); /* a range up to the bracket, and no end */
    check_match("[a-]]", "-", false);
    check_match("[]", "]", false);
    check_match("[^]", "x", true);
    check_match("[abc", "b", true); /* no end is the end */
    check_match("[^", "x", true);
    check_match("[", "[", false);
    check_match("a[", "a", false);
    check_match("[\\", "\\", true);
    check_match("*[0-9]", "key1", true);
    check_match("[a-\xff]", "A", true); /* bytes are signed: from -1 to 'a' */
    check_match("[a-\xff]", "b", false);
}

TEST(case_folding) {
    EXPECT(match("HeLLo", "hEllO", true));
    EXPECT(match("[A-C]x", "bX", true));
    EXPECT(match("[^A-C]", "d", true));
    EXPECT(!match("[^A-C]", "b", true));
    EXPECT(!match("[\\A]", "a", true)); /* what is escaped in a class is taken as it is */
    EXPECT(!match("a", "b", true));
}

/* Many stars and a text that nearly matches must not take for ever. */
TEST(work_is_bounded) {
    char pattern[201], text[2001];
    for (int i = 0; i < 200; i += 2) {
        pattern[i] = '*';
        pattern[i + 1] = 'a';
    }
    pattern[198] = 'b';
    pattern[200] = '\0';
    memset(text, 'a', 2000);
    text[2000] = '\0';
    EXPECT(!match(pattern, text, false));
}

TEST_MAIN
