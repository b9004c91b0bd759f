/* hist.h -- how long things take, in buckets that are the same everywhere: from 100 microseconds to
 * 10 seconds, about three to a decade, and one for all beyond. One writer and any readers, as
 * stat.h: an addition is a short walk and two plain stores.
 */
#ifndef LN_BASE_HIST_H
#define LN_BASE_HIST_H
#include "base/stat.h"

#define LN_HIST_BUCKETS 16

typedef struct ln_hist { /* zeroed it is empty */
    ln_stat buckets[LN_HIST_BUCKETS];
    ln_stat sum_us;
} ln_hist;

/* The largest value of a bucket, in microseconds; UINT64_MAX for the last. */
uint64_t ln_hist_bound(unsigned bucket);
void ln_hist_add(ln_hist *h, uint64_t us);
#endif
