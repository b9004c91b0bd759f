/* bench_hist.h -- a histogram of durations, exact to about one per cent.
 *
 * Log-linear buckets: 128 to each power of two, so that recording is a shift
 * and an increment, whatever the duration is.
 */
#ifndef LN_CLI_BENCH_HIST_H
#define LN_CLI_BENCH_HIST_H
#include <stdint.h>

enum { LN_BENCH_HIST_BITS = 7, LN_BENCH_HIST_MAGNITUDES = 64 - LN_BENCH_HIST_BITS };

typedef struct ln_bench_hist {
    uint64_t total, max;
    uint64_t counts[(LN_BENCH_HIST_MAGNITUDES + 1) << LN_BENCH_HIST_BITS];
} ln_bench_hist;

/* The bucket of a value: monotone, and below the size of counts for every value. */
static inline uint32_t ln_bench_hist_bucket(uint64_t value) {
    if (value < (1u << LN_BENCH_HIST_BITS)) return (uint32_t)value;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - LN_BENCH_HIST_BITS;
    uint32_t within = (uint32_t)(value >> shift) & ((1u << LN_BENCH_HIST_BITS) - 1);
    return ((shift + 1) << LN_BENCH_HIST_BITS) + within;
}

static inline void ln_bench_hist_add(ln_bench_hist *h, uint64_t value, uint64_t times) {
    h->counts[ln_bench_hist_bucket(value)] += times;
    h->total += times;
    if (value > h->max) h->max = value;
}

void ln_bench_hist_reset(ln_bench_hist *h);

/* The value that `percent` of all values do not exceed: the upper edge of its
 * bucket, at most the greatest value recorded. 0 when nothing was recorded. */
uint64_t ln_bench_hist_percentile(const ln_bench_hist *h, double percent);

#endif
