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

/* A flag that one thread (or a signal handler) raises and another looks at. */
typedef struct ln_flag {
    _Atomic uint32_t raised;
} ln_flag;

static inline void ln_flag_raise(ln_flag *f) {
    atomic_store_explicit(&f->raised, 1, memory_order_release);
}
/* Whether it was lowered before: for whoever must be the first. */
static inline bool ln_flag_raise_first(ln_flag *f) {
    return atomic_exchange_explicit(&f->raised, 1, memory_order_acq_rel) == 0;
}
static inline bool ln_flag_up(const ln_flag *f) {
    return atomic_load_explicit(&f->raised, memory_order_acquire) != 0;
}
static inline void ln_flag_lower(ln_flag *f) {
    atomic_store_explicit(&f->raised, 0, memory_order_release);
}

/* A word that several threads look at, and move from one value to the next. */
typedef struct ln_word {
    _Atomic uint64_t value;
} ln_word;

static inline uint64_t ln_word_get(const ln_word *w) {
    return atomic_load_explicit(&w->value, memory_order_acquire);
}
static inline void ln_word_set(ln_word *w, uint64_t value) {
    atomic_store_explicit(&w->value, value, memory_order_release);
}
/* False when it was something else than `from`; then nothing happened. */
static inline bool ln_word_move(ln_word *w, uint64_t from, uint64_t to) {
    return atomic_compare_exchange_strong_explicit(
        &w->value, &from, to, memory_order_acq_rel, memory_order_acquire);
}
#endif
