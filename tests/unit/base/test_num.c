/* Numbers as text: which texts are numbers, and how numbers look, as Redis has it; libc is the reference. */
#include "num.h"

#include "test.h"

#include "rng.h"

#include <errno.h>
#include <float.h>
#include <math.h>

static bool i64_of(const char *text, int64_t *out) {
    return parse_i64(slice_of(text), out);
}

static void check_i64(const char *text, int64_t want) {
    int64_t got = 77;
    EXPECT_NOTE(i64_of(text, &got), "%s", text);
    EXPECT_EQ_INT(got, want);
}

TEST(integers_that_are) {
    check_i64("0", 0);
    check_i64("7", 7);
    check_i64("-1", -1);
    check_i64("42", 42);
    check_i64("9223372036854775807", INT64_MAX);
    check_i64("-9223372036854775808", INT64_MIN);
    check_i64("-9223372036854775807", -INT64_MAX);
    check_i64("1000000000000000000", INT64_C(1000000000000000000));
    uint64_t u = 0;
    EXPECT(parse_u64(SLICE("18446744073709551615"), &u));
    EXPECT_EQ_U64(u, UINT64_MAX);
}

TEST(integers_that_are_not) {
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      "01",
                                      "00",
                                      "-0",
                                      "-01",
                                      " 1",
                                      "1 ",
                                      "1\n",
                                      "1.0",
                                      "1e3",
                                      "0x10",
                                      "a",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "18446744073709551616",
                                      "92233720368547758070",
                                      "99999999999999999999999999",
                                      "1/",
                                      "1:"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t got = 77;
        EXPECT_NOTE(!i64_of(bad[i], &got), "%s", bad[i]);
        EXPECT_EQ_INT(got, 77); /* out-parameters are left alone */
    }
    int64_t got;
    EXPECT(!parse_i64(slice_make(NULL, 0), &got));
    EXPECT(!parse_i64(slice_make("1\0", 2), &got));
    uint64_t u = 0;
    EXPECT(!parse_u64(SLICE("18446744073709551616"), &u));
    EXPECT(!parse_u64(SLICE("18446744073709551625"), &u));
    EXPECT(!parse_u64(SLICE("-1"), &u));
    EXPECT(!parse_u64(SLICE("-0"), &u));
    EXPECT(!parse_u64(SLICE(""), &u));
}

/* Every width of random integer prints as printf prints it and reads back; one more digit or a changed byte
 * reads as strtoll reads it, or not at all. */
TEST(integers_against_libc) {
    struct rng rng = {test_seed()};
    for (int i = 0; i < 200000; i++) {
        int64_t v = (int64_t)(rng_next(&rng) >> rng_below(&rng, 64));
        if (rng_below(&rng, 2)) v = (int64_t)(0 - (uint64_t)v);
        char want[32], got[NUM_I64_MAX_LEN];
        size_t want_len = (size_t)snprintf(want, sizeof want, "%" PRId64, v);
        EXPECT_EQ_BYTES(got, format_i64(got, v), want, want_len);
        int64_t back;
        EXPECT(parse_i64(slice_make(want, want_len), &back));
        EXPECT_EQ_INT(back, v);

        char ugot[NUM_I64_MAX_LEN];
        want_len = (size_t)snprintf(want, sizeof want, "%" PRIu64, (uint64_t)v);
        EXPECT_EQ_BYTES(ugot, format_u64(ugot, (uint64_t)v), want, want_len);

        want_len = (size_t)snprintf(want, sizeof want, "%" PRId64, v);
        want[rng_below(&rng, want_len)] = "0123456789-+ x"[rng_below(&rng, 14)];
        if (rng_below(&rng, 2)) want[want_len++] = (char)('0' + rng_below(&rng, 10));
        want[want_len] = '\0';
        errno = 0;
        char *end;
        long long reference = strtoll(want, &end, 10);
        bool canonical = *end == '\0' && errno == 0;
        if (canonical) {
            char again[32];
            snprintf(again, sizeof again, "%lld", reference);
            canonical = strcmp(again, want) == 0;
        }
        EXPECT_NOTE(parse_i64(slice_make(want, want_len), &back) == canonical, "%s", want);
        if (canonical) EXPECT_EQ_INT(back, reference);
    }
}

TEST(integers_at_every_power) {
    uint64_t p = 1;
    for (int i = 0; i < 20; i++, p *= 10) {
        for (uint64_t v = p - 1; v != p + 2; v++) {
            char want[32], got[NUM_I64_MAX_LEN];
            size_t want_len = (size_t)snprintf(want, sizeof want, "%" PRIu64, v);
            EXPECT_EQ_BYTES(got, format_u64(got, v), want, want_len);
        }
    }
}

static void check_double(const char *text, double want) {
    double got = 77;
    EXPECT_NOTE(parse_double(slice_of(text), &got), "%s", text);
    EXPECT_NOTE(got == want && signbit(got) == signbit(want), "%s: %.17g, not %.17g", text, got, want);
    long double ld = 77;
    EXPECT_NOTE(parse_long_double(slice_of(text), &ld), "%s", text);
}

