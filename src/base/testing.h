/* testing.h -- what every *_test.c starts with; never included by the library.
 *
 * cmocka with the headers it needs, and inputs in blocks of exactly their size, so that
 * a sanitizer or the allocator's guard sees one byte too far.
 */
#ifndef LN_BASE_TESTING_H
#define LN_BASE_TESTING_H
#include "base/slice.h"
/* cmocka wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LN_COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* For table columns: bytes of a literal, NULs inside included. */
#define BYTES(lit) LN_SLICE_INIT(lit)

/* A copy in a malloc of exactly its size; free() it by ln_test_drop(). */
static inline ln_slice ln_test_exact(ln_slice s) {
    uint8_t *copy = malloc(s.size);
    assert_true(copy || s.size == 0);
    if (s.size) memcpy(copy, s.data, s.size);
    return ln_slice_of(copy, s.size);
}
static inline void ln_test_drop(ln_slice s) {
    free((void *)(uintptr_t)s.data);
}

/* An allocator whose call number `fail_at` (from 1; 0: never) and, when `from` is set, all
 * later ones fail. `live` counts blocks not given back. */
typedef struct ln_test_memory {
    uint64_t calls, fail_at;
    int64_t live;
    bool from;
} ln_test_memory;

static inline bool ln_test_memory_refuses(ln_test_memory *m) {
    m->calls++;
    return m->fail_at && (m->calls == m->fail_at || (m->from && m->calls > m->fail_at));
}
static inline void *ln_test_memory_alloc(void *ctx, size_t size) {
    ln_test_memory *m = ctx;
    if (ln_test_memory_refuses(m)) return NULL;
    m->live++;
    return malloc(size);
}
static inline void *ln_test_memory_resize(void *ctx, void *ptr, size_t size) {
    ln_test_memory *m = ctx;
    if (ln_test_memory_refuses(m)) return NULL;
    if (!ptr) m->live++;
    return realloc(ptr, size);
}
static inline void ln_test_memory_release(void *ctx, void *ptr) {
    ln_test_memory *m = ctx;
    m->live--;
    free(ptr);
}
static inline void ln_test_memory_install(ln_test_memory *m) {
    linnet_allocator a = { ln_test_memory_alloc, ln_test_memory_resize, ln_test_memory_release, m };
    assert_int_equal(linnet_allocator_set(&a), LINNET_OK);
}
static inline void ln_test_memory_remove(void) {
    assert_int_equal(linnet_allocator_set(NULL), LINNET_OK);
}
#endif
