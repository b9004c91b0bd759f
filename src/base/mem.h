/* mem.h -- the one door through which all of our memory comes and goes.
 *
 * The hook behind it is set once per process by linnet_allocator_set(), before
 * anything lives; it is one of the very few writable globals. Tests fail the
 * n-th call here, for every n.
 */
#ifndef LN_BASE_MEM_H
#define LN_BASE_MEM_H
#include <stddef.h>

/* NULL on failure; size 0 is treated as 1. */
void *ln_malloc(size_t size);
/* count * size zeroed bytes; NULL on failure or when the product overflows. */
void *ln_calloc(size_t count, size_t size);
/* As realloc; on failure NULL and the old block is untouched. */
void *ln_realloc(void *ptr, size_t size);
/* NULL is allowed. */
void ln_free(void *ptr);
/* Zalloc-shaped adapters for libraries that take an allocator (zlib, c-ares). */
void *ln_zalloc(void *opaque, unsigned items, unsigned size);
void ln_zfree(void *opaque, void *ptr);
#endif
