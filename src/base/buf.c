#include "base/buf.h"
#include "base/mem.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define FIRST_CAPACITY 64
#define FORMAT_MAX     4096

static_assert(sizeof(ln_buf) == 24, "connections have one");

void ln_buf_fini(ln_buf *b) {
    ln_free(b->data);
    *b = (ln_buf){ .max = b->max };
}

/* The smallest doubling that holds `need` bytes, or the maximum. */
static uint32_t grown(const ln_buf *b, uint64_t need) {
    uint64_t capacity = b->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : b->capacity;
    while (capacity < need)
        capacity *= 2;
    return capacity < b->max ? (uint32_t)capacity : b->max;
}

static void close_gap(ln_buf *b) {
    if (b->head && b->size) memmove(b->data, b->data + b->head, b->size);
    b->head = 0;
}

int ln_buf_reserve(ln_buf *b, size_t n) {
    assert(b->max <= LN_BUF_MAX);
    if (n > b->max - b->size) return LINNET_ERR_TOO_BIG;
    if (n <= b->capacity - b->head - b->size) return LINNET_OK;

    /* Closing a small gap again and again would make a queue quadratic, so unless half of
     * the memory is gap we double as well, as long as the maximum lets us. */
    bool pays = b->head >= b->capacity / 2 || b->capacity == b->max;
    close_gap(b);
    bool fits = n <= b->capacity - b->size;
    if (fits && pays) return LINNET_OK;

    uint64_t need = (uint64_t)b->size + n;
    uint32_t capacity = grown(b, fits ? (uint64_t)b->capacity + 1 : need);
    uint8_t *data = ln_realloc(b->data, capacity);
    if (!data) return fits ? LINNET_OK : LINNET_ERR_NOMEM;
    b->data = data;
    b->capacity = capacity;
    return LINNET_OK;
}

void ln_buf_commit(ln_buf *b, size_t n) {
    assert(n <= b->capacity - b->head - b->size);
    b->size += (uint32_t)n;
}

int ln_buf_add(ln_buf *b, ln_slice s) {
    int err = ln_buf_reserve(b, s.size);
    if (err < 0) return err;
    if (s.size) memcpy(b->data + b->head + b->size, s.data, s.size);
    b->size += (uint32_t)s.size;
    return LINNET_OK;
}

int ln_buf_add_byte(ln_buf *b, uint8_t byte) {
    return ln_buf_add(b, ln_slice_of(&byte, 1));
}

int ln_buf_addf(ln_buf *b, const char *format, ...) {
    char text[FORMAT_MAX + 1];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0) return LINNET_ERR_INVAL;
    if (n > FORMAT_MAX) return LINNET_ERR_TOO_BIG;
    return ln_buf_add(b, ln_slice_of(text, (size_t)n));
}

void ln_buf_consume(ln_buf *b, size_t n) {
    assert(n <= b->size);
    b->size -= (uint32_t)n;
    b->head = b->size ? b->head + (uint32_t)n : 0;
}
