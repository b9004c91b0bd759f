/* ref.h -- an atomic count for what several threads share, immutable. */
#ifndef LN_BASE_REF_H
#define LN_BASE_REF_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ln_ref {
    _Atomic uint32_t count;
} ln_ref;

static inline void ln_ref_init(ln_ref *r, uint32_t count) {
    atomic_init(&r->count, count);
}
static inline void ln_ref_get(ln_ref *r, uint32_t n) {
    atomic_fetch_add_explicit(&r->count, n, memory_order_relaxed);
}
/* True when this was the last one and the object is the caller's to free. acq_rel rather than
 * release and an acquire fence for the last one: the thread sanitizer does not understand fences,
 * and x86 pays the same for both. */
static inline bool ln_ref_put(ln_ref *r) {
    return atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel) == 1;
}
#endif
