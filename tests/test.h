/* The unit tests' harness: one header, one executable per test file.
 *
 *     TEST(what_it_shows) { EXPECT(ready); EXPECT_EQ_INT(count, 3); }
 *     TEST_MAIN
 *
 * The executable runs all its tests, or those named on its command line; --list names them. A failed
 * expectation prints its line and ends its test; the others still run. EXPECT may be used in helpers too. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *test_first, **test_last = &test_first;
static jmp_buf test_abandon;
static const char *test_program = "", *test_running = ""; /* argv[0], and the test's name */

__attribute__((unused)) static void test_register(struct test *t) {
    *test_last = t;
    test_last = &t->next;
}

#define TEST(test_name)                                                                                      \
    static void test_##test_name(void);                                                                      \
    __attribute__((constructor)) static void test_register_##test_name(void) {                               \
        static struct test self = {.name = #test_name, .run = test_##test_name};                             \
        test_register(&self);                                                                                \
    }                                                                                                        \
    static void test_##test_name(void)

__attribute__((unused)) _Noreturn static void test_fail(const char *file, int line) {
    fprintf(stderr, "    at %s:%d\n", file, line);
    longjmp(test_abandon, 1);
}

/* Prints bytes so that they can be pasted into a test. */
__attribute__((unused)) static void test_print_bytes(const char *label, const char *data, size_t len) {
    fprintf(stderr, "    %s: (%zu) \"", label, len);
    for (size_t i = 0; i < len && i < 1000; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '\r') {
            fputs("\\r", stderr);
        } else if (c == '\n') {
            fputs("\\n", stderr);
        } else if (c < ' ' || c > '~' || c == '"' || c == '\\') {
            fprintf(stderr, "\\x%02x", c);
        } else {
            fputc(c, stderr);
        }
    }
    fprintf(stderr, "\"%s\n", len > 1000 ? "..." : "");
}

#define EXPECT(cond)                                                                                         \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "    expected: %s\n", #cond);                                                    \
            test_fail(__FILE__, __LINE__);                                                                   \
        }                                                                                                    \
    } while (0)

/* The same with a printf-style note: what was tried. */
#define EXPECT_NOTE(cond, ...)                                                                               \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "    expected: %s (", #cond);                                                    \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fprintf(stderr, ")\n");                                                                          \
            test_fail(__FILE__, __LINE__);                                                                   \
        }                                                                                                    \
    } while (0)

