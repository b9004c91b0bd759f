/* stat.h -- counters with one writer (their worker) and any readers. */
#ifndef LN_BASE_STAT_H
#define LN_BASE_STAT_H
#include <stdatomic.h>
#include <stdint.h>

typedef struct ln_stat {
    _Atomic uint64_t value;
} ln_stat;

/* A plain load and store: cheap, right with a single writer only. */
static inline void ln_stat_add(ln_stat *s, uint64_t n) {
    uint64_t v = atomic_load_explicit(&s->value, memory_order_relaxed);
    atomic_store_explicit(&s->value, v + n, memory_order_relaxed);
}
static inline void ln_stat_sub(ln_stat *s, uint64_t n) {
    ln_stat_add(s, (uint64_t)0 - n);
}
static inline uint64_t ln_stat_get(const ln_stat *s) {
    return atomic_load_explicit(&s->value, memory_order_relaxed);
}
#endif
