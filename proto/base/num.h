/* Numbers as text, with exactly Redis's idea of which texts are numbers: no leading zeros, spaces or plus
 * sign, nothing behind the digits. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "slice.h"

enum {
    NUM_I64_MAX_LEN = 20,   /* "-9223372036854775808" */
    NUM_LD_MAX_LEN = 5120,  /* a long double in fixed notation */
    NUM_DOUBLE_MAX_LEN = 32 /* a double, shortest or %.17g */
};

/* What string2ll accepts: "0", "-1", "42"; not "", "+1", "01", "-0", " 1", "1 ". */
bool parse_i64(struct slice text, int64_t *out);
bool parse_u64(struct slice text, uint64_t *out);
/* What Redis accepts as a float argument: the whole text, no leading or trailing space, no NaN; inf is fine. */
bool parse_double(struct slice text, double *out);
bool parse_long_double(struct slice text, long double *out);

/* Each writes at most its MAX_LEN bytes, no terminating NUL, and returns the length. */
size_t format_i64(char *out, int64_t v);
size_t format_u64(char *out, uint64_t v);
/* As replies show doubles: "3", "3.5", "inf", "-inf", else %.17g. */
size_t format_double(char *out, double v);
/* As INCRBYFLOAT shows them: %.17Lf with trailing zeros (and a trailing point) cut. */
size_t format_long_double(char *out, long double v);

#endif
