/* samples.h -- what a server's /metrics says, read back: one sample after the other, and sums and
 * quantiles of them. It reads what linnet writes (daemon/metrics.h), at most one label each.
 */
#ifndef LN_CLI_SAMPLES_H
#define LN_CLI_SAMPLES_H
#include "base/slice.h"

typedef struct ln_scraped {
    ln_slice name;  /* with _total, _bucket and the like */
    ln_slice label; /* its value; {NULL, 0}: there is none */
    ln_slice value; /* as it stands there */
} ln_scraped;

/* The next sample of *text, which is moved behind it; comments are passed over. 1: *out is filled;
 * 0: there is none; LINNET_ERR_INVAL: this is no such text. */
int ln_scraped_next(ln_slice *text, ln_scraped *out);
/* The number of a sample, 0 when it is not there. label NULL: of the one without. */
double ln_scraped_value(ln_slice text, const char *name, const char *label);
/* The sum over all labels. */
double ln_scraped_sum(ln_slice text, const char *name);
/* The bound of the bucket that holds this quantile of a histogram, in its unit; -1: nothing was
 * counted; INFINITY: beyond the last bound. */
double ln_scraped_quantile(ln_slice text, const char *name, double q);
#endif