TEST(floats_that_are) {
    check_double("0", 0.0);
    check_double("-0", -0.0);
    check_double("-0.0", -0.0);
    check_double("3", 3);
    check_double("3.5", 3.5);
    check_double("+3.5", 3.5);
    check_double("03.50", 3.5);
    check_double(".5", .5);
    check_double("5.", 5);
    check_double("1e3", 1000);
    check_double("1E-3", 0.001);
    check_double("0x10", 16);
    check_double("inf", INFINITY);
    check_double("-inf", -INFINITY);
    check_double("+Infinity", INFINITY);
    check_double("0.1", 0.1);
    check_double("123456789012345", 123456789012345.0);
    check_double("1.7976931348623157e308", DBL_MAX);
    check_double("5e-324", 5e-324);
    char long_text[1000];
    memset(long_text, '0', sizeof long_text);
    memcpy(long_text, "0.", 2);
    long_text[sizeof long_text - 1] = '\0';
    long_text[sizeof long_text - 2] = '1';
    double got = 77;
    EXPECT(!parse_double(slice_of(long_text), &got)); /* too small for a double ... */
    long double ld = 77;
    EXPECT(parse_long_double(slice_of(long_text), &ld)); /* ... but not for a long double */
    EXPECT(ld > 0);
    long_text[sizeof long_text - 2] = '0';
    check_double(long_text, 0);
}

TEST(floats_that_are_not) {
    static const char *const bad[] = {"",   " ",     " 1", "1 ", "1\n", "nan", "-nan", "NaN", "nan(1)", "a",
                                      "1a", "1.2.3", ".",  "-",  "+",   "--1", "1e",   "e1",  "1,5"};
    double got = 77;
    long double ld = 77;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EXPECT_NOTE(!parse_double(slice_of(bad[i]), &got), "%s", bad[i]);
        EXPECT_NOTE(!parse_long_double(slice_of(bad[i]), &ld), "%s", bad[i]);
    }
    EXPECT(!parse_double(SLICE("1e400"), &got));
    EXPECT(!parse_double(SLICE("-1e400"), &got));
    EXPECT(!parse_double(SLICE("1e-400"), &got));
    EXPECT(!parse_long_double(SLICE("1e5000"), &ld));
    EXPECT(!parse_double(slice_make("1\0002", 3), &got));
    EXPECT(!parse_long_double(slice_make("1\0002", 3), &ld));
    char long_text[NUM_LD_MAX_LEN + 1];
    memset(long_text, '1', NUM_LD_MAX_LEN);
    EXPECT(!parse_long_double(slice_make(long_text, NUM_LD_MAX_LEN), &ld));
    EXPECT(got == 77 && ld == 77);
}

/* The shortcut for short decimals rounds as strtod does. */
TEST(floats_against_libc) {
    struct rng rng = {test_seed()};
    for (int i = 0; i < 200000; i++) {
        char text[40];
        uint64_t whole = rng_next(&rng) >> rng_below(&rng, 64);
        uint64_t part = rng_next(&rng) >> rng_below(&rng, 64);
        int len = snprintf(text, sizeof text, "%s%" PRIu64, rng_below(&rng, 2) ? "-" : "", whole % 100000000);
        if (rng_below(&rng, 4)) {
            len += snprintf(text + len, sizeof text - (size_t)len, ".%0*" PRIu64, (int)rng_below(&rng, 9) + 1,
                            part % 1000000000);
        }
        double want = strtod(text, NULL), got = 77;
        EXPECT_NOTE(parse_double(slice_make(text, (size_t)len), &got), "%s", text);
        EXPECT_NOTE(memcmp(&got, &want, sizeof got) == 0, "%s", text);
    }
}

static void check_shows(double v, const char *want) {
    char got[NUM_DOUBLE_MAX_LEN];
    EXPECT_EQ_BYTES(got, format_double(got, v), want, strlen(want));
}

TEST(doubles_as_replies_show_them) {
    check_shows(3, "3");
    check_shows(-3, "-3");
    check_shows(3.5, "3.5");
    check_shows(0.1, "0.10000000000000001");
    check_shows(0, "0");
    check_shows(-0.0, "-0");
    check_shows(INFINITY, "inf");
    check_shows(-INFINITY, "-inf");
    check_shows(1e16, "10000000000000000");
    check_shows(99999999999999984.0, "99999999999999984");
    check_shows(1e17, "1e+17");
    check_shows(-1e17, "-1e+17");
    check_shows(1e300, "1.0000000000000001e+300");
    check_shows(-DBL_MAX, "-1.7976931348623157e+308");
    check_shows(5e-324, "4.9406564584124654e-324");
    struct rng rng = {test_seed()};
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = rng_next(&rng);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (i % 3 == 0) v = (double)(int64_t)(bits >> rng_below(&rng, 64));
        if (i % 3 == 1) v = (double)(int64_t)(bits >> 40) / 64;
        char want[64];
        snprintf(want, sizeof want, "%.17g", v);
        check_shows(v, want);
    }
}

static void check_long_shows(long double v, const char *want) {
    char got[NUM_LD_MAX_LEN];
    EXPECT_EQ_BYTES(got, format_long_double(got, v), want, strlen(want));
}

TEST(long_doubles_as_incrbyfloat_shows_them) {
    check_long_shows(0, "0");
    check_long_shows(-0.0L, "0");
    check_long_shows(3, "3");
    check_long_shows(-3.5L, "-3.5");
    check_long_shows(0.1L, "0.1");
    check_long_shows(10.6L, "10.6");
    check_long_shows(-1e-18L, "0");
    check_long_shows(1e-17L, "0.00000000000000001");
    check_long_shows(1000, "1000");
    check_long_shows(1e18L, "1000000000000000000");
    check_long_shows(1e20L, "100000000000000000000");
    check_long_shows(INFINITY, "inf");
    check_long_shows(-INFINITY, "-inf");
    check_long_shows(17179869184.5L, "17179869184.5");
    char got[NUM_LD_MAX_LEN];
    EXPECT_EQ_INT(format_long_double(got, LDBL_MAX), 4933);
    EXPECT_EQ_INT(format_long_double(got, -LDBL_MAX), 4934);
}

TEST_MAIN
