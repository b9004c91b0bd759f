/* metrics.h -- what the server has counted, in the words of Prometheus.
 *
 * Two dialects of one text: 0.0.4, which everything reads, and OpenMetrics 1.0 for who asks for it.
 * The set of rows never changes while the server runs: each label value is there from the start
 * with 0, and none of them is made of what a client said, so that nobody can make us count without
 * end.
 */
#ifndef LN_DAEMON_METRICS_H
#define LN_DAEMON_METRICS_H
#include "base/buf.h"
#include "daemon/attendant.h"
#include <linnet/linnet.h>

typedef struct ln_metrics {
    linnet_server *server;
    linnet_hub *hub;
    const ln_attendant *attendant;
    bool draining;
} ln_metrics;

/* Appends all of it. It reads /proc and may take a while: not for a worker's thread.
 * LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG. */
int ln_metrics_put(ln_buf *out, const ln_metrics *m, bool openmetrics);
/* The Content-Type of each. */
const char *ln_metrics_type(bool openmetrics);
/* Whether an Accept field asks for OpenMetrics. */
bool ln_metrics_wants_open(linnet_slice accept);

/* The writer, for the tests: one family after the other, its samples behind it. */
typedef struct ln_exposition {
    ln_buf *out;
    bool open; /* OpenMetrics */
    int err;   /* the first */
    const char *name, *kind;
} ln_exposition;
/* kind: "counter" (samples end in _total), "gauge", "histogram". */
void ln_family(ln_exposition *e, const char *name, const char *kind, const char *help);
/* label NULL: none. The value of a label is escaped. */
void ln_sample(ln_exposition *e, const char *label, const char *text, uint64_t value);
void ln_sample_seconds(ln_exposition *e, uint64_t us);
void ln_histogram(ln_exposition *e, const linnet_histogram *h);
#endif
