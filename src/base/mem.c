#include "base/mem.h"
#include "base/err.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *system_alloc(void *ctx, size_t size) {
    return malloc(size);
}

static void *system_resize(void *ctx, void *ptr, size_t size) {
    return realloc(ptr, size);
}

static void system_release(void *ctx, void *ptr) {
    free(ptr);
}

static const linnet_allocator system_allocator = {
    .alloc = system_alloc,
    .resize = system_resize,
    .release = system_release,
};

/* On the allow-list of writable globals: libraries below us (zlib, c-ares) call back
 * without a place to hang it on. */
static linnet_allocator hook = {
    .alloc = system_alloc,
    .resize = system_resize,
    .release = system_release,
};

int linnet_allocator_set(const linnet_allocator *allocator) {
    if (!allocator) allocator = &system_allocator;
    if (!allocator->alloc || !allocator->resize || !allocator->release) return LINNET_ERR_INVAL;
    hook = *allocator;
    return LINNET_OK;
}

void *ln_malloc(size_t size) {
    return hook.alloc(hook.ctx, size ? size : 1);
}

void *ln_calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    void *p = ln_malloc(bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *ln_realloc(void *ptr, size_t size) {
    return hook.resize(hook.ctx, ptr, size ? size : 1);
}

void ln_free(void *ptr) {
    if (ptr) hook.release(hook.ctx, ptr);
}

void *ln_zalloc(void *opaque, unsigned items, unsigned size) {
    return ln_calloc(items, size);
}

void ln_zfree(void *opaque, void *ptr) {
    ln_free(ptr);
}
