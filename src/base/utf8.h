/* utf8.h -- RFC 3629 validation of bytes as they arrive.
 *
 * Fails at the first byte that can no longer become valid text (Autobahn 6.4), across
 * any cut. The state is one byte; 0 means that a code point has just ended, so text may
 * end there. Fast paths: ASCII and multi-byte with AVX-512, AVX2 or SSE4.1, chosen at run time.
 */
#ifndef LN_BASE_UTF8_H
#define LN_BASE_UTF8_H
#include "base/slice.h"

typedef uint8_t ln_utf8; /* 0 at start; opaque */

/* False: invalid from here on, *state is meaningless. */
bool ln_utf8_feed(ln_utf8 *state, ln_slice s);
static inline bool ln_utf8_complete(ln_utf8 state) {
    return state == 0;
}
/* A whole text at once. */
bool ln_utf8_valid(ln_slice s);
/* Number of leading bytes of s that are valid whole code points. */
size_t ln_utf8_prefix(ln_slice s);

/* For tests and the microbenchmark: the same through one named implementation. NULL
 * where this machine cannot run it. */
typedef bool ln_utf8_feed_fn(ln_utf8 *state, ln_slice s);
typedef enum { LN_SIMD_SCALAR, LN_SIMD_SSE, LN_SIMD_AVX2, LN_SIMD_AVX512 } ln_simd;
ln_utf8_feed_fn *ln_utf8_impl(ln_simd which);
#endif
