/* pool.h -- many objects of one size without a malloc header each: slabs of 64 KiB (more
 * when fewer than eight objects would fit), a LIFO free list inside the free objects, so
 * that the next one is warm. Wholly free slabs above one spare are given back. Not
 * thread-safe. Under AddressSanitizer free objects are poisoned.
 */
#ifndef LN_BASE_POOL_H
#define LN_BASE_POOL_H
#include <stddef.h>
#include <stdint.h>

typedef struct ln_pool {
    struct ln_slab *open;      /* slabs with a free object, the one last used first */
    struct ln_slab *spare;     /* the one slab that is wholly free, or NULL */
    size_t slab_bytes;         /* a power of two, and the alignment of each slab */
    uint32_t object, per_slab; /* bytes; objects */
    uint32_t used, slab_count;
    uint32_t max; /* objects at most */
} ln_pool;

void ln_pool_init(ln_pool *p, size_t object_size, uint32_t max);
/* All objects must have been freed. */
void ln_pool_fini(ln_pool *p);
/* Not zeroed; aligned to 8, and to 16 if that divides the size. NULL at the maximum or out of
 * memory. */
void *ln_pool_get(ln_pool *p);
void ln_pool_put(ln_pool *p, void *object);
#endif
