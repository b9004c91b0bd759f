#include "base/pool.h"
#include "base/mem.h"
#include <assert.h>
#include <stdbool.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif
#ifdef POISONING
#include <sanitizer/asan_interface.h>
#define POISON(p, size)   ASAN_POISON_MEMORY_REGION(p, size)
#define UNPOISON(p, size) ASAN_UNPOISON_MEMORY_REGION(p, size)
#else
#define POISON(p, size)   ((void)(p), (void)(size))
#define UNPOISON(p, size) ((void)(p), (void)(size))
#endif

#define SLAB_BYTES   ((size_t)64 * 1024)
#define PER_SLAB_MIN 8
#define ALIGNMENT    16 /* of the first; the size of all is a multiple of 8 */

/* One slab, aligned to its size, so that an object's address names its slab. The block
 * under it is larger by one alignment; the rest is address space that is never touched.
 *
 *   block ... | slab header | object | object | ... |
 */
typedef struct ln_slab {
    struct ln_slab *next, *prev; /* among the open ones of the pool */
    void *block;
    void *free;     /* objects that were given back; the first word links them */
    uint32_t fresh; /* objects never given out yet, at the end */
    uint32_t used;
} ln_slab;

#define HEAD ((sizeof(ln_slab) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

void ln_pool_init(ln_pool *p, size_t object_size, uint32_t max) {
    assert(object_size > 0);
    assert(object_size <= 16 * 1024 * 1024);
    size_t object = (object_size + 7) / 8 * 8;
    size_t slab = SLAB_BYTES;
    while ((slab - HEAD) / object < PER_SLAB_MIN)
        slab *= 2;
    *p = (ln_pool){
        .slab_bytes = slab,
        .object = (uint32_t)object,
        .per_slab = (uint32_t)((slab - HEAD) / object),
        .max = max,
    };
}

static void open_push(ln_pool *p, ln_slab *s) {
    s->prev = NULL;
    s->next = p->open;
    if (s->next) s->next->prev = s;
    p->open = s;
}

static void open_remove(ln_pool *p, ln_slab *s) {
    if (s->next) s->next->prev = s->prev;
    if (s->prev) s->prev->next = s->next;
    if (p->open == s) p->open = s->next;
}

static ln_slab *slab_new(ln_pool *p) {
    void *block = ln_malloc(2 * p->slab_bytes - 1);
    if (!block) return NULL;
    uintptr_t at = ((uintptr_t)block + p->slab_bytes - 1) & ~(uintptr_t)(p->slab_bytes - 1);
    ln_slab *s = (ln_slab *)at;
    *s = (ln_slab){ .block = block, .fresh = p->per_slab };
    POISON((char *)s + HEAD, p->slab_bytes - HEAD);
    p->slab_count++;
    open_push(p, s);
    return s;
}

static void slab_free(ln_pool *p, ln_slab *s) {
    assert(s->used == 0);
    open_remove(p, s);
    UNPOISON(s, p->slab_bytes);
    ln_free(s->block);
    p->slab_count--;
}

void ln_pool_fini(ln_pool *p) {
    assert(p->used == 0);
    if (p->spare) slab_free(p, p->spare);
    assert(p->slab_count == 0);
    p->spare = NULL;
}

void *ln_pool_get(ln_pool *p) {
    if (p->used >= p->max) return NULL;
    ln_slab *s = p->open ? p->open : slab_new(p);
    if (!s) return NULL;

    char *object = s->free;
    if (object) {
        UNPOISON(object, p->object);
        s->free = *(void **)(void *)object;
    } else {
        object = (char *)s + HEAD + (size_t)(p->per_slab - s->fresh) * p->object;
        UNPOISON(object, p->object);
        s->fresh--;
    }
    if (p->spare == s) p->spare = NULL;
    s->used++;
    p->used++;
    if (s->used == p->per_slab) open_remove(p, s);
    return object;
}

void ln_pool_put(ln_pool *p, void *object) {
    ln_slab *s = (ln_slab *)((uintptr_t)object & ~(uintptr_t)(p->slab_bytes - 1));
    assert(s->used > 0);
    if (s->used < p->per_slab) open_remove(p, s);
    open_push(p, s);
    *(void **)object = s->free;
    POISON(object, p->object);
    s->free = object;
    s->used--;
    p->used--;
    if (s->used > 0) return;
    if (p->spare) slab_free(p, p->spare);
    p->spare = s;
}
