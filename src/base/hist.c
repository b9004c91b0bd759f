#include "base/hist.h"

static const uint64_t bounds[LN_HIST_BUCKETS] = { 100, 250, 500, 1000, 2500, 5000, 10000, 25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 10000000, UINT64_MAX };

uint64_t ln_hist_bound(unsigned bucket) {
    return bucket < LN_HIST_BUCKETS ? bounds[bucket] : UINT64_MAX;
}

void ln_hist_add(ln_hist *h, uint64_t us) {
    unsigned i = 0;
    while (us > bounds[i])
        i++;
    ln_stat_add(&h->buckets[i], 1);
    ln_stat_add(&h->sum_us, us);
}
