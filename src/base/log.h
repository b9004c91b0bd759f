/* log.h -- lines to whoever hosts us. Hangs on a node object. Below conn/ nobody logs.
 * At most `lines_per_s` lines a second pass; the first one of a later second is preceded
 * by a line that says how many were suppressed. Control bytes and invalid UTF-8 come out
 * as \xNN, never raw.
 */
#ifndef LN_BASE_LOG_H
#define LN_BASE_LOG_H
#include "base/slice.h"

typedef struct ln_log {
    linnet_log_fn *fn; /* NULL: silence */
    void *ctx;
    linnet_log_level level;
    uint32_t lines_per_s; /* 0: unlimited */
    uint64_t second;      /* of the last line */
    uint32_t lines, suppressed;
} ln_log;

void ln_log_init(ln_log *l, linnet_log_fn *fn, void *ctx, linnet_log_level level);
/* Says how many were suppressed, if some were and nobody was told. */
void ln_log_fini(ln_log *l);
static inline bool ln_log_wants(const ln_log *l, linnet_log_level level) {
    return l->fn && level <= l->level;
}
/* One line of at most 1,024 bytes; longer ones are cut. now_ms: the loop's clock. */
void ln_logf(ln_log *l, uint64_t now_ms, linnet_log_level level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#endif