#define EXPECT_EQ_INT(got, want)                                                                             \
    do {                                                                                                     \
        int64_t test_got = (int64_t)(got), test_want = (int64_t)(want);                                      \
        if (test_got != test_want) {                                                                         \
            fprintf(stderr, "    %s: got %" PRId64 ", want %" PRId64 "\n", #got, test_got, test_want);       \
            test_fail(__FILE__, __LINE__);                                                                   \
        }                                                                                                    \
    } while (0)

#define EXPECT_EQ_U64(got, want)                                                                             \
    do {                                                                                                     \
        uint64_t test_got = (uint64_t)(got), test_want = (uint64_t)(want);                                   \
        if (test_got != test_want) {                                                                         \
            fprintf(stderr, "    %s: got 0x%" PRIx64 ", want 0x%" PRIx64 "\n", #got, test_got, test_want);   \
            test_fail(__FILE__, __LINE__);                                                                   \
        }                                                                                                    \
    } while (0)

#define EXPECT_EQ_BYTES(got_data, got_len, want_data, want_len)                                              \
    do {                                                                                                     \
        const char *test_got = (got_data), *test_want = (want_data);                                         \
        size_t test_got_len = (got_len), test_want_len = (want_len);                                         \
        if (test_got_len != test_want_len ||                                                                 \
            (test_got_len != 0 && memcmp(test_got, test_want, test_got_len) != 0)) {                         \
            test_print_bytes("got ", test_got, test_got_len);                                                \
            test_print_bytes("want", test_want, test_want_len);                                              \
            test_fail(__FILE__, __LINE__);                                                                   \
        }                                                                                                    \
    } while (0)

/* For struct slice, whose header the test includes. */
#define EXPECT_EQ_SLICE(got, want)                                                                           \
    do {                                                                                                     \
        struct slice test_got_slice = (got), test_want_slice = (want);                                       \
        EXPECT_EQ_BYTES(test_got_slice.data, test_got_slice.len, test_want_slice.data, test_want_slice.len); \
    } while (0)

#define EXPECT_EQ_STR(got, want)                                                                             \
    do {                                                                                                     \
        const char *test_got_str = (got), *test_want_str = (want);                                           \
        EXPECT_EQ_BYTES(test_got_str, strlen(test_got_str), test_want_str, strlen(test_want_str));           \
    } while (0)

/* A number that nobody has had before; but where REDRAFT_TEST_SEED is set, as tests/run does, one that follows from that and from
 * who asks: the same commit runs the same tests, and no two of them draw the same. tests/seed.py does this for what is no C. */
__attribute__((unused)) static uint64_t test_draw_seed(const char *program, const char *name) {
    const char *run = getenv("REDRAFT_TEST_SEED");
    uint64_t seed = 14695981039346656037u;
    if (run == NULL || *run == '\0') {
        FILE *f = fopen("/dev/urandom", "rb");
        if (f == NULL || fread(&seed, sizeof seed, 1, f) != 1) abort();
        fclose(f);
        return seed;
    }
    const char *words[] = {run, program, name}; /* FNV-1a, with the ends of the words, and stirred */
    for (size_t i = 0; i < 3; i++)
        for (const char *p = words[i];; p++) {
            seed = (seed ^ (unsigned char)*p) * 1099511628211u;
            if (*p == '\0') break;
        }
    seed = (seed ^ seed >> 32) * 0xd6e8feb86659fd93u;
    return seed ^ seed >> 32;
}

/* A random test takes its seed from here: TEST_SEED when that is set. What replays the test is always printed. */
__attribute__((unused)) static uint64_t test_seed(void) {
    const char *given = getenv("TEST_SEED"), *slash = strrchr(test_program, '/');
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0)
                                  : test_draw_seed(slash != NULL ? slash + 1 : test_program, test_running);
    printf("    replay: TEST_SEED=%" PRIu64 " %s %s\n", seed, test_program, test_running);
    fflush(stdout);
    return seed;
}

/* How often a random test tries: as often as it says, or TEST_ROUNDS times. A sanitizer makes everything slower, by such a factor,
 * and what it looks for shows in fewer rounds; the release build is there for the many. */
#if defined __has_feature
#define TEST_HAS(feature) __has_feature(feature)
#else
#define TEST_HAS(feature) 0
#endif
#if defined __SANITIZE_THREAD__ || TEST_HAS(thread_sanitizer)
enum { TEST_SLOWNESS = 6 };
#elif defined __SANITIZE_ADDRESS__ || TEST_HAS(address_sanitizer)
enum { TEST_SLOWNESS = 2 };
#else
enum { TEST_SLOWNESS = 1 };
#endif

__attribute__((unused)) static int test_rounds(int usual) {
    const char *given = getenv("TEST_ROUNDS");
    if (given != NULL) return atoi(given);
    return usual > TEST_SLOWNESS ? usual / TEST_SLOWNESS : 1;
}

/* Round after round, each with a seed of its own and with what replays it alone. */
__attribute__((unused)) static void test_random(int usual_rounds, void (*one)(uint64_t seed)) {
    uint64_t seed = test_seed();
    for (int rounds = test_rounds(usual_rounds); rounds > 0; rounds--, seed++) {
        printf("    replay: TEST_SEED=%" PRIu64 " TEST_ROUNDS=1 %s %s\n", seed, test_program, test_running);
        fflush(stdout);
        one(seed);
    }
}

__attribute__((unused)) static bool test_is_chosen(const struct test *t, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], t->name) == 0) return true;
    }
    return argc < 2;
}

/* setjmp stays alone here, so that no loop variable lives across it. */
__attribute__((unused)) static bool test_passes(const struct test *t) {
    if (setjmp(test_abandon) != 0) return false;
    test_running = t->name;
    t->run();
    return true;
}

__attribute__((unused)) static int test_main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (struct test *t = test_first; t; t = t->next) puts(t->name);
        return 0;
    }
    int run = 0, failed = 0;
    test_program = argv[0];
    for (struct test *t = test_first; t; t = t->next) {
        if (!test_is_chosen(t, argc, argv)) continue;
        run++;
        printf("%s\n", t->name);
        fflush(stdout);
        if (!test_passes(t)) {
            fprintf(stderr, "FAILED %s; alone: %s %s\n", t->name, argv[0], t->name);
            failed++;
        }
    }
    printf("%d run, %d failed\n", run, failed);
    /* A misspelt name must not look like success. */
    return failed != 0 || run == 0 || (argc > 1 && run != argc - 1);
}

#define TEST_MAIN                                                                                            \
    int main(int argc, char **argv) {                                                                        \
        return test_main(argc, argv);                                                                        \
    }

#endif
