/* A sample without repetition: which of n things are meant, when a command asks for some of them at random. */
#ifndef BASE_SAMPLE_H
#define BASE_SAMPLE_H

#include "rng.h"

#include <stddef.h>

/* `count` different numbers below n (count <= n), ascending, each choice of numbers as likely as any other. Depends on the
 * generator alone. */
void sample_ranks(struct rng *rng, uint64_t n, size_t count, uint64_t *out);

#endif
