/* rand.h -- randomness that hangs on a node object, not on the process.
 *
 * Two sources behind one face: the system's CSPRNG (libcrypto), drawn 4 KiB at a time
 * because masks need four unpredictable bytes per frame (RFC 6455 10.3); and a seeded
 * generator for the simulator, where the same seed must give the same run.
 */
#ifndef LN_BASE_RAND_H
#define LN_BASE_RAND_H
#include "base/err.h"

typedef struct ln_rand {
    uint64_t state[4]; /* seeded generator; unused by the other */
    uint32_t left;     /* bytes of pool not given out */
    bool seeded;
    uint8_t pool[4096];
} ln_rand;

void ln_rand_init(ln_rand *r);
void ln_rand_init_seeded(ln_rand *r, uint64_t seed);
/* Cannot fail: without entropy at start the process has no business running, and aborts
 * (documented exception; libcrypto blocks until the kernel has some). */
void ln_rand_bytes(ln_rand *r, void *out, size_t size);
uint32_t ln_rand_u32(ln_rand *r);
uint64_t ln_rand_u64(ln_rand *r);
/* Uniform in 0..n-1, n > 0. */
uint32_t ln_rand_below(ln_rand *r, uint32_t n);
#endif
