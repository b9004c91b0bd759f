#include "cli/bench_hist.h"

#include <math.h>
#include <string.h>

void ln_bench_hist_reset(ln_bench_hist *h) {
    memset(h, 0, sizeof *h);
}

/* The greatest value that falls into a bucket. */
static uint64_t bucket_edge(uint32_t bucket) {
    uint32_t magnitude = bucket >> LN_BENCH_HIST_BITS;
    if (magnitude == 0) return bucket;
    uint64_t within = bucket & ((1u << LN_BENCH_HIST_BITS) - 1);
    uint64_t first = (1u << LN_BENCH_HIST_BITS) + within;
    return (first << (magnitude - 1)) + ((UINT64_C(1) << (magnitude - 1)) - 1);
}

uint64_t ln_bench_hist_percentile(const ln_bench_hist *h, double percent) {
    if (h->total == 0) return 0;
    uint64_t wanted = (uint64_t)ceil((double)h->total * percent / 100.0);
    if (wanted == 0) wanted = 1;

    uint64_t seen = 0;
    for (uint32_t i = 0; i < sizeof h->counts / sizeof h->counts[0]; i++) {
        seen += h->counts[i];
        if (seen < wanted) continue;
        uint64_t edge = bucket_edge(i);
        return edge < h->max ? edge : h->max;
    }
    return h->max;
}
